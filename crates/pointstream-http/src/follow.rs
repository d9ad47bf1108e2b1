//! What grows entry by entry, as an event stream.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header;
use tokio::time::{Instant, Sleep};

use crate::body;
use crate::state::Connection;
use crate::{BoxFuture, TraceFeed};

/// What can be followed: its entries have numbers.
pub(crate) trait Followed: Send + Sync + 'static {
    /// What there is from the number `seq` on; `first` if nothing has been sent so far.
    fn look(&self, seq: u64, first: bool) -> Look;

    /// Waits until there is something from the number `seq` on.
    ///
    /// *Cancel safety*: cancel-safe, nothing is taken.
    fn changed(self: Arc<Self>, seq: u64) -> BoxFuture<'static, ()>;
}

/// What a look brought.
#[derive(Debug)]
pub(crate) struct Look {
    /// The number to look from next.
    pub(crate) next: u64,
    /// The event that tells it, if there is anything to tell.
    pub(crate) event: Option<Bytes>,
    /// Whether nothing comes after it.
    pub(crate) over: bool,
}

/// A connector's trace; what has fallen out of its ring meanwhile is counted in the next event.
pub(crate) struct Tracing(pub(crate) Arc<dyn TraceFeed>);

impl Followed for Tracing {
    fn look(&self, seq: u64, first: bool) -> Look {
        let view = self.0.since(seq);
        let next = view.next;
        if view.entries.is_empty() && view.missed == 0 && !first {
            return Look { next, event: None, over: false };
        }
        // A flat struct of strings and numbers cannot fail.
        let json = serde_json::to_string(&view).unwrap_or_default();
        let event = format!("id: {next}\nevent: trace\ndata: {json}\n\n");
        Look { next, event: Some(event.into()), over: false }
    }

    fn changed(self: Arc<Self>, seq: u64) -> BoxFuture<'static, ()> {
        Arc::clone(&self.0).changed(seq)
    }
}

/// Follows `followed` from the number `seq` on, until it is over or the client takes no more.
pub(crate) fn follow(
    followed: Arc<dyn Followed>,
    seq: u64,
    connection: Option<Arc<Connection>>,
) -> Response {
    let now = Instant::now();
    let tick = Box::pin(tokio::time::sleep_until(now + LOOK));
    let mut follow =
        Follow { followed, seq, first: true, over: false, wait: None, tick, last: now, connection };
    let headers =
        [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    (headers, body::streamed(move |cx| follow.poll_piece(cx))).into_response()
}

/// How often a stream looks whether its server ends.
const LOOK: Duration = Duration::from_secs(1);

/// After how long without an entry a comment shows that the stream lives.
const HEARTBEAT: Duration = Duration::from_secs(15);

struct Follow {
    followed: Arc<dyn Followed>,
    seq: u64,
    first: bool,
    over: bool,
    wait: Option<BoxFuture<'static, ()>>,
    tick: Pin<Box<Sleep>>,
    last: Instant,
    connection: Option<Arc<Connection>>,
}

impl Follow {
    /// The event with what has not been sent, if there is anything.
    fn event(&mut self) -> Option<Bytes> {
        let Look { next, event, over } = self.followed.look(self.seq, self.first);
        (self.seq, self.first, self.over) = (next, false, over);
        if event.is_some() {
            self.last = Instant::now();
        }
        event
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            let closing =
                self.connection.as_ref().is_some_and(|connection| connection.is_closing());
            if closing || self.over {
                return Poll::Ready(None);
            }
            if self.wait.is_none() {
                if let Some(event) = self.event() {
                    return Poll::Ready(Some(event));
                }
                self.wait = Some(Arc::clone(&self.followed).changed(self.seq));
            }
            if let Some(wait) = &mut self.wait
                && wait.as_mut().poll(cx).is_ready()
            {
                self.wait = None;
                continue;
            }
            if self.tick.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            self.tick.as_mut().reset(now + LOOK);
            if now.duration_since(self.last) >= HEARTBEAT {
                self.last = now;
                return Poll::Ready(Some(Bytes::from_static(b":\n\n")));
            }
        }
    }
}
