//! Connections to the server.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::{Error, Target};

/// The digits of a stamp: microseconds.
const DIGITS: usize = 16;

/// The moment of a publication, as text that comes back in whatever the server makes of it.
pub(crate) fn stamp(origin: Instant) -> String {
    format!("@{:0DIGITS$}", origin.elapsed().as_micros())
}

/// What all subscribers of a run have received.
pub(crate) struct Seen {
    origin: Instant,
    /// Subscribers whose stream has begun.
    pub(crate) begun: Cell<usize>,
    pub(crate) stamps: Cell<u64>,
    pub(crate) bytes: Cell<u64>,
    /// How late each stamp came, in microseconds.
    pub(crate) late: RefCell<Vec<u32>>,
    /// How many stamps are waited for.
    goal: Cell<u64>,
    reached: Notify,
}

impl Seen {
    pub(crate) fn new(origin: Instant) -> Rc<Self> {
        Rc::new(Self {
            origin,
            begun: Cell::new(0),
            stamps: Cell::new(0),
            bytes: Cell::new(0),
            late: RefCell::default(),
            goal: Cell::new(u64::MAX),
            reached: Notify::new(),
        })
    }

    /// Waits until so many stamps have come in all.
    pub(crate) async fn stamps(&self, goal: u64) {
        self.goal.set(goal);
        while self.stamps.get() < goal {
            self.reached.notified().await;
        }
    }

    /// Forgets what came so far.
    pub(crate) fn restart(&self) {
        self.stamps.set(0);
        self.bytes.set(0);
        self.late.borrow_mut().clear();
    }

    fn on_bytes(&self, bytes: &[u8], carried: &mut Vec<u8>) {
        self.bytes.set(self.bytes.get() + bytes.len() as u64);
        let joined;
        let all = if carried.is_empty() {
            bytes
        } else {
            carried.extend_from_slice(bytes);
            joined = std::mem::take(carried);
            &joined
        };
        let mut rest = all;
        while let Some(at) = rest.iter().position(|&byte| byte == b'@') {
            rest = rest.get(at..).unwrap_or_default();
            let Some(digits) = rest.get(1..=DIGITS) else {
                carried.extend_from_slice(rest);
                return;
            };
            rest = rest.get(1..).unwrap_or_default();
            let micros = std::str::from_utf8(digits).ok().and_then(|text| text.parse::<u64>().ok());
            if let Some(micros) = micros {
                self.on_stamp(micros);
            }
        }
    }

    fn on_stamp(&self, micros: u64) {
        let elapsed = u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX);
        let late = elapsed.saturating_sub(micros);
        self.late.borrow_mut().push(u32::try_from(late).unwrap_or(u32::MAX));
        self.stamps.set(self.stamps.get() + 1);
        if self.stamps.get() == self.goal.get() {
            self.reached.notify_one();
        }
    }
}

/// Subscribes and sends the request, reading nothing.
pub(crate) async fn ask(target: &Target) -> Result<TcpStream, Error> {
    let mut stream = TcpStream::connect(&target.server).await?;
    stream.set_nodelay(true)?;
    let mut request = format!("GET {} HTTP/1.1\r\nHost: {}\r\n", target.subscribe, target.server);
    for header in &target.headers {
        request.push_str(header);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await?;
    Ok(stream)
}

/// Subscribes and reads until the server ends the stream.
pub(crate) async fn follow(target: &Target, seen: &Seen) -> Result<(), Error> {
    let mut stream = ask(target).await?;
    let mut buffer = vec![0; 16 << 10];
    let mut carried = Vec::new();
    let mut first = true;
    loop {
        let read = stream.read(&mut buffer).await?;
        let bytes = buffer.get(..read).unwrap_or_default();
        if bytes.is_empty() {
            return Err("the server has ended a stream".into());
        }
        if std::mem::take(&mut first) {
            if !bytes.starts_with(b"HTTP/1.1 200") {
                return Err(String::from_utf8_lossy(bytes).into_owned().into());
            }
            seen.begun.set(seen.begun.get() + 1);
        }
        seen.on_bytes(bytes, &mut carried);
    }
}

/// A connection that publishes.
pub(crate) struct Publisher {
    stream: TcpStream,
    head: String,
}

impl Publisher {
    pub(crate) async fn connect(target: &Target) -> Result<Self, Error> {
        let server = target.publisher.as_ref().unwrap_or(&target.server);
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: ",
            target.publish, server
        );
        Ok(Self { stream, head })
    }

    /// Publishes and waits for the answer.
    pub(crate) async fn publish(&mut self, body: &str) -> Result<(), Error> {
        let request = format!("{}{}\r\n\r\n{body}", self.head, body.len());
        self.stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        let end = loop {
            if self.stream.read_buf(&mut answer).await? == 0 {
                return Err("the server has closed the publisher's connection".into());
            }
            if let Some(at) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at + 4;
            }
        };
        let head = String::from_utf8_lossy(answer.get(..end).unwrap_or_default()).to_lowercase();
        if !head.starts_with("http/1.1 2") {
            return Err(String::from_utf8_lossy(&answer).into_owned().into());
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let whole = end + length.map_or(Ok(0), |length| length.trim().parse::<usize>())?;
        while answer.len() < whole {
            self.stream.read_buf(&mut answer).await?;
        }
        Ok(())
    }
}
