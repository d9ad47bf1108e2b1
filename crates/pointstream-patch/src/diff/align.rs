use alloc::vec::Vec;

/// An element of an array: its node and the hash of its value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element {
    pub(crate) node: u32,
    pub(crate) hash: u64,
}

/// Finds which elements of two arrays stay.
///
/// Equal heads and tails are taken first. Between them, elements whose hash stands once on either
/// side are matched by a longest increasing subsequence, which is exact where no value repeats; where
/// some do, Myers' greedy algorithm (1986) looks for fewer edits up to a bound on their number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Aligner {
    old: Vec<Element>,
    new: Vec<Element>,
    /// Positions of elements that stay, ascending on both sides.
    matches: Vec<(usize, usize)>,
    sorted_old: Vec<(u64, usize)>,
    sorted_new: Vec<(u64, usize)>,
    unique: Vec<(usize, usize)>,
    /// The frontier of each round of Myers' algorithm, one behind the other.
    trace: Vec<usize>,
}

/// Elements between two that stay.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gap<'a> {
    pub(crate) old: &'a [Element],
    pub(crate) new: &'a [Element],
    /// The final position of what follows the gap.
    pub(crate) new_end: u32,
}

impl Aligner {
    pub(crate) fn align(
        &mut self,
        old: impl Iterator<Item = Element>,
        new: impl Iterator<Item = Element>,
        mut equal: impl FnMut(u32, u32) -> bool,
    ) {
        self.old.clear();
        self.old.extend(old);
        self.new.clear();
        self.new.extend(new);
        self.matches.clear();
        let mut same = |a: &Element, b: &Element| a.hash == b.hash && equal(a.node, b.node);
        let head = self.old.iter().zip(&self.new).take_while(|(a, b)| same(a, b)).count();
        let tail = self.old[head..]
            .iter()
            .rev()
            .zip(self.new[head..].iter().rev())
            .take_while(|(a, b)| same(a, b))
            .count();
        let (old_end, new_end) = (self.old.len() - tail, self.new.len() - tail);
        self.matches.extend((0..head).map(|at| (at, at)));
        if head < old_end && head < new_end {
            self.align_between(head, old_end, new_end);
            // A hash may lie. A match that does not hold is an element that changed.
            let Self { old, new, matches, .. } = self;
            let mut place = 0;
            matches.retain(|&(a, b)| {
                place += 1;
                place <= head || same(&old[a], &new[b])
            });
        }
        self.matches.extend((0..tail).map(|at| (old_end + at, new_end + at)));
    }

    /// The gaps between elements that stay, empty ones left out.
    pub(crate) fn gaps(&self) -> impl Iterator<Item = Gap<'_>> {
        let end = (self.old.len(), self.new.len());
        let mut done = (0, 0);
        self.matches.iter().copied().chain([end]).filter_map(move |(a, b)| {
            let gap =
                Gap { old: &self.old[done.0..a], new: &self.new[done.1..b], new_end: b as u32 };
            done = (a + 1, b + 1);
            (!gap.old.is_empty() || !gap.new.is_empty()).then_some(gap)
        })
    }

    fn align_between(&mut self, start: usize, old_end: usize, new_end: usize) {
        let Common { any, unique } = self.find_common(start, old_end, new_end);
        if !any {
            return;
        }
        if !unique && self.align_by_edits(start, old_end, new_end) {
            return;
        }
        increasing(&self.unique, &mut self.matches);
    }

    /// Gathers the elements that stand once on either side, by their place in the new array.
    fn find_common(&mut self, start: usize, old_end: usize, new_end: usize) -> Common {
        let Self { sorted_old, sorted_new, unique, .. } = self;
        for (sorted, elements, end) in
            [(&mut *sorted_old, &self.old, old_end), (&mut *sorted_new, &self.new, new_end)]
        {
            sorted.clear();
            sorted.extend((start..end).map(|at| (elements[at].hash, at)));
            sorted.sort_unstable();
        }
        unique.clear();
        let mut common = Common { any: false, unique: true };
        let mut rights = sorted_new.chunk_by(|a, b| a.0 == b.0).peekable();
        for left in sorted_old.chunk_by(|a, b| a.0 == b.0) {
            while rights.next_if(|right| right[0].0 < left[0].0).is_some() {}
            let Some(right) = rights.next_if(|right| right[0].0 == left[0].0) else { continue };
            common.any = true;
            match (left, right) {
                ([a], [b]) => unique.push((a.1, b.1)),
                _ => common.unique = false,
            }
        }
        unique.sort_unstable_by_key(|pair| pair.1);
        common
    }

    /// Myers' greedy algorithm. Says whether it came to an end within [`EDITS_MAX`].
    fn align_by_edits(&mut self, start: usize, old_end: usize, new_end: usize) -> bool {
        let old = &self.old[start..old_end];
        let new = &self.new[start..new_end];
        let trace = &mut self.trace;
        trace.clear();
        // Round d covers the diagonals -d, -d+2, …, d: its frontier has d+1 entries, each the furthest
        // place in the old array, and begins at d(d+1)/2.
        for d in 0..=EDITS_MAX.min(old.len() + new.len()) {
            let before = trace.len() - d;
            for at in 0..=d {
                let mut x = step(&trace[before..before + d], at, d);
                let mut y = x + d - 2 * at;
                while x < old.len() && y < new.len() && old[x].hash == new[y].hash {
                    x += 1;
                    y += 1;
                }
                trace.push(x);
                if x >= old.len() && y >= new.len() {
                    self.walk_back(start, d, at, x);
                    return true;
                }
            }
        }
        false
    }

    /// Gathers the matches of the path that ended in round `d` at its entry `at`.
    fn walk_back(&mut self, start: usize, mut d: usize, mut at: usize, mut x: usize) {
        let first = self.matches.len();
        loop {
            let before = &self.trace[(d * d - d) / 2..][..d];
            let from = step(before, at, d);
            while x > from {
                x -= 1;
                self.matches.push((start + x, start + x + d - 2 * at));
            }
            if d == 0 {
                break;
            }
            // The place before the edit: a removal came from the entry to the left.
            let removed = at > 0 && before[at - 1] + 1 == from;
            at -= usize::from(removed);
            x = from - usize::from(removed);
            d -= 1;
        }
        self.matches[first..].reverse();
    }
}

/// What two arrays have in common.
#[derive(Clone, Copy, Debug)]
struct Common {
    any: bool,
    /// Whether all that is common stands once on either side.
    unique: bool,
}

/// Where entry `at` of round `d` begins, before it runs along its diagonal.
fn step(before: &[usize], at: usize, d: usize) -> usize {
    let removed = at.checked_sub(1).map(|at| before[at] + 1);
    let added = (at < d).then(|| before[at]);
    removed.max(added).unwrap_or(0)
}

/// Appends a longest subsequence of pairs, sorted by their second, that ascends in the first too.
fn increasing(pairs: &[(usize, usize)], out: &mut Vec<(usize, usize)>) {
    let mut ends: Vec<usize> = Vec::new();
    let mut previous: Vec<Option<usize>> = Vec::with_capacity(pairs.len());
    for (at, pair) in pairs.iter().enumerate() {
        let len = ends.partition_point(|&end| pairs[end].0 < pair.0);
        previous.push(len.checked_sub(1).map(|len| ends[len]));
        if len == ends.len() {
            ends.push(at);
        } else {
            ends[len] = at;
        }
    }
    let first = out.len();
    let mut at = ends.last().copied();
    while let Some(this) = at {
        out.push(pairs[this]);
        at = previous[this];
    }
    out[first..].reverse();
}

/// More edits than these are not looked for: their number enters the cost as a square.
const EDITS_MAX: usize = 512;
