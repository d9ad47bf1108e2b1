//! Priority arrays, what is kept of them, and points without a connector, in virtual time.

use core::time::Duration;
use std::path::PathBuf;

use pointstream::conn::WriteDone;
use pointstream::point::{Fault, Kind, Level, LevelWrite, PointSpec, Tag, Tuning, Value};
use pointstream::{Config, ConnectorConfig};

use crate::bench::{Bench, config, connector, id, level, number, point};

fn writes(tuning: Tuning) -> Config {
    config([connector("a", &["a.sp"])]).with_tuning(id("default"), tuning)
}

fn polled() -> Tuning {
    Tuning::default().with_poll_time(Duration::from_secs(1))
}

/// A file for a store, none there so far.
fn file(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_file(&path);
    path
}

#[tokio::test(start_paused = true)]
async fn the_strongest_level_goes_to_the_device_and_its_release_brings_the_next() {
    let mut bench = Bench::new();
    bench.a.set("a.sp", number(0.0));
    bench.gateway.apply(writes(polled())).await.unwrap();
    let sp = id("a.sp");
    let written = bench.gateway.write(&sp, level(16, number(20.0))).await.unwrap();
    assert_eq!(written.done, Some(WriteDone::Taken));
    bench.gateway.write(&sp, level(8, number(25.0))).await.unwrap();
    assert_eq!(bench.a.get("a.sp"), Some(number(25.0)));
    let hidden = bench.gateway.write(&sp, level(16, number(21.0))).await.unwrap();
    assert_eq!((hidden.done, hidden.effective.level), (None, Level::MANUAL));
    assert_eq!(bench.a.get("a.sp"), Some(number(25.0)));
    bench.gateway.write(&sp, level(8, Value::Null)).await.unwrap();
    assert_eq!(bench.a.get("a.sp"), Some(number(21.0)));
}

#[tokio::test(start_paused = true)]
async fn a_timed_override_is_released_by_itself() {
    let mut bench = Bench::new();
    bench.a.set("a.sp", number(0.0));
    bench.gateway.apply(writes(polled())).await.unwrap();
    bench.gateway.write(&id("a.sp"), level(17, number(18.0))).await.unwrap();
    let timed = LevelWrite::new(Level::MANUAL, number(25.0), "Ann");
    let timed = timed.with_duration(Duration::from_secs(600));
    bench.gateway.write(&id("a.sp"), timed).await.unwrap();
    tokio::time::sleep(Duration::from_secs(599)).await;
    assert_eq!(bench.a.get("a.sp"), Some(number(25.0)));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(bench.a.get("a.sp"), Some(number(18.0)));
}

#[tokio::test(start_paused = true)]
async fn the_same_value_again_is_written_only_where_the_device_seems_not_to_have_it() {
    let mut bench = Bench::new();
    bench.a.set("a.sp", number(0.0));
    bench.gateway.apply(writes(polled())).await.unwrap();
    let mut reader = bench.reader("plant");
    let sp = id("a.sp");
    bench.gateway.write(&sp, level(16, number(20.0))).await.unwrap();
    reader.until("a.sp", "val", 20).await;
    let again = bench.gateway.write(&sp, level(16, number(20.0))).await.unwrap();
    assert_eq!((again.done, bench.a.calls("write")), (None, 1));
    // Somebody turned the knob.
    bench.a.set("a.sp", number(23.0));
    reader.until("a.sp", "val", 23).await;
    bench.gateway.write(&sp, level(16, number(20.0))).await.unwrap();
    assert_eq!(bench.a.get("a.sp"), Some(number(20.0)));
    reader.until("a.sp", "val", 20).await;
    // A write that failed is tried again.
    bench.a.refuse("a.sp", Fault::permanent("busy"));
    bench.gateway.write(&sp, level(16, number(21.0))).await.unwrap_err();
    bench.a.set("a.sp", number(20.0));
    bench.gateway.write(&sp, level(16, number(21.0))).await.unwrap();
    assert_eq!(bench.a.get("a.sp"), Some(number(21.0)));
}

#[tokio::test(start_paused = true)]
async fn arrays_survive_a_connector_that_is_made_anew() {
    let mut bench = Bench::new();
    bench.a.set("a.sp", number(0.0));
    let tuning = polled().with_write_on_start(true);
    bench.gateway.apply(writes(tuning.clone())).await.unwrap();
    bench.gateway.write(&id("a.sp"), level(16, number(20.0))).await.unwrap();
    tokio::time::sleep(Duration::from_secs(20)).await;
    bench.a.set("a.sp", number(1.0));
    let marked = connector("a", &["a.sp"]).with("mark", 1);
    let config = config([marked]).with_tuning(id("default"), tuning);
    bench.gateway.apply(config.clone()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(bench.a.get("a.sp"), Some(number(20.0)), "written at the start of the new one");
    let mut read_only = point("a.sp");
    read_only.write = None;
    let without = connector("a", &[]).with("mark", 1).with_point(read_only);
    bench.gateway.apply(config.clone()).await.unwrap();
    bench.gateway.apply(crate::bench::config([without])).await.unwrap();
    bench.gateway.apply(config).await.unwrap();
    let written = bench.gateway.write(&id("a.sp"), level(17, number(5.0))).await.unwrap();
    assert_eq!(written.effective.level, Level::DEF, "who cannot be written has no array");
}

#[tokio::test(start_paused = true)]
async fn a_point_without_a_connector_is_written_and_shown() {
    let mut bench = Bench::new();
    let mut own = PointSpec::new(id("mode"), Kind::Str);
    (own.more.writable, own.more.cur_tracks_write) = (true, true);
    let config = Config::new().with_point(own);
    bench.gateway.apply(config).await.unwrap();
    let mut reader = bench.reader("plant");
    let written = bench.gateway.write(&id("mode"), level(8, Value::str("auto"))).await.unwrap();
    assert_eq!(written.done, None);
    reader.until("mode", "val", "auto").await;
    reader.until("mode", "status", "ok").await;
    bench.gateway.write(&id("mode"), level(8, Value::Null)).await.unwrap();
    reader.until("mode", "val", serde_json::Value::Null).await;
    let refused = bench.gateway.write(&id("mode"), level(8, number(1.0))).await.unwrap_err();
    assert_eq!(refused.to_string(), "expected a value of kind Str, not Number");
    bench.gateway.apply(Config::new()).await.unwrap();
    let gone = bench.gateway.write(&id("mode"), level(8, Value::Null)).await.unwrap_err();
    assert_eq!(gone.to_string(), "no point has the id mode");
}

#[cfg(feature = "store")]
#[tokio::test]
async fn the_levels_1_8_and_17_last_across_a_restart_unless_timed() {
    let path = file("levels.redb");
    let with_store = |tuning: Tuning| {
        let mut config = config([connector("a", &["a.sp", "a.x", "a.y"])]);
        config.store = Some(path.clone());
        config.steady_time = Some(Duration::from_millis(50));
        config.with_tuning(id("default"), tuning)
    };
    let mut bench = Bench::new();
    for name in ["a.sp", "a.x", "a.y"] {
        bench.a.set(name, number(0.0));
    }
    bench.gateway.apply(with_store(polled())).await.unwrap();
    let gateway = &bench.gateway;
    let put = |name: &'static str, write| async move { gateway.write(&id(name), write).await };
    put("a.sp", level(17, number(18.0))).await.unwrap();
    put("a.sp", level(8, number(22.0))).await.unwrap();
    put("a.sp", level(16, number(99.0))).await.unwrap();
    let timed = level(8, number(30.0)).with_duration(Duration::from_secs(3600));
    put("a.x", timed).await.unwrap();
    put("a.y", level(1, number(5.0))).await.unwrap();
    put("a.y", level(1, Value::Null)).await.unwrap();
    bench.gateway.shutdown().await;

    let mut bench = Bench::new();
    bench.a.set("a.sp", number(0.0));
    bench.gateway.apply(with_store(polled().with_write_on_start(true))).await.unwrap();
    let until = tokio::time::Instant::now() + Duration::from_secs(10);
    while bench.a.get("a.sp") != Some(number(22.0)) {
        assert!(tokio::time::Instant::now() < until, "never written: {:?}", bench.a.get("a.sp"));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!((bench.a.get("a.x"), bench.a.get("a.y")), (None, None), "neither was kept");
    let released = bench.gateway.write(&id("a.sp"), level(8, Value::Null)).await.unwrap();
    assert_eq!(released.effective.val, number(18.0), "level 16 is not kept, level 17 is");
    let mut moved = with_store(polled());
    moved.store = Some(file("other.redb"));
    let error = bench.gateway.apply(moved).await.unwrap_err().to_string();
    assert!(error.contains("until the gateway ends"), "{error}");
    let mut second = Bench::new();
    let error = second.gateway.apply(with_store(polled())).await.unwrap_err().to_string();
    assert!(error.contains("in use"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_watch_of_an_application_has_points_polled_until_its_lease_runs_out() {
    let mut bench = Bench::new();
    bench.a.set("a.sp", number(1.0));
    let topic = pointstream::TopicConfig::new(id("plant")).on_demand();
    bench.gateway.apply(writes(polled()).with_topic(topic)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(bench.a.calls("read"), 0);
    let lease = Some(Duration::from_secs(60));
    let watch = bench.gateway.watch(&[id("a.sp"), id("nobody")], lease).await.unwrap();
    tokio::time::sleep(Duration::from_secs(50)).await;
    bench.gateway.renew(watch).unwrap();
    tokio::time::sleep(Duration::from_secs(50)).await;
    let reads = bench.a.calls("read");
    assert!(reads > 90, "{reads}");
    tokio::time::sleep(Duration::from_secs(20)).await;
    let reads = bench.a.calls("read");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(bench.a.calls("read"), reads, "the lease ran out");
    assert!(bench.gateway.renew(watch).is_err());
    assert_eq!(bench.gateway.sync_cur(&[id("a.sp"), id("nobody")]).await, []);
    assert_eq!(bench.a.calls("read"), reads + 1);
    let watch = bench.gateway.watch(&[id("a.sp")], None).await.unwrap();
    bench.gateway.unwatch(watch).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_point_of_two_connectors_stays_with_the_kind_that_it_prefers() {
    let of = |connector: &str, kind: &str, prefers: Option<&str>| {
        let mut spec = point("shared");
        if let Some(prefers) = prefers {
            spec.more.tags.set("connDupPref", Tag::Value(Value::str(prefers)));
        }
        let config = ConnectorConfig::new(id(connector), kind).with("device", connector);
        config.with_point(spec)
    };
    let mut bench = Bench::new();
    bench.a.set("shared", number(1.0));
    bench.b.set("shared", number(2.0));
    for (prefers, order) in [("other", false), ("hx.other", true), ("fake", false)] {
        let mut both = vec![of("a", "fake", Some(prefers)), of("b", "other", Some(prefers))];
        if order {
            both.reverse();
        }
        bench.gateway.apply(config(both)).await.unwrap();
        let mut reader = bench.reader("plant");
        reader.until("shared", "val", if prefers == "fake" { 1 } else { 2 }).await;
    }
    let none = config([of("a", "fake", None), of("b", "other", None)]);
    let error = bench.gateway.apply(none).await.unwrap_err().to_string();
    assert_eq!(error, "the point shared of connector b exists already in connector a");
}

#[tokio::test(start_paused = true)]
async fn the_check_of_a_configuration_knows_of_preferences_too() {
    let of = |connector: &str, kind: &str| {
        let mut spec = point("shared");
        spec.more.tags.set("connDupPref", Tag::Value(Value::str("other")));
        ConnectorConfig::new(id(connector), kind).with("device", connector).with_point(spec)
    };
    let both = config([of("a", "fake"), of("b", "other")]);
    assert_eq!(Bench::new().gateway.check(&both).unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn a_watch_goes_by_ids_through_changes_of_the_configuration() {
    let mut bench = Bench::new();
    bench.a.set("a.sp", number(1.0));
    bench.a.set("a.late", number(1.0));
    let topic = pointstream::TopicConfig::new(id("plant")).on_demand();
    bench.gateway.apply(writes(polled()).with_topic(topic.clone())).await.unwrap();
    let watch = bench.gateway.watch(&[id("a.sp"), id("a.late")], None).await.unwrap();
    let mut renamed = point("a.sp");
    renamed.more.dis = Some("Setpoint".into());
    // One that has changed, and one that comes while the other goes.
    for only in [renamed, point("a.late")] {
        let next = config([connector("a", &[]).with_point(only)]).with_topic(topic.clone());
        bench.gateway.apply(next.with_tuning(id("default"), polled())).await.unwrap();
        let reads = bench.a.calls("read");
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(bench.a.calls("read") > reads + 8, "{} reads", bench.a.calls("read") - reads);
    }
    bench.gateway.unwatch(watch).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let reads = bench.a.calls("read");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(bench.a.calls("read"), reads);
}

#[tokio::test(start_paused = true)]
async fn a_point_that_takes_less_than_before_is_not_written_what_it_does_not_take() {
    let mut bench = Bench::new();
    bench.a.set("a.sp", number(0.0));
    let tuning = polled().with_write_on_start(true);
    bench.gateway.apply(writes(tuning.clone())).await.unwrap();
    bench.gateway.write(&id("a.sp"), level(16, number(20.0))).await.unwrap();
    bench.gateway.write(&id("a.sp"), level(8, number(40.0))).await.unwrap();
    tokio::time::sleep(Duration::from_secs(20)).await;
    bench.a.set("a.sp", number(0.0));
    let mut spec = point("a.sp");
    spec.more.max = Some(30.0);
    let next = config([connector("a", &[]).with_point(spec)]);
    bench.gateway.apply(next.with_tuning(id("default"), tuning)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(bench.a.get("a.sp"), Some(number(20.0)));
}

#[cfg(feature = "store")]
#[tokio::test(start_paused = true)]
async fn a_point_that_is_switched_off_or_left_out_for_a_while_has_its_levels_again() {
    let store = file("left-out.redb");
    let mut bench = Bench::new();
    bench.a.set("a.sp", number(0.0));
    let with = |disabled: bool, there: bool| {
        let mut spec = point("a.sp");
        spec.disabled = disabled;
        let connector = connector("a", &["a.other"]);
        let connector = if there { connector.with_point(spec) } else { connector };
        let mut config = config([connector]).with_tuning(id("default"), polled());
        config.store = Some(store.clone());
        config
    };
    bench.gateway.apply(with(false, true)).await.unwrap();
    bench.gateway.write(&id("a.sp"), level(8, number(19.0))).await.unwrap();
    bench.gateway.write(&id("a.sp"), level(12, number(23.0))).await.unwrap();
    bench.gateway.apply(with(true, true)).await.unwrap();
    let refused = bench.gateway.write(&id("a.sp"), level(9, number(1.0))).await.unwrap_err();
    assert_eq!(refused.to_string(), "the point is not writable");
    bench.gateway.apply(with(false, true)).await.unwrap();
    let released = bench.gateway.write(&id("a.sp"), level(9, Value::Null)).await.unwrap();
    assert_eq!(released.effective.val, number(19.0), "nothing is lost by switching off");
    bench.gateway.apply(with(false, false)).await.unwrap();
    bench.gateway.apply(with(false, true)).await.unwrap();
    let released = bench.gateway.write(&id("a.sp"), level(8, Value::Null)).await.unwrap();
    assert_eq!(released.val, Value::Null);
    assert_eq!(released.effective.val, Value::Null, "level 12 is not one that is kept");
    // What is released is not there again after the next change, nor after a restart.
    bench.gateway.apply(with(false, false)).await.unwrap();
    bench.gateway.apply(with(false, true)).await.unwrap();
    let effective = bench.gateway.write(&id("a.sp"), level(9, Value::Null)).await.unwrap();
    assert_eq!(effective.effective.val, Value::Null);
}

/// Whoever comes into effect last is what the device and the store have last, however the writers
/// are interleaved.
#[cfg(feature = "store")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_at_the_same_time_leave_the_device_and_the_store_with_what_is_in_effect() {
    let store = file("writers.redb");
    let mut bench = Bench::new();
    bench.a.set("a.sp", number(0.0));
    let mut config = writes(Tuning::default());
    config.store = Some(store.clone());
    bench.gateway.apply(config.clone()).await.unwrap();
    let gateway = std::sync::Arc::new(bench.gateway);
    for round in 0..40 {
        let mut tasks = tokio::task::JoinSet::new();
        for writer in 0..8 {
            let gateway = std::sync::Arc::clone(&gateway);
            let val = f64::from(round * 8 + writer + 1);
            let write = LevelWrite::new(Level::MANUAL, number(val), format!("w{writer}"));
            tasks.spawn(async move { gateway.write(&id("a.sp"), write).await.map(drop) });
        }
        for done in tasks.join_all().await {
            done.unwrap();
        }
        let hidden = gateway.write(&id("a.sp"), level(17, number(-1.0))).await.unwrap();
        assert_eq!(bench.a.get("a.sp"), Some(hidden.effective.val), "in round {round}");
    }
    let hidden = gateway.write(&id("a.sp"), level(17, number(-2.0))).await.unwrap();
    std::sync::Arc::into_inner(gateway).unwrap().shutdown().await;
    let mut again = Bench::new();
    again.gateway.apply(config).await.unwrap();
    let restored = again.gateway.write(&id("a.sp"), level(17, number(-3.0))).await.unwrap();
    assert_eq!(restored.effective, hidden.effective);
}
