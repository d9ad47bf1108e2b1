//! IOTMP: the decoder, the session and the multiplexer of streams.

use core::time::Duration;
use std::collections::BTreeMap;

use pointstream_iotmp::frame::Decoder;
use pointstream_iotmp::mux::{self, Action, Channel, Keeps, Mux, Sink};
use pointstream_iotmp::session::{Config, Credentials, Event, Feed, Refusal, Session};
use pointstream_iotmp::{DEPTH_MAX, DecodeError, Dialect, Message, Resource, Rules, Tree};
use pointstream_time::Instant;

/// A stream of frames cut anywhere is found as in one piece; a message that is read is written and
/// read again as the same message.
///
/// The first byte says the dialect and how many bytes follow that are lengths of pieces.
pub fn iotmp_decode(data: &[u8]) {
    let Some((&first, rest)) = data.split_first() else { return };
    let dialect = DIALECTS[usize::from(first >> 4) % DIALECTS.len()];
    let (lens, stream) = rest.split_at(usize::from(first & 0x0f).min(rest.len()));
    let whole = decode_all(dialect, [stream].into_iter());
    assert_eq!(decode_all(dialect, stream.chunks(1)), whole, "cut into bytes");
    let mut rest = stream;
    let mut pieces: Vec<&[u8]> = Vec::new();
    for &len in lens {
        let (piece, after) = rest.split_at(usize::from(len).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    assert_eq!(decode_all(dialect, pieces.into_iter()), whole, "cut into pieces");
}

const DIALECTS: [Dialect; 3] = [Dialect::Iotmp2, Dialect::Iotmp1, Dialect::Old];
/// Small, so that the limit is met.
const BODY_LEN_MAX: usize = 300;

type Decoded = (Vec<Result<String, DecodeError>>, Option<DecodeError>);

fn decode_all<'a>(dialect: Dialect, pieces: impl Iterator<Item = &'a [u8]>) -> Decoded {
    let mut decoder = Decoder::new(BODY_LEN_MAX);
    let mut found = Vec::new();
    for mut piece in pieces {
        loop {
            match decoder.decode(&mut piece) {
                Ok(Some(frame)) => {
                    assert!(frame.body.len() <= BODY_LEN_MAX);
                    let _ = Dialect::of_first_frame(&frame);
                    let _ = Dialect::of_lone_frame(&frame);
                    let message = Message::decode(dialect, &frame, &Rules::DEFAULT);
                    if let Ok(message) = &message {
                        again(dialect, message);
                    }
                    found.push(message.map(|message| format!("{message:?}")));
                }
                Ok(None) => break,
                Err(error) => return (found, Some(error)),
            }
        }
        assert!(piece.is_empty(), "bytes were left without need");
    }
    (found, None)
}

/// Writes a message and reads it back.
fn again(dialect: Dialect, message: &Message<'_>) {
    let mut out = Vec::new();
    if message.draft().encode(dialect, &mut out).is_err() {
        // The old dialect has no place for some of what its frames can be read as.
        assert_ne!(dialect, Dialect::Iotmp2);
        return;
    }
    if dialect != Dialect::Iotmp2 {
        return;
    }
    let frame = pointstream_iotmp::frame::decode(&out, usize::MAX);
    let frame = frame.expect("a sound header").expect("a whole frame");
    let read = Message::decode(dialect, &frame, &Rules::DEFAULT).expect("what was written");
    assert_eq!((read.kind, read.stream_id), (message.kind, message.stream_id));
    let pairs = [
        (read.parameters, message.parameters),
        (read.payload, message.payload),
        (read.resource, message.resource),
    ];
    for (read, written) in pairs {
        let text = |value| format!("{:?}", Option::map(value, |it| plain(Tree::from(it), 0)));
        assert_eq!(text(read), text(written));
    }
}

/// Floats as they are read: integral ones are written as integers.
fn plain(tree: Tree, depth: u8) -> Tree {
    assert!(depth <= DEPTH_MAX);
    match tree {
        Tree::Float(number) if number.fract() == 0.0 && number.abs() < 9.2e18 => {
            if number < 0.0 {
                Tree::Signed(number as i64)
            } else {
                Tree::Unsigned(number as u64)
            }
        }
        // A NaN has one form.
        Tree::Float(number) if number.is_nan() => Tree::Float(f64::NAN),
        Tree::Array(items) => {
            Tree::Array(items.into_iter().map(|it| plain(it, depth + 1)).collect())
        }
        Tree::Map(map) => {
            Tree::Map(map.into_iter().map(|(name, it)| (name, plain(it, depth + 1))).collect())
        }
        other => other,
    }
}

/// A session of either side in virtual time: whatever comes, each request has at most one end, nothing
/// comes after the end, and what is kept is bounded.
///
/// Each step is a byte for what happens, one for the tenths of a second before it, one for a length,
/// and so many bytes.
pub fn iotmp_session(data: &[u8]) {
    let Some((&first, mut rest)) = data.split_first() else { return };
    let config = Config::default()
        .with_requests_max(4, 4)
        .with_streams_max(3)
        .with_lengths_max(200, BODY_LEN_MAX)
        .with_transmit_len_max(4_000);
    let mut now = Duration::ZERO;
    let start = Instant::from_origin(now);
    let mut session = match first % 2 {
        0 => Session::server(start, config),
        _ => {
            let dialect = DIALECTS[usize::from(first >> 1) % DIALECTS.len()];
            let credentials = Credentials::new("user", "device", "credential");
            Session::client(start, dialect, &credentials, config).expect("short credentials")
        }
    };
    let mut told = Told::default();
    while let [what, later, len, after @ ..] = rest {
        now += Duration::from_millis(u64::from(*later) * 100);
        let (bytes, after) = after.split_at(usize::from(*len).min(after.len()));
        rest = after;
        step(&mut session, *what, Instant::from_origin(now), bytes, &mut told);
        let mut out = Vec::new();
        session.poll_transmit(&mut out);
        // What the protocol demands may go beyond the limit by the frame that meets it.
        assert!(out.len() <= 4_000 + 2 * BODY_LEN_MAX + 64, "{} bytes to send", out.len());
        assert_eq!(session.poll_timeout().is_none(), session.is_closed());
    }
}

#[derive(Default)]
struct Told {
    asked: usize,
    ended: usize,
    closed: bool,
    replies: Vec<pointstream_iotmp::session::Reply>,
    streams: Vec<pointstream_iotmp::session::Stream>,
}

fn step(session: &mut Session, what: u8, at: Instant, bytes: &[u8], told: &mut Told) {
    const PATH: Resource<'_> = Resource::Path("a");
    match what % 10 {
        0 => {
            told.asked +=
                usize::from(session.run(at, PATH, None, Some(&bytes.len().to_string())).is_ok())
        }
        1 => {
            if let Ok((stream, _)) = session.start(at, PATH, Feed::Every(Duration::from_secs(1))) {
                told.asked += 1;
                told.streams.push(stream);
            }
        }
        2 => {
            if let Some(stream) = told.streams.pop() {
                told.asked += usize::from(session.stop(at, stream).is_ok());
            }
        }
        3 => {
            if let Some(reply) = told.replies.pop() {
                let _ = if what > 127 {
                    session.ok(reply, Some(&true))
                } else {
                    session.error(reply, 404, None)
                };
            }
        }
        4 => session.handle_timeout(at),
        5 => told.asked += usize::from(session.describe(at, None).is_ok()),
        6 => {
            let _ = session.accept(at);
        }
        7 if what > 200 => {
            let _ = session.reject(Refusal::Credentials);
        }
        _ => session.handle_input(at, bytes),
    }
    while let Some(event) = session.poll_event() {
        assert!(!told.closed, "nothing comes after the end");
        match event {
            Event::Asked(Some(reply), _) => told.replies.push(reply),
            Event::Answered(..) | Event::TimedOut(_) => told.ended += 1,
            Event::Closed(_) => told.closed = true,
            _ => {}
        }
    }
    assert!(told.ended <= told.asked, "each request ends once");
    assert_eq!(told.closed, session.is_closed());
}

/// A multiplexer with sinks that come and go: nothing reaches one that has left, the device is never
/// asked for less than the floor, and one action at a time is under way on each channel.
///
/// Each step is a byte for what happens, one for the tenths of a second before it, and one for a
/// resource and an interval.
pub fn iotmp_mux(data: &[u8]) {
    let Some((&first, mut rest)) = data.split_first() else { return };
    let keeps = if first & 1 == 0 { Keeps::Apart } else { Keeps::Last };
    let floor = Duration::from_millis(500);
    let config = mux::Config::default().with_max(4, 16).with_keeps(keeps).with_interval_min(floor);
    let mut mux: Mux<u8> = Mux::new(config);
    let mut now = Duration::ZERO;
    let mut sinks: Vec<Sink> = Vec::new();
    let mut gone: Vec<Sink> = Vec::new();
    let mut busy: BTreeMap<Channel, ()> = BTreeMap::new();
    let mut channels: Vec<Channel> = Vec::new();
    while let [what, later, number, after @ ..] = rest {
        rest = after;
        now += Duration::from_millis(u64::from(*later) * 100);
        let at = Instant::from_origin(now);
        let channel = channels.get(usize::from(*number) % channels.len().max(1)).copied();
        match (what % 9, channel) {
            (0 | 1, _) => {
                let millis = u64::from(number >> 3) * 170;
                let interval = (millis > 0).then(|| Duration::from_millis(millis));
                let name = ["a", "b", "c", "d", "e", "f", "g", "h"][usize::from(number & 7)];
                sinks.extend(mux.join(at, name, interval));
            }
            (2, _) if !sinks.is_empty() => {
                let sink = sinks.swap_remove(usize::from(*number) % sinks.len());
                mux.leave(sink);
                gone.push(sink);
            }
            (3, _) => {
                busy.clear();
                mux.on_connected();
            }
            (4, _) if what > &200 => {
                busy.clear();
                mux.on_disconnected();
            }
            (5, Some(channel)) if busy.remove(&channel).is_some() => mux.on_ok(channel),
            (6, Some(channel)) if busy.remove(&channel).is_some() => mux.on_error(channel),
            (7, Some(channel)) => mux.on_value(at, channel, *number, what > &127),
            (8, Some(channel)) if !busy.contains_key(&channel) => mux.on_lost(channel),
            _ => {}
        }
        while let Some(action) = mux.poll_action() {
            let (channel, interval) = match action {
                Action::Start { channel, interval, .. }
                | Action::Restart { channel, interval, .. } => (channel, interval),
                Action::Stop { channel } => (channel, None),
                _ => continue,
            };
            assert!(interval.is_none_or(|interval| interval >= floor), "{interval:?}");
            assert!(busy.insert(channel, ()).is_none(), "one action at a time");
            if !channels.contains(&channel) {
                channels.push(channel);
            }
        }
        while let Some(event) = mux.poll_event() {
            let (mux::Event::Value(sink, _) | mux::Event::Ended(sink)) = event else { continue };
            assert!(!gone.contains(&sink), "nothing reaches a sink that has left");
        }
        assert_eq!(mux.len(), sinks.len());
        assert!(sinks.len() <= 16);
    }
}
