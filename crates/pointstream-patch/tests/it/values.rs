#[cfg(feature = "serde_json")]
use pointstream_patch::{Change, Limits, Options, apply_value, diff_values, merge_value};
#[cfg(feature = "serde_json")]
use serde_json::json;

#[cfg(feature = "serde_json")]
#[test]
fn values_are_compared_and_patched() {
    let old = json!({"a": [1, 2, 3], "b": "x", "c": "a text that is long enough to stay"});
    let new = json!({"a": [1, 2, 3, 4], "b": "y", "c": "a text that is long enough to stay"});
    let limits = Limits::default();
    let Change::Script(script) = diff_values(&old, &new, &Options::default()).unwrap() else {
        panic!()
    };
    let mut patch = String::new();
    script.render_patch("", &mut patch);
    let mut value = old;
    apply_value(&mut value, patch.as_bytes(), &limits).unwrap();
    assert_eq!(value, new);
    assert!(apply_value(&mut value, br#"[{"op":"remove","path":"/z"}]"#, &limits).is_err());
    assert_eq!(value, new);
    merge_value(&mut value, br#"{"b":null,"c":null}"#, &limits).unwrap();
    assert_eq!(value, json!({"a": [1, 2, 3, 4]}));
    assert!(matches!(diff_values(&new, &new, &Options::default()), Ok(Change::Nothing)));
}

#[cfg(feature = "serde_json")]
proptest::proptest! {
    #[test]
    fn values_are_compared_as_their_texts_are(
        (old, new) in proptest::prop_oneof![
            crate::support::edited(),
            (crate::support::json(), crate::support::json()),
        ],
    ) {
        let ours = diff_values(&old, &new, &Options::default()).unwrap();
        let patch = crate::support::patch_of(&ours, &new.to_string());
        let whole = crate::support::replacement(&new.to_string());
        proptest::prop_assert!(patch.len() <= whole.len());
        let mut value = old;
        apply_value(&mut value, patch.as_bytes(), &Limits::default()).unwrap();
        proptest::prop_assert!(crate::support::same(&value, &new), "{}", patch);
    }
}

#[cfg(feature = "serde_json")]
#[test]
fn values_stay_within_the_limits() {
    use pointstream_patch::{ParseErrorKind, ValueError};
    let mut limits = Limits::default();
    (limits.depth_max, limits.nodes_max, limits.bytes_max) = (2, 4, 12);
    let kind =
        |value: &serde_json::Value| match diff_values(&json!(0), value, &Options::new(&limits)) {
            Err(ValueError::Parse(error)) => Some(error.kind()),
            _ => None,
        };
    assert_eq!(kind(&json!([[1]])), None);
    assert_eq!(kind(&json!([[[]]])), Some(ParseErrorKind::Depth));
    assert_eq!(kind(&json!([1, 2, 3])), None);
    assert_eq!(kind(&json!([1, 2, 3, 4])), Some(ParseErrorKind::Nodes));
    assert_eq!(kind(&json!("0123456789")), None);
    assert_eq!(kind(&json!("01234567890")), Some(ParseErrorKind::Bytes));
}

#[cfg(feature = "json-patch")]
#[test]
fn patches_of_crate_json_patch_go_in_and_out() {
    let old = json!({"a": [1, 2, 3], "b": "x", "c": "a text that is long enough to stay"});
    let new = json!({"a": [1, 2, 3, 4], "b": "y", "c": "a text that is long enough to stay"});
    let Change::Script(script) = diff_values(&old, &new, &Options::default()).unwrap() else {
        panic!()
    };
    let mut value = old.clone();
    json_patch::patch(&mut value, &script.to_json_patch().unwrap()).unwrap();
    assert_eq!(value, new);
    let theirs = json!([{"op": "add", "path": "/a/-", "value": 4}, {"op": "replace", "path": "/b", "value": "y"}]);
    let theirs: json_patch::Patch = serde_json::from_value(theirs).unwrap();
    let text = pointstream_patch::apply_json_patch(
        old.to_string().as_bytes(),
        &theirs,
        &Limits::default(),
    );
    assert_eq!(crate::support::value(&text.unwrap()), new);
}

#[cfg(feature = "serde_json")]
#[test]
fn a_value_of_any_depth_needs_no_stack() {
    use pointstream_patch::{ParseErrorKind, PatchError, ValueError};
    let mut deep = json!(1);
    for _ in 0..200_000 {
        deep = serde_json::Value::Array(vec![deep]);
    }
    let limits = Limits::default();
    let refused = |result: Result<(), ValueError>| match result {
        Err(ValueError::Patch(PatchError::Document(error))) => error.kind(),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(apply_value(&mut deep, b"[]", &limits)), ParseErrorKind::Depth);
    assert_eq!(refused(merge_value(&mut deep, b"1", &limits)), ParseErrorKind::Depth);
    // Dropping it would need stack.
    core::mem::forget(deep);
}

#[cfg(feature = "json-patch")]
#[test]
fn any_two_values_have_a_patch_of_crate_json_patch() {
    use pointstream_patch::diff_json_patch;
    let text = "a text that is long enough to stay";
    let list = json!({"a": [1, 2, 3], "text": text});
    for (old, new, len) in [
        (list.clone(), list.clone(), 0),
        (list.clone(), json!({"a": [1, 2, 3, 4], "text": text}), 1),
        (list, json!([1]), 1),
        (json!(1), json!("x"), 1),
    ] {
        let patch = diff_json_patch(&old, &new, &Options::default()).unwrap();
        assert_eq!(patch.0.len(), len, "{patch}");
        let mut value = old;
        json_patch::patch(&mut value, &patch).unwrap();
        assert_eq!(value, new);
    }
}
