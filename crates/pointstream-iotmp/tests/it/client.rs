//! A device in Rust against the server, on loopback.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use pointstream_iotmp::io::{
    Client, Handle, HandleError, Options as ClientOptions, ResourceError, Status, Target,
};
use pointstream_iotmp::server::{
    CallError, DeviceId, Event as Told, Options, ServiceError, Services, Update, Values,
};
use pointstream_iotmp::session::Credentials;
use pointstream_iotmp::{Dialect, Payload, Tree};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::server::{Running, spawn};

/// A client that runs until it is told to end.
struct Device {
    handle: Handle,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Device {
    fn start(client: Client) -> Self {
        let handle = client.handle();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = spawn(client.run(async { drop(stopped.await) }));
        Self { handle, stop, task }
    }

    async fn connected(&self) {
        let mut status = self.handle.status();
        status.wait_for(|status| *status == Status::Connected).await.unwrap();
    }

    async fn end(self) {
        drop(self.stop);
        self.task.await.unwrap();
        assert_eq!(*self.handle.status().borrow(), Status::Ended);
        assert_eq!(self.handle.raise("x").await, Err(HandleError::Ended));
    }
}

fn client(port: u16, device: &str) -> Client {
    let fast = Duration::from_millis(20);
    Client::new(
        Target::tcp("127.0.0.1", port).unwrap(),
        Credentials::new("user1", device, "secret123"),
    )
    .with_options(ClientOptions::default().with_retry(fast, fast))
}

async fn value(values: &mut Values) -> Tree {
    match values.next().await {
        Update::Value(sample) => Tree::from(sample.value.value()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn resources_by_closures_are_described_run_and_streamed_in_every_dialect() {
    for dialect in [Dialect::Iotmp2, Dialect::Iotmp1, Dialect::Old] {
        let running = Running::start(Options::default()).await;
        let led = Arc::new(Mutex::new(false));
        let lit = Arc::clone(&led);
        let mut counter = 0u32;
        let client = client(running.addr.port(), "boiler")
            .with_options(ClientOptions::default().with_dialect(dialect))
            .action("reboot", || ())
            .input("led", move |on: bool| *lit.lock().unwrap() = on)
            .output("count", move || {
                counter += 1;
                counter
            })
            .both("half", |number: f64| match number {
                0.0 => Err(ResourceError::new(422, "nothing to halve")),
                number => Ok(BTreeMap::from([("half", number / 2.0)])),
            });
        let device = Device::start(client);
        device.connected().await;
        let remote = running.device("boiler");
        assert_eq!(remote.run("reboot", None).await, Ok(None));
        let on = Payload::of(&true).unwrap();
        assert_eq!(remote.run("led", Some(on)).await, Ok(None));
        assert!(*led.lock().unwrap());
        let half = remote.run("half", Some(Payload::of(&5.0).unwrap())).await.unwrap().unwrap();
        assert_eq!(Tree::from(half.value()), Tree::from([("half", 2.5f64.into())]));
        for (payload, code) in [(Payload::of(&0.0), 422), (Payload::of("text"), 400)] {
            let Err(CallError::Refused(answer)) = remote.run("half", payload.ok()).await else {
                panic!("refused")
            };
            assert_eq!(answer.code(), Some(code));
        }
        let list = remote.describe(None).await.unwrap().unwrap();
        let kinds: BTreeMap<String, BTreeMap<String, u8>> = list.to().unwrap();
        let kinds: Vec<_> =
            kinds.iter().map(|(name, about)| (name.as_str(), about["fn"])).collect();
        assert_eq!(kinds, [("count", 3), ("half", 4), ("led", 2), ("reboot", 1)]);
        let one = remote.describe(Some("half")).await.unwrap().unwrap();
        assert!(one.value().as_map().unwrap().get("out").is_some());
        assert_eq!(remote.describe(Some("reboot")).await, Ok(None));
        // The first value at once, further ones when they are raised.
        let mut counts = remote.stream("count", None).unwrap();
        let first = value(&mut counts).await;
        device.handle.raise("count").await.unwrap();
        assert_ne!(value(&mut counts).await, first);
        // Whoever follows an input is told when it is written.
        let mut leds = remote.stream("led", None).unwrap();
        assert_eq!(value(&mut leds).await, Tree::Bool(true));
        remote.run("led", Some(Payload::of(&false).unwrap())).await.unwrap();
        assert_eq!(value(&mut leds).await, Tree::Bool(false));
        drop((counts, leds));
        device.end().await;
        running.end().await;
    }
}

#[tokio::test]
async fn a_stream_has_its_interval() {
    let options = Options::default();
    let options =
        options.with_streams(options.streams.with_interval_min(Duration::from_millis(20)));
    let running = Running::start(options).await;
    let device = Device::start(client(running.addr.port(), "boiler").output("t", || 1.5));
    device.connected().await;
    let mut values = running.device("boiler").stream("t", Some(Duration::from_millis(20))).unwrap();
    let start = tokio::time::Instant::now();
    for _ in 0..5 {
        assert_eq!(value(&mut values).await, Tree::Float(1.5));
    }
    assert!(start.elapsed() >= Duration::from_millis(50), "{:?}", start.elapsed());
    drop(values);
    device.end().await;
    running.end().await;
}

#[tokio::test]
async fn what_is_raised_without_a_connection_comes_later_with_its_time() {
    let running = Running::start(Options::default()).await;
    let port = running.addr.port();
    let mut number = 0u64;
    let device = Device::start(client(port, "boiler").output("n", move || {
        number += 1;
        number
    }));
    device.connected().await;
    let mut values = running.device("boiler").stream("n", None).unwrap();
    assert_eq!(value(&mut values).await, Tree::Unsigned(1));
    let mut status = device.handle.status();
    running.end().await;
    status.wait_for(|status| *status != Status::Connected).await.unwrap();
    for _ in 0..5 {
        device.handle.raise("n").await.unwrap();
        // Nobody wants it.
        device.handle.raise("other").await.unwrap();
    }
    while device.handle.kept() < 5 {
        tokio::task::yield_now().await;
    }
    drop(values);
    let mut server = pointstream_iotmp::server::Server::new(Options::default());
    // The port may be taken meanwhile, which no other test does on purpose.
    let addr = server.listen(("127.0.0.1", port)).await.unwrap();
    let again = Running::run(server, addr, ());
    device.connected().await;
    let mut values = again.device("boiler").stream("n", None).unwrap();
    let mut last = None;
    for expected in 2..7 {
        let Update::Value(sample) = values.next().await else { panic!("a value") };
        assert_eq!(sample.value.value().as_u64(), Some(expected));
        assert!(sample.time_ms.is_some() && sample.seq > last);
        last = sample.seq;
    }
    // Behind it comes what is at present, and then what is raised.
    for expected in 7..9 {
        let Update::Value(sample) = values.next().await else { panic!("a value") };
        assert_eq!((sample.value.value().as_u64(), sample.time_ms), (Some(expected), None));
        device.handle.raise("n").await.unwrap();
    }
    assert_eq!((device.handle.kept(), device.handle.lost()), (0, 0));
    drop(values);
    device.end().await;
    again.end().await;
}

#[tokio::test]
async fn a_device_says_why_it_is_not_connected() {
    let running = Running::start(Options::default()).await;
    let wrong = Client::new(
        Target::tcp("127.0.0.1", running.addr.port()).unwrap(),
        Credentials::new("user1", "boiler", "wrong"),
    );
    let device = Device::start(wrong);
    let mut status = device.handle.status();
    let waiting = |status: &Status| matches!(status, Status::Waiting { .. });
    let Status::Waiting { error, .. } = status.wait_for(waiting).await.unwrap().clone() else {
        panic!("waiting")
    };
    assert!(error.contains("credentials"), "{error}");
    assert_eq!(device.handle.set_property("a", &1).await, Err(HandleError::Offline));
    device.end().await;
    let port = running.addr.port();
    running.end().await;
    let device = Device::start(client(port, "boiler"));
    let mut status = device.handle.status();
    let Status::Waiting { error, .. } = status.wait_for(waiting).await.unwrap().clone() else {
        panic!("waiting")
    };
    assert!(error.contains("127.0.0.1"), "{error}");
    device.end().await;
}

/// Properties and a bucket in memory, and an endpoint that says back what it is told.
#[derive(Default)]
struct Memory {
    properties: Mutex<BTreeMap<(DeviceId, String), Payload>>,
    bucket: Arc<Mutex<Vec<(String, Payload)>>>,
}

impl Services for Memory {
    async fn read_property(
        &self,
        id: &DeviceId,
        property: &str,
    ) -> Result<Option<Payload>, ServiceError> {
        let properties = self.properties.lock().unwrap();
        let value = properties.get(&(id.clone(), property.to_owned())).cloned();
        value.map(Some).ok_or(ServiceError::NotFound)
    }

    async fn set_property(
        &self,
        id: &DeviceId,
        property: &str,
        value: &Payload,
    ) -> Result<(), ServiceError> {
        let mut properties = self.properties.lock().unwrap();
        properties.insert((id.clone(), property.to_owned()), value.clone());
        Ok(())
    }

    async fn write_bucket(
        &self,
        _: &DeviceId,
        bucket: &str,
        value: &Payload,
    ) -> Result<(), ServiceError> {
        self.bucket.lock().unwrap().push((bucket.to_owned(), value.clone()));
        Ok(())
    }

    async fn call_endpoint(
        &self,
        _: &DeviceId,
        endpoint: &str,
        value: Option<&Payload>,
    ) -> Result<Option<Payload>, ServiceError> {
        match endpoint {
            "echo" => Ok(value.cloned()),
            "broken" => Err(ServiceError::Failed("it is broken".into())),
            _ => Err(ServiceError::NotFound),
        }
    }
}

#[tokio::test]
async fn a_device_uses_what_its_server_offers() {
    let services = Memory::default();
    let bucket = Arc::clone(&services.bucket);
    let mut running = Running::with(Options::default(), services).await;
    let port = running.addr.port();
    let one = Device::start(client(port, "one"));
    let two = Device::start(client(port, "two").both("add", |it: u64| Ok(it + 1)));
    one.connected().await;
    two.connected().await;
    let handle = &one.handle;
    let mut changes = handle.watch_property("limit").await.unwrap();
    // It is there when what was asked after it is answered.
    assert!(handle.read_property::<u8>("none").await.is_err());
    // Another device's property of the same name is another one.
    two.handle.set_property("limit", &1).await.unwrap();
    handle.set_property("limit", &80.5).await.unwrap();
    assert_eq!(handle.read_property::<f64>("limit").await, Ok(80.5));
    assert_eq!(changes.next().await.unwrap().value().as_f64(), Some(80.5));
    let missing = handle.read_property::<f64>("none").await;
    assert!(matches!(missing, Err(HandleError::Refused(answer)) if answer.code() == Some(404)));
    handle.write_bucket("log", &[1.5]).await.unwrap();
    assert_eq!(bucket.lock().unwrap()[0].0, "log");
    let echo = Payload::of("hello").unwrap();
    assert_eq!(handle.call_endpoint("echo", Some(echo.clone())).await, Ok(Some(echo)));
    let broken = handle.call_endpoint("broken", None).await;
    assert!(matches!(broken, Err(HandleError::Refused(answer)) if answer.code() == Some(502)));
    let sum = handle.call_device("two", "add", Some(Payload::of(&41).unwrap())).await;
    assert_eq!(sum.unwrap().unwrap().value().as_u64(), Some(42));
    let absent = handle.call_device("three", "add", None).await;
    assert!(matches!(absent, Err(HandleError::Refused(answer)) if answer.code() == Some(404)));
    let mut heard = two.handle.subscribe("plant/+").await.unwrap();
    // A subscription is there when its server has answered what was asked after it.
    assert!(two.handle.read_property::<u8>("none").await.is_err());
    handle.publish("plant/one", &[true], false).await.unwrap();
    let message = Tree::from(heard.next().await.unwrap().value());
    let payload = Tree::from([Tree::Bool(true)]);
    assert_eq!(message, Tree::from([("topic", "plant/one".into()), ("payload", payload)]));
    let called = running
        .until(|event| match event {
            Told::Called { id, service, target, ok, .. } if id.device == "one" && *ok => {
                Some((*service, target.clone(), *ok))
            }
            _ => None,
        })
        .await;
    assert_eq!(called, ("set_property", "limit".into(), true));
    one.end().await;
    two.end().await;
    running.end().await;
}
