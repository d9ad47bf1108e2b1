use core::future::Future;
use core::pin::pin;
use core::time::Duration;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use pointstream_time::{Backoff, Instant, Seed};
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, sleep_until};

use crate::io::broker::Broker;
use crate::io::client::ClientError;
use crate::io::line::Line;
use crate::sparkplug::{
    DataType, EdgeConfig, EdgeError, EdgeEvent, EdgeNode, Now, PropertySet, Quality, Transmit,
    Value, ValueError,
};

/// An edge node of Sparkplug B on a broker.
///
/// Clones are the same node. Its metrics may be set at any time, connected or not, by calls that
/// take a short lock and wait for nobody; [`run`](Self::run) tells them. Of a metric that changes
/// faster than the broker takes it, the newest value is told.
#[derive(Clone, Debug)]
pub struct Edge(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    node: Mutex<EdgeNode>,
    changed: Notify,
    interval: Duration,
    origin: tokio::time::Instant,
}

/// A metric is to take a value, or null.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EdgeWrite {
    /// The device; none for the node's own.
    pub device: Option<Arc<str>>,
    /// The metric.
    pub metric: Arc<str>,
    /// The value.
    pub value: Result<Option<Value>, ValueError>,
}

/// The steps between two attempts to connect.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// How long the last words may take.
const FAREWELL_MAX: Duration = Duration::from_secs(1);

impl Edge {
    /// A node without metrics, which gathers changes for `interval` before it tells them. Its sessions
    /// are numbered from what the clock says, so that those of an earlier process are others.
    pub fn new(config: EdgeConfig, interval: Duration) -> Self {
        let first = Timestamp::now().as_second() as u8;
        Self(Arc::new(Shared {
            node: Mutex::new(EdgeNode::new(config, first)),
            changed: Notify::new(),
            interval,
            origin: tokio::time::Instant::now(),
        }))
    }

    /// As [`EdgeNode::add`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn add(
        &self,
        device: Option<&str>,
        name: &str,
        data_type: DataType,
        properties: Option<PropertySet>,
    ) -> Result<(), EdgeError> {
        self.change(|node| node.add(device, name, data_type, properties))
    }

    /// As [`EdgeNode::remove`].
    pub fn remove(&self, device: Option<&str>, name: &str) {
        self.change(|node| node.remove(device, name));
    }

    /// As [`EdgeNode::set`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn set(
        &self,
        device: Option<&str>,
        name: &str,
        value: Option<&Value>,
        quality: Quality,
        millis: u64,
    ) -> Result<bool, EdgeError> {
        self.change(|node| node.set(device, name, value, quality, millis))
    }

    /// As [`EdgeNode::set_reachable`].
    pub fn set_reachable(&self, device: &str, reachable: bool) {
        self.change(|node| node.set_reachable(device, reachable));
    }

    /// As [`EdgeNode::dropped`].
    pub fn dropped(&self) -> u64 {
        self.lock().dropped()
    }

    fn change<T>(&self, change: impl FnOnce(&mut EdgeNode) -> T) -> T {
        let result = change(&mut self.lock());
        self.0.changed.notify_one();
        result
    }

    fn lock(&self) -> MutexGuard<'_, EdgeNode> {
        self.0.node.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Now {
        let millis = Timestamp::now().as_millisecond();
        Now {
            at: Instant::from_origin(self.0.origin.elapsed()),
            millis: u64::try_from(millis).unwrap_or_default(),
        }
    }

    /// Connects, and tells and hears until `shutdown`; then says goodbye. Commands go to `writes`; while
    /// that is full, the broker is not listened to. `failed` is told why there is no connection.
    ///
    /// # Cancel safety
    ///
    /// If this is dropped, the connection is cut off and the broker tells the will.
    pub async fn run(
        &self,
        broker: Broker,
        writes: mpsc::Sender<EdgeWrite>,
        failed: impl Fn(&ClientError) + Send,
        shutdown: impl Future<Output = ()> + Send,
    ) {
        let mut backoff = Backoff::new(RETRY.0, RETRY.1, Seed::new(self.now().millis));
        let mut shutdown = pin!(shutdown);
        loop {
            let mut line = None;
            let ended = tokio::select! {
                error = self.session(&broker, &writes, &mut line, &mut backoff) => Some(error),
                () = &mut shutdown => None,
            };
            let last = self.lock().disconnect(self.now());
            if let Some(line) = line {
                let _ = tokio::time::timeout(FAREWELL_MAX, line.close(last)).await;
            }
            match ended {
                Some(Some(error)) => failed(&error),
                Some(None) => {}
                None => return,
            }
            tokio::select! {
                () = sleep(backoff.on_failure()) => {}
                () = &mut shutdown => return,
            }
        }
    }

    /// One connection. Gives why it ended; nothing where the primary host went offline.
    async fn session(
        &self,
        broker: &Broker,
        writes: &mpsc::Sender<EdgeWrite>,
        line: &mut Option<Line>,
        backoff: &mut Backoff,
    ) -> Option<Arc<ClientError>> {
        let connect = self.lock().connect(self.now());
        let line = match Line::open(broker.clone(), Some(connect.will), connect.subscriptions).await
        {
            Ok(open) => line.insert(open),
            Err(error) => return Some(error),
        };
        self.lock().on_connected();
        backoff.on_success();
        let (mut pending, mut next_telling) = (true, tokio::time::Instant::now());
        loop {
            match self.hear(writes).await {
                Heard::Nothing => {}
                Heard::HostGone => return None,
                Heard::Ended => return Some(Arc::new(ClientError::Ended)),
            }
            let now = tokio::time::Instant::now();
            if pending && now >= next_telling {
                // What changes in the meantime is told with the next.
                (pending, next_telling) = (false, now + self.0.interval);
                while let Some(transmit) = self.next_transmit() {
                    if let Err(error) = line.publish(transmit).await {
                        return Some(Arc::new(error));
                    }
                }
            }
            let due = self.lock().poll_timeout();
            tokio::select! {
                message = line.next() => {
                    match message {
                        // A command that cannot be read commands nothing.
                        Ok(message) => _ = self.lock().handle(&message.topic, &message.payload),
                        Err(error) => return Some(error),
                    }
                    pending = true;
                }
                () = self.0.changed.notified(), if !pending => pending = true,
                () = until(self.0.origin, due), if !pending => pending = true,
                () = sleep_until(next_telling), if pending => {}
            }
        }
    }

    fn next_transmit(&self) -> Option<Transmit> {
        let now = self.now();
        self.lock().poll_transmit(now)
    }

    /// Passes on what the node heard.
    async fn hear(&self, writes: &mpsc::Sender<EdgeWrite>) -> Heard {
        loop {
            let Some(event) = self.lock().poll_event() else { return Heard::Nothing };
            let write = match event {
                EdgeEvent::HostGone => return Heard::HostGone,
                EdgeEvent::Write { device, metric, value } => EdgeWrite { device, metric, value },
            };
            if writes.send(write).await.is_err() {
                return Heard::Ended;
            }
        }
    }
}

enum Heard {
    Nothing,
    HostGone,
    /// Nobody takes commands any more.
    Ended,
}

async fn until(origin: tokio::time::Instant, due: Option<Instant>) {
    match due {
        Some(at) => sleep_until(origin + at.since_origin()).await,
        None => core::future::pending().await,
    }
}
