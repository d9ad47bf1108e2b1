//! The sample configuration of the driver's page is one.

use pointstream_conn::{Binding, Driver, Readings};
use pointstream_mqtt::{Config, Mqtt};
use pointstream_point::{Kind, PointKey};

const PAGE: &str = include_str!("../../../../docs/drivers/mqtt.md");

/// What the framework takes from a connector before the driver sees the rest.
const FRAMEWORK: [&str; 9] =
    ["id", "kind", "tuning", "points", "point", "disabled", "dis", "open_retry", "linger"];

#[test]
fn every_sample_of_the_page_configures_a_driver() {
    let mut samples = 0;
    for block in PAGE.split("```toml\n").skip(1) {
        let text = block.split("```").next().unwrap();
        let file: toml::Table = text.parse().unwrap();
        let Some(connectors) = file.get("connector") else { continue };
        for connector in connectors.as_array().unwrap() {
            let connector = connector.as_table().unwrap();
            if connector["kind"].as_str() != Some("mqtt") {
                continue;
            }
            let own: toml::Table = connector
                .iter()
                .filter(|(name, _)| !FRAMEWORK.contains(&name.as_str()))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            let config: Config = own.try_into().unwrap();
            let mut driver = Mqtt::new(config, 1);
            let mut into = Readings::new();
            let points = connector.get("point").and_then(|points| points.as_array());
            for (slot, point) in (0..).zip(points.into_iter().flatten()) {
                let text = |name| point.get(name).and_then(|value| value.as_str());
                let kind: Kind = text("kind").unwrap().parse().unwrap();
                let key = PointKey { shard: 1, slot, generation: 1 };
                let mut binding = Binding::new(key, kind);
                binding.cur = text("cur").map(Into::into);
                binding.write = text("write").map(Into::into);
                driver.bind(&[binding], &mut into);
            }
            assert!(into.is_empty(), "{into:?}");
            samples += 1;
        }
    }
    assert!(samples > 0, "the page has no sample");
}
