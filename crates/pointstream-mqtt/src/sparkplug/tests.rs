//! Payloads of another implementation, and laws.

mod laws;
mod vectors;
