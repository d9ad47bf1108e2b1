use pointstream_patch::{
    Limits, OperationErrorKind, Options, PatchError, apply, compose, diff_with, invert,
};
use proptest::prelude::*;

use crate::support::{edited, json, patch_of, same, value};

fn patch(old: &str, new: &str) -> String {
    let mut options = Options::default();
    (options.moves, options.copies, options.tests) = (true, true, true);
    patch_of(&diff_with(old.as_bytes(), new.as_bytes(), &options).unwrap(), new)
}

fn applied(document: &str, patch: &str) -> String {
    apply(document.as_bytes(), patch.as_bytes(), &Limits::default()).unwrap()
}

fn inverse(document: &str, patch: &str) -> String {
    invert(document.as_bytes(), patch.as_bytes(), &Limits::default()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn an_inverse_leads_back(pair in prop_oneof![edited(), (json(), json())]) {
        let (old, new) = (pair.0.to_string(), pair.1.to_string());
        let there = patch(&old, &new);
        let back = inverse(&old, &there);
        let text = applied(&applied(&old, &there), &back);
        prop_assert!(same(&value(&text), &pair.0), "{} and back {} gives {}", there, back, text);
        let again = inverse(&new, &back);
        prop_assert!(same(&value(&applied(&text, &again)), &pair.1), "{}", again);
    }

    #[test]
    fn composed_patches_do_what_both_do((first, second) in (edited(), edited())) {
        let texts = [&first.0, &first.1, &second.1].map(|value| value.to_string());
        let limits = Limits::default();
        let (one, two) = (patch(&texts[0], &texts[1]), patch(&texts[1], &texts[2]));
        let both = compose(one.as_bytes(), two.as_bytes(), &limits).unwrap();
        prop_assert!(both.len() <= one.len() + two.len());
        let text = applied(&texts[0], &both);
        prop_assert!(same(&value(&text), &second.1), "{} gives {}", both, text);
    }
}

#[test]
fn every_operation_is_undone() {
    let document = r#"{"a":{"b":[1,2]},"c":3}"#;
    for patch in [
        r#"[{"op":"move","from":"/a/b","path":"/a"}]"#,
        r#"[{"op":"move","from":"/a/b/0","path":"/a/b/1"}]"#,
        r#"[{"op":"move","from":"/c","path":"/a/b/-"}]"#,
        r#"[{"op":"copy","from":"/a","path":"/c"},{"op":"copy","from":"","path":"/d"}]"#,
        r#"[{"op":"add","path":"/a/b/-","value":[]},{"op":"add","path":"/a/b/2/-","value":1}]"#,
        r#"[{"op":"remove","path":""},{"op":"replace","path":"","value":[1]}]"#,
        r#"[{"op":"add","path":"","value":{"a":1}},{"op":"test","path":"/a","value":1.0}]"#,
        r#"[{"op":"add","path":"/c","value":4},{"op":"remove","path":"/c"}]"#,
    ] {
        let back = inverse(document, patch);
        let text = applied(&applied(document, patch), &back);
        assert!(same(&value(&text), &value(document)), "{patch} and back {back} gives {text}");
    }
    let error =
        invert(document.as_bytes(), br#"[{"op":"remove","path":"/x"}]"#, &Limits::default());
    let Err(PatchError::Operation(error)) = error else { panic!() };
    assert_eq!((error.kind(), error.pointer()), (OperationErrorKind::Missing, "/x"));
}

#[test]
fn a_chain_of_updates_of_one_leaf_does_not_grow() {
    let limits = Limits::default();
    let mut sum = String::from("[]");
    for value in 0..100 {
        let next = format!(
            r#"[{{"op":"replace","path":"/a/v","value":{value}}},{{"op":"replace","path":"/b","value":1}}]"#
        );
        sum = compose(sum.as_bytes(), next.as_bytes(), &limits).unwrap();
    }
    assert_eq!(
        sum,
        r#"[{"op":"replace","path":"/a/v","value":99},{"op":"replace","path":"/b","value":1}]"#
    );
    let whole = br#"[{"op":"replace","path":"/a","value":{}}]"#;
    let sum = compose(sum.as_bytes(), whole, &limits).unwrap();
    assert!(!sum.contains("/a/v"), "{sum}");
    assert!(matches!(compose(b"{}", b"[]", &limits), Err(PatchError::NotAnArray)));
}

#[test]
fn an_inverse_that_is_too_long_is_refused_as_that() {
    let document = format!("[\"{}\",0]", "x".repeat(200));
    let patch = br#"[{"op":"move","from":"/0","path":"/1"},{"op":"move","from":"/1","path":"/0"}]"#;
    let mut limits = Limits::default();
    limits.bytes_max = 300;
    assert!(apply(document.as_bytes(), patch, &limits).is_ok());
    let error = invert(document.as_bytes(), patch, &limits);
    assert_eq!(error, Err(PatchError::Length));
    limits.bytes_max = 1_000;
    assert!(invert(document.as_bytes(), patch, &limits).is_ok());
}
