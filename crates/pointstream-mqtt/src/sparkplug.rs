//! Sparkplug B (Eclipse Sparkplug 3.0.0): state and metrics of devices over MQTT.
//!
//! - A [`Topic`] says who speaks and what about; a [`Payload`] is what is said, read with
//!   [`Limits`] so that no sender can make it large or deep. [`DataType`] gives a [`Raw`] value of the
//!   wire its meaning as a [`Value`].

mod datatype;
mod decode;
mod encode;
mod error;
mod payload;
mod topic;
mod value;
mod wire;

#[cfg(test)]
mod tests;

pub use datatype::DataType;
pub use error::DecodeError;
pub use payload::{
    DataSet, Limits, MetaData, Metric, Parameter, Payload, Property, PropertySet, Raw, Template,
};
pub use topic::{Kind, NodeId, Source, Topic, TopicError, filter_of_group, is_id};
pub use value::{Value, ValueError};
