use pointstream_point::{Cur, Status, Times, Unit, Value};
use serde::{Serialize, Serializer};

/// A point in a topic's document: `{"val":21.5,"unit":"°C","status":"ok","ts":"…"}`, with `err`
/// when there is no value. `ts` is the time of the last change; `sourceTs` and `serverTs` stand beside
/// it where the other side says when it took that value, to the nanosecond.
#[derive(Serialize)]
struct Row<'a> {
    val: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<Unit>,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    err: Option<&'a str>,
    ts: Millis,
    #[serde(rename = "sourceTs", skip_serializing_if = "Option::is_none")]
    source: Option<Exact>,
    #[serde(rename = "serverTs", skip_serializing_if = "Option::is_none")]
    server: Option<Exact>,
}

/// A time in RFC 3339 with milliseconds, UTC.
pub(crate) struct Millis(pub(crate) jiff::Timestamp);

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:.3}", self.0))
    }
}

/// A time in RFC 3339 with all of its digits, UTC.
struct Exact(jiff::Timestamp);

impl Serialize for Exact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// The row of a point as JSON text.
pub(super) fn row(cur: &Cur, unit: Option<Unit>) -> String {
    let (val, status, err) = (&cur.val, cur.status, cur.err.as_deref());
    let Times { source, server } = cur.times.as_deref().copied().unwrap_or_default();
    let (source, server) = (source.map(Exact), server.map(Exact));
    let row = Row { val, unit, status, err, ts: Millis(cur.ts), source, server };
    // Nothing in a row can fail to be JSON.
    serde_json::to_string(&row).unwrap_or_else(|_| "null".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_what_subscribers_read() {
        let mut cur = Cur::default();
        (cur.status, cur.ts) = (Status::Ok, "2026-11-22T20:00:00.12345Z".parse().unwrap());
        let celsius = Unit::parse("°C").ok();
        cur.val = Value::Number(21.5, celsius);
        let expected = r#"{"val":21.5,"unit":"°C","status":"ok","ts":"2026-11-22T20:00:00.123Z"}"#;
        assert_eq!(row(&cur, celsius), expected);
        (cur.status, cur.val, cur.err) = (Status::Down, Value::Null, Some("conn down".into()));
        let expected =
            r#"{"val":null,"status":"down","err":"conn down","ts":"2026-11-22T20:00:00.123Z"}"#;
        assert_eq!(row(&cur, None), expected);
    }

    #[test]
    fn the_times_of_the_other_side_are_shown_bit_for_bit() {
        let mut cur = Cur::default();
        (cur.status, cur.val) = (Status::Ok, Value::number(0.1));
        let times =
            ["2026-11-22T20:00:00.123456789Z", "2026-11-22T20:00:01Z"].map(|text| text.parse());
        let [source, server] = times.map(Result::ok);
        cur.times = Some(Box::new(Times { source, server }));
        let row: serde_json::Value = serde_json::from_str(&row(&cur, None)).unwrap();
        let back = |name: &str| row[name].as_str().and_then(|text| text.parse().ok());
        assert_eq!((back("sourceTs"), back("serverTs")), (source, server));
        assert_eq!(row["val"].as_f64(), Some(0.1));
    }
}
