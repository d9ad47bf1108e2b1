use std::time::Duration;

use tokio::time::Instant;

/// Lets so many through in a second, evenly. A herd that comes back at once does not take the processor
/// from those who are here.
#[derive(Debug)]
pub(crate) struct Turnstile {
    /// None if any number may pass.
    per_window: Option<u32>,
    window: Instant,
    left: u32,
}

impl Turnstile {
    pub(crate) fn new(per_second: u32, now: Instant) -> Self {
        let per_window = (per_second > 0).then(|| (per_second / WINDOWS).max(1));
        Self { per_window, window: now, left: per_window.unwrap_or(0) }
    }

    /// When the next one may pass; none if it may at once.
    pub(crate) fn opens(&mut self, now: Instant) -> Option<Instant> {
        let per_window = self.per_window?;
        if now >= self.window + WINDOW {
            (self.window, self.left) = (now, per_window);
        }
        (self.left == 0).then(|| self.window + WINDOW)
    }

    /// Counts one that passes.
    pub(crate) fn pass(&mut self, now: Instant) {
        self.opens(now);
        self.left = self.left.saturating_sub(1);
    }
}

const WINDOW: Duration = Duration::from_millis(20);

/// Windows in a second.
const WINDOWS: u32 = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_pass_in_a_window_and_the_next_one_waits() {
        let now = Instant::now();
        let mut turnstile = Turnstile::new(100, now);
        for _ in 0..2 {
            assert_eq!(turnstile.opens(now), None);
            turnstile.pass(now);
        }
        let opens = now + WINDOW;
        assert_eq!(turnstile.opens(now), Some(opens));
        assert_eq!(turnstile.opens(opens - Duration::from_millis(1)), Some(opens));
        assert_eq!(turnstile.opens(opens), None);
        // Who waited for the window to open is counted in it.
        turnstile.pass(opens + WINDOW);
        turnstile.pass(opens + WINDOW);
        assert_eq!(turnstile.opens(opens + WINDOW), Some(opens + WINDOW * 2));
        let mut slow = Turnstile::new(1, now);
        slow.pass(now);
        assert_eq!(slow.opens(now), Some(opens), "fifty a second is the least");
        let mut any = Turnstile::new(0, now);
        any.pass(now);
        assert_eq!(any.opens(now), None);
    }
}
