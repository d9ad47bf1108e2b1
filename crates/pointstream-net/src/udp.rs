use core::time::Duration;
use std::io;

use tokio::net::{UdpSocket, lookup_host};
use tokio::time::timeout as within;

use crate::{Endpoint, Stream};

/// A datagram socket towards `endpoint`: each write is one datagram, each read gives one, and what
/// others send is not heard.
///
/// Nothing is sent by it, so that an absent peer is found out later if at all. A datagram that is
/// longer than the buffer it is read into loses its end.
///
/// # Errors
///
/// [`io::ErrorKind::NotFound`] when the name has no address; [`io::ErrorKind::TimedOut`] when
/// resolving it took longer than `timeout`.
///
/// # Cancel safety
///
/// Safe: a dropped call leaves no socket open.
pub async fn dial_udp(endpoint: &Endpoint, timeout: Duration) -> io::Result<Stream> {
    let (host, port) = (endpoint.host(), endpoint.port());
    let unknown = |why: &dyn core::fmt::Display| {
        io::Error::new(io::ErrorKind::NotFound, format!("Unknown host: {host} ({why})"))
    };
    let address = match within(timeout, lookup_host((host, port))).await {
        Ok(Ok(mut addresses)) => addresses.next().ok_or_else(|| unknown(&"no address"))?,
        Ok(Err(error)) => return Err(unknown(&error)),
        Err(_) => {
            let text = format!("resolving {host}: timed out after {timeout:?}");
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
    };
    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(address).await?;
    Ok(Stream::udp(socket))
}
