//! Polling, subscriptions and readings.

use std::collections::BTreeSet;
use std::sync::Arc;

use pointstream_point::{Facet, Fault, PointKey, Times, Value};

use crate::action::{Action, PlanFor};
use crate::config::{ConnConfig, NamedTuning};
use crate::driver::{OpError, Request};
use crate::readings::{Reading, Readings};
use crate::shard::Over;
use crate::view::{ConnState, Event};

use super::{Connector, SYNCS_MAX};

impl Connector {
    pub(super) fn on_read(
        &mut self,
        requests: &[Request],
        plan_for: PlanFor,
        refused: Option<OpError>,
    ) {
        match refused {
            Some(error) => {
                for request in requests {
                    self.fault_all(&request.points, error.fault());
                }
            }
            None => {
                (self.times.poll, self.times.ok) = (Some(self.now.at), Some(self.now.at));
                self.prove();
            }
        }
        match plan_for {
            PlanFor::Quick => {
                // A driver that passes over a point would let who waits for it wait for ever.
                self.end_syncs(requests.iter().flat_map(|request| request.points.iter()));
                let subscribes = self.features.watch;
                // A subscription may never tell of a point that could not be read this once.
                for &key in requests.iter().flat_map(|r| r.points.iter()).filter(|_| subscribes) {
                    if let Some(fault) = self.shard.fault(key) {
                        self.on_unwatchable(key, fault);
                    }
                }
            }
            PlanFor::Bucket(at) => {
                let now = self.now.at;
                let Some(group) = self.shard.groups.get_mut(at) else { return };
                let tuning = &group.tuning.tuning;
                let (period, schedule) = (tuning.poll_time, tuning.poll_schedule);
                if group.bucket.advance(requests.len(), now, period, schedule) {
                    self.polls.scans += 1;
                }
            }
        }
    }

    pub(super) fn on_polled(&mut self, refused: Option<OpError>) {
        self.manual.end();
        match refused {
            Some(error) => {
                let keys = self.shard.watched_keys(self.config.shard);
                self.fault_all(&keys, error.fault());
            }
            None => {
                (self.times.poll, self.times.ok) = (Some(self.now.at), Some(self.now.at));
                self.polls.scans += 1;
                self.prove();
            }
        }
    }

    pub(super) fn on_planned(
        &mut self,
        keys: Vec<PointKey>,
        plan_for: PlanFor,
        requests: Vec<Request>,
    ) {
        match plan_for {
            // A point went while the driver made its plan, which may name it.
            PlanFor::Quick if keys.iter().any(|&key| !self.shard.is_readable(key)) => {
                self.quick.extend(keys.into_iter().filter(|&key| self.shard.is_readable(key)));
            }
            PlanFor::Quick => {
                let planned: BTreeSet<_> =
                    requests.iter().flat_map(|request| request.points.iter().copied()).collect();
                self.quick_plan.extend(requests);
                // What the driver leaves out of its plan is not going to be read.
                let waiting = self.syncs.values().flatten().copied();
                let left_out: Vec<_> = waiting
                    .filter(|key| !planned.contains(key) && !self.quick.contains(key))
                    .filter(|key| !self.quick_plan.iter().any(|r| r.points.contains(key)))
                    .collect();
                self.end_syncs(left_out.iter());
            }
            PlanFor::Bucket(at) => {
                if let Some(group) = self.shard.groups.get_mut(at) {
                    group.bucket.set_plan(requests);
                    group.bucket.settle();
                }
            }
        }
    }

    pub(super) fn on_readings(&mut self, readings: &mut Readings) {
        let over = self.over();
        let binding = matches!(self.in_flight, Some(Action::Bind(_)));
        for reading in readings.drain() {
            match reading {
                Reading::Cur(key, Err(fault)) if binding => {
                    self.on_bind_fault(key, Facet::Cur, fault);
                }
                Reading::WriteErr(key, fault) if binding => {
                    self.on_bind_fault(key, Facet::Write, fault);
                }
                Reading::Cur(key, result) => {
                    let result = result.map(|value| (value, Times::default()));
                    self.on_reading(key, result, over.as_ref());
                }
                Reading::Sample(key, value, times) => {
                    self.on_reading(key, Ok((value, times)), over.as_ref());
                }
                Reading::Past(key, item) => self.on_past(key, item),
                Reading::HisErr(key, fault) => self.on_bind_fault(key, Facet::His, fault),
                Reading::WriteErr(key, fault) => self.writes.on_failure(key, fault),
                Reading::Unwatchable(key, fault) => self.on_unwatchable(key, fault),
            }
        }
    }

    fn on_reading(
        &mut self,
        key: PointKey,
        result: Result<(Value, Times), Fault>,
        over: Option<&Over>,
    ) {
        if self.shard.on_reading(key, self.now.at, result) {
            self.polls.readings += 1;
            self.shard.show_cur(key.slot, over, self.now.wall);
            if !self.syncs.is_empty() {
                self.end_syncs([key].iter());
            }
        }
    }

    fn fault_all(&mut self, keys: &[PointKey], fault: &Fault) {
        let over = self.over();
        for &key in keys {
            self.on_reading(key, Err(fault.clone()), over.as_ref());
        }
    }

    pub(super) fn on_watch(&mut self, points: Vec<PointKey>) {
        let open = self.view.state == ConnState::Open;
        for key in points {
            if !self.shard.set_watched(key, true) {
                continue;
            }
            if self.features.watch {
                if open {
                    self.to_watch.insert(key);
                }
                continue;
            }
            self.shard.set_polled(key, true);
            if open && self.is_overdue(key) {
                self.quick.insert(key);
            }
        }
        self.start_polls();
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

    /// The driver cannot subscribe to a point, which is then polled, or has the fault. It is asked
    /// again after the time of a retry.
    pub(super) fn on_unwatchable(&mut self, key: PointKey, fault: Fault) {
        if !self.shard.is_watched(key) {
            return;
        }
        self.unwatched.insert(key);
        self.rewatch_at.get_or_insert(self.now.at + self.config.open_retry);
        if self.features.poll {
            if self.shard.set_polled(key, true) {
                self.quick.insert(key);
                self.start_polls();
            }
        } else {
            let over = self.over();
            self.on_reading(key, Err(fault), over.as_ref());
        }
    }

    /// The driver has subscribed to these points, but for those that it has named.
    pub(super) fn on_watching(&mut self, keys: &[PointKey]) {
        self.proven = true;
        for key in keys.iter().filter(|key| !self.unwatched.contains(key)) {
            self.shard.set_polled(*key, false);
        }
        self.start_polls();
    }

    pub(super) fn on_unwatch(&mut self, points: Vec<PointKey>) {
        for key in points {
            if self.shard.set_watched(key, false) {
                self.quick.remove(&key);
                let refused = self.unwatched.remove(&key);
                let queued = self.to_watch.remove(&key);
                let told = self.features.watch && self.view.state == ConnState::Open;
                if told && !queued && !refused {
                    self.to_unwatch.insert(key);
                }
            }
        }
        self.release();
    }

    /// Somebody wants points to be read now.
    pub(super) fn on_sync(&mut self, points: Vec<PointKey>, token: u64) {
        let points: BTreeSet<_> =
            points.into_iter().filter(|&key| self.shard.is_readable(key)).collect();
        let refused = if !self.features.poll {
            Some(Fault::unsupported("reading"))
        } else if self.syncs.len() >= SYNCS_MAX {
            Some(Fault::down("too many readings out of turn are waited for"))
        } else {
            self.unreachable()
        };
        let result = match refused {
            Some(fault) if !points.is_empty() => Err(fault),
            _ if points.is_empty() => Ok(()),
            _ => {
                self.linger(self.config.linger);
                if self.view.state == ConnState::Open {
                    self.quick.extend(&points);
                }
                self.syncs.insert(token, points);
                return;
            }
        };
        self.events.push_back(Event::Synced { token, result });
    }

    /// These points have been read.
    pub(super) fn end_syncs<'a>(&mut self, keys: impl Iterator<Item = &'a PointKey>) {
        if self.syncs.is_empty() {
            return;
        }
        for key in keys {
            for waiting in self.syncs.values_mut() {
                waiting.remove(key);
            }
        }
        let events = &mut self.events;
        self.syncs.retain(|&token, waiting| {
            if waiting.is_empty() {
                events.push_back(Event::Synced { token, result: Ok(()) });
            }
            !waiting.is_empty()
        });
    }

    pub(super) fn fail_syncs(&mut self, fault: &Fault) {
        for token in core::mem::take(&mut self.syncs).into_keys() {
            self.events.push_back(Event::Synced { token, result: Err(fault.clone()) });
        }
    }

    pub(super) fn on_tuning(&mut self, tuning: &Arc<NamedTuning>) {
        let Some((at, polls_otherwise)) = self.shard.update_tuning(tuning) else { return };
        let group = &mut self.shard.groups[at];
        if polls_otherwise && group.bucket.is_running() {
            group.bucket.relay(self.now.at, group.tuning.tuning.poll_time, &mut self.seed);
        }
        self.shard.rearm_all(self.steady);
    }

    pub(super) fn on_retune(&mut self, points: Vec<(PointKey, Arc<NamedTuning>)>) {
        for (key, tuning) in points {
            self.shard.retune(key, tuning);
        }
        self.shard.rearm_all(self.steady);
        self.start_polls();
    }

    /// Begins the scans that are due.
    pub(super) fn tick_polls(&mut self) {
        let at = self.now.at;
        for group in &mut self.shard.groups {
            let tuning = &group.tuning.tuning;
            let tick = group.bucket.tick(at, tuning.poll_time, tuning.poll_schedule);
            self.polls.overruns += tick.overruns;
            self.polls.skipped += tick.skipped;
        }
        let tick = self.manual.tick(at);
        self.polls.overruns += tick.overruns;
        self.polls.skipped += tick.skipped;
    }

    /// Starts the polls of what is watched and stops those of what is not.
    pub(super) fn start_polls(&mut self) {
        if self.view.state != ConnState::Open {
            return;
        }
        let at = self.now.at;
        if let Some(period) = self.features.manual.map(|own| self.config.poll_freq.unwrap_or(own)) {
            let period = period.max(ConnConfig::POLL_FLOOR);
            match (self.shard.watched(), self.manual.is_running()) {
                (0, true) => self.manual.stop(),
                (1.., false) => self.manual.start(at, period, &mut self.seed),
                _ => {}
            }
        }
        for group in &mut self.shard.groups {
            let period = group.tuning.tuning.poll_time;
            match (group.polled, group.bucket.is_running()) {
                (0, true) => group.bucket.stop(),
                (1.., false) if self.features.poll => {
                    group.bucket.start(at, period, &mut self.seed);
                }
                _ => {}
            }
        }
    }

    pub(super) fn stop_polls(&mut self) {
        for group in &mut self.shard.groups {
            group.bucket.stop();
        }
        self.manual.stop();
        self.quick.clear();
        self.quick_plan.clear();
    }
}
