//! The point model, without any I/O.
//!
//! A *point* is one sensor, setpoint or command of an external system. This crate holds what every
//! other crate says about points: [`Value`] and [`Unit`], [`Status`] and [`Fault`], [`Id`],
//! [`PointKey`] and [`Tags`], the [`Tuning`] that points share, the [`PointSpec`] that a
//! configuration gives, the [`Pipeline`] of [`Convert`]s through which a point's values go, the
//! [`PriorityArray`] of a writable point, and the state machines of its current value,
//! [`CurState`], of its writes, [`WriteState`], and of its history, [`HisState`].
//!
//! `no_std` with `alloc`. Times are values: an [`Instant`](pointstream_time::Instant) for delays, a
//! [`jiff::Timestamp`] for what is shown, both in a [`Now`].

#![no_std]

extern crate alloc;

mod address;
mod collect;
mod convert;
mod cur;
pub mod duration;
mod facet;
mod fault;
mod his;
mod history;
mod id;
mod kind;
mod learn;
mod now;
mod pipeline;
mod priority;
mod rollup;
mod spec;
mod status;
mod tags;
mod text;
mod tuning;
mod unit;
mod value;
mod write;

pub use address::Address;
pub use collect::{Collect, CollectState, Cov};
pub use convert::{
    Convert, ConvertCache, ConvertContext, ConvertError, ConvertFault, EnumDef, EnumDefs,
    EnumError, Expected,
};
pub use cur::{Cur, CurState, Sample, Times};
pub use facet::{Facet, FacetFaults, TagCheck};
pub use fault::{Fault, FaultKind};
pub use his::{His, HisState};
pub use history::{HisError, HisItem, HisRules, Span};
pub use id::{Id, IdError, PointKey};
pub use kind::{Kind, UnknownKind};
pub use learn::{LearnPath, LearnPathError, LearnRow, Learned};
pub use now::Now;
pub use pipeline::Pipeline;
pub use priority::{
    Effective, Level, LevelError, LevelWrite, PriorityArray, PriorityError, PriorityRow, Written,
};
pub use rollup::{Bucket, Interval, Rollup};
pub use spec::{More, PointMore, PointSpec, RangeError};
pub use status::{Status, UnknownStatus};
pub use tags::{Tag, Tags};
pub use text::Str;
pub use tuning::{Schedule, Tuning};
pub use unit::{Unit, UnitError};
pub use value::{DateTime, Value};
pub use write::{Write, WriteCause, WriteInfo, WriteState};
