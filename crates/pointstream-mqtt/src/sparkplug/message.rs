//! What both sides hand to their transport, and what they say about themselves.

use pointstream_time::Instant;

use super::topic::Topic;
use crate::packet::QoS;

/// The present, as both clocks have it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the two clocks")]
pub struct Now {
    /// For delays.
    pub at: Instant,
    /// For time stamps: milliseconds since 1970 UTC.
    pub millis: u64,
}

/// A message to be published.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Transmit {
    /// Its topic.
    pub topic: String,
    /// Its payload.
    pub payload: Vec<u8>,
    /// How it is delivered.
    pub qos: QoS,
    /// Whether the broker keeps it.
    pub retain: bool,
}

impl Transmit {
    /// A message of an edge node or to one, which is delivered at most once and never kept.
    pub(crate) fn of_edge(topic: &Topic, payload: Vec<u8>) -> Self {
        Self { topic: topic.to_string(), payload, qos: QoS::AtMostOnce, retain: false }
    }

    /// The state of a host, which is kept.
    pub(crate) fn of_state(topic: &Topic, state: State) -> Self {
        let payload = state.encode();
        Self { topic: topic.to_string(), payload, qos: QoS::AtLeastOnce, retain: true }
    }
}

/// Whether a host application is online.
///
/// Source: Sparkplug 3.0.0, 6.4.27 "STATE".
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Deserialize)]
#[non_exhaustive]
pub struct State {
    /// It is.
    pub online: bool,
    /// Since when, in milliseconds since 1970 UTC; the same in a birth and the will of its session.
    pub timestamp: u64,
}

impl State {
    /// Whether and since when.
    pub const fn new(online: bool, timestamp: u64) -> Self {
        Self { online, timestamp }
    }

    /// The payload.
    pub fn encode(self) -> Vec<u8> {
        let Self { online, timestamp } = self;
        format!(r#"{{"online":{online},"timestamp":{timestamp}}}"#).into_bytes()
    }

    /// Reads a payload; none where it is not one.
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let short = payload.len() <= STATE_LEN_MAX;
        short.then(|| serde_json::from_slice(payload).ok()).flatten()
    }
}

/// The longest state that is read.
const STATE_LEN_MAX: usize = 1024;

/// The metric by which a death is known to belong to a birth.
pub(crate) const BD_SEQ: &str = "bdSeq";

/// The metric by which an edge node is asked for its births.
pub(crate) const REBIRTH: &str = "Node Control/Rebirth";

/// The property that says how good a value is.
pub(crate) const QUALITY: &str = "Quality";

/// How good a value is.
///
/// Source: Sparkplug 3.0.0, 6.4.15 "Quality Codes".
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the standard has these three")]
pub enum Quality {
    /// It is as it is shown.
    #[default]
    Good,
    /// It was so once.
    Stale,
    /// It is not known.
    Bad,
}

impl Quality {
    /// Its code.
    pub const fn code(self) -> i32 {
        match self {
            Self::Bad => 0,
            Self::Good => 192,
            Self::Stale => 500,
        }
    }

    /// What a code says; codes that other systems made up are as bad as they are not good.
    pub const fn of_code(code: i64) -> Self {
        match code {
            192..=255 => Self::Good,
            500 => Self::Stale,
            _ => Self::Bad,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read_as_they_are_written() {
        for state in [State::new(true, 1_700_000_000_000), State::new(false, 0)] {
            assert_eq!(State::decode(&state.encode()), Some(state));
        }
        // As pysparkplug 0.6.1 writes it.
        let other = br#"{"timestamp": 1700000000000, "online": true}"#;
        assert_eq!(State::decode(other), Some(State::new(true, 1_700_000_000_000)));
        for text in ["ONLINE", "", "{}", r#"{"online":1,"timestamp":2}"#, r#"{"online":true}"#] {
            assert_eq!(State::decode(text.as_bytes()), None, "{text}");
        }
        let long = format!(r#"{{"online":true,"timestamp":1,"x":"{}"}}"#, "x".repeat(1024));
        assert_eq!(State::decode(long.as_bytes()), None);
    }
}
