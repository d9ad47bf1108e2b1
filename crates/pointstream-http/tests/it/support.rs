use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pointstream_http::{
    AddPoint, AddTo, Admin, BoxFuture, ChangeError, ConnAct, ConnError, ConnectorView, LevelView,
    LevelsView, Options, PointView, PointsPage, PointsQuery, QueryError, Server, TraceFeed,
    TraceRow, TraceView, WriteError, WriteOutcome,
};
use pointstream_hub::{Hub, TopicOptions};
use pointstream_point::{
    Effective, Fault, Id, Kind, LearnPath, LearnRow, Learned, Level, LevelWrite, PriorityArray,
    RangeError, Status, Tag, Unit, Value,
};
use pointstream_time::{Instant, Seed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;

use crate::parser::{Event, Parser};

/// A server on a free port with the topics `plant` (texts) and `rows`.
pub(crate) struct Gateway {
    pub(crate) addr: SocketAddr,
    pub(crate) hub: Hub,
    pub(crate) trace: Arc<Ring>,
    stop: Option<oneshot::Sender<()>>,
    tasks: JoinSet<()>,
}

impl Gateway {
    pub(crate) async fn start() -> Self {
        Self::with(|_| ()).await
    }

    pub(crate) async fn with(set: impl FnOnce(&mut Options)) -> Self {
        Self::with_hub(pointstream_hub::Limits::default(), set).await
    }

    pub(crate) async fn with_hub(
        limits: pointstream_hub::Limits,
        set: impl FnOnce(&mut Options),
    ) -> Self {
        let start = tokio::time::Instant::now();
        let clock = move || Instant::from_origin(start.elapsed());
        Self::of(Hub::with_clock(limits, Seed::new(1), clock), set).await
    }

    pub(crate) async fn of(hub: Hub, set: impl FnOnce(&mut Options)) -> Self {
        hub.create("plant", TopicOptions::text()).unwrap();
        hub.create("rows", TopicOptions::rows()).unwrap();
        let mut options = Options::new(([127, 0, 0, 1], 0).into(), Seed::new(2));
        set(&mut options);
        let trace = Arc::<Ring>::default();
        let server =
            Server::bind(hub.clone(), Arc::new(Plant { trace: Arc::clone(&trace) }), options)
                .await
                .unwrap();
        let addr = server.local_addr();
        let (stop, stopped) = oneshot::channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(server.run(async { drop(stopped.await) }));
        Self { addr, hub, trace, stop: Some(stop), tasks }
    }

    pub(crate) fn publish(&self, text: &str) {
        self.hub.publish("plant", text.as_bytes()).unwrap();
    }

    /// A request that closes its connection, with the right host.
    pub(crate) async fn request(&self, line: &str, headers: &str, body: &str) -> Answer {
        self.raw(&format!(
            "{line} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}\r\n{body}",
            self.addr
        ))
        .await
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.request(&format!("GET {target}"), "", "").await
    }

    pub(crate) async fn write(&self, id: &str, body: &str) -> Answer {
        let headers =
            format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        self.request(&format!("POST /v1/points/{id}/write"), &headers, body).await
    }

    /// Sends all of `request`, then reads all of the answer.
    pub(crate) async fn raw(&self, request: &str) -> Answer {
        exchange(self.connect().await, request).await
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addr).await.unwrap()
    }

    /// A connection that takes little without being read.
    pub(crate) async fn connect_narrow(&self) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        socket.connect(self.addr).await.unwrap()
    }

    /// Follows a topic.
    pub(crate) async fn subscribe(&self, target: &str, headers: &str) -> Sse {
        Sse::open(self.connect().await, self.addr, target, headers).await
    }

    /// Waits until a topic has this many subscribers.
    pub(crate) async fn subscribers(&self, topic: &str, count: usize) {
        let reached = || self.hub.topic(topic).unwrap().subscribers == count;
        soon(async {
            while !reached() {
                self.hub.demand().await;
            }
        })
        .await;
    }

    /// Asks the server to end and waits until it has.
    pub(crate) async fn stop(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        soon(self.tasks.join_next()).await.unwrap().unwrap();
    }
}

/// No test waits for the clock; this only ends one that would hang.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it comes soon")
}

/// Sends all of `request`, then reads all of the answer.
pub(crate) async fn exchange(stream: TcpStream, request: &str) -> Answer {
    exchange_bytes(stream, request.as_bytes()).await
}

/// The same with bytes that are no text.
pub(crate) async fn exchange_bytes(mut stream: TcpStream, request: &[u8]) -> Answer {
    soon(stream.write_all(request)).await.unwrap();
    let mut bytes = Vec::new();
    soon(stream.read_to_end(&mut bytes)).await.unwrap();
    Answer::parse(&bytes)
}

/// An answer that was read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let at = find(bytes, b"\r\n\r\n").expect("an answer has a head");
        let head = String::from_utf8(bytes[..at].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let body = bytes[at + 4..].to_vec();
        let mut answer = Self { status, head, body };
        if answer.header("transfer-encoding") == Some("chunked") {
            let mut chunks = Chunks::default();
            chunks.feed(&answer.body);
            answer.body = chunks.body;
        }
        answer
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (other, value) = line.split_once(':')?;
            other.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Checks that it is an error of this status in the documented form; gives its detail.
    pub(crate) fn expect_error(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/json"));
        let json = self.json();
        let error = &json["error"];
        assert_eq!(error["status"], status);
        assert!(!error["title"].as_str().unwrap().is_empty());
        error["detail"].as_str().unwrap().to_owned()
    }
}

/// Undoes the chunks of HTTP/1.1 as they come.
#[derive(Debug, Default)]
struct Chunks {
    pending: Vec<u8>,
    body: Vec<u8>,
    ended: bool,
}

impl Chunks {
    fn feed(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        while let Some(at) = find(&self.pending, b"\r\n") {
            let size = std::str::from_utf8(&self.pending[..at]).unwrap();
            let size = usize::from_str_radix(size, 16).unwrap();
            let Some(chunk) = self.pending.get(at + 2..at + 2 + size + 2) else { return };
            assert!(chunk.ends_with(b"\r\n"));
            self.body.extend_from_slice(&chunk[..size]);
            self.pending.drain(..at + 2 + size + 2);
            self.ended |= size == 0;
        }
    }
}

/// A client of an event stream.
pub(crate) struct Sse {
    pub(crate) stream: TcpStream,
    pub(crate) head: Answer,
    chunks: Chunks,
    parsed: usize,
    seen: usize,
    pub(crate) parser: Parser,
}

impl Sse {
    pub(crate) async fn open(
        mut stream: TcpStream,
        addr: SocketAddr,
        target: &str,
        headers: &str,
    ) -> Self {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {addr}\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        while find(&bytes, b"\r\n\r\n").is_none() {
            assert_ne!(soon(stream.read_buf(&mut bytes)).await.unwrap(), 0);
        }
        let body = bytes.split_off(find(&bytes, b"\r\n\r\n").unwrap() + 4);
        let mut this = Self {
            stream,
            head: Answer::parse(&bytes),
            chunks: Chunks::default(),
            parsed: 0,
            seen: 0,
            parser: Parser::default(),
        };
        this.on_bytes(&body);
        this
    }

    /// The next event; none at the stream's end.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        while self.parser.events.len() == self.seen {
            let more = !self.chunks.ended && self.read().await;
            if !more && self.parser.events.len() == self.seen {
                return None;
            }
        }
        self.seen += 1;
        self.parser.events.get(self.seen - 1).cloned()
    }

    pub(crate) async fn event(&mut self) -> Event {
        self.next().await.expect("the stream goes on")
    }

    /// Reads once; says whether there was anything.
    pub(crate) async fn read(&mut self) -> bool {
        let mut bytes = vec![0; 65_536];
        // A server that was told to hurry may reset.
        let read = soon(self.stream.read(&mut bytes)).await.unwrap_or(0);
        self.on_bytes(&bytes[..read]);
        read > 0 && !self.chunks.ended
    }

    pub(crate) fn ended_well(&self) -> bool {
        self.chunks.ended
    }

    /// The bytes of the stream so far, without the chunks.
    pub(crate) fn raw(&self) -> &[u8] {
        &self.chunks.body
    }

    fn on_bytes(&mut self, bytes: &[u8]) {
        self.chunks.feed(bytes);
        self.parser.feed(&self.chunks.body[self.parsed..]);
        self.parsed = self.chunks.body.len();
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// Five points of one connector, without any device.
#[derive(Default)]
pub(crate) struct Plant {
    trace: Arc<Ring>,
}

fn plant_points() -> Vec<PointView> {
    let number = |id: &str| {
        let mut point = PointView::new(id.parse().unwrap(), Kind::Number);
        point.unit = Unit::parse("°C").ok();
        point.connector = "ahu".parse().ok();
        point.cur_val = Some(Value::number(21.5));
        point.cur_status = Status::Ok;
        point
    };
    let mut setpoint = number("ahu.tempSetpoint");
    setpoint.writable = true;
    (setpoint.min, setpoint.max, setpoint.step) = (Some(15.0), Some(30.0), Some(0.1));
    setpoint.tags.set("sp", Tag::Marker);
    let mut points = vec![setpoint];
    points.extend(["ahu.a", "ahu.b", "ahu.c", "ahu.silent"].map(number));
    points.sort_by(|a, b| a.id.cmp(&b.id));
    points
}

/// A trace that a test fills.
#[derive(Default)]
pub(crate) struct Ring {
    state: Mutex<(bool, Vec<TraceRow>)>,
    changed: Notify,
}

impl Ring {
    pub(crate) fn push(&self, text: &str, bytes: &[u8]) {
        let mut state = self.state.lock().unwrap();
        let seq = state.1.len() as u64;
        let row = TraceRow::new(
            (seq, jiff::Timestamp::UNIX_EPOCH),
            "req",
            text.to_owned(),
            (bytes, bytes.len()),
        );
        state.1.push(row);
        self.changed.notify_waiters();
    }
}

impl TraceFeed for Ring {
    fn since(&self, seq: u64) -> TraceView {
        let state = self.state.lock().unwrap();
        let rows: Vec<_> = state.1.iter().filter(|row| row.seq >= seq).cloned().collect();
        TraceView::new(state.0, state.1.len() as u64, 0, rows)
    }

    fn changed(self: Arc<Self>, seq: u64) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let changed = self.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            if self.since(seq).next <= seq {
                changed.await;
            }
        })
    }

    fn switch(&self, on: bool) {
        self.state.lock().unwrap().0 = on;
    }

    fn clear(&self) {
        self.state.lock().unwrap().1.clear();
    }
}

impl Admin for Plant {
    fn points(&self, query: &PointsQuery) -> Result<PointsPage, QueryError> {
        let filter = query.filter.as_deref().unwrap_or_default();
        if filter == "and and" {
            return Err(QueryError::new("expected a tag at character 1, found \"and\""));
        }
        let mut points = plant_points();
        points.retain(|point| {
            let after = query.after.as_deref().is_none_or(|after| point.id.as_str() > after);
            after && (filter != "sp" || !point.tags.is_empty())
        });
        let more = points.len() > query.limit;
        points.truncate(query.limit);
        Ok(PointsPage::new(points, more))
    }

    fn point(&self, id: &str) -> Option<PointView> {
        plant_points().into_iter().find(|point| point.id.as_str() == id)
    }

    fn write<'a>(
        &'a self,
        id: &'a str,
        write: LevelWrite,
    ) -> BoxFuture<'a, Result<WriteOutcome, WriteError>> {
        let LevelWrite { val: value, level, .. } = write;
        let mut effective = Effective::NONE;
        (effective.val, effective.level) = (value.clone(), level);
        Box::pin(async move {
            match (id, &value) {
                ("ahu.tempSetpoint", Value::Number(number, _)) if *number < 0.0 => {
                    let (limit, wait) = (Duration::from_secs(10), Duration::from_secs(3));
                    Err(RangeError::TooSoon { limit, wait }.into())
                }
                ("ahu.tempSetpoint", _) if level == Level::DEF => {
                    Ok(WriteOutcome::new(value, level, effective).waiting())
                }
                ("ahu.tempSetpoint", Value::Number(number, _)) if *number > 30.0 => {
                    Err(RangeError::AboveMax { number: *number, max: 30.0 }.into())
                }
                ("ahu.tempSetpoint", _) => Ok(WriteOutcome::new(value, level, effective)),
                ("ahu.a", _) => Err(RangeError::NotWritable.into()),
                ("ahu.b", _) => Err(WriteError::Failed(Fault::down("connection refused"))),
                ("ahu.c", _) => Err(WriteError::Failed(Fault::permanent("illegal data address"))),
                ("ahu.silent", _) => Err(WriteError::TimedOut),
                ("ahu.panic", _) => panic!("a bug in an application"),
                _ => Err(WriteError::UnknownPoint),
            }
        })
    }

    fn levels(&self, id: &str) -> Option<LevelsView> {
        let array = PriorityArray::new(Kind::Number, None);
        let rows = array.rows(Instant::ORIGIN).map(|row| LevelView::of(&row, None)).collect();
        (id == "ahu.tempSetpoint").then(|| LevelsView::new(Effective::NONE, rows))
    }

    fn connectors(&self) -> Vec<ConnectorView> {
        let mut view = ConnectorView::new("ahu".parse().unwrap(), "modbus".into(), "open".into());
        view.conn_status = Status::Down;
        view.conn_err = Some("connection refused".into());
        view.points = 5;
        vec![view]
    }

    fn learn<'a>(
        &'a self,
        connector: &'a str,
        at: Option<LearnPath>,
    ) -> BoxFuture<'a, Result<Learned, ConnError>> {
        Box::pin(async move {
            match (connector, at.as_ref().map(LearnPath::as_str)) {
                ("ahu", None) => Ok(Learned::of(vec![LearnRow::new("Fan").with_learn("fan & co")])),
                ("ahu", Some("fan & co")) => {
                    let row = LearnRow::new("Speed").with_cur(Kind::Number, "fan/speed");
                    Ok(Learned::of(vec![row]))
                }
                ("ahu", Some("down")) => Err(ConnError::Failed(Fault::down("no route"))),
                ("ahu", Some("slow")) => Err(ConnError::TimedOut),
                ("ahu", Some(_)) => Err(ConnError::Failed(Fault::permanent("no such place"))),
                ("flat", _) => Err(ConnError::Failed(Fault::unsupported("learning"))),
                _ => Err(ConnError::UnknownConnector),
            }
        })
    }

    fn add_points<'a>(
        &'a self,
        connector: &'a str,
        points: Vec<AddPoint>,
        to: Option<AddTo>,
    ) -> BoxFuture<'a, Result<AddTo, ChangeError>> {
        Box::pin(async move {
            match (connector, points.as_slice()) {
                ("ahu", [_, ..]) => Ok(to.unwrap_or(AddTo::PointFile)),
                ("ahu", []) => Err(ChangeError::Refused("nothing is to be added".into())),
                ("full", _) => Err(ChangeError::Failed("no space left on device".into())),
                _ => Err(ChangeError::NoFile),
            }
        })
    }

    fn restore_points<'a>(&'a self, connector: &'a str) -> BoxFuture<'a, Result<(), ChangeError>> {
        Box::pin(async move {
            match connector {
                "ahu" => Ok(()),
                _ => Err(ChangeError::Refused("there is no point file".into())),
            }
        })
    }

    fn details(&self, connector: &str) -> Option<String> {
        (connector == "ahu").then(|| "id: ahu\n".to_owned())
    }

    fn point_details(&self, point: &str) -> Option<String> {
        (point == "ahu.a").then(|| "id: ahu.a\n".to_owned())
    }

    fn trace(&self, connector: &str) -> Option<Arc<dyn TraceFeed>> {
        (connector == "ahu").then(|| Arc::clone(&self.trace) as Arc<dyn TraceFeed>)
    }

    fn points_of(&self, connector: &str) -> Option<Vec<Id>> {
        (connector == "ahu").then(|| vec!["ahu.a".parse().unwrap()])
    }

    fn act<'a>(&'a self, connector: &'a str, _: ConnAct) -> BoxFuture<'a, Result<(), ConnError>> {
        Box::pin(async move {
            if connector == "ahu" { Ok(()) } else { Err(ConnError::UnknownConnector) }
        })
    }

    fn sync_cur<'a>(&'a self, point: &'a str) -> BoxFuture<'a, Result<(), ConnError>> {
        Box::pin(async move {
            match point {
                "ahu.a" => Ok(()),
                "ahu.b" => Err(ConnError::Failed(Fault::down("no route"))),
                _ => Err(ConnError::UnknownPoint),
            }
        })
    }

    fn metrics(&self, out: &mut String) {
        out.push_str("# TYPE pointstream_points gauge\npointstream_points 5\n");
    }
}
