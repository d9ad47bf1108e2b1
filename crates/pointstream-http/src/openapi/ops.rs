//! The operations, in the order in which the page shows them.

use utoipa::openapi::HttpMethod;

use super::Op;

pub(super) const JSON: &str = "application/json";
const TEXT: &str = "text/plain";
const EVENTS: &str = "text/event-stream";
const CSV: &str = "text/csv";
const LINES: &str = "application/x-ndjson";

type Pairs = &'static [(&'static str, &'static str)];

/// What a stream takes besides.
const STREAM: Pairs = &[
    ("X-Sd-Mode", "patch or snapshot, where the Accept header does not say it"),
    ("X-Sd-Filter", "only the items of these ids, by commas"),
    ("X-Sd-Pointer", "only what this JSON Pointer points at"),
    ("X-Sd-Fields", "only these fields of each item, by commas"),
    ("X-Sd-Max-Rate", "at most so many events per second"),
    ("X-Sd-Deadband", "pointers with the least change of their numbers, as /temp:0.5, by commas"),
    ("X-Sd-Verify", "1 to have check sums sent along"),
    ("X-Sd-Compress", "true to have the stream packed with gzip"),
    ("X-Sd-Pad", "1 to have the stream begin with a padding"),
    ("lastEventId", "the id of the last event that was seen, as the header Last-Event-ID"),
    TOKEN,
];

const TOKEN: (&str, &str) = ("access_token", "the token, where headers cannot be sent");
const MODE: (&str, &str) = STREAM[0];

const RANGE: (&str, &str) = (
    "range",
    "today (if left out), yesterday, thisWeek, lastMonth, pastYear and the like, a date, two dates, \
     two times, a time from which on, last 24hr",
);
const ZONE: (&str, &str) = ("tz", "the time zone of dates and days, such as Europe/Berlin; UTC");
const SINCE: (&str, &str) = ("since", "the next of the last answer");

const fn get(path: &'static str, tag: &'static str, summary: &'static str, answer: Pairs) -> Op {
    Op { method: HttpMethod::Get, path, tag, summary, query: &[], body: &[], status: 200, answer }
}

const fn post(path: &'static str, tag: &'static str, summary: &'static str, answer: Pairs) -> Op {
    Op { method: HttpMethod::Post, ..get(path, tag, summary, answer) }
}

/// A stream of events.
const fn stream(path: &'static str, summary: &'static str) -> Op {
    get(path, "topics", summary, &[(EVENTS, "")]).asking(STREAM)
}

impl Op {
    const fn asking(mut self, query: Pairs) -> Self {
        self.query = query;
        self
    }

    const fn taking(mut self, body: Pairs) -> Self {
        self.body = body;
        self
    }

    const fn by(mut self, method: HttpMethod) -> Self {
        self.method = method;
        self
    }

    const fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }
}

/// A publication, in any of its forms.
const PUBLICATION: Pairs = &[
    (JSON, "Any"),
    (LINES, ""),
    ("application/json-patch+json", "Any"),
    ("application/merge-patch+json", "Any"),
];

/// Every operation of the API.
pub(super) const OPS: &[Op] = &[
    get("/v1/topics", "topics", "The topics with their sizes and counters.", &[(JSON, "Topics")]),
    stream("/v1/topics/{id}", "Follows a topic as an event stream."),
    get(
        "/v1/topics/{id}/snapshot",
        "topics",
        "The document of a topic as it is; 304 for who has it by If-None-Match.",
        &[(JSON, "Any")],
    ),
    stream("/v1/topic/{id}", "Another name of the stream of a topic."),
    stream("/latest/topics/{id}", "Another name of the stream of a topic."),
    get("/v1/stream", "topics", "Follows several topics on one connection.", &[(EVENTS, "")])
        .asking(&[("topic", "a topic; once for each"), MODE, TOKEN]),
    post("/v1/stream/{session}", "topics", "Changes which topics a connection follows.", &[])
        .by(HttpMethod::Patch)
        .taking(&[(JSON, "GroupChange")])
        .with_status(204),
    post("/publish/v1/topics", "topics", "Publishes to several topics.", &[(JSON, "BatchResults")])
        .taking(&[(JSON, "Batch"), (LINES, "")]),
    post("/publish/v1/topics/{id}", "topics", "Publishes a document, items or a patch.", &[])
        .taking(PUBLICATION)
        .with_status(204),
    post("/publish/v1/topics/{id}", "topics", "Publishes a patch.", &[])
        .by(HttpMethod::Patch)
        .taking(&[("application/json-patch+json", "Any"), ("application/merge-patch+json", "Any")])
        .with_status(204),
    post("/publish/v1/topics/{id}/items/{item}", "topics", "Removes an item.", &[])
        .by(HttpMethod::Delete)
        .with_status(204),
    get(
        "/v1/points",
        "points",
        "A page of the points; the Link header names the next.",
        &[(JSON, "Points")],
    )
    .asking(&[
        ("filter", "a filter such as temp, or connector == \"ahu\" for those via a connector"),
        ("limit", "how many"),
        ("after", "only points whose id comes after this one"),
    ]),
    get("/v1/points/{id}", "points", "One point.", &[(JSON, "Point")]),
    get(
        "/v1/points/{id}/details",
        "points",
        "What is known about a point, a fact a line.",
        &[(TEXT, "")],
    ),
    get("/v1/points/{id}/write", "points", "The priority array of a point.", &[(JSON, "Levels")]),
    post(
        "/v1/points/{id}/write",
        "points",
        "Writes a level of a point's priority array, or releases it with null; 202 if it waits.",
        &[(JSON, "Written")],
    )
    .taking(&[(JSON, "Write")]),
    post("/v1/points/{id}/sync", "points", "Reads a point out of turn.", &[(JSON, "Point")]),
    get(
        "/v1/points/{id}/his",
        "history",
        "Past values of a point, as they are or gathered.",
        &[(JSON, "History"), (CSV, ""), (LINES, "")],
    )
    .asking(&[
        RANGE,
        ZONE,
        ("interval", "gathers: 15min, 1hr, 1day, 1mo"),
        ("buckets", "gathers into about so many"),
        ("limit", "how many rows, 10,000 if left out"),
        ("format", "json, csv or ndjson"),
    ]),
    post(
        "/v1/points/{id}/his/sync",
        "history",
        "Fetches what the device keeps, and waits for it.",
        &[(JSON, "Synced")],
    )
    .asking(&[RANGE, ZONE]),
    post(
        "/v1/his/sync",
        "history",
        "Begins to fetch what devices keep of points, of a connector, or of all.",
        &[(JSON, "Sync")],
    )
    .taking(&[(JSON, "StartSync")])
    .with_status(202),
    get(
        "/v1/his/sync",
        "history",
        "The synchronisations that run and the last ones that did, without their results.",
        &[(JSON, "Syncs")],
    ),
    get(
        "/v1/his/sync/{job}",
        "history",
        "How far it has come; from there on as it comes for who accepts events.",
        &[(JSON, "Sync"), (EVENTS, "")],
    )
    .asking(&[SINCE]),
    post("/v1/his/sync/{job}", "history", "Cancels it; what was fetched stays.", &[(JSON, "Sync")])
        .by(HttpMethod::Delete)
        .with_status(202),
    get(
        "/v1/connectors",
        "connectors",
        "The connectors with their states.",
        &[(JSON, "Connectors")],
    ),
    get(
        "/v1/connectors/{id}/details",
        "connectors",
        "What a connector knows about itself, also while its device hangs.",
        &[(TEXT, "")],
    ),
    get(
        "/v1/connectors/{id}/points",
        "connectors",
        "The ids of a connector's points.",
        &[(JSON, "Ids")],
    ),
    post(
        "/v1/connectors/{id}/points",
        "connectors",
        "Adds points to a connector in its CSV point file or in the configuration file.",
        &[(JSON, "Added")],
    )
    .taking(&[(JSON, "AddPoints")]),
    post(
        "/v1/connectors/{id}/points/restore",
        "connectors",
        "Brings the connector's CSV point file before its last change back.",
        &[(JSON, "Restored")],
    ),
    get(
        "/v1/connectors/{id}/learn",
        "connectors",
        "One level of the tree of a connector's device.",
        &[(JSON, "Learned")],
    )
    .asking(&[("at", "the learn of the row that led here; the root if left out")]),
    get(
        "/v1/connectors/{id}/trace",
        "connectors",
        "What a connector and its device said; from there on as it comes for who accepts events.",
        &[(JSON, "Trace"), (EVENTS, "")],
    )
    .asking(&[SINCE]),
    post(
        "/v1/connectors/{id}/trace",
        "connectors",
        "Switches the trace on or off, or clears it.",
        &[(JSON, "TraceState")],
    )
    .taking(&[(JSON, "SetTrace")]),
    get(
        "/v1/connectors/{id}/observe",
        "connectors",
        "What a connector's device sends beside its points: for MQTT, the messages of a filter.",
        &[(EVENTS, "")],
    )
    .asking(&[
        ("filter", "the topic filter"),
        ("qos", "0, 1 or 2; that of the connector if left out"),
    ]),
    post(
        "/v1/connectors/{id}/{act}",
        "connectors",
        "Has it ping, open or close.",
        &[(JSON, "Acted")],
    )
    .with_status(202),
    post(
        "/v1/config/restore",
        "service",
        "Brings the configuration file before its last change back.",
        &[(JSON, "Restored")],
    ),
    get("/healthz", "service", "Whether the server answers.", &[(JSON, "Health")]),
    get("/metrics", "service", "Counters in the text format of Prometheus.", &[(TEXT, "")]),
    get("/openapi.json", "service", "This description.", &[(JSON, "Any")]),
];
