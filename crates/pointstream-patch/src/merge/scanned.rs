use alloc::string::String;
use alloc::vec::Vec;

use super::{push_key, write_members};
use crate::scan::alike;
use crate::script::push_compact;
use crate::tape::{Edit, Kind, NONE, ROOT, Splices, View};
use crate::value::{equal, pair_members};

/// Appends the merge patch of a change that was found by scanning, of which only the parts that changed
/// were read. Says whether there is one.
pub(crate) fn write_scanned(
    old: View<'_>,
    new: &[u8],
    splices: &Splices,
    out: &mut String,
) -> bool {
    let spaced = old.is_spaced() || splices.scratch.is_spaced();
    if old.kind(ROOT) != Kind::Object {
        return push(new, spaced, out);
    }
    out.push('{');
    let open = alloc::vec![(ROOT, out.len())];
    let mut merge = Merge { old, new, splices, spaced, open, pairs: Vec::new() };
    let mut edits = splices.edits();
    while let Some((edit, rest)) = edits.split_first() {
        edits = match merge.array_of(edit) {
            Some(array) => {
                let len = edits.iter().take_while(|edit| edit.old.start < old.end(array)).count();
                let (within, rest) = edits.split_at(len);
                if !merge.array(array, within, out) {
                    return false;
                }
                rest
            }
            None => {
                if !merge.edit(edit, out) {
                    return false;
                }
                rest
            }
        };
    }
    merge.leave(None, out);
    true
}

struct Merge<'a> {
    old: View<'a>,
    new: &'a [u8],
    splices: &'a Splices,
    spaced: bool,
    /// The objects that are open, and where what is in them begins.
    open: Vec<(u32, usize)>,
    pairs: Vec<(u32, u32)>,
}

impl Merge<'_> {
    /// The outermost array that an edit is in: merge patches replace arrays as a whole.
    fn array_of(&self, edit: &Edit) -> Option<u32> {
        let old = self.old;
        let mut at = if edit.is_scalar() { old.parent(edit.node) } else { edit.owner };
        let mut found = None;
        while at != NONE {
            if old.kind(at) == Kind::Array {
                found = Some(at);
            }
            at = old.parent(at);
        }
        found
    }

    /// Writes an array in which there are edits, if any of them changes its value.
    fn array(&mut self, array: u32, edits: &[Edit], out: &mut String) -> bool {
        let (Some(first), Some(last)) = (edits.first(), edits.last()) else { return true };
        if !edits.iter().any(|edit| self.changes(edit)) {
            return true;
        }
        let start = first.new.start - (first.old.start - self.old.start(array));
        let end = last.new.end + (self.old.end(array) - last.old.end);
        self.key(array, out);
        push(&self.new[start..end], self.spaced, out)
    }

    /// Writes what an edit of a member, or of the last members of an object, changes.
    fn edit(&mut self, edit: &Edit, out: &mut String) -> bool {
        let Self { old, new, .. } = *self;
        if !self.changes(edit) {
            return true;
        }
        if edit.is_scalar() {
            self.key(edit.node, out);
            let text = &new[edit.new.clone()];
            return text != b"null" && push(text, false, out);
        }
        let Ok(text) = core::str::from_utf8(&new[edit.new.clone()]) else { return false };
        let view = self.splices.scratch.view(text);
        let mut pairs = core::mem::take(&mut self.pairs);
        pairs.clear();
        let news = view.roots(edit.added.clone());
        if edit.old.end == old.end(edit.owner) {
            let olds = old.siblings(edit.node, edit.owner);
            pair_members(old, olds, view, news, |a, b| pairs.push((a, b)));
        } else {
            pairs.extend(news.map(|b| (edit.node, b)));
        }
        self.enter(edit.owner, out);
        let inside = self.open.last().map_or(0, |&(_, inside)| inside);
        write_members(old, view, pairs, inside, out)
    }

    /// Whether an edit makes another value.
    fn changes(&self, edit: &Edit) -> bool {
        let Self { old, new, .. } = *self;
        let Ok(text) = core::str::from_utf8(&new[edit.new.clone()]) else { return true };
        if edit.is_scalar() {
            return !alike(old, edit.node, text, usize::MAX);
        }
        if edit.old.end != old.end(edit.owner) {
            // A container became something else, or something else a container.
            return true;
        }
        if old.kind(edit.owner) == Kind::Object {
            return self.members_change(edit, text);
        }
        let view = self.splices.scratch.view(text);
        let mut olds = old.siblings(edit.node, edit.owner);
        let mut scratch = Vec::new();
        let alike = view
            .roots(edit.added.clone())
            .all(|b| olds.next().is_some_and(|a| equal(old, a, view, b, &mut scratch)));
        !alike || olds.next().is_some()
    }

    fn members_change(&self, edit: &Edit, text: &str) -> bool {
        let old = self.old;
        let view = self.splices.scratch.view(text);
        let mut scratch = Vec::new();
        let mut changed = false;
        let olds = old.siblings(edit.node, edit.owner);
        pair_members(old, olds, view, view.roots(edit.added.clone()), |a, b| {
            changed = changed || a == NONE || b == NONE || !equal(old, a, view, b, &mut scratch);
        });
        changed
    }

    /// Opens the object that a member is in, and writes its key.
    fn key(&mut self, member: u32, out: &mut String) {
        self.enter(self.old.parent(member), out);
        self.separate(out);
        push_key(self.old.key(member), out);
    }

    /// Opens an object and all that it is in, and closes the others.
    fn enter(&mut self, object: u32, out: &mut String) {
        self.leave(Some(object), out);
        let top = self.open.last().map_or(ROOT, |&(node, _)| node);
        let mut chain = Vec::new();
        let mut at = object;
        while at != top {
            chain.push(at);
            at = self.old.parent(at);
        }
        while let Some(node) = chain.pop() {
            self.separate(out);
            push_key(self.old.key(node), out);
            out.push('{');
            self.open.push((node, out.len()));
        }
    }

    /// Closes the objects that a node is not in, all if there is none.
    fn leave(&mut self, node: Option<u32>, out: &mut String) {
        while let Some(&(open, _)) = self.open.last()
            && !node.is_some_and(|node| self.old.contains(open, node))
        {
            out.push('}');
            self.open.pop();
        }
    }

    fn separate(&self, out: &mut String) {
        if self.open.last().is_some_and(|&(_, inside)| out.len() > inside) {
            out.push(',');
        }
    }
}

/// Appends a value; says whether it is text.
fn push(value: &[u8], spaced: bool, out: &mut String) -> bool {
    let Ok(text) = core::str::from_utf8(value) else { return false };
    if spaced {
        push_compact(text.trim_matches([' ', '\t', '\n', '\r']), out);
    } else {
        out.push_str(text);
    }
    true
}
