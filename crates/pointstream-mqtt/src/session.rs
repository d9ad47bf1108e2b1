//! A client's session with its broker, without the connections.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use pointstream_time::Instant;

use crate::Version;
use crate::packet::{Ack, Farewell, Packet, PacketType, Properties, Reason};

mod aliases;
mod config;
mod connecting;
mod event;
mod incoming;
mod outgoing;
mod overlaps;
mod repeats;
mod subscriptions;

pub use config::{Config, LastWill, Secret};
pub use event::{
    Connected, End, Event, Limits, Message, Publication, PublishError, PublishFault,
    SubscribeError, Ticket,
};

use aliases::Aliases;
use incoming::Incoming;
use outgoing::Outgoing;
use subscriptions::Subscriptions;

/// A client's session, which outlives its connections: told the time and given bytes, asked for
/// bytes and events.
///
/// For each connection there is one call of [`connect`](Self::connect); then bytes go in and out
/// until [`Event::Lost`] or until the user says that the connection was lost. What is subscribed to
/// and what waits for its acknowledgement stays, and is taken up again with the next connection:
/// subscriptions where the broker has not kept the session or has not answered, messages in their
/// order, marked as duplicates where the broker may have them.
///
/// # What is lost and what is doubled
///
/// - A message to the broker is kept until the broker has it. Where a broker has lost the session
///   between, a message of QoS 1 or 2 that was not acknowledged goes out again as a new one, so that
///   nothing is lost; the broker may have passed it on before.
/// - A message from the broker is acknowledged when its event is taken. A message that the broker
///   sends again after a connection was lost is recognised and acknowledged, but not told twice: of
///   QoS 2 by the standard, and of either where it is marked as a duplicate and its content is that of
///   the last message with its packet id. Where the broker sends a message once for each subscription
///   that matches it, as MQTT 5 allows, one of them is told ([`Config::subscription_ids`]).
///
/// Take all events after each call: their number is bounded by the bytes of the call.
#[derive(Debug)]
pub struct Session {
    config: Config,
    state: State,
    /// Counts connections.
    epoch: u64,
    client_id: Arc<str>,
    limits: Limits,
    /// The interval of keep-alives, which the broker may have set; none for no keep-alive.
    keep_alive: Option<core::time::Duration>,
    /// When something was sent last, and when something came.
    sent_at: Instant,
    heard_at: Instant,
    /// Since when the broker is asked for a sign of life.
    pinged_at: Option<Instant>,
    incoming: Incoming,
    outgoing: Outgoing,
    aliases: Aliases,
    subscriptions: Subscriptions,
    packet_ids: PacketIds,
    /// Acknowledgements to be sent, in their order.
    acks: VecDeque<(PacketType, u16, Reason)>,
    /// A ping is to be sent.
    ping: bool,
    events: VecDeque<Event>,
    received: u64,
    discarded: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// No connection.
    Closed,
    /// CONNECT is to be sent.
    Start,
    /// CONNECT was sent; the verdict is due.
    Connecting(Instant),
    Open,
    /// Last words are to be sent.
    Leaving(Option<Reason>),
}

impl Session {
    /// How many acknowledgements may wait to be sent before no more input is wanted.
    pub const ACKS_MAX: usize = 4096;

    /// How many bytes are asked to be sent at a time, give or take one packet.
    pub const TRANSMIT_LEN: usize = 64 * 1024;

    /// A session without a connection.
    pub fn new(config: Config) -> Self {
        Self {
            state: State::Closed,
            epoch: 0,
            client_id: (*config.client_id).into(),
            limits: Limits::NONE,
            keep_alive: None,
            sent_at: Instant::ORIGIN,
            heard_at: Instant::ORIGIN,
            pinged_at: None,
            incoming: Incoming::default(),
            outgoing: Outgoing::default(),
            aliases: Aliases::default(),
            subscriptions: Subscriptions::default(),
            packet_ids: PacketIds::default(),
            acks: VecDeque::new(),
            ping: false,
            events: VecDeque::new(),
            received: 0,
            discarded: 0,
            config,
        }
    }

    /// What the session was made of.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Ends the connection in order: the will is not published. The session stays, as does what
    /// waits in it.
    pub fn disconnect(&mut self) {
        match self.state {
            State::Open => self.leave(State::Leaving(Some(Reason::SUCCESS)), End::Left),
            State::Start | State::Connecting(_) => self.leave(State::Closed, End::Left),
            State::Closed | State::Leaving(_) => {}
        }
    }

    /// Says that the connection was lost.
    pub fn connection_lost(&mut self) {
        match self.state {
            State::Closed => {}
            State::Leaving(_) => self.state = State::Closed,
            _ => self.leave(State::Closed, End::ConnectionLost),
        }
    }

    /// Whether there is no connection, or nothing more to be said on it.
    pub const fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Whether the broker has accepted the connection.
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// Whether more input should be read. Not while acknowledgements pile up because the broker takes
    /// none.
    pub fn wants_input(&self) -> bool {
        self.acks.len() < Self::ACKS_MAX
    }

    /// How many packets came.
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// How many packets came that belong to nothing, and were passed over.
    pub const fn discarded(&self) -> u64 {
        self.discarded
    }

    /// What happened, one at a time. Taking a message acknowledges it.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        if let Event::Message(message) = &event {
            self.on_taken(message);
        }
        Some(event)
    }

    /// Puts bytes for the broker behind what is in `out`, about [`TRANSMIT_LEN`](Self::TRANSMIT_LEN)
    /// of them. Call again when they are sent, until there are none.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut Vec<u8>) {
        let start = out.len();
        match self.state {
            State::Closed | State::Connecting(_) => return,
            State::Start => self.write_connect(now, out),
            State::Leaving(reason) => {
                while let Some(ack) = self.acks.pop_front() {
                    self.write_ack(ack, out);
                }
                self.state = State::Closed;
                if let Some(reason) = reason {
                    let farewell = Farewell { reason, properties: Properties::NONE };
                    self.write(&Packet::Disconnect(farewell), out);
                }
            }
            State::Open => self.write_open(now, out, start),
        }
        if out.len() > start {
            self.sent_at = now;
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Closed | State::Start | State::Leaving(_) => None,
            State::Connecting(deadline) => Some(deadline),
            State::Open => {
                let alive = self.keep_alive.map(|interval| match self.pinged_at {
                    // Bytes that come prove that the broker is there, if slowly.
                    Some(at) => at.max(self.heard_at) + self.config.ack_timeout.min(interval),
                    None => self.sent_at.min(self.heard_at) + interval,
                });
                let oldest = [self.outgoing.oldest(), self.subscriptions.oldest()];
                let acks = oldest.into_iter().flatten().map(|at| at + self.config.ack_timeout);
                acks.chain(alive).min()
            }
        }
    }

    /// Says that nothing was read on purpose, so that nothing can have been missed: what the broker
    /// owes is due from here on.
    pub fn input_paused(&mut self, now: Instant) {
        self.heard_at = now;
        self.pinged_at = None;
        self.outgoing.restart_clocks(now);
        self.subscriptions.restart_clocks(now);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_none_or(|due| due > now) {
            return;
        }
        match self.state {
            State::Connecting(_) => self.leave(State::Closed, End::ConnectTimeout),
            State::Open => {
                let limit = self.config.ack_timeout;
                let oldest = [self.outgoing.oldest(), self.subscriptions.oldest()];
                if oldest.into_iter().flatten().any(|at| at + limit <= now) {
                    self.fail(Reason::UNSPECIFIED, End::AckTimeout);
                } else if self.pinged_at.is_some() {
                    self.fail(Reason::KEEP_ALIVE, End::KeepAlive);
                } else {
                    self.ping = true;
                    self.pinged_at = Some(now);
                }
            }
            State::Closed | State::Start | State::Leaving(_) => {}
        }
    }

    /// Ends the connection because of an error. MQTT 5 says why; in MQTT 3.1.1 a farewell would keep
    /// the will from being published.
    fn fail(&mut self, reason: Reason, end: End) {
        let state = match self.config.version {
            Version::V5 if self.is_open() => State::Leaving(Some(reason)),
            _ => State::Closed,
        };
        self.leave(state, end);
    }

    fn leave(&mut self, state: State, end: End) {
        self.state = state;
        // What was taken is acknowledged, if there is still a way.
        if !matches!(state, State::Leaving(_)) {
            self.acks.clear();
        }
        self.ping = false;
        self.pinged_at = None;
        self.outgoing.on_connection_end();
        self.events.push_back(Event::Lost(end));
    }

    /// Acknowledgements first, so that the broker goes on; then subscriptions, then messages.
    fn write_open(&mut self, now: Instant, out: &mut Vec<u8>, start: usize) {
        let full = |out: &Vec<u8>| out.len() - start >= Self::TRANSMIT_LEN;
        while !full(out) {
            let Some(ack) = self.acks.pop_front() else { break };
            self.write_ack(ack, out);
        }
        if core::mem::take(&mut self.ping) {
            self.write(&Packet::PingReq, out);
        }
        while !full(out) && self.write_subscriptions(now, out) {}
        while !full(out) && self.write_message(now, out) {}
    }

    fn write_ack(
        &mut self,
        (kind, packet_id, reason): (PacketType, u16, Reason),
        out: &mut Vec<u8>,
    ) {
        let reason = match self.config.version {
            Version::V3_1_1 => Reason::SUCCESS,
            Version::V5 => reason,
        };
        let ack = Ack { reason, ..Ack::new(packet_id) };
        let packet = match kind {
            PacketType::PubRec => Packet::PubRec(ack),
            PacketType::PubRel => Packet::PubRel(ack),
            PacketType::PubComp => Packet::PubComp(ack),
            _ => Packet::PubAck(ack),
        };
        self.write(&packet, out);
    }

    /// Writes a packet that cannot fail to be written.
    fn write(&mut self, packet: &Packet<'_>, out: &mut Vec<u8>) {
        if let Err(error) = packet.encode(self.config.version, out) {
            self.leave(State::Closed, End::Config(error));
        }
    }
}

/// Packet ids in use, by own messages and by subscriptions.
#[derive(Debug, Default)]
struct PacketIds {
    used: BTreeSet<u16>,
    last: u16,
}

impl PacketIds {
    /// An id that is not in use. There is always one, since far fewer than 65,535 are.
    fn take(&mut self) -> Option<u16> {
        for _ in 0..u16::MAX {
            self.last = self.last.wrapping_add(1);
            if self.last != 0 && self.used.insert(self.last) {
                return Some(self.last);
            }
        }
        None
    }

    fn give_back(&mut self, id: u16) {
        self.used.remove(&id);
    }
}
