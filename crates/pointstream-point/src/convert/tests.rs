//! The vectors of the connector specification, section 5.4, by its numbers.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::Fault;

fn number(x: f64) -> Value {
    Value::number(x)
}

fn with_unit(x: f64, unit: &str) -> Value {
    Value::Number(x, Some(Unit::parse(unit).unwrap()))
}

fn apply(text: &str, value: &Value) -> Result<Value, ConvertFault> {
    let mut enums = EnumDefs::new();
    let alpha = ["off", "slow", "fast"].map(|name| (name, None));
    let beta = [("negOne", -1), ("seven", 7), ("five", 5), ("nine", 9)];
    let gamma = [("a", -1), ("x", -1), ("b", 9), ("b", 10)];
    enums.insert("alpha", EnumDef::new(alpha).unwrap()).unwrap();
    for (name, rows) in [("beta", beta), ("gamma", gamma)] {
        let rows = rows.map(|(name, code)| (name, Some(code)));
        enums.insert(name, EnumDef::new(rows).unwrap()).unwrap();
    }
    let own = EnumDef::from_tag("x, y, z").unwrap();
    let context = ConvertContext::new().with_enums(&enums).with_own_enum(Some(&own));
    let convert = Convert::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    let canonical = convert.to_string();
    assert_eq!(Convert::parse(&canonical).as_ref(), Ok(&convert), "{text:?} as {canonical:?}");
    convert.apply(value, &context)
}

#[track_caller]
fn check(value: &Value, text: &str, want: &Value) {
    let got = apply(text, value);
    let near = match (&got, want) {
        (Ok(Value::Number(a, unit_a)), Value::Number(b, unit_b)) => {
            unit_a == unit_b && (a - b).abs() <= 1e-8 * b.abs().max(1.0)
        }
        (Ok(got), want) => got == want,
        (Err(_), _) => false,
    };
    assert!(near, "{value:?} through {text:?} gives {got:?}, not {want:?}");
}

fn fault(text: &str, value: &Value) -> String {
    apply(text, value).unwrap_err().to_string()
}

#[test]
fn numbers_1_to_35_calculate_with_and_without_a_unit() {
    let vectors: &[(f64, &str, f64)] = &[
        (3.0, "+81", 84.0),
        (5.0, "  +   -3  ", 2.0),
        (17.0, "-10", 7.0),
        (17.0, "- 10", 7.0),
        (7.0, "*5", 35.0),
        (5.0, "* 1.2", 6.0),
        (12.0, "/0.5", 24.0),
        (f64::from(0xd1), "&0xab", f64::from(0x81)),
        (f64::from(0xd1), "&171", f64::from(0x81)),
        (f64::from(0xd1), "|0xab", f64::from(0xfb)),
        (f64::from(0xd1), "^ 0xab ", f64::from(0x7a)),
        (f64::from(0xab), "<< 8 ", f64::from(0xab00)),
        (f64::from(0xab), ">> 4 ", f64::from(0xa)),
        (2.0, "pow(8) ", 256.0),
        (8.0, "min(9)", 8.0),
        (11.0, "min(9)", 9.0),
        (8.0, "max(10)", 10.0),
        (12.0, "max(10)", 12.0),
        (2.0, "+14 * 10", 160.0),
        (5.0, "* 3 + 13 / 0.5 -2", 54.0),
        (f64::from(0xab23), "u2SwapEndian()", f64::from(0x23ab)),
        (f64::from(0xa0b1_c2d3_u32), "u4SwapEndian()", f64::from(0xd3c2_b1a0_u32)),
        (3.0, "+3", 6.0),
        (3.0, "*3", 9.0),
        (3.0, "*3 -1", 8.0),
        (10.0, "reset(10, 20, 300, 400)", 300.0),
        (12.5, "reset(10, 20, 300, 400)", 325.0),
        (99.0, "reset(10, 20, 300, 400)", 400.0),
        (5.0, "reset(10, 20, 300, 400)", 300.0),
        (12.5, "reset(10, 20, 400, 300)", 375.0),
        (-1.0, ">> 60", 15.0),
        (-1.0, "& 0xff", 255.0),
        (3.9, "| 0", 3.0),
        (-3.9, "| 0", -3.0),
        (1.0, "<< 0", 1.0),
    ];
    for &(input, text, output) in vectors {
        check(&number(input), text, &number(output));
        check(&with_unit(input, "%"), text, &with_unit(output, "%"));
        check(&Value::Null, text, &Value::Null);
    }
}

#[test]
fn numbers_21_to_29_make_and_change_text() {
    check(&Value::Null, "toStr()", &Value::str("null"));
    check(&Value::str("foo"), "toStr()", &Value::str("foo"));
    check(&number(3.0), "toStr()", &Value::str("3"));
    check(&Value::Bool(true), "toStr()", &Value::str("true"));
    check(&Value::Na, "toStr()", &Value::str("NA"));
    check(&Value::str("FooBar"), "upper()", &Value::str("FOOBAR"));
    check(&Value::str("FooBar"), "lower()", &Value::str("foobar"));
    check(&Value::str("ÄaÖ"), "lower()", &Value::str("ÄaÖ"));
    check(&Value::str("Foo_Bar"), "strReplace('_', ' ')", &Value::str("Foo Bar"));
    for text in ["strReplace('xx', '__')", "strReplace( xx, __ )"] {
        check(&Value::str("xxFooxxBarxxBox"), text, &Value::str("__Foo__Bar__Box"));
    }
    check(&Value::str("f(a,b)"), "strReplace(',', ')')", &Value::str("f(a)b)"));
    check(&Value::str("a b"), "strReplace(' ', '')", &Value::str("ab"));
}

#[test]
fn numbers_36_to_45_go_between_numbers_booleans_and_names() {
    for (input, output) in [(0.0, false), (1.0, true), (99.0, true)] {
        check(&number(input), "numberToBool()", &Value::Bool(output));
        check(&number(input), "numberToBool() invert()", &Value::Bool(!output));
    }
    let text = "numberToStr(off, slow, fast) ?: unknown";
    for (input, output) in [(0.0, "off"), (1.0, "slow"), (2.0, "fast"), (3.0, "unknown")] {
        check(&number(input), text, &Value::str(output));
    }
    check(&number(-1.0), "numberToStr(off, slow)", &Value::Null);
    for text in ["strToBool( * ,  on  run)", "strToBool(*, on run)"] {
        for (input, output) in [("on", true), ("run", true), ("off", false), ("", false)] {
            check(&Value::str(input), text, &Value::Bool(output));
        }
    }
    check(&Value::str("on"), "strToBool(off, *)", &Value::Bool(true));
    for (input, output) in [("0", Some(false)), ("1", Some(true)), ("2", Some(true)), ("3", None)] {
        let output = output.map_or(Value::Null, Value::Bool);
        check(&Value::str(input), "strToBool(0, 1 2)", &output);
    }
    for (input, output) in [
        (Value::Bool(true), number(1.0)),
        (Value::Bool(false), number(0.0)),
        (Value::str("not bool"), number(0.0)),
        (Value::Null, Value::Null),
    ] {
        check(&input, "boolToNumber()", &output);
    }
    check(&Value::Bool(true), "boolToNumber(0%, 100%)", &with_unit(100.0, "%"));
    check(&Value::Bool(false), "boolToNumber(0%, 100%)", &with_unit(0.0, "%"));
    for (input, output) in [
        (Value::Bool(true), Value::Bool(false)),
        (Value::Bool(false), Value::Bool(true)),
        (Value::Null, Value::Null),
    ] {
        check(&input, "invert()", &output);
    }
}

#[test]
fn numbers_44_to_50_and_66_to_68_go_between_numbers_and_text() {
    check(&number(123.0), "strToNumber()", &number(123.0));
    check(&Value::str("4.2"), "strToNumber()", &number(4.2));
    check(&Value::str("-99%"), "strToNumber()", &with_unit(-99.0, "%"));
    check(&Value::str("1.23ft"), "strToNumber()", &with_unit(1.23, "ft"));
    assert_eq!(fault("strToNumber()", &Value::str("xxx")), "\"xxx\" is not a number");
    check(&Value::str("xxx"), "strToNumber(false)", &Value::Null);
    check(&Value::str("123abc"), "hexToNumber()", &number(f64::from(0x0012_3abc)));
    check(&Value::str("ff"), "hexToNumber()", &number(255.0));
    assert_eq!(fault("hexToNumber()", &Value::str("xxx")), "\"xxx\" is not a hexadecimal number");
    check(&Value::str("xxx"), "hexToNumber(false)", &Value::Null);
    check(&number(123.0), "numberToStr()", &Value::str("123"));
    check(&with_unit(1.23, "ft"), "numberToStr()", &Value::str("1.23ft"));
    check(&number(1234.0), "numberToHex()", &Value::str("4d2"));
    check(&number(-1.0), "numberToHex()", &Value::str("ffffffffffffffff"));
}

#[test]
fn numbers_51_to_57_stand_for_null() {
    for (input, text, output) in [
        (Value::Bool(true), "?: false", Value::Bool(true)),
        (Value::Null, "?: false", Value::Bool(false)),
        (Value::Bool(false), "?: true", Value::Bool(false)),
        (Value::Null, "?: true", Value::Bool(true)),
        (number(2.0), "?: 125", number(2.0)),
        (Value::Null, "?: 125", number(125.0)),
        (Value::Null, "?: -123.456", number(-123.456)),
        (Value::str("ok"), "?: err", Value::str("ok")),
        (Value::Null, "?: err", Value::str("err")),
        (Value::Null, "?: NA", Value::Na),
        (Value::Null, "?: 20°C", with_unit(20.0, "°C")),
        (Value::Null, "?: 'NA'", Value::str("NA")),
        (Value::Null, "?: '12 (twelve)'", Value::str("12 (twelve)")),
        (Value::Null, "?: ''", Value::str("")),
        (Value::Null, "?: 4 * 2", number(8.0)),
    ] {
        check(&input, text, &output);
    }
}

#[test]
fn numbers_58_to_64_convert_units() {
    check(&number(100.0), "°C => °F", &with_unit(212.0, "°F"));
    check(&with_unit(100.0, "°C"), "°C => °F", &with_unit(212.0, "°F"));
    check(&number(2.0), "km => m", &with_unit(2000.0, "m"));
    for text in ["J/m²=>kWh/m²", "J/m² => kWh/m²", " J/m²  =>kWh/m² ", "'J/m²' => 'kWh/m²'"]
    {
        check(&number(600_000.0), text, &with_unit(0.166_666_666_666_666_66, "kWh/m²"));
    }
    for unit in ["°F", "°C", "ft"] {
        check(&with_unit(55.0, "°F"), &format!("as({unit})"), &with_unit(55.0, unit));
    }
    check(&number(5.0), "km=>m + 13", &with_unit(5013.0, "m"));
    assert_eq!(apply("°C => °F", &number(0.0)), Ok(with_unit(32.0, "°F")), "exactly");
    check(&number(5.0), "celsius => kelvin", &with_unit(278.15, "K"));
    assert_eq!(fault("°C => °F", &with_unit(1.0, "kW")), "expected a number in °C, not in kW",);
    assert_eq!(fault("°C => kW", &number(1.0)), "units of different quantities: °C and kW",);
}

#[test]
fn numbers_71_to_75_read_thermistors() {
    for (ohms, fahrenheit) in [(5813.0, 51.0), (5513.0, 53.0), (5663.0, 52.0)] {
        check(&number(ohms), "thermistor(3k)", &with_unit(fahrenheit, "°F"));
    }
    for ohms in [999_999.0, 323_840.0, 323_839.0] {
        check(&number(ohms), "thermistor(10k-2)", &with_unit(-39.0, "°F"));
    }
    let convert = Convert::parse("thermistor(10k-3)").unwrap();
    for unit in ["°C", "celsius"] {
        let context = ConvertContext::new().with_unit(Unit::parse(unit).ok());
        let Ok(Value::Number(celsius, Some(unit))) = convert.apply(&number(10_000.0), &context)
        else {
            panic!("no temperature")
        };
        assert!((celsius - 25.0).abs() < 1e-9 && unit.symbol() == "°C", "{celsius} {unit}");
    }
}

#[test]
fn numbers_77_to_82_look_up_enum_definitions() {
    for (input, output) in [("a", -1.0), ("x", -1.0), ("b", 9.0)] {
        check(&Value::str(input), "enumStrToNumber(gamma)", &number(output));
        check(&Value::str(input), "enumStrToBool(gamma)", &Value::Bool(true));
    }
    let foobar = Value::str("foobar");
    let unknown = "unknown name \"foobar\" in the enum definition";
    assert_eq!(fault("enumStrToNumber(gamma)", &foobar), unknown);
    assert_eq!(fault("enumStrToBool(gamma)", &foobar), unknown);
    check(&foobar, "enumStrToNumber(gamma, false)", &Value::Null);
    check(&foobar, "enumStrToNumber(gamma, false) ?: -123", &number(-123.0));
    for (input, output) in [(-1.0, "a"), (9.0, "b"), (10.0, "b")] {
        check(&number(input), "enumNumberToStr(gamma)", &Value::str(output));
    }
    for (code, text) in [(99.0, "99"), (9.5, "9.5"), (f64::NAN, "NaN"), (f64::INFINITY, "INF")] {
        let unknown = format!("unknown code {text} in the enum definition");
        assert_eq!(fault("enumNumberToStr(gamma)", &number(code)), unknown);
        check(&number(code), "enumNumberToStr(gamma,false)", &Value::Null);
    }
    for (id, no, yes) in [("alpha", "off", "slow"), ("self", "x", "y")] {
        let text = format!("enumBoolToStr({id})");
        check(&Value::Bool(false), &text, &Value::str(no));
        check(&Value::Bool(true), &text, &Value::str(yes));
    }
    check(&Value::str("off"), "enumStrToBool(alpha)", &Value::Bool(false));
    check(&Value::str("fast"), "enumStrToBool(alpha)", &Value::Bool(true));
    for (input, output) in [("x", Some(0.0)), ("y", Some(1.0)), ("z", Some(2.0)), ("w", None)] {
        let output = output.map_or(Value::Null, number);
        check(&Value::str(input), "enumStrToNumber(self,false)", &output);
    }
    assert_eq!(
        fault("enumBoolToStr(beta)", &Value::Bool(false)),
        "unknown code false in the enum definition"
    );
    assert_eq!(fault("enumStrToNumber(delta)", &foobar), "unknown enum definition \"delta\"");
    let own = Convert::parse("enumStrToNumber(self)").unwrap();
    assert_eq!(own.apply(&foobar, &ConvertContext::new()), Err(ConvertFault::EnumTag));
}

#[test]
fn a_value_of_another_kind_is_a_fault_that_names_the_step() {
    assert_eq!(fault("+3", &Value::str("3")), "+ 3.0 takes a Number, not a Str");
    assert_eq!(fault("invert()", &number(1.0)), "invert() takes a Bool, not a Number");
    assert_eq!(fault("lower()", &Value::Bool(true)), "lower() takes a Str, not a Bool");
    assert_eq!(fault("* 2", &Value::Na), "* 2.0 takes a Number, not a NA");
    assert_eq!(
        fault("strToNumber()", &Value::Bool(true)),
        "strToNumber(true) takes a Str or Number, not a Bool"
    );
    let fault = Fault::from(apply("+3", &Value::str("3")).unwrap_err());
    assert_eq!(fault.status(), crate::Status::Fault);
}

#[test]
fn parse_errors_name_the_column_and_what_is_expected() {
    for (text, column) in [
        ("", 1),
        ("   ", 4),
        ("-xx", 1),
        ("* foo", 3),
        ("/ 0", 3),
        ("/-0.0", 2),
        ("foo(", 5),
        ("foo(a", 6),
        ("foo(a b", 8),
        ("foo(a b, ", 10),
        ("foo(a b, c", 11),
        ("foo(a b, c d", 13),
        ("foo(a)", 1),
        ("foo=>m", 1),
        ("m=>foo", 4),
        ("as()", 1),
        ("as(foo)", 4),
        ("bad!#@#", 1),
        ("%^", 1),
        ("kW=>", 5),
        ("=> kW", 1),
        ("invert", 1),
        ("* 2 invert", 5),
        ("°C => °X", 7),
        ("*", 2),
        ("* inf", 3),
        ("* 1e999", 3),
        ("& 1.5", 3),
        (">> 64", 4),
        ("<< -1", 4),
        ("pow()", 1),
        ("pow(1,2)", 1),
        ("reset(1,2,3)", 1),
        ("reset(2,2,3,4)", 7),
        ("strReplace('', x)", 12),
        ("strReplace(a, )", 15),
        ("strReplace(, a)", 12),
        ("strToBool(*, *)", 11),
        ("strToNumber(maybe)", 13),
        ("thermistor(48k)", 12),
        ("boolToNumber(1)", 1),
        ("boolToNumber(a, b)", 14),
        ("?:", 3),
        ("?: (", 4),
        ("?: 5furlongs", 4),
        ("?:5", 1),
        ("'invert'()", 1),
        ("* '2'", 3),
        ("invert) ", 1),
        ("invert())", 9),
        ("enumStrToNumber('')", 17),
    ] {
        let error = Convert::parse(text).unwrap_err();
        assert_eq!(error.column, column, "{text:?}: {error}");
        assert!(error.to_string().starts_with(&format!("column {column}: expected ")), "{error}");
    }
    for (text, message) in [
        ("", "column 1: expected an operator, a function or `unit => unit`, not the end"),
        ("* foo", "column 3: expected a number, not \"foo\""),
        ("*", "column 2: expected a number, not the end"),
        ("as()", "column 1: expected as(unit), not 0 arguments"),
        ("°C => °X", "column 7: expected a unit of the Project Haystack unit database, not \"°X\""),
    ] {
        assert_eq!(Convert::parse(text).unwrap_err().to_string(), message);
    }
}

#[test]
fn the_canonical_text_is_that_of_the_reference() {
    for (text, canonical) in [
        ("*7", "* 7.0"),
        ("+3", "+ 3.0"),
        ("-10", "- 10.0"),
        ("& 171", "& 0xab"),
        ("reset( 10,20, 300,400)", "reset(10.0,20.0,300.0,400.0)"),
        ("enumStrToNumber(gamma)", "enumStrToNumber(gamma,true)"),
        ("strToNumber()", "strToNumber(true)"),
        ("boolToNumber()", "boolToNumber(0,1)"),
        ("numberToStr(off,slow)", "numberToStr(off, slow)"),
        ("+14   *10", "+ 14.0 * 10.0"),
        ("celsius=>°F", "°C => °F"),
        ("as(celsius)", "as(°C)"),
        ("strReplace('_',' ')", "strReplace(_, ' ')"),
        ("strToBool( * ,on   run)", "strToBool(*, on run)"),
        ("?: -1.5", "?: -1.5"),
        ("?:  'a b'", "?: 'a b'"),
        ("thermistor( 10k-2 )", "thermistor(10k-2)"),
    ] {
        let convert: Convert = text.parse().unwrap();
        assert_eq!(convert.to_string(), canonical);
        assert_eq!(Convert::parse(canonical), Ok(convert));
    }
}

#[test]
fn lengths_have_a_most() {
    let blanks = |text: &str, len: usize| format!("{text}{}", " ".repeat(len - text.len()));
    assert!(Convert::parse(&blanks("*2", Convert::LEN_MAX)).is_ok());
    let error = Convert::parse(&blanks("*2", Convert::LEN_MAX + 1)).unwrap_err();
    assert_eq!((error.column, error.expected), (4097, Expected::Length));
    assert!(Convert::parse(&"+1".repeat(Convert::STEPS_MAX)).is_ok());
    let error = Convert::parse(&"+1".repeat(Convert::STEPS_MAX + 1)).unwrap_err();
    assert_eq!((error.column, error.expected), (129, Expected::Steps));
    let names = |n: usize| format!("numberToStr({})", ["a"].repeat(n).join(","));
    assert!(Convert::parse(&names(Convert::ARGUMENTS_MAX)).is_ok());
    let error = Convert::parse(&names(Convert::ARGUMENTS_MAX + 1)).unwrap_err();
    assert_eq!((error.column, error.expected), (525, Expected::ArgumentCount));
    let double = |n: usize| Value::str("x".repeat(n));
    check(&double(Convert::TEXT_MAX / 2), "strReplace(x, xx)", &double(Convert::TEXT_MAX));
    let more = double(Convert::TEXT_MAX / 2 + 1);
    assert_eq!(apply("strReplace(x, xx)", &more), Err(ConvertFault::Text));
}

#[test]
fn every_unit_can_be_named_in_a_convert() {
    for unit in Unit::all() {
        let text = Step::As(unit).to_string();
        check(&number(1.0), &text, &Value::Number(1.0, Some(unit)));
        check(&number(1.0), &format!("'{unit}' => '{unit}'"), &Value::Number(1.0, Some(unit)));
        let instead = Value::Number(-2.5, Some(unit));
        check(&Value::Null, &format!("?: {instead}"), &instead);
        check(&Value::str(instead.to_string()), "strToNumber()", &instead);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics_and_the_canonical_text_is_stable(
        words in prop::collection::vec(
            prop::sample::select(Vec::from([
                "+", "-", "*", "/", "&", "|", "^", "<<", ">>", "=>", "(", ")", ",", "'", " ", "\t", "?:", "-3", "2",
                "0x1f", "1e3", "°C", "°F", "kWh/m²", "%", "as", "pow", "reset", "invert", "strReplace", "strToBool",
                "numberToStr", "enumStrToNumber", "self", "true", "NA", "on", "'a,b'", "''", "é", "\u{a0}",
            ])),
            0..24,
        ),
        input in prop_oneof![
            Just(Value::Null), Just(Value::Na), any::<bool>().prop_map(Value::Bool),
            any::<f64>().prop_map(Value::number), ".{0,8}".prop_map(Value::str),
        ],
    ) {
        for text in [words.concat(), words.join(" ")] {
            match Convert::parse(&text) {
                Ok(convert) => {
                    let canonical = convert.to_string();
                    prop_assert_eq!(Convert::parse(&canonical), Ok(convert.clone()), "{}", canonical);
                    let _ = convert.apply(&input, &ConvertContext::new());
                }
                Err(error) => {
                    prop_assert!(error.column >= 1);
                    prop_assert!(error.column as usize <= text.chars().count() + 1, "{}", text);
                }
            }
        }
    }

    #[test]
    fn any_text_at_all_is_parsed_or_refused(text in "\\PC{0,60}") {
        let _ = Convert::parse(&text);
    }
}
