use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{Extensions, HeaderMap, StatusCode, Uri, header};
use pointstream_hub::{Error, ErrorCode, Fault, Subscription, TopicInfo};
use serde::Serialize;

use crate::error::{ApiError, json};
use crate::sse::Stream;
use crate::state::{App, Connection};
use crate::wants;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TopicView {
    id: String,
    revision: Option<String>,
    subscribers: usize,
    document_bytes: usize,
    views: usize,
    /// The code of what is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<u32>,
    stats: StatsView,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatsView {
    publications: u64,
    unchanged: u64,
    patches: u64,
    replacements: u64,
    document_bytes: u64,
    event_bytes: u64,
    delivered: u64,
    delivered_bytes: u64,
    conflations: u64,
    skipped: u64,
    resumes_hit: u64,
    resumes_missed: u64,
    fetches: u64,
    fetches_unchanged: u64,
    fetches_failed: u64,
    fetch_micros: u64,
}

impl TopicView {
    fn of(topic: &TopicInfo) -> Self {
        let stats = &topic.stats;
        Self {
            id: topic.id.to_string(),
            revision: topic.revision.map(|revision| revision.to_string()),
            subscribers: topic.subscribers,
            document_bytes: topic.document_bytes,
            views: topic.views,
            fault: topic.fault.as_ref().map(|fault| fault.code.code()),
            stats: StatsView {
                publications: stats.publications,
                unchanged: stats.unchanged,
                patches: stats.patches,
                replacements: stats.replacements,
                document_bytes: stats.document_bytes,
                event_bytes: stats.event_bytes,
                delivered: stats.delivered,
                delivered_bytes: stats.delivered_bytes,
                conflations: stats.conflations,
                skipped: stats.skipped,
                resumes_hit: stats.resumes_hit,
                resumes_missed: stats.resumes_missed,
                fetches: stats.fetches,
                fetches_unchanged: stats.fetches_unchanged,
                fetches_failed: stats.fetches_failed,
                fetch_micros: stats.fetch_micros,
            },
        }
    }
}

pub(super) async fn list(State(app): State<Arc<App>>) -> Response {
    json(&app.hub.topics().iter().map(TopicView::of).collect::<Vec<_>>())
}

pub(super) async fn snapshot(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let id = super::id(path)?;
    let snapshot = app.hub.snapshot(&id).map_err(|_| {
        let detail = format!("There is no topic {id}; GET /v1/topics lists them.");
        ApiError::not_found("Unknown topic", detail)
    })?;
    let snapshot = snapshot.ok_or_else(|| {
        let detail = format!("Nothing has been published to the topic {id} so far.");
        ApiError::not_found("No document", detail)
    })?;
    let etag = format!("\"{}\"", snapshot.revision);
    let known = is_known(&headers, &etag);
    let common = [(header::ETAG, etag), (header::CACHE_CONTROL, "no-cache".to_owned())];
    if known {
        return Ok((StatusCode::NOT_MODIFIED, common).into_response());
    }
    let content_type = [(header::CONTENT_TYPE, "application/json")];
    Ok((common, content_type, snapshot.json).into_response())
}

/// Whether the client has the document of this tag (RFC 9110, section 13.1.2).
fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let values = headers.get_all(header::IF_NONE_MATCH).iter();
    let tags = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    tags.map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// A topic as Server-Sent Events. What is wrong with the request is an event as well, since clients
/// in the field do not see the status of an answer.
pub(super) async fn stream(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
    extensions: Extensions,
) -> Response {
    let subscription = match super::id(path) {
        Ok(id) => subscribe(&app, &id, &uri, &headers),
        Err(_) => Err(refusal(&Error::UnknownTopic)),
    };
    answer(&app, subscription, &uri, &headers, &extensions)
}

/// The stream of a subscription, or of the reason why there is none.
pub(super) fn answer(
    app: &Arc<App>,
    subscription: Result<Subscription, Fault>,
    uri: &Uri,
    headers: &HeaderMap,
    extensions: &Extensions,
) -> Response {
    let stream = Stream::new(Arc::clone(app)).padded(wants::pad(uri, headers));
    let feed = match subscription {
        Ok(subscription) => {
            let connection = extensions.get::<Arc<Connection>>().map(Arc::clone);
            stream.follow(subscription, connection, wants::coding(uri, headers))
        }
        Err(fault) => stream.refuse(&fault),
    };
    feed.into_response()
}

/// The subscription that a request asks for.
pub(crate) fn subscribe(
    app: &App,
    id: &str,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Subscription, Fault> {
    let wanted = wants::subscribe(uri, headers)?;
    app.hub.subscribe_with(id, &wanted).map_err(|error| refusal(&error))
}

/// What is told to one who asks for what the hub does not give.
pub(crate) fn refusal(error: &Error) -> Fault {
    let (code, message) = match error {
        Error::SubscribersMax { .. } => (
            ErrorCode::ConnectionLimit,
            "The topic has as many subscribers as it takes; try later.",
        ),
        Error::ViewsMax { .. } => {
            (ErrorCode::ConnectionLimit, "The topic has as many views as it takes; try later.")
        }
        Error::GroupMax { .. } => {
            (ErrorCode::ConnectionLimit, "A stream takes no more than 32 topics.")
        }
        Error::NoItems => (ErrorCode::BadRequest, "Only a topic of items can be filtered."),
        Error::NoClock => (ErrorCode::BadRequest, "This hub keeps no time and so no rate."),
        Error::ModeRefused => (ErrorCode::BadRequest, "The topic is not sent in this mode."),
        _ => (ErrorCode::TopicNotFound, "There is no such topic; GET /v1/topics lists them."),
    };
    Fault::new(code, message)
}

/// A method other than `GET`: the one error of a stream that has a status of its own.
pub(super) async fn not_get(State(app): State<Arc<App>>) -> Response {
    let stream = Stream::new(app);
    let message = "A topic is read with GET.";
    let json = stream.json(&Fault::new(ErrorCode::MethodNotAllowed, message));
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::ALLOW, "GET, HEAD")];
    (StatusCode::METHOD_NOT_ALLOWED, headers, json).into_response()
}
