use core::fmt;
use core::time::Duration;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use pointstream_net::{ClientTls, TlsError};
use pointstream_point::duration;
use serde::{Deserialize, Deserializer, de};

use crate::frame::PACKET_LEN_MAX;
use crate::io::{Broker, Uri};
use crate::session::{self, LastWill};
use crate::topic::{check_filter, check_name};
use crate::{QoS, Version};

/// What a connector of kind `mqtt` is told.
///
/// In a configuration, durations are texts such as `"500ms"`, `"1s"` or `"5min"`. Connectors of one
/// registry whose options are the same, but for `qos` and `availability`, share one session.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// Where the broker is: `mqtt://`, `mqtts://`, `ws://` or `wss://`.
    #[serde(deserialize_with = "uri")]
    pub uri: Uri,
    /// The version to speak: `"3.1.1"`, which is the default, or `"5"`. Haxall's `v3_1_1` and `v5` do
    /// as well.
    #[serde(default, deserialize_with = "version")]
    pub version: Version,
    /// The name of the session. Without one, a name is made up at each start, and the broker keeps
    /// nothing from one start to the next.
    #[serde(default)]
    pub client_id: Option<Box<str>>,
    /// Whether the broker keeps nothing from one connection to the next. Default false where there is
    /// a `client_id`, else true.
    #[serde(default)]
    pub clean_session: Option<bool>,
    /// How long the broker is to keep the session without a connection; MQTT 5 only. Default 1 h.
    #[serde(default = "hour", deserialize_with = "duration::deserialize")]
    pub session_expiry: Duration,
    /// How long the line may be silent before it is tried; zero for ever. Default 60 s.
    #[serde(default = "minute", deserialize_with = "duration::deserialize")]
    pub keep_alive: Duration,
    /// How long connecting may take, TLS and the broker's verdict included. Default 10 s.
    #[serde(default = "ten_secs", deserialize_with = "positive")]
    pub connect_timeout: Duration,
    /// How long a written value may take to be acknowledged, and to be confirmed. Default 5 s.
    #[serde(default = "five_secs", deserialize_with = "positive")]
    pub response_timeout: Duration,
    /// Who the client is.
    #[serde(default)]
    pub username: Option<Box<str>>,
    /// What proves it, and the files of keys and certificates.
    #[serde(flatten)]
    pub files: Files,
    /// What the broker publishes when the gateway is lost.
    #[serde(default)]
    pub will: Option<WillConfig>,
    /// Headers of the request that opens a WebSocket connection.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The longest packet that is read, in bytes. Default 1 MiB.
    #[serde(default = "packet_len_max")]
    pub packet_max: usize,
    /// How long what is written or published is worth delivering, from when the broker has it, where an
    /// address says nothing else; MQTT 5 only. Without it, for ever.
    #[serde(default, deserialize_with = "some_positive")]
    pub message_expiry: Option<Duration>,
    /// How many topics have a number towards the broker in place of their name, if it does not want
    /// fewer; MQTT 5 only. Default 0.
    #[serde(default)]
    pub topic_aliases: u16,
    /// Whether subscriptions have identifiers, by which a message that several of them match comes
    /// once; MQTT 5 only. Default true.
    #[serde(default = "yes")]
    pub subscription_ids: bool,
    /// The quality of service of subscriptions and writes, where an address says nothing else.
    /// Default 1.
    #[serde(default = "one", deserialize_with = "qos")]
    pub qos: QoS,
    /// Where the device itself says whether it is there, such as by its last will.
    #[serde(default)]
    pub availability: Option<Availability>,
}

/// What a client proves itself with. Paths are relative to the working folder of the program.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[non_exhaustive]
pub struct Files {
    /// The password.
    #[serde(default)]
    pub password: Option<Password>,
    /// A file that has the password, but for line ends behind it.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// The authorities that the broker's certificate is checked by (PEM). By default those that
    /// browsers trust.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The client's certificate chain (PEM).
    #[serde(default)]
    pub cert_file: Option<PathBuf>,
    /// The key of that certificate (PEM, unencrypted).
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// The name that the broker's certificate must stand for, where it is not the host.
    #[serde(default)]
    pub server_name: Option<String>,
    /// The application protocols to offer (ALPN).
    #[serde(default)]
    pub alpn: Vec<String>,
}

/// A password, which is not shown.
#[derive(Clone, Deserialize, Eq, PartialEq)]
#[serde(transparent)]
pub struct Password(Box<str>);

/// What the broker publishes when a client is lost.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct WillConfig {
    /// Where.
    pub topic: Box<str>,
    /// What it says.
    pub payload: Box<str>,
    /// How. Default 1.
    #[serde(default = "one", deserialize_with = "qos")]
    pub qos: QoS,
    /// Whether it stays. Default true.
    #[serde(default = "yes")]
    pub retain: bool,
}

/// Where a device says whether it is there.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Availability {
    /// The topic.
    pub topic: Box<str>,
    /// A pointer to what it says, where the payload is JSON.
    #[serde(default)]
    pub value: Option<Box<str>>,
    /// What it says when it is there. Default `online`.
    #[serde(default = "online")]
    pub up: Box<str>,
    /// What it, or its last will, says when it is gone. Default `offline`.
    #[serde(default = "offline")]
    pub down: Box<str>,
}

/// Why a configuration that was read cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The certificates or the key are none.
    #[error("{0}")]
    Tls(#[from] TlsError),
    /// A certificate needs its key.
    #[error("cert_file and key_file go together")]
    Identity,
    /// There are two passwords.
    #[error("password and password_file exclude each other")]
    Password,
    /// A password without a user.
    #[error("MQTT 3.1.1 has no password without a username")]
    Username,
    /// An option is one of MQTT 5.
    #[error("{0} needs version = \"5\"")]
    Version(&'static str),
    /// A session that lasts has no name.
    #[error("a session that lasts needs a client_id")]
    ClientId,
    /// A topic is none.
    #[error("{what}: {error}")]
    Topic {
        /// Whose topic.
        what: &'static str,
        /// Why.
        error: crate::topic::TopicError,
    },
    /// There is something for TLS without TLS.
    #[error("ca_file, cert_file, key_file, server_name and alpn are for mqtts and wss")]
    Plain,
}

impl Config {
    /// A broker at `uri`, all else by default.
    pub fn new(uri: Uri) -> Self {
        Self {
            uri,
            version: Version::default(),
            client_id: None,
            clean_session: None,
            session_expiry: hour(),
            keep_alive: minute(),
            connect_timeout: ten_secs(),
            response_timeout: five_secs(),
            username: None,
            files: Files::default(),
            will: None,
            headers: BTreeMap::new(),
            packet_max: packet_len_max(),
            message_expiry: None,
            topic_aliases: 0,
            subscription_ids: true,
            qos: one(),
            availability: None,
        }
    }

    /// This configuration with another version.
    #[must_use]
    pub const fn with_version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// This configuration with a name of the session.
    #[must_use]
    pub fn with_client_id(mut self, client_id: &str) -> Self {
        self.client_id = Some(client_id.into());
        self
    }

    /// What has to be the same for two connectors to share a session.
    pub(crate) fn shared_part(&self) -> Self {
        Self {
            qos: one(),
            availability: None,
            response_timeout: five_secs(),
            message_expiry: None,
            ..self.clone()
        }
    }

    /// The broker that is meant, with its files read, for a session without a past; `fallback` names it
    /// where the configuration does not.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or options contradict one another.
    pub fn clean_broker(&self, fallback: &str) -> Result<Broker, pointstream_point::Fault> {
        let clean = Self { clean_session: Some(true), ..self.clone() };
        clean.broker(fallback).map_err(pointstream_point::Fault::permanent)
    }

    /// The broker, with its files read; `fallback` names the session where the configuration does not.
    ///
    /// # Errors
    ///
    /// What contradicts itself, or is wrong with a file.
    pub fn broker(&self, fallback: &str) -> Result<Broker, ConfigError> {
        let clean = self.clean_session.unwrap_or_else(|| self.client_id.is_none());
        if !clean && self.client_id.is_none() {
            return Err(ConfigError::ClientId);
        }
        let name = self.client_id.as_deref().unwrap_or(fallback);
        let mut config = session::Config::new(self.version, name);
        config.keep_alive = self.keep_alive;
        config.connect_timeout = self.connect_timeout;
        config.packet_len_max = self.packet_max.max(PACKET_MIN);
        if !clean {
            config = config.with_session(self.session_expiry);
        } else if self.version == Version::V5 {
            // What a new start discards can still bridge the gap between two connections.
            config.session_expiry = self.session_expiry.min(CLEAN_EXPIRY_MAX);
        }
        let is_v5 = self.version == Version::V5;
        if !is_v5 && self.message_expiry.is_some() {
            return Err(ConfigError::Version("message_expiry"));
        }
        if !is_v5 && self.topic_aliases > 0 {
            return Err(ConfigError::Version("topic_aliases"));
        }
        config.topic_alias_used_max = self.topic_aliases;
        config.subscription_ids = self.subscription_ids;
        let password = self.files.password()?;
        if self.version == Version::V3_1_1 && password.is_some() && self.username.is_none() {
            return Err(ConfigError::Username);
        }
        config.username.clone_from(&self.username);
        config.password = password.map(|text| session::Secret::new(text.as_bytes()));
        if let Some(will) = &self.will {
            check("the will's topic", check_name(&will.topic))?;
            let last = LastWill::new(&will.topic, will.payload.as_bytes());
            config.will = Some(last.with(will.qos, will.retain));
        }
        if let Some(availability) = &self.availability {
            check("the topic of availability", check_filter(&availability.topic))?;
        }
        let mut broker = Broker::new(self.uri.clone(), config);
        broker.headers = self.headers.clone().into_iter().collect();
        broker.tls = self.files.tls(self.uri.is_secure())?;
        Ok(broker)
    }
}

impl Files {
    fn password(&self) -> Result<Option<Box<str>>, ConfigError> {
        match (&self.password, &self.password_file) {
            (Some(_), Some(_)) => Err(ConfigError::Password),
            (Some(password), None) => Ok(Some(password.0.clone())),
            (None, None) => Ok(None),
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path);
                let text = text.map_err(|error| ConfigError::File { path: path.clone(), error })?;
                Ok(Some(text.trim_end_matches(['\r', '\n']).into()))
            }
        }
    }

    fn tls(&self, is_secure: bool) -> Result<Option<ClientTls>, ConfigError> {
        let Self { ca_file, cert_file, key_file, server_name, alpn, .. } = self;
        let given = ca_file.is_some() || cert_file.is_some() || key_file.is_some();
        if !is_secure {
            let nothing = !given && server_name.is_none() && alpn.is_empty();
            return if nothing { Ok(None) } else { Err(ConfigError::Plain) };
        }
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|error| ConfigError::File { path: path.clone(), error })
        };
        let mut builder = ClientTls::builder().alpn(alpn);
        if let Some(path) = ca_file {
            builder = builder.ca_pem(&read(path)?);
        }
        match (cert_file, key_file) {
            (Some(cert), Some(key)) => builder = builder.identity_pem(&read(cert)?, &read(key)?),
            (None, None) => {}
            _ => return Err(ConfigError::Identity),
        }
        if let Some(name) = server_name {
            builder = builder.server_name(name);
        }
        Ok(Some(builder.build()?))
    }
}

/// The least that the longest packet can be: a topic must fit.
const PACKET_MIN: usize = 1024;

/// How long a session that no start resumes outlives its connections.
const CLEAN_EXPIRY_MAX: Duration = Duration::from_secs(300);

fn check(
    what: &'static str,
    result: Result<(), crate::topic::TopicError>,
) -> Result<(), ConfigError> {
    result.map_err(|error| ConfigError::Topic { what, error })
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

const fn one() -> QoS {
    QoS::AtLeastOnce
}

const fn yes() -> bool {
    true
}

const fn hour() -> Duration {
    Duration::from_secs(3600)
}

const fn minute() -> Duration {
    Duration::from_secs(60)
}

const fn ten_secs() -> Duration {
    Duration::from_secs(10)
}

const fn five_secs() -> Duration {
    Duration::from_secs(5)
}

const fn packet_len_max() -> usize {
    PACKET_LEN_MAX
}

fn online() -> Box<str> {
    "online".into()
}

fn offline() -> Box<str> {
    "offline".into()
}

fn uri<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uri, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|error| de::Error::custom(format_args!("{error} (in {text:?})")))
}

fn version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Version, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "3.1.1" | "v3.1.1" | "v3_1_1" => Ok(Version::V3_1_1),
        "5" | "5.0" | "v5" => Ok(Version::V5),
        other => {
            let text = format_args!("version is \"3.1.1\" or \"5\", not {other:?}");
            Err(de::Error::custom(text))
        }
    }
}

fn qos<'de, D: Deserializer<'de>>(deserializer: D) -> Result<QoS, D::Error> {
    let number = u8::deserialize(deserializer)?;
    let error = || de::Error::custom(format_args!("qos is 0, 1 or 2, not {number}"));
    QoS::from_number(number).ok_or_else(error)
}

fn positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    match duration::deserialize(deserializer)? {
        Duration::ZERO => Err(de::Error::custom("expected a duration greater than 0")),
        duration => Ok(duration),
    }
}

fn some_positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    positive(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    fn broker(text: &str) -> Result<Broker, String> {
        let text = format!("uri = 'mqtt://b'\n{text}");
        read(&text)?.broker("made-up").map_err(|error| error.to_string())
    }

    #[test]
    fn a_uri_is_enough() {
        let config = read("uri = 'mqtt://broker'").unwrap();
        assert_eq!(config, Config::new("mqtt://broker".parse().unwrap()));
        let broker = config.broker("made-up").unwrap();
        assert_eq!(&*broker.session.client_id, "made-up");
        assert!(broker.session.clean_start && !broker.session.is_persistent());
    }

    #[test]
    fn a_name_makes_the_session_last() {
        let session = broker("client_id = 'gw'").unwrap().session;
        assert!(session.is_persistent() && !session.clean_start);
        let session = broker("client_id = 'gw'\nclean_session = true").unwrap().session;
        assert!(!session.is_persistent());
        let session =
            broker("client_id = 'gw'\nversion = 'v5'\nsession_expiry = '2hr'").unwrap().session;
        assert_eq!(
            (session.version, session.session_expiry),
            (Version::V5, Duration::from_secs(7200))
        );
        // Without a name, MQTT 5 still bridges the gap between two connections.
        let session = broker("version = '5'").unwrap().session;
        assert_eq!((session.clean_start, session.session_expiry), (true, Duration::from_secs(300)));
    }

    #[test]
    fn everything_can_be_told_and_no_secret_is_shown() {
        let config = read(
            "uri = 'wss://broker:8084/mqtt'\nversion = '5'\nclient_id = 'gw'\nclean_session = false\n\
             session_expiry = '1hr'\nkeep_alive = '30s'\nconnect_timeout = '3s'\n\
             response_timeout = '2s'\nusername = 'u'\npassword = 'hidden'\nalpn = ['mqtt']\n\
             server_name = 'x'\npacket_max = 4096\nqos = 2\nmessage_expiry = '30s'\n\
             topic_aliases = 8\nsubscription_ids = false\nheaders = { X = 'y' }\n\
             will = { topic = 'gw/status', payload = 'offline' }\n\
             availability = { topic = 'plc/status', down = 'gone' }",
        )
        .unwrap();
        assert!(!format!("{config:?}").contains("hidden"));
        let broker = config.broker("").unwrap();
        assert!(!format!("{broker:?}").contains("hidden") && broker.tls.is_some());
        assert_eq!(broker.session.password.as_ref().unwrap().reveal(), b"hidden");
        assert!(broker.session.will.as_ref().unwrap().retain);
        assert_eq!(config.message_expiry, Some(Duration::from_secs(30)));
        assert_eq!(broker.session.topic_alias_used_max, 8);
        assert!(!broker.session.subscription_ids);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, message) in [
            ("qos = 3", "qos is 0, 1 or 2, not 3"),
            ("version = '4'", "version is \"3.1.1\" or \"5\", not \"4\""),
            ("clean_session = false", "a session that lasts needs a client_id"),
            ("password = 'x'", "MQTT 3.1.1 has no password without a username"),
            (
                "will = { topic = 'a/#', payload = '' }",
                "the will's topic: a topic to publish to has no wildcards",
            ),
            (
                "ca_file = 'x'",
                "ca_file, cert_file, key_file, server_name and alpn are for mqtts and wss",
            ),
            ("message_expiry = '1min'", "message_expiry needs version = \"5\""),
            ("message_expiry = '0s'", "expected a duration greater than 0"),
            ("topic_aliases = 1", "topic_aliases needs version = \"5\""),
            ("connect_timeout = '0s'", "expected a duration greater than 0"),
        ] {
            assert_eq!(broker(text).unwrap_err(), message, "{text}");
        }
        let secure = read("uri = 'mqtts://b'\ncert_file = 'x'").unwrap();
        assert!(secure.broker("").unwrap_err().to_string().starts_with("cert_file and key_file"));
        let unknown = read("uri = 'mqtt://b'\nunknown = 1").unwrap_err();
        assert!(unknown.contains("unknown"), "{unknown}");
        let scheme = read("uri = 'tcp://b'").unwrap_err();
        assert!(scheme.ends_with("(in \"tcp://b\")"), "{scheme}");
    }
}
