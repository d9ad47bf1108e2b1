//! What the driver is to do next.

use crate::action::{Action, PlanFor};
use crate::bucket::Want;
use crate::view::ConnState;
use crate::writes::BATCH_MAX;

use super::Connector;

impl Connector {
    pub(super) fn next_action(&mut self) -> Option<Action> {
        if !self.to_unbind.is_empty() {
            return Some(Action::Unbind(core::mem::take(&mut self.to_unbind)));
        }
        if !self.to_bind.is_empty() {
            let bindings = core::mem::take(&mut self.to_bind).into_values().collect();
            return Some(Action::Bind(bindings));
        }
        if core::mem::take(&mut self.close_wanted) && self.view.state != ConnState::Closed {
            return Some(Action::Close);
        }
        if let Some(action) = self.next_offline_learn() {
            return Some(action);
        }
        match self.view.state {
            ConnState::Closed => self.should_open().then_some(Action::Open),
            ConnState::Opening => Some(Action::Ping),
            ConnState::Open if self.has_lingered() => Some(Action::Close),
            ConnState::Open => self.next_open_action(),
            ConnState::Closing => None,
        }
    }

    fn next_open_action(&mut self) -> Option<Action> {
        if core::mem::take(&mut self.ping_wanted) {
            return Some(Action::Ping);
        }
        if !self.to_unwatch.is_empty() {
            let keys = core::mem::take(&mut self.to_unwatch);
            return Some(Action::Unwatch(keys.into_iter().collect()));
        }
        self.to_watch.retain(|&key| self.shard.is_watched(key));
        if !self.to_watch.is_empty() {
            let keys = core::mem::take(&mut self.to_watch);
            return Some(Action::Watch(keys.into_iter().collect()));
        }
        let writes_turn = !core::mem::take(&mut self.wrote_last);
        if writes_turn && let Some(action) = self.next_write() {
            return Some(action);
        }
        let learns_turn = !core::mem::take(&mut self.learned_last);
        if learns_turn && let Some(action) = self.next_learn().or_else(|| self.next_history()) {
            self.learned_last = true;
            return Some(action);
        }
        self.next_read()
            .or_else(|| self.next_write())
            .or_else(|| self.next_learn())
            .or_else(|| self.next_history())
    }

    /// The values that come first in line. One that does not convert has its fault and is passed
    /// over, as is one that has to wait after all.
    fn next_write(&mut self) -> Option<Action> {
        let mut batch = Vec::new();
        while batch.len() < BATCH_MAX
            && let Some(key) = self.writes.pop()
        {
            batch.extend(self.take_write(key));
        }
        self.wrote_last = !batch.is_empty();
        self.wrote_last.then_some(Action::Write(batch))
    }

    fn next_read(&mut self) -> Option<Action> {
        if self.manual.take() {
            return Some(Action::Poll);
        }
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
        if !self.quick_plan.is_empty() {
            self.quick_last = true;
            let count = self.quick_plan.len().min(self.features.window.max(1));
            let requests = self.quick_plan.drain(..count).collect();
            return Some(Action::Read(requests, PlanFor::Quick));
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
            match self.shard.groups[at].bucket.want(self.features.window.max(1)) {
                Want::Nothing => {}
                Want::Plan => {
                    self.shard.groups[at].bucket.ask();
                    let keys = self.shard.polled_keys(self.config.shard, at);
                    return Some(Action::Plan(keys, PlanFor::Bucket(at)));
                }
                Want::Read(requests) => {
                    self.turn = at;
                    return Some(Action::Read(requests, PlanFor::Bucket(at)));
                }
            }
        }
        None
    }
}
