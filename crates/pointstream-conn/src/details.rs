use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use pointstream_point::Id;
use pointstream_time::Instant;

use crate::config::ConnConfig;
use crate::view::{BucketView, ConnView, PollStats};

/// When things happened last to a connector.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct ConnTimes {
    /// Values were read.
    pub poll: Option<Instant>,
    /// The device answered a ping.
    pub ping: Option<Instant>,
    /// An operation succeeded.
    pub ok: Option<Instant>,
    /// The session was lost or could not be opened.
    pub err: Option<Instant>,
}

/// Everything that a connector knows about itself, for people who want to know why it does not do
/// what it should. It is kept beside the connector and told without asking it, so that it is there
/// even while the driver hangs.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Details {
    /// The name of the connector.
    pub id: Option<Id>,
    /// What it shows.
    pub view: ConnView,
    /// When it was looked at.
    pub now: Instant,
    /// When things happened last.
    pub times: ConnTimes,
    /// What the driver is doing, and since when.
    pub current: Option<(&'static str, Instant)>,
    /// Who keeps the session open.
    pub pins: Vec<Arc<str>>,
    /// Until when it stays open though nobody does.
    pub linger_until: Option<Instant>,
    /// When it is opened next, after a failure.
    pub retry_at: Option<Instant>,
    /// How many points it has, and how many of them are watched.
    pub points: (usize, usize),
    /// What was counted.
    pub stats: PollStats,
    /// How the polls of each tuning went.
    pub buckets: Vec<BucketView>,
    /// The time limit of an operation, the longest wait for a retry, the linger time, and the
    /// period of pings.
    pub limits: [Option<Duration>; 4],
}

impl Details {
    pub(crate) fn limits_of(config: &ConnConfig) -> [Option<Duration>; 4] {
        [Some(config.op_timeout), Some(config.open_retry), Some(config.linger), config.ping_freq]
    }
}

impl fmt::Display for Details {
    /// One fact a line, in the order of Haxall's `connDetails`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = self.now;
        let [timeout, retry, linger, ping] = self.limits.map(Period);
        let id = self.id.as_ref().map(Id::as_str).unwrap_or_default();
        writeln!(f, "id:            {id}")?;
        writeln!(f, "timeout:       {timeout}\nopenRetryFreq: {retry}\npingFreq:      {ping}")?;
        writeln!(f, "linger:        {linger}")?;
        let (points, watched) = self.points;
        writeln!(f, "numPoints:     {points} ({watched} watched)\n")?;
        for bucket in &self.buckets {
            let (times, period) = (&bucket.times, Period(Some(bucket.poll_time)));
            let average = times.total.checked_div(u32::try_from(times.scans).unwrap_or(u32::MAX));
            writeln!(
                f,
                "pollBucket:    {} [{period}, {} points, {} polled] lastDur: {:?}, polls: {}, \
                 avgPoll: {:?}, overruns: {}, skipped: {}",
                bucket.tuning,
                bucket.points,
                bucket.polled,
                times.last,
                times.scans,
                average.unwrap_or_default(),
                times.overruns,
                times.skipped
            )?;
        }
        let (view, times) = (&self.view, &self.times);
        writeln!(f, "\nstatus:        {}\nstate:         {}", view.status, view.state.as_str())?;
        let watch = (watched > 0).then_some("watch");
        let pins: Vec<&str> = watch.into_iter().chain(self.pins.iter().map(|pin| &**pin)).collect();
        let pins = if pins.is_empty() { "none".to_owned() } else { pins.join(", ") };
        writeln!(f, "openPins:      {pins}")?;
        writeln!(f, "lingering:     {}", In(self.linger_until, now))?;
        writeln!(f, "nextOpen:      {}", In(self.retry_at, now))?;
        writeln!(
            f,
            "lastPoll:      {}\nlastPing:      {}",
            Ago(times.poll, now),
            Ago(times.ping, now)
        )?;
        writeln!(
            f,
            "lastOk:        {}\nlastErr:       {}",
            Ago(times.ok, now),
            Ago(times.err, now)
        )?;
        writeln!(f, "err:           {}", view.err.as_deref().unwrap_or("none"))?;
        let stats = &self.stats;
        writeln!(
            f,
            "\nopens:         {}\nfailures:      {}\nrequests:      {}\nreadings:      {}",
            stats.opens, stats.failures, stats.requests, stats.readings
        )?;
        match &self.current {
            Some((what, since)) => {
                let dur = now.since(*since);
                writeln!(f, "\ncurrentMessage: {what}\n  dur:         {dur:?}")
            }
            None => writeln!(f, "\ncurrentMessage: none"),
        }
    }
}

struct Period(Option<Duration>);

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(period) => write!(f, "{period:?}"),
            None => f.write_str("none"),
        }
    }
}

struct Ago(Option<Instant>, Instant);

impl fmt::Display for Ago {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(at) => write!(f, "{:.1} s ago", self.1.since(at).as_secs_f64()),
            None => f.write_str("never"),
        }
    }
}

struct In(Option<Instant>, Instant);

impl fmt::Display for In {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(at) if at > self.1 => write!(f, "in {:.1} s", at.since(self.1).as_secs_f64()),
            _ => f.write_str("na"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_say_what_is_being_done_and_since_when() {
        let at = |secs| Instant::from_origin(Duration::from_secs(secs));
        let mut details = Details { now: at(100), ..Details::default() };
        details.times.ok = Some(at(90));
        details.current = Some(("read", at(58)));
        details.retry_at = Some(at(104));
        let text = details.to_string();
        for line in [
            "lastOk:        10.0 s ago\nlastErr:       never\n",
            "nextOpen:      in 4.0 s\n",
            "currentMessage: read\n  dur:         42s\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}
