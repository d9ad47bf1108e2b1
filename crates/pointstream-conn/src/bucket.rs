use core::time::Duration;

use pointstream_time::{Instant, Seed};

use crate::driver::Request;

/// The points of one tuning as they are polled: a plan, a fixed grid of due times, and how far the
/// running scan has come.
#[derive(Debug, Default)]
pub(crate) struct Bucket {
    plan: Plan,
    /// The set of points has changed since the plan was made; the running scan goes on by it.
    outdated: bool,
    next: Option<Instant>,
    cursor: Option<usize>,
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
    Read(Request),
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
        self.cursor = Some(0);
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
    /// as are due times that passed unseen; the grid itself never moves.
    pub(crate) fn tick(&mut self, now: Instant, period: Duration) -> Tick {
        let Some(due) = self.next.filter(|&due| due <= now) else { return Tick::default() };
        let passed = now.since(due).as_nanos() / period.as_nanos().max(1);
        let passed = u32::try_from(passed).unwrap_or(u32::MAX);
        self.next = Some(due + period.saturating_mul(passed.saturating_add(1)));
        if self.cursor.is_some() {
            return Tick { overruns: 1, skipped: u64::from(passed) + 1 };
        }
        self.cursor = Some(0);
        Tick { overruns: 0, skipped: u64::from(passed) }
    }

    /// The next step of the running scan.
    pub(crate) fn want(&self) -> Want {
        let Some(cursor) = self.cursor else { return Want::Nothing };
        match &self.plan {
            Plan::Missing | Plan::Asked => Want::Plan,
            Plan::Ready(requests) => {
                requests.get(cursor).cloned().map_or(Want::Nothing, Want::Read)
            }
        }
    }

    /// One request of the scan is done. Gives whether the scan ended with it.
    pub(crate) fn advance(&mut self) -> bool {
        let Some(cursor) = self.cursor else { return false };
        let len = match &self.plan {
            Plan::Missing | Plan::Asked => return false,
            Plan::Ready(requests) => requests.len(),
        };
        self.cursor = Some(cursor + 1).filter(|&cursor| cursor < len);
        if self.cursor.is_none() {
            self.renew();
        }
        self.cursor.is_none()
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
        assert_eq!(bucket.want(), Want::Nothing);
        assert_eq!(bucket.tick(at(0), PERIOD), Tick::default());
        assert!(matches!(bucket.want(), Want::Read(request) if request.token == 0));
        assert!(!bucket.advance());
        assert!(matches!(bucket.want(), Want::Read(request) if request.token == 1));
        assert!(bucket.advance());
        assert_eq!(bucket.want(), Want::Nothing);
        assert_eq!(bucket.next(), Some(at(100)));
    }

    #[test]
    fn an_overrun_is_skipped_and_counted_and_the_grid_stays() {
        let mut bucket = bucket(1);
        bucket.tick(at(0), PERIOD);
        assert_eq!(bucket.tick(at(100), PERIOD), Tick { overruns: 1, skipped: 1 });
        bucket.advance();
        assert_eq!(bucket.tick(at(130), PERIOD), Tick::default());
        assert_eq!(bucket.tick(at(200), PERIOD), Tick::default());
        bucket.advance();
        assert_eq!(bucket.tick(at(570), PERIOD), Tick { overruns: 0, skipped: 2 });
        assert_eq!(bucket.next(), Some(at(600)));
    }

    #[test]
    fn a_new_set_of_points_is_planned_again() {
        let mut bucket = bucket(2);
        bucket.tick(at(0), PERIOD);
        bucket.advance();
        bucket.replan();
        assert!(matches!(bucket.want(), Want::Read(request) if request.token == 1));
        assert!(bucket.advance(), "the scan goes on to its end");
        bucket.tick(at(100), PERIOD);
        assert_eq!(bucket.want(), Want::Plan);
        bucket.replan_now();
        assert_eq!(bucket.want(), Want::Plan);
        bucket.ask();
        bucket.set_plan(Vec::new());
        bucket.settle();
        assert_eq!(bucket.want(), Want::Nothing);
        assert_eq!(bucket.tick(at(200), PERIOD), Tick::default());
    }
}
