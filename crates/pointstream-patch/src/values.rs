//! `serde_json::Value` and `json_patch::Patch` in and out.

mod write;

use alloc::string::String;

use serde_json::Value;

use crate::document::{Change, compare};
use crate::error::ValueError;
use crate::{Limits, Options, PatchError, apply, merge_apply};

/// What leads from one value to another.
///
/// Equal values are found equal without anything else. Others are written as text, numbers as serde_json
/// writes them, and together with their tapes, so that nothing is read: a patch holds text, and what it
/// costs to replace a value is the length of its text.
pub fn diff_values(old: &Value, new: &Value, options: &Options) -> Result<Change, ValueError> {
    if write::same(old, new) {
        return Ok(Change::Nothing);
    }
    let (old, old_tape) = write::write(old, (0, 0), &options.limits)?;
    // Mostly the next value is about as long.
    let expected = (old.len() + old.len() / 16, old_tape.len() + old_tape.len() / 16);
    let (new, new_tape) = write::write(new, expected, &options.limits)?;
    Ok(compare(old_tape.view(&old), new_tape.view(&new), options))
}

/// Applies a JSON Patch (RFC 6902) to a value, all operations or none.
pub fn apply_value(document: &mut Value, patch: &[u8], limits: &Limits) -> Result<(), ValueError> {
    let text = apply(text_of(document, limits)?.as_bytes(), patch, limits)?;
    *document = read(&text)?;
    Ok(())
}

/// Applies a merge patch (RFC 7396) to a value.
pub fn merge_value(document: &mut Value, patch: &[u8], limits: &Limits) -> Result<(), ValueError> {
    let text = merge_apply(text_of(document, limits)?.as_bytes(), patch, limits)?;
    *document = read(&text)?;
    Ok(())
}

fn text_of(value: &Value, limits: &Limits) -> Result<String, PatchError> {
    write::write(value, (0, 0), limits).map(|(text, _)| text).map_err(PatchError::Document)
}

fn read(text: &str) -> Result<Value, ValueError> {
    serde_json::from_str(text).map_err(ValueError::Value)
}

#[cfg(feature = "json-patch")]
impl crate::Script {
    /// The operations as those of crate json-patch.
    pub fn to_json_patch(&self) -> Result<json_patch::Patch, ValueError> {
        let mut text = String::with_capacity(self.len_bytes());
        self.render_patch("", &mut text);
        serde_json::from_str(&text).map_err(ValueError::Value)
    }
}

/// Applies a patch of crate json-patch to a document and gives the new text.
#[cfg(feature = "json-patch")]
pub fn apply_json_patch(
    document: &[u8],
    patch: &json_patch::Patch,
    limits: &Limits,
) -> Result<String, ValueError> {
    let patch = serde_json::to_string(patch).map_err(ValueError::Value)?;
    Ok(apply(document, patch.as_bytes(), limits)?)
}

/// The patch of crate json-patch that leads from one value to another: empty if they are equal.
#[cfg(feature = "json-patch")]
pub fn diff_json_patch(
    old: &Value,
    new: &Value,
    options: &Options,
) -> Result<json_patch::Patch, ValueError> {
    match diff_values(old, new, options)? {
        Change::Nothing => Ok(json_patch::Patch::default()),
        Change::Script(script) => script.to_json_patch(),
        Change::Replacement => {
            let text = text_of(new, &options.limits)?;
            let patch = alloc::format!(r#"[{{"op":"replace","path":"","value":{text}}}]"#);
            serde_json::from_str(&patch).map_err(ValueError::Value)
        }
    }
}
