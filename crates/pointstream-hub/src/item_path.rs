use std::fmt;
use std::str::FromStr;

use crate::text;

/// Where an item has its id: `.Symbol`, `.Identifier.Symbol` or `|Identifier|Symbol`. The first
/// character is the separator of the rest; there is no escape, and case counts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ItemIdPath {
    text: Box<str>,
    segments: Box<[Box<str>]>,
}

/// The text is not the path of an item's id.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("an item_id_path is a separator and keys between separators, as .Identifier.Symbol")]
#[non_exhaustive]
pub struct ItemIdPathError;

impl ItemIdPath {
    /// The id of an item, whose text is valid JSON: a string as it is, a number or a boolean as its
    /// JSON text. None if it is missing, null or a container.
    pub(crate) fn id(&self, item: &str) -> Option<Box<str>> {
        let mut value = item;
        for segment in &self.segments {
            value = text::member(value, segment)?;
        }
        let value = value.trim();
        match value.as_bytes().first()? {
            b'"' => Some(text::decode(value.get(1..value.len() - 1)?).into()),
            b'n' | b'{' | b'[' => None,
            b't' | b'f' => Some(value.into()),
            _ => Some(canonical_number(value)),
        }
    }
}

/// `1`, `1.0` and `1e0` are one item: integers as they stand, all else as the shortest fraction.
fn canonical_number(raw: &str) -> Box<str> {
    if raw == "-0" {
        return "0".into();
    }
    if raw.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
        return raw.into();
    }
    match raw.parse::<f64>() {
        Ok(number) if number.is_finite() => (number + 0.0).to_string().into(),
        _ => raw.into(),
    }
}

impl FromStr for ItemIdPath {
    type Err = ItemIdPathError;

    fn from_str(path: &str) -> Result<Self, ItemIdPathError> {
        let mut chars = path.chars();
        let separator = chars.next().ok_or(ItemIdPathError)?;
        let segments: Box<[Box<str>]> = chars.as_str().split(separator).map(Into::into).collect();
        if segments.iter().any(|segment| segment.is_empty()) {
            return Err(ItemIdPathError);
        }
        Ok(Self { text: path.into(), segments })
    }
}

impl fmt::Display for ItemIdPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(path: &str, item: &str) -> Option<String> {
        path.parse::<ItemIdPath>().unwrap().id(item).map(Into::into)
    }

    #[test]
    fn an_id_is_a_scalar_at_the_path() {
        let item = r#"{"Symbol":"AUDUSD","Identifier":{"Symbol":"E\u0055R","n":1.0},"a.b":true}"#;
        for (path, expected) in [
            (".Symbol", Some("AUDUSD")),
            (".Identifier.Symbol", Some("EUR")),
            ("|Identifier|Symbol", Some("EUR")),
            (".Identifier.n", Some("1")),
            ("|a.b", Some("true")),
            (".symbol", None),
            (".Identifier", None),
            (".Symbol.x", None),
        ] {
            assert_eq!(id(path, item).as_deref(), expected, "{path}");
        }
        assert_eq!(id(".s", r#"{"s":null}"#), None);
        assert_eq!(id(".0", "[1]"), None, "objects only");
        for (raw, expected) in [
            ("-0", "0"),
            ("1e2", "100"),
            ("1.50", "1.5"),
            ("18446744073709551617", "18446744073709551617"),
        ] {
            assert_eq!(id(".n", &format!("{{\"n\": {raw} }}")).as_deref(), Some(expected));
        }
    }

    #[test]
    fn a_path_has_a_separator_and_keys() {
        for bad in ["", ".", "..a", ".a.", "|"] {
            assert_eq!(bad.parse::<ItemIdPath>(), Err(ItemIdPathError), "{bad}");
        }
        assert_eq!("|a|b".parse::<ItemIdPath>().unwrap().to_string(), "|a|b");
    }
}
