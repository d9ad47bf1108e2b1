use core::fmt;

use jiff::Timestamp;
use pointstream_point::{DateTime, Kind, Value};
use serde_json::Value as Json;

/// Where in a payload something stands.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Extract {
    /// The whole payload, as text.
    Raw,
    /// The payload is JSON, and this is a pointer into it (RFC 6901).
    Pointer(Box<str>),
    /// The payload is text of a form.
    Template(Template),
}

/// The form of a text: fixed pieces with named places between them.
///
/// Written `T={value} C, {}`: `{value}`, `{time}` and `{status}` name what stands there, `{}` is
/// passed over. Each piece is looked for from where the last one ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Template {
    start: Box<str>,
    /// Each place with the piece behind it.
    places: Vec<(Place, Box<str>)>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    Value,
    Time,
    Status,
    Other,
}

/// Why a text is not a template.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// Two places touch.
    #[error("between two places of a template there must be something fixed")]
    Touching,
    /// A place stands twice, or `{value}` is missing.
    #[error("a template has {{value}} once, and {{time}} and {{status}} at most once")]
    Places,
}

/// Why a payload does not give what is looked for. It is the payload's fault, and its point's.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ExtractError {
    /// It is not JSON.
    #[error("the payload is not JSON: {0}")]
    Json(String),
    /// It is not text.
    #[error("the payload is not UTF-8 text")]
    Text,
    /// There is nothing at the pointer.
    #[error("the payload has nothing at {0}")]
    Missing(Box<str>),
    /// It does not have the form of the template.
    #[error("the payload does not have the form of the template")]
    Template,
    /// What is there is of another kind.
    #[error("{found} is not a {kind}")]
    Kind {
        /// What is there, shortened.
        found: String,
        /// What is wanted.
        kind: Kind,
    },
    /// What is there is not a time.
    #[error("{0} is not a time")]
    Time(String),
}

/// A payload, parsed as JSON once and only if somebody needs that.
#[derive(Debug)]
pub(crate) struct Payload<'a> {
    bytes: &'a [u8],
    json: Option<Result<Json, ExtractError>>,
}

impl<'a> Payload<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, json: None }
    }

    pub(crate) fn text(&self) -> Result<&'a str, ExtractError> {
        core::str::from_utf8(self.bytes).map_err(|_| ExtractError::Text)
    }

    pub(crate) fn json(&mut self) -> Result<&Json, ExtractError> {
        let bytes = self.bytes;
        let parsed = self.json.get_or_insert_with(|| {
            serde_json::from_slice(bytes).map_err(|error| ExtractError::Json(error.to_string()))
        });
        parsed.as_ref().map_err(Clone::clone)
    }

    /// What stands at a pointer.
    pub(crate) fn at(&mut self, pointer: &str) -> Result<&Json, ExtractError> {
        let missing = || ExtractError::Missing(pointer.into());
        self.json()?.pointer(pointer).ok_or_else(missing)
    }
}

/// What was found.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    Text(&'a str),
    Json(&'a Json),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    ///
    /// Places that touch, or that are not what there must be.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        const NAMES: [(&str, Place); 4] = [
            ("{value}", Place::Value),
            ("{time}", Place::Time),
            ("{status}", Place::Status),
            ("{}", Place::Other),
        ];
        let next = |text: &str| {
            let found = NAMES.iter().filter_map(|(name, place)| {
                text.find(name).map(|at| (at, at + name.len(), *place))
            });
            found.min_by_key(|(at, ..)| *at)
        };
        let mut start: Option<Box<str>> = None;
        let mut places: Vec<(Place, Box<str>)> = Vec::new();
        let mut rest = text;
        let mut place = None;
        loop {
            let found = next(rest);
            let piece = found.map_or(rest, |(at, ..)| &rest[..at]);
            match place {
                None => start = Some(piece.into()),
                Some(place) if !piece.is_empty() || found.is_none() => {
                    places.push((place, piece.into()));
                }
                Some(_) => return Err(TemplateError::Touching),
            }
            let Some((_, end, name)) = found else { break };
            place = Some(name);
            rest = &rest[end..];
        }
        let count = |wanted| places.iter().filter(|(place, _)| *place == wanted).count();
        if count(Place::Value) != 1 || count(Place::Time) > 1 || count(Place::Status) > 1 {
            return Err(TemplateError::Places);
        }
        Ok(Self { start: start.unwrap_or_default(), places })
    }

    /// What stands at the place of the value, the time and the status.
    fn find<'t>(&self, text: &'t str) -> Option<[Option<&'t str>; 3]> {
        let mut rest = text.strip_prefix(&*self.start)?;
        let mut found = [None; 3];
        let last = self.places.len().checked_sub(1)?;
        for (at, (place, piece)) in self.places.iter().enumerate() {
            let (part, after) = if at == last {
                (rest.strip_suffix(&**piece)?, "")
            } else {
                rest.split_once(&**piece)?
            };
            rest = after;
            match place {
                Place::Value => found[0] = Some(part),
                Place::Time => found[1] = Some(part),
                Place::Status => found[2] = Some(part),
                Place::Other => {}
            }
        }
        Some(found)
    }

    pub(crate) fn value<'t>(&self, text: &'t str) -> Result<&'t str, ExtractError> {
        self.find(text).and_then(|found| found[0]).ok_or(ExtractError::Template)
    }

    pub(crate) fn time<'t>(&self, text: &'t str) -> Option<&'t str> {
        self.find(text)?[1]
    }

    pub(crate) fn status<'t>(&self, text: &'t str) -> Option<&'t str> {
        self.find(text)?[2]
    }
}

impl Extract {
    pub(crate) fn find<'p>(&self, payload: &'p mut Payload<'_>) -> Result<Found<'p>, ExtractError> {
        match self {
            Self::Raw => payload.text().map(Found::Text),
            Self::Pointer(pointer) => payload.at(pointer).map(Found::Json),
            Self::Template(template) => template.value(payload.text()?).map(Found::Text),
        }
    }
}

impl Found<'_> {
    /// What was found as a value of a kind; as what it looks like, where any will do.
    pub(crate) fn value(&self, kind: Option<Kind>) -> Result<Value, ExtractError> {
        let Some(kind) = kind else { return Ok(self.natural()) };
        let value = match kind {
            Kind::Number => self.number().map(Value::number),
            Kind::Bool => self.bool().map(Value::Bool),
            Kind::Str => self.string().map(Value::str),
            Kind::DateTime => self.time().ok().map(|at| Value::DateTime(DateTime::utc(at).into())),
            _ => None,
        };
        let hayson = || match self {
            Self::Json(json @ Json::Object(_)) => {
                let value: Value = serde_json::from_value((*json).clone()).ok()?;
                (value.kind() == Some(kind) || value == Value::Na).then_some(value)
            }
            _ => None,
        };
        let wrong = || ExtractError::Kind { found: shortened(&self.to_string()), kind };
        value.or_else(hayson).ok_or_else(wrong)
    }

    fn natural(&self) -> Value {
        match self {
            Self::Text(text) => match (text.trim().parse(), *text) {
                (Ok(number), _) => Value::number(number),
                (_, "true") => Value::Bool(true),
                (_, "false") => Value::Bool(false),
                _ => Value::str(*text),
            },
            Self::Json(json) => serde_json::from_value((*json).clone())
                .unwrap_or_else(|_| Value::str(json.to_string())),
        }
    }

    fn number(&self) -> Option<f64> {
        match self {
            Self::Text(text) => text.trim().parse().ok(),
            Self::Json(Json::Number(number)) => number.as_f64(),
            Self::Json(Json::String(text)) => text.trim().parse().ok(),
            Self::Json(_) => None,
        }
    }

    fn bool(&self) -> Option<bool> {
        let of_text = |text: &str| match text.trim().to_ascii_lowercase().as_str() {
            "true" | "on" | "1" => Some(true),
            "false" | "off" | "0" => Some(false),
            _ => None,
        };
        match self {
            Self::Text(text) => of_text(text),
            Self::Json(Json::Bool(value)) => Some(*value),
            Self::Json(Json::String(text)) => of_text(text),
            Self::Json(Json::Number(number)) => of_text(&number.to_string()),
            Self::Json(_) => None,
        }
    }

    fn string(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some((*text).to_owned()),
            Self::Json(Json::Null) => None,
            Self::Json(Json::String(text)) => Some(text.clone()),
            Self::Json(json) => Some(json.to_string()),
        }
    }

    /// A time: RFC 3339, or a number of seconds, milliseconds, microseconds or nanoseconds since 1970,
    /// told apart by their size, which works for the years from 1973 to 5138.
    pub(crate) fn time(&self) -> Result<Timestamp, ExtractError> {
        let of_number = |number: f64| {
            let secs = [(1e11, 1.0), (1e14, 1e3), (1e17, 1e6), (f64::INFINITY, 1e9)];
            let unit = secs.iter().find(|(below, _)| number.abs() < *below)?.1;
            let nanos = number / unit * 1e9;
            Timestamp::from_nanosecond(nanos as i128).ok()
        };
        let of_text = |text: &str| {
            let text = text.trim();
            text.parse().ok().or_else(|| of_number(text.parse().ok()?))
        };
        let found = match self {
            Self::Text(text) => of_text(text),
            Self::Json(Json::String(text)) => of_text(text),
            Self::Json(Json::Number(number)) => number.as_f64().and_then(of_number),
            Self::Json(_) => None,
        };
        found.ok_or_else(|| ExtractError::Time(shortened(&self.to_string())))
    }
}

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Json(json) => write!(f, "{json}"),
        }
    }
}

/// A payload is somebody else's text: no more of it than a line of a log bears.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        Some((at, _)) => format!("{:?}…", &text[..at]),
        None => format!("{text:?}"),
    }
}

const SHOWN_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    fn value(extract: &Extract, payload: &str, kind: Kind) -> Result<Value, String> {
        let mut payload = Payload::new(payload.as_bytes());
        let found = extract.find(&mut payload).map_err(|error| error.to_string())?;
        found.value(Some(kind)).map_err(|error| error.to_string())
    }

    #[test]
    fn values_are_found_in_payloads_of_all_sorts() {
        let pointer = |text: &str| Extract::Pointer(text.into());
        let template = |text| Extract::Template(Template::parse(text).unwrap());
        for (extract, payload, kind, expected) in [
            (Extract::Raw, " 21.5\n", Kind::Number, Value::number(21.5)),
            (Extract::Raw, "ON", Kind::Bool, Value::Bool(true)),
            (Extract::Raw, "on fire", Kind::Str, Value::str("on fire")),
            (pointer(""), "-3e2", Kind::Number, Value::number(-300.0)),
            (pointer("/a/1"), r#"{"a":[1,"2"]}"#, Kind::Number, Value::number(2.0)),
            (pointer("/a~1b/c~0d"), r#"{"a/b":{"c~d":true}}"#, Kind::Bool, Value::Bool(true)),
            (pointer("/v"), r#"{"v":0}"#, Kind::Bool, Value::Bool(false)),
            (pointer("/v"), r#"{"v":{"x":1}}"#, Kind::Str, Value::str(r#"{"x":1}"#)),
            (pointer("/v"), r#"{"v":{"_kind":"na"}}"#, Kind::Number, Value::Na),
            (template("T={value} C"), "T=-4 C", Kind::Number, Value::number(-4.0)),
            (template("{}:{value};{}"), "a:1;2;3", Kind::Number, Value::number(1.0)),
            (template("<{value}>"), "<a>b>", Kind::Str, Value::str("a>b")),
        ] {
            assert_eq!(value(&extract, payload, kind), Ok(expected), "{payload}");
        }
    }

    #[test]
    fn what_is_not_there_is_said() {
        let pointer = |text: &str| Extract::Pointer(text.into());
        let template = Extract::Template(Template::parse("T={value}").unwrap());
        for (extract, payload, kind, expected) in [
            (Extract::Raw, "hot", Kind::Number, "\"hot\" is not a Number"),
            (Extract::Raw, "", Kind::Bool, "\"\" is not a Bool"),
            (pointer("/a"), "{}", Kind::Number, "the payload has nothing at /a"),
            (pointer("/a"), r#"{"a":null}"#, Kind::Str, "\"null\" is not a Str"),
            (pointer("/a"), r#"{"a":true}"#, Kind::Number, "\"true\" is not a Number"),
            (template, "t=1", Kind::Number, "the payload does not have the form of the template"),
        ] {
            assert_eq!(value(&extract, payload, kind), Err(expected.to_owned()), "{payload}");
        }
        let not_json = value(&pointer("/a"), "21.5 C", Kind::Number).unwrap_err();
        assert!(not_json.starts_with("the payload is not JSON: "), "{not_json}");
        let long = value(&Extract::Raw, &"x".repeat(1_000_000), Kind::Number).unwrap_err();
        assert!(long.len() < 100);
        let mut payload = Payload::new(b"\xff");
        assert_eq!(Extract::Raw.find(&mut payload).unwrap_err(), ExtractError::Text);
    }

    #[test]
    fn times_are_texts_or_numbers_of_any_unit() {
        let expected: Timestamp = "2026-11-27T12:00:00.5Z".parse().unwrap();
        for text in [
            "\"2026-11-27T13:00:00.5+01:00\"",
            "1795780800.5",
            "1795780800500",
            "\"1795780800500000\"",
            "1795780800500000000",
        ] {
            let json: Json = serde_json::from_str(text).unwrap();
            let found = Found::Json(&json).time().unwrap();
            assert!((found - expected).get_milliseconds().abs() < 1, "{text} is {found}");
        }
        assert!(Found::Text("soon").time().is_err() && Found::Json(&Json::Null).time().is_err());
        assert!(Found::Text("1e300").time().is_err() && Found::Text("NaN").time().is_err());
    }

    #[test]
    fn templates_that_cannot_be_matched_are_refused() {
        assert_eq!(Template::parse("{value}{time}"), Err(TemplateError::Touching));
        assert_eq!(Template::parse("x"), Err(TemplateError::Places));
        assert_eq!(Template::parse("{value},{value}"), Err(TemplateError::Places));
        let template = Template::parse("{time} {status} {value}").unwrap();
        let text = "2026-11-27T12:00:00Z ok 1";
        assert_eq!(template.time(text), Some("2026-11-27T12:00:00Z"));
        assert_eq!((template.status(text), template.value(text)), (Some("ok"), Ok("1")));
    }

    #[test]
    fn a_value_for_a_convert_is_what_it_looks_like() {
        let natural = |text| Found::Text(text).value(None).unwrap();
        assert_eq!(natural("1.5"), Value::number(1.5));
        assert_eq!(natural("true"), Value::Bool(true));
        assert_eq!(natural("auto"), Value::str("auto"));
    }
}
