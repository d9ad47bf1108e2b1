use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use pointstream_time::Instant;

use crate::{Kind, Unit, Value};

mod level;
mod row;

pub use level::{Level, LevelError};
pub use row::PriorityRow;

/// Who wants what of a writable point: sixteen levels and a default, of which the lowest number
/// that is not null wins.
///
/// A level keeps its value until the same level is written again; null releases it. A value at
/// level 8 may be *timed*: it is released when its time is over, which the owner of the array
/// brings about by [`handle_timeout`](Self::handle_timeout) at [`poll_timeout`](Self::poll_timeout).
/// Levels 1, 8 and 17 are to be kept across restarts, unless timed: [`Written::persist`] says when.
#[derive(Clone, Debug, PartialEq)]
pub struct PriorityArray {
    kind: Kind,
    unit: Option<Unit>,
    /// The levels that have been written, by level; a point seldom has more than two.
    slots: Vec<Slot>,
    expires: Option<Instant>,
    effective: Effective,
}

#[derive(Clone, Debug, PartialEq)]
struct Slot {
    level: Level,
    val: Value,
    who: Arc<str>,
}

/// What wins: a value and the level that it stands at, null at [`Level::DEF`] if no level has one.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Effective {
    /// The value.
    pub val: Value,
    /// Its level.
    pub level: Level,
}

impl Effective {
    /// No level has a value.
    pub const NONE: Self = Self { val: Value::Null, level: Level::DEF };
}

/// What someone writes to one level.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LevelWrite {
    /// The level.
    pub level: Level,
    /// The value; null releases the level.
    pub val: Value,
    /// Who writes, for people.
    pub who: Arc<str>,
    /// How long it stands, at level 8; at the others this does not count.
    pub duration: Option<Duration>,
}

impl LevelWrite {
    /// A value that stands until it is written over.
    pub fn new(level: Level, val: Value, who: impl Into<Arc<str>>) -> Self {
        Self { level, val, who: who.into(), duration: None }
    }

    /// This write, released after a time if it is at level 8.
    #[must_use]
    pub const fn with_duration(mut self, duration: Duration) -> Self {
        self.duration = Some(duration);
        self
    }
}

/// What a write has changed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Written {
    /// The level that was written.
    pub level: Level,
    /// The value that stands there, with the point's unit.
    pub val: Value,
    /// Who wrote it.
    pub who: Arc<str>,
    /// Whether the value or who wrote it differ from before; if not, nobody is told.
    pub changed: bool,
    /// What wins, if that differs from before.
    pub effective: Option<Effective>,
    /// Whether `val` is to be kept for this level across restarts.
    pub persist: bool,
}

/// Why a level may not be written.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PriorityError {
    /// Nobody wrote it.
    #[error("Invalid who: it is empty")]
    Who,
    /// The value is of another kind than the point's.
    #[error("Invalid {kind} val: {val}")]
    Kind {
        /// The point's kind.
        kind: Kind,
        /// The value.
        val: Value,
    },
    /// The number has another unit than the point's.
    #[error("point unit != write unit: {} != {got}", UnitText(*.unit))]
    Unit {
        /// The point's unit.
        unit: Option<Unit>,
        /// The unit of the number.
        got: Unit,
    },
}

struct UnitText(Option<Unit>);

impl core::fmt::Display for UnitText {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0 {
            Some(unit) => write!(f, "{unit}"),
            None => f.write_str("null"),
        }
    }
}

impl PriorityArray {
    /// Who wrote what comes from the store at start.
    pub const RESTORED: &str = "database restore";

    /// An array that nobody has written to, for a point of this kind and unit.
    pub const fn new(kind: Kind, unit: Option<Unit>) -> Self {
        Self { kind, unit, slots: Vec::new(), expires: None, effective: Effective::NONE }
    }

    /// Writes one level.
    ///
    /// The same value by the same writer changes nothing, apart from the time at which it is
    /// released: a write at level 8 starts, restarts or stops its timer in any case.
    pub fn write(&mut self, now: Instant, write: LevelWrite) -> Result<Written, PriorityError> {
        if write.who.is_empty() {
            return Err(PriorityError::Who);
        }
        let val = self.check(write.val)?;
        let (was_timed, timer) =
            (self.is_timed(write.level), write.duration.map(|time| now + time));
        if write.level == Level::MANUAL {
            self.expires = timer.filter(|_| val != Value::Null);
        }
        let timed = self.is_timed(write.level);
        let mut written = self.set(write.level, val, write.who);
        // An untimed write replaces what is kept, also one that only stops the timer.
        written.persist = write.level.is_persistent() && !timed && (written.changed || was_timed);
        Ok(written)
    }

    /// Puts back what was kept for a level across a restart. A value that does not fit the point
    /// any more is refused.
    pub fn restore(&mut self, level: Level, val: Value) -> Result<Written, PriorityError> {
        let val = self.check(val)?;
        Ok(self.set(level, val, Self::RESTORED.into()))
    }

    /// Releases the timed value at level 8, if its time is over.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Written> {
        self.expires.take_if(|expires| *expires <= now)?;
        let at = self.find(Level::MANUAL).ok()?;
        let who = self.slots.get(at).map(|slot| Arc::clone(&slot.who))?;
        let mut written = self.set(Level::MANUAL, Value::Null, who);
        written.persist = true;
        Some(written)
    }

    /// Releases the levels whose values do not pass, as after a change of the point. Gives them.
    pub fn release_unless(&mut self, fits: impl Fn(&Value) -> bool) -> Vec<Level> {
        let mut released = Vec::new();
        for slot in &mut self.slots {
            if slot.val != Value::Null && !fits(&slot.val) {
                slot.val = Value::Null;
                released.push(slot.level);
            }
        }
        self.expires.take_if(|_| released.contains(&Level::MANUAL));
        self.settle();
        released
    }

    /// What stands at the levels that are kept across restarts.
    pub fn persistent(&self) -> impl Iterator<Item = (Level, Value)> {
        let kept = |slot: &&Slot| {
            let set = slot.val != Value::Null && !self.is_timed(slot.level);
            set && slot.level.is_persistent()
        };
        self.slots.iter().filter(kept).map(|slot| (slot.level, slot.val.clone()))
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.expires
    }

    /// What wins.
    pub fn effective(&self) -> &Effective {
        &self.effective
    }

    /// What stands at a level.
    pub fn get(&self, level: Level) -> &Value {
        let slot = self.find(level).ok().and_then(|at| self.slots.get(at));
        slot.map_or(&Value::Null, |slot| &slot.val)
    }

    /// Who wrote a level last.
    pub fn who(&self, level: Level) -> Option<&Arc<str>> {
        self.find(level).ok().and_then(|at| self.slots.get(at)).map(|slot| &slot.who)
    }

    /// All seventeen levels as they stand at `now`, the strongest first.
    pub fn rows(&self, now: Instant) -> impl Iterator<Item = PriorityRow<'_>> {
        Level::all().map(move |level| PriorityRow {
            level,
            val: self.get(level),
            who: self.who(level).map(|who| &**who),
            expires: self.expires.filter(|_| level == Level::MANUAL).map(|at| at.since(now)),
        })
    }

    /// The value with the point's unit.
    fn check(&self, val: Value) -> Result<Value, PriorityError> {
        match val {
            Value::Null => Ok(Value::Null),
            val if val.kind() != Some(self.kind) => {
                Err(PriorityError::Kind { kind: self.kind, val })
            }
            Value::Number(_, Some(got)) if self.unit != Some(got) => {
                Err(PriorityError::Unit { unit: self.unit, got })
            }
            Value::Number(number, _) => Ok(Value::Number(number, self.unit)),
            val => Ok(val),
        }
    }

    fn set(&mut self, level: Level, val: Value, who: Arc<str>) -> Written {
        let slot = Slot { level, val: val.clone(), who: Arc::clone(&who) };
        let changed = match self.find(level) {
            Ok(at) => match self.slots.get_mut(at) {
                Some(old) if !old.val.same(&val) || old.who != who => {
                    *old = slot;
                    true
                }
                _ => false,
            },
            Err(at) => {
                self.slots.insert(at, slot);
                true
            }
        };
        let effective = if changed { self.settle() } else { None };
        Written { level, val, who, changed, effective, persist: false }
    }

    /// Finds out what wins, and gives it if that is news.
    fn settle(&mut self) -> Option<Effective> {
        let winner = self.slots.iter().find(|slot| slot.val != Value::Null);
        let (val, level) =
            winner.map_or((&Value::Null, Level::DEF), |slot| (&slot.val, slot.level));
        if level == self.effective.level && val.same(&self.effective.val) {
            return None;
        }
        self.effective = Effective { val: val.clone(), level };
        Some(self.effective.clone())
    }

    fn is_timed(&self, level: Level) -> bool {
        level == Level::MANUAL && self.expires.is_some()
    }

    fn find(&self, level: Level) -> Result<usize, usize> {
        self.slots.binary_search_by_key(&level, |slot| slot.level)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use proptest::prelude::*;

    use super::*;

    fn at(secs: u64) -> Instant {
        Instant::from_origin(Duration::from_secs(secs))
    }

    fn level(number: u8) -> Level {
        Level::new(number).unwrap()
    }

    fn celsius() -> Option<Unit> {
        Unit::parse("°C").ok()
    }

    fn array() -> PriorityArray {
        PriorityArray::new(Kind::Number, celsius())
    }

    fn write(number: u8, val: impl Into<Option<f64>>, who: &str) -> LevelWrite {
        let val = val.into().map_or(Value::Null, Value::number);
        LevelWrite::new(level(number), val, who)
    }

    fn effective(val: impl Into<Option<f64>>, number: u8) -> Effective {
        let val = val.into().map_or(Value::Null, |val| Value::Number(val, celsius()));
        Effective { val, level: level(number) }
    }

    #[test]
    fn the_lowest_number_that_is_not_null_wins() {
        let mut array = array();
        assert_eq!(*array.effective(), effective(None, 17));
        for (step, want) in [
            (write(17, 20.0, "def"), Some(effective(20.0, 17))),
            (write(14, 21.0, "a"), Some(effective(21.0, 14))),
            (write(16, 22.0, "b"), None),
            (write(14, 21.0, "c"), None),
            (write(8, 23.0, "d"), Some(effective(23.0, 8))),
            (write(1, 24.0, "e"), Some(effective(24.0, 1))),
            (write(8, None, "d"), None),
            (write(1, None, "e"), Some(effective(21.0, 14))),
            (write(14, None, "c"), Some(effective(22.0, 16))),
            (write(16, 20.0, "b"), Some(effective(20.0, 16))),
            (write(16, None, "b"), Some(effective(20.0, 17))),
            (write(17, None, "def"), Some(effective(None, 17))),
        ] {
            let text = alloc::format!("{step:?}");
            let written = array.write(at(0), step).unwrap();
            assert!(written.changed, "{text}");
            assert_eq!(written.effective, want, "{text}");
        }
    }

    #[test]
    fn the_same_value_by_the_same_writer_changes_nothing() {
        let mut array = array();
        assert!(array.write(at(0), write(8, 20.0, "a")).unwrap().changed);
        let again = array.write(at(1), write(8, 20.0, "a")).unwrap();
        assert_eq!((again.changed, again.effective, again.persist), (false, None, false));
        let other = array.write(at(2), write(8, 20.0, "b")).unwrap();
        assert_eq!((other.changed, other.effective, other.persist), (true, None, true));
        let nan = array.write(at(3), write(9, f64::NAN, "b")).unwrap();
        assert!(nan.changed);
        assert!(!array.write(at(4), write(9, f64::NAN, "b")).unwrap().changed);
    }

    #[test]
    fn levels_1_8_and_17_are_kept_unless_timed() {
        let mut array = array();
        for number in 1..=17 {
            let written = array.write(at(0), write(number, 20.0, "a")).unwrap();
            assert_eq!(written.persist, matches!(number, 1 | 8 | 17), "{number}");
        }
        let timed = write(8, 21.0, "a").with_duration(Duration::from_secs(60));
        assert!(!array.write(at(1), timed).unwrap().persist);
        // What stops the timer is kept, though neither the value nor who wrote it differ.
        let untimed = array.write(at(2), write(8, 21.0, "a")).unwrap();
        assert_eq!((untimed.changed, untimed.persist), (false, true));
        assert_eq!(array.poll_timeout(), None);
    }

    #[test]
    fn a_timed_value_at_level_8_is_released_when_its_time_is_over() {
        let mut array = array();
        array.write(at(0), write(17, 18.0, "def")).unwrap();
        let timed = |number| write(number, 21.0, "tom").with_duration(Duration::from_secs(60));
        array.write(at(0), timed(9)).unwrap();
        assert_eq!(array.poll_timeout(), None, "only level 8 has a timer");
        array.write(at(10), timed(8)).unwrap();
        assert_eq!(array.poll_timeout(), Some(at(70)));
        assert_eq!(array.handle_timeout(at(69)), None);
        let again = array.write(at(20), timed(8)).unwrap();
        assert!(!again.changed, "and yet it starts the timer again");
        assert_eq!(array.poll_timeout(), Some(at(80)));
        array.write(at(30), write(9, None, "tom")).unwrap();
        let released = array.handle_timeout(at(80)).unwrap();
        assert_eq!(
            (released.level, &released.val, &*released.who),
            (level(8), &Value::Null, "tom")
        );
        assert_eq!(released.effective, Some(effective(18.0, 17)));
        assert!(released.persist);
        assert_eq!((array.handle_timeout(at(99)), array.poll_timeout()), (None, None));
    }

    #[test]
    fn a_released_level_8_has_no_timer() {
        let mut array = array();
        let timed = write(8, None, "a").with_duration(Duration::from_secs(60));
        assert!(array.write(at(0), timed).unwrap().persist);
        assert_eq!(array.poll_timeout(), None);
    }

    #[test]
    fn what_was_kept_comes_back() {
        let mut array = array();
        let restored = array.restore(Level::MANUAL, Value::number(19.0)).unwrap();
        assert_eq!(restored.effective, Some(effective(19.0, 8)));
        assert_eq!((&*restored.who, restored.persist), ("database restore", false));
        assert!(array.restore(Level::DEF, Value::Bool(true)).is_err());
    }

    #[test]
    fn what_does_not_fit_the_point_is_refused() {
        let mut array = array();
        let mut text = |val| {
            let write = LevelWrite::new(Level::MANUAL, val, "a");
            array.write(at(0), write).unwrap_err().to_string()
        };
        assert_eq!(text(Value::str("on")), "Invalid Number val: on");
        assert_eq!(text(Value::Na), "Invalid Number val: NA");
        let fahrenheit = Value::Number(70.0, Unit::parse("°F").ok());
        assert_eq!(text(fahrenheit), "point unit != write unit: °C != °F");
        assert_eq!(array.write(at(0), write(8, 1.0, "")), Err(PriorityError::Who));
        assert_eq!(*array.effective(), effective(None, 17));
        let mut bare = PriorityArray::new(Kind::Number, None);
        let celsius = LevelWrite::new(Level::DEF, Value::Number(1.0, celsius()), "a");
        let error = bare.write(at(0), celsius).unwrap_err();
        assert_eq!(error.to_string(), "point unit != write unit: null != °C");
        let mut switch = PriorityArray::new(Kind::Bool, None);
        let error = switch.write(at(0), write(8, 1.0, "a")).unwrap_err();
        assert_eq!(error.to_string(), "Invalid Bool val: 1");
    }

    #[test]
    fn the_listing_has_seventeen_rows() {
        let mut array = array();
        let timed = write(8, 21.0, "tom").with_duration(Duration::from_secs(60));
        array.write(at(0), timed).unwrap();
        array.write(at(0), write(17, 18.0, "def")).unwrap();
        let rows: Vec<_> = array.rows(at(15)).collect();
        assert_eq!(rows.len(), 17);
        assert_eq!(
            serde_json::to_string(&rows[7]).unwrap(),
            r#"{"level":8,"levelDis":"8 (manual)","val":21,"valDis":"21°C","who":"tom","expires":45.0}"#,
        );
        assert_eq!(
            serde_json::to_string(&rows[0]).unwrap(),
            r#"{"level":1,"levelDis":"1 (emergency)","val":null}"#,
        );
        assert_eq!(rows[16].level.to_string(), "def");
        assert_eq!(rows[16].val, &Value::Number(18.0, celsius()));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Against the plainest array there is.
        #[test]
        fn any_writes_leave_the_first_that_is_not_null_in_effect(
            ops in prop::collection::vec(
                (1_u8..=17, prop::option::of(0_u8..3), 0_u64..4, any::<bool>()), 0..40,
            ),
        ) {
            let (mut array, mut model, mut expires) = (array(), [None; 18], None);
            let mut told = effective(None, 17);
            for (step, (number, val, secs, timed)) in ops.into_iter().enumerate() {
                let now = at(step as u64);
                if let Some(written) = array.handle_timeout(now) {
                    told = written.effective.unwrap_or(told);
                }
                if expires.is_some_and(|at| at <= now) {
                    (model[8], expires) = (None, None);
                }
                let mut op = write(number, val.map(f64::from), "w");
                if timed {
                    op = op.with_duration(Duration::from_secs(secs));
                }
                let written = array.write(now, op).unwrap();
                model[usize::from(number)] = val;
                if number == 8 {
                    expires = (timed && val.is_some()).then(|| now + Duration::from_secs(secs));
                }
                told = written.effective.unwrap_or(told);
                let first = (1..=17).find_map(|n| model[usize::from(n)].map(|val| (val, n)));
                let (val, n) = first.map_or((None, 17), |(val, n)| (Some(f64::from(val)), n));
                prop_assert_eq!(array.effective(), &effective(val, n));
                prop_assert_eq!(array.effective(), &told);
                prop_assert_eq!(array.poll_timeout(), expires);
            }
        }
    }
}
