//! A host application: what listens to edge nodes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use pointstream_time::Instant;

use super::datatype::DataType;
use super::message::{Now, Quality, REBIRTH, State, Transmit};
use super::payload::{Limits, Metric, Payload, PropertySet};
use super::topic::{Kind, NodeId, Source, Topic, TopicError};
use super::value::{Value, ValueError};
use super::{DecodeError, is_id};
use node::Node;

mod node;

/// The state machine of a host application.
///
/// It knows which nodes and devices are born and what their metrics are called, keeps their messages
/// in order, and asks a node for its births where something was lost or is not known. It is told the
/// time and given messages; it gives events, which are drained after each call, and messages to be
/// published.
///
/// Source: Sparkplug 3.0.0, 5.10 to 5.14 (host), 6.4.28 (sequence numbers).
#[derive(Debug)]
pub struct Host {
    config: HostConfig,
    /// Since when it is online, and whether it is.
    session: Option<(u64, bool)>,
    nodes: BTreeMap<NodeId, Node>,
    /// At most one state, and for each node one request in its time.
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
}

/// How a host is to be.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct HostConfig {
    /// The id under which it tells its state; without one it tells none.
    pub id: Option<Arc<str>>,
    /// What a payload may have at most.
    pub limits: Limits,
    /// How long a message that came too early waits for the one before it, and a device for its birth
    /// after that of its node; 2 s by default.
    pub reorder_timeout: Duration,
    /// The least time between two requests for births to a node, which doubles while no birth comes;
    /// 10 s by default, up to 5 min.
    pub rebirth_min: Duration,
    /// How many nodes are known at most; 1,000 by default. Beyond that a node that is offline makes
    /// room, or the message is refused.
    pub nodes_max: usize,
    /// How many metrics a node has with its devices at most; 100,000 by default. A birth with more is
    /// refused.
    pub metrics_max: usize,
}

impl Default for HostConfig {
    fn default() -> Self {
        Self {
            id: None,
            limits: Limits::default(),
            reorder_timeout: Duration::from_secs(2),
            rebirth_min: Duration::from_secs(10),
            nodes_max: 1_000,
            metrics_max: 100_000,
        }
    }
}

/// The longest time between two requests for births.
const REBIRTH_MAX: Duration = Duration::from_secs(300);

/// What a host hears.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A node or a device is there, with all of its metrics.
    Birth(Source, Vec<Reading>),
    /// Values of metrics.
    Data(Source, Vec<Reading>),
    /// A node or a device is gone. With a node its devices go, each with an event of its own.
    Death(Source),
}

/// A metric as it was told.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Reading {
    /// Its name.
    pub name: Arc<str>,
    /// Its type, as the birth said.
    pub data_type: DataType,
    /// Its value, none where it is null; or why it has none.
    pub value: Result<Option<Value>, ValueError>,
    /// When it was taken, in milliseconds since 1970 UTC; that of the payload where the metric says
    /// nothing.
    pub timestamp: Option<u64>,
    /// How good it is.
    pub quality: Quality,
    /// It is of the past and says nothing of the present.
    pub is_historical: bool,
    /// Its properties, where the message has any.
    pub properties: Option<Box<PropertySet>>,
}

/// What is wrong with a message, which then has no effect but perhaps a request for births.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// The topic is none of the namespace.
    #[error("{0}")]
    Topic(#[from] TopicError),
    /// The payload is none.
    #[error("{0}")]
    Payload(#[from] DecodeError),
    /// There is no room for another node.
    #[error("more than {0} nodes")]
    TooManyNodes(usize),
    /// There is no room for so many metrics.
    #[error("more than {0} metrics of one node")]
    TooManyMetrics(usize),
}

/// Why a value cannot be sent to a metric.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The node or the device is not born.
    #[error("it is not online")]
    Offline,
    /// It has no such metric.
    #[error("it has no such metric")]
    NoMetric,
    /// The value is none of the metric's type.
    #[error("{0}")]
    Value(#[from] ValueError),
}

impl Host {
    /// A host that knows nobody.
    ///
    /// # Errors
    ///
    /// Its id is none.
    pub fn new(config: HostConfig) -> Result<Self, TopicError> {
        if config.id.as_deref().is_some_and(|id| !is_id(id)) {
            return Err(TopicError::Id);
        }
        let (transmits, events) = (VecDeque::new(), VecDeque::new());
        Ok(Self { config, session: None, nodes: BTreeMap::new(), transmits, events })
    }

    /// A node that is to be asked for its births when a connection begins, and whenever its first
    /// message is not one.
    ///
    /// # Errors
    ///
    /// There are too many.
    pub fn expect(&mut self, now: Now, id: &NodeId) -> Result<(), HostError> {
        let online = self.session.is_some_and(|(_, online)| online);
        let node = self.node(id)?;
        node.expected = true;
        if online && !node.online {
            self.ask(now, id);
        }
        Ok(())
    }

    /// A node is asked for its births where something of them is wanted again, though not more often than
    /// it may be.
    pub fn refresh(&mut self, now: Now, id: &NodeId) {
        self.ask(now, id);
    }

    /// A connection is about to be made: the will with which, if the host has an id.
    pub fn connect(&mut self, now: Now) -> Option<Transmit> {
        self.session = Some((now.millis, false));
        let topic = self.state_topic()?;
        Some(Transmit::of_state(&topic, State::new(false, now.millis)))
    }

    /// The connection stands and the subscriptions are made.
    pub fn on_connected(&mut self, now: Now) {
        let since = self.session.map_or(now.millis, |(since, _)| since);
        self.session = Some((since, true));
        self.tell_state();
        let ids: Vec<NodeId> = self.nodes.keys().cloned().collect();
        for id in ids {
            self.ask(now, &id);
        }
    }

    /// The connection is gone, and with it what is known of who is online.
    pub fn on_disconnected(&mut self) {
        self.session = None;
        self.transmits.clear();
        for node in self.nodes.values_mut() {
            node.forget();
        }
    }

    /// What says goodbye before the connection is ended on purpose.
    pub fn disconnect(&mut self) -> Option<Transmit> {
        let (since, online) = self.session?;
        let topic = self.state_topic().filter(|_| online)?;
        Some(Transmit::of_state(&topic, State::new(false, since)))
    }

    /// A message arrived.
    ///
    /// # Errors
    ///
    /// It is none, or there is no room for what it tells.
    pub fn handle(&mut self, now: Now, topic: &str, payload: &[u8]) -> Result<(), HostError> {
        match Topic::parse(topic)? {
            Topic::State(host) => {
                self.on_state(&host, payload);
                Ok(())
            }
            Topic::Edge(Kind::Cmd, _) => Ok(()),
            Topic::Edge(kind, source) => self.on_edge(now, kind, source, payload),
        }
    }

    /// Time passed.
    pub fn handle_timeout(&mut self, now: Now) {
        let due = |node: &Node| node.next_timeout().is_some_and(|at| at <= now.at);
        let ids: Vec<NodeId> =
            self.nodes.iter().filter(|(_, node)| due(node)).map(|(id, _)| id.clone()).collect();
        for id in ids {
            let Some(node) = self.nodes.get_mut(&id) else { continue };
            let lost = node.on_timeout(now, &id, &self.config, &mut self.events);
            if lost {
                self.ask(now, &id);
            } else {
                self.ask_again(now, &id);
            }
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is wanted at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.nodes.values().filter_map(Node::next_timeout).min()
    }

    /// The next message to be published.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// What was heard.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The command that has a metric take a value.
    ///
    /// # Errors
    ///
    /// See [`WriteError`].
    pub fn write(
        &self,
        now: Now,
        source: &Source,
        metric: &str,
        value: &Value,
    ) -> Result<Transmit, WriteError> {
        let node = self.nodes.get(&source.node).ok_or(WriteError::Offline)?;
        let metrics = node.metrics(source.device.as_deref()).ok_or(WriteError::Offline)?;
        let born = metrics.get(metric).ok_or(WriteError::NoMetric)?;
        let mut command = Metric::new(metric, born.data_type, Some(value))?;
        command.timestamp = Some(now.millis);
        if let Some(alias) = born.alias {
            (command.name, command.alias) = (None, Some(alias));
        }
        Ok(command_of(now, source, command))
    }

    /// Who is online.
    pub fn sources(&self) -> impl Iterator<Item = Source> {
        self.nodes.iter().flat_map(|(id, node)| node.sources(id))
    }

    /// The metrics of a node or a device that is online, with their types.
    pub fn metrics(&self, source: &Source) -> impl Iterator<Item = (&str, DataType)> {
        let node = self.nodes.get(&source.node);
        let metrics = node.and_then(|node| node.metrics(source.device.as_deref()));
        let metrics = metrics.into_iter().flatten();
        metrics.map(|(name, born)| (&**name, born.data_type))
    }

    fn on_edge(
        &mut self,
        now: Now,
        kind: Kind,
        source: Source,
        payload: &[u8],
    ) -> Result<(), HostError> {
        let id = source.node.clone();
        self.node(&id)?;
        let result = match Payload::decode(payload, self.config.limits) {
            Ok(payload) => {
                let Some(node) = self.nodes.get_mut(&id) else { return Ok(()) };
                node.on_message(now, kind, source, payload, &self.config, &mut self.events)
            }
            // A message that cannot be read is as good as lost.
            Err(error) => Err((error.into(), kind != Kind::Death)),
        };
        match result {
            Ok(false) => Ok(()),
            Ok(true) => {
                self.ask(now, &id);
                Ok(())
            }
            Err((error, ask)) => {
                if ask {
                    self.ask(now, &id);
                }
                Err(error)
            }
        }
    }

    /// Another client says that this host is offline, or its own will came late.
    fn on_state(&mut self, host: &str, payload: &[u8]) {
        let Some((_, true)) = self.session else { return };
        let own = self.config.id.as_deref() == Some(host);
        if own && State::decode(payload).is_none_or(|state| !state.online) {
            self.tell_state();
        }
    }

    fn tell_state(&mut self) {
        if let (Some(topic), Some((since, _))) = (self.state_topic(), self.session)
            && !self.transmits.iter().any(|waiting| waiting.retain)
        {
            self.transmits.push_back(Transmit::of_state(&topic, State::new(true, since)));
        }
    }

    fn state_topic(&self) -> Option<Topic> {
        self.config.id.clone().map(Topic::State)
    }

    /// Asks a node for its births, unless it was asked a short while ago; then it is asked later.
    fn ask(&mut self, now: Now, id: &NodeId) {
        if let Some(node) = self.nodes.get_mut(id) {
            node.rebirth_wanted = true;
            self.ask_again(now, id);
        }
    }

    fn ask_again(&mut self, now: Now, id: &NodeId) {
        let online = self.session.is_some_and(|(_, online)| online);
        let Some(node) = self.nodes.get_mut(id) else { return };
        if !online || !node.may_ask(now.at, self.config.rebirth_min, REBIRTH_MAX) {
            return;
        }
        let mut metric = Metric { name: Some(REBIRTH.into()), ..Metric::default() };
        metric.timestamp = Some(now.millis);
        metric.datatype = Some(DataType::Boolean.code());
        metric.value = Some(super::Raw::Bool(true));
        self.transmits.push_back(command_of(now, &id.source(), metric));
    }

    /// A node, with room made for it.
    fn node(&mut self, id: &NodeId) -> Result<&mut Node, HostError> {
        let max = self.config.nodes_max;
        if !self.nodes.contains_key(id) && self.nodes.len() >= max {
            let idle = self.nodes.iter().find(|(_, node)| !node.online && !node.expected);
            let idle = idle.map(|(id, _)| id.clone()).ok_or(HostError::TooManyNodes(max))?;
            self.nodes.remove(&idle);
        }
        Ok(self.nodes.entry(id.clone()).or_insert_with(|| Node::new(self.config.rebirth_min)))
    }
}

fn command_of(now: Now, source: &Source, metric: Metric) -> Transmit {
    let payload =
        Payload { timestamp: Some(now.millis), metrics: vec![metric], ..Payload::default() };
    Transmit::of_edge(&Topic::Edge(Kind::Cmd, source.clone()), payload.encode())
}

#[cfg(test)]
mod tests;
