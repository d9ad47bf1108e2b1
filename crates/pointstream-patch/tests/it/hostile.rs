use pointstream_patch::{
    Change, Document, Limits, OperationErrorKind, ParseErrorKind, PatchError, Pointer, RowError,
    Rows, apply, diff, invert,
};

fn kind(text: &[u8], limits: &Limits) -> Option<(ParseErrorKind, usize)> {
    Document::parse(text, limits).err().map(|error| (error.kind(), error.offset()))
}

#[test]
fn what_is_no_json_is_refused_with_its_place() {
    use ParseErrorKind::*;
    for (text, expected, offset) in [
        (&b""[..], End, 0),
        (b" ", End, 1),
        (b"\xef\xbb\xbf1", Unexpected, 0),
        (b"NaN", Unexpected, 0),
        (b"[Infinity]", Unexpected, 1),
        (b"-Infinity", Number, 1),
        (b"nul", End, 3),
        (b"nulL", Unexpected, 3),
        (b"01", Number, 1),
        (b"-", End, 1),
        (b"1.", End, 2),
        (b"1.x", Number, 2),
        (b"1e+", End, 3),
        (b".5", Unexpected, 0),
        (b"+1", Unexpected, 0),
        (b"1 2", Trailing, 2),
        (b"[1,]", Unexpected, 3),
        (b"[1 2]", Unexpected, 3),
        (b"[1}", Unexpected, 2),
        (b"{\"a\":1]", Unexpected, 6),
        (b"{\"a\" 1}", Unexpected, 5),
        (b"{\"a\":1,}", Unexpected, 7),
        (b"{1:1}", Unexpected, 1),
        (b"{", End, 1),
        (b"\"abc", End, 4),
        (b"\"a\nb\"", Control, 2),
        (b"\"0123456789\x1fabc\"", Control, 11),
        (b"\"\\x\"", Escape, 2),
        (b"\"\\u12g4\"", Escape, 5),
        (b"\"\\ud800\"", Surrogate, 1),
        (b"\"\\udc00\"", Surrogate, 1),
        (b"\"\\ud800\\u0041\"", Surrogate, 1),
        (b"\"\\ud800\\n\"", Surrogate, 1),
        (b"\"a\xff\"", Utf8, 2),
        (b"\"\xed\xa0\x80\"", Utf8, 1),
        (b"{\"a\":1,\"b\":2,\"a\":3}", DuplicateKey, 13),
        (b"{\"a\":1,\"\\u0061\":3}", DuplicateKey, 7),
    ] {
        let shown = String::from_utf8_lossy(text);
        assert_eq!(kind(text, &Limits::default()), Some((expected, offset)), "{shown}");
    }
}

#[test]
fn duplicates_among_many_keys_are_found() {
    let mut text = String::from("{");
    for at in 0..1_000 {
        text.push_str(&format!("\"k{at}\":0,"));
    }
    let offset = text.len();
    text.push_str("\"k\\u0037\":0}");
    assert_eq!(
        kind(text.as_bytes(), &Limits::default()),
        Some((ParseErrorKind::DuplicateKey, offset))
    );
}

#[test]
fn a_text_cut_anywhere_is_an_error() {
    let text =
        r#"{"a":[1,-2.5e+3,true,false,null,"x\"\u00e9\ud83d\ude00é😀"],"b":{"c":{}},"d":[]}"#;
    let mut document = Document::parse(text.as_bytes(), &Limits::default()).unwrap();
    for end in 0..text.len() {
        let cut = &text.as_bytes()[..end];
        assert!(document.update(cut).is_err(), "{}", String::from_utf8_lossy(cut));
        assert!(apply(b"{}", cut, &Limits::default()).is_err());
        assert_eq!(document.text(), text);
    }
}

#[test]
fn limits_hold_at_their_value_and_not_beyond() {
    let mut limits = Limits::default();
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(kind(nested(128).as_bytes(), &limits), None);
    assert_eq!(kind(nested(129).as_bytes(), &limits), Some((ParseErrorKind::Depth, 128)));

    limits.bytes_max = 7;
    assert_eq!(kind(b"[1,2,3]", &limits), None);
    assert_eq!(kind(b"[1,2,3] ", &limits), Some((ParseErrorKind::Bytes, 7)));

    limits = Limits::default();
    limits.nodes_max = 4;
    assert_eq!(kind(b"[1,2,3]", &limits), None);
    assert_eq!(kind(b"[1,2,3,4]", &limits), Some((ParseErrorKind::Nodes, 7)));

    limits = Limits::default();
    limits.ops_max = 2;
    let patch = |ops: usize| {
        let ops = vec![r#"{"op":"add","path":"/-","value":1}"#; ops];
        format!("[{}]", ops.join(","))
    };
    assert_eq!(apply(b"[]", patch(2).as_bytes(), &limits).unwrap(), "[1,1]");
    assert_eq!(apply(b"[]", patch(3).as_bytes(), &limits), Err(PatchError::Operations));
}

#[test]
fn the_result_of_a_patch_stays_within_the_limits() {
    let patch = br#"[{"op":"add","path":"/0/0","value":[1]}]"#;
    let mut limits = Limits::default();
    limits.depth_max = 3;
    assert_eq!(apply(b"[[]]", patch, &limits).unwrap(), "[[[1]]]");
    let deep = br#"[{"op":"copy","from":"","path":"/0/-"}]"#;
    assert_eq!(
        apply(b"[[]]", br#"[{"op":"copy","from":"/0","path":"/0/-"}]"#, &limits).unwrap(),
        "[[[]]]"
    );
    let Err(PatchError::Result(error)) = apply(b"[[]]", deep, &limits) else { panic!() };
    assert_eq!(error.kind(), ParseErrorKind::Depth);

    limits = Limits::default();
    limits.bytes_max = patch.len();
    let fill = "x".repeat(patch.len() - "[[[1],\"\"]]".len());
    let fits = format!("[[\"{fill}\"]]");
    assert_eq!(apply(fits.as_bytes(), patch, &limits).unwrap().len(), limits.bytes_max);
    let large = format!("[[\"{fill}x\"]]");
    let Err(PatchError::Result(error)) = apply(large.as_bytes(), patch, &limits) else { panic!() };
    assert_eq!(error.kind(), ParseErrorKind::Bytes);

    limits = Limits::default();
    limits.nodes_max = 5;
    let copies = |count: usize| {
        let ops = vec![r#"{"op":"copy","from":"/0","path":"/-"}"#; count];
        format!("[{}]", ops.join(","))
    };
    assert!(apply(b"[1]", copies(1).as_bytes(), &limits).is_ok());
    let Err(PatchError::Patch(error)) = apply(b"[1]", copies(2).as_bytes(), &limits) else {
        panic!()
    };
    assert_eq!(error.kind(), ParseErrorKind::Nodes);
}

#[test]
fn a_patch_that_doubles_itself_ends_early() {
    let mut limits = Limits::default();
    limits.bytes_max = 1 << 20;
    let ops = vec![r#"{"op":"copy","from":"","path":"/-"}"#; 64];
    let patch = format!("[{}]", ops.join(","));
    let Err(PatchError::Operation(error)) = apply(b"[0]", patch.as_bytes(), &limits) else {
        panic!()
    };
    assert_eq!(error.kind(), OperationErrorKind::Copies);
    assert!(error.index() < 32);
}

#[test]
fn copies_are_counted_up_to_their_limit() {
    let mut limits = Limits::default();
    let patch = br#"[{"op":"copy","from":"/0","path":"/1"},{"op":"copy","from":"/0","path":"/2"}]"#;
    limits.bytes_max = patch.len();
    let document = |len: usize| format!("[\"{}\"]", "x".repeat(len));
    let half = patch.len() / 2 - 2;
    // Twice the value is as long as the limit, three times the value is the result.
    let Err(PatchError::Result(_)) = apply(document(half).as_bytes(), patch, &limits) else {
        panic!()
    };
    let Err(PatchError::Operation(error)) = apply(document(half + 1).as_bytes(), patch, &limits)
    else {
        panic!()
    };
    assert_eq!((error.index(), error.kind()), (1, OperationErrorKind::Copies));
}

#[test]
fn ten_thousand_levels_need_no_stack() {
    let mut limits = Limits::default();
    limits.depth_max = 10_000;
    let nested = |leaf: &str| format!("{}{leaf}{}", "[".repeat(10_000), "]".repeat(10_000));
    let objects = |leaf: &str| format!("{}{leaf}{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    std::thread::Builder::new()
        .stack_size(64 << 10)
        .spawn(move || {
            for nest in [&nested as &dyn Fn(&str) -> String, &objects] {
                let (old, new) = (nest("1"), nest("2"));
                let change = diff(old.as_bytes(), new.as_bytes(), &limits).unwrap();
                assert!(!matches!(change, Change::Nothing));
                let patch = format!(r#"[{{"op":"test","path":"","value":{old}}}]"#);
                let mut wide = limits;
                wide.depth_max = 10_003;
                assert_eq!(apply(old.as_bytes(), patch.as_bytes(), &wide).unwrap(), old);
            }
            let path = "/0".repeat(9_999);
            let patch = format!(r#"[{{"op":"replace","path":"{path}","value":2}}]"#);
            let text = apply(nested("1").as_bytes(), patch.as_bytes(), &limits).unwrap();
            assert!(text.contains("[2]"));
            let back = invert(nested("1").as_bytes(), patch.as_bytes(), &limits).unwrap();
            assert_eq!(apply(text.as_bytes(), back.as_bytes(), &limits).unwrap(), nested("1"));

            let mut document = Document::parse(nested("1").as_bytes(), &limits).unwrap();
            let leaf = document.handle(Pointer::parse(&"/0".repeat(10_000)).unwrap()).unwrap();
            let mut edits = document.edit();
            edits.set(leaf, "2").unwrap();
            edits.commit().unwrap();
            assert_eq!(document.text(), nested("2"));
            let mut edits = document.edit();
            edits.insert(leaf, "1").unwrap();
            edits.set(leaf, "3").unwrap();
            edits.commit().unwrap();
            assert_eq!((document.get(leaf), document.text()), (Some("3"), &*nested("1,3")));
        })
        .unwrap()
        .join()
        .unwrap();
}

#[test]
fn long_strings_and_many_keys_are_taken_in_their_stride() {
    let text = format!("[\"{}\"]", "x".repeat(10 << 20));
    let next = format!("[\"{}y\"]", "x".repeat(10 << 20));
    let limits = Limits::default();
    assert!(matches!(diff(text.as_bytes(), next.as_bytes(), &limits), Ok(Change::Replacement)));
    let keys = |from: u32| {
        let members: Vec<_> = (from..from + 50_000).map(|at| format!("\"k{at}\":0")).collect();
        format!("{{{}}}", members.join(","))
    };
    assert!(diff(keys(0).as_bytes(), keys(1).as_bytes(), &limits).is_ok());
}

#[test]
fn rows_stay_within_their_limits() {
    let mut limits = Limits::default();
    limits.nodes_max = 2;
    let mut rows = Rows::with_limits(&limits);
    rows.insert("a", "1").unwrap();
    rows.insert("b", "1").unwrap();
    assert_eq!(rows.insert("c", "1"), Err(RowError::Full));

    limits = Limits::default();
    limits.bytes_max = r#"{"a":1,"b":22}"#.len();
    let mut rows = Rows::with_limits(&limits);
    rows.insert("a", "1").unwrap();
    assert_eq!(rows.insert("b", "333"), Err(RowError::Full));
    let row = rows.insert("b", "22").unwrap();
    assert_eq!(rows.len_bytes(), limits.bytes_max);
    assert_eq!(rows.set(row, "333"), Err(RowError::Full));
    assert_eq!(rows.set(row, "33"), Ok(true));

    limits = Limits::default();
    limits.depth_max = 2;
    let mut rows = Rows::with_limits(&limits);
    assert!(rows.insert("a", "[1]").is_ok());
    assert!(matches!(rows.insert("b", "[[1]]"), Err(RowError::Value(_))));
}

#[test]
fn keys_and_elements_made_to_collide_cost_no_more_than_a_bound() {
    // Equal lengths, equal ends, equal middles: what is looked at first is the same in all of them.
    let element = |at: u32| format!("\"{}{at:08}{}\"", "x".repeat(60), "y".repeat(120));
    let list = |from: u32| {
        let elements: Vec<_> = (from..from + 20_000).map(element).collect();
        format!("[{}]", elements.join(","))
    };
    let change = diff(list(0).as_bytes(), list(3).as_bytes(), &Limits::default()).unwrap();
    let Change::Script(script) = change else { panic!() };
    assert_eq!(script.len(), 6);
    let keys = |from: u32| {
        let members: Vec<_> = (from..from + 20_000).map(|at| element(at) + ":0").collect();
        format!("{{{}}}", members.join(","))
    };
    let change = diff(keys(0).as_bytes(), keys(3).as_bytes(), &Limits::default()).unwrap();
    let Change::Script(script) = change else { panic!() };
    assert_eq!(script.len(), 6);
}
