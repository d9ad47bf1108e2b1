use pointstream_mqtt::frame::frame;
use pointstream_mqtt::packet::{
    Ack, ConnAck, Connect, Farewell, Packet, Properties, PropertyBuf, PropertyId, PropertyValue,
    Publish, QoS, Reason, RetainHandling, SubAck, Subscribe, SubscribeOptions, Unsubscribe,
    Version, Will,
};
use pointstream_mqtt::session::{Config, Event};
use proptest::prelude::*;

use crate::support::Peer;

/// A packet with everything that it borrows.
#[derive(Clone, Debug)]
struct Owned {
    kind: u8,
    version: Version,
    topic: String,
    filters: Vec<(String, SubscribeOptions)>,
    payload: Vec<u8>,
    qos: QoS,
    packet_id: u16,
    flags: (bool, bool, bool),
    reason: u8,
    user: Vec<(String, String)>,
    username: Option<String>,
}

impl Owned {
    fn properties(&self) -> PropertyBuf {
        let mut properties = PropertyBuf::new();
        if self.version == Version::V5 {
            self.user.iter().for_each(|(name, value)| properties.push_user(name, value).unwrap());
        }
        properties
    }

    fn packet<'a>(&'a self, buf: &'a PropertyBuf) -> Packet<'a> {
        let properties = buf.as_properties();
        let v5 = self.version == Version::V5;
        let reason = if v5 { Reason::new(self.reason) } else { Reason::SUCCESS };
        let ack = Ack { packet_id: self.packet_id, reason, properties };
        let acked = SubAck { packet_id: ack.packet_id, properties, reasons: &[0, 0x80] };
        match self.kind {
            1 => self.connect(properties),
            2 => Packet::ConnAck(ConnAck { session_present: self.flags.0, reason, properties }),
            3 => Packet::Publish(Publish {
                dup: self.flags.0 && self.qos != QoS::AtMostOnce,
                qos: self.qos,
                retain: self.flags.1,
                topic: &self.topic,
                packet_id: (self.qos != QoS::AtMostOnce).then_some(self.packet_id),
                properties,
                payload: &self.payload,
            }),
            4 => Packet::PubAck(ack),
            5 => Packet::PubRec(ack),
            6 => Packet::PubRel(ack),
            7 => Packet::PubComp(ack),
            8 => {
                let filters = self.filters.iter().map(|(filter, options)| {
                    let plain = SubscribeOptions { qos: options.qos, ..Default::default() };
                    (filter.as_str(), if v5 { *options } else { plain })
                });
                let (packet_id, filters) = (self.packet_id, filters.collect());
                Packet::Subscribe(Subscribe { packet_id, properties, filters })
            }
            9 => Packet::SubAck(acked),
            10 => {
                let filters = self.filters.iter().map(|(filter, _)| filter.as_str()).collect();
                Packet::Unsubscribe(Unsubscribe { packet_id: self.packet_id, properties, filters })
            }
            11 => Packet::UnsubAck(SubAck { reasons: if v5 { &[0] } else { &[] }, ..acked }),
            12 => Packet::PingReq,
            13 => Packet::PingResp,
            15 if v5 => Packet::Auth(Farewell { reason, properties }),
            _ => Packet::Disconnect(Farewell { reason, properties }),
        }
    }

    fn connect<'a>(&'a self, properties: Properties<'a>) -> Packet<'a> {
        let will = Will {
            qos: self.qos,
            retain: self.flags.1,
            properties,
            topic: &self.topic,
            payload: &self.payload,
        };
        Packet::Connect(Connect {
            version: self.version,
            clean_start: self.flags.0,
            keep_alive: self.packet_id,
            properties,
            client_id: &self.topic,
            will: self.flags.2.then_some(will),
            username: self.username.as_deref(),
            password: self.username.as_ref().map(|_| &*self.payload),
        })
    }
}

fn qos() -> impl Strategy<Value = QoS> {
    prop_oneof![Just(QoS::AtMostOnce), Just(QoS::AtLeastOnce), Just(QoS::ExactlyOnce)]
}

fn options() -> impl Strategy<Value = SubscribeOptions> {
    let handling = prop_oneof![
        Just(RetainHandling::Always),
        Just(RetainHandling::IfNew),
        Just(RetainHandling::Never)
    ];
    (qos(), any::<bool>(), any::<bool>(), handling).prop_map(
        |(qos, no_local, retain_as_published, retain_handling)| SubscribeOptions {
            qos,
            no_local,
            retain_as_published,
            retain_handling,
        },
    )
}

fn owned() -> impl Strategy<Value = Owned> {
    let version = prop_oneof![Just(Version::V3_1_1), Just(Version::V5)];
    let filter = ("[a-c/]{1,6}", any::<bool>())
        .prop_map(|(text, hash)| if hash { text + "/#" } else { text });
    let filters = proptest::collection::vec((filter, options()), 1..4);
    let payload = proptest::collection::vec(any::<u8>(), 0..300);
    let user = proptest::collection::vec(("[a-zé]{0,5}", "[a-z]{0,5}"), 0..3);
    let flags = any::<(bool, bool, bool)>();
    let head = (1_u8..16, version, "[a-zé/ ]{1,20}", filters, payload);
    let tail = (qos(), 1_u16.., flags, any::<u8>(), user, proptest::option::of("[a-z]{0,8}"));
    (head, tail).prop_map(|(head, tail)| {
        let (kind, version, topic, filters, payload) = head;
        let (qos, packet_id, flags, reason, user, username) = tail;
        Owned {
            kind,
            version,
            topic,
            filters,
            payload,
            qos,
            packet_id,
            flags,
            reason,
            user,
            username,
        }
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back(owned in owned()) {
        let properties = owned.properties();
        let packet = owned.packet(&properties);
        let mut bytes = Vec::new();
        packet.encode(owned.version, &mut bytes).unwrap();
        let frame = frame(&bytes, bytes.len()).unwrap().unwrap();
        prop_assert_eq!(frame.len, bytes.len());
        prop_assert_eq!(Packet::decode(frame.first, frame.body, owned.version), Ok(packet));
        for len in 0..bytes.len() {
            prop_assert!(pointstream_mqtt::frame::frame(&bytes[..len], bytes.len()).unwrap().is_none());
        }
    }

    #[test]
    fn any_bytes_are_a_packet_or_an_error(first in any::<u8>(), body in proptest::collection::vec(any::<u8>(), 0..60)) {
        for version in [Version::V3_1_1, Version::V5] {
            if let Ok(packet) = Packet::decode(first, &body, version) {
                let version = match &packet {
                    Packet::Connect(connect) => connect.version,
                    _ => version,
                };
                let mut bytes = Vec::new();
                packet.encode(version, &mut bytes).unwrap();
                let frame = frame(&bytes, bytes.len()).unwrap().unwrap();
                prop_assert_eq!(Packet::decode(frame.first, frame.body, version), Ok(packet));
            }
        }
    }

    #[test]
    fn a_stream_is_understood_however_it_is_split(
        owned in proptest::collection::vec(owned(), 1..6),
        cuts in proptest::collection::vec(0_usize..2_000, 0..8),
        version in prop_oneof![Just(Version::V3_1_1), Just(Version::V5)],
    ) {
        let mut whole = Peer::open(Config::new(version, "x"));
        let messages: Vec<_> =
            owned.into_iter().map(|it| Owned { kind: 3, version, ..it }).collect();
        let mut bytes = Vec::new();
        for (id, owned) in (1..).zip(&messages) {
            let mut owned = owned.clone();
            owned.packet_id = id;
            owned.packet(&owned.properties()).encode(version, &mut bytes).unwrap();
        }
        let mut split = Peer::open(Config::new(version, "x"));
        whole.session.handle_input(whole.now, &bytes);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.sort_unstable();
        let mut from = 0;
        for to in cuts.into_iter().chain([bytes.len()]) {
            split.session.handle_input(split.now, &bytes[from..to]);
            from = to;
        }
        let expected = whole.events();
        prop_assert_eq!(expected.iter().filter(|it| matches!(it, Event::Message(_))).count(), messages.len());
        prop_assert_eq!(split.events(), expected);
        prop_assert_eq!(split.sent(), whole.sent());
    }
}

#[test]
fn values_of_properties_have_the_form_of_their_names() {
    let mut properties = PropertyBuf::new();
    for (id, value) in [
        (PropertyId::MAXIMUM_QOS, PropertyValue::Byte(1)),
        (PropertyId::RECEIVE_MAXIMUM, PropertyValue::Two(65_535)),
        (PropertyId::MAXIMUM_PACKET_SIZE, PropertyValue::Four(1)),
        (PropertyId::ASSIGNED_CLIENT_IDENTIFIER, PropertyValue::Text("x")),
        (PropertyId::AUTHENTICATION_DATA, PropertyValue::Binary(b"\xff")),
    ] {
        properties.push(id, value).unwrap();
        assert_eq!(properties.as_properties().get(id), Some(value));
    }
    assert!(!format!("{properties:?}").contains("255"), "secrets are not shown");
}
