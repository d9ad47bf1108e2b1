use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use pointstream_point::{Fault, HisItem, LearnPath, Now, PointKey, Span, Status, WriteInfo};
use pointstream_time::{Backoff, Instant, Seed};

use crate::action::{Action, Input};
use crate::bucket::Grid;
use crate::config::ConnConfig;
use crate::details::{ConnTimes, Details};
use crate::driver::{Binding, Features, Request};
use crate::shard::Shard;
use crate::view::{BucketView, Changes, ConnState, ConnView, Event, PollStats};
use crate::writes::Writes;

mod history;
mod learning;
mod next;
mod points;
mod reads;
mod session;
mod writing;

/// The state machine of a connector and of the points in its shard.
///
/// It is told the time and what happened, by [`handle`](Self::handle); it says what the driver is
/// to do, by [`poll_action`](Self::poll_action), one action at a time, each of which is answered
/// with [`Input::Done`]. It touches no socket and no clock. A call before its time, or one that
/// finds nothing to do, is harmless.
///
/// - The session is opened when points are watched or something is to be written, read or pinged,
///   or while somebody pins it; it is `open` once the device has also given a sign of life. It
///   closes when nobody has needed it for the linger time.
/// - After a failure the next try comes after a jittered delay that grows up to the configured
///   [`open_retry`](ConnConfig::open_retry), for ever.
/// - Requests go out one at a time, or a window of them for a driver that pipelines: writes first,
///   but never two batches of them in a row while polls wait, then polls, round robin among the
///   buckets.
#[derive(Debug)]
pub struct Connector {
    config: ConnConfig,
    features: Features,
    now: Now,
    view: ConnView,
    view_changed: bool,
    polls: PollStats,
    fault: Option<Fault>,
    /// The status that stands above the points as they are shown.
    shown_over: Status,
    times: ConnTimes,
    proven: bool,
    steady: bool,
    close_wanted: bool,
    in_flight: Option<Action>,
    pins: BTreeSet<Arc<str>>,
    linger_until: Option<Instant>,
    retry: Backoff,
    retry_at: Option<Instant>,
    ping_wanted: bool,
    next_ping: Option<Instant>,
    seed: Seed,
    shard: Shard,
    to_bind: BTreeMap<PointKey, Binding>,
    to_unbind: Vec<PointKey>,
    to_watch: BTreeSet<PointKey>,
    to_unwatch: BTreeSet<PointKey>,
    /// Points that the driver would not subscribe to, and when it is asked again.
    unwatched: BTreeSet<PointKey>,
    rewatch_at: Option<Instant>,
    manual: Grid,
    quick: BTreeSet<PointKey>,
    quick_plan: VecDeque<Request>,
    /// Readings out of turn that somebody waits for, each with the points that are still to come.
    syncs: BTreeMap<u64, BTreeSet<PointKey>>,
    writes: Writes,
    wrote_last: bool,
    /// Looks into the tree that wait, and the one that is being done.
    learns: VecDeque<(Option<LearnPath>, u64)>,
    learning: Option<u64>,
    /// Histories that are to be read, and the one that is being read.
    histories: VecDeque<(PointKey, Span, u64)>,
    his_reading: Option<(PointKey, u64)>,
    /// What the device told unasked of the past, until it is taken.
    past: Vec<(PointKey, Result<HisItem, Fault>)>,
    learned_last: bool,
    quick_last: bool,
    turn: usize,
    events: VecDeque<Event>,
}

impl Connector {
    /// A closed connector without points. It is told the present for the first time here.
    pub fn new(now: Now, config: ConnConfig, features: Features) -> Self {
        let config = config.floored();
        let mut seed = Seed::new(config.seed);
        let retry = Backoff::new(ConnConfig::FLOOR, config.open_retry, seed.split());
        let mut shard = Shard::default();
        shard.set_enums(Arc::clone(&config.enums));
        let mut connector = Self {
            steady: config.steady_at <= now.at,
            next_ping: config.ping_freq.map(|freq| now.at.max(config.steady_at) + freq),
            config,
            features,
            now,
            view: ConnView::default(),
            view_changed: true,
            polls: PollStats::default(),
            fault: None,
            shown_over: Status::Unknown,
            times: ConnTimes::default(),
            proven: false,
            close_wanted: false,
            in_flight: None,
            pins: BTreeSet::new(),
            linger_until: None,
            retry,
            retry_at: None,
            ping_wanted: false,
            seed,
            shard,
            to_bind: BTreeMap::new(),
            to_unbind: Vec::new(),
            to_watch: BTreeSet::new(),
            to_unwatch: BTreeSet::new(),
            unwatched: BTreeSet::new(),
            rewatch_at: None,
            manual: Grid::default(),
            quick: BTreeSet::new(),
            quick_plan: VecDeque::new(),
            syncs: BTreeMap::new(),
            writes: Writes::default(),
            wrote_last: false,
            learns: VecDeque::new(),
            learning: None,
            histories: VecDeque::new(),
            his_reading: None,
            past: Vec::new(),
            learned_last: false,
            quick_last: false,
            turn: 0,
            events: VecDeque::new(),
        };
        connector.update_status();
        connector
    }

    /// Takes note of the time and of what happened.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        self.now = now;
        match input {
            Input::Done(result) => self.on_done(result),
            Input::Readings(readings) => self.on_readings(readings),
            Input::Lost(fault) => {
                self.close_wanted = self.view.state != ConnState::Closed;
                self.on_lost(fault);
            }
            Input::Timeout => {}
            Input::Bind(points) => self.on_bind(points),
            Input::Unbind(points) => self.on_unbind(points),
            Input::Watch(points) => self.on_watch(points),
            Input::Unwatch(points) => self.on_unwatch(points),
            Input::Write(key, info, token) => self.on_write(key, info, token),
            Input::Sync(points, token) => self.on_sync(points, token),
            Input::HisPending(points) => self.on_his_pending(points),
            Input::HisReleased(points) => self.on_his_released(&points),
            Input::History(key, span, token) => self.on_history(key, span, token),
            Input::HisDone(key, result) => self.on_his_done(key, result),
            Input::Learn(at, token) => self.on_learn(at, token),
            Input::Tuning(tuning) => self.on_tuning(&tuning),
            Input::Retune(points) => self.on_retune(points),
            Input::Enums(enums) => self.shard.set_enums(enums),
            Input::Disable(disabled) => self.on_disable(disabled),
            Input::Pin(name) => drop(self.pins.insert(name)),
            Input::Unpin(name) => self.on_unpin(&name),
            Input::Close => self.close_wanted = self.view.state != ConnState::Closed,
            Input::Ping => {
                self.ping_wanted = !self.config.disabled;
                self.retry_at = None;
            }
        }
        self.advance();
    }

    /// The next thing for the driver to do; `None` while one is being done or nothing is to do.
    /// Changes and events may come of it: a value that does not convert ends here.
    pub fn poll_action(&mut self) -> Option<Action> {
        if self.in_flight.is_some() {
            return None;
        }
        let action = self.next_action()?;
        match &action {
            Action::Open => self.set_state(ConnState::Opening),
            Action::Close => self.set_state(ConnState::Closing),
            Action::Read(requests, _) => self.polls.requests += requests.len() as u64,
            Action::Poll => self.polls.requests += 1,
            _ => {}
        }
        self.in_flight = Some(action.clone());
        Some(action)
    }

    /// What changed about the points since the last call, each point once.
    pub fn poll_update(&mut self) -> Option<Arc<Changes>> {
        if !self.shard.has_changes() && self.past.is_empty() {
            return None;
        }
        let changed = self.shard.take_changes(self.config.shard);
        Some(Arc::new(Changes {
            shard: self.config.shard,
            wall: self.now.wall,
            points: changed.points,
            writes: changed.writes,
            his: changed.his,
            past: core::mem::take(&mut self.past),
        }))
    }

    /// What else the surroundings should know.
    pub fn poll_event(&mut self) -> Option<Event> {
        if core::mem::take(&mut self.view_changed) {
            return Some(Event::Conn(self.view.clone()));
        }
        self.events.pop_front()
    }

    /// When [`Input::Timeout`] is wanted at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let open = self.view.state == ConnState::Open;
        let buckets = self.shard.groups.iter().filter_map(|group| group.bucket.next()).min();
        let steady = Some(self.config.steady_at);
        let timers = [
            self.retry_at.filter(|_| self.wants_session()),
            // While something is being done nothing can be closed; its end is looked at anyway.
            self.linger_until.filter(|_| self.is_idle() && self.is_idling() && !self.close_wanted),
            self.next_ping.filter(|_| !self.config.disabled),
            self.rewatch_at.filter(|_| open),
            self.manual.next().filter(|_| open),
            buckets.filter(|_| open),
            self.shard.next_expiry(),
            self.shard.next_write(),
            steady.filter(|_| !self.steady && self.shard.has_written()),
        ];
        timers.into_iter().flatten().min()
    }

    /// What the connector shows of itself.
    pub fn view(&self) -> &ConnView {
        &self.view
    }

    /// Everything that it knows about itself at present, but for what the driver is doing.
    pub fn details(&self) -> Details {
        Details {
            id: Some(self.config.id.clone()),
            view: self.view.clone(),
            now: self.now.at,
            times: self.times,
            current: None,
            pins: self.pins.iter().map(Arc::clone).collect(),
            linger_until: self.linger_until,
            retry_at: self.retry_at,
            points: (self.shard.len(), self.shard.watched()),
            stats: self.polls,
            buckets: Vec::new(),
            limits: Details::limits_of(&self.config),
        }
    }

    /// The time limit of an operation.
    pub fn op_timeout(&self) -> core::time::Duration {
        self.config.op_timeout
    }

    /// Whether the session is open and nothing is to be done, so that the driver may wait for
    /// events.
    pub fn is_idle(&self) -> bool {
        self.view.state == ConnState::Open && self.in_flight.is_none()
    }

    /// The first part of the keys of its points.
    pub fn shard(&self) -> u32 {
        self.config.shard
    }

    /// How many points the connector has.
    pub fn points(&self) -> usize {
        self.shard.len()
    }

    /// Counters of polling.
    pub fn stats(&self) -> PollStats {
        self.polls
    }

    /// How the polls of each tuning went, the shortest period first.
    pub fn buckets(&self) -> Vec<BucketView> {
        let used = self.shard.groups.iter().filter(|group| group.members() > 0);
        let view = |group: &crate::shard::Group| {
            let (id, period) = (group.tuning.id.clone(), group.tuning.tuning.poll_time);
            let points = (group.members(), group.polled);
            BucketView::new(id, period, points, *group.bucket.times())
        };
        let mut views: Vec<_> = used.map(view).collect();
        views.sort_by(|a, b| (a.poll_time, &a.tuning).cmp(&(b.poll_time, &b.tuning)));
        views
    }

    /// The keys of all points.
    pub fn keys(&self) -> Vec<PointKey> {
        self.shard.keys(self.config.shard)
    }

    /// The value that came into effect last for a point, with the cause of its last write, and
    /// whether it waits for the least time between two writes.
    pub fn last_write(&self, key: PointKey) -> Option<(&WriteInfo, bool)> {
        self.shard.last_write(key)
    }
}

/// How many readings out of turn may be waited for at a time. One more is refused.
pub(crate) const SYNCS_MAX: usize = 1024;

#[cfg(test)]
mod tests;
