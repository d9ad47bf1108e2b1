//! Devices on real sockets, with faults in the byte stream between. Every wait is for an event.

use core::time::Duration;
use std::net::SocketAddr;

use pointstream::conn::Registry;
use pointstream::hub::Mode;
use pointstream::modbus::data::Scalar;
use pointstream::modbus::{self, Limits, Registers, Server, Table};
use pointstream::point::{Kind, PointSpec, Tuning};
use pointstream::{Config, ConnectorConfig, Gateway};
use pointstream_test::{Proxy, Weather};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::bench::{Reader, id, level, number};

/// A device that can be killed and started again at its address.
struct Plc {
    registers: Registers,
    addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinSet<()>,
}

impl Plc {
    async fn start() -> Self {
        let registers = Registers::new();
        registers.define(1, Table::Holding, 0, 20).unwrap();
        registers.define(1, Table::Coil, 0, 8).unwrap();
        let addr = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut plc = Self { registers, addr, stop: None, task: JoinSet::new() };
        plc.run().await;
        plc
    }

    async fn run(&mut self) {
        let server = Server::bind(self.addr, Limits::default()).await.unwrap();
        self.addr = server.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let registers = self.registers.clone();
        self.task.spawn(server.run(registers, async {
            // A dropped sender stops it too.
            let _ = stopped.await;
        }));
        self.stop = Some(stop);
    }

    async fn kill(&mut self) {
        self.stop.take();
        self.task.join_next().await.unwrap().unwrap();
    }

    fn set(&self, address: &str, value: f64) {
        self.registers.set(1, &address.parse().unwrap(), Scalar::Float(value)).unwrap();
    }
}

fn point(name: &str, address: &str) -> PointSpec {
    let mut spec = PointSpec::new(id(name), Kind::Number);
    (spec.cur, spec.write) = (Some(address.into()), Some(address.into()));
    spec
}

fn connector(name: &str, addr: SocketAddr) -> ConnectorConfig {
    let mut connector = ConnectorConfig::new(id(name), "modbus")
        .with("uri", format!("modbus-tcp://{addr}"))
        .with("unit", 1)
        .with("response_timeout", "100ms")
        .with("connect_timeout", "100ms");
    connector.open_retry = Duration::from_secs(1);
    connector
        .with_point(point(&format!("{name}.a"), "holding:40001:u2"))
        .with_point(point(&format!("{name}.b"), "holding:40002:s2:/10"))
}

fn config(connectors: impl IntoIterator<Item = ConnectorConfig>) -> Config {
    let tuning = Tuning::default().with_poll_time(Duration::from_millis(50));
    let config = Config::new().with_tuning(id("default"), tuning);
    connectors.into_iter().fold(config, Config::with_connector)
}

async fn gateway(config: Config) -> (Gateway, Reader) {
    let mut registry = Registry::new();
    modbus::register(&mut registry);
    let mut gateway = Gateway::new(registry);
    gateway.apply(config).await.unwrap();
    let reader = Reader::new(gateway.hub().subscribe("plant", Mode::Patch, None).unwrap());
    (gateway, reader)
}

#[tokio::test]
async fn registers_go_to_a_subscriber_and_a_write_comes_back() {
    let plc = Plc::start().await;
    plc.set("holding:40001:u2", 7.0);
    let (gateway, mut reader) = gateway(config([connector("plc", plc.addr)])).await;
    reader.until("plc.a", "val", 7).await;
    gateway.write(&id("plc.b"), level(16, number(21.5))).await.unwrap();
    let address = "holding:40002:s2:/10".parse().unwrap();
    assert_eq!(plc.registers.get(1, &address).unwrap(), Scalar::Float(21.5));
    reader.until("plc.b", "val", 21.5).await;
}

#[tokio::test]
async fn a_device_that_is_absent_at_the_start_may_come_later() {
    let mut plc = Plc::start().await;
    plc.kill().await;
    let (_gateway, mut reader) = gateway(config([connector("plc", plc.addr)])).await;
    reader.until("plc.a", "status", "down").await;
    plc.set("holding:40001:u2", 3.0);
    plc.run().await;
    reader.until("plc.a", "val", 3).await;
}

#[tokio::test]
async fn a_restarted_device_is_found_again_and_its_changed_value_arrives() {
    let mut plc = Plc::start().await;
    let (_gateway, mut reader) = gateway(config([connector("plc", plc.addr)])).await;
    for round in 1..=3 {
        reader.until("plc.a", "status", "ok").await;
        plc.kill().await;
        reader.until("plc.a", "status", "down").await;
        plc.set("holding:40001:u2", f64::from(round));
        plc.run().await;
        reader.until("plc.a", "val", round).await;
    }
}

#[tokio::test]
async fn faults_on_the_wire_take_one_device_down_and_leave_its_neighbour() {
    let (plc, neighbour) = (Plc::start().await, Plc::start().await);
    let proxy = Proxy::start(plc.addr).await.unwrap();
    let connectors = [connector("plc", proxy.addr()), connector("near", neighbour.addr)];
    let (_gateway, mut reader) = gateway(config(connectors)).await;
    let mut value = 0;
    let weathers = [
        (Weather::Cut, "down"),
        (Weather::Swallow, "down"),
        (Weather::Garbage, "fault"),
        (Weather::Delay(Duration::from_millis(300)), "down"),
    ];
    for (weather, status) in weathers {
        reader.until("plc.a", "status", "ok").await;
        proxy.set(weather);
        reader.until("plc.a", "status", status).await;
        // The neighbour goes on, and its values are fresh.
        value += 1;
        neighbour.set("holding:40001:u2", f64::from(value));
        reader.until("near.a", "val", value).await;
        assert_eq!(reader.document["near.a"]["status"], "ok");
        plc.set("holding:40001:u2", f64::from(value));
        proxy.set(Weather::Fair);
        reader.until("plc.a", "val", value).await;
    }
}

#[tokio::test]
async fn answers_a_byte_at_a_time_are_answers() {
    let plc = Plc::start().await;
    let proxy = Proxy::start(plc.addr).await.unwrap();
    proxy.set(Weather::Trickle);
    let (_gateway, mut reader) = gateway(config([connector("plc", proxy.addr())])).await;
    for value in 1..5 {
        plc.set("holding:40001:u2", f64::from(value));
        reader.until("plc.a", "val", value).await;
    }
    assert_eq!(reader.document["plc.b"]["status"], "ok");
}

#[tokio::test]
async fn an_exception_is_its_points_fault_alone() {
    let plc = Plc::start().await;
    let beyond = point("plc.none", "holding:41000:u2");
    let (_gateway, mut reader) =
        gateway(config([connector("plc", plc.addr).with_point(beyond)])).await;
    reader.until("plc.none", "status", "fault").await;
    let err = reader.document["plc.none"]["err"].as_str().unwrap().to_owned();
    assert!(err.contains("Illegal Data Address"), "{err}");
    plc.set("holding:40001:u2", 9.0);
    reader.until("plc.a", "val", 9).await;
}

#[tokio::test]
async fn a_bad_address_is_its_points_fault_alone() {
    let plc = Plc::start().await;
    let bad = point("plc.bad", "holding:30001:u2");
    let (_gateway, mut reader) =
        gateway(config([connector("plc", plc.addr).with_point(bad)])).await;
    reader.until("plc.bad", "status", "fault").await;
    plc.set("holding:40001:u2", 4.0);
    reader.until("plc.a", "val", 4).await;
}

#[tokio::test]
async fn an_unchanged_connector_keeps_its_socket_through_a_change_of_another() {
    let (plc, other) = (Plc::start().await, Plc::start().await);
    let first = config([connector("plc", plc.addr), connector("other", other.addr)]);
    let (mut gateway, mut reader) = gateway(first).await;
    reader.until("plc.a", "status", "ok").await;
    reader.until("other.a", "status", "ok").await;
    let moved = connector("other", other.addr).with("unit", 2);
    let applied = gateway.apply(config([connector("plc", plc.addr), moved])).await.unwrap();
    assert_eq!(applied.replaced, [id("other")]);
    // There is no unit 2 behind that address.
    reader.until("other.a", "status", "down").await;
    plc.set("holding:40001:u2", 8.0);
    reader.until("plc.a", "val", 8).await;
    let mut metrics = String::new();
    gateway.admin().metrics(&mut metrics);
    let opened = "pointstream_connector_opens_total{connector=\"plc\"} 1\n";
    assert!(metrics.contains(opened), "{metrics}");
}
