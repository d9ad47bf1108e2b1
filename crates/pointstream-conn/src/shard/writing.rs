//! The writes of points: whose states there are, and when they want to be looked at again.

use std::collections::BTreeSet;

use jiff::Timestamp;
use pointstream_point::{Fault, PointKey, Value, WriteInfo};
use pointstream_time::{Deadlines, Instant};

use super::{Over, Shard, Slot};

/// Which points have been written, and their timers, so that a pass costs what is due.
#[derive(Debug, Default)]
pub(super) struct Writing {
    written: BTreeSet<u32>,
    timers: Deadlines<u32>,
}

impl Writing {
    pub(super) fn forget(&mut self, at: u32) {
        if self.written.remove(&at) {
            self.timers.clear(at);
        }
    }
}

/// What became of a value that came into effect.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Accepted {
    /// It is to be written.
    Due,
    /// It waits for the least time between two writes.
    Waits,
    /// It is what the point had at start, which its tuning does not want to be written.
    Skipped,
}

impl Shard {
    /// A value came into effect.
    pub(crate) fn on_write(
        &mut self,
        key: PointKey,
        info: WriteInfo,
        now: Instant,
        steady: bool,
    ) -> Accepted {
        let Some((slot, group)) = self.writable(key) else { return Accepted::Skipped };
        let tuning = &self.groups[group].tuning.tuning;
        let Some(state) = self.slots[slot].as_mut().and_then(Slot::write_mut) else {
            return Accepted::Skipped;
        };
        let skipped = info.first && !tuning.write_on_start;
        state.on_write(info, tuning);
        if skipped {
            return Accepted::Skipped;
        }
        // One that comes too soon is put among those that wait, without opening any session.
        let earliest = state.updated().zip(tuning.write_min_time).map(|(at, min)| at + min);
        let waits = earliest.is_some_and(|earliest| now < earliest);
        if waits {
            let none = state.take(now, tuning);
            debug_assert!(none.is_none(), "too soon");
        }
        self.writing.written.insert(key.slot);
        self.rearm(key.slot, steady);
        if waits { Accepted::Waits } else { Accepted::Due }
    }

    /// The next value of a point on its way to the device, converted; a fault if it does not
    /// convert, which is the state's already. None if there is none after all.
    pub(crate) fn take_write(
        &mut self,
        key: PointKey,
        now: Instant,
        steady: bool,
    ) -> Option<Result<Value, Fault>> {
        let (at, group) = self.writable(key)?;
        let tuning = &self.groups[group].tuning.tuning;
        let slot = self.slots[at].as_mut()?;
        let more = slot.more.as_mut()?;
        let state = more.write.as_mut()?;
        let taken = state.take(now, tuning);
        let result = taken.map(|info| match &more.pipeline {
            None => Ok(info.val),
            Some(pipeline) => pipeline.write(&slot.spec, info.val, &self.enums),
        });
        if let Some(Err(fault)) = &result {
            state.on_fault(now, fault);
        }
        self.rearm(key.slot, steady);
        result
    }

    /// A value that is due will not be written.
    pub(crate) fn refuse_write(
        &mut self,
        key: PointKey,
        now: Instant,
        fault: &Fault,
        steady: bool,
    ) {
        let Some((at, group)) = self.writable(key) else { return };
        let tuning = &self.groups[group].tuning.tuning;
        if let Some(state) = self.slots[at].as_mut().and_then(Slot::write_mut) {
            state.refuse(now, tuning, fault);
        }
        self.rearm(key.slot, steady);
    }

    /// The outcome of a write that was on its way. Gives whether another one is due.
    pub(crate) fn on_written(
        &mut self,
        key: PointKey,
        now: Instant,
        result: Result<(), &Fault>,
        steady: bool,
    ) -> bool {
        let Some((at, _)) = self.writable(key) else { return false };
        let Some(state) = self.slots[at].as_mut().and_then(Slot::write_mut) else { return false };
        match result {
            Ok(()) => state.on_ok(now),
            Err(fault) => state.on_fault(now, fault),
        }
        let due = state.is_due();
        self.rearm(key.slot, steady);
        due
    }

    /// The session has opened. Gives the points that are to be written because of it.
    pub(crate) fn writes_on_open(&mut self, shard: u32) -> Vec<PointKey> {
        let mut due = Vec::new();
        for &at in &self.writing.written {
            let Some(Some(slot)) = self.slots.get_mut(at as usize) else { continue };
            let key = PointKey { shard, slot: at, generation: slot.generation };
            let tuning = &self.groups[slot.group as usize].tuning.tuning;
            let Some(state) = slot.write_mut() else { continue };
            state.on_open(tuning);
            due.extend(state.is_due().then_some(key));
        }
        due
    }

    /// Lets time pass for the writes. Gives the points that are to be written now.
    pub(crate) fn due_writes(&mut self, shard: u32, now: Instant, steady: bool) -> Vec<PointKey> {
        let mut due = Vec::new();
        while let Some(at) = self.writing.timers.pop_due(now) {
            let Some(Some(slot)) = self.slots.get_mut(at as usize) else { continue };
            let key = PointKey { shard, slot: at, generation: slot.generation };
            let tuning = &self.groups[slot.group as usize].tuning.tuning;
            let Some(state) = slot.write_mut() else { continue };
            state.handle_timeout(now, tuning, steady);
            due.extend(state.is_due().then_some(key));
            self.rearm(at, steady);
        }
        due
    }

    /// When [`due_writes`](Self::due_writes) is to be asked.
    pub(crate) fn next_write(&self) -> Option<Instant> {
        self.writing.timers.next()
    }

    /// Whether any point has been written.
    pub(crate) fn has_written(&self) -> bool {
        !self.writing.written.is_empty()
    }

    /// Sets the timer of every point that has been written, after a change that they share.
    pub(crate) fn rearm_all(&mut self, steady: bool) {
        for at in self.writing.written.clone() {
            self.rearm(at, steady);
        }
    }

    /// Shows the writes of a point.
    pub(crate) fn show_writes(&mut self, keys: &[PointKey], over: Option<&Over>, wall: Timestamp) {
        for key in keys {
            if self.slot(*key).is_some() {
                self.show_write(key.slot, over, wall);
            }
        }
    }

    /// What is known of a point's writes: the value that came in last, and whether it waits.
    pub(crate) fn last_write(&self, key: PointKey) -> Option<(&WriteInfo, bool)> {
        let state = self.slot(key)?.more.as_ref()?.write.as_ref()?;
        Some((state.last()?, state.is_pending()))
    }

    /// Sets the timer of a point by what its state wants.
    fn rearm(&mut self, at: u32, steady: bool) {
        let Some(Some(slot)) = self.slots.get(at as usize) else { return };
        let tuning = &self.groups[slot.group as usize].tuning.tuning;
        let state = slot.more.as_ref().and_then(|more| more.write.as_ref());
        match state.and_then(|state| state.poll_timeout(tuning, steady)) {
            Some(due) => self.writing.timers.set(at, due),
            None => drop(self.writing.timers.clear(at)),
        }
    }

    fn writable(&self, key: PointKey) -> Option<(usize, usize)> {
        let slot = self.slot(key)?;
        Some((key.slot as usize, slot.group as usize))
    }
}

impl Slot {
    fn write_mut(&mut self) -> Option<&mut pointstream_point::WriteState> {
        self.more.as_mut()?.write.as_mut()
    }
}
