//! Topics of a connector's broker, for readers over HTTP.

use core::pin::pin;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pointstream_http::{BoxFuture, ConnError, Heard, ObserveFeed, ObserveView};
use pointstream_mqtt::io::{ClientError, Observation, Observed};
use pointstream_mqtt::{ObserveError, QoS};
use pointstream_point::Fault;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::task::JoinSet;

use crate::gateway::Shared;

/// How many messages wait for a reader, and how long they may be together, give or take the newest.
/// Beyond either, the oldest are missed.
const MESSAGES_MAX: usize = 256;
const LEN_MAX: usize = 1 << 20;

/// Begins to observe.
pub(super) async fn observe(
    shared: &Shared,
    connector: &str,
    filter: &str,
    qos: Option<u8>,
) -> Result<Arc<dyn ObserveFeed>, ConnError> {
    let id = connector.parse().map_err(|_| ConnError::UnknownConnector)?;
    let (observing, is_mqtt) = {
        let state = shared.lock();
        let conn = state.conns.get(connector).ok_or(ConnError::UnknownConnector)?;
        (state.observing.clone(), conn.config.kind == "mqtt")
    };
    let Some(observing) = observing.filter(|_| is_mqtt) else {
        return Err(ConnError::Failed(Fault::unsupported("observing")));
    };
    let Ok(place) = Arc::clone(&observing.places).try_acquire_owned() else {
        return Err(ConnError::Failed(Fault::down("as many observe as may")));
    };
    let observed = observing.sessions.observe(&id, filter, qos.and_then(QoS::from_number)).await;
    match observed {
        // A reader that is slow must not hold up the points.
        Ok(observation) => Ok(Feed::start(observation.let_go(), place)),
        Err(ObserveError::UnknownConnector(_)) => Err(ConnError::UnknownConnector),
        Err(error @ ObserveError::Client(ClientError::Subscribe(_) | ClientError::Refused(_))) => {
            Err(ConnError::Failed(Fault::permanent(error)))
        }
        Err(error) => Err(ConnError::Failed(Fault::down(error))),
    }
}

/// What one reader has not taken yet. It is observed as long as the reader is there.
struct Feed {
    inbox: Arc<Inbox>,
    _task: JoinSet<()>,
    _place: OwnedSemaphorePermit,
}

#[derive(Default)]
struct Inbox {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    messages: VecDeque<Arc<Heard>>,
    len: usize,
    /// The number of the message that comes next.
    next: u64,
    /// How many the session has let go, at least.
    missed: u64,
    over: Option<String>,
}

impl Feed {
    fn start(observation: Observation, place: OwnedSemaphorePermit) -> Arc<dyn ObserveFeed> {
        let inbox = Arc::<Inbox>::default();
        let mut task = JoinSet::new();
        task.spawn(Arc::clone(&inbox).run(observation));
        Arc::new(Self { inbox, _task: task, _place: place })
    }
}

impl ObserveFeed for Feed {
    fn since(&self, seq: u64) -> ObserveView {
        let mut state = self.inbox.lock();
        let oldest = state.next - state.messages.len() as u64;
        let mut view = ObserveView::new(state.next);
        view.missed = oldest.saturating_sub(seq) + core::mem::take(&mut state.missed);
        // There is one reader, who has them by this.
        view.messages = core::mem::take(&mut state.messages).into();
        state.len = 0;
        view.over.clone_from(&state.over);
        view
    }

    fn changed(self: Arc<Self>, seq: u64) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            loop {
                let mut changed = pin!(self.inbox.changed.notified());
                // What happens from here on wakes.
                changed.as_mut().enable();
                {
                    let state = self.inbox.lock();
                    if state.next > seq || state.over.is_some() {
                        return;
                    }
                }
                changed.await;
            }
        })
    }
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(self: Arc<Self>, mut observation: Observation) {
        loop {
            let item = observation.next().await;
            let mut state = self.lock();
            state.missed += u64::from(observation.has_missed());
            match item {
                Some(Observed::Message(message)) => {
                    let (topic, qos) = ((*message.topic).into(), message.qos as u8);
                    let now = jiff::Timestamp::now();
                    state.push(Heard::new(now, topic, &message.payload, qos, message.retain));
                }
                // Too long to be read is as good as missed.
                Some(Observed::Oversize { .. }) => state.missed += 1,
                Some(Observed::Refused { filter, reason }) => {
                    state.over = Some(format!("the broker has refused {filter}: {reason}"));
                }
                _ => state.over = Some("the session has ended".to_owned()),
            }
            let is_over = state.over.is_some();
            drop(state);
            self.changed.notify_waiters();
            if is_over {
                return;
            }
        }
    }
}

impl State {
    fn push(&mut self, message: Heard) {
        self.len += len(&message);
        self.messages.push_back(Arc::new(message));
        self.next += 1;
        while self.messages.len() > MESSAGES_MAX || (self.len > LEN_MAX && self.messages.len() > 1)
        {
            self.len -= self.messages.pop_front().map_or(0, |oldest| len(&oldest));
        }
    }
}

fn len(message: &Heard) -> usize {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    message.topic.len() + text(&message.payload) + text(&message.hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(payload: &str) -> Heard {
        let ts = jiff::Timestamp::UNIX_EPOCH;
        Heard::new(ts, "t".into(), payload.as_bytes(), 0, false)
    }

    #[test]
    fn the_oldest_messages_are_missed_by_count_and_by_length() {
        let mut state = State::default();
        for at in 0..MESSAGES_MAX + 3 {
            state.push(heard(&at.to_string()));
        }
        assert_eq!((state.messages.len(), state.next), (MESSAGES_MAX, MESSAGES_MAX as u64 + 3));
        assert_eq!(state.messages[0].payload.as_deref(), Some("3"));
        state.push(heard(&"x".repeat(LEN_MAX)));
        assert_eq!((state.messages.len(), state.len), (1, LEN_MAX + 1));
    }
}
