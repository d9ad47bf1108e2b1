use core::time::Duration;

use jiff::Timestamp;
use pointstream_conn::{Action, OpError, Outcome, Readings, Request, Samples};
use pointstream_point::{Fault, PointKey, Span, Tags, Value};
use pointstream_time::Seed;

/// How a simulated device behaves.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Mood {
    #[default]
    Well,
    /// Every operation fails at once.
    Gone,
    /// Nothing is answered until the time limit of the operation.
    Silent,
    /// Every operation takes long.
    Slow,
    /// Some operations lose the session.
    Flaky,
}

/// A device as its connector's machine meets it.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) mood: Mood,
    pub(super) value: f64,
    /// A point that it refuses.
    pub(super) refuses: Option<PointKey>,
    /// Since when it could not be reached, and has kept what it has to tell.
    pub(super) kept: Option<Timestamp>,
    seed: Seed,
}

/// How many points a request has.
const REQUEST_LEN: usize = 25;

/// How many items of its log it gives at a time.
const PAGE: usize = 20;

/// What the device logs of a point each minute.
pub(super) fn logged(slot: u32, ts: Timestamp) -> Value {
    Value::number(f64::from(slot) * 1e6 + (ts.as_second() / 60 % 1_000_000) as f64)
}

/// The minutes of a span.
pub(super) fn minutes(span: Span) -> impl Iterator<Item = Timestamp> + Clone {
    let ceil = |ts: Timestamp| (ts.as_millisecond() + 59_999).div_euclid(60_000);
    let minute = |at: i64| Timestamp::from_millisecond(at * 60_000).ok();
    (ceil(span.start)..ceil(span.end)).filter_map(minute)
}

impl Device {
    pub(super) fn new(seed: Seed) -> Self {
        Self { mood: Mood::Well, value: 1.0, refuses: None, kept: None, seed }
    }

    /// How long an operation takes; none for what never leaves the process.
    pub(super) fn takes(&mut self, action: &Action, limit: Duration) -> Option<Duration> {
        match action {
            Action::Bind(_) | Action::Unbind(_) | Action::Plan(..) => None,
            Action::Close => Some(Duration::from_millis(1)),
            _ => Some(match self.mood {
                Mood::Well | Mood::Flaky => Duration::from_millis(2 + self.seed.next_u64() % 20),
                Mood::Gone => Duration::from_millis(50),
                Mood::Silent => limit,
                Mood::Slow => Duration::from_millis(500 + self.seed.next_u64() % 1500),
            }),
        }
    }

    /// What an operation comes to.
    pub(super) fn answer(
        &mut self,
        action: &Action,
        now: Timestamp,
        into: &mut Readings,
    ) -> Result<Outcome, OpError> {
        match action {
            Action::Bind(_) | Action::Unbind(_) | Action::Close => return Ok(Outcome::None),
            Action::Plan(keys, _) => {
                let requests = keys.chunks(REQUEST_LEN).map(|keys| Request::new(keys, 0));
                return Ok(Outcome::Plan(requests.collect()));
            }
            _ => {}
        }
        let lost = |text| Err(OpError::Session(Fault::down(text)));
        match self.mood {
            Mood::Gone => return lost("connection refused"),
            Mood::Silent => return lost("the operation took too long"),
            Mood::Flaky if self.seed.next_u64().is_multiple_of(5) => {
                return lost("connection reset");
            }
            _ => {}
        }
        match action {
            Action::Ping => return Ok(Outcome::Ping(Tags::new())),
            Action::Read(requests, _) => {
                requests.iter().for_each(|request| self.read(&request.points, into));
                if let Some(kept) = self.kept.take() {
                    let span = Span::new(kept, now);
                    for key in requests.iter().flat_map(|request| request.points.iter()) {
                        minutes(span).for_each(|ts| into.past(*key, ts, logged(key.slot, ts)));
                    }
                }
            }
            Action::History(key, span) => {
                let mut samples = Samples::new();
                let span = Span::new(span.start, span.end.min(now));
                for (at, ts) in minutes(span).enumerate() {
                    if at == PAGE {
                        samples.cut();
                        break;
                    }
                    samples.push(ts, logged(key.slot, ts));
                }
                return Ok(Outcome::History(samples));
            }
            Action::Learn(_) => return Ok(Outcome::Learned(Vec::new())),
            Action::Watch(keys) => self.read(keys, into),
            _ => {}
        }
        Ok(Outcome::None)
    }

    fn read(&self, keys: &[PointKey], into: &mut Readings) {
        for &key in keys {
            if self.refuses == Some(key) {
                into.err(key, Fault::permanent("Illegal Data Address"));
            } else {
                into.ok(key, Value::number(self.value));
            }
        }
    }
}
