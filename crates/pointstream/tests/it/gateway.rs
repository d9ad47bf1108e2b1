use core::time::Duration;

use pointstream::hub::TopicOptions;
use pointstream::point::{Fault, Kind, RangeError, Tuning, Value};
use pointstream::points::LevelWriteError;
use pointstream::{ApplyError, Config, TopicConfig, WriteError};
use pointstream_test::Mood;

use crate::bench::{Bench, Farm, config, connector, id, level, number, point};

#[tokio::test(start_paused = true)]
async fn values_go_from_the_device_to_a_subscriber() {
    let mut bench = Bench::new();
    bench.a.set("a.temp", number(20.5));
    bench.gateway.apply(config([connector("a", &["a.temp"])])).await.unwrap();
    let mut reader = bench.reader("plant");
    reader.until("a.temp", "val", 20.5).await;
    assert_eq!(reader.document["a.temp"]["status"], "ok");
    bench.a.set("a.temp", number(21.0));
    reader.until("a.temp", "val", 21).await;
    bench.a.set_mood(Mood::Gone);
    reader.until("a.temp", "status", "down").await;
    assert_eq!(reader.document["a.temp"]["err"], "conn down");
    assert_eq!(reader.document["a.temp"]["val"], serde_json::Value::Null);
    bench.a.set("a.temp", number(22.0));
    bench.a.set_mood(Mood::Well);
    reader.until("a.temp", "val", 22).await;
    assert!(reader.document["a.temp"].get("err").is_none());
}

#[cfg(feature = "http")]
#[tokio::test(start_paused = true)]
async fn a_tree_is_learned_by_way_of_the_gateway_and_a_silent_device_ends_in_time() {
    use pointstream::http::ConnError;
    use pointstream::point::LearnPath;

    let mut bench = Bench::new();
    bench.a.set("ahu/temp", number(20.5));
    bench.gateway.apply(config([connector("a", &[])])).await.unwrap();
    let admin = bench.gateway.admin();
    let root = admin.learn("a", None).await.unwrap();
    assert_eq!(root.rows[0].learn.as_ref().map(LearnPath::as_str), Some("ahu"));
    let below = admin.learn("a", root.rows[0].learn.clone()).await.unwrap();
    assert_eq!(below.rows[0].cur.as_deref(), Some("ahu/temp"));
    assert_eq!(admin.learn("none", None).await, Err(ConnError::UnknownConnector));
    bench.a.set_mood(Mood::Silent);
    assert!(matches!(admin.learn("a", None).await, Err(ConnError::Failed(_))));
}

#[tokio::test(start_paused = true)]
async fn the_states_of_connectors_are_a_topic_with_their_causes() {
    let mut bench = Bench::new();
    bench.a.set("a.temp", number(20.5));
    bench.gateway.apply(config([connector("a", &["a.temp"])])).await.unwrap();
    let _watching = bench.reader("plant");
    let mut reader = bench.reader("pointstream:connectors");
    reader.until("a", "connStatus", "ok").await;
    bench.a.set_mood(Mood::Gone);
    reader.until("a", "connErr", "the fake device is gone").await;
    assert_eq!(reader.document["a"]["connStatus"], "down");
    while reader.document["a"]["errors"].as_u64() < Some(3) {
        assert!(reader.next().await, "equal errors are counted");
    }
    bench.a.set_mood(Mood::Well);
    reader.until("a", "connStatus", "ok").await;
    assert!(reader.document["a"].get("connErr").is_none());
    bench.gateway.apply(config([])).await.unwrap();
    assert!(reader.next().await);
    assert_eq!(reader.document, serde_json::json!({}));
}

#[cfg(feature = "http")]
#[tokio::test]
async fn learned_points_are_added_to_the_file_and_taken_back() {
    use pointstream::http::{AddPoint, ChangeError};

    let folder = std::env::temp_dir().join(format!("pointstream-add-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("gateway.toml");
    let text = "[[connector]]\nid = \"a\" # the device\nkind = \"fake\"\ndevice = \"a\"\n";
    std::fs::write(&path, text).unwrap();
    let mut bench = Bench::new();
    bench.a.set("ahu/temp", number(20.5));
    bench.gateway.apply(Config::read(&path).unwrap()).await.unwrap();
    let admin = bench.gateway.admin();
    let mut point = AddPoint {
        id: id("a.temp"),
        dis: None,
        kind: Kind::Number,
        unit: None,
        cur: Some("ahu/temp".into()),
        write: None,
        his: None,
    };
    admin.add_points("a", vec![point.clone()], None).await.unwrap();
    bench.gateway.apply(Config::read(&path).unwrap()).await.unwrap();
    let mut reader = bench.reader("plant");
    reader.until("a.temp", "val", 20.5).await;
    let twice = admin.add_points("a", vec![point.clone()], None).await.unwrap_err();
    assert!(matches!(twice, ChangeError::Refused(_)), "{twice}");
    admin.restore_config().await.unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    std::fs::remove_dir_all(&folder).unwrap();
    // A configuration made in code has no file.
    bench.gateway.apply(config([connector("a", &[])])).await.unwrap();
    point.id = id("a.other");
    assert_eq!(admin.add_points("a", vec![point], None).await, Err(ChangeError::NoFile));
}

#[tokio::test(start_paused = true)]
async fn one_dead_device_does_not_touch_its_neighbour() {
    let mut bench = Bench::new();
    bench.a.set("a.temp", number(1.0));
    bench.b.set("b.temp", number(1.0));
    bench.a.set_mood(Mood::Silent);
    let connectors = [connector("a", &["a.temp"]), connector("b", &["b.temp"])];
    bench.gateway.apply(config(connectors)).await.unwrap();
    let mut reader = bench.reader("plant");
    for round in 2..30 {
        bench.b.set("b.temp", number(f64::from(round)));
        let before = tokio::time::Instant::now();
        reader.until("b.temp", "val", round).await;
        assert!(before.elapsed() <= Duration::from_millis(1200), "{:?}", before.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn fifteen_bad_devices_leave_thirty_five_good_ones_their_period() {
    // R-B1: five that never answer, five that are gone, five that answer after three seconds.
    let farm = Farm::new(50, |connector| connector.op_timeout = Duration::from_secs(1)).await;
    for (devices, misbehave) in farm.devices[35..].chunks(5).zip(0..) {
        for device in devices {
            match misbehave {
                0 => device.set_mood(Mood::Silent),
                1 => device.set_mood(Mood::Gone),
                _ => device.set_delay(Duration::from_secs(3)),
            }
        }
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    let good = &farm.devices[..35];
    let reads = || good.iter().map(|device| device.calls("read")).collect::<Vec<_>>();
    let mut before = reads();
    for second in 0..600 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = reads();
        for (device, (before, now)) in before.iter().zip(&now).enumerate() {
            assert_eq!(now - before, 1, "device {device} in second {second}");
        }
        before = now;
    }
    farm.gateway.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_write_is_checked_then_reaches_the_device_and_comes_back() {
    let mut bench = Bench::new();
    bench.a.set("a.sp", number(20.0));
    let mut setpoint = point("a.sp");
    (setpoint.more.min, setpoint.more.max) = (Some(15.0), Some(30.0));
    bench.gateway.apply(config([connector("a", &[]).with_point(setpoint)])).await.unwrap();
    let mut reader = bench.reader("plant");
    reader.until("a.sp", "val", 20).await;
    bench.gateway.write(&id("a.sp"), level(16, number(21.5))).await.unwrap();
    assert_eq!(bench.a.get("a.sp"), Some(number(21.5)));
    reader.until("a.sp", "val", 21.5).await;
    let refused = bench.gateway.write(&id("a.sp"), level(16, number(31.0))).await.unwrap_err();
    assert!(matches!(
        refused,
        WriteError::Refused(LevelWriteError::Range(RangeError::AboveMax { .. }))
    ));
    assert_eq!(bench.a.calls("write"), 1, "no device saw the second value");
    let unknown = bench.gateway.write(&id("nobody"), level(16, number(1.0))).await.unwrap_err();
    assert_eq!(unknown.to_string(), "no point has the id nobody");
    bench.a.refuse("a.sp", Fault::permanent("Illegal Data Value"));
    let failed = bench.gateway.write(&id("a.sp"), level(16, number(22.0))).await.unwrap_err();
    assert_eq!(failed.to_string(), "Illegal Data Value");
}

#[tokio::test(start_paused = true)]
async fn a_configuration_is_applied_by_difference() {
    let mut bench = Bench::new();
    for name in ["a.1", "a.2", "a.3"] {
        bench.a.set(name, number(1.0));
    }
    bench.b.set("b.1", number(1.0));
    let first = config([connector("a", &["a.1", "a.2"]), connector("b", &["b.1"])]);
    let applied = bench.gateway.apply(first.clone()).await.unwrap();
    assert_eq!(applied.added, [id("a"), id("b")]);
    let mut reader = bench.reader("plant");
    reader.until("b.1", "val", 1).await;
    reader.until("a.2", "val", 1).await;

    // The same again changes nothing.
    assert_eq!(bench.gateway.apply(first).await.unwrap(), Default::default());

    // A point less and a point more: the sessions stand.
    let next = config([connector("a", &["a.1", "a.3"]), connector("b", &["b.1"])]);
    let applied = bench.gateway.apply(next).await.unwrap();
    assert_eq!((applied.changed, applied.topics), (vec![id("a")], vec![id("plant")]));
    reader.until("a.3", "val", 1).await;
    assert!(reader.document.get("a.2").is_none());
    assert_eq!((bench.a.calls("open"), bench.b.calls("open")), (1, 1));

    // A point less alone is a change too.
    let next = config([connector("a", &["a.1"]), connector("b", &["b.1"])]);
    assert_eq!(bench.gateway.apply(next).await.unwrap().changed, [id("a")]);

    // Another option of the driver: that connector alone is made anew.
    let next = config([connector("a", &["a.1"]).with("mark", 1), connector("b", &["b.1"])]);
    let applied = bench.gateway.apply(next).await.unwrap();
    assert_eq!(applied.replaced, [id("a")]);
    bench.a.set("a.1", number(5.0));
    reader.until("a.1", "val", 5).await;
    assert_eq!((bench.a.calls("open"), bench.b.calls("open")), (2, 1));

    // A point moves to the other connector, and the first one goes.
    let next = config([connector("b", &["b.1"]).with_point(point("a.1"))]);
    bench.b.set("a.1", number(9.0));
    let applied = bench.gateway.apply(next).await.unwrap();
    assert_eq!((applied.removed, applied.changed), (vec![id("a")], vec![id("b")]));
    reader.until("a.1", "val", 9).await;
    assert_eq!(bench.b.calls("open"), 1);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(bench.a.calls("close"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_changed_tuning_keeps_sessions_and_changes_the_pace() {
    let mut bench = Bench::new();
    bench.a.set("a.1", number(1.0));
    bench.gateway.apply(config([connector("a", &["a.1"])])).await.unwrap();
    bench.reader("plant").until("a.1", "val", 1).await;
    let slow = Tuning::default().with_poll_time(Duration::from_secs(100));
    let next = config([connector("a", &["a.1"])]).with_tuning(id("default"), slow);
    bench.gateway.apply(next).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = bench.a.calls("read");
    tokio::time::sleep(Duration::from_secs(1000)).await;
    let reads = bench.a.calls("read") - before;
    assert!((9..=11).contains(&reads), "{reads} reads");
    assert_eq!(bench.a.calls("open"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_bad_configuration_is_refused_whole() {
    let mut bench = Bench::new();
    bench.a.set("a.1", number(1.0));
    bench.gateway.apply(config([connector("a", &["a.1"])])).await.unwrap();
    let mut reader = bench.reader("plant");
    reader.until("a.1", "val", 1).await;
    for (bad, message) in [
        (
            config([connector("b", &["b.1"]), connector("a", &["b.1"])]),
            "the point b.1 of connector a exists already in connector b",
        ),
        (
            config([connector("b", &[]).with("colour", "red")]),
            "connector b: unknown field `colour`, expected `device` or `mark`",
        ),
        (config([connector("a", &[]), connector("a", &[])]), "the connector a exists twice"),
        (
            config([connector("a", &["a.1"])])
                .with_topic(TopicConfig::new(id("t")).with_filter("temp and")),
            "topic t: expected the name of a tag at character 9 of the filter",
        ),
    ] {
        let error: ApplyError = bench.gateway.apply(bad).await.unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    bench.a.set("a.1", number(2.0));
    reader.until("a.1", "val", 2).await;
    assert_eq!(bench.a.calls("open"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_topic_on_demand_is_polled_only_while_somebody_subscribes() {
    let mut bench = Bench::new();
    bench.a.set("a.1", number(1.0));
    let topic = TopicConfig::new(id("calm")).on_demand();
    let calm = config([connector("a", &["a.1"])]).with_topic(topic);
    bench.gateway.apply(calm).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(bench.a.calls("open"), 0);
    let mut reader = bench.reader("calm");
    reader.until("a.1", "val", 1).await;
    drop(reader);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let reads = bench.a.calls("read");
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!((bench.a.calls("read"), bench.a.calls("close")), (reads, 1));
}

#[tokio::test(start_paused = true)]
async fn topics_take_the_points_that_pass_their_filters() {
    let mut bench = Bench::new();
    for device in [&bench.a, &bench.b] {
        device.set("x.1", number(1.0));
        device.set("y.1", number(1.0));
    }
    let topics = config([connector("a", &["x.1"]), connector("b", &["y.1"])])
        .with_topic(TopicConfig::new(id("a")).with_filter("connector == \"a\""))
        .with_topic(TopicConfig::new(id("both")).with_filter("point"));
    bench.gateway.apply(topics).await.unwrap();
    let mut reader = bench.reader("a");
    reader.until("x.1", "val", 1).await;
    assert_eq!(reader.document.as_object().unwrap().len(), 1);
    let mut reader = bench.reader("both");
    reader.until("y.1", "val", 1).await;
    assert_eq!(reader.document.as_object().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_disabled_connector_says_so_and_comes_back() {
    let mut bench = Bench::new();
    bench.a.set("a.1", number(1.0));
    let on = config([connector("a", &["a.1"])]);
    let mut off = on.clone();
    off.connectors[0].disabled = true;
    bench.gateway.apply(on.clone()).await.unwrap();
    let mut reader = bench.reader("plant");
    reader.until("a.1", "status", "ok").await;
    bench.gateway.apply(off).await.unwrap();
    reader.until("a.1", "status", "disabled").await;
    bench.gateway.apply(on).await.unwrap();
    reader.until("a.1", "status", "ok").await;
}

#[tokio::test(start_paused = true)]
async fn shutting_down_closes_sessions_and_ends_subscriptions() {
    let mut bench = Bench::new();
    bench.a.set("a.1", number(1.0));
    bench.gateway.apply(config([connector("a", &["a.1"])])).await.unwrap();
    let mut reader = bench.reader("plant");
    reader.until("a.1", "val", 1).await;
    bench.gateway.shutdown().await;
    assert_eq!(bench.a.calls("close"), 1);
    while reader.next().await {}
}

#[test]
fn two_gateways_live_in_one_process_on_runtimes_of_either_flavour() {
    let live = || async {
        let (mut one, mut two) = (Bench::new(), Bench::new());
        for bench in [&mut one, &mut two] {
            bench.a.set("a.1", number(1.0));
            bench.gateway.apply(config([connector("a", &["a.1"])])).await.unwrap();
            bench.reader("plant").until("a.1", "val", 1).await;
        }
        tokio::join!(one.gateway.shutdown(), two.gateway.shutdown());
    };
    let mut current = tokio::runtime::Builder::new_current_thread();
    current.enable_all().build().unwrap().block_on(live());
    let mut multi = tokio::runtime::Builder::new_multi_thread();
    multi.worker_threads(2).enable_all().build().unwrap().block_on(live());
}

#[tokio::test(start_paused = true)]
async fn a_row_that_is_too_long_leaves_the_others_in_their_topic() {
    let mut bench = Bench::new();
    bench.a.set("a.1", Value::str("short"));
    bench.a.set("a.2", number(1.0));
    let mut text = point("a.1");
    text.kind = Kind::Str;
    let connector = connector("a", &[]).with_point(text).with_point(point("a.2"));
    bench.gateway.apply(config([connector])).await.unwrap();
    let mut reader = bench.reader("plant");
    reader.until("a.2", "val", 1).await;
    bench.a.set("a.1", Value::str("x".repeat(17 << 20)));
    bench.a.set("a.2", number(2.0));
    reader.until("a.2", "val", 2).await;
    assert_eq!(reader.document["a.1"]["val"], "short");
}

#[tokio::test(start_paused = true)]
async fn a_point_that_leaves_a_topic_is_no_longer_polled() {
    let mut bench = Bench::new();
    for (device, name) in [(&bench.a, "a.1"), (&bench.b, "b.1")] {
        device.set(name, number(1.0));
    }
    let connectors = || config([connector("a", &["a.1"]), connector("b", &["b.1"])]);
    let all = TopicConfig::new(id("t"));
    bench.gateway.apply(connectors().with_topic(all.clone())).await.unwrap();
    bench.reader("t").until("b.1", "val", 1).await;
    let some = all.with_filter("connector == \"a\"");
    bench.gateway.apply(connectors().with_topic(some)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let reads = || (bench.a.calls("read"), bench.b.calls("read"));
    let before = reads();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(reads(), (before.0 + 60, before.1));
}

#[tokio::test(start_paused = true)]
async fn what_was_applied_in_part_is_mended_by_the_next_configuration() {
    let mut bench = Bench::new();
    bench.a.set("a.1", number(1.0));
    bench.gateway.hub().create("mine", TopicOptions::text()).unwrap();
    let next = config([connector("a", &["a.1"])])
        .with_topic(TopicConfig::new(id("mine")))
        .with_topic(TopicConfig::new(id("other")));
    bench.gateway.apply(next.clone()).await.unwrap_err();
    bench.reader("other").until("a.1", "val", 1).await;
    bench.gateway.hub().remove("mine").unwrap();
    bench.gateway.apply(next).await.unwrap();
    bench.reader("mine").until("a.1", "val", 1).await;
    assert_eq!(bench.a.calls("open"), 1);
}

#[tokio::test(start_paused = true)]
async fn too_many_topics_are_refused_before_anything_is_applied() {
    let mut bench = Bench::new();
    bench.a.set("a.1", number(1.0));
    let connectors = config([connector("a", &["a.1"])]);
    // One is the gateway's own.
    let max = bench.gateway.hub().limits().topics_max - 1;
    let topics = |count: usize| {
        let topic = |at| TopicConfig::new(id(&format!("t{at}")));
        (0..count).map(topic).fold(connectors.clone(), Config::with_topic)
    };
    let error = bench.gateway.apply(topics(max + 1)).await.unwrap_err();
    assert_eq!(error.to_string(), "there are 1025 topics, more than 1024");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(bench.a.calls("open"), 0);
    bench.gateway.apply(topics(max)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn points_go_back_to_the_usual_pace_without_a_default_tuning() {
    let mut bench = Bench::new();
    bench.a.set("a.1", number(1.0));
    let mut next = config([connector("a", &["a.1"])]);
    bench.gateway.apply(next.clone()).await.unwrap();
    bench.reader("plant").until("a.1", "val", 1).await;
    next.tunings.clear();
    bench.gateway.apply(next).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = bench.a.calls("read");
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(bench.a.calls("read") - before, 10);
}

#[tokio::test(start_paused = true)]
async fn a_point_follows_the_tuning_that_it_is_left_with() {
    let mut bench = Bench::new();
    bench.a.set("a.1", number(1.0));
    let tuning = |secs| Tuning::default().with_poll_time(Duration::from_secs(secs));
    let mut apply = async |of_connector: &str, of_point: Option<&str>| {
        let mut point = point("a.1");
        point.more.tuning = of_point.map(id);
        let mut connector = connector("a", &[]).with_point(point);
        connector.tuning = Some(id(of_connector));
        let config = config([connector]).with_tuning(id("slow"), tuning(100));
        bench.gateway.apply(config.with_tuning(id("fast"), tuning(1))).await.unwrap();
    };
    apply("slow", None).await;
    apply("slow", Some("slow")).await;
    apply("fast", Some("slow")).await;
    apply("fast", None).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(bench.a.calls("read") >= 9, "{} reads", bench.a.calls("read"));
}
