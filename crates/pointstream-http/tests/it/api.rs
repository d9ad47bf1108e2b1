use serde_json::json;

use crate::support::Gateway;

#[tokio::test]
async fn topics_are_listed_with_their_revisions() {
    let gateway = Gateway::start().await;
    gateway.publish(r#"{"a":1}"#);
    gateway.publish(r#"{"a":2}"#);
    let answer = gateway.get("/v1/topics").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let list = answer.json();
    assert_eq!(list[0]["id"], "plant");
    assert!(list[0]["revision"].as_str().unwrap().ends_with("#2"));
    assert_eq!(list[0]["subscribers"], 0);
    assert_eq!(list[0]["stats"]["patches"], 1);
    assert_eq!((&list[1]["id"], &list[1]["revision"]), (&json!("rows"), &json!(null)));
}

#[tokio::test]
async fn a_snapshot_has_a_tag_that_saves_sending_it_again() {
    let gateway = Gateway::start().await;
    gateway.get("/v1/topics/nowhere/snapshot").await.expect_error(404);
    let detail = gateway.get("/v1/topics/plant/snapshot").await.expect_error(404);
    assert!(detail.contains("published"), "{detail}");
    gateway.publish(r#"{ "a": "é" }"#);
    let answer = gateway.get("/v1/topics/plant/snapshot").await;
    assert_eq!((answer.status, answer.text()), (200, r#"{"a":"\u00e9"}"#));
    let etag = answer.header("etag").unwrap().to_owned();
    assert!(etag.starts_with('"') && etag.ends_with("#1\""), "{etag}");

    let again = async |tags: &str| {
        let header = format!("If-None-Match: {tags}\r\n");
        gateway.request("GET /v1/topics/plant/snapshot", &header, "").await
    };
    for tags in [&etag, &format!("\"x\", W/{etag}"), "*"] {
        let answer = again(tags).await;
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{tags}");
        assert_eq!(answer.header("etag"), Some(&*etag));
    }
    assert_eq!(again("\"x\"").await.status, 200);
    gateway.publish("2");
    assert_eq!(again(&etag).await.text(), "2");
}

#[tokio::test]
async fn points_are_listed_page_by_page() {
    let gateway = Gateway::start().await;
    let ids = |answer: &crate::support::Answer| -> Vec<String> {
        let json = answer.json();
        json.as_array().unwrap().iter().map(|p| p["id"].as_str().unwrap().to_owned()).collect()
    };
    let all = gateway.get("/v1/points").await;
    assert_eq!(ids(&all), ["ahu.a", "ahu.b", "ahu.c", "ahu.silent", "ahu.tempSetpoint"]);
    assert_eq!(all.header("link"), None);

    let first = gateway.get("/v1/points?limit=2&filter=a%20and%20b").await;
    assert_eq!(ids(&first), ["ahu.a", "ahu.b"]);
    let link = first.header("link").unwrap();
    let expected = "</v1/points?filter=a%20and%20b&limit=2&after=ahu.b>; rel=\"next\"";
    assert_eq!(link, expected);
    let mut target = link[1..].split('>').next().unwrap().to_owned();
    let mut pages = vec![];
    loop {
        let page = gateway.get(&target).await;
        pages.push(ids(&page));
        let Some(link) = page.header("link") else { break };
        target = link[1..].split('>').next().unwrap().to_owned();
    }
    assert_eq!(pages, [vec!["ahu.c", "ahu.silent"], vec!["ahu.tempSetpoint"]]);
    assert_eq!(ids(&gateway.get("/v1/points?filter=sp").await), ["ahu.tempSetpoint"]);
}

#[tokio::test]
async fn bad_questions_about_points_are_told_what_is_wrong() {
    let gateway = Gateway::start().await;
    let detail = gateway.get("/v1/points?filter=and+and").await.expect_error(400);
    assert!(detail.contains("character 1"), "{detail}");
    for limit in ["0", "-1", "x", "", "10001", "99999999999999999999"] {
        let detail = gateway.get(&format!("/v1/points?limit={limit}")).await.expect_error(400);
        assert!(detail.contains("from 1 to 10000"), "{detail}");
    }
    assert_eq!(gateway.get("/v1/points?limit=10000").await.status, 200);
    let detail = gateway.get("/v1/points/nothing").await.expect_error(404);
    assert!(detail.contains("nothing") && detail.contains("/v1/points"), "{detail}");
    gateway.get("/v1/points/%ff").await.expect_error(400);
}

#[tokio::test]
async fn a_point_is_shown_with_what_it_has() {
    let gateway = Gateway::start().await;
    let answer = gateway.get("/v1/points/ahu.tempSetpoint").await;
    let text = concat!(
        r#"{"id":"ahu.tempSetpoint","kind":"Number","unit":"°C","curVal":21.5,"curStatus":"ok","#,
        r#""writable":true,"min":15,"max":30,"step":0.1,"connector":"ahu","#,
        r#""tags":{"sp":{"_kind":"marker"}}}"#
    );
    assert_eq!(answer.text(), text);
}

#[tokio::test]
async fn a_write_is_answered_by_its_outcome() {
    let gateway = Gateway::start().await;
    let answer = gateway.write("ahu.tempSetpoint", r#"{"val": 22.5}"#).await;
    let written =
        r#"{"id":"ahu.tempSetpoint","val":22.5,"level":16,"writeVal":22.5,"writeLevel":16}"#;
    assert_eq!((answer.status, answer.text()), (200, written));
    let answer = gateway.write("ahu.tempSetpoint", r#"{"val":null}"#).await;
    assert_eq!(answer.json()["val"], json!(null));
    let body = r#"{"val":1}"#;
    let detail = gateway.write("ahu.tempSetpoint", r#"{"val":31}"#).await.expect_error(400);
    assert!(detail.contains("30"), "{detail}");
    gateway.write("ahu.a", body).await.expect_error(403);
    let detail = gateway.write("ahu.b", body).await.expect_error(503);
    assert!(detail.contains("connection refused"), "{detail}");
    gateway.write("ahu.c", body).await.expect_error(502);
    gateway.write("ahu.silent", body).await.expect_error(504);
    gateway.write("nothing", body).await.expect_error(404);
}

#[tokio::test]
async fn a_level_of_the_priority_array_is_written_for_a_time_by_somebody() {
    let gateway = Gateway::start().await;
    let body = r#"{"val":21,"level":8,"who":"Ann","duration":"30min"}"#;
    assert_eq!(gateway.write("ahu.tempSetpoint", body).await.json()["writeLevel"], 8);
    let waits = gateway.write("ahu.tempSetpoint", r#"{"val":21,"level":17}"#).await;
    assert_eq!((waits.status, &waits.json()["waits"]), (202, &json!(true)));
    let soon = gateway.write("ahu.tempSetpoint", r#"{"val":-1}"#).await.expect_error(429);
    assert!(soon.contains("try again in 3s"), "{soon}");
    for (body, says) in [
        (r#"{"val":1,"level":0}"#, "Invalid level: 0"),
        (r#"{"val":1,"level":18}"#, "Invalid level: 18"),
        (r#"{"val":1,"who":""}"#, "who is a text"),
        (r#"{"val":1,"duration":"30min"}"#, "level 8 only"),
        (r#"{"val":1,"level":8,"duration":30}"#, "expected a string"),
    ] {
        let detail = gateway.write("ahu.tempSetpoint", body).await.expect_error(400);
        assert!(detail.contains(says), "{detail}");
    }
    let long = format!(r#"{{"val":1,"who":"{}"}}"#, "x".repeat(129));
    gateway.write("ahu.tempSetpoint", &long).await.expect_error(400);
}

#[tokio::test]
async fn the_priority_array_of_a_point_is_shown() {
    let gateway = Gateway::start().await;
    let shown = gateway.get("/v1/points/ahu.tempSetpoint/write").await.json();
    assert_eq!((&shown["writeVal"], &shown["writeLevel"]), (&json!(null), &json!(17)));
    let levels = shown["levels"].as_array().unwrap();
    assert_eq!(levels.len(), 17);
    assert_eq!(levels[7], json!({"level": 8, "levelDis": "8 (manual)", "val": null}));
    gateway.get("/v1/points/ahu.a/write").await.expect_error(403);
    gateway.get("/v1/points/nothing/write").await.expect_error(404);
}

#[tokio::test]
async fn a_body_that_is_no_value_is_refused() {
    let gateway = Gateway::start().await;
    let deep = format!(r#"{{"val":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    for body in [
        "",
        "21",
        "{",
        "{}",
        r#"{"val":1} 2"#,
        r#"{"val":1,"more":2}"#,
        r#"{"val":1,"val":2}"#,
        r#"{"val":[1]}"#,
        r#"{"val":{"_kind":"ref","val":"x"}}"#,
        &deep,
    ] {
        gateway.write("ahu.tempSetpoint", body).await.expect_error(400);
    }
}

#[tokio::test]
async fn connectors_health_and_metrics_are_shown() {
    let gateway = Gateway::start().await;
    gateway.publish(r#"{"a":1}"#);
    let connectors = gateway.get("/v1/connectors").await;
    let text = concat!(
        r#"[{"id":"ahu","kind":"modbus","connState":"open","connStatus":"down","#,
        r#""connErr":"connection refused","points":5}]"#
    );
    assert_eq!(connectors.text(), text);
    assert_eq!(gateway.get("/healthz").await.text(), r#"{"status":"ok"}"#);

    let _stream = gateway.subscribe("/v1/topics/plant", "").await.event().await;
    let metrics = gateway.get("/metrics").await;
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    for line in [
        "pointstream_points 5",
        "pointstream_hub_topics 2",
        "pointstream_hub_publications_total{topic=\"plant\"} 1",
        "pointstream_hub_delivered_total{topic=\"plant\"} 1",
        "# TYPE pointstream_http_responses_total counter",
        "pointstream_http_responses_total{code=\"2xx\"} 3",
    ] {
        assert!(metrics.text().lines().any(|other| other == line), "{line}: {}", metrics.text());
    }
    let samples = metrics.text().lines().filter(|line| !line.starts_with('#'));
    for sample in samples {
        let (name, value) = sample.rsplit_once(' ').unwrap();
        assert!(name.starts_with("pointstream_") && value.parse::<f64>().is_ok(), "{sample}");
    }
}

#[tokio::test]
async fn the_console_is_served() {
    let gateway = Gateway::start().await;
    let page = gateway.get("/").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    for file in pointstream_http::CONSOLE {
        let answer = gateway.get(file.path).await;
        assert_eq!((answer.status, &answer.body[..]), (200, file.bytes), "{}", file.path);
        assert_eq!(answer.header("content-type"), Some(file.content_type));
    }
}

#[tokio::test]
async fn what_is_not_there_and_what_is_not_allowed_is_told() {
    let gateway = Gateway::start().await;
    gateway.get("/v2").await.expect_error(404);
    gateway.get("/v1/points/").await.expect_error(404);
    for (line, allow) in [
        ("POST /v1/topics", "GET,HEAD"),
        ("DELETE /v1/points/ahu.a", "GET,HEAD"),
        ("DELETE /v1/points/ahu.a/write", "GET,HEAD,POST"),
        ("PUT /", "GET,HEAD"),
    ] {
        let answer = gateway.request(line, "Content-Length: 0\r\n", "").await;
        answer.expect_error(405);
        assert_eq!(answer.header("allow"), Some(allow), "{line}");
    }
    let head = gateway.request("HEAD /v1/topics", "", "").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[tokio::test]
async fn a_connection_serves_several_requests() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let gateway = Gateway::start().await;
    let mut stream = gateway.connect().await;
    for _ in 0..3 {
        let request = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.addr);
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"}") {
            assert_ne!(crate::support::soon(stream.read_buf(&mut bytes)).await.unwrap(), 0);
        }
        assert!(bytes.starts_with(b"HTTP/1.1 200"));
    }
}
