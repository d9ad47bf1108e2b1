use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pointstream_net::Stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// No test waits for the clock; this only ends one that would hang.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it comes soon")
}

/// A server that answers as it is told, the last answer over and over.
pub(crate) struct Source {
    pub(crate) addr: SocketAddr,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    answers: Mutex<VecDeque<Vec<u8>>>,
    requests: Mutex<Vec<String>>,
    connections: Mutex<usize>,
    asked: Notify,
}

impl Source {
    pub(crate) async fn start() -> Self {
        Self::with(|stream| async { Some(stream) }).await
    }

    /// A server with the test's certificate, which counts a connection also if nothing is agreed on.
    #[cfg(feature = "tls")]
    pub(crate) async fn start_tls() -> Self {
        use pointstream_test::certs;
        let tls = pointstream_net::ServerTls::builder(certs::SERVER, certs::SERVER_KEY);
        let tls = tls.alpn(["http/1.1"]).build().unwrap();
        Self::with(move |stream| {
            let tls = tls.clone();
            async move { tls.accept(stream, Duration::from_secs(20)).await.ok() }
        })
        .await
    }

    async fn with<F>(secure: impl Fn(Stream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Option<Stream>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared), secure));
        Self { addr, shared, _tasks: tasks }
    }

    /// What to answer: head lines after the status, then the body.
    pub(crate) fn answer(&self, status: &str, headers: &str, body: impl AsRef<[u8]>) {
        let body = body.as_ref();
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
        self.answer_raw([head.as_bytes(), body].concat());
    }

    pub(crate) fn answer_raw(&self, bytes: impl Into<Vec<u8>>) {
        self.shared.answers.lock().unwrap().push_back(bytes.into());
    }

    /// Waits until there were so many requests and gives them.
    pub(crate) async fn requests(&self, count: usize) -> Vec<String> {
        soon(async {
            loop {
                let asked = self.shared.asked.notified();
                let requests = self.shared.requests.lock().unwrap().clone();
                if requests.len() >= count {
                    return requests;
                }
                asked.await;
            }
        })
        .await
    }

    /// The requests so far.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        *self.shared.connections.lock().unwrap()
    }

    pub(crate) fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.addr)
    }

    #[cfg(feature = "tls")]
    pub(crate) fn secure_url(&self, target: &str) -> String {
        format!("https://{}{target}", self.addr)
    }
}

async fn accept<F>(listener: TcpListener, shared: Arc<Shared>, secure: impl Fn(Stream) -> F)
where
    F: Future<Output = Option<Stream>> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        *shared.connections.lock().unwrap() += 1;
        let (secured, shared) = (secure(Stream::other(stream)), Arc::clone(&shared));
        tasks.spawn(async move {
            if let Some(stream) = secured.await {
                serve(stream, shared).await;
            }
        });
    }
}

async fn serve(mut stream: Stream, shared: Arc<Shared>) {
    let mut bytes = Vec::new();
    while let Ok(1..) = stream.read_buf(&mut bytes).await {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        while bytes.len() < end + 4 + length {
            stream.read_buf(&mut bytes).await.unwrap();
        }
        let request = String::from_utf8(std::mem::take(&mut bytes)).unwrap();
        shared.requests.lock().unwrap().push(request);
        let answer = {
            let mut answers = shared.answers.lock().unwrap();
            if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }
        };
        shared.asked.notify_waiters();
        let Some(answer) = answer else { return std::future::pending().await };
        if stream.write_all(&answer).await.is_err() {
            return;
        }
        if answer.windows(17).any(|window| window.eq_ignore_ascii_case(b"connection: close")) {
            return;
        }
    }
}
