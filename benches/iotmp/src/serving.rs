//! Frames through a server: its session and multiplexer alone, and the whole of it over loopback.

use std::hint::black_box;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use pointstream_iotmp::mux::{self, Action, Mux};
use pointstream_iotmp::server::{Accounts, DeviceId, Options, Server};
use pointstream_iotmp::session::{Config, Event, Feed, Session};
use pointstream_iotmp::{Payload, Resource};
use pointstream_time::Instant;

use crate::codec::nanos;

const CONNECT: &[u8] = b"\x03\x1c\x1a\xe3\x85user1\x87sensor1\x89secret123\x08\x01";
/// `{"humidity":60,"temperature":23.5}` on stream 1.
const DATA: &[u8] =
    b"\x0a\x20\x1a\xc2\x88humidity\x1f\x3c\x8btemperature\x40\0\0\xbc\x41\x08\x01";
const FRAMES: usize = 64;

pub(crate) fn table() {
    println!("| STREAM_DATA to a sink | frames a second |\n|---|---|");
    println!("| session and multiplexer, one core, no sockets | {:.0} |", without_sockets());
    println!("| server over loopback, one core | {:.0} |", over_loopback());
    println!();
}

fn without_sockets() -> f64 {
    let now = Instant::from_origin(Duration::from_secs(1));
    let mut session = Session::server(now, Config::default());
    session.handle_input(now, CONNECT);
    assert!(matches!(session.poll_event(), Some(Event::Connecting(_))));
    session.accept(now).expect("a client waits");
    let mut mux: Mux<std::sync::Arc<Payload>> = Mux::new(mux::Config::default());
    mux.on_connected();
    mux.join(now, "t", None).expect("room");
    let Some(Action::Start { channel, .. }) = mux.poll_action() else { panic!("a start") };
    let (stream, _) = session.start(now, Resource::Path("t"), Feed::Events).expect("open");
    assert_eq!(stream.id, 1);
    session.handle_input(now, b"\x01\x02\x08\x01");
    while session.poll_event().is_some() {}
    mux.on_ok(channel);
    let input = DATA.repeat(FRAMES);
    let mut taken = 0u64;
    let each = nanos(|| {
        session.handle_input(now, black_box(&input));
        while let Some(event) = session.poll_event() {
            if let Event::Data(_, data) = event {
                mux.on_value(now, channel, data.payload.into(), false);
                while let Some(event) = mux.poll_event() {
                    taken += u64::from(matches!(event, mux::Event::Value(..)));
                }
            }
        }
    });
    assert!(taken > 0 && taken % FRAMES as u64 == 0);
    1e9 / (each / FRAMES as f64)
}

/// One thread serves, another one is the device, which only writes.
fn over_loopback() -> f64 {
    const TOTAL: usize = 2_000_000;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("io");
    runtime.block_on(async {
        let mut server = Server::new(Options::default());
        let addr = server.listen("127.0.0.1:0").await.expect("a port");
        let devices = server.devices();
        let accounts = Accounts::new().with("user1", "sensor1", "secret123");
        let run = server.run(accounts, (), std::future::pending());
        let device = std::thread::spawn(move || device(addr, TOTAL));
        let measure = async {
            let id = DeviceId::new("user1", "sensor1");
            let device = loop {
                match devices.find(&id) {
                    Some(device) => break device,
                    None => tokio::task::yield_now().await,
                }
            };
            let mut values = device.stream("t", None).expect("room");
            let mut taken = 0u64;
            values.next().await;
            taken += 1;
            let start = std::time::Instant::now();
            // What the reader loses is counted, since it is slower than the session only here, where
            // both share a thread.
            while taken + values.dropped() < TOTAL as u64 {
                values.next().await;
                taken += 1;
            }
            TOTAL as f64 / start.elapsed().as_secs_f64()
        };
        let rate = tokio::select! {
            () = run => unreachable!("it runs for ever"),
            rate = measure => rate,
        };
        drop(device.join());
        rate
    })
}

fn device(addr: std::net::SocketAddr, total: usize) {
    let mut stream = TcpStream::connect(addr).expect("the server");
    stream.write_all(CONNECT).expect("the server");
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).expect("a verdict");
    // The request to stream, which begins with its id.
    let mut head = [0; 2];
    stream.read_exact(&mut head).expect("a request");
    let mut body = vec![0; usize::from(head[1])];
    stream.read_exact(&mut body).expect("a request");
    let id = body[1];
    stream.write_all(&[1, 2, 8, id]).expect("the server");
    let mut data = DATA.to_vec();
    *data.last_mut().expect("an id") = id;
    let chunk = data.repeat(200);
    for _ in 0..total / 200 {
        stream.write_all(&chunk).expect("the server");
    }
    // Until the server ends it.
    let _ = stream.read(&mut head);
}
