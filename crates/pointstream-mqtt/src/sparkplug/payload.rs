//! What messages carry, as it stands on the wire.
//!
//! Source: Sparkplug 3.0.0, chapter 6 "Payloads", and its `sparkplug_b.proto`.

use std::sync::Arc;

use super::datatype::DataType;

/// A payload.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Payload {
    /// When it was sent, in milliseconds since 1970 UTC.
    pub timestamp: Option<u64>,
    /// The metrics.
    pub metrics: Vec<Metric>,
    /// The number of the message among those of its edge node, 0 to 255. Commands and node deaths
    /// have none.
    pub seq: Option<u64>,
    /// What the body is, if there is one.
    pub uuid: Option<Box<str>>,
    /// Bytes of the application's own.
    pub body: Option<Box<[u8]>>,
}

/// A metric.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Metric {
    /// Its name; left out where an alias says which it is.
    pub name: Option<Arc<str>>,
    /// The number that stands for its name until the next birth.
    pub alias: Option<u64>,
    /// When the value was taken, in milliseconds since 1970 UTC.
    pub timestamp: Option<u64>,
    /// The code of its [`DataType`](super::DataType); left out where the birth has said it.
    pub datatype: Option<u32>,
    /// A value of the past, which says nothing of the present.
    pub is_historical: bool,
    /// A value that is not to be stored.
    pub is_transient: bool,
    /// There is no value.
    pub is_null: bool,
    /// What is said about a value of bytes.
    pub metadata: Option<Box<MetaData>>,
    /// Its properties.
    pub properties: Option<Box<PropertySet>>,
    /// The value.
    pub value: Option<Raw>,
}

/// A value as it stands on the wire, where fewer types are told apart than there are data types.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Raw {
    /// Integers of up to 32 bits.
    Int(u32),
    /// Integers of 64 bits and times.
    Long(u64),
    /// A number of 32 bits.
    Float(f32),
    /// A number of 64 bits.
    Double(f64),
    /// True or false.
    Bool(bool),
    /// A text.
    Str(Box<str>),
    /// Bytes, files and arrays.
    Bytes(Box<[u8]>),
    /// A table.
    DataSet(Box<DataSet>),
    /// A template.
    Template(Box<Template>),
    /// Properties, within properties.
    Set(Box<PropertySet>),
    /// Lists of properties, within properties.
    Sets(Vec<PropertySet>),
    /// Something that no standard describes.
    Extension(Box<[u8]>),
}

/// What is said about a value of bytes.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct MetaData {
    /// It is one part of several.
    pub is_multi_part: Option<bool>,
    /// Its media type.
    pub content_type: Option<Box<str>>,
    /// How many bytes it has.
    pub size: Option<u64>,
    /// Which part it is.
    pub seq: Option<u64>,
    /// The name of the file.
    pub file_name: Option<Box<str>>,
    /// The type of the file.
    pub file_type: Option<Box<str>>,
    /// The MD5 sum of the bytes, in hexadecimal digits.
    pub md5: Option<Box<str>>,
    /// Whatever else there is to say.
    pub description: Option<Box<str>>,
}

/// Properties by their keys, in the order of the wire.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct PropertySet {
    /// Each key with its property.
    pub entries: Vec<(Box<str>, Property)>,
}

/// A property.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Property {
    /// The code of its data type.
    pub datatype: Option<u32>,
    /// There is no value.
    pub is_null: bool,
    /// The value.
    pub value: Option<Raw>,
}

impl PropertySet {
    /// Properties by their keys.
    pub fn new<'a>(entries: impl IntoIterator<Item = (&'a str, Property)>) -> Self {
        Self {
            entries: entries.into_iter().map(|(key, property)| (key.into(), property)).collect(),
        }
    }
}

impl Property {
    /// A property with a value of a data type.
    pub const fn new(data_type: DataType, value: Raw) -> Self {
        Self { datatype: Some(data_type.code()), is_null: false, value: Some(value) }
    }
}

/// A table of values.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct DataSet {
    /// How many columns there are, as the sender says.
    pub num_of_columns: Option<u64>,
    /// The names of the columns.
    pub columns: Vec<Box<str>>,
    /// The code of each column's data type.
    pub types: Vec<u32>,
    /// The rows, each with a value or none for each column.
    pub rows: Vec<Vec<Option<Raw>>>,
}

/// A template: the definition of a structure, or an instance of one.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Template {
    /// Which version of the structure it is.
    pub version: Option<Box<str>>,
    /// Its members.
    pub metrics: Vec<Metric>,
    /// Its parameters.
    pub parameters: Vec<Parameter>,
    /// The name of the definition, for an instance.
    pub template_ref: Option<Box<str>>,
    /// It is a definition.
    pub is_definition: Option<bool>,
}

/// A parameter of a template.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Parameter {
    /// Its name.
    pub name: Option<Box<str>>,
    /// The code of its data type.
    pub datatype: Option<u32>,
    /// The value.
    pub value: Option<Raw>,
}

/// What a payload may have at most.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes; 4 MiB by default.
    pub len_max: usize,
    /// Metrics, properties, parameters, columns, rows and cells together; 200,000 by default.
    pub items_max: usize,
    /// Templates and property sets within one another; 8 by default.
    pub depth_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { len_max: 4 << 20, items_max: 200_000, depth_max: 8 }
    }
}

impl Limits {
    /// These limits with so many bytes.
    #[must_use]
    pub const fn with_len_max(mut self, bytes: usize) -> Self {
        self.len_max = bytes;
        self
    }

    /// These limits with so many items.
    #[must_use]
    pub const fn with_items_max(mut self, items: usize) -> Self {
        self.items_max = items;
        self
    }

    /// These limits with so many levels.
    #[must_use]
    pub const fn with_depth_max(mut self, levels: usize) -> Self {
        self.depth_max = levels;
        self
    }
}
