use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use pointstream_net::{Endpoint, EndpointError};
use pointstream_point::duration;
use serde::{Deserialize, Deserializer, de};

use crate::address::Address;
use crate::block::Merge;
use crate::pdu::READ_BITS_MAX;

/// What a connector of kind `modbus` is told.
///
/// In a configuration, durations are texts such as `"500ms"`, `"1s"` or `"5min"`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// Where the device is: `modbus-tcp://host` or `modbus-tcp://host:port`, port 502 by default.
    /// Named `uri` in a configuration.
    #[serde(rename = "uri", deserialize_with = "uri")]
    pub endpoint: Endpoint,
    /// The unit asked. A device that is no gateway often answers to any, or to 1 or 255 alone.
    pub unit: u8,
    /// How long an answer may take. Default 1 s.
    #[serde(default = "response_timeout", deserialize_with = "positive")]
    pub response_timeout: Duration,
    /// How long connecting may take. Default 5 s.
    #[serde(default = "connect_timeout", deserialize_with = "positive")]
    pub connect_timeout: Duration,
    /// The pause between an answer and the next request, for devices that need one. Default 0.
    #[serde(default, deserialize_with = "duration::deserialize")]
    pub request_delay: Duration,
    /// How many unwanted registers or bits between two points are read along. Default 0.
    #[serde(default)]
    pub block_gap: u16,
    /// How many registers or bits one request asks for at most, 1 to 2000. Default 100. The
    /// protocol's limits (125 registers, 2000 bits) hold in any case.
    #[serde(default = "block_max", deserialize_with = "block_max_of")]
    pub block_max: u16,
    /// What is read as a sign of life; by default the bound point with the lowest address.
    #[serde(default, deserialize_with = "optional_address")]
    pub ping: Option<Address>,
    /// Whether one coil or register is written by the functions for several, 15 and 16, for
    /// devices that lack 05 and 06. Default false.
    #[serde(default)]
    pub force_write_multiple: bool,
}

/// Why a text is not the URI of a Modbus device.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum UriError {
    /// The host or the port is wrong.
    #[error("{0}")]
    Endpoint(#[from] EndpointError),
    /// Something follows the host and port.
    #[error("nothing follows the host and port of a Modbus URI")]
    Path,
    /// The scheme is not `modbus-tcp`.
    #[error("expected modbus-tcp://host:port")]
    Scheme,
}

impl Config {
    /// The device's port when its URI names none.
    pub const PORT: u16 = 502;

    /// The unit `unit` at `endpoint`, all else by default.
    pub fn new(endpoint: Endpoint, unit: u8) -> Self {
        Self {
            endpoint,
            unit,
            response_timeout: response_timeout(),
            connect_timeout: connect_timeout(),
            request_delay: Duration::ZERO,
            block_gap: 0,
            block_max: block_max(),
            ping: None,
            force_write_multiple: false,
        }
    }

    /// The endpoint that a URI of a Modbus device names.
    pub fn parse_uri(text: &str) -> Result<Endpoint, UriError> {
        let rest = text.strip_prefix("modbus-tcp://").ok_or(UriError::Scheme)?;
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err(UriError::Path);
        }
        Ok(Endpoint::with_default_port(authority, Self::PORT)?)
    }

    pub(crate) fn merge(&self) -> Merge {
        Merge::new(self.block_gap, self.block_max)
    }
}

fn response_timeout() -> Duration {
    Duration::from_secs(1)
}

fn connect_timeout() -> Duration {
    Duration::from_secs(5)
}

fn block_max() -> u16 {
    Merge::default().max
}

fn uri<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Endpoint, D::Error> {
    let text = String::deserialize(deserializer)?;
    Config::parse_uri(&text).map_err(|error| said(&error, &text))
}

fn optional_address<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Address>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Address::from_str(&text).map(Some).map_err(|error| said(&error, &text))
}

fn block_max_of<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    match u16::deserialize(deserializer)? {
        max @ 1..=READ_BITS_MAX => Ok(max),
        max => Err(de::Error::custom(format_args!("block_max is 1 to {READ_BITS_MAX}, not {max}"))),
    }
}

fn positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    match duration::deserialize(deserializer)? {
        Duration::ZERO => Err(de::Error::custom("expected a duration greater than 0")),
        duration => Ok(duration),
    }
}

fn said<E: de::Error>(error: &impl fmt::Display, text: &str) -> E {
    E::custom(format_args!("{error} (in {text:?})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn a_uri_and_a_unit_are_enough() {
        let config = read("uri = 'modbus-tcp://plc'\nunit = 1").unwrap();
        assert_eq!(config, Config::new("plc:502".parse().unwrap(), 1));
        assert_eq!(config.merge(), Merge::new(0, 100));
    }

    #[test]
    fn everything_can_be_told() {
        let config = read(
            "uri = 'modbus-tcp://[::1]:1502/'\nunit = 255\nresponse_timeout = '500ms'\n\
             connect_timeout = '2s'\nrequest_delay = '20ms'\nblock_gap = 8\nblock_max = 2000\n\
             ping = 'input:30001'\nforce_write_multiple = true",
        )
        .unwrap();
        assert_eq!(config.endpoint, "[::1]:1502".parse().unwrap());
        assert_eq!(config.response_timeout, Duration::from_millis(500));
        assert_eq!(config.request_delay, Duration::from_millis(20));
        assert_eq!(config.ping, "input:30001".parse().ok());
        assert!(config.force_write_multiple);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let base = "uri = 'modbus-tcp://plc'\nunit = 1\n";
        for (text, message) in [
            ("unit = 1", "missing field `uri`"),
            ("uri = 'modbus-tcp://plc'", "missing field `unit`"),
            ("uri = 'plc:502'\nunit = 1", "expected modbus-tcp://host:port (in \"plc:502\")"),
            (
                "uri = 'modbus-rtu:///dev/ttyS0'\nunit = 1",
                "expected modbus-tcp://host:port (in \"modbus-rtu:///dev/ttyS0\")",
            ),
            (
                "uri = 'modbus-tcp://plc/1'\nunit = 1",
                "nothing follows the host and port of a Modbus URI (in \"modbus-tcp://plc/1\")",
            ),
            (
                "uri = 'modbus-tcp://plc:0'\nunit = 1",
                "a port is a number from 1 to 65535 (in \"modbus-tcp://plc:0\")",
            ),
        ] {
            assert_eq!(read(text), Err(message.to_owned()), "{text}");
        }
        for (line, message) in [
            ("response_timeout = '0s'", "expected a duration greater than 0"),
            (
                "connect_timeout = '5'",
                "expected a duration with its unit, such as \"500ms\", \"10s\", \"5min\" or \
                 \"1hr\", not \"5\"",
            ),
            ("block_max = 0", "block_max is 1 to 2000, not 0"),
            ("block_max = 2001", "block_max is 1 to 2000, not 2001"),
            (
                "ping = 'holding:1'",
                "a number has 5 or 6 digits, such as 40001; a wire address is written #0 \
                 (in \"holding:1\")",
            ),
        ] {
            assert_eq!(read(&format!("{base}{line}")), Err(message.to_owned()), "{line}");
        }
        let unit = read("uri = 'modbus-tcp://plc'\nunit = 256").unwrap_err();
        assert!(unit.contains("256"), "{unit}");
        let unknown = read(&format!("{base}slave = 1")).unwrap_err();
        assert!(unknown.starts_with("unknown field `slave`, expected one of `uri`"), "{unknown}");
    }
}
