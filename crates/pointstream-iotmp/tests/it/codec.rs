//! Every vector in both directions, every prefix and every flipped bit of it.

use pointstream_iotmp::frame::{self, BODY_LEN_MAX, Decoder};
use pointstream_iotmp::{
    Dialect, Draft, EncodeError, Malformed, Message, MessageType, Resource, Rules, TextRule, Tree,
    Value, Version,
};

use crate::support::{Owned, as_read, dialect, list, same, tree, unhex, vectors};

const V1: &str = include_str!("../vectors/pson-v1.json");
const V2: &str = include_str!("../vectors/pson-v2.json");
pub(crate) const FRAMES: &str = include_str!("../vectors/frames.json");

const VERSIONS: [(Version, &str); 2] = [(Version::V1, V1), (Version::V2, V2)];

fn decode(version: Version, bytes: &[u8]) -> Result<(Tree, usize), Malformed> {
    let decoded = Value::decode(version, bytes, &Rules::DEFAULT);
    decoded.map(|(value, len)| (Tree::from(value), len)).map_err(|error| error.kind)
}

#[test]
fn canonical_values_are_written_and_read_byte_for_byte() {
    for (version, text) in VERSIONS {
        for vector in list(&vectors(text), "canonical") {
            let (bytes, tree) = (unhex(&vector["hex"]), tree(&vector["value"]));
            let mut out = vec![0xaa];
            version.encode(&tree, &mut out).unwrap();
            assert_eq!(out[1..], bytes, "{vector}");
            let (read, len) = decode(version, &bytes).unwrap();
            assert_eq!(len, bytes.len(), "{vector}");
            assert!(same(&read, &as_read(tree)), "{vector} gives {read:?}");
        }
    }
}

#[test]
fn floats_of_the_first_version_are_as_lossy_as_its_clients() {
    for vector in list(&vectors(V1), "lossy") {
        let mut out = Vec::new();
        Version::V1.encode(&tree(&vector["value"]), &mut out).unwrap();
        assert_eq!(out, unhex(&vector["hex"]));
    }
}

#[test]
fn unusual_forms_are_read_and_wrong_ones_refused() {
    for (version, text) in VERSIONS {
        for vector in list(&vectors(text), "tolerated") {
            let bytes = unhex(&vector["hex"]);
            assert_eq!(decode(version, &bytes), Ok((tree(&vector["value"]), bytes.len())));
        }
        for vector in list(&vectors(text), "rejected") {
            let error = decode(version, &unhex(&vector["hex"])).unwrap_err();
            assert_eq!(format!("{error:?}"), vector["error"].as_str().unwrap(), "{vector}");
        }
    }
}

#[test]
fn frames_are_read_and_written() {
    for vector in list(&vectors(FRAMES), "frames") {
        let (bytes, dialect) = (unhex(&vector["hex"]), dialect(&vector["dialect"]));
        let message = Owned::from_json(&vector["message"]);
        let frame = frame::decode(&bytes, BODY_LEN_MAX).unwrap().unwrap();
        assert_eq!(frame.size(), bytes.len());
        let decoded = Message::decode(dialect, &frame, &Rules::DEFAULT).unwrap();
        assert_eq!(Owned::from(decoded), message.clone().into_read(), "{vector}");
        // Clients differ in the order of fields. Ours ascends, so that the same bytes come out
        // wherever the client's order ascends as well.
        let written = message.encode(dialect);
        let (mut ours, mut theirs) = (written.clone(), bytes.clone());
        ours.sort_unstable();
        theirs.sort_unstable();
        assert_eq!(ours, theirs, "{vector}");
        let again = frame::decode(&written, BODY_LEN_MAX).unwrap().unwrap();
        let again = Message::decode(dialect, &again, &Rules::DEFAULT).unwrap();
        assert_eq!(Owned::from(again), message.into_read());
    }
}

#[test]
fn fields_ascend() {
    for (hex, old) in [
        ("031c08011ae38575736572318773656e736f723189736563726574313233", false),
        ("081a08a10112c188696e74657276616c1fd00f228776657273696f6e", false),
        ("061e080f1ac283636d64876563686f2068698774696d656f7574052283636d64", false),
        ("01180809100a1e4a076275636b657431366a0701741d0000c03f", true),
        ("011908a101100326720d4a0b74656d706572617475726536088827", true),
    ] {
        let bytes = unhex(&hex.into());
        let dialect = if old { Dialect::Old } else { Dialect::Iotmp2 };
        let frame = frame::decode(&bytes, BODY_LEN_MAX).unwrap().unwrap();
        let message = Message::decode(dialect, &frame, &Rules::DEFAULT).unwrap();
        let mut out = Vec::new();
        message.draft().encode(dialect, &mut out).unwrap();
        assert_eq!(out, bytes);
    }
}

#[test]
fn the_dialect_is_found() {
    for vector in list(&vectors(FRAMES), "frames") {
        let (bytes, dialect) = (unhex(&vector["hex"]), dialect(&vector["dialect"]));
        let frame = frame::decode(&bytes, BODY_LEN_MAX).unwrap().unwrap();
        let lone = Dialect::of_lone_frame(&frame);
        let says = Owned::from_json(&vector["message"]);
        let structured = [says.parameters, says.payload, says.resource];
        let varints = structured.iter().flatten().all(|it| matches!(it, Tree::Unsigned(_)));
        if !varints {
            assert_eq!(lone, dialect, "{vector}");
        } else if dialect == Dialect::Old && says.kind != MessageType::StartStream {
            assert_eq!(lone, Dialect::Iotmp2, "{vector}");
        }
        if says.kind == MessageType::Connect {
            assert_eq!(Dialect::of_first_frame(&frame), Ok(dialect));
        }
    }
    for (first, error) in [
        (&[0x03, 2, 0x1b, 0][..], Malformed::Wire(3)),
        (&[0x03, 2, 0x1e, 0], Malformed::Wire(6)),
        (&[0x0a, 0], Malformed::Type(0x0a)),
        (&[0x02, 0], Malformed::Type(0x02)),
    ] {
        let frame = frame::decode(first, 10).unwrap().unwrap();
        assert_eq!(Dialect::of_first_frame(&frame).unwrap_err().kind, error);
    }
}

#[test]
fn every_prefix_and_every_flipped_bit_ends_in_a_message_or_an_error() {
    for vector in list(&vectors(FRAMES), "frames") {
        let bytes = unhex(&vector["hex"]);
        for len in 0..bytes.len() {
            assert_eq!(frame::decode(&bytes[..len], BODY_LEN_MAX), Ok(None), "{vector}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let Ok(Some(frame)) = frame::decode(&flipped, BODY_LEN_MAX) else { continue };
            for dialect in [Dialect::Old, Dialect::Iotmp1, Dialect::Iotmp2] {
                if let Ok(message) = Message::decode(dialect, &frame, &Rules::DEFAULT) {
                    let _ = Owned::from(message);
                }
            }
        }
    }
}

fn error(dialect: Dialect, frame: &[u8]) -> (usize, Malformed) {
    let frame = frame::decode(frame, BODY_LEN_MAX).unwrap().unwrap();
    let error = Message::decode(dialect, &frame, &Rules::DEFAULT).unwrap_err();
    (error.at, error.kind)
}

#[test]
fn wrong_frames_are_refused_where_they_are_wrong() {
    use Dialect::{Iotmp1, Iotmp2, Old};
    for (bytes, kind) in [
        (&[0x00, 0][..], Malformed::Type(0)),
        (&[0x0b, 0], Malformed::Type(0x0b)),
        (&[0x83], Malformed::Type(0x83)),
        (&[1, 0xff, 0xff, 0xff, 0xff, 0xff], Malformed::Varint),
        (&[1, 0x81, 0x80, 0x04], Malformed::BodyLen { len: 65537, max: BODY_LEN_MAX }),
    ] {
        assert_eq!(frame::decode(bytes, BODY_LEN_MAX).unwrap_err().kind, kind);
    }
    assert_eq!(frame::decode(&[1, 0x80, 0x80, 0x04], BODY_LEN_MAX), Ok(None));
    assert_eq!(error(Iotmp2, &[1, 5, 0x08, 0x80, 0x80, 0x04, 0]), (2, Malformed::StreamId));
    assert_eq!(error(Iotmp2, &[1, 3, 0x0a, 0x81, 0x61]), (2, Malformed::StreamId));
    assert_eq!(error(Iotmp2, &[1, 2, 0x19, 0x28]), (2, Malformed::Wire(1)));
    assert_eq!(error(Iotmp1, &[1, 2, 0x1a, 0x61]), (2, Malformed::Wire(2)));
    assert_eq!(error(Iotmp2, &[1, 4, 0x08, 0x01, 0x1f, 0x00]), (4, Malformed::Wire(7)));
    assert_eq!(error(Iotmp2, &[1, 4, 0x08, 0x01, 0x1a, 0x63]), (6, Malformed::Discrete(3)));
    assert_eq!(error(Old, &[1, 2, 0x10, 0x0d]), (2, Malformed::Signal(13)));
    assert_eq!(error(Old, &[3, 0]), (0, Malformed::Type(3)));
}

#[test]
fn a_stream_id_may_be_a_value_and_unknown_fields_are_passed_over() {
    let bytes =
        [0x0a, 15, 0x2a, 0x81, 0x61, 0xc0, 0x02, 9, 0x0a, 0x1f, 161, 1, 0x18, 1, 0x1a, 0x81, 0x78];
    let frame = frame::decode(&bytes, 100).unwrap().unwrap();
    let message = Message::decode(Dialect::Iotmp2, &frame, &Rules::DEFAULT).unwrap();
    assert_eq!(message.stream_id, Some(161));
    assert_eq!(message.payload.unwrap().as_str(), Some("x"), "the last of a field counts");
}

#[test]
fn field_zero_is_a_resource_only_where_there_is_none_and_it_is_a_path() {
    let path = |bytes: &[u8]| {
        let frame = frame::decode(bytes, 100).unwrap().unwrap();
        Message::decode(Dialect::Iotmp2, &frame, &Rules::DEFAULT).unwrap().path()
    };
    assert_eq!(path(&[8, 3, 0x02, 0x81, 0x61]).as_deref(), Some("a"));
    assert_eq!(path(&[8, 6, 0x02, 0xe2, 0x81, 0x61, 0x81, 0x62]).as_deref(), Some("a/b"));
    assert_eq!(path(&[8, 6, 0x02, 0x81, 0x61, 0x22, 0x81, 0x62]).as_deref(), Some("b"));
    assert_eq!(path(&[8, 2, 0x00, 0x05]), None);
}

#[test]
fn a_keep_alive_body_is_not_looked_at() {
    let frame = frame::decode(&[5, 2, 0xff, 0xff], 100).unwrap().unwrap();
    assert!(Message::decode(Dialect::Iotmp2, &frame, &Rules::DEFAULT).is_ok());
}

#[test]
fn depth_and_text_are_judged_by_the_rules() {
    let nested = |depth: usize| [vec![0xe1; depth], vec![0]].concat();
    for max in [0, 1, 5, 32] {
        let rules = Rules::DEFAULT.with_depth_max(max);
        let decode = |depth| Value::decode(Version::V2, &nested(depth), &rules).map(|_| ());
        assert_eq!(decode(usize::from(max)), Ok(()));
        assert_eq!(decode(usize::from(max) + 1).unwrap_err().kind, Malformed::Depth);
    }
    let strict = Rules::DEFAULT.with_text(TextRule::Reject);
    for bytes in [&[0x81, 0xff][..], &[0xc1, 0x81, 0xff, 0x00]] {
        assert!(Value::decode(Version::V2, bytes, &Rules::DEFAULT).is_ok());
        assert_eq!(Value::decode(Version::V2, bytes, &strict).unwrap_err().kind, Malformed::Text);
    }
}

#[test]
fn what_cannot_be_written_leaves_the_buffer_alone() {
    let mut deep = Tree::Null;
    for _ in 0..33 {
        deep = Tree::Array(vec![deep]);
    }
    let mut out = vec![1, 2, 3];
    for version in [Version::V1, Version::V2] {
        assert_eq!(version.encode(&deep, &mut out), Err(EncodeError::Depth));
    }
    let draft = Draft::new(MessageType::Ok).with_stream_id(1).with_payload(&deep);
    assert_eq!(draft.encode(Dialect::Iotmp2, &mut out), Err(EncodeError::Depth));
    let describe = Draft::new(MessageType::Describe).with_resource(Resource::Path("a"));
    assert!(describe.encode(Dialect::Old, &mut out).is_err());
    assert_eq!(out, [1, 2, 3]);
}

#[test]
fn large_field_numbers_stay_values_where_the_reference_could_not_read_a_varint() {
    for (number, hex) in [
        (Tree::Unsigned(0xffff_ffff), "010618ffffffff0f"),
        (Tree::Unsigned(0x1_0000_0000), "01071a1f8080808010"),
        (Tree::Signed(-5), "01021a25"),
    ] {
        let mut out = Vec::new();
        Draft::new(MessageType::Ok)
            .with_payload(&number)
            .encode(Dialect::Iotmp2, &mut out)
            .unwrap();
        assert_eq!(out, unhex(&hex.into()));
    }
}

#[test]
fn a_decoder_keeps_what_arrived_and_not_what_was_promised() {
    let mut decoder = Decoder::new(BODY_LEN_MAX);
    let mut input = &[0x0a, 0xff, 0xff, 0x03, 1, 2, 3][..];
    assert_eq!(decoder.decode(&mut input), Ok(None));
    assert!(input.is_empty());
    decoder.set_body_len_max(10);
    assert!(decoder.decode(&mut &[0][..]).is_err());
}
