use core::future::poll_fn;
use core::pin::Pin;
use core::sync::atomic::Ordering;
use core::task::Poll;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::string::{String, ToString};
use std::sync::Arc;
use std::vec::Vec;

use pointstream_time::Deadlines;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::Options;
use super::buffer::{Buffer, Stamped};
use super::handle::{Command, Counters, HandleError};
use super::resources::Resources;
use crate::encode::Encode;
use crate::io::Connection;
use crate::session::{
    Answer, Ask, Event, Feed, Opener, Reply, RequestError, Stream, Target, Ticket,
};
use crate::{Payload, Resource, Tree};

/// A device beyond its connections: its resources, what it keeps, what it is subscribed to.
pub(super) struct Link {
    resources: Resources,
    buffer: Buffer,
    seq: u64,
    /// The resources that the server wanted, in the last session that there was. `None` before the
    /// first one, when all may be wanted.
    wanted: Option<BTreeSet<String>>,
    subscriptions: Vec<Subscribed>,
    counters: Arc<Counters>,
}

struct Subscribed {
    path: Option<String>,
    parameters: Tree,
    values: mpsc::Sender<Payload>,
}

/// How a connection ended.
pub(super) enum Ended {
    /// As the application wanted.
    Told,
    /// In another way.
    Lost(String),
}

/// How many subscriptions there may be; one beyond ends at once.
const SUBSCRIPTIONS_MAX: usize = 64;
/// How many topics are published on by streams that stay open; beyond, one of them is closed.
const TOPICS_MAX: usize = 32;

impl Link {
    pub(super) fn new(resources: Resources, options: &Options, counters: Arc<Counters>) -> Self {
        Self {
            resources,
            buffer: Buffer::new(options.buffer_values_max, options.buffer_bytes_max),
            seq: 0,
            wanted: None,
            subscriptions: Vec::new(),
            counters,
        }
    }

    /// Shows how much is kept.
    fn count(&self) {
        let (kept, lost) = (self.buffer.waiting() as u64, self.buffer.dropped());
        self.counters.kept.store(kept, Ordering::Relaxed);
        self.counters.lost.store(lost, Ordering::Relaxed);
    }

    /// What is done without a connection.
    pub(super) fn offline(&mut self, command: Command) {
        match command {
            Command::Raise { resource } => self.keep(&resource),
            Command::Call { answer, .. } => drop(answer.send(Err(HandleError::Offline))),
            Command::Publish { .. } => {}
            Command::Subscribe { path, parameters, values } => {
                self.subscribe(Subscribed { path, parameters, values });
            }
        }
    }

    /// Keeps the present value of a resource, unless it is known that nobody wants it.
    fn keep(&mut self, resource: &str) {
        let wanted = self.wanted.as_ref().is_none_or(|wanted| wanted.contains(resource));
        if wanted && let Ok(value) = self.resources.state(resource) {
            let stamped = self.stamp(value);
            self.buffer.push(resource, stamped);
            self.count();
        }
    }

    fn stamp(&mut self, value: Payload) -> Stamped {
        self.seq += 1;
        Stamped { value, time_ms: unix_ms(), seq: self.seq }
    }

    fn subscribe(&mut self, subscribed: Subscribed) {
        self.subscriptions.retain(|subscribed| !subscribed.values.is_closed());
        if self.subscriptions.len() < SUBSCRIPTIONS_MAX {
            self.subscriptions.push(subscribed);
        }
    }

    /// Is the device on one connection.
    pub(super) async fn serve(
        &mut self,
        mut connection: Connection,
        commands: &mut mpsc::Receiver<Command>,
        mut shutdown: Pin<&mut impl Future<Output = ()>>,
        on_connected: impl FnOnce(),
    ) -> Ended {
        // What went out on the connection before and may not have come goes again.
        self.buffer.restore();
        self.count();
        let mut online = Online::new(self);
        let mut on_connected = Some(on_connected);
        let (mut told, mut reason) = (false, String::from("the connection ended"));
        loop {
            online.send_due(&mut connection);
            let due = online.due.next().map(|due| due.since(connection.now()));
            let (behind, probe) = (online.is_behind(), online.probe);
            let next = poll_fn(|cx| match connection.poll_event(cx) {
                Poll::Ready(event) => Poll::Ready(Some(event)),
                // What a probe asked after has come.
                _ if probe.is_some_and(|it| connection.session().echoed() >= it) => {
                    Poll::Ready(None)
                }
                Poll::Pending if behind && connection.has_room() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            });
            tokio::select! {
                biased;
                () = &mut shutdown, if !told => {
                    told = true;
                    connection.session().disconnect();
                }
                event = next => match event {
                    // There is room for more of what was kept, or less is to be kept.
                    None => {}
                    Some(Ok(Some(Event::Connected))) => {
                        if let Some(on_connected) = on_connected.take() {
                            on_connected();
                        }
                        online.on_connected(&mut connection);
                    }
                    Some(Ok(Some(Event::Closed(end)))) => reason = end.to_string(),
                    Some(Ok(Some(event))) => online.on_event(&mut connection, event),
                    Some(Ok(None)) if told => break Ended::Told,
                    Some(Ok(None)) => break Ended::Lost(reason),
                    Some(Err(error)) => break Ended::Lost(error.to_string()),
                },
                Some(command) = commands.recv() => online.command(&mut connection, command),
                () = sleep(due.unwrap_or_default()), if due.is_some() => {}
            }
        }
    }
}

/// What belongs to one connection.
struct Online<'l> {
    link: &'l mut Link,
    connected: bool,
    /// What the server has opened.
    streams: BTreeMap<Stream, Opened>,
    due: Deadlines<Stream>,
    calls: BTreeMap<Ticket, tokio::sync::oneshot::Sender<Result<Answer, HandleError>>>,
    /// The streams on which the device is told something, with the place of the subscription.
    listening: BTreeMap<Stream, mpsc::Sender<Payload>>,
    /// The streams on which it publishes, and what waits for them to be open.
    topics: BTreeMap<(String, bool), Topic>,
    opening: BTreeMap<Ticket, (String, bool)>,
    /// The keep-alive behind which all is known to have come when it comes back.
    probe: Option<u64>,
}

struct Opened {
    resource: String,
    interval: Option<Duration>,
}

struct Topic {
    stream: Stream,
    open: bool,
    waiting: Vec<Payload>,
}

/// How many values wait for a topic to be opened; the newest beyond are lost.
const WAITING_MAX: usize = 16;

impl<'l> Online<'l> {
    fn new(link: &'l mut Link) -> Self {
        Self {
            link,
            connected: false,
            streams: BTreeMap::new(),
            due: Deadlines::new(),
            calls: BTreeMap::new(),
            listening: BTreeMap::new(),
            topics: BTreeMap::new(),
            opening: BTreeMap::new(),
            probe: None,
        }
    }

    fn on_connected(&mut self, connection: &mut Connection) {
        self.connected = true;
        let subscribed = core::mem::take(&mut self.link.subscriptions);
        for subscribed in &subscribed {
            self.listen(connection, subscribed);
        }
        self.link.subscriptions = subscribed;
    }

    fn listen(&mut self, connection: &mut Connection, subscribed: &Subscribed) {
        if subscribed.values.is_closed() {
            return;
        }
        let now = connection.now();
        let with = Feed::With(&subscribed.parameters);
        // A server that takes no more streams is asked again with the next connection.
        let resource = subscribed.path.as_deref().map_or(SUBSCRIBE, Resource::Path);
        if let Ok((stream, _)) = connection.session().start(now, resource, with) {
            self.listening.insert(stream, subscribed.values.clone());
        }
    }

    fn on_event(&mut self, connection: &mut Connection, event: Event) {
        match event {
            Event::Asked(reply, ask) => self.on_asked(connection, reply, ask),
            Event::Answered(ticket, answer) => self.on_answer(connection, ticket, Ok(answer)),
            Event::TimedOut(ticket) => {
                self.on_answer(connection, ticket, Err(HandleError::TimedOut));
            }
            Event::Data(stream, data) => match stream.opener {
                Opener::Us => self.on_told(connection, stream, data.payload),
                Opener::Peer => self.on_written(connection, stream, &data.payload),
            },
            Event::Stopped(stream) | Event::Lost(stream) => self.forget(stream),
            _ => {}
        }
    }

    fn on_asked(&mut self, connection: &mut Connection, reply: Option<Reply>, ask: Ask) {
        let resources = &mut self.link.resources;
        let (result, changed) = match ask {
            Ask::Run { resource: Target::Path(path), payload, .. } => {
                let result = resources.run(&path, payload.as_ref());
                let changed = result.is_ok() && resources.takes(&path);
                (result, changed.then_some(path))
            }
            Ask::Describe { resource: None, .. } => {
                let list = Payload::new(&*resources);
                (Ok(Some(list.unwrap_or_default())), None)
            }
            Ask::Describe { resource: Some(Target::Path(path)), .. } => {
                (resources.describe(&path), None)
            }
            Ask::Start { stream, resource, interval, .. } => {
                return self.on_start(connection, reply, stream, resource, interval);
            }
            _ => {
                let text = "resources have names here";
                (Err(super::ResourceError::new(404, text)), None)
            }
        };
        if let Some(reply) = reply {
            // What cannot be sent ends the session by itself.
            let _ = match &result {
                Ok(value) => {
                    let value = value.as_ref().map(|value| value as &dyn Encode);
                    connection.session().ok(reply, value)
                }
                Err(error) => connection.session().error(reply, error.code, Some(error)),
            };
        }
        // Whoever follows a resource is told that it was written.
        if let Some(path) = changed {
            let _ = self.tell(connection, &path);
        }
    }

    fn on_start(
        &mut self,
        connection: &mut Connection,
        reply: Option<Reply>,
        stream: Stream,
        resource: Option<Target>,
        interval: Option<Duration>,
    ) {
        let Some(reply) = reply else { return };
        let known = self.streams.get(&stream).map(|opened| opened.resource.clone());
        let resource = match resource {
            Some(Target::Path(path)) => Some(path),
            _ => known,
        };
        let resource = resource.filter(|name| self.link.resources.contains(name));
        let Some(resource) = resource else {
            let error = super::ResourceError::new(404, "there is no such resource");
            let _ = connection.session().error(reply, error.code, Some(&error));
            return;
        };
        let _ = connection.session().ok(reply, None);
        let interval = interval.map(|interval| interval.max(INTERVAL_MIN));
        match interval {
            Some(interval) => self.due.set(stream, connection.now() + interval),
            None => drop(self.due.clear(stream)),
        }
        self.link.wanted.get_or_insert_default().insert(resource.clone());
        // The state at once, unless older values come first.
        if self.link.buffer.first(&resource).is_none()
            && let Ok(value) = self.link.resources.state(&resource)
        {
            let _ = connection.session().send(stream, &value);
        }
        self.streams.insert(stream, Opened { resource, interval });
    }

    /// Sends the present state of a resource on all its streams. Gives what was sent.
    fn tell(&mut self, connection: &mut Connection, resource: &str) -> Option<Payload> {
        let streams = self.streams.iter().filter(|(_, opened)| opened.resource == resource);
        let streams: Vec<_> = streams.map(|(stream, _)| *stream).collect();
        if streams.is_empty() {
            return None;
        }
        let value = self.link.resources.state(resource).ok()?;
        for stream in streams {
            let _ = connection.session().send(stream, &value);
        }
        Some(value)
    }

    fn on_written(&mut self, connection: &mut Connection, stream: Stream, value: &Payload) {
        let Some(opened) = self.streams.get(&stream) else { return };
        let resource = opened.resource.clone();
        if self.link.resources.takes(&resource)
            && self.link.resources.run(&resource, Some(value)).is_ok()
        {
            let _ = self.tell(connection, &resource);
        }
    }

    fn on_told(&mut self, connection: &mut Connection, stream: Stream, value: Payload) {
        let Some(values) = self.listening.get(&stream) else { return };
        if values.try_send(value).is_err() && values.is_closed() {
            self.listening.remove(&stream);
            let now = connection.now();
            let _ = connection.session().stop(now, stream);
        }
    }

    fn forget(&mut self, stream: Stream) {
        self.due.clear(stream);
        self.listening.remove(&stream);
        self.topics.retain(|_, topic| topic.stream != stream);
        if let Some(Opened { resource, .. }) = self.streams.remove(&stream) {
            let other = self.streams.values().any(|opened| opened.resource == resource);
            if !other && let Some(wanted) = &mut self.link.wanted {
                wanted.remove(&resource);
                self.link.buffer.clear(&resource);
            }
        }
    }

    fn on_answer(
        &mut self,
        connection: &mut Connection,
        ticket: Ticket,
        answer: Result<Answer, HandleError>,
    ) {
        if let Some(call) = self.calls.remove(&ticket) {
            let _ = call.send(answer);
        } else if let Some(key) = self.opening.remove(&ticket) {
            if !answer.is_ok_and(|answer| answer.ok) {
                self.topics.remove(&key);
            } else if let Some(topic) = self.topics.get_mut(&key) {
                topic.open = true;
                for value in topic.waiting.drain(..) {
                    let _ = connection.session().send(topic.stream, &value);
                }
            }
        }
    }

    fn command(&mut self, connection: &mut Connection, command: Command) {
        if !self.connected {
            return self.link.offline(command);
        }
        match command {
            Command::Raise { resource } => self.raise(connection, &resource),
            Command::Call { number, target, payload, answer } => {
                let now = connection.now();
                let payload = payload.as_ref().map(|payload| payload as &dyn Encode);
                let (resource, target) = (Resource::Number(number), Some(&target as &dyn Encode));
                match connection.session().run(now, resource, target, payload) {
                    Ok(ticket) => drop(self.calls.insert(ticket, answer)),
                    Err(_) => drop(answer.send(Err(HandleError::Offline))),
                }
            }
            Command::Publish { topic, value, retained } => {
                self.publish(connection, topic, value, retained);
            }
            Command::Subscribe { path, parameters, values } => {
                let before = self.link.subscriptions.len();
                self.link.subscribe(Subscribed { path, parameters, values });
                if self.link.subscriptions.len() > before
                    && let Some(subscribed) = self.link.subscriptions.pop()
                {
                    self.listen(connection, &subscribed);
                    self.link.subscriptions.push(subscribed);
                }
            }
        }
    }

    fn raise(&mut self, connection: &mut Connection, resource: &str) {
        let open = self.streams.values().any(|opened| opened.resource == resource);
        let behind = self.link.buffer.first(resource).is_some();
        if open && !behind {
            if let Some(value) = self.tell(connection, resource) {
                let stamped = self.link.stamp(value);
                self.link.buffer.note_sent(resource, stamped);
            }
        } else if open || self.link.wanted.as_ref().is_none_or(|it| it.contains(resource)) {
            // The server has not asked for it again yet, or gets older values first.
            self.link.keep(resource);
        }
    }

    fn publish(
        &mut self,
        connection: &mut Connection,
        name: String,
        value: Payload,
        retained: bool,
    ) {
        let key = (name, retained);
        if let Some(topic) = self.topics.get_mut(&key) {
            if topic.open {
                let _ = connection.session().send(topic.stream, &value);
            } else if topic.waiting.len() < WAITING_MAX {
                topic.waiting.push(value);
            }
            return;
        }
        let now = connection.now();
        if self.topics.len() >= TOPICS_MAX
            && let Some((_, topic)) = self.topics.pop_first()
        {
            let _ = connection.session().stop(now, topic.stream);
        }
        let parameters = Tree::from([
            ("event", Tree::from("device_topic_publish")),
            ("retained", Tree::from(retained)),
            ("scope", Tree::from("publish")),
            ("topic", Tree::from(key.0.as_str())),
        ]);
        let started = connection.session().start(now, SUBSCRIBE, Feed::With(&parameters));
        if let Ok((stream, ticket)) = started {
            self.opening.insert(ticket, key.clone());
            self.topics.insert(key, Topic { stream, open: false, waiting: [value].into() });
        }
    }

    /// Sends what is due at intervals, and then what was kept.
    fn send_due(&mut self, connection: &mut Connection) {
        let now = connection.now();
        while let Some(stream) = self.due.pop_due(now) {
            let Some(Opened { resource, interval: Some(interval) }) = self.streams.get(&stream)
            else {
                continue;
            };
            if let Ok(value) = self.link.resources.state(resource) {
                let _ = connection.session().send(stream, &value);
            }
            self.due.set(stream, now + *interval);
        }
        self.replay(connection);
        self.confirm(connection);
    }

    /// Forgets what has come, and asks after what may not have.
    fn confirm(&mut self, connection: &mut Connection) {
        let session = connection.session();
        if self.probe.is_some_and(|probe| session.echoed() >= probe) {
            self.probe = None;
            self.link.buffer.confirm();
            self.link.count();
        }
        if self.probe.is_none() && self.link.buffer.is_unconfirmed() {
            self.probe = session.probe();
            self.link.buffer.fence();
        }
    }

    /// Whether there is something to be sent of what was kept.
    fn is_behind(&self) -> bool {
        let behind = |opened: &Opened| self.link.buffer.first(&opened.resource).is_some();
        self.streams.values().any(behind)
    }

    /// Sends what was kept, and behind the last of it what is at present.
    fn replay(&mut self, connection: &mut Connection) {
        let mut caught_up = Vec::new();
        'streams: for (stream, opened) in &self.streams {
            while connection.has_room()
                && let Some(stamped) = self.link.buffer.first(&opened.resource)
            {
                let sent = connection.session().send_with(*stream, &stamped.value, stamped);
                // What waits for a connection that is over waits for the next one.
                if matches!(sent, Err(RequestError::NotOpen | RequestError::Backlog)) {
                    break 'streams;
                }
                self.link.buffer.remove_first(&opened.resource);
                if self.link.buffer.first(&opened.resource).is_none() {
                    caught_up.push(opened.resource.clone());
                }
            }
        }
        for resource in caught_up {
            self.tell(connection, &resource);
        }
        self.link.count();
    }
}

/// The shortest interval at which a device streams.
const INTERVAL_MIN: Duration = Duration::from_millis(10);
/// The resource of a server that subscribes.
const SUBSCRIBE: Resource<'_> = Resource::Number(8);

/// The wall clock of the device, in milliseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "what a device keeps has the time of its own clock")]
fn unix_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
