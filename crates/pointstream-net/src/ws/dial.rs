use core::fmt;
use core::time::Duration;
use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};
use tungstenite::handshake::client::generate_key;
use tungstenite::handshake::derive_accept_key;

use super::{Side, WebSocket, WsUrl};
use crate::{Stream, dial};

/// What a client asks of a WebSocket server beside its URL.
#[derive(Clone)]
#[non_exhaustive]
pub struct DialOptions {
    /// The protocol to be spoken within, which the server must agree to, such as `mqtt`.
    pub subprotocol: Option<String>,
    /// Headers of the request, such as `Authorization`. Their values are not printed by `Debug`.
    pub headers: Vec<(String, String)>,
    /// The longest message that is read, in bytes.
    pub message_len_max: usize,
    /// How `wss` is secured; not needed for `ws`.
    #[cfg(feature = "tls")]
    pub tls: Option<crate::ClientTls>,
}

impl Default for DialOptions {
    fn default() -> Self {
        Self {
            subprotocol: None,
            headers: Vec::new(),
            message_len_max: 16 << 20,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

impl fmt::Debug for DialOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("DialOptions")
            .field("subprotocol", &self.subprotocol)
            .field("headers", &names)
            .field("message_len_max", &self.message_len_max)
            .finish_non_exhaustive()
    }
}

/// Opens a WebSocket connection to `url` within `timeout`.
///
/// # Errors
///
/// Those of [`dial`] and of the TLS handshake; [`io::ErrorKind::InvalidInput`] for a header that
/// cannot be sent and for `wss` without TLS; [`io::ErrorKind::ConnectionRefused`] with the status where
/// the server answers anything but a switch to WebSocket; [`io::ErrorKind::InvalidData`] where the
/// answer is not HTTP or breaks RFC 6455 section 4.1.
///
/// # Cancel safety
///
/// Safe: a dropped call leaves no stream open.
pub async fn dial_ws(
    url: &WsUrl,
    options: &DialOptions,
    timeout: Duration,
) -> io::Result<WebSocket> {
    let deadline = Instant::now() + timeout;
    let key = generate_key();
    let request = request(url, options, &key)?;
    let stream = dial(url.endpoint(), timeout).await?;
    let stream =
        if url.is_secure() { secure(stream, url, options, deadline).await? } else { stream };
    match timeout_at(deadline, handshake(stream, &request, &key, options)).await {
        Ok(Ok(socket)) => Ok(socket),
        Ok(Err(error)) => Err(io::Error::new(error.kind(), format!("opening {url}: {error}"))),
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, format!("opening {url}: timed out"))),
    }
}

#[cfg(feature = "tls")]
async fn secure(
    stream: Stream,
    url: &WsUrl,
    options: &DialOptions,
    deadline: Instant,
) -> io::Result<Stream> {
    match &options.tls {
        Some(tls) => tls.connect(stream, url.endpoint().host(), deadline).await,
        None => Err(invalid_input("wss needs the TLS to use")),
    }
}

#[cfg(not(feature = "tls"))]
#[expect(clippy::unused_async, reason = "with TLS it waits")]
async fn secure(_: Stream, _: &WsUrl, _: &DialOptions, _: Instant) -> io::Result<Stream> {
    Err(invalid_input("wss needs the feature tls"))
}

fn request(url: &WsUrl, options: &DialOptions, key: &str) -> io::Result<String> {
    let mut text = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n",
        url.path(),
        url.authority(),
    );
    let subprotocol =
        options.subprotocol.as_ref().map(|name| ("Sec-WebSocket-Protocol", name.as_str()));
    let own = options.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in own.chain(subprotocol) {
        let is_name = !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        let is_value = value.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte));
        if !is_name || !is_value {
            return Err(invalid_input(&format!("the header {name:?} cannot be sent")));
        }
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    Ok(text)
}

async fn handshake(
    mut stream: Stream,
    request: &str,
    key: &str,
    options: &DialOptions,
) -> io::Result<WebSocket> {
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut head = Vec::new();
    loop {
        let mut space = [0; 1024];
        let len = stream.read(&mut space).await?;
        if len == 0 {
            return Err(invalid("the server closed without an answer"));
        }
        head.extend_from_slice(&space[..len]);
        if let Some(end) = check(&head, key, options)? {
            let rest = &head[end..];
            return Ok(WebSocket::new(stream, Side::Client, options.message_len_max, rest));
        }
        if head.len() > HEAD_LEN_MAX {
            return Err(invalid("the head of the answer is too long"));
        }
    }
}

/// Where the answer's head ends, if it is whole and agrees.
fn check(head: &[u8], key: &str, options: &DialOptions) -> io::Result<Option<usize>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut answer = httparse::Response::new(&mut headers);
    let end = match answer.parse(head) {
        Ok(httparse::Status::Complete(end)) => end,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(invalid(&format!("the answer is not HTTP: {error}"))),
    };
    let code = answer.code.unwrap_or_default();
    if code != 101 {
        let text = format!("the server answered {code} {}", answer.reason.unwrap_or_default());
        return Err(io::Error::new(io::ErrorKind::ConnectionRefused, text.trim_end()));
    }
    let value = |name: &str| {
        let header = answer.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        header.map_or(&b""[..], |header| header.value)
    };
    if !value("upgrade").eq_ignore_ascii_case(b"websocket") {
        return Err(invalid("the server switches to something else"));
    }
    if value("sec-websocket-accept") != derive_accept_key(key.as_bytes()).as_bytes() {
        return Err(invalid("the server's Sec-WebSocket-Accept is wrong"));
    }
    if !value("sec-websocket-extensions").is_empty() {
        return Err(invalid("the server uses an extension that was not offered"));
    }
    let wanted = options.subprotocol.as_deref().unwrap_or_default();
    if value("sec-websocket-protocol") != wanted.as_bytes() {
        return Err(invalid("the server does not agree to the subprotocol"));
    }
    Ok(Some(end))
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

fn invalid_input(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

const HEAD_LEN_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    /// The key and its answer of RFC 6455 section 1.3.
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn answered(lines: &str, subprotocol: Option<&str>) -> io::Result<Option<usize>> {
        let options =
            DialOptions { subprotocol: subprotocol.map(str::to_owned), ..DialOptions::default() };
        check(lines.replace('|', "\r\n").as_bytes(), KEY, &options)
    }

    #[test]
    fn only_an_answer_that_agrees_opens_the_connection() {
        let good = "HTTP/1.1 101 x|upgrade: WebSocket|connection: Upgrade|\
                    sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=|";
        assert!(answered(&format!("{good}|"), None).unwrap().is_some());
        assert!(answered(good, None).unwrap().is_none(), "not whole yet");
        let mqtt = format!("{good}sec-websocket-protocol: mqtt||");
        assert!(answered(&mqtt, Some("mqtt")).unwrap().is_some());
        for (lines, subprotocol, reason) in [
            (mqtt.as_str(), None, "subprotocol"),
            (&format!("{good}|"), Some("mqtt"), "subprotocol"),
            (&format!("{good}sec-websocket-extensions: x||"), None, "extension"),
            (&good.replace("s3p", "S3p").replace("o=|", "o=||"), None, "Accept"),
            (&good.replace("WebSocket", "h2c").replace("o=|", "o=||"), None, "something else"),
            ("HTTP/1.1 403 Forbidden||", None, "403 Forbidden"),
            ("SSH-2.0-x||", None, "not HTTP"),
        ] {
            let error = answered(lines, subprotocol).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn a_header_cannot_carry_another() {
        let url: WsUrl = "ws://broker/".parse().unwrap();
        for (name, value) in [("X", "a\r\nY: b"), ("X: y\r\nZ", "a"), ("", "a"), ("X", "a\0")] {
            let headers = vec![(name.to_owned(), value.to_owned())];
            let options = DialOptions { headers, ..DialOptions::default() };
            let error = request(&url, &options, KEY).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
    }
}
