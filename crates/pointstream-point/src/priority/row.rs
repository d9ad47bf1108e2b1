use alloc::string::{String, ToString};
use core::time::Duration;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::{EnumDef, Level, Value};

/// One level of a priority array, for a listing.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct PriorityRow<'a> {
    /// The level.
    pub level: Level,
    /// What stands there.
    pub val: &'a Value,
    /// Who wrote it last.
    pub who: Option<&'a str>,
    /// After which time it is released.
    pub expires: Option<Duration>,
}

impl PriorityRow<'_> {
    /// The value for people: a Bool by the names of the point's enum definition, if it has one.
    /// Nothing for null.
    pub fn val_dis(&self, def: Option<&EnumDef>) -> String {
        let name = match self.val {
            Value::Null => return String::new(),
            Value::Bool(true) => def.and_then(EnumDef::true_name),
            Value::Bool(false) => def.and_then(EnumDef::false_name),
            _ => None,
        };
        name.map_or_else(|| self.val.to_string(), |name| name.to_string())
    }
}

impl Serialize for PriorityRow<'_> {
    /// As an object with `level`, `levelDis`, `val` and, as far as there are, `valDis`, `who` and
    /// `expires` in seconds.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("level", &self.level)?;
        map.serialize_entry("levelDis", &self.level.to_string())?;
        map.serialize_entry("val", self.val)?;
        if *self.val != Value::Null {
            map.serialize_entry("valDis", &self.val_dis(None))?;
        }
        if let Some(who) = self.who {
            map.serialize_entry("who", who)?;
        }
        if let Some(expires) = self.expires {
            map.serialize_entry("expires", &expires.as_secs_f64())?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_shown_by_the_names_of_the_point() {
        let def = EnumDef::from_tag("off, on").unwrap();
        let dis = |val: Value, def| {
            let row = PriorityRow { level: Level::DEF, val: &val, who: None, expires: None };
            row.val_dis(def)
        };
        assert_eq!(dis(Value::Bool(true), Some(&def)), "on");
        assert_eq!(dis(Value::Bool(false), Some(&def)), "off");
        assert_eq!(dis(Value::Bool(false), None), "false");
        assert_eq!(dis(Value::number(2.5), Some(&def)), "2.5");
        assert_eq!(dis(Value::Null, Some(&def)), "");
    }
}
