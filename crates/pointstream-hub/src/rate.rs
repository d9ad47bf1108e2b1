use std::time::Duration;

use pointstream_time::Instant;

use crate::Error;

/// How many publications a topic takes in a minute: a bucket that holds so many and fills evenly, so
/// that no minute, wherever it begins, has more than twice as many.
#[derive(Debug)]
pub(crate) struct Rate {
    limit: u32,
    /// When the bucket is full.
    full_at: Instant,
}

/// How many publications more a topic takes at present.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Allowance {
    /// The most in a minute.
    pub limit: u32,
    /// What is left of them.
    pub remaining: u32,
}

impl Rate {
    pub(crate) fn new(limit: u32) -> Self {
        Self { limit: limit.max(1), full_at: Instant::ORIGIN }
    }

    /// Takes one.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), Error> {
        let each = MINUTE / self.limit;
        let full_at = self.full_at.max(now) + each;
        let over = full_at.since(now + MINUTE);
        if !over.is_zero() {
            return Err(Error::RateLimit { retry_after: over });
        }
        self.full_at = full_at;
        Ok(())
    }

    pub(crate) fn allowance(&self, now: Instant) -> Allowance {
        let each = MINUTE / self.limit;
        let used = self.full_at.since(now).as_nanos().div_ceil(each.as_nanos().max(1));
        let used = u32::try_from(used).unwrap_or(u32::MAX);
        Allowance { limit: self.limit, remaining: self.limit.saturating_sub(used) }
    }
}

const MINUTE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_origin(Duration::from_millis(millis))
    }

    #[test]
    fn as_many_as_the_limit_are_taken_and_then_one_for_each_share_of_a_minute() {
        for limit in [1, 3, 7, 60, 1_000] {
            let mut rate = Rate::new(limit);
            for taken in 0..limit {
                assert_eq!(rate.allowance(at(0)), Allowance { limit, remaining: limit - taken });
                assert_eq!(rate.take(at(0)), Ok(()), "{taken} of {limit}");
            }
            assert_eq!(rate.allowance(at(0)).remaining, 0);
            let Err(Error::RateLimit { retry_after }) = rate.take(at(0)) else { panic!("{limit}") };
            assert!(retry_after <= MINUTE / limit);
            let then = at(0) + retry_after;
            assert!(rate.take(then + Duration::from_micros(1)).is_ok(), "{limit}");
            assert!(rate.take(then + Duration::from_micros(1)).is_err(), "{limit}");
            assert_eq!(rate.allowance(at(300_000)).remaining, limit);
        }
    }
}
