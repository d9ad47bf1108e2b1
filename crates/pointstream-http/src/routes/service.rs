use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;

use crate::StaticFile;
use crate::error::json;
use crate::metrics;
use crate::state::App;

pub(super) async fn connectors(State(app): State<Arc<App>>) -> Response {
    json(&app.admin.connectors())
}

pub(super) async fn openapi() -> Response {
    json(&crate::openapi::document())
}

pub(super) async fn healthz() -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (headers, "{\"status\":\"ok\"}").into_response()
}

pub(super) async fn metrics(State(app): State<Arc<App>>) -> Response {
    let mut text = String::new();
    app.admin.metrics(&mut text);
    metrics::write(&app.hub, &app.counters, &mut text);
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    let headers = [(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "no-store")];
    (headers, text).into_response()
}

pub(super) fn file(file: &'static StaticFile) -> Response {
    let headers = [(header::CONTENT_TYPE, file.content_type), (header::CACHE_CONTROL, "no-cache")];
    (headers, file.bytes).into_response()
}
