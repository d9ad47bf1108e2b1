//! A session on one connection, without the connection, for either side.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use pointstream_time::{Deadlines, Instant};

use crate::dialect::Dialect;
use crate::encode::{Encode, Encoder};
use crate::frame::Decoder;
use crate::message::{Draft, MessageType, Resource};

mod config;
mod event;
mod incoming;

pub use config::{Config, Connect, Credentials, Refusal, Secret};
pub use event::{
    Answer, Ask, Data, End, Event, Opener, Reply, RequestError, Stream, Target, Ticket,
};

/// Which side of a connection a session is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "there are two sides")]
pub enum Side {
    /// The device.
    Client,
    /// What devices connect to.
    Server,
}

/// How a stream is to be fed.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Feed<'a> {
    /// When the device has something to tell.
    Events,
    /// At an interval, which the wire carries in milliseconds.
    Every(Duration),
    /// As these parameters say.
    With(&'a dyn Encode),
}

/// One side of one connection: told the time and given bytes, asked for bytes and events.
///
/// A server learns the dialect from the first frame and answers in it; a client chooses it. Nothing
/// but the verdict is sent before a client is accepted, and what it sends until then is kept up to a
/// limit. Answers are matched by id alone, in any order; those that nobody waits for and values of
/// streams that are not open are discarded and counted.
///
/// Take all events after each call: their number is bounded by the bytes of the call.
#[derive(Debug)]
pub struct Session {
    side: Side,
    config: Config,
    state: State,
    dialect: Dialect,
    decoder: Decoder,
    /// When the last bytes came.
    heard: Instant,
    /// How long the peer may be silent.
    silence_max: Duration,
    /// When the client is to say that it is there.
    keep_alive_at: Option<Instant>,
    /// How many keep-alives this side has sent, and how many came back.
    keep_alives: u64,
    echoes: u64,
    next_id: u16,
    next_ticket: u64,
    requests: BTreeMap<u16, Request>,
    request_deadlines: Deadlines<u16>,
    peer_requests: BTreeMap<u64, PeerRequest>,
    streams: BTreeMap<Stream, StreamState>,
    transmit: Vec<u8>,
    events: VecDeque<Event>,
    discarded: u64,
}

#[derive(Debug)]
enum State {
    /// A server waits for the first frame, a client for the verdict.
    Connecting(Instant),
    /// A server's user thinks about it. What came meanwhile is kept undecoded.
    Judging {
        deadline: Instant,
        id: Option<u16>,
        early: Vec<u8>,
    },
    Open,
    Closed,
}

/// A request of ours.
#[derive(Clone, Copy, Debug)]
struct Request {
    ticket: Ticket,
    purpose: Purpose,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Purpose {
    Other,
    Start,
    Stop,
}

/// A request of the peer.
#[derive(Clone, Copy, Debug)]
struct PeerRequest {
    id: u16,
    /// The stream that an OK opens, and whether it is open already.
    start: Option<(Stream, bool)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum StreamState {
    /// The one who was asked has not answered.
    Opening,
    Open,
    /// We have asked to close it.
    Stopping,
}

impl Session {
    /// A server's session at the start of a connection.
    pub fn server(now: Instant, config: Config) -> Self {
        Self::new(Side::Server, Dialect::Iotmp2, now, config)
    }

    /// A client's session at the start of a connection, which it asks to be accepted.
    ///
    /// # Errors
    ///
    /// Credentials too long for a frame.
    pub fn client(
        now: Instant,
        dialect: Dialect,
        credentials: &Credentials,
        config: Config,
    ) -> Result<Self, RequestError> {
        let mut session = Self::new(Side::Client, dialect, now, config);
        let asked = KeepAliveMap(config.keep_alive.as_secs().clamp(1, config::KEEP_ALIVE_SECS_MAX));
        let mut draft = Draft::new(MessageType::Connect).with_payload(credentials);
        draft.parameters = match dialect {
            Dialect::Iotmp1 => Some(&1u8),
            Dialect::Iotmp2 if asked.0 != KEEP_ALIVE_SECS => Some(&asked),
            _ => None,
        };
        draft.stream_id = (dialect != Dialect::Old).then(|| session.free_id());
        draft.encode(dialect, &mut session.transmit)?;
        Ok(session)
    }

    fn new(side: Side, dialect: Dialect, now: Instant, config: Config) -> Self {
        let body_len_max = match side {
            Side::Client => config.body_len_max,
            Side::Server => config.connect_len_max,
        };
        Self {
            side,
            config,
            state: State::Connecting(now + config.connect_timeout),
            dialect,
            decoder: Decoder::new(body_len_max),
            heard: now,
            silence_max: config.keep_alive * 2,
            keep_alive_at: None,
            keep_alives: 0,
            echoes: 0,
            next_id: 1,
            next_ticket: 0,
            requests: BTreeMap::new(),
            request_deadlines: Deadlines::new(),
            peer_requests: BTreeMap::new(),
            streams: BTreeMap::new(),
            transmit: Vec::new(),
            events: VecDeque::new(),
            discarded: 0,
        }
    }

    /// Accepts the client of [`Event::Connecting`].
    ///
    /// # Errors
    ///
    /// No client waits for a verdict.
    pub fn accept(&mut self, now: Instant) -> Result<(), RequestError> {
        let State::Judging { id, early, .. } = &mut self.state else {
            return Err(RequestError::Unknown);
        };
        let (id, early) = (*id, core::mem::take(early));
        self.state = State::Open;
        self.heard = now;
        self.decoder.set_body_len_max(self.config.body_len_max);
        self.put(&Draft { stream_id: id, ..Draft::new(MessageType::Ok) })?;
        self.read(now, &early);
        Ok(())
    }

    /// Refuses the client of [`Event::Connecting`], which ends the session.
    ///
    /// # Errors
    ///
    /// No client waits for a verdict.
    pub fn reject(&mut self, refusal: Refusal) -> Result<(), RequestError> {
        let State::Judging { id, .. } = self.state else { return Err(RequestError::Unknown) };
        self.refuse(id, refusal);
        Ok(())
    }

    /// Asks the peer to carry out a resource.
    pub fn run(
        &mut self,
        now: Instant,
        resource: Resource<'_>,
        parameters: Option<&dyn Encode>,
        payload: Option<&dyn Encode>,
    ) -> Result<Ticket, RequestError> {
        let draft = Draft { parameters, payload, ..Draft::new(MessageType::Run) };
        self.request(now, &draft.with_resource(resource), Purpose::Other)
    }

    /// Asks the peer to carry out a resource and not to answer. Some do answer, which is discarded.
    pub fn notify(
        &mut self,
        resource: Resource<'_>,
        parameters: Option<&dyn Encode>,
        payload: Option<&dyn Encode>,
    ) -> Result<(), RequestError> {
        let draft = Draft { parameters, payload, ..Draft::new(MessageType::Run) };
        self.put_open(&draft.with_resource(resource))
    }

    /// Asks the peer what it has, or what one resource takes and gives.
    pub fn describe(
        &mut self,
        now: Instant,
        resource: Option<&str>,
    ) -> Result<Ticket, RequestError> {
        let mut draft = Draft::new(MessageType::Describe);
        draft.resource = resource.map(Resource::Path);
        if self.dialect != Dialect::Old {
            return self.request(now, &draft, Purpose::Other);
        }
        // There, a description is what the resource "api" gives, or the one below another.
        let path = match resource {
            Some(resource) => alloc::format!("{resource}/{OLD_DESCRIPTION}"),
            None => OLD_DESCRIPTION.into(),
        };
        self.run(now, Resource::Path(&path), None, None)
    }

    /// Asks the peer to open a stream. Its values may come before its answer.
    pub fn start(
        &mut self,
        now: Instant,
        resource: Resource<'_>,
        feed: Feed<'_>,
    ) -> Result<(Stream, Ticket), RequestError> {
        let own = self.streams.keys().filter(|stream| stream.opener == Opener::Us).count();
        if own >= self.config.streams_max {
            return Err(RequestError::Busy);
        }
        let stream = Stream { opener: Opener::Us, id: self.free_id() };
        let ticket = self.request_start(now, stream.id, resource, feed)?;
        self.streams.insert(stream, StreamState::Opening);
        Ok((stream, ticket))
    }

    /// Asks the peer to feed an open stream in another way. The resource is said again, since not
    /// all clients keep it; the id is the same.
    pub fn restart(
        &mut self,
        now: Instant,
        stream: Stream,
        resource: Resource<'_>,
        feed: Feed<'_>,
    ) -> Result<Ticket, RequestError> {
        let known = self.streams.get(&stream) == Some(&StreamState::Open);
        if !known || stream.opener != Opener::Us {
            return Err(RequestError::Unknown);
        }
        self.request_start(now, stream.id, resource, feed)
    }

    /// Closes a stream. What still comes on it is discarded.
    pub fn stop(&mut self, now: Instant, stream: Stream) -> Result<Ticket, RequestError> {
        if !matches!(self.streams.get(&stream), Some(StreamState::Open | StreamState::Opening)) {
            return Err(RequestError::Unknown);
        }
        // A stream whose opening is not answered is closed all the same: the peer reads in order.
        if let Some(request) = self.requests.remove(&stream.id) {
            self.request_deadlines.clear(stream.id);
            self.events.push_back(Event::TimedOut(request.ticket));
        }
        let draft = Draft::new(MessageType::StopStream).with_stream_id(stream.id);
        let ticket = self.request(now, &draft, Purpose::Stop)?;
        self.streams.insert(stream, StreamState::Stopping);
        Ok(ticket)
    }

    /// Sends a value on an open stream.
    pub fn send(&mut self, stream: Stream, value: &dyn Encode) -> Result<(), RequestError> {
        if self.streams.get(&stream) != Some(&StreamState::Open) {
            return Err(RequestError::Unknown);
        }
        let draft = Draft::new(MessageType::StreamData).with_stream_id(stream.id);
        match (self.dialect, self.side) {
            (Dialect::Iotmp1, Side::Client) => {
                self.put_open(&draft.with_payload(value).with_parameters(&2u8))
            }
            (Dialect::Old, Side::Client) => self.put_open(&draft.with_payload(&OldOutput(value))),
            _ => self.put_open(&draft.with_payload(value)),
        }
    }

    /// Sends a value on an open stream, with something about it in the parameters, which the dialects
    /// before IOTMP-2 have no room for.
    pub fn send_with(
        &mut self,
        stream: Stream,
        value: &dyn Encode,
        parameters: &dyn Encode,
    ) -> Result<(), RequestError> {
        if self.dialect != Dialect::Iotmp2 {
            return self.send(stream, value);
        }
        if self.streams.get(&stream) != Some(&StreamState::Open) {
            return Err(RequestError::Unknown);
        }
        let draft = Draft::new(MessageType::StreamData).with_stream_id(stream.id);
        self.put_open(&draft.with_payload(value).with_parameters(parameters))
    }

    /// Answers a request of the peer: it was done. For a stream, it is open from here on.
    pub fn ok(&mut self, reply: Reply, payload: Option<&dyn Encode>) -> Result<(), RequestError> {
        let draft = Draft { payload, ..Draft::new(MessageType::Ok) };
        let asked = self.answer(reply, draft)?;
        // It may have been closed meanwhile.
        if let Some(state) = asked.start.and_then(|(stream, _)| self.streams.get_mut(&stream)) {
            *state = StreamState::Open;
        }
        Ok(())
    }

    /// Answers a request of the peer: it was refused or failed, with a code like those of HTTP.
    pub fn error(
        &mut self,
        reply: Reply,
        code: u16,
        payload: Option<&dyn Encode>,
    ) -> Result<(), RequestError> {
        let draft = Draft { payload, ..Draft::new(MessageType::Error) };
        let asked = self.answer(reply, draft.with_parameters(&code))?;
        if let Some((stream, false)) = asked.start {
            self.streams.remove(&stream);
        }
        Ok(())
    }

    /// Says that this side leaves. The session is over; the connection is to be closed as soon as
    /// everything is sent, since some clients do not listen to this message.
    pub fn disconnect(&mut self) {
        if matches!(self.state, State::Open) {
            // The old dialect has no such message: closing says it.
            let _ = self.put(&Draft::new(MessageType::Disconnect));
        }
        self.close(End::Left);
    }

    /// Takes what the connection delivered.
    pub fn handle_input(&mut self, now: Instant, bytes: &[u8]) {
        self.handle_timeout(now);
        if !bytes.is_empty() {
            // Any byte proves that the peer is there.
            self.heard = now;
            self.read(now, bytes);
        }
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.state {
            State::Connecting(deadline) | State::Judging { deadline, .. } if deadline <= now => {
                self.close(End::TimedOut);
            }
            State::Open if self.heard + self.silence_max <= now => self.close(End::Silent),
            State::Open => self.handle_open_timeout(now),
            _ => {}
        }
    }

    /// Appends to `out` what is to be sent; whether there was anything.
    pub fn poll_transmit(&mut self, out: &mut Vec<u8>) -> bool {
        let any = !self.transmit.is_empty();
        out.append(&mut self.transmit);
        self.transmit.shrink_to(TRANSMIT_CAPACITY);
        any
    }

    /// How many bytes wait for [`Self::poll_transmit`].
    pub const fn queued(&self) -> usize {
        self.transmit.len()
    }

    /// What happened next.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Self::handle_timeout`] is to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Connecting(deadline) | State::Judging { deadline, .. } => Some(deadline),
            State::Open => {
                let silent = Some(self.heard + self.silence_max);
                let due = [silent, self.keep_alive_at, self.request_deadlines.next()];
                due.into_iter().flatten().min()
            }
            State::Closed => None,
        }
    }

    /// Which side it is.
    pub const fn side(&self) -> Side {
        self.side
    }

    /// The dialect that is spoken, once the first frame has come.
    pub const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether requests can be made.
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// Whether it is over.
    pub const fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Sends a keep-alive out of turn and gives its number. A server takes what it is sent in order and
    /// sends keep-alives back at once, so that [`Self::echoed`] says when all that was sent before has
    /// come there. Nothing before a client was accepted, and at a server.
    pub fn probe(&mut self) -> Option<u64> {
        let open = matches!(self.state, State::Open) && self.side == Side::Client;
        open.then(|| {
            self.put_keep_alive();
            self.keep_alives
        })
    }

    /// The number of the last keep-alive that came back.
    pub const fn echoed(&self) -> u64 {
        self.echoes
    }

    fn put_keep_alive(&mut self) {
        self.keep_alives += 1;
        self.put_demanded(&Draft::new(MessageType::KeepAlive));
    }

    /// How many messages were discarded because nothing waited for them.
    pub const fn discarded(&self) -> u64 {
        self.discarded
    }

    fn handle_open_timeout(&mut self, now: Instant) {
        if self.keep_alive_at.is_some_and(|at| at <= now) {
            self.keep_alive_at = Some(now + self.config.keep_alive);
            self.put_keep_alive();
        }
        while let Some(id) = self.request_deadlines.pop_due(now) {
            let Some(request) = self.requests.remove(&id) else { continue };
            let stream = Stream { opener: Opener::Us, id };
            match (request.purpose, self.streams.get(&stream)) {
                (Purpose::Start, Some(StreamState::Opening)) => {
                    self.streams.remove(&stream);
                    // The device may have heard it and stream to nobody.
                    let stop = Draft::new(MessageType::StopStream).with_stream_id(id);
                    self.put_demanded(&stop);
                }
                (Purpose::Stop, _) => self.forget_stopped(id),
                _ => {}
            }
            self.events.push_back(Event::TimedOut(request.ticket));
        }
    }

    /// Frees the id of a stream that we have closed.
    fn forget_stopped(&mut self, id: u16) {
        for opener in [Opener::Us, Opener::Peer] {
            let stream = Stream { opener, id };
            if self.streams.get(&stream) == Some(&StreamState::Stopping) {
                self.streams.remove(&stream);
            }
        }
    }

    fn request_start(
        &mut self,
        now: Instant,
        id: u16,
        resource: Resource<'_>,
        feed: Feed<'_>,
    ) -> Result<Ticket, RequestError> {
        let draft = Draft::new(MessageType::StartStream).with_stream_id(id).with_resource(resource);
        let (millis, old) = (feed.millis(), self.dialect == Dialect::Old);
        let map = IntervalMap(millis);
        let parameters: Option<&dyn Encode> = match &feed {
            Feed::With(parameters) => Some(*parameters),
            // The old dialect has no other place to say that there is no interval.
            _ if old => Some(&millis),
            Feed::Every(_) => Some(&map),
            Feed::Events => None,
        };
        self.request(now, &Draft { parameters, ..draft }, Purpose::Start)
    }

    /// Sends a request under its stream id or a free one.
    fn request(
        &mut self,
        now: Instant,
        draft: &Draft<'_>,
        purpose: Purpose,
    ) -> Result<Ticket, RequestError> {
        if self.requests.len() >= self.config.requests_max {
            return Err(RequestError::Busy);
        }
        let id = draft.stream_id.unwrap_or_else(|| self.free_id());
        if self.requests.contains_key(&id) {
            return Err(RequestError::Busy);
        }
        self.put_open(&draft.with_stream_id(id))?;
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.requests.insert(id, Request { ticket, purpose });
        self.request_deadlines.set(id, now + self.config.request_timeout);
        Ok(ticket)
    }

    fn answer(&mut self, reply: Reply, draft: Draft<'_>) -> Result<PeerRequest, RequestError> {
        let asked = *self.peer_requests.get(&reply.0).ok_or(RequestError::Unknown)?;
        self.put_open(&draft.with_stream_id(asked.id))?;
        self.peer_requests.remove(&reply.0);
        Ok(asked)
    }

    fn put_open(&mut self, draft: &Draft<'_>) -> Result<(), RequestError> {
        if !self.is_open() {
            return Err(RequestError::NotOpen);
        }
        self.put(draft)
    }

    fn put(&mut self, draft: &Draft<'_>) -> Result<(), RequestError> {
        if self.transmit.len() >= self.config.transmit_len_max {
            return Err(RequestError::Backlog);
        }
        Ok(draft.encode(self.dialect, &mut self.transmit)?)
    }

    /// Sends what the protocol demands, or ends the session.
    fn put_demanded(&mut self, draft: &Draft<'_>) {
        if self.put(draft) == Err(RequestError::Backlog) {
            self.close(End::Backlog);
        }
    }

    fn refuse(&mut self, id: Option<u16>, refusal: Refusal) {
        let code = refusal.code();
        let draft = Draft { stream_id: id, ..Draft::new(MessageType::Error) };
        let _ = self.put(&draft.with_parameters(&code));
        self.close(End::Refused(Some(u64::from(code))));
    }

    fn close(&mut self, end: End) {
        if matches!(self.state, State::Closed) {
            return;
        }
        self.state = State::Closed;
        self.keep_alive_at = None;
        self.requests = BTreeMap::new();
        self.request_deadlines = Deadlines::new();
        self.peer_requests = BTreeMap::new();
        self.streams = BTreeMap::new();
        self.decoder = Decoder::new(0);
        self.events.push_back(Event::Closed(end));
    }

    /// An id that neither side uses, so that no client confuses ours with its own.
    fn free_id(&mut self) -> u16 {
        // There are always free ones: all tables together are bounded below their number in any
        // sensible configuration, and otherwise the last one tried is refused as busy.
        for _ in 0..u16::MAX {
            let id = self.next_id;
            self.next_id = self.next_id.checked_add(1).unwrap_or(1);
            let used = self.requests.contains_key(&id)
                || self.streams.contains_key(&Stream { opener: Opener::Us, id })
                || self.streams.contains_key(&Stream { opener: Opener::Peer, id })
                || self.peer_requests.values().any(|request| request.id == id);
            if !used {
                return id;
            }
        }
        self.next_id
    }
}

impl Feed<'_> {
    fn millis(&self) -> u64 {
        match self {
            Self::Every(interval) => u64::try_from(interval.as_millis()).unwrap_or(u64::MAX),
            Self::Events | Self::With(_) => 0,
        }
    }
}

impl core::fmt::Debug for Feed<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Events => f.write_str("Events"),
            Self::Every(interval) => f.debug_tuple("Every").field(interval).finish(),
            Self::With(_) => f.write_str("With"),
        }
    }
}

/// The resource that describes, in the old dialect.
const OLD_DESCRIPTION: &str = "api";
/// The interval of keep-alives that a client need not say.
const KEEP_ALIVE_SECS: u64 = 60;
/// How much room a session keeps for sending while it has nothing to send.
const TRANSMIT_CAPACITY: usize = 512;

struct KeepAliveMap(u64);

impl Encode for KeepAliveMap {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.map(|to| to.entry("ka", &self.0));
    }
}

struct IntervalMap(u64);

impl Encode for IntervalMap {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.map(|to| to.entry("interval", &self.0));
    }
}

/// A streamed value as the old dialect wraps it.
struct OldOutput<'a>(&'a dyn Encode);

impl Encode for OldOutput<'_> {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.map(|to| to.entry("out", self.0));
    }
}
