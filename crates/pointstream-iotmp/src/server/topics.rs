//! What devices publish and subscribe to, as with MQTT, and the events of a server.

use std::collections::{BTreeMap, HashMap};
use std::string::{String, ToString};
use std::sync::Arc;
use std::vec::Vec;

use super::device::State;
use crate::encode::{Encode, Encoder};
use crate::session::Stream;
use crate::{Payload, Tree};

/// Who subscribes to what, user by user: no device sees another user's.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    users: HashMap<String, User>,
}

#[derive(Debug, Default)]
struct User {
    subscriptions: Vec<Subscription>,
    retained: BTreeMap<String, Arc<Payload>>,
}

/// What a device wants to be told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Interest {
    /// What is published on topics that match.
    Topic(String),
    /// An event of this name, and of this property where it has one.
    Event { name: String, property: Option<String> },
}

#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    pub(crate) interest: Interest,
    pub(crate) to: Recipient,
}

/// A stream that a device has opened, in one session.
#[derive(Clone, Debug)]
pub(crate) struct Recipient {
    pub(crate) state: Arc<State>,
    pub(crate) session: u64,
    pub(crate) stream: Stream,
}

impl Recipient {
    pub(crate) fn send(&self, value: Arc<Payload>) {
        self.state.send(self.session, self.stream, value);
    }

    fn is(&self, session: u64, stream: Stream) -> bool {
        self.session == session && self.stream == stream
    }
}

/// How many topics keep their last value, for each user; one beyond is not kept.
const RETAINED_MAX: usize = 1024;
/// The longest topic and the longest filter, in bytes.
pub(crate) const TOPIC_LEN_MAX: usize = 1024;

impl Topics {
    /// Adds a subscription and gives what is retained for it. Their number is bounded by the streams
    /// that a session may open.
    pub(crate) fn subscribe(&mut self, subscription: Subscription) -> Vec<Arc<Payload>> {
        let user = self.users.entry(subscription.to.state.id.user.clone()).or_default();
        let retained = match &subscription.interest {
            Interest::Topic(filter) => user
                .retained
                .iter()
                .filter(|(topic, _)| matches(filter, topic))
                .map(|(_, value)| Arc::clone(value))
                .collect(),
            Interest::Event { .. } => Vec::new(),
        };
        user.subscriptions.push(subscription);
        retained
    }

    /// Ends what a stream is subscribed to.
    pub(crate) fn unsubscribe(&mut self, user: &str, session: u64, stream: Stream) {
        self.retain(user, |to| !to.is(session, stream));
    }

    /// Ends what a session is subscribed to.
    pub(crate) fn leave(&mut self, user: &str, session: u64) {
        self.retain(user, |to| to.session != session);
    }

    fn retain(&mut self, name: &str, keep: impl Fn(&Recipient) -> bool) {
        let Some(user) = self.users.get_mut(name) else { return };
        user.subscriptions.retain(|subscription| keep(&subscription.to));
        if user.subscriptions.is_empty() && user.retained.is_empty() {
            self.users.remove(name);
        }
    }

    /// Publishes a value. Gives who is to be told, and what: a map of `topic` and `payload`.
    ///
    /// With `retain`, the value is kept for later subscribers; null clears it. The stream `from` on
    /// which it came is not told.
    pub(crate) fn publish(
        &mut self,
        user: &str,
        topic: &str,
        value: &Payload,
        retain: bool,
        from: (u64, Stream),
    ) -> (Vec<Recipient>, Arc<Payload>) {
        let message = Arc::new(Payload::new(&Message { topic, value }).unwrap_or_default());
        if retain {
            self.keep(user, topic, value, &message);
        }
        let Some(user) = self.users.get(user) else { return (Vec::new(), message) };
        let told = user.subscriptions.iter().filter(|subscription| {
            let wanted = match &subscription.interest {
                Interest::Topic(filter) => matches(filter, topic),
                Interest::Event { .. } => false,
            };
            wanted && !subscription.to.is(from.0, from.1)
        });
        (told.map(|subscription| subscription.to.clone()).collect(), message)
    }

    fn keep(&mut self, user: &str, topic: &str, value: &Payload, message: &Arc<Payload>) {
        let user = self.users.entry(user.to_string()).or_default();
        if value.value().is_null() {
            user.retained.remove(topic);
        } else if user.retained.len() < RETAINED_MAX || user.retained.contains_key(topic) {
            user.retained.insert(topic.to_string(), Arc::clone(message));
        }
    }

    /// Who is to be told of an event.
    pub(crate) fn event(&self, user: &str, name: &str, property: Option<&str>) -> Vec<Recipient> {
        let subscriptions = self.users.get(user).map(|user| user.subscriptions.as_slice());
        let told = subscriptions.unwrap_or_default().iter().filter(|subscription| {
            matches!(&subscription.interest, Interest::Event { name: wanted, property: filter }
                if wanted == name && (filter.is_none() || filter.as_deref() == property))
        });
        told.map(|subscription| subscription.to.clone()).collect()
    }
}

struct Message<'a> {
    topic: &'a str,
    value: &'a Payload,
}

impl Encode for Message<'_> {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.map(|to| {
            to.entry("topic", &Tree::from(self.topic));
            to.entry("payload", self.value);
        });
    }
}

/// Whether a topic can be published on (MQTT 3.1.1, section 4.7).
pub(crate) fn is_topic(text: &str) -> bool {
    is_sized(text) && !text.contains(['+', '#', '\0'])
}

/// Whether a filter can be subscribed to: `+` stands for one whole level, `#` for all that are left.
pub(crate) fn is_filter(text: &str) -> bool {
    let mut levels = text.split('/').rev();
    let last = levels.next().is_some_and(|last| last == "#" || is_level(last));
    is_sized(text) && last && levels.all(is_level)
}

fn is_sized(text: &str) -> bool {
    !text.is_empty() && text.len() <= TOPIC_LEN_MAX
}

fn is_level(level: &str) -> bool {
    level == "+" || !level.contains(['+', '#', '\0'])
}

/// Whether a filter takes a topic. Topics that begin with `$` are not taken by a filter that begins
/// with a wildcard (MQTT 3.1.1, section 4.7.2).
fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let (mut wanted, mut levels) = (filter.split('/'), topic.split('/'));
    loop {
        match (wanted.next(), levels.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_take_the_topics_of_the_standard() {
        for (filter, topic, taken) in [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
            ("sport/tennis/player1/#", "sport/tennis/player2", false),
            ("#", "sport", true),
            ("sport/#", "sport", true),
            ("sport/tennis/+", "sport/tennis/player1", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "$SYS/uptime", false),
            ("+/uptime", "$SYS/uptime", false),
            ("$SYS/#", "$SYS/uptime", true),
        ] {
            assert!(is_filter(filter) && is_topic(topic));
            assert_eq!(matches(filter, topic), taken, "{filter} {topic}");
        }
    }

    #[test]
    fn what_is_neither_a_filter_nor_a_topic_is_refused() {
        for text in ["", "sport/tennis#", "sport/#/ranking", "sport+", "a/b+/c", "\0"] {
            assert!(!is_filter(text), "{text:?}");
        }
        for text in ["", "a/+", "#", "a\0"] {
            assert!(!is_topic(text), "{text:?}");
        }
        let long = "a".repeat(TOPIC_LEN_MAX);
        assert!(is_topic(&long) && !is_topic(&(long + "a")));
    }
}
