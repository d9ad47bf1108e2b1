//! Modbus TCP framing: the 7-byte MBAP header and the protocol data unit behind it.
//!
//! Modbus Messaging on TCP/IP Implementation Guide V1.0b, section 3.1.3.

use crate::error::FrameError;
use crate::pdu::PDU_LEN_MAX;

/// The length of a header.
pub const HEADER_LEN: usize = 7;
/// The longest frame, header included.
pub const ADU_LEN_MAX: usize = HEADER_LEN + PDU_LEN_MAX;

/// What a frame's header says beyond its length.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the two fields of the wire format")]
pub struct Header {
    /// The number that an answer has in common with its request.
    pub transaction: u16,
    /// The unit asked or answering.
    pub unit: u8,
}

/// One whole frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the two parts of the wire format")]
pub struct Frame<'a> {
    /// Its header.
    pub header: Header,
    /// Its protocol data unit, 1 to 253 bytes.
    pub pdu: &'a [u8],
}

/// Appends a frame to `out`: the header, and what `pdu` appends for the protocol data unit. When
/// `pdu` fails, `out` is as it was.
pub fn encode<E>(
    header: Header,
    out: &mut Vec<u8>,
    pdu: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let start = out.len();
    out.extend(header.transaction.to_be_bytes());
    out.extend([0, 0, 0, 0, header.unit]);
    if let Err(error) = pdu(out) {
        out.truncate(start);
        return Err(error);
    }
    let len = out.len() - start - HEADER_LEN;
    debug_assert!((1..=PDU_LEN_MAX).contains(&len), "a protocol data unit of {len} bytes");
    let len = u16::try_from(len + 1).unwrap_or(u16::MAX);
    if let Some(place) = out.get_mut(start + 4..start + 6) {
        place.copy_from_slice(&len.to_be_bytes());
    }
    Ok(())
}

/// Finds frames in a stream of bytes, however it is split.
///
/// Holds at most one frame. The header is checked as soon as its bytes are there, so a length that
/// no frame has is refused before anything is kept for it.
#[derive(Clone, Debug)]
pub struct Decoder {
    buffer: [u8; ADU_LEN_MAX],
    len: usize,
    /// Whether the buffer holds a frame that was given out and is to be forgotten.
    given: bool,
    broken: Option<FrameError>,
}

impl Decoder {
    /// A decoder at the start of a stream.
    pub const fn new() -> Self {
        Self { buffer: [0; ADU_LEN_MAX], len: 0, given: false, broken: None }
    }

    /// Takes bytes from the front of `input` until there is a whole frame or no byte is left.
    ///
    /// Call it again with the rest until it answers `None`.
    ///
    /// # Errors
    ///
    /// The stream is not Modbus TCP. Every later call gives the same error.
    pub fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Frame<'_>>, FrameError> {
        if core::mem::take(&mut self.given) {
            self.len = 0;
        }
        loop {
            if let Some(error) = self.broken {
                return Err(error);
            }
            let wanted = match self.frame_len() {
                Ok(wanted) => wanted,
                Err(error) => {
                    self.broken = Some(error);
                    return Err(error);
                }
            };
            if self.len == wanted && self.len > HEADER_LEN {
                self.given = true;
                return Ok(Some(self.frame(wanted)));
            }
            let count = input.len().min(wanted - self.len);
            if count == 0 {
                return Ok(None);
            }
            let (taken, rest) = input.split_at(count);
            self.buffer[self.len..self.len + count].copy_from_slice(taken);
            self.len += count;
            *input = rest;
        }
    }

    /// Whether a part of a frame is waiting for its rest.
    pub const fn is_partial(&self) -> bool {
        self.len > 0 && !self.given
    }

    /// How many bytes to have before looking again: those of the header's next field until its
    /// length is known, then those of the whole frame.
    fn frame_len(&self) -> Result<usize, FrameError> {
        let word = |at: usize| u16::from_be_bytes([self.buffer[at], self.buffer[at + 1]]);
        if self.len < 4 {
            return Ok(4);
        }
        match word(2) {
            0 => {}
            protocol => return Err(FrameError::Protocol(protocol)),
        }
        if self.len < 6 {
            return Ok(6);
        }
        match word(4) {
            len @ LENGTH_MIN..=LENGTH_MAX => Ok(HEADER_LEN - 1 + usize::from(len)),
            len => Err(FrameError::Length(len)),
        }
    }

    fn frame(&self, len: usize) -> Frame<'_> {
        let transaction = u16::from_be_bytes([self.buffer[0], self.buffer[1]]);
        let header = Header { transaction, unit: self.buffer[HEADER_LEN - 1] };
        Frame { header, pdu: &self.buffer[HEADER_LEN..len] }
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

/// The unit and a function code.
const LENGTH_MIN: u16 = 2;
/// The unit and the longest protocol data unit.
const LENGTH_MAX: u16 = 254;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(chunks: &[&[u8]]) -> (Vec<(Header, Vec<u8>)>, Option<FrameError>) {
        let mut decoder = Decoder::new();
        let mut frames = Vec::new();
        for chunk in chunks {
            let mut input = *chunk;
            loop {
                match decoder.decode(&mut input) {
                    Ok(Some(frame)) => frames.push((frame.header, frame.pdu.to_vec())),
                    Ok(None) => break,
                    Err(error) => return (frames, Some(error)),
                }
            }
            assert!(input.is_empty(), "bytes were left without need");
        }
        (frames, None)
    }

    fn frame(transaction: u16, unit: u8, pdu: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encode(Header { transaction, unit }, &mut out, |out| {
            out.extend(pdu);
            Ok::<_, ()>(())
        })
        .unwrap();
        out
    }

    #[test]
    fn the_example_of_the_guide_decodes() {
        let bytes = [0x15, 0x01, 0x00, 0x00, 0x00, 0x06, 0xff, 0x03, 0x00, 0x04, 0x00, 0x01];
        let header = Header { transaction: 0x1501, unit: 0xff };
        assert_eq!(all(&[&bytes]), (vec![(header, bytes[7..].to_vec())], None));
        assert_eq!(frame(0x1501, 0xff, &bytes[7..]), bytes);
    }

    #[test]
    fn lengths_at_the_limits() {
        for (len, ok) in [(0u16, false), (1, false), (2, true), (254, true), (255, false)] {
            let mut bytes = vec![0, 1, 0, 0];
            bytes.extend(len.to_be_bytes());
            bytes.resize(6 + usize::from(len), 7);
            let (frames, error) = all(&[&bytes]);
            assert_eq!(frames.len(), usize::from(ok), "{len}");
            assert_eq!(error, (!ok).then_some(FrameError::Length(len)));
        }
        assert_eq!(frame(1, 1, &[0; PDU_LEN_MAX]).len(), ADU_LEN_MAX);
    }

    #[test]
    fn a_broken_stream_stays_broken() {
        let mut decoder = Decoder::new();
        let error = Err(FrameError::Protocol(0x5450));
        assert_eq!(decoder.decode(&mut &b"HTTP/1.1 400"[..]), error);
        assert_eq!(decoder.decode(&mut &frame(1, 1, &[1])[..]), error);
    }

    #[test]
    fn an_encoder_that_fails_leaves_no_bytes() {
        let mut out = vec![9];
        let header = Header { transaction: 1, unit: 1 };
        let failed = encode(header, &mut out, |out| {
            out.push(1);
            Err("no")
        });
        assert_eq!((failed, out), (Err("no"), vec![9]));
    }

    proptest! {
        #[test]
        fn any_split_decodes_alike(
            pdus in prop::collection::vec((any::<u16>(), any::<u8>(), prop::collection::vec(any::<u8>(), 1..=PDU_LEN_MAX)), 1..5),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let bytes: Vec<u8> = pdus.iter().flat_map(|(t, u, pdu)| frame(*t, *u, pdu)).collect();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.sort_unstable();
            let mut chunks = Vec::new();
            let mut from = 0;
            for cut in cuts {
                chunks.push(&bytes[from..cut]);
                from = cut;
            }
            chunks.push(&bytes[from..]);
            let expected: Vec<_> = pdus
                .into_iter()
                .map(|(transaction, unit, pdu)| (Header { transaction, unit }, pdu))
                .collect();
            prop_assert_eq!(all(&chunks), (expected, None));
        }

        #[test]
        fn garbage_never_panics_and_decodes_alike_in_single_bytes(
            bytes in prop::collection::vec(any::<u8>(), 0..600),
        ) {
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(all(&[&bytes]), all(&single));
        }
    }
}
