//! Processes that are killed while they write, and disks that are full.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use jiff::Timestamp;
use pointstream_point::{HisItem, Span, Value};
use pointstream_store::{History, Opened, SeriesWrite, Store, StoredHistory};

use crate::folder::Folder;

/// Names the file for a process of this test that writes until it is killed.
const CHILD: &str = "POINTSTREAM_TEST_CHILD";

/// How many processes are killed; CI kills more.
const KILLS: &str = "POINTSTREAM_TEST_KILLS";

/// Points that the process writes to in turn.
const POINTS: u64 = 3;

fn number(at: u64) -> (Timestamp, Option<Value>) {
    let ts = Timestamp::from_second(i64::try_from(at).unwrap()).unwrap();
    (ts, Some(Value::number(at as f64)))
}

/// Not a test of its own: what the killed process runs. It writes one item after the other, each
/// eighth time as a batch, and says how many there are once they are written.
#[test]
fn child() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let (store, opened) = Store::open(Path::new(&path)).unwrap();
    assert!(!matches!(opened, Opened::Quarantined { .. }), "{opened:?}");
    let history = StoredHistory::new(Arc::new(store));
    let mut at = count(&history);
    loop {
        let batch = if at % 8 == 7 { 40 } else { 1 };
        let write = |point: u64| {
            let mine = (at..at + batch).filter(|at| at % POINTS == point);
            SeriesWrite { point: format!("p{point}").into(), items: mine.map(number).collect() }
        };
        let writes: Vec<_> = (0..POINTS).map(write).collect();
        if let Err(error) = history.write(&writes) {
            println!("failed {error}");
            return;
        }
        at += batch;
        println!("wrote {at}");
        std::io::stdout().flush().unwrap();
    }
}

/// How many items there are; they must be the first ones, without a gap.
fn count(history: &StoredHistory) -> u64 {
    let mut seen = Vec::new();
    for point in 0..POINTS {
        let visit = &mut |item: HisItem| {
            let at = u64::try_from(item.ts.as_second()).unwrap();
            assert_eq!(item.val, Value::number(at as f64));
            seen.push(at);
            true
        };
        history.read(&format!("p{point}"), Span::ALL, visit).unwrap();
    }
    seen.sort_unstable();
    assert!(seen.iter().copied().eq(0..seen.len() as u64), "a gap among {}", seen.len());
    assert_eq!(history.damaged(), 0);
    seen.len() as u64
}

fn spawn(shell: Option<&str>, path: &Path) -> Child {
    let program = std::env::current_exe().unwrap();
    let mut command = match shell {
        Some(line) => {
            let mut command = Command::new("sh");
            command.arg("-c").arg(line).arg(program);
            command
        }
        None => Command::new(program),
    };
    command.args(["--exact", "kill::child", "--nocapture", "--test-threads=1"]);
    command.env(CHILD, path).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// The number that a line says.
fn written(line: &str) -> Option<u64> {
    line.split_once("wrote ")?.1.trim().parse().ok()
}

#[test]
fn a_process_that_is_killed_while_it_writes_loses_nothing_that_it_had_written() {
    let folder = Folder::new("kill");
    let kills = std::env::var(KILLS).ok().and_then(|text| text.parse().ok()).unwrap_or(12);
    let (mut total, mut seed) = (0, 1u32);
    for round in 0..kills {
        let mut child = spawn(None, &folder.file());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let lives = 1 + (seed >> 16) % 24;
        let mut acked = total;
        for _ in 0..lives {
            let Some(Ok(line)) = lines.next() else { break };
            acked = acked.max(written(&line).unwrap_or(0));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines.map_while(Result::ok) {
            acked = acked.max(written(&line).unwrap_or(0));
        }
        let (store, opened) = Store::open(&folder.file()).unwrap();
        assert!(!matches!(opened, Opened::Quarantined { .. }), "round {round}: {opened:?}");
        total = count(&StoredHistory::new(Arc::new(store)));
        assert!(total >= acked, "round {round}: {acked} were written and {total} are there");
    }
    assert!(total > 0, "nothing was ever written");
}

#[cfg(unix)]
#[test]
fn a_disk_that_is_full_fails_the_write_and_keeps_what_was_written() {
    let folder = Folder::new("full");
    // Blocks of 512 bytes; the signal that a file is too long would end the process otherwise.
    let limited = "trap '' XFSZ; ulimit -f 3200; exec \"$0\" \"$@\"";
    let output = spawn(Some(limited), &folder.file()).wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("failed "), "it did not fail as it should: {text:.400}");
    let acked = text.lines().filter_map(written).max().unwrap();
    let (store, opened) = Store::open(&folder.file()).unwrap();
    assert_eq!(opened, Opened::Found);
    let history = StoredHistory::new(Arc::new(store));
    assert!(count(&history) >= acked);
    let more = SeriesWrite { point: "p0".into(), items: vec![number(1_000_000)] };
    history.write(&[more]).unwrap();
}

#[test]
fn two_processes_on_one_file_are_refused() {
    let folder = Folder::new("two");
    let mut child = spawn(None, &folder.file());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while written(&lines.next().unwrap().unwrap()).is_none() {}
    let error = Store::open(&folder.file()).unwrap_err();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(error.to_string().ends_with("is in use by another process"), "{error}");
}
