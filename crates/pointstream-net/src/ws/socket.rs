use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io;

use bytes::Buf;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Event, Frames, Kind, Message, Side, WsError};
use crate::Stream;

/// A WebSocket connection, message by message.
#[derive(Debug)]
pub struct WebSocket {
    stream: Stream,
    frames: Frames,
    close_code: Option<u16>,
}

impl WebSocket {
    /// The connection on `stream`, whose opening handshake has been done, and after which `read`
    /// was read already. Messages that are longer than `message_len_max` end it.
    pub fn new(stream: Stream, side: Side, message_len_max: usize, read: &[u8]) -> Self {
        let mut frames = Frames::new(side, message_len_max);
        frames.handle_input(read);
        Self { stream, frames, close_code: None }
    }

    /// The next message; `None` once the other side has closed. Pings are answered meanwhile.
    ///
    /// # Errors
    ///
    /// Those of the stream; [`io::ErrorKind::InvalidData`] with a [`WsError`] where what comes is
    /// not WebSocket or too long; [`io::ErrorKind::UnexpectedEof`] where the stream ends without
    /// a close frame.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing that was read is lost.
    pub async fn recv(&mut self) -> io::Result<Option<Message>> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// [`Self::recv`] as a poll.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Message>>> {
        loop {
            match self.poll_event(cx) {
                Poll::Ready(Ok(Some(Event::Message(message)))) => {
                    return Poll::Ready(Ok(Some(message)));
                }
                Poll::Ready(Ok(Some(_))) => {}
                Poll::Ready(Ok(None)) => return Poll::Ready(Ok(None)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// The next event, pongs and the end included; `None` after the end.
    ///
    /// # Errors
    ///
    /// As [`Self::recv`].
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Event>>> {
        loop {
            let event = self.frames.poll_event();
            // Pongs and close frames go out while there is nothing to read.
            if !self.frames.transmit().is_empty()
                && let Poll::Ready(Err(error)) = self.poll_drain(cx, 0)
                && event.is_ok()
            {
                return Poll::Ready(Err(error));
            }
            match event {
                Ok(Some(Event::Closed(code))) => {
                    self.close_code = Some(code);
                    return Poll::Ready(Ok(Some(Event::Closed(code))));
                }
                Ok(Some(event)) => return Poll::Ready(Ok(Some(event))),
                Err(error) => return Poll::Ready(Err(invalid(error))),
                Ok(None) if self.frames.has_ended() => return Poll::Ready(Ok(None)),
                Ok(None) => {}
            }
            let mut space = [0; READ_LEN];
            let mut buf = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))?;
            if buf.filled().is_empty() {
                let text = "the connection ended without a close frame";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, text)));
            }
            self.frames.handle_input(buf.filled());
        }
    }

    /// Sends a message.
    ///
    /// # Errors
    ///
    /// Those of the stream; [`io::ErrorKind::BrokenPipe`] once the connection is closing.
    ///
    /// # Cancel safety
    ///
    /// The message is queued whole by the first poll; a dropped call leaves sending the rest of it
    /// to the next one. Whoever drops calls in a loop queues without a bound: wait for
    /// [`Self::poll_ready`] first.
    pub async fn send(&mut self, kind: Kind, data: &[u8]) -> io::Result<()> {
        self.frames.send(kind, data).map_err(closing)?;
        self.flush().await
    }

    /// Waits until less than [`Self::QUEUED_MAX`] bytes wait to be sent.
    ///
    /// # Errors
    ///
    /// Those of the stream.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_drain(cx, Self::QUEUED_MAX)
    }

    /// Queues a message without sending it yet; for several in one write, between
    /// [`Self::poll_ready`] and [`Self::flush`].
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::BrokenPipe`] once the connection is closing.
    pub fn feed(&mut self, kind: Kind, data: &[u8]) -> io::Result<()> {
        self.frames.send(kind, data).map_err(closing)
    }

    /// Queues a ping; [`Self::flush`] or [`Self::recv`] sends it.
    pub fn ping(&mut self) {
        self.frames.ping();
    }

    /// Sends what is queued.
    ///
    /// # Errors
    ///
    /// Those of the stream.
    ///
    /// # Cancel safety
    ///
    /// Safe: what was not sent stays queued.
    pub async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// [`Self::flush`] as a poll.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx, 0))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Says `code` and ends the connection, without waiting for the other side's close frame.
    ///
    /// # Errors
    ///
    /// Those of the stream.
    ///
    /// # Cancel safety
    ///
    /// Safe: a second call goes on.
    pub async fn close(&mut self, code: u16) -> io::Result<()> {
        self.frames.close(code);
        self.flush().await?;
        poll_fn(|cx| Pin::new(&mut self.stream).poll_shutdown(cx)).await
    }

    /// Why the other side closed (RFC 6455 section 7.4), once it has; 1005 for no reason.
    pub fn close_code(&self) -> Option<u16> {
        self.close_code
    }

    /// The connection as a stream of bytes: what is written goes out as binary messages, and what
    /// messages hold is read, one after the other, without their borders.
    pub fn into_stream(self) -> Stream {
        Stream::ws(super::Bytes::new(self))
    }

    /// The stream below.
    pub fn get_ref(&self) -> &Stream {
        &self.stream
    }

    /// How many queued bytes [`Self::poll_ready`] lets stand.
    pub const QUEUED_MAX: usize = 64 * 1024;

    pub(super) fn poll_drain(
        &mut self,
        cx: &mut Context<'_>,
        down_to: usize,
    ) -> Poll<io::Result<()>> {
        // The pong that waits is queued by asking.
        self.frames.transmit();
        while self.frames.queued() > down_to {
            let output = self.frames.transmit();
            let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, output))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            output.advance(sent);
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.frames.close(CODE_NORMAL);
        ready!(self.poll_flush(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

fn invalid(error: WsError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

fn closing(error: WsError) -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, error)
}

const READ_LEN: usize = 8 * 1024;
const CODE_NORMAL: u16 = 1000;
