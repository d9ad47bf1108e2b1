use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use crate::Pointer;
use crate::diff::Found;
use crate::string::{decode, encode};
use crate::tape::View;

/// The operations that lead from one document to the next.
///
/// A script keeps the text of its operations, so that one diff is rendered under many prefixes by
/// copying.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// The operations as JSON objects, a comma between two.
    text: String,
    ops: Vec<Op>,
    /// The texts of moved values, one behind the other.
    moved: String,
    /// The merge patch to the same document, if one was asked for and can be written.
    merge: Option<String>,
}

impl Script {
    /// Appends the JSON Patch, an array of operations, with `prefix` before every path.
    ///
    /// The prefix is a JSON Pointer, its tokens escaped (see [`escape_token`](crate::escape_token));
    /// what JSON strings escape besides is escaped here.
    pub fn render_patch(&self, prefix: &str, out: &mut String) {
        out.push('[');
        if prefix.is_empty() {
            out.push_str(&self.text);
        } else {
            let mut raw = String::new();
            encode(prefix, &mut raw);
            out.reserve(self.text.len() + raw.len() * self.ops.len() + 1);
            let mut done = 0;
            for place in self.ops.iter().flat_map(Op::places) {
                out.push_str(&self.text[done..place]);
                out.push_str(&raw);
                done = place;
            }
            out.push_str(&self.text[done..]);
        }
        out.push(']');
    }

    /// Appends the JSON Patch for those who know no moves and copies: they become a removal and an
    /// addition, or an addition.
    pub fn render_plain_patch(&self, prefix: &str, out: &mut String) {
        if self.ops.iter().all(|op| op.from.is_none()) {
            return self.render_patch(prefix, out);
        }
        let mut raw = String::new();
        encode(prefix, &mut raw);
        out.push('[');
        let mut start = 0;
        for (at, op) in self.ops.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            let path = &self.text[op.path as usize..op.path_end as usize];
            let (head, rest) = match op.from {
                None => (
                    &self.text[start..op.path as usize],
                    &self.text[op.path as usize..op.end as usize],
                ),
                Some(from) => {
                    if op.kind == OperationKind::Move {
                        let from = &self.text[from as usize..op.path as usize - PATH.len()];
                        out.push_str(r#"{"op":"remove","path":""#);
                        out.push_str(&raw);
                        out.push_str(from);
                        out.push_str("\"},");
                    }
                    (r#"{"op":"add","path":""#, path)
                }
            };
            out.push_str(head);
            out.push_str(&raw);
            out.push_str(rest);
            if op.from.is_some() {
                out.push_str(VALUE);
                out.push_str(&self.moved[op.moved.0 as usize..op.moved.1 as usize]);
                out.push('}');
            }
            start = op.end as usize + 1;
        }
        out.push(']');
    }

    /// Appends the merge patch (RFC 7396) to the same document, within an object for each token of
    /// `prefix`. Appends nothing and says no if [`Options::merge`](crate::Options::merge) did not ask
    /// for it, or if there is none: a merge patch cannot set a member to null.
    pub fn render_merge_patch(&self, prefix: Pointer<'_>, out: &mut String) -> bool {
        let Some(merge) = &self.merge else { return false };
        for token in prefix.tokens() {
            out.push_str("{\"");
            encode(&token, out);
            out.push_str("\":");
        }
        out.push_str(merge);
        out.extend(prefix.tokens().map(|_| '}'));
        true
    }

    /// The length of the merge patch, if there is one.
    pub fn merge_len_bytes(&self) -> Option<usize> {
        self.merge.as_ref().map(String::len)
    }

    pub(crate) fn set_merge(&mut self, merge: Option<String>) {
        self.merge = merge;
    }

    /// The operations in the order in which they are applied.
    pub fn operations(&self) -> impl Iterator<Item = Operation<'_>> {
        self.ops.iter().map(|op| Operation { text: &self.text, op })
    }

    /// How many operations there are.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Whether there is no operation.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// How many bytes are allocated.
    pub(crate) const fn memory(&self) -> usize {
        self.text.capacity() + self.moved.capacity() + self.ops.capacity() * size_of::<Op>()
    }

    /// The length of the patch that [`render_patch`](Self::render_patch) appends for an empty prefix.
    pub fn len_bytes(&self) -> usize {
        self.text.len() + "[]".len()
    }
}

/// One operation of a script.
#[derive(Clone, Copy, Debug)]
pub struct Operation<'a> {
    text: &'a str,
    op: &'a Op,
}

impl<'a> Operation<'a> {
    /// What is done.
    pub const fn kind(&self) -> OperationKind {
        self.op.kind
    }

    /// The JSON Pointer to where it is done.
    pub fn path(&self) -> Cow<'a, str> {
        decode(&self.text[self.op.path as usize..self.op.path_end as usize])
    }

    /// The JSON Pointer to where the value comes from, for `move` and `copy`.
    pub fn from(&self) -> Option<Cow<'a, str>> {
        let from = self.op.from? as usize;
        let end = self.op.path as usize - PATH.len();
        Some(decode(&self.text[from..end]))
    }

    /// The JSON text of the value, for `add`, `replace` and `test`.
    pub fn value(&self) -> Option<&'a str> {
        let start = self.op.path_end as usize + VALUE.len();
        let end = self.op.end as usize - 1;
        self.kind().has_value().then(|| &self.text[start..end])
    }
}

/// The six operations of RFC 6902.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "RFC 6902 section 4 closes the list")]
pub enum OperationKind {
    /// Adds a member or an element, or replaces the member that is there.
    Add,
    /// Removes what is there.
    Remove,
    /// Replaces what is there.
    Replace,
    /// Moves a value from one place to another.
    Move,
    /// Copies a value from one place to another.
    Copy,
    /// Fails unless an equal value is there.
    Test,
}

impl OperationKind {
    /// The name in a JSON Patch.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Remove => "remove",
            Self::Replace => "replace",
            Self::Move => "move",
            Self::Copy => "copy",
            Self::Test => "test",
        }
    }

    /// What an operation begins with behind another one, up to its first pointer.
    const fn head(self) -> &'static str {
        match self {
            Self::Add => ",{\"op\":\"add\",\"path\":\"",
            Self::Remove => ",{\"op\":\"remove\",\"path\":\"",
            Self::Replace => ",{\"op\":\"replace\",\"path\":\"",
            Self::Move => ",{\"op\":\"move\",\"from\":\"",
            Self::Copy => ",{\"op\":\"copy\",\"from\":\"",
            Self::Test => ",{\"op\":\"test\",\"path\":\"",
        }
    }

    const fn has_value(self) -> bool {
        matches!(self, Self::Add | Self::Replace | Self::Test)
    }
}

/// Writes a script: a current path, and operations at it.
#[derive(Clone, Debug, Default)]
pub(crate) struct ScriptWriter {
    script: Script,
    /// The current pointer as it stands in a JSON string.
    path: String,
    overflown: bool,
    /// How much the script before took, that the next is given as much at once.
    expected: (usize, usize),
    /// What a replacement is taken to be longer than it is.
    slack: usize,
}

/// A state of the writer to go back to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    text: usize,
    ops: usize,
    moved: usize,
}

/// A piece of a script that was taken out.
#[derive(Clone, Debug)]
pub(crate) struct Cut {
    text: String,
    moved: String,
    ops: Vec<Op>,
}

impl ScriptWriter {
    pub(crate) fn take(&mut self) -> Script {
        self.path.clear();
        self.overflown = false;
        self.expected = (self.script.text.len(), self.script.ops.len());
        core::mem::take(&mut self.script)
    }

    /// Writes an operation at the current path with the text of `node` as its value.
    pub(crate) fn write(&mut self, kind: OperationKind, value: View<'_>, node: u32) {
        self.write_text(kind, value.raw(node), value.is_spaced());
    }

    /// Writes a removal at the current path.
    pub(crate) fn write_remove(&mut self) {
        self.open(OperationKind::Remove, 0);
        if !self.overflown {
            self.script.text.push_str("\"}");
            self.close();
        }
    }

    /// Writes a move, or a copy, from an index of the array at the current path to another one.
    pub(crate) fn write_shift(
        &mut self,
        kind: OperationKind,
        (from, to): (u32, u32),
        value: View<'_>,
        node: u32,
    ) {
        let (spaced, value) = (value.is_spaced(), value.raw(node));
        let (path, moved) = (self.path.len(), self.script.moved.len());
        if moved + value.len() > u32::MAX as usize {
            self.overflown = true;
            return;
        }
        self.push_index(to);
        self.open_from(kind, Some((path, from)));
        self.path.truncate(path);
        if !self.overflown {
            self.script.text.push_str("\"}");
            self.close();
            if spaced {
                push_compact(value, &mut self.script.moved);
            } else {
                self.script.moved.push_str(value);
            }
            if let Some(op) = self.script.ops.last_mut() {
                op.moved = (moved as u32, self.script.moved.len() as u32);
            }
        }
    }

    /// Writes an operation at the current path with JSON text as its value.
    pub(crate) fn write_text(&mut self, kind: OperationKind, value: &str, spaced: bool) {
        self.open(kind, value.len());
        if self.overflown {
            return;
        }
        self.script.text.push_str(VALUE);
        if spaced {
            push_compact(value, &mut self.script.text);
        } else {
            self.script.text.push_str(value);
        }
        self.script.text.push('}');
        self.close();
    }

    /// Takes out what was written since, to be put back at the same place.
    pub(crate) fn cut(&mut self, mark: Mark) -> Cut {
        let cut = Cut {
            text: self.script.text[mark.text..].into(),
            moved: self.script.moved[mark.moved..].into(),
            ops: self.script.ops[mark.ops..].into(),
        };
        self.rewind(mark);
        cut
    }

    /// Puts back what was cut out at this place.
    pub(crate) fn paste(&mut self, cut: &Cut) {
        self.script.text.push_str(&cut.text);
        self.script.moved.push_str(&cut.moved);
        self.script.ops.extend_from_slice(&cut.ops);
    }

    /// Takes out everything, to be compared with what is written in its place.
    pub(crate) fn cut_all(&mut self) -> Cut {
        self.cut(Mark { text: 0, ops: 0, moved: 0 })
    }

    /// Puts back what was cut out unless what was written in its place is shorter.
    pub(crate) fn keep_shorter(&mut self, (cut, before): (&Cut, Found), written: Found) -> Found {
        let shorter = before == Found::Whole || self.script.text.len() < cut.text.len();
        if written == Found::Operations && shorter {
            return written;
        }
        self.rewind(Mark { text: 0, ops: 0, moved: 0 });
        self.paste(cut);
        before
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) const fn memory(&self) -> usize {
        self.script.memory() + self.path.capacity()
    }

    /// Takes back what was written since.
    pub(crate) fn rewind(&mut self, mark: Mark) {
        self.script.text.truncate(mark.text);
        self.script.ops.truncate(mark.ops);
        self.script.moved.truncate(mark.moved);
        self.overflown = false;
    }

    /// Sets the current path.
    pub(crate) fn set_path(&mut self, pointer: &str) {
        self.path.clear();
        encode(pointer, &mut self.path);
    }

    /// Appends a token to the current path, given as it stands between the quotes of a key.
    pub(crate) fn push_key(&mut self, raw: &str) {
        self.path.push('/');
        if !needs_escape(raw.as_bytes()) {
            return self.path.push_str(raw);
        }
        if raw.contains('\\') {
            let mut token = String::new();
            crate::escape_token(&decode(raw), &mut token);
            return encode(&token, &mut self.path);
        }
        let mut plain = 0;
        for (at, byte) in raw.bytes().enumerate() {
            let escape = match byte {
                b'~' => "~0",
                b'/' => "~1",
                _ => continue,
            };
            self.path.push_str(&raw[plain..at]);
            self.path.push_str(escape);
            plain = at + 1;
        }
        self.path.push_str(&raw[plain..]);
    }

    /// Appends an index to the current path.
    pub(crate) fn push_index(&mut self, index: u32) {
        push_index(&mut self.path, index);
    }

    /// Appends the place behind the last element, which has this index: whatever is shorter.
    pub(crate) fn push_end(&mut self, index: u32) {
        if index < 10 {
            self.push_index(index);
        } else {
            self.path.push_str("/-");
        }
    }

    pub(crate) fn truncate_path(&mut self, len: usize) {
        self.path.truncate(len);
    }

    pub(crate) fn mark(&self) -> Mark {
        let Script { text, ops, moved, .. } = &self.script;
        Mark { text: text.len(), ops: ops.len(), moved: moved.len() }
    }

    /// How many bytes were written since; as good as endless when offsets no longer suffice.
    pub(crate) fn written_since(&self, mark: Mark) -> usize {
        if self.overflown { usize::MAX } else { self.script.text.len() - mark.text }
    }

    /// How many bytes a replacement of the value at the current path would take here.
    pub(crate) fn replacement_len(&self, value_len: usize) -> usize {
        let comma = usize::from(!self.script.ops.is_empty());
        comma + REPLACEMENT_LEN + self.path.len() + value_len + self.slack
    }

    /// How many bytes a replacement of the value at the current path would take at a mark.
    pub(crate) fn replacement_len_since(&self, mark: Mark, value_len: usize) -> usize {
        usize::from(mark.ops > 0) + REPLACEMENT_LEN + self.path.len() + value_len + self.slack
    }

    pub(crate) const fn set_slack(&mut self, slack: usize) {
        self.slack = slack;
    }

    pub(crate) fn path_len(&self) -> usize {
        self.path.len()
    }

    fn open(&mut self, kind: OperationKind, value_len: usize) {
        if self.script.text.len() + self.path.len() + value_len + OP_LEN_MAX > u32::MAX as usize {
            self.overflown = true;
            return;
        }
        self.open_from(kind, None);
    }

    /// Begins an operation, with the first bytes of the current path and an index as its `from`.
    fn open_from(&mut self, kind: OperationKind, from: Option<(usize, u32)>) {
        let text = &mut self.script.text;
        if text.len() + 2 * self.path.len() + OP_LEN_MAX > u32::MAX as usize {
            self.overflown = true;
            return;
        }
        let head = kind.head();
        if text.is_empty() {
            text.reserve(self.expected.0);
            self.script.ops.reserve(self.expected.1);
            text.push_str(&head[1..]);
        } else {
            text.push_str(head);
        }
        let from = from.map(|(len, index)| {
            let start = text.len() as u32;
            text.push_str(&self.path[..len]);
            push_index(text, index);
            text.push_str(PATH);
            start
        });
        let path = text.len() as u32;
        text.push_str(&self.path);
        let path_end = text.len() as u32;
        self.script.ops.push(Op { kind, from, path, path_end, end: 0, moved: (0, 0) });
    }

    fn close(&mut self) {
        if let Some(op) = self.script.ops.last_mut() {
            op.end = self.script.text.len() as u32;
        }
    }
}

/// Where the parts of an operation stand in the text of its script.
#[derive(Clone, Copy, Debug)]
struct Op {
    kind: OperationKind,
    from: Option<u32>,
    path: u32,
    path_end: u32,
    end: u32,
    /// Where a moved value stands among the moved values.
    moved: (u32, u32),
}

impl Op {
    /// Where a prefix goes.
    fn places(&self) -> impl Iterator<Item = usize> {
        self.from.into_iter().chain([self.path]).map(|place| place as usize)
    }
}

/// Whether a raw key has anything that a pointer spells otherwise; eight bytes at a time.
fn needs_escape(raw: &[u8]) -> bool {
    let (words, rest) = raw.as_chunks::<8>();
    words.iter().any(|word| {
        let word = u64::from_le_bytes(*word);
        has_byte(word, b'~') || has_byte(word, b'/') || has_byte(word, b'\\')
    }) || rest.iter().any(|byte| matches!(byte, b'~' | b'/' | b'\\'))
}

/// Whether one of eight bytes is this one.
const fn has_byte(word: u64, byte: u8) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let zeros = word ^ (ONES * byte as u64);
    zeros.wrapping_sub(ONES) & !zeros & (ONES << 7) != 0
}

/// Appends a slash and an index.
fn push_index(out: &mut String, index: u32) {
    out.push('/');
    push_integer(out, index.into());
}

/// Appends an integer.
pub(crate) fn push_integer(out: &mut String, mut integer: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (integer % 10) as u8;
        integer /= 10;
        if integer == 0 {
            break;
        }
    }
    // Digits are always text.
    out.push_str(core::str::from_utf8(&digits[at..]).unwrap_or_default());
}

/// Appends JSON without the white space between its tokens.
pub(crate) fn push_compact(raw: &str, out: &mut String) {
    let bytes = raw.as_bytes();
    let mut done = 0;
    let mut at = 0;
    let mut quoted = false;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => quoted = !quoted,
            b'\\' => at += 1,
            b' ' | b'\t' | b'\n' | b'\r' if !quoted => {
                out.push_str(&raw[done..at]);
                done = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    out.push_str(&raw[done..]);
}

const PATH: &str = "\",\"path\":\"";
const VALUE: &str = "\",\"value\":";
/// The length of a replacement without its path and value.
const REPLACEMENT_LEN: usize = r#"{"op":"replace","path":"","value":}"#.len();
/// No operation is longer, its pointers and value apart.
const OP_LEN_MAX: usize = 96;
