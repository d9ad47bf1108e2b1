//! A broker of a few lines that keeps bytes as they are and tells wills: QoS 0 to everyone, and
//! acknowledgements for QoS 1.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use pointstream_mqtt::Version;
use pointstream_mqtt::frame::frame;
use pointstream_mqtt::packet::{Ack, ConnAck, Packet, Properties, Publish, QoS, Reason, SubAck};
use pointstream_mqtt::topic::matches;
use pointstream_net::{Listener, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt, split};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

#[derive(Default)]
struct State {
    last_id: u64,
    clients: BTreeMap<u64, Client>,
    retained: BTreeMap<String, Vec<u8>>,
    /// Topics that are lost on their way from now on, so many times.
    lose: Vec<(String, usize)>,
    log: Vec<String>,
}

struct Client {
    filters: Vec<String>,
    will: Option<(String, Vec<u8>, bool)>,
    out: mpsc::Sender<Vec<u8>>,
}

pub(crate) struct Broker {
    state: Arc<Mutex<State>>,
    addr: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Broker {
    pub(crate) async fn start() -> Self {
        let listener = Listener::bind("127.0.0.1:0", 64).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let state = Arc::<Mutex<State>>::default();
        let (mut tasks, shared) = (JoinSet::new(), Arc::clone(&state));
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let accepted = listener.accept().await;
                connections.spawn(serve(accepted.stream, Arc::clone(&shared)));
            }
        });
        Self { state, addr, _tasks: tasks }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Publishes as any other client would.
    pub(crate) fn publish(&self, topic: &str, payload: &[u8]) {
        self.state.lock().unwrap().publish(topic, payload, false);
    }

    /// The next messages of a topic are lost.
    pub(crate) fn lose(&self, topic: &str, count: usize) {
        self.state.lock().unwrap().lose.push((topic.to_owned(), count));
    }

    /// The topics of everything that was published.
    pub(crate) fn log(&self) -> Vec<String> {
        self.state.lock().unwrap().log.clone()
    }

    pub(crate) fn retained(&self, topic: &str) -> Option<String> {
        let state = self.state.lock().unwrap();
        state.retained.get(topic).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }
}

impl State {
    fn publish(&mut self, topic: &str, payload: &[u8], retain: bool) {
        self.log.push(topic.to_owned());
        if retain {
            self.retained.insert(topic.to_owned(), payload.to_vec());
        }
        if let Some((_, left)) = self.lose.iter_mut().find(|(it, left)| it == topic && *left > 0) {
            *left -= 1;
            return;
        }
        for client in self.clients.values() {
            if client.filters.iter().any(|filter| matches(filter, topic)) {
                client.send(&message(topic, payload, false));
            }
        }
    }
}

impl Client {
    fn send(&self, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        packet.encode(Version::V3_1_1, &mut bytes).unwrap();
        let _ = self.out.try_send(bytes);
    }
}

fn message<'a>(topic: &'a str, payload: &'a [u8], retain: bool) -> Packet<'a> {
    let (dup, qos, packet_id, properties) = (false, QoS::AtMostOnce, None, Properties::NONE);
    Packet::Publish(Publish { dup, qos, retain, topic, packet_id, properties, payload })
}

async fn serve(stream: Stream, state: Arc<Mutex<State>>) {
    let (mut reading, mut writing) = split(stream);
    let (out, mut outgoing) = mpsc::channel::<Vec<u8>>(10_000);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Some(bytes) = outgoing.recv().await {
            if writing.write_all(&bytes).await.is_err() {
                return;
            }
        }
    });
    let id = {
        let mut state = state.lock().unwrap();
        state.last_id += 1;
        state.last_id
    };
    let mut kept = Vec::new();
    while let Ok(1..) = reading.read_buf(&mut kept).await {
        while let Some(frame) = frame(&kept, usize::MAX).unwrap() {
            let packet = Packet::decode(frame.first, frame.body, Version::V3_1_1).unwrap();
            on_packet(&mut state.lock().unwrap(), id, packet, &out);
            let len = frame.len;
            kept.drain(..len);
        }
    }
    let mut state = state.lock().unwrap();
    let will = state.clients.remove(&id).and_then(|client| client.will);
    if let Some((topic, payload, retain)) = will {
        state.publish(&topic, &payload, retain);
    }
}

fn on_packet(state: &mut State, id: u64, packet: Packet<'_>, out: &mpsc::Sender<Vec<u8>>) {
    match packet {
        Packet::Connect(connect) => {
            let will = connect.will.as_ref();
            let will = will.map(|it| (it.topic.to_owned(), it.payload.to_vec(), it.retain));
            let client = Client { filters: Vec::new(), will, out: out.clone() };
            let (session_present, reason) = (false, Reason::SUCCESS);
            let properties = Properties::NONE;
            client.send(&Packet::ConnAck(ConnAck { session_present, reason, properties }));
            state.clients.insert(id, client);
        }
        Packet::Disconnect(_) => {
            if let Some(client) = state.clients.get_mut(&id) {
                client.will = None;
            }
        }
        Packet::Subscribe(subscribe) => {
            let filters: Vec<_> =
                subscribe.filters.iter().map(|(it, _)| (*it).to_owned()).collect();
            let reasons = vec![0; filters.len()];
            let Some(client) = state.clients.get_mut(&id) else { return };
            let properties = Properties::NONE;
            let packet_id = subscribe.packet_id;
            client.send(&Packet::SubAck(SubAck { packet_id, properties, reasons: &reasons }));
            for (topic, payload) in &state.retained {
                if filters.iter().any(|filter| matches(filter, topic)) {
                    client.send(&message(topic, payload, true));
                }
            }
            client.filters.extend(filters);
        }
        Packet::Publish(publish) => {
            if let Some(packet_id) = publish.packet_id {
                state.clients[&id].send(&Packet::PubAck(Ack::new(packet_id)));
            }
            state.publish(publish.topic, publish.payload, publish.retain);
        }
        Packet::PingReq => state.clients[&id].send(&Packet::PingResp),
        Packet::PubAck(_) => {}
        other => panic!("a client sent {other:?}"),
    }
}
