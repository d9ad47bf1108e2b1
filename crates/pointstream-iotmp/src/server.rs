//! A server of IOTMP devices: plain TCP, TLS and WebSocket.

#[cfg(test)]
mod abuse;
mod auth;
mod device;
#[cfg(feature = "http")]
mod endpoints;
mod event;
#[cfg(feature = "http")]
pub mod http;
mod jobs;
mod serve;
mod services;
mod shared;
mod topics;
mod values;
mod wish;

use core::pin::pin;
use core::time::Duration;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::vec::Vec;

use pointstream_net::Listener;
use tokio::net::ToSocketAddrs;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

pub use auth::{Accounts, AccountsError, Authenticator};
#[cfg(feature = "driver")]
pub(crate) use device::kinds;
pub use device::{CallError, Device};
#[cfg(feature = "http")]
pub use endpoints::{Endpoints, EndpointsError, HttpEndpoint};
pub use event::{DeviceId, Event};
pub use services::{ServiceError, Services};
pub use values::{Sample, Update, Values};

use crate::server::serve::{Entrance, Served};
use crate::server::shared::Shared;
use crate::session::Config;
use crate::{Dialect, Payload, mux};

/// The port for plain TCP.
pub const PORT: u16 = 25204;
/// The port for TLS.
pub const PORT_TLS: u16 = 25206;
/// The path of the WebSocket.
#[cfg(feature = "ws")]
pub const WS_PATH: &str = "/iotmp";

/// A server of devices.
///
/// It listens where it is told to and serves each connection in a task of its own. A device that
/// connects a second time replaces its older session. Before a device is let in, its connection has
/// one of [`Options::half_open_max`] places, a time limit and two small limits of bytes.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    entrances: Vec<(Listener, Entrance)>,
}

/// What a [`Server`] allows.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Options {
    /// How many connections each listener serves; what comes beyond is closed at once. Default
    /// 65,536.
    pub connections_max: usize,
    /// How many connections that are not let in yet are kept; for another one the oldest is closed.
    /// Default 1024.
    pub half_open_max: usize,
    /// What a session allows, and how long it waits.
    pub session: Config,
    /// What the streams of each device allow. How the device keeps them is found out.
    pub streams: mux::Config,
    /// How long sessions have to end when the server ends. Default 2 s.
    pub drain_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections_max: 65_536,
            half_open_max: 1024,
            session: Config::default(),
            streams: mux::Config::default(),
            drain_timeout: Duration::from_secs(2),
        }
    }
}

impl Options {
    /// These options with other numbers of connections: of each listener, and of those that are not
    /// let in yet.
    #[must_use]
    pub const fn with_connections_max(mut self, all: usize, half_open: usize) -> Self {
        self.connections_max = all;
        self.half_open_max = half_open;
        self
    }

    /// These options with other limits of each session.
    #[must_use]
    pub const fn with_session(mut self, session: Config) -> Self {
        self.session = session;
        self
    }

    /// These options with other limits of each device's streams.
    #[must_use]
    pub const fn with_streams(mut self, streams: mux::Config) -> Self {
        self.streams = streams;
        self
    }
}

impl Server {
    /// A server that listens nowhere yet.
    pub fn new(options: Options) -> Self {
        Self { shared: Arc::new(Shared::new(options)), entrances: Vec::new() }
    }

    /// Listens for plain TCP on `address`, port 0 for any free port. Gives the address with its port.
    /// Credentials go over it as they are, so that it is for networks that are trusted.
    ///
    /// # Cancel safety
    ///
    /// Safe: a dropped call leaves no socket open.
    pub async fn listen(&mut self, address: impl ToSocketAddrs) -> io::Result<SocketAddr> {
        self.open(address, Entrance::plain()).await
    }

    /// Listens for TLS on `address`. Clients of 2026 speak TLS 1.2 only.
    ///
    /// # Cancel safety
    ///
    /// Safe: a dropped call leaves no socket open.
    #[cfg(feature = "tls")]
    pub async fn listen_tls(
        &mut self,
        address: impl ToSocketAddrs,
        tls: pointstream_net::ServerTls,
    ) -> io::Result<SocketAddr> {
        self.open(address, Entrance::plain().with_tls(tls)).await
    }

    /// Listens for WebSocket connections to [`WS_PATH`] on `address`.
    ///
    /// # Cancel safety
    ///
    /// Safe: a dropped call leaves no socket open.
    #[cfg(feature = "ws")]
    pub async fn listen_ws(&mut self, address: impl ToSocketAddrs) -> io::Result<SocketAddr> {
        self.open(address, Entrance::plain().with_ws()).await
    }

    /// Listens for WebSocket connections to [`WS_PATH`] over TLS on `address`.
    ///
    /// # Cancel safety
    ///
    /// Safe: a dropped call leaves no socket open.
    #[cfg(all(feature = "tls", feature = "ws"))]
    pub async fn listen_wss(
        &mut self,
        address: impl ToSocketAddrs,
        tls: pointstream_net::ServerTls,
    ) -> io::Result<SocketAddr> {
        self.open(address, Entrance::plain().with_tls(tls).with_ws()).await
    }

    async fn open(
        &mut self,
        address: impl ToSocketAddrs,
        entrance: Entrance,
    ) -> io::Result<SocketAddr> {
        let listener = Listener::bind(address, self.shared.options.connections_max).await?;
        let address = listener.local_addr()?;
        self.entrances.push((listener, entrance));
        Ok(address)
    }

    /// The devices, for whoever wants to use them.
    pub fn devices(&self) -> Devices {
        Devices { shared: Arc::clone(&self.shared) }
    }

    /// Serves until `shutdown` completes. Then no connection is accepted any more, each device is told
    /// and its connection closed, for which there is [`Options::drain_timeout`].
    ///
    /// # Cancel safety
    ///
    /// Safe: when the call is dropped, all connections are closed at once.
    pub async fn run(
        self,
        authenticator: impl Authenticator,
        services: impl Services,
        shutdown: impl Future<Output = ()>,
    ) {
        let Self { shared, entrances } = self;
        let drain_timeout = shared.options.drain_timeout;
        let (stop, stopped) = watch::channel(false);
        let served = Arc::new(Served { shared, authenticator, services });
        let mut listening = JoinSet::new();
        for (listener, entrance) in entrances {
            let served = Arc::clone(&served);
            listening.spawn(accept(listener, entrance, served, stopped.clone()));
        }
        let mut shutdown = pin!(shutdown);
        tokio::select! {
            () = &mut shutdown => {}
            // Listeners never end by themselves; without one there is nothing to wait for but the end.
            () = async { while listening.join_next().await.is_some() {} },
                if !listening.is_empty() => {}
        }
        let _ = stop.send(true);
        let all = async { while listening.join_next().await.is_some() {} };
        // What has not ended by then ends with the set.
        let _ = timeout(drain_timeout, all).await;
    }
}

/// Serves what one listener accepts, each connection in a task, until the server stops and all of
/// them have ended.
async fn accept<A: Authenticator, S: Services>(
    listener: Listener,
    entrance: Entrance,
    served: Arc<Served<A, S>>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    let each = stopped.clone();
    loop {
        tokio::select! {
            biased;
            // An error means that the server itself is gone.
            _ = stopped.wait_for(|stopped| *stopped) => break,
            // A panic ends its connection and nothing else.
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => {
                let (served, entrance) = (Arc::clone(&served), entrance.clone());
                connections.spawn(serve::serve(served, entrance, accepted, each.clone()));
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// The devices of a server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Devices {
    shared: Arc<Shared>,
}

impl Devices {
    /// A device that is connected, or that somebody reads values of.
    pub fn find(&self, id: &DeviceId) -> Option<Device> {
        self.shared.find(id)
    }

    #[cfg(feature = "driver")]
    pub(crate) fn pin(&self, id: &DeviceId) -> shared::Pinned {
        self.shared.pin(id)
    }

    /// All of them, in no order.
    pub fn list(&self) -> Vec<Device> {
        let device = |state| Device { shared: Arc::clone(&self.shared), state };
        self.shared.list().into_iter().map(device).collect()
    }

    /// What happens at the server from here on. Whoever is slow misses the oldest events and is told
    /// how many.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.shared.observe()
    }

    /// Tells the devices of `user` that have subscribed to the event `name`.
    pub fn emit(&self, user: &str, name: &str, value: Payload) {
        let topics = self.shared.topics.lock();
        let told =
            topics.unwrap_or_else(std::sync::PoisonError::into_inner).event(user, name, None);
        let value = Arc::new(value);
        for recipient in told {
            recipient.send(Arc::clone(&value));
        }
    }

    /// How many connections were closed to make room, before they said who they are.
    pub fn evicted(&self) -> u64 {
        self.shared.evicted.load(core::sync::atomic::Ordering::Relaxed)
    }
}

fn dialect_name(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Old => "old",
        Dialect::Iotmp1 => "1",
        Dialect::Iotmp2 => "2",
    }
}
