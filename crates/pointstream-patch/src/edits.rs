use alloc::string::String;

use crate::document::Document;
use crate::script::{OperationKind, Script, ScriptWriter};
use crate::tape::Tape;
use crate::{Limits, ParseError, PatchError, Pointer, apply};

/// Edits of a document that are made together.
///
/// Each is written as the operation that it is; nothing is compared. [`commit`](Self::commit) joins all
/// of them into the text at once, at a cost of the document and of the edits, or changes nothing.
///
/// ```
/// use pointstream_patch::{Document, Limits, Pointer};
///
/// let text = br#"{"quotes":[{"last":1.5},{"last":2.5}],"open":true}"#;
/// let mut document = Document::parse(text, &Limits::default())?;
/// let mut edits = document.edit();
/// edits.set(Pointer::parse("/quotes/1/last").unwrap(), "2.75")?;
/// edits.insert(Pointer::parse("/quotes/-").unwrap(), r#"{"last":9.0}"#)?;
/// edits.remove(Pointer::parse("/open").unwrap());
/// let script = edits.commit().unwrap();
/// assert_eq!(script.len(), 3);
/// assert_eq!(document.text(), r#"{"quotes":[{"last":1.5},{"last":2.75},{"last":9.0}]}"#);
/// # Ok::<(), pointstream_patch::ParseError>(())
/// ```
#[derive(Debug)]
pub struct Edits<'a> {
    document: &'a mut Document,
    writer: ScriptWriter,
    tape: Tape,
}

impl<'a> Edits<'a> {
    pub(crate) fn new(document: &'a mut Document) -> Self {
        Self { document, writer: ScriptWriter::default(), tape: Tape::default() }
    }

    /// Gives a value that is there another one.
    pub fn set(&mut self, pointer: Pointer<'_>, value: &str) -> Result<(), ParseError> {
        self.write(OperationKind::Replace, pointer, value)
    }

    /// Adds a member, or an element before the one that is there; `-` is the end of an array.
    pub fn insert(&mut self, pointer: Pointer<'_>, value: &str) -> Result<(), ParseError> {
        self.write(OperationKind::Add, pointer, value)
    }

    /// Removes what is there.
    pub fn remove(&mut self, pointer: Pointer<'_>) {
        self.writer.set_path(pointer.as_str());
        self.writer.write_remove();
    }

    /// Makes the edits in the order in which they were given and gives their operations.
    ///
    /// If one of them cannot be made, none is; the error says which.
    pub fn commit(mut self) -> Result<Script, PatchError> {
        let script = self.writer.take();
        let mut patch = String::with_capacity(script.len_bytes());
        script.render_patch("", &mut patch);
        // How much may be edited at once is for the one who edits to say.
        let limits = Limits { ops_max: u32::MAX, ..self.document.limits() };
        let text = apply(self.document.text().as_bytes(), patch.as_bytes(), &limits)?;
        self.document.replace(text).map_err(PatchError::Result)?;
        Ok(script)
    }

    fn write(
        &mut self,
        kind: OperationKind,
        pointer: Pointer<'_>,
        value: &str,
    ) -> Result<(), ParseError> {
        let limits = self.document.limits();
        self.tape.read(value.as_bytes(), &limits)?;
        self.writer.set_path(pointer.as_str());
        self.writer.write_text(kind, value, self.tape.is_spaced());
        Ok(())
    }
}
