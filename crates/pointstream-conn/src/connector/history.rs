//! Histories that the device keeps.

use pointstream_point::{Fault, HisItem, PointKey, Span};

use crate::action::{Action, Outcome};
use crate::driver::OpError;
use crate::samples::Samples;
use crate::view::Event;

use super::Connector;

/// How many readings of histories may wait. One that comes beyond is refused at once.
const HISTORIES_MAX: usize = 1_024;

impl Connector {
    /// Synchronisations of these points were asked for and have not ended.
    pub(super) fn on_his_pending(&mut self, points: Vec<PointKey>) {
        let over = self.over();
        for key in points {
            self.shard.on_his(key, None);
            self.shard.show(key.slot, over.as_ref(), self.now.wall);
        }
    }

    /// The synchronisation of a point has ended.
    pub(super) fn on_his_done(&mut self, key: PointKey, result: Result<(), Fault>) {
        self.shard.on_his(key, Some(result));
        self.shard.show(key.slot, self.over().as_ref(), self.now.wall);
    }

    /// Synchronisations of these points were given up before they ended.
    pub(super) fn on_his_released(&mut self, points: &[PointKey]) {
        let over = self.over();
        for &key in points {
            self.shard.on_his_released(key);
            self.shard.show(key.slot, over.as_ref(), self.now.wall);
        }
    }

    /// The device told unasked of the past of a point, which goes to who keeps its history.
    pub(super) fn on_past(&mut self, key: PointKey, item: Result<HisItem, Fault>) {
        let item = item.and_then(|item| self.shard.convert_past(key, item));
        if self.shard.is_known(key) {
            self.past.push((key, item));
        }
    }

    /// Somebody wants what the device has of a point in a span.
    pub(super) fn on_history(&mut self, key: PointKey, span: Span, token: u64) {
        let refused = if self.features.history {
            self.shard.check_history(key).err().or_else(|| self.unreachable())
        } else {
            Some(Fault::unsupported("reading histories"))
        };
        let full = || Fault::down("too many histories are read of this device at once");
        let refused = refused.or_else(|| (self.histories.len() >= HISTORIES_MAX).then(full));
        if let Some(fault) = refused {
            return self.events.push_back(Event::History { token, result: Err(fault) });
        }
        self.histories.push_back((key, span, token));
        self.linger(self.config.linger);
    }

    /// The next history that is read.
    pub(super) fn next_history(&mut self) -> Option<Action> {
        let (key, span, token) = self.histories.pop_front()?;
        self.his_reading = Some((key, token));
        Some(Action::History(key, span))
    }

    /// A history has been read, or not. Its items are converted; one that does not convert is the
    /// fault of all.
    pub(super) fn on_history_read(&mut self, result: Result<Outcome, OpError>) {
        let Some((key, token)) = self.his_reading.take() else { return };
        let (result, lost) = match result {
            Ok(Outcome::History(mut samples)) => {
                let converted = self.shard.convert_history(key, samples.items_mut());
                (converted.map(|()| samples), None)
            }
            Ok(_) => (Ok(Samples::new()), None),
            Err(OpError::Refused(fault)) => (Err(fault), None),
            Err(OpError::Session(fault)) => (Err(fault.clone()), Some(fault)),
        };
        self.events.push_back(Event::History { token, result });
        self.on_aside(lost);
    }

    pub(super) fn fail_histories(&mut self, fault: &Fault) {
        for (_, _, token) in core::mem::take(&mut self.histories) {
            self.events.push_back(Event::History { token, result: Err(fault.clone()) });
        }
    }
}
