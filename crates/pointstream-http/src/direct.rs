//! Plain subscriptions over HTTP/1.1, served without the HTTP library.
//!
//! Most connections of a hub are subscribers that wait, and a library that could serve anything
//! keeps buffers for anything. So the head of a connection's first request is read here. If it is a
//! plain subscription that the guard lets pass, a [`Writer`] sends the hub's shared bytes, by itself or
//! together with others who have the same; every other connection goes to the library with the bytes that were read, as does one whose stream has
//! ended. What a client sees is the same, byte for byte.

mod chorus;
mod chunk;
mod head;
mod writer;
mod ws;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

pub(crate) use chorus::Choruses;
pub(crate) use head::read;
pub(crate) use writer::{Outcome, Writer};
pub(crate) use ws::Ws;

use crate::clock;
use crate::guard;
use crate::routes::topics;
use crate::sse::{Feed, Stream};
use crate::state::{App, Connection};
use crate::wants;

/// A subscription that is served here.
pub(crate) struct Direct {
    /// The answer's head.
    pub(crate) head: Bytes,
    pub(crate) feed: Feed,
    /// What the client sent after the request.
    pub(crate) rest: Vec<u8>,
}

/// What is served here.
pub(crate) enum Opened {
    /// An event stream.
    Sse(Direct),
    /// A WebSocket.
    Ws(Ws),
}

/// What `bytes`, the beginning of a connection, ask for; none if the library has to answer, as it
/// does whatever the guard or the hub refuses.
pub(crate) fn open(app: &Arc<App>, bytes: &[u8], connection: &Arc<Connection>) -> Option<Opened> {
    let head = head::parse(bytes)?;
    let id = head.uri.path().strip_prefix(head::TOPICS)?;
    let local: SocketAddr = connection.local;
    guard::check(app, &head.uri, &head.headers, local).ok()?;
    let subscription = topics::subscribe(app, id, &head.uri, &head.headers);
    let stream = Stream::new(Arc::clone(app));
    let rest = bytes.get(head.len..).unwrap_or_default().to_vec();
    if let Some(key) = &head.accept_key {
        // A client of WebSocket sees the reason only in a message.
        let mut headers = HeaderMap::new();
        guard::seal(app, StatusCode::SWITCHING_PROTOCOLS, &head.headers, &mut headers);
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, HeaderValue::from_str(key).ok()?);
        let head = render("101 Switching Protocols", &headers);
        return Some(Opened::Ws(Ws::new(head, stream, subscription, rest)));
    }
    let gzip = wants::gzip(&head.uri, &head.headers);
    let stream = stream.padded(wants::pad(&head.uri, &head.headers));
    let feed = stream.follow(subscription.ok()?, Some(Arc::clone(connection)), gzip);
    let mut headers = feed.headers();
    guard::seal(app, StatusCode::OK, &head.headers, &mut headers);
    headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    if let Ok(date) = HeaderValue::from_str(&clock::http_date()) {
        headers.insert(header::DATE, date);
    }
    Some(Opened::Sse(Direct { head: render("200 OK", &headers), feed, rest }))
}

/// The head of an answer.
fn render(status: &str, headers: &HeaderMap) -> Bytes {
    let mut head = Vec::with_capacity(1_024);
    head.extend_from_slice(format!("HTTP/1.1 {status}\r\n").as_bytes());
    for (name, value) in headers {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head.into()
}
