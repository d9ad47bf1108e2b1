use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use pointstream_poll::shell::{Client, ClientOptions, Lookup, Resolve};
use pointstream_poll::{Answer, Config, Fetch, FetchError, Poller, Targets};
use pointstream_time::{Instant, Seed};

use crate::source::{Source, soon};

/// The first fetch of a poller of `url`.
pub(crate) fn fetch(url: &str, set: impl FnOnce(&mut Config)) -> Fetch {
    let mut config = Config::new(url);
    set(&mut config);
    let mut poller = Poller::new(config, Seed::new(1)).unwrap();
    poller.set_wanted(true);
    poller.handle_timeout(Instant::ORIGIN);
    poller.poll_transmit().unwrap()
}

fn allowing(source: &Source) -> ClientOptions {
    let mut targets = Targets::public();
    targets.allow(&source.addr.to_string()).unwrap();
    ClientOptions::new(targets)
}

async fn get(client: &mut Client, url: &str) -> Result<Answer, FetchError> {
    soon(client.fetch(&fetch(url, |_| ()))).await
}

#[tokio::test]
async fn a_connection_is_kept_where_the_server_keeps_it() {
    let source = Source::start().await;
    source.answer("200 OK", "", "1");
    let mut client = Client::new(allowing(&source));
    for _ in 0..3 {
        let answer = get(&mut client, &source.url("/p?q=1")).await.unwrap();
        assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &b"1"[..]));
    }
    assert_eq!(source.connections(), 1);
    let requests = source.requests(3).await;
    assert!(requests[0].starts_with("GET /p?q=1 HTTP/1.1\r\n"), "{}", requests[0]);
    let host = format!("\r\nhost: {}\r\n", source.addr);
    assert_eq!(requests[0].to_lowercase().matches(&host).count(), 1);
    source.answer("200 OK", "Connection: close\r\n", "2");
    source.answer("200 OK", "Connection: close\r\n", "3");
    for _ in 0..4 {
        get(&mut client, &source.url("/")).await.unwrap();
    }
    assert_eq!(source.connections(), 3, "one that was closed is opened again");
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_costs_nothing() {
    let source = Source::start().await;
    // Closed without saying so.
    source.answer_raw("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1");
    let mut client = Client::new(allowing(&source));
    get(&mut client, &source.url("/")).await.unwrap();
    source.answer_raw("");
    source.answer("200 OK", "", "2");
    // The kept connection gives no answer in time, so it is not one that was closed.
    let slow = fetch(&source.url("/"), |config| config.timeout = Duration::from_millis(50));
    get(&mut client, &source.url("/")).await.unwrap();
    assert_eq!(client.fetch(&slow).await.err(), Some(FetchError::TimedOut));
    assert_eq!(get(&mut client, &source.url("/")).await.unwrap().body, "2");
}

#[tokio::test]
async fn a_body_is_unpacked_and_bounded() {
    let source = Source::start().await;
    let mut client = Client::new(allowing(&source));
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&vec![b' '; 32 << 20]).unwrap();
    let bomb = encoder.finish().unwrap();
    source.answer("200 OK", "Content-Encoding: gzip\r\n", &bomb);
    assert_eq!(get(&mut client, &source.url("/")).await.err(), Some(FetchError::TooLarge));
    let limited = |max| fetch(&source.url("/"), move |config| config.body_bytes_max = max);
    for (max, expected) in [(4, Ok("1234")), (3, Err(FetchError::TooLarge))] {
        for raw in [
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n1234",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n12\r\n2\r\n34\r\n0\r\n\r\n",
        ] {
            let source = Source::start().await;
            source.answer_raw(raw);
            let mut client = Client::new(allowing(&source));
            let mut fetch = limited(max);
            fetch.url = source.url("/").parse().unwrap();
            let body = soon(client.fetch(&fetch)).await.map(|answer| answer.body);
            assert_eq!(body, expected.map(bytes::Bytes::from), "{raw}");
        }
    }
}

#[tokio::test]
async fn what_is_no_answer_is_told_by_kind() {
    for (raw, error) in [
        ("NONSENSE\r\n\r\n", FetchError::Broken),
        ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\n1", FetchError::Broken),
        (
            "HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 1\r\n\r\n1",
            FetchError::Encoding,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\n1",
            FetchError::Encoding,
        ),
    ] {
        let source = Source::start().await;
        source.answer_raw(raw);
        let mut client = Client::new(allowing(&source));
        assert_eq!(get(&mut client, &source.url("/")).await.err(), Some(error), "{raw}");
    }
    let source = Source::start().await;
    let long =
        format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 0\r\n\r\n", "x".repeat(200_000));
    source.answer_raw(long);
    let mut client = Client::new(allowing(&source));
    assert_eq!(get(&mut client, &source.url("/")).await.err(), Some(FetchError::Broken));
    // Nobody listens where somebody did.
    let addr = source.addr;
    let mut client = Client::new(allowing(&source));
    drop(source);
    let url = format!("http://{addr}/");
    assert_eq!(get(&mut client, &url).await.err(), Some(FetchError::Connect));
}

/// Gives other addresses each time it is asked.
pub(crate) struct Names {
    answers: Vec<Vec<SocketAddr>>,
    asked: AtomicUsize,
}

impl Names {
    pub(crate) const fn of(answers: Vec<Vec<SocketAddr>>) -> Self {
        Self { answers, asked: AtomicUsize::new(0) }
    }
}

impl Resolve for Names {
    fn resolve<'a>(&'a self, _host: &'a str, _port: u16) -> Lookup<'a> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = self.answers.get(asked).cloned();
        Box::pin(async move { answer.ok_or_else(|| io::ErrorKind::NotFound.into()) })
    }
}

#[tokio::test]
async fn a_forbidden_address_sees_no_connection_whatever_leads_to_it() {
    let source = Source::start().await;
    source.answer("200 OK", "", "secret");
    let port = source.addr.port();
    let own = format!("other.example:{port}");
    for host in [
        "127.0.0.1",
        "2130706433",
        "0x7f.1",
        "017700000001",
        "127.1",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "localhost",
        "localhost.",
        "0.0.0.0",
        "[::]",
    ] {
        // The port is one that may be asked for, so that it is the address that keeps it away.
        let mut targets = Targets::public();
        targets.allow(&own).unwrap();
        let mut client = Client::new(ClientOptions::new(targets));
        let error = get(&mut client, &format!("http://{host}:{port}/")).await.err();
        assert!(matches!(error, Some(FetchError::Refused | FetchError::Dns)), "{host}: {error:?}");
    }
    // Names with one good and one bad address, and with another one at the second look-up.
    let (good, bad) = (SocketAddr::from(([1, 1, 1, 1], port)), source.addr);
    for answers in [vec![vec![good, bad]], vec![vec![bad, good]], vec![vec![bad]], vec![vec![]]] {
        let mut targets = Targets::public();
        targets.allow(&format!("1.1.1.1:{port}")).unwrap();
        let mut options = ClientOptions::new(targets);
        options.resolver = Arc::new(Names { answers, asked: AtomicUsize::new(0) });
        let mut client = Client::new(options);
        let error = get(&mut client, &format!("http://name.example:{port}/")).await.err();
        assert!(matches!(error, Some(FetchError::Refused | FetchError::Dns)));
    }
    assert_eq!(source.connections(), 0);
}

#[tokio::test]
async fn a_name_is_looked_up_once_for_a_connection() {
    let source = Source::start().await;
    source.answer("200 OK", "Connection: close\r\n", "1");
    let mut options = allowing(&source);
    let names = Arc::new(Names {
        answers: vec![vec![source.addr], vec![([127, 0, 0, 1], 1).into()]],
        asked: AtomicUsize::new(0),
    });
    options.resolver = Arc::clone(&names) as Arc<dyn Resolve>;
    let mut client = Client::new(options);
    let url = format!("http://name.example:{}/", source.addr.port());
    assert_eq!(get(&mut client, &url).await.unwrap().body, "1");
    assert_eq!(names.asked.load(Ordering::SeqCst), 1);
    let requests = source.requests(1).await;
    assert!(requests[0].to_lowercase().contains("\r\nhost: name.example:"), "{}", requests[0]);
    // The second time the name leads elsewhere, where it may not.
    assert_eq!(get(&mut client, &url).await.err(), Some(FetchError::Refused));
}
