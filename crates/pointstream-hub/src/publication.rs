use crate::Revision;

/// What is published to a topic, and under which conditions.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Publication<'a> {
    /// What is published.
    pub payload: Payload<'a>,
    /// The state that the topic must have; any if there is none.
    pub if_match: Option<Revision>,
    /// A key by which a publication that is sent again is known and not taken again: 1 to 255 bytes.
    pub idempotency_key: Option<&'a str>,
}

/// What is published to a topic.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Payload<'a> {
    /// A whole document for a topic of texts, an array of items for one of items.
    Json(&'a [u8]),
    /// JSON texts on lines of their own: documents one after the other for a topic of texts, items
    /// for one of items. All of them or none.
    Lines(&'a [u8]),
    /// A JSON Patch (RFC 6902) of the document of a topic of texts.
    JsonPatch(&'a [u8]),
    /// A merge patch (RFC 7396) of the document of a topic of texts.
    MergePatch(&'a [u8]),
}

impl<'a> Publication<'a> {
    /// Without conditions.
    pub const fn new(payload: Payload<'a>) -> Self {
        Self { payload, if_match: None, idempotency_key: None }
    }
}

impl Payload<'_> {
    /// A number of the kind, and the bytes.
    pub(crate) const fn parts(&self) -> (u8, &[u8]) {
        match *self {
            Self::Json(bytes) => (0, bytes),
            Self::Lines(bytes) => (1, bytes),
            Self::JsonPatch(bytes) => (2, bytes),
            Self::MergePatch(bytes) => (3, bytes),
        }
    }
}
