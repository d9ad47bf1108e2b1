//! Pages of other sites that may use this server (the Fetch standard's CORS protocol).

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

/// The origins that may read answers: those that were named, and no other by accident.
#[derive(Debug)]
pub(crate) struct Origins(Vec<String>);

impl Origins {
    pub(crate) fn new(origins: &[String]) -> Self {
        let tidy = |origin: &String| origin.trim_end_matches('/').to_ascii_lowercase();
        Self(origins.iter().map(tidy).collect())
    }

    /// Whether `origin`, the value of an `Origin` header, was named.
    pub(crate) fn allow(&self, origin: &HeaderValue) -> bool {
        // `null` is what pages without an origin send, whosever they are.
        let named = |known: &String| known.as_bytes().eq_ignore_ascii_case(origin.as_bytes());
        origin != "null" && self.0.iter().any(named)
    }

    /// Lets the page that sent a request read its answer, if it may.
    pub(crate) fn grant(&self, request: &HeaderMap, answer: &mut HeaderMap) {
        if self.0.is_empty() {
            return;
        }
        if !answer.contains_key(header::VARY) {
            answer.insert(header::VARY, HeaderValue::from_static("Origin"));
        }
        let Some(origin) = request.get(header::ORIGIN).filter(|origin| self.allow(origin)) else {
            return;
        };
        answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        answer.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
        answer.insert(POLICY, HeaderValue::from_static("cross-origin"));
    }

    /// The answer to a browser that asks whether its page may send a request. It asks without
    /// credentials, so none are looked at; what it asks for is checked when it comes.
    pub(crate) fn preflight(&self, method: &Method, request: &HeaderMap) -> Option<Response> {
        let asks = method == Method::OPTIONS
            && request.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
            && request.get(header::ORIGIN).is_some_and(|origin| self.allow(origin));
        if !asks {
            return None;
        }
        let mut response = StatusCode::NO_CONTENT.into_response();
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        let allowed = allowed_headers(request);
        if let Ok(allowed) = HeaderValue::try_from(allowed)
            && !allowed.is_empty()
        {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
        }
        Some(response)
    }
}

/// Those of the headers that are asked for that a page may send.
fn allowed_headers(request: &HeaderMap) -> String {
    let lists = request.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS).iter();
    let names = lists.filter_map(|list| list.to_str().ok()).flat_map(|list| list.split(','));
    let allowed = names.map(|name| name.trim().to_ascii_lowercase()).filter(|name| {
        HEADERS.contains(&name.as_str())
            || name.starts_with("x-sd-") && name.parse::<HeaderName>().is_ok()
    });
    allowed.collect::<Vec<_>>().join(", ")
}

/// What a page may send besides `X-Sd-…` and what any page may send anywhere.
const HEADERS: [&str; 7] = [
    "accept",
    "authorization",
    "cache-control",
    "content-type",
    "idempotency-key",
    "if-match",
    "last-event-id",
];

const METHODS: &str = "GET, HEAD, POST, PATCH, PUT, DELETE";

/// What a page may read of an answer besides the usual.
const EXPOSED: &str = "ETag, Retry-After, X-Sd-Discarded, X-Sd-Session, X-RateLimit-Limit-Minute, \
                       X-RateLimit-Minute, X-RateLimit-Remaining-Minute";

const POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_compared_whole() {
        let origins =
            Origins::new(&["https://App.example/".into(), "http://localhost:3000".into()]);
        let allows = |origin: &'static str| origins.allow(&HeaderValue::from_static(origin));
        assert!(allows("https://app.example") && allows("http://localhost:3000"));
        for origin in [
            "",
            "null",
            "*",
            "http://app.example",
            "https://app.example:8443",
            "https://app.example.evil.example",
            "https://evil.example/https://app.example",
            "http://localhost",
        ] {
            assert!(!allows(origin), "{origin}");
        }
        assert!(!Origins::new(&["null".into()]).allow(&HeaderValue::from_static("null")));
    }

    #[test]
    fn only_known_headers_are_allowed() {
        let mut request = HeaderMap::new();
        let asked = "X-Sd-Mode,authorization , x-evil, cookie,X-Sd-Bad Name,last-event-id";
        request.insert(header::ACCESS_CONTROL_REQUEST_HEADERS, HeaderValue::from_static(asked));
        assert_eq!(allowed_headers(&request), "x-sd-mode, authorization, last-event-id");
    }
}
