use core::time::Duration;
use std::sync::Arc;

use pointstream_conn::{
    Action, ConnConfig, ConnState, Connector, Event, Features, Input, Learn, NamedTuning, PointDef,
    Readings,
};
use pointstream_point::{
    Id, Kind, Level, Now, PointKey, PointSpec, Status, Tuning, Value, WriteInfo,
};
use pointstream_time::{Instant, Seed};

use super::device::Mood;
use super::histories::{self, Histories, MINUTE};
use super::{Device, Outcome};

/// Why a connector is looked at.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Alarm {
    /// The operation under way ends.
    Done,
    /// The machine wanted to be told the time.
    Wake,
    /// Something goes wrong or is changed.
    Trouble,
    /// A minute has begun.
    Minute,
    /// From now on nothing does.
    Quiet,
}

/// A connector with its device.
#[derive(Debug)]
pub(super) struct Member {
    machine: Connector,
    device: Device,
    seed: Seed,
    points: u32,
    subscribes: bool,
    tunings: [Arc<NamedTuning>; 3],
    generations: Vec<u32>,
    watched: Vec<bool>,
    shown: Vec<(Status, f64)>,
    histories: Histories,
    quiet_at: Instant,
    running: Option<Action>,
    done_at: Option<Instant>,
    wake_at: Option<Instant>,
    /// Time-outs in a row at one instant, which nothing came of.
    spins: u32,
    asked: u64,
    answered: u64,
    readings: Readings,
}

/// What all devices give when things are quiet.
const FINAL: f64 = 777.0;

/// As many time-outs at one instant are a storm.
const SPINS_MAX: u32 = 100;

const POLLS: [u64; 3] = [5, 10, 60];

impl Member {
    pub(super) fn new(index: u32, points: u32, mut seed: Seed) -> Self {
        let tunings = [0, 1, 2].map(|at: usize| tuning(at, &mut seed));
        let mut config = ConnConfig::new(id(format_args!("c{index}")), index);
        config.op_timeout = Duration::from_secs(5);
        config.seed = seed.next_u64();
        let mut features =
            Features::NONE.with_poll().with_write().with_learn(Learn::Session).with_history();
        let subscribes = index % 4 == 3;
        if subscribes {
            features = features.with_watch();
        }
        let now = Now::simulated(Instant::ORIGIN);
        let len = points as usize;
        let mut member = Self {
            machine: Connector::new(now, config, features),
            device: Device::new(seed.split()),
            seed,
            points,
            subscribes,
            tunings,
            generations: vec![1; len],
            watched: vec![true; len],
            shown: vec![(Status::Unknown, 0.0); len],
            histories: Histories::new(&spec(0), points),
            quiet_at: Instant::ORIGIN,
            running: None,
            done_at: None,
            wake_at: None,
            spins: 0,
            asked: 0,
            answered: 0,
            readings: Readings::new(),
        };
        let defs = (0..points).map(|slot| member.def(slot)).collect();
        member.machine.handle(now, Input::Bind(defs));
        let keys = (0..points).map(|slot| member.key(slot)).collect();
        member.machine.handle(now, Input::Watch(keys));
        member
    }

    /// Does what is due, and says when to come back.
    pub(super) fn on_alarm(
        &mut self,
        at: Instant,
        alarm: Alarm,
        quiet: bool,
        outcome: &mut Outcome,
    ) -> Result<Vec<(Instant, Alarm)>, String> {
        let mut next = Vec::new();
        match alarm {
            Alarm::Done if self.done_at == Some(at) => self.on_done(at, outcome)?,
            Alarm::Minute => {
                self.histories.on_minute(Now::simulated(at).wall, outcome);
                next.push((at + MINUTE, Alarm::Minute));
            }
            Alarm::Wake if self.wake_at == Some(at) => {
                self.wake_at = None;
                outcome.wakes += 1;
                self.spins += 1;
                self.machine.handle(Now::simulated(at), Input::Timeout);
            }
            Alarm::Trouble if !quiet => {
                outcome.troubles += 1;
                let asked = self.asked;
                self.on_trouble(at);
                outcome.requests += self.asked - asked;
                let pause = Duration::from_secs(5) + self.seed.below(Duration::from_secs(120));
                next.push((at + pause, Alarm::Trouble));
            }
            Alarm::Quiet => self.on_quiet(at),
            _ => return Ok(next),
        }
        self.settle(at, outcome, &mut next)?;
        if self.spins > SPINS_MAX {
            return Err(format!("a storm of wake-ups: {:?}", self.machine.view()));
        }
        Ok(next)
    }

    /// Has the machine say what is to be done, until it waits for the device or for time.
    fn settle(
        &mut self,
        at: Instant,
        outcome: &mut Outcome,
        next: &mut Vec<(Instant, Alarm)>,
    ) -> Result<(), String> {
        let now = Now::simulated(at);
        loop {
            self.drain(now, outcome)?;
            if self.running.is_some() {
                break;
            }
            let Some(action) = self.machine.poll_action() else { break };
            outcome.operations += 1;
            self.spins = 0;
            let limit = self.machine.op_timeout();
            match self.device.takes(&action, limit) {
                Some(time) => {
                    self.running = Some(action);
                    self.done_at = Some(at + time);
                    next.push((at + time, Alarm::Done));
                }
                None => {
                    let result = self.device.answer(&action, now.wall, &mut self.readings);
                    self.machine.handle(now, Input::Done(result));
                }
            }
        }
        self.drain(now, outcome)?;
        let wake = self.machine.poll_timeout().map(|wake| wake.max(at));
        if wake != self.wake_at {
            self.wake_at = wake;
            next.extend(wake.map(|wake| (wake, Alarm::Wake)));
        }
        Ok(())
    }

    fn on_done(&mut self, at: Instant, outcome: &mut Outcome) -> Result<(), String> {
        self.done_at = None;
        let Some(action) = self.running.take() else { return Ok(()) };
        let now = Now::simulated(at);
        let before = self.machine.stats().readings;
        let result = self.device.answer(&action, now.wall, &mut self.readings);
        self.machine.handle(now, Input::Readings(&mut self.readings));
        self.machine.handle(now, Input::Done(result));
        outcome.readings += self.machine.stats().readings - before;
        self.drain(now, outcome)
    }

    fn drain(&mut self, now: Now, outcome: &mut Outcome) -> Result<(), String> {
        loop {
            self.take_changes(outcome)?;
            let mut told = self.take_events(now, outcome)?;
            if let Some(reading) = self.histories.next(self.asked + 1) {
                self.asked += 1;
                outcome.requests += 1;
                told.push(reading);
            }
            if told.is_empty() {
                return Ok(());
            }
            told.into_iter().for_each(|input| self.machine.handle(now, input));
        }
    }

    fn take_changes(&mut self, outcome: &mut Outcome) -> Result<(), String> {
        while let Some(changes) = self.machine.poll_update() {
            for (key, item) in &changes.past {
                let item = item.as_ref().map_err(ToString::to_string)?;
                self.histories.on_past(*key, item.ts, &item.val, outcome)?;
            }
            for (key, cur) in &changes.points {
                self.histories.on_cur(*key, cur);
                let number = match cur.val {
                    Value::Number(number, _) => number,
                    _ => 0.0,
                };
                if let Some(shown) = self.shown.get_mut(key.slot as usize) {
                    *shown = (cur.status, number);
                }
            }
        }
        Ok(())
    }

    /// Counts what was answered. Gives what the machine is to be told because of it.
    fn take_events(
        &mut self,
        now: Now,
        outcome: &mut Outcome,
    ) -> Result<Vec<Input<'static>>, String> {
        let mut told = Vec::new();
        while let Some(event) = self.machine.poll_event() {
            match event {
                Event::Written { .. } | Event::Synced { .. } | Event::Learned { .. } => {
                    self.answered += 1;
                }
                Event::History { token, result } => {
                    self.answered += 1;
                    if self.histories.token == Some(token) {
                        told.extend(self.histories.on_read(result, now, outcome)?);
                    }
                }
                _ => {}
            }
        }
        Ok(told)
    }

    fn on_trouble(&mut self, at: Instant) {
        let now = Now::simulated(at);
        let slot = (self.seed.next_u64() % u64::from(self.points.max(1))) as u32;
        let key = self.key(slot);
        match self.seed.next_u64() % 18 {
            0 | 1 => {
                self.device.mood = Mood::Gone;
                self.device.kept.get_or_insert(now.wall);
            }
            2 => self.device.mood = Mood::Silent,
            3 => self.device.mood = Mood::Slow,
            4 => self.device.mood = Mood::Flaky,
            5..=7 => self.device.mood = Mood::Well,
            8 => self.device.refuses = (self.device.refuses != Some(key)).then_some(key),
            9 => self.watch(now, slot, true),
            10 => self.watch(now, slot, false),
            11 | 12 => {
                self.asked += 1;
                let info = WriteInfo::at(Value::number(1.0), Level::MANUAL, "simulation");
                self.machine.handle(now, Input::Write(key, info, self.asked));
            }
            13 => {
                self.asked += 1;
                self.machine.handle(now, Input::Sync(vec![key], self.asked));
            }
            14 => {
                self.asked += 1;
                self.machine.handle(now, Input::Learn(None, self.asked));
            }
            15 => {
                let key = self.key(slot % histories::KEPT.min(self.points.max(1)));
                self.histories.sync(&mut self.machine, now, key);
            }
            16 => {
                let tuning = Arc::clone(&self.tunings[self.seed.next_u64() as usize % 3]);
                self.machine.handle(now, Input::Retune(vec![(key, tuning)]));
            }
            _ => self.replace(now, slot),
        }
        if self.seed.next_u64().is_multiple_of(20) {
            let disabled = self.seed.next_u64().is_multiple_of(2);
            self.machine.handle(now, Input::Disable(disabled));
        }
        self.device.value += 1.0;
    }

    fn watch(&mut self, now: Now, slot: u32, watched: bool) {
        self.watched[slot as usize] = watched;
        let keys = vec![self.key(slot)];
        let input = if watched { Input::Watch(keys) } else { Input::Unwatch(keys) };
        self.machine.handle(now, input);
    }

    /// Takes a point away and puts another one into its place, as a change of its address does.
    fn replace(&mut self, now: Now, slot: u32) {
        self.machine.handle(now, Input::Unbind(vec![self.key(slot)]));
        self.generations[slot as usize] += 1;
        self.shown[slot as usize] = (Status::Unknown, 0.0);
        self.machine.handle(now, Input::Bind(vec![self.def(slot)]));
        self.watch(now, slot, true);
    }

    fn on_quiet(&mut self, at: Instant) {
        let now = Now::simulated(at);
        (self.device.mood, self.device.refuses, self.device.value) = (Mood::Well, None, FINAL);
        self.machine.handle(now, Input::Disable(false));
        // What was subscribed to is not read again by itself.
        self.machine.handle(now, Input::Close);
        self.quiet_at = at;
        let keys: Vec<_> = (0..self.points.min(histories::KEPT)).map(|at| self.key(at)).collect();
        self.histories.sync_all(&mut self.machine, now, &keys);
    }

    /// Whether the connector is what it should be when things have been quiet.
    pub(super) fn check(&self, end: Instant) -> Result<(), String> {
        if self.answered != self.asked {
            return Err(format!("{} of {} requests were answered", self.answered, self.asked));
        }
        self.histories.check(self.quiet_at, end, &self.watched, FINAL)?;
        let any = self.watched.contains(&true);
        let view = self.machine.view();
        if any && (view.state, view.status) != (ConnState::Open, Status::Ok) {
            return Err(format!("points are watched, and it is {view:?}"));
        }
        for (slot, (watched, shown)) in self.watched.iter().zip(&self.shown).enumerate() {
            // A device that speaks only of changes lets a value grow stale that does not change.
            let fresh = shown.0 == Status::Ok || (self.subscribes && shown.0 == Status::Stale);
            if *watched && !(fresh && shown.1 == FINAL) {
                return Err(format!("point {slot} is watched, and shows {shown:?}"));
            }
        }
        Ok(())
    }

    fn key(&self, slot: u32) -> PointKey {
        let shard = self.machine.shard();
        PointKey { shard, slot, generation: self.generations[slot as usize] }
    }

    fn def(&self, slot: u32) -> PointDef {
        let tuning = Arc::clone(&self.tunings[slot as usize % 3]);
        PointDef::new(self.key(slot), Arc::new(spec(slot)), tuning)
    }
}

fn spec(slot: u32) -> PointSpec {
    let mut spec = PointSpec::new(id(format_args!("p{slot}")), Kind::Number);
    (spec.cur, spec.write) = (Some("r".into()), Some("w".into()));
    histories::configure(&mut spec);
    spec
}

fn tuning(at: usize, seed: &mut Seed) -> Arc<NamedTuning> {
    let tuning = Tuning::default()
        .with_poll_time(Duration::from_secs(POLLS[at]))
        .with_stale_time(Duration::from_secs(150))
        .with_write_min_time(Duration::from_millis(100 + seed.next_u64() % 3000))
        .with_write_on_open(at == 0);
    Arc::new(NamedTuning::new(id(format_args!("t{at}")), tuning))
}

fn id(text: core::fmt::Arguments<'_>) -> Id {
    match text.to_string().parse() {
        Ok(id) => id,
        Err(error) => unreachable!("{text}: {error}"),
    }
}
