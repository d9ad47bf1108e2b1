use alloc::vec::Vec;

/// How many bytes two texts have in common at their beginning.
///
/// Blocks grow while they are equal, so that long runs are compared at the speed of memory and short
/// ones cost little.
pub(crate) fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let len = a.len().min(b.len());
    let (a, b) = (&a[..len], &b[..len]);
    let mut at = 0;
    let mut block = BLOCK_MIN;
    while at + block <= len && a[at..at + block] == b[at..at + block] {
        at += block;
        block = (block * 2).min(BLOCK_MAX);
    }
    // The first difference is within this block, or the end is.
    while block > WORDS {
        block /= 2;
        if at + block <= len && a[at..at + block] == b[at..at + block] {
            at += block;
        }
    }
    while let (Some(left), Some(right)) = (a[at..].first_chunk::<8>(), b[at..].first_chunk::<8>()) {
        let differ = u64::from_le_bytes(*left) ^ u64::from_le_bytes(*right);
        if differ != 0 {
            return at + (differ.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while at < len && a[at] == b[at] {
        at += 1;
    }
    at
}

/// A hash by folded multiplication; not for use against an opponent without a comparison behind it.
pub(crate) fn hash(bytes: &[u8], seed: u64) -> u64 {
    let mut state = seed ^ 0x9e37_79b9_7f4a_7c15 ^ bytes.len() as u64;
    let (chunks, rest) = bytes.as_chunks::<8>();
    for chunk in chunks {
        state = mix(state, u64::from_le_bytes(*chunk));
    }
    state = mix(state, rest.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)));
    mix(state, 0xa076_1d64_78bd_642f)
}

/// A hash of a text that looks at both ends and the middle of a long one.
pub(crate) fn sample(bytes: &[u8], seed: u64) -> u64 {
    match (bytes.first_chunk::<48>(), bytes.last_chunk::<32>()) {
        (Some(head), Some(tail)) if bytes.len() > SAMPLED_MIN => {
            let middle = &bytes[bytes.len() / 2..][..16];
            hash(head, hash(tail, hash(middle, seed ^ bytes.len() as u64)))
        }
        _ => hash(bytes, seed),
    }
}

const fn mix(state: u64, word: u64) -> u64 {
    let product = (state ^ word) as u128 * 0xd6e8_feb8_6659_fd93_u128;
    (product as u64) ^ (product >> 64) as u64 ^ word.rotate_left(29)
}

/// Places by hash.
///
/// A run of collisions is looked through up to a bound: beyond it places are left out, so that keys
/// made to collide cost no more than others.
#[derive(Clone, Debug, Default)]
pub(crate) struct HashIndex {
    slots: Vec<u32>,
    hashes: Vec<u64>,
    /// Whether a hash was there twice.
    pub(crate) repeats: bool,
}

impl HashIndex {
    /// Indexes hashes by their position; of equal ones the first.
    pub(crate) fn fill(&mut self, hashes: impl Iterator<Item = u64>) {
        self.hashes.clear();
        self.hashes.extend(hashes);
        self.repeats = false;
        let len = (self.hashes.len() * 2).next_power_of_two();
        self.slots.clear();
        self.slots.resize(len, EMPTY);
        for at in 0..self.hashes.len() {
            let hash = self.hashes[at];
            match self.probe(hash) {
                Probe::Found(_) => self.repeats = true,
                Probe::Free(slot) => self.slots[slot] = at as u32,
                Probe::Lost => {}
            }
        }
    }

    pub(crate) fn find(&self, hash: u64) -> Option<u32> {
        match self.probe(hash) {
            Probe::Found(at) => Some(at),
            Probe::Free(_) | Probe::Lost => None,
        }
    }

    pub(crate) fn hashes(&self) -> &[u64] {
        &self.hashes
    }

    pub(crate) const fn memory(&self) -> usize {
        self.slots.capacity() * size_of::<u32>() + self.hashes.capacity() * size_of::<u64>()
    }

    fn probe(&self, hash: u64) -> Probe {
        let mask = self.slots.len() - 1;
        for step in 0..PROBES_MAX {
            let slot = (hash as usize).wrapping_add(step) & mask;
            match self.slots[slot] {
                EMPTY => return Probe::Free(slot),
                at if self.hashes[at as usize] == hash => return Probe::Found(at),
                _ => {}
            }
        }
        Probe::Lost
    }
}

enum Probe {
    Found(u32),
    Free(usize),
    Lost,
}

const BLOCK_MIN: usize = 32;
const BLOCK_MAX: usize = 4096;
const WORDS: usize = 32;
const SAMPLED_MIN: usize = 128;
const EMPTY: u32 = u32::MAX;
const PROBES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_prefix_is_exact_at_any_length() {
        let a: Vec<u8> = (0..10_000u32).map(|at| (at * 7) as u8).collect();
        for len in (0..200).chain([4_000, 4_095, 4_096, 4_097, 9_999]) {
            let mut b = a.clone();
            b[len] ^= 1;
            assert_eq!(common_prefix(&a, &b), len);
            assert_eq!(common_prefix(&a, &a[..len]), len);
        }
    }

    #[test]
    fn hashes_are_found_where_they_stand() {
        let mut index = HashIndex::default();
        index.fill([5, 9, 5, 1 << 40].into_iter());
        assert!(index.repeats);
        assert_eq!(
            (index.find(5), index.find(9), index.find(1 << 40)),
            (Some(0), Some(1), Some(3))
        );
        assert_eq!(index.find(6), None);
    }

    #[test]
    fn hashes_made_to_fall_into_one_place_are_left_out_beyond_a_bound() {
        let mut index = HashIndex::default();
        index.fill((0..1_000).map(|at| at << 40));
        for at in 0..1_000u32 {
            let found = index.find(u64::from(at) << 40);
            assert_eq!(found, (at < PROBES_MAX as u32).then_some(at));
        }
    }
}
