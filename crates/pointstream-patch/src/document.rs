use alloc::string::String;

use crate::diff::{Differ, Found};
use crate::pointer::{Pointer, array_index};
use crate::script::Script;
use crate::tape::{Kind, ROOT, Tape};
use crate::{Limits, ParseError};

/// A JSON document kept as the text that its producer wrote.
///
/// The text is valid at all times: an [`update`](Self::update) that is refused changes nothing.
#[derive(Clone, Debug)]
pub struct Document {
    text: String,
    tape: Tape,
    limits: Limits,
    /// The tape of the text before, for its memory.
    spare: Tape,
    differ: Differ,
}

impl Document {
    /// Reads a document and validates it completely.
    pub fn parse(text: &[u8], limits: &Limits) -> Result<Self, ParseError> {
        let (tape, text) = Tape::parse(text, limits)?;
        Ok(Self {
            text: text.into(),
            tape,
            limits: *limits,
            spare: Tape::default(),
            differ: Differ::default(),
        })
    }

    /// Takes the next text of the document and says what changed.
    ///
    /// The document's text is `new` afterwards, even where its value is that of the old one.
    pub fn update(&mut self, new: &[u8]) -> Result<Change, ParseError> {
        if new == self.text.as_bytes() {
            return Ok(Change::Nothing);
        }
        let new = self.spare.read(new, &self.limits)?;
        let change = change(&mut self.differ, &self.text, &self.tape, new, &self.spare);
        self.text.clear();
        self.text.push_str(new);
        core::mem::swap(&mut self.tape, &mut self.spare);
        Ok(change)
    }

    /// The text as the producer wrote it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text of the value at `pointer`, if there is one.
    pub fn get(&self, pointer: Pointer<'_>) -> Option<&str> {
        let view = self.tape.view(&self.text);
        let mut node = ROOT;
        for token in pointer.tokens() {
            node = match view.kind(node) {
                Kind::Object => view.member(node, &token)?,
                Kind::Array => view.children(node).nth(array_index(&token).ok()?)?,
                _ => return None,
            };
        }
        Some(view.raw(node))
    }
}

/// What happened to a document.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "a change is one of three, and all must be handled")]
pub enum Change {
    /// The value is the same.
    Nothing,
    /// These operations lead to the new document, and their patch is shorter than the one that
    /// replaces the whole.
    Script(Script),
    /// The whole document is replaced by its new text: no patch would be shorter than
    /// `[{"op":"replace","path":"","value":…}]`.
    Replacement,
}

/// What leads from one text to another.
pub fn diff(old: &[u8], new: &[u8], limits: &Limits) -> Result<Change, ParseError> {
    let (old_tape, old) = Tape::parse(old, limits)?;
    let (new_tape, new) = Tape::parse(new, limits)?;
    Ok(change(&mut Differ::default(), old, &old_tape, new, &new_tape))
}

fn change(differ: &mut Differ, old: &str, old_tape: &Tape, new: &str, new_tape: &Tape) -> Change {
    if old == new {
        return Change::Nothing;
    }
    match differ.run(old_tape.view(old), new_tape.view(new)) {
        Found::Equal => Change::Nothing,
        Found::Operations => Change::Script(differ.writer.take()),
        Found::Whole => Change::Replacement,
    }
}
