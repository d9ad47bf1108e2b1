//! A driver of your own in one file: dice. An address is the number of sides; a read is a roll.
//!
//! `cargo run --example custom_driver` rolls a few times and ends.

use std::collections::BTreeMap;

use pointstream::conn::{Binding, Driver, Features, OpError, Readings, Registry, Request};
use pointstream::point::{Fault, Kind, PointKey, PointSpec, Tags, Tuning, Value};
use pointstream::{Config, ConnectorConfig, Gateway, hub::Mode, time::Seed};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct DiceConfig {
    seed: u64,
}

struct Dice {
    seed: Seed,
    sides: BTreeMap<PointKey, u64>,
}

impl Driver for Dice {
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

    fn bind(&mut self, points: &[Binding], into: &mut Readings) {
        for point in points {
            match point.cur.as_deref().unwrap_or_default().parse() {
                Ok(sides @ 2..) => drop(self.sides.insert(point.key, sides)),
                _ => into.err(point.key, Fault::permanent("expected the number of sides")),
            }
        }
    }

    async fn read(&mut self, requests: &[Request], into: &mut Readings) -> Result<(), OpError> {
        for key in requests.iter().flat_map(|request| request.points.iter()) {
            if let Some(sides) = self.sides.get(key) {
                into.ok(*key, Value::number((self.seed.next_u64() % sides + 1) as f64));
            }
        }
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut registry = Registry::new();
    registry.register("dice", |config: DiceConfig, _| {
        Ok(Dice { seed: Seed::new(config.seed), sides: BTreeMap::new() })
    });
    let mut die = PointSpec::new("table.die".parse()?, Kind::Number);
    die.cur = Some("6".into());
    let table = ConnectorConfig::new("table".parse()?, "dice").with("seed", 7).with_point(die);
    let tuning = Tuning::default().with_poll_time(std::time::Duration::from_millis(100));
    let mut gateway = Gateway::new(registry);
    gateway.apply(Config::new().with_connector(table).with_tuning("default".parse()?, tuning)).await?;
    let mut plant = gateway.hub().subscribe("plant", Mode::Patch, None)?;
    for _ in 0..5 {
        let Some(event) = plant.next().await else { break };
        println!("{}", String::from_utf8_lossy(&event?.body()));
    }
    Ok(())
}
