//! The lists of points by age, one a group.

use jiff::Timestamp;
use pointstream_time::Instant;

use super::{NONE, Over, Shard, Slot};

impl Shard {
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
                self.show_cur(slot, over, wall);
            }
        }
    }

    /// When the next point goes stale.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        (0..self.groups.len()).filter_map(|group| self.next_stale(group)).map(|(_, due)| due).min()
    }

    fn next_stale(&self, group: usize) -> Option<(u32, Instant)> {
        let group = &self.groups[group];
        let at = group.oldest;
        let updated = self.slots.get(at as usize)?.as_ref()?.cur.updated()?;
        Some((at, updated + group.tuning.tuning.stale_time))
    }

    /// Takes a slot out of its group's list. Gives whether it was in it.
    pub(super) fn unlist(&mut self, at: u32) -> bool {
        let Some(Some(slot)) = self.slots.get_mut(at as usize) else { return false };
        if !core::mem::take(&mut slot.listed) {
            return false;
        }
        let (group, prev, next) = (slot.group as usize, slot.prev, slot.next);
        (slot.prev, slot.next) = (NONE, NONE);
        match prev {
            NONE => self.groups[group].oldest = next,
            prev => self.link(prev, |slot| slot.next = next),
        }
        match next {
            NONE => self.groups[group].newest = prev,
            next => self.link(next, |slot| slot.prev = prev),
        }
        true
    }

    /// Puts a slot at the newest end of its group's list.
    pub(super) fn relist(&mut self, at: u32) {
        let Some(Some(slot)) = self.slots.get(at as usize) else { return };
        let group = slot.group as usize;
        if self.groups[group].newest == at {
            return;
        }
        self.unlist(at);
        let newest = core::mem::replace(&mut self.groups[group].newest, at);
        match newest {
            NONE => self.groups[group].oldest = at,
            newest => self.link(newest, |slot| slot.next = at),
        }
        self.link(at, |slot| (slot.listed, slot.prev, slot.next) = (true, newest, NONE));
    }

    /// Puts a slot into its group's list where its age belongs, searching from the newest end.
    pub(super) fn list_by_age(&mut self, at: u32) {
        let Some(Some(slot)) = self.slots.get(at as usize) else { return };
        let (group, updated) = (slot.group as usize, slot.cur.updated());
        let mut after = self.groups[group].newest;
        while let Some(Some(other)) = self.slots.get(after as usize) {
            if other.cur.updated() <= updated {
                break;
            }
            after = other.prev;
        }
        let before = match self.slots.get(after as usize) {
            Some(Some(after)) => after.next,
            _ => self.groups[group].oldest,
        };
        self.link(at, |slot| (slot.listed, slot.prev, slot.next) = (true, after, before));
        match after {
            NONE => self.groups[group].oldest = at,
            after => self.link(after, |slot| slot.next = at),
        }
        match before {
            NONE => self.groups[group].newest = at,
            before => self.link(before, |slot| slot.prev = at),
        }
    }

    fn link(&mut self, at: u32, change: impl FnOnce(&mut Slot)) {
        if let Some(Some(slot)) = self.slots.get_mut(at as usize) {
            change(slot);
        }
    }
}
