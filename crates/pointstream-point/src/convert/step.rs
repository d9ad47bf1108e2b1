//! One step of a convert, and its canonical text.

use alloc::boxed::Box;
use core::fmt;

use crate::{Unit, Value};

use super::number;
use super::thermistor::Thermistor;
use super::token;

/// One step of the pipeline.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Add(f64),
    Sub(f64),
    Mul(f64),
    Div(f64),
    And(i64),
    Or(i64),
    Xor(i64),
    ShiftLeft(u8),
    /// Fills with zeros.
    ShiftRight(u8),
    /// `?:`
    Elvis(Value),
    Unit {
        from: Unit,
        to: Unit,
    },
    As(Unit),
    Pow(f64),
    Min(f64),
    Max(f64),
    Reset {
        from: (f64, f64),
        to: (f64, f64),
    },
    Invert,
    ToStr,
    NumberToStr,
    /// The names of 0, 1, 2 and so on.
    NumberToName(Box<[Value]>),
    NumberToHex,
    NumberToBool,
    BoolToNumber {
        no: (f64, Option<Unit>),
        yes: (f64, Option<Unit>),
    },
    StrToBool {
        no: Words,
        yes: Words,
    },
    StrToNumber {
        checked: bool,
    },
    HexToNumber {
        checked: bool,
    },
    Lower,
    Upper,
    StrReplace {
        from: Box<str>,
        to: Box<str>,
    },
    EnumStrToNumber {
        id: Box<str>,
        checked: bool,
    },
    EnumNumberToStr {
        id: Box<str>,
        checked: bool,
    },
    EnumStrToBool {
        id: Box<str>,
        checked: bool,
    },
    EnumBoolToStr {
        id: Box<str>,
    },
    U2SwapEndian,
    U4SwapEndian,
    Thermistor(Thermistor),
}

/// The words that stand for false or for true; none stand for all that the other side does not
/// name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Words(Option<Box<str>>);

impl Words {
    /// The blank-separated words of an argument, `*` for the wildcard.
    pub(super) fn parse(argument: &str) -> Self {
        Self(if argument == "*" { None } else { Some(argument.into()) })
    }

    pub(super) const fn is_wildcard(&self) -> bool {
        self.0.is_none()
    }

    /// Whether `word` is one of them; the wildcard names none.
    pub(super) fn name(&self, word: &str) -> bool {
        self.0.as_ref().is_some_and(|words| words.split_whitespace().any(|other| other == word))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add(number) => write!(f, "+ {number:?}"),
            Self::Sub(number) => write!(f, "- {number:?}"),
            Self::Mul(number) => write!(f, "* {number:?}"),
            Self::Div(number) => write!(f, "/ {number:?}"),
            Self::And(bits) => write!(f, "& {bits:#x}"),
            Self::Or(bits) => write!(f, "| {bits:#x}"),
            Self::Xor(bits) => write!(f, "^ {bits:#x}"),
            Self::ShiftLeft(bits) => write!(f, "<< {bits}"),
            Self::ShiftRight(bits) => write!(f, ">> {bits}"),
            Self::Elvis(value) => write!(f, "?: {}", Literal(value)),
            Self::Unit { from, to } => {
                write!(f, "{} => {}", Text(from.symbol()), Text(to.symbol()))
            }
            Self::As(unit) => write!(f, "as({})", Text(unit.symbol())),
            Self::Pow(number) => write!(f, "pow({number:?})"),
            Self::Min(number) => write!(f, "min({number:?})"),
            Self::Max(number) => write!(f, "max({number:?})"),
            Self::Reset { from, to } => {
                write!(f, "reset({:?},{:?},{:?},{:?})", from.0, from.1, to.0, to.1)
            }
            Self::Invert => f.write_str("invert()"),
            Self::ToStr => f.write_str("toStr()"),
            Self::NumberToStr => f.write_str("numberToStr()"),
            Self::NumberToName(names) => fmt_names(f, names),
            Self::NumberToHex => f.write_str("numberToHex()"),
            Self::NumberToBool => f.write_str("numberToBool()"),
            Self::BoolToNumber { no, yes } => {
                write!(
                    f,
                    "boolToNumber({},{})",
                    number::text(no.0, no.1),
                    number::text(yes.0, yes.1)
                )
            }
            Self::StrToBool { no, yes } => write!(f, "strToBool({no}, {yes})"),
            Self::StrToNumber { checked } => write!(f, "strToNumber({checked})"),
            Self::HexToNumber { checked } => write!(f, "hexToNumber({checked})"),
            Self::Lower => f.write_str("lower()"),
            Self::Upper => f.write_str("upper()"),
            Self::StrReplace { from, to } => write!(f, "strReplace({}, {})", Text(from), Text(to)),
            Self::EnumStrToNumber { id, checked } => {
                write!(f, "enumStrToNumber({},{checked})", Text(id))
            }
            Self::EnumNumberToStr { id, checked } => {
                write!(f, "enumNumberToStr({},{checked})", Text(id))
            }
            Self::EnumStrToBool { id, checked } => {
                write!(f, "enumStrToBool({},{checked})", Text(id))
            }
            Self::EnumBoolToStr { id } => write!(f, "enumBoolToStr({})", Text(id)),
            Self::U2SwapEndian => f.write_str("u2SwapEndian()"),
            Self::U4SwapEndian => f.write_str("u4SwapEndian()"),
            Self::Thermistor(table) => write!(f, "thermistor({table})"),
        }
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(words) => write!(f, "{}", Text(words)),
            None => f.write_str("*"),
        }
    }
}

fn fmt_names(f: &mut fmt::Formatter<'_>, names: &[Value]) -> fmt::Result {
    f.write_str("numberToStr(")?;
    for (at, name) in names.iter().enumerate() {
        let Value::Str(name) = name else { continue };
        if at > 0 {
            f.write_str(", ")?;
        }
        write!(f, "{}", Text(name))?;
    }
    f.write_str(")")
}

/// A text as an argument or a unit, quoted if it would not be read back as it is. No text that comes
/// from a convert has a quote in it.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0;
        let mut gap = true;
        let mut plain = !text.is_empty();
        for (at, c) in text.char_indices() {
            let separates = token::is_separator(c, text.get(at..).unwrap_or_default());
            plain &= !separates || (c == ' ' && !gap);
            gap = c == ' ';
        }
        if plain && !gap { f.write_str(text) } else { write!(f, "'{text}'") }
    }
}

/// A value as what stands behind `?:`.
struct Literal<'a>(&'a Value);

impl fmt::Display for Literal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Str(text) => {
                let is_word = text.starts_with(char::is_alphabetic)
                    && !matches!(&**text, "true" | "false" | "NA")
                    && !text.contains(char::is_whitespace);
                if is_word { write!(f, "{}", Text(text)) } else { write!(f, "'{text}'") }
            }
            value => write!(f, "{value}"),
        }
    }
}
