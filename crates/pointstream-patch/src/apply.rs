mod compose;
mod edit;
mod invert;
mod operation;
mod tree;

use alloc::string::{String, ToString};

pub use self::compose::compose;
pub use self::invert::invert;

pub(crate) use self::edit::{Step, carry_out};
pub(crate) use self::tree::Run;

use self::invert::Inverse;
use self::operation::{Action, Operation};
use self::tree::{TOP, Tree};
use crate::pointer::{Pointer, PointerErrorKind};
use crate::tape::{Kind, ROOT, Tape, View};
use crate::{Limits, OperationError, OperationErrorKind, ParseError, ParseErrorKind, PatchError};

/// Applies a JSON Patch (RFC 6902) to a document and gives the new text.
///
/// All operations are carried out or none. What no operation touches keeps its spelling, white space
/// included; a container that one went through is written without white space.
pub fn apply(document: &[u8], patch: &[u8], limits: &Limits) -> Result<String, PatchError> {
    run(document, patch, limits, None)
}

fn run(
    document: &[u8],
    patch: &[u8],
    limits: &Limits,
    inverse: Option<&mut Inverse>,
) -> Result<String, PatchError> {
    let (tape, text) = Tape::parse(document, limits).map_err(PatchError::Document)?;
    let (patch_tape, patch_text) = Tape::parse(patch, limits).map_err(PatchError::Patch)?;
    let patch = patch_tape.view(patch_text);
    if patch.kind(ROOT) != Kind::Array {
        return Err(PatchError::NotAnArray);
    }
    let mut patcher = Patcher::new(tape.view(text), patch, limits, inverse);
    for (index, node) in patch.children(ROOT).enumerate() {
        if index >= limits.ops_max as usize {
            return Err(PatchError::Operations);
        }
        patcher.apply(index, node)?;
    }
    patcher.finish()
}

struct Patcher<'a> {
    patch: View<'a>,
    tree: Tree<'a>,
    limits: &'a Limits,
    /// How many bytes all copies together have.
    copied: usize,
    /// The document is never deeper than this.
    depth_bound: usize,
    /// The document never holds more values than these.
    nodes_bound: usize,
    /// What undoes the operations, if that is asked for.
    inverse: Option<&'a mut Inverse>,
}

impl<'a> Patcher<'a> {
    fn new(
        document: View<'a>,
        patch: View<'a>,
        limits: &'a Limits,
        inverse: Option<&'a mut Inverse>,
    ) -> Self {
        Self {
            patch,
            tree: Tree::new(document, patch),
            limits,
            copied: 0,
            depth_bound: document.depth() as usize,
            nodes_bound: document.tape().len() + patch.tape().len(),
            inverse,
        }
    }

    fn apply(&mut self, index: usize, node: u32) -> Result<(), PatchError> {
        let operation = Operation::read(self.patch, node).map_err(|error| {
            PatchError::Operation(OperationError::new(index, error.kind, error.pointer))
        })?;
        self.carry_out(&operation).map_err(|failed| failed.of(index, &operation))
    }

    fn carry_out(&mut self, operation: &Operation<'_>) -> Result<(), Failed> {
        let path = pointer(&operation.path).map_err(Failed::at_path)?;
        let from = operation.from.as_deref().map(pointer).transpose().map_err(Failed::at_from)?;
        let from = from.unwrap_or(Pointer::ROOT);
        let value_depth = match operation.action {
            Action::Remove | Action::Test(_) => 0,
            Action::Add(_) | Action::Replace(_) => self.patch.depth() as usize,
            Action::Move | Action::Copy => self.depth_bound,
        };
        if value_depth > 0 {
            self.depth_bound = self.depth_bound.max(path.tokens().count() + value_depth);
        }
        match operation.action {
            Action::Add(node) => {
                let cell = self.tree.patch_value(node);
                self.add(path, cell)
            }
            Action::Replace(node) => {
                self.note(|inverse, tree| inverse.replaced(tree, path)).map_err(Failed::at_path)?;
                let cell = self.tree.patch_value(node);
                self.tree.replace(path, cell).map_err(Failed::at_path)
            }
            Action::Remove => {
                self.note(|inverse, tree| inverse.removed(tree, path)).map_err(Failed::at_path)?;
                self.tree.remove(path).map(drop).map_err(Failed::at_path)
            }
            Action::Test(node) => {
                let cell = self.tree.find(path).map_err(Failed::at_path)?;
                let same = self.tree.equals(cell, node);
                let patch = self.patch;
                self.note(|inverse, _| inverse.tested(path, patch.raw(node)))
                    .map_err(Failed::at_path)?;
                same.then_some(()).ok_or(Failed::at_path(OperationErrorKind::Test))
            }
            Action::Move => {
                if path.is_below(from) {
                    return Err(Failed::at_path(OperationErrorKind::OwnChild));
                }
                if path == from {
                    return self.tree.find(from).map(drop).map_err(Failed::at_from);
                }
                self.note(|inverse, tree| inverse.removed(tree, from)).map_err(Failed::at_from)?;
                let cell = self.tree.remove(from).map_err(Failed::at_from)?;
                self.add(path, cell)
            }
            Action::Copy => {
                let cell = self.tree.find(from).map_err(Failed::at_from)?;
                let rest = self.limits.bytes_allowed().saturating_sub(self.copied);
                let copied = self.tree.copy(cell, rest).map_err(Failed::at_from)?;
                self.copied += copied.len;
                self.nodes_bound += copied.len.div_ceil(2);
                self.add(path, copied.cell)
            }
        }
    }

    fn add(&mut self, path: Pointer<'_>, cell: u32) -> Result<(), Failed> {
        self.note(|inverse, tree| inverse.added(tree, path)).map_err(Failed::at_path)?;
        self.tree.add(path, cell).map_err(Failed::at_path)
    }

    /// Notes what undoes an operation that is about to be carried out.
    fn note(
        &mut self,
        note: impl FnOnce(&mut Inverse, &mut Tree<'_>) -> Result<(), OperationErrorKind>,
    ) -> Result<(), OperationErrorKind> {
        match &mut self.inverse {
            Some(inverse) => note(inverse, &mut self.tree),
            None => Ok(()),
        }
    }

    fn finish(self) -> Result<String, PatchError> {
        let mut text = String::new();
        let max = self.limits.bytes_allowed();
        if !self.tree.write(TOP, max, &mut text) {
            return Err(PatchError::Result(ParseError::new(ParseErrorKind::Bytes, max)));
        }
        // Where the result could have more levels or values than allowed, it is read.
        let Limits { depth_max, nodes_max, .. } = *self.limits;
        if self.depth_bound > depth_max as usize || self.nodes_bound > nodes_max as usize {
            Tape::parse(text.as_bytes(), self.limits).map_err(PatchError::Result)?;
        }
        Ok(text)
    }
}

/// Why an operation failed, and which of its pointers led there.
struct Failed {
    kind: OperationErrorKind,
    end: End,
}

enum End {
    From,
    Path,
}

impl Failed {
    const fn at_path(kind: OperationErrorKind) -> Self {
        Self { kind, end: End::Path }
    }

    fn of(self, index: usize, operation: &Operation<'_>) -> PatchError {
        let pointer = match self.end {
            End::From => operation.from.as_deref(),
            End::Path => Some(&*operation.path),
        };
        let pointer = pointer.unwrap_or_default().to_string();
        PatchError::Operation(OperationError::new(index, self.kind, pointer))
    }

    const fn at_from(kind: OperationErrorKind) -> Self {
        Self { kind, end: End::From }
    }
}

fn pointer(text: &str) -> Result<Pointer<'_>, OperationErrorKind> {
    let malformed = |kind: PointerErrorKind| OperationErrorKind::Pointer(kind);
    Pointer::parse(text).map_err(|error| malformed(error.kind()))
}
