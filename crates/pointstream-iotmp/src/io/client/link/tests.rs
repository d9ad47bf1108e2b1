//! A device over pipes, in virtual time.

use std::boxed::Box;

use pointstream_net::Stream as Socket;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::timeout;

use super::super::ResourceError;
use super::super::resources::Kind;
use super::*;
use crate::session::{Config, Credentials};
use crate::{Dialect, Draft, Message, MessageType, Rules, frame};

const VECTORS: &str = include_str!("../../../../tests/vectors/frames.json");

/// A device whose output `n` counts how often it was asked.
fn link() -> Link {
    let mut count = 0u64;
    let mut resources = Resources::default();
    let output = move |_: Option<&Payload>| -> Result<Option<Payload>, ResourceError> {
        count += 1;
        Ok(Some(Payload::new(&count).unwrap()))
    };
    resources.insert("n", Kind::Output, Box::new(output));
    Link::new(resources, &Options::default(), Arc::default())
}

/// Both ends of a connection, the device's as it begins.
fn connection(dialect: Dialect) -> (Connection, DuplexStream) {
    let (ours, theirs) = duplex(64 * 1024);
    let who = Credentials::new("user1", "sensor1", "secret123");
    let stream = Socket::other(theirs);
    (Connection::client(stream, dialect, &who, Config::default()).unwrap(), ours)
}

fn frame_of(draft: &Draft<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    draft.encode(Dialect::Iotmp2, &mut out).unwrap();
    out
}

/// Lets the device in and asks it for its resource whenever that has something to tell.
fn opening(id: u16) -> Vec<u8> {
    let ok = Draft::new(MessageType::Ok).with_stream_id(1);
    let start = Draft::new(MessageType::StartStream).with_stream_id(id);
    [frame_of(&ok), frame_of(&start.with_resource(Resource::Path("n")))].concat()
}

/// Reads frames until this many values came, and gives them with their numbers.
async fn values(stream: &mut DuplexStream, count: usize) -> Vec<(u64, Option<u64>)> {
    let (mut decoder, mut found) = (frame::Decoder::new(frame::BODY_LEN_MAX), Vec::new());
    while found.len() < count {
        let mut bytes = [0; 1024];
        let len = stream.read(&mut bytes).await.unwrap();
        let mut input = &bytes[..len];
        while let Some(frame) = decoder.decode(&mut input).unwrap() {
            let message = Message::decode(Dialect::Iotmp2, &frame, &Rules::DEFAULT).unwrap();
            if message.kind == MessageType::StreamData {
                let about = message.parameters.and_then(|it| it.as_map());
                let seq = about.and_then(|about| about.get("seq")?.as_u64());
                found.push((message.payload.unwrap().as_u64().unwrap(), seq));
            }
        }
    }
    found
}

#[tokio::test(start_paused = true)]
async fn what_was_on_its_way_when_the_connection_broke_is_sent_again() {
    let mut link = link();
    let (sender, mut commands) = mpsc::channel(8);
    let raise = || Command::Raise { resource: String::from("n") };
    let (first, mut server) = connection(Dialect::Iotmp2);
    server.write_all(&opening(7)).await.unwrap();
    let mut never = core::pin::pin!(core::future::pending::<()>());
    let told = async {
        // The state at once, and what is raised; then the connection breaks.
        assert_eq!(values(&mut server, 1).await, [(1, None)]);
        for _ in 0..3 {
            sender.send(raise()).await.unwrap();
        }
        assert_eq!(values(&mut server, 3).await, [(2, None), (3, None), (4, None)]);
        drop(server);
    };
    let (ended, ()) = tokio::join!(link.serve(first, &mut commands, never.as_mut(), || ()), told);
    assert!(matches!(ended, Ended::Lost(_)));
    // No keep-alive came back behind them, so that nobody knows whether they came.
    assert_eq!(link.buffer.len(), 3);
    let (second, mut server) = connection(Dialect::Iotmp2);
    server.write_all(&opening(8)).await.unwrap();
    let told = async {
        let again = values(&mut server, 3).await;
        assert_eq!(again, [(2, Some(1)), (3, Some(2)), (4, Some(3))]);
        // Each keep-alive is sent back, as servers do.
        for _ in 0..4 {
            server.write_all(&[5, 0]).await.unwrap();
        }
        let _ = timeout(Duration::from_secs(1), values(&mut server, 1)).await;
        drop(server);
    };
    let served = link.serve(second, &mut commands, never.as_mut(), || ());
    let (ended, ()) = tokio::join!(served, told);
    assert!(matches!(ended, Ended::Lost(_)));
    assert_eq!(link.buffer.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn every_prefix_and_flipped_bit_of_every_vector_leaves_a_device_that_goes_on() {
    let vectors: serde_json::Value = serde_json::from_str(VECTORS).unwrap();
    let mut link = link();
    let (_sender, mut commands) = mpsc::channel(8);
    let mut never = core::pin::pin!(core::future::pending::<()>());
    let mut tried = 0;
    for vector in vectors["frames"].as_array().unwrap() {
        let dialect = match vector["dialect"].as_str().unwrap() {
            "1" => Dialect::Iotmp1,
            "2" => Dialect::Iotmp2,
            _ => Dialect::Old,
        };
        let digits: Vec<u8> = vector["hex"].as_str().unwrap().bytes().collect();
        let digit = |it: u8| (it as char).to_digit(16).unwrap() as u8;
        let bytes: Vec<u8> =
            digits.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect();
        let mut ok = Vec::new();
        let verdict = Draft::new(MessageType::Ok).with_stream_id(1);
        verdict.encode(dialect, &mut ok).unwrap();
        let prefixes = (0..bytes.len()).map(|len| bytes[..len].to_vec());
        let flips = (0..bytes.len() * 8).map(|bit| {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            flipped
        });
        for damaged in prefixes.chain(flips) {
            // As the verdict, and behind it.
            for before in [&[][..], &ok] {
                let (connection, mut server) = connection(dialect);
                server.write_all(&[before, &damaged].concat()).await.unwrap();
                server.shutdown().await.unwrap();
                let served = link.serve(connection, &mut commands, never.as_mut(), || ());
                let ended = timeout(Duration::from_secs(60), served).await.unwrap();
                assert!(matches!(ended, Ended::Lost(_)));
                tried += 1;
            }
        }
    }
    assert!(tried > 20_000, "{tried}");
    // The same device, on a server that behaves.
    let (good, mut server) = connection(Dialect::Iotmp2);
    server.write_all(&opening(7)).await.unwrap();
    let told = async {
        assert_eq!(values(&mut server, 1).await.len(), 1);
        drop(server);
    };
    tokio::join!(link.serve(good, &mut commands, never.as_mut(), || ()), told);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_is_left() {
    let mut link = link();
    let (_sender, mut commands) = mpsc::channel(8);
    let mut never = core::pin::pin!(core::future::pending::<()>());
    let (silent, server) = connection(Dialect::Iotmp2);
    let started = tokio::time::Instant::now();
    let ended = link.serve(silent, &mut commands, never.as_mut(), || ()).await;
    assert!(matches!(ended, Ended::Lost(_)));
    assert!(started.elapsed() <= Config::default().connect_timeout + Duration::from_secs(2));
    drop(server);
}
