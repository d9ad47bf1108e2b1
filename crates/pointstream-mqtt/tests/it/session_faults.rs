//! What a broker must not do.

use core::time::Duration;

use pointstream_mqtt::packet::{
    Ack, Connect, Farewell, Packet, PacketType, Properties, Publish, QoS, Reason, SubAck,
    Subscribe, SubscribeOptions, Version,
};
use pointstream_mqtt::session::{Config, End, Event, Session};
use pointstream_mqtt::{DecodeError, Malformed};
use proptest::prelude::*;

use crate::support::{Peer, connack, puback, publish, pubrec, suback};

fn reason_of(peer: &mut Peer) -> Option<Reason> {
    let sent = peer.sent();
    match peer.decode(&sent)[..] {
        [Packet::Disconnect(Farewell { reason, .. })] => Some(reason),
        [] => None,
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn packets_that_only_clients_send_end_the_connection() {
    let connect = Connect {
        version: Version::V5,
        clean_start: true,
        keep_alive: 0,
        properties: Properties::NONE,
        client_id: "",
        will: None,
        username: None,
        password: None,
    };
    let filters = vec![("a", SubscribeOptions::default())];
    let subscribe = Subscribe { packet_id: 1, properties: Properties::NONE, filters };
    let auth = Farewell { reason: Reason::new(0x18), properties: Properties::NONE };
    for packet in [
        Packet::Connect(connect),
        Packet::Subscribe(subscribe),
        Packet::PingReq,
        Packet::Auth(auth),
        connack(false, &Properties::NONE),
    ] {
        let mut peer = Peer::open(Config::new(Version::V5, "c"));
        peer.feed(core::slice::from_ref(&packet));
        peer.expect_end(End::Unexpected(packet.kind()));
        assert_eq!(reason_of(&mut peer), Some(Reason::PROTOCOL_ERROR));
    }
}

#[test]
fn anything_before_the_verdict_ends_the_connection() {
    let mut peer = Peer::new(Config::new(Version::V3_1_1, "c"));
    peer.session.connect(peer.now);
    peer.sent();
    peer.feed(&[Packet::Publish(publish("t", "", QoS::AtMostOnce, 0))]);
    peer.expect_end(End::Unexpected(PacketType::Publish));
    assert_eq!(reason_of(&mut peer), None);
}

#[test]
fn what_is_not_mqtt_ends_the_connection_and_nothing_behind_it_is_read() {
    for (version, reason) in [(Version::V3_1_1, None), (Version::V5, Some(Reason::MALFORMED))] {
        let mut peer = Peer::open(Config::new(version, "c"));
        let mut bytes = b"HTTP/1.1 400 Bad Request\r\n".to_vec();
        bytes.extend(peer.encode(&[Packet::Publish(publish("t", "", QoS::AtMostOnce, 0))]));
        peer.session.handle_input(peer.now, &bytes);
        let error = DecodeError::new(0, Malformed::Flags(8));
        assert_eq!(peer.events(), [Event::Lost(End::Malformed(error))]);
        assert_eq!(reason_of(&mut peer), reason);
    }
}

#[test]
fn a_long_message_of_mqtt_3_is_passed_over_however_it_is_split() {
    for step in [1, 7, 50, 1_000_000] {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let mut config = Config::new(Version::V3_1_1, "c");
            config.packet_len_max = 100;
            let mut peer = Peer::open(config);
            let id = if qos == QoS::AtMostOnce { 0 } else { 5 };
            let long = "x".repeat(1_000);
            let bytes = peer.encode(&[
                Packet::Publish(publish("before", "", QoS::AtMostOnce, 0)),
                Packet::Publish(publish("long", &long, qos, id)),
                Packet::Publish(publish("after", "", QoS::AtMostOnce, 0)),
            ]);
            for chunk in bytes.chunks(step) {
                peer.session.handle_input(peer.now, chunk);
            }
            let told: Vec<_> = peer
                .events()
                .into_iter()
                .map(|event| match event {
                    Event::Message(message) => (message.topic.to_string(), 0),
                    Event::Oversize { topic, len } => (topic.to_string(), len),
                    other => panic!("{other:?}"),
                })
                .collect();
            let len = 1_000 + "long".len() + 2 + 3 + if id == 0 { 0 } else { 2 };
            let expected =
                [("before".to_owned(), 0), ("long".to_owned(), len), ("after".to_owned(), 0)];
            assert_eq!(told, expected, "steps of {step}");
            match qos {
                QoS::AtMostOnce => peer.expect(&[]),
                QoS::AtLeastOnce => peer.expect(&[puback(5)]),
                QoS::ExactlyOnce => peer.expect(&[pubrec(5)]),
            }
        }
    }
}

#[test]
fn a_long_packet_that_is_no_message_or_comes_by_mqtt_5_ends_the_connection() {
    for version in [Version::V3_1_1, Version::V5] {
        let mut config = Config::new(version, "c");
        config.packet_len_max = 100;
        let mut peer = Peer::open(config);
        let reasons = [0; 200];
        match version {
            Version::V3_1_1 => peer.feed(&[suback(1, &reasons)]),
            Version::V5 => {
                peer.feed(&[Packet::Publish(publish("t", &"x".repeat(100), QoS::AtMostOnce, 0))])
            }
        }
        let end = peer.events().pop();
        let too_long = matches!(
            end,
            Some(Event::Lost(End::Malformed(DecodeError {
                kind: Malformed::PacketLen { max: 100, .. },
                ..
            })))
        );
        assert!(too_long, "{end:?}");
        let reason = (version == Version::V5).then_some(Reason::PACKET_TOO_LARGE);
        assert_eq!(reason_of(&mut peer), reason);
    }
}

#[test]
fn more_messages_than_were_allowed_end_the_connection() {
    let mut config = Config::new(Version::V5, "c");
    config.receive_max = 2;
    let mut peer = Peer::open(config);
    let one = |id| Packet::Publish(publish("t", "", QoS::AtLeastOnce, id));
    let two = |id| Packet::Publish(publish("t", "", QoS::ExactlyOnce, id));
    peer.feed(&[one(1), two(2)]);
    assert_eq!(peer.payloads().len(), 2);
    peer.sent();
    // The second one is not released, so that there is room for one more only.
    peer.feed(&[one(3)]);
    assert_eq!(peer.payloads().len(), 1);
    peer.sent();
    peer.feed(&[one(4), one(5)]);
    peer.expect_end(End::ReceiveMaximum);
    assert_eq!(reason_of(&mut peer), Some(Reason::RECEIVE_MAXIMUM));
}

#[test]
fn a_message_beyond_what_was_allowed_is_not_lost() {
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let mut config = Config::new(Version::V5, "c").with_session(Duration::from_secs(60));
        config.receive_max = 1;
        let mut peer = Peer::open(config);
        let (one, two) = (publish("t", "1", qos, 1), publish("t", "2", qos, 2));
        peer.feed(&[Packet::Publish(one), Packet::Publish(two)]);
        assert_eq!(peer.payloads(), ["1"]);
        peer.reconnect(true);
        peer.feed(&[Packet::Publish(Publish { dup: true, ..two })]);
        assert_eq!(peer.payloads(), ["2"]);
    }
}

#[test]
fn a_broker_that_takes_no_acknowledgements_is_not_read_from() {
    let mut peer = Peer::open(Config::new(Version::V3_1_1, "c"));
    let mut id = 0;
    while peer.session.wants_input() {
        id += 1;
        peer.feed(&[Packet::Publish(publish("t", "", QoS::AtLeastOnce, id))]);
        peer.events();
    }
    assert_eq!(usize::from(id), Session::ACKS_MAX);
    peer.sent();
    assert!(peer.session.wants_input());
}

#[test]
fn answers_to_what_was_not_asked_change_nothing() {
    let mut peer = Peer::open(Config::new(Version::V3_1_1, "c"));
    peer.session.subscribe("a", SubscribeOptions::default()).unwrap();
    peer.sent();
    peer.feed(&[suback(77, &[0]), puback(1), Packet::PubComp(Ack::new(1))]);
    assert_eq!((peer.events(), peer.session.discarded()), (vec![], 3));
    // An answer of another kind than the question is none, and leaves it open for the next time.
    let reasons = &[];
    let ack = SubAck { packet_id: 1, properties: Properties::NONE, reasons };
    peer.feed(&[Packet::UnsubAck(ack)]);
    assert_eq!(peer.events(), []);
}

proptest! {
    #[test]
    fn no_bytes_make_a_session_panic_or_run_wild(
        version in prop_oneof![Just(Version::V3_1_1), Just(Version::V5)],
        chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..20),
    ) {
        let mut config = Config::new(version, "c");
        config.packet_len_max = 200;
        let mut peer = Peer::open(config);
        peer.session.subscribe("a", SubscribeOptions::default()).unwrap();
        for chunk in chunks {
            peer.sent();
            peer.session.handle_input(peer.now, &chunk);
            prop_assert!(peer.events().len() <= chunk.len() + 1);
            if let Some(due) = peer.session.poll_timeout() {
                prop_assert!(due > peer.now);
                peer.now += Duration::from_secs(1);
            }
        }
    }
}

#[test]
fn a_message_with_wildcards_in_its_topic_is_malformed() {
    let mut peer = Peer::open(Config::new(Version::V3_1_1, "c"));
    let mut bytes = peer.encode(&[Packet::Publish(Publish {
        topic: "a/b",
        ..publish("a/b", "", QoS::AtMostOnce, 0)
    })]);
    bytes[6] = b'#';
    peer.session.handle_input(peer.now, &bytes);
    peer.expect_end(End::Malformed(DecodeError::new(0, Malformed::TopicName)));
}
