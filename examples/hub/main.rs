//! A topic hub as a program, in development mode: no keys, loopback only.
//!
//! `cargo run --release --example hub` serves the topic `demo` and prints what to try with curl.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it talks to whoever starts it")]

use std::error::Error;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use pointstream::http::{Options, Server, TopicsOnly};
use pointstream::hub::{Hub, Limits, TopicKind};
use pointstream::time::{Instant, Seed};
use tracing_subscriber::EnvFilter;

mod args;

use args::{Args, Task, TopicArg};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let args = match Args::parse() {
        Ok(args) => args,
        Err(error) => return fail(&format!("{error}; --help lists the options")),
    };
    match args.task {
        Task::Help => println!("{}", args::HELP),
        Task::Version => println!("hub {}", env!("CARGO_PKG_VERSION")),
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
    let options = Options::new(args.listen, seed.split());
    let server = Server::bind(hub.clone(), Arc::new(TopicsOnly), options).await?;
    greet(&hub, &args, server.local_addr());
    server
        .run(async {
            // Without a signal to wait for, it runs until it is ended otherwise.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        })
        .await;
    Ok(())
}

/// Says what can be tried, in the manner of the original's documentation.
fn greet(hub: &Hub, args: &Args, addr: SocketAddr) {
    println!("The hub listens on http://{addr}/ in development mode: no keys, loopback only.");
    for TopicArg { id, .. } in &args.topics {
        let items = hub.topic(id).is_ok_and(|topic| topic.kind == TopicKind::Items);
        let body = |[a, b]: [&str; 2]| {
            if items { format!("[{a},{b}]") } else { format!("{{\"pairs\": [{a},{b}]}}") }
        };
        println!("\nSubscribe to {id}:\n");
        println!("curl -N \"http://{addr}/v1/topics/{id}\"");
        println!("\nPublish to it, first this and then that:");
        for pairs in [FIRST, SECOND] {
            println!(
                "\ncurl -v http://{addr}/publish/v1/topics/{id} \\\n\
                 -H \"Content-Type: application/json\" \\\n-d '{}'",
                body(pairs)
            );
        }
    }
    println!();
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
