use core::time::Duration;
use std::collections::BTreeMap;

use pointstream_conn::{Binding, Driver, OpError, Reading, Readings, Registry, Write};
use pointstream_mqtt::sparkplug::{
    DataType, EdgeConfig, EdgeEvent, EdgeNode, NodeId, Now, Quality, Value as Metric,
};
use pointstream_mqtt::{Config, Sparkplug, SparkplugConfig, register};
use pointstream_point::{Kind, PointKey, Status, Value};
use pointstream_test::conformance::{self, Points};

use super::broker::Broker;

fn key(slot: u32) -> PointKey {
    PointKey { shard: 1, slot, generation: 1 }
}

fn binding(slot: u32, kind: Kind, address: &str) -> Binding {
    let mut binding = Binding::new(key(slot), kind);
    (binding.cur, binding.write) = (Some(address.into()), Some(address.into()));
    binding
}

fn config(broker: &Broker) -> SparkplugConfig {
    let mut mqtt = Config::new(format!("mqtt://{}", broker.addr()).parse().unwrap());
    mqtt.clean_session = Some(true);
    let mut config = SparkplugConfig::new(mqtt);
    config.reorder_timeout = Duration::from_millis(50);
    config
}

/// An edge node whose messages go through the broker by hand.
struct Node {
    node: EdgeNode,
    millis: u64,
}

impl Node {
    fn new() -> Self {
        let mut node = EdgeNode::new(EdgeConfig::new(NodeId::new("G", "N").unwrap()), 0);
        node.add(None, "temp", DataType::Double, None).unwrap();
        node.add(Some("D"), "speed", DataType::Int32, None).unwrap();
        node.add(Some("D"), "on", DataType::Boolean, None).unwrap();
        node.add(Some("D"), "name", DataType::String, None).unwrap();
        let mut node = Self { node, millis: 1_700_000_000_000 };
        node.set(None, "temp", Metric::Float(21.5));
        node.set(Some("D"), "speed", Metric::Int(-5));
        node
    }

    fn now(&self) -> Now {
        Now { millis: self.millis, ..Now::default() }
    }

    fn set(&mut self, device: Option<&str>, name: &str, value: Metric) {
        self.node.set(device, name, Some(&value), Quality::Good, self.millis).unwrap();
    }

    fn birth(&mut self, broker: &Broker) {
        self.node.connect(self.now());
        self.node.on_connected();
        self.tell(broker);
    }

    fn tell(&mut self, broker: &Broker) {
        while let Some(transmit) = self.node.poll_transmit(self.now()) {
            broker.publish(&transmit.topic, &transmit.payload);
        }
    }
}

/// A connector's driver, and what it says of its points by and by.
struct Client {
    driver: Sparkplug,
    into: Readings,
    shown: BTreeMap<u32, Result<Value, (Status, String)>>,
}

impl Client {
    async fn open(broker: &Broker) -> Self {
        let mut driver = Sparkplug::new(config(broker), 1).unwrap();
        let mut into = Readings::new();
        let points = [
            binding(0, Kind::Number, "G/N?temp"),
            binding(1, Kind::Number, "G/N/D?speed"),
            binding(2, Kind::Bool, "G/N/D?on"),
            binding(3, Kind::Number, "G/N/D?name"),
            binding(4, Kind::Number, "G/N/D?absent"),
        ];
        driver.bind(&points, &mut into);
        driver.open(&mut into).await.unwrap();
        let mut client = Self { driver, into, shown: BTreeMap::new() };
        let keys: Vec<_> = (0..5).map(key).collect();
        client.driver.watch(&keys, &mut client.into).await.unwrap();
        client.take();
        client
    }

    fn take(&mut self) {
        for reading in self.into.drain() {
            let (key, result) = match reading {
                Reading::Cur(key, result) => (key, result),
                Reading::Sample(key, value, times) => {
                    assert!(times.source.is_some());
                    (key, Ok(value))
                }
                other => panic!("{other:?}"),
            };
            let result = result.map_err(|fault| (fault.status(), fault.to_string()));
            self.shown.insert(key.slot, result);
        }
    }

    /// Lets the driver hear things until a point shows something.
    async fn until(&mut self, slot: u32, shows: impl Fn(&Result<Value, (Status, String)>) -> bool) {
        let wait = async {
            while !self.shown.get(&slot).is_some_and(&shows) {
                self.driver.event(&mut self.into).await.unwrap();
                self.take();
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(10), wait).await;
        assert!(waited.is_ok(), "{:?}", self.shown);
    }
}

fn is_number(number: f64) -> impl Fn(&Result<Value, (Status, String)>) -> bool {
    move |shown| *shown == Ok(Value::number(number))
}

fn is_down(shown: &Result<Value, (Status, String)>) -> bool {
    matches!(shown, Err((Status::Down, _)))
}

#[tokio::test]
async fn births_data_and_deaths_show_on_points() {
    let broker = Broker::start().await;
    let mut node = Node::new();
    let mut client = Client::open(&broker).await;
    let text = "G/N is not known to be online".to_owned();
    assert_eq!(client.shown[&0], Err((Status::Down, text)));
    node.birth(&broker);
    client.until(1, is_number(-5.0)).await;
    assert_eq!(client.shown[&0], Ok(Value::number(21.5)));
    assert_eq!(client.shown[&2], Ok(Value::Null));
    let text = "G/N/D has no metric absent".to_owned();
    assert_eq!(client.shown[&4], Err((Status::Fault, text)));
    node.set(Some("D"), "on", Metric::Bool(true));
    node.set(Some("D"), "name", Metric::Str("x".into()));
    node.set(Some("D"), "speed", Metric::Int(7));
    node.tell(&broker);
    client.until(1, is_number(7.0)).await;
    assert_eq!(client.shown[&2], Ok(Value::Bool(true)));
    let text = "the metric is a Str and the point a Number".to_owned();
    assert_eq!(client.shown[&3], Err((Status::Fault, text)));
    node.node.set_reachable("D", false);
    node.tell(&broker);
    client.until(1, is_down).await;
    assert_eq!(client.shown[&0], Ok(Value::number(21.5)), "the node is there");
    let death = node.node.disconnect(node.now()).unwrap();
    broker.publish(&death.topic, &death.payload);
    client.until(0, is_down).await;
    // A point that is watched again shows what is known.
    let again = [key(0), key(1)];
    client.driver.watch(&again, &mut client.into).await.unwrap();
    client.take();
    assert_eq!(client.shown[&1], Err((Status::Down, "G/N/D is offline".to_owned())));
}

#[tokio::test]
async fn what_was_lost_is_asked_for() {
    let broker = Broker::start().await;
    let mut client = Client::open(&broker).await;
    let asked =
        |broker: &Broker| broker.log().iter().filter(|it| *it == "spBv1.0/G/NCMD/N").count();
    let mut node = Node::new();
    // It is asked with the connection, since its points are wanted.
    while asked(&broker) < 1 {
        tokio::task::yield_now().await;
    }
    node.birth(&broker);
    client.until(0, is_number(21.5)).await;
    broker.lose("spBv1.0/G/NDATA/N", 1);
    node.set(None, "temp", Metric::Float(1.0));
    node.tell(&broker);
    node.set(Some("D"), "speed", Metric::Int(2));
    node.tell(&broker);
    // The message behind the gap counts after the time for reordering.
    client.until(1, is_number(2.0)).await;
    assert_eq!(client.shown[&0], Ok(Value::number(21.5)), "lost");
    // The request for births comes when it may, 10 s after the one before; what it brings, now.
    node.node.on_disconnected();
    node.birth(&broker);
    client.until(0, is_number(1.0)).await;
}

#[tokio::test]
async fn values_are_written_by_commands() {
    let broker = Broker::start().await;
    let mut client = Client::open(&broker).await;
    let mut node = Node::new();
    node.birth(&broker);
    client.until(1, is_number(-5.0)).await;
    let write = |slot, value| Write::new(key(slot), value);
    let writes = [
        write(0, Value::number(3.25)),
        write(1, Value::number(9.0)),
        write(2, Value::Bool(true)),
        write(1, Value::number(0.5)),
        write(1, Value::number(1e12)),
        write(1, Value::Bool(true)),
        write(4, Value::number(1.0)),
        write(2, Value::Null),
    ];
    client.driver.write(&writes, &mut client.into).await.unwrap();
    let refused: Vec<_> = client
        .into
        .drain()
        .map(|reading| match reading {
            Reading::WriteErr(key, fault) => (key.slot, fault.to_string()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        refused,
        [
            (1, "0.5 is not an integer".to_owned()),
            (1, "the number does not fit Int32".to_owned()),
            (1, "the value is none of Int32".to_owned()),
            (4, "G/N/D is not online with a metric absent".to_owned()),
            (2, "the metric is Boolean".to_owned()),
        ]
    );
    let expected = ["spBv1.0/G/NCMD/N", "spBv1.0/G/DCMD/N/D", "spBv1.0/G/DCMD/N/D"];
    let heard = async {
        loop {
            let log = broker.log();
            let commands: Vec<_> = log.iter().filter(|it| it.contains("CMD/N")).collect();
            if commands.ends_with(&expected.each_ref().map(|it| (*it).to_owned()).each_ref()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(10), heard).await.is_ok());
}

#[tokio::test]
async fn the_tree_of_who_is_online_can_be_learned() {
    let broker = Broker::start().await;
    let mut client = Client::open(&broker).await;
    Node::new().birth(&broker);
    client.until(1, is_number(-5.0)).await;
    let root = client.driver.learn(None).await.unwrap();
    assert_eq!((root.len(), &*root[0].dis), (1, "G/N"));
    let node = client.driver.learn(root[0].learn.as_ref()).await.unwrap();
    let names: Vec<_> = node.iter().map(|row| &*row.dis).collect();
    assert_eq!(names, ["Node Control/Rebirth", "bdSeq", "temp", "G/N/D"]);
    assert_eq!((node[2].kind, node[2].cur.as_deref()), (Some(Kind::Number), Some("G/N?temp")));
    let device = client.driver.learn(node[3].learn.as_ref()).await.unwrap();
    let kinds: Vec<_> = device.iter().map(|row| (&*row.dis, row.kind)).collect();
    let expected =
        [("name", Some(Kind::Str)), ("on", Some(Kind::Bool)), ("speed", Some(Kind::Number))];
    assert_eq!(kinds, expected);
}

#[tokio::test]
async fn a_host_with_an_id_says_that_it_is_online_and_goes_offline_in_every_way() {
    let broker = Broker::start().await;
    let topic = "spBv1.0/STATE/scada";
    let mut config = config(&broker);
    (config.host_id, config.groups) = (Some("scada".into()), vec!["G".into()]);
    let says = |online: bool| {
        let broker = &broker;
        async move {
            let wanted = format!(r#"{{"online":{online},"#);
            let wait = async {
                while !broker.retained(topic).is_some_and(|text| text.starts_with(&wanted)) {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            };
            assert!(tokio::time::timeout(Duration::from_secs(10), wait).await.is_ok());
        }
    };
    let mut driver = Sparkplug::new(config, 1).unwrap();
    let mut into = Readings::new();
    driver.open(&mut into).await.unwrap();
    says(true).await;
    driver.close().await;
    says(false).await;
    driver.open(&mut into).await.unwrap();
    says(true).await;
    // Somebody says otherwise.
    broker.publish(topic, br#"{"online":false,"timestamp":1}"#);
    let corrected = async {
        while broker.log().iter().filter(|it| *it == topic).count() < 5 {
            tokio::select! {
                result = driver.event(&mut into) => result.unwrap(),
                () = tokio::time::sleep(Duration::from_millis(5)) => {}
            }
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(10), corrected).await.is_ok());
    drop(driver);
    says(false).await;
}

#[tokio::test]
async fn bad_addresses_are_their_points_faults() {
    let broker = Broker::start().await;
    let mut driver = Sparkplug::new(config(&broker), 1).unwrap();
    let mut into = Readings::new();
    for address in ["", "G/N", "G?m", "G/N?", "G/N/D/E?m", "G/+?m", "STATE/N?m", "G/N%?m", "G//D?m"]
    {
        driver.bind(&[binding(0, Kind::Number, address)], &mut into);
        let count = into.drain().count();
        assert_eq!(count, 2, "to read and to write: {address}");
    }
    driver.bind(&[binding(0, Kind::Number, "G/N%3F%25?a/b?c%")], &mut into);
    assert!(into.is_empty());
    let error = driver.event(&mut into).await.unwrap_err();
    assert!(matches!(error, OpError::Session(_)), "closed");
}

#[tokio::test]
async fn the_driver_conforms() {
    let broker = Broker::start().await;
    let make = || Sparkplug::new(config(&broker), 1).unwrap();
    let points = Points::new(vec![binding(0, Kind::Number, "G/N?temp")]);
    conformance::driver(make, &points).await;
}

#[test]
fn the_registry_knows_the_kind() {
    let mut registry = Registry::new();
    register(&mut registry);
    let context = pointstream_conn::Context::new("c".parse().unwrap(), 0);
    let config = serde_json::json!({ "uri": "mqtt://b", "groups": ["G"] });
    assert!(registry.make("sparkplug", config, &context).is_ok());
    let config = serde_json::json!({ "uri": "mqtt://b", "will": { "topic": "a", "payload": "" } });
    let error = registry.make("sparkplug", config, &context).unwrap_err();
    assert!(error.to_string().contains("will is not for sparkplug"), "{error}");
}

/// Commands are heard by the node that they are for.
#[test]
fn what_the_driver_writes_is_what_a_node_hears() {
    let mut node = Node::new();
    node.node.connect(node.now());
    node.node.on_connected();
    let mut host = pointstream_mqtt::sparkplug::Host::new(Default::default()).unwrap();
    while let Some(transmit) = node.node.poll_transmit(node.now()) {
        host.handle(node.now(), &transmit.topic, &transmit.payload).unwrap();
    }
    let source = NodeId::new("G", "N").unwrap().device("D").unwrap();
    let command = host.write(node.now(), &source, "speed", &Metric::Int(-9)).unwrap();
    node.node.handle(&command.topic, &command.payload).unwrap();
    let Some(EdgeEvent::Write { metric, value, .. }) = node.node.poll_event() else { panic!() };
    assert_eq!((&*metric, value), ("speed", Ok(Some(Metric::Int(-9)))));
}
