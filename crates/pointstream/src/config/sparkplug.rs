//! The gateway as an edge node of Sparkplug B: `[[sparkplug]]`.

use core::time::Duration;
use std::sync::Arc;

use pointstream_mqtt::Config as Broker;
use pointstream_mqtt::sparkplug::{EdgeConfig, NodeId, is_id};
use pointstream_point::{Level, duration};
use pointstream_points::Filter;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Points of the gateway as metrics of an edge node on a broker.
///
/// Each connector is a device of the node, and there as long as the connector is `ok`; points without a
/// connector are metrics of the node itself. A metric is named after its point.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SparkplugNode {
    /// The node.
    pub id: NodeId,
    /// The broker, as a connector of kind `mqtt` has it.
    pub broker: Broker,
    /// The host that must be online before anything is told.
    pub primary_host: Option<Arc<str>>,
    /// Which points: a filter over their tags. All if none.
    pub filter: Option<String>,
    /// For how long changes are gathered before they are told. Default 100 ms.
    pub interval: Duration,
    /// How many values are kept that change without a connection or without the primary host, to be
    /// told as history after the next births; beyond it the oldest are dropped. Default 10,000; 0 for
    /// none.
    pub history: usize,
    /// Whether commands write points that can be written. Default false.
    pub writable: bool,
    /// The level at which commands write. Default 16.
    pub write_level: Level,
}

#[derive(Deserialize)]
struct Own {
    group: Box<str>,
    node: Box<str>,
    #[serde(default)]
    primary_host: Option<Box<str>>,
    #[serde(default)]
    filter: Option<String>,
    #[serde(default = "interval", deserialize_with = "duration::deserialize")]
    interval: Duration,
    #[serde(default = "history")]
    history: usize,
    #[serde(default)]
    writable: bool,
    #[serde(default = "level")]
    write_level: Level,
}

const OWN: [&str; 8] =
    ["group", "node", "primary_host", "filter", "interval", "history", "writable", "write_level"];

impl SparkplugNode {
    /// A node on a broker, all else by default.
    pub fn new(id: NodeId, broker: Broker) -> Self {
        Self {
            id,
            broker,
            primary_host: None,
            filter: None,
            interval: interval(),
            history: history(),
            writable: false,
            write_level: level(),
        }
    }

    /// Reads a table of the file.
    pub(super) fn read(mut rest: Map<String, Value>) -> Result<Self, String> {
        let own: Map<_, _> = OWN.iter().filter_map(|key| rest.remove_entry(*key)).collect();
        let own = Own::deserialize(Value::Object(own)).map_err(|error| error.to_string())?;
        let broker = Broker::deserialize(Value::Object(rest)).map_err(|error| error.to_string())?;
        let id = NodeId::new(&own.group, &own.node).map_err(|error| error.to_string())?;
        if own.primary_host.as_deref().is_some_and(|host| !is_id(host)) {
            return Err("the id of primary_host is empty or has one of + # / or NUL".to_owned());
        }
        if broker.will.is_some() {
            return Err("will is not for sparkplug: the node has a will of its own".to_owned());
        }
        if let Some(filter) = &own.filter {
            Filter::parse(filter).map_err(|error| error.to_string())?;
        }
        let (primary_host, filter) = (own.primary_host.map(Into::into), own.filter);
        let Own { interval, history, writable, write_level, .. } = own;
        Ok(Self { id, broker, primary_host, filter, interval, history, writable, write_level })
    }

    pub(crate) fn edge(&self) -> EdgeConfig {
        let mut config = EdgeConfig::new(self.id.clone());
        config.primary_host.clone_from(&self.primary_host);
        config.history_max = self.history;
        config
    }
}

const fn interval() -> Duration {
    Duration::from_millis(100)
}

const fn history() -> usize {
    10_000
}

fn level() -> Level {
    Level::new(16).unwrap_or(Level::DEF)
}
