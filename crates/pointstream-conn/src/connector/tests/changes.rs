//! Points that come, go and change while things are under way.

use super::*;

fn keys(points: core::ops::Range<u32>) -> Vec<PointKey> {
    points.map(key).collect()
}

fn many(points: u32) -> Vec<PointDef> {
    let tuning = tuning("t", 10, 300);
    (0..points).map(|slot| point(slot, &tuning)).collect()
}

/// The keys that an action names.
fn named(action: &Action) -> Vec<PointKey> {
    match action {
        Action::Plan(keys, _) | Action::Watch(keys) | Action::Unwatch(keys) => keys.clone(),
        Action::Read(requests, _) => {
            requests.iter().flat_map(|request| request.points.iter().copied()).collect()
        }
        Action::Write(writes) => writes.iter().map(|write| write.key).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn a_point_that_is_gone_is_not_named_to_the_driver_again() {
    let features = Features::NONE.with_poll().with_watch().with_write();
    for before in 0..12 {
        let mut sim = Sim::new(features);
        sim.device.request_len = 1;
        sim.input(Input::Bind(many(3)));
        sim.device.unwatchable = Some(key(1));
        sim.input(Input::Pin("a".into()));
        let now = Now::simulated(at(0));
        sim.machine.handle(now, Input::Watch(keys(0..3)));
        sim.machine.handle(now, Input::Sync(keys(0..3), 1));
        sim.machine.handle(now, write(key(1), Value::number(1.0), 1));
        let mut unbound = false;
        for step in 0..40 {
            if step == before {
                // While whatever is being done is being done.
                sim.machine.handle(now, Input::Unwatch(keys(1..2)));
                sim.machine.handle(now, Input::Unbind(keys(1..2)));
            }
            if step == before + 1 {
                sim.machine.handle(now, Input::Sync(keys(0..3), 2));
            }
            let Some(action) = sim.machine.poll_action() else { continue };
            assert!(
                !unbound || !named(&action).contains(&key(1)),
                "unbound at step {before}, and yet {action:?}"
            );
            unbound |= matches!(&action, Action::Unbind(keys) if keys.contains(&key(1)));
            let mut readings = Readings::new();
            let result = sim.answer(&action, &mut readings);
            if step + 1 == before {
                sim.machine.handle(now, Input::Unwatch(keys(1..2)));
            }
            sim.machine.handle(now, Input::Readings(&mut readings));
            sim.machine.handle(now, Input::Done(result));
        }
        sim.settle();
        assert!(unbound, "it was bound, so it is unbound");
        let mut synced: Vec<_> = sim.synced.iter().map(|(token, _)| *token).collect();
        synced.sort_unstable();
        assert_eq!(synced, [1, 2], "unbound at step {before}");
    }
}

#[test]
fn a_tuning_that_changes_in_the_middle_of_a_scan_leaves_no_request_out() {
    let mut sim = Sim::polled();
    sim.device.request_len = 1;
    sim.input(Input::Bind(many(3)));
    let now = Now::simulated(at(0));
    sim.machine.handle(now, Input::Watch(keys(0..3)));
    let mut read = Vec::new();
    let mut changed = false;
    while let Some(action) = sim.machine.poll_action() {
        read.extend(named(&action).into_iter().filter(|_| matches!(action, Action::Read(..))));
        if read.len() == 2 && !core::mem::replace(&mut changed, true) {
            let other = tuning("t", 3_600, 300).tuning.clone().with_write_on_open(true);
            let other = NamedTuning::new("t".parse().unwrap(), other);
            sim.machine.handle(now, Input::Tuning(Arc::new(other)));
        }
        let mut readings = Readings::new();
        let result = sim.answer(&action, &mut readings);
        sim.machine.handle(now, Input::Readings(&mut readings));
        sim.machine.handle(now, Input::Done(result));
    }
    assert_eq!(read, keys(0..3), "each point once");
}

#[test]
fn a_driver_that_polls_in_its_own_way_is_not_asked_more_often_than_the_floor() {
    let mut sim = Sim::new(Features::NONE.with_manual_poll(Duration::ZERO));
    sim.input(Input::Bind(many(1)));
    sim.input(Input::Watch(keys(0..1)));
    sim.log.clear();
    sim.run_until(at(10));
    assert!((99..=101).contains(&sim.count("poll")), "{} polls in ten seconds", sim.count("poll"));
}

#[test]
fn who_waits_for_a_reading_out_of_turn_is_refused_beyond_the_limit() {
    let mut sim = Sim::polled();
    sim.input(Input::Bind(many(1)));
    let limit = SYNCS_MAX as u64;
    for token in 0..=limit {
        sim.machine.handle(Now::simulated(at(0)), Input::Sync(keys(0..1), token));
    }
    sim.settle();
    assert_eq!(sim.synced.len() as u64, limit + 1);
    let refused: Vec<_> = sim.synced.iter().filter(|(_, result)| result.is_err()).collect();
    assert!(matches!(refused[..], [(token, _)] if *token == limit), "{refused:?}");
}

#[test]
fn a_write_that_a_later_one_overtakes_is_no_failure() {
    let mut sim = Sim::polled();
    sim.input(Input::Bind(many(1)));
    let now = Now::simulated(at(0));
    sim.machine.handle(now, write(key(0), Value::number(1.0), 1));
    sim.machine.handle(now, write(key(0), Value::number(2.0), 2));
    sim.settle();
    assert_eq!(sim.written, [(1, Ok(WriteDone::Superseded)), (2, Ok(WriteDone::Taken))]);
    assert_eq!(sim.device.taken, [(at(0), 0, Value::number(2.0))]);
}

/// A retry of a connector that stays down, or points that come to one with many, cost the same
/// whether there are ten points or a hundred thousand.
#[test]
fn what_does_not_concern_a_point_does_not_look_at_it() {
    let mut sim = Sim::polled();
    sim.input(Input::Bind(many(1_000)));
    sim.input(Input::Pin("a".into()));
    sim.device.up = false;
    sim.input(Input::Close);
    sim.run_until(at(30));
    assert_eq!(sim.machine.view().status, Status::Down);
    let before = sim.machine.shard.shows();
    sim.run_until(at(300));
    assert!(sim.machine.stats().failures > 20);
    assert_eq!(
        sim.machine.shard.shows(),
        before,
        "the status stays, so that nothing is shown again"
    );
    let fresh = point(1_000, &tuning("t", 10, 300));
    sim.input(Input::Bind(vec![fresh]));
    assert!(sim.machine.shard.shows() - before <= 3, "only what has come is shown");
}

/// What the driver has not been told of yet is not told at all. The lists are ordered sets, so that
/// a hundred thousand points that change at once do not cost their square.
#[test]
fn points_that_are_replaced_before_the_driver_knew_of_them_stay_unknown_to_it() {
    const POINTS: u32 = 2_000;
    let mut sim = Sim::polled();
    sim.input(Input::Bind(many(POINTS)));
    let now = Now::simulated(at(0));
    for generation in 2..5 {
        let mut defs = many(POINTS);
        defs.iter_mut().for_each(|def| def.key.generation = generation);
        sim.machine.handle(now, Input::Bind(defs));
    }
    let Some(Action::Unbind(gone)) = sim.machine.poll_action() else { panic!("no unbind") };
    assert_eq!(gone, keys(0..POINTS));
    sim.machine.handle(now, Input::Done(Ok(Outcome::None)));
    let Some(Action::Bind(bindings)) = sim.machine.poll_action() else { panic!("no bind") };
    assert_eq!(bindings.len(), POINTS as usize);
    assert!(bindings.iter().all(|binding| binding.key.generation == 4));
}

#[test]
fn a_linger_time_that_ends_while_something_slow_is_done_wakes_nobody() {
    let mut sim = Sim::polled();
    sim.input(Input::Bind(many(1)));
    sim.device.slow = true;
    sim.input(Input::Ping);
    for _ in 0..2 {
        sim.release();
    }
    assert_eq!(sim.machine.view().state, ConnState::Open);
    sim.input(write(key(0), Value::number(1.0), 1));
    assert!(sim.held.is_some(), "the write is under way");
    let now = Now::simulated(at(40));
    sim.machine.handle(now, Input::Timeout);
    assert_eq!(sim.machine.poll_timeout(), None, "the linger time is over and the write is not");
    sim.now = at(50);
    sim.release();
    assert_eq!(sim.written, [(1, Ok(WriteDone::Taken))]);
}
