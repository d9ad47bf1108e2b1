use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io;

use bytes::Buf;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Kind, WebSocket};
use crate::Stream;

/// A [`WebSocket`] as a stream of bytes, see [`WebSocket::into_stream`].
#[derive(Debug)]
pub(crate) struct Bytes {
    socket: WebSocket,
    /// What has come and was not read yet.
    rest: bytes::Bytes,
}

impl Bytes {
    pub(crate) fn new(socket: WebSocket) -> Self {
        Self { socket, rest: bytes::Bytes::new() }
    }

    pub(crate) fn get_ref(&self) -> &Stream {
        self.socket.get_ref()
    }
}

impl AsyncRead for Bytes {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // An empty message is not the end of the stream.
        while self.rest.is_empty() {
            match ready!(self.socket.poll_recv(cx))? {
                Some(message) => self.rest = message.data,
                None => return Poll::Ready(Ok(())),
            }
        }
        let len = self.rest.len().min(buf.remaining());
        buf.put_slice(&self.rest[..len]);
        self.rest.advance(len);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Bytes {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.socket.poll_ready(cx))?;
        let len = buf.len().min(WebSocket::QUEUED_MAX);
        self.socket.feed(Kind::Binary, &buf[..len])?;
        // It is queued, whatever comes of sending it at once.
        let _ = self.socket.poll_drain(cx, 0)?;
        Poll::Ready(Ok(len))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_shutdown(cx)
    }
}
