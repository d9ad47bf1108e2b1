//! Sockets, in one place.
//!
//! An [`Endpoint`] is the address of something to talk to, as a configuration writes it. [`dial`]
//! opens a [`Stream`] to it within a time limit; a [`Listener`] accepts streams up to a maximum
//! number. Protocol crates name these and never a socket type, so that a stream of another kind
//! needs no change in them.
//!
//! There are TCP streams, UDP sockets towards one peer ([`dial_udp`]) and, with the feature
//! `serial`, serial ports ([`SerialPort`]); with `tls` what is dialled and accepted can be secured
//! (`dial_tls`, `ServerTls`), with `ws` it can speak WebSocket (the module `ws`).
//! The feature `unpack` undoes the coding of HTTP bodies (`Unpacker`). Nothing here makes or assumes a
//! runtime, spawns a task or reads the environment.

mod dial;
mod endpoint;
mod listener;
mod serial;
mod stream;
#[cfg(feature = "tls")]
mod tls;
mod udp;
#[cfg(feature = "unpack")]
mod unpack;
#[cfg(feature = "ws")]
pub mod ws;

pub use dial::dial;
pub use endpoint::{Endpoint, EndpointError};
pub use listener::{Accepted, Listener};
pub use serial::{Parity, SerialPort, SerialPortError};
pub use stream::Stream;
#[cfg(feature = "tls")]
pub use tls::{ClientTls, ClientTlsBuilder, ServerTls, ServerTlsBuilder, TlsError, dial_tls};
pub use udp::dial_udp;
#[cfg(feature = "unpack")]
pub use unpack::{Coding, UnpackError, Unpacker};
