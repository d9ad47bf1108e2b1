//! Writes on their way to the device.

use pointstream_point::{Fault, PointKey, WriteInfo};

use crate::action::Action;
use crate::driver::{OpError, Write};
use crate::shard::Accepted;
use crate::view::{Event, WriteDone};

use super::Connector;

impl Connector {
    /// A value came into effect.
    pub(super) fn on_write(&mut self, key: PointKey, info: WriteInfo, token: u64) {
        let refused = if self.features.write {
            self.shard.check_writable(key).err()
        } else {
            Some(Fault::unsupported("writing"))
        };
        if let Some(fault) = refused {
            return self.tell(token, Err(fault));
        }
        if let Some(old) = self.writes.take_token(key) {
            self.tell(old, Ok(WriteDone::Superseded));
        }
        match self.shard.on_write(key, info, self.now.at, self.steady) {
            Accepted::Skipped => self.tell(token, Ok(WriteDone::Skipped)),
            Accepted::Waits => self.tell(token, Ok(WriteDone::Waiting)),
            Accepted::Due => {
                self.writes.set_token(key, token);
                self.enqueue_write(key);
            }
        }
    }

    /// Puts a point whose value is due in line; where the device is known to be out of reach, the
    /// value fails at once.
    pub(super) fn enqueue_write(&mut self, key: PointKey) {
        match self.unreachable() {
            Some(fault) => self.fail_write(key, &fault),
            None => {
                self.writes.push(key);
                self.linger(self.config.linger);
            }
        }
    }

    /// The value of a point that is first in line, on its way to the device.
    pub(super) fn take_write(&mut self, key: PointKey) -> Option<Write> {
        let result = match self.shard.take_write(key, self.now.at, self.steady) {
            Some(Ok(value)) => {
                self.writes.start(key);
                return Some(Write::new(key, value));
            }
            Some(Err(fault)) => Err(fault),
            None => Ok(WriteDone::Waiting),
        };
        self.show_writes(&[key]);
        if let Some(token) = self.writes.take_token(key) {
            self.tell(token, result);
        }
        None
    }

    pub(super) fn on_wrote(&mut self, refused: Option<OpError>) {
        if refused.is_none() {
            self.prove();
        }
        let mut shown = Vec::new();
        for (key, token, failed) in self.writes.finish() {
            let fault = refused.as_ref().map(|error| error.fault().clone()).or(failed);
            let result = fault.as_ref().map_or(Ok(()), Err);
            let again = self.shard.on_written(key, self.now.at, result, self.steady);
            if fault.is_none() && self.shard.is_readable(key) && self.features.poll {
                self.quick.insert(key);
            }
            if again {
                self.enqueue_write(key);
            }
            if let Some(token) = token {
                self.tell(token, fault.map_or(Ok(WriteDone::Taken), Err));
            }
            shown.push(key);
        }
        self.show_writes(&shown);
    }

    /// What was under way when the session ended.
    pub(super) fn abandon(&mut self, action: &Action, fault: &Fault) {
        if let Action::Write(_) = action {
            for (key, token, _) in self.writes.finish() {
                self.shard.on_written(key, self.now.at, Err(fault), self.steady);
                self.show_writes(&[key]);
                if let Some(token) = token {
                    self.tell(token, Err(fault.clone()));
                }
            }
        }
    }

    pub(super) fn fail_writes(&mut self, fault: &Fault) {
        while let Some(key) = self.writes.pop() {
            self.fail_write(key, fault);
        }
    }

    fn fail_write(&mut self, key: PointKey, fault: &Fault) {
        self.shard.refuse_write(key, self.now.at, fault, self.steady);
        self.show_writes(&[key]);
        if let Some(token) = self.writes.take_token(key) {
            self.tell(token, Err(fault.clone()));
        }
    }

    fn show_writes(&mut self, keys: &[PointKey]) {
        let over = self.over();
        self.shard.show_writes(keys, over.as_ref(), self.now.wall);
    }

    fn tell(&mut self, token: u64, result: Result<WriteDone, Fault>) {
        self.events.push_back(Event::Written { token, result });
    }
}
