use core::future::Future;
use core::time::Duration;
use std::sync::Arc;

use pointstream_point::{
    Address, Fault, Kind, LearnPath, LearnRow, PointKey, PointSpec, Span, Tags, Value,
};

use crate::{Readings, Samples};

/// A driver: what turns a connector's operations into a protocol's bytes.
///
/// The framework decides *when* (opening, polling, retrying, closing, staleness, time limits); a
/// driver decides *how*. It owns its session, is called for one operation at a time, and needs
/// three methods: [`open`](Self::open), [`close`](Self::close) and [`ping`](Self::ping). All others
/// have default bodies; [`features`](Self::features) says which of them the framework may ask for.
///
/// # Errors
///
/// What an operation answers decides what happens, by type and never by message text:
///
/// - [`OpError::Session`]: the session is gone. The connector goes down (or to fault), closes,
///   and retries.
/// - [`OpError::Refused`]: the device said no to this operation. The session stands, and the
///   points of the operation get the fault.
/// - [`Readings::err`]: only that point is bad.
///
/// # Cancel safety
///
/// [`event`](Self::event) must be cancel-safe: it is dropped whenever something else is to be
/// done. Any other method is cancelled only when it exceeds the connector's time limit or the
/// connector ends; then `close` follows before the next `open`. A panic is caught and becomes a
/// session fault.
pub trait Driver: Send + 'static {
    /// What the framework may ask of this driver.
    fn features(&self) -> Features;

    /// Opens the session. Called only when closed.
    fn open(&mut self, into: &mut Readings) -> impl Future<Output = Result<(), OpError>> + Send;

    /// Closes the session. Called also after a failed operation; must not fail.
    fn close(&mut self) -> impl Future<Output = ()> + Send;

    /// Asks the device for a sign of life, cheaply, and gives what it says about itself.
    fn ping(&mut self, into: &mut Readings) -> impl Future<Output = Result<Tags, OpError>> + Send;

    /// Learns of points and parses their addresses, once. A bad address is that point's fault, by
    /// [`Readings::err`], or by [`Readings::write_err`] if it is only the one to write to, by [`Readings::his_err`] if it is that of the history. Called at any time between operations, open or closed.
    fn bind(&mut self, points: &[Binding], into: &mut Readings) {
        let _ = (points, into);
    }

    /// Forgets points.
    fn unbind(&mut self, points: &[PointKey]) {
        let _ = points;
    }

    /// How these bound points are fetched, in as few requests as the protocol allows. The answer
    /// is kept until the set of points changes. By default one request for all.
    fn plan(&self, points: &[PointKey]) -> Vec<Request> {
        vec![Request::new(points, 0)]
    }

    /// Reads the points of one request, or of up to [`Features::window`] of them, and puts each
    /// outcome into `into`.
    fn read(
        &mut self,
        requests: &[Request],
        into: &mut Readings,
    ) -> impl Future<Output = Result<(), OpError>> + Send {
        let _ = (requests, into);
        async { Err(OpError::Refused(Fault::unsupported("reading"))) }
    }

    /// Writes values. What has no outcome in `into` by [`Readings::write_err`] when this answers
    /// `Ok` was written.
    fn write(
        &mut self,
        writes: &[Write],
        into: &mut Readings,
    ) -> impl Future<Output = Result<(), OpError>> + Send {
        let _ = (writes, into);
        async { Err(OpError::Refused(Fault::unsupported("writing"))) }
    }

    /// Polls in the driver's own way, such as a watch that the other side keeps. Called each
    /// [`Features::manual`] while anything is watched.
    fn poll(&mut self, into: &mut Readings) -> impl Future<Output = Result<(), OpError>> + Send {
        let _ = into;
        async { Err(OpError::Refused(Fault::unsupported("polling"))) }
    }

    /// Subscribes to points; their values then arrive by [`event`](Self::event) or with any other
    /// operation. Called with all watched points after each opening. A point that cannot be
    /// subscribed to is named by [`Readings::unwatchable`].
    fn watch(
        &mut self,
        points: &[PointKey],
        into: &mut Readings,
    ) -> impl Future<Output = Result<(), OpError>> + Send {
        let _ = (points, into);
        async { Err(OpError::Refused(Fault::unsupported("watching"))) }
    }

    /// Ends subscriptions.
    fn unwatch(
        &mut self,
        points: &[PointKey],
        into: &mut Readings,
    ) -> impl Future<Output = Result<(), OpError>> + Send {
        let _ = (points, into);
        async { Ok(()) }
    }

    /// What is at a place of the device's tree, as the row that led there named it, or at its root.
    /// One level at a time: whoever looks goes on where a row has [`LearnRow::learn`], so that a
    /// tree that is endless or loops costs nothing. Where the driver learns without a session
    /// ([`Learn::Offline`]) this is called open or closed.
    fn learn(
        &mut self,
        at: Option<&LearnPath>,
    ) -> impl Future<Output = Result<Vec<LearnRow>, OpError>> + Send {
        let _ = at;
        async { Err(OpError::Refused(Fault::unsupported("learning"))) }
    }

    /// Reads what the device has of a point in a span, in any order; with the last item before the
    /// span and those after it or without. A driver that cannot give all at once gives the oldest and
    /// says so by [`Samples::cut`].
    fn history(
        &mut self,
        point: PointKey,
        span: Span,
        into: &mut Samples,
    ) -> impl Future<Output = Result<(), OpError>> + Send {
        let _ = (point, span, into);
        async { Err(OpError::Refused(Fault::unsupported("reading histories"))) }
    }

    /// Waits for something that comes unasked. Never completes by default. Called while the
    /// session is open and nothing else is to be done.
    fn event(&mut self, into: &mut Readings) -> impl Future<Output = Result<(), OpError>> + Send {
        let _ = into;
        core::future::pending()
    }
}

/// What a driver can do beyond open, close and ping.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Features {
    /// [`Driver::read`] works, so watched points are polled.
    pub poll: bool,
    /// [`Driver::watch`] works, so watched points are subscribed to. Those that it refuses are
    /// polled, if that works too.
    pub watch: bool,
    /// [`Driver::write`] works.
    pub write: bool,
    /// [`Driver::poll`] works, and this is its period where the configuration says nothing else.
    pub manual: Option<Duration>,
    /// [`Driver::learn`] works, and this is what it needs.
    pub learn: Option<Learn>,
    /// [`Driver::history`] works.
    pub history: bool,
    /// How many requests of a plan [`Driver::read`] takes at a time, for a driver that has them in
    /// flight together; 0 is as good as 1. A write waits for a window to end, and the time limit of
    /// an operation holds for all of it.
    pub window: usize,
}

/// What looking into a device's tree needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Learn {
    /// An open session.
    Session,
    /// Nothing: what there is to know stands in the configuration or in a file.
    Offline,
}

impl Features {
    /// Nothing beyond open, close and ping.
    pub const NONE: Self = Self {
        poll: false,
        watch: false,
        write: false,
        manual: None,
        learn: None,
        history: false,
        window: 1,
    };

    /// These features and polling.
    #[must_use]
    pub const fn with_poll(mut self) -> Self {
        self.poll = true;
        self
    }

    /// These features and watching.
    #[must_use]
    pub const fn with_watch(mut self) -> Self {
        self.watch = true;
        self
    }

    /// These features and polling in the driver's own way, with its usual period.
    #[must_use]
    pub const fn with_manual_poll(mut self, period: Duration) -> Self {
        self.manual = Some(period);
        self
    }

    /// These features and looking into the device's tree.
    #[must_use]
    pub const fn with_learn(mut self, needs: Learn) -> Self {
        self.learn = Some(needs);
        self
    }

    /// These features, with so many requests at a time.
    #[must_use]
    pub const fn with_window(mut self, requests: usize) -> Self {
        self.window = requests;
        self
    }

    /// These features and reading the histories that the device keeps.
    #[must_use]
    pub const fn with_history(mut self) -> Self {
        self.history = true;
        self
    }

    /// These features and writing.
    #[must_use]
    pub const fn with_write(mut self) -> Self {
        self.write = true;
        self
    }
}

/// A point as its driver sees it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Binding {
    /// The key by which everything about the point is said.
    pub key: PointKey,
    /// The kind of value that the driver is to read; none where a convert stands between it and
    /// the point, and whatever the address holds will do.
    pub kind: Option<Kind>,
    /// The same for what is written.
    pub write_kind: Option<Kind>,
    /// The address of the current value, in the driver's syntax.
    pub cur: Option<Address>,
    /// The address to write to, in the driver's syntax.
    pub write: Option<Address>,
    /// The address of the history that the device keeps, in the driver's syntax.
    pub his: Option<Address>,
}

impl Binding {
    /// A point with neither address.
    pub const fn new(key: PointKey, kind: Kind) -> Self {
        Self { key, kind: Some(kind), write_kind: Some(kind), cur: None, write: None, his: None }
    }

    /// What a driver sees of a configured point.
    pub fn of(key: PointKey, spec: &PointSpec) -> Self {
        let kind = |convert: &Option<Box<str>>| {
            let converts = convert.as_deref().is_some_and(|text| !text.is_empty());
            (!converts).then_some(spec.kind)
        };
        Self {
            key,
            kind: kind(&spec.more.cur_convert),
            write_kind: kind(&spec.more.write_convert),
            cur: spec.cur.clone(),
            write: spec.write.clone(),
            his: spec.more.his.clone(),
        }
    }
}

/// Points that are fetched together, by [`Driver::plan`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Request {
    /// The points. They all get the fault if the request is refused.
    pub points: Arc<[PointKey]>,
    /// The driver's own mark, such as an index into its plan.
    pub token: u64,
}

impl Request {
    /// A request for `points` with the driver's own mark.
    pub fn new(points: &[PointKey], token: u64) -> Self {
        Self { points: points.into(), token }
    }
}

/// A value on its way to a device: checked against the point's kind, unit and range, then
/// converted. Null says that nobody wants anything of the point any more; a protocol that can
/// release a value does so, any other does nothing and answers well.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Write {
    /// The point.
    pub key: PointKey,
    /// The value.
    pub value: Value,
}

impl Write {
    /// A write of `value` to the point `key`.
    pub const fn new(key: PointKey, value: Value) -> Self {
        Self { key, value }
    }
}

/// Why an operation failed as a whole.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OpError {
    /// The session is gone: the connector closes and retries.
    #[error("{0}")]
    Session(#[source] Fault),
    /// The device said no to this operation; the session stands.
    #[error("{0}")]
    Refused(#[source] Fault),
}

impl OpError {
    /// The fault, whatever it ended.
    pub fn fault(&self) -> &Fault {
        match self {
            Self::Session(fault) | Self::Refused(fault) => fault,
        }
    }
}
