//! What people and applications want of writable points: priority arrays, and what is kept of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use pointstream_conn::{Room, WriteDone, Writing};
use pointstream_point::{
    Cur, Effective, Id, Level, LevelWrite, PointKey, Status, Value, WriteInfo, Written,
};
use pointstream_points::Entry;
use pointstream_time::Instant;

use super::WriteError;
use super::keeper::{KeepRoom, Keeping};
use super::shared::{Shared, State};

/// A level of a point that was written.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LevelWritten {
    /// The level.
    pub level: Level,
    /// The value that stands there, with the point's unit.
    pub val: Value,
    /// What wins among all levels; another level's value if a stronger one has any.
    pub effective: Effective,
    /// What became of it at the device; nothing where the write changed nothing that is in effect,
    /// and for a point without a connector.
    pub done: Option<WriteDone>,
}

/// Room at the connector and at the store, taken before the lock, so that what is done under it goes
/// out in the order in which it came into effect.
struct Rooms {
    /// That of the connector with this shard, if the point has one.
    conn: Option<(u32, Room)>,
    /// That of the store, if the level is one that is kept.
    keep: Option<KeepRoom>,
}

/// What is waited for once the lock is free.
#[derive(Default)]
struct After {
    writing: Option<Writing>,
    keeping: Option<Keeping>,
}

/// The values that were kept, by point, until their points are there.
pub(super) type Kept = BTreeMap<Id, Vec<(Level, Value)>>;

impl Shared {
    /// Writes one level of a point.
    pub(crate) async fn write(
        &self,
        id: &Id,
        write: LevelWrite,
    ) -> Result<LevelWritten, WriteError> {
        let (mut written, effective, after) = loop {
            let rooms = self.rooms(id, write.level).await?;
            let now = self.clock.now().at;
            let mut guard = self.lock();
            let state = &mut *guard;
            let spec = match state.points.find(id.as_str()) {
                None => return Err(WriteError::UnknownPoint(id.clone())),
                Some((_, entry)) if shard_of(state, entry) != rooms.shard() => continue,
                Some((_, entry)) => Arc::clone(&entry.spec),
            };
            let written = state.arrays.write(now, &spec, write)?;
            let after = self.on_level(state, id, &written, rooms);
            break (written, state.arrays.effective(id.as_str()), after);
        };
        self.changed_times.notify_one();
        let (kept, done) = tokio::join!(
            async {
                match after.keeping {
                    Some(keeping) => keeping.done().await,
                    None => Ok(()),
                }
            },
            async {
                match after.writing {
                    Some(writing) => writing.done().await.map(Some),
                    None => Ok(None),
                }
            },
        );
        let val = core::mem::take(&mut written.val);
        let done = done?;
        kept.map_err(WriteError::NotKept)?;
        Ok(LevelWritten { level: written.level, val, effective, done })
    }

    /// Takes room for what the write of a level of a point may bring about.
    async fn rooms(&self, id: &Id, level: Level) -> Result<Rooms, WriteError> {
        let (conn, keeper) = {
            let state = self.lock();
            let (_, entry) = state
                .points
                .find(id.as_str())
                .ok_or_else(|| WriteError::UnknownPoint(id.clone()))?;
            let conn = entry.conn.as_deref().and_then(|conn| state.conns.get(conn));
            let room = conn.map(|conn| (conn.shard, conn.handle.room()));
            (room, level.is_persistent().then(|| state.keeper.clone()))
        };
        let conn = match conn {
            Some((shard, room)) => Some((shard, room.await)),
            None => None,
        };
        let keep = match keeper {
            Some(keeper) => Some(keeper.room().await),
            None => None,
        };
        Ok(Rooms { conn, keep })
    }

    /// Releases what was written for a time, at its end.
    pub(super) async fn release_levels(&self, now: Instant) {
        let released: Vec<(Id, Written, Effective)> = {
            let mut guard = self.lock();
            let state = &mut *guard;
            let released = state.arrays.handle_timeout(now);
            let shown = released.into_iter().map(|(id, written)| {
                if let Some((key, _)) = state.points.find(id.as_str()) {
                    self.show_effective(state, key);
                }
                let effective = state.arrays.effective(id.as_str());
                (id, written, effective)
            });
            shown.collect()
        };
        for (id, mut written, effective) in released {
            let Ok(rooms) = self.rooms(&id, written.level).await else { continue };
            let after = {
                let mut guard = self.lock();
                let state = &mut *guard;
                let array = state.arrays.get(id.as_str());
                // Whatever was written since the release has told the device and the store itself.
                let level = written.level;
                written.persist &= array.is_some_and(|array| *array.get(level) == Value::Null);
                if array.is_none_or(|array| *array.effective() != effective) {
                    written.effective = None;
                }
                self.on_level(state, &id, &written, rooms)
            };
            if let Some(keeping) = after.keeping
                && let Err(error) = keeping.done().await
            {
                tracing::warn!(%error, "A released level is still kept for the next start.");
            }
        }
    }

    /// Shows what a write of a level changed, and tells the connector and the store.
    fn on_level(&self, state: &mut State, id: &Id, written: &Written, rooms: Rooms) -> After {
        let mut after = After::default();
        let who = Arc::clone(&written.who);
        if written.persist {
            // From now on this is what comes back, should the point go and come again.
            if let Some(kept) = state.kept.get_mut(id) {
                kept.retain(|(level, _)| *level != written.level);
            }
            let keep = |room: KeepRoom| room.keep(id, written.level, written.val.clone(), &who);
            after.keeping = rooms.keep.map(keep);
        }
        let Some((key, _)) = state.points.find(id.as_str()) else { return after };
        self.show_effective(state, key);
        let Some(entry) = state.points.get(key) else { return after };
        let effective = state.arrays.effective(id.as_str());
        // Who writes the same value again wants the device to have it, if it seems not to.
        let status = entry.write.as_ref().and_then(|write| write.status.as_ref());
        let failed = status.is_none_or(|write| write.status != Status::Ok);
        let cur = entry.cur();
        let differs = cur.status == Status::Ok && !cur.val.same(&effective.val);
        let again = written.level == effective.level && (failed || differs);
        let wanted = written.effective.is_some() || (again && effective.val != Value::Null);
        let room = rooms.conn.filter(|(shard, _)| shard_of(state, entry) == Some(*shard));
        let room = room.filter(|_| wanted && entry.spec.write.is_some());
        after.writing = room.map(|(_, room)| room.write(key, WriteInfo::new(effective, who)));
        after
    }

    /// Has a point show what is in effect for it, as its current value too if it tracks that.
    fn show_effective(&self, state: &mut State, key: PointKey) {
        let Some(entry) = state.points.get(key) else { return };
        let effective = state.arrays.effective(entry.spec.id.as_str());
        let tracks = entry.spec.more.cur_tracks_write && entry.spec.cur.is_none();
        let before = entry.cur();
        let news = before.status != Status::Ok || !before.val.same(&effective.val);
        let cur = (tracks && news).then(|| {
            let mut cur = Cur::default();
            (cur.status, cur.val) = (Status::Ok, effective.val.clone());
            cur.ts = self.clock.now().wall;
            cur
        });
        state.points.set_effective(key, effective);
        if let Some(cur) = cur {
            self.show(state, [(key, &cur)]);
        }
    }

    /// Gives a new point what was kept of its levels across a restart, and has it show what is in
    /// effect.
    pub(super) fn adopt(&self, state: &mut State, key: PointKey) {
        let Some(entry) = state.points.get(key) else { return };
        let spec = Arc::clone(&entry.spec);
        if !spec.is_writable() {
            return;
        }
        for level in state.arrays.fit(&spec) {
            tracing::warn!(point = %spec.id, %level, "A value that does not fit any more was released.");
        }
        for (level, val) in state.kept.remove(&spec.id).unwrap_or_default() {
            if let Err(error) = state.arrays.restore(&spec, level, val) {
                tracing::warn!(point = %spec.id, %level, %error, "A kept level was left out.");
            }
        }
        self.show_effective(state, key);
    }

    /// Tells connectors what these points have had from the start. What nobody has written is not
    /// told, since there is nothing to write.
    pub(super) async fn write_first(&self, keys: &[PointKey]) {
        let first = |state: &State, key: PointKey| {
            let entry = state.points.get(key)?;
            let effective = state.arrays.effective(entry.spec.id.as_str());
            entry.spec.write.as_ref().filter(|_| effective.val != Value::Null)?;
            let conn = state.conns.get(entry.conn.as_deref()?)?;
            Some((conn.handle.room(), WriteInfo::first(effective)))
        };
        for &key in keys {
            let Some((room, _)) = first(&self.lock(), key) else { continue };
            let room = room.await;
            // What has come into effect meanwhile is told by whoever wrote it, before or after.
            let state = self.lock();
            if let Some((_, info)) = first(&state, key) {
                room.put(key, info);
            }
        }
    }
}

impl Rooms {
    fn shard(&self) -> Option<u32> {
        self.conn.as_ref().map(|(shard, _)| *shard)
    }
}

/// The shard of the connector that a point has at present.
fn shard_of(state: &State, entry: &Entry) -> Option<u32> {
    state.conns.get(entry.conn.as_deref()?).map(|conn| conn.shard)
}
