//! Many sinks on one resource, each at its own interval, from as few streams as the device can
//! serve.
//!
//! The device is asked once for the greatest common divisor of all intervals, never less than a
//! floor. What it sends is dealt out by time rather than by counting, so that a device that is late
//! or skips a sample disturbs no sink's period.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use core::time::Duration;

use pointstream_time::Instant;

/// What a multiplexer allows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// The shortest interval that a device is asked for. Default 1 s.
    pub interval_min: Duration,
    /// How many resources may be streamed. Default 256.
    pub resources_max: usize,
    /// How many sinks there may be, over all resources. Default 4096.
    pub sinks_max: usize,
    /// How the device keeps its streams. Default apart.
    pub keeps: Keeps,
}

impl Config {
    /// This configuration with another shortest interval.
    #[must_use]
    pub const fn with_interval_min(mut self, interval_min: Duration) -> Self {
        self.interval_min = interval_min;
        self
    }

    /// This configuration with other numbers of resources and sinks.
    #[must_use]
    pub const fn with_max(mut self, resources: usize, sinks: usize) -> Self {
        self.resources_max = resources;
        self.sinks_max = sinks;
        self
    }

    /// This configuration for a device that keeps its streams in another way.
    #[must_use]
    pub const fn with_keeps(mut self, keeps: Keeps) -> Self {
        self.keeps = keeps;
        self
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            interval_min: Duration::from_secs(1),
            resources_max: 256,
            sinks_max: 4096,
            keeps: Keeps::Apart,
        }
    }
}

/// How a device keeps the streams of one resource.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Keeps {
    /// A stream at an interval and one of events exist side by side, as in the Linux client.
    Apart,
    /// Only the last stream id is kept, as in the embedded clients: one stream serves all sinks, and
    /// those of events are given every value of it.
    Last,
}

impl Keeps {
    const fn kind(self, interval: Option<Duration>) -> Kind {
        match (self, interval) {
            (Self::Last, _) => Kind::Shared,
            (Self::Apart, Some(_)) => Kind::Periodic,
            (Self::Apart, None) => Kind::Events,
        }
    }
}

/// Names one sink while it is there.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Sink(u64);

/// Names one stream of the device, for the life of the multiplexer.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Channel(u64);

/// What is to be done with the device's streams.
///
/// One action at a time is under way on each channel: the next comes after [`Mux::on_ok`] or
/// [`Mux::on_error`].
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Action {
    /// Open a stream.
    Start {
        /// The channel that it is to be.
        channel: Channel,
        /// The resource.
        resource: String,
        /// Its interval; without, it is of events.
        interval: Option<Duration>,
    },
    /// Change the interval of an open stream, under the same id and with its resource.
    Restart {
        /// The channel.
        channel: Channel,
        /// The resource.
        resource: String,
        /// Its interval; without, it is of events.
        interval: Option<Duration>,
    },
    /// Close a stream.
    Stop {
        /// The channel.
        channel: Channel,
    },
}

/// What a sink is told.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Event<V> {
    /// A value.
    Value(Sink, V),
    /// The device does not stream the resource, or has stopped to. The sink stays and is served when
    /// the device connects anew or another sink joins.
    Ended(Sink),
}

/// Why a sink is not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// An interval of less than a millisecond.
    #[error("an interval is a millisecond at least")]
    Interval,
    /// There are as many resources or sinks as allowed.
    #[error("too many resources or sinks")]
    Full,
}

/// The streams of one device, as its sinks want them.
///
/// Needs no timer: values are dealt out when they come. The owner takes all actions and events
/// after each call; a value makes at most one event for each sink of its resource.
#[derive(Debug)]
pub struct Mux<V> {
    config: Config,
    connected: bool,
    next: u64,
    sinks: BTreeMap<Sink, Channel>,
    channels: BTreeMap<Channel, Line<V>>,
    by_resource: BTreeMap<(String, Kind), Channel>,
    actions: VecDeque<Action>,
    events: VecDeque<Event<V>>,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Kind {
    Events,
    Periodic,
    /// Both in one.
    Shared,
}

/// One stream and who wants it.
#[derive(Debug)]
struct Line<V> {
    resource: String,
    kind: Kind,
    members: BTreeMap<Sink, Member>,
    /// What the device was asked last, if the stream is open or being opened.
    asked: Option<Wish>,
    /// Whether an action is under way.
    busy: bool,
    /// Whether the device refused, so that it is not asked again for the time being.
    refused: bool,
    /// Whether the next value is the first since the device was asked.
    fresh: bool,
    last: Option<V>,
}

/// How a stream is to be: its interval, or none for one of events.
type Wish = Option<Duration>;

#[derive(Clone, Copy, Debug)]
struct Member {
    interval: Option<Duration>,
    /// When it wants its next value; at once where it has had none.
    due: Option<Instant>,
}

impl<V: Clone> Mux<V> {
    /// A multiplexer for a device that is not connected.
    pub const fn new(config: Config) -> Self {
        Self {
            config,
            connected: false,
            next: 0,
            sinks: BTreeMap::new(),
            channels: BTreeMap::new(),
            by_resource: BTreeMap::new(),
            actions: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Adds a sink: at an interval, or for what the device raises. Where the stream
    /// has given a value already, the sink is given that at once, as one that opens a stream is given
    /// what the device sends first.
    ///
    /// # Errors
    ///
    /// The limits are reached; nothing has changed then.
    pub fn join(
        &mut self,
        now: Instant,
        resource: &str,
        interval: Option<Duration>,
    ) -> Result<Sink, JoinError> {
        if interval.is_some_and(|interval| interval.as_millis() == 0) {
            return Err(JoinError::Interval);
        }
        let key = (String::from(resource), self.config.keeps.kind(interval));
        let known = self.by_resource.get(&key).copied();
        // A resource has two lines at most, and counts for each.
        let full = known.is_none() && self.channels.len() >= self.config.resources_max;
        if full || self.sinks.len() >= self.config.sinks_max {
            return Err(JoinError::Full);
        }
        let sink = Sink(self.number());
        let channel = known.unwrap_or_else(|| self.open(key));
        self.sinks.insert(sink, channel);
        if let Some(line) = self.channels.get_mut(&channel) {
            let mut member = Member { interval, due: None };
            if let (Some(value), Some(_)) = (&line.last, line.asked) {
                member.due = interval.map(|interval| now + interval);
                self.events.push_back(Event::Value(sink, value.clone()));
            }
            line.members.insert(sink, member);
            line.refused = false;
        }
        self.settle(channel);
        Ok(sink)
    }

    /// Removes a sink; a second time, nothing happens.
    pub fn leave(&mut self, sink: Sink) {
        let Some(channel) = self.sinks.remove(&sink) else { return };
        if let Some(line) = self.channels.get_mut(&channel) {
            line.members.remove(&sink);
        }
        // Nothing reaches a sink that has left.
        self.events.retain(|event| match event {
            Event::Value(of, _) | Event::Ended(of) => *of != sink,
        });
        self.settle(channel);
    }

    /// Says how the device keeps its streams, which may be another one than last time. For a device
    /// that is not connected; [`Self::on_connected`] follows.
    pub fn set_keeps(&mut self, keeps: Keeps) {
        if keeps == self.config.keeps {
            return;
        }
        self.on_disconnected();
        self.config.keeps = keeps;
        self.by_resource.clear();
        for line in core::mem::take(&mut self.channels).into_values() {
            for (sink, member) in line.members {
                let key = (line.resource.clone(), keeps.kind(member.interval));
                let known = self.by_resource.get(&key).copied();
                let channel = known.unwrap_or_else(|| self.open(key));
                self.sinks.insert(sink, channel);
                if let Some(line) = self.channels.get_mut(&channel) {
                    line.members.insert(sink, member);
                }
            }
        }
    }

    /// The device is there: all streams are opened anew.
    pub fn on_connected(&mut self) {
        self.on_disconnected();
        self.connected = true;
        let channels: alloc::vec::Vec<_> = self.channels.keys().copied().collect();
        for channel in channels {
            self.settle(channel);
        }
    }

    /// The device has gone and its streams with it. The sinks stay.
    pub fn on_disconnected(&mut self) {
        self.connected = false;
        self.actions.clear();
        let mut empty = alloc::vec::Vec::new();
        for (channel, line) in &mut self.channels {
            (line.asked, line.busy, line.refused, line.fresh) = (None, false, false, true);
            line.last = None;
            if line.members.is_empty() {
                empty.push(*channel);
            }
        }
        for channel in empty {
            self.drop_line(channel);
        }
    }

    /// The device has done what it was asked on `channel`.
    pub fn on_ok(&mut self, channel: Channel) {
        if let Some(line) = self.channels.get_mut(&channel) {
            line.busy = false;
        }
        self.settle(channel);
    }

    /// The device has refused what it was asked on `channel`, or did not answer. Its sinks are told
    /// that their stream has ended; if it was a change, the stream is to be given up by the owner.
    pub fn on_error(&mut self, channel: Channel) {
        // A stream that cannot be closed is closed.
        match self.channels.get(&channel) {
            Some(line) if line.asked.is_none() => self.on_ok(channel),
            _ => self.end(channel, true),
        }
    }

    /// The device has closed the stream by itself.
    pub fn on_stopped(&mut self, channel: Channel) {
        self.end(channel, true);
    }

    /// The stream is lost for a reason that is not the device's will, such as an id that it took
    /// for another one: it is opened anew.
    pub fn on_lost(&mut self, channel: Channel) {
        self.end(channel, false);
    }

    /// A value has come on `channel`. `raised` says that it is known to be none of its interval,
    /// which only some devices tell.
    pub fn on_value(&mut self, now: Instant, channel: Channel, value: V, raised: bool) {
        let Some(line) = self.channels.get_mut(&channel) else { return };
        let Some(asked) = line.asked else { return };
        let grid = asked.unwrap_or_default();
        // Until the device has answered, values may be of what it was asked before.
        let fresh = !line.busy && core::mem::take(&mut line.fresh);
        for (sink, member) in &mut line.members {
            let taken = match member.interval {
                None => true,
                Some(_) if raised => false,
                Some(interval) => member.take(now, interval, grid, fresh),
            };
            if taken {
                self.events.push_back(Event::Value(*sink, value.clone()));
            }
        }
        line.last = Some(value);
    }

    /// What is to be done next.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// What a sink is told next.
    pub fn poll_event(&mut self) -> Option<Event<V>> {
        self.events.pop_front()
    }

    /// How many sinks there are.
    pub fn len(&self) -> usize {
        self.sinks.len()
    }

    /// Whether there is no sink.
    pub fn is_empty(&self) -> bool {
        self.sinks.is_empty()
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn open(&mut self, key: (String, Kind)) -> Channel {
        let channel = Channel(self.number());
        let line = Line {
            resource: key.0.clone(),
            kind: key.1,
            members: BTreeMap::new(),
            asked: None,
            busy: false,
            refused: false,
            fresh: true,
            last: None,
        };
        self.channels.insert(channel, line);
        self.by_resource.insert(key, channel);
        channel
    }

    fn drop_line(&mut self, channel: Channel) {
        if let Some(line) = self.channels.remove(&channel) {
            self.by_resource.remove(&(line.resource, line.kind));
        }
    }

    fn end(&mut self, channel: Channel, told: bool) {
        let Some(line) = self.channels.get_mut(&channel) else { return };
        (line.asked, line.busy, line.fresh) = (None, false, true);
        line.refused = told;
        if told {
            line.last = None;
            self.events.extend(line.members.keys().map(|sink| Event::Ended(*sink)));
        }
        self.settle(channel);
    }

    /// Asks for what is wanted and is not so, unless something is under way.
    fn settle(&mut self, channel: Channel) {
        let Some(line) = self.channels.get_mut(&channel) else { return };
        if line.busy {
            return;
        }
        let wanted = line.wish(self.config.interval_min);
        match (line.asked, wanted) {
            (None, None) => return self.drop_line(channel),
            _ if !self.connected || line.refused => return,
            (Some(asked), Some(wanted)) if asked == wanted => return,
            _ => {}
        }
        let resource = line.resource.clone();
        let action = match (line.asked, wanted) {
            (_, None) => Action::Stop { channel },
            (None, Some(interval)) => Action::Start { channel, resource, interval },
            (Some(_), Some(interval)) => Action::Restart { channel, resource, interval },
        };
        (line.asked, line.busy, line.fresh) = (wanted, true, true);
        self.actions.push_back(action);
    }
}

impl<V> Line<V> {
    /// How the stream is to be; nothing when nobody wants it.
    fn wish(&self, interval_min: Duration) -> Option<Wish> {
        if self.members.is_empty() {
            return None;
        }
        let intervals = self.members.values().filter_map(|member| member.interval);
        let common = intervals.map(|interval| interval.as_millis()).fold(0, divisor);
        let millis = u64::try_from(common).unwrap_or(u64::MAX);
        Some((millis > 0).then(|| Duration::from_millis(millis).max(interval_min)))
    }
}

impl Member {
    /// Whether it takes a value that comes at `now` from a stream of the interval `grid`; if so,
    /// when it wants the next.
    ///
    /// A value is taken up to half a grid early. The next date lies an interval after the last one,
    /// moved half-way to when the value really came: that follows the phase of the device and
    /// halves its jitter. After a change of the stream, the phase is new at once.
    fn take(&mut self, now: Instant, interval: Duration, grid: Duration, fresh: bool) -> bool {
        let half = grid / 2;
        let Some(due) = self.due else {
            self.due = Some(now + interval);
            return true;
        };
        if now + half < due {
            if fresh && !grid.is_zero() {
                // Onto the nearest of the dates that the device has now.
                let steps = (due.since(now) + half).as_nanos() / grid.as_nanos();
                self.due = Some(now + grid * u32::try_from(steps).unwrap_or(u32::MAX));
            }
            return false;
        }
        let mut next = if fresh {
            now + interval
        } else if now < due {
            due + interval - due.since(now) / 2
        } else {
            due + interval + now.since(due).min(half) / 2
        };
        // A date that could be met by this same value again was missed.
        let earliest = now + half;
        if next <= earliest {
            let missed = earliest.since(next).as_nanos() / interval.as_nanos() + 1;
            next += interval.saturating_mul(u32::try_from(missed).unwrap_or(u32::MAX));
        }
        self.due = Some(next);
        true
    }
}

fn divisor(mut one: u128, mut other: u128) -> u128 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

#[cfg(test)]
mod tests;
