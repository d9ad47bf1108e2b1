//! Topics that are asked for by the URL of their source, as the original's clients do it:
//! `GET /http://host/path?query`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{Extensions, HeaderMap, Method, Uri};
use pointstream_hub::{ErrorCode, Fault};

use super::topics;
use crate::state::App;

/// Whatever no route is for: a topic by its source, or nothing.
pub(super) async fn by_url(
    State(app): State<Arc<App>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    extensions: Extensions,
) -> Response {
    let Some(asked) = Asked::parse(&uri) else {
        return super::not_found(&uri).into_response();
    };
    if method != Method::GET {
        return topics::not_get(State(app)).await;
    }
    let local = app.local_addr(&extensions);
    let id = asked.target.parse().ok().and_then(|target: Uri| {
        let authority = target.authority()?;
        // A URL of a topic of this very server is that topic: nothing would be polled to find it.
        if app.hosts.allow_host(authority.as_str(), local) {
            let of = |prefix: &&str| target.path().strip_prefix(*prefix).map(str::to_owned);
            return TOPICS.iter().find_map(of);
        }
        let sources = app.options.sources.iter();
        let named = |(url, _): &&(String, String)| same(url, &target);
        sources.into_iter().find(named).map(|(_, id)| id.clone())
    });
    let subscription = match id {
        Some(id) => topics::subscribe(&app, &id, &asked.parameters, &headers),
        None => Err(Fault::new(
            ErrorCode::Unauthorized,
            "No topic has this source, and topics are not made by subscribing to one.",
        )),
    };
    topics::answer(&app, subscription, &asked.parameters, &headers, &extensions)
}

/// What such a request asks for.
#[derive(Debug, Eq, PartialEq)]
struct Asked {
    /// The source, without the hub's own parameters.
    target: String,
    /// Those parameters, as if they had come with a topic.
    parameters: Uri,
}

impl Asked {
    fn parse(uri: &Uri) -> Option<Self> {
        let path = uri.path().strip_prefix('/')?;
        let (scheme, rest) = path.split_once(":/")?;
        if !matches!(scheme, "http" | "https") {
            return None;
        }
        // Proxies in front make one slash of two.
        let rest = rest.strip_prefix('/').unwrap_or(rest);
        let mut target = format!("{scheme}://{rest}");
        let mut parameters = "/".to_owned();
        let (mut kept, mut own) = ('?', '?');
        for pair in split(uri.query().unwrap_or_default()) {
            let (to, separator) =
                if is_own(pair) { (&mut parameters, &mut own) } else { (&mut target, &mut kept) };
            to.push(std::mem::replace(separator, '&'));
            to.push_str(pair);
        }
        Some(Self { target, parameters: parameters.parse().ok()? })
    }
}

/// The parameters of a query. A client of the original appends its own behind a second `?`.
fn split(query: &str) -> impl Iterator<Item = &str> {
    let pairs = query.split('&').flat_map(|pair| {
        let mut at = None;
        for (index, _) in pair.match_indices('?') {
            if pair.get(index + 1..).is_some_and(is_own) {
                at = Some(index);
                break;
            }
        }
        match at {
            Some(at) => [pair.get(..at), pair.get(at + 1..)],
            None => [Some(pair), None],
        }
    });
    pairs.flatten().filter(|pair| !pair.is_empty())
}

/// Whether a parameter is for the hub and not for the source.
fn is_own(pair: &str) -> bool {
    let name = pair.split('=').next().unwrap_or_default().to_ascii_lowercase();
    name.starts_with("x-sd-") || name.starts_with("x-auth-sd-") || name == "lasteventid"
}

/// Whether two URLs are of one source: by host regardless of case, by path and query exactly.
fn same(url: &str, target: &Uri) -> bool {
    let Ok(url) = url.parse::<Uri>() else { return false };
    let port = |uri: &Uri| {
        uri.port_u16().or_else(|| Some(if uri.scheme_str() == Some("https") { 443 } else { 80 }))
    };
    let host = |uri: &Uri| uri.host().unwrap_or_default().to_ascii_lowercase();
    url.scheme() == target.scheme()
        && host(&url) == host(target)
        && port(&url) == port(target)
        && url.path_and_query() == target.path_and_query()
}

const TOPICS: [&str; 3] = ["/v1/topics/", "/v1/topic/", "/latest/topics/"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_told_from_the_hubs_own_parameters() {
        for (uri, target, parameters) in [
            ("/http://h/p", "http://h/p", "/"),
            ("/http:/h/p", "http://h/p", "/"),
            ("/https://h:8443/p?a=1&b", "https://h:8443/p?a=1&b", "/"),
            (
                "/http://h/p?a=1&X-Sd-Token=t%3D&b=2&x-sd-filter=A,B",
                "http://h/p?a=1&b=2",
                "/?X-Sd-Token=t%3D&x-sd-filter=A,B",
            ),
            ("/http://h/p?X-Sd-Token=t", "http://h/p", "/?X-Sd-Token=t"),
            // The .NET client's form.
            ("/http://h/p?a=1?X-Sd-Token=t", "http://h/p?a=1", "/?X-Sd-Token=t"),
            ("/http://h/p?a=x?y&b=1", "http://h/p?a=x?y&b=1", "/"),
            ("/http://h//a/../b?x=a+b", "http://h//a/../b?x=a+b", "/"),
            (
                "/http://h/p?X-Auth-Sd-S=s&lastEventId=e",
                "http://h/p",
                "/?X-Auth-Sd-S=s&lastEventId=e",
            ),
        ] {
            let asked = Asked::parse(&uri.parse().unwrap()).unwrap();
            assert_eq!(asked.target, target, "{uri}");
            assert_eq!(asked.parameters, parameters, "{uri}");
        }
        for uri in ["/", "/v1/topics/a", "/ftp://h/p", "/file:///etc", "/http", "/x/http://h/"] {
            assert_eq!(Asked::parse(&uri.parse().unwrap()), None, "{uri}");
        }
    }

    #[test]
    fn sources_are_the_same_by_host_path_and_query() {
        let alike = |a: &str, b: &str| same(a, &b.parse().unwrap());
        assert!(alike("http://API.example/p?a=1", "http://api.example:80/p?a=1"));
        assert!(alike("http://api.example", "http://api.example/"));
        for other in [
            "https://api.example/p?a=1",
            "http://api.example:81/p?a=1",
            "http://api.example/p?a=2",
            "http://api.example/P?a=1",
            "http://other.example/p?a=1",
        ] {
            assert!(!alike("http://api.example/p?a=1", other), "{other}");
        }
    }
}
