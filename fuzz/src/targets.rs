//! The targets: each takes any bytes and panics where something is wrong.

mod hub;
mod iotmp;
mod modbus;
mod mqtt;
mod net;
mod patch;
mod points;
mod poll;
mod sparkplug;
mod store;

pub use hub::hub_topic;
pub use iotmp::{iotmp_decode, iotmp_mux, iotmp_session};
pub use modbus::{modbus_address, modbus_mbap, modbus_pdu, modbus_rtu};
pub use mqtt::{mqtt_packet, mqtt_session, mqtt_topic};
pub use net::net_ws_frames;
pub use patch::{patch_apply, patch_diff};
pub use points::points_filter;
pub use poll::poll_machine;
pub use sparkplug::{sparkplug_machines, sparkplug_payload};
pub use store::store_chunk;
