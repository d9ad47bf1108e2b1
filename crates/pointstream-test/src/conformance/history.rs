//! Histories that a driver's device keeps.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use pointstream_conn::{Binding, Driver, OpError, Reading, Readings, Samples};
use pointstream_point::{PointKey, Span, Value};

use super::{History, Points, bind, check};

/// How many readings a span may take.
const READINGS_MAX: usize = 1_000;

/// A span is read whole, in parts, empty, and where there is nothing; and what there is no history of
/// is refused, which is no reason to lose the session.
pub(super) async fn is_read_by_spans<D: Driver>(mut driver: D, points: &Points) {
    let Some(history) = &points.history else { return };
    assert!(driver.features().history, "the driver says that it reads no histories");
    let faults = bind(&mut driver, core::slice::from_ref(&history.point));
    assert_eq!(faults, [], "a good history has no faults");
    check(driver.open(&mut Readings::new()).await, "open", 0);
    let whole = read(&mut driver, history.point.key, history.span).await;
    assert!(whole.len() > 2, "a history of a few items at least, not {}", whole.len());
    assert_eq!(read(&mut driver, history.point.key, history.span).await, whole, "read again");
    let century = SignedDuration::from_hours(24 * 36_525);
    let (start, end) = (history.span.start, history.span.end);
    let (first, last) = (start.checked_sub(century), end.checked_add(century));
    let (Ok(first), Ok(last)) = (first, last) else { panic!("a century around {start}") };
    let over = read(&mut driver, history.point.key, Span::new(first, last)).await;
    assert!(whole.iter().all(|(ts, val)| over.get(ts) == Some(val)), "a century has all of it");
    for at in [0, whole.len() / 2, whole.len() - 1] {
        let Some((&middle, _)) = whole.iter().nth(at) else { continue };
        let mut parts = read(&mut driver, history.point.key, Span::new(start, middle)).await;
        let after = read(&mut driver, history.point.key, Span::new(middle, end)).await;
        assert!(parts.keys().all(|ts| !after.contains_key(ts)), "no item is in both parts");
        parts.extend(after);
        assert_eq!(parts, whole, "cut at {middle}");
    }
    for nothing in [Span::new(start, start), Span::new(end, start), Span::new(last, last)] {
        let none = read(&mut driver, history.point.key, nothing).await;
        assert!(none.is_empty(), "there is nothing from {} to {}", nothing.start, nothing.end);
    }
    refuses_what_there_is_none_of(&mut driver, points, history).await;
    check(driver.ping(&mut Readings::new()).await, "ping after reading histories", 0);
    driver.close().await;
}

async fn refuses_what_there_is_none_of<D: Driver>(
    driver: &mut D,
    points: &Points,
    history: &History,
) {
    let mut keys = Vec::new();
    // One that was never bound, and one that has no history.
    keys.push(PointKey { slot: u32::MAX, ..history.point.key });
    keys.extend(points.readable.iter().find(|point| point.his.is_none()).map(|point| point.key));
    bind(driver, &points.readable);
    if let Some(bad) = &history.bad {
        let faults = his_faults(driver, bad);
        assert!(faults.iter().all(|key| *key == bad.key), "a bad history is its point's fault");
        keys.push(bad.key);
    }
    for key in keys {
        let mut into = Samples::new();
        match driver.history(key, history.span, &mut into).await {
            Err(OpError::Refused(_)) => {}
            Ok(()) if into.items().is_empty() => {}
            other => panic!("{key:?} has no history: {other:?}, {} items", into.items().len()),
        }
    }
}

/// The points whose histories a driver faults when it is given a point.
fn his_faults<D: Driver>(driver: &mut D, point: &Binding) -> Vec<PointKey> {
    let mut into = Readings::new();
    driver.bind(core::slice::from_ref(point), &mut into);
    let key = |reading| match reading {
        Reading::HisErr(key, _) => Some(key),
        _ => None,
    };
    into.drain().filter_map(key).collect()
}

/// The items of a span, in as many readings as the device needs.
async fn read<D: Driver>(
    driver: &mut D,
    key: PointKey,
    mut span: Span,
) -> BTreeMap<Timestamp, Value> {
    let mut items = BTreeMap::new();
    for round in 0..READINGS_MAX {
        let mut into = Samples::new();
        check(driver.history(key, span, &mut into).await, "history", round);
        let cut = into.is_cut();
        let within: BTreeMap<_, _> =
            into.into_items().into_iter().map(|item| (item.ts, item.val)).collect();
        let within: BTreeMap<_, _> =
            within.into_iter().filter(|(ts, _)| span.contains(*ts)).collect();
        let last = within.keys().next_back().copied();
        items.extend(within);
        let next = last.and_then(|last| last.checked_add(SignedDuration::from_nanos(1)).ok());
        match next {
            _ if !cut => return items,
            Some(next) => span.start = next,
            None => panic!("there is more, but nothing was given to go on from"),
        }
    }
    panic!("a span takes more than {READINGS_MAX} readings")
}
