use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use pointstream_point::{Fault, Now, PointKey, Status, Value};
use pointstream_time::{Backoff, Instant, Seed};

use crate::action::{Action, Input, Outcome, PlanFor};
use crate::bucket::Want;
use crate::config::{ConnConfig, NamedTuning, PointDef};
use crate::driver::{Binding, Features, OpError, Request, Write};
use crate::readings::{Reading, Readings};
use crate::shard::{Over, Shard};
use crate::view::{Changes, ConnState, ConnView, Event, PollStats};
use crate::writes::Writes;

/// The state machine of a connector and of the points in its shard.
///
/// It is told the time and what happened, by [`handle`](Self::handle); it says what the driver is
/// to do, by [`poll_action`](Self::poll_action), one action at a time, each of which is answered
/// with [`Input::Done`]. It touches no socket and no clock. A call before its time, or one that
/// finds nothing to do, is harmless.
///
/// - The session is opened when points are watched or something is to be written; it is `open`
///   once the device has also given a sign of life. It closes when nobody has watched for the
///   linger time.
/// - After a failure the next try comes after a jittered delay that grows up to the configured
///   [`open_retry`](ConnConfig::open_retry), for ever.
/// - Requests go out one at a time: writes first, but never two batches of them in a row while
///   polls wait, then polls, round robin among the buckets.
#[derive(Debug)]
pub struct Connector {
    config: ConnConfig,
    features: Features,
    now: Now,
    view: ConnView,
    view_changed: bool,
    polls: PollStats,
    fault: Option<Fault>,
    proven: bool,
    close_wanted: bool,
    in_flight: Option<Action>,
    linger_until: Option<Instant>,
    retry: Backoff,
    retry_at: Option<Instant>,
    ping_wanted: bool,
    next_ping: Option<Instant>,
    seed: Seed,
    shard: Shard,
    to_bind: Vec<Binding>,
    to_unbind: Vec<PointKey>,
    to_watch: Vec<PointKey>,
    to_unwatch: Vec<PointKey>,
    quick: BTreeSet<PointKey>,
    quick_plan: VecDeque<Request>,
    writes: Writes,
    wrote_last: bool,
    quick_last: bool,
    turn: usize,
    events: VecDeque<Event>,
}

impl Connector {
    /// A closed connector without points. It is told the present for the first time here.
    pub fn new(now: Now, config: ConnConfig, features: Features) -> Self {
        let config = config.floored();
        let mut seed = Seed::new(config.seed);
        let retry = Backoff::new(ConnConfig::FLOOR, config.open_retry, seed.split());
        let mut connector = Self {
            config,
            features,
            now,
            view: ConnView::default(),
            view_changed: true,
            polls: PollStats::default(),
            fault: None,
            proven: false,
            close_wanted: false,
            in_flight: None,
            linger_until: None,
            retry,
            retry_at: None,
            ping_wanted: false,
            next_ping: None,
            seed,
            shard: Shard::default(),
            to_bind: Vec::new(),
            to_unbind: Vec::new(),
            to_watch: Vec::new(),
            to_unwatch: Vec::new(),
            quick: BTreeSet::new(),
            quick_plan: VecDeque::new(),
            writes: Writes::default(),
            wrote_last: false,
            quick_last: false,
            turn: 0,
            events: VecDeque::new(),
        };
        connector.update_status();
        connector
    }

    /// Takes note of the time and of what happened.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        self.now = now;
        match input {
            Input::Done(result) => self.on_done(result),
            Input::Readings(readings) => self.on_readings(readings),
            Input::Lost(fault) => {
                self.close_wanted = self.view.state != ConnState::Closed;
                self.on_lost(fault);
            }
            Input::Timeout => {}
            Input::Bind(points) => self.on_bind(points),
            Input::Unbind(points) => self.on_unbind(points),
            Input::Watch(points) => self.on_watch(points),
            Input::Unwatch(points) => self.on_unwatch(points),
            Input::Write(write, token) => self.on_write(write, token),
            Input::Tuning(tuning) => self.on_tuning(&tuning),
            Input::Retune(points) => {
                for (key, tuning) in points {
                    self.shard.retune(key, tuning);
                }
                self.start_idle_buckets();
            }
            Input::Disable(disabled) => self.on_disable(disabled),
            Input::Close => self.close_wanted = self.view.state != ConnState::Closed,
            Input::Ping => {
                self.ping_wanted = !self.config.disabled;
                self.retry_at = None;
            }
        }
        self.advance();
    }

    /// The next thing for the driver to do; `None` while one is being done or nothing is to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        if self.in_flight.is_some() {
            return None;
        }
        let action = self.next_action()?;
        match &action {
            Action::Open => self.set_state(ConnState::Opening),
            Action::Close => self.set_state(ConnState::Closing),
            Action::Read(requests, _) => self.polls.requests += requests.len() as u64,
            Action::Write(..) => self.writes.forget_failures(),
            _ => {}
        }
        self.in_flight = Some(action.clone());
        Some(action)
    }

    /// What changed about the points since the last call, each point once.
    pub fn poll_update(&mut self) -> Option<Arc<Changes>> {
        if !self.shard.has_changes() {
            return None;
        }
        let points = self.shard.take_changes(self.config.shard);
        Some(Arc::new(Changes { shard: self.config.shard, wall: self.now.wall, points }))
    }

    /// What else the surroundings should know.
    pub fn poll_event(&mut self) -> Option<Event> {
        if core::mem::take(&mut self.view_changed) {
            return Some(Event::Conn(self.view.clone()));
        }
        self.events.pop_front()
    }

    /// When [`Input::Timeout`] is wanted at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let open = self.view.state == ConnState::Open;
        let buckets = self.shard.groups.iter().filter_map(|group| group.bucket.next()).min();
        let timers = [
            self.retry_at.filter(|_| self.wants_session()),
            self.linger_until.filter(|_| open && self.is_idling() && !self.close_wanted),
            self.next_ping.filter(|_| open),
            buckets.filter(|_| open),
            self.shard.next_expiry(),
        ];
        timers.into_iter().flatten().min()
    }

    /// What the connector shows of itself.
    pub fn view(&self) -> &ConnView {
        &self.view
    }

    /// The time limit of an operation.
    pub fn op_timeout(&self) -> core::time::Duration {
        self.config.op_timeout
    }

    /// Whether the session is open and nothing is to be done, so that the driver may wait for
    /// events.
    pub fn is_idle(&self) -> bool {
        self.view.state == ConnState::Open && self.in_flight.is_none()
    }

    /// How many points the connector has.
    pub fn points(&self) -> usize {
        self.shard.len()
    }

    fn next_action(&mut self) -> Option<Action> {
        if !self.to_unbind.is_empty() {
            return Some(Action::Unbind(core::mem::take(&mut self.to_unbind)));
        }
        if !self.to_bind.is_empty() {
            return Some(Action::Bind(core::mem::take(&mut self.to_bind)));
        }
        if core::mem::take(&mut self.close_wanted) && self.view.state != ConnState::Closed {
            return Some(Action::Close);
        }
        match self.view.state {
            ConnState::Closed => self.should_open().then_some(Action::Open),
            ConnState::Opening => Some(Action::Ping),
            ConnState::Open => self.next_open_action(),
            ConnState::Closing => None,
        }
    }

    fn next_open_action(&mut self) -> Option<Action> {
        if core::mem::take(&mut self.ping_wanted) {
            return Some(Action::Ping);
        }
        if !self.to_unwatch.is_empty() {
            return Some(Action::Unwatch(core::mem::take(&mut self.to_unwatch)));
        }
        self.to_watch.retain(|&key| self.shard.is_readable(key));
        if !self.to_watch.is_empty() {
            return Some(Action::Watch(core::mem::take(&mut self.to_watch)));
        }
        let writes_turn = !core::mem::take(&mut self.wrote_last);
        if writes_turn && let Some((writes, tokens)) = self.writes.take_batch() {
            self.wrote_last = true;
            return Some(Action::Write(writes, tokens));
        }
        if let Some(action) = self.next_read() {
            return Some(action);
        }
        let (writes, tokens) = self.writes.take_batch()?;
        self.wrote_last = true;
        Some(Action::Write(writes, tokens))
    }

    fn next_read(&mut self) -> Option<Action> {
        if !self.features.poll {
            return None;
        }
        if !core::mem::take(&mut self.quick_last)
            && let Some(action) = self.next_quick()
        {
            return Some(action);
        }
        self.next_scan().or_else(|| self.next_quick())
    }

    /// What is read out of turn, but never twice in a row while a scan waits.
    fn next_quick(&mut self) -> Option<Action> {
        if let Some(request) = self.quick_plan.pop_front() {
            self.quick_last = true;
            return Some(Action::Read(vec![request], PlanFor::Quick));
        }
        if self.quick.is_empty() {
            return None;
        }
        let keys = core::mem::take(&mut self.quick).into_iter().collect();
        Some(Action::Plan(keys, PlanFor::Quick))
    }

    fn next_scan(&mut self) -> Option<Action> {
        let groups = self.shard.groups.len();
        for step in 1..=groups {
            let at = (self.turn + step) % groups;
            match self.shard.groups[at].bucket.want() {
                Want::Nothing => {}
                Want::Plan => {
                    self.shard.groups[at].bucket.ask();
                    let keys = self.shard.watched_keys(self.config.shard, Some(at));
                    return Some(Action::Plan(keys, PlanFor::Bucket(at)));
                }
                Want::Read(request) => {
                    self.turn = at;
                    return Some(Action::Read(vec![request], PlanFor::Bucket(at)));
                }
            }
        }
        None
    }

    fn on_done(&mut self, result: Result<Outcome, OpError>) {
        let Some(action) = self.in_flight.take() else {
            debug_assert!(false, "an end without an action");
            return;
        };
        match (action, result) {
            (Action::Open, Ok(_)) => self.polls.opens += 1,
            (Action::Open, Err(error)) => {
                self.close_wanted = true;
                self.on_lost(error.fault().clone());
            }
            (Action::Close, _) => self.on_closed(),
            (action @ (Action::Bind(_) | Action::Unbind(_)), result) => {
                // Only a panic ends it otherwise than well; who is not bound is never read.
                if let (Action::Bind(bindings), Err(error)) = (action, result) {
                    for binding in &bindings {
                        self.shard.on_bind_fault(binding.key, error.fault().clone());
                    }
                }
                self.shard.show_all(self.over().as_ref(), self.now.wall);
                self.start_idle_buckets();
            }
            (Action::Plan(_, plan_for), Ok(Outcome::Plan(requests))) => {
                self.on_planned(plan_for, requests);
            }
            (action, Err(OpError::Session(fault))) => {
                self.abandon(action, &fault);
                self.close_wanted = true;
                self.on_lost(fault);
            }
            (Action::Plan(_, plan_for), _) => self.on_planned(plan_for, Vec::new()),
            (Action::Ping, Ok(Outcome::Ping(meta))) => {
                self.view_changed |= self.view.meta != meta;
                self.view.meta = meta;
                self.on_alive();
            }
            // A refusal is a sign of life too.
            (Action::Ping, _) => self.on_alive(),
            (Action::Read(requests, plan_for), result) => {
                self.on_read(&requests, plan_for, result.err());
            }
            (Action::Write(writes, tokens), result) => self.on_wrote(&writes, tokens, result.err()),
            (Action::Watch(keys), Err(OpError::Refused(fault))) => self.fault_all(&keys, &fault),
            (Action::Watch(_) | Action::Unwatch(_), _) => self.proven = true,
        }
    }

    fn on_read(&mut self, requests: &[Request], plan_for: PlanFor, refused: Option<OpError>) {
        match refused {
            Some(error) => {
                for request in requests {
                    self.fault_all(&request.points, error.fault());
                }
            }
            None => self.prove(),
        }
        if let PlanFor::Bucket(at) = plan_for
            && let Some(group) = self.shard.groups.get_mut(at)
            && group.bucket.advance()
        {
            self.polls.scans += 1;
        }
    }

    fn on_wrote(&mut self, writes: &[Write], tokens: Vec<u64>, refused: Option<OpError>) {
        if refused.is_none() {
            self.prove();
        }
        for (write, token) in writes.iter().zip(tokens) {
            let failed = self.writes.take_failure(write.key);
            let result = match (&refused, failed) {
                (Some(error), _) => Err(error.fault().clone()),
                (None, Some(fault)) => Err(fault),
                (None, None) => Ok(()),
            };
            if result.is_ok() && self.shard.is_readable(write.key) {
                self.quick.insert(write.key);
            }
            self.events.push_back(Event::Written { token, result });
        }
    }

    fn on_planned(&mut self, plan_for: PlanFor, requests: Vec<Request>) {
        match plan_for {
            PlanFor::Quick => self.quick_plan.extend(requests),
            PlanFor::Bucket(at) => {
                if let Some(group) = self.shard.groups.get_mut(at) {
                    group.bucket.set_plan(requests);
                    group.bucket.settle();
                }
            }
        }
    }

    fn on_readings(&mut self, readings: &mut Readings) {
        let over = self.over();
        let binding = matches!(self.in_flight, Some(Action::Bind(_)));
        for reading in readings.drain() {
            match reading {
                Reading::Cur(key, Err(fault)) if binding => self.shard.on_bind_fault(key, fault),
                Reading::WriteErr(key, fault) if binding => {
                    self.shard.on_bind_write_fault(key, fault);
                }
                Reading::Cur(key, result) => self.on_reading(key, result, over.as_ref()),
                Reading::WriteErr(key, fault) => self.writes.on_failure(key, fault),
            }
        }
    }

    fn on_reading(&mut self, key: PointKey, result: Result<Value, Fault>, over: Option<&Over>) {
        if self.shard.on_reading(key, self.now.at, result) {
            self.polls.readings += 1;
            self.shard.show(key.slot, over, self.now.wall);
        }
    }

    fn on_bind(&mut self, points: Vec<PointDef>) {
        for point in points {
            let slot = point.key.slot;
            if let Some(before) = self.shard.key_in(self.config.shard, slot) {
                self.on_unbind(vec![before]);
            }
            self.to_bind.extend(self.shard.insert(point, self.now.wall));
            self.shard.show(slot, self.over().as_ref(), self.now.wall);
        }
    }

    fn on_unbind(&mut self, points: Vec<PointKey>) {
        for key in points {
            if !self.shard.remove(key) {
                continue;
            }
            let unbound = self.to_bind.iter().position(|binding| binding.key == key);
            match unbound {
                Some(at) => drop(self.to_bind.swap_remove(at)),
                None => self.to_unbind.push(key),
            }
            self.to_watch.retain(|&other| other != key);
            self.quick.remove(&key);
            if let Some(token) = self.writes.remove(key) {
                let result = Err(Fault::permanent("the point is gone"));
                self.events.push_back(Event::Written { token, result });
            }
        }
        self.start_linger();
    }

    fn on_watch(&mut self, points: Vec<PointKey>) {
        let open = self.view.state == ConnState::Open;
        for key in points {
            if !self.shard.set_watched(key, true) || !open {
                continue;
            }
            if self.features.watch {
                self.to_watch.push(key);
            } else if self.is_overdue(key) {
                self.quick.insert(key);
            }
        }
        self.start_idle_buckets();
    }

    /// Whether a newly watched point should be read at once rather than with its bucket.
    fn is_overdue(&self, key: PointKey) -> bool {
        let Some(group) = self.shard.group_index(key).map(|at| &self.shard.groups[at]) else {
            return false;
        };
        // A bucket that starts now reads all of its points at once anyway.
        let period = group.tuning.tuning.poll_time;
        group.bucket.is_running()
            && self.shard.updated(key).is_none_or(|at| self.now.at.since(at) >= period)
    }

    fn on_unwatch(&mut self, points: Vec<PointKey>) {
        for key in points {
            if self.shard.set_watched(key, false) {
                self.quick.remove(&key);
                let queued = self.to_watch.iter().position(|&other| other == key);
                match queued {
                    Some(at) => drop(self.to_watch.swap_remove(at)),
                    None if self.features.watch && self.view.state == ConnState::Open => {
                        self.to_unwatch.push(key);
                    }
                    None => {}
                }
            }
        }
        self.start_linger();
    }

    fn on_write(&mut self, write: Write, token: u64) {
        let refused = if !self.features.write {
            Some(Fault::unsupported("writing"))
        } else if let Err(fault) = self.shard.check_writable(write.key) {
            Some(fault)
        } else if self.config.disabled {
            Some(Fault::new(pointstream_point::FaultKind::Disabled, "conn disabled"))
        } else {
            self.fault.clone().filter(|_| self.retry_at.is_some_and(|at| at > self.now.at))
        };
        let ended = match refused {
            Some(fault) => Some((token, fault)),
            None => self
                .writes
                .push(write, token)
                .map(|old| (old, Fault::permanent("superseded by a later write"))),
        };
        if let Some((token, fault)) = ended {
            self.events.push_back(Event::Written { token, result: Err(fault) });
        }
        self.linger_until = Some(self.now.at + self.config.linger);
    }

    fn on_tuning(&mut self, tuning: &Arc<NamedTuning>) {
        let Some(at) = self.shard.update_tuning(tuning) else { return };
        let bucket = &mut self.shard.groups[at].bucket;
        if bucket.is_running() {
            bucket.start(self.now.at, tuning.tuning.poll_time, &mut self.seed);
        }
    }

    fn on_disable(&mut self, disabled: bool) {
        if self.config.disabled == disabled {
            return;
        }
        self.config.disabled = disabled;
        self.fault = None;
        self.retry_at = None;
        self.retry.on_success();
        self.view.status = Status::Unknown;
        self.linger_until = None;
        if disabled {
            self.ping_wanted = false;
            self.close_wanted = self.view.state != ConnState::Closed;
            self.fail_writes(&Fault::new(pointstream_point::FaultKind::Disabled, "conn disabled"));
        }
        self.update_status();
    }

    /// Lets time do its part, and closes what nobody needs.
    fn advance(&mut self) {
        let at = self.now.at;
        self.shard.expire(at, self.over().as_ref(), self.now.wall);
        if self.view.state != ConnState::Open {
            return;
        }
        for group in &mut self.shard.groups {
            let tick = group.bucket.tick(at, group.tuning.tuning.poll_time);
            self.polls.overruns += tick.overruns;
            self.polls.skipped += tick.skipped;
        }
        if self.next_ping.is_some_and(|due| due <= at) {
            self.ping_wanted = true;
            self.next_ping = self.config.ping_freq.map(|freq| at + freq);
        }
        let lingered = self.linger_until.is_some_and(|until| until <= at);
        if lingered && self.is_idling() {
            self.close_wanted = true;
        }
    }

    /// The first sign of life after opening, or a later one.
    fn on_alive(&mut self) {
        if self.view.state != ConnState::Opening {
            return self.prove();
        }
        self.set_state(ConnState::Open);
        self.proven = false;
        self.fault = None;
        self.retry_at = None;
        self.next_ping = self.config.ping_freq.map(|freq| self.now.at + freq);
        self.linger_until = Some(self.now.at + self.config.linger);
        self.ping_wanted = false;
        self.view.status = Status::Ok;
        self.update_status();
        if self.shard.watched() == 0 {
            self.prove();
        }
        if self.features.watch {
            self.to_watch = self.shard.watched_keys(self.config.shard, None);
        }
        self.start_idle_buckets();
    }

    /// The session works: a later failure is the first one again.
    fn prove(&mut self) {
        if !core::mem::replace(&mut self.proven, true) {
            self.retry.on_success();
        }
    }

    /// The session was lost or could not be opened.
    fn on_lost(&mut self, fault: Fault) {
        self.polls.failures += 1;
        self.retry_at = Some(self.now.at + self.retry.on_failure());
        self.ping_wanted = false;
        self.fail_writes(&fault);
        self.fault = Some(fault);
        self.stop_session();
        self.update_status();
    }

    fn on_closed(&mut self) {
        self.set_state(ConnState::Closed);
        self.linger_until = None;
        self.stop_session();
        // What was asked to be written meanwhile is still to be written.
        if !self.writes.is_empty() {
            self.linger_until = Some(self.now.at + self.config.linger);
        }
    }

    fn stop_session(&mut self) {
        for group in &mut self.shard.groups {
            group.bucket.stop();
        }
        self.next_ping = None;
        self.to_watch.clear();
        self.to_unwatch.clear();
        self.quick.clear();
        self.quick_plan.clear();
    }

    /// What was under way when the session ended.
    fn abandon(&mut self, action: Action, fault: &Fault) {
        if let Action::Write(_, tokens) = action {
            for token in tokens {
                self.events.push_back(Event::Written { token, result: Err(fault.clone()) });
            }
        }
    }

    fn fail_writes(&mut self, fault: &Fault) {
        for token in self.writes.drain() {
            self.events.push_back(Event::Written { token, result: Err(fault.clone()) });
        }
    }

    fn fault_all(&mut self, keys: &[PointKey], fault: &Fault) {
        let over = self.over();
        for &key in keys {
            self.on_reading(key, Err(fault.clone()), over.as_ref());
        }
    }

    fn start_idle_buckets(&mut self) {
        if self.view.state != ConnState::Open || !self.features.poll || self.features.watch {
            return;
        }
        for group in &mut self.shard.groups {
            let period = group.tuning.tuning.poll_time;
            match (group.watched, group.bucket.is_running()) {
                (0, true) => group.bucket.stop(),
                (1.., false) => group.bucket.start(self.now.at, period, &mut self.seed),
                _ => {}
            }
        }
    }

    fn start_linger(&mut self) {
        if self.shard.watched() == 0 {
            self.linger_until = Some(self.now.at + self.config.linger);
        }
        self.start_idle_buckets();
    }

    /// Whether nobody needs the session at present.
    fn is_idling(&self) -> bool {
        self.shard.watched() == 0 && self.writes.is_empty()
    }

    fn wants_session(&self) -> bool {
        let needed = self.shard.watched() > 0 || self.ping_wanted || !self.writes.is_empty();
        needed && !self.config.disabled && self.view.state == ConnState::Closed
    }

    fn should_open(&self) -> bool {
        self.wants_session() && self.retry_at.is_none_or(|at| at <= self.now.at)
    }

    fn set_state(&mut self, state: ConnState) {
        self.view_changed |= self.view.state != state;
        self.view.state = state;
    }

    fn update_status(&mut self) {
        let before = (self.view.status, self.view.err.take());
        self.view.status = match (&self.fault, self.config.disabled) {
            (_, true) => Status::Disabled,
            (Some(fault), false) => fault.status(),
            (None, false) => self.view.status,
        };
        let err = self.fault.as_ref().filter(|_| !self.config.disabled);
        self.view.err = err.map(|fault| Arc::clone(fault.message()));
        self.view_changed |= before != (self.view.status, self.view.err.clone());
        // All points are shown again even if the status is the same: the call is rare, and those
        // that have not changed stay unmarked.
        self.shard.show_all(self.over().as_ref(), self.now.wall);
    }

    fn over(&self) -> Option<Over> {
        if self.view.status == Status::Ok {
            return None;
        }
        let err = format!("conn {}", self.view.status).into();
        Some(Over { status: self.view.status, err })
    }

    /// Counters of polling.
    pub fn stats(&self) -> PollStats {
        self.polls
    }

    /// The keys of all points.
    pub fn keys(&self) -> Vec<PointKey> {
        self.shard.keys(self.config.shard)
    }
}

#[cfg(test)]
mod tests;
