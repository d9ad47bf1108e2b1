//! The wire format of Protocol Buffers, as far as Sparkplug's messages need it.
//!
//! Source: Protocol Buffers documentation, "Encoding".

use super::DecodeError;

/// The bytes of one message, read field by field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

/// What a field holds, by its wire type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    Len(&'a [u8]),
    Fixed32(u32),
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next field with its number; none at the end of the message.
    pub(crate) fn next(&mut self) -> Result<Option<(u32, Field<'a>)>, DecodeError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = u32::try_from(self.varint()?).map_err(|_| DecodeError::Tag)?;
        let number = tag >> 3;
        if number == 0 {
            return Err(DecodeError::Tag);
        }
        let field = match tag & 7 {
            0 => Field::Varint(self.varint()?),
            1 => Field::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let len = usize::try_from(self.varint()?).map_err(|_| DecodeError::Truncated)?;
                Field::Len(self.take(len)?)
            }
            5 => Field::Fixed32(u32::from_le_bytes(self.array()?)),
            // Groups (3, 4) are not part of these messages; 6 and 7 do not exist.
            _ => return Err(DecodeError::WireType),
        };
        Ok(Some((number, field)))
    }

    /// The next number of a packed list.
    pub(crate) fn packed(&mut self) -> Result<Option<u64>, DecodeError> {
        if self.0.is_empty() { Ok(None) } else { self.varint().map(Some) }
    }

    fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            // The tenth byte has one bit of the 64.
            if shift == 63 && byte > 1 {
                return Err(DecodeError::Varint);
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(DecodeError::Varint)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(*taken)
    }
}

impl<'a> Field<'a> {
    pub(crate) fn u64(self) -> Result<u64, DecodeError> {
        match self {
            Self::Varint(value) => Ok(value),
            _ => Err(DecodeError::WireType),
        }
    }

    /// The low 32 bits, as every reader of these messages takes them: a negative number that was
    /// widened to 64 bits is still itself.
    pub(crate) fn u32(self) -> Result<u32, DecodeError> {
        self.u64().map(|value| value as u32)
    }

    pub(crate) fn bool(self) -> Result<bool, DecodeError> {
        self.u64().map(|value| value != 0)
    }

    pub(crate) fn f32(self) -> Result<f32, DecodeError> {
        match self {
            Self::Fixed32(bits) => Ok(f32::from_bits(bits)),
            _ => Err(DecodeError::WireType),
        }
    }

    pub(crate) fn f64(self) -> Result<f64, DecodeError> {
        match self {
            Self::Fixed64(bits) => Ok(f64::from_bits(bits)),
            _ => Err(DecodeError::WireType),
        }
    }

    pub(crate) fn bytes(self) -> Result<&'a [u8], DecodeError> {
        match self {
            Self::Len(bytes) => Ok(bytes),
            _ => Err(DecodeError::WireType),
        }
    }

    pub(crate) fn str(self) -> Result<&'a str, DecodeError> {
        core::str::from_utf8(self.bytes()?).map_err(|_| DecodeError::Utf8)
    }
}

/// A message being written.
#[derive(Debug, Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn tag(&mut self, number: u32, wire_type: u32) {
        self.varint(u64::from(number << 3 | wire_type));
    }

    pub(crate) fn u64(&mut self, number: u32, value: u64) {
        self.tag(number, 0);
        self.varint(value);
    }

    pub(crate) fn f32(&mut self, number: u32, value: f32) {
        self.tag(number, 5);
        self.0.extend(value.to_bits().to_le_bytes());
    }

    pub(crate) fn f64(&mut self, number: u32, value: f64) {
        self.tag(number, 1);
        self.0.extend(value.to_bits().to_le_bytes());
    }

    pub(crate) fn bytes(&mut self, number: u32, bytes: &[u8]) {
        self.tag(number, 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// A message within this one.
    pub(crate) fn message(&mut self, number: u32, write: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        write(&mut inner);
        self.bytes(number, &inner.0);
    }

    /// A flag, which is left out where it is not set.
    pub(crate) fn flag(&mut self, number: u32, value: bool) {
        if value {
            self.u64(number, 1);
        }
    }

    pub(crate) fn opt_u64(&mut self, number: u32, value: Option<u64>) {
        if let Some(value) = value {
            self.u64(number, value);
        }
    }

    pub(crate) fn opt_str(&mut self, number: u32, value: Option<&str>) {
        if let Some(value) = value {
            self.bytes(number, value.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<(u32, Field<'_>)>, DecodeError> {
        let mut reader = Reader::new(bytes);
        let mut fields = Vec::new();
        while let Some(field) = reader.next()? {
            fields.push(field);
        }
        Ok(fields)
    }

    #[test]
    fn the_examples_of_the_documentation() {
        // "Encoding": field 1 is 150; field 2 is "testing".
        assert_eq!(read(&[0x08, 0x96, 0x01]), Ok(vec![(1, Field::Varint(150))]));
        let testing = b"\x12\x07testing";
        assert_eq!(read(testing), Ok(vec![(2, Field::Len(b"testing"))]));
        let mut writer = Writer::default();
        writer.u64(1, 150);
        writer.bytes(2, b"testing");
        assert_eq!(writer.0, [&[0x08, 0x96, 0x01][..], testing].concat());
    }

    #[test]
    fn what_is_no_message_is_told() {
        let cases: [(&[u8], DecodeError); 9] = [
            (&[0x08], DecodeError::Truncated),
            (&[0x08, 0x96], DecodeError::Truncated),
            (&[0x12, 0x02, 0x61], DecodeError::Truncated),
            (&[0x0d, 0, 0, 0], DecodeError::Truncated),
            (&[0x09, 0, 0, 0, 0, 0, 0, 0], DecodeError::Truncated),
            (&[0x00, 0x01], DecodeError::Tag),
            (&[0x0b], DecodeError::WireType),
            (&[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2], DecodeError::Varint),
            (&[0x12, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1], DecodeError::Truncated),
        ];
        for (bytes, error) in cases {
            assert_eq!(read(bytes), Err(error), "{bytes:02x?}");
        }
        let most = [0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1];
        assert_eq!(read(&most), Ok(vec![(1, Field::Varint(u64::MAX))]));
    }
}
