//! What is asked of past values, and the form of the answer.

use core::fmt::Write as _;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned};
use pointstream_point::{Bucket, HisItem, Interval, Span, Value, duration};

/// Which past values of a point are asked for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HisQuery {
    /// From when to when.
    pub span: Span,
    /// Gathered in buckets of this length; each item as it is without.
    pub interval: Option<Interval>,
    /// The time zone whose days and months buckets are aligned to.
    pub zone: TimeZone,
    /// At most this many items or buckets.
    pub limit: usize,
}

impl HisQuery {
    /// The values of a span, gathered or not, at most `limit` of them.
    pub const fn new(span: Span, interval: Option<Interval>, zone: TimeZone, limit: usize) -> Self {
        Self { span, interval, zone, limit }
    }
}

/// Past values of a point.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HisAnswer {
    /// The unit of the point's numbers.
    pub unit: Option<String>,
    /// The items or the buckets.
    pub rows: HisRows,
    /// Whether there are more than were asked for.
    pub more: bool,
}

impl HisAnswer {
    /// An answer that is whole.
    pub const fn new(unit: Option<String>, rows: HisRows, more: bool) -> Self {
        Self { unit, rows, more }
    }
}

/// The rows of an answer.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "as they are, or gathered")]
pub enum HisRows {
    /// Items as they are: the last one before the span, those within, and the next two.
    Items(Vec<HisItem>),
    /// What is within the span, gathered.
    Buckets(Vec<Bucket>),
}

/// Why past values were not read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HisReadError {
    /// There is no such point.
    #[error("there is no such point")]
    UnknownPoint,
    /// The gateway keeps no past values.
    #[error("the gateway has no store, so that it keeps no past values")]
    NoStore,
    /// The store failed.
    #[error("{0}")]
    Failed(String),
}

/// A range as Haystack writes it: `today`, `yesterday`, a date, two dates, a time from which on, two
/// times; besides `last` with a duration. A range of dates has the last one in it.
pub(crate) fn parse_range(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Span, String> {
    let now = now.to_zoned(zone.clone());
    let text = text.trim();
    let day = |date: Date, days: i64| -> Result<Timestamp, String> {
        let date = date.checked_add(days.days()).map_err(|error| error.to_string())?;
        date.to_zoned(zone.clone()).map(|at| at.timestamp()).map_err(|error| error.to_string())
    };
    let days = |first: Date, last: Date| Ok(Span::new(day(first, 0)?, day(last, 1)?));
    match text {
        "today" => return days(now.date(), now.date()),
        "yesterday" => {
            let date = now.date().yesterday().map_err(|error| error.to_string())?;
            return days(date, date);
        }
        _ => {}
    }
    if let Some(length) = text.strip_prefix("last ").or_else(|| text.strip_prefix("last-")) {
        return last(length, now.timestamp());
    }
    let bad = || {
        format!(
            "{text:?} is no range: today, yesterday, 2026-01-31, 2026-01-01,2026-01-31, last 24hr"
        )
    };
    let (first, last) = match text.split_once(',') {
        None => (text.trim(), None),
        Some((first, last)) => (first.trim(), Some(last.trim()).filter(|last| !last.is_empty())),
    };
    if first.len() <= 10 {
        let first: Date = first.parse().map_err(|_| bad())?;
        let last = last.map_or(Ok(first), |last| last.parse().map_err(|_| bad()))?;
        return days(first, last);
    }
    let start = instant(first, zone).ok_or_else(bad)?;
    let end = match last {
        Some(last) => instant(last, zone).ok_or_else(bad)?,
        None => Timestamp::MAX,
    };
    Ok(Span::new(start, end))
}

fn last(length: &str, now: Timestamp) -> Result<Span, String> {
    let days = length.trim().strip_suffix("days").or_else(|| length.trim().strip_suffix('d'));
    let length = match days.and_then(|days| days.trim().parse::<u32>().ok()) {
        Some(days) => SignedDuration::from_hours(i64::from(days) * 24),
        None => {
            let length = duration::parse(length).map_err(|error| error.to_string())?;
            SignedDuration::try_from(length).map_err(|error| error.to_string())?
        }
    };
    Ok(Span::new(now.checked_sub(length).unwrap_or(Timestamp::MIN), now))
}

/// A time with its offset, or one of the zone.
fn instant(text: &str, zone: &TimeZone) -> Option<Timestamp> {
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

/// The forms of an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    Json,
    Csv,
    Ndjson,
}

impl Form {
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Ndjson => "application/x-ndjson",
        }
    }
}

/// The text of an answer.
pub(crate) fn write(id: &str, answer: &HisAnswer, zone: &TimeZone, form: Form) -> String {
    let mut out = String::new();
    let tz = zone.iana_name().unwrap_or("UTC");
    match form {
        Form::Json => {
            // Strings and flags cannot fail.
            let head =
                serde_json::json!({"id": id, "tz": tz, "unit": answer.unit, "more": answer.more});
            let head = head.to_string();
            out.push_str(head.trim_end_matches('}'));
            out.push_str(",\"rows\":[");
            rows(answer, zone, &mut out, |out, at| out.push_str(if at > 0 { ",\n" } else { "\n" }));
            out.push_str("\n]}\n");
        }
        Form::Ndjson => {
            rows(answer, zone, &mut out, |out, at| out.push_str(if at > 0 { "\n" } else { "" }));
            out.push('\n');
        }
        Form::Csv => csv(answer, zone, &mut out),
    }
    out
}

fn rows(
    answer: &HisAnswer,
    zone: &TimeZone,
    out: &mut String,
    between: impl Fn(&mut String, usize),
) {
    match &answer.rows {
        HisRows::Items(items) => {
            for (at, item) in items.iter().enumerate() {
                between(out, at);
                let _ = write!(
                    out,
                    "{{\"ts\":\"{}\",\"val\":{}}}",
                    Local(item.ts, zone),
                    json(&item.val)
                );
            }
        }
        HisRows::Buckets(buckets) => {
            for (at, bucket) in buckets.iter().enumerate() {
                between(out, at);
                let [min, max, mean] = numbers(bucket).map(|number| number.map(Value::number));
                let _ = write!(out, "{{\"ts\":\"{}\"", Local(bucket.start, zone));
                for (name, val) in [("min", &min), ("max", &max), ("mean", &mean)] {
                    let val = val.as_ref().map_or_else(|| "null".to_owned(), json);
                    let _ = write!(out, ",\"{name}\":{val}");
                }
                let (first, last) = (json(&bucket.first), json(&bucket.last));
                let count = bucket.count;
                let _ = write!(out, ",\"first\":{first},\"last\":{last},\"count\":{count}}}");
            }
        }
    }
}

fn csv(answer: &HisAnswer, zone: &TimeZone, out: &mut String) {
    match &answer.rows {
        HisRows::Items(items) => {
            out.push_str("ts,val\r\n");
            for item in items {
                let _ = write!(out, "{},{}\r\n", Local(item.ts, zone), cell(&item.val));
            }
        }
        HisRows::Buckets(buckets) => {
            out.push_str("ts,min,max,mean,first,last,count\r\n");
            for bucket in buckets {
                let _ = write!(out, "{},", Local(bucket.start, zone));
                for number in numbers(bucket) {
                    let _ = write!(out, "{},", number.map(short).unwrap_or_default());
                }
                let (first, last) = (cell(&bucket.first), cell(&bucket.last));
                let _ = write!(out, "{first},{last},{}\r\n", bucket.count);
            }
        }
    }
}

/// The least, the greatest and the mean, where there are numbers.
fn numbers(bucket: &Bucket) -> [Option<f64>; 3] {
    let mean = bucket.mean();
    [mean.map(|_| bucket.min), mean.map(|_| bucket.max), mean]
}

fn json(val: &Value) -> String {
    if let Value::Number(number, _) = val
        && number.is_finite()
    {
        return short(*number);
    }
    // A value is a string, a number or a flat object.
    serde_json::to_string(val).unwrap_or_default()
}

/// The shortest text of a number: one that was rounded to 32 bits has no digits beyond those.
fn short(number: f64) -> String {
    let rounded = number as f32;
    if f64::from(rounded) == number { rounded.to_string() } else { number.to_string() }
}

/// A value in CSV, quoted where it must be (RFC 4180). Text that a spreadsheet would run as a
/// formula is kept from it by an apostrophe.
fn cell(val: &Value) -> String {
    let text = match val {
        Value::Null => return String::new(),
        Value::Str(text) if text.starts_with(['=', '+', '-', '@', '\t', '\r']) => {
            format!("'{text}")
        }
        Value::Str(text) => text.to_string(),
        Value::Number(number, _) => return short(*number),
        val => val.to_string(),
    };
    if text.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

/// A time with the offset of its zone.
struct Local<'a>(Timestamp, &'a TimeZone);

impl core::fmt::Display for Local<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if *self.1 == TimeZone::UTC {
            return write!(f, "{}", self.0);
        }
        write!(f, "{}", self.0.display_with_offset(self.1.to_offset(self.0)))
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::Offset;

    use super::*;

    fn ts(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn ranges_are_those_of_the_zone() {
        let zone = TimeZone::fixed(Offset::constant(2));
        let now = ts("2026-03-05T23:30:00Z");
        let span = |text| parse_range(text, now, &zone).unwrap();
        let of = |start, end| Span::new(ts(start), ts(end));
        let today = of("2026-03-05T22:00:00Z", "2026-03-06T22:00:00Z");
        assert_eq!(span("today"), today);
        assert_eq!(span("yesterday"), of("2026-03-04T22:00:00Z", "2026-03-05T22:00:00Z"));
        assert_eq!(span("2026-03-06"), today);
        assert_eq!(
            span("2026-03-05,2026-03-06"),
            of("2026-03-04T22:00:00Z", "2026-03-06T22:00:00Z")
        );
        assert_eq!(span("last 90min"), of("2026-03-05T22:00:00Z", "2026-03-05T23:30:00Z"));
        assert_eq!(span("last 2days").start, ts("2026-03-03T23:30:00Z"));
        let times = "2026-03-01T00:00:00Z,2026-03-02T00:00:00+02:00";
        assert_eq!(span(times), of("2026-03-01T00:00:00Z", "2026-03-01T22:00:00Z"));
        let unescaped = "2026-03-02T00:00:00 02:00";
        assert_eq!(span(unescaped), Span::new(ts("2026-03-01T22:00:00Z"), Timestamp::MAX));
        assert_eq!(span("2026-03-02T00:00:00").start, ts("2026-03-01T22:00:00Z"));
        for bad in
            ["", "tomorrow", "2026-13-01", "2026-01-01,x", "last week", "9999-12-31,9999-12-31"]
        {
            assert!(parse_range(bad, now, &zone).is_err(), "{bad:?} was taken");
        }
        assert!(parse_range("1900-01-01,1999-12-31", now, &zone).is_ok(), "a century");
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

    #[test]
    fn answers_have_three_forms() {
        let item = |at, val| HisItem::new(ts(at), val);
        let items = vec![
            item("2026-01-01T00:00:00Z", Value::number(21.5)),
            item("2026-01-01T00:01:00Z", Value::Na),
            item("2026-01-01T00:02:00Z", Value::str("=cmd, \"x\"")),
        ];
        let answer = HisAnswer::new(Some("°C".into()), HisRows::Items(items), false);
        let json = write("p", &answer, &TimeZone::UTC, Form::Json);
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["rows"][0]["val"], 21.5);
        assert_eq!(value["rows"][1]["val"]["_kind"], "na");
        assert_eq!((&value["unit"], &value["tz"]), (&"°C".into(), &"UTC".into()));
        let csv = write("p", &answer, &TimeZone::UTC, Form::Csv);
        let lines: Vec<_> = csv.lines().collect();
        assert_eq!(lines[1], "2026-01-01T00:00:00Z,21.5");
        assert_eq!(lines[3], "2026-01-01T00:02:00Z,\"'=cmd, \"\"x\"\"\"");
        let lines = write("p", &answer, &TimeZone::UTC, Form::Ndjson);
        assert_eq!(lines.lines().next(), Some("{\"ts\":\"2026-01-01T00:00:00Z\",\"val\":21.5}"));
        assert_eq!((short(f64::from(22.2_f32)), short(22.2)), ("22.2".into(), "22.2".into()));
        let zone = TimeZone::fixed(Offset::constant(-5));
        assert!(write("p", &answer, &zone, Form::Csv).contains("2025-12-31T19:00:00-05:00,21.5"));
    }
}
