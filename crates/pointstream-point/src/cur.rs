use alloc::boxed::Box;
use alloc::sync::Arc;
use core::num::NonZeroU64;
use core::time::Duration;

use jiff::Timestamp;
use pointstream_time::Instant;

use crate::{Fault, FaultKind, Status, Value};

/// What a point shows of its current value.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Cur {
    /// The status.
    pub status: Status,
    /// The value; null unless the status is `ok` or `stale`.
    pub val: Value,
    /// Why there is no value.
    pub err: Option<Arc<str>>,
    /// The time of the last change of any of these: when the reading arrived that made it.
    pub ts: Timestamp,
    /// The times that came with that reading, if any did.
    pub times: Option<Box<Times>>,
}

/// The times that a reading brings along from the other side.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the two times that protocols know")]
pub struct Times {
    /// When the source took the value.
    pub source: Option<Timestamp>,
    /// When the server learned of it.
    pub server: Option<Timestamp>,
}

impl Times {
    /// Whether there is neither.
    pub const fn is_empty(&self) -> bool {
        self.source.is_none() && self.server.is_none()
    }
}

/// A value with all that is known of its quality and age.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Sample {
    /// The value; null unless the status is `ok` or `stale`.
    pub val: Value,
    /// What it is worth.
    pub status: Status,
    /// When the source took it.
    pub source: Option<Timestamp>,
    /// When the server learned of it.
    pub server: Option<Timestamp>,
    /// When it was received here.
    pub received: Timestamp,
}

impl Cur {
    /// This value as a sample.
    pub fn sample(&self) -> Sample {
        let Times { source, server } = self.times.as_deref().copied().unwrap_or_default();
        Sample { val: self.val.clone(), status: self.status, source, server, received: self.ts }
    }
}

impl Default for Cur {
    fn default() -> Self {
        let ts = Timestamp::UNIX_EPOCH;
        Self { status: Status::Unknown, val: Value::Null, err: None, ts, times: None }
    }
}

/// The state machine of a point's current value.
///
/// It remembers the point's *own* state, moved by [`on_ok`](Self::on_ok),
/// [`on_fault`](Self::on_fault) and [`on_stale`](Self::on_stale), and what is *shown*, which
/// [`show`](Self::show) folds from it and from what stands above the point (its connector, its
/// configuration). When what stood above is gone, the own state shows again, the old value with it.
///
/// | own state | `on_ok` | `on_stale` | `on_fault` |
/// |---|---|---|---|
/// | unknown | ok | – | the fault's |
/// | ok | ok | stale, value kept | the fault's |
/// | stale | ok | – | the fault's |
/// | of a fault | ok | – | the fault's |
///
/// There is one for each point of a process, so it is small: what few points have stands apart.
#[derive(Clone, Debug, Default)]
pub struct CurState {
    val: Value,
    updated: Moment,
    /// The wall-clock time of the last change, in microseconds since the UNIX epoch.
    ts: i64,
    rare: Option<Box<Rare>>,
    own: Status,
    shown: Status,
    moved: bool,
}

/// What a point has that is in trouble, or whose readings bring times along.
#[derive(Clone, Debug, Default, PartialEq)]
struct Rare {
    err: Option<Arc<str>>,
    shown_err: Option<Arc<str>>,
    times: Times,
    shown_times: Times,
}

impl CurState {
    /// A point of which nothing has been read, known since `wall`.
    pub fn new(wall: Timestamp) -> Self {
        Self { ts: wall.as_microsecond(), ..Self::default() }
    }

    /// A good reading arrived.
    pub fn on_ok(&mut self, at: Instant, value: Value) {
        self.on_sample(at, value, Times::default());
    }

    /// A good reading arrived, with the times of the other side.
    pub fn on_sample(&mut self, at: Instant, value: Value, times: Times) {
        self.moved |= !self.val.same(&value);
        self.own = Status::Ok;
        self.val = value;
        self.updated = Moment::of(at);
        match &mut self.rare {
            Some(rare) => (rare.err, rare.times) = (None, times),
            None if times.is_empty() => {}
            None => self.rare = Some(Box::new(Rare { times, ..Rare::default() })),
        }
    }

    /// A reading failed for this point alone. The value is dropped.
    pub fn on_fault(&mut self, at: Instant, fault: &Fault) {
        self.own = fault.status();
        self.val = Value::Null;
        self.updated = Moment::of(at);
        let rare = self.rare.get_or_insert_default();
        (rare.err, rare.times) = (Some(Arc::clone(fault.message())), Times::default());
    }

    /// The stale time passed since the last good reading. Only an `ok` point goes stale; the value
    /// is kept.
    pub fn on_stale(&mut self) {
        if self.own == Status::Ok {
            self.own = Status::Stale;
        }
    }

    /// Forgets everything, as after a change of address.
    pub fn reset(&mut self) {
        let (ts, shown) = (self.ts, self.shown);
        let shown_err = self.rare.take().and_then(|rare| rare.shown_err);
        *self = Self { ts, shown, moved: shown.has_value(), ..Self::default() };
        if shown_err.is_some() {
            self.rare = Some(Box::new(Rare { shown_err, ..Rare::default() }));
        }
    }

    /// Folds what stands above the point over its own state. Gives whether anything that is shown
    /// has changed since the last call; then `wall` is its time.
    pub fn show(&mut self, over: Option<(Status, &Arc<str>)>, wall: Timestamp) -> bool {
        let own_err = self.rare.as_ref().and_then(|rare| rare.err.as_ref());
        let (status, err) = match over {
            Some((status, err)) => (status, Some(err)),
            None => (self.own, own_err),
        };
        let shown_err = self.rare.as_ref().and_then(|rare| rare.shown_err.as_ref());
        let value_moved = core::mem::take(&mut self.moved) && status.has_value();
        if status == self.shown && err == shown_err && !value_moved {
            return false;
        }
        self.shown = status;
        let err = err.cloned();
        self.ts = wall.as_microsecond();
        if err.is_some() || self.rare.is_some() {
            let rare = self.rare.get_or_insert_default();
            rare.shown_err = err;
            rare.shown_times = if status.has_value() { rare.times } else { Times::default() };
            self.rare.take_if(|rare| **rare == Rare::default());
        }
        true
    }

    /// What is shown.
    pub fn cur(&self) -> Cur {
        let val = if self.shown.has_value() { self.val.clone() } else { Value::Null };
        let rare = self.rare.as_deref();
        let times = rare.map(|rare| rare.shown_times).filter(|times| !times.is_empty());
        Cur {
            status: self.shown,
            val,
            err: rare.and_then(|rare| rare.shown_err.clone()),
            ts: Timestamp::from_microsecond(self.ts).unwrap_or_default(),
            times: times.map(Box::new),
        }
    }

    /// The point's own status, whatever stands above it.
    pub fn own(&self) -> Status {
        self.own
    }

    /// Why there is no value, if the last reading says so, whatever stands above the point.
    pub fn fault(&self) -> Option<Fault> {
        let err = self.rare.as_ref()?.err.as_ref()?;
        let kind = match self.own {
            Status::Down => FaultKind::Down,
            Status::Disabled => FaultKind::Disabled,
            Status::Fault => FaultKind::Fault,
            remote => FaultKind::Remote(remote),
        };
        Some(Fault::new(kind, err))
    }

    /// When the last reading arrived, good or not.
    pub fn updated(&self) -> Option<Instant> {
        self.updated.instant()
    }
}

/// An instant or none in eight bytes: nanoseconds since the origin, for some 580 years.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Moment(Option<NonZeroU64>);

impl Moment {
    fn of(at: Instant) -> Self {
        let nanos = u64::try_from(at.since_origin().as_nanos()).unwrap_or(u64::MAX);
        Self(NonZeroU64::new(nanos.saturating_add(1)))
    }

    fn instant(self) -> Option<Instant> {
        self.0.map(|nanos| Instant::from_origin(Duration::from_nanos(nanos.get() - 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Instant {
        Instant::from_origin(Duration::from_secs(secs))
    }

    fn wall(secs: i64) -> Timestamp {
        Timestamp::from_second(secs).unwrap()
    }

    #[test]
    fn the_time_is_that_of_the_last_change() {
        let mut state = CurState::default();
        state.on_ok(at(1), Value::number(20.0));
        assert!(state.show(None, wall(1)));
        state.on_ok(at(2), Value::number(20.0));
        assert!(!state.show(None, wall(2)), "an unchanged value is no change");
        assert_eq!(state.cur().ts, wall(1));
        assert_eq!(state.updated(), Some(at(2)));
        state.on_ok(at(3), Value::number(21.0));
        assert!(state.show(None, wall(3)));
        assert_eq!(state.cur().ts, wall(3));
    }

    #[test]
    fn what_stands_above_hides_the_value_and_gives_it_back() {
        let mut state = CurState::default();
        state.on_ok(at(1), Value::number(20.0));
        state.show(None, wall(1));
        let err: Arc<str> = "conn down".into();
        assert!(state.show(Some((Status::Down, &err)), wall(2)));
        let cur = state.cur();
        assert_eq!((cur.status, cur.val, cur.err), (Status::Down, Value::Null, Some(err.clone())));
        assert!(!state.show(Some((Status::Down, &err)), wall(3)));
        assert!(state.show(None, wall(4)));
        assert_eq!(state.cur().val, Value::number(20.0));
        assert_eq!(state.cur().err, None);
    }

    #[test]
    fn only_ok_goes_stale_and_keeps_its_value() {
        let mut state = CurState::default();
        state.on_stale();
        assert_eq!(state.own(), Status::Unknown);
        state.on_ok(at(1), Value::number(20.0));
        state.on_stale();
        assert!(state.show(None, wall(2)));
        assert_eq!(state.cur().status, Status::Stale);
        assert_eq!(state.cur().val, Value::number(20.0));
        state.on_fault(at(3), &Fault::permanent("Illegal Data Address"));
        state.on_stale();
        assert_eq!(state.own(), Status::Fault);
        let fault = state.fault().unwrap();
        assert_eq!((fault.status(), &**fault.message()), (Status::Fault, "Illegal Data Address"));
        state.show(None, wall(3));
        assert_eq!(state.cur().val, Value::Null);
        assert_eq!(state.cur().err.as_deref(), Some("Illegal Data Address"));
    }

    #[test]
    fn nan_is_one_value() {
        let mut state = CurState::default();
        state.on_ok(at(1), Value::number(f64::NAN));
        assert!(state.show(None, wall(1)));
        state.on_ok(at(2), Value::number(f64::NAN));
        assert!(!state.show(None, wall(2)));
    }

    #[test]
    fn a_value_that_moved_while_hidden_shows_with_the_status() {
        let mut state = CurState::default();
        state.on_ok(at(1), Value::number(20.0));
        state.show(None, wall(1));
        let err: Arc<str> = "conn down".into();
        state.show(Some((Status::Down, &err)), wall(2));
        state.on_ok(at(3), Value::number(25.0));
        assert!(!state.show(Some((Status::Down, &err)), wall(3)));
        assert!(state.show(None, wall(4)));
        assert_eq!(state.cur().val, Value::number(25.0));
    }

    #[test]
    fn the_times_are_those_of_the_reading_that_made_the_change() {
        let mut state = CurState::new(wall(0));
        let times = |secs| Times { source: Some(wall(secs)), server: None };
        state.on_sample(at(10), Value::number(1.0), times(9));
        assert!(state.show(None, wall(10)));
        state.on_sample(at(20), Value::number(1.0), times(19));
        assert!(!state.show(None, wall(20)), "a later time alone is no change");
        let sample = state.cur().sample();
        assert_eq!(
            (sample.source, sample.server, sample.received),
            (Some(wall(9)), None, wall(10))
        );
        state.on_fault(at(30), &Fault::down("gone"));
        assert!(state.show(None, wall(30)));
        let sample = state.cur().sample();
        assert_eq!((sample.status, sample.source), (Status::Down, None));
        state.on_ok(at(40), Value::number(1.0));
        assert!(state.show(None, wall(40)));
        assert_eq!(state.cur().times, None);
        assert!(state.rare.is_none(), "a plain point is small again");
        assert!(size_of::<CurState>() <= 48);
    }
}
