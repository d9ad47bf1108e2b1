//! Subscriptions with polling where they fail, readings out of turn, pins, manual polls.

use super::*;

fn cov() -> Features {
    Features::NONE.with_watch().with_poll()
}

fn bound(features: Features, points: u32) -> Sim {
    let mut sim = Sim::new(features);
    let tuning = tuning("t", 10, 300);
    sim.input(Input::Bind((0..points).map(|slot| point(slot, &tuning)).collect()));
    sim
}

fn keys(points: u32) -> Vec<PointKey> {
    (0..points).map(key).collect()
}

#[test]
fn a_point_that_cannot_be_subscribed_to_is_polled_and_the_others_are_not() {
    let mut sim = bound(cov(), 3);
    sim.device.unwatchable = Some(key(1));
    sim.input(Input::Watch(keys(3)));
    assert_eq!(sim.names(), ["bind", "open", "ping", "watch 3", "plan", "read", "plan", "read"]);
    sim.device.value = 2.0;
    sim.run_until(at(9));
    let values: Vec<_> = (0..3).map(|slot| sim.shown[&slot].val.clone()).collect();
    assert_eq!(values[1], Value::number(1.0 + f64::from(u8::from(sim.count("read") > 2))));
    sim.log.clear();
    sim.run_until(at(35));
    assert!((3..=5).contains(&sim.count("read")), "{:?}", sim.names());
    assert_eq!(sim.shown[&1].val, Value::number(2.0));
    assert_eq!(sim.shown[&0].val, Value::number(1.0), "it is not polled");
    assert!(sim.count("watch 1") >= 2, "the driver is asked again: {:?}", sim.names());
}

#[test]
fn a_watch_that_is_refused_as_a_whole_is_asked_for_again() {
    let mut sim = bound(cov(), 2);
    sim.device.refuse_watch = true;
    sim.input(Input::Watch(keys(2)));
    sim.device.value = 3.0;
    sim.run_until(at(11));
    assert_eq!(sim.shown[&0].val, Value::number(3.0), "polled meanwhile");
    sim.device.refuse_watch = false;
    sim.run_until(at(21));
    sim.log.clear();
    sim.run_until(at(100));
    assert_eq!(sim.count("read"), 0, "subscribed at last: {:?}", sim.names());
}

#[test]
fn without_polling_a_refused_watch_is_a_fault_until_it_is_taken() {
    let mut sim = bound(Features::NONE.with_watch(), 2);
    sim.device.refuse_watch = true;
    sim.input(Input::Watch(keys(2)));
    assert_eq!(sim.status(0), Status::Fault);
    assert_eq!(sim.shown[&0].err.as_deref(), Some("no room for a watch"));
    sim.device.refuse_watch = false;
    sim.run_until(at(10));
    assert_eq!(sim.status(0), Status::Ok);
}

#[test]
fn a_sync_opens_reads_each_point_once_and_leaves_nothing_watched() {
    let mut sim = bound(Features::NONE.with_poll(), 25);
    sim.input(Input::Sync(keys(25), 7));
    assert_eq!(sim.names(), ["bind", "open", "ping", "plan", "read", "read", "read"]);
    assert_eq!(sim.synced, [(7, Ok(()))]);
    assert_eq!(sim.status(24), Status::Ok);
    sim.run_until(at(30));
    assert_eq!(sim.names().last(), Some(&"close"));
    sim.device.up = false;
    sim.input(Input::Sync(keys(1), 8));
    assert_eq!(sim.synced[1], (8, Err(Fault::down("no route"))));
    sim.input(Input::Sync(vec![key(99)], 9));
    assert_eq!(sim.synced[2], (9, Ok(())), "of no point that can be read");
    let mut deaf = bound(Features::NONE.with_watch(), 1);
    deaf.input(Input::Sync(keys(1), 1));
    assert_eq!(deaf.synced, [(1, Err(Fault::unsupported("reading")))]);
}

#[test]
fn a_driver_with_a_window_gets_several_requests_at_a_time() {
    let mut sim = bound(Features::NONE.with_poll().with_window(4), 95);
    sim.input(Input::Watch(keys(95)));
    assert_eq!(sim.count("read"), 3, "ten requests: four, four and two");
    let stats = sim.machine.stats();
    assert_eq!((stats.requests, stats.scans, stats.readings), (10, 1, 95));
    assert_eq!(sim.status(94), Status::Ok);
    sim.log.clear();
    sim.input(Input::Sync(keys(45), 1));
    assert_eq!(sim.names(), ["plan", "read", "read"]);
    assert_eq!(sim.synced, [(1, Ok(()))]);
}

#[test]
fn a_sync_ends_though_its_points_go() {
    let mut sim = bound(Features::NONE.with_poll(), 2);
    let now = Now::simulated(at(0));
    sim.machine.handle(now, Input::Sync(keys(2), 7));
    sim.machine.handle(now, Input::Unbind(keys(2)));
    sim.settle();
    assert_eq!(sim.synced, [(7, Ok(()))]);
}

#[test]
fn a_pin_keeps_the_session_open_and_lets_it_go_after_five_seconds() {
    let mut sim = bound(Features::NONE.with_poll(), 1);
    sim.input(Input::Pin("mqtt.sub".into()));
    sim.run_until(at(600));
    assert_eq!(sim.machine.view().state, ConnState::Open);
    sim.input(Input::Pin("other".into()));
    sim.input(Input::Unpin("mqtt.sub".into()));
    sim.input(Input::Unpin("never pinned".into()));
    sim.run_until(at(700));
    assert_eq!(sim.machine.view().state, ConnState::Open);
    sim.input(Input::Close);
    assert_eq!(sim.machine.view().state, ConnState::Open, "pinned, so it opens again");
    sim.input(Input::Unpin("other".into()));
    sim.run_until(at(730));
    assert_eq!(sim.machine.view().state, ConnState::Closed);
}

#[test]
fn a_manual_driver_is_asked_to_poll_on_a_grid_while_points_are_watched() {
    let mut sim = bound(Features::NONE.with_manual_poll(Duration::from_secs(1)), 2);
    sim.run_until(at(60));
    assert_eq!(sim.count("poll"), 0, "nobody watches");
    sim.input(Input::Watch(keys(2)));
    assert_eq!(sim.names().last(), Some(&"poll"), "at once");
    sim.log.clear();
    sim.run_until(at(70));
    assert_eq!(sim.count("poll"), 10);
    sim.input(Input::Unwatch(keys(2)));
    sim.log.clear();
    sim.run_until(at(74));
    assert_eq!(sim.count("poll"), 0);
}

#[test]
fn the_configuration_sets_the_period_of_manual_polls() {
    let mut config = ConnConfig::new("ahu".parse().unwrap(), 7);
    config.poll_freq = Some(Duration::from_millis(1));
    let features = Features::NONE.with_manual_poll(Duration::from_secs(1));
    let mut sim = Sim::with(features, config);
    sim.input(Input::Bind(vec![point(0, &tuning("t", 10, 300))]));
    sim.input(Input::Watch(keys(1)));
    sim.log.clear();
    sim.run_until(at(10));
    assert_eq!(sim.count("poll"), 100, "raised to the floor of 100 ms");
}

#[test]
fn a_periodic_ping_opens_a_session_that_nobody_else_needs() {
    let mut config = ConnConfig::new("ahu".parse().unwrap(), 7);
    config.ping_freq = Some(Duration::from_secs(100));
    let mut sim = Sim::with(Features::NONE.with_poll(), config);
    sim.run_until(at(99));
    assert_eq!(sim.names(), Vec::<&str>::new());
    sim.run_until(at(199));
    assert_eq!(sim.names(), ["open", "ping", "close"]);
    assert_eq!(sim.machine.view().status, Status::Ok);
}

#[test]
fn under_overload_every_bucket_gets_its_share_and_the_rest_is_counted() {
    for load in [2, 5, 20] {
        let mut sim = Sim::polled();
        sim.device.request_len = 1;
        // Requests take 100 ms, so ten a second are the capacity; three buckets want more.
        let tunings: Vec<_> = (0..3).map(|i| tuning(&format!("t{i}"), 1, 3000)).collect();
        let points = 10 * load;
        let each = |slot| point(slot, &tunings[slot as usize % 3]);
        sim.input(Input::Bind((0..points).map(each).collect()));
        sim.machine.handle(Now::simulated(at(0)), Input::Watch((0..points).map(key).collect()));
        let mut polls = vec![0u32; points as usize];
        let end = Instant::from_origin(Duration::from_secs(600));
        while sim.now < end {
            let Some(action) = sim.machine.poll_action() else {
                sim.now = sim.machine.poll_timeout().unwrap();
                sim.machine.handle(Now::simulated(sim.now), Input::Timeout);
                continue;
            };
            if let Action::Read(requests, _) = &action {
                sim.now += Duration::from_millis(100);
                polls[requests[0].points[0].slot as usize] += 1;
            }
            let mut readings = Readings::new();
            let result = sim.answer(&action, &mut readings);
            sim.machine.handle(Now::simulated(sim.now), Input::Readings(&mut readings));
            sim.machine.handle(Now::simulated(sim.now), Input::Done(result));
        }
        let total: u32 = polls.iter().sum();
        assert!(total >= 5_940, "{total} of 6000 at {load} times the capacity");
        let (min, max) = (*polls.iter().min().unwrap(), *polls.iter().max().unwrap());
        assert!(f64::from(min) / f64::from(max) >= 0.5, "{min} to {max} at {load} times");
        let stats = sim.machine.stats();
        assert!(stats.skipped > 800, "{stats:?}");
        let buckets = sim.machine.buckets();
        assert_eq!(buckets.iter().map(|b| b.times.skipped).sum::<u64>(), stats.skipped);
        assert_eq!(buckets.iter().map(|b| b.times.scans).sum::<u64>(), stats.scans);
    }
}

#[test]
fn a_subscribed_point_that_could_not_be_read_back_is_well_again() {
    let mut sim = bound(cov().with_write(), 2);
    sim.input(Input::Watch(keys(2)));
    sim.device.refuse = Some(key(1));
    sim.input(write(key(1), Value::number(3.0), 1));
    assert_eq!((sim.status(0), sim.status(1)), (Status::Ok, Status::Fault));
    sim.device.refuse = None;
    sim.run_until(at(11));
    assert_eq!(sim.status(1), Status::Ok);
    sim.run_until(at(30));
    sim.log.clear();
    sim.run_until(at(200));
    assert_eq!(sim.log, [], "and it is subscribed to as before");
}
