use core::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};

use crate::{Failure, FailureKind};

/// A request to be sent: what [`Poller::poll_transmit`](crate::Poller::poll_transmit) gives.
///
/// Whoever sends it resolves the host, has [`Targets`](crate::Targets) check every address, connects to
/// one that was checked, and undoes `Content-Encoding: gzip` of the answer. Values that are secret are
/// marked as such and not shown by `Debug`; the query of the URL may hold one, so that it must not be
/// logged.
#[derive(Clone)]
#[non_exhaustive]
pub struct Fetch {
    /// GET, or POST for a token.
    pub method: Method,
    /// Where.
    pub url: Uri,
    /// All headers but `Host` and those about the connection.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// From the look-up of the name to the end of the answer's body.
    pub timeout: Duration,
    /// The bytes of the answer's body, once decoded; a longer one is [`FetchError::TooLarge`].
    pub body_bytes_max: usize,
}

impl core::fmt::Debug for Fetch {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Fetch")
            .field("method", &self.method)
            .field("host", &self.url.host())
            .field("path", &self.url.path())
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

/// An answer that came whole.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "what an HTTP answer consists of")]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, decoded.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The name has no address.
    #[error("the name cannot be resolved")]
    Dns,
    /// The target may not be fetched from.
    #[error("the target may not be used")]
    Refused,
    /// No connection.
    #[error("the connection was refused")]
    Connect,
    /// No TLS.
    #[error("the connection could not be secured")]
    Tls,
    /// The time was up.
    #[error("the time was up")]
    TimedOut,
    /// What came is not HTTP, or not all of it came.
    #[error("the answer broke off")]
    Broken,
    /// The body is too long.
    #[error("the body is too long")]
    TooLarge,
    /// The body cannot be decoded.
    #[error("the body's encoding cannot be read")]
    Encoding,
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        Self::new(match error {
            FetchError::Dns | FetchError::Refused => FailureKind::Target,
            FetchError::Connect | FetchError::Broken => FailureKind::Connect,
            FetchError::Tls => FailureKind::Tls,
            FetchError::TimedOut => FailureKind::TimedOut,
            FetchError::TooLarge => FailureKind::TooLarge,
            FetchError::Encoding => FailureKind::Encoding,
        })
    }
}
