use pointstream_patch::{
    Change, Document, Limits, Options, ParseErrorKind, PatchError, Pointer, apply, compose, diff,
    diff_with, invert, merge_apply,
};
use serde_json::Value;

use crate::json::equal;
use crate::split;

/// A document before the first 0 byte, a patch behind it.
///
/// A patch that applies gives JSON within the limits, and where another implementation applies it
/// too, both results are equal by value.
pub fn patch_apply(data: &[u8]) {
    let (document, patch) = split(data);
    let limits = limits();
    let result = apply(document, patch, &limits);
    assert_eq!(apply(document, patch, &limits), result, "a second time");
    match result {
        Ok(text) => {
            assert!(text.len() <= limits.bytes_max);
            let value = json(text.as_bytes()).expect("the result is JSON");
            assert_eq!(Document::parse(text.as_bytes(), &limits).map(drop), Ok(()), "{text}");
            match other_apply(document, patch) {
                Some(other) => assert!(equal(&value, &other), "{text} is not {other}"),
                None => assert!(is_refused_elsewhere(patch), "refused elsewhere"),
            }
            let limits = generous();
            let back = invert(document, patch, &limits).expect("what applies is undone");
            let before = apply(text.as_bytes(), back.as_bytes(), &limits).expect("the way back");
            let before = json(before.as_bytes()).expect("the result is JSON");
            assert!(equal(&before, &json(document).expect("a document")), "{back} leads elsewhere");
            let both = compose(patch, back.as_bytes(), &limits).expect("two patches make one");
            let same = apply(document, both.as_bytes(), &limits).expect("there and back");
            let same = json(same.as_bytes()).expect("the result is JSON");
            assert!(equal(&same, &before), "{both} leads elsewhere");
        }
        Err(PatchError::Document(error)) => {
            assert!(error.offset() <= document.len());
            assert_eq!(read(document).unwrap_err(), error);
        }
        Err(PatchError::Patch(error)) => {
            assert!(error.offset() <= patch.len());
            assert_eq!(read(patch).unwrap_err(), error);
        }
        Err(PatchError::NotAnArray) => assert!(!json(patch).is_some_and(|json| json.is_array())),
        Err(PatchError::Operation(error)) => {
            let operations = json(patch).expect("the patch is JSON");
            assert!(operations.get(error.index()).is_some(), "{error}");
            assert!(!error.to_string().is_empty());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A document before the first 0 byte, another behind it: what leads from one to the other does.
pub fn patch_diff(data: &[u8]) {
    let (old, new) = split(data);
    let limits = limits();
    let (a, b) = match (read(old), read(new)) {
        (Ok(a), Ok(b)) => (a, b),
        (Err(error), _) | (_, Err(error)) => {
            assert_eq!(diff(old, new, &limits).unwrap_err(), error);
            return;
        }
    };
    let change = diff(old, new, &limits).expect("both are documents");
    follow(&change, (old, &a), (new, &b));

    every_operation(&change, (old, &a), (new, &b));

    let mut document = Document::parse(old, &limits).expect("a document");
    let updated = document.update(new).expect("a document");
    assert_eq!(document.text().as_bytes(), new);
    assert_eq!(rendered(&updated, ""), rendered(&change, ""), "updated, not compared");
    let back = document.update(old).expect("a document");
    assert_eq!(document.text().as_bytes(), old);
    follow(&back, (new, &b), (old, &a));
}

/// Checks the change with moves and copies, and its merge patch.
fn every_operation(plain: &Change, (old, a): (&[u8], &Value), (new, b): (&[u8], &Value)) {
    let mut options = Options::new(&limits());
    (options.moves, options.copies, options.merge) = (true, new.len() % 2 == 0, true);
    for (elements, id) in [("/*", "/id"), ("/*/*", "/1"), ("/a/*", "/b/0")] {
        options.key(elements, id).expect("pointers");
    }
    let change = diff_with(old, new, &options).expect("both are documents");
    let Change::Script(script) = &change else {
        assert_eq!(matches!(change, Change::Nothing), equal(a, b));
        return;
    };
    let patch = rendered(&change, "").expect("a script");
    let text = apply(old, patch.as_bytes(), &generous()).expect("the patch applies");
    assert!(equal(&json(text.as_bytes()).expect("JSON"), b), "{patch} leads to {text}");
    if let Some(plain) = rendered(plain, "") {
        assert!(patch.len() <= plain.len(), "{patch} is longer than {plain}");
    }
    let mut merge = String::new();
    if script.render_merge_patch(Pointer::ROOT, &mut merge) {
        let text = merge_apply(old, merge.as_bytes(), &generous()).expect("the patch applies");
        assert!(equal(&json(text.as_bytes()).expect("JSON"), b), "{merge} leads to {text}");
    }
}

/// Checks that a change leads from one document to the other.
fn follow(change: &Change, (old, a): (&[u8], &Value), (new, b): (&[u8], &Value)) {
    match change {
        Change::Nothing => assert!(equal(a, b), "nothing, but they differ"),
        Change::Replacement => assert!(!equal(a, b), "a replacement, but they are equal"),
        Change::Script(script) => {
            assert!(!equal(a, b), "a script, but they are equal");
            assert_eq!(script.operations().count(), script.len());
            let patch = rendered(change, "").expect("a script");
            let whole = r#"[{"op":"replace","path":"","value":}]"#.len() + new.len();
            assert!(patch.len() < whole, "{patch} is no shorter than a replacement");
            let text = apply(old, patch.as_bytes(), &generous()).expect("the patch applies");
            let value = json(text.as_bytes()).expect("the result is JSON");
            assert!(equal(&value, b), "{patch} leads to {text}");
            let other = other_apply(old, patch.as_bytes()).expect("it applies elsewhere");
            assert!(equal(&other, b), "{patch} leads to {other} elsewhere");

            let patch = rendered(change, "/~0 topic/0").expect("a script");
            let mut nested = br#"{"~ topic":["#.to_vec();
            nested.extend(old);
            nested.extend(b"]}");
            let text = apply(&nested, patch.as_bytes(), &generous()).expect("the patch applies");
            let value = json(text.as_bytes()).expect("the result is JSON");
            assert!(equal(&value["~ topic"][0], b), "{patch} leads to {text}");
        }
    }
}

fn rendered(change: &Change, prefix: &str) -> Option<String> {
    let Change::Script(script) = change else { return None };
    let mut patch = String::new();
    script.render_patch(prefix, &mut patch);
    Some(patch)
}

/// Reads a document twice: here and by serde_json, which is to agree on what JSON is.
fn read(text: &[u8]) -> Result<Value, pointstream_patch::ParseError> {
    use ParseErrorKind::{Bytes, Depth, DuplicateKey, Nodes};
    let other = json(text);
    match Document::parse(text, &limits()) {
        Ok(document) => {
            assert_eq!(document.text().as_bytes(), text);
            Ok(other.expect("serde_json reads it too"))
        }
        Err(error) => {
            let ours = matches!(error.kind(), Bytes | Depth | DuplicateKey | Nodes);
            assert!(ours || other.is_none(), "{error}, but serde_json reads it");
            assert!(error.offset() <= text.len());
            Err(error)
        }
    }
}

fn json(text: &[u8]) -> Option<Value> {
    serde_json::from_slice(text).ok()
}

fn other_apply(document: &[u8], patch: &[u8]) -> Option<Value> {
    let mut value = json(document)?;
    let patch: json_patch::Patch = serde_json::from_slice(patch).ok()?;
    json_patch::patch(&mut value, &patch).ok()?;
    Some(value)
}

/// Narrow, so that inputs reach them.
fn limits() -> Limits {
    let mut limits = Limits::default();
    (limits.depth_max, limits.nodes_max) = (24, 512);
    (limits.bytes_max, limits.ops_max) = (crate::LEN_MAX, 32);
    limits
}

/// Whether a patch has what the other implementation reads in another way: `test`, where numbers are
/// compared by their spelling, and the removal of the whole document.
fn is_refused_elsewhere(patch: &[u8]) -> bool {
    let operations = json(patch).expect("the patch is JSON");
    operations.as_array().into_iter().flatten().any(|operation| {
        operation["op"] == "test" || (operation["op"] == "remove" && operation["path"] == "")
    })
}

/// For what the crate wrote itself.
fn generous() -> Limits {
    let mut limits = Limits::default();
    limits.depth_max = 100;
    limits
}
