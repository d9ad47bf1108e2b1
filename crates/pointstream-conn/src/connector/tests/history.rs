//! Histories that the device keeps.

use pointstream_point::Span;

use super::*;

fn keeper(configure: impl Fn(&mut PointSpec)) -> Sim {
    let mut sim = Sim::new(Features::NONE.with_poll().with_history());
    let mut def = point(0, &tuning("t", 10, 300));
    let mut spec = (*def.spec).clone();
    spec.more.his = Some("log".into());
    configure(&mut spec);
    def.spec = Arc::new(spec);
    sim.input(Input::Bind(vec![def]));
    sim
}

#[test]
fn a_history_is_read_converted_and_its_status_goes_from_pending_to_ok() {
    let mut sim = keeper(|spec| spec.more.his_convert = Some("* 10".into()));
    sim.input(Input::HisPending(vec![key(0)]));
    assert!(sim.his[&0].pending);
    sim.input(Input::History(key(0), Span::ALL, 1));
    assert_eq!(sim.names(), ["bind", "open", "ping", "history"]);
    let (token, samples) = sim.histories.pop().unwrap();
    assert_eq!((token, &samples.unwrap().items()[0].val), (1, &Value::number(10.0)));
    sim.input(Input::HisDone(key(0), Ok(())));
    let his = &sim.his[&0];
    assert_eq!((his.status, his.pending), (Status::Ok, false));
    sim.input(Input::HisDone(key(0), Err(Fault::permanent("Mismatched unit"))));
    assert_eq!(sim.his[&0].status, Status::Fault);
    sim.input(Input::HisPending(vec![key(0)]));
    assert!(sim.his[&0].pending);
    sim.input(Input::HisReleased(vec![key(0), key(9)]));
    let his = &sim.his[&0];
    assert_eq!((his.status, his.pending), (Status::Fault, false), "as before it was asked for");
}

#[test]
fn what_cannot_be_read_says_why_and_other_facets_go_on() {
    let error = |sim: &Sim, at: usize| sim.histories[at].1.clone().unwrap_err().to_string();
    let mut sim = keeper(|spec| spec.more.his = None);
    sim.input(Input::History(key(0), Span::ALL, 1));
    sim.input(Input::History(key(9), Span::ALL, 2));
    assert_eq!(error(&sim, 0), "the point has no address of a history");
    assert_eq!(error(&sim, 1), "the point is gone");
    let mut sim = keeper(|spec| spec.more.his_convert = Some("nope()".into()));
    sim.input(Input::History(key(0), Span::ALL, 1));
    assert!(error(&sim, 0).starts_with("Point convert invalid: 'hisConvert'"));
    assert_eq!(sim.his[&0].status, Status::Fault, "by the fault of its own facet");
    sim.input(Input::Watch(vec![key(0)]));
    assert_eq!(sim.status(0), Status::Ok);
    let mut sim = keeper(|_| ());
    sim.device.up = false;
    sim.input(Input::History(key(0), Span::ALL, 1));
    assert_eq!(error(&sim, 0), "no route");
    let mut sim = Sim::polled();
    sim.input(Input::History(key(0), Span::ALL, 1));
    assert_eq!(error(&sim, 0), "reading histories is not supported by this driver");
}

#[test]
fn what_comes_unasked_of_the_past_is_converted_as_current_values_are_and_is_none() {
    let mut sim = Sim::new(Features::NONE.with_watch());
    let of = |slot, convert: Option<&str>, disabled| {
        let mut def = point(slot, &tuning("t", 10, 300));
        let mut spec = (*def.spec).clone();
        spec.more.cur_convert = convert.map(Into::into);
        spec.more.cur_calibration = convert.map(|_| Value::number(0.5));
        spec.disabled = disabled;
        def.spec = Arc::new(spec);
        def
    };
    sim.input(Input::Bind(vec![of(0, Some("* 10"), false), of(1, None, false), of(2, None, true)]));
    let ts = jiff::Timestamp::from_second(1_000).unwrap();
    let mut readings = Readings::new();
    readings.past(key(0), ts, Value::number(2.0));
    readings.past(key(0), ts, Value::Na);
    readings.past(key(0), ts, Value::str("x"));
    readings.past(key(1), ts, Value::number(2.0));
    readings.past_err(key(1), Fault::permanent("no time"));
    readings.past(key(2), ts, Value::number(2.0));
    readings.past(key(9), ts, Value::number(2.0));
    sim.input(Input::Readings(&mut readings));
    let told: Vec<_> = sim.past.iter().map(|(key, item)| (key.slot, item.clone())).collect();
    let item = |val| Ok(HisItem::new(ts, val));
    assert_eq!(told.len(), 5, "none of a point that is switched off or gone: {told:?}");
    assert_eq!(told[0], (0, item(Value::number(20.5))));
    assert_eq!(told[1], (0, item(Value::Na)));
    assert_eq!(told[2].1.clone().unwrap_err().to_string(), "* 10.0 takes a Number, not a Str");
    assert_eq!(told[3], (1, item(Value::number(2.0))));
    assert_eq!(told[4].1.clone().unwrap_err().to_string(), "no time");
    assert!(sim.shown.get(&0).is_none_or(|cur| cur.val == Value::Null));
}

#[test]
fn readings_of_histories_are_bounded() {
    let mut sim = keeper(|_| ());
    for token in 0..1_030 {
        sim.machine.handle(Now::simulated(at(0)), Input::History(key(0), Span::ALL, token));
    }
    sim.settle();
    let refused = sim.histories.iter().filter(|(_, result)| result.is_err()).count();
    assert_eq!((sim.histories.len(), refused), (1_030, 6));
}
