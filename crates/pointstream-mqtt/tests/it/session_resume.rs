//! A session from one connection to the next.

use core::time::Duration;

use pointstream_mqtt::packet::{
    Packet, Properties, Publish, QoS, Subscribe, SubscribeOptions, Unsubscribe, Version,
};
use pointstream_mqtt::session::{Config, End, Event, Publication};

use crate::support::{Peer, puback, pubcomp, publish, pubrec, pubrel, suback};

fn persistent(version: Version) -> Config {
    Config::new(version, "c").with_session(Duration::from_secs(3600))
}

fn message(payload: &str, qos: QoS) -> Publication {
    Publication::new("t", payload.as_bytes()).with_qos(qos)
}

fn again<'a>(payload: &'a str, qos: QoS, id: u16) -> Packet<'a> {
    Packet::Publish(Publish { dup: true, ..publish("t", payload, qos, id) })
}

fn first<'a>(payload: &'a str, qos: QoS, id: u16) -> Packet<'a> {
    Packet::Publish(publish("t", payload, qos, id))
}

fn subscribe(packet_id: u16, filter: &str, qos: QoS) -> Packet<'_> {
    let filters = vec![(filter, SubscribeOptions { qos, ..Default::default() })];
    Packet::Subscribe(Subscribe { packet_id, properties: Properties::NONE, filters })
}

const ONE: QoS = QoS::AtLeastOnce;
const TWO: QoS = QoS::ExactlyOnce;

#[test]
fn what_was_not_acknowledged_goes_out_again_in_its_order_as_a_duplicate() {
    for version in [Version::V3_1_1, Version::V5] {
        let mut peer = Peer::open(persistent(version));
        for (payload, qos) in [("1", ONE), ("2", TWO), ("3", ONE), ("4", TWO)] {
            peer.session.publish(message(payload, qos)).unwrap();
        }
        peer.sent();
        peer.feed(&[pubrec(2), puback(3)]);
        peer.expect(&[pubrel(2)]);
        peer.session.connection_lost();
        peer.expect_end(End::ConnectionLost);
        peer.session.publish(message("5", ONE)).unwrap();
        peer.reconnect(true);
        peer.expect(&[again("1", ONE, 1), pubrel(2), again("4", TWO, 4), first("5", ONE, 5)]);
        peer.feed(&[puback(1), pubcomp(2), pubrec(4), puback(5)]);
        peer.expect(&[pubrel(4)]);
        peer.feed(&[pubcomp(4)]);
        let done = peer
            .events()
            .iter()
            .filter(|it| matches!(it, Event::Published { result: Ok(()), .. }))
            .count();
        assert_eq!((done, peer.session.pending()), (4, 0));
    }
}

#[test]
fn a_broker_that_has_forgotten_the_session_gets_as_new_what_it_may_not_have() {
    let mut peer = Peer::open(persistent(Version::V5));
    for (payload, qos) in [("1", ONE), ("2", TWO), ("3", TWO)] {
        peer.session.publish(message(payload, qos)).unwrap();
    }
    peer.sent();
    peer.feed(&[pubrec(2)]);
    peer.sent();
    peer.session.connection_lost();
    peer.session.connect(peer.now);
    peer.sent();
    peer.events();
    peer.feed(&[crate::support::connack(false, &Properties::NONE)]);
    let events = peer.events();
    // The broker had the second one, and has passed it on or lost it.
    assert!(matches!(events[0], Event::Published { result: Ok(()), .. }), "{events:?}");
    peer.expect(&[first("1", ONE, 1), first("3", TWO, 3)]);
}

#[test]
fn subscriptions_are_taken_up_where_the_broker_has_none() {
    let mut peer = Peer::open(persistent(Version::V3_1_1));
    let options = |qos| SubscribeOptions { qos, ..Default::default() };
    peer.session.subscribe("a", options(TWO)).unwrap();
    peer.expect(&[subscribe(1, "a", TWO)]);
    peer.feed(&[suback(1, &[2])]);
    // Kept: nothing is asked again, and retained messages do not come twice.
    peer.session.connection_lost();
    peer.reconnect(true);
    peer.expect(&[]);
    // Not answered: asked again, kept or not.
    peer.session.subscribe("b", options(ONE)).unwrap();
    peer.expect(&[subscribe(2, "b", ONE)]);
    peer.session.connection_lost();
    peer.reconnect(true);
    peer.expect(&[subscribe(3, "b", ONE)]);
    peer.feed(&[suback(3, &[1])]);
    // Forgotten: all of them, as they were wanted.
    peer.session.connection_lost();
    peer.reconnect(false);
    let filters = vec![("a", options(TWO)), ("b", options(ONE))];
    let packet = Subscribe { packet_id: 4, properties: Properties::NONE, filters };
    peer.expect(&[Packet::Subscribe(packet)]);
}

#[test]
fn what_was_unsubscribed_in_between_is_told_to_a_broker_that_has_kept_it() {
    for kept in [true, false] {
        let mut peer = Peer::open(persistent(Version::V3_1_1));
        peer.session.subscribe("a", SubscribeOptions::default()).unwrap();
        peer.sent();
        peer.feed(&[suback(1, &[0])]);
        peer.session.connection_lost();
        peer.session.unsubscribe("a");
        peer.reconnect(kept);
        let filters = vec!["a"];
        let packet = Unsubscribe { packet_id: 2, properties: Properties::NONE, filters };
        let expected = [Packet::Unsubscribe(packet)];
        peer.expect(if kept { &expected } else { &[] });
    }
}

#[test]
fn what_the_broker_sends_again_is_acknowledged_and_not_told_twice() {
    let mut peer = Peer::open(persistent(Version::V3_1_1));
    peer.feed(&[first("1", ONE, 1), first("2", TWO, 2), first("3", ONE, 3)]);
    assert_eq!(peer.payloads(), ["1", "2", "3"]);
    // The acknowledgements do not arrive.
    peer.session.connection_lost();
    peer.reconnect(true);
    peer.feed(&[
        again("1", ONE, 1),
        again("2", TWO, 2),
        again("other", ONE, 3),
        first("1", ONE, 4),
    ]);
    assert_eq!(peer.payloads(), ["other", "1"], "another content is another message");
    peer.expect(&[puback(1), pubrec(2), puback(3), puback(4)]);
}

#[test]
fn a_broker_that_has_forgotten_a_release_does_not_double_the_message() {
    let mut peer = Peer::open(persistent(Version::V3_1_1));
    peer.feed(&[first("1", TWO, 1)]);
    assert_eq!(peer.payloads(), ["1"]);
    peer.feed(&[pubrel(1)]);
    peer.expect(&[pubrec(1), pubcomp(1)]);
    peer.session.connection_lost();
    peer.reconnect(true);
    peer.feed(&[again("1", TWO, 1), pubrel(1), again("2", TWO, 1)]);
    assert_eq!(peer.payloads(), ["2"]);
    peer.expect(&[pubrec(1), pubcomp(1), pubrec(1)]);
}

#[test]
fn what_was_not_taken_yet_is_not_told_twice_either() {
    let mut peer = Peer::open(persistent(Version::V5));
    peer.feed(&[first("1", ONE, 1), first("2", TWO, 2)]);
    peer.session.connection_lost();
    peer.session.connect(peer.now);
    peer.sent();
    peer.feed(&[crate::support::connack(true, &Properties::NONE)]);
    peer.feed(&[again("1", ONE, 1), again("2", TWO, 2)]);
    assert_eq!(peer.payloads(), ["1", "2"]);
    peer.expect(&[puback(1), pubrec(2)]);
}

#[test]
fn a_session_that_is_forgotten_does_not_take_new_messages_for_old_ones() {
    let mut peer = Peer::open(persistent(Version::V3_1_1));
    peer.feed(&[first("1", ONE, 1), first("2", TWO, 2)]);
    peer.payloads();
    peer.session.connection_lost();
    peer.reconnect(false);
    peer.feed(&[again("1", ONE, 1), first("2", TWO, 2)]);
    assert_eq!(peer.payloads(), ["1", "2"]);
}

#[test]
fn whatever_a_restarted_broker_sends_again_is_known_however_much_it_is() {
    for version in [Version::V3_1_1, Version::V5] {
        let mut peer = Peer::open(persistent(version));
        peer.session.connection_lost();
        peer.reconnect(true);
        // More than was allowed at a time, as mosquitto 2.0 sends it.
        for id in 1..=20_000 {
            peer.feed(&[first(&id.to_string(), ONE, id)]);
        }
        assert_eq!(peer.payloads().len(), 20_000);
        for _ in 0..2 {
            peer.session.connection_lost();
            peer.reconnect(true);
            for id in 1..=20_000 {
                peer.feed(&[again(&id.to_string(), ONE, id)]);
                peer.expect(&[puback(id)]);
            }
            assert_eq!(peer.payloads(), [""; 0]);
        }
    }
}

#[test]
fn what_was_taken_is_acknowledged_before_an_end_for_cause() {
    let mut peer = Peer::open(persistent(Version::V5));
    peer.feed(&[first("1", ONE, 1)]);
    assert_eq!(peer.payloads(), ["1"]);
    peer.feed(&[Packet::PingReq]);
    let sent = peer.sent();
    let sent = peer.decode(&sent);
    assert!(matches!(sent[..], [Packet::PubAck(_), Packet::Disconnect(_)]), "{sent:?}");
}

#[test]
fn messages_wait_for_a_connection_and_its_limits() {
    let mut config = persistent(Version::V3_1_1);
    config.inflight_max = 2;
    let mut peer = Peer::open(config);
    for payload in ["1", "2", "3"] {
        peer.session.publish(message(payload, ONE)).unwrap();
    }
    peer.expect(&[first("1", ONE, 1), first("2", ONE, 2)]);
    for _ in 0..3 {
        peer.session.connection_lost();
        peer.reconnect(true);
        peer.expect(&[again("1", ONE, 1), again("2", ONE, 2)]);
    }
    peer.feed(&[puback(2)]);
    peer.expect(&[first("3", ONE, 3)]);
}

#[test]
fn a_message_that_nobody_waits_for_any_more_can_be_taken_back() {
    let mut peer = Peer::open(persistent(Version::V3_1_1));
    let tickets: Vec<_> = [("1", ONE), ("2", TWO), ("3", QoS::AtMostOnce), ("4", ONE)]
        .into_iter()
        .map(|(payload, qos)| peer.session.publish(message(payload, qos)).unwrap())
        .collect();
    assert!(peer.session.cancel(tickets[3]), "it was not sent");
    peer.sent();
    assert!(!peer.session.cancel(tickets[0]), "the broker may be acknowledging it");
    peer.session.connection_lost();
    assert!(peer.session.cancel(tickets[0]) && !peer.session.cancel(tickets[0]));
    assert!(!peer.session.cancel(tickets[1]), "the broker knows its id");
    peer.reconnect(true);
    peer.expect(&[again("2", TWO, 2)]);
}
