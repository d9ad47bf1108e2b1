use pointstream_patch::{Change, Document, Rows};

use crate::json::Style;
use crate::ring::Ring;
use crate::{Edit, Epoch, Error, Event, EventKind, Limits, Revision, Stats};

/// A JSON document that changes, and what is kept for those who follow it.
///
/// The machine behind a [`Hub`](crate::Hub): no lock, no waker, no clock, no entropy. Publications
/// go in through [`publish`](Self::publish) or [`edit`](Self::edit); each [`Cursor`] takes out what
/// it has not seen through [`next`](Self::next).
#[derive(Debug)]
pub struct Topic {
    epoch: Epoch,
    /// The changes so far; zero while there is no document.
    seq: u64,
    content: Content,
    style: Style,
    limits: pointstream_patch::Limits,
    ring: Ring,
    /// The whole document at `seq`, made when first wanted.
    snapshot: Option<Event>,
    stats: Stats,
}

/// How a topic's document comes about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TopicKind {
    /// Each publication is the text of the whole document; the topic finds the difference.
    Text,
    /// The document is an object whose members are edited one by one; nothing is compared.
    Rows,
}

/// What a topic is created with.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TopicOptions {
    /// How the document comes about.
    pub kind: TopicKind,
    /// Whether characters beyond ASCII go out as `\uXXXX`, which is lossless and spares clients that
    /// decode UTF-8 segment by segment. On by default.
    pub ascii_json: bool,
}

impl TopicOptions {
    /// A topic whose publications are whole documents.
    pub const fn text() -> Self {
        Self { kind: TopicKind::Text, ascii_json: true }
    }

    /// A topic that is an object, edited by rows.
    pub const fn rows() -> Self {
        Self { kind: TopicKind::Rows, ascii_json: true }
    }
}

/// What a subscriber is sent.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Mode {
    /// The whole document first, then patches.
    #[default]
    Patch,
    /// The whole document at each change.
    Snapshot,
}

/// How far a subscriber has read: all that a topic needs to know of it.
#[derive(Clone, Copy, Debug)]
pub struct Cursor {
    mode: Mode,
    /// The state that the subscriber's document has; none before the first event.
    at: Option<Revision>,
}

impl Cursor {
    /// The state that the subscriber's document has.
    pub const fn revision(&self) -> Option<Revision> {
        self.at
    }
}

#[derive(Debug)]
enum Content {
    Text(Option<Document>),
    Rows { rows: Rows, edited: bool },
}

impl Topic {
    /// A topic without a document. The `epoch` must be one that no topic of this name had before.
    pub fn new(epoch: Epoch, options: &TopicOptions, limits: &Limits) -> Self {
        let mut patch_limits = pointstream_patch::Limits::default();
        patch_limits.bytes_max = limits.document_bytes_max;
        let content = match options.kind {
            TopicKind::Text => Content::Text(None),
            TopicKind::Rows => {
                Content::Rows { rows: Rows::with_limits(&patch_limits), edited: false }
            }
        };
        Self {
            epoch,
            seq: 0,
            content,
            style: Style { ascii: options.ascii_json },
            limits: patch_limits,
            ring: Ring::new(limits.ring_events_max),
            snapshot: None,
            stats: Stats::default(),
        }
    }

    /// Takes the next text of the document; gives the kind of the event that it became, none if
    /// the value is the same as before.
    ///
    /// # Errors
    ///
    /// A text that is too long or not JSON, or a topic of rows; the document stays as it was.
    pub fn publish(&mut self, text: &[u8]) -> Result<Option<EventKind>, Error> {
        let Content::Text(document) = &mut self.content else {
            return Err(Error::WrongKind(TopicKind::Rows));
        };
        let max = self.limits.bytes_max;
        if text.len() > max {
            return Err(Error::DocumentTooLarge { len: text.len(), max });
        }
        let change = match document {
            Some(document) => document.update(text)?,
            None => {
                *document = Some(Document::parse(text, &self.limits)?);
                Change::Replacement
            }
        };
        Ok(self.on_change(change))
    }

    /// Lets `with` edit the rows and makes one event of all its edits; gives that event's kind,
    /// none if nothing changed.
    ///
    /// The first edit gives the topic its document, even an empty one.
    ///
    /// # Errors
    ///
    /// A topic of texts. What is wrong with a single edit is told to `with`.
    pub fn edit<R>(
        &mut self,
        with: impl FnOnce(&mut Edit<'_>) -> R,
    ) -> Result<(R, Option<EventKind>), Error> {
        let Content::Rows { rows, edited } = &mut self.content else {
            return Err(Error::WrongKind(TopicKind::Text));
        };
        let result = with(&mut Edit::new(rows));
        let first = !std::mem::replace(edited, true);
        let change = match rows.commit() {
            _ if first => Change::Replacement,
            change => change,
        };
        Ok((result, self.on_change(change)))
    }

    /// Where a subscriber begins: at the revision that it brings along, if it can go on from there
    /// for no more bytes than the whole document has; else before the first event.
    pub fn resume(&mut self, mode: Mode, last: Option<Revision>) -> Cursor {
        let Some(last) = last else { return Cursor { mode, at: None } };
        let reachable = last.epoch == self.epoch
            && (last.seq == self.seq
                || mode == Mode::Patch
                    && self
                        .ring
                        .after(last.seq)
                        .is_some_and(|tail| tail.bytes <= self.document_bytes() as u64));
        if reachable {
            self.stats.resumes_hit += 1;
        } else {
            self.stats.resumes_missed += 1;
        }
        Cursor { mode, at: reachable.then_some(last) }
    }

    /// The next event for `cursor`, which moves past it; none if it has seen all.
    ///
    /// What a cursor is given always applies to what it was given before: the next patch while the
    /// ring holds it, else the whole document as it is.
    pub fn next(&mut self, cursor: &mut Cursor) -> Option<Event> {
        let seen = cursor.at.filter(|at| at.epoch == self.epoch).map(|at| at.seq);
        if seen.unwrap_or(0) == self.seq {
            return None;
        }
        let patch = seen
            .filter(|_| cursor.mode == Mode::Patch)
            .and_then(|seq| self.ring.after(seq))
            .map(|tail| tail.first.clone());
        let event = match patch {
            Some(patch) => patch,
            None => {
                let skipped = seen.map_or(0, |seq| self.seq.saturating_sub(seq + 1));
                self.stats.conflations += u64::from(skipped > 0);
                self.stats.skipped += skipped;
                self.snapshot()?
            }
        };
        cursor.at = Some(event.revision());
        self.stats.delivered += 1;
        self.stats.delivered_bytes += event.sse().len() as u64;
        Some(event)
    }

    /// The whole document as an event; none before the first publication. Made once a revision.
    pub fn snapshot(&mut self) -> Option<Event> {
        let revision = self.revision()?;
        if self.snapshot.is_none() {
            let style = self.style;
            let event = |json: &str| Event::new(revision, EventKind::Data, json, style);
            self.snapshot = match &self.content {
                Content::Text(document) => document.as_ref().map(|document| event(document.text())),
                Content::Rows { rows, .. } => {
                    let mut text = String::with_capacity(rows.len_bytes());
                    rows.write_text(&mut text);
                    Some(event(&text))
                }
            };
        }
        self.snapshot.clone()
    }

    /// The present state; none before the first publication.
    pub fn revision(&self) -> Option<Revision> {
        (self.seq > 0).then_some(self.at())
    }

    /// How the document comes about.
    pub const fn kind(&self) -> TopicKind {
        match self.content {
            Content::Text(_) => TopicKind::Text,
            Content::Rows { .. } => TopicKind::Rows,
        }
    }

    /// The length of the document's text, as published.
    pub fn document_bytes(&self) -> usize {
        match &self.content {
            Content::Text(document) => {
                document.as_ref().map_or(0, |document| document.text().len())
            }
            Content::Rows { rows, .. } => rows.len_bytes(),
        }
    }

    /// The bytes of the events that are kept for those who lag or resume: at most four times the
    /// document, or 4 KiB if that is more.
    pub const fn ring_bytes(&self) -> usize {
        self.ring.bytes()
    }

    /// What happened so far.
    pub const fn stats(&self) -> Stats {
        self.stats
    }

    /// The present state, also where there is no document so far.
    pub(crate) const fn at(&self) -> Revision {
        Revision { epoch: self.epoch, seq: self.seq }
    }

    fn on_change(&mut self, change: Change) -> Option<EventKind> {
        self.stats.publications += 1;
        let mut patch = String::new();
        let kind = match change {
            Change::Nothing => None,
            Change::Script(script) if script.is_empty() => None,
            Change::Replacement => Some(EventKind::Data),
            Change::Script(script) => {
                script.render_patch("", &mut patch);
                Some(EventKind::Patch)
            }
        };
        match kind {
            None => self.stats.unchanged += 1,
            Some(EventKind::Data) => self.on_replacement(),
            Some(EventKind::Patch) => self.on_patch(&patch),
        }
        kind
    }

    fn on_replacement(&mut self) {
        self.seq += 1;
        self.snapshot = None;
        // Whoever is behind a replacement is best served by the whole document.
        self.ring.clear();
        let document = self.document_bytes() as u64;
        self.stats.replacements += 1;
        self.stats.document_bytes += document;
        self.stats.event_bytes += document;
    }

    fn on_patch(&mut self, patch: &str) {
        self.seq += 1;
        self.snapshot = None;
        let event = Event::new(self.at(), EventKind::Patch, patch, self.style);
        let document = self.document_bytes();
        self.stats.patches += 1;
        self.stats.document_bytes += document as u64;
        self.stats.event_bytes += event.body().len() as u64;
        let bytes_max = document.saturating_mul(RING_DOCUMENTS).max(RING_BYTES_MIN);
        self.ring.push(event, bytes_max);
    }
}

/// How many times the document's bytes the ring may hold.
const RING_DOCUMENTS: usize = 4;

/// What the ring may hold in any case: four times a tiny document is less than one framed patch,
/// and no subscriber would ever see one.
const RING_BYTES_MIN: usize = 4_096;

#[cfg(test)]
mod tests;
