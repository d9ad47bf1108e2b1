use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt::Write;

use crate::lexer::special_bytes;

/// The string that a valid JSON string means, given what stands between its quotes.
pub(crate) fn decode(raw: &str) -> Cow<'_, str> {
    let Some(first) = raw.find('\\') else { return Cow::Borrowed(raw) };
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    let mut next = Some(first);
    while let Some(at) = next {
        text.push_str(&rest[..at]);
        let (char, len) = decode_escape(&rest.as_bytes()[at..]);
        text.push(char);
        rest = &rest[at + len..];
        next = rest.find('\\');
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// Whether two valid JSON strings mean the same, given what stands between their quotes.
///
/// Costs no more than reading the shorter one some times, so that a long key is not read whenever a short
/// one is looked for.
pub(crate) fn same(a: &str, b: &str) -> bool {
    a == b
        || a.len() <= b.len().saturating_mul(ESCAPE_LEN_MAX)
            && b.len() <= a.len().saturating_mul(ESCAPE_LEN_MAX)
            && (a.contains('\\') || b.contains('\\'))
            && decode(a) == decode(b)
}

/// Whether a valid JSON string, given what stands between its quotes, means this text; at the cost of the
/// shorter one likewise.
pub(crate) fn means(raw: &str, text: &str) -> bool {
    if raw.len() == text.len() {
        // Every escape is longer than what it means, so that there may be none.
        return raw == text && !raw.contains('\\');
    }
    raw.len() > text.len()
        && raw.len() <= text.len().saturating_mul(ESCAPE_LEN_MAX)
        && raw.contains('\\')
        && decode(raw) == text
}

/// Appends `text` as it stands between the quotes of a JSON string.
pub(crate) fn encode(text: &str, out: &mut String) {
    let mut rest = text;
    if plain_len(text.as_bytes()) == text.len() {
        return out.push_str(text);
    }
    loop {
        let plain = plain_len(rest.as_bytes());
        out.push_str(&rest[..plain]);
        let Some(&byte) = rest.as_bytes().get(plain) else { return };
        rest = &rest[plain + 1..];
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            _ => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{byte:04x}");
            }
        }
    }
}

/// How many bytes stand before the first that needs an escape.
fn plain_len(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(chunk) = bytes[at..].first_chunk::<8>() {
        let special = special_bytes(u64::from_le_bytes(*chunk));
        if special != 0 {
            return at + (special.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    // The last bytes come with zeros behind them, which are special and mark the end.
    let mut word = [0; 8];
    let rest = &bytes[at..];
    word[..rest.len()].copy_from_slice(rest);
    at + (special_bytes(u64::from_le_bytes(word)).trailing_zeros() / 8) as usize
}

/// The character that a valid escape means, and the length of the escape.
fn decode_escape(bytes: &[u8]) -> (char, usize) {
    match bytes.get(1) {
        Some(b'b') => ('\u{8}', 2),
        Some(b'f') => ('\u{c}', 2),
        Some(b'n') => ('\n', 2),
        Some(b'r') => ('\r', 2),
        Some(b't') => ('\t', 2),
        Some(b'u') => decode_unicode(bytes),
        Some(&byte) => (char::from(byte), 2),
        None => (char::REPLACEMENT_CHARACTER, bytes.len()),
    }
}

fn decode_unicode(bytes: &[u8]) -> (char, usize) {
    let high = hex(bytes.get(2..6));
    if !(0xd800..0xdc00).contains(&high) {
        return (char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER), 6);
    }
    let low = hex(bytes.get(8..12));
    let code = 0x1_0000 + ((high - 0xd800) << 10) + (low.wrapping_sub(0xdc00) & 0x3ff);
    (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 12)
}

fn hex(digits: Option<&[u8]>) -> u32 {
    digits
        .unwrap_or_default()
        .iter()
        .fold(0, |unit, &byte| unit << 4 | char::from(byte).to_digit(16).unwrap_or(0))
}

/// No escape is longer for each byte of what it means.
const ESCAPE_LEN_MAX: usize = r"\u0061".len();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_mean_their_characters() {
        assert_eq!(decode(r#"a\"\\\/\b\f\n\r\tz"#), "a\"\\/\u{8}\u{c}\n\r\tz");
        assert_eq!(decode(r"\u00e9\ud83d\ude00x"), "é😀x");
        assert!(same(r"\u0061", "a"));
        assert!(!same(r"\u0061", "b"));
        for (raw, text) in [(r"\u0061", "a"), ("", ""), ("a", "a"), (r"\ud83d\ude00", "😀")] {
            assert!(means(raw, text) && same(raw, text) && same(text, raw), "{raw}");
        }
        for (raw, text) in [("a", "b"), ("", "a"), ("a", ""), (r"\u0061\u0061", "a")] {
            assert!(!means(raw, text) && !same(raw, text) && !same(text, raw), "{raw}");
        }
        // A text that looks like an escape is not what the escape means.
        assert!(means(r"\\", r"\") && !means(r"\\", r"\\") && means(r"\\\\", r"\\"));
    }

    #[test]
    fn encoded_text_decodes_to_itself() {
        let text = "q\" b\\ n\n \u{1}\u{1f} é";
        let mut raw = String::new();
        encode(text, &mut raw);
        assert_eq!(raw, r#"q\" b\\ n\n \u0001\u001f é"#);
        assert_eq!(decode(&raw), text);
    }
}
