use core::pin::Pin as CorePin;
use core::task::{Context, Poll};
use std::sync::Arc;

use futures_core::Stream;
use tokio::sync::mpsc;

use crate::io::client::{Client, Pin};
use crate::io::takers::TakerId;
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
/// Nothing is dropped on the way: where it is not read, the session is not read from either, so that
/// the broker keeps what it has for the client as long as it likes.
#[derive(Debug)]
pub struct Observation {
    pub(crate) inbox: mpsc::Receiver<Observed>,
    pub(crate) id: TakerId,
    pub(crate) client: Client,
    pub(crate) _pin: Pin,
}

impl Observation {
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
