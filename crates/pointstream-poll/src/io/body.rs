use std::io::{self, Write};

use bytes::{Bytes, BytesMut};
use flate2::write::MultiGzDecoder;
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use crate::FetchError;

/// Reads a body to its end and undoes its encoding. What is decoded counts, so that a few bytes that
/// unpack to very many are given up as soon as they have unpacked to too many.
pub(super) async fn read(
    headers: &HeaderMap,
    mut body: Incoming,
    max: usize,
) -> Result<Bytes, FetchError> {
    let mut decoder = match encoding(headers)? {
        Encoding::Identity if body.size_hint().lower() > max as u64 => {
            return Err(FetchError::TooLarge);
        }
        Encoding::Identity => Decoder::Identity(Bounded::new(max)),
        Encoding::Gzip => Decoder::Gzip(Box::new(MultiGzDecoder::new(Bounded::new(max)))),
    };
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(|_| FetchError::Broken)?.into_data() {
            decoder.write(&data)?;
        }
    }
    decoder.finish()
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Encoding {
    Identity,
    Gzip,
}

/// What was asked for is gzip or nothing; a body with anything else cannot be read.
fn encoding(headers: &HeaderMap) -> Result<Encoding, FetchError> {
    let mut codings = headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"));
    match (codings.next(), codings.next()) {
        (None, _) => Ok(Encoding::Identity),
        (Some(coding), None)
            if coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip") =>
        {
            Ok(Encoding::Gzip)
        }
        _ => Err(FetchError::Encoding),
    }
}

enum Decoder {
    Identity(Bounded),
    Gzip(Box<MultiGzDecoder<Bounded>>),
}

impl Decoder {
    fn write(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        match self {
            Self::Identity(out) => out.write_all(bytes).map_err(|_| FetchError::TooLarge),
            Self::Gzip(decoder) => {
                let wrote = decoder.write_all(bytes);
                wrote.map_err(|_| decoder.get_ref().error())
            }
        }
    }

    fn finish(self) -> Result<Bytes, FetchError> {
        match self {
            Self::Identity(out) => Ok(out.bytes.freeze()),
            Self::Gzip(mut decoder) => match decoder.try_finish() {
                Ok(()) => Ok(std::mem::take(&mut decoder.get_mut().bytes).freeze()),
                Err(_) => Err(decoder.get_ref().error()),
            },
        }
    }
}

/// Bytes up to a number; one more is refused.
struct Bounded {
    bytes: BytesMut,
    max: usize,
    passed: bool,
}

impl Bounded {
    fn new(max: usize) -> Self {
        Self { bytes: BytesMut::new(), max, passed: false }
    }

    /// Why writing has failed.
    const fn error(&self) -> FetchError {
        if self.passed { FetchError::TooLarge } else { FetchError::Encoding }
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

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use http::HeaderValue;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn decode(bytes: &[u8], max: usize, step: usize) -> Result<Bytes, FetchError> {
        let mut decoder = Decoder::Gzip(Box::new(MultiGzDecoder::new(Bounded::new(max))));
        for part in bytes.chunks(step) {
            decoder.write(part)?;
        }
        decoder.finish()
    }

    #[test]
    fn a_body_is_unpacked_up_to_its_greatest_length() {
        let text = b"[1,2,3]".repeat(1_000);
        let packed = gzip(&text);
        for step in [1, 7, packed.len()] {
            assert_eq!(decode(&packed, text.len(), step).unwrap(), text);
            assert_eq!(decode(&packed, text.len() - 1, step), Err(FetchError::TooLarge));
        }
        let mut plain = Decoder::Identity(Bounded::new(3));
        plain.write(b"abc").unwrap();
        assert_eq!(plain.write(b"d"), Err(FetchError::TooLarge));
    }

    #[test]
    fn what_unpacks_to_a_thousand_times_its_length_is_given_up() {
        let bomb = gzip(&vec![0; 64 << 20]);
        assert!(bomb.len() < 100_000);
        assert_eq!(decode(&bomb, 1 << 20, 4_096), Err(FetchError::TooLarge));
    }

    #[test]
    fn what_is_not_packed_or_cut_off_cannot_be_read() {
        let packed = gzip(b"[1,2,3]");
        assert_eq!(decode(b"[1,2,3]", 100, 9), Err(FetchError::Encoding));
        for len in 1..packed.len() {
            assert_eq!(decode(&packed[..len], 100, 9), Err(FetchError::Encoding), "{len}");
        }
    }

    #[test]
    fn only_what_was_asked_for_is_unpacked() {
        let of = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(text));
            encoding(&headers)
        };
        assert_eq!(encoding(&HeaderMap::new()), Ok(Encoding::Identity));
        assert_eq!(of("identity"), Ok(Encoding::Identity));
        assert_eq!(of("GZIP"), Ok(Encoding::Gzip));
        for text in ["br", "gzip, gzip", "deflate", "gzip, br"] {
            assert_eq!(of(text), Err(FetchError::Encoding), "{text}");
        }
    }
}
