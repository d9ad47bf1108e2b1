//! Pollers that run against a server on a loopback port.

#![cfg(feature = "client")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what fails in a helper fails the test"
)]

mod client;
mod hub;
mod redirect;
mod source;
#[cfg(feature = "tls")]
mod tls;
