use alloc::vec::Vec;
use core::future::pending;
use core::time::Duration;
use std::io;

use pointstream_net::{Endpoint, Stream, dial};
use pointstream_time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::time::{sleep_until, timeout};

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
    reading: ReadHalf<Stream>,
    writing: WriteHalf<Stream>,
    session: Session,
    origin: tokio::time::Instant,
    input: Vec<u8>,
    output: Vec<u8>,
    /// How much of the output is written.
    written: usize,
    ended: bool,
}

impl Connection {
    /// A server's side of a stream that was accepted.
    pub fn server(stream: Stream, config: Config) -> Self {
        Self::new(stream, Session::server(Instant::ORIGIN, config))
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
        let session = Session::client(Instant::ORIGIN, dialect, credentials, config);
        let session =
            session.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        Ok(Self::new(stream, session))
    }

    fn new(stream: Stream, session: Session) -> Self {
        let (reading, writing) = split(stream);
        Self {
            reading,
            writing,
            session,
            origin: tokio::time::Instant::now(),
            input: Vec::with_capacity(INPUT_LEN),
            output: Vec::new(),
            written: 0,
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
        loop {
            if let Some(event) = self.session.poll_event() {
                return Ok(Some(event));
            }
            if self.written == self.output.len() {
                self.output.clear();
                self.output.shrink_to(INPUT_LEN);
                self.written = 0;
                self.session.poll_transmit(&mut self.output);
            }
            if self.session.is_closed() {
                if !self.ended {
                    let flush = timeout(FLUSH_TIME, self.flush()).await;
                    self.ended = true;
                    // A peer that does not take the last words has gone, and that is what it is told.
                    drop(flush);
                }
                return Ok(None);
            }
            self.step().await?;
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

    /// Waits for one thing: bytes, room for bytes, or time.
    async fn step(&mut self) -> io::Result<()> {
        let due = self.session.poll_timeout();
        let due = due.and_then(|due| self.origin.checked_add(due.since_origin()));
        let output = self.output.get(self.written..).unwrap_or_default();
        // What was read before a call was dropped has been handed on already.
        self.input.clear();
        tokio::select! {
            biased;
            written = self.writing.write(output), if !output.is_empty() => match written? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                len => self.written += len,
            },
            read = self.reading.read_buf(&mut self.input) => {
                if read? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                let now = self.now();
                self.session.handle_input(now, &self.input);
            }
            () = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => pending().await,
                }
            } => {
                let now = self.now();
                self.session.handle_timeout(now);
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> io::Result<()> {
        while let Some(output @ [_, ..]) = self.output.get(self.written..) {
            match self.writing.write(output).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                len => self.written += len,
            }
        }
        self.writing.shutdown().await
    }
}

/// How much is read at a time.
const INPUT_LEN: usize = 1024;
/// How long the last words of a session may take.
const FLUSH_TIME: Duration = Duration::from_secs(1);
