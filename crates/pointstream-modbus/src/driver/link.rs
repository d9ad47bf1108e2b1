use core::fmt;
use core::time::Duration;
use std::io;
use std::sync::Arc;

use pointstream_time::Instant;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{sleep_until, timeout_at};

use crate::driver::failure::Failure;
use crate::error::AnswerError;
use crate::framing::Framing;
use crate::pdu::Request;
use crate::rtu;
use crate::session::{Answer, Event, RequestError, Session, Ticket};

/// Who is shown the bytes that go over a link, one chunk at a time as they were sent or read.
#[derive(Clone)]
pub struct Trace(Arc<dyn Fn(Traced<'_>) + Send + Sync>);

/// Bytes on a link.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "there are two directions")]
pub enum Traced<'a> {
    /// These were sent.
    Sent(&'a [u8]),
    /// These were received.
    Received(&'a [u8]),
}

/// What a unit wants of a link for one request.
#[derive(Clone, Debug)]
pub(crate) struct Manner {
    pub(crate) unit: u8,
    pub(crate) response_timeout: Duration,
    pub(crate) request_delay: Duration,
    pub(crate) trace: Option<Trace>,
}

/// An open stream with its session.
#[derive(Debug)]
pub(crate) struct Link<S> {
    stream: S,
    session: AnySession,
    /// The origin of the instants given to the session.
    origin: tokio::time::Instant,
    /// Whether an answer came on this stream, so that its end may be an idle close.
    pub(crate) served: bool,
    /// When the last transaction ended.
    quiet_since: tokio::time::Instant,
    /// What is being asked; left behind by a transaction that was dropped.
    asked: Vec<Ticket>,
    /// A frame is being written; left behind, the stream ends in half a frame.
    writing: bool,
    out: Vec<u8>,
    input: Box<[u8; INPUT_LEN]>,
}

#[derive(Debug)]
enum AnySession {
    Tcp(Session),
    Rtu(rtu::Session),
}

/// A few answers' worth, for those that come late or together.
const INPUT_LEN: usize = 1024;

impl Trace {
    /// Shows bytes to `show`, which is called by the connector's task and must be quick.
    pub fn new(show: impl Fn(Traced<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(show))
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trace")
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    pub(crate) fn new(stream: S, framing: Framing, window: usize) -> Self {
        let now = tokio::time::Instant::now();
        let timeout = Duration::from_secs(1);
        let session = match framing {
            Framing::Tcp => AnySession::Tcp(Session::new(timeout).with_window(window)),
            Framing::Udp => AnySession::Tcp(Session::datagrams(timeout)),
            Framing::Rtu(line) => AnySession::Rtu(rtu::Session::new(timeout, line)),
        };
        Self {
            stream,
            session,
            origin: now,
            served: false,
            quiet_since: now,
            asked: Vec::new(),
            writing: false,
            out: Vec::new(),
            input: Box::new([0; INPUT_LEN]),
        }
    }

    /// Whether a transaction was dropped while its frame was being written.
    pub(crate) const fn is_torn(&self) -> bool {
        self.writing
    }

    pub(crate) async fn close(mut self, limit: Duration) {
        // The peer's view of the end is its own affair: what is closed is closed.
        let _ = tokio::time::timeout(limit, self.stream.shutdown()).await;
    }

    /// One transaction.
    pub(crate) async fn exchange(
        &mut self,
        manner: &Manner,
        request: &Request<'_>,
    ) -> Result<Answer, Failure> {
        if !manner.request_delay.is_zero() {
            sleep_until(self.quiet_since + manner.request_delay).await;
        }
        let mut outcome = None;
        let asked = core::slice::from_ref(request);
        let result = self.exchange_all(manner, asked, |_, result| outcome = Some(result)).await;
        self.quiet_since = tokio::time::Instant::now();
        result?;
        // Each request has an outcome unless the session has none.
        outcome.unwrap_or(Err(Failure::Request(RequestError::Broken)))
    }

    /// As many transactions at a time as the session allows; each ends with a call of `told` with
    /// its index. An error is the session's, and what was not told of has no answer.
    pub(crate) async fn exchange_all(
        &mut self,
        manner: &Manner,
        requests: &[Request<'_>],
        mut told: impl FnMut(usize, Result<Answer, Failure>),
    ) -> Result<(), Failure> {
        self.forget_asked();
        self.session.set_response_timeout(manner.response_timeout);
        let mut indices: Vec<usize> = Vec::new();
        let mut next = 0;
        loop {
            while let Some(request) = requests.get(next) {
                match self.session.request(self.now(), manner.unit, request) {
                    Ok(ticket) => {
                        self.asked.push(ticket);
                        indices.push(next);
                        next += 1;
                    }
                    Err(RequestError::Busy) => break,
                    Err(error) => return Err(error.into()),
                }
            }
            self.pump(manner).await?;
            while let Some(event) = self.session.poll_event() {
                let (ticket, result) = match event {
                    Event::Answer(ticket, answer) => {
                        self.served = true;
                        (ticket, Ok(answer))
                    }
                    Event::Failed(ticket, AnswerError::TimedOut) => {
                        (ticket, Err(Failure::TimedOut(manner.response_timeout)))
                    }
                    Event::Failed(ticket, error) => (ticket, Err(error.into())),
                    Event::Broken(error) => return Err(Failure::Frame(error)),
                };
                // The end of what an earlier, dropped transaction asked is of no interest.
                if let Some(at) = self.asked.iter().position(|asked| *asked == ticket) {
                    self.asked.remove(at);
                    told(indices.remove(at), result);
                }
            }
            if self.asked.is_empty() && next == requests.len() {
                return Ok(());
            }
        }
    }

    /// Sends what is to be sent, then waits for bytes or for the session's next time-out.
    async fn pump(&mut self, manner: &Manner) -> Result<(), Failure> {
        if self.session.poll_transmit(self.now(), &mut self.out) {
            self.writing = true;
            // What is sent in part cannot be taken back: there is no session after that.
            let due = tokio::time::Instant::now() + manner.response_timeout;
            match timeout_at(due, self.stream.write_all(&self.out)).await {
                Ok(sent) => sent?,
                Err(_) => return Err(io::Error::from(io::ErrorKind::TimedOut).into()),
            }
            self.writing = false;
            if let Some(Trace(show)) = &manner.trace {
                show(Traced::Sent(&self.out));
            }
            self.out.clear();
        }
        let Some(due) = self.session.poll_timeout() else { return Ok(()) };
        let due = self.origin + due.since_origin();
        tokio::select! {
            biased;
            read = self.stream.read(&mut self.input[..]) => match read? {
                0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                len => {
                    let bytes = self.input.get(..len).unwrap_or(&[]);
                    if let Some(Trace(show)) = &manner.trace {
                        show(Traced::Received(bytes));
                    }
                    self.session.handle_input(Instant::from_origin(self.origin.elapsed()), bytes);
                }
            },
            () = sleep_until(due) => self.session.handle_timeout(self.now()),
        }
        Ok(())
    }

    /// Gives up what a dropped transaction asked.
    fn forget_asked(&mut self) {
        for ticket in self.asked.drain(..) {
            self.session.cancel(ticket);
        }
        while self.session.poll_event().is_some() {}
        self.out.clear();
    }

    fn now(&self) -> Instant {
        Instant::from_origin(self.origin.elapsed())
    }
}

impl AnySession {
    fn request(
        &mut self,
        now: Instant,
        unit: u8,
        request: &Request<'_>,
    ) -> Result<Ticket, RequestError> {
        match self {
            Self::Tcp(session) => session.request(now, unit, request),
            Self::Rtu(session) => session.request(unit, request),
        }
    }

    fn set_response_timeout(&mut self, timeout: Duration) {
        match self {
            Self::Tcp(session) => session.set_response_timeout(timeout),
            Self::Rtu(session) => session.set_response_timeout(timeout),
        }
    }

    fn cancel(&mut self, ticket: Ticket) {
        match self {
            Self::Tcp(session) => session.cancel(ticket),
            Self::Rtu(session) => session.cancel(ticket),
        }
    }

    fn handle_input(&mut self, now: Instant, bytes: &[u8]) {
        match self {
            Self::Tcp(session) => session.handle_input(now, bytes),
            Self::Rtu(session) => session.handle_input(now, bytes),
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        match self {
            Self::Tcp(session) => session.handle_timeout(now),
            Self::Rtu(session) => session.handle_timeout(now),
        }
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        match self {
            Self::Tcp(session) => session.poll_transmit(out),
            Self::Rtu(session) => session.poll_transmit(now, out),
        }
    }

    fn poll_event(&mut self) -> Option<Event> {
        match self {
            Self::Tcp(session) => session.poll_event(),
            Self::Rtu(session) => session.poll_event(),
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Tcp(session) => session.poll_timeout(),
            Self::Rtu(session) => session.poll_timeout(),
        }
    }
}
