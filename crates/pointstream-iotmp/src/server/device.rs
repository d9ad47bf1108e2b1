use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::string::{String, ToString};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::Vec;

use tokio::sync::{Notify, oneshot};

use super::event::DeviceId;
use super::shared::Shared;
use super::values::{Queue, Sample, Values};
use crate::Payload;
use crate::mux::{self, JoinError, Mux, Sink};
use crate::session::{Answer, RequestError, Stream};
use crate::value::Map;

/// What a server knows of one device, while it is connected or somebody wants its values.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) id: Arc<DeviceId>,
    inner: Mutex<Inner>,
    /// Wakes the connection's task.
    pub(crate) wake: Notify,
    /// Wakes those who wait for the device to connect or to leave.
    pub(crate) changed: Notify,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) mux: Mux<Arc<Sample>>,
    pub(crate) sinks: BTreeMap<Sink, Receiver>,
    /// The session that serves the device.
    pub(crate) session: Option<u64>,
    pub(crate) commands: VecDeque<Command>,
    /// What the device has, by name, once it was asked in this session.
    pub(crate) kinds: Option<Arc<BTreeMap<String, u64>>>,
    /// How many want the device to be known whether it is there or not.
    pub(crate) pins: usize,
}

/// Where the values of a sink go.
#[derive(Clone, Debug)]
pub(crate) enum Receiver {
    Queue(Arc<Queue>),
    /// Another device, on a stream that it opened.
    Device(Arc<State>, u64, Stream),
}

/// What a connection's task is to do.
#[derive(Debug)]
pub(crate) enum Command {
    Run {
        resource: String,
        payload: Option<Payload>,
        answer: oneshot::Sender<Outcome>,
    },
    Describe {
        resource: Option<String>,
        answer: oneshot::Sender<Outcome>,
    },
    /// Send a value on a stream that the device opened, in the session of this number.
    Send {
        session: u64,
        stream: Stream,
        value: Arc<Payload>,
    },
}

pub(crate) type Outcome = Result<Answer, CallError>;

/// How many commands wait for a connection's task; more are refused, or dropped where nobody waits
/// for an answer.
const COMMANDS_MAX: usize = 256;

impl State {
    pub(crate) fn new(id: Arc<DeviceId>, config: mux::Config) -> Self {
        let inner = Inner {
            mux: Mux::new(config),
            sinks: BTreeMap::new(),
            session: None,
            commands: VecDeque::new(),
            kinds: None,
            pins: 0,
        };
        Self { id, inner: Mutex::new(inner), wake: Notify::new(), changed: Notify::new() }
    }

    /// No call is made under this lock that could panic half-way, so that a poisoned one is whole.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the connection's task do something; gives it back if there is none or it has enough to do.
    pub(crate) fn command(&self, command: Command) -> Result<(), CallError> {
        let mut inner = self.lock();
        if inner.session.is_none() {
            return Err(CallError::Offline);
        }
        if inner.commands.len() >= COMMANDS_MAX {
            return Err(CallError::Busy);
        }
        inner.commands.push_back(command);
        drop(inner);
        self.wake.notify_one();
        Ok(())
    }

    /// Sends a value to the device, if it has still that session. Values beyond what it takes are
    /// dropped, as they are where it is not connected.
    pub(crate) fn send(&self, session: u64, stream: Stream, value: Arc<Payload>) {
        let _ = self.command(Command::Send { session, stream, value });
    }
}

/// What sinks are told: a value, or that their stream has ended.
pub(crate) type Told = Vec<(Receiver, Option<Arc<Sample>>)>;

/// Hands out what sinks are told. Without the lock of the device whose sinks they are, since
/// another device's may be taken.
pub(crate) fn deliver(told: &mut Told) {
    for (receiver, value) in told.drain(..) {
        match (receiver, value) {
            (Receiver::Queue(queue), Some(value)) => queue.push(value),
            (Receiver::Queue(queue), None) => queue.end(),
            (Receiver::Device(state, session, stream), Some(value)) => {
                state.send(session, stream, Arc::new(value.value.clone()));
            }
            (Receiver::Device(..), None) => {}
        }
    }
}

impl Inner {
    /// Whether nobody needs the device to be known.
    pub(crate) fn is_unused(&self) -> bool {
        self.session.is_none() && self.sinks.is_empty() && self.pins == 0
    }

    /// What sinks are told next, to be delivered after the lock.
    pub(crate) fn take_told(&mut self, told: &mut Told) {
        while let Some(event) = self.mux.poll_event() {
            let (sink, value) = match event {
                mux::Event::Value(sink, value) => (sink, Some(value)),
                mux::Event::Ended(sink) => (sink, None),
            };
            if let Some(receiver) = self.sinks.get(&sink) {
                told.push((receiver.clone(), value));
            }
        }
    }
}

/// A device of a server, connected or not. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Device {
    pub(crate) shared: Arc<Shared>,
    pub(crate) state: Arc<State>,
}

/// Why a call of a device has no result.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The device is not connected, or left before it answered.
    #[error("the device is not connected")]
    Offline,
    /// As many calls as allowed are under way.
    #[error("too many calls of the device are under way")]
    Busy,
    /// The device did not answer in time.
    #[error("the device did not answer in time")]
    TimedOut,
    /// The device refused or failed.
    #[error("the device answered with an error{}", .0.code().map(|code| std::format!(", code {code}")).unwrap_or_default())]
    Refused(Answer),
    /// The call cannot be written in the device's dialect.
    #[error("{0}")]
    Unwritable(RequestError),
}

impl Device {
    /// Which device it is.
    pub fn id(&self) -> &DeviceId {
        &self.state.id
    }

    /// Whether it is connected.
    pub fn is_connected(&self) -> bool {
        self.state.lock().session.is_some()
    }

    /// The number of the session that serves it.
    #[cfg(feature = "driver")]
    pub(crate) fn session(&self) -> Option<u64> {
        self.state.lock().session
    }

    /// Waits until its session is another one than this, or one that it had not.
    #[cfg(feature = "driver")]
    pub(crate) async fn changed_from(&self, session: Option<u64>) -> Option<u64> {
        loop {
            let changed = self.state.changed.notified();
            let mut changed = core::pin::pin!(changed);
            // Registered before it is looked at, so that no change falls between.
            changed.as_mut().enable();
            let present = self.session();
            if present != session {
                return present;
            }
            changed.await;
        }
    }

    /// Has the device carry out a resource, and gives its result: reads an output, writes an input
    /// (with `payload`), or does what a resource without values does.
    ///
    /// # Errors
    ///
    /// [`CallError`]; nothing is tried a second time.
    ///
    /// # Cancel safety
    ///
    /// A dropped call may have been carried out.
    pub async fn run(
        &self,
        resource: &str,
        payload: Option<Payload>,
    ) -> Result<Option<Payload>, CallError> {
        let resource = resource.to_string();
        self.call(|answer| Command::Run { resource, payload, answer }).await
    }

    /// The value of a resource: what an output gives; what was written last to an input, as far as
    /// the device says. Nothing is written.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing changes at the device.
    pub async fn read(&self, resource: &str) -> Result<Option<Payload>, CallError> {
        if !matches!(self.kind(resource).await, Some(INPUT | BOTH)) {
            return self.run(resource, None).await;
        }
        let samples = self.describe(Some(resource)).await?;
        let map = samples.as_ref().and_then(|samples| samples.value().as_map());
        let sample = map.and_then(|map| map.get("out").or_else(|| map.get("in")));
        Ok(sample.map(Payload::from))
    }

    /// What resources the device has, or what one of them takes and gives.
    ///
    /// Without `resource`, a map of names to maps, in which `fn` is 1 for one that only runs, 2 for an
    /// input, 3 for an output, 4 for both. With, a map of `in` and `out` to sample values.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing changes at the device.
    pub async fn describe(&self, resource: Option<&str>) -> Result<Option<Payload>, CallError> {
        let resource = resource.map(ToString::to_string);
        self.call(|answer| Command::Describe { resource, answer }).await
    }

    /// What kind of resource it is: 1 for one that only runs, 2 for an input, 3 for an output, 4 for
    /// both. Nothing where the device does not say. It is asked once in a session.
    pub(crate) async fn kind(&self, resource: &str) -> Option<u64> {
        let known = self.state.lock().kinds.clone();
        let kinds = match known {
            Some(kinds) => kinds,
            None => {
                let asked = tokio::time::timeout(KINDS_TIME, self.describe(None)).await;
                let list = asked.unwrap_or(Err(CallError::TimedOut)).ok().flatten();
                let kinds = Arc::new(list.map(|list| kinds(&list)).unwrap_or_default());
                self.state.lock().kinds = Some(Arc::clone(&kinds));
                kinds
            }
        };
        kinds.get(resource).copied()
    }

    /// The values of a resource, every `interval`, or without one whenever the device has something
    /// to tell. The device is asked once for all who want it; the streams are opened anew when it
    /// connects again. Ends when it is dropped.
    ///
    /// # Errors
    ///
    /// [`JoinError`]: an interval below a millisecond, or too many sinks or resources.
    pub fn stream(&self, resource: &str, interval: Option<Duration>) -> Result<Values, JoinError> {
        let queue = Arc::new(Queue::default());
        let sink = self.join(resource, interval, Receiver::Queue(Arc::clone(&queue)))?;
        Ok(Values::new(self.clone(), sink, queue))
    }

    pub(crate) fn join(
        &self,
        resource: &str,
        interval: Option<Duration>,
        receiver: Receiver,
    ) -> Result<Sink, JoinError> {
        let mut told = Vec::new();
        let now = self.shared.now();
        let mut inner = self.state.lock();
        let sink = inner.mux.join(now, resource, interval)?;
        inner.sinks.insert(sink, receiver);
        inner.take_told(&mut told);
        drop(inner);
        self.state.wake.notify_one();
        deliver(&mut told);
        Ok(sink)
    }

    pub(crate) fn leave(&self, sink: Sink) {
        let mut inner = self.state.lock();
        inner.mux.leave(sink);
        let receiver = inner.sinks.remove(&sink);
        let unused = inner.is_unused();
        drop(inner);
        // It may hold the last handle of another device.
        drop(receiver);
        self.state.wake.notify_one();
        if unused {
            self.shared.forget_unused(&self.state);
        }
    }

    async fn call(
        &self,
        command: impl FnOnce(oneshot::Sender<Outcome>) -> Command,
    ) -> Result<Option<Payload>, CallError> {
        let (sender, receiver) = oneshot::channel();
        self.state.command(command(sender))?;
        let answer = receiver.await.unwrap_or(Err(CallError::Offline))?;
        if answer.ok { Ok(answer.payload) } else { Err(CallError::Refused(answer)) }
    }
}

/// The kinds of resources on the wire that are written.
pub(crate) const INPUT: u64 = 2;
pub(crate) const BOTH: u64 = 4;

/// How long a device may take to say what it has, where that is not what is asked.
const KINDS_TIME: Duration = Duration::from_secs(3);

/// The kinds in a description of all resources, those below others included, which the old dialect
/// lists under `/`.
pub(crate) fn kinds(list: &Payload) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    if let Some(map) = list.value().as_map() {
        collect(map, "", &mut found);
    }
    found
}

/// Recurses as deep as the value nests, which is bounded by its decoding.
fn collect(map: Map<'_>, above: &str, found: &mut BTreeMap<String, u64>) {
    for (name, about) in map.iter() {
        let (Some(name), Some(about)) = (name.as_str(), about.as_map()) else { continue };
        let path = std::format!("{above}{name}");
        if let Some(below) = about.get("/").and_then(|below| below.as_map()) {
            collect(below, &std::format!("{path}/"), found);
        }
        if let Some(kind) = about.get("fn").and_then(|kind| kind.as_u64()) {
            found.insert(path, kind);
        }
    }
}
