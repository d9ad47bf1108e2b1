use alloc::vec::Vec;

use super::Stop;
use crate::Options;
use crate::bytes::{HashIndex, hash, sample};
use crate::tape::{Builder, Kind, NONE, Place, Tape, View};

/// Reads the children at the end of a container; those that are the same text as before are taken from
/// the old tape.
#[derive(Clone, Debug, Default)]
pub(super) struct TailReader {
    /// The children that were read, and for each the old one of the same text.
    pub(super) children: Vec<(u32, u32)>,
    /// Whether these are all that there are: nothing stands twice.
    pub(super) matched: bool,
    /// The old children by what they are, filled when it is first asked for.
    olds: Vec<u32>,
    index: HashIndex,
    indexed: bool,
    strangers: Vec<u32>,
}

/// What is to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rest<'a> {
    pub(super) old: View<'a>,
    pub(super) container: u32,
    /// The first child in question.
    pub(super) first: u32,
    /// Its index, if it is an element.
    pub(super) index: u32,
    /// The new text from where the child before that one ends.
    pub(super) region: &'a [u8],
    /// How many containers are open there.
    pub(super) depth: u32,
}

impl TailReader {
    /// Appends the nodes to `scratch`; returns the length of the text with its closing bracket.
    pub(super) fn read(
        &mut self,
        rest: &Rest<'_>,
        scratch: &mut Tape,
        options: &Options,
    ) -> Result<usize, Stop> {
        let Rest { old, container, first, region, .. } = *rest;
        self.children.clear();
        self.strangers.clear();
        self.matched = true;
        self.indexed = false;
        let start = scratch.len();
        let object = old.kind(container) == Kind::Object;
        let close = if object { b'}' } else { b']' };
        let mut builder = Builder::new(region, &options.limits, scratch);
        builder.depth = rest.depth;
        // The old child that is expected, and the one that would be if the last one had not moved.
        let (mut expected, mut instead) = (first, first);
        let mut any = first != container + 1;
        loop {
            builder.skip_whitespace();
            match builder.lexer.peek() {
                Some(byte) if byte == close => break,
                Some(b',') if any => {
                    builder.lexer.advance();
                    builder.skip_whitespace();
                }
                Some(_) if !any => {}
                _ => return Err(Stop),
            }
            any = true;
            let origin = if object {
                self.member(rest, &mut builder, expected, options)?
            } else {
                self.element(rest, &mut builder, [expected, instead], options)?
            };
            if origin != NONE {
                let near = origin == expected
                    || expected < old.after(container) && origin == old.after(expected);
                if !near {
                    instead = expected;
                }
                expected = old.after(origin);
            }
        }
        builder.lexer.advance();
        if object && !self.strangers.is_empty() {
            builder.refuse_duplicates(start).map_err(|_| Stop)?;
            self.refuse_known(rest, &builder)?;
        }
        Ok(builder.lexer.pos())
    }

    pub(super) const fn memory(&self) -> usize {
        self.children.capacity() * 8 + self.olds.capacity() * 4 + self.index.memory()
    }

    /// Reads an element; returns the old one of the same text.
    fn element(
        &mut self,
        rest: &Rest<'_>,
        builder: &mut Builder<'_>,
        [expected, instead]: [u32; 2],
        options: &Options,
    ) -> Result<u32, Stop> {
        let Rest { old, container, region, .. } = *rest;
        let end = old.after(container);
        let at = builder.lexer.pos();
        let place =
            Place { parent: NONE, index: rest.index + self.children.len() as u32, key_start: None };
        let near = old.siblings(expected, container).take(2);
        for candidate in near.chain(old.siblings(instead, container).take(2)) {
            if stands(old, candidate, &region[at..]) {
                self.take(rest, builder, candidate, place.index);
                return Ok(candidate);
            }
        }
        let node = builder.value(place).map_err(|_| Stop)?;
        if expected >= end && !self.indexed {
            // Behind the last old element nothing is looked for: what is there was added.
            self.children.push((node, NONE));
            return Ok(NONE);
        }
        if !self.indexed {
            self.olds.clear();
            self.olds.extend(old.siblings(rest.first, container));
            self.index.fill(self.olds.iter().map(|&at| sample(old.bytes(at), options.seed)));
            self.indexed = true;
        }
        self.matched &= !self.index.repeats;
        let text = &region[at..builder.lexer.pos()];
        let found = self.index.find(sample(text, options.seed)).map(|at| self.olds[at as usize]);
        let origin = found.filter(|&at| old.bytes(at) == text).unwrap_or(NONE);
        self.children.push((node, origin));
        Ok(origin)
    }

    /// Reads a member; returns the old one of the same key.
    fn member(
        &mut self,
        rest: &Rest<'_>,
        builder: &mut Builder<'_>,
        expected: u32,
        options: &Options,
    ) -> Result<u32, Stop> {
        let Rest { old, container, region, .. } = *rest;
        let quote = builder.lexer.pos();
        let key_start = builder.key().map_err(|_| Stop)?;
        let at = builder.lexer.pos();
        let rest_of_key = &region[quote + 1..];
        let is = |member: &u32| {
            let key = old.key(*member).as_bytes();
            rest_of_key.starts_with(key) && rest_of_key.get(key.len()) == Some(&b'"')
        };
        let mut known = old.siblings(expected, container).take(2).find(is).unwrap_or(NONE);
        if known == NONE {
            known = self.find_key(rest, rest_of_key, options).filter(is).unwrap_or(NONE);
        }
        if known == NONE {
            self.strangers.push(builder.tape.len() as u32);
        } else if known != expected {
            // The order is another one: a key may come twice.
            self.strangers.push(NONE);
        }
        if known != NONE && stands(old, known, &region[at..]) {
            self.take(rest, builder, known, (at - key_start) as u32);
            return Ok(known);
        }
        let place = Place { parent: NONE, index: 0, key_start: Some(key_start) };
        let node = builder.value(place).map_err(|_| Stop)?;
        self.children.push((node, known));
        Ok(known)
    }

    /// Copies the nodes of an old child to where the builder stands.
    fn take(&mut self, rest: &Rest<'_>, builder: &mut Builder<'_>, child: u32, key: u32) {
        let at = builder.lexer.pos();
        let node = builder.tape.copy_subtree(rest.old.tape(), child, at as u32, NONE, key);
        builder.lexer.seek(at + rest.old.bytes(child).len());
        self.children.push((node, child));
    }

    fn find_key(&mut self, rest: &Rest<'_>, text: &[u8], options: &Options) -> Option<u32> {
        let Rest { old, container, first, .. } = *rest;
        if !self.indexed {
            self.olds.clear();
            self.olds.extend(old.siblings(first, container));
            self.index.fill(self.olds.iter().map(|&at| hash(old.key(at).as_bytes(), options.seed)));
            self.indexed = true;
        }
        let mut len = 0;
        while text.get(len).is_some_and(|&byte| byte != b'"') {
            len += 1 + usize::from(text[len] == b'\\');
        }
        let at = self.index.find(hash(text.get(..len)?, options.seed))?;
        Some(self.olds[at as usize])
    }

    /// A key that is not among those compared may be among those before.
    fn refuse_known(&self, rest: &Rest<'_>, builder: &Builder<'_>) -> Result<(), Stop> {
        let Rest { old, container, first, .. } = *rest;
        let news = self.strangers.iter().filter(|&&node| node != NONE);
        let before = first - container - 1;
        if news.clone().count() * before as usize > COMPARED_MAX {
            return Err(Stop);
        }
        for &node in news {
            let key = builder.key_bytes(node as usize);
            let key = core::str::from_utf8(key).map_err(|_| Stop)?;
            let known = |&at: &u32| at < first && crate::string::same(old.key(at), key);
            if old.children(container).any(|at| known(&at)) {
                return Err(Stop);
            }
        }
        Ok(())
    }
}

/// Whether a text begins with an old value, and the value ends there.
fn stands(old: View<'_>, node: u32, text: &[u8]) -> bool {
    let bytes = old.bytes(node);
    text.starts_with(bytes)
        && (old.kind(node) != Kind::Number
            || text.get(bytes.len()).is_some_and(|byte| {
                matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r')
            }))
}

/// More comparisons of keys than these are left to the reading of the whole text.
const COMPARED_MAX: usize = 1 << 14;
