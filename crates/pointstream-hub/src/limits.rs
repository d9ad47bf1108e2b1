use std::time::Duration;

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
    /// The items of a topic; a publication that would bring more is refused.
    pub items_max: usize,
    /// The views of a topic, besides the topic as a whole. Another one takes the place of the one
    /// that nobody has followed for the longest time, and is refused if all are followed.
    pub views_max: usize,
    /// How long a view that nobody follows is kept for who comes back.
    pub view_linger: Duration,
    /// How often who asks for it is told what its document should be.
    pub monitor_period: Duration,
    /// The keys of publications that a topic keeps; the oldest goes first, and a publication that
    /// comes again after that is taken again.
    pub idempotency_keys_max: usize,
}

impl Default for Limits {
    /// 1,024 topics; for each of them 10,000 subscribers, a document of 16 MiB, 256 events, 100,000
    /// items, 64 views that linger for 30 s, digests every 10 s,
    /// 256 keys of publications.
    fn default() -> Self {
        Self {
            topics_max: 1_024,
            subscribers_max: 10_000,
            document_bytes_max: 16 << 20,
            ring_events_max: 256,
            items_max: 100_000,
            views_max: 64,
            view_linger: Duration::from_secs(30),
            monitor_period: Duration::from_secs(10),
            idempotency_keys_max: 256,
        }
    }
}
