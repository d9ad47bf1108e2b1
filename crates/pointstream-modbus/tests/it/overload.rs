//! More polls than a bus can carry, in paused time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use pointstream_conn::{
    AnyDriver, Changes, Clock, ConnConfig, ConnView, Follower, NamedTuning, PointDef, Shell,
};
use pointstream_modbus::{Config, Modbus, Target};
use pointstream_point::{Kind, PointKey, PointSpec, Status, Tuning};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep};

use crate::script::{Network, Peer, frame, key};

const POINTS: u32 = 200;
/// What the bus takes for a request: a hundred of them in a second.
const REQUEST: Duration = Duration::from_millis(10);
/// All points each 100 ms are 2,000 requests in a second.
const PERIOD: Duration = Duration::from_millis(100);
const TIME: Duration = Duration::from_secs(60);

/// Counts the changes of each point.
struct Served(Arc<Mutex<Vec<u32>>>);

impl Follower for Served {
    fn on_changes(&self, changes: &Arc<Changes>) {
        let mut served = self.0.lock().unwrap();
        for (key, cur) in &changes.points {
            served[key.slot as usize] += u32::from(cur.status == Status::Ok);
        }
    }

    fn on_conn(&self, _: &ConnView) {}
}

/// A device that answers each request after its time, with another number each time.
async fn slow(mut peer: Peer) {
    for number in 0u16.. {
        let mut request = [0; 12];
        if peer.0.read_exact(&mut request).await.is_err() {
            return;
        }
        sleep(REQUEST).await;
        let transaction = u16::from_be_bytes([request[0], request[1]]);
        peer.0.write_all(&frame(transaction, 1, &format!("03 02 {number:04x}"))).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_bus_asked_for_twenty_times_what_it_can_do_does_what_it_can_for_every_point() {
    let network = Network::default();
    let peer = network.accept();
    let mut config = Config::new("tcp://plc".parse::<Target>().unwrap(), 1);
    config.block_max = 1;
    let driver = AnyDriver::new(Modbus::with_dial(config, network.clone()).unwrap());
    let served = Arc::new(Mutex::new(vec![0; POINTS as usize]));
    let conn = ConnConfig::new("plc".parse().unwrap(), 0);
    let follower = Arc::new(Served(Arc::clone(&served)));
    let (shell, handle) = Shell::new(conn, driver, follower, Clock::start());
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(slow(peer));
    tasks.spawn(shell.run());
    let tuning = Tuning::default().with_poll_time(PERIOD);
    let tuning = Arc::new(NamedTuning::new("fast".parse().unwrap(), tuning));
    let keys: Vec<PointKey> = (0..POINTS).map(key).collect();
    let def = |&key: &PointKey| {
        let mut spec = PointSpec::new(format!("plc.r{}", key.slot).parse().unwrap(), Kind::Number);
        spec.cur = Some(format!("holding:#{}", key.slot).into());
        PointDef::new(key, Arc::new(spec), Arc::clone(&tuning))
    };
    handle.bind(keys.iter().map(def).collect()).await;
    let start = Instant::now();
    handle.watch(keys).await;
    sleep(TIME).await;
    let stats = handle.stats();
    let capacity = start.elapsed().as_millis() / REQUEST.as_millis();
    assert!(u128::from(stats.readings) * 10 >= capacity * 9, "{stats:?} of {capacity}");
    let served = served.lock().unwrap();
    let (least, most) = (served.iter().min().unwrap(), served.iter().max().unwrap());
    assert!(*least >= 28 && most - least <= 1, "each in its turn: {least} to {most}");
    // Each due time began a scan or was left out and counted.
    let due = u64::try_from(TIME.as_millis() / PERIOD.as_millis()).unwrap();
    let counted = stats.scans + stats.skipped;
    assert!(counted.abs_diff(due) <= 2, "{counted} of {due}: {stats:?}");
}
