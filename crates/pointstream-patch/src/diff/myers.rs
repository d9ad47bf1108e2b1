use alloc::vec::Vec;

/// Myers' greedy algorithm (1986) on hashes, with a bound on the number of edits.
#[derive(Clone, Debug, Default)]
pub(super) struct Myers {
    /// Positions of elements that are equal, ascending on both sides.
    pub(super) matches: Vec<(u32, u32)>,
    /// The frontier of each round, one behind the other.
    trace: Vec<u32>,
}

impl Myers {
    /// Says whether it came to an end within so many edits.
    pub(super) fn run(&mut self, old: &[u64], new: &[u64], edits_max: usize) -> bool {
        self.matches.clear();
        let trace = &mut self.trace;
        trace.clear();
        // Round d covers the diagonals -d, -d+2, …, d: its frontier has d+1 entries, each the furthest
        // place in the old array, and begins at d(d+1)/2.
        for d in 0..=edits_max.min(old.len() + new.len()) {
            let before = trace.len() - d;
            for at in 0..=d {
                let mut x = step(&trace[before..before + d], at, d);
                let mut y = x + d - 2 * at;
                while x < old.len() && y < new.len() && old[x] == new[y] {
                    x += 1;
                    y += 1;
                }
                trace.push(x as u32);
                if x >= old.len() && y >= new.len() {
                    self.walk_back(d, at, x);
                    return true;
                }
            }
        }
        false
    }

    pub(super) const fn memory(&self) -> usize {
        self.matches.capacity() * 8 + self.trace.capacity() * 4
    }

    /// Gathers the matches of the path that ended in round `d` at its entry `at`.
    fn walk_back(&mut self, mut d: usize, mut at: usize, mut x: usize) {
        loop {
            let before = &self.trace[(d * d - d) / 2..][..d];
            let from = step(before, at, d);
            while x > from {
                x -= 1;
                self.matches.push((x as u32, (x + d - 2 * at) as u32));
            }
            if d == 0 {
                break;
            }
            // The place before the edit: a removal came from the entry to the left.
            let removed = at > 0 && before[at - 1] as usize + 1 == from;
            at -= usize::from(removed);
            x = from - usize::from(removed);
            d -= 1;
        }
        self.matches.reverse();
    }
}

/// Where entry `at` of round `d` begins, before it runs along its diagonal.
fn step(before: &[u32], at: usize, d: usize) -> usize {
    let removed = at.checked_sub(1).map(|at| before[at] as usize + 1);
    let added = (at < d).then(|| before[at] as usize);
    removed.max(added).unwrap_or(0)
}
