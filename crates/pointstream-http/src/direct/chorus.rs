//! Subscribers of one view who have all there is, sent what comes by one loop.
//!
//! To wake a thousand tasks for an event of two hundred bytes, each of which asks for it, puts a frame
//! around it and waits again, costs a quarter of what sending it costs. So a [`Writer`] that has nothing
//! to write joins a [`Chorus`], whose members share one cursor: an event is asked for and framed once,
//! and then the loop does little but write. Who cannot take all of it at once is handed back, with what
//! is left and the cursor, and goes on alone until it has caught up.
//!
//! [`Writer`]: super::Writer

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::{fmt, io, mem};

use bytes::Bytes;
use pointstream_hub::{Cursor, Event, Lead, Mode, Subscription, TopicId};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::chunk::{Batch, COPIED_BYTES_MAX, Chunk};
use crate::sse::{COMMENT, Heartbeat, Session, text_of};

/// The choruses of a server.
#[derive(Default)]
pub(crate) struct Choruses {
    all: Mutex<BTreeMap<Key, Vec<Arc<Chorus>>>>,
    loops: Mutex<JoinSet<()>>,
}

/// What the members of a chorus have in common: topic, view, mode.
type Key = (TopicId, u32, bool);

/// One loop and those it writes to.
struct Chorus {
    state: Mutex<State>,
}

struct State {
    /// Some of them may have left. Empty while the loop has them.
    members: Vec<Arc<Member>>,
    /// Those that have not.
    live: usize,
    /// Where all of them stand, or will when the loop has written to them.
    at: Cursor,
    /// Nobody joins any more.
    ended: bool,
    waker: Option<Waker>,
}

struct Member {
    session: Session,
    inner: Mutex<Inner>,
}

struct Inner {
    part: Part,
    /// Wakes the subscriber's own task.
    waker: Option<Waker>,
}

enum Part {
    /// The loop writes to it, and only whole batches.
    In(TcpStream),
    Back(Box<Back>),
    Out,
}

/// A member that goes on alone.
pub(super) struct Back {
    pub(super) stream: TcpStream,
    /// What it has not taken.
    pub(super) batch: Batch,
    /// Where it stands once it has.
    pub(super) cursor: Cursor,
}

/// A subscriber's place in a chorus, which it leaves by dropping it.
pub(super) struct Place {
    choruses: Arc<Choruses>,
    chorus: Arc<Chorus>,
    member: Arc<Member>,
}

/// Who wants to join.
pub(super) struct Joiner<'a> {
    pub(super) stream: TcpStream,
    pub(super) subscription: &'a Subscription,
    pub(super) session: Session,
    /// Wakes the subscriber's own task.
    pub(super) waker: &'a Waker,
}

impl Choruses {
    /// Lets a subscriber join those who stand where it stands; gives the stream back if there is no
    /// such chorus at present and none is to be begun. `heartbeat` is for the loop that begins.
    pub(super) fn join(
        self: &Arc<Self>,
        joiner: Joiner<'_>,
        heartbeat: impl FnOnce() -> Heartbeat,
    ) -> Result<Place, TcpStream> {
        let subscription = joiner.subscription;
        let at = subscription.cursor();
        if !at.is_shareable() {
            return Err(joiner.stream);
        }
        let key = (subscription.topic().clone(), at.view(), at.mode() == Mode::Patch);
        let mut all = lock(&self.all);
        let choruses = all.entry(key).or_default();
        let mut elsewhere = false;
        for chorus in choruses.iter() {
            let mut state = lock(&chorus.state);
            if state.has_room() && state.at == at {
                let member = joiner.into_member();
                state.enter(Arc::clone(&member));
                let (choruses, chorus) = (Arc::clone(self), Arc::clone(chorus));
                return Ok(Place { choruses, chorus, member });
            }
            elsewhere |= state.has_room();
        }
        // One that is elsewhere is about to come here, or the other way round.
        let lead = if elsewhere { None } else { subscription.lead() };
        let Some(lead) = lead else { return Err(joiner.stream) };
        let member = joiner.into_member();
        let mut state = State { members: Vec::new(), live: 0, at, ended: false, waker: None };
        state.enter(Arc::clone(&member));
        let chorus = Arc::new(Chorus { state: Mutex::new(state) });
        choruses.push(Arc::clone(&chorus));
        drop(all);
        self.begin(Loop { chorus: Arc::clone(&chorus), lead, heartbeat: heartbeat() });
        Ok(Place { choruses: Arc::clone(self), chorus, member })
    }

    /// Ends all loops at once.
    pub(crate) fn end(&self) {
        lock(&self.loops).abort_all();
    }

    fn begin(&self, mut of: Loop) {
        let mut loops = lock(&self.loops);
        while loops.try_join_next().is_some() {}
        loops.spawn(poll_fn(move |cx| of.poll(cx)));
    }

    /// Forgets the choruses that have ended.
    fn tidy(&self) {
        lock(&self.all).retain(|_, choruses| {
            choruses.retain(|chorus| !lock(&chorus.state).ended);
            !choruses.is_empty()
        });
    }
}

impl fmt::Debug for Choruses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Choruses").finish_non_exhaustive()
    }
}

impl State {
    const fn has_room(&self) -> bool {
        !self.ended && self.live < MEMBERS_MAX
    }

    fn enter(&mut self, member: Arc<Member>) {
        if self.members.len() >= 2 * MEMBERS_MAX {
            // Where nothing is sent, nobody else notices who has left.
            self.members.retain(|member| matches!(lock(&member.inner).part, Part::In(_)));
        }
        self.members.push(member);
        self.live += 1;
    }

    /// Notes that so many have gone; gives whom to wake if nobody is left.
    fn leave(&mut self, count: usize) -> Option<Waker> {
        self.live -= count;
        self.ended |= self.live == 0;
        if self.ended { self.waker.take() } else { None }
    }
}

impl Joiner<'_> {
    fn into_member(self) -> Arc<Member> {
        let inner = Inner { part: Part::In(self.stream), waker: Some(self.waker.clone()) };
        Arc::new(Member { session: self.session, inner: Mutex::new(inner) })
    }
}

impl Member {
    /// Writes a batch, which `copied` has as one piece if it is short. What is not taken at once goes
    /// back to the subscriber.
    fn send(&self, batch: &Batch, copied: Option<&[u8]>, cursor: Cursor) -> Sent {
        let mut inner = lock(&self.inner);
        let Part::In(stream) = &inner.part else { return Sent::Left };
        let wrote = match copied {
            Some(bytes) => write(stream, bytes),
            None => batch.write(|slices| stream.try_write_vectored(slices)),
        };
        // What is wrong with a stream, the subscriber finds out by its own write.
        let count = wrote.unwrap_or(0);
        if count == batch.len() {
            return Sent::All;
        }
        let mut left = batch.clone();
        left.on_written(count);
        let waker = inner.hand_back(left, cursor);
        drop(inner);
        waker.into_iter().for_each(Waker::wake);
        Sent::Back
    }

    fn hand_back(&self, cursor: Cursor) -> Sent {
        let mut inner = lock(&self.inner);
        if !matches!(inner.part, Part::In(_)) {
            return Sent::Left;
        }
        let waker = inner.hand_back(Batch::default(), cursor);
        drop(inner);
        waker.into_iter().for_each(Waker::wake);
        Sent::Back
    }
}

impl Inner {
    fn hand_back(&mut self, batch: Batch, cursor: Cursor) -> Option<Waker> {
        if let Part::In(stream) = mem::replace(&mut self.part, Part::Out) {
            self.part = Part::Back(Box::new(Back { stream, batch, cursor }));
        }
        self.waker.take()
    }
}

/// What became of a member.
#[derive(Clone, Copy, PartialEq)]
enum Sent {
    All,
    Back,
    Left,
}

impl Place {
    /// Reads what the client sends while others write to it; ready when the subscriber is to go on
    /// alone.
    pub(super) fn poll(
        &self,
        cx: &mut Context<'_>,
        read: impl FnOnce(&mut TcpStream, &mut Context<'_>) -> io::Result<()>,
    ) -> Poll<io::Result<Back>> {
        let mut inner = lock(&self.member.inner);
        match &mut inner.part {
            Part::In(stream) => {
                read(stream, cx)?;
                if !inner.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                    inner.waker = Some(cx.waker().clone());
                }
                Poll::Pending
            }
            part => match mem::replace(part, Part::Out) {
                Part::Back(back) => Poll::Ready(Ok(*back)),
                _ => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            },
        }
    }

    /// Leaves at the end of an event.
    pub(super) fn leave(&self) -> Option<TcpStream> {
        let part = mem::replace(&mut lock(&self.member.inner).part, Part::Out);
        let count = usize::from(matches!(part, Part::In(_)));
        let (waker, ended) = {
            let mut state = lock(&self.chorus.state);
            (state.leave(count), state.ended)
        };
        waker.into_iter().for_each(Waker::wake);
        if ended {
            self.choruses.tidy();
        }
        match part {
            Part::In(stream) => Some(stream),
            Part::Back(back) => Some(back.stream),
            Part::Out => None,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(self.leave());
    }
}

/// Reads for a chorus and writes to its members.
struct Loop {
    chorus: Arc<Chorus>,
    lead: Lead,
    heartbeat: Heartbeat,
}

/// What is written in one pass.
enum Verse {
    /// The same to all.
    Same(Batch),
    /// To each with its own session: there is a fault among the events.
    Own(Vec<Event>),
    /// Nothing more: the topic has ended.
    End,
}

impl Loop {
    /// Writes one verse to all members, and then lets others do what they have to; ready when nobody is
    /// left.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Self { chorus, lead, heartbeat } = self;
        let (mut members, verse) = {
            let mut state = lock(&chorus.state);
            if state.ended {
                return Poll::Ready(());
            }
            let Some(verse) = Verse::next(lead, heartbeat, cx, state.live) else {
                state.waker = Some(cx.waker().clone());
                return Poll::Pending;
            };
            // Who joins from here on has what is being written.
            state.at = lead.cursor();
            state.ended = matches!(verse, Verse::End);
            (mem::take(&mut state.members), verse)
        };
        let back = verse.write(&mut members, lead.cursor());
        let mut state = lock(&chorus.state);
        members.append(&mut state.members);
        state.members = members;
        // This is the one who would be woken.
        drop(state.leave(back));
        drop(state);
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Verse {
    /// What there is to write at present to so many members.
    fn next(
        lead: &mut Lead,
        heartbeat: &mut Heartbeat,
        cx: &mut Context<'_>,
        readers: usize,
    ) -> Option<Self> {
        let mut events = Vec::new();
        let mut len = 0;
        while events.len() < Batch::CHUNKS_MAX && len < Batch::BYTES {
            match lead.poll_event(cx, readers) {
                Poll::Ready(Some(Ok(event))) => {
                    len += event.sse().len();
                    events.push(event);
                }
                Poll::Ready(_) if events.is_empty() => return Some(Self::End),
                _ => break,
            }
        }
        if events.is_empty() {
            if !heartbeat.poll_due(cx) {
                return None;
            }
            heartbeat.on_write();
            return Some(Self::Same(batch_of([Bytes::from_static(COMMENT)])));
        }
        heartbeat.on_write();
        if events.iter().any(|event| event.fault().is_some()) {
            return Some(Self::Own(events));
        }
        Some(Self::Same(batch_of(events.iter().map(|event| event.sse().clone()))))
    }

    /// Writes to all members and keeps those that stay; gives how many are to go on alone from
    /// `cursor`.
    fn write(&self, members: &mut Vec<Arc<Member>>, cursor: Cursor) -> usize {
        let mut buffer = [0; COPIED_BYTES_MAX];
        let copied = match self {
            Self::Same(batch) => batch.copy(&mut buffer),
            _ => None,
        };
        let mut back = 0;
        members.retain(|member| {
            let sent = match self {
                Self::Same(batch) => member.send(batch, copied, cursor),
                Self::Own(events) => {
                    let texts = events.iter().map(|event| text_of(event, member.session));
                    member.send(&batch_of(texts), None, cursor)
                }
                Self::End => member.hand_back(cursor),
            };
            back += usize::from(sent == Sent::Back);
            sent == Sent::All
        });
        back
    }
}

/// Writes as much as the system takes at once. What the runtime knows of the socket is looked at when
/// the socket has taken less, and not beside each of a thousand writes.
#[cfg(target_os = "linux")]
fn write(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    /// A peer that has closed is an error and no signal, as with the standard library.
    const MSG_NOSIGNAL: i32 = 0x4000;
    socket2::SockRef::from(stream).send_with_flags(bytes, MSG_NOSIGNAL)
}

#[cfg(not(target_os = "linux"))]
fn write(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    stream.try_write(bytes)
}

fn batch_of(pieces: impl IntoIterator<Item = Bytes>) -> Batch {
    let mut batch = Batch::default();
    for piece in pieces {
        batch.push(Chunk::framed(piece));
    }
    batch
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// So many that writing to all of them, which nothing else of the loop's thread interrupts, takes a
/// millisecond or less; more subscribers make more choruses.
const MEMBERS_MAX: usize = 128;
