//! The connector framework.
//!
//! A *connector* is this side's end of one external system. Its [`Driver`] turns operations into
//! bytes; its machine, [`Connector`], decides when they happen, keeps the state of its points and
//! is as pure as a function: told the time, given inputs, asked for actions. The shell in `shell`
//! is the loop that joins the two. A [`Registry`] makes drivers by name.

mod action;
mod bucket;
mod config;
mod connector;
mod details;
mod driver;
mod dyn_driver;
mod readings;
mod registry;
mod samples;
mod shard;
mod shell;
mod trace;
mod view;
mod writes;

pub use action::{Action, Input, Outcome, PlanFor};
pub use config::{ConnConfig, NamedTuning, PointDef};
pub use connector::Connector;
pub use details::{ConnTimes, Details};
pub use driver::{Binding, Driver, Features, Learn, OpError, Request, Write};
pub use readings::{Reading, Readings};
pub use registry::{AnyDriver, Context, MakeError, Registry};
pub use samples::Samples;
pub use shell::{Clock, Follower, Handle, Room, Shell, Writing};
pub use trace::{Trace, TraceBatch, TraceEntry, TraceKind};
pub use view::{BucketView, Changes, ConnState, ConnView, Event, PollStats, PollTimes, WriteDone};
