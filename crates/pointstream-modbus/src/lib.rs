//! Modbus TCP, RTU, RTU over TCP, and UDP.
//!
//! Without features this crate does no I/O. [`pdu`], [`mbap`] and [`rtu`] turn requests and
//! responses into bytes and back, by the Modbus Application Protocol V1.1b3, the Messaging on TCP/IP
//! guide V1.0b and MODBUS over Serial Line V1.02; [`data`] and [`scale`] say how values lie in registers; an [`Address`] joins both with
//! the place in a device; [`block`] merges many values into few requests; [`session::Session`] is
//! a client's side of a stream, told the time and given bytes, as [`rtu::Session`] is of a line.
//!
//! - Feature `driver`: the connector driver of kind `modbus`.
//! - Feature `server`: a server, TCP or RTU, that answers from a point source.
//! - Feature `serial`: serial ports for both.

mod address;
pub mod block;
#[cfg(feature = "driver")]
mod config;
pub mod data;
#[cfg(feature = "driver")]
mod driver;
mod error;
mod framing;
#[cfg(feature = "driver")]
mod map;
pub mod mbap;
pub mod pdu;
#[cfg(feature = "driver")]
mod points;
#[cfg(feature = "server")]
mod registers;
pub mod rtu;
pub mod scale;
#[cfg(feature = "server")]
mod server;
pub mod session;
#[cfg(feature = "server")]
mod source;
mod table;

pub use address::Address;
#[cfg(feature = "driver")]
pub use config::{Config, Target, UriError};
#[cfg(feature = "driver")]
pub use driver::{Dial, Found, Modbus, Trace, Traced, Wire, register};
pub use error::{
    AddressError, AnswerError, DataError, Exception, FrameError, PduError, ScaleError,
};
pub use framing::Framing;
#[cfg(feature = "driver")]
pub use map::{Access, MapError, Register, RegisterMap, RowError};
#[cfg(feature = "server")]
pub use registers::{Registers, RegistersError, Units};
#[cfg(feature = "server")]
pub use server::{Limits, Server, serve_line};
#[cfg(feature = "server")]
pub use source::PointSource;
pub use table::Table;
