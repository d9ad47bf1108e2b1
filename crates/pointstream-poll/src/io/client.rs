use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use pointstream_net::{Endpoint, Stream};
use tokio::time::{Instant, timeout_at};

use super::body;
use crate::{Answer, Fetch, FetchError, Targets, url};

/// Sends what a poller wants fetched, each time to an address that was checked; keeps the connection
/// for the next time where the server does.
pub struct Client {
    options: ClientOptions,
    idle: Option<Connection>,
    #[cfg(feature = "tls")]
    tls: Option<(String, pointstream_net::ClientTls)>,
}

/// How a client reaches its targets.
#[derive(Clone)]
#[non_exhaustive]
pub struct ClientOptions {
    /// What may be fetched from.
    pub targets: Targets,
    /// By what names are resolved.
    pub resolver: Arc<dyn Resolve>,
    /// The authorities of targets with https, as PEM; those of Mozilla unless given.
    pub ca_pem: Option<Vec<u8>>,
}

impl ClientOptions {
    /// Names are resolved by the system, and certificates have to be of an authority of Mozilla's
    /// list.
    pub fn new(targets: Targets) -> Self {
        Self { targets, resolver: Arc::new(SystemResolver), ca_pem: None }
    }
}

impl fmt::Debug for ClientOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientOptions").field("targets", &self.targets).finish_non_exhaustive()
    }
}

/// The addresses of a name.
pub type Lookup<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;

/// Finds the addresses of a name.
pub trait Resolve: Send + Sync {
    /// The addresses of `host`, each with `port`.
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Lookup<'a>;
}

/// The resolver of the operating system.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Lookup<'a> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}

type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// An open connection to an origin.
struct Connection {
    origin: Uri,
    sender: SendRequest<Full<Bytes>>,
    /// Has to be polled for anything to happen.
    driver: Driver,
}

impl Client {
    /// A client without a connection so far.
    pub fn new(options: ClientOptions) -> Self {
        Self {
            options,
            idle: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Sends a request and reads the whole answer.
    ///
    /// *Cancel safety*: a dropped future closes its connection; nothing else is lost.
    ///
    /// # Errors
    ///
    /// Whatever keeps an answer from coming whole, within the limits of the request.
    pub async fn fetch(&mut self, fetch: &Fetch) -> Result<Answer, FetchError> {
        let deadline = Instant::now() + fetch.timeout;
        let done = timeout_at(deadline, self.fetch_by(fetch, deadline)).await;
        done.unwrap_or(Err(FetchError::TimedOut))
    }

    async fn fetch_by(&mut self, fetch: &Fetch, deadline: Instant) -> Result<Answer, FetchError> {
        // Also for a connection that is kept: what may be fetched is asked each time.
        if !self.options.targets.may_resolve(&fetch.url) {
            return Err(FetchError::Refused);
        }
        if let Some(kept) = self.idle.take().filter(|kept| kept.serves(&fetch.url)) {
            match self.exchange(kept, fetch).await {
                // A server may close a connection that it kept at any time.
                Err(FetchError::Broken) => {}
                done => return done,
            }
        }
        let stream = self.connect(&fetch.url, deadline).await?;
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(HEAD_BYTES_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|_| FetchError::Broken)?;
        let connection = Connection { origin: fetch.url.clone(), sender, driver: Box::pin(driver) };
        self.exchange(connection, fetch).await
    }

    async fn exchange(
        &mut self,
        mut connection: Connection,
        fetch: &Fetch,
    ) -> Result<Answer, FetchError> {
        let request = request(fetch)?;
        let Connection { sender, driver, .. } = &mut connection;
        let asked = async {
            sender.ready().await.map_err(|_| FetchError::Broken)?;
            let response = sender.send_request(request).await.map_err(|_| FetchError::Broken)?;
            let (head, body): (_, Incoming) = Response::into_parts(response);
            let body = body::read(&head.headers, body, fetch.body_bytes_max).await?;
            Ok(Answer { status: head.status, headers: head.headers, body })
        };
        let (answer, open) = {
            let mut asked = std::pin::pin!(asked);
            tokio::select! {
                // First the driver, which brings what the other one waits for; when it has ended, what
                // it brought is still there to be read.
                biased;
                _ = driver => (asked.await, false),
                answer = &mut asked => (answer, true),
            }
        };
        if open && answer.is_ok() && !connection.sender.is_closed() {
            self.idle = Some(connection);
        }
        answer
    }

    /// Connects to an address of the URL's host, if all of them may be connected to.
    async fn connect(&mut self, url: &Uri, deadline: Instant) -> Result<Stream, FetchError> {
        let (host, port) = (url::host(url), url::port(url));
        let found = self.options.resolver.resolve(&host, port).await;
        let addresses = found.map_err(|_| FetchError::Dns)?;
        if addresses.is_empty() {
            return Err(FetchError::Dns);
        }
        let allowed = |addr: &SocketAddr| self.options.targets.may_connect(url, *addr);
        if !addresses.iter().all(allowed) {
            return Err(FetchError::Refused);
        }
        let mut last = FetchError::Connect;
        for (index, address) in addresses.iter().take(ADDRESSES_MAX).enumerate() {
            let left = deadline.saturating_duration_since(Instant::now());
            let others = addresses.len().min(ADDRESSES_MAX) - index;
            let share = left / u32::try_from(others).unwrap_or(1);
            // By number, so that no second look-up can lead elsewhere.
            let endpoint = Endpoint::tcp(&address.ip().to_string(), address.port())
                .map_err(|_| FetchError::Connect)?;
            match self.open(url, &host, &endpoint, share).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    #[cfg(feature = "tls")]
    async fn open(
        &mut self,
        url: &Uri,
        host: &str,
        endpoint: &Endpoint,
        timeout: std::time::Duration,
    ) -> Result<Stream, FetchError> {
        if !url::is_secure(url) {
            return plain(endpoint, timeout).await;
        }
        let known = self.tls.as_ref().filter(|(name, _)| name == host);
        let tls = if let Some((_, tls)) = known {
            tls.clone()
        } else {
            let mut builder =
                pointstream_net::ClientTls::builder().server_name(host).alpn(["http/1.1"]);
            if let Some(pem) = &self.options.ca_pem {
                builder = builder.ca_pem(pem);
            }
            let tls = builder.build().map_err(|_| FetchError::Tls)?;
            self.tls = Some((host.to_owned(), tls.clone()));
            tls
        };
        let opened = pointstream_net::dial_tls(endpoint, &tls, timeout).await;
        opened.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => FetchError::Tls,
            _ => FetchError::Connect,
        })
    }

    #[cfg(not(feature = "tls"))]
    #[expect(clippy::needless_pass_by_ref_mut, reason = "as with TLS, which keeps what it made")]
    async fn open(
        &mut self,
        url: &Uri,
        _host: &str,
        endpoint: &Endpoint,
        timeout: std::time::Duration,
    ) -> Result<Stream, FetchError> {
        if url::is_secure(url) {
            return Err(FetchError::Tls);
        }
        plain(endpoint, timeout).await
    }
}

async fn plain(endpoint: &Endpoint, timeout: std::time::Duration) -> Result<Stream, FetchError> {
    pointstream_net::dial(endpoint, timeout).await.map_err(|_| FetchError::Connect)
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Connection {
    fn serves(&self, url: &Uri) -> bool {
        !self.sender.is_closed() && url::same_origin(&self.origin, url)
    }
}

fn request(fetch: &Fetch) -> Result<Request<Full<Bytes>>, FetchError> {
    let target = fetch.url.path_and_query().map_or("/", |target| target.as_str());
    let mut request = Request::new(Full::new(fetch.body.clone()));
    *request.method_mut() = fetch.method.clone();
    *request.uri_mut() = target.parse().map_err(|_| FetchError::Refused)?;
    *request.headers_mut() = fetch.headers.clone();
    let authority = fetch.url.authority().map(|authority| authority.as_str()).unwrap_or_default();
    let host = HeaderValue::from_str(authority).map_err(|_| FetchError::Refused)?;
    request.headers_mut().insert(header::HOST, host);
    Ok(request)
}

/// The addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;

/// The bytes of an answer's head, and of what is read at a time.
const HEAD_BYTES_MAX: usize = 64 << 10;
