//! When the session is opened and closed, and the connector's status.

use core::time::Duration;
use std::sync::Arc;

use pointstream_point::{Fault, FaultKind, Status};

use crate::action::{Action, Outcome};
use crate::driver::OpError;
use crate::shard::Over;
use crate::view::ConnState;

use super::Connector;

/// How long a session stays when the last one who needed it lets go.
const UNPIN_LINGER: Duration = Duration::from_secs(5);

impl Connector {
    pub(super) fn on_done(&mut self, result: Result<Outcome, OpError>) {
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
                self.on_bound(action, result.err());
            }
            (Action::Plan(keys, plan_for), Ok(Outcome::Plan(requests))) => {
                self.on_planned(keys, plan_for, requests);
            }
            (Action::Learn(_), result) => self.on_learned(result),
            (Action::History(..), result) => self.on_history_read(result),
            (action, Err(OpError::Session(fault))) => {
                self.abandon(&action, &fault);
                self.close_wanted = true;
                self.on_lost(fault);
            }
            (Action::Plan(keys, plan_for), _) => self.on_planned(keys, plan_for, Vec::new()),
            (Action::Ping, Ok(Outcome::Ping(meta))) => {
                self.view_changed |= self.view.meta != meta;
                self.view.meta = meta;
                self.on_alive();
            }
            // A refusal is a sign of life too.
            (Action::Ping, _) => self.on_alive(),
            (Action::Poll, result) => self.on_polled(result.err()),
            (Action::Read(requests, plan_for), result) => {
                self.on_read(&requests, plan_for, result.err());
            }
            (Action::Write(_), result) => self.on_wrote(result.err()),
            (Action::Watch(keys), Err(OpError::Refused(fault))) => {
                for key in keys {
                    self.on_unwatchable(key, fault.clone());
                }
            }
            (Action::Watch(keys), _) => self.on_watching(&keys),
            (Action::Unwatch(_), _) => self.proven = true,
        }
    }

    /// Lets time do its part.
    pub(super) fn advance(&mut self) {
        let at = self.now.at;
        self.shard.expire(at, self.over().as_ref(), self.now.wall);
        if !self.steady && self.config.steady_at <= at {
            self.steady = true;
            self.shard.rearm_all(true);
        }
        for key in self.shard.due_writes(self.config.shard, at, self.steady) {
            self.enqueue_write(key);
        }
        if let Some(freq) = self.config.ping_freq
            && self.next_ping.is_some_and(|due| due <= at)
        {
            self.ping_wanted = !self.config.disabled;
            self.next_ping = Some(at + freq);
        }
        if self.view.state != ConnState::Open {
            return;
        }
        self.tick_polls();
        if self.rewatch_at.is_some_and(|due| due <= at) {
            self.rewatch_at = None;
            self.to_watch.append(&mut self.unwatched);
        }
    }

    /// The first sign of life after opening, or a later one.
    fn on_alive(&mut self) {
        self.times.ping = Some(self.now.at);
        self.times.ok = Some(self.now.at);
        if self.view.state != ConnState::Opening {
            return self.prove();
        }
        self.set_state(ConnState::Open);
        self.proven = false;
        self.fault = None;
        self.retry_at = None;
        self.next_ping = self.config.ping_freq.map(|freq| self.now.at + freq);
        self.linger(self.config.linger);
        self.ping_wanted = false;
        self.view.status = Status::Ok;
        self.update_status();
        if self.shard.watched() == 0 {
            self.prove();
        }
        if self.features.watch {
            self.to_watch = self.shard.watched_keys(self.config.shard).into_iter().collect();
        }
        self.quick.extend(self.syncs.values().flatten());
        for key in self.shard.writes_on_open(self.config.shard) {
            self.enqueue_write(key);
        }
        self.start_polls();
    }

    /// The session works: a later failure is the first one again.
    pub(super) fn prove(&mut self) {
        if !core::mem::replace(&mut self.proven, true) {
            self.retry.on_success();
        }
    }

    /// The session was lost or could not be opened.
    pub(super) fn on_lost(&mut self, fault: Fault) {
        self.polls.failures += 1;
        self.times.err = Some(self.now.at);
        self.retry_at = Some(self.now.at + self.retry.on_failure());
        self.ping_wanted = false;
        self.fail_waiting(&fault);
        self.fault = Some(fault);
        self.stop_session();
        self.update_status();
    }

    fn on_closed(&mut self) {
        self.set_state(ConnState::Closed);
        self.linger_until = None;
        self.stop_session();
        // What was asked for meanwhile is still to be done.
        if self.is_wanted() {
            self.linger(self.config.linger);
        }
    }

    fn stop_session(&mut self) {
        self.stop_polls();
        self.to_watch.clear();
        self.to_unwatch.clear();
        self.unwatched.clear();
        self.rewatch_at = None;
    }

    /// Who waits for the device is told that it will not be.
    fn fail_waiting(&mut self, fault: &Fault) {
        self.fail_writes(fault);
        self.fail_syncs(fault);
        self.fail_learns(fault);
        self.fail_histories(fault);
    }

    pub(super) fn on_disable(&mut self, disabled: bool) {
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
            self.fail_waiting(&conn_disabled());
        }
        self.update_status();
    }

    pub(super) fn on_unpin(&mut self, name: &str) {
        if self.pins.remove(name) {
            self.release();
        }
    }

    /// Somebody who needed the session has let go of it.
    pub(super) fn release(&mut self) {
        if !self.is_pinned() {
            self.linger(UNPIN_LINGER);
        }
        self.start_polls();
    }

    /// Keeps the session for this long at least.
    pub(super) fn linger(&mut self, time: Duration) {
        let until = self.now.at + time;
        self.linger_until = self.linger_until.max(Some(until));
    }

    /// Whether somebody needs the session for good.
    fn is_pinned(&self) -> bool {
        self.shard.watched() > 0 || !self.pins.is_empty()
    }

    /// Whether something is to be done once.
    fn is_wanted(&self) -> bool {
        let asked = !self.writes.is_empty() || !self.syncs.is_empty() || self.learns_online();
        let asked = asked || !self.histories.is_empty() || self.his_reading.is_some();
        asked || self.learning.is_some() || self.ping_wanted
    }

    /// Whether nobody needs the session at present.
    pub(super) fn is_idling(&self) -> bool {
        !self.is_pinned() && !self.is_wanted()
    }

    pub(super) fn has_lingered(&self) -> bool {
        self.linger_until.is_some_and(|until| until <= self.now.at) && self.is_idling()
    }

    pub(super) fn wants_session(&self) -> bool {
        let needed = self.is_pinned() || self.is_wanted();
        needed && !self.config.disabled && self.view.state == ConnState::Closed
    }

    pub(super) fn should_open(&self) -> bool {
        self.wants_session() && self.retry_at.is_none_or(|at| at <= self.now.at)
    }

    pub(super) fn set_state(&mut self, state: ConnState) {
        self.view_changed |= self.view.state != state;
        self.view.state = state;
    }

    pub(super) fn update_status(&mut self) {
        let before = (self.view.status, self.view.err.take());
        self.view.status = match (&self.fault, self.config.disabled) {
            (_, true) => Status::Disabled,
            (Some(fault), false) => fault.status(),
            (None, false) => self.view.status,
        };
        let err = self.fault.as_ref().filter(|_| !self.config.disabled);
        self.view.err = err.map(|fault| Arc::clone(fault.message()));
        self.view_changed |= before != (self.view.status, self.view.err.clone());
        // A retry that fails as the last one did changes nothing about the points.
        if core::mem::replace(&mut self.shown_over, self.view.status) != self.view.status {
            self.shard.show_all(self.over().as_ref(), self.now.wall);
        }
    }

    pub(super) fn over(&self) -> Option<Over> {
        if self.view.status == Status::Ok {
            return None;
        }
        let err = format!("conn {}", self.view.status).into();
        Some(Over { status: self.view.status, err })
    }

    /// Why the device cannot be reached at present; nothing if that is not known.
    pub(super) fn unreachable(&self) -> Option<Fault> {
        if self.config.disabled {
            return Some(conn_disabled());
        }
        self.fault.clone().filter(|_| self.retry_at.is_some_and(|at| at > self.now.at))
    }
}

fn conn_disabled() -> Fault {
    Fault::new(FaultKind::Disabled, "conn disabled")
}
