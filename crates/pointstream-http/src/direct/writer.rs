use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::{io, mem};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::Direct;
use super::chorus::{Joiner, Place};
use super::chunk::{Batch, COPIED_BYTES_MAX, Chunk};
use crate::metrics::increment;
use crate::sse::Feed;
use crate::state::App;

/// One subscriber: a socket, a feed, and what of the feed the socket has not taken.
pub(crate) struct Writer {
    way: Way,
    feed: Feed,
    batch: Batch,
    ended: bool,
    /// Runs while the socket takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    /// What the client sent after its request.
    rest: Vec<u8>,
    app: Arc<App>,
}

/// How a subscriber is sent what comes.
enum Way {
    /// By its own writer, from its own cursor.
    Alone(TcpStream),
    /// With others who have all there is.
    Together(Place),
    Gone,
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
        Self { way: Way::Alone(stream), feed, batch, ended: false, stalled: None, rest, app }
    }

    /// Writes what there is to write; ready when nothing more will come.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut fresh = true;
        if let Way::Together(place) = &self.way {
            if self.feed.is_closing() {
                self.way = place.leave().map_or(Way::Gone, Way::Alone);
            } else {
                let (rest, max) = (&mut self.rest, self.app.options.limits.head_bytes_max);
                let back = ready!(place.poll(cx, |stream, cx| read(stream, cx, rest, max)))?;
                self.feed.go_on_from(back.cursor);
                (self.way, self.batch) = (Way::Alone(back.stream), back.batch);
                fresh = self.batch.is_written();
            }
        }
        let Way::Alone(stream) = &mut self.way else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        read(stream, cx, &mut self.rest, self.app.options.limits.head_bytes_max)?;
        loop {
            // What is left from before is written before anything is taken from the feed.
            if fresh {
                self.fill(cx);
            }
            fresh = true;
            if self.batch.is_written() {
                if self.ended {
                    return Poll::Ready(Ok(()));
                }
                self.join(cx);
                return Poll::Pending;
            }
            ready!(self.poll_write(cx))?;
        }
    }

    /// What is left when [`poll`](Self::poll) was ready.
    pub(crate) fn finish(self, result: &io::Result<()>) -> Outcome {
        match (result, self.way) {
            (Ok(()), Way::Alone(stream)) => Outcome::Ended { stream, rest: self.rest },
            _ => Outcome::Gone,
        }
    }

    /// Goes on with others who have all there is, if there are such.
    fn join(&mut self, cx: &Context<'_>) {
        let Some((subscription, session)) = self.feed.shareable() else { return };
        let Way::Alone(stream) = mem::replace(&mut self.way, Way::Gone) else { return };
        let joiner = Joiner { stream, subscription, session, waker: cx.waker() };
        match self.app.choruses.join(joiner, || self.feed.heartbeat()) {
            Ok(place) => {
                self.way = Way::Together(place);
                self.feed.rest();
            }
            Err(stream) => self.way = Way::Alone(stream),
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
        let Way::Alone(stream) = &mut self.way else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let stream = Pin::new(stream);
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
                if let Way::Alone(stream) = &self.way {
                    let _ = stream.set_zero_linger();
                }
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

/// Sees whether the client has closed. What it sends meanwhile is kept for the library, and beyond the
/// length of a head left with the system.
fn read(
    stream: &mut TcpStream,
    cx: &mut Context<'_>,
    rest: &mut Vec<u8>,
    max: usize,
) -> io::Result<()> {
    while rest.len() < max {
        let mut bytes = [0; 512];
        let mut buffer = ReadBuf::new(&mut bytes);
        match Pin::new(&mut *stream).poll_read(cx, &mut buffer) {
            Poll::Pending => break,
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Poll::Ready(Ok(())) => rest.extend_from_slice(buffer.filled()),
        }
    }
    Ok(())
}

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
