use alloc::string::String;
use alloc::vec::Vec;

use super::run;
use super::tree::Tree;
use crate::pointer::Pointer;
use crate::script::push_compact;
use crate::string::encode;
use crate::{Limits, OperationErrorKind, PatchError};

/// The patch that leads back: applied to what `patch` makes of `document`, it gives the document.
///
/// Tests stay tests. A move becomes a removal and an addition, so that the inverse holds every value
/// that the patch took away.
pub fn invert(document: &[u8], patch: &[u8], limits: &Limits) -> Result<String, PatchError> {
    let mut inverse = Inverse {
        text: String::new(),
        ops: Vec::new(),
        limit: limits.bytes_allowed(),
        overflown: false,
    };
    run(document, patch, limits, Some(&mut inverse))?;
    let Inverse { text, ops, overflown, .. } = inverse;
    if overflown || text.len() + ops.len() + "[]".len() > limits.bytes_allowed() {
        return Err(PatchError::Length);
    }
    let mut out = String::with_capacity(text.len() + ops.len() + "[]".len());
    out.push('[');
    let mut end = text.len();
    for &start in ops.iter().rev() {
        if end < text.len() {
            out.push(',');
        }
        out.push_str(&text[start..end]);
        end = start;
    }
    out.push(']');
    Ok(out)
}

/// Operations that undo others, in the order of those.
#[derive(Debug)]
pub(super) struct Inverse {
    text: String,
    /// Where each begins.
    ops: Vec<usize>,
    limit: usize,
    /// Whether they take more than the limit; then no more of them are written.
    overflown: bool,
}

type Noted = Result<(), OperationErrorKind>;

impl Inverse {
    /// A value is going to be added.
    pub(super) fn added(&mut self, tree: &mut Tree<'_>, path: Pointer<'_>) -> Noted {
        let Some((parent, token)) = path.split_last() else { return self.replaced(tree, path) };
        let cell = tree.find(parent)?;
        match tree.array_len(cell) {
            Some(len) if token == "-" => {
                self.open("remove", parent.as_str());
                // Writing to a String cannot fail.
                let _ = core::fmt::Write::write_fmt(&mut self.text, format_args!("/{len}"));
            }
            Some(_) => self.open("remove", path.as_str()),
            None if tree.find(path).is_ok() => return self.replaced(tree, path),
            None => self.open("remove", path.as_str()),
        }
        self.text.push_str("\"}");
        Ok(())
    }

    /// A value is going to be removed. The document itself is never quite gone: it becomes null.
    pub(super) fn removed(&mut self, tree: &mut Tree<'_>, path: Pointer<'_>) -> Noted {
        self.write("add", tree, path)
    }

    /// A value is going to be replaced.
    pub(super) fn replaced(&mut self, tree: &mut Tree<'_>, path: Pointer<'_>) -> Noted {
        self.write("replace", tree, path)
    }

    /// A value was tested.
    pub(super) fn tested(&mut self, path: Pointer<'_>, value: &str) -> Noted {
        self.open("test", path.as_str());
        self.text.push_str("\",\"value\":");
        push_compact(value, &mut self.text);
        self.text.push('}');
        Ok(())
    }

    fn write(&mut self, op: &str, tree: &mut Tree<'_>, path: Pointer<'_>) -> Noted {
        let cell = tree.find(path)?;
        self.open(op, path.as_str());
        self.text.push_str("\",\"value\":");
        let start = self.text.len();
        if self.overflown || !tree.write(cell, self.limit, &mut self.text) {
            self.overflown = true;
            return Ok(());
        }
        if tree.is_spaced() {
            let value = self.text.split_off(start);
            push_compact(&value, &mut self.text);
        }
        self.text.push('}');
        Ok(())
    }

    fn open(&mut self, op: &str, path: &str) {
        self.ops.push(self.text.len());
        self.text.push_str("{\"op\":\"");
        self.text.push_str(op);
        self.text.push_str("\",\"path\":\"");
        encode(path, &mut self.text);
    }
}
