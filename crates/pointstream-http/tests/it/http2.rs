//! The same routes over HTTP/2.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use crate::support::{Gateway, soon};

struct Client {
    sender: SendRequest<Empty<Bytes>>,
    authority: String,
    _tasks: JoinSet<()>,
}

impl Client {
    async fn connect(gateway: &Gateway) -> Self {
        let stream = TokioIo::new(gateway.connect().await);
        // Windows that one event of the tests fills.
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(16_384)
            .initial_connection_window_size(1 << 20)
            .handshake(stream)
            .await
            .unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { drop(connection.await) });
        Self { sender, authority: gateway.addr.to_string(), _tasks: tasks }
    }

    async fn get(&mut self, target: &str) -> Response<Incoming> {
        let uri = format!("http://{}{target}", self.authority);
        let request = Request::get(uri).body(Empty::new()).unwrap();
        soon(self.sender.send_request(request)).await.unwrap()
    }
}

async fn next(response: &mut Response<Incoming>) -> String {
    let mut text = String::new();
    while !text.ends_with("\n\n") {
        let frame = soon(response.frame()).await.unwrap().unwrap();
        text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
    }
    text
}

#[tokio::test]
async fn many_streams_share_a_connection_and_the_guard_stands_before_each() {
    let gateway = Gateway::start().await;
    gateway.publish("1");
    let mut client = Client::connect(&gateway).await;
    let mut streams = Vec::new();
    for _ in 0..100 {
        let response = client.get("/v1/topics/plant").await;
        assert_eq!(response.status(), StatusCode::OK);
        assert!(response.headers().get("connection").is_none());
        assert!(response.headers().get("transfer-encoding").is_none());
        assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
        streams.push(response);
    }
    for stream in &mut streams {
        let mut text = next(stream).await;
        if !text.contains("data: 1") {
            text = next(stream).await;
        }
        assert!(text.contains("event: data\ndata: 1\n\n"), "{text}");
    }
    gateway.publish("2");
    for stream in &mut streams {
        assert!(next(stream).await.contains("data: 2"));
    }
    client.authority = "evil.example".to_owned();
    assert_eq!(client.get("/v1/topics/plant").await.status(), StatusCode::FORBIDDEN);
    assert_eq!(client.get("/healthz").await.status(), StatusCode::FORBIDDEN);
    drop(streams);
    gateway.subscribers("plant", 0).await;
}

#[tokio::test]
async fn a_stream_that_is_not_read_stalls_no_other() {
    let gateway = Gateway::start().await;
    let document = |n: u64| format!(r#"["{n}","{}"]"#, n.to_string().repeat(20_000));
    gateway.publish(&document(0));
    let mut client = Client::connect(&gateway).await;
    let stalled = client.get("/v1/topics/plant").await;
    let mut read = client.get("/v1/topics/plant").await;
    let mut last = String::new();
    for n in 1..200 {
        gateway.publish(&document(n));
        let mark = format!("data: [\"{n}\"");
        while !last.contains(&mark) {
            last = next(&mut read).await;
        }
    }
    // One window and the event that filled it, not two hundred documents.
    let stats = gateway.hub.topic("plant").unwrap().stats;
    assert!(stats.delivered < 230, "{}", stats.delivered);
    drop(stalled);
}

#[tokio::test]
async fn a_server_that_ends_ends_its_http2_streams() {
    let gateway = Gateway::start().await;
    gateway.publish("1");
    let mut client = Client::connect(&gateway).await;
    let mut stream = client.get("/v1/topics/plant").await;
    next(&mut stream).await;
    let (stopped, ()) = tokio::join!(gateway.stop(), async {
        while let Some(frame) = soon(stream.frame()).await {
            frame.expect("it ends without an error");
        }
    });
    stopped
}

#[tokio::test]
async fn a_preface_with_nothing_after_it_is_not_waited_for_for_ever() {
    let gateway = Gateway::with(|options| {
        options.limits.head_timeout = Duration::from_millis(50);
    })
    .await;
    for begun in ["PRI * HTTP/2.0\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut stream = gateway.connect().await;
        stream.write_all(begun.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        let _ = soon(stream.read_to_end(&mut bytes)).await;
    }
    assert_eq!(gateway.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_request_beyond_the_limit_of_streams_waits_for_another_to_end() {
    let gateway = Gateway::with(|options| options.limits.streams_max = 4).await;
    gateway.publish("1");
    let mut client = Client::connect(&gateway).await;
    let mut streams = Vec::new();
    for _ in 0..4 {
        streams.push(client.get("/v1/topics/plant").await);
    }
    let uri = format!("http://{}/healthz", client.authority);
    let request = Request::get(uri).body(Empty::new()).unwrap();
    let mut fifth = Box::pin(client.sender.send_request(request));
    // Whatever comes on the other streams, it does not come on this one.
    for n in 2..20 {
        gateway.publish(&n.to_string());
        for stream in &mut streams {
            let mark = format!("data: {n}\n");
            while !next(stream).await.contains(&mark) {}
        }
        let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(fifth.as_mut().poll(cx)));
        assert!(polled.await.is_pending());
    }
    streams.pop();
    assert_eq!(soon(fifth).await.unwrap().status(), StatusCode::OK);
    gateway.subscribers("rows", 0).await;
}

/// A peer that is gone without a word, as one whose network has failed, answers no ping.
#[tokio::test]
async fn a_connection_whose_peer_answers_no_ping_is_closed() {
    let gateway = Gateway::with(|options| {
        options.limits.head_timeout = Duration::from_millis(50);
    })
    .await;
    gateway.publish("1");
    let mut stream = gateway.connect().await;
    let (path, authority) = (&b"/v1/topics/plant"[..], gateway.addr.to_string());
    // GET by http, then literals with the names of a path and of an authority (RFC 7541, appendix A).
    let mut fields = vec![0x82, 0x86, 4, u8::try_from(path.len()).unwrap()];
    fields.extend(path);
    fields.extend([1, u8::try_from(authority.len()).unwrap()]);
    fields.extend(authority.as_bytes());
    let mut begun = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    begun.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    begun.extend([0, 0, u8::try_from(fields.len()).unwrap(), 1, 5, 0, 0, 0, 1]);
    begun.extend(fields);
    stream.write_all(&begun).await.unwrap();
    soon(async {
        while gateway.hub.topic("plant").unwrap().subscribers == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // From here on nothing is read or written on this side, though the socket is open.
    gateway.subscribers("plant", 0).await;
    let mut bytes = Vec::new();
    let _ = soon(stream.read_to_end(&mut bytes)).await;
    assert!(bytes.windows(8).any(|window| window == b"data: 1\n"), "it was a subscriber");
}

/// One that waits in silence is kept, and its streams are sent comments.
#[tokio::test]
async fn a_connection_that_waits_is_kept_by_pings_and_its_streams_by_comments() {
    let gateway = Gateway::with(|options| {
        options.limits.head_timeout = Duration::from_millis(20);
        options.heartbeat = Duration::from_millis(100);
    })
    .await;
    gateway.publish("1");
    let mut client = Client::connect(&gateway).await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        streams.push(client.get("/v1/topics/plant").await);
    }
    for stream in &mut streams {
        let mut comments = 0;
        while comments < 3 {
            comments += next(stream).await.matches("\n\n:\n").count().max(1);
        }
    }
    gateway.publish("2");
    for stream in &mut streams {
        while !next(stream).await.contains("data: 2\n") {}
    }
}
