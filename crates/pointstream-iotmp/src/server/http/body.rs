use core::convert::Infallible;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::boxed::Box;
use std::format;
use std::string::String;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use super::Followed;
use crate::server::Update;

/// What is sent: some bytes, or events without end.
pub struct Body(Content);

enum Content {
    Bytes(Option<Bytes>),
    Events(Box<Events>),
}

struct Events {
    followed: Followed,
    heartbeat: Pin<Box<Sleep>>,
}

/// How long there is silence at most.
const HEARTBEAT: Duration = Duration::from_secs(15);

impl Body {
    pub(super) const fn empty() -> Self {
        Self(Content::Bytes(None))
    }

    pub(super) fn of(text: String) -> Self {
        Self(Content::Bytes(Some(text.into())))
    }

    pub(super) fn events(followed: Followed) -> Self {
        let heartbeat = Box::pin(sleep(HEARTBEAT));
        Self(Content::Events(Box::new(Events { followed, heartbeat })))
    }
}

impl core::fmt::Debug for Body {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Body")
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.0 {
            Content::Bytes(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Content::Events(events) => {
                events.poll(cx).map(|text| Some(Ok(Frame::data(text.into()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, Content::Bytes(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Content::Bytes(None) => SizeHint::with_exact(0),
            Content::Bytes(Some(bytes)) => SizeHint::with_exact(bytes.len() as u64),
            Content::Events(_) => SizeHint::default(),
        }
    }
}

impl Events {
    /// The next event (HTML Living Standard, section 9.2), or a comment when it was quiet for long.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<String> {
        let text = match self.followed.poll_update(cx) {
            Poll::Ready((at, Update::Value(sample))) => {
                let name = self.followed.values.get(at).map(|(name, _)| name.as_str());
                let text = self.followed.text(name.unwrap_or_default(), &sample.value);
                format!("data: {text}\n\n")
            }
            Poll::Ready((_, Update::Ended)) => String::from("event: ended\ndata: {}\n\n"),
            Poll::Pending => {
                ready!(self.heartbeat.as_mut().poll(cx));
                String::from(":\n\n")
            }
        };
        self.heartbeat.as_mut().reset(Instant::now() + HEARTBEAT);
        Poll::Ready(text)
    }
}

impl Followed {
    /// The next update of any resource, and which it is of.
    pub(super) fn poll_update(&mut self, cx: &Context<'_>) -> Poll<(usize, Update)> {
        for (at, (_, values)) in self.values.iter_mut().enumerate() {
            if let Poll::Ready(update) = values.poll_next(cx) {
                return Poll::Ready((at, update));
            }
        }
        Poll::Pending
    }
}
