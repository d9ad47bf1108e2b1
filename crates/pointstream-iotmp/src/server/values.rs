use core::future::poll_fn;
use core::task::{Context, Poll, Waker};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::device::Device;
use crate::Payload;
use crate::mux::Sink;

/// The values of a resource, as one reader takes them.
///
/// A reader that falls behind by [`Self::QUEUE_MAX`] values loses the oldest ones, which are counted; by
/// [`Self::KEPT_MAX`] where a device sends what it kept while it was away, which nobody can ask for
/// again.
/// Dropping it tells the device to stop, if nobody else wants the resource.
#[derive(Debug)]
pub struct Values {
    device: Device,
    sink: Sink,
    queue: Arc<Queue>,
}

/// A value of a resource.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Sample {
    /// The value.
    pub value: Payload,
    /// When the device took it, in milliseconds since 1970 by its clock, where it says so: a device
    /// that kept values while it was not connected does.
    pub time_ms: Option<u64>,
    /// The number that the device gave it, where it says so.
    pub seq: Option<u64>,
}

impl Sample {
    /// A value of which nothing else is known.
    pub const fn new(value: Payload) -> Self {
        Self { value, time_ms: None, seq: None }
    }
}

/// What a reader of a resource is told.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Update {
    /// A value.
    Value(Arc<Sample>),
    /// The device refuses to stream the resource, or has stopped. Values come again when it connects
    /// anew or when somebody else begins to read the resource.
    Ended,
}

/// What waits for a reader.
#[derive(Debug, Default)]
pub(crate) struct Queue(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    updates: VecDeque<Update>,
    dropped: u64,
    waker: Option<Waker>,
}

impl Values {
    /// How many values wait for a reader.
    pub const QUEUE_MAX: usize = 64;

    /// How many values wait for a reader of those that the device kept.
    pub const KEPT_MAX: usize = 8_192;

    pub(crate) const fn new(device: Device, sink: Sink, queue: Arc<Queue>) -> Self {
        Self { device, sink, queue }
    }

    /// The next update. Waits for ever where the device says nothing.
    ///
    /// # Cancel safety
    ///
    /// Safe: no update is lost.
    pub async fn next(&mut self) -> Update {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// [`Self::next`] as a poll.
    pub fn poll_next(&mut self, cx: &Context<'_>) -> Poll<Update> {
        self.queue.poll(cx.waker())
    }

    /// How many values were lost because the reader had fallen behind.
    pub fn dropped(&self) -> u64 {
        self.queue.lock().dropped
    }
}

impl Drop for Values {
    fn drop(&mut self) {
        self.device.leave(self.sink);
    }
}

impl Queue {
    pub(crate) fn push(&self, value: Arc<Sample>) {
        self.put(Update::Value(value));
    }

    pub(crate) fn end(&self) {
        self.put(Update::Ended);
    }

    fn put(&self, update: Update) {
        let kept =
            |update: &Update| matches!(update, Update::Value(sample) if sample.time_ms.is_some());
        let mut waiting = self.lock();
        let first = waiting.updates.front();
        // What waits in front is of the device's buffer as long as that is being sent.
        let max = match kept(&update) || first.is_some_and(kept) {
            true => Values::KEPT_MAX,
            false => Values::QUEUE_MAX,
        };
        while waiting.updates.len() >= max {
            waiting.updates.pop_front();
            waiting.dropped += 1;
        }
        waiting.updates.push_back(update);
        let waker = waiting.waker.take();
        drop(waiting);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn poll(&self, waker: &Waker) -> Poll<Update> {
        let mut waiting = self.lock();
        if let Some(update) = waiting.updates.pop_front() {
            return Poll::Ready(update);
        }
        match &mut waiting.waker {
            Some(kept) => kept.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        Poll::Pending
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_reader_loses_the_oldest_values_and_they_are_counted() {
        let queue = Queue::default();
        let value = |number: usize| Arc::new(Sample::new(Payload::new(&(number as u64)).unwrap()));
        for number in 0..Values::QUEUE_MAX + 3 {
            queue.push(value(number));
        }
        assert_eq!(queue.lock().dropped, 3);
        for number in 3..Values::QUEUE_MAX + 3 {
            assert_eq!(queue.poll(Waker::noop()), Poll::Ready(Update::Value(value(number))));
        }
        assert_eq!(queue.poll(Waker::noop()), Poll::Pending);
    }

    #[test]
    fn what_a_device_kept_waits_in_a_longer_queue() {
        let queue = Queue::default();
        let kept = |number: usize| {
            let mut sample = Sample::new(Payload::new(&(number as u64)).unwrap());
            sample.time_ms = Some(number as u64);
            Arc::new(sample)
        };
        for number in 0..Values::KEPT_MAX + 3 {
            queue.push(kept(number));
        }
        let waits = queue.lock().updates.len();
        assert_eq!((queue.lock().dropped, waits), (3, Values::KEPT_MAX));
        let present = Arc::new(Sample::new(Payload::new(&1u64).unwrap()));
        queue.push(Arc::clone(&present));
        assert_eq!(queue.lock().dropped, 4, "one more displaces one, not all of them");
        for number in 4..Values::KEPT_MAX + 3 {
            assert_eq!(queue.poll(Waker::noop()), Poll::Ready(Update::Value(kept(number))));
        }
        assert_eq!(queue.poll(Waker::noop()), Poll::Ready(Update::Value(present)));
    }
}
