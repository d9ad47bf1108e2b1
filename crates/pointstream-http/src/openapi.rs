//! The description of the API, as OpenAPI.

use utoipa::openapi::path::{OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::{
    Content, HttpMethod, Info, ObjectBuilder, OpenApi, OpenApiBuilder, Paths, Required,
    ResponseBuilder, Type,
};

/// One operation: method, path, group, what it does, its parameters in the query, an example of its
/// body, the type of its answer.
struct Op {
    method: HttpMethod,
    path: &'static str,
    tag: &'static str,
    summary: &'static str,
    query: &'static [(&'static str, &'static str)],
    body: Option<&'static str>,
    answer: &'static str,
}

const fn get(
    path: &'static str,
    tag: &'static str,
    summary: &'static str,
    query: &'static [(&'static str, &'static str)],
) -> Op {
    Op { method: HttpMethod::Get, path, tag, summary, query, body: None, answer: JSON }
}

const fn post(
    path: &'static str,
    tag: &'static str,
    summary: &'static str,
    body: Option<&'static str>,
) -> Op {
    Op { method: HttpMethod::Post, path, tag, summary, query: &[], body, answer: JSON }
}

impl Op {
    const fn answering(mut self, answer: &'static str) -> Self {
        self.answer = answer;
        self
    }

    const fn with_query(mut self, query: &'static [(&'static str, &'static str)]) -> Self {
        self.query = query;
        self
    }

    const fn by(mut self, method: HttpMethod) -> Self {
        self.method = method;
        self
    }
}

const JSON: &str = "application/json";
const TEXT: &str = "text/plain";
const EVENTS: &str = "text/event-stream";

const RANGE: (&str, &str) =
    ("range", "today, yesterday, a date, two dates, two times, a time from which on, or last 24hr");
const ZONE: (&str, &str) = ("tz", "the time zone of dates and days, such as Europe/Berlin; UTC");

/// Every route of the API.
const OPS: &[Op] = &[
    get("/v1/topics", "topics", "The topics with their sizes and counters.", &[]),
    get("/v1/topics/{id}", "topics", "Follows a topic as an event stream.", &[]).answering(EVENTS),
    get("/v1/topics/{id}/snapshot", "topics", "The document of a topic as it is.", &[]),
    get("/v1/topic/{id}", "topics", "Another name of the stream of a topic.", &[])
        .answering(EVENTS),
    get("/latest/topics/{id}", "topics", "Another name of the stream of a topic.", &[])
        .answering(EVENTS),
    get("/v1/stream", "topics", "Follows several topics on one connection.", &[]).answering(EVENTS),
    post(
        "/v1/stream/{session}",
        "topics",
        "Changes which topics a connection follows.",
        Some("{}"),
    )
    .by(HttpMethod::Patch),
    post("/publish/v1/topics", "topics", "Publishes to several topics.", Some("{}")),
    post("/publish/v1/topics/{id}", "topics", "Publishes a document to a topic.", Some("{}")),
    post("/publish/v1/topics/{id}/items/{item}", "topics", "Publishes one item.", Some("{}"))
        .by(HttpMethod::Put),
    get(
        "/v1/points",
        "points",
        "A page of the points; the Link header names the next.",
        &[
            ("filter", "a filter such as temp and connector == \"ahu\""),
            ("limit", "how many"),
            ("after", "only points whose id comes after this one"),
        ],
    ),
    get("/v1/points/{id}", "points", "One point.", &[]),
    get("/v1/points/{id}/details", "points", "What is known about a point, a fact a line.", &[])
        .answering(TEXT),
    get("/v1/points/{id}/write", "points", "The priority array of a point.", &[]),
    post(
        "/v1/points/{id}/write",
        "points",
        "Writes a level of a point's priority array, or releases it with null.",
        Some(r#"{"val":21.5,"level":8,"who":"ann","duration":"1hr"}"#),
    ),
    post("/v1/points/{id}/sync", "points", "Reads a point out of turn.", None),
    get(
        "/v1/points/{id}/his",
        "history",
        "Past values of a point, as they are or gathered.",
        &[
            RANGE,
            ZONE,
            ("interval", "gathers: 15min, 1hr, 1day, 1mo"),
            ("buckets", "gathers into about so many"),
            ("limit", "how many rows, 10,000 if left out"),
            ("format", "json, csv or ndjson"),
        ],
    ),
    post("/v1/points/{id}/his/sync", "history", "Fetches what the device keeps.", None)
        .with_query(&[RANGE, ZONE]),
    get("/v1/connectors", "connectors", "The connectors with their states.", &[]),
    get("/v1/connectors/{id}/details", "connectors", "What a connector knows about itself.", &[])
        .answering(TEXT),
    get("/v1/connectors/{id}/points", "connectors", "The ids of a connector's points.", &[]),
    post(
        "/v1/connectors/{id}/points",
        "connectors",
        "Adds points to a connector in the configuration file.",
        Some(
            r#"{"points":[{"id":"ahu.temp","kind":"Number","unit":"°C","cur":"input:30001:s2"}]}"#,
        ),
    ),
    get(
        "/v1/connectors/{id}/learn",
        "connectors",
        "One level of the tree of a connector's device.",
        &[("at", "the learn of the row that led here; the root if left out")],
    ),
    get(
        "/v1/connectors/{id}/trace",
        "connectors",
        "What a connector and its device said; from there on as it comes for who accepts events.",
        &[("since", "the next of the last answer")],
    ),
    post(
        "/v1/connectors/{id}/trace",
        "connectors",
        "Switches the trace on or off, or clears it.",
        Some(r#"{"on":true}"#),
    ),
    post("/v1/connectors/{id}/{act}", "connectors", "Has it ping, open or close.", None),
    post("/v1/config/restore", "service", "Brings the configuration file before back.", None),
    get("/healthz", "service", "Whether the server answers.", &[]),
    get("/metrics", "service", "Counters in the text format of Prometheus.", &[]).answering(TEXT),
    get("/openapi.json", "service", "This description.", &[]),
];

/// The description as a document.
pub(crate) fn document() -> OpenApi {
    let mut paths = Paths::new();
    for op in OPS {
        paths.add_path_operation(op.path, vec![op.method.clone()], operation(op));
    }
    let info = Info::new("pointstream", env!("CARGO_PKG_VERSION"));
    OpenApiBuilder::new().info(info).paths(paths).build()
}

fn operation(op: &Op) -> utoipa::openapi::path::Operation {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let mut operation = OperationBuilder::new().tag(op.tag).summary(Some(op.summary));
    for part in op.path.split('/') {
        if let Some(name) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path);
            let parameter = parameter.required(Required::True).schema(Some(text()));
            operation = operation.parameter(parameter);
        }
    }
    for (name, about) in op.query {
        let parameter = ParameterBuilder::new().name(*name).parameter_in(ParameterIn::Query);
        let parameter = parameter.required(Required::False).description(Some(*about));
        operation = operation.parameter(parameter.schema(Some(text())));
    }
    if let Some(example) = op.body {
        let example: serde_json::Value = serde_json::from_str(example).unwrap_or_default();
        let content = Content::new(Some(ObjectBuilder::new().examples([example])));
        let body = RequestBodyBuilder::new().content(JSON, content).required(Some(Required::True));
        operation = operation.request_body(Some(body.build()));
    }
    let content = Content::new(Some(ObjectBuilder::new()));
    let ok = ResponseBuilder::new().description("As asked.").content(op.answer, content);
    let error = ResponseBuilder::new()
        .description("{\"error\":{\"status\":…,\"title\":…,\"detail\":…}}")
        .content(JSON, Content::new(Some(ObjectBuilder::new())));
    operation.response("200", ok.build()).response("default", error.build()).build()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let source = include_str!("routes.rs");
        let route = |piece: &'static str| piece.split('"').nth(1);
        let routes: BTreeSet<&str> = source.split(".route(").skip(1).filter_map(route).collect();
        let described: BTreeSet<&str> = OPS.iter().map(|op| op.path).collect();
        let routes: BTreeSet<&str> =
            routes.into_iter().filter(|path| path.starts_with('/')).collect();
        assert_eq!(described, routes);
        for body in OPS.iter().filter_map(|op| op.body) {
            assert!(serde_json::from_str::<serde_json::Value>(body).is_ok(), "{body}");
        }
        let json = serde_json::to_value(document()).unwrap();
        let learn = &json["paths"]["/v1/connectors/{id}/learn"]["get"];
        assert_eq!(learn["parameters"].as_array().map(Vec::len), Some(2));
    }
}
