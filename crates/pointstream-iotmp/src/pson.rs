//! PSON, the encoding of values, in its two versions.

use alloc::vec::Vec;

use crate::encode::{Encode, Encoder};
use crate::error::{DecodeError, EncodeError, Malformed};
use crate::value::{Text, Value};
use crate::varint;

mod plain;
pub(crate) mod v1;
pub(crate) mod v2;

/// How deep containers may nest, at most. A scalar has depth 0, an array of scalars depth 1.
pub const DEPTH_MAX: u8 = 32;

/// A version of PSON on the wire.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Version {
    /// Values have keys like fields, containers a size in bytes: IOTMP-1 and the old dialect.
    V1,
    /// Values have a head of three bits of type, containers a count: IOTMP-2.
    V2,
}

impl Version {
    /// Appends `value` to `out` in its canonical form.
    ///
    /// # Errors
    ///
    /// Too deep, or an [`Encode`] that does not write exactly one value; `out` is then as it was.
    pub fn encode(
        self,
        value: &(impl Encode + ?Sized),
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        Encoder::one(self, None, value, out)
    }
}

/// What a decoder of values lets pass.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Rules {
    /// How deep containers may nest; more than [`DEPTH_MAX`] counts as that. Default: that.
    pub depth_max: u8,
    /// What text that is not UTF-8 means. Default: it is kept.
    pub text: TextRule,
}

/// What text that is not UTF-8 means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TextRule {
    /// It is kept as bytes, which [`Text`](crate::Text) shows with replacement characters. This is
    /// what every reference client does with it.
    Keep,
    /// It makes the value malformed.
    Reject,
}

impl Rules {
    /// The defaults.
    pub const DEFAULT: Self = Self { depth_max: DEPTH_MAX, text: TextRule::Keep };

    /// These rules with another depth.
    #[must_use]
    pub const fn with_depth_max(mut self, depth_max: u8) -> Self {
        self.depth_max = depth_max;
        self
    }

    /// These rules with another treatment of text.
    #[must_use]
    pub const fn with_text(mut self, text: TextRule) -> Self {
        self.text = text;
        self
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The value at the reader's place.
#[inline]
pub(crate) fn read<'a>(
    version: Version,
    reader: &mut Reader<'a>,
    rules: &Rules,
) -> Result<Value<'a>, DecodeError> {
    match version {
        Version::V1 => v1::read(reader, rules),
        Version::V2 => v2::read(reader, rules),
    }
}

/// Gives the entries of the map at the reader's place to `each`. False if there is no map.
#[inline(always)]
pub(crate) fn read_map<'a>(
    version: Version,
    reader: &mut Reader<'a>,
    rules: &Rules,
    mut each: impl FnMut(Text<'a>, Value<'a>),
) -> Result<bool, DecodeError> {
    match version {
        Version::V1 => {
            let value = v1::read(reader, rules)?;
            let map = value.as_map();
            let entries = map.into_iter().flat_map(|map| map.iter());
            entries.for_each(|(name, value)| each(name, value));
            Ok(map.is_some())
        }
        Version::V2 => v2::read_map(reader, rules, each),
    }
}

/// Takes the value at the start of bytes that were checked before.
#[inline(always)]
pub(crate) fn reread<'a>(version: Version, rest: &mut &'a [u8]) -> Option<Value<'a>> {
    if version == Version::V2
        && let Some(value) = plain::value(rest)
    {
        return Some(value);
    }
    reread_any(version, rest)
}

#[inline(never)]
fn reread_any<'a>(version: Version, rest: &mut &'a [u8]) -> Option<Value<'a>> {
    let mut reader = Reader::new(rest);
    let value = read(version, &mut reader, &Rules::DEFAULT).ok()?;
    *rest = reader.rest();
    Some(value)
}

/// Takes the key at the start of bytes that were checked before.
#[inline(always)]
pub(crate) fn reread_key<'a>(version: Version, rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    if version == Version::V2
        && let Some(key) = plain::key(rest)
    {
        return Some(key);
    }
    reread_any_key(version, rest)
}

#[inline(never)]
fn reread_any_key<'a>(version: Version, rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut reader = Reader::new(rest);
    let key = match version {
        Version::V1 => v1::read_key(&mut reader, &Rules::DEFAULT),
        Version::V2 => v2::read_key(&mut reader, &Rules::DEFAULT),
    };
    *rest = reader.rest();
    key.ok()
}

/// A place in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Reader<'a> {
    all: &'a [u8],
    /// The bytes up to where the container ends that is being read.
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Offsets must fit the walkers' stacks, which keep one bit for themselves.
    const LEN_MAX: usize = (u32::MAX >> 1) as usize;

    #[inline]
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        let bytes = bytes.get(..Self::LEN_MAX).unwrap_or(bytes);
        Self { all: bytes, bytes, at: 0 }
    }

    #[inline]
    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    #[inline]
    pub(crate) const fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Goes to where only `rest` is left.
    #[inline]
    const fn go(&mut self, rest: &[u8]) {
        self.at = self.bytes.len() - rest.len();
    }

    /// Reads at the start of `rest`, which is behind its place.
    #[inline(never)]
    fn closely<T>(
        &mut self,
        rest: &mut &'a [u8],
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        self.go(rest);
        let read = read(self)?;
        *rest = self.rest();
        Ok(read)
    }

    /// Passes over bytes that are there.
    #[inline]
    const fn skip(&mut self, len: usize) {
        self.at += len;
    }

    pub(crate) const fn end(&self) -> usize {
        self.bytes.len()
    }

    /// Moves the end to one that lies between the place and the end of the bytes.
    fn set_end(&mut self, end: usize) {
        self.bytes = self.all.get(..end).unwrap_or(self.all);
    }

    #[inline]
    pub(crate) fn since(&self, start: usize) -> &'a [u8] {
        self.bytes.get(start..self.at).unwrap_or_default()
    }

    pub(crate) const fn fail(&self, kind: Malformed) -> DecodeError {
        DecodeError::new(self.at, kind)
    }

    #[inline]
    pub(crate) fn byte(&mut self) -> Result<u8, DecodeError> {
        match self.bytes.get(self.at) {
            Some(&byte) => {
                self.at += 1;
                Ok(byte)
            }
            None => Err(self.fail(Malformed::Short)),
        }
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, DecodeError> {
        match self.bytes.get(self.at) {
            Some(&byte) if byte < 0x80 => {
                self.at += 1;
                Ok(u64::from(byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, DecodeError> {
        let bytes = self.bytes.get(self.at..).unwrap_or_default();
        let (number, len) = varint::decode(bytes).map_err(|error| error.behind(self.at))?;
        self.at += len;
        Ok(number)
    }

    /// A number of bytes or items that the bytes left can hold, `each` bytes at least for one.
    #[inline]
    fn bounded(&self, number: u64, each: usize) -> Result<u32, DecodeError> {
        if number <= (self.left() / each) as u64 {
            // No more bytes are left than `LEN_MAX`.
            Ok(number as u32)
        } else {
            Err(self.fail(Malformed::Count))
        }
    }

    #[inline]
    fn take(&mut self, len: u64) -> Result<&'a [u8], DecodeError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if len > rest.len() as u64 {
            return Err(self.fail(Malformed::Count));
        }
        self.at += len as usize;
        Ok(rest.get(..len as usize).unwrap_or_default())
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let array = *rest.first_chunk::<N>().ok_or_else(|| self.fail(Malformed::Short))?;
        self.at += N;
        Ok(array)
    }

    #[inline]
    fn text(&mut self, len: u64, rules: &Rules) -> Result<&'a [u8], DecodeError> {
        let start = self.at;
        let text = self.take(len)?;
        if rules.text == TextRule::Reject && core::str::from_utf8(text).is_err() {
            return Err(DecodeError::new(start, Malformed::Text));
        }
        Ok(text)
    }
}

/// A negative number of this magnitude, as a value.
fn negative(magnitude: u64) -> Option<Value<'static>> {
    const LEAST: u64 = 1 << 63;
    match magnitude {
        0 => Some(Value::Unsigned(0)),
        1..=LEAST => Some(Value::Signed(0i64.wrapping_sub_unsigned(magnitude))),
        _ => None,
    }
}

/// The containers around a place, outermost first: a number each and whether it is a map.
struct Around {
    stack: [u32; DEPTH_MAX as usize],
    depth: usize,
}

impl Around {
    const MAP: u32 = 1 << 31;

    const fn new() -> Self {
        Self { stack: [0; DEPTH_MAX as usize], depth: 0 }
    }

    /// Enters a container that stands in another one. The value itself has taken one level.
    #[inline]
    fn push(&mut self, number: u32, map: bool, rules: &Rules) -> Option<()> {
        if self.depth + 1 >= usize::from(rules.depth_max) {
            return None;
        }
        *self.stack.get_mut(self.depth)? = number | if map { Self::MAP } else { 0 };
        self.depth += 1;
        Some(())
    }

    #[inline]
    fn pop(&mut self) -> Option<(u32, bool)> {
        self.depth = self.depth.checked_sub(1)?;
        let entry = *self.stack.get(self.depth)?;
        Some((entry & !Self::MAP, entry & Self::MAP != 0))
    }
}
