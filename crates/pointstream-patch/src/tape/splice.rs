use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use super::{NONE, Node, Tape};

/// What changed in a text and on its tape, from left to right.
#[derive(Clone, Debug, Default)]
pub(crate) struct Splices {
    edits: Vec<Edit>,
    /// The nodes that come in. Their starts count from where the new text of their edit starts.
    pub(crate) scratch: Tape,
    segments: Vec<(u32, u32)>,
}

/// One change: a part of the text, and the nodes in it.
#[derive(Clone, Debug)]
pub(crate) struct Edit {
    /// The first node that goes or, if none does, the scalar that is spelled otherwise.
    pub(crate) node: u32,
    /// How many nodes go.
    pub(crate) removed: u32,
    /// Which nodes of the scratch tape come in.
    pub(crate) added: Range<u32>,
    /// The node that grows with all that it is in; [`NONE`] if there is none.
    pub(crate) owner: u32,
    pub(crate) old: Range<usize>,
    pub(crate) new: Range<usize>,
}

impl Edit {
    const fn delta(&self) -> u32 {
        let old = self.old.end - self.old.start;
        (self.new.end - self.new.start).wrapping_sub(old) as u32
    }

    pub(crate) fn is_scalar(&self) -> bool {
        self.removed == 0 && self.added.is_empty() && self.owner == self.node
    }

    fn growth(&self) -> u32 {
        (self.added.len() as u32).wrapping_sub(self.removed)
    }
}

impl Splices {
    pub(crate) fn clear(&mut self) {
        self.edits.clear();
        self.scratch.clear();
    }

    pub(crate) fn push(&mut self, edit: Edit) {
        self.edits.push(edit);
    }

    pub(crate) fn edits(&self) -> &[Edit] {
        &self.edits
    }

    /// Forgets the edits from an offset of the old text on.
    pub(crate) fn forget(&mut self, offset: usize) {
        while self.edits.last().is_some_and(|edit| edit.old.start >= offset) {
            self.edits.pop();
        }
    }

    /// Whether nothing changed from an offset of the old text on.
    pub(crate) fn is_untouched(&self, offset: usize) -> bool {
        self.edits.last().is_none_or(|edit| edit.old.start < offset)
    }

    pub(crate) const fn memory(&self) -> usize {
        let edits = self.edits.capacity() * size_of::<Edit>();
        self.scratch.memory() + edits + self.segments.capacity() * 8
    }

    /// How many values the tape will hold.
    pub(crate) fn len_after(&self, tape: &Tape) -> usize {
        let growth = self
            .edits
            .iter()
            .map(Edit::growth)
            .fold(0, |sum: u32, growth| sum.wrapping_add(growth));
        (tape.len() as u32).wrapping_add(growth) as usize
    }

    /// Brings the text up to date. Says whether everything that comes in is UTF-8, as it must be for
    /// the text to be of use afterwards.
    #[must_use]
    pub(crate) fn splice_text(&self, text: &mut String, spare: &mut String, new: &[u8]) -> bool {
        let incoming: usize = self.edits.iter().map(|edit| edit.new.len()).sum();
        let kept_place = self.edits.iter().all(|edit| edit.delta() == 0);
        let few = self.edits.len() <= MOVES_MAX && text.len() <= MOVED_MAX;
        if incoming <= IN_PLACE_MAX && (kept_place || few) {
            for edit in self.edits.iter().rev() {
                let Ok(part) = core::str::from_utf8(&new[edit.new.clone()]) else { return false };
                text.replace_range(edit.old.clone(), part);
            }
            return true;
        }
        spare.clear();
        spare.reserve(new.len());
        let mut done = 0;
        for edit in &self.edits {
            let Ok(part) = core::str::from_utf8(&new[edit.new.clone()]) else { return false };
            push_pieces(spare, &text[done..edit.old.start]);
            spare.push_str(part);
            done = edit.old.end;
        }
        push_pieces(spare, &text[done..]);
        core::mem::swap(text, spare);
        true
    }

    /// Values came from somewhere else than the next text: says where they stand in it.
    pub(crate) fn place(&mut self) {
        let mut delta = 0usize;
        for edit in &mut self.edits {
            let start = edit.old.start.wrapping_add(delta);
            let len = edit.new.len();
            delta = delta.wrapping_add(len).wrapping_sub(edit.old.len());
            edit.new = start..start + len;
        }
    }

    /// Where a node stands on the tape that was brought up to date; nowhere if it is gone.
    pub(crate) fn place_of(&self, node: u32) -> Option<u32> {
        let before = self.edits.partition_point(|edit| edit.node < node);
        let within = before
            .checked_sub(1)
            .is_some_and(|at| node < self.edits[at].node + self.edits[at].removed);
        if within {
            return None;
        }
        let scalars = self.edits.iter().all(Edit::is_scalar);
        Some(if scalars { node } else { map(&self.segments, node) })
    }

    /// How much longer the text becomes.
    pub(crate) fn len_bytes_after(&self, len: usize) -> usize {
        let fold = |len: usize, edit: &Edit| len + edit.new.len() - edit.old.len();
        self.edits.iter().fold(len, fold)
    }

    /// Brings the tape up to date.
    pub(crate) fn splice_tape(&mut self, tape: &mut Tape, spare: &mut Tape) {
        tape.spaced |= self.scratch.spaced;
        tape.depth = tape.depth.max(self.scratch.depth);
        if self.edits.iter().all(Edit::is_scalar) {
            self.shift_tape(tape);
            return;
        }
        self.rebuild_tape(tape, spare);
        core::mem::swap(tape, spare);
    }

    /// Moves the starts behind each edit; the nodes stay.
    fn shift_tape(&self, tape: &mut Tape) {
        let mut delta = 0u32;
        let mut done = 0;
        for edit in &self.edits {
            let next = edit.node as usize + 1;
            shift(&mut tape.starts[done..next], delta);
            done = next;
            delta = delta.wrapping_add(edit.delta());
            grow(&mut tape.nodes, edit.owner, edit.delta(), 0);
        }
        shift(&mut tape.starts[done..], delta);
    }

    fn rebuild_tape(&mut self, tape: &Tape, spare: &mut Tape) {
        let Self { edits, scratch, segments, .. } = self;
        spare.clear();
        (spare.spaced, spare.depth) = (tape.spaced, tape.depth);
        segments.clear();
        segments.push((0, 0));
        let (mut delta, mut up, mut done) = (0u32, 0u32, 0usize);
        for edit in &*edits {
            let scalar = edit.is_scalar();
            let end = edit.node as usize + usize::from(scalar);
            copy(tape, done..end, delta, segments, spare);
            done = end + edit.removed as usize;
            if !edit.added.is_empty() {
                let owner = map(segments, edit.owner);
                bring(scratch, edit, owner, spare);
            }
            delta = delta.wrapping_add(edit.delta());
            if edit.growth() != 0 {
                up = up.wrapping_add(edit.growth());
                segments.push((done as u32, up));
            }
        }
        copy(tape, done..tape.len(), delta, segments, spare);
        for edit in &*edits {
            grow(&mut spare.nodes, map(segments, edit.owner), edit.delta(), edit.growth());
        }
    }
}

/// Appends a text in pieces that the caches hold.
fn push_pieces(out: &mut String, mut text: &str) {
    while text.len() > PIECE_MAX {
        let (piece, rest) = text.split_at(text.floor_char_boundary(PIECE_MAX));
        out.push_str(piece);
        text = rest;
    }
    out.push_str(text);
}

fn shift(starts: &mut [u32], delta: u32) {
    if delta != 0 {
        for start in starts {
            *start = start.wrapping_add(delta);
        }
    }
}

/// Makes a node and all that it is in longer.
fn grow(nodes: &mut [Node], mut at: u32, len: u32, size: u32) {
    if len == 0 && size == 0 {
        return;
    }
    while let Some(node) = nodes.get_mut(at as usize) {
        node.len = node.len.wrapping_add(len);
        node.size = node.size.wrapping_add(size);
        at = node.parent;
    }
}

/// Appends nodes that stay.
fn copy(tape: &Tape, range: Range<usize>, delta: u32, segments: &[(u32, u32)], spare: &mut Tape) {
    let starts = &tape.starts[range.clone()];
    spare.starts.extend(starts.iter().map(|start| start.wrapping_add(delta)));
    let (from, up) = segments.last().copied().unwrap_or_default();
    spare.nodes.extend(tape.nodes[range].iter().map(|node| {
        let inside = node.parent >= from && node.parent != NONE;
        let parent = if inside { node.parent.wrapping_add(up) } else { map(segments, node.parent) };
        Node { parent, ..*node }
    }));
}

/// Appends nodes that come in.
fn bring(scratch: &Tape, edit: &Edit, owner: u32, spare: &mut Tape) {
    let range = edit.added.start as usize..edit.added.end as usize;
    let base = edit.new.start as u32;
    let up = (spare.nodes.len() as u32).wrapping_sub(edit.added.start);
    spare.starts.extend(scratch.starts[range.clone()].iter().map(|start| start + base));
    spare.nodes.extend(scratch.nodes[range].iter().map(|node| {
        let parent = if node.parent == NONE { owner } else { node.parent.wrapping_add(up) };
        Node { parent, ..*node }
    }));
}

/// Where a node of the old tape stands on the new one.
fn map(segments: &[(u32, u32)], node: u32) -> u32 {
    if node == NONE {
        return NONE;
    }
    let at = segments.partition_point(|&(from, _)| from <= node);
    let up = at.checked_sub(1).map_or(0, |at| segments[at].1);
    node.wrapping_add(up)
}

/// More bytes than these are not brought in one by one.
const IN_PLACE_MAX: usize = 4096;
/// Each change of length moves the rest of the text; more than these are not made in place.
const MOVES_MAX: usize = 2;
/// A longer text is not moved in place: a copy beside it is made in pieces.
const MOVED_MAX: usize = 1 << 20;
/// Copies this short are made in vector registers; the string instruction that longer ones use starts slowly.
const PIECE_MAX: usize = 4000;
