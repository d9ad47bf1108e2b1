mod follow;
mod rebuild;
mod sequence;

pub(crate) use self::rebuild::Run;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use self::sequence::Sequence;
use crate::pointer::{IndexError, Pointer, array_index};
use crate::string::{decode, encode, means};
use crate::tape::{Kind, NONE, ROOT, Tape, View};
use crate::value::equal;
use crate::{Limits, OperationErrorKind as Error};

/// A document under operations: text, with cells in place of the containers that they went through.
pub(super) struct Tree<'a> {
    document: View<'a>,
    patch: View<'a>,
    /// Texts of copied values that were no longer plain text.
    copies: Vec<(String, Tape)>,
    /// Each cell is a place: what is replaced gets another content there.
    cells: Vec<Cell>,
    /// The nodes of the document whose places have another content.
    replaced: BTreeMap<u32, u32>,
}

/// A copied value and its length.
pub(super) struct Copied {
    pub(super) cell: u32,
    pub(super) len: usize,
}

enum Cell {
    /// A value as it stands in a text.
    Text(Source, u32),
    Null,
    Array(Box<Elements>),
    Object(Box<Members>),
}

/// The elements of an array that an operation went through.
struct Elements {
    sequence: Sequence,
    /// The node that they were, if it was one of the document.
    origin: u32,
    /// The cell of the first one of them.
    first: u32,
}

/// The text in which a value stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Document,
    Patch,
    Copy(u32),
}

/// The members of an object that an operation went through.
struct Members {
    /// The node that they were, if it was one of the document.
    origin: u32,
    /// The cell of the first one of them, and how many they were.
    first: u32,
    count: usize,
    /// Members in order, with holes where some were removed.
    list: Vec<Option<Member>>,
    live: usize,
    /// Places by key, kept from [`INDEXED_MIN`] places on.
    index: Option<BTreeMap<String, usize>>,
}

struct Member {
    key: Key,
    cell: u32,
}

enum Key {
    Text(Source, u32),
    /// As it stands between the quotes of a JSON string.
    Raw(Box<str>),
}

/// A child by its place in its parent's cell.
enum Place {
    Element(usize),
    Member(usize),
}

impl<'a> Tree<'a> {
    pub(super) fn new(document: View<'a>, patch: View<'a>) -> Self {
        let cells = alloc::vec![Cell::Text(Source::Document, ROOT)];
        Self { document, patch, copies: Vec::new(), cells, replaced: BTreeMap::new() }
    }

    /// A value of the patch as a cell that is still to be put somewhere.
    pub(super) fn patch_value(&mut self, node: u32) -> u32 {
        self.cell(Cell::Text(Source::Patch, node))
    }

    pub(super) fn add(&mut self, path: Pointer<'_>, cell: u32) -> Result<(), Error> {
        let Some((parent, token)) = path.split_last() else {
            self.put(TOP, cell);
            return Ok(());
        };
        let parent = self.find(parent)?;
        self.expand(parent);
        if let Cell::Array(elements) = &mut self.cells[parent as usize] {
            let sequence = &mut elements.sequence;
            let index = if token == "-" { sequence.len() } else { index(&token)? };
            if index > sequence.len() {
                return Err(Error::Bounds);
            }
            sequence.insert(index, cell);
            return Ok(());
        }
        let member = self.member(parent, &token)?;
        let Cell::Object(members) = &mut self.cells[parent as usize] else {
            return Err(Error::Scalar);
        };
        match member.and_then(|at| members.list[at].as_ref()) {
            Some(&Member { cell: place, .. }) => self.put(place, cell),
            None => {
                members.push(&token, cell);
                self.index_members(parent);
            }
        }
        Ok(())
    }

    pub(super) fn replace(&mut self, path: Pointer<'_>, cell: u32) -> Result<(), Error> {
        let place = self.find(path)?;
        self.put(place, cell);
        Ok(())
    }

    /// Takes a value out of its place. In the place of the whole document it leaves null.
    pub(super) fn remove(&mut self, path: Pointer<'_>) -> Result<u32, Error> {
        let Some((parent, token)) = path.split_last() else {
            let top = self.cell(Cell::Null);
            self.cells.swap(top as usize, TOP as usize);
            self.replaced.remove(&TOP);
            return Ok(top);
        };
        let parent = self.find(parent)?;
        let place = self.place(parent, &token)?;
        match (place, &mut self.cells[parent as usize]) {
            (Place::Element(at), Cell::Array(elements)) => Ok(elements.sequence.remove(at)),
            (Place::Member(at), Cell::Object(members)) => {
                members.take(at, &token).ok_or(Error::Missing)
            }
            _ => Err(Error::Scalar),
        }
    }

    /// Copies a value of at most `len_max` bytes.
    pub(super) fn copy(&mut self, cell: u32, len_max: usize) -> Result<Copied, Error> {
        let (copy, len) = match self.cells[cell as usize] {
            Cell::Text(source, node) => {
                (Cell::Text(source, node), self.view(source).raw(node).len())
            }
            Cell::Null => (Cell::Null, NULL.len()),
            Cell::Array(_) | Cell::Object(_) => {
                let mut text = String::new();
                if !self.write(cell, len_max, &mut text) {
                    return Err(Error::Copies);
                }
                let limits = Limits {
                    depth_max: u32::MAX,
                    bytes_max: usize::MAX,
                    nodes_max: u32::MAX,
                    ops_max: 0,
                    edits_max: 0,
                };
                let Ok((tape, _)) = Tape::parse(text.as_bytes(), &limits) else {
                    return Err(Error::Copies);
                };
                let len = text.len();
                self.copies.push((text, tape));
                (Cell::Text(Source::Copy(self.copies.len() as u32 - 1), ROOT), len)
            }
        };
        if len > len_max {
            return Err(Error::Copies);
        }
        Ok(Copied { cell: self.cell(copy), len })
    }

    /// Follows a pointer.
    pub(super) fn find(&mut self, path: Pointer<'_>) -> Result<u32, Error> {
        let mut cell = TOP;
        for token in path.tokens() {
            let place = self.place(cell, &token)?;
            cell = match (place, &mut self.cells[cell as usize]) {
                (Place::Element(at), Cell::Array(elements)) => elements.sequence.at(at),
                (Place::Member(at), Cell::Object(members)) => {
                    members.list[at].as_ref().ok_or(Error::Missing)?.cell
                }
                _ => return Err(Error::Scalar),
            };
        }
        Ok(cell)
    }

    /// How many elements a cell has, if it is an array.
    pub(super) fn array_len(&mut self, cell: u32) -> Option<usize> {
        self.expand(cell);
        match &self.cells[cell as usize] {
            Cell::Array(elements) => Some(elements.sequence.len()),
            _ => None,
        }
    }

    /// Whether there may be white space between tokens of what is written.
    pub(super) const fn is_spaced(&self) -> bool {
        self.document.is_spaced() || self.patch.is_spaced()
    }

    /// Whether a cell has the value of a node of the patch.
    pub(super) fn equals(&self, cell: u32, node: u32) -> bool {
        let mut scratch = Vec::new();
        let mut pending = alloc::vec![(cell, node)];
        while let Some((cell, node)) = pending.pop() {
            let patch = self.patch;
            let same = match &self.cells[cell as usize] {
                &Cell::Text(source, own) => {
                    equal(self.view(source), own, patch, node, &mut scratch)
                }
                Cell::Null => patch.kind(node) == Kind::Null,
                Cell::Array(elements) => {
                    if patch.kind(node) != Kind::Array {
                        return false;
                    }
                    let mut others = patch.children(node);
                    for element in elements.sequence.iter() {
                        let Some(other) = others.next() else { return false };
                        pending.push((element, other));
                    }
                    others.next().is_none()
                }
                Cell::Object(members) => {
                    let len = members.live;
                    if patch.kind(node) != Kind::Object
                        || patch.children(node).take(len + 1).count() != len
                    {
                        return false;
                    }
                    patch.children(node).all(|other| {
                        let found = self.lookup(members, &decode(patch.key(other)));
                        let member = found.and_then(|at| members.list[at].as_ref());
                        pending.extend(member.map(|member| (member.cell, other)));
                        member.is_some()
                    })
                }
            };
            if !same {
                return false;
            }
        }
        true
    }

    /// Appends the text of a cell; says whether it stayed within `len_max` bytes.
    pub(super) fn write(&self, cell: u32, len_max: usize, out: &mut String) -> bool {
        let mut open = Vec::new();
        let mut next = Some(cell);
        loop {
            if let Some(cell) = next.take() {
                match &self.cells[cell as usize] {
                    &Cell::Text(source, node) => out.push_str(self.view(source).raw(node)),
                    Cell::Null => out.push_str(NULL),
                    Cell::Array(elements) => {
                        out.push('[');
                        open.push((cell, elements.sequence.first(), true));
                    }
                    Cell::Object(_) => {
                        out.push('{');
                        open.push((cell, 0, true));
                    }
                }
            }
            if out.len() > len_max {
                return false;
            }
            let Some((cell, at, first)) = open.last_mut() else { return true };
            match &self.cells[*cell as usize] {
                Cell::Array(elements) if *at != NONE => {
                    let (element, after) = elements.sequence.step(*at);
                    next = Some(element);
                    *at = after;
                }
                Cell::Object(members) if (*at as usize) < members.list.len() => {
                    *at += 1;
                    let Some(member) = &members.list[*at as usize - 1] else { continue };
                    next = Some(member.cell);
                }
                Cell::Array(_) => out.push(']'),
                _ => out.push('}'),
            }
            if next.is_none() {
                open.pop();
                continue;
            }
            if !core::mem::replace(first, false) {
                out.push(',');
            }
            if let Cell::Object(members) = &self.cells[*cell as usize]
                && let Some(member) = &members.list[*at as usize - 1]
            {
                out.push('"');
                out.push_str(self.raw_key(&member.key));
                out.push_str("\":");
            }
        }
    }

    /// Puts the content of a new cell into a place.
    fn put(&mut self, place: u32, cell: u32) {
        let content = core::mem::replace(&mut self.cells[cell as usize], Cell::Null);
        if let Some(node) = self.origin(place) {
            self.replaced.insert(place, node);
        }
        self.cells[place as usize] = content;
    }

    fn cell(&mut self, cell: Cell) -> u32 {
        self.cells.push(cell);
        self.cells.len() as u32 - 1
    }

    /// The place of an existing child.
    fn place(&mut self, parent: u32, token: &str) -> Result<Place, Error> {
        self.expand(parent);
        if let Cell::Array(elements) = &self.cells[parent as usize] {
            if token == "-" {
                return Err(Error::Bounds);
            }
            let index = index(token)?;
            return if index < elements.sequence.len() {
                Ok(Place::Element(index))
            } else {
                Err(Error::Bounds)
            };
        }
        self.member(parent, token)?.map(Place::Member).ok_or(Error::Missing)
    }

    fn member(&self, object: u32, token: &str) -> Result<Option<usize>, Error> {
        let Cell::Object(members) = &self.cells[object as usize] else {
            return Err(Error::Scalar);
        };
        Ok(self.lookup(members, token))
    }

    fn lookup(&self, members: &Members, key: &str) -> Option<usize> {
        if let Some(index) = &members.index {
            return index.get(key).copied();
        }
        members.list.iter().position(|member| {
            member.as_ref().is_some_and(|member| means(self.raw_key(&member.key), key))
        })
    }

    /// Puts cells in the place of a container's text.
    fn expand(&mut self, cell: u32) {
        let Cell::Text(source, node) = self.cells[cell as usize] else { return };
        let kind = self.view(source).kind(node);
        if !kind.is_container() {
            return;
        }
        let children: Vec<u32> = self.view(source).children(node).collect();
        let first = self.cells.len() as u32;
        self.cells.extend(children.iter().map(|&child| Cell::Text(source, child)));
        let origin = if source == Source::Document { node } else { NONE };
        let expanded = if kind == Kind::Array {
            let sequence = Sequence::new(first..self.cells.len() as u32);
            Cell::Array(Box::new(Elements { sequence, origin, first }))
        } else {
            let list = children
                .iter()
                .zip(first..)
                .map(|(&child, cell)| Some(Member { key: Key::Text(source, child), cell }));
            let (list, count) = (list.collect(), children.len());
            let members = Members { origin, first, count, list, live: count, index: None };
            Cell::Object(Box::new(members))
        };
        self.cells[cell as usize] = expanded;
        self.index_members(cell);
    }

    /// Gives an object its index once it has places enough.
    fn index_members(&mut self, object: u32) {
        let Cell::Object(members) = &self.cells[object as usize] else { return };
        if members.index.is_some() || members.list.len() < INDEXED_MIN {
            return;
        }
        let places = members.list.iter().enumerate();
        let live = places.filter_map(|(at, member)| Some((member.as_ref()?, at)));
        let index = live.map(|(member, at)| (decode(self.raw_key(&member.key)).into_owned(), at));
        let index = index.collect();
        if let Cell::Object(members) = &mut self.cells[object as usize] {
            members.index = Some(index);
        }
    }

    fn raw_key<'s>(&'s self, key: &'s Key) -> &'s str {
        match key {
            Key::Text(source, node) => self.view(*source).key(*node),
            Key::Raw(raw) => raw,
        }
    }

    fn view(&self, source: Source) -> View<'_> {
        match source {
            Source::Document => self.document,
            Source::Patch => self.patch,
            Source::Copy(at) => {
                let (text, tape) = &self.copies[at as usize];
                tape.view(text)
            }
        }
    }
}

impl Members {
    fn push(&mut self, key: &str, cell: u32) {
        let mut raw = String::new();
        encode(key, &mut raw);
        let at = self.list.len();
        self.list.push(Some(Member { key: Key::Raw(raw.into()), cell }));
        self.live += 1;
        if let Some(index) = &mut self.index {
            index.insert(key.into(), at);
        }
    }

    fn take(&mut self, at: usize, key: &str) -> Option<u32> {
        let member = self.list[at].take()?;
        self.live -= 1;
        if let Some(index) = &mut self.index {
            index.remove(key);
        }
        Some(member.cell)
    }
}

fn index(token: &str) -> Result<usize, Error> {
    array_index(token).map_err(|error| match error {
        IndexError::Syntax => Error::Index,
        IndexError::Huge => Error::Bounds,
    })
}

/// The place of the whole document.
pub(super) const TOP: u32 = 0;
const NULL: &str = "null";
/// Fewer places than these are looked through one by one.
const INDEXED_MIN: usize = 16;
