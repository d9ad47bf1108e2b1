use alloc::boxed::Box;
use alloc::vec::Vec;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::Value;

/// The tags of a point: names with a marker or a value, in the order of their names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tags(Vec<(Box<str>, Tag)>);

/// What a tag says.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Tag {
    /// Its presence is all it says.
    Marker,
    /// A value.
    Value(Value),
}

impl Tags {
    /// No tags.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Sets a tag and gives what it was before.
    pub fn set(&mut self, name: &str, tag: Tag) -> Option<Tag> {
        match self.find(name) {
            Ok(at) => Some(core::mem::replace(&mut self.0[at].1, tag)),
            Err(at) => {
                self.0.insert(at, (name.into(), tag));
                None
            }
        }
    }

    /// The tag of this name.
    pub fn get(&self, name: &str) -> Option<&Tag> {
        self.find(name).ok().map(|at| &self.0[at].1)
    }

    /// All tags, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tag)> {
        self.0.iter().map(|(name, tag)| (&**name, tag))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(other, _)| (**other).cmp(name))
    }
}

impl Serialize for Tags {
    /// As an object; a marker is Hayson's `{"_kind":"marker"}`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, tag) in self.iter() {
            map.serialize_entry(name, tag)?;
        }
        map.end()
    }
}

impl Serialize for Tag {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Value(value) => value.serialize(serializer),
            Self::Marker => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("_kind", "marker")?;
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_found_replaced_and_ordered() {
        let mut tags = Tags::new();
        assert_eq!(tags.set("temp", Tag::Marker), None);
        assert_eq!(tags.set("air", Tag::Marker), None);
        assert_eq!(tags.set("floor", Tag::Value(Value::number(2.0))), None);
        assert_eq!(tags.set("temp", Tag::Value(Value::Bool(true))), Some(Tag::Marker));
        assert_eq!(tags.get("none"), None);
        let json = serde_json::to_string(&tags).unwrap();
        assert_eq!(json, r#"{"air":{"_kind":"marker"},"floor":2,"temp":true}"#);
    }
}
