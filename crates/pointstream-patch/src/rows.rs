use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use thiserror::Error;

use crate::diff::{Differ, Found};
use crate::script::OperationKind;
use crate::string::encode;
use crate::tape::{NONE, ROOT, Tape};
use crate::value::equal;
use crate::{Change, Limits, Options, ParseError};

/// A document that is an object of rows, edited by handle.
///
/// Edits gather until [`commit`](Self::commit), which gives the operations of their net effect at a
/// cost of the changed rows alone. The whole text is written only when asked for. Rows stand in the
/// order of their insertion.
///
/// ```
/// use pointstream_patch::{Change, Rows};
///
/// let mut rows = Rows::new();
/// let supply = rows.insert("ahu.supplyTemp", r#"{"val":21.5,"status":"ok","unit":"°C"}"#)?;
/// let _room = rows.insert("room.co2", r#"{"val":612,"status":"ok","unit":"ppm"}"#)?;
/// assert!(matches!(rows.commit(), Change::Replacement));
///
/// rows.set(supply, r#"{"val":21.75,"status":"ok","unit":"°C"}"#)?;
/// let Change::Script(script) = rows.commit() else { panic!() };
/// let mut patch = String::new();
/// script.render_patch("", &mut patch);
/// assert_eq!(patch, r#"[{"op":"replace","path":"/ahu.supplyTemp/val","value":21.75}]"#);
/// # Ok::<(), pointstream_patch::RowError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Rows {
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_key: BTreeMap<Box<str>, u32>,
    /// The ends of the list of rows in their order.
    first: u32,
    last: u32,
    /// How long the rows are as text, commas and braces left out.
    rows_len: usize,
    /// Slots of rows that were inserted or set since the last commit.
    changed: Vec<u32>,
    /// What rows that are gone had at the last commit.
    removed: BTreeMap<Box<str>, Box<str>>,
    options: Options,
    differ: Differ,
    old_tape: Tape,
    new_tape: Tape,
    scratch: Vec<(u32, u32)>,
}

/// A stable handle of a row.
///
/// A handle outlives its row harmlessly: a row that takes the same place later has another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey {
    slot: u32,
    generation: u32,
}

/// A row that was not inserted or not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RowError {
    /// There is a row of this key.
    #[error("duplicate key")]
    DuplicateKey,
    /// The text of all rows would be longer than [`Limits::bytes_max`], or their number beyond
    /// [`Limits::nodes_max`].
    #[error("more rows or bytes than allowed")]
    Full,
    /// The row is no longer there.
    #[error("no such row")]
    Gone,
    /// The value is not JSON within the limits.
    #[error("value: {0}")]
    Value(#[source] ParseError),
}

#[derive(Clone, Debug)]
struct Slot {
    generation: u32,
    previous: u32,
    next: u32,
    row: Option<Row>,
}

#[derive(Clone, Debug)]
struct Row {
    key: Box<str>,
    /// How long the key is between its quotes.
    raw_key_len: usize,
    value: Box<str>,
    before: Before,
}

/// What a row had at the last commit.
#[derive(Clone, Debug)]
enum Before {
    /// What it has.
    Same,
    /// Another value; the row stands at this place among the changed ones.
    Value(Box<str>, u32),
    /// There was no such row; it stands at this place among the changed ones.
    Nothing(u32),
}

impl Rows {
    /// An empty object.
    pub fn new() -> Self {
        Self::with_limits(&Limits::default())
    }

    /// An empty object under limits of its own.
    pub fn with_limits(limits: &Limits) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_key: BTreeMap::new(),
            first: NONE,
            last: NONE,
            rows_len: 0,
            changed: Vec::new(),
            removed: BTreeMap::new(),
            options: Options::new(&Limits {
                depth_max: limits.depth_max.saturating_sub(1),
                ..*limits
            }),
            differ: Differ::default(),
            old_tape: Tape::default(),
            new_tape: Tape::default(),
            scratch: Vec::new(),
        }
    }

    /// Adds a row behind all others.
    pub fn insert(&mut self, key: &str, value: &str) -> Result<RowKey, RowError> {
        if self.by_key.contains_key(key) {
            return Err(RowError::DuplicateKey);
        }
        let value = read_value(&mut self.new_tape, value, &self.options.limits)?;
        let raw_key_len = raw_len(key);
        let len = raw_key_len + QUOTES_AND_COLON + value.len();
        if self.len() >= self.options.limits.nodes_max as usize || !self.fits(len) {
            return Err(RowError::Full);
        }
        let place = self.changed.len() as u32;
        let before = match self.removed.remove(key) {
            Some(before) => Before::Value(before, place),
            None => Before::Nothing(place),
        };
        let row = Row { key: key.into(), raw_key_len, value: value.into(), before };
        let slot = self.occupy(row);
        self.rows_len += len;
        self.changed.push(slot);
        self.by_key.insert(key.into(), slot);
        Ok(RowKey { slot, generation: self.slots[slot as usize].generation })
    }

    /// Gives a row its next value; says whether that is another one. A value equal to the present one
    /// leaves the row as it is spelled.
    pub fn set(&mut self, row: RowKey, value: &str) -> Result<bool, RowError> {
        if self.get(row).ok_or(RowError::Gone)? == value {
            return Ok(false);
        }
        let value = read_value(&mut self.new_tape, value, &self.options.limits)?;
        let room = self.options.limits.bytes_allowed().saturating_sub(self.len_bytes());
        let Self { slots, changed, rows_len, options, old_tape, new_tape, scratch, .. } = self;
        let limits = &options.limits;
        let Some(present) = &mut slots[row.slot as usize].row else { return Err(RowError::Gone) };
        let old = read_value(old_tape, &present.value, limits)?;
        if equal(old_tape.view(old), ROOT, new_tape.view(value), ROOT, scratch) {
            return Ok(false);
        }
        if value.len() > old.len() + room {
            return Err(RowError::Full);
        }
        *rows_len = *rows_len - old.len() + value.len();
        let old = core::mem::replace(&mut present.value, value.into());
        if matches!(present.before, Before::Same) {
            present.before = Before::Value(old, changed.len() as u32);
            changed.push(row.slot);
        }
        Ok(true)
    }

    /// Removes a row; says whether it was there.
    pub fn remove(&mut self, row: RowKey) -> bool {
        if self.get(row).is_none() {
            return false;
        }
        let Some(row) = self.vacate(row.slot) else { return false };
        self.by_key.remove(&row.key);
        self.rows_len -= row.raw_key_len + QUOTES_AND_COLON + row.value.len();
        match row.before {
            Before::Same => {
                self.removed.insert(row.key, row.value);
            }
            Before::Value(before, place) => {
                self.forget_change(place);
                self.removed.insert(row.key, before);
            }
            Before::Nothing(place) => self.forget_change(place),
        }
        true
    }

    /// Gives the operations of everything since the last commit.
    ///
    /// Within a changed row the smaller of its leaf operations and a replacement of the row is taken.
    /// It is a replacement of all where the patch would be no shorter than the one that replaces the
    /// whole document.
    pub fn commit(&mut self) -> Change {
        let start = self.differ.writer.mark();
        let whole = self.differ.writer.replacement_len(self.len_bytes());
        for key in core::mem::take(&mut self.removed).into_keys() {
            if self.differ.writer.written_since(start) < whole {
                self.push_key(&key);
                self.differ.writer.write_remove();
            }
        }
        let changed = core::mem::take(&mut self.changed);
        for &slot in &changed {
            let Some(row) = &mut self.slots[slot as usize].row else { continue };
            let before = core::mem::replace(&mut row.before, Before::Same);
            if self.differ.writer.written_since(start) < whole {
                self.write_row(slot, &before);
            }
        }
        self.changed = changed;
        self.changed.clear();
        self.differ.writer.truncate_path(0);
        if self.differ.writer.written_since(start) >= whole {
            self.differ.writer.rewind(start);
            return Change::Replacement;
        }
        let script = self.differ.writer.take();
        if script.is_empty() { Change::Nothing } else { Change::Script(script) }
    }

    /// Appends the text of the whole object, as it is with all edits.
    pub fn write_text(&self, out: &mut String) {
        out.reserve(self.len_bytes());
        out.push('{');
        let mut slot = self.first;
        while let Some(Slot { row: Some(row), next, .. }) = self.slots.get(slot as usize) {
            if slot != self.first {
                out.push(',');
            }
            out.push('"');
            encode(&row.key, out);
            out.push_str("\":");
            out.push_str(&row.value);
            slot = *next;
        }
        out.push('}');
    }

    /// The exact length of the text that [`write_text`](Self::write_text) appends.
    pub fn len_bytes(&self) -> usize {
        "{}".len() + self.rows_len + self.len().saturating_sub(1)
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// The value of a row.
    pub fn get(&self, row: RowKey) -> Option<&str> {
        self.row(row).map(|row| &*row.value)
    }

    /// The key of a row.
    pub fn key(&self, row: RowKey) -> Option<&str> {
        self.row(row).map(|row| &*row.key)
    }

    /// The row of a key.
    pub fn find(&self, key: &str) -> Option<RowKey> {
        let &slot = self.by_key.get(key)?;
        Some(RowKey { slot, generation: self.slots[slot as usize].generation })
    }

    fn row(&self, row: RowKey) -> Option<&Row> {
        let slot = self.slots.get(row.slot as usize)?;
        if slot.generation == row.generation { slot.row.as_ref() } else { None }
    }

    fn write_row(&mut self, slot: u32, before: &Before) {
        let Some(row) = &self.slots[slot as usize].row else { return };
        let Self { differ, old_tape, new_tape, options, .. } = self;
        let limits = &options.limits;
        // What a row holds was read when it was set, and limits do not change.
        let Ok(new) = new_tape.read(row.value.as_bytes(), limits) else { return };
        let new = new_tape.view(new);
        differ.writer.truncate_path(0);
        push_key(differ, &row.key);
        let kind = match before {
            Before::Same => return,
            Before::Nothing(_) => OperationKind::Add,
            Before::Value(old, _) => {
                let Ok(old) = old_tape.read(old.as_bytes(), limits) else { return };
                match differ.run(old_tape.view(old), new, options) {
                    Found::Whole => OperationKind::Replace,
                    Found::Equal | Found::Operations => return,
                }
            }
        };
        differ.writer.write(kind, new, ROOT);
    }

    fn push_key(&mut self, key: &str) {
        self.differ.writer.truncate_path(0);
        push_key(&mut self.differ, key);
    }

    fn fits(&self, more: usize) -> bool {
        let comma = 1;
        self.len_bytes() + more + comma <= self.options.limits.bytes_allowed()
    }

    fn occupy(&mut self, row: Row) -> u32 {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(Slot { generation: 0, previous: NONE, next: NONE, row: None });
                self.slots.len() as u32 - 1
            }
        };
        let this = &mut self.slots[slot as usize];
        this.row = Some(row);
        this.previous = self.last;
        this.next = NONE;
        match self.slots.get_mut(self.last as usize) {
            Some(last) => last.next = slot,
            None => self.first = slot,
        }
        self.last = slot;
        slot
    }

    fn vacate(&mut self, slot: u32) -> Option<Row> {
        let this = &mut self.slots[slot as usize];
        let row = this.row.take()?;
        let (previous, next) = (this.previous, this.next);
        // A place whose generations are used up is not used again.
        if let Some(generation) = this.generation.checked_add(1) {
            this.generation = generation;
            self.free.push(slot);
        }
        match self.slots.get_mut(previous as usize) {
            Some(previous) => previous.next = next,
            None => self.first = next,
        }
        match self.slots.get_mut(next as usize) {
            Some(next) => next.previous = previous,
            None => self.last = previous,
        }
        Some(row)
    }

    /// Takes a row out of the changed ones; the last of them takes its place.
    fn forget_change(&mut self, place: u32) {
        self.changed.swap_remove(place as usize);
        let Some(&moved) = self.changed.get(place as usize) else { return };
        if let Some(row) = &mut self.slots[moved as usize].row
            && let Before::Value(_, at) | Before::Nothing(at) = &mut row.before
        {
            *at = place;
        }
    }
}

impl Default for Rows {
    fn default() -> Self {
        Self::new()
    }
}

/// Reads a value and gives its text without white space around it.
fn read_value<'t>(tape: &mut Tape, text: &'t str, limits: &Limits) -> Result<&'t str, RowError> {
    let inner = text.trim_start_matches(WHITE_SPACE);
    let skipped = text.len() - inner.len();
    tape.read(inner.trim_end_matches(WHITE_SPACE).as_bytes(), limits)
        .map_err(|error| RowError::Value(ParseError::new(error.kind(), error.offset() + skipped)))
}

fn push_key(differ: &mut Differ, key: &str) {
    let mut raw = String::new();
    encode(key, &mut raw);
    differ.writer.push_key(&raw);
}

fn raw_len(key: &str) -> usize {
    let mut raw = String::new();
    encode(key, &mut raw);
    raw.len()
}

const WHITE_SPACE: [char; 4] = [' ', '\t', '\n', '\r'];
const QUOTES_AND_COLON: usize = r#""":"#.len();
