//! What the vectors are written in: JSON, with bytes as `{"_bytes": hex}`.

use core::time::Duration;

use pointstream_iotmp::session::{Config, Credentials, Event, Session};
use pointstream_iotmp::{Dialect, Draft, Encode, Message, MessageType, Resource, Tree};
use pointstream_time::Instant;
use serde_json::Value as Json;

pub(crate) fn vectors(text: &str) -> Json {
    serde_json::from_str(text).unwrap()
}

pub(crate) fn list<'a>(vectors: &'a Json, name: &str) -> &'a [Json] {
    vectors[name].as_array().unwrap()
}

pub(crate) fn unhex(text: &Json) -> Vec<u8> {
    let digits = text.as_str().unwrap().as_bytes();
    let pairs = digits.chunks(2).map(|pair| core::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

pub(crate) fn tree(json: &Json) -> Tree {
    match json {
        Json::Null => Tree::Null,
        Json::Bool(truth) => Tree::Bool(*truth),
        Json::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => Tree::Unsigned(number),
            (_, Some(number)) => Tree::Signed(number),
            _ => Tree::Float(number.as_f64().unwrap()),
        },
        Json::String(text) => Tree::from(text.as_str()),
        Json::Array(items) => Tree::Array(items.iter().map(tree).collect()),
        Json::Object(map) => match map.iter().next() {
            Some((key, bytes)) if key == "_bytes" => Tree::Bytes(unhex(bytes)),
            Some((key, _)) if key == "_unset" => Tree::Unset,
            Some((key, name)) if key == "_float" => {
                Tree::Float(if name == "NaN" { f64::NAN } else { f64::INFINITY })
            }
            _ => Tree::Map(map.iter().map(|(name, value)| (name.clone(), tree(value))).collect()),
        },
    }
}

/// The tree as it comes out of a decoder: floating point numbers with integral values are integers.
pub(crate) fn as_read(tree: Tree) -> Tree {
    match tree {
        Tree::Float(number)
            if number.fract() == 0.0 && (-9.3e18..9.2e18).contains(&number) && number >= 0.0 =>
        {
            Tree::Unsigned(number as u64)
        }
        Tree::Float(number) if number.fract() == 0.0 && (-9.2e18..0.0).contains(&number) => {
            Tree::Signed(number as i64)
        }
        Tree::Array(items) => Tree::Array(items.into_iter().map(as_read).collect()),
        Tree::Map(map) => {
            Tree::Map(map.into_iter().map(|(name, value)| (name, as_read(value))).collect())
        }
        other => other,
    }
}

/// Equality that lets NaN be itself.
pub(crate) fn same(one: &Tree, other: &Tree) -> bool {
    match (one, other) {
        (Tree::Float(one), Tree::Float(other)) => one == other || (one.is_nan() && other.is_nan()),
        (Tree::Array(one), Tree::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Tree::Map(one), Tree::Map(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|(one, other)| one.0 == other.0 && same(one.1, other.1))
        }
        _ => one == other,
    }
}

/// A message as one that owns what it says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Owned {
    pub(crate) kind: MessageType,
    pub(crate) stream_id: Option<u16>,
    pub(crate) parameters: Option<Tree>,
    pub(crate) payload: Option<Tree>,
    pub(crate) resource: Option<Tree>,
}

impl Owned {
    pub(crate) fn from_json(json: &Json) -> Self {
        let kind = (1..=0x0a).filter_map(MessageType::from_code);
        let value = |name: &str| json.get(name).map(tree);
        Self {
            kind: kind.into_iter().find(|kind| kind.name() == json["type"]).unwrap(),
            stream_id: json.get("stream_id").map(|id| id.as_u64().unwrap() as u16),
            parameters: value("parameters"),
            payload: value("payload"),
            resource: value("resource"),
        }
    }

    pub(crate) fn into_read(self) -> Self {
        let Self { kind, stream_id, parameters, payload, resource } = self;
        let (parameters, payload) = (parameters.map(as_read), payload.map(as_read));
        Self { kind, stream_id, parameters, payload, resource }
    }

    pub(crate) fn encode(&self, dialect: Dialect) -> Vec<u8> {
        let mut draft = Draft::new(self.kind);
        draft.stream_id = self.stream_id;
        draft.parameters = self.parameters.as_ref().map(|value| value as &dyn Encode);
        draft.payload = self.payload.as_ref().map(|value| value as &dyn Encode);
        let payload =
            self.resource.as_ref().map(|tree| pointstream_iotmp::Payload::new(tree).unwrap());
        draft.resource = payload.as_ref().map(|resource| Resource::Value(resource.value()));
        let mut out = Vec::new();
        draft.encode(dialect, &mut out).unwrap();
        out
    }
}

impl From<Message<'_>> for Owned {
    fn from(message: Message<'_>) -> Self {
        Self {
            kind: message.kind,
            stream_id: message.stream_id,
            parameters: message.parameters.map(Tree::from),
            payload: message.payload.map(Tree::from),
            resource: message.resource.map(Tree::from),
        }
    }
}

pub(crate) fn dialect(json: &Json) -> Dialect {
    match json.as_str().unwrap() {
        "1" => Dialect::Iotmp1,
        "2" => Dialect::Iotmp2,
        "old" => Dialect::Old,
        other => panic!("no dialect {other}"),
    }
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    unhex(&text.into())
}

pub(crate) fn at(millis: u64) -> Instant {
    Instant::from_origin(Duration::from_millis(millis))
}

pub(crate) fn events(session: &mut Session) -> Vec<Event> {
    core::iter::from_fn(|| session.poll_event()).collect()
}

pub(crate) fn sent(session: &mut Session) -> Vec<u8> {
    let mut out = Vec::new();
    assert_eq!(session.poll_transmit(&mut out), !out.is_empty());
    out
}

pub(crate) const CONNECT: &str = "031e1ae38575736572318773656e736f72318973656372657431323308e78a01";

/// A server's session with an accepted client of 2026 at time 0.
pub(crate) fn open_server(config: Config) -> Session {
    let mut session = Session::server(at(0), config);
    session.handle_input(at(0), &hex(CONNECT));
    assert!(matches!(events(&mut session)[..], [Event::Connecting(_)]));
    session.accept(at(0)).unwrap();
    assert_eq!(sent(&mut session), hex("010408e78a01"));
    session
}

/// An accepted client's session at time 0.
pub(crate) fn open_client(dialect: Dialect) -> Session {
    let credentials = Credentials::new("user1", "sensor1", "secret123");
    let mut session = Session::client(at(0), dialect, &credentials, Config::default()).unwrap();
    sent(&mut session);
    let verdict = if dialect == Dialect::Old { "01021001" } else { "01020801" };
    session.handle_input(at(0), &hex(verdict));
    assert_eq!(events(&mut session), [Event::Connected]);
    session
}
