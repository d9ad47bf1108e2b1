//! Files that are damaged anywhere: opened, told, and what is sound in them kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use pointstream_point::{HisItem, Span, Value};
use pointstream_store::{History, Opened, SeriesWrite, Store, StoredHistory, Table};

use crate::folder::Folder;

const LEVELS: Table<f64> = Table::new("levels");

/// How many rows and how many histories of how many items the file has.
const ROWS: usize = 300;
const POINTS: i64 = 6;
const ITEMS: i64 = 4_000;

fn val(point: i64, at: i64) -> f64 {
    (point * 10_000 + at) as f64
}

/// A file with rows and histories.
fn whole(folder: &Folder) -> Vec<u8> {
    let (store, _) = Store::open(&folder.file()).unwrap();
    store
        .write(|w| (0..ROWS).try_for_each(|at| w.put(&LEVELS, &format!("p{at:03}"), &(at as f64))))
        .unwrap();
    let history = StoredHistory::new(Arc::new(store));
    for from in (0..ITEMS).step_by(1_000) {
        let series = |point: i64| SeriesWrite {
            point: format!("p{point}").into(),
            items: (from..from + 1_000)
                .map(|at| {
                    let ts = Timestamp::from_second(at * 60 + at % 7).unwrap();
                    (ts, Some(Value::number(val(point, at))))
                })
                .collect(),
        };
        history.write(&(0..POINTS).map(series).collect::<Vec<_>>()).unwrap();
    }
    drop(history);
    std::fs::read(folder.file()).unwrap()
}

/// How much of it there is in a file that was opened; nothing that was not in it.
fn count(store: &Arc<Store>, round: &str) -> (usize, usize) {
    let (rows, _) = store.sound_rows(&LEVELS).unwrap_or_else(|error| panic!("{round}: {error}"));
    for (key, row) in &rows {
        assert_eq!(key[1..].parse::<usize>().unwrap() as f64, *row, "{round}");
    }
    let history = StoredHistory::new(Arc::clone(store));
    let mut items = 0;
    for name in history.points().unwrap() {
        let mut seen = BTreeMap::new();
        let visit = &mut |item: HisItem| seen.insert(item.ts, item.val).is_none();
        history.read(&name, Span::ALL, visit).unwrap_or_else(|error| panic!("{round}: {error}"));
        for (ts, item) in &seen {
            let Value::Number(number, _) = item else { panic!("{round}: {item}") };
            let (point, at) = ((*number as i64) / 10_000, (*number as i64) % 10_000);
            assert_eq!(ts.as_second(), at * 60 + at % 7, "{round}: {name}");
            let named = name.strip_prefix('p').and_then(|number| number.parse().ok());
            assert!(named.is_none_or(|named: i64| named == point), "{round}: {name} has {number}");
        }
        items += seen.len();
    }
    (rows.len(), items)
}

/// Opens a damaged file, uses it, and opens it again. Gives how much of it there is, and whether it
/// was told that it is damaged.
fn survive(folder: &Folder, bytes: &[u8], round: &str) -> (usize, usize, bool) {
    std::fs::write(folder.file(), bytes).unwrap();
    let (store, opened) =
        Store::open(&folder.file()).unwrap_or_else(|error| panic!("{round}: {error}"));
    let store = Arc::new(store);
    let (rows, items) = count(&store, round);
    store.write(|w| w.put(&LEVELS, "p999", &999.0)).unwrap();
    let history = StoredHistory::new(Arc::clone(&store));
    let new =
        (Timestamp::from_second(9_000 * 60 + 9_000 % 7).unwrap(), Some(Value::number(9_000.0)));
    history.write(&[SeriesWrite { point: "p0".into(), items: vec![new] }]).unwrap();
    drop((store, history));
    let (store, again) = Store::open(&folder.file()).unwrap();
    assert_eq!(again, Opened::Found, "{round}: once is enough");
    let (rows_again, items_again) = count(&Arc::new(store), round);
    assert_eq!((rows_again, items_again), (rows + 1, items + 1), "{round}");
    let checked = Store::check(&folder.file()).unwrap();
    assert!(checked.damage.is_none() && checked.bad_rows == 0, "{round}: {checked:?}");
    if let Opened::Quarantined { aside, .. } = &opened {
        std::fs::remove_file(aside).unwrap();
    }
    (rows, items, matches!(opened, Opened::Quarantined { .. }))
}

#[test]
fn a_file_damaged_at_random_opens_is_told_and_keeps_what_is_sound() {
    let folder = Folder::new("random");
    let whole = whole(&folder);
    let rounds = std::env::var("POINTSTREAM_TEST_DAMAGES").ok().and_then(|text| text.parse().ok());
    let rounds = rounds.unwrap_or(40);
    let mut seed = 7u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    let (mut kept_rows, mut kept_items, mut told) = (0, 0, 0);
    for round in 0..rounds {
        let mut bytes = whole.clone();
        let at = random(bytes.len());
        let what = match random(3) {
            0 => {
                bytes[at] ^= 1 << random(8);
                "a bit"
            }
            1 => {
                let end = (at + 1 + random(64)).min(bytes.len());
                bytes[at..end].iter_mut().for_each(|byte| *byte = random(256) as u8);
                "some bytes"
            }
            _ => {
                let page = at / 4_096 * 4_096;
                let end = (page + 4_096).min(bytes.len());
                bytes[page..end].fill(0);
                "a page"
            }
        };
        let name = format!("round {round}, {what} at {at}");
        let (rows, items, is_told) = survive(&folder, &bytes, &name);
        (kept_rows, kept_items, told) =
            (kept_rows + rows, kept_items + items, told + usize::from(is_told));
    }
    let share = |kept: usize, of: usize| kept as f64 / (of * rounds) as f64;
    let rows = share(kept_rows, ROWS);
    let items = share(kept_items, usize::try_from(POINTS * ITEMS).unwrap());
    println!(
        "kept of {rounds} damaged files: {rows:.3} of the rows, {items:.3} of the items; told {told}"
    );
    assert!(rows > 0.7 && items > 0.7, "{rows} of the rows, {items} of the items");
}

#[test]
fn a_file_cut_anywhere_opens_and_is_told() {
    let folder = Folder::new("cut");
    let whole = whole(&folder);
    for len in (0..whole.len()).step_by(whole.len() / 17) {
        let (.., told) = survive(&folder, &whole[..len], &format!("cut at {len}"));
        assert!(told, "cut at {len}");
    }
}

#[test]
fn a_file_is_checked_and_repaired_without_a_gateway() {
    let folder = Folder::new("repair");
    assert!(Store::check(&folder.file()).is_err(), "there is none");
    let mut bytes = whole(&folder);
    let sound = Store::check(&folder.file()).unwrap();
    assert!(sound.is_sound(), "{sound:?}");
    let all = u64::try_from(POINTS * ITEMS).unwrap();
    assert_eq!((sound.rows, sound.points, sound.items), (ROWS as u64, POINTS as u64, all));
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4_096].fill(0xff);
    std::fs::write(folder.file(), &bytes).unwrap();
    let checked = Store::check(&folder.file()).unwrap();
    if checked.is_sound() {
        panic!("the middle of the file is of no use: {checked:?}");
    }
    let (opened, repaired) = Store::repair(&folder.file()).unwrap();
    assert!(matches!(opened, Opened::Quarantined { .. }), "{opened:?}");
    assert!(repaired.is_sound() && repaired.items > 0, "{repaired:?}");
    assert_eq!(Store::check(&folder.file()).unwrap(), repaired);
}
