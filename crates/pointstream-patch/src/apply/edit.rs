use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use super::operation::{Action, Operation};
use super::{Failed, Patcher, Run};
use crate::script::{OperationKind, ScriptWriter};
use crate::tape::{NONE, Tape, View};
use crate::{Limits, OperationError, ParseError, ParseErrorKind, PatchError};

/// An edit that is to be made.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) kind: OperationKind,
    /// From which value of the document its pointer goes; [`NONE`] for the document itself.
    pub(crate) from: u32,
    /// Whether the handle that it goes from had ended.
    pub(crate) gone: bool,
    /// Where its pointer stands among the pointers.
    pub(crate) pointer: Range<usize>,
    /// Its value; [`NONE`] where it removes one.
    pub(crate) value: u32,
}

/// Makes edits one behind the other: writes their operations, and the text and the tape that they lead
/// to. Says where the nodes that are left of the document stand, in the order in which they stood.
pub(crate) fn carry_out(
    document: View<'_>,
    values: View<'_>,
    (steps, pointers): (&[Step], &str),
    limits: &Limits,
    writer: &mut ScriptWriter,
    (text, tape): (&mut String, &mut Tape),
) -> Result<Vec<Run>, PatchError> {
    let mut patcher = Patcher::new(document, values, limits, None);
    let mut path = String::new();
    for (index, step) in steps.iter().enumerate() {
        path.clear();
        let pointer = &pointers[step.pointer.clone()];
        if step.from != NONE {
            patcher.tree.push_pointer(step.from, &mut path).map_err(|kind| {
                PatchError::Operation(OperationError::new(index, kind, pointer.into()))
            })?;
        }
        path.push_str(pointer);
        let action = match step.kind {
            OperationKind::Add => Action::Add(step.value),
            OperationKind::Remove => Action::Remove,
            _ => Action::Replace(step.value),
        };
        let operation = Operation { action, path: Cow::Borrowed(&path), from: None };
        patcher.carry_out(&operation).map_err(|failed: Failed| failed.of(index, &operation))?;
        writer.set_path(&path);
        if step.value == NONE {
            writer.write_remove();
        } else {
            writer.write(step.kind, values, step.value);
        }
    }
    patcher.rebuild(text, tape)
}

impl Patcher<'_> {
    fn rebuild(self, text: &mut String, tape: &mut Tape) -> Result<Vec<Run>, PatchError> {
        text.clear();
        tape.clear();
        let mut runs = Vec::new();
        let max = self.limits.bytes_allowed();
        if !self.tree.rebuild(max, text, tape, &mut runs) {
            return Err(PatchError::Result(ParseError::new(ParseErrorKind::Bytes, max)));
        }
        let Limits { depth_max, nodes_max, .. } = *self.limits;
        if self.depth_bound > depth_max as usize || tape.len() > nodes_max as usize {
            // What is too much is found where it stands; what is not makes the bound exact.
            tape.read(text.as_bytes(), self.limits).map_err(PatchError::Result)?;
        } else {
            tape.admit(false, self.depth_bound as u32);
        }
        runs.sort_unstable();
        Ok(runs)
    }
}
