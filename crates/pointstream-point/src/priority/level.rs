use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A level of a priority array: 1 to 16, or 17 for the default. The lower number wins.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Level(u8);

/// The number is not that of a level.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("Invalid level: {0}")]
#[non_exhaustive]
pub struct LevelError(pub i64);

impl Level {
    /// Level 1: for emergencies.
    pub const EMERGENCY: Self = Self(1);

    /// Level 8: for people.
    pub const MANUAL: Self = Self(8);

    /// Level 17: what holds when all others are released.
    pub const DEF: Self = Self(17);

    /// The level of this number, 1 to 17.
    pub fn new(number: impl Into<i64>) -> Result<Self, LevelError> {
        let number = number.into();
        let level = u8::try_from(number).ok().filter(|number| (1..=17).contains(number));
        level.map(Self).ok_or(LevelError(number))
    }

    /// Every level, the strongest first.
    pub fn all() -> impl Iterator<Item = Self> {
        (1..=17).map(Self)
    }

    /// The number, 1 to 17.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Whether its value is to be kept across restarts.
    pub const fn is_persistent(self) -> bool {
        matches!(self, Self::EMERGENCY | Self::MANUAL | Self::DEF)
    }
}

impl fmt::Display for Level {
    /// The name for people: `1 (emergency)`, `2`, `8 (manual)`, `def`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::EMERGENCY => f.write_str("1 (emergency)"),
            Self::MANUAL => f.write_str("8 (manual)"),
            Self::DEF => f.write_str("def"),
            Self(number) => write!(f, "{number}"),
        }
    }
}

impl Serialize for Level {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.0)
    }
}

impl<'de> Deserialize<'de> for Level {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        i64::deserialize(deserializer)
            .and_then(|number| Self::new(number).map_err(de::Error::custom))
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn levels_are_1_to_17() {
        for number in 1..=17 {
            assert_eq!(Level::new(number).map(Level::number), Ok(number as u8));
        }
        for number in [0, 18, -1, 256 + 8, i64::MAX] {
            let error = Level::new(number).unwrap_err();
            assert_eq!(error.to_string(), alloc::format!("Invalid level: {number}"));
        }
        assert_eq!(serde_json::from_str::<Level>("8").ok(), Some(Level::MANUAL));
        let error = serde_json::from_str::<Level>("99").unwrap_err();
        assert!(error.to_string().starts_with("Invalid level: 99"), "{error}");
    }

    #[test]
    fn some_levels_have_a_name() {
        let names: alloc::vec::Vec<_> = Level::all().map(|level| level.to_string()).collect();
        assert_eq!((&*names[0], &*names[1]), ("1 (emergency)", "2"));
        assert_eq!((&*names[7], &*names[15], &*names[16]), ("8 (manual)", "16", "def"));
    }
}
