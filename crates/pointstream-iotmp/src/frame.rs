//! Frames: a type, a size and a body of that many bytes.

use alloc::vec::Vec;

use crate::error::{DecodeError, Malformed};
use crate::varint;

/// The largest body that is read unless told otherwise.
pub const BODY_LEN_MAX: usize = 64 * 1024;
/// The largest body that a frame can say so that every client reads its size.
pub const BODY_LEN_SAYABLE: usize = (1 << 28) - 1;

/// The longest size, in bytes.
const SIZE_LEN_MAX: usize = 5;
/// The largest message type of any dialect.
const CODE_MAX: u8 = 0x0a;

/// One whole frame, its body not looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Frame<'a> {
    /// What kind of message it is, by a number that depends on the dialect.
    pub code: u8,
    /// Its fields.
    pub body: &'a [u8],
    header_len: u8,
}

impl Frame<'_> {
    /// How many bytes stand in front of the body.
    pub const fn header_len(&self) -> usize {
        self.header_len as usize
    }

    /// How long the whole frame is.
    pub const fn size(&self) -> usize {
        self.header_len() + self.body.len()
    }
}

/// The frame at the start of `bytes`; `None` while it is not whole.
///
/// # Errors
///
/// The type and the size are judged as soon as they are there.
pub fn decode(bytes: &[u8], body_len_max: usize) -> Result<Option<Frame<'_>>, DecodeError> {
    let Some(header) = Header::decode(bytes, body_len_max)? else { return Ok(None) };
    Ok(header.of(bytes))
}

/// Finds frames in a stream of bytes, however it is split.
///
/// Keeps at most one frame and never more than has arrived. After an error, the stream cannot be
/// understood any more.
#[derive(Clone, Debug)]
pub struct Decoder {
    body_len_max: usize,
    kept: Vec<u8>,
    /// Whether what is kept was given away as a frame.
    given: bool,
}

impl Decoder {
    /// A decoder at the start of a stream.
    pub const fn new(body_len_max: usize) -> Self {
        Self { body_len_max, kept: Vec::new(), given: false }
    }

    /// Changes the largest body that is read, from the next header on.
    pub const fn set_body_len_max(&mut self, body_len_max: usize) {
        self.body_len_max = body_len_max;
    }

    /// The next frame in what is kept and `input`, which is moved past what was used of it. `None`
    /// when all of it was used and the frame is not whole.
    ///
    /// # Errors
    ///
    /// The stream is broken: the same error comes for whatever follows.
    pub fn decode<'s, 'i: 's>(
        &'s mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Frame<'s>>, DecodeError> {
        if self.given {
            self.given = false;
            self.kept.clear();
            // One large frame does not cost a quiet connection its memory for ever.
            self.kept.shrink_to(KEPT_CAPACITY);
        }
        if self.kept.is_empty() {
            let whole = Header::decode(input, self.body_len_max)?.and_then(|it| it.of(input));
            if let Some(frame) = whole {
                *input = input.get(frame.size()..).unwrap_or_default();
                return Ok(Some(frame));
            }
        }
        loop {
            let header = Header::decode(&self.kept, self.body_len_max)?;
            let missing = match &header {
                None => 1,
                Some(header) => header.size() - self.kept.len(),
            };
            if missing == 0 {
                break;
            }
            if input.is_empty() {
                return Ok(None);
            }
            let (taken, rest) = input.split_at(missing.min(input.len()));
            self.kept.extend_from_slice(taken);
            *input = rest;
        }
        self.given = true;
        decode(&self.kept, self.body_len_max)
    }
}

/// How much room a decoder keeps between frames.
const KEPT_CAPACITY: usize = 256;

struct Header {
    code: u8,
    len: usize,
    body_len: usize,
}

impl Header {
    fn decode(bytes: &[u8], body_len_max: usize) -> Result<Option<Self>, DecodeError> {
        let Some((&code, rest)) = bytes.split_first() else { return Ok(None) };
        if code == 0 || code > CODE_MAX {
            return Err(DecodeError::new(0, Malformed::Type(u64::from(code))));
        }
        let rest = rest.get(..SIZE_LEN_MAX).unwrap_or(rest);
        let (size, size_len) = match varint::decode(rest) {
            Ok(size) => size,
            Err(_) if rest.len() < SIZE_LEN_MAX => return Ok(None),
            Err(_) => return Err(DecodeError::new(1, Malformed::Varint)),
        };
        let body_len = usize::try_from(size).ok().filter(|&len| len <= body_len_max);
        let error = DecodeError::new(1, Malformed::BodyLen { len: size, max: body_len_max });
        Ok(Some(Self { code, len: 1 + size_len, body_len: body_len.ok_or(error)? }))
    }

    const fn size(&self) -> usize {
        self.len + self.body_len
    }

    fn of<'a>(&self, bytes: &'a [u8]) -> Option<Frame<'a>> {
        let body = bytes.get(self.len..self.size())?;
        Some(Frame { code: self.code, body, header_len: self.len as u8 })
    }
}
