//! Topics over WebSocket.

use std::time::Duration;

use pointstream_net::Stream;
use pointstream_net::ws::{Kind, Side, WebSocket};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Answer, Gateway, soon};

const HEADERS: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

async fn open(gateway: &Gateway, mut stream: TcpStream, target: &str) -> WebSocket {
    let host = gateway.addr;
    let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{HEADERS}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon(stream.read_u8()).await.unwrap());
    }
    let answer = Answer::parse(&head);
    assert_eq!(answer.status, 101);
    assert_eq!(answer.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    WebSocket::new(Stream::other(stream), Side::Client, 1 << 20, &[])
}

async fn next(socket: &mut WebSocket) -> Value {
    let message = soon(socket.recv()).await.unwrap().expect("the connection goes on");
    assert_eq!(message.kind, Kind::Text);
    serde_json::from_slice(&message.data).unwrap()
}

#[tokio::test]
async fn events_are_messages_and_a_client_can_resume() {
    let gateway = Gateway::start().await;
    let document = |n: u32| format!(r#"{{"n":{n},"pad":"{}"}}"#, "x".repeat(200));
    gateway.publish(&document(1));
    let mut socket = open(&gateway, gateway.connect().await, "/v1/topics/plant").await;
    let first = next(&mut socket).await;
    assert_eq!((&first["type"], &first["data"]["n"]), (&json!("data"), &json!(1)));
    gateway.publish(&document(2));
    let second = next(&mut socket).await;
    assert_eq!(second["type"], "patch");
    assert_eq!(second["data"], json!([{"op": "replace", "path": "/n", "value": 2}]));
    let id = second["id"].as_str().unwrap().replace('#', "%23");
    // What the client sends does no harm.
    socket.send(Kind::Text, b"{}").await.unwrap();
    drop(socket);
    gateway.subscribers("plant", 0).await;
    gateway.publish(&document(3));
    let target = format!("/v1/topics/plant?lastEventId={id}");
    let mut socket = open(&gateway, gateway.connect().await, &target).await;
    let third = next(&mut socket).await;
    assert_eq!((&third["type"], &third["data"][0]["value"]), (&json!("patch"), &json!(3)));
    gateway.hub.remove("plant").unwrap();
    let error = next(&mut socket).await;
    assert_eq!((&error["type"], &error["data"]["code"]), (&json!("error"), &json!(60_000)));
    assert_eq!(error.get("id"), None);
    assert!(soon(socket.recv()).await.unwrap().is_none());
    assert_eq!(socket.close_code(), Some(1_000));
}

#[tokio::test]
async fn what_is_refused_is_told_in_a_message() {
    let gateway = Gateway::start().await;
    for (target, code) in
        [("/v1/topics/nothing", 40_401), ("/v1/topics/plant?X-Sd-Mode=both", 40_000)]
    {
        let mut socket = open(&gateway, gateway.connect().await, target).await;
        assert_eq!(next(&mut socket).await["data"]["code"], code);
        assert!(soon(socket.recv()).await.unwrap().is_none());
        assert_eq!(socket.close_code(), Some(1_008));
    }
    // The guard stands before it.
    let headers = format!("{HEADERS}Origin: http://evil.example\r\n");
    let request =
        format!("GET /v1/topics/plant HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", gateway.addr);
    let mut stream = gateway.connect().await;
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(soon(stream.read_u8()).await.unwrap());
    }
    assert_eq!(Answer::parse(&bytes).status, 403);
}

#[tokio::test]
async fn a_websocket_that_is_not_read_queues_one_event_and_is_closed_at_last() {
    let gateway = Gateway::with(|options| {
        options.limits.stall_timeout = Duration::from_millis(100);
    })
    .await;
    let document = |n: u32| format!(r#"["{n}","{}"]"#, n.to_string().repeat(200_000));
    gateway.publish(&document(1));
    let narrow = gateway.connect_narrow().await;
    let socket = open(&gateway, narrow, "/v1/topics/plant").await;
    gateway.subscribers("plant", 1).await;
    for n in 2..50 {
        gateway.publish(&document(n));
        tokio::task::yield_now().await;
    }
    let delivered = gateway.hub.topic("plant").unwrap().stats.delivered;
    assert!(delivered < 20, "{delivered}");
    gateway.subscribers("plant", 0).await;
    drop(socket);
}

#[tokio::test]
async fn silence_is_broken_by_pings_and_a_message_that_is_too_long_ends_it() {
    let gateway = Gateway::with(|options| options.heartbeat = Duration::from_millis(20)).await;
    let mut stream = gateway.connect().await;
    let request =
        format!("GET /v1/topics/plant HTTP/1.1\r\nHost: {}\r\n{HEADERS}\r\n", gateway.addr);
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    // A ping without a body.
    while !bytes.ends_with(&[0x89, 0]) {
        bytes.push(soon(stream.read_u8()).await.unwrap());
    }
    drop(stream);
    let mut socket = open(&gateway, gateway.connect().await, "/v1/topics/plant").await;
    socket.send(Kind::Binary, &[0; 4_097]).await.unwrap();
    let _ = soon(socket.recv()).await;
    gateway.subscribers("plant", 0).await;
}

#[tokio::test]
async fn a_server_that_ends_ends_its_websockets() {
    let gateway = Gateway::start().await;
    let mut socket = open(&gateway, gateway.connect().await, "/v1/topics/plant").await;
    gateway.subscribers("plant", 1).await;
    let (ended, ()) = tokio::join!(async { soon(socket.recv()).await.unwrap() }, gateway.stop());
    assert!(ended.is_none());
    assert_eq!(socket.close_code(), Some(1_001));
}
