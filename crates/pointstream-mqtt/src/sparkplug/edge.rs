//! An edge node: what tells hosts of its metrics and of those of its devices.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use pointstream_time::Instant;

use super::datatype::DataType;
use super::message::{BD_SEQ, Now, Quality, REBIRTH, State, Transmit};
use super::payload::{Limits, Metric, Payload, PropertySet, Raw};
use super::topic::{Kind, NodeId, Source, Topic};
use super::value::{Value, ValueError};
use super::{DecodeError, is_id};
use crate::packet::QoS;
use group::Group;
use store::Store;

mod group;
mod store;

/// The state machine of an edge node.
///
/// Its metrics are added and set at any time, connected or not. What changed is told when the
/// transport asks for it, so that a slow one gets the newest value of each metric and nothing piles
/// up. It is told the time and given messages; it gives messages to be published, and events, which
/// are drained after each call.
///
/// What changes while there is no connection, or the primary host is offline, is part of the next birth.
/// With [`EdgeConfig::history_max`] the values before that are kept as well, and sent as historical after
/// the births.
///
/// Source: Sparkplug 3.0.0, 5.4 to 5.9 (edge node), 6.4.28 (sequence numbers).
#[derive(Debug)]
pub struct EdgeNode {
    config: EdgeConfig,
    link: Link,
    /// The number of the next session.
    bd_seq: u8,
    /// The number of the session that stands or is about to.
    session: u8,
    /// The number of the next message.
    seq: u8,
    /// The node under no name, and its devices.
    groups: BTreeMap<Option<Arc<str>>, Group>,
    aliases: BTreeMap<u64, (Option<Arc<str>>, Arc<str>)>,
    next_alias: u64,
    /// Who has something to tell, each once.
    ready: VecDeque<Option<Arc<str>>>,
    /// The node is to be born.
    birth_due: bool,
    born_at: Option<Instant>,
    /// Since when the primary host is known to be online or offline.
    host_since: Option<u64>,
    /// What changed while nobody listened.
    store: Store,
    events: VecDeque<EdgeEvent>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Link {
    Down,
    /// Connected, and waiting for the primary host.
    Waiting,
    Up,
}

/// How an edge node is to be.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct EdgeConfig {
    /// Its id.
    pub id: NodeId,
    /// The host that must be online before anything is told.
    pub primary_host: Option<Arc<str>>,
    /// Whether births give metrics numbers that stand for their names; true by default.
    pub aliases: bool,
    /// How many metrics a message of data has at most; 500 by default.
    pub batch_max: usize,
    /// The least time between two births that are asked for; 1 s by default.
    pub rebirth_min: Duration,
    /// How many values are kept that changed while there was no connection or the primary host was
    /// offline; beyond it the oldest are dropped. 0, none, by default.
    pub history_max: usize,
    /// What a command may have at most.
    pub limits: Limits,
}

impl EdgeConfig {
    /// A node with this id and the defaults.
    pub fn new(id: NodeId) -> Self {
        Self {
            id,
            primary_host: None,
            aliases: true,
            batch_max: 500,
            rebirth_min: Duration::from_secs(1),
            history_max: 0,
            limits: Limits::default().with_len_max(1 << 20),
        }
    }
}

/// What is to be known for a connection.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Connect {
    /// The will.
    pub will: Transmit,
    /// What to subscribe to, before [`EdgeNode::on_connected`].
    pub subscriptions: Vec<(String, QoS)>,
}

/// What an edge node hears.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum EdgeEvent {
    /// A metric is to take a value, or null; or a command for it that makes no sense.
    Write {
        /// The device; none for the node's own.
        device: Option<Arc<str>>,
        /// The metric.
        metric: Arc<str>,
        /// The value.
        value: Result<Option<Value>, ValueError>,
    },
    /// The primary host went offline: the connection is to be ended, by
    /// [`EdgeNode::disconnect`], and to be made anew.
    HostGone,
}

/// What cannot be a metric.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EdgeError {
    /// The device's id is none.
    #[error("the id of a device is empty or has one of + # / or NUL")]
    Device,
    /// The name is empty or one of those that the standard takes for itself.
    #[error("the name of a metric is empty or taken")]
    Name,
    /// There is no such metric.
    #[error("there is no such metric")]
    NoMetric,
    /// The value is none of the metric's type.
    #[error("{0}")]
    Value(#[from] ValueError),
}

impl EdgeNode {
    /// A node without metrics, whose first session has this number.
    pub fn new(config: EdgeConfig, bd_seq: u8) -> Self {
        Self {
            config,
            link: Link::Down,
            bd_seq,
            session: bd_seq,
            seq: 0,
            groups: BTreeMap::from([(None, Group::default())]),
            aliases: BTreeMap::new(),
            next_alias: 0,
            ready: VecDeque::new(),
            birth_due: false,
            born_at: None,
            host_since: None,
            store: Store::default(),
            events: VecDeque::new(),
        }
    }

    /// Adds a metric without a value, in place of one with the same name. Its node or device is then
    /// born again.
    ///
    /// # Errors
    ///
    /// An id or name is none.
    pub fn add(
        &mut self,
        device: Option<&str>,
        name: &str,
        data_type: DataType,
        properties: Option<PropertySet>,
    ) -> Result<(), EdgeError> {
        if device.is_some_and(|device| !is_id(device)) {
            return Err(EdgeError::Device);
        }
        if name.is_empty() || (device.is_none() && [BD_SEQ, REBIRTH].contains(&name)) {
            return Err(EdgeError::Name);
        }
        let (device, name): (Option<Arc<str>>, Arc<str>) = (device.map(Into::into), name.into());
        self.forget(&device, &name);
        let alias = self.config.aliases.then_some(self.next_alias);
        if let Some(alias) = alias {
            self.next_alias += 1;
            self.aliases.insert(alias, (device.clone(), Arc::clone(&name)));
        }
        let group = self.groups.entry(device.clone()).or_default();
        group.insert(name, data_type, alias, properties);
        self.bear(device);
        Ok(())
    }

    /// Takes a metric away. Its node or device is then born again, or dies where it has no other.
    pub fn remove(&mut self, device: Option<&str>, name: &str) {
        let device: Option<Arc<str>> = device.map(Into::into);
        if self.forget(&device, name) {
            self.bear(device);
        }
    }

    /// Gives a metric a value, or none. Tells whether anything changed.
    ///
    /// # Errors
    ///
    /// There is no such metric, or the value is none of its type.
    pub fn set(
        &mut self,
        device: Option<&str>,
        name: &str,
        value: Option<&Value>,
        quality: Quality,
        millis: u64,
    ) -> Result<bool, EdgeError> {
        let device: Option<Arc<str>> = device.map(Into::into);
        let group = self.groups.get_mut(&device).ok_or(EdgeError::NoMetric)?;
        // That there is nothing yet is no event of the past.
        let is_event = value.is_some() || group.has_value(name);
        let changed = group.set(name, value, quality, millis)?;
        if changed && self.link != Link::Up && is_event {
            let stored = group.stored(device, name);
            stored.into_iter().for_each(|it| self.store.push(it, self.config.history_max));
        } else if changed {
            // Does nothing without a connection.
            self.queue(device);
        }
        Ok(changed)
    }

    /// How many values were dropped because too many changed while nobody listened.
    pub const fn dropped(&self) -> u64 {
        self.store.dropped()
    }

    /// Says whether a device can be reached. A new device can.
    pub fn set_reachable(&mut self, device: &str, reachable: bool) {
        let device: Option<Arc<str>> = Some(device.into());
        if let Some(group) = self.groups.get_mut(&device)
            && core::mem::replace(&mut group.reachable, reachable) != reachable
        {
            group.birth_due = reachable;
            self.queue(device);
        }
    }

    /// A connection is about to be made, a session with a number of its own.
    pub fn connect(&mut self, now: Now) -> Connect {
        self.session = self.bd_seq;
        self.bd_seq = self.bd_seq.wrapping_add(1);
        let NodeId { group, node } = &self.config.id;
        let commands =
            [format!("spBv1.0/{group}/NCMD/{node}"), format!("spBv1.0/{group}/DCMD/{node}/#")];
        let state = self.config.primary_host.clone().map(|host| Topic::State(host).to_string());
        let topics = commands.into_iter().chain(state);
        let subscriptions = topics.map(|topic| (topic, QoS::AtLeastOnce)).collect();
        Connect { will: self.death(now), subscriptions }
    }

    /// The connection stands and the subscriptions are made. The births are told next, or when the
    /// primary host is online.
    pub fn on_connected(&mut self) {
        self.host_since = None;
        match self.config.primary_host {
            Some(_) => self.link = Link::Waiting,
            None => self.go_up(),
        }
    }

    /// The connection is gone.
    pub fn on_disconnected(&mut self) {
        self.link = Link::Down;
        self.ready.clear();
        for group in self.groups.values_mut() {
            group.queued = false;
        }
    }

    /// What says goodbye before the connection is ended on purpose: the broker tells no will then.
    pub fn disconnect(&mut self, now: Now) -> Option<Transmit> {
        let born = self.link == Link::Up && !self.birth_due;
        self.on_disconnected();
        born.then(|| self.death(now))
    }

    /// A message arrived.
    ///
    /// # Errors
    ///
    /// The payload is none. Topics that do not concern the node are passed over.
    pub fn handle(&mut self, topic: &str, payload: &[u8]) -> Result<(), DecodeError> {
        match Topic::parse(topic) {
            Ok(Topic::State(host)) if self.config.primary_host.as_ref() == Some(&host) => {
                self.on_state(payload);
                Ok(())
            }
            Ok(Topic::Edge(Kind::Cmd, source)) if source.node == self.config.id => {
                self.on_command(source.device, Payload::decode(payload, self.config.limits)?);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The next message to be published. Call it again when [`poll_timeout`](Self::poll_timeout) is
    /// reached.
    pub fn poll_transmit(&mut self, now: Now) -> Option<Transmit> {
        if self.link != Link::Up {
            return None;
        }
        if self.birth_due {
            if self.next_birth().is_some_and(|at| at > now.at) {
                return None;
            }
            return Some(self.node_birth(now));
        }
        while let Some(device) = self.ready.pop_front() {
            let Some(group) = self.groups.get_mut(&device) else { continue };
            group.queued = false;
            let next = group.next(self.config.batch_max);
            if group.has_more() {
                group.queued = true;
                self.ready.push_back(device.clone());
            }
            if group.is_empty() && device.is_some() {
                self.groups.remove(&device);
            }
            if let Some((kind, metrics)) = next {
                self.store.is_ready |= kind == Kind::Birth;
                return Some(self.message(now, kind, device, metrics));
            }
        }
        self.next_history(now)
    }

    /// What was kept, once the births are told and nothing of the present waits.
    fn next_history(&mut self, now: Now) -> Option<Transmit> {
        while self.store.is_ready && !self.store.is_empty() {
            let groups = &self.groups;
            let is_there =
                |device: &Option<Arc<str>>| groups.get(device).is_some_and(|group| group.born);
            let (device, values) = self.store.take(self.config.batch_max.max(1), is_there)?;
            let Some(group) = self.groups.get(&device) else { continue };
            let metrics: Vec<_> =
                values.into_iter().filter_map(|value| group.historical(value)).collect();
            if !metrics.is_empty() {
                return Some(self.message(now, Kind::Data, device, metrics));
            }
        }
        None
    }

    /// When births that were asked for may be told.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next_birth().filter(|_| self.birth_due && self.link == Link::Up)
    }

    /// What was heard.
    pub fn poll_event(&mut self) -> Option<EdgeEvent> {
        self.events.pop_front()
    }

    fn next_birth(&self) -> Option<Instant> {
        self.born_at.map(|at| at + self.config.rebirth_min)
    }

    fn go_up(&mut self) {
        self.link = Link::Up;
        self.birth_due = true;
        self.born_at = None;
    }

    fn on_state(&mut self, payload: &[u8]) {
        let Some(state) = State::decode(payload) else { return };
        // What was said before what is known came late.
        if self.host_since.is_some_and(|since| state.timestamp < since) {
            return;
        }
        self.host_since = Some(state.timestamp);
        match (self.link, state.online) {
            (Link::Waiting, true) => self.go_up(),
            (Link::Up, false) => self.events.push_back(EdgeEvent::HostGone),
            _ => {}
        }
    }

    fn on_command(&mut self, device: Option<Arc<str>>, payload: Payload) {
        for metric in payload.metrics {
            if device.is_none() && metric.name.as_deref() == Some(REBIRTH) {
                self.birth_due |= metric.value == Some(Raw::Bool(true));
                continue;
            }
            let by_alias = || self.aliases.get(&metric.alias?).filter(|(of, _)| *of == device);
            let name = match metric.name.as_deref() {
                Some(name) if !name.is_empty() => name,
                _ => match by_alias() {
                    Some((_, name)) => name,
                    None => continue,
                },
            };
            let Some((name, data_type)) = self.groups.get(&device).and_then(|g| g.find(name))
            else {
                continue;
            };
            let value = Metric { datatype: None, ..metric.clone() }.typed(Some(data_type));
            self.events.push_back(EdgeEvent::Write { device: device.clone(), metric: name, value });
        }
    }

    /// Forgets a metric and its alias.
    fn forget(&mut self, device: &Option<Arc<str>>, name: &str) -> bool {
        self.store.forget(device, name);
        let Some(group) = self.groups.get_mut(device) else { return false };
        let Some(alias) = group.remove(name) else { return false };
        if let Some(alias) = alias {
            self.aliases.remove(&alias);
        }
        true
    }

    /// The metrics of a node or a device are others than its birth said.
    fn bear(&mut self, device: Option<Arc<str>>) {
        if device.is_none() {
            self.birth_due = true;
            return;
        }
        if let Some(group) = self.groups.get_mut(&device) {
            group.birth_due = true;
            self.queue(device);
        }
    }

    fn queue(&mut self, device: Option<Arc<str>>) {
        if self.link != Link::Up {
            return;
        }
        if let Some(group) = self.groups.get_mut(&device)
            && !core::mem::replace(&mut group.queued, true)
        {
            self.ready.push_back(device);
        }
    }

    /// With the birth of the node its numbers start over, and every device is to be born again.
    fn node_birth(&mut self, now: Now) -> Transmit {
        self.birth_due = false;
        self.born_at = Some(now.at);
        self.seq = 0;
        self.ready.clear();
        let own = vec![self.session_metric(now), rebirth_metric(now)];
        let mut metrics = own;
        self.store.is_ready = true;
        for (device, group) in &mut self.groups {
            group.born = false;
            group.birth_due = device.is_some();
            group.queued = device.is_some();
            if device.is_some() {
                self.ready.push_back(device.clone());
            } else {
                metrics.extend(group.birth());
            }
        }
        self.message(now, Kind::Birth, None, metrics)
    }

    fn message(
        &mut self,
        now: Now,
        kind: Kind,
        device: Option<Arc<str>>,
        metrics: Vec<Metric>,
    ) -> Transmit {
        let seq = Some(self.seq.into());
        self.seq = self.seq.wrapping_add(1);
        let timestamp = Some(now.millis);
        let payload = Payload { timestamp, metrics, seq, ..Payload::default() };
        let source = Source { node: self.config.id.clone(), device };
        Transmit::of_edge(&Topic::Edge(kind, source), payload.encode())
    }

    fn death(&self, now: Now) -> Transmit {
        let metrics = vec![self.session_metric(now)];
        let payload = Payload { timestamp: Some(now.millis), metrics, ..Payload::default() };
        let topic = Topic::Edge(Kind::Death, self.config.id.source());
        Transmit { qos: QoS::AtLeastOnce, ..Transmit::of_edge(&topic, payload.encode()) }
    }

    fn session_metric(&self, now: Now) -> Metric {
        Metric {
            name: Some(BD_SEQ.into()),
            timestamp: Some(now.millis),
            datatype: Some(DataType::Int64.code()),
            value: Some(Raw::Long(self.session.into())),
            ..Metric::default()
        }
    }
}

/// Has no alias, so that a host can ask before it has heard a birth.
fn rebirth_metric(now: Now) -> Metric {
    Metric {
        name: Some(REBIRTH.into()),
        timestamp: Some(now.millis),
        datatype: Some(DataType::Boolean.code()),
        value: Some(Raw::Bool(false)),
        ..Metric::default()
    }
}

#[cfg(test)]
mod tests;
