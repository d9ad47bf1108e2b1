use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Wake, Waker};
use std::thread;

use super::*;
use crate::{Ended, Event};

fn hub() -> Hub {
    hub_with(Limits::default())
}

fn hub_with(limits: Limits) -> Hub {
    Hub::new(limits, Seed::new(5))
}

fn publish(hub: &Hub, n: u64) -> Published {
    let text = format!(r#"{{"n":{n},"pad":"{}"}}"#, "x".repeat(200));
    hub.publish("a", text.as_bytes()).unwrap()
}

/// Sixty publications that no other `publisher` makes.
fn publish_all(hub: &Hub, publisher: u64) {
    for n in 0..60 {
        publish(hub, n * 2 + publisher);
    }
}

fn seq(event: Option<Result<Event, Ended>>) -> Option<u64> {
    event.map(|event| event.unwrap().revision().seq)
}

/// Counts how often it was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Woken {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

#[test]
fn topics_are_created_listed_and_removed() {
    let hub = hub();
    assert_eq!(hub.create("b", TopicOptions::text()).unwrap().as_str(), "b");
    hub.create("a", TopicOptions::rows()).unwrap();
    assert_eq!(hub.create("a", TopicOptions::text()), Err(Error::TopicExists));
    assert!(matches!(hub.create("a/b", TopicOptions::text()), Err(Error::TopicId(_))));
    let topics = hub.topics();
    let listed: Vec<_> = topics.iter().map(|topic| (topic.id.as_str(), topic.kind)).collect();
    assert_eq!(listed, [("a", TopicKind::Rows), ("b", TopicKind::Text)]);
    hub.remove("b").unwrap();
    assert_eq!(hub.remove("b"), Err(Error::UnknownTopic));
    assert_eq!(hub.publish("b", b"1"), Err(Error::UnknownTopic));
    assert_eq!(hub.snapshot("b").map(|_| ()), Err(Error::UnknownTopic));
    assert!(hub.subscribe("b", Mode::Patch, None).is_err());
}

#[test]
fn topics_are_taken_up_to_their_greatest_number() {
    let limits = Limits { topics_max: 2, ..Limits::default() };
    let hub = hub_with(limits);
    assert!(hub.create("a", TopicOptions::text()).is_ok());
    assert!(hub.create("b", TopicOptions::text()).is_ok());
    assert_eq!(hub.create("c", TopicOptions::text()), Err(Error::TopicsMax { max: 2 }));
    hub.remove("a").unwrap();
    assert!(hub.create("c", TopicOptions::text()).is_ok());
}

#[test]
fn subscribers_are_taken_up_to_their_greatest_number() {
    let limits = Limits { subscribers_max: 2, ..Limits::default() };
    let hub = hub_with(limits);
    hub.create("a", TopicOptions::text()).unwrap();
    let subscribe = || hub.subscribe("a", Mode::Patch, None);
    let (one, two) = (subscribe().unwrap(), subscribe().unwrap());
    assert_eq!(subscribe().map(|_| ()), Err(Error::SubscribersMax { max: 2 }));
    drop(one);
    assert!(subscribe().is_ok());
    drop(two);
}

#[test]
fn a_topic_that_comes_again_has_another_epoch() {
    let hub = hub();
    hub.create("a", TopicOptions::text()).unwrap();
    let first = publish(&hub, 1).revision;
    hub.remove("a").unwrap();
    hub.create("a", TopicOptions::text()).unwrap();
    let second = publish(&hub, 1).revision;
    assert_eq!((first.seq, second.seq), (1, 1));
    assert_ne!(first.epoch, second.epoch);
    let mut subscription = hub.subscribe("a", Mode::Patch, Some(first)).unwrap();
    assert_eq!(subscription.try_next().unwrap().unwrap().kind(), EventKind::Data);
}

#[test]
fn a_publication_wakes_those_who_wait_and_no_others() {
    let hub = hub();
    hub.create("a", TopicOptions::text()).unwrap();
    let mut waits = hub.subscribe("a", Mode::Patch, None).unwrap();
    let _never_polled = hub.subscribe("a", Mode::Patch, None).unwrap();
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let cx = &mut Context::from_waker(&waker);
    assert!(waits.poll_event(cx).is_pending());
    assert_eq!(publish(&hub, 1).subscribers, 2);
    publish(&hub, 2);
    assert_eq!(woken.count(), 1);
    assert!(waits.poll_event(cx).is_ready());
    assert!(waits.poll_event(cx).is_pending());
    publish(&hub, 2);
    assert_eq!(woken.count(), 1, "nothing changed");
    publish(&hub, 3);
    assert_eq!(woken.count(), 2);
}

#[test]
fn a_removed_topic_ends_its_subscriptions_with_an_error() {
    let hub = hub();
    hub.create("a", TopicOptions::text()).unwrap();
    let mut subscription = hub.subscribe("a", Mode::Patch, None).unwrap();
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    assert!(subscription.poll_event(&Context::from_waker(&waker)).is_pending());
    hub.remove("a").unwrap();
    assert_eq!(woken.count(), 1);
    assert!(matches!(subscription.try_next(), Some(Err(Ended::Removed))));
    assert!(subscription.poll_event(&Context::from_waker(&waker)).is_ready());
    assert!(subscription.try_next().is_none());
    hub.create("a", TopicOptions::text()).unwrap();
    drop(subscription);
    assert_eq!(hub.topic("a").unwrap().subscribers, 0);
}

#[test]
fn demand_tells_the_first_and_the_last_subscriber() {
    let hub = hub();
    hub.create("a", TopicOptions::text()).unwrap();
    let cx = &mut Context::from_waker(Waker::noop());
    let changed = || match hub.poll_demand(cx) {
        Poll::Ready(topic) => Some((hub.topic(topic.as_str()).map(|topic| topic.subscribers)).ok()),
        Poll::Pending => None,
    };
    assert_eq!(changed(), None);
    let one = hub.subscribe("a", Mode::Patch, None).unwrap();
    assert_eq!(changed(), Some(Some(1)));
    let two = hub.subscribe("a", Mode::Patch, None).unwrap();
    drop(one);
    assert_eq!(changed(), None);
    drop(two);
    assert_eq!(changed(), Some(Some(0)));
    let _three = hub.subscribe("a", Mode::Patch, None).unwrap();
    assert_eq!(changed(), Some(Some(1)));
    hub.remove("a").unwrap();
    assert_eq!(changed(), Some(None));
    assert_eq!(changed(), None);
}

#[test]
fn demand_wakes_its_waiter() {
    let hub = hub();
    hub.create("a", TopicOptions::text()).unwrap();
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    assert!(hub.poll_demand(&Context::from_waker(&waker)).is_pending());
    drop(hub.subscribe("a", Mode::Patch, None).unwrap());
    assert_eq!(woken.count(), 1);
}

#[test]
fn a_panic_in_an_edit_leaves_the_topic_usable() {
    let hub = hub();
    hub.create("rows", TopicOptions::rows()).unwrap();
    let edit = || hub.edit("rows", |_| panic!("an embedder's mistake"));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(edit)).is_err());
    assert!(hub.edit("rows", |rows| rows.insert("a", "1")).unwrap().0.is_ok());
}

/// Section 11.4 of the hub's specification: attaching is atomic with the topic's state.
#[test]
fn a_subscriber_that_races_a_publisher_sees_a_document_and_then_every_patch() {
    for round in 0..1_000 {
        let hub = hub();
        hub.create("a", TopicOptions::text()).unwrap();
        publish(&hub, 0);
        let last = thread::scope(|scope| {
            let publisher = scope.spawn(|| (1..=5).fold(0, |_, n| publish(&hub, n).revision.seq));
            let mut subscription = hub.subscribe("a", Mode::Patch, None).unwrap();
            let mut seen = seq(subscription.try_next()).unwrap();
            let last = publisher.join().unwrap();
            while let Some(next) = seq(subscription.try_next()) {
                assert_eq!(next, seen + 1, "round {round}");
                seen = next;
            }
            assert_eq!(seen, last);
            last
        });
        assert_eq!(last, 6);
    }
}

/// Section 11.5: two publishers, one total order, the same for all subscribers; none waits for ever.
#[test]
fn publishers_and_waiting_subscribers_agree_on_one_order() {
    let hub = hub();
    hub.create("a", TopicOptions::text()).unwrap();
    let done = AtomicBool::new(false);
    let (hub, done) = (&hub, &done);
    let orders: Vec<Vec<Event>> = thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let subscription = hub.subscribe("a", Mode::Patch, None).unwrap();
                scope.spawn(move || read_until(subscription, done))
            })
            .collect();
        let publishers: Vec<_> = (0..2).map(|p| scope.spawn(move || publish_all(hub, p))).collect();
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        done.store(true, Ordering::SeqCst);
        // One more change wakes who still waits.
        publish(hub, 1_000);
        readers.into_iter().map(|reader| reader.join().unwrap()).collect()
    });
    let last = hub.topic("a").unwrap().revision;
    let mut patches = HashMap::new();
    for order in orders {
        assert!(order.is_sorted_by_key(|event| event.revision().seq));
        assert_eq!(order.last().map(Event::revision), last);
        for event in order.iter().filter(|event| event.kind() == EventKind::Patch) {
            let seq = event.revision().seq;
            let first = patches.entry(seq).or_insert_with(|| event.sse().clone());
            assert_eq!(first.as_ptr(), event.sse().as_ptr(), "one change has one event");
        }
    }
}

/// Reads on this thread, parked while there is nothing, until `done` and all is read.
fn read_until(mut subscription: Subscription, done: &AtomicBool) -> Vec<Event> {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut read = Vec::new();
    loop {
        match subscription.poll_event(&Context::from_waker(&waker)) {
            Poll::Ready(Some(Ok(event))) => read.push(event),
            Poll::Ready(_) => return read,
            Poll::Pending if done.load(Ordering::SeqCst) && last_is_read(&subscription) => {
                return read;
            }
            Poll::Pending => thread::park(),
        }
    }
}

fn last_is_read(subscription: &Subscription) -> bool {
    // Each of the 121 publications differs from the one before it.
    subscription.revision().is_some_and(|revision| revision.seq >= 121)
}

#[test]
fn a_hub_without_a_clock_keeps_no_rate() {
    let hub = hub();
    hub.create("a", TopicOptions::text()).unwrap();
    let mut wanted = Subscribe::new(Mode::Patch, None);
    wanted.view = crate::ViewSpec::default().max_rate(1.0).unwrap();
    assert_eq!(hub.subscribe_with("a", &wanted).map(|_| ()), Err(Error::NoClock));
}

#[test]
fn a_hub_with_a_clock_says_when_something_is_due() {
    let clock = Arc::new(Mutex::new(Instant::ORIGIN));
    let told = Arc::clone(&clock);
    let hub = Hub::with_clock(Limits::default(), Seed::new(5), move || *lock(&told));
    let ttl = Duration::from_secs(5);
    let options = TopicOptions { ttl: Some(ttl), ..TopicOptions::text() };
    hub.create("a", options).unwrap();
    assert_eq!(hub.poll_timeout(), None);
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut moved = std::pin::pin!(hub.timeout_moved());
    assert!(moved.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    publish(&hub, 1);
    assert_eq!(woken.count(), 1);
    assert_eq!(hub.poll_timeout(), Some(Instant::ORIGIN + ttl));
    *lock(&clock) = Instant::ORIGIN + ttl;
    hub.handle_timeout();
    assert!(hub.snapshot("a").unwrap().is_none());
    assert_eq!(hub.poll_timeout(), None);
    publish(&hub, 1);
    hub.remove("a").unwrap();
    assert_eq!(hub.poll_timeout(), None, "a topic that has gone has no time");
}
