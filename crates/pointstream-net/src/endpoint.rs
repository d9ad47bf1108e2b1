use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

/// The address of something to talk to: a host and a TCP port.
///
/// Written `host:port` or `tcp://host:port`; an IPv6 address stands in brackets, `[::1]:502`.
/// Printed in the first form, which reads back as the same endpoint. Names are resolved when they
/// are dialled, each time anew, so that a device which moves is found.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Endpoint {
    host: Box<str>,
    port: u16,
}

/// Why a text is not an endpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// There is no host.
    #[error("the host is missing: expected host:port")]
    NoHost,
    /// The host is longer than [`Endpoint::HOST_LEN_MAX`].
    #[error("a host has at most 253 characters")]
    HostTooLong,
    /// The host has a character that no host name or address has.
    #[error("a host has no {0:?}")]
    HostCharacter(char),
    /// Brackets hold something else than an IPv6 address, or are not closed.
    #[error("expected an IPv6 address in brackets, such as [::1]:502")]
    Brackets,
    /// More than one colon without brackets.
    #[error("an IPv6 address must stand in brackets, such as [::1]:502")]
    NoBrackets,
    /// There is no port and none is implied.
    #[error("the port is missing: expected host:port")]
    NoPort,
    /// The port is not a number from 1 to 65535.
    #[error("a port is a number from 1 to 65535")]
    Port,
    /// The scheme is not `tcp`.
    #[error("unknown scheme: expected tcp://host:port or host:port")]
    Scheme,
}

impl Endpoint {
    /// The longest host, in characters, which is the longest name that DNS knows.
    pub const HOST_LEN_MAX: usize = 253;

    /// The endpoint at `host` (a name, an IPv4 address, or an IPv6 address with or without
    /// brackets) and `port`.
    pub fn tcp(host: &str, port: u16) -> Result<Self, EndpointError> {
        let bare = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').ok_or(EndpointError::Brackets)?,
            None => host,
        };
        let is_v6 = is_ipv6(bare);
        if bare.len() != host.len() && !is_v6 {
            return Err(EndpointError::Brackets);
        }
        if bare.is_empty() {
            return Err(EndpointError::NoHost);
        }
        if bare.len() > Self::HOST_LEN_MAX {
            return Err(EndpointError::HostTooLong);
        }
        let allowed = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
        if !is_v6 && let Some(c) = bare.chars().find(|&c| !allowed(c)) {
            return Err(EndpointError::HostCharacter(c));
        }
        if port == 0 {
            return Err(EndpointError::Port);
        }
        Ok(Self { host: bare.into(), port })
    }

    /// Reads `host` or `host:port`, where a missing port means `port`. For the authority of a URI
    /// whose scheme has a port of its own.
    pub fn with_default_port(text: &str, port: u16) -> Result<Self, EndpointError> {
        let (host, own) = split(text)?;
        match own {
            Some(own) => Self::tcp(host, parse_port(own)?),
            None => Self::tcp(host, port),
        }
    }

    /// The host, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let rest = match text.split_once("://") {
            Some(("tcp", rest)) => rest,
            Some(_) => return Err(EndpointError::Scheme),
            None => text,
        };
        let (host, port) = split(rest)?;
        if host.is_empty() {
            return Err(EndpointError::NoHost);
        }
        Self::tcp(host, parse_port(port.ok_or(EndpointError::NoPort)?)?)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// The host with its brackets, and the port's text if there is one.
fn split(text: &str) -> Result<(&str, Option<&str>), EndpointError> {
    if text.starts_with('[') {
        let end = text.find(']').ok_or(EndpointError::Brackets)? + 1;
        let (host, rest) = text.split_at(end);
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(EndpointError::Brackets),
        };
    }
    match text.split_once(':') {
        Some((_, rest)) if rest.contains(':') => Err(EndpointError::NoBrackets),
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((text, None)),
    }
}

/// An IPv6 address, with a zone (`fe80::1%eth0`) or without.
fn is_ipv6(text: &str) -> bool {
    let (address, zone) = match text.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (text, None),
    };
    let zone_ok = zone.is_none_or(|zone| {
        !zone.is_empty()
            && zone.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
    });
    zone_ok && matches!(address.parse(), Ok(IpAddr::V6(_)))
}

fn parse_port(text: &str) -> Result<u16, EndpointError> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits && port != 0 => Ok(port),
        _ => Err(EndpointError::Port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for (text, host, port, printed) in [
            ("plc.example:502", "plc.example", 502, "plc.example:502"),
            ("192.168.1.20:1", "192.168.1.20", 1, "192.168.1.20:1"),
            ("[::1]:65535", "::1", 65535, "[::1]:65535"),
            ("tcp://[fe80::1%eth0]:502", "fe80::1%eth0", 502, "[fe80::1%eth0]:502"),
            ("tcp://bücher:80", "bücher", 80, "bücher:80"),
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!((endpoint.host(), endpoint.port()), (host, port), "{text}");
            assert_eq!(endpoint.to_string(), printed);
            assert_eq!(printed.parse::<Endpoint>(), Ok(endpoint));
        }
    }

    #[test]
    fn what_is_not_an_endpoint_is_refused_with_its_reason() {
        for (text, error) in [
            ("", EndpointError::NoHost),
            (":502", EndpointError::NoHost),
            ("plc", EndpointError::NoPort),
            ("plc:", EndpointError::Port),
            ("plc:0", EndpointError::Port),
            ("plc:65536", EndpointError::Port),
            ("plc:+502", EndpointError::Port),
            ("plc:50 2", EndpointError::Port),
            ("::1:502", EndpointError::NoBrackets),
            ("[::1:502", EndpointError::Brackets),
            ("[plc]:502", EndpointError::Brackets),
            ("[::1]502", EndpointError::Brackets),
            ("udp://plc:502", EndpointError::Scheme),
            ("plc/x:502", EndpointError::HostCharacter('/')),
            ("user@plc:502", EndpointError::HostCharacter('@')),
        ] {
            assert_eq!(text.parse::<Endpoint>(), Err(error), "{text:?}");
        }
        let at_limit = "x".repeat(Endpoint::HOST_LEN_MAX);
        assert!(Endpoint::tcp(&at_limit, 1).is_ok());
        assert_eq!(Endpoint::tcp(&format!("{at_limit}x"), 1), Err(EndpointError::HostTooLong));
    }

    #[test]
    fn a_default_port_is_taken_only_when_none_is_written() {
        let of = |text| Endpoint::with_default_port(text, 502).map(|e| e.to_string());
        assert_eq!(of("plc"), Ok("plc:502".to_owned()));
        assert_eq!(of("plc:503"), Ok("plc:503".to_owned()));
        assert_eq!(of("[::1]"), Ok("[::1]:502".to_owned()));
        assert_eq!(of("plc:"), Err(EndpointError::Port));
        assert_eq!(of(""), Err(EndpointError::NoHost));
    }
}
