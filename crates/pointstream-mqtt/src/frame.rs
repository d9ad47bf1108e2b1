//! Packets in a stream of bytes: a first byte, a length of one to four bytes, and a body.

use crate::error::{DecodeError, Malformed};
use crate::packet::reader::Reader;

/// The longest packet that is read unless told otherwise, its fixed header included.
pub const PACKET_LEN_MAX: usize = 1024 * 1024;

/// How many bytes a fixed header has at most.
pub const HEADER_LEN_MAX: usize = 5;

/// A packet whose body has not been looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Frame<'a> {
    /// The first byte: type and flags.
    pub first: u8,
    /// Everything behind the fixed header.
    pub body: &'a [u8],
    /// How long the whole packet is.
    pub len: usize,
}

/// The start of a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Header {
    /// The first byte: type and flags.
    pub first: u8,
    /// How long the fixed header is.
    pub header_len: usize,
    /// How long the whole packet is.
    pub len: usize,
}

/// The fixed header at the start of `bytes`; `None` while it is not whole.
///
/// # Errors
///
/// A length of more than four bytes.
pub fn header(bytes: &[u8]) -> Result<Option<Header>, DecodeError> {
    let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
    let rest = rest.get(..HEADER_LEN_MAX - 1).unwrap_or(rest);
    let mut reader = Reader::new(rest);
    match reader.varint() {
        Ok(body_len) => {
            let header_len = 1 + reader.at();
            Ok(Some(Header { first, header_len, len: header_len + body_len as usize }))
        }
        Err(error) if error.kind == Malformed::Short => Ok(None),
        Err(_) => Err(DecodeError::new(1, Malformed::Length)),
    }
}

/// The packet at the start of `bytes`; `None` while it is not whole.
///
/// # Errors
///
/// A length that is none, or more than `packet_len_max`: both are found as soon as the length is
/// there.
pub fn frame(bytes: &[u8], packet_len_max: usize) -> Result<Option<Frame<'_>>, DecodeError> {
    let Some(Header { first, header_len, len }) = header(bytes)? else { return Ok(None) };
    if len > packet_len_max {
        return Err(DecodeError::new(1, Malformed::PacketLen { len, max: packet_len_max }));
    }
    Ok(bytes.get(header_len..len).map(|body| Frame { first, body, len }))
}
