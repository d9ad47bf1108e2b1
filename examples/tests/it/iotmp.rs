//! The program that shows IOTMP frames, as a process.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap();
    folder.join("examples").join(name)
}

fn inspect(arguments: &[&str], input: &str) -> (Option<i32>, String) {
    let mut child = Command::new(program("iotmp_inspect"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn frames_are_shown_one_a_line_and_what_is_none_with_its_place() {
    let input = "0500 06 11 1ac18573746174656122836c656408ac02\n\n05 00 0b00\nxy\n0112082a1001";
    let (code, out) = inspect(&[], input);
    assert_eq!(code, Some(1));
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(
        lines,
        [
            "IOTMP-2 KEEP_ALIVE  (2 bytes)",
            r#"IOTMP-2 RUN 300 "led" {"state":true}  (19 bytes)"#,
            "IOTMP-2 KEEP_ALIVE  (2 bytes)",
            r#"{"error":"message type 11 is not known","offset":2}"#,
            r#"{"error":"'x' is no hexadecimal digit","offset":0}"#,
            r#"{"error":"the frame is not whole","offset":6}"#,
        ]
    );
}

#[test]
fn json_says_all_fields_and_makes_the_same_frame_again() {
    for (dialect, hex, json) in [
        (
            "2",
            "010c1a4114ae47e17a543640082a",
            r#"{"dialect":"2","payload":22.33,"size":14,"stream_id":42,"type":"OK"}"#,
        ),
        (
            "2",
            "0a0708a1011aa26869",
            r#"{"dialect":"2","payload":{"_bytes":"6869"},"size":9,"stream_id":161,"type":"STREAM_DATA"}"#,
        ),
        (
            "2",
            "010c08011a41000000000000f87f",
            r#"{"dialect":"2","payload":"NaN","size":14,"stream_id":1,"type":"OK"}"#,
        ),
        (
            "1",
            "07080807194a036c6564",
            r#"{"dialect":"1","resource":"led","size":10,"stream_id":7,"type":"DESCRIBE"}"#,
        ),
        (
            "old",
            "0112082a26720d4a0b74656d7065726174757265",
            r#"{"dialect":"old","resource":["temperature"],"size":20,"stream_id":42,"type":"RUN"}"#,
        ),
    ] {
        assert_eq!(inspect(&["--json"], hex), (Some(0), format!("{json}\n")));
        let ours = inspect(&["--encode", "--dialect", dialect], json).1;
        // Fields ascend in what is written, which they need not in what is read.
        assert_eq!(inspect(&["--json"], &ours).1, format!("{json}\n"));
        assert_eq!(ours.trim().len(), hex.len());
    }
    let (code, out) = inspect(&["--encode"], "{\"type\":\"NONE\"}\n{]");
    assert_eq!(code, Some(1));
    assert!(out.starts_with(r#"{"error":"the type is none of IOTMP","offset":0}"#), "{out}");
    assert_eq!(inspect(&["--frobnicate"], "").0, Some(2));
}
