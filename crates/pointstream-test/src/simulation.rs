//! Many connectors with devices in trouble, in virtual time and without a runtime.
//!
//! Every connector machine has a device of its own, whose mood changes by a seed: it goes away, says
//! nothing, is slow, refuses points. Meanwhile points are watched and not, written, read out of turn
//! and given other tunings, and connectors are switched off and on; some points are collected each minute,
//! logs are fetched, and devices tell what they kept. At the end things become quiet, and each connector has
//! to be what it should be, its histories without a gap. One seed always gives one run.

use core::cmp::Reverse;
use core::time::Duration;
use std::collections::BinaryHeap;

use pointstream_time::{Instant, Seed};

mod device;
mod histories;
mod member;

use device::Device;
use member::{Alarm, Member};

/// What to simulate.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// What all chance is drawn from.
    pub seed: u64,
    /// How many connectors.
    pub connectors: u32,
    /// How many points each has.
    pub points: u32,
    /// How long it goes on, the quiet end included.
    pub time: Duration,
    /// How long it is quiet at the end.
    pub quiet: Duration,
}

impl Settings {
    /// The given number of connectors with as many points each, for so long, the last five minutes
    /// of it quiet.
    pub const fn new(seed: u64, connectors: u32, points: u32, time: Duration) -> Self {
        Self { seed, connectors, points, time, quiet: Duration::from_secs(5 * 60) }
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Outcome {
    /// Readings that arrived, good and bad.
    pub readings: u64,
    /// Operations that drivers did.
    pub operations: u64,
    /// Times that a machine was told that time had passed.
    pub wakes: u64,
    /// Writes and readings out of turn that were asked for, each answered once.
    pub requests: u64,
    /// Things that went wrong, or were changed.
    pub troubles: u64,
    /// Items that points collected.
    pub collected: u64,
    /// Items that were fetched of the logs that devices keep.
    pub fetched: u64,
    /// Items that devices told unasked of the past.
    pub past: u64,
}

/// Runs a simulation.
///
/// # Errors
///
/// A connector that is not what it should be, in words that name the seed: the same settings fail
/// again in the same way.
pub fn run(settings: &Settings) -> Result<Outcome, String> {
    let failed = |error| format!("{error} (seed {})", settings.seed);
    Simulation::new(settings).run().map_err(failed)
}

/// A time at which a connector is to be looked at, and why.
type Entry = Reverse<(Instant, u32, Alarm)>;

struct Simulation {
    members: Vec<Member>,
    queue: BinaryHeap<Entry>,
    quiet_at: Instant,
    end: Instant,
    outcome: Outcome,
}

impl Simulation {
    fn new(settings: &Settings) -> Self {
        let mut seed = Seed::new(settings.seed);
        let end = Instant::from_origin(settings.time);
        let quiet_at = Instant::from_origin(settings.time.saturating_sub(settings.quiet));
        let members: Vec<Member> = (0..settings.connectors)
            .map(|index| Member::new(index, settings.points, seed.split()))
            .collect();
        let mut simulation =
            Self { members, queue: BinaryHeap::new(), quiet_at, end, outcome: Outcome::default() };
        for index in 0..settings.connectors {
            simulation.push(Instant::ORIGIN, index, Alarm::Trouble);
            simulation.push(quiet_at, index, Alarm::Quiet);
            simulation.push(Instant::ORIGIN + histories::MINUTE, index, Alarm::Minute);
        }
        simulation
    }

    fn push(&mut self, at: Instant, index: u32, alarm: Alarm) {
        self.queue.push(Reverse((at, index, alarm)));
    }

    fn run(mut self) -> Result<Outcome, String> {
        while let Some(Reverse((at, index, alarm))) = self.queue.pop() {
            if at > self.end {
                break;
            }
            let quiet = at >= self.quiet_at;
            let Some(member) = self.members.get_mut(index as usize) else { continue };
            let next = member.on_alarm(at, alarm, quiet, &mut self.outcome);
            let next = next.map_err(|error| format!("connector {index} at {at:?}: {error}"))?;
            for (at, alarm) in next {
                self.push(at, index, alarm);
            }
        }
        for (index, member) in self.members.iter().enumerate() {
            member
                .check(self.end)
                .map_err(|error| format!("connector {index} at the end: {error}"))?;
        }
        Ok(self.outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_happens_all_is_well_when_things_are_quiet() {
        let mut past = 0;
        for seed in 0..40 {
            let settings = Settings::new(seed, 5, 12, Duration::from_secs(1800));
            let outcome = run(&settings).unwrap();
            assert!(outcome.readings > 1_000 && outcome.requests > 10, "{outcome:?}");
            assert!(outcome.collected > 1_000 && outcome.fetched > 100, "{outcome:?}");
            past += outcome.past;
        }
        assert!(past > 100, "devices told {past} items of the past");
    }

    #[test]
    fn one_seed_gives_one_run() {
        let settings = Settings::new(7, 3, 10, Duration::from_secs(1200));
        assert_eq!(run(&settings), run(&settings));
        let other = Settings { seed: 8, ..settings };
        assert_ne!(run(&settings), run(&other));
    }

    #[test]
    fn a_device_that_never_becomes_well_is_found_and_the_seed_named() {
        let mut settings = Settings::new(3, 2, 5, Duration::from_secs(1200));
        settings.quiet = Duration::from_millis(1);
        // Without a quiet end some seed leaves something in trouble, and that is told.
        let found = (0..50).find_map(|seed| run(&Settings { seed, ..settings }).err());
        assert!(found.unwrap().contains("(seed "));
    }
}
