use alloc::string::String;
use alloc::vec::Vec;

use crate::error::EncodeError;
use crate::pson::{DEPTH_MAX, Version, v1, v2};
use crate::value::{Text, Value};
use crate::varint;

/// Something that is written as one value.
pub trait Encode {
    /// Writes exactly one value.
    fn encode(&self, to: &mut Encoder<'_>);
}

/// Writes one value in its canonical form, in either version.
///
/// Whole numbers take the fewest bytes; a floating point number with an integral value is written
/// as a whole number, one that 32 bits hold exactly as 32 bits. PSON v1 writes 32 bits also for
/// what lies within 1e-5 of them, as its clients do.
#[derive(Debug)]
pub struct Encoder<'b> {
    out: &'b mut Vec<u8>,
    version: Version,
    /// The key of the field whose value comes next.
    field: Option<FieldKey>,
    depth: u8,
    /// How many values were written into the container that is open.
    written: u32,
    error: Option<EncodeError>,
}

/// How a field's key is written in front of its value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FieldKey {
    pub(crate) id: u8,
    /// The wire type of everything that is not a small whole number.
    pub(crate) wire: u8,
    /// Whether small whole numbers are varints.
    pub(crate) varints: bool,
}

impl<'b> Encoder<'b> {
    /// Appends one value, behind its key where it has one.
    pub(crate) fn one(
        version: Version,
        field: Option<FieldKey>,
        value: &(impl Encode + ?Sized),
        out: &'b mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let start = out.len();
        let mut encoder = Encoder { out, version, field, depth: 0, written: 0, error: None };
        encoder.expect_one(|encoder| value.encode(encoder));
        let Encoder { out, error, .. } = encoder;
        match error {
            None => Ok(()),
            Some(error) => {
                out.truncate(start);
                Err(error)
            }
        }
    }

    /// Writes nothing.
    #[inline]
    pub fn null(&mut self) {
        self.lead(None);
        self.push(v1::NULL, head(v2::DISCRETE, 2));
    }

    /// Writes that there never was a value, which is null in PSON v2.
    pub fn unset(&mut self) {
        self.lead(None);
        self.push(v1::EMPTY, head(v2::DISCRETE, 2));
    }

    /// Writes a truth value.
    #[inline]
    pub fn bool(&mut self, truth: bool) {
        self.lead(None);
        let key = if truth { v1::TRUE } else { v1::FALSE };
        self.push(key, head(v2::DISCRETE, u8::from(truth)));
    }

    /// Writes a whole number from 0 on.
    #[inline]
    pub fn unsigned(&mut self, number: u64) {
        if !self.lead(Some(number)) {
            self.unsigned_value(number);
        }
    }

    /// Writes a whole number.
    #[inline]
    pub fn signed(&mut self, number: i64) {
        match u64::try_from(number) {
            Ok(number) => self.unsigned(number),
            Err(_) => {
                self.lead(None);
                self.negative_value(number.unsigned_abs());
            }
        }
    }

    /// Writes a floating point number.
    #[inline]
    pub fn float(&mut self, number: f64) {
        self.lead(None);
        // The range is checked, since a cast would saturate at a number that is not equal.
        let whole = number as i64;
        if (-TWO_TO_63..TWO_TO_63).contains(&number) && whole as f64 == number {
            match u64::try_from(whole) {
                Ok(whole) => self.unsigned_value(whole),
                Err(_) => self.negative_value(whole.unsigned_abs()),
            }
            return;
        }
        let short = number as f32;
        let distance = (number - f64::from(short)).abs();
        if f64::from(short) == number || (self.version == Version::V1 && distance < 1e-5) {
            self.push(v1::FLOAT_32, head(v2::FLOATING, 0));
            self.out.extend_from_slice(&short.to_le_bytes());
        } else {
            let number = if number.is_nan() { f64::NAN } else { number };
            self.push(v1::FLOAT_64, head(v2::FLOATING, 1));
            self.out.extend_from_slice(&number.to_le_bytes());
        }
    }

    /// Writes text.
    #[inline]
    pub fn text<'t>(&mut self, text: impl Into<Text<'t>>) {
        self.lead(None);
        self.sized(text.into().as_bytes(), v1::STRING, v1::EMPTY_STRING, v2::STRING);
    }

    /// Writes bytes.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.lead(None);
        self.sized(bytes, v1::BYTES, v1::EMPTY_BYTES, v2::BYTES);
    }

    /// Writes an array of what `items` adds.
    #[inline]
    pub fn array(&mut self, items: impl FnOnce(&mut ArrayEncoder<'_, 'b>)) {
        self.container(v1::ARRAY, v2::ARRAY, |encoder| items(&mut ArrayEncoder(encoder)));
    }

    /// Writes a map of what `entries` adds.
    #[inline]
    pub fn map(&mut self, entries: impl FnOnce(&mut MapEncoder<'_, 'b>)) {
        self.container(v1::OBJECT, v2::MAP, |encoder| entries(&mut MapEncoder(encoder)));
    }

    /// Counts a value and writes the key of the field it stands in. True if that wrote the value
    /// too, which is so for a small whole number directly in a field.
    #[inline]
    fn lead(&mut self, number: Option<u64>) -> bool {
        self.written = self.written.saturating_add(1);
        let Some(FieldKey { id, wire, varints }) = self.field.take() else { return false };
        match number.filter(|&number| varints && number <= u64::from(u32::MAX)) {
            Some(number) => {
                self.out.push(id << 3);
                varint::encode(number, self.out);
                true
            }
            None => {
                self.out.push(id << 3 | wire);
                false
            }
        }
    }

    #[inline]
    fn push(&mut self, v1: u8, v2: u8) {
        self.out.push(match self.version {
            Version::V1 => v1,
            Version::V2 => v2,
        });
    }

    #[inline]
    fn unsigned_value(&mut self, number: u64) {
        match (self.version, number) {
            (Version::V1, 0) => self.out.push(v1::ZERO),
            (Version::V1, 1) => self.out.push(v1::ONE),
            (Version::V1, _) => {
                self.out.push(v1::POSITIVE);
                varint::encode(number, self.out);
            }
            (Version::V2, _) => self.head(v2::UNSIGNED, number),
        }
    }

    fn negative_value(&mut self, magnitude: u64) {
        match self.version {
            Version::V1 => {
                self.out.push(v1::NEGATIVE);
                varint::encode(magnitude, self.out);
            }
            Version::V2 => self.head(v2::SIGNED, magnitude),
        }
    }

    #[inline]
    fn head(&mut self, kind: u8, number: u64) {
        if number < u64::from(v2::LONG) {
            self.out.push(head(kind, number as u8));
        } else {
            self.out.push(head(kind, v2::LONG));
            varint::encode(number, self.out);
        }
    }

    #[inline]
    fn sized(&mut self, bytes: &[u8], full: u8, empty: u8, kind: u8) {
        match self.version {
            Version::V1 if bytes.is_empty() => self.out.push(empty),
            Version::V1 => {
                self.out.push(full);
                varint::encode(bytes.len() as u64, self.out);
            }
            Version::V2 => self.head(kind, bytes.len() as u64),
        }
        self.out.extend_from_slice(bytes);
    }

    #[inline]
    fn key(&mut self, key: &[u8]) {
        match self.version {
            Version::V1 => varint::encode(key.len() as u64, self.out),
            Version::V2 => self.head(v2::STRING, key.len() as u64),
        }
        self.out.extend_from_slice(key);
    }

    #[inline]
    fn container(&mut self, v1: u8, v2: u8, fill: impl FnOnce(&mut Self)) {
        self.lead(None);
        if self.depth >= DEPTH_MAX {
            self.fail(EncodeError::Depth);
            return;
        }
        let outside = core::mem::take(&mut self.written);
        self.depth += 1;
        // One byte is kept free for what is known only at the end.
        if self.version == Version::V1 {
            self.out.push(v1);
        }
        let start = self.out.len();
        self.out.push(0);
        fill(self);
        match self.version {
            Version::V1 => patch_varint(self.out, start),
            Version::V2 => patch_head(self.out, start, v2, self.written),
        }
        self.depth -= 1;
        self.written = outside;
    }

    #[inline]
    fn expect_one(&mut self, write: impl FnOnce(&mut Self)) {
        let before = self.written;
        write(self);
        if self.written != before.saturating_add(1) {
            self.fail(EncodeError::NotOne);
        }
    }

    fn fail(&mut self, error: EncodeError) {
        self.error.get_or_insert(error);
    }
}

/// Adds items to an array.
#[derive(Debug)]
pub struct ArrayEncoder<'e, 'b>(&'e mut Encoder<'b>);

impl ArrayEncoder<'_, '_> {
    /// Adds an item.
    #[inline]
    pub fn item(&mut self, value: &(impl Encode + ?Sized)) {
        if self.0.error.is_none() {
            self.0.expect_one(|encoder| value.encode(encoder));
        }
    }
}

/// Adds entries to a map.
#[derive(Debug)]
pub struct MapEncoder<'e, 'b>(&'e mut Encoder<'b>);

impl MapEncoder<'_, '_> {
    /// Adds an entry. A name that is added twice is written twice; readers take the last.
    #[inline]
    pub fn entry<'t>(&mut self, name: impl Into<Text<'t>>, value: &(impl Encode + ?Sized)) {
        if self.0.error.is_none() {
            self.0.key(name.into().as_bytes());
            self.0.expect_one(|encoder| value.encode(encoder));
        }
    }
}

const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

const fn head(kind: u8, number: u8) -> u8 {
    kind << 5 | number
}

/// Writes into the byte at `start` how many bytes follow it, making room where one does not do.
pub(crate) fn patch_varint(out: &mut Vec<u8>, start: usize) {
    let len = (out.len() - start - 1) as u64;
    put_varint(out, start, 1, len);
}

#[inline]
fn patch_head(out: &mut Vec<u8>, start: usize, kind: u8, count: u32) {
    let long = count >= u32::from(v2::LONG);
    if let Some(place) = out.get_mut(start) {
        *place = head(kind, if long { v2::LONG } else { count as u8 });
    }
    if long {
        put_varint(out, start + 1, 0, u64::from(count));
    }
}

/// Puts a varint at `start`, where `room` bytes are free, and moves what follows behind it.
fn put_varint(out: &mut Vec<u8>, start: usize, room: usize, mut number: u64) {
    let (end, len) = (out.len(), varint::len(number));
    if len > room {
        out.resize(end + len - room, 0);
        out.copy_within(start + room..end, start + len);
    }
    for (at, place) in out.iter_mut().skip(start).take(len).enumerate() {
        *place = (number & 0x7f) as u8 | if at + 1 < len { 0x80 } else { 0 };
        number >>= 7;
    }
}

impl Encode for Value<'_> {
    fn encode(&self, to: &mut Encoder<'_>) {
        match self {
            Self::Null => to.null(),
            Self::Unset => to.unset(),
            Self::Bool(truth) => to.bool(*truth),
            Self::Unsigned(number) => to.unsigned(*number),
            Self::Signed(number) => to.signed(*number),
            Self::Float(number) => to.float(*number),
            Self::Text(text) => to.text(*text),
            Self::Bytes(bytes) => to.bytes(bytes),
            Self::Array(array) => to.array(|to| array.iter().for_each(|item| to.item(&item))),
            Self::Map(map) => {
                to.map(|to| map.iter().for_each(|(name, value)| to.entry(name, &value)));
            }
        }
    }
}

impl<T: Encode + ?Sized> Encode for &T {
    fn encode(&self, to: &mut Encoder<'_>) {
        (**self).encode(to);
    }
}

impl<T: Encode> Encode for Option<T> {
    fn encode(&self, to: &mut Encoder<'_>) {
        match self {
            Some(value) => value.encode(to),
            None => to.null(),
        }
    }
}

impl<T: Encode> Encode for [T] {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.array(|to| self.iter().for_each(|item| to.item(item)));
    }
}

impl<T: Encode, const N: usize> Encode for [T; N] {
    fn encode(&self, to: &mut Encoder<'_>) {
        self.as_slice().encode(to);
    }
}

impl<T: Encode> Encode for Vec<T> {
    fn encode(&self, to: &mut Encoder<'_>) {
        self.as_slice().encode(to);
    }
}

impl Encode for Text<'_> {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.text(*self);
    }
}

impl Encode for str {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.text(self);
    }
}

impl Encode for String {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.text(self.as_str());
    }
}

impl Encode for bool {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.bool(*self);
    }
}

macro_rules! numbers {
    ($($method:ident: $($kind:ty),*;)*) => {$($(
        impl Encode for $kind {
            fn encode(&self, to: &mut Encoder<'_>) {
                to.$method((*self).into());
            }
        }
    )*)*};
}

numbers! {
    unsigned: u8, u16, u32, u64;
    signed: i8, i16, i32, i64;
    float: f32, f64;
}
