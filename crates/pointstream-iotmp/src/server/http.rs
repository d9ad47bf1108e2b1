//! The devices of a server over HTTP, under the addresses of the protocol's own service.
//!
//! | address | |
//! |---|---|
//! | `GET /v3/users/{user}/devices` | the devices of a user that are connected |
//! | `GET /v3/users/{user}/devices/{device}/resources` | what the device has |
//! | `GET …/resources/{path}` | reads an output; what an input takes |
//! | `POST …/resources/{path}` | runs a resource with the JSON of the body |
//! | WebSocket or server-sent events on `…/resources/{path}` | what the device tells of it; every 5 s with `?interval=5` |
//! | WebSocket on `…/resources` | several: `{"resource": "temp", "interval": 5, "enabled": true}` |
//! | server-sent events on `…/resources?resource=temp&resource=led` | several |
//!
//! Where several resources share a connection, each value is `{"resource": …, "data": …}`.

mod answer;
mod body;
mod live;
mod serve;

use core::time::Duration;
use std::borrow::ToOwned;
use std::boxed::Box;
use std::string::{String, ToString};
use std::vec::Vec;

use bytes::Bytes;
use form_urlencoded::parse;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use percent_encoding::percent_decode_str;
use pointstream_net::Stream;
use serde_json::{Value as Json, json};
use subtle::ConstantTimeEq;
use tokio::time::timeout;

pub use body::Body;

use self::answer::{error, of_call, of_join, reply};
use super::device::{BOTH, CallError, Device, INPUT};
use super::event::DeviceId;
use super::{Devices, Values};
use crate::Payload;
use crate::session::Secret;

/// The devices of a server, as HTTP shows them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Face {
    source: Source,
    options: Options,
}

/// Where the devices come from.
#[derive(Clone, Debug)]
enum Source {
    Server(Devices),
    #[cfg(feature = "driver")]
    Connectors(crate::Servers),
}

impl Source {
    fn find(&self, id: &DeviceId) -> Option<Device> {
        match self {
            Self::Server(devices) => devices.find(id),
            #[cfg(feature = "driver")]
            Self::Connectors(servers) => servers.find(id),
        }
    }

    fn list(&self) -> Vec<Device> {
        match self {
            Self::Server(devices) => devices.list(),
            #[cfg(feature = "driver")]
            Self::Connectors(servers) => servers.devices().iter().flat_map(Devices::list).collect(),
        }
    }
}

/// How a [`Face`] behaves.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// What requests must carry, as `Authorization: Bearer` or as the query's `authorization`. Without,
    /// only a listener on loopback is served.
    pub token: Option<Secret>,
    /// Whether a server around it has looked at the host, the origin and a token already.
    pub guarded: bool,
}

impl Options {
    /// These options behind a server that looks at the host, the origin and a token itself.
    #[must_use]
    pub const fn behind_a_guard(mut self) -> Self {
        self.guarded = true;
        self
    }

    /// These options with a token that requests must carry.
    #[must_use]
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(Secret::from(token.into()));
        self
    }
}

/// What a request is answered.
#[non_exhaustive]
pub struct Answer {
    /// The response.
    pub response: Response<Body>,
    /// What is to be run with the connection when the response is sent, where it became a WebSocket.
    pub then: Option<Then>,
}

/// What follows an answer that makes a WebSocket of its connection.
pub struct Then(Followed);

impl Then {
    /// Serves the WebSocket until either side ends it. `read` is what was read of the connection behind
    /// the request.
    ///
    /// # Cancel safety
    ///
    /// A dropped call ends the connection.
    pub async fn run(self, stream: Stream, read: &[u8]) {
        live::run(stream, read, self.0).await;
    }
}

impl core::fmt::Debug for Then {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Then")
    }
}

impl core::fmt::Debug for Answer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Answer").field("response", &self.response.status()).finish_non_exhaustive()
    }
}

impl From<Response<Body>> for Answer {
    fn from(response: Response<Body>) -> Self {
        Self { response, then: None }
    }
}

/// The longest body that a request may have, in bytes.
pub const BODY_LEN_MAX: usize = 64 * 1024;
/// How long a body may take to come.
const BODY_TIME: Duration = Duration::from_secs(10);
/// How many resources one connection may follow.
pub const FOLLOWED_MAX: usize = 64;

/// What an address asks for.
enum Place {
    Devices { user: String },
    Resources(DeviceId),
    Resource(DeviceId, String),
}

impl Face {
    /// The devices of a server.
    pub const fn new(devices: Devices, options: Options) -> Self {
        Self { source: Source::Server(devices), options }
    }

    /// The devices of the connectors of a registry.
    #[cfg(feature = "driver")]
    pub const fn of_connectors(servers: crate::Servers, options: Options) -> Self {
        Self { source: Source::Connectors(servers), options }
    }

    /// Answers a request.
    ///
    /// # Cancel safety
    ///
    /// A dropped call may have run its resource.
    pub async fn handle<B>(&self, request: Request<B>) -> Answer
    where
        B: http_body::Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn core::error::Error + Send + Sync>>,
    {
        if let Err(refused) = self.admit(&request) {
            return (*refused).into();
        }
        let Some(place) = place(request.uri().path()) else {
            return error(StatusCode::NOT_FOUND, "there is nothing at this address").into();
        };
        let query = Query::read(request.uri().query().unwrap_or_default());
        let query = match query {
            Ok(query) => query,
            Err(text) => return error(StatusCode::BAD_REQUEST, text).into(),
        };
        let get = request.method() == Method::GET;
        if get && is_websocket(request.headers()) {
            return self.open(request.headers(), place, &query);
        }
        if get && wants_events(request.headers()) {
            return self.events(place, &query).into();
        }
        match (request.method().clone(), place) {
            (Method::GET, Place::Devices { user }) => self.list(&user).into(),
            (Method::GET, Place::Resources(id)) => match self.find(&id) {
                Ok(device) => reply(device.describe(None).await).into(),
                Err(refused) => (*refused).into(),
            },
            (Method::GET, Place::Resource(id, path)) => match self.find(&id) {
                Ok(device) => read(&device, &path).await.into(),
                Err(refused) => (*refused).into(),
            },
            (Method::POST, Place::Resource(id, path)) => match self.find(&id) {
                Ok(device) => write(&device, &path, request.into_body()).await.into(),
                Err(refused) => (*refused).into(),
            },
            _ => error(StatusCode::METHOD_NOT_ALLOWED, "this address takes other methods").into(),
        }
    }

    /// Whether whoever asks may.
    fn admit<B>(&self, request: &Request<B>) -> Result<(), Box<Response<Body>>> {
        if self.options.guarded {
            return Ok(());
        }
        let headers = request.headers();
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        // A page of another site may not, whatever it knows.
        if let Some(origin) = headers.get(header::ORIGIN) {
            let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
            if origin.map(|(_, host)| host) != text(header::HOST) {
                let text = "a page of another site may not use this server";
                return Err(Box::new(error(StatusCode::FORBIDDEN, text)));
            }
        }
        let Some(token) = &self.options.token else {
            // A name that a stranger points at this machine opens nothing.
            let host = text(header::HOST).unwrap_or_default();
            return if is_local(host) {
                Ok(())
            } else {
                let text = "without a token, only requests to a loopback address are served";
                Err(Box::new(error(StatusCode::FORBIDDEN, text)))
            };
        };
        let bearer = text(header::AUTHORIZATION).and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
        });
        let given = bearer.or_else(|| {
            let mut pairs = parse(request.uri().query().unwrap_or_default().as_bytes());
            pairs.find(|(name, _)| name == "authorization").map(|(_, token)| token.into_owned())
        });
        let same = |given: &String| token.expose().as_bytes().ct_eq(given.as_bytes()).into();
        if given.as_ref().is_some_and(same) {
            return Ok(());
        }
        let mut refused = error(StatusCode::UNAUTHORIZED, "the token of this server is needed");
        let challenge = http::HeaderValue::from_static("Bearer");
        refused.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        Err(Box::new(refused))
    }

    fn find(&self, id: &DeviceId) -> Result<Device, Box<Response<Body>>> {
        let device = self.source.find(id);
        device.ok_or_else(|| Box::new(of_call(&CallError::Offline)))
    }

    fn list(&self, user: &str) -> Response<Body> {
        let all = self.source.list();
        let mine = all.iter().filter(|device| device.id().user == user && device.is_connected());
        let mut names: Vec<_> = mine.map(|device| device.id().device.as_str()).collect();
        names.sort_unstable();
        answer::json(StatusCode::OK, &json!(names))
    }

    /// What a place and a query want to follow.
    fn follow(&self, place: Place, query: &Query) -> Result<Followed, Box<Response<Body>>> {
        let join = |device: &Device, name: &str| -> Result<Values, Box<Response<Body>>> {
            device.stream(name, query.interval).map_err(|error| Box::new(of_join(error)))
        };
        match place {
            Place::Resource(id, path) => {
                let device = self.find(&id)?;
                let values = join(&device, &path)?;
                Ok(Followed { device, values: [(path, values)].into(), named: false })
            }
            Place::Resources(id) => {
                let device = self.find(&id)?;
                let names = query.resources.iter().take(FOLLOWED_MAX);
                let values = names.map(|name| Ok((name.clone(), join(&device, name)?)));
                let values: Result<Vec<_>, Box<Response<Body>>> = values.collect();
                Ok(Followed { device, values: values?, named: true })
            }
            Place::Devices { .. } => {
                Err(Box::new(error(StatusCode::NOT_FOUND, "only resources can be followed")))
            }
        }
    }

    fn events(&self, place: Place, query: &Query) -> Response<Body> {
        let followed = match self.follow(place, query) {
            Ok(followed) => followed,
            Err(refused) => return *refused,
        };
        if followed.values.is_empty() {
            let text = "name the resources in the query: ?resource=temp&resource=led";
            return error(StatusCode::BAD_REQUEST, text);
        }
        let mut response = Response::new(Body::events(followed));
        let headers = response.headers_mut();
        let event_stream = http::HeaderValue::from_static("text/event-stream");
        headers.insert(header::CONTENT_TYPE, event_stream);
        headers.insert(header::CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
        response
    }

    fn open(&self, headers: &HeaderMap, place: Place, query: &Query) -> Answer {
        let version = headers.get(header::SEC_WEBSOCKET_VERSION);
        let key = headers.get(header::SEC_WEBSOCKET_KEY).cloned();
        let Some(key) = key.filter(|_| version.is_some_and(|version| version == "13")) else {
            let text = "WebSocket of version 13 with a key is needed";
            return error(StatusCode::BAD_REQUEST, text).into();
        };
        let followed = match self.follow(place, query) {
            Ok(followed) => followed,
            Err(refused) => return (*refused).into(),
        };
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let accept = pointstream_net::ws::accept_key(key.as_bytes());
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, http::HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, http::HeaderValue::from_static("websocket"));
        if let Ok(accept) = http::HeaderValue::try_from(accept) {
            headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        }
        Answer { response, then: Some(Then(followed)) }
    }
}

/// What one connection follows.
pub(crate) struct Followed {
    pub(crate) device: Device,
    pub(crate) values: Vec<(String, Values)>,
    /// Whether each value says of which resource it is.
    pub(crate) named: bool,
}

impl Followed {
    pub(crate) fn text(&self, resource: &str, value: &Payload) -> String {
        let data = value.value().to_json();
        if self.named {
            json!({ "resource": resource, "data": data }).to_string()
        } else {
            data.to_string()
        }
    }
}

/// Reads a resource. What it is is looked up, since to run an input without a value writes nothing
/// good, and a GET must not set anything off.
async fn read(device: &Device, path: &str) -> Response<Body> {
    match device.kind(path).await {
        Some(RUN) => {
            let text = "this resource does something: POST sets it off";
            error(StatusCode::METHOD_NOT_ALLOWED, text)
        }
        Some(INPUT | BOTH) => reply(device.describe(Some(path)).await),
        _ => reply(device.run(path, None).await),
    }
}

/// The kind of a resource that only runs.
const RUN: u64 = 1;

async fn write<B>(device: &Device, path: &str, body: B) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn core::error::Error + Send + Sync>>,
{
    let bytes = match timeout(BODY_TIME, Limited::new(body, BODY_LEN_MAX).collect()).await {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(broken)) if broken.is::<LengthLimitError>() => {
            return error(StatusCode::PAYLOAD_TOO_LARGE, "a body has 64 KiB at most");
        }
        Ok(Err(_)) => return error(StatusCode::BAD_REQUEST, "the body did not come whole"),
        Err(_) => return error(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"),
    };
    let payload = if bytes.is_empty() {
        None
    } else {
        let parsed = serde_json::from_slice::<Json>(&bytes);
        let payload = parsed
            .map_err(|error| error.to_string())
            .and_then(|json| Payload::new(&json).map_err(|error| error.to_string()));
        match payload {
            Ok(payload) => Some(payload),
            Err(text) => return error(StatusCode::BAD_REQUEST, &text),
        }
    };
    reply(device.run(path, payload).await)
}

/// What a query asks for.
#[derive(Debug, Default, PartialEq)]
struct Query {
    interval: Option<Duration>,
    resources: Vec<String>,
}

impl Query {
    fn read(text: &str) -> Result<Self, &'static str> {
        let mut query = Self::default();
        for (name, value) in parse(text.as_bytes()) {
            match &*name {
                "interval" => query.interval = interval(&value)?,
                "resource" => query.resources.push(value.into_owned()),
                _ => {}
            }
        }
        Ok(query)
    }
}

/// An interval in seconds; none for zero.
fn interval(text: &str) -> Result<Option<Duration>, &'static str> {
    let bad = "an interval is a number of seconds, such as 5 or 0.5";
    let secs: f64 = text.parse().map_err(|_| bad)?;
    seconds(secs).ok_or(bad)
}

fn seconds(secs: f64) -> Option<Option<Duration>> {
    let interval = Duration::try_from_secs_f64(secs).ok()?;
    Some((!interval.is_zero()).then_some(interval))
}

fn place(path: &str) -> Option<Place> {
    let rest = path.strip_prefix("/v3/users/")?;
    let (user, rest) = rest.split_once("/devices")?;
    let user = decoded(user)?;
    let Some(rest) = rest.strip_prefix('/').filter(|rest| !rest.is_empty()) else {
        return rest.trim_start_matches('/').is_empty().then_some(Place::Devices { user });
    };
    let (device, rest) = rest.split_once("/resources")?;
    let id = DeviceId::new(user, decoded(device)?);
    match rest.strip_prefix('/') {
        None if !rest.is_empty() => None,
        None | Some("") => Some(Place::Resources(id)),
        Some(resource) => Some(Place::Resource(id, decoded_path(resource)?)),
    }
}

/// One part of a path, which has no slash before it is decoded.
fn decoded(part: &str) -> Option<String> {
    if part.is_empty() || part.contains('/') {
        return None;
    }
    decoded_path(part)
}

fn decoded_path(path: &str) -> Option<String> {
    percent_decode_str(path).decode_utf8().ok().map(|text| text.to_string())
}

fn is_websocket(headers: &HeaderMap) -> bool {
    let upgrade = headers.get(header::UPGRADE).and_then(|value| value.to_str().ok());
    upgrade.is_some_and(|upgrade| upgrade.eq_ignore_ascii_case("websocket"))
}

fn wants_events(headers: &HeaderMap) -> bool {
    let mut accept = headers.get_all(header::ACCEPT).iter();
    accept.any(|value| value.to_str().is_ok_and(|value| value.contains("text/event-stream")))
}

/// Whether a host, with or without a port, is a loopback address or `localhost`.
fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let loopback = name.parse::<core::net::IpAddr>().is_ok_and(|addr| addr.is_loopback());
    loopback || name.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let show = |path: &str| match place(path) {
            None => String::from("none"),
            Some(Place::Devices { user }) => user,
            Some(Place::Resources(id)) => std::format!("{id} all"),
            Some(Place::Resource(id, path)) => std::format!("{id} {path}"),
        };
        for (path, expected) in [
            ("/v3/users/ada/devices", "ada"),
            ("/v3/users/ada/devices/", "ada"),
            ("/v3/users/ada/devices/boiler/resources", "ada/boiler all"),
            ("/v3/users/ada/devices/boiler/resources/", "ada/boiler all"),
            ("/v3/users/ada/devices/boiler/resources/t", "ada/boiler t"),
            ("/v3/users/ada/devices/boiler/resources/$fs/get/a", "ada/boiler $fs/get/a"),
            ("/v3/users/a%20da/devices/b%2Fx/resources/%C3%B1", "a da/b/x ñ"),
            ("/v3/users/ada/devices/boiler", "none"),
            ("/v3/users//devices/boiler/resources", "none"),
            ("/v3/users/ada/devices/a/b/resources/t", "none"),
            ("/v3/users/ada/devices/boiler/resourcesx", "none"),
            ("/v3/users/ada/devices/%FF/resources", "none"),
            ("/", "none"),
        ] {
            assert_eq!(show(path), expected, "{path}");
        }
    }

    #[test]
    fn intervals_are_seconds() {
        let query = Query::read("interval=0.5&resource=a&resource=b%20c&x=1").unwrap();
        assert_eq!(query.interval, Some(Duration::from_millis(500)));
        assert_eq!(query.resources, ["a", "b c"]);
        assert_eq!(Query::read("interval=0").unwrap().interval, None);
        for bad in ["interval=-1", "interval=x", "interval=NaN", "interval=1e300"] {
            assert!(Query::read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_loopback_is_local() {
        for (host, local) in [
            ("127.0.0.1:80", true),
            ("127.8.8.8", true),
            ("[::1]:8080", true),
            ("localhost:1", true),
            ("example.org", false),
            ("192.168.1.1:80", false),
            ("127.0.0.1.example.org", false),
            ("", false),
        ] {
            assert_eq!(is_local(host), local, "{host}");
        }
    }
}
