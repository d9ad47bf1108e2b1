//! One connection of a server.

use core::time::Duration;
use std::boxed::Box;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::string::{String, ToString};
use std::sync::{Arc, PoisonError};
use std::vec::Vec;

use pointstream_net::{Accepted, Stream as Socket};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::auth::Authenticator;
use super::device::{CallError, Command, Device, Inner, Outcome, Receiver, State, Told, deliver};
use super::event::{DeviceId, Event};
use super::jobs::{self, Job};
use super::services::Services;
use super::shared::Shared;
use super::topics::{Interest, Recipient, Subscription};
use super::values::Sample;
use super::wish::Wish;
use crate::io::Connection;
use crate::mux::{Action, Channel, Keeps, Sink};
use crate::session::{
    Ask, Connect, Data, Event as Happened, Feed, Opener, Reply, RequestError, Stream, Ticket,
};
use crate::{Payload, Resource};

/// What connections are served with.
#[derive(Debug)]
pub(crate) struct Served<A, S> {
    pub(crate) shared: Arc<Shared>,
    pub(crate) authenticator: A,
    pub(crate) services: S,
}

/// How connections come in at one listener.
#[derive(Clone, Debug)]
pub(crate) struct Entrance {
    #[cfg(feature = "tls")]
    tls: Option<pointstream_net::ServerTls>,
    #[cfg(feature = "ws")]
    ws: bool,
}

impl Entrance {
    pub(crate) const fn plain() -> Self {
        Self {
            #[cfg(feature = "tls")]
            tls: None,
            #[cfg(feature = "ws")]
            ws: false,
        }
    }

    #[cfg(feature = "tls")]
    pub(crate) fn with_tls(mut self, tls: pointstream_net::ServerTls) -> Self {
        self.tls = Some(tls);
        self
    }

    #[cfg(feature = "ws")]
    pub(crate) const fn with_ws(mut self) -> Self {
        self.ws = true;
        self
    }

    /// Does the handshakes that come before IOTMP, each within `limit`.
    #[cfg_attr(
        not(any(feature = "tls", feature = "ws")),
        expect(clippy::unused_async, reason = "plain TCP has no handshake to wait for")
    )]
    async fn enter(&self, stream: Socket, limit: Duration) -> io::Result<Socket> {
        let _ = limit;
        #[cfg(feature = "tls")]
        let stream = match &self.tls {
            Some(tls) => tls.accept(stream, limit).await?,
            None => stream,
        };
        #[cfg(feature = "ws")]
        let stream = if self.ws {
            let mut options = pointstream_net::ws::WsAccept::new(super::WS_PATH);
            options.subprotocols = [String::from("iotmp")].into();
            options.message_len_max = WS_MESSAGE_LEN_MAX;
            pointstream_net::ws::accept_ws(stream, &options, limit).await?.into_stream()
        } else {
            stream
        };
        Ok(stream)
    }
}

/// The longest WebSocket message: the longest frame that a reference client takes, and its header.
#[cfg(feature = "ws")]
const WS_MESSAGE_LEN_MAX: usize = 256 * 1024 + 16;

/// Serves one connection to its end.
pub(crate) async fn serve<A: Authenticator, S: Services>(
    served: Arc<Served<A, S>>,
    entrance: Entrance,
    accepted: Accepted,
    stopped: watch::Receiver<bool>,
) {
    // Its place among the connections is kept to the end.
    let (stream, peer) = (accepted.stream, Some(accepted.peer));
    serve_stream(served, entrance, stream, peer, stopped).await;
}

/// Serves a stream that came from anywhere.
pub(crate) async fn serve_stream<A: Authenticator, S: Services>(
    served: Arc<Served<A, S>>,
    entrance: Entrance,
    stream: Socket,
    peer: Option<SocketAddr>,
    mut stopped: watch::Receiver<bool>,
) {
    let shared = Arc::clone(&served.shared);
    let half_open = shared.half_open();
    let limit = shared.options.session.connect_timeout;
    let entered = tokio::select! {
        biased;
        // An error means that the server itself is gone.
        _ = stopped.wait_for(|stopped| *stopped) => return,
        () = half_open.evicted() => Err((None, String::from("its place was needed"))),
        // Boxed, so that a device does not keep the room that handshakes need.
        entered = timeout(limit, Box::pin(enter(&served, &entrance, stream, limit))) => {
            entered.unwrap_or_else(|_| Err((None, String::from("it was not accepted in time"))))
        }
    };
    drop(half_open);
    match entered {
        Ok((connection, connect)) => attend(served, connection, connect, peer, stopped).await,
        Err((id, reason)) => shared.tell(|| Event::Refused { id, peer, reason }),
    }
}

type Refused = (Option<DeviceId>, String);

/// Finds out who a client is and lets it in.
async fn enter<A: Authenticator, S>(
    served: &Served<A, S>,
    entrance: &Entrance,
    stream: Socket,
    limit: Duration,
) -> Result<(Connection, Connect), Refused> {
    let broken = |error: io::Error| (None, error.to_string());
    let stream = entrance.enter(stream, limit).await.map_err(broken)?;
    let mut connection = Connection::server(stream, served.shared.options.session);
    let mut reason = String::from("the connection ended");
    while let Some(event) = connection.event().await.map_err(broken)? {
        match event {
            Happened::Connecting(connect) => {
                let id = DeviceId::new(
                    connect.credentials.user.as_str(),
                    connect.credentials.device.as_str(),
                );
                return judge(served, connection, connect).await.map_err(|why| (Some(id), why));
            }
            Happened::Closed(end) => reason = end.to_string(),
            _ => {}
        }
    }
    Err((None, reason))
}

async fn judge<A: Authenticator, S>(
    served: &Served<A, S>,
    mut connection: Connection,
    connect: Connect,
) -> Result<(Connection, Connect), String> {
    let verdict = tokio::select! {
        biased;
        verdict = served.authenticator.authenticate(&connect.credentials) => verdict,
        // A client that leaves or sends too much does not get one.
        event = connection.event() => return Err(match event {
            Ok(Some(Happened::Closed(end))) => end.to_string(),
            Ok(_) => String::from("the connection ended"),
            Err(error) => error.to_string(),
        }),
    };
    let now = connection.now();
    match verdict {
        Ok(()) => match connection.session().accept(now) {
            Ok(()) => Ok((connection, connect)),
            Err(error) => Err(error.to_string()),
        },
        Err(refusal) => {
            let _ = connection.session().reject(refusal);
            let mut reason = String::new();
            // The client is to read why.
            while let Ok(Some(event)) = connection.event().await {
                if let Happened::Closed(end) = event {
                    reason = end.to_string();
                }
            }
            Err(reason)
        }
    }
}

/// Serves a device that was let in.
async fn attend<A: Authenticator, S: Services>(
    served: Arc<Served<A, S>>,
    mut connection: Connection,
    connect: Connect,
    peer: Option<SocketAddr>,
    mut stopped: watch::Receiver<bool>,
) {
    let shared = Arc::clone(&served.shared);
    let id = DeviceId::new(connect.credentials.user, connect.credentials.device);
    let keeps = if connect.id_first { Keeps::Last } else { Keeps::Apart };
    let number = shared.number();
    let dialect = connection.session().dialect();
    let device = shared.attach(&id, number, keeps, dialect, peer);
    drop(id);
    let mut serving = Serving::new(served, device.clone(), number);
    let reason = loop {
        serving.work(&mut connection);
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped), if !serving.leaving => {
                serving.leaving = true;
                connection.session().disconnect();
            }
            () = device.state.wake.notified() => {}
            Some(done) = serving.jobs.join_next(), if !serving.jobs.is_empty() => {
                if let Ok((reply, result)) = done {
                    serving.answer(&mut connection, reply, result);
                }
            }
            event = connection.event() => match event {
                Ok(Some(event)) => serving.on_events(&mut connection, event),
                Ok(None) => break core::mem::take(&mut serving.reason),
                Err(error) => break error.to_string(),
            },
        }
    };
    serving.leave();
    shared.detach(&device.state, number, reason);
}

/// What one session does for a device.
struct Serving<A, S> {
    served: Arc<Served<A, S>>,
    device: Device,
    number: u64,
    leaving: bool,
    reason: String,
    pending: BTreeMap<Ticket, Pending>,
    /// The device's streams, by the multiplexer's name and by the wire's.
    lines: BTreeMap<Channel, Line>,
    channels: BTreeMap<Stream, Channel>,
    /// What the device has opened.
    feeds: BTreeMap<Stream, Fed>,
    jobs: JoinSet<(Option<Reply>, jobs::Done)>,
    told: Told,
}

/// What a request of ours is for.
enum Pending {
    Call(oneshot::Sender<Outcome>),
    Start(Channel, Stream),
    Restart(Channel, Stream),
    Stop(Channel),
}

struct Line {
    stream: Stream,
    resource: Arc<str>,
}

/// What a stream is for that the device has opened.
enum Fed {
    Publish {
        topic: Arc<str>,
        retain: bool,
    },
    /// The device is told; nothing is expected of it.
    Told,
    /// It is told the values of another device.
    Sink(Device, Sink),
}

impl<A: Authenticator, S: Services> Serving<A, S> {
    fn new(served: Arc<Served<A, S>>, device: Device, number: u64) -> Self {
        Self {
            served,
            device,
            number,
            leaving: false,
            reason: String::new(),
            pending: BTreeMap::new(),
            lines: BTreeMap::new(),
            channels: BTreeMap::new(),
            feeds: BTreeMap::new(),
            jobs: JoinSet::new(),
            told: Vec::new(),
        }
    }

    fn id(&self) -> Arc<DeviceId> {
        Arc::clone(&self.device.state.id)
    }

    /// Does what others want of the device.
    fn work(&mut self, connection: &mut Connection) {
        let state = Arc::clone(&self.device.state);
        let mut inner = state.lock();
        if inner.session != Some(self.number) {
            drop(inner);
            if !self.leaving {
                self.leaving = true;
                connection.session().disconnect();
            }
            return;
        }
        let commands = core::mem::take(&mut inner.commands);
        while let Some(action) = inner.mux.poll_action() {
            self.act(connection, &mut inner, action);
        }
        inner.take_told(&mut self.told);
        drop(inner);
        deliver(&mut self.told);
        for command in commands {
            self.command(connection, command);
        }
    }

    fn act(&mut self, connection: &mut Connection, inner: &mut Inner, action: Action) {
        let now = connection.now();
        let session = connection.session();
        match action {
            Action::Start { channel, resource, interval } => {
                let path = Resource::Path(&resource);
                let Ok((stream, ticket)) = session.start(now, path, feed(interval)) else {
                    return inner.mux.on_error(channel);
                };
                self.pending.insert(ticket, Pending::Start(channel, stream));
                self.channels.insert(stream, channel);
                self.lines.insert(channel, Line { stream, resource: resource.as_str().into() });
                self.tell_started(resource, interval);
            }
            Action::Restart { channel, resource, interval } => {
                let Some(stream) = self.lines.get(&channel).map(|line| line.stream) else {
                    return inner.mux.on_lost(channel);
                };
                let path = Resource::Path(&resource);
                match session.restart(now, stream, path, feed(interval)) {
                    Ok(ticket) => {
                        self.pending.insert(ticket, Pending::Restart(channel, stream));
                        self.tell_started(resource, interval);
                    }
                    Err(_) => inner.mux.on_error(channel),
                }
            }
            Action::Stop { channel } => {
                let Some(line) = self.lines.remove(&channel) else {
                    return inner.mux.on_ok(channel);
                };
                self.channels.remove(&line.stream);
                match session.stop(now, line.stream) {
                    Ok(ticket) => drop(self.pending.insert(ticket, Pending::Stop(channel))),
                    Err(_) => inner.mux.on_ok(channel),
                }
                self.tell_stopped(&line.resource, false);
            }
        }
    }

    fn tell_started(&self, resource: String, interval: Option<Duration>) {
        let interval_ms = interval.map(|it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX));
        let id = self.id();
        self.served.shared.tell(|| Event::StreamStarted { id, resource, interval_ms });
    }

    fn tell_stopped(&self, resource: &str, by_device: bool) {
        let (id, resource) = (self.id(), resource.to_string());
        self.served.shared.tell(|| Event::StreamStopped { id, resource, by_device });
    }

    fn command(&mut self, connection: &mut Connection, command: Command) {
        let now = connection.now();
        let session = connection.session();
        let (asked, answer) = match command {
            Command::Run { resource, payload, answer } => {
                let payload = payload.as_ref().map(|payload| payload as &dyn crate::Encode);
                (session.run(now, Resource::Path(&resource), None, payload), answer)
            }
            Command::Describe { resource, answer } => {
                (session.describe(now, resource.as_deref()), answer)
            }
            Command::Send { session: number, stream, value } => {
                if number == self.number && self.feeds.contains_key(&stream) {
                    // A device that does not read does not get the value.
                    let _ = session.send(stream, &*value);
                }
                return;
            }
        };
        match asked {
            Ok(ticket) => drop(self.pending.insert(ticket, Pending::Call(answer))),
            Err(error) => {
                let _ = answer.send(Err(match error {
                    RequestError::NotOpen => CallError::Offline,
                    RequestError::Busy | RequestError::Backlog => CallError::Busy,
                    other => CallError::Unwritable(other),
                }));
            }
        }
    }

    /// Takes an event and those that are ready behind it.
    fn on_events(&mut self, connection: &mut Connection, first: Happened) {
        let mut next = Some(first);
        while let Some(event) = next {
            self.on_event(connection, event);
            next = connection.session().poll_event();
        }
    }

    fn on_event(&mut self, connection: &mut Connection, event: Happened) {
        match event {
            Happened::Data(stream, data) => match stream.opener {
                Opener::Us => self.on_value(stream, data),
                Opener::Peer => self.on_published(stream, data),
            },
            Happened::Answered(ticket, answer) => {
                let ok = answer.ok;
                match self.pending.remove(&ticket) {
                    Some(Pending::Call(call)) => drop(call.send(Ok(answer))),
                    Some(pending) => self.on_answer(connection, pending, ok),
                    None => {}
                }
            }
            Happened::TimedOut(ticket) => match self.pending.remove(&ticket) {
                Some(Pending::Call(call)) => drop(call.send(Err(CallError::TimedOut))),
                Some(pending) => self.on_answer(connection, pending, false),
                None => {}
            },
            Happened::Stopped(stream) => self.on_stopped(stream, true),
            Happened::Lost(stream) => self.on_stopped(stream, false),
            Happened::Asked(reply, ask) => self.on_asked(connection, reply, ask),
            Happened::Closed(end) => self.reason = end.to_string(),
            Happened::Connecting(_) | Happened::Connected => {}
        }
    }

    fn on_value(&mut self, stream: Stream, data: Data) {
        let Some(channel) = self.channels.get(&stream).copied() else { return };
        let about = data.parameters.as_ref().and_then(|about| about.value().as_map());
        let number = |name: &str| about.and_then(|about| about.get(name)?.as_u64());
        let (time_ms, seq) = (number("time"), number("seq"));
        let sample = Arc::new(Sample { value: data.payload, time_ms, seq });
        if let Some(line) = self.lines.get(&channel) {
            self.served.shared.tell(|| Event::Data {
                id: Arc::clone(&self.device.state.id),
                resource: line.resource.to_string(),
                value: sample.value.clone(),
                time_ms,
                seq,
            });
        }
        let now = self.served.shared.now();
        let mut inner = self.device.state.lock();
        // What was kept is no sample of the stream's interval.
        let raised = data.raised || time_ms.is_some();
        inner.mux.on_value(now, channel, sample, raised);
        inner.take_told(&mut self.told);
        drop(inner);
        deliver(&mut self.told);
    }

    /// What became of opening, changing or closing a stream. What did not come in time counts as
    /// refused.
    fn on_answer(&mut self, connection: &mut Connection, pending: Pending, ok: bool) {
        let state = Arc::clone(&self.device.state);
        let mut inner = state.lock();
        match (pending, ok) {
            (Pending::Start(channel, _) | Pending::Restart(channel, _), true)
            | (Pending::Stop(channel), _) => inner.mux.on_ok(channel),
            (Pending::Start(channel, stream), false) => {
                let line = self.forget(channel, stream);
                inner.mux.on_error(channel);
                if let Some(line) = line {
                    self.tell_stopped(&line.resource, true);
                }
            }
            (Pending::Restart(channel, stream), false) => {
                // A refused change leaves the stream as it was, which nobody wants.
                let now = connection.now();
                let _ = connection.session().stop(now, stream);
                let line = self.forget(channel, stream);
                inner.mux.on_error(channel);
                if let Some(line) = line {
                    self.tell_stopped(&line.resource, true);
                }
            }
            (Pending::Call(_), _) => {}
        }
        inner.take_told(&mut self.told);
        drop(inner);
        deliver(&mut self.told);
    }

    /// Forgets a stream of ours, if the channel has not another one meanwhile.
    fn forget(&mut self, channel: Channel, stream: Stream) -> Option<Line> {
        self.channels.remove(&stream);
        let same = self.lines.get(&channel).is_some_and(|line| line.stream == stream);
        same.then(|| self.lines.remove(&channel)).flatten()
    }

    fn on_stopped(&mut self, stream: Stream, by_device: bool) {
        if stream.opener == Opener::Peer {
            return self.end_feed(stream);
        }
        let Some(channel) = self.channels.get(&stream).copied() else { return };
        let line = self.forget(channel, stream);
        let state = Arc::clone(&self.device.state);
        let mut inner = state.lock();
        if by_device {
            inner.mux.on_stopped(channel);
        } else {
            inner.mux.on_lost(channel);
        }
        inner.take_told(&mut self.told);
        drop(inner);
        deliver(&mut self.told);
        if let Some(line) = line {
            self.tell_stopped(&line.resource, by_device);
        }
    }

    fn on_published(&self, stream: Stream, data: Data) {
        let Some(Fed::Publish { topic, retain }) = self.feeds.get(&stream) else { return };
        let (id, topics) = (self.id(), &self.served.shared.topics);
        let mut topics = topics.lock().unwrap_or_else(PoisonError::into_inner);
        let from = (self.number, stream);
        let (told, message) = topics.publish(&id.user, topic, &data.payload, *retain, from);
        drop(topics);
        told.iter().for_each(|recipient| recipient.send(Arc::clone(&message)));
        let value = Arc::new(data.payload);
        self.served.shared.tell(|| Event::Published { id, topic: topic.to_string(), value });
    }

    fn on_asked(&mut self, connection: &mut Connection, reply: Option<Reply>, ask: Ask) {
        if let Ask::Start { stream, resource, parameters, .. } = &ask {
            let wish = Wish::read(resource.as_ref(), parameters.as_ref().map(Payload::value));
            let Some(reply) = reply else { return };
            return self.on_wish(connection, reply, *stream, wish);
        }
        match Job::read(ask) {
            Ok(job) => {
                let (served, id) = (Arc::clone(&self.served), self.id());
                // Without a reply only the session's input bounds them.
                if self.jobs.len() < JOBS_MAX {
                    self.jobs.spawn(async move { (reply, job.run(served, id).await) });
                } else if let Some(reply) = reply {
                    let _ = connection.session().error(reply, 503, None);
                }
            }
            Err(code) => {
                if let Some(reply) = reply {
                    let _ = connection.session().error(reply, code, None);
                }
            }
        }
    }

    fn on_wish(
        &mut self,
        connection: &mut Connection,
        reply: Reply,
        stream: Stream,
        wish: Result<Wish, u16>,
    ) {
        // A stream that is opened again is for what it is asked this time.
        self.end_feed(stream);
        let opened = wish.and_then(|wish| self.feed(connection, reply, stream, wish));
        if let Err(code) = opened {
            let _ = connection.session().error(reply, code, None);
        }
    }

    /// Opens a stream of the device. The error is a code.
    fn feed(
        &mut self,
        connection: &mut Connection,
        reply: Reply,
        stream: Stream,
        wish: Wish,
    ) -> Result<(), u16> {
        match wish {
            Wish::Publish { topic, retain, also } => {
                let topic = topic.as_str().into();
                self.feeds.insert(stream, Fed::Publish { topic, retain });
                let _ = connection.session().ok(reply, None);
                if let Some(interest) = also {
                    self.subscribe(stream, interest);
                }
            }
            Wish::Tell(interest) => {
                self.feeds.insert(stream, Fed::Told);
                let _ = connection.session().ok(reply, None);
                self.subscribe(stream, interest);
            }
            Wish::Property { name, current } => {
                self.feeds.insert(stream, Fed::Told);
                let interest = Interest::Event {
                    name: super::wish::PROPERTY_UPDATE.into(),
                    property: Some(name.clone()),
                };
                self.subscribe(stream, interest);
                if !current {
                    let _ = connection.session().ok(reply, None);
                    return Ok(());
                }
                let (served, id) = (Arc::clone(&self.served), self.id());
                self.jobs.spawn(async move {
                    (Some(reply), served.services.read_property(&id, &name).await)
                });
            }
            Wish::Device { device, resource, interval } => {
                let id = DeviceId::new(self.device.state.id.user.as_str(), device);
                let other = self.served.shared.find(&id).ok_or(404u16)?;
                let own = Arc::clone(&self.device.state);
                let receiver = Receiver::Device(own, self.number, stream);
                let _ = connection.session().ok(reply, None);
                match other.join(&resource, interval, receiver) {
                    Ok(sink) => drop(self.feeds.insert(stream, Fed::Sink(other, sink))),
                    Err(_) => {
                        let now = connection.now();
                        let _ = connection.session().stop(now, stream);
                    }
                }
            }
        }
        Ok(())
    }

    fn subscribe(&self, stream: Stream, interest: Interest) {
        let state: Arc<State> = Arc::clone(&self.device.state);
        let to = Recipient { state, session: self.number, stream };
        let topics = &self.served.shared.topics;
        let mut topics = topics.lock().unwrap_or_else(PoisonError::into_inner);
        let retained = topics.subscribe(Subscription { interest, to: to.clone() });
        drop(topics);
        retained.into_iter().for_each(|value| to.send(value));
    }

    fn end_feed(&mut self, stream: Stream) {
        match self.feeds.remove(&stream) {
            Some(Fed::Sink(device, sink)) => device.leave(sink),
            Some(_) => {
                let topics = &self.served.shared.topics;
                let mut topics = topics.lock().unwrap_or_else(PoisonError::into_inner);
                topics.unsubscribe(&self.device.state.id.user, self.number, stream);
            }
            None => {}
        }
    }

    /// Answers what a device asked, when it is done.
    fn answer(&self, connection: &mut Connection, reply: Option<Reply>, result: jobs::Done) {
        let Some(reply) = reply else { return };
        // The session may be over, or the stream closed meanwhile.
        let _ = match result {
            Ok(value) => {
                let value = value.as_ref().map(|value| value as &dyn crate::Encode);
                connection.session().ok(reply, value)
            }
            Err(error) => {
                connection.session().error(reply, error.code(), Some(&jobs::told(&error)))
            }
        };
    }

    /// Gives up what the device has opened.
    fn leave(&mut self) {
        for fed in core::mem::take(&mut self.feeds).into_values() {
            if let Fed::Sink(device, sink) = fed {
                device.leave(sink);
            }
        }
        let topics = &self.served.shared.topics;
        let mut topics = topics.lock().unwrap_or_else(PoisonError::into_inner);
        topics.leave(&self.device.state.id.user, self.number);
    }
}

/// How many calls of services are under way for one device; another one is refused.
const JOBS_MAX: usize = 64;

const fn feed(interval: Option<Duration>) -> Feed<'static> {
    match interval {
        Some(interval) => Feed::Every(interval),
        None => Feed::Events,
    }
}
