//! Packets of MQTT 3.1.1 (OASIS Standard, 29 October 2014) and MQTT 5 (OASIS Standard, 7 March 2019).
//!
//! Both versions share one set of types: what MQTT 3.1.1 lacks are properties, reasons beside those
//! of CONNACK and SUBACK, and AUTH. A packet borrows the bytes that it was read from. Both
//! directions are here for either side, so that a broker can be played in a test.

mod decode;
mod encode;
mod property;
pub(crate) mod reader;
mod reason;

pub(crate) use decode::{kind, publish_head};
pub use property::{Properties, PropertyBuf, PropertyId, PropertyValue};
pub use reason::Reason;

/// A version of the protocol.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the two that are in use")]
pub enum Version {
    /// MQTT 3.1.1, whose protocol level is 4.
    #[default]
    V3_1_1,
    /// MQTT 5.
    V5,
}

/// The quality of service of a message.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "the three of MQTT")]
#[repr(u8)]
pub enum QoS {
    /// Sent once and forgotten.
    #[default]
    AtMostOnce = 0,
    /// Sent until it is acknowledged.
    AtLeastOnce = 1,
    /// Sent until it is acknowledged, and taken once.
    ExactlyOnce = 2,
}

impl QoS {
    /// The quality of a number.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }
}

/// The type of a packet, by its number in the fixed header.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "all numbers of four bits but 0")]
#[expect(missing_docs, reason = "the names of the standard")]
#[repr(u8)]
pub enum PacketType {
    Connect = 1,
    ConnAck = 2,
    Publish = 3,
    PubAck = 4,
    PubRec = 5,
    PubRel = 6,
    PubComp = 7,
    Subscribe = 8,
    SubAck = 9,
    Unsubscribe = 10,
    UnsubAck = 11,
    PingReq = 12,
    PingResp = 13,
    Disconnect = 14,
    Auth = 15,
}

/// A packet of either version.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "all types there are")]
pub enum Packet<'a> {
    /// A client asks for a session.
    Connect(Connect<'a>),
    /// The broker's answer to that.
    ConnAck(ConnAck<'a>),
    /// A message.
    Publish(Publish<'a>),
    /// A message of QoS 1 has arrived.
    PubAck(Ack<'a>),
    /// A message of QoS 2 has arrived.
    PubRec(Ack<'a>),
    /// A message of QoS 2 may be forgotten.
    PubRel(Ack<'a>),
    /// A message of QoS 2 is forgotten.
    PubComp(Ack<'a>),
    /// A client asks for messages.
    Subscribe(Subscribe<'a>),
    /// The broker's answer to that.
    SubAck(SubAck<'a>),
    /// A client asks for no more messages.
    Unsubscribe(Unsubscribe<'a>),
    /// The broker's answer to that.
    UnsubAck(SubAck<'a>),
    /// A client says that it is there.
    PingReq,
    /// So does the broker.
    PingResp,
    /// The session's connection ends.
    Disconnect(Farewell<'a>),
    /// A step of authentication.
    Auth(Farewell<'a>),
}

/// CONNECT, section 3.1.
#[derive(Clone, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the fields of the standard")]
pub struct Connect<'a> {
    /// The version that is spoken from here on.
    pub version: Version,
    /// Whether a session that is there is discarded; `Clean Session` in MQTT 3.1.1.
    pub clean_start: bool,
    /// The interval of keep-alives in seconds; 0 for none.
    pub keep_alive: u16,
    /// Properties.
    pub properties: Properties<'a>,
    /// The name of the client.
    pub client_id: &'a str,
    /// What is published when the client is lost.
    pub will: Option<Will<'a>>,
    /// Who the client is.
    pub username: Option<&'a str>,
    /// What proves it.
    pub password: Option<&'a [u8]>,
}

/// The will of a CONNECT.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the fields of the standard")]
pub struct Will<'a> {
    /// How it is published.
    pub qos: QoS,
    /// Whether it stays.
    pub retain: bool,
    /// Properties.
    pub properties: Properties<'a>,
    /// Where it is published.
    pub topic: &'a str,
    /// What it says.
    pub payload: &'a [u8],
}

/// CONNACK, section 3.2.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the fields of the standard")]
pub struct ConnAck<'a> {
    /// Whether the broker has kept the session.
    pub session_present: bool,
    /// Whether the client is accepted. In MQTT 3.1.1 a return code, read as the reason that it is in
    /// MQTT 5, and written as the return code.
    pub reason: Reason,
    /// Properties.
    pub properties: Properties<'a>,
}

/// PUBLISH, section 3.3.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the fields of the standard")]
pub struct Publish<'a> {
    /// Whether it may have been sent before.
    pub dup: bool,
    /// The quality of service.
    pub qos: QoS,
    /// To the broker: keep it. From the broker: it was kept.
    pub retain: bool,
    /// The topic; empty where an alias stands for it.
    pub topic: &'a str,
    /// The packet id, for all but QoS 0.
    pub packet_id: Option<u16>,
    /// Properties.
    pub properties: Properties<'a>,
    /// What it says.
    pub payload: &'a [u8],
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP, sections 3.4 to 3.7.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the fields of the standard")]
pub struct Ack<'a> {
    /// The packet that is acknowledged.
    pub packet_id: u16,
    /// How it went; always success in MQTT 3.1.1.
    pub reason: Reason,
    /// Properties.
    pub properties: Properties<'a>,
}

impl Ack<'_> {
    /// An acknowledgement of success.
    pub const fn new(packet_id: u16) -> Self {
        Self { packet_id, reason: Reason::SUCCESS, properties: Properties::NONE }
    }
}

/// SUBSCRIBE, section 3.8.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the fields of the standard")]
pub struct Subscribe<'a> {
    /// The packet id.
    pub packet_id: u16,
    /// Properties.
    pub properties: Properties<'a>,
    /// Filters with what is wanted of each.
    pub filters: Vec<(&'a str, SubscribeOptions)>,
}

/// What is wanted of a subscription, section 3.8.3.1. MQTT 3.1.1 has the QoS only.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the fields of the standard")]
pub struct SubscribeOptions {
    /// The best quality of service that is wanted.
    pub qos: QoS,
    /// Whether own messages stay away.
    pub no_local: bool,
    /// Whether messages say that they are retained as they were published.
    pub retain_as_published: bool,
    /// When retained messages are sent.
    pub retain_handling: RetainHandling,
}

/// When retained messages are sent for a subscription.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the three of MQTT 5")]
#[repr(u8)]
pub enum RetainHandling {
    /// With each SUBSCRIBE.
    #[default]
    Always = 0,
    /// If the subscription was not there.
    IfNew = 1,
    /// Not at all.
    Never = 2,
}

/// SUBACK or UNSUBACK, sections 3.9 and 3.11.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the fields of the standard")]
pub struct SubAck<'a> {
    /// The packet that is answered.
    pub packet_id: u16,
    /// Properties.
    pub properties: Properties<'a>,
    /// A reason for each filter, in their order: see [`Reason::new`]. None for UNSUBACK in MQTT 3.1.1.
    pub reasons: &'a [u8],
}

/// UNSUBSCRIBE, section 3.10.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the fields of the standard")]
pub struct Unsubscribe<'a> {
    /// The packet id.
    pub packet_id: u16,
    /// Properties.
    pub properties: Properties<'a>,
    /// The filters.
    pub filters: Vec<&'a str>,
}

/// DISCONNECT or AUTH, sections 3.14 and 3.15.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the fields of the standard")]
pub struct Farewell<'a> {
    /// Why.
    pub reason: Reason,
    /// Properties.
    pub properties: Properties<'a>,
}

impl Packet<'_> {
    /// The type.
    pub const fn kind(&self) -> PacketType {
        match self {
            Self::Connect(_) => PacketType::Connect,
            Self::ConnAck(_) => PacketType::ConnAck,
            Self::Publish(_) => PacketType::Publish,
            Self::PubAck(_) => PacketType::PubAck,
            Self::PubRec(_) => PacketType::PubRec,
            Self::PubRel(_) => PacketType::PubRel,
            Self::PubComp(_) => PacketType::PubComp,
            Self::Subscribe(_) => PacketType::Subscribe,
            Self::SubAck(_) => PacketType::SubAck,
            Self::Unsubscribe(_) => PacketType::Unsubscribe,
            Self::UnsubAck(_) => PacketType::UnsubAck,
            Self::PingReq => PacketType::PingReq,
            Self::PingResp => PacketType::PingResp,
            Self::Disconnect(_) => PacketType::Disconnect,
            Self::Auth(_) => PacketType::Auth,
        }
    }
}

impl PacketType {
    /// The type of a number.
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Connect,
            2 => Self::ConnAck,
            3 => Self::Publish,
            4 => Self::PubAck,
            5 => Self::PubRec,
            6 => Self::PubRel,
            7 => Self::PubComp,
            8 => Self::Subscribe,
            9 => Self::SubAck,
            10 => Self::Unsubscribe,
            11 => Self::UnsubAck,
            12 => Self::PingReq,
            13 => Self::PingResp,
            14 => Self::Disconnect,
            15 => Self::Auth,
            _ => return None,
        })
    }

    /// The flags of its fixed header, section 2.1.3; PUBLISH has its own.
    pub(crate) const fn flags(self) -> u8 {
        match self {
            Self::PubRel | Self::Subscribe | Self::Unsubscribe => 2,
            _ => 0,
        }
    }
}

impl core::fmt::Debug for Connect<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Connect")
            .field("version", &self.version)
            .field("clean_start", &self.clean_start)
            .field("keep_alive", &self.keep_alive)
            .field("properties", &self.properties)
            .field("client_id", &self.client_id)
            .field("will", &self.will)
            .field("username", &self.username)
            .field("password", &self.password.map(|_| "***"))
            .finish()
    }
}
