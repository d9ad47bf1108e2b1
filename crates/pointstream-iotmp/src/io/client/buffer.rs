use std::collections::{BTreeMap, VecDeque};
use std::string::{String, ToString};

use crate::Payload;
use crate::encode::{Encode, Encoder};

/// Values that a device could not send, with the times when they were taken.
///
/// Bounded by a number of values and by their bytes, over all resources; what comes beyond displaces
/// the oldest ones, which are counted.
#[derive(Debug)]
pub(super) struct Buffer {
    values_max: usize,
    bytes_max: usize,
    bytes: usize,
    /// By their sequence number, which is their order.
    values: BTreeMap<u64, (String, Stamped)>,
    of_resource: BTreeMap<String, VecDeque<u64>>,
    /// What was sent and is not known to have come, in the order of sending; the first `fenced` of
    /// them were sent before the probe that is under way.
    unconfirmed: VecDeque<(String, Stamped)>,
    fenced: usize,
    dropped: u64,
}

/// A value with its time.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stamped {
    pub(super) value: Payload,
    /// In milliseconds since 1970.
    pub(super) time_ms: u64,
    /// Counts all values of a device since it was started, so that gaps and repetitions are seen.
    pub(super) seq: u64,
}

impl Encode for Stamped {
    /// What is said about the value, beside it.
    fn encode(&self, to: &mut Encoder<'_>) {
        to.map(|to| {
            to.entry("seq", &self.seq);
            to.entry("time", &self.time_ms);
        });
    }
}

impl Buffer {
    pub(super) const fn new(values_max: usize, bytes_max: usize) -> Self {
        Self {
            values_max,
            bytes_max,
            bytes: 0,
            values: BTreeMap::new(),
            of_resource: BTreeMap::new(),
            unconfirmed: VecDeque::new(),
            fenced: 0,
            dropped: 0,
        }
    }

    pub(super) fn push(&mut self, resource: &str, stamped: Stamped) {
        let seq = stamped.seq;
        self.bytes += cost(resource, &stamped);
        self.of_resource.entry(resource.to_string()).or_default().push_back(seq);
        self.values.insert(seq, (resource.to_string(), stamped));
        self.bound();
    }

    /// Keeps to the limits: what was sent goes first, since it most likely came.
    fn bound(&mut self) {
        while self.len() > self.values_max || self.bytes > self.bytes_max {
            if self.forget_sent() {
                continue;
            }
            let Some((seq, (resource, stamped))) = self.values.pop_first() else { break };
            self.bytes -= cost(&resource, &stamped);
            self.dropped += 1;
            if let Some(order) = self.of_resource.get_mut(&resource) {
                order.retain(|other| *other != seq);
                if order.is_empty() {
                    self.of_resource.remove(&resource);
                }
            }
        }
    }

    /// The oldest value of a resource; it stays until it is removed.
    pub(super) fn first(&self, resource: &str) -> Option<&Stamped> {
        let seq = self.of_resource.get(resource)?.front()?;
        self.values.get(seq).map(|(_, stamped)| stamped)
    }

    /// Notes that the oldest value of a resource was sent. It is kept until it is known to have come.
    pub(super) fn remove_first(&mut self, resource: &str) {
        if let Some(stamped) = self.take_first(resource) {
            self.note_sent(resource, stamped);
        }
    }

    /// Keeps a value that was sent until it is known to have come.
    pub(super) fn note_sent(&mut self, resource: &str, stamped: Stamped) {
        self.bytes += cost(resource, &stamped);
        self.unconfirmed.push_back((resource.to_string(), stamped));
        self.bound();
    }

    /// Whether something was sent that no probe asks after.
    pub(super) fn is_unconfirmed(&self) -> bool {
        self.unconfirmed.len() > self.fenced
    }

    /// A probe was sent behind all that was sent so far.
    pub(super) fn fence(&mut self) {
        self.fenced = self.unconfirmed.len();
    }

    /// The probe came back, and so what was sent before it has come.
    pub(super) fn confirm(&mut self) {
        for _ in 0..core::mem::take(&mut self.fenced) {
            self.forget_sent();
        }
    }

    fn forget_sent(&mut self) -> bool {
        let Some((resource, stamped)) = self.unconfirmed.pop_front() else { return false };
        self.bytes -= cost(&resource, &stamped);
        self.fenced = self.fenced.saturating_sub(1);
        true
    }

    /// The connection is gone: what is not known to have come is to be sent again, before what is
    /// newer.
    pub(super) fn restore(&mut self) {
        self.fenced = 0;
        while let Some((resource, stamped)) = self.unconfirmed.pop_back() {
            let seq = stamped.seq;
            self.of_resource.entry(resource.clone()).or_default().push_front(seq);
            self.values.insert(seq, (resource, stamped));
        }
    }

    fn take_first(&mut self, resource: &str) -> Option<Stamped> {
        let order = self.of_resource.get_mut(resource)?;
        let seq = order.pop_front();
        if order.is_empty() {
            self.of_resource.remove(resource);
        }
        let (_, stamped) = self.values.remove(&seq?)?;
        self.bytes -= cost(resource, &stamped);
        Some(stamped)
    }

    /// Forgets what nobody wants any more.
    pub(super) fn clear(&mut self, resource: &str) {
        while self.take_first(resource).is_some() {}
        let kept = core::mem::take(&mut self.unconfirmed);
        for (at, (name, stamped)) in kept.into_iter().enumerate() {
            if name == resource {
                self.bytes -= cost(&name, &stamped);
                self.fenced -= usize::from(at < self.fenced);
            } else {
                self.unconfirmed.push_back((name, stamped));
            }
        }
    }

    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// How many values wait to be sent.
    pub(super) fn waiting(&self) -> usize {
        self.values.len()
    }

    /// How many values there are, those included that were sent and are not known to have come.
    pub(super) fn len(&self) -> usize {
        self.values.len() + self.unconfirmed.len()
    }
}

fn cost(resource: &str, stamped: &Stamped) -> usize {
    resource.len() + stamped.value.as_bytes().len() + VALUE_COST
}

/// What a value costs beside its bytes, roughly.
const VALUE_COST: usize = 96;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::vec::Vec;

    use super::*;

    fn stamped(seq: u64) -> Stamped {
        Stamped { value: Payload::new(&seq).unwrap(), time_ms: seq * 10, seq }
    }

    #[test]
    fn the_oldest_values_give_way_at_either_limit() {
        let mut buffer = Buffer::new(3, usize::MAX);
        for seq in 0..5 {
            buffer.push(if seq % 2 == 0 { "a" } else { "b" }, stamped(seq));
        }
        assert_eq!((buffer.len(), buffer.dropped()), (3, 2));
        assert_eq!(buffer.first("a"), Some(&stamped(2)));
        assert_eq!(buffer.first("b"), Some(&stamped(3)));
        let mut buffer = Buffer::new(usize::MAX, 2 * (VALUE_COST + 2));
        for seq in 0..5 {
            buffer.push("a", stamped(seq));
        }
        assert_eq!((buffer.len(), buffer.dropped(), buffer.first("a")), (2, 3, Some(&stamped(3))));
    }

    #[test]
    fn what_was_sent_is_kept_until_a_probe_behind_it_came_back() {
        let mut buffer = Buffer::new(4, usize::MAX);
        for seq in 0..3 {
            buffer.push("a", stamped(seq));
        }
        buffer.remove_first("a");
        buffer.fence();
        buffer.remove_first("a");
        buffer.note_sent("b", stamped(7));
        assert!(buffer.is_unconfirmed());
        buffer.confirm();
        assert_eq!((buffer.len(), buffer.first("a")), (3, Some(&stamped(2))));
        // The connection breaks: what no probe has confirmed is sent again, the oldest first.
        buffer.restore();
        assert_eq!((buffer.first("a"), buffer.first("b")), (Some(&stamped(1)), Some(&stamped(7))));
        assert!(!buffer.is_unconfirmed());
        // At the limit, what was sent gives way before what was not.
        buffer.remove_first("a");
        buffer.push("a", stamped(8));
        buffer.push("a", stamped(9));
        assert_eq!((buffer.len(), buffer.dropped(), buffer.first("a")), (4, 0, Some(&stamped(2))));
        buffer.push("a", stamped(10));
        assert_eq!((buffer.len(), buffer.dropped(), buffer.first("a")), (4, 1, Some(&stamped(8))));
        // Nobody wants it any more.
        buffer.remove_first("a");
        buffer.clear("a");
        assert_eq!((buffer.len(), buffer.first("a")), (1, None));
    }

    proptest! {
        #[test]
        fn each_resource_gives_its_values_in_order(
            steps in prop::collection::vec((0usize..3, 0u8..4), 0..200),
        ) {
            let mut buffer = Buffer::new(20, usize::MAX);
            let mut model: VecDeque<(usize, u64)> = VecDeque::new();
            let names = ["a", "b", "c"];
            for (seq, (name, what)) in steps.into_iter().enumerate() {
                let seq = seq as u64;
                match what {
                    0 => {
                        let first = buffer.first(names[name]).cloned();
                        let at = model.iter().position(|(of, _)| *of == name);
                        prop_assert_eq!(first.map(|it| it.seq), at.and_then(|at| model.remove(at)).map(|it| it.1));
                        buffer.remove_first(names[name]);
                        buffer.fence();
                        buffer.confirm();
                    }
                    1 if seq.is_multiple_of(7) => {
                        buffer.clear(names[name]);
                        model.retain(|(of, _)| *of != name);
                    }
                    _ => {
                        buffer.push(names[name], stamped(seq));
                        model.push_back((name, seq));
                        if model.len() > 20 { model.pop_front(); }
                    }
                }
                prop_assert_eq!(buffer.len(), model.len());
                let costs: usize = buffer.values.values().map(|(name, it)| cost(name, it)).sum();
                prop_assert_eq!(buffer.bytes, costs);
            }
            let orders: Vec<_> = buffer.of_resource.values().flatten().collect();
            prop_assert_eq!(orders.len(), buffer.len());
        }
    }
}
