use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Answer, Gateway, Sse, soon};

/// A document of some 100 kB that shares nothing with its neighbours.
fn document(n: u64) -> String {
    format!(r#"{{"n":{n},"pad":"{}"}}"#, n.to_string().repeat(100_000 / n.to_string().len()))
}

#[tokio::test]
async fn a_reader_that_stalls_is_given_the_present_document_and_delays_nobody() {
    let gateway = Gateway::start().await;
    gateway.publish(&document(0));
    let narrow = gateway.connect_narrow().await;
    let mut stalled = Sse::open(narrow, gateway.addr, "/v1/topics/plant", "").await;
    let mut quick = gateway.subscribe("/v1/topics/plant", "").await;
    quick.event().await;
    let published = 200;
    for n in 1..=published {
        gateway.publish(&document(n));
        let event: Value = serde_json::from_str(&quick.event().await.data).unwrap();
        assert_eq!(event["n"], n, "the quick one sees each");
    }
    let stats = gateway.hub.topic("plant").unwrap();
    assert!(stats.ring_bytes <= 4 * stats.document_bytes);
    let to_stalled = stats.stats.delivered - (published + 1);
    assert!(to_stalled < published / 2, "the stalled one was handed {to_stalled}");

    let mut seen = 0;
    while seen != published {
        let event: Value = serde_json::from_str(&stalled.event().await.data).unwrap();
        let n = event["n"].as_u64().unwrap();
        assert!(n > seen || n == 0, "{n} after {seen}");
        seen = n;
    }
    let stats = gateway.hub.topic("plant").unwrap().stats;
    assert!(stats.conflations >= 1);
    // What was skipped is exact: every change was either handed over or counted.
    let handed_to_stalled = stats.delivered - (published + 1);
    assert_eq!(handed_to_stalled + stats.skipped, published + 1);
}

#[tokio::test]
async fn a_reader_that_takes_nothing_for_too_long_is_closed() {
    let gateway = Gateway::with(|options| {
        options.limits.stall_timeout = Duration::from_millis(50);
    })
    .await;
    gateway.publish(&format!("\"{}\"", "x".repeat(8 << 20)));
    let narrow = gateway.connect_narrow().await;
    let _stalled = Sse::open(narrow, gateway.addr, "/v1/topics/plant", "").await;
    let mut idle = gateway.subscribe("/v1/topics/rows", "").await;
    gateway.subscribers("plant", 0).await;
    // A reader to whom there is nothing to write is not a stalled one.
    gateway.hub.edit("rows", |_| ()).unwrap();
    assert_eq!(idle.event().await.data, "{}");
    let metrics = gateway.get("/metrics").await;
    assert!(metrics.text().contains("\npointstream_http_connections_stalled_total 1\n"));
}

#[tokio::test]
async fn a_reader_that_leaves_in_the_middle_of_an_event_is_forgotten() {
    let gateway = Gateway::start().await;
    gateway.publish(&format!("\"{}\"", "x".repeat(1 << 20)));
    for reset in [false, true] {
        let mut stream = gateway.connect_narrow().await;
        let request = format!("GET /v1/topics/plant HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.addr);
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut some = [0; 2_000];
        soon(stream.read_exact(&mut some)).await.unwrap();
        assert_eq!(gateway.hub.topic("plant").unwrap().subscribers, 1);
        if reset {
            stream.set_zero_linger().unwrap();
        }
        drop(stream);
        gateway.subscribers("plant", 0).await;
    }
    gateway.publish("2");
    assert_eq!(gateway.subscribe("/v1/topics/plant", "").await.event().await.data, "2");
}

#[tokio::test]
async fn a_thousand_that_come_and_go_leave_nothing_behind() {
    let gateway = Gateway::start().await;
    let mut last = None;
    for round in 0..20_u32 {
        gateway.publish(&format!(r#"{{"round":{round},"pad":"{}"}}"#, "x".repeat(300)));
        let mut streams = Vec::new();
        for n in 0..50 {
            let headers = match &last {
                Some(id) if n % 2 == 0 => format!("Last-Event-ID: {id}\r\n"),
                _ => String::new(),
            };
            streams.push(gateway.subscribe("/v1/topics/plant", &headers).await);
        }
        for (n, stream) in streams.iter_mut().enumerate() {
            let event = stream.event().await;
            let resumed = round > 0 && n % 2 == 0;
            assert_eq!(event.name, if resumed { "patch" } else { "data" });
            last = Some(event.last_event_id);
        }
    }
    gateway.subscribers("plant", 0).await;
    let stats = gateway.hub.topic("plant").unwrap().stats;
    assert_eq!((stats.resumes_hit, stats.resumes_missed, stats.conflations), (475, 0, 0));
}

#[tokio::test]
async fn a_body_at_the_limit_is_read_and_one_above_it_refused() {
    let gateway = Gateway::with(|options| options.limits.body_bytes_max = 100).await;
    let body = |len: usize| format!(r#"{{"val":"{}"}}"#, "x".repeat(len - 10));
    let taken = gateway.write("ahu.tempSetpoint", &body(100)).await;
    assert_eq!(taken.status, 200);
    let refused = gateway.write("ahu.tempSetpoint", &body(101)).await;
    refused.expect_error(413);
    assert_eq!(refused.header("connection"), Some("close"));
}

/// Sends everything before it reads anything, as simple clients do.
#[tokio::test]
async fn a_client_sees_the_answer_to_a_body_that_is_far_too_large() {
    let gateway = Gateway::start().await;
    let chunk = "x".repeat(64 << 10);
    let chunks = 96;
    let head = |framing: &str| {
        format!(
            "POST /v1/points/ahu.tempSetpoint/write HTTP/1.1\r\nHost: {}\r\n\
             Content-Type: application/json\r\n{framing}\r\n\r\n",
            gateway.addr
        )
    };
    let mut declared = head(&format!("Content-Length: {}", chunk.len() * chunks));
    declared.push_str(&chunk.repeat(chunks));
    gateway.raw(&declared).await.expect_error(413);

    let mut chunked = head("Transfer-Encoding: chunked");
    for _ in 0..chunks {
        chunked.push_str(&format!("{:x}\r\n{chunk}\r\n", chunk.len()));
    }
    chunked.push_str("0\r\n\r\n");
    gateway.raw(&chunked).await.expect_error(413);
}

#[tokio::test]
async fn draining_has_a_bound() {
    let gateway = Gateway::with(|options| options.limits.drain_bytes_max = 1 << 20).await;
    let mut stream = gateway.connect().await;
    let head = format!(
        "POST /v1/points/a/write HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Content-Length: 1000000000\r\n\r\n",
        gateway.addr
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // It ends with an error long before a thousand million bytes were taken.
    let chunk = vec![b'x'; 64 << 10];
    let sent = soon(async {
        let mut sent = 0_u64;
        while stream.write_all(&chunk).await.is_ok() {
            sent += chunk.len() as u64;
        }
        sent
    });
    assert!(sent.await < 100_000_000);
}

#[tokio::test]
async fn a_head_that_does_not_come_in_time_is_not_waited_for() {
    let gateway = Gateway::with(|options| {
        options.limits.head_timeout = Duration::from_millis(50);
    })
    .await;
    for begun in ["", "GET /healthz HTTP/1.1\r\nHo"] {
        let mut stream = gateway.connect().await;
        stream.write_all(begun.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        // Closed or reset: what matters is that it ends.
        let _ = soon(stream.read_to_end(&mut bytes)).await;
        assert!(!bytes.starts_with(b"HTTP/1.1 200"), "{begun}");
    }
    // One byte now and then does not help.
    let mut stream = gateway.connect().await;
    let trickle = soon(async {
        while stream.write_all(b"G").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    trickle.await;
    assert_eq!(gateway.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_body_that_does_not_come_in_time_is_not_waited_for() {
    let gateway = Gateway::with(|options| {
        options.limits.body_timeout = Duration::from_millis(50);
    })
    .await;
    let headers = "Content-Type: application/json\r\nContent-Length: 100\r\n";
    let line = "POST /v1/points/ahu.tempSetpoint/write";
    gateway.request(line, headers, r#"{"val":"#).await.expect_error(408);
}

#[tokio::test]
async fn a_head_or_a_target_that_is_too_long_is_refused() {
    let gateway = Gateway::start().await;
    let header = format!("X-Long: {}\r\n", "x".repeat(20_000));
    assert_eq!(gateway.request("GET /healthz", &header, "").await.status, 431);
    let target = |len: usize| format!("/healthz?{}", "x".repeat(len - 9));
    assert_eq!(gateway.get(&target(8_192)).await.status, 200);
    gateway.get(&target(8_193)).await.expect_error(414);
    assert_eq!(gateway.raw("NONSENSE\r\n\r\n").await.status, 400);
}

#[tokio::test]
async fn connections_are_taken_up_to_their_greatest_number() {
    let gateway = Gateway::with(|options| options.limits.connections_max = 2).await;
    let one = gateway.subscribe("/v1/topics/plant", "").await;
    let _two = gateway.subscribe("/v1/topics/plant", "").await;
    let mut third = gateway.connect().await;
    let mut bytes = Vec::new();
    soon(third.read_to_end(&mut bytes)).await.unwrap();
    let answer = Answer::parse(&bytes);
    answer.expect_error(503);
    let length = answer.header("content-length").unwrap();
    assert_eq!(length, answer.body.len().to_string());
    drop(third);
    drop(one);
    // The place is free once the server has seen the end; until then it refuses.
    soon(async {
        while gateway.get("/healthz").await.status != 200 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_panic_in_an_application_ends_one_connection() {
    let gateway = Gateway::start().await;
    let mut stream = gateway.subscribe("/v1/topics/plant", "").await;
    let mut broken = gateway.connect().await;
    let request = format!(
        "POST /v1/points/ahu.panic/write HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Content-Length: 9\r\n\r\n{{\"val\":1}}",
        gateway.addr
    );
    broken.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let _ = soon(broken.read_to_end(&mut bytes)).await;
    assert!(bytes.is_empty());
    gateway.publish("1");
    assert_eq!(stream.event().await.data, "1");
}
