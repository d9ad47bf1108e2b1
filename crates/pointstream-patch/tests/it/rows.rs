use pointstream_patch::{Change, Limits, RowError, RowKey, Rows, apply};
use proptest::prelude::*;
use serde_json::{Map, Value};

use crate::support::{apply_with_oracle, json, patch_of, replacement, same, text, value};

fn text_of(rows: &Rows) -> String {
    let mut text = String::new();
    rows.write_text(&mut text);
    assert_eq!(text.len(), rows.len_bytes());
    text
}

fn patch_after(rows: &mut Rows) -> String {
    let text = text_of(rows);
    patch_of(&rows.commit(), &text)
}

/// Rows enough that a change of some is smaller than the whole.
fn many() -> (Rows, Vec<RowKey>) {
    let mut rows = Rows::new();
    let keys = (0..50)
        .map(|at| rows.insert(&format!("p{at}"), r#"{"val":1,"status":"ok"}"#).unwrap())
        .collect();
    assert!(matches!(rows.commit(), Change::Replacement));
    (rows, keys)
}

#[test]
fn a_changed_leaf_of_a_row_is_replaced() {
    let (mut rows, keys) = many();
    assert_eq!(rows.set(keys[7], r#"{"val":2,"status":"ok"}"#), Ok(true));
    assert_eq!(patch_after(&mut rows), r#"[{"op":"replace","path":"/p7/val","value":2}]"#);
}

#[test]
fn only_the_net_change_counts() {
    let (mut rows, keys) = many();
    rows.set(keys[0], "7").unwrap();
    assert_eq!(rows.set(keys[0], r#"{"status":"ok","val":1.0}"#), Ok(true));
    let added = rows.insert("new", "1").unwrap();
    assert!(rows.remove(added));
    assert!(rows.remove(keys[1]));
    rows.insert("p1", r#"{"val":1,"status":"ok"}"#).unwrap();
    assert!(matches!(rows.commit(), Change::Nothing));
    assert!(text_of(&rows).ends_with(r#","p1":{"val":1,"status":"ok"}}"#));
}

#[test]
fn an_equal_value_is_no_change_and_keeps_its_spelling() {
    let (mut rows, keys) = many();
    assert_eq!(rows.set(keys[0], r#" {"status":"ok","val":1.0}"#), Ok(false));
    assert_eq!(rows.get(keys[0]), Some(r#"{"val":1,"status":"ok"}"#));
    assert!(matches!(rows.commit(), Change::Nothing));
}

#[test]
fn rows_are_found_by_key_and_handles_do_not_outlive_them() {
    let (mut rows, keys) = many();
    assert_eq!(rows.find("p3"), Some(keys[3]));
    assert_eq!(rows.key(keys[3]), Some("p3"));
    assert_eq!(rows.insert("p3", "1"), Err(RowError::DuplicateKey));
    assert!(rows.remove(keys[3]));
    assert!(!rows.remove(keys[3]));
    let next = rows.insert("q", "1").unwrap();
    assert_eq!(rows.get(keys[3]), None);
    assert_eq!(rows.set(keys[3], "1"), Err(RowError::Gone));
    assert_eq!((rows.find("p3"), rows.find("q")), (None, Some(next)));
    assert_eq!(rows.len(), 50);
    assert_eq!(
        patch_after(&mut rows),
        r#"[{"op":"remove","path":"/p3"},{"op":"add","path":"/q","value":1}]"#
    );
}

#[test]
fn what_is_no_json_is_refused_and_changes_nothing() {
    let (mut rows, keys) = many();
    let Err(RowError::Value(error)) = rows.set(keys[0], "  [1,]") else { panic!() };
    assert_eq!(error.offset(), 5);
    assert!(matches!(rows.insert("x", "1 2"), Err(RowError::Value(_))));
    assert!(matches!(rows.insert("x", ""), Err(RowError::Value(_))));
    assert!(matches!(rows.commit(), Change::Nothing));
    assert_eq!(rows.find("x"), None);
}

#[test]
fn a_change_of_most_rows_is_a_replacement() {
    let (mut rows, keys) = many();
    for &row in &keys {
        rows.set(row, r#"{"val":2,"status":"down"}"#).unwrap();
    }
    assert!(matches!(rows.commit(), Change::Replacement));
    assert!(matches!(rows.commit(), Change::Nothing));
    rows.set(keys[0], r#"{"val":3,"status":"down"}"#).unwrap();
    assert!(matches!(rows.commit(), Change::Script(_)));
}

#[derive(Clone, Debug)]
enum Step {
    Insert(String, Value),
    Set(prop::sample::Index, Value),
    Remove(prop::sample::Index),
    Commit,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (text(), json()).prop_map(|(key, value)| Step::Insert(key, value)),
        4 => (any::<prop::sample::Index>(), json()).prop_map(|(row, value)| Step::Set(row, value)),
        2 => any::<prop::sample::Index>().prop_map(Step::Remove),
        2 => Just(Step::Commit),
    ]
}

/// Rows beside what they should be.
#[derive(Default)]
struct Model {
    rows: Rows,
    handles: Vec<(RowKey, String)>,
    members: Map<String, Value>,
    committed: Option<String>,
}

impl Model {
    fn take(&mut self, step: Step) {
        match step {
            Step::Insert(key, value) => self.insert(key, value),
            Step::Commit => self.commit(),
            _ if self.handles.is_empty() => {}
            Step::Set(at, value) => {
                let (row, key) = at.get(&self.handles);
                let live = self.rows.find(key) == Some(*row);
                let set = self.rows.set(*row, &value.to_string());
                if !live {
                    assert_eq!(set, Err(RowError::Gone));
                    return;
                }
                let present = self.members.insert(key.clone(), value.clone()).unwrap();
                assert_eq!(set, Ok(!same(&present, &value)));
            }
            Step::Remove(at) => {
                let (row, key) = at.get(&self.handles);
                let live = self.rows.find(key) == Some(*row);
                assert_eq!(self.rows.remove(*row), live);
                if live {
                    self.members.remove(key);
                }
            }
        }
    }

    fn insert(&mut self, key: String, value: Value) {
        let inserted = self.rows.insert(&key, &value.to_string());
        assert_eq!(inserted.is_ok(), !self.members.contains_key(&key));
        if let Ok(row) = inserted {
            self.handles.push((row, key.clone()));
            self.members.insert(key, value);
        }
    }

    fn commit(&mut self) {
        let text = text_of(&self.rows);
        let change = self.rows.commit();
        let patch = patch_of(&change, &text);
        assert!(patch.len() <= replacement(&text).len(), "{patch}");
        let new = Value::Object(self.members.clone());
        assert!(same(&value(&text), &new));
        let old = self.committed.replace(text).unwrap_or_else(|| "{}".into());
        let ours = apply(old.as_bytes(), patch.as_bytes(), &Limits::default()).unwrap();
        assert!(same(&value(&ours), &new), "{patch} gives {ours}");
        let theirs = apply_with_oracle(&value(&old), &patch);
        assert!(same(&theirs, &new), "{patch} gives {theirs}");
        assert_eq!(matches!(change, Change::Nothing), same(&value(&old), &new));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn commits_lead_from_state_to_state(steps in prop::collection::vec(step(), 1..60)) {
        let mut model = Model::default();
        for step in steps.into_iter().chain([Step::Commit]) {
            model.take(step);
        }
    }
}
