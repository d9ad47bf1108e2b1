//! What it costs to keep past values, beside SQLite (rusqlite, WAL) in the same run: appending with a
//! flush each 200 ms, bytes on disk, reading a year of one-minute values, and rolling it up.
//!
//! `cargo run --release -p pointstream-benches --bin past`
//!
//! SQLite's schema is a table `(point INTEGER, ts INTEGER, val REAL, PRIMARY KEY (point, ts)) WITHOUT
//! ROWID`, which is the least that holds the same; its transactions end each 200 ms too, with
//! `synchronous = FULL`.

#![expect(clippy::print_stdout, reason = "it prints what it measures")]
#![expect(clippy::disallowed_methods, reason = "it measures time as it is")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use pointstream_point::{HisItem, Rollup, Span, Value};
use pointstream_store::{History, SeriesWrite, Store, StoredHistory};
use rusqlite::{Connection, params};

type Fallible<T> = Result<T, Box<dyn Error>>;

/// One-minute values of a year.
const YEAR: usize = 365 * 24 * 60;

const FLUSH: Duration = Duration::from_millis(200);

/// How long appending is measured.
const APPENDING: Duration = Duration::from_secs(5);

/// How many points get a value at a time.
const POINTS: usize = 1_000;

const BUCKETS: usize = 1_000;

fn main() -> Fallible<()> {
    let folder = std::env::temp_dir().join(format!("pointstream-past-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let result = run(&folder);
    std::fs::remove_dir_all(&folder)?;
    result
}

fn run(folder: &Path) -> Fallible<()> {
    println!("# What past values cost\n");
    let ours = append_ours(&folder.join("append.redb"))?;
    let theirs = append_theirs(&folder.join("append.sqlite"))?;
    println!("Appended per second, {POINTS} points in turn, flushed each 200 ms:");
    println!("{ours:.0}, SQLite {theirs:.0}: {:.1} times\n", ours / theirs);
    println!(
        "| a year of one-minute values | bytes each | in the file | SQLite | read ms | SQLite | {BUCKETS} buckets ms | SQLite |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (name, signal) in signals() {
        year(folder, name, &signal)?;
    }
    Ok(())
}

/// A steady value, a day's swing with noise, a random walk; rounded to 32 bits as a history is.
fn signals() -> [(&'static str, Vec<f64>); 3] {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    };
    let round = |number: f64| f64::from(number as f32);
    let steady = vec![21.5; YEAR];
    let swing = |minute: usize| (minute as f64 / 1_440.0 * std::f64::consts::TAU).sin();
    let diurnal = (0..YEAR).map(|at| round(20.0 + 5.0 * swing(at) + random())).collect();
    let mut at = 20.0;
    let walk = (0..YEAR)
        .map(|_| {
            at += random();
            round(at)
        })
        .collect();
    [("steady", steady), ("diurnal with noise", diurnal), ("random walk", walk)]
}

fn time(minute: usize) -> Timestamp {
    Timestamp::from_second(1_700_000_000 / 60 * 60 + minute as i64 * 60).unwrap_or_default()
}

fn item(minute: usize, number: f64) -> (Timestamp, Option<Value>) {
    (time(minute), Some(Value::number(number)))
}

fn append_ours(file: &Path) -> Fallible<f64> {
    let history = StoredHistory::new(Arc::new(Store::open(file)?.0));
    let names: Vec<Arc<str>> = (0..POINTS).map(|at| format!("p{at}").into()).collect();
    let (start, mut minute) = (Instant::now(), 0);
    let mut pending: Vec<SeriesWrite> = Vec::new();
    let mut flushed = Instant::now();
    while start.elapsed() < APPENDING {
        for (at, name) in names.iter().enumerate() {
            let item = item(minute, f64::from((minute * 7 + at) as f32 * 0.1));
            match pending.get_mut(at) {
                Some(series) => series.items.push(item),
                None => pending.push(SeriesWrite { point: Arc::clone(name), items: vec![item] }),
            }
        }
        minute += 1;
        if flushed.elapsed() >= FLUSH {
            history.write(&pending)?;
            pending.clear();
            flushed = Instant::now();
        }
    }
    history.write(&pending)?;
    Ok((minute * POINTS) as f64 / start.elapsed().as_secs_f64())
}

fn sqlite(file: &Path) -> Fallible<Connection> {
    let connection = Connection::open(file)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch(
        "CREATE TABLE his (point INTEGER, ts INTEGER, val REAL, PRIMARY KEY (point, ts)) WITHOUT ROWID",
    )?;
    Ok(connection)
}

fn append_theirs(file: &Path) -> Fallible<f64> {
    let mut connection = sqlite(file)?;
    let (start, mut minute) = (Instant::now(), 0);
    while start.elapsed() < APPENDING {
        let transaction = connection.transaction()?;
        {
            let mut insert = transaction.prepare("INSERT INTO his VALUES (?, ?, ?)")?;
            let began = Instant::now();
            while began.elapsed() < FLUSH {
                for at in 0..POINTS {
                    let number = f64::from((minute * 7 + at) as f32 * 0.1);
                    insert.execute(params![at as i64, time(minute).as_millisecond(), number])?;
                }
                minute += 1;
            }
        }
        transaction.commit()?;
    }
    Ok((minute * POINTS) as f64 / start.elapsed().as_secs_f64())
}

fn year(folder: &Path, name: &str, signal: &[f64]) -> Fallible<()> {
    let (ours, theirs) = (folder.join("year.redb"), folder.join("year.sqlite"));
    // As it is collected: a value at a time, a flush of some together.
    let history = StoredHistory::new(Arc::new(Store::open(&ours)?.0));
    for (at, piece) in signal.chunks(1_440).enumerate() {
        let items = (at * 1_440..).zip(piece).map(|(minute, number)| item(minute, *number));
        history.write(&[SeriesWrite { point: "p".into(), items: items.collect() }])?;
    }
    let mut connection = sqlite(&theirs)?;
    let transaction = connection.transaction()?;
    {
        let mut insert = transaction.prepare("INSERT INTO his VALUES (0, ?, ?)")?;
        for (minute, number) in signal.iter().enumerate() {
            insert.execute(params![time(minute).as_millisecond(), number])?;
        }
    }
    transaction.commit()?;
    connection.pragma_update(None, "wal_checkpoint", "TRUNCATE")?;
    let stored = history.trim(Timestamp::MIN, u64::MAX)?.bytes as f64 / YEAR as f64;
    let taken = file_bytes(&ours)? / YEAR as f64;
    let file: f64 = connection.query_row(
        "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
        [],
        |row| row.get(0),
    )?;
    let read_ours = best(|| read_ours(&history))?;
    let read_theirs = best(|| read_theirs(&connection))?;
    let roll_ours = best(|| roll_ours(&history))?;
    let roll_theirs = best(|| roll_theirs(&connection))?;
    println!(
        "| {name} | {stored:.2} | {taken:.2} | {:.2} | {read_ours:.1} | {read_theirs:.1} | {roll_ours:.1} | {roll_theirs:.1} |",
        file / YEAR as f64
    );
    drop((history, connection));
    let remove = |path: PathBuf| std::fs::remove_file(path);
    remove(ours)?;
    remove(theirs)?;
    Ok(())
}

/// What a file takes on the disk.
fn file_bytes(path: &Path) -> Fallible<f64> {
    use std::os::unix::fs::MetadataExt;
    Ok(std::fs::metadata(path)?.blocks() as f64 * 512.0)
}

/// The shortest of some runs, in milliseconds.
fn best(mut run: impl FnMut() -> Fallible<()>) -> Fallible<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..25 {
        let start = Instant::now();
        run()?;
        best = best.min(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(best)
}

fn check(len: usize, wanted: usize) -> Fallible<()> {
    if len == wanted { Ok(()) } else { Err(format!("{len} rows, not {wanted}").into()) }
}

fn read_ours(history: &StoredHistory) -> Fallible<()> {
    let mut items = Vec::with_capacity(YEAR);
    history.read("p", Span::ALL, &mut |item| {
        items.push(item);
        true
    })?;
    check(items.len(), YEAR)
}

fn read_theirs(connection: &Connection) -> Fallible<()> {
    let mut select = connection.prepare("SELECT ts, val FROM his WHERE point = 0 ORDER BY ts")?;
    let rows = select.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, f64>(1)?)))?;
    let mut items = Vec::with_capacity(YEAR);
    for row in rows {
        let (at, number) = row?;
        items.push(HisItem::new(Timestamp::from_millisecond(at)?, Value::number(number)));
    }
    check(items.len(), YEAR)
}

fn roll_ours(history: &StoredHistory) -> Fallible<()> {
    let interval = Rollup::interval_for(Span::new(time(0), time(YEAR)), BUCKETS);
    let mut rollup = Rollup::new(interval, TimeZone::UTC);
    let mut buckets = 0;
    history.read("p", Span::ALL, &mut |item| {
        buckets += usize::from(rollup.add(&item).is_some());
        true
    })?;
    check(usize::from(buckets.abs_diff(BUCKETS) <= 1), 1)
}

fn roll_theirs(connection: &Connection) -> Fallible<()> {
    let width = YEAR as i64 * 60_000 / BUCKETS as i64 + 1;
    let mut select = connection.prepare(
        "SELECT ts / ?, min(val), max(val), avg(val), count(*) FROM his WHERE point = 0 GROUP BY 1",
    )?;
    let rows = select.query_map([width], |row| row.get::<_, f64>(3))?;
    check(usize::from(rows.count().abs_diff(BUCKETS) <= 1), 1)
}
