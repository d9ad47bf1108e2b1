use std::sync::Arc;

use jiff::Timestamp;
use pointstream_point::{Cur, Fault, PointKey, Status, Tags};

/// What one step of a connector changed about its points, for everyone who follows them.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Changes {
    /// The connector's shard.
    pub shard: u32,
    /// When.
    pub wall: Timestamp,
    /// Each changed point once, with all that it shows now.
    pub points: Vec<(PointKey, Cur)>,
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
        /// Whether the device took the value.
        result: Result<(), Fault>,
    },
}
