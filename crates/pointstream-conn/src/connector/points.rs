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
        for point in points {
            let slot = point.key.slot;
            if let Some(before) = self.shard.key_in(self.config.shard, slot) {
                self.on_unbind(vec![before]);
            }
            self.to_bind.extend(self.shard.insert(point, self.now.wall));
            self.shard.show(slot, over.as_ref(), self.now.wall);
        }
    }

    pub(super) fn on_unbind(&mut self, points: Vec<PointKey>) {
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
            self.unwatched.remove(&key);
            self.quick.remove(&key);
            self.end_syncs([key].iter());
            if let Some(token) = self.writes.remove(key) {
                let result = Err(Fault::permanent("the point is gone"));
                self.events.push_back(Event::Written { token, result });
            }
        }
        self.release();
    }

    /// The driver has parsed the addresses of points, or forgotten them.
    pub(super) fn on_bound(&mut self, action: Action, failed: Option<OpError>) {
        // Only a panic ends it otherwise than well; who is not bound is never read.
        if let (Action::Bind(bindings), Some(error)) = (action, failed) {
            for binding in &bindings {
                for facet in [Facet::Cur, Facet::Write, Facet::His] {
                    self.shard.on_bind_fault(binding.key, facet, error.fault().clone());
                }
            }
        }
        self.shard.show_all(self.over().as_ref(), self.now.wall);
        self.start_polls();
    }
}
