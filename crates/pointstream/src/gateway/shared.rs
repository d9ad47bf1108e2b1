#[cfg(feature = "store")]
use core::sync::atomic::{AtomicBool, Ordering};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use pointstream_conn::{Changes, Clock, ConnView, Follower, Handle, NamedTuning, PointDef};
use pointstream_hub::Hub;
use pointstream_point::{Cur, EnumDefs, Id, PointKey, PointSpec, Tuning};
use pointstream_points::{Arrays, Points, WatchId, Watches};
use pointstream_time::Instant;
use tokio::sync::Notify;

use super::keeper::Keeper;
use super::levels::Kept;
use super::notices::Notices;
#[cfg(feature = "poll")]
use super::sources::Sources;
use super::{ApplyError, topics::TopicState};
use crate::config::ConnectorConfig;

/// What the gateway's parts share. Everything here is done under a short lock that is never held
/// across an await; connectors are talked to afterwards, through clones of their handles.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) hub: Hub,
    pub(super) clock: Clock,
    /// Told when something is due earlier than it was.
    pub(super) changed_times: Notify,
    state: Mutex<State>,
    #[cfg(feature = "poll")]
    sources: Mutex<Sources>,
}

/// Everything that the gateway knows.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) points: Points,
    pub(super) watches: Watches,
    /// The watches of applications with the ids that they name, so that points which come, or come
    /// again by another configuration, are in them.
    pub(super) watched_ids: BTreeMap<WatchId, Vec<Id>>,
    pub(crate) conns: BTreeMap<Id, Conn>,
    pub(super) topics: BTreeMap<Id, TopicState>,
    notices: Notices,
    #[cfg(feature = "store")]
    pub(crate) his: super::history::Histories,
    /// What IOTMP devices keep.
    #[cfg(all(feature = "iotmp", feature = "store"))]
    pub(super) properties: Option<crate::StoredProperties>,
    #[cfg(all(feature = "http", feature = "mqtt"))]
    pub(crate) observing: Option<super::Observing>,
    #[cfg(feature = "mqtt")]
    pub(super) edges: Vec<super::sparkplug::EdgeState>,
    tunings: BTreeMap<Id, Arc<NamedTuning>>,
    /// The points that belong to no connector.
    own: BTreeMap<Id, PointKey>,
    pub(crate) arrays: Arrays,
    /// The file of the configuration that is applied, if it comes from one.
    #[cfg(feature = "http")]
    pub(crate) config_path: Option<std::path::PathBuf>,
    pub(super) kept: Kept,
    pub(super) keeper: Keeper,
    pub(super) enums: Arc<EnumDefs>,
    /// When the steady state begins; not known before the first configuration.
    pub(super) steady_at: Option<Instant>,
    pub(super) steady: bool,
}

/// The shard of the points that belong to no connector. Those of connectors count from 1.
const OWN_SHARD: u32 = 0;

/// A running connector.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(super) shard: u32,
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

    /// The ids of its points.
    #[cfg(any(feature = "http", all(feature = "iotmp", feature = "store")))]
    pub(crate) fn point_ids(&self) -> impl Iterator<Item = &Id> {
        self.keys.keys()
    }

    /// How many points it has.
    #[cfg(feature = "http")]
    pub(crate) fn points(&self) -> usize {
        self.keys.len()
    }
}

impl Shared {
    pub(super) fn new(hub: Hub, clock: Clock) -> Self {
        Self {
            #[cfg(feature = "poll")]
            sources: Mutex::new(Sources::new(hub.clone())),
            hub,
            clock,
            changed_times: Notify::new(),
            state: Mutex::default(),
        }
    }

    /// The topics that are polled.
    #[cfg(feature = "poll")]
    pub(super) fn sources(&self) -> MutexGuard<'_, Sources> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The present.
    #[cfg(feature = "http")]
    pub(crate) fn now(&self) -> pointstream_point::Now {
        self.clock.now()
    }

    /// Whether the steady state begins now.
    pub(super) fn become_steady(&self, now: Instant) -> bool {
        let mut state = self.lock();
        let due = !state.steady && state.steady_at.is_some_and(|at| at <= now);
        state.steady |= due;
        due
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
        state.notices.forget(&self.hub, id);
        state.points.remove_shard(conn.shard);
    }

    /// Removes those points of a connector that its next configuration has not, or has otherwise.
    /// Gives whether there were any.
    pub(super) async fn remove_points(&self, config: &ConnectorConfig) -> bool {
        let (handle, gone) = {
            let mut state = self.lock();
            let Some(conn) = state.conns.get(&config.id) else { return false };
            let next: BTreeMap<&Id, &PointSpec> =
                config.points.iter().map(|point| (&point.id, &**point)).collect();
            let stays = |old: &PointSpec| {
                // A change of the tuning alone does not make a point another one.
                let mut old = old.clone();
                let new = next.get(&old.id);
                old.more.tuning = new.and_then(|new| new.more.tuning.clone());
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
        // Taken before the lock, so that nobody writes a point before its connector has it.
        let room = self.lock().conns.get(&config.id).map(|conn| conn.handle.room());
        let Some(room) = room else { return Ok(false) };
        let room = room.await;
        let (handle, fresh, retuned, switched, changed) = {
            let mut guard = self.lock();
            let state = &mut *guard;
            let Some(conn) = state.conns.get_mut(&config.id) else { return Ok(false) };
            let old_tuning = conn.config.tuning.clone();
            let wall = jiff::Timestamp::now();
            let (mut fresh, mut retuned) = (Vec::new(), Vec::new());
            for point in &config.points {
                let name = point.more.tuning.as_ref().or(config.tuning.as_ref());
                let tuning = resolve(&state.tunings, name);
                let spec = Arc::clone(point);
                let Some(&key) = conn.keys.get(&point.id) else {
                    let (points, shard) = (&mut state.points, conn.shard);
                    let key = points.insert(shard, Some(&config.id), Arc::clone(&spec), wall);
                    let key = key.map_err(|error| ApplyError::Limit(error.to_string()))?;
                    conn.keys.insert(point.id.clone(), key);
                    fresh.push(PointDef::new(key, spec, tuning));
                    continue;
                };
                let before = state.points.get(key).and_then(|entry| entry.spec.more.tuning.clone());
                state.points.set_spec(key, spec);
                if before.or_else(|| old_tuning.clone()).as_ref() != name {
                    retuned.push((key, tuning));
                }
            }
            let switched = conn.config.disabled != config.disabled;
            let named = conn.config.dis != config.dis;
            conn.config = ConnectorConfig { points: Vec::new(), ..config.clone() };
            let changed = switched || named || !fresh.is_empty() || !retuned.is_empty();
            let handle = conn.handle.clone();
            let keys: Vec<_> = fresh.iter().map(|def| def.key).collect();
            keys.iter().for_each(|&key| self.adopt(state, key));
            if !fresh.is_empty() {
                room.bind(fresh);
            }
            (handle, keys, retuned, switched, changed)
        };
        // What is new after the start has its first write now.
        if !fresh.is_empty() && self.lock().steady {
            self.write_first(&fresh).await;
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

    /// Adds, changes and removes the points that belong to no connector. Gives whether any did.
    pub(super) fn set_own_points(&self, specs: &[Arc<PointSpec>]) -> Result<bool, ApplyError> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let next: BTreeMap<&Id, &PointSpec> =
            specs.iter().map(|spec| (&spec.id, &**spec)).collect();
        let stays = |key: &PointKey| {
            let entry = state.points.get(*key);
            entry.is_some_and(|entry| {
                next.get(&entry.spec.id).is_some_and(|new| **new == *entry.spec)
            })
        };
        let gone: Vec<_> = state.own.values().copied().filter(|key| !stays(key)).collect();
        let mut changed = !gone.is_empty();
        for key in gone {
            state.watches.forget(key);
            if let Some(entry) = state.points.remove(key) {
                state.own.remove(&entry.spec.id);
            }
        }
        let wall = self.clock.now().wall;
        for spec in
            specs.iter().filter(|spec| !state.own.contains_key(&spec.id)).collect::<Vec<_>>()
        {
            let key = state.points.insert(OWN_SHARD, None, Arc::clone(spec), wall);
            let key = key.map_err(|error| ApplyError::Limit(error.to_string()))?;
            state.own.insert(spec.id.clone(), key);
            self.adopt(state, key);
            changed = true;
        }
        Ok(changed)
    }

    /// Forgets the priority arrays of points that are no more.
    pub(super) fn forget_arrays(&self) {
        let mut guard = self.lock();
        let State { arrays, points, keeper, kept, .. } = &mut *guard;
        // One that is switched off keeps what it has until it is switched on again.
        let writable = |spec: &PointSpec| spec.write.is_some() || spec.more.writable;
        let gone =
            |id: &&Id| points.find(id.as_str()).is_none_or(|(_, entry)| !writable(&entry.spec));
        let gone: Vec<Id> = arrays.ids().filter(gone).cloned().collect();
        for id in gone {
            let levels = arrays.forget(id.as_str());
            // The store has them still, and gives them back should the point come again.
            if keeper.keeps() && !levels.is_empty() {
                kept.insert(id, levels);
            }
        }
    }

    /// Takes over the enum definitions and tells everyone if they are others.
    pub(super) async fn set_enums(&self, enums: &Arc<EnumDefs>) {
        let handles: Vec<_> = {
            let mut state = self.lock();
            if state.enums == *enums {
                return;
            }
            state.enums = Arc::clone(enums);
            state.conns.values().map(|conn| conn.handle.clone()).collect()
        };
        for handle in handles {
            handle.enums(Arc::clone(enums)).await;
        }
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
                        let Some(conn) = entry.conn.as_deref() else { continue };
                        by_conn.entry((conn, watched)).or_default().push(key);
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
            state.keeper = Keeper::default();
            #[cfg(feature = "store")]
            {
                state.his = super::history::Histories::default();
            }
            #[cfg(feature = "mqtt")]
            state.edges.clear();
            core::mem::take(&mut state.topics).into_keys().collect()
        };
        let _ = self.hub.remove(super::notices::TOPIC);
        for id in topics {
            // One that is gone already is what is wanted.
            let _ = self.hub.remove(id.as_str());
        }
    }

    fn on_changes(&self, changes: &Changes) {
        let mut guard = self.lock();
        let state = &mut *guard;
        for (key, write) in &changes.writes {
            state.points.apply_write(*key, write.clone());
        }
        for (key, his) in &changes.his {
            state.points.apply_his(*key, his.clone());
        }
        #[cfg(feature = "store")]
        state.his.on_past(&mut state.points, &changes.past, changes.wall);
        self.show(state, changes.points.iter().map(|(key, cur)| (*key, cur)));
    }

    /// Takes note of what points show now, and puts it into their topics.
    pub(super) fn show<'a>(
        &self,
        state: &mut State,
        changes: impl IntoIterator<Item = (PointKey, &'a Cur)>,
    ) {
        #[cfg(feature = "store")]
        let at = self.clock.now().wall;
        let State { points, topics, .. } = state;
        #[cfg(feature = "store")]
        let his = Some(&mut state.his).filter(|his| state.steady && !his.is_idle());
        #[cfg(feature = "store")]
        let mut his = his;
        #[cfg(feature = "mqtt")]
        let edges = &state.edges;
        let row = |(key, cur)| {
            let entry = points.apply(key, cur)?;
            #[cfg(feature = "store")]
            if let Some(his) = &mut his {
                his.on_change(key, at, cur);
            }
            #[cfg(feature = "mqtt")]
            edges.iter().for_each(|edge| edge.tell(key, cur));
            Some((key, super::row::row(cur, entry.spec.unit)))
        };
        let rows: Vec<(PointKey, String)> = changes.into_iter().filter_map(row).collect();
        if rows.is_empty() {
            return;
        }
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
    /// See [`Histories`](super::history::Histories).
    #[cfg(feature = "store")]
    crowded: Arc<AtomicBool>,
}

impl Follow {
    pub(super) fn new(shared: &Arc<Shared>, id: Id, shard: u32) -> Self {
        Self {
            id,
            shard,
            #[cfg(feature = "store")]
            crowded: Arc::clone(&shared.lock().his.crowded),
            shared: Arc::downgrade(shared),
        }
    }
}

impl Follower for Follow {
    fn on_changes(&self, changes: &Arc<Changes>) {
        if let Some(shared) = self.shared.upgrade() {
            shared.on_changes(changes);
        }
    }

    #[cfg(feature = "store")]
    fn has_room(&self) -> bool {
        !self.crowded.load(Ordering::Relaxed)
    }

    fn on_conn(&self, view: &ConnView) {
        let Some(shared) = self.shared.upgrade() else { return };
        let now = shared.clock.now();
        let mut guard = shared.lock();
        let state = &mut *guard;
        if let Some(conn) = state.conns.get_mut(&self.id)
            && conn.shard == self.shard
        {
            conn.view = view.clone();
            state.notices.on_view(&shared.hub, &self.id, (now.at, now.wall), view);
            #[cfg(feature = "mqtt")]
            state.edges.iter().for_each(|edge| edge.reach(&self.id, view.status));
        }
    }
}
