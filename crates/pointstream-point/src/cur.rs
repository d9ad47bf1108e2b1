use alloc::sync::Arc;

use jiff::Timestamp;
use pointstream_time::Instant;

use crate::{Fault, Status, Value};

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
    /// The time of the last change of any of these.
    pub ts: Timestamp,
}

impl Default for Cur {
    fn default() -> Self {
        Self { status: Status::Unknown, val: Value::Null, err: None, ts: Timestamp::UNIX_EPOCH }
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
#[derive(Clone, Debug, Default)]
pub struct CurState {
    own: Status,
    val: Value,
    err: Option<Arc<str>>,
    updated: Option<Instant>,
    shown: Status,
    shown_err: Option<Arc<str>>,
    ts: Timestamp,
    moved: bool,
}

impl CurState {
    /// A point of which nothing has been read, known since `wall`.
    pub fn new(wall: Timestamp) -> Self {
        Self { ts: wall, ..Self::default() }
    }

    /// A good reading arrived.
    pub fn on_ok(&mut self, at: Instant, value: Value) {
        self.moved |= !self.val.same(&value);
        self.own = Status::Ok;
        self.val = value;
        self.err = None;
        self.updated = Some(at);
    }

    /// A reading failed for this point alone. The value is dropped.
    pub fn on_fault(&mut self, at: Instant, fault: &Fault) {
        self.own = fault.status();
        self.val = Value::Null;
        self.err = Some(Arc::clone(fault.message()));
        self.updated = Some(at);
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
        let ts = self.ts;
        let (shown, shown_err) = (self.shown, self.shown_err.take());
        *self = Self { ts, shown, shown_err, moved: shown.has_value(), ..Self::default() };
    }

    /// Folds what stands above the point over its own state. Gives whether anything that is shown
    /// has changed since the last call; then `wall` is its time.
    pub fn show(&mut self, over: Option<(Status, &Arc<str>)>, wall: Timestamp) -> bool {
        let (status, err) = match over {
            Some((status, err)) => (status, Some(err)),
            None => (self.own, self.err.as_ref()),
        };
        let value_moved = core::mem::take(&mut self.moved) && status.has_value();
        if status == self.shown && err == self.shown_err.as_ref() && !value_moved {
            return false;
        }
        self.shown = status;
        self.shown_err = err.cloned();
        self.ts = wall;
        true
    }

    /// What is shown.
    pub fn cur(&self) -> Cur {
        let val = if self.shown.has_value() { self.val.clone() } else { Value::Null };
        Cur { status: self.shown, val, err: self.shown_err.clone(), ts: self.ts }
    }

    /// The point's own status, whatever stands above it.
    pub fn own(&self) -> Status {
        self.own
    }

    /// When the last reading arrived, good or not.
    pub fn updated(&self) -> Option<Instant> {
        self.updated
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

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
}
