use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::lexer::Lexer;
use crate::string::{decode, same};
use crate::{Limits, ParseError, ParseErrorKind};

/// The values of a text in the order in which they begin: offsets only.
///
/// Node 0 is the document. The nodes of a subtree are contiguous, so that a subtree is skipped by one
/// look at its root.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tape {
    nodes: Vec<Node>,
    depth: u32,
    spaced: bool,
}

/// One value: where it stands, where its subtree ends, whose child it is and under which key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    start: u32,
    end: u32,
    next: u32,
    parent: u32,
    /// For a member, the offsets between the quotes of its key; for an element, its index and nothing.
    key_start: u32,
    key_end: u32,
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
        self.nodes.clear();
        self.depth = 0;
        self.spaced = false;
        let builder = Builder {
            lexer: Lexer::new(text),
            text,
            limits,
            tape: self,
            open: NONE,
            index: 0,
            depth: 0,
        };
        builder.run()?;
        Ok(text)
    }

    pub(crate) const fn view<'a>(&'a self, text: &'a str) -> View<'a> {
        View { text, tape: self }
    }

    /// How deep the document nests.
    pub(crate) const fn depth(&self) -> u32 {
        self.depth
    }

    pub(crate) const fn len(&self) -> usize {
        self.nodes.len()
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
        match self.text.as_bytes()[self.node(node).start as usize] {
            b'{' => Kind::Object,
            b'[' => Kind::Array,
            b'"' => Kind::String,
            b't' | b'f' => Kind::Bool,
            b'n' => Kind::Null,
            _ => Kind::Number,
        }
    }

    /// The text of a value.
    pub(crate) fn raw(self, node: u32) -> &'a str {
        let node = self.node(node);
        &self.text[node.start as usize..node.end as usize]
    }

    /// What stands between the quotes of a value that is a string.
    pub(crate) fn string(self, node: u32) -> &'a str {
        let node = self.node(node);
        &self.text[node.start as usize + 1..node.end as usize - 1]
    }

    /// What stands between the quotes of a member's key.
    pub(crate) fn key(self, member: u32) -> &'a str {
        let node = self.node(member);
        &self.text[node.key_start as usize..node.key_end as usize]
    }

    /// The position of an element in its array.
    pub(crate) fn index(self, element: u32) -> u32 {
        self.node(element).key_start
    }

    pub(crate) fn children(self, container: u32) -> impl Iterator<Item = u32> + 'a {
        let end = self.node(container).next;
        let mut child = container + 1;
        core::iter::from_fn(move || {
            (child < end).then(|| {
                let this = child;
                child = self.node(this).next;
                this
            })
        })
    }

    /// The member of an object whose key means `key`.
    pub(crate) fn member(self, object: u32, key: &str) -> Option<u32> {
        self.children(object).find(|&member| decode(self.key(member)) == key)
    }

    pub(crate) const fn parent(self, node: u32) -> u32 {
        self.tape.nodes.as_slice()[node as usize].parent
    }

    pub(crate) const fn len(self) -> u32 {
        self.tape.nodes.len() as u32
    }

    /// How deep the document nests.
    pub(crate) const fn depth(self) -> u32 {
        self.tape.depth
    }

    /// Whether there is white space between tokens anywhere.
    pub(crate) const fn is_spaced(self) -> bool {
        self.tape.spaced
    }

    fn node(self, node: u32) -> &'a Node {
        &self.tape.nodes[node as usize]
    }
}

struct Builder<'a, 't> {
    lexer: Lexer<'t>,
    text: &'t str,
    limits: &'a Limits,
    tape: &'a mut Tape,
    /// The container whose children are being read.
    open: u32,
    /// The position of the next child if that container is an array.
    index: u32,
    depth: u32,
}

impl Builder<'_, '_> {
    fn run(mut self) -> Result<(), ParseError> {
        self.skip_whitespace();
        let mut key = (0, 0);
        loop {
            let opened = self.value(key)?;
            self.skip_whitespace();
            if opened {
                match (self.lexer.peek(), self.in_object()) {
                    (Some(b']'), false) | (Some(b'}'), true) => self.close()?,
                    (_, true) => {
                        key = self.key()?;
                        continue;
                    }
                    (_, false) => {
                        key = (self.index, 0);
                        continue;
                    }
                }
            }
            match self.after_value()? {
                Some(next) => key = next,
                None => return Ok(()),
            }
        }
    }

    /// Reads a scalar, or opens a container and says so.
    fn value(&mut self, (key_start, key_end): (u32, u32)) -> Result<bool, ParseError> {
        let start = self.lexer.pos();
        let node = self.tape.nodes.len();
        if node >= self.limits.nodes_max as usize {
            return Err(self.lexer.error(ParseErrorKind::Nodes));
        }
        let opens = matches!(self.lexer.peek(), Some(b'{' | b'['));
        if opens {
            if self.depth >= self.limits.depth_max {
                return Err(self.lexer.error(ParseErrorKind::Depth));
            }
            self.depth += 1;
            self.tape.depth = self.tape.depth.max(self.depth);
            self.lexer.advance();
        } else if self.lexer.peek() == Some(b'"') {
            self.lexer.string()?;
        } else {
            self.lexer.scalar()?;
        }
        self.tape.nodes.push(Node {
            start: start as u32,
            end: self.lexer.pos() as u32,
            next: node as u32 + 1,
            parent: self.open,
            key_start,
            key_end,
        });
        if opens {
            self.open = node as u32;
            self.index = 0;
        }
        Ok(opens)
    }

    /// Closes containers up to the next comma; returns the key or index of what follows it, or nothing
    /// at the end of the text.
    fn after_value(&mut self) -> Result<Option<(u32, u32)>, ParseError> {
        loop {
            self.skip_whitespace();
            if self.open == NONE {
                return match self.lexer.peek() {
                    None => Ok(None),
                    Some(_) => Err(self.lexer.error(ParseErrorKind::Trailing)),
                };
            }
            match (self.lexer.peek(), self.in_object()) {
                (Some(b','), object) => {
                    self.lexer.advance();
                    self.skip_whitespace();
                    if object {
                        return self.key().map(Some);
                    }
                    self.index += 1;
                    return Ok(Some((self.index, 0)));
                }
                (Some(b']'), false) | (Some(b'}'), true) => self.close()?,
                _ => return Err(self.lexer.unexpected()),
            }
        }
    }

    fn key(&mut self) -> Result<(u32, u32), ParseError> {
        let (start, end) = self.lexer.string()?;
        self.skip_whitespace();
        self.lexer.expect(b':')?;
        self.skip_whitespace();
        Ok((start as u32, end as u32))
    }

    fn close(&mut self) -> Result<(), ParseError> {
        self.lexer.advance();
        if self.in_object() {
            self.refuse_duplicates()?;
        }
        let len = self.tape.nodes.len() as u32;
        let node = &mut self.tape.nodes[self.open as usize];
        node.end = self.lexer.pos() as u32;
        node.next = len;
        self.open = node.parent;
        self.index = node.key_start;
        self.depth -= 1;
        Ok(())
    }

    /// Few keys are compared with one another, many are sorted: hostile keys cost O(n log n).
    fn refuse_duplicates(&self) -> Result<(), ParseError> {
        let nodes = &self.tape.nodes;
        let mut keys = [(0, ""); FEW];
        let mut len = 0;
        let mut child = self.open as usize + 1;
        while let Some(node) = nodes.get(child) {
            let key = &self.text[node.key_start as usize..node.key_end as usize];
            if len == FEW {
                return self.refuse_duplicates_among_many();
            }
            if keys[..len].iter().any(|&(_, other)| same(key, other)) {
                return Err(ParseError::new(
                    ParseErrorKind::DuplicateKey,
                    node.key_start as usize - 1,
                ));
            }
            keys[len] = (node.key_start, key);
            len += 1;
            child = node.next as usize;
        }
        Ok(())
    }

    fn refuse_duplicates_among_many(&self) -> Result<(), ParseError> {
        let nodes = &self.tape.nodes;
        let mut keys: Vec<(Cow<'_, str>, u32)> = Vec::new();
        let mut child = self.open as usize + 1;
        while let Some(node) = nodes.get(child) {
            let raw = &self.text[node.key_start as usize..node.key_end as usize];
            keys.push((decode(raw), node.key_start));
            child = node.next as usize;
        }
        keys.sort_unstable();
        // The sort is by key, then by place: the second of a pair is the one that must not be there.
        let twice =
            keys.windows(2).filter(|pair| pair[0].0 == pair[1].0).map(|pair| pair[1].1).min();
        match twice {
            Some(at) => Err(ParseError::new(ParseErrorKind::DuplicateKey, at as usize - 1)),
            None => Ok(()),
        }
    }

    fn in_object(&self) -> bool {
        let start = self.tape.nodes[self.open as usize].start as usize;
        self.text.as_bytes()[start] == b'{'
    }

    fn skip_whitespace(&mut self) {
        let before = self.lexer.pos();
        self.lexer.skip_whitespace();
        self.tape.spaced |= self.lexer.pos() > before;
    }
}

const FEW: usize = 12;
