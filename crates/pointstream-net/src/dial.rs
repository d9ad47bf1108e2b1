use core::time::Duration;
use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};

use crate::{Endpoint, Stream};

/// Opens a stream to `endpoint` within `timeout`.
///
/// The host is resolved and its addresses are tried one after the other in the resolver's order;
/// each gets an equal share of the time that is left, so that one which swallows packets does not
/// keep the next from being tried. The stream has `TCP_NODELAY` and the system's keep-alive set.
///
/// # Errors
///
/// [`io::ErrorKind::NotFound`] when the name has no address; [`io::ErrorKind::TimedOut`] when the
/// time is over; else what the last address answered. The message names the endpoint.
///
/// # Cancel safety
///
/// Safe: a dropped call leaves no stream open.
pub async fn dial(endpoint: &Endpoint, timeout: Duration) -> io::Result<Stream> {
    let deadline = Instant::now() + timeout;
    let lookup = lookup_host((endpoint.host(), endpoint.port()));
    let addresses: Vec<SocketAddr> = match timeout_at(deadline, lookup).await {
        Ok(Ok(addresses)) => addresses.take(ADDRESSES_MAX).collect(),
        Ok(Err(error)) => {
            let text = format!("Unknown host: {} ({error})", endpoint.host());
            return Err(io::Error::new(io::ErrorKind::NotFound, text));
        }
        Err(_) => return Err(timed_out(endpoint, timeout)),
    };
    let mut last = io::Error::new(
        io::ErrorKind::NotFound,
        format!("Unknown host: {} (no address)", endpoint.host()),
    );
    for (index, &address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - index).unwrap_or(1);
        last = match timeout_at(Instant::now() + share, connect(address)).await {
            Ok(Ok(stream)) => return Ok(Stream::tcp(stream)),
            Ok(Err(error)) => {
                io::Error::new(error.kind(), format!("connecting to {endpoint}: {error}"))
            }
            Err(_) => timed_out(endpoint, timeout),
        };
    }
    Err(last)
}

/// How many addresses of one name are tried.
const ADDRESSES_MAX: usize = 8;

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_keepalive(true)?;
    socket.set_nodelay(true)?;
    socket.connect(address).await
}

fn timed_out(endpoint: &Endpoint, timeout: Duration) -> io::Error {
    let text = format!("connecting to {endpoint}: timed out after {timeout:?}");
    io::Error::new(io::ErrorKind::TimedOut, text)
}
