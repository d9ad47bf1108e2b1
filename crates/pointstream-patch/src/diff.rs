mod align;

use alloc::vec::Vec;

use self::align::{Aligner, Element};
use crate::script::{Mark, OperationKind, ScriptWriter};
use crate::tape::{Kind, NONE, ROOT, View};
use crate::value::{equal, hash_all, pair_members};

/// Compares two documents and writes the operations between them.
///
/// The operations are written as they are found. Each container remembers where its own begin: once
/// they take as much as a replacement of the container, they are taken back and the replacement is
/// written, from the innermost container outwards.
#[derive(Clone, Debug, Default)]
pub(crate) struct Differ {
    pub(crate) writer: ScriptWriter,
    old_hashes: Vec<u64>,
    new_hashes: Vec<u64>,
    frames: Vec<Frame>,
    /// For each open frame, the children that are still to be looked at; [`NONE`] where one has no
    /// partner.
    pairs: Vec<(u32, u32)>,
    scratch: Vec<(u32, u32)>,
    aligner: Aligner,
}

/// What a comparison found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The values are equal; nothing was written.
    Equal,
    /// The operations were written.
    Operations,
    /// Nothing is shorter than a replacement of the whole value; nothing was written.
    Whole,
}

/// A container whose children are being compared.
#[derive(Clone, Copy, Debug)]
struct Frame {
    new: u32,
    kind: Kind,
    path_len: usize,
    start: Mark,
    /// How long a replacement of this container is.
    replacement_len: usize,
    pairs_start: usize,
    pairs_next: usize,
    pairs_end: usize,
}

impl Differ {
    /// Compares the documents of two texts, which stand at the writer's current path.
    pub(crate) fn run(&mut self, old: View<'_>, new: View<'_>) -> Found {
        hash_all(old, &mut self.old_hashes);
        hash_all(new, &mut self.new_hashes);
        if self.same(old, ROOT, new, ROOT) {
            return Found::Equal;
        }
        let kind = new.kind(ROOT);
        if kind != old.kind(ROOT) || !kind.is_container() {
            return Found::Whole;
        }
        let path_len = self.writer.path_len();
        self.enter(old, ROOT, new, ROOT);
        let mut found = Found::Operations;
        while let Some(frame) = self.frames.last_mut() {
            self.writer.truncate_path(frame.path_len);
            if self.writer.written_since(frame.start) >= frame.replacement_len {
                self.writer.rewind(frame.start);
                let node = frame.new;
                self.leave();
                if self.frames.is_empty() {
                    found = Found::Whole;
                } else {
                    self.writer.write(OperationKind::Replace, new, node);
                }
                continue;
            }
            if frame.pairs_next == frame.pairs_end {
                self.leave();
                continue;
            }
            let pair = self.pairs[frame.pairs_next];
            frame.pairs_next += 1;
            let kind = frame.kind;
            self.child(old, new, kind, pair);
        }
        self.writer.truncate_path(path_len);
        found
    }

    /// Writes the operations of one child, or enters it.
    fn child(&mut self, old: View<'_>, new: View<'_>, parent: Kind, (a, b): (u32, u32)) {
        let writer = &mut self.writer;
        if parent == Kind::Array {
            writer.push_index(new.index(b));
        } else {
            writer.push_key(if b == NONE { old.key(a) } else { new.key(b) });
        }
        if a == NONE {
            writer.write(OperationKind::Add, new, b);
        } else if b == NONE {
            writer.write_remove();
        } else if old.kind(a) == new.kind(b) && new.kind(b).is_container() {
            self.enter(old, a, new, b);
        } else {
            writer.write(OperationKind::Replace, new, b);
        }
    }

    /// Opens a frame for two unequal containers of one kind.
    fn enter(&mut self, old: View<'_>, a: u32, new: View<'_>, b: u32) {
        let kind = new.kind(b);
        let start = self.writer.mark();
        let path_len = self.writer.path_len();
        let replacement_len = self.writer.replacement_len(new.raw(b).len());
        let pairs_start = self.pairs.len();
        if kind == Kind::Array {
            self.array(old, a, new, b, start, replacement_len);
        } else {
            let Self { pairs, scratch, old_hashes, new_hashes, .. } = self;
            pair_members(old, a, new, b, |a, b| {
                let same = a != NONE
                    && b != NONE
                    && old_hashes[a as usize] == new_hashes[b as usize]
                    && equal(old, a, new, b, scratch);
                if !same {
                    pairs.push((a, b));
                }
            });
        }
        let pairs_end = self.pairs.len();
        self.frames.push(Frame {
            new: b,
            kind,
            path_len,
            start,
            replacement_len,
            pairs_start,
            pairs_next: pairs_start,
            pairs_end,
        });
    }

    fn leave(&mut self) {
        if let Some(frame) = self.frames.pop() {
            self.pairs.truncate(frame.pairs_start);
        }
    }

    /// Writes the additions and removals of an array from left to right, so that everything left of
    /// the current place is final; leaves the pairs of elements that stay and differ.
    fn array(
        &mut self,
        old: View<'_>,
        a: u32,
        new: View<'_>,
        b: u32,
        start: Mark,
        replacement_len: usize,
    ) {
        let mut aligner = core::mem::take(&mut self.aligner);
        let element = |node, hashes: &[u64]| Element { node, hash: hashes[node as usize] };
        aligner.align(
            old.children(a).map(|node| element(node, &self.old_hashes)),
            new.children(b).map(|node| element(node, &self.new_hashes)),
            |a, b| equal(old, a, new, b, &mut self.scratch),
        );
        let path_len = self.writer.path_len();
        for gap in aligner.gaps() {
            let paired = gap.old.len().min(gap.new.len());
            self.pairs.extend(gap.old.iter().zip(gap.new).map(|(a, b)| (a.node, b.node)));
            for element in &gap.new[paired..] {
                self.writer.truncate_path(path_len);
                self.writer.push_index(new.index(element.node));
                self.writer.write(OperationKind::Add, new, element.node);
                if self.writer.written_since(start) >= replacement_len {
                    break;
                }
            }
            if gap.old.len() > paired {
                self.writer.truncate_path(path_len);
                self.writer.push_index(gap.new_end);
            }
            for _ in &gap.old[paired..] {
                self.writer.write_remove();
                if self.writer.written_since(start) >= replacement_len {
                    break;
                }
            }
        }
        self.writer.truncate_path(path_len);
        self.aligner = aligner;
    }

    fn same(&mut self, old: View<'_>, a: u32, new: View<'_>, b: u32) -> bool {
        self.old_hashes[a as usize] == self.new_hashes[b as usize]
            && equal(old, a, new, b, &mut self.scratch)
    }
}
