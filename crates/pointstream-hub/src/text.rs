//! Walks through JSON text that is known to be valid: members, elements, a merge. What is not valid
//! gives less than there is, never a panic.

use std::borrow::Cow;

/// The members of an object: the key as it stands between its quotes, and the value's text.
pub(crate) fn members(object: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut at = open(object, b'{');
    std::iter::from_fn(move || {
        let key_at = next_item(object, at?, b'}')?;
        let key_end = value_end(object.as_bytes(), key_at);
        let key = object.get(key_at + 1..key_end.checked_sub(1)?)?;
        let colon = skip_space(object.as_bytes(), key_end);
        let value_at = skip_space(object.as_bytes(), colon + 1);
        let end = value_end(object.as_bytes(), value_at);
        at = Some(end);
        Some((key, object.get(value_at..end)?))
    })
}

/// The elements of an array.
pub(crate) fn elements(array: &str) -> impl Iterator<Item = &str> {
    let mut at = open(array, b'[');
    std::iter::from_fn(move || {
        let start = next_item(array, at?, b']')?;
        let end = value_end(array.as_bytes(), start);
        at = Some(end);
        array.get(start..end)
    })
}

/// The value of a member.
pub(crate) fn member<'a>(object: &'a str, key: &str) -> Option<&'a str> {
    members(object).find(|(raw, _)| decode(raw) == key).map(|(_, value)| value)
}

/// Whether the value is an object.
pub(crate) fn is_object(value: &str) -> bool {
    first(value) == Some(b'{')
}

/// Whether the value is an array.
pub(crate) fn is_array(value: &str) -> bool {
    first(value) == Some(b'[')
}

/// What stands between the quotes of a JSON string, its escapes resolved.
pub(crate) fn decode(raw: &str) -> Cow<'_, str> {
    if !raw.contains('\\') {
        return Cow::Borrowed(raw);
    }
    let quoted = format!("\"{raw}\"");
    // Valid JSON strings without half surrogates, which the parser before has refused.
    serde_json::from_str(&quoted).map_or(Cow::Borrowed(raw), Cow::Owned)
}

/// Appends `base` with the members of `patch` in it, objects within objects likewise; all else of
/// `patch` takes the place of what is there, null included. Recurses as deep as the patch nests,
/// which its parser has bounded.
pub(crate) fn merge(base: &str, patch: &str, out: &mut String) {
    if !is_object(base) || !is_object(patch) {
        out.push_str(patch);
        return;
    }
    out.push('{');
    let mut first = true;
    let mut put = |out: &mut String, key: &str| {
        if !std::mem::replace(&mut first, false) {
            out.push(',');
        }
        out.push('"');
        out.push_str(key);
        out.push_str("\":");
    };
    for (key, value) in members(base) {
        put(out, key);
        match member(patch, &decode(key)) {
            Some(next) => merge(value, next, out),
            None => out.push_str(value),
        }
    }
    for (key, value) in members(patch) {
        if member(base, &decode(key)).is_none() {
            put(out, key);
            out.push_str(value);
        }
    }
    out.push('}');
}

fn first(value: &str) -> Option<u8> {
    value.bytes().find(|byte| !is_space(*byte))
}

fn open(text: &str, bracket: u8) -> Option<usize> {
    let at = skip_space(text.as_bytes(), 0);
    (text.as_bytes().get(at) == Some(&bracket)).then_some(at + 1)
}

/// Where the next key or element begins, behind the comma if there is one.
fn next_item(text: &str, at: usize, close: u8) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = skip_space(bytes, at);
    if bytes.get(at) == Some(&b',') {
        at = skip_space(bytes, at + 1);
    }
    bytes.get(at).filter(|&&byte| byte != close).map(|_| at)
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(|&byte| is_space(byte)) {
        at += 1;
    }
    at
}

/// The end of the value that begins at `at`.
fn value_end(bytes: &[u8], at: usize) -> usize {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut i = at;
    while let Some(&byte) = bytes.get(i) {
        match byte {
            b'\\' if in_string => i += 1,
            b'"' => {
                in_string = !in_string;
                if !in_string && depth == 0 {
                    return i + 1;
                }
            }
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return i,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return i + 1;
                }
            }
            b',' | b':' if depth == 0 => return i,
            byte if depth == 0 && is_space(byte) => return i,
            _ => {}
        }
        i += 1;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::json::tests::arbitrary_json;

    fn merged(base: &str, patch: &str) -> String {
        let mut out = String::new();
        merge(base, patch, &mut out);
        out
    }

    #[test]
    fn a_merge_keeps_what_is_absent_and_stores_null() {
        assert_eq!(merged(r#"{"a":1,"b":2}"#, r#"{"b":3,"c":null}"#), r#"{"a":1,"b":3,"c":null}"#);
        assert_eq!(merged(r#"{"o":{"x":1}}"#, r#"{"o":{"y":[1]}}"#), r#"{"o":{"x":1,"y":[1]}}"#);
        assert_eq!(merged(r#"{"o":[1,2]}"#, r#"{"o":[3]}"#), r#"{"o":[3]}"#);
        assert_eq!(merged(r#"{"\u0061":1}"#, r#"{"a":2}"#), r#"{"\u0061":2}"#);
        assert_eq!(merged("[1]", r#"{"a":1}"#), r#"{"a":1}"#);
    }

    #[test]
    fn what_is_not_json_ends_the_walk() {
        for text in ["", "{", "{\"", "{\"a\"", "{\"a\":", "[", "[\"", "[1,", "[\"\\", "nul", "}"] {
            assert!(members(text).count() <= 1 && elements(text).count() <= 1, "{text}");
        }
    }

    proptest! {
        #[test]
        fn members_and_elements_are_those_of_another_parser(value in arbitrary_json()) {
            let text = serde_json::to_string_pretty(&value).unwrap();
            let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            match &value {
                Value::Object(map) => {
                    let found: serde_json::Map<_, _> = members(&text)
                        .map(|(key, value)| (decode(key).into_owned(), parse(value)))
                        .collect();
                    prop_assert_eq!(&found, map);
                }
                Value::Array(list) => {
                    prop_assert_eq!(&elements(&text).map(parse).collect::<Vec<_>>(), list);
                }
                _ => prop_assert_eq!(members(&text).count() + elements(&text).count(), 0),
            }
        }
    }
}
