use pointstream_patch::ParseError;

use crate::{TopicIdError, TopicKind};

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
}

const fn kind_name(kind: &TopicKind) -> &'static str {
    match kind {
        TopicKind::Text => "texts",
        TopicKind::Rows => "rows",
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
