//! From tokens to steps. Flat: no expression contains another.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::{Unit, Value};

use super::Convert;
use super::error::{ConvertError, Expected};
use super::function::{self, Argument};
use super::number;
use super::step::Step;
use super::token::{self, Class, Token};

/// The steps of a convert expression.
pub(super) fn steps(text: &str) -> Result<Box<[Step]>, ConvertError> {
    if text.len() > Convert::LEN_MAX {
        let fits = text.char_indices().take_while(|(at, c)| at + c.len_utf8() <= Convert::LEN_MAX);
        return Err(ConvertError::new(fits.count() as u32 + 1, Expected::Length));
    }
    let (tokens, end) = token::tokens(text)?;
    let mut parser = Parser { tokens: &tokens, end };
    let mut steps = Vec::new();
    while let Some(token) = parser.next() {
        if steps.len() == Convert::STEPS_MAX {
            return Err(ConvertError::new(token.column, Expected::Steps));
        }
        steps.push(parser.step(token)?);
    }
    if steps.is_empty() { Err(parser.at_end(Expected::Expression)) } else { Ok(steps.into()) }
}

struct Parser<'a> {
    tokens: &'a [Token<'a>],
    /// The column behind the text.
    end: u32,
}

impl<'a> Parser<'a> {
    fn next(&mut self) -> Option<Token<'a>> {
        let (&first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    fn next_is(&self, operator: &str) -> bool {
        self.tokens.first().is_some_and(|token| token.is(operator))
    }

    fn at_end(&self, expected: Expected) -> ConvertError {
        ConvertError::new(self.end, expected)
    }

    /// The step that begins with `token`.
    fn step(&mut self, token: Token<'a>) -> Result<Step, ConvertError> {
        let unknown = || {
            let expected = Expected::ExpressionNot(token.text.into());
            Err(ConvertError::new(token.column, expected))
        };
        match (token.class, token.text) {
            (Class::Operator, operator) => match operator {
                "+" => self.number().map(Step::Add),
                "*" => self.number().map(Step::Mul),
                "/" => self.divisor(),
                "&" => self.integer().map(Step::And),
                "|" => self.integer().map(Step::Or),
                "^" => self.integer().map(Step::Xor),
                "<<" => self.shift().map(Step::ShiftLeft),
                ">>" => self.shift().map(Step::ShiftRight),
                _ => unknown(),
            },
            (_, _) if self.next_is("=>") => self.unit_to_unit(token),
            (Class::Quoted, _) => unknown(),
            (Class::Word, "-") => self.number().map(Step::Sub),
            (Class::Word, "?:") => self.literal().map(Step::Elvis),
            (Class::Word, name) if self.next_is("(") => {
                let arguments = self.arguments()?;
                function::step(name, token.column, &arguments)
            }
            (Class::Word, word) => match word.strip_prefix('-').and_then(number::float) {
                Some(number) if !word.starts_with("--") => Ok(Step::Sub(number)),
                _ if word.starts_with('-') => {
                    let expected = Expected::Number(Some(word.into()));
                    Err(ConvertError::new(token.column, expected))
                }
                _ => unknown(),
            },
        }
    }

    /// The next token, read by `read`; `expected` says what it should have been.
    fn operand<T>(
        &mut self,
        read: impl FnOnce(&str) -> Option<T>,
        expected: fn(Option<Box<str>>) -> Expected,
    ) -> Result<(T, u32), ConvertError> {
        let Some(token) = self.next() else { return Err(self.at_end(expected(None))) };
        let value = if token.class == Class::Word { read(token.text) } else { None };
        match value {
            Some(value) => Ok((value, token.column)),
            None => Err(ConvertError::new(token.column, expected(Some(token.text.into())))),
        }
    }

    fn number(&mut self) -> Result<f64, ConvertError> {
        Ok(self.operand(number::float, Expected::Number)?.0)
    }

    fn integer(&mut self) -> Result<i64, ConvertError> {
        Ok(self.operand(number::integer, Expected::Integer)?.0)
    }

    fn divisor(&mut self) -> Result<Step, ConvertError> {
        match self.operand(number::float, Expected::Number)? {
            (0.0, column) => Err(ConvertError::new(column, Expected::Divisor)),
            (number, _) => Ok(Step::Div(number)),
        }
    }

    fn shift(&mut self) -> Result<u8, ConvertError> {
        let (bits, column) = self.operand(number::integer, Expected::Integer)?;
        let bits = u8::try_from(bits).ok().filter(|bits| *bits < 64);
        bits.ok_or_else(|| ConvertError::new(column, Expected::Shift))
    }

    fn unit_to_unit(&mut self, from: Token<'a>) -> Result<Step, ConvertError> {
        let from = self.unit(Some(from))?;
        self.next();
        let to = self.next();
        Ok(Step::Unit { from, to: self.unit(to)? })
    }

    fn unit(&self, token: Option<Token<'a>>) -> Result<Unit, ConvertError> {
        let Some(token) = token else { return Err(self.at_end(Expected::Unit(None))) };
        let expected = || ConvertError::new(token.column, Expected::Unit(Some(token.text.into())));
        Unit::parse(token.text).map_err(|_| expected())
    }

    /// What stands behind `?:`. Quoted text is text, whatever it says.
    fn literal(&mut self) -> Result<Value, ConvertError> {
        let Some(token) = self.next() else { return Err(self.at_end(Expected::Literal(None))) };
        let value = match (token.class, token.text) {
            (Class::Quoted, text) => Some(Value::str(text)),
            (Class::Operator, _) => None,
            (_, "true") => Some(Value::Bool(true)),
            (_, "false") => Some(Value::Bool(false)),
            (_, "NA") => Some(Value::Na),
            (_, word) if word.starts_with(char::is_alphabetic) => Some(Value::str(word)),
            (_, word) => number::quantity(word).map(|(number, unit)| Value::Number(number, unit)),
        };
        let expected =
            || ConvertError::new(token.column, Expected::Literal(Some(token.text.into())));
        value.ok_or_else(expected)
    }

    /// The arguments from `(` to `)`: tokens joined by single blanks between commas.
    fn arguments(&mut self) -> Result<Vec<Argument>, ConvertError> {
        self.next();
        let mut arguments = Vec::new();
        if self.next_is(")") {
            self.next();
            return Ok(arguments);
        }
        loop {
            let mut text = String::new();
            let mut begin: Option<u32> = None;
            let last = loop {
                let Some(token) = self.next() else {
                    return Err(self.at_end(Expected::ArgumentEnd));
                };
                let last = token.is(")");
                if last || token.is(",") {
                    if begin.is_none() {
                        return Err(ConvertError::new(token.column, Expected::Argument));
                    }
                    break last;
                }
                if begin.is_some() {
                    text.push(' ');
                }
                begin.get_or_insert(token.column);
                text.push_str(token.text);
            };
            let column = begin.unwrap_or(self.end);
            if arguments.len() == Convert::ARGUMENTS_MAX {
                return Err(ConvertError::new(column, Expected::ArgumentCount));
            }
            arguments.push(Argument { text, column });
            if last {
                return Ok(arguments);
            }
        }
    }
}
