use core::time::Duration;

/// A small deterministic source of numbers for jitter and phases (SplitMix64, Steele et al. 2014).
///
/// Not for secrets: whoever knows the seed knows every number. The seed is given at construction,
/// so that a run can be replayed.
#[derive(Clone, Debug)]
pub struct Seed(u64);

impl Seed {
    /// A source that starts from `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number, uniform over all of `u64`.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A duration drawn uniformly from zero up to, not including, `limit`.
    pub fn below(&mut self, limit: Duration) -> Duration {
        let nanos = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        let scaled = (u128::from(self.next_u64()) * u128::from(nanos)) >> 64;
        Duration::from_nanos(u64::try_from(scaled).unwrap_or(u64::MAX))
    }

    /// An independent source derived from this one, so that each owner has its own sequence.
    pub fn split(&mut self) -> Self {
        Self(self.next_u64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_match_the_published_sequence() {
        // SplitMix64 reference implementation (Vigna, prng.di.unimi.it), seed 0.
        let mut seed = Seed::new(0);
        assert_eq!(seed.next_u64(), 0xe220_a839_7b1d_cdaf);
        assert_eq!(seed.next_u64(), 0x6e78_9e6a_a1b9_65f4);
    }

    #[test]
    fn durations_stay_below_the_limit() {
        let mut seed = Seed::new(7);
        let limit = Duration::from_millis(10);
        for _ in 0..1_000 {
            assert!(seed.below(limit) < limit);
        }
        assert_eq!(seed.below(Duration::ZERO), Duration::ZERO);
    }
}
