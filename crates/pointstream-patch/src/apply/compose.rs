use alloc::borrow::Cow;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;

use super::operation::{Action, Operation};
use crate::bytes::common_prefix;
use crate::script::push_compact;
use crate::tape::{Kind, ROOT, Tape, View};
use crate::{Limits, OperationError, PatchError};

/// The patch that does what two patches do one behind the other.
///
/// Replacements that later ones make void are left out, where nothing but replacements stands between
/// them; so a chain of updates of the same leaves does not grow.
pub fn compose(first: &[u8], second: &[u8], limits: &Limits) -> Result<String, PatchError> {
    let (first_tape, first) = Tape::parse(first, limits).map_err(PatchError::Patch)?;
    let (second_tape, second) = Tape::parse(second, limits).map_err(PatchError::Patch)?;
    let mut ops = read(first_tape.view(first), limits)?;
    ops.append(&mut read(second_tape.view(second), limits)?);
    if ops.len() > limits.ops_max as usize {
        return Err(PatchError::Operations);
    }
    // None of these is in another one.
    let mut replaced: BTreeSet<Place<'_>> = BTreeSet::new();
    let mut void = alloc::vec![false; ops.len()];
    for (at, op) in ops.iter().enumerate().rev() {
        if !op.replaces {
            replaced.clear();
            continue;
        }
        let place = Place(&op.path);
        let before = replaced.range(..=place).next_back();
        void[at] = before.is_some_and(|before| before.holds(place));
        if !void[at] {
            while let Some(&inner) = replaced.range(place..).next().filter(|it| place.holds(**it)) {
                replaced.remove(&inner);
            }
            replaced.insert(place);
        }
    }
    let mut out = String::from("[");
    for (op, _) in ops.iter().zip(&void).filter(|(_, void)| !**void) {
        if out.len() > 1 {
            out.push(',');
        }
        push_compact(op.raw, &mut out);
    }
    out.push(']');
    if out.len() > limits.bytes_allowed() {
        return Err(PatchError::Length);
    }
    Ok(out)
}

struct Op<'a> {
    raw: &'a str,
    path: Cow<'a, str>,
    replaces: bool,
}

fn read<'a>(patch: View<'a>, limits: &Limits) -> Result<Vec<Op<'a>>, PatchError> {
    if patch.kind(ROOT) != Kind::Array {
        return Err(PatchError::NotAnArray);
    }
    let mut ops = Vec::new();
    for (index, node) in patch.children(ROOT).enumerate() {
        if index >= limits.ops_max as usize {
            return Err(PatchError::Operations);
        }
        let operation = Operation::read(patch, node).map_err(|error| {
            PatchError::Operation(OperationError::new(index, error.kind, error.pointer))
        })?;
        let replaces = matches!(operation.action, Action::Replace(_));
        ops.push(Op { raw: patch.raw(node), path: operation.path, replaces });
    }
    Ok(ops)
}

/// A pointer among others: what is in a value comes right behind the value.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place<'a>(&'a str);

impl Place<'_> {
    /// Whether another place is this one or in it.
    fn holds(self, other: Self) -> bool {
        other.0.strip_prefix(self.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl Ord for Place<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (self.0.as_bytes(), other.0.as_bytes());
        let common = common_prefix(a, b);
        // A slash comes before all else that may follow the same beginning.
        let next = |text: &[u8]| text.get(common).map(|&byte| (byte != b'/', byte));
        next(a).cmp(&next(b))
    }
}

impl PartialOrd for Place<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
