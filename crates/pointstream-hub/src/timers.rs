use std::collections::BTreeSet;
use std::task::{Context, Poll, Waker};

use pointstream_time::Instant;

use crate::TopicId;

/// When topics are to be told the time, one deadline each.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: BTreeSet<(Instant, TopicId)>,
    /// Of those who wait for an earlier deadline.
    wakers: Vec<Waker>,
    /// How often the next deadline became an earlier one.
    moves: u64,
}

impl Timers {
    /// Moves a topic's deadline; gives the wakers to be woken, when no lock is held, if the next
    /// deadline of all became an earlier one.
    #[must_use]
    pub(crate) fn set(
        &mut self,
        topic: &TopicId,
        old: Option<Instant>,
        new: Option<Instant>,
    ) -> Vec<Waker> {
        if let Some(old) = old {
            self.due.remove(&(old, topic.clone()));
        }
        let Some(new) = new else { return Vec::new() };
        let earlier = self.next().is_none_or(|next| new < next);
        self.due.insert((new, topic.clone()));
        if !earlier {
            return Vec::new();
        }
        self.moves += 1;
        std::mem::take(&mut self.wakers)
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// A topic whose deadline has come. It stays in the queue until its deadline is moved.
    pub(crate) fn due(&self, now: Instant) -> Vec<TopicId> {
        self.due.iter().take_while(|(at, _)| *at <= now).map(|(_, topic)| topic.clone()).collect()
    }

    pub(crate) const fn moves(&self) -> u64 {
        self.moves
    }

    /// Whether the next deadline became an earlier one since there were so many `moves`.
    pub(crate) fn poll_moved(&mut self, moves: u64, cx: &Context<'_>) -> Poll<()> {
        if self.moves != moves {
            return Poll::Ready(());
        }
        if !self.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            if self.wakers.len() == WAKERS_MAX {
                // Who is woken for nothing looks again.
                self.wakers.drain(..1).for_each(Waker::wake);
            }
            self.wakers.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

/// The wakers that are kept: one for each who keeps the time of a hub, of whom there are few.
const WAKERS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Wake;
    use std::time::Duration;

    use super::*;

    struct Idle;

    impl Wake for Idle {
        fn wake(self: Arc<Self>) {}
    }

    #[test]
    fn an_earlier_deadline_wakes_and_a_later_one_does_not() {
        let at = |secs| Some(Instant::from_origin(Duration::from_secs(secs)));
        let (a, b) = ("a".parse().unwrap(), "b".parse().unwrap());
        let mut timers = Timers::default();
        let waker = Waker::from(Arc::new(Idle));
        let cx = Context::from_waker(&waker);
        assert!(timers.poll_moved(0, &cx).is_pending());
        assert!(timers.poll_moved(0, &cx).is_pending());
        assert_eq!(timers.set(&a, None, at(5)).len(), 1, "one waker, however often it asks");
        assert!(timers.poll_moved(0, &cx).is_ready());
        assert!(timers.poll_moved(timers.moves(), &cx).is_pending());
        assert_eq!(timers.set(&b, None, at(7)).len(), 0);
        assert_eq!(timers.set(&b, at(7), at(3)).len(), 1);
        assert_eq!(timers.due(at(4).unwrap()), std::slice::from_ref(&b));
        assert_eq!(timers.set(&b, at(3), None).len(), 0);
        assert_eq!(timers.next(), at(5));
    }
}
