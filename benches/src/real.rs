//! Documents that others published, fetched by the ordinary client of their registry.

use std::path::{Path, PathBuf};
use std::process::Command;

use pointstream_patch::{Limits, apply};

use crate::generated::Pair;

/// A folder of unpacked packages.
pub(crate) struct Packages {
    folder: PathBuf,
}

impl Packages {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.into() }
    }

    /// A file of a package without the white space between its tokens; nothing if it cannot be had.
    pub(crate) fn read(&self, package: &str, version: &str, file: &str) -> Option<String> {
        let name = package.trim_start_matches('@').replace('/', "-");
        let unpacked = self.folder.join(format!("{name}-{version}"));
        if !unpacked.join("package.json").exists() {
            self.fetch(package, version, &unpacked)?;
        }
        let text = std::fs::read_to_string(unpacked.join(file)).ok()?;
        Some(compact(&text))
    }

    fn fetch(&self, package: &str, version: &str, unpacked: &Path) -> Option<()> {
        std::fs::create_dir_all(unpacked).ok()?;
        let packed = Command::new("npm")
            .args(["pack", "--silent", &format!("{package}@{version}")])
            .current_dir(&self.folder)
            .output()
            .ok()?;
        let archive = String::from_utf8(packed.stdout).ok()?;
        let unpack = Command::new("tar")
            .args(["xzf", archive.trim(), "--strip-components=1", "-C"])
            .arg(unpacked)
            .current_dir(&self.folder)
            .status();
        unpack.ok()?.success().then_some(())
    }
}

/// One value of a document replaced.
pub(crate) fn leaf(text: String, pointer: &str, value: &str) -> Option<Pair> {
    leaves(text, &[(pointer.to_owned(), value.to_owned())])
}

pub(crate) fn leaves(text: String, values: &[(String, String)]) -> Option<Pair> {
    let ops: Vec<_> = values
        .iter()
        .map(|(path, value)| format!(r#"{{"op":"replace","path":"{path}","value":{value}}}"#))
        .collect();
    patched(text, &format!("[{}]", ops.join(",")))
}

pub(crate) fn patched(old: String, patch: &str) -> Option<Pair> {
    let new = apply(old.as_bytes(), patch.as_bytes(), &Limits::default()).ok()?;
    Some(Pair { old, new })
}

/// Five statuses come in on top; those that fall off the end are either others or the same ones.
pub(crate) fn timeline(text: String, rotate: bool) -> Option<Pair> {
    let value: serde_json::Value = serde_json::from_str(&text).ok()?;
    let count = value.get("statuses")?.as_array()?.len();
    let edit = |text: &str, op: &dyn Fn(usize) -> String| {
        let ops: Vec<_> = (0..5).map(op).collect();
        apply(text.as_bytes(), format!("[{}]", ops.join(",")).as_bytes(), &Limits::default()).ok()
    };
    let remove = |at: usize| format!(r#"{{"op":"remove","path":"/statuses/{at}"}}"#);
    let last = count - 1;
    let new = edit(&text, &|_| {
        format!(r#"{{"op":"move","from":"/statuses/{last}","path":"/statuses/0"}}"#)
    })?;
    if rotate {
        return Some(Pair { old: text, new });
    }
    Some(Pair {
        old: edit(&text, &|at| remove(last - at))?,
        new: edit(&new, &|at| remove(last - at))?,
    })
}

/// Leaves out white space between tokens, and spells characters as themselves where they may stand so.
fn compact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut quoted, mut rest) = (false, text);
    while let Some(char) = rest.chars().next() {
        let mut len = char.len_utf8();
        if quoted && char == '\\' {
            match unescaped(rest) {
                Some(char) => {
                    out.push(char);
                    len = 6;
                }
                None => {
                    len = 2;
                    out.push_str(&rest[..len]);
                }
            }
        } else if quoted || !char.is_ascii_whitespace() {
            out.push(char);
            quoted ^= char == '"';
        }
        rest = &rest[len..];
    }
    out
}

/// The character of an escape of four digits, if it is one beyond ASCII and no half of a pair.
fn unescaped(text: &str) -> Option<char> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let code = u32::from_str_radix(digits, 16).ok()?;
    char::from_u32(code).filter(|char| !char.is_ascii())
}
