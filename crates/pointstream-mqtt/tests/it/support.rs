//! A session and the broker at its other end, which says what the test tells it to.

use core::time::Duration;

use pointstream_mqtt::frame::frame;
use pointstream_mqtt::packet::{
    Ack, ConnAck, Packet, Properties, Publish, QoS, Reason, SubAck, Version,
};
use pointstream_mqtt::session::{Config, End, Event, Message, Session};
use pointstream_time::Instant;

pub(crate) fn at(secs: u64) -> Instant {
    Instant::from_origin(Duration::from_secs(secs))
}

pub(crate) struct Peer {
    pub(crate) session: Session,
    pub(crate) version: Version,
    pub(crate) now: Instant,
}

impl Peer {
    pub(crate) fn new(config: Config) -> Self {
        Self { version: config.version, session: Session::new(config), now: at(0) }
    }

    /// A session whose connection was accepted, with nothing said after it.
    pub(crate) fn open(config: Config) -> Self {
        let mut peer = Self::new(config);
        peer.reconnect(false);
        peer
    }

    /// A connection that is accepted; gives nothing of what the client says after that.
    pub(crate) fn reconnect(&mut self, session_present: bool) {
        self.session.connect(self.now);
        let sent = self.sent();
        assert!(matches!(self.decode(&sent)[..], [Packet::Connect(_)]));
        self.feed(&[connack(session_present, &Properties::NONE)]);
        let connected = self.events().pop();
        assert!(matches!(connected, Some(Event::Connected(_))), "{connected:?}");
    }

    /// What the client sends.
    pub(crate) fn sent(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        loop {
            let len = out.len();
            self.session.poll_transmit(self.now, &mut out);
            if out.len() == len {
                return out;
            }
        }
    }

    pub(crate) fn decode<'a>(&self, mut bytes: &'a [u8]) -> Vec<Packet<'a>> {
        let mut packets = Vec::new();
        while let Some(frame) = frame(bytes, usize::MAX).unwrap() {
            packets.push(Packet::decode(frame.first, frame.body, self.version).unwrap());
            bytes = &bytes[frame.len..];
        }
        assert!(bytes.is_empty(), "half a packet was sent");
        packets
    }

    #[track_caller]
    pub(crate) fn expect(&mut self, packets: &[Packet<'_>]) {
        let sent = self.sent();
        assert_eq!(self.decode(&sent), packets);
    }

    pub(crate) fn encode(&self, packets: &[Packet<'_>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        packets.iter().for_each(|packet| packet.encode(self.version, &mut bytes).unwrap());
        bytes
    }

    /// The broker says something.
    pub(crate) fn feed(&mut self, packets: &[Packet<'_>]) {
        let bytes = self.encode(packets);
        self.session.handle_input(self.now, &bytes);
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        core::iter::from_fn(|| self.session.poll_event()).collect()
    }

    #[track_caller]
    pub(crate) fn expect_end(&mut self, end: End) {
        assert_eq!(self.events().last(), Some(&Event::Lost(end)));
    }

    /// The payloads of the messages that come out.
    pub(crate) fn payloads(&mut self) -> Vec<String> {
        let messages = self.events().into_iter().filter_map(|event| match event {
            Event::Message(Message { payload, .. }) => Some(payload),
            _ => None,
        });
        messages.map(|payload| String::from_utf8(payload.into()).unwrap()).collect()
    }

    /// Lets time go to what the session waits for.
    pub(crate) fn timeout(&mut self) {
        self.now = self.session.poll_timeout().unwrap();
        self.session.handle_timeout(self.now);
    }
}

pub(crate) const fn connack<'a>(session_present: bool, properties: &Properties<'a>) -> Packet<'a> {
    Packet::ConnAck(ConnAck { session_present, reason: Reason::SUCCESS, properties: *properties })
}

pub(crate) fn publish<'a>(topic: &'a str, payload: &'a str, qos: QoS, id: u16) -> Publish<'a> {
    Publish {
        dup: false,
        qos,
        retain: false,
        topic,
        packet_id: (id != 0).then_some(id),
        properties: Properties::NONE,
        payload: payload.as_bytes(),
    }
}

pub(crate) const fn suback(packet_id: u16, reasons: &[u8]) -> Packet<'_> {
    Packet::SubAck(SubAck { packet_id, properties: Properties::NONE, reasons })
}

pub(crate) const fn puback(packet_id: u16) -> Packet<'static> {
    Packet::PubAck(Ack::new(packet_id))
}

pub(crate) const fn pubrec(packet_id: u16) -> Packet<'static> {
    Packet::PubRec(Ack::new(packet_id))
}

pub(crate) const fn pubrel(packet_id: u16) -> Packet<'static> {
    Packet::PubRel(Ack::new(packet_id))
}

pub(crate) const fn pubcomp(packet_id: u16) -> Packet<'static> {
    Packet::PubComp(Ack::new(packet_id))
}
