use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

/// The kind of value that a point holds, by its Haystack name.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[non_exhaustive]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A date and time of day with its time zone.
    DateTime,
    /// A 64-bit floating point number, with an optional unit.
    Number,
    /// Unicode text.
    Str,
}

impl Kind {
    /// The Haystack name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bool => "Bool",
            Self::DateTime => "DateTime",
            Self::Number => "Number",
            Self::Str => "Str",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is not the name of a kind.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("unknown kind: expected Bool, DateTime, Number or Str")]
#[non_exhaustive]
pub struct UnknownKind;

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        [Self::Bool, Self::DateTime, Self::Number, Self::Str]
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or(UnknownKind)
    }
}
