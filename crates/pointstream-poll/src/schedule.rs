use core::time::Duration;

use http::{HeaderMap, header};
use jiff::fmt::rfc2822;
use pointstream_time::{Instant, Seed};

/// When the next poll is due.
#[derive(Debug)]
pub(crate) struct Schedule {
    period: Duration,
    seed: Seed,
    /// Failed polls in a row.
    failures: u32,
    /// The begin of the last poll.
    began: Option<Instant>,
    /// Before this no poll begins, whoever subscribes.
    not_before: Instant,
}

impl Schedule {
    pub(crate) const fn new(period: Duration, seed: Seed) -> Self {
        Self { period, seed, failures: 0, began: None, not_before: Instant::ORIGIN }
    }

    pub(crate) const fn due(&self) -> Instant {
        self.not_before
    }

    pub(crate) const fn on_begin(&mut self, now: Instant) {
        self.began = Some(now);
    }

    /// The next poll begins a period after the last one began; a begin that has passed meanwhile is
    /// left out.
    pub(crate) fn on_success(&mut self, now: Instant) {
        self.failures = 0;
        let began = self.began.unwrap_or(now);
        let period = self.period.as_nanos().max(1);
        let periods = now.since(began).as_nanos().div_ceil(period).max(1);
        let wait = u64::try_from(periods * period).unwrap_or(u64::MAX);
        self.not_before = began + Duration::from_nanos(wait);
    }

    /// The wait doubles with each failure, up to a minute or the period if that is longer, a fifth
    /// less or more; and is no shorter than what the source asks for.
    pub(crate) fn on_failure(&mut self, now: Instant, retry_after: Option<Duration>) {
        let factor = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_add(1).min(31);
        let max = BACKOFF_MAX.max(self.period);
        let wait = self.period.saturating_mul(factor).min(max);
        let wait = wait - wait / 5 + self.seed.below(wait * 2 / 5);
        self.not_before = now + wait.max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX));
    }
}

/// How long the source asks to be left alone (RFC 9110, section 10.2.3): seconds, or a date beside
/// that of the answer itself, so that no clock of ours is needed.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(text.parse().map_or(RETRY_AFTER_MAX, Duration::from_secs));
    }
    let date = headers.get(header::DATE)?.to_str().ok()?;
    let (until, from) = (rfc2822::parse(text).ok()?, rfc2822::parse(date).ok()?);
    Duration::try_from(until.timestamp().duration_since(from.timestamp())).ok()
}

/// The longest wait after failures, unless the period is longer.
const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// The longest wait that a source may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Instant {
        Instant::from_origin(Duration::from_millis(millis))
    }

    #[test]
    fn polls_stand_on_a_grid_and_a_begin_that_passed_is_left_out() {
        let mut schedule = Schedule::new(Duration::from_secs(2), Seed::new(1));
        assert_eq!(schedule.due(), at(0));
        for (begin, end, next) in [
            (100, 150, 2_100),
            (2_100, 4_100, 4_100),
            (4_100, 8_200, 10_100),
            (10_100, 10_100, 12_100),
        ] {
            schedule.on_begin(at(begin));
            schedule.on_success(at(end));
            assert_eq!(schedule.due(), at(next), "{begin}");
        }
    }

    #[test]
    fn failures_double_the_wait_up_to_a_minute() {
        let mut schedule = Schedule::new(Duration::from_secs(2), Seed::new(1));
        for step in [2, 4, 8, 16, 32, 60, 60, 60] {
            schedule.on_failure(at(0), None);
            let wait = schedule.due().since(at(0)).as_secs_f64();
            let step = f64::from(step);
            assert!(wait >= step * 0.8 && wait <= step * 1.2, "{wait} of {step}");
        }
        schedule.on_begin(at(0));
        schedule.on_success(at(0));
        schedule.on_failure(at(0), None);
        assert!(schedule.due() <= at(2_400));
        let mut slow = Schedule::new(Duration::from_secs(3_600), Seed::new(1));
        for _ in 0..100 {
            slow.on_failure(at(0), None);
            assert!(slow.due() >= at(2_880_000) && slow.due() <= at(4_320_000));
        }
    }

    #[test]
    fn a_source_is_left_alone_as_long_as_it_asks_for() {
        let asks = |retry: &'static str, date: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, http::HeaderValue::from_static(retry));
            headers.insert(header::DATE, http::HeaderValue::from_static(date));
            retry_after(&headers)
        };
        let date = "Fri, 31 Dec 1999 23:59:29 GMT";
        assert_eq!(asks("120", date), Some(Duration::from_secs(120)));
        assert_eq!(asks("Fri, 31 Dec 1999 23:59:59 GMT", date), Some(Duration::from_secs(30)));
        assert_eq!(asks("Fri, 31 Dec 1999 23:59:00 GMT", date), None);
        assert_eq!(asks("99999999999999999999999", date), Some(RETRY_AFTER_MAX));
        for (retry, date) in [("", date), ("-1", date), ("soon", date), ("12 s", "x")] {
            assert_eq!(asks(retry, date), None, "{retry}");
        }
        let mut schedule = Schedule::new(Duration::from_secs(1), Seed::new(1));
        schedule.on_failure(at(0), Some(Duration::from_secs(90)));
        assert_eq!(schedule.due(), at(90_000));
        schedule.on_failure(at(0), Some(Duration::from_secs(1_000_000)));
        assert_eq!(schedule.due(), at(3_600_000));
    }
}
