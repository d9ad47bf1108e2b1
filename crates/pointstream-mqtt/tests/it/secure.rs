//! The driver on every transport, who proves what to whom, and the will of a client that is lost.

use core::time::Duration;

use pointstream_conn::{Driver, OpError, Readings, Write};
use pointstream_mqtt::io::{Broker as Whereto, Client, Observed};
use pointstream_mqtt::session::{Config as Session, LastWill};
use pointstream_mqtt::{Config, Mqtt, QoS, Version};
use pointstream_net::ServerTls;
use pointstream_point::{Kind, Value};
use pointstream_test::{Proxy, Weather, certs};

use crate::broker::{Broker, Way};
use crate::driver::{binding, key, watching};

const ONE: QoS = QoS::AtLeastOnce;
const VERSIONS: [Version; 2] = [Version::V3_1_1, Version::V5];

/// A file of the certificates for tests.
fn file(name: &str) -> String {
    format!("{}/../pointstream-test/certs/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn config(broker: &Broker, scheme: &str, version: Version, more: &str) -> Config {
    let (addr, version) = (broker.addr(), if version == Version::V5 { "5" } else { "3.1.1" });
    let text = format!("uri = '{scheme}://{addr}'\nversion = '{version}'\n{more}");
    toml::from_str(&text).unwrap()
}

/// TLS that demands a certificate of the client and speaks `mqtt`.
fn mutual() -> ServerTls {
    let builder = ServerTls::builder(certs::SERVER, certs::SERVER_KEY).client_ca_pem(certs::CA);
    builder.alpn(["mqtt"]).build().unwrap()
}

/// With the client's certificate.
fn identity() -> String {
    let [ca, cert, key] = ["ca.pem", "client.pem", "client.key"].map(file);
    format!("ca_file = '{ca}'\ncert_file = '{cert}'\nkey_file = '{key}'\nalpn = ['mqtt']")
}

#[tokio::test]
async fn every_transport_carries_every_quality_both_ways() {
    let server = ServerTls::builder(certs::SERVER, certs::SERVER_KEY).build().unwrap();
    let ca = format!("ca_file = '{}'", file("ca.pem"));
    let ways = [
        ("mqtt", Way::default(), String::new()),
        ("mqtts", Way { tls: Some(mutual()), is_ws: false }, identity()),
        ("ws", Way { tls: None, is_ws: true }, String::new()),
        ("wss", Way { tls: Some(server), is_ws: true }, ca),
    ];
    for (scheme, way, more) in ways {
        for version in VERSIONS {
            let broker = Broker::start_by(way.clone()).await;
            let config = config(&broker, scheme, version, &more);
            let bindings = [
                binding(0, Kind::Number, "n", "set?qos=2"),
                binding(1, Kind::Str, "long?qos=0", "set?qos=0"),
            ];
            let (mut driver, mut seen) = watching(Mqtt::new(config, 1), &bindings).await;
            let long = "x".repeat(100_000);
            broker.publish("n", "21.5", ONE, false);
            broker.publish("long", &long, QoS::AtMostOnce, false);
            seen.until(&mut driver, |seen| {
                seen.is(0, &Value::number(21.5)) && seen.is(1, &Value::str(&*long))
            })
            .await;
            let writes =
                [Write::new(key(0), Value::number(1.0)), Write::new(key(1), Value::str(&*long))];
            let mut into = Readings::new();
            driver.write(&writes, &mut into).await.unwrap();
            assert_eq!(into.drain().count(), 0);
            // What is sent once is on its way when the write has succeeded.
            let wait = async {
                while broker.log().len() < 2 {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(Duration::from_secs(5), wait).await.unwrap();
            let payloads: Vec<_> = broker.log().into_iter().map(|it| it.payload).collect();
            assert_eq!(payloads, ["1", &long], "{scheme} {version:?}");
            if scheme == "mqtts" {
                assert_eq!(broker.alpn(), [Some("mqtt".to_owned())]);
            }
            driver.close().await;
            broker.until_connected(0).await;
        }
    }
}

#[tokio::test]
async fn who_cannot_prove_who_it_is_is_refused() {
    let broker = Broker::start_by(Way { tls: Some(mutual()), is_ws: false }).await;
    let identity = identity();
    let [ca, other] = ["ca.pem", "other-ca.pem"].map(file);
    let wrong_alpn = identity.replace("['mqtt']", "['http/1.1']");
    let wrong_ca = identity.replace(&ca, &other);
    let wrong_name = format!("{identity}\nserver_name = 'plc.example'");
    for (more, part) in [
        (format!("ca_file = '{ca}'"), "CertificateRequired"),
        (wrong_ca, "UnknownIssuer"),
        // Nobody but the authorities of browsers.
        (String::new(), "UnknownIssuer"),
        (wrong_alpn, "NoApplicationProtocol"),
        (wrong_name, "not valid for name"),
    ] {
        let mut driver = Mqtt::new(config(&broker, "mqtts", Version::V5, &more), 1);
        let error = driver.open(&mut Readings::new()).await.unwrap_err();
        assert!(matches!(error, OpError::Session(_)), "{error:?}");
        assert!(error.to_string().contains(part), "{more}: {error}");
    }
    assert_eq!(broker.connected(), 0);
}

#[tokio::test]
async fn a_client_that_is_lost_has_its_will_done_and_one_that_leaves_has_not() {
    for version in VERSIONS {
        let broker = Broker::start().await;
        let proxy = Proxy::start(broker.addr()).await.unwrap();
        let uri = |addr| format!("mqtt://{addr}").parse().unwrap();
        let heir = Client::new(Whereto::new(uri(broker.addr()), Session::new(version, "heir")));
        let mut wills = heir.observe("gone/#", ONE).await.unwrap();
        for (client, is_lost) in [("a", false), ("b", true)] {
            let will = LastWill::new(&format!("gone/{client}"), b"offline").with(ONE, false);
            let session = Session::new(version, client).with_will(will);
            let client = Client::new(Whereto::new(uri(proxy.addr()), session));
            let pin = client.pin();
            client.connected().await.unwrap();
            if is_lost {
                proxy.set(Weather::Reset);
            } else {
                drop(pin);
                client.close().await;
            }
        }
        let next = tokio::time::timeout(Duration::from_secs(5), wills.next()).await.unwrap();
        let Some(Observed::Message(message)) = next else { panic!("{next:?}") };
        assert_eq!((&*message.topic, &*message.payload), ("gone/b", &b"offline"[..]));
    }
}

#[tokio::test]
async fn what_is_written_expires_as_the_address_or_the_connector_says() {
    let broker = Broker::start().await;
    let bindings =
        [binding(0, Kind::Number, "", "set/0"), binding(1, Kind::Number, "", "set/1?expiry=10s")];
    let more = "message_expiry = '1min'";
    let (mut driver, _) =
        watching(Mqtt::new(config(&broker, "mqtt", Version::V5, more), 1), &bindings).await;
    let writes = [0, 1].map(|slot| Write::new(key(slot), Value::number(1.0)));
    let mut into = Readings::new();
    driver.write(&writes, &mut into).await.unwrap();
    assert_eq!((into.drain().count(), broker.expiries()), (0, vec![Some(60), Some(10)]));
    let config = config(&broker, "mqtt", Version::V3_1_1, "");
    let (mut driver, mut seen) = watching(Mqtt::new(config, 2), &bindings).await;
    driver.write(&writes, &mut into).await.unwrap();
    seen.take(&mut into);
    assert_eq!(seen.text(1), Some("expiry needs version = \"5\""));
    assert_eq!(broker.expiries()[2..], [None]);
}
