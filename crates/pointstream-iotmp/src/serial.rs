//! Values from and to types that serde knows.

use alloc::string::{String, ToString};
use core::fmt::{self, Display};

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{self, DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde::{Serialize, forward_to_deserialize_any, ser};

use crate::error::EncodeError;
use crate::payload::Payload;
use crate::text;
use crate::value::{Map, Text, Value};

mod tree;

/// Why a type and a value do not go together.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct SerdeError(String);

impl de::Error for SerdeError {
    fn custom<T: Display>(reason: T) -> Self {
        Self(reason.to_string())
    }
}

impl ser::Error for SerdeError {
    fn custom<T: Display>(reason: T) -> Self {
        Self(reason.to_string())
    }
}

impl From<EncodeError> for SerdeError {
    fn from(error: EncodeError) -> Self {
        Self(error.to_string())
    }
}

impl Payload {
    /// The value of anything that serde can serialize.
    ///
    /// Structures and maps become maps, sequences and tuples arrays, `()` and `None` null; a variant
    /// of an enumeration is its name, or a map of its name to what it holds.
    ///
    /// # Errors
    ///
    /// A map whose keys are neither texts, characters, numbers nor truth values; a number beyond 64
    /// bits; containers that nest deeper than [`DEPTH_MAX`](crate::DEPTH_MAX).
    pub fn of(value: &(impl Serialize + ?Sized)) -> Result<Self, SerdeError> {
        Ok(Self::new(&value.serialize(tree::TreeSerializer::new())?)?)
    }

    /// The value as anything that serde can deserialize.
    ///
    /// # Errors
    ///
    /// The value is something else than the type expects.
    pub fn to<T: DeserializeOwned>(&self) -> Result<T, SerdeError> {
        T::deserialize(self.value())
    }
}

impl Serialize for Payload {
    fn serialize<S: ser::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.value().serialize(to)
    }
}

impl Serialize for Value<'_> {
    /// Where people read it, bytes and numbers that are none are written as in JSON.
    fn serialize<S: ser::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Bytes(bytes) if to.is_human_readable() => {
                to.collect_map([("_bytes", text::hex(bytes))])
            }
            Self::Float(number) if to.is_human_readable() && !number.is_finite() => {
                to.serialize_str(text::name_of(number))
            }
            Self::Null | Self::Unset => to.serialize_unit(),
            Self::Bool(truth) => to.serialize_bool(truth),
            Self::Unsigned(number) => to.serialize_u64(number),
            Self::Signed(number) => to.serialize_i64(number),
            Self::Float(number) => to.serialize_f64(number),
            Self::Text(text) => to.serialize_str(&text.to_str_lossy()),
            Self::Bytes(bytes) => to.serialize_bytes(bytes),
            Self::Array(array) => to.collect_seq(array.iter()),
            Self::Map(map) => {
                to.collect_map(map.iter().map(|(name, value)| (name.to_str_lossy(), value)))
            }
        }
    }
}

impl<'de> IntoDeserializer<'de, SerdeError> for Value<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> IntoDeserializer<'de, SerdeError> for Key<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// The key of a map, which is text and may stand for a number or a truth value.
struct Key<'de>(Text<'de>);

macro_rules! parsed {
    ($($deserialize:ident: $visit:ident;)*) => {$(
        fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
            match self.0.as_str().and_then(|text| text.parse().ok()) {
                Some(value) => visitor.$visit(value),
                None => self.deserialize_any(visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Key<'de> {
    type Error = SerdeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
        Value::Text(self.0).deserialize_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, SerdeError> {
        Value::Text(self.0).deserialize_enum(name, variants, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, SerdeError> {
        visitor.visit_newtype_struct(self)
    }

    parsed! {
        deserialize_bool: visit_bool;
        deserialize_i8: visit_i8;
        deserialize_i16: visit_i16;
        deserialize_i32: visit_i32;
        deserialize_i64: visit_i64;
        deserialize_u8: visit_u8;
        deserialize_u16: visit_u16;
        deserialize_u32: visit_u32;
        deserialize_u64: visit_u64;
    }

    forward_to_deserialize_any! {
        f32 f64 char str string bytes byte_buf option unit unit_struct seq tuple tuple_struct map
        struct identifier ignored_any
    }
}

impl<'de> Deserializer<'de> for Value<'de> {
    type Error = SerdeError;

    fn is_human_readable(&self) -> bool {
        false
    }

    /// Recurses as deep as the value nests, which is bounded by its decoding.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
        match self {
            Value::Null | Value::Unset => visitor.visit_unit(),
            Value::Bool(truth) => visitor.visit_bool(truth),
            Value::Unsigned(number) => visitor.visit_u64(number),
            Value::Signed(number) => visitor.visit_i64(number),
            Value::Float(number) => visitor.visit_f64(number),
            Value::Text(text) => match text.as_str() {
                Some(text) => visitor.visit_borrowed_str(text),
                None => visitor.visit_string(text.to_str_lossy().into_owned()),
            },
            Value::Bytes(bytes) => visitor.visit_borrowed_bytes(bytes),
            Value::Array(array) => visitor.visit_seq(SeqDeserializer::new(array.iter())),
            Value::Map(map) => visitor.visit_map(MapDeserializer::new(keyed(map))),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
        if self.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, SerdeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, SerdeError> {
        match self {
            Value::Text(text) => match text.as_str() {
                Some(text) => visitor.visit_enum(text.into_deserializer()),
                None => Err(de::Error::unknown_variant("\u{fffd}", variants)),
            },
            Value::Map(map) if map.len() == 1 => {
                let access = MapDeserializer::new(keyed(map));
                visitor.visit_enum(de::value::MapAccessDeserializer::new(access))
            }
            _ => Err(de::Error::custom(Expected(name))),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map struct identifier ignored_any
    }
}

fn keyed<'de>(map: Map<'de>) -> impl Iterator<Item = (Key<'de>, Value<'de>)> {
    map.iter().map(|(name, value)| (Key(name), value))
}

struct Expected(&'static str);

impl Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a variant of {} is text or a map of one name", self.0)
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;

    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
    enum Mode {
        Off,
        Fixed(f64),
        Between { low: i32, high: i32 },
        Pair(u8, char),
    }

    #[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
    struct Reading {
        name: String,
        value: f64,
        count: u16,
        delta: i64,
        mode: Mode,
        note: Option<String>,
        by_room: BTreeMap<u8, bool>,
        list: Vec<(u8, Option<()>)>,
    }

    fn modes() -> impl Strategy<Value = Mode> {
        prop_oneof![
            Just(Mode::Off),
            any::<f64>().prop_map(Mode::Fixed),
            any::<(i32, i32)>().prop_map(|(low, high)| Mode::Between { low, high }),
            any::<(u8, char)>().prop_map(|(one, other)| Mode::Pair(one, other)),
        ]
    }

    proptest! {
        #[test]
        fn types_come_back_as_they_were(
            name in ".{0,40}",
            value: f64,
            count: u16,
            delta: i64,
            mode in modes(),
            note: Option<String>,
            by_room: BTreeMap<u8, bool>,
            list: Vec<(u8, Option<()>)>,
        ) {
            let list = list.into_iter().map(|(number, _)| (number, None)).collect();
            // No float with a sign on its zero comes back with it.
            let value = value + 0.0;
            let reading = Reading { name, value, count, delta, mode, note, by_room, list };
            let payload = Payload::of(&reading).unwrap();
            prop_assert_eq!(payload.to::<Reading>().unwrap(), reading);
        }
    }

    #[test]
    fn what_does_not_fit_says_why() {
        let payload = Payload::of(&[1, 2]).unwrap();
        let error = payload.to::<String>().unwrap_err();
        assert_eq!(error.to_string(), "invalid type: sequence, expected a string");
        let error = Payload::of(&u128::MAX).unwrap_err();
        assert!(error.to_string().contains("64 bits"), "{error}");
        let keyed: BTreeMap<(u8, u8), u8> = BTreeMap::from([((1, 2), 3)]);
        assert!(Payload::of(&keyed).is_err());
    }

    #[test]
    fn bytes_are_bytes() {
        let payload = Payload::new(&crate::Tree::Bytes([1, 2].into())).unwrap();
        assert_eq!(Payload::of(&payload).unwrap(), payload);
    }
}
