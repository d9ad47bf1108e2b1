//! What is measured: from the bytes of a new text to the bytes of a patch, ready for the next text.

use pointstream_patch::{Change, Document, Limits, Options, diff_values};
use serde_json::Value;

use crate::generated::Pair;

/// A side of the comparison that holds the old document.
pub(crate) enum Engine {
    Pointstream {
        document: Box<Document>,
        patch: String,
    },
    JsonPatch {
        document: Value,
    },
    /// Both sides are values already; nothing but the comparison is measured, and the text of the patch.
    Values {
        pair: Box<[Value; 2]>,
        ours: bool,
    },
}

pub(crate) fn options(moves: bool) -> Options {
    let mut limits = Limits::default();
    limits.depth_max = 10_000;
    let mut options = Options::new(&limits);
    options.moves = moves;
    options
}

impl Engine {
    pub(crate) fn new(name: &str, old: &str) -> Option<Self> {
        match name {
            "json-patch" => Some(Self::JsonPatch { document: serde_json::from_str(old).ok()? }),
            "values" | "json-patch-values" => {
                let value: Value = serde_json::from_str(old).ok()?;
                let pair = Box::new([value.clone(), value]);
                Some(Self::Values { pair, ours: name == "values" })
            }
            _ => {
                let options = options(name == "moves");
                let document = Document::parse_with(old.as_bytes(), &options).ok()?;
                Some(Self::Pointstream { document: Box::new(document), patch: String::new() })
            }
        }
    }

    /// Makes ready what is not to be measured.
    pub(crate) fn prepare(&mut self, new: &str) -> Option<()> {
        if let Self::Values { pair, .. } = self {
            pair.swap(0, 1);
            pair[1] = serde_json::from_str(new).ok()?;
        }
        Some(())
    }

    /// Takes the next text and gives the patch.
    #[inline(never)]
    pub(crate) fn measured_update(&mut self, new: &str) -> Option<usize> {
        match self {
            Self::Pointstream { document, patch } => {
                patch.clear();
                match document.update(new.as_bytes()).ok()? {
                    Change::Nothing => patch.push_str("[]"),
                    Change::Script(script) => script.render_patch("", patch),
                    Change::Replacement => {
                        patch.push_str(r#"[{"op":"replace","path":"","value":"#);
                        patch.push_str(document.text());
                        patch.push_str("}]");
                    }
                }
                Some(patch.len())
            }
            Self::Values { pair, ours: true } => {
                let mut patch = String::new();
                match diff_values(&pair[0], &pair[1], &options(false)).ok()? {
                    Change::Script(script) => script.render_patch("", &mut patch),
                    Change::Nothing | Change::Replacement => {}
                }
                Some(patch.len())
            }
            Self::Values { pair, ours: false } => {
                let patch = json_patch::diff(&pair[0], &pair[1]);
                Some(serde_json::to_string(&patch).ok()?.len())
            }
            Self::JsonPatch { document } => {
                let new: Value = serde_json::from_str(new).ok()?;
                let patch = json_patch::diff(document, &new);
                let text = serde_json::to_string(&patch).ok()?;
                *document = new;
                Some(text.len())
            }
        }
    }

    pub(crate) fn patch(&mut self, new: &str) -> Option<String> {
        let len = self.measured_update(new)?;
        match self {
            Self::Pointstream { patch, .. } => Some(patch.clone()),
            Self::JsonPatch { .. } | Self::Values { .. } => Some(" ".repeat(len)),
        }
    }
}

/// Whether crate json-patch makes the new document of the old one with this patch.
pub(crate) fn verified(pair: &Pair, patch: &str) -> Option<bool> {
    let mut document: Value = serde_json::from_str(&pair.old).ok()?;
    let new: Value = serde_json::from_str(&pair.new).ok()?;
    let patch: json_patch::Patch = serde_json::from_str(patch).ok()?;
    json_patch::patch(&mut document, &patch).ok()?;
    Some(document == new)
}
