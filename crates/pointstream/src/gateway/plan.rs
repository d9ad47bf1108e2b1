use std::collections::{BTreeMap, BTreeSet};

use pointstream_conn::{AnyDriver, Context, Registry};
use pointstream_point::{Id, Tag, Value};
use pointstream_points::Filter;
use pointstream_time::Seed;

use super::ApplyError;
use crate::config::{Config, ConnectorConfig, DUP_PREF};

/// What changes for the connectors from one configuration to the next, with everything that can
/// fail already done.
pub(super) struct Plan {
    /// Connectors that are no more.
    pub(super) removed: Vec<Id>,
    /// Connectors that must be made anew.
    pub(super) replaced: Vec<Id>,
    /// The drivers of those that are new or made anew.
    pub(super) drivers: BTreeMap<Id, AnyDriver>,
}

impl Plan {
    pub(super) fn new(
        registry: &Registry,
        running: &BTreeMap<Id, ConnectorConfig>,
        new: &Config,
        seed: &mut Seed,
    ) -> Result<Self, ApplyError> {
        check(new)?;
        let next: BTreeSet<&Id> = new.connectors.iter().map(|connector| &connector.id).collect();
        let removed = running.keys().filter(|id| !next.contains(id)).cloned().collect();
        let (mut replaced, mut drivers) = (Vec::new(), BTreeMap::new());
        for connector in &new.connectors {
            match running.get(&connector.id) {
                Some(old) if old.keeps_session_as(connector) => continue,
                Some(_) => replaced.push(connector.id.clone()),
                None => {}
            }
            let context = Context::new(connector.id.clone(), seed.next_u64());
            let driver = registry.make(&connector.kind, connector.driver.clone().into(), &context);
            let driver = driver
                .map_err(|error| ApplyError::Driver { connector: connector.id.clone(), error })?;
            drivers.insert(connector.id.clone(), driver);
        }
        Ok(Self { removed, replaced, drivers })
    }
}

/// Leaves each point that stands under several connectors, and prefers the kind of one of them, to
/// that one. Haxall looks for the name of the library, in full or its last part; both will do.
pub(super) fn prefer(config: &mut Config) {
    let mut prefers: BTreeMap<Id, (String, Option<Id>)> = BTreeMap::new();
    for connector in &config.connectors {
        for point in &connector.points {
            let Some(Tag::Value(Value::Str(kind))) = point.more.tags.get(DUP_PREF) else {
                continue;
            };
            let kind = kind.rsplit('.').next().unwrap_or_default().to_owned();
            prefers.entry(point.id.clone()).or_insert((kind, None));
        }
    }
    for connector in &config.connectors {
        for point in &connector.points {
            if let Some((kind, preferred)) = prefers.get_mut(&point.id)
                && *kind == connector.kind
            {
                preferred.get_or_insert_with(|| connector.id.clone());
            }
        }
    }
    for connector in &mut config.connectors {
        let id = &connector.id;
        connector.points.retain(|point| {
            let preferred = prefers.get(&point.id).and_then(|(_, preferred)| preferred.as_ref());
            let stays = preferred.is_none_or(|preferred| preferred == id);
            if let (false, Some(preferred)) = (stays, preferred) {
                tracing::debug!(point = %point.id, conn = %id, %preferred, "Another connector is preferred.");
            }
            stays
        });
    }
}

/// What a configuration made in code may have wrong; one that was read has been checked already,
/// with places.
fn check(config: &Config) -> Result<(), ApplyError> {
    let mut points: BTreeMap<&Id, &Id> = BTreeMap::new();
    let mut connectors = BTreeMap::new();
    for connector in &config.connectors {
        if connectors.insert(&connector.id, ()).is_some() {
            return Err(ApplyError::Twice { what: "connector", id: connector.id.clone() });
        }
        let tunings = connector.points.iter().filter_map(|point| point.more.tuning.as_ref());
        let unknown = tunings.chain(&connector.tuning).find(|id| !config.tunings.contains_key(*id));
        if let Some(tuning) = unknown {
            let (connector, tuning) = (connector.id.clone(), tuning.clone());
            return Err(ApplyError::Tuning { connector, tuning });
        }
        for point in &connector.points {
            if let Some(other) = points.insert(&point.id, &connector.id) {
                return Err(ApplyError::PointTwice {
                    connector: connector.id.clone(),
                    point: point.id.clone(),
                    other: other.clone(),
                });
            }
        }
    }
    for point in &config.points {
        let twice = points.contains_key(&point.id)
            || config.points.iter().filter(|other| other.id == point.id).count() > 1;
        if twice {
            return Err(ApplyError::Twice { what: "point", id: point.id.clone() });
        }
    }
    let mut topics = BTreeMap::new();
    for topic in &config.topics {
        if topics.insert(&topic.id, ()).is_some() {
            return Err(ApplyError::Twice { what: "topic", id: topic.id.clone() });
        }
        let filter = topic.filter.as_deref().map(Filter::parse).transpose();
        filter.map_err(|error| ApplyError::Filter { topic: topic.id.clone(), error })?;
    }
    Ok(())
}
