use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::fmt;

use jiff::Timestamp;
use jiff::tz::Offset;
use serde::de::{self, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::convert::number;
use crate::{Kind, Str, Unit};

/// A point's value.
///
/// In JSON it is a bare value where JSON has one, and Hayson (Haystack's JSON form) where it has
/// none: `{"_kind":"number","val":"NaN"}`, `{"_kind":"dateTime",…}`, `{"_kind":"na"}`. A number's
/// unit is not part of its JSON form, since it stands beside it in every document of pointstream;
/// a Hayson number with a `unit` is understood when read.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// No value.
    #[default]
    Null,
    /// Not available: a value is missing on purpose.
    Na,
    /// `true` or `false`.
    Bool(bool),
    /// A number with an optional unit.
    Number(f64, Option<Unit>),
    /// Unicode text.
    Str(Str),
    /// A date and time of day in a time zone.
    DateTime(Arc<DateTime>),
}

/// An instant with the offset and the name of the time zone in which it is written.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DateTime {
    /// The instant.
    pub at: Timestamp,
    /// The offset from UTC at that instant.
    pub offset: Offset,
    /// The Haystack time zone name: a city of the tz database, or `UTC`.
    pub tz: Arc<str>,
}

impl DateTime {
    /// An instant in UTC.
    pub fn utc(at: Timestamp) -> Self {
        Self { at, offset: Offset::UTC, tz: "UTC".into() }
    }

    /// The RFC 3339 text and the zone's name of a Hayson date-time.
    pub fn parse(text: &str, tz: &str) -> Result<Self, jiff::Error> {
        let pieces = jiff::fmt::temporal::DateTimeParser::new().parse_pieces(text)?;
        let offset = pieces.to_numeric_offset().unwrap_or(Offset::UTC);
        Ok(Self { at: text.parse()?, offset, tz: tz.into() })
    }
}

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.at.display_with_offset(self.offset))
    }
}

impl Value {
    /// A number without a unit.
    pub const fn number(number: f64) -> Self {
        Self::Number(number, None)
    }

    /// Text.
    pub fn str(text: impl Into<Str>) -> Self {
        Self::Str(text.into())
    }

    /// The kind of point that this is a value of; `None` for null and NA.
    pub const fn kind(&self) -> Option<Kind> {
        match self {
            Self::Null | Self::Na => None,
            Self::Bool(_) => Some(Kind::Bool),
            Self::Number(..) => Some(Kind::Number),
            Self::Str(_) => Some(Kind::Str),
            Self::DateTime(_) => Some(Kind::DateTime),
        }
    }

    /// The name of the kind, with `Null` and `NA` for those that have none.
    pub const fn kind_name(&self) -> &'static str {
        match self {
            Self::Null => "Null",
            Self::Na => "NA",
            Self::Bool(_) => "Bool",
            Self::Number(..) => "Number",
            Self::Str(_) => "Str",
            Self::DateTime(_) => "DateTime",
        }
    }

    /// Whether this is the same value for someone who looks at it: two NaN are the same, so that a
    /// sensor that goes on reading NaN is not a change at each poll.
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Number(a, unit_a), Self::Number(b, unit_b)) => {
                unit_a == unit_b && (a == b || (a.is_nan() && b.is_nan()))
            }
            _ => self == other,
        }
    }
}

impl fmt::Display for Value {
    /// As Haystack shows it: `null`, `NA`, `true`, `1.23ft`, the text itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Na => f.write_str("NA"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(number, unit) => number::write(f, *number, *unit),
            Self::Str(text) => f.write_str(text),
            Self::DateTime(value) => write!(f, "{value} {}", value.tz),
        }
    }
}

/// The integers that a 64-bit float holds exactly.
const SAFE_INTEGER: f64 = 9_007_199_254_740_992.0;

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Str(text) => serializer.serialize_str(text),
            Self::Number(number, _) if number.is_finite() => {
                // Truncation loses nothing: only integers in the exact range come here.
                #[expect(clippy::cast_possible_truncation, reason = "checked by the guard")]
                if number.abs() <= SAFE_INTEGER && *number as i64 as f64 == *number {
                    return serializer.serialize_i64(*number as i64);
                }
                serializer.serialize_f64(*number)
            }
            Self::Number(number, unit) => {
                let mut map = serializer.serialize_map(None)?;
                map.serialize_entry("_kind", "number")?;
                let text = match number {
                    n if n.is_nan() => "NaN",
                    n if *n > 0.0 => "INF",
                    _ => "-INF",
                };
                map.serialize_entry("val", text)?;
                if let Some(unit) = unit {
                    map.serialize_entry("unit", unit)?;
                }
                map.end()
            }
            Self::Na => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("_kind", "na")?;
                map.end()
            }
            Self::DateTime(value) => {
                let mut map = serializer.serialize_map(Some(3))?;
                map.serialize_entry("_kind", "dateTime")?;
                map.serialize_entry("val", &value.to_string())?;
                map.serialize_entry("tz", &*value.tz)?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(HaysonVisitor)
    }
}

struct HaysonVisitor;

impl<'de> Visitor<'de> for HaysonVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("null, true, false, a number, a string, or a Hayson number, dateTime or na")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::number(value as f64))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::number(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::str(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = HaysonFields::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "_kind" => fields.kind = Some(map.next_value()?),
                "val" => fields.val = Some(map.next_value()?),
                "unit" => fields.unit = map.next_value()?,
                "tz" => fields.tz = Some(map.next_value()?),
                _ => return Err(de::Error::unknown_field(&key, &["_kind", "val", "unit", "tz"])),
            }
        }
        fields.value()
    }
}

#[derive(Default)]
struct HaysonFields {
    kind: Option<String>,
    val: Option<Scalar>,
    unit: Option<Unit>,
    tz: Option<String>,
}

/// What may stand under `val`: flat, so that no input nests.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Number(f64),
    Text(String),
}

impl HaysonFields {
    fn value<E: de::Error>(self) -> Result<Value, E> {
        match (self.kind.as_deref(), self.val) {
            (Some("na"), None) => Ok(Value::Na),
            (Some("number"), Some(Scalar::Number(number))) => Ok(Value::Number(number, self.unit)),
            (Some("number"), Some(Scalar::Text(text))) => match text.as_str() {
                "NaN" => Ok(Value::Number(f64::NAN, self.unit)),
                "INF" => Ok(Value::Number(f64::INFINITY, self.unit)),
                "-INF" => Ok(Value::Number(f64::NEG_INFINITY, self.unit)),
                _ => Err(E::custom(
                    "a Hayson number's val is a number, \"NaN\", \"INF\" or \"-INF\"",
                )),
            },
            (Some("dateTime"), Some(Scalar::Text(text))) => {
                DateTime::parse(&text, self.tz.as_deref().unwrap_or("UTC"))
                    .map(|value| Value::DateTime(Arc::new(value)))
                    .map_err(E::custom)
            }
            _ => Err(E::custom("expected a Hayson number, dateTime or na")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: Value, json: &str) {
        assert_eq!(serde_json::to_string(&value).unwrap(), json);
        let back: Value = serde_json::from_str(json).unwrap();
        assert!(back.same(&value), "{json} came back as {back:?}");
    }

    #[test]
    fn values_are_bare_json_or_hayson() {
        check(Value::Null, "null");
        check(Value::Bool(true), "true");
        check(Value::number(21.0), "21");
        check(Value::number(-0.5), "-0.5");
        check(Value::number(1e300), "1e+300");
        check(Value::str("a\"b"), r#""a\"b""#);
        check(Value::Na, r#"{"_kind":"na"}"#);
        check(Value::number(f64::INFINITY), r#"{"_kind":"number","val":"INF"}"#);
        check(Value::number(f64::NEG_INFINITY), r#"{"_kind":"number","val":"-INF"}"#);
        let celsius = Unit::parse("°C").ok();
        check(Value::Number(f64::NAN, celsius), r#"{"_kind":"number","val":"NaN","unit":"°C"}"#);
    }

    #[test]
    fn date_times_keep_their_zone() {
        let json = r#"{"_kind":"dateTime","val":"2026-11-22T15:07:56-05:00","tz":"New_York"}"#;
        let value: Value = serde_json::from_str(json).unwrap();
        check(value, json);
    }

    #[test]
    fn what_is_not_a_value_is_refused() {
        for json in [
            "[]",
            "{}",
            r#"{"_kind":"ref","val":"a"}"#,
            r#"{"_kind":"number","val":"12"}"#,
            r#"{"_kind":"number","val":1,"unit":"furlong_per_fortnight"}"#,
            r#"{"_kind":"dateTime","val":"yesterday"}"#,
            r#"{"_kind":"na","more":1}"#,
        ] {
            assert!(serde_json::from_str::<Value>(json).is_err(), "{json} was taken");
        }
    }

    #[test]
    fn a_value_is_small() {
        assert!(size_of::<Value>() <= 16);
    }
}
