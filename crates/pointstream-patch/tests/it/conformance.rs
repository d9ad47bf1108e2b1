use pointstream_patch::{Limits, OperationErrorKind, PatchError, PointerErrorKind, apply, diff};

use crate::support::{apply_with_oracle, cut, diff_text, patch_of, replacement, same, value};

const TESTS: &str = include_str!("../vectors/tests.json");
const SPEC_TESTS: &str = include_str!("../vectors/spec_tests.json");
const TRAPS: &str = include_str!("../vectors/traps.json");

struct Case<'a> {
    comment: &'a str,
    doc: &'a str,
    patch: &'a str,
    expected: Option<&'a str>,
    error: bool,
    disabled: bool,
}

fn cases(text: &str) -> Vec<Case<'_>> {
    let cases: Vec<_> = cut(text)
        .into_iter()
        .filter(|(_, case)| case.contains("\"patch\""))
        .map(|(_, case)| {
            let members = cut(case);
            let get = |name: &str| {
                let found = members.iter().find(|(key, _)| key.as_deref() == Some(name));
                found.map(|&(_, value)| value)
            };
            Case {
                comment: get("comment").unwrap_or(case),
                doc: get("doc").unwrap(),
                patch: get("patch").unwrap(),
                expected: get("expected"),
                error: get("error").is_some(),
                disabled: get("disabled").is_some(),
            }
        })
        .collect();
    assert!(!cases.is_empty());
    cases
}

fn run(text: &str) -> usize {
    let cases = cases(text);
    for case in &cases {
        let result = apply(case.doc.as_bytes(), case.patch.as_bytes(), &Limits::default());
        match (result, case.expected) {
            (Ok(text), Some(expected)) => {
                assert!(!case.error, "{}", case.comment);
                assert!(same(&value(&text), &value(expected)), "{}: {text}", case.comment);
            }
            (Ok(_), None) => assert!(!case.error, "{} went through", case.comment),
            (Err(error), _) => assert!(case.error, "{}: {error}", case.comment),
        }
    }
    cases.len()
}

#[test]
fn the_official_suite_passes_disabled_cases_included() {
    assert_eq!(run(TESTS), 95);
}

#[test]
fn the_cases_of_the_standard_pass_disabled_cases_included() {
    assert_eq!(run(SPEC_TESTS), 17);
}

#[test]
fn the_traps_are_decided() {
    assert_eq!(run(TRAPS), 21);
}

#[test]
fn every_pair_of_the_suites_is_diffed_and_led_back() {
    for case in [TESTS, SPEC_TESTS, TRAPS].into_iter().flat_map(cases) {
        let Some(expected) = case.expected.filter(|_| !case.disabled) else { continue };
        for (old, new) in [(case.doc, expected), (expected, case.doc)] {
            let patch = diff_text(old, new);
            assert!(patch.len() <= replacement(new).len(), "{}", case.comment);
            let ours = apply(old.as_bytes(), patch.as_bytes(), &Limits::default()).unwrap();
            assert!(same(&value(&ours), &value(new)), "{}: {patch}", case.comment);
            let theirs = apply_with_oracle(&value(old), &patch);
            assert!(same(&theirs, &value(new)), "{}: {patch}", case.comment);
        }
    }
}

#[test]
fn pointers_of_the_standard_find_their_values() {
    let document = r#"{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}"#;
    let document =
        pointstream_patch::Document::parse(document.as_bytes(), &Limits::default()).unwrap();
    for (pointer, expected) in [
        ("", document.text()),
        ("/foo", r#"["bar","baz"]"#),
        ("/foo/0", r#""bar""#),
        ("/", "0"),
        ("/a~1b", "1"),
        ("/c%d", "2"),
        ("/e^f", "3"),
        ("/g|h", "4"),
        ("/i\\j", "5"),
        ("/k\"l", "6"),
        ("/ ", "7"),
        ("/m~0n", "8"),
    ] {
        let pointer = pointstream_patch::Pointer::parse(pointer).unwrap();
        assert_eq!(document.get(pointer), Some(expected), "{pointer:?}");
    }
    for missing in ["/foo/2", "/foo/-", "/foo/00", "/foo/0/x", "/bar", "/m~1n"] {
        let pointer = pointstream_patch::Pointer::parse(missing).unwrap();
        assert_eq!(document.get(pointer), None, "{missing}");
    }
}

#[test]
fn a_failed_operation_is_named_with_its_pointer() {
    let fails =
        |patch: &str| match apply(br#"{"a":[1,2],"b":1}"#, patch.as_bytes(), &Limits::default()) {
            Err(PatchError::Operation(error)) => {
                (error.index(), error.kind(), error.pointer().to_string())
            }
            other => panic!("{patch}: {other:?}"),
        };
    let ok = r#"{"op":"test","path":"/b","value":1}"#;
    for (operation, kind, pointer) in [
        (r#"{"op":"remove","path":"/a/2"}"#, OperationErrorKind::Bounds, "/a/2"),
        (r#"{"op":"remove","path":"/a/-"}"#, OperationErrorKind::Bounds, "/a/-"),
        (r#"{"op":"remove","path":"/a/01"}"#, OperationErrorKind::Index, "/a/01"),
        (r#"{"op":"add","path":"/a/3","value":0}"#, OperationErrorKind::Bounds, "/a/3"),
        (r#"{"op":"add","path":"/b/c","value":0}"#, OperationErrorKind::Scalar, "/b/c"),
        (r#"{"op":"replace","path":"/c","value":0}"#, OperationErrorKind::Missing, "/c"),
        (r#"{"op":"move","from":"/c","path":"/d"}"#, OperationErrorKind::Missing, "/c"),
        (r#"{"op":"move","from":"/a","path":"/a/0"}"#, OperationErrorKind::OwnChild, "/a/0"),
        (r#"{"op":"test","path":"/b","value":2}"#, OperationErrorKind::Test, "/b"),
        (
            r#"{"op":"copy","from":"b","path":"/d"}"#,
            OperationErrorKind::Pointer(PointerErrorKind::Slash),
            "b",
        ),
        (r#"{"op":"add","path":"/d"}"#, OperationErrorKind::Malformed("no member value"), "/d"),
        ("3", OperationErrorKind::Malformed("not an object"), ""),
    ] {
        let patch = format!("[{ok},{operation},{ok}]");
        assert_eq!(fails(&patch), (1, kind, pointer.to_string()), "{operation}");
    }
}

#[test]
fn values_equal_by_value_are_no_change() {
    let limits = Limits::default();
    for (old, new) in [
        ("[1,0,100,1.5]", "[1.0,-0,1e2,15e-1]"),
        (r#"{"a":1,"b":{"c":2,"d":3}}"#, r#"{ "b": {"d":3, "c":2}, "\u0061": 1 }"#),
        (r#"["a/b"]"#, r#"["\u0061\/b"]"#),
    ] {
        let change = diff(old.as_bytes(), new.as_bytes(), &limits).unwrap();
        assert_eq!(patch_of(&change, new), "[]", "{old} {new}");
    }
    for (old, new) in [
        ("[18446744073709551617]", "[18446744073709551616]"),
        ("[0.1]", "[0.10000000000000000001]"),
        ("[null]", "[false]"),
        ("[1]", r#"["1"]"#),
    ] {
        assert_ne!(diff_text(old, new), "[]", "{old} {new}");
    }
}
