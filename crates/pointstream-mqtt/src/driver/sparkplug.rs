//! The connector driver of kind `sparkplug`.

mod config;
mod points;

use std::future::pending;

use jiff::Timestamp;
use pointstream_conn::{
    Binding, Context, Driver, Features, Learn, OpError, Readings, Registry, Write,
};
use pointstream_point::{Fault, LearnPath, LearnRow, PointKey, Tag, Tags, Value};
use pointstream_time::Instant;

pub use config::SparkplugConfig;
pub use points::{MetricAddress, MetricAddressError, metric_of_point, point_of_metric};

use crate::QoS;
use crate::driver::{links, lost};
use crate::io::{Delivery, Line};
use crate::session::Message;
use crate::sparkplug::{Host, Now, Source, Topic, Transmit, filter_of_group};
use points::{Points, address_of, kind_of, path_of};

pub(super) fn register(registry: &mut Registry) {
    registry.register("sparkplug", move |config: SparkplugConfig, context: &Context| {
        config.mqtt.broker("").map_err(Fault::permanent)?;
        Sparkplug::new(config, context.seed).map_err(Fault::permanent)
    });
}

/// A host application of Sparkplug B, whose metrics are points.
///
/// It listens to its groups and knows every node and device that was born there. A birth or a death
/// shows on the points of its metrics at once; a node whose messages have a gap, or whose birth was
/// missed, is asked for its births. Each connection is a session of its own.
#[derive(Debug)]
pub struct Sparkplug {
    config: SparkplugConfig,
    seed: u64,
    host: Host,
    points: Points,
    line: Option<Line>,
    /// A message that is being handed over; a call that is dropped has not done it.
    outgoing: Option<Transmit>,
    /// The origin of the instants that the machine is told.
    origin: tokio::time::Instant,
}

impl Sparkplug {
    /// A driver. `seed` makes up the session's name where the configuration has none.
    ///
    /// # Errors
    ///
    /// The host's id is none.
    pub fn new(config: SparkplugConfig, seed: u64) -> Result<Self, crate::sparkplug::TopicError> {
        Ok(Self {
            host: Host::new(config.host())?,
            points: Points::default(),
            config,
            seed,
            line: None,
            outgoing: None,
            origin: tokio::time::Instant::now(),
        })
    }

    fn now(&self) -> Now {
        let millis = Timestamp::now().as_millisecond();
        Now {
            at: Instant::from_origin(self.origin.elapsed()),
            millis: u64::try_from(millis).unwrap_or_default(),
        }
    }

    fn filters(&self) -> Vec<(String, QoS)> {
        let groups = self.config.groups.iter().map(|group| filter_of_group(Some(group)));
        let mut filters: Vec<_> = groups.collect();
        if filters.is_empty() {
            filters.push(filter_of_group(None));
        } else if let Some(id) = self.config.host_id.clone() {
            filters.push(Topic::State(id).to_string());
        }
        filters.into_iter().map(|filter| (filter, QoS::AtLeastOnce)).collect()
    }

    fn hear(&mut self, message: &Message, into: &mut Readings) {
        // What is no message of Sparkplug, or has no room, is passed over: its node is asked anew.
        let _ = self.host.handle(self.now(), &message.topic, &message.payload);
        self.follow(into);
    }

    fn follow(&mut self, into: &mut Readings) {
        while let Some(event) = self.host.poll_event() {
            self.points.take(event, into);
        }
    }

    /// Publishes what the machine has to say.
    async fn flush(&mut self) -> Result<(), OpError> {
        let Some(line) = &self.line else { return Err(lost(&"there is no session")) };
        while let Some(transmit) = self.outgoing.take().or_else(|| self.host.poll_transmit()) {
            self.outgoing = Some(transmit.clone());
            line.publish(transmit).await.map_err(|error| lost(&error))?;
            self.outgoing = None;
        }
        Ok(())
    }

    /// Nodes that somebody wants to hear of.
    fn expect(&mut self) {
        let now = self.now();
        for node in self.points.nodes() {
            // Where there is no room for another node, its points stay down.
            let _ = self.host.expect(now, &node);
        }
    }

    fn row(&self, source: &Source) -> LearnRow {
        LearnRow::new(source.to_string()).with_learn(path_of(source))
    }

    async fn write_one(&self, write: &Write) -> Result<Result<Delivery, Fault>, OpError> {
        let Some(line) = &self.line else { return Err(lost(&"there is no session")) };
        let Some(address) = self.points.sink(write.key) else {
            return Ok(Err(Fault::permanent("there is no address to write to")));
        };
        let transmit = (|| {
            let found =
                self.host.metrics(&address.source).find(|(name, _)| *name == &*address.metric);
            let (_, data_type) = found.ok_or_else(|| {
                let (source, metric) = (&address.source, &address.metric);
                Fault::down(format_args!("{source} is not online with a metric {metric}"))
            })?;
            let value = metric_of_point(&write.value, data_type)?;
            let command = self.host.write(self.now(), &address.source, &address.metric, &value);
            command.map_err(Fault::permanent)
        })();
        match transmit {
            Ok(transmit) => line.publish(transmit).await.map(Ok).map_err(|error| lost(&error)),
            Err(fault) => Ok(Err(fault)),
        }
    }
}

impl Driver for Sparkplug {
    fn features(&self) -> Features {
        Features::NONE.with_watch().with_write().with_learn(Learn::Session)
    }

    /// Connects with a will of its own, subscribes, says that the host is online, and asks the nodes
    /// of all points for their births.
    async fn open(&mut self, _: &mut Readings) -> Result<(), OpError> {
        (self.line, self.outgoing) = (None, None);
        self.host.on_disconnected();
        self.points.forget();
        let fallback = format!("ps-{:016x}", self.seed);
        let broker = self.config.mqtt.broker(&fallback);
        let broker = broker.map_err(|error| OpError::Session(Fault::permanent(error)))?;
        let will = self.host.connect(self.now());
        let line = Line::open(broker, will, self.filters()).await;
        self.line = Some(line.map_err(|error| links::fault_of(&error))?);
        self.expect();
        self.host.on_connected(self.now());
        self.flush().await
    }

    async fn close(&mut self) {
        let last = self.host.disconnect();
        self.host.on_disconnected();
        if let Some(line) = self.line.take() {
            let _ = tokio::time::timeout(links::FAREWELL_MAX, line.close(last)).await;
        }
    }

    /// Needs no I/O: the client knows whether its keep-alives are answered.
    async fn ping(&mut self, _: &mut Readings) -> Result<Tags, OpError> {
        if !self.line.as_ref().is_some_and(Line::is_up) {
            return Err(lost(&"the connection was lost"));
        }
        let mut tags = Tags::new();
        let online = self.host.sources().count();
        tags.set("sparkplugOnline", Tag::Value(Value::number(online as f64)));
        Ok(tags)
    }

    fn bind(&mut self, points: &[Binding], into: &mut Readings) {
        self.points.bind(points, into);
        self.expect();
    }

    fn unbind(&mut self, points: &[PointKey]) {
        self.points.unbind(points);
    }

    async fn watch(&mut self, points: &[PointKey], into: &mut Readings) -> Result<(), OpError> {
        let online: std::collections::BTreeSet<_> = self.host.sources().collect();
        let unknown = self.points.show(points, |source| online.contains(source), into);
        let now = self.now();
        for node in unknown {
            self.host.refresh(now, &node);
        }
        self.flush().await
    }

    async fn unwatch(&mut self, _: &[PointKey], _: &mut Readings) -> Result<(), OpError> {
        // The births of a node come for all of its points; there is nothing to unsubscribe.
        Ok(())
    }

    async fn write(&mut self, writes: &[Write], into: &mut Readings) -> Result<(), OpError> {
        let mut deliveries = Vec::new();
        for write in writes {
            match self.write_one(write).await? {
                Ok(delivery) => deliveries.push((write.key, delivery)),
                Err(fault) => into.write_err(write.key, fault),
            }
        }
        for (key, delivery) in deliveries {
            if let Err(error) = delivery.outcome().await {
                into.write_err(key, Fault::down(error));
            }
        }
        Ok(())
    }

    /// Nodes, then the metrics of a node and its devices, then those of a device.
    async fn learn(&mut self, at: Option<&LearnPath>) -> Result<Vec<LearnRow>, OpError> {
        let Some(at) = at else {
            let nodes = self.host.sources().filter(|source| source.device.is_none());
            return Ok(nodes.map(|source| self.row(&source)).collect());
        };
        let address: Result<MetricAddress, _> = format!("{at}?x").parse();
        let source = address.map_err(|error| OpError::Refused(Fault::permanent(error)))?.source;
        let mut rows: Vec<_> = self
            .host
            .metrics(&source)
            .filter_map(|(name, data_type)| {
                let (kind, address) = (kind_of(data_type)?, address_of(&source, name));
                Some(LearnRow::new(name).with_cur(kind, &*address).with_write(&*address))
            })
            .collect();
        if source.device.is_none() {
            let devices =
                self.host.sources().filter(|it| it.device.is_some() && it.node == source.node);
            rows.extend(devices.map(|device| self.row(&device)));
        }
        Ok(rows)
    }

    async fn event(&mut self, into: &mut Readings) -> Result<(), OpError> {
        let due = self.host.poll_timeout();
        let origin = self.origin;
        let Some(line) = &mut self.line else { return Err(lost(&"there is no session")) };
        let message = tokio::select! {
            message = line.next() => Some(message.map_err(|error| links::fault_of(&error))?),
            () = async {
                match due {
                    Some(at) => tokio::time::sleep_until(origin + at.since_origin()).await,
                    None => pending().await,
                }
            } => None,
        };
        match message {
            Some(message) => self.hear(&message, into),
            None => {
                self.host.handle_timeout(self.now());
                self.follow(into);
            }
        }
        self.flush().await
    }
}
