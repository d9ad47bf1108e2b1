//! Carrying over what is sound from a file that is damaged.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{
    AccessGuard, Builder, Database, Key, Range, ReadOnlyDatabase, ReadOnlyTable, ReadTransaction,
    ReadableDatabase, TableDefinition, TableHandle, Value, WriteTransaction,
};

use super::{META, Store, StoreError, row_is_sound};
use crate::history::{CHUNKS, ChunkKey, DAMAGED, NEXT, SERIES, is_sound};

/// How many rows are written at once.
const BATCH: usize = 1_024;

/// How many bytes of rows are written at once.
const BATCH_BYTES: usize = 8 << 20;

/// What histories are called whose names are lost, with a number behind it.
const NAMELESS: &str = "recovered:";

/// Carries over every row that can be read and is what it was into a fresh store. Gives how many that
/// were.
///
/// Tables are read from their beginning and from their end up to what is damaged; those of histories
/// also history by history. Whatever the damage makes the reader do, a panic included, ends one of these
/// ways only.
pub(super) fn salvage(damaged: &Path, into: &Store) -> Result<u64, StoreError> {
    let mut source = Source { path: damaged.to_owned(), open: None };
    let mut saved = 0;
    for name in source.tables() {
        if ![META.name(), SERIES.name(), CHUNKS.name(), DAMAGED.name()].contains(&name.as_str()) {
            saved += rows(&mut source, &name, into)?;
        }
    }
    saved += histories(&mut source, into)?;
    Ok(saved)
}

/// Rows of a typed table that have the check sum with which they were written.
fn rows(source: &mut Source, name: &str, into: &Store) -> Result<u64, StoreError> {
    let definition = TableDefinition::<&str, &[u8]>::new(name);
    let mut batch = Batch::new(into, |write, rows: &[(String, Vec<u8>)]| {
        let mut table = write.open_table(definition)?;
        for (key, row) in rows {
            table.insert(key.as_str(), row.as_slice())?;
        }
        Ok(())
    });
    let owned = |key: AccessGuard<'_, &str>, row: AccessGuard<'_, &[u8]>| {
        (key.value().to_owned(), row.value().to_vec())
    };
    source.both_ways(
        definition,
        |table| table.range::<&str>(..),
        owned,
        |row| {
            if row_is_sound(&row.1) { batch.push(row.1.len(), row) } else { Ok(()) }
        },
    )?;
    batch.end()
}

fn histories(source: &mut Source, into: &Store) -> Result<u64, StoreError> {
    let mut names = BTreeMap::<u32, String>::new();
    let owned = |key: AccessGuard<'_, &str>, number: AccessGuard<'_, u32>| {
        (key.value().to_owned(), number.value())
    };
    let mut next = 0;
    source.both_ways(
        SERIES,
        |table| table.range::<&str>(..),
        owned,
        |(name, number)| {
            match name.as_str() {
                NEXT => next = number,
                _ => drop(names.insert(number, name)),
            }
            Ok(())
        },
    )?;
    let mut seen = BTreeMap::<u32, ()>::new();
    let saved = chunks(source, into, &names, &mut seen)?;
    for number in seen.into_keys() {
        names.entry(number).or_insert_with(|| format!("{NAMELESS}{number}"));
    }
    // A number that is given twice would make one history of two.
    next = next.max(names.keys().next_back().map_or(0, |last| last.saturating_add(1)));
    let mut batch = Batch::new(into, |write, rows: &[(String, u32)]| {
        let mut series = write.open_table(SERIES)?;
        for (name, number) in rows {
            series.insert(name.as_str(), number)?;
        }
        Ok(())
    });
    if next > 0 {
        batch.push(0, (NEXT.to_owned(), next))?;
    }
    for (number, name) in names {
        batch.push(name.len(), (name, number))?;
    }
    batch.end()?;
    Ok(saved)
}

fn chunks(
    source: &mut Source,
    into: &Store,
    names: &BTreeMap<u32, String>,
    seen: &mut BTreeMap<u32, ()>,
) -> Result<u64, StoreError> {
    let mut batch = Batch::new(into, |write, rows: &[(ChunkKey, Vec<u8>)]| {
        let (mut sound, mut damaged) = (write.open_table(CHUNKS)?, write.open_table(DAMAGED)?);
        for (key, bytes) in rows {
            let table = if is_sound(bytes, key.1) { &mut sound } else { &mut damaged };
            table.insert(*key, bytes.as_slice())?;
        }
        Ok(())
    });
    let owned = |key: AccessGuard<'_, ChunkKey>, bytes: AccessGuard<'_, &[u8]>| {
        (key.value(), bytes.value().to_vec())
    };
    let mut sink = |row: (ChunkKey, Vec<u8>)| {
        seen.insert(row.0.0, ());
        batch.push(row.1.len(), row)
    };
    let whole = source.both_ways(CHUNKS, |table| table.range::<ChunkKey>(..), owned, &mut sink)?;
    for number in names.keys().filter(|_| !whole) {
        let range = |table: &ReadOnlyTable<ChunkKey, &[u8]>| {
            table.range((*number, i64::MIN)..=(*number, i64::MAX))
        };
        source.both_ways(CHUNKS, range, owned, &mut sink)?;
    }
    batch.end()
}

/// Rows on their way into the fresh store.
struct Batch<'a, R, W> {
    into: &'a Store,
    write: W,
    rows: Vec<R>,
    bytes: usize,
    saved: u64,
}

impl<'a, R, W> Batch<'a, R, W>
where
    W: FnMut(&WriteTransaction, &[R]) -> Result<(), redb::Error>,
{
    const fn new(into: &'a Store, write: W) -> Self {
        Self { into, write, rows: Vec::new(), bytes: 0, saved: 0 }
    }

    fn push(&mut self, bytes: usize, row: R) -> Result<(), StoreError> {
        self.rows.push(row);
        self.bytes += bytes;
        if self.rows.len() >= BATCH || self.bytes >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let transaction = self.into.begin_write()?;
        (self.write)(&transaction, &self.rows).map_err(|error| self.into.failed(error))?;
        transaction.commit().map_err(|error| self.into.failed(error))?;
        self.saved += self.rows.len() as u64;
        self.rows.clear();
        self.bytes = 0;
        Ok(())
    }

    fn end(mut self) -> Result<u64, StoreError> {
        if !self.rows.is_empty() {
            self.flush()?;
        }
        Ok(self.saved)
    }
}

/// A damaged file, open as long as it lets itself be read.
struct Source {
    path: PathBuf,
    open: Option<Open>,
}

enum Open {
    /// It was closed in order, so that it need not be written to.
    ReadOnly(ReadOnlyDatabase),
    /// It was not, and is put in order as far as can be.
    Full(Database),
}

impl Source {
    fn begin_read(&mut self) -> Option<ReadTransaction> {
        if self.open.is_none() {
            let path = &self.path;
            let read_only = contained(|| Builder::new().open_read_only(path).ok());
            self.open = match read_only {
                Some(open) => Some(Open::ReadOnly(open)),
                None => contained(|| Builder::new().open(path).ok()).map(Open::Full),
            };
        }
        let open = self.open.as_ref()?;
        contained(|| match open {
            Open::ReadOnly(open) => open.begin_read().ok(),
            Open::Full(open) => open.begin_read().ok(),
        })
    }

    fn tables(&mut self) -> Vec<String> {
        let Some(read) = self.begin_read() else { return Vec::new() };
        let names = contained(|| {
            let tables = read.list_tables().ok()?;
            Some(tables.map(|table| table.name().to_owned()).collect())
        });
        names.unwrap_or_default()
    }

    /// Gives rows from the beginning of a range and, where something is damaged, from its end. Gives
    /// whether there was nothing damaged.
    fn both_ways<K: Key + 'static, V: Value + 'static, R>(
        &mut self,
        definition: TableDefinition<'_, K, V>,
        range: impl Fn(&ReadOnlyTable<K, V>) -> redb::Result<Range<'static, K, V>>,
        owned: impl Fn(AccessGuard<'_, K>, AccessGuard<'_, V>) -> R,
        mut sink: impl FnMut(R) -> Result<(), StoreError>,
    ) -> Result<bool, StoreError> {
        for backwards in [false, true] {
            let Some(read) = self.begin_read() else { return Ok(false) };
            let rows = contained(|| {
                let table = read.open_table(definition).ok()?;
                range(&table).ok()
            });
            let Some(mut rows) = rows else {
                self.open = None;
                continue;
            };
            loop {
                let row = contained(|| {
                    let row = if backwards { rows.next_back() } else { rows.next() };
                    Some(row.map(|row| row.map(|(key, value)| owned(key, value))))
                });
                match row {
                    Some(Some(Ok(row))) => sink(row)?,
                    Some(None) => return Ok(true),
                    // After a panic nothing of what is open can be relied on.
                    Some(Some(Err(_))) | None => break,
                }
            }
            drop(rows);
            self.open = None;
        }
        Ok(false)
    }
}

/// What a reader of a damaged file gives; none if it panics.
fn contained<T>(work: impl FnOnce() -> Option<T>) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok().flatten()
}
