//! What the broker sends.

use std::collections::BTreeSet;
use std::sync::Arc;

use pointstream_time::Instant;

use crate::error::{DecodeError, Malformed};
use crate::frame::{self, Header};
use crate::packet::reader::Reader;
use crate::packet::{self, Packet, PacketType, PropertyId, Publish, QoS, Reason};
use crate::session::repeats::Repeats;
use crate::session::{End, Event, Message, Session, State};
use crate::{Version, packet::Ack};

/// What was received and what is remembered of it.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    /// The start of a packet that is not whole.
    kept: Vec<u8>,
    /// How many bytes of a packet that is too long are still to be passed over.
    skip: usize,
    /// Packet ids of QoS 2 that the broker has not released.
    unreleased: BTreeSet<u16>,
    /// What came of QoS 1 and 2, to recognise what comes again.
    repeats: Repeats,
    /// How many messages the broker waits to have acknowledged.
    unacknowledged: usize,
    /// The broker has kept the session, and may send all that it has of it at once.
    is_resumed: bool,
    /// Topics by their aliases, from alias 1 on.
    aliases: Vec<Option<Arc<str>>>,
}

impl Incoming {
    pub(super) fn on_connection(&mut self) {
        self.kept.clear();
        self.skip = 0;
        self.unacknowledged = 0;
        self.is_resumed = false;
        self.aliases.clear();
    }

    pub(super) const fn on_session_kept(&mut self) {
        self.is_resumed = true;
    }

    pub(super) fn on_session_lost(&mut self) {
        self.unreleased.clear();
        self.repeats.clear();
    }
}

impl Session {
    /// Takes what the connection delivered.
    pub fn handle_input(&mut self, now: Instant, bytes: &[u8]) {
        if !matches!(self.state, State::Open | State::Connecting(_)) || bytes.is_empty() {
            return;
        }
        self.heard_at = now;
        let mut bytes = bytes;
        let skipped = self.incoming.skip.min(bytes.len());
        self.incoming.skip -= skipped;
        bytes = bytes.get(skipped..).unwrap_or_default();
        if self.incoming.kept.is_empty() {
            let used = self.read(bytes);
            self.keep(bytes.get(used..).unwrap_or_default());
        } else {
            let mut kept = core::mem::take(&mut self.incoming.kept);
            kept.extend_from_slice(bytes);
            let used = self.read(&kept);
            kept.drain(..used.min(kept.len()));
            // One long packet does not cost a quiet connection its memory for ever.
            if kept.is_empty() {
                kept.shrink_to(KEPT_CAPACITY);
            }
            self.incoming.kept = kept;
        }
        // Last, since what has come may be what was waited for.
        self.handle_timeout(now);
    }

    fn keep(&mut self, rest: &[u8]) {
        if matches!(self.state, State::Open | State::Connecting(_)) {
            self.incoming.kept.extend_from_slice(rest);
        }
    }

    /// Reads whole packets. Gives how many bytes they had.
    fn read(&mut self, bytes: &[u8]) -> usize {
        let mut used = 0;
        while matches!(self.state, State::Open | State::Connecting(_)) {
            let rest = bytes.get(used..).unwrap_or_default();
            // What is none by its first byte is not waited for.
            let first = rest.first().map(|&first| packet::kind(first, self.config.version));
            if let Some(Err(error)) = first {
                self.on_malformed(error);
                continue;
            }
            match frame::frame(rest, self.config.packet_len_max) {
                Ok(None) => return used,
                Ok(Some(frame)) => {
                    used += frame.len;
                    self.received += 1;
                    match Packet::decode(frame.first, frame.body, self.config.version) {
                        Ok(packet) => self.on_packet(&packet),
                        Err(error) => self.on_malformed(error),
                    }
                }
                Err(error) => match self.pass_over(rest) {
                    Ok(Some(len)) => used += len,
                    Ok(None) => return used,
                    Err(()) => self.on_malformed(error),
                },
            }
        }
        // What stands behind the last packet of a connection is of no interest.
        bytes.len()
    }

    fn on_malformed(&mut self, error: DecodeError) {
        self.fail(reason_of(error.kind), End::Malformed(error));
    }

    /// Begins to pass over a message of MQTT 3.1.1 that is too long, as soon as its head is there.
    /// Gives how many of `bytes` are done with; an error if it is none.
    fn pass_over(&mut self, bytes: &[u8]) -> Result<Option<usize>, ()> {
        let header = frame::header(bytes).ok().flatten().ok_or(())?;
        let Header { first, header_len, len, .. } = header;
        let kind = packet::kind(first, self.config.version).map_err(|_| ())?;
        let skippable = kind == PacketType::Publish
            && self.config.version == Version::V3_1_1
            && self.state == State::Open;
        if !skippable {
            return Err(());
        }
        let available = bytes.get(header_len..len.min(bytes.len())).unwrap_or_default();
        let head = match packet::publish_head(first, &mut Reader::new(available)) {
            Ok(head) => head,
            // The head of a message is at most 64 KiB, which all that is kept may be.
            Err(error) if error.kind == Malformed::Short && bytes.len() < len => return Ok(None),
            Err(_) => return Err(()),
        };
        self.events.push_back(Event::Oversize { topic: head.topic.into(), len });
        match (head.qos, head.packet_id) {
            (QoS::AtLeastOnce, Some(id)) => self.ack(PacketType::PubAck, id),
            (QoS::ExactlyOnce, Some(id)) => {
                self.incoming.unreleased.insert(id);
                self.ack(PacketType::PubRec, id);
            }
            _ => {}
        }
        let used = len.min(bytes.len());
        self.incoming.skip = len - used;
        Ok(Some(used))
    }

    fn on_packet(&mut self, packet: &Packet<'_>) {
        match (packet, self.state) {
            (Packet::ConnAck(ack), State::Connecting(_)) => self.on_connack(ack),
            (_, State::Connecting(_)) => self.on_unexpected(packet),
            (Packet::Publish(publish), _) => self.on_publish(publish),
            (Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubComp(ack), _) => {
                self.on_ack(packet.kind(), ack);
            }
            (Packet::PubRel(ack), _) => self.on_release(ack),
            (Packet::SubAck(ack), _) => self.on_suback(ack),
            (Packet::UnsubAck(ack), _) => self.on_unsuback(ack),
            (Packet::PingResp, _) => self.pinged_at = None,
            (Packet::Disconnect(farewell), _) if self.config.version == Version::V5 => {
                self.on_disconnect(farewell.reason);
            }
            _ => self.on_unexpected(packet),
        }
    }

    fn on_unexpected(&mut self, packet: &Packet<'_>) {
        self.fail(Reason::PROTOCOL_ERROR, End::Unexpected(packet.kind()));
    }

    pub(super) fn ack(&mut self, kind: PacketType, packet_id: u16) {
        self.acks.push_back((kind, packet_id, Reason::SUCCESS));
    }

    fn on_publish(&mut self, publish: &Publish<'_>) {
        let Some(topic) = self.topic(publish) else {
            return self.fail(Reason::TOPIC_ALIAS, End::TopicAlias);
        };
        // Before it is remembered: a message that is not taken must come again.
        if publish.packet_id.is_some() && self.is_full() {
            return self.fail(Reason::RECEIVE_MAXIMUM, End::ReceiveMaximum);
        }
        let (epoch, dup, payload) = (self.epoch, publish.dup, publish.payload);
        let incoming = &mut self.incoming;
        match (publish.qos, publish.packet_id) {
            (QoS::AtLeastOnce, Some(id))
                if incoming.repeats.is_repeated(epoch, id, dup, &topic, payload) =>
            {
                return self.ack(PacketType::PubAck, id);
            }
            // A broker that was restarted may have forgotten what it has released.
            (QoS::ExactlyOnce, Some(id))
                if !incoming.unreleased.insert(id)
                    || incoming.repeats.is_repeated(epoch, id, dup, &topic, payload) =>
            {
                return self.ack(PacketType::PubRec, id);
            }
            _ => {}
        }
        if self.is_copy(publish, &topic) {
            return self.pass_over_copy(publish);
        }
        self.incoming.unacknowledged += usize::from(publish.packet_id.is_some());
        self.events.push_back(Event::Message(Message {
            topic,
            payload: publish.payload.into(),
            qos: publish.qos,
            retain: publish.retain,
            dup: publish.dup,
            properties: publish.properties.without(PropertyId::SUBSCRIPTION_IDENTIFIER),
            packet_id: publish.packet_id,
            epoch: self.epoch,
        }));
    }

    /// Whether a message comes by a subscription beside the one by which it is told. What was retained
    /// comes for one subscription, when that is made, and not for others.
    fn is_copy(&self, publish: &Publish<'_>, topic: &str) -> bool {
        let mut ids = publish.properties.subscription_ids().peekable();
        !publish.retain && ids.peek().is_some() && !self.subscriptions.overlaps.is_told(topic, ids)
    }

    fn pass_over_copy(&mut self, publish: &Publish<'_>) {
        match (publish.qos, publish.packet_id) {
            (QoS::AtLeastOnce, Some(id)) => self.ack(PacketType::PubAck, id),
            (QoS::ExactlyOnce, Some(id)) => {
                // Until it is released.
                self.incoming.unacknowledged += 1;
                self.ack(PacketType::PubRec, id);
            }
            _ => {}
        }
    }

    /// Whether the broker may send no more, section 3.3.4. A session that was resumed is not held to
    /// it: mosquitto 2.0, restarted, sends everything that it has kept at once, and would do so again
    /// after each end. Nothing piles up here by that: what is not taken is not read.
    fn is_full(&self) -> bool {
        self.config.version == Version::V5
            && !self.incoming.is_resumed
            && self.incoming.unacknowledged >= self.config.receive_max.max(1).into()
    }

    /// The topic of a message, which an alias may stand for, section 3.3.2.3.4.
    fn topic(&mut self, publish: &Publish<'_>) -> Option<Arc<str>> {
        let Some(alias) = publish.properties.number(PropertyId::TOPIC_ALIAS) else {
            return Some(publish.topic.into());
        };
        if alias == 0 || alias > self.config.topic_alias_max.into() {
            return None;
        }
        let at = alias as usize - 1;
        if publish.topic.is_empty() {
            return self.incoming.aliases.get(at)?.clone();
        }
        if self.incoming.aliases.len() <= at {
            self.incoming.aliases.resize(at + 1, None);
        }
        let topic: Arc<str> = publish.topic.into();
        self.incoming.aliases[at] = Some(Arc::clone(&topic));
        Some(topic)
    }

    /// The user has taken a message: it is acknowledged, if its connection still stands.
    pub(super) fn on_taken(&mut self, message: &Message) {
        if message.epoch != self.epoch || !self.is_open() {
            return;
        }
        match (message.qos, message.packet_id) {
            (QoS::AtLeastOnce, Some(id)) => {
                self.ack(PacketType::PubAck, id);
                self.incoming.unacknowledged = self.incoming.unacknowledged.saturating_sub(1);
            }
            (QoS::ExactlyOnce, Some(id)) => self.ack(PacketType::PubRec, id),
            _ => {}
        }
    }

    fn on_release(&mut self, ack: &Ack<'_>) {
        let reason = match self.incoming.unreleased.remove(&ack.packet_id) {
            true => Reason::SUCCESS,
            false => Reason::PACKET_ID_NOT_FOUND,
        };
        self.incoming.unacknowledged = self.incoming.unacknowledged.saturating_sub(1);
        self.acks.push_back((PacketType::PubComp, ack.packet_id, reason));
    }
}

/// What the broker is told of what it sent, section 4.13: what its sections call a protocol error is
/// one, the rest is malformed.
fn reason_of(kind: Malformed) -> Reason {
    match kind {
        Malformed::PacketLen { .. } => Reason::PACKET_TOO_LARGE,
        Malformed::PropertyValue(id) if id == PropertyId::TOPIC_ALIAS.number() => {
            Reason::TOPIC_ALIAS
        }
        Malformed::PropertyTwice(_) | Malformed::PropertyValue(_) => Reason::PROTOCOL_ERROR,
        _ => Reason::MALFORMED,
    }
}

/// How much room is kept for the start of a packet.
const KEPT_CAPACITY: usize = 4096;
