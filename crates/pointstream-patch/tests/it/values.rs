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
