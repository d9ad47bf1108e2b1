//! What do a million points cost?
//!
//! ```text
//! cargo run --release -p pointstream-benches --bin points -- memory | readings | housekeeping | convert
//! cargo run --release -p pointstream-benches --bin points -- instructions
//! cargo run --release -p pointstream-benches --bin points -- simulate [SEED]
//! ```
//!
//! `instructions` has valgrind count those of a housekeeping pass, which no cache changes.
//! `simulate` runs 1,000 connectors with 100,000 points and devices in trouble for a virtual hour.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

use core::time::Duration;
use std::hint::black_box;
use std::process::{Command, ExitCode};
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
        ["pass", points] => points.parse().map_err(Error::from).and_then(one_pass).map(drop),
        ["instructions"] => instructions(),
        ["convert"] => convert(),
        ["simulate"] => simulate(1),
        ["simulate", seed] => seed.parse().map_err(Error::from).and_then(simulate),
        _ => {
            let usage =
                "memory | readings | housekeeping | instructions | convert | simulate [SEED]";
            Err(format!("usage: points {usage}").into())
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

/// Resident bytes per point: the specs with id and address, the connector machines, the directory.
fn memory() -> Result<(), Error> {
    const SHARDS: u32 = 10;
    const EACH: u32 = 100_000;
    let points = f64::from(SHARDS * EACH);
    let start = resident()?;
    let mut specs = Vec::with_capacity((SHARDS * EACH) as usize);
    for shard in 1..=SHARDS {
        for slot in 0..EACH {
            specs.push(Arc::new(plain(shard, slot)?));
        }
    }
    let with_specs = resident()?;
    let tuning = tuning()?;
    let mut machines = Vec::new();
    let mut nobody = Points::new();
    for (shard, specs) in (1..=SHARDS).zip(specs.chunks(EACH as usize)) {
        let mut machine = opened(shard)?;
        // As a gateway does it: some at a time, each bound before the next.
        for (block, specs) in (0..).zip(specs.chunks(1_000)) {
            let def = |(slot, spec): (u32, &Arc<PointSpec>)| {
                let key = PointKey { shard, slot, generation: 1 };
                PointDef::new(key, Arc::clone(spec), Arc::clone(&tuning))
            };
            let defs = (block * 1_000..).zip(specs).map(def).collect();
            machine.handle(Now::simulated(Instant::ORIGIN), Input::Bind(defs));
            settle(&mut machine, Instant::ORIGIN);
        }
        for keys in machine.keys().chunks(1_000) {
            read(&mut machine, Instant::ORIGIN, keys, f64::from(shard), &mut nobody);
        }
        machines.push(machine);
    }
    let with_machines = resident()?;
    let mut directory = Points::new();
    let wall = Now::simulated(Instant::ORIGIN).wall;
    for (shard, specs) in (1..=SHARDS).zip(specs.chunks(EACH as usize)) {
        let conn: Id = format!("c{shard}").parse()?;
        for spec in specs {
            directory.insert(shard, Some(&conn), Arc::clone(spec), wall)?;
        }
    }
    let with_directory = resident()?;
    let each = |bytes: u64| bytes as f64 / points;
    println!("specs with id and address: {:.0} bytes a point", each(with_specs - start));
    println!("connector machines: {:.0} bytes a point", each(with_machines - with_specs));
    println!("directory: {:.0} bytes a point", each(with_directory - with_machines));
    println!("all: {:.0} bytes a point", each(with_directory - start));
    black_box((&machines, &directory, &specs));
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
    let started = clock();
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
    let few = one_pass(10_000)?;
    let many = one_pass(1_000_000)?;
    println!("ratio {:.2}", many.as_secs_f64() / few.as_secs_f64());
    Ok(())
}

/// One pass with 1,000 points that go stale, scattered among so many.
fn one_pass(points: u32) -> Result<Duration, Error> {
    const DUE: u32 = 1_000;
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
    let apart = (points / DUE).max(1);
    let (due, others): (Vec<_>, Vec<_>) =
        machine.keys().into_iter().partition(|key| key.slot % apart == 0);
    read(&mut machine, Instant::from_origin(Duration::from_secs(1)), &due, 1.0, &mut directory);
    for block in others.chunks(1_000) {
        let at = Instant::from_origin(Duration::from_secs(200));
        read(&mut machine, at, block, 1.0, &mut directory);
    }
    let at = Instant::from_origin(Duration::from_secs(301));
    let started = clock();
    counted_pass(&mut machine, at);
    let elapsed = started.elapsed();
    let stale = machine.poll_update().map_or(0, |changes| changes.points.len());
    println!("{stale} due among {points}: {elapsed:?}");
    Ok(elapsed)
}

/// A function of its own, so that callgrind can be told to count within it.
#[inline(never)]
fn counted_pass(machine: &mut Connector, at: Instant) {
    machine.handle(Now::simulated(at), Input::Timeout);
    black_box(machine);
}

/// How many instructions a pass takes.
fn instructions() -> Result<(), Error> {
    for points in ["10000", "100000", "1000000"] {
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--toggle-collect=*counted_pass*"])
            .arg("--callgrind-out-file=/dev/null")
            .arg(std::env::current_exe()?)
            .args(["pass", points])
            .output()?;
        let log = String::from_utf8_lossy(&output.stderr);
        let count = log.lines().find_map(|line| line.split("Collected : ").nth(1));
        let count = count.ok_or("valgrind counted nothing")?;
        println!("a pass with 1,000 due among {points}: {} instructions", count.trim());
    }
    Ok(())
}

/// The same formula as a convert, in evalexpr (compiled before) and as a closure.
fn convert() -> Result<(), Error> {
    const TIMES: u32 = 2_000_000;
    let inputs: Vec<f64> = (0..1024).map(f64::from).collect();
    let per = |name: &str, run: &mut dyn FnMut(f64) -> f64| {
        let started = clock();
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
    let started = clock();
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

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn clock() -> Clock {
    Clock::now()
}

/// Resident memory of this process, in bytes.
fn resident() -> Result<u64, Error> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kilobytes.ok_or("no VmRSS")?.trim().parse::<u64>()? * 1024)
}
