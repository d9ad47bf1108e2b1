use bytes::{BufMut, Bytes, BytesMut};
use flate2::Crc;
use pointstream_hub::{Adler, Packed};

/// How a stream is packed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Coding {
    /// RFC 1952.
    Gzip,
    /// The format of zlib (RFC 1950), which HTTP calls deflate.
    Deflate,
}

impl Coding {
    /// Its name in `Content-Encoding`.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }
}

/// One subscriber's packed stream, put together from blocks that were packed once for all.
///
/// Each piece ends at a byte and can be unpacked when it has come. All that is kept of the stream is its
/// checksum.
#[derive(Debug)]
pub(crate) struct Packing {
    sum: Sum,
    begun: bool,
    ended: bool,
}

#[derive(Debug)]
enum Sum {
    Gzip(Crc),
    Deflate(Adler),
}

impl Packing {
    pub(crate) fn new(coding: Coding) -> Self {
        let sum = match coding {
            Coding::Gzip => Sum::Gzip(Crc::new()),
            Coding::Deflate => Sum::Deflate(Adler::new()),
        };
        Self { sum, begun: false, ended: false }
    }

    pub(crate) const fn coding(&self) -> Coding {
        match self.sum {
            Sum::Gzip(_) => Coding::Gzip,
            Sum::Deflate(_) => Coding::Deflate,
        }
    }

    /// What all subscribers are sent alike.
    pub(crate) fn shared(&mut self, packed: &Packed) -> Bytes {
        match &mut self.sum {
            Sum::Gzip(crc) => crc.combine(packed.crc()),
            Sum::Deflate(adler) => adler.combine(packed.adler()),
        }
        if self.begun {
            return packed.bytes().clone();
        }
        let mut out = self.begin(packed.bytes().len());
        out.put_slice(packed.bytes());
        out.freeze()
    }

    /// What this subscriber alone is sent: as it is, since it is short.
    pub(crate) fn own(&mut self, text: &[u8]) -> Bytes {
        match &mut self.sum {
            Sum::Gzip(crc) => crc.update(text),
            Sum::Deflate(adler) => adler.update(text),
        }
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
        match &self.sum {
            Sum::Gzip(crc) => {
                out.put_u32_le(crc.sum());
                out.put_u32_le(crc.amount());
            }
            Sum::Deflate(adler) => out.put_u32(adler.sum()),
        }
        Some(out.freeze())
    }

    fn begin(&mut self, room: usize) -> BytesMut {
        let mut out = BytesMut::with_capacity(room + GZIP_HEAD.len());
        if !std::mem::replace(&mut self.begun, true) {
            match self.sum {
                Sum::Gzip(_) => out.put_slice(&GZIP_HEAD),
                Sum::Deflate(_) => out.put_slice(&ZLIB_HEAD),
            }
        }
        out
    }
}

/// Deflate, no flags, no time, no effort named, an unknown system.
const GZIP_HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// Deflate with a window of 32 KiB, the default effort, no dictionary.
const ZLIB_HEAD: [u8; 2] = [0x78, 0x9c];

/// An empty block with fixed codes, the last one.
const LAST_BLOCK: [u8; 2] = [3, 0];

/// What a block adds that is not packed.
const STORED_LEN: usize = 5;

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::{GzDecoder, ZlibDecoder};
    use pointstream_hub::{Hub, Limits, Mode, TopicOptions};
    use pointstream_time::Seed;

    use super::*;

    fn unpack(coding: Coding, stream: &[u8]) -> String {
        let mut out = String::new();
        match coding {
            Coding::Gzip => GzDecoder::new(stream).read_to_string(&mut out).unwrap(),
            Coding::Deflate => ZlibDecoder::new(stream).read_to_string(&mut out).unwrap(),
        };
        out
    }

    #[test]
    fn a_stream_of_pieces_is_one_file() {
        let long = "x".repeat(200_000);
        for coding in [Coding::Gzip, Coding::Deflate] {
            for texts in [vec![], vec![""], vec!["a"], vec![": ok\n\n", &long, ":\n\n"]] {
                let mut packing = Packing::new(coding);
                let mut stream = Vec::new();
                for text in &texts {
                    stream.extend_from_slice(&packing.own(text.as_bytes()));
                }
                stream.extend_from_slice(&packing.end().unwrap());
                assert_eq!(packing.end(), None);
                assert_eq!(unpack(coding, &stream), texts.concat());
            }
        }
    }

    #[test]
    fn shared_pieces_and_own_ones_make_one_file() {
        let hub = Hub::new(Limits::default(), Seed::new(1));
        hub.create("a", TopicOptions::text()).unwrap();
        let mut subscription = hub.subscribe("a", Mode::Patch, None).unwrap();
        for coding in [Coding::Gzip, Coding::Deflate] {
            let mut packing = Packing::new(coding);
            let (mut stream, mut text) = (Vec::new(), String::new());
            for n in 0..50 {
                hub.publish("a", format!("[{n},\"{coding:?}\"]").as_bytes()).unwrap();
                let event = subscription.try_next().unwrap().unwrap();
                stream.extend_from_slice(&packing.shared(event.packed()));
                stream.extend_from_slice(&packing.own(b":\n\n"));
                text.push_str(std::str::from_utf8(event.sse()).unwrap());
                text.push_str(":\n\n");
            }
            stream.extend_from_slice(&packing.end().unwrap());
            assert_eq!(unpack(coding, &stream), text);
        }
    }
}
