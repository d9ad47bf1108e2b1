//! A Modbus device made of memory: TCP, RTU over TCP, or RTU on a serial line.
//!
//! `cargo run --example modbus_server -- tcp://127.0.0.1:1502` serves units 1 and 2, each with 200
//! registers and bits of every kind; `rtu:///dev/ttyUSB0?baud=19200` serves them on a line.

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use pointstream::modbus::data::Scalar;
use pointstream::modbus::rtu::Line;
use pointstream::modbus::{Framing, Limits, Registers, Server, Table, Target, serve_line};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "modbus_server: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let usage =
        "usage: modbus_server tcp://HOST:PORT|rtutcp://HOST:PORT|rtu:///dev/ttyUSB0?baud=19200";
    let target: Target = std::env::args().nth(1).ok_or(usage)?.parse()?;
    let registers = plant()?;
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    let framing = target.framing();
    match target {
        Target::Tcp(endpoint) | Target::RtuTcp(endpoint) => {
            let listen = (endpoint.host(), endpoint.port());
            let mut server = Server::bind(listen, Limits::default()).await?;
            if framing != Framing::Tcp {
                server = server.with_line(Line::tunnel());
            }
            writeln!(io::stdout(), "listening {}", server.local_addr()?)?;
            server.run(registers, stop).await;
        }
        Target::Rtu(port) => {
            let (stream, line) = (port.open()?, Line::serial(port.baud, port.char_bits()));
            writeln!(io::stdout(), "listening {port}")?;
            serve_line(stream, line, &registers, stop).await?;
        }
        _ => return Err(usage.into()),
    }
    Ok(())
}

/// What is served: registers that hold their own wire addresses, bits that are on where it is odd.
fn plant() -> Result<Registers, Box<dyn Error>> {
    let registers = Registers::new();
    for unit in [1, 2] {
        for table in Table::ALL {
            registers.define(unit, table, 0, 200)?;
            for start in 0..200 {
                let value =
                    if table.is_bits() { Scalar::Bool(start % 2 == 1) } else { Scalar::Int(start) };
                registers.set(unit, &format!("{table}:#{start}").parse()?, value)?;
            }
        }
        let version = env!("CARGO_PKG_VERSION");
        for (object, text) in [(0, "pointstream"), (1, "modbus_server"), (2, version)] {
            registers.identify(unit, object, text);
        }
    }
    Ok(registers)
}
