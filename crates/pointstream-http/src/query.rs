use axum::extract::Query as Pairs;
use http::Uri;

/// The parameters of a request: names without regard to case, the first one of a name counts.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn of(uri: &Uri) -> Self {
        // Percent signs that begin no escape stay as they are; there is nothing that can fail.
        Self(Pairs::try_from_uri(uri).map(|Pairs(pairs)| pairs).unwrap_or_default())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let pair = self.0.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        pair.map(|(_, value)| value.as_str())
    }

    /// All values of a name, in their order.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let pairs = self.0.iter().filter(move |(other, _)| other.eq_ignore_ascii_case(name));
        pairs.map(|(_, value)| value.as_str())
    }
}

/// The first value of a parameter, as it stands in the query.
pub(crate) fn raw<'a>(uri: &'a Uri, name: &str) -> Option<&'a str> {
    let pairs = uri.query()?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let mut named = pairs.filter(|(other, _)| decode(other).eq_ignore_ascii_case(name));
    named.next().map(|(_, value)| value)
}

/// A part of a query without its escapes. Percent signs that begin none stay as they are.
pub(crate) fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    while let Some(&byte) = bytes.get(at) {
        let escaped =
            match (byte, bytes.get(at + 1).and_then(digit), bytes.get(at + 2).and_then(digit)) {
                (b'%', Some(high), Some(low)) => u8::try_from(high << 4 | low).ok(),
                _ => None,
            };
        out.push(escaped.unwrap_or(if byte == b'+' { b' ' } else { byte }));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Appends `text` to a query, with everything escaped but what never has a meaning there.
pub(crate) fn encode(text: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 0xf)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case_and_values_decoded() {
        let query = Query::of(&"/p?X-Sd-MODE=patch&a=1+%C3%A9%&a=2&b".parse().unwrap());
        assert_eq!(query.get("x-sd-mode"), Some("patch"));
        assert_eq!(query.get("a"), Some("1 é%"));
        assert_eq!(query.get("b"), Some(""));
        assert_eq!(query.get("c"), None);
        assert_eq!(Query::of(&"/p".parse().unwrap()).get("a"), None);
    }

    #[test]
    fn a_raw_value_is_decoded_as_the_others_are() {
        let uri: Uri = "/p?b=x&%61=1+%C3%A9%&a=%2&c=%zz%+".parse().unwrap();
        let query = Query::of(&uri);
        for name in ["a", "B", "c"] {
            let decoded = raw(&uri, name).map(decode);
            assert_eq!(decoded.as_deref(), query.get(name), "{name}");
        }
        assert_eq!(raw(&uri, "d"), None);
        assert_eq!(decode("%2"), "%2");
        assert_eq!(decode("%"), "%");
    }

    #[test]
    fn what_is_encoded_comes_back() {
        let text = "ahu and temp >= 5 & \"é\" + %";
        let mut uri = "/p?f=".to_owned();
        encode(text, &mut uri);
        assert_eq!(Query::of(&uri.parse().unwrap()).get("f"), Some(text));
    }
}
