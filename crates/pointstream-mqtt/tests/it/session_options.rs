//! What MQTT 5 has beside: subscription identifiers, topic aliases, the expiry of messages and sessions.

use core::time::Duration;

use pointstream_mqtt::packet::{
    Packet, PropertyBuf, PropertyId, PropertyValue, Publish, QoS, SubscribeOptions, Version,
};
use pointstream_mqtt::session::{Config, Event, Publication, PublishFault};

use crate::support::{Peer, connack, puback, pubcomp, publish, pubrec, pubrel, suback};

const ONE: QoS = QoS::AtLeastOnce;

fn properties(of: &[(PropertyId, PropertyValue<'_>)]) -> PropertyBuf {
    let mut properties = PropertyBuf::new();
    of.iter().for_each(|(id, value)| properties.push(*id, *value).unwrap());
    properties
}

/// A session of MQTT 5 whose broker said this with its verdict.
fn open(config: Config, said: &[(PropertyId, PropertyValue<'_>)]) -> (Peer, Vec<Event>) {
    let mut peer = Peer::new(config);
    peer.session.connect(peer.now);
    peer.sent();
    peer.feed(&[connack(false, &properties(said).as_properties())]);
    let events = peer.events();
    (peer, events)
}

fn v5() -> Config {
    Config::new(Version::V5, "c")
}

/// The filters of each SUBSCRIBE that is sent, with its identifier.
fn subscribes(peer: &mut Peer) -> Vec<(u16, Vec<String>, Option<u32>)> {
    let sent = peer.sent();
    let packets = peer.decode(&sent).into_iter().map(|packet| match packet {
        Packet::Subscribe(it) => {
            let filters = it.filters.iter().map(|(filter, _)| (*filter).to_owned()).collect();
            (it.packet_id, filters, it.properties.subscription_ids().next())
        }
        other => panic!("{other:?}"),
    });
    packets.collect()
}

fn subscribe(peer: &mut Peer, filters: &[(&str, QoS)]) {
    for &(filter, qos) in filters {
        let options = SubscribeOptions { qos, ..Default::default() };
        peer.session.subscribe(filter, options).unwrap();
    }
}

#[test]
fn each_filter_has_an_identifier_of_its_own_where_the_broker_knows_them() {
    let filters = [("a/#", ONE), ("a/b", ONE)];
    let (mut peer, _) = open(v5(), &[]);
    subscribe(&mut peer, &filters);
    let sent = subscribes(&mut peer);
    assert_eq!(sent.len(), 2);
    let ids: Vec<_> = sent.iter().map(|(_, _, id)| id.unwrap()).collect();
    assert_ne!(ids[0], ids[1]);
    // The next process has the same: the session may outlive this one.
    let (mut again, _) = open(v5(), &[]);
    subscribe(&mut again, &filters);
    assert_eq!(subscribes(&mut again), sent);
    let none = [(PropertyId::SUBSCRIPTION_IDENTIFIER_AVAILABLE, PropertyValue::Byte(0))];
    let mut without = v5();
    without.subscription_ids = false;
    let old = Config::new(Version::V3_1_1, "c");
    for (config, said) in [(v5(), &none[..]), (without, &[]), (old, &[])] {
        let (mut peer, _) = open(config, said);
        subscribe(&mut peer, &filters);
        let all = vec!["a/#".to_owned(), "a/b".to_owned()];
        assert_eq!(subscribes(&mut peer), [(1, all, None)]);
    }
}

#[test]
fn a_message_that_several_subscriptions_match_is_told_once() {
    let (mut peer, _) = open(v5(), &[]);
    subscribe(&mut peer, &[("a/#", QoS::AtMostOnce), ("a/+", QoS::ExactlyOnce), ("a/b", ONE)]);
    let ids: Vec<_> = subscribes(&mut peer).into_iter().map(|(_, _, id)| id.unwrap()).collect();
    peer.feed(&[suback(1, &[0]), suback(2, &[2]), suback(3, &[1])]);
    peer.events();
    let by = |ids: &[u32]| {
        let id = |id: &u32| (PropertyId::SUBSCRIPTION_IDENTIFIER, PropertyValue::Varint(*id));
        properties(&ids.iter().map(id).collect::<Vec<_>>())
    };
    let copies = [by(&ids[..1]), by(&ids[1..2]), by(&ids[2..]), by(&ids)];
    let copy = |at: usize, qos, id| {
        let properties = copies[at].as_properties();
        Packet::Publish(Publish { properties, ..publish("a/b", "x", qos, id) })
    };
    peer.feed(&[copy(0, QoS::AtMostOnce, 0), copy(1, QoS::ExactlyOnce, 7), copy(2, ONE, 8)]);
    let events = peer.events();
    let [Event::Message(message)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(message.qos, QoS::ExactlyOnce, "the best of them");
    assert!(message.properties.is_empty());
    // Those that are not told are acknowledged as well.
    peer.expect(&[puback(8), pubrec(7)]);
    peer.feed(&[pubrel(7)]);
    peer.expect(&[pubcomp(7)]);
    // A broker may also send one for all.
    peer.feed(&[copy(3, ONE, 9)]);
    assert_eq!(peer.payloads(), ["x"]);
    // What was retained comes by the subscription that is made.
    let retained = Publish {
        retain: true,
        properties: copies[0].as_properties(),
        ..publish("a/b", "r", QoS::AtMostOnce, 0)
    };
    peer.feed(&[Packet::Publish(retained)]);
    assert_eq!(peer.payloads(), ["r"]);
    // With the best gone, the next best tells.
    peer.session.unsubscribe("a/+");
    peer.feed(&[copy(1, QoS::ExactlyOnce, 10), copy(2, ONE, 11)]);
    assert_eq!(peer.payloads(), ["x"]);
}

#[test]
fn a_session_that_is_older_than_the_process_loses_nothing() {
    let config = v5().with_session(Duration::from_secs(60));
    let mut peer = Peer::new(config);
    subscribe(&mut peer, &[("a/#", ONE)]);
    peer.session.connect(peer.now);
    peer.sent();
    peer.feed(&[connack(true, &PropertyBuf::new().as_properties())]);
    peer.events();
    // By a subscription that an earlier process made, before the answer to this one's.
    let properties =
        properties(&[(PropertyId::SUBSCRIPTION_IDENTIFIER, PropertyValue::Varint(77))]);
    let properties = properties.as_properties();
    peer.feed(&[Packet::Publish(Publish { properties, ..publish("a/b", "x", ONE, 1) })]);
    assert_eq!(peer.payloads(), ["x"]);
}

/// The topics and aliases of the messages that are sent.
fn topics(peer: &mut Peer) -> Vec<(String, Option<u32>)> {
    let sent = peer.sent();
    let packets = peer.decode(&sent).into_iter().map(|packet| match packet {
        Packet::Publish(it) => (it.topic.to_owned(), it.properties.number(PropertyId::TOPIC_ALIAS)),
        other => panic!("{other:?}"),
    });
    packets.collect()
}

fn send(peer: &mut Peer, topics: &[&str]) {
    for topic in topics {
        peer.session.publish(Publication::new(*topic, &b"x"[..])).unwrap();
    }
}

#[test]
fn aliases_stand_for_the_first_topics_of_each_connection() {
    let mut config = v5().with_session(Duration::from_secs(60));
    config.topic_alias_used_max = 3;
    let said = [(PropertyId::TOPIC_ALIAS_MAXIMUM, PropertyValue::Two(2))];
    let (mut peer, _) = open(config.clone(), &said);
    send(&mut peer, &["a", "b", "c", "a", "b", "c"]);
    let own = |topic: &str, alias| (topic.to_owned(), alias);
    let expected = [
        own("a", Some(1)),
        own("b", Some(2)),
        own("c", None),
        own("", Some(1)),
        own("", Some(2)),
        own("c", None),
    ];
    assert_eq!(topics(&mut peer), expected);
    // A message that goes out again finds a broker that knows nothing of them.
    peer.session.publish(Publication::new("a", &b"y"[..]).with_qos(ONE)).unwrap();
    assert_eq!(topics(&mut peer), [own("", Some(1))]);
    peer.session.connection_lost();
    peer.session.connect(peer.now);
    peer.sent();
    peer.feed(&[connack(true, &properties(&said).as_properties())]);
    assert_eq!(topics(&mut peer), [own("a", Some(1))]);
    // The broker knows none, or none are wanted.
    let (mut peer, _) = open(config, &[]);
    send(&mut peer, &["a", "a"]);
    assert_eq!(topics(&mut peer), [own("a", None), own("a", None)]);
    let (mut peer, _) = open(v5(), &said);
    send(&mut peer, &["a", "a"]);
    assert_eq!(topics(&mut peer), [own("a", None), own("a", None)]);
}

#[test]
fn a_message_that_fits_without_an_alias_goes_without() {
    let mut config = v5();
    config.topic_alias_used_max = 8;
    let said = [
        (PropertyId::TOPIC_ALIAS_MAXIMUM, PropertyValue::Two(8)),
        (PropertyId::MAXIMUM_PACKET_SIZE, PropertyValue::Four(32)),
    ];
    let (mut peer, _) = open(config, &said);
    // 2 of the header, 2 and 1 of the topic, 1 without properties.
    for (len, fits) in [(26, true), (27, false)] {
        peer.session.publish(Publication::new("a", vec![b'x'; len])).unwrap();
        assert_eq!(topics(&mut peer).len(), usize::from(fits));
        let results: Vec<_> = peer.events().into_iter().collect();
        let fault = Err(PublishFault::PacketLen(32));
        let expected = if fits { Ok(()) } else { fault };
        assert!(
            matches!(&results[..], [Event::Published { result, .. }] if *result == expected),
            "{results:?}"
        );
    }
    send(&mut peer, &["a", "a"]);
    let expected = [("a".to_owned(), Some(1)), (String::new(), Some(1))];
    assert_eq!(topics(&mut peer), expected, "the alias is not used up");
}

#[test]
fn a_message_says_how_long_it_is_worth_delivering() {
    let (mut peer, _) = open(v5(), &[]);
    for (expiry, secs) in
        [(Duration::from_secs(90), 90), (Duration::from_millis(10), 1), (Duration::MAX, u32::MAX)]
    {
        peer.session.publish(Publication::new("t", &b"x"[..]).with_expiry(expiry)).unwrap();
        let sent = peer.sent();
        let [Packet::Publish(publish)] = peer.decode(&sent)[..] else { panic!() };
        let said = publish.properties.number(PropertyId::MESSAGE_EXPIRY_INTERVAL);
        assert_eq!(said, Some(secs));
    }
}

#[test]
fn the_broker_has_the_last_word_on_how_long_a_session_lasts() {
    let said = |secs| [(PropertyId::SESSION_EXPIRY_INTERVAL, PropertyValue::Four(secs))];
    let config = v5().with_session(Duration::from_secs(3600));
    for (config, said, expected) in [
        (config.clone(), &said(60)[..], Duration::from_secs(60)),
        (config.clone(), &said(u32::MAX)[..], Duration::MAX),
        (config, &[], Duration::from_secs(3600)),
        (v5(), &[], Duration::ZERO),
        (Config::new(Version::V3_1_1, "c"), &[], Duration::ZERO),
    ] {
        let (_, events) = open(config, said);
        let [Event::Connected(connected)] = &events[..] else { panic!("{events:?}") };
        assert_eq!(connected.session_expiry, expected);
    }
}
