use std::collections::BTreeMap;

use pointstream_patch::{Change, Document, Options, Script, merge_apply};
use pointstream_time::{Deadlines, Instant};

use crate::json::{Style, write_compact};
use crate::{Error, ItemOptions, UpdateMode, text};

/// The items of a topic, one document each, in the order of their first publication.
///
/// An item is known by its *birth*, a number that only grows, so that its rank in any selection of
/// items is a binary search.
#[derive(Debug)]
pub(crate) struct Items {
    options: ItemOptions,
    limits: ItemLimits,
    by_birth: BTreeMap<u64, Item>,
    by_id: BTreeMap<Box<str>, u64>,
    births: u64,
    /// The bytes of all items.
    bytes: usize,
    expiry: Deadlines<u64>,
}

#[derive(Debug)]
pub(crate) struct ItemLimits {
    pub(crate) items_max: usize,
    pub(crate) patch: Options,
}

#[derive(Debug)]
struct Item {
    id: Box<str>,
    document: Document,
}

/// What became of one item.
#[derive(Debug)]
pub(crate) enum ItemChange {
    Added { birth: u64 },
    Replaced { birth: u64 },
    Edited { birth: u64, script: Script },
    Removed { birth: u64, id: Box<str> },
}

/// What a publication of items did.
#[derive(Debug, Default)]
pub(crate) struct ItemsDone {
    pub(crate) changes: Vec<ItemChange>,
    /// The items without an id, which were left out.
    pub(crate) discarded: usize,
}

impl Items {
    pub(crate) const fn new(options: ItemOptions, limits: ItemLimits) -> Self {
        Self {
            options,
            limits,
            by_birth: BTreeMap::new(),
            by_id: BTreeMap::new(),
            births: 0,
            bytes: 0,
            expiry: Deadlines::new(),
        }
    }

    /// Takes an array of items, whose text is valid JSON; all of them or, if one is refused, none.
    pub(crate) fn publish(&mut self, array: &str, now: Instant) -> Result<ItemsDone, Error> {
        if !text::is_array(array) {
            return Err(Error::NotItems);
        }
        let mut done = ItemsDone::default();
        // The last text of each item, in the order in which they were first named.
        let mut next: Vec<(Box<str>, String)> = Vec::new();
        let mut places: BTreeMap<Box<str>, usize> = BTreeMap::new();
        for element in text::elements(array) {
            if !text::is_object(element) {
                return Err(Error::NotItems);
            }
            let Some(id) = self.options.id_path.id(element) else {
                done.discarded += 1;
                continue;
            };
            let place = places.get(&id).copied();
            let base = match place {
                Some(place) => Some(next[place].1.as_str()),
                None => self.get(&id),
            };
            let value = self.updated(base, element)?;
            match place {
                Some(place) => next[place].1 = value,
                None => {
                    places.insert(id.clone(), next.len());
                    next.push((id, value));
                }
            }
        }
        self.check(&next)?;
        for (id, value) in next {
            let birth = self.put(id, &value, &mut done.changes)?;
            if let Some(ttl) = self.options.ttl {
                self.expiry.set(birth, now + ttl);
            }
        }
        Ok(done)
    }

    /// What an item becomes by a publication, on one line.
    fn updated(&self, base: Option<&str>, published: &str) -> Result<String, Error> {
        let merged;
        let value = match (base, self.options.update) {
            (Some(base), UpdateMode::Merge) => {
                let mut out = String::with_capacity(base.len() + published.len());
                text::merge(base, published, &mut out);
                merged = out;
                &merged
            }
            (Some(base), UpdateMode::MergeNullRemoves) => {
                let limits = &self.limits.patch.limits;
                merged = merge_apply(base.as_bytes(), published.as_bytes(), limits)?;
                &merged
            }
            _ => published,
        };
        let mut out = Vec::with_capacity(value.len());
        write_compact(value, Style { ascii: false, axway: false }, &mut out);
        // Compacting text gives text.
        Ok(String::from_utf8(out).unwrap_or_default())
    }

    fn check(&self, next: &[(Box<str>, String)]) -> Result<(), Error> {
        let mut len = self.bytes;
        let mut count = self.by_id.len();
        for (id, value) in next {
            let before = self.get(id);
            count += usize::from(before.is_none());
            len = len + value.len() - before.map_or(0, str::len);
        }
        let max = self.limits.items_max;
        if count > max {
            return Err(Error::ItemsMax { max });
        }
        let (len, max) = (array_bytes(len, count), self.limits.patch.limits.bytes_max);
        if len > max { Err(Error::DocumentTooLarge { len, max }) } else { Ok(()) }
    }

    fn put(
        &mut self,
        id: Box<str>,
        value: &str,
        changes: &mut Vec<ItemChange>,
    ) -> Result<u64, Error> {
        if let Some(&birth) = self.by_id.get(&id) {
            if let Some(item) = self.by_birth.get_mut(&birth) {
                let before = item.document.text().len();
                let change = item.document.update(value.as_bytes())?;
                self.bytes = self.bytes + value.len() - before;
                match change {
                    Change::Nothing => {}
                    Change::Replacement => changes.push(ItemChange::Replaced { birth }),
                    Change::Script(script) => changes.push(ItemChange::Edited { birth, script }),
                }
            }
            return Ok(birth);
        }
        let document = Document::parse_with(value.as_bytes(), &self.limits.patch)?;
        let birth = self.births;
        self.births += 1;
        self.bytes += value.len();
        self.by_id.insert(id.clone(), birth);
        self.by_birth.insert(birth, Item { id, document });
        changes.push(ItemChange::Added { birth });
        Ok(birth)
    }

    /// Removes an item; none if it is not there.
    pub(crate) fn remove(&mut self, id: &str) -> Option<ItemChange> {
        let birth = *self.by_id.get(id)?;
        self.remove_birth(birth)
    }

    /// Removes what has lasted long enough.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<ItemChange> {
        let mut changes = Vec::new();
        while let Some(birth) = self.expiry.pop_due(now) {
            changes.extend(self.remove_birth(birth));
        }
        changes
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.expiry.next()
    }

    fn remove_birth(&mut self, birth: u64) -> Option<ItemChange> {
        let Item { id, document } = self.by_birth.remove(&birth)?;
        self.by_id.remove(&id);
        self.expiry.clear(birth);
        self.bytes -= document.text().len();
        Some(ItemChange::Removed { birth, id })
    }

    /// Forgets all items, as when the topic expires.
    pub(crate) fn clear(&mut self) {
        self.by_birth.clear();
        self.by_id.clear();
        self.bytes = 0;
        self.expiry = Deadlines::new();
    }

    /// The bytes of all items.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    fn get(&self, id: &str) -> Option<&str> {
        self.text(*self.by_id.get(id)?)
    }

    /// The text of an item, compact.
    pub(crate) fn text(&self, birth: u64) -> Option<&str> {
        self.by_birth.get(&birth).map(|item| item.document.text())
    }

    pub(crate) fn id(&self, birth: u64) -> Option<&str> {
        self.by_birth.get(&birth).map(|item| &*item.id)
    }

    /// All items that `wanted` selects, by birth.
    pub(crate) fn births(&self, wanted: impl Fn(&str) -> bool) -> Vec<u64> {
        self.by_birth.iter().filter(|(_, item)| wanted(&item.id)).map(|(birth, _)| *birth).collect()
    }

    /// The array of the selected items.
    pub(crate) fn write(&self, births: &[u64], out: &mut String) {
        out.push('[');
        for (at, text) in births.iter().filter_map(|&birth| self.text(birth)).enumerate() {
            if at > 0 {
                out.push(',');
            }
            out.push_str(text);
        }
        out.push(']');
    }
}

/// The length of an array whose elements have `bytes` in all.
pub(crate) const fn array_bytes(bytes: usize, count: usize) -> usize {
    "[]".len() + bytes + count.saturating_sub(1)
}

/// A selection of items in their order, and what changes of items mean to it.
#[derive(Debug, Default)]
pub(crate) struct Ranks {
    births: Vec<u64>,
}

impl Ranks {
    pub(crate) const fn of(births: Vec<u64>) -> Self {
        Self { births }
    }

    pub(crate) fn births(&self) -> &[u64] {
        &self.births
    }

    /// Follows the changes of the items that `wanted` selects and gives their operations, between
    /// the brackets of a patch; empty if none concerns it.
    pub(crate) fn follow(
        &mut self,
        items: &Items,
        changes: &[ItemChange],
        wanted: impl Fn(&str) -> bool,
    ) -> String {
        let mut patch = String::new();
        for change in changes {
            let (birth, id) = match change {
                ItemChange::Removed { birth, id } => (*birth, Some(&**id)),
                ItemChange::Added { birth }
                | ItemChange::Replaced { birth }
                | ItemChange::Edited { birth, .. } => (*birth, items.id(*birth)),
            };
            if !id.is_some_and(&wanted) {
                continue;
            }
            self.follow_one(items, birth, change, &mut patch);
        }
        patch
    }

    fn follow_one(&mut self, items: &Items, birth: u64, change: &ItemChange, patch: &mut String) {
        let rank = self.births.binary_search(&birth);
        let mark = patch.len();
        if mark > 0 {
            patch.push(',');
        }
        let value = || items.text(birth).unwrap_or("null");
        match (change, rank) {
            (ItemChange::Added { .. }, Err(rank)) => {
                self.births.insert(rank, birth);
                patch.push_str(&format!(r#"{{"op":"add","path":"/{rank}","value":{}}}"#, value()));
            }
            (ItemChange::Replaced { .. }, Ok(rank)) => {
                let value = value();
                patch.push_str(&format!(r#"{{"op":"replace","path":"/{rank}","value":{value}}}"#));
            }
            (ItemChange::Removed { .. }, Ok(rank)) => {
                self.births.remove(rank);
                patch.push_str(&format!(r#"{{"op":"remove","path":"/{rank}"}}"#));
            }
            (ItemChange::Edited { script, .. }, Ok(rank)) => {
                let mut whole = String::new();
                script.render_patch(&format!("/{rank}"), &mut whole);
                // Without its brackets.
                patch.push_str(whole.get(1..whole.len() - 1).unwrap_or_default());
            }
            // What is not in the selection is of no concern to it.
            _ => patch.truncate(mark),
        }
    }
}
