//! The connector driver of kind `modbus`.

mod bus;
mod failure;
mod learn;
mod link;
mod read;
mod trace;
mod wire;
mod write;

use core::fmt::Display;
use std::io;
use std::sync::Arc;

use pointstream_conn::{
    Binding, Context, Driver, Features, Learn, OpError, Readings, Registry, Request as Fetch, Write,
};
use pointstream_point::{Fault, LearnPath, LearnRow, PointKey, Tags};

pub use learn::Found;
pub use link::{Trace, Traced};
pub use wire::{Dial, Wire};

use crate::block::Span;
use crate::config::{Config, Target};
use crate::driver::bus::{Bus, Buses, Purpose, Turn};
use crate::driver::failure::Failure;
use crate::driver::link::Manner;
use crate::error::AnswerError;
use crate::framing::Framing;
use crate::map::{MapError, RegisterMap};
use crate::pdu::{Request, Response};
use crate::points::{Item, Points, span};
use crate::session::Answer;

/// Teaches `registry` the kind `modbus`, configured by [`Config`].
///
/// Connectors of one registry with the same target share one line or connection.
pub fn register(registry: &mut Registry) {
    let buses = Buses::default();
    registry.register("modbus", move |config: Config, context: &Context| {
        if cfg!(not(feature = "serial")) && matches!(config.target, Target::Rtu(_)) {
            let text = "this build has no serial ports: it lacks the feature `serial`";
            return Err(Fault::permanent(text));
        }
        let bus = buses.bus(&config.target, || Wire::new(&config));
        let map = load_map(&config).map_err(|error| {
            let path = config.register_map.as_deref().map(std::path::Path::display);
            let path = path.map(|path| format!("{path}: ")).unwrap_or_default();
            Fault::permanent(format_args!("{path}{error}"))
        })?;
        let trace = trace::of(context, config.target.framing());
        Ok(Modbus::on_bus(config, bus, map).with_trace(trace))
    });
}

/// A client of one unit of one Modbus device.
///
/// Points are merged into blocks; a block that the device refuses is divided until only the values
/// that it really refuses are without one. A time-out fails its own request; the second in a row
/// ends the session. When the device closed the connection while nothing was asked, as many do,
/// the next request opens it again without anyone noticing.
///
/// Several units may stand on one line or connection. One transaction at a time goes over it, writes
/// before reads, and a unit that does not answer is asked but once in [`Config::demotion`].
#[derive(Debug)]
pub struct Modbus<D: Dial = Wire> {
    config: Config,
    bus: Arc<Bus<D>>,
    manner: Manner,
    points: Points,
    /// Whether there is a session.
    open: bool,
    /// Requests in a row for which the unit was not there.
    timeouts: u8,
    /// What this session found out about function 22.
    masks: bool,
    /// Kept from read to read for its memory.
    items: Vec<Item>,
}

/// How many time-outs in a row end the session.
const TIMEOUTS_MAX: u8 = 2;

impl Modbus {
    /// A driver that dials the target of `config`, with a line or connection of its own.
    ///
    /// # Errors
    ///
    /// The register map is none.
    pub fn new(config: Config) -> Result<Self, MapError> {
        let dial = Wire::new(&config);
        Self::with_dial(config, dial)
    }
}

impl<D: Dial> Modbus<D> {
    /// A driver that reaches its device by `dial` and takes everything else from `config`.
    ///
    /// # Errors
    ///
    /// The register map is none.
    pub fn with_dial(config: Config, dial: D) -> Result<Self, MapError> {
        let map = load_map(&config)?;
        let bus = Bus::new(dial, config.target.framing());
        Ok(Self::on_bus(config, bus, map))
    }

    /// A driver of another unit on the same line or connection.
    ///
    /// # Errors
    ///
    /// The register map is none.
    pub fn with_bus_of(config: Config, other: &Self) -> Result<Self, MapError> {
        let map = load_map(&config)?;
        Ok(Self::on_bus(config, Arc::clone(&other.bus), map))
    }

    fn on_bus(config: Config, bus: Arc<Bus<D>>, map: Option<RegisterMap>) -> Self {
        bus.join();
        let points = Points::new(config.merge(), map);
        let manner = Manner {
            unit: config.unit,
            response_timeout: config.response_timeout,
            request_delay: config.request_delay,
            trace: None,
        };
        let (open, timeouts, masks) = (false, 0, true);
        Self { config, bus, manner, points, open, timeouts, masks, items: Vec::new() }
    }

    /// This driver, showing what goes over its link.
    #[must_use]
    pub fn with_trace(mut self, trace: Trace) -> Self {
        self.manner.trace = Some(trace);
        self
    }

    /// One transaction.
    async fn transact(
        &mut self,
        purpose: Purpose,
        request: &Request<'_>,
    ) -> Result<Answer, Failure> {
        let mut turn = self.bus.turn(purpose).await;
        self.transact_in(&mut turn, request).await
    }

    /// One transaction of a turn. Opens the connection again, once, when it turns out that the
    /// device closed it since its last answer.
    async fn transact_in(
        &mut self,
        turn: &mut Turn<D>,
        request: &Request<'_>,
    ) -> Result<Answer, Failure> {
        let served = turn.link.as_ref().is_some_and(|link| link.served);
        let mut result = self.exchange(turn, request).await;
        if served && matches!(&result, Err(Failure::Io(error)) if is_close(error)) {
            result = self.exchange(turn, request).await;
        }
        self.judge(result)
    }

    async fn exchange(&self, turn: &mut Turn<D>, request: &Request<'_>) -> Result<Answer, Failure> {
        if !self.open {
            return Err(io::Error::from(io::ErrorKind::NotConnected).into());
        }
        let link = turn.link(self.config.connect_timeout, self.window(), &self.config.target);
        let result = match link.await {
            Ok(link) => link.exchange(&self.manner, request).await,
            Err(failure) => Err(failure),
        };
        turn.on_end(result.as_ref().err());
        result
    }

    fn window(&self) -> usize {
        self.bus.window(self.config.window)
    }

    /// What an outcome means for the session: a unit that is not there ends it in the long run.
    fn judge(&mut self, result: Result<Answer, Failure>) -> Result<Answer, Failure> {
        let result =
            result.and_then(|answer| match answer.response().map_err(AnswerError::Pdu)? {
                Response::Exception { exception, .. } => Err(Failure::Exception(exception)),
                _ => Ok(answer),
            });
        match result {
            Err(Failure::TimedOut(limit)) => {
                self.timeouts += 1;
                if self.timeouts < TIMEOUTS_MAX {
                    return Err(Failure::TimedOut(limit));
                }
                Err(Failure::Silent(self.timeouts, limit))
            }
            // A gateway that waits for a dead unit keeps the others of its line waiting.
            Err(Failure::Exception(exception))
                if exception.is_of_gateway() && self.bus.is_shared() =>
            {
                self.timeouts += 1;
                if self.timeouts < TIMEOUTS_MAX {
                    return Err(Failure::Exception(exception));
                }
                Err(Failure::Absent(exception, self.timeouts))
            }
            Ok(_) | Err(Failure::Answer(_) | Failure::Exception(_)) => {
                self.timeouts = 0;
                result
            }
            Err(_) => result,
        }
    }

    /// Reads something small. Any answer is a sign of life, unless a gateway says that the unit is
    /// not there.
    async fn sign_of_life(&mut self) -> Result<(), Failure> {
        let configured = self.config.ping.as_ref().map(span);
        let Some(span) = configured.or_else(|| self.points.first()) else {
            return self.connected().await;
        };
        match self.transact(Purpose::Read, &read_of(span)).await {
            Err(Failure::Exception(exception)) if !exception.is_of_gateway() => Ok(()),
            // All units listen and none answers: there is nothing more to be known.
            Err(Failure::Request(_)) if self.is_broadcast() => Ok(()),
            other => other.map(drop),
        }
    }

    fn is_broadcast(&self) -> bool {
        matches!(self.config.target.framing(), Framing::Rtu(_))
            && self.config.unit == crate::rtu::BROADCAST
    }

    /// Where there is nothing to ask, a connection is enough.
    async fn connected(&self) -> Result<(), Failure> {
        let mut turn = self.bus.turn(Purpose::Read).await;
        let (limit, window) = (self.config.connect_timeout, self.window());
        turn.link(limit, window, &self.config.target).await.map(drop)
    }

    /// The end of the session, by what ended it. A unit that is not there is left alone for a while
    /// where others wait for the line.
    fn session_over(&mut self, failure: &Failure) -> OpError {
        if failure.is_absence() && self.bus.is_shared() && !self.config.demotion.is_zero() {
            self.bus.demote(self.config.unit, self.config.demotion);
        }
        self.leave();
        OpError::Session(failure.into())
    }

    fn leave(&mut self) {
        if core::mem::take(&mut self.open) {
            drop(self.bus.close_session());
        }
    }
}

impl<D: Dial> Drop for Modbus<D> {
    fn drop(&mut self) {
        self.leave();
        self.bus.leave();
    }
}

impl<D: Dial> Driver for Modbus<D> {
    fn features(&self) -> Features {
        // A pause between requests leaves no two of them in flight.
        let window = if self.config.request_delay.is_zero() { self.window() } else { 1 };
        let learn = if self.points.map().is_some() { Learn::Offline } else { Learn::Session };
        Features::NONE.with_poll().with_write().with_window(window).with_learn(learn)
    }

    /// Connects, and asks for a sign of life: a connection that a device accepts and never serves
    /// is not an open session.
    async fn open(&mut self, _: &mut Readings) -> Result<(), OpError> {
        self.leave();
        self.timeouts = 0;
        self.masks = self.config.mask_write;
        self.points.forget();
        if self.bus.is_shared()
            && let Some(left) = self.bus.demoted(self.config.unit)
        {
            let unit = self.config.unit;
            return Err(OpError::Session(Fault::down(format_args!(
                "unit {unit} does not answer: left alone for {} s more, for the others on its line",
                left.as_millis().div_ceil(1000)
            ))));
        }
        self.open = true;
        self.bus.open_session();
        match self.sign_of_life().await {
            Ok(()) => {
                self.bus.promote(self.config.unit);
                Ok(())
            }
            Err(failure) => Err(self.session_over(&failure)),
        }
    }

    async fn close(&mut self) {
        if core::mem::take(&mut self.open)
            && let Some(link) = self.bus.close_session()
        {
            link.close(self.config.response_timeout).await;
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
        if requests.len() > 1 && self.features().window > 1 {
            return self.read_window(requests, into).await;
        }
        for request in requests {
            self.read_request(request, into).await?;
        }
        Ok(())
    }

    /// The registers of the map, for which nothing is asked of the device; where there is no map, the
    /// ranges that can be scanned. A range such as `holding:#0-999` is scanned, for which the
    /// session must be open.
    async fn learn(&mut self, at: Option<&LearnPath>) -> Result<Vec<LearnRow>, OpError> {
        self.rows(at.map(LearnPath::as_str)).await
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

fn load_map(config: &Config) -> Result<Option<RegisterMap>, MapError> {
    let Some(path) = &config.register_map else { return Ok(None) };
    RegisterMap::parse(&std::fs::read(path)?).map(Some)
}

/// Whether this is how a stream fails that the peer closed a while ago.
fn is_close(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

const fn read_of(span: Span) -> Request<'static> {
    Request::Read { table: span.table, start: span.start, count: span.count }
}

/// A fault that does not pass by itself, for a reason.
fn permanent(reason: impl Display) -> Fault {
    Fault::permanent(format_args!("{reason}"))
}
