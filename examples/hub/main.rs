//! A topic hub as a program, in development mode: no keys, loopback only.
//!
//! `cargo run --release --example hub` serves the topic `demo` and prints what to try with curl.

#![expect(clippy::print_stderr, reason = "it talks to whoever starts it")]

use std::error::Error;
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use pointstream::http::{Options, Server, TopicsOnly};
use pointstream::hub::{Hub, Limits, TopicKind, TopicOptions};
use pointstream::time::{Instant, Seed};
use pointstream_poll::shell::{ClientOptions, Pollers, Source};
use pointstream_poll::{Config, Targets};
use tracing_subscriber::EnvFilter;

mod args;

use args::{Args, PollArg, Task, TopicArg};

#[tokio::main]
async fn main() -> ExitCode {
    let args = match Args::parse() {
        Ok(args) => args,
        Err(error) => return fail(&format!("{error}; --help lists the options")),
    };
    match args.task {
        Task::Help => print(args::HELP),
        Task::Version => print(concat!("hub ", env!("CARGO_PKG_VERSION"))),
        Task::Run => {
            let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
            tracing_subscriber::fmt()
                .with_env_filter(filter)
                .with_target(false)
                .with_ansi(std::io::stderr().is_terminal())
                .with_writer(std::io::stderr)
                .init();
            if let Err(error) = run(args).await {
                return fail(&error.to_string());
            }
        }
    }
    ExitCode::SUCCESS
}

async fn run(args: Args) -> Result<(), Box<dyn Error>> {
    if !args.listen.ip().to_canonical().is_loopback() {
        let listen = args.listen;
        return Err(format!(
            "{listen} is not a loopback address, and there are no keys in development mode"
        )
        .into());
    }
    let start = tokio::time::Instant::now();
    let mut seed = Seed::new(entropy());
    let clock = move || Instant::from_origin(start.elapsed());
    let hub = Hub::with_clock(Limits::default(), seed.split(), clock);
    for TopicArg { id, options } in &args.topics {
        hub.create(id, options.clone()).map_err(|error| format!("--topic {id}: {error}"))?;
    }
    let mut options = Options::new(args.listen, seed.split());
    options.sources = args.polls.iter().map(|poll| (poll.url.clone(), poll.id.clone())).collect();
    let server = Server::bind(hub.clone(), Arc::new(TopicsOnly), options).await?;
    let mut pollers = Pollers::new(hub.clone());
    for poll in &args.polls {
        add_poller(&mut pollers, &hub, poll, server.local_addr(), seed.split())
            .map_err(|error| format!("--poll {}: {error}", poll.id))?;
    }
    greet(&hub, &args, server.local_addr());
    let serving = server.run(async {
        // Without a signal to wait for, it runs until it is ended otherwise.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    });
    tokio::select! {
        () = serving => {}
        () = pollers.run() => {}
    }
    Ok(())
}

/// A topic that is polled. Its target may be reached since it was named; the hub itself may not.
fn add_poller(
    pollers: &mut Pollers,
    hub: &Hub,
    poll: &PollArg,
    own: SocketAddr,
    seed: Seed,
) -> Result<(), Box<dyn Error>> {
    let mut config = Config::new(&poll.url);
    config.period = poll.period;
    let mut targets = Targets::public();
    targets.allow_url(&poll.url)?;
    targets.forbid(own);
    let topic = hub.create(&poll.id, TopicOptions::text())?;
    Ok(pollers.add(&topic, Source::new(config), ClientOptions::new(targets), seed)?)
}

/// Says what can be tried, in the manner of the original's documentation.
fn greet(hub: &Hub, args: &Args, addr: SocketAddr) {
    let mut text =
        format!("The hub listens on http://{addr}/ in development mode: no keys, loopback only.\n");
    for poll in &args.polls {
        text.push_str(&format!(
            "\nSubscribe to {0}, which polls {1}:\n\ncurl -N \"http://{addr}/v1/topics/{0}\"\n",
            poll.id, poll.url
        ));
    }
    for TopicArg { id, .. } in &args.topics {
        let items = hub.topic(id).is_ok_and(|topic| topic.kind == TopicKind::Items);
        let body = |[a, b]: [&str; 2]| {
            if items { format!("[{a},{b}]") } else { format!("{{\"pairs\": [{a},{b}]}}") }
        };
        text.push_str(&format!(
            "\nSubscribe to {id}:\n\ncurl -N \"http://{addr}/v1/topics/{id}\"\n\n\
             Publish to it, first this and then that:\n"
        ));
        for pairs in [FIRST, SECOND] {
            text.push_str(&format!(
                "\ncurl -v http://{addr}/publish/v1/topics/{id} \\\n\
                 -H \"Content-Type: application/json\" \\\n-d '{}'\n",
                body(pairs)
            ));
        }
    }
    print(&text);
}

/// Who closes the other end of the pipe does not want to read it.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Not to be told by anyone, and another one at each start.
fn entropy() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}

fn fail(text: &str) -> ExitCode {
    eprintln!("hub: {text}");
    ExitCode::FAILURE
}

const FIRST: [&str; 2] = [
    r#"{"Symbol":"AUDUSD", "Bid":0.74709, "Mid":0.74713, "Ask":0.74717}"#,
    r#"{"Symbol":"EURUSD", "Bid":0.74709, "Mid":0.74713, "Ask":0.74717}"#,
];

const SECOND: [&str; 2] = [
    r#"{"Symbol":"AUDUSD", "Bid":0.74710, "Mid":0.74712, "Ask":0.74716}"#,
    r#"{"Symbol":"EURUSD", "Bid":0.74708, "Mid":0.74714, "Ask":0.74718}"#,
];
