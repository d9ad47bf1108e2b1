//! The engine from outside: conformance, laws, limits and rows.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test")]

mod algebra;
mod conformance;
mod costs;
mod diff;
mod edits;
mod hostile;
mod laws;
mod merge;
mod options;
mod rows;
mod support;
mod traps;
mod values;
