use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use pointstream_point::{Kind, Value as PointValue, duration};

use crate::value::Value;
use crate::{Payload, Tree};

/// Where a point's value is: a resource, what in its value, and how often it is streamed.
///
/// `temperature` is the whole value of a resource; `weather#/celsius` a member of it, by the names on
/// the way; `temperature@5s` is streamed every five seconds, `door@0s` whenever the device has
/// something to tell, and without either as the connector says.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Address {
    /// The path of the resource.
    pub resource: Box<str>,
    /// The names and places on the way into its value.
    pub pointer: Vec<String>,
    /// How often it is streamed, where that is said; zero for whenever the device has something to
    /// tell.
    pub interval: Option<Duration>,
}

/// Why a text is no address.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// It names no resource.
    #[error("an address begins with the name of a resource")]
    Resource,
    /// What is behind `#` is no pointer.
    #[error("behind # stands a pointer such as /celsius")]
    Pointer,
    /// What is behind `@` is no interval.
    #[error("behind @ stands an interval such as 5s, or 0s for events")]
    Interval,
    /// It is too long or leads too deep.
    #[error("an address has at most 1024 bytes and 32 names behind #")]
    Long,
}

const LEN_MAX: usize = 1024;
const POINTER_MAX: usize = 31;

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.len() > LEN_MAX {
            return Err(AddressError::Long);
        }
        let (rest, interval) = match text.rsplit_once('@') {
            None => (text, None),
            Some((rest, interval)) => {
                let interval = duration::parse(interval).map_err(|_| AddressError::Interval)?;
                let short = !interval.is_zero() && interval.as_millis() == 0;
                if short {
                    return Err(AddressError::Interval);
                }
                (rest, Some(interval))
            }
        };
        let (resource, pointer) = match rest.split_once('#') {
            None => (rest, Vec::new()),
            Some((resource, pointer)) => {
                let names = pointer.strip_prefix('/').ok_or(AddressError::Pointer)?;
                // As in a JSON Pointer (RFC 6901).
                let name = |name: &str| name.replace("~1", "/").replace("~0", "~");
                (resource, names.split('/').map(name).collect())
            }
        };
        if pointer.len() > POINTER_MAX {
            return Err(AddressError::Long);
        }
        if resource.is_empty() || resource.starts_with('/') || resource.ends_with('/') {
            return Err(AddressError::Resource);
        }
        Ok(Self { resource: resource.into(), pointer, interval })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.resource)?;
        if !self.pointer.is_empty() {
            f.write_str("#")?;
        }
        for name in &self.pointer {
            write!(f, "/{}", name.replace('~', "~0").replace('/', "~1"))?;
        }
        match self.interval {
            Some(interval) => write!(f, "@{}ms", interval.as_millis()),
            None => Ok(()),
        }
    }
}

impl Address {
    /// What a resource's value holds at this address, as a value of a point of this kind, or of any.
    ///
    /// # Errors
    ///
    /// There is nothing, or something of another kind, as a text.
    pub fn extract(&self, payload: &Payload, kind: Option<Kind>) -> Result<PointValue, String> {
        let mut value = payload.value();
        for name in &self.pointer {
            let next = match value {
                Value::Map(map) => map.get(name),
                Value::Array(array) => name.parse().ok().and_then(|at: usize| array.iter().nth(at)),
                _ => None,
            };
            value = next.ok_or_else(|| alloc::format!("the value has no {name:?}"))?;
        }
        let value = point_value(value)?;
        match (kind, value.kind()) {
            (Some(wanted), Some(is)) if wanted != is => {
                Err(alloc::format!("a {} where a {wanted} is expected", value.kind_name()))
            }
            _ => Ok(value),
        }
    }

    /// A point's value as what is written to the resource: inside maps of the names on the way.
    pub(crate) fn payload(&self, value: &PointValue) -> Result<Payload, String> {
        let scalar = match value {
            PointValue::Bool(truth) => Tree::Bool(*truth),
            PointValue::Number(number, _) => Tree::Float(*number),
            PointValue::Str(text) => Tree::Text(text.to_string()),
            other => return Err(alloc::format!("a {} cannot be written", other.kind_name())),
        };
        // A whole number is written as one by the codec.
        let tree = self
            .pointer
            .iter()
            .rev()
            .fold(scalar, |inner, name| Tree::from([(name.as_str(), inner)]));
        Payload::new(&tree).map_err(|error| error.to_string())
    }
}

/// A value of the wire as one of a point.
pub(crate) fn point_value(value: Value<'_>) -> Result<PointValue, String> {
    Ok(match value {
        Value::Null | Value::Unset => PointValue::Null,
        Value::Bool(truth) => PointValue::Bool(truth),
        Value::Unsigned(number) => PointValue::number(number as f64),
        Value::Signed(number) => PointValue::number(number as f64),
        Value::Float(number) => PointValue::number(number),
        Value::Text(text) => PointValue::str(text.to_str_lossy().into_owned().as_str()),
        Value::Bytes(_) => return Err(String::from("bytes are no value of a point")),
        Value::Array(_) | Value::Map(_) => {
            return Err(String::from("the value has parts: say which behind #, as in #/celsius"));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for (text, resource, pointer, interval) in [
            ("temperature", "temperature", &[][..], None),
            ("a/b", "a/b", &[], None),
            ("weather#/celsius", "weather", &["celsius"], None),
            ("w#/a~1b/0@500ms", "w", &["a/b", "0"], Some(500)),
            ("door@0ms", "door", &[], Some(0)),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(&*address.resource, resource);
            assert_eq!(address.pointer, pointer);
            assert_eq!(address.interval, interval.map(Duration::from_millis));
            assert_eq!(address.to_string(), text);
        }
        for (text, error) in [
            ("", AddressError::Resource),
            ("/a", AddressError::Resource),
            ("#/a", AddressError::Resource),
            ("a#b", AddressError::Pointer),
            ("a@", AddressError::Interval),
            ("a@fast", AddressError::Interval),
        ] {
            assert_eq!(text.parse::<Address>(), Err(error), "{text}");
        }
        assert_eq!("a".repeat(1025).parse::<Address>(), Err(AddressError::Long));
        let deep = alloc::format!("a#{}", "/a".repeat(32));
        assert_eq!(deep.parse::<Address>(), Err(AddressError::Long));
    }

    #[test]
    fn values_are_taken_out_and_put_in() {
        let tree = Tree::from([
            ("t", Tree::from([Tree::Float(1.5), Tree::Bool(true)])),
            ("name", "x".into()),
        ]);
        let payload = Payload::new(&tree).unwrap();
        let read = |text: &str, kind| text.parse::<Address>().unwrap().extract(&payload, kind);
        assert_eq!(read("r#/t/0", Some(Kind::Number)), Ok(PointValue::number(1.5)));
        assert_eq!(read("r#/t/1", None), Ok(PointValue::Bool(true)));
        assert_eq!(read("r#/name", Some(Kind::Str)), Ok(PointValue::str("x")));
        assert!(read("r#/t/1", Some(Kind::Number)).is_err());
        assert!(read("r#/t/2", None).is_err() && read("r#/none", None).is_err());
        assert!(read("r", None).is_err());
        let address: Address = "r#/a/b".parse().unwrap();
        let written = address.payload(&PointValue::number(5.0)).unwrap();
        let expected = Tree::from([("a", Tree::from([("b", Tree::Unsigned(5))]))]);
        assert_eq!(Tree::from(written.value()), expected);
        assert!(address.payload(&PointValue::Na).is_err());
    }
}
