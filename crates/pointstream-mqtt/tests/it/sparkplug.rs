//! The driver of kind `sparkplug` on loopback, against a small broker.

mod broker;
mod edge;
mod host;
