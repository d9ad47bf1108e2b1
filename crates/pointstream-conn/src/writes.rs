use std::collections::{BTreeMap, VecDeque};

use pointstream_point::{Fault, PointKey};

use crate::driver::Write;

/// Writes that wait for the device: one a point, in the order in which their points came.
///
/// Bounded by the number of points, since a newer write takes the place of an older one.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    order: VecDeque<PointKey>,
    pending: BTreeMap<PointKey, (Write, u64)>,
    failures: BTreeMap<PointKey, Fault>,
}

/// How many writes go to the driver in one operation.
const BATCH_MAX: usize = 32;

impl Writes {
    /// Adds a write. Gives the mark of the one it takes the place of.
    pub(crate) fn push(&mut self, write: Write, token: u64) -> Option<u64> {
        let key = write.key;
        let old = self.pending.insert(key, (write, token));
        if old.is_none() {
            self.order.push_back(key);
        }
        old.map(|(_, token)| token)
    }

    /// Takes the next writes, with their marks.
    pub(crate) fn take_batch(&mut self) -> Option<(Vec<Write>, Vec<u64>)> {
        if self.order.is_empty() {
            return None;
        }
        let keys = self.order.drain(..self.order.len().min(BATCH_MAX));
        Some(keys.filter_map(|key| self.pending.remove(&key)).unzip())
    }

    /// Removes a point's write and gives its mark.
    pub(crate) fn remove(&mut self, key: PointKey) -> Option<u64> {
        let (_, token) = self.pending.remove(&key)?;
        self.order.retain(|&other| other != key);
        Some(token)
    }

    /// Removes all writes and gives their marks.
    pub(crate) fn drain(&mut self) -> Vec<u64> {
        self.order.clear();
        core::mem::take(&mut self.pending).into_values().map(|(_, token)| token).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The driver refused the write of a point in the running operation.
    pub(crate) fn on_failure(&mut self, key: PointKey, fault: Fault) {
        self.failures.insert(key, fault);
    }

    pub(crate) fn take_failure(&mut self, key: PointKey) -> Option<Fault> {
        self.failures.remove(&key)
    }

    pub(crate) fn forget_failures(&mut self) {
        self.failures.clear();
    }
}

#[cfg(test)]
mod tests {
    use pointstream_point::Value;

    use super::*;

    fn key(slot: u32) -> PointKey {
        PointKey { shard: 0, slot, generation: 0 }
    }

    #[test]
    fn the_newest_write_of_a_point_keeps_the_oldest_place() {
        let mut writes = Writes::default();
        assert_eq!(writes.push(Write::new(key(1), Value::number(1.0)), 10), None);
        assert_eq!(writes.push(Write::new(key(2), Value::number(2.0)), 11), None);
        assert_eq!(writes.push(Write::new(key(1), Value::number(3.0)), 12), Some(10));
        let (batch, tokens) = writes.take_batch().unwrap();
        assert_eq!(batch[0], Write::new(key(1), Value::number(3.0)));
        assert_eq!(tokens, [12, 11]);
        assert!(writes.is_empty());
    }

    #[test]
    fn a_batch_is_bounded() {
        let mut writes = Writes::default();
        for slot in 0..=BATCH_MAX as u32 {
            writes.push(Write::new(key(slot), Value::Null), u64::from(slot));
        }
        assert_eq!(writes.take_batch().unwrap().1.len(), BATCH_MAX);
        assert_eq!(writes.take_batch().unwrap().1.len(), 1);
        assert!(writes.take_batch().is_none());
    }
}
