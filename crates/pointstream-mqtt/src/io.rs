//! A client on tokio: one session with a broker, shared by whoever wants something of it.

mod broker;
mod client;
#[cfg(feature = "driver")]
mod edge;
mod gather;
#[cfg(feature = "driver")]
mod line;
mod observe;
mod takers;
mod task;
mod uri;

pub use broker::Broker;
#[cfg(feature = "driver")]
pub(crate) use client::WeakClient;
pub use client::{Client, ClientError, Delivery, Link, Pin};
#[cfg(feature = "driver")]
pub use edge::{Edge, EdgeWrite};
#[cfg(feature = "driver")]
pub(crate) use line::Line;
pub use observe::{Observation, Observed};
#[cfg(feature = "driver")]
pub(crate) use takers::{Gate, TakerId};
pub use uri::{Uri, UriError};
