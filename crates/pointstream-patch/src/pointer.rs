use alloc::borrow::Cow;
use alloc::string::String;

use thiserror::Error;

/// A JSON Pointer (RFC 6901) whose syntax has been checked.
///
/// ```
/// use pointstream_patch::Pointer;
///
/// let pointer = Pointer::parse("/quotes/17/bid~1ask")?;
/// assert!(pointer.tokens().eq(["quotes", "17", "bid/ask"]));
/// # Ok::<(), pointstream_patch::PointerError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pointer<'a>(&'a str);

impl<'a> Pointer<'a> {
    /// The whole document.
    pub const ROOT: Self = Pointer("");

    /// Checks a pointer: empty, or tokens each behind a slash, in which `~` begins `~0` or `~1`.
    pub fn parse(text: &'a str) -> Result<Self, PointerError> {
        if !text.is_empty() && !text.starts_with('/') {
            return Err(PointerError { kind: PointerErrorKind::Slash, offset: 0 });
        }
        let bytes = text.as_bytes();
        for (offset, _) in text.match_indices('~') {
            if !matches!(bytes.get(offset + 1), Some(b'0' | b'1')) {
                return Err(PointerError { kind: PointerErrorKind::Escape, offset });
            }
        }
        Ok(Self(text))
    }

    /// The tokens with their escapes resolved.
    pub fn tokens(&self) -> impl Iterator<Item = Cow<'a, str>> + use<'a> {
        let mut tokens = self.0.split('/');
        tokens.next();
        tokens.map(unescape)
    }

    /// The pointer to the parent, and the last token; nothing for the whole document.
    pub fn split_last(&self) -> Option<(Self, Cow<'a, str>)> {
        let (parent, token) = self.0.rsplit_once('/')?;
        Some((Self(parent), unescape(token)))
    }

    /// Whether this points into what `other` points at, and not at the same.
    pub fn is_below(&self, other: Self) -> bool {
        self.0.strip_prefix(other.0).is_some_and(|rest| rest.starts_with('/'))
    }

    /// The pointer as written.
    pub const fn as_str(&self) -> &'a str {
        self.0
    }
}

/// A text that is not a JSON Pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{kind} at byte {offset}")]
pub struct PointerError {
    kind: PointerErrorKind,
    offset: usize,
}

impl PointerError {
    /// What is wrong.
    pub const fn kind(&self) -> PointerErrorKind {
        self.kind
    }

    /// Where it is wrong.
    pub const fn offset(&self) -> usize {
        self.offset
    }
}

/// What is wrong with a pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PointerErrorKind {
    /// A `~` is followed neither by `0` nor by `1`.
    #[error("bad escape")]
    Escape,
    /// A pointer that is not empty begins with something else than a slash.
    #[error("no slash at the beginning")]
    Slash,
}

/// Appends a token with `~` and `/` escaped, as it stands in a JSON Pointer.
pub fn escape_token(token: &str, out: &mut String) {
    for char in token.chars() {
        match char {
            '~' => out.push_str("~0"),
            '/' => out.push_str("~1"),
            char => out.push(char),
        }
    }
}

/// Appends a slash and a token.
pub(crate) fn push_token(token: &str, out: &mut String) {
    out.push('/');
    escape_token(token, out);
}

/// The index that a token means in an array (RFC 6901 section 4): digits without a leading zero.
pub(crate) fn array_index(token: &str) -> Result<usize, IndexError> {
    let bytes = token.as_bytes();
    if bytes.is_empty()
        || !bytes.iter().all(u8::is_ascii_digit)
        || bytes.len() > 1 && bytes[0] == b'0'
    {
        return Err(IndexError::Syntax);
    }
    token.parse().map_err(|_| IndexError::Huge)
}

/// Why a token is no index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IndexError {
    Syntax,
    Huge,
}

fn unescape(token: &str) -> Cow<'_, str> {
    if token.contains('~') {
        Cow::Owned(token.replace("~1", "/").replace("~0", "~"))
    } else {
        Cow::Borrowed(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_unescaped_in_the_order_of_the_standard() {
        let pointer = Pointer::parse("/a~1b/m~0n/~01//").unwrap();
        assert!(pointer.tokens().eq(["a/b", "m~n", "~1", "", ""]));
        assert_eq!(Pointer::ROOT.tokens().count(), 0);
        let (parent, last) = Pointer::parse("/a/b~1c").unwrap().split_last().unwrap();
        assert_eq!((parent.as_str(), &*last), ("/a", "b/c"));
    }

    #[test]
    fn bad_syntax_is_refused_with_its_place() {
        assert_eq!(Pointer::parse("a").unwrap_err().kind(), PointerErrorKind::Slash);
        let error = Pointer::parse("/a/~2").unwrap_err();
        assert_eq!((error.kind(), error.offset()), (PointerErrorKind::Escape, 3));
        assert_eq!(Pointer::parse("/a~").unwrap_err().offset(), 2);
    }

    #[test]
    fn a_name_that_begins_alike_is_not_below() {
        let at = |text| Pointer::parse(text).unwrap();
        assert!(at("/a/b").is_below(at("/a")));
        assert!(at("/a").is_below(Pointer::ROOT));
        assert!(!at("/ab").is_below(at("/a")));
        assert!(!at("/a").is_below(at("/a")));
    }

    #[test]
    fn escaped_tokens_read_back() {
        let mut text = String::from("/");
        escape_token("~1/x~", &mut text);
        assert_eq!(text, "/~01~1x~0");
        assert!(Pointer::parse(&text).unwrap().tokens().eq(["~1/x~"]));
    }

    #[test]
    fn indices_are_plain_digits() {
        assert_eq!(array_index("0"), Ok(0));
        assert_eq!(array_index("10"), Ok(10));
        for bad in ["", "-", "-1", "+1", "01", "00", "1e0", "1 ", "१"] {
            assert_eq!(array_index(bad), Err(IndexError::Syntax), "{bad}");
        }
        assert_eq!(array_index("99999999999999999999999"), Err(IndexError::Huge));
    }
}
