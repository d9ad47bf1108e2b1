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

    /// The value as it is written in PSON v2, where it is one of this crate that takes few bytes.
    #[doc(hidden)]
    #[inline]
    fn small(&self) -> Option<Small> {
        None
    }
}

/// Writes one value in its canonical form, in either version.
///
/// Whole numbers take the fewest bytes; a floating point number with an integral value is written
/// as a whole number, one that 32 bits hold exactly as 32 bits. PSON v1 writes 32 bits also for
/// what lies within 1e-5 of them, as its clients do.
#[derive(Debug)]
pub struct Encoder<'b> {
    /// What was taken of `back` for as long as this lives: its length can stay in a register then.
    out: Vec<u8>,
    back: &'b mut Vec<u8>,
    version: Version,
    /// The key of the field whose value comes next.
    field: Option<FieldKey>,
    depth: u8,
    /// How many values were written into the container that is open.
    written: u32,
    error: Option<EncodeError>,
}

/// A number or a truth value in PSON v2: so few bytes that they are moved as one.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
#[expect(unnameable_types, reason = "only this crate has such values")]
pub struct Small {
    /// The bytes, the lowest first: as numbers, so that they stay in registers.
    low: u64,
    high: u64,
    len: usize,
}

/// More than a head and a number of 64 bits take, which are 11 bytes.
const SMALL_LEN_MAX: usize = 16;

impl Small {
    #[inline(always)]
    const fn of(bytes: u128, len: usize) -> Self {
        Self { low: bytes as u64, high: (bytes >> 64) as u64, len }
    }

    #[inline(always)]
    const fn number(kind: u8, number: u64) -> Self {
        let long = head(kind, v2::LONG) as u128;
        match number {
            0..31 => Self::of(head(kind, number as u8) as u128, 1),
            31..0x80 => Self::of(long | (number as u128) << 8, 2),
            0x80..0x4000 => {
                let (low, high) = (number & 0x7f | 0x80, number >> 7);
                Self::of(long | (low as u128) << 8 | (high as u128) << 16, 3)
            }
            _ => Self::long_number(long, number),
        }
    }

    #[inline(never)]
    const fn long_number(long: u128, mut number: u64) -> Self {
        let (mut bytes, mut len) = (long, 1);
        while number >= 0x80 {
            bytes |= ((number & 0x7f | 0x80) as u128) << (8 * len);
            number >>= 7;
            len += 1;
        }
        Self::of(bytes | (number as u128) << (8 * len), len + 1)
    }

    #[inline(always)]
    const fn unsigned(number: u64) -> Self {
        Self::number(v2::UNSIGNED, number)
    }

    #[inline(always)]
    const fn signed(number: i64) -> Self {
        match number {
            0.. => Self::unsigned(number as u64),
            _ => Self::number(v2::SIGNED, number.unsigned_abs()),
        }
    }

    #[inline(always)]
    fn float(number: f64) -> Self {
        let short = number as f32;
        match integral(number) {
            Some(whole) => Self::signed(whole),
            None if f64::from(short) == number => {
                Self::of(u128::from(head(v2::FLOATING, 0)) | u128::from(short.to_bits()) << 8, 5)
            }
            None => {
                let number = if number.is_nan() { f64::NAN } else { number };
                Self::of(u128::from(head(v2::FLOATING, 1)) | u128::from(number.to_bits()) << 8, 9)
            }
        }
    }

    #[inline(always)]
    const fn bool(truth: bool) -> Self {
        Self::of(head(v2::DISCRETE, truth as u8) as u128, 1)
    }
}

/// The whole number that is equal to a floating point number.
#[inline(always)]
fn integral(number: f64) -> Option<i64> {
    let whole = number as i64;
    // The range is checked, since a cast would saturate at a number that is not equal.
    let inside = (-TWO_TO_63..TWO_TO_63).contains(&number);
    (inside && whole as f64 == number).then_some(whole)
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
        let taken = core::mem::take(out);
        let mut encoder =
            Encoder { out: taken, back: out, version, field, depth: 0, written: 0, error: None };
        encoder.expect_one(|encoder| value.encode(encoder));
        match encoder.error {
            None => Ok(()),
            Some(error) => {
                encoder.out.truncate(start);
                Err(error)
            }
        }
    }

    /// Writes nothing.
    #[inline]
    pub fn null(&mut self) {
        self.lead();
        self.push(v1::NULL, head(v2::DISCRETE, 2));
    }

    /// Writes that there never was a value, which is null in PSON v2.
    pub fn unset(&mut self) {
        self.lead();
        self.push(v1::EMPTY, head(v2::DISCRETE, 2));
    }

    /// Writes a truth value.
    #[inline]
    pub fn bool(&mut self, truth: bool) {
        self.lead();
        let key = if truth { v1::TRUE } else { v1::FALSE };
        self.push(key, head(v2::DISCRETE, u8::from(truth)));
    }

    /// Writes a whole number from 0 on.
    #[inline(always)]
    pub fn unsigned(&mut self, number: u64) {
        self.written = self.written.wrapping_add(1);
        match self.field.is_some() {
            true => self.unsigned_field(number),
            false => self.unsigned_value(number),
        }
    }

    /// Writes a whole number.
    #[inline]
    pub fn signed(&mut self, number: i64) {
        match u64::try_from(number) {
            Ok(number) => self.unsigned(number),
            Err(_) => {
                self.lead();
                self.negative_value(number.unsigned_abs());
            }
        }
    }

    /// Writes a floating point number.
    pub fn float(&mut self, number: f64) {
        self.lead();
        let short = number as f32;
        match integral(number).map(u64::try_from) {
            Some(Ok(whole)) => self.unsigned_value(whole),
            Some(Err(_)) => self.negative_value((number as i64).unsigned_abs()),
            None if f64::from(short) == number => self.short_float(short),
            None => self.long_float(number),
        }
    }

    #[inline(always)]
    fn short_float(&mut self, number: f32) {
        let head = match self.version {
            Version::V1 => v1::FLOAT_32,
            Version::V2 => head(v2::FLOATING, 0),
        };
        let [a, b, c, d] = number.to_le_bytes();
        self.out.extend_from_slice(&[head, a, b, c, d]);
    }

    /// A number that 32 bits do not hold exactly.
    #[inline(never)]
    fn long_float(&mut self, number: f64) {
        let short = number as f32;
        if self.version == Version::V1 && (number - f64::from(short)).abs() < 1e-5 {
            return self.short_float(short);
        }
        let number = if number.is_nan() { f64::NAN } else { number };
        self.push(v1::FLOAT_64, head(v2::FLOATING, 1));
        self.out.extend_from_slice(&number.to_le_bytes());
    }

    /// Writes text.
    #[inline(always)]
    pub fn text<'t>(&mut self, text: impl Into<Text<'t>>) {
        self.lead();
        self.sized(text.into().as_bytes(), v1::STRING, v1::EMPTY_STRING, v2::STRING);
    }

    /// Writes bytes.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.lead();
        self.sized(bytes, v1::BYTES, v1::EMPTY_BYTES, v2::BYTES);
    }

    /// Writes an array of what `items` adds.
    #[inline(always)]
    pub fn array(&mut self, items: impl FnOnce(&mut ArrayEncoder<'_, 'b>)) {
        self.container(v1::ARRAY, v2::ARRAY, |encoder| items(&mut ArrayEncoder(encoder)));
    }

    /// Writes a map of what `entries` adds.
    #[inline(always)]
    pub fn map(&mut self, entries: impl FnOnce(&mut MapEncoder<'_, 'b>)) {
        self.container(v1::OBJECT, v2::MAP, |encoder| entries(&mut MapEncoder(encoder)));
    }

    /// Counts a value that is no whole number and writes the key of the field it stands in.
    #[inline(always)]
    fn lead(&mut self) {
        self.written = self.written.wrapping_add(1);
        if self.field.is_some() {
            self.lead_field();
        }
    }

    #[inline(never)]
    fn lead_field(&mut self) {
        if let Some(field) = self.field.take() {
            self.out.push(field.id << 3 | field.wire);
        }
    }

    /// A whole number directly in a field, where a small one is a varint.
    #[inline(never)]
    fn unsigned_field(&mut self, number: u64) {
        let Some(FieldKey { id, wire, varints }) = self.field.take() else { return };
        if varints && number <= u64::from(u32::MAX) {
            self.out.push(id << 3);
            varint::encode(number, &mut self.out);
        } else {
            self.out.push(id << 3 | wire);
            self.unsigned_value(number);
        }
    }

    #[inline]
    fn push(&mut self, v1: u8, v2: u8) {
        self.out.push(match self.version {
            Version::V1 => v1,
            Version::V2 => v2,
        });
    }

    #[inline(always)]
    fn unsigned_value(&mut self, number: u64) {
        match self.version {
            Version::V2 if number < u64::from(v2::LONG) => {
                self.out.push(head(v2::UNSIGNED, number as u8));
            }
            _ => self.long_unsigned(number),
        }
    }

    #[inline(never)]
    fn long_unsigned(&mut self, number: u64) {
        match (self.version, number) {
            (Version::V1, 0) => self.out.push(v1::ZERO),
            (Version::V1, 1) => self.out.push(v1::ONE),
            (Version::V1, _) => {
                self.out.push(v1::POSITIVE);
                varint::encode(number, &mut self.out);
            }
            (Version::V2, _) => self.head(v2::UNSIGNED, number),
        }
    }

    #[inline(never)]
    fn negative_value(&mut self, magnitude: u64) {
        match self.version {
            Version::V1 => {
                self.out.push(v1::NEGATIVE);
                varint::encode(magnitude, &mut self.out);
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
            varint::encode(number, &mut self.out);
        }
    }

    #[inline(always)]
    fn sized(&mut self, bytes: &[u8], full: u8, empty: u8, kind: u8) {
        match self.version {
            Version::V2 if bytes.len() < usize::from(v2::LONG) => {
                self.out.push(head(kind, bytes.len() as u8));
            }
            Version::V2 => self.long_head(kind, bytes.len() as u64),
            Version::V1 if bytes.is_empty() => self.out.push(empty),
            Version::V1 => self.size_behind(full, bytes.len()),
        }
        self.out.extend_from_slice(bytes);
    }

    #[inline(never)]
    fn size_behind(&mut self, key: u8, len: usize) {
        self.out.push(key);
        varint::encode(len as u64, &mut self.out);
    }

    #[inline(never)]
    fn long_head(&mut self, kind: u8, number: u64) {
        self.head(kind, number);
    }

    #[inline(always)]
    fn key(&mut self, key: &[u8]) {
        match self.version {
            Version::V2 if key.len() < usize::from(v2::LONG) => {
                self.out.push(head(v2::STRING, key.len() as u8));
            }
            Version::V2 => self.long_head(v2::STRING, key.len() as u64),
            Version::V1 => varint::encode(key.len() as u64, &mut self.out),
        }
        self.out.extend_from_slice(key);
    }

    #[inline(always)]
    fn container(&mut self, v1: u8, v2: u8, fill: impl FnOnce(&mut Self)) {
        self.lead();
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
            Version::V1 => patch_varint(&mut self.out, start),
            Version::V2 => patch_head(&mut self.out, start, v2, self.written),
        }
        self.depth -= 1;
        self.written = outside;
    }

    /// A name of less than 31 bytes and a value behind it, in PSON v2. Room is made once for both.
    #[inline(always)]
    fn small_entry(&mut self, name: &[u8], value: Small) {
        let start = self.out.len();
        self.out.resize(start + 1 + name.len() + SMALL_LEN_MAX, head(v2::STRING, name.len() as u8));
        if let Some((_, behind)) = self.out.get_mut(start..).and_then(<[u8]>::split_first_mut)
            && let Some((place, behind)) = behind.split_at_mut_checked(name.len())
        {
            place.copy_from_slice(name);
            if let Some((low, behind)) = behind.split_first_chunk_mut() {
                *low = value.low.to_le_bytes();
                if let Some(high) = behind.first_chunk_mut() {
                    *high = value.high.to_le_bytes();
                }
            }
        }
        self.out.truncate(start + 1 + name.len() + value.len);
        self.written = self.written.wrapping_add(1);
    }

    /// A value in PSON v2.
    #[inline(always)]
    fn small(&mut self, value: Small) {
        let start = self.out.len();
        self.out.extend_from_slice(&value.low.to_le_bytes());
        self.out.extend_from_slice(&value.high.to_le_bytes());
        self.out.truncate(start + value.len);
        self.written = self.written.wrapping_add(1);
    }

    #[inline(always)]
    fn expect_one(&mut self, write: impl FnOnce(&mut Self)) {
        let before = self.written;
        write(self);
        if self.written != before.wrapping_add(1) {
            self.fail(EncodeError::NotOne);
        }
    }

    #[cold]
    fn fail(&mut self, error: EncodeError) {
        self.error.get_or_insert(error);
    }
}

impl Drop for Encoder<'_> {
    /// Gives back what was taken, also when an [`Encode`] panics.
    fn drop(&mut self) {
        core::mem::swap(self.back, &mut self.out);
    }
}

/// Adds items to an array.
#[derive(Debug)]
pub struct ArrayEncoder<'e, 'b>(&'e mut Encoder<'b>);

impl ArrayEncoder<'_, '_> {
    /// Adds an item.
    #[inline(always)]
    pub fn item(&mut self, value: &(impl Encode + ?Sized)) {
        if self.0.error.is_none() {
            match value.small().filter(|_| self.0.version == Version::V2) {
                Some(small) => self.0.small(small),
                None => self.0.expect_one(|encoder| value.encode(encoder)),
            }
        }
    }
}

/// Adds entries to a map.
#[derive(Debug)]
pub struct MapEncoder<'e, 'b>(&'e mut Encoder<'b>);

impl MapEncoder<'_, '_> {
    /// Adds an entry. A name that is added twice is written twice; readers take the last.
    #[inline(always)]
    pub fn entry<'t>(&mut self, name: impl Into<Text<'t>>, value: &(impl Encode + ?Sized)) {
        if self.0.error.is_some() {
            return;
        }
        let name = name.into().as_bytes();
        let plain = self.0.version == Version::V2 && name.len() < usize::from(v2::LONG);
        match value.small().filter(|_| plain) {
            Some(small) => self.0.small_entry(name, small),
            None => {
                self.0.key(name);
                self.0.expect_one(|encoder| value.encode(encoder));
            }
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
    #[inline]
    fn encode(&self, to: &mut Encoder<'_>) {
        (**self).encode(to);
    }

    #[inline(always)]
    fn small(&self) -> Option<Small> {
        (**self).small()
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
    #[inline]
    fn encode(&self, to: &mut Encoder<'_>) {
        to.text(*self);
    }
}

impl Encode for str {
    #[inline]
    fn encode(&self, to: &mut Encoder<'_>) {
        to.text(self);
    }
}

impl Encode for String {
    #[inline]
    fn encode(&self, to: &mut Encoder<'_>) {
        to.text(self.as_str());
    }
}

impl Encode for bool {
    #[inline]
    fn encode(&self, to: &mut Encoder<'_>) {
        to.bool(*self);
    }

    #[inline(always)]
    fn small(&self) -> Option<Small> {
        Some(Small::bool(*self))
    }
}

macro_rules! numbers {
    ($($method:ident: $($kind:ty),*;)*) => {$($(
        impl Encode for $kind {
            #[inline]
            fn encode(&self, to: &mut Encoder<'_>) {
                to.$method((*self).into());
            }

            #[inline(always)]
            fn small(&self) -> Option<Small> {
                Some(Small::$method((*self).into()))
            }
        }
    )*)*};
}

numbers! {
    unsigned: u8, u16, u32, u64;
    signed: i8, i16, i32, i64;
    float: f32, f64;
}
