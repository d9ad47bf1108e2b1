use core::time::Duration;

use pointstream_point::Schedule;
use pointstream_time::{Instant, Seed};

use crate::driver::Request;
use crate::view::PollTimes;

/// The points of one tuning as they are polled: a plan, a fixed grid of due times, and how far the
/// running scan has come.
#[derive(Debug, Default)]
pub(crate) struct Bucket {
    plan: Plan,
    /// The set of points has changed since the plan was made; the running scan goes on by it.
    outdated: bool,
    next: Option<Instant>,
    cursor: Option<usize>,
    /// When the running scan began.
    started: Instant,
    times: PollTimes,
}

#[derive(Debug, Default)]
enum Plan {
    /// The set of points changed; the driver is to be asked.
    #[default]
    Missing,
    /// The driver is being asked.
    Asked,
    Ready(Vec<Request>),
}

/// What a bucket wants next.
#[derive(Debug, PartialEq)]
pub(crate) enum Want {
    Nothing,
    Plan,
    /// Requests of the running scan that go out together.
    Read(Vec<Request>),
}

/// What a due time did.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Tick {
    pub(crate) overruns: u64,
    pub(crate) skipped: u64,
}

impl Bucket {
    /// Starts a scan now and lays the grid from a random phase, so that buckets spread out.
    pub(crate) fn start(&mut self, now: Instant, period: Duration, seed: &mut Seed) {
        self.renew();
        self.begin(now);
        self.relay(now, period, seed);
    }

    /// Lays another grid from a random phase; a running scan goes on.
    pub(crate) fn relay(&mut self, now: Instant, period: Duration, seed: &mut Seed) {
        self.next = Some(now + seed.below(period));
    }

    /// Stops polling; the plan is kept.
    pub(crate) fn stop(&mut self) {
        self.renew();
        self.cursor = None;
        self.next = None;
    }

    /// The set of points changed. A running scan goes on by the plan that it has, so that changes
    /// which come faster than scans end do not keep the later requests from being read.
    pub(crate) fn replan(&mut self) {
        if self.cursor.is_some() && matches!(self.plan, Plan::Ready(_)) {
            self.outdated = true;
        } else {
            self.plan = Plan::Missing;
        }
    }

    /// Points are gone that the plan may name. A running scan starts over.
    pub(crate) fn replan_now(&mut self) {
        self.plan = Plan::Missing;
        self.outdated = false;
        if self.cursor.is_some() {
            self.cursor = Some(0);
        }
    }

    /// The driver is asked for a plan for the present set of points.
    pub(crate) fn ask(&mut self) {
        self.plan = Plan::Asked;
    }

    /// The driver's plan. It is dropped if the set of points changed since it was asked for.
    pub(crate) fn set_plan(&mut self, requests: Vec<Request>) {
        if matches!(self.plan, Plan::Asked) {
            self.plan = Plan::Ready(requests);
        }
    }

    /// When the next scan is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.next
    }

    pub(crate) fn is_running(&self) -> bool {
        self.next.is_some()
    }

    /// Starts a scan if one is due. While a scan is running the due one is left out and counted,
    /// as are due times that passed unseen; the grid itself never moves. Where polls count from the
    /// end of the last one, none is due while it runs.
    pub(crate) fn tick(&mut self, now: Instant, period: Duration, schedule: Schedule) -> Tick {
        let Some(due) = self.next.filter(|&due| due <= now) else { return Tick::default() };
        let running = self.cursor.is_some();
        if schedule == Schedule::Delay {
            if !running {
                self.next = Some(now + period);
                self.begin(now);
            }
            return Tick::default();
        }
        let passed = now.since(due).as_nanos() / period.as_nanos().max(1);
        let passed = u32::try_from(passed).unwrap_or(u32::MAX);
        self.next = Some(due + period.saturating_mul(passed.saturating_add(1)));
        let tick = match running {
            true => Tick { overruns: 1, skipped: u64::from(passed) + 1 },
            false => Tick { overruns: 0, skipped: u64::from(passed) },
        };
        if !running {
            self.begin(now);
        }
        self.times.overruns += tick.overruns;
        self.times.skipped += tick.skipped;
        tick
    }

    /// Begins a scan, unless the plan is known to be empty.
    fn begin(&mut self, now: Instant) {
        let empty = matches!(&self.plan, Plan::Ready(requests) if requests.is_empty());
        self.cursor = (!empty).then_some(0);
        self.started = now;
    }

    /// How long scans took, and how many there were.
    pub(crate) fn times(&self) -> &PollTimes {
        &self.times
    }

    /// The next step of the running scan, which is at most `window` requests.
    pub(crate) fn want(&self, window: usize) -> Want {
        let Some(cursor) = self.cursor else { return Want::Nothing };
        match &self.plan {
            Plan::Missing | Plan::Asked => Want::Plan,
            Plan::Ready(requests) => {
                let rest = requests.get(cursor..).unwrap_or_default();
                match rest.get(..window.min(rest.len())) {
                    Some(next @ [_, ..]) => Want::Read(next.to_vec()),
                    _ => Want::Nothing,
                }
            }
        }
    }

    /// So many requests of the scan are done. Gives whether the scan ended with them; from then on
    /// counts the next one where the schedule is by delay.
    pub(crate) fn advance(
        &mut self,
        done: usize,
        now: Instant,
        period: Duration,
        schedule: Schedule,
    ) -> bool {
        let Some(cursor) = self.cursor else { return false };
        let len = match &self.plan {
            Plan::Missing | Plan::Asked => return false,
            Plan::Ready(requests) => requests.len(),
        };
        self.cursor = Some(cursor + done).filter(|&cursor| cursor < len);
        if self.cursor.is_some() {
            return false;
        }
        self.times.record(now.since(self.started));
        if schedule == Schedule::Delay && self.next.is_some() {
            self.next = Some(now + period);
        }
        self.renew();
        true
    }

    /// Forgets a plan that is outdated.
    fn renew(&mut self) {
        if core::mem::take(&mut self.outdated) {
            self.plan = Plan::Missing;
        }
    }

    /// Ends a scan that has nothing to read.
    pub(crate) fn settle(&mut self) {
        if matches!(&self.plan, Plan::Ready(requests) if requests.is_empty()) {
            self.cursor = None;
        }
    }
}

/// A fixed grid of due times for the polls of a driver that polls in its own way.
#[derive(Debug, Default)]
pub(crate) struct Grid {
    next: Option<Instant>,
    period: Duration,
    due: bool,
    running: bool,
}

impl Grid {
    /// One poll now, the others from a random phase.
    pub(crate) fn start(&mut self, now: Instant, period: Duration, seed: &mut Seed) {
        self.period = period.max(Duration::from_millis(1));
        self.next = Some(now + seed.below(self.period));
        self.due = true;
    }

    pub(crate) fn stop(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn is_running(&self) -> bool {
        self.next.is_some()
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Lets time pass; as with a bucket, what falls due while a poll runs is left out and counted.
    pub(crate) fn tick(&mut self, now: Instant) -> Tick {
        let Some(due) = self.next.filter(|&due| due <= now) else { return Tick::default() };
        let passed = now.since(due).as_nanos() / self.period.as_nanos();
        let passed = u32::try_from(passed).unwrap_or(u32::MAX);
        self.next = Some(due + self.period.saturating_mul(passed.saturating_add(1)));
        if self.due || self.running {
            return Tick { overruns: 1, skipped: u64::from(passed) + 1 };
        }
        self.due = true;
        Tick { overruns: 0, skipped: u64::from(passed) }
    }

    /// Whether a poll is due; it runs from then on.
    pub(crate) fn take(&mut self) -> bool {
        self.running = core::mem::take(&mut self.due);
        self.running
    }

    /// The poll has ended.
    pub(crate) fn end(&mut self) {
        self.running = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_origin(Duration::from_millis(millis))
    }

    const PERIOD: Duration = Duration::from_millis(100);

    fn bucket(requests: usize) -> Bucket {
        let mut bucket = Bucket::default();
        bucket.ask();
        bucket.set_plan((0..requests).map(|i| Request::new(&[], i as u64)).collect());
        bucket.next = Some(at(0));
        bucket
    }

    #[test]
    fn a_scan_runs_through_its_requests() {
        let mut bucket = bucket(2);
        assert_eq!(bucket.want(1), Want::Nothing);
        assert_eq!(bucket.tick(at(0), PERIOD, Schedule::Grid), Tick::default());
        assert!(matches!(bucket.want(1), Want::Read(requests) if requests[0].token == 0));
        assert!(!bucket.advance(1, at(50), PERIOD, Schedule::Grid));
        assert!(matches!(bucket.want(1), Want::Read(requests) if requests[0].token == 1));
        assert!(bucket.advance(1, at(50), PERIOD, Schedule::Grid));
        assert_eq!(bucket.want(1), Want::Nothing);
        assert_eq!(bucket.next(), Some(at(100)));
    }

    #[test]
    fn a_window_takes_several_requests_and_the_last_what_is_left() {
        let mut bucket = bucket(5);
        bucket.tick(at(0), PERIOD, Schedule::Grid);
        for (count, ends) in [(2, false), (2, false), (1, true)] {
            let Want::Read(requests) = bucket.want(2) else { panic!("nothing to read") };
            assert_eq!(requests.len(), count);
            assert_eq!(bucket.advance(count, at(50), PERIOD, Schedule::Grid), ends);
        }
        assert_eq!(bucket.want(2), Want::Nothing);
    }

    #[test]
    fn an_overrun_is_skipped_and_counted_and_the_grid_stays() {
        let mut bucket = bucket(1);
        bucket.tick(at(0), PERIOD, Schedule::Grid);
        assert_eq!(bucket.tick(at(100), PERIOD, Schedule::Grid), Tick { overruns: 1, skipped: 1 });
        bucket.advance(1, at(50), PERIOD, Schedule::Grid);
        assert_eq!(bucket.tick(at(130), PERIOD, Schedule::Grid), Tick::default());
        assert_eq!(bucket.tick(at(200), PERIOD, Schedule::Grid), Tick::default());
        bucket.advance(1, at(50), PERIOD, Schedule::Grid);
        assert_eq!(bucket.tick(at(570), PERIOD, Schedule::Grid), Tick { overruns: 0, skipped: 2 });
        assert_eq!(bucket.next(), Some(at(600)));
    }

    #[test]
    fn by_delay_the_next_scan_counts_from_the_end_of_the_last() {
        let mut bucket = bucket(1);
        let delay = Schedule::Delay;
        bucket.tick(at(0), PERIOD, delay);
        assert_eq!(bucket.tick(at(150), PERIOD, delay), Tick::default(), "it still runs");
        assert!(bucket.advance(1, at(170), PERIOD, delay));
        assert_eq!(bucket.next(), Some(at(270)));
        assert_eq!(bucket.times().scans, 1);
        assert_eq!(bucket.times().total, Duration::from_millis(170));
    }

    #[test]
    fn an_empty_plan_never_overruns() {
        let mut bucket = bucket(0);
        for tick in 0..5 {
            let tick = bucket.tick(at(tick * 100), PERIOD, Schedule::Grid);
            assert_eq!(tick, Tick::default());
        }
    }

    #[test]
    fn a_new_set_of_points_is_planned_again() {
        let mut bucket = bucket(2);
        bucket.tick(at(0), PERIOD, Schedule::Grid);
        bucket.advance(1, at(50), PERIOD, Schedule::Grid);
        bucket.replan();
        assert!(matches!(bucket.want(1), Want::Read(requests) if requests[0].token == 1));
        assert!(bucket.advance(1, at(50), PERIOD, Schedule::Grid), "the scan goes on to its end");
        bucket.tick(at(100), PERIOD, Schedule::Grid);
        assert_eq!(bucket.want(1), Want::Plan);
        bucket.replan_now();
        assert_eq!(bucket.want(1), Want::Plan);
        bucket.ask();
        bucket.set_plan(Vec::new());
        bucket.settle();
        assert_eq!(bucket.want(1), Want::Nothing);
        assert_eq!(bucket.tick(at(200), PERIOD, Schedule::Grid), Tick::default());
    }
}
