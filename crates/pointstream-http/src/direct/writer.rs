use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::Direct;
use super::chunk::{Batch, Chunk};
use crate::metrics::increment;
use crate::sse::Feed;
use crate::state::App;

/// One subscriber: a socket, a feed, and what of the feed the socket has not taken.
pub(crate) struct Writer {
    stream: TcpStream,
    feed: Feed,
    batch: Batch,
    ended: bool,
    /// Runs while the socket takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    /// What the client sent after its request.
    rest: Vec<u8>,
    app: Arc<App>,
}

/// How a subscriber's stream has ended.
pub(crate) enum Outcome {
    /// The stream was written to its end; the connection may go on.
    Ended {
        /// The connection.
        stream: TcpStream,
        /// What the client sent meanwhile.
        rest: Vec<u8>,
    },
    /// The client has gone, or took nothing for too long.
    Gone,
}

impl Writer {
    pub(crate) fn new(stream: TcpStream, direct: Direct, app: Arc<App>) -> Self {
        let Direct { head, feed, rest } = direct;
        let mut batch = Batch::default();
        batch.push(Chunk::bare(head));
        Self { stream, feed, batch, ended: false, stalled: None, rest, app }
    }

    /// Writes what there is to write; ready when nothing more will come.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_read(cx)?;
        loop {
            self.fill(cx);
            if self.batch.is_written() {
                return if self.ended { Poll::Ready(Ok(())) } else { Poll::Pending };
            }
            ready!(self.poll_write(cx))?;
        }
    }

    /// What is left when [`poll`](Self::poll) was ready.
    pub(crate) fn finish(self, result: &io::Result<()>) -> Outcome {
        match result {
            Ok(()) => Outcome::Ended { stream: self.stream, rest: self.rest },
            Err(_) => Outcome::Gone,
        }
    }

    /// Takes pieces from the feed as long as they fit beside what is still to write.
    fn fill(&mut self, cx: &mut Context<'_>) {
        // A batch that the socket did not take whole is finished first: what the client has no room
        // for stays on the hub's ring.
        let begun = self.stalled.is_some();
        while !begun && !self.ended && !self.batch.is_full() {
            match self.feed.poll_piece(cx) {
                Poll::Ready(Some(piece)) => self.batch.push(Chunk::framed(piece)),
                Poll::Ready(None) => {
                    self.ended = true;
                    self.batch.push(Chunk::bare(Bytes::from_static(LAST_CHUNK)));
                }
                Poll::Pending => break,
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = Pin::new(&mut self.stream);
        let mut buffer = [0; COPIED_BYTES_MAX];
        let wrote = match self.batch.copy(&mut buffer) {
            Some(bytes) => stream.poll_write(cx, bytes),
            None => self.batch.write(|slices| stream.poll_write_vectored(cx, slices)),
        };
        match wrote {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(count)) => {
                self.stalled = None;
                self.batch.on_written(count);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                let timeout = self.app.options.limits.stall_timeout;
                let stalled =
                    self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
                ready!(stalled.as_mut().poll(cx));
                increment(&self.app.counters.stalled);
                // What the system holds for the client is thrown away as well.
                let _ = self.stream.set_zero_linger();
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }

    /// Sees whether the client has closed. What it sends meanwhile is kept for the library, and
    /// beyond the length of a head left with the system.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while self.rest.len() < self.app.options.limits.head_bytes_max {
            let mut bytes = [0; 512];
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Pending => break,
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Poll::Ready(Ok(())) => self.rest.extend_from_slice(buffer.filled()),
            }
        }
        Ok(())
    }
}

/// Up to this length, a batch is copied together.
const COPIED_BYTES_MAX: usize = 2 << 10;

/// Ends a chunked body.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscriber_is_small() {
        let size = size_of::<Writer>();
        assert!(size <= 448, "{size}");
    }
}
