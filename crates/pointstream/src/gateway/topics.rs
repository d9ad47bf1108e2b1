use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use pointstream_hub::{Hub, TopicOptions};
use pointstream_patch::RowKey;
use pointstream_point::{Id, PointKey};
use pointstream_points::{Filter, WatchId};

use super::ApplyError;
use super::row::row;
use super::shared::{Shared, State};
use crate::config::{TopicConfig, WatchMode};

/// A topic made of points, and what keeps its points polled.
#[derive(Debug)]
pub(super) struct TopicState {
    config: TopicConfig,
    watch: Option<WatchId>,
    rows: HashMap<PointKey, RowKey>,
}

impl TopicState {
    /// Puts changed rows into the topic, as one event.
    pub(super) fn edit(&self, hub: &Hub, id: &Id, rows: &[(PointKey, String)]) {
        let mine = || rows.iter().filter_map(|(key, text)| Some((self.rows.get(key)?, text)));
        if mine().next().is_none() {
            return;
        }
        let edited = hub.edit(id.as_str(), |edit| {
            let errors = mine().filter_map(|(&row, text)| edit.set(row, text).err());
            // All of them are set; the last of the errors stands for the others.
            errors.last()
        });
        match edited {
            Ok((None, _)) => {}
            Ok((Some(error), _)) => tracing::warn!(topic = %id, %error, "A row was left out."),
            Err(error) => tracing::warn!(topic = %id, %error, "A topic took no changes."),
        }
    }
}

/// Makes the topics what the configuration says. Gives those that are different.
pub(super) async fn apply(shared: &Shared, configs: &[TopicConfig]) -> Result<Vec<Id>, ApplyError> {
    let mut changed = BTreeSet::new();
    let mut moved = Vec::new();
    let mut failed = None;
    {
        let mut guard = shared.lock();
        let state = &mut *guard;
        let next: BTreeSet<&Id> = configs.iter().map(|config| &config.id).collect();
        let gone: Vec<Id> = state.topics.keys().filter(|id| !next.contains(id)).cloned().collect();
        for id in gone {
            if let Some(topic) = state.topics.remove(&id) {
                let freed = topic.watch.map(|watch| state.watches.close(watch));
                moved.extend(freed.and_then(Result::ok).unwrap_or_default());
            }
            // One that is gone already is what is wanted.
            let _ = shared.hub.remove(id.as_str());
            changed.insert(id);
        }
        for config in configs {
            match apply_one(&shared.hub, state, config) {
                Ok(true) => drop(changed.insert(config.id.clone())),
                Ok(false) => {}
                Err(error) => failed = failed.or(Some(error)),
            }
            moved.extend(update_watch(&shared.hub, state, &config.id));
        }
    }
    // Whatever failed, connectors hear of what is watched by now.
    shared.tell_watched(moved).await;
    failed.map_or_else(|| Ok(changed.into_iter().collect()), Err)
}

/// Makes one topic what its configuration says. Gives whether it was anything else.
fn apply_one(hub: &Hub, state: &mut State, config: &TopicConfig) -> Result<bool, ApplyError> {
    let limit =
        |error: &dyn core::fmt::Display| ApplyError::Limit(format!("topic {}: {error}", config.id));
    let filter = config.filter.as_deref().map(Filter::parse).transpose();
    let filter = filter.map_err(|error| ApplyError::Filter { topic: config.id.clone(), error })?;
    let members: Vec<(PointKey, String, String)> = state
        .points
        .iter_after(None)
        .filter(|(_, entry)| filter.as_ref().is_none_or(|filter| filter.matches(entry)))
        .map(|(key, entry)| (key, entry.spec.id.to_string(), row(&entry.cur(), entry.spec.unit)))
        .collect();
    let is_new = !state.topics.contains_key(&config.id);
    if is_new {
        hub.create(config.id.as_str(), TopicOptions::rows()).map_err(|error| limit(&error))?;
        let topic = TopicState { config: config.clone(), watch: None, rows: HashMap::new() };
        state.topics.insert(config.id.clone(), topic);
    }
    let Some(topic) = state.topics.get_mut(&config.id) else { return Ok(false) };
    let mut changed = is_new || topic.config != *config;
    topic.config = config.clone();
    let keys: BTreeSet<PointKey> = members.iter().map(|(key, ..)| *key).collect();
    let edited = hub.edit(config.id.as_str(), |edit| {
        topic.rows.retain(|key, row| {
            let stays = keys.contains(key);
            if !stays {
                edit.remove(*row);
                changed = true;
            }
            stays
        });
        for (key, id, text) in &members {
            if !topic.rows.contains_key(key) {
                topic.rows.insert(*key, edit.insert(id, text)?);
                changed = true;
            }
        }
        Ok(())
    });
    match edited {
        Ok((Ok(()), _)) => Ok(changed),
        Ok((Err(error), _)) => Err(limit(&error as &pointstream_patch::RowError)),
        Err(error) => Err(limit(&error)),
    }
}

/// Has exactly a topic's points watched if they are to be at present. Gives the points that became
/// watched by it, and those that nobody watches after it.
fn update_watch(hub: &Hub, state: &mut State, id: &Id) -> Vec<PointKey> {
    let State { topics, watches, .. } = state;
    let Some(topic) = topics.get_mut(id) else { return Default::default() };
    let wanted = match topic.config.watch {
        WatchMode::Always => true,
        WatchMode::OnDemand => hub.topic(id.as_str()).is_ok_and(|info| info.subscribers > 0),
    };
    let before = topic.watch;
    let mut moved = Vec::new();
    topic.watch = None;
    if wanted {
        // A watch without a lease needs no time.
        let Ok(watch) = watches.open(Default::default(), None) else {
            topic.watch = before;
            return moved;
        };
        topic.watch = Some(watch);
        moved = watches.add(watch, topic.rows.keys().copied()).unwrap_or_default();
    }
    // What stays is in the next watch already, so that only what has left the topic is let go.
    let freed = before.map(|watch| watches.close(watch));
    moved.extend(freed.and_then(Result::ok).unwrap_or_default());
    moved
}

/// Watches and unwatches the points of topics that are polled on demand, for ever.
pub(super) async fn follow_demand(shared: Arc<Shared>) {
    loop {
        let topic = shared.hub.demand().await;
        #[cfg(feature = "poll")]
        shared.sources().on_demand(&topic);
        let Ok(id) = topic.as_str().parse::<Id>() else { continue };
        let moved = update_watch(&shared.hub, &mut shared.lock(), &id);
        shared.tell_watched(moved).await;
    }
}
