use pointstream_hub::{ItemOptions, TopicOptions};

use crate::support::{Answer, Gateway};

async fn gateway() -> Gateway {
    let gateway = Gateway::start().await;
    let open = |mut options: TopicOptions| {
        options.open = true;
        options
    };
    gateway.hub.create("open", open(TopicOptions::text())).unwrap();
    let items = ItemOptions::new(".Symbol".parse().unwrap());
    gateway.hub.create("items", open(TopicOptions::items(items))).unwrap();
    gateway
}

async fn send(gateway: &Gateway, line: &str, headers: &str, body: &str) -> Answer {
    let headers = format!("Content-Length: {}\r\n{headers}", body.len());
    gateway.request(line, &headers, body).await
}

async fn post(gateway: &Gateway, topic: &str, kind: &str, body: &str) -> Answer {
    let line = format!("POST /publish/v1/topics/{topic}");
    send(gateway, &line, &format!("Content-Type: {kind}\r\n"), body).await
}

const JSON: &str = "application/json";

#[tokio::test]
async fn what_is_published_is_answered_empty_and_seen_by_who_subscribes() {
    let gateway = gateway().await;
    let answer = post(&gateway, "open", JSON, r#"{"a": 1}"#).await;
    assert_eq!((answer.status, answer.text()), (204, ""));
    let tag = answer.header("etag").unwrap().to_owned();
    let mut stream = gateway.subscribe("/v1/topics/open", "").await;
    let event = stream.event().await;
    assert_eq!((event.name.as_str(), event.data.as_str()), ("data", r#"{"a":1}"#));
    assert_eq!(format!("\"{}\"", event.last_event_id), tag);
    let answer = post(&gateway, "open", "application/vnd.x+json; charset=utf-8", "{\"a\":2}").await;
    assert_eq!(answer.status, 204);
    assert_eq!(stream.event().await.data, r#"[{"op":"replace","path":"/a","value":2}]"#);
    gateway.stop().await;
}

#[tokio::test]
async fn what_cannot_be_published_is_told_in_the_documented_order() {
    let gateway = gateway().await;
    for (line, kind, body, status) in [
        ("POST /publish/v1/topics/absent", "text/plain", "", 404),
        ("GET /publish/v1/topics/absent", JSON, "", 404),
        ("POST /publish/v1/topics/plant", JSON, "{}", 404),
        ("POST /publish/v1/topics/rows", JSON, "{}", 404),
        ("GET /publish/v1/topics/open", JSON, "", 405),
        ("PATCH /publish/v1/topics/open", JSON, "{}", 415),
        ("POST /publish/v1/topics/open", "text/plain", "{}", 415),
        ("POST /publish/v1/topics/open", JSON, "", 400),
        ("POST /publish/v1/topics/open", JSON, "{} 1", 400),
        ("POST /publish/v1/topics/open", JSON, "{\"a\":1,\"a\":2}", 400),
        ("POST /publish/v1/topics/open", JSON, "\u{feff}{}", 400),
        ("POST /publish/v1/topics/open", "application/json-patch+json", "[]", 409),
        ("POST /publish/v1/topics/items", JSON, "{}", 400),
        ("POST /publish/v1/topics/items", "application/json-patch+json", "[]", 415),
        ("DELETE /publish/v1/topics/items/items/A", JSON, "", 404),
        ("POST /publish/v1/topics/items/items/A", JSON, "", 405),
    ] {
        let answer = send(&gateway, line, &format!("Content-Type: {kind}\r\n"), body).await;
        answer.expect_error(status);
    }
    let deep = "[".repeat(129) + &"]".repeat(129);
    post(&gateway, "open", JSON, &deep).await.expect_error(400);
    let answer = send(&gateway, "GET /publish/v1/topics/open", "", "").await;
    assert_eq!(answer.header("allow"), Some("POST, PATCH"));
    let gzip = "Content-Type: application/json\r\nContent-Encoding: gzip\r\n";
    send(&gateway, "POST /publish/v1/topics/open", gzip, "x").await.expect_error(415);
    let long = format!("\"{}\"", "x".repeat(1 << 20));
    post(&gateway, "open", JSON, &long).await.expect_error(413);
    gateway.stop().await;
}

#[tokio::test]
async fn items_are_published_discarded_and_removed() {
    let gateway = gateway().await;
    let body = r#"[{"Symbol":"A","Bid":1},{"Bid":2},{"Symbol":"B/é","Bid":3}]"#;
    let answer = post(&gateway, "items", JSON, body).await;
    assert_eq!((answer.status, answer.header("x-sd-discarded")), (204, Some("1")));
    let line = "DELETE /publish/v1/topics/items/items/B%2F%C3%A9";
    assert_eq!(send(&gateway, line, "", "").await.status, 204);
    send(&gateway, line, "", "").await.expect_error(404);
    let lines = "{\"Symbol\":\"C\"}\n{\"Symbol\":\"D\"}\n";
    assert_eq!(post(&gateway, "items", "application/x-ndjson", lines).await.status, 204);
    let snapshot = gateway.get("/v1/topics/items/snapshot").await;
    assert_eq!(snapshot.text(), r#"[{"Symbol":"A","Bid":1},{"Symbol":"C"},{"Symbol":"D"}]"#);
    gateway.stop().await;
}

#[tokio::test]
async fn an_update_of_another_state_is_not_taken() {
    let gateway = gateway().await;
    let patch = |tag: &str| {
        let headers = format!("Content-Type: application/merge-patch+json\r\nIf-Match: {tag}\r\n");
        let gateway = &gateway;
        async move { send(gateway, "PATCH /publish/v1/topics/open", &headers, r#"{"b":2}"#).await }
    };
    patch("*").await.expect_error(412);
    let first = post(&gateway, "open", JSON, r#"{"a":1}"#).await.header("etag").unwrap().to_owned();
    let answer = patch(&format!("\"x\", {first}")).await;
    assert_eq!(answer.status, 204);
    let second = answer.header("etag").unwrap().to_owned();
    let lost = patch(&first).await.expect_error(412);
    assert!(lost.contains(second.trim_matches('"')), "it names the present state");
    patch(&format!("W/{second}")).await.expect_error(412);
    assert_eq!(gateway.get("/v1/topics/open/snapshot").await.text(), r#"{"b":2,"a":1}"#);
    gateway.stop().await;
}

#[tokio::test]
async fn of_many_that_patch_the_same_state_one_wins() {
    let gateway = gateway().await;
    let first = post(&gateway, "open", JSON, "{\"n\":0}").await.header("etag").unwrap().to_owned();
    let headers = format!("Content-Type: application/json-patch+json\r\nIf-Match: {first}\r\n");
    let bodies: Vec<_> =
        (1..=20).map(|n| format!(r#"[{{"op":"replace","path":"/n","value":{n}}}]"#)).collect();
    let gateway = std::sync::Arc::new(gateway);
    let mut all = tokio::task::JoinSet::new();
    for body in bodies {
        let (gateway, headers) = (std::sync::Arc::clone(&gateway), headers.clone());
        all.spawn(async move {
            send(&gateway, "PATCH /publish/v1/topics/open", &headers, &body).await.status
        });
    }
    let mut statuses = all.join_all().await;
    statuses.sort_unstable();
    assert_eq!(statuses[0], 204);
    assert!(statuses[1..].iter().all(|&status| status == 412), "{statuses:?}");
    assert_eq!(gateway.hub.topic("open").unwrap().revision.unwrap().seq, 2);
}

#[tokio::test]
async fn a_publication_that_is_sent_again_is_counted_once() {
    let gateway = gateway().await;
    let headers = "Content-Type: application/json\r\nIdempotency-Key: k1\r\n";
    let again = |body: &'static str| send(&gateway, "POST /publish/v1/topics/open", headers, body);
    let first = again("1").await;
    let second = again("1").await;
    assert_eq!((first.status, second.status), (204, 204));
    assert_eq!(first.header("idempotent-replayed"), None);
    assert_eq!(second.header("idempotent-replayed"), Some("true"));
    assert_eq!(first.header("etag"), second.header("etag"));
    again("2").await.expect_error(422);
    assert_eq!(gateway.hub.topic("open").unwrap().stats.publications, 1);
    gateway.stop().await;
}

#[tokio::test]
async fn a_batch_tells_of_each_publication_what_became_of_it() {
    let gateway = gateway().await;
    let body = r#"[{"topic":"open","data":{"x":1.50}},{"topic":"plant","data":1},{"topic":"items","data":[{"Symbol":"A"}]},{"topic":"items","data":1}]"#;
    let line = "POST /publish/v1/topics";
    let answer = send(&gateway, line, "Content-Type: application/json\r\n", body).await;
    assert_eq!(answer.status, 200);
    let results = answer.json();
    let statuses: Vec<_> =
        results.as_array().unwrap().iter().map(|it| it["status"].clone()).collect();
    assert_eq!(statuses, [204, 404, 204, 400]);
    assert_eq!(gateway.get("/v1/topics/open/snapshot").await.text(), r#"{"x":1.50}"#);
    send(&gateway, line, "Content-Type: application/json\r\n", "[1]").await.expect_error(400);
    send(&gateway, "GET /publish/v1/topics", "", "").await.expect_error(405);
    gateway.stop().await;
}

/// Section 11.11: what is large, deep or odd.
#[tokio::test]
async fn numbers_keys_and_depths_survive_or_are_refused() {
    let gateway = gateway().await;
    let odd = r#"{"a":1e400,"b":-0,"c":9007199254740993,"d":12345678901234567890.123,"__proto__":{"x":1},"e":"\ud83d\ude00"}"#;
    assert_eq!(post(&gateway, "open", JSON, odd).await.status, 204);
    let mut stream = gateway.subscribe("/v1/topics/open", "").await;
    assert_eq!(stream.event().await.data, odd, "numbers keep their digits");
    for depth in [129, 100_000] {
        let deep = "[".repeat(depth) + &"]".repeat(depth);
        post(&gateway, "open", JSON, &deep).await.expect_error(400);
    }
    let deep = "[".repeat(128) + &"]".repeat(128);
    assert_eq!(post(&gateway, "open", JSON, &deep).await.status, 204);
    for bad in ["[\"\u{7}\"]", r#"["\ud800"]"#, "[01]", "[1.]", "[+1]", "nan", "[1,]"] {
        post(&gateway, "open", JSON, bad).await.expect_error(400);
    }
    let keys: Vec<String> = (0..60_000).map(|n| format!("\"k{n}\":{n}")).collect();
    let many = format!("{{{}}}", keys.join(","));
    assert_eq!(post(&gateway, "open", JSON, &many).await.status, 204);
    let one = many.replace("\"k30000\":30000", "\"k30000\":1");
    assert_eq!(post(&gateway, "open", JSON, &one).await.status, 204);
    let mut last = stream.event().await;
    while last.name != "patch" {
        last = stream.event().await;
    }
    assert_eq!(last.data, r#"[{"op":"replace","path":"/k30000","value":1}]"#);
    gateway.stop().await;
}

#[tokio::test]
async fn a_topic_takes_so_many_publications_a_minute() {
    let gateway = gateway().await;
    let mut options = TopicOptions::text();
    (options.open, options.per_minute_max) = (true, Some(2));
    gateway.hub.create("slow", options).unwrap();
    let left = |answer: &Answer| answer.header("x-ratelimit-remaining-minute").unwrap().to_owned();
    let answer = post(&gateway, "slow", JSON, "1").await;
    assert_eq!((answer.status, left(&answer)), (204, "1".to_owned()));
    assert_eq!(answer.header("x-ratelimit-minute"), Some("2"));
    assert_eq!(answer.header("x-ratelimit-limit-minute"), Some("2"));
    assert_eq!(left(&post(&gateway, "slow", JSON, "{").await), "0", "what is refused counts");
    let answer = post(&gateway, "slow", JSON, "2").await;
    assert_eq!((answer.status, left(&answer)), (429, "0".to_owned()));
    assert_eq!(answer.text(), r#"{"message":"API rate limit exceeded"}"#);
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=31).contains(&wait), "{wait}");
    assert_eq!(post(&gateway, "open", JSON, "1").await.header("x-ratelimit-minute"), None);
    gateway.stop().await;
}
