use std::sync::Arc;
use std::time::Duration;

use pointstream_patch::{Change, Options};
use pointstream_time::{Instant, Seed};

use self::content::{Content, Delta};
use self::feed::{Feed, Next};
use self::view::{View, Writing, Written};
use crate::idempotency::{Idempotency, digest};
use crate::rate::{Allowance, Rate};
use crate::{
    Edit, Epoch, Error, Event, EventKind, Fault, Fetched, Limits, Mode, Payload, Publication,
    Published, Revision, Stats, Subscribe, TopicKind, TopicOptions, ViewSpec,
};

mod content;
mod feed;
mod publish;
mod timing;
mod view;

/// A JSON document that changes, and what is kept for those who follow it.
///
/// The machine behind a [`Hub`](crate::Hub): no lock, no waker, no clock, no entropy.
/// [`handle_timeout`](Self::handle_timeout) tells it the time, before other inputs and when
/// [`poll_timeout`](Self::poll_timeout) says so. Publications go in through
/// [`publish_with`](Self::publish_with), [`publish`](Self::publish) or [`edit`](Self::edit); each
/// [`Cursor`] takes out what it has not seen through [`next`](Self::next).
#[derive(Debug)]
pub struct Topic {
    now: Instant,
    /// Gives the epochs of views, and the next one of the topic.
    seed: Seed,
    options: TopicOptions,
    limits: TopicLimits,
    patch: Options,
    content: Content,
    /// The first one is the whole topic; it is there always.
    views: Vec<Option<View>>,
    /// How many follow any of them.
    readers: usize,
    keys: Idempotency,
    rate: Option<Rate>,
    fault: Option<Arc<Fault>>,
    /// Counts the faults told, so that each reader is told once of each.
    faults: u32,
    /// When the document ends.
    expires: Option<Instant>,
    /// The views that changed since they were asked for.
    changed: Vec<u32>,
    stats: Stats,
}

#[derive(Debug)]
struct TopicLimits {
    ring_events_max: usize,
    views_max: usize,
    view_linger: Duration,
    monitor_period: Duration,
}

/// How far a subscriber has read: all that a topic needs to know of it. Two that are equal are given
/// the same from there on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cursor {
    view: u32,
    mode: Mode,
    /// The state that the subscriber's document has; none before the first event.
    at: Option<Revision>,
    /// The last fault that it was told of.
    faults: u32,
    /// The last digest that it was given, if it wants them.
    digests: Option<u32>,
}

impl Cursor {
    /// The state that the subscriber's document has.
    pub const fn revision(&self) -> Option<Revision> {
        self.at
    }

    /// The place of its view among those of the topic, which another view may have later.
    pub const fn view(&self) -> u32 {
        self.view
    }

    /// How it is sent what changes.
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether others may be where it is: it has a document, and wants no digests, which each reader
    /// gets at a time of its own.
    pub const fn is_shareable(&self) -> bool {
        self.at.is_some() && self.digests.is_none()
    }
}

impl Topic {
    /// A topic without a document. The `epoch` must be one that no topic of this name had before;
    /// the epochs of its views come from it.
    pub fn new(epoch: Epoch, options: &TopicOptions, limits: &Limits) -> Self {
        let mut patch_limits = pointstream_patch::Limits::default();
        patch_limits.bytes_max = limits.document_bytes_max;
        let patch = options.patch(&patch_limits);
        let mut topic = Self {
            now: Instant::ORIGIN,
            seed: epoch.seed(),
            options: options.clone(),
            limits: TopicLimits {
                ring_events_max: limits.ring_events_max,
                views_max: limits.views_max,
                view_linger: limits.view_linger,
                monitor_period: limits.monitor_period,
            },
            content: Content::new(options, &patch, limits.items_max),
            patch,
            views: Vec::new(),
            readers: 0,
            keys: Idempotency::new(limits.idempotency_keys_max),
            rate: options.per_minute_max.map(Rate::new),
            fault: None,
            faults: 0,
            expires: None,
            changed: Vec::new(),
            stats: Stats::default(),
        };
        let feed = Feed::new(epoch, limits.ring_events_max);
        let whole = View::new(ViewSpec::default(), feed, &topic.content, topic.writing());
        topic.views.push(Some(whole));
        topic
    }

    /// A reader of the whole topic: it begins at the revision that it brings along, if it can go on
    /// from there for no more bytes than the whole document has; else before the first event.
    pub fn resume(&mut self, mode: Mode, last: Option<Revision>) -> Cursor {
        self.enter(WHOLE, mode, last)
    }

    /// A reader of a view, which is made if nobody follows it so far. [`detach`](Self::detach) must
    /// be told of its end.
    ///
    /// # Errors
    ///
    /// A mode that the topic is not sent in, a filter on what has no items, too many views.
    pub fn attach(&mut self, wanted: &Subscribe) -> Result<Cursor, Error> {
        if self.options.only_mode.is_some_and(|only| only != wanted.mode) {
            return Err(Error::ModeRefused);
        }
        if wanted.view.filter.is_some() && self.content.kind() != TopicKind::Items {
            return Err(Error::NoItems);
        }
        let view = self.view_of(&wanted.view)?;
        let mut cursor = self.enter(view, wanted.mode, wanted.last);
        let due = self.now + self.limits.monitor_period;
        if wanted.verify
            && let Some(view) = self.view_mut(view)
        {
            if view.monitor.readers == 0 {
                view.monitor.due = due;
            }
            view.monitor.readers += 1;
            // One that comes is given the first one with its document.
            cursor.digests = Some(view.monitor.count.wrapping_sub(1));
        }
        Ok(cursor)
    }

    /// The end of a reader.
    pub fn detach(&mut self, cursor: &Cursor) {
        self.readers = self.readers.saturating_sub(1);
        let now = self.now;
        if let Some(view) = self.view_mut(cursor.view) {
            view.readers = view.readers.saturating_sub(1);
            if cursor.digests.is_some() {
                view.monitor.readers = view.monitor.readers.saturating_sub(1);
            }
            view.idle_since = now;
        }
    }

    /// Keeps the view of a cursor that stands for readers, besides them; [`detach_lead`](Self::detach_lead)
    /// must be told of its end.
    pub(crate) fn attach_lead(&mut self, cursor: &Cursor) {
        if let Some(view) = self.view_mut(cursor.view) {
            view.readers += 1;
        }
    }

    /// The end of a cursor that stood for readers.
    pub(crate) fn detach_lead(&mut self, cursor: &Cursor) {
        let now = self.now;
        if let Some(view) = self.view_mut(cursor.view) {
            view.readers = view.readers.saturating_sub(1);
            view.idle_since = now;
        }
    }

    /// The next event for `cursor`, which moves past it; none if it has seen all.
    ///
    /// What a cursor is given always applies to what it was given before: the next patch while the
    /// ring holds it, else the whole document as it is.
    pub fn next(&mut self, cursor: &mut Cursor) -> Option<Event> {
        self.next_for(cursor, 1)
    }

    /// The next event for a cursor that stands for so many readers.
    pub(crate) fn next_for(&mut self, cursor: &mut Cursor, readers: u64) -> Option<Event> {
        let Self { views, stats, content, options, .. } = self;
        let view = views.get_mut(cursor.view as usize)?.as_mut()?;
        let event = match view.feed.after(cursor.mode, cursor.at, readers, stats) {
            Next::Patch(patch) => Some(patch),
            Next::Document => Some(snapshot(view, content, options)),
            Next::Nothing => None,
        };
        let event = match event {
            Some(event) => {
                cursor.at = Some(event.revision());
                event
            }
            None => self.next_fault(cursor).or_else(|| self.next_digest(cursor))?,
        };
        self.stats.delivered += readers;
        self.stats.delivered_bytes += readers * event.sse().len() as u64;
        Some(event)
    }

    /// The whole document as an event; none before the first publication. Made once a revision.
    pub fn snapshot(&mut self) -> Option<Event> {
        self.revision()?;
        let Self { views, content, options, .. } = self;
        let view = views.first_mut()?.as_mut()?;
        Some(snapshot(view, content, options))
    }

    /// The present state; none before the first publication.
    pub fn revision(&self) -> Option<Revision> {
        Some(self.at()).filter(|at| at.seq > 0)
    }

    /// How the document comes about.
    pub const fn kind(&self) -> TopicKind {
        self.content.kind()
    }

    /// Whether it may be published to from outside.
    pub const fn is_open(&self) -> bool {
        self.options.open
    }

    /// The length of the document's text, as published.
    pub fn document_bytes(&self) -> usize {
        self.content.document_bytes()
    }

    /// The bytes of the events that are kept for those who lag or resume: for each view at most
    /// four times its document, or 4 KiB if that is more.
    pub fn ring_bytes(&self) -> usize {
        self.views.iter().flatten().map(|view| view.feed.ring_bytes()).sum()
    }

    /// How many views there are besides the whole topic.
    pub fn views(&self) -> usize {
        self.views.iter().skip(1).flatten().count()
    }

    /// Counts that its source was asked.
    pub fn on_fetch(&mut self, fetched: Fetched, took: Duration) {
        self.stats.on_fetch(fetched, took);
    }

    /// What happened so far.
    pub const fn stats(&self) -> Stats {
        self.stats
    }

    /// How many publications more it takes at present; any number if there is none.
    pub fn allowance(&self) -> Option<Allowance> {
        self.rate.as_ref().map(|rate| rate.allowance(self.now))
    }

    /// What is wrong with the topic at present.
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_deref()
    }

    /// Says what is wrong with the topic, or that nothing is. Readers are told of a fault that is
    /// another one than before, after all changes before it; a fault that has gone is told to
    /// nobody.
    pub fn set_fault(&mut self, fault: Option<Fault>) {
        if self.fault.as_deref() == fault.as_ref() {
            return;
        }
        self.fault = fault.map(Arc::new);
        if self.fault.is_some() {
            self.faults = self.faults.wrapping_add(1);
            self.changed.extend((0..).zip(&self.views).map(|(at, _)| at));
        }
    }

    /// Takes the views of which readers have something to read since this was asked.
    pub(crate) fn take_changed(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.changed)
    }

    /// The present state, also where there is no document so far.
    pub(crate) fn at(&self) -> Revision {
        let whole = self.views.first().and_then(Option::as_ref);
        whole.map_or(Revision { epoch: Epoch::new(0), seq: 0 }, |view| view.feed.at())
    }

    fn enter(&mut self, view: u32, mode: Mode, last: Option<Revision>) -> Cursor {
        self.readers += 1;
        let mut at = None;
        let Self { views, content, stats, .. } = self;
        if let Some(Some(view)) = views.get_mut(view as usize) {
            view.readers += 1;
            if let Some(last) = last {
                let document = view.document_bytes(content);
                at = Some(last).filter(|last| view.feed.reaches(mode, *last, document));
                match at {
                    Some(_) => stats.resumes_hit += 1,
                    None => stats.resumes_missed += 1,
                }
            }
        }
        // One that comes is told what is wrong, if anything is.
        let faults = self.faults.wrapping_sub(u32::from(self.fault.is_some()));
        Cursor { view, mode, at, faults, digests: None }
    }

    fn next_fault(&self, cursor: &mut Cursor) -> Option<Event> {
        if cursor.faults == self.faults {
            return None;
        }
        cursor.faults = self.faults;
        self.fault.as_ref().map(|fault| Event::of_fault(self.at(), Arc::clone(fault)))
    }

    /// A digest of the document that the reader has.
    fn next_digest(&mut self, cursor: &mut Cursor) -> Option<Event> {
        let digests = cursor.digests.as_mut()?;
        let view = self.views.get_mut(cursor.view as usize)?.as_mut()?;
        if *digests == view.monitor.count || cursor.at != Some(view.feed.at()) {
            return None;
        }
        *digests = view.monitor.count;
        Some(view.digest(&self.content))
    }

    /// The view of a wish, made if there is none.
    fn view_of(&mut self, spec: &ViewSpec) -> Result<u32, Error> {
        let is_it = |view: &Option<View>| view.as_ref().is_some_and(|view| view.spec == *spec);
        if let Some(at) = (0..).zip(&self.views).find(|(_, view)| is_it(view)) {
            return Ok(at.0);
        }
        let max = self.limits.views_max;
        if self.views() >= max {
            self.drop_idlest().ok_or(Error::ViewsMax { max })?;
        }
        let feed = Feed::new(Epoch::draw(&mut self.seed), self.limits.ring_events_max);
        let view = View::new(spec.clone(), feed, &self.content, self.writing());
        let free = (0..).zip(&self.views).find(|(_, view)| view.is_none());
        match free {
            Some((at, _)) => {
                self.views[at as usize] = Some(view);
                Ok(at)
            }
            None => {
                self.views.push(Some(view));
                // There are at most `views_max` and one.
                u32::try_from(self.views.len() - 1).map_err(|_| Error::ViewsMax { max })
            }
        }
    }

    /// Drops the view that nobody has followed for the longest time.
    fn drop_idlest(&mut self) -> Option<()> {
        let idle = self
            .views
            .iter_mut()
            .skip(1)
            .filter(|view| view.as_ref().is_some_and(|view| view.readers == 0));
        let idlest = idle.min_by_key(|view| view.as_ref().map(|view| view.idle_since))?;
        *idlest = None;
        Some(())
    }

    fn view_mut(&mut self, at: u32) -> Option<&mut View> {
        self.views.get_mut(at as usize)?.as_mut()
    }

    const fn writing(&self) -> Writing<'_> {
        Writing { options: &self.options, patch: &self.patch, now: self.now }
    }
}

fn snapshot(view: &mut View, content: &Content, options: &TopicOptions) -> Event {
    let style = options.style();
    if let Some(event) = view.feed.made() {
        return event;
    }
    let text = view.text(content);
    view.feed.snapshot(style, &text)
}

/// The lines of a text that are not blank, numbered from 1.
fn lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    (1..).zip(text.split(|&byte| byte == b'\n')).filter(|(_, line)| !line.trim_ascii().is_empty())
}

/// The place of the view that is the whole topic.
const WHOLE: u32 = 0;

#[cfg(test)]
mod tests;
