//! Modbus on the command line: reads, watches, writes, scans and identifies devices.
//!
//! `cargo run --example modbus -- read tcp://192.168.1.20 --unit 1 input:30001:s2:/10 coil:00001`

use std::error::Error;
use std::io::{self, BufWriter, Write as _};
use std::ops::Range;
use std::process::ExitCode;
use std::time::Duration;

use lexopt::prelude::{Long, Short, Value as Word, ValueExt};
use pointstream::conn::{Binding, Driver, OpError, Reading, Readings, Write};
use pointstream::modbus::pdu::{IdAccess, object_name};
use pointstream::modbus::{Address, Config, Modbus, Table, Target, Trace, Traced};
use pointstream::point::{Fault, Kind, PointKey, Value, duration};
use serde_json::{Map, json};

const HELP: &str = "\
Reads and writes Modbus devices.

Usage: modbus read URL [OPTIONS] ADDRESS...
       modbus watch URL [OPTIONS] ADDRESS...
       modbus write URL [OPTIONS] ADDRESS=VALUE...
       modbus scan URL [OPTIONS] [RANGE...]
       modbus id URL [OPTIONS]

URL is tcp://HOST[:PORT], rtutcp://HOST[:PORT], udp://HOST[:PORT] or
rtu:///dev/ttyUSB0?baud=19200&parity=even&stop=1. ADDRESS is TABLE:NUMBER[:TYPE][:SCALE], such as
holding:40001:f4le:/10, which counts from 1, or holding:#0:f4le with the wire address. RANGE is
TABLE:FIRST-LAST, such as holding:40001-40100 or coil:#0-#99; without one the first hundred of
each table are scanned.

Prints a line ADDRESS VALUE for each point and says on the standard error what failed and why.
Ends with 1 where a point failed, with 2 where the command line is wrong.

Options:
  --unit N           The unit to ask. Default 1.
  --units A-B        With scan: which of these units answer, rather than what one holds.
  --json             Print {\"address\", \"value\"} or {\"address\", \"error\"} for each point.
  --trace            Show on the standard error what is sent (>) and received (<).
  --gap N            Read along up to N unwanted registers between two wanted. Default 0.
  --max N            Ask for up to N registers or bits at a time. Default 100.
  --window N         Up to N requests in flight, with tcp://. Default 1.
  --timeout TIME     How long an answer may take. Default 1s.
  --delay TIME       The pause between two requests. Default none.
  --map FILE         A register map in CSV, whose names may stand for addresses.
  --every TIME       With watch: how often to read. Default 1s.
  --count N          With watch: end after N readings.
  -h, --help         Print this help and end.
  -V, --version      Print the version and end.";

struct Args {
    command: String,
    config: Config,
    words: Vec<String>,
    units: Option<Range<u16>>,
    json: bool,
    trace: bool,
    every: Duration,
    count: Option<u64>,
}

/// What is said of each point, and whether any failed.
struct Output {
    out: BufWriter<io::Stdout>,
    json: bool,
    failed: bool,
}

type Failure = Box<dyn Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = match parse() {
        Ok(Some(args)) => args,
        Ok(None) => return ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "modbus: {error}; --help tells how it is used");
            return ExitCode::from(2);
        }
    };
    let out = BufWriter::new(io::stdout());
    let mut output = Output { out, json: args.json, failed: false };
    match run(args, &mut output).await.and_then(|()| Ok(output.out.flush()?)) {
        Ok(()) if output.failed => ExitCode::FAILURE,
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads this has read enough.
        Err(error) if error.downcast_ref().is_some_and(is_closed) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "modbus: {error}");
            ExitCode::FAILURE
        }
    }
}

fn is_closed(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}

async fn run(args: Args, output: &mut Output) -> Result<(), Failure> {
    if let (Some(units), "scan") = (&args.units, args.command.as_str()) {
        return scan_units(&args, units.clone(), output).await;
    }
    let mut driver = device(&args, args.config.clone())?;
    match args.command.as_str() {
        "read" => read(&mut driver, &args, output).await,
        "watch" => watch(&mut driver, &args, output).await,
        "write" => write(&mut driver, &args, output).await,
        "scan" => scan(&mut driver, &args, output).await,
        _ => id(&mut driver, output).await,
    }?;
    driver.close().await;
    Ok(())
}

fn device(args: &Args, config: Config) -> Result<Modbus, Failure> {
    let driver = Modbus::new(config)?;
    Ok(if args.trace { driver.with_trace(Trace::new(show)) } else { driver })
}

fn show(bytes: Traced<'_>) {
    let (sign, bytes) = match bytes {
        Traced::Sent(bytes) => ('>', bytes),
        Traced::Received(bytes) => ('<', bytes),
    };
    let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let _ = writeln!(io::stderr(), "{sign} {}", hex.join(" "));
}

fn key(slot: usize) -> PointKey {
    PointKey { shard: 0, slot: slot.try_into().unwrap_or(u32::MAX), generation: 0 }
}

/// Binds a point for each address; what is wrong with one is its outcome.
fn bind(
    driver: &mut Modbus,
    addresses: &[&str],
    writable: bool,
) -> Vec<Option<Result<Value, Fault>>> {
    let mut outcomes = vec![None; addresses.len()];
    let mut into = Readings::new();
    for (slot, text) in addresses.iter().enumerate() {
        let named = driver.register_map().and_then(|map| map.get(text));
        let address = named.map(|register| register.address.clone()).or_else(|| text.parse().ok());
        let mut binding = Binding::new(key(slot), address.as_ref().map_or(Kind::Number, kind));
        if writable {
            binding.write = Some((*text).into());
        } else {
            binding.cur = Some((*text).into());
        }
        driver.bind(&[binding], &mut into);
    }
    collect(&mut into, &mut outcomes);
    outcomes
}

fn kind(address: &Address) -> Kind {
    match (address.is_bool(), address.is_text()) {
        (true, _) => Kind::Bool,
        (_, true) => Kind::Str,
        _ => Kind::Number,
    }
}

fn collect(into: &mut Readings, outcomes: &mut [Option<Result<Value, Fault>>]) {
    for reading in into.drain() {
        let (key, outcome) = match reading {
            Reading::Cur(key, outcome) => (key, outcome),
            Reading::WriteErr(key, fault) => (key, Err(fault)),
            _ => continue,
        };
        if let Some(place) = outcomes.get_mut(key.slot as usize) {
            *place = Some(outcome);
        }
    }
}

/// Reads what has no outcome yet. What ends the session is the outcome of all that are left.
async fn fetch(driver: &mut Modbus, outcomes: &mut [Option<Result<Value, Fault>>]) {
    let open: Vec<usize> = (0..outcomes.len()).filter(|&at| outcomes[at].is_none()).collect();
    let mut into = Readings::new();
    let keys: Vec<PointKey> = open.iter().map(|&at| key(at)).collect();
    let mut result = Ok(());
    let plan = driver.plan(&keys);
    if !keys.is_empty() {
        result = driver.read(&plan, &mut into).await;
    }
    collect(&mut into, outcomes);
    fill(outcomes, result.err());
}

fn fill(outcomes: &mut [Option<Result<Value, Fault>>], error: Option<OpError>) {
    let Some(error) = error else { return };
    for outcome in outcomes.iter_mut().filter(|outcome| outcome.is_none()) {
        *outcome = Some(Err(error.fault().clone()));
    }
}

async fn read(driver: &mut Modbus, args: &Args, output: &mut Output) -> Result<(), Failure> {
    let words: Vec<&str> = args.words.iter().map(String::as_str).collect();
    let mut outcomes = bind(driver, &words, false);
    match driver.open(&mut Readings::new()).await {
        Ok(()) => fetch(driver, &mut outcomes).await,
        Err(error) => fill(&mut outcomes, Some(error)),
    }
    for (word, outcome) in words.iter().zip(&outcomes) {
        output.point(word, outcome.as_ref())?;
    }
    Ok(())
}

/// Prints what changed since the last reading, until it is interrupted.
async fn watch(driver: &mut Modbus, args: &Args, output: &mut Output) -> Result<(), Failure> {
    let words: Vec<&str> = args.words.iter().map(String::as_str).collect();
    let bound = bind(driver, &words, false);
    let mut shown = vec![None; words.len()];
    let mut open = false;
    let mut ticks = tokio::time::interval(args.every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut left = args.count.unwrap_or(u64::MAX);
    while left > 0 {
        left -= 1;
        tokio::select! {
            _ = ticks.tick() => {}
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
        let mut outcomes = bound.clone();
        if !open {
            let opened = driver.open(&mut Readings::new()).await;
            open = opened.is_ok();
            fill(&mut outcomes, opened.err());
        }
        if open {
            fetch(driver, &mut outcomes).await;
            open = outcomes.iter().any(|outcome| matches!(outcome, Some(Ok(_))));
        }
        for ((word, outcome), shown) in words.iter().zip(&outcomes).zip(&mut shown) {
            if outcome != shown {
                output.point(word, outcome.as_ref())?;
                shown.clone_from(outcome);
            }
        }
        output.out.flush()?;
    }
    Ok(())
}

async fn write(driver: &mut Modbus, args: &Args, output: &mut Output) -> Result<(), Failure> {
    let pairs: Vec<(&str, &str)> =
        args.words.iter().filter_map(|word| word.split_once('=')).collect();
    let words: Vec<&str> = pairs.iter().map(|(address, _)| *address).collect();
    let mut outcomes = bind(driver, &words, true);
    let mut writes = Vec::new();
    for (slot, (address, text)) in pairs.iter().enumerate() {
        let named = driver.register_map().and_then(|map| map.get(address));
        let parsed = named.map(|register| register.address.clone());
        let wanted = parsed.or_else(|| address.parse().ok()).as_ref().map_or(Kind::Number, kind);
        match value(wanted, text) {
            Ok(value) => writes.push(Write::new(key(slot), value)),
            Err(fault) => outcomes[slot] = outcomes[slot].take().or(Some(Err(fault))),
        }
    }
    writes.retain(|write| outcomes[write.key.slot as usize].is_none());
    let opened = driver.open(&mut Readings::new()).await;
    let is_open = opened.is_ok();
    fill(&mut outcomes, opened.err());
    for write in writes.iter().filter(|_| is_open) {
        let mut into = Readings::new();
        // One at a time, so that each has an outcome of its own.
        let result = driver.write(core::slice::from_ref(write), &mut into).await;
        collect(&mut into, &mut outcomes);
        let place = &mut outcomes[write.key.slot as usize];
        if place.is_none() {
            let written = result.map(|()| write.value.clone());
            *place = Some(written.map_err(|error| error.fault().clone()));
        }
    }
    for (word, outcome) in words.iter().zip(&outcomes) {
        output.point(word, outcome.as_ref())?;
    }
    Ok(())
}

fn value(kind: Kind, text: &str) -> Result<Value, Fault> {
    match kind {
        Kind::Str => Ok(Value::str(text)),
        Kind::Bool => match text {
            "true" | "on" | "1" => Ok(Value::Bool(true)),
            "false" | "off" | "0" => Ok(Value::Bool(false)),
            _ => Err(Fault::permanent(format_args!("expected true or false, not {text:?}"))),
        },
        _ => match text.parse() {
            Ok(number) => Ok(Value::number(number)),
            Err(_) => Err(Fault::permanent(format_args!("expected a number, not {text:?}"))),
        },
    }
}

async fn scan(driver: &mut Modbus, args: &Args, output: &mut Output) -> Result<(), Failure> {
    let every = Table::ALL.map(|table| format!("{table}:#0-#99"));
    let words = if args.words.is_empty() { every.to_vec() } else { args.words.clone() };
    if let Err(error) = driver.open(&mut Readings::new()).await {
        return Err(error.into());
    }
    for word in &words {
        let (table, range) = range(word)?;
        match driver.scan(table, range).await {
            Ok(found) => {
                for found in found {
                    let address = format!("{}:{}", found.table, found.table.number(found.start));
                    let value = if found.table.is_bits() {
                        Value::Bool(found.value == 1)
                    } else {
                        Value::number(found.value.into())
                    };
                    output.point(&address, Some(&Ok(value)))?;
                }
            }
            // A device that lacks a table has nothing in it.
            Err(fault)
                if args.words.is_empty() && fault.to_string().contains("Illegal Function") => {}
            Err(fault) => output.point(word, Some(&Err(fault)))?,
        }
    }
    Ok(())
}

/// `TABLE:FIRST-LAST`.
fn range(text: &str) -> Result<(Table, Range<u32>), Failure> {
    let form = || format!("{text}: expected TABLE:FIRST-LAST, such as holding:40001-40100");
    let (table, numbers) = text.split_once(':').ok_or_else(form)?;
    let (first, last) = numbers.split_once('-').ok_or_else(form)?;
    let address = |number: &str| {
        format!("{table}:{number}").parse::<Address>().map_err(|error| format!("{text}: {error}"))
    };
    let (first, last) = (address(first)?, address(last)?);
    Ok((first.table, first.start.into()..u32::from(last.start) + 1))
}

async fn scan_units(args: &Args, units: Range<u16>, output: &mut Output) -> Result<(), Failure> {
    let mut first: Option<Modbus> = None;
    for unit in units {
        let mut config = args.config.clone();
        config.unit = u8::try_from(unit)?;
        config.ping = Some("holding:#0".parse()?);
        let made = match &first {
            Some(first) => Modbus::with_bus_of(config, first)?,
            None => Modbus::new(config)?,
        };
        let mut driver = if args.trace { made.with_trace(Trace::new(show)) } else { made };
        if driver.open(&mut Readings::new()).await.is_ok() {
            output.line(&json!({ "unit": unit }), &format!("unit {unit}"))?;
        }
        driver.close().await;
        first.get_or_insert(driver);
    }
    Ok(())
}

async fn id(driver: &mut Modbus, output: &mut Output) -> Result<(), Failure> {
    if let Err(error) = driver.open(&mut Readings::new()).await {
        return Err(error.into());
    }
    let mut objects = driver.device_id(IdAccess::Basic).await.map_err(|fault| fault.to_string())?;
    // What a device has beyond the basic objects comes with them in the longer answers.
    for access in [IdAccess::Regular, IdAccess::Extended] {
        if let Ok(more) = driver.device_id(access).await {
            objects.extend(more);
        }
    }
    objects.sort();
    objects.dedup();
    for (object, text) in objects {
        let name = object_name(object).map_or_else(|| format!("object{object}"), str::to_owned);
        let line = json!({ "object": object, "name": name, "value": text });
        output.line(&line, &format!("{name} {text}"))?;
    }
    Ok(())
}

impl Output {
    fn point(&mut self, address: &str, outcome: Option<&Result<Value, Fault>>) -> io::Result<()> {
        let missing = Err(Fault::permanent("it was not read"));
        let mut line = Map::new();
        line.insert("address".into(), address.into());
        match outcome.unwrap_or(&missing) {
            Ok(value) => {
                line.insert("value".into(), json!(value));
                self.line(&line.into(), &format!("{address} {value}"))
            }
            Err(fault) if self.json => {
                self.failed = true;
                line.insert("error".into(), fault.to_string().into());
                self.line(&line.into(), "")
            }
            Err(fault) => {
                self.failed = true;
                self.out.flush()?;
                writeln!(io::stderr(), "{address}: {fault}")
            }
        }
    }

    fn line(&mut self, json: &serde_json::Value, text: &str) -> io::Result<()> {
        if self.json { writeln!(self.out, "{json}") } else { writeln!(self.out, "{text}") }
    }
}

/// What the command line asks for; `None` where it was answered already.
fn parse() -> Result<Option<Args>, Failure> {
    // The target takes its place below.
    let mut config = Config::new("tcp://localhost".parse::<Target>()?, 1);
    let (mut words, mut units) = (Vec::new(), None);
    let (mut json, mut trace, mut every, mut count) = (false, false, Duration::from_secs(1), None);
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("unit") => config.unit = parser.value()?.parse()?,
            Long("units") => units = Some(units_of(&parser.value()?.string()?)?),
            Long("json") => json = true,
            Long("trace") => trace = true,
            Long("gap") => config.block_gap = parser.value()?.parse()?,
            Long("max") => config.block_max = up_to(2000, &parser.value()?.string()?)?,
            Long("window") => config.window = up_to(64, &parser.value()?.string()?)?.into(),
            Long("timeout") => config.response_timeout = time(&parser.value()?.string()?)?,
            Long("delay") => config.request_delay = time(&parser.value()?.string()?)?,
            Long("map") => config.register_map = Some(parser.value()?.into()),
            Long("every") => every = time(&parser.value()?.string()?)?,
            Long("count") => count = Some(parser.value()?.parse()?),
            Long("help") | Short('h') => return answer(HELP),
            Long("version") | Short('V') => {
                return answer(concat!("modbus ", env!("CARGO_PKG_VERSION")));
            }
            Word(word) => words.push(word.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let mut words = words.into_iter();
    let command = words.next().ok_or("a command is missing: read, watch, write, scan or id")?;
    if !["read", "watch", "write", "scan", "id"].contains(&command.as_str()) {
        return Err(format!("unknown command {command:?}").into());
    }
    let url = words.next().ok_or("the URL is missing")?;
    config.target = url.parse().map_err(|error| format!("{url}: {error}"))?;
    let words: Vec<String> = words.collect();
    match command.as_str() {
        "read" | "watch" | "write" if words.is_empty() => {
            return Err("there is no address to read or write".into());
        }
        "id" if !words.is_empty() => return Err("id takes no addresses".into()),
        "write" => {
            if let Some(word) = words.iter().find(|word| !word.contains('=')) {
                return Err(format!("expected ADDRESS=VALUE, not {word:?}").into());
            }
        }
        _ => {}
    }
    Ok(Some(Args { command, config, words, units, json, trace, every, count }))
}

fn answer(text: &str) -> Result<Option<Args>, Failure> {
    writeln!(io::stdout(), "{text}")?;
    Ok(None)
}

fn up_to(max: u16, text: &str) -> Result<u16, Failure> {
    match text.parse() {
        Ok(number) if (1..=max).contains(&number) => Ok(number),
        _ => Err(format!("expected a number from 1 to {max}, not {text:?}").into()),
    }
}

fn time(text: &str) -> Result<Duration, Failure> {
    match duration::parse(text) {
        Ok(time) if !time.is_zero() => Ok(time),
        Ok(_) => Err("a time is greater than 0".into()),
        Err(error) => Err(error.to_string().into()),
    }
}

fn units_of(text: &str) -> Result<Range<u16>, Failure> {
    let numbers = text.split_once('-').unwrap_or((text, text));
    match (numbers.0.parse::<u8>(), numbers.1.parse::<u8>()) {
        (Ok(first), Ok(last)) if first <= last => Ok(first.into()..u16::from(last) + 1),
        _ => Err(format!("expected units such as 1-247, not {text:?}").into()),
    }
}
