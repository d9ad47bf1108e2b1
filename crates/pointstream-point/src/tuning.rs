use core::time::Duration;

/// How the points that share it are polled and when they go stale.
///
/// One tuning is shared by any number of points and connectors; the first reference found (point,
/// connector, gateway) wins as a whole. Defaults and floors are those of Haxall's `connTuning`.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Tuning {
    /// The period at which watched points are read. Default 10 s, floor 10 ms.
    pub poll_time: Duration,
    /// The age of the last good reading at which a point becomes `stale`. Default 5 min, floor
    /// 10 ms.
    pub stale_time: Duration,
}

impl Tuning {
    /// The least value of each duration; a smaller one is raised to it.
    pub const FLOOR: Duration = Duration::from_millis(10);

    /// This tuning with a poll time.
    #[must_use]
    pub fn with_poll_time(mut self, poll_time: Duration) -> Self {
        self.poll_time = poll_time.max(Self::FLOOR);
        self
    }

    /// This tuning with a stale time.
    #[must_use]
    pub fn with_stale_time(mut self, stale_time: Duration) -> Self {
        self.stale_time = stale_time.max(Self::FLOOR);
        self
    }
}

impl Default for Tuning {
    fn default() -> Self {
        Self { poll_time: Duration::from_secs(10), stale_time: Duration::from_secs(5 * 60) }
    }
}
