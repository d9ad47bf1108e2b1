/// The type of a metric's value.
///
/// Source: Sparkplug 3.0.0, 6.4.16 "Datatype Details".
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(missing_docs, reason = "the names are the standard's own")]
#[non_exhaustive]
pub enum DataType {
    Int8,
    Int16,
    Int32,
    Int64,
    UInt8,
    UInt16,
    UInt32,
    UInt64,
    Float,
    Double,
    Boolean,
    String,
    DateTime,
    Text,
    Uuid,
    DataSet,
    Bytes,
    File,
    Template,
    PropertySet,
    PropertySetList,
    Int8Array,
    Int16Array,
    Int32Array,
    Int64Array,
    UInt8Array,
    UInt16Array,
    UInt32Array,
    UInt64Array,
    FloatArray,
    DoubleArray,
    BooleanArray,
    StringArray,
    DateTimeArray,
}

impl DataType {
    /// All of them, in the order of their codes, of which the first is 1.
    pub const ALL: [Self; 34] = [
        Self::Int8,
        Self::Int16,
        Self::Int32,
        Self::Int64,
        Self::UInt8,
        Self::UInt16,
        Self::UInt32,
        Self::UInt64,
        Self::Float,
        Self::Double,
        Self::Boolean,
        Self::String,
        Self::DateTime,
        Self::Text,
        Self::Uuid,
        Self::DataSet,
        Self::Bytes,
        Self::File,
        Self::Template,
        Self::PropertySet,
        Self::PropertySetList,
        Self::Int8Array,
        Self::Int16Array,
        Self::Int32Array,
        Self::Int64Array,
        Self::UInt8Array,
        Self::UInt16Array,
        Self::UInt32Array,
        Self::UInt64Array,
        Self::FloatArray,
        Self::DoubleArray,
        Self::BooleanArray,
        Self::StringArray,
        Self::DateTimeArray,
    ];

    /// The type of a code; none for 0, which is unknown, and for codes that are not taken.
    pub fn of_code(code: u32) -> Option<Self> {
        let index = usize::try_from(code).ok()?.checked_sub(1)?;
        Self::ALL.get(index).copied()
    }

    /// Its code on the wire.
    pub const fn code(self) -> u32 {
        self as u32 + 1
    }

    /// For an integer, how many bits it has and whether it is signed.
    pub(crate) const fn integer(self) -> Option<(u32, bool)> {
        Some(match self {
            Self::Int8 => (8, true),
            Self::Int16 => (16, true),
            Self::Int32 => (32, true),
            Self::Int64 => (64, true),
            Self::UInt8 => (8, false),
            Self::UInt16 => (16, false),
            Self::UInt32 => (32, false),
            Self::UInt64 => (64, false),
            _ => return None,
        })
    }

    /// For an array, the type of its elements.
    pub(crate) const fn element(self) -> Option<Self> {
        Some(match self {
            Self::Int8Array => Self::Int8,
            Self::Int16Array => Self::Int16,
            Self::Int32Array => Self::Int32,
            Self::Int64Array => Self::Int64,
            Self::UInt8Array => Self::UInt8,
            Self::UInt16Array => Self::UInt16,
            Self::UInt32Array => Self::UInt32,
            Self::UInt64Array => Self::UInt64,
            Self::FloatArray => Self::Float,
            Self::DoubleArray => Self::Double,
            Self::BooleanArray => Self::Boolean,
            Self::StringArray => Self::String,
            Self::DateTimeArray => Self::DateTime,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_table() {
        for (code, data_type) in (1..).zip(DataType::ALL) {
            assert_eq!((data_type.code(), DataType::of_code(code)), (code, Some(data_type)));
        }
        assert_eq!(DataType::Int8.code(), 1);
        assert_eq!(DataType::Double.code(), 10);
        assert_eq!(DataType::PropertySetList.code(), 21);
        assert_eq!(DataType::DateTimeArray.code(), 34);
        assert_eq!([0, 35, u32::MAX].map(DataType::of_code), [None; 3]);
    }
}
