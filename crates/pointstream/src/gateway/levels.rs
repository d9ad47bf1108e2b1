//! What people and applications want of writable points: priority arrays, and what is kept of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use pointstream_conn::{Handle, WriteDone};
use pointstream_point::{
    Cur, Effective, Fault, Id, Level, LevelWrite, PointKey, Status, Value, WriteInfo, Written,
};
use pointstream_time::Instant;

use super::WriteError;
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

/// What is to be done after a level was written, once the lock is free.
pub(super) struct After {
    /// What the connector is to write.
    send: Option<(Handle, PointKey, WriteInfo)>,
    /// What is to be kept across a restart.
    keep: Option<(Id, Level, Value, Arc<str>)>,
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
        let now = self.clock.now().at;
        let (mut written, effective, after) = {
            let mut guard = self.lock();
            let state = &mut *guard;
            let found = state.points.find(id.as_str());
            let (_, entry) = found.ok_or_else(|| WriteError::UnknownPoint(id.clone()))?;
            let spec = Arc::clone(&entry.spec);
            let written = state.arrays.write(now, &spec, write)?;
            let after = self.on_level(state, id, &written);
            (written, state.arrays.effective(id.as_str()), after)
        };
        self.changed_times.notify_one();
        let (kept, done) = tokio::join!(self.keep(after.keep), send(after.send));
        let val = core::mem::take(&mut written.val);
        let done = done.transpose()?;
        kept.map_err(WriteError::NotKept)?;
        Ok(LevelWritten { level: written.level, val, effective, done })
    }

    /// Releases what was written for a time, at its end.
    pub(super) async fn release_levels(&self, now: Instant) {
        let afters: Vec<After> = {
            let mut guard = self.lock();
            let state = &mut *guard;
            let released = state.arrays.handle_timeout(now);
            released.iter().map(|(id, written)| self.on_level(state, id, written)).collect()
        };
        for After { send: sending, keep } in afters {
            if let Err(error) = self.keep(keep).await {
                tracing::warn!(%error, "A released level is still kept for the next start.");
            }
            if let Some((handle, key, info)) = sending {
                handle.put(key, info).await;
            }
        }
    }

    /// Shows what a write of a level changed, and says what is to be done about it.
    fn on_level(&self, state: &mut State, id: &Id, written: &Written) -> After {
        let persist = written.persist;
        let (val, who) = (written.val.clone(), Arc::clone(&written.who));
        let keep = persist.then(|| (id.clone(), written.level, val, who));
        let Some((key, _)) = state.points.find(id.as_str()) else {
            return After { send: None, keep };
        };
        self.show_effective(state, key);
        let Some(entry) = state.points.get(key) else { return After { send: None, keep } };
        let effective = state.arrays.effective(id.as_str());
        // Who writes the same value again wants the device to have it, if it seems not to.
        let status = entry.write.as_ref().and_then(|write| write.status.as_ref());
        let failed = status.is_none_or(|write| write.status != Status::Ok);
        let cur = entry.cur();
        let differs = cur.status == Status::Ok && !cur.val.same(&effective.val);
        let again = written.level == effective.level && (failed || differs);
        let wanted = written.effective.is_some() || (again && effective.val != Value::Null);
        let conn = entry.conn.as_deref().filter(|_| wanted && entry.spec.write.is_some());
        let handle = conn.and_then(|conn| state.conns.get(conn)).map(|conn| conn.handle.clone());
        let who = Arc::clone(&written.who);
        let send = handle.map(|handle| (handle, key, WriteInfo::new(effective, who)));
        After { send, keep }
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
        let firsts: Vec<_> = {
            let state = self.lock();
            let first = |key: &PointKey| {
                let entry = state.points.get(*key)?;
                let effective = state.arrays.effective(entry.spec.id.as_str());
                entry.spec.write.as_ref().filter(|_| effective.val != Value::Null)?;
                let conn = state.conns.get(entry.conn.as_deref()?)?;
                Some((conn.handle.clone(), *key, WriteInfo::first(effective)))
            };
            keys.iter().filter_map(first).collect()
        };
        for (handle, key, info) in firsts {
            handle.put(key, info).await;
        }
    }

    /// Keeps a level across a restart, where there is a store.
    async fn keep(&self, keep: Option<(Id, Level, Value, Arc<str>)>) -> Result<(), String> {
        let Some((id, level, val, who)) = keep else { return Ok(()) };
        let keeper = self.lock().keeper.clone();
        keeper.keep(&id, level, val, &who).await
    }
}

async fn send(send: Option<(Handle, PointKey, WriteInfo)>) -> Option<Result<WriteDone, Fault>> {
    let (handle, key, info) = send?;
    let writing = handle.write(key, info);
    drop(handle);
    Some(writing.await)
}
