//! A session whose connection stands.

use core::time::Duration;

use pointstream_mqtt::packet::{
    Ack, Connect, Farewell, Packet, PacketType, Properties, PropertyBuf, PropertyId, PropertyValue,
    Publish, QoS, Reason, SubAck, Subscribe, SubscribeOptions, Unsubscribe, Version, Will,
};
use pointstream_mqtt::session::{
    Config, End, Event, LastWill, Publication, PublishError, PublishFault, Session, SubscribeError,
};

use crate::support::{Peer, at, connack, puback, pubcomp, publish, pubrec, pubrel, suback};

fn v3() -> Config {
    Config::new(Version::V3_1_1, "c")
}

fn v5() -> Config {
    Config::new(Version::V5, "c")
}

fn message(payload: &str, qos: QoS) -> Publication {
    Publication::new("t", payload.as_bytes()).with_qos(qos)
}

fn subscribe<'a>(packet_id: u16, filters: &[(&'a str, QoS)]) -> Packet<'a> {
    let options = |qos| SubscribeOptions { qos, ..Default::default() };
    let filters = filters.iter().map(|&(filter, qos)| (filter, options(qos))).collect();
    Packet::Subscribe(Subscribe { packet_id, properties: Properties::NONE, filters })
}

#[test]
fn a_connection_is_asked_for_with_what_is_configured() {
    let will = LastWill::new("gone", b"bye").with(QoS::AtLeastOnce, true);
    let mut config =
        v5().with_session(Duration::from_secs(3600)).with_credentials("u", b"p").with_will(will);
    config.subscription_ids = false;
    let mut peer = Peer::new(config);
    assert!(peer.session.is_closed());
    peer.session.connect(peer.now);
    let mut properties = PropertyBuf::new();
    let push = |id, value, to: &mut PropertyBuf| to.push(id, value).unwrap();
    push(PropertyId::SESSION_EXPIRY_INTERVAL, PropertyValue::Four(3600), &mut properties);
    push(PropertyId::RECEIVE_MAXIMUM, PropertyValue::Two(256), &mut properties);
    push(PropertyId::MAXIMUM_PACKET_SIZE, PropertyValue::Four(1 << 20), &mut properties);
    push(PropertyId::TOPIC_ALIAS_MAXIMUM, PropertyValue::Two(64), &mut properties);
    peer.expect(&[Packet::Connect(Connect {
        version: Version::V5,
        clean_start: false,
        keep_alive: 60,
        properties: properties.as_properties(),
        client_id: "c",
        will: Some(Will {
            qos: QoS::AtLeastOnce,
            retain: true,
            properties: Properties::NONE,
            topic: "gone",
            payload: b"bye",
        }),
        username: Some("u"),
        password: Some(b"p"),
    })]);
    assert!(!format!("{:?}", peer.session).contains("112"), "the password is not shown");
    // Nothing is sent before the verdict.
    peer.session.publish(message("early", QoS::AtMostOnce)).unwrap();
    peer.session.subscribe("a", SubscribeOptions::default()).unwrap();
    peer.expect(&[]);
    peer.feed(&[connack(false, &Properties::NONE)]);
    assert_eq!(
        peer.sent(),
        peer.encode(&[
            subscribe(1, &[("a", QoS::AtMostOnce)]),
            Packet::Publish(publish("t", "early", QoS::AtMostOnce, 0)),
        ])
    );
}

#[test]
fn a_refusal_ends_the_connection_with_its_reason() {
    for (version, code, reason) in
        [(Version::V3_1_1, 5, Reason::NOT_AUTHORIZED), (Version::V5, 0x87, Reason::NOT_AUTHORIZED)]
    {
        let mut peer = Peer::new(Config::new(version, "c"));
        peer.session.connect(peer.now);
        peer.sent();
        let bytes: &[u8] =
            if version == Version::V5 { &[0x20, 3, 0, code, 0] } else { &[0x20, 2, 0, code] };
        peer.session.handle_input(peer.now, bytes);
        peer.expect_end(End::Refused(reason));
        assert!(peer.session.is_closed());
        peer.expect(&[]);
    }
}

#[test]
fn a_broker_that_does_not_answer_is_given_up_on() {
    let mut peer = Peer::new(v3());
    peer.session.connect(peer.now);
    peer.sent();
    assert_eq!(peer.session.poll_timeout(), Some(at(10)));
    peer.timeout();
    peer.expect_end(End::ConnectTimeout);
}

#[test]
fn messages_are_acknowledged_when_they_are_taken() {
    let mut peer = Peer::open(v3());
    peer.feed(&[
        Packet::Publish(publish("t", "0", QoS::AtMostOnce, 0)),
        Packet::Publish(publish("t", "1", QoS::AtLeastOnce, 1)),
        Packet::Publish(publish("t", "2", QoS::ExactlyOnce, 2)),
    ]);
    peer.expect(&[]);
    assert_eq!(peer.payloads(), ["0", "1", "2"]);
    peer.expect(&[puback(1), pubrec(2)]);
    // What comes twice in between is not told twice.
    let again = Publish { dup: true, ..publish("t", "2", QoS::ExactlyOnce, 2) };
    peer.feed(&[Packet::Publish(again), pubrel(2), pubrel(2)]);
    assert_eq!(peer.payloads(), [""; 0]);
    peer.expect(&[pubrec(2), pubcomp(2), pubcomp(2)]);
    // After the release, the id is another message's.
    peer.feed(&[Packet::Publish(publish("t", "3", QoS::ExactlyOnce, 2))]);
    assert_eq!(peer.payloads(), ["3"]);
}

#[test]
fn a_release_of_nothing_is_answered_with_the_reason_where_there_is_one() {
    let mut peer = Peer::open(v5());
    peer.feed(&[pubrel(9)]);
    let reason = Reason::PACKET_ID_NOT_FOUND;
    peer.expect(&[Packet::PubComp(Ack { reason, ..Ack::new(9) })]);
}

#[test]
fn own_messages_are_told_when_they_are_delivered() {
    let mut peer = Peer::open(v5());
    let tickets: Vec<_> = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce, QoS::AtLeastOnce]
        .into_iter()
        .map(|qos| peer.session.publish(message("x", qos)).unwrap())
        .collect();
    peer.expect(&[
        Packet::Publish(publish("t", "x", QoS::AtMostOnce, 0)),
        Packet::Publish(publish("t", "x", QoS::AtLeastOnce, 1)),
        Packet::Publish(publish("t", "x", QoS::ExactlyOnce, 2)),
        Packet::Publish(publish("t", "x", QoS::AtLeastOnce, 3)),
    ]);
    let published = |at: usize, result| Event::Published { ticket: tickets[at], result };
    assert_eq!(peer.events(), [published(0, Ok(()))]);
    assert_eq!(peer.session.pending(), 3);
    peer.feed(&[puback(1), pubrec(2)]);
    assert_eq!(peer.events(), [published(1, Ok(()))]);
    peer.expect(&[pubrel(2)]);
    let refused = Ack { reason: Reason::new(0x97), ..Ack::new(3) };
    peer.feed(&[pubcomp(2), Packet::PubAck(refused)]);
    let refused = Err(PublishFault::Refused(Reason::new(0x97)));
    assert_eq!(peer.events(), [published(2, Ok(())), published(3, refused)]);
    assert_eq!(peer.session.pending(), 0);
    // Answers to nothing are passed over.
    peer.feed(&[puback(1), pubcomp(2)]);
    assert_eq!((peer.events(), peer.session.discarded()), (vec![], 2));
}

#[test]
fn no_more_messages_are_in_flight_than_either_side_allows() {
    for (own, brokers, expected) in [(3, 65_535, 3), (100, 2, 2)] {
        let mut config = v5();
        config.inflight_max = own;
        let mut peer = Peer::new(config);
        peer.session.connect(peer.now);
        peer.sent();
        let mut properties = PropertyBuf::new();
        properties.push(PropertyId::RECEIVE_MAXIMUM, PropertyValue::Two(brokers)).unwrap();
        peer.feed(&[connack(false, &properties.as_properties())]);
        for _ in 0..10 {
            peer.session.publish(message("x", QoS::AtLeastOnce)).unwrap();
        }
        let sent = peer.sent();
        assert_eq!(peer.decode(&sent).len(), expected);
        peer.feed(&[puback(1)]);
        let next = u16::try_from(expected).unwrap() + 1;
        peer.expect(&[Packet::Publish(publish("t", "x", QoS::AtLeastOnce, next))]);
    }
}

#[test]
fn what_a_broker_does_not_take_is_a_fault_of_the_message() {
    let mut peer = Peer::new(v5());
    peer.session.connect(peer.now);
    peer.sent();
    let mut properties = PropertyBuf::new();
    properties.push(PropertyId::MAXIMUM_QOS, PropertyValue::Byte(1)).unwrap();
    properties.push(PropertyId::RETAIN_AVAILABLE, PropertyValue::Byte(0)).unwrap();
    properties.push(PropertyId::MAXIMUM_PACKET_SIZE, PropertyValue::Four(20)).unwrap();
    peer.feed(&[connack(false, &properties.as_properties())]);
    peer.events();
    for message in [
        message("x", QoS::ExactlyOnce),
        message("x", QoS::AtMostOnce).with_retain(true),
        message("123456789012345", QoS::AtLeastOnce),
        message("12345678901234", QoS::AtMostOnce),
    ] {
        peer.session.publish(message).unwrap();
    }
    peer.expect(&[Packet::Publish(publish("t", "12345678901234", QoS::AtMostOnce, 0))]);
    let results: Vec<_> = peer
        .events()
        .into_iter()
        .map(|event| match event {
            Event::Published { result, .. } => result,
            other => panic!("{other:?}"),
        })
        .collect();
    let faults = [PublishFault::QoS(1), PublishFault::Retain, PublishFault::PacketLen(20)];
    assert_eq!(results, [Err(faults[0]), Err(faults[1]), Err(faults[2]), Ok(())]);
    assert_eq!(peer.session.pending(), 0);
}

#[test]
fn the_queue_is_bounded_in_messages_and_in_bytes() {
    let mut config = v3();
    (config.queue_max, config.queue_len_max) = (3, 100);
    let mut session = Session::new(config);
    for _ in 0..3 {
        session.publish(message("x", QoS::AtMostOnce)).unwrap();
    }
    assert_eq!(session.publish(message("x", QoS::AtMostOnce)), Err(PublishError::Full));
    let mut config = v3();
    (config.queue_max, config.queue_len_max) = (10, 100);
    let mut peer = Peer::open(config);
    // One message is always taken.
    peer.session.publish(message(&"x".repeat(200), QoS::AtLeastOnce)).unwrap();
    assert_eq!(peer.session.publish(message("x", QoS::AtMostOnce)), Err(PublishError::Full));
    peer.sent();
    assert_eq!(peer.session.publish(message("x", QoS::AtMostOnce)), Err(PublishError::Full));
    peer.feed(&[puback(1)]);
    assert!(peer.session.publish(message("x", QoS::AtMostOnce)).is_ok());
}

#[test]
fn wildcards_are_not_published_to() {
    let mut session = Session::new(v3());
    let error = session.publish(Publication::new("a/+", &b""[..])).unwrap_err();
    assert_eq!(error.to_string(), "a topic to publish to has no wildcards");
    let mut properties = PropertyBuf::new();
    properties.push_user("a", "b").unwrap();
    let message = Publication::new("a", &b""[..]).with_properties(properties);
    assert_eq!(session.publish(message), Err(PublishError::Properties));
}

#[test]
fn subscriptions_go_in_packets_that_any_broker_takes() {
    let mut config = v3();
    config.subscribe_batch = 2;
    let mut peer = Peer::open(config);
    for filter in ["a", "b", "c", "a"] {
        let options = SubscribeOptions { qos: QoS::AtLeastOnce, ..Default::default() };
        peer.session.subscribe(filter, options).unwrap();
    }
    let one = QoS::AtLeastOnce;
    peer.expect(&[subscribe(1, &[("a", one), ("b", one)]), subscribe(2, &[("c", one)])]);
    peer.feed(&[suback(1, &[0, 0x80]), suback(2, &[1])]);
    let subscribed = |filter: &str, result| Event::Subscribed { filter: filter.into(), result };
    assert_eq!(
        peer.events(),
        [
            subscribed("a", Ok(QoS::AtMostOnce)),
            subscribed("b", Err(Reason::UNSPECIFIED)),
            subscribed("c", Ok(one)),
        ]
    );
    assert!(peer.session.unsubscribe("a") && !peer.session.unsubscribe("a"));
    let filters = vec!["a"];
    let packet = Unsubscribe { packet_id: 3, properties: Properties::NONE, filters };
    peer.expect(&[Packet::Unsubscribe(packet)]);
    let ack = SubAck { packet_id: 3, properties: Properties::NONE, reasons: &[] };
    peer.feed(&[Packet::UnsubAck(ack)]);
    assert_eq!(peer.events(), [Event::Unsubscribed { filter: "a".into() }]);
}

#[test]
fn what_is_taken_back_before_it_was_said_ends_as_it_was_meant_last() {
    let mut peer = Peer::open(v3());
    peer.session.subscribe("a", SubscribeOptions::default()).unwrap();
    peer.expect(&[subscribe(1, &[("a", QoS::AtMostOnce)])]);
    // Unsubscribed and subscribed again before the answer came: the last word counts.
    peer.session.unsubscribe("a");
    peer.session.subscribe("a", SubscribeOptions::default()).unwrap();
    peer.feed(&[suback(1, &[0])]);
    assert_eq!(peer.events(), [], "the answer belongs to a question that is asked again");
    peer.expect(&[subscribe(2, &[("a", QoS::AtMostOnce)])]);
    peer.feed(&[suback(2, &[0])]);
    assert_eq!(peer.events().len(), 1);
}

#[test]
fn filters_are_checked_and_their_number_is_bounded() {
    let mut config = v3();
    config.subscriptions_max = 1;
    let mut session = Session::new(config);
    let options = SubscribeOptions::default();
    assert!(matches!(session.subscribe("a#", options), Err(SubscribeError::Filter(_))));
    session.subscribe("a", options).unwrap();
    session.subscribe("a", options).unwrap();
    assert_eq!(session.subscribe("b", options), Err(SubscribeError::Full));
}

#[test]
fn a_quiet_line_is_tried_and_a_silent_broker_is_given_up_on() {
    let mut peer = Peer::open(v3());
    assert_eq!(peer.session.poll_timeout(), Some(at(60)));
    peer.timeout();
    peer.expect(&[Packet::PingReq]);
    peer.now = at(61);
    peer.feed(&[Packet::PingResp]);
    // Publishing does not hide that nothing comes back: it is 60 s from what was heard last.
    peer.now = at(100);
    peer.session.publish(message("x", QoS::AtMostOnce)).unwrap();
    peer.sent();
    assert_eq!(peer.session.poll_timeout(), Some(at(121)));
    peer.timeout();
    peer.expect(&[Packet::PingReq]);
    assert_eq!(peer.session.poll_timeout(), Some(at(141)));
    peer.timeout();
    peer.events();
    assert!(peer.session.is_closed());
}

#[test]
fn bytes_that_trickle_in_prove_that_the_broker_is_there() {
    let mut peer = Peer::open(v5());
    peer.timeout();
    peer.expect(&[Packet::PingReq]);
    peer.now = at(75);
    peer.session.handle_input(peer.now, &[0x30]);
    assert_eq!(peer.session.poll_timeout(), Some(at(95)));
    peer.timeout();
    peer.expect_end(End::KeepAlive);
    // MQTT 5 says why.
    let reason = Reason::KEEP_ALIVE;
    let farewell = Farewell { reason, properties: Properties::NONE };
    peer.expect(&[Packet::Disconnect(farewell)]);
}

#[test]
fn a_broker_sets_the_keep_alive_of_mqtt_5_and_gives_a_name() {
    let mut peer = Peer::new(Config::new(Version::V5, ""));
    peer.session.connect(peer.now);
    peer.sent();
    let mut properties = PropertyBuf::new();
    properties.push(PropertyId::SERVER_KEEP_ALIVE, PropertyValue::Two(7)).unwrap();
    let given = PropertyValue::Text("given");
    properties.push(PropertyId::ASSIGNED_CLIENT_IDENTIFIER, given).unwrap();
    peer.feed(&[connack(false, &properties.as_properties())]);
    assert_eq!(peer.session.poll_timeout(), Some(at(7)));
    let Some(Event::Connected(connected)) = peer.session.poll_event() else { panic!() };
    assert_eq!(&*connected.client_id, "given");
    peer.session.connection_lost();
    peer.session.connect(peer.now);
    let sent = peer.sent();
    let Packet::Connect(connect) = &peer.decode(&sent)[0] else { panic!() };
    assert_eq!((connect.client_id, connect.clean_start), ("given", false));
}

#[test]
fn a_broker_that_acknowledges_nothing_is_given_up_on() {
    let mut peer = Peer::open(v3());
    peer.now = at(5);
    peer.session.publish(message("x", QoS::AtLeastOnce)).unwrap();
    peer.sent();
    peer.now = at(20);
    peer.feed(&[Packet::PingResp]);
    assert_eq!(peer.session.poll_timeout(), Some(at(25)));
    peer.timeout();
    peer.expect_end(End::AckTimeout);

    let mut peer = Peer::open(v3());
    peer.session.subscribe("a", SubscribeOptions::default()).unwrap();
    peer.sent();
    assert_eq!(peer.session.poll_timeout(), Some(at(20)));
    peer.timeout();
    peer.expect_end(End::AckTimeout);
}

#[test]
fn topics_are_found_by_their_aliases() {
    let mut config = v5();
    config.topic_alias_max = 2;
    let mut peer = Peer::open(config);
    let alias = |number| {
        let mut properties = PropertyBuf::new();
        properties.push(PropertyId::TOPIC_ALIAS, PropertyValue::Two(number)).unwrap();
        properties
    };
    let (one, two, three) = (alias(1), alias(2), alias(3));
    let with = |topic, properties| {
        let properties = PropertyBuf::as_properties(properties);
        Packet::Publish(Publish { properties, ..publish(topic, "", QoS::AtMostOnce, 0) })
    };
    peer.feed(&[with("a", &two), with("", &two), with("b", &two), with("", &two)]);
    let topics: Vec<_> = peer
        .events()
        .into_iter()
        .map(|event| match event {
            Event::Message(message) => message.topic,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(topics.iter().map(|it| &**it).collect::<Vec<_>>(), ["a", "a", "b", "b"]);
    for unknown in [with("", &one), with("a", &three)] {
        peer.reconnect(true);
        peer.feed(&[unknown]);
        peer.expect_end(End::TopicAlias);
    }
    // Aliases end with their connection.
    peer.reconnect(true);
    peer.feed(&[with("", &two)]);
    peer.expect_end(End::TopicAlias);
}

#[test]
fn a_farewell_is_said_after_what_was_taken_is_acknowledged() {
    for config in [v3(), v5()] {
        let mut peer = Peer::open(config);
        peer.feed(&[Packet::Publish(publish("t", "1", QoS::AtLeastOnce, 1))]);
        assert_eq!(peer.payloads(), ["1"]);
        peer.session.disconnect();
        peer.expect_end(End::Left);
        assert!(!peer.session.is_closed());
        let farewell = Farewell { reason: Reason::SUCCESS, properties: Properties::NONE };
        peer.expect(&[puback(1), Packet::Disconnect(farewell)]);
        assert!(peer.session.is_closed());
    }
}

#[test]
fn a_broker_of_mqtt_5_says_why_it_leaves() {
    let mut peer = Peer::open(v5());
    let farewell = Farewell { reason: Reason::TAKEN_OVER, properties: Properties::NONE };
    peer.feed(&[Packet::Disconnect(farewell)]);
    peer.expect_end(End::Disconnected(Reason::TAKEN_OVER));
    peer.expect(&[]);
    let mut peer = Peer::open(v3());
    let farewell = Farewell { reason: Reason::SUCCESS, properties: Properties::NONE };
    peer.feed(&[Packet::Disconnect(farewell)]);
    peer.expect_end(End::Unexpected(PacketType::Disconnect));
}

#[test]
fn who_does_not_read_has_not_missed_anything() {
    let mut peer = Peer::open(v3());
    peer.session.publish(message("x", QoS::AtLeastOnce)).unwrap();
    peer.session.subscribe("a", SubscribeOptions::default()).unwrap();
    peer.sent();
    for secs in [15, 30, 45, 60, 75] {
        peer.now = at(secs);
        peer.session.input_paused(peer.now);
        peer.session.handle_timeout(peer.now);
    }
    assert!(peer.session.is_open());
    peer.expect(&[Packet::PingReq]);
    assert_eq!(peer.session.poll_timeout(), Some(at(95)));
}
