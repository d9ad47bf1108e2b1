use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use pointstream_point::{FaultKind, RangeError, Value};
use serde::{Deserialize, Serialize};

use crate::body;
use crate::error::{ApiError, json};
use crate::query::{self, Query};
use crate::state::App;
use crate::{PointsQuery, WriteError};

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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Write {
    // Not an Option: `{}` is a mistake, while `{"val":null}` is a value.
    val: Value,
}

#[derive(Serialize)]
struct Written<'a> {
    id: &'a str,
    val: Value,
}

pub(super) async fn write(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let id = super::id(path)?;
    let Write { val } = body::read_json(&headers, body, &app.options.limits).await?;
    match app.admin.write(&id, val).await {
        Ok(outcome) => Ok(json(&Written { id: &id, val: outcome.val })),
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
        WriteError::Range(_) => ApiError::bad_request("Bad value", detail),
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

fn unknown_point(id: &str) -> ApiError {
    ApiError::not_found(
        "Unknown point",
        format!("There is no point {id}; GET /v1/points lists them."),
    )
}
