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
//! - Feature `tokio`: `io::Client` is a session on a socket, shared by whoever wants something of it.
//! - Feature `driver`: the connector drivers of kinds `mqtt` and `sparkplug`.

#[cfg(feature = "driver")]
mod address;
#[cfg(feature = "driver")]
mod config;
#[cfg(feature = "driver")]
mod driver;
mod error;
#[cfg(feature = "driver")]
mod extract;
pub mod frame;
#[cfg(feature = "tokio")]
pub mod io;
pub mod packet;
pub mod session;
pub mod sparkplug;
pub mod topic;

#[cfg(feature = "driver")]
pub use address::{AddressError, Confirm, Sink, Source};
#[cfg(feature = "driver")]
pub use config::{Availability, Config, ConfigError, Files, Password, WillConfig};
#[cfg(feature = "driver")]
pub use driver::{
    MetricAddress, MetricAddressError, Mqtt, ObserveError, Sessions, Sparkplug, SparkplugConfig,
    metric_of_point, point_of_metric, register,
};
pub use error::{DecodeError, EncodeError, Malformed};
#[cfg(feature = "driver")]
pub use extract::{Extract, ExtractError, Template, TemplateError};
pub use packet::{QoS, Version};
