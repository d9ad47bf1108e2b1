use pointstream_patch::{
    Change, Document, Limits, Options, ParseErrorKind, PatchError, Pointer, diff_with, merge_apply,
    merge_diff,
};
use proptest::prelude::*;
use serde_json::Value;

use crate::support::{apply_with_oracle, edited, json, replacement, respell, same, value};

const APPENDIX: &str = include_str!("../vectors/rfc7396_appendix.json");

fn merged(document: &str, patch: &str) -> Value {
    value(&merge_apply(document.as_bytes(), patch.as_bytes(), &Limits::default()).unwrap())
}

/// The algorithm of RFC 7396 section 2, word for word.
fn reference(target: Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut target = match target {
        Value::Object(target) => target,
        _ => serde_json::Map::new(),
    };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            let old = target.remove(key).unwrap_or(Value::Null);
            target.insert(key.clone(), reference(old, value));
        }
    }
    Value::Object(target)
}

#[test]
fn the_cases_of_the_appendix_pass() {
    let cases = value(APPENDIX);
    let cases = cases.as_array().unwrap();
    assert_eq!(cases.len(), 15);
    for case in cases {
        let get = |names: [&str; 2]| names.iter().find_map(|name| case.get(*name)).unwrap();
        let (doc, patch) = (get(["original", "doc"]), get(["patch", "merge"]));
        let result = get(["result", "expected"]);
        assert_eq!(&merged(&doc.to_string(), &patch.to_string()), result, "{case}");
    }
}

#[test]
fn a_script_is_rendered_as_a_merge_patch_under_a_prefix() {
    let mut options = Options::default();
    options.merge = true;
    let point = |value: u32| format!(r#"{{"v":{value},"t":1700000000{value},"q":"good"}}"#);
    let old = format!(r#"{{"a/b":{},"gone":1,"list":[1,2],"kept":{}}}"#, point(11), point(13));
    let new = format!(r#"{{"a/b":{},"list":[1,3],"kept":{}}}"#, point(12), point(13));
    let change = diff_with(old.as_bytes(), new.as_bytes(), &options).unwrap();
    let Change::Script(script) = change else { panic!() };
    let mut patch = String::new();
    assert!(script.render_merge_patch(Pointer::parse("/x/y~1z").unwrap(), &mut patch));
    assert_eq!(
        patch,
        r#"{"x":{"y/z":{"a/b":{"v":12,"t":170000000012},"list":[1,3],"gone":null}}}"#
    );
    assert_eq!(script.merge_len_bytes(), Some(patch.len() - r#"{"x":{"y/z":}}"#.len()));
}

#[test]
fn what_cannot_be_merged_is_not() {
    let limits = Limits::default();
    let diff = |old: &str, new: &str| merge_diff(old.as_bytes(), new.as_bytes(), &limits).unwrap();
    assert_eq!(diff(r#"{"a":1}"#, r#"{"a":null}"#), None);
    assert_eq!(diff(r#"{"a":1}"#, r#"{"a":{"b":null}}"#), None);
    assert_eq!(diff(r#"{"a":1}"#, r#"{"a":[null]}"#).as_deref(), Some(r#"{"a":[null]}"#));
    assert_eq!(diff(r#"{"a":null}"#, r#"{"a":null}"#).as_deref(), Some("{}"));
    assert_eq!(diff("1", "null").as_deref(), Some("null"));
    let Err(PatchError::Patch(error)) = merge_apply(b"{}", b"{", &limits) else { panic!() };
    assert_eq!(error.kind(), ParseErrorKind::End);
}

#[test]
fn a_merge_of_ten_thousand_levels_needs_no_stack() {
    let mut limits = Limits::default();
    limits.depth_max = 10_000;
    let nest = |leaf: u32| format!("{}{leaf}{}", r#"{"a":"#.repeat(10_000), "}".repeat(10_000));
    let (old, new) = (nest(1), nest(2));
    let patch = merge_diff(old.as_bytes(), new.as_bytes(), &limits).unwrap().unwrap();
    assert_eq!(patch, new);
    assert_eq!(merge_apply(old.as_bytes(), patch.as_bytes(), &limits).unwrap(), new);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn a_merge_patch_does_what_the_standard_says((document, patch) in (json(), json())) {
        let ours = merged(&document.to_string(), &patch.to_string());
        prop_assert_eq!(ours, reference(document, &patch));
    }

    #[test]
    fn a_merge_patch_leads_from_one_document_to_the_other((old, new) in edited()) {
        let (old_text, new_text) = (old.to_string(), new.to_string());
        let limits = Limits::default();
        let patch = merge_diff(old_text.as_bytes(), new_text.as_bytes(), &limits).unwrap();
        if let Some(patch) = patch {
            prop_assert!(same(&reference(old, &value(&patch)), &new), "{}", patch);
        } else {
            prop_assert!(new_text.contains("null"));
        }
    }

    #[test]
    fn an_update_writes_the_merge_patch_that_comparing_writes(
        (old, new) in prop_oneof![edited(), (json(), json())],
        spelled in any::<[bool; 2]>(),
    ) {
        let text = |value: &Value, spelled| {
            let text = value.to_string();
            if spelled { respell(&text) } else { text }
        };
        let (old_text, new_text) = (text(&old, spelled[0]), text(&new, spelled[1]));
        let mut options = Options::default();
        options.merge = true;
        let mut document = Document::parse_with(old_text.as_bytes(), &options).unwrap();
        let change = document.update(new_text.as_bytes()).unwrap();
        let expected =
            merge_diff(old_text.as_bytes(), new_text.as_bytes(), &options.limits).unwrap();
        let Change::Script(script) = change else { return Ok(()) };
        let mut patch = String::new();
        let written = script.render_merge_patch(Pointer::ROOT, &mut patch);
        prop_assert_eq!(written, expected.is_some());
        if let Some(expected) = expected {
            // Members may stand in another order.
            prop_assert_eq!(patch.len(), expected.len(), "{} {}", patch, expected);
            prop_assert_eq!(value(&patch), value(&expected));
            prop_assert!(same(&reference(old, &value(&patch)), &new), "{}", patch);
        }
    }

    #[test]
    fn a_script_with_moves_is_rendered_without((old, new) in edited()) {
        let mut options = Options::default();
        (options.moves, options.copies) = (true, true);
        let (old_text, new_text) = (old.to_string(), new.to_string());
        let change = diff_with(old_text.as_bytes(), new_text.as_bytes(), &options).unwrap();
        let mut patch = String::new();
        match change {
            Change::Script(script) => script.render_plain_patch("", &mut patch),
            Change::Nothing => patch.push_str("[]"),
            Change::Replacement => patch = replacement(&new_text),
        }
        prop_assert!(!patch.contains(r#""op":"move""#) && !patch.contains(r#""op":"copy""#));
        prop_assert!(same(&apply_with_oracle(&old, &patch), &new), "{}", patch);
    }
}

#[test]
fn a_plain_patch_is_one_line_whatever_the_white_space_of_the_document() {
    let mut options = Options::default();
    options.moves = true;
    let row = |id: u32| format!("{{\r\n \"id\" : {id},\r\n \"text\" : \"it stays {id}\" }}");
    let list = |ids: [u32; 4]| format!("[{}]", ids.map(row).join(",\r\n"));
    let (old, new) = (list([1, 2, 3, 4]), list([4, 1, 2, 3]));
    let change = diff_with(old.as_bytes(), new.as_bytes(), &options).unwrap();
    let Change::Script(script) = change else { panic!() };
    let mut patch = String::new();
    script.render_plain_patch("", &mut patch);
    assert_eq!(
        patch,
        r#"[{"op":"remove","path":"/3"},{"op":"add","path":"/0","value":{"id":4,"text":"it stays 4"}}]"#
    );
}
