//! A Modbus TCP server that answers from a point source.

use core::future::Future;
use core::net::SocketAddr;
use core::pin::pin;
use core::time::Duration;
use std::io;
use std::sync::Arc;

use pointstream_net::{Accepted, Listener};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::ToSocketAddrs;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use crate::mbap::{self, ADU_LEN_MAX, Decoder};
use crate::source::{PointSource, answer};

/// A Modbus TCP server.
///
/// One task per connection, each answering its requests in order; a connection that sends
/// something else than Modbus TCP is closed. Nothing that a client sends makes the server keep
/// more than a request and its answers.
#[derive(Debug)]
pub struct Server {
    listener: Listener,
    limits: Limits,
}

/// What a [`Server`] allows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// How many connections are served at a time; what comes beyond is closed at once. Default 32.
    pub connections_max: usize,
    /// How long a connection may go without a whole request before it is closed. Default 5 min.
    pub idle_timeout: Duration,
    /// How long a client may take to accept its answer before it is closed. Default 10 s.
    pub write_timeout: Duration,
}

impl Limits {
    /// These limits with a number of connections.
    #[must_use]
    pub const fn with_connections_max(mut self, connections_max: usize) -> Self {
        self.connections_max = connections_max;
        self
    }

    /// These limits with an idle time-out.
    #[must_use]
    pub const fn with_idle_timeout(mut self, idle_timeout: Duration) -> Self {
        self.idle_timeout = idle_timeout;
        self
    }

    /// These limits with a write time-out.
    #[must_use]
    pub const fn with_write_timeout(mut self, write_timeout: Duration) -> Self {
        self.write_timeout = write_timeout;
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 32,
            idle_timeout: Duration::from_secs(5 * 60),
            write_timeout: Duration::from_secs(10),
        }
    }
}

impl Server {
    /// Listens on `address`, port 0 for any free port.
    ///
    /// # Cancel safety
    ///
    /// Safe: a dropped call leaves no socket open.
    pub async fn bind(address: impl ToSocketAddrs, limits: Limits) -> io::Result<Self> {
        let listener = Listener::bind(address, limits.connections_max).await?;
        Ok(Self { listener, limits })
    }

    /// The address listened on, with its real port.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves `source` until `shutdown` completes. Then no connection is accepted any more, each
    /// one finishes the answer that it is sending, for which it has a second, and is closed.
    ///
    /// # Cancel safety
    ///
    /// Safe: when the call is dropped, all connections are closed at once.
    pub async fn run(self, source: impl PointSource, shutdown: impl Future<Output = ()>) {
        let source = Arc::new(source);
        let (stop, stopped) = watch::channel(false);
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                // A panic in the source ends its connection and nothing else.
                Some(_) = connections.join_next() => {}
                accepted = self.listener.accept() => {
                    let (source, limits) = (Arc::clone(&source), self.limits);
                    connections.spawn(serve(accepted, source, limits, stopped.clone()));
                }
            }
        }
        drop(self.listener);
        let _ = stop.send(true);
        let all = async { while connections.join_next().await.is_some() {} };
        // What has not ended by then ends with the set.
        let _ = timeout(SHUTDOWN_GRACE, all).await;
    }
}

/// How long connections have to finish when the server ends.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);

async fn serve<P: PointSource>(
    mut accepted: Accepted,
    source: Arc<P>,
    limits: Limits,
    mut stopped: watch::Receiver<bool>,
) {
    let stream = &mut accepted.stream;
    let mut decoder = Decoder::new();
    let mut input = [0; ADU_LEN_MAX];
    let mut out = Vec::with_capacity(ADU_LEN_MAX);
    let mut pdu = Vec::with_capacity(ADU_LEN_MAX);
    let mut idle_at = Instant::now() + limits.idle_timeout;
    loop {
        let read = tokio::select! {
            biased;
            // An error means that the server itself is gone.
            _ = stopped.wait_for(|stopped| *stopped) => return,
            read = timeout_at(idle_at, stream.read(&mut input)) => read,
        };
        let Ok(Ok(len @ 1..)) = read else { return };
        let mut bytes = input.get(..len).unwrap_or(&[]);
        loop {
            let frame = match decoder.decode(&mut bytes) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(_) => return,
            };
            out.clear();
            answer(&*source, frame.header.unit, frame.pdu, &mut pdu).await;
            let framed = mbap::encode(frame.header, &mut out, |out| {
                out.append(&mut pdu);
                Ok::<_, core::convert::Infallible>(())
            });
            let Ok(()) = framed;
            let Ok(Ok(())) = timeout(limits.write_timeout, stream.write_all(&out)).await else {
                return;
            };
            idle_at = Instant::now() + limits.idle_timeout;
        }
    }
}
