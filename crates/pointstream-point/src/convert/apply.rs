//! What a step makes of a value.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::ToString;

use crate::{Str, Unit, Value};

use super::enums::EnumDef;
use super::error::ConvertFault;
use super::pow::pow;
use super::step::{Step, Words};
use super::thermistor::Thermistor;
use super::{Convert, ConvertContext, number};

impl Step {
    /// The value after this step. Null passes all steps but two.
    pub(super) fn apply(
        &self,
        value: Value,
        context: &ConvertContext<'_>,
    ) -> Result<Value, ConvertFault> {
        match (self, value) {
            (Self::Elvis(instead), Value::Null) => Ok(instead.clone()),
            (Self::Elvis(_), value) => Ok(value),
            (Self::ToStr, value) => Ok(to_str(value)),
            (_, Value::Null) => Ok(Value::Null),
            (Self::BoolToNumber { no, yes }, value) => {
                let (number, unit) = if value == Value::Bool(true) { *yes } else { *no };
                Ok(Value::Number(number, unit))
            }
            (_, Value::Number(number, unit)) => self.apply_number(number, unit, context),
            (_, Value::Str(text)) => self.apply_str(text, context),
            (_, Value::Bool(value)) => self.apply_bool(value, context),
            (_, value) => Err(self.kind_fault(&value)),
        }
    }

    fn apply_number(
        &self,
        x: f64,
        unit: Option<Unit>,
        context: &ConvertContext<'_>,
    ) -> Result<Value, ConvertFault> {
        // Truncated towards zero, and to the ends of the integers' range.
        let bits = x as i64;
        let number = match self {
            Self::Add(y) => x + y,
            Self::Sub(y) => x - y,
            Self::Mul(y) => x * y,
            Self::Div(y) => x / y,
            Self::And(y) => (bits & y) as f64,
            Self::Or(y) => (bits | y) as f64,
            Self::Xor(y) => (bits ^ y) as f64,
            Self::ShiftLeft(n) => (bits << n) as f64,
            Self::ShiftRight(n) => ((bits as u64 >> n) as i64) as f64,
            Self::Pow(y) => pow(x, *y),
            Self::Min(most) => {
                if x > *most {
                    *most
                } else {
                    x
                }
            }
            Self::Max(least) => {
                if x < *least {
                    *least
                } else {
                    x
                }
            }
            Self::Reset { from, to } => reset(x, *from, *to),
            Self::U2SwapEndian => f64::from((bits as u16).swap_bytes()),
            Self::U4SwapEndian => f64::from((bits as u32).swap_bytes()),
            Self::Unit { from, to } => return convert_unit(x, unit, *from, *to),
            Self::As(unit) => return Ok(Value::Number(x, Some(*unit))),
            Self::NumberToStr => return Ok(Value::str(number::text(x, unit))),
            Self::NumberToName(names) => {
                let name = if bits < 0 { None } else { names.get(bits as usize) };
                return Ok(name.cloned().unwrap_or_default());
            }
            Self::NumberToHex => return Ok(Value::str(format!("{bits:x}"))),
            Self::NumberToBool => return Ok(Value::Bool(x != 0.0)),
            Self::StrToNumber { .. } => x,
            Self::EnumNumberToStr { id, checked } => {
                return name_of_code(x, def(id, context)?, *checked);
            }
            Self::Thermistor(table) => return temperature(*table, x, context.unit),
            _ => return Err(self.kind_fault(&Value::Number(x, unit))),
        };
        Ok(Value::Number(number, unit))
    }

    fn apply_str(&self, text: Str, context: &ConvertContext<'_>) -> Result<Value, ConvertFault> {
        match self {
            Self::Lower => Ok(Value::str(text.to_ascii_lowercase())),
            Self::Upper => Ok(Value::str(text.to_ascii_uppercase())),
            Self::StrReplace { from, to } => replace(&text, from, to),
            Self::StrToBool { no, yes } => Ok(by_words(&text, no, yes)),
            Self::StrToNumber { checked } => match number::quantity(&text) {
                Some((number, unit)) => Ok(Value::Number(number, unit)),
                None => null_unless(*checked, || ConvertFault::Number(excerpt(&text))),
            },
            Self::HexToNumber { checked } => match number::hex(&text) {
                Some(bits) => Ok(Value::number(bits as f64)),
                None => null_unless(*checked, || ConvertFault::Hex(excerpt(&text))),
            },
            Self::EnumStrToNumber { id, checked } => match def(id, context)?.code(&text) {
                Some(code) => Ok(Value::number(code as f64)),
                None => null_unless(*checked, || ConvertFault::EnumName(excerpt(&text))),
            },
            Self::EnumStrToBool { id, checked } => match def(id, context)?.code(&text) {
                Some(code) => Ok(Value::Bool(code != 0)),
                None => null_unless(*checked, || ConvertFault::EnumName(excerpt(&text))),
            },
            _ => Err(self.kind_fault(&Value::Str(text))),
        }
    }

    fn apply_bool(&self, value: bool, context: &ConvertContext<'_>) -> Result<Value, ConvertFault> {
        match self {
            Self::Invert => Ok(Value::Bool(!value)),
            Self::EnumBoolToStr { id } => {
                let def = def(id, context)?;
                let name = if value { def.true_name() } else { def.false_name() };
                let missing = || ConvertFault::EnumCode(value.to_string().into());
                name.map(|name| Value::Str(name.clone())).ok_or_else(missing)
            }
            _ => Err(self.kind_fault(&Value::Bool(value))),
        }
    }

    fn kind_fault(&self, value: &Value) -> ConvertFault {
        let expected = match self {
            Self::Invert | Self::EnumBoolToStr { .. } => "Bool",
            Self::Lower
            | Self::Upper
            | Self::StrReplace { .. }
            | Self::StrToBool { .. }
            | Self::HexToNumber { .. }
            | Self::EnumStrToNumber { .. }
            | Self::EnumStrToBool { .. } => "Str",
            Self::StrToNumber { .. } => "Str or Number",
            _ => "Number",
        };
        ConvertFault::Kind { step: self.to_string().into(), expected, got: value.kind_name() }
    }
}

fn to_str(value: Value) -> Value {
    match value {
        Value::Str(text) => Value::Str(text),
        value => Value::str(value.to_string()),
    }
}

/// The number as far along the second range as it is along the first one.
fn reset(x: f64, from: (f64, f64), to: (f64, f64)) -> f64 {
    let clamped = if x < from.0 {
        from.0
    } else if x > from.1 {
        from.1
    } else {
        x
    };
    to.0 + (clamped - from.0) / (from.1 - from.0) * (to.1 - to.0)
}

fn convert_unit(x: f64, unit: Option<Unit>, from: Unit, to: Unit) -> Result<Value, ConvertFault> {
    match unit {
        Some(got) if got != from => Err(ConvertFault::Unit { expected: from, got }),
        _ => Ok(Value::Number(from.convert(x, to)?, Some(to))),
    }
}

/// In the point's unit if that is °C, else in °F.
fn temperature(table: Thermistor, ohms: f64, unit: Option<Unit>) -> Result<Value, ConvertFault> {
    let fahrenheit = Unit::parse("°F")?;
    let to = unit.filter(|unit| unit.name() == "celsius").unwrap_or(fahrenheit);
    Ok(Value::Number(fahrenheit.convert(table.fahrenheit(ohms), to)?, Some(to)))
}

/// The texts that come of a value stay below a limit, for steps that double it may follow each
/// other.
fn replace(text: &str, from: &str, to: &str) -> Result<Value, ConvertFault> {
    if to.len() > from.len() {
        let more = text.matches(from).count().saturating_mul(to.len() - from.len());
        if text.len().saturating_add(more) > Convert::TEXT_MAX {
            return Err(ConvertFault::Text);
        }
    }
    Ok(Value::str(text.replace(from, to)))
}

fn by_words(text: &str, no: &Words, yes: &Words) -> Value {
    if yes.name(text) {
        Value::Bool(true)
    } else if no.name(text) {
        Value::Bool(false)
    } else if yes.is_wildcard() || no.is_wildcard() {
        Value::Bool(yes.is_wildcard())
    } else {
        Value::Null
    }
}

/// The definition of this name, `self` being the point's own.
fn def<'a>(id: &str, context: &ConvertContext<'a>) -> Result<&'a EnumDef, ConvertFault> {
    if id == "self" {
        return context.own_enum.ok_or(ConvertFault::EnumTag);
    }
    let found = context.enums.and_then(|defs| defs.get(id));
    found.ok_or_else(|| ConvertFault::EnumDef(id.into()))
}

fn name_of_code(x: f64, def: &EnumDef, checked: bool) -> Result<Value, ConvertFault> {
    let code = x as i64;
    // A number between two codes has no name.
    let name = if code as f64 == x { def.name(code) } else { None };
    match name {
        Some(name) => Ok(Value::Str(name.clone())),
        None => null_unless(checked, || ConvertFault::EnumCode(number::text(x, None).into())),
    }
}

fn null_unless(checked: bool, fault: impl FnOnce() -> ConvertFault) -> Result<Value, ConvertFault> {
    if checked { Err(fault()) } else { Ok(Value::Null) }
}

/// As much of a text as an error shows.
fn excerpt(text: &str) -> Box<str> {
    const LEN_MAX: usize = 64;
    match text.char_indices().nth(LEN_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()).into(),
        None => text.into(),
    }
}
