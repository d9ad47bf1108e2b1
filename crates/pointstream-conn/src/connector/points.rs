//! Points that come and go.

use pointstream_point::{Facet, Fault, PointKey};

use crate::action::Action;
use crate::config::PointDef;
use crate::driver::OpError;
use crate::view::Event;

use super::Connector;

impl Connector {
    pub(super) fn on_bind(&mut self, points: Vec<PointDef>) {
        let over = self.over();
        let slots = points.iter().map(|point| point.key.slot);
        let before = slots.filter_map(|slot| self.shard.key_in(self.config.shard, slot)).collect();
        self.on_unbind(before);
        for point in points {
            let (key, slot) = (point.key, point.key.slot);
            let binding = self.shard.insert(point, self.now.wall);
            self.to_bind.extend(binding.map(|binding| (key, binding)));
            self.shard.show(slot, over.as_ref(), self.now.wall);
        }
    }

    pub(super) fn on_unbind(&mut self, points: Vec<PointKey>) {
        for key in points {
            if !self.shard.remove(key) {
                continue;
            }
            if self.to_bind.remove(&key).is_none() {
                self.to_unbind.push(key);
            }
            self.to_watch.remove(&key);
            self.to_unwatch.remove(&key);
            self.unwatched.remove(&key);
            self.quick.remove(&key);
            self.end_syncs([key].iter());
            if let Some(token) = self.writes.remove(key) {
                let result = Err(Fault::permanent("the point is gone"));
                self.events.push_back(Event::Written { token, result });
            }
        }
        self.replan_quick();
        self.release();
    }

    /// Points are gone that the plan of what is read out of turn may name; what else it names is
    /// planned again.
    fn replan_quick(&mut self) {
        let keys = || self.quick_plan.iter().flat_map(|request| request.points.iter().copied());
        if keys().any(|key| !self.shard.is_readable(key)) {
            let rest: Vec<_> = keys().filter(|&key| self.shard.is_readable(key)).collect();
            self.quick.extend(rest);
            self.quick_plan.clear();
        }
    }

    /// The driver has parsed the addresses of points, or forgotten them.
    pub(super) fn on_bound(&mut self, action: Action, failed: Option<OpError>) {
        // Only a panic ends it otherwise than well; who is not bound is never read.
        if let (Action::Bind(bindings), Some(error)) = (action, failed) {
            for binding in &bindings {
                for facet in [Facet::Cur, Facet::Write, Facet::His] {
                    self.on_bind_fault(binding.key, facet, error.fault().clone());
                }
            }
        }
        self.start_polls();
    }

    /// The driver found the configuration of a facet at fault.
    pub(super) fn on_bind_fault(&mut self, key: PointKey, facet: Facet, fault: Fault) {
        self.shard.on_bind_fault(key, facet, fault);
        self.shard.show(key.slot, self.over().as_ref(), self.now.wall);
    }
}
