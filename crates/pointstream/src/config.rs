use core::time::Duration;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use pointstream_conn::ConnConfig;
use pointstream_point::{EnumDefs, Id, PointSpec, Tuning};

mod csv_points;
mod edit;
mod file;
mod locate;
mod problem;
mod raw;
mod source;
#[cfg(feature = "mqtt")]
mod sparkplug;
mod watch;

pub use edit::{EditError, NewPoint};
pub use problem::{Problem, Problems};
#[cfg(feature = "poll")]
pub use source::SourceConfig;
#[cfg(feature = "mqtt")]
pub use sparkplug::SparkplugNode;
pub use watch::ConfigFile;

/// What a gateway is to be: its connectors with their points, its tunings, topics and listener.
///
/// Made in code, or read from a TOML file by [`Config::read`]. A gateway compares it with what it
/// is and changes only the difference.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Config {
    /// The address to serve HTTP on, `127.0.0.1:8080` if none is given.
    pub listen: Option<String>,
    /// Host names, besides the listen address itself, under which browsers may come.
    pub allowed_hosts: Vec<String>,
    /// Origins of other sites whose pages may use this gateway, as `https://app.example`.
    pub allowed_origins: Vec<String>,
    /// Where the access token of a listener that is not loopback is kept. By default
    /// `pointstream.token` beside the configuration file.
    pub token_file: Option<PathBuf>,
    /// The tunings by name. `default` is used where none is named.
    pub tunings: BTreeMap<Id, Tuning>,
    /// The connectors, in the order of the file.
    pub connectors: Vec<ConnectorConfig>,
    /// The points that belong to no connector: they are written and read here alone.
    pub points: Vec<Arc<PointSpec>>,
    /// The enum definitions that converts refer to.
    pub enums: Arc<EnumDefs>,
    /// The file in which is kept what is to last across a restart: the levels 1, 8 and 17 of
    /// writable points. Without one nothing is kept.
    pub store: Option<PathBuf>,
    /// How long past values are kept in the store.
    pub history: HistoryConfig,
    /// How long after its start a gateway is in its steady state; until then nothing is written
    /// by itself. Default 10 s.
    pub steady_time: Option<Duration>,
    /// The topics. Without any there is one, `plant`, with all points.
    pub topics: Vec<TopicConfig>,
    /// What is published to brokers.
    pub publish: Vec<PublishConfig>,
    /// The file that it was read from, if it was.
    pub path: Option<PathBuf>,
    /// The topics that are polled from HTTP APIs.
    #[cfg(feature = "poll")]
    pub sources: Vec<SourceConfig>,
    /// Brokers on which points are told as an edge node of Sparkplug B.
    #[cfg(feature = "mqtt")]
    pub sparkplug: Vec<SparkplugNode>,
    /// Where it was read from.
    source: Option<Arc<Source>>,
}

/// The text that a configuration was read from, to find the places of problems that show later.
struct Source {
    name: String,
    text: String,
    /// The files besides, by the connectors that name them.
    points: Vec<PathBuf>,
}

impl core::fmt::Debug for Source {
    /// Without the text, which may hold secrets.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Source").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The tag by which a point that stands under several connectors says which of them it prefers: the
/// kind of one of them.
pub(crate) const DUP_PREF: &str = "connDupPref";

/// How much of past values is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct HistoryConfig {
    /// How many days; for ever if none is given.
    pub keep_days: Option<u32>,
    /// How many bytes of items at most, 4 GiB if none is given; the oldest go.
    pub bytes_max: u64,
}

impl Default for HistoryConfig {
    fn default() -> Self {
        Self { keep_days: None, bytes_max: 4 << 30 }
    }
}

/// A connector and its points.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ConnectorConfig {
    /// Its name.
    pub id: Id,
    /// Its name for people.
    pub dis: Option<String>,
    /// The kind of driver, as registered.
    pub kind: String,
    /// Switched off.
    pub disabled: bool,
    /// The tuning of its points that name none of their own.
    pub tuning: Option<Id>,
    /// See [`ConnConfig::open_retry`].
    pub open_retry: Duration,
    /// See [`ConnConfig::linger`].
    pub linger: Duration,
    /// See [`ConnConfig::op_timeout`].
    pub op_timeout: Duration,
    /// See [`ConnConfig::ping_freq`].
    pub ping_freq: Option<Duration>,
    /// See [`ConnConfig::poll_freq`].
    pub poll_freq: Option<Duration>,
    /// What the driver takes, by its own names.
    pub driver: serde_json::Map<String, serde_json::Value>,
    /// Its points.
    pub points: Vec<Arc<PointSpec>>,
}

/// A topic made of points.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TopicConfig {
    /// Its name.
    pub id: Id,
    /// Which points: a filter over their tags (`connector == "ahu"`, `temp and air`). All if none.
    pub filter: Option<String>,
    /// When its points are polled.
    pub watch: WatchMode,
}

/// What of the gateway is published to a broker.
///
/// A topic `T` appears as `PREFIX/T`, retained, `{"revision":…,"document":…}`, and its changes as
/// `PREFIX/T/patch`, `{"revision":…,"patch":[…]}`, with the same operations that its subscribers get. A
/// snapshot follows each change within [`snapshot_time`](Self::snapshot_time). A row `R` of a topic of points appears as
/// `PREFIX/points/R`, retained.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PublishConfig {
    /// Its name.
    pub id: Id,
    /// The kind of broker: `mqtt`.
    pub kind: String,
    /// What stands in front of all names at the broker.
    pub prefix: String,
    /// Topics that are published as documents and patches.
    pub topics: Vec<Id>,
    /// Topics of points whose rows are published one by one.
    pub points: Vec<Id>,
    /// How long after a change a snapshot follows. Default 5 s.
    pub snapshot_time: Duration,
    /// The options of the kind: for `mqtt` those of a connector of that kind.
    pub options: serde_json::Map<String, serde_json::Value>,
}

impl PublishConfig {
    /// Nothing yet, to be published under a prefix.
    pub fn new(id: Id, kind: impl Into<String>, prefix: impl Into<String>) -> Self {
        Self {
            id,
            kind: kind.into(),
            prefix: prefix.into(),
            topics: Vec::new(),
            points: Vec::new(),
            snapshot_time: Duration::from_secs(5),
            options: serde_json::Map::new(),
        }
    }
}

/// When the points of a topic are polled.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum WatchMode {
    /// All the time.
    #[default]
    Always,
    /// Only while somebody subscribes.
    OnDemand,
}

impl Config {
    /// The address that is served when none is configured.
    pub const LISTEN_DEFAULT: &'static str = "127.0.0.1:8080";

    /// How long after its start a gateway is in its steady state when nothing else is configured.
    pub const STEADY_DEFAULT: Duration = Duration::from_secs(10);

    /// The topic that there is when none is configured.
    pub const TOPIC_DEFAULT: &'static str = "plant";

    /// A configuration with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// This configuration and a connector.
    #[must_use]
    pub fn with_connector(mut self, connector: ConnectorConfig) -> Self {
        self.connectors.push(connector);
        self
    }

    /// This configuration and a point that belongs to no connector.
    #[must_use]
    pub fn with_point(mut self, point: PointSpec) -> Self {
        self.points.push(Arc::new(point));
        self
    }

    /// This configuration and a topic.
    #[must_use]
    pub fn with_topic(mut self, topic: TopicConfig) -> Self {
        self.topics.push(topic);
        self
    }

    /// This configuration and a topic that is polled.
    #[cfg(feature = "poll")]
    #[must_use]
    pub fn with_source(mut self, source: SourceConfig) -> Self {
        self.sources.push(source);
        self
    }

    /// This configuration and a tuning.
    #[must_use]
    pub fn with_tuning(mut self, id: Id, tuning: Tuning) -> Self {
        self.tunings.insert(id, tuning);
        self
    }

    /// The address to serve.
    pub fn listen(&self) -> &str {
        self.listen.as_deref().unwrap_or(Self::LISTEN_DEFAULT)
    }

    /// How long after its start the gateway is in its steady state.
    pub fn steady_time(&self) -> Duration {
        self.steady_time.unwrap_or(Self::STEADY_DEFAULT)
    }

    /// The topics, the default one if none is configured.
    pub(crate) fn effective_topics(&self) -> Vec<TopicConfig> {
        if !self.topics.is_empty() {
            return self.topics.clone();
        }
        let id = Self::TOPIC_DEFAULT.parse();
        id.map(|id| vec![TopicConfig::new(id)]).unwrap_or_default()
    }
}

impl ConnectorConfig {
    /// A connector of the given kind, without points, with the default of everything.
    pub fn new(id: Id, kind: impl Into<String>) -> Self {
        let defaults = ConnConfig::new(id.clone(), 0);
        Self {
            id,
            dis: None,
            kind: kind.into(),
            disabled: false,
            tuning: None,
            open_retry: defaults.open_retry,
            linger: defaults.linger,
            op_timeout: defaults.op_timeout,
            ping_freq: None,
            poll_freq: None,
            driver: serde_json::Map::new(),
            points: Vec::new(),
        }
    }

    /// This connector with an option of its driver.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.driver.insert(name.to_owned(), value.into());
        self
    }

    /// This connector and a point.
    #[must_use]
    pub fn with_point(mut self, point: PointSpec) -> Self {
        self.points.push(Arc::new(point));
        self
    }

    /// Whether a connector of this configuration can become one of `other` without losing its
    /// session: everything but the points, the tuning, the name for people and the switch is the
    /// same.
    pub(crate) fn keeps_session_as(&self, other: &Self) -> bool {
        self.id == other.id
            && self.kind == other.kind
            && self.driver == other.driver
            && self.open_retry == other.open_retry
            && self.linger == other.linger
            && self.op_timeout == other.op_timeout
            && self.ping_freq == other.ping_freq
            && self.poll_freq == other.poll_freq
    }
}

impl TopicConfig {
    /// A topic of all points, polled all the time.
    pub const fn new(id: Id) -> Self {
        Self { id, filter: None, watch: WatchMode::Always }
    }

    /// This topic of those points only that pass the filter.
    #[must_use]
    pub fn with_filter(mut self, filter: impl Into<String>) -> Self {
        self.filter = Some(filter.into());
        self
    }

    /// This topic, polled only while somebody subscribes.
    #[must_use]
    pub const fn on_demand(mut self) -> Self {
        self.watch = WatchMode::OnDemand;
        self
    }
}
