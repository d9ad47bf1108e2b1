//! Past values: what points collect of themselves, on its way into the store.

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use pointstream_point::{
    Collect, CollectState, Cur, HisError, HisItem, HisRules, HisState, Id, PointKey, PointSpec,
    Value,
};
use pointstream_points::WatchId;
use pointstream_store::{History, SeriesWrite};

use super::shared::{Shared, State};
use super::sync_his::Slots;
use crate::config::HistoryConfig;

/// What the gateway knows of histories.
#[derive(Default)]
pub(crate) struct Histories {
    /// Where they are kept; nothing is collected without it.
    pub(crate) store: Option<Arc<dyn History>>,
    pub(super) config: HistoryConfig,
    points: HashMap<PointKey, Collected>,
    /// The points of each interval, and when they are due next.
    intervals: BTreeMap<Duration, (Timestamp, BTreeSet<PointKey>)>,
    /// Points whose change came too soon, to be looked at again.
    again: BTreeSet<PointKey>,
    /// Points that collect nothing but have a history all the same.
    pub(super) kept: HashMap<PointKey, (Id, HisRules)>,
    /// Points that show a fault because of what devices told of their past.
    pub(super) refusing: BTreeSet<PointKey>,
    pub(super) pending: Pending,
    /// Whether the last write failed.
    failing: bool,
    /// Whether devices are to wait with what they tell unasked. Connectors look at it each time that they
    /// wait, so that it stands outside of the gateway's lock.
    pub(super) crowded: Arc<AtomicBool>,
    /// Held while a batch is on its way to the disk, so that whoever ends the gateway waits for it.
    writing: Arc<tokio::sync::Mutex<()>>,
    watch: Option<WatchId>,
    /// Whoever synchronises histories asks a connector with one of these.
    pub(super) slots: Slots,
    /// Points whose synchronisations were given up, of which their connectors do not know.
    pub(super) released: BTreeMap<Id, Vec<PointKey>>,
    /// Items that were written, and those that were dropped since too many waited.
    pub(crate) written: u64,
    pub(crate) dropped: u64,
}

#[derive(Debug)]
struct Collected {
    id: Id,
    /// Most points collect alike: those in a row that do have one.
    collect: Arc<Collect>,
    rules: HisRules,
    state: CollectState,
}

/// Items that wait to be written.
#[derive(Debug, Default)]
pub(super) struct Pending {
    series: BTreeMap<PointKey, Waiting>,
    items: usize,
    /// How many came from devices unasked since items were taken last.
    pub(super) past: usize,
}

#[derive(Debug)]
struct Waiting {
    id: Id,
    due: Timestamp,
    items: VecDeque<(Timestamp, Option<Value>)>,
}

/// How many items may wait in all. Beyond it the oldest of their point is dropped and counted.
pub(super) const PENDING_MAX: usize = 1 << 18;

/// How many items that devices tell unasked may wait before they are asked to wait with more.
const PAST_MAX: usize = 1 << 16;

/// How often is looked what is due.
const TICK: Duration = Duration::from_millis(100);

/// After how long a write that failed is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// How often what is too old is forgotten.
const TRIM: Duration = Duration::from_secs(60 * 60);

impl core::fmt::Debug for Histories {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Histories").field("points", &self.points.len()).finish_non_exhaustive()
    }
}

impl Histories {
    /// A point shows another current value.
    pub(super) fn on_change(&mut self, key: PointKey, at: Timestamp, cur: &Cur) {
        let Some(point) = self.points.get_mut(&key) else { return };
        if let Some(item) = point.state.on_change(&point.collect, at, cur) {
            self.dropped += self.pending.push(key, point, at, item);
        }
        if point.state.waits() {
            self.again.insert(key);
        }
    }

    /// The id of a point that has a history, and what that takes.
    pub(super) fn rules(&self, key: PointKey) -> Option<(&Id, &HisRules)> {
        let collected = self.points.get(&key).map(|point| (&point.id, &point.rules));
        collected.or_else(|| self.kept.get(&key).map(|(id, rules)| (id, rules)))
    }

    /// Notes whether there is room for more that devices tell unasked. Where nothing can be written they
    /// do not wait, since what they have to say of the present would wait with it; then the oldest is
    /// dropped and counted.
    pub(super) fn note_room(&self) {
        let crowded = self.pending.past >= PAST_MAX && !self.failing;
        self.crowded.store(crowded, Ordering::Relaxed);
    }

    /// Whether anything is collected.
    pub(super) fn is_idle(&self) -> bool {
        self.points.is_empty()
    }

    /// The points whose time has come, each with the time that it is.
    fn due(&mut self, now: Timestamp) -> Vec<(PointKey, Timestamp)> {
        let mut due = Vec::new();
        for (next, keys) in self.intervals.values_mut().filter(|(next, _)| *next <= now) {
            let at = *next;
            due.extend(keys.iter().map(|key| (*key, at)));
            let any = keys.first().and_then(|key| self.points.get(key));
            // What was slept through is not made up: there are no values of it.
            *next = any.and_then(|point| point.collect.next_after(now)).unwrap_or(Timestamp::MAX);
        }
        due
    }
}

impl Pending {
    /// Puts an item in line. Gives how many were dropped for it.
    fn push(&mut self, key: PointKey, point: &Collected, now: Timestamp, item: HisItem) -> u64 {
        let wait = SignedDuration::try_from(point.collect.write_freq).unwrap_or_default();
        let due = now.checked_add(wait).unwrap_or(now);
        match point.rules.accept([(item.ts, Some(item.val))], None) {
            Ok(items) => {
                items.into_iter().map(|item| u64::from(self.put(key, &point.id, due, item))).sum()
            }
            Err(error) => {
                let error: HisError = error;
                tracing::debug!(point = %point.id, %error, "A value was not collected.");
                1
            }
        }
    }

    /// Puts an item in line that the point takes. Gives whether one was dropped for it.
    pub(super) fn put(
        &mut self,
        key: PointKey,
        id: &Id,
        due: Timestamp,
        item: (Timestamp, Option<Value>),
    ) -> bool {
        let new = || Waiting { id: id.clone(), due, items: VecDeque::with_capacity(1) };
        let waiting = self.series.entry(key).or_insert_with(new);
        waiting.due = waiting.due.min(due);
        let full = self.items >= PENDING_MAX && !waiting.items.is_empty();
        if full {
            waiting.items.pop_front();
        }
        // As many points as may be have an item each, whatever the limit.
        self.items += usize::from(!full);
        waiting.items.push_back(item);
        full
    }

    /// Takes what is due.
    fn take(&mut self, now: Timestamp) -> Vec<(PointKey, Waiting)> {
        self.past = 0;
        let due = self.series.extract_if(.., |_, waiting| waiting.due <= now);
        let due: Vec<_> = due.collect();
        self.items -= due.iter().map(|(_, waiting)| waiting.items.len()).sum::<usize>();
        due
    }

    /// Puts back what could not be written, before what came since.
    fn put_back(&mut self, batch: Vec<(PointKey, Waiting)>, due: Timestamp) -> u64 {
        let mut dropped = 0;
        for (key, mut waiting) in batch {
            let room = PENDING_MAX.saturating_sub(self.items);
            let excess = waiting.items.len().saturating_sub(room);
            dropped += excess as u64;
            waiting.items.drain(..excess);
            self.items += waiting.items.len();
            if let Some(later) = self.series.remove(&key) {
                waiting.items.extend(later.items);
            }
            self.series.insert(key, Waiting { due, ..waiting });
        }
        dropped
    }
}

impl Shared {
    /// Collects what the tags of points say from now on, and has those points watched.
    pub(super) async fn collect(&self, config: &HistoryConfig) {
        let moved = {
            let now = self.clock.now();
            let mut guard = self.lock();
            let State { points, his, watches, .. } = &mut *guard;
            his.config = config.clone();
            if his.store.is_none() {
                return;
            }
            let mut before = core::mem::take(&mut his.points);
            his.intervals.clear();
            his.kept.clear();
            his.refusing.clear();
            let mut faults = Vec::new();
            let mut alike: Option<Arc<Collect>> = None;
            for (key, entry) in points.iter_after(None).filter(|(_, e)| !e.spec.disabled) {
                let found = match Collect::of(&entry.spec) {
                    Ok(Some(found)) => found,
                    Ok(None) => {
                        if keeps_history(&entry.spec) {
                            let kept = (entry.spec.id.clone(), HisRules::of(&entry.spec));
                            his.kept.insert(key, kept);
                        }
                        continue;
                    }
                    Err(fault) => {
                        let mut state = HisState::new(now.wall);
                        state.on_fault(&fault);
                        state.show(None, now.wall);
                        faults.push((key, state.his()));
                        continue;
                    }
                };
                if let (Some(interval), Some(next)) = (found.interval, found.next_after(now.wall)) {
                    his.intervals.entry(interval).or_insert((next, BTreeSet::new())).1.insert(key);
                }
                let id = entry.spec.id.clone();
                let state = before.remove(&key).map(|point| point.state).unwrap_or_default();
                let rules = HisRules::of(&entry.spec);
                let collect = alike.take().filter(|other| **other == found);
                let collect = collect.unwrap_or_else(|| Arc::new(found));
                alike = Some(Arc::clone(&collect));
                his.points.insert(key, Collected { id, collect, rules, state });
            }
            for (key, shown) in faults {
                points.apply_his(key, shown);
            }
            let old = his.watch.take();
            let mut moved = Vec::new();
            if !his.points.is_empty()
                && let Ok(watch) = watches.open(now.at, None)
            {
                his.watch = Some(watch);
                moved = watches.add(watch, his.points.keys().copied()).unwrap_or_default();
            }
            let freed = old.map(|watch| watches.close(watch));
            moved.extend(freed.and_then(Result::ok).unwrap_or_default());
            moved
        };
        self.tell_watched(moved).await;
    }

    /// Takes the samples that are due.
    fn sample(&self, now: Timestamp) {
        let mut guard = self.lock();
        let State { points, his, steady, .. } = &mut *guard;
        for key in core::mem::take(&mut his.again) {
            if let Some(entry) = points.get(key) {
                his.on_change(key, now, &entry.cur());
            }
        }
        for (key, at) in his.due(now) {
            let (true, Some(entry)) = (*steady, points.get(key)) else { continue };
            let Some(point) = his.points.get_mut(&key) else { continue };
            if let Some(item) = point.state.on_interval(&point.collect, at, &entry.cur()) {
                his.dropped += his.pending.push(key, point, now, item);
            }
        }
    }

    /// Writes what is due, as one batch, and waits until it is on the disk.
    ///
    /// # Cancel safety
    ///
    /// What was taken is written all the same; the next call waits for it.
    pub(super) async fn write_due(&self, now: Timestamp) {
        let writing = Arc::clone(&self.lock().his.writing);
        let turn = writing.lock_owned().await;
        let (store, batch) = {
            let mut state = self.lock();
            let Some(store) = state.his.store.clone() else { return };
            let batch = state.his.pending.take(now);
            state.his.note_room();
            (store, batch)
        };
        if batch.is_empty() {
            return;
        }
        let items: u64 = batch.iter().map(|(_, waiting)| waiting.items.len() as u64).sum();
        let write = move || {
            let series = |(_, waiting): &(PointKey, Waiting)| SeriesWrite {
                point: waiting.id.as_str().into(),
                items: in_order(&waiting.items),
            };
            let writes: Vec<_> = batch.iter().map(series).collect();
            (store.write(&writes).map_err(|error| error.to_string()), batch, turn)
        };
        let written = tokio::task::spawn_blocking(write).await;
        // The turn ends once what failed is back in line.
        let Ok((result, batch, _turn)) = written else { return };
        let mut state = self.lock();
        match result {
            Ok(()) => {
                state.his.written += items;
                state.his.failing = false;
            }
            Err(error) => {
                state.his.failing = true;
                tracing::error!(%error, items, "Items were not written; they are kept for later.");
                let later = SignedDuration::try_from(RETRY).unwrap_or_default();
                let due = now.checked_add(later).unwrap_or(now);
                let dropped = state.his.pending.put_back(batch, due);
                state.his.dropped += dropped;
            }
        }
        state.his.note_room();
    }

    /// Forgets what is too old or too much.
    async fn trim(&self, now: Timestamp) {
        let (store, config) = {
            let state = self.lock();
            let Some(store) = state.his.store.clone() else { return };
            (store, state.his.config.clone())
        };
        let before = config.keep_days.map_or(Timestamp::MIN, |days| {
            let keep = SignedDuration::from_hours(i64::from(days) * 24);
            now.checked_sub(keep).unwrap_or(Timestamp::MIN)
        });
        let trim = move || store.trim(before, config.bytes_max);
        match tokio::task::spawn_blocking(trim).await {
            Ok(Ok(trimmed)) if trimmed.items > 0 => {
                tracing::info!(
                    items = trimmed.items,
                    bytes = trimmed.bytes,
                    "Items were forgotten."
                );
            }
            Ok(Err(error)) => tracing::error!(%error, "What is too old could not be forgotten."),
            _ => {}
        }
    }
}

/// Whether a point has a history though it collects nothing: its device keeps one, or it has
/// Haystack's marker `his`.
fn keeps_history(spec: &PointSpec) -> bool {
    spec.more.his.is_some() || spec.more.tags.get("his").is_some()
}

/// Items each at a time of its own, the last of equal ones, in the order of time.
fn in_order(items: &VecDeque<(Timestamp, Option<Value>)>) -> Vec<(Timestamp, Option<Value>)> {
    if items.iter().is_sorted_by(|a, b| a.0 < b.0) {
        return items.iter().cloned().collect();
    }
    let sorted: BTreeMap<_, _> = items.iter().cloned().collect();
    sorted.into_iter().collect()
}

/// Collects and writes, for ever.
pub(super) async fn keep_history(shared: Arc<Shared>) {
    let mut trimmed = None::<tokio::time::Instant>;
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = shared.clock.now().wall;
        shared.sample(now);
        shared.tell_released();
        shared.write_due(now).await;
        if trimmed.is_none_or(|at| at.elapsed() >= TRIM) && shared.lock().his.store.is_some() {
            trimmed = Some(tokio::time::Instant::now());
            shared.trim(now).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use pointstream_point::{Kind, Tag};

    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(secs).unwrap()
    }

    fn key(slot: u32) -> PointKey {
        PointKey { shard: 1, slot, generation: 1 }
    }

    fn point() -> Collected {
        let mut spec = PointSpec::new("p".parse().unwrap(), Kind::Number);
        spec.more.tags.set("hisCollectCov", Tag::Marker);
        let collect = Collect::of(&spec).unwrap().unwrap();
        let (id, rules) = (spec.id.clone(), HisRules::of(&spec));
        Collected { id, collect: Arc::new(collect), rules, state: CollectState::new() }
    }

    #[test]
    fn what_waits_is_bounded_and_what_is_dropped_is_counted() {
        let (mut pending, point) = (Pending::default(), point());
        let item = |secs| HisItem::new(at(secs), Value::number(1.0));
        let mut dropped = 0;
        for secs in 0..PENDING_MAX as i64 + 3 {
            dropped += pending.push(key(0), &point, at(0), item(secs));
        }
        assert_eq!((dropped, pending.items), (3, PENDING_MAX));
        let batch = pending.take(at(0));
        assert_eq!((batch[0].1.items[0].0, pending.items), (at(3), 0));
        pending.push(key(0), &point, at(0), item(1_000_000));
        assert_eq!(pending.put_back(batch, at(5)), 1, "one has come since");
        assert_eq!(pending.take(at(4)).len(), 0, "not before its time");
        let batch = pending.take(at(5));
        assert_eq!(batch[0].1.items.len(), PENDING_MAX);
        assert_eq!(batch[0].1.items.back().unwrap().0, at(1_000_000));
    }
}
