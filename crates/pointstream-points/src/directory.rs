use core::mem::replace;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use pointstream_point::{Cur, Effective, His, Id, PointKey, PointSpec, Write};

use crate::by_id::{ById, Place};
use crate::entry::Entry;

/// All points, by id and by key.
///
/// Keys are given here: a slot in the shard of the point's connector, with a generation that
/// grows whenever a slot is used again, so that a key that someone kept never means another point.
#[derive(Debug, Default)]
pub struct Points {
    by_id: ById,
    shards: BTreeMap<u32, Shard>,
}

#[derive(Debug, Default)]
struct Shard {
    conn: Option<Arc<Id>>,
    slots: Vec<Slot>,
    free: Vec<u32>,
}

/// A place for a point. What takes a free one has the next generation.
#[derive(Debug)]
enum Slot {
    Free { generation: u32 },
    Taken(Entry),
}

impl Slot {
    /// The point, if it is of this generation.
    fn entry(&self, generation: u32) -> Option<&Entry> {
        self.taken().filter(|entry| entry.generation == generation)
    }

    fn taken(&self) -> Option<&Entry> {
        match self {
            Self::Taken(entry) => Some(entry),
            Self::Free { .. } => None,
        }
    }
}

/// Why a point could not be added.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InsertError {
    /// There is one with this id.
    #[error("the point {id}{} exists already", of(.conn.as_ref()))]
    Duplicate {
        /// The id.
        id: Id,
        /// The connector that has it, if one has.
        conn: Option<Id>,
    },
    /// There are as many points as a shard holds.
    #[error("a connector has at most {} points", Points::SHARD_LEN_MAX)]
    Full,
}

fn of(conn: Option<&Id>) -> String {
    conn.map_or_else(String::new, |conn| format!(" of connector {conn}"))
}

impl Points {
    /// How many points a shard holds.
    pub const SHARD_LEN_MAX: usize = 1 << 24;

    /// An empty directory.
    pub const fn new() -> Self {
        Self { by_id: ById::new(), shards: BTreeMap::new() }
    }

    /// Adds a point of the connector `conn`, or of none, whose shard this is, at the time `wall`.
    pub fn insert(
        &mut self,
        shard: u32,
        conn: Option<&Id>,
        spec: Arc<PointSpec>,
        wall: Timestamp,
    ) -> Result<PointKey, InsertError> {
        let at = match self.by_id.find(spec.id.as_str(), |place| self.id_of(place)) {
            Err(at) => at,
            Ok(at) => {
                let entry = self.by_id.get(at).and_then(|place| self.at(place));
                let conn = entry.and_then(|(_, entry)| entry.conn.as_deref().cloned());
                return Err(InsertError::Duplicate { id: spec.id.clone(), conn });
            }
        };
        let slots = self.shards.entry(shard).or_default();
        if slots.conn.as_deref() != conn {
            slots.conn = conn.cloned().map(Arc::new);
        }
        let index = match slots.free.pop() {
            Some(index) => index,
            None if slots.slots.len() >= Self::SHARD_LEN_MAX => return Err(InsertError::Full),
            None => {
                slots.slots.push(Slot::Free { generation: 0 });
                u32::try_from(slots.slots.len() - 1).unwrap_or(u32::MAX)
            }
        };
        let slot = &mut slots.slots[index as usize];
        let (Slot::Free { generation } | Slot::Taken(Entry { generation, .. })) = *slot;
        let generation = generation.wrapping_add(1);
        *slot = Slot::Taken(Entry::new(generation, spec, slots.conn.clone(), wall));
        self.by_id.insert(at, Place { shard, slot: index });
        let key = PointKey { shard, slot: index, generation };
        Ok(key)
    }

    /// Removes a point and gives what it was.
    pub fn remove(&mut self, key: PointKey) -> Option<Entry> {
        let id = self.get(key)?.spec.id.clone();
        // While the point is still there, since the list looks ids up at the points.
        if let Ok(at) = self.by_id.find(id.as_str(), |place| self.id_of(place)) {
            self.by_id.remove(at);
        }
        let shard = self.shards.get_mut(&key.shard)?;
        let free = Slot::Free { generation: key.generation };
        let slot = replace(shard.slots.get_mut(key.slot as usize)?, free);
        shard.free.push(key.slot);
        match slot {
            Slot::Taken(entry) => Some(entry),
            Slot::Free { .. } => None,
        }
    }

    /// Forgets a shard with all its points. Its number must not be used again, since keys of its
    /// points might come up again too.
    pub fn remove_shard(&mut self, shard: u32) {
        if self.shards.remove(&shard).is_some() {
            self.by_id.remove_shard(shard);
        }
    }

    /// Gives a point another configuration under its key. Its id must stay the same.
    pub fn set_spec(&mut self, key: PointKey, spec: Arc<PointSpec>) {
        if let Some(entry) = self.entry_mut(key) {
            debug_assert_eq!(entry.spec.id, spec.id, "a point keeps its id");
            entry.spec = spec;
        }
    }

    /// Takes note of what a point shows now. A key that has passed is ignored.
    pub fn apply(&mut self, key: PointKey, cur: &Cur) -> Option<&Entry> {
        let entry = self.entry_mut(key)?;
        entry.set_cur(cur);
        Some(entry)
    }

    /// Takes note of what a point shows of its writes now. A key that has passed is ignored.
    pub fn apply_write(&mut self, key: PointKey, write: Write) {
        if let Some(entry) = self.entry_mut(key) {
            entry.write.get_or_insert_default().status = Some(write);
        }
    }

    /// Takes note of what a point shows of its device's history. A key that has passed is ignored.
    pub fn apply_his(&mut self, key: PointKey, his: His) {
        if let Some(entry) = self.entry_mut(key) {
            entry.his = Some(Box::new(his));
        }
    }

    /// Takes note of what is in effect for a writable point.
    pub fn set_effective(&mut self, key: PointKey, effective: Effective) {
        if let Some(entry) = self.entry_mut(key) {
            entry.write.get_or_insert_default().effective = effective;
        }
    }

    fn entry_mut(&mut self, key: PointKey) -> Option<&mut Entry> {
        match self.shards.get_mut(&key.shard)?.slots.get_mut(key.slot as usize)? {
            Slot::Taken(entry) if entry.generation == key.generation => Some(entry),
            _ => None,
        }
    }

    /// The point with this key.
    pub fn get(&self, key: PointKey) -> Option<&Entry> {
        self.shards.get(&key.shard)?.slots.get(key.slot as usize)?.entry(key.generation)
    }

    /// The point with this id.
    pub fn find(&self, id: &str) -> Option<(PointKey, &Entry)> {
        let at = self.by_id.find(id, |place| self.id_of(place)).ok()?;
        self.at(self.by_id.get(at)?)
    }

    /// The point at a place.
    fn at(&self, Place { shard, slot }: Place) -> Option<(PointKey, &Entry)> {
        let entry = self.shards.get(&shard)?.slots.get(slot as usize)?.taken()?;
        Some((PointKey { shard, slot, generation: entry.generation }, entry))
    }

    /// The id of the point at a place that is listed, where there is one.
    fn id_of(&self, place: Place) -> &str {
        self.at(place).map_or("", |(_, entry)| entry.spec.id.as_str())
    }

    /// All points in the order of their ids, from the first one after `after`.
    pub fn iter_after(&self, after: Option<&str>) -> impl Iterator<Item = (PointKey, &Entry)> {
        let places = self.by_id.iter_after(after, |place| self.id_of(place));
        places.filter_map(|place| self.at(place))
    }

    /// All points of a shard.
    pub fn of_shard(&self, shard: u32) -> impl Iterator<Item = (PointKey, &Entry)> {
        let slots = self.shards.get(&shard).map(|shard| shard.slots.as_slice()).unwrap_or_default();
        (0u32..).zip(slots).filter_map(move |(at, slot)| {
            let entry = slot.taken()?;
            Some((PointKey { shard, slot: at, generation: entry.generation }, entry))
        })
    }

    /// How many points there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_id.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use pointstream_point::{Kind, Status, Tag, Value};

    use super::*;

    fn id(text: &str) -> Id {
        text.parse().unwrap()
    }

    fn spec(text: &str) -> Arc<PointSpec> {
        Arc::new(PointSpec::new(id(text), Kind::Number))
    }

    #[test]
    fn a_key_never_means_another_point() {
        let mut points = Points::new();
        let first = points.insert(1, Some(&id("ahu")), spec("a"), Timestamp::UNIX_EPOCH).unwrap();
        assert!(points.remove(first).is_some());
        assert!(points.remove(first).is_none());
        let second = points.insert(1, Some(&id("ahu")), spec("b"), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!((second.shard, second.slot), (first.shard, first.slot));
        assert!(points.get(first).is_none());
        assert!(points.apply(first, &Cur::default()).is_none());
        assert_eq!(points.get(second).unwrap().spec.id, id("b"));
        assert!(points.find("a").is_none());
    }

    #[test]
    fn a_shard_goes_with_its_points_and_leaves_nothing() {
        let mut points = Points::new();
        let key = points.insert(1, Some(&id("ahu")), spec("a"), Timestamp::UNIX_EPOCH).unwrap();
        points.insert(2, Some(&id("meter")), spec("b"), Timestamp::UNIX_EPOCH).unwrap();
        points.remove_shard(1);
        assert!(points.get(key).is_none() && points.find("a").is_none());
        assert!(points.find("b").is_some());
        assert_eq!((points.len(), points.shards.len()), (1, 1));
    }

    #[test]
    fn an_id_is_taken_once() {
        let mut points = Points::new();
        points.insert(1, Some(&id("ahu")), spec("a"), Timestamp::UNIX_EPOCH).unwrap();
        let error =
            points.insert(2, Some(&id("meter")), spec("a"), Timestamp::UNIX_EPOCH).unwrap_err();
        assert_eq!(error.to_string(), "the point a of connector ahu exists already");
    }

    #[test]
    fn points_are_listed_by_id_from_any_place() {
        let mut points = Points::new();
        for name in ["c", "a", "b"] {
            points.insert(1, Some(&id("ahu")), spec(name), Timestamp::UNIX_EPOCH).unwrap();
        }
        let names = |after| -> Vec<_> {
            points.iter_after(after).map(|(_, entry)| entry.spec.id.to_string()).collect()
        };
        assert_eq!(names(None), ["a", "b", "c"]);
        assert_eq!(names(Some("a")), ["b", "c"]);
        assert_eq!(names(Some("bb")), ["c"]);
        assert_eq!(points.of_shard(1).count(), 3);
        assert_eq!(points.of_shard(2).count(), 0);
    }

    #[test]
    fn what_a_point_shows_is_kept() {
        let mut points = Points::new();
        let key = points.insert(1, Some(&id("ahu")), spec("a"), Timestamp::UNIX_EPOCH).unwrap();
        let mut cur = Cur::default();
        cur.status = Status::Down;
        assert_eq!(points.apply(key, &cur).unwrap().cur().status, Status::Down);
        let (_, entry) = points.find("a").unwrap();
        assert_eq!(entry.tag("curStatus"), Some(Tag::Value(Value::str("down"))));
        assert_eq!(entry.tag("curVal"), None);
    }
}
