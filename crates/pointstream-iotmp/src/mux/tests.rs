use alloc::vec;
use alloc::vec::Vec;

use pointstream_time::Seed;
use proptest::prelude::*;

use super::*;

/// A device that sends at once when it is asked and then at its interval, each value being the time
/// of it in milliseconds, late by up to `jitter`.
struct Device {
    mux: Mux<u64>,
    now: u64,
    jitter: u64,
    seed: Seed,
    /// The channels with their interval and when they last stood on their grid.
    open: BTreeMap<Channel, (u64, u64)>,
    /// The next value of each channel.
    next: BTreeMap<Channel, u64>,
    asked: Vec<Option<u64>>,
    got: BTreeMap<Sink, Vec<u64>>,
}

fn at(millis: u64) -> Instant {
    Instant::from_origin(Duration::from_millis(millis))
}

impl Device {
    fn new(config: Config) -> Self {
        let mut mux = Mux::new(config);
        mux.on_connected();
        Self {
            mux,
            now: 0,
            jitter: 0,
            seed: Seed::new(1),
            open: BTreeMap::new(),
            next: BTreeMap::new(),
            asked: Vec::new(),
            got: BTreeMap::new(),
        }
    }

    fn join(&mut self, millis: u64) -> Sink {
        let interval = (millis > 0).then(|| Duration::from_millis(millis));
        let sink = self.mux.join(at(self.now), "temperature", interval).unwrap();
        self.work();
        sink
    }

    fn leave(&mut self, sink: Sink) {
        self.mux.leave(sink);
        self.work();
    }

    fn work(&mut self) {
        while let Some(action) = self.mux.poll_action() {
            match action {
                Action::Start { channel, interval, resource }
                | Action::Restart { channel, interval, resource } => {
                    assert_eq!(resource, "temperature");
                    let interval = interval.map(|it| u64::try_from(it.as_millis()).unwrap());
                    self.asked.push(interval);
                    self.mux.on_ok(channel);
                    self.open.remove(&channel);
                    self.next.remove(&channel);
                    if let Some(interval) = interval {
                        self.open.insert(channel, (interval, self.now));
                        self.plan(channel);
                    }
                    self.mux.on_value(at(self.now), channel, self.now, false);
                }
                Action::Stop { channel } => {
                    self.asked.push(Some(0));
                    self.open.remove(&channel);
                    self.next.remove(&channel);
                    self.mux.on_ok(channel);
                }
            }
        }
        while let Some(event) = self.mux.poll_event() {
            let Event::Value(sink, time) = event else { panic!("nothing ends here") };
            self.got.entry(sink).or_default().push(time.max(self.now));
        }
    }

    fn plan(&mut self, channel: Channel) {
        let (interval, on_grid) = &mut self.open.get_mut(&channel).unwrap();
        *on_grid += *interval;
        let late = self.seed.below(Duration::from_millis(self.jitter + 1)).as_millis();
        self.next.insert(channel, *on_grid + u64::try_from(late).unwrap());
    }

    fn run_until(&mut self, end: u64) {
        while let Some((&channel, &time)) = self.next.iter().min_by_key(|(_, time)| **time) {
            if time > end {
                break;
            }
            self.now = time.max(self.now);
            self.plan(channel);
            self.mux.on_value(at(self.now), channel, self.now, false);
            self.work();
        }
        self.now = end;
    }

    fn got(&self, sink: Sink) -> Vec<u64> {
        self.got.get(&sink).cloned().unwrap_or_default()
    }
}

fn every(step: u64, from: u64, to: u64) -> Vec<u64> {
    (from..=to).step_by(usize::try_from(step).unwrap()).collect()
}

#[test]
fn dashboards_at_6_and_9_seconds_are_served_from_one_stream_at_3() {
    let mut device = Device::new(Config::default());
    let (a, b) = (device.join(6_000), device.join(9_000));
    device.run_until(60_000);
    assert_eq!(device.asked, [Some(6_000), Some(3_000)]);
    assert_eq!(device.got(a), every(6_000, 0, 60_000));
    assert_eq!(device.got(b), every(9_000, 0, 60_000));
    device.leave(a);
    device.run_until(120_000);
    assert_eq!(device.asked.last(), Some(&Some(9_000)));
    // The device begins anew at 60 s, of which 63 s was due: the nearest date that it has.
    assert_eq!(device.got(b).last(), Some(&114_000));
    device.leave(b);
    assert_eq!((device.asked.last(), device.mux.channels.len()), (Some(&Some(0)), 0));
}

#[test]
fn the_worked_examples_ask_for_their_divisors() {
    for (intervals, divisors) in [
        (&[10, 60][..], &[10][..]),
        (&[4, 6, 10], &[4, 2]),
        (&[5, 7], &[5, 1]),
        (&[10, 15], &[10, 5]),
    ] {
        let mut device = Device::new(Config::default());
        let sinks: Vec<_> = intervals.iter().map(|secs| device.join(secs * 1_000)).collect();
        device.run_until(420_000);
        let asked: Vec<_> = divisors.iter().map(|secs| Some(secs * 1_000)).collect();
        assert_eq!(device.asked, asked);
        for (sink, secs) in sinks.iter().zip(intervals) {
            assert_eq!(device.got(*sink), every(secs * 1_000, 0, 420_000));
        }
        if intervals == [10, 15] {
            device.leave(sinks[0]);
            assert_eq!(device.asked.last(), Some(&Some(15_000)));
        }
    }
}

#[test]
fn the_floor_holds_and_each_sink_is_served_as_near_as_it_allows() {
    for (floor, asked) in [(1_000, 1_000), (100, 250)] {
        let config = Config::default().with_interval_min(Duration::from_millis(floor));
        let mut device = Device::new(config);
        let (a, b) = (device.join(500), device.join(750));
        device.run_until(30_000);
        assert_eq!(device.asked.last(), Some(&Some(asked)));
        let step = |interval: u64| interval.max(asked);
        assert_eq!(device.got(a), every(step(500), 0, 30_000));
        assert_eq!(device.got(b), every(step(750), 0, 30_000));
    }
    let mut device = Device::new(Config::default());
    let (a, _) = (device.join(1_500), device.join(2_250));
    device.run_until(150_000);
    assert_eq!(device.asked.last(), Some(&Some(1_000)));
    assert!((98..=102).contains(&device.got(a).len()), "{}", device.got(a).len());
}

#[test]
fn a_late_joiner_is_given_the_last_value_and_then_its_period() {
    let mut device = Device::new(Config::default());
    device.join(3_000);
    device.run_until(10_000);
    let late = device.join(6_000);
    device.run_until(40_000);
    assert_eq!(device.asked, [Some(3_000)], "nothing changed for the device");
    assert_eq!(device.got(late), [10_000, 15_000, 21_000, 27_000, 33_000, 39_000]);
}

#[test]
fn sinks_of_events_have_a_stream_of_their_own_where_the_device_keeps_it() {
    let mut device = Device::new(Config::default());
    let (periodic, events) = (device.join(5_000), device.join(0));
    assert_eq!(device.asked, [Some(5_000), None]);
    device.run_until(20_000);
    assert_eq!(device.got(periodic), every(5_000, 0, 20_000));
    assert_eq!(device.got(events), [0], "what the device sends when it is asked");
    let channel = device.mux.sinks[&events];
    device.mux.on_value(at(21_000), channel, 21_000, false);
    device.work();
    assert_eq!(device.got(events), [0, 21_000]);
    assert_eq!(device.got(periodic).last(), Some(&20_000));
}

#[test]
fn one_stream_serves_all_where_the_device_keeps_the_last_id() {
    let mut device = Device::new(Config::default().with_keeps(Keeps::Last));
    let events = device.join(0);
    let periodic = device.join(5_000);
    device.run_until(10_000);
    assert_eq!(device.asked, [None, Some(5_000)]);
    assert_eq!(device.got(events), [0, 0, 5_000, 10_000]);
    // A device that tells its events from its samples spares the periodic sink.
    let channel = device.mux.sinks[&events];
    device.mux.on_value(at(15_000), channel, 15_000, true);
    device.work();
    assert_eq!(device.got(periodic).last(), Some(&10_000));
    device.leave(periodic);
    assert_eq!(device.asked.last(), Some(&None));
}

#[test]
fn a_device_that_comes_back_as_another_kind_is_asked_in_its_way() {
    let mut device = Device::new(Config::default());
    let (periodic, event) = (device.join(5_000), device.join(0));
    assert_eq!(device.asked, [Some(5_000), None]);
    for (keeps, asked) in
        [(Keeps::Last, vec![Some(5_000)]), (Keeps::Apart, vec![Some(5_000), None])]
    {
        device.mux.on_disconnected();
        (device.open, device.next, device.asked) = Default::default();
        device.mux.set_keeps(keeps);
        device.mux.on_connected();
        device.work();
        device.asked.sort_by_key(|asked| asked.is_none());
        assert_eq!(device.asked, asked);
    }
    assert_eq!(device.mux.len(), 2);
    device.leave(periodic);
    device.leave(event);
    assert!(device.mux.is_empty() && device.mux.channels.is_empty());
}

#[test]
fn a_missed_sample_delays_and_does_not_shift() {
    let mut device = Device::new(Config::default());
    let (a, b) = (device.join(2_000), device.join(10_000));
    device.run_until(9_000);
    let channel = device.mux.sinks[&a];
    device.plan(channel);
    device.run_until(60_000);
    let late: Vec<_> = device.got(b).into_iter().filter(|time| time % 10_000 != 0).collect();
    assert!(late.len() <= 1, "{late:?}");
    assert_eq!(device.got(b).last(), Some(&60_000));
}

#[test]
fn all_streams_begin_anew_when_the_device_connects_again() {
    let mut device = Device::new(Config::default());
    let sink = device.join(5_000);
    device.run_until(10_000);
    device.mux.on_disconnected();
    device.open.clear();
    device.next.clear();
    let gone = device.join(7_000);
    device.leave(gone);
    device.run_until(30_000);
    assert_eq!(device.asked, [Some(5_000)], "nothing is asked of a device that is not there");
    device.mux.on_connected();
    device.work();
    device.run_until(40_000);
    assert_eq!(device.asked, [Some(5_000), Some(5_000)]);
    assert_eq!(device.got(sink)[3..], [30_000, 35_000, 40_000]);
}

#[test]
fn one_action_at_a_time_and_the_last_wish_counts() {
    let mut mux: Mux<u8> = Mux::new(Config::default());
    mux.on_connected();
    let secs = |secs| Some(Duration::from_secs(secs));
    let a = mux.join(at(0), "r", secs(6)).unwrap();
    let Some(Action::Start { channel, .. }) = mux.poll_action() else { panic!("no start") };
    mux.join(at(0), "r", secs(9)).unwrap();
    mux.leave(a);
    mux.join(at(0), "r", secs(12)).unwrap();
    assert_eq!(mux.poll_action(), None);
    mux.on_ok(channel);
    let restart = Action::Restart { channel, resource: "r".into(), interval: secs(3) };
    assert_eq!((mux.poll_action(), mux.poll_action()), (Some(restart), None));
}

#[test]
fn what_the_device_ends_is_told_and_what_is_lost_is_opened_anew() {
    let mut mux: Mux<u8> = Mux::new(Config::default());
    mux.on_connected();
    let sink = mux.join(at(0), "r", None).unwrap();
    let Some(Action::Start { channel, .. }) = mux.poll_action() else { panic!("no start") };
    mux.on_error(channel);
    assert_eq!((mux.poll_event(), mux.poll_action()), (Some(Event::Ended(sink)), None));
    let other = mux.join(at(1), "r", None).unwrap();
    assert!(matches!(mux.poll_action(), Some(Action::Start { .. })));
    mux.on_ok(channel);
    mux.on_lost(channel);
    assert_eq!(mux.poll_event(), None);
    assert!(matches!(mux.poll_action(), Some(Action::Start { .. })));
    mux.on_ok(channel);
    mux.on_stopped(channel);
    assert_eq!(mux.poll_event(), Some(Event::Ended(sink)));
    assert_eq!(mux.poll_event(), Some(Event::Ended(other)));
    mux.leave(sink);
    mux.leave(sink);
    mux.leave(other);
    assert!(mux.is_empty() && mux.channels.is_empty() && mux.by_resource.is_empty());
}

#[test]
fn sinks_and_resources_have_their_limits() {
    let mut mux: Mux<u8> = Mux::new(Config::default().with_max(2, 3));
    let join = |mux: &mut Mux<u8>, name: &str| mux.join(at(0), name, None).map(|_| ());
    assert_eq!(join(&mut mux, "a"), Ok(()));
    assert_eq!(join(&mut mux, "b"), Ok(()));
    assert_eq!(join(&mut mux, "c"), Err(JoinError::Full));
    assert_eq!(join(&mut mux, "a"), Ok(()));
    assert_eq!(join(&mut mux, "a"), Err(JoinError::Full));
    let short = mux.join(at(0), "a", Some(Duration::from_micros(999)));
    assert_eq!((short, mux.len()), (Err(JoinError::Interval), 3));
}

proptest! {
    /// Sinks of random intervals come and go; from the last change on, each has its period within
    /// what the device's jitter and the half of the stream's interval at that change allow.
    #[test]
    fn every_sink_has_its_period(
        steps in prop::collection::vec((0u64..20_000, 1u64..25, 0usize..4), 1..12),
        jitter in 0u64..200,
        seed: u64,
    ) {
        let mut device = Device::new(Config::default());
        (device.jitter, device.seed) = (jitter, Seed::new(seed));
        let mut sinks = vec![];
        for (wait, secs, leave) in steps {
            let until = device.now + wait;
            device.run_until(until);
            if leave == 0 && !sinks.is_empty() {
                let (sink, _) = sinks.remove(0);
                device.leave(sink);
            } else {
                sinks.push((device.join(secs * 1_000), secs * 1_000));
            }
            let common = sinks.iter().fold(0, |common, (_, millis)| divisor(common, u128::from(*millis)));
            if common > 0 {
                let asked = device.asked.iter().rev().flatten().next();
                prop_assert_eq!(asked.map(|it| u128::from(*it)), Some(common));
            }
        }
        let changed = device.now;
        device.run_until(changed + 1_000_000);
        for (sink, interval) in sinks {
            let settled: Vec<_> =
                device.got(sink).into_iter().filter(|time| *time >= changed + 2 * interval).collect();
            for pair in settled.windows(2) {
                let gap = pair[1] - pair[0];
                prop_assert!(gap.abs_diff(interval) <= jitter, "{} apart, not {}", gap, interval);
            }
            let expected = (1_000_000 - 2 * interval) / interval;
            prop_assert!((settled.len() as u64).abs_diff(expected) <= 1);
        }
    }

    /// Any order of calls keeps the books straight.
    #[test]
    fn no_order_of_calls_confuses_it(
        steps in prop::collection::vec((0u8..9, 0u64..5_000, 0u64..30), 1..120),
        last: bool,
    ) {
        let keeps = if last { Keeps::Last } else { Keeps::Apart };
        let mut mux: Mux<u8> = Mux::new(Config::default().with_max(6, 10).with_keeps(keeps));
        let (mut now, mut sinks, mut under_way, mut gone) = (0, vec![], vec![], vec![]);
        for (what, later, number) in steps {
            now += later;
            let channel = Channel(number);
            match what {
                0 | 1 => {
                    let interval = (number > 5).then(|| Duration::from_millis(number * 130));
                    let name = ["a", "b", "c"][(number % 3) as usize];
                    sinks.extend(mux.join(at(now), name, interval).ok());
                }
                2 => if let Some(sink) = sinks.pop() {
                    mux.leave(sink);
                    gone.push(sink);
                },
                3 => mux.on_connected(),
                4 => mux.on_disconnected(),
                5 => if let Some(channel) = under_way.pop() { mux.on_ok(channel) },
                6 => if let Some(channel) = under_way.pop() { mux.on_error(channel) },
                7 => mux.on_lost(channel),
                _ => mux.on_value(at(now), channel, 1, false),
            }
            while let Some(action) = mux.poll_action() {
                under_way.push(match action {
                    Action::Start { channel, interval, .. } | Action::Restart { channel, interval, .. } => {
                        prop_assert!(interval.is_none_or(|it| it >= Duration::from_secs(1)));
                        channel
                    }
                    Action::Stop { channel } => channel,
                });
            }
            while let Some(event) = mux.poll_event() {
                let (Event::Value(sink, _) | Event::Ended(sink)) = event;
                prop_assert!(!gone.contains(&sink), "nothing reaches a sink that has left");
            }
            prop_assert_eq!(mux.len(), sinks.len());
            prop_assert!(mux.channels.len() <= 6 && mux.channels.len() == mux.by_resource.len());
            let members: usize = mux.channels.values().map(|line| line.members.len()).sum();
            prop_assert_eq!(members, sinks.len());
        }
    }
}
