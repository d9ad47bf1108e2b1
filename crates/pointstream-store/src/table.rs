use core::marker::PhantomData;

use redb::TableDefinition;

/// A table of rows of type `V` by text key. A constant: its name is what the file knows.
///
/// ```
/// use pointstream_store::Table;
///
/// const LEVELS: Table<f64> = Table::new("levels");
/// ```
#[derive(Debug)]
pub struct Table<V> {
    name: &'static str,
    row: PhantomData<fn() -> V>,
}

impl<V> Table<V> {
    /// The table of this name.
    pub const fn new(name: &'static str) -> Self {
        Self { name, row: PhantomData }
    }

    /// The name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) const fn definition(&self) -> TableDefinition<'static, &'static str, &'static [u8]> {
        TableDefinition::new(self.name)
    }
}
