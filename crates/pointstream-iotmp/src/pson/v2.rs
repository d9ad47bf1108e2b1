//! PSON v2: `head := type << 5 | n`, where an `n` of 31 says that a varint follows instead.

use super::{Around, Reader, Rules, Version, negative};
use crate::error::{DecodeError, Malformed};
use crate::value::{Array, Map, Text, Value};

pub(crate) const UNSIGNED: u8 = 0;
pub(crate) const SIGNED: u8 = 1;
pub(crate) const FLOATING: u8 = 2;
pub(crate) const DISCRETE: u8 = 3;
pub(crate) const STRING: u8 = 4;
pub(crate) const BYTES: u8 = 5;
pub(crate) const MAP: u8 = 6;
pub(crate) const ARRAY: u8 = 7;

/// The `n` that says that a varint follows.
pub(crate) const LONG: u8 = 31;

pub(super) fn read<'a>(reader: &mut Reader<'a>, rules: &Rules) -> Result<Value<'a>, DecodeError> {
    let (kind, number) = head(reader)?;
    if kind < MAP {
        return scalar(reader, kind, number, rules);
    }
    let count = count(reader, kind, number)?;
    if rules.depth_max == 0 {
        return Err(reader.fail(Malformed::Depth));
    }
    let start = reader.at();
    walk(reader, count, kind == MAP, rules)?;
    let raw = reader.since(start);
    Ok(if kind == MAP {
        Value::Map(Map::new(Version::V2, raw, count))
    } else {
        Value::Array(Array::new(Version::V2, raw, count))
    })
}

#[inline]
pub(super) fn read_key<'a>(
    reader: &mut Reader<'a>,
    rules: &Rules,
) -> Result<&'a [u8], DecodeError> {
    let at = reader.at();
    let (kind, number) = head(reader)?;
    if kind != STRING {
        return Err(DecodeError::new(at, Malformed::Key));
    }
    reader.text(number, rules)
}

/// Checks `left` items, of a map with their keys, without recursion.
fn walk(
    reader: &mut Reader<'_>,
    mut left: u32,
    mut map: bool,
    rules: &Rules,
) -> Result<(), DecodeError> {
    let mut around = Around::new();
    loop {
        while left == 0 {
            let Some(outer) = around.pop() else { return Ok(()) };
            (left, map) = outer;
        }
        left -= 1;
        if map {
            read_key(reader, rules)?;
        }
        let at = reader.at();
        let (kind, number) = head(reader)?;
        if kind < MAP {
            scalar(reader, kind, number, rules)?;
            continue;
        }
        let inner = count(reader, kind, number)?;
        around.push(left, map, rules).ok_or_else(|| DecodeError::new(at, Malformed::Depth))?;
        (left, map) = (inner, kind == MAP);
    }
}

#[inline]
fn head(reader: &mut Reader<'_>) -> Result<(u8, u64), DecodeError> {
    let head = reader.byte()?;
    let number = match head & LONG {
        LONG => reader.varint()?,
        number => u64::from(number),
    };
    Ok((head >> 5, number))
}

/// The count of a container: each element takes a byte at least, each entry two.
#[inline]
fn count(reader: &Reader<'_>, kind: u8, number: u64) -> Result<u32, DecodeError> {
    reader.bounded(number, if kind == MAP { 2 } else { 1 })
}

#[inline]
fn scalar<'a>(
    reader: &mut Reader<'a>,
    kind: u8,
    number: u64,
    rules: &Rules,
) -> Result<Value<'a>, DecodeError> {
    let value = match kind {
        UNSIGNED => Some(Value::Unsigned(number)),
        SIGNED => negative(number),
        FLOATING => match number {
            0 => Some(Value::Float(f64::from(f32::from_le_bytes(reader.array()?)))),
            1 => Some(Value::Float(f64::from_le_bytes(reader.array()?))),
            _ => None,
        },
        DISCRETE => match number {
            0 | 1 => Some(Value::Bool(number == 1)),
            2 => Some(Value::Null),
            _ => None,
        },
        STRING => Some(Value::Text(Text::new(reader.text(number, rules)?))),
        _ => Some(Value::Bytes(reader.take(number)?)),
    };
    value.ok_or_else(|| {
        reader.fail(match kind {
            SIGNED => Malformed::Magnitude,
            FLOATING => Malformed::Floating(number),
            _ => Malformed::Discrete(number),
        })
    })
}
