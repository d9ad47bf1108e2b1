//! The write timing of Haxall's tuning, with its worked examples.

use super::*;

fn ms(millis: u64) -> Instant {
    Instant::from_origin(Duration::from_millis(millis))
}

fn with_tuning(tuning: Tuning, configure: impl Fn(&mut PointSpec)) -> (Sim, Arc<NamedTuning>) {
    let mut config = ConnConfig::new("ahu".parse().unwrap(), 7);
    config.steady_at = ms(50);
    let mut sim = Sim::with(Features::NONE.with_poll().with_write(), config);
    let tuning = Arc::new(NamedTuning::new("t".parse().unwrap(), tuning));
    let mut def = point(0, &tuning);
    let mut spec = (*def.spec).clone();
    configure(&mut spec);
    def.spec = Arc::new(spec);
    sim.input(Input::Bind(vec![def]));
    (sim, tuning)
}

fn level(number: u8) -> Level {
    Level::new(number).unwrap()
}

impl Sim {
    fn put(&mut self, at: Instant, val: f64, at_level: u8, token: u64) {
        self.run_until(at);
        let info = WriteInfo::at(Value::number(val), level(at_level), "test");
        self.input(Input::Write(key(0), info, token));
    }

    fn taken(&self) -> Vec<(u64, f64)> {
        let number = |value: &Value| match value {
            Value::Number(number, _) => *number,
            other => panic!("{other:?}"),
        };
        let taken = self.device.taken.iter();
        taken.map(|(at, _, value)| (at.since_origin().as_millis() as u64, number(value))).collect()
    }

    fn last(&self) -> (String, bool) {
        let (info, pending) = self.machine.last_write(key(0)).unwrap();
        (info.to_string(), pending)
    }
}

#[test]
fn example_a_what_comes_too_soon_waits_and_only_the_newest_is_written() {
    let tuning = Tuning::default().with_write_min_time(Duration::from_millis(100));
    let (mut sim, _) = with_tuning(tuning, |spec| spec.more.write_convert = Some("* 10".into()));
    sim.put(ms(1000), 2.0, 16, 1);
    sim.put(ms(1001), 3.0, 15, 2);
    assert_eq!(sim.taken(), [(1000, 20.0)]);
    sim.put(ms(1002), 4.0, 14, 3);
    assert_eq!(sim.last(), ("4 @ 14 [test]".to_owned(), true));
    let ends: Vec<_> = sim.written.iter().map(|(_, result)| result.clone().unwrap()).collect();
    assert_eq!(ends, [WriteDone::Taken, WriteDone::Waiting, WriteDone::Waiting]);
    sim.run_until(ms(1160));
    assert_eq!(sim.taken(), [(1000, 20.0), (1100, 40.0)], "at the millisecond");
    assert_eq!(sim.last(), ("4 @ 14 [test] minTime".to_owned(), false));
    sim.put(ms(1300), 5.0, 16, 4);
    assert_eq!(sim.taken().last(), Some(&(1300, 50.0)));
}

#[test]
fn example_b_the_last_value_is_written_again_after_the_greatest_time() {
    let tuning = Tuning::default().with_write_max_time(Duration::from_millis(100));
    let (mut sim, _) = with_tuning(tuning, |spec| spec.more.write_convert = Some("* 10".into()));
    sim.put(ms(1000), 77.0, 16, 1);
    sim.run_until(ms(1099));
    assert_eq!(sim.taken(), [(1000, 770.0)]);
    sim.run_until(ms(1250));
    assert_eq!(sim.taken(), [(1000, 770.0), (1100, 770.0), (1200, 770.0)]);
    sim.put(ms(1250), 88.0, 15, 2);
    sim.run_until(ms(1350));
    assert_eq!(sim.taken()[3..], [(1250, 880.0), (1350, 880.0)]);
    assert_eq!(sim.last(), ("88 @ 15 [test] maxTime".to_owned(), false));
}

#[test]
fn example_c_what_a_point_has_at_start_is_written_only_if_its_tuning_says_so() {
    for on_start in [false, true] {
        let tuning = Tuning::default().with_write_on_start(on_start);
        let (mut sim, _) = with_tuning(tuning, |_| {});
        sim.run_until(ms(50));
        let mut first = WriteInfo::at(Value::number(10.0), level(16), "first");
        first.first = true;
        sim.input(Input::Write(key(0), first, 1));
        let done = if on_start { WriteDone::Taken } else { WriteDone::Skipped };
        assert_eq!(sim.written, [(1, Ok(done))]);
        let status = sim.writes.get(&0).map(|write| write.status);
        assert_eq!(status.unwrap_or_default() == Status::Ok, on_start);
        sim.put(ms(60), 11.0, 16, 2);
        assert_eq!(sim.taken().last(), Some(&(60, 11.0)));
    }
}

#[test]
fn the_last_value_is_written_each_time_the_session_opens_if_the_tuning_says_so() {
    for on_open in [false, true] {
        let tuning = Tuning::default().with_write_on_open(on_open);
        let (mut sim, _) = with_tuning(tuning, |_| {});
        sim.put(ms(1000), 7.0, 16, 1);
        sim.input(Input::Close);
        sim.run_until(ms(2000));
        sim.input(Input::Ping);
        assert_eq!(sim.taken().len(), 1 + usize::from(on_open));
        if on_open {
            assert_eq!(sim.last(), ("7 @ 16 [test] onOpen".to_owned(), false));
        }
    }
}

#[test]
fn nothing_is_written_again_before_the_steady_state() {
    let tuning = Tuning::default().with_write_max_time(Duration::from_millis(10));
    let (mut sim, _) = with_tuning(tuning, |_| {});
    sim.put(ms(5), 1.0, 16, 1);
    sim.run_until(ms(49));
    assert_eq!(sim.taken(), [(5, 1.0)]);
    sim.run_until(ms(61));
    assert_eq!(sim.taken(), [(5, 1.0), (50, 1.0), (60, 1.0)]);
}

#[test]
fn a_change_of_the_tuning_counts_at_once() {
    let tuning = Tuning::default().with_write_min_time(Duration::from_secs(60));
    let (mut sim, named) = with_tuning(tuning, |_| {});
    sim.put(ms(1000), 1.0, 16, 1);
    sim.put(ms(1001), 2.0, 16, 2);
    let tuning = Arc::new(NamedTuning::new(named.id.clone(), Tuning::default()));
    sim.run_until(ms(1500));
    sim.input(Input::Tuning(tuning));
    sim.run_until(ms(1501));
    assert_eq!(sim.taken(), [(1000, 1.0), (1500, 2.0)], "there is no least time any more");
}

#[test]
fn a_value_that_does_not_convert_is_the_points_fault_and_no_device_sees_it() {
    let (mut sim, _) = with_tuning(Tuning::default(), |spec| {
        spec.more.write_convert = Some("boolToNumber(0,1) invert()".into());
    });
    sim.put(ms(100), 1.0, 16, 1);
    let fault = sim.written[0].1.clone().unwrap_err();
    assert_eq!(fault.message().as_ref(), "invert() takes a Bool, not a Number");
    assert_eq!(sim.writes[&0].status, Status::Fault);
    assert_eq!(sim.writes[&0].err.as_deref(), Some("invert() takes a Bool, not a Number"));
    assert_eq!(sim.taken(), []);
}

#[test]
fn a_write_that_fails_shows_it_and_the_connector_covers_it() {
    let (mut sim, _) = with_tuning(Tuning::default(), |_| {});
    sim.put(ms(100), 1.0, 16, 1);
    assert_eq!(sim.writes[&0].status, Status::Ok);
    sim.device.up = false;
    sim.put(ms(200), 2.0, 16, 2);
    assert_eq!(sim.writes[&0].status, Status::Down);
    assert_eq!(sim.writes[&0].err.as_deref(), Some("conn down"), "what stands above comes first");
    sim.device.up = true;
    sim.input(Input::Watch(vec![key(0)]));
    sim.run_until(ms(5000));
    assert_eq!(sim.writes[&0].err.as_deref(), Some("no route"), "its own state is remembered");
    sim.put(ms(5001), 2.0, 16, 3);
    assert_eq!((sim.writes[&0].status, &sim.writes[&0].err), (Status::Ok, &None));
}

#[test]
fn the_housekeeping_of_writes_costs_what_is_due() {
    let tuning = Tuning::default().with_write_max_time(Duration::from_millis(100));
    let (mut sim, named) = with_tuning(tuning, |_| {});
    sim.input(Input::Bind((1..1000).map(|slot| point(slot, &named)).collect()));
    sim.put(ms(1000), 1.0, 16, 1);
    sim.log.clear();
    sim.run_until(ms(1400));
    assert_eq!(sim.count("write 1"), 4, "{:?}", sim.names());
}
