use core::convert::Infallible;
use core::pin::pin;
use core::time::Duration;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use pointstream_net::Listener;
use tokio::task::JoinSet;

use super::{Face, Then};

/// How long a request's head may take, and how long a connection may be idle.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// The longest head, in bytes.
const HEAD_LEN_MAX: usize = 16 * 1024;

impl Face {
    /// Serves HTTP/1.1 on what `listener` accepts until `shutdown` completes, and closes all
    /// connections then. An application with an HTTP server of its own calls [`Self::handle`].
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::PermissionDenied`]: the listener is not on a loopback address and there is no
    /// token.
    ///
    /// # Cancel safety
    ///
    /// Safe: when the call is dropped, all connections are closed at once.
    pub async fn serve(
        self,
        listener: Listener,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let address: SocketAddr = listener.local_addr()?;
        if self.options.token.is_none() && !address.ip().to_canonical().is_loopback() {
            let text = "an address that is not loopback needs a token";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => return Ok(()),
                // A panic ends its connection and nothing else.
                Some(_) = connections.join_next() => {}
                accepted = listener.accept() => {
                    let face = self.clone();
                    connections.spawn(async move {
                        // Held as long as its place is taken.
                        let accepted = accepted;
                        let stream = accepted.stream;
                        face.converse(stream).await;
                    });
                }
            }
        }
    }

    async fn converse(self, stream: pointstream_net::Stream) {
        let after: Arc<Mutex<Option<(OnUpgrade, Then)>>> = Arc::default();
        let service = service_fn(|mut request: Request<Incoming>| {
            let (face, after) = (self.clone(), Arc::clone(&after));
            async move {
                let upgrade = hyper::upgrade::on(&mut request);
                let answer = face.handle(request).await;
                if let Some(then) = answer.then {
                    let then = (upgrade, then);
                    *after.lock().unwrap_or_else(PoisonError::into_inner) = Some(then);
                }
                Ok::<_, Infallible>(answer.response)
            }
        });
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .max_buf_size(HEAD_LEN_MAX)
            .half_close(false);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let served = connection.with_upgrades().await;
        let then = after.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let (Ok(()), Some((upgrade, then))) = (served, then)
            && let Ok(upgraded) = upgrade.await
        {
            let stream = pointstream_net::Stream::other(TokioIo::new(upgraded));
            then.run(stream, &[]).await;
        }
    }
}
