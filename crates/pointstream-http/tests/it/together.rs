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

/// Section 11.13: those who were cut at once come back with what they have, each when it may, and are
/// sent what they missed and no documents.
#[tokio::test]
async fn a_herd_that_comes_back_costs_no_documents() {
    let gateway = Gateway::start().await;
    gateway.publish(&document(0));
    let mut streams = subscribe(&gateway, MANY).await;
    let mut last = String::new();
    let mut retries = BTreeSet::new();
    for stream in &mut streams {
        last = stream.event().await.last_event_id;
        let text = std::str::from_utf8(stream.raw()).unwrap();
        let retry = text.lines().find_map(|line| line.strip_prefix("retry: ")).unwrap();
        retries.insert(retry.parse::<u64>().unwrap());
    }
    assert!(retries.len() > MANY / 4, "{} times to come back at", retries.len());
    assert!(retries.iter().all(|retry| (1_500..4_500).contains(retry)));
    assert!(retries.last().unwrap() - retries.first().unwrap() > 2_000);
    streams.clear();
    gateway.subscribers("plant", 0).await;
    gateway.publish(&document(1));
    let before = gateway.hub.topic("plant").unwrap().stats;
    for _ in 0..MANY {
        let headers = format!("Last-Event-ID: {last}\r\n");
        streams.push(gateway.subscribe("/v1/topics/plant", &headers).await);
    }
    for stream in &mut streams {
        assert_eq!(stream.event().await.name, "patch");
    }
    let stats = gateway.hub.topic("plant").unwrap().stats;
    assert_eq!(stats.resumes_hit - before.resumes_hit, MANY as u64);
    assert_eq!(stats.delivered - before.delivered, MANY as u64);
    gateway.stop().await;
}

#[tokio::test]
async fn connections_are_accepted_at_a_rate() {
    let gateway = Gateway::with(|options| options.limits.accepts_per_second_max = 50).await;
    let begun = tokio::time::Instant::now();
    for _ in 0..6 {
        assert_eq!(gateway.get("/healthz").await.status, 200);
    }
    assert!(begun.elapsed() >= Duration::from_millis(4 * 20), "{:?}", begun.elapsed());
    gateway.stop().await;
}

/// What `/metrics` and `/v1/topics` say is what clients count.
#[tokio::test]
async fn what_is_told_of_a_topic_is_what_its_clients_count() {
    let gateway = Gateway::start().await;
    gateway.publish(&document(0));
    let mut streams = subscribe(&gateway, 10).await;
    streams.push(gateway.subscribe("/v1/topics/plant?X-Sd-Mode=snapshot", "").await);
    for stream in &mut streams {
        stream.event().await;
    }
    gateway.subscribe("/v1/topics/plant", "").await.event().await;
    subscribers(&gateway, streams.len()).await;
    let (mut documents, mut sent) = (document(0).len(), document(0).len());
    for n in 1..=3 {
        gateway.publish(&document(n));
        if n < 3 {
            gateway.publish(&document(n));
        }
        for (at, stream) in streams.iter_mut().enumerate() {
            let event = stream.event().await;
            sent += if at == 0 { event.data.len() } else { 0 };
        }
        documents += document(n).len();
    }
    let topics = gateway.get("/v1/topics").await.json();
    let stats = topics.as_array().unwrap().iter().find(|topic| topic["id"] == "plant").unwrap();
    let metrics = gateway.get("/metrics").await;
    let metric = |name: &str| {
        let line = format!("pointstream_hub_{name}{{topic=\"plant\"}} ");
        let found = metrics.text().lines().find_map(|text| text.strip_prefix(&line));
        found.unwrap_or_else(|| panic!("{name}")).parse::<u64>().unwrap()
    };
    for (json, name, expected) in [
        ("publications", "publications_total", 6),
        ("unchanged", "unchanged_total", 2),
        ("patches", "patches_total", 3),
        ("replacements", "replacements_total", 1),
        ("documentBytes", "document_bytes_total", documents as u64),
        ("eventBytes", "event_bytes_total", sent as u64),
        // The one that had the document and left is among them.
        ("delivered", "delivered_total", 12 + 11 * 3),
        ("conflations", "conflations_total", 0),
    ] {
        assert_eq!(stats["stats"][json], expected, "{json}");
        assert_eq!(metric(name), expected, "{name}");
    }
    assert_eq!(metric("subscribers"), 11);
    let line = "\npointstream_hub_delivery_seconds_count 33\n";
    assert!(metrics.text().contains(line), "{}", metrics.text());
    gateway.stop().await;
}
