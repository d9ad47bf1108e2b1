use core::time::Duration;

use crate::Seed;

/// The delay before the next attempt: doubling from a least to a greatest value, jittered.
///
/// The jitter is full (Brooker, *Exponential Backoff And Jitter*, AWS Architecture Blog, 2015): each
/// delay is drawn from all of its step, so that many clients of one restarted server spread out as far
/// as can be. None is below a tenth of the least step, nor above the greatest.
#[derive(Clone, Debug)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
    seed: Seed,
}

impl Backoff {
    /// A back-off whose steps run from `min` to `max`; a `max` below `min` is taken as `min`.
    pub fn new(min: Duration, max: Duration, seed: Seed) -> Self {
        Self { min, max: max.max(min), failures: 0, seed }
    }

    /// Counts a failure and gives the delay to wait after it.
    pub fn on_failure(&mut self) -> Duration {
        let factor = 1u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        let step = self.min.saturating_mul(factor).min(self.max);
        self.failures = self.failures.saturating_add(1).min(32);
        step - self.seed.below(step - self.min / 10)
    }

    /// Forgets the failures: the next delay is of the first step again.
    pub fn on_success(&mut self) {
        self.failures = 0;
    }

    /// Changes the bounds and keeps the count of failures.
    pub fn set_bounds(&mut self, min: Duration, max: Duration) {
        self.min = min;
        self.max = max.max(min);
    }

    /// How many failures came in a row, counted up to 32.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn backoff() -> Backoff {
        Backoff::new(Duration::from_secs(1), Duration::from_secs(10), Seed::new(3))
    }

    #[test]
    fn steps_double_up_to_the_greatest() {
        let mut backoff = backoff();
        for step in [1, 2, 4, 8, 10, 10, 10] {
            let delay = backoff.on_failure();
            let step = Duration::from_secs(step);
            let least = Duration::from_millis(100);
            assert!(delay > least && delay <= step, "{delay:?} outside the step {step:?}");
        }
    }

    #[test]
    fn delays_spread_over_all_of_the_step() {
        let mut backoff = backoff();
        let delays: Vec<_> = (0..1_000).map(|_| backoff.on_failure()).skip(10).collect();
        for tenth in 0..10 {
            let within = |delay: &&Duration| delay.as_secs() == tenth;
            let count = delays.iter().filter(within).count();
            assert!((60..140).contains(&count), "{count} of 990 in second {tenth}");
        }
    }

    #[test]
    fn success_starts_over() {
        let mut backoff = backoff();
        for _ in 0..100 {
            backoff.on_failure();
        }
        backoff.on_success();
        assert!(backoff.on_failure() <= Duration::from_secs(1));
    }

    #[test]
    fn a_thousand_failures_neither_overflow_nor_pass_the_greatest() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::MAX, Seed::new(1));
        for _ in 0..1_000 {
            backoff.on_failure();
        }
        let mut backoff = self::backoff();
        for _ in 0..1_000 {
            assert!(backoff.on_failure() <= Duration::from_secs(10));
        }
    }
}
