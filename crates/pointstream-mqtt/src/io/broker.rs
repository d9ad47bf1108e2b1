use core::time::Duration;
use std::io;

use pointstream_net::ws::{DialOptions, dial_ws};
use pointstream_net::{ClientTls, Stream, TlsError, dial, dial_tls};

use crate::io::Uri;
use crate::session::Config;

/// A broker, and what the client presents to it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Broker {
    /// Where it is.
    pub uri: Uri,
    /// The session. Its time to connect counts for dialling too.
    pub session: Config,
    /// How `mqtts` and `wss` are secured. By default with the authorities that browsers trust.
    pub tls: Option<ClientTls>,
    /// Headers of the request that opens a WebSocket connection.
    pub headers: Vec<(String, String)>,
    /// The longest time between two attempts to connect while somebody wants the session. Default
    /// 10 s.
    pub retry_max: Duration,
}

impl Broker {
    /// A broker at `uri`, for a session.
    pub const fn new(uri: Uri, session: Config) -> Self {
        let retry_max = Duration::from_secs(10);
        Self { uri, session, tls: None, headers: Vec::new(), retry_max }
    }

    /// This broker, secured in a way of its own.
    #[must_use]
    pub fn with_tls(mut self, tls: ClientTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// This broker, secured with other authorities than those of browsers and with a certificate of
    /// the client and its key, where they are given (PEM).
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    pub fn with_pem(
        self,
        ca: Option<&[u8]>,
        identity: Option<(&[u8], &[u8])>,
    ) -> Result<Self, TlsError> {
        let mut builder = ClientTls::builder();
        if let Some(ca) = ca {
            builder = builder.ca_pem(ca);
        }
        if let Some((chain, key)) = identity {
            builder = builder.identity_pem(chain, key);
        }
        Ok(self.with_tls(builder.build()?))
    }

    /// Opens a stream to the broker.
    pub(crate) async fn dial(&self) -> io::Result<Stream> {
        let timeout = self.session.connect_timeout;
        let tls = match (&self.tls, self.uri.is_secure()) {
            (Some(tls), _) => Some(tls.clone()),
            (None, true) => Some(ClientTls::builder().build().map_err(io::Error::other)?),
            (None, false) => None,
        };
        match (&self.uri, tls) {
            (Uri::Tls(endpoint), Some(tls)) => dial_tls(endpoint, &tls, timeout).await,
            (Uri::Tcp(endpoint) | Uri::Tls(endpoint), _) => dial(endpoint, timeout).await,
            (Uri::Ws(url), tls) => {
                let mut options = DialOptions::default();
                options.subprotocol = Some("mqtt".to_owned());
                options.headers.clone_from(&self.headers);
                options.message_len_max = self.session.packet_len_max.saturating_add(WS_SLACK);
                options.tls = tls;
                Ok(dial_ws(url, &options, timeout).await?.into_stream())
            }
        }
    }
}

/// How much longer a WebSocket message may be than a packet: a broker may put several into one.
const WS_SLACK: usize = 64 * 1024;
