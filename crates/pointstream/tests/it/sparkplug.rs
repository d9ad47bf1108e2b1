//! The gateway as an edge node of Sparkplug B, and another one as its host.

use core::time::Duration;

use pointstream::conn::Registry;
use pointstream::mqtt::io::{Broker as Whereto, Client, Observation, Observed};
use pointstream::mqtt::session::Config as Session;
use pointstream::mqtt::sparkplug::{Limits, Payload, Raw};
use pointstream::mqtt::{self, QoS, Version};
use pointstream::point::{Kind, PointSpec, Tuning};
use pointstream::{Config, ConnectorConfig, Gateway, SparkplugNode, TopicConfig};
use pointstream_test::{Proxy, Weather};

use crate::bench::{Bench, Reader, config, connector, id, level, number};
use crate::sparkplug_broker::Broker;

fn node(addr: std::net::SocketAddr) -> SparkplugNode {
    let broker = mqtt::Config::new(format!("mqtt://{addr}").parse().unwrap());
    let id = mqtt::sparkplug::NodeId::new("Plant", "gw").unwrap();
    let mut node = SparkplugNode::new(id, broker);
    (node.interval, node.writable) = (Duration::from_millis(10), true);
    node
}

/// A gateway whose points are metrics of other nodes.
async fn host(addr: std::net::SocketAddr) -> Gateway {
    let mut registry = Registry::new();
    mqtt::register(&mut registry);
    let mut gateway = Gateway::new(registry);
    let mut spec = PointSpec::new(id("seen.x"), Kind::Number);
    spec.cur = Some("Plant/gw/a?a.x".into());
    spec.write = Some("Plant/gw/a?a.x".into());
    let mut connector = ConnectorConfig::new(id("host"), "sparkplug")
        .with("uri", format!("mqtt://{addr}"))
        .with("host_id", "scada");
    connector.open_retry = Duration::from_secs(1);
    let mut config = Config::new().with_connector(connector.with_point(spec));
    config.topics.push(TopicConfig::new(id("seen")));
    gateway.apply(config).await.unwrap();
    gateway
}

fn with_node(bench: &Bench, node: SparkplugNode) -> Config {
    bench.a.set("a.x", number(1.0));
    let tuning = Tuning::default().with_poll_time(Duration::from_millis(20));
    let mut config = config([connector("a", &["a.x"])]).with_tuning(id("default"), tuning);
    config.topics.push(TopicConfig::new(id("own")));
    config.sparkplug.push(node);
    config
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn points_of_one_gateway_are_points_of_another_and_can_be_written() {
    let broker = Broker::start().await;
    let mut bench = Bench::new();
    let config = with_node(&bench, node(broker.addr()));
    bench.gateway.apply(config).await.unwrap();
    let host = host(broker.addr()).await;
    let mut seen = Reader::new(host.hub().subscribe("seen", Default::default(), None).unwrap());
    seen.until("seen.x", "val", 1).await;
    bench.a.set("a.x", number(2.0));
    seen.until("seen.x", "val", 2).await;
    host.write(&id("seen.x"), level(16, number(5.0))).await.unwrap();
    let wait = async {
        while bench.a.get("a.x") != Some(number(5.0)) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait).await.unwrap();
    seen.until("seen.x", "val", 5).await;
    bench.gateway.shutdown().await;
    seen.until("seen.x", "status", "down").await;
    host.shutdown().await;
    assert!(broker.log().iter().any(|topic| topic == "spBv1.0/Plant/NDEATH/gw"));
}

/// Reads messages of the node until one has a metric of the past; gives its value and whether it came
/// after a birth.
async fn past(observation: &mut Observation) -> (Vec<f64>, bool) {
    let mut is_born = false;
    loop {
        let next = tokio::time::timeout(Duration::from_secs(20), observation.next()).await.unwrap();
        let Some(Observed::Message(message)) = next else { panic!("{next:?}") };
        let payload = Payload::decode(&message.payload, Limits::default()).unwrap();
        is_born |= message.topic.contains("/DBIRTH/");
        let past = payload.metrics.iter().filter(|metric| metric.is_historical);
        let values: Vec<_> = past
            .map(|metric| match metric.value {
                Some(Raw::Double(value)) => value,
                ref other => panic!("{other:?}"),
            })
            .collect();
        if !values.is_empty() {
            return (values, is_born);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changes_while_the_line_is_gone_is_told_as_history() {
    let broker = Broker::start().await;
    let proxy = Proxy::start(broker.addr()).await.unwrap();
    let mut bench = Bench::new();
    let config = with_node(&bench, node(proxy.addr()));
    bench.gateway.apply(config).await.unwrap();
    let uri = format!("mqtt://{}", broker.addr()).parse().unwrap();
    let client = Client::new(Whereto::new(uri, Session::new(Version::V3_1_1, "other")));
    let mut observation = client.observe("spBv1.0/Plant/+/gw/#", QoS::AtLeastOnce).await.unwrap();
    let host = host(broker.addr()).await;
    let mut seen = Reader::new(host.hub().subscribe("seen", Default::default(), None).unwrap());
    seen.until("seen.x", "val", 1).await;
    proxy.set(Weather::Reset);
    seen.until("seen.x", "status", "down").await;
    // The point itself says when each value has arrived in the gateway.
    let mut own = bench.reader("own");
    for value in [11, 12, 13] {
        bench.a.set("a.x", number(f64::from(value)));
        own.until("a.x", "val", value).await;
    }
    proxy.set(Weather::Fair);
    let (values, is_born) = past(&mut observation).await;
    // The newest stands in the birth, which is the present for the host.
    assert_eq!((values, is_born), (vec![11.0, 12.0], true));
    seen.until("seen.x", "val", 13).await;
    bench.gateway.shutdown().await;
    host.shutdown().await;
}

#[tokio::test]
async fn a_configuration_that_cannot_be_leaves_no_node_behind() {
    let broker = Broker::start().await;
    let mut bench = Bench::new();
    bench.gateway.apply(with_node(&bench, node(broker.addr()))).await.unwrap();
    let good = node(broker.addr());
    let mut other = good.clone();
    other.id = mqtt::sparkplug::NodeId::new("Plant", "other").unwrap();
    let mut bad = good.clone();
    bad.id = mqtt::sparkplug::NodeId::new("Plant", "bad").unwrap();
    bad.broker = mqtt::Config::new("mqtts://127.0.0.1:1".parse().unwrap());
    bad.broker.files.ca_file = Some("/nowhere/ca.pem".into());
    let mut broken = with_node(&bench, other.clone());
    broken.sparkplug.push(bad);
    let error = bench.gateway.apply(broken).await.unwrap_err().to_string();
    assert!(error.starts_with("sparkplug node Plant/bad: /nowhere/ca.pem: "), "{error}");
    let mut twice = with_node(&bench, good.clone());
    let mut second = good;
    second.writable = false;
    twice.sparkplug.push(second);
    let error = bench.gateway.apply(twice).await.unwrap_err().to_string();
    assert_eq!(error, "sparkplug node Plant/gw: the node stands twice at this broker");
    // The node that was there is there, and the other one is not.
    bench.gateway.apply(with_node(&bench, node(broker.addr()))).await.unwrap();
    bench.gateway.shutdown().await;
    let log = broker.log();
    assert!(!log.iter().any(|topic| topic.contains("other") || topic.contains("bad")), "{log:?}");
}
