use core::time::Duration;

/// How the points that share it are polled, when they go stale and how they are written.
///
/// One tuning is shared by any number of points and connectors; the first reference found (point,
/// connector, gateway) wins as a whole. Defaults and floors are those of Haxall's `connTuning`.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Tuning {
    /// The period at which watched points are read. Default 10 s, floor 10 ms.
    pub poll_time: Duration,
    /// From where a poll counts to the next one. Default [`Schedule::Grid`].
    pub poll_schedule: Schedule,
    /// The age of the last good reading at which a point becomes `stale`. Default 5 min, floor
    /// 10 ms.
    pub stale_time: Duration,
    /// The least time between two writes to a device; a value that comes sooner waits, and only the
    /// newest one of those that wait is written. Default none, floor 10 ms.
    pub write_min_time: Option<Duration>,
    /// The time after which the last value is written again. Default none, floor 10 ms.
    pub write_max_time: Option<Duration>,
    /// Whether the last value is written again each time that the connector opens. Default no.
    pub write_on_open: bool,
    /// Whether the value that a point has at start is written. Default no.
    pub write_on_start: bool,
}

/// From where a poll counts to the next one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Schedule {
    /// From when it was due: polls stand on a fixed grid, and one whose time has passed is left
    /// out and counted.
    #[default]
    Grid,
    /// From when it ended: a device that is slow is asked less often.
    Delay,
}

impl Schedule {
    /// The name in configuration: `grid` or `delay`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Grid => "grid",
            Self::Delay => "delay",
        }
    }
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

    /// This tuning with a schedule of polls.
    #[must_use]
    pub const fn with_poll_schedule(mut self, schedule: Schedule) -> Self {
        self.poll_schedule = schedule;
        self
    }

    /// This tuning with a stale time.
    #[must_use]
    pub fn with_stale_time(mut self, stale_time: Duration) -> Self {
        self.stale_time = stale_time.max(Self::FLOOR);
        self
    }

    /// This tuning with a least time between two writes.
    #[must_use]
    pub fn with_write_min_time(mut self, write_min_time: Duration) -> Self {
        self.write_min_time = Some(write_min_time.max(Self::FLOOR));
        self
    }

    /// This tuning with a time after which the last value is written again.
    #[must_use]
    pub fn with_write_max_time(mut self, write_max_time: Duration) -> Self {
        self.write_max_time = Some(write_max_time.max(Self::FLOOR));
        self
    }

    /// This tuning with or without a write each time that the connector opens.
    #[must_use]
    pub const fn with_write_on_open(mut self, write_on_open: bool) -> Self {
        self.write_on_open = write_on_open;
        self
    }

    /// This tuning with or without a write of the value that a point has at start.
    #[must_use]
    pub const fn with_write_on_start(mut self, write_on_start: bool) -> Self {
        self.write_on_start = write_on_start;
        self
    }
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            poll_time: Duration::from_secs(10),
            poll_schedule: Schedule::Grid,
            stale_time: Duration::from_secs(5 * 60),
            write_min_time: None,
            write_max_time: None,
            write_on_open: false,
            write_on_start: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_below_the_floor_are_raised_to_it() {
        let tiny = Duration::from_millis(9);
        let tuning = Tuning::default()
            .with_poll_time(tiny)
            .with_stale_time(tiny)
            .with_write_min_time(tiny)
            .with_write_max_time(Duration::ZERO);
        assert_eq!((tuning.poll_time, tuning.stale_time), (Tuning::FLOOR, Tuning::FLOOR));
        let floor = Some(Tuning::FLOOR);
        assert_eq!((tuning.write_min_time, tuning.write_max_time), (floor, floor));
        let above = Duration::from_millis(11);
        assert_eq!(tuning.with_write_min_time(above).write_min_time, Some(above));
    }
}
