//! Values by their data types.

use super::datatype::DataType;
use super::payload::{DataSet, Metric, PropertySet, Raw, Template};

/// A value as its data type means it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Of the signed integers.
    Int(i64),
    /// Of the unsigned integers.
    UInt(u64),
    /// Of `Float` and `Double`.
    Float(f64),
    /// Of `Boolean`.
    Bool(bool),
    /// Of `String`, `Text` and `UUID`.
    Str(Box<str>),
    /// Of `DateTime`: milliseconds since 1970 UTC.
    Time(u64),
    /// Of `Bytes` and `File`.
    Bytes(Box<[u8]>),
    /// Of `DataSet`.
    DataSet(Box<DataSet>),
    /// Of `Template`.
    Template(Box<Template>),
    /// Of `PropertySet`.
    Set(Box<PropertySet>),
    /// Of `PropertySetList`.
    Sets(Vec<PropertySet>),
    /// Of an array; the elements are all of one kind.
    Array(Vec<Self>),
}

/// Why a value is not one of a data type.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// The data type is unknown.
    #[error("no data type has the code {0}")]
    Unknown(u32),
    /// The value stands in the field of other types, or is of another kind.
    #[error("the value is none of {0:?}")]
    Mismatch(DataType),
    /// A number that the type does not hold.
    #[error("the number does not fit {0:?}")]
    Range(DataType),
    /// The bytes of an array are not a whole number of its elements.
    #[error("the bytes are not those of {0:?}")]
    Array(DataType),
}

impl Value {
    /// What a value on the wire means by a data type.
    ///
    /// # Errors
    ///
    /// See [`ValueError`].
    pub fn decode(data_type: DataType, raw: &Raw) -> Result<Self, ValueError> {
        if let Some((bits, signed)) = data_type.integer() {
            return decode_integer(data_type, bits, signed, raw);
        }
        if let Some(element) = data_type.element() {
            let Raw::Bytes(bytes) = raw else { return Err(ValueError::Mismatch(data_type)) };
            let array = decode_array(element, bytes).ok_or(ValueError::Array(data_type))?;
            return Ok(Self::Array(array));
        }
        Ok(match (data_type, raw) {
            (DataType::Float | DataType::Double, Raw::Float(value)) => Self::Float((*value).into()),
            (DataType::Float, Raw::Double(value)) => Self::Float((*value as f32).into()),
            (DataType::Double, Raw::Double(value)) => Self::Float(*value),
            (DataType::Boolean, Raw::Bool(value)) => Self::Bool(*value),
            (DataType::String | DataType::Text | DataType::Uuid, Raw::Str(text)) => {
                Self::Str(text.clone())
            }
            (DataType::DateTime, Raw::Long(millis)) => Self::Time(*millis),
            (DataType::Bytes | DataType::File, Raw::Bytes(bytes)) => Self::Bytes(bytes.clone()),
            (DataType::DataSet, Raw::DataSet(set)) => Self::DataSet(set.clone()),
            (DataType::Template, Raw::Template(template)) => Self::Template(template.clone()),
            (DataType::PropertySet, Raw::Set(set)) => Self::Set(set.clone()),
            (DataType::PropertySetList, Raw::Sets(sets)) => Self::Sets(sets.clone()),
            _ => return Err(ValueError::Mismatch(data_type)),
        })
    }

    /// How the value stands on the wire as one of a data type.
    ///
    /// # Errors
    ///
    /// It is of another kind, or its number does not fit. A text within an array has no NUL.
    pub fn encode(&self, data_type: DataType) -> Result<Raw, ValueError> {
        if let Some((bits, signed)) = data_type.integer() {
            let value = self.integer(data_type, bits, signed)?;
            return Ok(if bits <= 32 { Raw::Int(value as u32) } else { Raw::Long(value) });
        }
        if let Some(element) = data_type.element() {
            let Self::Array(values) = self else { return Err(ValueError::Mismatch(data_type)) };
            return encode_array(data_type, element, values).map(|bytes| Raw::Bytes(bytes.into()));
        }
        Ok(match (data_type, self) {
            (DataType::Float, Self::Float(value)) => Raw::Float(to_f32(*value)?),
            (DataType::Double, Self::Float(value)) => Raw::Double(*value),
            (DataType::Boolean, Self::Bool(value)) => Raw::Bool(*value),
            (DataType::String | DataType::Text | DataType::Uuid, Self::Str(text)) => {
                Raw::Str(text.clone())
            }
            (DataType::DateTime, Self::Time(millis)) => Raw::Long(*millis),
            (DataType::Bytes | DataType::File, Self::Bytes(bytes)) => Raw::Bytes(bytes.clone()),
            (DataType::DataSet, Self::DataSet(set)) => Raw::DataSet(set.clone()),
            (DataType::Template, Self::Template(template)) => Raw::Template(template.clone()),
            (DataType::PropertySet, Self::Set(set)) => Raw::Set(set.clone()),
            (DataType::PropertySetList, Self::Sets(sets)) => Raw::Sets(sets.clone()),
            _ => return Err(ValueError::Mismatch(data_type)),
        })
    }

    /// The bits of an integer of this type, within so many bits.
    fn integer(&self, data_type: DataType, bits: u32, signed: bool) -> Result<u64, ValueError> {
        let value = match *self {
            Self::Int(value) => i128::from(value),
            Self::UInt(value) => i128::from(value),
            _ => return Err(ValueError::Mismatch(data_type)),
        };
        let (min, max) = match signed {
            true => (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1),
            false => (0, (1i128 << bits) - 1),
        };
        if value < min || value > max {
            return Err(ValueError::Range(data_type));
        }
        Ok(value as u64 & (u64::MAX >> (64 - bits)))
    }
}

impl Metric {
    /// A metric with a name and a value of a data type; without a value it is null.
    ///
    /// # Errors
    ///
    /// The value is none of the type.
    pub fn new(name: &str, data_type: DataType, value: Option<&Value>) -> Result<Self, ValueError> {
        let raw = value.map(|value| value.encode(data_type)).transpose()?;
        Ok(Self {
            name: Some(name.into()),
            datatype: Some(data_type.code()),
            is_null: raw.is_none(),
            value: raw,
            ..Self::default()
        })
    }

    /// Its value by its own data type, or by the one that its birth said; none where it is null.
    ///
    /// # Errors
    ///
    /// The type is unknown, or the value is none of it.
    pub fn typed(&self, born: Option<DataType>) -> Result<Option<Value>, ValueError> {
        let Some(raw) = self.value.as_ref().filter(|_| !self.is_null) else { return Ok(None) };
        let code = self.datatype.filter(|&code| code != 0);
        let own = code.map(|code| DataType::of_code(code).ok_or(ValueError::Unknown(code)));
        let data_type = own.transpose()?.or(born).ok_or(ValueError::Unknown(0))?;
        Value::decode(data_type, raw).map(Some)
    }
}

/// Negative numbers of fewer bits come filled with zeros or with their sign; both are understood.
fn decode_integer(
    data_type: DataType,
    bits: u32,
    signed: bool,
    raw: &Raw,
) -> Result<Value, ValueError> {
    let (value, width) = match *raw {
        Raw::Int(value) => (u64::from(value), 32),
        Raw::Long(value) => (value, 64),
        _ => return Err(ValueError::Mismatch(data_type)),
    };
    let unused = 64 - bits;
    if !signed {
        let fits = value <= u64::MAX >> unused;
        return if fits { Ok(Value::UInt(value)) } else { Err(ValueError::Range(data_type)) };
    }
    let extended = (value << unused) as i64 >> unused;
    let as_sent = extended as u64 & (u64::MAX >> (64 - width));
    if value <= u64::MAX >> unused || value == as_sent {
        Ok(Value::Int(extended))
    } else {
        Err(ValueError::Range(data_type))
    }
}

/// A number of 32 bits; one that is finite stays finite.
fn to_f32(value: f64) -> Result<f32, ValueError> {
    let narrow = value as f32;
    if value.is_finite() && narrow.is_infinite() {
        return Err(ValueError::Range(DataType::Float));
    }
    Ok(narrow)
}

fn decode_array(element: DataType, bytes: &[u8]) -> Option<Vec<Value>> {
    match element {
        DataType::Boolean => decode_bools(bytes),
        DataType::String => {
            let text = core::str::from_utf8(bytes).ok()?;
            // Each text ends with a NUL; the last one may lack it.
            let texts = text.strip_suffix('\0').unwrap_or(text);
            if text.is_empty() {
                return Some(Vec::new());
            }
            Some(texts.split('\0').map(|text| Value::Str(text.into())).collect())
        }
        _ => {
            let width = width_of(element)?;
            let chunks = bytes.chunks_exact(width);
            if !chunks.remainder().is_empty() {
                return None;
            }
            Some(chunks.map(|chunk| decode_element(element, chunk)).collect())
        }
    }
}

/// A count of 4 bytes, the low one first, then a bit for each value, the high one first.
fn decode_bools(bytes: &[u8]) -> Option<Vec<Value>> {
    let (count, bits) = bytes.split_first_chunk()?;
    let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
    let bits = bits.get(..count.div_ceil(8))?;
    let bit = |at: usize| bits.get(at / 8).is_some_and(|byte| byte & (0x80 >> (at % 8)) != 0);
    Some((0..count).map(|at| Value::Bool(bit(at))).collect())
}

fn width_of(element: DataType) -> Option<usize> {
    match element.integer() {
        Some((bits, _)) => usize::try_from(bits / 8).ok(),
        None if element == DataType::Float => Some(4),
        None => Some(8),
    }
}

/// The low byte comes first.
fn decode_element(element: DataType, bytes: &[u8]) -> Value {
    let value = bytes.iter().rev().fold(0u64, |value, &byte| value << 8 | u64::from(byte));
    match element {
        DataType::Float => Value::Float(f32::from_bits(value as u32).into()),
        DataType::Double => Value::Float(f64::from_bits(value)),
        DataType::DateTime => Value::Time(value),
        _ => match element.integer() {
            Some((bits, true)) => Value::Int((value << (64 - bits)) as i64 >> (64 - bits)),
            _ => Value::UInt(value),
        },
    }
}

fn encode_array(
    data_type: DataType,
    element: DataType,
    values: &[Value],
) -> Result<Vec<u8>, ValueError> {
    let mut bytes = Vec::new();
    if element == DataType::Boolean {
        let count = u32::try_from(values.len()).map_err(|_| ValueError::Array(data_type))?;
        bytes.extend(count.to_le_bytes());
        bytes.resize(4 + values.len().div_ceil(8), 0);
    }
    for (at, value) in values.iter().enumerate() {
        match (element, value) {
            (DataType::Boolean, Value::Bool(value)) => {
                if let Some(byte) = bytes.get_mut(4 + at / 8) {
                    *byte |= u8::from(*value) << (7 - at % 8);
                }
            }
            (DataType::String, Value::Str(text)) if !text.contains('\0') => {
                bytes.extend_from_slice(text.as_bytes());
                bytes.push(0);
            }
            (DataType::Boolean | DataType::String, _) => {
                return Err(ValueError::Array(data_type));
            }
            _ => encode_element(element, value, &mut bytes)?,
        }
    }
    Ok(bytes)
}

fn encode_element(element: DataType, value: &Value, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let width = width_of(element).unwrap_or_default();
    let bits = match value.encode(element)? {
        Raw::Int(value) => u64::from(value),
        Raw::Long(value) => value,
        Raw::Float(value) => u64::from(value.to_bits()),
        Raw::Double(value) => value.to_bits(),
        _ => return Err(ValueError::Mismatch(element)),
    };
    out.extend(bits.to_le_bytes().into_iter().take(width));
    Ok(())
}
