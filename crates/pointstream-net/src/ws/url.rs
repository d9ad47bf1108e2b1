use core::fmt;
use core::str::FromStr;

use crate::{Endpoint, EndpointError};

/// Where a WebSocket server is: `ws://host:port/path?query` or `wss://…`; without a port 80 or 443.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct WsUrl {
    endpoint: Endpoint,
    path: Box<str>,
    is_secure: bool,
}

/// Why a text is not the URL of a WebSocket server.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WsUrlError {
    /// The scheme is neither `ws` nor `wss`.
    #[error("expected ws://host/path or wss://host/path")]
    Scheme,
    /// A user or password stands before the host; those belong into a header.
    #[error("a WebSocket URL has no user: put credentials into the configuration")]
    User,
    /// The path has a character that a request line cannot hold, or a fragment.
    #[error("a path holds printable ASCII without blanks and #: escape it with %")]
    Path,
    /// The host or port is wrong.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
}

impl WsUrl {
    /// The host and port to dial.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The path with its query, from the slash on.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether it is `wss`.
    pub fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// What the `Host` header says: without the scheme's own port.
    pub(super) fn authority(&self) -> String {
        let text = self.endpoint.to_string();
        let own = if self.is_secure { ":443" } else { ":80" };
        text.strip_suffix(own).unwrap_or(&text).to_owned()
    }
}

impl FromStr for WsUrl {
    type Err = WsUrlError;

    fn from_str(text: &str) -> Result<Self, WsUrlError> {
        let (is_secure, rest) = match text.split_once("://") {
            Some(("ws", rest)) => (false, rest),
            Some(("wss", rest)) => (true, rest),
            _ => return Err(WsUrlError::Scheme),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err(WsUrlError::User);
        }
        if path.bytes().any(|byte| !byte.is_ascii_graphic() || byte == b'#') {
            return Err(WsUrlError::Path);
        }
        let port = if is_secure { 443 } else { 80 };
        let endpoint = Endpoint::with_default_port(authority, port)?;
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Self { endpoint, path: format!("{slash}{path}").into(), is_secure })
    }
}

impl fmt::Display for WsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_secure { "wss" } else { "ws" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for (text, printed, port) in [
            ("ws://broker", "ws://broker/", 80),
            ("wss://broker/mqtt", "wss://broker/mqtt", 443),
            ("ws://broker:8083/mqtt?a=b", "ws://broker:8083/mqtt?a=b", 8083),
            ("wss://[::1]:443?x", "wss://[::1]/?x", 443),
        ] {
            let url: WsUrl = text.parse().unwrap();
            assert_eq!((url.to_string().as_str(), url.endpoint().port()), (printed, port));
            assert_eq!(printed.parse(), Ok(url));
        }
    }

    #[test]
    fn what_is_not_such_a_url_is_refused_with_its_reason() {
        for (text, error) in [
            ("broker", WsUrlError::Scheme),
            ("http://broker/", WsUrlError::Scheme),
            ("ws://", WsUrlError::Endpoint(EndpointError::NoHost)),
            ("ws://ann:secret@broker/", WsUrlError::User),
            ("ws://broker/a b", WsUrlError::Path),
            ("ws://broker/\r\nX: y", WsUrlError::Path),
            ("ws://broker/#x", WsUrlError::Path),
            ("ws://broker:0/", WsUrlError::Endpoint(EndpointError::Port)),
        ] {
            assert_eq!(text.parse::<WsUrl>(), Err(error), "{text:?}");
        }
    }
}
