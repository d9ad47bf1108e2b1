//! A session on a socket, and a device that is built on it.

mod client;
mod connection;

pub use client::{
    Client, Handle, HandleError, Options, ResourceError, Status, Subscription, Target,
};
pub use connection::Connection;
