use core::time::Duration;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use pointstream_point::{FaultKind, Level, LevelWrite, RangeError, Value, duration};
use serde::{Deserialize, Deserializer, Serialize};

use crate::body;
use crate::error::{ApiError, json};
use crate::query::{self, Query};
use crate::state::App;
use crate::{PointsQuery, WriteError, WriteOutcome};

/// The points of a page for whom it does not say otherwise.
const LIMIT_DEFAULT: usize = 1_000;

pub(super) async fn list(State(app): State<Arc<App>>, uri: Uri) -> Result<Response, ApiError> {
    let query = Query::of(&uri);
    let mut wanted = PointsQuery::first(limit(&query, app.options.limits.page_points_max)?);
    wanted.filter = query.get("filter").filter(|text| !text.is_empty()).map(str::to_owned);
    wanted.after = query.get("after").map(str::to_owned);
    let bad_filter = |error: crate::QueryError| ApiError::bad_request("Bad filter", error.detail);
    let page = app.admin.points(&wanted).map_err(bad_filter)?;
    let mut response = json(&page.points);
    if let (true, Some(last)) = (page.more, page.points.last())
        && let Ok(link) = HeaderValue::from_str(&link(&query, &wanted, last.id.as_str()))
    {
        response.headers_mut().insert(header::LINK, link);
    }
    Ok(response)
}

fn limit(query: &Query, max: usize) -> Result<usize, ApiError> {
    let Some(text) = query.get("limit") else { return Ok(LIMIT_DEFAULT.min(max)) };
    match text.parse() {
        Ok(limit) if (1..=max).contains(&limit) => Ok(limit),
        _ => {
            let detail = format!("limit is a number from 1 to {max}; follow the Link for more.");
            Err(ApiError::bad_request("Bad limit", detail))
        }
    }
}

/// The next page: the same request, after the last point of this one.
fn link(query: &Query, wanted: &PointsQuery, last: &str) -> String {
    let mut link = String::from("</v1/points?");
    if let Some(filter) = &wanted.filter {
        link.push_str("filter=");
        query::encode(filter, &mut link);
        link.push('&');
    }
    if query.get("limit").is_some() {
        link.push_str(&format!("limit={}&", wanted.limit));
    }
    link.push_str("after=");
    query::encode(last, &mut link);
    link.push_str(">; rel=\"next\"");
    link
}

pub(super) async fn one(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let id = super::id(path)?;
    app.admin.point(&id).map(|point| json(&point)).ok_or_else(|| unknown_point(&id))
}

pub(super) async fn levels(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let id = super::id(path)?;
    if let Some(levels) = app.admin.levels(&id) {
        return Ok(json(&levels));
    }
    match app.admin.point(&id) {
        None => Err(unknown_point(&id)),
        Some(_) => {
            let detail = format!("{id} has no priority array: the point is not writable.");
            Err(ApiError::new(StatusCode::FORBIDDEN, "Not writable", detail))
        }
    }
}

/// Who writes when the request does not say so.
const WHO_DEFAULT: &str = "http";

/// The longest name of who writes, in bytes.
const WHO_LEN_MAX: usize = 128;

/// The level that is written when the request does not say so: the weakest that is not the default.
const LEVEL_DEFAULT: i64 = 16;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Write {
    // Not an Option: `{}` is a mistake, while `{"val":null}` is a value.
    val: Value,
    level: Option<i64>,
    who: Option<String>,
    #[serde(default, deserialize_with = "some_duration")]
    duration: Option<Duration>,
}

fn some_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    duration::deserialize(deserializer).map(Some)
}

impl Write {
    fn check(self) -> Result<LevelWrite, ApiError> {
        let bad = |detail: String| ApiError::bad_request("Bad write", detail);
        let level = Level::new(self.level.unwrap_or(LEVEL_DEFAULT));
        let level = level.map_err(|error| bad(format!("{error}: levels are 1 to 17.")))?;
        let who = self.who.as_deref().unwrap_or(WHO_DEFAULT);
        if who.is_empty() || who.len() > WHO_LEN_MAX {
            return Err(bad(format!("who is a text of 1 to {WHO_LEN_MAX} bytes.")));
        }
        let write = LevelWrite::new(level, self.val, who);
        match self.duration {
            None => Ok(write),
            Some(_) if level != Level::MANUAL => {
                Err(bad("duration goes with level 8 only, the one for people.".to_owned()))
            }
            Some(duration) => Ok(write.with_duration(duration)),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    id: &'a str,
    val: Value,
    level: Level,
    write_val: Value,
    write_level: Level,
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    waits: bool,
}

pub(super) async fn write(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let id = super::id(path)?;
    let write: Write = body::read_json(&headers, body, &app.options.limits).await?;
    match app.admin.write(&id, write.check()?).await {
        Ok(outcome) => {
            let WriteOutcome { val, level, effective, waits } = outcome;
            let (write_val, write_level) = (effective.val, effective.level);
            let written = Written { id: &id, val, level, write_val, write_level, waits };
            let mut response = json(&written);
            if waits {
                *response.status_mut() = StatusCode::ACCEPTED;
            }
            Ok(response)
        }
        Err(error) => Err(write_error(&id, &error)),
    }
}

fn write_error(id: &str, error: &WriteError) -> ApiError {
    let detail = format!("The value was not written to {id}: {error}.");
    match error {
        WriteError::UnknownPoint => unknown_point(id),
        WriteError::Range(RangeError::NotWritable) => {
            ApiError::new(StatusCode::FORBIDDEN, "Not writable", detail)
        }
        WriteError::Range(RangeError::TooSoon { .. }) => {
            ApiError::new(StatusCode::TOO_MANY_REQUESTS, "Too soon", detail)
        }
        WriteError::Range(_) => ApiError::bad_request("Bad value", detail),
        WriteError::Level(_) => ApiError::bad_request("Bad write", detail),
        WriteError::NotKept(error) => {
            let detail = format!("{error}.");
            ApiError::new(StatusCode::INSUFFICIENT_STORAGE, "Not kept", detail)
        }
        WriteError::Failed(fault) if fault.kind() == FaultKind::Down => {
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "Connector down", detail)
        }
        WriteError::Failed(_) => ApiError::new(StatusCode::BAD_GATEWAY, "Write failed", detail),
        WriteError::TimedOut => {
            let detail = format!("{detail} It may still be; read the point to see.");
            ApiError::new(StatusCode::GATEWAY_TIMEOUT, "No answer", detail)
        }
    }
}

/// `GET …/details`: a fact a line.
pub(super) async fn details(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let id = super::id(path)?;
    app.admin.point_details(&id).map(super::connectors::text).ok_or_else(|| unknown_point(&id))
}

/// `POST …/sync`: reads the point out of turn and answers with what it shows then.
pub(super) async fn sync(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let id = super::id(path)?;
    let synced = app.admin.sync_cur(&id).await;
    synced.map_err(|error| super::connectors::conn_error(&id, &error))?;
    app.admin.point(&id).map(|point| json(&point)).ok_or_else(|| unknown_point(&id))
}

pub(super) fn unknown_point(id: &str) -> ApiError {
    ApiError::not_found(
        "Unknown point",
        format!("There is no point {id}; GET /v1/points lists them."),
    )
}
