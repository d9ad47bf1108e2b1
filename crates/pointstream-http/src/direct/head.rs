use std::io;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Where the topics are.
pub(super) const TOPICS: &str = "/v1/topics/";

/// The head of a plain request for a topic.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    /// What is to be answered to a client that wants to go on with WebSocket.
    pub(super) accept_key: Option<String>,
    /// The bytes that it takes.
    pub(super) len: usize,
}

/// Reads until a request's head is whole or longer than `max`; none if it does not come within
/// `timeout` or the client closes before it has sent anything.
///
/// *Cancel safety*: what was read is lost with the future, and the connection has to be closed.
pub(crate) async fn read(stream: &mut TcpStream, max: usize, timeout: Duration) -> Option<Vec<u8>> {
    let read = tokio::time::timeout(timeout, read_head(stream, max)).await;
    read.ok()?.ok().filter(|bytes| !bytes.is_empty())
}

async fn read_head(stream: &mut TcpStream, max: usize) -> io::Result<Vec<u8>> {
    // Taken when there is something to read: a connection that waits costs no buffer.
    stream.readable().await?;
    let mut bytes = Vec::with_capacity(BUFFER_BYTES);
    loop {
        let before = bytes.len();
        let read = stream.read_buf(&mut bytes).await?;
        // The end of a head may lie across two reads.
        let looked_at = before.saturating_sub(3);
        if read == 0 || is_whole(bytes.get(looked_at..).unwrap_or_default()) || bytes.len() > max {
            return Ok(bytes);
        }
    }
}

/// Whether there is an empty line.
fn is_whole(bytes: &[u8]) -> bool {
    let mut ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    ends.any(|(at, _)| {
        let next = bytes.get(at + 1..).unwrap_or_default();
        next.starts_with(b"\n") || next.starts_with(b"\r\n")
    })
}

/// The head at the beginning of `bytes`, if it is a plain request for a topic over HTTP/1.1: no
/// body, nothing about the connection but that it be kept, an id that needs no decoding. None for
/// everything else, whether it is a right request or not.
pub(super) fn parse(bytes: &[u8]) -> Option<Head> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let Ok(httparse::Status::Complete(len)) = request.parse(bytes) else { return None };
    let target = request.path?;
    if request.method != Some("GET") || request.version != Some(1) {
        return None;
    }
    let id = target.strip_prefix(TOPICS)?.split('?').next().unwrap_or_default();
    if id.is_empty() || !id.bytes().all(is_plain) {
        return None;
    }
    let uri: Uri = target.parse().ok()?;
    let mut map = HeaderMap::with_capacity(request.headers.len());
    for header in request.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        let value = HeaderValue::from_bytes(header.value).ok()?;
        map.append(name, value);
    }
    let accept_key = accept_key(&map);
    let plain = map.iter().all(|(name, value)| {
        !CONCERNS_CONNECTION.contains(name)
            && (name != header::CONNECTION || value.as_bytes().eq_ignore_ascii_case(b"keep-alive"))
    });
    if !plain && accept_key.is_none() {
        return None;
    }
    Some(Head { uri, headers: map, accept_key, len })
}

/// The answer to the key of a request for WebSocket (RFC 6455, section 4.2.1), if it is one.
fn accept_key(headers: &HeaderMap) -> Option<String> {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let has = |name, token: &str| {
        let mut tokens = text(&name)?.split(',').map(str::trim);
        tokens.any(|other| other.eq_ignore_ascii_case(token)).then_some(())
    };
    has(header::UPGRADE, "websocket")?;
    has(header::CONNECTION, "upgrade")?;
    has(header::SEC_WEBSOCKET_VERSION, "13")?;
    if [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::EXPECT]
        .iter()
        .any(|name| headers.contains_key(name))
    {
        return None;
    }
    // Sixteen bytes in base64.
    let key = text(&header::SEC_WEBSOCKET_KEY).filter(|key| key.len() == 24)?;
    Some(pointstream_net::ws::accept_key(key.as_bytes()))
}

/// Whether a byte of a path stands for itself alone.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':')
}

/// What a request is not plain with.
const CONCERNS_CONNECTION: [HeaderName; 5] = [
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::EXPECT,
    header::TE,
];

/// The headers of a plain request; one that has more goes to the library, whose limit it is.
const HEADERS_MAX: usize = 100;

/// What a head seldom exceeds.
const BUFFER_BYTES: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "GET /v1/topics/plant?X-Sd-Mode=patch HTTP/1.1\r\nHost: a\r\n\
                         Accept: text/event-stream\r\nConnection: Keep-Alive\r\n\r\n";

    #[test]
    fn a_plain_subscription_is_recognised_with_what_follows_it() {
        let head = parse(format!("{PLAIN}GET /next").as_bytes()).unwrap();
        assert_eq!(head.uri, "/v1/topics/plant?X-Sd-Mode=patch");
        assert_eq!(head.headers["host"], "a");
        assert_eq!(head.headers.len(), 3);
        assert_eq!(head.len, PLAIN.len());
        for len in 0..PLAIN.len() {
            assert!(parse(&PLAIN.as_bytes()[..len]).is_none(), "{len}");
        }
    }

    #[test]
    fn everything_else_is_left_to_the_library() {
        for (line, header) in [
            ("GET /v1/topics HTTP/1.1", "A: b"),
            ("GET /v1/topics/ HTTP/1.1", "A: b"),
            ("GET /v1/topics/?x HTTP/1.1", "A: b"),
            ("GET /v1/topics/plant/snapshot HTTP/1.1", "A: b"),
            ("GET /v1/topics/pl%61nt HTTP/1.1", "A: b"),
            ("GET /v1/topics/pl\u{e4}nt HTTP/1.1", "A: b"),
            ("GET /v1/topics/plant HTTP/1.0", "A: b"),
            ("GET http://a/v1/topics/plant HTTP/1.1", "A: b"),
            ("HEAD /v1/topics/plant HTTP/1.1", "A: b"),
            ("get /v1/topics/plant HTTP/1.1", "A: b"),
            ("PRI * HTTP/2.0", "A: b"),
            ("GET /v1/topics/plant HTTP/1.1", "Connection: close"),
            ("GET /v1/topics/plant HTTP/1.1", "Connection: Upgrade, keep-alive"),
            ("GET /v1/topics/plant HTTP/1.1", "Content-Length: 0"),
            ("GET /v1/topics/plant HTTP/1.1", "Transfer-Encoding: chunked"),
            ("GET /v1/topics/plant HTTP/1.1", "Upgrade: websocket"),
            ("GET /v1/topics/plant HTTP/1.1", "Expect: 100-continue"),
            ("GET /v1/topics/plant HTTP/1.1", "A b"),
            ("GET /v1/topics/plant HTTP/1.1", " folded: b"),
        ] {
            let text = format!("{line}\r\nHost: a\r\n{header}\r\n\r\n");
            assert!(parse(text.as_bytes()).is_none(), "{text}");
        }
        let many = |count| {
            let headers = "A: b\r\n".repeat(count);
            parse(format!("GET /v1/topics/plant HTTP/1.1\r\n{headers}\r\n").as_bytes())
        };
        assert!(many(HEADERS_MAX).is_some());
        assert!(many(HEADERS_MAX + 1).is_none());
    }

    #[test]
    fn a_request_for_websocket_is_recognised() {
        let request = |change: &dyn Fn(&str) -> String| {
            let headers = "Host: a\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
                           Sec-WebSocket-Version: 13\r\n\
                           Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
            let text = format!("GET /v1/topics/plant HTTP/1.1\r\n{}\r\n", change(headers));
            parse(text.as_bytes()).and_then(|head| head.accept_key)
        };
        // The key and the answer of RFC 6455, section 1.3.
        let expected = Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_owned());
        assert_eq!(request(&|headers| headers.to_owned()), expected);
        for (from, to) in [
            ("WebSocket\r", "h2c\r"),
            ("Upgrade\r\nSec", "close\r\nSec"),
            ("13", "8"),
            ("dGhl", ""),
            ("Host", "Content-Length: 1\r\nHost"),
        ] {
            assert_eq!(request(&|headers| headers.replacen(from, to, 1)), None, "{from}");
        }
    }

    #[test]
    fn a_head_is_whole_at_its_empty_line() {
        for whole in ["GET / HTTP/1.1\r\n\r\n", "a\n\nrest", "a\r\nb\n\r\n"] {
            assert!(is_whole(whole.as_bytes()), "{whole:?}");
        }
        for part in ["", "\n", "\r\n", "a\r\nb\r\n", "a\r\nb\r\n\r", "a\r\r\n"] {
            assert!(!is_whole(part.as_bytes()), "{part:?}");
        }
    }
}
