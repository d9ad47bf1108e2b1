use bytes::Bytes;
use flate2::{Compress, Compression, Crc, FlushCompress, Status};

use crate::Adler;

/// Bytes as blocks of a deflate stream (RFC 1951) that stand for themselves: they refer to nothing
/// before them, nothing after them refers to them, and they end at a byte. So one packing of an event
/// can be a part of every subscriber's stream.
#[derive(Debug)]
pub struct Packed {
    bytes: Bytes,
    crc: Crc,
    adler: Adler,
}

impl Packed {
    /// Packs `text`, which is seldom worth while below some hundred bytes.
    pub(crate) fn new(text: &[u8]) -> Self {
        let mut compress = Compress::new(Compression::new(LEVEL), false);
        let mut bytes = Vec::with_capacity(text.len() / 2 + ROOM);
        let mut rest = text;
        loop {
            let before = compress.total_in();
            let status = compress.compress_vec(rest, &mut bytes, FlushCompress::Full);
            let taken = usize::try_from(compress.total_in() - before).unwrap_or(usize::MAX);
            rest = rest.get(taken..).unwrap_or_default();
            // With room left, the flush is done.
            if status.is_err() || rest.is_empty() && bytes.len() < bytes.capacity() {
                debug_assert!(matches!(status, Ok(Status::Ok)), "packing cannot fail");
                break;
            }
            bytes.reserve(ROOM);
        }
        let mut crc = Crc::new();
        crc.update(text);
        let mut adler = Adler::new();
        adler.update(text);
        Self { bytes: bytes.into(), crc, adler }
    }

    /// The blocks.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The checksum of what they unpack to, as a stream in the format of zlib ends with it.
    pub const fn adler(&self) -> &Adler {
        &self.adler
    }

    /// The checksum and the length of what they unpack to, as a gzip stream ends with them.
    pub const fn crc(&self) -> &Crc {
        &self.crc
    }
}

/// Where more effort ceases to pay for text of a few kilobytes.
const LEVEL: u32 = 6;

/// Room for the end of the blocks.
const ROOM: usize = 64;

#[cfg(test)]
mod tests {
    use flate2::{Decompress, FlushDecompress};
    use proptest::prelude::*;

    use super::*;

    /// Unpacks blocks one after the other, each as far as it goes by itself.
    fn unpack(blocks: &[Packed]) -> Vec<Vec<u8>> {
        let mut decompress = Decompress::new(false);
        let mut texts = Vec::new();
        for block in blocks {
            let mut text = Vec::with_capacity(block.crc.amount() as usize + 64);
            let before = decompress.total_in();
            decompress.decompress_vec(&block.bytes, &mut text, FlushDecompress::Sync).unwrap();
            assert_eq!(decompress.total_in() - before, block.bytes.len() as u64);
            texts.push(text);
        }
        texts
    }

    proptest! {
        #[test]
        fn blocks_unpack_in_any_order(texts in prop::collection::vec(".{0,300}", 1..8)) {
            let mut blocks: Vec<_> = texts.iter().map(|text| Packed::new(text.as_bytes())).collect();
            let mut texts: Vec<_> = texts.into_iter().map(String::into_bytes).collect();
            prop_assert_eq!(unpack(&blocks), texts.clone());
            blocks.reverse();
            texts.reverse();
            prop_assert_eq!(unpack(&blocks), texts);
        }
    }

    #[test]
    fn long_texts_are_packed_whole() {
        for len in [0, 1, 63, 64, 65, 65_535, 65_536, 3_000_000] {
            // Hard to pack, so that the room is not enough at first.
            let mut state = 1_u64;
            let text: Vec<u8> = (0..len)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (state >> 56) as u8
                })
                .collect();
            assert_eq!(unpack(&[Packed::new(&text)]), [text], "{len}");
        }
        let easy = vec![b'x'; 1 << 20];
        let packed = Packed::new(&easy);
        assert!(packed.bytes.len() < 2_000);
        assert_eq!(unpack(&[packed]), [easy]);
    }
}
