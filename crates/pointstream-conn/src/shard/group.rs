use std::sync::Arc;

use super::{NONE, Shard, floored};
use crate::bucket::Bucket;
use crate::config::NamedTuning;

/// Points that share a tuning.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) tuning: Arc<NamedTuning>,
    pub(crate) bucket: Bucket,
    pub(super) members: usize,
    /// Watched points that are polled.
    pub(crate) polled: usize,
    /// The ends of the list of points by their last good reading.
    pub(super) oldest: u32,
    pub(super) newest: u32,
}

impl Group {
    /// How many points there are.
    pub(crate) fn members(&self) -> usize {
        self.members
    }
}

impl Shard {
    /// Gives a tuning its present options; a group keeps its points and its bucket. Gives the group
    /// and whether it is to be polled otherwise than before.
    pub(crate) fn update_tuning(&mut self, tuning: &Arc<NamedTuning>) -> Option<(usize, bool)> {
        let at = self.groups.iter().position(|group| group.tuning.id == tuning.id)?;
        let polls = |tuning: &NamedTuning| (tuning.tuning.poll_time, tuning.tuning.poll_schedule);
        let before = polls(&self.groups[at].tuning);
        self.groups[at].tuning = floored(Arc::clone(tuning));
        Some((at, polls(&self.groups[at].tuning) != before))
    }

    /// The group of a tuning: the one that there is, or one that no point uses any more, or a new
    /// one. So there are never more groups than there were tunings in use at a time.
    pub(super) fn group_of(&mut self, tuning: Arc<NamedTuning>) -> u32 {
        let tuning = floored(tuning);
        let known = self.groups.iter().position(|group| group.tuning.id == tuning.id);
        let free = || self.groups.iter().position(|group| group.members == 0);
        let at = known.or_else(free).unwrap_or(self.groups.len());
        let fresh = known.is_none();
        if fresh {
            let (bucket, none) = (Bucket::default(), NONE);
            let group = Group { tuning, bucket, members: 0, polled: 0, oldest: none, newest: none };
            match self.groups.get_mut(at) {
                Some(place) => *place = group,
                None => self.groups.push(group),
            }
        }
        u32::try_from(at).unwrap_or(u32::MAX)
    }
}
