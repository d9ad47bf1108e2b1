//! What memory does it take to collect the past of very many points?
//!
//! ```text
//! cargo run --release -p pointstream-benches --bin collecting [SECONDS]
//! ```
//!
//! A gateway of its own for each row: points that are only there, that are polled each second, and
//! that are collected each ten seconds besides, with a new value each time. Resident memory is taken
//! after so many seconds (45), when some batches have gone to the store. A fourth is collected with
//! items that wait an hour to be written.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

use std::process::{Command, ExitCode};
use std::time::Duration;

use pointstream::conn::{Binding, Driver, Features, OpError, Readings, Registry, Request};
use pointstream::point::{Id, Kind, PointKey, PointSpec, Tag, Tags, Tuning, Value};
use pointstream::{Config, ConnectorConfig, Gateway};

type Error = Box<dyn std::error::Error>;

const MODES: [&str; 4] = ["there", "polled", "collected", "waiting"];
const COUNTS: [usize; 2] = [10_000, 100_000];
const CONNECTORS: usize = 10;

/// A device whose every value is another one each time.
struct Counter(u64);

impl Driver for Counter {
    fn features(&self) -> Features {
        Features::NONE.with_poll()
    }
    async fn open(&mut self, _: &mut Readings) -> Result<(), OpError> {
        Ok(())
    }
    async fn close(&mut self) {}
    async fn ping(&mut self, _: &mut Readings) -> Result<Tags, OpError> {
        Ok(Tags::new())
    }
    fn bind(&mut self, _: &[Binding], _: &mut Readings) {}
    fn unbind(&mut self, _: &[PointKey]) {}
    async fn read(&mut self, requests: &[Request], into: &mut Readings) -> Result<(), OpError> {
        for key in requests.iter().flat_map(|request| request.points.iter()) {
            self.0 = (self.0 + 7) % 100_000;
            into.ok(*key, Value::number(f64::from(self.0 as f32 * 0.1)));
        }
        Ok(())
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => table(45),
        [seconds] => seconds.parse().map_err(Error::from).and_then(table),
        [mode, count, seconds] => one(mode, count, seconds),
        _ => Err("usage: collecting [SECONDS]".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("collecting: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Each in a process of its own, so that none has the memory of another.
fn table(seconds: u64) -> Result<(), Error> {
    println!("| points are | 10,000: MB | 100,000: MB | bytes for each more | values written |");
    println!("|---|---|---|---|---|");
    for mode in MODES {
        let mut taken = Vec::new();
        for count in COUNTS {
            let (count, seconds) = (count.to_string(), seconds.to_string());
            let mut command = Command::new(std::env::current_exe()?);
            let output = command.args([mode, &count, &seconds]).output()?;
            if !output.status.success() {
                return Err(String::from_utf8_lossy(&output.stderr).into());
            }
            let text = String::from_utf8(output.stdout)?;
            let numbers =
                text.split_whitespace().map(str::parse).collect::<Result<Vec<u64>, _>>()?;
            taken.push((numbers[0], numbers[1]));
        }
        let [(few, _), (many, written)] = taken[..] else { return Err("no figures".into()) };
        let slope = many.saturating_sub(few) as f64 / (COUNTS[1] - COUNTS[0]) as f64;
        let mega = |bytes: u64| bytes as f64 / 1e6;
        println!("| {mode} | {:.1} | {:.1} | {slope:.0} | {written} |", mega(few), mega(many));
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn one(mode: &str, count: &str, seconds: &str) -> Result<(), Error> {
    let (count, seconds): (usize, u64) = (count.parse()?, seconds.parse()?);
    let folder =
        std::env::temp_dir().join(format!("pointstream-collecting-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let mut registry = Registry::new();
    registry.register("counter", |(): (), _| Ok(Counter(0)));
    let mut gateway = Gateway::new(registry);
    let tuning = Tuning::default().with_poll_time(Duration::from_secs(1));
    let mut config = Config::new().with_tuning("default".parse()?, tuning);
    config.steady_time = Some(Duration::ZERO);
    config.store = Some(folder.join("collecting.redb"));
    let mut ids = Vec::new();
    for at in 0..CONNECTORS {
        let mut connector = ConnectorConfig::new(format!("c{at}").parse()?, "counter");
        for slot in 0..count / CONNECTORS {
            let id: Id = format!("c{at}.p{slot}").parse()?;
            connector = connector.with_point(point(&id, mode)?);
            ids.push(id);
        }
        config = config.with_connector(connector);
    }
    gateway.apply(config).await?;
    if mode == "polled" {
        gateway.watch(&ids, None).await?;
    }
    drop(ids);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let resident = resident()?;
    let history = gateway.history().ok_or("there is no store")?;
    gateway.shutdown().await;
    let mut written = 0;
    for at in [0, count / CONNECTORS - 1] {
        written += history.info(&format!("c0.p{at}"))?.map_or(0, |info| info.size);
    }
    drop(history);
    std::fs::remove_dir_all(&folder)?;
    println!("{resident} {}", written / 2 * count as u64);
    Ok(())
}

fn point(id: &Id, mode: &str) -> Result<PointSpec, Error> {
    let mut point = PointSpec::new(id.clone(), Kind::Number);
    point.cur = Some("40001".into());
    let collects = matches!(mode, "collected" | "waiting");
    if collects {
        point.more.tags.set("hisCollectInterval", Tag::Value(Value::str("10sec")));
    }
    if mode == "waiting" {
        point.more.tags.set("hisCollectWriteFreq", Tag::Value(Value::str("1hr")));
    }
    Ok(point)
}

fn resident() -> Result<u64, Error> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kilobytes.ok_or("no VmRSS")?.trim().parse::<u64>()? * 1024)
}
