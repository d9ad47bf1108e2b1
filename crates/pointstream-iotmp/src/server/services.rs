use core::fmt;
use std::string::String;

use super::event::DeviceId;
use crate::Payload;

/// What a server does for its devices beyond passing on what they say: properties, buckets and
/// endpoints. Each has a default that answers that there is none.
///
/// # Cancel safety
///
/// Calls are dropped when the device that asked has left.
pub trait Services: Send + Sync + 'static {
    /// The value of a property of a device; nothing where it was never set.
    ///
    /// # Errors
    ///
    /// There are no properties, or this one cannot be read.
    fn read_property(
        &self,
        id: &DeviceId,
        property: &str,
    ) -> impl Future<Output = Result<Option<Payload>, ServiceError>> + Send {
        let _ = (id, property);
        async { Err(ServiceError::NotFound) }
    }

    /// Sets a property of a device. Devices that want to know of it are told by the server.
    ///
    /// # Errors
    ///
    /// There are no properties, or this one cannot be written.
    fn set_property(
        &self,
        id: &DeviceId,
        property: &str,
        value: &Payload,
    ) -> impl Future<Output = Result<(), ServiceError>> + Send {
        let _ = (id, property, value);
        async { Err(ServiceError::NotFound) }
    }

    /// Appends a value to a bucket, which is a history, at the present time.
    ///
    /// # Errors
    ///
    /// There is no such bucket, or it cannot be written.
    fn write_bucket(
        &self,
        id: &DeviceId,
        bucket: &str,
        value: &Payload,
    ) -> impl Future<Output = Result<(), ServiceError>> + Send {
        let _ = (id, bucket, value);
        async { Err(ServiceError::NotFound) }
    }

    /// Calls an endpoint, which is something outside, such as an HTTP server, by its name.
    ///
    /// # Errors
    ///
    /// There is no such endpoint, or it failed.
    fn call_endpoint(
        &self,
        id: &DeviceId,
        endpoint: &str,
        value: Option<&Payload>,
    ) -> impl Future<Output = Result<Option<Payload>, ServiceError>> + Send {
        let _ = (id, endpoint, value);
        async { Err(ServiceError::NotFound) }
    }
}

/// A server without properties, buckets and endpoints.
impl Services for () {}

/// Why a server did not do what a device asked.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ServiceError {
    /// What was asked for does not exist. The device is told 404.
    NotFound,
    /// It was asked in a way that makes no sense. The device is told 400.
    BadRequest(String),
    /// The device may not. It is told 403.
    Forbidden,
    /// It was tried and failed. The device is told 502.
    Failed(String),
    /// It took too long. The device is told 504.
    TimedOut,
}

impl ServiceError {
    /// The code that the device is told, one of HTTP.
    pub const fn code(&self) -> u16 {
        match self {
            Self::NotFound => 404,
            Self::BadRequest(_) => 400,
            Self::Forbidden => 403,
            Self::Failed(_) => 502,
            Self::TimedOut => 504,
        }
    }
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("it does not exist"),
            Self::BadRequest(why) | Self::Failed(why) => f.write_str(why),
            Self::Forbidden => f.write_str("it is not allowed"),
            Self::TimedOut => f.write_str("it took too long"),
        }
    }
}

impl core::error::Error for ServiceError {}
