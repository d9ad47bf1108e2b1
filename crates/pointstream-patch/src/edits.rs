mod set;

use alloc::string::String;
use alloc::vec::Vec;

use self::set::Setter;
use crate::apply::{Run, Step, carry_out};
use crate::document::Document;
use crate::handle::Place;
use crate::script::{OperationKind, Script};
use crate::tape::{Builder, NONE, Place as Hung, Tape};
use crate::{Limits, OperationError, OperationErrorKind, ParseError, ParseErrorKind, PatchError};

/// Edits of a document that are made together.
///
/// Each says its place by pointer or by [`Handle`](crate::Handle) and is written as the operation that
/// it is; nothing is compared. [`commit`](Self::commit) joins all of them into text and tape at once, at
/// a cost of the document and of the edits, or changes nothing.
///
/// ```
/// use pointstream_patch::{Document, Limits, Pointer};
///
/// let text = br#"{"quotes":[{"last":1.5},{"last":2.5}],"open":true}"#;
/// let mut document = Document::parse(text, &Limits::default())?;
/// let second = document.handle(Pointer::parse("/quotes/1").unwrap()).unwrap();
/// let last = Pointer::parse("/last").unwrap();
///
/// let mut edits = document.edit();
/// edits.insert(Pointer::parse("/quotes/0").unwrap(), r#"{"last":9.0}"#)?;
/// edits.set(second.at(last), "2.75")?;
/// edits.remove(Pointer::parse("/open").unwrap());
/// let script = edits.commit().unwrap();
/// let mut patch = String::new();
/// script.render_patch("", &mut patch);
/// assert!(patch.contains(r#"{"op":"replace","path":"/quotes/2/last","value":2.75}"#));
/// assert_eq!(document.text(), r#"{"quotes":[{"last":9.0},{"last":1.5},{"last":2.75}]}"#);
/// # Ok::<(), pointstream_patch::ParseError>(())
/// ```
#[derive(Debug)]
pub struct Edits<'a> {
    document: &'a mut Document,
    steps: Vec<Step>,
    /// The pointers of the steps, one behind the other.
    pointers: String,
    /// The values of the steps, one behind the other, and their tape.
    values: String,
    tape: Tape,
}

impl<'a> Edits<'a> {
    pub(crate) fn new(document: &'a mut Document) -> Self {
        Self {
            document,
            steps: Vec::new(),
            pointers: String::new(),
            values: String::new(),
            tape: Tape::default(),
        }
    }

    /// Gives a value that is there another one.
    pub fn set<'p>(&mut self, place: impl Into<Place<'p>>, value: &str) -> Result<(), ParseError> {
        self.write(OperationKind::Replace, place.into(), value)
    }

    /// Adds a member, or an element before the one that is there; `-` is the end of an array.
    pub fn insert<'p>(
        &mut self,
        place: impl Into<Place<'p>>,
        value: &str,
    ) -> Result<(), ParseError> {
        self.write(OperationKind::Add, place.into(), value)
    }

    /// Removes what is there.
    pub fn remove<'p>(&mut self, place: impl Into<Place<'p>>) {
        self.push(OperationKind::Remove, place.into(), NONE);
    }

    /// Makes the edits in the order in which they were given and gives their operations.
    ///
    /// If one of them cannot be made, none is; the error says which.
    pub fn commit(self) -> Result<Script, PatchError> {
        let Self { document, steps, pointers, values, tape } = self;
        document.wake().map_err(PatchError::Document)?;
        if let Some((index, step)) = steps.iter().enumerate().find(|(_, step)| step.gone) {
            let pointer = pointers[step.pointer.clone()].into();
            let error = OperationError::new(index, OperationErrorKind::Gone, pointer);
            return Err(PatchError::Operation(error));
        }
        let limits = document.limits();
        let Document { text, tape: present, spare, spare_text, scanner, handles, .. } = document;
        let view = tape.view(&values);
        let mut setter = Setter::new(present.view(text), view, &limits);
        if let Some(script) = setter.write(&steps, &pointers, scanner) {
            if scanner.splices.splice_text(text, spare_text, values.as_bytes()) {
                scanner.splices.place();
                scanner.splices.splice_tape(present, spare);
                debug_assert!(present.is_of(text), "the tape is not that of the text");
                handles.follow(|node| scanner.splices.place_of(node));
            }
            return Ok(script);
        }
        let writer = &mut scanner.differ.writer;
        let start = writer.mark();
        let spaced = present.is_spaced() || tape.is_spaced();
        let made = carry_out(
            present.view(text),
            view,
            (&steps, &pointers),
            &limits,
            writer,
            (spare_text, spare),
        );
        let runs = made.inspect_err(|_| writer.rewind(start))?;
        spare.admit(spaced, 0);
        core::mem::swap(text, spare_text);
        core::mem::swap(present, spare);
        debug_assert!(present.is_of(text), "the tape is not that of the text");
        handles.follow(|node| follow(&runs, node));
        Ok(scanner.differ.writer.take())
    }

    fn write(
        &mut self,
        kind: OperationKind,
        place: Place<'_>,
        value: &str,
    ) -> Result<(), ParseError> {
        let start = self.values.len();
        let limits = self.document.limits();
        let nodes = self.tape.len();
        if start + value.len() > limits.bytes_allowed() {
            return Err(ParseError::new(ParseErrorKind::Bytes, limits.bytes_allowed() - start));
        }
        self.values.push_str(value);
        match read(&self.values, start, &limits, &mut self.tape) {
            Ok(node) => {
                self.push(kind, place, node);
                Ok(())
            }
            Err(error) => {
                self.values.truncate(start);
                self.tape.truncate(nodes);
                Err(ParseError::new(error.kind(), error.offset() - start))
            }
        }
    }

    fn push(&mut self, kind: OperationKind, place: Place<'_>, value: u32) {
        let start = self.pointers.len();
        self.pointers.push_str(place.pointer.as_str());
        let from = place.handle.map(|handle| self.document.handles.node(handle));
        self.steps.push(Step {
            kind,
            from: from.flatten().unwrap_or(NONE),
            gone: from == Some(None),
            pointer: start..self.pointers.len(),
            value,
        });
    }
}

/// Reads the value at the end of a text onto a tape.
fn read(text: &str, start: usize, limits: &Limits, tape: &mut Tape) -> Result<u32, ParseError> {
    let mut builder = Builder::new(text.as_bytes(), limits, tape);
    builder.lexer.seek(start);
    builder.skip_whitespace();
    let node = builder.value(Hung { parent: NONE, index: 0, key_start: None })?;
    builder.skip_whitespace();
    if builder.lexer.peek().is_some() {
        return Err(builder.lexer.error(ParseErrorKind::Trailing));
    }
    Ok(node)
}

/// Where a node stands behind edits; nowhere if it is gone.
fn follow(runs: &[Run], node: u32) -> Option<u32> {
    let at = runs.partition_point(|run| run.old <= node).checked_sub(1)?;
    let run = runs[at];
    (node - run.old < run.len).then(|| run.new + node - run.old)
}
