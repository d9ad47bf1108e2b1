//! PSON v1: each value has a key like a field, and a container says its size in bytes.

use super::{Around, Reader, Rules, Version, negative};
use crate::error::{DecodeError, Malformed};
use crate::value::{Array, Map, Text, Value};

pub(crate) const NULL: u8 = 0x00;
pub(crate) const POSITIVE: u8 = 0x08;
pub(crate) const NEGATIVE: u8 = 0x10;
pub(crate) const FLOAT_32: u8 = 0x1d;
pub(crate) const FLOAT_64: u8 = 0x21;
pub(crate) const TRUE: u8 = 0x28;
pub(crate) const FALSE: u8 = 0x30;
pub(crate) const ZERO: u8 = 0x38;
pub(crate) const ONE: u8 = 0x40;
pub(crate) const STRING: u8 = 0x4a;
pub(crate) const EMPTY_STRING: u8 = 0x50;
pub(crate) const BYTES: u8 = 0x5a;
pub(crate) const EMPTY_BYTES: u8 = 0x60;
pub(crate) const OBJECT: u8 = 0x6a;
pub(crate) const ARRAY: u8 = 0x72;
pub(crate) const EMPTY: u8 = 0x78;

pub(super) fn read<'a>(reader: &mut Reader<'a>, rules: &Rules) -> Result<Value<'a>, DecodeError> {
    let key = key(reader)?;
    if key != OBJECT && key != ARRAY {
        return scalar(reader, key, rules);
    }
    let size = size(reader)?;
    if rules.depth_max == 0 {
        return Err(reader.fail(Malformed::Depth));
    }
    let (start, end) = (reader.at(), reader.end());
    reader.set_end(start + size);
    walk(reader, key == OBJECT, rules)?;
    reader.set_end(end);
    let raw = reader.since(start);
    Ok(if key == OBJECT {
        Value::Map(Map::new(Version::V1, raw, 0))
    } else {
        Value::Array(Array::new(Version::V1, raw, 0))
    })
}

pub(super) fn read_key<'a>(
    reader: &mut Reader<'a>,
    rules: &Rules,
) -> Result<&'a [u8], DecodeError> {
    let len = reader.varint()?;
    reader.text(len, rules)
}

/// Checks the items up to the reader's end, of a map with their keys, without recursion.
fn walk(reader: &mut Reader<'_>, mut map: bool, rules: &Rules) -> Result<(), DecodeError> {
    let mut around = Around::new();
    loop {
        while reader.left() == 0 {
            let Some((end, outer)) = around.pop() else { return Ok(()) };
            reader.set_end(end as usize);
            map = outer;
        }
        if map {
            read_key(reader, rules)?;
        }
        let at = reader.at();
        let key = key(reader)?;
        if key != OBJECT && key != ARRAY {
            scalar(reader, key, rules)?;
            continue;
        }
        let size = size(reader)?;
        // A reader's offsets fit, by its greatest length.
        let end = u32::try_from(reader.end()).unwrap_or(u32::MAX >> 1);
        around.push(end, map, rules).ok_or_else(|| DecodeError::new(at, Malformed::Depth))?;
        reader.set_end(reader.at() + size);
        map = key == OBJECT;
    }
}

fn key(reader: &mut Reader<'_>) -> Result<u8, DecodeError> {
    let at = reader.at();
    let key = reader.varint()?;
    u8::try_from(key).map_err(|_| DecodeError::new(at, Malformed::ValueKey(key)))
}

fn size(reader: &mut Reader<'_>) -> Result<usize, DecodeError> {
    let size = reader.varint()?;
    reader.bounded(size, 1).map(|size| size as usize)
}

fn scalar<'a>(reader: &mut Reader<'a>, key: u8, rules: &Rules) -> Result<Value<'a>, DecodeError> {
    Ok(match key {
        NULL => Value::Null,
        POSITIVE => Value::Unsigned(reader.varint()?),
        NEGATIVE => {
            let magnitude = reader.varint()?;
            negative(magnitude).ok_or_else(|| reader.fail(Malformed::Magnitude))?
        }
        FLOAT_32 => Value::Float(f64::from(f32::from_le_bytes(reader.array()?))),
        FLOAT_64 => Value::Float(f64::from_le_bytes(reader.array()?)),
        TRUE | FALSE => Value::Bool(key == TRUE),
        ZERO => Value::Unsigned(0),
        ONE => Value::Unsigned(1),
        STRING => {
            let len = reader.varint()?;
            Value::Text(Text::new(reader.text(len, rules)?))
        }
        EMPTY_STRING => Value::Text(Text::new(&[])),
        BYTES => {
            let len = reader.varint()?;
            Value::Bytes(reader.take(len)?)
        }
        EMPTY_BYTES => Value::Bytes(&[]),
        EMPTY => Value::Unset,
        _ => return Err(reader.fail(Malformed::ValueKey(u64::from(key)))),
    })
}
