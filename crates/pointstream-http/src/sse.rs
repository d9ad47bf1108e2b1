use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};
use http_body::Frame;
use pointstream_hub::{ErrorCode, Fault, Subscription};
use pointstream_time::Seed;
use tokio::time::{Instant, Sleep};

use crate::clock;
use crate::state::{App, Connection};

/// One event stream from its head to its end.
pub(crate) struct Stream {
    app: Arc<App>,
    seed: Seed,
    session: String,
}

/// Why a stream has nothing more to say (section 5.3 of the hub's specification).
#[derive(Clone, Copy, Debug)]
pub(crate) enum StreamError {
    BadAccept,
    UnknownTopic,
    SubscribersMax,
    TopicRemoved,
}

impl Stream {
    pub(crate) fn new(app: Arc<App>) -> Self {
        let mut seed = app.split_seed();
        let session = format!("{:016x}{:016x}", seed.next_u64(), seed.next_u64());
        Self { app, seed, session }
    }

    /// The answer that follows `subscription` for as long as the client takes it.
    pub(crate) fn follow(
        self,
        subscription: Subscription,
        connection: Option<Arc<Connection>>,
    ) -> Response {
        let head = head(self.app.options.retry);
        self.respond(head, Some(subscription), connection)
    }

    /// The answer that says why there is nothing to follow.
    pub(crate) fn refuse(self, error: StreamError) -> Response {
        let mut text = head(RETRY_AFTER_ERROR);
        text.push_str(&error.event(&self.session));
        let mut response = self.respond(text, None, None);
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        response
    }

    fn respond(
        mut self,
        head: String,
        subscription: Option<Subscription>,
        connection: Option<Arc<Connection>>,
    ) -> Response {
        let interval = jittered(self.app.options.heartbeat, &mut self.seed);
        let heartbeat = Heartbeat { interval, wrote: self.app.started, sleep: None };
        let session = HeaderValue::from_str(&self.session);
        let head = Some(head.into());
        let body = SseBody { head, subscription, heartbeat, connection, stream: self };
        let mut response = Response::new(Body::new(body));
        for (name, value) in HEADERS {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        if let Ok(session) = session {
            response.headers_mut().insert(HeaderName::from_static("x-sd-session"), session);
        }
        response
    }
}

impl StreamError {
    const fn code(self) -> ErrorCode {
        match self {
            Self::BadAccept => ErrorCode::BadRequest,
            Self::SubscribersMax => ErrorCode::ConnectionLimit,
            Self::UnknownTopic => ErrorCode::TopicNotFound,
            Self::TopicRemoved => ErrorCode::Topic,
        }
    }

    const fn message(self) -> &'static str {
        match self {
            Self::BadAccept => {
                "This topic is sent as text/event-stream: accept that, application/json-patch+json \
                 for patches or application/json for whole documents; X-Sd-Mode is patch or snapshot."
            }
            Self::SubscribersMax => {
                "The topic has as many subscribers as it takes; try again later."
            }
            Self::UnknownTopic => "There is no such topic; GET /v1/topics lists them.",
            Self::TopicRemoved => "The topic was removed.",
        }
    }

    /// The event, without an id: a client that comes back must not resume from an error.
    fn event(self, session: &str) -> String {
        event_of(&Fault::new(self.code(), self.message()), session)
    }
}

/// A fault as the event that this session is sent.
fn event_of(fault: &Fault, session: &str) -> String {
    let json = fault.json(&format!("{:.3}", clock::wall()), session);
    format!("event: error\ndata: {json}\n\n")
}

/// The body of a stream: pulled by the transport whenever it can take more, so that a slow client
/// holds back its own cursor and nothing else.
struct SseBody {
    head: Option<Bytes>,
    /// None once it has ended.
    subscription: Option<Subscription>,
    heartbeat: Heartbeat,
    connection: Option<Arc<Connection>>,
    stream: Stream,
}

impl http_body::Body for SseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        if let Some(head) = this.head.take() {
            return this.give(head);
        }
        if this.connection.as_ref().is_some_and(|connection| connection.is_closing()) {
            this.subscription = None;
        }
        let Some(subscription) = &mut this.subscription else { return Poll::Ready(None) };
        match subscription.poll_event(cx) {
            Poll::Ready(Some(Ok(event))) => {
                let bytes = match event.fault() {
                    Some(fault) => event_of(fault, &this.stream.session).into(),
                    None => event.sse().clone(),
                };
                this.give(bytes)
            }
            Poll::Ready(Some(Err(_))) => {
                this.subscription = None;
                let mut text = format!("retry: {}\n\n", RETRY_AFTER_ERROR.as_millis());
                text.push_str(&StreamError::TopicRemoved.event(&this.stream.session));
                this.give(text.into())
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending if this.heartbeat.poll_due(cx, this.stream.app.started) => {
                this.give(Bytes::from_static(b":\n\n"))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl SseBody {
    fn give(&mut self, bytes: Bytes) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.heartbeat.wrote = Instant::now();
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}

/// A comment after a time without any write.
struct Heartbeat {
    interval: Duration,
    wrote: Instant,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Heartbeat {
    /// Whether it is time. The timer is moved only when it fires, not at each write; it fires on a
    /// grid that all streams share, so that one wake-up serves many.
    fn poll_due(&mut self, cx: &mut Context<'_>, origin: Instant) -> bool {
        if self.interval.is_zero() {
            return false;
        }
        loop {
            let due = self.wrote + self.interval;
            let sleep = self.sleep.get_or_insert_with(|| {
                Box::pin(tokio::time::sleep_until(on_grid(due, origin, self.interval)))
            });
            if sleep.as_mut().poll(cx).is_pending() {
                return false;
            }
            self.sleep = None;
            if Instant::now() >= due {
                return true;
            }
        }
    }
}

/// `due`, put off to the next line of a grid of a thirty-second of the interval.
fn on_grid(due: Instant, origin: Instant, interval: Duration) -> Instant {
    let step = (interval / 32).as_micros().max(1);
    let since = due.saturating_duration_since(origin).as_micros();
    let lines = u64::try_from(since.div_ceil(step) * step).unwrap_or(u64::MAX);
    origin + Duration::from_micros(lines)
}

/// Up to a tenth less or more.
fn jittered(interval: Duration, seed: &mut Seed) -> Duration {
    interval - interval / 10 + seed.below(interval / 5)
}

/// What a stream begins with: a comment that opens it, and how long to wait before coming back.
fn head(retry: Duration) -> String {
    format!(": ok\nretry: {}\n\n", retry.as_millis())
}

/// The head of every stream (section 2.3), besides what every answer carries.
const HEADERS: [(HeaderName, &str); 4] = [
    (header::CONTENT_TYPE, "text/event-stream; charset=utf-8"),
    (header::CACHE_CONTROL, "no-cache, no-transform"),
    (header::VARY, "Accept, Accept-Encoding, Origin"),
    (HeaderName::from_static("x-accel-buffering"), "no"),
];

/// Clients of the original come back for ever after an error, so they are told to take their time.
const RETRY_AFTER_ERROR: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heartbeats_vary_by_a_tenth() {
        let mut seed = Seed::new(1);
        let interval = Duration::from_secs(10);
        let drawn: Vec<_> = (0..1_000).map(|_| jittered(interval, &mut seed)).collect();
        assert!(drawn.iter().all(|each| (9_000..11_000).contains(&each.as_millis())));
        assert!(drawn.iter().any(|each| each.as_millis() < 9_100));
        assert!(drawn.iter().any(|each| each.as_millis() > 10_900));
        assert_eq!(jittered(Duration::ZERO, &mut seed), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_grid_puts_off_by_less_than_its_step() {
        let origin = Instant::now();
        let interval = Duration::from_secs(10);
        for millis in [0, 1, 312, 313, 10_000, 12_345] {
            let due = origin + Duration::from_millis(millis);
            let put_off = on_grid(due, origin, interval) - due;
            assert!(put_off < interval / 32, "{millis}: {put_off:?}");
        }
    }
}
