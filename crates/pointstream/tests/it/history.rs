//! What points collect is in the store and read back.

use core::time::Duration;
use std::path::PathBuf;

use jiff::tz::TimeZone;
use pointstream::http::{HisQuery, HisReadError, HisRows};
use pointstream::point::{HisItem, Span, Tag, Value};
use pointstream_test::Mood;

use crate::bench::{Bench, config, connector, number, point};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("pointstream-gateway-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn collecting(name: &str, folder: &Folder, tags: &[(&str, Tag)]) -> pointstream::Config {
    let mut spec = point(name);
    for (name, tag) in tags {
        spec.more.tags.set(name, tag.clone());
    }
    let mut config = config([connector("a", &[]).with_point(spec)]);
    config.store = Some(folder.0.join("gateway.redb"));
    config.steady_time = Some(Duration::ZERO);
    config
}

fn text(text: &str) -> Tag {
    Tag::Value(Value::str(text))
}

fn query(interval: Option<pointstream::point::Interval>) -> HisQuery {
    HisQuery::new(Span::ALL, interval, TimeZone::UTC, 1_000)
}

async fn items(bench: &Bench, name: &str) -> Vec<HisItem> {
    match bench.gateway.admin().his_read(name, query(None)).await.unwrap().rows {
        HisRows::Items(items) => items,
        HisRows::Buckets(_) => panic!("buckets were not asked for"),
    }
}

async fn until(bench: &Bench, name: &str, holds: impl Fn(&[HisItem]) -> bool) -> Vec<HisItem> {
    for _ in 0..200 {
        let items = items(bench, name).await;
        if holds(&items) {
            return items;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never: {:?}", items(bench, name).await)
}

#[tokio::test]
async fn changes_are_collected_written_and_there_after_a_restart() {
    let folder = Folder::new("cov");
    let tags = [
        ("hisCollectCov", Tag::Marker),
        ("hisCollectCovRateLimit", text("1ms")),
        ("hisCollectNA", Tag::Marker),
        ("hisTsPrecision", text("1ms")),
    ];
    let mut bench = Bench::new();
    bench.a.set("a.temp", number(1.0));
    bench.gateway.apply(collecting("a.temp", &folder, &tags)).await.unwrap();
    // Nobody watches the point but what collects it.
    until(&bench, "a.temp", |items| items.last().is_some_and(|i| i.val == number(1.0))).await;
    bench.a.set("a.temp", number(2.5));
    until(&bench, "a.temp", |items| items.last().is_some_and(|i| i.val == number(2.5))).await;
    bench.a.set_mood(Mood::Gone);
    let kept =
        until(&bench, "a.temp", |items| items.last().is_some_and(|i| i.val == Value::Na)).await;
    bench.gateway.shutdown().await;
    let mut bench = Bench::new();
    bench.a.set_mood(Mood::Gone);
    bench.gateway.apply(collecting("a.temp", &folder, &tags)).await.unwrap();
    assert_eq!(items(&bench, "a.temp").await[..kept.len()], kept);
}

#[tokio::test]
async fn intervals_are_sampled_on_their_seconds_and_gathered() {
    let folder = Folder::new("interval");
    let tags = [("hisCollectInterval", text("1sec")), ("hisCollectWriteFreq", text("1sec"))];
    let mut bench = Bench::new();
    bench.a.set("a.temp", number(21.5));
    bench.gateway.apply(collecting("a.temp", &folder, &tags)).await.unwrap();
    let kept = until(&bench, "a.temp", |items| items.len() >= 2).await;
    assert!(kept.iter().all(|item| item.ts.subsec_nanosecond() == 0 && item.val == number(21.5)));
    let day = Some(pointstream::point::Interval::Days(1));
    let answer = bench.gateway.admin().his_read("a.temp", query(day)).await.unwrap();
    let HisRows::Buckets(buckets) = answer.rows else { panic!("{:?}", answer.rows) };
    assert_eq!(buckets.last().unwrap().mean(), Some(21.5));
    bench.gateway.shutdown().await;
}

#[tokio::test]
async fn bad_tags_are_faults_of_the_history_and_a_gateway_without_a_store_says_so() {
    let folder = Folder::new("faults");
    let tags = [("hisCollectInterval", text("7sec"))];
    let mut bench = Bench::new();
    bench.a.set("a.temp", number(1.0));
    bench.gateway.apply(collecting("a.temp", &folder, &tags)).await.unwrap();
    let view = bench.gateway.admin().point("a.temp").unwrap();
    assert_eq!(view.his_status.map(|status| status.as_str()), Some("fault"));
    let error = bench.gateway.admin().his_read("none", query(None)).await.unwrap_err();
    assert_eq!(error, HisReadError::UnknownPoint);
    bench.gateway.shutdown().await;
    let mut bench = Bench::new();
    bench.gateway.apply(config([connector("a", &["a.temp"])])).await.unwrap();
    let error = bench.gateway.admin().his_read("a.temp", query(None)).await.unwrap_err();
    assert_eq!(error, HisReadError::NoStore);
}
