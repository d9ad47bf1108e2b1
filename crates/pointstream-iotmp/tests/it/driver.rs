//! The driver against a device on loopback, and its page.

use core::time::Duration;
use std::sync::{Arc, Mutex};

use pointstream_conn::{Binding, Driver, Reading, Readings, Write};
use pointstream_iotmp::io::{Client, Status, Target};
use pointstream_iotmp::server::{Options, Server};
use pointstream_iotmp::session::Credentials;
use pointstream_iotmp::{Config, Iotmp};
use pointstream_point::{Kind, LearnPath, PointKey, Value};
use pointstream_test::conformance::{self, Points};
use serde_json::{Value as Json, json};

use crate::server::{Running, spawn};

fn key(slot: u32) -> PointKey {
    PointKey { shard: 1, slot, generation: 1 }
}

fn binding(slot: u32, kind: Kind, cur: &str, write: Option<&str>) -> Binding {
    let mut binding = Binding::new(key(slot), kind);
    (binding.cur, binding.write) = (Some(cur.into()), write.map(Into::into));
    binding
}

/// A device with values that stay as they are written.
async fn device(running: &Running) {
    let state = Arc::new(Mutex::new(json!({ "level": 5, "on": false })));
    let target = Target::tcp("127.0.0.1", running.addr.port()).unwrap();
    let client = Client::new(target, Credentials::new("user1", "boiler", "secret123"))
        .output("temperature", || 21.5)
        .output("weather", || json!({ "celsius": 21.5, "wind": { "ms": 3 }, "sky": "clear" }))
        .both("led", move |wanted: Json| {
            let mut state = state.lock().unwrap();
            for (name, value) in wanted.as_object().into_iter().flatten() {
                state[name] = value.clone();
            }
            Ok(state.clone())
        })
        .action("reboot", || ());
    let handle = client.handle();
    spawn(client.run(core::future::pending()));
    handle.status().wait_for(|status| *status == Status::Connected).await.unwrap();
    // What it gave last is what it shows.
    let led = running.device("boiler");
    let first = pointstream_iotmp::Payload::new(&json!({})).unwrap();
    led.run("led", Some(first)).await.unwrap();
}

fn config() -> Config {
    let config = json!({
        "user": "user1", "device": "boiler", "credential": "secret123", "interval": "1s",
    });
    serde_json::from_value(config).unwrap()
}

#[tokio::test]
async fn the_driver_conforms() {
    let running = Running::start(Options::default()).await;
    device(&running).await;
    let readable = vec![
        binding(0, Kind::Number, "temperature", None),
        binding(1, Kind::Number, "weather#/wind/ms", None),
        binding(2, Kind::Str, "weather#/sky@0s", None),
        binding(3, Kind::Number, "led#/level", Some("led#/level")),
        binding(4, Kind::Bool, "led#/on", Some("led#/on")),
    ];
    let writes = vec![
        Write::new(readable[3].key, Value::number(7.0)),
        Write::new(readable[4].key, Value::Bool(true)),
    ];
    let bad = binding(9, Kind::Number, "weather#celsius", None);
    let points = Points::new(readable).with_writes(writes).with_bad(bad);
    let make = || Iotmp::new(config(), running.devices.clone());
    let run = conformance::driver(make, &points);
    tokio::time::timeout(Duration::from_secs(60), run).await.unwrap();
    running.end().await;
}

#[tokio::test]
async fn a_device_is_learned_by_its_descriptions() {
    let running = Running::start(Options::default()).await;
    device(&running).await;
    let mut driver = Iotmp::new(config(), running.devices.clone());
    driver.open(&mut Readings::new()).await.unwrap();
    let root = driver.learn(None).await.unwrap();
    let names: Vec<_> = root.iter().map(|row| &*row.dis).collect();
    assert_eq!(names, ["led", "reboot", "temperature", "weather"]);
    let mut rows = Vec::new();
    for name in names {
        let path = LearnPath::new(name).unwrap();
        for row in driver.learn(Some(&path)).await.unwrap() {
            rows.push((row.cur.unwrap().to_string(), row.kind, row.write.is_some()));
        }
    }
    let row = |cur: &str, kind, write| (cur.to_owned(), Some(kind), write);
    assert_eq!(
        rows,
        [
            row("led#/level", Kind::Number, true),
            row("led#/on", Kind::Bool, true),
            row("temperature", Kind::Number, false),
            row("weather#/celsius", Kind::Number, false),
            row("weather#/sky", Kind::Str, false),
            row("weather#/wind/ms", Kind::Number, false),
        ]
    );
    driver.close().await;
    running.end().await;
}

#[tokio::test]
async fn what_a_device_kept_is_of_the_past_and_the_present_follows() {
    let server = Server::new(Options::default());
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let target = Target::tcp("127.0.0.1", free.port()).unwrap();
    let mut number = 0u64;
    let client = Client::new(target, Credentials::new("user1", "boiler", "secret123"));
    let client = client.output("n", move || {
        number += 1;
        number
    });
    let handle = client.handle();
    spawn(client.run(core::future::pending()));
    for _ in 0..3 {
        handle.raise("n").await.unwrap();
    }
    while handle.kept() < 3 {
        tokio::task::yield_now().await;
    }
    let mut server = server;
    let addr = server.listen(free).await.unwrap();
    let running = Running::run(server, addr, ());
    let mut driver = Iotmp::new(config(), running.devices.clone());
    let mut into = Readings::new();
    driver.bind(&[binding(0, Kind::Number, "n@0s", None)], &mut into);
    driver.open(&mut into).await.unwrap();
    driver.watch(&[key(0)], &mut into).await.unwrap();
    let mut told = Vec::new();
    while told.len() < 4 {
        driver.event(&mut into).await.unwrap();
        told.extend(into.drain());
    }
    let now = jiff::Timestamp::now();
    for (reading, expected) in told.iter().zip([1.0, 2.0, 3.0]) {
        let Reading::Past(_, Ok(item)) = reading else { panic!("{reading:?}") };
        assert_eq!(item.val, Value::number(expected));
        assert!(now.duration_since(item.ts).abs() < jiff::SignedDuration::from_mins(5), "{item:?}");
    }
    assert_eq!(told[3], Reading::Cur(key(0), Ok(Value::number(4.0))));
    driver.close().await;
    running.end().await;
}

const PAGE: &str = include_str!("../../../../docs/drivers/iotmp.md");

/// What the framework takes from a connector before the driver sees the rest.
const FRAMEWORK: [&str; 9] =
    ["id", "kind", "tuning", "points", "point", "disabled", "dis", "open_retry", "linger"];

#[test]
fn every_sample_of_the_page_configures_a_driver() {
    let devices = Server::new(Options::default()).devices();
    let mut samples = 0;
    for block in PAGE.split("```toml\n").skip(1) {
        let file: toml::Table = block.split("```").next().unwrap().parse().unwrap();
        for connector in file["connector"].as_array().unwrap() {
            let connector = connector.as_table().unwrap();
            assert_eq!(connector["kind"].as_str(), Some("iotmp"));
            let own: toml::Table = connector
                .iter()
                .filter(|(name, _)| !FRAMEWORK.contains(&name.as_str()))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            let config: Config = own.try_into().unwrap();
            assert!(!format!("{config:?}").contains("not this one"));
            let mut driver = Iotmp::new(config, devices.clone());
            let mut into = Readings::new();
            let points = connector.get("point").and_then(|points| points.as_array());
            for (slot, point) in (0..).zip(points.into_iter().flatten()) {
                let text = |name| point.get(name).and_then(|value| value.as_str());
                let kind: Kind = text("kind").unwrap().parse().unwrap();
                let binding = binding(slot, kind, text("cur").unwrap(), text("write"));
                driver.bind(&[binding], &mut into);
            }
            assert!(into.is_empty(), "{into:?}");
            samples += 1;
        }
    }
    assert!(samples > 0, "the page has no sample");
}
