//! The gateway over HTTP.

use core::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pointstream_conn::{BucketView, PollStats, PollTimes, Trace, TraceEntry, WriteDone};
#[cfg(feature = "mqtt")]
use pointstream_http::ObserveFeed;
use pointstream_http::{
    AddPoint, AddTo, Admin, BindError, BoxFuture, ChangeError, ConnAct, ConnError, ConnectorView,
    LevelView, LevelsView, Options, PointView, PointsPage, PointsQuery, QueryError, Server, Token,
    TraceFeed, TraceRow, TraceView, WriteError, WriteOutcome,
};
#[cfg(feature = "store")]
use pointstream_http::{HisAnswer, HisQuery, HisReadError, HisRows, SyncTell};
#[cfg(feature = "store")]
use pointstream_point::Rollup;
use pointstream_point::{
    EnumDef, Id, LearnPath, Learned, LevelWrite, PriorityArray, Status, Tag, Value,
};
use pointstream_points::{Entry, Filter, LevelWriteError};
use pointstream_time::Seed;

use crate::config::{ConfigFile, EditError, NewPoint};
use crate::gateway::{Gateway, LevelWritten, Shared};

#[cfg(feature = "mqtt")]
mod observe;
mod token;

/// Why the gateway cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The listen address is none.
    #[error("cannot listen on {listen}: {source}")]
    Address {
        /// What is configured.
        listen: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The access token cannot be read or made.
    #[error("the access token in {}: {source}", path.display())]
    Token {
        /// Its file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Gateway {
    /// Begins to listen on the configured address. What is answered is the server to run.
    ///
    /// A listener that is not loopback demands a token of whoever comes. It is made at the first
    /// start and kept in a file that only its owner reads, whose path is
    /// [`Gateway::token_file`].
    ///
    /// # Errors
    ///
    /// An address that is none or is taken; a token file that cannot be read, cannot be written, or
    /// can be read by others.
    pub async fn http(&self) -> Result<Server, HttpError> {
        let listen = self.config().listen();
        let address = |source| HttpError::Address { listen: listen.to_owned(), source };
        let mut addresses = tokio::net::lookup_host(listen).await.map_err(address)?;
        let none = || std::io::Error::other("the name has no address");
        let addr = addresses.next().ok_or_else(|| address(none()))?;
        let mut options = Options::new(addr, Seed::new(crate::gateway::entropy()));
        options.allowed_hosts.clone_from(&self.config().allowed_hosts);
        options.allowed_origins.clone_from(&self.config().allowed_origins);
        #[cfg(feature = "poll")]
        {
            let url = |source: &crate::SourceConfig| {
                (source.source.config.url.clone(), source.id.to_string())
            };
            options.sources = self.config().sources.iter().map(url).collect();
        }
        #[cfg(feature = "iotmp")]
        if let Some(services) = &self.iotmp {
            options.mount(services.mount());
        }
        if let Some(path) = self.token_file(addr) {
            let token = token::read_or_make(&path);
            let token = token.map_err(|source| HttpError::Token { path, source })?;
            options.token = Some(Token::new(&token));
        }
        Ok(Server::bind(self.hub().clone(), self.admin(), options).await?)
    }

    /// Where the access token of a listener on this address is kept; none for loopback.
    pub fn token_file(&self, addr: SocketAddr) -> Option<PathBuf> {
        if addr.ip().to_canonical().is_loopback() {
            return None;
        }
        let configured = self.config().token_file.clone();
        Some(configured.unwrap_or_else(|| Path::new("pointstream.token").to_owned()))
    }

    /// The points and connectors as the HTTP face sees them, for an application that mounts the
    /// routes in a server of its own.
    pub fn admin(&self) -> Arc<dyn Admin> {
        Arc::new(Face { shared: Arc::clone(self.shared()), changing: Arc::default() })
    }
}

/// How many operations of a connector a question to it may take: opening and pinging come first,
/// and one of another may be under way.
const OPS_OF_A_QUESTION: u32 = 4;

/// What HTTP sees of a gateway.
struct Face {
    shared: Arc<Shared>,
    /// Held by who changes the configuration's file.
    changing: Arc<tokio::sync::Mutex<()>>,
}

impl Admin for Face {
    fn points(&self, query: &PointsQuery) -> Result<PointsPage, QueryError> {
        let filter = query.filter.as_deref().map(Filter::parse).transpose();
        let filter = filter.map_err(QueryError::new)?;
        let state = self.shared.lock();
        let mut found = state
            .points
            .iter_after(query.after.as_deref())
            .map(|(_, entry)| entry)
            .filter(|entry| filter.as_ref().is_none_or(|filter| filter.matches(entry)));
        let points = found.by_ref().take(query.limit).map(view).collect();
        Ok(PointsPage::new(points, found.next().is_some()))
    }

    fn point(&self, id: &str) -> Option<PointView> {
        self.shared.lock().points.find(id).map(|(_, entry)| view(entry))
    }

    fn write<'a>(
        &'a self,
        id: &'a str,
        write: LevelWrite,
    ) -> BoxFuture<'a, Result<WriteOutcome, WriteError>> {
        Box::pin(async move {
            let id: Id = id.parse().map_err(|_| WriteError::UnknownPoint)?;
            match self.shared.write(&id, write).await {
                Ok(LevelWritten { level, val, effective, done }) => {
                    let outcome = WriteOutcome::new(val, level, effective);
                    let waits = done == Some(WriteDone::Waiting);
                    Ok(if waits { outcome.waiting() } else { outcome })
                }
                Err(error) => Err(write_error(error)),
            }
        })
    }

    fn levels(&self, id: &str) -> Option<LevelsView> {
        self.shared.levels(id)
    }

    fn connectors(&self) -> Vec<ConnectorView> {
        let state = self.shared.lock();
        let view = |(id, conn): (&Id, &crate::gateway::Conn)| {
            let state = conn.view.state.as_str().to_owned();
            let mut view = ConnectorView::new(id.clone(), conn.config.kind.clone(), state);
            view.dis.clone_from(&conn.config.dis);
            view.conn_status = conn.view.status;
            view.conn_err = conn.view.err.as_deref().map(str::to_owned);
            view.points = conn.points();
            view
        };
        state.conns.iter().map(view).collect()
    }

    fn learn<'a>(
        &'a self,
        connector: &'a str,
        at: Option<LearnPath>,
    ) -> BoxFuture<'a, Result<Learned, ConnError>> {
        Box::pin(async move {
            let (handle, limit) = {
                let state = self.shared.lock();
                let conn = state.conns.get(connector).ok_or(ConnError::UnknownConnector)?;
                (conn.handle.clone(), conn.config.op_timeout * OPS_OF_A_QUESTION)
            };
            let learned = handle.learn(at);
            // The handle must not keep a connector from ending while its device is waited for.
            drop(handle);
            match tokio::time::timeout(limit, learned).await {
                Ok(learned) => learned.map_err(ConnError::Failed),
                Err(_) => Err(ConnError::TimedOut),
            }
        })
    }

    fn details(&self, connector: &str) -> Option<String> {
        let handle = self.shared.lock().conns.get(connector)?.handle.clone();
        Some(handle.details().to_string())
    }

    fn point_details(&self, point: &str) -> Option<String> {
        self.shared.point_details(point)
    }

    fn trace(&self, connector: &str) -> Option<Arc<dyn TraceFeed>> {
        let state = self.shared.lock();
        let trace = state.conns.get(connector)?.handle.trace().clone();
        Some(Arc::new(Feed(trace)))
    }

    #[cfg(feature = "mqtt")]
    fn observe<'a>(
        &'a self,
        connector: &'a str,
        filter: &'a str,
        qos: Option<u8>,
    ) -> BoxFuture<'a, Result<Arc<dyn ObserveFeed>, ConnError>> {
        Box::pin(observe::observe(&self.shared, connector, filter, qos))
    }

    fn points_of(&self, connector: &str) -> Option<Vec<Id>> {
        let state = self.shared.lock();
        Some(state.conns.get(connector)?.point_ids().cloned().collect())
    }

    fn act<'a>(&'a self, connector: &'a str, act: ConnAct) -> BoxFuture<'a, Result<(), ConnError>> {
        Box::pin(async move {
            let handle = {
                let state = self.shared.lock();
                let conn = state.conns.get(connector).ok_or(ConnError::UnknownConnector)?;
                conn.handle.clone()
            };
            match act {
                ConnAct::Close => handle.close().await,
                // Whoever pings opens, and the session lingers.
                _ => handle.ping().await,
            }
            Ok(())
        })
    }

    fn sync_cur<'a>(&'a self, point: &'a str) -> BoxFuture<'a, Result<(), ConnError>> {
        Box::pin(async move {
            let (handle, key, limit) = {
                let state = self.shared.lock();
                let (key, entry) = state.points.find(point).ok_or(ConnError::UnknownPoint)?;
                let conn = entry.conn.as_deref().and_then(|id| state.conns.get(id));
                let conn = conn.ok_or(ConnError::UnknownPoint)?;
                (conn.handle.clone(), key, conn.config.op_timeout * OPS_OF_A_QUESTION)
            };
            let synced = handle.sync_cur(vec![key]);
            drop(handle);
            match tokio::time::timeout(limit, synced).await {
                Ok(synced) => synced.map_err(ConnError::Failed),
                Err(_) => Err(ConnError::TimedOut),
            }
        })
    }

    #[cfg(feature = "store")]
    fn sync_his<'a>(
        &'a self,
        point: &'a str,
        span: Option<pointstream_point::Span>,
    ) -> BoxFuture<'a, Result<usize, ConnError>> {
        Box::pin(async move {
            let id: Id = point.parse().map_err(|_| ConnError::UnknownPoint)?;
            let shared = Arc::clone(&self.shared);
            let synced = shared.sync_his(&[id], span, &crate::HisProgress::new()).await;
            let (_, result) = synced.into_iter().next().ok_or(ConnError::UnknownPoint)?;
            result.map_err(ConnError::Failed)
        })
    }

    #[cfg(feature = "store")]
    fn his_points(&self, connector: Option<&str>) -> Option<Vec<Id>> {
        let state = self.shared.lock();
        let of = match connector {
            Some(id) => Some(state.conns.get_key_value(id)?.0),
            None => None,
        };
        let kept = state.points.iter_after(None).filter(|(_, entry)| {
            let conn = entry.conn.as_deref();
            conn.is_some() && of.is_none_or(|of| conn == Some(of)) && entry.spec.more.his.is_some()
        });
        Some(kept.map(|(_, entry)| entry.spec.id.clone()).collect())
    }

    #[cfg(feature = "store")]
    fn sync_many(
        &self,
        points: Vec<Id>,
        span: Option<pointstream_point::Span>,
        tell: SyncTell,
    ) -> BoxFuture<'static, ()> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let known: Vec<Id> = {
                let state = shared.lock();
                let known = |id: &Id| state.points.find(id.as_str()).is_some();
                let (known, unknown): (Vec<_>, Vec<_>) = points.into_iter().partition(known);
                unknown.into_iter().for_each(|id| tell(id, Err(ConnError::UnknownPoint)));
                known
            };
            let progress = crate::HisProgress::telling(move |id, result| {
                tell(id.clone(), result.clone().map_err(ConnError::Failed));
            });
            shared.sync_his(&known, span, &progress).await;
        })
    }

    #[cfg(feature = "store")]
    fn his_read<'a>(
        &'a self,
        point: &'a str,
        query: HisQuery,
    ) -> BoxFuture<'a, Result<HisAnswer, HisReadError>> {
        Box::pin(async move {
            let (store, unit) = {
                let state = self.shared.lock();
                let (_, entry) = state.points.find(point).ok_or(HisReadError::UnknownPoint)?;
                let store = state.his.store.clone().ok_or(HisReadError::NoStore)?;
                (store, entry.spec.unit.map(|unit| unit.to_string()))
            };
            let point = point.to_owned();
            let read = move || his_rows(&*store, &point, &query);
            let read = tokio::task::spawn_blocking(read).await;
            let read = read.map_err(|error| HisReadError::Failed(error.to_string()))?;
            let (rows, more) = read.map_err(|error| HisReadError::Failed(error.to_string()))?;
            Ok(HisAnswer::new(unit, rows, more))
        })
    }

    fn add_points<'a>(
        &'a self,
        connector: &'a str,
        points: Vec<AddPoint>,
        to: Option<AddTo>,
    ) -> BoxFuture<'a, Result<AddTo, ChangeError>> {
        let connector = connector.parse::<Id>();
        let edit = move |file: ConfigFile| {
            let connector = connector.map_err(|error| ChangeError::Refused(error.to_string()))?;
            let points: Vec<NewPoint> = points.into_iter().map(new_point).collect();
            let to = match to {
                Some(to) => to,
                None => match file.point_file(&connector).map_err(change_error)? {
                    Some(_) => AddTo::PointFile,
                    None => AddTo::Config,
                },
            };
            let added = match to {
                AddTo::PointFile => file.add_points_to_file(&connector, &points),
                AddTo::Config => file.add_points(&connector, &points),
            };
            added.map(|()| to).map_err(change_error)
        };
        Box::pin(self.change_config(edit))
    }

    fn restore_points<'a>(&'a self, connector: &'a str) -> BoxFuture<'a, Result<(), ChangeError>> {
        let connector = connector.parse::<Id>();
        Box::pin(self.change_config(move |file| {
            let connector = connector.map_err(|error| ChangeError::Refused(error.to_string()))?;
            file.restore_points(&connector).map_err(change_error)
        }))
    }

    fn restore_config(&self) -> BoxFuture<'_, Result<(), ChangeError>> {
        Box::pin(self.change_config(|file| file.restore().map_err(change_error)))
    }

    fn metrics(&self, out: &mut String) {
        metrics(&self.shared, out);
    }
}

/// Past values as they are asked for, and whether there are more.
#[cfg(feature = "store")]
fn his_rows(
    store: &dyn pointstream_store::History,
    point: &str,
    query: &HisQuery,
) -> Result<(HisRows, bool), pointstream_store::StoreError> {
    let mut more = false;
    let Some(interval) = query.interval else {
        let mut items = Vec::new();
        store.read(point, query.span, &mut |item| {
            more = items.len() == query.limit;
            if !more {
                items.push(item);
            }
            !more
        })?;
        return Ok((HisRows::Items(items), more));
    };
    let mut rollup = Rollup::new(interval, query.zone.clone());
    let mut buckets = Vec::new();
    store.read(point, query.span, &mut |item| {
        if query.span.contains(item.ts) {
            buckets.extend(rollup.add(&item));
            more = buckets.len() == query.limit;
        }
        !more
    })?;
    buckets.extend(rollup.finish().filter(|_| !more));
    Ok((HisRows::Buckets(buckets), more))
}

impl Face {
    /// Changes the file of the configuration, one change at a time.
    fn change_config<T: Send + 'static>(
        &self,
        change: impl FnOnce(ConfigFile) -> Result<T, ChangeError> + Send + 'static,
    ) -> impl Future<Output = Result<T, ChangeError>> + Send + 'static {
        let (path, turn) = (self.shared.lock().config_path.clone(), Arc::clone(&self.changing));
        async move {
            let path = path.ok_or(ChangeError::NoFile)?;
            let _turn = turn.lock_owned().await;
            let work = move || change(ConfigFile::new(path));
            let done = tokio::task::spawn_blocking(work).await;
            done.unwrap_or_else(|error| Err(ChangeError::Failed(error.to_string())))
        }
    }
}

fn new_point(point: AddPoint) -> NewPoint {
    let AddPoint { id, dis, kind, unit, cur, write, his } = point;
    NewPoint { id, dis, kind, unit, cur, write, his }
}

fn change_error(error: EditError) -> ChangeError {
    match error {
        EditError::Io { .. } => ChangeError::Failed(error.to_string()),
        error => ChangeError::Refused(error.to_string()),
    }
}

/// A connector's trace as HTTP shows it.
struct Feed(Trace);

impl TraceFeed for Feed {
    fn since(&self, seq: u64) -> TraceView {
        let batch = self.0.since(seq);
        let row = |entry: TraceEntry| {
            let TraceEntry { seq, ts, kind, text, bytes, len, .. } = entry;
            TraceRow::new((seq, ts), kind.as_str(), text.into(), (&bytes, len))
        };
        let rows = batch.entries.into_iter().map(row).collect();
        TraceView::new(batch.on, batch.next, batch.missed, rows)
    }

    fn changed(self: Arc<Self>, seq: u64) -> BoxFuture<'static, ()> {
        Box::pin(async move { self.0.changed(seq).await })
    }

    fn switch(&self, on: bool) {
        self.0.switch(on);
    }

    fn clear(&self) {
        self.0.clear();
    }
}

fn write_error(error: crate::WriteError) -> WriteError {
    match error {
        crate::WriteError::UnknownPoint(_) => WriteError::UnknownPoint,
        crate::WriteError::Refused(LevelWriteError::Range(error)) => WriteError::Range(error),
        crate::WriteError::Refused(error) => WriteError::Level(error.to_string()),
        crate::WriteError::Failed(fault) => WriteError::Failed(fault),
        error @ crate::WriteError::NotKept(_) => WriteError::NotKept(error.to_string()),
    }
}

impl Shared {
    /// The priority array of a point that can be written.
    fn levels(&self, id: &str) -> Option<LevelsView> {
        let now = self.now().at;
        let state = self.lock();
        let (_, entry) = state.points.find(id)?;
        if !entry.spec.is_writable() {
            return None;
        }
        let spec = &entry.spec;
        let own = match spec.more.tags.get("enum") {
            Some(Tag::Value(Value::Str(names))) => EnumDef::from_tag(names).ok(),
            _ => None,
        };
        let empty = PriorityArray::new(spec.kind, spec.unit);
        let array = state.arrays.get(id).unwrap_or(&empty);
        let rows = array.rows(now).map(|row| LevelView::of(&row, own.as_ref())).collect();
        let mut view = LevelsView::new(array.effective().clone(), rows);
        if let Some(write) = entry.write.as_ref().and_then(|write| write.status.as_ref()) {
            view.write_status = Some(write.status);
            view.write_err = write.err.as_deref().map(str::to_owned);
        }
        Some(view)
    }
}

fn view(entry: &Entry) -> PointView {
    let Entry { spec, conn, write, his, .. } = entry;
    let cur = entry.cur();
    let mut view = PointView::new(spec.id.clone(), spec.kind);
    view.dis = spec.more.dis.as_deref().map(str::to_owned);
    view.unit = spec.unit;
    view.cur_val = Some(cur.val.clone()).filter(|val| *val != Value::Null);
    view.cur_status = cur.status;
    view.cur_err = cur.err.as_deref().map(str::to_owned);
    view.cur_ts = Some(cur.ts);
    let sample = cur.sample();
    (view.source_ts, view.server_ts) = (sample.source, sample.server);
    view.writable = spec.is_writable();
    (view.min, view.max, view.step) = (spec.more.min, spec.more.max, spec.more.step);
    if let Some(write) = write {
        view.write_val = Some(write.effective.val.clone()).filter(|val| *val != Value::Null);
        view.write_level = Some(write.effective.level);
        view.write_status = write.status.as_ref().map(|write| write.status);
        let err = write.status.as_ref().and_then(|write| write.err.as_deref());
        view.write_err = err.map(str::to_owned);
    }
    view.his_status = his.as_ref().map(|his| his.status);
    view.connector = conn.as_deref().cloned();
    view.tags = spec.more.tags.clone();
    view
}

/// A counter of polling: its name, what it counts, and where it stands.
type Counter<T> = (&'static str, &'static str, fn(&T) -> u64);

const COUNTERS: [Counter<PollStats>; 7] = [
    ("poll_scans", "Buckets read from their first to their last request.", |s| s.scans),
    ("requests", "Requests sent to devices.", |s| s.requests),
    ("readings", "Readings received for points, good and bad.", |s| s.readings),
    ("poll_overruns", "Times a poll was due while its last one still ran.", |s| s.overruns),
    ("poll_skipped", "Polls left out because of overruns.", |s| s.skipped),
    ("opens", "Sessions opened.", |s| s.opens),
    ("failures", "Sessions lost or not opened.", |s| s.failures),
];

/// Metrics of points and connectors in the text format of Prometheus. Ids need no escaping.
fn metrics(shared: &Shared, out: &mut String) {
    let state = shared.lock();
    let mut by_status = [0u64; Status::ALL.len()];
    for (_, entry) in state.points.iter_after(None) {
        let at = Status::ALL.iter().position(|status| *status == entry.cur().status);
        at.into_iter().for_each(|at| by_status[at] += 1);
    }
    let stats: Vec<(Id, Status, PollStats)> = state
        .conns
        .iter()
        .map(|(id, conn)| (id.clone(), conn.view.status, conn.handle.stats()))
        .collect();
    let buckets: Vec<(Id, BucketView)> = state
        .conns
        .iter()
        .flat_map(|(id, conn)| conn.handle.buckets().into_iter().map(|view| (id.clone(), view)))
        .collect();
    drop(state);
    // Writing to a string cannot fail.
    let _ = writeln!(out, "# HELP pointstream_points Points by status.");
    let _ = writeln!(out, "# TYPE pointstream_points gauge");
    for (status, count) in Status::ALL.iter().zip(by_status) {
        let _ = writeln!(out, "pointstream_points{{status=\"{status}\"}} {count}");
    }
    let _ = writeln!(out, "# HELP pointstream_connector_up Whether the connector is ok.");
    let _ = writeln!(out, "# TYPE pointstream_connector_up gauge");
    for (id, status, _) in &stats {
        let up = u8::from(*status == Status::Ok);
        let _ = writeln!(out, "pointstream_connector_up{{connector=\"{id}\"}} {up}");
    }
    for (name, help, value) in COUNTERS {
        let _ = writeln!(out, "# HELP pointstream_connector_{name}_total {help}");
        let _ = writeln!(out, "# TYPE pointstream_connector_{name}_total counter");
        for (id, _, stats) in &stats {
            let value = value(stats);
            let _ =
                writeln!(out, "pointstream_connector_{name}_total{{connector=\"{id}\"}} {value}");
        }
    }
    polls(&buckets, out);
}

/// How long the scans of each bucket took, and what was left out.
fn polls(buckets: &[(Id, BucketView)], out: &mut String) {
    let name = "pointstream_poll_duration_seconds";
    let _ = writeln!(out, "# HELP {name} How long the scans of a bucket took.");
    let _ = writeln!(out, "# TYPE {name} histogram");
    for (id, view) in buckets {
        let labels = format!("connector=\"{id}\",tuning=\"{}\"", view.tuning);
        let times = &view.times;
        let mut within = 0;
        for (bound, count) in PollTimes::BOUNDS.iter().zip(times.histogram) {
            within += count;
            let bound = *bound as f64 / 1e3;
            let _ = writeln!(out, "{name}_bucket{{{labels},le=\"{bound}\"}} {within}");
        }
        let _ = writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {}", times.scans);
        let _ = writeln!(out, "{name}_sum{{{labels}}} {}", times.total.as_secs_f64());
        let _ = writeln!(out, "{name}_count{{{labels}}} {}", times.scans);
    }
    let counters: [Counter<PollTimes>; 2] = [
        ("overruns", "Times a scan was due while its last one still ran.", |t| t.overruns),
        ("skipped", "Scans left out because of overruns.", |t| t.skipped),
    ];
    for (name, help, value) in counters {
        let _ = writeln!(out, "# HELP pointstream_bucket_{name}_total {help}");
        let _ = writeln!(out, "# TYPE pointstream_bucket_{name}_total counter");
        for (id, view) in buckets {
            let labels = format!("connector=\"{id}\",tuning=\"{}\"", view.tuning);
            let value = value(&view.times);
            let _ = writeln!(out, "pointstream_bucket_{name}_total{{{labels}}} {value}");
        }
    }
}
