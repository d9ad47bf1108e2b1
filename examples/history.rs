//! Past values: collects from the simulated plant ten times a second, reads them back, and draws them.
//!
//! `cargo run --example history` takes ten seconds and writes `history.svg`; another number of seconds
//! and another file are its arguments. Nothing has to run beside it.

#![expect(clippy::print_stdout, reason = "an example shows what it gets")]

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use pointstream::conn::Registry;
use pointstream::point::{Bucket, HisItem, Rollup, Span, Value};
use pointstream::store::History;
use pointstream::{Config, Gateway, modbus};

#[path = "gateway/plant.rs"]
mod plant;

/// The points and the colours in which they are drawn.
const POINTS: [(&str, &str); 2] = [("meter.power", "#0a7d8c"), ("meter.current", "#c2571a")];

const WIDTH: usize = 900;
const HEIGHT: usize = 300;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().map_or(Ok(10), |text| text.parse())?;
    let file = arguments.next().unwrap_or_else(|| "history.svg".to_owned());

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
    println!("Collecting for {seconds} s from {} at {addr}.", plant::DEVICES[1].name);
    tokio::time::sleep(Duration::from_secs(seconds)).await;

    let history = gateway.history().ok_or("the gateway has no store")?;
    // What still waits is written before the gateway ends.
    gateway.shutdown().await;
    for (point, _) in POINTS {
        tell(&*history, point)?;
    }
    std::fs::write(&file, draw(&*history)?)?;
    println!("{} shows it.", Path::new(&file).display());
    drop(history);
    std::fs::remove_dir_all(&folder)?;
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

/// Each point in a colour of its own, over the whole height.
fn draw(history: &dyn History) -> Result<String, Box<dyn Error>> {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
    );
    for (row, (point, colour)) in POINTS.iter().enumerate() {
        let mut items = Vec::<HisItem>::new();
        history.read(point, Span::ALL, &mut |item| {
            items.push(item);
            true
        })?;
        let number = |item: &HisItem| match item.val {
            Value::Number(number, _) => Some((item.ts.as_millisecond(), number)),
            _ => None,
        };
        let numbers: Vec<(i64, f64)> = items.iter().filter_map(number).collect();
        let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else { continue };
        let low = numbers.iter().map(|(_, number)| *number).fold(f64::INFINITY, f64::min);
        let high = numbers.iter().map(|(_, number)| *number).fold(f64::NEG_INFINITY, f64::max);
        let x = |at: i64| (at - first.0) as f64 / (last.0 - first.0).max(1) as f64 * WIDTH as f64;
        let y = |number: f64| {
            let height = HEIGHT as f64 - 40.0;
            height + 30.0 - (number - low) / (high - low).max(1e-9) * height
        };
        let mut path = String::new();
        for (at, number) in &numbers {
            let step = if path.is_empty() { 'M' } else { 'L' };
            path.push_str(&format!("{step}{:.1} {:.1}", x(*at), y(*number)));
        }
        let text = 20 + row * 260;
        svg.push_str(&format!(
            "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>\n\
             <text x=\"{text}\" y=\"18\" font-size=\"13\" fill=\"{colour}\">{point} {low:.2} to {high:.2}</text>\n"
        ));
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}
