//! Inputs whose cost would be their square, or some large multiple, if it were not bounded.

use pointstream_patch::{
    Change, Document, Limits, OperationKind, Options, apply, compose, diff_with,
};

use crate::support::{patch_of, replacement};

/// An object under a key that is longer than all else.
fn under_a_long_key(inside: &str) -> String {
    format!(r#"{{"{}":{inside}}}"#, "k".repeat(1 << 18))
}

#[test]
fn patches_with_pointers_of_many_tokens_are_composed_at_the_cost_of_their_length() {
    let op = |path: &str| format!(r#"[{{"op":"replace","path":"{path}","value":1}}]"#);
    let (long, longer) = (op(&"/".repeat(4 << 20)), op(&"/".repeat((4 << 20) + 1)));
    let limits = Limits::default();
    let both = compose(longer.as_bytes(), long.as_bytes(), &limits).unwrap();
    assert_eq!(both, long);
    let both = compose(long.as_bytes(), longer.as_bytes(), &limits).unwrap();
    assert_eq!(both.len(), long.len() + longer.len() - 1);
}

#[test]
fn operations_under_a_long_key_take_no_more_than_some_documents() {
    let members = |value: u32| {
        let members: Vec<_> = (0..2_000).map(|at| format!("\"m{at}\":{value}")).collect();
        under_a_long_key(&format!("{{{}}}", members.join(",")))
    };
    let nested = |value: u32| {
        let (open, close) = (format!("[{value},").repeat(120), "]".repeat(120));
        under_a_long_key(&format!("{open}0{close}"))
    };
    let spread = |value: u32| {
        let inner: Vec<_> = (0..500).map(|at| format!("\"o{at}\":{{\"v\":{value}}}")).collect();
        under_a_long_key(&format!("{{{}}}", inner.join(",")))
    };
    for make in [&members as &dyn Fn(u32) -> String, &nested, &spread] {
        let (old, new) = (make(1), make(2));
        let mut document = Document::parse(old.as_bytes(), &Limits::default()).unwrap();
        let change = document.update(new.as_bytes()).unwrap();
        assert!(patch_of(&change, &new).len() <= replacement(&new).len());
        assert!(document.memory() < 32 * new.len(), "{} {}", document.memory(), new.len());
    }
}

#[test]
fn configured_keys_are_not_looked_for_along_long_pointers() {
    let arrays = |value: u32| {
        let arrays: Vec<_> = (0..20_000).map(|at| format!("[{at},{value}]")).collect();
        under_a_long_key(&format!("[{}]", arrays.join(",")))
    };
    let mut options = Options::default();
    options.key("/*/*/*", "/id").unwrap();
    let (old, new) = (arrays(1), arrays(2));
    let change = diff_with(old.as_bytes(), new.as_bytes(), &options).unwrap();
    assert!(patch_of(&change, &new).len() <= replacement(&new).len());
}

#[test]
fn a_configured_key_is_looked_for_up_to_its_bound() {
    let text = "x".repeat(12_000);
    let list = |ids: [u32; 4], v: u32, key: usize| {
        let rows = ids.map(|id| format!("[{v},{id},\"{text}\"]"));
        format!(r#"{{"{}":[{}]}}"#, "k".repeat(key), rows.join(","))
    };
    let moves = |key: usize| {
        let (old, new) = (list([1, 2, 3, 4], 5, key), list([4, 1, 2, 3], 6, key));
        let mut options = Options::default();
        options.moves = true;
        options.key("/*/*", "/1").unwrap();
        let Change::Script(script) = diff_with(old.as_bytes(), new.as_bytes(), &options).unwrap()
        else {
            panic!()
        };
        script.operations().filter(|op| op.kind() == OperationKind::Move).count()
    };
    let slash = 1;
    assert_eq!((moves(4_096 - slash), moves(4_097 - slash)), (1, 0));
}

#[test]
fn a_long_key_is_not_read_for_each_operation() {
    let document = format!(r#"{{"{}":1,"\u0061":1}}"#, "k".repeat(16 << 20));
    let ops = vec![r#"{"op":"test","path":"/a","value":1}"#; 40_000];
    let patch = format!("[{}]", ops.join(","));
    let text = apply(document.as_bytes(), patch.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(text, document);
}
