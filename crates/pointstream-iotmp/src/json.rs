//! Values from and to JSON.
//!
//! Bytes, which JSON has not, are `{"_bytes": "hex"}` both ways. NaN and the infinities are the
//! texts `NaN`, `Infinity` and `-Infinity`; read back, they stay texts. What was never set is null.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::{Map, Number, Value as Json};

use crate::encode::{Encode, Encoder};
use crate::text::{hex, name_of};
use crate::value::Value;

impl Value<'_> {
    /// The value as JSON. Where a name comes twice, the last counts.
    ///
    /// Recurses as deep as the value nests, which is bounded by its decoding.
    pub fn to_json(&self) -> Json {
        match *self {
            Self::Null | Self::Unset => Json::Null,
            Self::Bool(truth) => Json::Bool(truth),
            Self::Unsigned(number) => Json::Number(number.into()),
            Self::Signed(number) => Json::Number(number.into()),
            Self::Float(number) => match Number::from_f64(number) {
                Some(number) => Json::Number(number),
                None => Json::String(name_of(number).to_string()),
            },
            Self::Text(text) => Json::String(text.to_str_lossy().into_owned()),
            Self::Bytes(bytes) => {
                let mut map = Map::new();
                map.insert(BYTES.to_string(), Json::String(hex(bytes)));
                Json::Object(map)
            }
            Self::Array(array) => array.iter().map(|item| item.to_json()).collect(),
            Self::Map(map) => Json::Object(
                map.iter()
                    .map(|(name, value)| (name.to_str_lossy().into_owned(), value.to_json()))
                    .collect(),
            ),
        }
    }
}

impl Encode for Json {
    /// A number with a point is a floating point number, one without a whole number where 64 bits
    /// hold it.
    fn encode(&self, to: &mut Encoder<'_>) {
        match self {
            Self::Null => to.null(),
            Self::Bool(truth) => to.bool(*truth),
            Self::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => to.unsigned(number),
                (_, Some(number)) => to.signed(number),
                _ => to.float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Self::String(text) => to.text(text.as_str()),
            Self::Array(items) => items.encode(to),
            Self::Object(map) => match bytes(map) {
                Some(bytes) => to.bytes(&bytes),
                None => {
                    to.map(|to| {
                        map.iter().for_each(|(name, value)| to.entry(name.as_str(), value))
                    });
                }
            },
        }
    }
}

/// The only name in an object that stands for bytes.
const BYTES: &str = "_bytes";

/// The bytes that an object stands for.
fn bytes(map: &Map<String, Json>) -> Option<Vec<u8>> {
    let digits = map.get(BYTES).filter(|_| map.len() == 1)?.as_str()?.as_bytes();
    if digits.len() % 2 != 0 {
        return None;
    }
    let digit = |&digit: &u8| char::from(digit).to_digit(16);
    let pairs = digits.chunks_exact(2);
    pairs
        .map(|pair| match pair {
            [high, low] => u8::try_from(digit(high)? << 4 | digit(low)?).ok(),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{Payload, Tree};

    #[test]
    fn json_comes_back_as_it_was() {
        let json = json!({
            "a": [null, true, 0, 1, -7, 2.5, "text"],
            "bytes": { "_bytes": "00ff7e" },
            "max": u64::MAX,
            "min": i64::MIN,
            "not bytes": [{ "_bytes": "0" }, { "_bytes": "zz" }, { "_bytes": "00", "more": 1 }],
        });
        let payload = Payload::new(&json).unwrap();
        assert_eq!(payload.value().to_json(), json);
        let Tree::Map(map) = Tree::from(payload.value()) else { panic!("a map") };
        assert_eq!(map["bytes"], Tree::Bytes([0, 0xff, 0x7e].into()));
    }

    #[test]
    fn what_json_has_no_number_for_is_text() {
        let all = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        let payload = Payload::new(&all).unwrap();
        assert_eq!(payload.value().to_json(), json!(["NaN", "Infinity", "-Infinity"]));
    }
}
