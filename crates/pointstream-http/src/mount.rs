//! Another API beside the hub's own.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use pointstream_net::Stream;

use crate::BoxFuture;
use crate::error::ApiError;
use crate::state::Connection;

/// Another API on the same listener, under a prefix of its own and behind the same guard: the host,
/// the origin and the token were looked at when a request comes here.
pub trait Mount: Send + Sync + 'static {
    /// What its paths begin with, such as `/v3/`.
    fn prefix(&self) -> &'static str;

    /// Answers a request.
    fn handle(&self, request: MountRequest) -> BoxFuture<'_, Mounted>;
}

/// A request that comes to a [`Mount`].
pub type MountRequest = http::Request<Body>;

/// What a [`Mount`] answers.
pub struct Mounted {
    response: Response<Body>,
    then: Option<Then>,
}

/// What is done with a connection that was handed over, and the bytes of it that were read already.
pub(crate) type Then = Box<dyn FnOnce(Stream, Bytes) -> BoxFuture<'static, ()> + Send>;

impl Mounted {
    /// A response and nothing behind it.
    pub fn new<B>(response: http::Response<B>) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        Self { response: response.map(Body::new), then: None }
    }

    /// This response, after which the connection becomes another protocol's: `then` gets it with the
    /// bytes that were read behind the request, and is dropped when the server ends.
    #[must_use]
    pub fn then(
        mut self,
        then: impl FnOnce(Stream, Bytes) -> BoxFuture<'static, ()> + Send + 'static,
    ) -> Self {
        self.then = Some(Box::new(then));
        self
    }
}

impl fmt::Debug for Mounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mounted").field("response", &self.response.status()).finish_non_exhaustive()
    }
}

/// The mounts of the options.
#[derive(Clone, Default)]
pub(crate) struct Mounts(pub(crate) Vec<Arc<dyn Mount>>);

impl fmt::Debug for Mounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|mount| mount.prefix())).finish()
    }
}

/// The route of a mount.
pub(crate) async fn handle(State(mount): State<Arc<dyn Mount>>, request: Request) -> Response {
    let connection = request.extensions().get::<Arc<Connection>>().cloned();
    let Mounted { response, then } = mount.handle(request).await;
    match (then, connection) {
        (None, _) => response,
        (Some(then), Some(connection)) => {
            connection.after.put(then);
            response
        }
        (Some(_), None) => {
            let detail = "Connections cannot be handed over by the server that serves this API.";
            ApiError::new(StatusCode::NOT_IMPLEMENTED, "No WebSocket here", detail).into_response()
        }
    }
}

/// What a connection becomes when its answer is sent.
#[derive(Default)]
pub(crate) struct After(Mutex<Option<Then>>);

impl After {
    fn put(&self, then: Then) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(then);
    }

    pub(crate) fn take(&self) -> Option<Then> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("After")
    }
}
