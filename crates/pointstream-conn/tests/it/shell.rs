use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use pointstream_conn::{
    AnyDriver, Changes, Clock, ConnConfig, ConnState, ConnView, Driver, Features, Follower, Handle,
    NamedTuning, OpError, PointDef, Readings, Shell, Trace, Write, WriteDone,
};
use pointstream_point::{
    Cur, Fault, HisItem, Kind, Level, PointKey, PointSpec, Status, Tags, Tuning, Value, WriteInfo,
};
use pointstream_test::{FakeDevice, Mood};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Keeps what a connector says and wakes whoever waits for it.
struct Seen {
    points: Mutex<BTreeMap<u32, Cur>>,
    past: Mutex<Vec<(u32, f64)>>,
    full: AtomicBool,
    conn: Mutex<ConnView>,
    version: watch::Sender<u64>,
}

impl Seen {
    fn new() -> Self {
        let (version, _) = watch::channel(0);
        let (points, past, full) = (Mutex::default(), Mutex::default(), AtomicBool::default());
        Self { points, past, full, conn: Mutex::default(), version }
    }
}

impl Follower for Seen {
    fn on_changes(&self, changes: &Arc<Changes>) {
        let mut points = self.points.lock().unwrap();
        points.extend(changes.points.iter().map(|(key, cur)| (key.slot, cur.clone())));
        drop(points);
        let number =
            |(key, item): &(PointKey, Result<HisItem, Fault>)| match &item.as_ref().unwrap().val {
                Value::Number(number, _) => (key.slot, *number),
                other => panic!("{other}"),
            };
        self.past.lock().unwrap().extend(changes.past.iter().map(number));
        self.version.send_modify(|version| *version += 1);
    }

    fn has_room(&self) -> bool {
        !self.full.load(Ordering::Relaxed)
    }

    fn on_conn(&self, view: &ConnView) {
        *self.conn.lock().unwrap() = view.clone();
        self.version.send_modify(|version| *version += 1);
    }
}

struct Bench {
    device: FakeDevice,
    handle: Handle,
    seen: Arc<Seen>,
    tasks: JoinSet<()>,
}

fn key(slot: u32) -> PointKey {
    PointKey { shard: 1, slot, generation: 1 }
}

/// A running connector to a fake device with points `a`, `b`, `c`, of which all are watched.
async fn bench(features: Features, configure: impl FnOnce(&mut ConnConfig)) -> Bench {
    let device = FakeDevice::new();
    let mut config = ConnConfig::new("fake".parse().unwrap(), 1);
    configure(&mut config);
    let seen = Arc::new(Seen::new());
    let driver = AnyDriver::new(device.driver(features));
    let (shell, handle) = Shell::new(config, driver, seen.clone(), Clock::start());
    let mut tasks = JoinSet::new();
    tasks.spawn(shell.run());
    let tuning = Tuning::default().with_poll_time(Duration::from_secs(1));
    let tuning = Arc::new(NamedTuning::new("t".parse().unwrap(), tuning));
    let point = |(slot, name): (u32, &str)| {
        device.set(name, Value::number(f64::from(slot)));
        let mut spec = PointSpec::new(name.parse().unwrap(), Kind::Number);
        (spec.cur, spec.write) = (Some(name.into()), Some(name.into()));
        PointDef::new(key(slot), Arc::new(spec), Arc::clone(&tuning))
    };
    handle.bind((0..).zip(["a", "b", "c"]).map(point).collect()).await;
    handle.watch((0..3).map(key).collect()).await;
    Bench { device, handle, seen, tasks }
}

impl Bench {
    /// Waits, in virtual time, until something holds.
    async fn until(&self, what: &str, holds: impl Fn(&Seen) -> bool) {
        let mut version = self.seen.version.subscribe();
        let wait = async {
            while !holds(&self.seen) {
                version.changed().await.unwrap();
            }
        };
        let limit = Duration::from_secs(3600);
        assert!(tokio::time::timeout(limit, wait).await.is_ok(), "never: {what}");
    }

    async fn until_value(&self, slot: u32, value: f64) {
        let value = Value::number(value);
        let holds = |seen: &Seen| {
            seen.points.lock().unwrap().get(&slot).is_some_and(|cur| cur.val == value)
        };
        self.until("the value", holds).await;
    }

    async fn until_status(&self, slot: u32, status: Status) {
        let holds = |seen: &Seen| {
            seen.points.lock().unwrap().get(&slot).is_some_and(|cur| cur.status == status)
        };
        self.until("the status", holds).await;
    }
}

fn polled() -> Features {
    Features::NONE.with_poll().with_write()
}

fn five() -> WriteInfo {
    WriteInfo::at(Value::number(5.0), Level::MANUAL, "test")
}

#[tokio::test(start_paused = true)]
async fn values_flow_and_follow_the_device() {
    let bench = bench(polled(), |_| {}).await;
    bench.until_value(2, 2.0).await;
    bench.device.set("b", Value::number(7.0));
    bench.until_value(1, 7.0).await;
    assert_eq!(bench.seen.conn.lock().unwrap().state, ConnState::Open);
}

#[tokio::test(start_paused = true)]
async fn a_watching_driver_reports_without_polls() {
    let bench = bench(Features::NONE.with_watch(), |_| {}).await;
    bench.until_value(2, 2.0).await;
    bench.device.set("b", Value::number(7.0));
    bench.until_value(1, 7.0).await;
    assert_eq!(bench.device.calls("read"), 0);
    bench.device.set_mood(Mood::Gone);
    bench.until_status(0, Status::Down).await;
    bench.device.set("a", Value::number(8.0));
    bench.device.set_mood(Mood::Well);
    bench.until_value(0, 8.0).await;
    assert_eq!(bench.device.calls("watch"), 2, "the subscription is made again");
}

#[tokio::test(start_paused = true)]
async fn a_hundred_losses_each_end_with_a_changed_value() {
    let bench = bench(polled(), |_| {}).await;
    for round in 0..100 {
        bench.until_status(0, Status::Ok).await;
        bench.device.set_mood(Mood::Gone);
        bench.until_status(0, Status::Down).await;
        bench.device.set("a", Value::number(f64::from(1000 + round)));
        bench.device.set_mood(Mood::Well);
        bench.until_value(0, f64::from(1000 + round)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_never_ends_is_cut_at_its_limit() {
    let bench = bench(polled(), |config| config.op_timeout = Duration::from_secs(2)).await;
    bench.until_status(0, Status::Ok).await;
    bench.device.set_mood(Mood::Silent);
    bench.until_status(0, Status::Down).await;
    let err = bench.seen.conn.lock().unwrap().err.clone();
    assert_eq!(err.as_deref(), Some("the operation took longer than 2s"));
    bench.device.set_mood(Mood::Well);
    bench.until_status(0, Status::Ok).await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_driver_is_a_fault_and_is_retried() {
    let bench = bench(polled(), |_| {}).await;
    bench.until_status(0, Status::Ok).await;
    bench.device.set_mood(Mood::Panicking);
    bench.until_status(0, Status::Fault).await;
    let err = bench.seen.conn.lock().unwrap().err.clone();
    let expected = "the driver panicked: the fake driver panics as it was told to";
    assert_eq!(err.as_deref(), Some(expected));
    bench.until_status(0, Status::Ok).await;
}

#[tokio::test(start_paused = true)]
async fn writes_reach_the_device_and_refusals_come_back() {
    let bench = bench(polled(), |_| {}).await;
    assert_eq!(bench.handle.write(key(0), five()).await, Ok(WriteDone::Taken));
    assert_eq!(bench.device.get("a"), Some(Value::number(5.0)));
    bench.until_value(0, 5.0).await;
    let refused = Fault::permanent("read only");
    bench.device.refuse("b", refused.clone());
    assert_eq!(bench.handle.write(key(1), five()).await, Err(refused));
    bench.until_status(2, Status::Ok).await;
}

#[tokio::test(start_paused = true)]
async fn a_write_passes_a_slow_scan_between_two_requests() {
    let bench = bench(polled(), |_| {}).await;
    bench.until_status(0, Status::Ok).await;
    bench.device.set_delay(Duration::from_millis(300));
    let started = tokio::time::Instant::now();
    assert_eq!(bench.handle.write(key(0), five()).await, Ok(WriteDone::Taken));
    assert!(started.elapsed() <= Duration::from_millis(600), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn dropping_the_handle_closes_the_session_and_ends_the_task() {
    let mut bench = bench(polled(), |_| {}).await;
    bench.until_status(0, Status::Ok).await;
    drop(bench.handle);
    bench.tasks.join_next().await.unwrap().unwrap();
    assert_eq!(bench.device.calls("close"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_silent_device_does_not_hold_up_the_end() {
    let mut bench = bench(polled(), |_| {}).await;
    bench.device.set_mood(Mood::Silent);
    tokio::time::sleep(Duration::from_secs(3)).await;
    drop(bench.handle);
    let ended = tokio::time::timeout(Duration::from_secs(2), bench.tasks.join_next()).await;
    ended.unwrap().unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_write_under_way_does_not_hold_up_the_end() {
    let Bench { device, handle, mut tasks, .. } = bench(polled(), |_| {}).await;
    device.set_mood(Mood::Silent);
    let writing = handle.write(key(0), five());
    let end = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        drop(handle);
        tokio::time::timeout(Duration::from_secs(2), tasks.join_next()).await
    };
    let (written, ended) = tokio::join!(writing, end);
    assert_eq!(written, Err(Fault::down("the connector has ended")));
    ended.unwrap().unwrap().unwrap();
}

/// A driver that hears something all the time, of points that there are and of others.
struct Chatterbox {
    heard: Arc<AtomicU64>,
}

impl Driver for Chatterbox {
    fn features(&self) -> Features {
        Features::NONE.with_watch().with_write()
    }

    async fn open(&mut self, _: &mut Readings) -> Result<(), OpError> {
        Ok(())
    }

    async fn close(&mut self) {}

    async fn ping(&mut self, _: &mut Readings) -> Result<Tags, OpError> {
        Ok(Tags::new())
    }

    async fn watch(&mut self, _: &[PointKey], _: &mut Readings) -> Result<(), OpError> {
        Ok(())
    }

    async fn write(&mut self, _: &[Write], _: &mut Readings) -> Result<(), OpError> {
        Ok(())
    }

    async fn event(&mut self, into: &mut Readings) -> Result<(), OpError> {
        let heard = self.heard.fetch_add(1, Ordering::Relaxed);
        into.ok(key(0), Value::number(heard as f64));
        for slot in 0..1_000 {
            into.ok(PointKey { shard: 9, slot, generation: 9 }, Value::Null);
            into.write_err(key(slot), Fault::permanent("nobody wrote that"));
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_driver_that_floods_leaves_commands_their_turn() {
    let heard = Arc::new(AtomicU64::new(0));
    let driver = AnyDriver::new(Chatterbox { heard: Arc::clone(&heard) });
    let (shell, handle) = Shell::new(
        ConnConfig::new("flood".parse().unwrap(), 1),
        driver,
        Arc::new(Seen::new()),
        Clock::start(),
    );
    let mut tasks = JoinSet::new();
    tasks.spawn(shell.run());
    let mut spec = PointSpec::new("p".parse().unwrap(), Kind::Number);
    (spec.cur, spec.write) = (Some("a".into()), Some("a".into()));
    let tuning = Arc::new(NamedTuning::new("t".parse().unwrap(), Tuning::default()));
    handle.bind(vec![PointDef::new(key(0), Arc::new(spec), tuning)]).await;
    handle.watch(vec![key(0)]).await;
    while heard.load(Ordering::Relaxed) < 100 {
        tokio::task::yield_now().await;
    }
    for _ in 0..20 {
        assert_eq!(handle.write(key(0), five()).await, Ok(WriteDone::Taken));
    }
    assert!(handle.stats().readings > 100);
    drop(handle);
    tasks.join_next().await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn details_and_the_trace_answer_while_the_driver_hangs() {
    let bench = bench(Features::NONE.with_poll(), |_| ()).await;
    bench.until("ok", |seen| seen.conn.lock().unwrap().status == Status::Ok).await;
    let trace = bench.handle.trace().clone();
    assert_eq!(trace.since(0).entries, [], "off by default");
    trace.switch(true);
    bench.device.set_mood(Mood::Silent);
    tokio::time::sleep(Duration::from_secs(12)).await;
    let details = bench.handle.details();
    let (what, since) = details.current.unwrap();
    assert_eq!(what, "read");
    assert!(details.now.since(since) > Duration::from_secs(10), "{details}");
    assert!(details.to_string().contains("openPins:      watch\n"), "{details}");
    let entries = trace.since(0).entries;
    assert_eq!(&*entries.last().unwrap().text, "read 3 points of bucket 0");
    trace.changed(trace.since(0).next).await;
    let entries = trace.since(0).entries;
    let failed = "failed after 60s: the operation took longer";
    assert!(entries.iter().any(|entry| entry.text.contains(failed)), "{entries:?}");
}

#[tokio::test(start_paused = true)]
async fn what_comes_unasked_waits_at_the_device_while_there_is_no_room_and_commands_go_on() {
    let bench = bench(Features::NONE.with_watch().with_poll().with_write(), |_| ()).await;
    let ok = |seen: &Seen| {
        seen.points.lock().unwrap().get(&0).is_some_and(|cur| cur.status == Status::Ok)
    };
    bench.until("ok", ok).await;
    let past = || bench.seen.past.lock().unwrap().clone();
    let item = |secs| (jiff::Timestamp::from_second(secs).unwrap(), Value::number(secs as f64));
    bench.device.tell_past("a", [item(1), item(2)]);
    bench.until("the past", |_| past().len() == 2).await;
    assert_eq!(past(), [(0, 1.0), (0, 2.0)]);
    bench.seen.full.store(true, Ordering::Relaxed);
    // One event may be waited for already.
    bench.device.tell_past("a", [item(3)]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = past().len();
    bench.device.tell_past("b", [item(4)]);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(past().len(), before, "nothing more is asked for");
    let info = WriteInfo::at(Value::number(9.0), Level::MANUAL, "test");
    assert_eq!(bench.handle.write(key(1), info).await, Ok(WriteDone::Taken));
    bench.seen.full.store(false, Ordering::Relaxed);
    bench.until("the rest", |_| past().len() == 4).await;
}

#[tokio::test(start_paused = true)]
async fn a_trace_that_is_left_on_for_days_keeps_the_last_entries_only() {
    let bench = bench(Features::NONE.with_poll(), |_| ()).await;
    let tuning = Tuning::default().with_poll_time(Duration::from_secs(20));
    let tuning = Arc::new(NamedTuning::new("slow".parse().unwrap(), tuning));
    bench.handle.retune((0..3).map(|slot| (key(slot), Arc::clone(&tuning))).collect()).await;
    bench.handle.trace().switch(true);
    tokio::time::sleep(Duration::from_secs(3 * 86_400)).await;
    let batch = bench.handle.trace().since(0);
    assert_eq!(batch.entries.len(), Trace::ENTRIES_MAX);
    assert_eq!(batch.missed + batch.entries.len() as u64, batch.next);
    assert!(batch.next > 2 * 3 * 86_400 / 20, "{} entries in three days", batch.next);
    let bytes: usize = batch.entries.iter().map(|entry| entry.text.len()).sum();
    assert!(bytes <= Trace::ENTRIES_MAX * Trace::TEXT_LEN_MAX, "{bytes} bytes");
    assert!(bench.handle.stats().scans > 3 * 86_400 / 20 - 10, "polls went on");
}
