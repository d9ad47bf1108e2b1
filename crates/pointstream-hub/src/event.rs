use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use pointstream_time::Instant;

use crate::json::{self, Style};
use crate::{Fault, Revision};

/// One change of a topic, or its whole document, as bytes that all subscribers share.
///
/// Cloning costs a reference. The JSON is a slice of the framed bytes, so an event is held once.
#[derive(Clone, Debug)]
pub struct Event {
    revision: Revision,
    kind: EventKind,
    frame: Bytes,
    body_at: u32,
    published: Instant,
    fault: Option<Arc<Fault>>,
    /// Made when first asked for, and shared by all clones.
    #[cfg(feature = "gzip")]
    packed: Arc<std::sync::OnceLock<crate::Packed>>,
}

/// What an event's body is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum EventKind {
    /// The whole document.
    Data,
    /// A JSON Patch (RFC 6902) that leads from the revision before to this one.
    Patch,
    /// What is wrong with the topic. It has no id, and the document stays as it is.
    Error,
    /// What the subscriber's document should be: `{"seq": …, "hash": …}`, the state's number and the
    /// SHA-256 of its canonical form (RFC 8785) in hex. It has no id. Sent to who asks for it.
    Monitor,
}

impl EventKind {
    /// The name of the Server-Sent Event.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Patch => "patch",
            Self::Error => "error",
            Self::Monitor => "monitor",
        }
    }

    /// The name by the original's successor.
    const fn axway(self) -> &'static str {
        match self {
            Self::Data => "snapshot",
            other => other.as_str(),
        }
    }
}

impl Event {
    pub(crate) fn new(revision: Revision, kind: EventKind, json: &str, style: Style) -> Self {
        let mut frame = Vec::with_capacity(json.len() + FRAMING_LEN);
        // Writing to a vector cannot fail.
        let name = if style.axway { kind.axway() } else { kind.as_str() };
        let _ = write!(frame, "id: {revision}\nevent: {name}\ndata: ");
        let body_at = frame.len();
        json::write_compact(json, style, &mut frame);
        frame.extend_from_slice(b"\n\n");
        debug_assert!(body_at <= FRAMING_LEN, "the head of an event has a bounded length");
        #[expect(clippy::cast_possible_truncation, reason = "at most FRAMING_LEN")]
        let body_at = body_at as u32;
        Self::framed(revision, kind, frame.into(), body_at)
    }

    /// A fault, at the state that holds meanwhile.
    pub(crate) fn of_fault(revision: Revision, fault: Arc<Fault>) -> Self {
        let body = fault.json("", "");
        Self { fault: Some(fault), ..Self::aside(revision, EventKind::Error, &body) }
    }

    /// What the document of a revision should be.
    pub(crate) fn of_digest(revision: Revision, digest: &str) -> Self {
        let body = format!(r#"{{"seq":{},"hash":"{digest}"}}"#, revision.seq);
        Self::aside(revision, EventKind::Monitor, &body)
    }

    /// An event that is no change, and so has no id.
    fn aside(revision: Revision, kind: EventKind, body: &str) -> Self {
        let head = format!("event: {}\ndata: ", kind.as_str());
        let frame = format!("{head}{body}\n\n").into();
        #[expect(clippy::cast_possible_truncation, reason = "a name and two constants")]
        let body_at = head.len() as u32;
        Self::framed(revision, kind, frame, body_at)
    }

    fn framed(revision: Revision, kind: EventKind, frame: Bytes, body_at: u32) -> Self {
        Self {
            revision,
            kind,
            frame,
            body_at,
            published: Instant::ORIGIN,
            fault: None,
            #[cfg(feature = "gzip")]
            packed: Arc::default(),
        }
    }

    /// The same, published at this time.
    pub(crate) const fn at(mut self, published: Instant) -> Self {
        self.published = published;
        self
    }

    /// When what it tells was published, by the hub's clock.
    pub const fn published(&self) -> Instant {
        self.published
    }

    /// The revision that holds after this event.
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// What the body is.
    pub const fn kind(&self) -> EventKind {
        self.kind
    }

    /// Whether it is a change, whose revision is the event's id.
    pub const fn has_id(&self) -> bool {
        matches!(self.kind, EventKind::Data | EventKind::Patch)
    }

    /// What is wrong, if this is an error. Whoever sends it writes it anew with
    /// [`Fault::json`], since the hub knows neither the time of day nor the subscriber's session.
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_deref()
    }

    /// The whole Server-Sent Event: `id`, `event` and `data` lines and the empty line that ends it.
    pub const fn sse(&self) -> &Bytes {
        &self.frame
    }

    /// The whole Server-Sent Event, packed: once, by whoever asks first, for all subscribers.
    #[cfg(feature = "gzip")]
    pub fn packed(&self) -> &crate::Packed {
        self.packed.get_or_init(|| crate::Packed::new(&self.frame))
    }

    /// The JSON alone: compact, on one line.
    pub fn body(&self) -> Bytes {
        self.frame.slice(self.body_at as usize..self.frame.len() - 2)
    }
}

/// The most that framing adds: two field names, a revision, an event's name and line ends.
const FRAMING_LEN: usize = 96;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Epoch;

    #[test]
    fn an_event_is_three_lines_in_the_documented_order() {
        let revision = Revision { epoch: Epoch::new(1), seq: u64::MAX };
        let event = Event::new(
            revision,
            EventKind::Patch,
            "[ \"é\\n\" ]",
            Style { ascii: true, axway: false },
        );
        let text = "id: 00000000-0000-0000-0000-000000000001#18446744073709551615\n\
                    event: patch\ndata: [\"\\u00e9\\n\"]\n\n";
        assert_eq!(event.sse(), text.as_bytes());
        assert_eq!(&event.body()[..], br#"["\u00e9\n"]"#);
    }

    #[test]
    fn a_document_may_bear_the_successors_name() {
        let revision = Revision { epoch: Epoch::new(1), seq: 1 };
        let style = Style { ascii: true, axway: true };
        let name = |kind| {
            let event = Event::new(revision, kind, "[]", style);
            let text = String::from_utf8(event.sse().to_vec()).unwrap();
            text.lines().nth(1).unwrap().to_owned()
        };
        assert_eq!(name(EventKind::Data), "event: snapshot");
        assert_eq!(name(EventKind::Patch), "event: patch");
    }
}
