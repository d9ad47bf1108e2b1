use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use pointstream_conn::{Changes, ConnView, Follower, Handle, NamedTuning, PointDef};
use pointstream_hub::Hub;
use pointstream_point::{Id, PointKey, PointSpec, Tuning, Value};
use pointstream_points::{Points, Watches};

use super::{ApplyError, WriteError, topics::TopicState};
use crate::config::ConnectorConfig;

/// What the gateway's parts share. Everything here is done under a short lock that is never held
/// across an await; connectors are talked to afterwards, through clones of their handles.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) hub: Hub,
    state: Mutex<State>,
}

/// Everything that the gateway knows.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) points: Points,
    pub(super) watches: Watches,
    pub(crate) conns: BTreeMap<Id, Conn>,
    pub(super) topics: BTreeMap<Id, TopicState>,
    tunings: BTreeMap<Id, Arc<NamedTuning>>,
}

/// A running connector.
#[derive(Debug)]
pub(crate) struct Conn {
    shard: u32,
    pub(crate) config: ConnectorConfig,
    pub(crate) view: ConnView,
    pub(crate) handle: Handle,
    keys: BTreeMap<Id, PointKey>,
}

impl Conn {
    /// A connector without points so far.
    pub(super) fn new(shard: u32, config: &ConnectorConfig, handle: Handle) -> Self {
        let config = ConnectorConfig { points: Vec::new(), ..config.clone() };
        Self { shard, config, view: ConnView::default(), handle, keys: BTreeMap::new() }
    }

    /// How many points it has.
    #[cfg(feature = "http")]
    pub(crate) fn points(&self) -> usize {
        self.keys.len()
    }
}

impl Shared {
    pub(super) fn new(hub: Hub) -> Self {
        Self { hub, state: Mutex::default() }
    }

    /// The state. A panic under the lock leaves nothing half-done that the next one could not
    /// read, so a poisoned lock is taken all the same.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connectors that there are, as they are configured, without their points.
    pub(super) fn running(&self) -> BTreeMap<Id, ConnectorConfig> {
        let state = self.lock();
        state.conns.iter().map(|(id, conn)| (id.clone(), conn.config.clone())).collect()
    }

    pub(super) fn insert_connector(&self, conn: Conn) {
        self.lock().conns.insert(conn.config.id.clone(), conn);
    }

    /// Removes a connector and its points. Its task ends when its handle is dropped here.
    pub(super) fn remove_connector(&self, id: &Id) {
        let mut state = self.lock();
        let Some(conn) = state.conns.remove(id) else { return };
        for &key in conn.keys.values() {
            state.watches.forget(key);
        }
        state.points.remove_shard(conn.shard);
    }

    /// Removes those points of a connector that its next configuration has not, or has otherwise.
    /// Gives whether there were any.
    pub(super) async fn remove_points(&self, config: &ConnectorConfig) -> bool {
        let (handle, gone) = {
            let mut state = self.lock();
            let Some(conn) = state.conns.get(&config.id) else { return false };
            let next: BTreeMap<&Id, &PointSpec> =
                config.points.iter().map(|point| (&point.id, point)).collect();
            let stays = |old: &PointSpec| {
                // A change of the tuning alone does not make a point another one.
                let mut old = old.clone();
                let new = next.get(&old.id);
                old.tuning = new.and_then(|new| new.tuning.clone());
                new.is_some_and(|new| **new == old)
            };
            let keys = conn.keys.values().copied();
            let spec = |key| state.points.get(key).map(|entry| Arc::clone(&entry.spec));
            let gone: Vec<PointKey> =
                keys.filter(|&key| spec(key).is_none_or(|spec| !stays(&spec))).collect();
            let handle = conn.handle.clone();
            for &key in &gone {
                state.watches.forget(key);
                let entry = state.points.remove(key);
                if let (Some(entry), Some(conn)) = (entry, state.conns.get_mut(&config.id)) {
                    conn.keys.remove(&entry.spec.id);
                }
            }
            (handle, gone)
        };
        let any = !gone.is_empty();
        if any {
            handle.unbind(gone).await;
        }
        any
    }

    /// Adds the points of a connector that are new, and takes over its other settings. Gives
    /// whether anything was different.
    pub(super) async fn update_connector(
        &self,
        config: &ConnectorConfig,
    ) -> Result<bool, ApplyError> {
        let (handle, fresh, retuned, switched, changed) = {
            let mut guard = self.lock();
            let state = &mut *guard;
            let Some(conn) = state.conns.get_mut(&config.id) else { return Ok(false) };
            let old_tuning = conn.config.tuning.clone();
            let wall = jiff::Timestamp::now();
            let (mut fresh, mut retuned) = (Vec::new(), Vec::new());
            for point in &config.points {
                let name = point.tuning.as_ref().or(config.tuning.as_ref());
                let tuning = resolve(&state.tunings, name);
                let spec = Arc::new(point.clone());
                let Some(&key) = conn.keys.get(&point.id) else {
                    let (points, shard) = (&mut state.points, conn.shard);
                    let key = points.insert(shard, &config.id, Arc::clone(&spec), wall);
                    let key = key.map_err(|error| ApplyError::Limit(error.to_string()))?;
                    conn.keys.insert(point.id.clone(), key);
                    fresh.push(PointDef::new(key, spec, tuning));
                    continue;
                };
                let before = state.points.get(key).and_then(|entry| entry.spec.tuning.clone());
                state.points.set_spec(key, spec);
                if before.or_else(|| old_tuning.clone()).as_ref() != name {
                    retuned.push((key, tuning));
                }
            }
            let switched = conn.config.disabled != config.disabled;
            let named = conn.config.dis != config.dis;
            conn.config = ConnectorConfig { points: Vec::new(), ..config.clone() };
            let changed = switched || named || !fresh.is_empty() || !retuned.is_empty();
            (conn.handle.clone(), fresh, retuned, switched, changed)
        };
        if !fresh.is_empty() {
            handle.bind(fresh).await;
        }
        if !retuned.is_empty() {
            handle.retune(retuned).await;
        }
        if switched {
            handle.disable(config.disabled).await;
        }
        Ok(changed)
    }

    /// Takes over the tunings and tells everyone those that changed.
    pub(super) async fn set_tunings(&self, tunings: &BTreeMap<Id, Tuning>) {
        let (changed, handles) = {
            let mut state = self.lock();
            let mut changed = Vec::new();
            let mut next = BTreeMap::new();
            for (id, tuning) in tunings {
                let old = state.tunings.get(id).filter(|old| old.tuning == *tuning);
                let named = old.map_or_else(
                    || Arc::new(NamedTuning::new(id.clone(), tuning.clone())),
                    Arc::clone,
                );
                if old.is_none() {
                    changed.push(Arc::clone(&named));
                }
                next.insert(id.clone(), named);
            }
            if state.tunings.contains_key("default") && !next.contains_key("default") {
                changed.push(default_tuning());
            }
            state.tunings = next;
            let handles: Vec<_> = state.conns.values().map(|conn| conn.handle.clone()).collect();
            (changed, handles)
        };
        for handle in handles {
            for tuning in &changed {
                handle.tuning(Arc::clone(tuning)).await;
            }
        }
    }

    /// Writes a value to a point.
    pub(crate) async fn write(&self, id: &Id, value: Value) -> Result<Value, WriteError> {
        let (writing, value) = {
            let state = self.lock();
            let found = state.points.find(id.as_str());
            let (key, entry) = found.ok_or_else(|| WriteError::UnknownPoint(id.clone()))?;
            let value = entry.spec.check_write(value)?;
            let conn = state.conns.get(&entry.conn);
            let conn = conn.ok_or_else(|| WriteError::UnknownPoint(id.clone()))?;
            (conn.handle.write(key, value.clone()), value)
        };
        writing.await?;
        Ok(value)
    }

    /// Tells connectors which of these points are watched and which are not.
    ///
    /// Several tasks may be telling at a time, and one may be overtaken by another. So each looks
    /// again after it has told: whoever comes last tells what holds.
    pub(super) async fn tell_watched(&self, mut keys: Vec<PointKey>) {
        while !keys.is_empty() {
            let by_conn = {
                let state = self.lock();
                let mut by_conn: BTreeMap<(&Id, bool), Vec<PointKey>> = BTreeMap::new();
                for key in keys.drain(..) {
                    if let Some(entry) = state.points.get(key) {
                        let watched = state.watches.is_watched(key);
                        by_conn.entry((&entry.conn, watched)).or_default().push(key);
                    }
                }
                let with_handle = |((id, watched), keys)| {
                    Some((state.conns.get(id)?.handle.clone(), watched, keys))
                };
                by_conn.into_iter().filter_map(with_handle).collect::<Vec<_>>()
            };
            for (handle, watched, told) in by_conn {
                match watched {
                    true => handle.watch(told.clone()).await,
                    false => handle.unwatch(told.clone()).await,
                }
                let state = self.lock();
                keys.extend(
                    told.into_iter().filter(|&key| state.watches.is_watched(key) != watched),
                );
            }
        }
    }

    /// Lets go of every connector and ends every topic.
    pub(super) fn close(&self) {
        let topics: BTreeSet<Id> = {
            let mut state = self.lock();
            state.conns.clear();
            core::mem::take(&mut state.topics).into_keys().collect()
        };
        for id in topics {
            // One that is gone already is what is wanted.
            let _ = self.hub.remove(id.as_str());
        }
    }

    fn on_changes(&self, changes: &Changes) {
        let mut guard = self.lock();
        let State { points, topics, .. } = &mut *guard;
        let rows: Vec<(PointKey, String)> = changes
            .points
            .iter()
            .filter_map(|(key, cur)| {
                let entry = points.apply(*key, cur)?;
                Some((*key, super::row::row(cur, entry.spec.unit)))
            })
            .collect();
        for (id, topic) in topics.iter() {
            topic.edit(&self.hub, id, &rows);
        }
    }
}

fn resolve(tunings: &BTreeMap<Id, Arc<NamedTuning>>, name: Option<&Id>) -> Arc<NamedTuning> {
    let named = name.and_then(|name| tunings.get(name));
    named.or_else(|| tunings.get("default")).map_or_else(default_tuning, Arc::clone)
}

/// The tuning of points that name none where none is named `default`.
fn default_tuning() -> Arc<NamedTuning> {
    #[expect(clippy::expect_used, reason = "the text is a legal id")]
    let id = "default".parse().expect("a legal id");
    Arc::new(NamedTuning::new(id, Tuning::default()))
}

/// Follows one connector. It holds the gateway weakly, since the gateway holds the connector's
/// handle.
pub(super) struct Follow {
    shared: Weak<Shared>,
    id: Id,
    shard: u32,
}

impl Follow {
    pub(super) fn new(shared: &Arc<Shared>, id: Id, shard: u32) -> Self {
        Self { shared: Arc::downgrade(shared), id, shard }
    }
}

impl Follower for Follow {
    fn on_changes(&self, changes: &Arc<Changes>) {
        if let Some(shared) = self.shared.upgrade() {
            shared.on_changes(changes);
        }
    }

    fn on_conn(&self, view: &ConnView) {
        let Some(shared) = self.shared.upgrade() else { return };
        if let Some(conn) = shared.lock().conns.get_mut(&self.id)
            && conn.shard == self.shard
        {
            conn.view = view.clone();
        }
    }
}
