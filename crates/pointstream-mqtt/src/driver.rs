//! The connector driver of kind `mqtt`.

mod inbox;
mod links;
mod points;
mod sessions;
mod sparkplug;
mod write;

use std::collections::BTreeSet;
use std::sync::Arc;

use pointstream_conn::{Binding, Context, Driver, Features, OpError, Readings, Registry, Write};
use pointstream_point::{Fault, Id, PointKey, Tag, Tags, Value};
use tokio::sync::{mpsc, watch};

pub use sessions::{ObserveError, Sessions};
pub use sparkplug::{
    MetricAddress, MetricAddressError, Sparkplug, SparkplugConfig, metric_of_point, point_of_metric,
};

use crate::config::Config;
use crate::driver::links::Links;
use crate::driver::points::Points;
use crate::io::{Client, Gate, Link, Observed, Pin, TakerId};
use crate::packet::SubscribeOptions;

/// Teaches `registry` the kinds `mqtt`, configured by [`Config`], and `sparkplug`, by
/// [`SparkplugConfig`].
///
/// Connectors of one registry that say the same of their broker share one session. By the
/// [`Sessions`] that this gives, an application observes topics beside the points.
pub fn register(registry: &mut Registry) -> Sessions {
    let sessions = Sessions::default();
    let links = Arc::clone(&sessions.0);
    registry.register("mqtt", move |config: Config, context: &Context| {
        // What is wrong with a file is said at once, not at the first connection.
        config.broker("").map_err(Fault::permanent)?;
        links.begin(&context.id, context.seed, &config);
        let mut driver = Mqtt::on_links(config, Arc::clone(&links), context.seed);
        driver.connector = Some(context.id.clone());
        Ok(driver)
    });
    sparkplug::register(registry);
    sessions
}

/// A client of a broker, whose topics are points.
///
/// Points that are watched are subscribed to; a message is a reading of each point whose filter
/// matches and whose payload holds what its address says. A payload that does not is a fault of its
/// point. What was subscribed to stays so from one connection to the next, so that a session that the
/// broker keeps goes on where it was.
#[derive(Debug)]
pub struct Mqtt {
    config: Config,
    links: Arc<Links>,
    seed: u64,
    points: Points,
    watched: BTreeSet<PointKey>,
    /// Filters that the session was asked for.
    subscribed: BTreeSet<Arc<str>>,
    way: Option<Way>,
    session: Option<Open>,
    /// The connector that it was made for, where a registry made it.
    connector: Option<Id>,
    /// Kept from event to event for its memory.
    batch: Vec<Observed>,
}

/// The way to the session, which is kept from one opening to the next: what comes in between waits
/// in the inbox.
#[derive(Debug)]
struct Way {
    client: Client,
    id: TakerId,
    inbox: Option<mpsc::Receiver<Observed>>,
    gate: Arc<Gate>,
}

/// An open session, as one connector has it.
#[derive(Debug)]
struct Open {
    link: watch::Receiver<Link>,
    /// The number of the connection; another one is another session for the framework.
    number: u64,
    _pin: Pin,
}

impl Mqtt {
    /// A driver with a session of its own. `seed` makes up the session's name where the configuration
    /// has none.
    pub fn new(config: Config, seed: u64) -> Self {
        Self::on_links(config, Arc::default(), seed)
    }

    fn on_links(config: Config, links: Arc<Links>, seed: u64) -> Self {
        Self {
            points: Points::new(config.qos, config.availability.clone()),
            config,
            links,
            seed,
            watched: BTreeSet::new(),
            subscribed: BTreeSet::new(),
            way: None,
            session: None,
            connector: None,
            batch: Vec::new(),
        }
    }

    /// The way, which is made with the first session and kept as long as the driver.
    fn way(&mut self) -> Result<&mut Way, Fault> {
        if self.way.is_none() {
            let client = self.links.client(&self.config, self.seed)?;
            let id = client.new_id();
            self.way = Some(Way { client, id, inbox: None, gate: Arc::default() });
        }
        self.way.as_mut().ok_or_else(|| Fault::down("there is no client"))
    }

    /// Subscribes to filters, and takes what comes meanwhile. Points of filters that are refused are
    /// named.
    async fn subscribe(
        &mut self,
        filters: Vec<(Arc<str>, SubscribeOptions)>,
        into: &mut Readings,
    ) -> Result<(), OpError> {
        if filters.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = filters.iter().map(|(filter, _)| Arc::clone(filter)).collect();
        let Way { client, id, .. } = self.way().map_err(OpError::Session)?;
        let asked = client.subscribe(*id, filters).await;
        let mut answers = asked.map_err(|error| lost(&error))?;
        self.subscribed.extend(names);
        loop {
            tokio::select! {
                answers = &mut answers => {
                    let answers = answers.map_err(|_| lost(&"the client has ended"))?;
                    for (filter, result) in answers {
                        if let Err(reason) = result {
                            self.subscribed.remove(&filter);
                            self.points.refuse(&filter, reason, |key, fault| {
                                into.unwatchable(key, fault);
                            });
                        }
                    }
                    return Ok(());
                }
                result = inbox::receive(&mut self.way, &mut self.session, &mut self.batch) => {
                    result?;
                    self.points.take(&mut self.batch, into);
                }
            }
        }
    }
}

impl Drop for Mqtt {
    fn drop(&mut self) {
        if let Some(connector) = &self.connector {
            self.links.end(connector, self.seed);
        }
        if let Some(Way { client, id, .. }) = &self.way {
            client.detach(*id);
        }
    }
}

impl Driver for Mqtt {
    fn features(&self) -> Features {
        Features::NONE.with_watch().with_write()
    }

    /// Connects, or joins the connection that another connector has. The broker's acceptance is the
    /// sign of life.
    async fn open(&mut self, _: &mut Readings) -> Result<(), OpError> {
        self.session = None;
        let filters = self.points.filters();
        let Way { client, id, inbox, gate } = self.way().map_err(OpError::Session)?;
        let has_missed = gate.enter();
        // Before there is a connection: a session that is resumed may have messages at once.
        if inbox.is_none() || has_missed {
            let new = client.attach(*id, Arc::clone(gate), filters).await;
            *inbox = Some(new.map_err(|error| lost(&error))?);
        }
        let pin = client.pin();
        let connected = client.connected().await;
        let link = client.link();
        let (number, _) = connected.map_err(|error| links::fault_of(&error))?;
        self.session = Some(Open { link, number, _pin: pin });
        Ok(())
    }

    /// Leaves the session, and waits for a moment until the broker has been told, if this was the last
    /// who wanted it.
    async fn close(&mut self) {
        let Some(Way { client, gate, .. }) = &self.way else { return };
        gate.leave();
        client.look();
        let Some(Open { mut link, _pin: pin, .. }) = self.session.take() else { return };
        drop(pin);
        if !client.is_wanted() {
            let gone = link.wait_for(|link| !matches!(link, Link::Up(..)));
            let _ = tokio::time::timeout(links::FAREWELL_MAX, gone).await;
        }
    }

    /// Needs no I/O: the client knows whether its keep-alives are answered.
    async fn ping(&mut self, into: &mut Readings) -> Result<Tags, OpError> {
        inbox::receive_ready(&mut self.way, &self.session, &mut self.batch)?;
        self.points.take(&mut self.batch, into);
        let mut tags = Tags::new();
        if let Some(Link::Up(_, connected)) =
            self.session.as_ref().map(|open| open.link.borrow().clone())
        {
            tags.set("mqttClientId", Tag::Value(Value::str(&*connected.client_id)));
            tags.set("mqttSessionPresent", Tag::Value(Value::Bool(connected.session_present)));
            if !connected.session_expiry.is_zero() {
                let secs = connected.session_expiry.as_secs_f64();
                tags.set("mqttSessionExpiry", Tag::Value(Value::number(secs)));
            }
        }
        Ok(tags)
    }

    fn bind(&mut self, points: &[Binding], into: &mut Readings) {
        self.points.bind(points, into);
    }

    fn unbind(&mut self, points: &[PointKey]) {
        self.watched.retain(|key| !points.contains(key));
        self.points.unbind(points);
    }

    async fn watch(&mut self, points: &[PointKey], into: &mut Readings) -> Result<(), OpError> {
        self.watched.extend(points.iter().copied());
        let wanted = self.points.wanted(&self.watched);
        let new = wanted.iter().filter(|(filter, _)| !self.subscribed.contains(*filter));
        let new = new.map(|(filter, options)| (Arc::clone(filter), *options)).collect();
        self.subscribe(new, into).await?;
        self.points.show_availability(points, into);
        Ok(())
    }

    async fn unwatch(&mut self, points: &[PointKey], _: &mut Readings) -> Result<(), OpError> {
        self.watched.retain(|key| !points.contains(key));
        let wanted = self.points.wanted(&self.watched);
        let kept = |filter: &Arc<str>| wanted.contains_key(filter);
        let gone: Vec<_> = self.subscribed.iter().filter(|it| !kept(it)).map(Arc::clone).collect();
        self.subscribed.retain(kept);
        if !gone.is_empty()
            && let Some(Way { client, id, .. }) = &self.way
        {
            client.unsubscribe(*id, gone).await.map_err(|error| lost(&error))?;
        }
        Ok(())
    }

    async fn write(&mut self, writes: &[Write], into: &mut Readings) -> Result<(), OpError> {
        self.write_all(writes, into).await
    }

    async fn event(&mut self, into: &mut Readings) -> Result<(), OpError> {
        let result = inbox::receive(&mut self.way, &mut self.session, &mut self.batch).await;
        self.points.take(&mut self.batch, into);
        result
    }
}

/// The session is gone, for a reason.
fn lost(reason: &impl core::fmt::Display) -> OpError {
    OpError::Session(Fault::down(reason))
}
