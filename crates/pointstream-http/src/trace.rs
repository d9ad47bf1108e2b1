//! A connector's trace as an event stream.

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

/// Follows a trace from the number `seq` on, for as long as the client takes it. What has fallen
/// out of the ring meanwhile is counted in the next event.
pub(crate) fn follow(
    feed: Arc<dyn TraceFeed>,
    seq: u64,
    connection: Option<Arc<Connection>>,
) -> Response {
    let (next, last) = (Instant::now() + LOOK, Instant::now());
    let tick = Box::pin(tokio::time::sleep_until(next));
    let mut follow = Follow { feed, seq, first: true, wait: None, tick, last, connection };
    let headers =
        [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    (headers, body::streamed(move |cx| follow.poll_piece(cx))).into_response()
}

/// How often a stream looks whether its server ends.
const LOOK: Duration = Duration::from_secs(1);

/// After how long without an entry a comment shows that the stream lives.
const HEARTBEAT: Duration = Duration::from_secs(15);

struct Follow {
    feed: Arc<dyn TraceFeed>,
    seq: u64,
    first: bool,
    wait: Option<BoxFuture<'static, ()>>,
    tick: Pin<Box<Sleep>>,
    last: Instant,
    connection: Option<Arc<Connection>>,
}

impl Follow {
    /// The event with what has not been sent, if there is anything.
    fn event(&mut self) -> Option<Bytes> {
        let view = self.feed.since(self.seq);
        let told = view.entries.is_empty() && view.missed == 0 && !self.first;
        (self.seq, self.first) = (view.next, false);
        if told {
            return None;
        }
        self.last = Instant::now();
        // A flat struct of strings and numbers cannot fail.
        let json = serde_json::to_string(&view).unwrap_or_default();
        Some(format!("id: {}\nevent: trace\ndata: {json}\n\n", view.next).into())
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if self.connection.as_ref().is_some_and(|connection| connection.is_closing()) {
                return Poll::Ready(None);
            }
            if self.wait.is_none() {
                if let Some(event) = self.event() {
                    return Poll::Ready(Some(event));
                }
                self.wait = Some(Arc::clone(&self.feed).changed(self.seq));
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
