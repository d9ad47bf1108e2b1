use std::time::Duration;

use pointstream_hub::{ErrorCode, Fault, Hub, ItemOptions, TopicOptions};
use serde_json::{Value, json};

use crate::support::{Gateway, Sse};

async fn gateway() -> Gateway {
    let gateway = Gateway::start().await;
    let items = ItemOptions::new(".s".parse().unwrap());
    gateway.hub.create("items", TopicOptions::items(items)).unwrap();
    gateway
}

async fn data(stream: &mut Sse) -> Value {
    let event = stream.event().await;
    serde_json::from_str(&event.data).unwrap()
}

fn items(hub: &Hub, items: &Value) {
    hub.publish("items", items.to_string().as_bytes()).unwrap();
}

#[tokio::test]
async fn a_subscriber_sees_what_it_asks_for() {
    let gateway = gateway().await;
    items(&gateway.hub, &json!([{"s": "A,1", "v": 1}, {"s": "B", "v": 1}, {"s": "C", "v": 1}]));
    gateway.publish(r#"{"a":{"b":[1,2]},"c":"é"}"#);
    for (target, expected) in [
        ("/v1/topics/items?X-Sd-Filter=C,A%2C1", json!([{"s": "A,1", "v": 1}, {"s": "C", "v": 1}])),
        ("/v1/topic/items?x-sd-filter=B", json!([{"s": "B", "v": 1}])),
        ("/latest/topics/items?X-Sd-Fields=v", json!([{"v": 1}, {"v": 1}, {"v": 1}])),
        ("/v1/topics/items?X-Sd-Filter=B&X-Sd-Pointer=/0/v", json!(1)),
        ("/v1/topics/plant?X-Sd-Pointer=/a/b/1", json!(2)),
        ("/v1/topics/plant?X-Sd-Fields=c", json!({"c": "é"})),
        (
            "/v1/topics/plant?X-Sd-Max-Rate=1&X-Sd-Deadband=/a/b/0:3",
            json!({"a": {"b": [1, 2]}, "c": "é"}),
        ),
    ] {
        let mut stream = gateway.subscribe(target, "").await;
        assert_eq!(data(&mut stream).await, expected, "{target}");
    }
    let mut filtered = gateway.subscribe("/v1/topics/items?X-Sd-Filter=C,D", "").await;
    data(&mut filtered).await;
    items(&gateway.hub, &json!([{"s": "B", "v": 2}]));
    items(&gateway.hub, &json!([{"s": "D", "v": 2}, {"s": "C", "v": 3}]));
    let patch = data(&mut filtered).await;
    assert_eq!(patch[0], json!({"op": "add", "path": "/1", "value": {"s": "D", "v": 2}}));
    assert_eq!(patch[1], json!({"op": "replace", "path": "/0/v", "value": 3}));
}

async fn expect_error(gateway: &Gateway, target: &str, code: u32) {
    let mut stream = gateway.subscribe(target, "").await;
    let event = stream.event().await;
    assert_eq!((event.name.as_str(), event.last_event_id.as_str()), ("error", ""), "{target}");
    let body: Value = serde_json::from_str(&event.data).unwrap();
    assert_eq!(body["code"], code, "{target}");
    assert!(stream.next().await.is_none(), "and the stream ends");
}

#[tokio::test]
async fn what_cannot_be_seen_is_an_error_event() {
    let gateway = gateway().await;
    for target in [
        "/v1/topics/plant?X-Sd-Filter=A",
        "/v1/topics/items?X-Sd-Filter=",
        "/v1/topics/items?X-Sd-Pointer=x",
        "/v1/topics/items?X-Sd-Max-Rate=0",
        "/v1/topics/items?X-Sd-Mode=x",
    ] {
        expect_error(&gateway, target, 40_000).await;
    }
    expect_error(&gateway, "/v1/topics/absent", 40_401).await;
    expect_error(&gateway, "/v1/topics/a%2Fb", 40_401).await;
    let answer = gateway.request("POST /v1/topics/plant", "Content-Length: 0\r\n", "").await;
    assert_eq!((answer.status, &answer.json()["code"]), (405, &json!(40_500)));
    assert_eq!(answer.header("allow"), Some("GET, HEAD"));
}

#[tokio::test]
async fn a_fault_of_a_topic_is_told_in_the_documented_form_and_the_stream_goes_on() {
    let gateway = gateway().await;
    gateway.publish(r#"{"n":1,"pad":"pad pad pad pad pad"}"#);
    let mut stream = gateway.subscribe("/v1/topics/plant", "").await;
    let first = stream.event().await.last_event_id;
    for code in ErrorCode::ALL.into_iter().filter(|code| code.code() >= 60_000) {
        gateway.hub.set_fault("plant", Some(Fault::new(code, "it is ill"))).unwrap();
        let event = stream.event().await;
        assert_eq!((event.name.as_str(), &event.last_event_id), ("error", &first));
        let body: Value = serde_json::from_str(&event.data).unwrap();
        let keys: Vec<_> = ["datetime", "code", "category", "message", "status", "sessionId"]
            .map(|key| event.data.find(&format!("\"{key}\"")).unwrap())
            .into();
        assert!(keys.is_sorted(), "{}", event.data);
        assert_eq!(body["code"], code.code());
        assert_eq!(body["category"], "TopicException");
        assert_eq!(body["sessionId"].as_str().unwrap().len(), 32);
        assert!(body["datetime"].as_str().unwrap().ends_with('Z'));
    }
    gateway.hub.set_fault("plant", None).unwrap();
    gateway.publish(r#"{"n":2,"pad":"pad pad pad pad pad"}"#);
    assert_eq!(stream.event().await.name, "patch");
}

#[tokio::test]
async fn who_asks_is_sent_digests() {
    let gateway = gateway().await;
    gateway.publish("{}");
    let mut stream = gateway.subscribe("/v1/topics/plant?X-Sd-Verify=1", "").await;
    let id = stream.event().await.last_event_id;
    let event = stream.event().await;
    assert_eq!((event.name.as_str(), event.last_event_id), ("monitor", id));
    let told: Value = serde_json::from_str(&event.data).unwrap();
    let empty = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    assert_eq!(told, json!({"seq": 1, "hash": empty}));
}

#[tokio::test]
async fn a_server_keeps_the_time_of_its_hub() {
    // Paused time would run ahead of the sockets; the shortest rate that is worth a test is used.
    let start = tokio::time::Instant::now();
    let clock = move || pointstream_time::Instant::from_origin(start.elapsed());
    let seed = pointstream_time::Seed::new(1);
    let hub = Hub::with_clock(pointstream_hub::Limits::default(), seed, clock);
    let gateway = Gateway::of(hub, |_| ()).await;
    gateway.publish(r#"{"n":1}"#);
    let mut stream = gateway.subscribe("/v1/topics/plant?X-Sd-Max-Rate=50", "").await;
    data(&mut stream).await;
    let begun = tokio::time::Instant::now();
    gateway.publish(r#"{"n":2}"#);
    gateway.publish(r#"{"n":3}"#);
    gateway.publish(r#"{"n":4}"#);
    assert_eq!(data(&mut stream).await, json!([{"op": "replace", "path": "/n", "value": 2}]));
    assert_eq!(data(&mut stream).await, json!([{"op": "replace", "path": "/n", "value": 4}]));
    assert!(begun.elapsed() >= Duration::from_millis(20));
}

#[tokio::test]
async fn a_stream_is_padded_for_old_proxies() {
    let gateway = gateway().await;
    gateway.publish("1");
    for headers in ["", "Accept: */*\r\nTE: trailers\r\n"] {
        let mut stream = gateway.subscribe("/v1/topics/plant?X-Sd-Pad=1", headers).await;
        stream.event().await;
        let start = format!(":{}\nretry: ", " ".repeat(1_024));
        assert!(stream.raw().starts_with(start.as_bytes()));
    }
}
