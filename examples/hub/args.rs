//! What the command line asks for.

use std::net::SocketAddr;

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
  -h, --help                  Print this help and end.
  -V, --version               Print the version and end.

Without --topic there is one, demo.

The environment variable RUST_LOG sets what is logged, as in RUST_LOG=pointstream=debug.";

pub(crate) struct Args {
    pub(crate) listen: SocketAddr,
    pub(crate) topics: Vec<TopicArg>,
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

impl Args {
    pub(crate) fn parse() -> Result<Self, lexopt::Error> {
        use lexopt::prelude::{Long, Short, ValueExt};
        let listen = SocketAddr::from(([127, 0, 0, 1], 8000));
        let mut args = Self { listen, topics: Vec::new(), task: Task::Run };
        let mut parser = lexopt::Parser::from_env();
        while let Some(arg) = parser.next()? {
            match arg {
                Long("listen") => args.listen = parser.value()?.parse()?,
                Long("topic") => args.topics.push(topic(&parser.value()?.string()?)?),
                Long("help") | Short('h') => args.task = Task::Help,
                Long("version") | Short('V') => args.task = Task::Version,
                other => return Err(other.unexpected()),
            }
        }
        if args.topics.is_empty() {
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
