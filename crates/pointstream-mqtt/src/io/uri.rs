use core::fmt;
use core::str::FromStr;

use pointstream_net::ws::{WsUrl, WsUrlError};
use pointstream_net::{Endpoint, EndpointError};

/// Where a broker is: `mqtt://host` (port 1883), `mqtts://host` (8883), `ws://host/path` (80) or
/// `wss://host/path` (443).
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Uri {
    /// A plain TCP connection.
    Tcp(Endpoint),
    /// TLS.
    Tls(Endpoint),
    /// WebSocket, plain or over TLS. Without a path it is `/mqtt`, as most brokers have it.
    Ws(WsUrl),
}

/// Why a text is not the URI of a broker.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum UriError {
    /// The scheme is none of the four.
    #[error("expected mqtt://host, mqtts://host, ws://host/path or wss://host/path")]
    Scheme,
    /// A user stands in front of the host.
    #[error("a URI has no user: credentials are options of their own")]
    User,
    /// Something follows the host and port.
    #[error("nothing follows the host and port of an mqtt or mqtts URI")]
    Path,
    /// The host or port is wrong.
    #[error("{0}")]
    Endpoint(#[from] EndpointError),
    /// The WebSocket URL is wrong.
    #[error("{0}")]
    Ws(#[from] WsUrlError),
}

impl Uri {
    /// Whether what goes over it is secured by TLS.
    pub fn is_secure(&self) -> bool {
        match self {
            Self::Tcp(_) => false,
            Self::Tls(_) => true,
            Self::Ws(url) => url.is_secure(),
        }
    }

    /// The host and port that are dialled.
    pub fn endpoint(&self) -> &Endpoint {
        match self {
            Self::Tcp(endpoint) | Self::Tls(endpoint) => endpoint,
            Self::Ws(url) => url.endpoint(),
        }
    }
}

impl FromStr for Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        let (scheme, rest) = text.split_once("://").ok_or(UriError::Scheme)?;
        let port = match scheme {
            "mqtt" => 1883,
            "mqtts" => 8883,
            "ws" | "wss" => {
                let path = if rest.contains('/') { "" } else { "/mqtt" };
                return Ok(Self::Ws(format!("{text}{path}").parse()?));
            }
            _ => return Err(UriError::Scheme),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err(UriError::Path);
        }
        if authority.contains('@') {
            return Err(UriError::User);
        }
        let endpoint = Endpoint::with_default_port(authority, port)?;
        Ok(if scheme == "mqtts" { Self::Tls(endpoint) } else { Self::Tcp(endpoint) })
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(endpoint) => write!(f, "mqtt://{endpoint}"),
            Self::Tls(endpoint) => write!(f, "mqtts://{endpoint}"),
            Self::Ws(url) => write!(f, "{url}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scheme_has_its_port() {
        for (text, shown, secure) in [
            ("mqtt://broker", "mqtt://broker:1883", false),
            ("mqtt://[::1]:1884/", "mqtt://[::1]:1884", false),
            ("mqtts://broker", "mqtts://broker:8883", true),
            ("ws://broker", "ws://broker/mqtt", false),
            ("wss://broker:8084/x?y", "wss://broker:8084/x?y", true),
        ] {
            let uri: Uri = text.parse().unwrap();
            assert_eq!((uri.to_string().as_str(), uri.is_secure()), (shown, secure), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_broker_is_refused_with_its_reason() {
        for (text, error) in [
            ("broker:1883", UriError::Scheme),
            ("tcp://broker", UriError::Scheme),
            ("mqtt://u:p@broker", UriError::User),
            ("mqtt://broker/x", UriError::Path),
            ("mqtt://", UriError::Endpoint(EndpointError::NoHost)),
            ("ws://u@broker/", UriError::Ws(WsUrlError::User)),
        ] {
            assert_eq!(text.parse::<Uri>(), Err(error), "{text}");
        }
    }
}
