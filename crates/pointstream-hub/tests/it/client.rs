//! A client that knows the rules of event streams (HTML, section 9.2.6) and JSON Patch, and nothing
//! of the hub. Its patches are applied by another crate than the one that made them.

use pointstream_hub::{Cursor, Mode, Revision, Subscribe, Topic};
use serde_json::Value;
use sha2::{Digest, Sha256};

pub(crate) struct Client {
    pub(crate) wanted: Subscribe,
    /// The place on the topic, while there is a connection.
    cursor: Option<Cursor>,
    /// What was written to the socket and has not arrived.
    wire: Vec<u8>,
    /// What has arrived of a line or an event.
    line: Vec<u8>,
    name: String,
    data: String,
    id: Option<String>,
    /// What the client knows.
    pub(crate) document: Option<Value>,
    pub(crate) last_id: Option<String>,
    pub(crate) errors: usize,
    pub(crate) verified: usize,
    pub(crate) doubts: usize,
}

impl Client {
    pub(crate) fn new(wanted: Subscribe) -> Self {
        Self {
            wanted,
            cursor: None,
            wire: Vec::new(),
            line: Vec::new(),
            name: String::new(),
            data: String::new(),
            id: None,
            document: None,
            last_id: None,
            errors: 0,
            verified: 0,
            doubts: 0,
        }
    }

    /// The server writes up to `count` events, after a connection was made if there is none.
    pub(crate) fn serve(&mut self, topic: &mut Topic, count: usize) {
        if self.cursor.is_none() {
            self.wanted.last = self.last_id.as_ref().and_then(|id| id.parse::<Revision>().ok());
            // Views may all be taken; then the client comes back later.
            self.cursor = topic.attach(&self.wanted).ok();
        }
        let Some(cursor) = &mut self.cursor else { return };
        for _ in 0..count {
            let Some(event) = topic.next(cursor) else { break };
            self.wire.extend_from_slice(event.sse());
        }
    }

    /// Bytes arrive, up to `count` of those that are on the way.
    pub(crate) fn receive(&mut self, count: usize) {
        let count = count.min(self.wire.len());
        let bytes: Vec<u8> = self.wire.drain(..count).collect();
        for byte in bytes {
            assert_ne!(byte, b'\r', "no line ends with CR");
            if byte == b'\n' {
                let line = String::from_utf8(std::mem::take(&mut self.line)).unwrap();
                self.on_line(&line);
            } else {
                self.line.push(byte);
            }
        }
    }

    pub(crate) const fn is_connected(&self) -> bool {
        self.cursor.is_some()
    }

    pub(crate) const fn on_the_way(&self) -> usize {
        self.wire.len()
    }

    /// The connection breaks where it is.
    pub(crate) fn cut(&mut self, topic: &mut Topic) {
        if let Some(cursor) = self.cursor.take() {
            topic.detach(&cursor);
        }
        self.wire.clear();
        self.line.clear();
        self.data.clear();
        self.name.clear();
        self.id = None;
    }

    fn on_line(&mut self, line: &str) {
        let value = |name: &str| line.strip_prefix(name).and_then(|rest| rest.strip_prefix(": "));
        if line.is_empty() {
            self.dispatch();
        } else if let Some(id) = value("id") {
            self.id = Some(id.to_owned());
        } else if let Some(name) = value("event") {
            name.clone_into(&mut self.name);
        } else if let Some(data) = value("data") {
            assert!(self.data.is_empty(), "one line of data");
            data.clone_into(&mut self.data);
        } else {
            panic!("a line that is no field: {line}");
        }
    }

    fn dispatch(&mut self) {
        let id = self.id.take();
        let (name, data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
        match name.as_str() {
            "data" => self.document = Some(serde_json::from_str(&data).unwrap()),
            "patch" => {
                assert_eq!(self.wanted.mode, Mode::Patch);
                let document = self.document.as_mut().unwrap();
                let patch: json_patch::Patch = serde_json::from_str(&data).unwrap();
                json_patch::patch(document, &patch).unwrap();
            }
            "error" => {
                assert!(id.is_none(), "an error has no id");
                self.errors += 1;
                return;
            }
            "monitor" => {
                assert!(id.is_none() && self.wanted.verify);
                self.verify(&data);
                return;
            }
            other => panic!("an event of the name {other}"),
        }
        self.last_id = Some(id.unwrap());
    }

    /// What is told of the document must be so.
    fn verify(&mut self, told: &str) {
        let told: Value = serde_json::from_str(told).unwrap();
        let seq = self.last_id.as_ref().unwrap().rsplit('#').next().unwrap().to_owned();
        assert_eq!(told["seq"].to_string(), seq);
        // Of the documents here, this is the canonical form: sorted keys and small numbers.
        let canonical = serde_json::to_string(self.document.as_ref().unwrap()).unwrap();
        let digest = Sha256::digest(canonical.as_bytes());
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        if told["hash"] == *hex {
            self.verified += 1;
        } else {
            // It comes again without an id, and so is given the document.
            self.doubts += 1;
            self.last_id = None;
        }
    }
}
