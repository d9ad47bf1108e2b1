use std::sync::Arc;

use jiff::Timestamp;
use pointstream_point::{Cur, CurState, Fault, PointKey, PointSpec, Status, Tuning, Value};
use pointstream_time::Instant;

use crate::bucket::Bucket;
use crate::config::{NamedTuning, PointDef};
use crate::driver::Binding;

/// The live state of a connector's points, by slot.
///
/// Points of one tuning form a group: they share a bucket, and they stand in one list ordered by
/// their last reading, so that finding what goes stale costs what is due and not what exists.
#[derive(Debug, Default)]
pub(crate) struct Shard {
    slots: Vec<Option<Slot>>,
    pub(crate) groups: Vec<Group>,
    changed: Vec<u32>,
    len: usize,
    watched: usize,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    group: u32,
    watched: bool,
    changed: bool,
    /// In the group's list of points with a good reading that can go stale.
    listed: bool,
    prev: Option<u32>,
    next: Option<u32>,
    spec: Arc<PointSpec>,
    /// A fault of the configuration, found when the driver bound the point.
    fault: Option<Fault>,
    /// The same for the address to write to alone.
    write_fault: Option<Fault>,
    cur: CurState,
}

/// Points that share a tuning.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) tuning: Arc<NamedTuning>,
    pub(crate) bucket: Bucket,
    members: usize,
    /// Watched points that can be read.
    pub(crate) watched: usize,
    oldest: Option<u32>,
    newest: Option<u32>,
}

/// What stands above all points of a connector.
#[derive(Clone, Debug)]
pub(crate) struct Over {
    pub(crate) status: Status,
    pub(crate) err: Arc<str>,
}

impl Shard {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn watched(&self) -> usize {
        self.watched
    }

    /// Adds a point, or replaces the one in its slot. Gives what the driver is to bind.
    pub(crate) fn insert(&mut self, def: PointDef, wall: Timestamp) -> Option<Binding> {
        let PointDef { key, spec, tuning } = def;
        self.remove_slot(key.slot);
        let group = self.group_of(tuning);
        self.groups[group as usize].members += 1;
        let binding = (!spec.disabled).then(|| Binding::of(key, &spec));
        let at = key.slot as usize;
        if self.slots.len() <= at {
            self.slots.resize_with(at + 1, || None);
        }
        self.slots[at] = Some(Slot {
            generation: key.generation,
            group,
            watched: false,
            changed: false,
            listed: false,
            prev: None,
            next: None,
            spec,
            fault: None,
            write_fault: None,
            cur: CurState::new(wall),
        });
        self.len += 1;
        binding
    }

    /// Removes a point. Gives whether it was there.
    pub(crate) fn remove(&mut self, key: PointKey) -> bool {
        self.slot(key).is_some() && self.remove_slot(key.slot)
    }

    /// Moves a point to another tuning, keeping its state.
    pub(crate) fn retune(&mut self, key: PointKey, tuning: Arc<NamedTuning>) {
        if self.slot(key).is_none() {
            return;
        }
        let watched = self.set_watched(key, false);
        let listed = self.unlist(key.slot);
        let to = self.group_of(tuning);
        if let Some(slot) = self.slots[key.slot as usize].as_mut() {
            let from = core::mem::replace(&mut slot.group, to);
            self.groups[from as usize].members -= 1;
            self.groups[to as usize].members += 1;
        }
        if listed {
            self.list_by_age(key.slot);
        }
        if watched {
            self.set_watched(key, true);
        }
    }

    /// Gives the tunings their present options; a group keeps its points and its bucket.
    pub(crate) fn update_tuning(&mut self, tuning: &Arc<NamedTuning>) -> Option<usize> {
        let at = self.groups.iter().position(|group| group.tuning.id == tuning.id)?;
        self.groups[at].tuning = floored(Arc::clone(tuning));
        Some(at)
    }

    /// Marks a point as watched or not. Gives whether that changed, for a point that can be read.
    pub(crate) fn set_watched(&mut self, key: PointKey, watched: bool) -> bool {
        let Some(slot) = self.slot_mut(key) else { return false };
        if slot.watched == watched || !slot.is_readable() {
            return false;
        }
        slot.watched = watched;
        let group = slot.group as usize;
        let group = &mut self.groups[group];
        if watched {
            group.watched += 1;
            self.watched += 1;
        } else {
            group.watched -= 1;
            self.watched -= 1;
        }
        group.bucket.replan();
        true
    }

    /// The bucket of a point.
    pub(crate) fn group_index(&self, key: PointKey) -> Option<usize> {
        self.slot(key).map(|slot| slot.group as usize)
    }

    /// The watched points that can be read, of one group or of all.
    pub(crate) fn watched_keys(&self, shard: u32, group: Option<usize>) -> Vec<PointKey> {
        let of_group = |slot: &Slot| group.is_none_or(|group| slot.group as usize == group);
        self.keyed(shard)
            .filter(|(_, slot)| slot.watched && slot.is_readable() && of_group(slot))
            .map(|(key, _)| key)
            .collect()
    }

    /// Whether the point can be read.
    pub(crate) fn is_readable(&self, key: PointKey) -> bool {
        self.slot(key).is_some_and(Slot::is_readable)
    }

    /// Whether the point is there and enabled and has an address to write to; else why not.
    pub(crate) fn check_writable(&self, key: PointKey) -> Result<(), Fault> {
        let Some(slot) = self.slot(key) else {
            return Err(Fault::permanent("the point is gone"));
        };
        match slot.fault.as_ref().or(slot.write_fault.as_ref()) {
            _ if slot.spec.disabled => Err(Fault::permanent("Point is disabled")),
            _ if slot.spec.write.is_none() => Err(Fault::permanent("the point is not writable")),
            Some(fault) => Err(fault.clone()),
            None => Ok(()),
        }
    }

    /// Binding found the configuration of a point at fault.
    pub(crate) fn on_bind_fault(&mut self, key: PointKey, fault: Fault) {
        self.set_watched(key, false);
        if let Some(slot) = self.slot_mut(key) {
            slot.fault = Some(fault);
        }
    }

    /// Binding found the address to write to at fault; the current value is not touched by it.
    pub(crate) fn on_bind_write_fault(&mut self, key: PointKey, fault: Fault) {
        if let Some(slot) = self.slot_mut(key) {
            slot.write_fault = Some(fault);
        }
    }

    /// A reading arrived. Gives whether the point is known.
    pub(crate) fn on_reading(
        &mut self,
        key: PointKey,
        at: Instant,
        reading: Result<Value, Fault>,
    ) -> bool {
        let Some(slot) = self.slot_mut(key) else { return false };
        match reading.and_then(|value| slot.spec.accept(value)) {
            Ok(value) => {
                slot.cur.on_ok(at, value);
                self.unlist(key.slot);
                self.append(key.slot);
            }
            Err(fault) => {
                slot.cur.on_fault(at, &fault);
                self.unlist(key.slot);
            }
        }
        true
    }

    /// Turns points stale whose stale time has passed, and shows them.
    pub(crate) fn expire(&mut self, at: Instant, over: Option<&Over>, wall: Timestamp) {
        for group in 0..self.groups.len() {
            while let Some((slot, due)) = self.next_stale(group) {
                if due > at {
                    break;
                }
                self.unlist(slot);
                if let Some(slot) = self.slots[slot as usize].as_mut() {
                    slot.cur.on_stale();
                }
                self.show(slot, over, wall);
            }
        }
    }

    /// When the next point goes stale.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        (0..self.groups.len()).filter_map(|group| self.next_stale(group)).map(|(_, due)| due).min()
    }

    /// Folds what stands above a point over its own state and marks it when that changes what it
    /// shows.
    pub(crate) fn show(&mut self, at: u32, over: Option<&Over>, wall: Timestamp) {
        let Some(Some(slot)) = self.slots.get_mut(at as usize) else { return };
        if slot.spec.cur.is_none() && !slot.spec.disabled && slot.fault.is_none() {
            return;
        }
        let disabled: Arc<str>;
        let over = if let Some(fault) = &slot.fault {
            Some((fault.status(), fault.message()))
        } else if slot.spec.disabled {
            disabled = "Point is disabled".into();
            Some((Status::Disabled, &disabled))
        } else {
            over.map(|over| (over.status, &over.err))
        };
        if slot.cur.show(over, wall) && !slot.changed {
            slot.changed = true;
            self.changed.push(at);
        }
    }

    /// Shows every point, after something above them all changed.
    pub(crate) fn show_all(&mut self, over: Option<&Over>, wall: Timestamp) {
        for at in 0..self.slots.len() {
            self.show(u32::try_from(at).unwrap_or(u32::MAX), over, wall);
        }
    }

    /// Takes what changed since the last call.
    pub(crate) fn take_changes(&mut self, shard: u32) -> Vec<(PointKey, Cur)> {
        let changed = core::mem::take(&mut self.changed);
        let cur = |slot: u32| {
            let state = self.slots.get_mut(slot as usize)?.as_mut()?;
            state.changed = false;
            Some((PointKey { shard, slot, generation: state.generation }, state.cur.cur()))
        };
        changed.into_iter().filter_map(cur).collect()
    }

    pub(crate) fn has_changes(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Every point's key.
    pub(crate) fn keys(&self, shard: u32) -> Vec<PointKey> {
        self.keyed(shard).map(|(key, _)| key).collect()
    }

    /// The key of the point in a slot.
    pub(crate) fn key_in(&self, shard: u32, slot: u32) -> Option<PointKey> {
        let taken = self.slots.get(slot as usize)?.as_ref()?;
        Some(PointKey { shard, slot, generation: taken.generation })
    }

    /// When the last reading of a point arrived.
    pub(crate) fn updated(&self, key: PointKey) -> Option<Instant> {
        self.slot(key).and_then(|slot| slot.cur.updated())
    }

    fn keyed(&self, shard: u32) -> impl Iterator<Item = (PointKey, &Slot)> {
        (0u32..).zip(&self.slots).filter_map(move |(at, slot)| {
            let slot = slot.as_ref()?;
            Some((PointKey { shard, slot: at, generation: slot.generation }, slot))
        })
    }

    fn slot(&self, key: PointKey) -> Option<&Slot> {
        let slot = self.slots.get(key.slot as usize)?.as_ref()?;
        (slot.generation == key.generation).then_some(slot)
    }

    fn slot_mut(&mut self, key: PointKey) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(key.slot as usize)?.as_mut()?;
        (slot.generation == key.generation).then_some(slot)
    }

    fn group_of(&mut self, tuning: Arc<NamedTuning>) -> u32 {
        let tuning = floored(tuning);
        let known = self.groups.iter().position(|group| group.tuning.id == tuning.id);
        let at = known.unwrap_or_else(|| {
            self.groups.push(Group {
                tuning,
                bucket: Bucket::default(),
                members: 0,
                watched: 0,
                oldest: None,
                newest: None,
            });
            self.groups.len() - 1
        });
        u32::try_from(at).unwrap_or(u32::MAX)
    }

    fn remove_slot(&mut self, at: u32) -> bool {
        self.unlist(at);
        let Some(slot) = self.slots.get_mut(at as usize).and_then(Option::take) else {
            return false;
        };
        let group = &mut self.groups[slot.group as usize];
        group.members -= 1;
        if slot.watched {
            group.watched -= 1;
            self.watched -= 1;
            group.bucket.replan_now();
        }
        self.len -= 1;
        true
    }

    fn next_stale(&self, group: usize) -> Option<(u32, Instant)> {
        let group = &self.groups[group];
        let at = group.oldest?;
        let updated = self.slots[at as usize].as_ref()?.cur.updated()?;
        Some((at, updated + group.tuning.tuning.stale_time))
    }

    /// Takes a slot out of its group's list. Gives whether it was in it.
    fn unlist(&mut self, at: u32) -> bool {
        let Some(Some(slot)) = self.slots.get_mut(at as usize) else { return false };
        if !core::mem::take(&mut slot.listed) {
            return false;
        }
        let (group, prev, next) = (slot.group as usize, slot.prev.take(), slot.next.take());
        match prev {
            Some(prev) => self.link(prev, |slot| slot.next = next),
            None => self.groups[group].oldest = next,
        }
        match next {
            Some(next) => self.link(next, |slot| slot.prev = prev),
            None => self.groups[group].newest = prev,
        }
        true
    }

    /// Puts a slot at the newest end of its group's list.
    fn append(&mut self, at: u32) {
        let Some(Some(slot)) = self.slots.get(at as usize) else { return };
        let group = slot.group as usize;
        let newest = self.groups[group].newest.replace(at);
        match newest {
            Some(newest) => self.link(newest, |slot| slot.next = Some(at)),
            None => self.groups[group].oldest = Some(at),
        }
        self.link(at, |slot| {
            slot.listed = true;
            slot.prev = newest;
            slot.next = None;
        });
    }

    /// Puts a slot into its group's list where its age belongs, searching from the newest end.
    fn list_by_age(&mut self, at: u32) {
        let Some(Some(slot)) = self.slots.get(at as usize) else { return };
        let (group, updated) = (slot.group as usize, slot.cur.updated());
        let mut after = self.groups[group].newest;
        while let Some(candidate) = after {
            let Some(other) = &self.slots[candidate as usize] else { break };
            if other.cur.updated() <= updated {
                break;
            }
            after = other.prev;
        }
        let before = match after {
            Some(after) => self.slots[after as usize].as_ref().and_then(|slot| slot.next),
            None => self.groups[group].oldest,
        };
        self.link(at, |slot| (slot.listed, slot.prev, slot.next) = (true, after, before));
        match after {
            Some(after) => self.link(after, |slot| slot.next = Some(at)),
            None => self.groups[group].oldest = Some(at),
        }
        match before {
            Some(before) => self.link(before, |slot| slot.prev = Some(at)),
            None => self.groups[group].newest = Some(at),
        }
    }

    fn link(&mut self, at: u32, change: impl FnOnce(&mut Slot)) {
        if let Some(Some(slot)) = self.slots.get_mut(at as usize) {
            change(slot);
        }
    }
}

/// A tuning whose times are not below their floor, so that no bucket is due all the time.
fn floored(tuning: Arc<NamedTuning>) -> Arc<NamedTuning> {
    let options = &tuning.tuning;
    if options.poll_time.min(options.stale_time) >= Tuning::FLOOR {
        return tuning;
    }
    let options = options.clone();
    let (poll, stale) = (options.poll_time, options.stale_time);
    let options = options.with_poll_time(poll).with_stale_time(stale);
    Arc::new(NamedTuning::new(tuning.id.clone(), options))
}

impl Slot {
    fn is_readable(&self) -> bool {
        self.spec.cur.is_some() && !self.spec.disabled && self.fault.is_none()
    }
}
