//! What does a gateway cost at ten thousand and at a hundred thousand registers a second?
//!
//! This program is the devices: `farm DEVICES PORT` serves so many Modbus TCP devices on loopback from
//! that port on, each with 125 holding registers that all change ten times a second, until it is
//! interrupted. `benches/gateway.sh` runs it with the gateway example and prints what that costs.

#![expect(clippy::print_stderr, reason = "a program says why it ends")]

use std::process::ExitCode;
use std::time::Duration;

use pointstream_modbus::data::Scalar;
use pointstream_modbus::{Address, Limits, Registers, Server, Table};
use tokio::task::JoinSet;

const REGISTERS: u16 = 125;
const PERIOD: Duration = Duration::from_millis(100);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).map(|arg| arg.parse::<u16>());
    let (Some(Ok(devices)), Some(Ok(port))) = (numbers.next(), numbers.next()) else {
        eprintln!("usage: farm DEVICES PORT");
        return ExitCode::FAILURE;
    };
    match serve(devices, port).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("farm: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(devices: u16, port: u16) -> Result<(), Box<dyn std::error::Error>> {
    let registers = Registers::new();
    registers.define(1, Table::Holding, 0, REGISTERS)?;
    let mut servers = JoinSet::new();
    for device in 0..devices {
        let server = Server::bind(("127.0.0.1", port + device), Limits::default()).await?;
        servers.spawn(server.run(registers.clone(), std::future::pending::<()>()));
    }
    let address = |number: u16| format!("holding:#{number}:u2").parse::<Address>();
    let addresses = (0..REGISTERS).map(address).collect::<Result<Vec<_>, _>>()?;
    let mut ticks = tokio::time::interval(PERIOD);
    for value in (0..i64::from(u16::MAX)).cycle() {
        ticks.tick().await;
        registers.update(|units| {
            addresses.iter().try_for_each(|address| units.set(1, address, Scalar::Int(value)))
        })?;
    }
    Ok(())
}
