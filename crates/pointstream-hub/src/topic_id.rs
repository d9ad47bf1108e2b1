use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The name of a topic: 1 to [`TopicId::LEN_MAX`] characters of `A–Z a–z 0–9 _ . : ~ -`, so that it
/// stands in a URL path and a metric's label without escapes.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TopicId(Arc<str>);

impl TopicId {
    /// The longest id, in characters (which are bytes here).
    pub const LEN_MAX: usize = 128;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text is not a topic's id.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TopicIdError {
    /// It is empty.
    #[error("a topic's id must not be empty")]
    Empty,
    /// It is longer than [`TopicId::LEN_MAX`].
    #[error("a topic's id has at most 128 characters")]
    TooLong,
    /// It has a character outside the alphabet.
    #[error("a topic's id has only the characters A-Z a-z 0-9 _ . : ~ -, not {0:?}")]
    Character(char),
}

impl FromStr for TopicId {
    type Err = TopicIdError;

    fn from_str(text: &str) -> Result<Self, TopicIdError> {
        if text.is_empty() {
            return Err(TopicIdError::Empty);
        }
        if text.len() > Self::LEN_MAX {
            return Err(TopicIdError::TooLong);
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_.:~-".contains(c);
        match text.chars().find(|&c| !allowed(c)) {
            Some(c) => Err(TopicIdError::Character(c)),
            None => Ok(Self(text.into())),
        }
    }
}

impl Borrow<str> for TopicId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "topic {}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_and_the_length_are_checked() {
        assert!("plant.A_1:x~y-z".parse::<TopicId>().is_ok());
        assert_eq!("".parse::<TopicId>(), Err(TopicIdError::Empty));
        assert_eq!("a/b".parse::<TopicId>(), Err(TopicIdError::Character('/')));
        assert_eq!("a\nb".parse::<TopicId>(), Err(TopicIdError::Character('\n')));
        assert!("x".repeat(TopicId::LEN_MAX).parse::<TopicId>().is_ok());
        assert_eq!("x".repeat(TopicId::LEN_MAX + 1).parse::<TopicId>(), Err(TopicIdError::TooLong));
    }
}
