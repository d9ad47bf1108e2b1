use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{Extensions, HeaderMap, StatusCode, Uri, header};
use pointstream_point::{Fault, FaultKind, LearnPath};
use serde::{Deserialize, Serialize};

use crate::body;
use crate::error::{ApiError, json};
use crate::follow::{Tracing, follow};
use crate::observe::Observing;
use crate::query::Query;
use crate::state::{App, Connection};
use crate::{AddPoint, AddTo, ChangeError, ConnAct, ConnError, TraceFeed};

/// `GET …/learn?at=…`: one level of the connector's tree. What leads further has `learn`, which is
/// the next `at`.
pub(super) async fn learn(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let id = super::id(path)?;
    let query = Query::of(&uri);
    let at = query.get("at").filter(|text| !text.is_empty()).map(LearnPath::new).transpose();
    let at = at.map_err(|error| ApiError::bad_request("Bad place", format!("{error}.")))?;
    let learned = app.admin.learn(&id, at).await;
    learned.map(|learned| json(&learned)).map_err(|error| conn_error(&id, &error))
}

/// `GET …/details`: a fact a line.
pub(super) async fn details(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let id = super::id(path)?;
    app.admin.details(&id).map(text).ok_or_else(|| unknown_connector(&id))
}

/// A text that no cache keeps.
pub(super) fn text(text: String) -> Response {
    let content_type = (header::CONTENT_TYPE, "text/plain; charset=utf-8");
    ([content_type, (header::CACHE_CONTROL, "no-store")], text).into_response()
}

/// `GET …/points`: the ids of its points.
pub(super) async fn points(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let id = super::id(path)?;
    let points = app.admin.points_of(&id).ok_or_else(|| unknown_connector(&id))?;
    Ok(json(&points))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddPoints {
    points: Vec<AddPoint>,
    to: Option<AddTo>,
}

/// `POST …/points` with `{"points":[…]}`: adds them in the connector's CSV point file or in the
/// configuration file.
pub(super) async fn add_points(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let id = super::id(path)?;
    let add: AddPoints = body::read_json(&headers, body, &app.options.limits).await?;
    let count = add.points.len();
    let to = app.admin.add_points(&id, add.points, add.to).await;
    let to = to.map_err(|error| change_error(&error))?;
    Ok(json(&serde_json::json!({"id": id, "added": count, "to": to})))
}

/// `POST …/points/restore`: brings the connector's CSV point file before the last change back.
pub(super) async fn restore_points(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let id = super::id(path)?;
    app.admin.restore_points(&id).await.map_err(|error| change_error(&error))?;
    Ok(json(&serde_json::json!({"restored": true})))
}

/// `POST /v1/config/restore`: brings the file before the last change back.
pub(super) async fn restore(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    app.admin.restore_config().await.map_err(|error| change_error(&error))?;
    Ok(json(&serde_json::json!({"restored": true})))
}

fn change_error(error: &ChangeError) -> ApiError {
    let detail = format!("{error}.");
    match error {
        ChangeError::NoFile => ApiError::new(StatusCode::CONFLICT, "No file", detail),
        ChangeError::Refused(_) => ApiError::bad_request("Bad change", detail),
        ChangeError::Failed(_) => {
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "Not changed", detail)
        }
    }
}

/// `POST …/ping`, `…/open`, `…/close`: answered when the connector has heard of it.
pub(super) async fn act(
    State(app): State<Arc<App>>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, ApiError> {
    let bad = |_| ApiError::bad_request("Bad path", "The id in the path is not UTF-8.");
    let Path((id, act)) = path.map_err(bad)?;
    let act = match act.as_str() {
        "ping" => ConnAct::Ping,
        "open" => ConnAct::Open,
        "close" => ConnAct::Close,
        other => {
            let detail = format!("A connector does ping, open and close, not {other:?}.");
            return Err(ApiError::not_found("Unknown function", detail));
        }
    };
    app.admin.act(&id, act).await.map_err(|error| conn_error(&id, &error))?;
    let mut response = json(&serde_json::json!({"id": id, "accepted": true}));
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}

/// `GET …/trace?since=…`: what the connector and its device said, as JSON; from there on as it
/// comes, where the client accepts an event stream.
pub(super) async fn trace(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
    extensions: Extensions,
) -> Result<Response, ApiError> {
    let id = super::id(path)?;
    let feed = feed(&app, &id)?;
    let since = since(&uri, &headers)?;
    if wants_events(&headers) {
        let connection = extensions.get::<Arc<Connection>>().map(Arc::clone);
        return Ok(follow(Arc::new(Tracing(feed)), since, connection));
    }
    Ok(json(&feed.since(since)))
}

/// The number from which on entries are wanted: of a client that comes again, that of the last
/// event it has seen, else `since`.
pub(super) fn since(uri: &Uri, headers: &HeaderMap) -> Result<u64, ApiError> {
    let query = Query::of(uri);
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let Some(text) = last.or_else(|| query.get("since")) else { return Ok(0) };
    text.parse().map_err(|_| {
        let detail = "since is the number that the last answer gave as next.";
        ApiError::bad_request("Bad since", detail)
    })
}

pub(super) fn wants_events(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/event-stream"))
}

/// `GET …/observe?filter=…&qos=…`: what the device sends, message by message, as events.
pub(super) async fn observe(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
    extensions: Extensions,
) -> Result<Response, ApiError> {
    let id = super::id(path)?;
    let query = Query::of(&uri);
    let filter = query.get("filter").filter(|filter| !filter.is_empty());
    let filter = filter.ok_or_else(|| {
        ApiError::bad_request("No filter", "filter says what is to be observed, such as site/%23.")
    })?;
    let qos = query
        .get("qos")
        .map(|text| text.parse().ok().filter(|qos| *qos <= 2))
        .map(|qos| qos.ok_or_else(|| ApiError::bad_request("Bad qos", "qos is 0, 1 or 2.")));
    let observed = app.admin.observe(&id, filter, qos.transpose()?).await;
    let feed = observed.map_err(|error| conn_error(&id, &error))?;
    let connection = extensions.get::<Arc<Connection>>().map(Arc::clone);
    Ok(follow(Arc::new(Observing(feed)), 0, connection))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetTrace {
    on: Option<bool>,
    #[serde(default)]
    clear: bool,
}

#[derive(Serialize)]
struct TraceState {
    on: bool,
}

/// `POST …/trace` with `{"on":true}`, `{"on":false}` or `{"clear":true}`.
pub(super) async fn set_trace(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let id = super::id(path)?;
    let feed = feed(&app, &id)?;
    let set: SetTrace = body::read_json(&headers, body, &app.options.limits).await?;
    if set.clear {
        feed.clear();
    }
    if let Some(on) = set.on {
        feed.switch(on);
    }
    Ok(json(&TraceState { on: feed.since(u64::MAX).on }))
}

fn feed(app: &App, id: &str) -> Result<Arc<dyn TraceFeed>, ApiError> {
    app.admin.trace(id).ok_or_else(|| unknown_connector(id))
}

fn unknown_connector(id: &str) -> ApiError {
    let detail = format!("There is no connector {id}; GET /v1/connectors lists them.");
    ApiError::not_found("Unknown connector", detail)
}

pub(super) fn conn_error(id: &str, error: &ConnError) -> ApiError {
    match error {
        ConnError::UnknownConnector => unknown_connector(id),
        ConnError::UnknownPoint => {
            let detail = format!("There is no point {id} that a connector reads.");
            ApiError::not_found("Unknown point", detail)
        }
        ConnError::Failed(fault) => failed(id, fault),
        ConnError::TimedOut => {
            let detail = format!("{id} did not answer in time.");
            ApiError::new(StatusCode::GATEWAY_TIMEOUT, "No answer", detail)
        }
    }
}

fn failed(id: &str, fault: &Fault) -> ApiError {
    let detail = format!("{id}: {fault}.");
    match fault.kind() {
        FaultKind::Down | FaultKind::Disabled => {
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "Connector down", detail)
        }
        FaultKind::Unsupported => {
            ApiError::new(StatusCode::NOT_IMPLEMENTED, "Not supported", detail)
        }
        _ => ApiError::new(StatusCode::BAD_GATEWAY, "Device refused", detail),
    }
}
