//! The description of the API, as OpenAPI.

use utoipa::openapi::path::{
    Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::{
    Content, HttpMethod, Info, ObjectBuilder, OpenApiBuilder, Paths, Ref, Required,
    ResponseBuilder, Type,
};

mod ops;

use ops::OPS;

/// One operation.
struct Op {
    method: HttpMethod,
    path: &'static str,
    /// Its group.
    tag: &'static str,
    summary: &'static str,
    /// The parameters in the query, each with what it means.
    query: &'static [(&'static str, &'static str)],
    /// The types of its body, each with its schema.
    body: &'static [(&'static str, &'static str)],
    /// The status of its success, and the types of its answer, each with its schema.
    status: u16,
    answer: &'static [(&'static str, &'static str)],
}

/// The schemas that operations name.
const SCHEMAS: &str = include_str!("openapi/schemas.json");

/// The description as a document.
pub(crate) fn document() -> serde_json::Value {
    let mut paths = Paths::new();
    for op in OPS {
        paths.add_path_operation(op.path, vec![op.method.clone()], operation(op));
    }
    let info = Info::new("pointstream", env!("CARGO_PKG_VERSION"));
    let api = OpenApiBuilder::new().info(info).paths(paths).build();
    // Both are checked by a test, and are the same each time.
    let mut document = serde_json::to_value(api).unwrap_or_default();
    let schemas: serde_json::Value = serde_json::from_str(SCHEMAS).unwrap_or_default();
    document["components"]["schemas"] = schemas;
    document
}

fn operation(op: &Op) -> Operation {
    let mut operation = OperationBuilder::new().tag(op.tag).summary(Some(op.summary));
    for part in op.path.split('/') {
        if let Some(name) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            operation = operation.parameter(parameter(name, None));
        }
    }
    for (name, about) in op.query {
        operation = operation.parameter(parameter(name, Some(about)));
    }
    if !op.body.is_empty() {
        let mut body = RequestBodyBuilder::new().required(Some(Required::True));
        for (content_type, schema) in op.body {
            body = body.content(*content_type, content(schema));
        }
        operation = operation.request_body(Some(body.build()));
    }
    let mut ok = ResponseBuilder::new().description("As asked.");
    for (content_type, schema) in op.answer {
        ok = ok.content(*content_type, content(schema));
    }
    let error = ResponseBuilder::new().description("Why not.").content(ops::JSON, content("Error"));
    let status = op.status.to_string();
    operation.response(status, ok.build()).response("default", error.build()).build()
}

/// A parameter of the path, or of the query if it says what it is about.
fn parameter(name: &str, about: Option<&str>) -> Parameter {
    let (place, required) = match about {
        None => (ParameterIn::Path, Required::True),
        Some(_) => (ParameterIn::Query, Required::False),
    };
    let text = ObjectBuilder::new().schema_type(Type::String);
    let parameter = ParameterBuilder::new().name(name).parameter_in(place).required(required);
    parameter.description(about).schema(Some(text)).build()
}

/// What is of a schema; text that has none is a string.
fn content(schema: &str) -> Content {
    match schema {
        "" => Content::new(Some(ObjectBuilder::new().schema_type(Type::String))),
        schema => Content::new(Some(Ref::from_schema_name(schema))),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The routes of the router's source: each path with the methods that it takes. Of one that
    /// takes any, the handler decides, and nothing is known here.
    fn routes() -> Vec<(String, Vec<&'static str>)> {
        let source = include_str!("routes.rs");
        let pieces = source.split(".route(").skip(1);
        let route = |piece: &str| {
            let (path, handlers) = piece.strip_prefix('"')?.split_once('"')?;
            let handlers = handlers.split(".route(").next()?.split(';').next()?;
            let methods = ["get", "post", "put", "patch", "delete"];
            let taken = methods.into_iter().filter(|method| {
                [" ", "."].iter().any(|before| handlers.contains(&format!("{before}{method}(")))
            });
            Some((path.to_owned(), taken.collect()))
        };
        pieces.filter_map(route).collect()
    }

    #[test]
    fn every_route_and_method_is_described_and_nothing_else() {
        let document = document();
        let paths = document["paths"].as_object().unwrap();
        let routes = routes();
        assert!(routes.len() > 25, "{routes:?}");
        let names: BTreeSet<&str> = routes.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(names, paths.keys().map(String::as_str).collect());
        for (path, methods) in &routes {
            let described: Vec<&str> =
                paths[path].as_object().unwrap().keys().map(String::as_str).collect();
            if methods.is_empty() {
                assert!(path.starts_with("/publish/"), "{path}");
            } else {
                let described: BTreeSet<&str> = described.into_iter().collect();
                assert_eq!(described, methods.iter().copied().collect(), "{path}");
            }
        }
    }

    #[test]
    fn every_schema_is_there_and_used() {
        let document = document();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let mut used = BTreeSet::new();
        refs(&document, &mut used);
        let known: BTreeSet<String> =
            schemas.keys().map(|name| format!("#/components/schemas/{name}")).collect();
        assert_eq!(used, known);
        assert_eq!(document["openapi"], "3.1.0");
        let learn = &document["paths"]["/v1/connectors/{id}/learn"]["get"];
        assert_eq!(learn["parameters"].as_array().map(Vec::len), Some(2));
        for (name, schema) in schemas {
            let text = name != "Id" && schema.get("type").is_none();
            let known =
                ["enum", "anyOf", "description"].iter().any(|key| schema.get(key).is_some());
            assert!(!text || known, "{name} says nothing");
        }
    }

    fn refs(value: &serde_json::Value, into: &mut BTreeSet<String>) {
        match value {
            serde_json::Value::Object(members) => {
                for (name, member) in members {
                    match member.as_str().filter(|_| name == "$ref") {
                        Some(target) => drop(into.insert(target.to_owned())),
                        None => refs(member, into),
                    }
                }
            }
            serde_json::Value::Array(members) => members.iter().for_each(|at| refs(at, into)),
            _ => {}
        }
    }
}
