mod tail;

use alloc::vec::Vec;

use self::tail::{Rest, TailReader};
use crate::Options;
use crate::bytes::common_prefix;
use crate::diff::{Differ, Found, SPENT_FACTOR, SPENT_MIN, Tail};
use crate::lexer::Lexer;
use crate::number;
use crate::script::{Mark, OperationKind};
use crate::string::same;
use crate::tape::{Builder, Edit, Kind, NONE, Place, ROOT, Splices, View};

/// Compares a document with its next text, of which only what changed is read.
///
/// Two cursors stand at the same place of the same structure. What is equal behind them is skipped as
/// text: it is as valid as it was. Where the texts part, the tape tells in which value that is, so that
/// the path is known without reading anything. A scalar is read, and the cursors go on behind it. Where
/// the structure of a container changes, the rest of the container is read, save for children that are
/// the same text, and compared on the tapes.
///
/// Whatever is out of the ordinary, errors above all, makes the scan stop; the caller then reads the
/// whole text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scanner {
    pub(crate) differ: Differ,
    pub(crate) splices: Splices,
    frames: Vec<Frame>,
    climb: Vec<u32>,
    reader: TailReader,
}

/// The scan does not go on: the text has an error, or a shape that is not worth a scan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stop;

/// A container in which something changed.
#[derive(Clone, Copy, Debug)]
struct Frame {
    node: u32,
    kind: Kind,
    /// The length of the path to it.
    path_len: usize,
    start: Mark,
    /// Where it starts in the new text.
    new_start: usize,
    /// Whether its end was compared on the tapes.
    aligned: bool,
    /// Whether it was replaced as a whole.
    replaced: bool,
    streak: Streak,
}

/// Elements of an array that changed one behind the other.
#[derive(Clone, Copy, Debug)]
struct Streak {
    /// The first of them, and where it starts in the new text.
    first: u32,
    new_start: usize,
    start: Mark,
    /// The element that would go on with it.
    next: u32,
    len: u32,
}

struct Scan<'a> {
    scanner: &'a mut Scanner,
    old: View<'a>,
    new: &'a [u8],
    options: &'a Options,
    i: usize,
    j: usize,
    /// A node that starts before `i`.
    hint: u32,
}

impl Scanner {
    /// Leaves the operations in the differ's writer and the changes of text and tape in the splices.
    pub(crate) fn run(
        &mut self,
        old: View<'_>,
        new: &[u8],
        options: &Options,
    ) -> Result<Found, Stop> {
        self.splices.clear();
        self.frames.clear();
        let start = self.differ.writer.mark();
        let mut scan = Scan { scanner: self, old, new, options, i: 0, j: 0, hint: ROOT };
        let found = scan.run();
        if found.is_err() {
            self.differ.writer.rewind(start);
        }
        self.differ.writer.truncate_path(0);
        found
    }

    /// Makes the path to a value the writer's current one.
    pub(crate) fn path_to(&mut self, view: View<'_>, node: u32) {
        self.climb.clear();
        let mut at = node;
        while view.parent(at) != NONE {
            self.climb.push(at);
            at = view.parent(at);
        }
        let writer = &mut self.differ.writer;
        writer.truncate_path(0);
        while let Some(child) = self.climb.pop() {
            if view.kind(view.parent(child)) == Kind::Array {
                writer.push_index(view.index(child));
            } else {
                writer.push_key(view.key(child));
            }
        }
    }

    pub(crate) const fn memory(&self) -> usize {
        let own = self.frames.capacity() * size_of::<Frame>() + self.climb.capacity() * 4;
        own + self.differ.memory() + self.splices.memory() + self.reader.memory()
    }
}

impl<'a> Scan<'a> {
    fn run(&mut self) -> Result<Found, Stop> {
        let old = self.old.text().as_bytes();
        let start = self.scanner.differ.writer.mark();
        let spent_max = self.new.len().saturating_mul(SPENT_FACTOR) + SPENT_MIN;
        loop {
            if self.scanner.differ.writer.written_since(start) > spent_max {
                return Err(Stop);
            }
            let run = common_prefix(&old[self.i..], &self.new[self.j..]);
            self.i += run;
            self.j += run;
            if self.i == old.len() && self.j == self.new.len() {
                // Leaving frames may send the cursors back to where an array is aligned.
                if self.leave_until(None)? {
                    break;
                }
                continue;
            }
            self.part()?;
        }
        let writer = &mut self.scanner.differ.writer;
        writer.truncate_path(0);
        if writer.written_since(start) == 0 {
            return Ok(Found::Equal);
        }
        let mut whole = writer.replacement_len_since(start, self.new.len());
        if self.options.tests {
            whole += writer.replacement_len_since(start, old.len());
        }
        if writer.written_since(start) >= whole {
            writer.rewind(start);
            return Ok(Found::Whole);
        }
        Ok(Found::Operations)
    }

    /// Finds out what stands where the texts part, and gets both cursors behind it.
    fn part(&mut self) -> Result<(), Stop> {
        let (old, i) = (self.old, self.i);
        if old.start(ROOT) > i {
            return Err(Stop);
        }
        let node = old.last_before(i, self.hint);
        self.hint = node;
        let end = old.end(node);
        let kind = old.kind(node);
        // A number may go on where it used to end.
        let inside = i < end || i == end && kind == Kind::Number && self.goes_on();
        if inside && (!kind.is_container() || i == old.start(node)) {
            return self.value(node);
        }
        // Between the children of a container, or in a key.
        let mut child = NONE;
        let mut container = node;
        while old.end(container) <= i {
            child = container;
            container = old.parent(container);
            if container == NONE {
                return Err(Stop);
            }
        }
        let (first, from, index) = if child == NONE {
            (container + 1, old.start(container) + 1, 0)
        } else {
            (old.after(child), old.end(child), old.key_field(child).wrapping_add(1))
        };
        if !self.enter(container)? {
            return Ok(());
        }
        if let Some(frame) = self.scanner.frames.last()
            && frame.streak.next == first
        {
            return self.align_streak();
        }
        self.tail(container, first, index, from, self.j - (self.i - from))
    }

    /// Whether the new text goes on with what may belong to a number.
    fn goes_on(&self) -> bool {
        self.new.get(self.j).is_some_and(|byte| {
            byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-')
        })
    }

    /// The texts part within a value: reads the new one.
    fn value(&mut self, node: u32) -> Result<(), Stop> {
        let old = self.old;
        let parent = old.parent(node);
        let start = self.j - (self.i - old.start(node));
        if parent == NONE {
            return Err(Stop);
        }
        let first = self.new.get(start).copied().unwrap_or(b' ');
        if first <= b' ' {
            return self.respaced(node, parent);
        }
        let opens = matches!(first, b'{' | b'[');
        if opens || old.kind(node).is_container() {
            return self.subtree(node, start);
        }
        let mut lexer = Lexer::new(self.new);
        lexer.seek(start);
        let lexed = if first == b'"' { lexer.string().map(drop) } else { lexer.scalar() };
        lexed.map_err(|_| Stop)?;
        let end = lexer.pos();
        self.delimited(end)?;
        let text = core::str::from_utf8(&self.new[start..end]).map_err(|_| Stop)?;
        if !self.enter(parent)? {
            return Ok(());
        }
        if !alike(old, node, text, self.i - old.start(node)) {
            if self.identifies(node, parent) {
                return self.align(old.parent(parent), parent);
            }
            if self.options.has_keys()
                && let Some((array, element)) = self.keyed(node)
            {
                return self.align(array, element);
            }
            let mark = self.scanner.differ.writer.mark();
            self.write(node, text);
            if self.count(node, parent, start, mark, 1) {
                return self.align_streak();
            }
        }
        self.scanner.splices.push(Edit {
            node,
            removed: 0,
            added: 0..0,
            owner: node,
            old: old.start(node)..old.end(node),
            new: start..end,
        });
        (self.i, self.j) = (old.end(node), end);
        Ok(())
    }

    /// A new value must end where it was read to. What follows it otherwise is no JSON, and must not
    /// be taken for the old number that goes on.
    fn delimited(&self, end: usize) -> Result<(), Stop> {
        let delimits =
            |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',' | b']' | b'}');
        if self.new.get(end).is_some_and(delimits) { Ok(()) } else { Err(Stop) }
    }

    /// White space came in before a value: its container is read anew.
    fn respaced(&mut self, node: u32, parent: u32) -> Result<(), Stop> {
        if !self.enter(parent)? {
            return Ok(());
        }
        let from = self.gap_before(node);
        self.tail(parent, node, self.old.key_field(node), from, self.j - (self.i - from))
    }

    /// A value becomes a container, or a container something else.
    fn subtree(&mut self, node: u32, start: usize) -> Result<(), Stop> {
        let old = self.old;
        let parent = old.parent(node);
        if !self.enter(parent)? {
            return Ok(());
        }
        let first = self.scanner.splices.scratch.len() as u32;
        let limits = &self.options.limits;
        let depth = self.scanner.frames.len() as u32;
        let mut builder =
            Builder::new(&self.new[start..], limits, &mut self.scanner.splices.scratch);
        builder.depth = depth;
        let place = Place { parent: NONE, index: old.key_field(node), key_start: None };
        builder.value(place).map_err(|_| Stop)?;
        let end = start + builder.lexer.pos();
        self.delimited(end)?;
        let text = core::str::from_utf8(&self.new[start..end]).map_err(|_| Stop)?;
        let mark = self.scanner.differ.writer.mark();
        self.write(node, text);
        self.scanner.splices.push(Edit {
            node,
            removed: old.after(node) - node,
            added: first..self.scanner.splices.scratch.len() as u32,
            owner: parent,
            old: old.start(node)..old.end(node),
            new: start..end,
        });
        self.hint = node;
        (self.i, self.j) = (old.end(node), end);
        if self.count(node, parent, start, mark, HEAVY) {
            return self.align_streak();
        }
        Ok(())
    }

    /// Writes the replacement of a value whose container was entered.
    fn write(&mut self, node: u32, text: &str) {
        let old = self.old;
        let spaced = old.is_spaced() || self.scanner.splices.scratch.is_spaced();
        let Scanner { differ, frames, .. } = &mut *self.scanner;
        let Some(frame) = frames.last() else { return };
        differ.writer.truncate_path(frame.path_len);
        if frame.kind == Kind::Array {
            differ.writer.push_index(old.index(node));
        } else {
            differ.writer.push_key(old.key(node));
        }
        differ.test(old, node, self.options);
        differ.writer.write_text(OperationKind::Replace, text, spaced);
    }

    /// Leaves the frames that do not hold `parent` and opens those down to it. Says no if the
    /// cursors went back instead.
    fn enter(&mut self, parent: u32) -> Result<bool, Stop> {
        if !self.leave_until(Some(parent))? {
            return Ok(false);
        }
        let old = self.old;
        let top = self.scanner.frames.last().map(|frame| frame.node);
        if top == Some(parent) {
            return Ok(true);
        }
        self.scanner.climb.clear();
        let mut at = parent;
        while at != NONE && Some(at) != top {
            self.scanner.climb.push(at);
            at = old.parent(at);
        }
        let shift = self.j.wrapping_sub(self.i);
        while let Some(node) = self.scanner.climb.pop() {
            let new_start = old.start(node).wrapping_add(shift);
            let Scanner { differ, frames, .. } = &mut *self.scanner;
            let writer = &mut differ.writer;
            if let Some(frame) = frames.last() {
                writer.truncate_path(frame.path_len);
                if frame.kind == Kind::Array {
                    writer.push_index(old.index(node));
                } else {
                    writer.push_key(old.key(node));
                }
            }
            let start = writer.mark();
            frames.push(Frame {
                node,
                kind: old.kind(node),
                path_len: writer.path_len(),
                start,
                new_start,
                aligned: false,
                replaced: false,
                streak: Streak { first: NONE, new_start: 0, start, next: NONE, len: 0 },
            });
        }
        Ok(true)
    }

    /// Leaves frames up to one that holds the container, all if there is none. Says no if the cursors
    /// went back because an array is to be aligned.
    fn leave_until(&mut self, container: Option<u32>) -> Result<bool, Stop> {
        while let Some(&frame) = self.scanner.frames.last() {
            if container.is_some_and(|container| self.old.contains(frame.node, container)) {
                break;
            }
            if self.is_suspect(&frame) {
                self.align_streak()?;
                return Ok(false);
            }
            self.scanner.frames.pop();
            let heavy = self.collapse(&frame)?;
            let parent = self.old.parent(frame.node);
            if heavy && self.count(frame.node, parent, frame.new_start, frame.start, HEAVY) {
                self.align_streak()?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether an array that is complete took so much that aligning it may take less.
    fn is_suspect(&self, frame: &Frame) -> bool {
        if frame.kind != Kind::Array || frame.aligned || frame.streak.len < SUSPECT_MIN {
            return false;
        }
        let written = self.scanner.differ.writer.written_since(frame.start);
        written > self.old.bytes(frame.node).len() / 2
    }

    /// Replaces a container that is complete if its operations are no shorter. Says whether they were
    /// not, or nearly so.
    fn collapse(&mut self, frame: &Frame) -> Result<bool, Stop> {
        let old = self.old;
        let new_end = old.end(frame.node).wrapping_add(self.j.wrapping_sub(self.i));
        let new_len = new_end - frame.new_start;
        let Scanner { differ, splices, .. } = &mut *self.scanner;
        if frame.replaced {
            return Ok(true);
        }
        let writer = &mut differ.writer;
        writer.truncate_path(frame.path_len);
        let written = writer.written_since(frame.start);
        let mut limit = writer.replacement_len_since(frame.start, new_len);
        if self.options.tests {
            limit += writer.replacement_len_since(frame.start, old.bytes(frame.node).len());
        }
        // The whole document is judged at the end.
        if written <= limit || frame.node == ROOT {
            return Ok(false);
        }
        writer.rewind(frame.start);
        let text = core::str::from_utf8(&self.new[frame.new_start..new_end]).map_err(|_| Stop)?;
        let spaced = old.is_spaced() || splices.scratch.is_spaced();
        differ.test(old, frame.node, self.options);
        differ.writer.write_text(OperationKind::Replace, text, spaced);
        Ok(true)
    }

    /// Counts elements that changed as a whole, one behind the other. Says whether there are so many
    /// that the array is to be aligned.
    fn count(&mut self, element: u32, array: u32, new_start: usize, start: Mark, by: u32) -> bool {
        let after = self.old.after(element);
        let Some(frame) = self.scanner.frames.last_mut() else { return false };
        if frame.kind != Kind::Array || frame.node != array || frame.replaced {
            return false;
        }
        let streak = &mut frame.streak;
        if streak.next != element {
            *streak = Streak { first: element, new_start, start, next: NONE, len: 0 };
        }
        streak.len += by;
        streak.next = after;
        streak.len >= STREAK_MAX
    }

    /// Aligns the innermost array from where its streak began.
    fn align_streak(&mut self) -> Result<(), Stop> {
        let Some(frame) = self.scanner.frames.last() else { return Err(Stop) };
        let (array, streak) = (frame.node, frame.streak);
        self.scanner.differ.writer.rewind(streak.start);
        let from = self.gap_before(streak.first);
        self.scanner.splices.forget(from);
        let jp = streak.new_start - (self.old.start(streak.first) - from);
        self.tail(array, streak.first, self.old.index(streak.first), from, jp)
    }

    /// Aligns an array from an element that became another one.
    fn align(&mut self, array: u32, element: u32) -> Result<(), Stop> {
        let mut new_start = 0;
        while let Some(frame) = self.scanner.frames.last().copied()
            && frame.node != array
        {
            self.scanner.frames.pop();
            self.scanner.differ.writer.rewind(frame.start);
            new_start = frame.new_start;
        }
        let from = self.gap_before(element);
        self.scanner.splices.forget(from);
        let jp = new_start - (self.old.start(element) - from);
        self.tail(array, element, self.old.index(element), from, jp)
    }

    /// Where the child before this one ends, or the container begins.
    fn gap_before(&self, child: u32) -> usize {
        let old = self.old;
        let bytes = old.text().as_bytes();
        let mut at = old.key_start(child).map_or_else(|| old.start(child), |start| start - 1);
        while matches!(bytes[at - 1], b',' | b' ' | b'\t' | b'\n' | b'\r') {
            at -= 1;
        }
        at
    }

    /// Whether another value of this member makes its object another element of an array.
    fn identifies(&self, member: u32, object: u32) -> bool {
        let old = self.old;
        let array = old.parent(object);
        if array == NONE || old.kind(object) != Kind::Object || old.kind(array) != Kind::Array {
            return false;
        }
        if old.after(array) == old.after(object) && old.index(object) == 0 {
            return false;
        }
        let mut first = old.children(object);
        first.find(|&at| !old.kind(at).is_container()) == Some(member) || is_name(old.key(member))
    }

    /// The element that a value identifies by a configured key, and its array. The containers that the
    /// value is in are open.
    #[cold]
    fn keyed(&self, value: u32) -> Option<(u32, u32)> {
        let (old, Scanner { differ, frames, .. }) = (self.old, &*self.scanner);
        (1..frames.len()).rev().find_map(|at| {
            let (array, inside) = (&frames[at - 1], &frames[at..]);
            if array.kind != Kind::Array || array.aligned {
                return None;
            }
            let id = self.options.key_of(&differ.writer.path()[..array.path_len])?;
            let nodes = inside.iter().skip(1).map(|frame| frame.node).chain([value]);
            let names = id.len() == inside.len()
                && nodes.zip(id).all(|(node, token)| old.is_at(node, token));
            names.then_some((array.node, inside[0].node))
        })
    }

    /// Reads the rest of a container from `first` on, whose text begins at `from` in the old text and
    /// at `to` in the new one, and compares it.
    fn tail(
        &mut self,
        container: u32,
        first: u32,
        index: u32,
        from: usize,
        to: usize,
    ) -> Result<(), Stop> {
        let (old, new) = (self.old, self.new);
        let depth = self.scanner.frames.len() as u32;
        let Scanner { splices, reader, frames, .. } = &mut *self.scanner;
        let (mut first, mut index, mut from, mut to) = (first, index, from, to);
        let begin = old.start(container) + 1;
        if self.options.copies
            && old.kind(container) == Kind::Array
            && splices.is_untouched(begin)
            && let Some(frame) = frames.last()
        {
            // What is copied may stand before what changed.
            (first, index, from, to) = (container + 1, 0, begin, frame.new_start + 1);
        }
        let added = splices.scratch.len() as u32;
        let rest = Rest { old, container, first, index, region: &new[to..], depth };
        let len = reader.read(&rest, &mut splices.scratch, self.options)?;
        let text = core::str::from_utf8(&new[to..to + len]).map_err(|_| Stop)?;
        self.compare(&rest, text, to + len)?;
        let end = old.end(container);
        let splices = &mut self.scanner.splices;
        splices.push(Edit {
            node: first,
            removed: old.after(container) - first,
            added: added..splices.scratch.len() as u32,
            owner: container,
            old: from..end,
            new: to..to + len,
        });
        self.hint = container;
        (self.i, self.j) = (end, to + len);
        Ok(())
    }

    /// Writes the operations of the rest of a container, or replaces the container if that is shorter.
    fn compare(&mut self, rest: &Rest<'_>, text: &str, end: usize) -> Result<(), Stop> {
        let (old, container) = (self.old, rest.container);
        let Scanner { differ, splices, frames, reader, .. } = &mut *self.scanner;
        let Some(frame) = frames.last_mut() else { return Err(Stop) };
        frame.aligned = true;
        differ.writer.truncate_path(frame.path_len);
        let new_len = end - frame.new_start;
        let mut whole = differ.writer.replacement_len_since(frame.start, new_len);
        if self.options.tests {
            whole += differ.writer.replacement_len_since(frame.start, old.bytes(container).len());
        }
        let tail = Tail {
            container,
            kind: frame.kind,
            first: rest.first,
            children: &reader.children,
            matched: reader.matched,
            index: rest.index,
            limit: whole.saturating_sub(differ.writer.written_since(frame.start)),
        };
        let view = splices.scratch.view(text);
        if reader.fresh_len(frame.path_len, self.options) >= tail.limit
            || differ.run_tail(old, view, &tail, self.options) == Found::Whole
        {
            differ.writer.rewind(frame.start);
            let text = core::str::from_utf8(&self.new[frame.new_start..end]).map_err(|_| Stop)?;
            let spaced = old.is_spaced() || splices.scratch.is_spaced();
            differ.test(old, container, self.options);
            differ.writer.write_text(OperationKind::Replace, text, spaced);
            frame.replaced = true;
        }
        Ok(())
    }
}

/// Whether a scalar has the value of this text, of which so many bytes are the same.
pub(crate) fn alike(old: View<'_>, node: u32, text: &str, common: usize) -> bool {
    match old.kind(node) {
        Kind::Number => {
            !text.starts_with(['"', 't', 'f', 'n'])
                && !number::part(old.bytes(node), text.as_bytes(), common)
                && number::same(old.raw(node), text)
        }
        Kind::String => text.starts_with('"') && same(old.string(node), &text[1..text.len() - 1]),
        _ => old.raw(node) == text,
    }
}

/// So much makes an array be aligned: four scalars one behind the other, or two containers.
const STREAK_MAX: u32 = 4;
const HEAVY: u32 = 2;
/// So much in an array of which half is rewritten.
const SUSPECT_MIN: u32 = 2;
/// Whether a member of this key mostly tells elements apart, wherever it stands.
fn is_name(key: &str) -> bool {
    matches!(key, "id" | "_id" | "key" | "uuid" | "guid" | "name" | "code" | "symbol")
}
