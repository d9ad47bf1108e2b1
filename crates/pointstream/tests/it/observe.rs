//! Topics that are no points, observed over HTTP by the session of a connector.

use pointstream::conn::Registry;
use pointstream::mqtt::{self, QoS};
use pointstream::point::{Kind, PointSpec};
use pointstream::{Config, ConnectorConfig, Gateway};

use crate::bench::id;
use crate::mqtt_broker::Broker;
use crate::web::Web;

const ONE: QoS = QoS::AtLeastOnce;

async fn gateway(broker: &Broker) -> Gateway {
    let mut registry = Registry::new();
    let sessions = mqtt::register(&mut registry);
    let mut gateway = Gateway::new(registry).with_mqtt_sessions(sessions);
    let uri = format!("mqtt://{}", broker.addr());
    let mut spec = PointSpec::new(id("site.n"), Kind::Number);
    spec.cur = Some("n".into());
    let connector = ConnectorConfig::new(id("site"), "mqtt").with("uri", &*uri).with_point(spec);
    let host = ConnectorConfig::new(id("host"), "sparkplug").with("uri", &*uri);
    let mut config = Config::new().with_connector(connector).with_connector(host);
    config.listen = Some("127.0.0.1:0".to_owned());
    gateway.apply(config).await.unwrap();
    gateway
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_are_events_as_long_as_the_reader_is_there() {
    let broker = Broker::start().await;
    broker.publish("free/kept", "before", ONE, true);
    let gateway = gateway(&broker).await;
    let web = Web::of(&gateway).await;
    let target = "/v1/connectors/site/observe?filter=free/%23&qos=1";
    let heard = web
        .follow(target, |heard| {
            // The next is published when the one before is there.
            if heard.contains("before") && !heard.contains("live") {
                broker.publish("free/1", "live", ONE, false);
            }
            heard.contains("live")
        })
        .await;
    let messages: Vec<serde_json::Value> = heard
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|json| serde_json::from_str(json).unwrap())
        .collect();
    assert_eq!(
        (&messages[0]["topic"], &messages[0]["retain"]),
        (&"free/kept".into(), &true.into())
    );
    let live = messages.last().unwrap();
    assert_eq!((&live["topic"], &live["payload"]), (&"free/1".into(), &"live".into()));
    for (target, status) in [
        ("/v1/connectors/site/observe", 400),
        ("/v1/connectors/site/observe?filter=a&qos=3", 400),
        ("/v1/connectors/none/observe?filter=a", 404),
        ("/v1/connectors/host/observe?filter=a", 501),
    ] {
        assert_eq!(web.get(target).await.status, status, "{target}");
    }
    let bad = web.get("/v1/connectors/site/observe?filter=a/%23/b").await;
    assert!(bad.body.contains("as the last level of a filter"), "{}", bad.body);
    // The reader has gone, and with it what it wanted.
    let gone = async {
        while broker.has_filter("free/#") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(core::time::Duration::from_secs(10), gone).await.unwrap();
    web.stop().await;
    gateway.shutdown().await;
}
