//! JSON text made fit for one `data:` line: no space between tokens, no raw line break, and
//! on request nothing but ASCII.

/// How a topic's JSON is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    /// Characters beyond ASCII as `\uXXXX`. Lossless, and spares clients that decode UTF-8 segment
    /// by segment.
    pub(crate) ascii: bool,
    /// Events with the names of the original's successor.
    pub(crate) axway: bool,
}

/// Appends `json`, which must be valid JSON, without the space between its tokens.
pub(crate) fn write_compact(json: &str, style: Style, out: &mut Vec<u8>) {
    let bytes = json.as_bytes();
    let mut in_string = false;
    let mut from = 0;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => in_string = !in_string,
            // A character is escaped only inside a string; what follows the backslash is skipped
            // so that an escaped quote does not end it.
            b'\\' => at += 1,
            b' ' | b'\t' | b'\r' | b'\n' if !in_string => {
                out.extend_from_slice(&bytes[from..at]);
                from = at + 1;
            }
            first if first >= 0x80 && style.ascii => {
                out.extend_from_slice(&bytes[from..at]);
                let Some(character) = json.get(at..).and_then(|rest| rest.chars().next()) else {
                    debug_assert!(false, "the walk left a character's boundary");
                    return;
                };
                write_escaped(character, out);
                from = at + character.len_utf8();
                at = from - 1;
            }
            _ => {}
        }
        at += 1;
    }
    out.extend_from_slice(&bytes[from.min(bytes.len())..]);
}

fn write_escaped(character: char, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for unit in character.encode_utf16(&mut [0; 2]) {
        let nibble = |shift: u16| HEX[usize::from(*unit >> shift & 0xf)];
        out.extend_from_slice(&[b'\\', b'u', nibble(12), nibble(8), nibble(4), nibble(0)]);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn compact(json: &str, ascii: bool) -> String {
        let mut out = Vec::new();
        write_compact(json, Style { ascii, axway: false }, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn space_goes_between_tokens_and_stays_in_strings() {
        let json = "\r\n{ \"a b\" :\t[ 1 , \"x\\\" \\\\\" , \"\\\\\" ] }\n";
        assert_eq!(compact(json, true), r#"{"a b":[1,"x\" \\","\\"]}"#);
        assert_eq!(compact("  ", true), "");
    }

    #[test]
    fn characters_beyond_ascii_become_escapes_with_surrogates() {
        assert_eq!(compact("\"é°\u{2028}😀\"", true), r#""\u00e9\u00b0\u2028\ud83d\ude00""#);
        assert_eq!(compact("\"é😀\" ", false), "\"é😀\"");
        assert_eq!(compact("{\"é\": \"\\é\"}", false), "{\"é\":\"\\é\"}");
    }

    #[test]
    fn escapes_that_stand_alone_are_kept() {
        assert_eq!(compact(r#"["\ud800", "\u000d"]"#, true), r#"["\ud800","\u000d"]"#);
    }

    pub(crate) fn arbitrary_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<i32>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::hash_map(any::<String>(), inner, 0..4)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_value_stays_the_same_on_one_ascii_line(value in arbitrary_json()) {
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            let line = compact(&pretty, true);
            prop_assert!(line.is_ascii() && !line.contains(['\n', '\r']));
            prop_assert_eq!(&serde_json::from_str::<serde_json::Value>(&line).unwrap(), &value);
            let line = compact(&pretty, false);
            prop_assert_eq!(line, serde_json::to_string(&value).unwrap());
        }
    }
}
