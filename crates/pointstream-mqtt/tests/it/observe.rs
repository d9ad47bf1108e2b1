//! Topics that are no points, observed by the session of a connector.

use core::time::Duration;

use pointstream_conn::{Context, Registry};
use pointstream_mqtt::io::{Broker as Whereto, Client, Observation, Observed};
use pointstream_mqtt::session::Config as Session;
use pointstream_mqtt::{ObserveError, QoS, Version, register};
use pointstream_point::Id;

use crate::broker::Broker;

const ONE: QoS = QoS::AtLeastOnce;

async fn next(observation: &mut Observation) -> (String, String) {
    let next = tokio::time::timeout(Duration::from_secs(5), observation.next()).await.unwrap();
    let Some(Observed::Message(message)) = next else { panic!("{next:?}") };
    (message.topic.to_string(), String::from_utf8(message.payload.to_vec()).unwrap())
}

#[tokio::test]
async fn topics_are_observed_by_the_session_of_a_connector() {
    let broker = Broker::start().await;
    let mut registry = Registry::default();
    let sessions = register(&mut registry);
    let id: Id = "site".parse().unwrap();
    let make = |seed| {
        let config = serde_json::json!({"uri": format!("mqtt://{}", broker.addr()), "qos": 0});
        registry.make("mqtt", config, &Context::new(id.clone(), seed)).unwrap()
    };
    let driver = make(7);
    // Made to be checked only.
    drop(make(8));
    let mut doors = sessions.observe(&id, "building/+/door", None).await.unwrap();
    let mut all = sessions.observe(&id, "building/#", Some(ONE)).await.unwrap();
    assert_eq!(broker.connected(), 1, "one session for all");
    assert!(broker.has_filter("building/#") && broker.has_filter("building/+/door"));
    broker.publish("building/1/door", "open", ONE, false);
    let expected = ("building/1/door".to_owned(), "open".to_owned());
    assert_eq!(next(&mut doors).await, expected);
    assert_eq!(next(&mut all).await, expected);
    let bad = sessions.observe(&id, "a/#/b", None).await.unwrap_err();
    assert!(matches!(bad, ObserveError::Client(_)), "{bad}");
    drop((doors, all));
    broker.until_connected(0).await;
    drop(driver);
    let gone = sessions.observe(&id, "a", None).await.unwrap_err();
    assert_eq!(gone.to_string(), "there is no connector site of kind mqtt");
}

#[tokio::test]
async fn a_slow_reader_that_lets_go_holds_nobody_up() {
    let broker = Broker::start().await;
    let uri = format!("mqtt://{}", broker.addr()).parse().unwrap();
    let client = Client::new(Whereto::new(uri, Session::new(Version::V5, "c")));
    let mut slow = client.observe("n", ONE).await.unwrap().let_go();
    let mut quick = client.observe("n", ONE).await.unwrap();
    for number in 0..3_000 {
        broker.publish("n", &number.to_string(), ONE, false);
    }
    for number in 0..3_000 {
        assert_eq!(next(&mut quick).await.1, number.to_string());
    }
    assert!(slow.has_missed() && !slow.has_missed());
    for number in 0..1_024 {
        assert_eq!(next(&mut slow).await.1, number.to_string());
    }
    broker.publish("n", "after", ONE, false);
    assert_eq!(next(&mut slow).await.1, "after");
    assert!(!slow.has_missed());
}
