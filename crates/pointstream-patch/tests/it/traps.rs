//! What the standards leave open or what is easily got wrong, one test for each decision that the
//! documentation of the crate states.

use pointstream_patch::{
    Change, Document, Limits, OperationErrorKind as Failure, Options, ParseErrorKind, PatchError,
    Pointer, PointerErrorKind, apply, diff, diff_with, merge_apply, merge_diff,
};

use crate::support::diff_text;

fn applied(document: &str, patch: &str) -> Result<String, PatchError> {
    apply(document.as_bytes(), patch.as_bytes(), &Limits::default())
}

fn tested(document: &str, value: &str) -> bool {
    applied(document, &format!(r#"[{{"op":"test","path":"","value":{value}}}]"#)).is_ok()
}

fn refused(document: &str, operation: &str) -> Failure {
    match applied(document, &format!("[{operation}]")) {
        Err(PatchError::Operation(error)) => error.kind(),
        other => panic!("{operation}: {other:?}"),
    }
}

fn unread(text: &[u8]) -> ParseErrorKind {
    let error = Document::parse(text, &Limits::default()).unwrap_err();
    // A document that is there refuses it likewise.
    let mut document = Document::parse(b"{\"a\":[0,\"b\"]}", &Limits::default()).unwrap();
    assert_eq!(document.update(text).unwrap_err(), error);
    error.kind()
}

fn is_nothing(old: &str, new: &str) -> bool {
    let change = diff(old.as_bytes(), new.as_bytes(), &Limits::default()).unwrap();
    matches!(change, Change::Nothing)
}

#[test]
fn one_is_one_however_it_is_spelled() {
    for (a, b) in [("1", "1.0"), ("1", "1e0"), ("100", "1e2"), ("0.00005", "0.5e-4"), ("0", "-0.0")]
    {
        assert!(tested(a, b) && tested(b, a), "{a} {b}");
        assert!(is_nothing(&format!("[{a}]"), &format!("[{b}]")), "{a} {b}");
    }
}

#[test]
fn integers_beyond_every_float_keep_their_digits_and_differ() {
    assert!(!tested("18446744073709551617", "18446744073709551616"));
    assert!(!tested("9007199254740993", "9007199254740992"));
    let patch = diff_text(
        r#"{"n":9007199254740992,"kept":"a text that stays where it is"}"#,
        r#"{"n":123456789012345678901234567890.10,"kept":"a text that stays where it is"}"#,
    );
    assert!(patch.contains(r#""value":123456789012345678901234567890.10}"#), "{patch}");
}

#[test]
fn decimals_are_compared_as_decimals_and_never_rounded() {
    assert!(!tested("0.1", "0.1000000000000000055511151231257827"));
    assert!(!tested("1e400", "1e401"));
    assert!(tested("1e400", "10e399"));
}

#[test]
fn what_is_no_number_is_refused() {
    for text in ["NaN", "[Infinity]", "[-Infinity]", "[nan]", "[0x1]", "[1.]", "[.5]", "[+1]"] {
        unread(text.as_bytes());
        assert!(matches!(
            applied("{}", &format!(r#"[{{"op":"add","path":"/a","value":{text}}}]"#)),
            Err(PatchError::Patch(_))
        ));
    }
}

#[test]
fn a_key_that_comes_twice_is_refused_in_the_first_document_and_in_what_changes() {
    assert_eq!(unread(br#"{"a":1,"a":1}"#), ParseErrorKind::DuplicateKey);
    assert_eq!(unread(br#"{"a":1,"\u0061":1}"#), ParseErrorKind::DuplicateKey);
    assert_eq!(unread(br#"{"a":[0,"b"],"a":2}"#), ParseErrorKind::DuplicateKey);
    assert!(matches!(
        applied("{}", r#"[{"op":"add","op":"remove","path":"/a","value":1}]"#),
        Err(PatchError::Patch(error)) if error.kind() == ParseErrorKind::DuplicateKey
    ));
}

#[test]
fn the_order_of_members_is_no_change_but_the_text_follows_its_producer() {
    let (old, new) = (r#"{"a":1,"b":[2]}"#, r#"{"b":[2],"a":1}"#);
    assert!(is_nothing(old, new) && tested(old, new));
    let mut document = Document::parse(old.as_bytes(), &Limits::default()).unwrap();
    document.update(new.as_bytes()).unwrap();
    assert_eq!(document.text(), new);
}

#[test]
fn escapes_of_pointers_are_resolved_in_the_order_of_the_standard() {
    let patched = applied(r#"{"~1":1}"#, r#"[{"op":"replace","path":"/~01","value":2}]"#);
    assert_eq!(patched.unwrap(), r#"{"~1":2}"#);
    let patch = diff_text(
        r#"{"a~/b":1,"kept":"a text that stays where it is"}"#,
        r#"{"a~/b":2,"kept":"a text that stays where it is"}"#,
    );
    assert_eq!(patch, r#"[{"op":"replace","path":"/a~0~1b","value":2}]"#);
}

#[test]
fn escapes_of_strings_are_resolved_before_those_of_pointers() {
    let patch = diff_text(
        r#"{"a\u002f\/\u007e\"":1,"kept":"a text that stays where it is"}"#,
        r#"{"a\u002f\/\u007e\"":2,"kept":"a text that stays where it is"}"#,
    );
    assert_eq!(patch, r#"[{"op":"replace","path":"/a~1~1~0\"","value":2}]"#);
}

#[test]
fn an_empty_key_is_a_slash() {
    let patch = diff_text(
        r#"{"":1,"kept":"a text that stays where it is"}"#,
        r#"{"":2,"kept":"a text that stays where it is"}"#,
    );
    assert_eq!(patch, r#"[{"op":"replace","path":"/","value":2}]"#);
}

#[test]
fn a_tilde_that_escapes_nothing_is_refused() {
    for path in ["/~2", "/~", "/a~/b"] {
        let operation = format!(r#"{{"op":"test","path":"{path}","value":1}}"#);
        let failure = refused(r#"{"~2":1,"~":1}"#, &operation);
        assert_eq!(failure, Failure::Pointer(PointerErrorKind::Escape), "{path}");
    }
}

#[test]
fn half_a_surrogate_pair_is_refused() {
    for text in [r#"["\ud800"]"#, r#"["\udc00"]"#, r#"["\ud83dx"]"#, r#"{"\ud800":1}"#] {
        assert_eq!(unread(text.as_bytes()), ParseErrorKind::Surrogate, "{text}");
    }
    assert_eq!(unread(b"[\"\xed\xa0\x80\"]"), ParseErrorKind::Utf8);
}

#[test]
fn an_index_has_neither_zeros_nor_a_sign_before_it() {
    for token in ["01", "00", "+1", "-0", "-1", "1e0", "1.0", " 1", ""] {
        let operation = format!(r#"{{"op":"replace","path":"/{token}","value":3}}"#);
        assert_eq!(refused("[1,2]", &operation), Failure::Index, "{token}");
    }
}

#[test]
fn the_end_of_an_array_is_a_target_and_nothing_else() {
    for operation in [
        r#"{"op":"replace","path":"/-","value":3}"#,
        r#"{"op":"remove","path":"/-"}"#,
        r#"{"op":"test","path":"/-","value":2}"#,
        r#"{"op":"move","from":"/-","path":"/0"}"#,
        r#"{"op":"copy","from":"/-","path":"/0"}"#,
        r#"{"op":"add","path":"/-/a","value":2}"#,
    ] {
        assert_eq!(refused("[1,2]", operation), Failure::Bounds, "{operation}");
    }
    for (operation, expected) in [
        (r#"{"op":"add","path":"/-","value":3}"#, "[1,2,3]"),
        (r#"{"op":"move","from":"/0","path":"/-"}"#, "[2,1]"),
        (r#"{"op":"copy","from":"/0","path":"/-"}"#, "[1,2,1]"),
    ] {
        assert_eq!(applied("[1,2]", &format!("[{operation}]")).unwrap(), expected);
    }
}

#[test]
fn an_index_beyond_all_numbers_is_out_of_bounds_and_does_not_wrap() {
    for index in ["4294967296", "18446744073709551616", "99999999999999999999999"] {
        for op in ["add", "replace", "test"] {
            let operation = format!(r#"{{"op":"{op}","path":"/{index}","value":3}}"#);
            assert_eq!(refused("[1,2]", &operation), Failure::Bounds, "{operation}");
        }
    }
}

#[test]
fn an_element_is_added_at_the_length_and_not_beyond() {
    let add = |index: u32| format!(r#"{{"op":"add","path":"/{index}","value":3}}"#);
    assert_eq!(applied("[1,2]", &format!("[{}]", add(2))).unwrap(), "[1,2,3]");
    assert_eq!(refused("[1,2]", &add(3)), Failure::Bounds);
}

#[test]
fn digits_and_a_dash_are_keys_of_objects() {
    let patched = applied(
        r#"{"0":1,"01":2,"-":3}"#,
        r#"[{"op":"remove","path":"/01"},{"op":"replace","path":"/-","value":4},{"op":"test","path":"/0","value":1}]"#,
    );
    assert_eq!(patched.unwrap(), r#"{"0":1,"-":4}"#);
}

#[test]
fn what_is_added_takes_the_place_of_the_member_that_is_there() {
    let patched = applied(r#"{"a":1}"#, r#"[{"op":"add","path":"/a","value":2}]"#);
    assert_eq!(patched.unwrap(), r#"{"a":2}"#);
}

#[test]
fn members_that_no_operation_knows_are_left_unread() {
    let patched = applied(r#"{"a":1}"#, r#"[{"op":"replace","path":"/a","value":2,"xyz":[1]}]"#);
    assert_eq!(patched.unwrap(), r#"{"a":2}"#);
}

#[test]
fn a_failed_operation_undoes_those_before_it() {
    let document = r#"{"a":[1,2,3]}"#;
    let patch = r#"[{"op":"move","from":"/a/0","path":"/a/2"},{"op":"remove","path":"/a/1"},{"op":"test","path":"/a/0","value":99}]"#;
    let Err(PatchError::Operation(error)) = applied(document, patch) else { panic!() };
    assert_eq!((error.index(), error.pointer()), (2, "/a/0"));
}

#[test]
fn a_value_is_not_moved_into_itself() {
    let own = r#"{"op":"move","from":"/a","path":"/a/b"}"#;
    assert_eq!(refused(r#"{"a":{"b":1}}"#, own), Failure::OwnChild);
    let alike = applied(r#"{"a":1}"#, r#"[{"op":"move","from":"/a","path":"/ab"}]"#);
    assert_eq!(alike.unwrap(), r#"{"ab":1}"#);
    let nowhere = applied(r#"{"a":1}"#, r#"[{"op":"move","from":"/a","path":"/a"}]"#);
    assert_eq!(nowhere.unwrap(), r#"{"a":1}"#);
    let absent = r#"{"op":"move","from":"/b","path":"/b"}"#;
    assert_eq!(refused(r#"{"a":1}"#, absent), Failure::Missing);
}

#[test]
fn a_copy_is_no_alias() {
    let patched = applied(
        r#"{"a":{"b":[1]}}"#,
        r#"[{"op":"copy","from":"/a","path":"/c"},{"op":"add","path":"/c/b/0","value":0},{"op":"copy","from":"/c","path":"/a/d"},{"op":"remove","path":"/c/b/1"}]"#,
    );
    assert_eq!(patched.unwrap(), r#"{"a":{"b":[1],"d":{"b":[0,1]}},"c":{"b":[0]}}"#);
}

#[test]
fn a_document_is_replaced_even_if_it_is_a_scalar_and_leaves_null_when_removed() {
    assert_eq!(applied("1", r#"[{"op":"replace","path":"","value":[2]}]"#).unwrap(), "[2]");
    assert_eq!(applied("1", r#"[{"op":"add","path":"","value":2}]"#).unwrap(), "2");
    assert_eq!(applied(r#"{"a":1}"#, r#"[{"op":"remove","path":""}]"#).unwrap(), "null");
}

#[test]
fn a_merge_patch_sets_no_null_and_no_element() {
    let limits = Limits::default();
    let merge = |old: &str, new: &str| merge_diff(old.as_bytes(), new.as_bytes(), &limits).unwrap();
    assert_eq!(merge(r#"{"a":1}"#, r#"{"a":null}"#), None);
    assert_eq!(merge(r#"{"a":[1,2]}"#, r#"{"a":[1,3]}"#).as_deref(), Some(r#"{"a":[1,3]}"#));
    // Absent and null are not the same.
    assert_eq!(merge(r#"{"a":null}"#, "{}").as_deref(), Some(r#"{"a":null}"#));
    assert_eq!(merge("{}", r#"{"a":null}"#), None);
    let merged = merge_apply(br#"{"a":null,"b":1}"#, br#"{"b":null}"#, &limits);
    assert_eq!(merged.unwrap(), r#"{"a":null}"#);
    let mut options = Options::default();
    options.merge = true;
    let old = r#"{"a":1,"kept":"a text that stays where it is"}"#;
    let new = r#"{"a":null,"kept":"a text that stays where it is"}"#;
    let change = diff_with(old.as_bytes(), new.as_bytes(), &options).unwrap();
    let Change::Script(script) = change else { panic!() };
    assert!(!script.render_merge_patch(Pointer::ROOT, &mut String::new()));
    assert_eq!(script.merge_len_bytes(), None);
}

#[test]
fn a_patch_is_one_line_whatever_the_white_space_of_the_document() {
    let old = "{\r\n  \"a\" : [ 1,\r\n 2 ],\r\n \"kept\" : \"a text that stays where it is\" }";
    let new = old.replace("2 ]", "{ \"b\" :\r\n \"x \\n y\" } ]");
    let patch = diff_text(old, &new);
    assert_eq!(patch, r#"[{"op":"replace","path":"/a/1","value":{"b":"x \n y"}}]"#);
    assert!(is_nothing(old, &old.replace("\r\n", "\t")));
}

#[test]
fn byte_order_marks_and_trailing_bytes_are_refused() {
    assert_eq!(unread(b"\xef\xbb\xbf{}"), ParseErrorKind::Unexpected);
    assert_eq!(unread(b"{} x"), ParseErrorKind::Trailing);
    assert_eq!(unread(b"{}\0"), ParseErrorKind::Trailing);
    assert_eq!(unread(b"{\"a\":[0,\"b\"]}{"), ParseErrorKind::Trailing);
    assert!(matches!(applied("{}", "[] []"), Err(PatchError::Patch(_))));
}
