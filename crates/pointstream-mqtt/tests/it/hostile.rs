//! A broker that does what none may, on a socket: the session ends and says why, the next connection is
//! made after a delay, and other sessions notice nothing.

use core::time::Duration;

use pointstream_mqtt::frame::frame;
use pointstream_mqtt::io::{Broker as Whereto, Client, ClientError, Link, Observation, Observed};
use pointstream_mqtt::packet::{
    Ack, ConnAck, Connect, Farewell, Packet, Properties, PropertyBuf, PropertyId, PropertyValue,
    Publish, QoS, Reason, SubAck, Subscribe, SubscribeOptions, Unsubscribe, Version,
};
use pointstream_mqtt::session::{Config, End};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::broker::Broker;

const LIMIT: Duration = Duration::from_secs(10);
const PACKET_MAX: usize = 2_000;

/// A broker that says what the test tells it to.
struct Hostile {
    listener: TcpListener,
    version: Version,
}

impl Hostile {
    async fn start(version: Version) -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap(), version }
    }

    fn client(&self) -> Client {
        let uri = format!("mqtt://{}", self.listener.local_addr().unwrap()).parse().unwrap();
        let mut session = Config::new(self.version, "c");
        (session.packet_len_max, session.receive_max) = (PACKET_MAX, 4);
        session.connect_timeout = Duration::from_millis(200);
        let mut broker = Whereto::new(uri, session);
        broker.retry_max = Duration::from_millis(10);
        Client::new(broker)
    }

    /// The next connection, with what stood in its CONNECT read.
    async fn accept(&self) -> TcpStream {
        let (mut stream, _) = timeout(LIMIT, self.listener.accept()).await.unwrap().unwrap();
        let mut kept = Vec::new();
        while frame(&kept, usize::MAX).unwrap().is_none() {
            assert!(stream.read_buf(&mut kept).await.unwrap() > 0);
        }
        stream
    }

    async fn accept_with(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = self.accept().await;
        let mut all = encode(self.version, &connack());
        all.extend_from_slice(bytes);
        stream.write_all(&all).await.unwrap();
        stream
    }

    /// Says something on a new connection and gives the reason with which it is ended, if one is told.
    async fn provoke(&self, bytes: &[u8]) -> Option<Reason> {
        let stream = self.accept_with(bytes).await;
        last_reason(stream, self.version).await
    }
}

/// Reads to the end. Gives the reason of a DISCONNECT, which nothing may follow.
async fn last_reason(mut stream: TcpStream, version: Version) -> Option<Reason> {
    let mut sent = Vec::new();
    // A connection that is cut with bytes unread is reset.
    let _ = timeout(LIMIT, stream.read_to_end(&mut sent)).await.unwrap();
    let (mut rest, mut reason) = (&sent[..], None);
    while let Some(frame) = frame(rest, usize::MAX).unwrap() {
        assert_eq!(reason, None, "something follows the last words");
        if let Packet::Disconnect(farewell) =
            Packet::decode(frame.first, frame.body, version).unwrap()
        {
            reason = Some(farewell.reason);
        }
        rest = &rest[frame.len..];
    }
    reason
}

fn encode(version: Version, packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(version, &mut bytes).unwrap();
    bytes
}

const fn connack() -> Packet<'static> {
    let (session_present, reason) = (false, Reason::SUCCESS);
    Packet::ConnAck(ConnAck { session_present, reason, properties: Properties::NONE })
}

fn message(qos: QoS, packet_id: Option<u16>) -> Publish<'static> {
    let (topic, payload, properties) = ("t", &b"x"[..], Properties::NONE);
    Publish { dup: false, qos, retain: false, topic, packet_id, properties, payload }
}

/// A PUBLISH by an alias that nothing was said of.
fn by_alias(alias: u16) -> Vec<u8> {
    let mut properties = PropertyBuf::new();
    properties.push(PropertyId::TOPIC_ALIAS, PropertyValue::Two(alias)).unwrap();
    let (topic, properties) = ("", properties.as_properties());
    let packet = Publish { topic, properties, ..message(QoS::AtMostOnce, None) };
    encode(Version::V5, &Packet::Publish(packet))
}

/// What MQTT 5 gives a name to, with the name.
fn provocations() -> Vec<(&'static str, Vec<u8>, Reason)> {
    let v5 = |packet: &Packet<'_>| encode(Version::V5, packet);
    let connect = Connect {
        version: Version::V5,
        clean_start: true,
        keep_alive: 0,
        properties: Properties::NONE,
        client_id: "x",
        will: None,
        username: None,
        password: None,
    };
    let (packet_id, properties) = (1, Properties::NONE);
    let filters = vec![("a", SubscribeOptions::default())];
    let subscribe = Packet::Subscribe(Subscribe { packet_id, properties, filters });
    let filters = vec!["a"];
    let unsubscribe = Packet::Unsubscribe(Unsubscribe { packet_id, properties, filters });
    let auth = Packet::Auth(Farewell { reason: Reason::new(0x18), properties });
    let many: Vec<u8> =
        (1..=5).flat_map(|id| v5(&Packet::Publish(message(QoS::ExactlyOnce, Some(id))))).collect();
    let long = vec![b'x'; PACKET_MAX];
    let long = v5(&Packet::Publish(Publish { payload: &long, ..message(QoS::AtMostOnce, None) }));
    let mut list = vec![
        ("a second CONNACK", v5(&connack()), Reason::PROTOCOL_ERROR),
        ("CONNECT", v5(&Packet::Connect(connect)), Reason::PROTOCOL_ERROR),
        ("SUBSCRIBE", v5(&subscribe), Reason::PROTOCOL_ERROR),
        ("UNSUBSCRIBE", v5(&unsubscribe), Reason::PROTOCOL_ERROR),
        ("PINGREQ", v5(&Packet::PingReq), Reason::PROTOCOL_ERROR),
        ("AUTH", v5(&auth), Reason::PROTOCOL_ERROR),
        ("a wildcard in a topic", vec![0x30, 5, 0, 2, b'a', b'#', 0], Reason::MALFORMED),
        ("a null in a topic", vec![0x30, 5, 0, 2, b'a', 0, 0], Reason::MALFORMED),
        ("a topic that is no UTF-8", vec![0x30, 5, 0, 2, b'a', 0xff, 0], Reason::MALFORMED),
        ("no topic and no alias", vec![0x30, 3, 0, 0, 0], Reason::MALFORMED),
        ("packet id 0", vec![0x32, 6, 0, 1, b'a', 0, 0, 0], Reason::MALFORMED),
        ("QoS 3", vec![0x36, 6, 0, 1, b'a', 0, 1, 0], Reason::MALFORMED),
        ("alias 0", vec![0x30, 7, 0, 1, b'a', 3, 35, 0, 0], Reason::TOPIC_ALIAS),
        ("an alias beyond the maximum", by_alias(65), Reason::TOPIC_ALIAS),
        ("an alias of nothing", by_alias(64), Reason::TOPIC_ALIAS),
        ("a property twice", vec![0x30, 8, 0, 1, b'a', 4, 1, 0, 1, 0], Reason::PROTOCOL_ERROR),
        ("more than the receive maximum", many, Reason::RECEIVE_MAXIMUM),
        ("a packet that is too long", long, Reason::PACKET_TOO_LARGE),
        ("256 MiB that never come", vec![0x30, 0xff, 0xff, 0xff, 0x7f], Reason::PACKET_TOO_LARGE),
        ("a length without end", vec![0x30, 0xff, 0xff, 0xff, 0xff, 0xff], Reason::MALFORMED),
        ("type 0", vec![0x00, 0], Reason::MALFORMED),
        ("HTTP", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), Reason::MALFORMED),
        ("a PINGRESP with a body", vec![0xd0, 1, 0], Reason::MALFORMED),
    ];
    for first in [0x20, 0x30, 0x40, 0x50, 0x62, 0x70, 0x90, 0xb0] {
        list.push(("a packet without its body", vec![first, 0], Reason::MALFORMED));
        list.push(("half a packet id", vec![first, 1, 0], Reason::MALFORMED));
    }
    for kind in (1..=15_u8).filter(|kind| *kind != 3) {
        list.push(("flags of another type", vec![kind << 4 | 9, 2, 0, 1], Reason::MALFORMED));
    }
    list
}

/// A session with a broker that behaves.
struct Unharmed {
    broker: Broker,
    observation: Observation,
    count: usize,
}

impl Unharmed {
    async fn start() -> Self {
        let broker = Broker::start().await;
        let uri = format!("mqtt://{}", broker.addr()).parse().unwrap();
        let client = Client::new(Whereto::new(uri, Config::new(Version::V5, "other")));
        let observation = client.observe("n", QoS::AtLeastOnce).await.unwrap();
        Self { broker, observation, count: 0 }
    }

    async fn check(&mut self) {
        self.count += 1;
        let text = self.count.to_string();
        self.broker.publish("n", &text, QoS::AtLeastOnce, false);
        let next = timeout(LIMIT, self.observation.next()).await.unwrap();
        let Some(Observed::Message(message)) = next else { panic!("{next:?}") };
        assert_eq!(&*message.payload, text.as_bytes());
        assert_eq!(self.broker.connected(), 1);
    }
}

#[tokio::test]
async fn every_offence_ends_its_session_with_its_reason_and_no_other() {
    let mut other = Unharmed::start().await;
    let hostile = Hostile::start(Version::V5).await;
    let client = hostile.client();
    let _pin = client.pin();
    for (what, bytes, reason) in provocations() {
        assert_eq!(hostile.provoke(&bytes).await, Some(reason), "{what}: {bytes:02x?}");
        let mut link = client.link();
        let down = link.wait_for(|link| matches!(link, Link::Down(_) | Link::Connecting)).await;
        drop(down.unwrap());
        other.check().await;
    }
    // And then it behaves.
    let mut stream = hostile.accept_with(&[]).await;
    assert!(client.connected().await.is_ok());
    stream.write_all(&encode(Version::V5, &Packet::PingResp)).await.unwrap();
    other.check().await;
}

#[tokio::test]
async fn mqtt_3_ends_the_connection_without_a_word() {
    let hostile = Hostile::start(Version::V3_1_1).await;
    let client = hostile.client();
    let _pin = client.pin();
    let v3 = |packet: &Packet<'_>| encode(Version::V3_1_1, packet);
    for bytes in [
        v3(&connack()),
        v3(&Packet::PingReq),
        vec![0x30, 4, 0, 2, b'a', b'#'],
        vec![0x32, 5, 0, 1, b'a', 0, 0],
        vec![0xf0, 0],
        vec![0xff; 64],
    ] {
        assert_eq!(hostile.provoke(&bytes).await, None, "{bytes:02x?}");
    }
    drop(hostile.accept_with(&[]).await);
}

#[tokio::test]
async fn what_is_wrong_before_the_verdict_ends_the_connection_too() {
    let hostile = Hostile::start(Version::V5).await;
    let client = hostile.client();
    let (_pin, mut link) = (client.pin(), client.link());
    let publish = encode(Version::V5, &Packet::Publish(message(QoS::AtMostOnce, None)));
    let mut refused = connack();
    if let Packet::ConnAck(ack) = &mut refused {
        ack.reason = Reason::new(0x88);
    }
    let refused = encode(Version::V5, &refused);
    for (bytes, ends) in [
        (&publish[..], "Unexpected"),
        (&[0x20, 3, 2, 0, 0][..], "Malformed"),
        (&[0x20, 0xff, 0xff, 0xff, 0x7f][..], "Malformed"),
        (&refused[..], "Refused"),
        // No verdict at all.
        (&[][..], "ConnectTimeout"),
    ] {
        let mut stream = hostile.accept().await;
        stream.write_all(bytes).await.unwrap();
        let down = timeout(LIMIT, link.wait_for(|link| matches!(link, Link::Down(_)))).await;
        let Link::Down(error) = &*down.unwrap().unwrap() else { unreachable!() };
        let ClientError::End(end) = &**error else { panic!("{error:?}") };
        assert!(format!("{end:?}").starts_with(ends), "{end:?}, not {ends}");
    }
}

#[tokio::test]
async fn answers_to_what_was_never_sent_are_passed_over() {
    for version in [Version::V3_1_1, Version::V5] {
        let hostile = Hostile::start(version).await;
        let client = hostile.client();
        let observing = client.clone();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move { observing.observe("#", QoS::AtLeastOnce).await });
        let properties = Properties::NONE;
        let none: &[u8] = if version == Version::V5 { &[0] } else { &[] };
        let answers = [
            Packet::PubAck(Ack::new(7)),
            Packet::PubRec(Ack::new(8)),
            Packet::PubComp(Ack::new(9)),
            Packet::PubRel(Ack::new(10)),
            Packet::SubAck(SubAck { packet_id: 11, properties, reasons: &[0] }),
            Packet::UnsubAck(SubAck { packet_id: 12, properties, reasons: none }),
            Packet::PingResp,
            // The answer to the question that was asked, with fewer reasons than filters or more.
            Packet::SubAck(SubAck { packet_id: 1, properties, reasons: &[0, 0, 0] }),
            Packet::Publish(message(QoS::AtLeastOnce, Some(1))),
        ];
        let stream = hostile.accept_with(&[]).await;
        let (mut reading, mut writing) = stream.into_split();
        let mut sent = Vec::new();
        while frame(&sent, usize::MAX).unwrap().is_none() {
            assert!(reading.read_buf(&mut sent).await.unwrap() > 0);
        }
        for packet in &answers {
            writing.write_all(&encode(version, packet)).await.unwrap();
        }
        let mut observation =
            timeout(LIMIT, tasks.join_next()).await.unwrap().unwrap().unwrap().unwrap();
        let next = timeout(LIMIT, observation.next()).await.unwrap();
        assert!(matches!(next, Some(Observed::Message(_))), "{next:?}");
    }
}

#[tokio::test]
async fn a_broker_that_ends_the_session_says_why() {
    let hostile = Hostile::start(Version::V5).await;
    let client = hostile.client();
    let (_pin, mut link) = (client.pin(), client.link());
    let properties = Properties::NONE;
    let reason = Reason::new(0x8b);
    let stream = hostile
        .accept_with(&encode(Version::V5, &Packet::Disconnect(Farewell { reason, properties })))
        .await;
    let down = timeout(LIMIT, link.wait_for(|link| matches!(link, Link::Down(_)))).await;
    let expected = Link::Down(ClientError::End(End::Disconnected(reason)).into());
    assert_eq!(*down.unwrap().unwrap(), expected);
    assert_eq!(last_reason(stream, Version::V5).await, None);
}
