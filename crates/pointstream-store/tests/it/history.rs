//! Histories against a plain map, and at their limits.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use pointstream_point::{HisItem, Span, Value};
use pointstream_store::{History, SeriesWrite, Store, StoredHistory};
use proptest::prelude::*;

use crate::folder::Folder;

fn ts(secs: i64) -> Timestamp {
    Timestamp::from_second(secs).unwrap()
}

fn open(folder: &Folder) -> StoredHistory {
    StoredHistory::new(Arc::new(Store::open(&folder.file()).unwrap().0))
}

fn write(history: &StoredHistory, point: &str, items: Vec<(Timestamp, Option<Value>)>) {
    history.write(&[SeriesWrite { point: point.into(), items }]).unwrap();
}

fn numbers(secs: impl IntoIterator<Item = i64>) -> Vec<(Timestamp, Option<Value>)> {
    secs.into_iter().map(|at| (ts(at), Some(Value::number(at as f64)))).collect()
}

fn read(history: &StoredHistory, point: &str, span: Span) -> Vec<HisItem> {
    let mut items = Vec::new();
    let visit = &mut |item| {
        items.push(item);
        true
    };
    history.read(point, span, visit).unwrap();
    items
}

fn seconds(items: &[HisItem]) -> Vec<i64> {
    items.iter().map(|item| item.ts.as_second()).collect()
}

#[derive(Clone, Debug)]
enum Step {
    /// Items from a time on, at this distance, of which some take away.
    Write {
        point: usize,
        start: i64,
        step: i64,
        len: usize,
        removes: bool,
    },
    Read {
        point: usize,
        start: i64,
        len: i64,
    },
    Reopen,
    Remove {
        point: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let write = (0..3usize, 0..4_000i64, 1..5i64, 1..900usize, prop::bool::weighted(0.2));
    let write = write.prop_map(|(point, start, step, len, removes)| Step::Write {
        point,
        start,
        step,
        len,
        removes,
    });
    let read = (0..3usize, -10..6_000i64, 0..2_000i64).prop_map(|(point, start, len)| Step::Read {
        point,
        start,
        len,
    });
    prop_oneof![
        6 => write,
        6 => read,
        1 => Just(Step::Reopen),
        1 => (0..3usize).prop_map(|point| Step::Remove { point }),
    ]
}

/// What a plain map says that a read gives.
fn expected(model: &BTreeMap<i64, f64>, start: i64, end: i64) -> Vec<i64> {
    let before = model.range(..start).next_back();
    let within = model.range(start..end.max(start));
    let after = model.range(end.max(start)..).take(2);
    before.into_iter().chain(within).chain(after).map(|(at, _)| *at).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn a_history_is_a_map(steps in proptest::collection::vec(step(), 1..30)) {
        let folder = Folder::new("model");
        let mut history = open(&folder);
        let mut models = [BTreeMap::new(), BTreeMap::new(), BTreeMap::new()];
        let name = |point: usize| format!("p{point}");
        for step in steps {
            match step {
                Step::Write { point, start, step, len, removes } => {
                    let mut items = numbers((0..len as i64).map(|at| start + at * step));
                    for (at, (ts, val)) in items.iter_mut().enumerate() {
                        if removes && at % 3 == 0 {
                            *val = None;
                            models[point].remove(&ts.as_second());
                        } else {
                            models[point].insert(ts.as_second(), ts.as_second() as f64);
                        }
                    }
                    write(&history, &name(point), items);
                }
                Step::Read { point, start, len } => {
                    let span = Span::new(ts(start), ts(start + len));
                    let items = read(&history, &name(point), span);
                    prop_assert_eq!(seconds(&items), expected(&models[point], start, start + len));
                    let good = |item: &HisItem| item.val == Value::number(item.ts.as_second() as f64);
                    prop_assert!(items.iter().all(good));
                }
                Step::Reopen => {
                    drop(history);
                    history = open(&folder);
                }
                Step::Remove { point } => {
                    history.remove(&name(point)).unwrap();
                    models[point].clear();
                }
            }
        }
        for (point, model) in models.iter().enumerate() {
            let last = history.last(&name(point)).unwrap().map(|item| item.ts.as_second());
            prop_assert_eq!(last, model.keys().next_back().copied());
            let size = history.info(&name(point)).unwrap().map_or(0, |info| info.size);
            prop_assert_eq!(size, model.len() as u64);
        }
    }
}

#[test]
fn a_read_gives_one_before_and_two_after_and_ends_when_there_is_enough() {
    let folder = Folder::new("around");
    let history = open(&folder);
    write(&history, "p", numbers((0..10_000).map(|at| at * 60)));
    let items = read(&history, "p", Span::new(ts(300_000), ts(300_120)));
    assert_eq!(seconds(&items), [299_940, 300_000, 300_060, 300_120, 300_180]);
    let century = Span::new(ts(-600_000_000), ts(3_000_000_000));
    assert_eq!(read(&history, "p", century).len(), 10_000);
    assert_eq!(seconds(&read(&history, "p", Span::new(ts(700_000), ts(800_000)))), [599_940]);
    assert_eq!(read(&history, "none", century), []);
    let mut count = 0;
    let mut enough = |_| {
        count += 1;
        count < 3
    };
    history.read("p", century, &mut enough).unwrap();
    assert_eq!(count, 3);
}

#[test]
fn what_is_too_old_or_too_much_is_forgotten() {
    let folder = Folder::new("trim");
    let history = open(&folder);
    for point in ["a", "b"] {
        write(&history, point, numbers((0..20_480).map(|at| at * 60)));
    }
    let trimmed = history.trim(ts(60 * 5_120), u64::MAX).unwrap();
    assert_eq!(trimmed.items, 2 * 5_120);
    assert_eq!(history.info("a").unwrap().unwrap().start.ts, ts(60 * 5_120));
    let half = trimmed.bytes / 2;
    let trimmed = history.trim(Timestamp::MIN, half).unwrap();
    assert!(trimmed.bytes <= half, "{trimmed:?}");
    assert!(trimmed.bytes > half * 3 / 4, "no more than needed, by and large: {trimmed:?}");
    assert_eq!(history.info("b").unwrap().unwrap().end.ts, ts(60 * 20_479), "the latest stays");
    history.trim(Timestamp::MIN, 0).unwrap();
    assert!(history.info("a").unwrap().is_some(), "the last chunk stays whatever the limit");
}

#[test]
fn one_batch_fills_many_histories_again_and_again() {
    let folder = Folder::new("many");
    let history = open(&folder);
    for round in 0..6 {
        let series = |point: i64| {
            let start = round * 700 + point % 7;
            let items = numbers(start..start + 700 + point % 5);
            SeriesWrite { point: format!("p{point}").into(), items }
        };
        history.write(&(0..60).map(series).collect::<Vec<_>>()).unwrap();
    }
    for point in 0..60 {
        let info = history.info(&format!("p{point}")).unwrap().unwrap();
        assert_eq!(info.size, 6 * 700 + (point % 5) as u64, "point {point}");
    }
}

#[test]
fn long_texts_make_short_chunks() {
    let folder = Folder::new("texts");
    let history = open(&folder);
    let text = Value::str("x".repeat(100_000));
    write(&history, "p", (0..40).map(|at| (ts(at), Some(text.clone()))).collect());
    assert_eq!(read(&history, "p", Span::ALL).len(), 40);
    write(&history, "p", vec![(ts(20), None)]);
    assert_eq!(history.info("p").unwrap().unwrap().size, 39);
}

#[test]
fn a_panic_of_the_caller_is_its_own_and_no_damage() {
    let folder = Folder::new("visitor");
    let history = open(&folder);
    write(&history, "p", numbers(0..3));
    // With an item in the span, and with only the one before it.
    for start in [0, 9] {
        let span = Span::new(ts(start), ts(start + 1));
        let read = || history.read("p", span, &mut |_| panic!("of the caller"));
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(read)).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"of the caller"));
    }
    let mut suspect = folder.file().into_os_string();
    suspect.push(".suspect");
    assert!(!std::path::Path::new(&suspect).exists());
    assert_eq!(seconds(&read(&history, "p", Span::ALL)), [0, 1, 2]);
}
