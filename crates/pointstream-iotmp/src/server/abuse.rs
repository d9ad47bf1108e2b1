//! What strangers and devices may do to a server, over pipes and in virtual time: no test here takes
//! a descriptor or waits for the clock.

use core::time::Duration;
use std::boxed::Box;
use std::format;
use std::string::{String, ToString};
use std::sync::Arc;
use std::vec;
use std::vec::Vec;

use pointstream_net::Stream as Socket;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::serve::{Entrance, Served, serve_stream};
use super::shared::Shared;
use super::{Accounts, CallError, Device, DeviceId, Options};
use crate::io::Connection;
use crate::session::{Ask, Config, Credentials, Event, Feed, Target};
use crate::{Dialect, Payload, Resource, Tree, frame};

const VECTORS: &str = include_str!("../../tests/vectors/frames.json");

/// A server without a listener.
struct Bench {
    served: Arc<Served<Accounts, ()>>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Bench {
    fn new(options: Options) -> Self {
        let authenticator = Accounts::new().with("user1", "*", "secret123");
        let shared = Arc::new(Shared::new(options));
        let served = Arc::new(Served { shared, authenticator, services: () });
        Self { served, stop: watch::Sender::new(false), tasks: JoinSet::new() }
    }

    /// One end of a connection that the server has accepted.
    fn accept(&mut self, room: usize) -> DuplexStream {
        let (ours, theirs) = duplex(room);
        let (served, stopped) = (Arc::clone(&self.served), self.stop.subscribe());
        let stream = Socket::other(theirs);
        self.tasks.spawn(serve_stream(served, Entrance::plain(), stream, None, stopped));
        ours
    }

    /// A device that was let in.
    async fn connect(&mut self, name: &str) -> (Connection, Device) {
        let stream = Socket::other(self.accept(64 * 1024));
        let who = Credentials::new("user1", name, "secret123");
        let connection = Connection::client(stream, Dialect::Iotmp2, &who, Config::default());
        let mut connection = connection.unwrap();
        assert_eq!(connection.event().await.unwrap(), Some(Event::Connected));
        (connection, self.device(name))
    }

    fn device(&self, name: &str) -> Device {
        self.served.shared.find(&DeviceId::new("user1", name)).unwrap()
    }

    /// What the server answers to bytes behind which nothing comes, until it closes.
    async fn answers(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = self.accept(64 * 1024);
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answers = Vec::new();
        let read = timeout(Duration::from_secs(60), stream.read_to_end(&mut answers)).await;
        read.expect("the server closes").unwrap();
        answers
    }

    /// All connections have ended without a panic, and nothing is kept of them.
    async fn is_empty(&mut self) {
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        assert!(self.served.shared.list().is_empty());
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().map(|it| (it as char).to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// The frames of all vectors, with their dialects.
fn vectors() -> Vec<(String, Vec<u8>)> {
    let vectors: serde_json::Value = serde_json::from_str(VECTORS).unwrap();
    let frames = vectors["frames"].as_array().unwrap().iter();
    let text = |it: &serde_json::Value| it.as_str().unwrap().to_string();
    frames.map(|frame| (text(&frame["dialect"]), unhex(frame["hex"].as_str().unwrap()))).collect()
}

/// The first frame of a device that is let in.
fn connect(dialect: &str) -> Vec<u8> {
    unhex(match dialect {
        "2" => "031c1ae38575736572318773656e736f7231897365637265743132330801",
        "1" => "0322100119721b4a0575736572314a0773656e736f72314a097365637265743132330801",
        _ => "0120100526721b4a0575736572314a0773656e736f72314a09736563726574313233",
    })
}

/// The bytes cut off at each place, and with each bit flipped.
fn damaged(bytes: &[u8]) -> Vec<Vec<u8>> {
    let prefixes = (0..bytes.len()).map(|len| bytes[..len].to_vec());
    let flips = (0..bytes.len() * 8).map(|bit| {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        flipped
    });
    prefixes.chain(flips).collect()
}

#[tokio::test(start_paused = true)]
async fn every_prefix_and_flipped_bit_of_every_vector_ends_its_connection_and_nothing_else() {
    let mut bench = Bench::new(Options::default());
    let mut tried = 0;
    for (dialect, vector) in vectors() {
        for bytes in damaged(&vector) {
            // As the first that a stranger says, and behind the CONNECT of a device.
            let _ = bench.answers(&bytes).await;
            let all = [connect(&dialect), bytes].concat();
            let answers = bench.answers(&all).await;
            // It was let in, and whatever came back is whole frames.
            let mut rest = &answers[..];
            let mut frames = 0;
            let mut decoder = frame::Decoder::new(frame::BODY_LEN_MAX);
            while decoder.decode(&mut rest).unwrap().is_some() {
                frames += 1;
            }
            assert!(rest.is_empty() && frames > 0, "{all:x?} was answered with {answers:x?}");
            tried += 1;
        }
        while let Some(ended) = bench.tasks.try_join_next() {
            ended.unwrap();
        }
    }
    assert!(tried > 10_000, "{tried}");
    bench.is_empty().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_ends_the_connection_of_whoever_says_it() {
    let mut bench = Bench::new(Options::default());
    let (mut good, device) = bench.connect("good").await;
    for (what, hex) in [
        ("a body of 4 GiB", "06ffffffff0f"),
        ("a size without end", "06ffffffffffffffffffff01"),
        ("a string of 4 GiB", "06091abfffffffff0f082a"),
        ("an array of 2^32 elements", "06091affffffffff0f082a"),
        ("a map of 2^32 entries", "06091adfffffffff0f082a"),
        (
            "containers without end",
            "06261ae1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1",
        ),
        ("a reserved type", "0000"),
        ("an unknown type", "0b00"),
        ("an unknown wire type", "060208072b00"),
        ("another dialect's wire type", "0604082a2138"),
        ("a stream id of 17 bits", "0604088080 04"),
        ("a second CONNECT", "031c1ae38575736572318773656e736f7231897365637265743132330801"),
    ] {
        let hex = hex.replace(' ', "");
        let mut stream = bench.accept(64 * 1024);
        stream.write_all(&[connect("2"), unhex(&hex)].concat()).await.unwrap();
        // The server closes while this side stays open.
        let mut answers = Vec::new();
        let read = timeout(Duration::from_secs(5), stream.read_to_end(&mut answers)).await;
        assert!(read.is_ok(), "{what} was borne");
    }
    for (what, hex) in [
        ("an unknown field", "06070807228161787f"),
        ("an answer to nothing", "010208050202080f"),
        ("an answer with id 0", "01020800"),
        ("data of a stream that does not exist", "0a0508e707 1801"),
        ("a keep-alive with a body", "0503ffffff"),
    ] {
        let hex = hex.replace(' ', "");
        let mut stream = bench.accept(64 * 1024);
        stream.write_all(&[connect("2"), unhex(&hex), unhex("0500")].concat()).await.unwrap();
        let mut answers = vec![0; 1024];
        let mut len = 0;
        // The keep-alive behind it is echoed.
        while !answers[..len].windows(2).any(|pair| pair == [5, 0]) {
            let read = timeout(Duration::from_secs(5), stream.read(&mut answers[len..])).await;
            let read = read.unwrap_or_else(|_| panic!("{what} was not borne")).unwrap();
            assert!(read > 0, "{what} ended the connection");
            len += read;
        }
    }
    // Data before CONNECT is answered with silence and the end.
    assert_eq!(bench.answers(&unhex("0a0508e7071801")).await, [0u8; 0]);
    // Whoever behaves has noticed nothing.
    let asked = async { device.run("x", None).await };
    let (answer, ()) = tokio::join!(asked, answer_one(&mut good));
    assert_eq!(answer, Ok(None));
    drop(good);
    bench.stop.send_replace(true);
    bench.is_empty().await;
}

async fn answer_one(connection: &mut Connection) {
    loop {
        if let Some(Event::Asked(Some(reply), _)) = connection.event().await.unwrap() {
            connection.session().ok(reply, None).unwrap();
            // Sent while the next one is waited for.
            let _ = timeout(Duration::from_millis(1), connection.event()).await;
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_that_answers_nothing_costs_its_callers_their_time_and_nothing_else() {
    let mut bench = Bench::new(Options::default());
    let (mut silent, device) = bench.connect("silent").await;
    let mut values = device.stream("x", Some(Duration::from_secs(1))).unwrap();
    let calls = async {
        let (run, described, streamed) =
            tokio::join!(device.run("x", None), device.describe(None), values.next());
        assert_eq!((run, described), (Err(CallError::TimedOut), Err(CallError::TimedOut)));
        assert_eq!(streamed, super::Update::Ended);
    };
    let silence = async {
        loop {
            silent.event().await.unwrap();
        }
    };
    tokio::select! {
        () = calls => {}
        () = silence => {}
    }
    drop(values);
    // One call more than may be under way is refused at once.
    let mut waiting: Vec<_> = (0..1024).map(|_| Box::pin(device.run("x", None))).collect();
    let mut busy = 0;
    for call in &mut waiting {
        if let Ok(answer) = timeout(Duration::from_millis(1), call).await {
            assert_eq!(answer, Err(CallError::Busy));
            busy += 1;
        }
    }
    assert!(busy > 0);
    drop((waiting, silent));
    bench.is_empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_device_may_answer_in_reverse_order() {
    let mut bench = Bench::new(Options::default());
    let (mut reverse, device) = bench.connect("reverse").await;
    let names: Vec<String> = (0..20).map(|number| format!("r{number}")).collect();
    let calls = names.iter().map(|name| device.run(name, None));
    let mut calls: Vec<_> = calls.map(Box::pin).collect();
    for call in &mut calls {
        assert!(timeout(Duration::ZERO, call).await.is_err(), "nobody has answered");
    }
    let answering = async {
        let mut asked = Vec::new();
        while asked.len() < names.len() {
            if let Some(Event::Asked(Some(reply), Ask::Run { resource: Target::Path(path), .. })) =
                reverse.event().await.unwrap()
            {
                asked.push((reply, path));
            }
        }
        for (reply, path) in asked.into_iter().rev() {
            reverse.session().ok(reply, Some(&Tree::from(&*path))).unwrap();
        }
        loop {
            reverse.event().await.unwrap();
        }
    };
    let all = async {
        for (call, name) in calls.into_iter().zip(&names) {
            let answer = call.await.unwrap().unwrap();
            assert_eq!(answer.value().as_str(), Some(&**name));
        }
    };
    tokio::select! {
        () = all => {}
        () = answering => {}
    }
    drop(reverse);
    bench.is_empty().await;
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_half_open_connections_hold_nobody_up_and_stay_few() {
    const STRANGERS: usize = 10_000;
    let options = Options::default();
    let mut bench = Bench::new(options);
    let mut strangers = Vec::new();
    for number in 0..STRANGERS {
        let mut stranger = bench.accept(64);
        // Half of them say the beginning of something.
        if number % 2 == 0 {
            stranger.write_all(&connect("2")[..10]).await.unwrap();
        }
        strangers.push(stranger);
    }
    // A device that knows who it is gets in at once.
    let (device, _) = timeout(Duration::from_secs(1), bench.connect("device")).await.unwrap();
    let evicted = bench.served.shared.evicted.load(core::sync::atomic::Ordering::Relaxed);
    assert_eq!(evicted as usize, STRANGERS + 1 - options.half_open_max);
    // What was evicted is gone: as many tasks are left as there are places, and the device's.
    let gone = async {
        while bench.tasks.len() > options.half_open_max + 1 {
            bench.tasks.join_next().await.unwrap().unwrap();
        }
    };
    timeout(Duration::from_secs(1), gone).await.unwrap();
    // Those that are left have their time, and not more.
    tokio::time::sleep(options.session.connect_timeout).await;
    while bench.tasks.len() > 1 {
        bench.tasks.join_next().await.unwrap().unwrap();
    }
    drop((device, strangers));
    bench.is_empty().await;
}

#[tokio::test(start_paused = true)]
async fn another_devices_resource_comes_at_its_interval_and_events_are_told() {
    let mut bench = Bench::new(Options::default());
    let (mut source, _) = bench.connect("source").await;
    let (mut reader, _) = bench.connect("reader").await;
    let with = Tree::from([
        ("id", Tree::from("source")),
        ("interval", Tree::Unsigned(5)),
        ("type", Tree::from("device")),
    ]);
    let now = reader.now();
    let (stream, _) = reader.session().start(now, Resource::Path("t"), Feed::With(&with)).unwrap();
    let event = Tree::from([("event", Tree::from("alarm"))]);
    let (alarm, _) = reader.session().start(now, Resource::Number(8), Feed::With(&event)).unwrap();
    // The source is asked for the interval that the reader wants, and streams.
    let streaming = async {
        let mut open = None;
        for number in 0u64.. {
            let next = timeout(Duration::from_secs(5), source.event()).await;
            if let Ok(event) = next {
                if let Some(Event::Asked(Some(reply), Ask::Start { stream, interval, .. })) =
                    event.unwrap()
                {
                    assert_eq!(interval, Some(Duration::from_secs(5)));
                    source.session().ok(reply, None).unwrap();
                    open = Some(stream);
                }
                continue;
            }
            if let Some(stream) = open {
                source.session().send(stream, &number).unwrap();
            }
        }
    };
    let devices = super::Devices { shared: Arc::clone(&bench.served.shared) };
    let reading = async {
        let mut times = Vec::new();
        while times.len() < 4 {
            if let Some(Event::Data(from, _)) = reader.event().await.unwrap() {
                assert_eq!(from, stream);
                times.push(tokio::time::Instant::now());
            }
        }
        for pair in times.windows(2) {
            let apart = pair[1] - pair[0];
            assert!(apart.as_secs_f64() > 4.0 && apart.as_secs_f64() < 6.0, "{apart:?}");
        }
        // Another user's event, another one, and the one that is wanted.
        let value = |number: u64| Payload::new(&number).unwrap();
        devices.emit("user2", "alarm", value(1));
        devices.emit("user1", "other", value(2));
        devices.emit("user1", "alarm", value(3));
        loop {
            match reader.event().await.unwrap() {
                Some(Event::Data(from, data)) if from == alarm => {
                    return assert_eq!(data.payload, value(3));
                }
                _ => {}
            }
        }
    };
    tokio::select! {
        () = reading => {}
        () = streaming => {}
    }
    drop((source, reader));
    bench.is_empty().await;
}
