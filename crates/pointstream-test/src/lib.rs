//! What tests of connectors need, for the framework's own tests and for those of integrators.
//!
//! [`FakeDevice`] is a device in memory, with [`Fake`] as its driver: values, refusals, silence,
//! loss and panics on demand, under virtual time. [`Proxy`] stands between a real client and a real
//! server on loopback and injects faults into the byte stream. [`conformance::driver`] runs any driver
//! through what the framework may ask of it. [`simulation::run`] has many connectors meet devices in
//! trouble, in virtual time. [`certs`] are certificates for TLS on loopback.

pub mod certs;
pub mod conformance;
mod fake;
mod proxy;
pub mod simulation;

pub use fake::{Fake, FakeDevice, Mood};
pub use proxy::{Proxy, Weather};
