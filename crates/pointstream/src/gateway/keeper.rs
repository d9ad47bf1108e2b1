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
    /// Keeps the value of a level, or no longer, and waits until it is on the disk.
    #[cfg(not(feature = "store"))]
    #[expect(clippy::unused_async, reason = "with a store it waits")]
    pub(super) async fn keep(&self, _: &Id, _: Level, _: Value, _: &str) -> Result<(), String> {
        Ok(())
    }

    /// Keeps the value of a level, or no longer, and waits until it is on the disk.
    #[cfg(feature = "store")]
    pub(super) async fn keep(
        &self,
        id: &Id,
        level: Level,
        val: Value,
        who: &str,
    ) -> Result<(), String> {
        match &self.rows {
            Some(rows) => stored::keep(rows, id, level, val, who).await,
            None => Ok(()),
        }
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
        if let Opened::Quarantined { aside, why } = &opened {
            let (file, aside) = (path.display(), aside.display());
            tracing::error!(%file, %aside, why, "The store was damaged and put aside; a new one begins.");
        }
        let mut kept = Kept::new();
        for (key, row) in store.rows(&LEVELS)? {
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

    pub(super) async fn keep(
        rows: &mpsc::Sender<Row>,
        id: &Id,
        level: Level,
        val: Value,
        who: &str,
    ) -> Result<(), String> {
        let (done, outcome) = oneshot::channel();
        let row = (val != Value::Null).then(|| LevelRow { val, who: who.to_owned() });
        let key = format!("{id}/{}", level.number());
        let ended = || "the gateway has ended".to_owned();
        rows.send(Row { key, row, done }).await.map_err(|_| ended())?;
        outcome.await.unwrap_or_else(|_| Err(ended()))
    }

    /// Writes what waits, as one transaction each time, so that many writers cost one flush.
    async fn write(store: Arc<Store>, mut rows: mpsc::Receiver<Row>) {
        let mut batch = Vec::new();
        while rows.recv_many(&mut batch, ROWS_MAX).await > 0 {
            let (store, taken) = (Arc::clone(&store), core::mem::take(&mut batch));
            let write = move || {
                let result = store.write(|writer| {
                    taken.iter().try_for_each(|Row { key, row, .. }| match row {
                        Some(row) => writer.put(&LEVELS, key, row),
                        None => writer.remove(&LEVELS, key).map(drop),
                    })
                });
                let result = result.map_err(|error| error.to_string());
                // Whoever asked may have stopped waiting.
                taken.into_iter().for_each(|row| drop(row.done.send(result.clone())));
            };
            if let Err(error) = tokio::task::spawn_blocking(write).await {
                tracing::error!(%error, "The store failed.");
            }
        }
    }
}
