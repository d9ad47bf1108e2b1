//! The machine of a topic in a world of publishers, readers and accidents.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

mod client;
mod model;
mod simulation;
