//! What a session does with what comes in.

use alloc::vec::Vec;
use core::time::Duration;

use pointstream_time::Instant;

use super::{
    Answer, Ask, Connect, Data, End, Event, OLD_DESCRIPTION, Opener, PeerRequest, Purpose, Refusal,
    Reply, Session, Side, State, Stream, StreamState, Target,
};
use crate::dialect::Dialect;
use crate::error::{DecodeError, Malformed};
use crate::frame::{Decoder, Frame};
use crate::message::{Draft, Message, MessageType};
use crate::payload::Payload;
use crate::value::Value;

impl Session {
    pub(super) fn read(&mut self, now: Instant, mut bytes: &[u8]) {
        // Taken out, so that its frames can be looked at while the session changes.
        let mut decoder = core::mem::replace(&mut self.decoder, Decoder::new(0));
        loop {
            match &mut self.state {
                State::Connecting(_) | State::Open => {}
                State::Judging { early, .. } => {
                    if early.len() + bytes.len() > self.config.early_len_max {
                        self.close(End::Early);
                        return;
                    }
                    early.extend_from_slice(bytes);
                    break;
                }
                State::Closed => return,
            }
            match decoder.decode(&mut bytes) {
                Ok(Some(frame)) => {
                    if let Err(error) = self.take(now, &frame) {
                        self.close(End::Malformed(error));
                    }
                }
                Ok(None) => break,
                Err(error) => self.close(End::Malformed(error)),
            }
        }
        self.decoder = decoder;
        // The limit changes with the verdict, which falls while the decoder is outside.
        if self.is_open() {
            self.decoder.set_body_len_max(self.config.body_len_max);
        }
    }

    fn take(&mut self, now: Instant, frame: &Frame<'_>) -> Result<(), DecodeError> {
        match (&self.state, self.side) {
            (State::Connecting(deadline), Side::Server) => {
                let deadline = *deadline;
                return self.take_first(deadline, frame);
            }
            (State::Connecting(_), Side::Client) => return self.take_verdict(now, frame),
            _ => {}
        }
        let message = Message::decode(self.dialect, frame, &self.config.rules)?;
        match message.kind {
            MessageType::Ok | MessageType::Error => self.take_answer(&message),
            MessageType::Connect => self.take_connect(&message),
            MessageType::Disconnect => {
                if let Some(id) = nonzero(message.stream_id) {
                    self.put_demanded(&Draft::new(MessageType::Ok).with_stream_id(id));
                }
                self.close(End::Disconnected);
            }
            // A server says the same back. A client counts what it has asked for.
            MessageType::KeepAlive if self.side == Side::Server => {
                self.put_demanded(&Draft::new(MessageType::KeepAlive));
            }
            MessageType::KeepAlive => self.echoes = self.keep_alives.min(self.echoes + 1),
            MessageType::Run => self.take_run(&message),
            MessageType::Describe => {
                let resource = target(&message);
                let parameters = message.parameters.map(Payload::from);
                self.ask(&message, None, || Ask::Describe { resource, parameters });
            }
            MessageType::StartStream => self.take_start(&message),
            MessageType::StopStream => self.take_stop(&message),
            MessageType::StreamData => self.take_data(&message),
        }
        Ok(())
    }

    /// The first frame that a client sends.
    fn take_first(&mut self, deadline: Instant, frame: &Frame<'_>) -> Result<(), DecodeError> {
        let decoded = Dialect::of_first_frame(frame).and_then(|dialect| {
            self.dialect = dialect;
            Message::decode(dialect, frame, &self.config.rules)
        });
        let message = match decoded {
            Ok(message) if message.kind == MessageType::Connect => message,
            Ok(message) => {
                self.close(End::NotConnect(message.kind.code()));
                return Ok(());
            }
            Err(DecodeError { kind: Malformed::Type(_), .. }) => {
                self.close(End::NotConnect(frame.code));
                return Ok(());
            }
            Err(DecodeError { kind: Malformed::Wire(_), .. }) => {
                self.refuse(None, Refusal::Encoding);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let id_first = frame.body.first() == Some(&0x08);
        match Connect::read(&message, id_first, self.config.keep_alive) {
            Ok(connect) => {
                // Silence is judged with some grace, which is the protocol's 15 %.
                self.silence_max = connect.keep_alive + connect.keep_alive * 3 / 20;
                let id = message.stream_id;
                self.state = State::Judging { deadline, id, early: Vec::new() };
                self.events.push_back(Event::Connecting(connect));
            }
            Err(refusal) => self.refuse(message.stream_id, refusal),
        }
        Ok(())
    }

    /// The first frame that a server sends, whatever its id.
    fn take_verdict(&mut self, now: Instant, frame: &Frame<'_>) -> Result<(), DecodeError> {
        let message = Message::decode(self.dialect, frame, &self.config.rules)?;
        match message.kind {
            MessageType::Ok => {
                self.state = State::Open;
                self.keep_alive_at = Some(now + self.config.keep_alive);
                self.events.push_back(Event::Connected);
            }
            MessageType::Error => {
                let code = message.parameters.and_then(|code| code.as_u64());
                self.close(End::Refused(code));
            }
            kind => self.close(End::Unexpected(kind)),
        }
        Ok(())
    }

    /// A client connects once. Whoever says it again is told no, and the session ends.
    fn take_connect(&mut self, message: &Message<'_>) {
        if self.side == Side::Server {
            let draft = Draft { stream_id: message.stream_id, ..Draft::new(MessageType::Error) };
            self.put_demanded(&draft);
        }
        self.close(End::Unexpected(MessageType::Connect));
    }

    fn take_answer(&mut self, message: &Message<'_>) {
        // Clients answer even what was not to be answered, with an id of 0.
        let id = nonzero(message.stream_id);
        let Some((id, request)) = id.and_then(|id| Some((id, self.requests.remove(&id)?))) else {
            self.discarded += 1;
            return;
        };
        self.request_deadlines.clear(id);
        let ok = message.kind == MessageType::Ok;
        let stream = Stream { opener: Opener::Us, id };
        match (request.purpose, self.streams.get_mut(&stream)) {
            (Purpose::Start, Some(state)) if ok => *state = StreamState::Open,
            // A refused change leaves the stream as it was.
            (Purpose::Start, Some(StreamState::Opening)) => {
                self.streams.remove(&stream);
            }
            (Purpose::Stop, _) => self.forget_stopped(id),
            _ => {}
        }
        let parameters = message.parameters.map(Payload::from);
        let payload = message.payload.map(Payload::from);
        let answer = Answer { ok, parameters, payload };
        self.events.push_back(Event::Answered(request.ticket, answer));
    }

    fn take_run(&mut self, message: &Message<'_>) {
        let Some(resource) = target(message) else {
            return self.refuse_request(message.stream_id, BAD_REQUEST);
        };
        let parameters = message.parameters.map(Payload::from);
        if let (Dialect::Old, Side::Client, Target::Path(path)) =
            (self.dialect, self.side, &resource)
            && let Some(above) = path.strip_suffix(OLD_DESCRIPTION)
            && (above.is_empty() || above.ends_with('/'))
        {
            let above = above.strip_suffix('/').map(|above| Target::Path(above.into()));
            self.ask(message, None, || Ask::Describe { resource: above, parameters });
            return;
        }
        let payload = message.payload.map(Payload::from);
        let (resource, parameters) = self.unswapped(resource, parameters);
        self.ask(message, None, || Ask::Run { resource, parameters, payload });
    }

    fn take_start(&mut self, message: &Message<'_>) {
        let Some(id) = nonzero(message.stream_id) else {
            // An answer without an id would reach nobody.
            self.discarded += 1;
            return;
        };
        let stream = Stream { opener: Opener::Peer, id };
        let again = self.streams.contains_key(&stream);
        let resource = target(message);
        if !again {
            let peers = self.streams.keys().filter(|stream| stream.opener == Opener::Peer);
            if resource.is_none() {
                return self.refuse_request(Some(id), BAD_REQUEST);
            }
            if peers.count() >= self.config.streams_max {
                return self.refuse_request(Some(id), UNAVAILABLE);
            }
        }
        // The peer's own stream replaces ours in its table, where it knows streams by id alone.
        let ours = Stream { opener: Opener::Us, id };
        if self.streams.remove(&ours).is_some() {
            self.events.push_back(Event::Lost(ours));
        }
        let interval = interval(message.parameters);
        let mut parameters = message.parameters.map(Payload::from);
        let payload = message.payload.map(Payload::from);
        let resource = resource.map(|resource| {
            let unswapped = self.unswapped(resource, parameters.take());
            parameters = unswapped.1;
            unswapped.0
        });
        let ask = Ask::Start { stream, resource, interval, parameters, payload, again };
        if self.ask(message, Some((stream, again)), || ask) && !again {
            self.streams.insert(stream, StreamState::Opening);
        }
    }

    fn take_stop(&mut self, message: &Message<'_>) {
        let Some(id) = nonzero(message.stream_id) else {
            self.discarded += 1;
            return;
        };
        let both = [Opener::Peer, Opener::Us].map(|opener| Stream { opener, id });
        let Some(stream) = both.into_iter().find(|it| self.streams.contains_key(it)) else {
            return self.refuse_request(Some(id), NOT_FOUND);
        };
        self.put_demanded(&Draft::new(MessageType::Ok).with_stream_id(id));
        // Where both sides close at once, our request still gets its answer.
        if self.streams.remove(&stream) != Some(StreamState::Stopping) {
            self.events.push_back(Event::Stopped(stream));
        }
    }

    fn take_data(&mut self, message: &Message<'_>) {
        let id = nonzero(message.stream_id).unwrap_or_default();
        // The peer's stream goes first, as in take_start.
        let both = [Opener::Peer, Opener::Us].map(|opener| Stream { opener, id });
        let stream = both.into_iter().find(|stream| match self.streams.get(stream) {
            Some(StreamState::Open) => true,
            Some(StreamState::Opening) => stream.opener == Opener::Us,
            _ => false,
        });
        let Some(stream) = stream else {
            self.discarded += 1;
            return;
        };
        let mut value = message.payload.unwrap_or(Value::Null);
        if let (Dialect::Old, Side::Server, Value::Map(map)) = (self.dialect, self.side, value) {
            value = map.get("out").or_else(|| map.get("in")).unwrap_or(value);
        }
        let parameters = message.parameters.map(Payload::from);
        let data = Data { payload: Payload::from(value), parameters, raised: message.raised };
        self.events.push_back(Event::Data(stream, data));
    }

    /// Hands a request on, with a reply where the peer waits for one; whether it was taken.
    fn ask(
        &mut self,
        message: &Message<'_>,
        start: Option<(Stream, bool)>,
        ask: impl FnOnce() -> Ask,
    ) -> bool {
        let Some(id) = nonzero(message.stream_id) else {
            self.events.push_back(Event::Asked(None, ask()));
            return true;
        };
        if self.peer_requests.len() >= self.config.peer_requests_max {
            self.refuse_request(Some(id), UNAVAILABLE);
            return false;
        }
        let reply = Reply(self.next_ticket);
        self.next_ticket += 1;
        self.peer_requests.insert(reply.0, PeerRequest { id, start });
        self.events.push_back(Event::Asked(Some(reply), ask()));
        true
    }

    fn refuse_request(&mut self, id: Option<u16>, code: u16) {
        match nonzero(id) {
            Some(id) => {
                let draft = Draft::new(MessageType::Error).with_stream_id(id);
                self.put_demanded(&draft.with_parameters(&code));
            }
            None => self.discarded += 1,
        }
    }

    /// The number in the resource and its target in the parameters, which one family of clients has
    /// the other way round.
    fn unswapped(
        &self,
        resource: Target,
        parameters: Option<Payload>,
    ) -> (Target, Option<Payload>) {
        let number = parameters.as_ref().and_then(|number| number.value().as_u64());
        match (self.side, resource, number) {
            (Side::Server, Target::Path(path), Some(number)) => {
                (Target::Number(number), Payload::new(&path).ok())
            }
            (_, resource, _) => (resource, parameters),
        }
    }
}

const BAD_REQUEST: u16 = 400;
const NOT_FOUND: u16 = 404;
const UNAVAILABLE: u16 = 503;

/// Clients write 0 where they mean none.
fn nonzero(id: Option<u16>) -> Option<u16> {
    id.filter(|id| *id != 0)
}

fn target(message: &Message<'_>) -> Option<Target> {
    match message.resource? {
        Value::Unsigned(number) => Some(Target::Number(number)),
        _ => message.path().map(Target::Path),
    }
}

/// The interval of a stream: of a map or a bare number, in milliseconds.
fn interval(parameters: Option<Value<'_>>) -> Option<Duration> {
    let millis = match parameters? {
        Value::Map(map) => map.get("interval")?.as_u64()?,
        bare => bare.as_u64()?,
    };
    (millis > 0).then(|| Duration::from_millis(millis))
}
