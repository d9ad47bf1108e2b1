use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use pointstream_net::{Coding, UnpackError, Unpacker};

use crate::FetchError;

/// Reads a body to its end and undoes its coding.
pub(super) async fn read(
    headers: &HeaderMap,
    mut body: Incoming,
    max: usize,
) -> Result<Bytes, FetchError> {
    let coding = coding(headers)?;
    if coding == Coding::Identity && body.size_hint().lower() > max as u64 {
        return Err(FetchError::TooLarge);
    }
    let mut unpacker = Unpacker::new(coding, max);
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(|_| FetchError::Broken)?.into_data() {
            unpacker.write(&data).map_err(told)?;
        }
    }
    unpacker.finish().map_err(told)
}

/// What was asked for is gzip or nothing; a body with anything else cannot be read.
fn coding(headers: &HeaderMap) -> Result<Coding, FetchError> {
    let values = headers.get_all(header::CONTENT_ENCODING).iter().map(HeaderValue::as_bytes);
    let coding = Coding::parse(values).filter(|coding| *coding != Coding::Deflate);
    coding.ok_or(FetchError::Encoding)
}

const fn told(error: UnpackError) -> FetchError {
    match error {
        UnpackError::TooLarge { .. } => FetchError::TooLarge,
        _ => FetchError::Encoding,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_asked_for_is_unpacked() {
        let of = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(text));
            coding(&headers)
        };
        assert_eq!(coding(&HeaderMap::new()), Ok(Coding::Identity));
        assert_eq!(of("identity"), Ok(Coding::Identity));
        assert_eq!(of("GZIP"), Ok(Coding::Gzip));
        for text in ["br", "gzip, gzip", "deflate", "gzip, br"] {
            assert_eq!(of(text), Err(FetchError::Encoding), "{text}");
        }
    }
}
