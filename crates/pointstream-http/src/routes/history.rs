use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, Uri, header};
use jiff::tz::TimeZone;
use pointstream_point::{Rollup, Span};

use crate::clock;
use crate::error::{ApiError, json};
use crate::his::{Form, HisQuery, HisReadError, parse_interval, parse_range, write};
use crate::query::Query;
use crate::state::App;

/// How many rows one answer has for whom it does not say otherwise, and at most.
const LIMIT_DEFAULT: usize = 10_000;
const LIMIT_MAX: usize = 1_000_000;

/// `GET /v1/points/{id}/his?range=…&interval=…&buckets=…&tz=…&limit=…&format=…`.
pub(super) async fn read(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let id = super::id(path)?;
    let query = Query::of(&uri);
    let (wanted, form) = (wanted(&query)?, form(&query, &headers)?);
    let zone = wanted.zone.clone();
    let answer = app.admin.his_read(&id, wanted).await.map_err(|error| failed(&id, &error))?;
    let text = write(&id, &answer, &zone, form);
    let headers =
        [(header::CONTENT_TYPE, form.content_type()), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, text).into_response())
}

/// `POST /v1/points/{id}/his/sync?range=…&tz=…`: fetches what the device keeps.
pub(super) async fn sync(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let id = super::id(path)?;
    let query = Query::of(&uri);
    let span = query.get("range").map(|range| span(range, query.get("tz"))).transpose()?;
    let synced = app.admin.sync_his(&id, span).await;
    let num = synced.map_err(|error| super::connectors::conn_error(&id, &error))?;
    Ok(json(&serde_json::json!({"id": id, "num": num})))
}

/// The span of a range, in the days of a time zone.
pub(super) fn span(range: &str, tz: Option<&str>) -> Result<Span, ApiError> {
    let bad = |detail| ApiError::bad_request("Bad range", detail);
    parse_range(range, clock::wall(), &zone(tz)?).map_err(bad)
}

fn zone(name: Option<&str>) -> Result<TimeZone, ApiError> {
    match name {
        None | Some("UTC" | "") => Ok(TimeZone::UTC),
        Some(name) => TimeZone::get(name).map_err(|_| {
            ApiError::bad_request("Bad time zone", format!("There is no time zone {name:?}."))
        }),
    }
}

fn wanted(query: &Query) -> Result<HisQuery, ApiError> {
    let bad = |what: &'static str| move |detail: String| ApiError::bad_request(what, detail);
    let zone = zone(query.get("tz"))?;
    let span = span(query.get("range").unwrap_or("today"), query.get("tz"))?;
    let mut interval =
        query.get("interval").map(parse_interval).transpose().map_err(bad("Bad interval"))?;
    if let Some(text) = query.get("buckets") {
        let count = text.parse().ok().filter(|count| (1..=LIMIT_DEFAULT).contains(count));
        let count = count.ok_or_else(|| {
            bad("Bad buckets")(format!("buckets is a number from 1 to {LIMIT_DEFAULT}."))
        })?;
        interval = Some(Rollup::interval_for(span, count));
    }
    let limit = match query.get("limit").map(str::parse) {
        None => LIMIT_DEFAULT,
        Some(Ok(limit)) if (1..=LIMIT_MAX).contains(&limit) => limit,
        Some(_) => {
            return Err(bad("Bad limit")(format!("limit is a number from 1 to {LIMIT_MAX}.")));
        }
    };
    Ok(HisQuery { span, interval, zone, limit })
}

fn form(query: &Query, headers: &HeaderMap) -> Result<Form, ApiError> {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    match query.get("format") {
        Some("json") => Ok(Form::Json),
        Some("csv") => Ok(Form::Csv),
        Some("ndjson") => Ok(Form::Ndjson),
        Some(_) => Err(ApiError::bad_request("Bad format", "format is json, csv or ndjson.")),
        None => Ok(match accept.unwrap_or_default() {
            accept if accept.contains("text/csv") => Form::Csv,
            accept if accept.contains("ndjson") => Form::Ndjson,
            _ => Form::Json,
        }),
    }
}

fn failed(id: &str, error: &HisReadError) -> ApiError {
    let detail = format!("{id}: {error}.");
    match error {
        HisReadError::UnknownPoint => super::points::unknown_point(id),
        HisReadError::NoStore => ApiError::new(StatusCode::NOT_FOUND, "No history", detail),
        HisReadError::Failed(_) => {
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "Store failed", detail)
        }
    }
}
