use core::time::Duration;
use std::sync::Arc;

use jiff::Timestamp;
use pointstream_point::{Cur, Fault, His, HisItem, Id, Learned, PointKey, Status, Tags, Write};

use crate::samples::Samples;

/// What one step of a connector changed about its points, for everyone who follows them.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Changes {
    /// The connector's shard.
    pub shard: u32,
    /// When.
    pub wall: Timestamp,
    /// Each point whose current value changed, once, with all that it shows now.
    pub points: Vec<(PointKey, Cur)>,
    /// The same for points whose writes show something else.
    pub writes: Vec<(PointKey, Write)>,
    /// The same for points whose history shows something else.
    pub his: Vec<(PointKey, His)>,
    /// What devices told unasked of the past of points, converted, in the order in which it came; or
    /// why a value of the past is none.
    pub past: Vec<(PointKey, Result<HisItem, Fault>)>,
}

/// Whether a connector's session is open.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum ConnState {
    /// No session.
    #[default]
    Closed,
    /// The session is being closed.
    Closing,
    /// The session is up and the device gave a sign of life.
    Open,
    /// The session is being opened, the first sign of life included.
    Opening,
}

impl ConnState {
    /// The name, as in Haxall's `connState`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Closing => "closing",
            Self::Open => "open",
            Self::Opening => "opening",
        }
    }
}

/// What a connector shows of itself.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ConnView {
    /// Whether its session is open.
    pub state: ConnState,
    /// `unknown`, `ok`, `down`, `fault` or `disabled`.
    pub status: Status,
    /// Why the status is not ok.
    pub err: Option<Arc<str>>,
    /// What the device said about itself at the last ping.
    pub meta: Tags,
}

/// Counters of polling over all buckets of a connector.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct PollStats {
    /// Buckets read from their first to their last request.
    pub scans: u64,
    /// Requests sent.
    pub requests: u64,
    /// Readings received for points, good and bad.
    pub readings: u64,
    /// Times at which a bucket was due while its last scan was still running.
    pub overruns: u64,
    /// Scans that were left out because of that.
    pub skipped: u64,
    /// Times the session was opened.
    pub opens: u64,
    /// Times the session was lost or could not be opened.
    pub failures: u64,
}

/// How the polls of one tuning went.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BucketView {
    /// The tuning.
    pub tuning: Id,
    /// Its period.
    pub poll_time: Duration,
    /// How many points use it.
    pub points: usize,
    /// How many of them are polled at present.
    pub polled: usize,
    /// What was counted.
    pub times: PollTimes,
}

impl BucketView {
    pub(crate) const fn new(
        tuning: Id,
        poll_time: Duration,
        (points, polled): (usize, usize),
        times: PollTimes,
    ) -> Self {
        Self { tuning, poll_time, points, polled, times }
    }
}

/// Counters of the scans of a bucket.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct PollTimes {
    /// Scans that ran to their end.
    pub scans: u64,
    /// Times at which one was due while the last one still ran.
    pub overruns: u64,
    /// Scans left out because of that.
    pub skipped: u64,
    /// How long the last one took.
    pub last: Duration,
    /// How long all took.
    pub total: Duration,
    /// How many took no longer than each of [`PollTimes::BOUNDS`], each counted once, at the least
    /// bound that holds; longer ones are in none.
    pub histogram: [u64; Self::BOUNDS.len()],
}

impl PollTimes {
    /// The bounds of the histogram, in milliseconds.
    pub const BOUNDS: [u64; 10] = [1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000];

    pub(crate) fn record(&mut self, took: Duration) {
        self.scans += 1;
        self.last = took;
        self.total = self.total.saturating_add(took);
        let within = |bound: &u64| took <= Duration::from_millis(*bound);
        if let Some(at) = Self::BOUNDS.iter().position(within) {
            self.histogram[at] += 1;
        }
    }
}

/// What became of a write that was accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum WriteDone {
    /// The device took the value.
    Taken,
    /// It waits for the least time between two writes; the newest value that waits is written then.
    Waiting,
    /// A later value came into effect before the device saw this one, which it does not need any
    /// more.
    Superseded,
    /// It was the value that a point has at start, and the tuning does not want it written.
    Skipped,
}

/// What a connector tells its surroundings besides the changes of its points.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The state or the status changed.
    Conn(ConnView),
    /// The write that was marked with this token ended.
    Written {
        /// The mark.
        token: u64,
        /// What became of it.
        result: Result<WriteDone, Fault>,
    },
    /// The reading of a history that was marked with this token ended.
    History {
        /// The mark.
        token: u64,
        /// What the device has.
        result: Result<Samples, Fault>,
    },
    /// The look into the device's tree that was marked with this token ended.
    Learned {
        /// The mark.
        token: u64,
        /// What is there.
        result: Result<Learned, Fault>,
    },
    /// The reading out of turn that was marked with this token ended: each of its points has a
    /// reading, good or not, or the session was lost.
    Synced {
        /// The mark.
        token: u64,
        /// Whether there was a session.
        result: Result<(), Fault>,
    },
}
