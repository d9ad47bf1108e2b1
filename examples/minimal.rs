//! One Modbus device, its values as they change: the example of the README.
//!
//! `cargo run --example minimal` reads the electricity meter of the gateway example, which runs
//! beside it; any other device is read by naming its address and its register.

#![expect(clippy::print_stdout, reason = "an example shows what it gets")]

use std::path::Path;

use pointstream::{Config, Gateway, conn::Registry, hub::Mode, modbus};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let text = r#"
        [[connector]]
        id = "meter"
        kind = "modbus"
        uri = "modbus-tcp://127.0.0.1:50202"
        unit = 2

        [[connector.point]]
        id = "meter.power"
        kind = "Number"
        unit = "kW"
        cur = "input:30013:f4"
    "#;
    let mut registry = Registry::new();
    modbus::register(&mut registry);
    let mut gateway = Gateway::new(registry);
    gateway.apply(Config::parse(text, "minimal", Path::new("."))?).await?;
    let mut plant = gateway.hub().subscribe("plant", Mode::Patch, None)?;
    for _ in 0..5 {
        let Some(event) = plant.next().await else { break };
        println!("{}", String::from_utf8_lossy(&event?.body()));
    }
    Ok(())
}
