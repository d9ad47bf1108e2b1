//! The points of a connector: where their values are, and which streams bring them.

use core::time::Duration;
use std::collections::BTreeMap;
use std::string::{String, ToString};
use std::vec::Vec;

use jiff::Timestamp;
use pointstream_conn::{Binding, Readings, Request, Write};
use pointstream_point::{Fault, Kind, PointKey, Value};

use crate::Payload;
use crate::address::Address;
use crate::server::{Device, Sample, Values};

#[derive(Debug)]
pub(super) struct Points {
    interval: Duration,
    by_key: BTreeMap<PointKey, Point>,
}

#[derive(Debug)]
struct Point {
    kind: Option<Kind>,
    cur: Option<Address>,
    write: Option<Address>,
}

/// A stream and the points that it brings.
#[derive(Debug)]
pub(super) struct Feed {
    resource: String,
    interval: Option<Duration>,
    pub(super) points: Vec<PointKey>,
    pub(super) values: Values,
}

impl Points {
    pub(super) const fn new(interval: Duration) -> Self {
        Self { interval, by_key: BTreeMap::new() }
    }

    pub(super) fn bind(&mut self, bindings: &[Binding], into: &mut Readings) {
        for binding in bindings {
            let parse = |text: &Option<pointstream_point::Address>| {
                text.as_deref().map(str::parse::<Address>)
            };
            let (cur, write) = (parse(&binding.cur), parse(&binding.write));
            if let Some(Err(error)) = &cur {
                into.err(binding.key, Fault::permanent(error));
            }
            if let Some(Err(error)) = &write {
                into.write_err(binding.key, Fault::permanent(error));
            }
            let (cur, write) = (cur.and_then(Result::ok), write.and_then(Result::ok));
            self.by_key.insert(binding.key, Point { kind: binding.kind, cur, write });
        }
    }

    pub(super) fn unbind(&mut self, points: &[PointKey]) {
        for key in points {
            self.by_key.remove(key);
        }
    }

    fn cur(&self, key: PointKey) -> Option<&Address> {
        self.by_key.get(&key)?.cur.as_ref()
    }

    /// One request for each resource.
    pub(super) fn plan(&self, points: &[PointKey]) -> Vec<Request> {
        let mut by_resource: BTreeMap<&str, Vec<PointKey>> = BTreeMap::new();
        for key in points {
            if let Some(address) = self.cur(*key) {
                by_resource.entry(&address.resource).or_default().push(*key);
            }
        }
        by_resource.values().map(|points| Request::new(points, 0)).collect()
    }

    /// The resource that the points of a request share.
    pub(super) fn resource(&self, points: &[PointKey]) -> Option<String> {
        points.iter().find_map(|key| self.cur(*key)).map(|address| address.resource.to_string())
    }

    /// Gives a point its part of a value.
    pub(super) fn give(&self, key: PointKey, sample: &Sample, into: &mut Readings) {
        let Some(point) = self.by_key.get(&key) else { return };
        let Some(address) = &point.cur else { return };
        match address.extract(&sample.value, point.kind) {
            Ok(value) => into.ok(key, value),
            Err(text) => into.err(key, Fault::permanent(text)),
        }
    }

    /// Gives a point its part of a value of the past.
    pub(super) fn give_past(
        &self,
        key: PointKey,
        sample: &Sample,
        at: Option<Timestamp>,
        into: &mut Readings,
    ) {
        let Some(point) = self.by_key.get(&key) else { return };
        let Some(address) = &point.cur else { return };
        let Some(ts) = at else {
            let later = "a time is later than times can be";
            return into.past_err(key, Fault::permanent(later));
        };
        match address.extract(&sample.value, point.kind) {
            Ok(Value::Null) => into.past(key, ts, Value::Na),
            Ok(value) => into.past(key, ts, value),
            Err(text) => into.past_err(key, Fault::permanent(text)),
        }
    }

    /// What is written where.
    pub(super) fn payload(&self, write: &Write) -> Result<(String, Payload), Fault> {
        let address = self.by_key.get(&write.key).and_then(|point| point.write.as_ref());
        let address = address.ok_or_else(|| Fault::permanent("the point has no address"))?;
        let payload = address.payload(&write.value).map_err(Fault::permanent)?;
        Ok((address.resource.to_string(), payload))
    }

    /// Opens streams for points, one for all of a resource and an interval. A point that had one is
    /// told its value anew by a stream of its own kind.
    pub(super) fn watch(
        &self,
        keys: &[PointKey],
        device: &Device,
        feeds: &mut Vec<Feed>,
        into: &mut Readings,
    ) {
        leave(feeds, keys);
        let mut wanted: BTreeMap<(&str, Duration), Vec<PointKey>> = BTreeMap::new();
        for key in keys {
            if let Some(address) = self.cur(*key) {
                let interval = address.interval.unwrap_or(self.interval);
                wanted.entry((&address.resource, interval)).or_default().push(*key);
            }
        }
        for ((resource, interval), points) in wanted {
            let interval = (!interval.is_zero()).then_some(interval);
            // A new reader is given the present value, so that all points of one stream get it.
            match device.stream(resource, interval) {
                Ok(values) => {
                    feeds.push(Feed { resource: resource.to_string(), interval, points, values });
                }
                Err(error) => {
                    let fault = Fault::down(error);
                    points.iter().for_each(|key| into.unwatchable(*key, fault.clone()));
                }
            }
        }
        merge(feeds);
    }
}

/// Ends streams that no point needs any more.
pub(super) fn leave(feeds: &mut Vec<Feed>, keys: &[PointKey]) {
    for feed in feeds.iter_mut() {
        feed.points.retain(|key| !keys.contains(key));
    }
    feeds.retain(|feed| !feed.points.is_empty());
}

/// Joins streams of the same resource and interval, as soon as there are more than a few: the newer
/// one goes on.
fn merge(feeds: &mut Vec<Feed>) {
    let mut at = 0;
    while at < feeds.len() {
        let same = |feed: &Feed, other: &Feed| {
            feed.resource == other.resource && feed.interval == other.interval
        };
        let newer = (at + 1..feeds.len()).find(|other| same(&feeds[at], &feeds[*other]));
        match newer {
            Some(newer) => {
                let older = feeds.remove(at);
                feeds[newer - 1].points.extend(older.points);
            }
            None => at += 1,
        }
    }
}
