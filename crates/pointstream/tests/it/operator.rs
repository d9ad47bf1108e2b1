//! What an operator does over HTTP: past values, their synchronisation, and why a connector is down.

use core::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pointstream::point::{Fault, Value};
use pointstream::store::SeriesWrite;
use pointstream::{Config, ConnectorConfig};
use pointstream_test::Mood;

use crate::bench::{Bench, Farm, config, connector, number, point};
use crate::history::Folder;
use crate::web::Web;

/// A configuration that is served, and keeps past values in `folder`.
fn served(mut config: Config, folder: &Folder) -> Config {
    config.listen = Some("127.0.0.1:0".into());
    config.store = Some(folder.0.join("gateway.redb"));
    config.steady_time = Some(Duration::ZERO);
    config
}

/// A connector whose points keep histories at their devices, each under `log`.
fn keeper(name: &str, points: &[&str]) -> ConnectorConfig {
    points.iter().fold(connector(name, &[]), |connector, name| {
        let mut spec = point(name);
        spec.more.his = Some("log".into());
        connector.with_point(spec)
    })
}

fn minutes(from: i64, to: i64) -> impl Iterator<Item = (Timestamp, Value)> {
    let start: Timestamp = "2026-01-31T00:00:00Z".parse().unwrap();
    (from..to).map(move |minute| {
        let at = start.checked_add(SignedDuration::from_mins(minute)).unwrap();
        (at, number(minute as f64))
    })
}

/// Waits, without regard to the clock, until something is so.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..400 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("never: {what}");
}

#[tokio::test]
async fn past_values_are_read_as_they_are_and_gathered_in_three_forms() {
    let folder = Folder::new("read");
    let mut bench = Bench::new();
    bench.gateway.apply(served(config([connector("a", &["a.temp"])]), &folder)).await.unwrap();
    let history = bench.gateway.history().unwrap();
    let items = minutes(0, 2_880).map(|(at, val)| (at, Some(val))).collect();
    history.write(&[SeriesWrite { point: "a.temp".into(), items }]).unwrap();
    let web = Web::of(&bench.gateway).await;
    let his = async |query: &str| web.get(&format!("/v1/points/a.temp/his?{query}")).await;

    // One before and two after come along.
    let hour = his("range=2026-01-31T01:00:00Z,2026-01-31T02:00:00Z").await.json();
    let rows = hour["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 60 + 3);
    assert_eq!((&rows[0]["val"], &rows[62]["val"]), (&59.into(), &121.into()));
    assert_eq!(hour["more"], false);
    // A day of a zone, gathered.
    let day = "range=2026-01-31&interval=6hr";
    let buckets = his(day).await.json();
    let expected = serde_json::json!({
        "ts": "2026-01-31T06:00:00Z", "min": 360, "max": 719, "mean": 539.5,
        "first": 360, "last": 719, "count": 360,
    });
    assert_eq!(buckets["rows"].as_array().unwrap().len(), 4);
    assert_eq!(buckets["rows"][1], expected);
    let csv = his(&format!("{day}&format=csv")).await;
    assert!(csv.head.contains("text/csv"), "{}", csv.head);
    let lines: Vec<&str> = csv.body.split("\r\n").collect();
    assert_eq!(lines[0], "ts,min,max,mean,first,last,count");
    assert_eq!(lines[2], "2026-01-31T06:00:00Z,360,719,539.5,360,719,360");
    let lines = his(&format!("{day}&format=ndjson")).await;
    let line: serde_json::Value = serde_json::from_str(lines.body.lines().nth(1).unwrap()).unwrap();
    assert_eq!(line, expected);
    // As many rows as are wanted, and whether there are more.
    let few = his("range=2026-01-31&limit=10").await.json();
    assert_eq!((few["rows"].as_array().unwrap().len(), &few["more"]), (10, &true.into()));
    // A century costs what there is in it.
    let century = his("range=1950-01-01,2049-12-31&buckets=1000").await.json();
    assert_eq!(century["rows"].as_array().unwrap().len(), 1, "two days are one of 1,000 buckets");
    assert_eq!(century["rows"][0]["count"], 2_880);
    let century = his("range=1950-01-01,2049-12-31&interval=1mo").await.json();
    assert_eq!(century["rows"].as_array().unwrap().len(), 2);
    let century = his("range=1950-01-01,2049-12-31&interval=1sec&limit=5").await.json();
    assert_eq!((century["rows"].as_array().unwrap().len(), &century["more"]), (5, &true.into()));

    for (query, detail) in [
        ("range=tomorrow", "ranges are: today"),
        ("range=2026-01-02,2026-01-01", "ends before it begins"),
        ("range=2026-01-31&interval=x", ""),
        ("range=2026-01-31&buckets=0", "1 to 10000"),
        ("range=2026-01-31&limit=0", "1 to 1000000"),
        ("range=2026-01-31&format=xml", "json, csv or ndjson"),
        ("tz=Mars/Olympus", "no time zone"),
    ] {
        assert!(his(query).await.error(400).contains(detail), "{query}");
    }
    assert!(web.get("/v1/points/none/his").await.error(404).contains("no point none"));
    web.stop().await;
    bench.gateway.shutdown().await;
}

#[tokio::test]
async fn many_histories_are_fetched_side_by_side_and_each_tells_what_came_of_it() {
    let folder = Folder::new("many");
    let mut bench = Bench::new();
    bench.a.keep("log", minutes(0, 60));
    bench.b.set_mood(Mood::Gone);
    let both = config([keeper("a", &["a.temp", "a.flow"]), keeper("b", &["b.temp"])]);
    bench.gateway.apply(served(both, &folder)).await.unwrap();
    let web = Web::of(&bench.gateway).await;
    let range = r#""range":"2026-01-31""#;

    let begun = web.post("/v1/his/sync", &format!(r#"{{"all":true,{range}}}"#)).await;
    assert_eq!((begun.status, &begun.json()["total"]), (202, &3.into()));
    assert!(begun.head.contains("location: /v1/his/sync/1"), "{}", begun.head);
    let heard = web.follow("/v1/his/sync/1", |heard| heard.contains(r#""state":"done""#)).await;
    assert!(heard.contains("event: sync"), "{heard}");
    let done = web.get("/v1/his/sync/1").await.json();
    assert_eq!(
        (&done["done"], &done["failed"], &done["items"]),
        (&3.into(), &1.into(), &120.into())
    );
    let mut results = done["results"].as_array().unwrap().clone();
    results.sort_by_key(|row| row["id"].to_string());
    assert_eq!(results[1], serde_json::json!({"id": "a.temp", "num": 60}));
    assert_eq!(results[2]["err"], "the fake device is gone");
    let later = web.get("/v1/his/sync/1?since=2").await.json();
    assert_eq!(later["results"].as_array().unwrap().len(), 1);
    let read = web.get("/v1/points/a.flow/his?range=2026-01-31").await.json();
    assert_eq!(read["rows"].as_array().unwrap().len(), 60);

    // A connector, and points of which one is none; each is there once however often it is named.
    let body = format!(r#"{{"connector":"a",{range}}}"#);
    assert_eq!(web.post("/v1/his/sync", &body).await.json()["total"], 2);
    let body = format!(r#"{{"points":["a.temp","a.temp","none"],{range}}}"#);
    let begun = web.post("/v1/his/sync", &body).await.json();
    assert_eq!((&begun["id"], &begun["total"]), (&"3".into(), &2.into()));
    web.follow("/v1/his/sync/3", |heard| heard.contains(r#""state":"done""#)).await;
    let done = web.get("/v1/his/sync/3").await.json();
    let none = done["results"].as_array().unwrap().iter().find(|row| row["id"] == "none").unwrap();
    assert!(none["err"].as_str().unwrap().contains("no such point"), "{none}");
    assert_eq!(web.get("/v1/his/sync").await.json().as_array().unwrap().len(), 3);

    for (body, status) in [
        ("{}", 400),
        (r#"{"points":[]}"#, 400),
        (r#"{"all":true,"connector":"a"}"#, 400),
        (r#"{"all":true,"range":"tomorrow"}"#, 400),
        (r#"{"all":true,"tz":"x","range":"today"}"#, 400),
        (r#"{"connector":"none"}"#, 404),
        (r#"{"what":1}"#, 400),
    ] {
        web.post("/v1/his/sync", body).await.error(status);
    }
    web.get("/v1/his/sync/99").await.error(404);
    web.get("/v1/his/sync/x").await.error(404);
    web.ask("DELETE", "/v1/his/sync/99", "").await.error(404);
    web.stop().await;
    bench.gateway.shutdown().await;
}

#[tokio::test]
async fn a_synchronisation_is_cancelled_while_its_device_hangs_and_leaves_nothing_pending() {
    let folder = Folder::new("cancel");
    let mut bench = Bench::new();
    bench.a.keep("log", minutes(0, 60));
    bench.gateway.apply(served(config([keeper("a", &["a.p", "a.q"])]), &folder)).await.unwrap();
    let web = Web::of(&bench.gateway).await;
    let body = r#"{"connector":"a","range":"2026-01-31"}"#;
    bench.a.set_mood(Mood::Silent);
    web.post("/v1/his/sync", body).await;
    let details = async |name: &str| web.get(&format!("/v1/points/{name}/details")).await.body;
    let pending = |text: String| text.contains("hisPending      true");
    until("both are pending", async || {
        pending(details("a.p").await) && pending(details("a.q").await)
    })
    .await;
    assert_eq!(web.get("/v1/his/sync/1").await.json()["state"], "running");
    let cancelled = web.ask("DELETE", "/v1/his/sync/1", "").await;
    assert_eq!(cancelled.status, 202);
    until("it is cancelled", async || {
        web.get("/v1/his/sync/1").await.json()["state"] == "cancelled"
    })
    .await;
    // The connector is inside an operation that never ends, and hears of it once that is cut.
    bench.a.set_mood(Mood::Well);
    until("none is pending", async || {
        !pending(details("a.p").await) && !pending(details("a.q").await)
    })
    .await;
    // As many as may be run at a time.
    bench.a.set_mood(Mood::Silent);
    for _ in 0..4 {
        assert_eq!(web.post("/v1/his/sync", body).await.status, 202);
    }
    assert!(web.post("/v1/his/sync", body).await.error(429).contains("as many as may"));
    // The server ends at once all the same.
    web.stop().await;
    bench.gateway.shutdown().await;
}

#[tokio::test]
async fn no_more_than_sixteen_connectors_are_asked_at_a_time() {
    let folder = Folder::new("bound");
    let mut farm = Farm::new(20, |_| ()).await;
    let names: Vec<String> = (0..20).map(|at| format!("d{at}")).collect();
    let keepers = names.iter().map(|name| keeper(name, &[&format!("{name}.p")]));
    farm.gateway.apply(served(config(keepers), &folder)).await.unwrap();
    for device in &farm.devices {
        device.keep("log", minutes(0, 1));
        device.set_delay(Duration::from_millis(500));
    }
    let web = Web::of(&farm.gateway).await;
    web.post("/v1/his/sync", r#"{"all":true,"range":"2026-01-31"}"#).await;
    let asked = || farm.devices.iter().filter(|device| device.calls("history") > 0).count();
    let mut most_at_first = 0;
    until("all are done", async || {
        // Counted before it is asked whether one is done, lest one that came after it counts.
        let asked = asked();
        let job = web.get("/v1/his/sync/1").await.json();
        if job["done"] == 0 {
            most_at_first = most_at_first.max(asked);
        }
        job["state"] == "done"
    })
    .await;
    assert!((1..=16).contains(&most_at_first), "{most_at_first} were asked before one was done");
    assert_eq!(web.get("/v1/his/sync/1").await.json()["items"], 20);
    web.stop().await;
    farm.gateway.shutdown().await;
}

#[tokio::test]
async fn details_answer_while_the_device_hangs() {
    let folder = Folder::new("details");
    let mut bench = Bench::new();
    bench.a.set("a.temp", number(1.0));
    bench.a.set_mood(Mood::Silent);
    let mut slow = connector("a", &["a.temp"]);
    slow.op_timeout = Duration::from_secs(600);
    bench.gateway.apply(served(config([slow]), &folder)).await.unwrap();
    let web = Web::of(&bench.gateway).await;
    web.post("/v1/connectors/a/ping", "").await;
    until("it hangs", async || bench.a.calls("open") == 1).await;
    // Each of them answers, while the one operation stays under way.
    for _ in 0..3 {
        let details = web.get("/v1/connectors/a/details").await;
        assert_eq!(details.status, 200);
        assert!(details.body.contains("currentMessage: open"), "{}", details.body);
        assert_eq!(web.get("/v1/points/a.temp/details").await.status, 200);
        assert_eq!(web.get("/v1/connectors/a/trace").await.status, 200);
        assert_eq!(web.get("/v1/connectors").await.json()[0]["connState"], "opening");
        assert_eq!(web.get("/v1/connectors/a/points").await.json(), serde_json::json!(["a.temp"]));
    }
    assert_eq!(bench.a.calls("open"), 1);
    web.stop().await;
    bench.gateway.shutdown().await;
}

#[tokio::test]
async fn a_trace_and_the_states_of_connectors_are_followed_live() {
    let folder = Folder::new("live");
    let mut bench = Bench::new();
    bench.a.set("a.temp", number(1.0));
    bench.gateway.apply(served(config([connector("a", &["a.temp"])]), &folder)).await.unwrap();
    let web = Web::of(&bench.gateway).await;
    let trace = "/v1/connectors/a/trace";
    assert_eq!(web.get(trace).await.json()["on"], false);
    web.post("/v1/points/a.temp/sync", "").await;
    assert_eq!(web.get(trace).await.json()["entries"], serde_json::json!([]), "off keeps nothing");
    assert_eq!(web.post(trace, r#"{"on":true}"#).await.json()["on"], true);
    let entries = async |target: &str| {
        let follow = web.follow(target, |heard| heard.contains("\"type\":\"dispatch\""));
        let (heard, _) = tokio::join!(follow, web.post("/v1/points/a.temp/sync", ""));
        heard
    };
    assert!(entries(trace).await.contains("event: trace"));
    // What was seen is not sent again.
    let seen = web.get(trace).await.json();
    let since = entries(&format!("{trace}?since={}", seen["next"])).await;
    assert!(!since.contains(&format!("\"seq\":{},", seen["entries"][0]["seq"])), "{since}");
    assert_eq!(web.post(trace, r#"{"on":false}"#).await.json()["on"], false);
    assert_eq!(web.get(trace).await.json()["entries"], serde_json::json!([]), "off drops all");

    // Each change of a connector's state is an event of a topic, with its cause.
    let topic = "/v1/topics/pointstream:connectors";
    let heard = web.follow(topic, |heard| {
        if heard.contains("event: data") {
            bench.a.set_mood(Mood::Gone);
        }
        heard.contains("event: patch") && heard.contains("the fake device is gone")
    });
    assert!(heard.await.contains("\"connStatus\":\"ok\""), "as it was before");
    web.stop().await;
    bench.gateway.shutdown().await;
}

#[tokio::test]
async fn points_via_a_connector_are_found_by_a_filter() {
    let folder = Folder::new("via");
    let mut bench = Bench::new();
    bench.a.refuse("a.bad", Fault::permanent("no"));
    let both = config([connector("a", &["a.p", "a.q"]), connector("b", &["b.p"])]);
    bench.gateway.apply(served(both, &folder)).await.unwrap();
    let web = Web::of(&bench.gateway).await;
    let via = web.get("/v1/points?filter=connector%3D%3D%22a%22").await.json();
    let ids: Vec<_> = via.as_array().unwrap().iter().map(|point| point["id"].clone()).collect();
    assert_eq!(ids, ["a.p", "a.q"]);
    assert_eq!(web.get("/v1/connectors/b/points").await.json(), serde_json::json!(["b.p"]));
    web.stop().await;
    bench.gateway.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_error_that_comes_again_and_again_is_told_seldom_and_counted() {
    let mut bench = Bench::new();
    let mut quick = connector("a", &["a.temp"]);
    quick.open_retry = Duration::from_secs(1);
    bench.a.set_mood(Mood::Gone);
    bench.gateway.apply(config([quick])).await.unwrap();
    let mut reader = bench.reader("pointstream:connectors");
    let (mut events, mut most) = (0, 0);
    // For ten minutes it is tried again each second or so.
    let followed = tokio::time::timeout(Duration::from_secs(600), async {
        let watched = bench.gateway.watch(&["a.temp".parse().unwrap()], None).await;
        assert!(watched.is_ok());
        while reader.next().await {
            events += 1;
            most = most.max(reader.document["a"]["errors"].as_u64().unwrap_or(0));
        }
    });
    assert!(followed.await.is_err(), "the topic goes on");
    assert!(bench.a.calls("open") > 100, "{} tries", bench.a.calls("open"));
    // All but those since the last that was told, ten seconds at most, with at least half a second between.
    assert!(most + 21 >= bench.a.calls("open"), "{most} of {} are counted", bench.a.calls("open"));
    assert!((20..80).contains(&events), "{events} events");
    assert_eq!(reader.document["a"]["connErr"], "the fake device is gone");
    // Another cause, or none any more, is told at once.
    bench.a.set_mood(Mood::Well);
    reader.until("a", "connStatus", "ok").await;
    bench.gateway.shutdown().await;
}

#[tokio::test]
async fn learned_points_go_to_the_point_file_or_to_the_configuration_and_back() {
    let folder = Folder::new("add");
    let (toml, csv) = (folder.0.join("gateway.toml"), folder.0.join("a.csv"));
    let text = "listen = \"127.0.0.1:0\"\n\n# What is in the hall.\n[[connector]]\nid = \"a\"\n\
        kind = \"fake\"\ndevice = \"a\"\npoints = \"a.csv\"\n\n[[connector]]\nid = \"b\"\n\
        kind = \"fake\"\ndevice = \"b\"\n";
    let points = "id,kind,cur\n# The first one.\na.p,Number,a.p\n";
    std::fs::write(&toml, text).unwrap();
    std::fs::write(&csv, points).unwrap();
    let read = |path: &std::path::Path| std::fs::read_to_string(path).unwrap();
    let mut bench = Bench::new();
    let mut file = pointstream::ConfigFile::new(&toml);
    bench.gateway.apply(file.read().unwrap()).await.unwrap();
    let web = Web::of(&bench.gateway).await;
    let add = async |connector: &str, id: &str, rest: &str| {
        let body = format!(r#"{{"points":[{{"id":"{id}","kind":"Number","cur":"{id}"}}]{rest}}}"#);
        web.post(&format!("/v1/connectors/{connector}/points"), &body).await
    };
    // Into the file of the connector that has one, into the configuration of one that has none.
    assert_eq!(add("a", "a.q", "").await.json()["to"], "pointFile");
    assert_eq!(add("b", "b.p", "").await.json()["to"], "config");
    assert!(read(&csv).starts_with(points) && read(&csv).contains("a.q"), "{}", read(&csv));
    assert!(read(&toml).contains("# What is in the hall.") && read(&toml).contains("b.p"));
    bench.gateway.apply(file.read().unwrap()).await.unwrap();
    assert_eq!(web.get("/v1/connectors/a/points").await.json(), serde_json::json!(["a.p", "a.q"]));
    assert_eq!(web.get("/v1/connectors/b/points").await.json(), serde_json::json!(["b.p"]));
    // Into the one that is named, if it is there.
    assert_eq!(add("a", "a.r", r#","to":"config""#).await.json()["to"], "config");
    assert!(read(&toml).contains("a.r"));
    assert!(add("b", "b.q", r#","to":"pointFile""#).await.error(400).contains("no file of points"));
    assert!(add("a", "a.p", "").await.error(400).contains("a.p"), "it is there already");
    // What was added last goes again, in either.
    let restored = web.post("/v1/connectors/a/points/restore", "").await;
    assert_eq!((restored.status, read(&csv).as_str()), (200, points));
    web.post("/v1/config/restore", "").await;
    assert!(read(&toml).contains("b.p") && !read(&toml).contains("a.r"), "{}", read(&toml));
    web.post("/v1/connectors/b/points/restore", "").await.error(400);
    web.post("/v1/connectors/none/points/restore", "").await.error(400);
    web.stop().await;
    bench.gateway.shutdown().await;
}
