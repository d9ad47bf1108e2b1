//! What can be asked of connectors.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Gateway, soon};

#[tokio::test]
async fn a_tree_is_looked_at_level_by_level() {
    let gateway = Gateway::start().await;
    let root = gateway.get("/v1/connectors/ahu/learn").await;
    assert_eq!(root.status, 200);
    assert_eq!(root.text(), r#"{"rows":[{"dis":"Fan","learn":"fan & co"}]}"#);
    let below = gateway.get("/v1/connectors/ahu/learn?at=fan+%26+co").await;
    assert_eq!(below.text(), r#"{"rows":[{"dis":"Speed","cur":"fan/speed","kind":"Number"}]}"#);
    gateway.stop().await;
}

#[tokio::test]
async fn what_cannot_be_learned_says_why() {
    let gateway = Gateway::start().await;
    let long = format!("/v1/connectors/ahu/learn?at={}", "x".repeat(4_097));
    let cases = [
        ("/v1/connectors/none/learn", 404, "GET /v1/connectors lists them"),
        ("/v1/connectors/flat/learn", 501, "learning is not supported"),
        ("/v1/connectors/ahu/learn?at=down", 503, "no route"),
        ("/v1/connectors/ahu/learn?at=slow", 504, "did not answer in time"),
        ("/v1/connectors/ahu/learn?at=nowhere", 502, "no such place"),
        (&long, 400, "more than the 4096 allowed"),
    ];
    for (target, status, detail) in cases {
        let answer = gateway.get(target).await;
        assert_eq!(answer.status, status, "{target}");
        assert!(answer.text().contains(detail), "{target}: {}", answer.text());
    }
    gateway.stop().await;
}

#[tokio::test]
async fn connectors_and_points_do_what_is_asked_and_tell_their_details() {
    let gateway = Gateway::start().await;
    assert_eq!(gateway.get("/v1/connectors/ahu/details").await.text(), "id: ahu\n");
    assert_eq!(gateway.get("/v1/points/ahu.a/details").await.text(), "id: ahu.a\n");
    assert_eq!(gateway.get("/v1/connectors/ahu/points").await.text(), r#"["ahu.a"]"#);
    let post = async |target: &str| {
        let length = "Content-Length: 0\r\n";
        gateway.request(&format!("POST {target}"), length, "").await.status
    };
    for act in ["ping", "open", "close"] {
        assert_eq!(post(&format!("/v1/connectors/ahu/{act}")).await, 202);
    }
    assert_eq!(post("/v1/connectors/ahu/explode").await, 404);
    assert_eq!(post("/v1/connectors/none/ping").await, 404);
    assert_eq!(post("/v1/points/ahu.a/sync").await, 200);
    assert_eq!(post("/v1/points/ahu.b/sync").await, 503);
    assert_eq!(post("/v1/points/none/sync").await, 404);
    gateway.stop().await;
}

#[tokio::test]
async fn a_trace_is_switched_read_and_followed() {
    let gateway = Gateway::start().await;
    let target = "/v1/connectors/ahu/trace";
    assert_eq!(
        gateway.get(target).await.text(),
        r#"{"on":false,"next":0,"missed":0,"entries":[]}"#
    );
    let body = r#"{"on":true}"#;
    let headers = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    let on = gateway.request(&format!("POST {target}"), &headers, body).await;
    assert_eq!(on.text(), body);
    gateway.trace.push("read 3 points", &[1, 0xff]);
    let entries = gateway.get(target).await.json();
    assert_eq!(entries["entries"][0]["hex"], "01 ff");
    let mut stream = gateway.connect().await;
    let request = format!(
        "GET {target}?since=1 HTTP/1.1\r\nHost: {}\r\nAccept: text/event-stream\r\n\r\n",
        gateway.addr
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut heard = String::new();
    let mut pushed = false;
    while !heard.contains("written 1 point") {
        let mut chunk = [0; 4096];
        let len = soon(stream.read(&mut chunk)).await.unwrap();
        assert!(len > 0, "the stream ended: {heard}");
        heard.push_str(&String::from_utf8_lossy(&chunk[..len]));
        if heard.contains("event: trace") && !pushed {
            pushed = true;
            gateway.trace.push("written 1 point", &[]);
        }
    }
    assert!(!heard.contains("read 3 points"), "{heard}");
    assert_eq!(gateway.get("/v1/connectors/none/trace").await.status, 404);
    assert_eq!(gateway.get("/v1/connectors/ahu/trace?since=x").await.status, 400);
    gateway.stop().await;
}

#[tokio::test]
async fn points_are_added_to_the_configuration() {
    let gateway = Gateway::start().await;
    let add = async |connector: &str, body: &str| {
        let length = body.len();
        let headers = format!("Content-Type: application/json\r\nContent-Length: {length}\r\n");
        gateway.request(&format!("POST /v1/connectors/{connector}/points"), &headers, body).await
    };
    let point = r#"{"points":[{"id":"ahu.new","kind":"Number","cur":"input:30002:s2"}]}"#;
    let added = add("ahu", point).await;
    assert_eq!(added.text(), r#"{"added":1,"id":"ahu","to":"pointFile"}"#);
    let to = point.replace("]}", r#"],"to":"config"}"#);
    assert_eq!(add("ahu", &to).await.json()["to"], "config");
    assert_eq!(add("ahu", &to.replace("config", "moon")).await.status, 400);
    assert_eq!(add("ahu", r#"{"points":[]}"#).await.status, 400);
    assert_eq!(add("ahu", r#"{"points":[{"id":"a b","kind":"Number"}]}"#).await.status, 400);
    assert_eq!(add("full", point).await.status, 500);
    assert_eq!(add("code", point).await.status, 409);
    let restore = async |connector: &str| {
        let target = format!("POST /v1/connectors/{connector}/points/restore");
        gateway.request(&target, "Content-Length: 0\r\n", "").await.status
    };
    assert_eq!((restore("ahu").await, restore("flat").await), (200, 400));
    gateway.stop().await;
}
