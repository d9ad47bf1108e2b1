use core::str::FromStr;
use core::time::Duration;

use pointstream_point::{Kind, Value, duration};

use crate::QoS;
use crate::extract::{Extract, Template, TemplateError};
use crate::topic::{TopicError, check_filter, check_name};

/// Where a point's value comes from: `FILTER`, or `FILTER?option=value&…` with the options
///
/// - `value=/pointer`: the payload is JSON, and the value stands there (RFC 6901); empty for all of it;
/// - `match=TEMPLATE`: the payload is text of this [form](Template);
/// - `time=/pointer`: when the value was taken;
/// - `status=/pointer`: what says whether it is good, and `good=a,b` what that then is: by default
///   `true`, `ok`, `good` or 192;
/// - `qos=0`, `1` or `2`.
///
/// Without `value` and `match` the value is the whole payload as text. `%3F` stands for a question
/// mark in a topic, `%26` and `%25` for an ampersand and a percent sign anywhere.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Source {
    /// The topic filter.
    pub filter: Box<str>,
    /// Where in the payload the value stands.
    pub extract: Extract,
    /// The pointer to the time.
    pub time: Option<Box<str>>,
    /// The pointer to the status.
    pub status: Option<Box<str>>,
    /// What a good status is.
    pub good: Option<Box<[Box<str>]>>,
    /// The quality of service, where it is not the connector's.
    pub qos: Option<QoS>,
}

/// Where a point's value is written to: `TOPIC`, or `TOPIC?option=value&…` with the options
///
/// - `payload=TEXT`: what is published, with `{value}` for the value as JSON and `{text}` for the bare
///   text; by default the bare text;
/// - `qos=0`, `1` or `2`;
/// - `retain=true`;
/// - `expiry=10s`: how long it is worth delivering, MQTT 5 only;
/// - `confirm=FILTER`: the write has succeeded when the value comes back there, and
///   `confirm_value=/pointer` where in its payload.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Sink {
    /// The topic.
    pub topic: Box<str>,
    /// What is published.
    pub payload: Option<Box<str>>,
    /// The quality of service, where it is not the connector's.
    pub qos: Option<QoS>,
    /// Whether the broker keeps it.
    pub retain: bool,
    /// How long it is worth delivering, where it is not the connector's.
    pub expiry: Option<Duration>,
    /// Where the value comes back.
    pub confirm: Option<Confirm>,
}

/// Where a written value comes back.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Confirm {
    /// The topic filter.
    pub filter: Box<str>,
    /// Where in the payload the value stands.
    pub extract: Extract,
}

/// Why a text is not an address.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// The topic is not one.
    #[error("{0}")]
    Topic(#[from] TopicError),
    /// An option is not known.
    #[error("{option} is not an option here: expected {expected}")]
    Option {
        /// The option.
        option: Box<str>,
        /// What there is.
        expected: &'static str,
    },
    /// An option has a value that it cannot have.
    #[error("{option} is {expected}")]
    Value {
        /// The option.
        option: &'static str,
        /// What it can be.
        expected: &'static str,
    },
    /// Two options exclude each other.
    #[error("value and match exclude each other")]
    Both,
    /// One option needs another.
    #[error("{0} needs {1}")]
    Needs(&'static str, &'static str),
    /// A percent sign is not followed by two hexadecimal digits.
    #[error("% is written %25")]
    Percent,
    /// The template is none.
    #[error("{0}")]
    Template(#[from] TemplateError),
}

impl FromStr for Source {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (filter, options) = split(text)?;
        check_filter(&filter)?;
        let mut source =
            Self { filter, extract: Extract::Raw, time: None, status: None, good: None, qos: None };
        for (option, value) in options {
            match &*option {
                "value" if source.extract == Extract::Raw => {
                    source.extract = Extract::Pointer(pointer("value", value)?);
                }
                "match" if source.extract == Extract::Raw => {
                    source.extract = Extract::Template(Template::parse(&value)?);
                }
                "value" | "match" => return Err(AddressError::Both),
                "time" => source.time = Some(pointer("time", value)?),
                "status" => source.status = Some(pointer("status", value)?),
                "good" => source.good = Some(value.split(',').map(Into::into).collect()),
                "qos" => source.qos = Some(qos(&value)?),
                _ => {
                    let expected = "value, match, time, status, good or qos";
                    return Err(AddressError::Option { option, expected });
                }
            }
        }
        let is_text = matches!(source.extract, Extract::Template(_));
        if is_text && (source.time.is_some() || source.status.is_some()) {
            return Err(AddressError::Needs("a pointer to time or status", "value, not match"));
        }
        if source.good.is_some() && source.status.is_none() && !is_text {
            return Err(AddressError::Needs("good", "status"));
        }
        Ok(source)
    }
}

impl FromStr for Sink {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (topic, options) = split(text)?;
        check_name(&topic)?;
        let (payload, qos_of, expiry, confirm) = (None, None, None, None);
        let mut sink = Self { topic, payload, qos: qos_of, retain: false, expiry, confirm };
        let mut confirm_value = None;
        for (option, value) in options {
            match &*option {
                "payload" => sink.payload = Some(value),
                "qos" => sink.qos = Some(qos(&value)?),
                "retain" => {
                    let expected = "true or false";
                    let error = AddressError::Value { option: "retain", expected };
                    sink.retain = value.parse().map_err(|_| error)?;
                }
                "expiry" => {
                    let expected = "a duration such as 10s or 5min";
                    let error = AddressError::Value { option: "expiry", expected };
                    let expiry = duration::parse(&value).ok().filter(|it| !it.is_zero());
                    sink.expiry = Some(expiry.ok_or(error)?);
                }
                "confirm" => {
                    check_filter(&value)?;
                    sink.confirm = Some(Confirm { filter: value, extract: Extract::Raw });
                }
                "confirm_value" => confirm_value = Some(pointer("confirm_value", value)?),
                _ => {
                    let expected = "payload, qos, retain, expiry, confirm or confirm_value";
                    return Err(AddressError::Option { option, expected });
                }
            }
        }
        match (&mut sink.confirm, confirm_value) {
            (Some(confirm), Some(pointer)) => confirm.extract = Extract::Pointer(pointer),
            (None, Some(_)) => return Err(AddressError::Needs("confirm_value", "confirm")),
            (_, None) => {}
        }
        Ok(sink)
    }
}

impl Sink {
    /// What is published for a value that is not null.
    pub(crate) fn render(&self, value: &Value) -> String {
        let text = plain(value);
        let Some(template) = &self.payload else { return text };
        let json = serde_json::to_string(value).unwrap_or_default();
        // From left to right, so that a value that looks like a place stays what it is.
        let mut out = String::with_capacity(template.len() + json.len());
        let mut rest = &**template;
        loop {
            let found = [("{value}", &json), ("{text}", &text)]
                .into_iter()
                .filter_map(|it| rest.find(it.0).map(|at| (at, it)));
            let Some((at, (name, filling))) = found.min_by_key(|(at, _)| *at) else { break };
            out.push_str(&rest[..at]);
            out.push_str(filling);
            rest = &rest[at + name.len()..];
        }
        out + rest
    }
}

/// A value as bare text.
fn plain(value: &Value) -> String {
    match value {
        Value::Number(number, _) => number.to_string(),
        Value::DateTime(time) => time.to_string(),
        other => other.to_string(),
    }
}

/// The kind by which a value that comes back is compared with what was written.
pub(crate) const fn kind_of(value: &Value) -> Option<Kind> {
    value.kind()
}

type Options = Vec<(Box<str>, Box<str>)>;

fn split(text: &str) -> Result<(Box<str>, Options), AddressError> {
    let (topic, query) = text.split_once('?').unwrap_or((text, ""));
    let mut options = Options::new();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        options.push((name.into(), unescape(value)?));
    }
    Ok((unescape(topic)?, options))
}

pub(crate) fn unescape(text: &str) -> Result<Box<str>, AddressError> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let byte = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.ok_or(AddressError::Percent)?);
        bytes.extend_from_slice(part.get(2..).unwrap_or_default().as_bytes());
    }
    String::from_utf8(bytes).map(Into::into).map_err(|_| AddressError::Percent)
}

fn pointer(option: &'static str, value: Box<str>) -> Result<Box<str>, AddressError> {
    let expected = "a JSON pointer, such as /a/0";
    match value.is_empty() || value.starts_with('/') {
        true => Ok(value),
        false => Err(AddressError::Value { option, expected }),
    }
}

fn qos(value: &str) -> Result<QoS, AddressError> {
    let qos = value.parse().ok().and_then(QoS::from_number);
    qos.ok_or(AddressError::Value { option: "qos", expected: "0, 1 or 2" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_filter_with_options() {
        let source: Source =
            "plant/+/state?value=/t/0&time=/at&status=/q&good=fine,192&qos=2".parse().unwrap();
        assert_eq!(&*source.filter, "plant/+/state");
        assert_eq!(source.extract, Extract::Pointer("/t/0".into()));
        assert_eq!((source.time.as_deref(), source.status.as_deref()), (Some("/at"), Some("/q")));
        assert_eq!(source.good.as_deref(), Some(&["fine".into(), "192".into()][..]));
        assert_eq!(source.qos, Some(QoS::ExactlyOnce));
        let source: Source = "a%3Fb%25/é".parse().unwrap();
        assert_eq!((&*source.filter, source.extract), ("a?b%/é", Extract::Raw));
        let source: Source = "a?value=".parse().unwrap();
        assert_eq!(source.extract, Extract::Pointer("".into()));
        let sink: Sink =
            "set?payload={\"v\":{value}}&retain=true&expiry=90s&confirm=get/#&confirm_value=/v"
                .parse()
                .unwrap();
        assert_eq!((&*sink.topic, sink.retain), ("set", true));
        assert_eq!(sink.expiry, Some(Duration::from_secs(90)));
        assert_eq!(&*sink.confirm.clone().unwrap().filter, "get/#");
        assert_eq!(sink.render(&Value::number(21.5)), r#"{"v":21.5}"#);
        assert_eq!(sink.render(&Value::str("a\"{text}")), r#"{"v":"a\"{text}"}"#);
    }

    #[test]
    fn what_is_written_is_bare_text_unless_a_payload_says_otherwise() {
        let sink: Sink = "set".parse().unwrap();
        for (value, text) in [
            (Value::number(21.0), "21"),
            (Value::number(-0.125), "-0.125"),
            (Value::Bool(true), "true"),
            (Value::str("auto"), "auto"),
        ] {
            assert_eq!(sink.render(&value), text);
        }
        let sink: Sink = "set?payload=<{text}|{value}>".parse().unwrap();
        assert_eq!(sink.render(&Value::str("x")), "<x|\"x\">");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let source = |text: &str| text.parse::<Source>().unwrap_err().to_string();
        let sink = |text: &str| text.parse::<Sink>().unwrap_err().to_string();
        assert_eq!(source(""), "a topic has at least one character");
        assert_eq!(source("a#"), "# stands alone, as the last level of a filter");
        assert_eq!(source("a?value=x"), "value is a JSON pointer, such as /a/0");
        assert_eq!(source("a?value=/x&match={value}"), "value and match exclude each other");
        assert_eq!(source("a?qos=3"), "qos is 0, 1 or 2");
        assert_eq!(source("a?good=x"), "good needs status");
        assert_eq!(
            source("a?retain=true"),
            "retain is not an option here: expected value, match, time, status, good or qos"
        );
        assert_eq!(source("a%"), "% is written %25");
        assert_eq!(source("a%é"), "% is written %25");
        assert_eq!(
            source("a?match=x"),
            "a template has {value} once, and {time} and {status} at most once"
        );
        assert_eq!(sink("a/+"), "a topic to publish to has no wildcards");
        assert_eq!(sink("a?retain=yes"), "retain is true or false");
        assert_eq!(sink("a?expiry=9"), "expiry is a duration such as 10s or 5min");
        assert_eq!(sink("a?expiry=0s"), "expiry is a duration such as 10s or 5min");
        assert_eq!(sink("a?confirm_value=/x"), "confirm_value needs confirm");
    }
}
