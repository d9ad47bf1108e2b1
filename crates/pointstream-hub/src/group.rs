use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::{Ended, Error, Event, Hub, Revision, Subscribe, Subscription, TopicId};

/// Several topics followed as one stream, which [`GroupHandle`] changes while it runs.
///
/// It holds a cursor for each topic and no events. Dropping it unsubscribes from all of them.
pub struct Group {
    shared: Arc<Shared>,
}

/// The way to a [`Group`] that someone else reads.
#[derive(Clone)]
pub struct GroupHandle {
    hub: Hub,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
}

struct State {
    members: BTreeMap<TopicId, Subscription>,
    /// The topic that was read last, so that none is read twice while another one waits.
    last: Option<TopicId>,
    waker: Option<Waker>,
    /// Whether the group was dropped.
    ended: bool,
}

/// What a group is told of one of its topics.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GroupEvent {
    /// The topic.
    pub topic: TopicId,
    /// Its event, or why it has none any more; it is no member then.
    pub event: Result<Event, Ended>,
    /// The states that all topics of the group have after this event.
    pub position: Position,
}

/// The states of several topics, `topic=revision` with commas between: where a group's reader left
/// off.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Position(BTreeMap<TopicId, Revision>);

impl Position {
    /// Reads what was told before. What cannot be read is left out: its topic begins anew.
    pub fn parse(text: &str) -> Self {
        let parts = text.split(',').take(Group::TOPICS_MAX).filter_map(|part| {
            let (topic, revision) = part.trim().split_once('=')?;
            Some((topic.parse().ok()?, revision.parse().ok()?))
        });
        Self(parts.collect())
    }

    /// The state that a topic had.
    pub fn of(&self, topic: &TopicId) -> Option<Revision> {
        self.0.get(topic).copied()
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (topic, revision)) in self.0.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            write!(f, "{comma}{topic}={revision}")?;
        }
        Ok(())
    }
}

impl Group {
    /// The most topics of one group.
    pub const TOPICS_MAX: usize = 32;

    /// A group without topics, and the way to change it.
    pub fn new(hub: &Hub) -> (Self, GroupHandle) {
        let state = State { members: BTreeMap::new(), last: None, waker: None, ended: false };
        let shared = Arc::new(Shared { state: Mutex::new(state) });
        (Self { shared: Arc::clone(&shared) }, GroupHandle { hub: hub.clone(), shared })
    }

    /// The next event of any of the topics. A group without topics waits until it has one.
    ///
    /// *Cancel safety*: nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> GroupEvent {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// [`next`](Self::next) as a poll.
    pub fn poll_event(&mut self, cx: &Context<'_>) -> Poll<GroupEvent> {
        let mut state = self.shared.lock();
        state.waker = Some(cx.waker().clone());
        let topics: Vec<TopicId> = state.members.keys().cloned().collect();
        let start = state.last.as_ref().map_or(0, |last| topics.partition_point(|it| it <= last));
        for topic in topics[start..].iter().chain(&topics[..start]) {
            let Some(subscription) = state.members.get_mut(topic) else { continue };
            let event = match subscription.poll_event(cx) {
                Poll::Pending => continue,
                Poll::Ready(Some(Ok(event))) => Ok(event),
                Poll::Ready(Some(Err(ended))) => Err(ended),
                Poll::Ready(None) => Err(Ended::Removed),
            };
            let gone = if event.is_err() { state.members.remove(topic) } else { None };
            state.last = Some(topic.clone());
            let position = state.position();
            drop(state);
            drop(gone);
            return Poll::Ready(GroupEvent { topic: topic.clone(), event, position });
        }
        Poll::Pending
    }
}

impl State {
    fn position(&self) -> Position {
        let states = self
            .members
            .iter()
            .filter_map(|(topic, subscription)| Some((topic.clone(), subscription.revision()?)));
        Position(states.collect())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl GroupHandle {
    /// Takes topics into the group and others out of it, all or nothing. One that is in already
    /// stays as it is; one that is to go and is not in is no error.
    ///
    /// # Errors
    ///
    /// A topic that cannot be followed, more topics than a group may have.
    pub fn change(&self, add: &[(TopicId, Subscribe)], remove: &[TopicId]) -> Result<(), Error> {
        let max = Group::TOPICS_MAX;
        let mut state = self.shared.lock();
        if state.ended {
            return Err(Error::UnknownTopic);
        }
        let stays = |topic: &&TopicId| !remove.contains(topic);
        let count = state.members.keys().filter(stays).count();
        let mut come = BTreeMap::new();
        for (topic, wanted) in add {
            if !state.members.contains_key(topic) || remove.contains(topic) {
                if count + come.len() >= max && !come.contains_key(topic) {
                    return Err(Error::GroupMax { max });
                }
                come.insert(topic.clone(), self.hub.subscribe_with(topic.as_str(), wanted)?);
            }
        }
        let gone: Vec<_> = remove.iter().filter_map(|topic| state.members.remove(topic)).collect();
        state.members.append(&mut come);
        let waker = state.waker.take();
        drop(state);
        drop(gone);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// The topics of the group.
    pub fn topics(&self) -> Vec<TopicId> {
        self.shared.lock().members.keys().cloned().collect()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let members = {
            let mut state = self.shared.lock();
            state.ended = true;
            std::mem::take(&mut state.members)
        };
        drop(members);
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("topics", &self.shared.lock().members.len()).finish()
    }
}

impl fmt::Debug for GroupHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupHandle").field("topics", &self.topics()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use pointstream_time::Seed;

    use super::*;
    use crate::{EventKind, Limits, Mode, TopicOptions};

    fn hub(count: usize) -> (Hub, Vec<TopicId>) {
        let hub = Hub::new(Limits::default(), Seed::new(3));
        let topics = (0..count).map(|n| {
            let id = hub.create(&format!("t{n:02}"), TopicOptions::text()).unwrap();
            hub.publish(id.as_str(), format!("[{n}]").as_bytes()).unwrap();
            id
        });
        let topics = topics.collect();
        (hub, topics)
    }

    fn whole(topics: &[TopicId]) -> Vec<(TopicId, Subscribe)> {
        topics.iter().map(|topic| (topic.clone(), Subscribe::default())).collect()
    }

    fn read(group: &mut Group) -> Vec<(String, Result<EventKind, Ended>)> {
        let cx = Context::from_waker(Waker::noop());
        let next = || match group.poll_event(&cx) {
            Poll::Ready(event) => Some((event.topic.to_string(), event.event.map(|it| it.kind()))),
            Poll::Pending => None,
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn topics_come_and_go_while_the_group_is_read() {
        let (hub, topics) = hub(3);
        let (mut group, handle) = Group::new(&hub);
        assert!(read(&mut group).is_empty());
        handle.change(&whole(&topics[..2]), &[]).unwrap();
        let data = Ok(EventKind::Data);
        assert_eq!(read(&mut group), [("t00".into(), data), ("t01".into(), data)]);
        handle.change(&whole(&topics[1..]), &topics[..1]).unwrap();
        assert_eq!(handle.topics(), topics[1..]);
        hub.publish("t00", b"[7]").unwrap();
        assert_eq!(read(&mut group), [("t02".into(), data)], "what stays does not begin anew");
        hub.remove("t01").unwrap();
        assert_eq!(read(&mut group), [("t01".into(), Err(Ended::Removed))]);
        assert_eq!(handle.topics(), topics[2..]);
        let refused = handle.change(&whole(&topics[..2]), &topics[2..]);
        assert_eq!(refused, Err(Error::UnknownTopic));
        assert_eq!(handle.topics(), topics[2..], "all or nothing");
        drop(group);
        assert_eq!(hub.topic("t02").unwrap().subscribers, 0);
        assert!(handle.change(&whole(&topics[..1]), &[]).is_err());
    }

    #[test]
    fn a_position_restores_all_topics() {
        let (hub, topics) = hub(2);
        let (mut group, handle) = Group::new(&hub);
        handle.change(&whole(&topics), &[]).unwrap();
        let cx = Context::from_waker(Waker::noop());
        let mut position = Position::default();
        while let Poll::Ready(event) = group.poll_event(&cx) {
            position = event.position;
        }
        assert_eq!(Position::parse(&position.to_string()), position);
        let long = format!(r#"[1,"{}"]"#, "x".repeat(200));
        hub.publish("t01", long.as_bytes()).unwrap();
        while let Poll::Ready(event) = group.poll_event(&cx) {
            position = event.position;
        }
        hub.publish("t01", long.replace("[1,", "[2,").as_bytes()).unwrap();
        let (mut group, handle) = Group::new(&hub);
        let resumed: Vec<_> = topics
            .iter()
            .map(|topic| (topic.clone(), Subscribe::new(Mode::Patch, position.of(topic))))
            .collect();
        handle.change(&resumed, &[]).unwrap();
        assert_eq!(read(&mut group), [("t01".into(), Ok(EventKind::Patch))]);
        assert_eq!(Position::parse("a=b,,=,x"), Position::default());
    }

    #[test]
    fn no_topic_starves_another_and_there_are_so_many() {
        let (hub, topics) = hub(Group::TOPICS_MAX + 1);
        let (mut group, handle) = Group::new(&hub);
        handle.change(&whole(&topics[1..]), &[]).unwrap();
        let refused = handle.change(&whole(&topics[..1]), &[]);
        assert_eq!(refused, Err(Error::GroupMax { max: Group::TOPICS_MAX }));
        handle.change(&whole(&topics[..1]), &topics[1..2]).unwrap();
        let cx = Context::from_waker(Waker::noop());
        let mut order = Vec::new();
        for round in 0..Group::TOPICS_MAX {
            let Poll::Ready(event) = group.poll_event(&cx) else { panic!("there is more") };
            order.push(event.topic);
            hub.publish("t00", format!("[{round},0]").as_bytes()).unwrap();
        }
        order.sort();
        order.dedup();
        assert_eq!(order.len(), Group::TOPICS_MAX, "each was read once");
    }
}
