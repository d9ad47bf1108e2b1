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

/// A gateway on a free port, with a device that its connector lets in.
#[cfg(all(feature = "http", feature = "store"))]
mod served {
    use pointstream::IotmpServices;
    use pointstream::iotmp::io::{Handle, HandleError};
    use pointstream::net::ws::{DialOptions, Kind as Frame, dial_ws};
    use serde_json::{Value as Json, json};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::history::Folder;
    use crate::web::Web;

    const BASE: &str = "/v3/users/ada/devices/boiler/resources";

    struct Plant {
        gateway: Gateway,
        device: Handle,
        _tasks: JoinSet<()>,
    }

    fn config(folder: &Folder, port: u16, endpoint: Option<&str>) -> Config {
        let mut celsius = point("boiler.celsius", Kind::Number, "weather#/celsius", None);
        celsius.more.his = Some("log#/celsius".into());
        let mut mode = point("boiler.mode", Kind::Str, "mode", None);
        mode.more.his = Some("log#/mode".into());
        let mut connector = ConnectorConfig::new(id("boiler"), "iotmp")
            .with("listen", format!("127.0.0.1:{port}"))
            .with("user", "ada")
            .with("device", "boiler")
            .with("credential", "s3cret")
            .with("interval", "0s")
            .with_point(celsius)
            .with_point(mode);
        if let Some(url) = endpoint {
            let headers = json!({ "authorization": "Bearer 7" });
            let alarm = json!({ "alarm": { "url": url, "headers": headers } });
            connector = connector.with("endpoint", alarm);
        }
        let mut config = Config::new().with_connector(connector);
        config.listen = Some("127.0.0.1:0".to_owned());
        config.store = Some(folder.0.join("gateway.redb"));
        config
    }

    impl Plant {
        async fn start(folder: &Folder, endpoint: Option<&str>) -> Self {
            let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let mut registry = Registry::new();
            let services = IotmpServices::register(&mut registry);
            let mut gateway = Gateway::new(registry).with_iotmp(services);
            gateway.apply(config(folder, free.port(), endpoint)).await.unwrap();
            // Somebody watches, so that the connector is open.
            let mut reader =
                Reader::new(gateway.hub().subscribe("plant", Mode::Patch, None).unwrap());
            let fast = Duration::from_millis(50);
            let client = Client::new(
                Target::tcp("127.0.0.1", free.port()).unwrap(),
                Credentials::new("ada", "boiler", "s3cret"),
            )
            .with_options(Options::default().with_retry(fast, fast))
            .output("weather", || json!({ "celsius": 20.5 }))
            .output("mode", || "eco")
            .both("on", |value: bool| Ok(value));
            let device = client.handle();
            let mut tasks = JoinSet::new();
            tasks.spawn(client.run(core::future::pending()));
            reader.until("boiler.celsius", "val", 20.5).await;
            tasks.spawn(async move { while reader.next().await {} });
            Self { gateway, device, _tasks: tasks }
        }
    }

    fn code<T: core::fmt::Debug>(result: Result<T, HandleError>) -> Option<u64> {
        match result {
            Err(HandleError::Refused(answer)) => answer.code(),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn what_a_device_keeps_at_the_gateway_is_in_its_store() {
        let folder = Folder::new("iotmp");
        for round in 1..3 {
            let Plant { gateway, device, _tasks } = Plant::start(&folder, None).await;
            if round == 1 {
                assert_eq!(code(device.read_property::<Json>("limits").await), Some(404));
                device.set_property("limits", &json!({ "max": 80.5 })).await.unwrap();
            }
            let limits: Json = device.read_property("limits").await.unwrap();
            assert_eq!(limits, json!({ "max": 80.5 }));
            assert_eq!(
                code(device.write_bucket("none", &json!({ "celsius": 1 })).await),
                Some(404)
            );
            let wrong = device.write_bucket("log", &json!({ "celsius": "warm" })).await;
            assert_eq!(code(wrong), Some(400));
            // Precise to a second, so that each round is an item of its own or takes the last one's
            // place.
            let value = json!({ "celsius": 20.0 + f64::from(round), "mode": "eco" });
            device.write_bucket("log", &value).await.unwrap();
            let history = gateway.history().unwrap();
            let last = history.last("boiler.celsius").unwrap().unwrap();
            assert_eq!(last.val, Value::number(20.0 + f64::from(round)));
            assert_eq!(history.last("boiler.mode").unwrap().unwrap().val, Value::str("eco"));
            let web = Web::of(&gateway).await;
            let told = web.get("/v1/points/boiler.celsius/his").await;
            assert!(told.body.contains(&format!("2{round}")), "{told:?}");
            web.stop().await;
            drop(device);
            gateway.shutdown().await;
        }
    }

    #[tokio::test]
    async fn the_endpoints_of_a_connector_are_called_by_name_and_by_nobody_else() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/new?key=hidden", listener.local_addr().unwrap());
        let folder = Folder::new("iotmp-endpoint");
        let plant = Plant::start(&folder, Some(&url)).await;
        let told = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut heard = Vec::new();
            while !heard.ends_with(b"}") {
                stream.read_buf(&mut heard).await.unwrap();
            }
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{\"id\": 7}";
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(heard).unwrap()
        };
        let value = iotmp::Payload::new(&json!({ "why": "hot" })).unwrap();
        let (answer, told) = tokio::join!(plant.device.call_endpoint("alarm", Some(value)), told);
        assert_eq!(answer.unwrap().unwrap().value().to_json(), json!({ "id": 7 }));
        assert!(told.starts_with("POST /new?key=hidden HTTP/1.1\r\n"), "{told}");
        assert!(told.to_lowercase().contains("authorization: bearer 7"), "{told}");
        assert!(told.ends_with(r#""payload":{"why":"hot"},"user":"ada"}"#), "{told}");
        assert_eq!(code(plant.device.call_endpoint("other", None).await), Some(404));
        plant.gateway.shutdown().await;
    }

    #[tokio::test]
    async fn the_resources_of_devices_are_on_the_gateways_own_listener() {
        let folder = Folder::new("iotmp-http");
        let plant = Plant::start(&folder, None).await;
        let web = Web::of(&plant.gateway).await;
        assert_eq!(web.get("/v3/users/ada/devices").await.json(), json!(["boiler"]));
        assert_eq!(web.get(BASE).await.json()["weather"]["fn"], 3);
        let weather = web.get(&format!("{BASE}/weather")).await;
        assert_eq!((weather.status, weather.json()), (200, json!({ "celsius": 20.5 })));
        // The guard of the gateway stands before these routes as well.
        assert!(weather.head.contains("x-content-type-options"), "{}", weather.head);
        let on = web.post(&format!("{BASE}/on"), "true").await;
        assert_eq!((on.status, on.json()), (200, json!(true)));
        assert_eq!(web.get("/v3/users/ada/devices/pump/resources/x").await.status, 404);
        let path = format!("{BASE}/weather?interval=1");
        let heard = web.follow(&path, |text| text.contains("20.5")).await;
        assert!(heard.contains("text/event-stream") && heard.contains("data: {"), "{heard}");
        let url = |path: &str| format!("ws://{}{path}", web.addr()).parse().unwrap();
        let options = DialOptions::default();
        let limit = Duration::from_secs(5);
        let mut one = dial_ws(&url(&format!("{BASE}/weather")), &options, limit).await.unwrap();
        let message = one.recv().await.unwrap().unwrap();
        assert_eq!(&message.data[..], br#"{"celsius":20.5}"#);
        let mut all = dial_ws(&url(BASE), &options, limit).await.unwrap();
        let wish = br#"{"resource":"weather","interval":1,"enabled":true}"#;
        all.send(Frame::Text, wish).await.unwrap();
        let message = all.recv().await.unwrap().unwrap();
        assert_eq!(&message.data[..], br#"{"data":{"celsius":20.5},"resource":"weather"}"#);
        // An open WebSocket does not keep the server from ending.
        web.stop().await;
        plant.gateway.shutdown().await;
    }

    #[tokio::test]
    async fn a_configuration_that_is_checked_or_changed_locks_nobody_out() {
        let folder = Folder::new("iotmp-again");
        let mut plant = Plant::start(&folder, None).await;
        let mut config = plant.gateway.config().clone();
        plant.gateway.check(&config).unwrap();
        let fault = {
            let mut bad = config.clone();
            let endpoint = json!({ "alarm": { "url": "ftp://u:hidden@x/" } });
            bad.connectors[0] = bad.connectors[0].clone().with("endpoint", endpoint);
            plant.gateway.check(&bad).unwrap_err().to_string()
        };
        assert!(fault.contains("alarm") && !fault.contains("hidden"), "{fault}");
        config.connectors[0] = config.connectors[0].clone().with("interval", "1s");
        let applied = plant.gateway.apply(config).await.unwrap();
        assert_eq!(applied.replaced, [id("boiler")]);
        let mut status = plant.device.status();
        let connected = iotmp::io::Status::Connected;
        let waited = status.wait_for(|status| *status == connected);
        tokio::time::timeout(Duration::from_secs(30), waited).await.unwrap().unwrap();
        plant.device.set_property("a", &1).await.unwrap();
        plant.gateway.shutdown().await;
    }
}
