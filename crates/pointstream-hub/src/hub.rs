use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use pointstream_time::{Instant, Seed};

use crate::demand::Demand;
use crate::slots::Slots;
use crate::timers::Timers;
use crate::{
    Allowance, Edit, Epoch, Error, EventKind, Fault, Limits, Mode, Payload, Publication, Revision,
    Stats, Subscribe, Subscription, Topic, TopicId, TopicKind, TopicOptions,
};

mod time;

/// All topics of a process: a handle that is cheap to clone and needs no runtime.
///
/// Each topic has its own lock, held for the time of one diff at most and never across an await.
/// Publications to one topic have one total order, which all its subscribers see; once `publish`
/// has returned, whoever subscribes sees what was published.
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

struct Inner {
    limits: Limits,
    topics: RwLock<BTreeMap<TopicId, Arc<Shared>>>,
    epochs: Mutex<Seed>,
    demand: Mutex<Demand>,
    timers: Mutex<Timers>,
    clock: Option<Clock>,
}

/// Tells the time since an origin that stays the same.
type Clock = Box<dyn Fn() -> Instant + Send + Sync>;

pub(crate) struct Shared {
    id: TopicId,
    state: Mutex<State>,
}

pub(crate) struct State {
    pub(crate) topic: Topic,
    pub(crate) subscribers: Slots,
    /// Those who read for subscribers.
    pub(crate) leads: Slots,
    pub(crate) removed: bool,
    /// When the topic is to be told the time, as the hub's timers have it.
    timer: Option<Instant>,
}

/// What became of a publication.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Published {
    /// The state that holds now.
    pub revision: Revision,
    /// What the subscribers are sent; none if nothing changed.
    pub event: Option<EventKind>,
    /// How many subscribers there are.
    pub subscribers: usize,
    /// How many items had no id and were left out.
    pub discarded: usize,
    /// Whether the publication came before, by its key, and was not taken again.
    pub repeated: bool,
}

/// A topic's document at one revision.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Snapshot {
    /// The revision.
    pub revision: Revision,
    /// The JSON, compact, shared with all who ask at this revision.
    pub json: Bytes,
}

/// What is known of a topic.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TopicInfo {
    /// Its name.
    pub id: TopicId,
    /// How its document comes about.
    pub kind: TopicKind,
    /// Whether it may be published to from outside.
    pub open: bool,
    /// Its present state; none before the first publication.
    pub revision: Option<Revision>,
    /// How many follow it.
    pub subscribers: usize,
    /// The length of its document.
    pub document_bytes: usize,
    /// The bytes of the events that it keeps.
    pub ring_bytes: usize,
    /// The views of it that are kept, besides the whole.
    pub views: usize,
    /// How many publications more it takes at present; any number if there is none.
    pub allowance: Option<Allowance>,
    /// What is wrong with it.
    pub fault: Option<Fault>,
    /// What happened on it.
    pub stats: Stats,
}

impl Hub {
    /// A hub without topics and without a clock: nothing in it ends by time, views with a rate are
    /// refused, and digests come with a document only. The `seed` gives the topics their epochs and must be another
    /// one after each restart.
    pub fn new(limits: Limits, seed: Seed) -> Self {
        Self::of(limits, seed, None)
    }

    /// A hub without topics. `clock` tells the time since an origin that stays the same; it is asked
    /// at each call. Someone must also call [`handle_timeout`](Self::handle_timeout) when
    /// [`poll_timeout`](Self::poll_timeout) says so.
    pub fn with_clock(
        limits: Limits,
        seed: Seed,
        clock: impl Fn() -> Instant + Send + Sync + 'static,
    ) -> Self {
        Self::of(limits, seed, Some(Box::new(clock)))
    }

    fn of(limits: Limits, seed: Seed, clock: Option<Clock>) -> Self {
        let inner = Inner {
            limits,
            topics: RwLock::default(),
            epochs: Mutex::new(seed),
            demand: Mutex::default(),
            timers: Mutex::default(),
            clock,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Creates a topic, without a document so far.
    ///
    /// # Errors
    ///
    /// A text that cannot be a name, a name that is taken, too many topics.
    pub fn create(&self, id: &str, options: TopicOptions) -> Result<TopicId, Error> {
        let id: TopicId = id.parse()?;
        let epoch = Epoch::draw(&mut lock(&self.inner.epochs));
        let topic = Topic::new(epoch, &options, &self.inner.limits);
        let (subscribers, leads) = (Slots::default(), Slots::default());
        let state = State { topic, subscribers, leads, removed: false, timer: None };
        let shared = Arc::new(Shared { id: id.clone(), state: Mutex::new(state) });
        let mut topics = self.inner.topics.write().unwrap_or_else(PoisonError::into_inner);
        if topics.contains_key(&id) {
            return Err(Error::TopicExists);
        }
        let max = self.inner.limits.topics_max;
        if topics.len() >= max {
            return Err(Error::TopicsMax { max });
        }
        topics.insert(id.clone(), shared);
        Ok(id)
    }

    /// Removes a topic. Its subscriptions end with [`Ended::Removed`](crate::Ended::Removed).
    ///
    /// # Errors
    ///
    /// No topic of this name.
    pub fn remove(&self, id: &str) -> Result<(), Error> {
        let removed = {
            let mut topics = self.inner.topics.write().unwrap_or_else(PoisonError::into_inner);
            topics.remove(id).ok_or(Error::UnknownTopic)?
        };
        let (wakers, watched) = {
            let mut state = removed.lock();
            state.removed = true;
            // The next deadline does not become earlier by this.
            let _ = self.set_timer(&removed, &mut state, None);
            let mut wakers = state.leads.all_wakers();
            wakers.extend(state.subscribers.all_wakers());
            (wakers, !state.subscribers.is_empty())
        };
        wakers.into_iter().for_each(std::task::Waker::wake);
        if watched {
            self.on_demand_change(&removed);
        }
        Ok(())
    }

    /// Publishes the whole document of a topic of texts, or an array of items to a topic of items.
    ///
    /// # Errors
    ///
    /// No such topic, a topic of rows, a text that is too long or not JSON, or not items.
    pub fn publish(&self, id: &str, text: &[u8]) -> Result<Published, Error> {
        self.publish_with(id, &Publication::new(Payload::Json(text)))
    }

    /// Publishes to a topic of texts or items in any form and under conditions.
    ///
    /// # Errors
    ///
    /// As for [`publish`](Self::publish); a patch that cannot be applied, a condition that does not
    /// hold, a key that came with another publication.
    pub fn publish_with(
        &self,
        id: &str,
        publication: &Publication<'_>,
    ) -> Result<Published, Error> {
        self.change(id, |topic| topic.publish_with(publication))
    }

    /// Removes an item of a topic of items; says what that did, none if it is not there.
    ///
    /// # Errors
    ///
    /// No such topic, not a topic of items.
    pub fn remove_item(&self, id: &str, item: &str) -> Result<Option<Published>, Error> {
        self.change(id, |topic| topic.remove_item(item))
    }

    /// Says what is wrong with a topic, or that nothing is. Its subscribers are told once of each
    /// fault that is another one than before, and their streams go on.
    ///
    /// # Errors
    ///
    /// No such topic.
    pub fn set_fault(&self, id: &str, fault: Option<Fault>) -> Result<(), Error> {
        self.change(id, |topic| {
            topic.set_fault(fault);
            Ok(())
        })
    }

    /// Edits the rows of a topic of rows; all edits of one call reach the subscribers as one event.
    ///
    /// `with` runs under the topic's lock: it must not wait and must not call the hub.
    ///
    /// # Errors
    ///
    /// No such topic, a topic of texts.
    pub fn edit<R>(
        &self,
        id: &str,
        with: impl FnOnce(&mut Edit<'_>) -> R,
    ) -> Result<(R, Published), Error> {
        self.change(id, |topic| {
            let (result, event) = topic.edit(with)?;
            Ok((result, topic.published(event, 0)))
        })
    }

    /// Follows a topic, from `last` on if the topic can go on from there, else from its whole
    /// document on.
    ///
    /// # Errors
    ///
    /// No such topic, too many subscribers.
    pub fn subscribe(
        &self,
        id: &str,
        mode: Mode,
        last: Option<Revision>,
    ) -> Result<Subscription, Error> {
        self.subscribe_with(id, &Subscribe::new(mode, last))
    }

    /// Follows a view of a topic.
    ///
    /// # Errors
    ///
    /// No such topic, too many subscribers or views, a view or a mode that the topic has not.
    pub fn subscribe_with(&self, id: &str, wanted: &Subscribe) -> Result<Subscription, Error> {
        if self.inner.clock.is_none() && wanted.view.has_rate() {
            return Err(Error::NoClock);
        }
        let shared = self.find(id)?;
        let mut state = shared.lock_live()?;
        state.topic.handle_timeout(self.now());
        let max = self.inner.limits.subscribers_max;
        if state.subscribers.len() >= max {
            return Err(Error::SubscribersMax { max });
        }
        let cursor = state.topic.attach(wanted)?;
        let first = state.subscribers.is_empty();
        let slot = state.subscribers.take(cursor.view());
        let wakers = self.settle(&shared, &mut state);
        drop(state);
        wakers.into_iter().for_each(std::task::Waker::wake);
        let subscription = Subscription::new(self.clone(), Arc::clone(&shared), slot, cursor);
        if first {
            self.on_demand_change(&shared);
        }
        Ok(subscription)
    }

    /// The document of a topic; none before its first publication.
    ///
    /// # Errors
    ///
    /// No such topic.
    pub fn snapshot(&self, id: &str) -> Result<Option<Snapshot>, Error> {
        let event = self.find(id)?.lock_live()?.topic.snapshot();
        Ok(event.map(|event| Snapshot { revision: event.revision(), json: event.body() }))
    }

    /// All topics, by name.
    pub fn topics(&self) -> Vec<TopicInfo> {
        let topics = self.inner.topics.read().unwrap_or_else(PoisonError::into_inner);
        let shared: Vec<_> = topics.values().map(Arc::clone).collect();
        drop(topics);
        shared.iter().map(|shared| shared.info()).collect()
    }

    /// One topic.
    ///
    /// # Errors
    ///
    /// No such topic.
    pub fn topic(&self, id: &str) -> Result<TopicInfo, Error> {
        Ok(self.find(id)?.info())
    }

    /// Waits until a topic has gained its first subscriber or lost its last one, or was removed
    /// while it had some; [`topic`](Self::topic) then tells how it stands. A change that was undone
    /// meanwhile may be told as well.
    ///
    /// For one waiting task; a second one takes the place of the first.
    ///
    /// *Cancel safety*: nothing is lost when the future is dropped.
    pub async fn demand(&self) -> TopicId {
        poll_fn(|cx| self.poll_demand(cx)).await
    }

    /// [`demand`](Self::demand) as a poll.
    pub fn poll_demand(&self, cx: &Context<'_>) -> Poll<TopicId> {
        lock(&self.inner.demand).poll(cx)
    }

    /// The limits given at construction.
    pub fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    pub(crate) fn on_demand_change(&self, shared: &Shared) {
        let waker = lock(&self.inner.demand).on_change(shared.id.clone());
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn change<R>(
        &self,
        id: &str,
        with: impl FnOnce(&mut Topic) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let shared = self.find(id)?;
        let mut state = shared.lock_live()?;
        state.topic.handle_timeout(self.now());
        let result = with(&mut state.topic);
        let wakers = self.settle(&shared, &mut state);
        drop(state);
        wakers.into_iter().for_each(std::task::Waker::wake);
        result
    }

    fn find(&self, id: &str) -> Result<Arc<Shared>, Error> {
        let topics = self.inner.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.get(id).map(Arc::clone).ok_or(Error::UnknownTopic)
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("limits", &self.inner.limits).finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn id(&self) -> &TopicId {
        &self.id
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// The state of a topic that was not removed between its being found and its being locked.
    fn lock_live(&self) -> Result<MutexGuard<'_, State>, Error> {
        let state = self.lock();
        if state.removed { Err(Error::UnknownTopic) } else { Ok(state) }
    }

    fn info(&self) -> TopicInfo {
        let state = self.lock();
        TopicInfo {
            id: self.id.clone(),
            kind: state.topic.kind(),
            open: state.topic.is_open(),
            revision: state.topic.revision(),
            subscribers: state.subscribers.len(),
            document_bytes: state.topic.document_bytes(),
            ring_bytes: state.topic.ring_bytes(),
            views: state.topic.views(),
            allowance: state.topic.allowance(),
            fault: state.topic.fault().cloned(),
            stats: state.topic.stats(),
        }
    }
}

/// Locks, also after a panic in an embedder's closure: it may have left edits of rows behind, which
/// the next commit takes along, but no machine of this crate in the middle of a step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
