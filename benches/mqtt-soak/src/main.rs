//! A subscriber with a session that lasts, by one of several clients: prints each message's payload on a
//! line, and to stderr `connected` with each connection and why one was lost. See soak.py.
//!
//!     pointstream-mqtt-soak CLIENT VERSION PORT CLIENT_ID FILTER
//!
//! CLIENT is pointstream, rumqttc or rumqttc-next; VERSION is 3.1.1 or 5.

use std::error::Error;
use std::io::{Write, stderr, stdout};
use std::process::ExitCode;
use std::time::Duration;

/// How long the broker keeps the session.
const EXPIRY: Duration = Duration::from_secs(3600);
/// How long is waited before a connection is tried again.
const RETRY: Duration = Duration::from_millis(200);
/// How many requests of a client wait.
const CAPACITY: usize = 16;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [client, version, port, id, filter] = &words[..] else {
        return Err("pointstream-mqtt-soak CLIENT VERSION PORT CLIENT_ID FILTER".into());
    };
    let port = port.parse()?;
    match (client.as_str(), version.as_str()) {
        ("pointstream", version) => ours(version, port, id, filter).await,
        ("rumqttc", "3.1.1") => rumqttc_v4(port, id, filter).await,
        ("rumqttc", "5") => rumqttc_v5(port, id, filter).await,
        ("rumqttc-next", "3.1.1") => next_v4(port, id, filter).await,
        ("rumqttc-next", "5") => next_v5(port, id, filter).await,
        (client, version) => Err(format!("there is no {client} with {version}").into()),
    }
}

/// A message was told.
fn told(payload: &[u8]) -> Result<(), Box<dyn Error>> {
    let mut out = stdout();
    out.write_all(payload)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

fn connected() -> Result<(), Box<dyn Error>> {
    Ok(writeln!(stderr(), "connected")?)
}

async fn ours(version: &str, port: u16, id: &str, filter: &str) -> Result<(), Box<dyn Error>> {
    use pointstream_mqtt::io::{Broker, Client, Link, Observed};
    use pointstream_mqtt::session::Config;
    use pointstream_mqtt::{QoS, Version};

    let version = if version == "5" { Version::V5 } else { Version::V3_1_1 };
    let session = Config::new(version, id).with_session(EXPIRY);
    let mut broker = Broker::new(format!("mqtt://127.0.0.1:{port}").parse()?, session);
    broker.retry_max = RETRY;
    let client = Client::new(broker);
    let mut link = client.link();
    let mut observation = client.observe(filter, QoS::ExactlyOnce).await?;
    loop {
        tokio::select! {
            changed = link.changed() => {
                changed?;
                if matches!(&*link.borrow_and_update(), Link::Up(..)) {
                    connected()?;
                }
            }
            item = observation.next() => match item {
                Some(Observed::Message(message)) => told(&message.payload)?,
                other => return Err(format!("{other:?}").into()),
            },
        }
    }
}

/// The loop of each of the others: polled again after an error, as their documentation has it, and
/// subscribed anew where the broker has no session.
macro_rules! drive {
    ($events:ident, $client:ident, $filter:ident, $rumqtt:ident, $incoming:ident) => {
        loop {
            match $events.poll().await {
                Ok($rumqtt::Event::Incoming($incoming::ConnAck(ack))) => {
                    connected()?;
                    if !ack.session_present {
                        $client.subscribe($filter, QoS::ExactlyOnce).await?;
                    }
                }
                Ok($rumqtt::Event::Incoming($incoming::Publish(message))) => {
                    told(&message.payload)?;
                }
                Ok(_) => {}
                Err(error) => {
                    writeln!(stderr(), "{error}")?;
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    };
}

async fn rumqttc_v4(port: u16, id: &str, filter: &str) -> Result<(), Box<dyn Error>> {
    use rumqttc::{AsyncClient, MqttOptions, Packet, QoS};

    let mut options = MqttOptions::new(id, "127.0.0.1", port);
    options.set_clean_session(false);
    let (client, mut events) = AsyncClient::new(options, CAPACITY);
    drive!(events, client, filter, rumqttc, Packet)
}

async fn rumqttc_v5(port: u16, id: &str, filter: &str) -> Result<(), Box<dyn Error>> {
    use rumqttc::v5::mqttbytes::QoS;
    use rumqttc::v5::mqttbytes::v5::Packet;
    use rumqttc::v5::{self, AsyncClient, MqttOptions};

    let mut options = MqttOptions::new(id, "127.0.0.1", port);
    options.set_clean_start(false).set_session_expiry_interval(Some(EXPIRY.as_secs() as u32));
    let (client, mut events) = AsyncClient::new(options, CAPACITY);
    drive!(events, client, filter, v5, Packet)
}

async fn next_v4(port: u16, id: &str, filter: &str) -> Result<(), Box<dyn Error>> {
    use next_v4::{AsyncClient, MqttOptions, Packet, QoS};

    let mut options = MqttOptions::new(id, ("127.0.0.1", port));
    options.set_clean_session(false);
    let (client, mut events) = AsyncClient::builder(options).capacity(CAPACITY).build();
    drive!(events, client, filter, next_v4, Packet)
}

async fn next_v5(port: u16, id: &str, filter: &str) -> Result<(), Box<dyn Error>> {
    use next_v5::mqttbytes::QoS;
    use next_v5::mqttbytes::v5::Packet;
    use next_v5::{AsyncClient, MqttOptions};

    let mut options = MqttOptions::new(id, ("127.0.0.1", port));
    options.set_clean_start(false).set_session_expiry_interval(Some(EXPIRY.as_secs() as u32));
    let (client, mut events) = AsyncClient::builder(options).capacity(CAPACITY).build();
    drive!(events, client, filter, next_v5, Packet)
}
