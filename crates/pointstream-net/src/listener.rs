use core::net::SocketAddr;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::io;
use std::sync::Arc;

use tokio::net::{TcpListener, ToSocketAddrs};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

use crate::Stream;

/// Accepts streams, at most so many at a time.
///
/// What comes beyond the maximum is accepted, counted and closed at once, so that the peer sees a
/// clear end instead of waiting in a backlog. A place becomes free when its [`Accepted`] is
/// dropped.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    places: Arc<Semaphore>,
    refused: AtomicU64,
}

/// A stream that a [`Listener`] accepted, with its place among the connections.
#[derive(Debug)]
pub struct Accepted {
    /// The stream.
    pub stream: Stream,
    /// Where it comes from.
    pub peer: SocketAddr,
    _place: OwnedSemaphorePermit,
}

impl Listener {
    /// Listens on `address` (port 0 for any free port) for up to `connections_max` connections at
    /// a time.
    ///
    /// # Cancel safety
    ///
    /// Safe: a dropped call leaves no socket open.
    pub async fn bind(address: impl ToSocketAddrs, connections_max: usize) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let places = Arc::new(Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS)));
        Ok(Self { socket, places, refused: AtomicU64::new(0) })
    }

    /// The address listened on, with its real port.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// How many connections were closed at once because the maximum was reached.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// How many connections more would be served at present.
    pub fn places_free(&self) -> usize {
        self.places.available_permits()
    }

    /// Waits for the next connection for which there is a place.
    ///
    /// Does not fail: a connection that broke before it was accepted is passed over, and when the
    /// system is out of descriptors or memory, it is asked again after [`Self::RETRY_DELAY`].
    ///
    /// # Cancel safety
    ///
    /// Safe: no connection is lost when the call is dropped while it waits.
    pub async fn accept(&self) -> Accepted {
        loop {
            match self.socket.accept().await {
                Ok((stream, peer)) => {
                    let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
                        self.refused.fetch_add(1, Ordering::Relaxed);
                        continue;
                    };
                    // A peer that is gone already is found out by the first read.
                    let _ = stream.set_nodelay(true);
                    return Accepted { stream: Stream::tcp(stream), peer, _place: place };
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(_) => sleep(Self::RETRY_DELAY).await,
            }
        }
    }

    /// The pause after the system refused to accept for want of resources.
    pub const RETRY_DELAY: Duration = Duration::from_millis(100);
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
