//! A connector's trace as an event stream.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header;
use http_body::Frame;
use tokio::time::{Instant, Sleep};

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
    let body = Follow { feed, seq, first: true, wait: None, tick, last, connection };
    let headers =
        [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    (headers, Body::new(body)).into_response()
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
}

impl http_body::Body for Follow {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        loop {
            if this.connection.as_ref().is_some_and(|connection| connection.is_closing()) {
                return Poll::Ready(None);
            }
            if this.wait.is_none() {
                if let Some(event) = this.event() {
                    return Poll::Ready(Some(Ok(Frame::data(event))));
                }
                this.wait = Some(Arc::clone(&this.feed).changed(this.seq));
            }
            if let Some(wait) = &mut this.wait
                && wait.as_mut().poll(cx).is_ready()
            {
                this.wait = None;
                continue;
            }
            if this.tick.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            this.tick.as_mut().reset(now + LOOK);
            if now.duration_since(this.last) >= HEARTBEAT {
                this.last = now;
                return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b":\n\n")))));
            }
        }
    }
}
