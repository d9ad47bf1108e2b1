use std::sync::Arc;

use pointstream_point::{EnumDefs, Fault, LearnPath, LearnRow, PointKey, Span, Tags, WriteInfo};

use crate::config::{NamedTuning, PointDef};
use crate::driver::{Binding, OpError, Request, Write};
use crate::readings::Readings;
use crate::samples::Samples;

/// Something that happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input<'a> {
    /// The action that was taken last ended.
    Done(Result<Outcome, OpError>),
    /// The driver learned something about points. Taken out of the collection.
    Readings(&'a mut Readings),
    /// The session was lost while nothing was being done.
    Lost(Fault),
    /// Nothing but time has passed.
    Timeout,
    /// New points. A point whose slot is taken replaces the one in it.
    Bind(Vec<PointDef>),
    /// Points that are no more.
    Unbind(Vec<PointKey>),
    /// Somebody watches these points from now on. Idempotent.
    Watch(Vec<PointKey>),
    /// Nobody watches these points any more.
    Unwatch(Vec<PointKey>),
    /// A value that came into effect for a point, with the mark by which the outcome is told. A
    /// newer write replaces an older one of the same point that has not been sent.
    Write(PointKey, WriteInfo, u64),
    /// These points are to be read once, out of turn, whether they are watched or not; the mark
    /// tells when that is done.
    Sync(Vec<PointKey>, u64),
    /// Somebody wants to know what is at a place of the device's tree, or at its root; the mark
    /// tells the answer.
    Learn(Option<LearnPath>, u64),
    /// Synchronisations of the histories of these points were asked for.
    HisPending(Vec<PointKey>),
    /// Those synchronisations were given up before they ended.
    HisReleased(Vec<PointKey>),
    /// Somebody wants what the device has of a point's history in a span; the mark tells the answer.
    History(PointKey, Span, u64),
    /// What the synchronisation of a point's history came to.
    HisDone(PointKey, Result<(), Fault>),
    /// Somebody needs the session to stay open, under this name. Idempotent.
    Pin(Arc<str>),
    /// That need has gone.
    Unpin(Arc<str>),
    /// The definitions that converts refer to.
    Enums(Arc<EnumDefs>),
    /// The options of a tuning changed.
    Tuning(Arc<NamedTuning>),
    /// Points use another tuning from now on.
    Retune(Vec<(PointKey, Arc<NamedTuning>)>),
    /// Switch the connector off or on.
    Disable(bool),
    /// Close the session. It opens again when there is a reason to.
    Close,
    /// Open the session if it is not open, and ask for a sign of life.
    Ping,
}

/// What an action gave besides readings.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// Nothing.
    None,
    /// What the device says about itself: the answer to [`Action::Ping`].
    Ping(Tags),
    /// The answer to [`Action::Plan`].
    Plan(Vec<Request>),
    /// The answer to [`Action::Learn`].
    Learned(Vec<LearnRow>),
    /// The answer to [`Action::History`].
    History(Samples),
}

/// What the driver is to do, by the names of its methods.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Action {
    /// [`Driver::open`](crate::Driver::open).
    Open,
    /// [`Driver::close`](crate::Driver::close).
    Close,
    /// [`Driver::ping`](crate::Driver::ping).
    Ping,
    /// [`Driver::bind`](crate::Driver::bind).
    Bind(Vec<Binding>),
    /// [`Driver::unbind`](crate::Driver::unbind).
    Unbind(Vec<PointKey>),
    /// [`Driver::plan`](crate::Driver::plan) for the points of a bucket, or for points that are
    /// wanted out of turn.
    Plan(Vec<PointKey>, PlanFor),
    /// [`Driver::read`](crate::Driver::read).
    Read(Vec<Request>, PlanFor),
    /// [`Driver::poll`](crate::Driver::poll).
    Poll,
    /// [`Driver::write`](crate::Driver::write).
    Write(Vec<Write>),
    /// [`Driver::watch`](crate::Driver::watch).
    Watch(Vec<PointKey>),
    /// [`Driver::unwatch`](crate::Driver::unwatch).
    Unwatch(Vec<PointKey>),
    /// [`Driver::learn`](crate::Driver::learn).
    Learn(Option<LearnPath>),
    /// [`Driver::history`](crate::Driver::history).
    History(PointKey, Span),
}

impl Action {
    /// The name of the driver's method.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Close => "close",
            Self::Ping => "ping",
            Self::Bind(_) => "bind",
            Self::Unbind(_) => "unbind",
            Self::Plan(..) => "plan",
            Self::Read(..) => "read",
            Self::Poll => "poll",
            Self::Write(_) => "write",
            Self::Watch(_) => "watch",
            Self::Unwatch(_) => "unwatch",
            Self::Learn(_) => "learn",
            Self::History(..) => "history",
        }
    }
}

impl core::fmt::Display for Action {
    /// What is done, for a trace.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Open | Self::Close | Self::Ping | Self::Learn(None) => f.write_str(self.name()),
            Self::Bind(points) => write!(f, "bind {} points", points.len()),
            Self::Unbind(points) => write!(f, "unbind {} points", points.len()),
            Self::Plan(points, _) => write!(f, "plan {} points", points.len()),
            Self::Read(requests, plan_for) => {
                let points: usize = requests.iter().map(|request| request.points.len()).sum();
                match plan_for {
                    PlanFor::Quick => write!(f, "read {points} points out of turn"),
                    PlanFor::Bucket(at) => write!(f, "read {points} points of bucket {at}"),
                }
            }
            Self::Poll => f.write_str("poll manual"),
            Self::Write(writes) => write!(f, "write {} points", writes.len()),
            Self::Watch(points) => write!(f, "watch {} points", points.len()),
            Self::Unwatch(points) => write!(f, "unwatch {} points", points.len()),
            Self::History(key, span) => {
                write!(f, "history of point {} from {} to {}", key.slot, span.start, span.end)
            }
            Self::Learn(Some(at)) => write!(f, "learn at {at}"),
        }
    }
}

/// Whose plan it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum PlanFor {
    /// The bucket of this number.
    Bucket(usize),
    /// Points that are read once, out of turn.
    Quick,
}
