//! Synchronisations of many histories: begun, looked at, followed, cancelled.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{Extensions, HeaderMap, HeaderValue, StatusCode, Uri, header};
use pointstream_point::Id;
use serde::Deserialize;

use super::connectors::{conn_error, since, wants_events};
use crate::error::{ApiError, json};
use crate::state::{App, Connection};
use crate::syncs::{Job, POINTS_MAX, RUNNING_MAX};
use crate::{ConnError, body};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Start {
    points: Option<Vec<Id>>,
    connector: Option<Id>,
    #[serde(default)]
    all: bool,
    range: Option<String>,
    tz: Option<String>,
}

impl Start {
    /// The points that it names, each once.
    fn points(self, app: &App) -> Result<Vec<Id>, ApiError> {
        let unknown = |id: &str| conn_error(id, &ConnError::UnknownConnector);
        let points = match (self.points, self.connector, self.all) {
            (Some(points), None, false) => points,
            (None, Some(id), false) => {
                let points = app.admin.his_points(Some(id.as_str()));
                points.ok_or_else(|| unknown(id.as_str()))?
            }
            (None, None, true) => app.admin.his_points(None).unwrap_or_default(),
            _ => return Err(bad("Name either points, or a connector, or all as true.".to_owned())),
        };
        let points: BTreeSet<Id> = points.into_iter().collect();
        match points.len() {
            0 => Err(bad("There is no point among these whose history a device keeps.".to_owned())),
            count if count > POINTS_MAX => {
                Err(bad(format!("{count} points are more than the {POINTS_MAX} of one job.")))
            }
            _ => Ok(points.into_iter().collect()),
        }
    }
}

fn bad(detail: String) -> ApiError {
    ApiError::bad_request("Bad synchronisation", detail)
}

/// `POST /v1/his/sync` with `{"points":[…]}`, `{"connector":…}` or `{"all":true}`, and a `range`
/// with its `tz` if not all since the last items is wanted.
pub(super) async fn start(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let mut start: Start = body::read_json(&headers, body, &app.options.limits).await?;
    let (range, tz) = (start.range.take(), start.tz.take());
    let span = range.map(|range| super::history::span(&range, tz.as_deref())).transpose()?;
    let points = start.points(&app)?;
    let job = app.syncs.start(&*app.admin, points, span).ok_or_else(|| {
        let detail = format!("{RUNNING_MAX} synchronisations run, as many as may; wait for one.");
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, "Too many", detail)
    })?;
    let mut response = json(&job.view(0));
    *response.status_mut() = StatusCode::ACCEPTED;
    if let Ok(place) = HeaderValue::from_str(&format!("/v1/his/sync/{}", job.id())) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}

/// `GET /v1/his/sync`: those that run and the last ones that did, without their results.
pub(super) async fn list(State(app): State<Arc<App>>) -> Response {
    json(&app.syncs.views())
}

/// `GET /v1/his/sync/{job}?since=…`: how far it has come, with the results from that number on;
/// from there on as they come, where the client accepts an event stream.
pub(super) async fn one(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
    extensions: Extensions,
) -> Result<Response, ApiError> {
    let job = find(&app, path)?;
    let since = since(&uri, &headers)?;
    if !wants_events(&headers) {
        return Ok(json(&job.view(usize::try_from(since).unwrap_or(usize::MAX))));
    }
    if headers.contains_key("last-event-id") && job.view(usize::MAX).is_over() {
        // A client that comes again after the last event is told to stay away.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let connection = extensions.get::<Arc<Connection>>().map(Arc::clone);
    Ok(crate::follow::follow(job, since, connection))
}

/// `DELETE /v1/his/sync/{job}`: cancels it; what was fetched stays.
pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let job = find(&app, path)?;
    job.cancel();
    let mut response = json(&job.view(usize::MAX));
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}

fn find(app: &App, path: Result<Path<String>, PathRejection>) -> Result<Arc<Job>, ApiError> {
    let id = super::id(path)?;
    let job = id.parse().ok().and_then(|id| app.syncs.job(id));
    job.ok_or_else(|| {
        let detail = format!("There is no synchronisation {id}; GET /v1/his/sync lists them.");
        ApiError::not_found("Unknown synchronisation", detail)
    })
}
