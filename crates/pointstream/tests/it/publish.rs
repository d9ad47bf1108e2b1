//! What of the gateway goes to a broker, and what is wrong with a publisher.

use core::time::Duration;
use std::collections::BTreeMap;
use std::path::Path;

use pointstream::conn::Registry;
use pointstream::mqtt::QoS;
use pointstream::mqtt::io::{Broker as Whereto, Client, Observation, Observed};
use pointstream::mqtt::session::Config as Session;
use pointstream::patch::{Limits, apply};
use pointstream::point::Tuning;
use pointstream::{Config, Gateway, TopicConfig, mqtt};
use pointstream_test::{Proxy, Weather};
use serde_json::Value;

use crate::bench::{Bench, config, connector, id, number};
use crate::mqtt_broker::Broker;

fn parse(text: &str) -> Result<Config, String> {
    let publish = format!("[[publish]]\nid = \"up\"\nprefix = \"gw/1\"\n{text}");
    Config::parse(&publish, "gateway.toml", Path::new(".")).map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_publisher_is_checked_with_the_configuration() {
    let check = |text: &str| {
        let gateway = Gateway::new(Registry::new());
        gateway.check(&parse(text).unwrap()).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(check("kind = 'mqtt'\nuri = 'mqtt://127.0.0.1:1'\ntopics = ['plant']"), Ok(()));
    let kind = check("kind = 'amqp'").unwrap_err();
    assert_eq!(kind, "publisher up: unknown kind \"amqp\": expected mqtt");
    let option = check("kind = 'mqtt'\nuri = 'mqtt://b'\nfrobnicate = 1").unwrap_err();
    assert!(option.starts_with("publisher up: unknown field `frobnicate`"), "{option}");
    let uri = check("kind = 'mqtt'").unwrap_err();
    assert_eq!(uri, "publisher up: missing field `uri`");
    let twice =
        "kind = 'mqtt'\nuri = 'mqtt://b'\n[[publish]]\nid = 'up'\nkind = 'mqtt'\nprefix = 'x'";
    assert!(parse(twice).unwrap_err().contains("the publisher up exists already"));
}

#[tokio::test]
async fn a_wildcard_is_no_prefix() {
    let mut config = parse("kind = 'mqtt'\nuri = 'mqtt://b'").unwrap();
    config.publish[0].prefix = "gw/#".into();
    let error = Gateway::new(Registry::new()).apply(config).await.unwrap_err();
    assert_eq!(error.to_string(), "publisher up: prefix: a topic to publish to has no wildcards");
}

#[tokio::test]
async fn a_broker_that_is_not_there_keeps_nobody_waiting() {
    let mut gateway = Gateway::new(Registry::new());
    let config = parse("kind = 'mqtt'\nuri = 'mqtt://127.0.0.1:1'\ntopics = ['plant']").unwrap();
    gateway.apply(config.clone()).await.unwrap();
    // The same again changes nothing; another prefix replaces it.
    gateway.apply(config.clone()).await.unwrap();
    let mut other = config;
    other.publish[0].prefix = "gw/2".into();
    gateway.apply(other).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(10), gateway.shutdown()).await;
    assert!(ended.is_ok());
}

/// A subscriber at the broker, who keeps a document by what is published, as the documentation says.
struct Follower {
    observation: Observation,
    document: Option<(String, Value)>,
    patches: usize,
    /// The last message of each other topic.
    last: BTreeMap<String, String>,
}

impl Follower {
    async fn start(broker: &Broker, name: &str) -> Self {
        let uri = format!("mqtt://{}", broker.addr()).parse().unwrap();
        let client = Client::new(Whereto::new(uri, Session::new(mqtt::Version::V5, name)));
        let observation = client.observe("gw/1/#", QoS::AtLeastOnce).await.unwrap();
        Self { observation, document: None, patches: 0, last: BTreeMap::new() }
    }

    async fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let wait = async {
            while !holds(self) {
                let Some(Observed::Message(message)) = self.observation.next().await else {
                    panic!("the observation has ended")
                };
                let text = String::from_utf8(message.payload.to_vec()).unwrap();
                match &*message.topic {
                    "gw/1/plant" => {
                        assert!(message.retain || message.qos == QoS::AtLeastOnce);
                        let mut whole: Value = serde_json::from_str(&text).unwrap();
                        let revision = whole["revision"].as_str().unwrap().to_owned();
                        self.document = Some((revision, whole["document"].take()));
                    }
                    "gw/1/plant/patch" => self.patch(&text),
                    topic => drop(self.last.insert(topic.to_owned(), text)),
                }
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(30), wait).await;
        assert!(waited.is_ok(), "never: {what}; {:?} {:?}", self.document, self.last);
    }

    /// A patch is applied where its revision follows; where one is missing, a snapshot follows.
    fn patch(&mut self, text: &str) {
        let patch: Value = serde_json::from_str(text).unwrap();
        let revision = patch["revision"].as_str().unwrap();
        let number = |revision: &str| {
            let (_, number) = revision.rsplit_once('#').unwrap();
            number.parse::<u64>().unwrap()
        };
        let Some((last, document)) = &mut self.document else { return };
        if number(revision) <= number(last) {
            return;
        }
        if number(revision) != number(last) + 1 {
            self.document = None;
            return;
        }
        let (whole, operations) = (document.to_string(), patch["patch"].to_string());
        let new = apply(whole.as_bytes(), operations.as_bytes(), &Limits::default()).unwrap();
        *document = serde_json::from_str(&new).unwrap();
        revision.clone_into(last);
        self.patches += 1;
    }

    fn shows(&self, point: &str, value: f64) -> bool {
        let row = self.document.as_ref().map(|(_, document)| &document[point]["val"]);
        row.is_some_and(|shown| shown.as_f64() == Some(value))
    }

    fn row_shows(&self, point: &str, value: f64) -> bool {
        let row = self.last.get(&format!("gw/1/points/{point}"));
        let row: Option<Value> = row.and_then(|text| serde_json::from_str(text).ok());
        row.is_some_and(|row| row["val"].as_f64() == Some(value))
    }

    fn status_is(&self, status: &str) -> bool {
        self.last.get("gw/1/status").is_some_and(|it| it == status)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshots_patches_and_rows_follow_the_topic_and_outlast_a_broken_line() {
    let broker = Broker::start().await;
    let proxy = Proxy::start(broker.addr()).await.unwrap();
    let mut bench = Bench::new();
    for (point, value) in [("a.x", 1.0), ("a.y", 2.0)] {
        bench.a.set(point, number(value));
    }
    let plant = |points: &[&str]| {
        let tuning = Tuning::default().with_poll_time(Duration::from_millis(20));
        let mut config = config([connector("a", points)]).with_tuning(id("default"), tuning);
        config.topics.push(TopicConfig::new(id("plant")));
        let text = format!(
            "kind = 'mqtt'\nuri = 'mqtt://{}'\nversion = '5'\nmessage_expiry = '1min'\n\
             topics = ['plant']\npoints = ['plant']\nsnapshot_time = '200ms'",
            proxy.addr(),
        );
        config.publish = parse(&text).unwrap().publish;
        config
    };
    bench.gateway.apply(plant(&["a.x", "a.y"])).await.unwrap();
    // Somebody who comes later gets all of it, since it is retained.
    let mut early = Follower::start(&broker, "early").await;
    early.until("online", |it| it.status_is("online")).await;
    early.until("both values", |it| it.shows("a.x", 1.0) && it.shows("a.y", 2.0)).await;
    let mut late = Follower::start(&broker, "late").await;
    late.until("the present", |it| it.shows("a.x", 1.0) && it.row_shows("a.y", 2.0)).await;
    assert_eq!(late.patches, 0);
    // Changes come as patches, each once and in order.
    for value in 3..10 {
        bench.a.set("a.x", number(f64::from(value)));
        early.until("a change", |it| it.shows("a.x", value.into())).await;
    }
    assert!(early.patches > 0);
    early.until("the row", |it| it.row_shows("a.x", 9.0)).await;
    let expiries = broker.expiries();
    assert!(
        expiries.contains(&Some(60)) && expiries.contains(&None),
        "patches expire: {expiries:?}"
    );
    // While the line is gone the gateway is offline, by its will; then the present is there again.
    proxy.set(Weather::Reset);
    early.until("offline", |it| it.status_is("offline")).await;
    bench.a.set("a.x", number(77.0));
    proxy.set(Weather::Fair);
    early.until("back", |it| it.status_is("online") && it.shows("a.x", 77.0)).await;
    bench.a.set("a.x", number(78.0));
    early.until("on", |it| it.shows("a.x", 78.0) && it.row_shows("a.x", 78.0)).await;
    // A row that goes is taken away.
    bench.gateway.apply(plant(&["a.x"])).await.unwrap();
    early.until("gone", |it| it.last.get("gw/1/points/a.y").is_some_and(String::is_empty)).await;
    early
        .until("without it", |it| {
            it.document.as_ref().is_some_and(|(_, document)| document.get("a.y").is_none())
        })
        .await;
    bench.gateway.shutdown().await;
    early.until("the farewell", |it| it.status_is("offline")).await;
}
