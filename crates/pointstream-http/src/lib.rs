//! The HTTP face of pointstream.
//!
//! | route | what it gives |
//! |---|---|
//! | `GET /v1/topics` | the topics |
//! | `GET /v1/topics/{id}` | a topic as Server-Sent Events: `data`, then `patch` |
//! | `GET /v1/topics/{id}` with `Upgrade: websocket` | the same as messages `{"id": …, "type": "patch", "data": …}` |
//! | `GET /{url}` | the topic whose source has this URL, or that this URL is of, as a stream |
//! | `GET /v1/topics/{id}/snapshot` | a topic's document, with an `ETag` |
//! | `GET /v1/stream?topic=A&topic=B` | several topics as one stream |
//! | `PATCH /v1/stream/{session}` | changes the topics of such a stream: `{"add": […], "remove": […]}` |
//! | `POST`, `PATCH /publish/v1/topics/{id}` | publishes to a topic that is open to it |
//! | `DELETE /publish/v1/topics/{id}/items/{item}` | removes an item |
//! | `POST /publish/v1/topics` | publishes to several topics |
//! | `GET /v1/points`, `GET /v1/points/{id}` | the points |
//! | `POST /v1/points/{id}/write` | writes a value: `{"val": …}` |
//! | `GET /v1/connectors` | the connectors |
//! | `GET /v1/connectors/{id}/observe?filter=…` | what its device sends beside its points, as Server-Sent Events |
//! | `GET /healthz` | whether the process answers |
//! | `GET /metrics` | counters in the text format of Prometheus |
//! | `GET /` | the console page |
//!
//! Topics come from a [`Hub`](pointstream_hub::Hub), everything else through [`Admin`]. [`Server`]
//! listens and serves; [`router`] gives the same routes to an application that has a server.
//!
//! # What a browser may do
//!
//! Every request must name a host that is this server's own address or among
//! [`Options::allowed_hosts`], so that a name which a stranger points at this machine opens nothing;
//! a request with an `Origin` must come from such a host too, or be among
//! [`Options::allowed_origins`], whose pages are sent CORS headers, never with credentials. Writes
//! need `Content-Type: application/json`. With a [`Token`], every request but those for `/healthz`
//! and the console's files must carry it, as `Authorization: Bearer` or, since an `EventSource`
//! cannot send headers, as the query's `access_token`.
//!
//! # What a slow or dead client costs
//!
//! An event stream is a cursor on the hub's shared bytes: the transport pulls the next event when
//! it can write, and one that cannot keep up is given the present document later. A connection that
//! takes nothing for [`Limits::stall_timeout`] while there is something to write is closed.

mod accept;
mod admin;
mod body;
mod clock;
mod console;
mod cors;
mod direct;
mod error;
mod follow;
mod functions;
mod guard;
mod gzip;
mod his;
mod hosts;
mod io;
mod metrics;
mod mount;
mod observe;
mod openapi;
mod options;
mod query;
mod routes;
mod server;
mod sse;
mod state;
mod syncs;
mod time;
mod wants;

pub use admin::{
    Admin, BoxFuture, ConnectorView, LevelView, LevelsView, PointView, PointsPage, PointsQuery,
    QueryError, SyncTell, TopicsOnly, WriteError, WriteOutcome,
};
pub use console::{CONSOLE, StaticFile};
pub use error::BindError;
pub use functions::{
    AddPoint, AddTo, ChangeError, ConnAct, ConnError, TraceFeed, TraceRow, TraceView,
};
pub use his::{HisAnswer, HisQuery, HisReadError, HisRows};
pub use mount::{Mount, MountRequest, Mounted};
pub use observe::{Heard, ObserveFeed, ObserveView};
pub use options::{Limits, Options, Token};
pub use routes::router;
pub use server::Server;
pub use time::keep_time;
