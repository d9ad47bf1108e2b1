use core::str::FromStr;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use pointstream_conn::{Binding, Readings};
use pointstream_point::{DateTime, Fault, Kind, PointKey, Status, Times, Value};

use crate::address::unescape;
use crate::sparkplug::{
    DataType, Event, NodeId, Quality, Reading, Source, TopicError, Value as Metric,
};

/// Where a metric is: `group/node?metric`, or `group/node/device?metric`.
///
/// The name of the metric is what stands behind the first question mark, as it is. Before it, `%3F`
/// stands for a question mark and `%25` for a percent sign.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct MetricAddress {
    /// The node or device.
    pub source: Source,
    /// The name of the metric.
    pub metric: Arc<str>,
}

/// Why a text is no address of a metric.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MetricAddressError {
    /// There is no question mark, or nothing behind it.
    #[error("expected group/node?metric or group/node/device?metric")]
    Form,
    /// An id is none.
    #[error("{0}")]
    Id(#[from] TopicError),
    /// A percent sign is not followed by two hexadecimal digits.
    #[error("% is written %25")]
    Percent,
}

impl FromStr for MetricAddress {
    type Err = MetricAddressError;

    fn from_str(text: &str) -> Result<Self, MetricAddressError> {
        let (source, metric) = text.split_once('?').ok_or(MetricAddressError::Form)?;
        let mut ids = Vec::new();
        for id in source.split('/') {
            ids.push(unescape(id).map_err(|_| MetricAddressError::Percent)?);
        }
        let source = match &*ids {
            [group, node] => NodeId::new(group, node)?.source(),
            [group, node, device] => NodeId::new(group, node)?.device(device)?,
            _ => return Err(MetricAddressError::Form),
        };
        if metric.is_empty() {
            return Err(MetricAddressError::Form);
        }
        Ok(Self { source, metric: metric.into() })
    }
}

/// The address as text; the ids with what would be read otherwise escaped.
pub(super) fn address_of(source: &Source, metric: &str) -> String {
    format!("{}?{metric}", path_of(source))
}

/// The first part of an address.
pub(super) fn path_of(source: &Source) -> String {
    source.to_string().replace('%', "%25").replace('?', "%3F")
}

/// The points of a connector, by key and by metric.
#[derive(Debug, Default)]
pub(super) struct Points {
    by_key: BTreeMap<PointKey, Point>,
    by_source: BTreeMap<Source, BTreeMap<Arc<str>, BTreeSet<PointKey>>>,
}

#[derive(Debug)]
struct Point {
    kind: Option<Kind>,
    cur: Option<MetricAddress>,
    write: Option<MetricAddress>,
    last: Option<Result<(Value, Times), Fault>>,
}

impl Points {
    pub(super) fn bind(&mut self, bindings: &[Binding], into: &mut Readings) {
        for binding in bindings {
            self.unbind(&[binding.key]);
            let mut point = Point { kind: binding.kind, cur: None, write: None, last: None };
            match binding.cur.as_deref().map(str::parse::<MetricAddress>) {
                Some(Ok(address)) => {
                    let metrics = self.by_source.entry(address.source.clone()).or_default();
                    let keys = metrics.entry(Arc::clone(&address.metric)).or_default();
                    keys.insert(binding.key);
                    point.cur = Some(address);
                }
                Some(Err(error)) => into.err(binding.key, Fault::permanent(error)),
                None => {}
            }
            match binding.write.as_deref().map(str::parse) {
                Some(Ok(address)) => point.write = Some(address),
                Some(Err(error)) => {
                    let error: MetricAddressError = error;
                    into.write_err(binding.key, Fault::permanent(error));
                }
                None => {}
            }
            self.by_key.insert(binding.key, point);
        }
    }

    pub(super) fn unbind(&mut self, keys: &[PointKey]) {
        for key in keys {
            let Some(cur) = self.by_key.remove(key).and_then(|point| point.cur) else { continue };
            let Some(metrics) = self.by_source.get_mut(&cur.source) else { continue };
            if let Some(keys) = metrics.get_mut(&cur.metric) {
                keys.remove(key);
                if keys.is_empty() {
                    metrics.remove(&cur.metric);
                }
            }
            if metrics.is_empty() {
                self.by_source.remove(&cur.source);
            }
        }
    }

    /// The nodes of all points.
    pub(super) fn nodes(&self) -> BTreeSet<NodeId> {
        let cur = self.by_source.keys().map(|source| source.node.clone());
        let write = self.by_key.values().filter_map(|point| point.write.as_ref());
        cur.chain(write.map(|address| address.source.node.clone())).collect()
    }

    /// Nothing is known of any value any more.
    pub(super) fn forget(&mut self) {
        self.by_key.values_mut().for_each(|point| point.last = None);
    }

    pub(super) fn sink(&self, key: PointKey) -> Option<&MetricAddress> {
        self.by_key.get(&key)?.write.as_ref()
    }

    /// What is known of these points; gives the nodes of those of which nothing is known though they
    /// may be there.
    pub(super) fn show(
        &self,
        keys: &[PointKey],
        is_online: impl Fn(&Source) -> bool,
        into: &mut Readings,
    ) -> BTreeSet<NodeId> {
        let mut unknown = BTreeSet::new();
        for key in keys {
            let Some(point) = self.by_key.get(key) else { continue };
            let Some(cur) = &point.cur else { continue };
            match &point.last {
                Some(last) => give(*key, last.clone(), into),
                None => {
                    if !is_online(&cur.source) {
                        let fault = format_args!("{} is not known to be online", cur.source);
                        into.err(*key, Fault::down(fault));
                    }
                    unknown.insert(cur.source.node.clone());
                }
            }
        }
        unknown
    }

    /// Turns what a host heard into readings.
    pub(super) fn take(&mut self, event: Event, into: &mut Readings) {
        let (source, readings, is_birth) = match event {
            Event::Birth(source, readings) => (source, readings, true),
            Event::Data(source, readings) => (source, readings, false),
            Event::Death(source) => {
                let fault = Fault::down(format_args!("{source} is offline"));
                return self.fault_all(&source, &fault, into);
            }
        };
        let Some(metrics) = self.by_source.get(&source) else { return };
        if is_birth {
            let fault = |metric: &str| format!("{source} has no metric {metric}");
            for (metric, keys) in metrics {
                if readings.iter().all(|reading| reading.name != *metric) {
                    let fault = Fault::permanent(fault(metric));
                    for key in keys {
                        keep(&mut self.by_key, *key, |_| Err(fault.clone()), into);
                    }
                }
            }
        }
        for reading in &readings {
            for key in metrics.get(&reading.name).into_iter().flatten() {
                match reading.is_historical {
                    false => keep(&mut self.by_key, *key, |kind| outcome(reading, kind), into),
                    true => give_past(&self.by_key, *key, reading, into),
                }
            }
        }
    }

    fn fault_all(&mut self, source: &Source, fault: &Fault, into: &mut Readings) {
        let Some(metrics) = self.by_source.get(source) else { return };
        for key in metrics.values().flatten() {
            keep(&mut self.by_key, *key, |_| Err(fault.clone()), into);
        }
    }
}

type Outcome = Result<(Value, Times), Fault>;

fn keep(
    points: &mut BTreeMap<PointKey, Point>,
    key: PointKey,
    outcome: impl FnOnce(Option<Kind>) -> Outcome,
    into: &mut Readings,
) {
    let Some(point) = points.get_mut(&key) else { return };
    let outcome = outcome(point.kind);
    point.last = Some(outcome.clone());
    give(key, outcome, into);
}

fn give(key: PointKey, outcome: Outcome, into: &mut Readings) {
    match outcome {
        Ok((value, times)) if times.is_empty() => into.ok(key, value),
        Ok((value, times)) => into.sample(key, value, times),
        Err(fault) => into.err(key, fault),
    }
}

/// What a node kept while it could not send it is of the past only. A null and a value that is not
/// good say that nothing is known of that time.
fn give_past(
    points: &BTreeMap<PointKey, Point>,
    key: PointKey,
    reading: &Reading,
    into: &mut Readings,
) {
    let Some(point) = points.get(&key) else { return };
    let Some(ts) = reading.timestamp.and_then(timestamp) else {
        let none = "a historical value came without a time";
        return into.past_err(key, Fault::permanent(none));
    };
    match outcome(reading, point.kind) {
        _ if reading.quality != Quality::Good => into.past(key, ts, Value::Na),
        Ok((Value::Null, _)) => into.past(key, ts, Value::Na),
        Ok((value, _)) => into.past(key, ts, value),
        Err(fault) => into.past_err(key, fault),
    }
}

fn outcome(reading: &Reading, kind: Option<Kind>) -> Outcome {
    let value = reading.value.as_ref().map_err(Fault::permanent)?;
    match reading.quality {
        Quality::Good => {}
        Quality::Stale => return Err(Fault::remote(Status::Stale)),
        Quality::Bad => return Err(Fault::remote(Status::Fault)),
    }
    let value = match value {
        Some(value) => point_of_metric(value, kind)?,
        None => Value::Null,
    };
    let source = reading.timestamp.and_then(timestamp);
    Ok((value, Times { source, server: None }))
}

fn timestamp(millis: u64) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(millis).ok()?).ok()
}

/// A metric's value as a point's of a kind. An array is text in JSON.
///
/// # Errors
///
/// The kinds differ, or no point has such values.
pub fn point_of_metric(value: &Metric, kind: Option<Kind>) -> Result<Value, Fault> {
    let value = match value {
        Metric::Int(value) => Value::number(*value as f64),
        Metric::UInt(value) => Value::number(*value as f64),
        Metric::Float(value) => Value::number(*value),
        Metric::Bool(value) => Value::Bool(*value),
        Metric::Str(text) => Value::str(&**text),
        Metric::Time(millis) => {
            let at = timestamp(*millis);
            let at = at.ok_or_else(|| Fault::permanent("a time is later than times can be"))?;
            Value::DateTime(Arc::new(DateTime::utc(at)))
        }
        Metric::Array(_) => Value::str(&*json(value).to_string()),
        _ => return Err(Fault::permanent("a metric of this type has no value of a point")),
    };
    match (kind, value.kind()) {
        (Some(wanted), Some(is)) if wanted != is => {
            Err(Fault::permanent(format_args!("the metric is a {is} and the point a {wanted}")))
        }
        _ => Ok(value),
    }
}

fn json(value: &Metric) -> serde_json::Value {
    match value {
        Metric::Int(value) => (*value).into(),
        Metric::UInt(value) | Metric::Time(value) => (*value).into(),
        Metric::Float(value) => (*value).into(),
        Metric::Bool(value) => (*value).into(),
        Metric::Str(text) => (&**text).into(),
        Metric::Array(values) => values.iter().map(json).collect(),
        _ => serde_json::Value::Null,
    }
}

/// The kind of a point for a metric of this type.
pub(super) const fn kind_of(data_type: DataType) -> Option<Kind> {
    match data_type {
        DataType::Boolean => Some(Kind::Bool),
        DataType::DateTime => Some(Kind::DateTime),
        DataType::String | DataType::Text | DataType::Uuid => Some(Kind::Str),
        DataType::Float | DataType::Double => Some(Kind::Number),
        _ if data_type.integer().is_some() => Some(Kind::Number),
        _ if data_type.element().is_some() => Some(Kind::Str),
        _ => None,
    }
}

/// A point's value as a metric's of a type.
///
/// # Errors
///
/// No metric of the type has such a value. That a number fits the type is checked with its encoding.
pub fn metric_of_point(value: &Value, data_type: DataType) -> Result<Metric, Fault> {
    let wrong = || Fault::permanent(format_args!("the metric is {data_type:?}"));
    Ok(match value {
        Value::Bool(value) => Metric::Bool(*value),
        Value::Str(text) => Metric::Str((**text).into()),
        Value::Number(number, _) => match data_type.integer() {
            None => Metric::Float(*number),
            Some(_) if number.fract() != 0.0 => {
                return Err(Fault::permanent(format_args!("{number} is not an integer")));
            }
            Some(_) if !(-INT_END..UINT_END).contains(number) => return Err(wrong()),
            Some(_) if *number < 0.0 => Metric::Int(*number as i64),
            Some(_) => Metric::UInt(*number as u64),
        },
        Value::DateTime(time) => {
            let millis = time.at.as_millisecond();
            Metric::Time(u64::try_from(millis).map_err(|_| wrong())?)
        }
        _ => return Err(wrong()),
    })
}

/// 2 to the power of 63 and of 64: the ends of integers of 64 bits.
const INT_END: f64 = 9_223_372_036_854_775_808.0;
const UINT_END: f64 = 18_446_744_073_709_551_616.0;

#[cfg(test)]
mod tests {
    use pointstream_conn::Reading as Told;

    use super::*;

    fn key(slot: u32) -> PointKey {
        PointKey { shard: 1, slot, generation: 1 }
    }

    fn reading(millis: Option<u64>, number: Option<f64>, is_historical: bool) -> Reading {
        Reading {
            name: "temp".into(),
            data_type: DataType::Double,
            value: Ok(number.map(Metric::Float)),
            timestamp: millis,
            quality: Quality::Good,
            is_historical,
            properties: None,
        }
    }

    #[test]
    fn what_a_node_kept_goes_to_the_past_and_never_to_the_current_value() {
        let mut points = Points::default();
        let mut into = Readings::new();
        let mut binding = Binding::new(key(0), Kind::Number);
        binding.cur = Some("g/n?temp".into());
        points.bind(&[binding], &mut into);
        let source = NodeId::new("g", "n").unwrap().source();
        let mut bad = reading(Some(4_000), Some(4.0), true);
        bad.quality = Quality::Bad;
        let readings = vec![
            reading(Some(9_000), Some(9.0), false),
            // Later than the present one by the node's clock, and of the past all the same.
            reading(Some(10_000), Some(1.0), true),
            reading(Some(2_000), Some(2.0), true),
            reading(Some(3_000), None, true),
            bad,
            reading(None, Some(5.0), true),
            reading(Some(u64::MAX), Some(6.0), true),
        ];
        points.take(Event::Data(source, readings), &mut into);
        let told: Vec<_> = into.drain().collect();
        let Told::Sample(_, now, _) = &told[0] else { panic!("{told:?}") };
        assert_eq!(*now, Value::number(9.0));
        let past = |reading: &Told| match reading {
            Told::Past(_, Ok(item)) => Some((item.ts.as_second(), item.val.clone())),
            _ => None,
        };
        let items: Vec<_> = told.iter().filter_map(past).collect();
        let number = Value::number;
        let expected = [(10, number(1.0)), (2, number(2.0)), (3, Value::Na), (4, Value::Na)];
        assert_eq!(items, expected);
        let faults = told.iter().filter(|told| matches!(told, Told::Past(_, Err(_)))).count();
        assert_eq!((told.len(), faults), (7, 2), "without a time that can be: {told:?}");
        // What is shown to whoever comes later is the present.
        points.show(&[key(0)], |_| true, &mut into);
        let shown: Vec<_> = into.drain().collect();
        let [Told::Sample(_, shown, _)] = &shown[..] else { panic!("{shown:?}") };
        assert_eq!(*shown, number(9.0));
    }
}
