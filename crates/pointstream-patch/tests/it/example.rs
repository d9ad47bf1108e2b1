use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The program, which cargo builds beside the tests.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap();
    folder.join("examples").join(format!("json_patch{}", std::env::consts::EXE_SUFFIX))
}

fn run(arguments: &[&str], input: &str) -> (Option<i32>, String) {
    let mut child = Command::new(program())
        .args(arguments)
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap().trim_end().to_owned())
}

#[test]
fn the_program_does_what_it_says() {
    if !program().exists() {
        eprintln!("SKIPPED: the example is not built; `cargo test` without `--test` builds it");
        return;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
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
