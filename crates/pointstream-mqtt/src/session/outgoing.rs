//! Own messages.

use std::collections::VecDeque;

use pointstream_time::Instant;

use crate::Version;
use crate::packet::{
    Ack, Packet, PacketType, PropertyBuf, PropertyId, PropertyValue, Publish, QoS, Reason,
};
use crate::session::aliases::Alias;
use crate::session::{Event, Publication, PublishError, PublishFault, Session, Ticket};
use crate::topic::check_name;

/// Messages that wait to be sent, and those that wait to be acknowledged.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    waiting: VecDeque<(Ticket, Publication)>,
    /// How much of the queue's length is used, by both.
    weight: usize,
    /// In the order in which they were sent first.
    inflight: VecDeque<Inflight>,
    /// How many of those were sent by this connection; they stand in front.
    sent: usize,
    last_ticket: u64,
}

#[derive(Debug)]
struct Inflight {
    packet_id: u16,
    ticket: Ticket,
    /// None once the broker has a message of QoS 2.
    message: Option<Publication>,
    /// Whether the broker may have it.
    dup: bool,
    /// When the broker was told last.
    at: Instant,
}

impl Outgoing {
    pub(super) fn on_connection_end(&mut self) {
        self.sent = 0;
    }

    /// The broker has forgotten everything. What it had is done; what it may have had is new.
    pub(super) fn on_session_lost(&mut self) -> Vec<(Ticket, u16)> {
        let had = |it: &Inflight| it.message.is_none();
        let over = self.inflight.iter().filter(|it| had(it));
        let over = over.map(|it| (it.ticket, it.packet_id)).collect();
        self.inflight.retain(|it| !had(it));
        self.inflight.iter_mut().for_each(|it| it.dup = false);
        over
    }

    /// Since when the oldest of what was sent waits for its acknowledgement.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.inflight.iter().take(self.sent).map(|it| it.at).min()
    }

    pub(super) fn restart_clocks(&mut self, now: Instant) {
        self.inflight.iter_mut().for_each(|it| it.at = now);
    }

    fn remove(&mut self, at: usize) -> Option<Inflight> {
        let inflight = self.inflight.remove(at)?;
        self.sent -= usize::from(at < self.sent);
        self.weight -= inflight.message.as_ref().map_or(0, Publication::weight);
        Some(inflight)
    }
}

impl Session {
    /// Takes a message to be published, now or with the next connection. What becomes of it comes
    /// as [`Event::Published`].
    ///
    /// # Errors
    ///
    /// The topic has wildcards, or too much waits already. Nothing is taken then.
    pub fn publish(&mut self, message: Publication) -> Result<Ticket, PublishError> {
        check_name(&message.topic)?;
        if self.config.version == Version::V3_1_1 && !message.properties.is_empty() {
            return Err(PublishError::Properties);
        }
        let outgoing = &mut self.outgoing;
        let weight = outgoing.weight.saturating_add(message.weight());
        let len = outgoing.waiting.len();
        // A single message is always taken, however long.
        let too_long = weight > self.config.queue_len_max && outgoing.weight > 0;
        if len >= self.config.queue_max || too_long {
            return Err(PublishError::Full);
        }
        outgoing.weight = weight;
        outgoing.last_ticket += 1;
        let ticket = Ticket(outgoing.last_ticket);
        outgoing.waiting.push_back((ticket, message));
        Ok(ticket)
    }

    /// Takes a message back, as far as that is possible: one that was not sent, and between two
    /// connections one of QoS 1 that is not acknowledged. Nothing more is told of it then.
    pub fn cancel(&mut self, ticket: Ticket) -> bool {
        let outgoing = &mut self.outgoing;
        if let Some(at) = outgoing.waiting.iter().position(|(it, _)| *it == ticket) {
            let message = outgoing.waiting.remove(at);
            outgoing.weight -= message.map_or(0, |(_, message)| message.weight());
            return true;
        }
        // The id of a message of QoS 2 is in use at the broker, who would take another one for it.
        let is_it = |it: &Inflight| {
            let qos = it.message.as_ref().map(|message| message.qos);
            it.ticket == ticket && qos == Some(QoS::AtLeastOnce)
        };
        let unsent = outgoing.inflight.iter().enumerate().skip(outgoing.sent);
        let found = unsent.into_iter().find(|(_, it)| is_it(it)).map(|(at, _)| at);
        let Some(inflight) = found.and_then(|at| outgoing.remove(at)) else { return false };
        self.packet_ids.give_back(inflight.packet_id);
        true
    }

    /// How many own messages wait to be sent or acknowledged.
    pub fn pending(&self) -> usize {
        self.outgoing.waiting.len() + self.outgoing.inflight.len()
    }

    /// Writes the next message, if one may be sent. Gives whether to go on.
    pub(super) fn write_message(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        let allowed = self.config.inflight_max.max(1).min(self.limits.receive_max);
        let has_room = self.outgoing.sent < allowed.into();
        if self.outgoing.sent < self.outgoing.inflight.len() {
            return has_room && self.write_again(now, out);
        }
        let Some((_, message)) = self.outgoing.waiting.front() else { return false };
        let needs_ack = message.qos != QoS::AtMostOnce;
        if needs_ack && !has_room {
            return false;
        }
        let packet_id = match needs_ack {
            true => match self.packet_ids.take() {
                Some(id) => Some(id),
                None => return false,
            },
            false => None,
        };
        let Some((ticket, message)) = self.outgoing.waiting.pop_front() else { return false };
        let written = self.write_publish(&message, packet_id, false, out);
        match (written, packet_id) {
            (Ok(()), Some(packet_id)) => {
                let message = Some(message);
                let inflight = Inflight { packet_id, ticket, message, dup: true, at: now };
                self.outgoing.inflight.push_back(inflight);
                self.outgoing.sent += 1;
            }
            (result, _) => {
                self.outgoing.weight -= message.weight();
                packet_id.into_iter().for_each(|id| self.packet_ids.give_back(id));
                self.events.push_back(Event::Published { ticket, result });
            }
        }
        true
    }

    /// Writes what was sent by an earlier connection and not acknowledged.
    fn write_again(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        let at = self.outgoing.sent;
        let Some(inflight) = self.outgoing.inflight.get_mut(at) else { return false };
        inflight.at = now;
        let (packet_id, dup) = (inflight.packet_id, inflight.dup);
        inflight.dup = true;
        self.outgoing.sent += 1;
        let Some(message) = inflight.message.take() else {
            self.write(&Packet::PubRel(Ack::new(packet_id)), out);
            return true;
        };
        match self.write_publish(&message, Some(packet_id), dup, out) {
            Ok(()) => {
                if let Some(inflight) = self.outgoing.inflight.get_mut(at) {
                    inflight.message = Some(message);
                }
            }
            Err(fault) => {
                self.outgoing.weight -= message.weight();
                self.end_message(at, Err(fault));
            }
        }
        true
    }

    fn write_publish(
        &mut self,
        message: &Publication,
        packet_id: Option<u16>,
        dup: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), PublishFault> {
        if message.qos > self.limits.qos_max {
            return Err(PublishFault::QoS(self.limits.qos_max as u8));
        }
        if message.retain && !self.limits.retain {
            return Err(PublishFault::Retain);
        }
        let alias = self.aliases.of(&message.topic);
        let written = self.encode_publish(message, packet_id, dup, alias, out);
        match (written, alias) {
            (Ok(()), Alias::New(alias)) => self.aliases.learn(&message.topic, alias),
            // It may fit as it is.
            (Err(PublishFault::PacketLen(_)), Alias::New(_)) => {
                return self.encode_publish(message, packet_id, dup, Alias::None, out);
            }
            _ => {}
        }
        written
    }

    fn encode_publish(
        &self,
        message: &Publication,
        packet_id: Option<u16>,
        dup: bool,
        alias: Alias,
        out: &mut Vec<u8>,
    ) -> Result<(), PublishFault> {
        let start = out.len();
        let mut with_alias = PropertyBuf::new();
        let properties = match alias {
            Alias::None => &message.properties,
            Alias::New(alias) | Alias::Known(alias) => {
                with_alias.clone_from(&message.properties);
                let pushed = with_alias.push(PropertyId::TOPIC_ALIAS, PropertyValue::Two(alias));
                pushed.map_err(PublishFault::Encode)?;
                &with_alias
            }
        };
        let is_known = matches!(alias, Alias::Known(_));
        let packet = Packet::Publish(Publish {
            dup,
            qos: message.qos,
            retain: message.retain,
            topic: if is_known { "" } else { &message.topic },
            packet_id,
            properties: properties.as_properties(),
            payload: &message.payload,
        });
        packet.encode(self.config.version, out).map_err(PublishFault::Encode)?;
        let max = self.limits.packet_len_max;
        if out.len() - start > max {
            out.truncate(start);
            return Err(PublishFault::PacketLen(max));
        }
        Ok(())
    }

    /// PUBACK, PUBREC or PUBCOMP. What belongs to no message is passed over: it may be of a session
    /// that one side has forgotten.
    pub(super) fn on_ack(&mut self, kind: PacketType, ack: &Ack<'_>) {
        let sent = self.outgoing.inflight.iter().take(self.outgoing.sent);
        let found = sent.enumerate().find(|(_, it)| it.packet_id == ack.packet_id);
        let stage = found.map(|(at, it)| (at, it.message.as_ref().map(|message| message.qos)));
        match (kind, stage) {
            (PacketType::PubAck, Some((at, Some(QoS::AtLeastOnce))))
            | (PacketType::PubComp, Some((at, None))) => {
                // A broker that does not know the second half any more has delivered the message.
                let forgotten =
                    ack.reason == Reason::PACKET_ID_NOT_FOUND && kind != PacketType::PubAck;
                let failed = ack.reason.is_error() && !forgotten;
                let refused = Err(PublishFault::Refused(ack.reason));
                self.end_message(at, if failed { refused } else { Ok(()) });
            }
            (PacketType::PubRec, Some((at, Some(QoS::ExactlyOnce)))) => {
                if ack.reason.is_error() {
                    return self.end_message(at, Err(PublishFault::Refused(ack.reason)));
                }
                if let Some(inflight) = self.outgoing.inflight.get_mut(at) {
                    inflight.at = self.heard_at;
                    let message = inflight.message.take();
                    self.outgoing.weight -= message.as_ref().map_or(0, Publication::weight);
                }
                self.ack(PacketType::PubRel, ack.packet_id);
            }
            (PacketType::PubRec, Some((_, None))) => self.ack(PacketType::PubRel, ack.packet_id),
            (PacketType::PubRec, None) => {
                self.discarded += 1;
                let reason = Reason::PACKET_ID_NOT_FOUND;
                self.acks.push_back((PacketType::PubRel, ack.packet_id, reason));
            }
            _ => self.discarded += 1,
        }
    }

    fn end_message(&mut self, at: usize, result: Result<(), PublishFault>) {
        let Some(inflight) = self.outgoing.remove(at) else { return };
        self.packet_ids.give_back(inflight.packet_id);
        self.events.push_back(Event::Published { ticket: inflight.ticket, result });
    }
}
