use std::sync::Arc;

use jiff::Timestamp;
use pointstream_point::{
    ConvertCache, Cur, CurState, EnumDefs, Fault, His, PointKey, PointSpec, Times, Tuning, Value,
    Write,
};
use pointstream_time::Instant;

use crate::config::{NamedTuning, PointDef};
use crate::driver::Binding;

mod age;
mod facets;
mod group;
mod history;
mod writing;

pub(crate) use facets::Over;
use facets::SlotMore;
pub(crate) use group::Group;
pub(crate) use writing::Accepted;

/// The live state of a connector's points, by slot.
///
/// Points of one tuning form a group: they share a bucket, and they stand in one list ordered by
/// their last reading, so that finding what goes stale costs what is due and not what exists.
#[derive(Debug, Default)]
pub(crate) struct Shard {
    slots: Vec<Option<Slot>>,
    pub(crate) groups: Vec<Group>,
    changed: Vec<u32>,
    converts: ConvertCache,
    enums: Arc<EnumDefs>,
    len: usize,
    watched: usize,
    writing: writing::Writing,
    /// How often a point was looked at for what stands above it.
    #[cfg(test)]
    shows: u64,
}

/// One point. Small, since there may be a million: what few points have is in `more`.
#[derive(Debug)]
struct Slot {
    cur: CurState,
    spec: Arc<PointSpec>,
    more: Option<Box<SlotMore>>,
    generation: u32,
    group: u32,
    /// The neighbours in the group's list of points with a good reading that can go stale.
    prev: u32,
    next: u32,
    listed: bool,
    watched: bool,
    /// Watched by polling, since its driver cannot subscribe to it.
    polled: bool,
    changed: bool,
}

/// What changed about the points of a connector, by facet.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    pub(crate) points: Vec<(PointKey, Cur)>,
    pub(crate) writes: Vec<(PointKey, Write)>,
    pub(crate) his: Vec<(PointKey, His)>,
}

/// No slot, in a list.
const NONE: u32 = u32::MAX;

impl Shard {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[cfg(test)]
    pub(crate) fn shows(&self) -> u64 {
        self.shows
    }

    pub(crate) fn watched(&self) -> usize {
        self.watched
    }

    /// The enum definitions that converts refer to.
    pub(crate) fn set_enums(&mut self, enums: Arc<EnumDefs>) {
        self.enums = enums;
    }

    /// Adds a point, or replaces the one in its slot. Gives what the driver is to bind: the sides
    /// of the point whose configuration is sound.
    pub(crate) fn insert(&mut self, def: PointDef, wall: Timestamp) -> Option<Binding> {
        let PointDef { key, spec, tuning, faults } = def;
        self.remove_slot(key.slot);
        let group = self.group_of(tuning);
        self.groups[group as usize].members += 1;
        let more = SlotMore::new(&spec, faults, &mut self.converts, wall);
        let at = key.slot as usize;
        if self.slots.len() <= at {
            self.slots.resize_with(at + 1, || None);
        }
        let slot = Slot {
            cur: CurState::new(wall),
            spec,
            more,
            generation: key.generation,
            group,
            prev: NONE,
            next: NONE,
            listed: false,
            watched: false,
            polled: false,
            changed: false,
        };
        let mut binding = Binding::of(key, &slot.spec);
        binding.cur.take_if(|_| slot.faults().cur.is_some());
        binding.write.take_if(|_| slot.faults().write.is_some());
        binding.his.take_if(|_| slot.faults().his.is_some());
        let any = binding.cur.is_some() || binding.write.is_some() || binding.his.is_some();
        let bind = !slot.spec.disabled && any;
        self.slots[at] = Some(slot);
        self.len += 1;
        bind.then_some(binding)
    }

    /// Removes a point. Gives whether it was there.
    pub(crate) fn remove(&mut self, key: PointKey) -> bool {
        self.slot(key).is_some() && self.remove_slot(key.slot)
    }

    /// Moves a point to another tuning, keeping its state.
    pub(crate) fn retune(&mut self, key: PointKey, tuning: Arc<NamedTuning>) {
        let Some(slot) = self.slot(key) else { return };
        let polled = slot.polled;
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
        if polled {
            self.set_polled(key, true);
        }
    }

    /// Marks a point as watched or not; who is no longer watched is no longer polled. Gives
    /// whether that changed, for a point that can be read.
    pub(crate) fn set_watched(&mut self, key: PointKey, watched: bool) -> bool {
        let Some(slot) = self.slot_mut(key) else { return false };
        if slot.watched == watched || !slot.is_readable() {
            return false;
        }
        slot.watched = watched;
        if watched {
            self.watched += 1;
        } else {
            self.watched -= 1;
            self.set_polled(key, false);
        }
        true
    }

    /// Has a watched point polled by its bucket, or no longer. Gives whether that changed.
    pub(crate) fn set_polled(&mut self, key: PointKey, polled: bool) -> bool {
        let Some(slot) = self.slot_mut(key) else { return false };
        if slot.polled == polled || (polled && !slot.watched) {
            return false;
        }
        slot.polled = polled;
        let group = slot.group as usize;
        let group = &mut self.groups[group];
        if polled {
            group.polled += 1;
        } else {
            group.polled -= 1;
        }
        group.bucket.replan();
        true
    }

    /// The watched points that can be read.
    pub(crate) fn watched_keys(&self, shard: u32) -> Vec<PointKey> {
        self.keyed(shard).filter(|(_, slot)| slot.watched).map(|(key, _)| key).collect()
    }

    /// The points that the bucket of this group polls.
    pub(crate) fn polled_keys(&self, shard: u32, group: usize) -> Vec<PointKey> {
        let polled = |slot: &Slot| slot.polled && slot.group as usize == group;
        self.keyed(shard).filter(|(_, slot)| polled(slot)).map(|(key, _)| key).collect()
    }

    /// Whether the point can be read.
    pub(crate) fn is_readable(&self, key: PointKey) -> bool {
        self.slot(key).is_some_and(Slot::is_readable)
    }

    /// Whether somebody watches the point.
    pub(crate) fn is_watched(&self, key: PointKey) -> bool {
        self.slot(key).is_some_and(|slot| slot.watched)
    }

    /// A reading arrived. Gives whether the point is known.
    pub(crate) fn on_reading(
        &mut self,
        key: PointKey,
        at: Instant,
        reading: Result<(Value, Times), Fault>,
    ) -> bool {
        let Some(Some(slot)) = self.slots.get_mut(key.slot as usize) else { return false };
        if slot.generation != key.generation {
            return false;
        }
        let more = slot.more.as_deref();
        let reading = reading.and_then(|(raw, times)| {
            let value = match more.and_then(|more| more.pipeline.as_ref()) {
                None => slot.spec.accept(raw),
                Some(pipeline) => pipeline.cur(&slot.spec, raw, &self.enums),
            };
            value.map(|value| (value, times))
        });
        match reading {
            Ok((value, times)) => {
                slot.cur.on_sample(at, value, times);
                self.relist(key.slot);
            }
            Err(fault) => {
                slot.cur.on_fault(at, &fault);
                self.unlist(key.slot);
            }
        }
        true
    }

    /// Takes what changed since the last call.
    pub(crate) fn take_changes(&mut self, shard: u32) -> Changed {
        let mut changes = Changed::default();
        for at in core::mem::take(&mut self.changed) {
            let Some(Some(slot)) = self.slots.get_mut(at as usize) else { continue };
            let key = PointKey { shard, slot: at, generation: slot.generation };
            if core::mem::take(&mut slot.changed) {
                changes.points.push((key, slot.cur.cur()));
            }
            let Some(more) = &mut slot.more else { continue };
            if core::mem::take(&mut more.write_changed) {
                changes.writes.extend(more.write.as_ref().map(|state| (key, state.write())));
            }
            if core::mem::take(&mut more.his_changed) {
                changes.his.extend(more.his.as_ref().map(|state| (key, state.his())));
            }
        }
        changes
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

    /// The group of a point.
    pub(crate) fn group_index(&self, key: PointKey) -> Option<usize> {
        self.slot(key).map(|slot| slot.group as usize)
    }

    /// Why a point has no current value, if its last reading says so.
    pub(crate) fn fault(&self, key: PointKey) -> Option<Fault> {
        self.slot(key).and_then(|slot| slot.cur.fault())
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

    fn remove_slot(&mut self, at: u32) -> bool {
        self.unlist(at);
        self.writing.forget(at);
        let Some(slot) = self.slots.get_mut(at as usize).and_then(Option::take) else {
            return false;
        };
        let group = &mut self.groups[slot.group as usize];
        group.members -= 1;
        if slot.watched {
            self.watched -= 1;
        }
        if slot.polled {
            group.polled -= 1;
            group.bucket.replan_now();
        }
        self.len -= 1;
        true
    }
}

/// A tuning whose times are not below their floor, so that no bucket is due all the time.
fn floored(tuning: Arc<NamedTuning>) -> Arc<NamedTuning> {
    let options = &tuning.tuning;
    let writes = options.write_min_time.into_iter().chain(options.write_max_time);
    let least = writes.fold(options.poll_time.min(options.stale_time), core::cmp::min);
    if least >= Tuning::FLOOR {
        return tuning;
    }
    let (min, max) = (options.write_min_time, options.write_max_time);
    let (poll, stale) = (options.poll_time, options.stale_time);
    let mut options = options.clone().with_poll_time(poll).with_stale_time(stale);
    options.write_min_time = min.map(|time| time.max(Tuning::FLOOR));
    options.write_max_time = max.map(|time| time.max(Tuning::FLOOR));
    Arc::new(NamedTuning::new(tuning.id.clone(), options))
}
