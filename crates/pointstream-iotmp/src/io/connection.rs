use alloc::boxed::Box;
use alloc::vec::Vec;
use core::future::{Future, poll_fn};
use core::mem::MaybeUninit;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::io;

use pointstream_net::{Endpoint, Stream, dial};
use pointstream_time::Instant;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep_until};

use crate::Dialect;
use crate::session::{Config, Credentials, Event, Session};

/// A [`Session`] on a stream.
///
/// [`Self::event`] drives it: nothing is sent or read while nobody waits there. Requests are made on
/// the session, at [`Self::now`]:
///
/// ```no_run
/// # async fn example(connection: &mut pointstream_iotmp::io::Connection) {
/// let now = connection.now();
/// let ticket = connection.session().describe(now, None);
/// # }
/// ```
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    session: Session,
    origin: tokio::time::Instant,
    /// Set to what the session waits for or earlier; what comes too early is set again.
    timer: Pin<Box<Sleep>>,
    timer_at: Option<Instant>,
    output: Vec<u8>,
    /// How much of the output is written.
    written: usize,
    flushed: bool,
    closing: bool,
    ended: bool,
}

impl Connection {
    /// A server's side of a stream that was accepted.
    pub fn server(stream: Stream, config: Config) -> Self {
        Self::new(stream, Session::server(Instant::ORIGIN, config))
    }

    /// A client's side of a stream that was opened; presents the credentials.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`]: credentials too long for a frame.
    pub fn client(
        stream: Stream,
        dialect: Dialect,
        credentials: &Credentials,
        config: Config,
    ) -> io::Result<Self> {
        let session = Session::client(Instant::ORIGIN, dialect, credentials, config);
        let session =
            session.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        Ok(Self::new(stream, session))
    }

    /// Connects to a server and presents the credentials, the whole within the configuration's
    /// time to connect. The verdict comes as an event.
    ///
    /// # Cancel safety
    ///
    /// Safe: a dropped call leaves no socket open.
    pub async fn dial(
        endpoint: &Endpoint,
        dialect: Dialect,
        credentials: &Credentials,
        config: Config,
    ) -> io::Result<Self> {
        let stream = dial(endpoint, config.connect_timeout).await?;
        Self::client(stream, dialect, credentials, config)
    }

    fn new(stream: Stream, session: Session) -> Self {
        let origin = tokio::time::Instant::now();
        Self {
            stream,
            session,
            origin,
            timer: Box::pin(sleep_until(origin)),
            timer_at: None,
            output: Vec::new(),
            written: 0,
            flushed: true,
            closing: false,
            ended: false,
        }
    }

    /// What happens next; `None` once the session is over and all that it had to say is written, or
    /// could not be within a second.
    ///
    /// # Errors
    ///
    /// The stream failed or ended in the middle of a session.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing that was read or written is forgotten when the call is dropped.
    pub async fn event(&mut self) -> io::Result<Option<Event>> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// [`Self::event`] as a poll.
    ///
    /// # Errors
    ///
    /// As [`Self::event`].
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Event>>> {
        loop {
            if let Some(event) = self.session.poll_event() {
                return Poll::Ready(Ok(Some(event)));
            }
            if self.session.is_closed() {
                ready!(self.poll_close(cx));
                return Poll::Ready(Ok(None));
            }
            if let Poll::Ready(Err(error)) = self.poll_write(cx) {
                return Poll::Ready(Err(error));
            }
            match self.poll_read(cx) {
                Poll::Ready(Ok(())) => continue,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {}
            }
            ready!(self.poll_timer(cx));
        }
    }

    /// The session, to make requests on and to answer those of the peer.
    pub const fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// The time, as the session counts it.
    pub fn now(&self) -> Instant {
        Instant::from_origin(self.origin.elapsed())
    }

    /// Whether little enough waits to be sent that something large may be added.
    pub fn has_room(&self) -> bool {
        self.output.len() - self.written + self.session.queued() < ROOM
    }

    /// The stream below.
    pub const fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Reads into the stack, so that an idle connection keeps no buffer.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut space = [const { MaybeUninit::<u8>::uninit() }; INPUT_LEN];
        let mut input = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut input))?;
        if input.filled().is_empty() {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        let now = self.now();
        self.session.handle_input(now, input.filled());
        Poll::Ready(Ok(()))
    }

    /// Ready when all that there is to send is sent.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.written == self.output.len() {
                self.output.clear();
                self.output.shrink_to(OUTPUT_CAPACITY);
                self.written = 0;
                if !self.session.poll_transmit(&mut self.output) {
                    if !self.flushed {
                        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
                        self.flushed = true;
                    }
                    return Poll::Ready(Ok(()));
                }
                self.flushed = false;
            }
            let output = self.output.get(self.written..).unwrap_or_default();
            match ready!(Pin::new(&mut self.stream).poll_write(cx, output))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                len => self.written += len,
            }
        }
    }

    /// Ready when the session has been told the time.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(due) = self.session.poll_timeout() else { return Poll::Pending };
        loop {
            if self.timer_at.is_none_or(|at| due < at) {
                self.set_timer(due);
            }
            ready!(self.timer.as_mut().poll(cx));
            self.timer_at = None;
            let now = self.now();
            if due <= now {
                self.session.handle_timeout(now);
                return Poll::Ready(());
            }
        }
    }

    fn set_timer(&mut self, at: Instant) {
        let deadline = self.origin.checked_add(at.since_origin());
        // What lies beyond the clock's end is as good as a day.
        let deadline = deadline.unwrap_or_else(|| self.origin + FAR);
        self.timer.as_mut().reset(deadline);
        self.timer_at = Some(at);
    }

    /// Sends the last words and ends the stream, within the time for that. A peer that does not take
    /// them has gone, and that is what it is told.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.ended {
            return Poll::Ready(());
        }
        if !self.closing {
            self.closing = true;
            let until = self.now() + FLUSH_TIME;
            self.set_timer(until);
        }
        let closed = match self.poll_write(cx) {
            Poll::Ready(Ok(())) => Pin::new(&mut self.stream).poll_shutdown(cx),
            other => other,
        };
        if closed.is_pending() {
            ready!(self.timer.as_mut().poll(cx));
        }
        self.ended = true;
        Poll::Ready(())
    }
}

/// How much is read at a time.
const INPUT_LEN: usize = 16 * 1024;
/// How many bytes may wait while there is room for more.
const ROOM: usize = 16 * 1024;
/// How much room is kept for output while there is none.
const OUTPUT_CAPACITY: usize = 512;
/// How long the last words of a session may take.
const FLUSH_TIME: Duration = Duration::from_secs(1);
const FAR: Duration = Duration::from_secs(24 * 60 * 60);
