//! The functions of a convert: their names, their arguments.

use alloc::boxed::Box;
use alloc::string::String;

use crate::{Unit, Value};

use super::error::{ConvertError, Expected};
use super::number;
use super::step::{Step, Words};
use super::thermistor::Thermistor;

/// The text of one argument.
pub(super) struct Argument {
    pub(super) text: String,
    /// Where it begins.
    pub(super) column: u32,
}

/// The step that the function `name`, which begins at `column`, makes of its arguments.
pub(super) fn step(name: &str, column: u32, arguments: &[Argument]) -> Result<Step, ConvertError> {
    let Some(&(function, parameters, make)) = FUNCTIONS.iter().find(|row| row.0 == name) else {
        return Err(ConvertError::new(column, Expected::Function(name.into())));
    };
    make(arguments)?.ok_or_else(|| {
        let count = arguments.len() as u32;
        ConvertError::new(column, Expected::Arguments { function, parameters, count })
    })
}

/// `None` for a wrong number of arguments.
type Made = Result<Option<Step>, ConvertError>;

/// A function: its name, its parameters as they are shown, and what makes a step of it.
type Function = (&'static str, &'static str, fn(&[Argument]) -> Made);

/// Every function.
const FUNCTIONS: &[Function] = &[
    ("as", "unit", |args| one(args, |arg| unit(arg).map(Step::As))),
    ("boolToNumber", "false, true", bool_to_number),
    ("enumBoolToStr", "name", |args| one(args, |arg| Ok(Step::EnumBoolToStr { id: id(arg)? }))),
    ("enumNumberToStr", "name, checked", |args| {
        by_enum(args, |id, checked| Step::EnumNumberToStr { id, checked })
    }),
    ("enumStrToBool", "name, checked", |args| {
        by_enum(args, |id, checked| Step::EnumStrToBool { id, checked })
    }),
    ("enumStrToNumber", "name, checked", |args| {
        by_enum(args, |id, checked| Step::EnumStrToNumber { id, checked })
    }),
    ("hexToNumber", "checked", |args| {
        perhaps_checked(args, |checked| Step::HexToNumber { checked })
    }),
    ("invert", "", |args| none(args, Step::Invert)),
    ("lower", "", |args| none(args, Step::Lower)),
    ("max", "number", |args| one(args, |arg| float(arg).map(Step::Max))),
    ("min", "number", |args| one(args, |arg| float(arg).map(Step::Min))),
    ("numberToBool", "", |args| none(args, Step::NumberToBool)),
    ("numberToHex", "", |args| none(args, Step::NumberToHex)),
    ("numberToStr", "names", number_to_str),
    ("pow", "number", |args| one(args, |arg| float(arg).map(Step::Pow))),
    ("reset", "inLo, inHi, outLo, outHi", reset),
    ("strReplace", "from, to", str_replace),
    ("strToBool", "false words, true words", str_to_bool),
    ("strToNumber", "checked", |args| {
        perhaps_checked(args, |checked| Step::StrToNumber { checked })
    }),
    ("thermistor", "table", |args| one(args, thermistor)),
    ("toStr", "", |args| none(args, Step::ToStr)),
    ("u2SwapEndian", "", |args| none(args, Step::U2SwapEndian)),
    ("u4SwapEndian", "", |args| none(args, Step::U4SwapEndian)),
    ("upper", "", |args| none(args, Step::Upper)),
];

fn none(arguments: &[Argument], step: Step) -> Made {
    Ok(arguments.is_empty().then_some(step))
}

fn one(arguments: &[Argument], make: impl FnOnce(&Argument) -> Result<Step, ConvertError>) -> Made {
    let [argument] = arguments else { return Ok(None) };
    make(argument).map(Some)
}

fn perhaps_checked(arguments: &[Argument], make: impl FnOnce(bool) -> Step) -> Made {
    match arguments {
        [] => Ok(Some(make(true))),
        [argument] => Ok(Some(make(checked(argument)?))),
        _ => Ok(None),
    }
}

fn by_enum(arguments: &[Argument], make: impl FnOnce(Box<str>, bool) -> Step) -> Made {
    match arguments {
        [name] => Ok(Some(make(id(name)?, true))),
        [name, argument] => Ok(Some(make(id(name)?, checked(argument)?))),
        _ => Ok(None),
    }
}

fn bool_to_number(arguments: &[Argument]) -> Made {
    match arguments {
        [] => Ok(Some(Step::BoolToNumber { no: (0.0, None), yes: (1.0, None) })),
        [no, yes] => Ok(Some(Step::BoolToNumber { no: quantity(no)?, yes: quantity(yes)? })),
        _ => Ok(None),
    }
}

fn number_to_str(arguments: &[Argument]) -> Made {
    Ok(Some(match arguments {
        [] => Step::NumberToStr,
        names => Step::NumberToName(names.iter().map(|name| Value::str(&*name.text)).collect()),
    }))
}

fn reset(arguments: &[Argument]) -> Made {
    let [in_lo, in_hi, out_lo, out_hi] = arguments else { return Ok(None) };
    let from = (float(in_lo)?, float(in_hi)?);
    if from.0 >= from.1 {
        return Err(ConvertError::new(in_lo.column, Expected::Range));
    }
    Ok(Some(Step::Reset { from, to: (float(out_lo)?, float(out_hi)?) }))
}

fn str_replace(arguments: &[Argument]) -> Made {
    let [from, to] = arguments else { return Ok(None) };
    if from.text.is_empty() {
        return Err(ConvertError::new(from.column, Expected::Pattern));
    }
    Ok(Some(Step::StrReplace { from: (*from.text).into(), to: (*to.text).into() }))
}

fn str_to_bool(arguments: &[Argument]) -> Made {
    let [no, yes] = arguments else { return Ok(None) };
    let column = no.column;
    let (no, yes) = (Words::parse(&no.text), Words::parse(&yes.text));
    if no.is_wildcard() && yes.is_wildcard() {
        return Err(ConvertError::new(column, Expected::Words));
    }
    Ok(Some(Step::StrToBool { no, yes }))
}

fn thermistor(argument: &Argument) -> Result<Step, ConvertError> {
    let table = Thermistor::parse(&argument.text).map(Step::Thermistor);
    table.ok_or_else(|| argument.not(Expected::Thermistor))
}

fn unit(argument: &Argument) -> Result<Unit, ConvertError> {
    Unit::parse(&argument.text).map_err(|_| argument.not(|text| Expected::Unit(Some(text))))
}

fn float(argument: &Argument) -> Result<f64, ConvertError> {
    let number = number::float(&argument.text);
    number.ok_or_else(|| argument.not(|text| Expected::Number(Some(text))))
}

fn quantity(argument: &Argument) -> Result<(f64, Option<Unit>), ConvertError> {
    number::quantity(&argument.text).ok_or_else(|| argument.not(Expected::NumberWithUnit))
}

fn checked(argument: &Argument) -> Result<bool, ConvertError> {
    argument.text.parse().map_err(|_| argument.not(Expected::Checked))
}

fn id(argument: &Argument) -> Result<Box<str>, ConvertError> {
    if argument.text.is_empty() {
        return Err(ConvertError::new(argument.column, Expected::EnumName));
    }
    Ok((*argument.text).into())
}

impl Argument {
    fn not(&self, expected: impl FnOnce(Box<str>) -> Expected) -> ConvertError {
        ConvertError::new(self.column, expected((*self.text).into()))
    }
}
