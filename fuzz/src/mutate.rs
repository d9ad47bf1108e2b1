//! Byte mutations for a driver that sees no coverage.

use crate::LEN_MAX;

/// Random numbers from a seed (SplitMix64): the same seed gives the same inputs.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The numbers of this seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 where that is 0.
    pub const fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { (self.next_u64() % end as u64) as usize }
    }

    fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> Option<&'a T> {
        of.get(self.below(of.len())).copied()
    }

    /// A range within `len`, mostly a short one.
    fn range(&mut self, len: usize) -> core::ops::Range<usize> {
        let start = self.below(len + 1);
        let reach = if self.below(4) == 0 { len } else { 16 };
        start..(start + self.below(reach + 1)).min(len)
    }
}

/// Makes `input` another: one of the seeds, changed in one to eight places.
pub fn mutate(rng: &mut Rng, seeds: &[Vec<u8>], words: &[&[u8]], input: &mut Vec<u8>) {
    input.clear();
    if let Some(seed) = seeds.get(rng.below(seeds.len())) {
        input.extend(seed);
    }
    for _ in 0..=rng.below(8) {
        step(rng, seeds, words, input);
    }
    input.truncate(LEN_MAX);
}

fn step(rng: &mut Rng, seeds: &[Vec<u8>], words: &[&[u8]], input: &mut Vec<u8>) {
    let at = rng.below(input.len());
    match rng.below(12) {
        0 => change(input, at, |byte| byte ^ 1 << (rng.next_u64() % 8)),
        1 => change(input, at, |_| rng.next_u64() as u8),
        2 => change(input, at, |byte| byte.wrapping_add(rng.below(17) as u8).wrapping_sub(8)),
        3 => insert(input, at, &[rng.next_u64() as u8]),
        4..=6 => {
            let word = rng.pick(words).unwrap_or_default();
            if rng.below(3) == 0 {
                let end = (at + word.len()).min(input.len());
                input.splice(at..end, word.iter().copied());
            } else {
                insert(input, at, word);
            }
        }
        7 => drop(input.drain(rng.range(input.len()))),
        8 => {
            let piece = input[rng.range(input.len())].to_vec();
            insert(input, at, &piece);
        }
        9 => {
            let piece = input[rng.range(input.len())].to_vec();
            for _ in 0..rng.below(20) {
                insert(input, at, &piece);
            }
        }
        10 => input.truncate(at),
        _ => {
            let Some(other) = seeds.get(rng.below(seeds.len())) else { return };
            let piece = other[rng.range(other.len())].to_vec();
            insert(input, at, &piece);
        }
    }
}

fn change(input: &mut [u8], at: usize, to: impl FnOnce(u8) -> u8) {
    if let Some(byte) = input.get_mut(at) {
        *byte = to(*byte);
    }
}

fn insert(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    if input.len() + piece.len() <= LEN_MAX {
        input.splice(at..at, piece.iter().copied());
    }
}
