use alloc::vec::Vec;

use super::{Differ, Frame, Trial};
use crate::Options;
use crate::bytes::{HashIndex, hash};
use crate::script::{Mark, OperationKind};
use crate::tape::{Kind, NONE, View};

/// Working space for the operations of one array.
#[derive(Clone, Debug, Default)]
pub(super) struct ArrayScratch {
    /// For each old and new element what becomes of it.
    olds: Vec<Fate>,
    news: Vec<Fate>,
    /// For each old and new element its place in the order of all that ever stands in the array.
    old_slots: Vec<u32>,
    new_slots: Vec<u32>,
    /// How many places there are.
    slots: u32,
    /// A Fenwick tree that counts the slots in which something stands.
    present: Vec<u32>,
    index: HashIndex,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It comes or goes.
    Single,
    /// It stays, or takes the place of the other.
    Anchor,
    /// It goes to the place of the other, at this position.
    Moved(u32),
}

impl Differ {
    /// Writes what comes, goes and moves, from left to right; leaves the pairs of elements that stay
    /// and differ. The elements stand in the aligner, the first of them at `base`.
    pub(super) fn array(
        &mut self,
        old: View<'_>,
        new: View<'_>,
        base: u32,
        start: Mark,
        limit: usize,
        options: &Options,
    ) -> Trial {
        let shifted = self.settle(old, new, options.moves);
        let anything = shifted || self.aligner.old.len() != self.aligner.new.len();
        if anything {
            if options.copies {
                let news = self.aligner.new.iter();
                self.array.index.fill(news.map(|&node| hash(new.bytes(node), options.seed)));
            }
            let moves = self.array.news.iter().any(|fate| matches!(fate, Fate::Moved(_)));
            if moves || options.copies {
                self.shifted = true;
                self.write_by_slots(old, new, base, start, limit, options);
            } else {
                self.write_in_order(old, new, base, start, limit, options);
            }
        }
        if shifted { Trial::Aligned } else { Trial::Off }
    }

    /// What the operations by position take at least.
    pub(super) fn len_by_position(&self, old: View<'_>, new: View<'_>, frame: &Frame) -> usize {
        let olds = |first| old.siblings(first, frame.old);
        let changed = if frame.new == NONE {
            differing(old, olds(self.tail_first), new, self.tail_news.iter().copied())
        } else {
            differing(old, olds(frame.old + 1), new, new.children(frame.new))
        };
        frame.len_of(changed)
    }

    /// Compares the elements of a frame by their position.
    pub(super) fn by_position(
        &mut self,
        old: View<'_>,
        new: View<'_>,
        frame: &Frame,
        limit: usize,
        options: &Options,
    ) {
        let (first, base, tail) = if frame.new == NONE {
            (self.tail_first, self.tail_index, core::mem::take(&mut self.tail_news))
        } else {
            (frame.old + 1, 0, new.children(frame.new).collect())
        };
        let mut news = tail.iter().copied();
        let end = base + tail.len() as u32;
        for a in old.siblings(first, frame.old) {
            match news.next() {
                Some(b) if old.bytes(a) != new.bytes(b) => self.pairs.push((a, b)),
                Some(_) => {}
                None if self.writer.written_since(frame.start) < limit => {
                    self.writer.truncate_path(frame.path_len);
                    self.writer.push_index(end);
                    self.test(old, a, options);
                    self.writer.write_remove();
                }
                None => break,
            }
        }
        for b in news {
            if self.writer.written_since(frame.start) >= limit {
                break;
            }
            self.writer.truncate_path(frame.path_len);
            self.writer.push_end(new.index(b));
            self.writer.write(OperationKind::Add, new, b);
        }
        self.writer.truncate_path(frame.path_len);
        if frame.new == NONE {
            self.tail_news = tail;
        }
    }

    /// Decides what becomes of each element; within a gap between two that stay, elements that come
    /// take the places of those that go. Leaves the pairs. Says whether anything shifts.
    fn settle(&mut self, old: View<'_>, new: View<'_>, moves: bool) -> bool {
        let Self { aligner, array, pairs, .. } = self;
        let (olds, news) = (&mut array.olds, &mut array.news);
        olds.clear();
        olds.resize(aligner.old.len(), Fate::Single);
        news.clear();
        news.resize(aligner.new.len(), Fate::Single);
        for &(a, b) in &aligner.kept {
            olds[a as usize] = Fate::Anchor;
            news[b as usize] = Fate::Anchor;
        }
        let ends = (olds.len() as u32, news.len() as u32);
        if moves {
            for (b, &a) in aligner.partner.iter().enumerate() {
                if a != NONE
                    && news[b] == Fate::Single
                    && is_worth_a_move(old, aligner.old[a as usize], new, aligner.new[b])
                {
                    olds[a as usize] = Fate::Moved(b as u32);
                    news[b] = Fate::Moved(a);
                }
            }
        }
        let mut shifted = false;
        let (mut a, mut b) = (0, 0);
        for (next_a, next_b) in aligner.kept.iter().copied().chain([ends]) {
            loop {
                while a < next_a && olds[a as usize] != Fate::Single {
                    a += 1;
                }
                while b < next_b && news[b as usize] != Fate::Single {
                    b += 1;
                }
                if a >= next_a || b >= next_b {
                    break;
                }
                olds[a as usize] = Fate::Anchor;
                news[b as usize] = Fate::Anchor;
                shifted |= a != b;
                pairs.push((aligner.old[a as usize], aligner.new[b as usize]));
                a += 1;
                b += 1;
            }
            if next_a < ends.0 && next_b < ends.1 {
                shifted |= next_a != next_b;
                let pair = (aligner.old[next_a as usize], aligner.new[next_b as usize]);
                if old.bytes(pair.0) != new.bytes(pair.1) {
                    pairs.push(pair);
                }
            }
            (a, b) = (next_a + 1, next_b + 1);
        }
        // Moved elements may have changed besides.
        for (b, fate) in news.iter().enumerate() {
            if let &Fate::Moved(a) = fate {
                shifted = true;
                let pair = (aligner.old[a as usize], aligner.new[b]);
                if old.bytes(pair.0) != new.bytes(pair.1) {
                    pairs.push(pair);
                }
            }
        }
        shifted
    }

    /// Nothing moves: everything left of the current place is final.
    fn write_in_order(
        &mut self,
        old: View<'_>,
        new: View<'_>,
        base: u32,
        start: Mark,
        limit: usize,
        options: &Options,
    ) {
        let path_len = self.writer.path_len();
        let (mut a, mut b) = (0, 0);
        loop {
            if self.writer.written_since(start) >= limit {
                break;
            }
            match (self.array.olds.get(a).copied(), self.array.news.get(b).copied()) {
                (next, Some(Fate::Single)) => {
                    match next {
                        Some(_) => self.writer.push_index(base + b as u32),
                        None => self.writer.push_end(base + b as u32),
                    }
                    self.writer.write(OperationKind::Add, new, self.aligner.new[b]);
                    b += 1;
                }
                (Some(Fate::Single), _) => {
                    self.writer.push_index(base + b as u32);
                    self.test(old, self.aligner.old[a], options);
                    self.writer.write_remove();
                    a += 1;
                }
                (Some(_), Some(_)) => {
                    a += 1;
                    b += 1;
                }
                _ => break,
            }
            self.writer.truncate_path(path_len);
        }
        self.writer.truncate_path(path_len);
    }

    /// Elements move: what counts as the index of a place is how many elements stand before it.
    fn write_by_slots(
        &mut self,
        old: View<'_>,
        new: View<'_>,
        base: u32,
        start: Mark,
        limit: usize,
        options: &Options,
    ) {
        self.array.lay_out();
        let path_len = self.writer.path_len();
        let (mut a, mut b) = (0, 0);
        while self.writer.written_since(start) < limit {
            match (self.array.olds.get(a).copied(), self.array.news.get(b).copied()) {
                (_, Some(fate @ (Fate::Single | Fate::Moved(_)))) => {
                    let slot = self.array.new_slots[b];
                    let node = self.aligner.new[b];
                    let from = match fate {
                        Fate::Moved(a) => {
                            let slot = self.array.old_slots[a as usize];
                            let from = self.array.count_before(slot);
                            self.array.put(slot, false);
                            Some((OperationKind::Move, from))
                        }
                        _ => self.twin(old, new, b, options).map(|at| (OperationKind::Copy, at)),
                    };
                    let to = self.array.count_before(slot);
                    self.array.put(slot, true);
                    match from {
                        Some((OperationKind::Move, from)) if from == to => {}
                        Some((kind, from)) => {
                            let (value, node) = match fate {
                                Fate::Moved(a) => (old, self.aligner.old[a as usize]),
                                _ => (new, node),
                            };
                            let ends = (base + from, base + to);
                            self.writer.write_shift(kind, ends, value, node);
                        }
                        None => {
                            if self.array.count_before(self.array.slots) == to + 1 {
                                self.writer.push_end(base + to);
                            } else {
                                self.writer.push_index(base + to);
                            }
                            self.writer.write(OperationKind::Add, new, node);
                        }
                    }
                    b += 1;
                }
                (Some(Fate::Single), _) => {
                    let slot = self.array.old_slots[a];
                    self.writer.push_index(base + self.array.count_before(slot));
                    self.array.put(slot, false);
                    self.test(old, self.aligner.old[a], options);
                    self.writer.write_remove();
                    a += 1;
                }
                (Some(Fate::Moved(_)), _) => a += 1,
                (Some(Fate::Anchor), Some(Fate::Anchor)) => {
                    a += 1;
                    b += 1;
                }
                _ => break,
            }
            self.writer.truncate_path(path_len);
        }
        self.writer.truncate_path(path_len);
    }

    /// The index of an equal element that is in its place already and that no later change touches.
    fn twin(&self, old: View<'_>, new: View<'_>, b: usize, options: &Options) -> Option<u32> {
        if !options.copies {
            return None;
        }
        let bytes = new.bytes(self.aligner.new[b]);
        let twin = self.array.index.find(hash(bytes, options.seed))? as usize;
        let same = twin < b && new.bytes(self.aligner.new[twin]) == bytes;
        // What stays but differs has its old value for the time being.
        let unchanged = |a: u32| old.bytes(self.aligner.old[a as usize]) == bytes;
        let kept = &self.aligner.kept;
        let settled = match self.array.news[twin] {
            Fate::Single => true,
            Fate::Moved(a) => unchanged(a),
            Fate::Anchor => kept
                .binary_search_by_key(&(twin as u32), |&(_, b)| b)
                .is_ok_and(|at| unchanged(kept[at].0)),
        };
        (same && settled).then(|| self.array.count_before(self.array.new_slots[twin]))
    }
}

impl Frame {
    /// What so many children take at least if none of them is the same.
    pub(super) const fn len_of(&self, children: usize) -> usize {
        children * (self.path_len + OP_LEN_MIN)
    }
}

/// Whether moving an element and changing what differs in it takes less than removing and adding it.
fn is_worth_a_move(old: View<'_>, a: u32, new: View<'_>, b: u32) -> bool {
    if old.bytes(a) == new.bytes(b) {
        return true;
    }
    if old.kind(a) != new.kind(b) || !new.kind(b).is_container() {
        return false;
    }
    let mut left = old.children(a);
    let mut changes = 0;
    for right in new.children(b) {
        let same = left.next().is_some_and(|left| {
            old.bytes(left) == new.bytes(right)
                && (new.kind(b) == Kind::Array || old.key(left) == new.key(right))
        });
        if !same {
            changes += CHANGE_LEN + new.bytes(right).len();
        }
    }
    changes < new.bytes(b).len()
}

/// How many positions do not hold the same.
fn differing(
    old: View<'_>,
    mut olds: impl Iterator<Item = u32>,
    new: View<'_>,
    mut news: impl Iterator<Item = u32>,
) -> usize {
    let mut count = 0;
    loop {
        match (olds.next(), news.next()) {
            (None, None) => return count,
            (Some(a), Some(b)) => count += usize::from(old.bytes(a) != new.bytes(b)),
            _ => count += 1,
        }
    }
}

/// What a changed member takes besides its value, as a rule.
const CHANGE_LEN: usize = 40;
/// No operation is shorter, its path to the array apart.
const OP_LEN_MIN: usize = r#",{"op":"remove","path":"/0"}"#.len();

impl ArrayScratch {
    pub(super) const fn memory(&self) -> usize {
        let fates = self.olds.capacity() + self.news.capacity();
        let slots = self.old_slots.capacity() + self.new_slots.capacity();
        let words = slots + self.present.capacity();
        fates * size_of::<Fate>() + words * 4 + self.index.memory()
    }

    /// Gives every element its slot: between two that stay first what comes, then what goes.
    fn lay_out(&mut self) {
        self.old_slots.clear();
        self.new_slots.clear();
        let mut slot = 0;
        let (mut a, mut b) = (0, 0);
        let mut standing = Vec::new();
        loop {
            match (self.olds.get(a), self.news.get(b)) {
                (_, Some(Fate::Single | Fate::Moved(_))) => {
                    self.new_slots.push(slot);
                    b += 1;
                }
                (Some(Fate::Single | Fate::Moved(_)), _) => {
                    self.old_slots.push(slot);
                    standing.push(slot);
                    a += 1;
                }
                (Some(Fate::Anchor), Some(Fate::Anchor)) => {
                    self.old_slots.push(slot);
                    self.new_slots.push(slot);
                    standing.push(slot);
                    a += 1;
                    b += 1;
                }
                _ => break,
            }
            slot += 1;
        }
        self.slots = slot;
        self.present.clear();
        self.present.resize(slot as usize + 1, 0);
        for slot in standing {
            self.put(slot, true);
        }
    }

    fn put(&mut self, slot: u32, present: bool) {
        let mut at = slot as usize + 1;
        while at < self.present.len() {
            let count = self.present[at];
            self.present[at] = if present { count + 1 } else { count - 1 };
            at += at & at.wrapping_neg();
        }
    }

    fn count_before(&self, slot: u32) -> u32 {
        let mut at = slot as usize;
        let mut count = 0;
        while at > 0 {
            count += self.present[at];
            at &= at - 1;
        }
        count
    }
}
