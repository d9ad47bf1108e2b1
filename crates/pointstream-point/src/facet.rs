//! What is wrong with the configuration of a point, facet by facet.

use alloc::string::String;
use core::fmt;

use crate::{Address, ConvertCache, Fault, Id, Kind, PointSpec, Tag, Tags, Unit, Value};

/// A side of a point that has an address of its own.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Facet {
    /// The current value.
    Cur,
    /// What is written to the device.
    Write,
    /// The history that the device keeps.
    His,
}

impl Facet {
    /// Every facet, in the order in which they are checked.
    pub const ALL: [Self; 3] = [Self::Cur, Self::Write, Self::His];

    /// The tag of its convert.
    pub const fn convert_tag(self) -> &'static str {
        match self {
            Self::Cur => "curConvert",
            Self::Write => "writeConvert",
            Self::His => "hisConvert",
        }
    }

    /// What follows the name of the connector type in the tag of its address.
    const fn address_suffix(self) -> &'static str {
        match self {
            Self::Cur => "Cur",
            Self::Write => "Write",
            Self::His => "His",
        }
    }
}

/// The faults of a point's configuration; a facet without one works.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct FacetFaults {
    /// Of the current value.
    pub cur: Option<Fault>,
    /// Of writes.
    pub write: Option<Fault>,
    /// Of history.
    pub his: Option<Fault>,
}

impl FacetFaults {
    /// No faults.
    pub const NONE: Self = Self { cur: None, write: None, his: None };

    /// Gives a facet this fault instead of any that it has.
    pub fn set(&mut self, facet: Facet, fault: Fault) {
        match facet {
            Facet::Cur => self.cur = Some(fault),
            Facet::Write => self.write = Some(fault),
            Facet::His => self.his = Some(fault),
        }
    }

    /// Adds the faults of `others` to the facets that have none.
    pub fn merge(&mut self, others: Self) {
        let Self { cur, write, his } = others;
        self.cur = self.cur.take().or(cur);
        self.write = self.write.take().or(write);
        self.his = self.his.take().or(his);
    }

    /// The fault of a facet.
    pub const fn get(&self, facet: Facet) -> Option<&Fault> {
        match facet {
            Facet::Cur => self.cur.as_ref(),
            Facet::Write => self.write.as_ref(),
            Facet::His => self.his.as_ref(),
        }
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.cur.is_none() && self.write.is_none() && self.his.is_none()
    }

    /// Gives a facet a fault, unless it has one.
    pub fn add(&mut self, facet: Facet, message: impl fmt::Display) {
        let slot = match facet {
            Facet::Cur => &mut self.cur,
            Facet::Write => &mut self.write,
            Facet::His => &mut self.his,
        };
        slot.get_or_insert_with(|| Fault::permanent(message));
    }
}

/// How the tags of a point are checked for a connector type.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TagCheck<'a> {
    /// The name of the connector type, such as `modbus`: its addresses are `modbusCur`,
    /// `modbusWrite` and `modbusHis`.
    pub model: &'a str,
    /// The kind of its addresses.
    pub address: &'static str,
    /// Whether there is a time zone of this Haystack name.
    pub is_zone: fn(&str) -> bool,
}

impl<'a> TagCheck<'a> {
    /// A check for a connector type whose addresses are texts.
    pub const fn new(model: &'a str, is_zone: fn(&str) -> bool) -> Self {
        Self { model, address: "Str", is_zone }
    }

    /// The point that a record of tags describes, as Haxall keeps it: `dis`, `kind`, `unit`, the
    /// addresses of this connector type, converts, `curCalibration`, `minVal`, `maxVal`, `writable`,
    /// `curTracksWrite`, `disabled`; all other tags stay with it. What is wrong with it is a fault of
    /// its facets, and what stands for it is the default.
    pub fn point(
        &self,
        id: &Id,
        tags: &Tags,
        converts: &mut ConvertCache,
    ) -> (PointSpec, FacetFaults) {
        let faults = self.faults(id, tags, converts);
        let text = |name: &str| match tags.get(name) {
            Some(Tag::Value(Value::Str(text))) => Some(&**text),
            _ => None,
        };
        let address = |facet: Facet| text(&self.address_tag(facet)).map(Address::from);
        let number = |name: &str| match tags.get(name) {
            Some(Tag::Value(Value::Number(number, _))) => Some(*number),
            _ => None,
        };
        let marked = |name: &str| tags.get(name) == Some(&Tag::Marker);
        let kind = text("kind").and_then(|kind| kind.parse().ok()).unwrap_or(Kind::Str);
        let mut spec = PointSpec::new(id.clone(), kind);
        spec.unit = text("unit").and_then(|unit| Unit::parse(unit).ok());
        (spec.cur, spec.write) = (address(Facet::Cur), address(Facet::Write));
        spec.disabled = marked("disabled");
        let more = &mut *spec.more;
        more.dis = text("dis").map(Into::into);
        more.his = address(Facet::His);
        more.cur_convert = text("curConvert").map(Into::into);
        more.write_convert = text("writeConvert").map(Into::into);
        more.his_convert = text("hisConvert").map(Into::into);
        more.cur_calibration = match tags.get("curCalibration") {
            Some(Tag::Value(value)) => Some(value.clone()),
            _ => None,
        };
        (more.min, more.max) = (number("minVal"), number("maxVal"));
        (more.writable, more.cur_tracks_write) = (marked("writable"), marked("curTracksWrite"));
        more.tuning = text("connTuningRef").and_then(|id| id.parse().ok());
        for (name, tag) in tags.iter().filter(|(name, _)| !self.is_known(name)) {
            more.tags.set(name, tag.clone());
        }
        spec.more.trim();
        (spec, faults)
    }

    fn address_tag(&self, facet: Facet) -> String {
        let mut name = String::from(self.model);
        name.push_str(facet.address_suffix());
        name
    }

    /// Whether a tag has a place of its own in a [`PointSpec`].
    fn is_known(&self, name: &str) -> bool {
        const KNOWN: [&str; 15] = [
            "id",
            "dis",
            "kind",
            "unit",
            "curConvert",
            "writeConvert",
            "hisConvert",
            "curCalibration",
            "minVal",
            "maxVal",
            "writable",
            "curTracksWrite",
            "connTuningRef",
            "disabled",
            "point",
        ];
        KNOWN.contains(&name) || Facet::ALL.iter().any(|facet| self.address_tag(*facet) == name)
    }

    /// What is wrong with the tags of a point, in the words of Haxall.
    ///
    /// An address of the wrong kind, a convert that does not parse and a kind of which there is no
    /// history are faults of their own facet. A wrong time zone, unit or kind, of which the first
    /// is told, is a fault of every facet that has an address and no fault of its own.
    pub fn faults(&self, id: &Id, tags: &Tags, converts: &mut ConvertCache) -> FacetFaults {
        let mut faults = FacetFaults::default();
        let addressed = Facet::ALL.into_iter().filter(|facet| {
            let name = self.address_tag(*facet);
            let Some(tag) = tags.get(&name) else { return false };
            if tag.kind_name() != self.address {
                let (got, want) = (tag.kind_name(), self.address);
                let message = format_args!("Invalid type for '{name}' [{got} != {want}]");
                faults.add(*facet, message);
            }
            true
        });
        let addressed: alloc::vec::Vec<_> = addressed.collect();
        if let Err(message) = self.check_common(id, tags) {
            for facet in &addressed {
                faults.add(*facet, &message);
            }
        }
        for facet in addressed {
            if facet == Facet::His && tags.get("kind") == Some(&Tag::Value(Value::str("DateTime")))
            {
                faults.add(facet, "Unsupported 'kind' for his: DateTime");
            }
            let name = facet.convert_tag();
            match tags.get(name) {
                None => {}
                Some(Tag::Value(Value::Str(text))) => {
                    check_convert(&mut faults, facet, text, converts);
                }
                Some(_) => faults.add(facet, format_args!("Point convert not string: '{name}'")),
            }
        }
        faults
    }

    /// The tags that all facets share, in their order.
    fn check_common(&self, id: &Id, tags: &Tags) -> Result<(), String> {
        let text = |name: &str| match tags.get(name) {
            None => Ok(None),
            Some(Tag::Value(Value::Str(text))) => Ok(Some(text)),
            Some(tag) => {
                let kind = tag.qualified_kind_name();
                Err(alloc::format!("Invalid type for '{name}' tag: {kind} [@{id}]"))
            }
        };
        let invalid =
            |name: &str, text: &str| Err(alloc::format!("Invalid '{name}' tag: {text} [@{id}]"));
        match text("tz")? {
            Some(tz) if !(self.is_zone)(tz) => return invalid("tz", tz),
            _ => {}
        }
        match text("unit")? {
            Some(unit) if Unit::parse(unit).is_err() => return invalid("unit", unit),
            _ => {}
        }
        match text("kind")? {
            None => Err(alloc::format!("Missing 'kind' tag [@{id}]")),
            Some(kind) if kind.parse::<Kind>().is_err() => invalid("kind", kind),
            Some(_) => Ok(()),
        }
    }
}

/// Gives a facet a fault if the text of its convert does not parse, with the column at which it
/// does not.
pub(crate) fn check_convert(
    faults: &mut FacetFaults,
    facet: Facet,
    text: &str,
    converts: &mut ConvertCache,
) -> Option<alloc::sync::Arc<crate::Convert>> {
    if text.is_empty() {
        return None;
    }
    match converts.get(text) {
        Ok(convert) => Some(convert),
        Err(error) => {
            let name = facet.convert_tag();
            faults.add(facet, format_args!("Point convert invalid: '{name}' [{error}]"));
            None
        }
    }
}

impl Tag {
    fn kind_name(&self) -> &'static str {
        match self {
            Self::Marker => "Marker",
            Self::Value(value) => value.kind_name(),
        }
    }

    /// The name of the kind as Haxall writes it in full.
    fn qualified_kind_name(&self) -> &'static str {
        match self {
            Self::Marker => "haystack::Marker",
            Self::Value(Value::Null) => "null",
            Self::Value(Value::Na) => "haystack::NA",
            Self::Value(Value::Bool(_)) => "sys::Bool",
            Self::Value(Value::Number(..)) => "haystack::Number",
            Self::Value(Value::Str(_)) => "sys::Str",
            Self::Value(Value::DateTime(_)) => "sys::DateTime",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The faults of a point with three addresses and these tags beside a good kind.
    fn faults(tags: &[(&str, Value)]) -> [Option<String>; 3] {
        let mut all = Tags::new();
        for (name, val) in [("fooCur", "1"), ("fooWrite", "2"), ("fooHis", "3"), ("kind", "Number")]
        {
            all.set(name, Tag::Value(Value::str(val)));
        }
        for (name, val) in tags {
            all.set(name, Tag::Value(val.clone()));
        }
        texts(&all)
    }

    fn texts(tags: &Tags) -> [Option<String>; 3] {
        let check = TagCheck::new("foo", |zone| zone == "New_York");
        let id = "p1".parse().unwrap();
        let faults = check.faults(&id, tags, &mut ConvertCache::default());
        Facet::ALL.map(|facet| faults.get(facet).map(|fault| fault.message().as_ref().into()))
    }

    fn all(text: &str) -> [Option<String>; 3] {
        [(); 3].map(|()| Some(text.into()))
    }

    #[test]
    fn a_good_point_has_no_fault() {
        let good = [
            ("tz", Value::str("New_York")),
            ("unit", Value::str("kW")),
            ("curConvert", Value::str("* 0.1")),
            ("writeConvert", Value::str("")),
        ];
        assert_eq!(faults(&good), [None, None, None]);
        assert_eq!(texts(&Tags::new()), [None, None, None], "without an address there is none");
    }

    #[test]
    fn an_address_of_the_wrong_kind_is_a_fault_of_its_facet() {
        let [cur, write, his] = faults(&[("fooCur", Value::number(1.0))]);
        assert_eq!(cur.as_deref(), Some("Invalid type for 'fooCur' [Number != Str]"));
        assert_eq!((write, his), (None, None));
    }

    #[test]
    fn what_all_facets_share_is_a_fault_of_every_one() {
        let number = Value::number(1.0);
        for (name, val, message) in [
            ("tz", number.clone(), "Invalid type for 'tz' tag: haystack::Number [@p1]"),
            ("tz", Value::str("Wrong"), "Invalid 'tz' tag: Wrong [@p1]"),
            ("unit", number.clone(), "Invalid type for 'unit' tag: haystack::Number [@p1]"),
            ("unit", Value::str("blah"), "Invalid 'unit' tag: blah [@p1]"),
            ("kind", number.clone(), "Invalid type for 'kind' tag: haystack::Number [@p1]"),
            ("kind", Value::str("Bad"), "Invalid 'kind' tag: Bad [@p1]"),
        ] {
            assert_eq!(faults(&[(name, val)]), all(message));
        }
        let first = [("unit", Value::str("blah")), ("kind", Value::str("Bad")), ("tz", number)];
        assert_eq!(faults(&first), all("Invalid type for 'tz' tag: haystack::Number [@p1]"));
        let [cur, write, _] = faults(&[("fooCur", Value::Na), ("unit", Value::str("blah"))]);
        assert_eq!(cur.as_deref(), Some("Invalid type for 'fooCur' [NA != Str]"));
        assert_eq!(write.as_deref(), Some("Invalid 'unit' tag: blah [@p1]"));
        let mut only_cur = Tags::new();
        only_cur.set("fooCur", Tag::Value(Value::str("1")));
        let missing = Some("Missing 'kind' tag [@p1]".into());
        assert_eq!(texts(&only_cur), [missing, None, None]);
    }

    #[test]
    fn a_bad_convert_is_a_fault_of_its_facet_and_names_the_column() {
        let [cur, write, his] =
            faults(&[("hisConvert", Value::number(1.0)), ("writeConvert", Value::str("* foo"))]);
        assert_eq!(cur, None);
        let invalid =
            "Point convert invalid: 'writeConvert' [column 3: expected a number, not \"foo\"]";
        assert_eq!(write.as_deref(), Some(invalid));
        assert_eq!(his.as_deref(), Some("Point convert not string: 'hisConvert'"));
    }

    #[test]
    fn there_is_no_history_of_some_kinds() {
        let [cur, write, his] = faults(&[("kind", Value::str("DateTime"))]);
        assert_eq!((cur, write), (None, None));
        assert_eq!(his.as_deref(), Some("Unsupported 'kind' for his: DateTime"));
    }

    #[test]
    fn a_record_becomes_a_point_with_the_faults_of_its_facets() {
        let mut tags = Tags::new();
        let text = |text: &str| Tag::Value(Value::str(text));
        for (name, tag) in [
            ("point", Tag::Marker),
            ("dis", text("Zone temperature")),
            ("kind", text("Number")),
            ("unit", text("°C")),
            ("modbusCur", text("400_001")),
            ("modbusWrite", Tag::Value(Value::number(7.0))),
            ("curConvert", text("* 0.1")),
            ("minVal", Tag::Value(Value::number(15.0))),
            ("writable", Tag::Marker),
            ("zone", Tag::Marker),
        ] {
            tags.set(name, tag);
        }
        let check = TagCheck::new("modbus", |_| true);
        let (spec, faults) =
            check.point(&"p1".parse().unwrap(), &tags, &mut ConvertCache::default());
        assert_eq!(
            (spec.dis(), spec.kind, spec.unit),
            ("Zone temperature", Kind::Number, Unit::parse("°C").ok())
        );
        assert_eq!((spec.cur.as_deref(), spec.write.as_deref()), (Some("400_001"), None));
        assert_eq!((spec.more.min, spec.more.writable), (Some(15.0), true));
        let rest: alloc::vec::Vec<_> = spec.more.tags.iter().map(|(name, _)| name).collect();
        assert_eq!(rest, ["zone"]);
        let write = faults.write.unwrap();
        assert_eq!(write.message().as_ref(), "Invalid type for 'modbusWrite' [Number != Str]");
        assert!(faults.cur.is_none());
    }
}
