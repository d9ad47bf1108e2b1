//! Past values: items, spans of time, and what a point takes into its history.

use alloc::vec::Vec;
use core::time::Duration;

use jiff::Timestamp;

use crate::{Kind, PointSpec, Tag, Unit, Value};

/// A value at a time.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the two parts of an item")]
pub struct HisItem {
    /// When.
    pub ts: Timestamp,
    /// What; [`Value::Na`] where it is known that nothing is known.
    pub val: Value,
}

impl HisItem {
    /// The value `val` at `ts`.
    pub const fn new(ts: Timestamp, val: Value) -> Self {
        Self { ts, val }
    }
}

/// A stretch of time from its start, inclusive, to its end, exclusive. One whose end is not after
/// its start has nothing in it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the two ends of a span")]
pub struct Span {
    /// The first instant in it.
    pub start: Timestamp,
    /// The first instant after it.
    pub end: Timestamp,
}

impl Span {
    /// All times that there are.
    pub const ALL: Self = Self { start: Timestamp::MIN, end: Timestamp::MAX };

    /// From `start` to before `end`.
    pub const fn new(start: Timestamp, end: Timestamp) -> Self {
        Self { start, end }
    }

    /// Whether `ts` is in it.
    pub fn contains(&self, ts: Timestamp) -> bool {
        self.start <= ts && ts < self.end
    }
}

/// What the history of a point takes: the kind and unit of its values, and how finely times are
/// told apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct HisRules {
    /// The kind of the point.
    pub kind: Kind,
    /// The unit of its numbers.
    pub unit: Option<Unit>,
    /// Times are rounded down to a multiple of this: a millisecond or a second.
    pub precision: Duration,
}

/// Why a batch of items was refused, as a whole.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HisError {
    /// A value is null.
    #[error("Cannot write null val")]
    Null,
    /// A value is of another kind.
    #[error("Mismatched value type, rec kind '{expected}' != item type '{got}'")]
    Kind {
        /// The kind of the point.
        expected: Kind,
        /// That of the value.
        got: &'static str,
    },
    /// A number has another unit.
    #[error("Mismatched unit, rec unit '{}' != item unit '{got}'", name(*.expected))]
    Unit {
        /// The unit of the point.
        expected: Option<Unit>,
        /// That of the number.
        got: Unit,
    },
    /// A number is infinite or not a number.
    #[error("the number {0} has no place in a history; NA says that there is no value")]
    NotFinite(f64),
    /// A time is before 1950 or after 2200.
    #[error("the time {0} is not between 1950 and 2200")]
    Time(Timestamp),
    /// There are more items than a batch may have.
    #[error("a batch has at most {max} items, not {0}", max = HisRules::BATCH_MAX)]
    TooMany(usize),
}

fn name(unit: Option<Unit>) -> alloc::string::String {
    unit.map(|unit| alloc::format!("{unit}")).unwrap_or_default()
}

/// The first second of 1950.
const FIRST: i64 = -631_152_000;

/// The first second of 2200.
const LAST: i64 = 7_258_118_400;

impl HisRules {
    /// How many items a batch may have.
    pub const BATCH_MAX: usize = 1 << 20;

    /// What the history of a point takes. Its tag `hisTsPrecision` is `1ms` or else a second.
    pub fn of(spec: &PointSpec) -> Self {
        let millis = match spec.more.tags.get("hisTsPrecision") {
            Some(Tag::Value(Value::Str(text))) => &**text == "1ms",
            Some(Tag::Value(Value::Number(number, Some(unit)))) => {
                *number == 1.0 && Unit::parse("ms").is_ok_and(|ms| ms == *unit)
            }
            _ => false,
        };
        let precision = if millis { Duration::from_millis(1) } else { Duration::from_secs(1) };
        Self { kind: spec.kind, unit: spec.unit, precision }
    }

    /// What is written of items that somebody gives: in the order of time, each time once (the last
    /// of the equal ones counts), within `clip`, numbers without a unit and rounded to 32 bits
    /// unless they are integers. `None` takes an item away.
    ///
    /// # Errors
    ///
    /// One bad item refuses the whole batch.
    pub fn accept(
        &self,
        items: impl IntoIterator<Item = (Timestamp, Option<Value>)>,
        clip: Option<Span>,
    ) -> Result<Vec<(Timestamp, Option<Value>)>, HisError> {
        let mut accepted = Vec::new();
        for (ts, val) in items {
            let (ts, val) = (self.time(ts)?, val.map(|val| self.value(val)).transpose()?);
            if clip.is_some_and(|clip| !clip.contains(ts)) {
                continue;
            }
            if accepted.len() == Self::BATCH_MAX {
                return Err(HisError::TooMany(accepted.len() + 1));
            }
            accepted.push((ts, val));
        }
        // Stable, so that among equal times the last one given is the last one here.
        accepted.sort_by_key(|(ts, _)| *ts);
        accepted.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                core::mem::swap(&mut later.1, &mut earlier.1);
            }
            same
        });
        Ok(accepted)
    }

    /// A time, rounded down.
    fn time(&self, ts: Timestamp) -> Result<Timestamp, HisError> {
        let secs = ts.as_second() - i64::from(ts.subsec_nanosecond() < 0);
        if !(FIRST..LAST).contains(&secs) {
            return Err(HisError::Time(ts));
        }
        let millis = ts.as_nanosecond().div_euclid(1_000_000);
        let step = i128::try_from(self.precision.as_millis().max(1)).unwrap_or(1);
        let floored = millis.div_euclid(step) * step;
        let floored = i64::try_from(floored).map_err(|_| HisError::Time(ts))?;
        Timestamp::from_millisecond(floored).map_err(|_| HisError::Time(ts))
    }

    fn value(&self, val: Value) -> Result<Value, HisError> {
        match val {
            Value::Null => Err(HisError::Null),
            Value::Na => Ok(Value::Na),
            val if val.kind() != Some(self.kind) => {
                Err(HisError::Kind { expected: self.kind, got: val.kind_name() })
            }
            Value::Number(_, Some(got)) if self.unit != Some(got) => {
                Err(HisError::Unit { expected: self.unit, got })
            }
            Value::Number(number, _) if !number.is_finite() => Err(HisError::NotFinite(number)),
            Value::Number(number, _) => Ok(Value::number(rounded(number))),
            val => Ok(val),
        }
    }
}

/// A number as a history keeps it: an integer as it is, a fraction with the precision of 32 bits,
/// and no negative zero.
fn rounded(number: f64) -> f64 {
    /// Beyond it every number is an integer.
    const INTEGERS: f64 = 4_503_599_627_370_496.0;
    let integer = number.abs() >= INTEGERS || number == (number as i64) as f64;
    let rounded = if integer { number } else { f64::from(number as f32) };
    // What overflows 32 bits is no fraction, so that this stays finite. Adding zero turns -0 to 0.
    rounded + 0.0
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec;

    use super::*;

    fn ts(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn rules() -> HisRules {
        let unit = Unit::parse("°C").ok();
        HisRules { kind: Kind::Number, unit, precision: Duration::from_secs(1) }
    }

    fn one(val: Value) -> Result<Option<Value>, HisError> {
        let item = (ts("2026-01-01T00:00:00Z"), Some(val));
        rules().accept([item], None).map(|mut items| items.remove(0).1)
    }

    #[test]
    fn values_are_checked_and_numbers_rounded() {
        let number = |number| Ok(Some(Value::number(number)));
        assert_eq!(one(Value::number(0.1)), number(f64::from(0.1_f32)));
        assert_eq!(one(Value::number(16_777_217.0)), number(16_777_217.0), "integers stay exact");
        assert_eq!(one(Value::number(1e300)), number(1e300));
        let Ok(Some(Value::Number(zero, None))) = one(Value::number(-0.0)) else { panic!() };
        assert!(zero.is_sign_positive());
        assert_eq!(one(Value::Number(1.5, rules().unit)), number(1.5));
        assert_eq!(one(Value::Na), Ok(Some(Value::Na)));
        let text = |val| one(val).unwrap_err().to_string();
        assert_eq!(text(Value::Null), "Cannot write null val");
        let fahrenheit = Value::Number(1.0, Unit::parse("°F").ok());
        assert_eq!(text(fahrenheit), "Mismatched unit, rec unit '°C' != item unit '°F'");
        let kind = "Mismatched value type, rec kind 'Number' != item type 'Bool'";
        assert_eq!(text(Value::Bool(true)), kind);
        assert!(text(Value::number(f64::NAN)).starts_with("the number NaN has no place"));
    }

    #[test]
    fn times_are_sorted_floored_clipped_and_unique_with_the_last_one_winning() {
        let number = |number| Some(Value::number(number));
        let items = vec![
            (ts("2026-01-01T00:00:02.9Z"), number(1.0)),
            (ts("2026-01-01T00:00:01Z"), number(2.0)),
            (ts("2026-01-01T00:00:02.1Z"), None),
            (ts("2026-01-01T00:00:03Z"), number(3.0)),
        ];
        let clip = Span::new(ts("2026-01-01T00:00:01Z"), ts("2026-01-01T00:00:03Z"));
        let accepted = rules().accept(items, Some(clip)).unwrap();
        let first = (ts("2026-01-01T00:00:01Z"), number(2.0));
        assert_eq!(accepted, [first, (ts("2026-01-01T00:00:02Z"), None)]);
        let before = ts("1950-01-01T00:00:00.5Z");
        let floored = rules().accept([(before, None)], None).unwrap();
        assert_eq!(floored[0].0, ts("1950-01-01T00:00:00Z"), "down, before 1970 too");
        for far in ["1949-12-31T23:59:59.999Z", "2200-01-01T00:00:00Z"] {
            assert_eq!(rules().accept([(ts(far), None)], None), Err(HisError::Time(ts(far))));
        }
    }

    #[test]
    fn an_item_is_an_instant_whatever_the_zone_that_names_it() {
        let berlin = ts("2026-03-29T03:30:00+02:00[Europe/Berlin]");
        let item = |ts, number| (ts, Some(Value::number(number)));
        let items = [item(ts("2026-03-29T01:30:00Z"), 1.0), item(berlin, 2.0)];
        let accepted = rules().accept(items, None).unwrap();
        assert_eq!(accepted, [item(berlin, 2.0)], "one instant, of which the last counts");
        // The hour that comes twice when clocks are set back is two.
        let twice = ["02:30:00+02:00", "02:30:00+01:00"];
        let twice = twice.map(|time| item(ts(&alloc::format!("2026-10-25T{time}")), 1.0));
        assert_eq!(rules().accept(twice, None).unwrap().len(), 2);
    }

    #[test]
    fn one_bad_item_refuses_the_batch() {
        let at = ts("2026-01-01T00:00:00Z");
        let items = [(at, Some(Value::number(1.0))), (at, Some(Value::Null))];
        assert_eq!(rules().accept(items, None), Err(HisError::Null));
    }

    #[test]
    fn a_batch_is_bounded_at_its_limit() {
        let at = ts("2026-01-01T00:00:00Z");
        let items = |len| core::iter::repeat_n((at, None), len);
        assert!(rules().accept(items(HisRules::BATCH_MAX), None).is_ok());
        let beyond = rules().accept(items(HisRules::BATCH_MAX + 1), None);
        assert_eq!(beyond, Err(HisError::TooMany(HisRules::BATCH_MAX + 1)));
    }
}
