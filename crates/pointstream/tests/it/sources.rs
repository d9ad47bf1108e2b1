//! Topics that are polled from an HTTP API, by configuration.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pointstream::conn::Registry;
use pointstream::hub::{Event, Mode, Subscription};
use pointstream::{Config, Gateway};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Answers each request with its path and how many there were; gives the place of the count.
async fn api(tasks: &mut JoinSet<()>) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    tasks.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            let request = String::from_utf8(request).unwrap();
            let path = request.split(' ').nth(1).unwrap().to_owned();
            let n = count.fetch_add(1, Ordering::SeqCst);
            let body = format!(r#"{{"data":{{"path":"{path}","n":{n}}}}}"#);
            let answer = format!(
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (addr, asked)
}

fn config(text: &str) -> Config {
    Config::parse(text, "gateway.toml", Path::new("")).unwrap()
}

async fn next(subscription: &mut Subscription) -> Option<Event> {
    let next = tokio::time::timeout(Duration::from_secs(20), subscription.next()).await;
    next.unwrap().and_then(Result::ok)
}

#[tokio::test]
async fn a_source_becomes_a_topic_and_goes_with_its_configuration() {
    let mut tasks = JoinSet::new();
    let (addr, asked) = api(&mut tasks).await;
    let source = |path: &str| {
        config(&format!(
            "[[source]]\nid = \"prices\"\nurl = \"http://{addr}{path}\"\npoll_time = \"500ms\"\n\
             payload_pointer = \"/data\"\narray_ids = {{ \"/rows/*\" = \"/id\" }}\nallow_targets = [\"127.0.0.0/8:{}\"]\n\
             auth = {{ kind = \"query\", parameters = {{ key = \"k\" }} }}\n",
            addr.port()
        ))
    };
    let mut gateway = Gateway::new(Registry::new());
    let applied = gateway.apply(source("/a")).await.unwrap();
    assert!(applied.topics.iter().any(|id| id.as_str() == "prices"));
    assert_eq!(asked.load(Ordering::SeqCst), 0, "nobody listens");
    let mut prices = gateway.hub().subscribe("prices", Mode::Snapshot, None).unwrap();
    let first = next(&mut prices).await.unwrap();
    assert_eq!(first.body(), r#"{"path":"/a?key=k","n":0}"#);
    // The same again changes nothing, another address is another topic.
    let applied = gateway.apply(source("/a")).await.unwrap();
    assert!(!applied.topics.iter().any(|id| id.as_str() == "prices"));
    assert!(next(&mut prices).await.is_some());
    gateway.apply(source("/b")).await.unwrap();
    while next(&mut prices).await.is_some() {}
    let mut prices = gateway.hub().subscribe("prices", Mode::Snapshot, None).unwrap();
    let text = String::from_utf8(next(&mut prices).await.unwrap().body().to_vec()).unwrap();
    assert!(text.starts_with(r#"{"path":"/b?key=k""#), "{text}");
    gateway.apply(config("")).await.unwrap();
    assert!(gateway.hub().topic("prices").is_err());
    gateway.shutdown().await;
}

#[test]
fn what_is_wrong_with_a_source_is_told_with_its_place() {
    for (text, told) in [
        ("url = \"ftp://a/\"", "the URL needs the scheme http or https"),
        ("url = \"http://a/\"\npoll_time = \"1ms\"", "a period of 1ms is not within"),
        ("url = \"http://a/\"\nredirects_max = 6", "at most 5 redirects"),
        ("url = \"http://a/\"\narray_ids = { quotes = \"/id\" }", "array_ids: "),
        ("url = \"http://a/\"\nallow_targets = [\"a\"]", "\"a\" is not a target"),
        ("url = \"http://a/\"\nheaders = { Host = \"s3cret\" }", "the header \"Host\""),
    ] {
        let text = format!("\n[[source]]\nid = \"prices\"\n{text}\n");
        let error = Config::parse(&text, "gateway.toml", Path::new("")).unwrap_err().to_string();
        assert!(error.starts_with("gateway.toml:2:1: "), "{error}");
        assert!(error.contains(told) && !error.contains("s3cret"), "{error}");
    }
    let twice = "[[topic]]\nid = \"a\"\n[[source]]\nid = \"a\"\nurl = \"http://a/\"\n";
    assert!(Config::parse(twice, "gateway.toml", Path::new("")).is_err());
    let secret = "[[source]]\nid = \"a\"\nurl = \"http://a/\"\n\
                  auth = { kind = \"basic\", user = \"u\", password = \"s3cret\" }\n";
    assert!(!format!("{:?}", config(secret)).contains("s3cret"));
}
