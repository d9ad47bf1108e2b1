#![cfg_attr(all(feature = "http", feature = "modbus"), doc = include_str!("../../../README.md"))]
#![cfg_attr(
    not(all(feature = "http", feature = "modbus")),
    doc = "Field devices and APIs as live points and streams: connectors, a topic hub, a gateway."
)]

#[cfg(feature = "tokio")]
mod config;
#[cfg(feature = "tokio")]
mod gateway;
#[cfg(all(feature = "iotmp", feature = "store"))]
mod properties;
#[cfg(feature = "http")]
mod serve;

pub use pointstream_hub as hub;
pub use pointstream_patch as patch;
pub use pointstream_point as point;
pub use pointstream_time as time;

#[cfg(feature = "tokio")]
pub use pointstream_conn as conn;
#[cfg(feature = "http")]
pub use pointstream_http as http;
#[cfg(feature = "iotmp")]
pub use pointstream_iotmp as iotmp;
#[cfg(any(feature = "modbus", feature = "modbus-server"))]
pub use pointstream_modbus as modbus;
#[cfg(feature = "mqtt")]
pub use pointstream_mqtt as mqtt;
#[cfg(feature = "iotmp")]
pub use pointstream_net as net;
#[cfg(feature = "tokio")]
pub use pointstream_points as points;

#[cfg(feature = "store")]
pub use pointstream_store as store;

#[cfg(feature = "poll")]
pub use pointstream_poll as poll;

#[cfg(feature = "poll")]
pub use config::SourceConfig;
#[cfg(feature = "mqtt")]
pub use config::SparkplugNode;
#[cfg(feature = "tokio")]
pub use config::{
    Config, ConfigFile, ConnectorConfig, EditError, HistoryConfig, NewPoint, Problem, Problems,
    PublishConfig, TopicConfig, WatchMode,
};
#[cfg(feature = "iotmp")]
pub use gateway::IotmpServices;
#[cfg(feature = "tokio")]
pub use gateway::{Applied, ApplyError, Gateway, LevelWritten, WriteError};
#[cfg(feature = "store")]
pub use gateway::{HisProgress, HisSynced};
#[cfg(all(feature = "iotmp", feature = "store"))]
pub use properties::StoredProperties;
#[cfg(feature = "http")]
pub use serve::HttpError;
