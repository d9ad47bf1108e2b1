use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use http::{StatusCode, Uri};
use pointstream_point::{Fault, FaultKind, LearnPath};

use crate::ConnError;
use crate::error::{ApiError, json};
use crate::query::Query;
use crate::state::App;

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

fn conn_error(id: &str, error: &ConnError) -> ApiError {
    match error {
        ConnError::UnknownConnector => ApiError::not_found(
            "Unknown connector",
            format!("There is no connector {id}; GET /v1/connectors lists them."),
        ),
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
