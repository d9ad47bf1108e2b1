//! Fetching the histories that devices keep: Haxall's `connSyncHis`.

use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use pointstream_conn::Handle;
use pointstream_point::{Fault, HisRules, Id, PointKey, Span, Value};
use pointstream_store::{History, SeriesWrite};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

use super::his_options::WriteOptions;
use super::past::AHEAD;
use super::{Gateway, Shared};

/// How many connectors are asked at a time, by all synchronisations together.
const CONNECTORS_MAX: usize = 16;

/// How many readings one point may take. Where a device always has more, the rest is for next time.
const READINGS_MAX: usize = 64;

/// How far back a history is fetched of which nothing is there yet.
const FIRST: SignedDuration = SignedDuration::from_hours(5 * 24);

/// What the synchronisation of one point came to: how many items the device gave.
pub type HisSynced = (Id, Result<usize, Fault>);

/// How far a synchronisation has come, and the way to end it early; clones look at the same one.
#[derive(Clone, Debug, Default)]
pub struct HisProgress(Arc<Progress>);

#[derive(Default)]
struct Progress {
    total: AtomicUsize,
    done: AtomicUsize,
    items: AtomicU64,
    cancelled: AtomicBool,
    cancel: Notify,
    tell: Option<Tell>,
}

type Tell = Box<dyn Fn(&Id, &Result<usize, Fault>) + Send + Sync>;

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress").field("total", &self.total).field("done", &self.done).finish()
    }
}

impl HisProgress {
    /// Nothing so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// Nothing so far; `tell` is called with each point as it is done, by the task that fetched it,
    /// so that it must be quick.
    pub fn telling(tell: impl Fn(&Id, &Result<usize, Fault>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(Progress { tell: Some(Box::new(tell)), ..Progress::default() }))
    }

    /// How many points are done, and how many there are.
    pub fn counts(&self) -> (usize, usize) {
        (self.0.done.load(Ordering::Relaxed), self.0.total.load(Ordering::Relaxed))
    }

    /// How many items devices have given.
    pub fn items(&self) -> u64 {
        self.0.items.load(Ordering::Relaxed)
    }

    /// Ends the synchronisation: points that are not done are not fetched, what has been fetched stays.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::SeqCst);
        self.0.cancel.notify_waiters();
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::SeqCst)
    }

    /// Waits until it is cancelled.
    async fn cancelled(&self) {
        loop {
            let cancel = self.0.cancel.notified();
            let mut cancel = core::pin::pin!(cancel);
            // Registered before it is looked at, so that no call falls between.
            cancel.as_mut().enable();
            if self.is_cancelled() {
                return;
            }
            cancel.await;
        }
    }

    fn on_done(&self, id: &Id, result: &Result<usize, Fault>) {
        self.0.done.fetch_add(1, Ordering::Relaxed);
        if let Some(tell) = &self.0.tell {
            tell(id, result);
        }
    }
}

/// How many connectors may be asked besides.
pub(super) struct Slots(Arc<Semaphore>);

impl Default for Slots {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(CONNECTORS_MAX)))
    }
}

/// One point that is to be synchronised.
#[derive(Debug)]
struct Wanted {
    id: Id,
    key: PointKey,
    rules: HisRules,
    options: Result<WriteOptions, Fault>,
}

impl Gateway {
    /// Fetches into the store what devices keep of the histories of points: in a span, or else from
    /// the last item that is there (from five days ago if none is) until an hour from now. Ids of
    /// no point are left out.
    ///
    /// Connectors are asked side by side, sixteen at a time by all that synchronise; the points of one
    /// after the other. Each point's items are merged: what is there already at the same times is
    /// replaced. One bad item refuses all of its reading, and no error keeps other points from theirs. A
    /// point that is named twice is fetched once.
    ///
    /// After [`HisProgress::cancel`] this ends at once, with that as the fault of each point that is
    /// not done.
    ///
    /// # Cancel safety
    ///
    /// If this is dropped, what has been fetched so far stays, nothing more is fetched but what a
    /// device is being asked for, and points that waited are as they were before.
    pub async fn sync_his(
        &self,
        points: &[Id],
        span: Option<Span>,
        progress: &HisProgress,
    ) -> Vec<HisSynced> {
        Arc::clone(&self.shared).sync_his(points, span, progress).await
    }
}

impl Shared {
    pub(crate) async fn sync_his(
        self: Arc<Self>,
        points: &[Id],
        span: Option<Span>,
        progress: &HisProgress,
    ) -> Vec<HisSynced> {
        let (by_conn, mut synced) = self.sort_his(points);
        let waiting: usize = by_conn.values().map(Vec::len).sum();
        progress.0.total.store(synced.len() + waiting, Ordering::Relaxed);
        synced.iter().for_each(|(id, result)| progress.on_done(id, result));
        let slots = Arc::clone(&self.lock().his.slots.0);
        let mut tasks = JoinSet::new();
        for (conn, points) in by_conn {
            let keys = points.iter().map(|point| point.key).collect();
            let mut pending = Pending { shared: Arc::clone(&self), conn, keys };
            if let Some(handle) = self.handle(&pending.conn) {
                handle.his_pending(pending.keys.iter().copied().collect()).await;
            }
            let (slots, progress) = (Arc::clone(&slots), progress.clone());
            tasks.spawn(async move {
                let slot = unless_cancelled(&progress, slots.acquire_owned()).await;
                let now = pending.shared.clock.now().wall;
                let mut synced = Vec::new();
                for point in points {
                    let result = match &slot {
                        Some(_) => {
                            let sync = pending.sync_one(&point, span, now, &progress);
                            unless_cancelled(&progress, sync).await
                        }
                        None => None,
                    };
                    if let Some(result) = &result {
                        pending.on_done(result).await;
                        progress.on_done(&point.id, result);
                    }
                    // Those that are not done wait no more when the list of them is dropped.
                    let cancelled = || Err(Fault::permanent("the synchronisation was cancelled"));
                    synced.push((point.id, result.unwrap_or_else(cancelled)));
                }
                synced
            });
        }
        while let Some(done) = tasks.join_next().await {
            synced.extend(done.unwrap_or_default());
        }
        synced
    }

    /// The points by their connectors, and those of which is clear already that nothing comes.
    fn sort_his(&self, points: &[Id]) -> (BTreeMap<Id, Vec<Wanted>>, Vec<HisSynced>) {
        let (mut by_conn, mut synced) = (BTreeMap::<Id, Vec<Wanted>>::new(), Vec::new());
        let state = self.lock();
        for id in points.iter().collect::<BTreeSet<_>>() {
            let Some((key, entry)) = state.points.find(id.as_str()) else { continue };
            let refused = match entry.conn.as_deref().filter(|conn| state.conns.contains_key(*conn))
            {
                None => "the point has no connector",
                Some(_) if state.his.store.is_none() => "the gateway has no store",
                Some(conn) => {
                    let (rules, options) =
                        (HisRules::of(&entry.spec), WriteOptions::of(&entry.spec));
                    let wanted = Wanted { id: id.clone(), key, rules, options };
                    by_conn.entry(conn.clone()).or_default().push(wanted);
                    continue;
                }
            };
            synced.push((id.clone(), Err(Fault::permanent(refused))));
        }
        (by_conn, synced)
    }

    fn handle(&self, conn: &Id) -> Option<Handle> {
        Some(self.lock().conns.get(conn)?.handle.clone())
    }

    /// Tells connectors of points whose synchronisations were given up. One that takes no commands
    /// at present is told later.
    pub(super) fn tell_released(&self) {
        let released = core::mem::take(&mut self.lock().his.released);
        for (conn, points) in released {
            let Some(handle) = self.handle(&conn) else { continue };
            if let Err(points) = handle.his_released(points) {
                self.lock().his.released.entry(conn).or_default().extend(points);
            }
        }
    }
}

/// The points of a connector that wait for their synchronisation, the next one first. Those that
/// are left when this is dropped wait no more.
struct Pending {
    shared: Arc<Shared>,
    conn: Id,
    keys: VecDeque<PointKey>,
}

impl Pending {
    /// Fetches the history of one point, in as many readings as its device needs. The connector's
    /// handle is not held meanwhile, since that would keep the connector from ending.
    async fn sync_one(
        &self,
        point: &Wanted,
        span: Option<Span>,
        now: Timestamp,
        progress: &HisProgress,
    ) -> Result<usize, Fault> {
        let options = point.options.clone()?;
        let none = || Fault::permanent("the gateway has no store");
        let store = self.shared.lock().his.store.clone().ok_or_else(none)?;
        let mut span = match span {
            Some(span) => span,
            None => span_since(&store, point, now).await?,
        };
        let mut count = 0;
        for _ in 0..READINGS_MAX {
            let gone = || Fault::down("the connector has ended");
            let handle = self.shared.handle(&self.conn).ok_or_else(gone)?;
            let reading = handle.history(point.key, span);
            drop(handle);
            let samples = reading.await?;
            let (more, mut items) = (samples.is_cut(), samples.into_items());
            count += items.len();
            progress.0.items.fetch_add(items.len() as u64, Ordering::Relaxed);
            let last = items.iter().map(|item| item.ts).max();
            options.prepare(&mut items);
            let items = items.into_iter().map(|item| (item.ts, Some(item.val)));
            let accepted = point.rules.accept(items, Some(span)).map_err(Fault::permanent)?;
            let next = last.and_then(|last| last.checked_add(SignedDuration::from_millis(1)).ok());
            let next = next.filter(|next| more && *next > span.start && *next < span.end);
            let read = Span::new(span.start, next.unwrap_or(span.end));
            write(&store, point, accepted, options.clear.then_some(read)).await?;
            match next {
                Some(next) => span.start = next,
                None => break,
            }
        }
        Ok(count)
    }

    /// The next point is done.
    async fn on_done(&mut self, result: &Result<usize, Fault>) {
        let shown = result.as_ref().map(drop).map_err(Clone::clone);
        if let (Some(&key), Some(handle)) = (self.keys.front(), self.shared.handle(&self.conn)) {
            handle.his_done(key, shown).await;
        }
        self.keys.pop_front();
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.keys.is_empty() {
            let mut state = self.shared.lock();
            state.his.released.entry(self.conn.clone()).or_default().extend(self.keys.drain(..));
        }
    }
}

/// Does something unless the synchronisation is cancelled before it is done.
async fn unless_cancelled<T>(progress: &HisProgress, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        () = progress.cancelled() => None,
        result = work => Some(result),
    }
}

/// The span from the last item that there is. One that lies ahead, of a clock that was wrong, does
/// not count, or nothing would be fetched until its time has come.
async fn span_since(
    store: &Arc<dyn History>,
    point: &Wanted,
    now: Timestamp,
) -> Result<Span, Fault> {
    let end = now.checked_add(AHEAD).map_err(Fault::permanent)?;
    let (store, id) = (Arc::clone(store), point.id.clone());
    let last = blocking(move || {
        let mut last = store.last(id.as_str())?.map(|item| item.ts);
        if last.is_some_and(|last| last >= end) {
            last = None;
            store.read(id.as_str(), Span::new(end, end), &mut |item| {
                last = Some(item.ts).filter(|ts| *ts < end);
                false
            })?;
        }
        Ok(last)
    });
    let last = match last.await? {
        Some(last) => last,
        None => now.checked_sub(FIRST).map_err(Fault::permanent)?,
    };
    let start = last.checked_add(SignedDuration::from_millis(1)).map_err(Fault::permanent)?;
    Ok(Span::new(start, end))
}

/// Merges items; where a span is to be cleared, what is in it and not among them goes.
async fn write(
    store: &Arc<dyn History>,
    point: &Wanted,
    mut items: Vec<(Timestamp, Option<Value>)>,
    clear: Option<Span>,
) -> Result<(), Fault> {
    if items.is_empty() && clear.is_none() {
        return Ok(());
    }
    let (store, point): (_, Arc<str>) = (Arc::clone(store), point.id.as_str().into());
    blocking(move || {
        if let Some(span) = clear {
            let mut merged: BTreeMap<_, _> = items.into_iter().collect();
            store.read(&point, span, &mut |item| {
                if span.contains(item.ts) {
                    merged.entry(item.ts).or_insert(None);
                }
                true
            })?;
            items = merged.into_iter().collect();
        }
        store.write(&[SeriesWrite { point, items }])
    })
    .await
}

/// Does what blocks on a thread for that. A store that fails is a fault of the point's history.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, pointstream_store::StoreError> + Send + 'static,
) -> Result<T, Fault> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(Fault::permanent),
        Err(error) => Err(Fault::permanent(error)),
    }
}
