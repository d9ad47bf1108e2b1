//! Devices over TLS and WebSocket, on loopback.

use core::time::Duration;

use pointstream_iotmp::io::{Client, Options as ClientOptions, Status, Target};
use pointstream_iotmp::server::{Options, Server, WS_PATH};
use pointstream_iotmp::session::Credentials;
use pointstream_net::ws::{DialOptions, Kind, dial_ws};
use pointstream_net::{ClientTls, Endpoint, ServerTls};
use pointstream_test::certs;

use crate::server::{Running, spawn};
use crate::support::{CONNECT, hex};

fn server_tls() -> ServerTls {
    ServerTls::builder(certs::SERVER, certs::SERVER_KEY).build().unwrap()
}

fn pinned() -> ClientTls {
    ClientTls::builder().ca_pem(certs::CA).build().unwrap()
}

/// A device that reaches its server this way is read.
async fn serves(running: Running, target: Target) {
    let client =
        Client::new(target, Credentials::new("user1", "boiler", "secret123")).output("t", || 1.5);
    let handle = client.handle();
    let task = spawn(client.run(core::future::pending()));
    handle.status().wait_for(|status| *status == Status::Connected).await.unwrap();
    let value = running.device("boiler").run("t", None).await.unwrap().unwrap();
    assert_eq!(value.value().as_f64(), Some(1.5));
    running.end().await;
    task.abort();
    let _ = task.await;
}

#[tokio::test]
async fn a_device_with_a_pinned_authority_is_served_over_tls() {
    let mut server = Server::new(Options::default());
    let addr = server.listen_tls("127.0.0.1:0", server_tls()).await.unwrap();
    let endpoint = Endpoint::tcp("127.0.0.1", addr.port()).unwrap();
    serves(Running::run(server, addr, ()), Target::Tls(endpoint, pinned())).await;
}

#[tokio::test]
async fn a_device_does_not_speak_to_a_server_that_it_cannot_verify() {
    let mut server = Server::new(Options::default());
    let addr = server.listen_tls("127.0.0.1:0", server_tls()).await.unwrap();
    let running = Running::run(server, addr, ());
    let other = ClientTls::builder().ca_pem(certs::OTHER_CA).build().unwrap();
    let endpoint = Endpoint::tcp("127.0.0.1", addr.port()).unwrap();
    let who = Credentials::new("user1", "boiler", "secret123");
    let client =
        Client::new(Target::Tls(endpoint, other), who).with_options(ClientOptions::default());
    let handle = client.handle();
    let task = spawn(client.run(core::future::pending()));
    let mut status = handle.status();
    let waiting = |status: &Status| matches!(status, Status::Waiting { .. });
    let Status::Waiting { error, .. } = status.wait_for(waiting).await.unwrap().clone() else {
        panic!("waiting")
    };
    assert!(error.contains("UnknownIssuer"), "{error}");
    task.abort();
    let _ = task.await;
    running.end().await;
}

#[tokio::test]
async fn a_device_is_served_over_websocket_with_and_without_tls() {
    for secure in [false, true] {
        let mut server = Server::new(Options::default());
        let (addr, scheme) = if secure {
            (server.listen_wss("127.0.0.1:0", server_tls()).await.unwrap(), "wss")
        } else {
            (server.listen_ws("127.0.0.1:0").await.unwrap(), "ws")
        };
        let url = format!("{scheme}://127.0.0.1:{}{WS_PATH}", addr.port()).parse().unwrap();
        let mut options = DialOptions::default();
        options.tls = secure.then(pinned);
        serves(Running::run(server, addr, ()), Target::Ws(url, options)).await;
    }
}

/// The Linux client of 2026 sends its bytes in text frames; they are not UTF-8.
#[tokio::test]
async fn text_frames_with_arbitrary_bytes_are_taken_and_answered_with_binary_ones() {
    let mut server = Server::new(Options::default());
    let addr = server.listen_ws("127.0.0.1:0").await.unwrap();
    let running = Running::run(server, addr, ());
    let url = format!("ws://127.0.0.1:{}{WS_PATH}", addr.port()).parse().unwrap();
    let mut options = DialOptions::default();
    options.subprotocol = Some("iotmp".into());
    let mut socket = dial_ws(&url, &options, Duration::from_secs(5)).await.unwrap();
    let connect = hex(CONNECT);
    assert!(core::str::from_utf8(&connect).is_err());
    // Borders of messages mean nothing.
    socket.send(Kind::Text, &connect[..9]).await.unwrap();
    socket.send(Kind::Text, &connect[9..]).await.unwrap();
    let verdict = socket.recv().await.unwrap().unwrap();
    assert_eq!((verdict.kind, &verdict.data[..]), (Kind::Binary, &hex("010408e78a01")[..]));
    socket.send(Kind::Text, &hex("0500")).await.unwrap();
    assert_eq!(&socket.recv().await.unwrap().unwrap().data[..], hex("0500"));
    running.end().await;
    // DISCONNECT, then the end of the WebSocket.
    assert_eq!(&socket.recv().await.unwrap().unwrap().data[..], hex("0400"));
    assert!(socket.recv().await.unwrap().is_none());
}
