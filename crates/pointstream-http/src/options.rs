use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pointstream_time::Seed;
use subtle::ConstantTimeEq;

use crate::StaticFile;
use crate::console::CONSOLE;
use crate::mount::{Mount, Mounts};

/// How the HTTP face behaves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The address to listen on; port zero takes any free port. Also the address that requests must
    /// name as their host, unless it is among `allowed_hosts`.
    pub listen: SocketAddr,
    /// Further hosts that requests may name, as a proxy or a name server makes them known:
    /// `gateway.example` for the usual ports and the one listened on, or `gateway.example:8443`.
    pub allowed_hosts: Vec<String>,
    /// Origins of other sites whose pages may use this server, as `https://app.example`. Such a page
    /// can do all that its user could; it needs the token where there is one.
    pub allowed_origins: Vec<String>,
    /// What a request must carry. An address that is not loopback is refused without.
    pub token: Option<Token>,
    /// The files that are served beside the API; the console page by default.
    pub files: &'static [StaticFile],
    /// The URLs of what topics are made of, each with the topic's name: by these a topic can be asked
    /// for as well, as in `GET /http://api.example/prices`.
    pub sources: Vec<(String, String)>,
    /// Other APIs beside this one. See [`Options::mount`].
    pub(crate) mounts: Mounts,
    /// What clients may take.
    pub limits: Limits,
    /// The `retry` of an event stream: how long a client waits before it connects again. Varied by a
    /// half up or down for each stream.
    pub retry: Duration,
    /// The silence after which an event stream is sent a comment; zero for never. Varied by a tenth
    /// up or down for each stream.
    pub heartbeat: Duration,
    /// Gives session ids and the variation of heartbeats; another one at each start.
    pub seed: Seed,
}

impl Options {
    /// The defaults: the console page, no token, no further hosts.
    pub fn new(listen: SocketAddr, seed: Seed) -> Self {
        Self {
            listen,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            token: None,
            files: CONSOLE,
            sources: Vec::new(),
            mounts: Mounts::default(),
            limits: Limits::default(),
            retry: Duration::from_secs(3),
            heartbeat: Duration::from_secs(10),
            seed,
        }
    }

    /// Serves another API as well, under its prefix and behind the same guard. It must not be a
    /// prefix of this API's own.
    pub fn mount(&mut self, mount: Arc<dyn Mount>) {
        self.mounts.0.push(mount);
    }
}

/// What clients may take, and for how long.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Connections at a time; another one is answered 503 and closed.
    pub connections_max: usize,
    /// Requests at a time on one connection of HTTP/2; another one waits.
    pub streams_max: u32,
    /// The bytes of a request's head; a longer one is answered 431.
    pub head_bytes_max: usize,
    /// The bytes of a request's target; a longer one is answered 414.
    pub target_bytes_max: usize,
    /// The bytes of a request's body, unpacked; a longer one is answered 413.
    pub body_bytes_max: usize,
    /// How many times its length a request's body may unpack to; beyond it is answered 413.
    pub unpack_ratio_max: usize,
    /// The bytes that are read and thrown away after an answer that came before the request's end,
    /// so that the client sees the answer.
    pub drain_bytes_max: usize,
    /// The points of one page; a greater `limit` is answered 400.
    pub page_points_max: usize,
    /// The time within which a request's head must come, and within which the next request must
    /// begin on a connection that is kept.
    pub head_timeout: Duration,
    /// The time within which a request's body must come; answered 408.
    pub body_timeout: Duration,
    /// How long a connection may take nothing while there is something to write.
    pub stall_timeout: Duration,
    /// How long a client that was answered has to close its side.
    pub drain_timeout: Duration,
    /// How long connections have to end when the server ends.
    pub shutdown_timeout: Duration,
}

impl Default for Limits {
    /// 20,000 connections, 128 requests on one of HTTP/2, heads of 16 KiB, targets of 8 KiB, bodies of
    /// 1 MiB that unpack to a hundred times their length, draining of 16 MiB, pages of 10,000 points; 10 s for a head and a body, 30 s for a stall, 1 s to drain, 1.5 s to
    /// end.
    fn default() -> Self {
        Self {
            connections_max: 20_000,
            streams_max: 128,
            head_bytes_max: 16 << 10,
            target_bytes_max: 8 << 10,
            body_bytes_max: 1 << 20,
            unpack_ratio_max: 100,
            drain_bytes_max: 16 << 20,
            page_points_max: 10_000,
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(1),
            shutdown_timeout: Duration::from_millis(1_500),
        }
    }
}

/// A secret that requests must carry. It is never shown, and compared in a time that does not tell
/// how much of it was right.
#[derive(Clone)]
pub struct Token(Arc<str>);

impl Token {
    /// The token of this text.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    pub(crate) fn is(&self, text: &str) -> bool {
        self.0.as_bytes().ct_eq(text.as_bytes()).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_compared_whole_and_not_shown() {
        let token = Token::new("s3cret");
        assert!(token.is("s3cret"));
        assert!(!token.is("s3cre") && !token.is("s3cret ") && !token.is(""));
        let mut options = Options::new(([127, 0, 0, 1], 0).into(), Seed::new(0));
        options.token = Some(token);
        assert!(!format!("{options:?}").contains("s3cret"));
    }
}
