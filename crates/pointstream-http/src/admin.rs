use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use jiff::Timestamp;
use pointstream_point::{
    Effective, EnumDef, Fault, Id, Kind, LearnPath, Learned, Level, LevelWrite, PriorityRow,
    RangeError, Span, Status, Tags, Unit, Value,
};
use serde::{Serialize, Serializer};

use crate::functions::{AddPoint, AddTo, ChangeError, ConnAct, ConnError, TraceFeed};
use crate::his::{HisAnswer, HisQuery, HisReadError};
use crate::observe::ObserveFeed;

/// What the routes for points and connectors ask for: the seam between HTTP and whoever owns them.
///
/// The views are copies made for one answer. Calls other than [`write`](Self::write) must not wait.
pub trait Admin: Send + Sync + 'static {
    /// A page of the points, by id.
    ///
    /// # Errors
    ///
    /// A filter that cannot be read; answered with 400.
    fn points(&self, query: &PointsQuery) -> Result<PointsPage, QueryError>;

    /// One point.
    fn point(&self, id: &str) -> Option<PointView>;

    /// Writes one level of a point's priority array and waits for the outcome.
    ///
    /// *Cancel safety*: a client that goes away drops the future; the write may happen or not.
    fn write<'a>(
        &'a self,
        id: &'a str,
        write: LevelWrite,
    ) -> BoxFuture<'a, Result<WriteOutcome, WriteError>>;

    /// The priority array of a point that can be written.
    fn levels(&self, id: &str) -> Option<LevelsView>;

    /// The connectors, in the order in which they are shown.
    fn connectors(&self) -> Vec<ConnectorView>;

    /// What is at a place of a connector's tree, or at its root.
    ///
    /// *Cancel safety*: a client that goes away drops the future; the device is asked all the same.
    fn learn<'a>(
        &'a self,
        connector: &'a str,
        at: Option<LearnPath>,
    ) -> BoxFuture<'a, Result<Learned, ConnError>> {
        let _ = (connector, at);
        Box::pin(async { Err(ConnError::Failed(Fault::unsupported("learning"))) })
    }

    /// What a connector knows about itself, a fact a line. Answers also while its device hangs.
    fn details(&self, connector: &str) -> Option<String> {
        let _ = connector;
        None
    }

    /// What is known about a point, a fact a line.
    fn point_details(&self, point: &str) -> Option<String> {
        let _ = point;
        None
    }

    /// The trace of a connector.
    fn trace(&self, connector: &str) -> Option<Arc<dyn TraceFeed>> {
        let _ = connector;
        None
    }

    /// Observes what a connector's device sends beside its points: for MQTT, the topics of a filter.
    ///
    /// *Cancel safety*: a client that goes away drops the future, and nothing is observed.
    fn observe<'a>(
        &'a self,
        connector: &'a str,
        filter: &'a str,
        qos: Option<u8>,
    ) -> BoxFuture<'a, Result<Arc<dyn ObserveFeed>, ConnError>> {
        let _ = (connector, filter, qos);
        Box::pin(async { Err(ConnError::Failed(Fault::unsupported("observing"))) })
    }

    /// The ids of the points of a connector.
    fn points_of(&self, connector: &str) -> Option<Vec<Id>> {
        let _ = connector;
        None
    }

    /// Has a connector do something; what comes of it is shown by its state and status.
    fn act<'a>(&'a self, connector: &'a str, act: ConnAct) -> BoxFuture<'a, Result<(), ConnError>> {
        let _ = (connector, act);
        Box::pin(async { Err(ConnError::UnknownConnector) })
    }

    /// Reads the current value of a point, out of turn, and waits for it.
    ///
    /// *Cancel safety*: a client that goes away drops the future; the point is read all the same.
    fn sync_cur<'a>(&'a self, point: &'a str) -> BoxFuture<'a, Result<(), ConnError>> {
        let _ = point;
        Box::pin(async { Err(ConnError::UnknownPoint) })
    }

    /// Past values of a point.
    fn his_read<'a>(
        &'a self,
        point: &'a str,
        query: HisQuery,
    ) -> BoxFuture<'a, Result<HisAnswer, HisReadError>> {
        let _ = (point, query);
        Box::pin(async { Err(HisReadError::NoStore) })
    }

    /// Fetches what devices keep of the history of a point, in a span or since the last item that is
    /// there. Gives how many items the device gave.
    fn sync_his<'a>(
        &'a self,
        point: &'a str,
        span: Option<Span>,
    ) -> BoxFuture<'a, Result<usize, ConnError>> {
        let _ = (point, span);
        Box::pin(async { Err(ConnError::UnknownPoint) })
    }

    /// The points of which a device keeps a history, of one connector or of all. None if there is no
    /// such connector.
    fn his_points(&self, connector: Option<&str>) -> Option<Vec<Id>> {
        connector.is_none().then(Vec::new)
    }

    /// As [`sync_his`](Self::sync_his) for many points, connectors side by side; `tell` hears of each
    /// point once, as it is done.
    ///
    /// *Cancel safety*: dropping it ends it; what has been fetched stays.
    fn sync_many(
        &self,
        points: Vec<Id>,
        span: Option<Span>,
        tell: SyncTell,
    ) -> BoxFuture<'static, ()> {
        let _ = span;
        Box::pin(async move {
            points.into_iter().for_each(|point| tell(point, Err(ConnError::UnknownPoint)));
        })
    }

    /// Adds points to a connector for good: in the file that is named, else in the connector's CSV
    /// point file if it has one, else in the configuration file. Gives which it was.
    fn add_points<'a>(
        &'a self,
        connector: &'a str,
        points: Vec<AddPoint>,
        to: Option<AddTo>,
    ) -> BoxFuture<'a, Result<AddTo, ChangeError>> {
        let _ = (connector, points, to);
        Box::pin(async { Err(ChangeError::NoFile) })
    }

    /// Brings back a connector's CSV point file before its last change that was made here.
    fn restore_points<'a>(&'a self, connector: &'a str) -> BoxFuture<'a, Result<(), ChangeError>> {
        let _ = connector;
        Box::pin(async { Err(ChangeError::NoFile) })
    }

    /// Brings back the configuration file before its last change that was made here.
    fn restore_config(&self) -> BoxFuture<'_, Result<(), ChangeError>> {
        Box::pin(async { Err(ChangeError::NoFile) })
    }

    /// Appends metrics in the text format of Prometheus, each line ended.
    fn metrics(&self, out: &mut String);
}

/// A server of topics alone: it has no points and no connectors.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "it has nothing and never will")]
pub struct TopicsOnly;

impl Admin for TopicsOnly {
    fn points(&self, _: &PointsQuery) -> Result<PointsPage, QueryError> {
        Ok(PointsPage::default())
    }

    fn point(&self, _: &str) -> Option<PointView> {
        None
    }

    fn write<'a>(
        &'a self,
        _: &'a str,
        _: LevelWrite,
    ) -> BoxFuture<'a, Result<WriteOutcome, WriteError>> {
        Box::pin(std::future::ready(Err(WriteError::UnknownPoint)))
    }

    fn levels(&self, _: &str) -> Option<LevelsView> {
        None
    }

    fn connectors(&self) -> Vec<ConnectorView> {
        Vec::new()
    }

    fn metrics(&self, _: &mut String) {}
}

/// A future behind a pointer, for a trait that is used as an object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Who hears what the synchronisation of a point's history came to: how many items the device gave.
pub type SyncTell = Arc<dyn Fn(Id, Result<usize, ConnError>) + Send + Sync>;

/// Which points are asked for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PointsQuery {
    /// The filter's text as the client sent it.
    pub filter: Option<String>,
    /// Only points whose id comes after this one.
    pub after: Option<String>,
    /// At most this many.
    pub limit: usize,
}

impl PointsQuery {
    /// The first `limit` points.
    pub const fn first(limit: usize) -> Self {
        Self { filter: None, after: None, limit }
    }
}

/// Some points, by id.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct PointsPage {
    /// The points.
    pub points: Vec<PointView>,
    /// Whether there are more after the last one.
    pub more: bool,
}

impl PointsPage {
    /// A page, with or without another one after it.
    pub const fn new(points: Vec<PointView>, more: bool) -> Self {
        Self { points, more }
    }
}

/// A point as clients see it. What it does not have is left out of the JSON.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PointView {
    /// The point's name.
    pub id: Id,
    /// The name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dis: Option<String>,
    /// The kind of its values.
    pub kind: Kind,
    /// The unit of its numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
    /// The last value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cur_val: Option<Value>,
    /// What that value is worth.
    pub cur_status: Status,
    /// Why there is none, or why it is bad.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cur_err: Option<String>,
    /// When the value came.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "timestamp")]
    pub cur_ts: Option<Timestamp>,
    /// When its source took the value, if the other side says so.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "exact")]
    pub source_ts: Option<Timestamp>,
    /// When the server learned of it, if the other side says so.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "exact")]
    pub server_ts: Option<Timestamp>,
    /// Whether it can be written.
    pub writable: bool,
    /// The least number that may be written.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "number")]
    pub min: Option<f64>,
    /// The greatest number that may be written.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "number")]
    pub max: Option<f64>,
    /// The step between numbers that may be written.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "number")]
    pub step: Option<f64>,
    /// What is in effect for writing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_val: Option<Value>,
    /// The level of the priority array at which that stands, 1 to 17.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_level: Option<Level>,
    /// What became of it at the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_status: Option<Status>,
    /// Why it was not written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_err: Option<String>,
    /// What the synchronisation of its history came to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub his_status: Option<Status>,
    /// The connector that reads and writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connector: Option<Id>,
    /// Everything else that is known about it.
    #[serde(skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
}

impl PointView {
    /// A point of which nothing else is known.
    pub const fn new(id: Id, kind: Kind) -> Self {
        Self {
            id,
            dis: None,
            kind,
            unit: None,
            cur_val: None,
            cur_status: Status::Unknown,
            cur_err: None,
            cur_ts: None,
            source_ts: None,
            server_ts: None,
            writable: false,
            min: None,
            max: None,
            step: None,
            write_val: None,
            write_level: None,
            write_status: None,
            write_err: None,
            his_status: None,
            connector: None,
            tags: Tags::new(),
        }
    }
}

/// A connector as clients see it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ConnectorView {
    /// The connector's name.
    pub id: Id,
    /// The name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dis: Option<String>,
    /// The driver's name.
    pub kind: String,
    /// Where it stands between closed and open.
    pub conn_state: String,
    /// Whether it works.
    pub conn_status: Status,
    /// Why it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conn_err: Option<String>,
    /// When `conn_status` became what it is.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "timestamp")]
    pub conn_ts: Option<Timestamp>,
    /// How many points it has.
    pub points: usize,
}

impl ConnectorView {
    /// A connector of which nothing else is known.
    pub const fn new(id: Id, kind: String, conn_state: String) -> Self {
        Self {
            id,
            dis: None,
            kind,
            conn_state,
            conn_status: Status::Unknown,
            conn_err: None,
            conn_ts: None,
            points: 0,
        }
    }
}

/// A filter that cannot be read, in words for whoever wrote it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{detail}")]
#[non_exhaustive]
pub struct QueryError {
    /// What is wrong, and where.
    pub detail: String,
}

impl QueryError {
    /// An error told by `detail`.
    pub fn new(detail: impl fmt::Display) -> Self {
        Self { detail: detail.to_string() }
    }
}

/// The priority array of a point as clients see it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct LevelsView {
    /// What is in effect; null if no level has a value.
    pub write_val: Value,
    /// The level at which that stands, 1 to 17.
    pub write_level: Level,
    /// What became of it at the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_status: Option<Status>,
    /// Why it was not written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_err: Option<String>,
    /// The seventeen levels, the strongest first.
    pub levels: Vec<LevelView>,
}

impl LevelsView {
    /// An array with what is in effect.
    pub fn new(effective: Effective, levels: Vec<LevelView>) -> Self {
        let Effective { val, level, .. } = effective;
        Self { write_val: val, write_level: level, write_status: None, write_err: None, levels }
    }
}

/// One level of a priority array.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct LevelView {
    /// The level, 1 to 17.
    pub level: Level,
    /// Its name: `8 (manual)`, `def`.
    pub level_dis: String,
    /// What stands there; null if it is released.
    pub val: Value,
    /// The value for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub val_dis: String,
    /// Who wrote it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// After how many seconds it is released.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<f64>,
}

impl LevelView {
    /// A row of a priority array, its booleans by the names of the point's enum definition.
    pub fn of(row: &PriorityRow<'_>, def: Option<&EnumDef>) -> Self {
        Self {
            level: row.level,
            level_dis: row.level.to_string(),
            val: row.val.clone(),
            val_dis: row.val_dis(def),
            who: row.who.map(str::to_owned),
            expires: row.expires.map(|time| time.as_secs_f64()),
        }
    }
}

/// A write that was accepted.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct WriteOutcome {
    /// The value that stands at the level, with the point's unit.
    pub val: Value,
    /// The level.
    pub level: Level,
    /// What is in effect now: this value, or that of a stronger level.
    pub effective: Effective,
    /// Whether it waits for the least time between two writes of the device.
    pub waits: bool,
}

impl WriteOutcome {
    /// The outcome of writing `val` to a level: the device has what is in effect.
    pub const fn new(val: Value, level: Level, effective: Effective) -> Self {
        Self { val, level, effective, waits: false }
    }

    /// This outcome, of a value that waits.
    #[must_use]
    pub const fn waiting(mut self) -> Self {
        self.waits = true;
        self
    }
}

/// Why a value was not written.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// There is no such point.
    #[error("there is no such point")]
    UnknownPoint,
    /// The point does not take such a value.
    #[error(transparent)]
    Range(#[from] RangeError),
    /// Nobody is named who writes, or the like.
    #[error("{0}")]
    Level(String),
    /// The value is in effect, but it could not be kept for the next start.
    #[error("{0}")]
    NotKept(String),
    /// The connector or the device failed.
    #[error("{0}")]
    Failed(Fault),
    /// Neither an answer nor a failure came in time.
    #[error("the device did not answer in time")]
    TimedOut,
}

fn timestamp<S: Serializer>(ts: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match ts {
        Some(ts) => serializer.collect_str(&format_args!("{ts:.3}")),
        None => serializer.serialize_none(),
    }
}

/// With all of its digits.
fn exact<S: Serializer>(ts: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match ts {
        Some(ts) => serializer.collect_str(ts),
        None => serializer.serialize_none(),
    }
}

/// Integers without a fraction, as values are written.
fn number<S: Serializer>(number: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    number.map(Value::number).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use pointstream_point::Tag;

    use super::*;

    #[test]
    fn a_point_has_its_fields_in_the_documented_order() {
        let mut point = PointView::new("ahu.tempSetpoint".parse().unwrap(), Kind::Number);
        let bare =
            r#"{"id":"ahu.tempSetpoint","kind":"Number","curStatus":"unknown","writable":false}"#;
        assert_eq!(serde_json::to_string(&point).unwrap(), bare);
        point.dis = Some("Setpoint".into());
        point.unit = Unit::parse("°C").ok();
        point.cur_val = Some(Value::number(21.5));
        point.cur_status = Status::Ok;
        point.cur_err = Some("-".into());
        point.cur_ts = Timestamp::from_second(1).ok();
        point.writable = true;
        (point.min, point.max, point.step) = (Some(15.0), Some(30.0), Some(0.1));
        point.connector = "ahu".parse().ok();
        point.tags.set("sp", Tag::Marker);
        let full = concat!(
            r#"{"id":"ahu.tempSetpoint","dis":"Setpoint","kind":"Number","unit":"°C","curVal":21.5,"#,
            r#""curStatus":"ok","curErr":"-","curTs":"1970-01-01T00:00:01.000Z","writable":true,"#,
            r#""min":15,"max":30,"step":0.1,"connector":"ahu","tags":{"sp":{"_kind":"marker"}}}"#
        );
        assert_eq!(serde_json::to_string(&point).unwrap(), full);
    }

    #[test]
    fn a_connector_has_its_fields_in_the_documented_order() {
        let mut view = ConnectorView::new("ahu".parse().unwrap(), "modbus".into(), "open".into());
        view.conn_status = Status::Ok;
        view.points = 24;
        let json =
            r#"{"id":"ahu","kind":"modbus","connState":"open","connStatus":"ok","points":24}"#;
        assert_eq!(serde_json::to_string(&view).unwrap(), json);
    }
}
