//! What does a poll cost, from the application's wish to the directory of points?
//!
//! ```text
//! cargo run --release -p pointstream-benches --bin farm -- 1 21000
//! cargo run --release -p pointstream-benches --bin polling -- 127.0.0.1:21000 POLLS [POINTS]
//! ```
//!
//! Reads so many points (10) of a Modbus device by one request, one time after the other. It is meant to
//! be run under `valgrind --tool=callgrind`, with two numbers of polls, whose difference leaves out what
//! begins and ends; that of two builds says what a part of it costs, such as traces that are off.

#![expect(clippy::print_stderr, reason = "a program for the terminal")]

use std::process::ExitCode;

use pointstream::conn::Registry;
use pointstream::modbus;
use pointstream::point::{Id, Kind, PointSpec};
use pointstream::{Config, ConnectorConfig, Gateway};

type Error = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [addr, polls] => done(poll(addr, polls, "10").await),
        [addr, polls, points] => done(poll(addr, polls, points).await),
        _ => done(Err("usage: polling ADDRESS POLLS [POINTS]".into())),
    }
}

fn done(result: Result<(), Error>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("polling: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn poll(addr: &str, polls: &str, points: &str) -> Result<(), Error> {
    let (polls, points): (usize, usize) = (polls.parse()?, points.parse()?);
    let mut connector = ConnectorConfig::new("meter".parse()?, "modbus");
    connector = connector.with("uri", format!("modbus-tcp://{addr}")).with("unit", 1);
    let mut ids: Vec<Id> = Vec::new();
    for at in 0..points {
        let id: Id = format!("meter.r{at}").parse()?;
        let mut point = PointSpec::new(id.clone(), Kind::Number);
        point.cur = Some(format!("holding:#{at}:u2").as_str().into());
        connector = connector.with_point(point);
        ids.push(id);
    }
    let mut registry = Registry::new();
    modbus::register(&mut registry);
    let mut gateway = Gateway::new(registry);
    gateway.apply(Config::new().with_connector(connector)).await?;
    for _ in 0..polls {
        let failed = gateway.sync_cur(&ids).await;
        if let Some((id, fault)) = failed.into_iter().next() {
            return Err(format!("{id}: {fault}").into());
        }
    }
    let last = gateway.hub().snapshot("plant")?.ok_or("nothing was read")?;
    let last: serde_json::Value = serde_json::from_slice(&last.json)?;
    if !last["meter.r0"]["val"].is_number() {
        return Err(format!("no number was read: {last}").into());
    }
    gateway.shutdown().await;
    Ok(())
}
