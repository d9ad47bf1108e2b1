//! Messages that a connector's device sends beside its points.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;

use crate::BoxFuture;
use crate::follow::{Followed, Look};
use crate::functions::millis;

/// What is observed for one reader, since it began.
pub trait ObserveFeed: Send + Sync + 'static {
    /// The messages from the number `seq` on.
    fn since(&self, seq: u64) -> ObserveView;

    /// Waits until there is a message of the number `seq`, or the end.
    ///
    /// *Cancel safety*: cancel-safe, nothing is taken.
    fn changed(self: Arc<Self>, seq: u64) -> BoxFuture<'static, ()>;
}

/// What a reader has not seen yet.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ObserveView {
    /// The number to ask from next time.
    pub next: u64,
    /// How many messages went by unseen.
    pub missed: u64,
    /// The messages.
    pub messages: Vec<Arc<Heard>>,
    /// Why there are no more to come, if so.
    pub over: Option<String>,
}

/// A message.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
#[serde(rename_all = "camelCase")]
pub struct Heard {
    /// When it came.
    #[serde(serialize_with = "millis")]
    pub ts: Timestamp,
    /// Where from.
    pub topic: Box<str>,
    /// What it says, where that is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    /// What it says, where it is none: two hexadecimal digits a byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hex: Option<String>,
    /// The quality of service with which it came.
    pub qos: u8,
    /// Whether it was there before.
    pub retain: bool,
}

impl ObserveView {
    /// Nothing, from a number on.
    pub fn new(next: u64) -> Self {
        Self { next, ..Self::default() }
    }
}

impl Heard {
    /// A message with its payload as it is best shown.
    pub fn new(ts: Timestamp, topic: Box<str>, payload: &[u8], qos: u8, retain: bool) -> Self {
        let (payload, hex) = match str::from_utf8(payload) {
            Ok(text) => (Some(text.to_owned()), None),
            Err(_) => (None, Some(payload.iter().map(|byte| format!("{byte:02x}")).collect())),
        };
        Self { ts, topic, payload, hex, qos, retain }
    }
}

/// As a stream: an event a message, one for those that were missed, and one for the end.
pub(crate) struct Observing(pub(crate) Arc<dyn ObserveFeed>);

impl Followed for Observing {
    fn look(&self, seq: u64, first: bool) -> Look {
        let view = self.0.since(seq);
        // A comment shows at once that the stream stands.
        let mut text = if first { ":\n\n".to_owned() } else { String::new() };
        if view.missed > 0 {
            text.push_str(&format!("event: missed\ndata: {{\"missed\":{}}}\n\n", view.missed));
        }
        for message in &view.messages {
            // A flat struct of strings and numbers cannot fail.
            let json = serde_json::to_string(&**message).unwrap_or_default();
            text.push_str(&format!("event: message\ndata: {json}\n\n"));
        }
        if let Some(reason) = &view.over {
            let json = serde_json::json!({ "err": reason });
            text.push_str(&format!("event: error\ndata: {json}\n\n"));
        }
        let event = (!text.is_empty()).then(|| Bytes::from(text));
        Look { next: view.next, event, over: view.over.is_some() }
    }

    fn changed(self: Arc<Self>, seq: u64) -> BoxFuture<'static, ()> {
        Arc::clone(&self.0).changed(seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(ObserveView);

    impl ObserveFeed for Fixed {
        fn since(&self, _: u64) -> ObserveView {
            self.0.clone()
        }

        fn changed(self: Arc<Self>, _: u64) -> BoxFuture<'static, ()> {
            Box::pin(core::future::pending())
        }
    }

    fn look(view: ObserveView, first: bool) -> (String, bool) {
        let look = Observing(Arc::new(Fixed(view))).look(0, first);
        let event = look.event.unwrap_or_default();
        (String::from_utf8(event.to_vec()).unwrap(), look.over)
    }

    #[test]
    fn messages_what_was_missed_and_the_end_are_events() {
        assert_eq!(look(ObserveView::new(0), true), (":\n\n".to_owned(), false));
        assert_eq!(look(ObserveView::new(0), false), (String::new(), false));
        let heard = |payload: &[u8]| {
            Arc::new(Heard::new(Timestamp::UNIX_EPOCH, "a/b".into(), payload, 1, false))
        };
        let mut view = ObserveView::new(2);
        view.missed = 3;
        view.messages = vec![heard(b"x\"\n"), heard(&[0xff, 0])];
        view.over = Some("gone".into());
        let expected = "event: missed\ndata: {\"missed\":3}\n\n\
             event: message\ndata: {\"ts\":\"1970-01-01T00:00:00.000Z\",\"topic\":\"a/b\",\
             \"payload\":\"x\\\"\\n\",\"qos\":1,\"retain\":false}\n\n\
             event: message\ndata: {\"ts\":\"1970-01-01T00:00:00.000Z\",\"topic\":\"a/b\",\
             \"hex\":\"ff00\",\"qos\":1,\"retain\":false}\n\n\
             event: error\ndata: {\"err\":\"gone\"}\n\n";
        assert_eq!(look(view, false), (expected.to_owned(), true));
    }
}
