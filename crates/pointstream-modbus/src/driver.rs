//! The connector driver of kind `modbus`.

use core::future::Future;
use core::time::Duration;
use std::io;

use pointstream_conn::{
    Binding, Context, Driver, Features, OpError, Readings, Registry, Request as Fetch, Write,
};
use pointstream_net::{Stream, dial};
use pointstream_point::{Fault, FaultKind, PointKey, Tags, Value};
use pointstream_time::Instant;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{sleep_until, timeout, timeout_at};

use crate::address::Address;
use crate::block::Span;
use crate::config::Config;
use crate::data::{Encoding, Scalar};
use crate::error::{AnswerError, Exception, FrameError, PduError};
use crate::pdu::{Bits, Request, Response, Words};
use crate::points::{Item, Points, span};
use crate::session::{Answer, Event, RequestError, Session};

/// Teaches `registry` the kind `modbus`, configured by [`Config`].
pub fn register(registry: &mut Registry) {
    registry.register("modbus", |config: Config, _: &Context| Ok(Modbus::new(config)));
}

/// A client of one unit of one Modbus TCP device.
///
/// Points are merged into blocks; a block that the device refuses is divided until only the values
/// that it really refuses are without one. A time-out fails its own request; the second in a row
/// ends the session. When the device closed the connection while nothing was asked, as many do,
/// the next request opens it again without anyone noticing.
#[derive(Debug)]
pub struct Modbus<D: Dial = Tcp> {
    config: Config,
    dial: D,
    link: Option<Link<D::Stream>>,
    points: Points,
    /// Time-outs in a row.
    timeouts: u8,
    /// Kept from read to read for its memory.
    items: Vec<Item>,
}

/// How a [`Modbus`] reaches its device.
///
/// [`Tcp`] is the ordinary way. Another is for streams that come from elsewhere: a tunnel, a
/// device in the same process, a script of faults.
pub trait Dial: Send + 'static {
    /// What is dialled.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Opens a stream to the device. Dropped when the connect time-out is over.
    fn dial(&mut self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// Dials the endpoint of a [`Config`].
#[derive(Clone, Debug)]
pub struct Tcp {
    config: Config,
}

#[derive(Debug)]
struct Link<S> {
    stream: S,
    session: Session,
    /// The origin of the instants given to the session.
    origin: tokio::time::Instant,
    /// Whether an answer came on this stream, so that its end may be an idle close.
    served: bool,
    /// When the last transaction ended.
    quiet_since: tokio::time::Instant,
    out: Vec<u8>,
    input: Box<[u8; INPUT_LEN]>,
}

/// Why a transaction has no usable answer.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The answer is damaged or not to what was asked.
    #[error("{0}")]
    Answer(#[from] AnswerError),
    /// The device refused.
    #[error("{0}")]
    Exception(Exception),
    /// The stream carries something else than Modbus TCP.
    #[error("{0}")]
    Frame(FrameError),
    /// The stream failed or ended.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The request was not taken, which is an error of this driver.
    #[error("{0}")]
    Request(#[from] RequestError),
    /// The device has not answered so many requests in a row.
    #[error("no answer to {0} requests in a row, each waited for {1:?}")]
    Silent(u8, Duration),
    /// No answer within the time-out.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
}

impl Failure {
    /// Whether nothing more can be asked on this session.
    const fn ends_session(&self) -> bool {
        match self {
            Self::Frame(_) | Self::Io(_) | Self::Request(_) | Self::Silent(..) => true,
            Self::Answer(_) | Self::Exception(_) | Self::TimedOut(_) => false,
        }
    }

    /// Whether it may pass by itself.
    const fn kind(&self) -> FaultKind {
        match self {
            Self::Io(_) | Self::Silent(..) | Self::TimedOut(_) => FaultKind::Down,
            Self::Exception(exception) if exception.is_transient() => FaultKind::Down,
            Self::Answer(_) | Self::Exception(_) | Self::Frame(_) | Self::Request(_) => {
                FaultKind::Fault
            }
        }
    }

    /// The fault of the points of a block.
    fn of_block(&self, block: Span) -> Fault {
        let Span { table, start, count } = block;
        Fault::new(self.kind(), format_args!("{self} [{} count={count}]", table.number(start)))
    }
}

impl From<&Failure> for Fault {
    fn from(failure: &Failure) -> Self {
        Self::new(failure.kind(), failure)
    }
}

/// How many time-outs in a row end the session.
const TIMEOUTS_MAX: u8 = 2;

/// How many refused requests one read divides and tries again; the rest is left to the next poll,
/// so that a device which refuses everything does not hold up writes.
const DIVISIONS_MAX: usize = 16;

/// A few answers' worth, for those that come late.
const INPUT_LEN: usize = 1024;

impl Modbus {
    /// A driver that dials the endpoint of `config`.
    pub fn new(config: Config) -> Self {
        let dial = Tcp { config: config.clone() };
        Self::with_dial(config, dial)
    }
}

impl<D: Dial> Modbus<D> {
    /// A driver that reaches its device by `dial` and takes everything else from `config`.
    pub fn with_dial(config: Config, dial: D) -> Self {
        let points = Points::new(config.merge());
        Self { config, dial, link: None, points, timeouts: 0, items: Vec::new() }
    }

    async fn connect(&mut self) -> Result<(), Failure> {
        self.link = None;
        let limit = self.config.connect_timeout;
        let stream = match timeout(limit, self.dial.dial()).await {
            Ok(stream) => stream?,
            Err(_) => {
                let text =
                    format!("connecting to {}: timed out after {limit:?}", self.config.endpoint);
                return Err(io::Error::new(io::ErrorKind::TimedOut, text).into());
            }
        };
        let now = tokio::time::Instant::now();
        self.link = Some(Link {
            stream,
            session: Session::new(self.config.response_timeout),
            origin: now,
            served: false,
            quiet_since: now,
            out: Vec::new(),
            input: Box::new([0; INPUT_LEN]),
        });
        Ok(())
    }

    /// One transaction. Opens the connection again, once, when it turns out that the device
    /// closed it since its last answer.
    async fn transact(&mut self, request: &Request<'_>) -> Result<Answer, Failure> {
        let served = self.link.as_ref().is_some_and(|link| link.served);
        let mut result = self.exchange(request).await;
        if served && matches!(&result, Err(Failure::Io(error)) if is_close(error)) {
            self.connect().await?;
            result = self.exchange(request).await;
        }
        match result {
            Err(Failure::TimedOut(limit)) => {
                self.timeouts += 1;
                if self.timeouts < TIMEOUTS_MAX {
                    return Err(Failure::TimedOut(limit));
                }
                return Err(Failure::Silent(self.timeouts, limit));
            }
            Ok(_) | Err(Failure::Answer(_)) => self.timeouts = 0,
            Err(_) => {}
        }
        let answer = result?;
        match answer.response().map_err(AnswerError::Pdu)? {
            Response::Exception { exception, .. } => Err(Failure::Exception(exception)),
            _ => Ok(answer),
        }
    }

    async fn exchange(&mut self, request: &Request<'_>) -> Result<Answer, Failure> {
        let Some(link) = &mut self.link else {
            return Err(io::Error::from(io::ErrorKind::NotConnected).into());
        };
        if !self.config.request_delay.is_zero() {
            sleep_until(link.quiet_since + self.config.request_delay).await;
        }
        let result = link.exchange(self.config.unit, request).await;
        link.quiet_since = tokio::time::Instant::now();
        link.served |= result.is_ok();
        result
    }

    /// Reads something small. Any answer is a sign of life, unless a gateway says that the unit is
    /// not there.
    async fn sign_of_life(&mut self) -> Result<(), Failure> {
        let configured = self.config.ping.as_ref().map(span);
        let Some(span) = configured.or_else(|| self.points.first()) else { return Ok(()) };
        match self.transact(&read_of(span)).await {
            Err(Failure::Exception(exception)) if !exception.is_of_gateway() => Ok(()),
            other => other.map(drop),
        }
    }

    async fn read_request(&mut self, fetch: &Fetch, into: &mut Readings) -> Result<(), OpError> {
        let mut items = core::mem::take(&mut self.items);
        self.points.items(&fetch.points, &mut items);
        let alone = items.iter().all(|item| Some(item.span) == items.first().map(|i| i.span));
        if self.points.learned().has_holes() {
            self.skip_holes(&mut items, into);
        }
        let mut parts: Vec<usize> = self.points.parts(&items).collect();
        parts.reverse();
        let mut rest = items.as_slice();
        let mut divisions = 0;
        let mut result = Ok(());
        while let Some(count) = parts.pop() {
            let (part, later) = rest.split_at(count.min(rest.len()));
            match self.read_part(part, into).await {
                Ok(()) => {}
                Err(Failure::Exception(exception)) if exception.is_of_range() => {
                    let may = divisions < DIVISIONS_MAX;
                    if let Some(at) = may.then(|| self.points.learned().divide(part)).flatten() {
                        divisions += 1;
                        parts.extend([part.len() - at, at]);
                        continue;
                    }
                    self.refuse(part, exception, alone, into);
                }
                Err(failure) if failure.ends_session() => {
                    result = Err(self.session_over(&failure));
                    break;
                }
                Err(failure) => give_fault(part, &failure, into),
            }
            rest = later;
        }
        self.items = items;
        result
    }

    /// Answers for the values that the device is known to refuse, without asking it, except for
    /// one value whose turn it is to be tried again.
    fn skip_holes(&mut self, items: &mut Vec<Item>, into: &mut Readings) {
        let learned = self.points.learned();
        let mut holes: Vec<Span> = items
            .iter()
            .map(|item| item.span)
            .filter(|&span| learned.hole(span).is_some())
            .collect();
        holes.dedup();
        if holes.is_empty() {
            return;
        }
        let turn = learned.turn() % holes.len();
        let retried = holes.get(turn).copied();
        items.retain(|item| match learned.hole(item.span) {
            Some(exception) if Some(item.span) != retried => {
                into.err(item.key, Failure::Exception(exception).of_block(item.span));
                false
            }
            _ => true,
        });
    }

    /// A part that cannot or shall not be divided was refused.
    fn refuse(&mut self, part: &[Item], exception: Exception, alone: bool, into: &mut Readings) {
        give_fault(part, &Failure::Exception(exception), into);
        let Some(first) = part.first() else { return };
        if !alone && part.iter().all(|item| item.span == first.span) {
            self.points.learned().add_hole(first.span, exception);
        }
    }

    async fn read_part(&mut self, part: &[Item], into: &mut Readings) -> Result<(), Failure> {
        let Some(block) = hull(part) else { return Ok(()) };
        let answer = self.transact(&read_of(block)).await?;
        let response = answer.response().map_err(AnswerError::Pdu)?;
        if self.points.learned().has_holes() {
            for item in part {
                self.points.learned().remove_hole(item.span);
            }
        }
        for &Item { span, key } in part {
            let Some(address) = self.points.cur(key) else { continue };
            match take_value(address, &response, span.start - block.start) {
                Some(value) => into.ok(key, value),
                None => into.err(key, Fault::permanent("the answer has no such value")),
            }
        }
        Ok(())
    }

    /// Writes one value; what refused it and let the session stand is the inner error.
    async fn write_one(&mut self, write: &Write) -> Result<Result<(), Fault>, Failure> {
        let address = match self.points.write(write.key) {
            Ok(address) => address,
            Err(fault) => return Ok(Err(fault)),
        };
        let scalar = match write.value {
            Value::Null => return Ok(Ok(())),
            Value::Bool(bit) => Scalar::Bool(bit),
            Value::Number(number, _) => Scalar::Float(number),
            ref other => {
                let kind = other.kind_name();
                return Ok(Err(Fault::permanent(format_args!("{kind} is not written by Modbus"))));
            }
        };
        let words = match address.data.encode(address.unscaled(scalar)) {
            Ok(words) => words,
            Err(error) => {
                let number = scalar.to_f64();
                return Ok(Err(Fault::permanent(format_args!("cannot write {number}: {error}"))));
            }
        };
        let (at, encoding) = (span(address), address.data.encoding);
        let written = match encoding {
            _ if at.table.is_bits() => self.write_coil(at.start, scalar).await,
            Encoding::Bit(position) => {
                let mask = 1 << position;
                let bit = words.as_slice().first().map_or(0, |word| word & mask);
                match self.read_register(at).await {
                    Ok(held) => self.write_words(at.start, &[held & !mask | bit]).await,
                    Err(failure) => Err(failure),
                }
            }
            _ => self.write_words(at.start, words.as_slice()).await,
        };
        match written {
            Ok(()) => Ok(Ok(())),
            Err(failure) if failure.ends_session() => Err(failure),
            Err(failure) => Ok(Err(failure.of_block(at))),
        }
    }

    async fn write_coil(&mut self, address: u16, value: Scalar) -> Result<(), Failure> {
        let value = value == Scalar::Bool(true);
        let byte = [u8::from(value)];
        let request = match Bits::new(&byte, 1) {
            Some(values) if self.config.force_write_multiple => {
                Request::WriteCoils { start: address, values }
            }
            _ => Request::WriteCoil { address, value },
        };
        self.transact(&request).await.map(drop)
    }

    async fn write_words(&mut self, start: u16, words: &[u16]) -> Result<(), Failure> {
        let mut buffer = [0; 8];
        let request = match (words, Words::pack(words, &mut buffer)) {
            (&[value], _) if !self.config.force_write_multiple => {
                Request::WriteRegister { address: start, value }
            }
            (_, Some(values)) => Request::WriteRegisters { start, values },
            (_, None) => return Err(Failure::Request(RequestError::Pdu(PduError::Count))),
        };
        self.transact(&request).await.map(drop)
    }

    async fn read_register(&mut self, at: Span) -> Result<u16, Failure> {
        let answer = self.transact(&read_of(at)).await?;
        match answer.response().map_err(AnswerError::Pdu)? {
            Response::Words { words, .. } if !words.is_empty() => Ok(words.get(0).unwrap_or(0)),
            _ => Err(Failure::Answer(AnswerError::Pdu(PduError::Count))),
        }
    }

    fn session_over(&mut self, failure: &Failure) -> OpError {
        self.link = None;
        OpError::Session(failure.into())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    async fn exchange(&mut self, unit: u8, request: &Request<'_>) -> Result<Answer, Failure> {
        let origin = self.origin;
        let now = || Instant::from_origin(origin.elapsed());
        let asked = self.session.request(now(), unit, request)?;
        while let Some(due) = self.session.poll_timeout() {
            let due = origin + due.since_origin();
            if self.session.poll_transmit(&mut self.out) {
                // What is sent in part cannot be taken back: there is no session after that.
                match timeout_at(due, self.stream.write_all(&self.out)).await {
                    Ok(sent) => sent?,
                    Err(_) => return Err(io::Error::from(io::ErrorKind::TimedOut).into()),
                }
                self.out.clear();
            }
            tokio::select! {
                biased;
                read = self.stream.read(&mut self.input[..]) => match read? {
                    0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                    len => self.session.handle_input(now(), self.input.get(..len).unwrap_or(&[])),
                },
                () = sleep_until(due) => self.session.handle_timeout(now()),
            }
        }
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Answer(ticket, answer) if ticket == asked => return Ok(answer),
                Event::Failed(ticket, AnswerError::TimedOut) if ticket == asked => {
                    return Err(Failure::TimedOut(self.session.response_timeout()));
                }
                Event::Failed(ticket, error) if ticket == asked => return Err(error.into()),
                Event::Broken(error) => return Err(Failure::Frame(error)),
                Event::Answer(..) | Event::Failed(..) => {}
            }
        }
        // A request that is neither outstanding nor told of does not exist.
        Err(Failure::Request(RequestError::Broken))
    }
}

impl<D: Dial> Driver for Modbus<D> {
    fn features(&self) -> Features {
        Features::NONE.with_poll().with_write()
    }

    /// Connects, and asks for a sign of life: a connection that a device accepts and never serves
    /// is not an open session.
    async fn open(&mut self, _: &mut Readings) -> Result<(), OpError> {
        self.timeouts = 0;
        self.points.forget();
        match self.connect().await {
            Ok(()) => {}
            Err(failure) => return Err(self.session_over(&failure)),
        }
        self.sign_of_life().await.map_err(|failure| self.session_over(&failure))
    }

    async fn close(&mut self) {
        if let Some(mut link) = self.link.take() {
            // The peer's view of the end is its own affair: what is closed is closed.
            let _ = timeout(self.config.response_timeout, link.stream.shutdown()).await;
        }
    }

    async fn ping(&mut self, _: &mut Readings) -> Result<Tags, OpError> {
        let mut result = self.sign_of_life().await;
        if matches!(result, Err(Failure::TimedOut(_))) {
            result = self.sign_of_life().await;
        }
        match result {
            Ok(()) => Ok(Tags::new()),
            Err(failure) => Err(self.session_over(&failure)),
        }
    }

    fn bind(&mut self, points: &[Binding], into: &mut Readings) {
        self.points.bind(points, into);
    }

    fn unbind(&mut self, points: &[PointKey]) {
        self.points.unbind(points);
    }

    fn plan(&self, points: &[PointKey]) -> Vec<Fetch> {
        self.points.plan(points)
    }

    async fn read(&mut self, requests: &[Fetch], into: &mut Readings) -> Result<(), OpError> {
        for request in requests {
            self.read_request(request, into).await?;
        }
        Ok(())
    }

    async fn write(&mut self, writes: &[Write], into: &mut Readings) -> Result<(), OpError> {
        for write in writes {
            match self.write_one(write).await {
                Ok(Ok(())) => {}
                Ok(Err(fault)) => into.write_err(write.key, fault),
                Err(failure) => return Err(self.session_over(&failure)),
            }
        }
        Ok(())
    }
}

impl Dial for Tcp {
    type Stream = Stream;

    async fn dial(&mut self) -> io::Result<Stream> {
        dial(&self.config.endpoint, self.config.connect_timeout).await
    }
}

/// Whether this is how a stream fails that the peer closed a while ago.
fn is_close(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

const fn read_of(span: Span) -> Request<'static> {
    Request::Read { table: span.table, start: span.start, count: span.count }
}

/// The span that holds all of `items`, which are of one table and in order.
fn hull(items: &[Item]) -> Option<Span> {
    let first = items.first()?.span;
    let end = items.iter().map(|item| item.span.end()).max()?;
    let count = u16::try_from(end - u32::from(first.start)).ok()?;
    Some(Span { count, ..first })
}

fn give_fault(items: &[Item], failure: &Failure, into: &mut Readings) {
    let Some(block) = hull(items) else { return };
    let fault = failure.of_block(block);
    for item in items {
        into.err(item.key, fault.clone());
    }
}

/// The value of `address`, which begins `offset` registers or bits into the answer.
fn take_value(address: &Address, response: &Response<'_>, offset: u16) -> Option<Value> {
    let raw = match response {
        Response::Bits { bits, .. } => Scalar::Bool(bits.get(offset)?),
        Response::Words { words, .. } => {
            let mut buffer = [0; 4];
            let buffer = buffer.get_mut(..usize::from(address.count()))?;
            for (index, place) in buffer.iter_mut().enumerate() {
                *place = words.get(usize::from(offset) + index)?;
            }
            address.data.decode(buffer).ok()?
        }
        _ => return None,
    };
    Some(match address.scaled(raw) {
        Scalar::Bool(bit) => Value::Bool(bit),
        number => Value::number(number.to_f64()),
    })
}
