//! Looking at all of a file, and putting in order what can be.

use std::path::Path;

use redb::{ReadableTable, TableDefinition, TableError, TableHandle};

use super::{Broken, META, Opened, Store, StoreError, row};
use crate::history::{CHUNKS, ChunkKey, DAMAGED, SERIES, count};

/// What is in a file.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Checked {
    /// What is wrong with the file as such; nothing more is known of such a one.
    pub damage: Option<String>,
    /// How many rows its tables have, histories apart.
    pub rows: u64,
    /// How many of them are not what was written.
    pub bad_rows: u64,
    /// How many points have a history.
    pub points: u64,
    /// How many items the histories have.
    pub items: u64,
    /// How many pieces of histories are damaged and in the way.
    pub bad_pieces: u64,
    /// How many damaged pieces were put aside within the file.
    pub aside: u64,
}

impl Checked {
    /// Whether there is nothing to repair.
    pub const fn is_sound(&self) -> bool {
        self.damage.is_none() && self.bad_rows == 0 && self.bad_pieces == 0
    }
}

impl Store {
    /// Looks at all of a file: the check sum of every page, row and piece of a history. A file that was
    /// not closed in order is put in order as by [`open`](Self::open); nothing is put aside.
    ///
    /// # Errors
    ///
    /// There is no file, it is in use or of a later version, or the file system fails.
    pub fn check(path: &Path) -> Result<Checked, StoreError> {
        let failed = |source| StoreError::Io { path: path.to_owned(), source };
        if std::fs::metadata(path).map_err(failed)?.len() == 0 {
            let damage = Some("the file is empty".to_owned());
            return Ok(Checked { damage, ..Checked::default() });
        }
        match Self::try_open(path, true) {
            Ok(store) => store.count(),
            Err(Broken::Refused(error)) => Err(error),
            Err(Broken::Damaged(why)) => Ok(Checked { damage: Some(why), ..Checked::default() }),
        }
    }

    /// Looks at all of a file and repairs it: one that is damaged as such is put aside, and what is
    /// sound in it carried over into a fresh one; bad rows are removed, damaged pieces of histories put
    /// aside within it. Gives what was done, and what there is then.
    ///
    /// # Errors
    ///
    /// There is no file, it is in use or of a later version, or the file system fails.
    pub fn repair(path: &Path) -> Result<(Opened, Checked), StoreError> {
        std::fs::metadata(path)
            .map_err(|source| StoreError::Io { path: path.to_owned(), source })?;
        let (store, opened) = Self::open_looking(path, true)?;
        store.put_in_order()?;
        Ok((opened, store.count()?))
    }

    fn count(&self) -> Result<Checked, StoreError> {
        let mut checked = Checked::default();
        for name in self.typed_tables()? {
            let (rows, bad) = self.bad_rows(&name)?;
            checked.rows += rows;
            checked.bad_rows += bad.len() as u64;
        }
        self.guarded(|| {
            let read = self.begin_read()?;
            match read.open_table(SERIES) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(()),
                series => {
                    let series = series.map_err(|error| self.failed(error))?;
                    let rows = series.iter().map_err(|error| self.failed(error))?;
                    // One row says which number is next.
                    checked.points = (rows.count() as u64).saturating_sub(1);
                }
            }
            let chunks = read.open_table(CHUNKS).map_err(|error| self.failed(error))?;
            for row in chunks.iter().map_err(|error| self.failed(error))? {
                let (key, bytes) = row.map_err(|error| self.failed(error))?;
                match count(bytes.value(), key.value().1) {
                    Some(items) => checked.items += items,
                    None => checked.bad_pieces += 1,
                }
            }
            let aside = read.open_table(DAMAGED).map_err(|error| self.failed(error))?;
            let aside = aside.iter().map_err(|error| self.failed(error))?;
            checked.aside = aside.count() as u64;
            Ok(())
        })?;
        Ok(checked)
    }

    /// The names of the tables of rows.
    fn typed_tables(&self) -> Result<Vec<String>, StoreError> {
        self.guarded(|| {
            let read = self.begin_read()?;
            let tables = read.list_tables().map_err(|error| self.failed(error))?;
            let names = tables.map(|table| table.name().to_owned());
            let others = [SERIES.name(), CHUNKS.name(), DAMAGED.name(), META.name()];
            Ok(names.filter(|name| !others.contains(&name.as_str())).collect())
        })
    }

    /// How many rows a table has, and the keys of those that are not what was written.
    fn bad_rows(&self, table: &str) -> Result<(u64, Vec<String>), StoreError> {
        let definition = TableDefinition::<&str, &[u8]>::new(table);
        self.guarded(|| {
            let read = self.begin_read()?;
            let rows = read.open_table(definition).map_err(|error| self.failed(error))?;
            let (mut count, mut bad) = (0, Vec::new());
            for row in rows.iter().map_err(|error| self.failed(error))? {
                let (key, value) = row.map_err(|error| self.failed(error))?;
                count += 1;
                let text = row::unpack(value.value());
                let sound = text.is_ok_and(|text| {
                    serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()
                });
                if !sound {
                    bad.push(key.value().to_owned());
                }
            }
            Ok((count, bad))
        })
    }

    fn put_in_order(&self) -> Result<(), StoreError> {
        for name in self.typed_tables()? {
            let definition = TableDefinition::<&str, &[u8]>::new(&name);
            let (_, bad) = self.bad_rows(&name)?;
            self.guarded(|| {
                let write = self.begin_write()?;
                {
                    let mut rows =
                        write.open_table(definition).map_err(|error| self.failed(error))?;
                    for key in &bad {
                        rows.remove(key.as_str()).map_err(|error| self.failed(error))?;
                    }
                }
                write.commit().map_err(|error| self.failed(error))
            })?;
        }
        self.guarded(|| {
            let write = self.begin_write()?;
            {
                let mut chunks = write.open_table(CHUNKS).map_err(|error| self.failed(error))?;
                let mut aside = write.open_table(DAMAGED).map_err(|error| self.failed(error))?;
                write.open_table(SERIES).map_err(|error| self.failed(error))?;
                let mut bad = Vec::<ChunkKey>::new();
                for row in chunks.iter().map_err(|error| self.failed(error))? {
                    let (key, bytes) = row.map_err(|error| self.failed(error))?;
                    if count(bytes.value(), key.value().1).is_none() {
                        bad.push(key.value());
                    }
                }
                for key in bad {
                    let bytes = chunks.remove(key).map_err(|error| self.failed(error))?;
                    let bytes = bytes.map(|bytes| bytes.value().to_vec());
                    if let Some(bytes) = bytes {
                        aside.insert(key, bytes.as_slice()).map_err(|error| self.failed(error))?;
                    }
                }
            }
            write.commit().map_err(|error| self.failed(error))
        })
    }
}
