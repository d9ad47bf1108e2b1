use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{Extensions, HeaderMap, StatusCode, Uri, header};
use pointstream_hub::{Error, Revision, Subscription, TopicInfo};
use serde::Serialize;

use crate::accept;
use crate::error::{ApiError, json};
use crate::query::Query;
use crate::sse::{Stream, StreamError};
use crate::state::{App, Connection};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TopicView {
    id: String,
    revision: Option<String>,
    subscribers: usize,
    document_bytes: usize,
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
}

impl TopicView {
    fn of(topic: &TopicInfo) -> Self {
        let stats = &topic.stats;
        Self {
            id: topic.id.to_string(),
            revision: topic.revision.map(|revision| revision.to_string()),
            subscribers: topic.subscribers,
            document_bytes: topic.document_bytes,
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
    let stream = Stream::new(Arc::clone(&app));
    let subscription = match super::id(path) {
        Ok(id) => subscribe(&app, &id, &uri, &headers),
        Err(_) => Err(StreamError::UnknownTopic),
    };
    let feed = match subscription {
        Ok(subscription) => {
            let connection = extensions.get::<Arc<Connection>>().map(Arc::clone);
            stream.follow(subscription, connection)
        }
        Err(error) => stream.refuse(error),
    };
    feed.into_response()
}

/// The subscription that a request asks for.
pub(crate) fn subscribe(
    app: &App,
    id: &str,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Subscription, StreamError> {
    let query = Query::of(uri);
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let named = query.get("X-Sd-Mode").or_else(|| header(headers, "x-sd-mode"));
    let mode = accept::mode(named, accept).ok_or(StreamError::BadAccept)?;
    let last = last_event_id(headers, &query);
    app.hub.subscribe(id, mode, last).map_err(|error| match error {
        Error::SubscribersMax { .. } => StreamError::SubscribersMax,
        _ => StreamError::UnknownTopic,
    })
}

/// Where the client left off: the header that browsers send, or else the query. What cannot be read
/// is as good as nothing.
fn last_event_id(headers: &HeaderMap, query: &Query) -> Option<Revision> {
    let given = header(headers, "last-event-id")
        .or_else(|| query.get("X-Sd-Last-Event-Id"))
        .or_else(|| query.get("lastEventId"))?;
    given.trim().parse().ok()
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
