//! A Modbus server that answers from a point source: TCP, RTU over TCP, and RTU on a line.

use core::future::Future;
use core::net::SocketAddr;
use core::pin::pin;
use core::time::Duration;
use std::io;
use std::sync::Arc;

use pointstream_net::{Accepted, Listener};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::ToSocketAddrs;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use crate::framing::Framing;
use crate::mbap::{self, ADU_LEN_MAX, Decoder};
use crate::pdu::Request;
use crate::rtu::{self, BROADCAST, Line, Responder};
use crate::source::{PointSource, answer};

/// A Modbus TCP server; with [`Server::with_line`] one of RTU over TCP.
///
/// One task per connection, each answering its requests in order; a connection that sends
/// something else than Modbus TCP is closed. Nothing that a client sends makes the server keep
/// more than a request and its answers.
#[derive(Debug)]
pub struct Server {
    listener: Listener,
    limits: Limits,
    framing: Framing,
}

/// What a [`Server`] allows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// How many connections are served at a time; what comes beyond is closed at once. Default 32.
    pub connections_max: usize,
    /// How long a connection may go without a whole request before it is closed. Default 5 min.
    pub idle_timeout: Duration,
    /// How long a client may take to accept its answer before it is closed. Default 10 s.
    pub write_timeout: Duration,
}

impl Limits {
    /// These limits with a number of connections.
    #[must_use]
    pub const fn with_connections_max(mut self, connections_max: usize) -> Self {
        self.connections_max = connections_max;
        self
    }

    /// These limits with an idle time-out.
    #[must_use]
    pub const fn with_idle_timeout(mut self, idle_timeout: Duration) -> Self {
        self.idle_timeout = idle_timeout;
        self
    }

    /// These limits with a write time-out.
    #[must_use]
    pub const fn with_write_timeout(mut self, write_timeout: Duration) -> Self {
        self.write_timeout = write_timeout;
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 32,
            idle_timeout: Duration::from_secs(5 * 60),
            write_timeout: Duration::from_secs(10),
        }
    }
}

impl Server {
    /// Listens on `address`, port 0 for any free port.
    ///
    /// # Cancel safety
    ///
    /// Safe: a dropped call leaves no socket open.
    pub async fn bind(address: impl ToSocketAddrs, limits: Limits) -> io::Result<Self> {
        let listener = Listener::bind(address, limits.connections_max).await?;
        Ok(Self { listener, limits, framing: Framing::Tcp })
    }

    /// This server with RTU frames in its streams, as simple serial servers have, such as
    /// [`Line::tunnel`].
    #[must_use]
    pub const fn with_line(mut self, line: Line) -> Self {
        self.framing = Framing::Rtu(line);
        self
    }

    /// The address listened on, with its real port.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves `source` until `shutdown` completes. Then no connection is accepted any more, each
    /// one finishes the answer that it is sending, for which it has a second, and is closed.
    ///
    /// # Cancel safety
    ///
    /// Safe: when the call is dropped, all connections are closed at once.
    pub async fn run(self, source: impl PointSource, shutdown: impl Future<Output = ()>) {
        let source = Arc::new(source);
        let (stop, stopped) = watch::channel(false);
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                // A panic in the source ends its connection and nothing else.
                Some(_) = connections.join_next() => {}
                accepted = self.listener.accept() => {
                    let (source, limits) = (Arc::clone(&source), self.limits);
                    let serving = serve(accepted, source, limits, self.framing, stopped.clone());
                    connections.spawn(serving);
                }
            }
        }
        drop(self.listener);
        let _ = stop.send(true);
        let all = async { while connections.join_next().await.is_some() {} };
        // What has not ended by then ends with the set.
        let _ = timeout(SHUTDOWN_GRACE, all).await;
    }
}

/// How much is read at a time: some 80 requests, whose answers take 22 kB at most.
const INPUT_LEN: usize = 1024;

/// How long connections have to finish when the server ends.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);

/// Serves `source` on a serial line, or on whatever else carries RTU frames, until `shutdown`
/// completes.
///
/// What is asked of a unit that the source does not have is not answered, since another device may
/// answer it; what is written to unit 0 is written and not answered. Damaged frames are passed
/// over.
///
/// # Errors
///
/// What the stream says; [`io::ErrorKind::UnexpectedEof`] when it ends.
///
/// # Cancel safety
///
/// When the call is dropped, an answer may be sent in part.
pub async fn serve_line<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    line: Line,
    source: &impl PointSource,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    tokio::select! {
        biased;
        () = shutdown => Ok(()),
        ended = respond(&mut stream, line, source, None) => ended,
    }
}

async fn serve<P: PointSource>(
    mut accepted: Accepted,
    source: Arc<P>,
    limits: Limits,
    framing: Framing,
    mut stopped: watch::Receiver<bool>,
) {
    let Framing::Rtu(line) = framing else {
        return converse(&mut accepted.stream, &*source, limits, stopped).await;
    };
    tokio::select! {
        biased;
        // An error means that the server itself is gone.
        _ = stopped.wait_for(|stopped| *stopped) => {}
        _ = respond(&mut accepted.stream, line, &*source, Some(limits)) => {}
    }
}

/// Answers RTU frames until the stream ends or, where there are limits, is idle for too long.
async fn respond<S: AsyncRead + AsyncWrite + Unpin, P: PointSource>(
    stream: &mut S,
    line: Line,
    source: &P,
    limits: Option<Limits>,
) -> io::Result<()> {
    let origin = Instant::now();
    let now = || pointstream_time::Instant::from_origin(origin.elapsed());
    let mut responder = Responder::new(line);
    let mut input = [0; rtu::ADU_LEN_MAX];
    let (mut out, mut pdu) = (Vec::new(), Vec::new());
    let listens = |unit| source.has_unit(unit);
    let idle_timeout = limits.map_or(FOREVER, |limits| limits.idle_timeout);
    let write_timeout = limits.map_or(FOREVER, |limits| limits.write_timeout);
    let mut idle_at = origin + idle_timeout;
    loop {
        while let Some((unit, request)) = responder.poll_request() {
            idle_at = Instant::now() + idle_timeout;
            if unit == BROADCAST {
                write_all(source, &request).await;
                continue;
            }
            pdu.clear();
            answer(source, unit, &request, &mut pdu).await;
            responder.answer(unit, &pdu);
        }
        if responder.poll_transmit(now(), &mut out) {
            timeout(write_timeout, stream.write_all(&out)).await??;
            out.clear();
        }
        let due = responder.poll_timeout().map(|due| origin + due.since_origin());
        let due = due.map_or(idle_at, |due| due.min(idle_at));
        match timeout_at(due, stream.read(&mut input)).await {
            Ok(Ok(0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(Ok(len)) => {
                responder.handle_input(now(), input.get(..len).unwrap_or(&[]), listens);
            }
            Ok(Err(error)) => return Err(error),
            Err(_) if Instant::now() >= idle_at => return Err(io::ErrorKind::TimedOut.into()),
            Err(_) => responder.handle_timeout(now(), listens),
        }
    }
}

/// A write to all units. Nobody answers, so what one refuses is between it and itself.
async fn write_all<P: PointSource>(source: &P, request: &[u8]) {
    if !Request::decode(request).is_ok_and(|request| request.is_write()) {
        return;
    }
    for unit in (1..=UNIT_MAX).filter(|&unit| source.has_unit(unit)) {
        answer(source, unit, request, &mut Vec::new()).await;
    }
}

/// The last unit of a serial line; what is above is reserved.
const UNIT_MAX: u8 = 247;

/// Longer than anything waits, and short enough to be added to the present.
const FOREVER: Duration = Duration::from_secs(60 * 60 * 24 * 365);

/// Answers until the stream ends, is idle for too long, carries something else than Modbus TCP, or
/// the server stops.
async fn converse<S: AsyncRead + AsyncWrite + Unpin, P: PointSource>(
    stream: &mut S,
    source: &P,
    limits: Limits,
    mut stopped: watch::Receiver<bool>,
) {
    let mut decoder = Decoder::new();
    let mut input = [0; INPUT_LEN];
    let mut out = Vec::with_capacity(ADU_LEN_MAX);
    let mut pdu = Vec::with_capacity(ADU_LEN_MAX);
    let mut idle_at = Instant::now() + limits.idle_timeout;
    loop {
        let read = tokio::select! {
            biased;
            // An error means that the server itself is gone.
            _ = stopped.wait_for(|stopped| *stopped) => return,
            read = timeout_at(idle_at, stream.read(&mut input)) => read,
        };
        let Ok(Ok(len @ 1..)) = read else { return };
        let mut bytes = input.get(..len).unwrap_or(&[]);
        let broken = loop {
            let frame = match decoder.decode(&mut bytes) {
                Ok(Some(frame)) => frame,
                Ok(None) => break false,
                Err(_) => break true,
            };
            answer(source, frame.header.unit, frame.pdu, &mut pdu).await;
            let framed = mbap::encode(frame.header, &mut out, |out| {
                out.append(&mut pdu);
                Ok::<_, core::convert::Infallible>(())
            });
            let Ok(()) = framed;
        };
        // What was asked together is answered together.
        if !out.is_empty() {
            let Ok(Ok(())) = timeout(limits.write_timeout, stream.write_all(&out)).await else {
                return;
            };
            out.clear();
            idle_at = Instant::now() + limits.idle_timeout;
        }
        if broken {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex};
    use tokio::time::sleep;

    use super::*;
    use crate::registers::Registers;
    use crate::table::Table;

    const READ: &[u8] = b"\0\x01\0\0\0\x06\x01\x03\0\0\0\x7d";

    /// A client's end of a conversation, and the conversation.
    fn conversation(buffered: usize) -> (DuplexStream, impl Future<Output = ()>) {
        let (client, mut server) = duplex(buffered);
        let conversation = async move {
            let registers = Registers::new();
            registers.define(1, Table::Holding, 0, 200).unwrap();
            let (_stop, stopped) = watch::channel(false);
            converse(&mut server, &registers, Limits::default(), stopped).await;
        };
        (client, conversation)
    }

    async fn asked(client: &mut DuplexStream) {
        client.write_all(READ).await.unwrap();
        client.read_exact(&mut [0; 259]).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn each_request_starts_the_idle_time_anew_and_a_part_of_one_does_not() {
        let (mut client, server) = conversation(1024);
        let start = Instant::now();
        let script = async {
            for _ in 0..3 {
                sleep(Duration::from_secs(299)).await;
                asked(&mut client).await;
            }
            for byte in READ.get(..10).unwrap_or(&[]) {
                sleep(Duration::from_secs(29)).await;
                client.write_all(&[*byte]).await.unwrap();
            }
            assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        };
        tokio::join!(script, server);
        assert_eq!(start.elapsed(), Duration::from_secs(3 * 299 + 300));
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_is_answered_after_its_gap_by_the_units_that_are_there() {
        let line = Line::serial(9_600, 11);
        let registers = Registers::new();
        registers.define(1, Table::Holding, 0, 20).unwrap();
        let (mut client, server) = duplex(1024);
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = serve_line(server, line, &registers, async { drop(stopped.await) });
        let ask = |unit: u8, pdu: &[u8]| {
            let mut out = Vec::new();
            let framed = rtu::encode(unit, &mut out, |out| {
                out.extend(pdu);
                Ok::<_, ()>(())
            });
            assert_eq!(framed, Ok(()));
            out
        };
        let script = async {
            // All units write; none answers. Nor does a unit that is not there.
            client.write_all(&ask(0, &[6, 0, 3, 0, 7])).await.unwrap();
            sleep(Duration::from_secs(1)).await;
            client.write_all(&ask(9, &[3, 0, 3, 0, 1])).await.unwrap();
            sleep(Duration::from_secs(1)).await;
            let start = Instant::now();
            client.write_all(&ask(1, &[3, 0, 3, 0, 1])).await.unwrap();
            let mut answered = [0; 7];
            client.read_exact(&mut answered).await.unwrap();
            // The timer's grain is a millisecond.
            assert!(start.elapsed() >= line.gap, "{:?}", start.elapsed());
            assert_eq!(answered.to_vec(), ask(1, &[3, 2, 0, 7]));
            drop(stop);
        };
        let (served, ()) = tokio::join!(serving, script);
        served.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_is_closed_after_the_write_time_out() {
        let (mut client, server) = conversation(300);
        let start = Instant::now();
        let script = async {
            for _ in 0..2 {
                client.write_all(READ).await.unwrap();
            }
        };
        tokio::join!(script, server);
        assert_eq!(start.elapsed(), Duration::from_secs(10));
    }
}
