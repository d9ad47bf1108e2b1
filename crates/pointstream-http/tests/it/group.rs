use pointstream_hub::TopicOptions;
use serde_json::{Value, json};

use crate::parser::Event;
use crate::support::{Gateway, Sse};

async fn gateway() -> Gateway {
    let gateway = Gateway::start().await;
    gateway.hub.create("other", TopicOptions::text()).unwrap();
    publish(&gateway, "plant", 1);
    publish(&gateway, "other", 1);
    gateway
}

fn publish(gateway: &Gateway, topic: &str, n: u32) {
    let text = json!({"n": n, "pad": "p".repeat(200)}).to_string();
    gateway.hub.publish(topic, text.as_bytes()).unwrap();
}

fn parse(event: &Event) -> Value {
    assert!(event.data.starts_with("{\"topic\":") || event.name == "stream", "{}", event.data);
    serde_json::from_str(&event.data).unwrap()
}

async fn open(gateway: &Gateway, target: &str, headers: &str) -> (Sse, String) {
    let mut stream = gateway.subscribe(target, headers).await;
    let first = stream.event().await;
    assert_eq!((first.name.as_str(), first.last_event_id.as_str()), ("stream", ""));
    let session = parse(&first)["session"].as_str().unwrap().to_owned();
    (stream, session)
}

async fn change(gateway: &Gateway, session: &str, body: &str) -> u16 {
    let headers = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    gateway.request(&format!("PATCH /v1/stream/{session}"), &headers, body).await.status
}

#[tokio::test]
async fn several_topics_come_on_one_stream_and_are_changed_while_it_runs() {
    let gateway = gateway().await;
    let (mut stream, session) = open(&gateway, "/v1/stream?topic=plant", "").await;
    let event = stream.event().await;
    assert_eq!((event.name.as_str(), &parse(&event)["topic"]), ("data", &json!("plant")));
    assert_eq!(parse(&event)["data"]["n"], 1);
    assert_eq!(change(&gateway, &session, r#"{"add":["other"]}"#).await, 204);
    let event = stream.event().await;
    assert_eq!((event.name.as_str(), &parse(&event)["topic"]), ("data", &json!("other")));
    publish(&gateway, "plant", 2);
    let event = stream.event().await;
    assert_eq!(event.name, "patch");
    let patch = json!([{"op": "replace", "path": "/n", "value": 2}]);
    assert_eq!(parse(&event), json!({"topic": "plant", "data": patch}));
    let left = event.last_event_id;
    assert_eq!(change(&gateway, &session, r#"{"remove":["plant"]}"#).await, 204);
    publish(&gateway, "plant", 3);
    publish(&gateway, "other", 2);
    assert_eq!(parse(&stream.event().await)["topic"], "other");
    drop(stream);

    let headers = format!("Last-Event-ID: {left}\r\n");
    let (mut stream, _) = open(&gateway, "/v1/stream?topic=plant&topic=other", &headers).await;
    let events = [stream.event().await, stream.event().await];
    let mut seen: Vec<_> =
        events.iter().map(|event| (parse(event)["topic"].clone(), event.name.clone())).collect();
    seen.sort_by_key(|(topic, _)| topic.to_string());
    let patch = || "patch".to_owned();
    assert_eq!(seen, [(json!("other"), patch()), (json!("plant"), patch())], "all are restored");
    gateway.hub.remove("other").unwrap();
    let event = stream.event().await;
    assert_eq!((event.name.as_str(), &parse(&event)["data"]["code"]), ("error", &json!(60_000)));
    publish(&gateway, "plant", 4);
    assert_eq!(stream.event().await.name, "patch", "the others go on");
}

#[tokio::test]
async fn what_cannot_be_followed_together_is_told() {
    let gateway = gateway().await;
    let mut stream = gateway.subscribe("/v1/stream?topic=plant&topic=absent", "").await;
    let event = stream.event().await;
    let body: Value = serde_json::from_str(&event.data).unwrap();
    assert_eq!((event.name.as_str(), &body["code"]), ("error", &json!(40_401)));
    let (mut stream, session) = open(&gateway, "/v1/stream?topic=plant", "").await;
    stream.event().await;
    for (session, body, status) in [
        (&*session, r#"{"add":["absent"],"remove":["plant"]}"#, 404),
        (&*session, r#"{"add":["a/b"]}"#, 404),
        (&*session, r#"{"ad":[]}"#, 400),
        ("0", "{}", 404),
        ("x", "{}", 404),
    ] {
        assert_eq!(change(&gateway, session, body).await, status, "{body}");
    }
    publish(&gateway, "plant", 2);
    assert_eq!(stream.event().await.name, "patch", "the topics stay");
    drop(stream);
    gateway.subscribers("plant", 0).await;
    assert_eq!(change(&gateway, &session, "{}").await, 404, "a stream that has gone");
}
