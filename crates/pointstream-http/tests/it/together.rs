//! Subscribers who have all there is are sent what comes by one loop; nobody can tell.

use std::collections::BTreeSet;
use std::time::Duration;

use pointstream_hub::{ErrorCode, Fault, ItemOptions, TopicOptions};
use pointstream_patch::{Limits, apply};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::parser::Event;
use crate::support::{Gateway, Sse, soon};

/// More than one loop writes to.
const MANY: usize = 300;

fn document(n: u64) -> String {
    format!(r#"{{"n":{n},"pad":"{}"}}"#, "0123456789".repeat(20))
}

async fn subscribe(gateway: &Gateway, count: usize) -> Vec<Sse> {
    let mut streams = Vec::new();
    for _ in 0..count {
        streams.push(gateway.subscribe("/v1/topics/plant", "").await);
    }
    streams
}

/// Waits until there are so many, of which nothing tells.
async fn subscribers(gateway: &Gateway, count: usize) {
    let reached = || gateway.hub.topic("plant").unwrap().subscribers == count;
    soon(async {
        while !reached() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

fn take(document: &mut String, event: &Event) {
    *document = match event.name.as_str() {
        "data" => event.data.clone(),
        "patch" => apply(document.as_bytes(), event.data.as_bytes(), &Limits::default()).unwrap(),
        other => panic!("{other}"),
    };
}

#[tokio::test]
async fn many_are_sent_the_same_and_all_of_it_is_counted() {
    let gateway = Gateway::start().await;
    gateway.publish(&document(0));
    let mut streams = subscribe(&gateway, MANY).await;
    let mut bytes = 0;
    for n in 0..20 {
        if n > 0 {
            gateway.publish(&document(n));
        }
        for stream in &mut streams {
            let event = stream.event().await;
            assert_eq!(event.name, if n == 0 { "data" } else { "patch" });
            assert!(
                n == 0 || event.data == format!(r#"[{{"op":"replace","path":"/n","value":{n}}}]"#)
            );
        }
    }
    for stream in &streams {
        let text = std::str::from_utf8(stream.raw()).unwrap();
        // Comments and the opening are nobody's events.
        let events = text.split_inclusive("\n\n").filter(|block| block.starts_with("id: "));
        bytes += events.map(|event| event.len() as u64).sum::<u64>();
    }
    let stats = gateway.hub.topic("plant").unwrap().stats;
    assert_eq!(stats.delivered, 20 * MANY as u64);
    assert_eq!(stats.delivered_bytes, bytes);
    gateway.stop().await;
}

#[tokio::test]
async fn one_that_takes_nothing_goes_on_alone_and_comes_back() {
    let gateway = Gateway::start().await;
    gateway.publish(&document(0));
    let mut quick = subscribe(&gateway, 3).await;
    let narrow = gateway.connect_narrow().await;
    let mut slow = Sse::open(narrow, gateway.addr, "/v1/topics/plant", "").await;
    let mut held = String::new();
    take(&mut held, &slow.event().await);
    for stream in &mut quick {
        stream.event().await;
    }
    let large = |n: u64| format!(r#"{{"n":{n},"pad":"{}"}}"#, n.to_string().repeat(50_000));
    for n in 1..100 {
        gateway.publish(&large(n));
        for stream in &mut quick {
            assert!(stream.event().await.data.contains(&format!(r#""n":{n},"#)));
        }
    }
    gateway.publish(&document(100));
    while !held.contains(r#""n":100,"#) {
        take(&mut held, &slow.event().await);
    }
    let stats = gateway.hub.topic("plant").unwrap().stats;
    assert!(stats.conflations > 0 && stats.skipped > 50, "{stats:?}");
    for n in 101..120 {
        gateway.publish(&document(n));
        assert_eq!(slow.event().await.name, "patch", "it is with the others again");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn each_is_told_of_a_fault_under_its_own_session() {
    let gateway = Gateway::start().await;
    gateway.publish(&document(0));
    let mut streams = subscribe(&gateway, 5).await;
    for stream in &mut streams {
        stream.event().await;
    }
    gateway.publish(&document(1));
    gateway.hub.set_fault("plant", Some(Fault::new(ErrorCode::Source, "It is ill."))).unwrap();
    let mut sessions = BTreeSet::new();
    for stream in &mut streams {
        assert_eq!(stream.event().await.name, "patch");
        let event = stream.event().await;
        assert_eq!(event.name, "error");
        let told: Value = serde_json::from_str(&event.data).unwrap();
        assert_eq!(told["sessionId"], stream.head.header("x-sd-session").unwrap());
        sessions.insert(told["sessionId"].to_string());
    }
    assert_eq!(sessions.len(), 5);
    gateway.publish(&document(2));
    gateway.hub.remove("plant").unwrap();
    for stream in &mut streams {
        let event = stream.event().await;
        let event = if event.name == "patch" { stream.event().await } else { event };
        assert!(event.data.contains("60000"), "{}", event.data);
        assert!(stream.next().await.is_none() && stream.ended_well());
    }
    gateway.stop().await;
}

#[tokio::test]
async fn who_leaves_is_forgotten_and_who_stays_is_served() {
    let gateway = Gateway::start().await;
    gateway.publish(&document(0));
    let mut streams = subscribe(&gateway, MANY).await;
    for stream in &mut streams {
        stream.event().await;
    }
    // While nothing is published, while something is, and all at once.
    streams.drain(..MANY / 2);
    subscribers(&gateway, MANY - MANY / 2).await;
    for n in 1..10 {
        gateway.publish(&document(n));
        streams.truncate(streams.len() - 10);
        for stream in &mut streams {
            stream.event().await;
        }
    }
    subscribers(&gateway, streams.len()).await;
    streams.clear();
    gateway.subscribers("plant", 0).await;
    let mut again = subscribe(&gateway, 2).await;
    for stream in &mut again {
        assert_eq!(stream.event().await.name, "data");
    }
    gateway.publish(&document(99));
    for stream in &mut again {
        assert_eq!(stream.event().await.name, "patch");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn silence_is_broken_for_all_of_them() {
    let gateway = Gateway::with(|options| options.heartbeat = Duration::from_millis(20)).await;
    gateway.publish(&document(0));
    let mut streams = subscribe(&gateway, 10).await;
    for stream in &mut streams {
        stream.event().await;
        while !stream.raw().ends_with(b"\n\n:\n\n:\n\n:\n\n") {
            assert!(stream.read().await);
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn views_and_modes_do_not_mix() {
    let gateway = Gateway::start().await;
    let items = ItemOptions::new(".id".parse().unwrap());
    gateway.hub.create("items", TopicOptions::items(items)).unwrap();
    let publish = |n: u32| {
        let pad = "0123456789".repeat(20);
        let item = |id: &str| format!(r#"{{"id":"{id}","n":{n},"pad":"{pad}"}}"#);
        let text = format!("[{},{}]", item("A"), item("B"));
        gateway.hub.publish("items", text.as_bytes()).unwrap();
    };
    publish(0);
    let targets = ["", "?X-Sd-Filter=A", "?X-Sd-Filter=B", "?X-Sd-Mode=snapshot"];
    let mut all = Vec::new();
    for target in targets.iter().cycle().take(12) {
        all.push((target, gateway.subscribe(&format!("/v1/topics/items{target}"), "").await));
    }
    for n in 0..10_u32 {
        if n > 0 {
            publish(n);
        }
        for (target, stream) in &mut all {
            let event = stream.event().await;
            let values: Value = serde_json::from_str(&event.data).unwrap();
            let whole = n == 0 || target.ends_with("snapshot");
            assert_eq!(event.name, if whole { "data" } else { "patch" });
            let filtered = target.contains("Filter");
            assert_eq!(values.as_array().unwrap().len(), if filtered { 1 } else { 2 });
        }
    }
    gateway.stop().await;
}

/// Clients that come, are slow, are cut and come back while others publish: in the end each has the
/// document, and none was sent a patch that it could not apply.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_misses_anything_in_a_crowd() {
    const PUBLICATIONS: u64 = 400;
    let gateway = std::sync::Arc::new(Gateway::start().await);
    gateway.publish(&document(0));
    let mut clients = JoinSet::new();
    for client in 0..24_u64 {
        let gateway = std::sync::Arc::clone(&gateway);
        clients.spawn(async move {
            let (mut held, mut last, mut taken) = (String::new(), String::new(), client);
            let end = format!(r#""n":{PUBLICATIONS},"#);
            while !held.contains(&end) {
                let headers = match last.as_str() {
                    "" => String::new(),
                    id => format!("Last-Event-ID: {id}\r\n"),
                };
                let mut stream = gateway.subscribe("/v1/topics/plant", &headers).await;
                // Some stay for long, some for a few events.
                let stay = 1 + (client * 37 + taken) % 90;
                for _ in 0..stay {
                    let event = stream.event().await;
                    take(&mut held, &event);
                    last = event.last_event_id;
                    taken += 1;
                    if held.contains(&end) {
                        break;
                    }
                    if taken % 17 == client % 17 {
                        tokio::task::yield_now().await;
                    }
                }
            }
            held
        });
    }
    for n in 1..=PUBLICATIONS {
        gateway.publish(&document(n));
        if n % 3 == 0 {
            tokio::task::yield_now().await;
        }
    }
    while let Some(held) = soon(clients.join_next()).await {
        assert_eq!(held.unwrap(), document(PUBLICATIONS));
    }
    gateway.subscribers("plant", 0).await;
}
