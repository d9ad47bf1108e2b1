//! Whatever happens to a connector, once things are quiet it is what it should be.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Up(bool),
    Slow(bool),
    Value(u8),
    Refuse(Option<u32>),
    Watch(u32),
    Unwatch(u32),
    Write(u32),
    Disable(bool),
    Replace(u32),
    Retune(u32, bool),
    Tune(u8),
    Close,
    Ping,
    Sync(u32),
    Pin(bool),
    RefuseWatch(bool),
    Unwatchable(Option<u32>),
    Pass(u16),
}

const POINTS: u32 = 6;

fn step() -> impl Strategy<Value = Step> {
    let slot = 0..POINTS;
    prop_oneof![
        any::<bool>().prop_map(Step::Up),
        any::<bool>().prop_map(Step::Slow),
        any::<u8>().prop_map(Step::Value),
        proptest::option::of(0..POINTS).prop_map(Step::Refuse),
        slot.clone().prop_map(Step::Watch),
        slot.clone().prop_map(Step::Unwatch),
        slot.clone().prop_map(Step::Write),
        any::<bool>().prop_map(Step::Disable),
        slot.clone().prop_map(Step::Replace),
        (slot, any::<bool>()).prop_map(|(slot, slow)| Step::Retune(slot, slow)),
        (1..20u8).prop_map(Step::Tune),
        Just(Step::Close),
        Just(Step::Ping),
        (0..POINTS).prop_map(Step::Sync),
        any::<bool>().prop_map(Step::Pin),
        any::<bool>().prop_map(Step::RefuseWatch),
        proptest::option::of(0..POINTS).prop_map(Step::Unwatchable),
        (0..400u16).prop_map(Step::Pass),
    ]
}

/// A tuning with everything that concerns writes.
fn write_tuning() -> Arc<NamedTuning> {
    let tuning = tuning("fast", 5, 60).tuning.clone();
    let tuning = tuning
        .with_write_min_time(Duration::from_secs(2))
        .with_write_max_time(Duration::from_secs(40))
        .with_write_on_open(true);
    Arc::new(NamedTuning::new("fast".parse().unwrap(), tuning))
}

/// A simulation with what it should come to.
struct Model {
    sim: Sim,
    keys: Vec<PointKey>,
    watched: Vec<bool>,
    token: u64,
    syncs: u64,
}

impl Model {
    fn new(features: Features) -> Self {
        let mut sim = Sim::new(features);
        let fast = write_tuning();
        let keys: Vec<_> = (0..POINTS).map(key).collect();
        sim.input(Input::Bind((0..POINTS).map(|slot| point(slot, &fast)).collect()));
        Self { sim, keys, watched: vec![false; POINTS as usize], token: 0, syncs: 0 }
    }

    fn run(&mut self, step: Step) {
        let sim = &mut self.sim;
        match step {
            Step::Up(up) => sim.device.up = up,
            Step::Slow(slow) => {
                sim.device.slow = slow;
                sim.release();
            }
            Step::Value(value) => sim.device.value = f64::from(value),
            Step::Refuse(slot) => sim.device.refuse = slot.map(|slot| self.keys[slot as usize]),
            Step::Watch(slot) => {
                self.watched[slot as usize] = true;
                sim.input(Input::Watch(vec![self.keys[slot as usize]]));
            }
            Step::Unwatch(slot) => {
                self.watched[slot as usize] = false;
                sim.input(Input::Unwatch(vec![self.keys[slot as usize]]));
            }
            Step::Write(slot) => {
                self.token += 1;
                sim.input(write(self.keys[slot as usize], Value::number(1.0), self.token));
            }
            Step::Disable(disabled) => sim.input(Input::Disable(disabled)),
            Step::Replace(slot) => {
                let old = self.keys[slot as usize];
                sim.input(Input::Unbind(vec![old]));
                let mut fresh = point(slot, &write_tuning());
                fresh.key.generation = old.generation + 1;
                self.keys[slot as usize] = fresh.key;
                self.watched[slot as usize] = false;
                sim.shown.remove(&slot);
                sim.input(Input::Bind(vec![fresh]));
            }
            Step::Retune(slot, slow) => {
                let to = if slow { tuning("slow", 30, 120) } else { write_tuning() };
                sim.input(Input::Retune(vec![(self.keys[slot as usize], to)]));
            }
            Step::Tune(secs) => sim.input(Input::Tuning(tuning("fast", u64::from(secs), 60))),
            Step::Sync(slot) => {
                self.syncs += 1;
                sim.input(Input::Sync(vec![self.keys[slot as usize]], self.syncs));
            }
            Step::Pin(true) => sim.input(Input::Pin("a".into())),
            Step::Pin(false) => sim.input(Input::Unpin("a".into())),
            Step::RefuseWatch(refuse) => sim.device.refuse_watch = refuse,
            Step::Unwatchable(slot) => {
                sim.device.unwatchable = slot.map(|slot| self.keys[slot as usize]);
            }
            Step::Close => sim.input(Input::Close),
            Step::Ping => sim.input(Input::Ping),
            Step::Pass(tenths) => {
                let until = sim.now + Duration::from_millis(u64::from(tenths) * 100);
                sim.run_until(until);
            }
        }
    }

    fn settle_and_check(&mut self, polled: bool) {
        self.sim.device.up = true;
        self.sim.device.slow = false;
        self.sim.release();
        self.sim.device.refuse = None;
        self.sim.device.value = 777.0;
        self.sim.device.refuse_watch = false;
        self.sim.device.unwatchable = None;
        self.sim.input(Input::Unpin("a".into()));
        self.sim.input(Input::Disable(false));
        let quiet = self.sim.now;
        self.sim.log.clear();
        self.sim.run_until(quiet + Duration::from_secs(120));
        let wakes = self.sim.log.len();
        assert!(wakes < 1_000, "{wakes} actions in two quiet minutes");
        let answered = u64::try_from(self.sim.written.len()).unwrap();
        assert_eq!(answered, self.token, "every write has its answer, once");
        assert_eq!(self.sim.synced.len() as u64, self.syncs, "every sync has its answer, once");
        let any = self.watched.contains(&true);
        if any {
            assert_eq!(self.sim.machine.view().state, ConnState::Open);
        } else {
            // What has been written is written again each 40 s, for which it opens and lingers.
            let written = self.token > 0;
            let closed = self.sim.machine.view().state == ConnState::Closed;
            assert!(closed || written, "nobody needs a session");
        }
        for (slot, watched) in (0..).zip(&self.watched) {
            let shown = self.sim.shown.get(&slot).cloned().unwrap_or_default();
            if *watched && polled {
                assert_eq!(shown.status, Status::Ok, "point {slot}");
                assert_eq!(shown.val, Value::number(777.0), "point {slot}");
            } else if *watched {
                // The device tells nothing more, so a value may have become stale meanwhile.
                assert!(shown.status.has_value(), "point {slot} is {}", shown.status);
            }
        }
        let next = self.sim.machine.poll_timeout();
        assert!(next.is_none_or(|next| next > self.sim.now), "a time-out in the past");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_polled_connector_recovers(steps in prop::collection::vec(step(), 0..60)) {
        let mut model = Model::new(Features::NONE.with_poll().with_write());
        steps.into_iter().for_each(|step| model.run(step));
        model.settle_and_check(true);
    }

    #[test]
    fn a_watching_connector_recovers(steps in prop::collection::vec(step(), 0..60)) {
        let mut model = Model::new(Features::NONE.with_watch().with_write());
        steps.into_iter().for_each(|step| model.run(step));
        model.settle_and_check(false);
    }

    #[test]
    fn a_watching_connector_that_can_poll_recovers(steps in prop::collection::vec(step(), 0..60)) {
        let mut model = Model::new(Features::NONE.with_watch().with_poll().with_write());
        steps.into_iter().for_each(|step| model.run(step));
        model.settle_and_check(false);
    }
}
