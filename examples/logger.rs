//! A driver of your own for a device that keeps a log: a meter in this program, which has a value of
//! each minute of the past year.
//!
//! `cargo run --release --example logger` serves the console on http://127.0.0.1:8080/, or on the
//! address that is its argument. Inspect the connector there, fetch its histories, and look at the
//! past of its points by their trends. Ctrl-C ends it. Past values are kept in a folder of the
//! system's temporary files, which goes with it.

#![expect(clippy::print_stdout, reason = "an example shows what it gets")]

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use jiff::Timestamp;
use pointstream::conn::{Binding, Driver, Features, OpError, Readings, Registry, Request, Samples};
use pointstream::point::{Fault, Kind, PointKey, PointSpec, Span, Tags, Tuning, Value};
use pointstream::{Config, ConnectorConfig, Gateway};

/// How many items the device gives at once. It says when there are more.
const PIECE: usize = 20_000;

const MINUTE: i64 = 60;
const DAY: i64 = 24 * 60 * MINUTE;
const YEAR: i64 = 365 * DAY;

/// The channels of the meter, each with the swing of a day, of a year, and its noise.
const CHANNELS: [(&str, f64, f64, f64); 3] =
    [("temp", 4.0, 9.0, 0.4), ("power", 30.0, 12.0, 6.0), ("level", 0.3, 2.0, 0.0)];

/// The meter. What it measures follows from the time, so that its log needs no memory.
struct Meter {
    points: BTreeMap<PointKey, (usize, usize)>,
}

/// What the channel `at` had or has at a second.
fn measure(at: usize, second: i64) -> f64 {
    let (_, day, year, noise) = CHANNELS[at];
    let swing = |period: i64| (second as f64 / period as f64 * std::f64::consts::TAU).sin();
    // A number of the second and the channel that looks like chance.
    let mut mixed = (second as u64).wrapping_mul(3).wrapping_add(at as u64 + 1);
    for _ in 0..3 {
        mixed ^= mixed >> 29;
        mixed = mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    }
    let chance = (mixed >> 11) as f64 / (1u64 << 53) as f64 - 0.5;
    20.0 + day * swing(DAY) + year * swing(YEAR) + noise * chance
}

/// Whether the meter was out of order: three days of each hundred.
fn is_out(second: i64) -> bool {
    second.rem_euclid(100 * DAY) < 3 * DAY
}

fn channel(address: Option<&str>) -> Option<usize> {
    CHANNELS.iter().position(|(name, ..)| Some(*name) == address)
}

impl Driver for Meter {
    fn features(&self) -> Features {
        Features::NONE.with_poll().with_history()
    }

    async fn open(&mut self, _: &mut Readings) -> Result<(), OpError> {
        Ok(())
    }

    async fn close(&mut self) {}

    async fn ping(&mut self, _: &mut Readings) -> Result<Tags, OpError> {
        Ok(Tags::new())
    }

    fn bind(&mut self, points: &[Binding], into: &mut Readings) {
        for point in points {
            match (channel(point.cur.as_deref()), channel(point.his.as_deref())) {
                (Some(cur), Some(his)) => drop(self.points.insert(point.key, (cur, his))),
                _ => into.err(point.key, Fault::permanent("expected temp, power or level")),
            }
        }
    }

    async fn read(&mut self, requests: &[Request], into: &mut Readings) -> Result<(), OpError> {
        let now = Timestamp::now().as_second();
        for key in requests.iter().flat_map(|request| request.points.iter()) {
            if let Some((cur, _)) = self.points.get(key) {
                into.ok(*key, Value::number(measure(*cur, now)));
            }
        }
        Ok(())
    }

    async fn history(
        &mut self,
        point: PointKey,
        span: Span,
        into: &mut Samples,
    ) -> Result<(), OpError> {
        let Some(&(_, channel)) = self.points.get(&point) else {
            return Err(OpError::Refused(Fault::permanent("the point is gone")));
        };
        // It hangs on a slow line.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = Timestamp::now().as_second();
        let from = span.start.as_second().max(now - YEAR);
        let mut second = from.div_euclid(MINUTE) * MINUTE;
        while second < span.end.as_second().min(now) {
            if into.items().len() == PIECE {
                into.cut();
                break;
            }
            let ts = Timestamp::from_second(second)
                .map_err(|error| OpError::Refused(Fault::permanent(error)))?;
            if span.contains(ts) && !is_out(second) {
                into.push(ts, Value::number(measure(channel, second)));
            }
            second += MINUTE;
        }
        Ok(())
    }
}

fn config(listen: &str, store: std::path::PathBuf) -> Result<Config, Box<dyn Error>> {
    let mut meter = ConnectorConfig::new("meter".parse()?, "meter");
    for (name, ..) in CHANNELS {
        let mut point = PointSpec::new(format!("meter.{name}").parse()?, Kind::Number);
        point.cur = Some(name.into());
        point.more.his = Some(name.into());
        meter = meter.with_point(point);
    }
    let tuning = Tuning::default().with_poll_time(Duration::from_secs(1));
    let mut config = Config::new().with_tuning("default".parse()?, tuning).with_connector(meter);
    config.listen = Some(listen.to_owned());
    config.store = Some(store);
    Ok(config)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let argument = std::env::args().nth(1);
    if argument.as_deref().is_some_and(|text| text.starts_with('-')) {
        println!("Usage: logger [ADDRESS]    127.0.0.1:8080 if it is left out");
        return Ok(());
    }
    let folder = std::env::temp_dir().join(format!("pointstream-logger-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let mut registry = Registry::new();
    registry.register("meter", |(): (), _| Ok(Meter { points: BTreeMap::new() }));
    let mut gateway = Gateway::new(registry);
    let listen = argument.as_deref().unwrap_or("127.0.0.1:8080");
    gateway.apply(config(listen, folder.join("meter.redb"))?).await?;
    let server = gateway.http().await?;
    println!("Console  http://{}/", server.local_addr());
    server.run(signalled()).await;
    gateway.shutdown().await;
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

/// Waits for Ctrl-C, or for the system to ask this to end.
async fn signalled() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut ended) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = ended.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
