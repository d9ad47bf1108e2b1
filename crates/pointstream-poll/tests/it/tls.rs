//! Sources of scheme https, with the certificates of `pointstream_test`.

use std::sync::Arc;

use pointstream_poll::shell::{Client, ClientOptions};
use pointstream_poll::{Config, FetchError, Secret, Targets};
use pointstream_test::certs;

use crate::client::{Names, fetch};
use crate::source::{Source, soon};

fn options(source: &Source, ca: &[u8]) -> ClientOptions {
    let mut targets = Targets::public();
    for host in ["localhost", "127.0.0.1", "other.localhost"] {
        targets.allow(&format!("{host}:{}", source.addr.port())).unwrap();
    }
    let mut options = ClientOptions::new(targets);
    options.ca_pem = Some(ca.to_vec());
    options
}

#[tokio::test]
async fn a_source_is_polled_over_tls_and_its_connection_kept() {
    let source = Source::start_tls().await;
    source.answer("200 OK", "", "{\"a\":1}");
    let mut client = Client::new(options(&source, certs::CA));
    for _ in 0..3 {
        let fetch = fetch(&source.secure_url("/p?q"), |_| ());
        assert_eq!(soon(client.fetch(&fetch)).await.unwrap().body, "{\"a\":1}");
    }
    assert_eq!(source.connections(), 1);
    let requests = source.requests(3).await;
    assert!(requests[0].starts_with("GET /p?q HTTP/1.1\r\n"), "{}", requests[0]);
    // By name as well, which the certificate has too.
    let url = format!("https://localhost:{}/", source.addr.port());
    assert_eq!(soon(client.fetch(&fetch(&url, |_| ()))).await.unwrap().body, "{\"a\":1}");
    assert_eq!(source.connections(), 2);
}

#[tokio::test]
async fn a_server_that_does_not_prove_who_it_is_is_told_nothing() {
    let source = Source::start_tls().await;
    source.answer("200 OK", "", "1");
    let key = |config: &mut Config| {
        config.headers = vec![("X-Key".into(), Secret::new("s3cret"))];
    };
    // Of another authority.
    let mut client = Client::new(options(&source, certs::OTHER_CA));
    let answer = soon(client.fetch(&fetch(&source.secure_url("/"), key))).await;
    assert_eq!(answer.err(), Some(FetchError::Tls));
    // Of another name, which leads to the same address.
    let url = format!("https://other.localhost:{}/", source.addr.port());
    let mut other = options(&source, certs::CA);
    other.resolver = Arc::new(Names::of(vec![vec![source.addr]]));
    let answer = soon(Client::new(other).fetch(&fetch(&url, key))).await;
    assert_eq!(answer.err(), Some(FetchError::Tls));
    assert!(source.seen().is_empty(), "no request was sent");
}
