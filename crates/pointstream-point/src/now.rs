use jiff::Timestamp;
use pointstream_time::Instant;

/// The present, as told to a core: a monotonic instant for delays and the wall clock for display.
///
/// The two are separate since the wall clock may jump; no delay is ever computed from it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a pair, made by every shell and every test")]
pub struct Now {
    /// The monotonic instant.
    pub at: Instant,
    /// The wall-clock time, UTC.
    pub wall: Timestamp,
}

impl Now {
    /// A present whose wall clock stands as far after the UNIX epoch as `at` after its origin, for
    /// tests and simulations.
    pub fn simulated(at: Instant) -> Self {
        let elapsed = at.since_origin();
        let seconds = i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX);
        let nanos = i32::try_from(elapsed.subsec_nanos()).unwrap_or(0);
        Self { at, wall: Timestamp::new(seconds, nanos).unwrap_or(Timestamp::MAX) }
    }
}
