//! Polls an HTTP API and tells what changed about it: a document, or a failure.
//!
//! [`Poller`] is the machine: it says what to fetch and when, follows redirects, keeps validators and
//! OAuth tokens, backs off, and knows what is an error worth telling. It is told the time and what
//! came of a fetch, and does no I/O. [`Targets`] decides what may be fetched from, by URL and by the
//! address that a name stands for, so that nobody makes a gateway reach into its own network.
//!
//! Feature `client` has the part on tokio: `shell::run` does what a machine says and publishes to a
//! topic of a hub while that has subscribers.

mod config;
mod failure;
mod fetch;
#[cfg(feature = "client")]
mod io;
mod oauth;
mod poller;
mod schedule;
#[cfg(feature = "client")]
pub mod shell;
mod targets;
mod url;

pub use config::{Auth, Config, ConfigError, GrantMode, OAuth, Secret};
pub use failure::{Failure, FailureKind};
pub use fetch::{Answer, Fetch, FetchError};
pub use poller::{Event, Poller, Rejection};
pub use targets::{TargetError, Targets};
