use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use core::time::Duration;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::io::broker::Broker;
use crate::io::observe::{Observation, Observed};
use crate::io::takers::{Gate, Inbox, TakerId};
use crate::io::task::{Command, Task};
use crate::packet::{QoS, Reason, SubscribeOptions};
use crate::session::{Connected, End, Publication, PublishError, PublishFault, SubscribeError};
use crate::topic::{check_filter, check_name};

/// One session with a broker, shared by whoever holds the client.
///
/// There is a connection while somebody wants one: a [`Pin`], an [`Observation`] or a message to be
/// published. It is made again, at growing intervals, as long as that is so. The session lasts as
/// long as the client: subscriptions and messages that are not acknowledged are taken up again with
/// each connection. When the last clone is dropped, the connection is cut off.
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

/// A client that is there as long as others hold it.
#[cfg(feature = "driver")]
#[derive(Clone, Debug)]
pub(crate) struct WeakClient(std::sync::Weak<Inner>);

#[cfg(feature = "driver")]
impl WeakClient {
    pub(crate) fn upgrade(&self) -> Option<Client> {
        self.0.upgrade().map(Client)
    }
}

#[derive(Debug)]
struct Inner {
    commands: mpsc::Sender<Command>,
    link: watch::Receiver<Link>,
    demand: Arc<Demand>,
    /// Who is gone. Bounded by those who came, each of whom goes once.
    gone: Arc<Mutex<Vec<TakerId>>>,
    queue: Arc<Semaphore>,
    last_id: AtomicU64,
    /// Ends the task with the last client.
    _task: Mutex<JoinSet<()>>,
}

/// How many want a connection, and a way to tell that it changed.
#[derive(Debug, Default)]
pub(crate) struct Demand {
    count: AtomicUsize,
    pub(crate) changed: Notify,
}

/// How it stands between a client and its broker.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Link {
    /// Nobody wants a connection.
    #[default]
    Idle,
    /// It is being made.
    Connecting,
    /// The broker has accepted it. Each connection has another number.
    Up(u64, Arc<Connected>),
    /// It was lost or could not be made, and will be tried again.
    Down(Arc<ClientError>),
}

/// Why there is no connection, or why something was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The broker cannot be reached.
    #[error("{0}")]
    Dial(#[source] io::Error),
    /// The stream has failed, and how.
    #[error("the connection was lost: {0}")]
    Lost(#[source] io::Error),
    /// The session's connection has ended.
    #[error("{0}")]
    End(#[source] End),
    /// The message was not delivered.
    #[error("{0}")]
    Fault(#[source] PublishFault),
    /// The message was not taken.
    #[error("{0}")]
    Publish(#[from] PublishError),
    /// The filter was not taken.
    #[error("{0}")]
    Subscribe(#[from] SubscribeError),
    /// The broker has refused a subscription.
    #[error("the broker has refused the subscription: {0}")]
    Refused(Reason),
    /// The client has ended.
    #[error("the client has ended")]
    Ended,
}

impl PartialEq for ClientError {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

/// As long as one of these is held, the connection is kept or made again.
#[derive(Debug)]
pub struct Pin(Arc<Demand>);

/// A message on its way: awaited, it says what became of it.
#[derive(Debug)]
pub struct Delivery {
    outcome: oneshot::Receiver<Result<(), ClientError>>,
}

/// How many commands may wait for the task; who has more waits.
const COMMANDS_MAX: usize = 256;

/// How many messages may wait in an inbox before the session is not read from any more.
pub(crate) const INBOX_MAX: usize = 1024;

impl Client {
    /// A client of a broker, without a connection yet. Call it within a tokio runtime.
    pub fn new(broker: Broker) -> Self {
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let (link, watch) = watch::channel(Link::Idle);
        let demand = Arc::<Demand>::default();
        let gone = Arc::<Mutex<Vec<TakerId>>>::default();
        let queue = Arc::new(Semaphore::new(broker.session.queue_max.max(1)));
        let task = Task::new(broker, receiver, link, Arc::clone(&demand), Arc::clone(&gone));
        let mut tasks = JoinSet::new();
        tasks.spawn(task.run());
        Self(Arc::new(Inner {
            commands,
            link: watch,
            demand,
            gone,
            queue,
            last_id: AtomicU64::new(0),
            _task: Mutex::new(tasks),
        }))
    }

    #[cfg(feature = "driver")]
    pub(crate) fn downgrade(&self) -> WeakClient {
        WeakClient(Arc::downgrade(&self.0))
    }

    /// Has the task look again at who is there.
    #[cfg(feature = "driver")]
    pub(crate) fn look(&self) {
        self.0.demand.changed.notify_one();
    }

    /// Whether anybody wants a connection.
    #[cfg(feature = "driver")]
    pub(crate) fn is_wanted(&self) -> bool {
        self.0.demand.is_any()
    }

    /// Has the connection made and kept.
    pub fn pin(&self) -> Pin {
        Pin::new(&self.0.demand)
    }

    /// How it stands, and a way to wait for a change.
    pub fn link(&self) -> watch::Receiver<Link> {
        self.0.link.clone()
    }

    /// Waits until there is a connection. Hold a [`Pin`], or there may never be one.
    ///
    /// # Errors
    ///
    /// The next attempt has failed; there will be others.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn connected(&self) -> Result<(u64, Arc<Connected>), Arc<ClientError>> {
        let mut link = self.link();
        // An old failure is not the answer to a new question.
        if matches!(*link.borrow_and_update(), Link::Down(_)) {
            self.0.demand.changed.notify_one();
            if link.changed().await.is_err() {
                return Err(Arc::new(ClientError::Ended));
            }
        }
        loop {
            match &*link.borrow_and_update() {
                Link::Up(number, connected) => return Ok((*number, Arc::clone(connected))),
                Link::Down(error) => return Err(Arc::clone(error)),
                Link::Idle | Link::Connecting => {}
            }
            if link.changed().await.is_err() {
                return Err(Arc::new(ClientError::Ended));
            }
        }
    }

    /// Waits until the connection has ended in order, for a second at most: its will is then not
    /// published. It ends when nobody wants it any more; drop pins and observations before.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn close(&self) {
        let mut link = self.link();
        let gone = link.wait_for(|link| !matches!(link, Link::Up(..) | Link::Connecting));
        let _ = tokio::time::timeout(Duration::from_secs(1), gone).await;
    }

    /// Takes a message to be published. There is room for so many as the session's queue has; who
    /// has more waits. What becomes of the message is what the [`Delivery`] gives; it is delivered
    /// whether that is awaited or not.
    ///
    /// # Errors
    ///
    /// The topic has wildcards, or the client has ended.
    ///
    /// # Cancel safety
    ///
    /// Safe: a call that is dropped has published nothing.
    pub async fn publish(&self, message: Publication) -> Result<Delivery, ClientError> {
        self.send(message, false).await
    }

    /// As [`publish`](Self::publish), but the message is taken back when the connection is lost before
    /// it was delivered, as far as that can be: it is worth nothing later.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish).
    ///
    /// # Cancel safety
    ///
    /// Safe: a call that is dropped has published nothing.
    pub async fn publish_now(&self, message: Publication) -> Result<Delivery, ClientError> {
        self.send(message, true).await
    }

    async fn send(&self, message: Publication, only_now: bool) -> Result<Delivery, ClientError> {
        check_name(&message.topic).map_err(PublishError::from)?;
        let permit = Arc::clone(&self.0.queue).acquire_owned().await;
        let permit = permit.map_err(|_| ClientError::Ended)?;
        let (reply, outcome) = oneshot::channel();
        let publishing = Publishing { reply, only_now, _permit: permit, _pin: self.pin() };
        self.command(Command::Publish(message, publishing)).await?;
        Ok(Delivery { outcome })
    }

    /// Observes the topics of a filter, `$share/NAME/` included.
    ///
    /// # Errors
    ///
    /// The filter is none, or the broker has refused it.
    ///
    /// # Cancel safety
    ///
    /// Safe: a call that is dropped leaves no subscription.
    pub async fn observe(&self, filter: &str, qos: QoS) -> Result<Observation, ClientError> {
        self.observe_all([filter], qos).await
    }

    /// Observes the topics of several filters as one stream. A message that several of them match
    /// comes once.
    ///
    /// # Errors
    ///
    /// A filter is none, or the broker has refused it.
    ///
    /// # Cancel safety
    ///
    /// Safe: a call that is dropped leaves no subscription.
    pub async fn observe_all<'f>(
        &self,
        filters: impl IntoIterator<Item = &'f str>,
        qos: QoS,
    ) -> Result<Observation, ClientError> {
        let options = SubscribeOptions { qos, ..SubscribeOptions::default() };
        let mut wanted = Vec::new();
        for filter in filters {
            check_filter(filter).map_err(SubscribeError::from)?;
            wanted.push((filter.into(), options));
        }
        let (id, gate) = (self.new_id(), Arc::<Gate>::default());
        let inbox = self.attach(id, Arc::clone(&gate), Vec::new()).await?;
        // Before there is a connection, so that nothing of a session that is resumed passes by.
        let results = self.subscribe(id, wanted).await;
        let observation = Observation { inbox, id, gate, client: self.clone(), _pin: self.pin() };
        let results = results?;
        match results.await {
            Ok(results) => match results.iter().find_map(|(_, result)| result.err()) {
                Some(reason) => Err(ClientError::Refused(reason)),
                None => Ok(observation),
            },
            Err(_) => Err(ClientError::Ended),
        }
    }

    /// A name for an inbox.
    pub(crate) fn new_id(&self) -> TakerId {
        self.0.last_id.fetch_add(1, Ordering::Relaxed)
    }

    /// An inbox for messages, those of `filters` even before they are subscribed to: a session that
    /// is resumed may have some. It takes the place of an earlier one of its name.
    pub(crate) async fn attach(
        &self,
        id: TakerId,
        gate: Arc<Gate>,
        filters: Vec<Arc<str>>,
    ) -> Result<mpsc::Receiver<Observed>, ClientError> {
        let (sender, inbox) = mpsc::channel(INBOX_MAX);
        self.command(Command::Attach(id, Inbox { sender, gate }, filters)).await?;
        Ok(inbox)
    }

    /// An inbox is no more.
    pub(crate) fn detach(&self, id: TakerId) {
        self.0.gone.lock().unwrap_or_else(PoisonError::into_inner).push(id);
        self.0.demand.changed.notify_one();
    }

    /// Subscribes an inbox to filters; gives the answers when all are there.
    pub(crate) async fn subscribe(
        &self,
        id: TakerId,
        filters: Vec<(Arc<str>, SubscribeOptions)>,
    ) -> Result<oneshot::Receiver<Answers>, ClientError> {
        let (reply, answers) = oneshot::channel();
        self.command(Command::Subscribe(id, filters, reply)).await?;
        Ok(answers)
    }

    /// Ends subscriptions of an inbox.
    #[cfg(feature = "driver")]
    pub(crate) async fn unsubscribe(
        &self,
        id: TakerId,
        filters: Vec<Arc<str>>,
    ) -> Result<(), ClientError> {
        self.command(Command::Unsubscribe(id, filters)).await
    }

    async fn command(&self, command: Command) -> Result<(), ClientError> {
        self.0.commands.send(command).await.map_err(|_| ClientError::Ended)
    }
}

/// What a broker said to filters.
pub(crate) type Answers = Vec<(Arc<str>, Result<QoS, Reason>)>;

/// A message that was handed to the task.
#[derive(Debug)]
pub(crate) struct Publishing {
    pub(crate) reply: oneshot::Sender<Result<(), ClientError>>,
    pub(crate) only_now: bool,
    _permit: OwnedSemaphorePermit,
    /// A message wants a connection.
    _pin: Pin,
}

impl Delivery {
    /// What became of the message.
    ///
    /// # Errors
    ///
    /// It was not delivered: refused, taken back, or the client has ended.
    ///
    /// # Cancel safety
    ///
    /// Safe: the message is delivered all the same.
    pub async fn outcome(self) -> Result<(), ClientError> {
        self.outcome.await.unwrap_or(Err(ClientError::Ended))
    }
}

impl Demand {
    pub(crate) fn is_any(&self) -> bool {
        self.count.load(Ordering::Acquire) > 0
    }
}

impl Pin {
    fn new(demand: &Arc<Demand>) -> Self {
        if demand.count.fetch_add(1, Ordering::AcqRel) == 0 {
            demand.changed.notify_one();
        }
        Self(Arc::clone(demand))
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.changed.notify_one();
        }
    }
}
