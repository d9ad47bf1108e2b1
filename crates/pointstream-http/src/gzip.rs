use bytes::{BufMut, Bytes, BytesMut};
use flate2::Crc;
use pointstream_hub::Packed;

/// One subscriber's gzip stream (RFC 1952), put together from blocks that were packed once for all.
///
/// Each piece ends at a byte and can be unpacked when it has come. All that is kept of the stream is its
/// checksum.
#[derive(Debug)]
pub(crate) struct Gzip {
    crc: Crc,
    begun: bool,
    ended: bool,
}

impl Gzip {
    pub(crate) fn new() -> Self {
        Self { crc: Crc::new(), begun: false, ended: false }
    }

    /// What all subscribers are sent alike.
    pub(crate) fn shared(&mut self, packed: &Packed) -> Bytes {
        self.crc.combine(packed.crc());
        if self.begun {
            return packed.bytes().clone();
        }
        let mut out = self.begin(packed.bytes().len());
        out.put_slice(packed.bytes());
        out.freeze()
    }

    /// What this subscriber alone is sent: as it is, since it is short.
    pub(crate) fn own(&mut self, text: &[u8]) -> Bytes {
        self.crc.update(text);
        let mut out = self.begin(text.len() + STORED_LEN);
        for part in text.chunks(usize::from(u16::MAX)) {
            // A block that is not the last one and not packed (RFC 1951, section 3.2.4).
            let len = u16::try_from(part.len()).unwrap_or(u16::MAX);
            out.put_u8(0);
            out.put_u16_le(len);
            out.put_u16_le(!len);
            out.put_slice(part);
        }
        out.freeze()
    }

    /// The stream's end; none if it has ended.
    pub(crate) fn end(&mut self) -> Option<Bytes> {
        if std::mem::replace(&mut self.ended, true) {
            return None;
        }
        let mut out = self.begin(LAST_BLOCK.len() + 8);
        out.put_slice(&LAST_BLOCK);
        out.put_u32_le(self.crc.sum());
        out.put_u32_le(self.crc.amount());
        Some(out.freeze())
    }

    fn begin(&mut self, room: usize) -> BytesMut {
        let mut out = BytesMut::with_capacity(room + HEAD.len());
        if !std::mem::replace(&mut self.begun, true) {
            out.put_slice(&HEAD);
        }
        out
    }
}

/// Deflate, no flags, no time, no effort named, an unknown system.
const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// An empty block with fixed codes, the last one.
const LAST_BLOCK: [u8; 2] = [3, 0];

/// What a block adds that is not packed.
const STORED_LEN: usize = 5;

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn a_stream_of_pieces_is_one_gzip_file() {
        let long = "x".repeat(200_000);
        for texts in [vec![], vec![""], vec!["a"], vec![": ok\n\n", &long, ":\n\n"]] {
            let mut gzip = Gzip::new();
            let mut stream = Vec::new();
            for text in &texts {
                stream.extend_from_slice(&gzip.own(text.as_bytes()));
            }
            stream.extend_from_slice(&gzip.end().unwrap());
            assert_eq!(gzip.end(), None);
            let mut out = String::new();
            GzDecoder::new(&stream[..]).read_to_string(&mut out).unwrap();
            assert_eq!(out, texts.concat());
        }
    }
}
