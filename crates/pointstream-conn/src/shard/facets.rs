//! The three facets of a point, each under the faults of its own configuration.

use std::sync::Arc;

use jiff::Timestamp;
use pointstream_point::{
    ConvertCache, Facet, FacetFaults, Fault, HisState, Pipeline, PointKey, PointSpec, Status,
    WriteState,
};

use super::{Shard, Slot};

/// What stands above all points of a connector.
#[derive(Clone, Debug)]
pub(crate) struct Over {
    pub(crate) status: Status,
    pub(crate) err: Arc<str>,
}

/// What few points have.
#[derive(Debug, Default)]
pub(super) struct SlotMore {
    pub(super) pipeline: Option<Pipeline>,
    /// Faults of the configuration, found when the point was made or when its driver bound it.
    pub(super) faults: FacetFaults,
    pub(super) write: Option<WriteState>,
    pub(super) write_changed: bool,
    pub(super) his: Option<HisState>,
    pub(super) his_changed: bool,
}

static NO_FAULTS: FacetFaults = FacetFaults::NONE;

impl SlotMore {
    /// What a point needs beyond the plain, if anything; `faults` are known already.
    pub(super) fn new(
        spec: &PointSpec,
        mut faults: FacetFaults,
        converts: &mut ConvertCache,
        wall: Timestamp,
    ) -> Option<Box<Self>> {
        let pipeline = (!Pipeline::is_plain(spec)).then(|| {
            let (pipeline, found) = Pipeline::new(spec, converts);
            faults.merge(found);
            pipeline
        });
        let write = spec.write.as_ref().map(|_| WriteState::new(wall));
        let his = spec.more.his.as_ref().map(|_| HisState::new(wall));
        let plain = pipeline.is_none() && faults.is_empty() && write.is_none() && his.is_none();
        (!plain).then(|| Box::new(Self { pipeline, faults, write, his, ..Self::default() }))
    }
}

impl Slot {
    pub(super) fn is_readable(&self) -> bool {
        self.spec.cur.is_some() && !self.spec.disabled && self.faults().cur.is_none()
    }

    pub(super) fn faults(&self) -> &FacetFaults {
        self.more.as_ref().map_or(&NO_FAULTS, |more| &more.faults)
    }

    /// Whether a facet has an address, so that there is something to show of it.
    fn has(&self, facet: Facet) -> bool {
        match facet {
            Facet::Cur => self.spec.cur.is_some(),
            Facet::Write => self.spec.write.is_some(),
            _ => self.spec.more.his.is_some(),
        }
    }
}

impl Shard {
    /// Binding found the configuration of a facet at fault; the others are not touched by it.
    pub(crate) fn on_bind_fault(&mut self, key: PointKey, facet: Facet, fault: Fault) {
        if facet == Facet::Cur {
            self.set_watched(key, false);
        }
        if let Some(slot) = self.slot_mut(key) {
            slot.more.get_or_insert_default().faults.set(facet, fault);
        }
    }

    /// Whether the point is there and enabled and has an address to write to; else why not.
    pub(crate) fn check_writable(&self, key: PointKey) -> Result<(), Fault> {
        let Some(slot) = self.slot(key) else {
            return Err(Fault::permanent("the point is gone"));
        };
        match &slot.faults().write {
            _ if slot.spec.disabled => Err(Fault::permanent("Point is disabled")),
            _ if !slot.has(Facet::Write) => Err(Fault::permanent("the point is not writable")),
            Some(fault) => Err(fault.clone()),
            None => Ok(()),
        }
    }

    /// Folds what stands above a point over its facets and marks it when that changes what it
    /// shows.
    pub(crate) fn show(&mut self, at: u32, over: Option<&Over>, wall: Timestamp) {
        #[cfg(test)]
        {
            self.shows += 1;
        }
        self.show_cur(at, over, wall);
        self.show_write(at, over, wall);
        let Some(Some(slot)) = self.slots.get_mut(at as usize) else { return };
        let marked = slot.is_marked();
        let Some(more) = &mut slot.more else { return };
        let Some(his) = &mut more.his else { return };
        let disabled = disabled(slot.spec.disabled);
        let changed = his.show(fold(more.faults.his.as_ref(), disabled.as_ref(), over), wall);
        more.his_changed |= changed;
        self.mark(at, marked, changed);
    }

    /// The same for the current value alone.
    pub(crate) fn show_cur(&mut self, at: u32, over: Option<&Over>, wall: Timestamp) {
        let Some(Some(slot)) = self.slots.get_mut(at as usize) else { return };
        let fault = slot.more.as_ref().and_then(|more| more.faults.cur.as_ref());
        if slot.spec.cur.is_none() && !slot.spec.disabled && fault.is_none() {
            return;
        }
        let marked = slot.changed || slot.more.as_ref().is_some_and(|more| more.is_marked());
        let disabled = disabled(slot.spec.disabled);
        let changed = slot.cur.show(fold(fault, disabled.as_ref(), over), wall);
        slot.changed |= changed;
        self.mark(at, marked, changed);
    }

    /// The same for writes alone.
    pub(crate) fn show_write(&mut self, at: u32, over: Option<&Over>, wall: Timestamp) {
        let Some(Some(slot)) = self.slots.get_mut(at as usize) else { return };
        let marked = slot.is_marked();
        let Some(more) = &mut slot.more else { return };
        let Some(write) = &mut more.write else { return };
        let disabled = disabled(slot.spec.disabled);
        let changed = write.show(fold(more.faults.write.as_ref(), disabled.as_ref(), over), wall);
        more.write_changed |= changed;
        self.mark(at, marked, changed);
    }

    /// Shows every point, after something above them all changed.
    pub(crate) fn show_all(&mut self, over: Option<&Over>, wall: Timestamp) {
        for at in 0..self.slots.len() {
            self.show(u32::try_from(at).unwrap_or(u32::MAX), over, wall);
        }
    }

    fn mark(&mut self, at: u32, marked: bool, changed: bool) {
        if changed && !marked {
            self.changed.push(at);
        }
    }
}

impl Slot {
    fn is_marked(&self) -> bool {
        self.changed || self.more.as_ref().is_some_and(|more| more.is_marked())
    }
}

impl SlotMore {
    fn is_marked(&self) -> bool {
        self.write_changed || self.his_changed
    }
}

fn disabled(disabled: bool) -> Option<Arc<str>> {
    disabled.then(|| "Point is disabled".into())
}

/// What hides a facet's own state: the fault of its configuration, then that the point is switched
/// off, then the connector.
fn fold<'a>(
    fault: Option<&'a Fault>,
    disabled: Option<&'a Arc<str>>,
    over: Option<&'a Over>,
) -> Option<(Status, &'a Arc<str>)> {
    let fault = fault.map(|fault| (fault.status(), fault.message()));
    fault
        .or_else(|| disabled.map(|message| (Status::Disabled, message)))
        .or_else(|| over.map(|over| (over.status, &over.err)))
}
