use crate::error::{DecodeError, EncodeError, Malformed};

/// Reads the data representations of MQTT 5 section 1.5 from a packet's body.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(taken) = rest.get(..len) else { return Err(self.fail(Malformed::Short)) };
        self.at += len;
        Ok(taken)
    }

    pub(crate) fn rest(&mut self) -> &'a [u8] {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        self.at = self.bytes.len();
        rest
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let at = self.at;
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| DecodeError::new(at, Malformed::Short))
    }

    pub(crate) fn byte(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn two(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn four(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    /// A packet id, which is not zero.
    pub(crate) fn packet_id(&mut self) -> Result<u16, DecodeError> {
        let at = self.at;
        match self.two()? {
            0 => Err(DecodeError::new(at, Malformed::PacketId)),
            id => Ok(id),
        }
    }

    pub(crate) fn varint(&mut self) -> Result<u32, DecodeError> {
        let at = self.at;
        let mut value = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::new(at, Malformed::Length))
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.two()?;
        self.take(len.into())
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, DecodeError> {
        let at = self.at;
        let bytes = self.bytes()?;
        match core::str::from_utf8(bytes) {
            Ok(text) if !bytes.contains(&0) => Ok(text),
            _ => Err(DecodeError::new(at, Malformed::Text)),
        }
    }

    pub(crate) const fn fail(&self, kind: Malformed) -> DecodeError {
        DecodeError::new(self.at, kind)
    }

    /// Nothing may follow.
    pub(crate) const fn end(&self) -> Result<(), DecodeError> {
        match self.is_empty() {
            true => Ok(()),
            false => Err(self.fail(Malformed::Rest)),
        }
    }
}

/// The largest number that a varint holds.
pub(crate) const VARINT_MAX: u32 = (1 << 28) - 1;

pub(crate) fn write_varint(mut value: u32, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    if value > VARINT_MAX {
        return Err(EncodeError::PacketLen);
    }
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    Ok(())
}

pub(crate) fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let len = u16::try_from(bytes.len()).map_err(|_| EncodeError::FieldLen)?;
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

pub(crate) fn write_text(text: &str, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    if text.bytes().any(|byte| byte == 0) {
        return Err(EncodeError::Text);
    }
    write_bytes(text.as_bytes(), out)
}
