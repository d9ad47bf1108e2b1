//! Time as a value.
//!
//! The cores of pointstream read no clock: they are told the time by whoever drives them. This
//! crate holds what they need for that: [`Instant`], a point on a monotonic line whose origin the
//! driver chooses; [`Backoff`], the delay before the next attempt, with jitter from a seed; and
//! [`Deadlines`], a queue of keys by due time.
//!
//! `no_std` with `alloc`; no dependency.

#![no_std]

extern crate alloc;

mod backoff;
mod deadlines;
mod instant;
mod seed;

pub use backoff::Backoff;
pub use deadlines::Deadlines;
pub use instant::Instant;
pub use seed::Seed;
