use crate::{Dialect, MessageType};

/// Why bytes are not what they should be, and where.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{kind} at byte {at}")]
#[non_exhaustive]
pub struct DecodeError {
    /// The offset of what is wrong, from the start of what was decoded: a value, a body or a frame.
    pub at: usize,
    /// What is wrong.
    pub kind: Malformed,
}

impl DecodeError {
    pub(crate) const fn new(at: usize, kind: Malformed) -> Self {
        Self { at, kind }
    }

    /// The same error inside something that has `before` more bytes in front.
    #[must_use]
    pub const fn behind(self, before: usize) -> Self {
        Self { at: self.at + before, kind: self.kind }
    }
}

/// What is wrong with bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// A body is longer than allowed. Found from its size, before anything is kept for it.
    #[error("a body of {len} bytes, where {max} are allowed")]
    BodyLen {
        /// Its size.
        len: u64,
        /// The limit.
        max: usize,
    },
    /// A length or a count is larger than the bytes that are left can hold.
    #[error("a length or count beyond the bytes that are left")]
    Count,
    /// Containers nest deeper than allowed.
    #[error("containers nest too deep")]
    Depth,
    /// A discrete that is neither false, true nor null.
    #[error("discrete {0} is neither false, true nor null")]
    Discrete(u64),
    /// A floating that is neither of 4 nor of 8 bytes.
    #[error("floating {0} is neither of 4 nor of 8 bytes")]
    Floating(u64),
    /// A map's key is not text.
    #[error("a key that is not text")]
    Key,
    /// A negative number below -2^63.
    #[error("a negative number below -2^63")]
    Magnitude,
    /// Bytes follow where there should be none.
    #[error("bytes behind the end")]
    Rest,
    /// The bytes end in the middle.
    #[error("the bytes end too early")]
    Short,
    /// A signal of the old dialect that does not exist.
    #[error("signal {0} is not known")]
    Signal(u64),
    /// A stream id that is not a number up to 65535.
    #[error("a stream id that is not a number up to 65535")]
    StreamId,
    /// Text that is not UTF-8, where that is refused.
    #[error("text that is not UTF-8")]
    Text,
    /// A message type that does not exist.
    #[error("message type {0} is not known")]
    Type(u64),
    /// The key of a PSON v1 value that does not exist.
    #[error("value key {0} is not known")]
    ValueKey(u64),
    /// A varint of too many bytes.
    #[error("a varint of too many bytes")]
    Varint,
    /// A wire type that does not belong to the dialect, so that its value has no known end.
    #[error("wire type {0} is not known in this dialect")]
    Wire(u8),
}

/// Why something cannot be written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The body would be longer than a frame can say.
    #[error("the body is too long")]
    BodyLen,
    /// Containers nest deeper than [`DEPTH_MAX`](crate::DEPTH_MAX).
    #[error("containers nest too deep")]
    Depth,
    /// The dialect has no such message.
    #[error("{dialect} has no {kind}")]
    NotInDialect {
        /// The dialect.
        dialect: Dialect,
        /// The message.
        kind: MessageType,
    },
    /// An [`Encode`](crate::Encode) wrote no value or more than one.
    #[error("not exactly one value was written")]
    NotOne,
}
