use core::sync::atomic::{AtomicU64, Ordering};
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::string::String;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::Vec;

use pointstream_time::Instant;
use tokio::sync::{Notify, broadcast};

use super::device::{Device, State};
use super::event::{DeviceId, Event};
use super::topics::Topics;
use super::{Options, dialect_name};
use crate::Dialect;
use crate::mux::Keeps;

/// What all connections of a server have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    origin: tokio::time::Instant,
    devices: Mutex<HashMap<Arc<DeviceId>, Arc<State>>>,
    pub(crate) topics: Mutex<Topics>,
    events: broadcast::Sender<Event>,
    numbers: AtomicU64,
    half_open: Mutex<BTreeMap<u64, Arc<Notify>>>,
    pub(crate) evicted: AtomicU64,
}

/// How many events wait for a slow observer, which then misses the oldest.
const EVENTS_MAX: usize = 1024;

impl Shared {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            options,
            origin: tokio::time::Instant::now(),
            devices: Mutex::default(),
            topics: Mutex::default(),
            events: broadcast::Sender::new(EVENTS_MAX),
            numbers: AtomicU64::new(1),
            half_open: Mutex::default(),
            evicted: AtomicU64::new(0),
        }
    }

    /// The time, as the multiplexers count it.
    pub(crate) fn now(&self) -> Instant {
        Instant::from_origin(self.origin.elapsed())
    }

    /// A number that was not given before.
    pub(crate) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Tells observers, if there are any.
    pub(crate) fn tell(&self, event: impl FnOnce() -> Event) {
        if self.events.receiver_count() > 0 {
            let _ = self.events.send(event());
        }
    }

    pub(crate) fn observe(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    pub(crate) fn list(&self) -> Vec<Arc<State>> {
        self.lock().values().cloned().collect()
    }

    pub(crate) fn find(self: &Arc<Self>, id: &DeviceId) -> Option<Device> {
        let state = self.lock().get(id).cloned()?;
        Some(Device { shared: Arc::clone(self), state })
    }

    fn entry(&self, devices: &mut HashMap<Arc<DeviceId>, Arc<State>>, id: &DeviceId) -> Arc<State> {
        if let Some(state) = devices.get(id) {
            return Arc::clone(state);
        }
        let id = Arc::new(id.clone());
        let state = Arc::new(State::new(Arc::clone(&id), self.options.streams));
        devices.insert(id, Arc::clone(&state));
        state
    }

    /// The device, which is known from here on until it is unpinned, whether it is there or not.
    #[cfg(feature = "driver")]
    pub(crate) fn pin(self: &Arc<Self>, id: &DeviceId) -> Pinned {
        let mut devices = self.lock();
        let state = self.entry(&mut devices, id);
        state.lock().pins += 1;
        drop(devices);
        Pinned(Device { shared: Arc::clone(self), state })
    }

    /// A device was let in: its session is the one of this number from here on. One that it had before
    /// is over; its task finds that out when it is woken.
    pub(crate) fn attach(
        self: &Arc<Self>,
        id: &DeviceId,
        session: u64,
        keeps: Keeps,
        dialect: Dialect,
        peer: Option<SocketAddr>,
    ) -> Device {
        // Told under the lock, so that nobody sees two sessions of one device in disorder.
        let mut devices = self.lock();
        let state = self.entry(&mut devices, id);
        let mut inner = state.lock();
        let replaced = inner.session.replace(session).is_some();
        inner.kinds = None;
        inner.mux.set_keeps(keeps);
        inner.mux.on_connected();
        drop(inner);
        state.changed.notify_waiters();
        if replaced {
            state.wake.notify_one();
            let reason = String::from("it connected again");
            self.tell(|| Event::Disconnected { id: Arc::clone(&state.id), reason });
        }
        let dialect = dialect_name(dialect);
        self.tell(|| Event::Connected { id: Arc::clone(&state.id), dialect, peer });
        drop(devices);
        Device { shared: Arc::clone(self), state }
    }

    /// A device has left, unless another session has taken its place.
    pub(crate) fn detach(&self, state: &Arc<State>, session: u64, reason: String) {
        let mut devices = self.lock();
        let mut inner = state.lock();
        if inner.session != Some(session) {
            return;
        }
        inner.session = None;
        inner.mux.on_disconnected();
        let commands = core::mem::take(&mut inner.commands);
        if inner.is_unused() {
            devices.remove(&state.id);
        }
        drop(inner);
        state.changed.notify_waiters();
        self.tell(|| Event::Disconnected { id: Arc::clone(&state.id), reason });
        drop(devices);
        // Whoever waits for an answer is told by the drop.
        drop(commands);
    }

    /// Forgets a device that is not connected and that nobody wants values of.
    pub(crate) fn forget_unused(&self, state: &Arc<State>) {
        let mut devices = self.lock();
        let inner = state.lock();
        let unused = inner.is_unused();
        let same = devices.get(&state.id).is_some_and(|known| Arc::ptr_eq(known, state));
        if unused && same {
            devices.remove(&state.id);
        }
    }

    /// Takes a place among the connections that are not let in yet. Where all are taken, the oldest
    /// has to go: one who can say who it is does so at once, one who cannot holds nobody up.
    pub(crate) fn half_open(self: &Arc<Self>) -> HalfOpen {
        let number = self.number();
        let leave = Arc::new(Notify::new());
        let mut places = self.half_open.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() >= self.options.half_open_max
            && let Some((_, oldest)) = places.pop_first()
        {
            oldest.notify_one();
            self.evicted.fetch_add(1, Ordering::Relaxed);
        }
        places.insert(number, Arc::clone(&leave));
        drop(places);
        HalfOpen { shared: Arc::clone(self), number, leave }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<DeviceId>, Arc<State>>> {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among the connections that are not let in yet.
#[derive(Debug)]
pub(crate) struct HalfOpen {
    shared: Arc<Shared>,
    number: u64,
    leave: Arc<Notify>,
}

impl HalfOpen {
    /// Completes when the place is needed for somebody else.
    pub(crate) async fn evicted(&self) {
        self.leave.notified().await;
    }
}

impl Drop for HalfOpen {
    fn drop(&mut self) {
        let places = self.shared.half_open.lock();
        places.unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

/// A device that is known until this is dropped.
#[cfg(feature = "driver")]
#[derive(Debug)]
pub(crate) struct Pinned(pub(crate) Device);

#[cfg(feature = "driver")]
impl Drop for Pinned {
    fn drop(&mut self) {
        self.0.state.lock().pins -= 1;
        self.0.shared.forget_unused(&self.0.state);
    }
}
