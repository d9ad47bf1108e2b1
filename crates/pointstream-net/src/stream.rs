use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::io::{self, IoSlice};
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UdpSocket};

/// A connection, of whatever transport.
///
/// Dropping it closes it.
#[derive(Debug)]
pub struct Stream(Inner);

#[derive(Debug)]
enum Inner {
    Tcp(TcpStream),
    Udp(UdpSocket),
    #[cfg(feature = "serial")]
    Serial(serial2_tokio::SerialPort),
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::TlsStream<Stream>>),
    #[cfg(feature = "ws")]
    Ws(Box<crate::ws::Bytes>),
    Other(Box<dyn Io>),
}

/// What a stream of somebody else's making can do.
trait Io: AsyncRead + AsyncWrite + fmt::Debug + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + fmt::Debug + Send + Unpin> Io for T {}

impl Stream {
    pub(crate) fn tcp(stream: TcpStream) -> Self {
        Self(Inner::Tcp(stream))
    }

    pub(crate) fn udp(socket: UdpSocket) -> Self {
        Self(Inner::Udp(socket))
    }

    #[cfg(feature = "serial")]
    pub(crate) fn serial(port: serial2_tokio::SerialPort) -> Self {
        Self(Inner::Serial(port))
    }

    /// A stream over something that was opened elsewhere, such as a connection that an HTTP server
    /// handed over, or one end of a pipe in a test. Its addresses are not known.
    pub fn other(io: impl AsyncRead + AsyncWrite + fmt::Debug + Send + Unpin + 'static) -> Self {
        Self(Inner::Other(Box::new(io)))
    }

    #[cfg(feature = "tls")]
    pub(crate) fn tls(stream: tokio_rustls::TlsStream<Self>) -> Self {
        Self(Inner::Tls(Box::new(stream)))
    }

    #[cfg(feature = "ws")]
    pub(crate) fn ws(stream: crate::ws::Bytes) -> Self {
        Self(Inner::Ws(Box::new(stream)))
    }

    /// The application protocol that a TLS handshake agreed on (ALPN), if this stream is secured
    /// and it did.
    #[cfg(feature = "tls")]
    pub fn alpn(&self) -> Option<&[u8]> {
        match &self.0 {
            Inner::Tls(stream) => stream.get_ref().1.alpn_protocol(),
            _ => None,
        }
    }

    /// The other end's socket address, where the transport has one and it is still connected.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        match &self.0 {
            Inner::Tcp(stream) => stream.peer_addr().ok(),
            Inner::Udp(socket) => socket.peer_addr().ok(),
            #[cfg(feature = "serial")]
            Inner::Serial(_) => None,
            #[cfg(feature = "tls")]
            Inner::Tls(stream) => stream.get_ref().0.peer_addr(),
            #[cfg(feature = "ws")]
            Inner::Ws(stream) => stream.get_ref().peer_addr(),
            Inner::Other(_) => None,
        }
    }

    /// This end's socket address, where the transport has one.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.0 {
            Inner::Tcp(stream) => stream.local_addr().ok(),
            Inner::Udp(socket) => socket.local_addr().ok(),
            #[cfg(feature = "serial")]
            Inner::Serial(_) => None,
            #[cfg(feature = "tls")]
            Inner::Tls(stream) => stream.get_ref().0.local_addr(),
            #[cfg(feature = "ws")]
            Inner::Ws(stream) => stream.get_ref().local_addr(),
            Inner::Other(_) => None,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Inner::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Inner::Udp(socket) => socket.poll_recv(cx, buf),
            #[cfg(feature = "serial")]
            Inner::Serial(port) => Pin::new(port).poll_read(cx, buf),
            #[cfg(feature = "tls")]
            Inner::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
            #[cfg(feature = "ws")]
            Inner::Ws(stream) => Pin::new(stream).poll_read(cx, buf),
            Inner::Other(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Inner::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Inner::Udp(socket) => socket.poll_send(cx, buf),
            #[cfg(feature = "serial")]
            Inner::Serial(port) => Pin::new(port).poll_write(cx, buf),
            #[cfg(feature = "tls")]
            Inner::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
            #[cfg(feature = "ws")]
            Inner::Ws(stream) => Pin::new(stream).poll_write(cx, buf),
            Inner::Other(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Inner::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Inner::Udp(socket) => {
                let first = bufs.iter().find(|buf| !buf.is_empty());
                socket.poll_send(cx, first.map_or(&[], |buf| buf))
            }
            #[cfg(feature = "serial")]
            Inner::Serial(port) => Pin::new(port).poll_write_vectored(cx, bufs),
            #[cfg(feature = "tls")]
            Inner::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            #[cfg(feature = "ws")]
            Inner::Ws(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Inner::Other(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.0 {
            Inner::Tcp(stream) => stream.is_write_vectored(),
            Inner::Udp(_) => false,
            #[cfg(feature = "serial")]
            Inner::Serial(port) => port.is_write_vectored(),
            #[cfg(feature = "tls")]
            Inner::Tls(stream) => stream.is_write_vectored(),
            #[cfg(feature = "ws")]
            Inner::Ws(stream) => stream.is_write_vectored(),
            Inner::Other(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Inner::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Inner::Udp(_) => Poll::Ready(Ok(())),
            #[cfg(feature = "serial")]
            Inner::Serial(port) => Pin::new(port).poll_flush(cx),
            #[cfg(feature = "tls")]
            Inner::Tls(stream) => Pin::new(stream).poll_flush(cx),
            #[cfg(feature = "ws")]
            Inner::Ws(stream) => Pin::new(stream).poll_flush(cx),
            Inner::Other(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Inner::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Inner::Udp(_) => Poll::Ready(Ok(())),
            #[cfg(feature = "serial")]
            Inner::Serial(port) => Pin::new(port).poll_shutdown(cx),
            #[cfg(feature = "tls")]
            Inner::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            #[cfg(feature = "ws")]
            Inner::Ws(stream) => Pin::new(stream).poll_shutdown(cx),
            Inner::Other(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
