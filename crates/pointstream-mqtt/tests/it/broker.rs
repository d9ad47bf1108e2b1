//! A broker of a few lines, for tests on loopback: sessions, retained messages, wills, QoS 1 in both
//! directions and QoS 2 towards it, by TCP, TLS and WebSocket.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use pointstream_mqtt::frame::frame;
use pointstream_mqtt::packet::{
    Ack, ConnAck, Packet, Properties, PropertyId, Publish, QoS, Reason, SubAck, Version,
};
use pointstream_mqtt::topic::matches;
use pointstream_net::ws::{WsAccept, accept_ws};
use pointstream_net::{Listener, ServerTls, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt, split};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) topic: String,
    pub(crate) payload: String,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
}

#[derive(Default)]
struct State {
    retained: BTreeMap<String, String>,
    sessions: HashMap<String, Session>,
    /// Everything that clients published, in its order.
    log: Vec<Sent>,
    subscribes: Vec<String>,
    refuse: BTreeSet<String>,
    mute: bool,
    echo: Vec<(String, String)>,
    /// The application protocols that were agreed on.
    alpn: Vec<Option<String>>,
    /// How long messages that were published are worth delivering, in seconds.
    expiries: Vec<Option<u32>>,
}

/// How clients come in.
#[derive(Clone, Default)]
pub(crate) struct Way {
    pub(crate) tls: Option<ServerTls>,
    pub(crate) is_ws: bool,
}

impl Way {
    async fn open(self, stream: Stream) -> std::io::Result<Stream> {
        let limit = core::time::Duration::from_secs(5);
        let stream = match self.tls {
            Some(tls) => tls.accept(stream, limit).await?,
            None => stream,
        };
        if !self.is_ws {
            return Ok(stream);
        }
        let mut options = WsAccept::new("/mqtt");
        options.subprotocols = vec!["mqtt".into()];
        Ok(accept_ws(stream, &options, limit).await?.into_stream())
    }
}

#[derive(Default)]
struct Session {
    persistent: bool,
    filters: Vec<(String, QoS)>,
    inflight: Vec<(u16, Sent)>,
    last_id: u16,
    received: BTreeSet<u16>,
    outbox: Option<mpsc::Sender<Vec<u8>>>,
    version: Version,
    will: Option<Sent>,
}

pub(crate) struct Broker {
    state: Arc<Mutex<State>>,
    addr: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Broker {
    pub(crate) async fn start() -> Self {
        Self::start_by(Way::default()).await
    }

    pub(crate) async fn start_by(way: Way) -> Self {
        let listener = Listener::bind("127.0.0.1:0", 64).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let state = Arc::<Mutex<State>>::default();
        let mut tasks = JoinSet::new();
        let shared = Arc::clone(&state);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let accepted = listener.accept().await;
                let (way, shared) = (way.clone(), Arc::clone(&shared));
                connections.spawn(async move {
                    if let Ok(stream) = way.open(accepted.stream).await {
                        let alpn = stream.alpn().map(|it| String::from_utf8_lossy(it).into());
                        shared.lock().unwrap().alpn.push(alpn);
                        serve(stream, shared).await;
                    }
                });
            }
        });
        Self { state, addr, _tasks: tasks }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Publishes as any other client would.
    pub(crate) fn publish(&self, topic: &str, payload: &str, qos: QoS, retain: bool) {
        let sent = Sent { topic: topic.into(), payload: payload.into(), qos, retain };
        self.with(|state| state.publish(&sent));
    }

    pub(crate) fn log(&self) -> Vec<Sent> {
        self.with(|state| state.log.clone())
    }

    pub(crate) fn alpn(&self) -> Vec<Option<String>> {
        self.with(|state| state.alpn.clone())
    }

    pub(crate) fn expiries(&self) -> Vec<Option<u32>> {
        self.with(|state| state.expiries.clone())
    }

    /// The filters that were asked for, in their order.
    pub(crate) fn subscribes(&self) -> Vec<String> {
        self.with(|state| state.subscribes.clone())
    }

    /// Whether anybody is subscribed to a filter.
    pub(crate) fn has_filter(&self, filter: &str) -> bool {
        let has = |it: &Session| it.filters.iter().any(|(it, _)| it == filter);
        self.with(|state| state.sessions.values().any(has))
    }

    pub(crate) fn refuse(&self, filter: &str) {
        self.with(|state| state.refuse.insert(filter.into()));
    }

    /// Acknowledges nothing any more.
    pub(crate) fn mute(&self) {
        self.with(|state| state.mute = true);
    }

    /// What is published to one topic appears on another.
    pub(crate) fn echo(&self, from: &str, to: &str) {
        self.with(|state| state.echo.push((from.into(), to.into())));
    }

    /// How many clients are connected.
    pub(crate) fn connected(&self) -> usize {
        let is_connected = |it: &&Session| it.outbox.as_ref().is_some_and(|it| !it.is_closed());
        self.with(|state| state.sessions.values().filter(is_connected).count())
    }
}

impl Broker {
    pub(crate) async fn until_connected(&self, count: usize) {
        let wait = async {
            while self.connected() != count {
                tokio::time::sleep(core::time::Duration::from_millis(2)).await;
            }
        };
        let waited = tokio::time::timeout(core::time::Duration::from_secs(5), wait).await;
        assert!(waited.is_ok(), "{} are connected, not {count}", self.connected());
    }
}

impl State {
    fn publish(&mut self, sent: &Sent) {
        if sent.retain {
            self.retained.insert(sent.topic.clone(), sent.payload.clone());
        }
        for session in self.sessions.values_mut() {
            let filters = session.filters.iter().filter(|(filter, _)| matches(filter, &sent.topic));
            if let Some(qos) = filters.map(|(_, qos)| *qos).max() {
                session.deliver(Sent { qos: qos.min(sent.qos), retain: false, ..sent.clone() });
            }
        }
    }
}

impl Session {
    fn deliver(&mut self, sent: Sent) {
        let id = (sent.qos != QoS::AtMostOnce).then(|| {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            self.last_id
        });
        self.send(&packet(&sent, id, false));
        if let Some(id) = id {
            self.inflight.push((id, sent));
        }
    }

    fn send(&self, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        packet.encode(self.version, &mut bytes).unwrap();
        if let Some(outbox) = &self.outbox {
            let _ = outbox.try_send(bytes);
        }
    }
}

fn packet(sent: &Sent, packet_id: Option<u16>, dup: bool) -> Packet<'_> {
    Packet::Publish(Publish {
        dup,
        qos: sent.qos,
        retain: sent.retain,
        topic: &sent.topic,
        packet_id,
        properties: Properties::NONE,
        payload: sent.payload.as_bytes(),
    })
}

async fn serve(stream: Stream, state: Arc<Mutex<State>>) {
    let (mut reading, mut writing) = split(stream);
    let (outbox, mut out) = mpsc::channel::<Vec<u8>>(100_000);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Some(bytes) = out.recv().await {
            if writing.write_all(&bytes).await.is_err() {
                return;
            }
        }
        let _ = writing.shutdown().await;
    });
    let mut client: Option<(String, Version)> = None;
    let mut kept = Vec::new();
    while let Ok(1..) = reading.read_buf(&mut kept).await {
        while let Some(frame) = frame(&kept, usize::MAX).unwrap() {
            let version = client.as_ref().map_or(Version::V3_1_1, |(_, version)| *version);
            let packet = Packet::decode(frame.first, frame.body, version).unwrap();
            let mut state = state.lock().unwrap();
            match packet {
                Packet::Connect(connect) => {
                    let id = connect.client_id.to_owned();
                    client = Some((id.clone(), connect.version));
                    let clean = connect.clean_start;
                    let present = !clean && state.sessions.contains_key(&id);
                    if !present {
                        state.sessions.remove(&id);
                    }
                    let session = state.sessions.entry(id).or_default();
                    session.persistent = !clean || connect.version == Version::V5;
                    session.version = connect.version;
                    session.outbox = Some(outbox.clone());
                    session.will = connect.will.map(|will| Sent {
                        topic: will.topic.to_owned(),
                        payload: String::from_utf8_lossy(will.payload).into(),
                        qos: will.qos,
                        retain: will.retain,
                    });
                    let reason = Reason::SUCCESS;
                    let properties = Properties::NONE;
                    session.send(&Packet::ConnAck(ConnAck {
                        session_present: present,
                        reason,
                        properties,
                    }));
                    for (id, sent) in &session.inflight {
                        session.send(&self::packet(sent, Some(*id), true));
                    }
                }
                Packet::Disconnect(_) => {
                    if let Some(session) =
                        client.as_ref().and_then(|it| state.sessions.get_mut(&it.0))
                    {
                        session.outbox = None;
                        session.will = None;
                    }
                }
                other => {
                    if let Some((id, _)) = &client {
                        on_packet(&mut state, id, other);
                    }
                }
            }
            let len = frame.len;
            drop(state);
            kept.drain(..len);
        }
    }
    let mut state = state.lock().unwrap();
    if let Some((id, _)) = client
        && let Some(session) = state.sessions.get_mut(&id)
        && session.outbox.as_ref().is_some_and(|it| it.same_channel(&outbox))
    {
        session.outbox = None;
        let will = session.will.take();
        if !session.persistent {
            state.sessions.remove(&id);
        }
        if let Some(will) = will {
            state.publish(&will);
        }
    }
}

fn on_packet(state: &mut State, id: &str, packet: Packet<'_>) {
    let mute = state.mute;
    let mut retained = Vec::new();
    let mut published = None;
    {
        let Some(session) = state.sessions.get_mut(id) else { return };
        match packet {
            Packet::Subscribe(subscribe) => {
                let mut reasons = Vec::new();
                for (filter, options) in &subscribe.filters {
                    state.subscribes.push((*filter).to_owned());
                    if state.refuse.contains(*filter) {
                        reasons.push(0x87);
                        continue;
                    }
                    let qos = options.qos.min(QoS::AtLeastOnce);
                    reasons.push(qos as u8);
                    session.filters.retain(|(it, _)| it != filter);
                    session.filters.push(((*filter).to_owned(), qos));
                    let found = state.retained.iter().filter(|(topic, _)| matches(filter, topic));
                    retained.extend(found.map(|(topic, payload)| Sent {
                        topic: topic.clone(),
                        payload: payload.clone(),
                        qos,
                        retain: true,
                    }));
                }
                let properties = Properties::NONE;
                let ack = SubAck { packet_id: subscribe.packet_id, properties, reasons: &reasons };
                session.send(&Packet::SubAck(ack));
                retained.into_iter().for_each(|sent| session.deliver(sent));
            }
            Packet::Unsubscribe(unsubscribe) => {
                session.filters.retain(|(it, _)| !unsubscribe.filters.contains(&it.as_str()));
                let reasons: &[u8] = if session.version == Version::V5 { &[0] } else { &[] };
                let properties = Properties::NONE;
                let ack = SubAck { packet_id: unsubscribe.packet_id, properties, reasons };
                session.send(&Packet::UnsubAck(ack));
            }
            Packet::PubAck(ack) => session.inflight.retain(|(id, _)| *id != ack.packet_id),
            Packet::PingReq => session.send(&Packet::PingResp),
            Packet::PubRel(ack) => {
                session.received.remove(&ack.packet_id);
                session.send(&Packet::PubComp(Ack::new(ack.packet_id)));
            }
            Packet::Publish(publish) => {
                let expiry = publish.properties.number(PropertyId::MESSAGE_EXPIRY_INTERVAL);
                state.expiries.push(expiry);
                let new = match (publish.qos, publish.packet_id) {
                    _ if mute => false,
                    (QoS::AtLeastOnce, Some(id)) => {
                        session.send(&Packet::PubAck(Ack::new(id)));
                        true
                    }
                    (QoS::ExactlyOnce, Some(id)) => {
                        session.send(&Packet::PubRec(Ack::new(id)));
                        session.received.insert(id)
                    }
                    _ => true,
                };
                published = new.then(|| Sent {
                    topic: publish.topic.to_owned(),
                    payload: String::from_utf8(publish.payload.to_vec()).unwrap(),
                    qos: publish.qos,
                    retain: publish.retain,
                });
            }
            other => panic!("a client sent {other:?}"),
        }
    }
    if let Some(sent) = published {
        state.log.push(sent.clone());
        state.publish(&sent);
        let echoes: Vec<_> =
            state.echo.iter().filter(|(from, _)| *from == sent.topic).cloned().collect();
        for (_, to) in echoes {
            state.publish(&Sent { topic: to, ..sent.clone() });
        }
    }
}
