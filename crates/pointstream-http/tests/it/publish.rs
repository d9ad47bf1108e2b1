use std::io::Write;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use pointstream_hub::{ItemOptions, TopicOptions};

use crate::support::{Answer, Gateway, exchange_bytes};

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
const PLAIN: &str = "Content-Type: application/json\r\n";

/// Publishes bytes as they are.
async fn post_bytes(gateway: &Gateway, headers: &str, body: &[u8]) -> Answer {
    let head = format!(
        "POST /publish/v1/topics/open HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{PLAIN}{headers}\r\n",
        gateway.addr
    );
    exchange_bytes(gateway.connect().await, &[head.as_bytes(), body].concat()).await
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A JSON text of this length that packs well but not too well.
fn text(len: usize) -> Vec<u8> {
    let words: String = (0..).map(|n: u64| format!("{} ", n * n)).take(len).collect();
    format!("\"{}\"", &words[..len - 2]).into_bytes()
}

/// Sections 3.1 and 11.11: what is packed counts as what it unpacks to.
#[tokio::test]
async fn a_packed_publication_is_taken_up_to_the_limits_of_an_unpacked_one() {
    let max = 64 << 10;
    let gateway = Gateway::with(|options| options.limits.body_bytes_max = max).await;
    let mut options = TopicOptions::text();
    options.open = true;
    gateway.hub.create("open", options).unwrap();
    for (coding, pack) in [("gzip", gzip as fn(&[u8]) -> Vec<u8>), ("deflate", zlib)] {
        let send = |body: Vec<u8>, chunked: bool| {
            let gateway = &gateway;
            async move {
                let coding = format!("Content-Encoding: {coding}\r\n");
                let headers = if chunked {
                    format!("{coding}Transfer-Encoding: chunked\r\n")
                } else {
                    format!("{coding}Content-Length: {}\r\n", body.len())
                };
                let body = if chunked {
                    let size = format!("{:x}\r\n", body.len());
                    [size.as_bytes(), &body, b"\r\n0\r\n\r\n"].concat()
                } else {
                    body
                };
                post_bytes(gateway, &headers, &body).await
            }
        };
        for chunked in [false, true] {
            let longest = text(max);
            assert_eq!(send(pack(&longest), chunked).await.status, 204, "{coding}");
            assert_eq!(gateway.get("/v1/topics/open/snapshot").await.body, longest);
            send(pack(&text(max + 1)), chunked).await.expect_error(413);
            send(pack(&vec![b' '; 64 << 20]), chunked).await.expect_error(413);
            let cut = pack(&longest);
            send(cut[..cut.len() - 1].to_vec(), chunked).await.expect_error(400);
            send(b"[1,2,3]".to_vec(), chunked).await.expect_error(400);
        }
        // A hundred times its length is the most, and told apart from what is too long.
        let blanks = |count: usize| [&vec![b' '; count][..], b"1"].concat();
        let ratio = |count: usize| (count + 1).div_ceil(pack(&blanks(count)).len());
        let over = (1..max).find(|&count| ratio(count) > 100).unwrap();
        assert_eq!(send(pack(&blanks(over - 1)), false).await.status, 204);
        let detail = send(pack(&blanks(over)), false).await.expect_error(413);
        assert!(detail.contains("100 times"), "{detail}");
    }
    gateway.stop().await;
}

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
    for coding in ["br", "zstd", "gzip, gzip"] {
        let headers = format!("{PLAIN}Content-Encoding: {coding}\r\nIf-Match: \"no\"\r\n");
        let answer = send(&gateway, "POST /publish/v1/topics/open", &headers, "x").await;
        answer.expect_error(415);
        assert_eq!(answer.header("accept-encoding"), Some("gzip, deflate"));
    }
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
