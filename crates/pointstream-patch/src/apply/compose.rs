use alloc::borrow::Cow;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use super::operation::{Action, Operation};
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
    let mut replaced: BTreeSet<&str> = BTreeSet::new();
    let mut void = alloc::vec![false; ops.len()];
    for (at, op) in ops.iter().enumerate().rev() {
        if !op.replaces {
            replaced.clear();
            continue;
        }
        void[at] = ancestors(&op.path).any(|path| replaced.contains(path));
        if !void[at] {
            replaced.insert(&op.path);
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

/// A pointer and all that it is in.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    let slashes = path.match_indices('/').map(|(at, _)| &path[..at]);
    slashes.chain([path])
}
