use alloc::boxed::Box;
use core::fmt;
use core::str::FromStr;

use crate::{Unit, Value};

mod apply;
mod cache;
mod enums;
mod error;
mod function;
pub(crate) mod number;
mod parse;
mod pow;
mod step;
#[cfg(test)]
mod tests;
mod thermistor;
mod token;

pub use cache::ConvertCache;
pub use enums::{EnumDef, EnumDefs, EnumError};
pub use error::{ConvertError, ConvertFault, Expected};

use step::Step;

/// How a point's value is converted: a pipeline of steps, written as in Haxall's `curConvert`.
///
/// Steps follow each other from left to right without precedence: `* 3 + 13` multiplies, then adds.
/// Null stays null, apart from `?:` and `toStr()`; a value of the wrong kind is a fault.
///
/// | step | what it does |
/// |---|---|
/// | `+ 5` `- 5` `* 5` `/ 5` | arithmetic; the unit of the number is kept |
/// | `& 0xff` `\| 1` `^ 1` `<< 8` `>> 8` | of the number as a 64-bit integer; `>>` fills with zeros |
/// | `?: 0` | what stands for null: a number, `true`, `false`, `NA` or a word |
/// | `km => m` | a number of the first unit, or without one, in the second |
/// | `as(unit)` | another unit, the same number |
/// | `pow(x)` `min(most)` `max(least)` | power, upper and lower limit |
/// | `reset(inLo, inHi, outLo, outHi)` | limited to the first range, mapped to the second |
/// | `invert()` | `not` of a Bool |
/// | `toStr()` `numberToStr()` `numberToStr(off, slow)` `numberToHex()` | to text |
/// | `numberToBool()` `boolToNumber()` `boolToNumber(false, true)` | between Number and Bool |
/// | `strToBool(off, on run)` | words for false and for true, `*` for all others |
/// | `strToNumber()` `hexToNumber()` | from text; `(false)` gives null for what is no number |
/// | `lower()` `upper()` `strReplace(from, to)` | of text |
/// | `enumStrToNumber(e)` `enumNumberToStr(e)` `enumStrToBool(e)` `enumBoolToStr(e)` | by an [`EnumDef`]; `self` is the point's own |
/// | `u2SwapEndian()` `u4SwapEndian()` | bytes of the low 16 or 32 bits |
/// | `thermistor(10k-2)` | ohms to °F, or to °C for a point in °C |
///
/// [`Display`](fmt::Display) writes the canonical text, which parses to an equal convert.
///
/// Where Haxall's own reading is an oversight, this one differs: text right before or after a
/// quoted text is refused rather than lost or joined; a quoted `)` or `,` is text and not the end of
/// an argument; quoted text behind `?:` is text whatever it says; an argument of nothing at all is
/// refused, `''` being the empty text; a `/` before `°` belongs to a unit's name (`psi/°F`); a shift is by 0 to 63 bits; the
/// text to replace is not empty and the first range of `reset` not either; a number between two
/// codes of an enum has no name; and the canonical texts of `as` and `strReplace` name their
/// arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct Convert(Box<[Step]>);

impl Convert {
    /// The longest text of a convert, in bytes.
    pub const LEN_MAX: usize = 4096;

    /// The most steps.
    pub const STEPS_MAX: usize = 64;

    /// The most arguments of one function.
    pub const ARGUMENTS_MAX: usize = 256;

    /// The longest text that a step may make of a value, in bytes.
    pub const TEXT_MAX: usize = 65_536;

    /// The convert that `text` says.
    pub fn parse(text: &str) -> Result<Self, ConvertError> {
        parse::steps(text).map(Self)
    }

    /// What becomes of a value.
    pub fn apply(
        &self,
        value: &Value,
        context: &ConvertContext<'_>,
    ) -> Result<Value, ConvertFault> {
        self.0.iter().try_fold(value.clone(), |value, step| step.apply(value, context))
    }
}

impl FromStr for Convert {
    type Err = ConvertError;

    fn from_str(text: &str) -> Result<Self, ConvertError> {
        Self::parse(text)
    }
}

impl fmt::Display for Convert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(" ")?;
            }
            write!(f, "{step}")?;
        }
        Ok(())
    }
}

/// What a convert may know of the point whose value it converts.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ConvertContext<'a> {
    /// The point's unit.
    pub unit: Option<Unit>,
    /// The definition that the point's `enum` tag gives, which converts call `self`.
    pub own_enum: Option<&'a EnumDef>,
    /// The definitions that have a name.
    pub enums: Option<&'a EnumDefs>,
}

impl<'a> ConvertContext<'a> {
    /// A context of which nothing is known.
    pub const fn new() -> Self {
        Self { unit: None, own_enum: None, enums: None }
    }

    /// This context with the point's unit.
    #[must_use]
    pub const fn with_unit(mut self, unit: Option<Unit>) -> Self {
        self.unit = unit;
        self
    }

    /// This context with the point's own enum definition.
    #[must_use]
    pub const fn with_own_enum(mut self, def: Option<&'a EnumDef>) -> Self {
        self.own_enum = def;
        self
    }

    /// This context with named enum definitions.
    #[must_use]
    pub const fn with_enums(mut self, defs: &'a EnumDefs) -> Self {
        self.enums = Some(defs);
        self
    }
}
