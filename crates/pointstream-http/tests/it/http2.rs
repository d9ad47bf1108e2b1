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
