use core::sync::atomic::{AtomicBool, Ordering};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::io::observe::Observed;
use crate::packet::{Reason, SubscribeOptions};
use crate::topic::Routes;

/// Somebody who gets messages.
pub(crate) type TakerId = u64;

/// Where messages for one taker go.
#[derive(Debug)]
pub(crate) struct Inbox {
    pub(crate) sender: mpsc::Sender<Observed>,
    pub(crate) gate: Arc<Gate>,
}

/// Whether a taker is at its inbox. While it is not, the inbox takes what it has room for, such as
/// what a resumed session has at once, and nobody waits for it.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    is_away: AtomicBool,
    missed: AtomicBool,
}

impl Gate {
    /// The taker goes, or is not to be waited for.
    pub(crate) fn leave(&self) {
        self.is_away.store(true, Ordering::Release);
    }

    /// The taker is back. Gives whether it has missed something.
    #[cfg(feature = "driver")]
    pub(crate) fn enter(&self) -> bool {
        self.is_away.store(false, Ordering::Release);
        self.take_missed()
    }

    /// Whether it has missed something since it was asked last.
    pub(crate) fn take_missed(&self) -> bool {
        self.missed.swap(false, Ordering::AcqRel)
    }

    fn misses(&self) -> bool {
        let is_away = self.is_away.load(Ordering::Acquire);
        if is_away {
            self.missed.store(true, Ordering::Release);
        }
        is_away
    }
}

/// Who gets which messages, and what could not be handed over yet.
#[derive(Debug, Default)]
pub(crate) struct Takers {
    inboxes: BTreeMap<TakerId, Inbox>,
    routes: Routes<TakerId>,
    /// Who wants what of a filter.
    filters: BTreeMap<Arc<str>, Vec<(TakerId, SubscribeOptions)>>,
    /// What waits for room in somebody's inbox; nothing more is taken from the session meanwhile, so
    /// that there are never more entries than one message has takers.
    waiting: VecDeque<(TakerId, Observed)>,
    found: Vec<TakerId>,
}

impl Takers {
    pub(crate) fn attach(&mut self, id: TakerId, inbox: Inbox, filters: &[Arc<str>]) {
        self.inboxes.insert(id, inbox);
        for filter in filters {
            self.routes.insert(filter, id);
            self.filters.entry(Arc::clone(filter)).or_default();
        }
    }

    /// The broker has refused a filter: everybody who wants it is told.
    pub(crate) fn refuse(&mut self, filter: &Arc<str>, reason: Reason) {
        for (id, _) in self.filters.get(filter).into_iter().flatten() {
            let item = Observed::Refused { filter: Arc::clone(filter), reason };
            let inbox = self.inboxes.get(id);
            self.waiting.extend(inbox.and_then(|it| it.put(item)).map(|item| (*id, item)));
        }
    }

    /// Somebody is gone. Gives the filters that changed: what is to be subscribed to in another way,
    /// or not at all.
    pub(crate) fn detach(&mut self, id: TakerId) -> Vec<(Arc<str>, Option<SubscribeOptions>)> {
        self.inboxes.remove(&id);
        self.waiting.retain(|(it, _)| *it != id);
        let own: Vec<_> = self.filters.keys().map(Arc::clone).collect();
        own.into_iter().filter_map(|filter| self.leave(id, &filter)).collect()
    }

    /// Somebody wants a filter. Gives what is to be asked of the broker for all who want it.
    pub(crate) fn join(
        &mut self,
        id: TakerId,
        filter: &Arc<str>,
        options: SubscribeOptions,
    ) -> SubscribeOptions {
        let wants = self.filters.entry(Arc::clone(filter)).or_default();
        wants.retain(|(it, _)| *it != id);
        wants.push((id, options));
        self.routes.insert(filter, id);
        merged(wants).unwrap_or(options)
    }

    /// Somebody does not want a filter any more. Gives what is to be asked of the broker where that
    /// changes anything.
    pub(crate) fn leave(
        &mut self,
        id: TakerId,
        filter: &Arc<str>,
    ) -> Option<(Arc<str>, Option<SubscribeOptions>)> {
        let wants = self.filters.get_mut(filter)?;
        let before = merged(wants);
        wants.retain(|(it, _)| *it != id);
        let after = merged(wants);
        if wants.is_empty() {
            self.filters.remove(filter);
        }
        self.routes.remove(filter, &id);
        (before != after).then(|| (Arc::clone(filter), after))
    }

    /// Hands something to everybody whose filters match.
    pub(crate) fn deliver(&mut self, topic: &str, item: &Observed) {
        let Self { routes, found, .. } = self;
        found.clear();
        routes.find(topic, |id| found.push(*id));
        found.sort_unstable();
        found.dedup();
        for at in 0..self.found.len() {
            let id = self.found[at];
            let inbox = self.inboxes.get(&id);
            let left = inbox.and_then(|inbox| inbox.put(item.clone()));
            self.waiting.extend(left.map(|item| (id, item)));
        }
    }

    /// Whether something waits for room.
    pub(crate) fn is_blocked(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Waits until what waits for room has found some.
    ///
    /// # Cancel safety
    ///
    /// Safe: what has not been handed over waits on.
    pub(crate) async fn unblock(&mut self) {
        while let Some((id, _)) = self.waiting.front() {
            let permit = match self.inboxes.get(id) {
                Some(inbox) if !inbox.gate.misses() => inbox.sender.reserve().await.ok(),
                _ => None,
            };
            let item = self.waiting.pop_front();
            if let (Some(permit), Some((_, item))) = (permit, item) {
                permit.send(item);
            }
        }
    }
}

impl Inbox {
    /// Puts something in. Gives it back where its taker is to be waited for.
    fn put(&self, item: Observed) -> Option<Observed> {
        match self.sender.try_send(item) {
            Err(mpsc::error::TrySendError::Full(item)) if !self.gate.misses() => Some(item),
            // Whoever has dropped its inbox is about to be detached.
            _ => None,
        }
    }
}

/// What serves all who want a filter: the best quality, and own messages if anybody wants them.
fn merged(wants: &[(TakerId, SubscribeOptions)]) -> Option<SubscribeOptions> {
    wants.iter().map(|(_, options)| *options).reduce(|a, b| SubscribeOptions {
        qos: a.qos.max(b.qos),
        no_local: a.no_local && b.no_local,
        retain_as_published: a.retain_as_published || b.retain_as_published,
        retain_handling: if a.retain_handling == b.retain_handling {
            a.retain_handling
        } else {
            crate::packet::RetainHandling::Always
        },
    })
}
