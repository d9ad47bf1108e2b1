//! Facade.

mod config;
mod gateway;

pub use config::{Config, ConfigFile, ConnectorConfig, Problem, Problems, TopicConfig, WatchMode};
pub use gateway::{Applied, ApplyError, Gateway, WriteError};
