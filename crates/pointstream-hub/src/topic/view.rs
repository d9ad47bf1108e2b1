use pointstream_patch::{Change, Document, Options};
use pointstream_time::Instant;

use super::content::{Content, Delta};
use super::feed::Feed;
use crate::canonical::digest;
use crate::items::{ItemChange, Ranks, array_bytes};
use crate::json::Style;
use crate::{Event, EventKind, TopicOptions, ViewSpec};

/// What one or more subscribers see of a topic.
#[derive(Debug)]
pub(super) struct View {
    pub(super) spec: ViewSpec,
    pub(super) feed: Feed,
    lens: Lens,
    /// How many follow it.
    pub(super) readers: usize,
    /// Since when nobody does.
    pub(super) idle_since: Instant,
    /// Whether something changed that the rate does not let out yet.
    pub(super) waits: bool,
    /// When the rate lets the next event out.
    pub(super) opens: Instant,
    pub(super) monitor: Monitor,
}

/// Digests of the document for those who ask for them.
#[derive(Debug)]
pub(super) struct Monitor {
    /// How many readers ask for them.
    pub(super) readers: usize,
    /// When the next one is due.
    pub(super) due: Instant,
    /// Counts those that were due, so that each reader is given each once.
    pub(super) count: u32,
    /// The latest that was made.
    made: Option<Event>,
}

/// How a view comes by its document.
#[derive(Debug)]
enum Lens {
    /// It is the topic's.
    Whole,
    /// It is a selection of the topic's items.
    Ranks(Ranks),
    /// It is a document of its own, compared with what the topic's becomes.
    Shaped(Option<Box<Document>>),
}

/// How a change is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writing<'a> {
    pub(super) options: &'a TopicOptions,
    pub(super) patch: &'a Options,
    pub(super) now: Instant,
}

impl Writing<'_> {
    pub(super) const fn style(&self) -> Style {
        self.options.style()
    }
}

/// What a change of the topic is to a view: the event's kind, and its bytes.
pub(super) type Written = Option<(EventKind, usize)>;

impl View {
    /// A view of what a topic has at present.
    pub(super) fn new(spec: ViewSpec, feed: Feed, content: &Content, w: Writing<'_>) -> Self {
        let lens = match content.items() {
            _ if !spec.is_plain() => Lens::Shaped(None),
            Some(items) => Lens::Ranks(Ranks::of(items.births(|id| spec.wants(id)))),
            None => Lens::Whole,
        };
        let now = w.now;
        let monitor = Monitor { readers: 0, due: now, count: 0, made: None };
        let mut view = Self {
            spec,
            feed,
            lens,
            readers: 0,
            idle_since: now,
            waits: false,
            opens: now,
            monitor,
        };
        if content.is_there() {
            view.replace(content, w);
        }
        view
    }

    /// Follows a change of the topic.
    pub(super) fn follow(&mut self, content: &Content, delta: &Delta, w: Writing<'_>) -> Written {
        if !matches!(self.lens, Lens::Shaped(_)) {
            return match delta {
                Delta::Nothing => None,
                Delta::Replaced => self.replace(content, w),
                Delta::Script(script) => {
                    let mut patch = String::new();
                    script.render_patch("", &mut patch);
                    self.patch(&patch, content, w)
                }
                Delta::Items { first: true, .. } => self.replace(content, w),
                Delta::Items { changes, .. } => self.follow_items(content, changes, w),
            };
        }
        let concerned = match delta {
            Delta::Nothing => false,
            Delta::Script(script) => self.spec.is_concerned(script),
            Delta::Replaced | Delta::Items { .. } => true,
        };
        if !concerned {
            return None;
        }
        if w.now < self.opens {
            self.waits = true;
            return None;
        }
        self.refresh(content, w)
    }

    /// Compares what is shown with what there is.
    pub(super) fn refresh(&mut self, content: &Content, w: Writing<'_>) -> Written {
        self.waits = false;
        let written = self.replace(content, w);
        if written.is_some() {
            self.opens = w.now + self.spec.min_interval();
        }
        written
    }

    /// As before the first publication.
    pub(super) fn clear(&mut self, epoch: crate::Epoch) {
        self.feed.reset(epoch);
        self.waits = false;
        self.lens = match self.lens {
            Lens::Whole => Lens::Whole,
            Lens::Ranks(_) => Lens::Ranks(Ranks::default()),
            Lens::Shaped(_) => Lens::Shaped(None),
        };
    }

    /// What the document should be, made once a state.
    pub(super) fn digest(&mut self, content: &Content) -> Event {
        let at = self.feed.at();
        match &self.monitor.made {
            Some(made) if made.revision() == at => made.clone(),
            _ => {
                let event = Event::of_digest(at, &digest(&self.text(content)));
                self.monitor.made = Some(event.clone());
                event
            }
        }
    }

    /// The length of its document.
    pub(super) fn document_bytes(&self, content: &Content) -> usize {
        match (&self.lens, content.items()) {
            (Lens::Shaped(document), _) => {
                document.as_ref().map_or(0, |document| document.text().len())
            }
            (Lens::Ranks(ranks), Some(items)) if self.spec.filter.is_some() => {
                let births = ranks.births();
                let bytes = births.iter().filter_map(|&birth| items.text(birth)).map(str::len);
                array_bytes(bytes.sum(), births.len())
            }
            _ => content.document_bytes(),
        }
    }

    /// The text of its document.
    pub(super) fn text(&self, content: &Content) -> String {
        let mut text = String::new();
        match (&self.lens, content.items()) {
            (Lens::Shaped(Some(document)), _) => text.push_str(document.text()),
            (Lens::Ranks(ranks), Some(items)) => items.write(ranks.births(), &mut text),
            _ => content.write(&mut text),
        }
        text
    }

    /// Follows a change by comparing the whole of what is shown.
    fn replace(&mut self, content: &Content, w: Writing<'_>) -> Written {
        if let (Lens::Ranks(ranks), Some(items)) = (&mut self.lens, content.items()) {
            *ranks = Ranks::of(items.births(|id| self.spec.wants(id)));
        }
        let Lens::Shaped(shown) = &mut self.lens else { return self.whole(content, w) };
        let source = content.selected(&self.spec);
        let next = self.spec.project(&source, shown.as_deref(), &w.patch.limits);
        let change = match shown {
            Some(shown) => shown.update(next.as_bytes()),
            None => match Document::parse_with(next.as_bytes(), w.patch) {
                Ok(document) => {
                    *shown = Some(Box::new(document));
                    Ok(Change::Replacement)
                }
                Err(error) => Err(error),
            },
        };
        match change {
            Ok(Change::Script(script)) if !script.is_empty() => {
                let mut patch = String::new();
                script.render_patch("", &mut patch);
                self.patch(&patch, content, w)
            }
            Ok(Change::Replacement) => self.whole(content, w),
            // A part of what was valid is valid.
            Ok(Change::Nothing | Change::Script(_)) | Err(_) => None,
        }
    }

    fn follow_items(
        &mut self,
        content: &Content,
        changes: &[ItemChange],
        w: Writing<'_>,
    ) -> Written {
        let (Lens::Ranks(ranks), Some(items)) = (&mut self.lens, content.items()) else {
            return None;
        };
        let operations = ranks.follow(items, changes, |id| self.spec.wants(id));
        if operations.is_empty() {
            return None;
        }
        let document = self.document_bytes(content);
        if operations.len() >= REPLACEMENT_BYTES + document + w.options.slack(document) {
            return self.whole(content, w);
        }
        self.patch(&format!("[{operations}]"), content, w)
    }

    fn whole(&mut self, content: &Content, w: Writing<'_>) -> Written {
        self.feed.on_replacement(w.now);
        Some((EventKind::Data, self.document_bytes(content)))
    }

    fn patch(&mut self, patch: &str, content: &Content, w: Writing<'_>) -> Written {
        let document = self.document_bytes(content);
        Some((EventKind::Patch, self.feed.on_patch(patch, w.style(), document, w.now)))
    }
}

/// What a patch that replaces the whole document has besides the document, without brackets.
const REPLACEMENT_BYTES: usize = r#"{"op":"replace","path":"","value":}"#.len();
