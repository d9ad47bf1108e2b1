//! Point converts on the command line: what a `curConvert` makes of a reading.
//!
//! `cargo run --example convert -- '°C => °F' 100` prints `212°F`; `--lines` reads JSON lines from
//! the standard input and answers each with a line.

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::OsStr;
use std::io::{self, BufRead, Write};
use std::process::ExitCode;

use lexopt::prelude::{Long, Short, ValueExt};
use pointstream::point::{Convert, ConvertCache, ConvertContext, EnumDef, EnumDefs, Unit, Value};
use serde::Deserialize;

const HELP: &str = "\
Converts a value as a point's curConvert, writeConvert or hisConvert would.

Usage: convert EXPR VALUE [--unit UNIT]
       convert --lines

VALUE is JSON, or else text: 21.5, true, null, '\"4.2\"', on.

Options:
  --unit UNIT    The point's unit, and the value's if it is a number without one.
  --lines        Read lines such as {\"convert\":\"* 0.1\",\"in\":215} and write {\"out\":21.5} or
                 {\"err\":\"…\"} for each. Optional keys: \"unit\" as above; \"enum\", the point's enum
                 tag; \"enums\", definitions such as {\"mode\":[[\"off\",0],[\"on\",1]]}.
  -h, --help     Print this help and end.";

/// One line of input.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    convert: String,
    #[serde(default, rename = "in")]
    input: Value,
    unit: Option<Unit>,
    #[serde(rename = "enum")]
    own_enum: Option<String>,
    #[serde(default)]
    enums: BTreeMap<String, Vec<(String, Option<i64>)>>,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do when even this cannot be written.
            let _ = writeln!(io::stderr(), "convert: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let (mut unit, mut lines, mut words) = (None, false, Vec::new());
    let mut parser = lexopt::Parser::from_env();
    loop {
        // An expression and a value may begin with a minus sign, as options do.
        if let Some(mut raw) = parser.try_raw_args()
            && let Some(word) = raw.next_if(begins_with_minus)
        {
            words.push(word.string()?);
            continue;
        }
        match parser.next()? {
            Some(Long("unit")) => unit = Some(Unit::parse(&parser.value()?.string()?)?),
            Some(Long("lines")) => lines = true,
            Some(Long("help") | Short('h')) => return Ok(writeln!(io::stdout(), "{HELP}")?),
            Some(lexopt::Arg::Value(word)) => words.push(word.string()?),
            Some(other) => return Err(other.unexpected().into()),
            None => break,
        }
    }
    match (lines, &words[..]) {
        (true, []) => Ok(answer_lines()?),
        (false, [convert, value]) => {
            let value = serde_json::from_str(value).unwrap_or_else(|_| Value::str(value.as_str()));
            let context = ConvertContext::new().with_unit(unit);
            let value = Convert::parse(convert)?.apply(&in_unit(value, unit), &context)?;
            Ok(writeln!(io::stdout(), "{value}")?)
        }
        _ => Err("an expression and a value, or --lines; --help says more".into()),
    }
}

/// Whether a minus sign stands before what is no name of an option, as in `-10` and `- 10`.
fn begins_with_minus(word: &OsStr) -> bool {
    let rest = word.to_str().and_then(|word| word.strip_prefix('-'));
    rest.is_some_and(|rest| !rest.starts_with(|c: char| c == '-' || c.is_alphabetic()))
}

/// Answers every line that is not blank, each on its own: a bad one does not end the rest.
fn answer_lines() -> io::Result<()> {
    let mut converts = ConvertCache::default();
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().split(b'\n') {
        let line = line?;
        if line.trim_ascii().is_empty() {
            continue;
        }
        let answer = match answer(&line, &mut converts) {
            Ok(value) => serde_json::json!({ "out": hayson(&value) }),
            Err(error) => serde_json::json!({ "err": error.to_string() }),
        };
        writeln!(out, "{answer}")?;
    }
    Ok(())
}

fn answer(line: &[u8], converts: &mut ConvertCache) -> Result<Value, Box<dyn Error>> {
    let line: Line = serde_json::from_slice(line)?;
    let own_enum = line.own_enum.as_deref().map(EnumDef::from_tag).transpose()?;
    let mut enums = EnumDefs::new();
    for (name, rows) in line.enums {
        enums.insert(&name, EnumDef::new(rows)?)?;
    }
    let context = ConvertContext::new().with_unit(line.unit);
    let context = context.with_own_enum(own_enum.as_ref()).with_enums(&enums);
    Ok(converts.get(&line.convert)?.apply(&in_unit(line.input, line.unit), &context)?)
}

fn in_unit(value: Value, unit: Option<Unit>) -> Value {
    match value {
        Value::Number(number, None) => Value::Number(number, unit),
        value => value,
    }
}

/// Numbers with a unit as Hayson, others as they are.
fn hayson(value: &Value) -> serde_json::Value {
    let plain = serde_json::json!(value);
    match value {
        Value::Number(number, Some(unit)) if number.is_finite() => {
            serde_json::json!({ "_kind": "number", "val": plain, "unit": unit })
        }
        _ => plain,
    }
}
