//! The driver against scripted devices in paused time, and against the server on loopback.

#![allow(clippy::unwrap_used, reason = "a failed expectation of a test is its failure")]
#![cfg(all(feature = "driver", feature = "server"))]

mod bus;
mod conformance;
mod faults;
mod learning;
mod loopback;
mod overload;
mod pipelining;
mod plant;
mod sample;
mod script;
mod splitting;
mod weather;
mod writing;
