use jiff::Timestamp;
use pointstream_point::{HisItem, Value};

/// Where a driver puts the items of a history that its device keeps.
///
/// Bounded by [`Samples::LEN_MAX`]: what comes beyond is left out and told, so that who asks goes on
/// from the last one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples {
    items: Vec<HisItem>,
    cut: bool,
}

impl Samples {
    /// How many items one reading of a history may deliver.
    pub const LEN_MAX: usize = 1 << 18;

    /// No items.
    pub const fn new() -> Self {
        Self { items: Vec::new(), cut: false }
    }

    /// The point had this value at this time. Items may come in any order and several times. Gives
    /// whether there is room for more.
    pub fn push(&mut self, ts: Timestamp, val: Value) -> bool {
        let fits = self.items.len() < Self::LEN_MAX;
        self.cut |= !fits;
        if fits {
            self.items.push(HisItem::new(ts, val));
        }
        fits
    }

    /// Says that the device has more in this span than it gave.
    pub fn cut(&mut self) {
        self.cut = true;
    }

    /// Whether there is more in the span than these.
    pub const fn is_cut(&self) -> bool {
        self.cut
    }

    /// The items.
    pub fn items(&self) -> &[HisItem] {
        &self.items
    }

    pub(crate) fn items_mut(&mut self) -> &mut Vec<HisItem> {
        &mut self.items
    }

    /// The items, taken out.
    pub fn into_items(self) -> Vec<HisItem> {
        self.items
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_leaves_out_and_tells() {
        let mut samples = Samples::new();
        let push = |samples: &mut Samples| samples.push(Timestamp::UNIX_EPOCH, Value::Na);
        assert!((0..Samples::LEN_MAX).all(|_| push(&mut samples)));
        assert!(!samples.is_cut());
        assert!(!push(&mut samples));
        assert_eq!((samples.items().len(), samples.is_cut()), (Samples::LEN_MAX, true));
        let mut samples = Samples::new();
        samples.cut();
        assert!(push(&mut samples), "what is said before is no limit");
    }
}
