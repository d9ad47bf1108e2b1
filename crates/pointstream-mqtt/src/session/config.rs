use core::fmt;
use core::time::Duration;

use crate::QoS;
use crate::Version;
use crate::frame::PACKET_LEN_MAX;
use crate::packet::PropertyBuf;

/// What a client presents to its broker, what it allows, and how long it waits.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// The version to speak. Default 3.1.1.
    pub version: Version,
    /// The name of the session. Empty asks the broker for one, which needs a clean start.
    pub client_id: Box<str>,
    /// Whether the first connection discards a session that the broker has. In MQTT 3.1.1, whether
    /// the broker keeps none beyond any connection. Default true.
    pub clean_start: bool,
    /// How long the broker is to keep the session without a connection; MQTT 5 only. Default zero;
    /// [`Duration::MAX`] for always.
    pub session_expiry: Duration,
    /// How long the line may be silent before it is tried; zero for ever. Default 60 s.
    pub keep_alive: Duration,
    /// Who the client is.
    pub username: Option<Box<str>>,
    /// What proves it.
    pub password: Option<Secret>,
    /// What is published when the client is lost.
    pub will: Option<LastWill>,
    /// How long the broker may take to accept the connection. Default 10 s.
    pub connect_timeout: Duration,
    /// How long the broker may take to acknowledge or answer anything else; a broker that is
    /// connected and silent ends the connection. Default 20 s.
    pub ack_timeout: Duration,
    /// How many own messages of QoS 1 and 2 may wait for their acknowledgement, if the broker does not
    /// want fewer. Others wait behind them. Default 256.
    pub inflight_max: u16,
    /// How many messages of QoS 1 and 2 the broker may send unacknowledged; MQTT 5 only, where more
    /// end the connection, unless the broker has kept the session: then it is told and not held to
    /// it. Default 256.
    pub receive_max: u16,
    /// The longest packet that is read. In MQTT 5 the broker is told; in MQTT 3.1.1 a longer message
    /// is passed over and told as [`Event::Oversize`](super::Event::Oversize). Default 1 MiB.
    pub packet_len_max: usize,
    /// The largest topic alias that the broker may use; MQTT 5 only. Default 64.
    pub topic_alias_max: u16,
    /// The largest topic alias that is used towards the broker, if that does not want fewer; MQTT 5
    /// only. Default 0: topics are written out.
    pub topic_alias_used_max: u16,
    /// Whether subscriptions have identifiers, where the broker knows them; MQTT 5 only. By them a
    /// message that several subscriptions match is told once, however often the broker sends it. Each
    /// filter then has a SUBSCRIBE of its own. Default true.
    pub subscription_ids: bool,
    /// How many own messages may wait to be sent; more are refused. Default 4096.
    pub queue_max: usize,
    /// How many bytes those may have together; more are refused. Default 4 MiB.
    pub queue_len_max: usize,
    /// How many subscriptions there may be; more are refused. Default 100,000.
    pub subscriptions_max: usize,
    /// How many filters go into one packet; some brokers take no more than 8, which is the default.
    pub subscribe_batch: usize,
}

/// What is published when the client is lost.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct LastWill {
    /// Where.
    pub topic: Box<str>,
    /// What it says.
    pub payload: Box<[u8]>,
    /// How.
    pub qos: QoS,
    /// Whether it stays.
    pub retain: bool,
    /// Properties; MQTT 5 only.
    pub properties: PropertyBuf,
}

/// Bytes that are not shown.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret(Box<[u8]>);

impl Config {
    /// A client with a name, and the default of everything else.
    pub fn new(version: Version, client_id: &str) -> Self {
        Self {
            version,
            client_id: client_id.into(),
            clean_start: true,
            session_expiry: Duration::ZERO,
            keep_alive: Duration::from_secs(60),
            username: None,
            password: None,
            will: None,
            connect_timeout: Duration::from_secs(10),
            ack_timeout: Duration::from_secs(20),
            inflight_max: 256,
            receive_max: 256,
            packet_len_max: PACKET_LEN_MAX,
            topic_alias_max: 64,
            topic_alias_used_max: 0,
            subscription_ids: true,
            queue_max: 4096,
            queue_len_max: 4 * 1024 * 1024,
            subscriptions_max: 100_000,
            subscribe_batch: 8,
        }
    }

    /// This configuration with a session that the broker keeps so long without a connection. MQTT
    /// 3.1.1 knows no time: the broker keeps it as long as it likes.
    #[must_use]
    pub const fn with_session(mut self, expiry: Duration) -> Self {
        self.clean_start = false;
        self.session_expiry = expiry;
        self
    }

    /// This configuration with a user name and a password.
    #[must_use]
    pub fn with_credentials(mut self, username: &str, password: &[u8]) -> Self {
        self.username = Some(username.into());
        self.password = Some(Secret::new(password));
        self
    }

    /// This configuration with a last will.
    #[must_use]
    pub fn with_will(mut self, will: LastWill) -> Self {
        self.will = Some(will);
        self
    }

    /// Whether the broker keeps the session when a connection ends.
    pub const fn is_persistent(&self) -> bool {
        match self.version {
            Version::V3_1_1 => !self.clean_start,
            Version::V5 => !self.session_expiry.is_zero(),
        }
    }
}

impl LastWill {
    /// A will of QoS 0 that does not stay.
    pub fn new(topic: &str, payload: &[u8]) -> Self {
        Self {
            topic: topic.into(),
            payload: payload.into(),
            qos: QoS::AtMostOnce,
            retain: false,
            properties: PropertyBuf::new(),
        }
    }

    /// This will with a quality of service, and whether it stays.
    #[must_use]
    pub const fn with(mut self, qos: QoS, retain: bool) -> Self {
        self.qos = qos;
        self.retain = retain;
        self
    }
}

impl Secret {
    /// Hides bytes.
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
