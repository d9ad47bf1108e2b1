//! What holds for any value, any split and any bytes.

use pointstream_iotmp::frame::{self, BODY_LEN_MAX, Decoder};
use pointstream_iotmp::{Dialect, Message, MessageType, Payload, Rules, Tree, Value, Version};
use proptest::prelude::*;

use crate::codec::FRAMES;
use crate::support::{Owned, as_read, list, same, unhex, vectors};

const DIALECTS: [Dialect; 3] = [Dialect::Old, Dialect::Iotmp1, Dialect::Iotmp2];

/// Floating point numbers that both versions keep exactly.
fn float() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f32>().prop_map(f64::from),
        (-1_000_000i32..1_000_000).prop_map(|number| f64::from(number) / 8.0),
    ]
}

fn trees() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        Just(Tree::Null),
        any::<bool>().prop_map(Tree::Bool),
        (any::<u64>(), 0u32..64).prop_map(|(number, shift)| Tree::Unsigned(number >> shift)),
        (i64::MIN..0).prop_map(Tree::Signed),
        (-70_000i64..0).prop_map(Tree::Signed),
        float().prop_map(Tree::Float),
        ".{0,40}".prop_map(Tree::Text),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Tree::Bytes),
    ];
    leaf.prop_recursive(5, 200, 40, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..40).prop_map(Tree::Array),
            prop::collection::btree_map(".{0,35}", inner, 0..40).prop_map(Tree::Map),
        ]
    })
}

/// The same tree, as a decoder gives it: integral floats as integers.
fn read(tree: &Tree) -> Tree {
    as_read(tree.clone())
}

proptest! {
    #[test]
    fn what_is_written_is_read(tree in trees()) {
        for version in [Version::V1, Version::V2] {
            let mut out = Vec::new();
            version.encode(&tree, &mut out).unwrap();
            let (value, len) = Value::decode(version, &out, &Rules::DEFAULT).unwrap();
            prop_assert_eq!(len, out.len());
            let back = Tree::from(value);
            prop_assert!(same(&back, &read(&tree)), "{:?} gave {:?}", tree, back);
            // Writing what was read gives the same bytes: the form is canonical.
            let mut again = Vec::new();
            version.encode(&value, &mut again).unwrap();
            prop_assert_eq!(&again, &out);
            let payload = Tree::from(Payload::from(value).value());
            prop_assert!(same(&payload, &back));
        }
    }

    #[test]
    fn any_float_survives_the_second_version(number: f64) {
        let mut out = Vec::new();
        Version::V2.encode(&number, &mut out).unwrap();
        let (value, _) = Value::decode(Version::V2, &out, &Rules::DEFAULT).unwrap();
        let back = value.as_f64().unwrap();
        prop_assert!(back == number || (back.is_nan() && number.is_nan()));
    }

    #[test]
    fn messages_are_read_as_written(
        id in prop::option::of(any::<u16>()),
        parameters in prop::option::of(trees()),
        payload in prop::option::of(trees()),
        resource in prop::option::of("[a-z/]{0,60}"),
        at in 0usize..3,
    ) {
        let message = Owned {
            kind: MessageType::Run,
            stream_id: id,
            parameters,
            payload,
            resource: resource.map(Tree::Text),
        };
        let dialect = DIALECTS[at];
        let bytes = message.encode(dialect);
        let frame = frame::decode(&bytes, usize::MAX).unwrap().unwrap();
        let decoded = Message::decode(dialect, &frame, &Rules::DEFAULT).unwrap();
        let path = decoded.path();
        let back = Owned::from(decoded);
        prop_assert_eq!(path.map(Tree::Text), message.resource);
        prop_assert_eq!(back.stream_id, message.stream_id);
        for (back, sent) in [(back.parameters, message.parameters), (back.payload, message.payload)] {
            prop_assert_eq!(back.is_some(), sent.is_some());
            prop_assert!(back.zip(sent).is_none_or(|(back, sent)| same(&back, &read(&sent))));
        }
    }

    #[test]
    fn any_split_decodes_alike(
        picks in prop::collection::vec(any::<prop::sample::Index>(), 1..12),
        cuts in prop::collection::vec(0usize..30, 0..80),
    ) {
        let vectors = vectors(FRAMES);
        let frames: Vec<Vec<u8>> = list(&vectors, "frames").iter().map(|it| unhex(&it["hex"])).collect();
        let chosen: Vec<&Vec<u8>> = picks.iter().map(|pick| pick.get(&frames)).collect();
        let stream: Vec<u8> = chosen.iter().flat_map(|frame| frame.iter().copied()).collect();
        let mut decoder = Decoder::new(BODY_LEN_MAX);
        let mut found = Vec::new();
        let mut rest = &stream[..];
        let mut cuts = cuts.into_iter().chain(core::iter::repeat(7));
        while !rest.is_empty() {
            let (mut piece, behind) = rest.split_at(cuts.next().unwrap().min(rest.len()));
            rest = behind;
            while let Some(frame) = decoder.decode(&mut piece).unwrap() {
                found.push((frame.code, frame.body.to_vec()));
            }
            prop_assert!(piece.is_empty());
        }
        prop_assert_eq!(found.len(), chosen.len());
        for ((code, body), frame) in found.iter().zip(chosen) {
            prop_assert_eq!(*code, frame[0]);
            prop_assert!(frame.ends_with(body));
        }
    }

    #[test]
    fn arbitrary_bytes_are_refused_or_read_and_whole(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for version in [Version::V1, Version::V2] {
            if let Ok((value, len)) = Value::decode(version, &bytes, &Rules::DEFAULT) {
                prop_assert!(len <= bytes.len());
                let tree = Tree::from(value);
                let mut out = Vec::new();
                version.encode(&value, &mut out).unwrap();
                let (again, _) = Value::decode(version, &out, &Rules::DEFAULT).unwrap();
                // PSON v1 rounds floats when it writes.
                prop_assert!(version == Version::V1 || same(&Tree::from(again), &as_read(tree)));
            }
        }
        let mut decoder = Decoder::new(BODY_LEN_MAX);
        let mut input = &bytes[..];
        while let Ok(Some(frame)) = decoder.decode(&mut input) {
            for dialect in DIALECTS {
                if let Ok(message) = Message::decode(dialect, &frame, &Rules::DEFAULT) {
                    let _ = Owned::from(message);
                }
            }
        }
    }

    #[test]
    fn values_of_plausible_bytes_are_refused_or_read(
        heads in prop::collection::vec((0u8..8, 0u8..4), 0..120),
    ) {
        let bytes: Vec<u8> = heads.iter().map(|(kind, number)| kind << 5 | number).collect();
        if let Ok((value, _)) = Value::decode(Version::V2, &bytes, &Rules::DEFAULT) {
            let _ = Tree::from(value);
        }
    }
}
