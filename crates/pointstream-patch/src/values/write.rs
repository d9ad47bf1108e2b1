use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use serde_json::{Map, Value};

use crate::script::push_integer;
use crate::string::encode;
use crate::tape::{NONE, Tape};
use crate::{Limits, ParseError, ParseErrorKind};

/// A container whose children are being written.
struct Open<'v> {
    node: u32,
    rest: Rest<'v>,
    /// How many children were written.
    children: u32,
}

enum Rest<'v> {
    Elements(core::slice::Iter<'v, Value>),
    Members(<&'v Map<String, Value> as IntoIterator>::IntoIter),
}

/// Writes the text of a value together with its tape, so that it need not be read. So many bytes and nodes
/// are expected.
pub(super) fn write(
    value: &Value,
    expected: (usize, usize),
    limits: &Limits,
) -> Result<(String, Tape), ParseError> {
    let mut text = String::with_capacity(expected.0);
    let mut tape = Tape::with_capacity(expected.1);
    let mut open: Vec<Open<'_>> = Vec::new();
    begin(value, 0, &mut open, limits, &mut text, &mut tape)?;
    while let Some(container) = open.last_mut() {
        let (key, child, close) = match &mut container.rest {
            Rest::Elements(elements) => (None, elements.next(), ']'),
            Rest::Members(members) => match members.next() {
                Some((key, value)) => (Some(key), Some(value), '}'),
                None => (None, None, '}'),
            },
        };
        let Some(child) = child else {
            text.push(close);
            tape.close(container.node, text.len());
            open.pop();
            continue;
        };
        if container.children > 0 {
            text.push(',');
        }
        let mut field = container.children;
        container.children += 1;
        if let Some(key) = key {
            text.push('"');
            let start = text.len();
            encode(key, &mut text);
            text.push_str("\":");
            field = (text.len() - start) as u32;
        }
        begin(child, field, &mut open, limits, &mut text, &mut tape)?;
    }
    if text.len() > limits.bytes_allowed() {
        return Err(ParseError::new(ParseErrorKind::Bytes, limits.bytes_allowed()));
    }
    Ok((text, tape))
}

/// Writes a scalar, or the beginning of a container.
fn begin<'v>(
    value: &'v Value,
    field: u32,
    open: &mut Vec<Open<'v>>,
    limits: &Limits,
    text: &mut String,
    tape: &mut Tape,
) -> Result<(), ParseError> {
    let (start, node) = (text.len(), tape.len() as u32);
    let refuse = |kind| Err(ParseError::new(kind, start));
    if start > limits.bytes_allowed() {
        return refuse(ParseErrorKind::Bytes);
    }
    if node >= limits.nodes_max {
        return refuse(ParseErrorKind::Nodes);
    }
    tape.open(start, open.last().map_or(NONE, |container| container.node), field);
    let rest = match value {
        Value::Array(elements) => Rest::Elements(elements.iter()),
        Value::Object(members) => Rest::Members(members.iter()),
        scalar => {
            write_scalar(scalar, text);
            tape.close(node, text.len());
            return Ok(());
        }
    };
    if open.len() >= limits.depth_max as usize {
        return refuse(ParseErrorKind::Depth);
    }
    text.push(if matches!(rest, Rest::Elements(_)) { '[' } else { '{' });
    open.push(Open { node, rest, children: 0 });
    tape.admit(false, open.len() as u32);
    Ok(())
}

fn write_scalar(value: &Value, text: &mut String) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(true) => text.push_str("true"),
        Value::Bool(false) => text.push_str("false"),
        Value::String(string) => {
            text.push('"');
            encode(string, text);
            text.push('"');
        }
        Value::Number(number) => match number.as_u64() {
            Some(integer) => push_integer(text, integer),
            // Writing to a String cannot fail.
            None => drop(write!(text, "{number}")),
        },
        Value::Array(_) | Value::Object(_) => {}
    }
}

/// Whether two values are the same, spelling of numbers included. Needs no stack.
pub(super) fn same(old: &Value, new: &Value) -> bool {
    let mut pairs = alloc::vec![(old, new)];
    while let Some(pair) = pairs.pop() {
        match pair {
            (Value::Array(a), Value::Array(b)) => {
                if a.len() != b.len() {
                    return false;
                }
                pairs.extend(a.iter().zip(b));
            }
            (Value::Object(a), Value::Object(b)) => {
                if a.len() != b.len() {
                    return false;
                }
                for (key, a) in a {
                    let Some(b) = b.get(key) else { return false };
                    pairs.push((a, b));
                }
            }
            (a, b) if a == b => {}
            _ => return false,
        }
    }
    true
}
