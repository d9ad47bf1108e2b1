//! What the units of one line or one connection share.

use core::ops::{Deref, DerefMut};
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio::time::timeout;

use crate::config::Target;
use crate::driver::failure::Failure;
use crate::driver::link::Link;
use crate::driver::wire::{Dial, Wire};
use crate::framing::Framing;

/// A line or a connection, with all units on it.
///
/// One transaction at a time: whoever wants one waits for its turn. A write goes before reads that
/// wait, but after a write a read that waits goes first, so that neither starves the other; apart
/// from that, who came first goes first. The stream is opened when the first unit needs it, and
/// closed when the last has left.
pub(crate) struct Bus<D: Dial> {
    framing: Framing,
    shared: Mutex<Shared<D>>,
}

struct Shared<D: Dial> {
    /// Here while it is nobody's turn.
    port: Option<Box<Port<D>>>,
    queue: Queue<oneshot::Sender<Turn<D>>>,
    /// How many drivers stand on it.
    members: usize,
    /// How many of them have an open session.
    sessions: usize,
    /// Until when units that do not answer are left alone. At most one entry for each of 256 units.
    demoted: BTreeMap<u8, Instant>,
}

/// The way out: how it is dialled and what was dialled.
pub(crate) struct Port<D: Dial> {
    dial: D,
    framing: Framing,
    pub(crate) link: Option<Link<D::Stream>>,
    /// Requests in a row that nobody answered, whatever the unit.
    unanswered: u8,
}

/// Whose turn it is has the port. Dropping it gives the turn to the next.
pub(crate) struct Turn<D: Dial> {
    bus: Arc<Bus<D>>,
    port: Option<Box<Port<D>>>,
}

/// What a turn is wanted for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Purpose {
    Read,
    Write,
}

/// Who waits for a turn. Bounded by the number of members, each of which waits once at most.
#[derive(Debug)]
struct Queue<T> {
    reads: VecDeque<T>,
    writes: VecDeque<T>,
    /// The last turn was a write's.
    wrote: bool,
}

impl<T> Queue<T> {
    const fn new() -> Self {
        Self { reads: VecDeque::new(), writes: VecDeque::new(), wrote: false }
    }

    fn push(&mut self, purpose: Purpose, waiter: T) {
        match purpose {
            Purpose::Read => self.reads.push_back(waiter),
            Purpose::Write => self.writes.push_back(waiter),
        }
    }

    fn pop(&mut self) -> Option<T> {
        let read_first = self.wrote && !self.reads.is_empty();
        let write = if read_first { None } else { self.writes.pop_front() };
        self.wrote = write.is_some();
        write.or_else(|| self.reads.pop_front())
    }

    /// Takes note of a turn for which nobody had to wait.
    fn passed(&mut self, purpose: Purpose) {
        self.wrote = purpose == Purpose::Write;
    }
}

/// After so many requests in a row that no unit answered, the stream is opened anew: its other end
/// may be gone without a word.
const UNANSWERED_MAX: u8 = 4;

impl<D: Dial> Bus<D> {
    pub(crate) fn new(dial: D, framing: Framing) -> Arc<Self> {
        let port = Port { dial, framing, link: None, unanswered: 0 };
        let shared = Shared {
            port: Some(Box::new(port)),
            queue: Queue::new(),
            members: 0,
            sessions: 0,
            demoted: BTreeMap::new(),
        };
        Arc::new(Self { framing, shared: Mutex::new(shared) })
    }

    /// How many requests may be on their way at a time.
    pub(crate) fn window(&self, wanted: usize) -> usize {
        if self.framing == Framing::Tcp { wanted } else { 1 }
    }

    pub(crate) fn join(&self) {
        self.lock().members += 1;
    }

    pub(crate) fn leave(&self) {
        self.lock().members -= 1;
    }

    /// Whether several drivers stand on it.
    pub(crate) fn is_shared(&self) -> bool {
        self.lock().members > 1
    }

    pub(crate) fn open_session(&self) {
        self.lock().sessions += 1;
    }

    /// With the last session the stream goes.
    pub(crate) fn close_session(&self) -> Option<Link<D::Stream>> {
        let mut shared = self.lock();
        shared.sessions = shared.sessions.saturating_sub(1);
        if shared.sessions > 0 {
            return None;
        }
        // Where it is somebody's turn, the link goes when the turn ends.
        shared.port.as_mut().and_then(|port| port.link.take())
    }

    /// Waits for a turn.
    ///
    /// Cancel-safe: a turn that comes to somebody who is gone goes to the next.
    pub(crate) async fn turn(self: &Arc<Self>, purpose: Purpose) -> Turn<D> {
        loop {
            let waiter = {
                let mut shared = self.lock();
                if let Some(port) = shared.port.take() {
                    shared.queue.passed(purpose);
                    return Turn { bus: Arc::clone(self), port: Some(port) };
                }
                let (sender, waiter) = oneshot::channel();
                shared.queue.push(purpose, sender);
                waiter
            };
            // The senders live as long as the bus does, so this does not end without a turn.
            if let Ok(turn) = waiter.await {
                return turn;
            }
        }
    }

    /// Leaves a unit alone for a while.
    pub(crate) fn demote(&self, unit: u8, period: Duration) {
        self.lock().demoted.insert(unit, Instant::now() + period);
    }

    pub(crate) fn promote(&self, unit: u8) {
        self.lock().demoted.remove(&unit);
    }

    /// For how long a unit is still left alone.
    pub(crate) fn demoted(&self, unit: u8) -> Option<Duration> {
        let until = *self.lock().demoted.get(&unit)?;
        let left = until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    fn lock(&self) -> MutexGuard<'_, Shared<D>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<D: Dial> Port<D> {
    /// The link, dialled if there is none.
    pub(crate) async fn link(
        &mut self,
        limit: Duration,
        window: usize,
        whereto: &Target,
    ) -> Result<&mut Link<D::Stream>, Failure> {
        if self.link.as_ref().is_some_and(Link::is_torn) {
            self.link = None;
        }
        if self.link.is_none() {
            let stream = match timeout(limit, self.dial.dial()).await {
                Ok(stream) => stream?,
                Err(_) => {
                    let text = format!("connecting to {whereto}: timed out after {limit:?}");
                    return Err(io::Error::new(io::ErrorKind::TimedOut, text).into());
                }
            };
            self.unanswered = 0;
            self.link = Some(Link::new(stream, self.framing, window));
        }
        self.link.as_mut().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected).into())
    }

    /// Takes note of how a transaction went.
    pub(crate) fn on_end(&mut self, failure: Option<&Failure>) {
        match failure {
            Some(failure) if failure.ends_stream() => self.link = None,
            Some(Failure::TimedOut(_)) => {
                self.unanswered += 1;
                if self.unanswered >= UNANSWERED_MAX {
                    self.unanswered = 0;
                    self.link = None;
                }
            }
            _ => self.unanswered = 0,
        }
    }
}

impl<D: Dial> Drop for Turn<D> {
    fn drop(&mut self) {
        let Some(mut port) = self.port.take() else { return };
        let next = {
            let mut shared = self.bus.lock();
            if shared.sessions == 0 {
                port.link = None;
            }
            match shared.queue.pop() {
                Some(next) => next,
                None => {
                    shared.port = Some(port);
                    return;
                }
            }
        };
        // Where the next is gone, this turn comes back and is dropped, which finds another.
        drop(next.send(Self { bus: Arc::clone(&self.bus), port: Some(port) }));
    }
}

impl<D: Dial> core::fmt::Debug for Bus<D> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Bus").field("framing", &self.framing).finish_non_exhaustive()
    }
}

impl<D: Dial> Deref for Turn<D> {
    type Target = Port<D>;

    #[expect(clippy::expect_used, reason = "only drop takes the port")]
    fn deref(&self) -> &Port<D> {
        self.port.as_deref().expect("the port is here until the turn ends")
    }
}

impl<D: Dial> DerefMut for Turn<D> {
    #[expect(clippy::expect_used, reason = "only drop takes the port")]
    fn deref_mut(&mut self) -> &mut Port<D> {
        self.port.as_deref_mut().expect("the port is here until the turn ends")
    }
}

/// The buses of one registry, so that connectors with one target share one.
#[derive(Debug, Default)]
pub(crate) struct Buses(Mutex<BTreeMap<Target, Weak<Bus<Wire>>>>);

impl Buses {
    pub(crate) fn bus(&self, target: &Target, make: impl FnOnce() -> Wire) -> Arc<Bus<Wire>> {
        let mut buses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What nobody stands on any more would only pile up.
        buses.retain(|_, bus| bus.strong_count() > 0);
        if let Some(bus) = buses.get(target).and_then(Weak::upgrade) {
            return bus;
        }
        let bus = Bus::new(make(), target.framing());
        buses.insert(target.clone(), Arc::downgrade(&bus));
        bus
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_go_first_and_starve_nobody() {
        let mut queue = Queue::new();
        for name in ["r1", "r2", "r3"] {
            queue.push(Purpose::Read, name);
        }
        for name in ["w1", "w2", "w3", "w4"] {
            queue.push(Purpose::Write, name);
        }
        let order: Vec<_> = core::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, ["w1", "r1", "w2", "r2", "w3", "r3", "w4"]);
        queue.passed(Purpose::Write);
        queue.push(Purpose::Write, "w5");
        queue.push(Purpose::Read, "r4");
        assert_eq!((queue.pop(), queue.pop(), queue.pop()), (Some("r4"), Some("w5"), None));
    }
}
