use std::sync::{Arc, LazyLock};

use jiff::Timestamp;
use pointstream_point::{Cur, Kind, PointSpec, Status, Tag, Unit, Value};
use pointstream_points::{Entry, Filter, Points};

/// The text of a filter: it parses or says where not, and means the same in parentheses, joined with
/// itself, and among spaces.
pub fn points_filter(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    let filter = match Filter::parse(text) {
        Ok(filter) => filter,
        Err(error) => {
            assert!(error.at <= text.chars().count() + 1, "{error}");
            return;
        }
    };
    let expected = matches(&filter);
    for same in [
        format!(" {text}\t"),
        format!("({text})"),
        format!("({text}) and ({text})"),
        format!("{text} or ({text})"),
    ] {
        if same.len() > Filter::LEN_MAX || depth(&same) > Filter::DEPTH_MAX {
            continue;
        }
        let filter = Filter::parse(&same).unwrap_or_else(|error| panic!("{same}: {error}"));
        assert_eq!(matches(&filter), expected, "{same}");
    }
    let joined = format!("{text} and point");
    if joined.len() <= Filter::LEN_MAX && !text.contains("or") {
        let filter = Filter::parse(&joined).unwrap_or_else(|error| panic!("{joined}: {error}"));
        assert_eq!(matches(&filter), expected, "{joined}");
    }
}

fn matches(filter: &Filter) -> Vec<bool> {
    ENTRIES.iter().map(|entry| filter.matches(entry)).collect()
}

/// How deep parentheses nest, those in strings aside.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut quoted) = (0usize, 0, false);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => quoted = !quoted,
            '\\' if quoted => drop(chars.next()),
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    let id = |text: &str| text.parse().expect("an id");
    let mut points = Points::new();
    let values = [
        (Kind::Number, Status::Ok, Value::Number(21.5, Unit::parse("°C").ok())),
        (Kind::Number, Status::Ok, Value::Number(f64::NAN, None)),
        (Kind::Bool, Status::Ok, Value::Bool(true)),
        (Kind::Str, Status::Stale, Value::str("say \"hi\"")),
        (Kind::Number, Status::Down, Value::Null),
    ];
    let mut entries = Vec::new();
    for (at, (kind, status, val)) in values.into_iter().enumerate() {
        let mut spec = PointSpec::new(id(&format!("p{at}")), kind);
        spec.cur = Some("x".into());
        spec.write = (at % 2 == 0).then(|| "x".into());
        for (name, tag) in [("temp", Tag::Marker), ("floor", Tag::Value(Value::number(at as f64)))]
        {
            spec.more.tags.set(name, tag);
        }
        let key = points.insert(0, Some(&id("ahu")), Arc::new(spec), Timestamp::UNIX_EPOCH);
        let key = key.expect("ids differ");
        let mut cur = Cur::default();
        (cur.status, cur.val) = (status, val);
        entries.extend(points.apply(key, &cur).cloned());
    }
    entries
});
