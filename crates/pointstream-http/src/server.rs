use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use pointstream_hub::Hub;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tracing::{debug, error, info, warn};

use crate::direct::{self, Opened, Outcome, Writer};
use crate::io::StallStream;
use crate::metrics::increment;
use crate::routes;
use crate::state::{App, Connection};
use crate::time::keep_time;
use crate::{Admin, BindError, BoxFuture, Limits, Options};

/// The routes on a socket that listens: HTTP/1.1, and HTTP/2 with prior knowledge.
pub struct Server {
    app: Arc<App>,
    listener: TcpListener,
    local: SocketAddr,
}

impl Server {
    /// Begins to listen; [`run`](Self::run) serves.
    ///
    /// *Cancel safety*: nothing remains of a future that is dropped.
    ///
    /// # Errors
    ///
    /// An address that is taken or not this machine's, and an address that is not loopback without
    /// a token.
    pub async fn bind(
        hub: Hub,
        admin: Arc<dyn Admin>,
        mut options: Options,
    ) -> Result<Self, BindError> {
        let addr = options.listen;
        if options.token.is_none() && !addr.ip().to_canonical().is_loopback() {
            return Err(BindError::TokenNeeded(addr));
        }
        let refused = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => BindError::AddrInUse(addr),
            _ => BindError::Io { addr, source },
        };
        let listener = TcpListener::bind(addr).await.map_err(refused)?;
        let local = listener.local_addr().map_err(|source| BindError::Io { addr, source })?;
        options.listen = local;
        Ok(Self { app: Arc::new(App::new(hub, admin, options)), listener, local })
    }

    /// The address that it listens on, with the port that was taken.
    pub const fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Serves until `shutdown` completes, then ends the event streams, lets answers under way
    /// finish for [`Limits::shutdown_timeout`] at most and closes what is left.
    ///
    /// *Cancel safety*: dropping the future closes all connections at once.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self { app, listener, local } = self;
        let limits = app.options.limits.clone();
        let router = routes::of(Arc::clone(&app));
        let (ending, ended) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        let mut time = pin!(keep_time(app.hub.clone()));
        let mut accepting = true;
        info!(addr = %local, "HTTP is listening.");
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                () = &mut time => {}
                Some(done) = tasks.join_next(), if !tasks.is_empty() => on_done(done),
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        accepting = true;
                        if tasks.len() < limits.connections_max {
                            let router = TowerToHyperService::new(router.clone());
                            let connection =
                                serve(Arc::clone(&app), router, stream, peer, ended.clone());
                            tasks.spawn(connection);
                        } else {
                            increment(&app.counters.refused);
                            if tasks.len() < limits.connections_max.saturating_add(REFUSALS_MAX) {
                                tasks.spawn(refuse(stream, limits.drain_timeout));
                            }
                        }
                    }
                    Err(error) => {
                        if std::mem::replace(&mut accepting, false) {
                            warn!(%error, "HTTP cannot accept connections; it goes on trying.");
                        }
                        tokio::time::sleep(ACCEPT_RETRY).await;
                    }
                },
            }
        }
        drop(listener);
        app.end();
        // An error says that no connection is left to tell.
        let _ = ending.send(true);
        let drained = async { while tasks.join_next().await.map(on_done).is_some() {} };
        let _ = tokio::time::timeout(limits.shutdown_timeout, drained).await;
        tasks.shutdown().await;
        app.choruses.end();
        info!(addr = %local, "HTTP has ended.");
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("local", &self.local).finish_non_exhaustive()
    }
}

/// Serves one connection to its end.
async fn serve(
    app: Arc<App>,
    router: TowerToHyperService<Router>,
    mut stream: TcpStream,
    peer: SocketAddr,
    mut ending: watch::Receiver<bool>,
) {
    increment(&app.counters.opened);
    let _closed = Closed(Arc::clone(&app));
    // A socket that its peer has reset meanwhile has no address: nobody is left to serve.
    let Ok(local) = stream.local_addr() else { return };
    let _ = stream.set_nodelay(true);
    let connection = Arc::new(Connection::new(local));
    let Limits { head_bytes_max, head_timeout, .. } = app.options.limits;
    // What is needed for a short time only is in boxes, so that a subscriber's task is small.
    let mut read = Box::pin(direct::read(&mut stream, head_bytes_max, head_timeout));
    let begun = tokio::select! {
        biased;
        _ = ending.changed() => return,
        begun = &mut read => begun,
    };
    drop(read);
    let Some(mut begun) = begun else { return };
    let opened = direct::open(&app, &begun, &connection);
    if let Some(Opened::Ws(ws)) = opened {
        let stream = StallStream::new(stream, Bytes::new(), Arc::clone(&app));
        return Box::pin(ws.run(stream, app, ending)).await;
    }
    if let Some(Opened::Sse(direct)) = opened {
        drop(begun);
        let mut writer = Writer::new(stream, direct, Arc::clone(&app));
        let result = write_all(&mut writer, &app, &connection, &mut ending).await;
        match writer.finish(&result) {
            Outcome::Ended { rest, stream: open } if !connection.is_closing() => {
                (stream, begun) = (open, rest);
            }
            _ => return,
        }
    }
    let is_http2 = begun.starts_with(HTTP2_PREFACE);
    let stream = StallStream::new(stream, begun.into(), Arc::clone(&app));
    if is_http2 {
        Box::pin(serve_http2(app, router, stream, peer, connection, ending)).await;
    } else {
        Box::pin(serve_any(app, router, stream, peer, connection, ending)).await;
    }
}

/// Writes a stream to its end, which comes at the latest when the server ends.
///
/// A subscriber is woken at each event, so that looking at the server's end must cost next to
/// nothing: the channel is asked once, to be woken by it.
async fn write_all(
    writer: &mut Writer,
    app: &App,
    connection: &Connection,
    ending: &mut watch::Receiver<bool>,
) -> io::Result<()> {
    let mut changed = pin!(ending.changed());
    let mut waker: Option<Waker> = None;
    poll_fn(|cx| {
        // First, so that streams end because the server does and not with an error because their
        // topics do.
        if !connection.is_closing() {
            let known = waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
            if app.is_ending() || !known && changed.as_mut().poll(cx).is_ready() {
                connection.close();
            }
            if !known {
                waker = Some(cx.waker().clone());
            }
        }
        writer.poll(cx)
    })
    .await
}

/// Serves whatever a connection asks for.
async fn serve_any(
    app: Arc<App>,
    router: TowerToHyperService<Router>,
    stream: StallStream,
    peer: SocketAddr,
    connection: Arc<Connection>,
    mut ending: watch::Receiver<bool>,
) {
    let limits = &app.options.limits;
    let service = ConnectionService { router, connection: Arc::clone(&connection) };
    let mut http = builder(limits).serve_connection(TokioIo::new(stream), service);
    let result = loop {
        let finished = poll_fn(|cx| http.poll_without_shutdown(cx));
        tokio::select! {
            // First, so that streams end because the server does and not with an error because
            // their topics do.
            biased;
            _ = ending.changed(), if !connection.is_closing() => {}
            result = finished => break result,
        }
        connection.close();
        Pin::new(&mut http).graceful_shutdown();
    };
    if let Err(error) = &result {
        debug!(%peer, %error, "An HTTP connection broke.");
        if !error.is_parse() && !error.is_parse_too_large() {
            return;
        }
    }
    if connection.is_closing() {
        // The server ends; a client that keeps its side open is not waited for.
        return;
    }
    let parts = http.into_parts();
    if let Some(then) = connection.after.take() {
        let stream = pointstream_net::Stream::other(parts.io.into_inner());
        let mut served = pin!(then(stream, parts.read_buf));
        tokio::select! {
            () = &mut served => {}
            _ = ending.changed() => {}
        }
        return;
    }
    drain(parts.io.into_inner().into_inner(), limits).await;
}

/// Serves a connection that begins with HTTP/2, as clients do that know of it beforehand. A stream
/// of a subscriber is pulled only when its window and the socket have room.
async fn serve_http2(
    app: Arc<App>,
    router: TowerToHyperService<Router>,
    stream: StallStream,
    peer: SocketAddr,
    connection: Arc<Connection>,
    mut ending: watch::Receiver<bool>,
) {
    let limits = &app.options.limits;
    let service = ConnectionService { router, connection: Arc::clone(&connection) };
    let max = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
    let (closing, closed) = watch::channel(false);
    let mut http = http2::Builder::new(Tasks { tasks: Arc::default(), closed })
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_max)
        .max_header_list_size(max(limits.head_bytes_max))
        .max_send_buf_size(BUFFER_BYTES_MAX)
        // A peer that is gone without a word is found out, since it answers no ping.
        .keep_alive_interval(limits.head_timeout)
        .keep_alive_timeout(limits.head_timeout)
        .serve_connection(TokioIo::new(stream), service);
    let result = loop {
        tokio::select! {
            biased;
            _ = ending.changed(), if !connection.is_closing() => {}
            result = &mut http => break result,
        }
        connection.close();
        closing.send_replace(true);
        Pin::new(&mut http).graceful_shutdown();
    };
    if let Err(error) = &result {
        debug!(%peer, %error, "An HTTP/2 connection broke.");
    }
}

/// The tasks of one HTTP/2 connection, which end with it.
#[derive(Clone)]
struct Tasks {
    tasks: Arc<Mutex<JoinSet<()>>>,
    /// Wakes them once, so that each looks at whether its connection is closing.
    closed: watch::Receiver<bool>,
}

impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: F) {
        let mut closed = self.closed.clone();
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(done) = tasks.try_join_next() {
            on_done(done);
        }
        tasks.spawn(async move {
            let mut future = pin!(future);
            tokio::select! {
                biased;
                _ = closed.changed() => {}
                _ = &mut future => return,
            }
            future.await;
        });
    }
}

fn builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_header_size(limits.head_bytes_max)
        // Also the bytes beyond which no further event is pulled for a client that takes none.
        .max_buf_size(BUFFER_BYTES_MAX.max(limits.head_bytes_max));
    builder
}

/// Ends a connection so that the client reads the last answer: closing a socket that holds unread
/// bytes resets it, and a reset throws away what the client has not read.
async fn drain(mut stream: TcpStream, limits: &Limits) {
    let drained = async {
        stream.shutdown().await?;
        let mut buffer = [0; 4_096];
        let mut left = limits.drain_bytes_max;
        loop {
            match stream.read(&mut buffer).await? {
                0 => return Ok::<_, io::Error>(()),
                read if read >= left => return Ok(()),
                read => left -= read,
            }
        }
    };
    // Whether the client has closed or not, the connection ends here.
    let _ = tokio::time::timeout(limits.drain_timeout, drained).await;
}

/// Answers a connection beyond the limit.
async fn refuse(mut stream: TcpStream, timeout: Duration) {
    let refused = async {
        stream.write_all(REFUSAL.as_bytes()).await?;
        stream.shutdown().await?;
        let mut buffer = [0; 1_024];
        while stream.read(&mut buffer).await? > 0 {}
        Ok::<_, io::Error>(())
    };
    let _ = tokio::time::timeout(timeout, refused).await;
}

fn on_done(done: Result<(), JoinError>) {
    if let Err(error) = done
        && error.is_panic()
    {
        error!(%error, "An HTTP connection panicked.");
    }
}

/// Counts a connection's end, however it comes.
struct Closed(Arc<App>);

impl Drop for Closed {
    fn drop(&mut self) {
        increment(&self.0.counters.closed);
    }
}

/// The routes, with what they know of the connection.
struct ConnectionService {
    router: TowerToHyperService<Router>,
    connection: Arc<Connection>,
}

impl Service<Request<Incoming>> for ConnectionService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(Arc::clone(&self.connection));
        Box::pin(self.router.call(request))
    }
}

/// How a connection of HTTP/2 begins (RFC 9113, section 3.4), up to the empty line.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\n";

/// Connections beyond the limit that are told so at a time; yet another one is closed unanswered.
const REFUSALS_MAX: usize = 64;

/// The wait after a connection could not be accepted, as when the process is out of files.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// What a connection may buffer in either direction, one event apart.
const BUFFER_BYTES_MAX: usize = 16 << 10;

const REFUSAL: &str = concat!(
    "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 5\r\n",
    "connection: close\r\ncontent-length: 114\r\n\r\n",
    r#"{"error":{"status":503,"title":"Too many connections","#,
    r#""detail":"The limit of connections is reached; try later."}}"#
);
