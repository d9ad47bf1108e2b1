use pointstream_patch::{
    Change, Document, Limits, OperationKind, Options, Pointer, apply, diff_with,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{apply_with_oracle, edited, json, patch_of, replacement, same, value};

/// Lists of rows and of scalars, in which rows change, come, go and change places.
fn lists() -> impl Strategy<Value = (Value, Value)> {
    let row = (0..14u32, 0..5u32, 0..3u32).prop_map(|(id, a, kind)| match kind {
        0 => json!({"id": id, "name": format!("row number {id}"), "a": a, "tags": [a, 1, 2]}),
        1 => json!({"meta": {"kind": "long enough", "n": 7}, "code": format!("c{id}"), "a": a}),
        _ => json!(a * 1_000),
    });
    let list = prop::collection::vec(row, 0..14);
    let steps = prop::collection::vec((0..5u8, any::<u16>(), any::<u16>(), 0..5u32), 0..7);
    (list, steps, any::<bool>()).prop_map(|(old, steps, wrapped)| {
        let mut new = old.clone();
        for (what, from, to, a) in steps {
            let (from, to) = (usize::from(from), usize::from(to));
            match what {
                0 => new.insert(to % (new.len() + 1), json!({"id": 20 + a, "name": "new", "a": a})),
                _ if new.is_empty() => {}
                1 => {
                    new.remove(from % new.len());
                }
                2 => {
                    let row = new.remove(from % new.len());
                    new.insert(to % (new.len() + 1), row);
                }
                3 => {
                    let row = new[from % new.len()].clone();
                    new.insert(to % (new.len() + 1), row);
                }
                _ => {
                    let at = from % new.len();
                    if let Value::Object(row) = &mut new[at] {
                        row.insert("a".into(), json!(a + 7));
                    }
                }
            }
        }
        let wrap = |list: Vec<Value>| {
            if wrapped { json!({"items": list, "seq": 1}) } else { Value::Array(list) }
        };
        (wrap(old), wrap(new))
    })
}

fn options() -> impl Strategy<Value = Options> {
    (any::<[bool; 3]>(), 0..4usize, any::<u64>(), 0..4u32).prop_map(
        |([moves, copies, tests], keys, seed, edits)| {
            let mut options = Options::default();
            (options.moves, options.copies, options.tests, options.seed) =
                (moves, copies, tests, seed);
            options.limits.edits_max = edits * 200;
            // Identities that stand first, that change, that are within, or that many share.
            let pairs = [("/id", "/code"), ("/a", "/a"), ("/tags/0", "/meta/kind")];
            if let Some((wrapped, bare)) = pairs.get(keys) {
                options.key("/items/*", wrapped).unwrap().key("/*", bare).unwrap();
            }
            options
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    #[test]
    fn every_way_of_writing_leads_to_the_other_document(
        pair in prop_oneof![3 => lists(), 1 => edited(), 1 => (json(), json())],
        options in options(),
    ) {
        let (old, new) = (pair.0.to_string(), pair.1.to_string());
        let change = diff_with(old.as_bytes(), new.as_bytes(), &options).unwrap();
        let patch = patch_of(&change, &new);
        let whole = replacement(&new).len() + if options.tests { replacement(&old).len() } else { 0 };
        prop_assert!(patch.len() <= whole, "{}", patch);
        let ours = apply(old.as_bytes(), patch.as_bytes(), &Limits::default()).unwrap();
        prop_assert!(same(&value(&ours), &pair.1), "{} gives {}", patch, ours);
        let theirs = apply_with_oracle(&pair.0, &patch);
        prop_assert!(same(&theirs, &pair.1), "{} gives {}", patch, theirs);
        let mut plain = options.clone();
        (plain.moves, plain.copies) = (false, false);
        let without = diff_with(old.as_bytes(), new.as_bytes(), &plain).unwrap();
        // Where tests are wanted a replacement counts with the one that it does not carry.
        let len = match &without {
            Change::Replacement => whole,
            other => patch_of(other, &new).len(),
        };
        prop_assert!(patch.len() <= len, "{} is longer than {} bytes", patch, len);
        if let Change::Script(script) = &change {
            for operation in script.operations() {
                let allowed = match operation.kind() {
                    OperationKind::Move => options.moves,
                    OperationKind::Copy => options.copies,
                    OperationKind::Test => options.tests,
                    _ => true,
                };
                prop_assert!(allowed, "{}", patch);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn updates_and_edits_in_a_chain_are_as_good_as_single_diffs_whatever_the_options(
        chain in prop::collection::vec((lists(), any::<bool>()), 1..12),
        mut options in options(),
        merge in any::<bool>(),
    ) {
        options.merge = merge;
        let mut old = String::from("[]");
        let mut document = Document::parse_with(old.as_bytes(), &options).unwrap();
        for ((a, b), edited) in chain {
            for new in [a.to_string(), b.to_string()] {
                let change = document.update(new.as_bytes()).unwrap();
                let single = diff_with(old.as_bytes(), new.as_bytes(), &options).unwrap();
                prop_assert_eq!(document.text(), &new);
                prop_assert_eq!(patch_of(&change, &new), patch_of(&single, &new));
                let merged = |change: &Change| {
                    let mut patch = String::new();
                    let Change::Script(script) = change else { return None };
                    script.render_merge_patch(Pointer::ROOT, &mut patch).then_some(patch)
                };
                prop_assert_eq!(merged(&change), merged(&single));
                old = new;
            }
            if edited && b.is_object() {
                let mut edits = document.edit();
                edits.set(Pointer::parse("/seq").unwrap(), "[2]").unwrap();
                edits.insert(Pointer::parse("/items/0").unwrap(), r#"{"id":99}"#).unwrap();
                edits.commit().unwrap();
                old = document.text().to_owned();
            }
        }
    }
}

#[test]
fn rows_that_change_places_are_moved_if_that_is_allowed() {
    let row = |id: u32| format!(r#"{{"id":{id},"name":"a row of some length {id}"}}"#);
    let list =
        |ids: &[u32]| format!("[{}]", ids.iter().map(|&id| row(id)).collect::<Vec<_>>().join(","));
    let mut options = Options::default();
    options.moves = true;
    let (old, new) = (list(&[1, 2, 3, 4, 5, 6]), list(&[6, 1, 2, 4, 3, 5]));
    let change = diff_with(old.as_bytes(), new.as_bytes(), &options).unwrap();
    assert_eq!(
        patch_of(&change, &new),
        r#"[{"op":"move","from":"/5","path":"/0"},{"op":"move","from":"/3","path":"/4"}]"#
    );
}

#[test]
fn what_is_there_twice_is_copied_if_that_is_allowed() {
    let mut options = Options::default();
    options.copies = true;
    let long = r#""a text that is long enough to be worth a copy of it""#;
    let (old, new) = (format!("[{long},1,2,3]"), format!("[{long},1,2,{long},3]"));
    let change = diff_with(old.as_bytes(), new.as_bytes(), &options).unwrap();
    assert_eq!(patch_of(&change, &new), r#"[{"op":"copy","from":"/0","path":"/3"}]"#);
}

#[test]
fn what_is_replaced_and_removed_is_tested_if_that_is_asked_for() {
    let mut options = Options::default();
    options.tests = true;
    let old = r#"{"a":1,"b":"some long text that is the same in both","c":true}"#;
    let new = r#"{"a":2,"b":"some long text that is the same in both"}"#;
    let change = diff_with(old.as_bytes(), new.as_bytes(), &options).unwrap();
    let patch = patch_of(&change, new);
    assert_eq!(
        patch,
        concat!(
            r#"[{"op":"test","path":"/a","value":1},{"op":"replace","path":"/a","value":2},"#,
            r#"{"op":"test","path":"/c","value":true},{"op":"remove","path":"/c"}]"#
        )
    );
    assert!(apply(new.as_bytes(), patch.as_bytes(), &Limits::default()).is_err());
}

#[test]
fn an_index_in_the_pointer_to_an_identity_is_spelled_as_all_indices_are() {
    let list = |ids: [u32; 4], v: u32| {
        let text = "a text that is there in all of them and long enough to stay where it is";
        let rows = ids.map(|id| format!("[{v},{id},\"{text}\",\"{text}\"]"));
        format!("[{}]", rows.join(","))
    };
    let (old, new) = (list([1, 2, 3, 4], 5), list([4, 1, 2, 3], 6));
    let len = |id: &str| {
        let mut options = Options::default();
        options.moves = true;
        options.key("/*", id).unwrap();
        match diff_with(old.as_bytes(), new.as_bytes(), &options).unwrap() {
            Change::Script(script) => script.len_bytes(),
            _ => usize::MAX,
        }
    };
    assert!(len("/1") < len("/none"));
    assert_eq!(len("/01"), len("/none"));
    assert_eq!(len("/+1"), len("/none"));
}

#[test]
fn a_configured_key_tells_rows_apart() {
    let row = |kind: &str, id: u32, value: u32| {
        format!(
            r#"{{"kind":"{kind}","ref":{{"id":{id}}},"value":{value},"note":"of some length"}}"#
        )
    };
    let old = format!(r#"{{"rows":[{},{},{}]}}"#, row("a", 1, 1), row("a", 2, 2), row("a", 3, 3));
    let new = format!(r#"{{"rows":[{},{}]}}"#, row("b", 2, 5), row("a", 3, 3));
    let mut options = Options::default();
    options.key("/rows/*", "/ref/id").unwrap();
    let change = diff_with(old.as_bytes(), new.as_bytes(), &options).unwrap();
    let patch = patch_of(&change, &new);
    assert_eq!(
        patch,
        concat!(
            r#"[{"op":"remove","path":"/rows/0"},{"op":"replace","path":"/rows/0/kind","value":"b"},"#,
            r#"{"op":"replace","path":"/rows/0/value","value":5}]"#
        )
    );
    assert!(options.key("rows", "/id").is_err());
}

#[test]
fn a_document_at_rest_takes_less_and_goes_on() {
    let list = |from: u32| {
        let rows: Vec<_> =
            (from..from + 500).map(|at| format!(r#"{{"id":{at},"v":{at}}}"#)).collect();
        format!("[{}]", rows.join(","))
    };
    let mut document = Document::parse(list(0).as_bytes(), &Limits::default()).unwrap();
    document.update(list(1).as_bytes()).unwrap();
    let awake = document.memory();
    // The text and its successor, a tape of 20 bytes a value twice, and working space like it.
    assert!(awake < 40 * list(0).len(), "{awake}");
    document.rest();
    assert!(document.memory() < awake / 4);
    assert!(document.memory() < 2 * list(0).len());
    let at = Pointer::parse("/3/id").unwrap();
    assert_eq!(document.get(at), Some("4"));
    let Ok(Change::Script(script)) = document.update(list(2).as_bytes()) else { panic!() };
    assert_eq!(script.len(), 2);
    assert_eq!(document.text(), list(2));
}

/// The example of a service whose clients expect it: each changed member of two small rows.
#[test]
fn with_slack_a_small_document_is_changed_member_by_member() {
    let old = br#"{"pairs":[{"Symbol":"AUDUSD","Bid":0.74709,"Mid":0.74713,"Ask":0.74717},{"Symbol":"EURUSD","Bid":0.74709,"Mid":0.74713,"Ask":0.74717}]}"#;
    let new = br#"{"pairs": [{"Symbol":"AUDUSD", "Bid":0.74710, "Mid":0.74712, "Ask":0.74716},{"Symbol":"EURUSD", "Bid":0.74708, "Mid":0.74714, "Ask":0.74718}]}"#;
    let paths = |options: &Options| -> Vec<String> {
        let Ok(Change::Script(script)) = diff_with(old, new, options) else { panic!() };
        script.operations().map(|op| op.path().into_owned()).collect()
    };
    let mut options = Options::default();
    assert_eq!(paths(&options), ["/pairs"]);
    (options.slack, options.slack_document_bytes_max) = (256, 1_024);
    let expected = [
        "/pairs/0/Bid",
        "/pairs/0/Mid",
        "/pairs/0/Ask",
        "/pairs/1/Bid",
        "/pairs/1/Mid",
        "/pairs/1/Ask",
    ];
    assert_eq!(paths(&options), expected);
    options.slack_document_bytes_max = new.len() - 1;
    assert_eq!(paths(&options), ["/pairs"]);
    (options.slack, options.slack_document_bytes_max) = (60, 1_024);
    let Ok(Change::Script(script)) = diff_with(old, new, &options) else { panic!() };
    assert!(
        script.len_bytes() < replacement(core::str::from_utf8(new).unwrap()).len() + 60,
        "a bound, not a wish"
    );
}
