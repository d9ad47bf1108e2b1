use core::time::Duration;
use std::sync::Arc;

use crate::error::{DecodeError, EncodeError};
use crate::packet::{PacketType, PropertyBuf, PropertyId, PropertyValue, QoS, Reason};
use crate::topic::TopicError;

/// What a session tells its user.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The broker has accepted the connection.
    Connected(Connected),
    /// The connection is over, and why. It is to be closed when everything is sent.
    Lost(End),
    /// A message. It is acknowledged when this event is taken.
    Message(Message),
    /// A message was longer than is read and was passed over. MQTT 3.1.1 only.
    Oversize {
        /// Its topic.
        topic: Arc<str>,
        /// How long its packet was.
        len: usize,
    },
    /// An own message has been delivered, as far as its quality of service can tell, or never will
    /// be.
    Published {
        /// Which.
        ticket: Ticket,
        /// How it went.
        result: Result<(), PublishFault>,
    },
    /// The broker has answered a subscription.
    Subscribed {
        /// The filter.
        filter: Arc<str>,
        /// The quality of service that was granted, or why there is no subscription.
        result: Result<QoS, Reason>,
    },
    /// The broker sends no more messages for a filter.
    Unsubscribed {
        /// The filter.
        filter: Arc<str>,
    },
}

/// What the broker said when it accepted a connection.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Connected {
    /// Whether it has kept the session.
    pub session_present: bool,
    /// The name of the session: the own one, or what the broker gave.
    pub client_id: Arc<str>,
    /// What it allows.
    pub limits: Limits,
    /// How long it keeps the session without a connection: what was asked for, unless the broker says
    /// otherwise. Zero in MQTT 3.1.1, which does not say.
    pub session_expiry: Duration,
}

/// What a broker allows, section 3.2.2.3. MQTT 3.1.1 says nothing of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// How many messages of QoS 1 and 2 may wait for their acknowledgement.
    pub receive_max: u16,
    /// The longest packet.
    pub packet_len_max: usize,
    /// The best quality of service.
    pub qos_max: QoS,
    /// Whether it retains messages.
    pub retain: bool,
    /// The largest topic alias that it knows; 0 in MQTT 3.1.1, which has none.
    pub topic_alias_max: u16,
    /// Whether it knows subscription identifiers.
    pub subscription_ids: bool,
}

impl Limits {
    /// No limit.
    pub(crate) const NONE: Self = Self {
        receive_max: u16::MAX,
        packet_len_max: usize::MAX,
        qos_max: QoS::ExactlyOnce,
        retain: true,
        topic_alias_max: 0,
        subscription_ids: true,
    };
}

/// A message from the broker.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Message {
    /// The topic.
    pub topic: Arc<str>,
    /// What it says.
    pub payload: Box<[u8]>,
    /// The quality of service it came with.
    pub qos: QoS,
    /// Whether it was retained.
    pub retain: bool,
    /// Whether the broker may have sent it before.
    pub dup: bool,
    /// Properties; MQTT 5 only. Without subscription identifiers, which the session uses itself.
    pub properties: PropertyBuf,
    pub(crate) packet_id: Option<u16>,
    /// The connection that it came by.
    pub(crate) epoch: u64,
}

/// A message to be published.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Publication {
    /// The topic, which has no wildcards.
    pub topic: Arc<str>,
    /// What it says.
    pub payload: Arc<[u8]>,
    /// The quality of service.
    pub qos: QoS,
    /// Whether the broker is to keep it for who subscribes later.
    pub retain: bool,
    /// Properties; MQTT 5 only.
    pub properties: PropertyBuf,
}

impl Publication {
    /// A message of QoS 0 that does not stay.
    pub fn new(topic: impl Into<Arc<str>>, payload: impl Into<Arc<[u8]>>) -> Self {
        Self {
            topic: topic.into(),
            payload: payload.into(),
            qos: QoS::AtMostOnce,
            retain: false,
            properties: PropertyBuf::new(),
        }
    }

    /// This message with a quality of service.
    #[must_use]
    pub const fn with_qos(mut self, qos: QoS) -> Self {
        self.qos = qos;
        self
    }

    /// This message, to be kept for who subscribes later or not.
    #[must_use]
    pub const fn with_retain(mut self, retain: bool) -> Self {
        self.retain = retain;
        self
    }

    /// This message with properties; MQTT 5 only.
    #[must_use]
    pub fn with_properties(mut self, properties: PropertyBuf) -> Self {
        self.properties = properties;
        self
    }

    /// This message, worth delivering for so long from when the broker has it; MQTT 5 only.
    #[must_use]
    pub fn with_expiry(mut self, expiry: Duration) -> Self {
        let secs = u32::try_from(expiry.as_secs()).unwrap_or(u32::MAX).max(1);
        let value = PropertyValue::Four(secs);
        // A value of the right form is always taken.
        let _ = self.properties.push(PropertyId::MESSAGE_EXPIRY_INTERVAL, value);
        self
    }

    /// How much it counts towards the length of the queue.
    pub(crate) fn weight(&self) -> usize {
        self.topic.len() + self.payload.len()
    }
}

/// An own message, by which its outcome is told.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Ticket(pub(crate) u64);

/// Why a connection is over.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum End {
    /// The broker did not acknowledge or answer something in time.
    #[error("the broker did not acknowledge in time")]
    AckTimeout,
    /// The broker did not say whether it accepts the client.
    #[error("the broker did not answer to the connection in time")]
    ConnectTimeout,
    /// The stream failed or ended.
    #[error("the connection was lost")]
    ConnectionLost,
    /// The own configuration cannot be written as a packet.
    #[error("the connection cannot be asked for: {0}")]
    Config(EncodeError),
    /// The broker has ended the connection.
    #[error("the broker has ended the connection: {0}")]
    Disconnected(Reason),
    /// Nothing came from the broker, though it was asked for a sign of life.
    #[error("the broker is silent")]
    KeepAlive,
    /// Bytes that are not MQTT.
    #[error("the broker sent what is not MQTT: {0}")]
    Malformed(DecodeError),
    /// A packet that must not come here.
    #[error("the broker sent a {0:?} that must not come here")]
    Unexpected(PacketType),
    /// More messages than were allowed.
    #[error("the broker sent more messages than were allowed at a time")]
    ReceiveMaximum,
    /// The broker has not accepted the client.
    #[error("the broker has refused the connection: {0}")]
    Refused(Reason),
    /// The user has ended the connection.
    #[error("the connection was ended")]
    Left,
    /// A topic alias that is not known.
    #[error("the broker used a topic alias that it has not told")]
    TopicAlias,
}

/// Why a message was not delivered.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishFault {
    /// The broker has refused it.
    #[error("the broker has refused the message: {0}")]
    Refused(Reason),
    /// It is longer than the broker reads.
    #[error("the message is longer than the {0} bytes that the broker takes")]
    PacketLen(usize),
    /// The broker does not have its quality of service.
    #[error("the broker takes messages up to QoS {0} only")]
    QoS(u8),
    /// The broker retains nothing.
    #[error("the broker retains no messages")]
    Retain,
    /// It cannot be written as a packet.
    #[error("{0}")]
    Encode(EncodeError),
}

/// Why a message was not taken to be published.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// Too many messages wait, or too many bytes.
    #[error("too many messages wait to be sent")]
    Full,
    /// The topic cannot be published to.
    #[error("{0}")]
    Topic(#[from] TopicError),
    /// MQTT 3.1.1 has no properties.
    #[error("MQTT 3.1.1 has no properties")]
    Properties,
}

/// Why a subscription was not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The filter is none.
    #[error("{0}")]
    Filter(#[from] TopicError),
    /// There are as many subscriptions as there may be.
    #[error("there are too many subscriptions")]
    Full,
}
