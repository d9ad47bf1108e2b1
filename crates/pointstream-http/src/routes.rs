mod connectors;
pub(crate) mod group;
mod history;
mod points;
mod publish;
mod service;
mod source;
mod syncs;
pub(crate) mod topics;

use std::future::ready;
use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::routing::{any, get, patch, post};
use http::{StatusCode, Uri};
use pointstream_hub::Hub;

use crate::error::ApiError;
use crate::guard;
use crate::mount;
use crate::state::App;
use crate::{Admin, Options};

/// The routes, for an application that has a server of its own.
///
/// The host that requests must name is then [`Options::listen`]'s, or among the allowed ones, and
/// the limits on connections, heads and stalls are that server's.
pub fn router(hub: Hub, admin: Arc<dyn Admin>, options: Options) -> Router {
    of(Arc::new(App::new(hub, admin, options)))
}

pub(crate) fn of(app: Arc<App>) -> Router {
    let mut router = Router::new()
        .route("/v1/topics", get(topics::list))
        .route("/v1/topics/{id}", get(topics::stream).fallback(topics::not_get))
        .route("/v1/topic/{id}", get(topics::stream).fallback(topics::not_get))
        .route("/latest/topics/{id}", get(topics::stream).fallback(topics::not_get))
        .route("/v1/topics/{id}/snapshot", get(topics::snapshot))
        .route("/v1/stream", get(group::stream))
        .route("/v1/stream/{session}", patch(group::change))
        .route("/publish/v1/topics", any(publish::batch))
        .route("/publish/v1/topics/{id}", any(publish::topic))
        .route("/publish/v1/topics/{id}/items/{item}", any(publish::item))
        .route("/v1/points", get(points::list))
        .route("/v1/points/{id}", get(points::one))
        .route("/v1/points/{id}/write", get(points::levels).post(points::write))
        .route("/v1/connectors", get(service::connectors))
        .route("/v1/connectors/{id}/learn", get(connectors::learn))
        .route("/v1/connectors/{id}/details", get(connectors::details))
        .route("/v1/connectors/{id}/points", get(connectors::points).post(connectors::add_points))
        .route("/v1/connectors/{id}/points/restore", post(connectors::restore_points))
        .route("/v1/config/restore", post(connectors::restore))
        .route("/v1/connectors/{id}/trace", get(connectors::trace).post(connectors::set_trace))
        .route("/v1/connectors/{id}/observe", get(connectors::observe))
        .route("/v1/connectors/{id}/{act}", post(connectors::act))
        .route("/v1/points/{id}/details", get(points::details))
        .route("/v1/points/{id}/his", get(history::read))
        .route("/v1/points/{id}/his/sync", post(history::sync))
        .route("/v1/his/sync", get(syncs::list).post(syncs::start))
        .route("/v1/his/sync/{job}", get(syncs::one).delete(syncs::cancel))
        .route("/v1/points/{id}/sync", post(points::sync))
        .route("/healthz", get(service::healthz))
        .route("/metrics", get(service::metrics))
        .route("/openapi.json", get(service::openapi));
    for file in app.options.files {
        router = router.route(file.path, get(move || ready(service::file(file))));
    }
    for mount in &app.options.mounts.0 {
        let path = format!("{}{{*rest}}", mount.prefix());
        let routes = any(mount::handle).with_state(Arc::clone(mount));
        router = router.route(&path, routes);
    }
    router
        .fallback(source::by_url)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&app), guard::guard))
        .with_state(app)
}

fn not_found(uri: &Uri) -> ApiError {
    let detail = format!("There is nothing at {}; the API begins at /v1/topics.", uri.path());
    ApiError::not_found("Not found", detail)
}

async fn method_not_allowed() -> ApiError {
    let detail = "This address takes other methods; the Allow header names them.";
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed", detail)
}

/// The id in a path.
fn id(path: Result<Path<String>, PathRejection>) -> Result<String, ApiError> {
    let bad = |_| ApiError::bad_request("Bad path", "The id in the path is not UTF-8.");
    path.map(|Path(id)| id).map_err(bad)
}
