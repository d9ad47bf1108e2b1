//! Several requests in flight, as the framework hands them over.

use std::sync::Arc;
use std::time::Duration;

use pointstream_conn::{
    AnyDriver, Changes, Clock, ConnConfig, ConnView, Driver, Follower, NamedTuning, PointDef, Shell,
};
use pointstream_modbus::{Config, Modbus, Target};
use pointstream_point::{Kind, PointKey, PointSpec, Status, Tuning};
use tokio::sync::mpsc;

use crate::script::{Network, Peer, key};

/// Hears how many points changed.
struct Counts(mpsc::Sender<usize>);

impl Follower for Counts {
    fn on_changes(&self, changes: &Arc<Changes>) {
        let _ = self
            .0
            .try_send(changes.points.iter().filter(|(_, cur)| cur.status == Status::Ok).count());
    }

    fn on_conn(&self, _: &ConnView) {}
}

fn config(window: usize) -> Config {
    let mut config = Config::new("tcp://plc".parse::<Target>().unwrap(), 1);
    (config.window, config.block_max) = (window, 1);
    config
}

/// Waits for so many requests, none of which is answered before the last has come, then answers
/// them, the last one first.
async fn together(peer: &mut Peer, starts: core::ops::Range<u16>) {
    let mut asked = Vec::new();
    for start in starts {
        asked.push((start, peer.asked(&format!("03 {start:04x} 0001")).await));
    }
    for (start, transaction) in asked.into_iter().rev() {
        peer.answer(transaction, &format!("03 02 {start:04x}")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_connector_has_a_window_of_requests_in_flight() {
    let network = Network::default();
    let mut peer = network.accept();
    let driver = Modbus::with_dial(config(4), network.clone()).unwrap();
    let (heard, mut counts) = mpsc::channel(64);
    let conn = ConnConfig::new("plc".parse().unwrap(), 0);
    let (shell, handle) =
        Shell::new(conn, AnyDriver::new(driver), Arc::new(Counts(heard)), Clock::start());
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(shell.run());
    let tuning = Tuning::default().with_poll_time(Duration::from_secs(60));
    let tuning = Arc::new(NamedTuning::new("slow".parse().unwrap(), tuning));
    let keys: Vec<PointKey> = (0..10).map(key).collect();
    let def = |&key: &PointKey| {
        let id = format!("plc.r{}", key.slot).parse().unwrap();
        let mut spec = PointSpec::new(id, Kind::Number);
        spec.cur = Some(format!("holding:#{}", key.slot).into());
        PointDef::new(key, Arc::new(spec), Arc::clone(&tuning))
    };
    handle.bind(keys.iter().map(def).collect()).await;
    handle.watch(keys).await;
    // The sign of life of opening, and the ping of the framework.
    peer.play("03 0000 0001", "03 02 0000").await;
    peer.play("03 0000 0001", "03 02 0000").await;
    for starts in [0..4, 4..8, 8..10] {
        together(&mut peer, starts).await;
    }
    let mut shown = 0;
    while shown < 10 {
        shown += counts.recv().await.unwrap();
    }
    assert_eq!((handle.stats().requests, handle.stats().readings), (10, 10));
}

#[test]
fn a_driver_asks_for_a_window_only_where_it_has_one() {
    let window = |config: Config| Modbus::new(config).unwrap().features().window;
    assert_eq!(window(config(1)), 1);
    assert_eq!(window(config(16)), 16);
    let mut paused = config(16);
    paused.request_delay = Duration::from_millis(10);
    assert_eq!(window(paused), 1, "with a pause between requests");
    let mut serial = config(16);
    serial.target = "rtutcp://plc:4001".parse().unwrap();
    assert_eq!(window(serial), 1, "RTU has no transaction numbers");
}
