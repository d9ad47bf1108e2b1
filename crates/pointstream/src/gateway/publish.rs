//! What of the gateway goes to brokers.

use std::collections::BTreeMap;

use pointstream_hub::Hub;
use pointstream_point::Id;
use tokio::task::JoinSet;

use super::ApplyError;
use crate::config::PublishConfig;

#[cfg(feature = "mqtt")]
mod mqtt;

/// The publishers that run, and what they were made of.
#[derive(Debug, Default)]
pub(super) struct Publishing {
    running: BTreeMap<Id, (PublishConfig, Running)>,
}

/// A publisher. What it does ends with it.
#[derive(Debug)]
struct Running {
    stop: tokio::sync::watch::Sender<bool>,
    task: JoinSet<()>,
}

/// What the publishers become, with everything that can fail already done.
pub(super) struct Plan {
    gone: Vec<Id>,
    new: Vec<(PublishConfig, Made)>,
}

#[cfg(feature = "mqtt")]
type Made = pointstream_mqtt::Config;
#[cfg(not(feature = "mqtt"))]
type Made = core::convert::Infallible;

impl Publishing {
    /// What changes on the way to `configs`.
    ///
    /// # Errors
    ///
    /// An unknown kind, or options that it does not take.
    pub(super) fn plan(&self, configs: &[PublishConfig]) -> Result<Plan, ApplyError> {
        let mut plan = Plan { gone: Vec::new(), new: Vec::new() };
        for (id, (old, _)) in &self.running {
            if !configs.contains(old) {
                plan.gone.push(id.clone());
            }
        }
        let mut seen = std::collections::BTreeSet::new();
        for config in configs {
            if !seen.insert(&config.id) {
                return Err(ApplyError::Twice { what: "publisher", id: config.id.clone() });
            }
            if self.running.get(&config.id).is_some_and(|(old, _)| old == config) {
                continue;
            }
            let made = make(config)
                .map_err(|error| ApplyError::Publish { id: config.id.clone(), error })?;
            plan.new.push((config.clone(), made));
        }
        Ok(plan)
    }

    pub(super) async fn apply(&mut self, plan: Plan, hub: &Hub, seed: u64) {
        for id in plan.gone {
            if let Some((_, running)) = self.running.remove(&id) {
                running.end().await;
            }
        }
        for (config, made) in plan.new {
            let (stop, stopped) = tokio::sync::watch::channel(false);
            let mut task = JoinSet::new();
            start(&mut task, &config, made, hub, seed, stopped);
            self.running.insert(config.id.clone(), (config, Running { stop, task }));
        }
    }

    /// Ends all, each with a farewell.
    pub(super) async fn end(&mut self) {
        let running = core::mem::take(&mut self.running);
        for (_, running) in running.values() {
            running.stop.send_replace(true);
        }
        for (_, running) in running.into_values() {
            running.end().await;
        }
    }
}

impl Running {
    async fn end(mut self) {
        self.stop.send_replace(true);
        while self.task.join_next().await.is_some() {}
    }
}

#[cfg(feature = "mqtt")]
fn make(config: &PublishConfig) -> Result<Made, String> {
    if config.kind != "mqtt" {
        return Err(format!("unknown kind {:?}: expected mqtt", config.kind));
    }
    mqtt::make(config)
}

#[cfg(not(feature = "mqtt"))]
fn make(config: &PublishConfig) -> Result<Made, String> {
    Err(format!("this build publishes nothing by {:?}: it lacks the feature `mqtt`", config.kind))
}

#[cfg(feature = "mqtt")]
fn start(
    task: &mut JoinSet<()>,
    config: &PublishConfig,
    made: Made,
    hub: &Hub,
    seed: u64,
    stopped: tokio::sync::watch::Receiver<bool>,
) {
    task.spawn(mqtt::run(config.clone(), made, hub.clone(), seed, stopped));
}

#[cfg(not(feature = "mqtt"))]
fn start(
    _: &mut JoinSet<()>,
    _: &PublishConfig,
    made: Made,
    _: &Hub,
    _: u64,
    _: tokio::sync::watch::Receiver<bool>,
) {
    match made {}
}
