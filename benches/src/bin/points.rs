//! What do a million points cost?
//!
//! ```text
//! cargo run --release -p pointstream-benches --bin points -- memory | readings | housekeeping | convert
//! cargo run --release -p pointstream-benches --bin points -- simulate [SEED]
//! ```
//!
//! `simulate` runs 1,000 connectors with 100,000 points and devices in trouble for a virtual hour.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

use core::time::Duration;
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant as Clock;

use evalexpr::{ContextWithMutableVariables, HashMapContext};
use pointstream_conn::{
    Action, ConnConfig, Connector, Features, Input, NamedTuning, Outcome, PointDef, Readings,
};
use pointstream_point::{
    Convert, ConvertContext, Id, Kind, Now, PointKey, PointSpec, Tags, Tuning, Unit, Value,
};
use pointstream_points::Points;
use pointstream_test::simulation::{self, Settings};
use pointstream_time::Instant;

type Error = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["memory"] => memory(),
        ["readings"] => readings(),
        ["housekeeping"] => housekeeping(),
        ["convert"] => convert(),
        ["simulate"] => simulate(1),
        ["simulate", seed] => seed.parse().map_err(Error::from).and_then(simulate),
        _ => {
            Err("usage: points memory | readings | housekeeping | convert | simulate [SEED]".into())
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("points: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Resident bytes per point, of the connector machines alone and with the directory.
fn memory() -> Result<(), Error> {
    const SHARDS: u32 = 10;
    const EACH: u32 = 100_000;
    let points = f64::from(SHARDS * EACH);
    let before = resident()?;
    let mut directory = Points::new();
    let tuning = tuning()?;
    let mut bound = Vec::new();
    for shard in 1..=SHARDS {
        let conn: Id = format!("c{shard}").parse()?;
        for slot in 0..EACH {
            let spec = Arc::new(plain(shard, slot)?);
            let wall = Now::simulated(Instant::ORIGIN).wall;
            let key = directory.insert(shard, Some(&conn), Arc::clone(&spec), wall)?;
            bound.push(PointDef::new(key, spec, Arc::clone(&tuning)));
        }
    }
    let with_directory = resident()?;
    bound.shrink_to_fit();
    let held = bound.capacity() * size_of::<PointDef>();
    let mut machines = Vec::new();
    let mut defs = bound.into_iter();
    for shard in 1..=SHARDS {
        let mut machine = opened(shard)?;
        // As a gateway does it: some at a time, each bound before the next.
        for _ in 0..EACH / 1_000 {
            let some = defs.by_ref().take(1_000).collect();
            machine.handle(Now::simulated(Instant::ORIGIN), Input::Bind(some));
            settle(&mut machine, Instant::ORIGIN);
        }
        machines.push(machine);
    }
    drop(defs);
    for (shard, machine) in (1..=SHARDS).zip(&mut machines) {
        for key in machine.keys().chunks(1_000) {
            read(machine, Instant::ORIGIN, key, f64::from(shard), &mut directory);
        }
    }
    let all = resident()?;
    let directory_only = (with_directory - before) as f64 - held as f64;
    println!("directory and specs: {:.0} bytes a point", directory_only / points);
    println!(
        "directory, specs and connectors: {:.0} bytes a point",
        (all - before) as f64 / points
    );
    black_box((&machines, &directory));
    Ok(())
}

/// Readings applied per second on one core, with a convert, a unit and a status, all values new.
fn readings() -> Result<(), Error> {
    const POINTS: u32 = 100_000;
    const ROUNDS: u32 = 40;
    let mut directory = Points::new();
    let mut machine = opened(1)?;
    let (tuning, conn) = (tuning()?, "c1".parse()?);
    let mut defs = Vec::new();
    for slot in 0..POINTS {
        let mut spec = plain(1, slot)?;
        spec.unit = Some(Unit::parse("°C")?);
        spec.more.cur_convert = Some("* 0.1 + 5".into());
        let (spec, wall) = (Arc::new(spec), Now::simulated(Instant::ORIGIN).wall);
        let key = directory.insert(1, Some(&conn), Arc::clone(&spec), wall)?;
        defs.push(PointDef::new(key, spec, Arc::clone(&tuning)));
    }
    machine.handle(Now::simulated(Instant::ORIGIN), Input::Bind(defs));
    settle(&mut machine, Instant::ORIGIN);
    let keys = machine.keys();
    let started = Clock::now();
    for round in 0..ROUNDS {
        let at = Instant::from_origin(Duration::from_secs(u64::from(round)));
        for block in keys.chunks(125) {
            read(&mut machine, at, block, f64::from(round), &mut directory);
        }
    }
    let each = f64::from(POINTS * ROUNDS) / started.elapsed().as_secs_f64();
    println!("{:.2} million readings a second, to the directory", each / 1e6);
    Ok(())
}

/// One pass with 1,000 points that go stale, among ten thousand and among a million.
fn housekeeping() -> Result<(), Error> {
    const DUE: u32 = 1_000;
    let mut took = Vec::new();
    for points in [10_000u32, 1_000_000] {
        let mut machine = opened(1)?;
        let tuning = tuning()?;
        let def = |slot| -> Result<PointDef, Error> {
            let spec = Arc::new(plain(1, slot)?);
            Ok(PointDef::new(key(slot), spec, Arc::clone(&tuning)))
        };
        let defs = (0..points).map(def).collect::<Result<_, _>>()?;
        machine.handle(Now::simulated(Instant::ORIGIN), Input::Bind(defs));
        settle(&mut machine, Instant::ORIGIN);
        let mut directory = Points::new();
        let (due, others): (Vec<_>, Vec<_>) =
            machine.keys().into_iter().partition(|key| key.slot % (points / DUE) == 0);
        read(&mut machine, Instant::from_origin(Duration::from_secs(1)), &due, 1.0, &mut directory);
        for block in others.chunks(1_000) {
            let at = Instant::from_origin(Duration::from_secs(200));
            read(&mut machine, at, block, 1.0, &mut directory);
        }
        let at = Instant::from_origin(Duration::from_secs(301));
        let started = Clock::now();
        machine.handle(Now::simulated(at), Input::Timeout);
        let elapsed = started.elapsed();
        let stale = machine.poll_update().map_or(0, |changes| changes.points.len());
        println!("{stale} due among {points}: {elapsed:?}");
        took.push(elapsed.as_secs_f64());
    }
    println!("ratio {:.2}", took[1] / took[0]);
    Ok(())
}

/// The same formula as a convert, in evalexpr (compiled before) and as a closure.
fn convert() -> Result<(), Error> {
    const TIMES: u32 = 2_000_000;
    let inputs: Vec<f64> = (0..1024).map(f64::from).collect();
    let per = |name: &str, run: &mut dyn FnMut(f64) -> f64| {
        let started = Clock::now();
        let mut sum = 0.0;
        for at in 0..TIMES {
            sum += run(black_box(inputs[at as usize % inputs.len()]));
        }
        black_box(sum);
        let nanos = started.elapsed().as_secs_f64() * 1e9 / f64::from(TIMES);
        println!("{name}: {nanos:.1} ns, {:.1} million a second", 1e3 / nanos);
        nanos
    };
    let convert: Convert = "* 0.1 + 5 max(0) min(100)".parse()?;
    let context = ConvertContext::new();
    let number = |value: Value| match value {
        Value::Number(number, _) => number,
        _ => f64::NAN,
    };
    let ours = per("convert", &mut |x| {
        convert.apply(&Value::number(x), &context).map_or(f64::NAN, number)
    });
    let tree = evalexpr::build_operator_tree("min(max(x * 0.1 + 5, 0), 100)")?;
    let mut variables = HashMapContext::new();
    let peer = per("evalexpr", &mut |x| {
        let set = variables.set_value("x".to_owned(), evalexpr::Value::Float(x));
        set.and_then(|()| tree.eval_number_with_context(&variables)).unwrap_or(f64::NAN)
    });
    let closure = per("closure", &mut |x| (x * 0.1 + 5.0).clamp(0.0, 100.0));
    println!("evalexpr takes {:.1} times as long, a closure {:.2}", peer / ours, closure / ours);
    Ok(())
}

fn simulate(seed: u64) -> Result<(), Error> {
    let settings = Settings::new(seed, 1_000, 100, Duration::from_secs(3_600));
    let started = Clock::now();
    let outcome = simulation::run(&settings)?;
    let took = started.elapsed();
    println!("seed {seed}: {outcome:?}");
    println!(
        "a virtual hour of 1,000 connectors with 100,000 points took {:.1} s",
        took.as_secs_f64()
    );
    Ok(())
}

fn key(slot: u32) -> PointKey {
    PointKey { shard: 1, slot, generation: 1 }
}

fn plain(shard: u32, slot: u32) -> Result<PointSpec, Error> {
    let mut spec = PointSpec::new(format!("c{shard}.p{slot}").parse()?, Kind::Number);
    spec.cur = Some(format!("input:{}", 30_001 + slot).into());
    Ok(spec)
}

fn tuning() -> Result<Arc<NamedTuning>, Error> {
    Ok(Arc::new(NamedTuning::new("default".parse()?, Tuning::default())))
}

/// A machine with an open session.
fn opened(shard: u32) -> Result<Connector, Error> {
    let config = ConnConfig::new(format!("c{shard}").parse()?, shard);
    let now = Now::simulated(Instant::ORIGIN);
    let mut machine = Connector::new(now, config, Features::NONE.with_poll());
    machine.handle(now, Input::Pin("bench".into()));
    settle(&mut machine, Instant::ORIGIN);
    Ok(machine)
}

/// Does what the machine wants, at once.
fn settle(machine: &mut Connector, at: Instant) {
    while let Some(action) = machine.poll_action() {
        let outcome = match action {
            Action::Ping => Outcome::Ping(Tags::new()),
            Action::Plan(..) => Outcome::Plan(Vec::new()),
            _ => Outcome::None,
        };
        machine.handle(Now::simulated(at), Input::Done(Ok(outcome)));
    }
    while machine.poll_event().is_some() {}
    machine.poll_update();
}

/// Delivers a reading for each key, and what came of it to the directory.
fn read(
    machine: &mut Connector,
    at: Instant,
    keys: &[PointKey],
    value: f64,
    directory: &mut Points,
) {
    let mut readings = Readings::new();
    keys.iter().for_each(|&key| readings.ok(key, Value::number(value)));
    machine.handle(Now::simulated(at), Input::Readings(&mut readings));
    if let Some(changes) = machine.poll_update() {
        for (key, cur) in &changes.points {
            directory.apply(*key, cur);
        }
    }
}

/// Resident memory of this process, in bytes.
fn resident() -> Result<u64, Error> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kilobytes.ok_or("no VmRSS")?.trim().parse::<u64>()? * 1024)
}
