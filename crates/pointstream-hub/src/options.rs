use std::time::Duration;

use pointstream_patch::{Limits as PatchLimits, Options, PointerError};

use crate::ItemIdPath;
use crate::json::Style;

/// How a topic's document comes about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TopicKind {
    /// Each publication is the text of the whole document; the topic finds the difference.
    Text,
    /// The document is an object whose members are edited one by one; nothing is compared.
    Rows,
    /// The document is an array of items, each of which is published for itself.
    Items,
}

/// What a topic is created with.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TopicOptions {
    /// How the document comes about.
    pub kind: TopicKind,
    /// Whether characters beyond ASCII go out as `\uXXXX`, which is lossless and spares clients that
    /// decode UTF-8 segment by segment. On by default.
    pub ascii_json: bool,
    /// What its events are called; see [`EventNames`].
    pub event_names: EventNames,
    /// How the items of a topic of items are told apart and updated; of no meaning elsewhere.
    pub items: Option<ItemOptions>,
    /// Whether those who reach the process from outside may publish to the topic, rather than the
    /// application alone. Off by default.
    pub open: bool,
    /// How long the document lasts after the last publication; for ever by default. When it ends,
    /// the topic is as it was before its first publication, under another epoch.
    pub ttl: Option<Duration>,
    /// Whether a publication is taken while there is no subscriber. On by default.
    pub force_publishing: bool,
    /// How many publications it takes in a minute; any number by default. For a hub with a clock.
    pub per_minute_max: Option<u32>,
    /// The only mode in which the topic is sent; both by default.
    pub only_mode: Option<Mode>,
    /// How many bytes longer than a replacement a patch of a small document may be. So its patch
    /// says what changed, and still goes out in one segment. 256 by default, see
    /// [`SMALL_DOCUMENT_BYTES`](Self::SMALL_DOCUMENT_BYTES).
    pub slack_bytes: usize,
    /// See [`with_array_id`](Self::with_array_id).
    pub(crate) array_ids: Vec<(String, String)>,
}

impl TopicOptions {
    /// The greatest document that `slack_bytes` is for.
    pub const SMALL_DOCUMENT_BYTES: usize = 1_024;

    /// A topic whose publications are whole documents.
    pub const fn text() -> Self {
        Self::of(TopicKind::Text)
    }

    /// A topic that is an object, edited by rows.
    pub const fn rows() -> Self {
        Self::of(TopicKind::Rows)
    }

    /// A topic that is an array of items.
    pub fn items(items: ItemOptions) -> Self {
        Self { items: Some(items), ..Self::of(TopicKind::Items) }
    }

    const fn of(kind: TopicKind) -> Self {
        Self {
            kind,
            ascii_json: true,
            event_names: EventNames::Streamdata,
            items: None,
            open: false,
            ttl: None,
            force_publishing: true,
            per_minute_max: None,
            only_mode: None,
            slack_bytes: 256,
            array_ids: Vec::new(),
        }
    }

    /// Says by which value the elements of some arrays of the document are told apart: `elements` is the
    /// pointer of the elements, with `*` for any token (`/quotes/*`), `id` the pointer to the value within
    /// one (`/symbol`). An element that changed is then patched where it stands, also where others come
    /// and go before it. Without it the first scalar member is taken that no two elements share.
    ///
    /// # Errors
    ///
    /// One of the pointers is none.
    pub fn with_array_id(mut self, elements: &str, id: &str) -> Result<Self, PointerError> {
        Options::default().key(elements, id)?;
        self.array_ids.push((elements.to_owned(), id.to_owned()));
        Ok(self)
    }

    /// How documents are compared.
    pub(crate) fn patch(&self, limits: &PatchLimits) -> Options {
        let mut patch = Options::new(limits);
        patch.slack = self.slack_bytes;
        patch.slack_document_bytes_max = Self::SMALL_DOCUMENT_BYTES;
        for (elements, id) in &self.array_ids {
            // They were looked at when they were said.
            let _ = patch.key(elements, id);
        }
        patch
    }

    pub(crate) const fn style(&self) -> Style {
        Style { ascii: self.ascii_json, axway: matches!(self.event_names, EventNames::Axway) }
    }

    pub(crate) const fn slack(&self, document_bytes: usize) -> usize {
        if document_bytes <= Self::SMALL_DOCUMENT_BYTES { self.slack_bytes } else { 0 }
    }
}

/// What the Server-Sent Events of a topic are called.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum EventNames {
    /// A whole document is `data`, which all clients of Streamdata.io listen for.
    #[default]
    Streamdata,
    /// A whole document is `snapshot`, as in Axway Streams.
    Axway,
}

/// How the items of a topic are told apart and updated.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ItemOptions {
    /// Where an item has its id.
    pub id_path: ItemIdPath,
    /// What a publication does to an item that is there.
    pub update: UpdateMode,
    /// How long an item lasts after it was last published; for ever by default.
    pub ttl: Option<Duration>,
}

impl ItemOptions {
    /// Items with their id at `id_path`, which publications replace.
    pub const fn new(id_path: ItemIdPath) -> Self {
        Self { id_path, update: UpdateMode::Patch, ttl: None }
    }
}

/// What a publication does to an item that is there.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum UpdateMode {
    /// The item becomes what was published; members that are missing disappear.
    #[default]
    Patch,
    /// What was published is merged into it, object by object; absence keeps, null is stored.
    Merge,
    /// As `Merge`, but null removes (RFC 7396).
    MergeNullRemoves,
}

/// What a subscriber is sent.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Mode {
    /// The whole document first, then patches.
    #[default]
    Patch,
    /// The whole document at each change.
    Snapshot,
}
