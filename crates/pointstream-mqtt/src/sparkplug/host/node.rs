//! What a host knows of one edge node.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use pointstream_time::Instant;

use super::{Event, HostConfig, HostError, Reading};
use crate::sparkplug::datatype::DataType;
use crate::sparkplug::message::{BD_SEQ, Now, QUALITY, Quality};
use crate::sparkplug::payload::{Metric, Payload, PropertySet, Raw};
use crate::sparkplug::topic::{Kind, NodeId, Source};
use crate::sparkplug::value::{Value, ValueError};

/// A node with its devices.
#[derive(Debug)]
pub(super) struct Node {
    /// Its birth was heard and no death since.
    pub(super) online: bool,
    /// Somebody wants it.
    pub(super) expected: bool,
    /// It is to be asked for its births as soon as it may be.
    pub(super) rebirth_wanted: bool,
    asked_at: Option<Instant>,
    rebirth_wait: Duration,
    bd_seq: Option<u64>,
    /// The number of the message that comes next.
    next_seq: u8,
    /// Who is born, the node itself under no name. After a birth of the node, its devices are those of
    /// before until their time is up.
    born: BTreeMap<Option<Arc<str>>, Born>,
    /// Which source and metric an alias stands for.
    aliases: BTreeMap<u64, (Option<Arc<str>>, Arc<str>)>,
    metrics: usize,
    /// When devices that were not born again are gone.
    devices_until: Option<Instant>,
    /// Messages that came too early, by their numbers.
    held: BTreeMap<u8, (Kind, Source, Payload)>,
    held_until: Option<Instant>,
}

/// A node or a device that is born.
#[derive(Debug, Default)]
struct Born {
    /// Since the last birth of the node.
    current: bool,
    metrics: BTreeMap<Arc<str>, BornMetric>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct BornMetric {
    pub(super) data_type: DataType,
    pub(super) alias: Option<u64>,
}

/// How many messages of a node wait for the one before them. With one more, the gap is taken for a
/// loss.
const HELD_MAX: usize = 32;

/// A message with an error, and whether the node is to be asked for its births.
type Outcome = Result<bool, (HostError, bool)>;

impl Node {
    pub(super) fn new(rebirth_wait: Duration) -> Self {
        Self {
            online: false,
            expected: false,
            rebirth_wanted: false,
            asked_at: None,
            rebirth_wait,
            bd_seq: None,
            next_seq: 0,
            born: BTreeMap::new(),
            aliases: BTreeMap::new(),
            metrics: 0,
            devices_until: None,
            held: BTreeMap::new(),
            held_until: None,
        }
    }

    /// Nothing is known any more but that it exists.
    pub(super) fn forget(&mut self) {
        let fresh = Self::new(self.rebirth_wait);
        let Self { expected, asked_at, .. } = *self;
        *self = Self { expected, asked_at, ..fresh };
    }

    pub(super) fn metrics(&self, device: Option<&str>) -> Option<&BTreeMap<Arc<str>, BornMetric>> {
        let born = self.born.get(&device.map(Arc::from)).filter(|_| self.online)?;
        Some(&born.metrics)
    }

    pub(super) fn sources(&self, id: &NodeId) -> impl Iterator<Item = Source> {
        self.born.keys().map(move |device| Source { node: id.clone(), device: device.clone() })
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let ask = self.asked_at.map(|at| at + self.rebirth_wait).filter(|_| self.rebirth_wanted);
        [ask, self.devices_until, self.held_until].into_iter().flatten().min()
    }

    /// Whether it is asked for its births now.
    pub(super) fn may_ask(&mut self, at: Instant, min: Duration, max: Duration) -> bool {
        let early = self.asked_at.is_some_and(|asked| at < asked + self.rebirth_wait);
        if !self.rebirth_wanted || early {
            return false;
        }
        // A node that was asked and did not answer is asked less and less often.
        if self.asked_at.is_some() {
            self.rebirth_wait = (self.rebirth_wait * 2).min(max);
        }
        self.rebirth_wait = self.rebirth_wait.max(min);
        self.asked_at = Some(at);
        true
    }

    /// Gives whether something is lost.
    pub(super) fn on_timeout(
        &mut self,
        now: Now,
        id: &NodeId,
        config: &HostConfig,
        events: &mut VecDeque<Event>,
    ) -> bool {
        if self.devices_until.is_some_and(|at| at <= now.at) {
            self.devices_until = None;
            let old: Vec<_> = self.old_devices();
            for device in old {
                self.bury(&device);
                events.push_back(Event::Death(Source { node: id.clone(), device }));
            }
        }
        let late = self.held_until.is_some_and(|at| at <= now.at);
        if late {
            self.give_up(config, events);
        }
        late
    }

    /// Gives whether the node is to be asked for its births.
    pub(super) fn on_message(
        &mut self,
        now: Now,
        kind: Kind,
        source: Source,
        payload: Payload,
        config: &HostConfig,
        events: &mut VecDeque<Event>,
    ) -> Outcome {
        match (kind, &source.device) {
            (Kind::Birth, None) => self.on_node_birth(now, &source, payload, config, events),
            (Kind::Death, None) => {
                self.on_node_death(&source, &payload, events);
                Ok(false)
            }
            _ if !self.online => Ok(true),
            _ => self.in_order(now, kind, source, payload, config, events),
        }
    }

    fn on_node_birth(
        &mut self,
        now: Now,
        source: &Source,
        payload: Payload,
        config: &HostConfig,
        events: &mut VecDeque<Event>,
    ) -> Outcome {
        if payload.metrics.len() > config.metrics_max {
            return Err((HostError::TooManyMetrics(config.metrics_max), false));
        }
        self.bd_seq = bd_seq(&payload);
        self.next_seq = (payload.seq.unwrap_or(0) as u8).wrapping_add(1);
        self.held.clear();
        self.held_until = None;
        self.rebirth_wanted = false;
        self.rebirth_wait = config.rebirth_min;
        for born in self.born.values_mut() {
            born.current = false;
        }
        // What an alias stood for until now says nothing any more.
        self.aliases.clear();
        self.online = true;
        self.devices_until = None;
        let readings = self.bear(None, payload);
        if !self.old_devices().is_empty() {
            self.devices_until = Some(now.at + config.reorder_timeout);
        }
        events.push_back(Event::Birth(source.clone(), readings));
        Ok(false)
    }

    /// A death of a session before the one that is known comes late and means nothing. One of a later
    /// session is true: it was born and died in the meantime.
    fn on_node_death(&mut self, source: &Source, payload: &Payload, events: &mut VecDeque<Event>) {
        if let (Some(born), Some(dead)) = (self.bd_seq, bd_seq(payload))
            && (dead as u8).wrapping_sub(born as u8) >= 128
        {
            return;
        }
        if !self.online {
            return;
        }
        for device in self.born.keys() {
            let node = source.node.clone();
            events.push_back(Event::Death(Source { node, device: device.clone() }));
        }
        let wanted = self.rebirth_wanted;
        self.forget();
        self.rebirth_wanted = wanted && self.expected;
    }

    fn in_order(
        &mut self,
        now: Now,
        kind: Kind,
        source: Source,
        payload: Payload,
        config: &HostConfig,
        events: &mut VecDeque<Event>,
    ) -> Outcome {
        let Some(seq) = payload.seq.map(|seq| seq as u8) else {
            return self.apply(kind, source, payload, config, events);
        };
        let ahead = seq.wrapping_sub(self.next_seq);
        if usize::from(ahead) >= 256 - HELD_MAX {
            // It came after it was given up, or the numbers began anew with a birth that was lost. It may
            // also be the second of two, which costs nothing but births that nobody needs.
            return Ok(true);
        }
        if ahead > 0 {
            self.held.insert(seq, (kind, source, payload));
            self.held_until.get_or_insert(now.at + config.reorder_timeout);
            if self.held.len() > HELD_MAX {
                self.give_up(config, events);
                return Ok(true);
            }
            return Ok(false);
        }
        self.next_seq = self.next_seq.wrapping_add(1);
        let mut outcome = self.apply(kind, source, payload, config, events);
        while let Some((kind, source, payload)) = self.held.remove(&self.next_seq) {
            self.next_seq = self.next_seq.wrapping_add(1);
            outcome = worse(outcome, self.apply(kind, source, payload, config, events));
        }
        if self.held.is_empty() {
            self.held_until = None;
        }
        outcome
    }

    /// What is missing does not come any more. What came is true all the same.
    fn give_up(&mut self, config: &HostConfig, events: &mut VecDeque<Event>) {
        self.held_until = None;
        let next = self.next_seq;
        let mut held: Vec<_> = core::mem::take(&mut self.held).into_iter().collect();
        held.sort_by_key(|(seq, _)| seq.wrapping_sub(next));
        for (seq, (kind, source, payload)) in held {
            self.next_seq = seq.wrapping_add(1);
            // The births that are asked for now mend whatever is wrong with it.
            let _ = self.apply(kind, source, payload, config, events);
        }
    }

    fn apply(
        &mut self,
        kind: Kind,
        source: Source,
        payload: Payload,
        config: &HostConfig,
        events: &mut VecDeque<Event>,
    ) -> Outcome {
        match kind {
            Kind::Birth => {
                let before = self.born.get(&source.device).map_or(0, |born| born.metrics.len());
                let after = self.metrics - before + payload.metrics.len();
                if after > config.metrics_max || self.born.len() > config.metrics_max {
                    return Err((HostError::TooManyMetrics(config.metrics_max), false));
                }
                let readings = self.bear(source.device.clone(), payload);
                events.push_back(Event::Birth(source, readings));
                Ok(false)
            }
            Kind::Death => {
                if self.bury(&source.device) {
                    events.push_back(Event::Death(source));
                }
                Ok(false)
            }
            Kind::Data | Kind::Cmd => {
                if self.born.get(&source.device).is_none_or(|born| !born.current) {
                    return Ok(true);
                }
                let count = payload.metrics.len();
                let readings = self.readings(&source.device, payload);
                let unknown = readings.len() < count;
                events.push_back(Event::Data(source, readings));
                Ok(unknown)
            }
        }
    }

    /// Takes note of the metrics of a birth.
    fn bear(&mut self, device: Option<Arc<str>>, payload: Payload) -> Vec<Reading> {
        self.bury(&device);
        let mut born = Born { current: true, metrics: BTreeMap::new() };
        let mut readings = Vec::with_capacity(payload.metrics.len());
        let stamp = payload.timestamp;
        for metric in payload.metrics {
            // Without a name or a type that is known there is nothing that could be told of it.
            let (Some(name), Some(data_type)) =
                (metric.name.clone(), metric.datatype.and_then(DataType::of_code))
            else {
                continue;
            };
            if let Some(alias) = metric.alias {
                self.aliases.insert(alias, (device.clone(), Arc::clone(&name)));
            }
            let entry = BornMetric { data_type, alias: metric.alias };
            born.metrics.insert(Arc::clone(&name), entry);
            readings.push(reading(name, data_type, metric, stamp));
        }
        self.metrics += born.metrics.len();
        self.born.insert(device, born);
        readings
    }

    fn bury(&mut self, device: &Option<Arc<str>>) -> bool {
        let Some(born) = self.born.remove(device) else { return false };
        self.metrics -= born.metrics.len();
        for alias in born.metrics.values().filter_map(|metric| metric.alias) {
            if self.aliases.get(&alias).is_some_and(|(of, _)| of == device) {
                self.aliases.remove(&alias);
            }
        }
        true
    }

    fn old_devices(&self) -> Vec<Option<Arc<str>>> {
        let old = self.born.iter().filter(|(_, born)| !born.current);
        old.map(|(device, _)| device.clone()).collect()
    }

    /// The readings of a message, without those of metrics that no birth has named.
    fn readings(&self, device: &Option<Arc<str>>, payload: Payload) -> Vec<Reading> {
        let stamp = payload.timestamp;
        let known = payload.metrics.into_iter().filter_map(|metric| {
            let by_alias = || self.aliases.get(&metric.alias?).filter(|(of, _)| of == device);
            let name = match &metric.name {
                Some(name) if !name.is_empty() => name,
                _ => by_alias().map(|(_, name)| name)?,
            };
            let (name, born) = self.born.get(device)?.metrics.get_key_value(name)?;
            Some(reading(Arc::clone(name), born.data_type, metric, stamp))
        });
        known.collect()
    }
}

fn worse(one: Outcome, other: Outcome) -> Outcome {
    match (one, other) {
        (Err(error), _) | (_, Err(error)) => Err(error),
        (Ok(one), Ok(other)) => Ok(one || other),
    }
}

fn reading(name: Arc<str>, data_type: DataType, metric: Metric, stamp: Option<u64>) -> Reading {
    Reading {
        value: typed(&metric, data_type),
        name,
        data_type,
        timestamp: metric.timestamp.or(stamp),
        quality: quality(metric.properties.as_deref()),
        is_historical: metric.is_historical,
        properties: metric.properties,
    }
}

fn typed(metric: &Metric, data_type: DataType) -> Result<Option<Value>, ValueError> {
    metric.typed(Some(data_type))
}

fn quality(properties: Option<&PropertySet>) -> Quality {
    let entries = properties.map_or(&[][..], |set| &set.entries);
    let property = entries.iter().find(|(key, _)| &**key == QUALITY);
    match property.and_then(|(_, property)| property.value.as_ref()) {
        Some(Raw::Int(code)) => Quality::of_code((*code).into()),
        Some(Raw::Long(code)) => Quality::of_code(*code as i64),
        _ => Quality::Good,
    }
}

/// The number of the session, 0 to 255; it comes in whatever integer the sender likes.
fn bd_seq(payload: &Payload) -> Option<u64> {
    let metric = payload.metrics.iter().find(|metric| metric.name.as_deref() == Some(BD_SEQ))?;
    match metric.value {
        Some(Raw::Int(value)) => Some(value.into()),
        Some(Raw::Long(value)) => Some(value),
        _ => None,
    }
}
