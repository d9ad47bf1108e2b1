use pointstream_point::{Cur, Status, Unit, Value};
use serde::{Serialize, Serializer};

/// A point in a topic's document: `{"val":21.5,"unit":"°C","status":"ok","ts":"…"}`, with `err`
/// when there is no value. `ts` is the time of the last change.
#[derive(Serialize)]
struct Row<'a> {
    val: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<Unit>,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    err: Option<&'a str>,
    ts: Millis,
}

/// A time in RFC 3339 with milliseconds, UTC.
pub(crate) struct Millis(pub(crate) jiff::Timestamp);

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:.3}", self.0))
    }
}

/// The row of a point as JSON text.
pub(super) fn row(cur: &Cur, unit: Option<Unit>) -> String {
    let (val, status, err) = (&cur.val, cur.status, cur.err.as_deref());
    let row = Row { val, unit, status, err, ts: Millis(cur.ts) };
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
}
