//! A gateway behind its HTTP server on loopback, and the least of a client.

use core::time::Duration;
use std::net::SocketAddr;

use pointstream::Gateway;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// No test waits for the clock; this only ends one that would hang.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct Web {
    addr: SocketAddr,
    stop: oneshot::Sender<()>,
    tasks: JoinSet<()>,
}

impl Web {
    /// Serves the gateway on a free port, which its configuration has to ask for.
    pub(crate) async fn of(gateway: &Gateway) -> Self {
        let server = gateway.http().await.unwrap();
        let addr = server.local_addr();
        let (stop, stopped) = oneshot::channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(server.run(async { drop(stopped.await) }));
        Self { addr, stop, tasks }
    }

    #[cfg(feature = "iotmp")]
    pub(crate) const fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.ask("GET", target, "").await
    }

    pub(crate) async fn post(&self, target: &str, body: &str) -> Answer {
        self.ask("POST", target, body).await
    }

    pub(crate) async fn ask(&self, method: &str, target: &str, body: &str) -> Answer {
        let mut stream = self.send(method, target, "Connection: close\r\n", body).await;
        let mut bytes = Vec::new();
        let read = stream.read_to_end(&mut bytes);
        tokio::time::timeout(LIMIT, read).await.unwrap().unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_owned(), body: unchunked(head, body) }
    }

    /// Follows an event stream until `holds` of all that came, which is given.
    pub(crate) async fn follow(&self, target: &str, holds: impl Fn(&str) -> bool) -> String {
        let mut stream = self.send("GET", target, "Accept: text/event-stream\r\n", "").await;
        let mut heard = String::new();
        let read = async {
            while !holds(&heard) {
                let mut bytes = [0; 8_192];
                let len = stream.read(&mut bytes).await.unwrap();
                assert!(len > 0, "the stream ended: {heard}");
                heard.push_str(&String::from_utf8_lossy(&bytes[..len]));
            }
        };
        assert!(tokio::time::timeout(LIMIT, read).await.is_ok(), "never");
        heard
    }

    async fn send(&self, method: &str, target: &str, headers: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        let (addr, length) = (self.addr, body.len());
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: {addr}\r\n{headers}\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    pub(crate) async fn stop(mut self) {
        self.stop.send(()).unwrap();
        let ended = tokio::time::timeout(LIMIT, self.tasks.join_next()).await;
        ended.unwrap().unwrap().unwrap();
    }
}

/// An answer that was read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// Checks that it is an error of this status; gives its detail.
    pub(crate) fn error(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        self.json()["error"]["detail"].as_str().unwrap().to_owned()
    }
}

fn unchunked(head: &str, body: &str) -> String {
    if !head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        return body.to_owned();
    }
    let (mut whole, mut rest) = (String::new(), body);
    while let Some((size, more)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            break;
        }
        whole.push_str(&more[..size]);
        rest = &more[size + 2..];
    }
    whole
}
