//! Past values: asks the simulated plant ten times a second, collects what changes, reads it back, and
//! draws it.
//!
//! `cargo run --example history` takes ten seconds and writes `history.svg`; `--seconds` and `--out`
//! say otherwise. Ctrl-C ends the collecting early, and what was collected is drawn. Nothing has to
//! run beside it.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example shows what it gets")]

use std::error::Error;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use pointstream::conn::Registry;
use pointstream::point::{Bucket, HisItem, Rollup, Span, Value};
use pointstream::store::History;
use pointstream::{Config, Gateway, modbus};

#[path = "gateway/plant.rs"]
mod plant;

/// The points and the colours in which they are drawn.
const POINTS: [(&str, &str); 2] = [("meter.power", "#0a7d8c"), ("meter.current", "#c2571a")];

/// The size of the picture of one point.
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 220.0;
const EDGE: f64 = 34.0;

const HELP: &str = "\
Asks a simulated plant ten times a second, collects what changes, reads it back, and draws it.

Usage: history [OPTIONS]

Options:
  --seconds N    Collect for so many seconds; 10 if it is left out. Ctrl-C ends it early.
  --out FILE     Draw into this file; history.svg if it is left out.
  -h, --help     Print this help and end.";

struct Args {
    seconds: u64,
    out: PathBuf,
}

impl Args {
    /// None if help is asked for.
    fn parse() -> Result<Option<Self>, lexopt::Error> {
        use lexopt::prelude::{Long, Short, ValueExt};
        let mut args = Self { seconds: 10, out: "history.svg".into() };
        let mut parser = lexopt::Parser::from_env();
        while let Some(arg) = parser.next()? {
            match arg {
                Long("seconds") => args.seconds = parser.value()?.parse()?,
                Long("out") => args.out = parser.value()?.into(),
                Long("help") | Short('h') => return Ok(None),
                other => return Err(other.unexpected()),
            }
        }
        Ok(Some(args))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let result = match Args::parse() {
        Ok(Some(args)) => run(&args).await,
        Ok(None) => {
            println!("{HELP}");
            Ok(())
        }
        Err(error) => Err(format!("{error}; --help names the options").into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("history: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let plant = plant::Plant::new();
    let (server, registers) = plant.serve(&plant::DEVICES[1], true).await?;
    let addr = server.local_addr()?;
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(server.run(registers, std::future::pending()));
    tasks.spawn(plant.live());

    let folder = std::env::temp_dir().join(format!("pointstream-history-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let mut registry = Registry::new();
    modbus::register(&mut registry);
    let mut gateway = Gateway::new(registry);
    let text = config(&addr.to_string());
    gateway.apply(Config::parse(&text, "history", &folder)?).await?;
    let name = plant::DEVICES[1].name;
    println!("Collecting for {} s from {name} at {addr}.", args.seconds);
    tokio::select! {
        () = tokio::time::sleep(Duration::from_secs(args.seconds)) => {}
        _ = tokio::signal::ctrl_c() => println!("Ended early."),
    }
    let history = gateway.history().ok_or("the gateway has no store")?;
    // What still waits is written before the gateway ends.
    gateway.shutdown().await;
    let mut told = Ok(());
    for (point, _) in POINTS {
        told = told.and_then(|()| tell(&*history, point));
    }
    let drawn = told.and_then(|()| draw(&*history));
    drop(history);
    std::fs::remove_dir_all(&folder)?;
    std::fs::write(&args.out, drawn?)?;
    println!("{} shows it.", args.out.display());
    Ok(())
}

fn config(addr: &str) -> String {
    let collect =
        r#"tags = ["hisCollectCov", "hisCollectCovRateLimit:10ms", "hisTsPrecision:1ms"]"#;
    format!(
        r#"
        store = "history.redb"
        steady_time = "0s"
        [tuning.default]
        poll_time = "100ms"
        [[connector]]
        id = "meter"
        kind = "modbus"
        uri = "modbus-tcp://{addr}"
        unit = 2
        [[connector.point]]
        id = "meter.power"
        kind = "Number"
        unit = "kW"
        cur = "input:30013:f4"
        {collect}
        [[connector.point]]
        id = "meter.current"
        kind = "Number"
        unit = "A"
        cur = "input:30007:f4"
        {collect}
        "#
    )
}

/// What there is of a point, and its seconds gathered.
fn tell(history: &dyn History, point: &str) -> Result<(), Box<dyn Error>> {
    let Some(info) = history.info(point)? else {
        return Err(format!("{point} has no history").into());
    };
    println!("{point}: {} values from {} to {}", info.size, info.start.ts, info.end.ts);
    for bucket in gather(history, point, info.size as usize / 5)?.iter().take(5) {
        let mean = bucket.mean().unwrap_or(f64::NAN);
        let (min, max, count) = (bucket.min, bucket.max, bucket.count);
        println!("  {}  {min:.2} to {max:.2}, mean {mean:.2} of {count}", bucket.start);
    }
    Ok(())
}

/// All of a history in about so many buckets.
fn gather(history: &dyn History, point: &str, count: usize) -> Result<Vec<Bucket>, Box<dyn Error>> {
    let Some(info) = history.info(point)? else { return Ok(Vec::new()) };
    let span = Span::new(info.start.ts, info.end.ts);
    let mut rollup = Rollup::new(Rollup::interval_for(span, count), jiff::tz::TimeZone::UTC);
    let mut buckets = Vec::new();
    history.read(point, Span::ALL, &mut |item| {
        buckets.extend(rollup.add(&item));
        true
    })?;
    buckets.extend(rollup.finish());
    Ok(buckets)
}

/// Each point in a picture of its own, one below the other: its items as a line, and behind it what
/// they lay between in each second.
fn draw(history: &dyn History) -> Result<String, Box<dyn Error>> {
    let height = HEIGHT * POINTS.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    for (row, (point, colour)) in POINTS.iter().enumerate() {
        let top = HEIGHT * row as f64;
        writeln!(svg, "<g transform=\"translate(0 {top})\">")?;
        draw_point(history, point, colour, &mut svg)?;
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

fn draw_point(
    history: &dyn History,
    point: &str,
    colour: &str,
    svg: &mut String,
) -> Result<(), Box<dyn Error>> {
    let mut items = Vec::<HisItem>::new();
    history.read(point, Span::ALL, &mut |item| {
        items.push(item);
        true
    })?;
    let number = |item: &HisItem| match item.val {
        Value::Number(number, _) => Some((item.ts.as_millisecond() as f64, number)),
        _ => None,
    };
    let numbers: Vec<(f64, f64)> = items.iter().filter_map(number).collect();
    let (Some(first), Some(last)) = (items.first(), items.last()) else { return Ok(()) };
    let (from, to) = (first.ts.as_millisecond() as f64, last.ts.as_millisecond() as f64);
    let low = numbers.iter().map(|(_, number)| *number).fold(f64::INFINITY, f64::min);
    let high = numbers.iter().map(|(_, number)| *number).fold(f64::NEG_INFINITY, f64::max);
    let x = |at: f64| EDGE + (at - from) / (to - from).max(1.0) * (WIDTH - 2.0 * EDGE);
    let y = |number: f64| {
        HEIGHT - EDGE - (number - low) / (high - low).max(1e-9) * (HEIGHT - 2.0 * EDGE)
    };
    let mut rollup =
        Rollup::new(pointstream::point::Interval::Millis(1_000), jiff::tz::TimeZone::UTC);
    let mut seconds: Vec<Bucket> = items.iter().filter_map(|item| rollup.add(item)).collect();
    seconds.extend(rollup.finish());
    for bucket in &seconds {
        let start = bucket.start.as_millisecond() as f64;
        let (left, right) = (x(start.max(from)), x((start + 1_000.0).min(to)));
        let (top, bottom) = (y(bucket.max), y(bucket.min));
        let (width, height) = (right - left, bottom - top);
        writeln!(
            svg,
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" \
             fill=\"{colour}\" opacity=\"0.15\"/>"
        )?;
    }
    let mut path = String::new();
    for (at, number) in &numbers {
        let step = if path.is_empty() { 'M' } else { 'L' };
        write!(path, "{step}{:.1} {:.1}", x(*at), y(*number))?;
    }
    writeln!(svg, "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>")?;
    let mut text = |x: f64, y: f64, anchor: &str, text: &str| {
        writeln!(
            svg,
            "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\" fill=\"#444\">{text}</text>"
        )
    };
    let count = items.len();
    let title = format!(
        "{point}: {low:.2} to {high:.2}, {count} values; each second from least to greatest"
    );
    text(EDGE, 20.0, "start", &title)?;
    text(EDGE, HEIGHT - 14.0, "start", &format!("{:.1}", first.ts))?;
    text(WIDTH - EDGE, HEIGHT - 14.0, "end", &format!("{:.1}", last.ts))?;
    Ok(())
}
