use core::time::Duration;
use std::sync::Arc;

use pointstream_point::{Id, Kind, LearnRow, Learned, Level, PointSpec, Tags, Tuning, Value};

use super::*;
use crate::action::Outcome;
use crate::config::{NamedTuning, PointDef};
use crate::driver::OpError;
use crate::readings::Readings;
use crate::samples::Samples;
use crate::view::WriteDone;

const UNIT: Duration = Duration::from_millis(1);

fn at(secs: u64) -> Instant {
    Instant::from_origin(Duration::from_secs(secs))
}

fn key(slot: u32) -> PointKey {
    PointKey { shard: 7, slot, generation: 1 }
}

fn tuning(name: &str, poll: u64, stale: u64) -> Arc<NamedTuning> {
    let tuning = Tuning::default()
        .with_poll_time(Duration::from_secs(poll))
        .with_stale_time(Duration::from_secs(stale));
    Arc::new(NamedTuning::new(name.parse().unwrap(), tuning))
}

fn point(slot: u32, tuning: &Arc<NamedTuning>) -> PointDef {
    let id: Id = format!("p{slot}").parse().unwrap();
    let mut spec = PointSpec::new(id, Kind::Number);
    spec.cur = Some(format!("cur {slot}").into());
    spec.write = Some(format!("write {slot}").into());
    PointDef::new(key(slot), Arc::new(spec), Arc::clone(tuning))
}

fn write(key: PointKey, val: Value, token: u64) -> Input<'static> {
    Input::Write(key, WriteInfo::at(val, Level::MANUAL, "test"), token)
}

/// A machine with a device behind it that answers at once, unless told otherwise.
struct Sim {
    machine: Connector,
    now: Instant,
    device: Device,
    log: Vec<(Instant, String)>,
    shown: BTreeMap<u32, pointstream_point::Cur>,
    writes: BTreeMap<u32, pointstream_point::Write>,
    his: BTreeMap<u32, pointstream_point::His>,
    written: Vec<(u64, Result<WriteDone, Fault>)>,
    synced: Vec<(u64, Result<(), Fault>)>,
    /// What a slow device has in hand.
    held: Option<Action>,
    learned: Vec<(u64, Result<Learned, Fault>)>,
    histories: Vec<(u64, Result<Samples, Fault>)>,
    past: Vec<(PointKey, Result<HisItem, Fault>)>,
}

struct Device {
    up: bool,
    /// It has each operation in hand until it is well again or time has passed.
    slow: bool,
    value: f64,
    refuse: Option<PointKey>,
    bad_address: Option<PointKey>,
    bad_write: Option<PointKey>,
    request_len: usize,
    unwatchable: Option<PointKey>,
    refuse_watch: bool,
    /// What was written, with the time.
    taken: Vec<(Instant, u32, Value)>,
}

impl Sim {
    fn new(features: Features) -> Self {
        Self::with(features, ConnConfig::new("ahu".parse().unwrap(), 7))
    }

    fn with(features: Features, config: ConnConfig) -> Self {
        let machine = Connector::new(Now::simulated(at(0)), config, features);
        let device = Device {
            up: true,
            slow: false,
            value: 1.0,
            refuse: None,
            bad_address: None,
            bad_write: None,
            request_len: 10,
            unwatchable: None,
            refuse_watch: false,
            taken: Vec::new(),
        };
        Self {
            machine,
            now: at(0),
            device,
            log: Vec::new(),
            shown: BTreeMap::new(),
            writes: BTreeMap::new(),
            his: BTreeMap::new(),
            written: Vec::new(),
            synced: Vec::new(),
            held: None,
            learned: Vec::new(),
            histories: Vec::new(),
            past: Vec::new(),
        }
    }

    fn polled() -> Self {
        Self::new(Features::NONE.with_poll().with_write())
    }

    fn input(&mut self, input: Input<'_>) {
        self.machine.handle(Now::simulated(self.now), input);
        self.settle();
    }

    /// Does everything that is to be done now.
    fn settle(&mut self) {
        self.drain();
        while self.held.is_none()
            && let Some(action) = self.machine.poll_action()
        {
            self.log.push((self.now, name(&action)));
            let at_once = matches!(action, Action::Bind(_) | Action::Unbind(_) | Action::Plan(..));
            if self.device.slow && !at_once {
                self.held = Some(action);
            } else {
                self.finish(&action);
            }
        }
        self.drain();
    }

    fn finish(&mut self, action: &Action) {
        let mut readings = Readings::new();
        let result = self.answer(action, &mut readings);
        self.machine.handle(Now::simulated(self.now), Input::Readings(&mut readings));
        self.machine.handle(Now::simulated(self.now), Input::Done(result));
        self.drain();
    }

    /// A slow device ends what it has in hand.
    fn release(&mut self) {
        if let Some(action) = self.held.take() {
            self.finish(&action);
            self.settle();
        }
    }

    fn drain(&mut self) {
        while let Some(changes) = self.machine.poll_update() {
            for (key, cur) in &changes.points {
                self.shown.insert(key.slot, cur.clone());
            }
            for (key, write) in &changes.writes {
                self.writes.insert(key.slot, write.clone());
            }
            for (key, his) in &changes.his {
                self.his.insert(key.slot, his.clone());
            }
            self.past.extend(changes.past.iter().cloned());
        }
        while let Some(event) = self.machine.poll_event() {
            match event {
                Event::Written { token, result } => self.written.push((token, result)),
                Event::Synced { token, result } => self.synced.push((token, result)),
                Event::History { token, result } => self.histories.push((token, result)),
                Event::Learned { token, result } => self.learned.push((token, result)),
                Event::Conn(_) => {}
            }
        }
    }

    fn answer(&mut self, action: &Action, into: &mut Readings) -> Result<Outcome, OpError> {
        match action {
            Action::Bind(bindings) => {
                let bad = bindings.iter().filter(|b| Some(b.key) == self.device.bad_address);
                bad.for_each(|b| into.err(b.key, Fault::permanent("bad address")));
                let bad = bindings.iter().filter(|b| Some(b.key) == self.device.bad_write);
                bad.for_each(|b| into.write_err(b.key, Fault::permanent("bad write address")));
                Ok(Outcome::None)
            }
            Action::Plan(keys, _) => {
                let chunks = keys.chunks(self.device.request_len.max(1));
                Ok(Outcome::Plan(chunks.map(|keys| Request::new(keys, 0)).collect()))
            }
            Action::Close | Action::Unbind(_) => Ok(Outcome::None),
            Action::Learn(_) if self.machine.view().state != ConnState::Open => {
                Ok(Outcome::Learned(vec![LearnRow::new("offline")]))
            }
            _ if !self.device.up => Err(OpError::Session(Fault::down("no route"))),
            Action::History(_, span) => {
                let mut samples = Samples::new();
                samples.push(span.start, Value::number(self.device.value));
                Ok(Outcome::History(samples))
            }
            Action::Learn(at) => {
                let at = at.as_ref().map_or("root", |at| at.as_str());
                Ok(Outcome::Learned(vec![LearnRow::new(at).with_learn(format!("{at}/x"))]))
            }
            Action::Ping => Ok(Outcome::Ping(Tags::new())),
            Action::Read(requests, _) => {
                for &key in requests.iter().flat_map(|request| request.points.iter()) {
                    if self.device.refuse == Some(key) {
                        into.err(key, Fault::permanent("Illegal Data Address"));
                    } else {
                        into.ok(key, Value::number(self.device.value));
                    }
                }
                Ok(Outcome::None)
            }
            Action::Write(writes) => {
                let taken = |write: &crate::Write| (self.now, write.key.slot, write.value.clone());
                self.device.taken.extend(writes.iter().map(taken));
                Ok(Outcome::None)
            }
            Action::Watch(_) if self.device.refuse_watch => {
                Err(OpError::Refused(Fault::permanent("no room for a watch")))
            }
            Action::Watch(keys) => {
                for &key in keys {
                    if self.device.unwatchable == Some(key) {
                        into.unwatchable(key, Fault::unsupported("change of value"));
                    } else {
                        into.ok(key, Value::number(self.device.value));
                    }
                }
                Ok(Outcome::None)
            }
            _ => Ok(Outcome::None),
        }
    }

    /// Lets time pass up to `until`, stopping at each time-out of the machine.
    fn run_until(&mut self, until: Instant) {
        loop {
            match self.machine.poll_timeout() {
                Some(next) if next <= until => {
                    assert!(next > self.now || self.log.len() < 100_000, "a storm at {next:?}");
                    self.now = self.now.max(next);
                    self.input(Input::Timeout);
                    let again = self.machine.poll_timeout().is_some_and(|at| at <= self.now);
                    assert!(!again, "it is told the time and wants to be told again");
                }
                _ => break,
            }
        }
        self.now = until;
        self.release();
    }

    fn names(&self) -> Vec<&str> {
        self.log.iter().map(|(_, name)| name.as_str()).collect()
    }

    fn count(&self, name: &str) -> usize {
        self.names().iter().filter(|&&other| other == name).count()
    }

    fn status(&self, slot: u32) -> Status {
        self.shown[&slot].status
    }

    fn watched(points: u32, poll: u64, stale: u64) -> Self {
        let mut sim = Self::polled();
        let tuning = tuning("t", poll, stale);
        sim.input(Input::Bind((0..points).map(|slot| point(slot, &tuning)).collect()));
        sim.input(Input::Watch((0..points).map(key).collect()));
        sim
    }
}

fn name(action: &Action) -> String {
    match action {
        Action::Open => "open".into(),
        Action::Close => "close".into(),
        Action::Ping => "ping".into(),
        Action::Bind(_) => "bind".into(),
        Action::Unbind(_) => "unbind".into(),
        Action::Plan(..) => "plan".into(),
        Action::Read(..) => "read".into(),
        Action::Poll => "poll".into(),
        Action::Write(writes) => format!("write {}", writes.len()),
        Action::Watch(keys) => format!("watch {}", keys.len()),
        Action::Unwatch(keys) => format!("unwatch {}", keys.len()),
        Action::Learn(_) => "learn".into(),
        Action::History(..) => "history".into(),
    }
}

#[test]
fn nothing_is_opened_before_somebody_watches() {
    let mut sim = Sim::polled();
    let tuning = tuning("t", 10, 300);
    sim.input(Input::Bind(vec![point(0, &tuning)]));
    assert_eq!(sim.names(), ["bind"]);
    assert_eq!(sim.status(0), Status::Unknown);
    sim.input(Input::Watch(vec![key(0)]));
    assert_eq!(sim.names(), ["bind", "open", "ping", "plan", "read"]);
    assert_eq!(sim.status(0), Status::Ok);
    assert_eq!(sim.machine.view().state, ConnState::Open);
}

#[test]
fn a_bucket_is_read_on_a_fixed_grid() {
    let mut sim = Sim::watched(3, 10, 300);
    sim.log.clear();
    sim.run_until(at(100));
    let reads: Vec<_> = sim.log.iter().filter(|(_, name)| name == "read").collect();
    assert_eq!(reads.len(), 10);
    for pair in reads.windows(2) {
        assert_eq!(pair[1].0.since(pair[0].0), Duration::from_secs(10));
    }
}

#[test]
fn a_bucket_goes_out_in_requests_and_a_slow_one_skips_instead_of_queueing() {
    let mut sim = Sim::watched(25, 10, 300);
    assert_eq!(sim.count("read"), 3, "25 points in requests of 10");
    assert_eq!(sim.machine.stats().scans, 1);
    // A scan that is under way when the next two are due.
    let due = sim.machine.poll_timeout().unwrap();
    sim.now = due;
    sim.machine.handle(Now::simulated(due), Input::Timeout);
    assert!(matches!(sim.machine.poll_action(), Some(Action::Read(..))));
    let late = due + Duration::from_secs(21);
    sim.now = late;
    sim.machine.handle(Now::simulated(late), Input::Timeout);
    sim.machine.handle(Now::simulated(late), Input::Done(Ok(Outcome::None)));
    sim.settle();
    let stats = sim.machine.stats();
    assert_eq!((stats.overruns, stats.skipped), (1, 2));
    assert_eq!(sim.machine.poll_timeout(), Some(due + Duration::from_secs(30)));
}

#[test]
fn a_lost_session_takes_its_points_down_and_gives_them_back() {
    let mut sim = Sim::watched(2, 10, 300);
    sim.device.up = false;
    sim.run_until(at(30));
    assert_eq!(sim.status(0), Status::Down);
    assert_eq!(sim.shown[&0].err.as_deref(), Some("conn down"));
    assert_eq!(sim.shown[&0].val, Value::Null);
    assert_eq!(sim.machine.view().status, Status::Down);
    assert_eq!(sim.machine.view().err.as_deref(), Some("no route"));
    sim.device.up = true;
    sim.device.value = 2.0;
    sim.run_until(at(41));
    assert_eq!(sim.status(0), Status::Ok);
    assert_eq!(sim.shown[&0].val, Value::number(2.0));
}

#[test]
fn an_absent_device_is_tried_for_ever_within_the_retry_time() {
    let mut sim = Sim::polled();
    sim.device.up = false;
    let tuning = tuning("t", 10, 300);
    sim.input(Input::Bind(vec![point(0, &tuning)]));
    sim.input(Input::Watch(vec![key(0)]));
    assert_eq!(sim.status(0), Status::Down);
    sim.run_until(at(3600));
    let opens: Vec<_> = sim.log.iter().filter(|(_, name)| name == "open").collect();
    assert!(opens.len() >= 360, "{} tries in an hour", opens.len());
    for pair in opens.windows(2) {
        assert!(pair[1].0.since(pair[0].0) <= Duration::from_secs(10));
        assert!(pair[1].0.since(pair[0].0) >= Duration::from_millis(100));
    }
    sim.device.up = true;
    sim.run_until(at(3610));
    assert_eq!(sim.status(0), Status::Ok);
}

#[test]
fn a_session_is_ok_only_after_a_sign_of_life() {
    let mut sim = Sim::polled();
    let tuning = tuning("t", 10, 300);
    sim.input(Input::Bind(vec![point(0, &tuning)]));
    sim.machine.handle(Now::simulated(at(1)), Input::Watch(vec![key(0)]));
    assert_eq!(sim.machine.poll_action(), Some(Action::Open));
    sim.machine.handle(Now::simulated(at(1)), Input::Done(Ok(Outcome::None)));
    assert_eq!(sim.machine.view().state, ConnState::Opening);
    assert_eq!(sim.machine.view().status, Status::Unknown);
    assert_eq!(sim.machine.poll_action(), Some(Action::Ping));
    let dead = Err(OpError::Session(Fault::down("no answer")));
    sim.machine.handle(Now::simulated(at(2)), Input::Done(dead));
    assert_eq!(sim.machine.view().status, Status::Down);
    assert_eq!(sim.machine.poll_action(), Some(Action::Close));
}

#[test]
fn one_refused_point_does_not_touch_its_neighbours() {
    let mut sim = Sim::watched(3, 10, 300);
    sim.device.refuse = Some(key(1));
    sim.device.value = 5.0;
    sim.run_until(at(11));
    assert_eq!(sim.status(1), Status::Fault);
    assert_eq!(sim.shown[&1].err.as_deref(), Some("Illegal Data Address"));
    assert_eq!(sim.shown[&0].val, Value::number(5.0));
    assert_eq!(sim.status(2), Status::Ok);
    assert_eq!(sim.machine.view().status, Status::Ok);
}

#[test]
fn a_bad_address_is_its_points_fault_and_is_never_asked_for() {
    let mut sim = Sim::polled();
    sim.device.bad_address = Some(key(0));
    let tuning = tuning("t", 10, 300);
    sim.input(Input::Bind(vec![point(0, &tuning), point(1, &tuning)]));
    sim.input(Input::Watch(vec![key(0), key(1)]));
    assert_eq!(sim.status(0), Status::Fault);
    assert_eq!(sim.shown[&0].err.as_deref(), Some("bad address"));
    assert_eq!(sim.status(1), Status::Ok);
    assert_eq!(sim.machine.stats().readings, 1);
    sim.device.up = false;
    sim.run_until(at(11));
    assert_eq!(sim.status(0), Status::Fault, "the configuration fault stands above the connector");
}

#[test]
fn a_bad_address_to_write_to_leaves_the_current_value_alone() {
    let mut sim = Sim::polled();
    sim.device.bad_write = Some(key(0));
    let tuning = tuning("t", 10, 300);
    sim.input(Input::Bind(vec![point(0, &tuning)]));
    sim.input(Input::Watch(vec![key(0)]));
    assert_eq!(sim.status(0), Status::Ok);
    sim.input(write(key(0), Value::number(3.0), 1));
    assert_eq!(sim.written, [(1, Err(Fault::permanent("bad write address")))]);
}

#[test]
fn ok_goes_stale_exactly_at_the_stale_time() {
    // A point that is watched but whose device has stopped reporting it.
    let mut sim = Sim::new(Features::NONE.with_watch());
    let tuning = tuning("t", 10, 60);
    sim.input(Input::Bind(vec![point(0, &tuning), point(1, &tuning)]));
    sim.input(Input::Watch(vec![key(0), key(1)]));
    assert_eq!(sim.names(), ["bind", "open", "ping", "watch 2"]);
    let mut readings = Readings::new();
    readings.ok(key(0), Value::number(1.0));
    sim.now = at(5);
    sim.input(Input::Readings(&mut readings));
    readings.ok(key(1), Value::number(1.0));
    sim.now = at(20);
    sim.input(Input::Readings(&mut readings));
    assert_eq!(sim.machine.poll_timeout(), Some(at(65)));
    sim.now = at(65) - UNIT;
    sim.input(Input::Timeout);
    assert_eq!(sim.status(0), Status::Ok);
    sim.now = at(65);
    sim.input(Input::Timeout);
    assert_eq!(sim.status(0), Status::Stale);
    assert_eq!(sim.shown[&0].val, Value::number(1.0), "the value is kept");
    assert_eq!(sim.status(1), Status::Ok);
    assert_eq!(sim.machine.poll_timeout(), Some(at(80)));
    readings.ok(key(0), Value::number(1.0));
    sim.now = at(70);
    sim.input(Input::Readings(&mut readings));
    assert_eq!(sim.status(0), Status::Ok);
}

#[test]
fn the_session_lingers_and_then_closes() {
    let mut sim = Sim::watched(1, 10, 300);
    sim.run_until(at(100));
    sim.input(Input::Unwatch(vec![key(0)]));
    sim.log.clear();
    sim.run_until(at(105) - UNIT);
    assert_eq!(sim.machine.view().state, ConnState::Open);
    assert_eq!(sim.count("read"), 0, "nobody watches");
    sim.run_until(at(105));
    assert_eq!(sim.names(), ["close"]);
    assert_eq!(sim.machine.view().state, ConnState::Closed);
    assert_eq!(sim.machine.view().status, Status::Ok, "closed without an error stays ok");
    sim.run_until(at(600));
    assert_eq!(sim.status(0), Status::Stale);
    assert_eq!(sim.machine.poll_timeout(), None, "nothing is left to do");
}

#[test]
fn a_write_opens_the_session_goes_first_and_is_read_back() {
    let mut sim = Sim::polled();
    let tuning = tuning("t", 10, 300);
    sim.input(Input::Bind(vec![point(0, &tuning), point(1, &tuning)]));
    sim.input(write(key(0), Value::number(3.0), 42));
    assert_eq!(sim.names(), ["bind", "open", "ping", "write 1", "plan", "read"]);
    assert_eq!(sim.written, [(42, Ok(WriteDone::Taken))]);
    assert_eq!(sim.status(0), Status::Ok);
    assert_eq!(sim.status(1), Status::Unknown, "only the written point is read back");
}

#[test]
fn writes_come_between_polls_but_not_before_each() {
    let mut sim = Sim::watched(30, 10, 300);
    let due = sim.machine.poll_timeout().unwrap();
    sim.now = due;
    let now = Now::simulated(due);
    sim.machine.handle(now, Input::Timeout);
    for slot in 0..3 {
        sim.machine.handle(now, write(key(slot), Value::Null, u64::from(slot)));
    }
    let mut order = Vec::new();
    for step in 0..5 {
        let Some(action) = sim.machine.poll_action() else { break };
        order.push(name(&action));
        let mut readings = Readings::new();
        let result = sim.answer(&action, &mut readings);
        if step < 3 {
            sim.machine.handle(now, write(key(10 + step), Value::Null, 100));
        }
        sim.machine.handle(now, Input::Done(result));
    }
    assert_eq!(order, ["write 3", "plan", "write 2", "read", "write 1"]);
}

#[test]
fn a_write_to_a_dead_device_fails_at_once_with_the_reason() {
    let mut sim = Sim::watched(1, 10, 300);
    sim.device.up = false;
    sim.run_until(at(11));
    sim.input(write(key(0), Value::number(3.0), 1));
    assert_eq!(sim.written, [(1, Err(Fault::down("no route")))]);
    sim.input(write(key(9), Value::number(3.0), 2));
    assert_eq!(sim.written[1], (2, Err(Fault::permanent("the point is gone"))));
}

#[test]
fn a_disabled_connector_is_closed_and_says_so_on_its_points() {
    let mut sim = Sim::watched(1, 10, 300);
    sim.input(Input::Disable(true));
    assert_eq!(sim.machine.view().state, ConnState::Closed);
    assert_eq!(sim.status(0), Status::Disabled);
    sim.run_until(at(3600));
    assert_eq!(sim.count("open"), 1);
    sim.input(Input::Disable(false));
    assert_eq!(sim.status(0), Status::Ok);
}

#[test]
fn a_replaced_point_starts_over_and_the_old_key_is_dead() {
    let mut sim = Sim::watched(2, 10, 300);
    let tuning = tuning("t", 10, 300);
    sim.input(Input::Unbind(vec![key(0)]));
    assert_eq!(sim.machine.points(), 1);
    let mut fresh = point(0, &tuning);
    fresh.key.generation = 2;
    let new_key = fresh.key;
    sim.input(Input::Bind(vec![fresh]));
    sim.input(Input::Watch(vec![new_key]));
    let mut readings = Readings::new();
    readings.ok(key(0), Value::number(99.0));
    sim.input(Input::Readings(&mut readings));
    assert_eq!(sim.shown[&0].val, Value::number(1.0));
    assert_eq!(sim.count("open"), 1, "the session stood through all of it");
}

#[test]
fn tunings_change_while_the_session_stands() {
    let mut sim = Sim::watched(2, 10, 300);
    sim.input(Input::Tuning(tuning("t", 2, 300)));
    sim.log.clear();
    sim.run_until(at(20));
    assert!((10..=11).contains(&sim.count("read")), "{} reads", sim.count("read"));
    sim.input(Input::Retune(vec![(key(1), tuning("slow", 100, 300))]));
    sim.log.clear();
    sim.run_until(at(120));
    assert!((50..=54).contains(&sim.count("read")), "{} reads", sim.count("read"));
    assert_eq!(sim.count("open"), 0);
}

#[test]
fn the_periodic_ping_finds_a_dead_session_without_points() {
    let mut config = ConnConfig::new("ahu".parse().unwrap(), 7);
    config.ping_freq = Some(Duration::from_secs(5));
    config.linger = Duration::from_secs(3600);
    let mut sim = Sim::polled();
    sim.machine = Connector::new(Now::simulated(at(0)), config, Features::NONE);
    sim.input(Input::Ping);
    sim.run_until(at(12));
    assert_eq!(sim.count("ping"), 3);
    sim.device.up = false;
    sim.run_until(at(16));
    assert_eq!(sim.machine.view().status, Status::Down);
    assert_eq!(sim.machine.view().state, ConnState::Closed);
}

#[test]
fn spurious_calls_are_harmless() {
    let mut sim = Sim::watched(3, 10, 300);
    let before = (sim.machine.poll_timeout(), sim.machine.stats());
    for _ in 0..10 {
        sim.input(Input::Timeout);
    }
    assert_eq!((sim.machine.poll_timeout(), sim.machine.stats()), before);
}

#[test]
fn a_write_after_a_failed_one_is_tried_though_nobody_watches() {
    let mut sim = Sim::polled();
    sim.device.up = false;
    sim.input(Input::Bind(vec![point(0, &tuning("t", 10, 300))]));
    sim.input(write(key(0), Value::number(3.0), 1));
    assert_eq!(sim.written, [(1, Err(Fault::down("no route")))]);
    sim.device.up = true;
    sim.run_until(at(3600));
    sim.input(write(key(0), Value::number(3.0), 2));
    assert_eq!(sim.written[1], (2, Ok(WriteDone::Taken)));
}

#[test]
fn a_point_that_is_watched_while_a_plan_is_made_is_polled_too() {
    let mut sim = Sim::polled();
    let tuning = tuning("t", 10, 300);
    sim.input(Input::Bind(vec![point(0, &tuning), point(1, &tuning)]));
    let now = Now::simulated(at(0));
    sim.machine.handle(now, Input::Watch(vec![key(0)]));
    let planned = loop {
        let action = sim.machine.poll_action().unwrap();
        let result = sim.answer(&action, &mut Readings::new());
        if matches!(action, Action::Plan(..)) {
            break result;
        }
        sim.machine.handle(now, Input::Done(result));
    };
    sim.machine.handle(now, Input::Watch(vec![key(1)]));
    sim.machine.handle(now, Input::Done(planned));
    sim.settle();
    sim.device.value = 2.0;
    sim.run_until(at(60));
    assert_eq!(sim.shown[&1].val, Value::number(2.0));
}

#[test]
fn a_linger_time_that_ends_during_an_operation_is_not_asked_for_again() {
    let mut sim = Sim::watched(1, 10, 300);
    sim.input(Input::Unwatch(vec![key(0)]));
    let handle = |sim: &mut Sim, secs, input: Input<'_>| {
        sim.machine.handle(Now::simulated(at(secs)), input);
    };
    // A write that the device takes very long for, and another one that waits.
    handle(&mut sim, 20, write(key(0), Value::number(1.0), 1));
    assert!(matches!(sim.machine.poll_action(), Some(Action::Write(..))));
    handle(&mut sim, 25, write(key(0), Value::number(2.0), 2));
    handle(&mut sim, 55, Input::Timeout);
    assert!(sim.machine.poll_timeout().is_none_or(|next| next > at(55)));
    sim.now = at(60);
    sim.input(Input::Done(Ok(Outcome::None)));
    assert_eq!(sim.written, [(1, Ok(WriteDone::Taken)), (2, Ok(WriteDone::Taken))]);
    sim.run_until(at(90) - UNIT);
    assert_eq!(sim.machine.view().state, ConnState::Open, "the second write lingers too");
    sim.run_until(at(90));
    assert_eq!(sim.names().last(), Some(&"close"));
}

#[test]
fn a_flood_of_writes_leaves_the_polls_their_turn() {
    let mut sim = Sim::watched(20, 10, 300);
    let due = sim.machine.poll_timeout().unwrap();
    sim.now = due;
    let now = Now::simulated(due);
    sim.machine.handle(now, Input::Timeout);
    let before = sim.machine.stats().scans;
    for step in 0..40 {
        sim.machine.handle(now, write(key(step % 20), Value::Null, u64::from(step)));
        let action = sim.machine.poll_action().unwrap();
        let result = sim.answer(&action, &mut Readings::new());
        sim.machine.handle(now, Input::Done(result));
    }
    assert_eq!(sim.machine.stats().scans, before + 1, "the scan of two requests that was due");
}

#[test]
fn a_panic_of_the_driver_while_it_binds_or_plans_does_not_pass_unseen() {
    let mut sim = Sim::polled();
    let tuning = tuning("t", 10, 300);
    let panicked = || Err(OpError::Session(Fault::permanent("the driver panicked")));
    let now = Now::simulated(at(0));
    sim.machine.handle(now, Input::Bind(vec![point(0, &tuning)]));
    assert!(matches!(sim.machine.poll_action(), Some(Action::Bind(..))));
    sim.machine.handle(now, Input::Done(panicked()));
    sim.settle();
    assert_eq!(sim.status(0), Status::Fault);
    assert_eq!(sim.shown[&0].err.as_deref(), Some("the driver panicked"));

    sim.input(Input::Bind(vec![point(1, &tuning)]));
    sim.machine.handle(now, Input::Watch(vec![key(1)]));
    while !matches!(sim.machine.poll_action().unwrap(), Action::Plan(..)) {
        sim.machine.handle(now, Input::Done(Ok(Outcome::None)));
    }
    sim.machine.handle(now, Input::Done(panicked()));
    assert_eq!(sim.machine.view().status, Status::Fault);
    sim.settle();
    sim.run_until(at(2));
    assert_eq!(sim.status(1), Status::Ok, "it is tried again");
}

#[test]
fn the_linger_time_begins_when_the_last_watch_ends() {
    let mut sim = Sim::watched(1, 10, 300);
    sim.run_until(at(29));
    sim.input(Input::Unwatch(vec![key(0)]));
    sim.run_until(at(34) - UNIT);
    assert_eq!(sim.machine.view().state, ConnState::Open);
    sim.run_until(at(34));
    assert_eq!(sim.machine.view().state, ConnState::Closed);
}

#[test]
fn what_a_driver_says_of_writes_between_them_is_not_held_against_the_next() {
    let mut sim = Sim::watched(1, 10, 300);
    let mut readings = Readings::new();
    readings.write_err(key(0), Fault::permanent("long ago"));
    sim.input(Input::Readings(&mut readings));
    sim.input(write(key(0), Value::number(3.0), 1));
    assert_eq!(sim.written, [(1, Ok(WriteDone::Taken))]);
}

#[test]
fn a_point_in_a_taken_slot_ends_the_one_before_it_for_the_driver_too() {
    let mut sim = Sim::watched(1, 10, 300);
    sim.machine.handle(Now::simulated(at(0)), write(key(0), Value::number(3.0), 1));
    let mut fresh = point(0, &tuning("t", 10, 300));
    fresh.key.generation = 2;
    sim.log.clear();
    sim.input(Input::Bind(vec![fresh]));
    assert_eq!(sim.written, [(1, Err(Fault::permanent("the point is gone")))]);
    assert_eq!(sim.names(), ["unbind", "bind"]);
}

mod changes;
mod facets;
mod history;
mod learning;
mod reads;
mod schedules;
mod writes;
