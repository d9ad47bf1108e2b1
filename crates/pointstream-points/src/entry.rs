use std::sync::Arc;

use jiff::Timestamp;
use pointstream_point::{Cur, Effective, His, Id, PointSpec, Status, Tag, Times, Value, Write};

/// One point. As small as it can be, since there may be a million: what few points have stands
/// apart.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Entry {
    /// What is configured.
    pub spec: Arc<PointSpec>,
    /// The connector that it belongs to, shared by its points; none for a point that is written
    /// and read here alone.
    pub conn: Option<Arc<Id>>,
    /// What it shows of its writes, if it can be written.
    pub write: Option<Box<WriteView>>,
    /// What it shows of the history of its device, if that keeps one.
    pub his: Option<Box<His>>,
    val: Value,
    /// In microseconds since the UNIX epoch, as a point's own state has it.
    ts: i64,
    rare: Option<Box<Rare>>,
    pub(crate) generation: u32,
    status: Status,
}

/// What a point has that is in trouble, or whose readings bring times along.
#[derive(Clone, Debug)]
struct Rare {
    err: Option<Arc<str>>,
    times: Option<Box<Times>>,
}

/// What a writable point shows: what is in effect, and what became of it at the device.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct WriteView {
    /// What wins among the levels of its priority array.
    pub effective: Effective,
    /// What became of it at the device; none for a point without a connector.
    pub status: Option<Write>,
}

impl WriteView {
    /// Nothing in effect, and nothing known of any device.
    pub const fn new() -> Self {
        Self { effective: Effective::NONE, status: None }
    }
}

impl Default for WriteView {
    fn default() -> Self {
        Self::new()
    }
}

impl Entry {
    /// A point of which nothing is known yet, since `wall`.
    pub(crate) fn new(
        generation: u32,
        spec: Arc<PointSpec>,
        conn: Option<Arc<Id>>,
        wall: Timestamp,
    ) -> Self {
        let write = spec.is_writable().then(Box::default);
        let Cur { status, val, .. } = Cur::default();
        let ts = wall.as_microsecond();
        Self { spec, conn, write, his: None, val, ts, rare: None, generation, status }
    }

    /// What it shows of its current value.
    pub fn cur(&self) -> Cur {
        let mut cur = Cur::default();
        cur.status = self.status;
        cur.val.clone_from(&self.val);
        // It was made from a timestamp, so it is one.
        cur.ts = Timestamp::from_microsecond(self.ts).unwrap_or_default();
        if let Some(rare) = &self.rare {
            cur.err.clone_from(&rare.err);
            cur.times.clone_from(&rare.times);
        }
        cur
    }

    pub(crate) fn set_cur(&mut self, cur: &Cur) {
        self.val.clone_from(&cur.val);
        self.ts = cur.ts.as_microsecond();
        self.status = cur.status;
        self.rare = (cur.err.is_some() || cur.times.is_some())
            .then(|| Box::new(Rare { err: cur.err.clone(), times: cur.times.clone() }));
    }

    /// The tag of this name as a filter sees it: the tags that every point has, or else its own.
    pub fn tag(&self, name: &str) -> Option<Tag> {
        let text = |text: &str| Some(Tag::Value(Value::str(text)));
        match name {
            "point" => Some(Tag::Marker),
            "id" => text(self.spec.id.as_str()),
            "dis" => text(self.spec.dis()),
            "kind" => text(self.spec.kind.as_str()),
            "unit" => self.spec.unit.and_then(|unit| text(unit.symbol())),
            "connector" => self.conn.as_ref().and_then(|conn| text(conn.as_str())),
            "cur" => self.spec.cur.as_ref().map(|_| Tag::Marker),
            "writable" => self.spec.is_writable().then_some(Tag::Marker),
            "disabled" => self.spec.disabled.then_some(Tag::Marker),
            "curStatus" => text(self.status.as_str()),
            "curErr" => text(self.rare.as_ref()?.err.as_deref()?),
            "writeStatus" => text(self.write.as_ref()?.status.as_ref()?.status.as_str()),
            "writeErr" => text(self.write.as_ref()?.status.as_ref()?.err.as_deref()?),
            "writeLevel" => {
                let level = self.write.as_ref()?.effective.level.number();
                Some(Tag::Value(Value::number(f64::from(level))))
            }
            "writeVal" => {
                let val = &self.write.as_ref()?.effective.val;
                (*val != Value::Null).then(|| Tag::Value(val.clone()))
            }
            "hisStatus" => text(self.his.as_ref()?.status.as_str()),
            "hisErr" => text(self.his.as_ref()?.err.as_deref()?),
            "curVal" => match &self.val {
                Value::Null => None,
                val => Some(Tag::Value(val.clone())),
            },
            _ => self.spec.more.tags.get(name).cloned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use pointstream_point::Kind;

    use super::*;

    #[test]
    fn what_is_kept_is_what_was_shown() {
        let spec = Arc::new(PointSpec::new("ahu".parse().unwrap(), Kind::Number));
        let mut cur = Cur::default();
        cur.ts = Timestamp::from_microsecond(1_700_000_000_123_456).unwrap();
        let mut entry = Entry::new(1, spec, None, cur.ts);
        assert_eq!(entry.cur(), cur);
        cur.status = Status::Down;
        cur.err = Some("gone".into());
        cur.times = Some(Box::new(Times { source: Some(cur.ts), server: None }));
        entry.set_cur(&cur);
        assert_eq!(entry.cur(), cur);
        assert_eq!(entry.tag("curErr"), Some(Tag::Value(Value::str("gone"))));
        let mut good = Cur::default();
        (good.status, good.val) = (Status::Ok, Value::number(21.5));
        entry.set_cur(&good);
        assert_eq!(entry.cur(), good);
        assert!(entry.rare.is_none(), "a plain point is small again");
        assert!(size_of::<Entry>() <= 72);
    }
}
