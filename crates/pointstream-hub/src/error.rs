use std::time::Duration;

use pointstream_patch::{OperationError, ParseError, PatchError};

use crate::{Revision, TopicIdError, TopicKind};

/// Why the hub refused a call. Nothing has changed then.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is a topic of this name.
    #[error("there is a topic of this name")]
    TopicExists,
    /// The text cannot name a topic.
    #[error(transparent)]
    TopicId(#[from] TopicIdError),
    /// There are as many topics as the limits allow.
    #[error("the limit of {max} topics is reached")]
    TopicsMax {
        /// The limit.
        max: usize,
    },
    /// There is no topic of this name.
    #[error("there is no topic of this name")]
    UnknownTopic,
    /// The topic has as many subscribers as the limits allow.
    #[error("the limit of {max} subscribers of one topic is reached")]
    SubscribersMax {
        /// The limit.
        max: usize,
    },
    /// The document would be longer than the limits allow.
    #[error("a document of {len} bytes is above the limit of {max}")]
    DocumentTooLarge {
        /// What it would have.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// The text is not JSON, or nests too deep.
    #[error("the text is not a JSON document: {0}")]
    NotJson(#[from] ParseError),
    /// A topic of rows was given a text, or the other way round.
    #[error("this is not how a topic of {} is published to", kind_name(.0))]
    WrongKind(TopicKind),
    /// What is published to a topic of items is not an array of objects.
    #[error("a topic of items takes an array of objects")]
    NotItems,
    /// The topic would have more items than the limits allow.
    #[error("the limit of {max} items of one topic is reached")]
    ItemsMax {
        /// The limit.
        max: usize,
    },
    /// One of several lines was refused, and with it all of them.
    #[error("line {line}: {error}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        error: Box<Self>,
    },
    /// What is not an object with a `topic` and `data`.
    #[error("a batch has objects with a topic and data")]
    NotBatch,
    /// A patch is none, or would make the document too large.
    #[error("the patch cannot be taken: {0}")]
    Patch(PatchError),
    /// An operation of a patch cannot be carried out on the document.
    #[error("the patch cannot be applied: {0}")]
    Operation(OperationError),
    /// There is no document that a patch could be applied to.
    #[error("nothing has been published that a patch could be applied to")]
    NoDocument,
    /// The document is not in the state that the publication is for.
    #[error("the document is not in the state that the publication is for")]
    Precondition {
        /// Its state; none before the first publication.
        current: Option<Revision>,
    },
    /// The topic takes nothing while nobody follows it.
    #[error("nobody follows the topic, and it takes nothing meanwhile")]
    NoSubscribers,
    /// There were as many publications in the last minute as the topic takes.
    #[error("there were as many publications in the last minute as the topic takes")]
    RateLimit {
        /// When the next one is taken.
        retry_after: Duration,
    },
    /// A key of a publication that has no or too many bytes.
    #[error("an idempotency key has 1 to {max} bytes")]
    IdempotencyKey {
        /// The most bytes.
        max: usize,
    },
    /// The key came before, with another publication.
    #[error("this idempotency key came with another publication before")]
    IdempotencyKeyReused,
    /// The topic has as many views as the limits allow, and all of them are followed.
    #[error("the limit of {max} views of one topic is reached")]
    ViewsMax {
        /// The limit.
        max: usize,
    },
    /// A group would have more topics than it may.
    #[error("a group has at most {max} topics")]
    GroupMax {
        /// The most topics.
        max: usize,
    },
    /// The topic is not sent in this mode.
    #[error("the topic is not sent in this mode")]
    ModeRefused,
    /// A filter on a topic that has no items.
    #[error("only a topic of items can be filtered")]
    NoItems,
}

impl From<PatchError> for Error {
    fn from(error: PatchError) -> Self {
        match error {
            PatchError::Operation(error) => Self::Operation(error),
            error => Self::Patch(error),
        }
    }
}

const fn kind_name(kind: &TopicKind) -> &'static str {
    match kind {
        TopicKind::Text => "texts",
        TopicKind::Rows => "rows",
        TopicKind::Items => "items",
    }
}

/// Why a subscription ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Ended {
    /// The topic was removed.
    #[error("the topic was removed")]
    Removed,
}
