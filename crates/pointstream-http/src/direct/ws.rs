use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use pointstream_hub::{ErrorCode, Event, Fault, Subscription};
use pointstream_net::Stream as Net;
use pointstream_net::ws::{Kind, Side, WebSocket};
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;
use tracing::debug;

use crate::io::StallStream;
use crate::sse::{Heartbeat, Stream};
use crate::state::App;

/// A topic over WebSocket: each event is a text message `{"id": …, "type": …, "data": …}`, the same
/// JSON as in an event stream. What the client sends is not looked at.
pub(crate) struct Ws {
    head: Bytes,
    stream: Stream,
    /// Or why there is nothing to follow.
    subscription: Result<Subscription, Fault>,
    /// What the client sent after its request.
    rest: Vec<u8>,
}

impl Ws {
    pub(super) const fn new(
        head: Bytes,
        stream: Stream,
        subscription: Result<Subscription, Fault>,
        rest: Vec<u8>,
    ) -> Self {
        Self { head, stream, subscription, rest }
    }

    /// Serves the connection to its end, which comes at the latest when the server ends.
    pub(crate) async fn run(
        mut self,
        mut io: StallStream,
        app: Arc<App>,
        mut ending: watch::Receiver<bool>,
    ) {
        if io.write_all(&self.head).await.is_err() {
            return;
        }
        let heartbeat = self.stream.heartbeat();
        let socket = WebSocket::new(Net::other(io), Side::Server, MESSAGE_BYTES_MAX, &self.rest);
        let Self { stream, subscription, .. } = self;
        let mut link = Link { socket, stream, heartbeat };
        let code = match subscription {
            Ok(mut subscription) => {
                let followed = poll_fn(|cx| link.poll(cx, &mut subscription));
                tokio::select! {
                    biased;
                    _ = ending.changed() => GOING_AWAY,
                    followed = followed => match followed {
                        Ok(code) => code,
                        Err(error) => {
                            debug!(%error, "A WebSocket broke.");
                            return;
                        }
                    },
                }
            }
            Err(fault) => link.refuse(&fault).map_or(GOING_AWAY, |()| REFUSED),
        };
        // Whether the client takes it or not, the connection ends here.
        let closing = link.socket.close(code);
        let _ = tokio::time::timeout(app.options.limits.drain_timeout, closing).await;
    }
}

/// One connection.
struct Link {
    socket: WebSocket,
    stream: Stream,
    heartbeat: Heartbeat,
}

impl Link {
    /// Sends events as the client takes them; ready with the code to close with.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        subscription: &mut Subscription,
    ) -> Poll<io::Result<u16>> {
        while let Poll::Ready(event) = self.socket.poll_event(cx) {
            if event?.is_none() {
                return Poll::Ready(Ok(NORMAL));
            }
        }
        loop {
            // An event is taken from the hub when the one before has gone out: what the client has no
            // room for is not queued.
            ready!(self.socket.poll_flush(cx))?;
            match subscription.poll_event(cx) {
                Poll::Ready(Some(Ok(event))) => self.send(&event)?,
                Poll::Ready(Some(Err(_)) | None) => {
                    let removed = Fault::new(ErrorCode::Topic, "The topic was removed.");
                    self.refuse(&removed)?;
                    return Poll::Ready(Ok(NORMAL));
                }
                Poll::Pending if self.heartbeat.poll_due(cx) => {
                    self.heartbeat.on_write();
                    self.socket.ping();
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn send(&mut self, event: &Event) -> io::Result<()> {
        self.heartbeat.on_write();
        if let Some(fault) = event.fault() {
            return self.refuse(fault);
        }
        let head =
            format!(r#"{{"id":"{}","type":"{}","data":"#, event.revision(), event.kind().as_str());
        let body = event.body();
        let mut text = Vec::with_capacity(head.len() + body.len() + 1);
        text.extend_from_slice(head.as_bytes());
        text.extend_from_slice(&body);
        text.push(b'}');
        self.socket.feed(Kind::Text, &text)
    }

    /// Tells what is wrong, without an id: a client that comes back must not resume from it.
    fn refuse(&mut self, fault: &Fault) -> io::Result<()> {
        let text = format!(r#"{{"type":"error","data":{}}}"#, self.stream.json(fault));
        self.socket.feed(Kind::Text, text.as_bytes())
    }
}

/// The bytes of a client's message; a longer one ends its connection.
const MESSAGE_BYTES_MAX: usize = 4_096;

/// RFC 6455, section 7.4.1.
const NORMAL: u16 = 1_000;
const GOING_AWAY: u16 = 1_001;
/// A policy that the request breaks.
const REFUSED: u16 = 1_008;
