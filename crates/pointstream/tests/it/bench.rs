//! A gateway with fake devices, and a reader of a topic.

use core::time::Duration;
use std::sync::Arc;

use pointstream::conn::{Features, Learn, Registry};
use pointstream::hub::{EventKind, Mode, Subscription};
use pointstream::patch::{Limits, apply};
use pointstream::point::{Id, Kind, Level, LevelWrite, PointSpec, Tuning, Value};
use pointstream::{Config, ConnectorConfig, Gateway};
use pointstream_test::FakeDevice;

/// What the drivers of fake devices can do.
const FEATURES: Features =
    Features::NONE.with_poll().with_write().with_learn(Learn::Session).with_history();

pub(crate) fn id(text: &str) -> Id {
    text.parse().unwrap()
}

/// A value for a level of a priority array.
pub(crate) fn level(level: u8, val: Value) -> LevelWrite {
    LevelWrite::new(Level::new(level).unwrap(), val, "test")
}

/// A readable and writable point of the fake device.
pub(crate) fn point(name: &str) -> PointSpec {
    let mut spec = PointSpec::new(id(name), Kind::Number);
    (spec.cur, spec.write) = (Some(name.into()), Some(name.into()));
    spec
}

/// A connector to the fake device `name`, with points of these names.
pub(crate) fn connector(name: &str, points: &[&str]) -> ConnectorConfig {
    let connector = ConnectorConfig::new(id(name), "fake").with("device", name);
    points.iter().fold(connector, |connector, name| connector.with_point(point(name)))
}

pub(crate) fn config(connectors: impl IntoIterator<Item = ConnectorConfig>) -> Config {
    let tuning = Tuning::default().with_poll_time(Duration::from_secs(1));
    let config = Config::new().with_tuning(id("default"), tuning);
    connectors.into_iter().fold(config, Config::with_connector)
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct FakeConfig {
    device: String,
    #[expect(dead_code, reason = "a test changes it to make the connector another one")]
    mark: Option<u32>,
}

/// A gateway that knows the devices `a` and `b`.
pub(crate) struct Bench {
    pub(crate) gateway: Gateway,
    pub(crate) a: FakeDevice,
    pub(crate) b: FakeDevice,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let (a, b) = (FakeDevice::new(), FakeDevice::new());
        let devices = Arc::new([("a", a.clone()), ("b", b.clone())]);
        let mut registry = Registry::new();
        for kind in ["fake", "other"] {
            let devices = Arc::clone(&devices);
            registry.register(kind, move |config: FakeConfig, _| {
                let device = devices.iter().find(|(name, _)| *name == config.device).unwrap();
                Ok(device.1.driver(FEATURES))
            });
        }
        Self { gateway: Gateway::new(registry), a, b }
    }

    pub(crate) fn reader(&self, topic: &str) -> Reader {
        Reader::new(self.gateway.hub().subscribe(topic, Mode::Patch, None).unwrap())
    }
}

/// A subscriber that keeps its document by applying what it is sent, as a client does.
pub(crate) struct Reader {
    subscription: Subscription,
    pub(crate) document: serde_json::Value,
}

impl Reader {
    pub(crate) fn new(subscription: Subscription) -> Self {
        Self { subscription, document: serde_json::Value::Null }
    }

    /// Takes the next event; `false` if the topic has ended.
    pub(crate) async fn next(&mut self) -> bool {
        let Some(Ok(event)) = self.subscription.next().await else { return false };
        let text = match event.kind() {
            EventKind::Data => String::from_utf8(event.body().to_vec()).unwrap(),
            EventKind::Patch => {
                let document = self.document.to_string();
                apply(document.as_bytes(), &event.body(), &Limits::default()).unwrap()
            }
            other => panic!("an event of kind {other:?}"),
        };
        self.document = serde_json::from_str(&text).unwrap();
        true
    }

    /// Reads on, in virtual or real time, until a member of a point has a value.
    pub(crate) async fn until(
        &mut self,
        point: &str,
        member: &str,
        value: impl Into<serde_json::Value>,
    ) {
        let value = value.into();
        let wait = async {
            while self.document[point][member] != value {
                assert!(self.next().await, "the topic ended");
            }
        };
        let limit = Duration::from_secs(60);
        assert!(
            tokio::time::timeout(limit, wait).await.is_ok(),
            "{point}.{member} never became {value}: {}",
            self.document
        );
    }
}

/// A gateway with as many devices as wanted, named `d0`, `d1` and so on, of a point each.
pub(crate) struct Farm {
    pub(crate) gateway: Gateway,
    pub(crate) devices: Vec<FakeDevice>,
}

impl Farm {
    pub(crate) async fn new(devices: usize, configure: impl Fn(&mut ConnectorConfig)) -> Self {
        let devices: Vec<_> = (0..devices).map(|_| FakeDevice::new()).collect();
        let mut registry = Registry::new();
        let known = devices.clone();
        registry.register("fake", move |config: FakeConfig, _| {
            let at: usize = config.device[1..].parse().unwrap();
            Ok(known[at].driver(FEATURES))
        });
        let mut gateway = Gateway::new(registry);
        let connectors = (0..devices.len()).map(|at| {
            let name = format!("d{at}");
            devices[at].set(&format!("{name}.p"), number(0.0));
            let mut connector = connector(&name, &[&format!("{name}.p")]);
            configure(&mut connector);
            connector
        });
        let config = config(connectors);
        gateway.apply(config).await.unwrap();
        Self { gateway, devices }
    }
}

pub(crate) fn number(number: f64) -> Value {
    Value::number(number)
}
