//! Looking into a device's tree.

use pointstream_point::LearnPath;

use super::*;
use crate::driver::Learn;

fn learner(needs: Learn) -> Sim {
    Sim::new(Features::NONE.with_poll().with_learn(needs))
}

fn path(text: &str) -> Option<LearnPath> {
    LearnPath::new(text).ok()
}

#[test]
fn a_look_opens_the_session_and_lets_it_linger() {
    let mut sim = learner(Learn::Session);
    sim.input(Input::Learn(None, 1));
    assert_eq!(sim.names(), ["open", "ping", "learn"]);
    let (token, result) = sim.learned.pop().unwrap();
    let learned = result.unwrap();
    assert_eq!((token, &*learned.rows[0].dis), (1, "root"));
    sim.input(Input::Learn(learned.rows[0].learn.clone(), 2));
    assert_eq!(&*sim.learned[0].1.as_ref().unwrap().rows[0].dis, "root/x");
    sim.run_until(at(29));
    assert_eq!(sim.count("close"), 0);
    sim.run_until(at(31));
    assert_eq!(sim.count("close"), 1);
}

#[test]
fn what_needs_no_session_opens_none_and_works_while_the_device_is_down_or_disabled() {
    let mut sim = learner(Learn::Offline);
    sim.device.up = false;
    sim.input(Input::Learn(None, 1));
    assert_eq!(sim.names(), ["learn"]);
    sim.input(Input::Disable(true));
    sim.input(Input::Learn(path("a"), 2));
    assert!(sim.learned.iter().all(|(_, result)| result.is_ok()), "{:?}", sim.learned);
    assert_eq!(sim.learned.len(), 2);
}

#[test]
fn a_look_fails_at_once_where_there_is_no_session_to_be_had() {
    let mut sim = learner(Learn::Session);
    sim.device.up = false;
    sim.input(Input::Learn(None, 1));
    sim.input(Input::Learn(None, 2));
    let text = |at: usize| sim.learned[at].1.clone().unwrap_err().to_string();
    assert_eq!((text(0), text(1)), ("no route".into(), "no route".into()));
    let mut sim = Sim::polled();
    sim.input(Input::Learn(None, 1));
    assert_eq!(sim.names(), [] as [&str; 0]);
    assert_eq!(
        sim.learned[0].1.clone().unwrap_err().to_string(),
        "learning is not supported by this driver"
    );
}

#[test]
fn looks_are_bounded_and_take_turns_with_polls() {
    let mut sim = learner(Learn::Session);
    sim.machine.handle(Now::simulated(at(0)), Input::Learn(None, 0));
    // The machine has been asked for nothing yet, so that all wait.
    for token in 1..=20 {
        sim.machine.handle(Now::simulated(at(0)), Input::Learn(None, token));
    }
    sim.settle();
    let refused = sim.learned.iter().filter(|(_, result)| result.is_err()).count();
    assert_eq!((sim.learned.len(), refused), (21, 5));
    let mut sim = learner(Learn::Session);
    let tuning = tuning("t", 10, 300);
    sim.input(Input::Bind(vec![point(0, &tuning)]));
    sim.machine.handle(Now::simulated(at(0)), Input::Watch(vec![key(0)]));
    for token in 0..4 {
        sim.machine.handle(Now::simulated(at(0)), Input::Learn(None, token));
    }
    sim.settle();
    let names = sim.names();
    let first_read = names.iter().position(|name| *name == "read").unwrap();
    let last_learn = names.iter().rposition(|name| *name == "learn").unwrap();
    assert!(first_read < last_learn, "{names:?}");
}

#[test]
fn disabling_fails_who_waits_and_leaves_the_answer_under_way_to_its_own() {
    let mut sim = learner(Learn::Session);
    sim.input(Input::Ping);
    sim.machine.handle(Now::simulated(at(0)), Input::Learn(None, 1));
    sim.machine.handle(Now::simulated(at(0)), Input::Learn(None, 2));
    let action = sim.machine.poll_action().unwrap();
    assert_eq!(action, Action::Learn(None));
    sim.machine.handle(Now::simulated(at(0)), Input::Disable(true));
    let done = Ok(Outcome::Learned(vec![LearnRow::new("late")]));
    sim.machine.handle(Now::simulated(at(0)), Input::Done(done));
    sim.settle();
    assert_eq!(sim.learned.len(), 2);
    assert_eq!((sim.learned[0].0, sim.learned[0].1.is_err()), (2, true));
    assert_eq!((sim.learned[1].0, sim.learned[1].1.is_ok()), (1, true));
}

#[test]
fn time_passes_while_a_look_takes_longer_than_the_session_lingers() {
    let mut sim = learner(Learn::Session);
    sim.input(Input::Ping);
    sim.machine.handle(Now::simulated(at(0)), Input::Learn(None, 1));
    assert_eq!(sim.machine.poll_action(), Some(Action::Learn(None)));
    sim.machine.handle(Now::simulated(at(40)), Input::Timeout);
    assert_eq!(sim.machine.poll_timeout(), None, "nothing is due before the answer");
}
