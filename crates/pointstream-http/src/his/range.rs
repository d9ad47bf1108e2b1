//! Ranges of time and lengths of buckets, as people and Haystack write them.

use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned};
use pointstream_point::{Interval, Span, duration};

/// What a range may be, for whoever wrote another.
const RANGES: &str = "today, yesterday, thisWeek, lastWeek, pastWeek (or Month, Quarter, Year), \
    2026-01-31, 2026-01-01,2026-01-31, one or two times as 2026-01-31T12:00:00Z, last 24hr";

/// A range as Haystack writes it: `today`, `yesterday`, a date, two dates, a time from which on, two
/// times; Axon's names of spans, as `lastMonth`; besides `last` with a duration. A range of dates
/// has the last one in it, and weeks begin on Monday.
pub(crate) fn parse_range(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Span, String> {
    let now = now.to_zoned(zone.clone());
    let text = text.trim();
    if let Some(dates) = named(text, now.date()) {
        let (first, last) = dates.map_err(|error| error.to_string())?;
        return days(first, last, zone);
    }
    if let Some(length) = text.strip_prefix("last ").or_else(|| text.strip_prefix("last-")) {
        return last(length, now.timestamp());
    }
    let bad = |text: &str| format!("{text:?} is no range; ranges are: {RANGES}");
    let (first, last) = match text.split_once(',') {
        None => (text.trim(), None),
        Some((first, last)) => (first.trim(), Some(last.trim()).filter(|last| !last.is_empty())),
    };
    let late = || format!("{text:?} ends before it begins");
    if let Some(first) = date(first) {
        let last = last.map_or(Some(first), date);
        let last =
            last.ok_or_else(|| format!("{text:?} begins with a date and so ends with one"))?;
        return if first <= last { days(first, last, zone) } else { Err(late()) };
    }
    let start = instant(first, zone).ok_or_else(|| bad(first))?;
    let end = match last {
        Some(last) if date(last).is_some() => {
            return Err(format!("{text:?} begins with a time and so ends with one"));
        }
        Some(last) => instant(last, zone).ok_or_else(|| bad(last))?,
        None => Timestamp::MAX,
    };
    if start <= end { Ok(Span::new(start, end)) } else { Err(late()) }
}

/// The first and the last day of a span that has a name, regardless of case and spaces.
fn named(text: &str, today: Date) -> Option<Result<(Date, Date), jiff::Error>> {
    let name = text.replace(' ', "").to_ascii_lowercase();
    let month = |date: Date| date.first_of_month();
    let quarter =
        move |date: Date| month(date).checked_sub(i32::from((date.month() - 1) % 3).months());
    let year = |date: Date| date.first_of_year();
    let week =
        move |date: Date| date.checked_sub(i32::from(date.weekday().since(Weekday::Monday)).days());
    // What is before a first day is its span's last one.
    let until = |next: Result<Date, jiff::Error>| next?.yesterday();
    let dates = move || -> Result<Option<(Date, Date)>, jiff::Error> {
        Ok(Some(match name.as_str() {
            "today" => (today, today),
            "yesterday" => (today.yesterday()?, today.yesterday()?),
            "thisweek" => (week(today)?, week(today)?.checked_add(6.days())?),
            "lastweek" => (week(today)?.checked_sub(7.days())?, week(today)?.yesterday()?),
            "pastweek" => (today.checked_sub(7.days())?, today),
            "thismonth" => (month(today), today.last_of_month()),
            "lastmonth" => (month(today).checked_sub(1.month())?, month(today).yesterday()?),
            "pastmonth" => (today.checked_sub(30.days())?, today),
            "thisquarter" => (quarter(today)?, until(quarter(today)?.checked_add(3.months()))?),
            "lastquarter" => {
                (quarter(today)?.checked_sub(3.months())?, quarter(today)?.yesterday()?)
            }
            "pastquarter" => (today.checked_sub(90.days())?, today),
            "thisyear" => (year(today), today.last_of_year()),
            "lastyear" => (year(today).checked_sub(1.year())?, year(today).yesterday()?),
            "pastyear" => (today.checked_sub(365.days())?, today),
            _ => return Ok(None),
        }))
    };
    dates().transpose()
}

fn date(text: &str) -> Option<Date> {
    text.parse().ok().filter(|_| text.len() <= 10)
}

/// From the beginning of the first day to the end of the last one.
fn days(first: Date, last: Date, zone: &TimeZone) -> Result<Span, String> {
    let start = |date: Date| date.to_zoned(zone.clone()).map(|at| at.timestamp());
    let span = || Ok(Span::new(start(first)?, start(last.tomorrow()?)?));
    span().map_err(|error: jiff::Error| error.to_string())
}

fn last(length: &str, now: Timestamp) -> Result<Span, String> {
    let days = length.trim().strip_suffix("days").or_else(|| length.trim().strip_suffix('d'));
    let length = match days.and_then(|days| days.trim().parse::<u32>().ok()) {
        Some(days) => SignedDuration::from_hours(i64::from(days) * 24),
        None => {
            let length = duration::parse(length).map_err(|error| {
                format!("last is for a length as 24hr or 7days, not {length:?}: {error}")
            })?;
            SignedDuration::try_from(length).map_err(|error| error.to_string())?
        }
    };
    Ok(Span::new(now.checked_sub(length).unwrap_or(Timestamp::MIN), now))
}

/// A time with its offset, after which may come the name of a zone as Zinc writes it (it is the
/// offset that counts), or one of the zone.
fn instant(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let text = match text.rsplit_once(' ') {
        Some((time, name)) if name.starts_with(|at: char| at.is_ascii_alphabetic()) => time,
        _ => text,
    };
    // A plus sign of an offset is a space where a client has not escaped it.
    let text = text.replacen(' ', "+", usize::from(text.contains('T')));
    if let Ok(zoned) = text.parse::<Zoned>() {
        return Some(zoned.timestamp());
    }
    text.parse::<Timestamp>().ok().or_else(|| {
        let local: DateTime = text.parse().ok()?;
        local.to_zoned(zone.clone()).ok().map(|at| at.timestamp())
    })
}

/// The length of a bucket: `15min`, `1day`, `1mo`.
pub(crate) fn parse_interval(text: &str) -> Result<Interval, String> {
    let text = text.trim();
    let count = |suffix: &str| -> Option<i64> {
        let count = text.strip_suffix(suffix)?.trim();
        let count = if count.is_empty() { 1 } else { count.parse().ok()? };
        (1..=10_000).contains(&count).then_some(count)
    };
    if let Some(days) = count("days").or_else(|| count("day")) {
        return Ok(Interval::Days(days));
    }
    if let Some(weeks) = count("weeks").or_else(|| count("week")).or_else(|| count("wk")) {
        return Ok(Interval::Days(7 * weeks));
    }
    if let Some(months) = count("months").or_else(|| count("month")).or_else(|| count("mo")) {
        return Ok(Interval::Months(months));
    }
    if let Some(years) = count("years").or_else(|| count("year")).or_else(|| count("yr")) {
        return Ok(Interval::Months(12 * years));
    }
    let length = duration::parse(text).map_err(|error| error.to_string())?;
    let millis = i64::try_from(length.as_millis()).map_err(|error| error.to_string())?;
    if millis == 0 {
        Err("an interval is not zero".to_owned())
    } else {
        Ok(Interval::Millis(millis))
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::Offset;

    use super::*;

    fn ts(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn of(start: &str, end: &str) -> Span {
        Span::new(ts(start), ts(end))
    }

    #[test]
    fn ranges_are_those_of_the_zone() {
        let zone = TimeZone::fixed(Offset::constant(2));
        let now = ts("2026-03-05T23:30:00Z");
        let span = |text| parse_range(text, now, &zone).unwrap();
        let today = of("2026-03-05T22:00:00Z", "2026-03-06T22:00:00Z");
        assert_eq!(span("today"), today);
        assert_eq!(span("yesterday"), of("2026-03-04T22:00:00Z", "2026-03-05T22:00:00Z"));
        assert_eq!(span("2026-03-06"), today);
        assert_eq!(span(" 2026-03-06 "), today);
        assert_eq!(span("2026-03-06,2026-03-06"), today);
        assert_eq!(
            span("2026-03-05, 2026-03-06"),
            of("2026-03-04T22:00:00Z", "2026-03-06T22:00:00Z")
        );
        assert_eq!(span("last 90min"), of("2026-03-05T22:00:00Z", "2026-03-05T23:30:00Z"));
        assert_eq!(span("last 2days").start, ts("2026-03-03T23:30:00Z"));
    }

    #[test]
    fn times_have_an_offset_or_are_those_of_the_zone() {
        let zone = TimeZone::fixed(Offset::constant(2));
        let now = ts("2026-03-05T23:30:00Z");
        let span = |text| parse_range(text, now, &zone).unwrap();
        let times = "2026-03-01T00:00:00Z,2026-03-02T00:00:00+02:00";
        assert_eq!(span(times), of("2026-03-01T00:00:00Z", "2026-03-01T22:00:00Z"));
        let unescaped = "2026-03-02T00:00:00 02:00";
        let on = Span::new(ts("2026-03-01T22:00:00Z"), Timestamp::MAX);
        assert_eq!(span(unescaped), on);
        assert_eq!(span("2026-03-02T00:00:00,"), on);
        assert_eq!(span("2026-03-02T00:00:00.5").start, ts("2026-03-01T22:00:00.5Z"));
        let zinc = "2026-03-01T00:00:00-05:00 New_York,2026-03-01T06:00:00Z UTC";
        assert_eq!(span(zinc), of("2026-03-01T05:00:00Z", "2026-03-01T06:00:00Z"));
        let unescaped = "2026-03-02T00:00:00 02:00 Athens";
        assert_eq!(span(unescaped), on);
    }

    #[test]
    fn spans_have_names() {
        // A Wednesday in the middle of a quarter.
        let now = ts("2026-05-13T12:00:00Z");
        for (name, first, end) in [
            ("today", "2026-05-13", "2026-05-14"),
            ("yesterday", "2026-05-12", "2026-05-13"),
            ("thisWeek", "2026-05-11", "2026-05-18"),
            ("lastWeek", "2026-05-04", "2026-05-11"),
            ("pastWeek", "2026-05-06", "2026-05-14"),
            ("thisMonth", "2026-05-01", "2026-06-01"),
            ("lastMonth", "2026-04-01", "2026-05-01"),
            ("pastMonth", "2026-04-13", "2026-05-14"),
            ("thisQuarter", "2026-04-01", "2026-07-01"),
            ("lastQuarter", "2026-01-01", "2026-04-01"),
            ("pastQuarter", "2026-02-12", "2026-05-14"),
            ("thisYear", "2026-01-01", "2027-01-01"),
            ("lastYear", "2025-01-01", "2026-01-01"),
            ("pastYear", "2025-05-13", "2026-05-14"),
            ("last year", "2025-01-01", "2026-01-01"),
        ] {
            let wanted = of(&format!("{first}T00:00:00Z"), &format!("{end}T00:00:00Z"));
            assert_eq!(parse_range(name, now, &TimeZone::UTC), Ok(wanted), "{name}");
        }
        // The first day of a week, a month, a quarter and a year.
        let now = ts("2024-01-01T00:00:00Z");
        let starts = |name| parse_range(name, now, &TimeZone::UTC).unwrap().start;
        for name in ["thisWeek", "thisMonth", "thisQuarter", "thisYear"] {
            assert_eq!(starts(name), now, "{name}");
        }
        assert_eq!(starts("lastQuarter"), ts("2023-10-01T00:00:00Z"));
        assert_eq!(starts("lastMonth"), ts("2023-12-01T00:00:00Z"));
    }

    #[test]
    fn days_are_as_long_as_they_are_where_clocks_change() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let now = ts("2026-03-29T12:00:00Z");
        let hours = |text| {
            let span = parse_range(text, now, &zone).unwrap();
            (span.end.as_second() - span.start.as_second()) / 3_600
        };
        assert_eq!((hours("today"), hours("yesterday"), hours("2026-10-25")), (23, 24, 25));
        assert_eq!(hours("thisMonth"), 31 * 24 - 1);
    }

    #[test]
    fn what_is_no_range_says_why_and_a_century_is_one() {
        let now = ts("2026-03-05T23:30:00Z");
        let error = |text| parse_range(text, now, &TimeZone::UTC).unwrap_err();
        for bad in
            ["", ",", "tomorrow", "2026-13-01", "2026-02-30", "x,y", "last", "20260101T", "2026"]
        {
            assert!(error(bad).contains("ranges are: today"), "{bad:?}: {}", error(bad));
        }
        assert!(error("last fortnight").contains("24hr or 7days, not \"fortnight\""));
        assert!(error("2026-01-01,x").contains("ends with one"));
        assert!(error("2026-01-01,2026-01-02T00:00:00Z").contains("ends with one"));
        assert!(error("2026-01-02T00:00:00Z,2026-01-03").contains("ends with one"));
        assert!(error("2026-01-02T00:00:00Z,x").contains("no range"));
        assert!(error("2026-01-02,2026-01-01").contains("ends before it begins"));
        assert!(error("2026-01-02T00:00:00Z,2026-01-01T00:00:00Z").contains("before it begins"));
        assert!(parse_range("9999-12-31,9999-12-31", now, &TimeZone::UTC).is_err());
        let century = parse_range("1900-01-01,1999-12-31", now, &TimeZone::UTC);
        assert_eq!(century, Ok(of("1900-01-01T00:00:00Z", "2000-01-01T00:00:00Z")));
    }

    #[test]
    fn intervals_are_durations_days_or_months() {
        assert_eq!(parse_interval("15min"), Ok(Interval::Millis(900_000)));
        assert_eq!(parse_interval("1day"), Ok(Interval::Days(1)));
        assert_eq!(parse_interval("2weeks"), Ok(Interval::Days(14)));
        assert_eq!(parse_interval("1mo"), Ok(Interval::Months(1)));
        assert_eq!(parse_interval("1yr"), Ok(Interval::Months(12)));
        for bad in ["", "0s", "15", "-1day", "99999days", "x"] {
            assert!(parse_interval(bad).is_err(), "{bad:?} was taken");
        }
    }
}
