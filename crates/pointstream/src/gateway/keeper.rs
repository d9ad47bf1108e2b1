//! What is kept across a restart, and the thread that writes it.

use pointstream_point::{Id, Level, Value};

#[cfg(feature = "store")]
pub(super) use stored::open;

/// The way to what is kept; nothing is, without a store.
#[derive(Clone, Debug, Default)]
pub(super) struct Keeper {
    #[cfg(feature = "store")]
    rows: Option<tokio::sync::mpsc::Sender<stored::Row>>,
}

impl Keeper {
    /// Whether anything is kept.
    pub(super) fn keeps(&self) -> bool {
        #[cfg(feature = "store")]
        {
            self.rows.is_some()
        }
        #[cfg(not(feature = "store"))]
        {
            false
        }
    }

    /// Waits until there is room for one row and keeps it, so that the row is then given without
    /// waiting, under the lock that decides in which order rows are to come.
    #[cfg(not(feature = "store"))]
    #[expect(clippy::unused_async, reason = "with a store it waits")]
    pub(super) async fn room(self) -> KeepRoom {
        KeepRoom {}
    }

    /// Waits until there is room for one row and keeps it, so that the row is then given without
    /// waiting, under the lock that decides in which order rows are to come.
    #[cfg(feature = "store")]
    pub(super) async fn room(self) -> KeepRoom {
        match self.rows {
            None => KeepRoom { row: None },
            // Where the store has ended, the row has no taker and whoever keeps it is told.
            Some(rows) => KeepRoom { row: Some(rows.reserve_owned().await.ok()) },
        }
    }
}

/// Room for one row.
#[derive(Debug)]
pub(super) struct KeepRoom {
    #[cfg(feature = "store")]
    row: Option<Option<tokio::sync::mpsc::OwnedPermit<stored::Row>>>,
}

impl KeepRoom {
    /// Keeps the value of a level, or no longer.
    #[cfg(not(feature = "store"))]
    pub(super) fn keep(self, _: &Id, _: Level, _: Value, _: &str) -> Keeping {
        Keeping {}
    }

    /// Keeps the value of a level, or no longer.
    #[cfg(feature = "store")]
    pub(super) fn keep(self, id: &Id, level: Level, val: Value, who: &str) -> Keeping {
        Keeping { outcome: self.row.map(|room| stored::keep(room, id, level, val, who)) }
    }
}

/// A row that was given to the store.
#[derive(Debug)]
pub(super) struct Keeping {
    #[cfg(feature = "store")]
    outcome: Option<tokio::sync::oneshot::Receiver<Result<(), String>>>,
}

impl Keeping {
    /// Waits until it is on the disk.
    #[cfg(not(feature = "store"))]
    #[expect(clippy::unused_async, reason = "with a store it waits")]
    pub(super) async fn done(self) -> Result<(), String> {
        Ok(())
    }

    /// Waits until it is on the disk.
    #[cfg(feature = "store")]
    pub(super) async fn done(self) -> Result<(), String> {
        let Some(outcome) = self.outcome else { return Ok(()) };
        outcome.await.unwrap_or_else(|_| Err("the gateway has ended".to_owned()))
    }
}

#[cfg(feature = "store")]
mod stored {
    use std::path::Path;
    use std::sync::Arc;

    use pointstream_point::{Id, Level, Value};
    use pointstream_store::{Opened, Store, StoreError, Table};
    use serde::{Deserialize, Serialize};
    use tokio::sync::{mpsc, oneshot};

    use super::Keeper;
    use crate::gateway::levels::Kept;

    /// What stands at the levels that are kept, by `point/level`.
    const LEVELS: Table<LevelRow> = Table::new("levels");

    /// How many rows may wait to be written. Whoever keeps more waits.
    const ROWS_MAX: usize = 1024;

    #[derive(Debug, Deserialize, Serialize)]
    struct LevelRow {
        val: Value,
        who: String,
    }

    #[derive(Debug)]
    pub(crate) struct Row {
        key: String,
        row: Option<LevelRow>,
        done: oneshot::Sender<Result<(), String>>,
    }

    /// Opens the store, and gives what was kept in it and the work of writing it, which ends with
    /// the last of its keepers.
    pub(crate) fn open(
        path: &Path,
    ) -> Result<(Keeper, Kept, Arc<Store>, impl Future<Output = ()> + Send + use<>), StoreError>
    {
        let (store, opened) = Store::open(path)?;
        if let Opened::Quarantined { aside, why, saved } = &opened {
            let (file, aside) = (path.display(), aside.display());
            let text =
                "The store was damaged and put aside; a new one begins with what is sound in it.";
            tracing::error!(%file, %aside, why, saved, "{text}");
        }
        let mut kept = Kept::new();
        let (rows, bad) = store.sound_rows(&LEVELS)?;
        for error in bad {
            tracing::error!(%error, "A level that was kept cannot be read.");
        }
        for (key, row) in rows {
            let named = key.rsplit_once('/').and_then(|(id, level)| {
                Some((id.parse::<Id>().ok()?, Level::new(level.parse::<i64>().ok()?).ok()?))
            });
            match named {
                Some((id, level)) => kept.entry(id).or_default().push((level, row.val)),
                None => tracing::warn!(key, "A row of the store names no level of a point."),
            }
        }
        let (sender, rows) = mpsc::channel(ROWS_MAX);
        let store = Arc::new(store);
        Ok((Keeper { rows: Some(sender) }, kept, Arc::clone(&store), write(store, rows)))
    }

    pub(super) fn keep(
        room: Option<mpsc::OwnedPermit<Row>>,
        id: &Id,
        level: Level,
        val: Value,
        who: &str,
    ) -> oneshot::Receiver<Result<(), String>> {
        let (done, outcome) = oneshot::channel();
        let row = (val != Value::Null).then(|| LevelRow { val, who: who.to_owned() });
        let key = format!("{id}/{}", level.number());
        if let Some(room) = room {
            drop(room.send(Row { key, row, done }));
        }
        outcome
    }

    /// Writes what waits, as one transaction each time, so that many writers cost one flush.
    async fn write(store: Arc<Store>, mut rows: mpsc::Receiver<Row>) {
        let mut batch = Vec::new();
        while rows.recv_many(&mut batch, ROWS_MAX).await > 0 {
            let (store, taken) = (Arc::clone(&store), core::mem::take(&mut batch));
            let write = move || {
                // One that cannot be kept must not take the others with it.
                let together = put(&store, &taken);
                let alone = together.is_err() && taken.len() > 1;
                for row in taken {
                    let rows = core::slice::from_ref(&row);
                    let result = if alone { put(&store, rows) } else { together.clone() };
                    // Whoever asked may have stopped waiting.
                    drop(row.done.send(result));
                }
            };
            if let Err(error) = tokio::task::spawn_blocking(write).await {
                tracing::error!(%error, "The store failed.");
            }
        }
    }

    fn put(store: &Store, rows: &[Row]) -> Result<(), String> {
        let written = store.write(|writer| {
            rows.iter().try_for_each(|Row { key, row, .. }| match row {
                Some(row) => writer.put(&LEVELS, key, row),
                None => writer.remove(&LEVELS, key).map(drop),
            })
        });
        written.map_err(|error| error.to_string())
    }
}
