//! The embedded store of a gateway.
//!
//! One file holds typed [`Table`]s of rows by text key. A [`Store`] has one writer at a time and any
//! number of readers; what [`Store::write`] answered `Ok` to is on the disk. Calls block: an
//! application on an async runtime makes them on a blocking thread.
//!
//! [`History`] keeps past values, in the same file: [`StoredHistory`].
//!
//! A file that is damaged never keeps a gateway from starting: [`Store::open`] puts it aside under
//! another name, begins a fresh one and says so in [`Opened`].

mod history;
mod store;
mod table;

pub use history::{HisInfo, History, SeriesWrite, StoredHistory, Trimmed};
pub use store::{Checked, Opened, SoundRows, Store, StoreError, Writer};
pub use table::Table;
