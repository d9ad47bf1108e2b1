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
    fn what_is_encoded_comes_back() {
        let text = "ahu and temp >= 5 & \"é\" + %";
        let mut uri = "/p?f=".to_owned();
        encode(text, &mut uri);
        assert_eq!(Query::of(&uri.parse().unwrap()).get("f"), Some(text));
    }
}
