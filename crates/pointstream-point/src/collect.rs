//! What a point collects of its own values: Haxall's `hisCollect` tags.

use core::time::Duration;

use jiff::Timestamp;

use crate::{Cur, Fault, HisItem, Kind, PointSpec, Status, Tag, Value, duration};

/// What of a point's current value goes into its history, from its tags.
///
/// | tag | |
/// |---|---|
/// | `hisCollectInterval` | a duration that divides a minute, an hour or a day: at its multiples |
/// | `hisCollectCov` | any change, or a change of a number by this much at least |
/// | `hisCollectCovRateLimit` | the least time between two changes that count |
/// | `hisCollectNA` | NA where there is no good value, instead of nothing |
/// | `hisCollectWriteFreq` | how long items may wait to be written together |
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Collect {
    /// How often, whatever the value does.
    pub interval: Option<Duration>,
    /// By which change.
    pub cov: Option<Cov>,
    /// The least time between two items that a change makes.
    pub rate_limit: Duration,
    /// Whether NA stands where there is no good value.
    pub na: bool,
    /// How long items may wait to be written.
    pub write_freq: Duration,
}

/// Which change counts.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Cov {
    /// Any.
    Any,
    /// One of a number by this much at least.
    By(f64),
}

const MINUTE: u64 = 60;
const HOUR: u64 = 3_600;
const DAY: u64 = 86_400;

impl Collect {
    /// What the tags of a point say; `None` if it collects nothing.
    ///
    /// # Errors
    ///
    /// What is wrong with a tag, for the point's history.
    pub fn of(spec: &PointSpec) -> Result<Option<Self>, Fault> {
        let interval = time(spec, "hisCollectInterval")?.map(check_interval).transpose()?;
        let cov = match spec.more.tags.get("hisCollectCov") {
            None | Some(Tag::Value(Value::Bool(false))) => None,
            Some(Tag::Marker) => Some(Cov::Any),
            Some(Tag::Value(val)) => Some(tolerance(spec, val)?),
        };
        if interval.is_none() && cov.is_none() {
            return Ok(None);
        }
        let limit = time(spec, "hisCollectCovRateLimit")?;
        let usual = match (spec.kind, interval) {
            (Kind::Number, Some(interval)) => (interval / 10).min(Duration::from_secs(MINUTE)),
            (Kind::Number, None) => Duration::from_secs(MINUTE),
            _ => Duration::from_secs(1),
        };
        let write_freq = time(spec, "hisCollectWriteFreq")?.map_or(Duration::ZERO, |freq| {
            freq.clamp(Duration::from_secs(1), Duration::from_secs(DAY))
        });
        let na = spec.more.tags.get("hisCollectNA");
        let na = na.is_some_and(|na| *na != Tag::Value(Value::Bool(false)));
        Ok(Some(Self { interval, cov, rate_limit: limit.unwrap_or(usual), na, write_freq }))
    }

    /// The first multiple of the interval after `now`, from midnight UTC.
    pub fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        let step = i64::try_from(self.interval?.as_millis()).ok()?;
        let next = (now.as_millisecond().div_euclid(step) + 1).checked_mul(step)?;
        Timestamp::from_millisecond(next).ok()
    }
}

fn check_interval(interval: Duration) -> Result<Duration, Fault> {
    let secs = interval.as_secs();
    let divides = match secs {
        0 => false,
        1..MINUTE => MINUTE.is_multiple_of(secs),
        MINUTE..HOUR => secs.is_multiple_of(MINUTE) && HOUR.is_multiple_of(secs),
        HOUR..=DAY => secs.is_multiple_of(HOUR) && DAY.is_multiple_of(secs),
        _ => false,
    };
    if divides && interval.subsec_nanos() == 0 {
        return Ok(interval);
    }
    Err(Fault::permanent(format_args!(
        "Invalid 'hisCollectInterval' [{interval:?}]: seconds that divide a minute, minutes that \
         divide an hour, or hours that divide a day"
    )))
}

fn tolerance(spec: &PointSpec, val: &Value) -> Result<Cov, Fault> {
    let bad = |why: &str| Err(Fault::permanent(format_args!("Invalid 'hisCollectCov': {why}")));
    match val {
        Value::Bool(true) => Ok(Cov::Any),
        Value::Number(..) if spec.kind != Kind::Number => bad("a tolerance goes with numbers only"),
        Value::Number(_, Some(unit)) if spec.unit != Some(*unit) => bad("its unit is another"),
        Value::Number(by, _) if by.is_finite() && *by >= 0.0 => Ok(Cov::By(*by)),
        _ => bad("expected nothing or a number"),
    }
}

fn time(spec: &PointSpec, tag: &str) -> Result<Option<Duration>, Fault> {
    let bad = || Fault::permanent(format_args!("Invalid '{tag}': expected a time, such as 15min"));
    match spec.more.tags.get(tag) {
        None => Ok(None),
        Some(Tag::Value(Value::Str(text))) => duration::parse(text).map(Some).map_err(|_| bad()),
        Some(Tag::Value(Value::Number(number, Some(unit)))) => {
            let text = alloc::format!("{number}{unit}");
            duration::parse(&text).map(Some).map_err(|_| bad())
        }
        Some(_) => Err(bad()),
    }
}

/// What a point has collected last.
#[derive(Clone, Debug, Default)]
pub struct CollectState {
    last: Option<(Timestamp, Value)>,
    waits: bool,
}

impl CollectState {
    /// Nothing so far.
    pub const fn new() -> Self {
        Self { last: None, waits: false }
    }

    /// The time of the interval has come.
    pub fn on_interval(&mut self, collect: &Collect, at: Timestamp, cur: &Cur) -> Option<HisItem> {
        let val = sample(collect, cur)?;
        self.last = Some((at, val.clone()));
        Some(HisItem::new(at, val))
    }

    /// Whether a change came sooner than the rate limit allows, so that
    /// [`on_change`](Self::on_change) is to be called again soon, with whatever is shown then.
    pub const fn waits(&self) -> bool {
        self.waits
    }

    /// The current value may have changed.
    pub fn on_change(&mut self, collect: &Collect, at: Timestamp, cur: &Cur) -> Option<HisItem> {
        let cov = collect.cov?;
        self.waits = false;
        let val = sample(collect, cur)?;
        if let Some((last, before)) = &self.last {
            let due = last.checked_add(collect.rate_limit).is_ok_and(|due| due <= at);
            let counts = match (cov, before, &val) {
                (Cov::By(by), Value::Number(before, _), Value::Number(now, _)) => {
                    (now - before).abs() >= by && now != before
                }
                _ => !before.same(&val),
            };
            self.waits = counts && !due;
            if !due || !counts {
                return None;
            }
        }
        self.last = Some((at, val.clone()));
        Some(HisItem::new(at, val))
    }
}

/// What would be collected of a current value.
fn sample(collect: &Collect, cur: &Cur) -> Option<Value> {
    let good = cur.status == Status::Ok && !matches!(cur.val, Value::Null | Value::Na);
    let finite = !matches!(cur.val, Value::Number(number, _) if !number.is_finite());
    match good && finite {
        true => Some(cur.val.clone()),
        false => collect.na.then_some(Value::Na),
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;
    use crate::Unit;

    fn spec(kind: Kind, tags: &[(&str, Tag)]) -> PointSpec {
        let mut spec = PointSpec::new("p".parse().unwrap(), kind);
        spec.unit = Unit::parse("kW").ok();
        for (name, tag) in tags {
            spec.more.tags.set(name, tag.clone());
        }
        spec
    }

    fn text(text: &str) -> Tag {
        Tag::Value(Value::str(text))
    }

    fn collect(kind: Kind, tags: &[(&str, Tag)]) -> Collect {
        Collect::of(&spec(kind, tags)).unwrap().unwrap()
    }

    fn cur(number: f64) -> Cur {
        let mut cur = Cur::default();
        (cur.status, cur.val) = (Status::Ok, Value::number(number));
        cur
    }

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(secs).unwrap()
    }

    #[test]
    fn rate_limits_are_those_of_the_interval_and_the_kind() {
        let limit = |kind, tags: &[_]| collect(kind, tags).rate_limit.as_secs();
        let (minutes, hour) = (("hisCollectInterval", text("20min")), text("1hr"));
        assert_eq!(limit(Kind::Number, core::slice::from_ref(&minutes)), 60);
        assert_eq!(limit(Kind::Bool, &[("hisCollectInterval", hour)]), 1);
        let kw = Tag::Value(Value::Number(1.0, Unit::parse("kW").ok()));
        let (every, cov) = (("hisCollectInterval", text("20sec")), ("hisCollectCov", kw));
        assert_eq!(limit(Kind::Number, &[every.clone(), cov.clone()]), 2);
        let explicit = ("hisCollectCovRateLimit", text("7sec"));
        assert_eq!(limit(Kind::Number, &[every, cov, explicit]), 7);
    }

    #[test]
    fn bad_tags_are_faults_and_no_tags_collect_nothing() {
        let error = |kind, name: &str, tag| {
            Collect::of(&spec(kind, &[(name, tag)])).unwrap_err().to_string()
        };
        for bad in ["7sec", "90sec", "7min", "5hr", "2days", "500ms"] {
            let text = error(Kind::Number, "hisCollectInterval", text(bad));
            assert!(text.starts_with("Invalid 'hisCollectInterval'"), "{bad}: {text}");
        }
        let celsius = Tag::Value(Value::Number(1.0, Unit::parse("°C").ok()));
        assert!(error(Kind::Number, "hisCollectCov", celsius).contains("its unit is another"));
        let one = Tag::Value(Value::number(1.0));
        assert!(error(Kind::Bool, "hisCollectCov", one).contains("numbers only"));
        assert_eq!(Collect::of(&spec(Kind::Number, &[])), Ok(None));
    }

    #[test]
    fn intervals_are_aligned() {
        let quarter = collect(Kind::Number, &[("hisCollectInterval", text("15min"))]);
        assert_eq!(quarter.next_after(at(0)), Some(at(900)));
        assert_eq!(quarter.next_after(at(899)), Some(at(900)));
        assert_eq!(quarter.next_after(at(-1)), Some(at(0)));
    }

    #[test]
    fn changes_count_from_the_tolerance_on_and_not_sooner_than_the_limit() {
        let by = ("hisCollectCov", Tag::Value(Value::number(1.0)));
        let limit = ("hisCollectCovRateLimit", text("10sec"));
        let collect = collect(Kind::Number, &[by, limit]);
        let mut state = CollectState::new();
        let mut change = |secs, number| state.on_change(&collect, at(secs), &cur(number)).is_some();
        assert!(change(0, 5.0), "the first one always");
        assert!(!change(20, 5.9));
        assert!(change(20, 6.0));
        assert!(!change(25, 9.0), "too soon");
        assert!(change(30, 9.0));
        assert!(!change(31, 12.0));
        assert!(state.waits(), "it is looked at again");
        assert!(state.on_change(&collect, at(40), &cur(9.5)).is_none(), "it went back");
        assert!(!state.waits());
    }

    #[test]
    fn what_is_not_good_is_left_out_or_na() {
        let every = ("hisCollectInterval", text("1min"));
        let (plain, mut down) = (collect(Kind::Number, core::slice::from_ref(&every)), cur(1.0));
        down.status = Status::Down;
        let mut state = CollectState::new();
        assert_eq!(state.on_interval(&plain, at(60), &down), None);
        assert_eq!(state.on_interval(&plain, at(60), &cur(f64::NAN)), None);
        let no = Tag::Value(Value::Bool(false));
        let not = [every.clone(), ("hisCollectNA", no.clone()), ("hisCollectCov", no)];
        assert_eq!(collect(Kind::Number, &not), plain);
        let with_na = collect(Kind::Number, &[every, ("hisCollectNA", Tag::Marker)]);
        let na = state.on_interval(&with_na, at(60), &down).unwrap();
        assert_eq!(na, HisItem::new(at(60), Value::Na));
    }
}
