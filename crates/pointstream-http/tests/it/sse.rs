use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use pointstream_http::{Options, Server};
use pointstream_hub::{Hub, TopicOptions};
use pointstream_time::Seed;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::parser::{Event, Parser};
use crate::support::{Gateway, Plant, Sse, soon};

fn parse(event: &Event) -> Value {
    serde_json::from_str(&event.data).unwrap()
}

/// Applies an event to a document, as the simplest of clients would.
fn apply(document: &mut Option<String>, event: &Event) {
    *document = Some(match event.name.as_str() {
        "data" => event.data.clone(),
        "patch" => {
            let before = document.take().expect("a patch follows a document");
            let limits = pointstream_patch::Limits::default();
            pointstream_patch::apply(before.as_bytes(), event.data.as_bytes(), &limits).unwrap()
        }
        other => panic!("unexpected {other}"),
    });
}

#[tokio::test]
async fn a_stream_has_the_documented_head_and_order() {
    let gateway = Gateway::start().await;
    gateway.publish("{ \"temp\": 21.5,\r\n \"name\": \"Süd\" }");
    let mut stream = gateway.subscribe("/v1/topics/plant", "").await;
    for (name, value) in [
        ("content-type", "text/event-stream; charset=utf-8"),
        ("cache-control", "no-cache, no-transform"),
        ("x-accel-buffering", "no"),
        ("vary", "Accept, Accept-Encoding, Origin"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("transfer-encoding", "chunked"),
    ] {
        assert_eq!(stream.head.header(name), Some(value), "{name}");
    }
    assert_eq!(stream.head.status, 200);
    assert_eq!(stream.head.header("access-control-allow-origin"), None);
    let session = stream.head.header("x-sd-session").unwrap();
    assert!(session.len() == 32 && session.bytes().all(|b| b.is_ascii_hexdigit()));
    let data = stream.event().await;
    let epoch = data.last_event_id.strip_suffix("#1").unwrap().to_owned();
    let retry = stream.parser.retry.unwrap();
    let text = format!(
        ": ok\nretry: {retry}\n\nid: {epoch}#1\nevent: data\n\
         data: {{\"temp\":21.5,\"name\":\"S\\u00fcd\"}}\n\n"
    );
    assert_eq!(std::str::from_utf8(stream.raw()).unwrap(), text);

    gateway.publish(r#"{"temp":21.6,"name":"Süd"}"#);
    stream.event().await;
    let text = format!(
        "{text}id: {epoch}#2\nevent: patch\n\
         data: [{{\"op\":\"replace\",\"path\":\"/temp\",\"value\":21.6}}]\n\n"
    );
    assert_eq!(std::str::from_utf8(stream.raw()).unwrap(), text);
}

#[tokio::test]
async fn a_topic_is_found_by_the_url_of_its_source_or_of_its_own() {
    let gateway = Gateway::with(|options| {
        options.sources = vec![("http://api.example/prices?a=1".into(), "plant".into())];
    })
    .await;
    gateway.publish("1");
    let own = format!("/http://{}/v1/topics/plant?X-Sd-Token=t", gateway.addr);
    for target in [
        "/http://api.example/prices?a=1&X-Sd-Token=t&X-Sd-Header=Authorization%3A%20Basic%20QQ",
        "/http:/api.example/prices?a=1?X-Sd-Token=t",
        &own,
    ] {
        let event = gateway.subscribe(target, "").await.event().await;
        assert_eq!((&*event.name, &*event.data), ("data", "1"), "{target}");
    }
    for target in [
        "/http://api.example/other",
        "/http://evil.example/v1/topics/plant",
        "/http://169.254.169.254/latest/meta-data",
        "/http://",
    ] {
        let mut stream = gateway.subscribe(target, "").await;
        assert_eq!(stream.head.status, 200);
        let event = stream.event().await;
        assert_eq!((&*event.name, &parse(&event)["code"]), ("error", &json!(40_100)), "{target}");
    }
}

#[tokio::test]
async fn a_topic_without_a_document_sends_one_when_it_has_it() {
    let gateway = Gateway::start().await;
    let mut stream = gateway.subscribe("/v1/topics/rows", "").await;
    gateway.hub.edit("rows", |rows| rows.insert("a", "1").unwrap()).unwrap();
    let event = stream.event().await;
    assert_eq!((&*event.name, &*event.data), ("data", r#"{"a":1}"#));
}

#[tokio::test]
async fn a_client_that_comes_back_goes_on_where_it_was() {
    let gateway = Gateway::start().await;
    let pad = "x".repeat(300);
    let publish = |n: u32| gateway.publish(&format!(r#"{{"n":{n},"pad":"{pad}"}}"#));
    publish(1);
    let mut stream = gateway.subscribe("/v1/topics/plant", "").await;
    let first = stream.event().await.last_event_id;
    drop(stream);
    publish(2);
    publish(3);
    let encoded = first.replace('#', "%23");
    for (target, headers) in [
        ("/v1/topics/plant".to_owned(), format!("Last-Event-ID: {first}\r\n")),
        (format!("/v1/topics/plant?lastEventId={encoded}"), String::new()),
        (format!("/v1/topics/plant?x-sd-LAST-event-id={encoded}"), String::new()),
        // The header wins, since a browser sends it when it comes back to the same address.
        ("/v1/topics/plant?lastEventId=x%231".to_owned(), format!("Last-Event-ID: {first}\r\n")),
    ] {
        let mut stream = gateway.subscribe(&target, &headers).await;
        let events = [stream.event().await, stream.event().await];
        let values: Vec<_> = events.iter().map(|event| parse(event)[0]["value"].clone()).collect();
        assert_eq!(
            (&*events[0].name, &values[..]),
            ("patch", &[json!(2), json!(3)][..]),
            "{target}"
        );
    }
    for unknown in ["nonsense", "", "00000000-0000-0000-0000-000000000000#1"] {
        let headers = format!("Last-Event-ID: {unknown}\r\n");
        let mut stream = gateway.subscribe("/v1/topics/plant", &headers).await;
        let event = stream.event().await;
        assert_eq!((&*event.name, &parse(&event)["n"]), ("data", &json!(3)), "{unknown}");
    }
}

#[tokio::test]
async fn a_client_that_has_all_is_sent_nothing_until_a_change() {
    let gateway = Gateway::start().await;
    gateway.publish(r#"{"n":1,"m":2}"#);
    let last = gateway.subscribe("/v1/topics/plant", "").await.event().await.last_event_id;
    let headers = format!("Last-Event-ID: {last}\r\n");
    let mut stream = gateway.subscribe("/v1/topics/plant", &headers).await;
    gateway.publish(r#"{"n":2,"m":2}"#);
    assert_eq!(stream.event().await.name, "patch");
    let start = format!(": ok\nretry: {}\n\nid: ", stream.parser.retry.unwrap());
    assert!(stream.raw().starts_with(start.as_bytes()));
}

#[tokio::test]
async fn whole_documents_are_sent_to_whom_asks_for_them() {
    let gateway = Gateway::start().await;
    gateway.publish(r#"{"n":1,"m":2}"#);
    let (plain, named) = ("/v1/topics/plant", "/v1/topics/plant?X-Sd-Mode=snapshot");
    for (target, headers) in [
        (plain, "Accept: application/json\r\n"),
        (plain, "Accept: text/event-stream\r\nAccept: application/json\r\n"),
        (named, "Accept: text/event-stream\r\n"),
        (plain, "X-Sd-Mode: snapshot\r\n"),
    ] {
        let mut stream = gateway.subscribe(target, headers).await;
        let before = parse(&stream.event().await)["n"].as_u64().unwrap();
        gateway.publish(&format!(r#"{{"n":{},"m":2}}"#, before + 1));
        let event = stream.event().await;
        assert_eq!((&*event.name, &parse(&event)["n"]), ("data", &json!(before + 1)), "{headers}");
    }
    let accept = "Accept: application/json\r\n";
    let mut stream = gateway.subscribe("/v1/topics/plant?X-Sd-Mode=patch", accept).await;
    stream.event().await;
    gateway.publish(r#"{"n":99,"m":2}"#);
    assert_eq!(stream.event().await.name, "patch");
}

/// An error is an event of a stream that succeeds; it has no id, and asks for a long wait.
async fn expect_error(mut stream: Sse, code: u32) {
    assert_eq!(stream.head.status, 200);
    let event = stream.event().await;
    assert_eq!((&*event.name, &*event.last_event_id), ("error", ""));
    assert_eq!(stream.parser.retry, Some(30_000));
    let body: serde_json::Map<String, Value> = serde_json::from_str(&event.data).unwrap();
    assert_eq!(body["code"], code);
    let session = stream.head.header("x-sd-session").unwrap();
    assert_eq!(body["sessionId"], session);
    let datetime = body["datetime"].as_str().unwrap();
    assert!(datetime.len() == 24 && datetime.ends_with('Z'), "{datetime}");
    let order = ["datetime", "code", "category", "message", "status", "sessionId"];
    let mut at = 0;
    for key in order {
        let found = event.data.find(&format!("\"{key}\":")).unwrap();
        assert!(found >= at, "{key} in {}", event.data);
        at = found;
    }
    assert_eq!(stream.next().await, None);
    assert!(stream.ended_well());
}

#[tokio::test]
async fn an_error_is_an_event_without_an_id() {
    let mut limits = pointstream_hub::Limits::default();
    limits.subscribers_max = 1;
    let gateway = Gateway::with_hub(limits, |_| ()).await;
    expect_error(gateway.subscribe("/v1/topics/nowhere", "").await, 40_401).await;
    expect_error(gateway.subscribe("/v1/topics/a%2Fb", "").await, 40_401).await;
    let accept = "Accept: text/html\r\n";
    expect_error(gateway.subscribe("/v1/topics/plant", accept).await, 40_000).await;
    expect_error(gateway.subscribe("/v1/topics/plant?X-Sd-Mode=both", "").await, 40_000).await;
    let _one = gateway.subscribe("/v1/topics/plant", "").await;
    expect_error(gateway.subscribe("/v1/topics/plant", "").await, 40_121).await;
}

#[tokio::test]
async fn a_topic_that_is_removed_ends_its_streams_with_an_error() {
    let gateway = Gateway::start().await;
    let empty = gateway.subscribe("/v1/topics/plant", "").await;
    gateway.hub.remove("plant").unwrap();
    expect_error(empty, 60_000).await;

    gateway.hub.edit("rows", |_| ()).unwrap();
    let mut stream = gateway.subscribe("/v1/topics/rows", "").await;
    let id = stream.event().await.last_event_id;
    gateway.hub.remove("rows").unwrap();
    let error = stream.event().await;
    assert_eq!((&*error.name, error.last_event_id), ("error", id), "the resume point stays");
}

#[tokio::test]
async fn silence_is_broken_by_comments() {
    let gateway = Gateway::with(|options| options.heartbeat = Duration::from_millis(30)).await;
    let mut stream = gateway.subscribe("/v1/topics/plant", "").await;
    while stream.parser.comments.len() < 4 {
        assert!(stream.read().await);
    }
    let text = format!(": ok\nretry: {}\n\n:\n\n:\n\n:\n\n", stream.parser.retry.unwrap());
    assert_eq!(stream.raw(), text.as_bytes());
    assert!(stream.parser.events.is_empty());
}

/// Section 11.13: those that are cut at once do not come back at once.
#[tokio::test]
async fn retry_is_what_is_configured_by_half_up_or_down() {
    let gateway = Gateway::with(|options| options.retry = Duration::from_millis(2_000)).await;
    let mut drawn = Vec::new();
    for _ in 0..100 {
        let mut stream = gateway.subscribe("/v1/topics/plant", "").await;
        while stream.parser.retry.is_none() {
            assert!(stream.read().await);
        }
        drawn.push(stream.parser.retry.unwrap());
    }
    assert!(drawn.iter().all(|retry| (1_000..3_000).contains(retry)), "{drawn:?}");
    for quarter in [1_000, 1_500, 2_000, 2_500] {
        let some = drawn.iter().filter(|retry| (quarter..quarter + 500).contains(*retry)).count();
        assert!(some > 5, "{some} from {quarter} on");
    }
}

/// Section 11.1 of the hub's specification: our output, cut at every byte, gives the same events.
#[tokio::test]
async fn a_stream_cut_at_every_byte_gives_the_same_events() {
    let gateway = Gateway::with(|options| options.heartbeat = Duration::from_millis(20)).await;
    let documents = [
        json!({"text": "a\r\nb\rc\nd", "n": 1}),
        json!({"text": "data: x\n\nid: 7\n\nevent: y", "n": 2}),
        json!({"text": "\u{2028}\u{feff}é😀\u{0}\u{7f}", "id: 9\n": [":", "retry: 1"], "n": 3}),
        json!(["", "\\", "\"", "\\\"\n", {"\u{85}": null}]),
        json!("x".repeat(300)),
        json!(1e300),
    ];
    let mut stream = gateway.subscribe("/v1/topics/plant", "").await;
    let mut document = None;
    for expected in &documents {
        gateway.publish(&serde_json::to_string_pretty(expected).unwrap());
        let event = stream.event().await;
        apply(&mut document, &event);
        let document: Value = serde_json::from_str(document.as_deref().unwrap()).unwrap();
        assert_eq!(&document, expected);
    }
    while stream.parser.comments.len() < 2 {
        assert!(stream.read().await);
    }
    let raw = stream.raw();
    assert!(raw.is_ascii() && !raw.contains(&b'\r'));
    let whole = Parser::of(raw);
    for at in 0..=raw.len() {
        let mut parser = Parser::default();
        parser.feed(&raw[..at]);
        let before = parser.events.len();
        assert_eq!(parser.events[..], whole.events[..before], "cut at {at}");
        parser.feed(&raw[at..]);
        assert_eq!(parser.events, whole.events, "cut at {at}");
        assert_eq!(parser.last_event_id, whole.last_event_id);
    }
}

/// A mebibyte of characters beyond ASCII, in one event.
#[tokio::test]
async fn a_long_string_arrives_whole() {
    let gateway = Gateway::start().await;
    let text = "é".repeat(1 << 19);
    gateway.publish(&json!({ "text": text }).to_string());
    let mut stream = gateway.subscribe("/v1/topics/plant", "").await;
    assert_eq!(parse(&stream.event().await)["text"], *text);
}

#[tokio::test]
async fn a_server_that_ends_ends_its_streams() {
    let gateway = Gateway::start().await;
    gateway.publish("1");
    let mut stream = gateway.subscribe("/v1/topics/plant", "").await;
    let mut other = gateway.subscribe("/v1/topics/rows", "").await;
    stream.event().await;
    let hub = gateway.hub.clone();
    gateway.stop().await;
    assert_eq!(stream.next().await, None);
    assert_eq!(other.next().await, None);
    assert!(stream.ended_well() && other.ended_well());
    assert_eq!(hub.topic("plant").unwrap().subscribers, 0);
}

#[tokio::test]
async fn a_server_that_ends_waits_no_longer_than_it_may_for_those_who_do_not_read() {
    let gateway = Gateway::with(|options| {
        options.limits.shutdown_timeout = Duration::from_millis(100);
    })
    .await;
    gateway.publish(&json!("x".repeat(8 << 20)).to_string());
    let stream = gateway.connect_narrow().await;
    let _stalled = Sse::open(stream, gateway.addr, "/v1/topics/plant", "").await;
    gateway.stop().await;
}

#[tokio::test]
async fn streams_end_without_an_error_when_their_topics_go_with_the_server() {
    // An error would have clients wait long before they come back to the server's successor.
    let hub = Hub::new(pointstream_hub::Limits::default(), Seed::new(1));
    hub.create("plant", TopicOptions::text()).unwrap();
    hub.publish("plant", b"1").unwrap();
    let options = Options::new(([127, 0, 0, 1], 0).into(), Seed::new(2));
    let server = Server::bind(hub.clone(), Arc::new(Plant::default()), options).await.unwrap();
    let addr = server.local_addr();
    let stop = Arc::new(Notify::new());
    let (stopped, topics) = (Arc::clone(&stop), hub.clone());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut serving = pin!(server.run(stopped.notified()));
        tokio::select! {
            biased;
            () = &mut serving => {}
            () = stopped.notified() => {}
        }
        topics.remove("plant").unwrap();
        serving.await;
    });
    let mut streams = Vec::new();
    for _ in 0..16 {
        let stream = TcpStream::connect(addr).await.unwrap();
        let mut stream = Sse::open(stream, addr, "/v1/topics/plant", "").await;
        stream.event().await;
        streams.push(stream);
    }
    stop.notify_waiters();
    for stream in &mut streams {
        assert_eq!(stream.next().await.map(|event| event.name), None);
    }
    soon(tasks.join_next()).await.unwrap().unwrap();
}
