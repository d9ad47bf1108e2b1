//! What a driver finds in its device's tree.

use std::collections::{BTreeSet, VecDeque};

use pointstream_conn::{Binding, Driver, Learn, OpError, Readings};
use pointstream_point::{Kind, LearnPath, LearnRow, PointKey};

use super::{Points, bind, check};

/// How many places are looked at; a tree may be endless.
const PLACES_MAX: usize = 64;

/// How many learned points of one place are bound.
const BOUND_MAX: usize = 1_000;

/// The first slot of learned points, beyond those of the points that a test has.
const BOUND_FROM: u32 = 1_000;

/// Every point that is learned has addresses that bind; a place that there is none of is refused
/// or empty, and no reason to lose the session; without a session it works as often as with one.
pub(super) async fn leads_to_points_that_bind<D: Driver>(mut driver: D, points: &Points) {
    let Some(needs) = driver.features().learn else { return };
    bind(&mut driver, &points.readable);
    if needs == Learn::Offline {
        check(driver.learn(None).await, "learn while closed", 0);
    }
    check(driver.open(&mut Readings::new()).await, "open", 0);
    let mut seen = BTreeSet::new();
    let mut places = VecDeque::from([None::<LearnPath>]);
    while let Some(at) = places.pop_front() {
        let rows = check(driver.learn(at.as_ref()).await, "learn", seen.len());
        assert_bind(&mut driver, &rows);
        for path in rows.into_iter().filter_map(|row| row.learn) {
            if seen.len() < PLACES_MAX && seen.insert(path.clone()) {
                places.push_back(Some(path));
            }
        }
    }
    for text in ["no such place \u{1F5FF}", &"/".repeat(LearnPath::LEN_MAX)] {
        let nowhere = LearnPath::new(text).ok();
        if let Err(OpError::Session(fault)) = driver.learn(nowhere.as_ref()).await {
            panic!("a place that there is none of ended the session: {fault}");
        }
    }
    check(driver.ping(&mut Readings::new()).await, "ping after learning", 0);
    driver.close().await;
}

fn assert_bind<D: Driver>(driver: &mut D, rows: &[LearnRow]) {
    let learned: Vec<Binding> = (0..)
        .zip(rows.iter().filter(|row| row.is_point()).take(BOUND_MAX))
        .map(|(at, row)| {
            let key = PointKey { shard: 1, slot: BOUND_FROM + at, generation: 1 };
            let mut binding = Binding::new(key, row.kind.unwrap_or(Kind::Number));
            if row.kind.is_none() {
                (binding.kind, binding.write_kind) = (None, None);
            }
            (binding.cur, binding.write) = (row.cur.clone(), row.write.clone());
            binding
        })
        .collect();
    assert_eq!(bind(driver, &learned), [], "learned points have good addresses");
    let keys: Vec<_> = learned.iter().map(|binding| binding.key).collect();
    driver.unbind(&keys);
}
