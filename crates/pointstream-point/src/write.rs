use alloc::sync::Arc;
use core::fmt;

use jiff::Timestamp;
use pointstream_time::Instant;

use crate::{Effective, Fault, Level, Status, Tuning, Value};

#[cfg(test)]
mod tests;

/// A value on its way to a device.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct WriteInfo {
    /// The value that is in effect, before any convert. Null means that no level wants anything;
    /// what a device gets for it is the driver's to say.
    pub val: Value,
    /// The level that it stands at.
    pub level: Level,
    /// Who brought it about.
    pub who: Arc<str>,
    /// Whether this is what the point had at start, rather than a change.
    pub first: bool,
    /// Why it is written.
    pub cause: WriteCause,
}

/// Why a value is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum WriteCause {
    /// It came into effect.
    Live,
    /// It came too soon after another one and has waited for `write_min_time`.
    MinTime,
    /// It was written `write_max_time` ago.
    MaxTime,
    /// The connector has opened.
    OnOpen,
}

impl WriteInfo {
    /// A value that came into effect.
    pub fn new(effective: Effective, who: impl Into<Arc<str>>) -> Self {
        let Effective { val, level } = effective;
        Self { val, level, who: who.into(), first: false, cause: WriteCause::Live }
    }

    /// A value at a level.
    pub fn at(val: Value, level: Level, who: impl Into<Arc<str>>) -> Self {
        Self::new(Effective { val, level }, who)
    }

    /// The value that a point has at start.
    pub fn first(effective: Effective) -> Self {
        Self { first: true, ..Self::new(effective, "first") }
    }
}

impl fmt::Display for WriteInfo {
    /// As in `4 @ 14 [test] minTime`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} @ {} [{}]", self.val, self.level.number(), self.who)?;
        match self.cause {
            WriteCause::Live => Ok(()),
            WriteCause::MinTime => f.write_str(" minTime"),
            WriteCause::MaxTime => f.write_str(" maxTime"),
            WriteCause::OnOpen => f.write_str(" onOpen"),
        }
    }
}

/// What a point shows of its writes.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Write {
    /// The status.
    pub status: Status,
    /// Why the last write failed.
    pub err: Option<Arc<str>>,
    /// The time of the last change of either.
    pub ts: Timestamp,
}

/// The state machine of a point's writes to its device.
///
/// Values that come into effect go in by [`on_write`](Self::on_write), those that are to be written
/// come out of [`take`](Self::take), one at a time, which is asked after every step; the outcome goes in by [`on_ok`](Self::on_ok) or
/// [`on_fault`](Self::on_fault). What is taken is always the newest value that came in, whatever the
/// cause: a rewrite because of `write_max_time` never hides a value that came in meanwhile.
///
/// The times of the tuning count from the last attempt, whether it succeeded or not, so that a
/// device in trouble is not written more often than one that is well. After a failure nothing is
/// repeated but by `write_max_time` and `write_on_open`.
///
/// | | `on_write` | `on_open` | `take` | `handle_timeout` | `on_ok`, `on_fault` |
/// |---|---|---|---|---|---|
/// | idle | queued | queued, if `write_on_open` | – | queued, if `write_max_time` is over | – |
/// | queued | queued | queued | in flight; pending, within `write_min_time` | – | – |
/// | pending | queued | queued, if `write_on_open` | – | queued, if `write_min_time` is over | – |
/// | in flight | queued behind it | queued behind it | – | – | idle, or queued |
#[derive(Clone, Debug, Default)]
pub struct WriteState {
    last: Option<WriteInfo>,
    queued: Option<WriteCause>,
    pending: bool,
    in_flight: bool,
    updated: Option<Instant>,
    own: Status,
    err: Option<Arc<str>>,
    shown: Status,
    shown_err: Option<Arc<str>>,
    ts: Timestamp,
}

impl WriteState {
    /// A point that has not been written, known since `wall`.
    pub fn new(wall: Timestamp) -> Self {
        Self { ts: wall, ..Self::default() }
    }

    /// A value came into effect. The value that a point has at start is dropped unless the tuning
    /// wants it written.
    pub fn on_write(&mut self, info: WriteInfo, tuning: &Tuning) {
        if info.first && !tuning.write_on_start {
            return;
        }
        self.last = Some(info);
        self.queued = Some(WriteCause::Live);
    }

    /// The connector has opened.
    pub fn on_open(&mut self, tuning: &Tuning) {
        if tuning.write_on_open && self.last.is_some() {
            self.queued.get_or_insert(WriteCause::OnOpen);
        }
    }

    /// Lets time pass: a value that has waited long enough, or was written long enough ago, may be
    /// taken. Rewrites wait until the gateway is in its steady state.
    pub fn handle_timeout(&mut self, now: Instant, tuning: &Tuning, steady: bool) {
        if self.poll_timeout(tuning, steady).is_some_and(|at| at <= now) {
            self.queued =
                Some(if self.pending { WriteCause::MinTime } else { WriteCause::MaxTime });
        }
    }

    /// The value to write, if there is one and it may be written now. Its outcome is to be told
    /// before another one comes out.
    pub fn take(&mut self, now: Instant, tuning: &Tuning) -> Option<WriteInfo> {
        if self.in_flight {
            return None;
        }
        let cause = self.queued.take()?;
        let last = self.last.as_mut()?;
        let earliest = self.updated.zip(tuning.write_min_time).map(|(at, min)| at + min);
        self.pending = earliest.is_some_and(|earliest| now < earliest);
        if self.pending {
            return None;
        }
        last.cause = cause;
        self.in_flight = true;
        Some(last.clone())
    }

    /// The device has taken the value.
    pub fn on_ok(&mut self, now: Instant) {
        self.in_flight = false;
        self.updated = Some(now);
        self.own = Status::Ok;
        self.err = None;
    }

    /// The value could not be written: the connector is closed, the value does not convert, the
    /// device refuses it.
    pub fn on_fault(&mut self, now: Instant, fault: &Fault) {
        self.in_flight = false;
        self.updated = Some(now);
        self.own = fault.status();
        self.err = Some(Arc::clone(fault.message()));
    }

    /// A value that would be taken now cannot be written. Gives whether there was one.
    pub fn refuse(&mut self, now: Instant, tuning: &Tuning, fault: &Fault) -> bool {
        let due = self.take(now, tuning).is_some();
        if due {
            self.on_fault(now, fault);
        }
        due
    }

    /// Forgets everything, as after a change of address.
    pub fn reset(&mut self) {
        let (ts, shown, shown_err) = (self.ts, self.shown, self.shown_err.take());
        *self = Self { ts, shown, shown_err, ..Self::default() };
    }

    /// Folds what stands above the point over its own state, as for the current value. Gives
    /// whether anything that is shown has changed; then `wall` is its time.
    pub fn show(&mut self, over: Option<(Status, &Arc<str>)>, wall: Timestamp) -> bool {
        let (status, err) = match over {
            Some((status, err)) => (status, Some(err)),
            None => (self.own, self.err.as_ref()),
        };
        if status == self.shown && err == self.shown_err.as_ref() {
            return false;
        }
        self.shown = status;
        self.shown_err = err.cloned();
        self.ts = wall;
        true
    }

    /// When to call [`handle_timeout`](Self::handle_timeout); nothing while a value is to be taken or
    /// on its way.
    pub fn poll_timeout(&self, tuning: &Tuning, steady: bool) -> Option<Instant> {
        if self.queued.is_some() || self.in_flight || self.last.is_none() {
            return None;
        }
        let updated = self.updated.unwrap_or(Instant::ORIGIN);
        if self.pending {
            // Without a least time, as after a change of tuning, there is nothing to wait for.
            return Some(tuning.write_min_time.map_or(Instant::ORIGIN, |min| updated + min));
        }
        tuning.write_max_time.filter(|_| steady).map(|max| updated + max)
    }

    /// Whether [`take`](Self::take) may give a value.
    pub fn is_due(&self) -> bool {
        self.queued.is_some() && !self.in_flight
    }

    /// Whether a value waits for `write_min_time`.
    pub fn is_pending(&self) -> bool {
        self.pending
    }

    /// The newest value that came in, with the cause of its last write.
    pub fn last(&self) -> Option<&WriteInfo> {
        self.last.as_ref()
    }

    /// What is shown.
    pub fn write(&self) -> Write {
        Write { status: self.shown, err: self.shown_err.clone(), ts: self.ts }
    }

    /// The point's own status, whatever stands above it.
    pub fn own(&self) -> Status {
        self.own
    }

    /// When the last write ended, well or not.
    pub fn updated(&self) -> Option<Instant> {
        self.updated
    }
}
