//! Sparkplug B (Eclipse Sparkplug 3.0.0): state and metrics of devices over MQTT.
//!
//! - A [`Topic`] says who speaks and what about; a [`Payload`] is what is said, read with
//!   [`Limits`] so that no sender can make it large or deep. [`DataType`] gives a [`Raw`] value of the
//!   wire its meaning as a [`Value`].
//! - [`Host`] listens to edge nodes: births, deaths, data in order, commands.
//! - [`EdgeNode`] is what hosts listen to: it tells births and what changed, and hears commands.

mod datatype;
mod decode;
mod edge;
mod encode;
mod error;
mod host;
mod message;
mod payload;
mod topic;
mod value;
mod wire;

#[cfg(test)]
mod tests;

pub use datatype::DataType;
pub use edge::{Connect, EdgeConfig, EdgeError, EdgeEvent, EdgeNode};
pub use error::DecodeError;
pub use host::{Event, Host, HostConfig, HostError, Reading, WriteError};
pub use message::{Now, Quality, State, Transmit};
pub use payload::{
    DataSet, Limits, MetaData, Metric, Parameter, Payload, Property, PropertySet, Raw, Template,
};
pub use topic::{Kind, NodeId, Source, Topic, TopicError, filter_of_group, is_id};
pub use value::{Value, ValueError};
