use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
#[cfg(feature = "store")]
use std::path::PathBuf;
use std::sync::Arc;

use pointstream_conn::{AnyDriver, Clock, ConnConfig, MakeError, Registry, Shell};
use pointstream_hub::Hub;
use pointstream_point::{Fault, Id, LevelWrite};
use pointstream_points::{FilterError, LevelWriteError};
use pointstream_time::Seed;
use tokio::task::JoinSet;
use tracing::Instrument;

use crate::config::{Config, ConnectorConfig};

#[cfg(feature = "http")]
mod details;
#[cfg(feature = "store")]
mod his_options;
#[cfg(feature = "store")]
mod history;
#[cfg(feature = "iotmp")]
mod iotmp;
mod keeper;
mod levels;
mod notices;
#[cfg(feature = "store")]
mod past;
mod plan;
mod publish;
mod row;
mod shared;
#[cfg(feature = "poll")]
mod sources;
#[cfg(feature = "mqtt")]
mod sparkplug;
#[cfg(feature = "store")]
mod sync_his;
mod time;
mod topics;
mod watching;

use plan::Plan;
use shared::Follow;

#[cfg(feature = "iotmp")]
pub use iotmp::IotmpServices;
pub use levels::LevelWritten;
pub(crate) use shared::{Conn, Shared};
#[cfg(feature = "store")]
pub use sync_his::{HisProgress, HisSynced};

/// Connectors, points and topics, joined: what devices say goes into topics, what people write goes
/// to devices.
///
/// A gateway is made of a [`Registry`] of the kinds of connector it may have. It becomes what a
/// [`Config`] says by [`apply`](Self::apply), the first time and each time after; what has not
/// changed is not touched, so that an unchanged connector keeps its session.
///
/// It runs on the tokio runtime that it is made in, of either flavour, and makes none of its own;
/// several gateways live in one process. Dropping it ends everything at once;
/// [`shutdown`](Self::shutdown) closes sessions first.
#[derive(Debug)]
pub struct Gateway {
    shared: Arc<Shared>,
    registry: Registry,
    config: Config,
    connectors: JoinSet<()>,
    services: JoinSet<()>,
    /// The work of the store, which ends by itself with the last who keeps anything in it.
    storing: JoinSet<()>,
    publishing: publish::Publishing,
    /// The edge nodes, each of which ends by itself when it is let go.
    #[cfg(feature = "mqtt")]
    edges: JoinSet<()>,
    clock: Clock,
    #[cfg(feature = "store")]
    store: Option<PathBuf>,
    #[cfg(feature = "iotmp")]
    pub(crate) iotmp: Option<IotmpServices>,
    seed: Seed,
    last_shard: u32,
}

/// What [`Gateway::apply`] did, by the ids of connectors and topics.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Applied {
    /// Connectors that are new.
    pub added: Vec<Id>,
    /// Connectors that are no more.
    pub removed: Vec<Id>,
    /// Connectors that were closed and made anew, since what their drivers take has changed.
    pub replaced: Vec<Id>,
    /// Connectors that have other points, or whose points use other tunings, or that were switched
    /// or renamed, while their sessions stood.
    pub changed: Vec<Id>,
    /// Topics that are new, no more, or made of other points.
    pub topics: Vec<Id>,
}

/// Why a configuration was refused. See [`Gateway::apply`] for what has been applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// Two connectors or two topics have one id.
    #[error("the {what} {id} exists twice")]
    Twice {
        /// `connector` or `topic`.
        what: &'static str,
        /// The id.
        id: Id,
    },
    /// Two points have one id.
    #[error("the point {point} of connector {connector} exists already in connector {other}")]
    PointTwice {
        /// The second connector.
        connector: Id,
        /// The point.
        point: Id,
        /// The first connector.
        other: Id,
    },
    /// No driver could be made for a connector.
    #[error("connector {connector}: {error}")]
    Driver {
        /// The connector.
        connector: Id,
        /// Why.
        #[source]
        error: MakeError,
    },
    /// A connector or a point names a tuning that there is none of.
    #[error("connector {connector} uses the unknown tuning {tuning}")]
    Tuning {
        /// The connector.
        connector: Id,
        /// The tuning.
        tuning: Id,
    },
    /// An edge node cannot be what it is to be.
    #[cfg(feature = "mqtt")]
    #[error("sparkplug node {node}: {error}")]
    Sparkplug {
        /// The node.
        node: String,
        /// Why.
        #[source]
        error: Fault,
    },
    /// A topic's filter is none.
    #[error("topic {topic}: {error}")]
    Filter {
        /// The topic.
        topic: Id,
        /// Why.
        #[source]
        error: FilterError,
    },
    /// What is to be published cannot be.
    #[error("publisher {id}: {error}")]
    Publish {
        /// The publisher.
        id: Id,
        /// Why.
        error: String,
    },
    /// The store cannot be opened.
    #[error("{0}")]
    Store(String),
    /// There are more points, topics or other things than there may be.
    #[error("{0}")]
    Limit(String),
}

/// Why a value was not written.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// No point has this id.
    #[error("no point has the id {0}")]
    UnknownPoint(Id),
    /// The value is not one that may be written; no device saw it.
    #[error("{0}")]
    Refused(#[from] LevelWriteError),
    /// The device did not take it.
    #[error("{0}")]
    Failed(#[from] Fault),
    /// It is in effect, but could not be kept for the next start.
    #[error("the value is in effect, but the store could not keep it for the next start: {0}")]
    NotKept(String),
}

/// The way to topics that are no points, and room for so many who observe them.
#[cfg(all(feature = "http", feature = "mqtt"))]
#[derive(Clone, Debug)]
pub(crate) struct Observing {
    pub(crate) sessions: pointstream_mqtt::Sessions,
    pub(crate) places: Arc<tokio::sync::Semaphore>,
}

/// How many readers observe at a time.
#[cfg(all(feature = "http", feature = "mqtt"))]
const OBSERVERS_MAX: usize = 64;

/// How long the store may take when the gateway ends.
const STORE_FAREWELL: Duration = Duration::from_secs(5);

impl Gateway {
    /// An empty gateway that knows the kinds of connector in `registry`. Call it within a tokio
    /// runtime.
    pub fn new(registry: Registry) -> Self {
        let mut seed = Seed::new(entropy());
        let clock = Clock::start();
        let mut limits = pointstream_hub::Limits::default();
        // One more for the topic of the gateway's own.
        limits.topics_max += 1;
        let hub = Hub::with_clock(limits, seed.split(), move || clock.now().at);
        notices::Notices::open(&hub);
        let shared = Arc::new(Shared::new(hub, clock));
        let mut services = JoinSet::new();
        services.spawn(topics::follow_demand(Arc::clone(&shared)));
        services.spawn(time::keep_time(Arc::clone(&shared)));
        #[cfg(feature = "store")]
        services.spawn(history::keep_history(Arc::clone(&shared)));
        Self {
            shared,
            registry,
            config: Config::new(),
            connectors: JoinSet::new(),
            services,
            storing: JoinSet::new(),
            publishing: publish::Publishing::default(),
            #[cfg(feature = "mqtt")]
            edges: JoinSet::new(),
            clock,
            #[cfg(feature = "store")]
            store: None,
            #[cfg(feature = "iotmp")]
            iotmp: None,
            seed,
            last_shard: 0,
        }
    }

    /// The topics.
    pub fn hub(&self) -> &Hub {
        &self.shared.hub
    }

    /// This gateway, with histories kept elsewhere than in its store.
    #[cfg(feature = "store")]
    #[must_use]
    pub fn with_history(self, history: Arc<dyn pointstream_store::History>) -> Self {
        self.shared.lock().his.store = Some(history);
        self
    }

    /// Where past values are kept; none without a store. Calls block.
    #[cfg(feature = "store")]
    pub fn history(&self) -> Option<Arc<dyn pointstream_store::History>> {
        self.shared.lock().his.store.clone()
    }

    /// This gateway, whose connectors of kind `mqtt` can be observed over HTTP: with the sessions that
    /// [`pointstream_mqtt::register`] gave. At most 64 readers observe at a time.
    #[cfg(all(feature = "http", feature = "mqtt"))]
    #[must_use]
    pub fn with_mqtt_sessions(self, sessions: pointstream_mqtt::Sessions) -> Self {
        let places = Arc::new(tokio::sync::Semaphore::new(OBSERVERS_MAX));
        self.shared.lock().observing = Some(Observing { sessions, places });
        self
    }

    /// What the gateway is.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Becomes what `config` says, by difference.
    ///
    /// # Errors
    ///
    /// Whatever makes the configuration impossible; then nothing of it is applied. A bad address
    /// is not one: it is a fault of its point. What shows only on the way, as a topic of the hub
    /// that others made or a document that grows too long, leaves everything else applied; the
    /// next call begins with what is there.
    ///
    /// # Cancel safety
    ///
    /// Not cancel-safe: a part of the difference may have been applied.
    pub async fn apply(&mut self, mut config: Config) -> Result<Applied, ApplyError> {
        plan::prefer(&mut config);
        self.check_limits(&config)?;
        // What runs is compared, not what was wanted last: that may have been applied in part.
        let running = self.shared.running();
        let plan = Plan::new(&self.registry, &running, &config, &mut self.seed)?;
        let publishers = self.publishing.plan(&config.publish)?;
        #[cfg(feature = "mqtt")]
        let nodes = sparkplug::Plan::new(&self.shared, &config.sparkplug)?;
        while let Some(ended) = self.connectors.try_join_next() {
            on_ended(ended);
        }
        self.open_store(&config)?;
        self.set_steady(&config);
        self.shared.set_enums(&config.enums).await;
        // All that leaves leaves first, since a point may move from one connector to another.
        for id in plan.removed.iter().chain(&plan.replaced) {
            self.shared.remove_connector(id);
        }
        let mut applied = Applied { removed: plan.removed, ..Applied::default() };
        let mut shrunk = BTreeSet::new();
        for connector in &config.connectors {
            if self.shared.remove_points(connector).await {
                shrunk.insert(&connector.id);
            }
        }
        self.shared.set_tunings(&config.tunings).await;
        let mut drivers = plan.drivers;
        for connector in &config.connectors {
            let id = &connector.id;
            let new = drivers.remove(id);
            let list = match &new {
                Some(_) if plan.replaced.contains(id) => Some(&mut applied.replaced),
                Some(_) => Some(&mut applied.added),
                None => None,
            };
            list.into_iter().for_each(|list| list.push(id.clone()));
            let is_new = new.is_some();
            if let Some(driver) = new {
                self.add_connector(connector, driver);
            }
            let updated = self.shared.update_connector(connector).await?;
            if (updated || shrunk.contains(id)) && !is_new {
                applied.changed.push(id.clone());
            }
        }
        self.shared.set_own_points(&config.points)?;
        self.shared.forget_arrays();
        self.shared.rewatch().await;
        #[cfg(feature = "store")]
        self.shared.collect(&config.history).await;
        // What leaves leaves first, since a topic of points may become one that is polled.
        #[cfg(feature = "poll")]
        let retired = self.shared.sources().retire(self.hub(), &config);
        // What goes wrong on the way leaves all else applied.
        let topics = topics::apply(&self.shared, &config.effective_topics()).await;
        #[cfg(feature = "poll")]
        let begun = {
            let shared = Arc::clone(&self.shared);
            shared.sources().begin(&shared.hub, &config, &mut self.seed)
        };
        let seed = self.seed.next_u64();
        self.publishing.apply(publishers, &self.shared.hub, seed).await;
        #[cfg(feature = "mqtt")]
        sparkplug::apply(&self.shared, &config.sparkplug, nodes, &mut self.edges).await;
        applied.topics = topics?;
        #[cfg(feature = "poll")]
        {
            let named: BTreeSet<Id> = retired.into_iter().chain(begun?).collect();
            applied.topics.extend(named);
        }
        #[cfg(feature = "http")]
        {
            self.shared.lock().config_path.clone_from(&config.path);
        }
        self.config = config;
        Ok(applied)
    }

    /// Checks a configuration as [`apply`](Self::apply) would, and every address in it, without
    /// opening anything. Gives the faults of single points.
    ///
    /// # Errors
    ///
    /// Whatever makes the configuration impossible.
    pub fn check(&self, config: &Config) -> Result<Vec<(Id, Fault)>, ApplyError> {
        let mut config = config.clone();
        plan::prefer(&mut config);
        self.check_limits(&config)?;
        let plan = Plan::new(&self.registry, &BTreeMap::new(), &config, &mut Seed::new(0))?;
        publish::Publishing::default().plan(&config.publish)?;
        #[cfg(feature = "mqtt")]
        sparkplug::Plan::new(&self.shared, &config.sparkplug)?;
        let mut drivers = plan.drivers;
        let mut faults = Vec::new();
        for connector in &config.connectors {
            if let Some(driver) = drivers.get_mut(&connector.id) {
                let found = driver.check(&connector.points);
                let named = |(at, fault): (usize, Fault)| (connector.points[at].id.clone(), fault);
                faults.extend(found.into_iter().map(named));
            }
        }
        Ok(faults)
    }

    /// Writes one level of a point's priority array, and waits until its device took what that
    /// brought into effect, it failed, or it has to wait for the least time between two writes.
    ///
    /// # Errors
    ///
    /// An unknown point; a value of the wrong kind, out of range or too soon, which no device sees;
    /// whatever the device or the way to it says.
    ///
    /// # Cancel safety
    ///
    /// If this is dropped the write may still happen.
    pub async fn write(&self, id: &Id, write: LevelWrite) -> Result<LevelWritten, WriteError> {
        self.shared.write(id, write).await
    }

    /// Ends all connectors, closing their sessions, and all streams. Takes little more than a
    /// second however many there are and whatever they do.
    pub async fn shutdown(mut self) {
        self.services.abort_all();
        self.publishing.end().await;
        #[cfg(feature = "store")]
        {
            let written = self.shared.write_due(jiff::Timestamp::MAX);
            let _ = tokio::time::timeout(STORE_FAREWELL, written).await;
        }
        self.shared.close();
        while let Some(ended) = self.connectors.join_next().await {
            on_ended(ended);
        }
        #[cfg(feature = "mqtt")]
        sparkplug::farewell(&mut self.edges).await;
        // What was promised to be kept is on the disk before this ends, unless the disk hangs.
        let stored = async { while self.storing.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(STORE_FAREWELL, stored).await;
        // Whoever opens the store's file next finds that nobody has it any more.
        while self.services.join_next().await.is_some() {}
    }

    #[cfg(feature = "http")]
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    fn check_limits(&self, config: &Config) -> Result<(), ApplyError> {
        let len = config.topics.len();
        #[cfg(feature = "poll")]
        let len = len + config.sources.len();
        let max = self.hub().limits().topics_max - 1;
        if len > max {
            return Err(ApplyError::Limit(format!("there are {len} topics, more than {max}")));
        }
        Ok(())
    }

    /// Opens the store at the first configuration that names one.
    #[cfg(feature = "store")]
    fn open_store(&mut self, config: &Config) -> Result<(), ApplyError> {
        let Some(path) = &config.store else { return Ok(()) };
        if let Some(open) = &self.store {
            if open == path {
                return Ok(());
            }
            let (open, path) = (open.display(), path.display());
            let text = format!("the store is {open} until the gateway ends, not {path}");
            return Err(ApplyError::Store(text));
        }
        let opened = keeper::open(path).map_err(|error| ApplyError::Store(error.to_string()))?;
        let (keeper, kept, store, writer) = opened;
        {
            let mut state = self.shared.lock();
            (state.keeper, state.kept) = (keeper, kept);
            #[cfg(feature = "iotmp")]
            {
                state.properties = Some(crate::StoredProperties::new(Arc::clone(&store)));
            }
            if state.his.store.is_none() {
                state.his.store = Some(Arc::new(pointstream_store::StoredHistory::new(store)));
            }
        }
        self.storing.spawn(writer);
        self.store = Some(path.clone());
        Ok(())
    }

    /// Refuses a configuration that names a store.
    #[cfg(not(feature = "store"))]
    fn open_store(&self, config: &Config) -> Result<(), ApplyError> {
        let none =
            "this build has no store: build it with the feature store, or leave the store out";
        match &config.store {
            Some(_) => Err(ApplyError::Store(none.to_owned())),
            None => Ok(()),
        }
    }

    /// Lets the steady state begin after its time, once.
    fn set_steady(&self, config: &Config) {
        let mut state = self.shared.lock();
        if state.steady_at.is_none() {
            state.steady_at = Some(self.clock.now().at + config.steady_time());
            self.shared.changed_times.notify_one();
        }
    }

    fn add_connector(&mut self, config: &ConnectorConfig, driver: AnyDriver) {
        self.last_shard += 1;
        let mut conn = ConnConfig::new(config.id.clone(), self.last_shard);
        conn.disabled = config.disabled;
        conn.open_retry = config.open_retry;
        conn.linger = config.linger;
        conn.op_timeout = config.op_timeout;
        conn.ping_freq = config.ping_freq;
        conn.poll_freq = config.poll_freq;
        {
            let state = self.shared.lock();
            conn.enums = Arc::clone(&state.enums);
            conn.steady_at = state.steady_at.unwrap_or_default();
        }
        conn.seed = self.seed.next_u64();
        let follow = Follow::new(&self.shared, config.id.clone(), self.last_shard);
        let (shell, handle) = Shell::new(conn, driver, Arc::new(follow), self.clock);
        let span = tracing::info_span!("conn", id = %config.id, kind = config.kind);
        self.shared.insert_connector(Conn::new(self.last_shard, config, handle));
        self.connectors.spawn(shell.run().instrument(span));
    }
}

/// A connector's task contains the panics of its driver; one of its own is a defect to be told.
fn on_ended(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "A connector's task failed.");
    }
}

/// A seed that differs from process to process. It need not be secret, so the time will do where
/// there is no entropy.
pub(crate) fn entropy() -> u64 {
    getrandom::u64().unwrap_or_else(|_| {
        let nanos = jiff::Timestamp::now().as_nanosecond().to_le_bytes();
        nanos.first_chunk().map_or(0, |low| u64::from_le_bytes(*low))
    })
}
