use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value as Json, json};
use std::string::ToString;

use super::body::Body;
use crate::Payload;
use crate::mux::JoinError;
use crate::server::CallError;

/// JSON as an answer.
pub(super) fn json(status: StatusCode, json: &Json) -> Response<Body> {
    let mut response = Response::new(Body::of(json.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Why there is no other answer.
pub(super) fn error(status: StatusCode, text: &str) -> Response<Body> {
    json(status, &json!({ "error": { "message": text } }))
}

/// What a device answered.
pub(super) fn reply(result: Result<Option<Payload>, CallError>) -> Response<Body> {
    match result {
        Ok(value) => {
            let value = value.map_or(Json::Null, |value| value.value().to_json());
            json(StatusCode::OK, &value)
        }
        Err(error) => of_call(&error),
    }
}

/// Why a device did not answer, or what it answered instead of a result: its own code where that is one
/// of a client's errors in HTTP, and 502 for all others.
pub(super) fn of_call(failed: &CallError) -> Response<Body> {
    let text = failed.to_string();
    match failed {
        CallError::Offline => error(StatusCode::NOT_FOUND, &text),
        CallError::Busy => {
            let mut response = error(StatusCode::SERVICE_UNAVAILABLE, &text);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            response
        }
        CallError::TimedOut => error(StatusCode::GATEWAY_TIMEOUT, &text),
        CallError::Unwritable(_) => error(StatusCode::BAD_REQUEST, &text),
        CallError::Refused(answer) => {
            let code = answer.code();
            let own = code.and_then(|code| StatusCode::from_u16(u16::try_from(code).ok()?).ok());
            let status = match own.filter(StatusCode::is_client_error) {
                Some(status) => status,
                // Clients refuse what they do not have without a code.
                None if code.is_none() => StatusCode::NOT_FOUND,
                None => StatusCode::BAD_GATEWAY,
            };
            let payload = answer.payload.as_ref().map(|payload| payload.value().to_json());
            json(status, &json!({ "error": { "message": text, "code": code, "device": payload } }))
        }
    }
}

/// Why a resource cannot be followed.
pub(super) fn of_join(failed: JoinError) -> Response<Body> {
    let status = match failed {
        JoinError::Interval => StatusCode::BAD_REQUEST,
        JoinError::Full => StatusCode::SERVICE_UNAVAILABLE,
    };
    error(status, &failed.to_string())
}
