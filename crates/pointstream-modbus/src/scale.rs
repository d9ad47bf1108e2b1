//! Scales: a chain of arithmetic that turns a register's number into the point's, and back.

use core::fmt;
use core::str::FromStr;

use crate::error::ScaleError;

/// A chain of `+`, `-`, `*` and `/`, each with a factor, such as `/10 + 5`.
///
/// Applied from left to right without precedence; undone by the inverse operations from right to
/// left. Factors may be negative. The empty chain changes nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scale {
    steps: Box<[Step]>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Step {
    operator: Operator,
    factor: f64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Operator {
    Add,
    Sub,
    Mul,
    Div,
}

impl Scale {
    /// The most operations of one chain.
    pub const LEN_MAX: usize = 16;

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The point's number for the register's.
    pub fn apply(&self, number: f64) -> f64 {
        self.steps.iter().fold(number, |number, step| match step.operator {
            Operator::Add => number + step.factor,
            Operator::Sub => number - step.factor,
            Operator::Mul => number * step.factor,
            Operator::Div => number / step.factor,
        })
    }

    /// The register's number for the point's.
    pub fn invert(&self, number: f64) -> f64 {
        self.steps.iter().rev().fold(number, |number, step| match step.operator {
            Operator::Add => number - step.factor,
            Operator::Sub => number + step.factor,
            Operator::Mul => number / step.factor,
            Operator::Div => number * step.factor,
        })
    }
}

impl FromStr for Scale {
    type Err = ScaleError;

    fn from_str(text: &str) -> Result<Self, ScaleError> {
        let mut steps = Vec::new();
        let mut rest = text.trim_start();
        while let Some(sign) = rest.chars().next() {
            let operator = match sign {
                '+' => Operator::Add,
                '-' => Operator::Sub,
                '*' => Operator::Mul,
                '/' => Operator::Div,
                other => return Err(ScaleError::Operator(other)),
            };
            if steps.len() == Self::LEN_MAX {
                return Err(ScaleError::TooLong);
            }
            let after = rest[1..].trim_start();
            let (number, next) = after.split_at(number_len(after));
            let factor: f64 = number.parse().map_err(|_| ScaleError::Factor)?;
            if !factor.is_finite() {
                return Err(ScaleError::Factor);
            }
            if factor == 0.0 && matches!(operator, Operator::Mul | Operator::Div) {
                return Err(ScaleError::Zero);
            }
            steps.push(Step { operator, factor });
            rest = next.trim_start();
        }
        if steps.is_empty() {
            return Err(ScaleError::Empty);
        }
        Ok(Self { steps: steps.into() })
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.steps.iter().enumerate() {
            let sign = match step.operator {
                Operator::Add => '+',
                Operator::Sub => '-',
                Operator::Mul => '*',
                Operator::Div => '/',
            };
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{sign}{}", step.factor)?;
        }
        Ok(())
    }
}

/// The length of the decimal number at the front of `text`: a sign, digits with a point, and an
/// exponent when digits follow its letter.
fn number_len(text: &str) -> usize {
    let bytes = text.as_bytes();
    let is = |at: usize, set: &[u8]| bytes.get(at).is_some_and(|byte| set.contains(byte));
    let mut at = usize::from(is(0, b"+-"));
    while is(at, b"0123456789.") {
        at += 1;
    }
    if is(at, b"eE") {
        let digits = at + 1 + usize::from(is(at + 1, b"+-"));
        let mut end = digits;
        while is(end, b"0123456789") {
            end += 1;
        }
        if end > digits {
            at = end;
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::data::{DataType, Scalar};

    #[test]
    fn chains_go_from_left_to_right_and_back() {
        for (text, raw, scaled) in [
            ("+ 1.5", 5.2, 6.7),
            ("- 100", 275.0, 175.0),
            ("* -6", 24.0, -144.0),
            ("/-5", 25.0, -5.0),
            ("+ 100 / 10", 20.0, 12.0),
            ("+ -10 * 2", 15.0, 10.0),
            ("/10 + 5", 215.0, 26.5),
            (" *1e-1+2 ", 30.0, 5.0),
            ("--3", 4.0, 7.0),
            ("*.5", 4.0, 2.0),
        ] {
            let scale: Scale = text.parse().unwrap();
            assert_eq!(scale.apply(raw), scaled, "{text}");
            assert!((scale.invert(scaled) - raw).abs() < 1e-12, "{text} back");
            assert_eq!(scale.to_string().parse::<Scale>(), Ok(scale));
        }
    }

    #[test]
    fn what_is_not_a_chain_is_refused() {
        for (text, error) in [
            ("", ScaleError::Empty),
            ("  ", ScaleError::Empty),
            ("10", ScaleError::Operator('1')),
            ("x2", ScaleError::Operator('x')),
            ("/", ScaleError::Factor),
            ("/ten", ScaleError::Factor),
            ("*1.2.3", ScaleError::Factor),
            ("*inf", ScaleError::Factor),
            ("*1e999", ScaleError::Factor),
            ("/10 5", ScaleError::Operator('5')),
            ("*10e", ScaleError::Operator('e')),
            ("* 0", ScaleError::Zero),
            ("/ -0.0", ScaleError::Zero),
        ] {
            assert_eq!(text.parse::<Scale>(), Err(error), "{text:?}");
        }
        assert!("+1".repeat(Scale::LEN_MAX).parse::<Scale>().is_ok());
        assert_eq!("+1".repeat(Scale::LEN_MAX + 1).parse::<Scale>(), Err(ScaleError::TooLong));
    }

    proptest! {
        #[test]
        fn a_scaled_register_encodes_back_to_itself(
            raw: u16,
            text in prop::sample::select(vec!["/10", "/ 100 - 40", "*0.1", "+ 100 / 10", "* 1.8 + 32", "/3"]),
        ) {
            let scale: Scale = text.parse().unwrap();
            let value = scale.invert(scale.apply(f64::from(raw)));
            let words = DataType::U2.encode(Scalar::Float(value)).unwrap();
            prop_assert_eq!(words.as_slice(), [raw]);
        }

        #[test]
        fn parsing_is_total(text in ".{0,40}") {
            let _ = text.parse::<Scale>();
        }
    }
}
