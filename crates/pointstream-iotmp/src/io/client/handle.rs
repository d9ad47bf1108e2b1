use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::string::{String, ToString};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot, watch};

use super::Status;
use crate::session::Answer;
use crate::{Payload, SerdeError, Tree};

/// What an application tells its device to do, whether it is connected or not.
#[derive(Clone, Debug)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    status: watch::Receiver<Status>,
    counters: Arc<Counters>,
}

/// What a device keeps for the time when it is connected again.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) kept: AtomicU64,
    pub(super) lost: AtomicU64,
}

#[derive(Debug)]
pub(super) enum Command {
    /// Tell the present value of a resource to whoever wants it.
    Raise {
        resource: String,
    },
    /// Carry out a resource of the server.
    Call {
        number: u64,
        target: Tree,
        payload: Option<Payload>,
        answer: oneshot::Sender<Result<Answer, HandleError>>,
    },
    Publish {
        topic: String,
        value: Payload,
        retained: bool,
    },
    Subscribe {
        /// The path to be subscribed to, where it is not the server's own resource for that.
        path: Option<String>,
        parameters: Tree,
        values: mpsc::Sender<Payload>,
    },
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HandleError {
    /// The device has ended.
    #[error("the device has ended")]
    Ended,
    /// There is no connection, or it was lost before the answer came.
    #[error("the device is not connected")]
    Offline,
    /// The server refused or failed.
    #[error("the server answered with an error{}", .0.code().map(|code| std::format!(", code {code}")).unwrap_or_default())]
    Refused(Answer),
    /// The server did not answer in time.
    #[error("the server did not answer in time")]
    TimedOut,
    /// A value and its type do not go together.
    #[error("{0}")]
    Value(#[from] SerdeError),
}

impl Handle {
    pub(super) fn new(commands: mpsc::Sender<Command>, status: watch::Receiver<Status>) -> Self {
        Self { commands, status, counters: Arc::default() }
    }

    pub(super) fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// How many values are kept for the time when the device is connected again.
    pub fn kept(&self) -> u64 {
        self.counters.kept.load(Ordering::Relaxed)
    }

    /// How many values were lost because too many were kept.
    pub fn lost(&self) -> u64 {
        self.counters.lost.load(Ordering::Relaxed)
    }

    /// How the device stands to its server, as it changes.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Tells the present value of a resource to the server, if it wants to be told. Without a
    /// connection, the value is kept with its time until the server asks for the resource again.
    ///
    /// # Errors
    ///
    /// The device has ended.
    ///
    /// # Cancel safety
    ///
    /// Safe: a dropped call has told nothing or all.
    pub async fn raise(&self, resource: &str) -> Result<(), HandleError> {
        self.send(Command::Raise { resource: resource.to_string() }).await
    }

    /// The value of a property of the device, which the server keeps.
    ///
    /// # Errors
    ///
    /// [`HandleError`].
    pub async fn read_property<T: DeserializeOwned>(&self, name: &str) -> Result<T, HandleError> {
        let value = self.call(1, Tree::from(name), None).await?.unwrap_or_default();
        Ok(value.to()?)
    }

    /// Sets a property of the device.
    ///
    /// # Errors
    ///
    /// [`HandleError`].
    pub async fn set_property(
        &self,
        name: &str,
        value: &(impl Serialize + Sync + ?Sized),
    ) -> Result<(), HandleError> {
        let value = Payload::of(value)?;
        self.call(2, Tree::from(name), Some(value)).await.map(drop)
    }

    /// Has another device of the same user carry out a resource.
    ///
    /// # Errors
    ///
    /// [`HandleError`].
    pub async fn call_device(
        &self,
        device: &str,
        resource: &str,
        payload: Option<Payload>,
    ) -> Result<Option<Payload>, HandleError> {
        self.call(3, Tree::from([Tree::from(device), Tree::from(resource)]), payload).await
    }

    /// Calls an endpoint of the server.
    ///
    /// # Errors
    ///
    /// [`HandleError`].
    pub async fn call_endpoint(
        &self,
        name: &str,
        payload: Option<Payload>,
    ) -> Result<Option<Payload>, HandleError> {
        self.call(4, Tree::from(name), payload).await
    }

    /// Writes a value into a bucket of the server. The answer says that it is there.
    ///
    /// # Errors
    ///
    /// [`HandleError`].
    pub async fn write_bucket(
        &self,
        name: &str,
        value: &(impl Serialize + Sync + ?Sized),
    ) -> Result<(), HandleError> {
        let value = Payload::of(value)?;
        self.call(5, Tree::from(name), Some(value)).await.map(drop)
    }

    /// Publishes a value on a topic to other devices of the same user; lost without a connection.
    ///
    /// # Errors
    ///
    /// The device has ended, or the value cannot be written.
    pub async fn publish(
        &self,
        topic: &str,
        value: &(impl Serialize + Sync + ?Sized),
        retained: bool,
    ) -> Result<(), HandleError> {
        let value = Payload::of(value)?;
        self.send(Command::Publish { topic: topic.to_string(), value, retained }).await
    }

    /// Subscribes to topics, with the wildcards of MQTT. What comes is a map of `topic` and `payload`.
    ///
    /// # Errors
    ///
    /// The device has ended.
    pub async fn subscribe(&self, filter: &str) -> Result<Subscription, HandleError> {
        let parameters = [
            ("event", Tree::from("device_topic_publish")),
            ("scope", Tree::from("subscribe")),
            ("topic", Tree::from(filter)),
        ];
        self.listen(None, Tree::from(parameters)).await
    }

    /// The changes of a property of the device.
    ///
    /// # Errors
    ///
    /// The device has ended.
    pub async fn watch_property(&self, name: &str) -> Result<Subscription, HandleError> {
        let parameters = [
            ("event", Tree::from("device_property_update")),
            ("filters", Tree::from([("property", Tree::from(name))])),
        ];
        self.listen(None, Tree::from(parameters)).await
    }

    /// What the server tells of an event of this name.
    ///
    /// # Errors
    ///
    /// The device has ended.
    pub async fn watch_event(&self, name: &str) -> Result<Subscription, HandleError> {
        self.listen(None, Tree::from([("event", Tree::from(name))])).await
    }

    /// The values of a resource of another device of the same user: every `interval`, which is in
    /// whole seconds for some servers, or without one whenever that device has something to tell.
    ///
    /// # Errors
    ///
    /// The device has ended.
    pub async fn watch_device(
        &self,
        device: &str,
        resource: &str,
        interval: Option<Duration>,
    ) -> Result<Subscription, HandleError> {
        let interval = interval.map_or(0.0, |interval| interval.as_secs_f64());
        let parameters = [
            ("id", Tree::from(device)),
            ("interval", Tree::Float(interval)),
            ("type", Tree::from("device")),
        ];
        self.listen(Some(resource.to_string()), Tree::from(parameters)).await
    }

    async fn listen(
        &self,
        path: Option<String>,
        parameters: Tree,
    ) -> Result<Subscription, HandleError> {
        let (values, receiver) = mpsc::channel(Subscription::QUEUE_MAX);
        self.send(Command::Subscribe { path, parameters, values }).await?;
        Ok(Subscription(receiver))
    }

    async fn call(
        &self,
        number: u64,
        target: Tree,
        payload: Option<Payload>,
    ) -> Result<Option<Payload>, HandleError> {
        let (answer, answered) = oneshot::channel();
        self.send(Command::Call { number, target, payload, answer }).await?;
        let answer = answered.await.unwrap_or(Err(HandleError::Offline))?;
        if answer.ok { Ok(answer.payload) } else { Err(HandleError::Refused(answer)) }
    }

    async fn send(&self, command: Command) -> Result<(), HandleError> {
        self.commands.send(command).await.map_err(|_| HandleError::Ended)
    }
}

/// What comes of a subscription, which is opened anew whenever the device connects. Dropping it ends
/// it with the next value that comes.
#[derive(Debug)]
pub struct Subscription(mpsc::Receiver<Payload>);

impl Subscription {
    /// How many values wait to be taken; what comes beyond is dropped.
    pub const QUEUE_MAX: usize = 64;

    /// The next value; `None` when the device has ended.
    ///
    /// # Cancel safety
    ///
    /// Safe: no value is lost.
    pub async fn next(&mut self) -> Option<Payload> {
        self.0.recv().await
    }
}
