//! The server, with devices that connect to it on loopback.

use core::time::Duration;
use std::net::SocketAddr;

use pointstream_iotmp::io::Connection;
use pointstream_iotmp::server::{
    Accounts, CallError, Device, DeviceId, Devices, Event as Told, Options, Server, Services,
    Update,
};
use pointstream_iotmp::session::{
    Ask, Config, Credentials, End, Event, Feed, Reply, Stream, Target,
};
use pointstream_iotmp::{Dialect, Payload, Resource, Tree};
use pointstream_net::Endpoint;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{broadcast, oneshot};
use tokio::task::JoinHandle;

use crate::support::{CONNECT, hex};

/// A server that runs until it is dropped or ended.
pub(crate) struct Running {
    pub(crate) addr: SocketAddr,
    pub(crate) devices: Devices,
    pub(crate) events: broadcast::Receiver<Told>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

#[expect(clippy::disallowed_methods, reason = "a test waits for its tasks, or ends with them")]
pub(crate) fn spawn<T: Send + 'static>(
    task: impl Future<Output = T> + Send + 'static,
) -> JoinHandle<T> {
    tokio::spawn(task)
}

pub(crate) fn accounts() -> Accounts {
    Accounts::new().with("user1", "*", "secret123").with("user2", "*", "secret123")
}

impl Running {
    pub(crate) async fn start(options: Options) -> Self {
        Self::with(options, ()).await
    }

    pub(crate) async fn with(options: Options, services: impl Services) -> Self {
        let mut server = Server::new(options);
        let addr = server.listen("127.0.0.1:0").await.unwrap();
        Self::run(server, addr, services)
    }

    pub(crate) fn run(server: Server, addr: SocketAddr, services: impl Services) -> Self {
        let devices = server.devices();
        let events = devices.events();
        let (stop, stopped) = oneshot::channel::<()>();
        let run = server.run(accounts(), services, async { drop(stopped.await) });
        Self { addr, devices, events, stop: Some(stop), task: spawn(run) }
    }

    pub(crate) async fn dial(&self, device: &str) -> Connection {
        self.dial_as(Dialect::Iotmp2, &Credentials::new("user1", device, "secret123")).await
    }

    pub(crate) async fn dial_as(&self, dialect: Dialect, who: &Credentials) -> Connection {
        let endpoint = Endpoint::tcp("127.0.0.1", self.addr.port()).unwrap();
        Connection::dial(&endpoint, dialect, who, Config::default()).await.unwrap()
    }

    /// A device that was let in.
    pub(crate) async fn connect(&self, device: &str) -> Connection {
        let mut connection = self.dial(device).await;
        assert_eq!(connection.event().await.unwrap(), Some(Event::Connected));
        connection
    }

    pub(crate) fn device(&self, device: &str) -> Device {
        self.devices.find(&DeviceId::new("user1", device)).unwrap()
    }

    /// The next event that this makes something of.
    pub(crate) async fn until<T>(&mut self, what: impl Fn(&Told) -> Option<T>) -> T {
        loop {
            if let Some(found) = what(&self.events.recv().await.unwrap()) {
                return found;
            }
        }
    }

    pub(crate) async fn end(mut self) {
        drop(self.stop.take());
        self.task.await.unwrap();
    }
}

/// A device of two resources, one of which streams 0, 1 and 2 as soon as it is asked to.
async fn device(mut connection: Connection) -> Option<End> {
    let mut end = None;
    while let Ok(Some(event)) = connection.event().await {
        match event {
            Event::Asked(Some(reply), ask) => serve(&mut connection, reply, ask),
            Event::Closed(how) => end = Some(how),
            _ => {}
        }
    }
    end
}

fn serve(connection: &mut Connection, reply: Reply, ask: Ask) {
    let session = connection.session();
    match ask {
        Ask::Run { resource: Target::Path(path), payload, .. } => match path.as_str() {
            "echo" => session.ok(reply, payload.as_ref().map(|it| it as _)).unwrap(),
            "temperature" => session.ok(reply, Some(&21.5f64)).unwrap(),
            "silent" => {}
            _ => session.error(reply, 404, None).unwrap(),
        },
        Ask::Describe { .. } => {
            let list = Tree::from([("echo", Tree::from([("fn", 4u64.into())]))]);
            session.ok(reply, Some(&list)).unwrap();
        }
        Ask::Start { resource: Some(Target::Path(path)), .. } if path == "nope" => {
            session.error(reply, 404, None).unwrap();
        }
        Ask::Start { stream, .. } => {
            session.ok(reply, None).unwrap();
            for value in 0..3u8 {
                session.send(stream, &value).unwrap();
            }
        }
        _ => session.error(reply, 400, None).unwrap(),
    }
}

async fn number(values: &mut pointstream_iotmp::server::Values) -> Option<u64> {
    match values.next().await {
        Update::Value(sample) => sample.value.value().as_u64(),
        _ => None,
    }
}

#[tokio::test]
async fn resources_are_described_read_written_and_streamed_in_every_dialect() {
    let running = Running::start(Options::default()).await;
    for dialect in [Dialect::Iotmp2, Dialect::Iotmp1, Dialect::Old] {
        let who = Credentials::new("user1", "sensor1", "secret123");
        let mut connection = running.dial_as(dialect, &who).await;
        assert_eq!(connection.event().await.unwrap(), Some(Event::Connected));
        let serving = spawn(device(connection));
        let device = running.device("sensor1");
        assert!(device.is_connected());
        let value = device.run("temperature", None).await.unwrap().unwrap();
        assert_eq!(value.value().as_f64(), Some(21.5));
        let sent = Payload::new(&Tree::from([("led", true.into())])).unwrap();
        assert_eq!(device.run("echo", Some(sent.clone())).await.unwrap(), Some(sent));
        let Err(CallError::Refused(answer)) = device.run("nope", None).await else { panic!() };
        assert!(!answer.ok && answer.code() == Some(404));
        let list = device.describe(None).await.unwrap().unwrap();
        assert!(list.value().as_map().unwrap().get("echo").is_some());
        let mut values = device.stream("temperature", Some(Duration::from_secs(1))).unwrap();
        assert_eq!(number(&mut values).await, Some(0));
        // It writes its stream id first, so that one stream serves both.
        let mut events = device.stream("temperature", None).unwrap();
        assert!(number(&mut events).await.is_some());
        let mut refused = device.stream("nope", None).unwrap();
        assert_eq!(refused.next().await, Update::Ended);
        drop((values, events, refused));
        serving.abort();
        let _ = serving.await;
    }
    running.end().await;
}

#[tokio::test]
async fn the_newest_session_wins_and_the_old_one_is_told_before() {
    let mut running = Running::start(Options::default()).await;
    let old = running.connect("sensor1").await;
    let old = spawn(device(old));
    let mut values = running.device("sensor1").stream("temperature", None).unwrap();
    assert_eq!(number(&mut values).await, Some(0));
    let fresh = running.connect("sensor1").await;
    let fresh = spawn(device(fresh));
    assert_eq!(old.await.unwrap(), Some(End::Disconnected));
    let mut told = vec![];
    while told.len() < 3 {
        told.extend(
            running
                .until(|event| match event {
                    Told::Connected { .. } => Some(Some("in")),
                    Told::Disconnected { .. } => Some(Some("out")),
                    _ => Some(None),
                })
                .await,
        );
    }
    assert_eq!(told, ["in", "out", "in"]);
    // What was streamed is streamed by the new session, whose values begin anew.
    while number(&mut values).await != Some(0) {}
    drop(values);
    running.end().await;
    assert_eq!(fresh.await.unwrap(), Some(End::Disconnected));
}

#[tokio::test]
async fn who_is_not_who_it_says_it_is_is_told_so() {
    let mut running = Running::start(Options::default()).await;
    let who = Credentials::new("user1", "sensor1", "wrong");
    let mut connection = running.dial_as(Dialect::Iotmp2, &who).await;
    let refused = Event::Closed(End::Refused(Some(2)));
    assert_eq!(connection.event().await.unwrap(), Some(refused));
    let reason = running
        .until(|event| match event {
            Told::Refused { id: Some(id), reason, .. } => Some((id.clone(), reason.clone())),
            _ => None,
        })
        .await;
    assert_eq!(reason.0, DeviceId::new("user1", "sensor1"));
    assert!(reason.1.contains("credentials"));
    assert!(running.devices.list().is_empty());
    running.end().await;
}

/// What a server answers until it closes.
async fn said(addr: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut out = Vec::new();
    let _ = stream.read_to_end(&mut out).await;
    out
}

#[tokio::test]
async fn data_before_connect_and_a_second_connect_end_the_connection() {
    let running = Running::start(Options::default()).await;
    let connect = hex(CONNECT);
    for (bytes, answer) in [
        (hex("0a0408011819"), ""),
        (hex("0500"), ""),
        (b"GET / HTTP/1.1\r\n".to_vec(), ""),
        (hex("0381ffffff0f"), ""),
        ([connect.clone(), connect.clone()].concat(), "010408e78a01020408e78a01"),
        ([connect.clone(), hex("0b00")].concat(), "010408e78a01"),
        ([connect, hex("0a0408011f19")].concat(), "010408e78a01"),
    ] {
        let out = said(running.addr, &bytes).await;
        assert_eq!(out, hex(answer), "{bytes:02x?}");
    }
    running.end().await;
}

#[tokio::test]
async fn the_oldest_of_too_many_half_open_connections_gives_way() {
    let options = Options::default().with_connections_max(1_000, 8);
    let mut running = Running::start(options).await;
    let mut waiting = Vec::new();
    for _ in 0..40 {
        waiting.push(TcpStream::connect(running.addr).await.unwrap());
        // One that says who it is gets in whatever waits.
        if waiting.len() % 10 == 0 {
            drop(running.connect("sensor1").await);
        }
    }
    for stream in &mut waiting[..32] {
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap_or(0), 0);
    }
    assert!(running.devices.evicted() >= 32);
    let reason = running
        .until(|event| match event {
            Told::Refused { reason, .. } => Some(reason.clone()),
            _ => None,
        })
        .await;
    assert_eq!(reason, "its place was needed");
    drop(waiting);
    running.end().await;
}

#[tokio::test]
async fn a_connection_has_so_much_time_to_say_who_it_is() {
    let short = Duration::from_millis(50);
    let session = Config::default().with_timeouts(short, short);
    let running = Running::start(Options::default().with_session(session)).await;
    assert!(said(running.addr, &hex(CONNECT)[..20]).await.is_empty());
    // A device that answers nothing costs its callers their time and nobody else's.
    let connection = running.connect("sensor1").await;
    let serving = spawn(device(connection));
    assert_eq!(running.device("sensor1").run("silent", None).await, Err(CallError::TimedOut));
    assert!(running.device("sensor1").run("temperature", None).await.is_ok());
    serving.abort();
    let _ = serving.await;
    running.end().await;
}

#[tokio::test]
async fn a_device_that_leaves_fails_its_calls_and_is_forgotten() {
    let mut running = Running::start(Options::default()).await;
    let connection = running.connect("sensor1").await;
    let serving = spawn(device(connection));
    let device = running.device("sensor1");
    let call = spawn({
        let device = device.clone();
        async move { device.run("silent", None).await }
    });
    assert!(device.run("temperature", None).await.is_ok());
    serving.abort();
    assert_eq!(call.await.unwrap(), Err(CallError::Offline));
    running.until(|event| matches!(event, Told::Disconnected { .. }).then_some(())).await;
    assert_eq!(device.run("temperature", None).await, Err(CallError::Offline));
    assert!(running.devices.find(&DeviceId::new("user1", "sensor1")).is_none());
    running.end().await;
}

/// Opens a stream of the device and gives its answer with what came before and with it.
async fn open(connection: &mut Connection, resource: Resource<'_>, with: &Tree) -> (Stream, bool) {
    let now = connection.now();
    let (stream, _) = connection.session().start(now, resource, Feed::With(with)).unwrap();
    loop {
        if let Some(Event::Answered(_, answer)) = connection.event().await.unwrap() {
            return (stream, answer.ok);
        }
    }
}

async fn data(connection: &mut Connection) -> (Stream, Tree) {
    loop {
        if let Some(Event::Data(stream, data)) = connection.event().await.unwrap() {
            return (stream, Tree::from(data.payload.value()));
        }
    }
}

#[tokio::test]
async fn devices_publish_to_one_another_and_not_to_other_users() {
    let running = Running::start(Options::default()).await;
    let (mut one, mut two) = (running.connect("one").await, running.connect("two").await);
    let other = Credentials::new("user2", "three", "secret123");
    let mut three = running.dial_as(Dialect::Iotmp2, &other).await;
    three.event().await.unwrap();
    let topic = |topic: &str, scope: &str, retained: bool| {
        Tree::from([
            ("event", "device_topic_publish".into()),
            ("topic", topic.into()),
            ("scope", scope.into()),
            ("retained", retained.into()),
        ])
    };
    let subscribe = topic("plant/#", "subscribe", false);
    let (stream, ok) = open(&mut two, Resource::Number(8), &subscribe).await;
    assert!(ok);
    assert!(open(&mut three, Resource::Number(8), &subscribe).await.1);
    let publish = topic("plant/boiler", "publish", true);
    let (out, ok) = open(&mut one, Resource::Number(8), &publish).await;
    assert!(ok);
    one.session().send(out, &Tree::from([("t", 71.5f64.into())])).unwrap();
    let published = Tree::from([
        ("topic", "plant/boiler".into()),
        ("payload", Tree::from([("t", 71.5f64.into())])),
    ]);
    let heard = async { data(&mut two).await };
    let (heard, _) = tokio::join!(heard, drive_once(&mut one));
    assert_eq!(heard, (stream, published.clone()));
    // Retained, it comes to who subscribes later, in the form of the published pages too.
    let mut late = running.connect("late").await;
    let mqtt = Tree::from([("type", "mqtt".into()), ("scope", [Tree::from("subscribe")].into())]);
    let (stream, ok) = open(&mut late, Resource::Path("plant/+"), &mqtt).await;
    assert!(ok);
    assert_eq!(data(&mut late).await, (stream, published));
    let bad = topic("plant/#/x", "subscribe", false);
    assert!(!open(&mut late, Resource::Number(8), &bad).await.1);
    // The other user's device has heard nothing: what it asks next is answered next.
    let (_, ok) = open(&mut three, Resource::Number(8), &topic("x", "subscribe", false)).await;
    assert!(ok);
    running.end().await;
}

/// Has a connection send what it has to.
async fn drive_once(connection: &mut Connection) {
    let _ = tokio::time::timeout(Duration::from_millis(50), connection.event()).await;
}
