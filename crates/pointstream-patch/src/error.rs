use alloc::string::String;

use thiserror::Error;

/// A text that is not a JSON document within the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{kind} at byte {offset}")]
pub struct ParseError {
    kind: ParseErrorKind,
    offset: usize,
}

impl ParseError {
    pub(crate) const fn new(kind: ParseErrorKind, offset: usize) -> Self {
        Self { kind, offset }
    }

    /// What is wrong.
    pub const fn kind(&self) -> ParseErrorKind {
        self.kind
    }

    /// The offset of the first byte that cannot stand where it stands.
    pub const fn offset(&self) -> usize {
        self.offset
    }
}

/// What is wrong with a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// The text is longer than [`Limits::bytes_max`](crate::Limits::bytes_max).
    #[error("more bytes than allowed")]
    Bytes,
    /// A control character stands in a string without an escape.
    #[error("control character in a string")]
    Control,
    /// Arrays and objects nest deeper than [`Limits::depth_max`](crate::Limits::depth_max).
    #[error("deeper than allowed")]
    Depth,
    /// An object has two members of one key.
    #[error("duplicate key")]
    DuplicateKey,
    /// The text ends before the document does.
    #[error("unexpected end")]
    End,
    /// A backslash is followed by no escape that JSON knows.
    #[error("bad escape in a string")]
    Escape,
    /// The text holds more values than [`Limits::nodes_max`](crate::Limits::nodes_max).
    #[error("more values than allowed")]
    Nodes,
    /// A number is not spelled as JSON spells numbers.
    #[error("bad number")]
    Number,
    /// Half of a surrogate pair stands alone.
    #[error("lone surrogate")]
    Surrogate,
    /// Something follows the document.
    #[error("trailing bytes")]
    Trailing,
    /// A byte that cannot begin what is expected here.
    #[error("unexpected byte")]
    Unexpected,
    /// The text is not UTF-8.
    #[error("bad UTF-8")]
    Utf8,
}

/// A `serde_json::Value` that could not be compared or patched; it is as it was.
#[cfg(feature = "serde_json")]
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ValueError {
    /// The text of a value is not within the limits.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The patch was not applied.
    #[error(transparent)]
    Patch(#[from] PatchError),
    /// What came out is no value for serde_json: it nests deeper than that reads.
    #[error("result: {0}")]
    Value(#[source] serde_json::Error),
}

/// A patch that was not applied; the document is as it was.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PatchError {
    /// The document is not a JSON document within the limits.
    #[error("document: {0}")]
    Document(#[source] ParseError),
    /// What undoes the patch, or what two patches make together, would exceed
    /// [`Limits::bytes_max`](crate::Limits::bytes_max).
    #[error("the patch that results is longer than allowed")]
    Length,
    /// The patch is not a JSON text within the limits.
    #[error("patch: {0}")]
    Patch(#[source] ParseError),
    /// The patch is JSON, but no array.
    #[error("the patch is not an array")]
    NotAnArray,
    /// The patch has more operations than [`Limits::ops_max`](crate::Limits::ops_max).
    #[error("more operations than allowed")]
    Operations,
    /// An operation is malformed or cannot be carried out.
    #[error(transparent)]
    Operation(OperationError),
    /// The patched document would exceed the limits.
    #[error("result: {0}")]
    Result(#[source] ParseError),
}

/// Which operation of a patch failed, why, and at which pointer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("operation {index} at \"{pointer}\": {kind}")]
pub struct OperationError {
    index: usize,
    kind: OperationErrorKind,
    pointer: String,
}

impl OperationError {
    pub(crate) const fn new(index: usize, kind: OperationErrorKind, pointer: String) -> Self {
        Self { index, kind, pointer }
    }

    /// The position of the operation in the patch.
    pub const fn index(&self) -> usize {
        self.index
    }

    /// Why it failed.
    pub const fn kind(&self) -> OperationErrorKind {
        self.kind
    }

    /// The pointer that was followed (`from` where that failed); empty if there is none.
    pub fn pointer(&self) -> &str {
        &self.pointer
    }
}

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OperationErrorKind {
    /// The copied values exceed [`Limits::bytes_max`](crate::Limits::bytes_max) together.
    #[error("more bytes copied than allowed")]
    Copies,
    /// The operation itself is malformed.
    #[error("malformed operation: {0}")]
    Malformed(&'static str),
    /// A pointer is malformed.
    #[error("malformed pointer: {0}")]
    Pointer(crate::PointerErrorKind),
    /// A handle has ended: its value was removed, or is in something that was set.
    #[error("the value of the handle is gone")]
    Gone,
    /// A token is no index of an array.
    #[error("not an array index")]
    Index,
    /// An index lies beyond the end of its array.
    #[error("index out of bounds")]
    Bounds,
    /// An object has no such member.
    #[error("no such member")]
    Missing,
    /// The pointer goes on below a value that is neither array nor object.
    #[error("neither an array nor an object")]
    Scalar,
    /// A value cannot be moved into itself.
    #[error("moved into its own child")]
    OwnChild,
    /// The tested value is another one.
    #[error("test failed")]
    Test,
}
