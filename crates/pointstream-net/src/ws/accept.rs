use core::time::Duration;
use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};
use tungstenite::handshake::derive_accept_key;

use super::{Side, WebSocket};
use crate::Stream;

/// What a server takes as the opening of a WebSocket connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WsAccept {
    /// The path that is asked for, without its query.
    pub path: String,
    /// The protocols that are spoken within. The first one that the client names is agreed on;
    /// a client that names some, none of them spoken, gets none.
    pub subprotocols: Vec<String>,
    /// The longest message that is read, in bytes.
    pub message_len_max: usize,
    /// Whether a page of another site may connect. Browsers say by `Origin` whose page it is;
    /// programs and devices do not.
    pub any_origin: bool,
}

impl WsAccept {
    /// Connections to `path`, without subprotocols, from devices, programs and pages of the same
    /// host.
    pub fn new(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            subprotocols: Vec::new(),
            message_len_max: 16 << 20,
            any_origin: false,
        }
    }
}

/// Why a request does not open a WebSocket connection, with what is answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// It is not HTTP, or its head is over 16 KiB. 400.
    #[error("the request is not HTTP, or its head is over 16 KiB")]
    NotHttp,
    /// The path is another. 404.
    #[error("the request asks for another path")]
    Path,
    /// It is not a GET that asks for WebSocket. 426.
    #[error("the request does not ask for WebSocket, version 13")]
    NotWebSocket,
    /// The page that asks is of another site. 403.
    #[error("a page of another site asks")]
    Origin,
}

/// What a server answers as `Sec-WebSocket-Accept` to a client's `Sec-WebSocket-Key`, where the
/// opening handshake is done by an HTTP server (RFC 6455 section 4.2.2).
pub fn accept_key(key: &[u8]) -> String {
    derive_accept_key(key)
}

/// Answers the opening handshake on a stream that was accepted, within `timeout`.
///
/// # Errors
///
/// [`io::ErrorKind::InvalidData`] with an [`AcceptError`], after it was answered and the stream closed;
/// [`io::ErrorKind::TimedOut`]; those of the stream.
///
/// # Cancel safety
///
/// Safe: a dropped call closes the stream.
pub async fn accept_ws(
    stream: Stream,
    options: &WsAccept,
    timeout: Duration,
) -> io::Result<WebSocket> {
    match timeout_at(Instant::now() + timeout, handshake(stream, options)).await {
        Ok(result) => result,
        Err(_) => {
            Err(io::Error::new(io::ErrorKind::TimedOut, "the WebSocket handshake: timed out"))
        }
    }
}

async fn handshake(mut stream: Stream, options: &WsAccept) -> io::Result<WebSocket> {
    let mut head = Vec::new();
    let opened = loop {
        let mut space = [0; 1024];
        let len = stream.read(&mut space).await?;
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(&space[..len]);
        match check(&head, options) {
            Ok(None) if head.len() > HEAD_LEN_MAX => break Err(AcceptError::NotHttp),
            Ok(None) => {}
            Ok(Some(opened)) => break Ok(opened),
            Err(error) => break Err(error),
        }
    };
    match opened {
        Ok((end, answer)) => {
            stream.write_all(answer.as_bytes()).await?;
            stream.flush().await?;
            Ok(WebSocket::new(stream, Side::Server, options.message_len_max, &head[end..]))
        }
        Err(error) => {
            let status = match error {
                AcceptError::NotHttp => "400 Bad Request",
                AcceptError::Path => "404 Not Found",
                AcceptError::NotWebSocket => {
                    "426 Upgrade Required\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13"
                }
                AcceptError::Origin => "403 Forbidden",
            };
            let text = format!(
                "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\
                 Connection: close\r\n\r\n{error}\n",
                error.to_string().len() + 1,
            );
            stream.write_all(text.as_bytes()).await?;
            stream.shutdown().await?;
            Err(io::Error::new(io::ErrorKind::InvalidData, error))
        }
    }
}

/// Where the request's head ends and what is answered, if it is whole and agrees.
fn check(head: &[u8], options: &WsAccept) -> Result<Option<(usize, String)>, AcceptError> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let end = match request.parse(head) {
        Ok(httparse::Status::Complete(end)) => end,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(AcceptError::NotHttp),
    };
    let value = |name: &str| {
        let header = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        header.and_then(|header| core::str::from_utf8(header.value).ok()).unwrap_or_default()
    };
    let path = request.path.unwrap_or_default();
    if path.split('?').next() != Some(options.path.as_str()) {
        return Err(AcceptError::Path);
    }
    let key = value("sec-websocket-key");
    let asks = request.method == Some("GET")
        && has_token(value("connection"), "upgrade")
        && has_token(value("upgrade"), "websocket")
        && value("sec-websocket-version") == "13"
        && key.len() == KEY_LEN;
    if !asks {
        return Err(AcceptError::NotWebSocket);
    }
    let origin = value("origin");
    let site = origin.split_once("://").map_or(origin, |(_, site)| site);
    if !options.any_origin && !origin.is_empty() && !site.eq_ignore_ascii_case(value("host")) {
        return Err(AcceptError::Origin);
    }
    let mut answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {}\r\n",
        derive_accept_key(key.as_bytes()),
    );
    let mut named = value("sec-websocket-protocol").split(',').map(str::trim);
    if let Some(agreed) = named.find(|name| options.subprotocols.iter().any(|own| own == name)) {
        answer.push_str(&format!("Sec-WebSocket-Protocol: {agreed}\r\n"));
    }
    answer.push_str("\r\n");
    Ok(Some((end, answer)))
}

fn has_token(list: &str, token: &str) -> bool {
    list.split(',').any(|item| item.trim().eq_ignore_ascii_case(token))
}

const HEAD_LEN_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 64;
/// Sixteen bytes in base64 (RFC 6455 section 4.1).
const KEY_LEN: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    /// The request and answer of RFC 6455 section 1.2.
    const REQUEST: &str = "GET /chat?x HTTP/1.1\r\nHost: server.example.com\r\n\
        Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://server.example.com\r\n\
        Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Version: 13\r\n\r\n";

    #[test]
    fn the_request_of_the_rfc_is_answered_as_there() {
        let mut options = WsAccept::new("/chat");
        options.subprotocols = vec!["superchat".to_owned()];
        let (end, answer) = check(REQUEST.as_bytes(), &options).unwrap().unwrap();
        assert_eq!(end, REQUEST.len());
        assert!(answer.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        assert!(answer.contains("Sec-WebSocket-Protocol: superchat\r\n"));
        assert_eq!(check(&REQUEST.as_bytes()[..100], &options), Ok(None));
    }

    #[test]
    fn what_does_not_open_a_connection_is_refused_with_its_reason() {
        let options = WsAccept::new("/chat");
        for (from, to, error) in [
            ("/chat", "/other", AcceptError::Path),
            ("GET", "POST", AcceptError::NotWebSocket),
            ("Version: 13", "Version: 8", AcceptError::NotWebSocket),
            ("Upgrade: websocket", "Upgrade: h2c", AcceptError::NotWebSocket),
            ("dGhl", "", AcceptError::NotWebSocket),
            ("Origin: http://server", "Origin: http://evil", AcceptError::Origin),
            ("HTTP/1.1", "HTTP/9", AcceptError::NotHttp),
        ] {
            let request = REQUEST.replacen(from, to, 1);
            assert_eq!(check(request.as_bytes(), &options), Err(error), "{to}");
        }
        let mut open = WsAccept::new("/chat");
        open.any_origin = true;
        let request = REQUEST.replace("Origin: http://server", "Origin: http://evil");
        assert!(check(request.as_bytes(), &open).unwrap().is_some());
    }
}
