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
//! let event = subscription.try_next().transpose()?.expect("the topic has a document");
//! assert_eq!(&event.body()[..], br#"{"temp":21.5}"#);
//! hub.publish("plant", br#"{"temp": 21.6}"#)?;
//! let event = subscription.try_next().transpose()?.expect("it has changed");
//! assert_eq!(&event.body()[..], br#"[{"op":"replace","path":"/temp","value":21.6}]"#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Publishing
//!
//! | topic | how it is published to |
//! |---|---|
//! | [`TopicOptions::text`] | [`Hub::publish`] with whole documents; with [`Hub::publish_with`] also a JSON Patch, a merge patch, or documents on lines |
//! | [`TopicOptions::items`] | [`Hub::publish`] with an array of items, which are told apart by their id and updated as [`UpdateMode`] says; [`Hub::remove_item`] |
//! | [`TopicOptions::rows`] | [`Hub::edit`], row by row, without any comparison |
//!
//! [`Published::revision`] is the state that holds when the call returns: who subscribes after that
//! sees it. [`Publication`] adds conditions: a state that must hold, a key that tells a repetition.
//! [`Hub::set_fault`] tells subscribers what is wrong with a topic's source.
//!
//! # Subscribing
//!
//! [`Hub::subscribe`] follows a topic as it is; [`Hub::subscribe_with`] a view of it that
//! [`ViewSpec`] describes: some items, a part of the document, some fields, at most some events a
//! second, numbers only when they have moved. Subscribers with equal wishes share one view, its
//! document and its bytes. Revisions of one view mean nothing to another.
//!
//! A [`Group`] follows several topics as one stream.
//!
//! An [`Event`] of kind [`EventKind::Error`] is a [`Fault`] and no change: whoever sends it writes
//! its body with [`Fault::json`].
//!
//! # Time
//!
//! A hub with a clock ([`Hub::with_clock`]) needs someone who calls [`Hub::handle_timeout`] when
//! [`Hub::poll_timeout`] says so, and looks again when [`Hub::timeout_moved`] returns. Documents and
//! items that end, and views with a rate, stand on that.

mod batch;
mod canonical;
mod demand;
mod edit;
mod error;
mod event;
mod fault;
mod group;
mod hub;
mod idempotency;
mod item_path;
mod items;
mod json;
mod lead;
mod limits;
mod options;
#[cfg(feature = "gzip")]
mod packed;
mod publication;
mod rate;
mod revision;
mod ring;
mod slots;
mod stats;
mod subscribe;
mod subscription;
mod text;
mod timers;
mod topic;
mod topic_id;
mod view_spec;

pub use batch::{BatchEntry, split_batch};
pub use edit::Edit;
pub use error::{Ended, Error};
pub use event::{Event, EventKind};
pub use fault::{ErrorCode, Fault};
pub use group::{Group, GroupEvent, GroupHandle, Position};
pub use hub::{Hub, Published, Snapshot, TopicInfo};
pub use item_path::{ItemIdPath, ItemIdPathError};
pub use lead::Lead;
pub use limits::Limits;
pub use options::{ItemOptions, Mode, TopicKind, TopicOptions, UpdateMode};
#[cfg(feature = "gzip")]
pub use packed::Packed;
pub use publication::{Payload, Publication};
pub use rate::Allowance;
pub use revision::{Epoch, Revision, RevisionError};
pub use stats::Stats;
pub use subscribe::Subscribe;
pub use subscription::Subscription;
pub use topic::{Cursor, Topic};
pub use topic_id::{TopicId, TopicIdError};
pub use view_spec::{ViewError, ViewSpec};
