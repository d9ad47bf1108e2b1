//! MQTT 3.1.1 and MQTT 5, a client's side.
//!
//! Without features this crate does no I/O.
//!
//! - [`sparkplug`] is Sparkplug B: topics, payloads, a host application and an edge node.

pub mod sparkplug;
