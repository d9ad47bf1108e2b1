//! `tests/vectors/sparkplug.txt` is what pysparkplug 0.6.1 (PyPI) and the standard's `.proto` make;
//! `sparkplug.py` beside it writes it.

use crate::sparkplug::{
    DataType, DecodeError, Limits, Metric, Payload, Property, PropertySet, Raw, Value,
};

const VECTORS: &str = include_str!("../../../tests/vectors/sparkplug.txt");
const T: u64 = 1_700_000_000_000;

pub(crate) fn bytes(name: &str) -> Vec<u8> {
    let find = |line: &'static str| line.split_once(' ').filter(|(first, _)| *first == name);
    let (_, digits) = VECTORS.lines().find_map(find).unwrap();
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

fn payload(name: &str) -> Payload {
    Payload::decode(&bytes(name), Limits::default()).unwrap()
}

fn typed(metric: &Metric) -> Option<Value> {
    metric.typed(None).unwrap()
}

#[test]
fn what_others_encode_is_encoded_alike() {
    let mut count = 0;
    for line in VECTORS.lines() {
        let (name, _) = line.split_once(' ').unwrap();
        let made = payload(name).encode();
        assert_eq!(made, bytes(name), "{name}");
        count += 1;
    }
    assert_eq!(count, 12);
}

#[test]
fn every_type_has_its_value() {
    let ints = |values: &[i64]| Value::Array(values.iter().map(|&v| Value::Int(v)).collect());
    let uints = |values: &[u64]| Value::Array(values.iter().map(|&v| Value::UInt(v)).collect());
    let floats = |values: &[f64]| Value::Array(values.iter().map(|&v| Value::Float(v)).collect());
    let texts =
        |texts: &[&str]| Value::Array(texts.iter().map(|&text| Value::Str(text.into())).collect());
    let bits = [false, false, true, true, false, true, false, false, true, true, false, true];
    let expected = [
        ("int8", Value::Int(-8)),
        ("int16", Value::Int(-1600)),
        ("int32", Value::Int(-320_000)),
        ("int64", Value::Int(-(1 << 40))),
        ("uint8", Value::UInt(200)),
        ("uint16", Value::UInt(60_000)),
        ("uint32", Value::UInt(4_000_000_000)),
        ("uint64", Value::UInt((1 << 63) + 1)),
        ("float", Value::Float(1.5)),
        ("double", Value::Float(-0.1)),
        ("boolean", Value::Bool(true)),
        ("string", Value::Str("grün".into())),
        ("datetime", Value::Time(T)),
        ("text", Value::Str("long text".into())),
        ("uuid", Value::Str("123e4567-e89b-12d3-a456-426614174000".into())),
        ("bytes", Value::Bytes([0, 1, 255].into())),
        ("file", Value::Bytes((*b"MZ").into())),
        ("int8s", ints(&[-23, 123])),
        ("int16s", ints(&[-30_000, 30_000])),
        ("int32s", ints(&[-1, 315_338_746])),
        ("int64s", ints(&[-4_270_929_666_821_191_986, 2])),
        ("uint8s", uints(&[23, 250])),
        ("uint16s", uints(&[30, 52_360])),
        ("uint32s", uints(&[52, 3_293_969_225])),
        ("uint64s", uints(&[5245, 16_444_743_074_749_521_625])),
        ("floats", floats(&[1.23f32.into(), 89.341f32.into()])),
        ("doubles", floats(&[12.354213, 1022.9123213])),
        ("booleans", Value::Array(bits.map(Value::Bool).into())),
        ("strings", texts(&["ABC", "hello"])),
        ("datetimes", Value::Array(vec![Value::Time(T), Value::Time(T)])),
        ("no_strings_but_one", texts(&[""])),
        ("no_booleans", Value::Array(Vec::new())),
    ];
    let birth = payload("types");
    assert_eq!((birth.timestamp, birth.seq), (Some(T), Some(0)));
    assert_eq!(birth.metrics.len(), expected.len());
    for (metric, (name, value)) in birth.metrics.iter().zip(expected) {
        assert_eq!(metric.name.as_deref(), Some(name));
        assert_eq!(typed(metric).as_ref(), Some(&value), "{name}");
        // And back.
        let data_type = DataType::of_code(metric.datatype.unwrap()).unwrap();
        assert_eq!(value.encode(data_type).as_ref(), Ok(metric.value.as_ref().unwrap()), "{name}");
    }
}

#[test]
fn the_example_of_the_standard_for_arrays_of_booleans() {
    // Sparkplug 3.0.0, 6.4.16.4: 12 values are 0C 00 00 00 34 D0.
    let birth = payload("types");
    let booleans = birth.metrics.iter().find(|m| m.name.as_deref() == Some("booleans")).unwrap();
    assert_eq!(booleans.value, Some(Raw::Bytes([12, 0, 0, 0, 0x34, 0xD0].into())));
    // The same chapter, for Int8Array, FloatArray and StringArray.
    let raw = |name: &str| {
        let metric = birth.metrics.iter().find(|m| m.name.as_deref() == Some(name)).unwrap();
        metric.value.clone()
    };
    assert_eq!(raw("int8s"), Some(Raw::Bytes([0xE9, 0x7B].into())));
    let floats = [0xA4, 0x70, 0x9D, 0x3F, 0x98, 0xAE, 0xB2, 0x42];
    assert_eq!(raw("floats"), Some(Raw::Bytes(floats.into())));
    let texts = [0x41, 0x42, 0x43, 0x00, 0x68, 0x65, 0x6C, 0x6C, 0x6F, 0x00];
    assert_eq!(raw("strings"), Some(Raw::Bytes(texts.into())));
}

#[test]
fn a_metric_without_a_type_has_that_of_its_birth() {
    let data = payload("ddata");
    let [metric] = data.metrics.as_slice() else { panic!("{data:?}") };
    assert_eq!((metric.name.as_deref(), metric.alias, metric.datatype), (None, Some(3), None));
    assert!(metric.typed(None).is_err());
    assert_eq!(metric.typed(Some(DataType::Int32)), Ok(Some(Value::Int(-6))));
    let birth = payload("nbirth");
    assert!(birth.metrics[3].is_null);
    assert_eq!(typed(&birth.metrics[3]), None);
    let historical = payload("historical");
    let metric = &historical.metrics[0];
    assert!(metric.is_historical && metric.is_transient && historical.seq == Some(255));
}

#[test]
fn tables_templates_and_properties_come_whole() {
    let Some(Value::DataSet(table)) = typed(&payload("dataset").metrics[0]) else { panic!() };
    assert_eq!(table.columns, ["a".into(), "b".into()]);
    assert_eq!(table.types, [DataType::Int32.code(), DataType::String.code()]);
    let expected =
        [vec![Some(Raw::Int(1)), Some(Raw::Str("x".into()))], vec![Some(Raw::Int(u32::MAX)), None]];
    assert_eq!(table.rows, expected);
    let Some(Value::Template(motor)) = typed(&payload("template").metrics[0]) else { panic!() };
    assert_eq!(motor.template_ref.as_deref(), Some("Motor"));
    assert_eq!(motor.is_definition, Some(false));
    assert_eq!(motor.parameters.len(), 2);
    let Some(Value::Template(gear)) = typed(&motor.metrics[1]) else { panic!() };
    assert_eq!(typed(&gear.metrics[0]), Some(Value::Float(2.5)));
    let payload = payload("properties");
    let set: &PropertySet = payload.metrics[0].properties.as_ref().unwrap();
    let keys: Vec<_> = set.entries.iter().map(|(key, _)| &**key).collect();
    assert_eq!(keys, ["engUnit", "Quality", "none", "set", "sets"]);
    let null = Property { datatype: Some(10), is_null: true, value: None };
    assert_eq!(set.entries[2].1, null);
    let Some(Raw::Sets(sets)) = &set.entries[4].1.value else { panic!() };
    assert_eq!((sets.len(), sets[0].entries.len(), sets[1].entries.len()), (2, 1, 0));
}

#[test]
fn a_sender_that_widens_negative_numbers_is_understood() {
    let int = |data_type, raw| Value::decode(data_type, &raw);
    assert_eq!(int(DataType::Int8, Raw::Int(0xF8)), Ok(Value::Int(-8)));
    assert_eq!(int(DataType::Int8, Raw::Int(0xFFFF_FFF8)), Ok(Value::Int(-8)));
    assert_eq!(int(DataType::Int16, Raw::Int(0xFFFF_F9C0)), Ok(Value::Int(-1600)));
    assert_eq!(int(DataType::Int32, Raw::Long(u64::MAX)), Ok(Value::Int(-1)));
    for (data_type, raw) in [
        (DataType::Int8, Raw::Int(0x180)),
        (DataType::UInt8, Raw::Int(256)),
        (DataType::UInt16, Raw::Int(0xFFFF_0000)),
        (DataType::Int32, Raw::Long(1 << 32)),
    ] {
        assert!(int(data_type, raw.clone()).is_err(), "{data_type:?} {raw:?}");
    }
    for (data_type, value) in [
        (DataType::Int8, Value::Int(128)),
        (DataType::Int8, Value::Int(-129)),
        (DataType::UInt64, Value::Int(-1)),
        (DataType::Int64, Value::UInt(1 << 63)),
        (DataType::Float, Value::Float(1e39)),
        (DataType::Boolean, Value::Int(1)),
        (DataType::StringArray, Value::Array(vec![Value::Str("a\0".into())])),
        (DataType::BooleanArray, Value::Array(vec![Value::Int(1)])),
        (DataType::Int8Array, Value::Array(vec![Value::Int(1000)])),
    ] {
        assert!(value.encode(data_type).is_err(), "{data_type:?} {value:?}");
    }
    for (data_type, bytes) in [
        (DataType::Int16Array, &[1, 2, 3][..]),
        (DataType::DoubleArray, &[0; 7]),
        (DataType::BooleanArray, &[9, 0, 0, 0, 1]),
        (DataType::BooleanArray, &[0, 0, 0]),
        (DataType::StringArray, &[0xFF, 0]),
    ] {
        let raw = Raw::Bytes(bytes.into());
        assert!(Value::decode(data_type, &raw).is_err(), "{data_type:?} {bytes:?}");
    }
}

#[test]
fn limits_hold_at_their_edges() {
    let types = bytes("types");
    let decode = |bytes: &[u8], limits| Payload::decode(bytes, limits).map(drop);
    let limits = Limits::default().with_len_max(types.len());
    assert_eq!(decode(&types, limits), Ok(()));
    let limits = Limits::default().with_len_max(types.len() - 1);
    assert_eq!(decode(&types, limits), Err(DecodeError::TooLong(types.len() - 1)));
    // 32 metrics.
    assert_eq!(decode(&types, Limits::default().with_items_max(32)), Ok(()));
    let limits = Limits::default().with_items_max(31);
    assert_eq!(decode(&types, limits), Err(DecodeError::TooMany(31)));
    // A template in a template.
    assert_eq!(decode(&bytes("template"), Limits::default().with_depth_max(2)), Ok(()));
    let limits = Limits::default().with_depth_max(1);
    assert_eq!(decode(&bytes("template"), limits), Err(DecodeError::TooDeep(1)));
    // A table: two columns, two types, two rows of two cells, and the metric.
    assert_eq!(decode(&bytes("dataset"), Limits::default().with_items_max(11)), Ok(()));
    let limits = Limits::default().with_items_max(10);
    assert_eq!(decode(&bytes("dataset"), limits), Err(DecodeError::TooMany(10)));
    // Properties: five and their keys, those within them, and the metric.
    let (least, limits) = (17, Limits::default());
    assert_eq!(decode(&bytes("properties"), limits.with_items_max(least)), Ok(()));
    let limits = limits.with_items_max(least - 1);
    assert_eq!(decode(&bytes("properties"), limits), Err(DecodeError::TooMany(least - 1)));
}

#[test]
fn a_thousand_levels_are_refused_without_going_there() {
    let mut payload = Payload::default();
    payload.metrics.push(Metric::default());
    let mut bytes = payload.encode();
    for _ in 0..1000 {
        // The metric so far becomes a member of a template of another one.
        let template = [&[0x12][..], &varint(bytes.len() - 1)[..], &bytes[2..]].concat();
        let metric = [&[0x92, 0x01][..], &varint(template.len())[..], &template[..]].concat();
        bytes = [&[0x12][..], &varint(metric.len())[..], &metric[..]].concat();
    }
    assert!(Payload::decode(&bytes, Limits::default()).is_err());
}

fn varint(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}
