//! Pollers that run: each fetches by a client and publishes to a topic, while that has subscribers.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use http::StatusCode;
use pointstream_hub::{Error, ErrorCode, Fault, Fetched, Hub, TopicId};
use pointstream_time::{Instant, Seed};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};

pub use crate::io::{Client, ClientOptions, Lookup, Resolve, SystemResolver};
use crate::{Answer, Config, ConfigError, Event, Failure, FetchError, Poller, Rejection};

/// The pollers of a hub's topics. Each runs in a task of its own, which ends with this.
///
/// A poller polls while its topic has subscribers. Who waits for [`Hub::demand`] tells it which topic
/// to look at by [`on_demand`](Self::on_demand); where nobody else does, [`run`](Self::run) is that.
pub struct Pollers {
    hub: Hub,
    /// A poller ends when its sender does.
    wanted: BTreeMap<TopicId, Wanted>,
    tasks: JoinSet<()>,
}

struct Wanted {
    sender: watch::Sender<bool>,
    always: bool,
}

impl Pollers {
    /// None so far.
    pub fn new(hub: Hub) -> Self {
        Self { hub, wanted: BTreeMap::new(), tasks: JoinSet::new() }
    }

    /// Begins to poll for a topic of the hub, whenever that has subscribers, or always. Another poller
    /// of the same topic ends.
    ///
    /// Must be called within a runtime of tokio.
    ///
    /// # Errors
    ///
    /// What cannot be polled as it is configured.
    pub fn add(
        &mut self,
        topic: &TopicId,
        source: Source,
        client: ClientOptions,
        seed: Seed,
    ) -> Result<(), ConfigError> {
        let poller = Poller::new(source.config, seed)?;
        let (sender, receiver) = watch::channel(source.always_on);
        let sink = HubSink { hub: self.hub.clone(), topic: topic.clone() };
        while self.tasks.try_join_next().is_some() {}
        self.tasks.spawn(run(poller, Client::new(client), sink, receiver));
        self.wanted.insert(topic.clone(), Wanted { sender, always: source.always_on });
        self.on_demand(topic);
        Ok(())
    }

    /// Ends the poller of a topic, after the poll under way.
    pub fn remove(&mut self, topic: &TopicId) {
        self.wanted.remove(topic);
    }

    /// Looks whether a topic has subscribers.
    pub fn on_demand(&self, topic: &TopicId) {
        let Some(Wanted { sender, always }) = self.wanted.get(topic) else { return };
        let followed = || self.hub.topic(topic.as_str()).is_ok_and(|info| info.subscribers > 0);
        let wanted = *always || followed();
        sender.send_if_modified(|now| std::mem::replace(now, wanted) != wanted);
    }

    /// Waits for the hub's demand for as long as it is polled.
    ///
    /// *Cancel safety*: dropping the future ends all pollers.
    pub async fn run(self) {
        loop {
            let topic = self.hub.demand().await;
            self.on_demand(&topic);
        }
    }
}

impl fmt::Debug for Pollers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pollers").field("topics", &self.wanted.keys()).finish_non_exhaustive()
    }
}

/// What is polled for a topic.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Source {
    /// What, and how.
    pub config: Config,
    /// Also while nobody listens.
    pub always_on: bool,
}

impl Source {
    /// Polled while somebody listens.
    pub const fn new(config: Config) -> Self {
        Self { config, always_on: false }
    }
}

/// A topic as the sink of its poller.
#[derive(Debug)]
struct HubSink {
    hub: Hub,
    topic: TopicId,
}

impl Sink for HubSink {
    fn publish(&mut self, json: &[u8]) -> Result<(), Rejection> {
        match self.hub.publish(self.topic.as_str(), json) {
            Ok(_) => Ok(()),
            Err(Error::NotJson(_)) => Err(Rejection::NotJson),
            Err(Error::DocumentTooLarge { .. }) => Err(Rejection::TooLarge),
            Err(_) => Err(Rejection::NotTaken),
        }
    }

    fn on_failure(&mut self, failure: Failure) {
        warn!(topic = %self.topic, code = failure.code(), "{failure}");
        let mut fault = Fault::new(code(failure), failure.to_string());
        fault.source_status = failure.source_status;
        // A topic that is gone has nobody to be told.
        let _ = self.hub.set_fault(self.topic.as_str(), Some(fault));
    }

    fn on_recovery(&mut self) {
        info!(topic = %self.topic, "The source is well again.");
        let _ = self.hub.set_fault(self.topic.as_str(), None);
    }

    fn on_fetch(&mut self, fetched: Fetched, took: Duration) {
        let _ = self.hub.on_fetch(self.topic.as_str(), fetched, took);
    }
}

const fn code(failure: Failure) -> ErrorCode {
    match failure.code() {
        60_100 => ErrorCode::SourceConnection,
        60_101 => ErrorCode::SourceCredentials,
        60_102 => ErrorCode::SourceCredentialsRevoked,
        60_103 => ErrorCode::SourceCredentialsExpired,
        60_400 => ErrorCode::SourceHost,
        61_500 => ErrorCode::SourceFormat,
        _ => ErrorCode::Source,
    }
}

/// Where the documents of a source go, and its failures.
pub trait Sink: Send {
    /// Takes a document.
    ///
    /// # Errors
    ///
    /// Why it is not taken; the source counts as failed then.
    fn publish(&mut self, json: &[u8]) -> Result<(), Rejection>;

    /// The source has begun to fail, or fails in another way than before.
    fn on_failure(&mut self, failure: Failure);

    /// The source is well again.
    fn on_recovery(&mut self);

    /// The source was asked once, or its provider of tokens.
    fn on_fetch(&mut self, fetched: Fetched, took: Duration) {
        let _ = (fetched, took);
    }
}

/// Runs a poller for as long as `wanted` has a sender.
///
/// *Cancel safety*: dropping the future ends the poll under way.
pub async fn run(
    mut poller: Poller,
    mut client: Client,
    mut sink: impl Sink,
    mut wanted: watch::Receiver<bool>,
) {
    let clock = Clock::start();
    loop {
        poller.set_wanted(*wanted.borrow_and_update());
        poller.handle_timeout(clock.now());
        while let Some(fetch) = poller.poll_transmit() {
            let begun = clock.now();
            let answer = client.fetch(&fetch).await;
            sink.on_fetch(fetched(&answer), clock.now().since(begun));
            poller.handle_answer(clock.now(), answer);
            deliver(&mut poller, &mut sink, clock);
        }
        let due = poller.poll_timeout();
        let timer = async {
            match due {
                Some(due) => tokio::time::sleep_until(clock.at(due)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = timer => {}
            changed = wanted.changed() => if changed.is_err() { return },
        }
    }
}

fn fetched(answer: &Result<Answer, FetchError>) -> Fetched {
    match answer {
        Ok(answer) if answer.status == StatusCode::NOT_MODIFIED => Fetched::Unchanged,
        Ok(answer) if answer.status.is_success() || answer.status.is_redirection() => {
            Fetched::Answered
        }
        _ => Fetched::Failed,
    }
}

fn deliver(poller: &mut Poller, sink: &mut impl Sink, clock: Clock) {
    while let Some(event) = poller.poll_event() {
        match event {
            Event::Document(json) => {
                let verdict = sink.publish(&json);
                poller.handle_verdict(clock.now(), verdict);
            }
            Event::Failed(failure) => sink.on_failure(failure),
            Event::Recovered => sink.on_recovery(),
        }
    }
}

/// The time of a shell, from its start on.
#[derive(Clone, Copy)]
struct Clock(tokio::time::Instant);

impl Clock {
    fn start() -> Self {
        Self(tokio::time::Instant::now())
    }

    fn now(self) -> Instant {
        Instant::from_origin(self.0.elapsed())
    }

    fn at(self, instant: Instant) -> tokio::time::Instant {
        self.0 + instant.since_origin().min(FAR)
    }
}

/// Later than anybody waits for.
const FAR: Duration = Duration::from_secs(86_400 * 365);
