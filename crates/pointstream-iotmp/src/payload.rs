use alloc::vec::Vec;
use core::fmt;

use crate::encode::{Encode, Encoder};
use crate::error::EncodeError;
use crate::pson::{Rules, Version, v2};
use crate::value::Value;

/// A value that owns its bytes, the same for whoever sent it: PSON v2.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct Payload {
    /// One whole value, checked.
    bytes: Vec<u8>,
}

impl Payload {
    /// What `value` writes.
    ///
    /// # Errors
    ///
    /// Too deep, or not exactly one value.
    pub fn new(value: &(impl Encode + ?Sized)) -> Result<Self, EncodeError> {
        let mut bytes = Vec::new();
        Version::V2.encode(value, &mut bytes)?;
        Ok(Self { bytes })
    }

    /// The value.
    pub fn value(&self) -> Value<'_> {
        // What was written or checked once is read again.
        Value::decode(Version::V2, &self.bytes, &Rules::DEFAULT)
            .map_or(Value::Null, |(value, _)| value)
    }

    /// Its bytes, in PSON v2.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl From<Value<'_>> for Payload {
    fn from(value: Value<'_>) -> Self {
        // What stands in PSON v2 already was checked and is copied.
        let contents = match value {
            Value::Map(map) => Some((v2::MAP, map.contents())),
            Value::Array(array) => Some((v2::ARRAY, array.contents())),
            _ => None,
        };
        match contents {
            Some((kind, contents)) if contents.version == Version::V2 => {
                Self { bytes: v2::copied(kind, &contents) }
            }
            // A value that was decoded nests no deeper than one that may be written.
            _ => Self::new(&value).unwrap_or_default(),
        }
    }
}

impl Default for Payload {
    /// Null.
    fn default() -> Self {
        Self { bytes: alloc::vec![0x62] }
    }
}

impl Encode for Payload {
    fn encode(&self, to: &mut Encoder<'_>) {
        self.value().encode(to);
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.value(), f)
    }
}
