use core::fmt;
use core::pin::pin;
use core::time::Duration;
use std::collections::BTreeMap;
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, io};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use pointstream_net::{Endpoint, Stream, dial};
use tokio::time::timeout;

use super::event::DeviceId;
use super::services::ServiceError;
use crate::Payload;

/// HTTP servers that devices may call by name: the device says the name, the configuration the rest.
///
/// What the device sends is the body, as JSON; what is answered as JSON goes back to it. A device
/// chooses neither the address nor a header.
#[derive(Debug, Default)]
pub struct Endpoints {
    all: BTreeMap<String, HttpEndpoint>,
    #[cfg(feature = "tls")]
    tls: Option<pointstream_net::ClientTls>,
}

/// One HTTP server that devices may call.
#[derive(Clone)]
pub struct HttpEndpoint {
    method: Method,
    uri: Uri,
    target: Endpoint,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// Why an endpoint is none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointsError {
    /// The URL is none, or neither `http` nor `https`.
    #[error("{0:?} is no URL such as http://host:8080/path")]
    Url(String),
    /// The method or a header is none.
    #[error("{0:?} cannot be sent")]
    Head(String),
    /// This build has no TLS, or TLS cannot be set up.
    #[error("TLS: {0}")]
    Tls(String),
}

/// How long a call may take.
const CALL_TIME: Duration = Duration::from_secs(8);
/// The longest answer that is read, in bytes.
const ANSWER_LEN_MAX: usize = 64 * 1024;

impl HttpEndpoint {
    /// A POST to this URL.
    ///
    /// # Errors
    ///
    /// It is none.
    pub fn new(url: &str) -> Result<Self, EndpointsError> {
        let bad = || EndpointsError::Url(url.to_string());
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let port = match uri.scheme_str() {
            Some("http") => 80,
            Some("https") if cfg!(feature = "tls") => 443,
            Some("https") => return Err(EndpointsError::Tls("this build has none".into())),
            _ => return Err(bad()),
        };
        let host = uri.host().ok_or_else(bad)?.trim_matches(['[', ']']);
        let port = uri.port_u16().unwrap_or(port);
        let target = Endpoint::tcp(host, port).map_err(|_| bad())?;
        Ok(Self { method: Method::POST, uri, target, headers: Vec::new() })
    }

    /// This endpoint with another method.
    ///
    /// # Errors
    ///
    /// It is none.
    pub fn with_method(mut self, method: &str) -> Result<Self, EndpointsError> {
        let bad = |_| EndpointsError::Head(method.to_string());
        self.method = Method::from_bytes(method.as_bytes()).map_err(bad)?;
        Ok(self)
    }

    /// This endpoint with a header, whose value is not shown.
    ///
    /// # Errors
    ///
    /// It is none.
    pub fn with_header(mut self, name: &str, value: &str) -> Result<Self, EndpointsError> {
        let bad = || EndpointsError::Head(name.to_string());
        let name = HeaderName::try_from(name).map_err(|_| bad())?;
        let value = HeaderValue::try_from(value).map_err(|_| bad())?;
        self.headers.push((name, value));
        Ok(self)
    }

    fn request(&self, body: String) -> Result<Request<Full<Bytes>>, http::Error> {
        let target = self.uri.path_and_query().map_or("/", |target| target.as_str());
        let host = self.uri.authority().map_or("", |authority| authority.as_str());
        // Who is named in the URL is nobody's business.
        let host = host.rsplit('@').next().unwrap_or_default();
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(target)
            .header(header::HOST, host)
            .header(header::CONTENT_TYPE, "application/json");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(Full::new(body.into()))
    }
}

impl Endpoints {
    /// No endpoints.
    pub fn new() -> Self {
        Self::default()
    }

    /// These endpoints and one of this name.
    #[must_use]
    pub fn with(mut self, name: &str, endpoint: HttpEndpoint) -> Self {
        self.all.insert(name.to_string(), endpoint);
        self
    }

    /// These endpoints, trusting what this says for `https`; without, the authorities of browsers.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn with_tls(mut self, tls: pointstream_net::ClientTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Whether there is one of this name.
    pub fn has(&self, name: &str) -> bool {
        self.all.contains_key(name)
    }

    /// Calls the endpoint of this name with a value of a device: what
    /// [`Services::call_endpoint`](super::Services::call_endpoint) is made of.
    ///
    /// # Errors
    ///
    /// There is none of this name; it cannot be reached, answers with an error or with something else
    /// than JSON, or takes longer than 8 s.
    ///
    /// # Cancel safety
    ///
    /// A dropped call may have been made.
    pub async fn call(
        &self,
        id: &DeviceId,
        name: &str,
        value: Option<&Payload>,
    ) -> Result<Option<Payload>, ServiceError> {
        let endpoint = self.all.get(name).ok_or(ServiceError::NotFound)?;
        let body = serde_json::json!({
            "user": id.user,
            "device": id.device,
            "payload": value.map(|value| value.value().to_json()),
        });
        match timeout(CALL_TIME, self.exchange(endpoint, body.to_string())).await {
            Ok(result) => result,
            Err(_) => Err(ServiceError::TimedOut),
        }
    }

    async fn exchange(
        &self,
        endpoint: &HttpEndpoint,
        body: String,
    ) -> Result<Option<Payload>, ServiceError> {
        let failed = |error: &dyn fmt::Display| ServiceError::Failed(error.to_string());
        let stream = self.open(endpoint).await.map_err(|error| failed(&error))?;
        let request = endpoint.request(body).map_err(|error| failed(&error))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
        let answered = async {
            let response = sender.send_request(request).await.map_err(|error| failed(&error))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_LEN_MAX).collect().await;
            let body = body.map_err(|error| failed(&error))?.to_bytes();
            if !status.is_success() {
                return Err(ServiceError::Failed(format!("the endpoint answered {status}")));
            }
            if body.is_empty() {
                return Ok(None);
            }
            let json: serde_json::Value =
                serde_json::from_slice(&body).map_err(|error| failed(&error))?;
            Payload::new(&json).map(Some).map_err(|error| failed(&error))
        };
        let mut answered = pin!(answered);
        // The connection is driven here and ends with the call, or with its answer.
        tokio::select! {
            biased;
            answered = &mut answered => answered,
            ended = connection => match ended {
                Ok(()) => answered.await,
                Err(error) => Err(failed(&error)),
            },
        }
    }

    async fn open(&self, endpoint: &HttpEndpoint) -> io::Result<Stream> {
        #[cfg(feature = "tls")]
        if endpoint.uri.scheme_str() == Some("https") {
            let own;
            let tls = match &self.tls {
                Some(tls) => tls,
                None => {
                    own =
                        pointstream_net::ClientTls::builder().build().map_err(io::Error::other)?;
                    &own
                }
            };
            return pointstream_net::dial_tls(&endpoint.target, tls, CALL_TIME).await;
        }
        dial(&endpoint.target, CALL_TIME).await
    }
}

impl fmt::Debug for HttpEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpEndpoint")
            .field("method", &self.method)
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}
