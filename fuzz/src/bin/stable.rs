//! Runs the targets without libFuzzer: mutations of the seeds, blindly, for some seconds.
//!
//!     stable [--seconds N] [--seed N] [--artifacts DIR] [TARGET]...
//!     stable TARGET FILE...
//!
//! The first form runs the named targets, or all, one after the other. The second runs one target on
//! files. An input on which a target panics or takes longer than some seconds is written to
//! DIR (artifacts by default) and named; the exit code is 1 then.

use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, exit};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pointstream_fuzz::mutate::{Rng, mutate};
use pointstream_fuzz::{TARGETS, Target};

/// How long one input may take.
const INPUT_TIME_MAX: Duration = Duration::from_secs(5);

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut options = Options::parse()?;
    if let [first, files @ ..] = &options.names[..]
        && !files.is_empty()
        && files.iter().all(|file| Path::new(file).is_file())
    {
        let target = find(first)?;
        for file in files {
            println!("{}: {file}", target.name);
            (target.run)(&fs::read(file)?);
        }
        return Ok(ExitCode::SUCCESS);
    }
    if options.names.is_empty() {
        options.names = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    }
    let watch = Watch::start(options.artifacts.clone());
    for name in &options.names {
        let target = find(name)?;
        if !fuzz(target, &options, &watch)? {
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

struct Options {
    seconds: u64,
    seed: u64,
    artifacts: PathBuf,
    names: Vec<String>,
}

impl Options {
    fn parse() -> Result<Self, Box<dyn Error>> {
        let mut options =
            Self { seconds: 30, seed: 1, artifacts: "artifacts".into(), names: Vec::new() };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or(format!("{arg} needs a value"));
            match &*arg {
                "--seconds" => options.seconds = value()?.parse()?,
                "--seed" => options.seed = value()?.parse()?,
                "--artifacts" => options.artifacts = value()?.into(),
                _ if arg.starts_with('-') => return Err(format!("unknown option {arg}").into()),
                _ => options.names.push(arg),
            }
        }
        Ok(options)
    }
}

fn find(name: &str) -> Result<Target, Box<dyn Error>> {
    let target = TARGETS.iter().copied().find(|target| target.name == name);
    Ok(target.ok_or(format!("no target {name}"))?)
}

/// Runs one target for its time. Says whether it held.
fn fuzz(target: Target, options: &Options, watch: &Watch) -> Result<bool, Box<dyn Error>> {
    let seeds = seeds(target)?;
    let mut rng = Rng::new(options.seed);
    let mut input = Vec::new();
    let mut executions = 0u64;
    let (start, time) = (Instant::now(), Duration::from_secs(options.seconds));
    while start.elapsed() < time {
        // Each seed once as it is, then mutations.
        match usize::try_from(executions).ok().and_then(|at| seeds.get(at)) {
            Some(seed) => input.clone_from(seed),
            None => mutate(&mut rng, &seeds, target.words, &mut input),
        }
        watch.begin(target, &input);
        let held = catch_unwind(|| (target.run)(&input)).is_ok();
        watch.end();
        executions += 1;
        if !held {
            report(target, &input, &options.artifacts, "panicked");
            println!("{}: seed {}, execution {executions}", target.name, options.seed);
            return Ok(false);
        }
    }
    let (name, seed, seconds) = (target.name, options.seed, start.elapsed().as_secs());
    let known = seeds.len();
    println!("{name}: {executions} executions in {seconds} s from {known} seeds, seed {seed}");
    Ok(true)
}

fn seeds(target: Target) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target.name);
    let mut paths = Vec::new();
    for entry in fs::read_dir(&folder)? {
        paths.push(entry?.path());
    }
    paths.sort();
    Ok(paths.iter().map(fs::read).collect::<Result<_, _>>()?)
}

/// Writes a failing input to a file and says how to run it again.
fn report(target: Target, input: &[u8], artifacts: &Path, what: &str) {
    let hash = input.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let path = artifacts.join(format!("{}-{hash:016x}", target.name));
    let written = fs::create_dir_all(artifacts).and_then(|()| fs::write(&path, input));
    println!("{}: {what} on {} bytes: {}", target.name, input.len(), input.escape_ascii());
    let mut hex = String::new();
    for byte in input {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    println!("{}: as hex: {hex}", target.name);
    match written {
        Ok(()) => println!("{}: run again with: stable {0} {}", target.name, path.display()),
        Err(error) => println!("{}: {}: {error}", target.name, path.display()),
    }
}

/// Ends the program when one input takes too long, since nothing else would.
struct Watch {
    current: Arc<Mutex<Option<(Target, Vec<u8>, Instant)>>>,
}

impl Watch {
    fn start(artifacts: PathBuf) -> Self {
        let current = Arc::new(Mutex::new(None::<(Target, Vec<u8>, Instant)>));
        let seen = Arc::clone(&current);
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(Duration::from_secs(1));
                let current = seen.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some((target, input, since)) = &*current
                    && since.elapsed() > INPUT_TIME_MAX
                {
                    report(*target, input, &artifacts, "took too long");
                    exit(1);
                }
            }
        });
        Self { current }
    }

    fn begin(&self, target: Target, input: &[u8]) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        *current = Some((target, input.to_vec(), Instant::now()));
    }

    fn end(&self) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
