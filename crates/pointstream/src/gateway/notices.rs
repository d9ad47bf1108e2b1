//! The states of connectors as a topic: each change is an event with its cause, and an error that
//! comes again and again is one with a count.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use pointstream_conn::{ConnState, ConnView};
use pointstream_hub::{Hub, TopicOptions};
use pointstream_patch::RowKey;
use pointstream_point::{Id, Status};
use pointstream_time::Instant;
use serde::Serialize;

/// The topic, whose document has a row for each connector.
pub(crate) const TOPIC: &str = "pointstream:connectors";

/// How often a connector that fails for one reason again and again says so.
const REPEAT: Duration = Duration::from_secs(10);

/// What has been told of each connector.
#[derive(Debug, Default)]
pub(super) struct Notices(BTreeMap<Id, Notice>);

#[derive(Debug, Default)]
struct Notice {
    state: ConnState,
    status: Status,
    err: Option<Arc<str>>,
    /// How often the session was lost, or could not be opened, for this reason.
    errors: u64,
    told: Option<Instant>,
    row: Option<RowKey>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    conn_state: &'static str,
    conn_status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    conn_err: Option<&'a str>,
    /// How often for this reason.
    #[serde(skip_serializing_if = "is_none")]
    errors: u64,
    ts: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes by reference")]
const fn is_none(count: &u64) -> bool {
    *count == 0
}

impl Notice {
    /// Takes note of what a connector shows. Gives whether it is to be told.
    fn on_view(&mut self, at: Instant, view: &ConnView) -> bool {
        let same = self.status == view.status && self.err == view.err;
        let moved = self.state != view.state;
        (self.state, self.status) = (view.state, view.status);
        if !same {
            self.errors = u64::from(view.err.is_some());
            self.err.clone_from(&view.err);
        } else if self.err.is_some() && moved && view.state == ConnState::Closed {
            self.errors += 1;
        }
        let due = self.told.is_none_or(|told| at.since(told) >= REPEAT);
        let tell = if same && self.err.is_some() { moved && due } else { !same || moved };
        if tell || self.told.is_none() {
            self.told = Some(at);
            return true;
        }
        false
    }
}

impl Notices {
    /// Makes the topic, once.
    pub(super) fn open(hub: &Hub) {
        if let Err(error) = hub.create(TOPIC, TopicOptions::rows()) {
            tracing::warn!(topic = TOPIC, %error, "There is no topic of connectors.");
        }
    }

    /// A connector shows this.
    pub(super) fn on_view(
        &mut self,
        hub: &Hub,
        id: &Id,
        (at, wall): (Instant, Timestamp),
        view: &ConnView,
    ) {
        let notice = self.0.entry(id.clone()).or_default();
        if !notice.on_view(at, view) {
            return;
        }
        let row = Row {
            conn_state: view.state.as_str(),
            conn_status: view.status,
            conn_err: view.err.as_deref(),
            errors: notice.errors,
            ts: format!("{wall:.3}"),
        };
        // A flat struct of strings and numbers cannot fail.
        let text = serde_json::to_string(&row).unwrap_or_default();
        let edited = hub.edit(TOPIC, |edit| match notice.row {
            Some(row) => edit.set(row, &text).map(drop),
            None => edit.insert(id.as_str(), &text).map(|row| notice.row = Some(row)),
        });
        match edited {
            Ok((Err(error), _)) => tracing::warn!(conn = %id, %error, "A row was left out."),
            Ok((Ok(()), _)) => {}
            Err(error) => tracing::debug!(topic = TOPIC, %error, "The topic took no change."),
        }
    }

    /// A connector is no more.
    pub(super) fn forget(&mut self, hub: &Hub, id: &Id) {
        let row = self.0.remove(id).and_then(|notice| notice.row);
        if let Some(row) = row {
            // A topic that is gone has no row either.
            let _ = hub.edit(TOPIC, |edit| edit.remove(row));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Instant {
        Instant::from_origin(Duration::from_secs(secs))
    }

    fn view(state: ConnState, status: Status, err: Option<&str>) -> ConnView {
        let mut view = ConnView::default();
        (view.state, view.status, view.err) = (state, status, err.map(Into::into));
        view
    }

    #[test]
    fn every_change_is_told_and_one_error_again_and_again_is_counted_and_told_seldom() {
        let mut notice = Notice::default();
        let down = |state| view(state, Status::Down, Some("no route"));
        assert!(notice.on_view(at(0), &view(ConnState::Opening, Status::Unknown, None)));
        assert!(notice.on_view(at(1), &view(ConnState::Open, Status::Ok, None)));
        assert!(notice.on_view(at(2), &down(ConnState::Closed)));
        assert_eq!(notice.errors, 1);
        let mut told = 0;
        for second in 3..103 {
            notice.on_view(at(second), &down(ConnState::Opening)).then(|| told += 1);
            notice.on_view(at(second), &down(ConnState::Closed)).then(|| told += 1);
        }
        assert_eq!((notice.errors, told), (101, 10));
        let other = view(ConnState::Closed, Status::Down, Some("refused"));
        assert!(notice.on_view(at(103), &other), "another reason is told at once");
        assert_eq!(notice.errors, 1);
        assert!(notice.on_view(at(104), &view(ConnState::Open, Status::Ok, None)));
    }
}
