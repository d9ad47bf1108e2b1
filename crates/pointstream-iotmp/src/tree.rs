use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::encode::{Encode, Encoder};
use crate::value::Value;

/// A value that owns what it holds, to be built and compared.
///
/// The names of a map are sorted, as the reference encoder sorts them. Text that is not UTF-8 has
/// replacement characters.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "these are the types of PSON")]
pub enum Tree {
    /// Nothing.
    #[default]
    Null,
    /// Never set. Only PSON v1 tells it from nothing.
    Unset,
    /// True or false.
    Bool(bool),
    /// A number that is not negative.
    Unsigned(u64),
    /// A number that is negative.
    Signed(i64),
    /// A floating point number.
    Float(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Values in order.
    Array(Vec<Self>),
    /// Values by name.
    Map(BTreeMap<String, Self>),
}

impl From<Value<'_>> for Tree {
    /// Recurses as deep as the value nests, which is bounded by its decoding.
    fn from(value: Value<'_>) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Unset => Self::Unset,
            Value::Bool(truth) => Self::Bool(truth),
            Value::Unsigned(number) => Self::Unsigned(number),
            Value::Signed(number) => Self::Signed(number),
            Value::Float(number) => Self::Float(number),
            Value::Text(text) => Self::Text(text.to_str_lossy().into_owned()),
            Value::Bytes(bytes) => Self::Bytes(bytes.to_owned()),
            Value::Array(array) => Self::Array(array.iter().map(Self::from).collect()),
            Value::Map(map) => Self::Map(
                map.iter()
                    .map(|(name, value)| (name.to_str_lossy().into(), value.into()))
                    .collect(),
            ),
        }
    }
}

impl From<&str> for Tree {
    fn from(text: &str) -> Self {
        Self::Text(text.to_string())
    }
}

impl From<bool> for Tree {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<u64> for Tree {
    fn from(number: u64) -> Self {
        Self::Unsigned(number)
    }
}

impl From<f64> for Tree {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl<const N: usize> From<[Self; N]> for Tree {
    fn from(items: [Self; N]) -> Self {
        Self::Array(items.into())
    }
}

impl<const N: usize> From<[(&str, Self); N]> for Tree {
    fn from(entries: [(&str, Self); N]) -> Self {
        Self::Map(entries.into_iter().map(|(name, value)| (name.to_string(), value)).collect())
    }
}

impl Encode for Tree {
    fn encode(&self, to: &mut Encoder<'_>) {
        match self {
            Self::Null => to.null(),
            Self::Unset => to.unset(),
            Self::Bool(truth) => to.bool(*truth),
            Self::Unsigned(number) => to.unsigned(*number),
            Self::Signed(number) => to.signed(*number),
            Self::Float(number) => to.float(*number),
            Self::Text(text) => to.text(text.as_str()),
            Self::Bytes(bytes) => to.bytes(bytes),
            Self::Array(items) => items.encode(to),
            Self::Map(map) => {
                to.map(|to| map.iter().for_each(|(name, value)| to.entry(name.as_str(), value)));
            }
        }
    }
}
