use std::collections::{BTreeMap, BTreeSet, VecDeque};

use pointstream_point::{Fault, PointKey};

/// The points whose writes wait for the device, in the order in which they came, and who is to be
/// told what became of them.
///
/// Bounded by the number of points: a newer write takes the place of an older one.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    order: VecDeque<PointKey>,
    queued: BTreeSet<PointKey>,
    tokens: BTreeMap<PointKey, u64>,
    /// What the driver has in hand, with who is to be told.
    running: Vec<(PointKey, Option<u64>)>,
    failures: BTreeMap<PointKey, Fault>,
}

/// How many writes go to the driver in one operation.
pub(crate) const BATCH_MAX: usize = 32;

impl Writes {
    /// Puts a point in line, at the place that it has if it is in it.
    pub(crate) fn push(&mut self, key: PointKey) {
        if self.queued.insert(key) {
            self.order.push_back(key);
        }
    }

    /// Who is to be told about a point's newest value. Gives who was before.
    pub(crate) fn set_token(&mut self, key: PointKey, token: u64) -> Option<u64> {
        self.tokens.insert(key, token)
    }

    pub(crate) fn take_token(&mut self, key: PointKey) -> Option<u64> {
        self.tokens.remove(&key)
    }

    /// Takes the point that is first in line.
    pub(crate) fn pop(&mut self) -> Option<PointKey> {
        let key = self.order.pop_front()?;
        self.queued.remove(&key);
        Some(key)
    }

    /// The driver takes a point's value in hand.
    pub(crate) fn start(&mut self, key: PointKey) {
        let token = self.tokens.remove(&key);
        self.running.push((key, token));
    }

    /// The driver has done what it had in hand. Gives each with its failure.
    pub(crate) fn finish(&mut self) -> Vec<(PointKey, Option<u64>, Option<Fault>)> {
        let running = core::mem::take(&mut self.running);
        let failures = &mut self.failures;
        let ended = running.into_iter().map(|(key, token)| (key, token, failures.remove(&key)));
        let ended = ended.collect();
        self.failures.clear();
        ended
    }

    /// Takes a point out of the line and gives who is to be told.
    pub(crate) fn remove(&mut self, key: PointKey) -> Option<u64> {
        if self.queued.remove(&key) {
            self.order.retain(|&other| other != key);
        }
        self.tokens.remove(&key)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The driver refused the write of a point in the running operation.
    pub(crate) fn on_failure(&mut self, key: PointKey, fault: Fault) {
        if self.running.iter().any(|(running, _)| *running == key) {
            self.failures.insert(key, fault);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(slot: u32) -> PointKey {
        PointKey { shard: 0, slot, generation: 0 }
    }

    #[test]
    fn the_newest_write_of_a_point_keeps_the_oldest_place() {
        let mut writes = Writes::default();
        for (slot, token, old) in [(1, 10, None), (2, 11, None), (1, 12, Some(10))] {
            writes.push(key(slot));
            assert_eq!(writes.set_token(key(slot), token), old);
        }
        for want in [key(1), key(2)] {
            let got = writes.pop().unwrap();
            assert_eq!(got, want);
            writes.start(got);
        }
        assert!(writes.is_empty());
        writes.on_failure(key(2), Fault::permanent("no"));
        writes.on_failure(key(3), Fault::permanent("not in hand"));
        let ended = writes.finish();
        assert_eq!(ended[0], (key(1), Some(12), None));
        assert_eq!(ended[1], (key(2), Some(11), Some(Fault::permanent("no"))));
        assert!(writes.finish().is_empty() && writes.failures.is_empty());
    }

    #[test]
    fn a_point_that_is_gone_is_not_written() {
        let mut writes = Writes::default();
        writes.push(key(1));
        writes.set_token(key(1), 7);
        assert_eq!(writes.remove(key(1)), Some(7));
        assert_eq!((writes.pop(), writes.remove(key(1))), (None, None));
    }
}
