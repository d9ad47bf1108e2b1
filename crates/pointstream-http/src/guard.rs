//! What every request must pass: its target's length, the host and the page it comes from, the
//! token; and the headers that every answer carries.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};

use crate::error::ApiError;
use crate::query::Query;
use crate::state::App;

/// The guard before the routes.
pub(crate) async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let local = app.local_addr(request.extensions());
    let origin = request.headers().get_all(header::ORIGIN).iter().cloned();
    let asked: HeaderMap = origin.map(|origin| (header::ORIGIN, origin)).collect();
    let (uri, headers) = (request.uri(), request.headers());
    let mut response = match check_place(&app, uri, headers, local) {
        Ok(()) => match app.origins.preflight(request.method(), headers) {
            Some(preflight) => preflight,
            None => match check_token(&app, uri, headers) {
                Ok(()) => next.run(request).await,
                Err(error) => error.into_response(),
            },
        },
        Err(error) => error.into_response(),
    };
    let status = response.status();
    seal(&app, status, &asked, response.headers_mut());
    response
}

/// Whether a request that reached this server at `local` may be served.
pub(crate) fn check(
    app: &App,
    uri: &Uri,
    headers: &HeaderMap,
    local: SocketAddr,
) -> Result<(), ApiError> {
    check_place(app, uri, headers, local)?;
    check_token(app, uri, headers)
}

/// All but the token.
fn check_place(
    app: &App,
    uri: &Uri,
    headers: &HeaderMap,
    local: SocketAddr,
) -> Result<(), ApiError> {
    let target = uri.path_and_query().map_or(0, |target| target.as_str().len());
    let max = app.options.limits.target_bytes_max;
    if target > max {
        let detail = format!("The request's target has {target} bytes; at most {max} are taken.");
        return Err(ApiError::new(StatusCode::URI_TOO_LONG, "Target too long", detail));
    }
    check_host(app, uri, headers, local)?;
    check_origin(app, headers, local)
}

/// Counts the answer to a request and gives it the headers that every one carries.
pub(crate) fn seal(app: &App, status: StatusCode, request: &HeaderMap, headers: &mut HeaderMap) {
    app.counters.on_response(status);
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    app.origins.grant(request, headers);
}

fn check_host(
    app: &App,
    uri: &Uri,
    headers: &HeaderMap,
    local: SocketAddr,
) -> Result<(), ApiError> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok());
    if hosts.next().is_some() {
        return Err(ApiError::bad_request("Bad host", "Send one Host header, not several."));
    }
    // A target in absolute form names a host as well; it has to be an allowed one too.
    let named = uri.authority().map(http::uri::Authority::as_str);
    let allowed = |host: &str| app.hosts.allow_host(host, local);
    match (host, named) {
        (None, None) => Err(ApiError::bad_request(
            "No host",
            "Send a Host header with the address of this server.",
        )),
        (host, named) if host.is_none_or(allowed) && named.is_none_or(allowed) => Ok(()),
        _ => Err(forbidden(
            "Host not allowed",
            "The request's Host is not the address that this server listens on. If the server is \
             meant to be reached under this name, add the name to allowed_hosts.",
        )),
    }
}

fn check_origin(app: &App, headers: &HeaderMap, local: SocketAddr) -> Result<(), ApiError> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let allowed = |origin: &HeaderValue| {
        app.origins.allow(origin)
            || origin.to_str().is_ok_and(|origin| app.hosts.allow_origin(origin, local))
    };
    if !origins.all(allowed) {
        return Err(forbidden(
            "Origin not allowed",
            "A page of another site may not use this server. If the page is meant to, add its host \
             to allowed_hosts, or its origin to allowed_origins.",
        ));
    }
    if is_foreign_fetch(headers) {
        return Err(forbidden(
            "Cross-site request",
            "A page of another site may link to this server, but not load from it.",
        ));
    }
    Ok(())
}

/// Whether a browser says that another site's page asks, other than by following a link. It says so
/// also where it sends no `Origin`, as for images, scripts and frames.
fn is_foreign_fetch(headers: &HeaderMap) -> bool {
    let is = |name: &HeaderName, value: &str| {
        headers.get(name).is_some_and(|found| found.as_bytes() == value.as_bytes())
    };
    let foreign = headers.contains_key(&FETCH_SITE)
        && !is(&FETCH_SITE, "same-origin")
        && !is(&FETCH_SITE, "none");
    // An `Origin` that is allowed was checked before; `allowed_hosts` may make another site's.
    let vouched = headers.contains_key(header::ORIGIN);
    let followed_link = is(&FETCH_MODE, "navigate") && is(&FETCH_DEST, "document");
    foreign && !vouched && !followed_link
}

fn check_token(app: &App, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(token) = &app.options.token else { return Ok(()) };
    let path = uri.path();
    if path == "/healthz" || app.options.files.iter().any(|file| file.path == path) {
        return Ok(());
    }
    let query = Query::of(uri);
    let bearer = headers.get(header::AUTHORIZATION).and_then(bearer);
    match bearer.or_else(|| query.get("access_token")) {
        Some(given) if token.is(given) => Ok(()),
        Some(_) => Err(unauthorized("The token is not the one of this server.")),
        None => Err(unauthorized(
            "Send the server's token as \"Authorization: Bearer TOKEN\", or as the query's \
             access_token where no header can be sent.",
        )),
    }
}

fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

fn forbidden(title: &'static str, detail: &str) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, title, detail)
}

fn unauthorized(detail: &str) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, "Token needed", detail)
}

static FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
static FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
static FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// What every answer carries. The policy lets the console load its own files and nothing else, and
/// no page frame it, so that no click on it can be stolen.
const HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];
