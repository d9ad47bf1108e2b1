use std::collections::BTreeSet;
use std::task::{Context, Poll, Waker};

use crate::TopicId;

/// The topics that gained their first subscriber or lost their last one since someone asked.
///
/// A set, not a log: it is bounded by the number of topics, and who takes a topic out asks for its
/// present number of subscribers, so that no order of events can be mistaken.
#[derive(Debug, Default)]
pub(crate) struct Demand {
    changed: BTreeSet<TopicId>,
    waker: Option<Waker>,
}

impl Demand {
    /// Notes a change and gives the waker to be woken when no lock is held.
    #[must_use]
    pub(crate) fn on_change(&mut self, topic: TopicId) -> Option<Waker> {
        self.changed.insert(topic);
        self.waker.take()
    }

    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<TopicId> {
        match self.changed.pop_first() {
            Some(topic) => Poll::Ready(topic),
            None => {
                self.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
