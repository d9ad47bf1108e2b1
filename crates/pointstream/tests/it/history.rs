//! What points collect is in the store and read back.

use core::time::Duration;
use std::path::PathBuf;

use jiff::tz::TimeZone;
use pointstream::http::{HisQuery, HisReadError, HisRows};
use pointstream::point::{HisItem, Span, Tag, Value};
use pointstream_test::Mood;

use crate::bench::{Bench, config, connector, number, point};

pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
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

pub(crate) fn collecting(name: &str, folder: &Folder, tags: &[(&str, Tag)]) -> pointstream::Config {
    let mut spec = point(name);
    for (name, tag) in tags {
        spec.more.tags.set(name, tag.clone());
    }
    let mut config = config([connector("a", &[]).with_point(spec)]);
    config.store = Some(folder.0.join("gateway.redb"));
    config.steady_time = Some(Duration::ZERO);
    config
}

pub(crate) fn text(text: &str) -> Tag {
    Tag::Value(Value::str(text))
}

fn query(interval: Option<pointstream::point::Interval>) -> HisQuery {
    HisQuery::new(Span::ALL, interval, TimeZone::UTC, 1_000)
}

pub(crate) async fn items(bench: &Bench, name: &str) -> Vec<HisItem> {
    match bench.gateway.admin().his_read(name, query(None)).await.unwrap().rows {
        HisRows::Items(items) => items,
        HisRows::Buckets(_) => panic!("buckets were not asked for"),
    }
}

pub(crate) async fn until(
    bench: &Bench,
    name: &str,
    holds: impl Fn(&[HisItem]) -> bool,
) -> Vec<HisItem> {
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

#[tokio::test]
async fn what_devices_keep_is_fetched_once_merged_and_one_bad_item_refuses_its_batch() {
    let folder = Folder::new("sync");
    let mut bench = Bench::new();
    let ago = |minutes: i64| {
        let now = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second()).unwrap();
        now.checked_sub(jiff::SignedDuration::from_mins(minutes)).unwrap()
    };
    let start = ago(60);
    let log = |from: i64, to: i64| {
        let at = move |minute| start.checked_add(jiff::SignedDuration::from_mins(minute)).unwrap();
        (from..to).map(move |minute| (at(minute), number(minute as f64)))
    };
    bench.a.keep("log", log(0, 30));
    bench.b.keep("log", [(ago(5), Value::Bool(true)), (ago(4), number(1.0))]);
    let keeping = |name: &str| {
        let mut spec = point(name);
        spec.more.his = Some("log".into());
        spec
    };
    let a = connector("a", &["a.plain"]).with_point(keeping("a.temp"));
    let b = connector("b", &[]).with_point(keeping("b.temp"));
    let mut config = config([a, b]);
    config.store = Some(folder.0.join("gateway.redb"));
    bench.gateway.apply(config).await.unwrap();
    let ids = ["a.temp", "b.temp", "a.plain", "none"]
        .map(|name| name.parse().unwrap_or_else(|_| panic!()));
    let progress = pointstream::HisProgress::new();
    let mut synced = bench.gateway.sync_his(&ids, None, &progress).await;
    synced.sort_by(|(a, _), (b, _)| a.cmp(b));
    assert_eq!(progress.counts(), (3, 3));
    assert_eq!(synced.len(), 3, "an id of no point is left out");
    assert!(synced[0].1.clone().unwrap_err().to_string().contains("no address of a history"));
    assert_eq!(synced[1].1, Ok(30));
    let kind = "Mismatched value type, rec kind 'Number' != item type 'Bool'";
    assert_eq!(synced[2].1.clone().unwrap_err().to_string(), kind);
    assert_eq!(items(&bench, "b.temp").await, [], "nothing of a bad batch");
    assert_eq!(items(&bench, "a.temp").await.len(), 30);
    // After an outage only what is later than the last item is asked for.
    bench.a.keep("log", log(30, 45));
    let again = bench.gateway.admin().sync_his("a.temp", None).await;
    assert_eq!(again, Ok(15));
    assert_eq!(items(&bench, "a.temp").await.len(), 45);
    let status =
        |name: &str| bench.gateway.admin().point(name).unwrap().his_status.unwrap().as_str();
    assert_eq!((status("a.temp"), status("b.temp")), ("ok", "fault"));
    let all = bench.gateway.admin().sync_his("a.temp", Some(Span::ALL)).await;
    assert_eq!(all, Ok(45));
    assert_eq!(items(&bench, "a.temp").await.len(), 45, "what is there is replaced");
    bench.gateway.shutdown().await;
}
