//! The server on a loopback port, spoken to byte by byte.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what fails in a helper fails the test"
)]

mod api;
mod connectors;
mod direct;
mod faults;
mod group;
mod http2;
mod parser;
mod publish;
mod security;
mod sse;
mod support;
mod together;
mod views;
mod ws;
