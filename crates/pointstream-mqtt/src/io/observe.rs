use core::pin::Pin as CorePin;
use core::task::{Context, Poll};
use std::sync::Arc;

use futures_core::Stream;
use tokio::sync::mpsc;

use crate::io::client::{Client, Pin};
use crate::io::takers::{Gate, TakerId};
use crate::packet::Reason;
use crate::session::Message;

/// What somebody who observes topics gets.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Observed {
    /// A message.
    Message(Arc<Message>),
    /// A message was longer than is read, and was passed over. MQTT 3.1.1 only.
    Oversize {
        /// Its topic.
        topic: Arc<str>,
        /// How long it was.
        len: usize,
    },
    /// The broker has refused the filter, now or when the session was taken up again.
    Refused {
        /// The filter.
        filter: Arc<str>,
        /// Why.
        reason: Reason,
    },
}

/// The messages of a filter, as a stream.
///
/// It keeps the session open, and its subscription stands with every connection, until it is dropped.
/// Nothing is dropped on the way, unless that is [wanted](Self::let_go): where it is not read, the session
/// is not read from either, so that the broker keeps what it has for the client as long as it likes.
#[derive(Debug)]
pub struct Observation {
    pub(crate) inbox: mpsc::Receiver<Observed>,
    pub(crate) id: TakerId,
    pub(crate) gate: Arc<Gate>,
    pub(crate) client: Client,
    pub(crate) _pin: Pin,
}

impl Observation {
    /// Lets messages go that find no room, rather than have the session wait: for a reader who may
    /// be slow and must not hold up others. There is room for 1,024.
    #[must_use]
    pub fn let_go(self) -> Self {
        self.gate.leave();
        self
    }

    /// Whether messages were let go since this was asked last.
    pub fn has_missed(&self) -> bool {
        self.gate.take_missed()
    }

    /// The next one; `None` when the client has ended.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is lost when the call is dropped.
    pub async fn next(&mut self) -> Option<Observed> {
        self.inbox.recv().await
    }
}

impl Stream for Observation {
    type Item = Observed;

    fn poll_next(mut self: CorePin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Observed>> {
        self.inbox.poll_recv(cx)
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        self.client.detach(self.id);
    }
}
