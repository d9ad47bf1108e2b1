//! Shows IOTMP frames, to debug firmware.
//!
//! Hex on standard input, a frame or several a line; spaces and colons between the digits do not
//! matter. Each frame is one readable line, or with `--json` one line of
//!
//! ```text
//! {"dialect":"2","type":"RUN","stream_id":42,"resource":"temperature","size":17}
//! ```
//!
//! where absent fields are left out, bytes are `{"_bytes":"hex"}` and NaN and the infinities texts.
//! A line of hex says nothing of its connection, so the dialect of each frame is found from its
//! fields; `--dialect 1|2|old` says which it is. What is no frame prints
//! `{"error":"…","offset":…}`, the offset in bytes from the start of the line, and the exit code is 1 at
//! the end. `--encode` goes the other way, from the lines of `--json` to hex.
//!
//! Try it: `echo 060f228b74656d7065726174757265082a | cargo run --example iotmp_inspect`

use std::io::{self, BufRead, Write};
use std::process::ExitCode;

use pointstream::iotmp::frame::{self, BODY_LEN_SAYABLE};
use pointstream::iotmp::{
    DecodeError, Dialect, Draft, Encode, Encoder, Message, MessageType, Resource, Rules,
};
use serde_json::{Map, Value, json};

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "iotmp_inspect: {error}");
            ExitCode::from(2)
        }
    }
}

/// Goes through standard input; whether all of it was good.
fn run(mut arguments: impl Iterator<Item = String>) -> io::Result<bool> {
    let (mut dialect, mut as_json, mut encode) = (None, false, false);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--json" => as_json = true,
            "--encode" => encode = true,
            "--dialect" => {
                let name = arguments.next().unwrap_or_default();
                let known = of_name(&name).ok_or_else(|| io::Error::other(USAGE))?;
                dialect = Some(known);
            }
            _ => return Err(io::Error::other(USAGE)),
        }
    }
    let mut out = io::stdout().lock();
    let mut good = true;
    for line in io::stdin().lock().lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let result = match encode {
            true => from_json(&line, dialect).and_then(|hex| Ok(writeln!(out, "{hex}")?)),
            false => frames(&line, dialect, as_json, &mut out),
        };
        match result {
            Ok(()) => {}
            Err(Bad::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(good),
            Err(Bad::Io(error)) => return Err(error),
            Err(Bad::Line(error, offset)) => {
                good = false;
                writeln!(out, "{}", json!({ "error": error, "offset": offset }))?;
            }
        }
    }
    Ok(good)
}

const USAGE: &str = "usage: iotmp_inspect [--json] [--dialect 1|2|old] [--encode]";

/// Why a line was not done to its end.
enum Bad {
    Line(String, usize),
    Io(io::Error),
}

impl From<io::Error> for Bad {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<DecodeError> for Bad {
    fn from(error: DecodeError) -> Self {
        Self::Line(error.kind.to_string(), error.at)
    }
}

fn frames(
    line: &str,
    dialect: Option<Dialect>,
    as_json: bool,
    out: &mut impl Write,
) -> Result<(), Bad> {
    let (bytes, end) = unhex(line);
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let frame = frame::decode(rest, BODY_LEN_SAYABLE).map_err(|error| error.behind(at))?;
        let Some(frame) = frame else {
            // Where the digits end badly, that is what is wrong.
            end?;
            return Err(Bad::Line("the frame is not whole".into(), bytes.len()));
        };
        let dialect = dialect.unwrap_or_else(|| Dialect::of_lone_frame(&frame));
        let message = Message::decode(dialect, &frame, &Rules::DEFAULT);
        let message = message.map_err(|error| error.behind(at))?;
        if as_json {
            writeln!(out, "{}", to_json(dialect, &message, frame.size()))?;
        } else {
            writeln!(out, "{}", readable(dialect, &message, frame.size()))?;
        }
        at += frame.size();
    }
    end
}

fn to_json(dialect: Dialect, message: &Message<'_>, size: usize) -> Value {
    let mut json = json!({ "dialect": name_of(dialect), "type": message.kind.name() });
    let fields = [
        ("parameters", message.parameters),
        ("payload", message.payload),
        ("resource", message.resource),
    ];
    if let Some(id) = message.stream_id {
        json["stream_id"] = id.into();
    }
    for (name, value) in fields {
        if let Some(value) = value {
            json[name] = value.to_json();
        }
    }
    json["size"] = size.into();
    json
}

fn readable(dialect: Dialect, message: &Message<'_>, size: usize) -> String {
    let mut line = format!("{dialect} {}", message.kind);
    if let Some(id) = message.stream_id {
        line += &format!(" {id}");
    }
    let fields =
        [("", message.resource), ("parameters ", message.parameters), ("", message.payload)];
    for (name, value) in fields {
        if let Some(value) = value {
            line += &format!(" {name}{}", value.to_json());
        }
    }
    line + &format!("  ({size} bytes)")
}

/// The hex of the frame that a line of JSON describes.
fn from_json(line: &str, dialect: Option<Dialect>) -> Result<String, Bad> {
    let json: Map<String, Value> = serde_json::from_str(line)
        .map_err(|error| Bad::Line(error.to_string(), error.column().saturating_sub(1)))?;
    let bad = |text: &str| Bad::Line(text.into(), 0);
    let field = |name: &str| json.get(name);
    let dialect = match (dialect, field("dialect")) {
        (Some(dialect), _) => dialect,
        (None, None) => Dialect::Iotmp2,
        (None, Some(name)) => {
            let known = name.as_str().and_then(of_name);
            known.ok_or_else(|| bad("the dialect is \"1\", \"2\" or \"old\""))?
        }
    };
    let name = field("type").and_then(Value::as_str);
    let mut kinds = (0..=u8::MAX).filter_map(MessageType::from_code);
    let kind = kinds.find(|kind| Some(kind.name()) == name);
    let mut draft = Draft::new(kind.ok_or_else(|| bad("the type is none of IOTMP"))?);
    if let Some(id) = field("stream_id") {
        let id = id.as_u64().and_then(|id| u16::try_from(id).ok());
        draft.stream_id = Some(id.ok_or_else(|| bad("a stream id is a number up to 65535"))?);
    }
    let (parameters, payload) = (field("parameters").map(Exact), field("payload").map(Exact));
    draft.parameters = parameters.as_ref().map(|value| value as &dyn Encode);
    draft.payload = payload.as_ref().map(|value| value as &dyn Encode);
    let resource = field("resource").map(pointstream::iotmp::Payload::new).transpose();
    let resource = resource.map_err(|error| bad(&error.to_string()))?;
    draft.resource = resource.as_ref().map(|resource| Resource::Value(resource.value()));
    let mut out = Vec::new();
    draft.encode(dialect, &mut out).map_err(|error| bad(&error.to_string()))?;
    Ok(out.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// JSON whose texts for NaN and the infinities are these numbers again.
struct Exact<'a>(&'a Value);

impl Encode for Exact<'_> {
    fn encode(&self, to: &mut Encoder<'_>) {
        match self.0 {
            Value::String(text) => match text.as_str() {
                "NaN" => to.float(f64::NAN),
                "Infinity" => to.float(f64::INFINITY),
                "-Infinity" => to.float(f64::NEG_INFINITY),
                text => to.text(text),
            },
            Value::Array(items) => to.array(|to| items.iter().for_each(|it| to.item(&Exact(it)))),
            Value::Object(map) if !map.contains_key("_bytes") => to.map(|to| {
                map.iter().for_each(|(name, value)| to.entry(name.as_str(), &Exact(value)));
            }),
            other => other.encode(to),
        }
    }
}

/// The bytes that a line of hex says up to where it says none, and what is wrong there.
fn unhex(line: &str) -> (Vec<u8>, Result<(), Bad>) {
    let mut bytes = Vec::new();
    let mut high = None;
    for char in line.chars().filter(|char| !char.is_whitespace() && *char != ':') {
        let Some(digit) = char.to_digit(16).and_then(|digit| u8::try_from(digit).ok()) else {
            let error = Bad::Line(format!("{char:?} is no hexadecimal digit"), bytes.len());
            return (bytes, Err(error));
        };
        match high.take() {
            None => high = Some(digit),
            Some(high) => bytes.push(high << 4 | digit),
        }
    }
    let end = match high {
        None => Ok(()),
        Some(_) => Err(Bad::Line("the last byte has one digit".into(), bytes.len())),
    };
    (bytes, end)
}

const NAMES: [(&str, Dialect); 3] =
    [("1", Dialect::Iotmp1), ("2", Dialect::Iotmp2), ("old", Dialect::Old)];

fn of_name(name: &str) -> Option<Dialect> {
    NAMES.iter().find(|(of, _)| *of == name).map(|(_, dialect)| *dialect)
}

fn name_of(dialect: Dialect) -> &'static str {
    NAMES.iter().find(|(_, of)| *of == dialect).map_or("", |(name, _)| name)
}
