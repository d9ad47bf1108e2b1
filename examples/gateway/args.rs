//! What the command line asks for.

use std::path::PathBuf;

pub(crate) const HELP: &str = "\
A gateway: reads devices, serves their points as live topics over HTTP, takes writes.

Without arguments it brings its own simulated plant along and serves it on
http://127.0.0.1:8080/.

Usage: gateway [OPTIONS]

Options:
  --config FILE     Read connectors, points, tunings and topics from this TOML file.
                    It is read again when it is saved and on SIGHUP.
  --listen ADDR     Serve HTTP on this address instead of the configured one.
  --check           Check the configuration, say what is wrong where, and end.
  --check-store FILE   Look at all of a store's file, say what is in it, and end.
  --repair-store FILE  The same, and repair it: what is damaged is put aside, what is sound kept.
  --print-config    Print the configuration of the simulated plant and end.
  --no-simulator    Do not serve the simulated plant, whatever the configuration names.
  -h, --help        Print this help and end.
  -V, --version     Print the version and end.

The environment variable RUST_LOG sets what is logged, as in RUST_LOG=pointstream=debug.";

#[derive(Default)]
pub(crate) struct Args {
    pub(crate) config: Option<PathBuf>,
    pub(crate) listen: Option<String>,
    pub(crate) no_simulator: bool,
    pub(crate) task: Task,
}

/// What to do.
#[derive(Default, PartialEq)]
pub(crate) enum Task {
    #[default]
    Run,
    Check,
    CheckStore(PathBuf),
    RepairStore(PathBuf),
    PrintConfig,
    Help,
    Version,
}

impl Args {
    pub(crate) fn parse() -> Result<Self, lexopt::Error> {
        use lexopt::prelude::{Long, Short, ValueExt};
        let mut args = Self::default();
        let mut parser = lexopt::Parser::from_env();
        while let Some(arg) = parser.next()? {
            match arg {
                Long("config") => args.config = Some(parser.value()?.into()),
                Long("listen") => args.listen = Some(parser.value()?.string()?),
                Long("check") => args.task = Task::Check,
                Long("check-store") => args.task = Task::CheckStore(parser.value()?.into()),
                Long("repair-store") => args.task = Task::RepairStore(parser.value()?.into()),
                Long("print-config") => args.task = Task::PrintConfig,
                Long("no-simulator") => args.no_simulator = true,
                Long("help") | Short('h') => args.task = Task::Help,
                Long("version") | Short('V') => args.task = Task::Version,
                other => return Err(other.unexpected()),
            }
        }
        Ok(args)
    }
}
