use std::fmt;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use pointstream_hub::{Cursor, ErrorCode, Event, Fault, Group, Subscription};
use pointstream_time::Seed;
use tokio::time::{Instant, Sleep};

use crate::body;
use crate::clock;
use crate::gzip::Gzip;
use crate::state::{App, Connection};

mod group;

pub(crate) use group::GroupFeed;

/// An event stream that was asked for, before it is known what it will say.
pub(crate) struct Stream {
    app: Arc<App>,
    seed: Seed,
    session: Session,
    /// Whether it begins with a padding, for proxies that hold back what is short.
    pad: bool,
}

/// The name of one stream, by which people who ask about it can be answered.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Session(u128);

impl FromStr for Session {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u128::from_str_radix(text, 16).map(Self)
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Stream {
    pub(crate) fn new(app: Arc<App>) -> Self {
        let mut seed = app.split_seed();
        let session = u128::from(seed.next_u64()) << 64 | u128::from(seed.next_u64());
        Self { app, seed, session: Session(session), pad: false }
    }

    /// The same, with a padding at the beginning or without.
    pub(crate) const fn padded(mut self, pad: bool) -> Self {
        self.pad = pad;
        self
    }

    /// What follows `subscription` for as long as the client takes it.
    pub(crate) fn follow(
        mut self,
        subscription: Subscription,
        connection: Option<Arc<Connection>>,
        gzip: bool,
    ) -> Feed {
        let opening = opening(self.retry(), self.pad);
        let mut feed = self.feed(opening, Some(subscription), connection);
        feed.gzip = gzip.then(Gzip::new);
        feed
    }

    /// What follows several topics.
    pub(crate) fn follow_group(
        mut self,
        group: Group,
        connection: Option<Arc<Connection>>,
    ) -> GroupFeed {
        let mut text = opening(self.retry(), self.pad);
        text.push_str(&format!("event: stream\ndata: {{\"session\":\"{}\"}}\n\n", self.session));
        let interval = jittered(self.app.options.heartbeat, &mut self.seed);
        let heartbeat = Heartbeat::new(interval, self.app.started);
        let (opening, group) = (Some(text.into()), Some(group));
        GroupFeed { opening, group, heartbeat, connection, session: self.session, app: self.app }
    }

    /// How long the client is to wait before it comes back: half as long to half as long again as
    /// configured, so that a thousand that were cut at once do not come back at once.
    fn retry(&mut self) -> Duration {
        let retry = self.app.options.retry;
        retry / 2 + self.seed.below(retry)
    }

    /// Its name.
    pub(crate) const fn session(&self) -> Session {
        self.session
    }

    /// What says why there is nothing to follow.
    pub(crate) fn refuse(self, fault: &Fault) -> Feed {
        let mut text = opening(RETRY_AFTER_ERROR, self.pad);
        text.push_str(&event_of(fault, self.session));
        self.feed(text, None, None)
    }

    /// The time without any write after which this one shows that it is there.
    pub(crate) fn heartbeat(&mut self) -> Heartbeat {
        Heartbeat::new(jittered(self.app.options.heartbeat, &mut self.seed), self.app.started)
    }

    /// A fault as JSON.
    pub(crate) fn json(&self, fault: &Fault) -> String {
        json_of(fault, self.session)
    }

    fn feed(
        mut self,
        opening: String,
        subscription: Option<Subscription>,
        connection: Option<Arc<Connection>>,
    ) -> Feed {
        let heartbeat = self.heartbeat();
        let opening = Some(opening.into());
        let session = self.session;
        Feed { opening, subscription, heartbeat, connection, session, gzip: None }
    }
}

/// A fault as the event that this session is sent (section 5.3 of the hub's specification). It has no
/// id: a client that comes back must not resume from an error.
fn event_of(fault: &Fault, session: Session) -> String {
    format!("event: error\ndata: {}\n\n", json_of(fault, session))
}

/// An event as this session is sent it.
pub(crate) fn text_of(event: &Event, session: Session) -> Bytes {
    event.fault().map_or_else(|| event.sse().clone(), |fault| event_of(fault, session).into())
}

fn json_of(fault: &Fault, session: Session) -> String {
    fault.json(&format!("{:.3}", clock::wall()), &session.to_string())
}

/// What a stream says, piece by piece: pulled by the transport whenever it can take more, so that a
/// slow client holds back its own cursor and nothing else.
pub(crate) struct Feed {
    /// None once it was given.
    opening: Option<Bytes>,
    /// None once it has ended.
    subscription: Option<Subscription>,
    heartbeat: Heartbeat,
    connection: Option<Arc<Connection>>,
    session: Session,
    gzip: Option<Gzip>,
}

/// What a feed gives at a time.
enum Piece {
    /// What all subscribers of a view are sent alike.
    Event(Event),
    /// What this one alone is sent.
    Own(Bytes),
}

impl Feed {
    /// What it follows, and for whom, if others can be sent the same bytes from here on.
    pub(crate) const fn shareable(&self) -> Option<(&Subscription, Session)> {
        match (&self.opening, &self.gzip, &self.subscription) {
            (None, None, Some(subscription)) => Some((subscription, self.session)),
            _ => None,
        }
    }

    /// Waits for nothing any more, since somebody else reads for it.
    pub(crate) fn rest(&mut self) {
        self.heartbeat.sleep = None;
        if let Some(subscription) = &self.subscription {
            subscription.rest();
        }
    }

    /// Goes on by itself from where somebody else has read for it.
    pub(crate) fn go_on_from(&mut self, cursor: Cursor) {
        self.heartbeat.on_write();
        if let Some(subscription) = &mut self.subscription {
            subscription.go_on_from(cursor);
        }
    }

    /// Comments after the same silence as this one's.
    pub(crate) const fn heartbeat(&self) -> Heartbeat {
        Heartbeat::new(self.heartbeat.interval, self.heartbeat.origin)
    }

    /// Whether the stream is to end when it is polled next.
    pub(crate) fn is_closing(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| connection.is_closing())
    }

    /// The next piece, none at the end: the opening, an event or a comment, packed if the client
    /// wants that.
    pub(crate) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let piece = ready!(self.poll_plain(cx));
        self.heartbeat.on_write();
        Poll::Ready(match (piece, &mut self.gzip) {
            (Some(Piece::Event(event)), None) => Some(event.sse().clone()),
            (Some(Piece::Event(event)), Some(gzip)) => Some(gzip.shared(event.packed())),
            (Some(Piece::Own(text)), None) => Some(text),
            (Some(Piece::Own(text)), Some(gzip)) => Some(gzip.own(&text)),
            (None, None) => None,
            (None, Some(gzip)) => gzip.end(),
        })
    }

    fn poll_plain(&mut self, cx: &mut Context<'_>) -> Poll<Option<Piece>> {
        let own = |text: String| Poll::Ready(Some(Piece::Own(text.into())));
        if let Some(opening) = self.opening.take() {
            return Poll::Ready(Some(Piece::Own(opening)));
        }
        if self.is_closing() {
            self.subscription = None;
        }
        let Some(subscription) = &mut self.subscription else { return Poll::Ready(None) };
        match subscription.poll_event(cx) {
            Poll::Ready(Some(Ok(event))) => match event.fault() {
                Some(fault) => own(event_of(fault, self.session)),
                None => Poll::Ready(Some(Piece::Event(event))),
            },
            Poll::Ready(Some(Err(_))) => {
                self.subscription = None;
                let mut text = format!("retry: {}\n\n", RETRY_AFTER_ERROR.as_millis());
                let removed = Fault::new(ErrorCode::Topic, "The topic was removed.");
                text.push_str(&event_of(&removed, self.session));
                own(text)
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending if self.heartbeat.poll_due(cx) => {
                Poll::Ready(Some(Piece::Own(Bytes::from_static(COMMENT))))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// The headers of the stream, besides what every answer carries.
    pub(crate) fn headers(&self) -> HeaderMap {
        let mut headers = headers_of(self.session);
        if self.gzip.is_some() {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        headers
    }
}

fn headers_of(session: Session) -> HeaderMap {
    let mut headers: HeaderMap =
        HEADERS.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value))).collect();
    if let Ok(session) = HeaderValue::from_str(&session.to_string()) {
        headers.insert(HeaderName::from_static("x-sd-session"), session);
    }
    headers
}

impl IntoResponse for Feed {
    fn into_response(mut self) -> Response {
        let headers = self.headers();
        let refused = self.subscription.is_none();
        let mut response = Response::new(body::streamed(move |cx| self.poll_piece(cx)));
        *response.headers_mut() = headers;
        if refused {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        response
    }
}

/// A comment after a time without any write.
pub(crate) struct Heartbeat {
    interval: Duration,
    origin: Instant,
    wrote: Instant,
    /// There was a write whose time is to be noted.
    just_wrote: bool,
    sleep: Option<Pin<Box<Sleep>>>,
    /// Whom `sleep` wakes.
    waker: Option<Waker>,
}

impl Heartbeat {
    const fn new(interval: Duration, origin: Instant) -> Self {
        Self { interval, origin, wrote: origin, just_wrote: true, sleep: None, waker: None }
    }

    pub(crate) const fn on_write(&mut self) {
        self.just_wrote = true;
    }

    /// Whether it is time. The timer is moved only when it fires, not at each write; it fires on a
    /// grid that all streams share, so that one wake-up serves many.
    pub(crate) fn poll_due(&mut self, cx: &mut Context<'_>) -> bool {
        if self.interval.is_zero() {
            return false;
        }
        let now = Instant::now();
        if std::mem::take(&mut self.just_wrote) {
            self.wrote = now;
        }
        let known = self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if known && self.sleep.as_ref().is_some_and(|sleep| now < sleep.deadline()) {
            return false;
        }
        self.waker = Some(cx.waker().clone());
        loop {
            let due = self.wrote + self.interval;
            let sleep = self.sleep.get_or_insert_with(|| {
                Box::pin(tokio::time::sleep_until(on_grid(due, self.origin, self.interval)))
            });
            if sleep.as_mut().poll(cx).is_pending() {
                return false;
            }
            self.sleep = None;
            if now >= due {
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
fn opening(retry: Duration, pad: bool) -> String {
    let comment = if pad { " ".repeat(PAD_LEN) } else { " ok".to_owned() };
    format!(":{comment}\nretry: {}\n\n", retry.as_millis())
}

/// What shows that a stream lives.
pub(crate) const COMMENT: &[u8] = b":\n\n";

/// What old proxies let through at once.
const PAD_LEN: usize = 1_024;

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
