//! The HTTP client: one connection at a time, to an address that was checked.

mod body;
mod client;

pub use client::{Client, ClientOptions, Lookup, Resolve, SystemResolver};
