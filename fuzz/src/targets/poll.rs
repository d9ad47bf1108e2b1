//! The poller of HTTP APIs.

use core::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use pointstream_poll::{
    Answer, Auth, Config, Fetch, FetchError, OAuth, Poller, Rejection, Secret, Targets,
};
use pointstream_time::{Instant, Seed};

/// A poller whose source and provider of tokens answer whatever a stranger chose, while time passes.
///
/// The first byte says how it is configured; then come commands of a byte each, those for an answer
/// followed by a line that is its `Location`, its `Retry-After`, or its body.
pub fn poll_machine(data: &[u8]) {
    const SECRET: &str = "s3cret-of-the-topic";
    let Some((&first, mut rest)) = data.split_first() else { return };
    let scheme = if first & 1 == 0 { "http" } else { "https" };
    let mut config = Config::new(&format!("{scheme}://api.example/v1/prices?a=1"));
    config.redirects_max = first >> 1 & 3;
    config.headers = vec![("X-Key".to_owned(), Secret::new(SECRET))];
    if first & 8 != 0 {
        config.auth = Auth::OAuth(OAuth::new("https://id.example/token", "me", SECRET));
    }
    if first & 16 != 0 {
        config.payload_pointer = "/a/0".to_owned();
    }
    let mut poller = Poller::new(config, Seed::new(first.into())).expect("it can be polled");
    let targets = Targets::public();
    let mut now = Instant::ORIGIN;
    let mut asked = false;
    while let Some((&command, after)) = rest.split_first() {
        rest = after;
        match command % 8 {
            0 => poller.set_wanted(command & 8 == 0),
            1 => now = poller.poll_timeout().filter(|due| *due > now).unwrap_or(now),
            2 => now = now + Duration::from_millis(command.into()),
            3 => poller.handle_answer(now, Err(error(command >> 3))),
            4 => poller.handle_verdict(now, verdict(command >> 3)),
            _ => {
                let end = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
                poller.handle_answer(now, Ok(answer(command, &rest[..end])));
                rest = rest.get(end + 1..).unwrap_or_default();
            }
        }
        if matches!(command % 8, 3 | 5..) {
            asked = false;
        }
        poller.handle_timeout(now);
        while poller.poll_event().is_some() {}
        assert!(!format!("{poller:?}").contains(SECRET));
        if let Some(fetch) = poller.poll_transmit() {
            assert!(!asked, "one fetch at a time");
            asked = true;
            check(&fetch, scheme, SECRET);
            let _ = targets.may_resolve(&fetch.url);
            for addr in ["127.0.0.1:80", "[::1]:443", "10.0.0.1:80", "169.254.169.254:80"] {
                assert!(!targets.may_connect(&fetch.url, addr.parse().expect("an address")));
            }
        }
    }
}

/// What holds of every request, whatever was answered before.
fn check(fetch: &Fetch, scheme: &str, secret: &str) {
    let to = fetch.url.scheme_str();
    assert!(to == Some("http") && scheme == "http" || to == Some("https"), "from https to http");
    let authority = fetch.url.authority().expect("a host");
    assert!(!authority.as_str().contains('@'));
    let own = authority.host().eq_ignore_ascii_case("api.example") && to == Some(scheme);
    assert!(own || !fetch.headers.contains_key("x-key"), "a key leaves its origin");
    let provider = authority == "id.example" && fetch.method == http::Method::POST;
    assert!(own || provider || !fetch.headers.contains_key(header::AUTHORIZATION));
    assert!(!format!("{fetch:?}").contains(secret));
}

fn error(number: u8) -> FetchError {
    const ERRORS: [FetchError; 8] = [
        FetchError::Dns,
        FetchError::Refused,
        FetchError::Connect,
        FetchError::Tls,
        FetchError::TimedOut,
        FetchError::Broken,
        FetchError::TooLarge,
        FetchError::Encoding,
    ];
    ERRORS[usize::from(number) % ERRORS.len()]
}

fn verdict(number: u8) -> Result<(), Rejection> {
    match number % 4 {
        0 => Err(Rejection::NotJson),
        1 => Err(Rejection::TooLarge),
        2 => Err(Rejection::NotTaken),
        _ => Ok(()),
    }
}

fn answer(command: u8, line: &[u8]) -> Answer {
    const STATUSES: [u16; 16] =
        [200, 200, 200, 200, 204, 301, 302, 303, 304, 307, 308, 400, 401, 403, 500, 503];
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(line) {
        headers.insert(header::LOCATION, value.clone());
        headers.insert(header::RETRY_AFTER, value.clone());
        headers.insert(header::ETAG, value);
    }
    headers.insert(header::DATE, HeaderValue::from_static("Fri, 31 Dec 1999 23:59:29 GMT"));
    let status = STATUSES[usize::from(command >> 4)];
    let status = StatusCode::from_u16(status).expect("a status");
    Answer { status, headers, body: Bytes::copy_from_slice(line) }
}
