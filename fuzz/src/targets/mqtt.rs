use core::time::Duration;

use pointstream_mqtt::Version;
use pointstream_mqtt::frame::frame;
use pointstream_mqtt::packet::{Packet, QoS, SubscribeOptions};
use pointstream_mqtt::session::{Config, Event, Publication, Session};
use pointstream_mqtt::topic::{Routes, check_filter, check_name, has_wildcards, matches};
use pointstream_time::Instant;

use crate::split;

/// A packet of either version: what is read is written, and reads back as the same.
pub fn mqtt_packet(data: &[u8]) {
    let Some((&first, body)) = data.split_first() else { return };
    for version in [Version::V3_1_1, Version::V5] {
        let Ok(packet) = Packet::decode(first, body, version) else { continue };
        let version = match &packet {
            Packet::Connect(connect) => connect.version,
            _ => version,
        };
        let mut bytes = Vec::new();
        packet.encode(version, &mut bytes).expect("what was read can be written");
        let frame = frame(&bytes, bytes.len()).expect("a frame").expect("a whole one");
        assert_eq!(frame.len, bytes.len());
        assert_eq!(Packet::decode(frame.first, frame.body, version), Ok(packet));
    }
}

/// What a broker says, cut anywhere and lost in between: a session does not care how it is cut, and
/// holds what it promises.
///
/// The first byte chooses the version and how many bytes follow that are lengths of pieces.
pub fn mqtt_session(data: &[u8]) {
    let Some((&choice, rest)) = data.split_first() else { return };
    let version = if choice & 1 == 0 { Version::V3_1_1 } else { Version::V5 };
    let (lens, stream) = rest.split_at(usize::from(choice >> 1 & 7).min(rest.len()));
    let whole = run(version, core::iter::once(stream));
    let mut pieces = Vec::new();
    let mut left = stream;
    for &len in lens {
        let (piece, after) = left.split_at(usize::from(len).min(left.len()));
        pieces.push(piece);
        left = after;
    }
    pieces.push(left);
    assert_eq!(run(version, pieces.into_iter()), whole, "cut into pieces");
    assert_eq!(run(version, stream.chunks(1)), whole, "cut into bytes");
}

/// Two connections, the first of which is cut off in the middle. Nothing is sent before all is
/// heard, since what is sent when depends on how the stream is cut.
fn run<'a>(
    version: Version,
    pieces: impl Iterator<Item = &'a [u8]> + Clone,
) -> (Vec<Event>, Vec<u8>) {
    let mut config = Config::new(version, "c").with_session(Duration::from_secs(60));
    (config.packet_len_max, config.receive_max, config.topic_alias_used_max) = (300, 8, 2);
    let mut session = Session::new(config);
    let options = SubscribeOptions { qos: QoS::ExactlyOnce, ..SubscribeOptions::default() };
    session.subscribe("a/+", options).expect("a filter");
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let message = Publication::new("t", &b"x"[..]).with_qos(qos);
        session.publish(message).expect("a topic");
    }
    let now = Instant::from_origin(Duration::from_secs(1));
    let (mut events, mut sent) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        session.connect(now);
        session.poll_transmit(now, &mut sent);
        let accepted: &[u8] =
            if version == Version::V5 { b"\x20\x03\x01\0\0" } else { b"\x20\x02\x01\0" };
        session.handle_input(now, accepted);
        session.poll_transmit(now, &mut sent);
        for piece in pieces.clone() {
            session.handle_input(now, piece);
        }
        while let Some(event) = session.poll_event() {
            events.push(event);
        }
        session.poll_transmit(now, &mut sent);
        assert!(session.poll_timeout().is_none_or(|due| due > now));
        session.connection_lost();
    }
    (events, sent)
}

/// A filter and a name: matching by levels, by routes and by the rules agree.
pub fn mqtt_topic(data: &[u8]) {
    let (filter, name) = split(data);
    let (Ok(filter), Ok(name)) = (str::from_utf8(filter), str::from_utf8(name)) else { return };
    let found = matches(filter, name);
    if check_filter(filter).is_err() || check_name(name).is_err() {
        return;
    }
    if !has_wildcards(filter) && !filter.starts_with("$share/") {
        assert_eq!(found, filter == name);
    }
    let mut routes = Routes::new();
    routes.insert(filter, 1);
    routes.insert(name, 2);
    let mut takers = Vec::new();
    routes.find(name, |taker| takers.push(*taker));
    takers.sort_unstable();
    // A name that is a shared subscription by its look is none that anybody publishes to.
    if !name.starts_with("$share/") {
        assert_eq!(takers, if found { vec![1, 2] } else { vec![2] }, "{filter:?} {name:?}");
    }
    assert!(routes.remove(filter, &1) && routes.remove(name, &2) && routes.is_empty());
}
