use core::time::Duration;
use std::collections::{BTreeSet, VecDeque};

use pointstream_hub::{Event, EventKind, Hub, Mode, Subscription};
use pointstream_mqtt::io::{Broker, Client, Delivery, Link};
use pointstream_mqtt::session::{LastWill, Publication};
use pointstream_mqtt::topic::check_name;
use pointstream_mqtt::{Config, QoS};
use pointstream_point::Id;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::config::PublishConfig;

/// How many messages of one topic may wait for the broker. Behind them, the topic's changes are folded
/// into its document, as for any slow reader.
const WINDOW: usize = 64;

/// How long a topic that is not there is waited for before it is looked for again.
const ABSENT_TIME: Duration = Duration::from_secs(1);

/// How long what is under way may take when the publisher ends.
const FAREWELL_MAX: Duration = Duration::from_secs(1);

pub(super) fn make(config: &PublishConfig) -> Result<Config, String> {
    check_name(&config.prefix).map_err(|error| format!("prefix: {error}"))?;
    let made: Config =
        serde_json::from_value(config.options.clone().into()).map_err(|error| error.to_string())?;
    made.broker("").map_err(|error| error.to_string())?;
    Ok(made)
}

/// Publishes until it is told to stop.
pub(super) async fn run(
    config: PublishConfig,
    made: Config,
    hub: Hub,
    seed: u64,
    mut stopped: watch::Receiver<bool>,
) {
    let broker = match made.broker(&format!("ps-{seed:016x}")) {
        Ok(broker) => with_will(broker, &config),
        // A file that was there when the configuration was checked is gone.
        Err(error) => {
            return tracing::error!(publisher = %config.id, %error, "Nothing is published.");
        }
    };
    let client = Client::new(broker);
    let pin = client.pin();
    let mut feeds = JoinSet::new();
    feeds.spawn(status(client.clone(), config.clone(), made.qos));
    let feed = |topic: &Id, by_row| Feed {
        hub: hub.clone(),
        client: client.clone(),
        topic: topic.clone(),
        prefix: config.prefix.clone(),
        qos: made.qos,
        by_row,
        snapshot_time: config.snapshot_time,
        expiry: made.message_expiry,
        under_way: VecDeque::new(),
        is_lost: false,
    };
    config.topics.iter().for_each(|topic| drop(feeds.spawn(feed(topic, false).run())));
    config.points.iter().for_each(|topic| drop(feeds.spawn(feed(topic, true).run())));
    // An error says that there is nobody left to stop for.
    let _ = stopped.wait_for(|stop| *stop).await;
    feeds.shutdown().await;
    let offline = message(&status_topic(&config), "offline", made.qos, true);
    let farewell = async {
        if matches!(&*client.link().borrow(), Link::Up(..))
            && let Ok(delivery) = client.publish_now(offline).await
        {
            let _ = delivery.outcome().await;
        }
    };
    let _ = tokio::time::timeout(FAREWELL_MAX, farewell).await;
    drop(pin);
    client.close().await;
}

fn status_topic(config: &PublishConfig) -> String {
    format!("{}/status", config.prefix)
}

/// Without a will of its own, a publisher that is lost says `offline` where it says `online`.
fn with_will(mut broker: Broker, config: &PublishConfig) -> Broker {
    let will = LastWill::new(&status_topic(config), b"offline").with(QoS::AtLeastOnce, true);
    broker.session.will.get_or_insert(will);
    broker
}

fn message(topic: &str, payload: impl AsRef<[u8]>, qos: QoS, retain: bool) -> Publication {
    Publication::new(topic, payload.as_ref()).with_qos(qos).with_retain(retain)
}

/// Says `online` with each connection, and logs its loss once.
async fn status(client: Client, config: PublishConfig, qos: QoS) {
    let mut link = client.link();
    let mut was_up = None;
    loop {
        let now = link.borrow_and_update().clone();
        match now {
            Link::Up(..) => {
                if was_up != Some(true) {
                    tracing::info!(publisher = %config.id, "Publisher is connected.");
                }
                was_up = Some(true);
                let online = message(&status_topic(&config), "online", qos, true);
                // Where that cannot be sent, there is another connection to come.
                drop(client.publish_now(online).await);
            }
            Link::Down(error) => {
                if was_up != Some(false) {
                    tracing::warn!(publisher = %config.id, %error, "Publisher has no connection.");
                }
                was_up = Some(false);
            }
            _ => {}
        }
        if link.changed().await.is_err() {
            return;
        }
    }
}

/// One topic on its way to a broker.
struct Feed {
    hub: Hub,
    client: Client,
    topic: Id,
    prefix: String,
    qos: QoS,
    /// Row by row, rather than as documents and patches.
    by_row: bool,
    snapshot_time: Duration,
    /// How long a patch is worth delivering.
    expiry: Option<Duration>,
    under_way: VecDeque<Delivery>,
    /// Something was not delivered, so that the broker's state is not the topic's.
    is_lost: bool,
}

impl Feed {
    async fn run(mut self) {
        loop {
            match self.hub.subscribe(self.topic.as_str(), Mode::Patch, None) {
                Ok(subscription) => self.follow(subscription).await,
                Err(_) => sleep(ABSENT_TIME).await,
            }
        }
    }

    /// Follows the topic until it ends.
    async fn follow(&mut self, mut subscription: Subscription) {
        let mut snapshot_at: Option<Instant> = None;
        loop {
            let due = async {
                match snapshot_at {
                    Some(at) => sleep_until(at).await,
                    None => core::future::pending().await,
                }
            };
            tokio::select! {
                event = subscription.next() => match event {
                    Some(Ok(event)) => {
                        let is_whole = event.kind() == EventKind::Data;
                        self.on_event(&event).await;
                        if is_whole {
                            snapshot_at = None;
                        } else if !self.by_row {
                            snapshot_at.get_or_insert_with(|| Instant::now() + self.snapshot_time);
                        }
                    }
                    _ => return,
                },
                () = due => {
                    snapshot_at = None;
                    self.snapshot().await;
                }
            }
            if core::mem::take(&mut self.is_lost) {
                snapshot_at = Some(Instant::now() + self.snapshot_time);
            }
        }
    }

    async fn on_event(&mut self, event: &Event) {
        let (whole, body) = (event.kind() == EventKind::Data, event.body());
        if self.by_row {
            return match whole {
                true => self.all_rows(&body).await,
                false => self.changed_rows(&body).await,
            };
        }
        let body = String::from_utf8_lossy(&body);
        let revision = event.revision();
        let (topic, text) = match whole {
            true => (self.name(""), format!(r#"{{"revision":"{revision}","document":{body}}}"#)),
            false => {
                (self.name("/patch"), format!(r#"{{"revision":"{revision}","patch":{body}}}"#))
            }
        };
        let message = message(&topic, text, self.qos, whole);
        self.publish(match self.expiry {
            Some(expiry) if !whole => message.with_expiry(expiry),
            _ => message,
        })
        .await;
    }

    fn name(&self, tail: &str) -> String {
        format!("{}/{}{tail}", self.prefix, self.topic)
    }

    /// Publishes the document as it is.
    async fn snapshot(&mut self) {
        let Ok(Some(snapshot)) = self.hub.snapshot(self.topic.as_str()) else { return };
        if self.by_row {
            return self.all_rows(&snapshot.json).await;
        }
        let (revision, json) = (snapshot.revision, String::from_utf8_lossy(&snapshot.json));
        let text = format!(r#"{{"revision":"{revision}","document":{json}}}"#);
        self.publish(message(&self.name(""), text, self.qos, true)).await;
    }

    async fn all_rows(&mut self, document: &[u8]) {
        let rows: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(document).unwrap_or_default();
        for (row, value) in rows {
            self.row(&row, &value.to_string()).await;
        }
    }

    /// Publishes the rows that a patch has touched, each as it is by now.
    async fn changed_rows(&mut self, patch: &[u8]) {
        let operations: Vec<Operation<'_>> = serde_json::from_slice(patch).unwrap_or_default();
        let paths = operations.iter().flat_map(|it| [Some(&it.path), it.from.as_ref()]);
        let row = |path: &str| {
            let token = path.strip_prefix('/')?.split('/').next()?;
            Some(token.replace("~1", "/").replace("~0", "~"))
        };
        let rows: BTreeSet<String> = paths.flatten().filter_map(|path| row(path)).collect();
        for row in rows {
            let found = self.hub.edit(self.topic.as_str(), |edit| {
                edit.find(&row).and_then(|key| edit.get(key).map(str::to_owned))
            });
            if let Ok((text, _)) = found {
                // A row that is gone is taken away at the broker by an empty message.
                self.row(&row, text.as_deref().unwrap_or_default()).await;
            }
        }
    }

    async fn row(&mut self, row: &str, text: &str) {
        let topic = format!("{}/points/{row}", self.prefix);
        self.publish(message(&topic, text, self.qos, true)).await;
    }

    /// Publishes a message; where too many are under way, waits for half of them, so that it is woken
    /// once for many.
    async fn publish(&mut self, message: Publication) {
        if self.under_way.len() >= WINDOW {
            self.delivered(WINDOW / 2).await;
        }
        match self.client.publish(message).await {
            Ok(delivery) => self.under_way.push_back(delivery),
            Err(error) => {
                tracing::warn!(topic = %self.topic, %error, "A message cannot be published.");
                self.is_lost = true;
            }
        }
    }

    /// Waits until the first `count` of those under way are delivered. The last of them is waited for
    /// first: a broker mostly acknowledges in order.
    async fn delivered(&mut self, count: usize) {
        let mut waiting: VecDeque<Delivery> = self.under_way.drain(..count).collect();
        let mut next = waiting.pop_back();
        while let Some(delivery) = next {
            if let Err(error) = delivery.outcome().await {
                tracing::warn!(topic = %self.topic, %error, "A message was not delivered.");
                self.is_lost = true;
            }
            next = waiting.pop_front();
        }
    }
}

/// As much of an operation as says what it touches.
#[derive(serde::Deserialize)]
struct Operation<'a> {
    #[serde(borrow)]
    path: std::borrow::Cow<'a, str>,
    #[serde(borrow, default)]
    from: Option<std::borrow::Cow<'a, str>>,
}
