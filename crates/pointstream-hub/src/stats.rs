use std::time::Duration;

/// What happened on a topic since it was created. All are counts that only grow.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Publications and edits that were accepted.
    pub publications: u64,
    /// Those of them that changed nothing, and so were sent to nobody.
    pub unchanged: u64,
    /// Changes that became a patch.
    pub patches: u64,
    /// Changes that became a whole document, the first one included.
    pub replacements: u64,
    /// The bytes of the whole document after each change: what plain publishing would send to one
    /// subscriber.
    pub document_bytes: u64,
    /// The bytes of what each change became: what one subscriber is sent. The difference to
    /// `document_bytes` is what the patches save.
    pub event_bytes: u64,
    /// Events handed to subscribers, whole documents included.
    pub delivered: u64,
    /// The bytes of those, with their framing.
    pub delivered_bytes: u64,
    /// How often a subscriber that lagged was given the present document instead.
    pub conflations: u64,
    /// The changes that those subscribers did not see one by one.
    pub skipped: u64,
    /// Subscribers that came back with a revision and went on from it without a whole document.
    pub resumes_hit: u64,
    /// Subscribers that came back with a revision and had to be given the whole document.
    pub resumes_missed: u64,
    /// How often its source was asked, where it has one that is.
    pub fetches: u64,
    /// How often the source said that nothing has changed.
    pub fetches_unchanged: u64,
    /// How often there was no answer, or none that could be used.
    pub fetches_failed: u64,
    /// The microseconds that the source took to answer, all together.
    pub fetch_micros: u64,
}

/// What came of asking a topic's source.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Fetched {
    /// A document, or something on the way to one.
    Answered,
    /// That nothing has changed.
    Unchanged,
    /// Nothing that could be used.
    Failed,
}

impl Stats {
    pub(crate) fn on_fetch(&mut self, fetched: Fetched, took: Duration) {
        self.fetches += 1;
        self.fetches_unchanged += u64::from(fetched == Fetched::Unchanged);
        self.fetches_failed += u64::from(fetched == Fetched::Failed);
        self.fetch_micros += u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    }
}
