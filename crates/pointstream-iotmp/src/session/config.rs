use alloc::string::String;
use core::fmt;
use core::time::Duration;

use crate::encode::{Encode, Encoder};
use crate::frame::BODY_LEN_MAX;
use crate::message::Message;
use crate::pson::Rules;
use crate::value::{Array, Value};

/// What a session allows and how long it waits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// The largest body that is read; a larger one ends the session. Default 64 KiB.
    pub body_len_max: usize,
    /// The largest body of the first frame, before its sender is known. Default 1 KiB.
    pub connect_len_max: usize,
    /// How long a connection may take to be accepted, from its start to the verdict. Default 10 s.
    pub connect_timeout: Duration,
    /// How many bytes are kept that come before the verdict; more end the session. Default 4 KiB.
    pub early_len_max: usize,
    /// How often a client says that it is there; what a server assumes where the client does not
    /// say. Default 60 s.
    pub keep_alive: Duration,
    /// How many requests of the peer may wait for their answer; more are refused. Default 64.
    pub peer_requests_max: usize,
    /// How long an answer may take. Default 10 s.
    pub request_timeout: Duration,
    /// How many own requests may wait for their answer. Default 64.
    pub requests_max: usize,
    /// What values are let pass.
    pub rules: Rules,
    /// How many streams each side may have open. Default 256.
    pub streams_max: usize,
    /// How many bytes may wait to be sent. Beyond, requests are refused, and the session ends when
    /// the protocol demands an answer. Default 256 KiB.
    pub transmit_len_max: usize,
}

impl Config {
    /// This configuration with another interval of keep-alives.
    #[must_use]
    pub const fn with_keep_alive(mut self, keep_alive: Duration) -> Self {
        self.keep_alive = keep_alive;
        self
    }

    /// This configuration with other times for being accepted and for answers.
    #[must_use]
    pub const fn with_timeouts(mut self, connect: Duration, request: Duration) -> Self {
        self.connect_timeout = connect;
        self.request_timeout = request;
        self
    }

    /// This configuration with other lengths of bodies: of the first frame and of all later ones.
    #[must_use]
    pub const fn with_lengths_max(mut self, connect: usize, body: usize) -> Self {
        self.connect_len_max = connect;
        self.body_len_max = body;
        self
    }

    /// This configuration with other numbers of requests that wait: own ones and the peer's.
    #[must_use]
    pub const fn with_requests_max(mut self, own: usize, peer: usize) -> Self {
        self.requests_max = own;
        self.peer_requests_max = peer;
        self
    }

    /// This configuration with another number of streams that each side may have.
    #[must_use]
    pub const fn with_streams_max(mut self, streams_max: usize) -> Self {
        self.streams_max = streams_max;
        self
    }

    /// This configuration with another number of bytes that may wait to be sent.
    #[must_use]
    pub const fn with_transmit_len_max(mut self, transmit_len_max: usize) -> Self {
        self.transmit_len_max = transmit_len_max;
        self
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            body_len_max: BODY_LEN_MAX,
            connect_len_max: 1024,
            connect_timeout: Duration::from_secs(10),
            early_len_max: 4096,
            keep_alive: Duration::from_secs(60),
            peer_requests_max: 64,
            request_timeout: Duration::from_secs(10),
            requests_max: 64,
            rules: Rules::DEFAULT,
            streams_max: 256,
            transmit_len_max: 256 * 1024,
        }
    }
}

/// Who a device says it is.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the three strings of the protocol")]
pub struct Credentials {
    /// Whose device it is.
    pub user: String,
    /// Which one.
    pub device: String,
    /// What proves it.
    pub credential: Secret,
}

impl Credentials {
    /// These three strings.
    pub fn new(
        user: impl Into<String>,
        device: impl Into<String>,
        credential: impl Into<String>,
    ) -> Self {
        let credential = Secret(credential.into());
        Self { user: user.into(), device: device.into(), credential }
    }

    fn read(array: Array<'_>) -> Option<Self> {
        let mut strings = array.iter().map(|value| value.as_str());
        let [user, device, credential] = [strings.next()??, strings.next()??, strings.next()??];
        strings.next().is_none().then(|| Self::new(user, device, credential))
    }
}

impl Encode for Credentials {
    fn encode(&self, to: &mut Encoder<'_>) {
        [self.user.as_str(), &self.device, self.credential.expose()].encode(to);
    }
}

/// Text that is not shown when it is printed.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(Self)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// What a client presents to be accepted.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Connect {
    /// Who it says it is.
    pub credentials: Credentials,
    /// How often it will say that it is there.
    pub keep_alive: Duration,
    /// Whether it wrote its stream id in front of all else, as the embedded clients do. Those keep
    /// only the last stream id of a resource.
    pub id_first: bool,
}

/// Why a client is not accepted: the codes of the older published pages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Refusal {
    /// It is not who it says it is, or says so in another way than by three strings.
    Credentials,
    /// Its keep-alive interval is not 1 to 1800 s.
    KeepAlive,
    /// Its values are in no encoding that is known.
    Encoding,
}

impl Refusal {
    /// The code on the wire.
    pub const fn code(self) -> u8 {
        match self {
            Self::Credentials => 2,
            Self::KeepAlive => 3,
            Self::Encoding => 4,
        }
    }
}

impl Connect {
    /// What a first message presents. Only the wire tells which PSON a client speaks; its `pv` does
    /// not, so it is not looked at.
    pub(super) fn read(
        message: &Message<'_>,
        id_first: bool,
        keep_alive: Duration,
    ) -> Result<Self, Refusal> {
        let array = message.payload.and_then(|payload| payload.as_array());
        let credentials = array.and_then(Credentials::read).ok_or(Refusal::Credentials)?;
        let keep_alive = match message.parameters {
            // IOTMP-1 says 1 for an array of credentials.
            None | Some(Value::Null | Value::Unset | Value::Unsigned(0 | 1)) => keep_alive,
            Some(Value::Unsigned(_)) => return Err(Refusal::Credentials),
            Some(Value::Map(map)) => {
                if !matches!(map.get("at"), None | Some(Value::Unsigned(0))) {
                    return Err(Refusal::Credentials);
                }
                match map.get("ka") {
                    None => keep_alive,
                    Some(Value::Unsigned(secs @ 1..=KEEP_ALIVE_SECS_MAX)) => {
                        Duration::from_secs(secs)
                    }
                    Some(_) => return Err(Refusal::KeepAlive),
                }
            }
            Some(_) => return Err(Refusal::Encoding),
        };
        Ok(Self { credentials, keep_alive, id_first })
    }
}

/// The longest interval of keep-alives that a client may ask for.
pub(super) const KEEP_ALIVE_SECS_MAX: u64 = 1800;
