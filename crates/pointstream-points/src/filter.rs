use core::cmp::Ordering;

use pointstream_point::{Tag, Unit, Value};

use crate::entry::Entry;

/// A filter over points, in the language of Project Haystack: `temp and air`, `not writable`,
/// `curVal > 20°C`, `connector == "ahu" and (sensor or sp)`.
///
/// A comparison holds only between values of one kind, numbers also only of one unit; a tag that
/// is missing makes it false. A path (`siteRef->dis`) is refused, since points refer to nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    /// In postfix order, so that evaluation needs a stack of booleans and no recursion.
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Has(Box<str>),
    Missing(Box<str>),
    Compare(Box<str>, Op, Value),
    And,
    Or,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Op {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// Why a text is not a filter.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message} at character {at} of the filter")]
#[non_exhaustive]
pub struct FilterError {
    /// The place, counted from 1 in characters.
    pub at: usize,
    /// What is wrong there.
    pub message: String,
}

impl Filter {
    /// The longest filter, in bytes.
    pub const LEN_MAX: usize = 4096;

    /// How deep parentheses may nest.
    pub const DEPTH_MAX: usize = 64;

    /// Parses a filter.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        if text.len() > Self::LEN_MAX {
            let message = format!("a filter has at most {} bytes", Self::LEN_MAX);
            return Err(FilterError { at: Self::LEN_MAX, message });
        }
        let mut parser = Parser { text, at: 0, steps: Vec::new(), depth: 0 };
        parser.or()?;
        parser.skip_space();
        if parser.at < text.len() {
            return Err(parser.error("expected \"and\", \"or\" or the end"));
        }
        Ok(Self { steps: parser.steps })
    }

    /// Whether a point passes.
    pub fn matches(&self, entry: &Entry) -> bool {
        let mut stack: Vec<bool> = Vec::with_capacity(4);
        for step in &self.steps {
            let result = match step {
                Step::Has(name) => entry.tag(name).is_some(),
                Step::Missing(name) => entry.tag(name).is_none(),
                Step::Compare(name, op, value) => {
                    matches!(entry.tag(name), Some(Tag::Value(tag)) if op.holds(&tag, value))
                }
                Step::And | Step::Or => {
                    let (b, a) = (stack.pop().unwrap_or(false), stack.pop().unwrap_or(false));
                    if *step == Step::And { a && b } else { a || b }
                }
            };
            stack.push(result);
        }
        stack.pop().unwrap_or(false)
    }
}

impl Op {
    fn holds(self, a: &Value, b: &Value) -> bool {
        let order = match (a, b) {
            (Value::Number(a, unit_a), Value::Number(b, unit_b)) if unit_a == unit_b => {
                a.partial_cmp(b)
            }
            (Value::Str(a), Value::Str(b)) => Some(a.cmp(b)),
            (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
            _ => None,
        };
        let Some(order) = order else { return false };
        match self {
            Self::Eq => order == Ordering::Equal,
            Self::Ne => order != Ordering::Equal,
            Self::Lt => order == Ordering::Less,
            Self::Le => order != Ordering::Greater,
            Self::Gt => order == Ordering::Greater,
            Self::Ge => order != Ordering::Less,
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    steps: Vec<Step>,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn or(&mut self) -> Result<(), FilterError> {
        self.and()?;
        while self.keyword("or") {
            self.and()?;
            self.steps.push(Step::Or);
        }
        Ok(())
    }

    fn and(&mut self) -> Result<(), FilterError> {
        self.term()?;
        while self.keyword("and") {
            self.term()?;
            self.steps.push(Step::And);
        }
        Ok(())
    }

    fn term(&mut self) -> Result<(), FilterError> {
        self.skip_space();
        if self.symbol("(") {
            self.depth += 1;
            if self.depth > Filter::DEPTH_MAX {
                return Err(self.error("too many parentheses"));
            }
            self.or()?;
            self.skip_space();
            if !self.symbol(")") {
                return Err(self.error("expected \")\""));
            }
            self.depth -= 1;
            return Ok(());
        }
        if self.keyword("not") {
            let name = self.name()?;
            self.steps.push(Step::Missing(name));
            return Ok(());
        }
        let name = self.name()?;
        self.skip_space();
        const OPS: [(&str, Op); 6] = [
            ("==", Op::Eq),
            ("!=", Op::Ne),
            ("<=", Op::Le),
            ("<", Op::Lt),
            (">=", Op::Ge),
            (">", Op::Gt),
        ];
        match OPS.into_iter().find(|(text, _)| self.symbol(text)) {
            Some((_, op)) => {
                let value = self.value()?;
                self.steps.push(Step::Compare(name, op, value));
            }
            None => self.steps.push(Step::Has(name)),
        }
        Ok(())
    }

    fn name(&mut self) -> Result<Box<str>, FilterError> {
        self.skip_space();
        let rest = self.rest();
        let len = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let name = &rest[..len];
        if !name.starts_with(|c: char| c.is_ascii_lowercase()) || matches!(name, "and" | "or") {
            return Err(self.error("expected the name of a tag"));
        }
        self.at += len;
        if self.rest().starts_with("->") {
            return Err(self.error("a path is not supported: points refer to nothing"));
        }
        Ok(name.into())
    }

    fn value(&mut self) -> Result<Value, FilterError> {
        self.skip_space();
        for (word, value) in [("true", true), ("false", false)] {
            if self.keyword(word) {
                return Ok(Value::Bool(value));
            }
        }
        if self.rest().starts_with('"') { self.string() } else { self.number() }
    }

    fn string(&mut self) -> Result<Value, FilterError> {
        let mut text = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += at + 1;
                    return Ok(Value::str(text));
                }
                '\\' => match chars.next().map(|(_, c)| c) {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some(c @ ('"' | '\\' | '$')) => text.push(c),
                    _ => break,
                },
                c => text.push(c),
            }
        }
        Err(self.error("expected a string that ends with a quote"))
    }

    fn number(&mut self) -> Result<Value, FilterError> {
        let rest = self.rest();
        let digits = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | 'e' | 'E');
        let mut len = rest.find(|c| !digits(c)).unwrap_or(rest.len());
        // An `e` may also begin a unit.
        while len > 0 && rest[..len].parse::<f64>().is_err() {
            len -= 1;
        }
        let Ok(number) = rest[..len].parse::<f64>() else {
            return Err(self.error("expected a string, a number, true or false"));
        };
        self.at += len;
        let rest = self.rest();
        let len = rest.find(|c: char| c.is_whitespace() || c == ')').unwrap_or(rest.len());
        let unit = match &rest[..len] {
            "" => None,
            symbol => Some(Unit::parse(symbol).map_err(|_| self.error("unknown unit"))?),
        };
        self.at += len;
        Ok(Value::Number(number, unit))
    }

    fn keyword(&mut self, word: &str) -> bool {
        self.skip_space();
        let Some(after) = self.rest().strip_prefix(word) else { return false };
        if after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
            return false;
        }
        self.at += word.len();
        true
    }

    fn symbol(&mut self, symbol: &str) -> bool {
        let found = self.rest().starts_with(symbol);
        if found {
            self.at += symbol.len();
        }
        found
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn error(&self, message: &str) -> FilterError {
        let at = self.text[..self.at].chars().count() + 1;
        FilterError { at, message: message.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use pointstream_point::{Cur, Kind, PointSpec, Status};

    use super::*;

    fn entry() -> Entry {
        let mut spec = PointSpec::new("ahu.supplyTemp".parse().unwrap(), Kind::Number);
        spec.unit = Unit::parse("°C").ok();
        spec.cur = Some("input:30001".into());
        spec.more.tags.set("temp", Tag::Marker);
        spec.more.tags.set("air", Tag::Marker);
        spec.more.tags.set("floor", Tag::Value(Value::number(2.0)));
        spec.more.tags.set("note", Tag::Value(Value::str("say \"hi\"")));
        let mut cur = Cur::default();
        (cur.status, cur.val) = (Status::Ok, Value::Number(21.5, spec.unit));
        let conn = "ahu".parse().ok().map(Arc::new);
        let mut entry = Entry::new(1, Arc::new(spec), conn, cur.ts);
        entry.set_cur(&cur);
        entry
    }

    #[test]
    fn filters_select_by_tags_and_values() {
        let entry = entry();
        for (text, expected) in [
            ("temp", true),
            ("temp and air", true),
            ("temp and water", false),
            ("water or temp", true),
            ("not writable", true),
            ("not temp", false),
            ("water or temp and air", true),
            ("(water or temp) and not air", false),
            ("floor == 2", true),
            ("floor != 2", false),
            ("floor > 1 and floor<=2", true),
            ("missing == 1", false),
            ("missing != 1", false),
            ("curVal > 20°C", true),
            ("curVal > 20", false),
            ("curVal<20°C", false),
            ("curStatus == \"ok\"", true),
            ("note == \"say \\\"hi\\\"\"", true),
            ("connector==\"ahu\"", true),
            ("point and cur", true),
            ("floor == \"2\"", false),
        ] {
            let filter = Filter::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(filter.matches(&entry), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_a_filter_says_where() {
        for (text, message) in [
            ("", "expected the name of a tag at character 1 of the filter"),
            ("temp and", "expected the name of a tag at character 9 of the filter"),
            ("temp air", "expected \"and\", \"or\" or the end at character 6 of the filter"),
            ("(temp", "expected \")\" at character 6 of the filter"),
            ("a ==", "expected a string, a number, true or false at character 5 of the filter"),
            ("a == 5furlong", "unknown unit at character 7 of the filter"),
            ("a == \"x", "expected a string that ends with a quote at character 6 of the filter"),
            (
                "siteRef->dis",
                "a path is not supported: points refer to nothing at character 8 of the filter",
            ),
            ("Temp", "expected the name of a tag at character 1 of the filter"),
        ] {
            assert_eq!(Filter::parse(text).unwrap_err().to_string(), message, "{text}");
        }
    }

    #[test]
    fn depth_and_length_are_bounded() {
        let nested = |depth| format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
        assert!(Filter::parse(&nested(Filter::DEPTH_MAX)).is_ok());
        assert!(Filter::parse(&nested(Filter::DEPTH_MAX + 1)).is_err());
        let long = |len: usize| format!("a{}", " ".repeat(len - 1));
        assert!(Filter::parse(&long(Filter::LEN_MAX)).is_ok());
        assert!(Filter::parse(&long(Filter::LEN_MAX + 1)).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_filter_or_an_error(text in "\\PC{0,40}") {
            let _ = Filter::parse(&text);
        }
    }
}
