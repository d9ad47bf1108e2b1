use core::fmt;

/// Why something went as it did, MQTT 5 section 2.4. From 0x80 on it is an error.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(transparent)]
pub struct Reason(u8);

impl Reason {
    /// Success; for DISCONNECT, the normal end.
    pub const SUCCESS: Self = Self(0x00);
    /// DISCONNECT with the wish that the will be published.
    pub const DISCONNECT_WITH_WILL: Self = Self(0x04);
    /// Nobody is subscribed.
    pub const NO_SUBSCRIBERS: Self = Self(0x10);
    /// An error without a better name.
    pub const UNSPECIFIED: Self = Self(0x80);
    /// A packet that is none.
    pub const MALFORMED: Self = Self(0x81);
    /// A packet that must not come here.
    pub const PROTOCOL_ERROR: Self = Self(0x82);
    /// The protocol's version is not supported.
    pub const UNSUPPORTED_VERSION: Self = Self(0x84);
    /// The client's name is not taken.
    pub const CLIENT_ID: Self = Self(0x85);
    /// User name or password are wrong.
    pub const BAD_CREDENTIALS: Self = Self(0x86);
    /// The client may not do this.
    pub const NOT_AUTHORIZED: Self = Self(0x87);
    /// The broker is not available.
    pub const UNAVAILABLE: Self = Self(0x88);
    /// Another client has taken the session's name.
    pub const TAKEN_OVER: Self = Self(0x8e);
    /// Nothing was heard for longer than was agreed.
    pub const KEEP_ALIVE: Self = Self(0x8d);
    /// The packet id is not known.
    pub const PACKET_ID_NOT_FOUND: Self = Self(0x92);
    /// More messages wait than was agreed.
    pub const RECEIVE_MAXIMUM: Self = Self(0x93);
    /// A topic alias that is not known or too large.
    pub const TOPIC_ALIAS: Self = Self(0x94);
    /// A packet longer than was agreed.
    pub const PACKET_TOO_LARGE: Self = Self(0x95);
    /// The payload is not what it says.
    pub const PAYLOAD_FORMAT: Self = Self(0x99);

    /// The reason of a number, whether MQTT 5 has a name for it or not.
    pub const fn new(number: u8) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Whether it is an error.
    pub const fn is_error(self) -> bool {
        self.0 >= 0x80
    }

    /// The reason of a return code of MQTT 3.1.1's CONNACK, section 3.2.2.3.
    pub const fn of_return_code(code: u8) -> Self {
        match code {
            0 => Self::SUCCESS,
            1 => Self::UNSUPPORTED_VERSION,
            2 => Self::CLIENT_ID,
            3 => Self::UNAVAILABLE,
            4 => Self::BAD_CREDENTIALS,
            5 => Self::NOT_AUTHORIZED,
            _ => Self::UNSPECIFIED,
        }
    }

    /// The return code of MQTT 3.1.1; `None` where it has none.
    pub const fn return_code(self) -> Option<u8> {
        Some(match self {
            Self::SUCCESS => 0,
            Self::UNSUPPORTED_VERSION => 1,
            Self::CLIENT_ID => 2,
            Self::UNAVAILABLE => 3,
            Self::BAD_CREDENTIALS => 4,
            Self::NOT_AUTHORIZED => 5,
            // A number that it does not have, which is read back as an unspecified error.
            Self::UNSPECIFIED => 0x80,
            _ => return None,
        })
    }

    const fn text(self) -> Option<&'static str> {
        Some(match self.0 {
            0x00 => "success",
            0x04 => "disconnect with will",
            0x10 => "no matching subscribers",
            0x11 => "no subscription existed",
            0x18 => "continue authentication",
            0x19 => "re-authenticate",
            0x80 => "unspecified error",
            0x81 => "malformed packet",
            0x82 => "protocol error",
            0x83 => "implementation specific error",
            0x84 => "unsupported protocol version",
            0x85 => "client identifier not valid",
            0x86 => "bad user name or password",
            0x87 => "not authorized",
            0x88 => "server unavailable",
            0x89 => "server busy",
            0x8a => "banned",
            0x8b => "server shutting down",
            0x8c => "bad authentication method",
            0x8d => "keep alive timeout",
            0x8e => "session taken over",
            0x8f => "topic filter invalid",
            0x90 => "topic name invalid",
            0x91 => "packet identifier in use",
            0x92 => "packet identifier not found",
            0x93 => "receive maximum exceeded",
            0x94 => "topic alias invalid",
            0x95 => "packet too large",
            0x96 => "message rate too high",
            0x97 => "quota exceeded",
            0x98 => "administrative action",
            0x99 => "payload format invalid",
            0x9a => "retain not supported",
            0x9b => "QoS not supported",
            0x9c => "use another server",
            0x9d => "server moved",
            0x9e => "shared subscriptions not supported",
            0x9f => "connection rate exceeded",
            0xa0 => "maximum connect time",
            0xa1 => "subscription identifiers not supported",
            0xa2 => "wildcard subscriptions not supported",
            _ => return None,
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text() {
            Some(text) => f.write_str(text),
            None => write!(f, "reason {:#04x}", self.0),
        }
    }
}
