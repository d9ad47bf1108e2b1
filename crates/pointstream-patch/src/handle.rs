use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::Pointer;
use crate::tape::NONE;

/// A stable handle of a value within a document.
///
/// It stays with its value while [edits](crate::Document::edit) around it shift indices and while the
/// value itself is set. It ends when the value is removed, when something that the value is in is set,
/// and with an [`update`](crate::Document::update) by another text, which may put any value anywhere. A
/// handle that has ended is refused; it is never taken for that of another value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle {
    slot: u32,
    generation: u32,
}

impl Handle {
    /// What a pointer leads to from the value of this handle.
    pub const fn at(self, pointer: Pointer<'_>) -> Place<'_> {
        Place { handle: Some(self), pointer }
    }
}

/// A place in a document: by pointer, by handle, or by a pointer from where a handle is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    pub(crate) handle: Option<Handle>,
    pub(crate) pointer: Pointer<'a>,
}

impl<'a> From<Pointer<'a>> for Place<'a> {
    fn from(pointer: Pointer<'a>) -> Self {
        Self { handle: None, pointer }
    }
}

impl From<Handle> for Place<'_> {
    fn from(handle: Handle) -> Self {
        handle.at(Pointer::ROOT)
    }
}

/// The handles of a document: at most one for each of its values.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handles {
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_node: BTreeMap<u32, u32>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    generation: u32,
    /// The node of the value; [`NONE`] if the handle has ended.
    node: u32,
}

impl Handles {
    /// The handle of a node, the same as long as it lasts.
    pub(crate) fn of(&mut self, node: u32) -> Handle {
        let Self { slots, free, by_node } = self;
        let slot = *by_node.entry(node).or_insert_with(|| {
            free.pop().unwrap_or_else(|| {
                slots.push(Slot { generation: 0, node: NONE });
                slots.len() as u32 - 1
            })
        });
        slots[slot as usize].node = node;
        Handle { slot, generation: slots[slot as usize].generation }
    }

    /// The node of a handle that has not ended.
    pub(crate) fn node(&self, handle: Handle) -> Option<u32> {
        let slot = self.slots.get(handle.slot as usize)?;
        (slot.generation == handle.generation && slot.node != NONE).then_some(slot.node)
    }

    /// Brings the handles to where their values are; those that are nowhere end.
    pub(crate) fn follow(&mut self, place: impl Fn(u32) -> Option<u32>) {
        for (node, slot) in core::mem::take(&mut self.by_node) {
            match place(node) {
                Some(node) => {
                    self.slots[slot as usize].node = node;
                    self.by_node.insert(node, slot);
                }
                None => self.end(slot),
            }
        }
    }

    /// Ends the handle of a slot. A slot whose generations are used up is not used again.
    fn end(&mut self, slot: u32) {
        let this = &mut self.slots[slot as usize];
        this.node = NONE;
        if let Some(generation) = this.generation.checked_add(1) {
            this.generation = generation;
            self.free.push(slot);
        }
    }

    pub(crate) fn memory(&self) -> usize {
        let words = self.slots.capacity() * 2 + self.free.capacity() + self.by_node.len() * 4;
        size_of::<Self>() + words * size_of::<u32>()
    }
}
