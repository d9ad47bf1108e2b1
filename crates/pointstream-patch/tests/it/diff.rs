use pointstream_patch::{Change, Document, Limits, OperationKind, diff};

use crate::support::diff_text;

fn list(ids: impl IntoIterator<Item = u32>) -> String {
    let items: Vec<_> = ids
        .into_iter()
        .map(|id| format!(r#"{{"id":{id},"title":"headline number {id} of the day"}}"#))
        .collect();
    format!("[{}]", items.join(","))
}

#[test]
fn an_insertion_at_the_head_comes_before_the_removal_at_the_tail() {
    let old = list(1..=20);
    let new = list(0..=19);
    let expected = concat!(
        r#"[{"op":"add","path":"/0","value":{"id":0,"title":"headline number 0 of the day"}},"#,
        r#"{"op":"remove","path":"/20"}]"#
    );
    assert_eq!(diff_text(&old, &new), expected);
}

#[test]
fn what_comes_behind_a_long_array_is_added_at_its_end() {
    let numbers = |range: core::ops::Range<u32>| format!("{:?}", range.collect::<Vec<_>>());
    assert_eq!(
        diff_text(&numbers(100..130), &numbers(102..132)),
        concat!(
            r#"[{"op":"remove","path":"/0"},{"op":"remove","path":"/0"},"#,
            r#"{"op":"add","path":"/-","value":130},{"op":"add","path":"/-","value":131}]"#
        )
    );
}

#[test]
fn a_changed_leaf_is_replaced_where_it_stands() {
    let old = format!(r#"{{"a/b":{},"m~n":[1,2]}}"#, list(1..=3));
    let new = old.replace(r#""id":2"#, r#""id":22"#);
    assert_eq!(diff_text(&old, &new), r#"[{"op":"replace","path":"/a~1b/1/id","value":22}]"#);
}

#[test]
fn numbers_keep_the_spelling_of_their_producer() {
    let old = r#"{"value":1.50,"of the room":"north"}"#;
    let new = r#"{"value":2.50e0,"of the room":"north"}"#;
    assert_eq!(diff_text(old, new), r#"[{"op":"replace","path":"/value","value":2.50e0}]"#);
}

#[test]
fn values_are_written_without_white_space() {
    let old = "{ \"a\": 1,\r\n \"long enough to stay\": \"as it is\" }";
    let new = "{ \"a\": [ 1, \"x y\\\" z\" ],\r\n \"long enough to stay\": \"as it is\" }";
    assert_eq!(diff_text(old, new), r#"[{"op":"replace","path":"/a","value":[1,"x y\" z"]}]"#);
}

#[test]
fn a_container_is_replaced_where_its_leaves_would_take_more() {
    let old = r#"{"point":{"v":1,"t":10},"name":"a name that is long enough to matter here"}"#;
    let new = r#"{"point":{"v":2,"t":11},"name":"a name that is long enough to matter here"}"#;
    assert_eq!(diff_text(old, new), r#"[{"op":"replace","path":"/point","value":{"v":2,"t":11}}]"#);
}

#[test]
fn a_document_that_changes_wholly_is_replaced() {
    for (old, new) in [("1", "2"), ("[1,2,3]", "{}"), ("[1,2,3]", "[4,5,6]"), (r#"{"a":1}"#, "[]")]
    {
        let change = diff(old.as_bytes(), new.as_bytes(), &Limits::default()).unwrap();
        assert!(matches!(change, Change::Replacement), "{old} {new} {change:?}");
    }
}

#[test]
fn repeated_elements_are_aligned() {
    let numbers = |shift: u32| {
        let values: Vec<_> = (shift..shift + 300).map(|n| (n % 7).to_string()).collect();
        format!("[{}]", values.join(","))
    };
    let patch = diff_text(&numbers(0), &numbers(3));
    assert_eq!(patch.matches("\"op\"").count(), 6, "{patch}");
}

#[test]
fn a_script_is_rendered_under_a_prefix() {
    let old = list(1..=9);
    let new = list(2..=10);
    let change = diff(old.as_bytes(), new.as_bytes(), &Limits::default()).unwrap();
    let Change::Script(script) = change else { panic!() };
    let mut patch = String::from("data: ");
    script.render_patch("/rows/a\"b", &mut patch);
    let expected = concat!(
        r#"data: [{"op":"remove","path":"/rows/a\"b/0"},{"op":"add","path":"/rows/a\"b/8","#,
        r#""value":{"id":10,"title":"headline number 10 of the day"}}]"#
    );
    assert_eq!(patch, expected);
    let operations: Vec<_> = script
        .operations()
        .map(|operation| (operation.kind(), operation.path().into_owned(), operation.value()))
        .collect();
    let added = r#"{"id":10,"title":"headline number 10 of the day"}"#;
    assert_eq!(
        operations,
        [
            (OperationKind::Remove, "/0".to_string(), None),
            (OperationKind::Add, "/8".to_string(), Some(added)),
        ]
    );
    assert_eq!((script.len(), script.is_empty()), (2, false));
    assert_eq!(patch.len(), "data: ".len() + script.len_bytes() + 2 * r#"/rows/a\"b"#.len());
}

#[test]
fn a_document_is_unchanged_by_an_update_that_is_refused() {
    let text = list(1..=3);
    let mut document = Document::parse(text.as_bytes(), &Limits::default()).unwrap();
    assert!(document.update(b"[1,]").is_err());
    assert_eq!(document.text(), text);
    assert!(matches!(document.update(text.as_bytes()), Ok(Change::Nothing)));
    let Ok(Change::Script(script)) = document.update(list(0..=3).as_bytes()) else { panic!() };
    assert_eq!(script.len(), 1);
    assert_eq!(document.text(), list(0..=3));
}
