//! PSON v2: `head := type << 5 | n`, where an `n` of 31 says that a varint follows instead.

use alloc::vec::Vec;

use super::{Around, Reader, Rules, TextRule, Version, negative, plain};
use crate::error::{DecodeError, Malformed};
use crate::value::{Array, Contents, Map, Text, Value};
use crate::varint;

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
/// The longest head of a container, whose count has 32 bits.
const HEAD_LEN_MAX: usize = 6;

#[inline]
pub(super) fn read<'a>(reader: &mut Reader<'a>, rules: &Rules) -> Result<Value<'a>, DecodeError> {
    let (kind, number) = head(reader)?;
    if kind < MAP {
        return scalar(reader, kind, number, rules);
    }
    container(reader, kind, number, rules)
}

/// Gives the entries of a map to `each`, each when it is checked. False if there is no map.
#[inline(always)]
pub(super) fn read_map<'a>(
    reader: &mut Reader<'a>,
    rules: &Rules,
    mut each: impl FnMut(Text<'a>, Value<'a>),
) -> Result<bool, DecodeError> {
    let (kind, number) = head(reader)?;
    if kind != MAP {
        return Ok(false);
    }
    let count = count(reader, kind, number)?;
    let depth_max = rules.depth_max.checked_sub(1).ok_or_else(|| reader.fail(Malformed::Depth))?;
    let (keep, inside) = (rules.text == TextRule::Keep, rules.with_depth_max(depth_max));
    let mut rest = reader.rest();
    for _ in 0..count {
        let name = match keep.then(|| plain::key(&mut rest)).flatten() {
            Some(name) => name,
            None => reader.closely(&mut rest, |reader| read_key(reader, rules))?,
        };
        let value = match keep.then(|| plain::value(&mut rest)).flatten() {
            Some(value) => value,
            None => reader.closely(&mut rest, |reader| read(reader, &inside))?,
        };
        each(Text::new(name), value);
    }
    reader.go(rest);
    Ok(true)
}

#[inline(never)]
fn container<'a>(
    reader: &mut Reader<'a>,
    kind: u8,
    number: u64,
    rules: &Rules,
) -> Result<Value<'a>, DecodeError> {
    let count = count(reader, kind, number)?;
    if rules.depth_max == 0 {
        return Err(reader.fail(Malformed::Depth));
    }
    let start = reader.at();
    let plain = match rules.text {
        TextRule::Keep => plain::len(reader.rest(), count, kind == MAP),
        TextRule::Reject => None,
    };
    match plain {
        Some(len) => reader.skip(len),
        None => walk(reader, count, kind == MAP, rules)?,
    }
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

/// A container's bytes, its head included.
pub(crate) fn copied(kind: u8, contents: &Contents<'_>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(contents.raw.len() + HEAD_LEN_MAX);
    if contents.count < u32::from(LONG) {
        bytes.push(kind << 5 | contents.count as u8);
    } else {
        bytes.push(kind << 5 | LONG);
        varint::encode(u64::from(contents.count), &mut bytes);
    }
    bytes.extend_from_slice(contents.raw);
    bytes
}

/// Checks `left` items, of a map with their keys, without recursion.
fn walk(
    place: &mut Reader<'_>,
    mut left: u32,
    mut map: bool,
    rules: &Rules,
) -> Result<(), DecodeError> {
    // A copy, so that its place can stay in a register.
    let mut reader = *place;
    let mut around = Around::new();
    loop {
        while left == 0 {
            let Some(outer) = around.pop() else {
                *place = reader;
                return Ok(());
            };
            (left, map) = outer;
        }
        left -= 1;
        if map {
            read_key(&mut reader, rules)?;
        }
        let at = reader.at();
        let (kind, number) = head(&mut reader)?;
        if kind < MAP {
            check_scalar(&mut reader, kind, number, rules)?;
            continue;
        }
        let inner = count(&reader, kind, number)?;
        around.push(left, map, rules).ok_or_else(|| DecodeError::new(at, Malformed::Depth))?;
        (left, map) = (inner, kind == MAP);
    }
}

/// What [`scalar`] does, without its value.
#[inline(always)]
fn check_scalar(
    reader: &mut Reader<'_>,
    kind: u8,
    number: u64,
    rules: &Rules,
) -> Result<(), DecodeError> {
    match (kind, number) {
        (UNSIGNED, _) | (DISCRETE, 0..=2) => Ok(()),
        (STRING, _) => reader.text(number, rules).map(|_| ()),
        (FLOATING, 0) => reader.array::<4>().map(|_| ()),
        _ => scalar(reader, kind, number, rules).map(|_| ()),
    }
}

#[inline(always)]
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

#[inline(always)]
fn scalar<'a>(
    reader: &mut Reader<'a>,
    kind: u8,
    number: u64,
    rules: &Rules,
) -> Result<Value<'a>, DecodeError> {
    Ok(match kind {
        UNSIGNED => Value::Unsigned(number),
        SIGNED => negative(number).ok_or_else(|| reader.fail(Malformed::Magnitude))?,
        FLOATING => match number {
            0 => Value::Float(f64::from(f32::from_le_bytes(reader.array()?))),
            1 => Value::Float(f64::from_le_bytes(reader.array()?)),
            _ => return Err(reader.fail(Malformed::Floating(number))),
        },
        DISCRETE => match number {
            0 | 1 => Value::Bool(number == 1),
            2 => Value::Null,
            _ => return Err(reader.fail(Malformed::Discrete(number))),
        },
        STRING => Value::Text(Text::new(reader.text(number, rules)?)),
        _ => Value::Bytes(reader.take(number)?),
    })
}
