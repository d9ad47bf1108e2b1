//! The history of a point, as far as its device keeps one.

use pointstream_point::{Fault, HisItem, HisState, PointKey, Value};

use super::Shard;

impl Shard {
    /// A synchronisation was asked for, or has ended.
    pub(crate) fn on_his(&mut self, key: PointKey, ended: Option<Result<(), Fault>>) {
        let more = self.slot_mut(key).and_then(|slot| slot.more.as_mut());
        let Some(his) = more.and_then(|more| more.his.as_mut()) else { return };
        match ended {
            None => his.on_pending(),
            Some(Ok(())) => his.on_ok(),
            Some(Err(fault)) => his.on_fault(&fault),
        }
    }

    /// A synchronisation was given up.
    pub(crate) fn on_his_released(&mut self, key: PointKey) {
        let more = self.slot_mut(key).and_then(|slot| slot.more.as_mut());
        more.and_then(|more| more.his.as_mut()).into_iter().for_each(HisState::on_released);
    }

    /// Whether there is such a point, which is not switched off.
    pub(crate) fn is_known(&self, key: PointKey) -> bool {
        self.slot(key).is_some_and(|slot| !slot.spec.disabled)
    }

    /// Makes of a value of the past what it would have become as the current one. NA stays.
    pub(crate) fn convert_past(&self, key: PointKey, item: HisItem) -> Result<HisItem, Fault> {
        let Some(slot) = self.slot(key).filter(|_| item.val != Value::Na) else { return Ok(item) };
        let val = match slot.more.as_ref().and_then(|more| more.pipeline.as_ref()) {
            None => slot.spec.accept(item.val),
            Some(pipeline) => pipeline.cur(&slot.spec, item.val, &self.enums),
        };
        Ok(HisItem::new(item.ts, val?))
    }

    /// Whether the point is there and enabled and its device keeps a history of it; else why not.
    pub(crate) fn check_history(&self, key: PointKey) -> Result<(), Fault> {
        let Some(slot) = self.slot(key) else {
            return Err(Fault::permanent("the point is gone"));
        };
        match &slot.faults().his {
            _ if slot.spec.disabled => Err(Fault::permanent("Point is disabled")),
            _ if slot.spec.more.his.is_none() => {
                Err(Fault::permanent("the point has no address of a history"))
            }
            Some(fault) => Err(fault.clone()),
            None => Ok(()),
        }
    }

    /// Converts items of a point's history, all of them or none.
    pub(crate) fn convert_history(
        &self,
        key: PointKey,
        items: &mut [HisItem],
    ) -> Result<(), Fault> {
        let Some(slot) = self.slot(key) else {
            return Err(Fault::permanent("the point is gone"));
        };
        let Some(pipeline) = slot.more.as_ref().and_then(|more| more.pipeline.as_ref()) else {
            return Ok(());
        };
        for item in items {
            let val = core::mem::take(&mut item.val);
            item.val = pipeline.his(&slot.spec, val, &self.enums)?;
        }
        Ok(())
    }
}
