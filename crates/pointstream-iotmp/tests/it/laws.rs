//! What holds for any value, any split and any bytes.

use pointstream_iotmp::frame::{self, BODY_LEN_MAX, Decoder};
use pointstream_iotmp::{
    Dialect, Encode, Encoder, Map, Message, MessageType, Payload, Rules, TextRule, Tree, Value,
    Version,
};
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

/// A map of numbers and an array of them, in an array.
struct Numbers(u64, i64, f64);

impl Encode for Numbers {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.array(|to| {
            to.item(&Named(self));
            to.item(&Listed(self));
        });
    }
}

struct Named<'a>(&'a Numbers);

impl Encode for Named<'_> {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.map(|to| {
            to.entry("a", &self.0.0);
            to.entry("", &self.0.1);
            to.entry("a name of more than thirty bytes, which is long", &self.0.2);
            to.entry("d", &true);
        });
    }
}

struct Listed<'a>(&'a Numbers);

impl Encode for Listed<'_> {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.array(|to| {
            to.item(&self.0.0);
            to.item(&self.0.1);
            to.item(&self.0.2);
            to.item(&true);
        });
    }
}

/// `Map::read` gives what `Value::decode` gives, and fails where and as it does.
fn one_pass(version: Version, bytes: &[u8], rules: &Rules) {
    let mut entries = Vec::new();
    let once = Map::read(version, bytes, rules, |name, value| entries.push((name, value)));
    match (once, Value::decode(version, bytes, rules)) {
        (Ok(Some(len)), Ok((Value::Map(map), other))) => {
            assert_eq!(len, other);
            let all: Vec<_> = map.iter().collect();
            assert_eq!(format!("{entries:?}"), format!("{all:?}"));
        }
        (Ok(None), Ok((value, _))) => assert!(value.as_map().is_none()),
        // What is no map is not looked at.
        (Ok(None), Err(_)) => assert_eq!(version, Version::V2),
        (Err(once), Err(twice)) => assert_eq!(once, twice),
        (once, twice) => panic!("{once:?}, but {twice:?}"),
    }
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
    fn one_pass_gives_what_two_give(tree in trees(), cut: prop::sample::Index, flip: prop::sample::Index) {
        for version in [Version::V1, Version::V2] {
            let mut whole = Vec::new();
            version.encode(&tree, &mut whole).unwrap();
            let mut flipped = whole.clone();
            let bit = flip.index(whole.len() * 8);
            flipped[bit / 8] ^= 1 << (bit % 8);
            for bytes in [&whole[..], &whole[..cut.index(whole.len())], &flipped] {
                for text in [TextRule::Keep, TextRule::Reject] {
                    for depth_max in [0, 2, 32] {
                        one_pass(version, bytes, &Rules::DEFAULT.with_text(text).with_depth_max(depth_max));
                    }
                }
            }
        }
    }

    #[test]
    fn numbers_in_containers_are_written_like_all_others(unsigned: u64, signed: i64, shift in 0u32..64, float: f64) {
        let (unsigned, signed) = (unsigned >> shift, signed >> shift);
        for version in [Version::V1, Version::V2] {
            let mut quick = Vec::new();
            version.encode(&Numbers(unsigned, signed, float), &mut quick).unwrap();
            let numbers = [Tree::Unsigned(unsigned), as_read(Tree::Signed(signed)), Tree::Float(float), Tree::Bool(true)];
            let entries = ["a", "", "a name of more than thirty bytes, which is long", "d"];
            let map = entries.into_iter().zip(numbers.clone());
            let mut slow = Vec::new();
            // A tree's map is in order, which the entries are not: the array is compared whole.
            version.encode(&Tree::from(numbers), &mut slow).unwrap();
            prop_assert!(quick.ends_with(&slow[1..]), "{quick:x?} {slow:x?}");
            let (value, len) = Value::decode(version, &quick, &Rules::DEFAULT).unwrap();
            prop_assert_eq!(len, quick.len());
            let outer = value.as_array().unwrap();
            let read = outer.iter().next().unwrap().as_map().unwrap();
            // PSON v1 rounds floats, so that its bytes are not those of what was read.
            for (name, number) in map.filter(|(_, number)| version == Version::V2 || !matches!(number, Tree::Float(_))) {
                let mut one = Vec::new();
                version.encode(&number, &mut one).unwrap();
                let mut other = Vec::new();
                version.encode(&read.get(name).unwrap(), &mut other).unwrap();
                prop_assert_eq!(&one, &other);
            }
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
