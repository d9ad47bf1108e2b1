//! The gateway as a whole: with fake devices under paused time, and with real sockets on loopback.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bench;
mod config;
mod gateway;
#[cfg(all(feature = "http", feature = "store"))]
mod history;
#[cfg(feature = "iotmp")]
mod iotmp;
mod levels;
#[cfg(all(feature = "http", feature = "modbus", feature = "modbus-server"))]
mod modbus;
#[cfg(feature = "mqtt")]
#[allow(
    dead_code,
    reason = "the broker of the MQTT crate's own tests, of which less is needed here"
)]
#[path = "../../../pointstream-mqtt/tests/it/broker.rs"]
mod mqtt_broker;
#[cfg(all(feature = "http", feature = "mqtt", feature = "store"))]
mod observe;
#[cfg(all(feature = "http", feature = "store"))]
mod operator;
#[cfg(all(feature = "http", feature = "store"))]
mod past;
#[cfg(feature = "mqtt")]
mod publish;
#[cfg(feature = "poll")]
mod sources;
#[cfg(feature = "mqtt")]
mod sparkplug;
#[cfg(feature = "mqtt")]
#[allow(
    dead_code,
    reason = "the broker of the MQTT crate's own tests, of which less is needed here"
)]
#[path = "../../../pointstream-mqtt/tests/it/sparkplug/broker.rs"]
mod sparkplug_broker;
#[cfg(all(feature = "http", feature = "store"))]
mod web;
