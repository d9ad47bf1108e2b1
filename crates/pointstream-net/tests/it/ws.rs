//! WebSocket between two ends on loopback.

use std::io;

use pointstream_net::ws::{
    AcceptError, DialOptions, Kind, Message, WebSocket, WsAccept, accept_ws, dial_ws,
};
use pointstream_net::{Listener, Stream, dial};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{LONG, listener};

async fn accept(listener: &Listener, options: &WsAccept) -> io::Result<WebSocket> {
    accept_ws(listener.accept().await.stream, options, LONG).await
}

/// Both ends of an opening handshake for `mqtt` on `/mqtt`.
async fn meet() -> (WebSocket, WebSocket) {
    let (listener, endpoint) = listener(1).await;
    let url = format!("ws://{endpoint}/mqtt?x=y").parse().unwrap();
    let mut client = DialOptions::default();
    client.subprotocol = Some("mqtt".to_owned());
    client.headers.push(("Authorization".to_owned(), "Basic eDp5".to_owned()));
    let mut server = WsAccept::new("/mqtt");
    server.subprotocols = vec!["mqtt".to_owned()];
    let (client, server) = tokio::join!(dial_ws(&url, &client, LONG), accept(&listener, &server));
    (client.unwrap(), server.unwrap())
}

#[tokio::test]
async fn messages_go_both_ways_and_the_end_is_told() {
    let (mut client, mut server) = meet().await;
    for (kind, data) in [(Kind::Text, &b"not \xff UTF-8"[..]), (Kind::Binary, &[9; 100_000])] {
        let (sent, got) = tokio::join!(client.send(kind, data), server.recv());
        sent.unwrap();
        assert_eq!(got.unwrap(), Some(Message { kind, data: data.to_vec().into() }));
        let (sent, got) = tokio::join!(server.send(kind, data), client.recv());
        sent.unwrap();
        assert_eq!(got.unwrap().unwrap().data, data);
    }
    server.close(1001).await.unwrap();
    assert_eq!(client.recv().await.unwrap(), None);
    assert_eq!(client.close_code(), Some(1001));
    let error = client.send(Kind::Text, b"late").await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn a_connection_cut_without_a_close_frame_is_an_error() {
    let (mut client, server) = meet().await;
    drop(server);
    let error = client.recv().await.unwrap_err();
    assert!(
        matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset),
        "{error}"
    );
}

#[tokio::test]
async fn as_a_stream_it_carries_bytes_whatever_the_messages_are() {
    let (client, mut server) = meet().await;
    let mut client = client.into_stream();
    assert_eq!(client.peer_addr(), server.get_ref().local_addr());
    // More than may be queued at once, in one write, so that writing has to wait for reading.
    let data: Vec<u8> = (0..300_000).map(|i| i as u8).collect();
    let writing = async {
        client.write_all(&data).await.unwrap();
        client.flush().await.unwrap();
    };
    let mut got = Vec::new();
    let reading = async {
        while got.len() < data.len() {
            got.extend_from_slice(&server.recv().await.unwrap().unwrap().data);
        }
    };
    tokio::join!(writing, reading);
    assert!(got == data);
    for (kind, piece) in [(Kind::Text, "a"), (Kind::Binary, ""), (Kind::Binary, "bc")] {
        server.send(kind, piece.as_bytes()).await.unwrap();
    }
    server.ping();
    server.close(1000).await.unwrap();
    let mut text = String::new();
    client.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "abc");
}

#[tokio::test]
async fn a_connection_handed_over_by_another_server_goes_on_with_what_was_read() {
    let (ours, mut theirs) = tokio::io::duplex(1024);
    // A masked "Hello" (RFC 6455 section 5.7), two bytes of which came with the handshake.
    let frame = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    let side = pointstream_net::ws::Side::Server;
    let mut socket = WebSocket::new(Stream::other(ours), side, 100, &frame[..2]);
    theirs.write_all(&frame[2..]).await.unwrap();
    assert_eq!(socket.recv().await.unwrap().unwrap().data, "Hello");
}

#[tokio::test]
async fn a_request_that_does_not_agree_is_answered_and_refused() {
    let (listener, endpoint) = listener(1).await;
    let options = WsAccept::new("/iotmp");
    let url = format!("ws://{endpoint}/other").parse().unwrap();
    let asked = DialOptions::default();
    let (client, server) = tokio::join!(dial_ws(&url, &asked, LONG), accept(&listener, &options));
    let error = client.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    assert!(error.to_string().contains("404 Not Found"), "{error}");
    let error = server.unwrap_err().into_inner().unwrap();
    assert_eq!(error.downcast_ref(), Some(&AcceptError::Path));

    // A head without an end is read up to its limit only.
    let flood = async {
        let mut stream = dial(&endpoint, LONG).await.unwrap();
        stream.write_all(b"GET /iotmp HTTP/1.1\r\nX: ").await.unwrap();
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    };
    let (_, server) = tokio::join!(flood, accept(&listener, &options));
    let error = server.unwrap_err().into_inner().unwrap();
    assert_eq!(error.downcast_ref(), Some(&AcceptError::NotHttp));
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn wss_is_secured_and_refused_without_the_means() {
    use pointstream_net::{ClientTls, ServerTls};
    use pointstream_test::certs;

    let (listener, endpoint) = listener(1).await;
    let url = format!("wss://{endpoint}/").parse().unwrap();
    let mut asked = DialOptions::default();
    asked.tls = Some(ClientTls::builder().ca_pem(certs::CA).build().unwrap());
    let tls = ServerTls::builder(certs::SERVER, certs::SERVER_KEY).build().unwrap();
    let (client, server) = tokio::join!(dial_ws(&url, &asked, LONG), async {
        let stream = tls.accept(listener.accept().await.stream, LONG).await?;
        accept_ws(stream, &WsAccept::new("/"), LONG).await
    });
    let (mut client, mut server) = (client.unwrap(), server.unwrap());
    client.send(Kind::Binary, b"x").await.unwrap();
    assert_eq!(server.recv().await.unwrap().unwrap().data, "x");

    asked.tls = None;
    let error = dial_ws(&url, &asked, LONG).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}
