//! The shape of the file, as serde reads it; checked and resolved in `file.rs`.

use core::time::Duration;
use std::collections::BTreeMap;
use std::path::PathBuf;

use pointstream_point::{Id, Kind, Unit, duration};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::WatchMode;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) listen: Option<String>,
    #[serde(default)]
    pub(super) allowed_hosts: Vec<String>,
    #[serde(default)]
    pub(super) allowed_origins: Vec<String>,
    pub(super) token_file: Option<PathBuf>,
    #[serde(default)]
    pub(super) tuning: BTreeMap<Spanned<Id>, TuningTable>,
    pub(super) store: Option<PathBuf>,
    #[serde(default)]
    pub(super) history: HistoryTable,
    #[serde(default, deserialize_with = "some_duration")]
    pub(super) steady_time: Option<Duration>,
    #[serde(default)]
    pub(super) enums: BTreeMap<Spanned<String>, EnumTable>,
    #[serde(default)]
    pub(super) point: Vec<Spanned<PointTable>>,
    #[serde(default)]
    pub(super) connector: Vec<Spanned<ConnectorTable>>,
    #[serde(default)]
    pub(super) topic: Vec<Spanned<TopicTable>>,
    #[cfg(feature = "mqtt")]
    #[serde(default)]
    pub(super) sparkplug: Vec<Spanned<serde_json::Map<String, serde_json::Value>>>,
    #[serde(default)]
    pub(super) publish: Vec<Spanned<PublishTable>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HistoryTable {
    pub(super) keep_days: Option<u32>,
    pub(super) bytes_max: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TuningTable {
    #[serde(default, deserialize_with = "some_duration")]
    pub(super) poll_time: Option<Duration>,
    #[serde(default, deserialize_with = "some_duration")]
    pub(super) stale_time: Option<Duration>,
    pub(super) poll_schedule: Option<ScheduleName>,
    #[serde(default, deserialize_with = "some_duration")]
    pub(super) write_min_time: Option<Duration>,
    #[serde(default, deserialize_with = "some_duration")]
    pub(super) write_max_time: Option<Duration>,
    #[serde(default)]
    pub(super) write_on_open: bool,
    #[serde(default)]
    pub(super) write_on_start: bool,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ScheduleName {
    Grid,
    Delay,
}

/// An enum definition: names in their order, as one text or as a list, or names with their codes.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected \"off, on\", [\"off\", \"on\"] or { off = 0, on = 1 }")]
pub(super) enum EnumTable {
    Text(String),
    Names(Vec<String>),
    Codes(BTreeMap<String, i64>),
}

/// A number, or a text of a number and its unit.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a number, or a text of a number and its unit")]
pub(super) enum Quantity {
    Number(f64),
    Text(String),
}

#[derive(Debug, Deserialize)]
pub(super) struct PublishTable {
    pub(super) id: Spanned<Id>,
    pub(super) kind: String,
    pub(super) prefix: String,
    #[serde(default)]
    pub(super) topics: Vec<Id>,
    #[serde(default)]
    pub(super) points: Vec<Id>,
    #[serde(default, deserialize_with = "some_duration")]
    pub(super) snapshot_time: Option<Duration>,
    /// What the kind takes.
    #[serde(flatten)]
    pub(super) options: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ConnectorTable {
    pub(super) id: Spanned<Id>,
    pub(super) kind: Spanned<String>,
    pub(super) dis: Option<String>,
    #[serde(default)]
    pub(super) disabled: bool,
    pub(super) tuning: Option<Spanned<Id>>,
    #[serde(default, deserialize_with = "some_duration")]
    pub(super) open_retry: Option<Duration>,
    #[serde(default, deserialize_with = "some_duration")]
    pub(super) linger: Option<Duration>,
    #[serde(default, deserialize_with = "some_duration")]
    pub(super) op_timeout: Option<Duration>,
    #[serde(default, deserialize_with = "some_duration")]
    pub(super) ping_freq: Option<Duration>,
    #[serde(default, deserialize_with = "some_duration")]
    pub(super) poll_freq: Option<Duration>,
    pub(super) points: Option<Spanned<PathBuf>>,
    #[serde(default)]
    pub(super) point: Vec<Spanned<PointTable>>,
    /// Everything else is the driver's.
    #[serde(flatten)]
    pub(super) driver: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PointTable {
    pub(super) id: Spanned<Id>,
    pub(super) dis: Option<String>,
    pub(super) kind: Kind,
    pub(super) unit: Option<Unit>,
    pub(super) cur: Option<String>,
    pub(super) write: Option<String>,
    pub(super) his: Option<String>,
    pub(super) his_convert: Option<String>,
    pub(super) cur_convert: Option<String>,
    pub(super) write_convert: Option<String>,
    pub(super) cur_calibration: Option<Spanned<Quantity>>,
    #[serde(default)]
    pub(super) writable: bool,
    #[serde(default)]
    pub(super) cur_tracks_write: bool,
    #[serde(default, deserialize_with = "some_duration")]
    pub(super) write_limit: Option<Duration>,
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
    pub(super) step: Option<f64>,
    #[serde(default)]
    pub(super) disabled: bool,
    pub(super) tuning: Option<Spanned<Id>>,
    #[serde(default)]
    pub(super) tags: Vec<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TopicTable {
    pub(super) id: Spanned<Id>,
    pub(super) filter: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) watch: WatchMode,
}

fn some_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    duration::deserialize(deserializer).map(Some)
}
