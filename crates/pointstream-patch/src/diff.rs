mod align;
mod array;
mod identity;
mod myers;

use alloc::vec::Vec;

use self::align::Aligner;
use self::array::ArrayScratch;
use crate::Options;
use crate::script::{Cut, Mark, OperationKind, ScriptWriter};
use crate::tape::{Kind, NONE, ROOT, View};
use crate::value::{pair_members, scalars_equal};

/// Compares values on two tapes and writes the operations between them.
///
/// The operations are written as they are found. Each container remembers where its own begin: once
/// they take as much as a replacement of the container, they are taken back and the replacement is
/// written, from the innermost container outwards.
#[derive(Clone, Debug, Default)]
pub(crate) struct Differ {
    pub(crate) writer: ScriptWriter,
    frames: Vec<Frame>,
    /// For each open frame, the children that are still to be looked at; [`NONE`] where one has no
    /// partner.
    pairs: Vec<(u32, u32)>,
    pub(crate) aligner: Aligner,
    array: ArrayScratch,
    /// How many frames are trying the elements by position.
    trials: u32,
    cuts: Vec<Cut>,
    /// Whether anything was moved or could be copied; then nothing says that it was not better left.
    pub(crate) shifted: bool,
    /// The elements at the end of an array that [`run_tail`](Self::run_tail) compares.
    tail_first: u32,
    tail_index: u32,
    tail_news: Vec<u32>,
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
    old: u32,
    /// The container in the new text; [`NONE`] if only the end of it is compared.
    new: u32,
    kind: Kind,
    path_len: usize,
    start: Mark,
    /// What takes as many bytes is not worth it.
    limit: usize,
    pairs_start: usize,
    pairs_next: usize,
    pairs_end: usize,
    trial: Trial,
}

/// Arrays are aligned; where that shifts elements, they are compared by position too, and the shorter
/// script is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trial {
    /// There is nothing to try.
    Off,
    /// What is being written is aligned, and the other way is still to be tried.
    Aligned,
    /// What is being written is by position; what was aligned is cut out.
    Positional,
}

/// The end of a container, from its first child that may have changed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tail<'a> {
    pub(crate) container: u32,
    pub(crate) kind: Kind,
    /// The first child of the old container that is compared.
    pub(crate) first: u32,
    /// The children of the new one, and for elements the old ones that are equal to them.
    pub(crate) children: &'a [(u32, u32)],
    /// Whether these are to be believed.
    pub(crate) matched: bool,
    /// The index of the first element.
    pub(crate) index: u32,
    /// As many bytes are not worth it.
    pub(crate) limit: usize,
}

impl Differ {
    /// Compares the documents of two texts, which stand at the writer's current path.
    pub(crate) fn run(&mut self, old: View<'_>, new: View<'_>, options: &Options) -> Found {
        if old.bytes(ROOT) == new.bytes(ROOT) {
            return Found::Equal;
        }
        let kind = new.kind(ROOT);
        if kind != old.kind(ROOT) || !kind.is_container() {
            return if scalars_equal(old, ROOT, new, ROOT) { Found::Equal } else { Found::Whole };
        }
        let start = self.writer.mark();
        self.enter(old, ROOT, new, ROOT, options);
        self.finish(old, new, start, options)
    }

    /// Compares the end of a container, which stands at the writer's current path.
    pub(crate) fn run_tail(
        &mut self,
        old: View<'_>,
        new: View<'_>,
        tail: &Tail<'_>,
        options: &Options,
    ) -> Found {
        let start = self.writer.mark();
        let pairs_start = self.pairs.len();
        let mut trial = Trial::Off;
        if tail.kind == Kind::Array {
            let aligner = &mut self.aligner;
            aligner.clear();
            aligner.old.extend(old.siblings(tail.first, tail.container));
            for &(node, origin) in tail.children {
                aligner.new.push(node);
                let known = tail.matched && origin != NONE;
                aligner.partner.push(if known { old.index(origin) - tail.index } else { NONE });
            }
            aligner.align(old, new, options, self.writer.path(), tail.matched);
            (self.tail_first, self.tail_index) = (tail.first, tail.index);
            self.tail_news.clear();
            self.tail_news.extend(tail.children.iter().map(|&(node, _)| node));
            trial = self.array(old, new, tail.index, start, tail.limit, options);
        } else {
            let news = tail.children.iter().map(|&(node, _)| node);
            self.members(old, old.siblings(tail.first, tail.container), new, news);
        }
        self.open(tail.container, NONE, tail.kind, start, tail.limit, pairs_start, trial);
        self.finish(old, new, start, options)
    }

    /// Writes the replacement of a value at the current path.
    pub(crate) fn replace(
        &mut self,
        old: View<'_>,
        a: u32,
        new: View<'_>,
        b: u32,
        options: &Options,
    ) {
        self.test(old, a, options);
        self.writer.write(OperationKind::Replace, new, b);
    }

    /// Writes the test that a value is there.
    pub(crate) fn test(&mut self, old: View<'_>, a: u32, options: &Options) {
        if options.tests {
            self.writer.write(OperationKind::Test, old, a);
        }
    }

    pub(crate) const fn memory(&self) -> usize {
        self.writer.memory()
            + self.pairs.capacity() * 8
            + self.frames.capacity() * size_of::<Frame>()
            + self.cuts.capacity() * size_of::<Cut>()
            + self.tail_news.capacity() * 4
            + self.array.memory()
            + self.aligner.memory()
    }

    fn finish(&mut self, old: View<'_>, new: View<'_>, start: Mark, options: &Options) -> Found {
        let bottom = self.frames.len() - 1;
        let path_len = self.frames[bottom].path_len;
        let mut found = Found::Operations;
        let spent_max = self.frames[bottom].limit.saturating_mul(SPENT_FACTOR) + SPENT_MIN;
        while self.frames.len() > bottom {
            if self.writer.written_since(start) > spent_max {
                self.abandon(bottom);
            }
            let Some(frame) = self.frames.last_mut() else { break };
            self.writer.truncate_path(frame.path_len);
            let ahead = match frame.trial {
                Trial::Positional => frame.len_of(frame.pairs_end - frame.pairs_next),
                _ => 0,
            };
            if self.writer.written_since(frame.start).saturating_add(ahead) >= frame.limit {
                let frame = *frame;
                if self.give_up(&frame) {
                    continue;
                }
                if self.frames.len() == bottom {
                    found = Found::Whole;
                } else {
                    self.replace(old, frame.old, new, frame.new, options);
                }
                continue;
            }
            if frame.pairs_next == frame.pairs_end {
                let frame = *frame;
                self.complete(old, new, &frame, options);
                continue;
            }
            let pair = self.pairs[frame.pairs_next];
            frame.pairs_next += 1;
            let kind = frame.kind;
            self.child(old, new, kind, pair, options);
        }
        self.writer.truncate_path(path_len);
        if found == Found::Operations && self.writer.written_since(start) == 0 {
            return Found::Equal;
        }
        found
    }

    /// Leaves all frames but one, which is not worth its operations.
    fn abandon(&mut self, bottom: usize) {
        while self.frames.len() > bottom + 1 {
            if let Some(Frame { trial: Trial::Positional, .. }) = self.frames.last() {
                self.trials -= 1;
                self.cuts.pop();
            }
            self.leave();
        }
        self.frames[bottom].limit = 0;
    }

    /// Takes back what a frame wrote. Says whether there is another script for it, which is complete.
    fn give_up(&mut self, frame: &Frame) -> bool {
        self.writer.rewind(frame.start);
        let cut = match frame.trial {
            Trial::Positional => {
                self.trials -= 1;
                self.cuts.pop()
            }
            _ => None,
        };
        self.leave();
        match cut {
            Some(cut) => self.writer.paste(&cut),
            None => return false,
        }
        true
    }

    /// A frame has no more children: either another way is tried, or it is left.
    fn complete(&mut self, old: View<'_>, new: View<'_>, frame: &Frame, options: &Options) {
        match frame.trial {
            Trial::Aligned if self.writer.written_since(frame.start) > TRIAL_MIN => {}
            Trial::Positional => {
                self.trials -= 1;
                self.cuts.pop();
                return self.leave();
            }
            _ => return self.leave(),
        }
        let len = self.writer.written_since(frame.start);
        if self.len_by_position(old, new, frame) >= len {
            return self.leave();
        }
        let cut = self.writer.cut(frame.start);
        self.cuts.push(cut);
        self.trials += 1;
        self.pairs.truncate(frame.pairs_start);
        self.by_position(old, new, frame, len, options);
        let pairs_end = self.pairs.len();
        if let Some(open) = self.frames.last_mut() {
            open.pairs_next = open.pairs_start;
            open.pairs_end = pairs_end;
            open.limit = len;
            open.trial = Trial::Positional;
        }
    }

    /// Writes the operations of one child, or enters it.
    fn child(
        &mut self,
        old: View<'_>,
        new: View<'_>,
        parent: Kind,
        (a, b): (u32, u32),
        options: &Options,
    ) {
        if parent == Kind::Array {
            self.writer.push_index(new.index(b));
        } else {
            self.writer.push_key(if b == NONE { old.key(a) } else { new.key(b) });
        }
        if a == NONE {
            self.writer.write(OperationKind::Add, new, b);
        } else if b == NONE {
            self.test(old, a, options);
            self.writer.write_remove();
        } else if old.kind(a) == new.kind(b) && new.kind(b).is_container() {
            self.enter(old, a, new, b, options);
        } else if !scalars_equal(old, a, new, b) {
            self.replace(old, a, new, b, options);
        }
    }

    /// Opens a frame for two containers of one kind.
    fn enter(&mut self, old: View<'_>, a: u32, new: View<'_>, b: u32, options: &Options) {
        let kind = new.kind(b);
        let start = self.writer.mark();
        let mut limit = self.writer.replacement_len(new.bytes(b).len());
        if options.tests {
            limit += self.writer.replacement_len(old.bytes(a).len());
        }
        let pairs_start = self.pairs.len();
        let mut trial = Trial::Off;
        if kind == Kind::Array {
            self.aligner.clear();
            self.aligner.old.extend(old.children(a));
            self.aligner.new.extend(new.children(b));
            self.aligner.align(old, new, options, self.writer.path(), false);
            trial = self.array(old, new, 0, start, limit, options);
        } else {
            self.members(old, old.children(a), new, new.children(b));
        }
        self.open(a, b, kind, start, limit, pairs_start, trial);
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of a frame")]
    fn open(
        &mut self,
        old: u32,
        new: u32,
        kind: Kind,
        start: Mark,
        limit: usize,
        pairs_start: usize,
        trial: Trial,
    ) {
        self.frames.push(Frame {
            old,
            new,
            kind,
            path_len: self.writer.path_len(),
            start,
            limit,
            pairs_start,
            pairs_next: pairs_start,
            pairs_end: self.pairs.len(),
            trial: if self.trials == 0 { trial } else { Trial::Off },
        });
    }

    fn leave(&mut self) {
        if let Some(frame) = self.frames.pop() {
            self.pairs.truncate(frame.pairs_start);
        }
    }

    /// Leaves the pairs of members that are not the same text.
    fn members(
        &mut self,
        old: View<'_>,
        olds: impl Iterator<Item = u32>,
        new: View<'_>,
        news: impl Iterator<Item = u32>,
    ) {
        let pairs = &mut self.pairs;
        pair_members(old, olds, new, news, |a, b| {
            if a == NONE || b == NONE || old.bytes(a) != new.bytes(b) {
                pairs.push((a, b));
            }
        });
    }
}

/// What is written before it is taken back from the inside outwards may take some multiple of what a
/// replacement of all takes, and this much in any case. Under pointers that are longer than values it
/// would take more; then all is replaced.
pub(crate) const SPENT_FACTOR: usize = 8;
pub(crate) const SPENT_MIN: usize = 1 << 16;
/// A script this short is not tried to be made shorter.
const TRIAL_MIN: usize = 64;
