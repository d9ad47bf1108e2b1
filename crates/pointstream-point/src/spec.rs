use core::time::Duration;

use crate::{Address, Fault, Id, Kind, Unit, Value};

mod more;

pub use more::{More, PointMore};

/// What a configuration says about a point. The addresses are in the driver's own syntax.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PointSpec {
    /// The name by which everyone knows the point.
    pub id: Id,
    /// The kind of its values.
    pub kind: Kind,
    /// The unit of its numbers.
    pub unit: Option<Unit>,
    /// The address of the current value, if it can be read.
    pub cur: Option<Address>,
    /// The address to write to, if it can be written.
    pub write: Option<Address>,
    /// Switched off: neither read nor written, status `disabled`.
    pub disabled: bool,
    /// What most points have not.
    pub more: More,
}

impl PointSpec {
    /// A point with neither addresses nor tags.
    pub const fn new(id: Id, kind: Kind) -> Self {
        Self { id, kind, unit: None, cur: None, write: None, disabled: false, more: More::new() }
    }

    /// The name for people.
    pub fn dis(&self) -> &str {
        self.more.dis.as_deref().unwrap_or_else(|| self.id.as_str())
    }

    /// Whether the point may be written: it has an address to write to, or is writable without one.
    pub fn is_writable(&self) -> bool {
        (self.write.is_some() || self.more.writable) && !self.disabled
    }

    /// What a reading becomes as this point's current value: a number without a unit takes the
    /// point's; another unit or another kind is a fault. Null passes, NA does not.
    pub fn accept(&self, value: Value) -> Result<Value, Fault> {
        let value = match (value, self.unit) {
            (Value::Number(number, None), unit) => Value::Number(number, unit),
            (Value::Number(_, Some(got)), Some(unit)) if got != unit => {
                return Err(Fault::permanent(format_args!(
                    "point unit != updateCurOk unit: {unit} != {got}"
                )));
            }
            (value, _) => value,
        };
        match value.kind() {
            Some(kind) if kind == self.kind => Ok(value),
            None if value == Value::Null => Ok(value),
            _ => Err(Fault::permanent(format_args!(
                "curVal kind != configured kind: {} != {}",
                value.kind_name(),
                self.kind
            ))),
        }
    }

    /// Checks a value that someone wants to write, before any device sees it, and gives it the
    /// point's unit.
    pub fn check_write(&self, value: Value) -> Result<Value, RangeError> {
        if !self.is_writable() {
            return Err(RangeError::NotWritable);
        }
        if value.kind() != Some(self.kind) {
            return Err(RangeError::Kind { expected: self.kind, got: value.kind_name() });
        }
        let Value::Number(number, unit) = value else { return Ok(value) };
        if let (Some(got), true) = (unit, unit != self.unit) {
            return Err(RangeError::Unit { expected: self.unit, got });
        }
        if !number.is_finite() {
            return Err(RangeError::NotFinite);
        }
        match (self.more.min, self.more.max) {
            (Some(min), _) if number < min => return Err(RangeError::BelowMin { number, min }),
            (_, Some(max)) if number > max => return Err(RangeError::AboveMax { number, max }),
            _ => {}
        }
        if let Some(step) = self.more.step {
            let steps = (number - self.more.min.unwrap_or(0.0)) / step;
            if (steps - libm_round(steps)).abs() > STEP_TOLERANCE {
                return Err(RangeError::OffStep { number, step });
            }
        }
        Ok(Value::Number(number, self.unit))
    }
}

/// The part of a step by which a number may miss it, for decimal fractions that a float does not
/// hold exactly.
const STEP_TOLERANCE: f64 = 1e-6;

/// `f64::round` of a number whose magnitude is below 2^52, larger ones are integers anyway;
/// `core` has no rounding of its own on every target.
fn libm_round(x: f64) -> f64 {
    const INTEGERS_ONLY: f64 = 4_503_599_627_370_496.0;
    if x.abs() >= INTEGERS_ONLY {
        return x;
    }
    if x < 0.0 { (x - INTEGERS_ONLY) + INTEGERS_ONLY } else { (x + INTEGERS_ONLY) - INTEGERS_ONLY }
}

/// Why a value may not be written to a point.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RangeError {
    /// The point has no address to write to, or is disabled.
    #[error("the point is not writable")]
    NotWritable,
    /// The value is of another kind.
    #[error("expected a value of kind {expected}, not {got}")]
    Kind {
        /// The point's kind.
        expected: Kind,
        /// The kind of the value.
        got: &'static str,
    },
    /// The number has another unit.
    #[error("expected a number {}, not in {got}", UnitText(*.expected))]
    Unit {
        /// The point's unit.
        expected: Option<Unit>,
        /// The unit of the number.
        got: Unit,
    },
    /// NaN or an infinity.
    #[error("the number is not finite")]
    NotFinite,
    /// Less than the least value.
    #[error("{number} is below the minimum of {min}")]
    BelowMin {
        /// The number.
        number: f64,
        /// The least that may be written.
        min: f64,
    },
    /// More than the greatest value.
    #[error("{number} is above the maximum of {max}")]
    AboveMax {
        /// The number.
        number: f64,
        /// The greatest that may be written.
        max: f64,
    },
    /// Sooner after the last write than the point allows.
    #[error("the point takes a write each {limit:?}; try again in {wait:?}")]
    TooSoon {
        /// The least time between two writes.
        limit: Duration,
        /// The rest of it.
        wait: Duration,
    },
    /// Between two steps.
    #[error("{number} is not a multiple of the step {step}")]
    OffStep {
        /// The number.
        number: f64,
        /// The step.
        step: f64,
    },
}

struct UnitText(Option<Unit>);

impl core::fmt::Display for UnitText {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0 {
            Some(unit) => write!(f, "in {unit}"),
            None => f.write_str("without a unit"),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    fn setpoint() -> PointSpec {
        let mut spec = PointSpec::new("ahu.tempSetpoint".parse().unwrap(), Kind::Number);
        spec.unit = Unit::parse("°C").ok();
        spec.write = Some("holding:40001:s2:/10".into());
        (spec.more.min, spec.more.max, spec.more.step) = (Some(15.0), Some(30.0), Some(0.1));
        spec
    }

    #[test]
    fn writes_are_checked_before_the_device_sees_them() {
        let spec = setpoint();
        let unit = spec.unit;
        assert_eq!(spec.check_write(Value::number(21.3)), Ok(Value::Number(21.3, unit)));
        assert_eq!(spec.check_write(Value::number(15.0)), Ok(Value::Number(15.0, unit)));
        assert_eq!(spec.check_write(Value::number(30.0)), Ok(Value::Number(30.0, unit)));
        let text = |value| spec.check_write(value).unwrap_err().to_string();
        assert_eq!(text(Value::number(14.9)), "14.9 is below the minimum of 15");
        assert_eq!(text(Value::number(30.1)), "30.1 is above the maximum of 30");
        assert_eq!(text(Value::number(21.35)), "21.35 is not a multiple of the step 0.1");
        assert_eq!(text(Value::number(f64::NAN)), "the number is not finite");
        assert_eq!(text(Value::str("21")), "expected a value of kind Number, not Str");
        assert_eq!(text(Value::Null), "expected a value of kind Number, not Null");
        let fahrenheit = Value::Number(70.0, Unit::parse("°F").ok());
        assert_eq!(text(fahrenheit), "expected a number in °C, not in °F");
        let read_only = PointSpec::new(spec.id.clone(), Kind::Number);
        assert_eq!(read_only.check_write(Value::number(1.0)), Err(RangeError::NotWritable));
    }

    #[test]
    fn readings_take_the_points_unit_and_must_have_its_kind() {
        let spec = setpoint();
        assert_eq!(spec.accept(Value::number(20.0)), Ok(Value::Number(20.0, spec.unit)));
        assert_eq!(spec.accept(Value::Null), Ok(Value::Null));
        let text = |value| spec.accept(value).unwrap_err().to_string();
        assert_eq!(text(Value::Bool(true)), "curVal kind != configured kind: Bool != Number");
        assert_eq!(text(Value::Na), "curVal kind != configured kind: NA != Number");
        let fahrenheit = Value::Number(70.0, Unit::parse("°F").ok());
        assert_eq!(text(fahrenheit), "point unit != updateCurOk unit: °C != °F");
    }
}
