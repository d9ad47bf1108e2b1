//! The metrics of an edge node or of one of its devices.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::EdgeError;
use super::store::Stored;
use crate::sparkplug::datatype::DataType;
use crate::sparkplug::message::{QUALITY, Quality};
use crate::sparkplug::payload::{Metric, Property, PropertySet, Raw};
use crate::sparkplug::topic::Kind;
use crate::sparkplug::value::Value;

#[derive(Debug)]
pub(super) struct Group {
    entries: BTreeMap<Arc<str>, Entry>,
    /// What changed since it was told.
    changed: BTreeSet<Arc<str>>,
    /// Whether it can be reached.
    pub(super) reachable: bool,
    /// Its birth was told and no death since.
    pub(super) born: bool,
    pub(super) birth_due: bool,
    /// It waits for its turn.
    pub(super) queued: bool,
}

#[derive(Debug)]
struct Entry {
    data_type: DataType,
    alias: Option<u64>,
    properties: Option<Box<PropertySet>>,
    value: Option<Raw>,
    quality: Quality,
    /// The quality as it was told last.
    told: Quality,
    millis: Option<u64>,
}

impl Default for Group {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            changed: BTreeSet::new(),
            reachable: true,
            born: false,
            birth_due: false,
            queued: false,
        }
    }
}

impl Group {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn insert(
        &mut self,
        name: Arc<str>,
        data_type: DataType,
        alias: Option<u64>,
        properties: Option<PropertySet>,
    ) {
        let (told, quality) = (Quality::Good, Quality::Good);
        let properties = properties.map(Box::new);
        let entry =
            Entry { data_type, alias, properties, value: None, quality, told, millis: None };
        self.entries.insert(name, entry);
    }

    /// Takes a metric away and gives its alias.
    pub(super) fn remove(&mut self, name: &str) -> Option<Option<u64>> {
        self.changed.remove(name);
        self.entries.remove(name).map(|entry| entry.alias)
    }

    pub(super) fn find(&self, name: &str) -> Option<(Arc<str>, DataType)> {
        let (name, entry) = self.entries.get_key_value(name)?;
        Some((Arc::clone(name), entry.data_type))
    }

    /// Gives whether anything changed.
    pub(super) fn set(
        &mut self,
        name: &str,
        value: Option<&Value>,
        quality: Quality,
        millis: u64,
    ) -> Result<bool, EdgeError> {
        let key = self.entries.get_key_value(name).map(|(key, _)| Arc::clone(key));
        let (Some(key), Some(entry)) = (key, self.entries.get_mut(name)) else {
            return Err(EdgeError::NoMetric);
        };
        let value = value.map(|value| value.encode(entry.data_type)).transpose()?;
        if is_same(entry.value.as_ref(), value.as_ref()) && entry.quality == quality {
            return Ok(false);
        }
        (entry.value, entry.quality, entry.millis) = (value, quality, Some(millis));
        self.changed.insert(key);
        Ok(true)
    }

    pub(super) fn has_value(&self, name: &str) -> bool {
        self.entries.get(name).is_some_and(|entry| entry.value.is_some())
    }

    /// What is to be kept of a metric until somebody listens.
    pub(super) fn stored(&self, device: Option<Arc<str>>, name: &str) -> Option<Stored> {
        let (name, entry) = self.entries.get_key_value(name)?;
        let (name, value, quality) = (Arc::clone(name), entry.value.clone(), entry.quality);
        Some(Stored { device, name, value, quality, millis: entry.millis.unwrap_or_default() })
    }

    /// A value of the past, of a metric that there still is; none where the birth has just said it.
    pub(super) fn historical(&self, stored: Stored) -> Option<Metric> {
        let Stored { name, value, quality, millis, .. } = stored;
        let entry = self.entries.get(&name)?;
        if entry.millis == Some(millis) && is_same(entry.value.as_ref(), value.as_ref()) {
            return None;
        }
        let has_alias = entry.alias.is_some();
        Some(Metric {
            name: (!has_alias).then_some(name),
            alias: entry.alias,
            timestamp: Some(millis),
            datatype: (!has_alias).then(|| entry.data_type.code()),
            is_historical: true,
            is_null: value.is_none(),
            properties: (quality != Quality::Good).then(|| property(quality)),
            value,
            ..Metric::default()
        })
    }

    /// All metrics, with names, types and properties.
    pub(super) fn birth(&mut self) -> Vec<Metric> {
        self.changed.clear();
        self.born = true;
        self.birth_due = false;
        let metric = |(name, entry): (&Arc<str>, &mut Entry)| {
            let mut metric = entry.metric();
            metric.name = Some(Arc::clone(name));
            metric.alias = entry.alias;
            metric.datatype = Some(entry.data_type.code());
            if let Some(own) = &entry.properties {
                let set = metric.properties.get_or_insert_default();
                set.entries.extend(own.entries.iter().cloned());
            }
            metric
        };
        self.entries.iter_mut().map(metric).collect()
    }

    /// What it tells next.
    pub(super) fn next(&mut self, batch_max: usize) -> Option<(Kind, Vec<Metric>)> {
        if !self.reachable || self.entries.is_empty() {
            self.birth_due = false;
            return core::mem::take(&mut self.born).then(|| (Kind::Death, Vec::new()));
        }
        if self.birth_due {
            return Some((Kind::Birth, self.birth()));
        }
        if !self.born || self.changed.is_empty() {
            return None;
        }
        let mut metrics = Vec::new();
        while metrics.len() < batch_max.max(1)
            && let Some(name) = self.changed.pop_first()
        {
            let Some(entry) = self.entries.get_mut(&name) else { continue };
            let mut metric = entry.metric();
            match entry.alias {
                Some(alias) => metric.alias = Some(alias),
                None => {
                    metric.name = Some(name);
                    metric.datatype = Some(entry.data_type.code());
                }
            }
            metrics.push(metric);
        }
        Some((Kind::Data, metrics))
    }

    pub(super) fn has_more(&self) -> bool {
        self.born && !self.changed.is_empty()
    }
}

impl Entry {
    /// Its value; the quality where it is not good or was not when it was told last.
    fn metric(&mut self) -> Metric {
        let says = self.quality != Quality::Good || self.told != Quality::Good;
        self.told = self.quality;
        Metric {
            timestamp: self.millis,
            is_null: self.value.is_none(),
            properties: says.then(|| property(self.quality)),
            value: self.value.clone(),
            ..Metric::default()
        }
    }
}

fn property(quality: Quality) -> Box<PropertySet> {
    let property = Property {
        datatype: Some(DataType::Int32.code()),
        is_null: false,
        value: Some(Raw::Int(quality.code() as u32)),
    };
    Box::new(PropertySet { entries: vec![(QUALITY.into(), property)] })
}

/// Whether two values are the same on the wire: a number that is none is the same as itself.
fn is_same(one: Option<&Raw>, other: Option<&Raw>) -> bool {
    match (one, other) {
        (Some(Raw::Float(one)), Some(Raw::Float(other))) => one.to_bits() == other.to_bits(),
        (Some(Raw::Double(one)), Some(Raw::Double(other))) => one.to_bits() == other.to_bits(),
        _ => one == other,
    }
}

#[cfg(test)]
impl Group {
    /// Each metric with its value.
    pub(super) fn values(&self) -> impl Iterator<Item = (Arc<str>, Option<Value>)> {
        self.entries.iter().map(|(name, entry)| {
            let value = entry.value.as_ref().map(|raw| Value::decode(entry.data_type, raw));
            (Arc::clone(name), value.transpose().unwrap())
        })
    }
}
