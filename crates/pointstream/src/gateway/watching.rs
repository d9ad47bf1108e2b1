use core::time::Duration;
use std::collections::BTreeMap;

use pointstream_point::{Fault, Id, PointKey};
use pointstream_points::{WatchError, WatchId};
use pointstream_time::Instant;
use tokio::task::JoinSet;

use super::Gateway;
use super::shared::{Shared, State};

impl Shared {
    /// Ends the watches whose leases have run out.
    pub(super) async fn end_leases(&self, now: Instant) {
        let freed = {
            let mut guard = self.lock();
            let State { watches, watched_ids, .. } = &mut *guard;
            let freed = watches.handle_timeout(now);
            watched_ids.retain(|&watch, _| watches.is_open(watch));
            freed
        };
        self.tell_watched(freed).await;
    }

    /// Puts the points that there are into the watches that name them.
    pub(super) async fn rewatch(&self) {
        let fresh = {
            let mut guard = self.lock();
            let State { watches, watched_ids, points, .. } = &mut *guard;
            let mut fresh = Vec::new();
            for (&watch, ids) in &*watched_ids {
                let keys = ids.iter().filter_map(|id| points.find(id.as_str()));
                // A watch is in the list as long as it is open.
                fresh.extend(watches.add(watch, keys.map(|(key, _)| key)).unwrap_or_default());
            }
            fresh
        };
        self.tell_watched(fresh).await;
    }
}

/// Watches and readings out of turn, for applications.
impl Gateway {
    /// Has points polled, or subscribed to, from now on; with a lease only as long as it is renewed
    /// in time, an hour at most. The watch goes by ids: a point that a later configuration changes
    /// stays in it, and one that there is not so far is in it once there is.
    ///
    /// # Errors
    ///
    /// There are as many watches as there may be.
    ///
    /// # Cancel safety
    ///
    /// If this is dropped, a watch with a lease ends by itself; one without stays.
    pub async fn watch(
        &self,
        points: &[Id],
        lease: Option<Duration>,
    ) -> Result<WatchId, WatchError> {
        let (watch, fresh) = {
            let now = self.clock.now().at;
            let mut guard = self.shared.lock();
            let state = &mut *guard;
            let watch = state.watches.open(now, lease)?;
            let keys = points.iter().filter_map(|id| state.points.find(id.as_str()));
            let fresh = state.watches.add(watch, keys.map(|(key, _)| key))?;
            state.watched_ids.insert(watch, points.to_vec());
            (watch, fresh)
        };
        self.shared.changed_times.notify_one();
        self.shared.tell_watched(fresh).await;
        Ok(watch)
    }

    /// Renews the lease of a watch.
    ///
    /// # Errors
    ///
    /// The watch was closed, or its lease ran out.
    pub fn renew(&self, watch: WatchId) -> Result<(), WatchError> {
        let now = self.clock.now().at;
        self.shared.lock().watches.renew(now, watch)
    }

    /// Ends a watch.
    ///
    /// # Errors
    ///
    /// The watch was closed, or its lease ran out.
    pub async fn unwatch(&self, watch: WatchId) -> Result<(), WatchError> {
        let freed = {
            let mut state = self.shared.lock();
            state.watched_ids.remove(&watch);
            state.watches.close(watch)?
        };
        self.shared.tell_watched(freed).await;
        Ok(())
    }

    /// Reads points once, out of turn, whether they are watched or not, and waits until each has a
    /// reading, good or not: Haxall's `connSyncCur`. Connectors read side by side. Gives what kept
    /// any of them from it. Ids of no point are left out.
    ///
    /// # Cancel safety
    ///
    /// If this is dropped the points may be read all the same.
    pub async fn sync_cur(&self, points: &[Id]) -> Vec<(Id, Fault)> {
        let by_conn: Vec<_> = {
            let state = self.shared.lock();
            let mut by_conn: BTreeMap<&Id, Vec<PointKey>> = BTreeMap::new();
            for id in points {
                let Some((key, entry)) = state.points.find(id.as_str()) else { continue };
                if let Some(conn) = entry.conn.as_deref() {
                    by_conn.entry(conn).or_default().push(key);
                }
            }
            let reading = |(id, keys): (&Id, Vec<PointKey>)| {
                let conn = state.conns.get(id)?;
                Some((id.clone(), conn.handle.sync_cur(keys)))
            };
            by_conn.into_iter().filter_map(reading).collect()
        };
        let mut tasks = JoinSet::new();
        for (id, reading) in by_conn {
            tasks.spawn(async move { (id, reading.await) });
        }
        let done = tasks.join_all().await;
        done.into_iter().filter_map(|(id, result)| Some((id, result.err()?))).collect()
    }
}
