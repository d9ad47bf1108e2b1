use std::fs;
use std::path::{Path, PathBuf};

use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Table;

/// An open file of tables.
#[derive(Debug)]
pub struct Store {
    database: Database,
    path: PathBuf,
}

/// How a store came to be open.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Opened {
    /// The file was there and sound.
    Found,
    /// There was no file; it was made.
    Made,
    /// The file was damaged. It was put aside under this name, and a fresh one made.
    Quarantined {
        /// Where the damaged file is.
        aside: PathBuf,
        /// What was wrong with it.
        why: String,
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

/// How much of the file is kept in memory.
const CACHE_BYTES: usize = 64 << 20;

const META: Table<u32> = Table::new("meta");
const FORMAT_KEY: &str = "format";

impl Store {
    /// The format of the files that this version writes.
    pub const FORMAT: u32 = 1;

    /// The longest key, and the longest row as it is stored, in bytes.
    pub const ROW_LEN_MAX: usize = 1 << 20;

    /// Opens the file at `path`, making it if there is none.
    ///
    /// # Errors
    ///
    /// A file in use by another process or written by a later version is left as it is; so is
    /// everything when the file system fails.
    pub fn open(path: &Path) -> Result<(Self, Opened), StoreError> {
        let found = path.exists();
        match Self::try_open(path) {
            Ok(store) => Ok((store, if found { Opened::Found } else { Opened::Made })),
            Err(Broken::Refused(error)) => Err(error),
            Err(Broken::Damaged(why)) => {
                let aside = put_aside(path)?;
                match Self::try_open(path) {
                    Ok(store) => Ok((store, Opened::Quarantined { aside, why })),
                    Err(Broken::Refused(error)) => Err(error),
                    Err(Broken::Damaged(why)) => Err(StoreError::Io {
                        path: path.to_owned(),
                        source: std::io::Error::other(why),
                    }),
                }
            }
        }
    }

    fn try_open(path: &Path) -> Result<Self, Broken> {
        let database = Database::builder().set_cache_size(CACHE_BYTES).create(path);
        let database = database.map_err(|error| Broken::of(path, error))?;
        let store = Self { database, path: path.to_owned() };
        let format = store.get(&META, FORMAT_KEY).map_err(Broken::of_store)?;
        match format {
            Some(found) if found > Self::FORMAT => {
                Err(Broken::Refused(StoreError::Newer { path: path.to_owned(), found }))
            }
            Some(_) => Ok(store),
            None => {
                let written = store.write(|writer| writer.put(&META, FORMAT_KEY, &Self::FORMAT));
                written.map_err(Broken::of_store)?;
                Ok(store)
            }
        }
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
        let read = self.database.begin_read().map_err(|error| self.failed(error))?;
        let rows = match read.open_table(table.definition()) {
            Ok(rows) => rows,
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            Err(error) => return Err(self.failed(error)),
        };
        let row = |row: Result<(redb::AccessGuard<'_, &str>, redb::AccessGuard<'_, &[u8]>), _>| {
            let (key, value) = row.map_err(|error: StorageError| self.failed(error))?;
            let key = key.value().to_owned();
            parse(table, &key, value.value()).map(|value| (key, value))
        };
        rows.iter().map_err(|error| self.failed(error))?.map(row).collect()
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
        let transaction = self.database.begin_write().map_err(|error| self.failed(error))?;
        let mut writer = Writer { store: self, transaction: &transaction };
        let result = with(&mut writer)?;
        transaction.commit().map_err(|error| self.failed(error))?;
        Ok(result)
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
        rows.insert(key, row.as_slice()).map_err(|error| self.store.failed(error))?;
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
    serde_json::from_slice(row).map_err(|source| StoreError::Row {
        table: table.name(),
        key: key.to_owned(),
        source,
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    const LEVELS: Table<(f64, String)> = Table::new("levels");

    /// A folder that goes when the test ends.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("pointstream-store-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn file(&self) -> PathBuf {
            self.0.join("gateway.redb")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_was_written_is_there_after_reopening() {
        let folder = Folder::new("reopen");
        let (store, opened) = Store::open(&folder.file()).unwrap();
        assert_eq!(opened, Opened::Made);
        assert_eq!(store.get(&LEVELS, "ahu.sp 8").unwrap(), None);
        assert_eq!(store.rows(&LEVELS).unwrap(), []);
        let (row, other) = ((21.5, "ann".to_owned()), (30.0, "bob".to_owned()));
        store.write(|w| w.put(&LEVELS, "ahu.sp 8", &row)).unwrap();
        store.write(|w| w.put(&LEVELS, "ahu.sp 1", &other)).unwrap();
        drop(store);
        let (store, opened) = Store::open(&folder.file()).unwrap();
        assert_eq!(opened, Opened::Found);
        assert_eq!(store.get(&LEVELS, "ahu.sp 8").unwrap(), Some(row.clone()));
        let rows = [("ahu.sp 1".to_owned(), other), ("ahu.sp 8".to_owned(), row)];
        assert_eq!(store.rows(&LEVELS).unwrap(), rows);
        assert!(store.write(|w| w.remove(&LEVELS, "ahu.sp 8")).unwrap());
        assert!(!store.write(|w| w.remove(&LEVELS, "ahu.sp 8")).unwrap());
    }

    #[test]
    fn a_write_that_fails_leaves_nothing() {
        let folder = Folder::new("atomic");
        let (store, _) = Store::open(&folder.file()).unwrap();
        let long = "x".repeat(Store::ROW_LEN_MAX);
        let failed = store.write(|w| {
            w.put(&LEVELS, "a", &(1.0, "ann".to_owned()))?;
            w.put(&LEVELS, "b", &(1.0, long.clone()))
        });
        assert!(matches!(failed, Err(StoreError::TooLong { .. })));
        assert_eq!(store.rows(&LEVELS).unwrap(), []);
    }

    #[test]
    fn rows_are_bounded_at_their_limit() {
        const TEXTS: Table<String> = Table::new("texts");
        let folder = Folder::new("limit");
        let (store, _) = Store::open(&folder.file()).unwrap();
        // Two quotes are stored besides.
        let put = |len: usize| store.write(|w| w.put(&TEXTS, "a", &"x".repeat(len)));
        assert!(put(Store::ROW_LEN_MAX - 2).is_ok());
        assert!(put(Store::ROW_LEN_MAX - 1).is_err());
    }

    #[test]
    fn a_damaged_file_is_put_aside_and_told() {
        let folder = Folder::new("damaged");
        for round in 1..=2 {
            fs::write(folder.file(), [0x5a; 8192]).unwrap();
            let (store, opened) = Store::open(&folder.file()).unwrap();
            let Opened::Quarantined { aside, .. } = opened else { panic!("{opened:?}") };
            assert!(aside.ends_with(format!("gateway.redb.damaged-{round}")), "{aside:?}");
            assert_eq!(fs::read(&aside).unwrap(), [0x5a; 8192]);
            store.write(|w| w.put(&LEVELS, "a", &(1.0, "ann".to_owned()))).unwrap();
        }
    }

    #[test]
    fn a_file_cut_anywhere_opens_all_the_same() {
        let folder = Folder::new("cut");
        let (store, _) = Store::open(&folder.file()).unwrap();
        store.write(|w| w.put(&LEVELS, "a", &(1.0, "ann".to_owned()))).unwrap();
        drop(store);
        let whole = fs::read(folder.file()).unwrap();
        for len in (1..whole.len()).step_by(whole.len() / 40) {
            fs::write(folder.file(), &whole[..len]).unwrap();
            let (store, _) = Store::open(&folder.file()).unwrap();
            store.write(|w| w.put(&LEVELS, "b", &(2.0, "bob".to_owned()))).unwrap();
        }
    }

    #[test]
    fn a_file_of_a_later_version_or_in_use_is_left_alone() {
        let folder = Folder::new("later");
        let (store, _) = Store::open(&folder.file()).unwrap();
        let in_use = Store::open(&folder.file()).unwrap_err();
        assert!(matches!(in_use, StoreError::InUse { .. }), "{in_use}");
        store.write(|w| w.put(&META, FORMAT_KEY, &99)).unwrap();
        drop(store);
        let newer = Store::open(&folder.file()).unwrap_err();
        assert!(
            newer.to_string().ends_with("has format 99, this version reads up to 1"),
            "{newer}"
        );
    }

    #[test]
    fn a_row_of_another_type_says_which() {
        let folder = Folder::new("row");
        let (store, _) = Store::open(&folder.file()).unwrap();
        store.write(|w| w.put(&LEVELS, "a", &(1.0, "ann".to_owned()))).unwrap();
        const OTHER: Table<bool> = Table::new("levels");
        let error = store.get(&OTHER, "a").unwrap_err().to_string();
        assert!(error.starts_with("row \"a\" of table levels: "), "{error}");
    }
}
