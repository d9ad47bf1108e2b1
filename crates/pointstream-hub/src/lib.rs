//! The topic hub: what is published once reaches every subscriber as the same bytes.
//!
//! A *topic* is a JSON document with a [`Revision`]. Each publication that changes it is diffed
//! once, or edited row by row, and becomes one [`Event`] whose bytes all subscribers share. A
//! subscriber is a cursor on the topic's ring of events, never a queue: one that falls out of the
//! ring is given the present document instead of what it missed, so that no reader, however slow,
//! costs memory or delays a publisher.
//!
//! [`Topic`] is the machine, without locks and wakers; [`Hub`] is the handle that threads and tasks
//! share. Neither assumes a runtime: a [`Subscription`] is polled with any [`core::task::Waker`],
//! or used as a `futures` stream.
//!
//! ```
//! use pointstream_hub::{Hub, Limits, Mode, TopicOptions};
//! use pointstream_time::Seed;
//!
//! let hub = Hub::new(Limits::default(), Seed::new(1));
//! hub.create("plant", TopicOptions::text())?;
//! hub.publish("plant", br#"{"temp": 21.5}"#)?;
//! let mut subscription = hub.subscribe("plant", Mode::Patch, None)?;
//! hub.publish("plant", br#"{"temp": 21.6}"#)?;
//! let event = subscription.try_next().transpose()?.expect("the topic has a document");
//! assert_eq!(&event.body()[..], br#"{"temp":21.6}"#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod demand;
mod edit;
mod error;
mod event;
mod hub;
mod json;
mod limits;
mod revision;
mod ring;
mod slots;
mod stats;
mod subscription;
mod topic;
mod topic_id;

pub use edit::Edit;
pub use error::{Ended, Error};
pub use event::{Event, EventKind};
pub use hub::{Hub, Published, Snapshot, TopicInfo};
pub use limits::Limits;
pub use revision::{Epoch, Revision, RevisionError};
pub use stats::Stats;
pub use subscription::Subscription;
pub use topic::{Cursor, Mode, Topic, TopicKind, TopicOptions};
pub use topic_id::{TopicId, TopicIdError};
