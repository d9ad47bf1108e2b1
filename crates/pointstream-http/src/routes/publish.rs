//! Publishing over HTTP (section 3.1 of the hub's specification). What is wrong is told in this
//! order: no such topic, method, type, length, form, state.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use pointstream_hub::{Error, Payload, Publication, Published, Revision, TopicKind, split_batch};
use serde::Serialize;

use crate::body;
use crate::error::{ApiError, json};
use crate::state::App;

/// How the body of a publication is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Form {
    Json,
    Lines,
    JsonPatch,
    MergePatch,
}

/// `POST /publish/v1/topics/{id}`, and `PATCH` for patches.
pub(super) async fn topic(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
    method: Method,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let id = super::id(path)?;
    check_open(&app, &id)?;
    let answer = publish(&app, &id, &method, &headers, body).await;
    let mut response = answer.unwrap_or_else(IntoResponse::into_response);
    tell_allowance(&app, &id, &mut response);
    Ok(response)
}

async fn publish(
    app: &App,
    id: &str,
    method: &Method,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let form = match *method {
        Method::POST => form(headers)?,
        Method::PATCH => match form(headers)? {
            patch @ (Form::JsonPatch | Form::MergePatch) => patch,
            Form::Json | Form::Lines => return Err(wrong_type()),
        },
        _ => return Ok(method_not_allowed("POST, PATCH")),
    };
    let if_match = if_match(app, id, headers)?;
    let idempotency_key = key(headers)?;
    let bytes = body::read_all(headers, body, &app.options.limits).await?;
    let payload = match form {
        Form::Json => Payload::Json(&bytes),
        Form::Lines => Payload::Lines(&bytes),
        Form::JsonPatch => Payload::JsonPatch(&bytes),
        Form::MergePatch => Payload::MergePatch(&bytes),
    };
    let mut publication = Publication::new(payload);
    publication.if_match = if_match;
    publication.idempotency_key = idempotency_key;
    match app.hub.publish_with(id, &publication) {
        Ok(published) => Ok(done(&published)),
        Err(Error::RateLimit { retry_after }) => Ok(too_many(retry_after)),
        Err(error) => Err(refusal(id, &error)),
    }
}

/// The answer of the original, whose clients know its text.
fn too_many(retry_after: Duration) -> Response {
    let body = "{\"message\":\"API rate limit exceeded\"}";
    let seconds = retry_after.as_secs() + 1;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::RETRY_AFTER, HeaderValue::from(seconds)),
    ];
    (StatusCode::TOO_MANY_REQUESTS, headers, body).into_response()
}

/// Says on every answer how many publications more the topic takes, under the name that the
/// original's documents have and those that its gateway had.
fn tell_allowance(app: &App, id: &str, response: &mut Response) {
    let Some(allowance) = app.hub.topic(id).ok().and_then(|topic| topic.allowance) else { return };
    let headers = response.headers_mut();
    headers.insert(RATE_MINUTE, HeaderValue::from(allowance.limit));
    headers.insert(RATE_LIMIT_MINUTE, HeaderValue::from(allowance.limit));
    headers.insert(RATE_REMAINING_MINUTE, HeaderValue::from(allowance.remaining));
}

/// `DELETE /publish/v1/topics/{id}/items/{item}`.
pub(super) async fn item(
    State(app): State<Arc<App>>,
    path: Result<Path<(String, String)>, PathRejection>,
    method: Method,
) -> Result<Response, ApiError> {
    let bad = |_| ApiError::bad_request("Bad path", "An id in the path is not UTF-8.");
    let Path((id, item)) = path.map_err(bad)?;
    check_open(&app, &id)?;
    if method != Method::DELETE {
        return Ok(method_not_allowed("DELETE"));
    }
    match app.hub.remove_item(&id, &item) {
        Ok(Some(published)) => Ok(done(&published)),
        Ok(None) => {
            let detail = "The topic has no item of this id.";
            Err(ApiError::not_found("Unknown item", detail))
        }
        Err(error) => Err(refusal(&id, &error)),
    }
}

#[derive(Serialize)]
struct BatchResult {
    topic: String,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// `POST /publish/v1/topics`: publications to several topics, each for itself. The answer says of
/// each what became of it.
pub(super) async fn batch(
    State(app): State<Arc<App>>,
    method: Method,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    if method != Method::POST {
        return Ok(method_not_allowed("POST"));
    }
    if !matches!(form(&headers)?, Form::Json | Form::Lines) {
        return Err(wrong_type());
    }
    let limits = &app.options.limits;
    let bytes = body::read_all(&headers, body, limits).await?;
    let entries = split_batch(&bytes, limits.body_bytes_max).map_err(|error| {
        let detail = format!("The body is not a batch of publications: {error}.");
        ApiError::bad_request("Bad batch", detail)
    })?;
    let results: Vec<BatchResult> = entries
        .into_iter()
        .map(|entry| {
            let published = check_open(&app, &entry.topic).and_then(|()| {
                let published = app.hub.publish(&entry.topic, entry.data.as_bytes());
                published.map_err(|error| refusal(&entry.topic, &error))
            });
            let (status, id, error) = match published {
                Ok(published) => (204, Some(published.revision.to_string()), None),
                Err(error) => (error.status().as_u16(), None, Some(error.detail().to_owned())),
            };
            BatchResult { topic: entry.topic, status, id, error }
        })
        .collect();
    Ok(json(&results))
}

/// Topics that the application keeps to itself are as good as absent.
fn check_open(app: &App, id: &str) -> Result<(), ApiError> {
    match app.hub.topic(id) {
        Ok(topic) if topic.open && topic.kind != TopicKind::Rows => Ok(()),
        _ => Err(unknown_topic(id)),
    }
}

fn unknown_topic(id: &str) -> ApiError {
    let detail = format!("There is no topic {id} that can be published to.");
    ApiError::not_found("Unknown topic", detail)
}

fn form(headers: &HeaderMap) -> Result<Form, ApiError> {
    body::coding(headers)?;
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.and_then(|value| value.split(';').next()).unwrap_or_default();
    match essence.trim().to_ascii_lowercase().as_str() {
        "application/json-patch+json" => Ok(Form::JsonPatch),
        "application/merge-patch+json" => Ok(Form::MergePatch),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(Form::Lines),
        "application/json" => Ok(Form::Json),
        other if other.starts_with("application/") && other.ends_with("+json") => Ok(Form::Json),
        _ => Err(wrong_type()),
    }
}

fn wrong_type() -> ApiError {
    let detail = "Send application/json, application/x-ndjson, application/json-patch+json or \
                  application/merge-patch+json, and with PATCH one of the last two.";
    ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Not JSON", detail)
}

/// The state that the publication is for: one of those that `If-Match` names, or any document at all
/// (RFC 9110, section 13.1.1).
fn if_match(app: &App, id: &str, headers: &HeaderMap) -> Result<Option<Revision>, ApiError> {
    if !headers.contains_key(header::IF_MATCH) {
        return Ok(None);
    }
    let current = app.hub.topic(id).ok().and_then(|topic| topic.revision);
    let failed = || refusal(id, &Error::Precondition { current });
    let current = current.ok_or_else(failed)?;
    let values = headers.get_all(header::IF_MATCH).iter().filter_map(|value| value.to_str().ok());
    let tag = format!("\"{current}\"");
    let mut tags = values.flat_map(|value| value.split(',')).map(str::trim);
    // What is not so any more when the publication is taken is refused then.
    tags.any(|given| given == "*" || given == tag).then_some(Some(current)).ok_or_else(failed)
}

fn key(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let Some(key) = headers.get(&IDEMPOTENCY_KEY) else { return Ok(None) };
    let bad = |_| ApiError::bad_request("Bad key", "Idempotency-Key is not ASCII.");
    key.to_str().map(Some).map_err(bad)
}

/// The answer to a publication that was taken: who subscribes from here on sees the state that its
/// `ETag` names.
fn done(published: &Published) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", published.revision)) {
        headers.insert(header::ETAG, tag);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if published.discarded > 0 {
        headers.insert(DISCARDED, HeaderValue::from(published.discarded));
    }
    if published.repeated {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

fn method_not_allowed(allow: &'static str) -> Response {
    let detail = "This address takes other methods; the Allow header names them.";
    let error = ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed", detail);
    let mut response = error.into_response();
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}

fn refusal(id: &str, error: &Error) -> ApiError {
    let (status, title) = match error {
        Error::UnknownTopic => return unknown_topic(id),
        Error::WrongKind(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "Not for this topic"),
        Error::DocumentTooLarge { .. } | Error::ItemsMax { .. } => {
            (StatusCode::PAYLOAD_TOO_LARGE, "Document too large")
        }
        Error::Operation(_) => (StatusCode::CONFLICT, "Patch not applied"),
        Error::NoDocument => (StatusCode::CONFLICT, "No document"),
        Error::Precondition { .. } => (StatusCode::PRECONDITION_FAILED, "Another state"),
        Error::RateLimit { .. } => (StatusCode::TOO_MANY_REQUESTS, "Too many publications"),
        Error::NoSubscribers => (StatusCode::GONE, "No subscribers"),
        Error::IdempotencyKeyReused => (StatusCode::UNPROCESSABLE_ENTITY, "Key used before"),
        _ => (StatusCode::BAD_REQUEST, "Bad publication"),
    };
    let mut detail = format!("Nothing was published to {id}: {error}.");
    if let Error::Precondition { current: Some(current) } = error {
        detail.push_str(&format!(" The present one is {current}."));
    }
    ApiError::new(status, title, detail)
}

const RATE_MINUTE: HeaderName = HeaderName::from_static("x-ratelimit-minute");
const RATE_LIMIT_MINUTE: HeaderName = HeaderName::from_static("x-ratelimit-limit-minute");
const RATE_REMAINING_MINUTE: HeaderName = HeaderName::from_static("x-ratelimit-remaining-minute");
static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const DISCARDED: HeaderName = HeaderName::from_static("x-sd-discarded");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
