//! The loop that joins a connector's machine and its driver, on tokio.

use core::future::Future;
use core::panic::AssertUnwindSafe;
use core::pin::pin;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use jiff::Timestamp;
use pointstream_point::{
    EnumDefs, Fault, LearnPath, Learned, Now, PointKey, Span, Status, WriteInfo,
};
use pointstream_time::Instant;
use tokio::sync::{mpsc, oneshot};

use crate::action::{Action, Input, Outcome};
use crate::config::{ConnConfig, NamedTuning, PointDef};
use crate::connector::Connector;
use crate::details::Details;
use crate::driver::OpError;
use crate::dyn_driver::DynDriver;
use crate::readings::Readings;
use crate::registry::{AnyDriver, panicked};
use crate::samples::Samples;
use crate::trace::{Trace, TraceKind};
use crate::view::{BucketView, Changes, ConnState, ConnView, Event, PollStats, WriteDone};

/// The clock of a shell: tokio's, so that paused time governs it, and the wall clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock(tokio::time::Instant);

impl Clock {
    /// A clock whose origin is the present.
    pub fn start() -> Self {
        Self(tokio::time::Instant::now())
    }

    /// The present.
    pub fn now(self) -> Now {
        Now { at: Instant::from_origin(self.0.elapsed()), wall: Timestamp::now() }
    }

    fn instant(self, at: Instant) -> tokio::time::Instant {
        let far = Duration::from_secs(60 * 60 * 24 * 365);
        self.0 + at.since_origin().min(self.0.elapsed() + far)
    }
}

/// Who follows a connector. Called by the connector's own task, so it must be quick and must not
/// block: it folds what it gets into state of its own.
pub trait Follower: Send + Sync + 'static {
    /// Points changed.
    fn on_changes(&self, changes: &Arc<Changes>);

    /// The connector's state or status changed.
    fn on_conn(&self, view: &ConnView);

    /// Whether there is room for more of the past ([`Changes::past`]). While there is none the
    /// connector does not ask its driver for what comes unasked, so that what waits is kept by the
    /// other side.
    fn has_room(&self) -> bool {
        true
    }
}

/// How long a connector waits for its follower to have room.
const ROOM_WAIT: Duration = Duration::from_millis(50);

/// The way to a running connector. When the last handle is dropped, the connector closes its
/// session and ends.
#[derive(Clone, Debug)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    shown: Arc<Mutex<Details>>,
    clock: Clock,
    trace: Trace,
}

#[derive(Debug)]
enum Command {
    Bind(Vec<PointDef>),
    Unbind(Vec<PointKey>),
    Watch(Vec<PointKey>),
    Unwatch(Vec<PointKey>),
    Write(PointKey, WriteInfo, Option<oneshot::Sender<Result<WriteDone, Fault>>>),
    Sync(Vec<PointKey>, oneshot::Sender<Result<(), Fault>>),
    Learn(Option<LearnPath>, oneshot::Sender<Result<Learned, Fault>>),
    HisPending(Vec<PointKey>),
    HisReleased(Vec<PointKey>),
    History(PointKey, Span, oneshot::Sender<Result<Samples, Fault>>),
    HisDone(PointKey, Result<(), Fault>),
    Pin(Arc<str>),
    Unpin(Arc<str>),
    Enums(Arc<EnumDefs>),
    Tuning(Arc<NamedTuning>),
    Retune(Vec<(PointKey, Arc<NamedTuning>)>),
    Disable(bool),
    Ping,
    Close,
}

/// How many commands may wait for a connector. A sender waits when there are more.
const COMMANDS_MAX: usize = 1024;

/// How long closing the session may take when the connector ends.
const FAREWELL_MAX: Duration = Duration::from_secs(1);

impl Handle {
    /// Waits until there is room for one command and keeps it, so that the command is then given
    /// without waiting: under the lock that decides in which order commands are to come.
    pub fn room(&self) -> impl Future<Output = Room> + Send + use<> {
        let commands = self.commands.clone();
        async move { Room(commands.reserve_owned().await.ok()) }
    }

    /// Adds points. A point whose slot is taken replaces the one in it.
    pub async fn bind(&self, points: Vec<PointDef>) {
        self.send(Command::Bind(points)).await;
    }

    /// Removes points.
    pub async fn unbind(&self, points: Vec<PointKey>) {
        self.send(Command::Unbind(points)).await;
    }

    /// Watches points from now on.
    pub async fn watch(&self, points: Vec<PointKey>) {
        self.send(Command::Watch(points)).await;
    }

    /// Ends the watching of points.
    pub async fn unwatch(&self, points: Vec<PointKey>) {
        self.send(Command::Unwatch(points)).await;
    }

    /// Gives a tuning other options.
    pub async fn tuning(&self, tuning: Arc<NamedTuning>) {
        self.send(Command::Tuning(tuning)).await;
    }

    /// Gives points another tuning.
    pub async fn retune(&self, points: Vec<(PointKey, Arc<NamedTuning>)>) {
        self.send(Command::Retune(points)).await;
    }

    /// Switches the connector off or on.
    pub async fn disable(&self, disabled: bool) {
        self.send(Command::Disable(disabled)).await;
    }

    /// Opens the session if it is not open, and asks for a sign of life.
    pub async fn ping(&self) {
        self.send(Command::Ping).await;
    }

    /// Closes the session.
    pub async fn close(&self) {
        self.send(Command::Close).await;
    }

    /// Keeps the session open under this name, until [`unpin`](Self::unpin).
    pub async fn pin(&self, name: impl Into<Arc<str>>) {
        self.send(Command::Pin(name.into())).await;
    }

    /// Lets go of the session under this name.
    pub async fn unpin(&self, name: impl Into<Arc<str>>) {
        self.send(Command::Unpin(name.into())).await;
    }

    /// Gives the converts of points other enum definitions.
    pub async fn enums(&self, enums: Arc<EnumDefs>) {
        self.send(Command::Enums(enums)).await;
    }

    /// Has the machine write a value that came into effect for a point, and waits until the device
    /// took it, it failed, or it has to wait for its turn. The value is expected to be checked
    /// against the point already. Waiting does not keep the connector from ending, as a handle does.
    ///
    /// # Cancel safety
    ///
    /// If this is dropped the write may still happen; its outcome is then not known.
    pub fn write(
        &self,
        key: PointKey,
        info: WriteInfo,
    ) -> impl Future<Output = Result<WriteDone, Fault>> + Send + use<> {
        let (reply, outcome) = oneshot::channel();
        self.ask(Command::Write(key, info, Some(reply)), outcome)
    }

    /// As [`write`](Self::write), without waiting for what becomes of it: the point shows that.
    pub async fn put(&self, key: PointKey, info: WriteInfo) {
        self.send(Command::Write(key, info, None)).await;
    }

    /// Reads points once, out of turn, whether they are watched or not, and waits until each has a
    /// reading, good or not.
    ///
    /// # Errors
    ///
    /// There is no session, or the driver cannot read.
    ///
    /// # Cancel safety
    ///
    /// If this is dropped the points are read all the same.
    pub fn sync_cur(
        &self,
        points: Vec<PointKey>,
    ) -> impl Future<Output = Result<(), Fault>> + Send + use<> {
        let (reply, outcome) = oneshot::channel();
        self.ask(Command::Sync(points, reply), outcome)
    }

    /// What is at a place of the device's tree, as the row that led there named it, or at its root.
    ///
    /// # Errors
    ///
    /// The driver does not learn, there is no session, the device says no, or too many ask at once.
    ///
    /// # Cancel safety
    ///
    /// If this is dropped the device is asked all the same.
    pub fn learn(
        &self,
        at: Option<LearnPath>,
    ) -> impl Future<Output = Result<Learned, Fault>> + Send + use<> {
        let (reply, outcome) = oneshot::channel();
        self.ask(Command::Learn(at, reply), outcome)
    }

    /// What the device has of a point's history in a span, converted.
    ///
    /// # Errors
    ///
    /// The driver reads no histories, the point has none, there is no session, the device says no,
    /// or too many ask at once.
    ///
    /// # Cancel safety
    ///
    /// If this is dropped the device is asked all the same.
    pub fn history(
        &self,
        key: PointKey,
        span: Span,
    ) -> impl Future<Output = Result<Samples, Fault>> + Send + use<> {
        let (reply, outcome) = oneshot::channel();
        self.ask(Command::History(key, span, reply), outcome)
    }

    /// Shows points as waiting for the synchronisation of their histories.
    pub async fn his_pending(&self, points: Vec<PointKey>) {
        self.send(Command::HisPending(points)).await;
    }

    /// Shows points as waiting no more, since their synchronisation was given up: what the last one
    /// came to stands. This does not wait.
    ///
    /// # Errors
    ///
    /// Too many commands wait for the connector; the points come back. One that has ended takes
    /// them.
    pub fn his_released(&self, points: Vec<PointKey>) -> Result<(), Vec<PointKey>> {
        match self.commands.try_send(Command::HisReleased(points)) {
            Err(mpsc::error::TrySendError::Full(Command::HisReleased(points))) => Err(points),
            _ => Ok(()),
        }
    }

    /// Shows what the synchronisation of a point's history came to.
    pub async fn his_done(&self, key: PointKey, result: Result<(), Fault>) {
        self.send(Command::HisDone(key, result)).await;
    }

    fn ask<T: Send>(
        &self,
        command: Command,
        outcome: oneshot::Receiver<Result<T, Fault>>,
    ) -> impl Future<Output = Result<T, Fault>> + Send + use<T> {
        let commands = self.commands.clone();
        async move {
            // Where the connector has ended, the sender is dropped with the command.
            let _ = commands.send(command).await;
            drop(commands);
            outcome.await.unwrap_or_else(|_| Err(Fault::down("the connector has ended")))
        }
    }

    /// The counters of polling.
    pub fn stats(&self) -> PollStats {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).stats
    }

    /// How the polls of each tuning went, the shortest period first.
    pub fn buckets(&self) -> Vec<BucketView> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).buckets.clone()
    }

    /// Everything that the connector knows about itself, as of its last step. This asks nobody, so
    /// that it answers even while the driver hangs.
    pub fn details(&self) -> Details {
        let mut details = self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
        details.now = self.clock.now().at;
        details
    }

    /// What the connector and its device say to one another.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// A connector that has ended takes no commands, which is no error of the sender.
    async fn send(&self, command: Command) {
        let _ = self.commands.send(command).await;
    }
}

/// Room for one command to a connector, by [`Handle::room`]. It keeps the connector from ending, as
/// a handle does.
#[derive(Debug)]
pub struct Room(Option<mpsc::OwnedPermit<Command>>);

impl Room {
    /// As [`Handle::write`]; what is given first is written first.
    pub fn write(self, key: PointKey, info: WriteInfo) -> Writing {
        let (reply, outcome) = oneshot::channel();
        self.send(Command::Write(key, info, Some(reply)));
        Writing(outcome)
    }

    /// As [`Handle::put`].
    pub fn put(self, key: PointKey, info: WriteInfo) {
        self.send(Command::Write(key, info, None));
    }

    /// As [`Handle::bind`].
    pub fn bind(self, points: Vec<PointDef>) {
        self.send(Command::Bind(points));
    }

    /// A connector that has ended takes no commands, which is no error of the sender.
    fn send(self, command: Command) {
        if let Some(permit) = self.0 {
            drop(permit.send(command));
        }
    }
}

/// A write that was given to a connector.
#[derive(Debug)]
pub struct Writing(oneshot::Receiver<Result<WriteDone, Fault>>);

impl Writing {
    /// Waits for the outcome.
    ///
    /// # Errors
    ///
    /// Why the value was not written.
    ///
    /// # Cancel safety
    ///
    /// If this is dropped the write may still happen; its outcome is then not known.
    pub async fn done(self) -> Result<WriteDone, Fault> {
        self.0.await.unwrap_or_else(|_| Err(Fault::down("the connector has ended")))
    }
}

/// A connector with its driver, ready to run.
#[derive(Debug)]
pub struct Shell {
    driver: AnyDriver,
    readings: Readings,
    core: Core,
}

/// All of a shell but the driver, so that it goes on while the driver is at work.
struct Core {
    machine: Connector,
    follower: Arc<dyn Follower>,
    commands: mpsc::Receiver<Command>,
    told: Arc<Mutex<Details>>,
    trace: Trace,
    clock: Clock,
    writing: BTreeMap<u64, oneshot::Sender<Result<WriteDone, Fault>>>,
    syncing: BTreeMap<u64, oneshot::Sender<Result<(), Fault>>>,
    learning: BTreeMap<u64, oneshot::Sender<Result<Learned, Fault>>>,
    reading: BTreeMap<u64, oneshot::Sender<Result<Samples, Fault>>>,
    next_token: u64,
    shown: (ConnState, Status),
    ended: bool,
}

impl Shell {
    /// Joins a configuration, a driver and who follows them.
    pub fn new(
        config: ConnConfig,
        driver: AnyDriver,
        follower: Arc<dyn Follower>,
        clock: Clock,
    ) -> (Self, Handle) {
        let (sender, commands) = mpsc::channel(COMMANDS_MAX);
        let told = Arc::<Mutex<Details>>::default();
        let (shown, trace) = (Arc::clone(&told), driver.1.clone());
        let handle = Handle { commands: sender, shown, clock, trace: trace.clone() };
        let core = Core {
            machine: Connector::new(clock.now(), config, driver.features()),
            follower,
            commands,
            told,
            trace,
            clock,
            writing: BTreeMap::new(),
            syncing: BTreeMap::new(),
            learning: BTreeMap::new(),
            reading: BTreeMap::new(),
            next_token: 0,
            shown: <(ConnState, Status)>::default(),
            ended: false,
        };
        (Self { driver, readings: Readings::new(), core }, handle)
    }

    /// Runs until every [`Handle`] is gone, then closes the session.
    ///
    /// # Cancel safety
    ///
    /// If this is dropped, the session ends without being closed politely.
    pub async fn run(mut self) {
        while !self.core.ended {
            let action = self.core.machine.poll_action();
            self.core.flush();
            match action {
                Some(action) => self.operate(action).await,
                None => self.wait().await,
            }
        }
        let close = AssertUnwindSafe(self.driver.0.close()).catch_unwind();
        let _ = tokio::time::timeout(FAREWELL_MAX, close).await;
    }

    /// Has the driver do one thing, while commands and time go on.
    async fn operate(&mut self, action: Action) {
        let limit = self.core.machine.op_timeout();
        let began = self.core.begin(&action);
        let result = {
            let mut work = pin!(perform(&mut *self.driver.0, &action, &mut self.readings, limit));
            loop {
                tokio::select! {
                    result = &mut work => break result,
                    () = self.core.step() => {}
                }
                if self.core.ended {
                    return;
                }
            }
        };
        self.core.end(&action, began, &result);
        self.deliver();
        self.core.handle(Input::Done(result));
    }

    /// Waits until there is something to do, open to what the driver hears unasked.
    async fn wait(&mut self) {
        if !self.core.machine.is_idle() {
            return self.core.step().await;
        }
        if !self.core.follower.has_room() {
            return tokio::select! {
                () = self.core.step() => {}
                () = tokio::time::sleep(ROOM_WAIT) => {}
            };
        }
        let heard = {
            let Self { driver, readings, core } = self;
            let event = contained(async { driver.0.event(readings).await });
            tokio::select! {
                heard = event => Some(heard),
                () = core.step() => None,
            }
        };
        self.deliver();
        if let Some(heard) = &heard {
            match heard {
                Ok(()) => self.core.trace.push(TraceKind::Event, "the driver heard something"),
                Err(error) => self.core.trace.push(TraceKind::Event, error),
            }
            // A driver that always has something to tell must not keep others from running.
            tokio::task::yield_now().await;
        }
        // There is no operation that an event could refuse, so an error of it is the session's.
        if let Some(Err(OpError::Session(fault) | OpError::Refused(fault))) = heard {
            self.core.handle(Input::Lost(fault));
        }
    }

    fn deliver(&mut self) {
        if !self.readings.is_empty() {
            self.core.handle(Input::Readings(&mut self.readings));
        }
    }
}

impl Core {
    fn handle(&mut self, input: Input<'_>) {
        self.machine.handle(self.clock.now(), input);
    }

    /// Waits for the next command or the machine's next time-out, and handles it.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: a command is taken and handled in one go.
    async fn step(&mut self) {
        let timeout = self.machine.poll_timeout().map(|at| self.clock.instant(at));
        let sleep = async {
            match timeout {
                Some(at) => tokio::time::sleep_until(at).await,
                None => core::future::pending().await,
            }
        };
        tokio::select! {
            command = self.commands.recv() => match command {
                Some(command) => self.on_command(command),
                None => self.ended = true,
            },
            () = sleep => self.handle(Input::Timeout),
        }
        self.flush();
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Bind(points) => self.handle(Input::Bind(points)),
            Command::Unbind(points) => self.handle(Input::Unbind(points)),
            Command::Watch(points) => self.handle(Input::Watch(points)),
            Command::Unwatch(points) => self.handle(Input::Unwatch(points)),
            Command::Tuning(tuning) => self.handle(Input::Tuning(tuning)),
            Command::Retune(points) => self.handle(Input::Retune(points)),
            Command::Disable(disabled) => self.handle(Input::Disable(disabled)),
            Command::Ping => self.handle(Input::Ping),
            Command::Close => self.handle(Input::Close),
            Command::Pin(name) => self.handle(Input::Pin(name)),
            Command::Unpin(name) => self.handle(Input::Unpin(name)),
            Command::Enums(enums) => self.handle(Input::Enums(enums)),
            Command::Write(key, info, reply) => {
                let token = self.token();
                self.writing.extend(reply.map(|reply| (token, reply)));
                self.handle(Input::Write(key, info, token));
            }
            Command::Sync(points, reply) => {
                let token = self.token();
                self.syncing.insert(token, reply);
                self.handle(Input::Sync(points, token));
            }
            Command::HisPending(points) => self.handle(Input::HisPending(points)),
            Command::HisReleased(points) => self.handle(Input::HisReleased(points)),
            Command::HisDone(key, result) => self.handle(Input::HisDone(key, result)),
            Command::History(key, span, reply) => {
                let token = self.token();
                self.reading.insert(token, reply);
                self.handle(Input::History(key, span, token));
            }
            Command::Learn(at, reply) => {
                let token = self.token();
                self.learning.insert(token, reply);
                self.handle(Input::Learn(at, token));
            }
        }
    }

    fn token(&mut self) -> u64 {
        self.next_token += 1;
        self.next_token
    }

    /// Tells everyone what changed.
    fn flush(&mut self) {
        self.publish_stats();
        while let Some(changes) = self.machine.poll_update() {
            self.follower.on_changes(&changes);
        }
        while let Some(event) = self.machine.poll_event() {
            match event {
                Event::Conn(view) => {
                    self.log(&view);
                    self.follower.on_conn(&view);
                }
                // Whoever asked may have stopped waiting.
                Event::Written { token, result } => {
                    let _ = self.writing.remove(&token).map(|reply| reply.send(result));
                }
                Event::History { token, result } => {
                    let _ = self.reading.remove(&token).map(|reply| reply.send(result));
                }
                Event::Learned { token, result } => {
                    let _ = self.learning.remove(&token).map(|reply| reply.send(result));
                }
                Event::Synced { token, result } => {
                    let _ = self.syncing.remove(&token).map(|reply| reply.send(result));
                }
            }
        }
    }

    /// Shows what the driver is about to do. Gives when that was.
    fn begin(&self, action: &Action) -> Instant {
        let now = self.clock.now().at;
        let kind = match action {
            Action::Open | Action::Close | Action::Ping => TraceKind::Phase,
            Action::Read(..) | Action::Poll => TraceKind::Poll,
            _ => TraceKind::Dispatch,
        };
        self.trace.push(kind, action);
        // What stays in the process is over at once.
        if !matches!(action, Action::Bind(_) | Action::Unbind(_) | Action::Plan(..)) {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            told.current = Some((action.name(), now));
        }
        now
    }

    fn end(&self, action: &Action, began: Instant, result: &Result<Outcome, OpError>) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).current = None;
        let trace = &self.trace;
        if !trace.is_on() {
            return;
        }
        let took = self.clock.now().at.since(began);
        match result {
            Ok(_) => trace.push(TraceKind::Log, format_args!("{action} ok after {took:?}")),
            Err(error) => {
                let ends = matches!(error, OpError::Session(_));
                let kind = if ends { TraceKind::Phase } else { TraceKind::Log };
                trace.push(kind, format_args!("{action} failed after {took:?}: {error}"));
            }
        }
    }

    fn publish_stats(&self) {
        let stats = self.machine.stats();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        // Buckets count when a scan ends or is left out, and both are in the counters too.
        let counted = |stats: &PollStats| (stats.scans, stats.overruns, stats.skipped);
        let buckets = match told.buckets.is_empty() || counted(&told.stats) != counted(&stats) {
            true => self.machine.buckets(),
            false => core::mem::take(&mut told.buckets),
        };
        let current = told.current.take();
        *told = self.machine.details();
        (told.buckets, told.current) = (buckets, current);
    }

    /// Logs a change of the status once, not each retry.
    fn log(&mut self, view: &ConnView) {
        let (state, status) = (view.state.as_str(), view.status);
        self.trace.push(TraceKind::Phase, format_args!("{state}, status {status}"));
        let before = core::mem::replace(&mut self.shown, (view.state, view.status));
        if before.1 == view.status {
            return tracing::debug!(state = view.state.as_str(), "Connector changed state.");
        }
        let err = view.err.as_deref().unwrap_or_default();
        match view.status {
            Status::Ok => tracing::info!("Connector is ok."),
            Status::Disabled => tracing::info!("Connector is disabled."),
            Status::Unknown => tracing::debug!("Connector is unknown."),
            status => tracing::warn!(status = status.as_str(), err, "Connector has no connection."),
        }
    }
}

impl core::fmt::Debug for Core {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Core").field("machine", &self.machine).finish_non_exhaustive()
    }
}

/// Does one action with the driver. Whatever the driver does, this ends within the limit, and
/// without a panic.
async fn perform(
    driver: &mut dyn DynDriver,
    action: &Action,
    into: &mut Readings,
    limit: Duration,
) -> Result<Outcome, OpError> {
    let work = async {
        match action {
            Action::Open => driver.open(into).await.map(|()| Outcome::None),
            Action::Close => {
                driver.close().await;
                Ok(Outcome::None)
            }
            Action::Ping => driver.ping(into).await.map(Outcome::Ping),
            Action::Bind(points) => {
                driver.bind(points, into);
                Ok(Outcome::None)
            }
            Action::Unbind(points) => {
                driver.unbind(points);
                Ok(Outcome::None)
            }
            Action::Plan(points, _) => Ok(Outcome::Plan(driver.plan(points))),
            Action::Read(requests, _) => driver.read(requests, into).await.map(|()| Outcome::None),
            Action::Poll => driver.poll(into).await.map(|()| Outcome::None),
            Action::Write(writes) => driver.write(writes, into).await.map(|()| Outcome::None),
            Action::Watch(points) => driver.watch(points, into).await.map(|()| Outcome::None),
            Action::Unwatch(points) => driver.unwatch(points, into).await.map(|()| Outcome::None),
            Action::History(key, span) => {
                let mut samples = Samples::new();
                let read = driver.history(*key, *span, &mut samples).await;
                read.map(|()| Outcome::History(samples))
            }
            Action::Learn(at) => driver.learn(at.as_ref()).await.map(Outcome::Learned),
        }
    };
    let timed_out = |_| {
        let text = format_args!("the operation took longer than {limit:?}");
        Err(OpError::Session(Fault::down(text)))
    };
    tokio::time::timeout(limit, contained(work)).await.unwrap_or_else(timed_out)
}

/// Turns a panic into a session fault.
async fn contained<T>(work: impl Future<Output = Result<T, OpError>>) -> Result<T, OpError> {
    let result = AssertUnwindSafe(work).catch_unwind().await;
    result.unwrap_or_else(|panic| Err(OpError::Session(panicked(&*panic))))
}
