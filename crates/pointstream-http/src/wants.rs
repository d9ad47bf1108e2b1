//! What a request for a stream wants (section 2 of the hub's specification), and what is wrong with it.

use std::borrow::Cow;

use http::{HeaderMap, Uri, header};
use pointstream_hub::{ErrorCode, Fault, Revision, Subscribe, ViewError, ViewSpec};

use crate::accept;
use crate::packing::Coding;
use crate::query::{self, Query};

/// What a request for a topic wants.
///
/// A parameter of the query wins over the header of the same name, but for `Last-Event-ID`, which
/// browsers send when they come back to the same address.
pub(crate) fn subscribe(uri: &Uri, headers: &HeaderMap) -> Result<Subscribe, Fault> {
    let query = Query::of(uri);
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let named = query.get("X-Sd-Mode").or_else(|| header(headers, "x-sd-mode"));
    let mode = accept::mode(named, accept).ok_or_else(|| bad(BAD_ACCEPT))?;
    let mut wanted = Subscribe::new(mode, last_event_id(headers, &query));
    wanted.view = view(uri, &query).map_err(bad)?;
    wanted.verify = match query.get("X-Sd-Verify").or_else(|| header(headers, "x-sd-verify")) {
        None | Some("0" | "false") => false,
        Some("1" | "true") => true,
        Some(_) => return Err(bad("X-Sd-Verify is 1 or 0.")),
    };
    Ok(wanted)
}

/// How a client wants its stream packed, if it wants that and can unpack it: both have to be said, since
/// many clients of event streams announce what they do not do well. What takes both gets gzip.
pub(crate) fn coding(uri: &Uri, headers: &HeaderMap) -> Option<Coding> {
    let query = Query::of(uri);
    let wanted = query.get("X-Sd-Compress").or_else(|| header(headers, "x-sd-compress"))?;
    if !wanted.eq_ignore_ascii_case("true") {
        return None;
    }
    let gzip = || admits(headers, &["gzip", "x-gzip"]).then_some(Coding::Gzip);
    gzip().or_else(|| admits(headers, &["deflate"]).then_some(Coding::Deflate))
}

/// Whether `Accept-Encoding` admits a coding, under one of its names (RFC 9110, section 12.5.3).
fn admits(headers: &HeaderMap, names: &[&str]) -> bool {
    let lists = headers.get_all(header::ACCEPT_ENCODING).iter();
    let codings = lists.filter_map(|list| list.to_str().ok()).flat_map(|list| list.split(','));
    let (mut named, mut any) = (None, None);
    for coding in codings {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let admitted = !parts.any(accept::is_refusal);
        if names.iter().any(|other| name.eq_ignore_ascii_case(other)) {
            named = Some(admitted);
        } else if name == "*" {
            any = Some(admitted);
        }
    }
    named.or(any).unwrap_or_default()
}

/// Whether the stream is to begin with a padding.
pub(crate) fn pad(uri: &Uri, headers: &HeaderMap) -> bool {
    let query = Query::of(uri);
    query.get("X-Sd-Pad").or_else(|| header(headers, "x-sd-pad")) == Some("1")
}

/// Where the client left off. What cannot be read is as good as nothing.
fn last_event_id(headers: &HeaderMap, query: &Query) -> Option<Revision> {
    last_event_id_text(headers, query)?.parse().ok()
}

/// Where the client left off, as it says so.
pub(crate) fn last_event_id_text<'a>(headers: &'a HeaderMap, query: &'a Query) -> Option<&'a str> {
    let given = header(headers, "last-event-id")
        .or_else(|| query.get("X-Sd-Last-Event-Id"))
        .or_else(|| query.get("lastEventId"))?;
    Some(given.trim())
}

fn view(uri: &Uri, query: &Query) -> Result<ViewSpec, Cow<'static, str>> {
    let mut view = ViewSpec::default();
    if let Some(list) = query::raw(uri, "X-Sd-Filter") {
        // Split before it is decoded, so that an encoded comma is one of an id.
        let ids: Vec<String> =
            list.split(',').filter(|id| !id.is_empty()).map(query::decode).collect();
        view = view.filter(ids.iter().map(String::as_str)).map_err(told)?;
    }
    if let Some(pointer) = query.get("X-Sd-Pointer") {
        view = view.pointer(pointer).map_err(told)?;
    }
    if let Some(list) = query::raw(uri, "X-Sd-Fields") {
        let fields: Vec<String> =
            list.split(',').filter(|field| !field.is_empty()).map(query::decode).collect();
        view = view.fields(fields.iter().map(String::as_str)).map_err(told)?;
    }
    if let Some(rate) = query.get("X-Sd-Max-Rate") {
        let rate = rate.parse().map_err(|_| told(ViewError::Rate))?;
        view = view.max_rate(rate).map_err(told)?;
    }
    if let Some(list) = query::raw(uri, "X-Sd-Deadband") {
        for band in list.split(',').map(query::decode) {
            let (pointer, width) = band.rsplit_once(':').ok_or(DEADBAND)?;
            let width = width.parse().map_err(|_| told(ViewError::Deadband))?;
            view = view.deadband(pointer, width).map_err(told)?;
        }
    }
    Ok(view)
}

fn told(error: ViewError) -> Cow<'static, str> {
    let error = error.to_string();
    let mut chars = error.chars();
    let first = chars.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(chars).chain(['.']).collect::<String>().into()
}

fn bad(message: impl Into<Cow<'static, str>>) -> Fault {
    Fault::new(ErrorCode::BadRequest, message.into())
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

const BAD_ACCEPT: &str = "This topic is sent as text/event-stream: accept that, \
     application/json-patch+json for patches or application/json for whole documents; X-Sd-Mode is \
     patch or snapshot.";

const DEADBAND: &str = "X-Sd-Deadband is a pointer, a colon and a width, as /temp:0.5.";

#[cfg(test)]
mod tests {
    use super::*;

    fn of(query: &str) -> Result<Subscribe, Fault> {
        let uri = format!("/v1/topics/plant?{query}").parse().unwrap();
        subscribe(&uri, &HeaderMap::new())
    }

    fn whole() -> ViewSpec {
        ViewSpec::default()
    }

    #[test]
    fn parameters_make_a_view() {
        for (query, expected) in [
            ("", Ok(whole())),
            ("X-Sd-Filter=A,B", whole().filter(["B", "A"])),
            ("x-sd-FILTER=A%2CB,c%20d", whole().filter(["A,B", "c d"])),
            ("X-Sd-Filter=A,,A,", whole().filter(["A"])),
            ("X-Sd-Pointer=/a/b", whole().pointer("/a/b")),
            ("X-Sd-Pointer=%2Fa~1b", whole().pointer("/a~1b")),
            ("X-Sd-Fields=b,a", whole().fields(["a", "b"])),
            ("X-Sd-Max-Rate=2", whole().max_rate(2.0)),
            (
                "X-Sd-Deadband=/temp:0.5,/a:1",
                whole().deadband("/temp", 0.5).unwrap().deadband("/a", 1.0),
            ),
        ] {
            assert_eq!(of(query).unwrap().view, expected.unwrap(), "{query}");
        }
    }

    #[test]
    fn packing_is_wanted_and_possible_or_not_done() {
        let (gzip, deflate) = (Some(Coding::Gzip), Some(Coding::Deflate));
        for (query, compress, encoding, expected) in [
            ("", "true", "gzip", gzip),
            ("", "true", "deflate, GZIP;q=0.5", gzip),
            ("", "TRUE", "x-gzip", gzip),
            ("", "true", "*", gzip),
            ("", "true", "deflate", deflate),
            ("", "true", "Deflate, br", deflate),
            ("", "true", "gzip;q=0, *", deflate),
            ("?X-Sd-Compress=true", "", "gzip, br", gzip),
            ("?X-Sd-Compress=false", "true", "gzip", None),
            ("", "true", "", None),
            ("", "true", "br", None),
            ("", "true", "*;q=0", None),
            ("", "true", "deflate;q=0, gzip;q=0", None),
            ("", "1", "gzip", None),
            ("", "", "gzip", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("x-sd-compress", compress.parse().unwrap());
            headers.insert("accept-encoding", encoding.parse().unwrap());
            if compress.is_empty() {
                headers.remove("x-sd-compress");
            }
            let uri = format!("/v1/topics/plant{query}").parse().unwrap();
            assert_eq!(coding(&uri, &headers), expected, "{query} {compress} {encoding}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        for query in [
            "X-Sd-Filter=",
            "X-Sd-Filter=,",
            "X-Sd-Pointer=a",
            "X-Sd-Pointer=/~2",
            "X-Sd-Max-Rate=0",
            "X-Sd-Max-Rate=-1",
            "X-Sd-Max-Rate=NaN",
            "X-Sd-Max-Rate=1001",
            "X-Sd-Max-Rate=x",
            "X-Sd-Deadband=/a",
            "X-Sd-Deadband=/a:0",
            "X-Sd-Deadband=/a:inf",
            "X-Sd-Deadband=a:1",
            "X-Sd-Mode=both",
            "X-Sd-Verify=maybe",
        ] {
            let fault = of(query).unwrap_err();
            assert_eq!(fault.code, ErrorCode::BadRequest, "{query}");
            assert!(fault.message.ends_with('.'), "{}", fault.message);
        }
        let many: String = (0..1_001).map(|n| format!("{n},")).collect();
        assert!(of(&format!("X-Sd-Filter={many}")).is_err());
        assert!(of(&format!("X-Sd-Filter={}", &many[..many.len() - 5])).is_ok());
    }
}
