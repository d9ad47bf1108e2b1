//! What does Modbus cost, beside tokio-modbus and libmodbus?
//!
//! Each command is a process of its own, so that what it uses of a processor can be told apart;
//! `run.sh` runs them against one server, turn by turn, and prints the ratios.
//!
//! - `serve PORT`: 10,000 holding registers of unit 1, of which a tenth changes each 100 ms
//! - `slow PORT`: the same, answering after 10 ms, as a slow bus does
//! - `ours PORT`, `window PORT N`, `tokio PORT`: requests of one register on one connection
//! - `blocks PORT`: points with status by connectors, in blocks of 125 registers
//! - `overload PORT`: twenty times what the slow server can serve
//! - `idle PORT N`: the memory of N open connections

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pointstream_conn::{
    AnyDriver, Binding, Changes, Clock, ConnConfig, ConnView, Driver, Follower, NamedTuning,
    PointDef, PollStats, Readings, Request, Shell,
};
use pointstream_modbus::data::Scalar;
use pointstream_modbus::{
    Address, Config, Exception, Limits, Modbus, PointSource, Registers, Server, Table, Target,
};
use pointstream_point::{Kind, PointKey, PointSpec, Tuning};
use tokio::task::JoinSet;

const TIME: Duration = Duration::from_secs(3);
const REGISTERS: u16 = 10_000;

type Outcome = Result<(), Box<dyn Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| words.get(at).and_then(|word| word.parse::<u16>().ok());
    let port = number(1).ok_or("expected a command and a port")?;
    match words[0].as_str() {
        "serve" => serve(port, Duration::ZERO).await,
        "slow" => serve(port, Duration::from_millis(10)).await,
        "ours" => requests(port, 1).await,
        "window" => requests(port, number(2).unwrap_or(16).into()).await,
        "tokio" => tokio_modbus(port).await,
        "blocks" => blocks(port).await,
        "overload" => overload(port).await,
        "idle" => idle(port, number(2).unwrap_or(1_000)).await,
        other => Err(format!("unknown command {other}").into()),
    }
}

/// Registers that answer after a while, one request after the other as on a bus.
struct Slow {
    registers: Registers,
    delay: Duration,
}

impl PointSource for Slow {
    async fn read_registers(
        &self,
        unit: u8,
        table: Table,
        start: u16,
        registers: &mut [u16],
    ) -> Result<(), Exception> {
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        self.registers.read_registers(unit, table, start, registers).await
    }
}

async fn serve(port: u16, delay: Duration) -> Outcome {
    let registers = Registers::new();
    registers.define(1, Table::Holding, 0, REGISTERS)?;
    let limits = Limits::default().with_connections_max(5_000);
    let server = Server::bind(("127.0.0.1", port), limits).await?;
    let source = Slow { registers: registers.clone(), delay };
    let mut tasks = JoinSet::new();
    tasks.spawn(server.run(source, std::future::pending()));
    let addresses: Vec<Address> = addresses((0..REGISTERS).step_by(10))?;
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    for value in (0..i64::from(u16::MAX)).cycle() {
        ticks.tick().await;
        registers.update(|units| {
            addresses.iter().try_for_each(|address| units.set(1, address, Scalar::Int(value)))
        })?;
    }
    Ok(())
}

fn addresses(of: impl Iterator<Item = u16>) -> Result<Vec<Address>, Box<dyn Error>> {
    of.map(|start| Ok(format!("holding:#{start}").parse()?)).collect()
}

fn key(slot: u32) -> PointKey {
    PointKey { shard: 0, slot, generation: 0 }
}

fn target(port: u16) -> Target {
    format!("tcp://127.0.0.1:{port}").parse().expect("a target")
}

/// Points of one register each, read one by one.
async fn requests(port: u16, window: usize) -> Outcome {
    let mut config = Config::new(target(port), 1);
    (config.window, config.block_max) = (window, 1);
    let mut driver = Modbus::new(config)?;
    let mut into = Readings::new();
    let mut plan = Vec::new();
    for slot in 0..100 {
        let mut binding = Binding::new(key(slot), Kind::Number);
        binding.cur = Some(format!("holding:#{slot}").into());
        driver.bind(&[binding], &mut into);
        plan.push(Request::new(&[key(slot)], slot.into()));
    }
    driver.open(&mut into).await?;
    let (start, cpu, mut done) = (Instant::now(), processor(), 0u64);
    while start.elapsed() < TIME {
        driver.read(&plan, &mut into).await?;
        done += into.drain().count() as u64;
    }
    report("requests", done, start, cpu);
    Ok(())
}

async fn tokio_modbus(port: u16) -> Outcome {
    use tokio_modbus::client::Reader;
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let mut client =
        tokio_modbus::client::tcp::connect_slave(address, tokio_modbus::Slave(1)).await?;
    let (start, cpu, mut done) = (Instant::now(), processor(), 0u64);
    while start.elapsed() < TIME {
        for register in 0..100 {
            done += client.read_holding_registers(register, 1).await??.len() as u64;
        }
    }
    report("requests", done, start, cpu);
    Ok(())
}

/// Hears changes and keeps nothing.
struct Deaf;

impl Follower for Deaf {
    fn on_changes(&self, _: &Arc<Changes>) {}
    fn on_conn(&self, _: &ConnView) {}
}

/// Runs connectors of so many points each, polled at a period, and gives their counters.
async fn polled(
    port: u16,
    connectors: u32,
    points: u32,
    period: Duration,
    block_max: u16,
) -> Result<(Vec<pointstream_conn::Handle>, JoinSet<()>), Box<dyn Error>> {
    let (mut handles, mut tasks) = (Vec::new(), JoinSet::new());
    let tuning = Tuning::default().with_poll_time(period);
    let tuning = Arc::new(NamedTuning::new("fast".parse()?, tuning));
    for shard in 0..connectors {
        let mut config = Config::new(target(port), 1);
        config.block_max = block_max;
        let driver = AnyDriver::new(Modbus::new(config)?);
        let config = ConnConfig::new(format!("c{shard}").parse()?, shard);
        let (shell, handle) = Shell::new(config, driver, Arc::new(Deaf), Clock::start());
        tasks.spawn(shell.run());
        let mut defs = Vec::new();
        for slot in 0..points {
            let mut spec = PointSpec::new(format!("c{shard}.p{slot}").parse()?, Kind::Number);
            spec.cur = Some(format!("holding:#{}", slot % u32::from(REGISTERS)).into());
            let key = PointKey { shard, slot, generation: 0 };
            defs.push(PointDef::new(key, Arc::new(spec), Arc::clone(&tuning)));
        }
        let keys = defs.iter().map(|def| def.key).collect();
        handle.bind(defs).await;
        handle.watch(keys).await;
        handles.push(handle);
    }
    Ok((handles, tasks))
}

fn sum(handles: &[pointstream_conn::Handle], of: impl Fn(PollStats) -> u64) -> u64 {
    handles.iter().map(|handle| of(handle.stats())).sum()
}

async fn blocks(port: u16) -> Outcome {
    // As fast as they go: what is due while a scan still runs is skipped.
    let (handles, _tasks) = polled(port, 4, 10_000, Duration::from_millis(10), 125).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = sum(&handles, |stats| stats.readings);
    let (start, cpu) = (Instant::now(), processor());
    tokio::time::sleep(TIME).await;
    report("points", sum(&handles, |stats| stats.readings) - before, start, cpu);
    Ok(())
}

async fn overload(port: u16) -> Outcome {
    // What the bus can do, asked by one client without a pause.
    let mut config = Config::new(target(port), 1);
    config.block_max = 1;
    let mut driver = Modbus::new(config)?;
    let mut binding = Binding::new(key(0), Kind::Number);
    binding.cur = Some("holding:#0".into());
    let mut into = Readings::new();
    driver.bind(&[binding], &mut into);
    driver.open(&mut into).await?;
    let plan = [Request::new(&[key(0)], 0)];
    let (start, mut done) = (Instant::now(), 0u64);
    while start.elapsed() < TIME {
        driver.read(&plan, &mut into).await?;
        done += into.drain().count() as u64;
    }
    let capacity = done as f64 / start.elapsed().as_secs_f64();
    driver.close().await;
    // 200 requests each tenth of a second.
    let (handles, _tasks) = polled(port, 1, 200, Duration::from_millis(100), 1).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (before, start) = (sum(&handles, |stats| stats.readings), Instant::now());
    let scans = sum(&handles, |stats| stats.scans);
    tokio::time::sleep(Duration::from_secs(10)).await;
    let readings = sum(&handles, |stats| stats.readings) - before;
    let rate = readings as f64 / start.elapsed().as_secs_f64();
    let scans = sum(&handles, |stats| stats.scans) - scans;
    let (overruns, skipped) = (sum(&handles, |s| s.overruns), sum(&handles, |s| s.skipped));
    println!(
        "overload: asked 2000/s, capacity {capacity:.0}/s, delivered {rate:.0}/s = {:.0} % of it; {scans} whole \
         scans of all 200 points, {overruns} overruns, {skipped} polls skipped",
        100.0 * rate / capacity
    );
    Ok(())
}

async fn idle(port: u16, count: u16) -> Outcome {
    let mut drivers = Vec::with_capacity(count.into());
    let before = resident();
    for _ in 0..count {
        let mut driver = Modbus::new(Config::new(target(port), 1))?;
        let mut into = Readings::new();
        let mut binding = Binding::new(key(0), Kind::Number);
        binding.cur = Some("holding:#0".into());
        driver.bind(&[binding], &mut into);
        driver.open(&mut into).await?;
        drivers.push(driver);
    }
    let bytes = resident() - before;
    println!("idle: {count} connections take {} B each", bytes / u64::from(count));
    Ok(())
}

/// One line: how much in a second, and for how much of a processor.
fn report(what: &str, done: u64, start: Instant, cpu_before: Duration) {
    let (seconds, cpu) = (start.elapsed().as_secs_f64(), processor() - cpu_before);
    let per_second = done as f64 / seconds;
    println!("{per_second:.0} {what}/s {:.0} {what}/cpu-s", done as f64 / cpu.as_secs_f64());
}

/// The processor time of this process, from the kernel's tables, in hundredths of a second.
fn processor() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = text.rsplit(')').next().unwrap_or_default();
    let ticks: u64 =
        after.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    let kib: u64 = line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    kib * 1024
}
