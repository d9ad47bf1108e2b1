use core::time::Duration;

use super::*;
use crate::{OAuth, Secret};

const fn at(millis: u64) -> Instant {
    Instant::from_origin(Duration::from_millis(millis))
}

fn poller(set: impl FnOnce(&mut Config)) -> Poller {
    let mut config = Config::new("http://api.example/v1/prices?a=1");
    set(&mut config);
    let mut poller = Poller::new(config, Seed::new(1)).unwrap();
    poller.set_wanted(true);
    poller
}

fn answer(
    status: u16,
    headers: &[(&'static str, &'static str)],
    body: &str,
) -> Result<Answer, FetchError> {
    let pair = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    Ok(Answer {
        status: StatusCode::from_u16(status).unwrap(),
        headers: headers.iter().map(pair).collect(),
        body: Bytes::copy_from_slice(body.as_bytes()),
    })
}

impl Poller {
    /// Begins the poll that is due and gives its fetch.
    fn due(&mut self) -> (Instant, Fetch) {
        let now = self.poll_timeout().expect("something is due");
        self.handle_timeout(now);
        (now, self.poll_transmit().expect("a poll begins with a fetch"))
    }

    /// A poll that is answered at once.
    fn poll(&mut self, answer: Result<Answer, FetchError>) -> Option<Event> {
        let (now, _) = self.due();
        self.handle_answer(now, answer);
        let event = self.poll_event();
        if let Some(Event::Document(_)) = event {
            self.handle_verdict(now, Ok(()));
        }
        event
    }
}

fn document(text: &str) -> Option<Event> {
    Some(Event::Document(Bytes::copy_from_slice(text.as_bytes())))
}

fn failed(kind: FailureKind, status: Option<u16>) -> Option<Event> {
    Some(Event::Failed(Failure { kind, source_status: status }))
}

#[test]
fn a_document_is_asked_for_while_it_is_wanted() {
    let mut poller = poller(|_| ());
    poller.set_wanted(false);
    assert_eq!(poller.poll_timeout(), None);
    poller.handle_timeout(at(5_000));
    assert!(poller.poll_transmit().is_none());
    poller.set_wanted(true);
    poller.handle_timeout(at(5_000));
    let fetch = poller.poll_transmit().unwrap();
    assert_eq!(
        (fetch.method, fetch.url.to_string()),
        (Method::GET, "http://api.example/v1/prices?a=1".into())
    );
    assert_eq!(fetch.headers["accept"], "application/json");
    assert_eq!(fetch.headers["accept-encoding"], "gzip");
    assert_eq!(fetch.headers["via"], "1.1 pointstream");
    assert_eq!(fetch.headers["forwarded"], "for=unknown;by=_pointstream");
    assert!(fetch.headers.get("if-none-match").is_none());
    assert_eq!(poller.poll_timeout(), None, "one fetch at a time");
    poller.handle_answer(at(5_100), answer(200, &[], "[1]"));
    assert_eq!(poller.poll_event(), document("[1]"));
    assert_eq!(poller.poll_timeout(), None, "the verdict is waited for");
    poller.handle_verdict(at(5_100), Ok(()));
    assert_eq!(poller.poll_timeout(), Some(at(7_000)));
    assert_eq!(poller.poll_event(), None);
    // Whoever goes and comes does not make the source be asked more often.
    poller.set_wanted(false);
    assert_eq!(poller.poll_timeout(), None);
    poller.set_wanted(true);
    assert_eq!(poller.poll_timeout(), Some(at(7_000)));
}

#[test]
fn what_has_not_changed_is_not_sent_again() {
    let mut poller = poller(|_| ());
    let tags = [("etag", "\"a\""), ("last-modified", "Fri, 31 Dec 1999 23:59:29 GMT")];
    assert_eq!(poller.poll(answer(200, &tags, "1")), document("1"));
    let (now, fetch) = poller.due();
    assert_eq!(fetch.headers["if-none-match"], "\"a\"");
    assert_eq!(fetch.headers["if-modified-since"], "Fri, 31 Dec 1999 23:59:29 GMT");
    poller.handle_answer(now, answer(304, &[], ""));
    assert_eq!(poller.poll_event(), None);
    // What was not taken must be asked for again, whole.
    let (now, _) = poller.due();
    poller.handle_answer(now, answer(200, &[("etag", "\"b\"")], "x"));
    assert_eq!(poller.poll_event(), document("x"));
    poller.handle_verdict(now, Err(Rejection::NotJson));
    assert_eq!(poller.poll_event(), failed(FailureKind::NotJson, None));
    let (now, fetch) = poller.due();
    assert_eq!(fetch.headers["if-none-match"], "\"a\"");
    // Unchanged since the last good one: the source is well again.
    poller.handle_answer(now, answer(304, &[], ""));
    assert_eq!(poller.poll_event(), Some(Event::Recovered));
    assert_eq!(poller.poll(answer(200, &[], "2")), document("2"));
    let (_, fetch) = poller.due();
    assert!(fetch.headers.get("if-none-match").is_none(), "the last answer had no tag");
}

#[test]
fn an_answer_that_was_not_asked_for_is_a_failure() {
    let mut poller = poller(|_| ());
    assert_eq!(poller.poll(answer(304, &[], "")), failed(FailureKind::Status, Some(304)));
    poller.handle_answer(at(0), answer(200, &[], "1"));
    poller.handle_verdict(at(0), Ok(()));
    assert_eq!(poller.poll_event(), None);
}

#[test]
fn each_failure_is_told_once_until_it_is_another_one() {
    for (given, kind, status, code) in [
        (answer(500, &[], ""), FailureKind::Status, Some(500), 60_001),
        (answer(404, &[], ""), FailureKind::Status, Some(404), 60_001),
        (answer(204, &[], ""), FailureKind::Status, Some(204), 60_001),
        (answer(302, &[("location", "/x")], ""), FailureKind::Redirect, Some(302), 60_001),
        (answer(401, &[], ""), FailureKind::Unauthorized, Some(401), 60_101),
        (answer(403, &[], ""), FailureKind::Forbidden, Some(403), 60_102),
        (Err(FetchError::Dns), FailureKind::Target, None, 60_400),
        (Err(FetchError::Refused), FailureKind::Target, None, 60_400),
        (Err(FetchError::Connect), FailureKind::Connect, None, 60_100),
        (Err(FetchError::Broken), FailureKind::Connect, None, 60_100),
        (Err(FetchError::Tls), FailureKind::Tls, None, 60_100),
        (Err(FetchError::TimedOut), FailureKind::TimedOut, None, 60_100),
        (Err(FetchError::TooLarge), FailureKind::TooLarge, None, 60_001),
        (Err(FetchError::Encoding), FailureKind::Encoding, None, 60_001),
    ] {
        let mut poller = poller(|_| ());
        assert_eq!(poller.poll(given.clone()), failed(kind, status));
        let failure = Failure { kind, source_status: status };
        assert_eq!(failure.code(), code);
        assert_eq!(poller.poll(given.clone()), None, "told once");
        let (now, _) = poller.due();
        poller.handle_answer(now, answer(200, &[], "1"));
        assert_eq!(poller.poll_event(), document("1"));
        poller.handle_verdict(now, Ok(()));
        assert_eq!(poller.poll_event(), Some(Event::Recovered));
        let again = poller.poll(given);
        assert!(matches!(again, Some(Event::Failed(_))), "told again after it was well");
    }
    let mut poller = poller(|_| ());
    assert!(poller.poll(answer(500, &[], "")).is_some());
    assert!(poller.poll(Err(FetchError::Dns)).is_some());
    assert!(poller.poll(answer(500, &[], "")).is_some());
}

#[test]
fn credentials_that_were_good_have_expired() {
    let mut poller = poller(|_| ());
    poller.poll(answer(200, &[], "1"));
    assert_eq!(poller.poll(answer(401, &[], "")), failed(FailureKind::Expired, Some(401)));
    assert_eq!(Failure::new(FailureKind::Expired).code(), 60_103);
}

#[test]
fn failures_are_waited_out_for_longer_and_longer() {
    let mut poller = poller(|_| ());
    let mut waits = Vec::new();
    for _ in 0..8 {
        let (now, _) = poller.due();
        poller.handle_answer(now, Err(FetchError::Connect));
        waits.push(poller.poll_timeout().unwrap().since(now).as_secs());
    }
    assert!(waits[0] <= 2 && waits[3] >= 12 && waits[7] >= 48 && waits[7] <= 72, "{waits:?}");
    let (now, _) = poller.due();
    poller.handle_answer(now, answer(503, &[("retry-after", "600")], ""));
    assert_eq!(poller.poll_timeout().unwrap().since(now), Duration::from_secs(600));
}

#[test]
fn a_part_is_published_where_a_pointer_names_it() {
    let with = |pointer: &str| poller(|config| config.payload_pointer = pointer.into());
    let body = r#"{"data":{"a/b":[1,{"x":"é"}]},"n":null}"#;
    for (pointer, part) in
        [("/data/a~1b/1", r#"{"x":"é"}"#), ("/data/a~1b/0", "1"), ("/n", "null"), ("", body)]
    {
        assert_eq!(with(pointer).poll(answer(200, &[], body)), document(part), "{pointer}");
    }
    for (pointer, body) in [("/data/x", body), ("/data", "[1]"), ("/data", "not JSON")] {
        let event = with(pointer).poll(answer(200, &[], body));
        assert_eq!(event, failed(FailureKind::NotJson, None), "{pointer}");
    }
}

#[test]
fn redirects_are_followed_as_far_as_they_may_be() {
    let mut poller = poller(|config| {
        config.redirects_max = 5;
        config.headers = vec![("X-Key".into(), Secret::new("s3cret"))];
    });
    let (now, fetch) = poller.due();
    assert_eq!(fetch.headers["x-key"], "s3cret");
    for (n, (location, url, has_key)) in [
        ("/v2/prices", "http://api.example/v2/prices", true),
        ("prices?b", "http://api.example/v2/prices?b", true),
        ("http://other.example/p", "http://other.example/p", false),
        ("https://api.example/p", "https://api.example/p", false),
        ("https://api.example/q", "https://api.example/q", false),
    ]
    .into_iter()
    .enumerate()
    {
        let status = [301, 302, 303, 307, 308][n];
        poller.handle_answer(now, answer(status, &[("location", location)], ""));
        let fetch = poller.poll_transmit().unwrap();
        assert_eq!(fetch.url.to_string(), url);
        assert_eq!(fetch.headers.contains_key("x-key"), has_key, "{url}");
    }
    poller.handle_answer(now, answer(302, &[("location", "/sixth")], ""));
    assert_eq!(poller.poll_event(), failed(FailureKind::Redirect, Some(302)));

    let refused = |from: &str, headers: &[(&'static str, &'static str)]| {
        let mut poller = self::poller(|config| {
            config.redirects_max = 5;
            config.url = from.into();
        });
        assert_eq!(poller.poll(answer(302, headers, "")), failed(FailureKind::Redirect, Some(302)));
        assert!(poller.poll_transmit().is_none());
    };
    refused("https://api.example/", &[("location", "http://api.example/")]);
    refused("http://api.example/", &[("location", "file:///etc/passwd")]);
    refused("http://api.example/", &[("location", "http://ok@127.0.0.1/")]);
    refused("http://api.example/", &[]);
}

#[test]
fn the_validators_of_a_redirect_are_for_where_it_leads() {
    let mut poller = poller(|config| config.redirects_max = 1);
    let (now, _) = poller.due();
    poller.handle_answer(now, answer(302, &[("location", "/there")], ""));
    poller.poll_transmit().unwrap();
    poller.handle_answer(now, answer(200, &[("etag", "\"t\"")], "1"));
    poller.poll_event();
    poller.handle_verdict(now, Ok(()));
    let (now, fetch) = poller.due();
    assert!(fetch.headers.get("if-none-match").is_none());
    poller.handle_answer(now, answer(302, &[("location", "/there")], ""));
    assert_eq!(poller.poll_transmit().unwrap().headers["if-none-match"], "\"t\"");
    poller.handle_answer(now, answer(304, &[], ""));
    assert_eq!(poller.poll_event(), None);
}

#[test]
fn a_token_is_fetched_kept_and_renewed_once() {
    let grant = r#"{"access_token":"t0","token_type":"Bearer","expires_in":3600}"#;
    let mut poller = poller(|config| {
        config.auth = Auth::OAuth(OAuth::new("https://id.example/token", "me", "s3cret"));
    });
    let (now, fetch) = poller.due();
    assert_eq!(
        (fetch.method, fetch.url.to_string()),
        (Method::POST, "https://id.example/token".into())
    );
    poller.handle_answer(now, answer(200, &[], grant));
    let fetch = poller.poll_transmit().unwrap();
    assert_eq!(fetch.headers["authorization"], "Bearer t0");
    assert!(!format!("{fetch:?} {poller:?}").contains("t0"));
    poller.handle_answer(now, answer(200, &[], "1"));
    assert_eq!(poller.poll_event(), document("1"));
    poller.handle_verdict(now, Ok(()));
    // The same token serves the next poll; when it is refused, one more is fetched, and no third.
    let (now, fetch) = poller.due();
    assert_eq!(fetch.method, Method::GET);
    poller.handle_answer(now, answer(401, &[], ""));
    assert_eq!(poller.poll_transmit().unwrap().method, Method::POST);
    poller.handle_answer(now, answer(200, &[], grant));
    assert_eq!(poller.poll_transmit().unwrap().method, Method::GET);
    poller.handle_answer(now, answer(401, &[], ""));
    assert!(poller.poll_transmit().is_none());
    assert_eq!(poller.poll_event(), failed(FailureKind::Expired, Some(401)));
    // After its time it is fetched anew.
    let later = at(4_000_000);
    poller.handle_timeout(later);
    assert_eq!(poller.poll_transmit().unwrap().method, Method::POST);
    poller.handle_answer(later, answer(400, &[], r#"{"error":"invalid_client"}"#));
    assert_eq!(poller.poll_event(), failed(FailureKind::Unauthorized, Some(400)));
    // Another origin is not sent the token.
    let mut poller = self::poller(|config| {
        config.redirects_max = 1;
        config.auth = Auth::OAuth(OAuth::new("http://id.example/token", "me", "s3cret"));
    });
    let (now, _) = poller.due();
    poller.handle_answer(now, answer(200, &[], grant));
    poller.poll_transmit().unwrap();
    poller.handle_answer(now, answer(302, &[("location", "http://other.example/")], ""));
    assert!(poller.poll_transmit().unwrap().headers.get("authorization").is_none());
}
