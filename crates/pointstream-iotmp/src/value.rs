use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt;

use crate::error::DecodeError;
use crate::pson::{self, Reader, Rules, Version};

/// A value that borrows the bytes it was decoded from.
///
/// Decoding checks the whole value once and allocates nothing; what a container holds is read when
/// it is asked for. Two values compare equal when they are written alike: compare what they mean as
/// [`Tree`](crate::Tree)s.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "these are the types of PSON")]
pub enum Value<'a> {
    /// Nothing.
    Null,
    /// Never set. Only PSON v1 tells it from nothing.
    Unset,
    /// True or false.
    Bool(bool),
    /// A number that is not negative.
    Unsigned(u64),
    /// A number that is negative, when it was decoded.
    Signed(i64),
    /// A floating point number. One with an integral value is read as an integer, as it is written.
    Float(f64),
    /// Text.
    Text(Text<'a>),
    /// Bytes.
    Bytes(&'a [u8]),
    /// Values in order.
    Array(Array<'a>),
    /// Values by name.
    Map(Map<'a>),
}

impl<'a> Value<'a> {
    /// The value at the start of `bytes` and how many bytes it takes.
    ///
    /// # Errors
    ///
    /// Nothing is allocated for what a length promises: it is checked against the bytes first.
    pub fn decode(
        version: Version,
        bytes: &'a [u8],
        rules: &Rules,
    ) -> Result<(Self, usize), DecodeError> {
        let mut reader = Reader::new(bytes);
        let value = pson::read(version, &mut reader, rules)?;
        Ok((value, reader.at()))
    }

    /// Whether it is nothing or was never set.
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::Null | Self::Unset)
    }

    /// The truth value that it is.
    pub const fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(truth) = *self { Some(truth) } else { None }
    }

    /// The whole number from 0 on that it is.
    pub const fn as_u64(&self) -> Option<u64> {
        if let Self::Unsigned(number) = *self { Some(number) } else { None }
    }

    /// The number that it is, rounded where an `f64` cannot hold it.
    pub const fn as_f64(&self) -> Option<f64> {
        match *self {
            Self::Unsigned(number) => Some(number as f64),
            Self::Signed(number) => Some(number as f64),
            Self::Float(number) => Some(number),
            _ => None,
        }
    }

    /// The text that it is, if that is UTF-8.
    pub fn as_str(&self) -> Option<&'a str> {
        if let Self::Text(text) = self { text.as_str() } else { None }
    }

    /// The array that it is.
    pub const fn as_array(&self) -> Option<Array<'a>> {
        if let Self::Array(array) = *self { Some(array) } else { None }
    }

    /// The map that it is.
    pub const fn as_map(&self) -> Option<Map<'a>> {
        if let Self::Map(map) = *self { Some(map) } else { None }
    }
}

/// Text as it stands on the wire, which should be UTF-8 and need not be.
#[derive(Clone, Copy, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Text<'a>(&'a [u8]);

impl<'a> Text<'a> {
    /// Text of these bytes.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// The text, if it is UTF-8.
    pub fn as_str(&self) -> Option<&'a str> {
        core::str::from_utf8(self.0).ok()
    }

    /// The text, with replacement characters for what is not UTF-8.
    pub fn to_str_lossy(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.0)
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(text.as_bytes())
    }
}

impl PartialEq<str> for Text<'_> {
    #[inline]
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_str_lossy(), f)
    }
}

/// Values in order.
#[derive(Clone, Copy, PartialEq)]
pub struct Array<'a> {
    contents: Contents<'a>,
}

impl<'a> Array<'a> {
    pub(crate) const fn new(version: Version, raw: &'a [u8], count: u32) -> Self {
        Self { contents: Contents { version, raw, count } }
    }

    pub(crate) const fn contents(&self) -> Contents<'a> {
        self.contents
    }

    /// How many there are. Counts them where the wire does not say.
    pub fn len(&self) -> usize {
        match self.contents.version {
            Version::V1 => self.iter().count(),
            Version::V2 => self.contents.count as usize,
        }
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.contents.raw.is_empty()
    }

    /// The values in order.
    pub fn iter(&self) -> Items<'a> {
        Items { inside: self.contents.inside() }
    }
}

/// Values by name. Their order has no meaning; where a name comes twice, the last counts.
#[derive(Clone, Copy, PartialEq)]
pub struct Map<'a> {
    contents: Contents<'a>,
}

impl<'a> Map<'a> {
    pub(crate) const fn new(version: Version, raw: &'a [u8], count: u32) -> Self {
        Self { contents: Contents { version, raw, count } }
    }

    /// Gives the entries of the map at the start of `bytes` to `each`, in one pass: each when it is
    /// checked, before what follows it is. Gives how many bytes the map takes, and nothing if there is
    /// another value.
    ///
    /// # Errors
    ///
    /// As [`Value::decode`], which looks at all bytes before it gives anything. What `each` was given
    /// before is to be thrown away then.
    #[inline]
    pub fn read(
        version: Version,
        bytes: &'a [u8],
        rules: &Rules,
        each: impl FnMut(Text<'a>, Value<'a>),
    ) -> Result<Option<usize>, DecodeError> {
        let mut reader = Reader::new(bytes);
        let is_map = pson::read_map(version, &mut reader, rules, each)?;
        Ok(is_map.then_some(reader.at()))
    }

    pub(crate) const fn contents(&self) -> Contents<'a> {
        self.contents
    }

    /// How many entries there are, repeated names included. Counts them where the wire does not
    /// say.
    pub fn len(&self) -> usize {
        match self.contents.version {
            Version::V1 => self.iter().count(),
            Version::V2 => self.contents.count as usize,
        }
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.contents.raw.is_empty()
    }

    /// The entries as they are written.
    pub fn iter(&self) -> Entries<'a> {
        Entries { inside: self.contents.inside() }
    }

    /// The value of this name. Looks through all entries.
    pub fn get(&self, name: &str) -> Option<Value<'a>> {
        let named = self.iter().filter(|(key, _)| key == name);
        named.last().map(|(_, value)| value)
    }
}

impl fmt::Debug for Array<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl fmt::Debug for Map<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<'a> IntoIterator for Array<'a> {
    type Item = Value<'a>;
    type IntoIter = Items<'a>;

    fn into_iter(self) -> Items<'a> {
        self.iter()
    }
}

impl<'a> IntoIterator for Map<'a> {
    type Item = (Text<'a>, Value<'a>);
    type IntoIter = Entries<'a>;

    fn into_iter(self) -> Entries<'a> {
        self.iter()
    }
}

/// The values of an [`Array`].
#[derive(Clone, Debug)]
pub struct Items<'a> {
    inside: Inside<'a>,
}

impl<'a> Iterator for Items<'a> {
    type Item = Value<'a>;

    #[inline]
    fn next(&mut self) -> Option<Value<'a>> {
        self.inside.next_value()
    }
}

/// The entries of a [`Map`].
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    inside: Inside<'a>,
}

impl<'a> Iterator for Entries<'a> {
    type Item = (Text<'a>, Value<'a>);

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let key = self.inside.next_key()?;
        Some((key, self.inside.next_value()?))
    }
}

/// The bytes of a container, which were checked when they were decoded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Contents<'a> {
    pub(crate) version: Version,
    pub(crate) raw: &'a [u8],
    /// How many items, where the version says it on the wire.
    pub(crate) count: u32,
}

impl<'a> Contents<'a> {
    const fn inside(&self) -> Inside<'a> {
        Inside { version: self.version, rest: self.raw }
    }
}

#[derive(Clone, Debug)]
struct Inside<'a> {
    version: Version,
    rest: &'a [u8],
}

impl<'a> Inside<'a> {
    #[inline(always)]
    fn next_key(&mut self) -> Option<Text<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        pson::reread_key(self.version, &mut self.rest).map(Text::new)
    }

    #[inline(always)]
    fn next_value(&mut self) -> Option<Value<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        pson::reread(self.version, &mut self.rest)
    }
}
