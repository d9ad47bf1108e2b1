//! Bodies: of requests, which are read, and of streams, which are pulled.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body::{Body as _, Frame};
use http_body_util::BodyExt;
use pointstream_net::{Coding, UnpackError, Unpacker};
use serde::de::DeserializeOwned;

use crate::Limits;
use crate::error::ApiError;

/// Reads a request's body as JSON.
///
/// A body that is too long is answered at once; what the client still sends is drained by the
/// server when the connection ends.
pub(crate) async fn read_json<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
    limits: &Limits,
) -> Result<T, ApiError> {
    check_type(headers)?;
    let bytes = read_all(headers, body, limits).await?;
    // The parser's own limit of 128 levels keeps it from recursing too deep.
    serde_json::from_slice(&bytes).map_err(|error| {
        ApiError::bad_request("Bad body", format!("The body is not what is expected: {error}."))
    })
}

/// Reads a request's body within its limits of bytes and time, and undoes its coding.
pub(crate) async fn read_all(
    headers: &HeaderMap,
    body: Body,
    limits: &Limits,
) -> Result<Bytes, ApiError> {
    let coding = coding(headers)?;
    let read = tokio::time::timeout(limits.body_timeout, read(coding, body, limits));
    read.await.map_err(|_| {
        let detail = "The request's body did not come in time; send it again.";
        ApiError::new(StatusCode::REQUEST_TIMEOUT, "Body too slow", detail)
    })?
}

/// How a request's body is packed.
pub(crate) fn coding(headers: &HeaderMap) -> Result<Coding, ApiError> {
    let values = headers.get_all(header::CONTENT_ENCODING).iter().map(HeaderValue::as_bytes);
    Coding::parse(values).ok_or_else(|| {
        let detail = "Send the body as it is, or with Content-Encoding gzip or deflate.";
        ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unknown coding", detail)
            .with(header::ACCEPT_ENCODING, "gzip, deflate")
    })
}

fn check_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.and_then(|value| value.split(';').next()).unwrap_or_default();
    if essence.trim().eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let detail = "Send the body as JSON, with the header Content-Type: application/json.";
    Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Not JSON", detail))
}

async fn read(coding: Coding, mut body: Body, limits: &Limits) -> Result<Bytes, ApiError> {
    let max = limits.body_bytes_max;
    let too_large = || {
        let detail = format!("The request's body is above the limit of {max} bytes.");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "Body too large", detail)
    };
    // What the head announces; a chunked body announces nothing.
    if body.size_hint().lower() > max as u64 {
        return Err(too_large());
    }
    let unpacked = |error| match error {
        UnpackError::TooLarge { .. } => too_large(),
        _ => {
            let detail = "The request's body is not packed as its Content-Encoding says.";
            ApiError::bad_request("Broken body", detail)
        }
    };
    let mut unpacker = Unpacker::new(coding, max);
    let mut received = 0;
    while let Some(frame) = body.frame().await {
        let broken = |_| ApiError::bad_request("Broken body", "The request's body broke off.");
        if let Ok(data) = frame.map_err(broken)?.into_data() {
            received += data.len();
            if received > max {
                return Err(too_large());
            }
            unpacker.write(&data).map_err(unpacked)?;
        }
    }
    let bytes = unpacker.finish().map_err(unpacked)?;
    let ratio = limits.unpack_ratio_max;
    if bytes.len() > received.saturating_mul(ratio) {
        let detail = format!(
            "The request's body unpacks to more than {ratio} times its length; send it as it is."
        );
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "Packed too well", detail));
    }
    Ok(bytes)
}

/// The body of a stream, which `poll` gives piece by piece as the transport takes them, none at its
/// end.
pub(crate) fn streamed(
    poll: impl FnMut(&mut Context<'_>) -> Poll<Option<Bytes>> + Send + Unpin + 'static,
) -> Body {
    Body::new(Streamed(poll))
}

struct Streamed<F>(F);

impl<F> http_body::Body for Streamed<F>
where
    F: FnMut(&mut Context<'_>) -> Poll<Option<Bytes>> + Unpin,
{
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        (self.0)(cx).map(|piece| piece.map(|bytes| Ok(Frame::data(bytes))))
    }
}
