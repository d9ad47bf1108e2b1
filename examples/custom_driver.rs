//! A driver of your own in one file: dice. An address is the number of sides, a read is a roll.
//! `cargo run --example custom_driver` rolls a few times and ends.
#![expect(clippy::print_stdout, reason = "an example shows what it gets")]

use std::{collections::BTreeMap, error::Error, time::Duration};

use pointstream::conn::{Binding, Driver, Features, OpError, Readings, Registry, Request};
use pointstream::point::{Fault, Kind, PointKey, PointSpec, Tags, Tuning, Value};
use pointstream::{Config, ConnectorConfig, Gateway, hub::Mode, time::Seed};

struct Dice(Seed, BTreeMap<PointKey, u64>);

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
                Ok(sides @ 2..) => drop(self.1.insert(point.key, sides)),
                _ => into.err(point.key, Fault::permanent("expected the number of sides")),
            }
        }
    }
    async fn read(&mut self, requests: &[Request], into: &mut Readings) -> Result<(), OpError> {
        for key in requests.iter().flat_map(|request| request.points.iter()) {
            if let Some(sides) = self.1.get(key) {
                into.ok(*key, Value::number((self.0.next_u64() % sides + 1) as f64));
            }
        }
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut registry = Registry::new();
    registry.register("dice", |(): (), _| Ok(Dice(Seed::new(7), BTreeMap::new())));
    let mut die = PointSpec::new("table.die".parse()?, Kind::Number);
    die.cur = Some("6".into());
    let table = ConnectorConfig::new("table".parse()?, "dice").with_point(die);
    let tuning = Tuning::default().with_poll_time(Duration::from_millis(100));
    let config = Config::new().with_tuning("default".parse()?, tuning).with_connector(table);
    let mut gateway = Gateway::new(registry);
    gateway.apply(config).await?;
    let mut plant = gateway.hub().subscribe("plant", Mode::Patch, None)?;
    for _ in 0..5 {
        let Some(event) = plant.next().await else { break };
        println!("{}", String::from_utf8_lossy(&event?.body()));
    }
    Ok(())
}
