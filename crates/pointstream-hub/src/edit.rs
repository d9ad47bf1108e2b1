use std::fmt;

use pointstream_patch::{RowError, RowKey, Rows};

/// The rows of a topic while they are edited: all that [`Rows`] offers except the commit, which the
/// topic does once the edits are done.
pub struct Edit<'a> {
    rows: &'a mut Rows,
}

impl<'a> Edit<'a> {
    pub(crate) const fn new(rows: &'a mut Rows) -> Self {
        Self { rows }
    }

    /// Adds a row behind all others. `value` is JSON text.
    ///
    /// # Errors
    ///
    /// A key that is there, a value that is not JSON, a document that would grow too long; the rows
    /// stay as they were.
    pub fn insert(&mut self, key: &str, value: &str) -> Result<RowKey, RowError> {
        self.rows.insert(key, value)
    }

    /// Gives a row its next value, JSON text; says whether that is another one.
    ///
    /// # Errors
    ///
    /// A row that is gone, a value that is not JSON, a document that would grow too long; the rows
    /// stay as they were.
    pub fn set(&mut self, row: RowKey, value: &str) -> Result<bool, RowError> {
        self.rows.set(row, value)
    }

    /// Removes a row; says whether it was there.
    pub fn remove(&mut self, row: RowKey) -> bool {
        self.rows.remove(row)
    }

    /// The value of a row.
    pub fn get(&self, row: RowKey) -> Option<&str> {
        self.rows.get(row)
    }

    /// The row of a key.
    pub fn find(&self, key: &str) -> Option<RowKey> {
        self.rows.find(key)
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl fmt::Debug for Edit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edit").field("rows", &self.rows.len()).finish_non_exhaustive()
    }
}
