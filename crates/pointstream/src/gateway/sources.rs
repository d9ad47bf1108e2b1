//! The topics that are polled from HTTP APIs.

use std::collections::BTreeMap;

use pointstream_hub::{Hub, TopicId};
use pointstream_point::Id;
use pointstream_poll::shell::{ClientOptions, Pollers};
use pointstream_time::Seed;

use super::ApplyError;
use crate::config::{Config, SourceConfig};

/// What is polled at present.
#[derive(Debug)]
pub(super) struct Sources {
    pollers: Pollers,
    running: BTreeMap<Id, SourceConfig>,
}

impl Sources {
    pub(super) fn new(hub: Hub) -> Self {
        Self { pollers: Pollers::new(hub), running: BTreeMap::new() }
    }

    pub(super) fn on_demand(&self, topic: &TopicId) {
        self.pollers.on_demand(topic);
    }

    /// Ends what the configuration has no more, or otherwise. Gives its topics.
    pub(super) fn retire(&mut self, hub: &Hub, config: &Config) -> Vec<Id> {
        let stays = |id: &Id, running: &SourceConfig| {
            config.sources.iter().any(|source| source.id == *id && source == running)
        };
        let gone: Vec<Id> = self
            .running
            .iter()
            .filter(|(id, running)| !stays(id, running))
            .map(|(id, _)| id.clone())
            .collect();
        for id in &gone {
            self.running.remove(id);
            if let Ok(topic) = id.as_str().parse() {
                self.pollers.remove(&topic);
            }
            // One that is gone already is what is wanted.
            let _ = hub.remove(id.as_str());
        }
        gone
    }

    /// Begins what the configuration has besides. Gives its topics.
    pub(super) fn begin(
        &mut self,
        hub: &Hub,
        config: &Config,
        seed: &mut Seed,
    ) -> Result<Vec<Id>, ApplyError> {
        let mut begun = Vec::new();
        for source in &config.sources {
            let id = &source.id;
            if self.running.contains_key(id) {
                continue;
            }
            let told = |error: &dyn core::fmt::Display| {
                ApplyError::Limit(format!("the source of topic {id}: {error}"))
            };
            let mut targets = source.targets().map_err(|error| told(&error))?;
            if let Ok(own) = config.listen().parse() {
                targets.forbid(own);
            }
            let options = source.topic_options().map_err(|error| told(&error))?;
            let topic = hub.create(id.as_str(), options).map_err(|error| told(&error))?;
            let client = ClientOptions::new(targets);
            let added = self.pollers.add(&topic, source.source.clone(), client, seed.split());
            if let Err(error) = added {
                let _ = hub.remove(id.as_str());
                return Err(told(&error));
            }
            self.running.insert(id.clone(), source.clone());
            begun.push(id.clone());
        }
        Ok(begun)
    }
}
