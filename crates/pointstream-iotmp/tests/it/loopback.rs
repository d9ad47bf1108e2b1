//! Both sides on a socket.

use core::time::Duration;

use pointstream_iotmp::io::Connection;
use pointstream_iotmp::session::{Ask, Config, Credentials, End, Event, Feed, Refusal, Target};
use pointstream_iotmp::{Dialect, Resource, Tree};
use pointstream_net::{Endpoint, Listener};

async fn pair(dialect: Dialect) -> (Connection, Connection) {
    let listener = Listener::bind("127.0.0.1:0", 1).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let endpoint = Endpoint::tcp("127.0.0.1", port).unwrap();
    let credentials = Credentials::new("user1", "sensor1", "secret123");
    let dial = Connection::dial(&endpoint, dialect, &credentials, Config::default());
    let (client, accepted) = tokio::join!(dial, listener.accept());
    (client.unwrap(), Connection::server(accepted.stream, Config::default()))
}

/// A device with one resource, until its session is over.
async fn device(mut client: Connection) -> Option<End> {
    let mut end = None;
    while let Some(event) = client.event().await.unwrap() {
        match event {
            Event::Asked(Some(reply), Ask::Run { resource: Target::Path(path), .. }) => {
                let session = client.session();
                match path.as_str() {
                    "temperature" => session.ok(reply, Some(&21.5f64)).unwrap(),
                    _ => session.error(reply, 404, None).unwrap(),
                }
            }
            Event::Asked(Some(reply), Ask::Start { stream, .. }) => {
                client.session().ok(reply, None).unwrap();
                for value in 0..3u8 {
                    client.session().send(stream, &value).unwrap();
                }
            }
            Event::Closed(how) => end = Some(how),
            _ => {}
        }
    }
    end
}

async fn serve(mut server: Connection) {
    let mut values = Vec::new();
    while let Some(event) = server.event().await.unwrap() {
        let now = server.now();
        match event {
            Event::Connecting(connect) => {
                assert_eq!(connect.credentials.device, "sensor1");
                server.session().accept(now).unwrap();
                server.session().run(now, Resource::Path("temperature"), None, None).unwrap();
            }
            Event::Answered(_, answer) if answer.payload.is_some() => {
                let value = answer.payload.unwrap();
                assert_eq!(Tree::from(value.value()), Tree::Float(21.5));
                let feed = Feed::Every(Duration::from_secs(1));
                server.session().start(now, Resource::Path("temperature"), feed).unwrap();
            }
            Event::Data(_, data) => {
                values.push(data.payload.value().as_u64().unwrap());
                if values.len() == 3 {
                    server.session().disconnect();
                }
            }
            _ => {}
        }
    }
    assert_eq!(values, [0, 1, 2]);
}

#[tokio::test]
async fn a_device_is_run_streamed_and_left_in_both_dialects_of_iotmp() {
    for dialect in [Dialect::Iotmp1, Dialect::Iotmp2] {
        let (client, server) = pair(dialect).await;
        let ((), end) = tokio::join!(serve(server), device(client));
        assert_eq!(end, Some(End::Disconnected));
    }
}

#[tokio::test]
async fn a_refused_device_reads_why_before_the_end() {
    let (mut client, mut server) = pair(Dialect::Iotmp2).await;
    let refuse = async {
        while let Some(event) = server.event().await.unwrap() {
            if matches!(event, Event::Connecting(_)) {
                server.session().reject(Refusal::Credentials).unwrap();
            }
        }
    };
    let (event, ()) = tokio::join!(client.event(), refuse);
    assert_eq!(event.unwrap(), Some(Event::Closed(End::Refused(Some(2)))));
    assert_eq!(client.event().await.unwrap(), None);
    drop(server);
}

#[tokio::test]
async fn a_stream_that_ends_in_the_middle_is_an_error() {
    let (client, mut server) = pair(Dialect::Iotmp2).await;
    drop(client);
    assert!(server.event().await.is_err());
}
