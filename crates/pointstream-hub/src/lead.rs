use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use pointstream_time::Instant;

use crate::hub::Shared;
use crate::{Cursor, Ended, Event, Hub, Topic};

/// One cursor for many subscribers of one view who all have the same state: what it is given, each of
/// them is to be sent.
///
/// A thousand subscribers who have all there is need not be woken and ask each for itself. Whoever
/// sends to them puts those together whose cursors are equal to a lead's, has them
/// [`rest`](crate::Subscription::rest), and lets one that cannot keep up
/// [`go_on_from`](crate::Subscription::go_on_from) the lead's cursor by itself. A lead is no
/// subscriber: it counts nowhere, but what it is given counts for its readers.
///
/// ```
/// use std::task::{Context, Poll, Waker};
/// use pointstream_hub::{Hub, Limits, Mode, TopicOptions};
/// use pointstream_time::Seed;
///
/// let hub = Hub::new(Limits::default(), Seed::new(1));
/// hub.create("plant", TopicOptions::text())?;
/// hub.publish("plant", b"[1]")?;
/// let mut a = hub.subscribe("plant", Mode::Patch, None)?;
/// let mut b = hub.subscribe("plant", Mode::Patch, None)?;
/// (a.try_next(), b.try_next());
/// let mut lead = a.lead().ok_or("it has a document")?;
/// assert_eq!(b.cursor(), lead.cursor());
/// hub.publish("plant", b"[2]")?;
/// let cx = Context::from_waker(Waker::noop());
/// assert!(matches!(lead.poll_event(&cx, 2), Poll::Ready(Some(Ok(_)))));
/// b.go_on_from(lead.cursor());
/// assert!(b.try_next().is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Lead {
    hub: Hub,
    shared: Arc<Shared>,
    slot: usize,
    cursor: Cursor,
    ended: bool,
}

impl Lead {
    pub(crate) const fn new(hub: Hub, shared: Arc<Shared>, slot: usize, cursor: Cursor) -> Self {
        Self { hub, shared, slot, cursor, ended: false }
    }

    /// The next event, which each of so many readers is to be sent; an error once when the topic has
    /// ended, then none. The waker is woken at the next change of the topic.
    pub fn poll_event(
        &mut self,
        cx: &Context<'_>,
        readers: usize,
    ) -> Poll<Option<Result<Event, Ended>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let mut state = self.shared.lock();
        if state.removed {
            self.ended = true;
            return Poll::Ready(Some(Err(Ended::Removed)));
        }
        match state.topic.next_for(&mut self.cursor, readers as u64) {
            Some(event) => Poll::Ready(Some(Ok(event))),
            None => {
                state.leads.wait(self.slot, cx.waker());
                Poll::Pending
            }
        }
    }

    /// The present time, by the clock that events are [`published`](Event::published) by.
    pub fn now(&self) -> Instant {
        self.hub.now()
    }

    /// Where it stands.
    pub const fn cursor(&self) -> Cursor {
        self.cursor
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        let wakers = {
            let mut state = self.shared.lock();
            state.leads.release(self.slot);
            let detach = |topic: &mut Topic| topic.detach_lead(&self.cursor);
            self.hub.on_detach(&self.shared, &mut state, detach)
        };
        wakers.into_iter().for_each(std::task::Waker::wake);
    }
}

impl fmt::Debug for Lead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lead")
            .field("topic", self.shared.id())
            .field("cursor", &self.cursor)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use pointstream_patch::{Limits as PatchLimits, apply};
    use pointstream_time::Seed;
    use proptest::prelude::*;

    use super::*;
    use crate::{EventKind, Limits, Mode, Subscription, TopicOptions};

    fn hub(ring_events_max: usize) -> Hub {
        let hub = Hub::new(Limits { ring_events_max, ..Limits::default() }, Seed::new(5));
        hub.create("a", TopicOptions::text()).unwrap();
        hub
    }

    fn publish(hub: &Hub, n: u64) {
        let text = format!(r#"{{"n":{n},"pad":"{}"}}"#, "x".repeat(200));
        hub.publish("a", text.as_bytes()).unwrap();
    }

    fn read(lead: &mut Lead, readers: usize) -> Option<Result<Event, Ended>> {
        match lead.poll_event(&Context::from_waker(Waker::noop()), readers) {
            Poll::Ready(event) => event,
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_lead_counts_nowhere_but_for_its_readers() {
        let hub = hub(256);
        publish(&hub, 1);
        let mut one = hub.subscribe("a", Mode::Patch, None).unwrap();
        assert!(one.lead().is_none(), "it has no document so far");
        one.try_next();
        let mut lead = one.lead().unwrap();
        assert_eq!(hub.topic("a").unwrap().subscribers, 1);
        publish(&hub, 2);
        let event = read(&mut lead, 7).unwrap().unwrap();
        assert_eq!(event.kind(), EventKind::Patch);
        let stats = hub.topic("a").unwrap().stats;
        assert_eq!((stats.delivered, stats.patches), (1 + 7, 1));
        let document = hub.snapshot("a").unwrap().unwrap().json.len() as u64;
        assert!(stats.delivered_bytes > 7 * event.sse().len() as u64 + document);
        one.go_on_from(lead.cursor());
        assert!(one.try_next().is_none());
        let other = hub.subscribe("a", Mode::Snapshot, None).unwrap();
        one.go_on_from(other.cursor());
        assert!(one.try_next().is_none(), "a cursor of another mode is left alone");
        hub.remove("a").unwrap();
        assert_eq!(read(&mut lead, 1).unwrap().err(), Some(Ended::Removed));
        assert!(read(&mut lead, 1).is_none());
        assert!(one.lead().is_none());
    }

    #[test]
    fn a_lead_keeps_its_view() {
        let hub = Hub::new(Limits { views_max: 1, ..Limits::default() }, Seed::new(5));
        hub.create("a", TopicOptions::text()).unwrap();
        hub.publish("a", b"{\"x\":1,\"y\":1}").unwrap();
        let part = |pointer: &str| {
            let mut wanted = crate::Subscribe::new(Mode::Patch, None);
            wanted.view = crate::ViewSpec::default().pointer(pointer).unwrap();
            hub.subscribe_with("a", &wanted)
        };
        let mut one = part("/x").unwrap();
        one.try_next();
        let mut lead = one.lead().unwrap();
        drop(one);
        assert!(part("/y").is_err(), "the only view is in use");
        hub.publish("a", b"{\"x\":2,\"y\":1}").unwrap();
        assert_eq!(read(&mut lead, 1).unwrap().unwrap().body(), "2");
        drop(lead);
        assert!(part("/y").is_ok());
    }

    #[test]
    fn a_subscriber_that_rests_is_not_woken() {
        struct Woken(std::sync::atomic::AtomicUsize);
        impl std::task::Wake for Woken {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
        }
        let hub = hub(256);
        publish(&hub, 1);
        let (own, shared) = (Arc::new(Woken(0.into())), Arc::new(Woken(0.into())));
        let count = |woken: &Woken| woken.0.load(std::sync::atomic::Ordering::SeqCst);
        let (own_waker, shared_waker) = (Arc::clone(&own).into(), Arc::clone(&shared).into());
        let mut one = hub.subscribe("a", Mode::Patch, None).unwrap();
        one.try_next();
        assert!(one.poll_event(&Context::from_waker(&own_waker)).is_pending());
        let mut lead = one.lead().unwrap();
        assert!(lead.poll_event(&Context::from_waker(&shared_waker), 1).is_pending());
        one.rest();
        publish(&hub, 2);
        assert_eq!((count(&own), count(&shared)), (0, 1));
    }

    #[derive(Clone, Debug)]
    enum Op {
        Publish(u64),
        Fault(bool),
        /// One that is alone reads so many events.
        Read(usize, usize),
        Join(usize),
        Leave(usize),
        /// The lead reads so many events for its members.
        Lead(usize),
    }

    struct Client {
        subscription: Subscription,
        document: String,
        together: bool,
        taken: u64,
        faults: u64,
    }

    impl Client {
        fn take(&mut self, event: &Event) {
            self.taken += 1;
            let body = String::from_utf8(event.body().to_vec()).unwrap();
            match event.kind() {
                EventKind::Data => self.document = body,
                EventKind::Patch => {
                    let (before, limits) = (self.document.as_bytes(), PatchLimits::default());
                    self.document = apply(before, body.as_bytes(), &limits).unwrap();
                }
                _ => self.faults += 1,
            }
        }
    }

    fn ops() -> impl Strategy<Value = Vec<Op>> {
        let client = 0..CLIENTS;
        let op = prop_oneof![
            4 => (0_u64..1_000).prop_map(Op::Publish),
            1 => any::<bool>().prop_map(Op::Fault),
            4 => (client.clone(), 1_usize..4).prop_map(|(at, count)| Op::Read(at, count)),
            3 => client.clone().prop_map(Op::Join),
            1 => client.prop_map(Op::Leave),
            4 => (1_usize..4).prop_map(Op::Lead),
        ];
        prop::collection::vec(op, 1..120)
    }

    const CLIENTS: usize = 4;

    proptest! {
        #[test]
        fn who_joins_and_leaves_a_lead_misses_nothing(ring in 1_usize..6, ops in ops()) {
            let hub = hub(ring);
            publish(&hub, 1_000);
            let mut clients: Vec<_> = (0..CLIENTS)
                .map(|_| Client {
                    subscription: hub.subscribe("a", Mode::Patch, None).unwrap(),
                    document: String::new(),
                    together: false,
                    taken: 0,
                    faults: 0,
                })
                .collect();
            let mut first = hub.subscribe("a", Mode::Patch, None).unwrap();
            first.try_next();
            let mut lead = first.lead().unwrap();
            let taken_by_first = 1;
            for op in ops.into_iter().chain([Op::Lead(usize::MAX)]) {
                match op {
                    Op::Publish(n) => publish(&hub, n),
                    Op::Fault(is) => {
                        let fault = crate::Fault::new(crate::ErrorCode::Source, "It is ill.");
                        hub.set_fault("a", is.then_some(fault)).unwrap();
                    }
                    Op::Read(at, count) if !clients[at].together => {
                        for _ in 0..count {
                            let Some(event) = clients[at].subscription.try_next() else { break };
                            clients[at].take(&event.unwrap());
                        }
                    }
                    Op::Join(at) => {
                        let same = clients[at].subscription.cursor() == lead.cursor();
                        clients[at].together |= same;
                    }
                    Op::Leave(at) if clients[at].together => {
                        clients[at].together = false;
                        clients[at].subscription.go_on_from(lead.cursor());
                    }
                    Op::Lead(count) => {
                        let readers = clients.iter().filter(|client| client.together).count();
                        for _ in 0..count {
                            let Some(event) = read(&mut lead, readers) else { break };
                            let event = event.unwrap();
                            for client in clients.iter_mut().filter(|client| client.together) {
                                client.take(&event);
                            }
                        }
                    }
                    Op::Read(..) | Op::Leave(_) => {}
                }
            }
            let expected = hub.snapshot("a").unwrap().unwrap().json;
            for client in &mut clients {
                if client.together {
                    client.subscription.go_on_from(lead.cursor());
                    prop_assert!(client.subscription.try_next().is_none());
                }
                while let Some(event) = client.subscription.try_next() {
                    client.take(&event.unwrap());
                }
                prop_assert_eq!(client.document.as_bytes(), &expected[..]);
            }
            let taken: u64 = clients.iter().map(|client| client.taken).sum();
            prop_assert_eq!(hub.topic("a").unwrap().stats.delivered, taken + taken_by_first);
        }
    }
}
