//! WebSocket (RFC 6455), of either side.
//!
//! [`Frames`] is the protocol as a value: bytes in, messages out, no I/O. [`WebSocket`] puts it on a
//! [`Stream`](crate::Stream), message by message; [`WebSocket::into_stream`] makes it a stream of bytes, for
//! protocols that only want a way through proxies. [`dial_ws`] and [`accept_ws`] do the opening
//! handshake; [`WebSocket::new`] takes a connection whose handshake was done elsewhere.
//!
//! Text is not validated as UTF-8 here: there are devices that send arbitrary bytes in text
//! messages, and whoever wants text checks it. No extension is offered or taken.

mod accept;
mod bytes;
mod dial;
mod frames;
mod socket;
mod url;

pub(crate) use bytes::Bytes;

pub use accept::{AcceptError, WsAccept, accept_key, accept_ws};
pub use dial::{DialOptions, dial_ws};
pub use frames::{Event, Frames, Kind, Message, Side, WsError};
pub use socket::WebSocket;
pub use url::{WsUrl, WsUrlError};
