use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::sparkplug::{
    DataSet, DataType, Limits, MetaData, Metric, Parameter, Payload, Property, PropertySet, Raw,
    Template, Value,
};

fn text() -> impl Strategy<Value = Box<str>> {
    "[ -~äΩ]{0,8}".prop_map(Into::into)
}

fn plain() -> impl Strategy<Value = Raw> {
    prop_oneof![
        any::<u32>().prop_map(Raw::Int),
        any::<u64>().prop_map(Raw::Long),
        (-1e9f32..1e9).prop_map(Raw::Float),
        (-1e99..1e99).prop_map(Raw::Double),
        any::<bool>().prop_map(Raw::Bool),
        text().prop_map(Raw::Str),
        vec(any::<u8>(), 0..4).prop_map(|bytes| Raw::Extension(bytes.into())),
    ]
}

fn properties() -> impl Strategy<Value = PropertySet> {
    let property = |value: BoxedStrategy<Raw>| {
        (option::of(0u32..40), any::<bool>(), option::of(value))
            .prop_map(|(datatype, is_null, value)| Property { datatype, is_null, value })
    };
    let set = move |value| {
        vec((text(), property(value)), 0..4).prop_map(|entries| PropertySet { entries })
    };
    let leaf = set(plain().boxed());
    leaf.prop_recursive(2, 16, 3, move |inner| {
        let nested = prop_oneof![
            plain(),
            inner.clone().prop_map(|set| Raw::Set(Box::new(set))),
            vec(inner, 0..3).prop_map(Raw::Sets),
        ];
        set(nested.boxed())
    })
}

fn data_set() -> impl Strategy<Value = DataSet> {
    let rows = vec(vec(option::of(plain()), 0..4), 0..4);
    (option::of(any::<u64>()), vec(text(), 0..4), vec(0u32..40, 0..4), rows).prop_map(
        |(num_of_columns, columns, types, rows)| DataSet { num_of_columns, columns, types, rows },
    )
}

fn metadata() -> impl Strategy<Value = MetaData> {
    let numbers = (option::of(any::<bool>()), option::of(any::<u64>()), option::of(any::<u64>()));
    let texts = vec(option::of(text()), 5);
    (numbers, texts).prop_map(|((is_multi_part, size, seq), texts)| {
        let [content_type, file_name, file_type, md5, description] =
            <[_; 5]>::try_from(texts).unwrap();
        MetaData { is_multi_part, content_type, size, seq, file_name, file_type, md5, description }
    })
}

fn metric_with(value: BoxedStrategy<Raw>) -> impl Strategy<Value = Metric> {
    let ids = (option::of(text()), option::of(any::<u64>()), option::of(any::<u64>()));
    let more = (option::of(metadata()), option::of(properties()), option::of(value));
    (ids, option::of(0u32..40), any::<[bool; 3]>(), more).prop_map(
        |((name, alias, timestamp), datatype, flags, (metadata, properties, value))| Metric {
            name: name.map(Arc::from),
            alias,
            timestamp,
            datatype,
            is_historical: flags[0],
            is_transient: flags[1],
            is_null: flags[2],
            metadata: metadata.map(Box::new),
            properties: properties.map(Box::new),
            value,
        },
    )
}

fn metric() -> impl Strategy<Value = Metric> {
    let flat = prop_oneof![
        plain(),
        vec(any::<u8>(), 0..8).prop_map(|bytes| Raw::Bytes(bytes.into())),
        data_set().prop_map(|set| Raw::DataSet(Box::new(set))),
    ];
    let parameter = (option::of(text()), option::of(0u32..40), option::of(plain()))
        .prop_map(|(name, datatype, value)| Parameter { name, datatype, value })
        .boxed();
    metric_with(flat.boxed()).prop_recursive(2, 8, 3, move |inner| {
        let texts = (option::of(text()), option::of(text()), option::of(any::<bool>()));
        let template = (texts, vec(inner, 0..3), vec(parameter.clone(), 0..3)).prop_map(
            |((version, template_ref, is_definition), metrics, parameters)| {
                Raw::Template(Box::new(Template {
                    version,
                    metrics,
                    parameters,
                    template_ref,
                    is_definition,
                }))
            },
        );
        metric_with(template.boxed())
    })
}

fn payload() -> impl Strategy<Value = Payload> {
    let numbers = (option::of(any::<u64>()), option::of(any::<u64>()));
    let body = option::of(vec(any::<u8>(), 0..8));
    (numbers, vec(metric(), 0..4), option::of(text()), body).prop_map(
        |((timestamp, seq), metrics, uuid, body)| {
            let body = body.map(Into::into);
            Payload { timestamp, metrics, seq, uuid, body }
        },
    )
}

/// A value of a data type, for each type that is not a structure.
fn value_of(data_type: DataType) -> BoxedStrategy<Value> {
    if let Some((bits, signed)) = data_type.integer() {
        return if signed {
            any::<i64>().prop_map(move |v| Value::Int(v >> (64 - bits))).boxed()
        } else {
            any::<u64>().prop_map(move |v| Value::UInt(v >> (64 - bits))).boxed()
        };
    }
    if let Some(element) = data_type.element() {
        return vec(value_of(element), 0..20).prop_map(Value::Array).boxed();
    }
    match data_type {
        DataType::Float => any::<f32>()
            .prop_filter("a number", |v| !v.is_nan())
            .prop_map(|v| Value::Float(v.into()))
            .boxed(),
        DataType::Double => {
            any::<f64>().prop_filter("a number", |v| !v.is_nan()).prop_map(Value::Float).boxed()
        }
        DataType::Boolean => any::<bool>().prop_map(Value::Bool).boxed(),
        DataType::DateTime => any::<u64>().prop_map(Value::Time).boxed(),
        DataType::Bytes | DataType::File => {
            vec(any::<u8>(), 0..20).prop_map(|bytes| Value::Bytes(bytes.into())).boxed()
        }
        _ => text().prop_map(Value::Str).boxed(),
    }
}

fn typed() -> impl Strategy<Value = (DataType, Value)> {
    let plain = |of: &DataType| {
        use DataType::{DataSet, PropertySet, PropertySetList, Template};
        !matches!(of, DataSet | Template | PropertySet | PropertySetList)
    };
    let types: Vec<_> = DataType::ALL.into_iter().filter(plain).collect();
    proptest::sample::select(types)
        .prop_flat_map(|data_type| value_of(data_type).prop_map(move |value| (data_type, value)))
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_to_itself(payload in payload()) {
        prop_assert_eq!(Payload::decode(&payload.encode(), Limits::default()), Ok(payload));
    }

    #[test]
    fn a_value_of_a_type_comes_back_as_it_was((data_type, value) in typed()) {
        let raw = value.encode(data_type).unwrap();
        prop_assert_eq!(Value::decode(data_type, &raw), Ok(value));
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        if let Ok(payload) = Payload::decode(&bytes, Limits::default()) {
            // What was understood says the same again.
            let again = Payload::decode(&payload.encode(), Limits::default());
            prop_assert_eq!(again.map(|p| p.encode()), Ok(payload.encode()));
        }
    }

    #[test]
    fn a_damaged_payload_is_decoded_or_refused(payload in payload(), at in any::<usize>(), to in any::<u8>()) {
        let mut bytes = payload.encode();
        if !bytes.is_empty() {
            let at = at % bytes.len();
            bytes[at] = to;
            let _ = Payload::decode(&bytes, Limits::default());
            let _ = Payload::decode(&bytes[..at], Limits::default());
        }
    }
}
