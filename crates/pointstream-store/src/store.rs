use core::sync::atomic::{AtomicBool, Ordering};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Table;

mod check;
mod row;
mod salvage;
#[cfg(test)]
mod tests;

pub use check::Checked;
pub(crate) use row::row_is_sound;
use row::{pack, unpack};

/// An open file of tables.
#[derive(Debug)]
pub struct Store {
    database: Database,
    path: PathBuf,
    /// Whether damage was met, and the next opening looks at all of the file.
    suspect: AtomicBool,
}

/// How a store came to be open.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Opened {
    /// The file was there and sound.
    Found,
    /// There was no file; it was made.
    Made,
    /// The file was damaged. It was put aside under this name, and a fresh one made of what is sound
    /// in it.
    Quarantined {
        /// Where the damaged file is.
        aside: PathBuf,
        /// What was wrong with it.
        why: String,
        /// How many rows and pieces of histories were carried over.
        saved: u64,
    },
}

/// Why the store did not do as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file is in use by another process.
    #[error("{} is in use by another process", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by a later version.
    #[error("{} has format {found}, this version reads up to {}", path.display(), Store::FORMAT)]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// The file system failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The store failed.
    #[error("{}: {source}", path.display())]
    Storage {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<redb::Error>,
    },
    /// The file is damaged, though it was not known when it was opened. The next opening looks at all
    /// of it.
    #[error("{} is damaged: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was seen.
        why: String,
    },
    /// A row is not of its table's type.
    #[error("row {key:?} of table {table}: {source}")]
    Row {
        /// The table.
        table: &'static str,
        /// The key.
        key: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A key or a row is longer than it may be.
    #[error(
        "row {key:?} of table {table} has {len} bytes, more than the {} allowed",
        Store::ROW_LEN_MAX
    )]
    TooLong {
        /// The table.
        table: &'static str,
        /// The key.
        key: String,
        /// Its length, or that of its row.
        len: usize,
    },
}

/// Rows with their keys, and what is wrong with each of the others.
pub type SoundRows<V> = (Vec<(String, V)>, Vec<StoreError>);

/// How much of the file is kept in memory.
const CACHE_BYTES: usize = 64 << 20;

const META: Table<u32> = Table::new("meta");
const FORMAT_KEY: &str = "format";

impl Store {
    /// The format of the files that this version writes. Rows of format 1 had no check sum.
    pub const FORMAT: u32 = 2;

    /// Up to this many bytes all of a file is looked at when it is opened; of a longer one only if
    /// damage was met before.
    pub const CHECK_BYTES_MAX: u64 = 256 << 20;

    /// The longest key, and the longest row as it is stored, in bytes.
    pub const ROW_LEN_MAX: usize = 1 << 20;

    /// Opens the file at `path`, making it if there is none. A damaged file is put aside under another
    /// name beside it, and what is sound in it is carried over into a fresh one.
    ///
    /// # Errors
    ///
    /// A file in use by another process or written by a later version is left as it is; so is
    /// everything when the file system fails.
    pub fn open(path: &Path) -> Result<(Self, Opened), StoreError> {
        Self::open_looking(path, false)
    }

    fn open_looking(path: &Path, at_all: bool) -> Result<(Self, Opened), StoreError> {
        let len = fs::metadata(path).map(|metadata| metadata.len()).ok();
        let suspect = suspect_path(path);
        let at_all = at_all || suspect.exists() || len.is_some_and(|l| l <= Self::CHECK_BYTES_MAX);
        let opened = match len {
            Some(0) => Err(Broken::Damaged("the file is empty".to_owned())),
            _ => Self::try_open(path, at_all),
        };
        let opened = match opened {
            Ok(store) => Ok((store, if len.is_some() { Opened::Found } else { Opened::Made })),
            Err(Broken::Refused(error)) => Err(error),
            Err(Broken::Damaged(why)) => Self::begin_anew(path, why),
        };
        if opened.is_ok() {
            // There is none where nothing was suspected.
            let _ = fs::remove_file(suspect);
        }
        opened
    }

    /// Puts a damaged file aside and begins a fresh one with what is sound in it.
    fn begin_anew(path: &Path, why: String) -> Result<(Self, Opened), StoreError> {
        let aside = put_aside(path)?;
        match Self::try_open(path, false) {
            Ok(store) => {
                let saved = salvage::salvage(&aside, &store)?;
                Ok((store, Opened::Quarantined { aside, why, saved }))
            }
            Err(Broken::Refused(error)) => Err(error),
            Err(Broken::Damaged(why)) => {
                Err(StoreError::Io { path: path.to_owned(), source: std::io::Error::other(why) })
            }
        }
    }

    fn try_open(path: &Path, at_all: bool) -> Result<Self, Broken> {
        let open = || {
            let mut builder = Database::builder();
            builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(at_all);
            let database = builder.create(path).map_err(|error| Broken::of(path, error))?;
            let suspect = AtomicBool::new(false);
            let store = Self { database, path: path.to_owned(), suspect };
            let format = store.get(&META, FORMAT_KEY).map_err(Broken::of_store)?;
            match format {
                Some(found) if found > Self::FORMAT => {
                    Err(Broken::Refused(StoreError::Newer { path: path.to_owned(), found }))
                }
                Some(Self::FORMAT) => Ok(store),
                _ => {
                    let written =
                        store.write(|writer| writer.put(&META, FORMAT_KEY, &Self::FORMAT));
                    written.map_err(Broken::of_store)?;
                    Ok(store)
                }
            }
        };
        let panicked = |_| Err(Broken::Damaged("the reader of the file fails".to_owned()));
        catch_unwind(AssertUnwindSafe(open)).unwrap_or_else(panicked)
    }

    /// Does something with the file. A reader that panics has met damage, which is then known.
    pub(crate) fn guarded<T>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let result = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            let why = text.unwrap_or("its reader fails").to_owned();
            Err(StoreError::Damaged { path: self.path.clone(), why })
        });
        let damaged = match &result {
            Err(StoreError::Damaged { .. }) => true,
            Err(StoreError::Storage { source, .. }) => {
                matches!(**source, redb::Error::Corrupted(_))
            }
            _ => false,
        };
        if damaged && !self.suspect.swap(true, Ordering::Relaxed) {
            // Without it the next opening looks at less of a long file.
            let _ = fs::write(suspect_path(&self.path), "");
        }
        result
    }

    /// The row of this key.
    ///
    /// # Errors
    ///
    /// A failure of the store; a row that is not of the table's type.
    pub fn get<V: DeserializeOwned>(
        &self,
        table: &Table<V>,
        key: &str,
    ) -> Result<Option<V>, StoreError> {
        self.guarded(|| self.read_row(table, key))
    }

    fn read_row<V: DeserializeOwned>(
        &self,
        table: &Table<V>,
        key: &str,
    ) -> Result<Option<V>, StoreError> {
        let read = self.database.begin_read().map_err(|error| self.failed(error))?;
        let rows = match read.open_table(table.definition()) {
            Ok(rows) => rows,
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(self.failed(error)),
        };
        let row = rows.get(key).map_err(|error| self.failed(error))?;
        row.map(|row| parse(table, key, row.value())).transpose()
    }

    /// All rows of a table, by key.
    ///
    /// # Errors
    ///
    /// A failure of the store; a row that is not of the table's type.
    pub fn rows<V: DeserializeOwned>(
        &self,
        table: &Table<V>,
    ) -> Result<Vec<(String, V)>, StoreError> {
        let (rows, bad) = self.sound_rows(table)?;
        bad.into_iter().next().map_or(Ok(rows), Err)
    }

    /// The rows of a table that are of its type and what they were when they were written, by key; and
    /// what is wrong with each of the others.
    ///
    /// # Errors
    ///
    /// A failure of the store.
    pub fn sound_rows<V: DeserializeOwned>(
        &self,
        table: &Table<V>,
    ) -> Result<SoundRows<V>, StoreError> {
        self.guarded(|| {
            let read = self.database.begin_read().map_err(|error| self.failed(error))?;
            let rows = match read.open_table(table.definition()) {
                Ok(rows) => rows,
                Err(TableError::TableDoesNotExist(_)) => return Ok((Vec::new(), Vec::new())),
                Err(error) => return Err(self.failed(error)),
            };
            let (mut sound, mut bad) = (Vec::new(), Vec::new());
            for row in rows.iter().map_err(|error| self.failed(error))? {
                let (key, value) = row.map_err(|error| self.failed(error))?;
                let key = key.value().to_owned();
                match parse(table, &key, value.value()) {
                    Ok(value) => sound.push((key, value)),
                    Err(error) => bad.push(error),
                }
            }
            Ok((sound, bad))
        })
    }

    /// Writes all that `with` asks for, or nothing of it. When this answers `Ok`, it is on the disk.
    ///
    /// # Errors
    ///
    /// What `with` answers, and a failure of the store.
    pub fn write<R>(
        &self,
        with: impl FnOnce(&mut Writer<'_>) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        self.guarded(|| {
            let transaction = self.database.begin_write().map_err(|error| self.failed(error))?;
            let mut writer = Writer { store: self, transaction: &transaction };
            let result = with(&mut writer)?;
            transaction.commit().map_err(|error| self.failed(error))?;
            Ok(result)
        })
    }

    pub(crate) fn begin_read(&self) -> Result<redb::ReadTransaction, StoreError> {
        self.database.begin_read().map_err(|error| self.failed(error))
    }

    pub(crate) fn begin_write(&self) -> Result<redb::WriteTransaction, StoreError> {
        self.database.begin_write().map_err(|error| self.failed(error))
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn failed(&self, error: impl Into<redb::Error>) -> StoreError {
        StoreError::Storage { path: self.path.clone(), source: Box::new(error.into()) }
    }
}

/// What is being written at once.
pub struct Writer<'a> {
    store: &'a Store,
    transaction: &'a redb::WriteTransaction,
}

impl Writer<'_> {
    /// Puts a row, in place of the one with this key if there is one.
    ///
    /// # Errors
    ///
    /// A key or a row that is too long; a failure of the store.
    pub fn put<V: Serialize>(
        &mut self,
        table: &Table<V>,
        key: &str,
        value: &V,
    ) -> Result<(), StoreError> {
        let row = serde_json::to_vec(value).map_err(|source| StoreError::Row {
            table: table.name(),
            key: key.to_owned(),
            source,
        })?;
        let len = row.len().max(key.len());
        if len > Store::ROW_LEN_MAX {
            let (table, key) = (table.name(), key.to_owned());
            return Err(StoreError::TooLong { table, key, len });
        }
        let opened = self.transaction.open_table(table.definition());
        let mut rows = opened.map_err(|error| self.store.failed(error))?;
        rows.insert(key, pack(row).as_slice()).map_err(|error| self.store.failed(error))?;
        Ok(())
    }

    /// Removes a row. Gives whether it was there.
    ///
    /// # Errors
    ///
    /// A failure of the store.
    pub fn remove<V>(&mut self, table: &Table<V>, key: &str) -> Result<bool, StoreError> {
        let opened = self.transaction.open_table(table.definition());
        let mut rows = opened.map_err(|error| self.store.failed(error))?;
        let removed = rows.remove(key).map_err(|error| self.store.failed(error))?;
        Ok(removed.is_some())
    }
}

impl core::fmt::Debug for Writer<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Writer").field("store", &self.store.path).finish_non_exhaustive()
    }
}

/// Why a file could not be used as it is.
enum Broken {
    /// It is to be left alone.
    Refused(StoreError),
    /// It is to be put aside.
    Damaged(String),
}

impl Broken {
    fn of(path: &Path, error: DatabaseError) -> Self {
        let path = path.to_owned();
        match error {
            DatabaseError::DatabaseAlreadyOpen => Self::Refused(StoreError::InUse { path }),
            DatabaseError::Storage(StorageError::Io(source)) if !is_damage(&source) => {
                Self::Refused(StoreError::Io { path, source })
            }
            error => Self::Damaged(error.to_string()),
        }
    }

    /// A file that was opened but cannot be read is damaged, unless the file system says so.
    fn of_store(error: StoreError) -> Self {
        match error {
            StoreError::Storage { path, source } => match *source {
                redb::Error::Io(source) if !is_damage(&source) => {
                    Self::Refused(StoreError::Io { path, source })
                }
                error => Self::Damaged(error.to_string()),
            },
            StoreError::Damaged { why, .. } => Self::Damaged(why),
            error => Self::Damaged(error.to_string()),
        }
    }
}

/// What a file system says of a file whose content is not what it should be.
fn is_damage(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{InvalidData, UnexpectedEof};
    matches!(error.kind(), InvalidData | UnexpectedEof)
}

fn parse<V: DeserializeOwned>(table: &Table<V>, key: &str, row: &[u8]) -> Result<V, StoreError> {
    unpack(row).and_then(serde_json::from_slice).map_err(|source| StoreError::Row {
        table: table.name(),
        key: key.to_owned(),
        source,
    })
}

/// A file beside a store's that says that damage was met in it.
fn suspect_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".suspect");
    path.with_file_name(name)
}

/// Renames a damaged file to a name that is free.
fn put_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let free = (1..)
        .map(|number: u32| path.with_file_name(format!("{name}.damaged-{number}")))
        .find(|aside| !aside.exists());
    let aside = free.unwrap_or_else(|| path.with_extension("damaged"));
    let failed = |source| StoreError::Io { path: path.to_owned(), source };
    fs::rename(path, &aside).map_err(failed)?;
    Ok(aside)
}
