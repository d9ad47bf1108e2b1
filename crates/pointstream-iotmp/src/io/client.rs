//! A device in Rust.

mod buffer;
mod handle;
mod link;
mod resources;

use core::fmt;
use core::hash::{BuildHasher, Hasher};
use core::pin::pin;
use core::time::Duration;
use std::io;
use std::string::{String, ToString};

use pointstream_net::{Endpoint, Stream, dial};
use pointstream_time::{Backoff, Seed};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

pub use handle::{Handle, HandleError, Subscription};
pub use resources::ResourceError;

use crate::Dialect;
use crate::io::Connection;
use crate::io::client::link::{Ended, Link};
use crate::io::client::resources::{Kind, Resources};
use crate::session::{Config, Credentials};

/// A device: it offers resources to a server, streams them as it is asked, and connects again when the
/// connection is lost, with growing and jittered pauses.
///
/// Values that its application raises while there is no connection are kept, with their times, up to
/// [`Options::buffer_values_max`] and [`Options::buffer_bytes_max`], and sent when the server asks for
/// the resource again.
///
/// ```no_run
/// use pointstream_iotmp::io::{Client, Target};
/// use pointstream_iotmp::session::Credentials;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let target = Target::tcp("server.example", 25204)?;
/// let client = Client::new(target, Credentials::new("ada", "boiler", "s3cret"))
///     .output("temperature", || 71.5)
///     .input("setpoint", |celsius: f64| println!("{celsius}"));
/// let handle = client.handle();
/// let running = client.run(std::future::pending());
/// handle.raise("temperature").await?;
/// running.await;
/// # Ok(())
/// # }
/// ```
pub struct Client {
    target: Target,
    credentials: Credentials,
    options: Options,
    resources: Resources,
    handle: Handle,
    commands: mpsc::Receiver<handle::Command>,
    status: watch::Sender<Status>,
}

/// How a device reaches its server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Target {
    /// Plain TCP, over which the credential goes as it is.
    Tcp(Endpoint),
    /// TLS. The certificate is always verified; [`ClientTls`](pointstream_net::ClientTls) says by whom.
    #[cfg(feature = "tls")]
    Tls(Endpoint, pointstream_net::ClientTls),
    /// WebSocket, which goes through proxies.
    #[cfg(feature = "ws")]
    Ws(pointstream_net::ws::WsUrl, pointstream_net::ws::DialOptions),
}

impl Target {
    /// A server by plain TCP.
    ///
    /// # Errors
    ///
    /// The host is no name and no address.
    pub fn tcp(host: &str, port: u16) -> Result<Self, pointstream_net::EndpointError> {
        Endpoint::tcp(host, port).map(Self::Tcp)
    }

    async fn dial(&self, timeout: Duration) -> io::Result<Stream> {
        match self {
            Self::Tcp(endpoint) => dial(endpoint, timeout).await,
            #[cfg(feature = "tls")]
            Self::Tls(endpoint, tls) => pointstream_net::dial_tls(endpoint, tls, timeout).await,
            #[cfg(feature = "ws")]
            Self::Ws(url, options) => {
                let mut options = options.clone();
                options.subprotocol.get_or_insert_with(|| "iotmp".to_string());
                let socket = pointstream_net::ws::dial_ws(url, &options, timeout).await?;
                Ok(socket.into_stream())
            }
        }
    }
}

/// How a [`Client`] behaves.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Options {
    /// What it speaks. Default IOTMP-2.
    pub dialect: Dialect,
    /// What its session allows, and how long it waits.
    pub session: Config,
    /// The longest first pause before it connects again. Default 1 s.
    pub retry_min: Duration,
    /// The longest pause. Default 60 s.
    pub retry_max: Duration,
    /// How many values are kept while there is no connection. Default 10,000.
    pub buffer_values_max: usize,
    /// How many bytes they may take. Default 1 MiB.
    pub buffer_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dialect: Dialect::Iotmp2,
            session: Config::default(),
            retry_min: Duration::from_secs(1),
            retry_max: Duration::from_secs(60),
            buffer_values_max: 10_000,
            buffer_bytes_max: 1 << 20,
        }
    }
}

impl Options {
    /// These options with other pauses before it connects again.
    #[must_use]
    pub const fn with_retry(mut self, min: Duration, max: Duration) -> Self {
        self.retry_min = min;
        self.retry_max = max;
        self
    }

    /// These options with other limits of what is kept while there is no connection.
    #[must_use]
    pub const fn with_buffer_max(mut self, values: usize, bytes: usize) -> Self {
        self.buffer_values_max = values;
        self.buffer_bytes_max = bytes;
        self
    }

    /// These options with another dialect.
    #[must_use]
    pub const fn with_dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }

    /// These options with other limits of its session.
    #[must_use]
    pub const fn with_session(mut self, session: Config) -> Self {
        self.session = session;
        self
    }
}

/// How a device stands to its server.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Status {
    /// It is not there yet.
    Connecting,
    /// The server has let it in.
    Connected,
    /// It waits before it tries again.
    Waiting {
        /// What ended the connection or kept it from being opened: the name, the address, TLS, the
        /// credentials, or what the session ended with.
        error: String,
        /// For how long.
        delay: Duration,
    },
    /// It has been told to end.
    Ended,
}

impl Client {
    /// A device without resources.
    pub fn new(target: Target, credentials: Credentials) -> Self {
        let (sender, commands) = mpsc::channel(COMMANDS_MAX);
        let (status, observed) = watch::channel(Status::Connecting);
        Self {
            target,
            credentials,
            options: Options::default(),
            resources: Resources::default(),
            handle: Handle::new(sender, observed),
            commands,
            status,
        }
    }

    /// This device with other options.
    #[must_use]
    pub const fn with_options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// This device with a resource that does something.
    #[must_use]
    pub fn action(mut self, name: &str, action: impl FnMut() + Send + 'static) -> Self {
        self.resources.insert(name, Kind::Run, resources::run(action));
        self
    }

    /// This device with a resource that is written.
    #[must_use]
    pub fn input<T: DeserializeOwned + 'static>(
        self,
        name: &str,
        mut action: impl FnMut(T) + Send + 'static,
    ) -> Self {
        self.try_input(name, move |value| {
            action(value);
            Ok(())
        })
    }

    /// This device with a resource that is written, which may refuse a value.
    #[must_use]
    pub fn try_input<T: DeserializeOwned + 'static>(
        mut self,
        name: &str,
        action: impl FnMut(T) -> Result<(), ResourceError> + Send + 'static,
    ) -> Self {
        self.resources.insert(name, Kind::Input, resources::input(action));
        self
    }

    /// This device with a resource that is read.
    #[must_use]
    pub fn output<T: Serialize + 'static>(
        mut self,
        name: &str,
        action: impl FnMut() -> T + Send + 'static,
    ) -> Self {
        self.resources.insert(name, Kind::Output, resources::output(action));
        self
    }

    /// This device with a resource that takes a value and gives one.
    #[must_use]
    pub fn both<I: DeserializeOwned + 'static, O: Serialize + 'static>(
        mut self,
        name: &str,
        action: impl FnMut(I) -> Result<O, ResourceError> + Send + 'static,
    ) -> Self {
        self.resources.insert(name, Kind::Both, resources::both(action));
        self
    }

    /// A handle, to tell the server something and to ask it for something. Cheap to clone.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Is the device until `shutdown` completes; then says so to the server and ends.
    ///
    /// Its closures run here, so that they should not take long.
    ///
    /// # Cancel safety
    ///
    /// Safe: when the call is dropped, the connection is closed at once.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self { target, credentials, options, resources, handle, mut commands, status } = self;
        // Handles that are dropped do not end a device.
        let own_handle = handle;
        let seed = Seed::new(std::hash::RandomState::new().build_hasher().finish());
        let mut backoff = Backoff::new(options.retry_min, options.retry_max, seed);
        let mut link = Link::new(resources, &options, own_handle.counters());
        let mut shutdown = pin!(shutdown);
        loop {
            status.send_replace(Status::Connecting);
            let error = {
                let mut opening = pin!(open(&target, &credentials, &options));
                let opened = loop {
                    tokio::select! {
                        biased;
                        () = &mut shutdown => {
                            status.send_replace(Status::Ended);
                            return;
                        }
                        opened = &mut opening => break opened,
                        Some(command) = commands.recv() => link.offline(command),
                    }
                };
                match opened {
                    Ok(connection) => {
                        let on_connected = || {
                            backoff.on_success();
                            status.send_replace(Status::Connected);
                        };
                        let serving =
                            link.serve(connection, &mut commands, shutdown.as_mut(), on_connected);
                        match serving.await {
                            Ended::Told => {
                                status.send_replace(Status::Ended);
                                return;
                            }
                            Ended::Lost(error) => error,
                        }
                    }
                    Err(error) => error.to_string(),
                }
            };
            let delay = backoff.on_failure();
            status.send_replace(Status::Waiting { error, delay });
            let mut pause = pin!(sleep(delay));
            loop {
                tokio::select! {
                    biased;
                    () = &mut shutdown => {
                        status.send_replace(Status::Ended);
                        return;
                    }
                    () = &mut pause => break,
                    Some(command) = commands.recv() => link.offline(command),
                }
            }
        }
    }
}

async fn open(
    target: &Target,
    credentials: &Credentials,
    options: &Options,
) -> io::Result<Connection> {
    let stream = target.dial(options.session.connect_timeout).await?;
    Connection::client(stream, options.dialect, credentials, options.session)
}

/// How many commands of handles wait; a further one waits for its place.
const COMMANDS_MAX: usize = 64;

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("target", &self.target)
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}
