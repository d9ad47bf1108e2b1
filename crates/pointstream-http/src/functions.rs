//! What can be asked of a connector beyond its points: the seam of the routes for operators.

use std::sync::Arc;

use jiff::Timestamp;
use pointstream_point::{Fault, Id, Kind, Unit};
use serde::{Deserialize, Serialize, Serializer};

use crate::BoxFuture;

/// What a connector is to do.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum ConnAct {
    /// Ask the device for a sign of life, opening the session first.
    Ping,
    /// Open the session and let it linger.
    Open,
    /// Close the session. It opens again when there is a reason to.
    Close,
}

/// Why a connector did not do what was asked of it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnError {
    /// There is no such connector.
    #[error("there is no such connector")]
    UnknownConnector,
    /// There is no such point, or it belongs to no connector.
    #[error("there is no such point, or it has no connector")]
    UnknownPoint,
    /// The connector or the device failed.
    #[error("{0}")]
    Failed(Fault),
    /// Neither an answer nor a failure came in time.
    #[error("the device did not answer in time")]
    TimedOut,
}

/// A point that is to be added to a connector, as its device's tree shows it.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "the fields of a request")]
pub struct AddPoint {
    /// Its name.
    pub id: Id,
    /// Its name for people.
    pub dis: Option<String>,
    /// The kind of its values.
    pub kind: Kind,
    /// The unit of its numbers.
    pub unit: Option<Unit>,
    /// The address of the current value.
    pub cur: Option<String>,
    /// The address to write to.
    pub write: Option<String>,
    /// The address of the history that the device keeps.
    pub his: Option<String>,
}

/// Where points are added.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_enums, reason = "a point stands in one of the two")]
pub enum AddTo {
    /// The CSV file of the connector's points.
    PointFile,
    /// The configuration file itself.
    Config,
}

/// Why a configuration was not changed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// It does not come from a file that could be changed.
    #[error("the configuration does not come from a file")]
    NoFile,
    /// What is asked for is none.
    #[error("{0}")]
    Refused(String),
    /// The file system failed.
    #[error("{0}")]
    Failed(String),
}

/// The trace of one connector, as a reader sees it.
pub trait TraceFeed: Send + Sync + 'static {
    /// The entries from the number `seq` on.
    fn since(&self, seq: u64) -> TraceView;

    /// Waits until there is an entry of the number `seq`, or the trace is switched off or cleared.
    ///
    /// *Cancel safety*: cancel-safe, nothing is taken.
    fn changed(self: Arc<Self>, seq: u64) -> BoxFuture<'static, ()>;

    /// Switches the trace on or off.
    fn switch(&self, on: bool);

    /// Drops what is there.
    fn clear(&self);
}

/// What a reader of a trace has not seen yet.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct TraceView {
    /// Whether the trace is on.
    pub on: bool,
    /// The number to ask from next time.
    pub next: u64,
    /// How many entries went by unseen.
    pub missed: u64,
    /// The entries, oldest first.
    pub entries: Vec<TraceRow>,
}

impl TraceView {
    /// Nothing so far.
    pub const fn new(on: bool, next: u64, missed: u64, entries: Vec<TraceRow>) -> Self {
        Self { on, next, missed, entries }
    }
}

/// One entry of a trace.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct TraceRow {
    /// Its number.
    pub seq: u64,
    /// When.
    #[serde(serialize_with = "millis")]
    pub ts: Timestamp,
    /// What sort of thing it is: `phase`, `dispatch`, `poll`, `req`, `res`, `event`, `log`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What it is, for people.
    pub msg: String,
    /// The bytes on the wire in hexadecimal, if there are any.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hex: String,
    /// How many bytes there were, if more than are shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub len: Option<usize>,
}

impl TraceRow {
    /// An entry with the bytes that were kept of `len`.
    pub fn new(
        (seq, ts): (u64, Timestamp),
        kind: &'static str,
        msg: String,
        (bytes, len): (&[u8], usize),
    ) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = String::with_capacity(bytes.len() * 3);
        for (at, byte) in bytes.iter().enumerate() {
            if at > 0 {
                hex.push(' ');
            }
            hex.push(char::from(DIGITS[usize::from(byte >> 4)]));
            hex.push(char::from(DIGITS[usize::from(byte & 0xf)]));
        }
        Self { seq, ts, kind, msg, hex, len: (len > bytes.len()).then_some(len) }
    }
}

pub(crate) fn millis<S: Serializer>(ts: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{ts:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_shows_its_bytes_and_how_many_were_left_out() {
        let row = TraceRow::new((7, Timestamp::UNIX_EPOCH), "req", "read".into(), (&[0, 0xaf], 3));
        let json = r#"{"seq":7,"ts":"1970-01-01T00:00:00.000Z","type":"req","msg":"read","hex":"00 af","len":3}"#;
        assert_eq!(serde_json::to_string(&row).unwrap(), json);
        let row = TraceRow::new((7, Timestamp::UNIX_EPOCH), "log", "ok".into(), (&[], 0));
        assert!(!serde_json::to_string(&row).unwrap().contains("hex"));
    }
}
