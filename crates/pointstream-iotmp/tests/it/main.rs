//! The codec against the vectors, and its laws.

#![allow(clippy::unwrap_used, reason = "a failed expectation of a test is its failure")]

#[cfg(feature = "tokio")]
mod client;
mod codec;
#[cfg(feature = "driver")]
mod driver;
#[cfg(feature = "http")]
mod http;
mod laws;
#[cfg(feature = "tokio")]
mod loopback;
#[cfg(all(feature = "tls", feature = "ws"))]
mod secure;
#[cfg(feature = "tokio")]
mod server;
mod session;
mod session_faults;
mod support;
