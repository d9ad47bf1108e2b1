use alloc::sync::Arc;

use jiff::Timestamp;

use crate::{Fault, Status};

/// What a point shows of the history that its device keeps.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct His {
    /// The status.
    pub status: Status,
    /// Whether a synchronisation has been asked for and has not ended: Haxall's status `pending`.
    pub pending: bool,
    /// Why the last synchronisation failed.
    pub err: Option<Arc<str>>,
    /// The time of the last change of any of these.
    pub ts: Timestamp,
}

/// The state machine of a point's history.
///
/// | own state | `on_pending` | `on_released` | `on_ok` | `on_fault` |
/// |---|---|---|---|---|
/// | any | the same, pending | the same | ok | the fault's |
///
/// What stands above the point is folded over it as over the current value, with the fault of the
/// history's own address first; the reference looks at that of the address to write to.
#[derive(Clone, Debug, Default)]
pub struct HisState {
    own: Status,
    err: Option<Arc<str>>,
    pending: bool,
    shown: Status,
    shown_err: Option<Arc<str>>,
    shown_pending: bool,
    ts: Timestamp,
}

impl HisState {
    /// A point whose history has not been synchronised, known since `wall`.
    pub fn new(wall: Timestamp) -> Self {
        Self { ts: wall, ..Self::default() }
    }

    /// A synchronisation was asked for.
    pub fn on_pending(&mut self) {
        self.pending = true;
    }

    /// The synchronisation that was asked for was given up: what the last one came to stands.
    pub fn on_released(&mut self) {
        self.pending = false;
    }

    /// A synchronisation succeeded.
    pub fn on_ok(&mut self) {
        (self.own, self.err, self.pending) = (Status::Ok, None, false);
    }

    /// A synchronisation failed.
    pub fn on_fault(&mut self, fault: &Fault) {
        self.own = fault.status();
        self.err = Some(Arc::clone(fault.message()));
        self.pending = false;
    }

    /// Folds what stands above the point over its own state, as for the current value. Gives
    /// whether anything that is shown has changed; then `wall` is its time.
    pub fn show(&mut self, over: Option<(Status, &Arc<str>)>, wall: Timestamp) -> bool {
        let (status, err) = match over {
            Some((status, err)) => (status, Some(err)),
            None => (self.own, self.err.as_ref()),
        };
        let same = status == self.shown && err == self.shown_err.as_ref();
        if same && self.pending == self.shown_pending {
            return false;
        }
        (self.shown, self.shown_err, self.shown_pending) = (status, err.cloned(), self.pending);
        self.ts = wall;
        true
    }

    /// What is shown.
    pub fn his(&self) -> His {
        let (status, pending) = (self.shown, self.shown_pending);
        His { status, pending, err: self.shown_err.clone(), ts: self.ts }
    }

    /// The point's own status, whatever stands above it.
    pub fn own(&self) -> Status {
        self.own
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_synchronisation_is_pending_then_ok_or_not_and_what_stands_above_hides_it() {
        let wall = |secs| Timestamp::from_second(secs).unwrap();
        let mut state = HisState::new(wall(0));
        state.on_pending();
        assert!(state.show(None, wall(1)));
        assert_eq!((state.his().status, state.his().pending), (Status::Unknown, true));
        state.on_ok();
        assert!(state.show(None, wall(2)));
        assert!(!state.show(None, wall(3)), "nothing is news");
        let down = "conn down".into();
        assert!(state.show(Some((Status::Down, &down)), wall(4)));
        assert_eq!(state.his().err.as_deref(), Some("conn down"));
        assert!(state.show(None, wall(5)));
        assert_eq!((state.own(), state.his().status), (Status::Ok, Status::Ok));
        state.on_fault(&Fault::permanent("no such log"));
        assert!(state.show(None, wall(6)));
        let his = state.his();
        assert_eq!((his.status, his.err.as_deref()), (Status::Fault, Some("no such log")));
        state.on_pending();
        state.on_released();
        assert!(!state.show(None, wall(7)), "what was given up leaves no trace");
        assert_eq!(his.ts, wall(6));
    }
}
