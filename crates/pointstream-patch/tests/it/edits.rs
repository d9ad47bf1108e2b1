use pointstream_patch::{
    Change, Document, Handle, Limits, OperationErrorKind, Options, ParseErrorKind, PatchError,
    Pointer, Script, diff_with,
};
use proptest::prelude::*;

use crate::support::{apply_with_oracle, edited, same, value};

fn at(text: &str) -> Pointer<'_> {
    Pointer::parse(text).unwrap()
}

fn document(text: &str) -> Document {
    Document::parse(text.as_bytes(), &Limits::default()).unwrap()
}

fn rendered(script: &Script) -> String {
    let mut patch = String::new();
    script.render_patch("", &mut patch);
    patch
}

/// Rows that are known by their number, and handles of some.
struct Model {
    document: Document,
    rows: Vec<(u32, u32)>,
    handles: Vec<(Handle, u32)>,
    next: u32,
}

#[derive(Clone, Debug)]
enum Step {
    Set(bool),
    SetRow,
    InsertBefore,
    InsertAt,
    Remove(bool),
    Note,
}

fn row((id, v): (u32, u32)) -> String {
    format!(r#"{{"id":{id},"v":{v},"note":{{"\u0061~/":[{v}]}}}}"#)
}

impl Model {
    fn new(len: u32) -> Self {
        let rows: Vec<_> = (0..len).map(|id| (id, id)).collect();
        let texts: Vec<_> = rows.iter().copied().map(row).collect();
        let text = format!(r#"{{"a/b":1,"rows":[{}],"end":[ ]}}"#, texts.join(","));
        let document = document(&text);
        Self { document, rows, handles: Vec::new(), next: 1_000 }
    }

    /// Makes a batch of edits.
    fn batch(&mut self, steps: &[(Step, prop::sample::Index, u32)]) {
        let before = value(self.document.text());
        let mut notes = Vec::new();
        let mut gone = Vec::new();
        let mut edits = self.document.edit();
        for (step, which, v) in steps {
            let at_end = which.index(self.rows.len() + 1);
            let known: Vec<_> =
                self.handles.iter().filter(|known| !gone.contains(&known.1)).copied().collect();
            if let Step::InsertAt = step {
                self.next += 1;
                let end = at_end == self.rows.len();
                let path = if end { "/rows/-".into() } else { format!("/rows/{at_end}") };
                edits.insert(at(&path), &row((self.next, *v))).unwrap();
                self.rows.insert(at_end, (self.next, *v));
                continue;
            }
            let by_handle = !known.is_empty();
            match step {
                Step::Set(true) | Step::SetRow | Step::InsertBefore | Step::Remove(true)
                    if by_handle =>
                {
                    let (handle, id) = known[which.index(known.len())];
                    let place = self.rows.iter().position(|row| row.0 == id).unwrap();
                    match step {
                        Step::SetRow => {
                            self.rows[place].1 = *v;
                            edits.set(handle, &row((id, *v))).unwrap();
                        }
                        Step::InsertBefore => {
                            self.next += 1;
                            self.rows.insert(place, (self.next, *v));
                            edits.insert(handle, &row((self.next, *v))).unwrap();
                        }
                        Step::Remove(_) => {
                            self.rows.remove(place);
                            gone.push(id);
                            edits.remove(handle);
                        }
                        _ => {
                            self.rows[place].1 = *v;
                            edits.set(handle.at(at("/v")), &v.to_string()).unwrap();
                            edits.set(handle.at(at("/note/a~0~1/0")), &v.to_string()).unwrap();
                        }
                    }
                }
                _ if self.rows.is_empty() => {}
                Step::Remove(_) => {
                    let place = which.index(self.rows.len());
                    edits.remove(at(&format!("/rows/{place}")));
                    gone.push(self.rows.remove(place).0);
                }
                Step::Note => notes.push(*which),
                _ => {
                    let place = which.index(self.rows.len());
                    self.rows[place].1 = *v;
                    edits.set(at(&format!("/rows/{place}/v")), &v.to_string()).unwrap();
                    let note = format!("/rows/{place}/note/a~0~1/0");
                    edits.set(at(&note), &v.to_string()).unwrap();
                }
            }
        }
        let patch = rendered(&edits.commit().unwrap());
        let texts: Vec<_> = self.rows.iter().copied().map(row).collect();
        let expected = value(&format!(r#"{{"a/b":1,"rows":[{}],"end":[]}}"#, texts.join(",")));
        assert!(same(&value(self.document.text()), &expected), "{}", self.document.text());
        assert!(same(&apply_with_oracle(&before, &patch), &expected), "{patch}");
        for &(handle, id) in &self.handles {
            let found = self.document.get(handle.at(at("/id"))).map(str::to_owned);
            assert_eq!(found, (!gone.contains(&id)).then(|| id.to_string()));
        }
        self.handles.retain(|known| !gone.contains(&known.1));
        for which in notes.into_iter().filter(|_| !self.rows.is_empty()) {
            let place = which.index(self.rows.len());
            let path = format!("/rows/{place}");
            let handle = self.document.handle(at(&path)).unwrap();
            let id = self.rows[place].0;
            match self.handles.iter().find(|known| known.1 == id) {
                Some(known) => assert_eq!(known.0, handle),
                None => self.handles.push((handle, id)),
            }
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        any::<bool>().prop_map(Step::Set),
        Just(Step::SetRow),
        Just(Step::InsertBefore),
        Just(Step::InsertAt),
        any::<bool>().prop_map(Step::Remove),
        Just(Step::Note),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn handles_stay_with_their_values(
        len in 0..12u32,
        batches in prop::collection::vec(
            prop::collection::vec((step(), any::<prop::sample::Index>(), 0..200u32), 0..8),
            1..8,
        ),
    ) {
        let mut model = Model::new(len);
        for batch in &batches {
            model.batch(batch);
        }
    }

    #[test]
    fn edits_do_what_their_operations_say((old, new) in edited()) {
        let (old_text, new_text) = (old.to_string(), new.to_string());
        let change = diff_with(old_text.as_bytes(), new_text.as_bytes(), &Options::default()).unwrap();
        let Change::Script(script) = change else { return Ok(()) };
        let mut document = Document::parse(old_text.as_bytes(), &Limits::default()).unwrap();
        let mut edits = document.edit();
        for operation in script.operations() {
            let path = operation.path();
            let path = Pointer::parse(&path).unwrap();
            match (operation.kind().name(), operation.value()) {
                ("add", Some(value)) => edits.insert(path, value).unwrap(),
                ("replace", Some(value)) => edits.set(path, value).unwrap(),
                _ => edits.remove(path),
            }
        }
        prop_assert_eq!(rendered(&edits.commit().unwrap()), rendered(&script));
        prop_assert!(same(&value(document.text()), &new), "{}", document.text());
        prop_assert!(document.update(new_text.as_bytes()).is_ok());
        prop_assert_eq!(document.text(), new_text);
    }
}

#[test]
fn thousands_of_edits_of_a_long_array_are_one_splice() {
    let mut model = Model::new(3_000);
    for id in (0..3_000).step_by(3) {
        let handle = model.document.handle(at(&format!("/rows/{id}"))).unwrap();
        model.handles.push((handle, id));
    }
    let steps = [Step::InsertBefore, Step::Set(true), Step::Remove(false), Step::InsertAt];
    let mut random = 1usize;
    let mut edits = model.document.edit();
    let mut rows: Vec<u32> = (0..3_000).collect();
    for round in 0..5_000u32 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let place = (random >> 33) % rows.len();
        let (handle, id) = model.handles[(random >> 40) % model.handles.len()];
        match steps[(random >> 60) % 4] {
            Step::InsertBefore if rows.contains(&id) => {
                edits.insert(handle, &row((10_000 + round, 0))).unwrap();
                let place = rows.iter().position(|&row| row == id).unwrap();
                rows.insert(place, 10_000 + round);
            }
            Step::Set(_) if rows.contains(&id) => edits.set(handle.at(at("/v")), "7").unwrap(),
            Step::Remove(_) => {
                edits.remove(at(&format!("/rows/{place}")));
                rows.remove(place);
            }
            _ => {
                edits.insert(at(&format!("/rows/{place}")), &row((10_000 + round, 0))).unwrap();
                rows.insert(place, 10_000 + round);
            }
        }
    }
    edits.commit().unwrap();
    let found = value(model.document.text());
    let ids = found["rows"].as_array().unwrap().iter().map(|row| row["id"].as_u64().unwrap());
    assert!(ids.eq(rows.iter().map(|&id| u64::from(id))));
}

#[test]
fn edits_are_made_together_or_not_at_all() {
    let text = r#"{"a":[1,2],"b":1}"#;
    let mut document = Document::parse(text.as_bytes(), &Limits::default()).unwrap();
    let mut edits = document.edit();
    edits.set(at("/b"), "2").unwrap();
    edits.remove(at("/a/7"));
    assert!(edits.set(at("/b"), "{").is_err());
    let Err(PatchError::Operation(error)) = edits.commit() else { panic!() };
    assert_eq!((error.index(), error.kind()), (1, OperationErrorKind::Bounds));
    assert_eq!(document.text(), text);
    let mut edits = document.edit();
    edits.insert(at("/a/0"), " { \"x\" : 0 } ").unwrap();
    assert_eq!(edits.commit().unwrap().len(), 1);
    assert!(same(&value(document.text()), &value(r#"{"a":[{"x":0},1,2],"b":1}"#)));
}

#[test]
fn a_handle_ends_with_its_value() {
    let mut document = document(r#"{"rows":[{"v":[1]},{"v":[2]}],"seq":1}"#);
    let row = document.handle(at("/rows/1")).unwrap();
    let leaf = document.handle(row.at(at("/v/0"))).unwrap();
    assert_eq!(document.handle(at("/rows/1/v/0")), Some(leaf));
    assert_eq!(document.handle(at("/rows/2")), None);

    let mut edits = document.edit();
    edits.set(row, r#"{"v":[3]}"#).unwrap();
    edits.commit().unwrap();
    assert_eq!((document.get(row), document.get(leaf)), (Some(r#"{"v":[3]}"#), None));

    let mut edits = document.edit();
    edits.set(at("/seq"), "2").unwrap();
    edits.set(leaf, "4").unwrap();
    let Err(PatchError::Operation(error)) = edits.commit() else { panic!() };
    assert_eq!((error.index(), error.kind()), (1, OperationErrorKind::Gone));
    assert_eq!(document.get(at("/seq")), Some("1"));

    // What an edit of the same batch removes is gone for those behind it.
    let mut edits = document.edit();
    edits.remove(at("/rows/1"));
    edits.set(row.at(at("/v")), "0").unwrap();
    let Err(PatchError::Operation(error)) = edits.commit() else { panic!() };
    assert_eq!((error.index(), error.kind()), (1, OperationErrorKind::Gone));

    document.rest();
    assert_eq!(document.get(row.at(at("/v/0"))), Some("3"));
    document.update(br#"{"rows":[{"v":[1]},{"v":[3]}],"seq":2}"#).unwrap();
    assert_eq!(document.get(row), None);
    let next = document.handle(at("/rows/1")).unwrap();
    assert_ne!(next, row);
}

#[test]
fn an_edit_is_the_operation_that_it_is() {
    let mut document = document(r#"{"a":1,"b":[1,2],"c":{"d":null}}"#);
    let last = document.handle(at("/b/1")).unwrap();
    let inner = document.handle(at("/c")).unwrap();
    let mut edits = document.edit();
    edits.set(at("/a"), "1").unwrap();
    edits.insert(at("/b/0"), " [ 0 ] ").unwrap();
    edits.set(last, "3").unwrap();
    edits.insert(inner.at(at("/e")), "{}").unwrap();
    edits.remove(inner.at(at("/d")));
    assert_eq!(
        rendered(&edits.commit().unwrap()),
        concat!(
            r#"[{"op":"replace","path":"/a","value":1},{"op":"add","path":"/b/0","value":[0]},"#,
            r#"{"op":"replace","path":"/b/2","value":3},{"op":"add","path":"/c/e","value":{}},"#,
            r#"{"op":"remove","path":"/c/d"}]"#
        )
    );
    assert_eq!(document.text(), r#"{"a":1,"b":[[ 0 ],1,3],"c":{"e":{}}}"#);
    let mut edits = document.edit();
    edits.set(Pointer::ROOT, "[true]").unwrap();
    edits.commit().unwrap();
    assert_eq!(document.text(), "[true]");
    assert!(matches!(document.update(b"[ true ]"), Ok(Change::Nothing)));
}

#[test]
fn edits_stay_within_the_limits() {
    let mut limits = Limits::default();
    (limits.depth_max, limits.nodes_max, limits.bytes_max) = (2, 5, 24);
    let mut document = Document::parse(br#"{"a":[1],"b":[2]}"#, &limits).unwrap();
    let fails = |document: &mut Document, insert: bool, path: &str, value: &str| {
        let mut edits = document.edit();
        if insert {
            edits.insert(at(path), value).unwrap();
        } else {
            edits.set(at(path), value).unwrap();
        }
        let Err(PatchError::Result(error)) = edits.commit() else { panic!("{path} {value}") };
        error.kind()
    };
    for insert in [false, true] {
        assert_eq!(fails(&mut document, insert, "/a/0", "[1]"), ParseErrorKind::Depth);
        assert_eq!(fails(&mut document, insert, "/a", "[1,2,3,4]"), ParseErrorKind::Nodes);
        assert_eq!(fails(&mut document, insert, "/a", "1234567890123"), ParseErrorKind::Bytes);
        assert_eq!(document.text(), r#"{"a":[1],"b":[2]}"#);
    }
    let mut edits = document.edit();
    assert_eq!(edits.set(at("/a"), "[[[]]]").unwrap_err().kind(), ParseErrorKind::Depth);
    assert_eq!(edits.set(at("/a"), "1 2").unwrap_err().offset(), 2);
    assert_eq!(edits.insert(at("/a/-"), "nul").unwrap_err().kind(), ParseErrorKind::End);
    edits.set(at("/a"), "[]").unwrap();
    edits.insert(at("/b/-"), "3").unwrap();
    edits.commit().unwrap();
    assert_eq!(document.text(), r#"{"a":[],"b":[2,3]}"#);
}

#[test]
fn handles_outlast_many_edits_made_by_pointer() {
    // The first edit names the array by pointer, so that all of the object is opened after its value.
    let members: String = (0..3_000).map(|at| format!("\"m{at}\":0,")).collect();
    let rows: Vec<_> = (0..300).map(|at| at.to_string()).collect();
    let mut document = document(&format!("{{{members}\"rows\":[{}]}}", rows.join(",")));
    let last = document.handle(at("/rows/299")).unwrap();
    let mut edits = document.edit();
    for _ in 0..40 {
        edits.insert(at("/rows/0"), "-1").unwrap();
    }
    edits.set(last, "\"here\"").unwrap();
    edits.commit().unwrap();
    assert_eq!(document.get(at("/rows/339")), Some("\"here\""));
    assert_eq!(document.get(last), Some("\"here\""));
}

#[test]
fn the_handle_of_a_document_that_was_removed_has_ended() {
    let mut document = document("[1]");
    let whole = document.handle(Pointer::ROOT).unwrap();
    for set_before in [false, true] {
        let mut edits = document.edit();
        if set_before {
            edits.set(Pointer::ROOT, "0").unwrap();
        }
        edits.remove(Pointer::ROOT);
        edits.set(whole, "2").unwrap();
        let Err(PatchError::Operation(error)) = edits.commit() else { panic!() };
        assert_eq!(
            (error.index(), error.kind()),
            (1 + usize::from(set_before), OperationErrorKind::Gone)
        );
    }
    let mut edits = document.edit();
    edits.set(Pointer::ROOT, "3").unwrap();
    edits.insert(whole, "4").unwrap();
    edits.commit().unwrap();
    assert_eq!(document.get(whole), Some("4"));
}
