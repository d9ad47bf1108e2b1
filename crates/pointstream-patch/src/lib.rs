//! JSON documents as text: diff, direct edits, JSON Patch, JSON Merge Patch and JSON Pointer.
//!
//! A [`Document`] keeps the text that its producer wrote together with a flat tape of offsets, no
//! tree of values. [`Document::update`] takes the next text and answers with a [`Change`]: nothing,
//! a [`Script`] that is rendered as a JSON Patch (RFC 6902) under any path prefix, or a
//! replacement where a patch would not be smaller. [`diff`] does the same for two texts at hand,
//! [`apply`] applies a patch, and [`Rows`] is an object whose members are edited by handle, so that
//! its operations come without any diff.
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
//! - **Equality is by value.** `1`, `1.0` and `1e0` are equal, `-0` is `0`, integers beyond 2^64 keep
//!   all their digits, the order of members is nothing. Numbers are written as the producer spelled
//!   them. A number whose exponent has more than eighteen digits equals only its own spelling.
//! - **Documents are validated completely**: UTF-8, grammar, depth. A duplicate key, a lone
//!   surrogate, a byte order mark and trailing bytes are errors.
//! - **`remove` of the whole document** leaves `null`. `move` onto itself changes nothing, `move` into
//!   its own child is an error.
//! - **Array indices** have no leading zero and no sign; `-` is the place behind the last element and
//!   so a target of `add`, `move` and `copy` only.
//! - **Copies are bounded**: all values that the `copy` operations of one patch copy may together be
//!   as long as a document may be.
//! - A patch cannot restore the order of members, so texts of two sides may differ where their values
//!   do not.
//!
//! - **A merge patch** cannot set a member to null and replaces arrays as a whole: where a null would be
//!   needed there is none.
//! - **What others read.** JavaScript writes `-0` as `0` and keeps integers up to 2^53, crate serde_json
//!   those up to 2^64 and compares what is beyond as floats: a patch carries the digits as they came, and
//!   it is for the reader to keep them. A digest of a document is over one side's text, never compared
//!   with what another side makes of its own values.
//! - **White space** between tokens is left out of the values of a patch, so that a patch is one line.
//! - **NaN and infinities** are not JSON and refused. Text that was made from a number by other means
//!   than [shortest round trip](https://docs.rs/serde_json) may differ in its last digit from one
//!   publication to the next: that is a change.
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
pub use values::apply_json_patch;
#[cfg(feature = "serde_json")]
pub use values::{apply_value, diff_values, merge_value};
