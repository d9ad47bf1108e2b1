//! Modbus TCP.
//!
//! Without features this crate does no I/O. [`pdu`] and [`mbap`] turn requests and responses into
//! bytes and back, by the Modbus Application Protocol V1.1b3 and the Messaging on TCP/IP guide
//! V1.0b; [`data`] and [`scale`] say how values lie in registers; an [`Address`] joins both with
//! the place in a device; [`block`] merges many values into few requests; [`session::Session`] is
//! a client's side of a stream, told the time and given bytes.
//!
//! - Feature `driver`: the connector driver of kind `modbus`.
//! - Feature `server`: a Modbus TCP server that answers from a point source.

mod address;
pub mod block;
#[cfg(feature = "driver")]
mod config;
pub mod data;
#[cfg(feature = "driver")]
mod driver;
mod error;
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
pub use config::{Config, UriError};
#[cfg(feature = "driver")]
pub use driver::{Dial, Modbus, Tcp, register};
pub use error::{
    AddressError, AnswerError, DataError, Exception, FrameError, PduError, ScaleError,
};
#[cfg(feature = "server")]
pub use registers::{Registers, RegistersError, Units};
#[cfg(feature = "server")]
pub use server::{Limits, Server};
#[cfg(feature = "server")]
pub use source::PointSource;
pub use table::Table;
