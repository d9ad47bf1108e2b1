use core::fmt;
use core::str::FromStr;
use core::time::Duration;
use std::path::PathBuf;

use pointstream_net::{Endpoint, EndpointError, SerialPort, SerialPortError};
use pointstream_point::duration;
use serde::{Deserialize, Deserializer, de};

use crate::address::Address;
use crate::block::Merge;
use crate::framing::Framing;
use crate::pdu::READ_BITS_MAX;
use crate::rtu::Line;
use crate::session::Session;

/// What a connector of kind `modbus` is told.
///
/// In a configuration, durations are texts such as `"500ms"`, `"1s"` or `"5min"`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// Where the device is. Named `uri` in a configuration. Connectors of one registry with the same
    /// target share one line or connection.
    #[serde(rename = "uri", deserialize_with = "uri")]
    pub target: Target,
    /// The unit asked. A device that is no gateway often answers to any, or to 1 or 255 alone. On a
    /// serial line 0 is all units, which are written to and never read.
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
    /// How long a unit that does not answer is left alone where others share its line. Default
    /// 10 s.
    #[serde(default = "demotion", deserialize_with = "duration::deserialize")]
    pub demotion: Duration,
    /// How many requests may be on their way at a time, with Modbus TCP, 1 to 64. Default 1, which
    /// is all that many devices take.
    #[serde(default = "one", deserialize_with = "window_of")]
    pub window: usize,
    /// How many unwanted registers or bits between two points are read along. Default 0.
    #[serde(default)]
    pub block_gap: u16,
    /// How many registers or bits one request asks for at most, 1 to 2000. Default 100. The
    /// protocol's limits (125 registers, 2000 bits) hold in any case.
    #[serde(default = "block_max", deserialize_with = "block_max_of")]
    pub block_max: u16,
    /// What is read as a sign of life; by default the register `ping` of the register map, else the
    /// bound point with the lowest address.
    #[serde(default, deserialize_with = "optional_address")]
    pub ping: Option<Address>,
    /// The file of a [`RegisterMap`](crate::RegisterMap), whose names points then may give instead
    /// of addresses. Relative to the working folder of the program.
    #[serde(default)]
    pub register_map: Option<PathBuf>,
    /// Whether one coil or register is written by the functions for several, 15 and 16, for
    /// devices that lack 05 and 06. Default false.
    #[serde(default)]
    pub force_write_multiple: bool,
    /// Whether a bit of a register is written by function 22, where the device knows it, rather than
    /// by reading and writing the register. Default true.
    #[serde(default = "yes")]
    pub mask_write: bool,
}

/// Where a device is and how it is spoken to.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Target {
    /// Modbus TCP: `tcp://host:port`.
    Tcp(Endpoint),
    /// RTU frames in a TCP stream, as simple serial servers speak: `rtutcp://host:port`.
    RtuTcp(Endpoint),
    /// Modbus TCP frames as datagrams: `udp://host:port`.
    Udp(Endpoint),
    /// A serial line: `rtu:///dev/ttyUSB0?baud=19200`.
    Rtu(SerialPort),
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
    /// The scheme is none of the four.
    #[error(
        "expected modbus-tcp://host:port, modbus-rtutcp://host:port, modbus-udp://host:port or \
         modbus-rtu:///dev/ttyUSB0?baud=19200"
    )]
    Scheme,
    /// The serial port is wrong.
    #[error("{0}")]
    Serial(#[from] SerialPortError),
}

impl Target {
    /// The device's port when its URI names none.
    pub const PORT: u16 = 502;

    /// How requests and answers are framed on the way to it.
    pub fn framing(&self) -> Framing {
        match self {
            Self::Tcp(_) => Framing::Tcp,
            Self::Udp(_) => Framing::Udp,
            Self::RtuTcp(_) => Framing::Rtu(Line::tunnel()),
            Self::Rtu(port) => Framing::Rtu(Line::serial(port.baud, port.char_bits())),
        }
    }
}

impl From<Endpoint> for Target {
    fn from(endpoint: Endpoint) -> Self {
        Self::Tcp(endpoint)
    }
}

impl FromStr for Target {
    type Err = UriError;

    /// Reads a URI. The schemes may begin with `modbus-`, as they do where a URI of another protocol
    /// could stand.
    fn from_str(text: &str) -> Result<Self, UriError> {
        let (scheme, rest) = text.split_once("://").ok_or(UriError::Scheme)?;
        let scheme = scheme.strip_prefix("modbus-").unwrap_or(scheme);
        if scheme == "rtu" {
            return Ok(Self::Rtu(rest.parse()?));
        }
        let target = match scheme {
            "tcp" => Self::Tcp,
            "rtutcp" => Self::RtuTcp,
            "udp" => Self::Udp,
            _ => return Err(UriError::Scheme),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err(UriError::Path);
        }
        Ok(target(Endpoint::with_default_port(authority, Self::PORT)?))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(endpoint) => write!(f, "{endpoint}"),
            Self::RtuTcp(endpoint) => write!(f, "rtutcp://{endpoint}"),
            Self::Udp(endpoint) => write!(f, "udp://{endpoint}"),
            Self::Rtu(port) => write!(f, "rtu://{port}"),
        }
    }
}

impl Config {
    /// The unit `unit` at `target`, all else by default.
    pub fn new(target: impl Into<Target>, unit: u8) -> Self {
        Self {
            target: target.into(),
            unit,
            response_timeout: response_timeout(),
            connect_timeout: connect_timeout(),
            request_delay: Duration::ZERO,
            demotion: demotion(),
            window: one(),
            block_gap: 0,
            block_max: block_max(),
            ping: None,
            register_map: None,
            force_write_multiple: false,
            mask_write: yes(),
        }
    }

    pub(crate) fn merge(&self) -> Merge {
        Merge::new(self.block_gap, self.block_max)
    }
}

fn demotion() -> Duration {
    Duration::from_secs(10)
}

fn one() -> usize {
    1
}

fn yes() -> bool {
    true
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

fn uri<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Target, D::Error> {
    let text = String::deserialize(deserializer)?;
    Target::from_str(&text).map_err(|error| said(&error, &text))
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

fn window_of<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    match usize::deserialize(deserializer)? {
        window @ 1..=Session::WINDOW_MAX => Ok(window),
        window => {
            let max = Session::WINDOW_MAX;
            Err(de::Error::custom(format_args!("window is 1 to {max}, not {window}")))
        }
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
        assert_eq!(config, Config::new("plc:502".parse::<Endpoint>().unwrap(), 1));
        assert_eq!(config.merge(), Merge::new(0, 100));
    }

    #[test]
    fn everything_can_be_told() {
        let config = read(
            "uri = 'modbus-tcp://[::1]:1502/'\nunit = 255\nresponse_timeout = '500ms'\n\
             connect_timeout = '2s'\nrequest_delay = '20ms'\nblock_gap = 8\nblock_max = 2000\n\
             ping = 'input:30001'\nforce_write_multiple = true\nwindow = 64\ndemotion = '1min'\n\
             mask_write = false\nregister_map = 'ahu.csv'",
        )
        .unwrap();
        assert_eq!(config.target, "tcp://[::1]:1502".parse().unwrap());
        assert_eq!((config.window, config.mask_write), (64, false));
        assert_eq!(config.demotion, Duration::from_secs(60));
        assert_eq!(config.response_timeout, Duration::from_millis(500));
        assert_eq!(config.request_delay, Duration::from_millis(20));
        assert_eq!(config.ping, "input:30001".parse().ok());
        assert!(config.force_write_multiple);
    }

    #[test]
    fn every_transport_has_its_uri_and_its_framing() {
        let rtu = Framing::Rtu(Line::tunnel());
        for (text, shown, framing) in [
            ("modbus-tcp://plc/", "plc:502", Framing::Tcp),
            ("tcp://plc:1502", "plc:1502", Framing::Tcp),
            ("rtutcp://[::1]", "rtutcp://[::1]:502", rtu),
            ("modbus-udp://plc", "udp://plc:502", Framing::Udp),
            (
                "rtu:///dev/ttyUSB0?baud=9600&parity=none&stop=2",
                "rtu:///dev/ttyUSB0?baud=9600&parity=none&stop=2",
                Framing::Rtu(Line::serial(9600, 11)),
            ),
            (
                "modbus-rtu://COM3",
                "rtu://COM3?baud=19200&parity=even&stop=1",
                Framing::Rtu(Line::serial(19_200, 11)),
            ),
        ] {
            let target: Target = text.parse().unwrap();
            assert_eq!((target.to_string().as_str(), target.framing()), (shown, framing), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let base = "uri = 'modbus-tcp://plc'\nunit = 1\n";
        for (text, message) in [
            ("unit = 1", "missing field `uri`"),
            ("uri = 'modbus-tcp://plc'", "missing field `unit`"),
            (
                "uri = 'plc:502'\nunit = 1",
                "expected modbus-tcp://host:port, modbus-rtutcp://host:port, \
                 modbus-udp://host:port or modbus-rtu:///dev/ttyUSB0?baud=19200 (in \"plc:502\")",
            ),
            (
                "uri = 'modbus-rtu:///dev/ttyS0?baud=9k6'\nunit = 1",
                "baud is a number from 50 to 4000000 (in \"modbus-rtu:///dev/ttyS0?baud=9k6\")",
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
            ("window = 0", "window is 1 to 64, not 0"),
            ("window = 65", "window is 1 to 64, not 65"),
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
