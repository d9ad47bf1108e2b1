//! PSON v2 as it mostly is: names and texts of up to 30 bytes, numbers, no containers inside.
//!
//! What is not so is left to [`v2`](super::v2), which reads everything and says what is wrong, so
//! that nothing here has to: `None` means that somebody has to look closer. A law in the tests holds
//! both to the same.

use super::v2::{BYTES, DISCRETE, FLOATING, LONG, SIGNED, STRING, UNSIGNED};
use crate::value::{Text, Value};

/// How many bytes `count` items at the start of `bytes` take, of a map with their names.
#[inline]
pub(super) fn len(bytes: &[u8], count: u32, map: bool) -> Option<usize> {
    let mut rest = bytes;
    for _ in 0..count {
        if map {
            key(&mut rest)?;
        }
        let (&head, behind) = rest.split_first()?;
        let small = head & LONG;
        // Branches are foretold; what a table said would have to be waited for.
        rest = match head >> 5 {
            UNSIGNED | SIGNED if small < LONG => behind,
            UNSIGNED => number(behind)?.1,
            FLOATING if small == 0 => behind.get(4..)?,
            FLOATING if small == 1 => behind.get(8..)?,
            DISCRETE if small < 3 => behind,
            STRING | BYTES if small < LONG => behind.get(usize::from(small)..)?,
            _ => return None,
        };
    }
    Some(bytes.len() - rest.len())
}

/// A name.
#[inline(always)]
pub(super) fn key<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (&head, behind) = rest.split_first()?;
    if head >> 5 != STRING || head & LONG == LONG {
        return None;
    }
    let (name, behind) = behind.split_at_checked(usize::from(head & LONG))?;
    *rest = behind;
    Some(name)
}

/// A value.
#[inline(always)]
pub(super) fn value<'a>(rest: &mut &'a [u8]) -> Option<Value<'a>> {
    let (&head, behind) = rest.split_first()?;
    let small = head & LONG;
    let (value, behind) = match head >> 5 {
        UNSIGNED if small < LONG => (Value::Unsigned(u64::from(small)), behind),
        UNSIGNED => {
            let (number, behind) = number(behind)?;
            (Value::Unsigned(number), behind)
        }
        FLOATING if small == 0 => {
            let (bytes, behind) = behind.split_first_chunk()?;
            (Value::Float(f64::from(f32::from_le_bytes(*bytes))), behind)
        }
        FLOATING if small == 1 => {
            let (bytes, behind) = behind.split_first_chunk()?;
            (Value::Float(f64::from_le_bytes(*bytes)), behind)
        }
        DISCRETE if small < 2 => (Value::Bool(small == 1), behind),
        STRING if small < LONG => {
            let (text, behind) = behind.split_at_checked(usize::from(small))?;
            (Value::Text(Text::new(text)), behind)
        }
        _ => return None,
    };
    *rest = behind;
    Some(value)
}

/// A varint of one to three bytes.
#[inline(always)]
const fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    match *bytes {
        [one @ 0..0x80, ref behind @ ..] => Some((one as u64, behind)),
        [one, two @ 0..0x80, ref behind @ ..] => {
            Some((one as u64 & 0x7f | (two as u64) << 7, behind))
        }
        [one, two, three @ 0..0x80, ref behind @ ..] => {
            Some((one as u64 & 0x7f | (two as u64 & 0x7f) << 7 | (three as u64) << 14, behind))
        }
        _ => None,
    }
}
