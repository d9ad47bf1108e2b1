mod builder;
mod splice;

use alloc::vec::Vec;

use crate::pointer::array_index;
use crate::string::means;
use crate::{Limits, ParseError, ParseErrorKind};

pub(crate) use self::builder::{Builder, Place};
pub(crate) use self::splice::{Edit, Splices};

/// The values of a text in the order in which they begin: offsets only.
///
/// Node 0 is the document. The nodes of a subtree are contiguous, so that a subtree is skipped by one
/// look at its root. All but where a value starts is kept relative, so that a change of length
/// somewhere moves the starts behind it and nothing else.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tape {
    starts: Vec<u32>,
    nodes: Vec<Node>,
    /// No value nests deeper.
    depth: u32,
    /// Whether there may be white space between tokens.
    spaced: bool,
}

/// One value: how long it is, how many nodes its subtree has, whose child it is and under which key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    len: u32,
    size: u32,
    parent: u32,
    /// For a member, how far before the value its key starts, behind the quote; for an element, its
    /// index.
    key: u32,
}

/// The node of the whole document.
pub(crate) const ROOT: u32 = 0;
/// No node.
pub(crate) const NONE: u32 = u32::MAX;

impl Tape {
    /// Reads a whole text, which is validated completely.
    pub(crate) fn parse<'t>(
        text: &'t [u8],
        limits: &Limits,
    ) -> Result<(Self, &'t str), ParseError> {
        let mut tape = Self::default();
        let text = tape.read(text, limits)?;
        Ok((tape, text))
    }

    #[cfg(feature = "serde_json")]
    pub(crate) fn with_capacity(len: usize) -> Self {
        let (starts, nodes) = (Vec::with_capacity(len), Vec::with_capacity(len));
        Self { starts, nodes, ..Self::default() }
    }

    /// Reads a whole text into this tape, keeping what it has allocated. After an error the tape holds
    /// nothing of use.
    pub(crate) fn read<'t>(
        &mut self,
        text: &'t [u8],
        limits: &Limits,
    ) -> Result<&'t str, ParseError> {
        if text.len() > limits.bytes_allowed() {
            return Err(ParseError::new(ParseErrorKind::Bytes, limits.bytes_allowed()));
        }
        let text = core::str::from_utf8(text)
            .map_err(|error| ParseError::new(ParseErrorKind::Utf8, error.valid_up_to()))?;
        self.clear();
        let mut builder = Builder::new(text.as_bytes(), limits, self);
        builder.document()?;
        Ok(text)
    }

    pub(crate) const fn view<'a>(&'a self, text: &'a str) -> View<'a> {
        View { text, tape: self }
    }

    pub(crate) fn clear(&mut self) {
        self.starts.clear();
        self.nodes.clear();
        self.depth = 0;
        self.spaced = false;
    }

    /// Forgets the values from the `len`th on.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.starts.truncate(len);
        self.nodes.truncate(len);
    }

    pub(crate) const fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there may be white space between tokens anywhere.
    pub(crate) const fn is_spaced(&self) -> bool {
        self.spaced
    }

    /// How many bytes are allocated.
    pub(crate) const fn memory(&self) -> usize {
        self.starts.capacity() * size_of::<u32>() + self.nodes.capacity() * size_of::<Node>()
    }

    /// Whether this is the tape that reading the text would give.
    pub(crate) fn is_of(&self, text: &str) -> bool {
        let limits = Limits {
            depth_max: u32::MAX,
            nodes_max: u32::MAX,
            bytes_max: usize::MAX,
            ..Limits::default()
        };
        Self::parse(text.as_bytes(), &limits)
            .is_ok_and(|(tape, _)| tape.starts == self.starts && tape.nodes == self.nodes)
    }

    /// Appends a value that ends later.
    pub(crate) fn open(&mut self, start: usize, parent: u32, key: u32) {
        self.starts.push(start as u32);
        self.nodes.push(Node { len: 0, size: 1, parent, key });
    }

    /// The value of a node ends, and with it all that is in it.
    pub(crate) fn close(&mut self, node: u32, end: usize) {
        let at = node as usize;
        let (size, start) = (self.nodes.len() - at, self.starts[at] as usize);
        self.nodes[at].size = size as u32;
        self.nodes[at].len = (end - start) as u32;
    }

    /// Notes what the tape may hold besides: white space, and values as deep as this.
    pub(crate) fn admit(&mut self, spaced: bool, depth: u32) {
        self.spaced |= spaced;
        self.depth = self.depth.max(depth);
    }

    /// Appends a subtree of another tape, as a child of `parent` whose text starts at `start`.
    pub(crate) fn copy_subtree(
        &mut self,
        from: &Self,
        node: u32,
        start: u32,
        parent: u32,
        key: u32,
    ) -> u32 {
        let root = self.nodes.len() as u32;
        let (first, size) = (node as usize, from.nodes[node as usize].size as usize);
        let shift = start.wrapping_sub(from.starts[first]);
        let starts = &from.starts[first..first + size];
        self.starts.extend(starts.iter().map(|start| start.wrapping_add(shift)));
        let up = root.wrapping_sub(node);
        let nodes = &from.nodes[first..first + size];
        self.nodes.extend(
            nodes.iter().map(|node| Node { parent: node.parent.wrapping_add(up), ..*node }),
        );
        let top = &mut self.nodes[root as usize];
        (top.parent, top.key) = (parent, key);
        root
    }
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

impl Kind {
    pub(crate) const fn is_container(self) -> bool {
        matches!(self, Self::Array | Self::Object)
    }
}

/// A text with its tape.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    text: &'a str,
    tape: &'a Tape,
}

impl<'a> View<'a> {
    pub(crate) fn kind(self, node: u32) -> Kind {
        match self.text.as_bytes()[self.start(node)] {
            b'{' => Kind::Object,
            b'[' => Kind::Array,
            b'"' => Kind::String,
            b't' | b'f' => Kind::Bool,
            b'n' => Kind::Null,
            _ => Kind::Number,
        }
    }

    pub(crate) const fn text(self) -> &'a str {
        self.text
    }

    pub(crate) const fn tape(self) -> &'a Tape {
        self.tape
    }

    /// The text of a value.
    pub(crate) fn raw(self, node: u32) -> &'a str {
        &self.text[self.start(node)..self.end(node)]
    }

    /// The bytes of a value.
    pub(crate) fn bytes(self, node: u32) -> &'a [u8] {
        &self.text.as_bytes()[self.start(node)..self.end(node)]
    }

    /// What stands between the quotes of a value that is a string.
    pub(crate) fn string(self, node: u32) -> &'a str {
        &self.text[self.start(node) + 1..self.end(node) - 1]
    }

    /// What stands between the quotes of a member's key.
    pub(crate) fn key(self, member: u32) -> &'a str {
        let start = self.start(member);
        let key_start = start - self.node(member).key as usize;
        let bytes = self.text.as_bytes();
        let mut end = start - 2;
        if bytes[end + 1] != b':' || bytes[end] != b'"' {
            // White space around the colon.
            end = start - 1;
            while bytes[end] != b'"' {
                end -= 1;
            }
        }
        &self.text[key_start..end]
    }

    /// Where a member's key starts, behind its quote; nothing for what is no member.
    pub(crate) fn key_start(self, node: u32) -> Option<usize> {
        let parent = self.parent(node);
        let member = parent != NONE && self.kind(parent) == Kind::Object;
        member.then(|| self.start(node) - self.node(node).key as usize)
    }

    /// How far before a member its key starts, or the index of an element.
    pub(crate) fn key_field(self, node: u32) -> u32 {
        self.node(node).key
    }

    /// The position of an element in its array.
    pub(crate) fn index(self, element: u32) -> u32 {
        self.node(element).key
    }

    pub(crate) fn start(self, node: u32) -> usize {
        self.tape.starts[node as usize] as usize
    }

    pub(crate) fn end(self, node: u32) -> usize {
        self.start(node) + self.node(node).len as usize
    }

    /// The first node behind a subtree.
    pub(crate) fn after(self, node: u32) -> u32 {
        node + self.node(node).size
    }

    pub(crate) fn contains(self, ancestor: u32, node: u32) -> bool {
        ancestor <= node && node < self.after(ancestor)
    }

    pub(crate) fn children(self, container: u32) -> impl Iterator<Item = u32> + 'a {
        self.siblings(container + 1, container)
    }

    /// The values that begin within a range of nodes and are in no other of them.
    pub(crate) fn roots(self, nodes: core::ops::Range<u32>) -> impl Iterator<Item = u32> + 'a {
        let mut at = nodes.start;
        core::iter::from_fn(move || {
            (at < nodes.end).then(|| {
                let this = at;
                at = self.after(this);
                this
            })
        })
    }

    /// The children of a container from `first` on.
    pub(crate) fn siblings(self, first: u32, container: u32) -> impl Iterator<Item = u32> + 'a {
        let end = self.after(container);
        let mut child = first;
        core::iter::from_fn(move || {
            (child < end).then(|| {
                let this = child;
                child = self.after(this);
                this
            })
        })
    }

    /// The member of an object whose key means `key`.
    pub(crate) fn member(self, object: u32, key: &str) -> Option<u32> {
        self.children(object).find(|&member| self.key_is(member, key))
    }

    /// Whether the key of a member means this.
    pub(crate) fn key_is(self, member: u32, key: &str) -> bool {
        means(self.key(member), key)
    }

    /// Whether a child stands where this token leads.
    pub(crate) fn is_at(self, child: u32, token: &str) -> bool {
        match self.kind(self.parent(child)) {
            Kind::Object => self.key_is(child, token),
            _ => array_index(token) == Ok(self.index(child) as usize),
        }
    }

    pub(crate) fn parent(self, node: u32) -> u32 {
        self.node(node).parent
    }

    /// The last node that starts at `offset` or before; the search begins at a node that does.
    pub(crate) fn last_before(self, offset: usize, hint: u32) -> u32 {
        let starts = &self.tape.starts;
        let offset = offset as u32;
        let mut low = hint as usize;
        let mut step = 1;
        while starts.get(low + step).is_some_and(|&start| start <= offset) {
            low += step;
            step *= 2;
        }
        let high = starts.len().min(low + step);
        (low + starts[low + 1..high].partition_point(|&start| start <= offset)) as u32
    }

    /// How deep the document nests at most.
    pub(crate) const fn depth(self) -> u32 {
        self.tape.depth
    }

    /// Whether there may be white space between tokens anywhere.
    pub(crate) const fn is_spaced(self) -> bool {
        self.tape.spaced
    }

    fn node(self, node: u32) -> &'a Node {
        &self.tape.nodes[node as usize]
    }
}
