use core::time::Duration;
use std::sync::Arc;

use pointstream_point::{EnumDefs, FacetFaults, Id, PointKey, PointSpec, Tuning};
use pointstream_time::Instant;

/// What the framework needs to know about a connector, whatever its kind.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ConnConfig {
    /// The name of the connector.
    pub id: Id,
    /// Its shard: the first part of its points' keys.
    pub shard: u32,
    /// Switched off: closed, and all its points `disabled`.
    pub disabled: bool,
    /// The longest time from a failure to the next try to open. The first retries come sooner:
    /// after about a second, then doubling. Default 10 s, floor 1 s.
    pub open_retry: Duration,
    /// How long the session stays open when nobody watches any more. Default 30 s.
    pub linger: Duration,
    /// The time limit of one operation of the driver, beyond the driver's own limits. An operation
    /// that exceeds it is cancelled and the session closed. Default 1 min, floor 1 s.
    pub op_timeout: Duration,
    /// The period at which the device is asked for a sign of life, for which the session is opened
    /// if it is not open. Default none, floor 1 s.
    pub ping_freq: Option<Duration>,
    /// The period at which a driver of the manual kind is asked to poll. Default the driver's own,
    /// floor 100 ms.
    pub poll_freq: Option<Duration>,
    /// When the gateway is in its steady state: before, nothing is written again by
    /// `write_max_time`, and nothing is pinged by `ping_freq`. Default the origin.
    pub steady_at: Instant,
    /// The enum definitions that converts refer to.
    pub enums: Arc<EnumDefs>,
    /// The seed of jitter and phases.
    pub seed: u64,
}

impl ConnConfig {
    /// The configuration of the connector `id` with the default of everything.
    pub fn new(id: Id, shard: u32) -> Self {
        Self {
            id,
            shard,
            disabled: false,
            poll_freq: None,
            steady_at: Instant::ORIGIN,
            enums: Arc::default(),
            open_retry: Duration::from_secs(10),
            linger: Duration::from_secs(30),
            op_timeout: Duration::from_secs(60),
            ping_freq: None,
            seed: 0,
        }
    }

    /// The least of the durations that have a floor; a smaller one is raised to it.
    pub const FLOOR: Duration = Duration::from_secs(1);

    /// The least period of polls of the manual kind.
    pub const POLL_FLOOR: Duration = Duration::from_millis(100);

    pub(crate) fn floored(mut self) -> Self {
        self.open_retry = self.open_retry.max(Self::FLOOR);
        self.op_timeout = self.op_timeout.max(Self::FLOOR);
        self.ping_freq = self.ping_freq.map(|freq| freq.max(Self::FLOOR));
        self.poll_freq = self.poll_freq.map(|freq| freq.max(Self::POLL_FLOOR));
        self
    }
}

/// A tuning with its name. Points whose tunings have one name are polled as one bucket.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NamedTuning {
    /// The name; `default` for the one that is used where none is named.
    pub id: Id,
    /// The options.
    pub tuning: Tuning,
}

impl NamedTuning {
    /// A tuning named `id`.
    pub const fn new(id: Id, tuning: Tuning) -> Self {
        Self { id, tuning }
    }
}

/// A point as a connector gets it: its key, what is configured, and its tuning, resolved.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PointDef {
    /// The key, which the directory of points gave.
    pub key: PointKey,
    /// The configuration.
    pub spec: Arc<PointSpec>,
    /// The tuning.
    pub tuning: Arc<NamedTuning>,
    /// What whoever made the configuration found wrong with it.
    pub faults: FacetFaults,
}

impl PointDef {
    /// A point with its tuning.
    pub const fn new(key: PointKey, spec: Arc<PointSpec>, tuning: Arc<NamedTuning>) -> Self {
        Self { key, spec, tuning, faults: FacetFaults::NONE }
    }

    /// This point with faults of its configuration that are known already.
    #[must_use]
    pub fn with_faults(mut self, faults: FacetFaults) -> Self {
        self.faults = faults;
        self
    }
}
