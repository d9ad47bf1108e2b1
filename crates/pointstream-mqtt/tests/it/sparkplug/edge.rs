//! An edge node on a socket and the driver as its host, through a small broker.

use core::time::Duration;
use std::sync::Arc;

use pointstream_conn::{Binding, Driver, Reading, Readings, Write};
use pointstream_mqtt::io::{Broker as Whereto, Edge, EdgeWrite};
use pointstream_mqtt::session::Config as Session;
use pointstream_mqtt::sparkplug::{DataType, EdgeConfig, NodeId, Quality, Value as Metric};
use pointstream_mqtt::{Config, Sparkplug, SparkplugConfig, Version};
use pointstream_point::{Kind, PointKey, Status, Value};
use pointstream_test::{Proxy, Weather};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::broker::Broker;

const KEY: PointKey = PointKey { shard: 1, slot: 0, generation: 1 };

fn edge() -> Edge {
    let config = EdgeConfig::new(NodeId::new("G", "N").unwrap());
    let edge = Edge::new(config, Duration::from_millis(5));
    edge.add(Some("D"), "speed", DataType::Int32, None).unwrap();
    edge
}

fn whereto(addr: std::net::SocketAddr) -> Whereto {
    let session = Session::new(Version::V3_1_1, "edge");
    Whereto::new(format!("mqtt://{addr}").parse().unwrap(), session)
}

/// The driver of one point, and what it shows.
struct Host {
    driver: Sparkplug,
    into: Readings,
    shown: Option<Result<Value, Status>>,
}

impl Host {
    async fn open(broker: &Broker) -> Self {
        let mqtt = Config::new(format!("mqtt://{}", broker.addr()).parse().unwrap());
        let mut driver = Sparkplug::new(SparkplugConfig::new(mqtt), 1).unwrap();
        let mut into = Readings::new();
        let mut binding = Binding::new(KEY, Kind::Number);
        (binding.cur, binding.write) = (Some("G/N/D?speed".into()), Some("G/N/D?speed".into()));
        driver.bind(&[binding], &mut into);
        driver.open(&mut into).await.unwrap();
        driver.watch(&[KEY], &mut into).await.unwrap();
        Self { driver, into, shown: None }
    }

    async fn until(&mut self, wanted: Result<f64, Status>) {
        let wanted = wanted.map(Value::number);
        let wait = async {
            loop {
                for reading in self.into.drain() {
                    self.shown = Some(match reading {
                        Reading::Cur(_, result) => result.map_err(|fault| fault.status()),
                        Reading::Sample(_, value, _) => Ok(value),
                        other => panic!("{other:?}"),
                    });
                }
                if self.shown.as_ref() == Some(&wanted) {
                    return;
                }
                self.driver.event(&mut self.into).await.unwrap();
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), wait).await;
        assert!(waited.is_ok(), "{:?} rather than {wanted:?}", self.shown);
    }
}

fn set(edge: &Edge, value: i64, quality: Quality) {
    edge.set(Some("D"), "speed", Some(&Metric::Int(value)), quality, 1_700_000_000_000).unwrap();
}

#[tokio::test]
async fn a_node_tells_hears_and_says_goodbye() {
    let broker = Broker::start().await;
    let edge = edge();
    set(&edge, 1, Quality::Good);
    let (writes, mut commands) = mpsc::channel(4);
    let (stop, stopped) = oneshot::channel::<()>();
    let mut tasks = JoinSet::new();
    let (running, whereto) = (edge.clone(), whereto(broker.addr()));
    tasks.spawn(async move {
        let shutdown = async { _ = stopped.await };
        running.run(whereto, writes, |error| panic!("{error}"), shutdown).await;
    });
    let mut host = Host::open(&broker).await;
    host.until(Ok(1.0)).await;
    for value in 2..50 {
        set(&edge, value, Quality::Good);
        tokio::task::yield_now().await;
    }
    host.until(Ok(49.0)).await;
    set(&edge, 49, Quality::Stale);
    host.until(Err(Status::RemoteUnknown)).await;
    set(&edge, 49, Quality::Good);
    host.until(Ok(49.0)).await;
    let write = [Write::new(KEY, Value::number(-7.0))];
    host.driver.write(&write, &mut host.into).await.unwrap();
    let EdgeWrite { device, metric, value, .. } = commands.recv().await.unwrap();
    assert_eq!((device.as_deref(), &*metric), (Some("D"), "speed"));
    assert_eq!(value, Ok(Some(Metric::Int(-7))));
    edge.set_reachable("D", false);
    host.until(Err(Status::Down)).await;
    edge.set_reachable("D", true);
    host.until(Ok(49.0)).await;
    stop.send(()).unwrap();
    host.until(Err(Status::Down)).await;
    assert!(tasks.join_next().await.unwrap().is_ok());
    assert!(broker.log().iter().any(|topic| topic == "spBv1.0/G/NDEATH/N"));
}

#[tokio::test]
async fn a_connection_that_breaks_is_a_death_and_the_next_a_birth() {
    let broker = Broker::start().await;
    let proxy = Proxy::start(broker.addr()).await.unwrap();
    let edge = edge();
    set(&edge, 1, Quality::Good);
    let (writes, _commands) = mpsc::channel(4);
    let mut tasks = JoinSet::new();
    let (running, whereto) = (edge.clone(), whereto(proxy.addr()));
    let failures = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = Arc::clone(&failures);
    tasks.spawn(async move {
        let failed = move |_: &_| _ = counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        running.run(whereto, writes, failed, std::future::pending()).await;
    });
    let mut host = Host::open(&broker).await;
    for round in 1..=5 {
        set(&edge, round, Quality::Good);
        host.until(Ok(round as f64)).await;
        proxy.set(if round % 2 == 0 { Weather::Cut } else { Weather::Reset });
        host.until(Err(Status::Down)).await;
        set(&edge, 100 + round, Quality::Good);
        proxy.set(Weather::Fair);
        host.until(Ok(100.0 + round as f64)).await;
    }
    assert!(failures.load(std::sync::atomic::Ordering::Relaxed) >= 5);
}
