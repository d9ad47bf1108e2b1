use std::sync::Arc;
use std::task::{Context, Poll};

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use pointstream_hub::{ErrorCode, Fault, Group, GroupEvent};

use super::{Heartbeat, Session, headers_of, json_of};
use crate::body;
use crate::state::{App, Connection};

/// What a stream of several topics says: first its session, then the events of its topics, each with
/// its topic as the first member of a wrapper and the states of all topics as its id.
pub(crate) struct GroupFeed {
    pub(super) app: Arc<App>,
    pub(super) opening: Option<Bytes>,
    /// None once it has ended.
    pub(super) group: Option<Group>,
    pub(super) heartbeat: Heartbeat,
    pub(super) connection: Option<Arc<Connection>>,
    pub(super) session: Session,
}

impl GroupFeed {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(opening) = self.opening.take() {
            return self.give(opening);
        }
        if self.connection.as_ref().is_some_and(|connection| connection.is_closing()) {
            self.group = None;
        }
        let Some(group) = &mut self.group else { return Poll::Ready(None) };
        match group.poll_event(cx) {
            Poll::Ready(event) => {
                let bytes = frame(&event, self.session);
                self.give(bytes)
            }
            Poll::Pending if self.heartbeat.poll_due(cx) => self.give(Bytes::from_static(b":\n\n")),
            Poll::Pending => Poll::Pending,
        }
    }

    fn give(&mut self, bytes: Bytes) -> Poll<Option<Bytes>> {
        self.heartbeat.on_write();
        Poll::Ready(Some(bytes))
    }
}

/// An event of one topic, in its wrapper.
fn frame(event: &GroupEvent, session: Session) -> Bytes {
    let GroupEvent { topic, event, position, .. } = event;
    let wrap = |name: &str, id: &str, body: &[u8]| {
        let mut frame = Vec::with_capacity(body.len() + id.len() + 128);
        frame.extend_from_slice(id.as_bytes());
        // The alphabet of a topic's id needs no escapes.
        let head = format!("event: {name}\ndata: {{\"topic\":\"{topic}\",\"data\":");
        frame.extend_from_slice(head.as_bytes());
        frame.extend_from_slice(body);
        frame.extend_from_slice(b"}\n\n");
        Bytes::from(frame)
    };
    let error = |fault: &Fault| wrap("error", "", json_of(fault, session).as_bytes());
    match event {
        Err(_) => error(&Fault::new(ErrorCode::Topic, "The topic was removed.")),
        Ok(event) => match (event.fault(), event.has_id()) {
            (Some(fault), _) => error(fault),
            (None, true) => {
                let id = format!("id: {position}\n");
                wrap(event.kind().as_str(), &id, &event.body())
            }
            (None, false) => wrap(event.kind().as_str(), "", &event.body()),
        },
    }
}

impl Drop for GroupFeed {
    fn drop(&mut self) {
        self.app.groups.remove(self.session);
    }
}

impl IntoResponse for GroupFeed {
    fn into_response(mut self) -> Response {
        let headers = headers_of(self.session);
        let mut response = Response::new(body::streamed(move |cx| self.poll_piece(cx)));
        *response.headers_mut() = headers;
        response
    }
}
