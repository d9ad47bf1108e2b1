//! Data types: how values lie in registers.

use core::fmt;
use core::str::FromStr;

use crate::error::{AddressError, DataError};

/// How bytes and words of a number follow one another.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "two things, each in one of two ways")]
pub enum Order {
    /// High word first, high byte first: ABCD. No suffix.
    #[default]
    Big,
    /// Low word first, low byte first: DCBA. Suffix `le`.
    Little,
    /// High word first, low byte first: BADC. Suffix `leb`.
    LittleBytes,
    /// Low word first, high byte first: CDAB. Suffix `lew`.
    LittleWords,
}

/// What a value is made of.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Encoding {
    /// One bit of a register, 0 being the least significant; or a coil or discrete input.
    Bit(u8),
    /// The low byte of a register, unsigned.
    U1,
    /// A register, unsigned.
    U2,
    /// Two registers, unsigned.
    U4,
    /// The low byte of a register, signed.
    S1,
    /// A register, signed.
    S2,
    /// Two registers, signed.
    S4,
    /// Four registers, signed.
    S8,
    /// Two registers, an IEEE 754 single.
    F4,
    /// Four registers, an IEEE 754 double.
    F8,
    /// A register, four decimal digits of four bits each.
    Bcd2,
    /// Two registers, eight decimal digits.
    Bcd4,
    /// Four registers, sixteen decimal digits.
    Bcd8,
    /// So many bytes of text, two in a register, the first in the high byte ([`Order::Big`]) or in
    /// the low one ([`Order::LittleBytes`]).
    Str(u8),
}

/// An encoding in an order, such as `f4le`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct DataType {
    /// What the value is made of.
    pub encoding: Encoding,
    /// How its bytes and words follow one another. A bit has [`Order::Big`].
    pub order: Order,
}

/// A value as a device holds it, before any scale.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "all that registers hold; integers stay exact")]
pub enum Scalar {
    /// A bit.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating point number.
    Float(f64),
}

/// The registers of one value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Encoded {
    words: [u16; 4],
    len: u8,
}

impl Encoded {
    /// The registers.
    pub fn as_slice(&self) -> &[u16] {
        &self.words[..usize::from(self.len)]
    }
}

impl Scalar {
    /// The number; 0 or 1 for a bit. Integers beyond 2^53 are rounded.
    pub fn to_f64(self) -> f64 {
        match self {
            Self::Bool(bit) => f64::from(u8::from(bit)),
            Self::Int(number) => number as f64,
            Self::Float(number) => number,
        }
    }
}

impl DataType {
    /// An unsigned register, which is what an address without a type means.
    pub const U2: Self = Self::new(Encoding::U2, Order::Big);

    /// A coil or a discrete input; of a register its least significant bit.
    pub const BIT: Self = Self::new(Encoding::Bit(0), Order::Big);

    /// The longest text, in bytes: 125 registers.
    pub const STR_LEN_MAX: u8 = 250;

    /// An encoding in an order.
    pub const fn new(encoding: Encoding, order: Order) -> Self {
        Self { encoding, order }
    }

    /// How many registers a value takes.
    pub const fn registers(self) -> u16 {
        match self.encoding {
            Encoding::Str(len) => (len as u16).div_ceil(2),
            Encoding::Bcd2 => 1,
            Encoding::Bcd4 => 2,
            Encoding::Bcd8 => 4,
            Encoding::Bit(_) | Encoding::U1 | Encoding::U2 | Encoding::S1 | Encoding::S2 => 1,
            Encoding::U4 | Encoding::S4 | Encoding::F4 => 2,
            Encoding::S8 | Encoding::F8 => 4,
        }
    }

    /// Whether a value is one bit.
    pub const fn is_bit(self) -> bool {
        matches!(self.encoding, Encoding::Bit(_))
    }

    /// Whether a value is text, which [`decode_text`](Self::decode_text) and
    /// [`encode_text`](Self::encode_text) are for.
    pub const fn is_text(self) -> bool {
        matches!(self.encoding, Encoding::Str(_))
    }

    /// The number or bit in the first registers of `words`.
    ///
    /// # Errors
    ///
    /// [`DataError::Short`] for too few registers, [`DataError::Bcd`] for what is no decimal digit,
    /// [`DataError::Kind`] for text.
    pub fn decode(self, words: &[u16]) -> Result<Scalar, DataError> {
        if self.is_text() {
            return Err(DataError::Kind(self));
        }
        let len = usize::from(self.registers());
        let words = words.get(..len).ok_or(DataError::Short(self))?;
        let mut buffer = [0u16; 4];
        for (place, &word) in buffer[4 - len..].iter_mut().zip(words) {
            *place = if self.swaps_bytes() { word.swap_bytes() } else { word };
        }
        if self.swaps_words() {
            buffer[4 - len..].reverse();
        }
        // The value stands right-aligned in 64 bits, big-endian.
        let bits = buffer.iter().fold(0u64, |bits, &word| bits << 16 | u64::from(word));
        Ok(match self.encoding {
            Encoding::Bit(position) => Scalar::Bool(bits >> (position & 15) & 1 == 1),
            Encoding::U1 => Scalar::Int(i64::from(bits as u8)),
            Encoding::U2 => Scalar::Int(i64::from(bits as u16)),
            Encoding::U4 => Scalar::Int(i64::from(bits as u32)),
            Encoding::S1 => Scalar::Int(i64::from(bits as u8 as i8)),
            Encoding::S2 => Scalar::Int(i64::from(bits as u16 as i16)),
            Encoding::S4 => Scalar::Int(i64::from(bits as u32 as i32)),
            Encoding::S8 => Scalar::Int(bits as i64),
            Encoding::F4 => Scalar::Float(f64::from(f32::from_bits(bits as u32))),
            Encoding::F8 => Scalar::Float(f64::from_bits(bits)),
            Encoding::Bcd2 | Encoding::Bcd4 | Encoding::Bcd8 => {
                Scalar::Int(from_bcd(bits).ok_or(DataError::Bcd(self))?)
            }
            Encoding::Str(_) => return Err(DataError::Kind(self)),
        })
    }

    /// The text in the first registers of `words`: UTF-8 where it is that, else Latin-1. It ends at
    /// the first NUL, and spaces at its end are padding.
    ///
    /// # Errors
    ///
    /// [`DataError::Short`] for too few registers, [`DataError::Kind`] for a type that is not text.
    pub fn decode_text(self, words: &[u16]) -> Result<String, DataError> {
        let Encoding::Str(len) = self.encoding else { return Err(DataError::Kind(self)) };
        let count = usize::from(self.registers());
        let words = words.get(..count).ok_or(DataError::Short(self))?;
        let mut bytes: Vec<u8> = words
            .iter()
            .flat_map(
                |&word| {
                    if self.swaps_bytes() { word.to_le_bytes() } else { word.to_be_bytes() }
                },
            )
            .take(usize::from(len))
            .collect();
        let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
        bytes.truncate(end);
        let text = String::from_utf8(bytes)
            .unwrap_or_else(|error| error.into_bytes().into_iter().map(char::from).collect());
        Ok(text.trim_end_matches(' ').to_owned())
    }

    /// Appends the registers that hold `text` in UTF-8, padded with NUL.
    ///
    /// # Errors
    ///
    /// [`DataError::Range`] for a text that is too long, of which nothing is appended;
    /// [`DataError::Kind`] for a type that is not text.
    pub fn encode_text(self, text: &str, words: &mut Vec<u16>) -> Result<(), DataError> {
        let Encoding::Str(len) = self.encoding else { return Err(DataError::Kind(self)) };
        if text.len() > usize::from(len) {
            return Err(DataError::Range(self));
        }
        let byte = |at: usize| text.as_bytes().get(at).copied().unwrap_or(0);
        words.extend((0..usize::from(self.registers())).map(|index| {
            let pair = [byte(index * 2), byte(index * 2 + 1)];
            if self.swaps_bytes() { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) }
        }));
        Ok(())
    }

    /// The registers that hold `value`. A float goes into an integer type rounded to the nearest,
    /// halves away from 0. A bit comes as a register with that bit alone: writing one into a
    /// register that others share is the caller's read-modify-write.
    ///
    /// # Errors
    ///
    /// The value does not fit the type.
    pub fn encode(self, value: Scalar) -> Result<Encoded, DataError> {
        let bits = match self.encoding {
            Encoding::Bit(position) => match value {
                Scalar::Bool(bit) => u64::from(bit) << (position & 15),
                _ => return Err(DataError::Kind(self)),
            },
            Encoding::F4 => {
                let wide = self.float(value)?;
                let single = wide as f32;
                if single.is_infinite() && wide.is_finite() {
                    return Err(DataError::Range(self));
                }
                u64::from(single.to_bits())
            }
            Encoding::F8 => self.float(value)?.to_bits(),
            Encoding::S1 => {
                // The whole register carries the sign, as devices with 16-bit registers read it.
                self.integer(value)? as i16 as u16 as u64
            }
            Encoding::Bcd2 | Encoding::Bcd4 | Encoding::Bcd8 => to_bcd(self.integer(value)?),
            Encoding::Str(_) => return Err(DataError::Kind(self)),
            _ => self.integer(value)? as u64,
        };
        let len = usize::from(self.registers());
        let mut words = [0u16; 4];
        for (place, shift) in words[..len].iter_mut().zip((0..len).rev()) {
            let word = (bits >> (16 * shift)) as u16;
            *place = if self.swaps_bytes() { word.swap_bytes() } else { word };
        }
        if self.swaps_words() {
            words[..len].reverse();
        }
        Ok(Encoded { words, len: self.registers() as u8 })
    }

    fn float(self, value: Scalar) -> Result<f64, DataError> {
        match value {
            Scalar::Bool(_) => Err(DataError::Kind(self)),
            Scalar::Int(_) | Scalar::Float(_) => Ok(value.to_f64()),
        }
    }

    fn integer(self, value: Scalar) -> Result<i64, DataError> {
        let number = match value {
            Scalar::Bool(_) => return Err(DataError::Kind(self)),
            Scalar::Int(number) => number,
            Scalar::Float(number) if number.is_nan() => return Err(DataError::Nan(self)),
            Scalar::Float(number) => {
                let rounded = number.round();
                // 2^63 itself is a float but not an i64.
                if !(-TWO_TO_63..TWO_TO_63).contains(&rounded) {
                    return Err(DataError::Range(self));
                }
                rounded as i64
            }
        };
        let (min, max) = self.range();
        if (min..=max).contains(&number) { Ok(number) } else { Err(DataError::Range(self)) }
    }

    const fn range(self) -> (i64, i64) {
        match self.encoding {
            Encoding::Bit(_) => (0, 1),
            Encoding::U1 => (0, u8::MAX as i64),
            Encoding::U2 => (0, u16::MAX as i64),
            Encoding::U4 => (0, u32::MAX as i64),
            Encoding::S1 => (i8::MIN as i64, i8::MAX as i64),
            Encoding::S2 => (i16::MIN as i64, i16::MAX as i64),
            Encoding::S4 => (i32::MIN as i64, i32::MAX as i64),
            Encoding::Bcd2 => (0, 9_999),
            Encoding::Bcd4 => (0, 99_999_999),
            Encoding::Bcd8 => (0, 9_999_999_999_999_999),
            Encoding::S8 | Encoding::F4 | Encoding::F8 | Encoding::Str(_) => (i64::MIN, i64::MAX),
        }
    }

    /// What the type holds, for a message.
    pub(crate) const fn range_text(self) -> &'static str {
        match self.encoding {
            Encoding::Bit(_) => "true or false",
            Encoding::U1 => "0 to 255",
            Encoding::U2 => "0 to 65535",
            Encoding::U4 => "0 to 4294967295",
            Encoding::S1 => "-128 to 127",
            Encoding::S2 => "-32768 to 32767",
            Encoding::S4 => "-2147483648 to 2147483647",
            Encoding::S8 => "-9223372036854775808 to 9223372036854775807",
            Encoding::F4 => "up to 3.4e38 in magnitude",
            Encoding::F8 => "any number",
            Encoding::Bcd2 => "0 to 9999",
            Encoding::Bcd4 => "0 to 99999999",
            Encoding::Bcd8 => "0 to 9999999999999999",
            Encoding::Str(_) => "that many bytes of UTF-8",
        }
    }

    const fn swaps_bytes(self) -> bool {
        matches!(self.order, Order::Little | Order::LittleBytes)
    }

    const fn swaps_words(self) -> bool {
        matches!(self.order, Order::Little | Order::LittleWords)
    }
}

impl FromStr for DataType {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(rest) = text.strip_prefix("bit") {
            if rest.is_empty() {
                return Ok(Self::BIT);
            }
            let digits = rest.strip_prefix(':').ok_or(AddressError::Type)?;
            let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            return match digits.parse() {
                Ok(position @ 0..=15u8) if plain => {
                    Ok(Self::new(Encoding::Bit(position), Order::Big))
                }
                _ => Err(AddressError::Bit),
            };
        }
        if let Some(rest) = text.strip_prefix("str") {
            return parse_text_type(rest);
        }
        let encoding = NAMES.iter().find(|(_, known)| text.starts_with(*known));
        let suffix = encoding.and_then(|(_, known)| text.strip_prefix(*known));
        let order = SUFFIXES.iter().find(|(_, known)| suffix == Some(*known));
        match (encoding, order) {
            (Some(&(encoding, _)), Some(&(order, _))) => Ok(Self::new(encoding, order)),
            _ => Err(AddressError::Type),
        }
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Encoding::Bit(position) = self.encoding {
            return write!(f, "bit:{position}");
        }
        if let Encoding::Str(len) = self.encoding {
            let suffix = if self.swaps_bytes() { "leb" } else { "" };
            return write!(f, "str{suffix}:{len}");
        }
        let name = NAMES.iter().find(|(known, _)| *known == self.encoding);
        let suffix = SUFFIXES.iter().find(|(known, _)| *known == self.order);
        f.write_str(name.map_or("", |(_, name)| name))?;
        f.write_str(suffix.map_or("", |(_, suffix)| suffix))
    }
}

/// What follows `str`: perhaps `leb`, then a colon and the number of bytes.
fn parse_text_type(rest: &str) -> Result<DataType, AddressError> {
    let (order, rest) = match rest.strip_prefix("leb") {
        Some(rest) => (Order::LittleBytes, rest),
        None => (Order::Big, rest),
    };
    let digits = rest.strip_prefix(':').ok_or(AddressError::Text)?;
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    match digits.parse() {
        Ok(len @ 1..=DataType::STR_LEN_MAX) if plain => {
            Ok(DataType::new(Encoding::Str(len), order))
        }
        _ => Err(AddressError::Text),
    }
}

/// The number whose decimal digits are the half bytes of `bits`.
fn from_bcd(bits: u64) -> Option<i64> {
    (0..16).rev().try_fold(0i64, |number, place| {
        let digit = (bits >> (4 * place) & 0xf) as i64;
        (digit <= 9).then(|| number * 10 + digit)
    })
}

/// The last sixteen decimal digits of a number that is not negative, as half bytes.
fn to_bcd(number: i64) -> u64 {
    let mut rest = number.unsigned_abs();
    (0..16).fold(0, |bits, place| {
        let digit = rest % 10;
        rest /= 10;
        bits | digit << (4 * place)
    })
}

const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

const NAMES: [(Encoding, &str); 12] = [
    (Encoding::U1, "u1"),
    (Encoding::U2, "u2"),
    (Encoding::U4, "u4"),
    (Encoding::S1, "s1"),
    (Encoding::S2, "s2"),
    (Encoding::S4, "s4"),
    (Encoding::S8, "s8"),
    (Encoding::F4, "f4"),
    (Encoding::F8, "f8"),
    (Encoding::Bcd2, "bcd2"),
    (Encoding::Bcd4, "bcd4"),
    (Encoding::Bcd8, "bcd8"),
];

const SUFFIXES: [(Order, &str); 4] = [
    (Order::Big, ""),
    (Order::Little, "le"),
    (Order::LittleBytes, "leb"),
    (Order::LittleWords, "lew"),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Vector = (&'static str, &'static [u16], Scalar, Option<&'static [u16]>);

    /// Vectors of Haxall's Modbus connector, as the specification of the driver lists them; the
    /// ones whose registers do not encode back name what they encode to.
    const VECTORS: &[Vector] = &[
        ("u1", &[0x00ff], Scalar::Int(255), None),
        ("u1", &[0xffff], Scalar::Int(255), Some(&[0x00ff])),
        ("u2", &[0x8000], Scalar::Int(32_768), None),
        ("u4", &[0xffff, 0xffff], Scalar::Int(4_294_967_295), None),
        ("s1", &[0x0080], Scalar::Int(-128), Some(&[0xff80])),
        ("s1", &[0x00ff], Scalar::Int(-1), Some(&[0xffff])),
        ("s2", &[0x8000], Scalar::Int(-32_768), None),
        ("s4", &[0x8000, 0x0000], Scalar::Int(-2_147_483_648), None),
        ("s4", &[0x7fff, 0xffff], Scalar::Int(2_147_483_647), None),
        ("s8", &[0, 0, 0xffff, 0xff0a], Scalar::Int(4_294_967_050), None),
        ("s8", &[0x8000, 0, 0, 0], Scalar::Int(i64::MIN), None),
        ("u2le", &[0xff00], Scalar::Int(255), None),
        ("u2le", &[0x0080], Scalar::Int(32_768), None),
        ("u2leb", &[0xff00], Scalar::Int(255), None),
        ("u2leb", &[0x0080], Scalar::Int(32_768), None),
        ("u2lew", &[0x00ff], Scalar::Int(255), None),
        ("u1le", &[0x0100], Scalar::Int(1), None),
        ("u1le", &[0xff00], Scalar::Int(255), None),
        ("u1leb", &[0x0100], Scalar::Int(1), None),
        ("u1leb", &[0xff00], Scalar::Int(255), None),
        ("u4le", &[0xff00, 0x0000], Scalar::Int(255), None),
        ("u4le", &[0x0080, 0x0000], Scalar::Int(32_768), None),
        ("u4leb", &[0x0000, 0xff00], Scalar::Int(255), None),
        ("u4leb", &[0x0000, 0x0080], Scalar::Int(32_768), None),
        ("u4lew", &[0x00ff, 0x0000], Scalar::Int(255), None),
        ("u4lew", &[0x8000, 0x0000], Scalar::Int(32_768), None),
        ("f4", &[0x3fc0, 0x0000], Scalar::Float(1.5), None),
        ("f4", &[0x4413, 0x4000], Scalar::Float(589.0), None),
        ("f4le", &[0x0000, 0xc03f], Scalar::Float(1.5), None),
        ("f4le", &[0x0040, 0x1344], Scalar::Float(589.0), None),
        ("f4lew", &[0x0000, 0x3fc0], Scalar::Float(1.5), None),
        ("f4leb", &[0xc03f, 0x0000], Scalar::Float(1.5), None),
        ("f8", &[0x4009, 0, 0, 0], Scalar::Float(3.125), None),
        ("f8", &[0x7ff0, 0, 0, 0], Scalar::Float(f64::INFINITY), None),
        ("f8le", &[0, 0, 0, 0x0940], Scalar::Float(3.125), None),
        ("f8leb", &[0x0940, 0, 0, 0], Scalar::Float(3.125), None),
        ("f8lew", &[0, 0, 0, 0x4009], Scalar::Float(3.125), None),
        ("s8le", &[0x0aff, 0xffff, 0, 0], Scalar::Int(4_294_967_050), None),
        ("bcd2", &[0x1234], Scalar::Int(1234), None),
        ("bcd2leb", &[0x3412], Scalar::Int(1234), None),
        ("bcd4", &[0x1234, 0x5678], Scalar::Int(12_345_678), None),
        ("bcd4lew", &[0x5678, 0x1234], Scalar::Int(12_345_678), None),
        ("bcd8", &[0x9999, 0, 0, 0x0001], Scalar::Int(9_999_000_000_000_001), None),
        ("bit", &[0x0001], Scalar::Bool(true), None),
        ("bit:0", &[0xfffe], Scalar::Bool(false), Some(&[0])),
        ("bit:4", &[0x0010], Scalar::Bool(true), None),
        ("bit:15", &[0x8000], Scalar::Bool(true), None),
    ];

    #[test]
    fn the_vectors_go_both_ways() {
        for &(name, words, value, back) in VECTORS {
            let data: DataType = name.parse().unwrap();
            assert_eq!(usize::from(data.registers()), words.len(), "{name}");
            assert_eq!(data.decode(words), Ok(value), "{name} {words:04x?}");
            let encoded = data.encode(value).unwrap();
            assert_eq!(encoded.as_slice(), back.unwrap_or(words), "{name} {value:?}");
            assert_eq!(data.decode(&words[1..]), Err(DataError::Short(data)));
        }
    }

    #[test]
    fn numbers_round_to_the_nearest_and_must_fit() {
        let encode = |name: &str, number| {
            let data: DataType = name.parse().unwrap();
            data.encode(Scalar::Float(number)).map(|words| words.as_slice().to_vec())
        };
        assert_eq!(encode("u2", 214.6), Ok(vec![215]));
        assert_eq!(encode("u2", 214.4), Ok(vec![214]));
        assert_eq!(encode("s2", -0.5), Ok(vec![0xffff]));
        assert_eq!(encode("u2", 65_535.4), Ok(vec![65_535]));
        for (name, number) in [
            ("u1", 256.0),
            ("u1", -1.0),
            ("u2", 65_535.5),
            ("u2", -0.6),
            ("u4", 4_294_967_296.0),
            ("s1", 128.0),
            ("s2", -32_769.0),
            ("s4", 2_147_483_648.0),
            ("s8", TWO_TO_63),
            ("s8", f64::NEG_INFINITY),
            ("f4", 1e300),
            ("bcd2", 10_000.0),
            ("bcd2", -1.0),
            ("bcd4", 1e8),
            ("bcd8", 1e16),
        ] {
            let data: DataType = name.parse().unwrap();
            assert_eq!(encode(name, number), Err(DataError::Range(data)), "{name} {number}");
        }
        assert_eq!(
            encode("u2", f64::NAN),
            Err(DataError::Nan(DataType::U2)),
            "NaN is no register value"
        );
        assert_eq!(encode("f4", f64::INFINITY), Ok(vec![0x7f80, 0]));
        assert_eq!(
            DataError::Range(DataType::U2).to_string(),
            "the value does not fit u2, which holds 0 to 65535"
        );
        let bit: DataType = "bit:3".parse().unwrap();
        assert_eq!(bit.encode(Scalar::Int(1)), Err(DataError::Kind(bit)));
        assert_eq!(DataType::U2.encode(Scalar::Bool(true)), Err(DataError::Kind(DataType::U2)));
    }

    #[test]
    fn names_read_back_and_others_are_refused() {
        for (_, name) in NAMES {
            for (_, suffix) in SUFFIXES {
                let text = format!("{name}{suffix}");
                assert_eq!(text.parse::<DataType>().unwrap().to_string(), text);
            }
        }
        for text in ["", "u", "u8", "u3", "f2", "f4be", "u2LE", "bitle", "bool", "é4"] {
            assert_eq!(text.parse::<DataType>(), Err(AddressError::Type), "{text}");
        }
        for text in ["bit:16", "bit:", "bit:-1", "bit:+1", "bit:x"] {
            assert_eq!(text.parse::<DataType>(), Err(AddressError::Bit), "{text}");
        }
    }

    #[test]
    fn what_is_no_decimal_digit_is_an_error() {
        for (name, words) in [("bcd2", &[0x12a4][..]), ("bcd4", &[0, 0xffff])] {
            let data: DataType = name.parse().unwrap();
            assert_eq!(data.decode(words), Err(DataError::Bcd(data)));
        }
    }

    #[test]
    fn texts_go_both_ways() {
        for (name, words, text) in [
            ("str:6", &[0x4142, 0x4344, 0x4546][..], "ABCDEF"),
            ("strleb:6", &[0x4241, 0x4443, 0x4645], "ABCDEF"),
            ("str:5", &[0x4142, 0x4344, 0x4500], "ABCDE"),
            ("str:4", &[0x4142, 0], "AB"),
            ("str:4", &[0xc3bc, 0xc3a4], "üä"),
            ("str:2", &[0], ""),
        ] {
            let data: DataType = name.parse().unwrap();
            assert_eq!(data.to_string(), name);
            assert_eq!(data.decode_text(words), Ok(text.to_owned()), "{name}");
            let mut encoded = Vec::new();
            data.encode_text(text, &mut encoded).unwrap();
            assert_eq!(encoded, words, "{name}");
            assert_eq!(data.decode_text(&words[1..]), Err(DataError::Short(data)));
            assert_eq!(data.encode_text("1234567", &mut encoded), Err(DataError::Range(data)));
            assert_eq!(data.decode(words), Err(DataError::Kind(data)));
        }
        let data: DataType = "str:4".parse().unwrap();
        assert_eq!(data.decode_text(&[0x4120, 0x2020]), Ok("A".to_owned()), "spaces are padding");
        assert_eq!(data.decode_text(&[0xfc41, 0x0042]), Ok("üA".to_owned()), "Latin-1 up to NUL");
        assert_eq!(DataType::U2.decode_text(&[1]), Err(DataError::Kind(DataType::U2)));
        for text in ["str", "str:", "str:0", "str:251", "str:+1", "strle:4", "str:4leb"] {
            assert_eq!(text.parse::<DataType>(), Err(AddressError::Text), "{text}");
        }
    }

    fn any_type() -> impl Strategy<Value = DataType> {
        (0..NAMES.len(), 0..SUFFIXES.len())
            .prop_map(|(name, suffix)| DataType::new(NAMES[name].0, SUFFIXES[suffix].0))
    }

    proptest! {
        #[test]
        fn what_registers_hold_survives_a_round_trip(data in any_type(), words: [u16; 4]) {
            let bcd = matches!(data.encoding, Encoding::Bcd2 | Encoding::Bcd4 | Encoding::Bcd8);
            let Ok(value) = data.decode(&words) else {
                prop_assert!(bcd);
                return Ok(());
            };
            prop_assume!(!value.to_f64().is_nan());
            let encoded = data.encode(value).unwrap();
            prop_assert_eq!(data.decode(encoded.as_slice()), Ok(value));
        }

        #[test]
        fn any_text_that_fits_comes_back_without_its_padding(text in "[a-zäß0-9 ]{0,20}", len in 1u8..=60, swapped: bool) {
            let order = if swapped { Order::LittleBytes } else { Order::Big };
            let data = DataType::new(Encoding::Str(len), order);
            let mut words = Vec::new();
            match data.encode_text(&text, &mut words) {
                Ok(()) => prop_assert_eq!(data.decode_text(&words), Ok(text.trim_end_matches(' ').to_owned())),
                Err(error) => prop_assert!(error == DataError::Range(data) && text.len() > usize::from(len)),
            }
        }

        #[test]
        fn any_number_encodes_to_itself_or_is_refused(data in any_type(), number: f64) {
            if let Ok(words) = data.encode(Scalar::Float(number)) {
                let back = data.decode(words.as_slice()).unwrap().to_f64();
                let near = (back - number).abs() <= 0.5
                    || (back - number).abs() <= number.abs() * 1e-6
                    || back == number
                    || (back.is_nan() && number.is_nan());
                prop_assert!(near, "{} became {}", number, back);
            }
        }
    }
}
