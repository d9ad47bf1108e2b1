use alloc::borrow::Cow;
use alloc::vec::Vec;

use super::{NONE, Node, Tape};
use crate::lexer::Lexer;
use crate::string::decode;
use crate::{Limits, ParseError, ParseErrorKind};

/// Reads values onto a tape.
#[derive(Debug)]
pub(crate) struct Builder<'a> {
    pub(crate) lexer: Lexer<'a>,
    bytes: &'a [u8],
    limits: &'a Limits,
    pub(crate) tape: &'a mut Tape,
    /// The container whose children are being read.
    open: u32,
    in_object: bool,
    /// The position of the next child if that container is an array.
    index: u32,
    pub(crate) depth: u32,
}

/// Where a value hangs: its parent, and its index or where its key starts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) parent: u32,
    pub(crate) index: u32,
    pub(crate) key_start: Option<usize>,
}

impl<'a> Builder<'a> {
    pub(crate) const fn new(bytes: &'a [u8], limits: &'a Limits, tape: &'a mut Tape) -> Self {
        let lexer = Lexer::new(bytes);
        Self { lexer, bytes, limits, tape, open: NONE, in_object: false, index: 0, depth: 0 }
    }

    /// Reads a whole document.
    pub(crate) fn document(&mut self) -> Result<(), ParseError> {
        self.skip_whitespace();
        self.value(Place { parent: NONE, index: 0, key_start: None })?;
        self.skip_whitespace();
        match self.lexer.peek() {
            None => Ok(()),
            Some(_) => Err(self.lexer.error(ParseErrorKind::Trailing)),
        }
    }

    /// Reads a value with all that is in it; returns its node.
    pub(crate) fn value(&mut self, place: Place) -> Result<u32, ParseError> {
        let root = self.tape.nodes.len() as u32;
        self.open = place.parent;
        let mut key = place.key_start.unwrap_or(place.index as usize);
        self.in_object = place.key_start.is_some();
        loop {
            if self.begin(key)? {
                self.skip_whitespace();
                match (self.lexer.peek(), self.in_object) {
                    (Some(b']'), false) | (Some(b'}'), true) => self.close()?,
                    (_, true) => {
                        key = self.key()?;
                        continue;
                    }
                    (_, false) => {
                        key = 0;
                        continue;
                    }
                }
            }
            loop {
                if self.open == place.parent {
                    return Ok(root);
                }
                self.skip_whitespace();
                match (self.lexer.peek(), self.in_object) {
                    (Some(b','), true) => {
                        self.lexer.advance();
                        self.skip_whitespace();
                        key = self.key()?;
                        break;
                    }
                    (Some(b','), false) => {
                        self.lexer.advance();
                        self.skip_whitespace();
                        self.index += 1;
                        key = self.index as usize;
                        break;
                    }
                    (Some(b']'), false) | (Some(b'}'), true) => self.close()?,
                    _ => return Err(self.lexer.unexpected()),
                }
            }
        }
    }

    /// Reads a key with its colon; returns where it starts, behind its quote.
    pub(crate) fn key(&mut self) -> Result<usize, ParseError> {
        let (start, _) = self.lexer.string()?;
        if self.lexer.peek() != Some(b':') {
            self.skip_whitespace();
        }
        self.lexer.expect(b':')?;
        self.skip_whitespace();
        Ok(start)
    }

    pub(crate) fn skip_whitespace(&mut self) {
        if self.lexer.peek().is_some_and(|byte| byte <= b' ') {
            let before = self.lexer.pos();
            self.lexer.skip_whitespace();
            self.tape.spaced |= self.lexer.pos() > before;
        }
    }

    /// Reads a scalar, or opens a container and says so.
    fn begin(&mut self, key: usize) -> Result<bool, ParseError> {
        let start = self.lexer.pos();
        let node = self.tape.nodes.len();
        if node >= self.limits.nodes_max as usize {
            return Err(self.lexer.error(ParseErrorKind::Nodes));
        }
        let first = self.lexer.peek();
        let opens = matches!(first, Some(b'{' | b'['));
        if opens {
            if self.depth >= self.limits.depth_max {
                return Err(self.lexer.error(ParseErrorKind::Depth));
            }
            self.depth += 1;
            self.tape.depth = self.tape.depth.max(self.depth);
            self.lexer.advance();
        } else if first == Some(b'"') {
            self.lexer.string()?;
        } else {
            self.lexer.scalar()?;
        }
        let key = if self.in_object { start - key } else { key };
        self.tape.starts.push(start as u32);
        self.tape.nodes.push(Node {
            len: (self.lexer.pos() - start) as u32,
            size: 1,
            parent: self.open,
            key: key as u32,
        });
        if opens {
            self.open = node as u32;
            self.in_object = first == Some(b'{');
            self.index = 0;
        }
        Ok(opens)
    }

    fn close(&mut self) -> Result<(), ParseError> {
        self.lexer.advance();
        if self.in_object {
            self.refuse_duplicates(self.open as usize + 1)?;
        }
        let at = self.open as usize;
        let size = (self.tape.nodes.len() - at) as u32;
        let start = self.tape.starts[at] as usize;
        let node = &mut self.tape.nodes[at];
        node.size = size;
        node.len = (self.lexer.pos() - start) as u32;
        self.open = node.parent;
        // For a member this is no index, and none is needed.
        self.index = node.key;
        self.depth -= 1;
        let parent_start = self.tape.starts.get(self.open as usize);
        self.in_object = parent_start.is_some_and(|&at| self.bytes[at as usize] == b'{');
        Ok(())
    }

    /// Few keys are compared with one another, many are sorted: hostile keys cost O(n log n). The
    /// members are the siblings from `first` to the end of the tape.
    pub(crate) fn refuse_duplicates(&self, first: usize) -> Result<(), ParseError> {
        let mut signatures = [0u64; FEW];
        let mut starts = [0usize; FEW];
        let mut len = 0;
        let mut child = first;
        while let Some(node) = self.tape.nodes.get(child) {
            if len == FEW {
                return self.refuse_duplicates_among_many(first);
            }
            let (start, key) = self.key_of(child);
            if self.lexer.escaped && key.contains(&b'\\') {
                return self.refuse_duplicates_among_many(first);
            }
            let signature = sign(key, &self.bytes[start..]);
            if let Some(at) = signatures[..len].iter().position(|&other| other == signature)
                && self.shares_key(&starts[at..len], key)
            {
                return Err(ParseError::new(ParseErrorKind::DuplicateKey, start - 1));
            }
            (signatures[len], starts[len]) = (signature, start);
            len += 1;
            child += node.size as usize;
        }
        Ok(())
    }

    /// Whether one of the keys that start there is this one.
    fn shares_key(&self, starts: &[usize], key: &[u8]) -> bool {
        starts.iter().any(|&start| {
            let other = &self.bytes[start..];
            other.starts_with(key) && other.get(key.len()) == Some(&b'"')
        })
    }

    fn refuse_duplicates_among_many(&self, first: usize) -> Result<(), ParseError> {
        let nodes = &self.tape.nodes;
        let mut keys: Vec<(Cow<'_, str>, usize)> = Vec::new();
        let mut child = first;
        while let Some(node) = nodes.get(child) {
            let (start, raw) = self.key_of(child);
            // What is no UTF-8 is refused by whoever reads the text.
            let raw = core::str::from_utf8(raw).unwrap_or_default();
            keys.push((decode(raw), start));
            child += node.size as usize;
        }
        keys.sort_unstable();
        // The sort is by key, then by place: the second of a pair is the one that must not be there.
        let twice = keys.windows(2).filter(|pair| pair[0].0 == pair[1].0);
        match twice.map(|pair| pair[1].1).min() {
            Some(at) => Err(ParseError::new(ParseErrorKind::DuplicateKey, at - 1)),
            None => Ok(()),
        }
    }

    /// What stands between the quotes of a member's key.
    pub(crate) fn key_bytes(&self, member: usize) -> &[u8] {
        self.key_of(member).1
    }

    fn key_of(&self, member: usize) -> (usize, &[u8]) {
        let start = self.tape.starts[member] as usize;
        let key_start = start - self.tape.nodes[member].key as usize;
        let mut end = start - 1;
        while self.bytes[end] != b'"' {
            end -= 1;
        }
        (key_start, &self.bytes[key_start..end])
    }
}

/// Equal for equal keys; `text` goes on behind the key.
fn sign(key: &[u8], text: &[u8]) -> u64 {
    let len = key.len();
    let (head, tail) = match (text.first_chunk::<8>(), key.last_chunk::<8>()) {
        (Some(head), None) => (u64::from_le_bytes(*head) & !(u64::MAX << (8 * len)), 0),
        (Some(head), Some(tail)) => (u64::from_le_bytes(*head), u64::from_le_bytes(*tail)),
        (None, _) => (key.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)), 0),
    };
    head.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ tail.rotate_left(17) ^ len as u64
}

const FEW: usize = 32;
