use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::{Address, Kind, Tags, Unit, Value};

/// A place in a device's tree: what a row of the level above says leads there. Only the driver
/// that made it reads it.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String")]
pub struct LearnPath(Box<str>);

impl LearnPath {
    /// The longest path, in bytes. A tree without an end comes to one here.
    pub const LEN_MAX: usize = 4_096;

    /// The path that this text is.
    ///
    /// # Errors
    ///
    /// An empty text, which is the root, and one that is longer than [`LEN_MAX`](Self::LEN_MAX).
    pub fn new(text: impl Into<Box<str>>) -> Result<Self, LearnPathError> {
        let text = text.into();
        match text.len() {
            0 => Err(LearnPathError::Empty),
            len if len > Self::LEN_MAX => Err(LearnPathError::TooLong { len }),
            _ => Ok(Self(text)),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for LearnPath {
    type Error = LearnPathError;

    fn try_from(text: String) -> Result<Self, LearnPathError> {
        Self::new(text)
    }
}

impl fmt::Display for LearnPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no place in a tree.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LearnPathError {
    /// It is empty.
    #[error("the path is empty; leave it out for the root")]
    Empty,
    /// It is longer than it may be.
    #[error("the path has {len} bytes, more than the {max} allowed", max = LearnPath::LEN_MAX)]
    TooLong {
        /// Its length.
        len: usize,
    },
}

/// What a driver found at one place of a device's tree: a folder, a point, or both.
///
/// A row with [`learn`](Self::learn) leads further; one with an address is a point that can be
/// added to the configuration as it stands here.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct LearnRow {
    /// The name for people.
    pub dis: Box<str>,
    /// What is below, if anything is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learn: Option<LearnPath>,
    /// The address of the current value.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "address")]
    pub cur: Option<Address>,
    /// The address to write to.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "address")]
    pub write: Option<Address>,
    /// The address of the history that the device keeps.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "address")]
    pub his: Option<Address>,
    /// The kind of the point's values, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// The unit of its numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
    /// What it held when it was looked at, where that costs nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub val: Option<Value>,
    /// Everything else that is known about it, by the names of Haystack: `enum`,
    /// `hisInterpolate`, markers.
    #[serde(skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
}

fn address<S: serde::Serializer>(
    address: &Option<Address>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    address.as_deref().serialize(serializer)
}

impl LearnRow {
    /// How many rows one place may have. What a driver finds beyond is left out.
    pub const ROWS_MAX: usize = 65_536;

    /// A row of which nothing is known but its name.
    pub fn new(dis: impl Into<Box<str>>) -> Self {
        Self { dis: dis.into(), ..Self::default() }
    }

    /// This row, leading further. A path that is none, as one that has grown too long in a tree
    /// without an end, leads nowhere.
    #[must_use]
    pub fn with_learn(mut self, path: impl Into<Box<str>>) -> Self {
        self.learn = LearnPath::new(path).ok();
        self
    }

    /// This row, a point whose current value is read at this address.
    #[must_use]
    pub fn with_cur(mut self, kind: Kind, address: impl Into<Address>) -> Self {
        (self.kind, self.cur) = (Some(kind), Some(address.into()));
        self
    }

    /// This row, a point that is written at this address.
    #[must_use]
    pub fn with_write(mut self, address: impl Into<Address>) -> Self {
        self.write = Some(address.into());
        self
    }

    /// This row, a point whose device keeps a history at this address.
    #[must_use]
    pub fn with_his(mut self, address: impl Into<Address>) -> Self {
        self.his = Some(address.into());
        self
    }

    /// This row, a point with a unit.
    #[must_use]
    pub fn with_unit(mut self, unit: Option<Unit>) -> Self {
        self.unit = unit;
        self
    }

    /// Whether it is a point.
    pub fn is_point(&self) -> bool {
        self.cur.is_some() || self.write.is_some() || self.his.is_some()
    }
}

/// What is at one place of a device's tree.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Learned {
    /// The rows, in the driver's order.
    pub rows: Vec<LearnRow>,
    /// Whether there were more than [`LearnRow::ROWS_MAX`], and the rest was left out.
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    pub cut: bool,
}

impl Learned {
    /// These rows, as many as there may be.
    pub fn of(mut rows: Vec<LearnRow>) -> Self {
        let cut = rows.len() > LearnRow::ROWS_MAX;
        rows.truncate(LearnRow::ROWS_MAX);
        Self { rows, cut }
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec;

    use super::*;

    #[test]
    fn a_path_is_bounded_at_its_limit_and_never_empty() {
        assert!(LearnPath::new("x".repeat(LearnPath::LEN_MAX)).is_ok());
        let long = LearnPath::new("x".repeat(LearnPath::LEN_MAX + 1));
        assert_eq!(long, Err(LearnPathError::TooLong { len: LearnPath::LEN_MAX + 1 }));
        assert_eq!(LearnPath::new(""), Err(LearnPathError::Empty));
        let deeper = |row: LearnRow| match row.learn {
            Some(path) => LearnRow::new("a").with_learn(format!("{path}/a")),
            None => row,
        };
        let mut row = LearnRow::new("a").with_learn("a");
        for _ in 0..LearnPath::LEN_MAX {
            row = deeper(row);
        }
        assert_eq!(row.learn, None, "an endless tree ends");
    }

    #[test]
    fn rows_beyond_the_limit_are_left_out_and_told() {
        let rows = |len| vec![LearnRow::new("a"); len];
        let at_limit = Learned::of(rows(LearnRow::ROWS_MAX));
        assert_eq!((at_limit.rows.len(), at_limit.cut), (LearnRow::ROWS_MAX, false));
        let beyond = Learned::of(rows(LearnRow::ROWS_MAX + 1));
        assert_eq!((beyond.rows.len(), beyond.cut), (LearnRow::ROWS_MAX, true));
    }

    #[test]
    fn a_row_has_what_it_has_in_json() {
        let row = LearnRow::new("Supply").with_cur(Kind::Number, "input:30001:s2").with_write("w");
        let json = r#"{"dis":"Supply","cur":"input:30001:s2","write":"w","kind":"Number"}"#;
        assert_eq!(serde_json::to_string(&row).unwrap(), json);
        let folder = LearnRow::new("AHU").with_learn("ahu");
        assert_eq!(serde_json::to_string(&folder).unwrap(), r#"{"dis":"AHU","learn":"ahu"}"#);
        assert!(row.is_point() && !folder.is_point());
    }
}
