//! Many items as few buckets.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, ToSpan};

use crate::{HisItem, Span, Value};

/// What a stretch of a history comes to.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Bucket {
    /// Where it begins.
    pub start: Timestamp,
    /// The least number.
    pub min: f64,
    /// The greatest number.
    pub max: f64,
    /// The sum of the numbers.
    pub sum: f64,
    /// How many items there are, NA left out.
    pub count: u64,
    /// How many of them are numbers, or true or false; NaN is none.
    pub numbers: u64,
    /// The first value, NA left out.
    pub first: Value,
    /// The last value, NA left out.
    pub last: Value,
}

impl Bucket {
    /// The mean of the numbers; none where there are none.
    pub fn mean(&self) -> Option<f64> {
        self.min.is_finite().then(|| self.sum / self.numbers as f64)
    }

    const fn new(start: Timestamp) -> Self {
        Self {
            start,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            sum: 0.0,
            count: 0,
            numbers: 0,
            first: Value::Null,
            last: Value::Null,
        }
    }

    #[inline]
    fn add(&mut self, val: &Value) {
        // The usual case: a number after another of the same unit.
        if let (Value::Number(number, unit), Value::Number(last, its)) = (val, &mut self.last)
            && unit == its
            && !number.is_nan()
        {
            (self.min, self.max) = (self.min.min(*number), self.max.max(*number));
            self.sum += number;
            self.count += 1;
            self.numbers += 1;
            *last = *number;
            return;
        }
        let number = match val {
            Value::Number(number, _) => *number,
            // The share of the time in which it holds, as far as items tell.
            Value::Bool(val) => f64::from(u8::from(*val)),
            Value::Null | Value::Na => return,
            _ => f64::NAN,
        };
        if self.count == 0 {
            self.first.clone_from(val);
        }
        self.last.clone_from(val);
        self.count += 1;
        if number < self.min {
            self.min = number;
        }
        if number > self.max {
            self.max = number;
        }
        if !number.is_nan() {
            self.sum += number;
            self.numbers += 1;
        }
    }
}

/// How long buckets are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Interval {
    /// So many milliseconds, at least one; from midnight where they divide a day.
    Millis(i64),
    /// So many days of the time zone, which may be of 23 or 25 hours.
    Days(i64),
    /// So many months of the time zone.
    Months(i64),
}

/// Gathers items, given in the order of time, into buckets. Where nothing is, there is no bucket.
#[derive(Debug)]
pub struct Rollup {
    interval: Interval,
    zone: TimeZone,
    current: Option<(Bucket, Timestamp)>,
}

impl Rollup {
    /// Buckets of this length, aligned to the calendar of `zone`.
    pub const fn new(interval: Interval, zone: TimeZone) -> Self {
        Self { interval, zone, current: None }
    }

    /// The length that gives about `count` buckets of a span.
    pub fn interval_for(span: Span, count: usize) -> Interval {
        let millis = span.end.as_millisecond().saturating_sub(span.start.as_millisecond()).max(1);
        let count = i64::try_from(count.max(1)).unwrap_or(i64::MAX);
        Interval::Millis(millis.div_euclid(count).saturating_add(1))
    }

    /// Adds an item. Gives the bucket before it, if that ends here.
    #[inline]
    pub fn add(&mut self, item: &HisItem) -> Option<Bucket> {
        if let Some((bucket, end)) = &mut self.current
            && item.ts < *end
        {
            bucket.add(&item.val);
            return None;
        }
        self.begin(item)
    }

    /// Begins the bucket in which an item is. Gives the one before it.
    fn begin(&mut self, item: &HisItem) -> Option<Bucket> {
        let (start, end) = self.bounds(item.ts);
        let mut bucket = Bucket::new(start);
        bucket.add(&item.val);
        self.current.replace((bucket, end)).map(|(bucket, _)| bucket)
    }

    /// The last bucket.
    pub fn finish(&mut self) -> Option<Bucket> {
        self.current.take().map(|(bucket, _)| bucket)
    }

    /// The bucket in which `ts` is.
    fn bounds(&self, ts: Timestamp) -> (Timestamp, Timestamp) {
        let fallback = (ts, ts.checked_add(SignedDuration::from_millis(1)).unwrap_or(ts));
        match self.interval {
            Interval::Millis(millis) => self.of_millis(ts, millis.max(1)).unwrap_or(fallback),
            Interval::Days(days) => self.of_days(ts, days.max(1)).unwrap_or(fallback),
            Interval::Months(months) => self.of_months(ts, months.max(1)).unwrap_or(fallback),
        }
    }

    fn of_millis(&self, ts: Timestamp, millis: i64) -> Option<(Timestamp, Timestamp)> {
        let at = ts.as_millisecond();
        let base = if DAY_MILLIS % millis == 0 {
            self.zone.to_datetime(ts).date().to_zoned(self.zone.clone()).ok()?.timestamp()
        } else {
            Timestamp::UNIX_EPOCH
        };
        let base = base.as_millisecond();
        let start = base + (at - base).div_euclid(millis) * millis;
        let end = Timestamp::from_millisecond(start.checked_add(millis)?).unwrap_or(Timestamp::MAX);
        Some((Timestamp::from_millisecond(start).ok()?, end))
    }

    fn of_days(&self, ts: Timestamp, days: i64) -> Option<(Timestamp, Timestamp)> {
        let date = self.zone.to_datetime(ts).date();
        let epoch = jiff::civil::date(1970, 1, 1);
        let since = i64::from(epoch.until(date).ok()?.get_days());
        let start = epoch.checked_add((since.div_euclid(days) * days).days()).ok()?;
        let end = start.checked_add(days.days()).ok()?;
        self.between(start, end)
    }

    fn of_months(&self, ts: Timestamp, months: i64) -> Option<(Timestamp, Timestamp)> {
        let date = self.zone.to_datetime(ts).date();
        let since = i64::from(date.year()) * 12 + i64::from(date.month()) - 1;
        let first = since.div_euclid(months) * months;
        let of = |months: i64| {
            let (year, month) = (months.div_euclid(12), months.rem_euclid(12) + 1);
            jiff::civil::Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, 1).ok()
        };
        self.between(of(first)?, of(first + months)?)
    }

    fn between(
        &self,
        start: jiff::civil::Date,
        end: jiff::civil::Date,
    ) -> Option<(Timestamp, Timestamp)> {
        let at = |date: jiff::civil::Date| date.to_zoned(self.zone.clone()).ok();
        Some((at(start)?.timestamp(), at(end)?.timestamp()))
    }
}

const DAY_MILLIS: i64 = 86_400_000;

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use jiff::tz::Offset;

    use super::*;

    fn ts(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn roll(interval: Interval, zone: TimeZone, items: &[(&str, Value)]) -> Vec<Bucket> {
        let mut rollup = Rollup::new(interval, zone);
        let item = |(at, val): &(&str, Value)| HisItem::new(ts(at), val.clone());
        let mut buckets: Vec<_> = items.iter().filter_map(|pair| rollup.add(&item(pair))).collect();
        buckets.extend(rollup.finish());
        buckets
    }

    #[test]
    fn numbers_are_gathered_and_na_is_left_out() {
        let number = Value::number;
        let items = [
            ("2026-01-01T00:05:00Z", number(3.0)),
            ("2026-01-01T00:06:00Z", Value::Na),
            ("2026-01-01T00:14:59Z", number(1.0)),
            ("2026-01-01T00:30:00Z", number(7.0)),
        ];
        let buckets = roll(Interval::Millis(900_000), TimeZone::UTC, &items);
        assert_eq!(buckets.len(), 2, "nothing in between");
        let first = &buckets[0];
        assert_eq!(first.start, ts("2026-01-01T00:00:00Z"));
        assert_eq!((first.min, first.max, first.mean(), first.count), (1.0, 3.0, Some(2.0), 2));
        assert_eq!((&first.first, &first.last), (&number(3.0), &number(1.0)));
        assert_eq!(buckets[1].start, ts("2026-01-01T00:30:00Z"));
    }

    #[test]
    fn what_is_no_number_does_not_weigh_in_the_mean() {
        let items = [
            ("2026-01-01T00:05:00Z", Value::number(1.0)),
            ("2026-01-01T00:06:00Z", Value::number(f64::NAN)),
            ("2026-01-01T00:07:00Z", Value::str("auto")),
            ("2026-01-01T00:08:00Z", Value::number(3.0)),
        ];
        let bucket = &roll(Interval::Days(1), TimeZone::UTC, &items)[0];
        assert_eq!((bucket.mean(), bucket.count, bucket.numbers), (Some(2.0), 4, 2));
    }

    #[test]
    fn texts_and_na_alone_have_no_mean() {
        let items = [("2026-01-01T00:05:00Z", Value::str("auto"))];
        let bucket = &roll(Interval::Days(1), TimeZone::UTC, &items)[0];
        assert_eq!((bucket.mean(), bucket.count, &bucket.last), (None, 1, &Value::str("auto")));
        let items = [("2026-01-01T00:05:00Z", Value::Na)];
        assert_eq!(roll(Interval::Days(1), TimeZone::UTC, &items)[0].mean(), None);
    }

    #[test]
    fn days_and_months_are_those_of_the_zone() {
        let zone = TimeZone::fixed(Offset::constant(2));
        let one = Value::number(1.0);
        let items = [("2025-12-31T21:59:00Z", one.clone()), ("2025-12-31T22:00:00Z", one)];
        let days = roll(Interval::Days(1), zone.clone(), &items);
        let starts: Vec<_> = days.iter().map(|bucket| bucket.start).collect();
        assert_eq!(starts, [ts("2025-12-30T22:00:00Z"), ts("2025-12-31T22:00:00Z")]);
        let months = roll(Interval::Months(3), zone.clone(), &items);
        assert_eq!(months[0].start, ts("2025-09-30T22:00:00Z"));
        assert_eq!(months[1].start, ts("2025-12-31T22:00:00Z"));
        let hours = roll(Interval::Millis(6 * 3_600_000), zone, &items);
        assert_eq!(hours[0].start, ts("2025-12-31T16:00:00Z"), "from midnight of the zone");
    }
}
