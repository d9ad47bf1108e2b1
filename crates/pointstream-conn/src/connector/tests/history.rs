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
fn readings_of_histories_are_bounded() {
    let mut sim = keeper(|_| ());
    for token in 0..1_030 {
        sim.machine.handle(Now::simulated(at(0)), Input::History(key(0), Span::ALL, token));
    }
    sim.settle();
    let refused = sim.histories.iter().filter(|(_, result)| result.is_err()).count();
    assert_eq!((sim.histories.len(), refused), (1_030, 6));
}
