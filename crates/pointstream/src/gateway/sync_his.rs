//! Fetching the histories that devices keep: Haxall's `connSyncHis`.

use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use pointstream_conn::{Handle, Room};
use pointstream_point::{Fault, HisRules, Id, PointKey, PointSpec, Span, Tag, Value};
use pointstream_store::{History, SeriesWrite};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

use super::past::AHEAD;
use super::{Gateway, Shared};

/// How many connectors are asked at a time.
const CONNECTORS_MAX: usize = 16;

/// How many readings one point may take. Where a device always has more, the rest is for next time.
const READINGS_MAX: usize = 64;

/// How far back a history is fetched of which nothing is there yet.
const FIRST: SignedDuration = SignedDuration::from_hours(5 * 24);

/// What the synchronisation of one point came to: how many items the device gave.
pub type HisSynced = (Id, Result<usize, Fault>);

/// How far a synchronisation has come, and the way to end it early; clones look at the same one.
#[derive(Clone, Debug, Default)]
pub struct HisProgress(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    total: AtomicUsize,
    done: AtomicUsize,
    items: AtomicU64,
    cancelled: AtomicBool,
    cancel: Notify,
}

impl HisProgress {
    /// Nothing so far.
    pub fn new() -> Self {
        Self::default()
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
}

/// One point that is to be synchronised.
#[derive(Debug)]
struct Wanted {
    id: Id,
    key: PointKey,
    rules: HisRules,
    options: Result<WriteOptions, Fault>,
}

/// Points that show that they wait. Those that are left when this is dropped no longer do.
struct Pending {
    room: Option<Room>,
    keys: BTreeSet<PointKey>,
}

impl Drop for Pending {
    fn drop(&mut self) {
        let keys: Vec<_> = core::mem::take(&mut self.keys).into_iter().collect();
        if let Some(room) = self.room.take()
            && !keys.is_empty()
        {
            room.his_cancelled(keys);
        }
    }
}

impl Gateway {
    /// Fetches into the store what devices keep of the histories of points: in a span, or else from
    /// the last item that is there (from five days ago if none is) until an hour from now. Ids of
    /// no point are left out.
    ///
    /// Connectors are asked side by side, sixteen at a time; the points of one after the other. Each point's
    /// items are merged: what is there already at the same times is replaced. One bad item refuses
    /// all of its reading, and no error keeps other points from theirs. A point that is named twice is
    /// fetched once.
    ///
    /// After [`HisProgress::cancel`] this ends at once, with that as the fault of each point that is
    /// not done.
    ///
    /// # Cancel safety
    ///
    /// If this is dropped, what has been fetched so far stays, and nothing more is fetched but what a
    /// device is being asked for.
    pub async fn sync_his(
        &self,
        points: &[Id],
        span: Option<Span>,
        progress: &HisProgress,
    ) -> Vec<HisSynced> {
        self.shared.sync_his(points, span, progress).await
    }
}

impl Shared {
    pub(crate) async fn sync_his(
        &self,
        points: &[Id],
        span: Option<Span>,
        progress: &HisProgress,
    ) -> Vec<HisSynced> {
        let now = self.clock.now().wall;
        let mut synced = Vec::new();
        let (store, by_conn) = {
            let state = self.lock();
            let mut by_conn: BTreeMap<&Id, Vec<Wanted>> = BTreeMap::new();
            for id in points.iter().collect::<BTreeSet<_>>() {
                let Some((key, entry)) = state.points.find(id.as_str()) else { continue };
                let (rules, options) = (HisRules::of(&entry.spec), WriteOptions::of(&entry.spec));
                let wanted = Wanted { id: id.clone(), key, rules, options };
                match entry.conn.as_deref() {
                    Some(conn) => by_conn.entry(conn).or_default().push(wanted),
                    None => {
                        let none = Fault::permanent("the point has no connector");
                        synced.push((id.clone(), Err(none)));
                    }
                }
            }
            let with_handle = |(id, points)| Some((state.conns.get(id)?.handle.clone(), points));
            let by_conn: Vec<_> = by_conn.into_iter().filter_map(with_handle).collect();
            (state.his.store.clone(), by_conn)
        };
        let Some(store) = store else {
            let none = || Err(Fault::permanent("the gateway has no store"));
            let points = by_conn.into_iter().flat_map(|(_, points)| points);
            synced.extend(points.map(|point| (point.id, none())));
            return synced;
        };
        let total = by_conn.iter().map(|(_, points)| points.len()).sum();
        progress.0.total.store(total, Ordering::Relaxed);
        let slots = Arc::new(Semaphore::new(CONNECTORS_MAX));
        let mut tasks = JoinSet::new();
        for (handle, points) in by_conn {
            let keys: BTreeSet<_> = points.iter().map(|point| point.key).collect();
            // Taken first, so that the way back is there however this ends.
            let mut pending = Pending { room: Some(handle.room().await), keys };
            handle.his_pending(pending.keys.iter().copied().collect()).await;
            let (store, slots) = (Arc::clone(&store), Arc::clone(&slots));
            let progress = progress.clone();
            tasks.spawn(async move {
                let slot = unless_cancelled(&progress, slots.acquire_owned()).await;
                let mut synced = Vec::new();
                for point in points {
                    let result = {
                        let sync = sync_one(&handle, &store, &point, span, now, &progress);
                        match &slot {
                            Some(_) => unless_cancelled(&progress, sync).await,
                            None => None,
                        }
                    };
                    if let Some(result) = &result {
                        pending.keys.remove(&point.key);
                        let shown = result.as_ref().map(drop).map_err(Clone::clone);
                        handle.his_done(point.key, shown).await;
                        progress.0.done.fetch_add(1, Ordering::Relaxed);
                    }
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
}

/// Does something unless the synchronisation is cancelled before it is done.
async fn unless_cancelled<T>(progress: &HisProgress, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        () = progress.cancelled() => None,
        result = work => Some(result),
    }
}

/// Fetches the history of one point, in as many readings as its device needs.
async fn sync_one(
    handle: &Handle,
    store: &Arc<dyn History>,
    point: &Wanted,
    span: Option<Span>,
    now: Timestamp,
    progress: &HisProgress,
) -> Result<usize, Fault> {
    let options = point.options.clone()?;
    let mut span = match span {
        Some(span) => span,
        None => span_since(store, point, now).await?,
    };
    let mut count = 0;
    for _ in 0..READINGS_MAX {
        let samples = handle.history(point.key, span).await?;
        let (more, mut items) = (samples.is_cut(), samples.into_items());
        count += items.len();
        progress.0.items.fetch_add(items.len() as u64, Ordering::Relaxed);
        let last = items.iter().map(|item| item.ts).max();
        if options.unit_set {
            items.iter_mut().for_each(|item| strip_unit(&mut item.val));
        }
        let items = items.into_iter().map(|item| (item.ts, Some(item.val)));
        let accepted = point.rules.accept(items, Some(span)).map_err(Fault::permanent)?;
        let next = last.and_then(|last| last.checked_add(SignedDuration::from_millis(1)).ok());
        let next = next.filter(|next| more && *next > span.start && *next < span.end);
        let read = Span::new(span.start, next.unwrap_or(span.end));
        write(store, point, accepted, options.clear.then_some(read)).await?;
        match next {
            Some(next) => span.start = next,
            None => break,
        }
    }
    Ok(count)
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

fn strip_unit(val: &mut Value) {
    if let Value::Number(_, unit) = val {
        *unit = None;
    }
}

/// How the items of a synchronisation are written: the tag `connHisWriteOpts`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct WriteOptions {
    /// What is in the span and not given any more goes.
    clear: bool,
    /// Numbers are in the unit of the point, whatever the device says.
    unit_set: bool,
}

impl WriteOptions {
    fn of(spec: &PointSpec) -> Result<Self, Fault> {
        let mut options = Self::default();
        let Some(tag) = spec.more.tags.get("connHisWriteOpts") else { return Ok(options) };
        let bad = |what: &dyn core::fmt::Display| {
            let text = format_args!("Invalid 'connHisWriteOpts' [{what}]: expected clear, unitSet");
            Err(Fault::permanent(text))
        };
        let Tag::Value(Value::Str(text)) = tag else { return bad(&"not a text") };
        for name in text.split(',').map(str::trim) {
            match name {
                "clear" => options.clear = true,
                "unitSet" => options.unit_set = true,
                other => return bad(&other),
            }
        }
        Ok(options)
    }
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
