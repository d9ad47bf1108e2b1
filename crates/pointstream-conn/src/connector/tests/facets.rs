//! Converts, and faults of the configuration that stay on their own facet.

use pointstream_point::{EnumDef, EnumDefs, Facet, FacetFaults, Times};

use super::*;

fn with_spec(configure: impl Fn(&mut PointSpec)) -> Sim {
    let mut sim = Sim::polled();
    let mut def = point(0, &tuning("t", 10, 300));
    let mut spec = (*def.spec).clone();
    configure(&mut spec);
    def.spec = Arc::new(spec);
    sim.input(Input::Bind(vec![def]));
    sim
}

#[test]
fn readings_are_converted_and_calibrated() {
    let mut sim = with_spec(|spec| {
        spec.more.cur_convert = Some("* 10".into());
        spec.more.cur_calibration = Some(Value::number(0.5));
    });
    sim.input(Input::Watch(vec![key(0)]));
    assert_eq!(sim.shown[&0].val, Value::number(10.5));
}

#[test]
fn a_bad_convert_of_one_facet_leaves_the_others_at_work() {
    let mut sim = with_spec(|spec| spec.more.write_convert = Some("* x".into()));
    sim.input(Input::Watch(vec![key(0)]));
    assert_eq!(sim.status(0), Status::Ok);
    assert_eq!(sim.writes[&0].status, Status::Fault);
    let err = sim.writes[&0].err.clone().unwrap();
    assert!(err.starts_with("Point convert invalid: 'writeConvert' [column "), "{err}");
    sim.input(write(key(0), Value::number(1.0), 1));
    assert!(sim.written[0].1.is_err());
    let mut sim = with_spec(|spec| spec.more.cur_convert = Some("nope()".into()));
    sim.input(Input::Watch(vec![key(0)]));
    assert_eq!(sim.status(0), Status::Fault);
    sim.input(write(key(0), Value::number(1.0), 1));
    assert_eq!(sim.written, [(1, Ok(WriteDone::Taken))]);
    assert_eq!(sim.writes[&0].status, Status::Ok);
}

#[test]
fn an_address_that_the_driver_refuses_leaves_the_other_one_at_work() {
    let mut sim = Sim::polled();
    sim.device.bad_address = Some(key(0));
    sim.input(Input::Bind(vec![point(0, &tuning("t", 10, 300))]));
    assert_eq!(sim.shown[&0].err.as_deref(), Some("bad address"));
    sim.input(write(key(0), Value::number(1.0), 1));
    assert_eq!(sim.written, [(1, Ok(WriteDone::Taken))]);
}

#[test]
fn faults_that_are_known_before_are_shown_and_the_driver_never_sees_the_address() {
    let mut sim = Sim::polled();
    let mut faults = FacetFaults::NONE;
    faults.add(Facet::Cur, "Missing 'kind' tag [@p0]");
    let def = point(0, &tuning("t", 10, 300)).with_faults(faults.clone());
    sim.input(Input::Bind(vec![def]));
    assert_eq!(sim.shown[&0].err.as_deref(), Some("Missing 'kind' tag [@p0]"));
    faults.add(Facet::Write, "Missing 'kind' tag [@p0]");
    let def = point(1, &tuning("t", 10, 300)).with_faults(faults);
    sim.log.clear();
    sim.input(Input::Bind(vec![def]));
    assert_eq!(sim.names(), Vec::<&str>::new(), "nothing is left to bind");
}

#[test]
fn the_three_facets_are_folded_apart() {
    let mut sim = with_spec(|spec| spec.more.his = Some("log".into()));
    sim.device.up = false;
    sim.input(Input::Watch(vec![key(0)]));
    assert_eq!(sim.status(0), Status::Down);
    assert_eq!(sim.writes[&0].status, Status::Down);
    assert_eq!(sim.his[&0].status, Status::Down);
    assert_eq!(sim.his[&0].err.as_deref(), Some("conn down"));
    sim.device.up = true;
    sim.run_until(at(5));
    let unknown = Status::Unknown;
    assert_eq!((sim.writes[&0].status, sim.his[&0].status), (unknown, unknown));
}

#[test]
fn enum_definitions_come_with_the_configuration_and_change_live() {
    let enums = |text: &str| {
        let mut defs = EnumDefs::new();
        defs.insert("alarm", EnumDef::from_tag(text).unwrap()).unwrap();
        Arc::new(defs)
    };
    let mut config = ConnConfig::new("ahu".parse().unwrap(), 7);
    config.enums = enums("ok, high");
    let mut sim = Sim::with(Features::NONE.with_poll(), config);
    let mut def = point(0, &tuning("t", 10, 300));
    let mut spec = (*def.spec).clone();
    spec.kind = Kind::Str;
    spec.more.cur_convert = Some("enumNumberToStr(alarm)".into());
    def.spec = Arc::new(spec);
    sim.input(Input::Bind(vec![def]));
    sim.input(Input::Watch(vec![key(0)]));
    assert_eq!(sim.shown[&0].val, Value::str("high"));
    sim.input(Input::Enums(enums("normal, alarm")));
    sim.run_until(at(10));
    assert_eq!(sim.shown[&0].val, Value::str("alarm"));
}

#[test]
fn the_times_of_the_other_side_come_along() {
    let mut sim = Sim::watched(1, 10, 300);
    let taken = jiff::Timestamp::from_second(3).ok();
    let mut readings = Readings::new();
    let times = Times { source: taken, server: None };
    readings.sample(key(0), Value::number(9.0), times);
    sim.machine.handle(Now::simulated(at(5)), Input::Readings(&mut readings));
    sim.drain();
    let sample = sim.shown[&0].sample();
    assert_eq!((sample.source, sample.received), (taken, Now::simulated(at(5)).wall));
}
