use pointstream_mqtt::frame::{frame, header};
use pointstream_mqtt::packet::{
    Ack, Connect, Farewell, Packet, Properties, PropertyBuf, PropertyId, PropertyValue, Publish,
    QoS, Reason, RetainHandling, Subscribe, SubscribeOptions, Unsubscribe, Version, Will,
};
use pointstream_mqtt::{EncodeError, Malformed};

use crate::support::{connack, suback};

/// Bytes as the standards' figures have them, or as brokers send them.
fn vectors() -> Vec<(Version, &'static [u8], Packet<'static>)> {
    let (v3, v5) = (Version::V3_1_1, Version::V5);
    let publish = Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: "a/b",
        packet_id: None,
        properties: Properties::NONE,
        payload: b"",
    };
    let first = Publish { qos: QoS::AtLeastOnce, packet_id: Some(10), ..publish };
    let again = Publish { dup: true, qos: QoS::ExactlyOnce, retain: true, ..first };
    let none = Properties::NONE;
    let subscription = |qos| SubscribeOptions { qos, ..SubscribeOptions::default() };
    let filters =
        vec![("a/b", subscription(QoS::AtLeastOnce)), ("c/d", subscription(QoS::ExactlyOnce))];
    let farewell = |reason| Farewell { reason, properties: none };
    vec![
        // MQTT 3.1.1, figures 3.6, 3.8, 3.10 to 3.35.
        (v3, b"\x20\x02\x01\x00", connack(true, &none)),
        (v3, b"\x30\x05\x00\x03a/b", Packet::Publish(publish)),
        (v3, b"\x32\x07\x00\x03a/b\x00\x0a", Packet::Publish(first)),
        (
            v3,
            b"\x3d\x09\x00\x03a/b\x00\x0ahi",
            Packet::Publish(Publish { payload: b"hi", ..again }),
        ),
        (v3, b"\x40\x02\x12\x34", Packet::PubAck(Ack::new(0x1234))),
        (v3, b"\x50\x02\x12\x34", Packet::PubRec(Ack::new(0x1234))),
        (v3, b"\x62\x02\x12\x34", Packet::PubRel(Ack::new(0x1234))),
        (v3, b"\x70\x02\x12\x34", Packet::PubComp(Ack::new(0x1234))),
        (
            v3,
            b"\x82\x0e\x00\x0a\x00\x03a/b\x01\x00\x03c/d\x02",
            Packet::Subscribe(Subscribe { packet_id: 10, properties: none, filters }),
        ),
        (v3, b"\x90\x05\x00\x0a\x00\x02\x80", suback(10, &[0, 2, 0x80])),
        (
            v3,
            b"\xa2\x0c\x00\x0a\x00\x03a/b\x00\x03c/d",
            Packet::Unsubscribe(Unsubscribe {
                packet_id: 10,
                properties: none,
                filters: vec!["a/b", "c/d"],
            }),
        ),
        (v3, b"\xc0\x00", Packet::PingReq),
        (v3, b"\xd0\x00", Packet::PingResp),
        (v3, b"\xe0\x00", Packet::Disconnect(farewell(Reason::SUCCESS))),
        // MQTT 5: a reason and properties, each left out where it says nothing.
        (v5, b"\x20\x03\x00\x00\x00", connack(false, &none)),
        (v5, b"\x30\x06\x00\x03a/b\x00", Packet::Publish(publish)),
        (v5, b"\x40\x02\x00\x01", Packet::PubAck(Ack::new(1))),
        (
            v5,
            b"\x50\x03\x00\x01\x97",
            Packet::PubRec(Ack { reason: Reason::new(0x97), ..Ack::new(1) }),
        ),
        (v5, b"\xe0\x01\x8e", Packet::Disconnect(farewell(Reason::TAKEN_OVER))),
        (v5, b"\xf0\x01\x18", Packet::Auth(farewell(Reason::new(0x18)))),
    ]
}

#[test]
fn packets_are_written_and_read_as_the_standards_say() {
    for (version, bytes, packet) in vectors() {
        let frame = frame(bytes, 100).unwrap().unwrap();
        assert_eq!(frame.len, bytes.len());
        assert_eq!(Packet::decode(frame.first, frame.body, version), Ok(packet.clone()));
        let mut written = vec![7];
        packet.encode(version, &mut written).unwrap();
        assert_eq!(written, [&[7], bytes].concat(), "{packet:?}");
    }
}

#[test]
fn a_connect_with_everything_is_read_as_it_was_written() {
    // The example of MQTT 3.1.1, figure 3.6, with the fields of section 3.1.3 behind it.
    let bytes = b"\x10\x28\x00\x04MQTT\x04\xce\x00\x0a\x00\x02id\x00\x04will\x00\x03bye\x00\x05alice\x00\x06secret";
    let frame = frame(bytes, 100).unwrap().unwrap();
    let will = Will {
        qos: QoS::AtLeastOnce,
        retain: false,
        properties: Properties::NONE,
        topic: "will",
        payload: b"bye",
    };
    let connect = Connect {
        version: Version::V3_1_1,
        clean_start: true,
        keep_alive: 10,
        properties: Properties::NONE,
        client_id: "id",
        will: Some(will),
        username: Some("alice"),
        password: Some(b"secret"),
    };
    let packet = Packet::Connect(connect);
    assert_eq!(Packet::decode(frame.first, frame.body, Version::V5), Ok(packet.clone()));
    let mut written = Vec::new();
    packet.encode(Version::V3_1_1, &mut written).unwrap();
    assert_eq!(written, bytes);
    assert!(!format!("{packet:?}").contains("secret"));
}

#[test]
fn properties_are_read_and_found_by_their_names() {
    // Topic alias 7, user properties a=b and a=c, message expiry 60 s.
    let bytes = b"\x30\x21\x00\x01t\x1d\x23\x00\x07\x26\x00\x01a\x00\x01b\x26\x00\x01a\x00\x01c\x02\x00\x00\x00\x3c\x03\x00\x01x!";
    let mut bytes = bytes.to_vec();
    bytes[1] = (bytes.len() - 2) as u8;
    bytes[5] = (bytes.len() - 7) as u8;
    let frame = frame(&bytes, 100).unwrap().unwrap();
    let Ok(Packet::Publish(publish)) = Packet::decode(frame.first, frame.body, Version::V5) else {
        panic!("{:?}", Packet::decode(frame.first, frame.body, Version::V5));
    };
    let properties = publish.properties;
    assert_eq!(properties.number(PropertyId::TOPIC_ALIAS), Some(7));
    assert_eq!(properties.number(PropertyId::MESSAGE_EXPIRY_INTERVAL), Some(60));
    assert_eq!(properties.text(PropertyId::CONTENT_TYPE), Some("x"));
    assert_eq!(properties.user().collect::<Vec<_>>(), [("a", "b"), ("a", "c")]);
    assert_eq!(publish.payload, b"!");
    let mut built = PropertyBuf::new();
    built.push(PropertyId::TOPIC_ALIAS, PropertyValue::Two(7)).unwrap();
    built.push_user("a", "b").unwrap();
    built.push_user("a", "c").unwrap();
    built.push(PropertyId::MESSAGE_EXPIRY_INTERVAL, PropertyValue::Four(60)).unwrap();
    built.push(PropertyId::CONTENT_TYPE, PropertyValue::Text("x")).unwrap();
    assert_eq!(built.as_properties(), properties);
}

#[test]
fn malformed_packets_are_refused_with_what_is_wrong() {
    let (v3, v5) = (Version::V3_1_1, Version::V5);
    let cases: &[(Version, u8, &[u8], Malformed)] = &[
        (v3, 0x00, b"", Malformed::Type(0)),
        (v3, 0xf0, b"", Malformed::Type(15)),
        (v3, 0x21, b"\0\0", Malformed::Flags(1)),
        (v3, 0x60, b"\0\x01", Malformed::Flags(0)),
        (v3, 0x20, b"\0", Malformed::Short),
        (v3, 0x20, b"\x02\0", Malformed::AckFlags(2)),
        (v3, 0x20, b"\0\0\0", Malformed::Rest),
        (v3, 0x36, b"\0\x01a\0\x01", Malformed::QoS),
        (v3, 0x38, b"\0\x01a", Malformed::Flags(8)),
        (v3, 0x32, b"\0\x01a\0\0", Malformed::PacketId),
        (v3, 0x30, b"\0\x05a", Malformed::Short),
        (v3, 0x30, b"\0\x01+", Malformed::TopicName),
        (v3, 0x30, b"\0\0", Malformed::TopicName),
        (v5, 0x30, b"\0\0\0", Malformed::TopicName),
        (v3, 0x30, b"\0\x02a\0", Malformed::Text),
        (v3, 0x30, b"\0\x01\xff", Malformed::Text),
        // A surrogate.
        (v3, 0x30, b"\0\x03\xed\xa0\x80", Malformed::Text),
        (v3, 0x40, b"\0\x01\0", Malformed::Rest),
        (v5, 0x40, b"\0\x01\0\x02\x0b\x01", Malformed::Property(0x0b)),
        (v3, 0x90, b"\0\x01", Malformed::Empty),
        (v3, 0xb0, b"\0\x01\0", Malformed::Rest),
        (v5, 0xb0, b"\0\x01\0", Malformed::Empty),
        (v3, 0x82, b"\0\x01", Malformed::Empty),
        (v3, 0x82, b"\0\x01\0\x01a\x03", Malformed::SubscribeOptions(3)),
        (v3, 0x82, b"\0\x01\0\x01a\x04", Malformed::SubscribeOptions(4)),
        (v5, 0x82, b"\0\x01\0\0\x01a\x30", Malformed::SubscribeOptions(0x30)),
        (v3, 0x82, b"\0\x01\0\x02a#\0", Malformed::Filter),
        (v3, 0xd0, b"\0", Malformed::Rest),
        (v3, 0x10, b"\0\x06MQIsdp\x03\0\0\0\0\0", Malformed::Protocol),
        (v3, 0x10, b"\0\x04MQTT\x04\x01\0\0\0\0", Malformed::ConnectFlags(1)),
        (v3, 0x10, b"\0\x04MQTT\x04\x40\0\0\0\0\0\0", Malformed::ConnectFlags(0x40)),
        (v3, 0x10, b"\0\x04MQTT\x04\x1c\0\0\0\0", Malformed::ConnectFlags(0x1c)),
        (v3, 0x10, b"\0\x04MQTT\x04\x20\0\0\0\0", Malformed::ConnectFlags(0x20)),
        // Properties: unknown, twice, out of range, in the wrong packet, too short.
        (v5, 0x30, b"\0\x01a\x01\x7f", Malformed::Property(0x7f)),
        (v5, 0x30, b"\0\x01a\x04\x01\0\x01\0", Malformed::PropertyTwice(1)),
        (v5, 0x30, b"\0\x01a\x02\x01\x02", Malformed::PropertyValue(1)),
        (v5, 0x30, b"\0\x01a\x03\x23\0\0", Malformed::PropertyValue(0x23)),
        (v5, 0x30, b"\0\x01a\x05\x11\0\0\0\x01", Malformed::Property(0x11)),
        (v5, 0x30, b"\0\x01a\x05\x02\0\0", Malformed::Short),
        (v5, 0x20, b"\0\0\x03\x21\0\0", Malformed::PropertyValue(0x21)),
        (v5, 0x30, b"\0\x01a\xff\xff\xff\xff", Malformed::Length),
        (v5, 0x30, b"\0\x01a\x04\x08\0\x01#", Malformed::PropertyValue(8)),
    ];
    for &(version, first, body, kind) in cases {
        let found = Packet::decode(first, body, version).map_err(|error| error.kind);
        assert_eq!(found, Err(kind), "{first:#x} {body:x?}");
    }
}

#[test]
fn a_length_is_judged_as_soon_as_it_is_there() {
    assert_eq!(header(b""), Ok(None));
    assert_eq!(header(b"\x30\xff\xff\xff"), Ok(None));
    assert_eq!(header(b"\x30\xff\xff\xff\x7f").unwrap().unwrap().len, 268_435_455 + 5);
    assert_eq!(header(b"\x30\xff\xff\xff\xff").unwrap_err().kind, Malformed::Length);
    let over = Malformed::PacketLen { len: 12, max: 11 };
    assert_eq!(frame(b"\x30\x0a", 11).unwrap_err().kind, over);
    assert_eq!(frame(b"\x30\x0a", 12), Ok(None));
}

#[test]
fn what_cannot_be_read_is_not_written() {
    let publish = crate::support::publish("a", "", QoS::AtMostOnce, 0);
    let long = "x".repeat(65_536);
    let mut user = PropertyBuf::new();
    user.push_user("a", "b").unwrap();
    let mut expiry = PropertyBuf::new();
    expiry.push(PropertyId::SESSION_EXPIRY_INTERVAL, PropertyValue::Four(1)).unwrap();
    let cases = [
        (Version::V5, Publish { topic: "a/#", ..publish }, EncodeError::TopicName),
        (Version::V5, Publish { topic: "", ..publish }, EncodeError::TopicName),
        (Version::V5, Publish { topic: &long, ..publish }, EncodeError::TopicName),
        (Version::V5, Publish { packet_id: Some(1), ..publish }, EncodeError::PacketId),
        (Version::V5, Publish { qos: QoS::AtLeastOnce, ..publish }, EncodeError::PacketId),
        (
            Version::V3_1_1,
            Publish { properties: user.as_properties(), ..publish },
            EncodeError::Version,
        ),
        (
            Version::V5,
            Publish { properties: expiry.as_properties(), ..publish },
            EncodeError::Property(17),
        ),
    ];
    for (version, publish, error) in cases {
        let mut out = vec![1, 2];
        assert_eq!(Packet::Publish(publish).encode(version, &mut out), Err(error));
        assert_eq!(out, [1, 2], "nothing is left behind");
    }
    let mut out = Vec::new();
    let auth = Packet::Auth(Farewell { reason: Reason::SUCCESS, properties: Properties::NONE });
    assert_eq!(auth.encode(Version::V3_1_1, &mut out), Err(EncodeError::Version));
    let options = SubscribeOptions { retain_handling: RetainHandling::Never, ..Default::default() };
    let filters = vec![("a", options)];
    let subscribe = Subscribe { packet_id: 1, properties: Properties::NONE, filters };
    let packet = Packet::Subscribe(subscribe);
    assert_eq!(packet.encode(Version::V3_1_1, &mut out), Err(EncodeError::Version));
    assert_eq!(packet.encode(Version::V5, &mut out), Ok(()));
    let mut properties = PropertyBuf::new();
    let form = properties.push(PropertyId::TOPIC_ALIAS, PropertyValue::Text("x"));
    assert_eq!(form, Err(EncodeError::Property(35)));
    assert_eq!(properties.push_user("a\0", "b"), Err(EncodeError::Text));
    assert!(properties.is_empty());
}
