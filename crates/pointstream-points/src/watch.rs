use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use pointstream_point::PointKey;
use pointstream_time::{Deadlines, Instant};

/// Who watches which points.
///
/// A watch is a set of points that someone wants to be kept fresh; a point is watched while at
/// least one watch has it. What a call answers is the transitions: the points that became watched
/// by it, or that nobody watches after it, for their connectors to be told.
#[derive(Debug, Default)]
pub struct Watches {
    watches: BTreeMap<WatchId, Watch>,
    watchers: BTreeMap<PointKey, u32>,
    leases: Deadlines<WatchId>,
    last: u64,
}

#[derive(Debug, Default)]
struct Watch {
    points: BTreeSet<PointKey>,
    lease: Option<Duration>,
}

/// The name of a watch.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct WatchId(u64);

/// Why a watch could not be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// It was closed, or its lease ran out.
    #[error("no such watch: it was closed or its lease ran out")]
    Unknown,
    /// There are as many watches as there may be.
    #[error("there are {} watches already", Watches::LEN_MAX)]
    TooMany,
}

impl Watches {
    /// How many watches there may be.
    pub const LEN_MAX: usize = 10_000;

    /// The longest lease.
    pub const LEASE_MAX: Duration = Duration::from_secs(60 * 60);

    /// Opens an empty watch. With a lease it closes by itself unless it is renewed in time.
    pub fn open(&mut self, now: Instant, lease: Option<Duration>) -> Result<WatchId, WatchError> {
        if self.watches.len() >= Self::LEN_MAX {
            return Err(WatchError::TooMany);
        }
        self.last += 1;
        let id = WatchId(self.last);
        let lease = lease.map(|lease| lease.min(Self::LEASE_MAX));
        self.watches.insert(id, Watch { points: BTreeSet::new(), lease });
        if let Some(lease) = lease {
            self.leases.set(id, now + lease);
        }
        Ok(id)
    }

    /// Renews the lease of a watch.
    pub fn renew(&mut self, now: Instant, id: WatchId) -> Result<(), WatchError> {
        let watch = self.watches.get(&id).ok_or(WatchError::Unknown)?;
        if let Some(lease) = watch.lease {
            self.leases.set(id, now + lease);
        }
        Ok(())
    }

    /// Adds points to a watch. Gives those that nobody watched before.
    pub fn add(
        &mut self,
        id: WatchId,
        points: impl IntoIterator<Item = PointKey>,
    ) -> Result<Vec<PointKey>, WatchError> {
        let watch = self.watches.get_mut(&id).ok_or(WatchError::Unknown)?;
        let mut fresh = Vec::new();
        for key in points {
            if watch.points.insert(key) {
                let watchers = self.watchers.entry(key).or_default();
                *watchers += 1;
                if *watchers == 1 {
                    fresh.push(key);
                }
            }
        }
        Ok(fresh)
    }

    /// Takes points out of a watch. Gives those that nobody watches any more.
    pub fn take(
        &mut self,
        id: WatchId,
        points: impl IntoIterator<Item = PointKey>,
    ) -> Result<Vec<PointKey>, WatchError> {
        let watch = self.watches.get_mut(&id).ok_or(WatchError::Unknown)?;
        let taken: Vec<_> = points.into_iter().filter(|key| watch.points.remove(key)).collect();
        Ok(self.release(taken))
    }

    /// Closes a watch. Gives the points that nobody watches any more.
    pub fn close(&mut self, id: WatchId) -> Result<Vec<PointKey>, WatchError> {
        let watch = self.watches.remove(&id).ok_or(WatchError::Unknown)?;
        self.leases.clear(id);
        Ok(self.release(watch.points))
    }

    /// Closes the watches whose leases have run out. Gives the points that nobody watches any more.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<PointKey> {
        let mut freed = Vec::new();
        while let Some(id) = self.leases.pop_due(now) {
            freed.extend(self.close(id).unwrap_or_default());
        }
        freed
    }

    /// When the next lease runs out.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.leases.next()
    }

    /// Forgets a point that is no more, in every watch.
    pub fn forget(&mut self, key: PointKey) {
        if self.watchers.remove(&key).is_some() {
            for watch in self.watches.values_mut() {
                watch.points.remove(&key);
            }
        }
    }

    /// Whether this watch is open.
    pub fn is_open(&self, id: WatchId) -> bool {
        self.watches.contains_key(&id)
    }

    /// Whether somebody watches this point.
    pub fn is_watched(&self, key: PointKey) -> bool {
        self.watchers.contains_key(&key)
    }

    fn release(&mut self, points: impl IntoIterator<Item = PointKey>) -> Vec<PointKey> {
        let mut freed = Vec::new();
        for key in points {
            let Some(watchers) = self.watchers.get_mut(&key) else { continue };
            *watchers -= 1;
            if *watchers == 0 {
                self.watchers.remove(&key);
                freed.push(key);
            }
        }
        freed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(slot: u32) -> PointKey {
        PointKey { shard: 0, slot, generation: 1 }
    }

    fn at(secs: u64) -> Instant {
        Instant::from_origin(Duration::from_secs(secs))
    }

    #[test]
    fn only_the_first_watcher_and_the_last_are_told() {
        let mut watches = Watches::default();
        let a = watches.open(at(0), None).unwrap();
        let b = watches.open(at(0), None).unwrap();
        assert_eq!(watches.add(a, [key(1), key(2)]).unwrap(), [key(1), key(2)]);
        assert_eq!(watches.add(b, [key(2), key(3)]).unwrap(), [key(3)]);
        assert_eq!(watches.add(b, [key(3)]).unwrap(), []);
        assert_eq!(watches.close(a).unwrap(), [key(1)]);
        assert_eq!(watches.take(b, [key(2), key(9)]).unwrap(), [key(2)]);
        assert!(watches.is_watched(key(3)));
        assert_eq!(watches.close(a), Err(WatchError::Unknown));
    }

    #[test]
    fn a_lease_runs_out_exactly_then_unless_renewed() {
        let mut watches = Watches::default();
        let watch = watches.open(at(0), Some(Duration::from_secs(60))).unwrap();
        watches.add(watch, [key(1)]).unwrap();
        assert_eq!(watches.poll_timeout(), Some(at(60)));
        assert_eq!(watches.handle_timeout(at(59)), []);
        watches.renew(at(59), watch).unwrap();
        assert_eq!(watches.handle_timeout(at(60)), []);
        assert_eq!(watches.handle_timeout(at(119)), [key(1)]);
        assert_eq!(watches.renew(at(119), watch), Err(WatchError::Unknown));
    }

    #[test]
    fn a_forgotten_point_is_in_no_watch() {
        let mut watches = Watches::default();
        let watch = watches.open(at(0), None).unwrap();
        watches.add(watch, [key(1)]).unwrap();
        watches.forget(key(1));
        assert!(!watches.is_watched(key(1)));
        assert_eq!(watches.close(watch).unwrap(), []);
    }

    #[test]
    fn the_number_of_watches_is_bounded() {
        let mut watches = Watches::default();
        for _ in 0..Watches::LEN_MAX {
            watches.open(at(0), None).unwrap();
        }
        assert_eq!(watches.open(at(0), None), Err(WatchError::TooMany));
    }
}
