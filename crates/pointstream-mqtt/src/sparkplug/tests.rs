//! Payloads of another implementation, and laws.

mod laws;
pub(super) mod vectors;
