//! What is wrong with a publisher is told before anything is applied.

use std::path::Path;

use pointstream::conn::Registry;
use pointstream::{Config, Gateway};

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
    let ended = tokio::time::timeout(std::time::Duration::from_secs(10), gateway.shutdown()).await;
    assert!(ended.is_ok());
}
