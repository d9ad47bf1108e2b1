use core::time::Duration;
use std::sync::Arc;

use pointstream_point::duration;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::config::Config;
use crate::sparkplug::{HostConfig, is_id};

/// What a connector of kind `sparkplug` is told: what an `mqtt` connector is told of its broker, and
/// `host_id`, `groups` and `reorder_timeout`.
///
/// The options `will`, `availability` and `qos` are not for it, since the standard says all that, and
/// `clean_session` is always true.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SparkplugConfig {
    /// The broker.
    pub mqtt: Config,
    /// The id under which the connector tells as a host application that it is online.
    pub host_id: Option<Arc<str>>,
    /// The groups to listen to; all of them if none is given.
    pub groups: Vec<Box<str>>,
    /// How long a message that came too early waits for the one before it. Default 2 s.
    pub reorder_timeout: Duration,
}

#[derive(Deserialize)]
struct Own {
    #[serde(default)]
    host_id: Option<Box<str>>,
    #[serde(default)]
    groups: Vec<Box<str>>,
    #[serde(default = "reorder_timeout", deserialize_with = "duration::deserialize")]
    reorder_timeout: Duration,
}

const OWN: [&str; 3] = ["host_id", "groups", "reorder_timeout"];

impl SparkplugConfig {
    /// A broker, all else by default.
    pub fn new(mqtt: Config) -> Self {
        let (host_id, groups) = (None, Vec::new());
        Self { mqtt, host_id, groups, reorder_timeout: reorder_timeout() }
    }

    pub(super) fn host(&self) -> HostConfig {
        let mut config = HostConfig::default();
        config.id.clone_from(&self.host_id);
        config.reorder_timeout = self.reorder_timeout;
        config.limits = config.limits.with_len_max(self.mqtt.packet_max);
        config
    }

    /// What is wrong with it.
    fn check(&self) -> Result<(), &'static str> {
        if self.mqtt.will.is_some() {
            return Err("will is not for sparkplug: its hosts have wills of their own");
        }
        if self.mqtt.availability.is_some() {
            return Err("availability is not for sparkplug: births and deaths say it");
        }
        if self.mqtt.clean_session == Some(false) {
            return Err("clean_session is always true with sparkplug");
        }
        let ids = self.groups.iter().map(|group| &**group).chain(self.host_id.as_deref());
        if ids.into_iter().all(is_id) {
            return Ok(());
        }
        Err("an id of groups or host_id is empty or has one of + # / or NUL")
    }
}

impl<'de> Deserialize<'de> for SparkplugConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut rest = Map::deserialize(deserializer)?;
        let own: Map<String, Value> =
            OWN.iter().filter_map(|key| rest.remove_entry(*key)).collect();
        let own = Own::deserialize(Value::Object(own)).map_err(D::Error::custom)?;
        let mut mqtt = Config::deserialize(Value::Object(rest)).map_err(D::Error::custom)?;
        let Own { host_id, groups, reorder_timeout } = own;
        let host_id = host_id.map(Into::into);
        let config = Self { mqtt: mqtt.clone(), host_id, groups, reorder_timeout };
        config.check().map_err(D::Error::custom)?;
        mqtt.clean_session = Some(true);
        Ok(Self { mqtt, ..config })
    }
}

const fn reorder_timeout() -> Duration {
    Duration::from_secs(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<SparkplugConfig, String> {
        toml::from_str(&format!("uri = 'mqtt://b'\n{text}"))
            .map_err(|error| error.message().to_owned())
    }

    #[test]
    fn it_is_a_broker_with_options_of_its_own() {
        let config = read(
            "host_id = 'scada'\ngroups = ['A', 'B']\nreorder_timeout = '500ms'\nversion = '5'\n\
             client_id = 'gw'\npacket_max = 5000",
        )
        .unwrap();
        assert_eq!(config.groups, ["A".into(), "B".into()]);
        let host = config.host();
        assert_eq!(host.id.as_deref(), Some("scada"));
        assert_eq!(host.reorder_timeout, Duration::from_millis(500));
        assert_eq!((host.limits.len_max, config.mqtt.clean_session), (5000, Some(true)));
        let plain = read("").unwrap();
        let mut mqtt = Config::new("mqtt://b".parse().unwrap());
        mqtt.clean_session = Some(true);
        assert_eq!(plain, SparkplugConfig::new(mqtt));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, message) in [
            ("host_id = 'a/b'", "an id of groups or host_id is empty"),
            ("groups = ['']", "an id of groups or host_id is empty"),
            ("groups = 'A'", "invalid type"),
            ("will = { topic = 'x', payload = 'y' }", "will is not for sparkplug"),
            ("availability = { topic = 'x' }", "availability is not for sparkplug"),
            ("clean_session = false", "clean_session is always true"),
            ("reorder_timeout = 3", "invalid type"),
            ("reorder = '1s'", "unknown field `reorder`"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
