//! TLS between two ends on loopback: who trusts whom, and what each side says otherwise.

use std::io;

use pointstream_net::{ClientTls, ClientTlsBuilder, ServerTls, Stream, TlsError, dial, dial_tls};
use pointstream_test::certs;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{LONG, listener};

fn server() -> ServerTls {
    ServerTls::builder(certs::SERVER, certs::SERVER_KEY).build().unwrap()
}

/// Both ends of a handshake.
async fn meet(client: &ClientTls, server: &ServerTls) -> (io::Result<Stream>, io::Result<Stream>) {
    let (listener, endpoint) = listener(1).await;
    tokio::join!(dial_tls(&endpoint, client, LONG), async {
        let accepted = listener.accept().await;
        let mut stream = server.accept(accepted.stream, LONG).await?;
        // With TLS 1.3 a client is ready before the server has looked at its certificate.
        stream.write_all(b"hello").await?;
        Ok(stream)
    })
}

#[tokio::test]
async fn a_secured_stream_carries_bytes_both_ways() {
    let client = ClientTls::builder().ca_pem(certs::CA).build().unwrap();
    let (client, server) = meet(&client, &server()).await;
    let (mut client, mut server) = (client.unwrap(), server.unwrap());
    assert_eq!(client.peer_addr(), server.local_addr());
    let mut bytes = [0; 5];
    client.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"hello");
    client.write_all(&[7; 100_000]).await.unwrap();
    client.shutdown().await.unwrap();
    let mut got = Vec::new();
    server.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, [7; 100_000]);
}

#[tokio::test]
async fn a_server_that_cannot_be_verified_is_refused_with_the_reason() {
    let builder = || ClientTls::builder().ca_pem(certs::CA);
    let other = || ClientTls::builder().ca_pem(certs::OTHER_CA);
    let cases: [(ClientTlsBuilder, &str); 3] = [
        (other(), "UnknownIssuer"),
        (ClientTls::builder(), "UnknownIssuer"),
        (builder().server_name("plc.example"), "not valid for name"),
    ];
    for (builder, reason) in cases {
        let (client, server) = meet(&builder.build().unwrap(), &server()).await;
        let error = client.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(error.to_string().contains(reason), "{error}");
        assert!(server.is_err());
    }
    let client = builder().server_name("localhost").build().unwrap();
    assert!(meet(&client, &server()).await.0.is_ok());
}

#[tokio::test]
async fn a_client_certificate_is_demanded_where_the_server_says_so() {
    let server = || {
        let builder = ServerTls::builder(certs::SERVER, certs::SERVER_KEY);
        builder.client_ca_pem(certs::CA).build().unwrap()
    };
    let builder = || ClientTls::builder().ca_pem(certs::CA);
    let known = builder().identity_pem(certs::CLIENT, certs::CLIENT_KEY).build().unwrap();
    let (client, accepted) = meet(&known, &server()).await;
    assert!(client.is_ok() && accepted.is_ok());
    // A server's certificate is not one of a client.
    let wrong = builder().identity_pem(certs::SERVER, certs::SERVER_KEY).build().unwrap();
    for client in [builder().build().unwrap(), wrong] {
        let (_, accepted) = meet(&client, &server()).await;
        assert_eq!(accepted.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}

#[tokio::test]
async fn the_application_protocol_is_agreed_on_or_refused() {
    let builder = ServerTls::builder(certs::SERVER, certs::SERVER_KEY);
    let server = builder.alpn(["mqtt", "x"]).build().unwrap();
    let client = |protocols: &[&str]| {
        ClientTls::builder().ca_pem(certs::CA).alpn(protocols).build().unwrap()
    };
    let (both, _) = meet(&client(&["x", "mqtt"]), &server).await;
    assert_eq!(both.unwrap().alpn(), Some(&b"mqtt"[..]), "the server's choice");
    let (none, _) = meet(&client(&[]), &server).await;
    assert_eq!(none.unwrap().alpn(), None);
    assert!(meet(&client(&["h2"]), &server).await.0.is_err());
}

#[tokio::test]
async fn what_is_not_tls_is_refused_and_silence_ends_at_the_time_limit() {
    let (listener, endpoint) = listener(2).await;
    let (plain, accepted) = tokio::join!(dial(&endpoint, LONG), listener.accept());
    plain.unwrap().write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let error = server().accept(accepted.stream, LONG).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    let (silent, accepted) = tokio::join!(dial(&endpoint, LONG), listener.accept());
    let error = server().accept(accepted.stream, core::time::Duration::ZERO).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    drop(silent);
}

#[test]
fn certificates_and_keys_that_cannot_be_used_are_named() {
    let client = |ca: &[u8]| ClientTls::builder().ca_pem(ca).build().map(drop);
    assert!(matches!(client(b""), Err(TlsError::NoCertificate("certificate authorities"))));
    assert!(matches!(client(certs::SERVER_KEY), Err(TlsError::NoCertificate(_))));
    let broken = b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
    assert!(matches!(client(broken), Err(TlsError::Pem("certificate authorities", _))));
    let server = |chain, key| ServerTls::builder(chain, key).build().map(drop);
    assert!(matches!(server(certs::SERVER, b""), Err(TlsError::Key)));
    assert!(matches!(server(certs::SERVER, certs::CLIENT_KEY), Err(TlsError::Refused(_))));
    let name = ClientTls::builder().server_name("not a name").build();
    assert!(matches!(name, Err(TlsError::Name(_))));
}

#[test]
fn keys_are_not_printed() {
    let client = ClientTls::builder().ca_pem(certs::CA);
    let client = client.identity_pem(certs::CLIENT, certs::CLIENT_KEY);
    let server = ServerTls::builder(certs::SERVER, certs::SERVER_KEY);
    for text in [format!("{client:?}"), format!("{server:?}")] {
        assert!(!text.contains("KEY") && text.len() < 100, "{text}");
    }
    assert!(format!("{:?}", client.build().unwrap()).len() < 100);
}
