use core::fmt;

use crate::error::{DecodeError, Malformed};
use crate::frame::Frame;
use crate::pson::{Reader, Version};

/// One of the ways in which devices speak. A connection keeps the one that it began with: no client
/// understands another.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Dialect {
    /// What IOTMP grew out of: the Arduino library up to 2025.
    Old,
    /// IOTMP with PSON v1: Linux clients of 2023 to January 2026.
    Iotmp1,
    /// IOTMP with PSON v2: everything since.
    Iotmp2,
}

impl Dialect {
    /// The dialect of a connection, from the first frame that its client sends.
    ///
    /// # Errors
    ///
    /// The frame is none that begins a connection, or a field's wire type belongs to no dialect.
    pub fn of_first_frame(frame: &Frame<'_>) -> Result<Self, DecodeError> {
        match frame.code {
            0x01 => Ok(Self::Old),
            0x03 => match first_wire(frame.body) {
                None | Some((2, _)) => Ok(Self::Iotmp2),
                Some((1, _)) => Ok(Self::Iotmp1),
                Some((wire, at)) => {
                    Err(DecodeError::new(at, Malformed::Wire(wire)).behind(frame.header_len()))
                }
            },
            code => Err(DecodeError::new(0, Malformed::Type(u64::from(code)))),
        }
    }

    /// The dialect of a frame of which the connection is not known: that of its first field that
    /// says it. A frame of varints counts as IOTMP-2.
    pub fn of_lone_frame(frame: &Frame<'_>) -> Self {
        match first_wire(frame.body) {
            Some((6, _)) => Self::Old,
            Some((1, _)) => Self::Iotmp1,
            _ => Self::Iotmp2,
        }
    }

    /// The version of PSON that its values are written in.
    pub const fn version(self) -> Version {
        match self {
            Self::Old | Self::Iotmp1 => Version::V1,
            Self::Iotmp2 => Version::V2,
        }
    }

    /// The wire type of its PSON values.
    pub(crate) const fn wire(self) -> u8 {
        match self {
            Self::Old => 6,
            Self::Iotmp1 => 1,
            Self::Iotmp2 => 2,
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Old => "the old dialect",
            Self::Iotmp1 => "IOTMP-1",
            Self::Iotmp2 => "IOTMP-2",
        })
    }
}

/// The first wire type that is not varint and where its key stands, if the body is sound up to it.
fn first_wire(body: &[u8]) -> Option<(u8, usize)> {
    let mut reader = Reader::new(body);
    while reader.left() > 0 {
        let at = reader.at();
        let wire = (reader.varint().ok()? & 7) as u8;
        if wire != 0 {
            return Some((wire, at));
        }
        reader.varint().ok()?;
    }
    None
}
