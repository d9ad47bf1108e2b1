/// Why bytes are not an MQTT packet, and where.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{kind} at byte {at}")]
#[non_exhaustive]
pub struct DecodeError {
    /// The offset of what is wrong, from the start of the packet.
    pub at: usize,
    /// What is wrong.
    pub kind: Malformed,
}

impl DecodeError {
    /// `kind` is wrong at byte `at`.
    pub const fn new(at: usize, kind: Malformed) -> Self {
        Self { at, kind }
    }
}

/// What is wrong with bytes. Properties are named by their numbers in MQTT 5 section 2.2.2.2.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// CONNECT has flags that contradict one another.
    #[error("connect flags {0:#04x} contradict one another")]
    ConnectFlags(u8),
    /// A list that must have an entry has none.
    #[error("a list without entries")]
    Empty,
    /// A topic filter that is none.
    #[error("a topic filter that is none")]
    Filter,
    /// The flags of the fixed header are not those of the packet's type.
    #[error("flags {0:#x} do not belong to this type of packet")]
    Flags(u8),
    /// CONNACK has flags that do not exist.
    #[error("acknowledge flags {0:#04x} do not exist")]
    AckFlags(u8),
    /// The remaining length has more than four bytes.
    #[error("a length of more than four bytes")]
    Length,
    /// The packet is longer than allowed. Found from its first bytes, before anything is kept.
    #[error("a packet of {len} bytes, where {max} are allowed")]
    PacketLen {
        /// Its length, the fixed header included.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// A packet id of zero.
    #[error("packet id 0")]
    PacketId,
    /// A property that does not exist or does not belong to the packet.
    #[error("property {0} does not belong here")]
    Property(u8),
    /// A property that may stand once stands twice.
    #[error("property {0} stands twice")]
    PropertyTwice(u8),
    /// A property has a value outside of its range.
    #[error("property {0} has a value that it cannot have")]
    PropertyValue(u8),
    /// The protocol is not `MQTT` of level 4 or 5.
    #[error("neither MQTT 3.1.1 nor MQTT 5")]
    Protocol,
    /// A quality of service of 3.
    #[error("quality of service 3")]
    QoS,
    /// Bytes follow where there should be none.
    #[error("bytes behind the end")]
    Rest,
    /// The packet ends in the middle of a field.
    #[error("the packet ends too early")]
    Short,
    /// Subscription options that do not exist.
    #[error("subscription options {0:#04x} do not exist")]
    SubscribeOptions(u8),
    /// Text that is not UTF-8 or has a null character.
    #[error("text that is not UTF-8 or has a null character")]
    Text,
    /// A topic name that is empty, without an alias, or has wildcards.
    #[error("a topic name that is empty or has wildcards")]
    TopicName,
    /// A type of packet that the version does not have.
    #[error("packet type {0} does not exist")]
    Type(u8),
}

/// Why a packet cannot be written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// A list that must have an entry has none.
    #[error("a list without entries")]
    Empty,
    /// A topic filter that is none.
    #[error("a topic filter that is none")]
    Filter,
    /// A text or binary field has more than 65,535 bytes.
    #[error("a field of more than 65535 bytes")]
    FieldLen,
    /// The packet id is missing, zero, or there where it does not belong.
    #[error("the packet id is missing or does not belong there")]
    PacketId,
    /// The packet would be longer than its length can say.
    #[error("a packet of more than 268435455 bytes")]
    PacketLen,
    /// A property that does not belong to the packet, stands twice or has an impossible value.
    #[error("property {0} does not belong there")]
    Property(u8),
    /// Text with a null character.
    #[error("text with a null character")]
    Text,
    /// A topic name that is empty or has wildcards.
    #[error("a topic name that is empty or has wildcards")]
    TopicName,
    /// The version has nothing of the kind.
    #[error("this version of MQTT has no such field")]
    Version,
}
