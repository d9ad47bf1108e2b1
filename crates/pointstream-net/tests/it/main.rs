//! Sockets on the loopback interface: each test waits for events, never for the clock.

#![allow(clippy::unwrap_used, reason = "a failed expectation of a test is its failure")]
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "ws")]
mod ws;

use std::io::ErrorKind;
use std::time::Duration;

use pointstream_net::{Endpoint, Listener, dial};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Far longer than any of these tests takes; reached only when something hangs.
const LONG: Duration = Duration::from_secs(20);

async fn listener(connections_max: usize) -> (Listener, Endpoint) {
    let listener = Listener::bind("127.0.0.1:0", connections_max).await.unwrap();
    let endpoint = listener.local_addr().unwrap().to_string().parse().unwrap();
    (listener, endpoint)
}

#[tokio::test]
async fn a_dialled_stream_carries_bytes_both_ways() {
    let (listener, endpoint) = listener(1).await;
    let (client, server) = tokio::join!(dial(&endpoint, LONG), listener.accept());
    let (mut client, mut server) = (client.unwrap(), server);
    assert_eq!(client.local_addr(), Some(server.peer));
    assert_eq!(client.peer_addr(), server.stream.local_addr());
    client.write_all(b"ping").await.unwrap();
    let mut bytes = [0; 4];
    server.stream.read_exact(&mut bytes).await.unwrap();
    server.stream.write_all(&bytes).await.unwrap();
    drop(server);
    let mut back = Vec::new();
    client.read_to_end(&mut back).await.unwrap();
    assert_eq!(back, b"ping");
}

#[tokio::test]
async fn beyond_the_maximum_a_connection_is_closed_at_once_and_counted() {
    let (listener, endpoint) = listener(2).await;
    let (a, first) = tokio::join!(dial(&endpoint, LONG), listener.accept());
    let (b, second) = tokio::join!(dial(&endpoint, LONG), listener.accept());
    assert_eq!(listener.places_free(), 0);
    let refused = async {
        let mut stream = dial(&endpoint, LONG).await.unwrap();
        stream.read(&mut [0]).await
    };
    tokio::select! {
        ended = refused => assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}"),
        _ = listener.accept() => panic!("a third connection was served"),
    }
    assert_eq!(listener.refused(), 1);
    drop(first);
    let (c, third) = tokio::join!(dial(&endpoint, LONG), listener.accept());
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!(listener.refused(), 1);
    drop((second, third));
    assert_eq!(listener.places_free(), 2);
}

#[tokio::test]
async fn a_closed_port_is_refused_and_named() {
    let (listener, endpoint) = listener(1).await;
    drop(listener);
    let error = dial(&endpoint, LONG).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert!(error.to_string().starts_with(&format!("connecting to {endpoint}: ")), "{error}");
}

#[tokio::test]
async fn no_time_at_all_is_a_time_out() {
    let endpoint: Endpoint = "127.0.0.1:9".parse().unwrap();
    let error = dial(&endpoint, Duration::ZERO).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::ConnectionRefused), "{error}");
}
