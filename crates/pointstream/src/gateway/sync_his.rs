//! Fetching the histories that devices keep: Haxall's `connSyncHis`.

use core::sync::atomic::{AtomicUsize, Ordering};
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use pointstream_conn::Handle;
use pointstream_point::{Fault, HisRules, Id, PointKey, Span};
use pointstream_store::{History, SeriesWrite};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Gateway, Shared};

/// How many connectors are asked at a time.
const CONNECTORS_MAX: usize = 16;

/// How many readings one point may take. Where a device always has more, the rest is for next time.
const READINGS_MAX: usize = 64;

/// How far back a history is fetched of which nothing is there yet.
const FIRST: SignedDuration = SignedDuration::from_hours(5 * 24);

/// How far ahead, for devices whose clocks are.
const AHEAD: SignedDuration = SignedDuration::from_hours(1);

/// What the synchronisation of one point came to: how many items the device gave.
pub type HisSynced = (Id, Result<usize, Fault>);

/// How far a synchronisation has come; clones look at the same one.
#[derive(Clone, Debug, Default)]
pub struct HisProgress(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    total: AtomicUsize,
    done: AtomicUsize,
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
}

/// One point that is to be synchronised.
#[derive(Debug)]
struct Wanted {
    id: Id,
    key: PointKey,
    rules: HisRules,
}

impl Gateway {
    /// Fetches into the store what devices keep of the histories of points: in a span, or else from
    /// the last item that is there (from five days ago if none is) until an hour from now. Ids of
    /// no point are left out.
    ///
    /// Connectors are asked side by side, sixteen at a time; the points of one after the other. Each point's
    /// items are merged: what is there already at the same times is replaced. One bad item refuses
    /// all of its reading, and no error keeps other points from theirs.
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
            for id in points {
                let Some((key, entry)) = state.points.find(id.as_str()) else { continue };
                let wanted = Wanted { id: id.clone(), key, rules: HisRules::of(&entry.spec) };
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
            handle.his_pending(points.iter().map(|point| point.key).collect()).await;
            let (store, slots) = (Arc::clone(&store), Arc::clone(&slots));
            let progress = progress.clone();
            tasks.spawn(async move {
                let _slot = slots.acquire_owned().await;
                let mut synced = Vec::new();
                for point in points {
                    let result = sync_one(&handle, &store, &point, span, now).await;
                    let shown = result.as_ref().map(drop).map_err(Clone::clone);
                    handle.his_done(point.key, shown).await;
                    progress.0.done.fetch_add(1, Ordering::Relaxed);
                    synced.push((point.id, result));
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

/// Fetches the history of one point, in as many readings as its device needs.
async fn sync_one(
    handle: &Handle,
    store: &Arc<dyn History>,
    point: &Wanted,
    span: Option<Span>,
    now: Timestamp,
) -> Result<usize, Fault> {
    let mut span = match span {
        Some(span) => span,
        None => span_since(store, point, now).await?,
    };
    let mut count = 0;
    for _ in 0..READINGS_MAX {
        let samples = handle.history(point.key, span).await?;
        let (more, items) = (samples.is_cut(), samples.into_items());
        count += items.len();
        let last = items.iter().map(|item| item.ts).max();
        let items = items.into_iter().map(|item| (item.ts, Some(item.val)));
        let accepted = point.rules.accept(items, Some(span)).map_err(Fault::permanent)?;
        write(store, point, accepted).await?;
        match last.and_then(|last| last.checked_add(SignedDuration::from_millis(1)).ok()) {
            Some(next) if more && next > span.start && next < span.end => span.start = next,
            _ => break,
        }
    }
    Ok(count)
}

/// The span from the last item that there is.
async fn span_since(
    store: &Arc<dyn History>,
    point: &Wanted,
    now: Timestamp,
) -> Result<Span, Fault> {
    let (store, id) = (Arc::clone(store), point.id.clone());
    let last = blocking(move || store.last(id.as_str())).await?;
    let start = match last {
        Some(item) => item.ts.checked_add(SignedDuration::from_millis(1)),
        None => now.checked_sub(FIRST),
    };
    let start = start.map_err(Fault::permanent)?;
    Ok(Span::new(start, now.checked_add(AHEAD).map_err(Fault::permanent)?))
}

async fn write(
    store: &Arc<dyn History>,
    point: &Wanted,
    items: Vec<(Timestamp, Option<pointstream_point::Value>)>,
) -> Result<(), Fault> {
    if items.is_empty() {
        return Ok(());
    }
    let (store, point) = (Arc::clone(store), point.id.as_str().into());
    blocking(move || store.write(&[SeriesWrite { point, items }])).await
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
