use std::collections::BTreeMap;
use std::sync::Arc;

use pointstream_point::{
    Effective, Id, Kind, Level, LevelWrite, PointSpec, PriorityArray, PriorityError, RangeError,
    Unit, Value, Written,
};
use pointstream_time::{Deadlines, Instant};

/// The priority arrays of all writable points, by id.
///
/// They stand apart from connectors, so that they outlive the configuration of one and serve
/// points that have none. An array is made when its point is first written; a point that nobody
/// has written costs nothing.
#[derive(Debug, Default)]
pub struct Arrays {
    by_id: BTreeMap<Id, u64>,
    arrays: BTreeMap<u64, Held>,
    timers: Deadlines<u64>,
    last: u64,
}

#[derive(Debug)]
struct Held {
    id: Id,
    kind: Kind,
    unit: Option<Unit>,
    array: PriorityArray,
    /// When a value was accepted last.
    accepted: Option<Instant>,
}

/// Why a level was not written; no device has seen the value.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LevelWriteError {
    /// The point does not take such a value, or not yet.
    #[error(transparent)]
    Range(#[from] RangeError),
    /// Nobody wrote it.
    #[error(transparent)]
    Array(#[from] PriorityError),
}

impl Arrays {
    /// No arrays.
    pub const fn new() -> Self {
        Self { by_id: BTreeMap::new(), arrays: BTreeMap::new(), timers: Deadlines::new(), last: 0 }
    }

    /// Writes one level of a point.
    ///
    /// The value is checked against the point's kind, unit and range, and against the least time
    /// between two writes. Null releases the level; that and emergencies are never too soon.
    pub fn write(
        &mut self,
        now: Instant,
        spec: &PointSpec,
        mut write: LevelWrite,
    ) -> Result<Written, LevelWriteError> {
        if write.val != Value::Null {
            write.val = spec.check_write(write.val)?;
        } else if !spec.is_writable() {
            return Err(RangeError::NotWritable.into());
        }
        let at = self.held(spec);
        let Some(held) = self.arrays.get_mut(&at) else { unreachable!("just made") };
        let limited = write.val != Value::Null && write.level != Level::EMERGENCY;
        if let (true, Some(limit), Some(last)) = (limited, spec.more.write_limit, held.accepted) {
            let waited = now.since(last);
            if waited < limit {
                return Err(RangeError::TooSoon { limit, wait: limit - waited }.into());
            }
        }
        let written = held.array.write(now, write)?;
        if limited {
            held.accepted = Some(now);
        }
        self.rearm(at);
        Ok(written)
    }

    /// Puts back what was kept for a level of a point across a restart.
    ///
    /// # Errors
    ///
    /// The point does not take the value any more.
    pub fn restore(
        &mut self,
        spec: &PointSpec,
        level: Level,
        val: Value,
    ) -> Result<Written, LevelWriteError> {
        let val = spec.check_write(val)?;
        let at = self.held(spec);
        let Some(held) = self.arrays.get_mut(&at) else { unreachable!("just made") };
        Ok(held.array.restore(level, val)?)
    }

    /// The array of a point, if anybody has written it.
    pub fn get(&self, id: &str) -> Option<&PriorityArray> {
        let at = self.by_id.get(id)?;
        self.arrays.get(at).map(|held| &held.array)
    }

    /// What wins for a point.
    pub fn effective(&self, id: &str) -> Effective {
        self.get(id).map_or(Effective::NONE, |array| array.effective().clone())
    }

    /// Who wrote what wins for a point.
    pub fn who(&self, id: &str) -> Option<Arc<str>> {
        let array = self.get(id)?;
        array.who(array.effective().level).cloned()
    }

    /// Releases the timed values whose time is over. Gives what that changed, by point.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<(Id, Written)> {
        let mut released = Vec::new();
        while let Some(at) = self.timers.pop_due(now) {
            let Some(held) = self.arrays.get_mut(&at) else { continue };
            released
                .extend(held.array.handle_timeout(now).map(|written| (held.id.clone(), written)));
            self.rearm(at);
        }
        released
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Forgets the array of a point that is no more. Gives what stood at the levels that are kept
    /// across restarts.
    pub fn forget(&mut self, id: &str) -> Vec<(Level, Value)> {
        let Some(at) = self.by_id.remove(id) else { return Vec::new() };
        self.timers.clear(at);
        let held = self.arrays.remove(&at);
        held.map(|held| held.array.persistent().collect()).unwrap_or_default()
    }

    /// Makes the array of a point fit what the point has become: values that it would not take any
    /// more are released. Gives their levels.
    pub fn fit(&mut self, spec: &PointSpec) -> Vec<Level> {
        let Some(&at) = self.by_id.get(&spec.id) else { return Vec::new() };
        let Some(held) = self.arrays.get_mut(&at) else { return Vec::new() };
        if (held.kind, held.unit) == (spec.kind, spec.unit) {
            let fits = |val: &Value| spec.check_write(val.clone()).is_ok();
            let released = held.array.release_unless(fits);
            self.rearm(at);
            return released;
        }
        let levels = Level::all().filter(|&level| *held.array.get(level) != Value::Null);
        let released = levels.collect();
        self.forget(spec.id.as_str());
        released
    }

    /// The ids of all points that have an array.
    pub fn ids(&self) -> impl Iterator<Item = &Id> {
        self.by_id.keys()
    }

    /// The array of a point, made if there is none, and made anew if the point has another kind or
    /// unit than what was written was meant for.
    fn held(&mut self, spec: &PointSpec) -> u64 {
        let (kind, unit) = (spec.kind, spec.unit);
        let known = self.by_id.get(&spec.id).copied();
        let fits = |at: &u64| {
            self.arrays.get(at).is_some_and(|held| (held.kind, held.unit) == (kind, unit))
        };
        if let Some(at) = known.filter(fits) {
            return at;
        }
        self.forget(spec.id.as_str());
        self.last += 1;
        let (id, array) = (spec.id.clone(), PriorityArray::new(kind, unit));
        self.arrays.insert(self.last, Held { id, kind, unit, array, accepted: None });
        self.by_id.insert(spec.id.clone(), self.last);
        self.last
    }

    fn rearm(&mut self, at: u64) {
        match self.arrays.get(&at).and_then(|held| held.array.poll_timeout()) {
            Some(due) => self.timers.set(at, due),
            None => drop(self.timers.clear(at)),
        }
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    fn at(secs: u64) -> Instant {
        Instant::from_origin(Duration::from_secs(secs))
    }

    fn spec() -> PointSpec {
        let mut spec = PointSpec::new("sp".parse().unwrap(), Kind::Number);
        spec.unit = Unit::parse("°C").ok();
        spec.more.writable = true;
        (spec.more.min, spec.more.max) = (Some(15.0), Some(30.0));
        spec
    }

    fn write(level: u8, val: f64) -> LevelWrite {
        LevelWrite::new(Level::new(level).unwrap(), Value::number(val), "test")
    }

    fn release(level: u8) -> LevelWrite {
        LevelWrite::new(Level::new(level).unwrap(), Value::Null, "test")
    }

    #[test]
    fn values_are_checked_before_they_come_into_effect() {
        let mut arrays = Arrays::new();
        let spec = spec();
        let error = arrays.write(at(0), &spec, write(8, 31.0)).unwrap_err();
        assert_eq!(error.to_string(), "31 is above the maximum of 30");
        assert!(arrays.get("sp").is_none(), "nothing was made of it");
        let written = arrays.write(at(0), &spec, write(16, 20.0)).unwrap();
        assert_eq!(written.effective.unwrap().val, Value::Number(20.0, spec.unit));
        let mut read_only = spec.clone();
        read_only.more.writable = false;
        let refused = arrays.write(at(0), &read_only, release(16)).unwrap_err();
        assert_eq!(refused, LevelWriteError::Range(RangeError::NotWritable));
    }

    #[test]
    fn writes_faster_than_the_limit_are_refused_but_not_releases_and_emergencies() {
        let mut arrays = Arrays::new();
        let mut spec = spec();
        spec.more.write_limit = Some(Duration::from_secs(10));
        arrays.write(at(0), &spec, write(16, 20.0)).unwrap();
        let error = arrays.write(at(9), &spec, write(16, 21.0)).unwrap_err();
        assert_eq!(error.to_string(), "the point takes a write each 10s; try again in 1s");
        assert_eq!(arrays.effective("sp").val, Value::Number(20.0, spec.unit));
        arrays.write(at(9), &spec, write(1, 22.0)).unwrap();
        arrays.write(at(9), &spec, release(1)).unwrap();
        arrays.write(at(10), &spec, write(16, 21.0)).unwrap();
        arrays.write(at(20), &spec, write(16, 22.0)).unwrap();
    }

    #[test]
    fn a_timed_override_is_released_exactly_then() {
        let mut arrays = Arrays::new();
        let spec = spec();
        arrays.write(at(0), &spec, write(17, 18.0)).unwrap();
        let timed = write(8, 25.0).with_duration(Duration::from_secs(60));
        arrays.write(at(0), &spec, timed).unwrap();
        assert_eq!(arrays.poll_timeout(), Some(at(60)));
        assert_eq!(arrays.handle_timeout(at(59)), []);
        let released = arrays.handle_timeout(at(60));
        assert_eq!(released[0].0, spec.id);
        assert_eq!(released[0].1.effective.as_ref().unwrap().level, Level::DEF);
        assert_eq!(arrays.poll_timeout(), None);
    }

    #[test]
    fn what_was_meant_for_another_kind_or_unit_is_forgotten() {
        let mut arrays = Arrays::new();
        let mut spec = spec();
        arrays.restore(&spec, Level::DEF, Value::number(20.0)).unwrap();
        assert_eq!(arrays.who("sp").as_deref(), Some(PriorityArray::RESTORED));
        spec.unit = Unit::parse("°F").ok();
        arrays.write(at(0), &spec, write(16, 21.0)).unwrap();
        assert_eq!(arrays.get("sp").unwrap().get(Level::DEF), &Value::Null);
        arrays.forget("sp");
        assert_eq!((arrays.effective("sp"), arrays.ids().count()), (Effective::NONE, 0));
    }

    #[test]
    fn what_does_not_fit_a_point_that_has_changed_is_released() {
        let mut arrays = Arrays::new();
        let mut spec = spec();
        arrays.write(at(0), &spec, write(17, 18.0)).unwrap();
        arrays.write(at(0), &spec, write(12, 22.0)).unwrap();
        let timed = write(8, 29.0).with_duration(Duration::from_secs(60));
        arrays.write(at(0), &spec, timed).unwrap();
        assert_eq!(arrays.fit(&spec), []);
        assert_eq!(arrays.poll_timeout(), Some(at(60)));
        spec.more.max = Some(25.0);
        assert_eq!(arrays.fit(&spec), [Level::MANUAL]);
        assert_eq!(arrays.poll_timeout(), None, "its timer went with it");
        assert_eq!(arrays.effective("sp").val, Value::Number(22.0, spec.unit));
        spec.unit = None;
        assert_eq!(arrays.fit(&spec), [Level::new(12).unwrap(), Level::DEF]);
        assert_eq!(arrays.effective("sp"), Effective::NONE);
        assert_eq!(arrays.fit(&spec), [], "there is none any more");
    }

    #[test]
    fn a_forgotten_array_gives_what_would_come_back_after_a_restart() {
        let mut arrays = Arrays::new();
        let spec = spec();
        for level in [1, 9, 17] {
            arrays.write(at(0), &spec, write(level, 20.0)).unwrap();
        }
        let timed = write(8, 29.0).with_duration(Duration::from_secs(60));
        arrays.write(at(0), &spec, timed).unwrap();
        let val = Value::Number(20.0, spec.unit);
        let kept = [(Level::EMERGENCY, val.clone()), (Level::DEF, val)];
        assert_eq!(arrays.forget("sp"), kept);
        assert_eq!(arrays.forget("sp"), []);
    }
}
