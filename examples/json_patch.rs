//! Compares and patches JSON files.
//!
//! ```text
//! json_patch diff A B [--moves] [--key PATH=ID] [--pretty]
//! json_patch apply DOC PATCH
//! json_patch merge-diff A B
//! json_patch merge DOC PATCH
//! json_patch invert DOC PATCH
//! ```
//!
//! `-` is standard input. Exit codes: 0 done (for `diff` and `merge-diff`: equal), 1 different, 2 error.
//! `--key '/items/*=/id'` says by which value the elements of an array are told apart.
//!
//! Try it: `cargo run --example json_patch -- diff a.json b.json`

#![expect(clippy::print_stderr, reason = "a program for the terminal")]

use core::error::Error;
use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::process::ExitCode;

use pointstream_patch::{
    Change, Document, Limits, Options, Pointer, apply, diff_with, invert, merge_apply, merge_diff,
};

fn main() -> ExitCode {
    match run(std::env::args_os().skip(1).collect()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("json_patch: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: Vec<OsString>) -> Result<ExitCode, Box<dyn Error>> {
    let mut options = Options::default();
    let mut pretty = false;
    let mut words = Vec::new();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--moves") => options.moves = true,
            Some("--pretty") => pretty = true,
            Some("--key") => {
                let key = arguments.next().unwrap_or_default();
                let key = key.to_str().and_then(|key| key.split_once('='));
                let (path, id) = key.ok_or("--key needs PATH=ID")?;
                options.key(path, id)?;
            }
            Some(flag) if flag.starts_with("--") => {
                return Err(format!("unknown option {flag}").into());
            }
            _ => words.push(argument),
        }
    }
    let [command, first, second] = &words[..] else {
        return Err("usage: json_patch diff|apply|merge-diff|merge|invert FILE FILE".into());
    };
    if first == "-" && second == "-" {
        return Err("standard input can be read only once".into());
    }
    let (a, b) = (read(first)?, read(second)?);
    let limits = Limits::default();
    let (out, different) = match command.to_str().unwrap_or_default() {
        "diff" => diff(&a, &b, &options)?,
        "apply" => (apply(&a, &b, &limits)?, false),
        "merge-diff" => {
            let patch = merge_diff(&a, &b, &limits)?;
            let patch = patch.ok_or("a merge patch cannot set a member to null")?;
            let different = patch != "{}";
            (patch, different)
        }
        "merge" => (merge_apply(&a, &b, &limits)?, false),
        "invert" => (invert(&a, &b, &limits)?, false),
        _ => return Err(format!("unknown command {}", command.display()).into()),
    };
    let out = if pretty { out.replace("},{\"op\":", "},\n {\"op\":") } else { out };
    writeln!(std::io::stdout(), "{out}")?;
    Ok(ExitCode::from(u8::from(different)))
}

fn diff(a: &[u8], b: &[u8], options: &Options) -> Result<(String, bool), Box<dyn Error>> {
    let mut patch = String::new();
    match diff_with(a, b, options)? {
        Change::Nothing => return Ok(("[]".into(), false)),
        Change::Script(script) => script.render_patch("", &mut patch),
        Change::Replacement => {
            let mut document = Document::parse_with(a, options)?;
            let mut edits = document.edit();
            edits.set(Pointer::ROOT, core::str::from_utf8(b)?)?;
            edits.commit()?.render_patch("", &mut patch);
        }
    }
    Ok((patch, true))
}

fn read(path: &OsStr) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut bytes = Vec::new();
    if path == "-" {
        std::io::stdin().read_to_end(&mut bytes)?;
    } else {
        bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(bytes)
}
