//! What does a gateway cost at ten thousand and at a hundred thousand registers a second?
//!
//! This program is the devices: `farm DEVICES PORT [REGISTERS CHANGING PERIOD_MS]` serves so many Modbus TCP
//! devices on loopback from that port on, each with so many holding registers (125), of which so many
//! (all) change in each period (100 ms), other ones each time, until it is interrupted.
//! `benches/gateway.sh` runs it with the gateway example and prints what that costs.

#![expect(clippy::print_stderr, reason = "a program says why it ends")]

use std::process::ExitCode;
use std::time::Duration;

use pointstream_modbus::data::Scalar;
use pointstream_modbus::{Address, Limits, Registers, Server, Table};
use tokio::task::JoinSet;

/// What the devices are like.
struct Farm {
    devices: u16,
    port: u16,
    registers: u16,
    changing: u16,
    period: Duration,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let numbers: Result<Vec<u16>, _> = std::env::args().skip(1).map(|arg| arg.parse()).collect();
    let (devices, port, rest) = match numbers.as_deref() {
        Ok(&[devices, port]) => (devices, port, [125, 125, 100]),
        Ok(&[devices, port, registers, changing, period]) => {
            (devices, port, [registers, changing.min(registers), period])
        }
        _ => {
            eprintln!("usage: farm DEVICES PORT [REGISTERS CHANGING PERIOD_MS]");
            return ExitCode::FAILURE;
        }
    };
    let [registers, changing, period] = rest;
    let period = Duration::from_millis(period.max(1).into());
    match serve(Farm { devices, port, registers, changing, period }).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("farm: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(farm: Farm) -> Result<(), Box<dyn std::error::Error>> {
    let registers = Registers::new();
    registers.define(1, Table::Holding, 0, farm.registers)?;
    let mut servers = JoinSet::new();
    for device in 0..farm.devices {
        let server = Server::bind(("127.0.0.1", farm.port + device), Limits::default()).await?;
        servers.spawn(server.run(registers.clone(), std::future::pending::<()>()));
    }
    let address = |number: u16| format!("holding:#{number}:u2").parse::<Address>();
    let addresses = (0..farm.registers).map(address).collect::<Result<Vec<_>, _>>()?;
    let mut next = addresses.iter().cycle();
    let mut ticks = tokio::time::interval(farm.period);
    for value in (0..i64::from(u16::MAX)).cycle() {
        ticks.tick().await;
        registers.update(|units| {
            let mut set = |address| units.set(1, address, Scalar::Int(value));
            next.by_ref().take(farm.changing.into()).try_for_each(&mut set)
        })?;
    }
    Ok(())
}
