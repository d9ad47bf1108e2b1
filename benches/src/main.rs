//! How much a publication costs: the price of a patch from one document to the next, ours and that of
//! crate json-patch, in instructions, allocations, time and bytes.
//!
//! ```text
//! cargo run --release -p pointstream-benches -- report [--only NAME] [--out docs/BENCHMARKS.md]
//! ```
//!
//! `patches [--all] FOLDER` writes the documents and the patches as files, for other appliers, and for the
//! other differs of `benches/peers/peers.sh`, whose results `report --peers FILE` takes up.
//!
//! Instructions and allocations need valgrind; without it these columns stay empty. The real documents
//! come by `npm pack` into the folder that `POINTSTREAM_BENCH_DATA` names (`target/bench-data` if it is
//! not set); workloads whose files cannot be had are named and left out.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

mod callgrind;
mod engines;
mod generated;
mod real;
mod report;
mod workloads;

use std::path::PathBuf;
use std::process::ExitCode;

use lexopt::prelude::*;

use crate::engines::Engine;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), lexopt::Error> {
    let mut parser = lexopt::Parser::from_env();
    let mut command = None;
    let mut values = Vec::new();
    let mut settings = report::Settings::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("only") => settings.only = Some(parser.value()?.string()?),
            Long("out") => settings.out = Some(PathBuf::from(parser.value()?)),
            Long("peers") => settings.peers = Some(PathBuf::from(parser.value()?)),
            Long("all") => settings.all = true,
            Long("no-valgrind") => settings.valgrind = false,
            Value(value) if command.is_none() => command = Some(value.string()?),
            Value(value) => values.push(value.string()?),
            _ => return Err(argument.unexpected()),
        }
    }
    match (command.as_deref(), &*values) {
        (Some("report"), []) => report::write(&settings).map_err(|error| error.to_string().into()),
        (Some("patches"), [folder]) => report::write_patches(folder.as_ref(), settings.all)
            .map_err(|error| error.to_string().into()),
        (Some("once"), [engine, old, new]) => once(engine, old, new),
        _ => Err("usage: report [--only NAME] [--out FILE] [--peers FILE] [--no-valgrind] | \
                 patches [--all] FOLDER"
            .into()),
    }
}

/// There, back, and there again: callgrind counts the last update alone.
fn once(engine: &str, old: &str, new: &str) -> Result<(), lexopt::Error> {
    let read = |path: &str| std::fs::read_to_string(path).map_err(|error| error.to_string());
    let (old, new) = (read(old)?, read(new)?);
    let mut engine = Engine::new(engine, &old).ok_or("cannot be parsed")?;
    for text in [&new, &old] {
        engine.prepare(text);
        engine.measured_update(text);
    }
    engine.prepare(&new);
    callgrind::counted(|| engine.measured_update(&new));
    Ok(())
}
