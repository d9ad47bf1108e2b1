use alloc::vec::Vec;

use super::identity::Identifier;
use super::myers::Myers;
use crate::Options;
use crate::bytes::{HashIndex, hash};
use crate::tape::{NONE, View};

/// Finds which elements of two arrays are the same.
///
/// Equal heads and tails are taken first. Between them elements are matched by their text where none
/// stands twice, else by Myers' algorithm; what is left, by what identifies it. Of these matches the
/// heaviest subsequence that ascends on both sides stays where it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Aligner {
    /// The elements by position.
    pub(super) old: Vec<u32>,
    pub(super) new: Vec<u32>,
    /// For each new element the position of the same old one, or [`NONE`].
    pub(super) partner: Vec<u32>,
    /// The matches that stay: positions, ascending on both sides.
    pub(super) kept: Vec<(u32, u32)>,
    taken: Vec<bool>,
    index: HashIndex,
    hashes: Vec<u64>,
    occurrences: Vec<(u64, u32)>,
    identifier: Identifier,
    myers: Myers,
    best: Vec<(u64, u32)>,
    previous: Vec<u32>,
}

impl Aligner {
    pub(crate) fn clear(&mut self) {
        self.old.clear();
        self.new.clear();
        self.partner.clear();
    }

    /// Aligns the elements that were put in. Partners that are there already are believed if
    /// `matched`.
    pub(super) fn align(
        &mut self,
        old: View<'_>,
        new: View<'_>,
        options: &Options,
        path: &str,
        matched: bool,
    ) {
        let (olds, news) = (self.old.len(), self.new.len());
        self.kept.clear();
        self.taken.clear();
        self.taken.resize(olds, false);
        self.partner.resize(news, NONE);
        let same = |a: u32, b: u32| old.bytes(a) == new.bytes(b);
        let pairs = self.old.iter().zip(&self.new);
        let head = pairs.take_while(|&(&a, &b)| same(a, b)).count();
        let rest = self.old[head..].iter().rev().zip(self.new[head..].iter().rev());
        let tail = rest.take_while(|&(&a, &b)| same(a, b)).count();
        let (old_end, new_end) = (olds - tail, news - tail);
        for at in 0..head {
            self.match_up(at, at);
        }
        for at in 0..tail {
            self.match_up(old_end + at, new_end + at);
        }
        if head < old_end && head < new_end {
            if matched {
                self.believe(head, new_end);
            } else {
                self.match_texts(old, new, options, (head, old_end), (head, new_end));
            }
            let Self { old: olds, new: news, partner, taken, identifier, .. } = self;
            let id = if options.has_keys() { options.key_of(path) } else { None };
            identifier.run(
                old,
                new,
                olds,
                news,
                (head, old_end),
                (head, new_end),
                taken,
                partner,
                id,
                options.seed,
            );
        } else {
            self.partner[head..new_end].fill(NONE);
        }
        self.keep_ascending(new);
    }

    pub(crate) const fn memory(&self) -> usize {
        let words = self.old.capacity()
            + self.new.capacity()
            + self.partner.capacity()
            + self.previous.capacity();
        let pairs = self.kept.capacity() + self.hashes.capacity();
        let wide = self.best.capacity() + self.occurrences.capacity();
        let parts = self.index.memory() + self.myers.memory() + self.identifier.memory();
        words * 4 + pairs * 8 + wide * 16 + self.taken.capacity() + parts
    }

    fn match_up(&mut self, old: usize, new: usize) {
        self.partner[new] = old as u32;
        self.taken[old] = true;
    }

    /// Drops partners that two claim, or that head and tail have.
    fn believe(&mut self, start: usize, end: usize) {
        for at in start..end {
            let partner = self.partner[at];
            if partner == NONE {
                continue;
            }
            if core::mem::replace(&mut self.taken[partner as usize], true) {
                self.partner[at] = NONE;
            }
        }
    }

    fn match_texts(
        &mut self,
        old: View<'_>,
        new: View<'_>,
        options: &Options,
        (old_start, old_end): (usize, usize),
        (new_start, new_end): (usize, usize),
    ) {
        let seed = options.seed;
        let middle = &self.old[old_start..old_end];
        self.index.fill(middle.iter().map(|&node| hash(old.bytes(node), seed)));
        self.hashes.clear();
        self.hashes
            .extend(self.new[new_start..new_end].iter().map(|&node| hash(new.bytes(node), seed)));
        let mut repeats = self.index.repeats;
        let mut any = false;
        for at in 0..self.hashes.len() {
            let Some(found) = self.index.find(self.hashes[at]) else { continue };
            let (a, b) = (old_start + found as usize, new_start + at);
            if old.bytes(self.old[a]) != new.bytes(self.new[b]) {
                continue;
            }
            any = true;
            if self.taken[a] {
                repeats = true;
            } else {
                self.match_up(a, b);
            }
        }
        if any && repeats {
            self.taken[old_start..old_end].fill(false);
            self.partner[new_start..new_end].fill(NONE);
            self.match_repeats(old, new, options, old_start, new_start);
        }
    }

    /// Some elements are there more than once.
    fn match_repeats(
        &mut self,
        old: View<'_>,
        new: View<'_>,
        options: &Options,
        old_start: usize,
        new_start: usize,
    ) {
        let Self { index, hashes, myers, .. } = self;
        let olds = index.hashes();
        let found = myers.run(olds, hashes, options.limits.edits_max as usize);
        if found {
            let matches = core::mem::take(&mut self.myers.matches);
            for &(a, b) in &matches {
                let (a, b) = (old_start + a as usize, new_start + b as usize);
                if old.bytes(self.old[a]) == new.bytes(self.new[b]) {
                    self.match_up(a, b);
                }
            }
            self.myers.matches = matches;
            return;
        }
        // The first of equal elements is matched with the first of them, and so on.
        self.occurrences.clear();
        self.occurrences.extend(olds.iter().zip(0..).map(|(&hash, at)| (hash, at)));
        self.occurrences.sort_unstable();
        let mut used = alloc::vec![0u32; self.occurrences.len()];
        for at in 0..self.hashes.len() {
            let hash = self.hashes[at];
            let first = self.occurrences.partition_point(|&(other, _)| other < hash);
            let Some(count) = used.get_mut(first) else { continue };
            let Some(&(other, a)) = self.occurrences.get(first + *count as usize) else { continue };
            if other != hash {
                continue;
            }
            *count += 1;
            let (a, b) = (old_start + a as usize, new_start + at);
            if old.bytes(self.old[a]) == new.bytes(self.new[b]) {
                self.match_up(a, b);
            }
        }
    }

    /// Takes the heaviest subsequence of the matches that ascends on both sides: an element weighs as
    /// much as its text, which would have to be sent again.
    fn keep_ascending(&mut self, new: View<'_>) {
        let matches = self.partner.iter().zip(0u32..).filter(|&(&a, _)| a != NONE);
        self.kept.extend(matches.map(|(&a, b)| (a, b)));
        if self.kept.is_sorted() {
            return;
        }
        let Self { kept, best, previous, old, .. } = self;
        // A Fenwick tree of the heaviest subsequence that ends at an old position or before.
        best.clear();
        best.resize(old.len() + 1, (0, NONE));
        previous.clear();
        let mut heaviest = (0, NONE);
        for (at, &(a, b)) in kept.iter().enumerate() {
            let mut before = (0, NONE);
            let mut slot = a as usize;
            while slot > 0 {
                before = before.max_by_weight(best[slot]);
                slot &= slot - 1;
            }
            let own = new.bytes(self.new[b as usize]).len() as u64 + OP_WEIGHT;
            let sum = (before.0 + own, at as u32);
            previous.push(before.1);
            heaviest = heaviest.max_by_weight(sum);
            let mut slot = a as usize + 1;
            while slot < best.len() {
                best[slot] = best[slot].max_by_weight(sum);
                slot += slot & slot.wrapping_neg();
            }
        }
        let mut at = heaviest.1;
        let mut chosen = core::mem::take(&mut self.myers.matches);
        chosen.clear();
        while at != NONE {
            chosen.push(kept[at as usize]);
            at = previous[at as usize];
        }
        kept.clear();
        kept.extend(chosen.iter().rev());
        self.myers.matches = chosen;
    }
}

trait Heavier {
    fn max_by_weight(self, other: Self) -> Self;
}

impl Heavier for (u64, u32) {
    fn max_by_weight(self, other: Self) -> Self {
        if other.0 > self.0 { other } else { self }
    }
}

/// What an operation takes besides the text of its element.
const OP_WEIGHT: u64 = 32;
