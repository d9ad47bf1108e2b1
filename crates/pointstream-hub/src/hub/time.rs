//! What time does to a hub.

use std::task::Waker;

use super::*;

impl Hub {
    /// The time, as the clock given at construction tells it; the origin without one.
    pub fn now(&self) -> Instant {
        self.inner.clock.as_ref().map_or(Instant::ORIGIN, |clock| clock())
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called next; never if there is
    /// nothing to come so far.
    pub fn poll_timeout(&self) -> Option<Instant> {
        lock(&self.inner.timers).next()
    }

    /// Waits until [`poll_timeout`](Self::poll_timeout) has become an earlier time than it was at
    /// this call; so ask for the time after calling and before awaiting.
    ///
    /// *Cancel safety*: nothing is lost when the future is dropped.
    pub fn timeout_moved(&self) -> impl Future<Output = ()> + Send + use<> {
        let hub = self.clone();
        let moves = lock(&hub.inner.timers).moves();
        poll_fn(move |cx| lock(&hub.inner.timers).poll_moved(moves, cx))
    }

    /// Does what is due: documents and items end, views with a rate go on, views that nobody follows
    /// are dropped.
    pub fn handle_timeout(&self) {
        let due = lock(&self.inner.timers).due(self.now());
        for id in due {
            // A topic that was removed meanwhile has no deadline any more.
            let _ = self.change(id.as_str(), |_| Ok(()));
        }
    }

    /// Moves the topic's deadline and gives the wakers of who has something to read, to be woken
    /// when the topic's lock is not held.
    pub(super) fn settle(&self, shared: &Shared, state: &mut State) -> Vec<Waker> {
        let changed = state.topic.take_changed();
        // First those who read for many: who joins them later finds them where it is itself.
        let mut wakers = state.leads.wakers(&changed);
        wakers.extend(state.subscribers.wakers(&changed));
        wakers.extend(self.set_timer(shared, state, state.topic.poll_timeout()));
        wakers
    }

    pub(super) fn set_timer(
        &self,
        shared: &Shared,
        state: &mut State,
        at: Option<Instant>,
    ) -> Vec<Waker> {
        if state.timer == at {
            return Vec::new();
        }
        let old = std::mem::replace(&mut state.timer, at);
        lock(&self.inner.timers).set(&shared.id, old, at)
    }

    /// A reader has gone, or one that read for others, as `detach` tells the topic; its view may have to
    /// be dropped some time later.
    pub(crate) fn on_detach(
        &self,
        shared: &Shared,
        state: &mut State,
        detach: impl FnOnce(&mut Topic),
    ) -> Vec<Waker> {
        if state.removed {
            return Vec::new();
        }
        state.topic.handle_timeout(self.now());
        detach(&mut state.topic);
        self.settle(shared, state)
    }
}
