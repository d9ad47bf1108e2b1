use std::borrow::Cow;

use pointstream_patch::{Change, Document, Limits, Options, Rows, Script, apply, merge_apply};
use pointstream_time::Instant;

use crate::items::{ItemChange, ItemLimits, Items, array_bytes};
use crate::{Error, Payload, TopicKind, TopicOptions, ViewSpec};

/// What a topic's document is made of.
#[derive(Debug)]
pub(super) enum Content {
    Text(Option<Box<Document>>),
    Rows { rows: Box<Rows>, edited: bool },
    Items { items: Box<Items>, published: bool },
}

/// What a publication or an edit did to a topic's document.
#[derive(Debug)]
pub(super) enum Delta {
    Nothing,
    Replaced,
    Script(Script),
    Items {
        changes: Vec<ItemChange>,
        /// Whether there was no document before, not even an empty one.
        first: bool,
    },
}

impl Content {
    pub(super) fn new(options: &TopicOptions, patch: &Options, items_max: usize) -> Self {
        match (options.kind, &options.items) {
            (TopicKind::Rows, _) => {
                let rows = Box::new(Rows::with_limits(&patch.limits));
                Self::Rows { rows, edited: false }
            }
            (TopicKind::Items, Some(items)) => {
                // One level less, for the array around them.
                let mut patch = patch.clone();
                patch.limits.depth_max = patch.limits.depth_max.saturating_sub(1);
                let items = Items::new(items.clone(), ItemLimits { items_max, patch });
                Self::Items { items: Box::new(items), published: false }
            }
            _ => Self::Text(None),
        }
    }

    /// Takes a publication; gives what it did and how many items were left out.
    pub(super) fn publish(
        &mut self,
        payload: Payload<'_>,
        patch: &Options,
        now: Instant,
    ) -> Result<(Delta, usize), Error> {
        match (self, payload) {
            (Self::Rows { .. }, _) => Err(Error::WrongKind(TopicKind::Rows)),
            (Self::Items { items, published }, Payload::Json(bytes)) => {
                let document = parse(bytes, patch)?;
                Self::publish_items(items, published, document.text(), now)
            }
            (Self::Items { items, published }, Payload::Lines(bytes)) => {
                let array = lines_as_array(bytes, &patch.limits)?;
                Self::publish_items(items, published, &array, now)
            }
            (Self::Items { .. }, _) => Err(Error::WrongKind(TopicKind::Items)),
            (Self::Text(document), Payload::Json(bytes)) => {
                check_len(bytes.len(), &patch.limits)?;
                Ok((update(document, bytes, patch)?, 0))
            }
            (Self::Text(document), Payload::JsonPatch(bytes)) => {
                let before = document.as_deref().ok_or(Error::NoDocument)?.text();
                let text = apply(before.as_bytes(), bytes, &patch.limits)?;
                Ok((update(document, text.as_bytes(), patch)?, 0))
            }
            (Self::Text(document), Payload::MergePatch(bytes)) => {
                let before = document.as_deref().ok_or(Error::NoDocument)?.text();
                let text = merge_apply(before.as_bytes(), bytes, &patch.limits)?;
                Ok((update(document, text.as_bytes(), patch)?, 0))
            }
            (Self::Text(_), Payload::Lines(_)) => Err(Error::WrongKind(TopicKind::Text)),
        }
    }

    fn publish_items(
        items: &mut Items,
        published: &mut bool,
        array: &str,
        now: Instant,
    ) -> Result<(Delta, usize), Error> {
        let done = items.publish(array, now)?;
        let first = !std::mem::replace(published, true);
        let delta = match done.changes {
            changes if changes.is_empty() && !first => Delta::Nothing,
            changes => Delta::Items { changes, first },
        };
        Ok((delta, done.discarded))
    }

    /// As before the first publication.
    pub(super) fn clear(&mut self) {
        match self {
            Self::Text(document) => *document = None,
            // Whoever edits rows holds on to them; they do not expire.
            Self::Rows { .. } => {}
            Self::Items { items, published } => {
                items.clear();
                *published = false;
            }
        }
    }

    /// Whether there is a document.
    pub(super) const fn is_there(&self) -> bool {
        match self {
            Self::Text(document) => document.is_some(),
            Self::Rows { edited, .. } => *edited,
            Self::Items { published, .. } => *published,
        }
    }

    pub(super) const fn kind(&self) -> TopicKind {
        match self {
            Self::Text(_) => TopicKind::Text,
            Self::Rows { .. } => TopicKind::Rows,
            Self::Items { .. } => TopicKind::Items,
        }
    }

    pub(super) const fn items(&self) -> Option<&Items> {
        match self {
            Self::Items { items, .. } => Some(items),
            _ => None,
        }
    }

    pub(super) const fn items_mut(&mut self) -> Option<&mut Items> {
        match self {
            Self::Items { items, .. } => Some(items),
            _ => None,
        }
    }

    /// The length of the document's text, as published.
    pub(super) fn document_bytes(&self) -> usize {
        match self {
            Self::Text(document) => document.as_ref().map_or(0, |document| document.text().len()),
            Self::Rows { rows, .. } => rows.len_bytes(),
            Self::Items { published: false, .. } => 0,
            Self::Items { items, .. } => array_bytes(items.bytes(), items.len()),
        }
    }

    /// Appends the text of the document.
    pub(super) fn write(&self, out: &mut String) {
        match self {
            Self::Text(document) => {
                out.push_str(document.as_ref().map_or("", |document| document.text()));
            }
            Self::Rows { rows, .. } => rows.write_text(out),
            Self::Items { items, .. } => items.write(&items.births(|_| true), out),
        }
    }

    /// The text of what a view selects, before it is shaped.
    pub(super) fn selected(&self, spec: &ViewSpec) -> Cow<'_, str> {
        match self {
            Self::Text(document) => {
                Cow::Borrowed(document.as_ref().map_or("", |document| document.text()))
            }
            Self::Rows { rows, .. } => {
                let mut text = String::new();
                rows.write_text(&mut text);
                Cow::Owned(text)
            }
            Self::Items { items, .. } => {
                let mut text = String::new();
                items.write(&items.births(|id| spec.wants(id)), &mut text);
                Cow::Owned(text)
            }
        }
    }
}

fn update(
    document: &mut Option<Box<Document>>,
    text: &[u8],
    patch: &Options,
) -> Result<Delta, Error> {
    let Some(document) = document else {
        *document = Some(Box::new(Document::parse_with(text, patch)?));
        return Ok(Delta::Replaced);
    };
    Ok(match document.update(text)? {
        Change::Nothing => Delta::Nothing,
        Change::Script(script) if script.is_empty() => Delta::Nothing,
        Change::Script(script) => Delta::Script(script),
        Change::Replacement => Delta::Replaced,
    })
}

fn parse(text: &[u8], patch: &Options) -> Result<Document, Error> {
    check_len(text.len(), &patch.limits)?;
    Ok(Document::parse_with(text, patch)?)
}

pub(super) fn check_len(len: usize, limits: &Limits) -> Result<(), Error> {
    let max = limits.bytes_max;
    if len > max { Err(Error::DocumentTooLarge { len, max }) } else { Ok(()) }
}

/// The texts on the lines as an array. Each line is checked for itself, since lines that are wrong
/// may be right together.
fn lines_as_array(lines: &[u8], limits: &Limits) -> Result<String, Error> {
    check_len(lines.len(), limits)?;
    let mut array = String::with_capacity(lines.len() + 2);
    array.push('[');
    for (line, text) in super::lines(lines) {
        let document = Document::parse(text, limits)
            .map_err(|error| Error::Line { line, error: Box::new(error.into()) })?;
        if array.len() > 1 {
            array.push(',');
        }
        array.push_str(document.text());
    }
    array.push(']');
    Ok(array)
}
