//! Where the values of a document are while operations go on.

use alloc::string::String;
use alloc::vec::Vec;

use super::{Cell, Error, TOP, Tree};
use crate::pointer::push_token;
use crate::string::decode;
use crate::tape::{Kind, NONE};

impl Tree<'_> {
    /// Appends the present pointer to the value that a node of the document was.
    pub(in crate::apply) fn push_pointer(
        &mut self,
        node: u32,
        out: &mut String,
    ) -> Result<(), Error> {
        let mut chain = Vec::new();
        let mut at = node;
        while self.document.parent(at) != NONE {
            chain.push(at);
            at = self.document.parent(at);
        }
        let mut cell = TOP;
        if chain.is_empty() && !self.replaced.contains_key(&TOP) && self.origin(TOP).is_none() {
            return Err(Error::Gone);
        }
        while let Some(child) = chain.pop() {
            if self.origin(cell) != Some(self.document.parent(child)) {
                return Err(Error::Gone);
            }
            self.expand(cell);
            cell = self.push_child(cell, child, out).ok_or(Error::Gone)?;
        }
        Ok(())
    }

    /// The node of the document whose content a place has.
    pub(super) fn origin(&self, place: u32) -> Option<u32> {
        let origin = match &self.cells[place as usize] {
            &Cell::Text(super::Source::Document, node) => node,
            Cell::Array(elements) => elements.origin,
            Cell::Object(members) => members.origin,
            _ => NONE,
        };
        (origin != NONE).then_some(origin)
    }

    /// Appends the token of a child that a container had from the beginning; gives its cell, if it is
    /// still there.
    fn push_child(&mut self, container: u32, child: u32, out: &mut String) -> Option<u32> {
        let document = self.document;
        let kind = document.kind(document.parent(child));
        if kind == Kind::Array {
            let Cell::Array(elements) = &mut self.cells[container as usize] else { return None };
            let ordinal = document.index(child);
            let cell = elements.first + ordinal;
            let index = elements.sequence.position(cell, ordinal as usize)?;
            push_token(&alloc::format!("{index}"), out);
            return Some(cell);
        }
        let Cell::Object(members) = &self.cells[container as usize] else { return None };
        // Members that were there from the beginning stand first, in the order of their nodes.
        let ordinal = self.ordinal(members.first, members.count, child)?;
        let member = members.list[ordinal].as_ref()?;
        push_token(&decode(document.key(child)), out);
        Some(member.cell)
    }

    /// Which of so many cells from `first` on is that of a node.
    fn ordinal(&self, first: u32, count: usize, node: u32) -> Option<usize> {
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = (low + high) / 2;
            let place = first + middle as u32;
            // A place that has another content is known by what it had.
            let origin = self.replaced.get(&place).copied().or_else(|| self.origin(place));
            match origin {
                Some(origin) if origin == node => return Some(middle),
                Some(origin) if origin < node => low = middle + 1,
                _ => high = middle,
            }
        }
        None
    }
}
