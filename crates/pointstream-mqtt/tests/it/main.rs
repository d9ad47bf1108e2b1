//! The codec by vectors and laws, and the session against a scripted broker.

#![allow(clippy::unwrap_used, reason = "a failed expectation of a test is its failure")]

#[cfg(feature = "driver")]
mod broker;
mod codec;
#[cfg(feature = "driver")]
mod driver;
#[cfg(feature = "driver")]
mod faults;
#[cfg(feature = "driver")]
mod hostile;
mod laws;
#[cfg(feature = "driver")]
mod observe;
#[cfg(feature = "driver")]
mod sample;
#[cfg(feature = "driver")]
mod secure;
mod session;
mod session_faults;
mod session_options;
mod session_resume;
#[cfg(feature = "driver")]
mod sparkplug;
mod support;
