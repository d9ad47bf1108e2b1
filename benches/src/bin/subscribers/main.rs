//! What does a subscriber cost, and how soon has it what was published?
//!
//! ```text
//! subscribers --server ADDR --subscribe TARGET --publish TARGET --pid PID
//!     [--publisher ADDR] [--header LINE]… WHAT
//!
//! idle COUNT                    resident memory of the server per subscriber that waits
//! lockstep COUNT SECONDS        publishes when all have the publication before
//! paced COUNT RATE SECONDS      publishes so many times a second
//! stalled COUNT [TIMES]         publishes 500 times, or so many, 20 kB, without and with readers that
//!                               never read
//! agree COUNT TIMES             publishes to so many subscribers and compares what they count with what
//!                               the server's metrics tell
//! once COUNT                    publishes 100 times in this process to so many subscribers; to be run
//!                               under callgrind
//! wire                          publishes 100 quotes of which a tenth changes; the bytes received
//! ```
//!
//! A load generator for any server that takes a POST and sends Server-Sent Events, on one thread. It
//! prints one line of JSON. What is published bears its time, which is looked for in what comes back,
//! whatever the form of the events. `benches/hub.sh` runs it against pointstream and nchan.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

mod agree;
mod load;
mod once;
mod process;
mod wire;

use std::process::ExitCode;
use std::time::Duration;

use lexopt::prelude::*;
use tokio::task::LocalSet;

type Error = Box<dyn std::error::Error>;

/// The server that is measured.
#[derive(Clone, Debug, Default)]
struct Target {
    server: String,
    /// Where to publish; the server itself unless given.
    publisher: Option<String>,
    subscribe: String,
    publish: String,
    headers: Vec<String>,
    pid: u32,
}

fn main() -> ExitCode {
    match run() {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("subscribers: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<serde_json::Value, Error> {
    let (target, what) = arguments()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let words: Vec<&str> = what.iter().map(String::as_str).collect();
    let seconds = |text: &str| text.parse().map(Duration::from_secs);
    LocalSet::new().block_on(&runtime, async {
        match words[..] {
            ["idle", count] => load::idle(&target, count.parse()?).await,
            ["lockstep", count, time] => {
                load::lockstep(&target, count.parse()?, seconds(time)?).await
            }
            ["paced", count, rate, time] => {
                load::paced(&target, count.parse()?, rate.parse()?, seconds(time)?).await
            }
            ["stalled", count] => load::stalled(&target, count.parse()?, 500).await,
            ["stalled", count, times] => {
                load::stalled(&target, count.parse()?, times.parse()?).await
            }
            ["agree", count, times] => agree::agree(&target, count.parse()?, times.parse()?).await,
            ["once", count] => once::publish(count.parse()?),
            ["wire"] => load::quotes(&target).await,
            _ => Err("what to measure? The head of the source lists it.".into()),
        }
    })
}

fn arguments() -> Result<(Target, Vec<String>), Error> {
    let mut target = Target::default();
    let mut what = Vec::new();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("server") => target.server = parser.value()?.string()?,
            Long("subscribe") => target.subscribe = parser.value()?.string()?,
            Long("publish") => target.publish = parser.value()?.string()?,
            Long("publisher") => target.publisher = Some(parser.value()?.string()?),
            Long("header") => target.headers.push(parser.value()?.string()?),
            Long("pid") => target.pid = parser.value()?.parse()?,
            Value(word) => what.push(word.string()?),
            _ => return Err(argument.unexpected().into()),
        }
    }
    Ok((target, what))
}
