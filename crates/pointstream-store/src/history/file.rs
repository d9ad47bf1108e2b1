//! Histories in the file of a store.

use core::sync::atomic::{AtomicU64, Ordering};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use jiff::Timestamp;
use pointstream_point::{HisItem, Span, Value};
use redb::{ReadableTable, Table, TableDefinition, TableError};

use super::chunk::{self, Head, ITEMS_MAX};
use super::{HisInfo, History, SeriesWrite, Trimmed};
use crate::{Store, StoreError};

/// The number of each point's history, by the point's id.
pub(crate) const SERIES: TableDefinition<'static, &str, u32> = TableDefinition::new("his_series");

/// Chunks, by the number of the history and the time of their first item in milliseconds.
pub(crate) const CHUNKS: TableDefinition<'static, Key, &[u8]> = TableDefinition::new("his_chunks");

/// Chunks that could not be read, by the same key; kept for who wants to look.
pub(crate) const DAMAGED: TableDefinition<'static, Key, &[u8]> =
    TableDefinition::new("his_damaged");

pub(crate) type Key = (u32, i64);
type Chunks<'a> = Table<'a, Key, &'static [u8]>;

/// Histories in the file of a [`Store`], as chunks of some hundred items: the last one of each is
/// open for more, the others are sealed and take a few bytes an item.
#[derive(Debug)]
pub struct StoredHistory {
    store: Arc<Store>,
    damaged: AtomicU64,
}

impl StoredHistory {
    /// The histories in the file of `store`.
    pub const fn new(store: Arc<Store>) -> Self {
        Self { store, damaged: AtomicU64::new(0) }
    }

    /// The items of a piece of a history as it stands in the file, which begins at a time in
    /// milliseconds since 1970; none if it is damaged.
    pub fn decode(piece: &[u8], start: i64) -> Option<Vec<HisItem>> {
        let mut items = Vec::new();
        let read = chunk::read(piece, start, |item| {
            items.push(item);
            true
        });
        read.ok().map(|_| items)
    }

    /// Items as they stand in the file, sealed; none if there is none, if there are more than a
    /// piece has, or if they are not each later than the one before.
    pub fn encode(items: &[HisItem]) -> Option<Vec<u8>> {
        let in_order = items.is_sorted_by(|a, b| a.ts.as_millisecond() < b.ts.as_millisecond());
        let fits = (1..=ITEMS_MAX).contains(&items.len());
        (in_order && fits).then(|| chunk::seal(items))
    }

    /// How many damaged chunks have been met since this was made. What is around them is read; one
    /// that is written to is put aside.
    pub fn damaged(&self) -> u64 {
        self.damaged.load(Ordering::Relaxed)
    }

    fn failed(&self, error: impl Into<redb::Error>) -> StoreError {
        self.store.failed(error)
    }

    fn on_damaged(&self) {
        self.damaged.fetch_add(1, Ordering::Relaxed);
    }

    /// Reads the chunks of a history that a span touches, from the last one that begins before it.
    fn visit(
        &self,
        point: &str,
        span: Span,
        visit: &mut dyn FnMut(HisItem) -> bool,
    ) -> Result<(), StoreError> {
        let read = self.store.begin_read()?;
        let (series, chunks) = match (read.open_table(SERIES), read.open_table(CHUNKS)) {
            (Err(TableError::TableDoesNotExist(_)), _)
            | (_, Err(TableError::TableDoesNotExist(_))) => return Ok(()),
            (series, chunks) => {
                (series.map_err(|e| self.failed(e))?, chunks.map_err(|e| self.failed(e))?)
            }
        };
        let number = series.get(point).map_err(|e| self.failed(e))?.map(|number| number.value());
        let Some(number) = number else { return Ok(()) };
        let start = span.start.as_millisecond();
        let mut before =
            chunks.range((number, i64::MIN)..(number, start)).map_err(|e| self.failed(e))?;
        let before = before.next_back().transpose().map_err(|e| self.failed(e))?;
        let from = before.map_or(start, |(key, _)| key.value().1);
        let rows = chunks.range((number, from)..=(number, i64::MAX)).map_err(|e| self.failed(e))?;
        for row in rows {
            let (key, bytes) = row.map_err(|e| self.failed(e))?;
            match chunk::read(bytes.value(), key.value().1, &mut *visit) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(chunk::Damaged) => self.on_damaged(),
            }
        }
        Ok(())
    }

    fn write_series(
        &self,
        chunks: &mut Chunks<'_>,
        damaged: &mut Chunks<'_>,
        number: u32,
        items: &[(Timestamp, Option<Value>)],
    ) -> Result<(), StoreError> {
        let (Some(first), Some(last)) = (items.first(), items.last()) else { return Ok(()) };
        let (first, last) = (first.0.as_millisecond(), last.0.as_millisecond());
        if self.append(chunks, number, first, items)? {
            return Ok(());
        }
        // No iterator may live on to where rows are changed: it holds their page.
        let from = {
            let before = chunks.range((number, i64::MIN)..=(number, first));
            let last = before.map_err(|e| self.failed(e))?.next_back();
            let last = last.transpose().map_err(|e| self.failed(e))?;
            last.map_or(first, |(key, _)| key.value().1)
        };
        let mut old = Vec::new();
        let mut keys = Vec::new();
        let rows = chunks.range((number, from)..=(number, last)).map_err(|e| self.failed(e))?;
        for row in rows {
            let (key, bytes) = row.map_err(|e| self.failed(e))?;
            let (key, kept) = (key.value(), old.len());
            let read = chunk::read(bytes.value(), key.1, |item| {
                old.push(item);
                true
            });
            if read.is_err() {
                self.on_damaged();
                old.truncate(kept);
                damaged.insert(key, bytes.value()).map_err(|e| self.failed(e))?;
            }
            keys.push(key);
        }
        for key in keys {
            chunks.remove(key).map_err(|e| self.failed(e))?;
        }
        let is_last = {
            let later = chunks.range((number, last)..=(number, i64::MAX));
            later.map_err(|e| self.failed(e))?.next().is_none()
        };
        self.put(chunks, number, &merge(old, items), is_last)
    }

    /// The quick way of items that are later than all there are, into the open chunk. Gives whether
    /// that was it.
    fn append(
        &self,
        chunks: &mut Chunks<'_>,
        number: u32,
        first: i64,
        items: &[(Timestamp, Option<Value>)],
    ) -> Result<bool, StoreError> {
        let (key, bytes) = {
            let rows = chunks.range((number, i64::MIN)..=(number, i64::MAX));
            let tail = rows.map_err(|e| self.failed(e))?.next_back();
            let Some((key, bytes)) = tail.transpose().map_err(|e| self.failed(e))? else {
                return Ok(false);
            };
            // The check sum is made anew, so that damage would be taken for what was written.
            let Ok(head) = Head::of_sound(bytes.value()) else { return Ok(false) };
            let room = ITEMS_MAX.saturating_sub(head.items);
            let fits = head.is_open && head.last < first && items.len() <= room;
            if !fits || bytes.value().len() > chunk::BYTES_MAX {
                return Ok(false);
            }
            let item =
                |(ts, val): &(Timestamp, Option<Value>)| Some(HisItem::new(*ts, val.clone()?));
            let Some(items) = items.iter().map(item).collect::<Option<Vec<_>>>() else {
                return Ok(false);
            };
            (key.value(), chunk::append(bytes.value(), head, &items))
        };
        chunks.insert(key, bytes.as_slice()).map_err(|e| self.failed(e))?;
        Ok(true)
    }

    /// Puts items in as chunks, sealed but for the last one of the history.
    fn put(
        &self,
        chunks: &mut Chunks<'_>,
        number: u32,
        items: &[HisItem],
        is_last: bool,
    ) -> Result<(), StoreError> {
        let mut rest = items;
        while let Some(first) = rest.first() {
            let (piece, after) = rest.split_at(piece_len(rest));
            rest = after;
            let open = is_last && rest.is_empty() && piece.len() < ITEMS_MAX;
            let bytes = if open { chunk::open(piece) } else { chunk::seal(piece) };
            let key = (number, first.ts.as_millisecond());
            chunks.insert(key, bytes.as_slice()).map_err(|e| self.failed(e))?;
        }
        Ok(())
    }

    /// Removes the chunks that end before a time. Gives how many items that were and how many bytes
    /// remain.
    fn drop_before(&self, before: i64) -> Result<(u64, u64), StoreError> {
        let write = self.store.begin_write()?;
        let (mut items, mut kept) = (0, 0);
        {
            let mut chunks = write.open_table(CHUNKS).map_err(|e| self.failed(e))?;
            let stale = |(_, start): Key, bytes: &[u8]| {
                // One that cannot be read goes by its beginning.
                let head = Head::of(bytes).ok();
                let last = head.map_or(start, |head| head.last);
                (last < before).then(|| head.map_or(0, |head| head.items as u64))
            };
            let retained = chunks.retain(|key, bytes| match stale(key, bytes) {
                Some(gone) => {
                    items += gone;
                    false
                }
                None => {
                    kept += bytes.len() as u64 + KEY_BYTES;
                    true
                }
            });
            retained.map_err(|e| self.failed(e))?;
        }
        write.commit().map_err(|e| self.failed(e))?;
        Ok((items, kept))
    }

    /// The times at which the first and the last chunk begin.
    fn ends(&self) -> Result<Option<(i64, i64)>, StoreError> {
        let read = self.store.begin_read()?;
        let chunks = match read.open_table(CHUNKS) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            chunks => chunks.map_err(|e| self.failed(e))?,
        };
        let mut ends = None::<(i64, i64)>;
        for row in chunks.iter().map_err(|e| self.failed(e))? {
            let at = row.map_err(|e| self.failed(e))?.0.value().1;
            ends = Some(ends.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
        }
        Ok(ends)
    }
}

/// What a key costs besides its chunk.
const KEY_BYTES: u64 = 12;

/// Into how many slices a history that is too big is cut, of which the oldest goes.
const SLICES: i64 = 16;

impl History for StoredHistory {
    fn write(&self, batch: &[SeriesWrite]) -> Result<(), StoreError> {
        self.store.guarded(|| self.do_write(batch))
    }

    fn read(
        &self,
        point: &str,
        span: Span,
        visit: &mut dyn FnMut(HisItem) -> bool,
    ) -> Result<(), StoreError> {
        // A panic of the caller is no damage of the file: it goes past the guard to the caller.
        let mut panicked = None;
        let mut visit = |item| {
            catch_unwind(AssertUnwindSafe(|| visit(item))).unwrap_or_else(|panic| {
                panicked = Some(panic);
                false
            })
        };
        let result = self.store.guarded(|| self.do_read(point, span, &mut visit));
        match panicked {
            Some(panic) => resume_unwind(panic),
            None => result,
        }
    }

    fn info(&self, point: &str) -> Result<Option<HisInfo>, StoreError> {
        self.store.guarded(|| self.do_info(point))
    }

    fn last(&self, point: &str) -> Result<Option<HisItem>, StoreError> {
        self.store.guarded(|| self.do_last(point))
    }

    fn points(&self) -> Result<Vec<String>, StoreError> {
        self.store.guarded(|| self.do_points())
    }

    fn remove(&self, point: &str) -> Result<(), StoreError> {
        self.store.guarded(|| self.do_remove(point))
    }

    fn trim(&self, before: Timestamp, bytes_max: u64) -> Result<Trimmed, StoreError> {
        self.store.guarded(|| self.do_trim(before, bytes_max))
    }
}

/// The methods of [`History`], without regard to damage that makes the reader panic.
impl StoredHistory {
    fn do_write(&self, batch: &[SeriesWrite]) -> Result<(), StoreError> {
        let write = self.store.begin_write()?;
        {
            let mut series = write.open_table(SERIES).map_err(|e| self.failed(e))?;
            let mut chunks = write.open_table(CHUNKS).map_err(|e| self.failed(e))?;
            let mut damaged = write.open_table(DAMAGED).map_err(|e| self.failed(e))?;
            for SeriesWrite { point, items } in batch {
                let known = series.get(&**point).map_err(|e| self.failed(e))?;
                let known = known.map(|number| number.value());
                let number = match known {
                    Some(number) => number,
                    None => {
                        // Numbers are never used again, so that the count stays the greatest.
                        let next = series.get(NEXT).map_err(|e| self.failed(e))?;
                        let number = next.map_or(0, |next| next.value());
                        let next = number.checked_add(1).ok_or_else(|| self.full())?;
                        series.insert(NEXT, next).map_err(|e| self.failed(e))?;
                        series.insert(&**point, number).map_err(|e| self.failed(e))?;
                        number
                    }
                };
                self.write_series(&mut chunks, &mut damaged, number, items)?;
            }
        }
        write.commit().map_err(|e| self.failed(e))
    }

    fn do_read(
        &self,
        point: &str,
        span: Span,
        visit: &mut dyn FnMut(HisItem) -> bool,
    ) -> Result<(), StoreError> {
        let (mut before, mut after) = (None, 0);
        self.visit(point, span, &mut |item| {
            if item.ts < span.start {
                before = Some(item);
                return true;
            }
            if let Some(before) = before.take()
                && !visit(before)
            {
                return false;
            }
            if item.ts >= span.end {
                after += 1;
            }
            visit(item) && after < AFTER
        })?;
        // Nothing came after the one before.
        if let Some(before) = before {
            visit(before);
        }
        Ok(())
    }

    fn do_info(&self, point: &str) -> Result<Option<HisInfo>, StoreError> {
        let mut info = None::<HisInfo>;
        self.visit(point, Span::ALL, &mut |item| {
            match &mut info {
                Some(info) => {
                    info.size += 1;
                    info.end = item;
                }
                None => info = Some(HisInfo { size: 1, start: item.clone(), end: item }),
            }
            true
        })?;
        Ok(info)
    }

    fn do_last(&self, point: &str) -> Result<Option<HisItem>, StoreError> {
        let mut last = None;
        // From the last chunk that begins before the end of time on: that is the last one.
        self.visit(point, Span::new(Timestamp::MAX, Timestamp::MAX), &mut |item| {
            last = Some(item);
            true
        })?;
        Ok(last)
    }

    fn do_points(&self) -> Result<Vec<String>, StoreError> {
        let read = self.store.begin_read()?;
        let series = match read.open_table(SERIES) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            series => series.map_err(|e| self.failed(e))?,
        };
        let mut points = Vec::new();
        for row in series.iter().map_err(|e| self.failed(e))? {
            let (point, _) = row.map_err(|e| self.failed(e))?;
            if point.value() != NEXT {
                points.push(point.value().to_owned());
            }
        }
        Ok(points)
    }

    fn do_remove(&self, point: &str) -> Result<(), StoreError> {
        let write = self.store.begin_write()?;
        {
            let mut series = write.open_table(SERIES).map_err(|e| self.failed(e))?;
            let mut chunks = write.open_table(CHUNKS).map_err(|e| self.failed(e))?;
            let number = series.remove(point).map_err(|e| self.failed(e))?;
            if let Some(number) = number.map(|number| number.value()) {
                let all = (number, i64::MIN)..=(number, i64::MAX);
                chunks.retain_in(all, |_, _| false).map_err(|e| self.failed(e))?;
            }
        }
        write.commit().map_err(|e| self.failed(e))
    }

    fn do_trim(&self, before: Timestamp, bytes_max: u64) -> Result<Trimmed, StoreError> {
        let (mut items, mut bytes) = self.drop_before(before.as_millisecond())?;
        // Each round takes the oldest slice of what is left, or more where a chunk reaches over it.
        'rounds: while bytes > bytes_max
            && let Some((first, last)) = self.ends()?
        {
            for slices in 1..=SLICES {
                let cutoff = first + (last - first) / SLICES * slices + slices;
                let (gone, kept) = self.drop_before(cutoff)?;
                items += gone;
                if core::mem::replace(&mut bytes, kept) > kept {
                    continue 'rounds;
                }
            }
            // What is left are the last chunks of each history.
            break;
        }
        Ok(Trimmed { items, bytes })
    }
}

/// The key under which the next number stands; no point's id, which is never empty.
pub(crate) const NEXT: &str = "";

/// How many items after a span are given.
const AFTER: usize = 2;

impl StoredHistory {
    fn full(&self) -> StoreError {
        let source = std::io::Error::other("there are more histories than numbers for them");
        StoreError::Io { path: self.store.path().to_owned(), source }
    }
}

/// How many of the items go into the next chunk: as many as it takes, fewer where texts are long.
fn piece_len(items: &[HisItem]) -> usize {
    let mut bytes = 0;
    let room = |item: &&HisItem| {
        bytes += match &item.val {
            Value::Str(text) => text.len(),
            _ => 16,
        };
        bytes <= chunk::BYTES_MAX
    };
    items.iter().take(ITEMS_MAX).take_while(room).count().max(1)
}

/// Items and what is to be merged into them, both in the order of time.
fn merge(old: Vec<HisItem>, new: &[(Timestamp, Option<Value>)]) -> Vec<HisItem> {
    let mut merged = Vec::with_capacity(old.len() + new.len());
    let mut old = old.into_iter().peekable();
    for (ts, val) in new {
        while let Some(item) = old.next_if(|item| item.ts < *ts) {
            merged.push(item);
        }
        drop(old.next_if(|item| item.ts == *ts));
        merged.extend(val.clone().map(|val| HisItem::new(*ts, val)));
    }
    merged.extend(old);
    merged
}
