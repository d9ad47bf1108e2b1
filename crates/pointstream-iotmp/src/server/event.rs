use std::net::SocketAddr;
use std::string::String;
use std::sync::Arc;

use serde::Serialize;

use crate::Payload;

/// Names a device of a server.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "the two names of the protocol")]
pub struct DeviceId {
    /// Whose device it is.
    pub user: String,
    /// Which one.
    pub device: String,
}

impl DeviceId {
    /// The device of a user.
    pub fn new(user: impl Into<String>, device: impl Into<String>) -> Self {
        Self { user: user.into(), device: device.into() }
    }
}

impl core::fmt::Display for DeviceId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}/{}", self.user, self.device)
    }
}

/// What happens at a server, for whoever wants to see it.
///
/// Serialized, it is a map with the kind as `event`, the device as `user` and `device`, and what
/// else there is to say.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A device was let in. One that was there under the same name has left before.
    Connected {
        /// Which one.
        #[serde(flatten)]
        id: Arc<DeviceId>,
        /// The dialect that it speaks: `old`, `1` or `2`.
        dialect: &'static str,
        /// Where it comes from.
        #[serde(skip_serializing_if = "Option::is_none")]
        peer: Option<SocketAddr>,
    },
    /// A device has left.
    Disconnected {
        /// Which one.
        #[serde(flatten)]
        id: Arc<DeviceId>,
        /// Why.
        reason: String,
    },
    /// Somebody was not let in.
    Refused {
        /// Who it said it was, if it came that far.
        #[serde(flatten)]
        id: Option<DeviceId>,
        /// Where it came from.
        #[serde(skip_serializing_if = "Option::is_none")]
        peer: Option<SocketAddr>,
        /// Why.
        reason: String,
    },
    /// A device was asked to stream a resource, or to do so in another way.
    StreamStarted {
        /// Which device.
        #[serde(flatten)]
        id: Arc<DeviceId>,
        /// Which resource.
        resource: String,
        /// At which interval; without, whenever the device has something to tell.
        #[serde(skip_serializing_if = "Option::is_none")]
        interval_ms: Option<u64>,
    },
    /// A device no longer streams a resource.
    StreamStopped {
        /// Which device.
        #[serde(flatten)]
        id: Arc<DeviceId>,
        /// Which resource.
        resource: String,
        /// Whether the device refused or ended it.
        by_device: bool,
    },
    /// A value came on a stream.
    Data {
        /// Which device.
        #[serde(flatten)]
        id: Arc<DeviceId>,
        /// Which resource.
        resource: String,
        /// The value.
        value: Payload,
        /// When it was taken, where the device says so.
        #[serde(skip_serializing_if = "Option::is_none")]
        time_ms: Option<u64>,
        /// The number that the device gave it.
        #[serde(skip_serializing_if = "Option::is_none")]
        seq: Option<u64>,
    },
    /// A device published a value.
    Published {
        /// Which device.
        #[serde(flatten)]
        id: Arc<DeviceId>,
        /// On which topic.
        topic: String,
        /// The value.
        value: Arc<Payload>,
    },
    /// A device used one of the services that a server has for devices.
    Called {
        /// Which device.
        #[serde(flatten)]
        id: Arc<DeviceId>,
        /// Which service: `read_property`, `set_property`, `call_device`, `call_endpoint`,
        /// `write_bucket`, `lock` or `unlock`.
        service: &'static str,
        /// The property, device, endpoint, bucket or lock.
        target: String,
        /// What it gave.
        #[serde(skip_serializing_if = "Option::is_none")]
        value: Option<Payload>,
        /// Whether it was done.
        ok: bool,
    },
}
