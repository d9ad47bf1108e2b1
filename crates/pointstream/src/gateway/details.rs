//! What is known about a point, for people who want to know why it is down.

use core::fmt::{Display, Write};

use pointstream_point::Value;

use super::Shared;

impl Shared {
    /// A fact a line, in the order of Haxall's `connDetails`. None if there is no such point.
    pub(crate) fn point_details(&self, id: &str) -> Option<String> {
        let state = self.lock();
        let (key, entry) = state.points.find(id)?;
        let (spec, cur) = (&entry.spec, entry.cur());
        let conn = entry.conn.as_deref().and_then(|id| Some((id, state.conns.get(id)?)));
        let mut lines = Lines(String::new());
        lines.add("id", &spec.id);
        lines.add("dis", spec.dis());
        match conn {
            Some((id, conn)) => lines.add("conn", format_args!("{id} {}", conn.view.status)),
            None => lines.add("conn", "-"),
        }
        lines.add("kind", spec.kind);
        lines.option("unit", spec.unit);
        lines.option("tuning", spec.more.tuning.as_ref());
        lines.add("disabled", spec.disabled);
        lines.add("isWatched", state.watches.is_watched(key));
        lines.section("Conn Cur");
        lines.option("curAddr", spec.cur.as_deref());
        lines.add("curStatus", cur.status);
        lines.option("curVal", Some(&cur.val).filter(|val| **val != Value::Null));
        lines.option("curConvert", spec.more.cur_convert.as_deref());
        lines.option("curCalibration", spec.more.cur_calibration.as_ref());
        lines.add("curLastChange", format_args!("{:.3}", cur.ts));
        lines.option("curErr", cur.err.as_deref());
        lines.section("Conn Write");
        lines.option("writeAddr", spec.write.as_deref());
        if let Some(write) = &entry.write {
            lines.option("writeStatus", write.status.as_ref().map(|write| write.status));
            lines.add("writeVal", &write.effective.val);
            lines.add("writeLevel", write.effective.level);
            lines.option("writeConvert", spec.more.write_convert.as_deref());
            lines.option("writeErr", write.status.as_ref().and_then(|write| write.err.as_deref()));
        }
        lines.section("Conn His Sync");
        lines.option("hisAddr", spec.more.his.as_deref());
        if let Some(his) = &entry.his {
            lines.add("hisStatus", his.status);
            lines.add("hisPending", his.pending);
            lines.option("hisConvert", spec.more.his_convert.as_deref());
            lines.option("hisErr", his.err.as_deref());
        }
        Some(lines.0)
    }
}

struct Lines(String);

impl Lines {
    fn add(&mut self, name: &str, value: impl Display) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{name:<16}{value}");
    }

    fn option(&mut self, name: &str, value: Option<impl Display>) {
        match value {
            Some(value) => self.add(name, value),
            None => self.add(name, "-"),
        }
    }

    fn section(&mut self, name: &str) {
        let _ = writeln!(self.0, "\n{name}");
    }
}
