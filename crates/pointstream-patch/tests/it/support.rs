//! JSON to test with: random texts, random edits, comparison by value, and a cutter of vectors.

use pointstream_patch::{Change, Limits, diff};
use proptest::prelude::*;
use serde_json::{Map, Value};

/// Small documents in which values, keys and elements repeat.
pub(crate) fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (-3..12i64).prop_map(Value::from),
        prop::sample::select(vec![0.5, -2.25, 1e3]).prop_map(Value::from),
        text().prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::vec((text(), inner), 0..6)
                .prop_map(|members| Value::Object(Map::from_iter(members))),
        ]
    })
}

/// A document and one made of it by a few edits, as happens to documents.
pub(crate) fn edited() -> impl Strategy<Value = (Value, Value)> {
    let edit = (any::<u16>(), 0..5u8, json());
    (json(), prop::collection::vec(edit, 0..6)).prop_map(|(old, edits)| {
        let mut new = old.clone();
        for (place, what, value) in edits {
            edit_at(&mut new, usize::from(place), what, value);
        }
        (old, new)
    })
}

/// Texts that need escapes in pointers, in JSON, in both.
pub(crate) fn text() -> impl Strategy<Value = String> {
    let pieces =
        vec!["", "a", "b", "id", "/", "~", "~1", "\"", "\\", "\n", "é", "0", "😀", "\u{1}"];
    prop::collection::vec(prop::sample::select(pieces), 1..3).prop_map(|pieces| pieces.concat())
}

/// Spells a document otherwise: white space, escapes, numbers.
pub(crate) fn respell(text: &str) -> String {
    let mut out = String::from(" ");
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\\' => {
                out.push(char);
                out.extend(chars.next());
                continue;
            }
            '"' => quoted = !quoted,
            'a' if quoted => {
                out.push_str("\\u0061");
                continue;
            }
            '/' if quoted => out.push('\\'),
            ',' | ':' | '[' | '{' if !quoted => {
                out.push(char);
                out.push_str("\r\n\t");
                continue;
            }
            '0'..='9' if !quoted => {
                out.push(char);
                let ends = !matches!(chars.peek(), Some('0'..='9' | '.' | 'e' | 'E'));
                if ends && !out.ends_with(&['+', '-'][..]) {
                    let number = out.rfind(|char: char| !"0123456789.eE+-".contains(char));
                    let number = &out[number.map_or(0, |at| at + 1)..];
                    if !number.contains(['e', 'E', '.']) {
                        out.push_str(".0e0");
                    }
                }
                continue;
            }
            _ => {}
        }
        out.push(char);
    }
    out
}

/// Equality as RFC 6902 section 4.6 has it; the numbers in use are exact as floats.
pub(crate) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

pub(crate) fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The patch that a change stands for.
pub(crate) fn patch_of(change: &Change, new: &str) -> String {
    let mut patch = String::new();
    match change {
        Change::Nothing => patch.push_str("[]"),
        Change::Script(script) => script.render_patch("", &mut patch),
        Change::Replacement => patch = replacement(new),
    }
    patch
}

pub(crate) fn replacement(new: &str) -> String {
    format!(r#"[{{"op":"replace","path":"","value":{new}}}]"#)
}

pub(crate) fn diff_text(old: &str, new: &str) -> String {
    let change = diff(old.as_bytes(), new.as_bytes(), &Limits::default()).unwrap();
    patch_of(&change, new)
}

/// What the crate json-patch makes of a patch.
pub(crate) fn apply_with_oracle(document: &Value, patch: &str) -> Value {
    let patch: json_patch::Patch = serde_json::from_str(patch).unwrap();
    let mut document = document.clone();
    json_patch::patch(&mut document, &patch).unwrap();
    document
}

/// The elements of a JSON array or the values of an object's members, each as it is spelled, with its
/// key if it has one.
pub(crate) fn cut(text: &str) -> Vec<(Option<String>, &str)> {
    let text = text.trim();
    let inner = &text[1..text.len() - 1];
    let object = text.starts_with('{');
    split(inner, b',')
        .into_iter()
        .filter(|part| !part.trim().is_empty())
        .map(|part| match split(part, b':').as_slice() {
            [key, ..] if object => {
                let Value::String(name) = value(key.trim()) else { panic!("{key}") };
                (Some(name), part[key.len() + 1..].trim())
            }
            _ => (None, part.trim()),
        })
        .collect()
}

fn split(text: &str, separator: u8) -> Vec<&str> {
    let (mut parts, mut start, mut depth, mut quoted, mut escaped) = (vec![], 0, 0, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            _ if byte == separator && depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// Edits the value at some place of a document.
fn edit_at(root: &mut Value, place: usize, what: u8, value: Value) {
    let mut left = place % count(root);
    let mut at = root;
    'down: while left > 0 {
        left -= 1;
        let children: Vec<&mut Value> = match at {
            Value::Array(elements) => elements.iter_mut().collect(),
            Value::Object(members) => members.values_mut().collect(),
            _ => unreachable!(),
        };
        for child in children {
            let size = count(child);
            if left < size {
                at = child;
                continue 'down;
            }
            left -= size;
        }
        unreachable!();
    }
    match (what, at) {
        (0, Value::Array(elements)) => elements.insert(0, value),
        (1, Value::Array(elements)) if !elements.is_empty() => {
            elements.remove(place % elements.len());
        }
        (2, Value::Array(elements)) if !elements.is_empty() => elements.rotate_left(1),
        (3, Value::Array(elements)) => elements.push(value),
        (0, Value::Object(members)) => {
            members.insert(format!("k{}", place % 7), value);
        }
        (1, Value::Object(members)) => {
            if let Some(key) = members.keys().next().cloned() {
                members.remove(&key);
            }
        }
        (_, at) => *at = value,
    }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(elements) => elements.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum::<usize>(),
        _ => 0,
    }
}
