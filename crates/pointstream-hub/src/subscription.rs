use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;

use crate::hub::Shared;
use crate::{Cursor, Ended, Event, Hub, Lead, Revision, Topic, TopicId};

/// One subscriber's place on a topic; a `futures` stream of events.
///
/// It holds a cursor and no events: what it has not asked for costs nothing, and what it has missed
/// when it asks again is folded into the whole document. Dropping it unsubscribes.
pub struct Subscription {
    hub: Hub,
    shared: Arc<Shared>,
    slot: usize,
    cursor: Cursor,
    ended: bool,
}

impl Subscription {
    pub(crate) const fn new(hub: Hub, shared: Arc<Shared>, slot: usize, cursor: Cursor) -> Self {
        Self { hub, shared, slot, cursor, ended: false }
    }

    /// The next event, an error once when the topic has ended, then none.
    ///
    /// *Cancel safety*: nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Result<Event, Ended>> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// [`next`](Self::next) as a poll: the waker is woken at the next change of the topic.
    pub fn poll_event(&mut self, cx: &Context<'_>) -> Poll<Option<Result<Event, Ended>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let mut state = self.shared.lock();
        if state.removed {
            self.ended = true;
            return Poll::Ready(Some(Err(Ended::Removed)));
        }
        match state.topic.next(&mut self.cursor) {
            Some(event) => Poll::Ready(Some(Ok(event))),
            None => {
                state.subscribers.wait(self.slot, cx.waker());
                Poll::Pending
            }
        }
    }

    /// The next event if there is one at present.
    pub fn try_next(&mut self) -> Option<Result<Event, Ended>> {
        match self.poll_event(&Context::from_waker(std::task::Waker::noop())) {
            Poll::Ready(event) => event,
            Poll::Pending => None,
        }
    }

    /// Where it stands.
    pub const fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// A cursor at this place that can be read for several subscribers at once; none where that is
    /// not shareable, or the topic has ended.
    ///
    /// It is of use for as long as one of them is subscribed.
    pub fn lead(&self) -> Option<Lead> {
        let cursor = self.cursor;
        if self.ended || !cursor.is_shareable() {
            return None;
        }
        let mut state = self.shared.lock();
        if state.removed {
            return None;
        }
        state.topic.attach_lead(&cursor);
        let slot = state.leads.take(cursor.view());
        drop(state);
        Some(Lead::new(self.hub.clone(), Arc::clone(&self.shared), slot, cursor))
    }

    /// From here on a [`Lead`] that stands where this one does reads for it: the waker that waits is
    /// forgotten.
    pub fn rest(&self) {
        self.shared.lock().subscribers.forget(self.slot);
    }

    /// Goes on by itself from where a [`Lead`] has read for it. A cursor of another view or mode is
    /// left alone.
    pub fn go_on_from(&mut self, cursor: Cursor) {
        if cursor.view() == self.cursor.view() && cursor.mode() == self.cursor.mode() {
            self.cursor = cursor;
        }
    }

    /// The topic.
    pub fn topic(&self) -> &TopicId {
        self.shared.id()
    }

    /// The state after the last event that was taken, or that the subscriber brought along.
    pub const fn revision(&self) -> Option<Revision> {
        self.cursor.revision()
    }
}

impl Stream for Subscription {
    type Item = Result<Event, Ended>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_event(cx)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let (last, wakers) = {
            let mut state = self.shared.lock();
            state.subscribers.release(self.slot);
            let detach = |topic: &mut Topic| topic.detach(&self.cursor);
            let wakers = self.hub.on_detach(&self.shared, &mut state, detach);
            (state.subscribers.is_empty() && !state.removed, wakers)
        };
        wakers.into_iter().for_each(std::task::Waker::wake);
        if last {
            self.hub.on_demand_change(&self.shared);
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("topic", self.topic())
            .field("cursor", &self.cursor)
            .finish_non_exhaustive()
    }
}
