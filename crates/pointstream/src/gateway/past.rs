//! What devices tell unasked of the past: values that they kept while they could not tell them.

use jiff::{SignedDuration, Timestamp};
use pointstream_point::{Fault, HisItem, HisState, PointKey};
use pointstream_points::Points;

use super::history::Histories;

/// How far ahead of the own clock a time may be.
pub(super) const AHEAD: SignedDuration = SignedDuration::from_hours(1);

impl Histories {
    /// Takes what came into the histories of the points that have one. What a history does not take
    /// is told as its status, until the next item that it takes.
    pub(super) fn on_past(
        &mut self,
        points: &mut Points,
        past: &[(PointKey, Result<HisItem, Fault>)],
        now: Timestamp,
    ) {
        if self.store.is_none() || past.is_empty() {
            return;
        }
        for (key, item) in past {
            let accepted = match item {
                Ok(item) => self.accept(*key, item, now),
                Err(fault) => Err(fault.clone()),
            };
            match accepted {
                Err(fault) if self.rules(*key).is_some() => {
                    self.dropped += 1;
                    self.refusing.insert(*key);
                    tell(points, *key, Some(&fault), now);
                }
                Ok(()) if self.refusing.remove(key) => tell(points, *key, None, now),
                _ => {}
            }
        }
        self.note_room();
    }

    fn accept(&mut self, key: PointKey, item: &HisItem, now: Timestamp) -> Result<(), Fault> {
        let Some((id, rules)) = self.rules(key) else { return Ok(()) };
        if now.checked_add(AHEAD).is_ok_and(|latest| item.ts > latest) {
            let text = format_args!("the time {} is more than an hour ahead", item.ts);
            return Err(Fault::permanent(text));
        }
        let items = rules.accept([(item.ts, Some(item.val.clone()))], None);
        let (items, id) = (items.map_err(Fault::permanent)?, id.clone());
        for item in items {
            self.dropped += u64::from(self.pending.put(key, &id, now, item));
            self.pending.past += 1;
        }
        Ok(())
    }
}

fn tell(points: &mut Points, key: PointKey, fault: Option<&Fault>, now: Timestamp) {
    let mut state = HisState::new(now);
    match fault {
        Some(fault) => state.on_fault(fault),
        None => state.on_ok(),
    }
    state.show(None, now);
    points.apply_his(key, state.his());
}
