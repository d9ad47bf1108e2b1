/// Why bytes are no payload.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// It ends within a field.
    #[error("the payload ends within a field")]
    Truncated,
    /// A field without a number, or with one that does not fit.
    #[error("a field has no number")]
    Tag,
    /// A field of another wire type than its number has, or a group.
    #[error("a field has the wrong wire type")]
    WireType,
    /// A number of more than 64 bits.
    #[error("a number has more than 64 bits")]
    Varint,
    /// A text is not UTF-8.
    #[error("a text is not UTF-8")]
    Utf8,
    /// A set of properties has more keys than values or fewer.
    #[error("a set of properties has as many keys as values")]
    Properties,
    /// The payload is longer than allowed.
    #[error("the payload has more than {0} bytes")]
    TooLong(usize),
    /// More metrics, properties, values and rows than allowed.
    #[error("the payload has more than {0} items")]
    TooMany(usize),
    /// Templates or property sets within one another more than allowed.
    #[error("the payload is nested more than {0} deep")]
    TooDeep(usize),
}
