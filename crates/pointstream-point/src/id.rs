use core::borrow::Borrow;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use smol_str::SmolStr;

/// The name of a point, a topic or a connector: 1 to [`Id::LEN_MAX`] characters of
/// `A–Z a–z 0–9 _ . : ~ -`.
///
/// The alphabet is that of a Haystack Ref, so an id needs no escaping in a URL path, a JSON
/// pointer's text apart from `~`, or a metric's label. Checked once, when it is made. Up to 23
/// characters stand in place, a longer text is shared by the clones.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Id(SmolStr);

impl Id {
    /// The longest id, in characters (which are bytes here).
    pub const LEN_MAX: usize = 128;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text is not an id.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// It is empty.
    #[error("an id must not be empty")]
    Empty,
    /// It is longer than [`Id::LEN_MAX`].
    #[error("an id has at most 128 characters")]
    TooLong,
    /// It has a character outside the alphabet.
    #[error("an id has only the characters A-Z a-z 0-9 _ . : ~ -, not {0:?}")]
    Character(char),
}

impl FromStr for Id {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.is_empty() {
            return Err(IdError::Empty);
        }
        if text.len() > Self::LEN_MAX {
            return Err(IdError::TooLong);
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_.:~-".contains(c);
        match text.chars().find(|&c| !allowed(c)) {
            Some(c) => Err(IdError::Character(c)),
            None => Ok(Self(text.into())),
        }
    }
}

impl Borrow<str> for Id {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}", self.0)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = alloc::string::String::deserialize(deserializer)?;
        text.parse().map_err(|error| de::Error::custom(format_args!("{error} (in {text:?})")))
    }
}

/// A point's place in the process: its connector's shard, the slot in it, and a generation that
/// tells the slot's present owner from an earlier one.
///
/// Copied freely; a key whose generation has passed finds nothing.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_structs, reason = "three numbers, made by shards and by tests")]
pub struct PointKey {
    /// The shard: one per connector.
    pub shard: u32,
    /// The slot within the shard.
    pub slot: u32,
    /// Counts the owners of the slot.
    pub generation: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_and_the_length_are_checked() {
        assert!("ahu.supplyTemp_1:x~y-z".parse::<Id>().is_ok());
        assert_eq!("".parse::<Id>(), Err(IdError::Empty));
        assert_eq!("a b".parse::<Id>(), Err(IdError::Character(' ')));
        assert_eq!("a/b".parse::<Id>(), Err(IdError::Character('/')));
        assert_eq!("é".parse::<Id>(), Err(IdError::Character('é')));
        assert!("x".repeat(128).parse::<Id>().is_ok());
        assert_eq!("x".repeat(129).parse::<Id>(), Err(IdError::TooLong));
    }
}
