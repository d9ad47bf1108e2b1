//! The program that compares and patches files, as a process.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Folder;

/// The program, which cargo builds beside the tests.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap();
    folder.join("examples/json_patch")
}

/// Its exit code, and what it printed.
fn run(folder: &Folder, arguments: &[&str], input: &str) -> (Option<i32>, String) {
    let mut child = Command::new(program())
        .args(arguments)
        .current_dir(&folder.0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // What ends before it reads its input closes it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let failed = output.status.code() == Some(2);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(failed, said.starts_with("json_patch: ") && said.lines().count() == 1, "{said}");
    (output.status.code(), String::from_utf8(output.stdout).unwrap().trim_end().to_owned())
}

const ROWS: [&str; 2] = [
    r#"{"rows":[{"ref":1,"v":"a long text"},{"ref":2,"v":"another text"},{"ref":3,"v":"x"}]}"#,
    r#"{"rows":[{"ref":3,"v":"x"},{"ref":1,"v":"a long text"},{"ref":2,"v":"another text"}]}"#,
];

#[test]
fn the_program_does_what_it_says() {
    let folder = Folder::new("json-patch");
    let write = |name: &str, text: &str| drop(folder.write(name, text));
    let run = |arguments: &[&str], input: &str| run(&folder, arguments, input);
    write("a.json", "{ \"a\": 1, \"long\": \"a text that stays as it is\" }\n");
    write("b.json", "{ \"a\": [1, 2], \"long\": \"a text that stays as it is\" }\n");
    let patch = r#"[{"op":"replace","path":"/a","value":[1,2]}]"#;
    let (code, out) = run(&["diff", "a.json", "b.json"], "");
    assert_eq!((code, &*out), (Some(1), patch));
    assert_eq!(
        run(&["diff", "a.json", "-"], "{\"long\":\"a text that stays as it is\",\"a\":1.0}").0,
        Some(0)
    );
    let (code, out) = run(&["apply", "a.json", "-"], patch);
    assert_eq!((code, &*out), (Some(0), r#"{"a":[1,2],"long":"a text that stays as it is"}"#));
    let (code, out) = run(&["invert", "a.json", "-"], patch);
    assert_eq!((code, &*out), (Some(0), r#"[{"op":"replace","path":"/a","value":1}]"#));
    let (code, out) = run(&["merge-diff", "a.json", "b.json"], "");
    assert_eq!((code, &*out), (Some(1), r#"{"a":[1,2]}"#));
    let (code, out) = run(&["merge", "a.json", "-"], &out);
    assert_eq!((code, &*out), (Some(0), r#"{"a":[1,2],"long":"a text that stays as it is"}"#));
    let (code, out) = run(&["diff", "a.json", "-"], "[ 1, 2 ]");
    assert_eq!((code, &*out), (Some(1), r#"[{"op":"replace","path":"","value":[1,2]}]"#));
    assert_eq!(run(&["diff", "a.json", "a.json"], ""), (Some(0), "[]".into()));
    assert_eq!(run(&["merge-diff", "a.json", "a.json"], ""), (Some(0), "{}".into()));
    write("c.json", "{ \"a\" : [ 1, { \"b\" : null } ] }");
    let (code, out) = run(&["invert", "c.json", "-"], r#"[ { "op" : "remove", "path" : "/a" } ]"#);
    assert_eq!((code, &*out), (Some(0), r#"[{"op":"add","path":"/a","value":[1,{"b":null}]}]"#));
    write("rows.json", ROWS[0]);
    let (code, out) = run(&["diff", "rows.json", "-", "--moves", "--key", "/rows/*=/ref"], ROWS[1]);
    assert_eq!((code, &*out), (Some(1), r#"[{"op":"move","from":"/rows/2","path":"/rows/0"}]"#));
    let (code, out) = run(
        &["diff", "a.json", "-", "--pretty"],
        "{\"a\":2,\"b\":3,\"long\":\"a text that stays as it is\"}",
    );
    assert_eq!((code, out.lines().count()), (Some(1), 2));
    for bad in [
        &["diff", "a.json"][..],
        &["diff", "a.json", "absent.json"],
        &["apply", "a.json", "b.json"],
        &["diff", "-", "-"],
        &["diff", "a.json", "b.json", "--key", "items"],
        &["fold", "a.json", "b.json"],
        &["diff", "a.json", "b.json", "--fast"],
    ] {
        assert_eq!(run(bad, "").0, Some(2), "{bad:?}");
    }
}

#[test]
#[cfg(unix)]
fn the_program_ends_with_an_error_and_never_panics() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let folder = Folder::new("json-patch-errors");
    drop(folder.write("a.json", "[1]"));
    let unusual = OsStr::from_bytes(b"\xff.json");
    for (first, closed) in [(OsStr::new("a.json"), true), (unusual, false)] {
        let mut child = Command::new(program())
            .args([OsStr::new("diff"), first, OsStr::new("-")])
            .current_dir(&folder.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        if closed {
            drop(child.stdout.take());
        }
        let _ = child.stdin.take().unwrap().write_all(b"[2]");
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.starts_with("json_patch: ") && said.lines().count() == 1, "{said}");
    }
}
