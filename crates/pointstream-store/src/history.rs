use std::sync::Arc;

use jiff::Timestamp;
use pointstream_point::{HisItem, Span, Value};

use crate::StoreError;

mod bits;
mod chunk;
mod file;

pub use file::StoredHistory;
pub(crate) use file::{CHUNKS, DAMAGED, Key as ChunkKey, NEXT, SERIES};

/// How many items a piece of a history has; none if it is damaged.
pub(crate) fn count(bytes: &[u8], start: i64) -> Option<u64> {
    let mut items = 0;
    let read = chunk::read(bytes, start, |_| {
        items += 1;
        true
    });
    read.ok().map(|_| items)
}

/// Whether a piece of a history is what was written.
pub(crate) fn is_sound(bytes: &[u8], start: i64) -> bool {
    count(bytes, start).is_some()
}

/// Histories of many points, by the ids of the points: what a gateway needs of a store of past
/// values, so that an embedder may bring one of its own.
///
/// Calls block, from any thread. What [`write`](Self::write) answered `Ok` to is there for good.
pub trait History: Send + Sync + 'static {
    /// Merges items into the histories of points, all of them or none: each in the order of time,
    /// each time once, as `HisRules::accept` gives them. An item takes the place of one at the same
    /// time; `None` takes that one away.
    ///
    /// # Errors
    ///
    /// A failure of the store.
    fn write(&self, batch: &[SeriesWrite]) -> Result<(), StoreError>;

    /// Gives the items of a span to `visit`, in the order of time, until that says that it has
    /// enough: before them the last one before the span, after them the next two, as Haystack reads
    /// histories. A point that has none has no items.
    ///
    /// # Errors
    ///
    /// A failure of the store.
    fn read(
        &self,
        point: &str,
        span: Span,
        visit: &mut dyn FnMut(HisItem) -> bool,
    ) -> Result<(), StoreError>;

    /// How much there is of a point's history; `None` if there is nothing.
    ///
    /// # Errors
    ///
    /// A failure of the store.
    fn info(&self, point: &str) -> Result<Option<HisInfo>, StoreError>;

    /// The last item of a point's history; `None` if there is none.
    ///
    /// # Errors
    ///
    /// A failure of the store.
    fn last(&self, point: &str) -> Result<Option<HisItem>, StoreError>;

    /// The ids of points that have a history.
    ///
    /// # Errors
    ///
    /// A failure of the store.
    fn points(&self) -> Result<Vec<String>, StoreError>;

    /// Forgets the history of a point.
    ///
    /// # Errors
    ///
    /// A failure of the store.
    fn remove(&self, point: &str) -> Result<(), StoreError>;

    /// Forgets what is older than `before`, and then, where more than `bytes_max` are kept, the
    /// oldest of the rest, by and large. Items go in pieces of some hundred, so that a few stay that
    /// are older.
    ///
    /// # Errors
    ///
    /// A failure of the store.
    fn trim(&self, before: Timestamp, bytes_max: u64) -> Result<Trimmed, StoreError>;
}

/// Items for the history of one point.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the two parts of a write")]
pub struct SeriesWrite {
    /// The id of the point.
    pub point: Arc<str>,
    /// The items, in the order of time, each time once.
    pub items: Vec<(Timestamp, Option<Value>)>,
}

/// How much there is of a history.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct HisInfo {
    /// How many items.
    pub size: u64,
    /// The first one.
    pub start: HisItem,
    /// The last one.
    pub end: HisItem,
}

/// What was forgotten.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Trimmed {
    /// How many items.
    pub items: u64,
    /// How many bytes of them are kept now.
    pub bytes: u64,
}
