use alloc::boxed::Box;
use alloc::string::String;

use crate::diff::{Differ, Found};
use crate::edits::Edits;
use crate::handle::{Handle, Handles, Place};
use crate::merge::{write_merge, write_scanned};
use crate::pointer::array_index;
use crate::scan::Scanner;
use crate::script::{OperationKind, Script, ScriptWriter};
use crate::tape::{Kind, ROOT, Tape, View};
use crate::{Limits, Options, ParseError};

/// A JSON document kept as the text that its producer wrote.
///
/// The text is valid at all times: an [`update`](Self::update) that is refused changes nothing.
///
/// Beside the text stands a tape of offsets, by which the next text is compared without being read as a
/// whole. It takes some multiple of the text ([`memory`](Self::memory) tells); a document that lies idle
/// gives it back with [`rest`](Self::rest), and the next update makes it anew.
#[derive(Clone, Debug)]
pub struct Document {
    pub(crate) text: String,
    /// The tape of the text, empty while the document rests.
    pub(crate) tape: Tape,
    options: Options,
    /// What the tape and the text before were, for their memory.
    pub(crate) spare: Tape,
    pub(crate) spare_text: String,
    pub(crate) scanner: Scanner,
    /// Boxed, since most documents have none.
    pub(crate) handles: Box<Handles>,
}

impl Document {
    /// Reads a document and validates it completely.
    pub fn parse(text: &[u8], limits: &Limits) -> Result<Self, ParseError> {
        Self::parse_with(text, &Options::new(limits))
    }

    /// Reads a document whose changes are to be found and written in a certain way.
    pub fn parse_with(text: &[u8], options: &Options) -> Result<Self, ParseError> {
        let (tape, text) = Tape::parse(text, &options.limits)?;
        Ok(Self {
            text: text.into(),
            tape,
            options: options.clone(),
            spare: Tape::default(),
            spare_text: String::new(),
            scanner: Scanner::default(),
            handles: Box::default(),
        })
    }

    /// Takes the next text of the document and says what changed.
    ///
    /// The document's text is `new` afterwards, even where its value is that of the old one.
    pub fn update(&mut self, new: &[u8]) -> Result<Change, ParseError> {
        if new == self.text.as_bytes() {
            return Ok(Change::Nothing);
        }
        self.wake()?;
        self.scanner.differ.writer.set_slack(self.options.slack_for(new.len()));
        let (found, merge) = match self.scan(new) {
            Some(scanned) => scanned,
            None => self.reread(new)?,
        };
        self.handles.follow(|_| None);
        let Self { text, tape, scanner, .. } = self;
        Ok(change(&mut scanner.differ.writer, tape.view(text), found, merge))
    }

    /// Begins edits that are made together, without any comparison.
    pub fn edit(&mut self) -> Edits<'_> {
        Edits::new(self)
    }

    /// How many bytes the document takes in memory, its text included.
    pub fn memory(&self) -> usize {
        let Self { text, tape, spare, spare_text, scanner, handles, .. } = self;
        let texts = text.capacity() + spare_text.capacity();
        let tapes = tape.memory() + spare.memory();
        size_of::<Self>() + texts + tapes + scanner.memory() + handles.memory()
    }

    /// Gives back everything but the text and the handles.
    pub fn rest(&mut self) {
        self.tape = Tape::default();
        self.spare = Tape::default();
        self.spare_text = String::new();
        self.scanner = Scanner::default();
        self.text.shrink_to_fit();
    }

    /// The text as the producer wrote it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text of the value at a place, if there is one.
    pub fn get<'p>(&self, place: impl Into<Place<'p>>) -> Option<&str> {
        let read;
        let tape = if self.tape.len() > 0 {
            &self.tape
        } else {
            read = Tape::parse(self.text.as_bytes(), &self.options.limits).ok()?.0;
            &read
        };
        let view = tape.view(&self.text);
        let node = self.node(view, place.into())?;
        Some(&self.text[view.start(node)..view.end(node)])
    }

    /// A handle of the value at a place, if there is one: the same as long as it lasts, so that there are
    /// never more handles than values.
    pub fn handle<'p>(&mut self, place: impl Into<Place<'p>>) -> Option<Handle> {
        self.wake().ok()?;
        let node = self.node(self.tape.view(&self.text), place.into())?;
        Some(self.handles.of(node))
    }

    fn node(&self, view: View<'_>, place: Place<'_>) -> Option<u32> {
        let mut node = match place.handle {
            Some(handle) => self.handles.node(handle)?,
            None => ROOT,
        };
        for token in place.pointer.tokens() {
            node = match view.kind(node) {
                Kind::Object => view.member(node, &token)?,
                Kind::Array => view.children(node).nth(array_index(&token).ok()?)?,
                _ => return None,
            };
        }
        Some(node)
    }

    pub(crate) const fn limits(&self) -> Limits {
        self.options.limits
    }

    /// Makes the tape anew if the document was resting.
    pub(crate) fn wake(&mut self) -> Result<(), ParseError> {
        if self.tape.len() == 0 {
            self.tape.read(self.text.as_bytes(), &self.options.limits)?;
        }
        Ok(())
    }

    /// Takes the next text by what changed in it; does nothing if that cannot be done.
    fn scan(&mut self, new: &[u8]) -> Option<(Found, Option<String>)> {
        let Self { text, tape, options, spare, spare_text, scanner, .. } = self;
        let limits = &options.limits;
        if new.len() > limits.bytes_allowed() {
            return None;
        }
        let mut found = scanner.run(tape.view(text), new, options).ok()?;
        if core::mem::take(&mut scanner.differ.shifted) {
            let cut = scanner.differ.writer.cut_all();
            let plain = scanner.run(tape.view(text), new, &options.without_shifts()).ok()?;
            found = scanner.differ.writer.keep_shorter((&cut, found), plain);
        }
        let mut merge = None;
        if options.merge && found != Found::Equal {
            let mut patch = String::new();
            let written = write_scanned(tape.view(text), new, &scanner.splices, &mut patch);
            merge = written.then_some(patch);
        }
        let fits = scanner.splices.len_after(tape) <= limits.nodes_max as usize;
        if !fits || !scanner.splices.splice_text(text, spare_text, new) {
            scanner.differ.writer.take();
            return None;
        }
        scanner.splices.splice_tape(tape, spare);
        debug_assert!(
            text.as_bytes() == new && tape.is_of(text),
            "the tape is not that of the text"
        );
        Some((found, merge))
    }

    /// Takes the next text by reading all of it.
    fn reread(&mut self, new: &[u8]) -> Result<(Found, Option<String>), ParseError> {
        let Self { text, tape, options, spare, scanner, .. } = self;
        let new = spare.read(new, &options.limits)?;
        let compared = run(&mut scanner.differ, tape.view(text), spare.view(new), options);
        text.clear();
        text.push_str(new);
        core::mem::swap(tape, spare);
        Ok(compared)
    }
}

/// What leads from one document to another whose tapes are at hand.
#[cfg(feature = "serde_json")]
pub(crate) fn compare(old: View<'_>, new: View<'_>, options: &Options) -> Change {
    let mut differ = Differ::default();
    differ.writer.set_slack(options.slack_for(new.text().len()));
    let (found, merge) = run(&mut differ, old, new, options);
    change(&mut differ.writer, new, found, merge)
}

fn run(
    differ: &mut Differ,
    old: View<'_>,
    new: View<'_>,
    options: &Options,
) -> (Found, Option<String>) {
    let mut found = differ.run(old, new, options);
    if core::mem::take(&mut differ.shifted) {
        let cut = differ.writer.cut_all();
        let plain = differ.run(old, new, &options.without_shifts());
        found = differ.writer.keep_shorter((&cut, found), plain);
    }
    let mut patch = String::new();
    let wanted = options.merge && found != Found::Equal;
    let merge = (wanted && write_merge(old, new, &mut patch)).then_some(patch);
    (found, merge)
}

fn change(writer: &mut ScriptWriter, new: View<'_>, found: Found, merge: Option<String>) -> Change {
    match found {
        Found::Equal => return Change::Nothing,
        Found::Operations => {}
        Found::Whole if merge.as_ref().is_some_and(|merge| merge.len() < new.text().len()) => {
            writer.write(OperationKind::Replace, new, ROOT);
        }
        Found::Whole => return Change::Replacement,
    }
    let mut script = writer.take();
    script.set_merge(merge);
    Change::Script(script)
}

/// What happened to a document.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "a change is one of three, and all must be handled")]
pub enum Change {
    /// The value is the same.
    Nothing,
    /// These operations lead to the new document, and their patch is shorter than the one that
    /// replaces the whole, save where [`Options::tests`] adds what was there, [`Options::merge`] finds a
    /// shorter merge patch, or [`Options::slack`] allows more.
    Script(Script),
    /// The whole document is replaced by its new text: no patch would be shorter than
    /// `[{"op":"replace","path":"","value":…}]`, or keys are so much longer than values that looking for
    /// it would take many times the document.
    Replacement,
}

/// What leads from one text to another.
pub fn diff(old: &[u8], new: &[u8], limits: &Limits) -> Result<Change, ParseError> {
    diff_with(old, new, &Options::new(limits))
}

/// What leads from one text to another, found and written in a certain way.
pub fn diff_with(old: &[u8], new: &[u8], options: &Options) -> Result<Change, ParseError> {
    Document::parse_with(old, options)?.update(new)
}
