//! What is asked of past values, and the form of the answer.

use core::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use pointstream_point::{Bucket, HisItem, Interval, Span, Value};

mod range;

pub(crate) use range::{parse_interval, parse_range};

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
