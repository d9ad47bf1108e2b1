//! Reading a stream of small packets a bunch at a time.

use core::time::Duration;

use pointstream_time::Instant;

/// Says when a connection is read from.
///
/// A broker sends each message and each acknowledgement by itself, as it comes to it. Where thousands
/// come in a second, being woken for each costs more than all that is done with them. So a read that
/// comes close behind another waits for up to [`WAIT`](Self::WAIT), as network cards hold their
/// interrupts back, and finds several. Three things keep that from harm: what comes alone is read at
/// once; a bunch of [`MANY`](Self::MANY) is followed by a read without a wait, since the broker may have
/// been held up; and where a wait brought one packet, as from a broker that waits for an answer, there is
/// none for a while, the longer the more often that happens.
#[derive(Debug, Default)]
pub(crate) struct Gather {
    /// When something was read last.
    last: Option<Instant>,
    /// Nothing is read before that.
    until: Option<Instant>,
    waited: bool,
    /// How many reads go without a wait.
    rest: u32,
    /// How many those were the last time.
    penalty: u32,
}

impl Gather {
    /// How long a read waits at most; timers are as coarse as that.
    pub(crate) const WAIT: Duration = Duration::from_millis(1);
    /// Reads with less between them are close.
    const CLOSE: Duration = Duration::from_millis(2);
    /// As many packets at a time are enough.
    const MANY: u64 = 16;
    const PENALTY_MIN: u32 = 8;
    const PENALTY_MAX: u32 = 1024;

    /// When the next read may come, if not at once.
    pub(crate) const fn until(&self) -> Option<Instant> {
        self.until
    }

    /// The time has come, if it has.
    pub(crate) fn on_time(&mut self, now: Instant) {
        if self.until.is_some_and(|until| until <= now) {
            self.until = None;
        }
    }

    /// So many packets were read.
    pub(crate) fn on_read(&mut self, now: Instant, packets: u64) {
        let before = self.last.replace(now);
        let is_close = before.is_some_and(|before| now < before + Self::CLOSE);
        let waited = core::mem::take(&mut self.waited);
        if waited && packets <= 1 {
            self.penalty = (self.penalty * 2).clamp(Self::PENALTY_MIN, Self::PENALTY_MAX);
            self.rest = self.penalty;
        } else if waited {
            self.penalty = 0;
        }
        if self.rest > 0 {
            self.rest -= 1;
        } else if is_close && !(waited && packets >= Self::MANY) {
            self.waited = true;
            self.until = Some(now + Self::WAIT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads packets that come as `comes` says, a pair of time and count each; gives how many reads
    /// that took.
    fn reads(comes: impl IntoIterator<Item = (Duration, u64)>) -> usize {
        let mut gather = Gather::default();
        let (mut waiting, mut reads) = (0, 0);
        for (at, packets) in comes {
            let now = Instant::from_origin(at);
            // What waited is read when its time has come.
            if let Some(until) = gather.until().filter(|until| *until <= now) {
                gather.on_time(until);
                if waiting > 0 {
                    gather.on_read(until, core::mem::take(&mut waiting));
                    reads += 1;
                }
            }
            waiting += packets;
            if gather.until().is_none() {
                gather.on_read(now, core::mem::take(&mut waiting));
                reads += 1;
            }
        }
        reads
    }

    #[test]
    fn a_stream_is_read_in_bunches() {
        let comes = (0..20_000).map(|at| (Duration::from_micros(at * 50), 1));
        let reads = reads(comes);
        assert!((1_000..2_500).contains(&reads), "{reads}");
    }

    #[test]
    fn what_comes_alone_is_read_at_once() {
        assert_eq!(reads((0..1_000).map(|at| (Duration::from_millis(at * 3), 1))), 1_000);
    }

    /// An exchange in which each side waits for the other.
    #[test]
    fn an_exchange_is_hardly_held_up() {
        let mut gather = Gather::default();
        let (mut now, mut waits) = (Instant::ORIGIN, 0);
        for _ in 0..10_000 {
            now += Duration::from_micros(100);
            if let Some(until) = gather.until() {
                now = now.max(until);
                waits += 1;
                gather.on_time(now);
            }
            gather.on_read(now, 1);
        }
        assert!(waits < 20, "{waits}");
    }

    #[test]
    fn a_full_bunch_is_followed_at_once() {
        let mut gather = Gather::default();
        let ms = |ms| Instant::from_origin(Duration::from_millis(ms));
        gather.on_read(ms(0), 1);
        assert_eq!(gather.until(), None);
        gather.on_read(ms(1), 1);
        assert_eq!(gather.until(), Some(ms(2)));
        gather.on_time(ms(1));
        assert_eq!(gather.until(), Some(ms(2)));
        gather.on_time(ms(2));
        gather.on_read(ms(2), Gather::MANY);
        assert_eq!(gather.until(), None);
        gather.on_read(ms(3), 1);
        assert_eq!(gather.until(), Some(ms(4)));
    }
}
