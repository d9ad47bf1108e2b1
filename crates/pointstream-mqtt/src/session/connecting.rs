//! From CONNECT to the broker's verdict.

use core::time::Duration;

use pointstream_time::Instant;

use crate::Version;
use crate::packet::{
    ConnAck, Connect, Packet, PropertyBuf, PropertyId, PropertyValue, QoS, Reason, Will,
};
use crate::session::{Connected, End, Event, Limits, Session, State};

impl Session {
    /// Says that there is a connection, on which nothing was said yet.
    pub fn connect(&mut self, now: Instant) {
        self.connection_lost();
        self.state = State::Start;
        self.epoch += 1;
        self.sent_at = now;
        self.heard_at = now;
        self.limits = Limits::NONE;
        self.incoming.on_connection();
        let ended = self.subscriptions.on_connection();
        ended.into_iter().for_each(|id| self.packet_ids.give_back(id));
    }

    pub(super) fn write_connect(&mut self, now: Instant, out: &mut Vec<u8>) {
        let config = &self.config;
        let properties = match self.connect_properties() {
            Ok(properties) => properties,
            Err(error) => return self.leave(State::Closed, End::Config(error)),
        };
        // A session that this value has begun is gone on with, in MQTT 5: the clean start was meant
        // for what was there before.
        let clean_start = match config.version {
            Version::V3_1_1 => config.clean_start,
            Version::V5 => config.clean_start && self.epoch == 1,
        };
        let keep_alive = config.keep_alive.as_secs().min(u16::MAX.into()) as u16;
        let keep_alive = if config.keep_alive.is_zero() { 0 } else { keep_alive.max(1) };
        let packet = Packet::Connect(Connect {
            version: config.version,
            clean_start,
            keep_alive,
            properties: properties.as_properties(),
            client_id: &self.client_id,
            will: config.will.as_ref().map(|will| Will {
                qos: will.qos,
                retain: will.retain,
                properties: will.properties.as_properties(),
                topic: &will.topic,
                payload: &will.payload,
            }),
            username: config.username.as_deref(),
            password: config.password.as_ref().map(|password| password.reveal()),
        });
        match packet.encode(config.version, out) {
            Ok(()) => {
                self.keep_alive = interval(keep_alive);
                self.state = State::Connecting(now + self.config.connect_timeout);
            }
            Err(error) => self.leave(State::Closed, End::Config(error)),
        }
    }

    fn connect_properties(&self) -> Result<PropertyBuf, crate::EncodeError> {
        let mut properties = PropertyBuf::new();
        let config = &self.config;
        if config.version == Version::V3_1_1 {
            return Ok(properties);
        }
        if !config.session_expiry.is_zero() {
            let secs = u32::try_from(config.session_expiry.as_secs()).unwrap_or(u32::MAX).max(1);
            properties.push(PropertyId::SESSION_EXPIRY_INTERVAL, PropertyValue::Four(secs))?;
        }
        let receive_max = PropertyValue::Two(config.receive_max.max(1));
        properties.push(PropertyId::RECEIVE_MAXIMUM, receive_max)?;
        let len_max = u32::try_from(config.packet_len_max).unwrap_or(u32::MAX).max(1);
        properties.push(PropertyId::MAXIMUM_PACKET_SIZE, PropertyValue::Four(len_max))?;
        let alias_max = PropertyValue::Two(config.topic_alias_max);
        properties.push(PropertyId::TOPIC_ALIAS_MAXIMUM, alias_max)?;
        Ok(properties)
    }

    pub(super) fn on_connack(&mut self, ack: &ConnAck<'_>) {
        if ack.reason.is_error() {
            return self.leave(State::Closed, End::Refused(ack.reason));
        }
        let properties = &ack.properties;
        let number = |id| properties.number(id);
        let qos_max = number(PropertyId::MAXIMUM_QOS).and_then(|qos| u8::try_from(qos).ok());
        self.limits = Limits {
            receive_max: number(PropertyId::RECEIVE_MAXIMUM)
                .and_then(|max| u16::try_from(max).ok())
                .unwrap_or(u16::MAX),
            packet_len_max: number(PropertyId::MAXIMUM_PACKET_SIZE)
                .map_or(usize::MAX, |max| max as usize),
            qos_max: qos_max.and_then(QoS::from_number).unwrap_or(QoS::ExactlyOnce),
            retain: number(PropertyId::RETAIN_AVAILABLE) != Some(0),
            topic_alias_max: number(PropertyId::TOPIC_ALIAS_MAXIMUM)
                .and_then(|max| u16::try_from(max).ok())
                .unwrap_or(0),
            subscription_ids: number(PropertyId::SUBSCRIPTION_IDENTIFIER_AVAILABLE) != Some(0),
        };
        let alias_max = self.limits.topic_alias_max.min(self.config.topic_alias_used_max);
        self.aliases.reset(alias_max);
        let expiry = number(PropertyId::SESSION_EXPIRY_INTERVAL);
        if let Some(secs) = number(PropertyId::SERVER_KEEP_ALIVE) {
            self.keep_alive = interval(secs.min(u16::MAX.into()) as u16);
        }
        if let Some(id) = properties.text(PropertyId::ASSIGNED_CLIENT_IDENTIFIER) {
            self.client_id = id.into();
        }
        self.state = State::Open;
        if ack.session_present {
            self.incoming.on_session_kept();
        } else {
            // Section 3.2.2.1.1: what was said of the old session is void.
            self.incoming.on_session_lost();
            let over = self.outgoing.on_session_lost();
            for (ticket, id) in over {
                self.packet_ids.give_back(id);
                self.events.push_back(Event::Published { ticket, result: Ok(()) });
            }
        }
        self.subscriptions.on_open(ack.session_present);
        self.events.push_back(Event::Connected(Connected {
            session_present: ack.session_present,
            client_id: self.client_id.clone(),
            limits: self.limits,
            session_expiry: self.session_expiry(expiry),
        }));
    }

    /// How long the broker keeps the session, which it may have said, section 3.2.2.3.2.
    fn session_expiry(&self, said: Option<u32>) -> Duration {
        match (self.config.version, said) {
            (Version::V3_1_1, _) => Duration::ZERO,
            (Version::V5, Some(u32::MAX)) => Duration::MAX,
            (Version::V5, Some(secs)) => Duration::from_secs(secs.into()),
            (Version::V5, None) => self.config.session_expiry,
        }
    }

    /// A reason that a server gives for its end.
    pub(super) fn on_disconnect(&mut self, reason: Reason) {
        self.leave(State::Closed, End::Disconnected(reason));
    }
}

const fn interval(secs: u16) -> Option<Duration> {
    match secs {
        0 => None,
        secs => Some(Duration::from_secs(secs as u64)),
    }
}
