//! The driver on loopback, against a small broker.

use core::time::Duration;
use std::collections::BTreeMap;

use pointstream_conn::{Binding, Driver, OpError, Reading, Readings, Registry, Write};
use pointstream_mqtt::{Config, Mqtt, QoS, Version, register};
use pointstream_point::{FaultKind, Id, Kind, PointKey, Status, Value};
use pointstream_test::conformance::{self, Points};
use pointstream_test::{Proxy, Weather};

use crate::broker::Broker;

const ONE: QoS = QoS::AtLeastOnce;

pub(crate) fn key(slot: u32) -> PointKey {
    PointKey { shard: 1, slot, generation: 1 }
}

pub(crate) fn binding(slot: u32, kind: Kind, cur: &str, write: &str) -> Binding {
    let mut binding = Binding::new(key(slot), kind);
    binding.cur = (!cur.is_empty()).then(|| cur.into());
    binding.write = (!write.is_empty()).then(|| write.into());
    binding
}

fn config(broker: &Broker) -> Config {
    Config::new(format!("mqtt://{}", broker.addr()).parse().unwrap())
}

/// What a driver says of its points by and by.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) values: BTreeMap<u32, Result<Value, (FaultKind, String)>>,
    pub(crate) all: Vec<(u32, Value)>,
}

impl Seen {
    pub(crate) fn take(&mut self, into: &mut Readings) {
        for reading in into.drain() {
            let (key, result) = match reading {
                Reading::Cur(key, Ok(value)) | Reading::Sample(key, value, _) => (key, Ok(value)),
                Reading::Cur(key, Err(fault))
                | Reading::WriteErr(key, fault)
                | Reading::Unwatchable(key, fault) => (key, Err(fault)),
                other => panic!("{other:?}"),
            };
            if let Ok(value) = &result {
                self.all.push((key.slot, value.clone()));
            }
            let result = result.map_err(|it| (it.kind(), it.message().to_string()));
            self.values.insert(key.slot, result);
        }
    }

    /// Lets the driver hear things until it is as it should be.
    pub(crate) async fn until(&mut self, driver: &mut Mqtt, holds: impl Fn(&Self) -> bool) {
        let mut into = Readings::new();
        let wait = async {
            while !holds(self) {
                let result = driver.event(&mut into).await;
                self.take(&mut into);
                result.unwrap();
            }
        };
        if tokio::time::timeout(Duration::from_secs(20), wait).await.is_err() {
            panic!("it is {:?}", self.values);
        }
    }

    pub(crate) fn is(&self, slot: u32, value: &Value) -> bool {
        self.values.get(&slot) == Some(&Ok(value.clone()))
    }

    pub(crate) fn text(&self, slot: u32) -> Option<&str> {
        match self.values.get(&slot) {
            Some(Err((_, text))) => Some(text),
            _ => None,
        }
    }
}

pub(crate) async fn watching(mut driver: Mqtt, bindings: &[Binding]) -> (Mqtt, Seen) {
    let (mut into, mut seen) = (Readings::new(), Seen::default());
    driver.bind(bindings, &mut into);
    driver.open(&mut into).await.unwrap();
    driver.ping(&mut into).await.unwrap();
    let keys: Vec<_> = bindings.iter().filter(|it| it.cur.is_some()).map(|it| it.key).collect();
    driver.watch(&keys, &mut into).await.unwrap();
    seen.take(&mut into);
    (driver, seen)
}

#[tokio::test]
async fn the_driver_conforms() {
    for version in [Version::V3_1_1, Version::V5] {
        let broker = Broker::start().await;
        broker.publish("plant/1/temp", "21.5", ONE, true);
        let readable = vec![
            binding(0, Kind::Number, "plant/1/temp", ""),
            binding(1, Kind::Number, "plant/+/state?value=/t", "plant/1/set"),
            binding(2, Kind::Bool, "plant/1/on", "plant/1/on?retain=true&qos=2"),
        ];
        let writes = vec![
            Write::new(readable[1].key, Value::number(1.0)),
            Write::new(readable[2].key, Value::Bool(true)),
        ];
        let bad = binding(9, Kind::Number, "plant/#/temp", "");
        let points = Points::new(readable).with_writes(writes).with_bad(bad);
        let config = config(&broker).with_version(version);
        let make = || Mqtt::new(config.clone(), 7);
        let run = conformance::driver(make, &points);
        tokio::time::timeout(Duration::from_secs(60), run).await.unwrap();
    }
}

#[tokio::test]
async fn points_get_their_values_from_topics() {
    let broker = Broker::start().await;
    broker.publish("plant/1/temp", "21.5", ONE, true);
    let bindings = [
        binding(0, Kind::Number, "plant/1/temp", ""),
        binding(1, Kind::Number, "plant/1/state?value=/t&time=/at&status=/q", ""),
        binding(2, Kind::Bool, "plant/1/state?value=/on", ""),
        binding(3, Kind::Str, "plant/+/mode?match=mode:{value};", ""),
    ];
    let (mut driver, mut seen) = watching(Mqtt::new(config(&broker), 1), &bindings).await;
    seen.until(&mut driver, |seen| seen.is(0, &Value::number(21.5))).await;
    let state = r#"{"t":-4,"on":true,"at":"2026-11-27T12:00:00Z","q":"good"}"#;
    broker.publish("plant/1/state", state, ONE, false);
    broker.publish("plant/7/mode", "mode:auto;", QoS::AtMostOnce, false);
    seen.until(&mut driver, |seen| {
        seen.is(1, &Value::number(-4.0))
            && seen.is(2, &Value::Bool(true))
            && seen.is(3, &Value::str("auto"))
    })
    .await;
    // Each filter was asked for once, though two points have one.
    assert_eq!(broker.subscribes(), ["plant/+/mode", "plant/1/state", "plant/1/temp"]);
    driver.close().await;
    broker.until_connected(0).await;
}

#[tokio::test]
async fn a_payload_that_is_not_what_was_promised_is_a_fault_of_its_point_alone() {
    let broker = Broker::start().await;
    let bindings = [
        binding(0, Kind::Number, "a?value=/t", ""),
        binding(1, Kind::Str, "a", ""),
        binding(2, Kind::Number, "b?value=/t&status=/q", ""),
    ];
    let (mut driver, mut seen) = watching(Mqtt::new(config(&broker), 1), &bindings).await;
    broker.publish("a", "no JSON", ONE, false);
    broker.publish("b", r#"{"t":1,"q":"down"}"#, ONE, false);
    seen.until(&mut driver, |seen| seen.values.len() == 3).await;
    assert!(seen.text(0).unwrap().starts_with("the payload is not JSON"));
    assert!(seen.is(1, &Value::str("no JSON")));
    assert_eq!(seen.values[&2].clone().unwrap_err().0, FaultKind::Remote(Status::Down));
    broker.publish("a", r#"{"t":3}"#, ONE, false);
    seen.until(&mut driver, |seen| seen.is(0, &Value::number(3.0))).await;
}

#[tokio::test]
async fn a_message_that_is_too_long_is_a_fault_of_its_points() {
    let broker = Broker::start().await;
    let mut config = config(&broker);
    config.packet_max = 2_000;
    let bindings = [binding(0, Kind::Str, "long", ""), binding(1, Kind::Number, "short", "")];
    let (mut driver, mut seen) = watching(Mqtt::new(config, 1), &bindings).await;
    broker.publish("long", &"x".repeat(100_000), ONE, false);
    broker.publish("short", "1", ONE, false);
    seen.until(&mut driver, |seen| seen.values.len() == 2).await;
    assert!(seen.text(0).unwrap().ends_with("is longer than is read"));
    assert!(seen.is(1, &Value::number(1.0)));
}

#[tokio::test]
async fn a_refused_subscription_is_a_fault_of_its_points() {
    let broker = Broker::start().await;
    broker.refuse("secret/#");
    let bindings = [binding(0, Kind::Str, "secret/#", ""), binding(1, Kind::Number, "open", "")];
    let (mut driver, mut seen) = watching(Mqtt::new(config(&broker), 1), &bindings).await;
    let text = "the broker has refused the subscription to secret/#: not authorized";
    assert_eq!(seen.text(0), Some(text));
    broker.publish("open", "1", ONE, false);
    seen.until(&mut driver, |seen| seen.is(1, &Value::number(1.0))).await;
}

#[tokio::test]
async fn values_are_written_by_publishing_and_confirmed_by_what_comes_back() {
    let broker = Broker::start().await;
    broker.echo("set/2", "state/2");
    // A value that was retained before is no answer.
    broker.publish("state/3", "9", ONE, true);
    let bindings = [
        binding(0, Kind::Number, "", "set/0?payload={\"v\":{value}}&qos=2&retain=true"),
        binding(1, Kind::Str, "", "set/1?qos=0"),
        binding(2, Kind::Number, "", "set/2?confirm=state/2"),
        binding(3, Kind::Number, "", "set/3?confirm=state/3"),
        binding(4, Kind::Number, "x", ""),
    ];
    let mut config = config(&broker);
    config.response_timeout = Duration::from_millis(300);
    let (mut driver, mut seen) = watching(Mqtt::new(config, 1), &bindings).await;
    let values = [Value::number(1.5), Value::str("x y"), Value::number(2.0), Value::number(9.0)];
    let mut writes: Vec<_> =
        (0..).zip(values).map(|(at, value)| Write::new(key(at), value)).collect();
    writes.push(Write::new(key(4), Value::number(1.0)));
    writes.push(Write::new(key(0), Value::Null));
    let mut into = Readings::new();
    driver.write(&writes, &mut into).await.unwrap();
    seen.take(&mut into);
    let log: Vec<_> = broker
        .log()
        .into_iter()
        .map(|it| (it.topic, it.payload, it.qos as u8, it.retain))
        .collect();
    let expected = [
        ("set/0", r#"{"v":1.5}"#, 2, true),
        ("set/1", "x y", 0, false),
        ("set/2", "2", 1, false),
        ("set/3", "9", 1, false),
    ];
    let expected = expected
        .map(|(topic, payload, qos, retain)| (topic.to_owned(), payload.to_owned(), qos, retain));
    assert_eq!(log, expected);
    assert_eq!(seen.values.len(), 2, "{:?}", seen.values);
    assert_eq!(seen.text(3), Some("the value did not come back on state/3 within 300ms"));
    assert_eq!(seen.text(4), Some("there is no address to write to"));
}

#[tokio::test]
async fn a_broker_that_does_not_acknowledge_fails_the_write_alone() {
    let broker = Broker::start().await;
    let mut config = config(&broker);
    config.response_timeout = Duration::from_millis(100);
    let bindings = [binding(0, Kind::Number, "a", "set")];
    let (mut driver, mut seen) = watching(Mqtt::new(config, 1), &bindings).await;
    broker.mute();
    let mut into = Readings::new();
    driver.write(&[Write::new(key(0), Value::number(1.0))], &mut into).await.unwrap();
    seen.take(&mut into);
    assert_eq!(seen.text(0), Some("the broker did not acknowledge within 100ms"));
    broker.publish("a", "5", ONE, false);
    seen.until(&mut driver, |seen| seen.is(0, &Value::number(5.0))).await;
}

#[tokio::test]
async fn a_last_will_takes_the_points_down_and_its_end_brings_them_back() {
    let broker = Broker::start().await;
    let mut config = config(&broker);
    let availability = "topic = 'plc/status'\nvalue = '/s'\ndown = 'gone'";
    config.availability = Some(toml::from_str(availability).unwrap());
    let bindings = [binding(0, Kind::Number, "plc/a", ""), binding(1, Kind::Number, "plc/b", "")];
    let (mut driver, mut seen) = watching(Mqtt::new(config, 1), &bindings).await;
    broker.publish("plc/a", "1", ONE, false);
    seen.until(&mut driver, |seen| seen.is(0, &Value::number(1.0))).await;
    broker.publish("plc/status", r#"{"s":"gone"}"#, ONE, false);
    // What is still on its way, or retained, does not make it look alive.
    broker.publish("plc/b", "2", ONE, false);
    broker.publish("plc/status", r#"{"s":"something"}"#, ONE, false);
    seen.until(&mut driver, |seen| seen.text(0).is_some() && seen.text(1).is_some()).await;
    assert_eq!(seen.values[&0], Err((FaultKind::Down, "plc/status says gone".to_owned())));
    broker.publish("plc/status", r#"{"s":"online"}"#, ONE, false);
    seen.until(&mut driver, |seen| {
        seen.is(0, &Value::number(1.0)) && seen.is(1, &Value::number(2.0))
    })
    .await;
}

#[tokio::test]
async fn connectors_that_say_the_same_share_one_session() {
    let broker = Broker::start().await;
    let mut registry = Registry::default();
    register(&mut registry);
    let id = |text: &str| text.parse::<Id>().unwrap();
    let make = |name: &str, extra: &[(&str, serde_json::Value)]| {
        let mut config =
            serde_json::json!({"uri": format!("mqtt://{}", broker.addr()), "client_id": "gw"});
        for (name, value) in extra {
            config[*name] = value.clone();
        }
        registry.make("mqtt", config, &pointstream_conn::Context::new(id(name), 1)).unwrap()
    };
    let drivers = [
        make("a", &[]),
        make("b", &[("qos", 0.into())]),
        make("c", &[("keep_alive", "5s".into())]),
    ];
    let seen = std::sync::Arc::new(Views::default());
    let mut tasks = tokio::task::JoinSet::new();
    let mut handles = Vec::new();
    for (driver, name) in drivers.into_iter().zip(["a", "b", "c"]) {
        let config = pointstream_conn::ConnConfig::new(id(name), handles.len() as u32);
        let follower = std::sync::Arc::new(View(name, seen.clone()));
        let clock = pointstream_conn::Clock::start();
        let (shell, handle) = pointstream_conn::Shell::new(config, driver, follower, clock);
        tasks.spawn(shell.run());
        handle.pin("test").await;
        handles.push(handle);
    }
    let status = |name: &str| seen.0.lock().unwrap().get(name).cloned().unwrap_or_default();
    let wait = async {
        while status("a").0 != Status::Ok
            || status("b").0 != Status::Ok
            || status("c").0 != Status::Fault
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait).await.unwrap();
    assert_eq!(broker.connected(), 1);
    assert_eq!(
        status("c").1,
        "another connector has this client_id at this broker, with other options"
    );
    drop(handles);
    while tasks.join_next().await.is_some() {}
    broker.until_connected(0).await;
}

#[derive(Default)]
struct Views(std::sync::Mutex<BTreeMap<&'static str, (Status, String)>>);

struct View(&'static str, std::sync::Arc<Views>);

impl pointstream_conn::Follower for View {
    fn on_changes(&self, _: &std::sync::Arc<pointstream_conn::Changes>) {}

    fn on_conn(&self, view: &pointstream_conn::ConnView) {
        let text = view.err.as_deref().unwrap_or_default().to_owned();
        self.1.0.lock().unwrap().insert(self.0, (view.status, text));
    }
}

/// Numbers are published without a break while the way is cut again and again: the points get each
/// of them, once, in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_message_is_lost_or_doubled_however_often_the_way_is_cut() {
    for version in [Version::V3_1_1, Version::V5] {
        let broker = Broker::start().await;
        let proxy = Proxy::start(broker.addr()).await.unwrap();
        let uri = format!("mqtt://{}", proxy.addr()).parse().unwrap();
        let config = Config::new(uri).with_version(version).with_client_id("gw");
        let bindings = [binding(0, Kind::Number, "n", "")];
        let (mut driver, mut seen) = watching(Mqtt::new(config, 1), &bindings).await;
        let mut next = 0;
        for round in 0..30 {
            for _ in 0..50 {
                broker.publish("n", &next.to_string(), ONE, false);
                next += 1;
            }
            // Some of it is taken, some not, some is under way.
            let enough = seen.all.len() + round % 40;
            seen.until(&mut driver, |seen| seen.all.len() >= enough).await;
            proxy.set(Weather::Cut);
            let mut into = Readings::new();
            while driver.event(&mut into).await.is_ok() {}
            seen.take(&mut into);
            driver.close().await;
            proxy.set(Weather::Fair);
            let reopened = async {
                while driver.open(&mut into).await.is_err() {
                    driver.close().await;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(10), reopened).await.unwrap();
            driver.watch(&[key(0)], &mut into).await.unwrap();
            seen.take(&mut into);
        }
        seen.until(&mut driver, |seen| seen.all.len() >= next).await;
        let expected: Vec<_> = (0..next).map(|n| (0, Value::number(n as f64))).collect();
        assert_eq!(seen.all, expected, "{version:?}");
        assert_eq!(broker.subscribes(), ["n"], "the session was resumed each time");
    }
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_down() {
    let broker = Broker::start().await;
    let config = config(&broker);
    let addr = broker.addr();
    drop(broker);
    let mut driver = Mqtt::new(config, 1);
    let error = driver.open(&mut Readings::new()).await.unwrap_err();
    assert!(
        matches!(&error, OpError::Session(fault) if fault.kind() == FaultKind::Down),
        "{error:?}"
    );
    assert!(error.to_string().contains(&addr.to_string()), "{error}");
}
