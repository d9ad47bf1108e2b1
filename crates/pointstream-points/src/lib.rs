//! The directory of points.
//!
//! [`Points`] knows every point of a process by id and by key: what is configured, to whom it
//! belongs, what it shows now, and who watches it. It is a plain value without locks or I/O; its
//! owner feeds it with the changes of connectors and tells connectors which points are watched.
//! [`Arrays`] are the priority arrays of those that can be written. [`Filter`] is Haystack's filter language over a point's tags.

mod arrays;
mod by_id;
mod directory;
mod entry;
mod filter;
mod watch;

pub use arrays::{Arrays, LevelWriteError};
pub use directory::{InsertError, Points};
pub use entry::{Entry, WriteView};
pub use filter::{Filter, FilterError};
pub use watch::{WatchError, WatchId, Watches};
