use bytes::{Bytes, BytesMut};
use flate2::write::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};
use std::io::{self, Write};

/// How the body of a message is packed (RFC 9110, section 8.4.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Coding {
    /// Not at all.
    Identity,
    /// `gzip` (RFC 1952), also as `x-gzip`.
    Gzip,
    /// `deflate`, which is the format of zlib (RFC 1950).
    Deflate,
}

impl Coding {
    /// The coding that the values of `Content-Encoding` name; none for one that cannot be undone here,
    /// and for more than one.
    pub fn parse<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Option<Self> {
        let mut codings = values
            .into_iter()
            .flat_map(|value| value.split(|byte| *byte == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"));
        let is = |coding: &[u8], name: &[u8]| coding.eq_ignore_ascii_case(name);
        match (codings.next(), codings.next()) {
            (None, _) => Some(Self::Identity),
            (Some(coding), None) if is(coding, b"gzip") || is(coding, b"x-gzip") => {
                Some(Self::Gzip)
            }
            (Some(coding), None) if is(coding, b"deflate") => Some(Self::Deflate),
            _ => None,
        }
    }
}

/// Why a body could not be unpacked.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum UnpackError {
    /// It unpacks to more than it may.
    #[error("the body unpacks to more than {max} bytes")]
    TooLarge {
        /// The most bytes that it may unpack to.
        max: usize,
    },
    /// It is not packed as it says, or was cut off, or something follows it.
    #[error("the body is not packed as its coding says")]
    Broken,
}

/// Undoes the coding of a body as it comes. What is unpacked counts, so that a few bytes that unpack to
/// very many are given up as soon as they have unpacked to too many.
pub struct Unpacker {
    inner: Inner,
}

enum Inner {
    Identity(Bounded),
    Gzip(Box<MultiGzDecoder<Bounded>>),
    Deflate { state: Box<Decompress>, out: Bounded, ended: bool },
}

impl Unpacker {
    /// For a body that unpacks to `max` bytes at most.
    pub fn new(coding: Coding, max: usize) -> Self {
        let out = Bounded { bytes: BytesMut::new(), max, passed: false };
        let inner = match coding {
            Coding::Identity => Inner::Identity(out),
            Coding::Gzip => Inner::Gzip(Box::new(MultiGzDecoder::new(out))),
            Coding::Deflate => {
                Inner::Deflate { state: Box::new(Decompress::new(true)), out, ended: false }
            }
        };
        Self { inner }
    }

    /// Takes the next bytes of the body.
    ///
    /// # Errors
    ///
    /// More than the most bytes; bytes that are not packed as they should be.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), UnpackError> {
        match &mut self.inner {
            Inner::Identity(out) => out.write_all(bytes).map_err(|_| out.error()),
            Inner::Gzip(decoder) => {
                let wrote = decoder.write_all(bytes);
                wrote.map_err(|_| decoder.get_ref().error())
            }
            Inner::Deflate { state, out, ended } => inflate(state, out, ended, bytes),
        }
    }

    /// The body, which has come to its end.
    ///
    /// # Errors
    ///
    /// As for [`write`](Self::write); a body that was cut off.
    pub fn finish(self) -> Result<Bytes, UnpackError> {
        match self.inner {
            Inner::Identity(out) => Ok(out.bytes.freeze()),
            Inner::Gzip(mut decoder) => match decoder.try_finish() {
                Ok(()) => Ok(std::mem::take(&mut decoder.get_mut().bytes).freeze()),
                Err(_) => Err(decoder.get_ref().error()),
            },
            Inner::Deflate { out, ended: true, .. } => Ok(out.bytes.freeze()),
            Inner::Deflate { .. } => Err(UnpackError::Broken),
        }
    }
}

impl std::fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unpacker").finish_non_exhaustive()
    }
}

fn inflate(
    state: &mut Decompress,
    out: &mut Bounded,
    ended: &mut bool,
    mut bytes: &[u8],
) -> Result<(), UnpackError> {
    let mut buffer = [0; BUFFER_BYTES];
    while !*ended {
        let (taken, made) = (state.total_in(), state.total_out());
        let status = state.decompress(bytes, &mut buffer, FlushDecompress::None);
        let status = status.map_err(|_| UnpackError::Broken)?;
        // Both are bounded by the length of a slice.
        let taken = usize::try_from(state.total_in() - taken).unwrap_or(usize::MAX);
        let made = usize::try_from(state.total_out() - made).unwrap_or(usize::MAX);
        bytes = bytes.get(taken..).unwrap_or_default();
        out.write_all(buffer.get(..made).unwrap_or_default()).map_err(|_| out.error())?;
        *ended = status == Status::StreamEnd;
        if !*ended && taken == 0 && made == 0 {
            return if bytes.is_empty() { Ok(()) } else { Err(UnpackError::Broken) };
        }
    }
    if bytes.is_empty() { Ok(()) } else { Err(UnpackError::Broken) }
}

/// Bytes up to a number; one more is refused.
struct Bounded {
    bytes: BytesMut,
    max: usize,
    passed: bool,
}

impl Bounded {
    /// Why writing has failed.
    const fn error(&self) -> UnpackError {
        if self.passed { UnpackError::TooLarge { max: self.max } } else { UnpackError::Broken }
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.max - self.bytes.len() {
            self.passed = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is unpacked at a time.
const BUFFER_BYTES: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    type Pack = fn(&[u8]) -> Vec<u8>;

    const PACKED: [(Coding, Pack); 2] = [(Coding::Gzip, gzip), (Coding::Deflate, zlib)];

    fn unpack(coding: Coding, bytes: &[u8], max: usize, step: usize) -> Result<Bytes, UnpackError> {
        let mut unpacker = Unpacker::new(coding, max);
        for part in bytes.chunks(step) {
            unpacker.write(part)?;
        }
        unpacker.finish()
    }

    #[test]
    fn a_body_is_unpacked_up_to_its_greatest_length() {
        let text = b"[1,2,3]".repeat(3_000);
        let plain = |bytes: &[u8]| bytes.to_vec();
        let all = PACKED.into_iter().chain([(Coding::Identity, plain as Pack)]);
        for (coding, pack) in all {
            let packed = pack(&text);
            for step in [1, 7, packed.len()] {
                assert_eq!(unpack(coding, &packed, text.len(), step).unwrap(), text);
                let max = text.len() - 1;
                let error = Err(UnpackError::TooLarge { max });
                assert_eq!(unpack(coding, &packed, max, step), error, "{coding:?} {step}");
            }
        }
    }

    #[test]
    fn what_unpacks_to_a_thousand_times_its_length_is_given_up() {
        for (coding, pack) in PACKED {
            let bomb = pack(&vec![0; 64 << 20]);
            assert!(bomb.len() < 100_000);
            let error = Err(UnpackError::TooLarge { max: 1 << 20 });
            assert_eq!(unpack(coding, &bomb, 1 << 20, 4_096), error, "{coding:?}");
        }
    }

    #[test]
    fn what_is_not_packed_or_cut_off_or_followed_cannot_be_read() {
        for (coding, pack) in PACKED {
            let packed = pack(b"[1,2,3]");
            assert_eq!(unpack(coding, b"[1,2,3]", 100, 9), Err(UnpackError::Broken), "{coding:?}");
            for len in 1..packed.len() {
                let cut = unpack(coding, &packed[..len], 100, 9);
                assert_eq!(cut, Err(UnpackError::Broken), "{coding:?} {len}");
            }
            for step in [1, 100] {
                let followed = unpack(coding, &[&packed[..], b"x"].concat(), 100, step);
                assert_eq!(followed, Err(UnpackError::Broken), "{coding:?} {step}");
            }
        }
    }

    #[test]
    fn a_coding_is_one_of_three() {
        let of = |values: &[&'static str]| Coding::parse(values.iter().map(|it| it.as_bytes()));
        assert_eq!(of(&[]), Some(Coding::Identity));
        assert_eq!(of(&["identity", ""]), Some(Coding::Identity));
        assert_eq!(of(&["GZIP"]), Some(Coding::Gzip));
        assert_eq!(of(&["identity, x-gzip"]), Some(Coding::Gzip));
        assert_eq!(of(&["deflate"]), Some(Coding::Deflate));
        for values in [&["br"][..], &["gzip, gzip"], &["gzip", "deflate"], &["gzip;q=1"]] {
            assert_eq!(of(values), None, "{values:?}");
        }
    }
}
