//! MQTT 3.1.1 and MQTT 5, a client's side.
//!
//! Without features this crate does no I/O.
//!
//! - [`topic`] knows the rules of names and filters and finds who wants a message.
//! - [`packet`] turns packets of either version into bytes and back, borrowing what it reads;
//!   [`frame`] finds them in a stream of bytes.
//! - [`session::Session`] is a client's session, which outlives its connections: told the time and
//!   given bytes, asked for bytes and events.
//! - [`sparkplug`] is Sparkplug B: topics, payloads, a host application and an edge node.

mod error;
pub mod frame;
pub mod packet;
pub mod session;
pub mod sparkplug;
pub mod topic;

pub use error::{DecodeError, EncodeError, Malformed};
pub use packet::{QoS, Version};
