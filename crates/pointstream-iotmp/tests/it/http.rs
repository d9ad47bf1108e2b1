//! The devices over HTTP, on loopback.

use core::time::Duration;
use std::sync::{Arc, Mutex};

use pointstream_iotmp::io::{Client, Options as ClientOptions, ResourceError, Target};
use pointstream_iotmp::server::http::{Face, Options as FaceOptions};
use pointstream_iotmp::server::{DeviceId, Endpoints, HttpEndpoint, Options, ServiceError};
use pointstream_iotmp::session::Credentials;
use pointstream_net::ws::{DialOptions, Kind, WebSocket, dial_ws};
use pointstream_net::{Endpoint, Listener};
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::{Running, spawn};

struct Plant {
    running: Running,
    http: u16,
    led: Arc<Mutex<Json>>,
}

impl Plant {
    /// A server with a device, and its HTTP side.
    async fn start(options: FaceOptions) -> Self {
        let defaults = Options::default();
        let streams = defaults.streams.with_interval_min(Duration::from_millis(20));
        let running = Running::start(defaults.with_streams(streams)).await;
        let led = Arc::new(Mutex::new(Json::Null));
        let lit = Arc::clone(&led);
        let mut count = 0u32;
        let target = Target::tcp("127.0.0.1", running.addr.port()).unwrap();
        let credentials = Credentials::new("user1", "boiler", "secret123");
        let client = Client::new(target, credentials)
            .with_options(ClientOptions::default())
            .action("reboot", || ())
            .input("led", move |value: Json| *lit.lock().unwrap() = value)
            .output("temp", || json!({ "celsius": 21.5 }))
            .output("count", move || {
                count += 1;
                count
            })
            .both("half", |number: f64| match number {
                0.0 => Err(ResourceError::new(422, "nothing to halve")),
                number => Ok(number / 2.0),
            });
        let handle = client.handle();
        spawn(client.run(core::future::pending()));
        let mut status = handle.status();
        let connected = pointstream_iotmp::io::Status::Connected;
        status.wait_for(|status| *status == connected).await.unwrap();
        let listener = Listener::bind("127.0.0.1:0", 64).await.unwrap();
        let http = listener.local_addr().unwrap().port();
        let face = Face::new(running.devices.clone(), options);
        spawn(async move { face.serve(listener, core::future::pending()).await.unwrap() });
        Self { running, http, led }
    }

    async fn request(&self, head: &str, body: &str) -> (u16, Json) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.http)).await.unwrap();
        let host = if head.contains("Host:") { "" } else { "Host: localhost\r\n" };
        let text = format!(
            "{head}\r\n{host}Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or(Json::Null))
    }

    async fn get(&self, path: &str) -> (u16, Json) {
        self.request(&format!("GET {BASE}{path} HTTP/1.1"), "").await
    }

    async fn post(&self, path: &str, body: &str) -> (u16, Json) {
        self.request(&format!("POST {BASE}{path} HTTP/1.1"), body).await
    }

    async fn open(&self, path: &str) -> WebSocket {
        let url = format!("ws://127.0.0.1:{}{BASE}{path}", self.http).parse().unwrap();
        dial_ws(&url, &DialOptions::default(), Duration::from_secs(5)).await.unwrap()
    }
}

const BASE: &str = "/v3/users/user1/devices/boiler/resources";

async fn json_of(socket: &mut WebSocket) -> Json {
    serde_json::from_slice(&socket.recv().await.unwrap().unwrap().data).unwrap()
}

#[tokio::test]
async fn resources_are_read_and_written() {
    let plant = Plant::start(FaceOptions::default()).await;
    assert_eq!(plant.get("/temp").await, (200, json!({ "celsius": 21.5 })));
    assert_eq!(plant.post("/led", "{\"on\":true,\"level\":7}").await, (200, Json::Null));
    assert_eq!(*plant.led.lock().unwrap(), json!({ "on": true, "level": 7 }));
    // Reading an input writes nothing.
    let (status, about) = plant.get("/led").await;
    assert_eq!((status, about), (200, json!({ "in": { "on": true, "level": 7 } })));
    assert_eq!(*plant.led.lock().unwrap(), json!({ "on": true, "level": 7 }));
    assert_eq!(plant.post("/half", "5").await, (200, json!(2.5)));
    assert_eq!(plant.post("/reboot", "").await.0, 200);
    assert_eq!(plant.get("/reboot").await.0, 405);
    let (status, list) = plant.get("").await;
    assert_eq!((status, &list["temp"]), (200, &json!({ "fn": 3 })));
    let path = "/v3/users/user1/devices";
    let devices = plant.request(&format!("GET {path} HTTP/1.1"), "").await;
    assert_eq!(devices, (200, json!(["boiler"])));
    for (status, answer) in [
        (404, plant.get("/none").await),
        (422, plant.post("/half", "0").await),
        (400, plant.post("/half", "{").await),
        (400, plant.post("/half", "\"text\"").await),
        (413, plant.post("/half", &"1".repeat(70_000)).await),
        (404, plant.request("GET /v3/users/user1/devices/other/resources/t HTTP/1.1", "").await),
        (404, plant.request("GET / HTTP/1.1", "").await),
        (405, plant.request(&format!("DELETE {BASE}/led HTTP/1.1"), "").await),
    ] {
        assert_eq!(answer.0, status, "{answer:?}");
        assert!(answer.1["error"]["message"].is_string(), "{answer:?}");
    }
    plant.running.end().await;
}

#[tokio::test]
async fn a_resource_is_followed_by_websocket_and_the_device_told_when_nobody_does() {
    let plant = Plant::start(FaceOptions::default()).await;
    let mut periodic = plant.open("/count?interval=0.02").await;
    let first = json_of(&mut periodic).await.as_u64().unwrap();
    for step in 1..4 {
        assert_eq!(json_of(&mut periodic).await, json!(first + step));
    }
    let mut events = plant.open("/led").await;
    assert_eq!(json_of(&mut events).await, Json::Null);
    plant.post("/led", "true").await;
    assert_eq!(json_of(&mut events).await, json!(true));
    drop((periodic, events));
    plant.running.end().await;
}

#[tokio::test]
async fn several_resources_share_a_websocket() {
    let plant = Plant::start(FaceOptions::default()).await;
    let mut socket = plant.open("").await;
    let ask = |json: Json| json.to_string().into_bytes();
    let wish = ask(json!({ "resource": "temp", "interval": 60, "enabled": true }));
    socket.send(Kind::Text, &wish).await.unwrap();
    let value = json_of(&mut socket).await;
    assert_eq!(value, json!({ "resource": "temp", "data": { "celsius": 21.5 } }));
    socket.send(Kind::Text, &ask(json!({ "resource": "led" }))).await.unwrap();
    assert_eq!(json_of(&mut socket).await, json!({ "resource": "led", "data": null }));
    plant.post("/led", "1").await;
    assert_eq!(json_of(&mut socket).await, json!({ "resource": "led", "data": 1 }));
    socket.send(Kind::Text, &ask(json!({ "resource": "none" }))).await.unwrap();
    assert_eq!(json_of(&mut socket).await, json!({ "resource": "none", "ended": true }));
    let bad = ask(json!({ "resource": "temp", "interval": -1 }));
    socket.send(Kind::Text, &bad).await.unwrap();
    assert!(json_of(&mut socket).await["error"].is_string());
    // Disabled, nothing of it comes before what is asked next.
    let off = ask(json!({ "resource": "led", "enabled": false }));
    socket.send(Kind::Text, &off).await.unwrap();
    socket.send(Kind::Text, &ask(json!({ "resource": "half" }))).await.unwrap();
    assert_eq!(json_of(&mut socket).await["resource"], "half");
    plant.post("/led", "2").await;
    plant.post("/half", "8").await;
    assert_eq!(json_of(&mut socket).await, json!({ "resource": "half", "data": 4 }));
    socket.send(Kind::Text, b"not json").await.unwrap();
    assert!(socket.recv().await.unwrap().is_none());
    assert_eq!(socket.close_code(), Some(1007));
    plant.running.end().await;
}

/// Reads an event stream up to so many events.
async fn events(plant: &Plant, path: &str, count: usize) -> Vec<Json> {
    let mut stream = TcpStream::connect(("127.0.0.1", plant.http)).await.unwrap();
    let head = format!(
        "GET {BASE}{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut text = String::new();
    while text.matches("data: ").count() < count || !text.ends_with("\n\n\r\n") {
        let mut space = [0; 4096];
        let len = stream.read(&mut space).await.unwrap();
        assert!(len > 0, "{text}");
        text.push_str(core::str::from_utf8(&space[..len]).unwrap());
    }
    assert!(text.starts_with("HTTP/1.1 200") && text.contains("text/event-stream"), "{text}");
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).unwrap()).collect()
}

#[tokio::test]
async fn resources_are_followed_by_server_sent_events() {
    let plant = Plant::start(FaceOptions::default()).await;
    let counts = events(&plant, "/count?interval=0.02", 3).await;
    let first = counts[0].as_u64().unwrap();
    assert_eq!(counts[..3], [json!(first), json!(first + 1), json!(first + 2)]);
    let both = events(&plant, "?resource=temp&resource=led", 2).await;
    assert!(both.contains(&json!({ "resource": "temp", "data": { "celsius": 21.5 } })));
    assert!(both.contains(&json!({ "resource": "led", "data": null })));
    let head = format!("GET {BASE} HTTP/1.1\r\nAccept: text/event-stream");
    assert_eq!(plant.request(&head, "").await.0, 400);
    assert!(plant.running.devices.find(&DeviceId::new("user1", "boiler")).is_some());
    plant.running.end().await;
}

#[tokio::test]
async fn strangers_are_kept_out() {
    let open = Plant::start(FaceOptions::default()).await;
    for headers in ["Host: example.org", "Host: localhost\r\nOrigin: http://example.org"] {
        let head = format!("GET {BASE}/temp HTTP/1.1\r\n{headers}");
        assert_eq!(open.request(&head, "").await.0, 403, "{headers}");
    }
    let own =
        format!("GET {BASE}/temp HTTP/1.1\r\nHost: localhost:80\r\nOrigin: http://localhost:80");
    assert_eq!(open.request(&own, "").await.0, 200);
    open.running.end().await;
    let locked = Plant::start(FaceOptions::default().with_token("t0ken")).await;
    for (more, status) in [
        ("", 401),
        ("\r\nAuthorization: Bearer wrong", 401),
        ("\r\nAuthorization: Bearer t0ken", 200),
        ("\r\nAuthorization: Bearer t0ken\r\nHost: plant.example", 200),
    ] {
        let head = format!("GET {BASE}/temp HTTP/1.1{more}");
        assert_eq!(locked.request(&head, "").await.0, status, "{more}");
    }
    assert_eq!(locked.get("/temp?authorization=t0ken").await.0, 200);
    locked.running.end().await;
    let everywhere = Listener::bind("0.0.0.0:0", 1).await.unwrap();
    let running = Running::start(Options::default()).await;
    let face = Face::new(running.devices.clone(), FaceOptions::default());
    assert!(face.serve(everywhere, core::future::pending()).await.is_err());
    assert!(Endpoint::tcp("127.0.0.1", running.addr.port()).is_ok());
    running.end().await;
}

#[tokio::test]
async fn an_endpoint_is_called_as_it_is_configured() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook?x=1", listener.local_addr().unwrap());
    let endpoint = HttpEndpoint::new(&url).unwrap().with_header("X-Key", "k3y").unwrap();
    assert!(!format!("{endpoint:?}").contains("k3y"));
    let endpoints = Endpoints::new().with("hook", endpoint);
    let answers = [
        "200 OK\r\nContent-Length: 8\r\n\r\n{\"a\": 1}",
        "204 No\r\n\r\n",
        "500 No\r\nContent-Length: 0\r\n\r\n",
    ];
    let serving = spawn(async move {
        let mut heads = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut space = vec![0; 4096];
            let len = stream.read(&mut space).await.unwrap();
            heads.push(String::from_utf8_lossy(&space[..len]).into_owned());
            stream.write_all(format!("HTTP/1.1 {answer}").as_bytes()).await.unwrap();
        }
        heads
    });
    let id = DeviceId::new("ada", "boiler");
    let value = pointstream_iotmp::Payload::new(&json!([1.5])).unwrap();
    let answer = endpoints.call(&id, "hook", Some(&value)).await.unwrap().unwrap();
    assert_eq!(answer.value().to_json(), json!({ "a": 1 }));
    assert_eq!(endpoints.call(&id, "hook", None).await, Ok(None));
    let failed = endpoints.call(&id, "hook", None).await;
    assert!(matches!(failed, Err(ServiceError::Failed(text)) if text.contains("500")));
    assert_eq!(endpoints.call(&id, "none", None).await, Err(ServiceError::NotFound));
    let heads = serving.await.unwrap();
    assert!(heads[0].starts_with("POST /hook?x=1 HTTP/1.1\r\n"), "{}", heads[0]);
    assert!(heads[0].contains("x-key: k3y"), "{}", heads[0]);
    let body: Json = serde_json::from_str(heads[0].split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(body, json!({ "user": "ada", "device": "boiler", "payload": [1.5] }));
    for url in ["ftp://host/", "host", "http://", "http:///x"] {
        assert!(HttpEndpoint::new(url).is_err(), "{url}");
    }
}
