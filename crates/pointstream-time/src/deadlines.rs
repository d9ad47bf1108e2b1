use alloc::collections::{BTreeMap, BTreeSet};

use crate::Instant;

/// A queue of keys by due time, one deadline a key.
///
/// Setting a key's deadline again moves it. All operations cost O(log n); looking at the next one
/// costs the same. The owner bounds the number of keys, since keys are its own.
#[derive(Clone, Debug)]
pub struct Deadlines<K> {
    by_key: BTreeMap<K, Instant>,
    by_time: BTreeSet<(Instant, K)>,
}

impl<K: Copy + Ord> Deadlines<K> {
    /// An empty queue.
    pub const fn new() -> Self {
        Self { by_key: BTreeMap::new(), by_time: BTreeSet::new() }
    }

    /// Sets or moves the deadline of `key`.
    pub fn set(&mut self, key: K, at: Instant) {
        if let Some(old) = self.by_key.insert(key, at) {
            self.by_time.remove(&(old, key));
        }
        self.by_time.insert((at, key));
    }

    /// Removes the deadline of `key`, if it has one.
    pub fn clear(&mut self, key: K) -> Option<Instant> {
        let at = self.by_key.remove(&key)?;
        self.by_time.remove(&(at, key));
        Some(at)
    }

    /// Takes one key that is due at `now`, the earliest first; call until it gives `None`.
    pub fn pop_due(&mut self, now: Instant) -> Option<K> {
        let &(at, key) = self.by_time.first()?;
        if at > now {
            return None;
        }
        self.by_time.remove(&(at, key));
        self.by_key.remove(&key);
        Some(key)
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|&(at, _)| at)
    }

    /// The deadline of `key`.
    pub fn get(&self, key: K) -> Option<Instant> {
        self.by_key.get(&key).copied()
    }

    /// How many keys have a deadline.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether no key has a deadline.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}

impl<K: Copy + Ord> Default for Deadlines<K> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    fn at(secs: u64) -> Instant {
        Instant::from_origin(Duration::from_secs(secs))
    }

    #[test]
    fn keys_come_out_when_due_and_in_order() {
        let mut deadlines = Deadlines::new();
        deadlines.set('b', at(2));
        deadlines.set('a', at(1));
        deadlines.set('c', at(3));
        assert_eq!(deadlines.next(), Some(at(1)));
        assert_eq!(deadlines.pop_due(at(0)), None);
        assert_eq!(deadlines.pop_due(at(2)), Some('a'));
        assert_eq!(deadlines.pop_due(at(2)), Some('b'));
        assert_eq!(deadlines.pop_due(at(2)), None);
        assert_eq!(deadlines.len(), 1);
    }

    #[test]
    fn setting_again_moves_and_clearing_removes() {
        let mut deadlines = Deadlines::new();
        deadlines.set(1, at(5));
        deadlines.set(1, at(9));
        assert_eq!(deadlines.pop_due(at(8)), None);
        assert_eq!(deadlines.clear(1), Some(at(9)));
        assert_eq!(deadlines.clear(1), None);
        assert!(deadlines.is_empty());
    }
}
