use core::fmt::{self, Write as _};
use core::future::poll_fn;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Poll, Waker};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

/// What a connector and its device say to one another, kept while somebody wants to see it.
///
/// Off until it is switched on; then the last [`ENTRIES_MAX`](Self::ENTRIES_MAX) entries are kept,
/// and dropped when it is switched off. Clones are the same trace. While it is off an entry costs
/// one load of a flag: what it would say is not even made.
#[derive(Clone, Debug, Default)]
pub struct Trace(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    on: AtomicBool,
    ring: Mutex<Ring>,
}

#[derive(Debug, Default)]
struct Ring {
    entries: VecDeque<TraceEntry>,
    /// The number of the entry that comes next. It goes on when the trace is cleared.
    next: u64,
    /// Counts everything that happens to the ring.
    version: u64,
    /// Who waits for the next of it.
    waiting: Vec<Waker>,
}

impl Ring {
    /// Something happened: whoever waits looks again.
    fn change(&mut self) -> Vec<Waker> {
        self.version += 1;
        core::mem::take(&mut self.waiting)
    }

    /// Takes note of who waits. Among very many the first one looks again too early, which is harmless.
    fn wait(&mut self, waker: &Waker) {
        if self.waiting.iter().any(|other| other.will_wake(waker)) {
            return;
        }
        if self.waiting.len() == WAITING_MAX {
            self.waiting.swap_remove(0).wake();
        }
        self.waiting.push(waker.clone());
    }
}

/// How many may wait for one trace.
const WAITING_MAX: usize = 256;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TraceEntry {
    /// Its number: each entry has one more than the one before.
    pub seq: u64,
    /// When.
    pub ts: Timestamp,
    /// What sort of thing it is.
    pub kind: TraceKind,
    /// What it is, for people; at most [`Trace::TEXT_LEN_MAX`] bytes.
    pub text: Box<str>,
    /// The bytes on the wire, the first [`Trace::BYTES_LEN_MAX`] of them.
    pub bytes: Box<[u8]>,
    /// How many bytes there were.
    pub len: usize,
}

/// What sort of thing a trace shows, by the names of Haxall's `connTraceType`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TraceKind {
    /// The session: opening, open, closed, and why.
    Phase,
    /// Something was asked of the connector.
    Dispatch,
    /// The driver began a poll.
    Poll,
    /// Bytes or a message went to the device.
    Req,
    /// Bytes or a message came from the device as an answer.
    Res,
    /// Something came from the device unasked.
    Event,
    /// Anything else that is worth a line.
    Log,
}

impl TraceKind {
    /// The name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Phase => "phase",
            Self::Dispatch => "dispatch",
            Self::Poll => "poll",
            Self::Req => "req",
            Self::Res => "res",
            Self::Event => "event",
            Self::Log => "log",
        }
    }
}

/// What a reader has not seen yet.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct TraceBatch {
    /// The entries, oldest first.
    pub entries: Vec<TraceEntry>,
    /// The number to ask from next time.
    pub next: u64,
    /// How many entries went by unseen, since the ring is bounded or was cleared.
    pub missed: u64,
    /// Whether the trace is on.
    pub on: bool,
}

impl Trace {
    /// How many entries are kept.
    pub const ENTRIES_MAX: usize = 500;

    /// How many bytes of a message are kept.
    pub const BYTES_LEN_MAX: usize = 1_024;

    /// How long a text may be, in bytes.
    pub const TEXT_LEN_MAX: usize = 512;

    /// A trace that is off.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether it is on.
    pub fn is_on(&self) -> bool {
        self.0.on.load(Ordering::Relaxed)
    }

    /// Switches it on, keeping what is there, or off, dropping all of it.
    pub fn switch(&self, on: bool) {
        self.0.on.store(on, Ordering::Relaxed);
        if on {
            self.tell();
        } else {
            self.clear();
        }
    }

    /// Drops what is there.
    pub fn clear(&self) {
        self.ring().entries = VecDeque::new();
        self.tell();
    }

    /// Adds an entry, if it is on. `text` is written only then.
    pub fn push(&self, kind: TraceKind, text: impl fmt::Display) {
        if self.is_on() {
            self.add(kind, &text, &[]);
        }
    }

    /// Adds an entry with the bytes that went over the wire, if it is on. `text` says what they
    /// mean.
    pub fn bytes(&self, kind: TraceKind, text: impl fmt::Display, bytes: &[u8]) {
        if self.is_on() {
            self.add(kind, &text, bytes);
        }
    }

    /// The entries from the number `seq` on.
    pub fn since(&self, seq: u64) -> TraceBatch {
        let on = self.is_on();
        let ring = self.ring();
        let entries: Vec<_> =
            ring.entries.iter().filter(|entry| entry.seq >= seq).cloned().collect();
        let first = entries.first().map_or(ring.next, |entry| entry.seq);
        TraceBatch { entries, next: ring.next, missed: first.saturating_sub(seq), on }
    }

    /// Waits until there is an entry of the number `seq`, or the trace is switched off or cleared.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: nothing is taken.
    pub async fn changed(&self, seq: u64) {
        let mut seen = None;
        poll_fn(|cx| {
            let mut ring = self.ring();
            if ring.next > seq || seen.is_some_and(|version| version != ring.version) {
                return Poll::Ready(());
            }
            seen = Some(ring.version);
            ring.wait(cx.waker());
            Poll::Pending
        })
        .await;
    }

    fn tell(&self) {
        let waiting = self.ring().change();
        waiting.into_iter().for_each(Waker::wake);
    }

    #[cold]
    fn add(&self, kind: TraceKind, text: &dyn fmt::Display, bytes: &[u8]) {
        let mut line = Line(String::new());
        // A text that is too long ends at the limit.
        let _ = write!(line, "{text}");
        let kept = bytes.get(..Self::BYTES_LEN_MAX).unwrap_or(bytes);
        let mut ring = self.ring();
        // Switched off meanwhile: what was dropped stays dropped.
        if !self.is_on() {
            return;
        }
        if ring.entries.len() == Self::ENTRIES_MAX {
            ring.entries.pop_front();
        }
        let seq = ring.next;
        ring.next += 1;
        let (text, bytes, len) = (line.0.into(), kept.into(), bytes.len());
        ring.entries.push_back(TraceEntry { seq, ts: Timestamp::now(), kind, text, bytes, len });
        let waiting = ring.change();
        drop(ring);
        waiting.into_iter().for_each(Waker::wake);
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.0.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Two are equal if they are the same trace.
impl PartialEq for Trace {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// A text that takes no more than it may.
struct Line(String);

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut room = Trace::TEXT_LEN_MAX - self.0.len();
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        while !text.is_char_boundary(room) {
            room -= 1;
        }
        self.0.push_str(&text[..room]);
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use core::future::Future;
    use core::pin::pin;
    use core::task::Context;

    use super::*;

    /// A text that must not be made.
    struct Never;

    impl fmt::Display for Never {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("the text of an entry that nobody wants was made")
        }
    }

    #[test]
    fn nothing_is_made_or_kept_while_it_is_off() {
        let trace = Trace::new();
        trace.push(TraceKind::Log, Never);
        trace.bytes(TraceKind::Req, Never, &[1, 2]);
        assert_eq!(trace.since(0), TraceBatch::default());
    }

    #[test]
    fn the_last_entries_are_kept_and_what_a_slow_reader_missed_is_counted() {
        let trace = Trace::new();
        trace.switch(true);
        for at in 0..Trace::ENTRIES_MAX + 3 {
            trace.push(TraceKind::Log, format_args!("entry {at}"));
        }
        let batch = trace.since(0);
        assert_eq!((batch.entries.len(), batch.missed, batch.next), (Trace::ENTRIES_MAX, 3, 503));
        assert_eq!(&*batch.entries[0].text, "entry 3");
        assert_eq!(trace.since(503).entries, []);
        trace.switch(false);
        assert_eq!((trace.since(501).entries.len(), trace.since(501).missed), (0, 2));
        trace.switch(true);
        trace.push(TraceKind::Log, "again");
        assert_eq!(trace.since(503).entries[0].seq, 503, "numbers go on");
    }

    #[test]
    fn texts_and_bytes_are_cut_at_their_limits() {
        let trace = Trace::new();
        trace.switch(true);
        let text = "é".repeat(Trace::TEXT_LEN_MAX);
        trace.bytes(TraceKind::Res, &text[..], &[7; Trace::BYTES_LEN_MAX + 1]);
        let entry = trace.since(0).entries.remove(0);
        assert_eq!(entry.text.len(), Trace::TEXT_LEN_MAX);
        assert_eq!(
            (entry.bytes.len(), entry.len),
            (Trace::BYTES_LEN_MAX, Trace::BYTES_LEN_MAX + 1)
        );
    }

    #[test]
    fn a_reader_waits_for_the_entry_that_it_has_not_seen() {
        let trace = Trace::new();
        trace.switch(true);
        let mut cx = Context::from_waker(Waker::noop());
        let mut waiting = pin!(trace.changed(0));
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        trace.push(TraceKind::Log, "first");
        assert!(waiting.as_mut().poll(&mut cx).is_ready());
        assert!(pin!(trace.changed(0)).poll(&mut cx).is_ready());
        let mut waiting = pin!(trace.changed(1));
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        trace.switch(false);
        assert!(waiting.as_mut().poll(&mut cx).is_ready(), "it is told of the end too");
    }

    #[test]
    fn those_who_wait_are_bounded() {
        let trace = Trace::new();
        for _ in 0..=WAITING_MAX {
            let (waker, mut waiting) = (waker(), pin!(trace.changed(0)));
            let mut cx = Context::from_waker(&waker);
            assert!(waiting.as_mut().poll(&mut cx).is_pending());
        }
        assert_eq!(trace.ring().waiting.len(), WAITING_MAX);
    }

    /// A waker that is none of the others.
    fn waker() -> Waker {
        struct Nobody;
        impl std::task::Wake for Nobody {
            fn wake(self: Arc<Self>) {}
        }
        Arc::new(Nobody).into()
    }
}
