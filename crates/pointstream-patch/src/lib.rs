//! JSON documents as text: diff, direct edits, JSON Patch, JSON Merge Patch and JSON Pointer.
//!
//! A [`Document`] keeps the text that its producer wrote together with a flat tape of offsets, no
//! tree of values. [`Document::update`] takes the next text and answers with a [`Change`]: nothing,
//! a [`Script`] that is rendered as a JSON Patch (RFC 6902) under any path prefix, or a
//! replacement where a patch would not be smaller. [`diff`] does the same for two texts at hand,
//! [`apply`] applies a patch. Who knows what changed says it: [`Document::edit`] makes edits by pointer or
//! by [`Handle`], and [`Rows`] is an object whose members are edited by handle; their operations come
//! without any diff.
//!
//! ```
//! use pointstream_patch::{Change, Limits, apply, diff};
//!
//! let old = br#"{"unit":"kW","values":[1,2,3]}"#;
//! let new = br#"{"unit":"kW","values":[0,1,2]}"#;
//! let mut patch = String::new();
//! match diff(old, new, &Limits::default())? {
//!     Change::Script(script) => script.render_patch("", &mut patch),
//!     Change::Nothing | Change::Replacement => {}
//! }
//! assert_eq!(patch, r#"[{"op":"replace","path":"/values","value":[0,1,2]}]"#);
//! let text = apply(old, patch.as_bytes(), &Limits::default()).unwrap();
//! assert_eq!(text, r#"{"unit":"kW","values":[0,1,2]}"#);
//! # Ok::<(), pointstream_patch::ParseError>(())
//! ```
//!
//! # What is decided where the standards leave room
//!
//! Each of these has a test of its own in `tests/it/traps.rs`.
//!
//! Numbers
//! - **Equality is by value.** `1`, `1.0` and `1e0` are equal, `-0` is `0`; integers and fractions of any
//!   length are compared as decimals and never rounded. Numbers are written as the producer spelled them. A
//!   number whose exponent has more than eighteen digits equals only its own spelling.
//! - **NaN and infinities** are not JSON and refused. Text that was made from a number by other means
//!   than [shortest round trip](https://docs.rs/serde_json) may differ in its last digit from one
//!   publication to the next: that is a change.
//! - **What others read.** JavaScript writes `-0` as `0` and keeps integers up to 2^53, crate serde_json
//!   those up to 2^64 and compares what is beyond as floats: a patch carries the digits as they came, and
//!   it is for the reader to keep them. Between `serde_json::Value`s numbers are those that it kept.
//!
//! Documents
//! - **Documents are validated completely**: UTF-8, grammar, depth. A key that comes twice is an error, in
//!   the first document, in what changes and in a patch; so are half a surrogate pair, a byte order mark
//!   and trailing bytes.
//! - **The order of members is no change**, and a patch cannot restore it: texts of two sides may differ
//!   where their values do not. The document's own text is the producer's latest. A digest of a document is
//!   over one side's text, never compared with what another side makes of its own values.
//! - **White space** between tokens is left out of the values of a patch, so that a patch is one line and
//!   can be framed as one.
//!
//! Pointers
//! - `~1` is resolved before `~0`; a `~` before anything else is an error. Escapes of JSON strings in keys
//!   are resolved before those of pointers. The empty key is `/`.
//! - **Array indices** have no leading zero and no sign. One that no integer holds is out of bounds. `add`
//!   may name the length and nothing beyond. `-` is the place behind the last element and so a target of
//!   `add`, `move` and `copy` only. In objects all of these are keys.
//!
//! Patches
//! - **All or nothing**: a failed operation leaves the document as it was, and is told with its index and
//!   pointer. `add` replaces the member that is there. Members that an operation does not know are left
//!   unread.
//! - **`remove` of the whole document** leaves `null`; `replace` and `add` replace it, scalar or not.
//!   `move` onto itself changes nothing if there is something, `move` into its own child is an error. What
//!   is copied is no alias.
//! - **Copies are bounded**: all values that the `copy` operations of one patch copy may together be
//!   as long as a document may be.
//! - **A merge patch** cannot set a member to null, which is not the same as its absence, and replaces arrays
//!   as a whole: where a null would be needed there is no merge patch.
//!
//! # Features
//!
//! - `serde_json`: compare and patch `serde_json::Value`.
//! - `json-patch`: patches of crate json-patch in and out. This one needs std.
//!
//! `no_std` with `alloc`; nothing recurses on the depth of its input.

#![no_std]

extern crate alloc;

mod apply;
mod bytes;
mod diff;
mod document;
mod edits;
mod error;
mod handle;
mod lexer;
mod limits;
mod merge;
mod number;
mod options;
mod pointer;
mod rows;
mod scan;
mod script;
mod string;
mod tape;
mod value;
#[cfg(feature = "serde_json")]
mod values;

pub use apply::{apply, compose, invert};
pub use document::{Change, Document, diff, diff_with};
pub use edits::Edits;
#[cfg(feature = "serde_json")]
pub use error::ValueError;
pub use error::{OperationError, OperationErrorKind, ParseError, ParseErrorKind, PatchError};
pub use handle::{Handle, Place};
pub use limits::Limits;
pub use merge::{merge_apply, merge_diff};
pub use options::Options;
pub use pointer::{Pointer, PointerError, PointerErrorKind, escape_token};
pub use rows::{RowError, RowKey, Rows};
pub use script::{Operation, OperationKind, Script};
#[cfg(feature = "json-patch")]
pub use values::{apply_json_patch, diff_json_patch};
#[cfg(feature = "serde_json")]
pub use values::{apply_value, diff_values, merge_value};
