use alloc::boxed::Box;
use core::fmt;

use crate::{Fault, Unit, UnitError};

use super::Convert;

/// Why a text is not a convert: a column and what was expected there.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("column {column}: expected {expected}")]
#[non_exhaustive]
pub struct ConvertError {
    /// Where, counted from 1 in characters; one behind the last character where the text ends too
    /// early.
    pub column: u32,
    /// What was expected there.
    pub expected: Expected,
}

impl ConvertError {
    pub(super) const fn new(column: u32, expected: Expected) -> Self {
        Self { column, expected }
    }
}

/// What a convert expression should have had at a column.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Expected {
    /// The text ends without anything to do.
    #[error("an operator, a function or `unit => unit`, not the end")]
    Expression,
    /// No expression begins with this word.
    #[error("an operator, a function with its parentheses or `unit => unit`, not {0:?}")]
    ExpressionNot(Box<str>),
    /// A quoted text that does not end.
    #[error("a closing quote for this one")]
    ClosingQuote,
    /// Text and the quote after it are not apart.
    #[error("a blank or an operator between this word and the quote after it")]
    SeparatorBeforeQuote,
    /// A quote and the text after it are not apart.
    #[error("a blank or an operator after the closing quote")]
    SeparatorAfterQuote,
    /// A number without a unit.
    #[error("a number, {}", Found(.0))]
    Number(Option<Box<str>>),
    /// A number with or without a unit.
    #[error("a number with or without a unit, not {0:?}")]
    NumberWithUnit(Box<str>),
    /// A whole number.
    #[error("a whole number, decimal or hexadecimal after 0x, {}", Found(.0))]
    Integer(Option<Box<str>>),
    /// A number of bits.
    #[error("a shift by 0 to 63 bits")]
    Shift,
    /// Division by zero.
    #[error("a divisor other than zero")]
    Divisor,
    /// The value that stands for null.
    #[error("a number, true, false, NA or a word, {}", Found(.0))]
    Literal(Option<Box<str>>),
    /// A unit.
    #[error("a unit of the Project Haystack unit database, {}", Found(.0))]
    Unit(Option<Box<str>>),
    /// A function.
    #[error("the name of a convert function, not {0:?}")]
    Function(Box<str>),
    /// An argument.
    #[error("an argument, '' for an empty text")]
    Argument,
    /// The end of an argument.
    #[error("`,` or `)` after the argument")]
    ArgumentEnd,
    /// Other arguments.
    #[error("{function}({parameters}), not {count} arguments")]
    Arguments {
        /// The function.
        function: &'static str,
        /// Its parameters.
        parameters: &'static str,
        /// How many there are.
        count: u32,
    },
    /// `true` or `false`.
    #[error("true or false, not {0:?}")]
    Checked(Box<str>),
    /// The lower end of a range before its higher one.
    #[error("a range whose lower end is less than its higher end")]
    Range,
    /// Text to look for.
    #[error("a text to replace, not an empty one")]
    Pattern,
    /// Words for at least one of false and true.
    #[error("words for at least one of false and true, not the wildcard for both")]
    Words,
    /// The name of an enum definition.
    #[error("the name of an enum definition, not an empty text")]
    EnumName,
    /// A table of thermistors.
    #[error("one of the thermistors 1.8k, 2.2k, 3k, 10k-2, 10k-3, 20k, 50k, 100k, not {0:?}")]
    Thermistor(Box<str>),
    /// The text is longer than [`Convert::LEN_MAX`].
    #[error("the end, for a convert has at most {} bytes", Convert::LEN_MAX)]
    Length,
    /// There are more steps than [`Convert::STEPS_MAX`].
    #[error("the end, for a convert has at most {} steps", Convert::STEPS_MAX)]
    Steps,
    /// There are more arguments than [`Convert::ARGUMENTS_MAX`].
    #[error("`)`, for a function has at most {} arguments", Convert::ARGUMENTS_MAX)]
    ArgumentCount,
}

/// What stands in the place of what was expected.
struct Found<'a>(&'a Option<Box<str>>);

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(text) => write!(f, "not {text:?}"),
            None => f.write_str("not the end"),
        }
    }
}

/// Why a value could not be converted. As a [`Fault`] it gives the status `fault`.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertFault {
    /// The value is of another kind than the step takes.
    #[error("{step} takes a {expected}, not a {got}")]
    Kind {
        /// The step, as its canonical text.
        step: Box<str>,
        /// The kind that it takes.
        expected: &'static str,
        /// The kind of the value.
        got: &'static str,
    },
    /// The number has another unit than the step takes.
    #[error("expected a number in {expected}, not in {got}")]
    Unit {
        /// The unit that the step takes.
        expected: Unit,
        /// The unit of the number.
        got: Unit,
    },
    /// The two units of a step measure different things.
    #[error(transparent)]
    Dimension(#[from] UnitError),
    /// The text is not a number.
    #[error("{0:?} is not a number")]
    Number(Box<str>),
    /// The text is not a hexadecimal number.
    #[error("{0:?} is not a hexadecimal number")]
    Hex(Box<str>),
    /// There is no enum definition of this name.
    #[error("unknown enum definition {0:?}")]
    EnumDef(Box<str>),
    /// The point has no `enum` tag, which `self` names.
    #[error("the point has no enum tag")]
    EnumTag,
    /// The enum definition does not have this name.
    #[error("unknown name {0:?} in the enum definition")]
    EnumName(Box<str>),
    /// The enum definition does not have this code.
    #[error("unknown code {0} in the enum definition")]
    EnumCode(Box<str>),
    /// The text is longer than [`Convert::TEXT_MAX`].
    #[error("the text is longer than {} bytes", Convert::TEXT_MAX)]
    Text,
}

impl From<ConvertFault> for Fault {
    fn from(fault: ConvertFault) -> Self {
        Self::permanent(fault)
    }
}
