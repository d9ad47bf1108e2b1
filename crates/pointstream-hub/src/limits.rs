/// What a hub may grow to. What would pass a limit is refused with an [`Error`](crate::Error) that
/// names it; the ring drops its oldest events instead.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Topics at a time; another one is refused.
    pub topics_max: usize,
    /// Subscribers of one topic at a time; another one is refused.
    pub subscribers_max: usize,
    /// The bytes of a document; a publication or an edit that would pass it is refused.
    pub document_bytes_max: usize,
    /// The events that a topic keeps for those who resume or lag; the oldest goes first.
    pub ring_events_max: usize,
}

impl Default for Limits {
    /// 1,024 topics, 10,000 subscribers a topic, documents of 16 MiB, 256 events.
    fn default() -> Self {
        Self {
            topics_max: 1_024,
            subscribers_max: 10_000,
            document_bytes_max: 16 << 20,
            ring_events_max: 256,
        }
    }
}
