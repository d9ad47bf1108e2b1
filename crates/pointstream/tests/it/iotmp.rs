//! The gateway with an IOTMP device that connects to it on loopback.

use core::time::Duration;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use pointstream::conn::Registry;
use pointstream::hub::Mode;
use pointstream::iotmp::io::{Client, Options, Target};
use pointstream::iotmp::session::Credentials;
use pointstream::point::{Kind, PointSpec, Value};
use pointstream::{Config, ConnectorConfig, Gateway, iotmp};
use tokio::task::JoinSet;

use crate::bench::{Reader, id, level};

fn point(name: &str, kind: Kind, cur: &str, write: Option<&str>) -> PointSpec {
    let mut spec = PointSpec::new(id(name), kind);
    (spec.cur, spec.write) = (Some(cur.into()), write.map(Into::into));
    spec
}

#[tokio::test]
async fn a_devices_resources_are_points_that_change_by_streams_and_are_written() {
    // A port that is free; another program may take it before it is listened on.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut connector = ConnectorConfig::new(id("boiler"), "iotmp")
        .with("listen", free.to_string())
        .with("user", "ada")
        .with("device", "boiler")
        .with("credential", "s3cret")
        .with("interval", "0s")
        .with("connect_timeout", "500ms")
        .with_point(point("boiler.temp", Kind::Number, "weather#/celsius", None))
        .with_point(point("boiler.on", Kind::Bool, "on", Some("on")));
    connector.open_retry = Duration::from_secs(1);
    let mut registry = Registry::new();
    iotmp::register(&mut registry);
    let mut gateway = Gateway::new(registry);
    gateway.apply(Config::new().with_connector(connector)).await.unwrap();
    let mut reader = Reader::new(gateway.hub().subscribe("plant", Mode::Patch, None).unwrap());
    reader.until("boiler.temp", "status", "down").await;
    let (celsius, on) = (Arc::new(AtomicU32::new(20)), Arc::new(Mutex::new(None)));
    let (read, written) = (Arc::clone(&celsius), Arc::clone(&on));
    let target = Target::tcp("127.0.0.1", free.port()).unwrap();
    let fast = Duration::from_millis(50);
    let client = Client::new(target, Credentials::new("ada", "boiler", "s3cret"))
        .with_options(Options::default().with_retry(fast, fast))
        .output("weather", move || serde_json::json!({ "celsius": read.load(Ordering::Relaxed) }))
        .input("on", move |value: bool| *written.lock().unwrap() = Some(value));
    let handle = client.handle();
    let mut tasks = JoinSet::new();
    tasks.spawn(client.run(core::future::pending()));
    reader.until("boiler.temp", "val", 20).await;
    celsius.store(33, Ordering::Relaxed);
    handle.raise("weather").await.unwrap();
    reader.until("boiler.temp", "val", 33).await;
    gateway.write(&id("boiler.on"), level(16, Value::Bool(true))).await.unwrap();
    assert_eq!(*on.lock().unwrap(), Some(true));
    reader.until("boiler.on", "val", true).await;
    // A device that leaves takes its points down.
    tasks.shutdown().await;
    reader.until("boiler.temp", "status", "down").await;
}
