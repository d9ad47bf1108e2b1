//! The topics of an MQTT broker as one document over server-sent events, kept up to date by JSON Patch.
//!
//! `cargo run --example mqtt_bridge -- mqtt://broker 'site/#'`, then
//! `curl -N http://127.0.0.1:8080/v1/topics/mqtt`. Each MQTT topic is a member of the document: JSON as
//! it is, anything else as text.

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use lexopt::Arg::{Long, Short, Value as Positional};
use lexopt::ValueExt;
use pointstream::http::{
    Admin, BoxFuture, ConnectorView, LevelsView, Options, PointView, PointsPage, PointsQuery,
    QueryError, Server, WriteError, WriteOutcome,
};
use pointstream::hub::{Hub, Limits, TopicOptions};
use pointstream::mqtt::io::{Broker, Client, Link, Observed};
use pointstream::mqtt::session::{Config, Message};
use pointstream::mqtt::{QoS, Version};
use pointstream::point::LevelWrite;
use pointstream::time::Seed;
use pointstream_patch::RowKey;

const HELP: &str = "\
The topics of an MQTT broker as server-sent events with JSON Patch.

Usage: mqtt_bridge [OPTIONS] [URI [FILTER...]]

URI is mqtt://, mqtts://, ws:// or wss://; by default mqtt://127.0.0.1. FILTER is a topic filter; by
default #.

      --listen ADDRESS     where to serve, loopback only [default: 127.0.0.1:8080]
      --topic NAME         the name of the document [default: mqtt]
      --qos N              the best quality of service wanted, 0 to 2 [default: 1]
      --mqtt-version V     3.1.1 or 5 [default: 3.1.1]
      --client-id ID       a session that the broker keeps while this is away
      --username NAME      who this is; the password comes from --password-file
      --password-file FILE
      --ca FILE            who signs the broker's certificate (PEM)
      --cert FILE --key FILE   this client's certificate and its key (PEM)
      --retry-max MS       the longest time between two attempts to connect [default: 10000]
      --topics-max N       how many topics the document takes [default: 10000]
      --print              also print each message on a line of JSON
  -h, --help
  -V, --version";

/// The session's time without a connection that a broker is asked to bear, with --client-id.
const EXPIRY: Duration = Duration::from_secs(3600);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = match Args::parse() {
        Ok(Some(args)) => args,
        Ok(None) => return ExitCode::SUCCESS,
        Err(error) => return fail(&format!("{error}; --help tells how it is used")),
    };
    match run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string()),
    }
}

fn fail(text: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "mqtt_bridge: {text}");
    ExitCode::FAILURE
}

async fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let mut seed = [0; 8];
    getrandom::fill(&mut seed)?;
    let mut seed = Seed::new(u64::from_ne_bytes(seed));
    let hub = Hub::new(Limits::default(), seed.split());
    hub.create(&args.topic, TopicOptions::rows())?;
    let options = Options::new(args.listen, seed.split());
    let server = Server::bind(hub.clone(), Arc::new(Nobody), options).await?;
    let (addr, topic) = (server.local_addr(), &args.topic);
    writeln!(io::stdout(), "listening http://{addr}/v1/topics/{topic}")?;
    let client = Client::new(args.broker(&mut seed)?);
    let mut serving = pin!(server.run(async { drop(tokio::signal::ctrl_c().await) }));
    let mut link = client.link();
    let observation = {
        let filters = args.filters.iter().map(|it| &**it);
        let mut observing = pin!(client.observe_all(filters, args.qos));
        loop {
            tokio::select! {
                () = &mut serving => break None,
                changed = link.changed() => {
                    changed?;
                    tell(&link.borrow_and_update())?;
                }
                observation = &mut observing => break Some(observation?),
            }
        }
    };
    let Some(mut observation) = observation else { return Ok(()) };
    let mut document = Document { hub, args, rows: HashMap::new(), refused: 0 };
    loop {
        tokio::select! {
            () = &mut serving => break,
            changed = link.changed() => {
                changed?;
                tell(&link.borrow_and_update())?;
            }
            item = observation.next() => match item {
                Some(Observed::Message(message)) => document.take(&message)?,
                Some(Observed::Oversize { topic, len }) => {
                    writeln!(io::stderr(), "mqtt_bridge: {topic}: {len} bytes are too long")?;
                }
                Some(Observed::Refused { filter, reason }) => {
                    return Err(format!("the broker refuses {filter}: {reason}").into());
                }
                Some(_) => {}
                None => return Err("the client has ended".into()),
            }
        }
    }
    drop(observation);
    client.close().await;
    Ok(())
}

fn tell(link: &Link) -> io::Result<()> {
    match link {
        Link::Up(..) => writeln!(io::stderr(), "mqtt_bridge: connected"),
        Link::Down(error) => writeln!(io::stderr(), "mqtt_bridge: {error}"),
        _ => Ok(()),
    }
}

/// The document, and what of the broker is in it.
struct Document {
    hub: Hub,
    args: Args,
    rows: HashMap<Arc<str>, RowKey>,
    refused: u64,
}

impl Document {
    fn take(&mut self, message: &Message) -> Result<(), Box<dyn Error>> {
        let text = String::from_utf8_lossy(&message.payload);
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
        let value = if is_json { text.into_owned() } else { serde_json::to_string(&text)? };
        if self.args.print {
            let topic = serde_json::to_string(&message.topic)?;
            let (qos, retain) = (message.qos as u8, message.retain);
            writeln!(
                io::stdout(),
                r#"{{"topic":{topic},"payload":{value},"qos":{qos},"retain":{retain}}}"#
            )?;
        }
        let known = self.rows.get(&message.topic).copied();
        if known.is_none() && self.rows.len() >= self.args.topics_max {
            self.refused += 1;
            if self.refused == 1 {
                let max = self.args.topics_max;
                let text = format!("there are more than {max} topics: the others are left out");
                writeln!(io::stderr(), "mqtt_bridge: {text}")?;
            }
            return Ok(());
        }
        // An empty retained message takes a topic away, as it does at the broker.
        let gone = message.payload.is_empty();
        let (row, _) = self.hub.edit(&self.args.topic, |edit| match known {
            Some(row) if gone => {
                edit.remove(row);
                Ok(None)
            }
            Some(row) => edit.set(row, &value).map(|_| Some(row)),
            None if gone => Ok(None),
            None => edit.insert(&message.topic, &value).map(Some),
        })?;
        match row {
            Ok(Some(row)) => drop(self.rows.insert(Arc::clone(&message.topic), row)),
            Ok(None) => drop(self.rows.remove(&message.topic)),
            Err(error) => writeln!(io::stderr(), "mqtt_bridge: {}: {error}", message.topic)?,
        }
        Ok(())
    }
}

struct Args {
    uri: String,
    filters: Vec<String>,
    listen: SocketAddr,
    topic: String,
    qos: QoS,
    version: Version,
    client_id: Option<String>,
    username: Option<String>,
    password: Option<Vec<u8>>,
    ca: Option<Vec<u8>>,
    cert: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
    retry_max: Duration,
    topics_max: usize,
    print: bool,
}

impl Args {
    /// None where the answer was given already.
    fn parse() -> Result<Option<Self>, Box<dyn Error>> {
        let mut args = Self {
            uri: "mqtt://127.0.0.1".into(),
            filters: Vec::new(),
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            topic: "mqtt".into(),
            qos: QoS::AtLeastOnce,
            version: Version::V3_1_1,
            client_id: None,
            username: None,
            password: None,
            ca: None,
            cert: None,
            key: None,
            retry_max: Duration::from_secs(10),
            topics_max: 10_000,
            print: false,
        };
        let mut words = Vec::new();
        let mut parser = lexopt::Parser::from_env();
        while let Some(arg) = parser.next()? {
            let read =
                |path: String| std::fs::read(&path).map_err(|error| format!("{path}: {error}"));
            match arg {
                Short('h') | Long("help") => return answer(HELP),
                Short('V') | Long("version") => {
                    return answer(concat!("mqtt_bridge ", env!("CARGO_PKG_VERSION")));
                }
                Long("listen") => args.listen = text(&mut parser)?.parse()?,
                Long("topic") => args.topic = text(&mut parser)?,
                Long("qos") => {
                    let qos = text(&mut parser)?.parse().ok().and_then(QoS::from_number);
                    args.qos = qos.ok_or("--qos is 0, 1 or 2")?;
                }
                Long("mqtt-version") => {
                    args.version = match text(&mut parser)?.as_str() {
                        "3.1.1" => Version::V3_1_1,
                        "5" => Version::V5,
                        _ => return Err("--mqtt-version is 3.1.1 or 5".into()),
                    };
                }
                Long("client-id") => args.client_id = Some(text(&mut parser)?),
                Long("username") => args.username = Some(text(&mut parser)?),
                Long("password-file") => {
                    let mut password = read(text(&mut parser)?)?;
                    password.truncate(password.trim_ascii_end().len());
                    args.password = Some(password);
                }
                Long("ca") => args.ca = Some(read(text(&mut parser)?)?),
                Long("cert") => args.cert = Some(read(text(&mut parser)?)?),
                Long("key") => args.key = Some(read(text(&mut parser)?)?),
                Long("retry-max") => {
                    args.retry_max = Duration::from_millis(text(&mut parser)?.parse()?);
                }
                Long("topics-max") => args.topics_max = text(&mut parser)?.parse()?,
                Long("print") => args.print = true,
                Positional(word) => words.push(word.string()?),
                other => return Err(other.unexpected().into()),
            }
        }
        let mut words = words.into_iter();
        args.uri = words.next().unwrap_or(args.uri);
        args.filters = words.collect();
        if args.filters.is_empty() {
            args.filters.push("#".into());
        }
        Ok(Some(args))
    }

    fn broker(&self, seed: &mut Seed) -> Result<Broker, Box<dyn Error>> {
        let made_up = format!("ps-bridge-{:010x}", seed.next_u64() >> 24);
        let mut config = Config::new(self.version, self.client_id.as_deref().unwrap_or(&made_up));
        if self.client_id.is_some() {
            config = config.with_session(EXPIRY);
        }
        if let Some(username) = &self.username {
            config =
                config.with_credentials(username, self.password.as_deref().unwrap_or_default());
        }
        let mut broker = Broker::new(self.uri.parse()?, config);
        broker.retry_max = self.retry_max;
        if broker.uri.is_secure() {
            broker = broker
                .with_pem(self.ca.as_deref(), self.cert.as_deref().zip(self.key.as_deref()))?;
        }
        Ok(broker)
    }
}

fn text(parser: &mut lexopt::Parser) -> Result<String, lexopt::Error> {
    parser.value()?.string()
}

fn answer(text: &str) -> Result<Option<Args>, Box<dyn Error>> {
    writeln!(io::stdout(), "{text}")?;
    Ok(None)
}

/// There are no points and no connectors here.
struct Nobody;

impl Admin for Nobody {
    fn points(&self, _: &PointsQuery) -> Result<PointsPage, QueryError> {
        Ok(PointsPage::new(Vec::new(), false))
    }

    fn point(&self, _: &str) -> Option<PointView> {
        None
    }

    fn write<'a>(
        &'a self,
        _: &'a str,
        _: LevelWrite,
    ) -> BoxFuture<'a, Result<WriteOutcome, WriteError>> {
        Box::pin(async { Err(WriteError::UnknownPoint) })
    }

    fn levels(&self, _: &str) -> Option<LevelsView> {
        None
    }

    fn connectors(&self) -> Vec<ConnectorView> {
        Vec::new()
    }

    fn metrics(&self, _: &mut String) {}
}
