//! What the command line asks for.

use std::net::SocketAddr;
use std::time::Duration;

use pointstream::hub::{ItemOptions, TopicOptions, UpdateMode};

pub(crate) const HELP: &str = "\
A hub: topics of JSON that are published to by HTTP and followed as Server-Sent Events, the whole
document first, then JSON Patches.

It is in development mode: no keys, and it listens on loopback addresses only.

Usage: hub [OPTIONS]

Options:
  --listen ADDR               Listen on this loopback address; 127.0.0.1:8000 by default.
  --topic ID                  A topic whose publications are whole documents.
  --topic ID:item:.PATH       A topic of items, told apart by the value at .PATH.
  --topic ID:item:.PATH:merge The same, where a publication is merged into its item.
  --poll ID=URL,PERIOD_MS     A topic that shows what a GET of URL answers, asked for every so many
                              milliseconds while somebody listens. URL may be of this machine's
                              own network, since you name it.
  -h, --help                  Print this help and end.
  -V, --version               Print the version and end.

Without --topic and --poll there is one topic, demo.

The environment variable RUST_LOG sets what is logged, as in RUST_LOG=pointstream=debug.";

pub(crate) struct Args {
    pub(crate) listen: SocketAddr,
    pub(crate) topics: Vec<TopicArg>,
    pub(crate) polls: Vec<PollArg>,
    pub(crate) task: Task,
}

/// What to do.
#[derive(PartialEq)]
pub(crate) enum Task {
    Run,
    Help,
    Version,
}

/// A topic of the command line.
pub(crate) struct TopicArg {
    pub(crate) id: String,
    pub(crate) options: TopicOptions,
}

/// A topic that is polled.
pub(crate) struct PollArg {
    pub(crate) id: String,
    pub(crate) url: String,
    pub(crate) period: Duration,
}

impl Args {
    pub(crate) fn parse() -> Result<Self, lexopt::Error> {
        use lexopt::prelude::{Long, Short, ValueExt};
        let listen = SocketAddr::from(([127, 0, 0, 1], 8000));
        let mut args = Self { listen, topics: Vec::new(), polls: Vec::new(), task: Task::Run };
        let mut parser = lexopt::Parser::from_env();
        while let Some(arg) = parser.next()? {
            match arg {
                Long("listen") => args.listen = parser.value()?.parse()?,
                Long("topic") => args.topics.push(topic(&parser.value()?.string()?)?),
                Long("poll") => args.polls.push(poll(&parser.value()?.string()?)?),
                Long("help") | Short('h') => args.task = Task::Help,
                Long("version") | Short('V') => args.task = Task::Version,
                other => return Err(other.unexpected()),
            }
        }
        if args.topics.is_empty() && args.polls.is_empty() {
            args.topics.push(topic("demo")?);
        }
        Ok(args)
    }
}

/// `ID`, `ID:item:.PATH` or `ID:item:.PATH:merge`.
fn topic(text: &str) -> Result<TopicArg, String> {
    let mut options = match text.split_once(":item:") {
        None => TopicOptions::text(),
        Some((_, path)) => {
            let merged = path.strip_suffix(":merge");
            let path = merged.unwrap_or(path).parse();
            let mut items = ItemOptions::new(path.map_err(|error| format!("{text}: {error}"))?);
            if merged.is_some() {
                items.update = UpdateMode::Merge;
            }
            TopicOptions::items(items)
        }
    };
    options.open = true;
    let id = text.split(":item:").next().unwrap_or_default().to_owned();
    Ok(TopicArg { id, options })
}

/// `ID=URL,PERIOD_MS`, where the URL may have commas of its own.
fn poll(text: &str) -> Result<PollArg, String> {
    let parts = text.split_once('=').and_then(|(id, rest)| Some((id, rest.rsplit_once(',')?)));
    let (id, (url, period)) = parts.ok_or_else(|| format!("{text}: not ID=URL,PERIOD_MS"))?;
    let period = period.parse().map_err(|_| format!("{text}: {period} are no milliseconds"))?;
    Ok(PollArg { id: id.to_owned(), url: url.to_owned(), period: Duration::from_millis(period) })
}
