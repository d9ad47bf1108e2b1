//! IOTMP, the IoT Message Protocol.
//!
//! Without features this crate does no I/O: it is `no_std` with `alloc`, and every part is a value
//! that is told the time and given bytes.
//!
//! - [`frame`] finds frames in a stream of bytes, however it is split; a [`Message`] is a frame's
//!   content with its values borrowed; a [`Draft`] is a message to be written.
//! - Values are PSON, in two versions on the wire: a [`Value`] borrows the bytes it was decoded from,
//!   a [`Payload`] owns them, a [`Tree`] is built and compared; [`Encode`] is what can be written.
//! - A [`Dialect`] is one of the three ways in which devices speak, found from their first frame.
//!   Which field stands where, and which version its value has, is hidden behind it.
//! - [`session::Session`] is one side of a connection, told the time and given bytes.
//! - [`mux::Mux`] serves many sinks of a resource from as few streams as the device can bear.
//! - Feature `tokio`: `io::Connection` is a session on a socket; `server::Server` serves devices. With
//!   `tls` and `ws` they speak TLS and WebSocket too.
//! - Feature `http`: the devices of a server over HTTP. Feature `driver`: the connector driver of kind
//!   `iotmp`.
//! - Features `serde` and `json`: values from and to types of serde, and JSON.
//!
//! `docs/wire/iotmp.md` describes the protocol as it is implemented here.

#![no_std]

extern crate alloc;
#[cfg(any(test, feature = "tokio"))]
extern crate std;

#[cfg(feature = "driver")]
mod address;
#[cfg(feature = "driver")]
mod config;
mod dialect;
#[cfg(feature = "driver")]
mod driver;
mod encode;
mod error;
pub mod frame;
#[cfg(feature = "tokio")]
pub mod io;
#[cfg(feature = "json")]
mod json;
mod message;
pub mod mux;
mod payload;
mod pson;
#[cfg(feature = "serde")]
mod serial;
#[cfg(feature = "tokio")]
pub mod server;
pub mod session;
#[cfg(any(feature = "json", feature = "serde"))]
mod text;
mod tree;
mod value;
pub mod varint;

#[cfg(feature = "driver")]
pub use address::{Address, AddressError};
#[cfg(feature = "driver")]
pub use config::Config;
#[cfg(all(feature = "driver", feature = "http"))]
pub use config::EndpointConfig;
pub use dialect::Dialect;
#[cfg(feature = "driver")]
pub use driver::{Iotmp, Servers, register, register_with};
pub use encode::{ArrayEncoder, Encode, Encoder, MapEncoder};
pub use error::{DecodeError, EncodeError, Malformed};
pub use message::{Draft, Message, MessageType, Resource};
pub use payload::Payload;
pub use pson::{DEPTH_MAX, Rules, TextRule, Version};
#[cfg(feature = "serde")]
pub use serial::SerdeError;
pub use tree::Tree;
pub use value::{Array, Entries, Items, Map, Text, Value};
