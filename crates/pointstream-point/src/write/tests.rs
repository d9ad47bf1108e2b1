//! The worked examples of the connector specification, section 3.3, and what else may happen.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{Convert, ConvertContext, Kind, LevelWrite, PriorityArray};

const MS_100: Duration = Duration::from_millis(100);

fn at(millis: u64) -> Instant {
    // Not at the origin, so that nothing works because zero stands for never.
    Instant::from_origin(Duration::from_millis(10_000 + millis))
}

/// A writable point with a device behind it that keeps what it is given.
struct Bench {
    array: PriorityArray,
    state: WriteState,
    tuning: Tuning,
    convert: Convert,
    device: Vec<String>,
}

impl Bench {
    fn new(tuning: Tuning) -> Self {
        Self {
            array: PriorityArray::new(Kind::Number, None),
            state: WriteState::default(),
            tuning,
            convert: Convert::parse("*10").unwrap(),
            device: Vec::new(),
        }
    }

    /// Someone writes a level; what is due goes to the device.
    fn write(&mut self, millis: u64, val: impl Into<Option<f64>>, level: u8) {
        let val = val.into().map_or(Value::Null, Value::number);
        let write = LevelWrite::new(Level::new(level).unwrap(), val, "test");
        if let Some(effective) = self.array.write(at(millis), write).unwrap().effective {
            self.state.on_write(WriteInfo::new(effective, "test"), &self.tuning);
        }
        self.drain(millis);
    }

    fn pass(&mut self, millis: u64) {
        self.state.handle_timeout(at(millis), &self.tuning, true);
        self.drain(millis);
    }

    fn drain(&mut self, millis: u64) {
        while let Some(info) = self.state.take(at(millis), &self.tuning) {
            let val = self.convert.apply(&info.val, &ConvertContext::new()).unwrap();
            self.device.push(alloc::format!("{val}@{}", info.level.number()));
            self.state.on_ok(at(millis));
        }
    }

    fn last(&self) -> String {
        self.state.last().map(ToString::to_string).unwrap_or_default()
    }

    fn timeout(&self) -> Option<Instant> {
        self.state.poll_timeout(&self.tuning, true)
    }
}

#[test]
fn example_a_a_least_time_keeps_the_newest_value_waiting() {
    let mut bench = Bench::new(Tuning::default().with_write_min_time(MS_100));
    bench.write(0, 2.0, 16);
    assert_eq!(bench.device, ["20@16"]);
    bench.write(1, 3.0, 15);
    assert_eq!((bench.array.effective().level.number(), bench.device.len()), (15, 1));
    bench.write(2, 4.0, 14);
    assert!(bench.state.is_pending());
    assert_eq!(bench.last(), "4 @ 14 [test]");
    assert_eq!((bench.device.len(), bench.timeout()), (1, Some(at(100))));
    bench.pass(99);
    assert_eq!(bench.device.len(), 1);
    bench.pass(160);
    assert_eq!(bench.device, ["20@16", "40@14"]);
    assert_eq!(bench.last(), "4 @ 14 [test] minTime");
    assert!(!bench.state.is_pending());
    assert_eq!(bench.timeout(), None);
    for (val, level) in [(Some(5.0), 16), (None, 15), (None, 14)] {
        bench.write(280, val, level);
    }
    assert_eq!(bench.device, ["20@16", "40@14", "50@16"]);
}

#[test]
fn example_b_a_most_time_writes_the_last_value_again() {
    let mut bench = Bench::new(Tuning::default().with_write_max_time(MS_100));
    bench.write(0, 77.0, 16);
    assert_eq!(bench.device, ["770@16"]);
    bench.pass(80);
    assert_eq!((bench.device.len(), bench.timeout()), (1, Some(at(100))));
    bench.pass(100);
    assert_eq!(bench.device, ["770@16", "770@16"]);
    bench.pass(199);
    assert_eq!(bench.device.len(), 2);
    bench.pass(200);
    assert_eq!(bench.device.len(), 3);
    bench.write(250, 88.0, 15);
    assert_eq!(bench.device.last().unwrap(), "880@15");
    assert_eq!(bench.last(), "88 @ 15 [test]");
    bench.pass(349);
    assert_eq!(bench.device.len(), 4);
    bench.pass(350);
    assert_eq!((bench.device.len(), &*bench.last()), (5, "88 @ 15 [test] maxTime"));
}

#[test]
fn example_c_only_points_that_want_it_are_written_at_start_and_on_open() {
    let wants = Tuning::default().with_write_on_start(true).with_write_on_open(true);
    let (mut x, mut y) = (Bench::new(Tuning::default()), Bench::new(wants));
    for (bench, val) in [(&mut x, 20.0), (&mut y, 10.0)] {
        // Before the steady state the array takes values and nobody is told.
        let write = LevelWrite::new(Level::new(16).unwrap(), Value::number(val), "test");
        bench.array.write(at(0), write).unwrap();
        assert_eq!(bench.state.own(), Status::Unknown);
    }
    for bench in [&mut x, &mut y] {
        let first = WriteInfo::first(bench.array.effective().clone());
        bench.state.on_write(first, &bench.tuning);
        bench.drain(1000);
    }
    assert_eq!((x.device.len(), x.state.own(), x.state.last()), (0, Status::Unknown, None));
    assert_eq!((&*y.device, y.state.own()), (&["100@16".into()][..], Status::Ok));
    assert_eq!(y.last(), "10 @ 16 [first]");
    x.write(2000, 21.0, 16);
    y.write(2000, 11.0, 16);
    assert_eq!(
        (x.device.last().unwrap().as_str(), y.device.last().unwrap().as_str()),
        ("210@16", "110@16")
    );
    for bench in [&mut x, &mut y] {
        bench.state.on_open(&bench.tuning);
        bench.drain(3000);
    }
    assert_eq!((x.device.len(), y.device.len()), (1, 3));
    assert_eq!(y.last(), "11 @ 16 [test] onOpen");
}

#[test]
fn a_rewrite_never_hides_a_value_that_came_in_meanwhile() {
    // The reference once let the rewrite take the place of the live value in its queue.
    let mut bench = Bench::new(Tuning::default().with_write_max_time(MS_100));
    bench.write(0, 1.0, 16);
    bench.state.handle_timeout(at(100), &bench.tuning, true);
    assert!(bench.state.is_due());
    let live = Effective { val: Value::number(2.0), level: Level::MANUAL };
    bench.state.on_write(WriteInfo::new(live, "test"), &bench.tuning);
    bench.state.handle_timeout(at(101), &bench.tuning, true);
    bench.state.on_open(&bench.tuning.clone().with_write_on_open(true));
    bench.drain(101);
    assert_eq!(bench.device, ["10@16", "20@8"]);
    assert_eq!(bench.last(), "2 @ 8 [test]");
}

#[test]
fn a_value_that_comes_while_another_is_on_its_way_is_written_behind_it() {
    let mut state = WriteState::default();
    let tuning = Tuning::default();
    let info =
        |val| WriteInfo::new(Effective { val: Value::number(val), level: Level::MANUAL }, "test");
    state.on_write(info(1.0), &tuning);
    assert_eq!(state.take(at(0), &tuning).unwrap().val, Value::number(1.0));
    state.on_write(info(2.0), &tuning);
    state.on_write(info(3.0), &tuning);
    assert_eq!((state.take(at(1), &tuning), state.is_due()), (None, false));
    state.on_ok(at(2));
    assert!(state.is_due());
    assert_eq!(state.take(at(2), &tuning).unwrap().val, Value::number(3.0));
    state.on_ok(at(3));
    assert_eq!(state.take(at(3), &tuning), None);
}

#[test]
fn rewrites_wait_for_the_steady_state() {
    let mut bench = Bench::new(Tuning::default().with_write_max_time(MS_100));
    bench.write(0, 1.0, 16);
    assert_eq!(bench.state.poll_timeout(&bench.tuning, false), None);
    bench.state.handle_timeout(at(500), &bench.tuning, false);
    assert!(!bench.state.is_due());
    bench.pass(501);
    assert_eq!(bench.device.len(), 2);
}

#[test]
fn the_times_count_from_attempts_and_a_failure_is_not_repeated_by_itself() {
    let tuning = Tuning::default().with_write_min_time(MS_100);
    let mut bench = Bench::new(tuning.clone());
    let effective = Effective { val: Value::number(1.0), level: Level::MANUAL };
    bench.state.on_write(WriteInfo::new(effective, "test"), &tuning);
    assert!(bench.state.take(at(0), &tuning).is_some());
    bench.state.on_fault(at(0), &Fault::down("closed"));
    assert_eq!((bench.state.own(), bench.timeout()), (Status::Down, None));
    bench.write(50, 2.0, 7);
    assert!(bench.state.is_pending() && bench.device.is_empty());
    bench.pass(100);
    assert_eq!(bench.device, ["20@7"]);
    assert_eq!(bench.state.own(), Status::Ok);
}

#[test]
fn a_value_that_waits_goes_at_once_when_the_least_time_is_tuned_away() {
    let mut bench = Bench::new(Tuning::default().with_write_min_time(MS_100));
    bench.write(0, 1.0, 16);
    bench.write(1, 2.0, 16);
    bench.tuning = Tuning::default();
    bench.pass(2);
    assert_eq!(bench.device, ["10@16", "20@16"]);
}

#[test]
fn null_is_written_as_any_other_value() {
    let mut bench = Bench::new(Tuning::default());
    bench.write(0, 1.0, 16);
    bench.write(1, None, 16);
    assert_eq!(bench.device, ["10@16", "null@17"]);
    assert_eq!(bench.last(), "null @ 17 [test]");
}

#[test]
fn what_stands_above_is_shown_and_gives_way_again() {
    let wall = |secs| Timestamp::from_second(secs).unwrap();
    let mut state = WriteState::new(wall(0));
    assert!(!state.show(None, wall(1)));
    state.on_fault(at(0), &Fault::permanent("Illegal Data Value"));
    assert!(state.show(None, wall(2)));
    let err: Arc<str> = "conn down".into();
    assert!(state.show(Some((Status::Down, &err)), wall(3)));
    assert!(!state.show(Some((Status::Down, &err)), wall(4)));
    assert!(state.show(None, wall(5)));
    let write = state.write();
    assert_eq!((write.status, write.ts), (Status::Fault, wall(5)));
    assert_eq!(write.err.as_deref(), Some("Illegal Data Value"));
    state.reset();
    assert!(state.show(None, wall(6)));
    assert_eq!((state.write().status, state.last()), (Status::Unknown, None));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens, the device ends up with the newest value, and no two writes are closer
    /// than the least time.
    #[test]
    fn the_device_ends_up_with_the_newest_value(
        min in prop::option::of(1_u64..200),
        max in prop::option::of(1_u64..400),
        ops in prop::collection::vec((0_u8..4, 0_u8..10, 0_u64..120), 1..60),
    ) {
        let mut tuning = Tuning::default().with_write_on_open(true);
        if let Some(min) = min {
            tuning = tuning.with_write_min_time(Duration::from_millis(min));
        }
        if let Some(max) = max {
            tuning = tuning.with_write_max_time(Duration::from_millis(max));
        }
        let (mut state, mut millis, mut newest) = (WriteState::default(), 0, None);
        let (mut device, mut ended): (Option<Value>, Option<Instant>) = (None, None);
        let mut in_flight = false;
        for (op, val, pause) in ops.into_iter().chain((0..8).map(|_| (3, 0, 500))) {
            millis += pause;
            let now = at(millis);
            match op {
                0 => {
                    let val = Value::number(f64::from(val));
                    newest = Some(val.clone());
                    let effective = Effective { val, level: Level::MANUAL };
                    state.on_write(WriteInfo::new(effective, "test"), &tuning);
                }
                1 => state.on_open(&tuning),
                2 if in_flight => {
                    state.on_fault(now, &Fault::down("gone"));
                    // The value came to the device, its answer did not come back.
                    (in_flight, ended) = (false, Some(now));
                }
                _ if in_flight => {
                    state.on_ok(now);
                    (in_flight, ended) = (false, Some(now));
                }
                _ => state.handle_timeout(now, &tuning, true),
            }
            if let Some(info) = state.take(now, &tuning) {
                prop_assert!(!in_flight);
                if let (Some(ended), Some(min)) = (ended, tuning.write_min_time) {
                    prop_assert!(now >= ended + min);
                }
                device = Some(info.val);
                in_flight = true;
            }
        }
        prop_assert_eq!(device, newest);
        prop_assert!(!state.is_pending());
    }
}
