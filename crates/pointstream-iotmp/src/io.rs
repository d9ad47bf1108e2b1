//! A session on a socket.

mod connection;

pub use connection::Connection;
