use crate::json::Style;
use crate::ring::Ring;
use crate::{Epoch, Event, EventKind, Mode, Revision, Stats};

/// The states of one view: their number, the latest patches and the whole document, as bytes that
/// all who follow the view share.
#[derive(Debug)]
pub(super) struct Feed {
    epoch: Epoch,
    /// The changes so far; zero while there is no document.
    seq: u64,
    ring: Ring,
    /// The whole document at `seq`, made when first wanted.
    snapshot: Option<Event>,
}

impl Feed {
    pub(super) fn new(epoch: Epoch, ring_events_max: usize) -> Self {
        Self { epoch, seq: 0, ring: Ring::new(ring_events_max), snapshot: None }
    }

    /// As before the first publication, under another epoch.
    pub(super) fn reset(&mut self, epoch: Epoch) {
        self.epoch = epoch;
        self.seq = 0;
        self.ring.clear();
        self.snapshot = None;
    }

    /// The present state, also where there is no document so far.
    pub(super) const fn at(&self) -> Revision {
        Revision { epoch: self.epoch, seq: self.seq }
    }

    pub(super) const fn ring_bytes(&self) -> usize {
        self.ring.bytes()
    }

    pub(super) fn on_replacement(&mut self) {
        self.seq += 1;
        self.snapshot = None;
        // Whoever is behind a replacement is best served by the whole document.
        self.ring.clear();
    }

    /// Takes a patch, of a document that has `document_bytes` afterwards; gives its length.
    pub(super) fn on_patch(&mut self, patch: &str, style: Style, document_bytes: usize) -> usize {
        self.seq += 1;
        self.snapshot = None;
        let event = Event::new(self.at(), EventKind::Patch, patch, style);
        let len = event.body().len();
        let bytes_max = document_bytes.saturating_mul(RING_DOCUMENTS).max(RING_BYTES_MIN);
        self.ring.push(event, bytes_max);
        len
    }

    /// Whether one that has the document of `last` can go on from there for no more bytes than the
    /// whole document has.
    pub(super) fn reaches(&self, mode: Mode, last: Revision, document_bytes: usize) -> bool {
        last.epoch == self.epoch
            && (last.seq == self.seq
                || mode == Mode::Patch
                    && self
                        .ring
                        .after(last.seq)
                        .is_some_and(|tail| tail.bytes <= document_bytes as u64))
    }

    /// What comes after the state that a reader has, or so many readers alike.
    pub(super) fn after(
        &self,
        mode: Mode,
        at: Option<Revision>,
        readers: u64,
        stats: &mut Stats,
    ) -> Next {
        let seen = at.filter(|at| at.epoch == self.epoch).map(|at| at.seq);
        if seen.unwrap_or(0) == self.seq {
            return Next::Nothing;
        }
        let patch = seen
            .filter(|_| mode == Mode::Patch)
            .and_then(|seq| self.ring.after(seq))
            .map(|tail| tail.first.clone());
        if let Some(patch) = patch {
            return Next::Patch(patch);
        }
        let skipped = seen.map_or(0, |seq| self.seq.saturating_sub(seq + 1));
        stats.conflations += readers * u64::from(skipped > 0);
        stats.skipped += readers * skipped;
        Next::Document
    }

    /// The whole document as an event, if it was made.
    pub(super) fn made(&self) -> Option<Event> {
        self.snapshot.clone()
    }

    /// Makes the whole document an event.
    pub(super) fn snapshot(&mut self, style: Style, text: &str) -> Event {
        let event = Event::new(self.at(), EventKind::Data, text, style);
        self.snapshot = Some(event.clone());
        event
    }
}

/// What a reader is given next.
#[derive(Debug)]
pub(super) enum Next {
    Nothing,
    Patch(Event),
    Document,
}

/// How many times the document's bytes the ring may hold.
const RING_DOCUMENTS: usize = 2;

/// What the ring may hold in any case: four times a tiny document is less than one framed patch,
/// and no subscriber would ever see one.
const RING_BYTES_MIN: usize = 4_096;
