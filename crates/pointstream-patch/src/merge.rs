mod scanned;

use alloc::string::String;
use alloc::vec::Vec;

pub(crate) use self::scanned::write_scanned;

use crate::script::push_compact;
use crate::tape::{Kind, NONE, ROOT, Tape, View};
use crate::value::{equal, pair_members};
use crate::{Limits, ParseError, ParseErrorKind, PatchError};

/// The merge patch (RFC 7396) from one document to another: `{}` if they are equal, nothing if there
/// is none, since a merge patch cannot set a member to null.
///
/// Arrays that differ are replaced as a whole.
pub fn merge_diff(old: &[u8], new: &[u8], limits: &Limits) -> Result<Option<String>, ParseError> {
    let (old_tape, old) = Tape::parse(old, limits)?;
    let (new_tape, new) = Tape::parse(new, limits)?;
    let mut patch = String::new();
    let written = write_merge(old_tape.view(old), new_tape.view(new), &mut patch);
    Ok(written.then_some(patch))
}

/// Applies a merge patch (RFC 7396) to a document and gives the new text.
pub fn merge_apply(document: &[u8], patch: &[u8], limits: &Limits) -> Result<String, PatchError> {
    let (tape, text) = Tape::parse(document, limits).map_err(PatchError::Document)?;
    let (patch_tape, patch) = Tape::parse(patch, limits).map_err(PatchError::Patch)?;
    let mut out = String::with_capacity(text.len());
    merge(tape.view(text), patch_tape.view(patch), &mut out);
    let max = limits.bytes_allowed();
    if out.len() > max {
        return Err(PatchError::Result(ParseError::new(ParseErrorKind::Bytes, max)));
    }
    if tape.len() + patch_tape.len() > limits.nodes_max as usize {
        Tape::parse(out.as_bytes(), limits).map_err(PatchError::Result)?;
    }
    Ok(out)
}

/// Two objects whose members are being gone through.
#[derive(Clone, Copy, Debug)]
struct Frame {
    next: usize,
    start: usize,
    end: usize,
    /// Where the text of the object begins, its key included.
    text: usize,
    /// Where what is in it begins.
    inside: usize,
}

/// Appends the merge patch; says whether there is one. If there is none, what was appended is of no
/// use.
pub(crate) fn write_merge(old: View<'_>, new: View<'_>, out: &mut String) -> bool {
    if old.kind(ROOT) != Kind::Object || new.kind(ROOT) != Kind::Object {
        push_value(new, ROOT, out);
        return !sets_null(new, ROOT);
    }
    let mut pairs = Vec::new();
    pair_members(old, old.children(ROOT), new, new.children(ROOT), |a, b| pairs.push((a, b)));
    out.push('{');
    let written = write_members(old, new, pairs, out.len(), out);
    out.push('}');
    written
}

/// Appends what becomes of members, within an object that is open and whose inside begins at `inside`.
/// Says whether a merge patch can say it.
fn write_members(
    old: View<'_>,
    new: View<'_>,
    mut pairs: Vec<(u32, u32)>,
    inside: usize,
    out: &mut String,
) -> bool {
    let mut scratch = Vec::new();
    let mut frames =
        alloc::vec![Frame { next: 0, start: 0, end: pairs.len(), text: inside, inside }];
    while let Some(frame) = frames.last_mut() {
        if frame.next == frame.end {
            let Frame { start, text, inside, .. } = *frame;
            pairs.truncate(start);
            frames.pop();
            if frames.is_empty() {
                break;
            }
            if out.len() == inside {
                out.truncate(text);
            } else {
                out.push('}');
            }
            continue;
        }
        let (a, b) = pairs[frame.next];
        frame.next += 1;
        if a != NONE && b != NONE && old.bytes(a) == new.bytes(b) {
            continue;
        }
        let text = out.len();
        if text > frame.inside {
            out.push(',');
        }
        push_key(if a == NONE { new.key(b) } else { old.key(a) }, out);
        if b == NONE {
            out.push_str(NULL);
            continue;
        }
        let object = new.kind(b) == Kind::Object;
        if a != NONE && object && old.kind(a) == Kind::Object {
            out.push('{');
            let start = pairs.len();
            pair_members(old, old.children(a), new, new.children(b), |a, b| pairs.push((a, b)));
            let end = pairs.len();
            frames.push(Frame { next: start, start, end, text, inside: out.len() });
        } else if a != NONE && equal(old, a, new, b, &mut scratch) {
            out.truncate(text);
        } else if new.kind(b) == Kind::Null || sets_null(new, b) {
            return false;
        } else {
            push_value(new, b, out);
        }
    }
    true
}

fn push_key(raw: &str, out: &mut String) {
    out.push('"');
    out.push_str(raw);
    out.push_str("\":");
}

/// Appends the document that a merge patch makes of another.
fn merge(document: View<'_>, patch: View<'_>, out: &mut String) {
    let mut pairs = alloc::vec![(ROOT, ROOT)];
    // Each frame: its next pair, its first, its end, and where what is in it begins.
    let mut frames: Vec<(usize, usize, usize, usize)> = alloc::vec![(0, 0, 1, 0)];
    let mut outermost = true;
    while let Some((next, start, end, inside)) = frames.last_mut() {
        if next == end {
            pairs.truncate(*start);
            frames.pop();
            if !frames.is_empty() {
                out.push('}');
            }
            continue;
        }
        let (a, b) = pairs[*next];
        *next += 1;
        if !core::mem::take(&mut outermost) {
            if b != NONE && patch.kind(b) == Kind::Null {
                continue;
            }
            if out.len() > *inside {
                out.push(',');
            }
            push_key(if b == NONE { document.key(a) } else { patch.key(b) }, out);
        }
        if b == NONE {
            push_value(document, a, out);
        } else if patch.kind(b) != Kind::Object {
            push_value(patch, b, out);
        } else {
            out.push('{');
            let start = pairs.len();
            let merged = a != NONE && document.kind(a) == Kind::Object;
            let members = merged.then(|| document.children(a)).into_iter().flatten();
            pair_members(document, members, patch, patch.children(b), |a, b| pairs.push((a, b)));
            frames.push((start, start, pairs.len(), out.len()));
        }
    }
}

/// Whether an object has a null among its members, at any depth outside arrays: in a merge patch it
/// would remove the member.
fn sets_null(view: View<'_>, node: u32) -> bool {
    let mut at = node;
    let end = view.after(node);
    while at < end {
        match view.kind(at) {
            Kind::Null if at > node => return true,
            Kind::Array => at = view.after(at),
            _ => at += 1,
        }
    }
    false
}

fn push_value(view: View<'_>, node: u32, out: &mut String) {
    if view.is_spaced() {
        push_compact(view.raw(node), out);
    } else {
        out.push_str(view.raw(node));
    }
}

const NULL: &str = "null";
