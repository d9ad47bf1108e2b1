//! The table of all workloads.

use core::fmt::Write as _;
use core::time::Duration;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use pointstream_patch::merge_diff;

use crate::callgrind::{self, Counts};
use crate::engines::{Engine, verified};
use crate::generated::Pair;
use crate::workloads::{self, Workload};

pub(crate) struct Settings {
    pub(crate) only: Option<String>,
    pub(crate) out: Option<PathBuf>,
    pub(crate) valgrind: bool,
    /// What `benches/peers/peers.sh` wrote.
    pub(crate) peers: Option<PathBuf>,
    pub(crate) all: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { only: None, out: None, valgrind: true, peers: None, all: false }
    }
}

pub(crate) fn write(settings: &Settings) -> std::io::Result<()> {
    let folder = data_folder()?;
    let mut table = String::from(HEAD);
    let mut absent = Vec::new();
    let peers = settings.peers.as_ref().map(std::fs::read_to_string).transpose()?;
    let peers = peers.unwrap_or_default();
    for workload in workloads::all() {
        if settings.only.as_ref().is_some_and(|only| !workload.name.contains(only)) {
            continue;
        }
        match workload.make(&folder) {
            Some(pair) => {
                let line = measure(&workload, &pair, &folder, settings, &peers)?;
                print!("{line}");
                table.push_str(&line);
            }
            None => {
                eprintln!("SKIPPED: the files of {} cannot be had", workload.name);
                absent.push(workload.name);
            }
        }
    }
    if settings.only.is_none() {
        let lines = values(&folder)?;
        print!("{lines}");
        table.push_str(&lines);
    }
    if !absent.is_empty() {
        let _ = write!(
            table,
            "\nLeft out, since their files could not be had: {}.\n",
            absent.join(", ")
        );
    }
    match &settings.out {
        Some(out) => std::fs::write(out, table),
        None => Ok(()),
    }
}

/// Writes the documents of each workload, and the patches without and with moves, which crate json-patch
/// must apply; documents that are large only if all are wanted.
pub(crate) fn write_patches(out: &Path, all: bool) -> std::io::Result<()> {
    std::fs::create_dir_all(out)?;
    let mut count = 0;
    for workload in workloads::all() {
        let Some(pair) = workload.make(&data_folder()?) else {
            eprintln!("SKIPPED: the files of {} cannot be had", workload.name);
            continue;
        };
        let deep = workload.name.starts_with("deep10k");
        if deep || !all && pair.new.len() > WRITTEN_MAX {
            continue;
        }
        let write = |what: &str, text: &str| {
            std::fs::write(out.join(format!("{}.{what}.json", workload.name)), text)
        };
        write("old", &pair.old)?;
        write("new", &pair.new)?;
        for (engine, what) in [("pointstream", "plain.patch"), ("moves", "moves.patch")] {
            let patch = Engine::new(engine, &pair.old).and_then(|mut it| it.patch(&pair.new));
            let patch = patch.unwrap_or_default();
            write(what, &patch)?;
            if verified(&pair, &patch) != Some(true) {
                let told =
                    format!("{}: crate json-patch makes another document of it", workload.name);
                return Err(std::io::Error::other(told));
            }
            count += 1;
        }
    }
    println!("json-patch: {count} patches lead to equal values");
    Ok(())
}

fn data_folder() -> std::io::Result<PathBuf> {
    let folder = std::env::var_os("POINTSTREAM_BENCH_DATA")
        .map_or_else(|| PathBuf::from("target/bench-data"), PathBuf::from);
    std::fs::create_dir_all(&folder)?;
    folder.canonicalize()
}

fn measure(
    workload: &Workload,
    pair: &Pair,
    folder: &Path,
    settings: &Settings,
    peers: &str,
) -> std::io::Result<String> {
    let (old, new) = (folder.join("old.json"), folder.join("new.json"));
    std::fs::write(&old, &pair.old)?;
    std::fs::write(&new, &pair.new)?;
    let patch =
        |engine: &str| Engine::new(engine, &pair.old).and_then(|mut it| it.patch(&pair.new));
    let ours = patch("pointstream").unwrap_or_default();
    let moved = patch("moves").unwrap_or_default();
    let theirs = patch("json-patch");
    let right = match (verified(pair, &ours), verified(pair, &moved)) {
        (Some(true), Some(true)) => "yes",
        (None, _) => "–",
        _ => "NO",
    };
    let merged = merge(pair).map_or_else(|| "–".into(), |patch| patch.len().to_string());
    let count = |engine: &str| {
        settings.valgrind.then(|| callgrind::count(engine, &old, &new, folder)).flatten()
    };
    let counts = (count("pointstream"), theirs.as_ref().and_then(|_| count("json-patch")));
    let times = (time("pointstream", pair), time("json-patch", pair));
    let fewer = match counts {
        (Some(ours), Some(theirs)) => {
            format!("{:.1}", theirs.instructions as f64 / ours.instructions as f64)
        }
        _ => "–".into(),
    };
    let show = |counts: Option<Counts>, get: fn(Counts) -> u64| {
        counts.map_or_else(|| "–".into(), |counts| get(counts).to_string())
    };
    let micros = |time: Option<Duration>| {
        time.map_or_else(|| "–".into(), |time| format!("{:.1}", time.as_secs_f64() * 1e6))
    };
    let floor = micros(Some(compare(pair)));
    Ok(format!(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
        workload.name,
        pair.new.len(),
        show(counts.0, |counts| counts.instructions),
        show(counts.1, |counts| counts.instructions),
        fewer,
        show(counts.0, |counts| counts.allocations),
        show(counts.1, |counts| counts.allocations),
        floor,
        micros(times.0),
        micros(times.1),
        ours.len(),
        moved.len(),
        merged,
        theirs.map_or_else(|| "–".into(), |patch| patch.len().to_string()),
        best(peers, &workload.name, "plain") + " · " + &best(peers, &workload.name, "moves"),
        gzipped(&ours).map_or_else(|| "–".into(), |len| len.to_string()) + " · " + right,
    ))
}

/// The comparison of values that were read before, which no text comes into.
fn values(folder: &Path) -> std::io::Result<String> {
    let mut table = String::from(VALUES_HEAD);
    let (old, new) = (folder.join("old.json"), folder.join("new.json"));
    for workload in workloads::all() {
        let Some(pair) = workload.make(folder).filter(|_| COMPARED.contains(&&*workload.name))
        else {
            continue;
        };
        std::fs::write(&old, &pair.old)?;
        std::fs::write(&new, &pair.new)?;
        let count = |engine: &str| {
            let counts = callgrind::count(engine, &old, &new, folder);
            counts.map_or_else(|| "–".into(), |counts| counts.instructions.to_string())
        };
        let _ = writeln!(
            table,
            "| {} | {} | {} |",
            workload.name,
            count("values"),
            count("json-patch-values")
        );
    }
    Ok(table)
}

/// The merge patch, if there is one.
fn merge(pair: &Pair) -> Option<String> {
    let limits = crate::engines::options(false).limits;
    merge_diff(pair.old.as_bytes(), pair.new.as_bytes(), &limits).ok()?
}

/// The shortest patch that a peer made, with its name.
fn best(peers: &str, workload: &str, kind: &str) -> String {
    let patches = peers.lines().filter_map(|line| {
        let mut fields = line.split(',');
        let mut is = |wanted| fields.next() == Some(wanted);
        let named = is(workload);
        let peer = fields.next()?;
        let len: usize = fields.next()?.parse().ok()?;
        (named && fields.next() == Some(kind)).then_some((len, peer))
    });
    patches.min().map_or_else(|| "–".into(), |(len, peer)| format!("{len} ({peer})"))
}

/// The median of repeated updates there and back; there alone is counted.
fn time(engine: &str, pair: &Pair) -> Option<Duration> {
    let mut engine = Engine::new(engine, &pair.old)?;
    let mut times = Vec::new();
    let mut sum = Duration::ZERO;
    while times.len() < 3 || sum < BUDGET && times.len() < 10_000 {
        let start = now();
        engine.measured_update(&pair.new)?;
        let time = start.elapsed();
        engine.measured_update(&pair.old)?;
        sum += time;
        times.push(time);
    }
    times.sort_unstable();
    Some(times[times.len() / 2])
}

/// How long it takes to find the texts equal, the least that anyone can do.
fn compare(pair: &Pair) -> Duration {
    let copy = pair.new.clone();
    let mut times: Vec<_> = (0..101)
        .map(|_| {
            let start = now();
            core::hint::black_box(core::hint::black_box(&copy) == core::hint::black_box(&pair.new));
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> Instant {
    Instant::now()
}

fn gzipped(text: &str) -> Option<usize> {
    let mut gzip = Command::new("gzip")
        .args(["-6", "-c"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let mut stdin = gzip.stdin.take()?;
    let text = text.to_owned();
    let feeder = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = gzip.wait_with_output().ok()?;
    feeder.join().ok()?.ok()?;
    Some(output.stdout.len())
}

/// Between which values the comparison of values is counted.
const COMPARED: [&str; 6] = [
    "quotes100_10pct",
    "quotes100_100pct",
    "telemetry1000_10pct",
    "news50_ins3",
    "config_leaf",
    "nums10k_window10",
];
/// Documents beyond this are not worth the time of slow appliers.
const WRITTEN_MAX: usize = 1_000_000;
const BUDGET: Duration = Duration::from_millis(80);

const VALUES_HEAD: &str = "
Between two `serde_json::Value`s that are there already, with the text of the patch, in instructions
(`diff_values`, and `json_patch::diff` with serializing):

| workload | ours | theirs |
|---|---|---|
";

const HEAD: &str = "\
# What a patch costs

Written by `cargo run --release -p pointstream-benches -- report --peers FILE --out docs/BENCHMARKS.md`,
where `benches/peers/peers.sh` wrote the file.

From the bytes of the new text to the bytes of the patch, ready for the next text: ours is
`Document::update` and `render_patch`, theirs is crate json-patch with parsing, comparing, serializing
and dropping. Instructions (callgrind) and calls of the allocator are of one update after one there and
one back. Times are medians in microseconds on whatever machine ran this, beside the time that
comparing two equal texts of that length takes; other work on the machine shows in them, not in the
instructions. `moves` are the bytes with moves allowed, `merge` those of the merge patch if there is
one. `others` are the shortest patches of the differs in `benches/peers`, without and with moves, of those
that came to a right end within 14 seconds. The last column is our patch after gzip -6, and whether crate
json-patch makes the new document of the old one with both of our patches.

| workload | document B | instructions, ours | theirs | times fewer | allocations, ours | theirs | memcmp µs | ours µs | theirs µs | patch B, ours | moves | merge | theirs | others | gzip B · right |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
";
