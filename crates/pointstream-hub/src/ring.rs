use std::collections::VecDeque;

use crate::Event;

/// The latest patches of a topic, without a gap: what a subscriber that lags or resumes may still
/// read one by one.
#[derive(Debug)]
pub(crate) struct Ring {
    events: VecDeque<Entry>,
    events_max: usize,
    /// The framed bytes of the events held.
    bytes: usize,
    /// The body bytes of all events that were ever pushed.
    pushed: u64,
}

#[derive(Debug)]
struct Entry {
    event: Event,
    /// What `pushed` was before this event.
    pushed_before: u64,
}

/// The events after a place in the ring.
pub(crate) struct Tail<'a> {
    /// The first of them.
    pub(crate) first: &'a Event,
    /// The body bytes of all of them.
    pub(crate) bytes: u64,
}

impl Ring {
    pub(crate) const fn new(events_max: usize) -> Self {
        Self { events: VecDeque::new(), events_max, bytes: 0, pushed: 0 }
    }

    /// Appends an event and drops the oldest ones until both bounds hold. An event that passes
    /// `bytes_max` alone is not kept.
    pub(crate) fn push(&mut self, event: Event, bytes_max: usize) {
        debug_assert!(
            self.events
                .back()
                .is_none_or(|last| last.event.revision().seq + 1 == event.revision().seq),
            "the ring has no gap"
        );
        let pushed_before = self.pushed;
        self.pushed += event.body().len() as u64;
        self.bytes += event.sse().len();
        self.events.push_back(Entry { event, pushed_before });
        while self.events.len() > self.events_max || self.bytes > bytes_max {
            let Some(oldest) = self.events.pop_front() else { break };
            self.bytes -= oldest.event.sse().len();
        }
    }

    pub(crate) fn clear(&mut self) {
        self.events.clear();
        self.bytes = 0;
    }

    /// The events after `seq`, if all of them are still here and there is one.
    pub(crate) fn after(&self, seq: u64) -> Option<Tail<'_>> {
        let front = self.events.front()?.event.revision().seq;
        let index = usize::try_from(seq.checked_add(1)?.checked_sub(front)?).ok()?;
        let entry = self.events.get(index)?;
        Some(Tail { first: &entry.event, bytes: self.pushed - entry.pushed_before })
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Style;
    use crate::{Epoch, EventKind, Revision};

    fn event(seq: u64) -> Event {
        let revision = Revision { epoch: Epoch::new(0), seq };
        Event::new(revision, EventKind::Patch, "[0]", Style { ascii: true, axway: false })
    }

    fn ring(events_max: usize, pushed: std::ops::RangeInclusive<u64>, bytes_max: usize) -> Ring {
        let mut ring = Ring::new(events_max);
        for seq in pushed {
            ring.push(event(seq), bytes_max);
        }
        ring
    }

    #[test]
    fn the_oldest_go_at_one_more_than_the_most_events() {
        assert_eq!(ring(4, 1..=4, usize::MAX).len(), 4);
        assert!(ring(4, 1..=4, usize::MAX).after(0).is_some());
        let ring = ring(4, 1..=5, usize::MAX);
        assert_eq!(ring.len(), 4);
        assert!(ring.after(0).is_none());
        assert_eq!(ring.after(1).map(|tail| tail.first.revision().seq), Some(2));
    }

    #[test]
    fn the_oldest_go_at_one_more_than_the_most_bytes() {
        let each = event(1).sse().len();
        assert_eq!(ring(9, 1..=3, 3 * each).len(), 3);
        assert_eq!(ring(9, 1..=3, 3 * each - 1).len(), 2);
        assert_eq!(ring(9, 1..=3, each - 1).len(), 0);
        assert_eq!(ring(9, 1..=3, each - 1).bytes(), 0);
    }

    #[test]
    fn a_tail_knows_its_bytes_and_ends_with_the_ring() {
        let ring = ring(4, 1..=9, usize::MAX);
        assert_eq!(ring.after(5).map(|tail| tail.bytes), Some(4 * 3));
        assert_eq!(ring.after(8).map(|tail| tail.bytes), Some(3));
        assert!(ring.after(9).is_none());
        assert!(ring.after(u64::MAX).is_none());
    }
}
