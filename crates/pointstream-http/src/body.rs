use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use http_body::Body as _;
use http_body_util::BodyExt;
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
    let bytes = read_all(body, limits).await?;
    // The parser's own limit of 128 levels keeps it from recursing too deep.
    serde_json::from_slice(&bytes).map_err(|error| {
        ApiError::bad_request("Bad body", format!("The body is not what is expected: {error}."))
    })
}

/// Reads a request's body within its limits of bytes and time.
pub(crate) async fn read_all(body: Body, limits: &Limits) -> Result<Bytes, ApiError> {
    let read = tokio::time::timeout(limits.body_timeout, read(body, limits.body_bytes_max));
    read.await.map_err(|_| {
        let detail = "The request's body did not come in time; send it again.";
        ApiError::new(StatusCode::REQUEST_TIMEOUT, "Body too slow", detail)
    })?
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

async fn read(mut body: Body, max: usize) -> Result<Bytes, ApiError> {
    let too_large = || {
        let detail = format!("The request's body is above the limit of {max} bytes.");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "Body too large", detail)
    };
    // What the head announces; a chunked body announces nothing.
    if body.size_hint().lower() > max as u64 {
        return Err(too_large());
    }
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let broken = |_| ApiError::bad_request("Broken body", "The request's body broke off.");
        if let Ok(data) = frame.map_err(broken)?.into_data() {
            if bytes.len() + data.len() > max {
                return Err(too_large());
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes.freeze())
}
