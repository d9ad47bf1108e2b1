//! Points as metrics of edge nodes of Sparkplug B.

use core::time::Duration;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use pointstream_mqtt::io::{Broker, Edge, EdgeWrite};
use pointstream_mqtt::sparkplug::{DataType, Property, PropertySet, Quality, Raw};
use pointstream_mqtt::{metric_of_point, point_of_metric};
use pointstream_point::{Cur, Fault, Id, Kind, LevelWrite, PointKey, Status, Value};
use pointstream_points::{Filter, WatchId};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::ApplyError;
use super::shared::{Shared, State};
use crate::config::SparkplugNode;

/// An edge node with what it tells.
#[derive(Debug)]
pub(super) struct EdgeState {
    config: SparkplugNode,
    edge: Edge,
    metrics: HashMap<PointKey, MetricOf>,
    watch: Option<WatchId>,
    /// Dropped, the node says goodbye and ends.
    _stop: oneshot::Sender<()>,
}

#[derive(Debug)]
struct MetricOf {
    device: Option<Arc<Id>>,
    id: Id,
    data_type: DataType,
}

/// How many commands may wait; while they do, the broker is not listened to.
const WRITES_MAX: usize = 256;

/// How long all nodes together may take to say goodbye.
const FAREWELL_MAX: Duration = Duration::from_secs(2);

impl EdgeState {
    /// A point shows something else.
    pub(super) fn tell(&self, key: PointKey, cur: &Cur) {
        let Some(metric) = self.metrics.get(&key) else { return };
        let (value, quality) = match cur.status {
            Status::Ok => (&cur.val, Quality::Good),
            Status::Stale => (&cur.val, Quality::Stale),
            _ => (&Value::Null, Quality::Bad),
        };
        let value = match value {
            Value::Null => Ok(None),
            value => metric_of_point(value, metric.data_type).map(Some),
        };
        let (value, quality) = value.map_or((None, Quality::Bad), |value| (value, quality));
        let at = cur.times.as_ref().and_then(|times| times.source).unwrap_or(cur.ts);
        let millis = u64::try_from(at.as_millisecond()).unwrap_or_default();
        let device = metric.device.as_ref().map(|id| id.as_str());
        let id = metric.id.as_str();
        if let Err(error) = self.edge.set(device, id, value.as_ref(), quality, millis) {
            tracing::warn!(point = id, %error, "A metric took no value.");
        }
    }

    /// A connector has another status.
    pub(super) fn reach(&self, id: &Id, status: Status) {
        self.edge.set_reachable(id.as_str(), status == Status::Ok);
    }
}

/// The nodes that are new, with everything that can fail already done.
pub(super) struct Plan(Vec<(SparkplugNode, Broker)>);

impl Plan {
    /// What is to be begun on the way to `configs`.
    ///
    /// # Errors
    ///
    /// What is wrong with the way to a broker, or with its files; a node that stands twice.
    pub(super) fn new(shared: &Shared, configs: &[SparkplugNode]) -> Result<Self, ApplyError> {
        let state = shared.lock();
        let mut new = Vec::new();
        for (at, config) in configs.iter().enumerate() {
            let node = config.id.source().to_string();
            let refused = |error: Fault| ApplyError::Sparkplug { node: node.clone(), error };
            let is_same =
                |it: &SparkplugNode| it.id == config.id && it.broker.uri == config.broker.uri;
            if configs[..at].iter().any(is_same) {
                return Err(refused(Fault::permanent("the node stands twice at this broker")));
            }
            if state.edges.iter().any(|edge| edge.config == *config) {
                continue;
            }
            let fallback = format!("ps-{}", config.id.node);
            let broker = config.broker.clean_broker(&fallback).map_err(refused)?;
            new.push((config.clone(), broker));
        }
        Ok(Self(new))
    }
}

/// Makes the edge nodes what the configuration says.
pub(super) async fn apply(
    shared: &Arc<Shared>,
    configs: &[SparkplugNode],
    plan: Plan,
    tasks: &mut JoinSet<()>,
) {
    while tasks.try_join_next().is_some() {}
    let mut moved = Vec::new();
    {
        let mut guard = shared.lock();
        let state = &mut *guard;
        let (stay, gone): (Vec<_>, Vec<_>) = core::mem::take(&mut state.edges)
            .into_iter()
            .partition(|edge| configs.contains(&edge.config));
        state.edges = stay;
        for watch in gone.into_iter().filter_map(|edge| edge.watch) {
            moved.extend(state.watches.close(watch).unwrap_or_default());
        }
        let new = plan.0.into_iter().map(|(config, broker)| start(shared, config, broker, tasks));
        state.edges.extend(new);
        for at in 0..state.edges.len() {
            moved.extend(update(state, at));
        }
    }
    shared.tell_watched(moved).await;
}

/// Waits until the nodes have said goodbye.
pub(super) async fn farewell(tasks: &mut JoinSet<()>) {
    let all = async { while tasks.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(FAREWELL_MAX, all).await;
}

fn start(
    shared: &Arc<Shared>,
    config: SparkplugNode,
    broker: Broker,
    tasks: &mut JoinSet<()>,
) -> EdgeState {
    let edge = Edge::new(config.edge(), config.interval);
    let (stop, stopped) = oneshot::channel();
    tasks.spawn(run(edge.clone(), broker, config.clone(), Arc::clone(shared), stopped));
    EdgeState { config, edge, metrics: HashMap::new(), watch: None, _stop: stop }
}

async fn run(
    edge: Edge,
    broker: Broker,
    config: SparkplugNode,
    shared: Arc<Shared>,
    stopped: oneshot::Receiver<()>,
) {
    let node = config.id.source();
    let (writes, mut commands) = mpsc::channel(WRITES_MAX);
    let failed = |error: &_| tracing::warn!(%node, %error, "The broker is not there.");
    let telling = edge.run(broker, writes, failed, async { drop(stopped.await) });
    let hearing = async {
        while let Some(command) = commands.recv().await {
            if let Err(error) = write(&shared, &config, &command).await {
                let metric = &*command.metric;
                tracing::warn!(%node, metric, %error, "A command was not done.");
            }
        }
    };
    tokio::join!(telling, hearing);
}

async fn write(shared: &Shared, config: &SparkplugNode, command: &EdgeWrite) -> Result<(), Fault> {
    if !config.writable {
        return Err(Fault::permanent("the node takes no commands: it is not writable"));
    }
    let id: Id = command.metric.parse().map_err(Fault::permanent)?;
    let val = match &command.value {
        Ok(Some(value)) => point_of_metric(value, None)?,
        Ok(None) => Value::Null,
        Err(error) => return Err(Fault::permanent(error)),
    };
    let who = format!("sparkplug {}", config.id.source());
    let write = LevelWrite::new(config.write_level, val, who);
    shared.write(&id, write).await.map(drop).map_err(Fault::permanent)
}

/// Makes a node tell the points that it is to. Gives those that are watched or not watched by it now.
fn update(state: &mut State, at: usize) -> Vec<PointKey> {
    let State { edges, points, watches, conns, .. } = state;
    let Some(it) = edges.get_mut(at) else { return Vec::new() };
    // What is no filter was refused with the configuration.
    let filter = it.config.filter.as_deref().and_then(|text| Filter::parse(text).ok());
    let mut keys = BTreeSet::new();
    let mut fresh = Vec::new();
    for (key, entry) in points.iter_after(None) {
        if filter.as_ref().is_some_and(|filter| !filter.matches(entry)) {
            continue;
        }
        keys.insert(key);
        if it.metrics.contains_key(&key) {
            continue;
        }
        let (device, id) = (entry.conn.clone(), entry.spec.id.clone());
        let data_type = type_of(entry.spec.kind);
        let name = device.as_ref().map(|id| id.as_str());
        let unit = entry.spec.unit.map(|unit| unit_of(unit.symbol()));
        if let Err(error) = it.edge.add(name, id.as_str(), data_type, unit) {
            tracing::warn!(point = %id, %error, "A point is no metric.");
            continue;
        }
        it.metrics.insert(key, MetricOf { device, id, data_type });
        fresh.push((key, entry.cur()));
    }
    it.metrics.retain(|key, metric| {
        let stays = keys.contains(key);
        if !stays {
            let device = metric.device.as_ref().map(|id| id.as_str());
            it.edge.remove(device, metric.id.as_str());
        }
        stays
    });
    for (id, conn) in conns.iter() {
        it.reach(id, conn.view.status);
    }
    for (key, cur) in &fresh {
        it.tell(*key, cur);
    }
    let before = it.watch.take();
    let mut moved = Vec::new();
    // A watch without a lease needs no time.
    if let Ok(watch) = watches.open(Default::default(), None) {
        it.watch = Some(watch);
        moved = watches.add(watch, keys).unwrap_or_default();
    }
    let freed = before.map(|watch| watches.close(watch));
    moved.extend(freed.and_then(Result::ok).unwrap_or_default());
    moved
}

const fn type_of(kind: Kind) -> DataType {
    match kind {
        Kind::Bool => DataType::Boolean,
        Kind::DateTime => DataType::DateTime,
        Kind::Str => DataType::String,
        _ => DataType::Double,
    }
}

/// The property by which hosts know units.
fn unit_of(symbol: &str) -> PropertySet {
    let property = Property::new(DataType::String, Raw::Str(symbol.into()));
    PropertySet::new([("engUnit", property)])
}
