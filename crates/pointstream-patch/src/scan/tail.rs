use alloc::vec::Vec;

use super::Stop;
use crate::Options;
use crate::bytes::{HashIndex, hash, sample};
use crate::number;
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
    /// How often an anchor was looked for.
    anchors: u32,
    /// How many scalars there are that no old element is equal to, and how long they are.
    fresh: usize,
    fresh_len: usize,
    /// Whether any scalar may be equal to one that is spelled otherwise.
    odd: bool,
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
        self.anchors = 0;
        (self.fresh, self.fresh_len, self.odd) = (0, 0, false);
        let start = scratch.len();
        let object = old.kind(container) == Kind::Object;
        let close = if object { b'}' } else { b']' };
        let mut builder = Builder::new(region, &options.limits, scratch);
        builder.depth = rest.depth;
        // The old child that is expected, and the one that would be if the last one had not moved.
        let (mut expected, mut instead) = (first, first);
        let mut misses = 0;
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
            misses = if origin == NONE { misses + 1 } else { 0 };
            if misses > MISSES_MAX {
                instead = expected;
            }
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
        let words = self.olds.capacity() + self.strangers.capacity();
        self.children.capacity() * 8 + words * 4 + self.index.memory()
    }

    /// How many bytes any script must hold at a path of this length: values that were nowhere before.
    pub(super) fn fresh_len(&self, path_len: usize, options: &Options) -> usize {
        if self.odd || options.copies {
            return 0;
        }
        self.fresh_len + self.fresh * (path_len + ADDITION_LEN)
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
        let other = old.siblings(instead, container).take(if instead == expected { 0 } else { 2 });
        for candidate in near.chain(other) {
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
        let len = builder.lexer.pos() - at;
        if !self.indexed
            && let Some(origin) = self.anchor(rest, expected, &region[at..], len)
        {
            self.children.push((node, origin));
            return Ok(origin);
        }
        if !self.indexed {
            self.olds.clear();
            self.olds.extend(old.siblings(rest.first, container));
            let Self { olds, index, odd, .. } = self;
            index.fill(olds.iter().map(|&at| sample(meaning(old.bytes(at), odd), options.seed)));
            self.indexed = true;
        }
        self.matched &= !self.index.repeats;
        let text = &region[at..at + len];
        let found = self.index.find(sample(meaning(text, &mut self.odd), options.seed));
        let found = found.map(|at| self.olds[at as usize]);
        if found.is_none() && !matches!(text[0], b'{' | b'[') {
            self.fresh_len += len;
            self.fresh += 1;
        }
        let origin = found.filter(|&at| old.bytes(at) == text).unwrap_or(NONE);
        self.children.push((node, origin));
        Ok(origin)
    }

    /// Looks for the element that a text begins with among those to come, as where a window slides: what
    /// follows it must be what followed it before.
    fn anchor(&mut self, rest: &Rest<'_>, expected: u32, text: &[u8], len: usize) -> Option<u32> {
        if self.anchors == ANCHORS_MAX {
            return None;
        }
        self.anchors += 1;
        let Rest { old, container, .. } = *rest;
        let (element, behind) = text.split_at(len);
        let mut ahead = old.siblings(expected, container).take(ANCHORED_MAX);
        ahead.find(|&at| old.bytes(at) == element && goes_on(old, container, at, behind))
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

/// What is the same for equal scalars, but for those that are odd.
fn meaning<'t>(text: &'t [u8], odd: &mut bool) -> &'t [u8] {
    match text[0] {
        b'"' => *odd |= text.contains(&b'\\'),
        b'-' | b'0'..=b'9' => match number::plain(text) {
            Some(plain) => return plain,
            None => *odd = true,
        },
        _ => {}
    }
    text
}

/// Whether a text goes on with the next elements behind an old one.
fn goes_on(old: View<'_>, container: u32, element: u32, mut text: &[u8]) -> bool {
    let next = old.siblings(old.after(element), container).take(FOLLOWERS);
    let mut count = 0;
    for at in next {
        let Some((b',', rest)) = text.split_first() else { return false };
        if !stands(old, at, rest) {
            return false;
        }
        text = &rest[old.bytes(at).len()..];
        count += 1;
    }
    count == FOLLOWERS
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

/// An addition takes as much besides its path to the array and its value.
const ADDITION_LEN: usize = r#"{"op":"add","path":"/0","value":}"#.len();
/// So many elements in a row that are not where they were make the other place be forgotten.
const MISSES_MAX: u32 = 8;
/// How often an element is looked for among those to come, before all are indexed.
const ANCHORS_MAX: u32 = 4;
/// Among how many of them.
const ANCHORED_MAX: usize = 1024;
/// So many elements must follow it as they did.
const FOLLOWERS: usize = 2;
/// More comparisons of keys than these are left to the reading of the whole text.
const COMPARED_MAX: usize = 1 << 14;
