use pointstream_patch::{Change, Document, Limits, ParseErrorKind, apply, diff};
use proptest::prelude::*;

use crate::support::{
    apply_with_oracle, diff_text, edited, json, patch_of, replacement, respell, same, value,
};

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn a_diff_leads_from_one_document_to_the_other(pair in prop_oneof![edited(), (json(), json())]) {
        let (old, new) = (pair.0.to_string(), pair.1.to_string());
        let patch = diff_text(&old, &new);
        prop_assert!(patch.len() <= replacement(&new).len(), "{}", patch);
        let ours = apply(old.as_bytes(), patch.as_bytes(), &Limits::default()).unwrap();
        prop_assert!(same(&value(&ours), &pair.1), "{} gives {}", patch, ours);
        let theirs = apply_with_oracle(&pair.0, &patch);
        prop_assert!(same(&theirs, &pair.1), "{} gives {}", patch, theirs);
    }

    #[test]
    fn spelling_is_no_change(document in json()) {
        let text = document.to_string();
        let other = respell(&text);
        prop_assert!(same(&value(&other), &document), "{}", other);
        let limits = Limits::default();
        for (old, new) in [(&text, &text), (&text, &other), (&other, &text)] {
            let change = diff(old.as_bytes(), new.as_bytes(), &limits).unwrap();
            prop_assert!(matches!(change, Change::Nothing), "{} {} {:?}", old, new, change);
        }
    }

    #[test]
    fn a_diff_of_other_spellings_leads_there_too((old, new) in edited()) {
        let (old_text, new_text) = (respell(&old.to_string()), respell(&new.to_string()));
        let patch = diff_text(&old_text, &new_text);
        prop_assert!(patch.len() <= replacement(&new_text).len());
        prop_assert!(!patch.contains(['\n', '\r']) || patch == replacement(&new_text));
        let ours = apply(old_text.as_bytes(), patch.as_bytes(), &Limits::default()).unwrap();
        prop_assert!(same(&value(&ours), &new), "{} gives {}", patch, ours);
    }

    #[test]
    fn a_test_of_the_whole_accepts_the_value_and_nothing_else((old, new) in edited()) {
        let limits = Limits::default();
        let test = format!(r#"[{{"op":"test","path":"","value":{}}}]"#, respell(&new.to_string()));
        let passed = apply(old.to_string().as_bytes(), test.as_bytes(), &limits).is_ok();
        prop_assert_eq!(passed, same(&old, &new));
    }

    #[test]
    fn a_text_cut_or_glued_is_read_as_the_reference_reads_it(
        (a, b) in (json(), json()),
        cut in any::<prop::sample::Index>(),
        glue in any::<prop::sample::Index>(),
    ) {
        let (a, b) = (a.to_string().into_bytes(), b.to_string().into_bytes());
        let mut text = a[..cut.index(a.len() + 1)].to_vec();
        text.extend_from_slice(&b[glue.index(b.len() + 1)..]);
        let reference = serde_json::from_slice::<serde_json::Value>(&text);
        match Document::parse(&text, &Limits::default()) {
            Ok(_) => prop_assert!(reference.is_ok()),
            Err(error) if error.kind() == ParseErrorKind::DuplicateKey => {}
            Err(error) => prop_assert!(reference.is_err(), "{}", error),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn an_update_refuses_what_parsing_refuses_and_says_the_same(
        (old, new) in prop_oneof![edited(), (json(), json())],
        spelled in any::<bool>(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0..4u8, any::<u8>()), 0..3),
    ) {
        let respelled = |text: String| if spelled { respell(&text) } else { text };
        let (old, new) = (respelled(old.to_string()), respelled(new.to_string()));
        let mut bytes = new.into_bytes();
        for (at, what, byte) in cuts {
            const MEAN: &[u8] = b"{}[],:\"\\0123.-e nulx\xff\xc3\xed";
            let byte = MEAN[usize::from(byte) % MEAN.len()];
            let at = at.index(bytes.len() + 1);
            match what {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, byte),
                2 if at < bytes.len() => bytes[at] = byte,
                _ if at < bytes.len() => drop(bytes.remove(at)),
                _ => {}
            }
        }
        let limits = Limits::default();
        let mut document = Document::parse(old.as_bytes(), &limits).unwrap();
        let parsed = Document::parse(&bytes, &limits).map(drop);
        let updated = document.update(&bytes).map(drop);
        prop_assert_eq!(parsed, updated);
        let text = if parsed.is_ok() { &bytes[..] } else { old.as_bytes() };
        prop_assert_eq!(document.text().as_bytes(), text);
        // The document goes on, whatever it was given.
        prop_assert!(document.update(old.as_bytes()).is_ok());
        prop_assert_eq!(document.text(), old);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn updates_in_a_chain_are_as_good_as_single_diffs(
        chain in prop::collection::vec(prop_oneof![edited(), (json(), json())], 1..32),
    ) {
        let limits = Limits::default();
        let mut old = String::from("[]");
        let mut document = Document::parse(old.as_bytes(), &limits).unwrap();
        for value in chain.into_iter().flat_map(|(a, b)| [a, b]) {
            let new = value.to_string();
            let change = document.update(new.as_bytes()).unwrap();
            prop_assert_eq!(document.text(), &new);
            prop_assert_eq!(patch_of(&change, &new), diff_text(&old, &new));
            old = new;
        }
    }
}

#[test]
fn a_thousand_updates_are_as_good_as_one() {
    let limits = Limits::default();
    let mut random = 7u64;
    let mut below = |end: u64| {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % end
    };
    let mut rows: Vec<(u64, u64, String)> = (0..30).map(|id| (id, 0, "x".into())).collect();
    let text_of = |rows: &[(u64, u64, String)]| {
        let rows: Vec<_> = rows
            .iter()
            .map(|(id, value, note)| format!(r#"{{"id":{id},"v":[{value},{{"n":"{note}"}}]}}"#))
            .collect();
        format!(r#"{{"rows":[{}],"count":{}}}"#, rows.join(","), rows.len())
    };
    let first = text_of(&rows);
    let mut document = Document::parse(first.as_bytes(), &limits).unwrap();
    let mut copy = value(&first);
    for step in 0..1_000 {
        match below(5) {
            0 => rows.insert(0, (100 + step, step, "é\\n".into())),
            1 if rows.len() > 20 => drop(rows.pop()),
            2 => {
                let (from, to) = (below(rows.len() as u64), below(rows.len() as u64));
                let row = rows.remove(from as usize);
                rows.insert(to as usize, row);
            }
            _ => {
                for _ in 0..below(4) {
                    let at = below(rows.len() as u64) as usize;
                    rows[at].1 += 10u64.pow(below(6) as u32);
                    rows[at].2 = "y".repeat(below(5) as usize);
                }
            }
        }
        let old = document.text().to_owned();
        let new = text_of(&rows);
        let change = document.update(new.as_bytes()).unwrap();
        assert_eq!(document.text(), new);
        let patch = patch_of(&change, &new);
        assert_eq!(patch, diff_text(&old, &new), "{step}");
        assert!(patch.len() <= replacement(&new).len());
        copy = apply_with_oracle(&copy, &patch);
        assert!(same(&copy, &value(&new)), "{step}: {patch}");
    }
}

#[test]
fn a_number_with_two_fractions_is_refused_by_an_update_too() {
    let limits = Limits::default();
    let cases = [
        ("[0]", "[1.000.0]"),
        ("[0]", "[1.0.0]"),
        ("0", "1.0.0"),
        ("[0.0]", "[1.0.0]"),
        ("[0]", "[true1]"),
        ("[0,1]", "[\"a\"1,1]"),
        ("[0]", "[10e]"),
        ("[[-2.25,null],null]", "[[{}0],[1,null,null],null]"),
        ("[[1,2],3]", "[[[]4],3]"),
        ("{\"a\":0}", "{\"a\":null-0}"),
    ];
    for (old, new) in cases {
        let mut document = Document::parse(old.as_bytes(), &limits).unwrap();
        let parsed = Document::parse(new.as_bytes(), &limits).map(drop);
        assert_eq!(document.update(new.as_bytes()).map(drop), parsed, "{old} to {new}");
        assert_eq!(document.text(), old);
    }
}

#[test]
fn values_that_are_spelled_otherwise_are_no_change_whatever_the_white_space() {
    let old = r#"[0.05,100 ,-0,10.5,1.8446744073709551617e19,"padding",{"a":-1.20e2}]"#;
    let new = r#"[5e-2,1e2,0.0e7,1050e-2,18446744073709551617,"padding",{"a":-0.012E+4}]"#;
    let limits = Limits::default();
    for (old, new) in [(old, new), (new, old)] {
        assert!(matches!(diff(old.as_bytes(), new.as_bytes(), &limits), Ok(Change::Nothing)));
    }
}
