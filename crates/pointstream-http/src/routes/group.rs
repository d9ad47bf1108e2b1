//! Several topics on one stream, which are changed while it runs (section 12.3 of the hub's
//! specification).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{Extensions, HeaderMap, StatusCode, Uri};
use pointstream_hub::{Error, Group, GroupHandle, Position, Subscribe, TopicId};
use serde::Deserialize;

use super::topics::refusal;
use crate::body;
use crate::error::ApiError;
use crate::query::Query;
use crate::sse::{Session, Stream};
use crate::state::{App, Connection};
use crate::wants;

/// The streams of several topics that run, by their sessions. There are no more than connections.
#[derive(Debug, Default)]
pub(crate) struct Groups(Mutex<BTreeMap<Session, Entry>>);

/// A stream that runs.
#[derive(Clone, Debug)]
struct Entry {
    handle: GroupHandle,
    /// What it wants of each topic.
    wanted: Subscribe,
}

impl Groups {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Session, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stream has ended.
    pub(crate) fn remove(&self, session: Session) {
        self.lock().remove(&session);
    }
}

/// `GET /v1/stream?topic=A&topic=B`.
pub(super) async fn stream(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
    extensions: Extensions,
) -> Response {
    let stream = Stream::new(Arc::clone(&app)).padded(wants::pad(&uri, &headers));
    match open(&app, &uri, &headers) {
        Ok((group, entry)) => {
            let connection = extensions.get::<Arc<Connection>>().map(Arc::clone);
            app.groups.lock().insert(stream.session(), entry);
            stream.follow_group(group, connection).into_response()
        }
        Err(fault) => stream.refuse(&fault).into_response(),
    }
}

fn open(
    app: &App,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<(Group, Entry), pointstream_hub::Fault> {
    let mut wanted = wants::subscribe(uri, headers)?;
    // Each topic has its own.
    wanted.last = None;
    let query = Query::of(uri);
    let position = wants::last_event_id_text(headers, &query).map(Position::parse);
    let (group, handle) = Group::new(&app.hub);
    let topics = query.all("topic").map(|topic| {
        let topic: TopicId = topic.parse().map_err(|_| Error::UnknownTopic)?;
        let mut wanted = wanted.clone();
        wanted.last = position.as_ref().and_then(|position| position.of(&topic));
        Ok((topic, wanted))
    });
    let topics = topics.collect::<Result<Vec<_>, Error>>().map_err(|error| refusal(&error))?;
    handle.change(&topics, &[]).map_err(|error| refusal(&error))?;
    Ok((group, Entry { handle, wanted }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    #[serde(default)]
    add: Vec<String>,
    #[serde(default)]
    remove: Vec<String>,
}

/// `PATCH /v1/stream/{session}` with `{"add": […], "remove": […]}`.
pub(super) async fn change(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let session = super::id(path)?;
    let entry = session.parse().ok().and_then(|id: Session| app.groups.lock().get(&id).cloned());
    let entry = entry.ok_or_else(|| {
        let detail = "There is no stream of this session; its first event names it.";
        ApiError::not_found("Unknown stream", detail)
    })?;
    let change: Change = body::read_json(&headers, body, &app.options.limits).await?;
    let topic = |text: &String| text.parse::<TopicId>().map_err(|_| refused(&Error::UnknownTopic));
    let add = change.add.iter().map(|text| Ok((topic(text)?, entry.wanted.clone())));
    let add = add.collect::<Result<Vec<_>, ApiError>>()?;
    let remove = change.remove.iter().map(topic).collect::<Result<Vec<_>, ApiError>>()?;
    entry.handle.change(&add, &remove).map_err(|error| refused(&error))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn refused(error: &Error) -> ApiError {
    let detail = format!("The stream's topics stay as they are. {}", refusal(error).message);
    match error {
        Error::UnknownTopic => ApiError::not_found("Unknown topic", detail),
        Error::SubscribersMax { .. } | Error::ViewsMax { .. } | Error::GroupMax { .. } => {
            ApiError::new(StatusCode::CONFLICT, "Too many", detail)
        }
        _ => ApiError::bad_request("Bad change", detail),
    }
}
