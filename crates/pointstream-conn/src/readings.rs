use jiff::Timestamp;
use pointstream_point::{Fault, HisItem, PointKey, Times, Value};

/// Where a driver puts what it learned about points during an operation.
///
/// Bounded by [`Readings::LEN_MAX`]; what comes beyond is dropped and counted, so that a driver
/// that floods costs a bounded amount of memory.
#[derive(Debug, Default)]
pub struct Readings {
    items: Vec<Reading>,
    dropped: u64,
}

/// One outcome for one point.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Reading {
    /// A current value, or why there is none.
    Cur(PointKey, Result<Value, Fault>),
    /// A current value with the times of the other side.
    Sample(PointKey, Value, Times),
    /// A value of the past, or why one that came is none.
    Past(PointKey, Result<HisItem, Fault>),
    /// A write was refused for this point.
    WriteErr(PointKey, Fault),
    /// The address of the history that the device keeps is bad.
    HisErr(PointKey, Fault),
    /// The point cannot be subscribed to.
    Unwatchable(PointKey, Fault),
}

impl Readings {
    /// How many outcomes one operation may deliver.
    pub const LEN_MAX: usize = 1 << 20;

    /// An empty collection.
    pub const fn new() -> Self {
        Self { items: Vec::new(), dropped: 0 }
    }

    /// The point has this current value.
    pub fn ok(&mut self, point: PointKey, value: Value) {
        self.push(Reading::Cur(point, Ok(value)));
    }

    /// The point has this current value, and the other side says when it was taken.
    pub fn sample(&mut self, point: PointKey, value: Value, times: Times) {
        self.push(Reading::Sample(point, value, times));
    }

    /// The point had this value at that time, and the device tells so unasked: it kept the value
    /// while it could not tell it. It goes into the point's history, where one is kept, and says
    /// nothing of the current value. It is converted as current values are.
    ///
    /// [`Value::Na`] says that it is known that nothing is known. Values may come in any order and
    /// several times.
    pub fn past(&mut self, point: PointKey, ts: Timestamp, value: Value) {
        self.push(Reading::Past(point, Ok(HisItem::new(ts, value))));
    }

    /// A value of the past came that is none, and this is why.
    pub fn past_err(&mut self, point: PointKey, fault: Fault) {
        self.push(Reading::Past(point, Err(fault)));
    }

    /// The point cannot be subscribed to: it is polled where the driver can, and has this fault
    /// where it cannot. To be used in [`Driver::watch`](crate::Driver::watch).
    pub fn unwatchable(&mut self, point: PointKey, fault: Fault) {
        self.push(Reading::Unwatchable(point, fault));
    }

    /// The point has no current value, and this is why. Other points are not touched.
    pub fn err(&mut self, point: PointKey, fault: Fault) {
        self.push(Reading::Cur(point, Err(fault)));
    }

    /// The write to this point was refused, and this is why.
    pub fn write_err(&mut self, point: PointKey, fault: Fault) {
        self.push(Reading::WriteErr(point, fault));
    }

    /// The address of the point's history is bad. To be used in
    /// [`Driver::bind`](crate::Driver::bind).
    pub fn his_err(&mut self, point: PointKey, fault: Fault) {
        self.push(Reading::HisErr(point, fault));
    }

    /// Takes everything out and keeps the memory for the next operation.
    pub fn drain(&mut self) -> impl Iterator<Item = Reading> {
        self.items.drain(..)
    }

    /// How many outcomes were dropped at the limit, ever.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    fn push(&mut self, reading: Reading) {
        if self.items.len() < Self::LEN_MAX {
            self.items.push(reading);
        } else {
            self.dropped += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_drops_and_counts() {
        let key = PointKey { shard: 0, slot: 0, generation: 0 };
        let mut readings = Readings::new();
        for _ in 0..=Readings::LEN_MAX {
            readings.ok(key, Value::Null);
        }
        assert_eq!(readings.dropped(), 1);
        assert_eq!(readings.drain().count(), Readings::LEN_MAX);
        assert!(readings.is_empty());
    }
}
