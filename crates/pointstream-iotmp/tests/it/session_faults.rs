//! What peers do wrong, and where the limits lie.

use core::time::Duration;

use pointstream_iotmp::session::{Config, End, Event, Feed, Opener, RequestError, Session};
use pointstream_iotmp::{Dialect, Malformed, MessageType, Resource};
use proptest::prelude::*;

use crate::codec::FRAMES;
use crate::support::{
    CONNECT, at, events, hex, list, open_client, open_server, sent, unhex, vectors,
};

const PATH: Resource<'static> = Resource::Path("a");

fn first(bytes: &[u8]) -> (Vec<Event>, Vec<u8>) {
    let mut session = Session::server(at(0), Config::default());
    session.handle_input(at(1), bytes);
    (events(&mut session), sent(&mut session))
}

#[test]
fn a_first_frame_that_is_no_connect_ends_the_session() {
    for (bytes, code) in [("0500", 5), ("0a0408011807", 10), ("0200", 2), ("01041801082a", 6)] {
        assert_eq!(first(&hex(bytes)), (vec![Event::Closed(End::NotConnect(code))], vec![]));
    }
    assert!(matches!(first(b"GET / HTTP/1.1").0[..], [Event::Closed(End::Malformed(_))]));
}

#[test]
fn connects_that_cannot_be_judged_are_refused_with_their_code() {
    for (bytes, code) in [
        ("03020801", 2),
        ("03051a81610801", 2),
        // Two strings, and four.
        ("03081ae2816181620801", 2),
        ("030c1ae481618162816381640801", 2),
        // A keep-alive of 0 s, and one of 1801 s.
        ("03101ae381618162816312c1826b61000801", 3),
        ("03121ae381618162816312c1826b611f890e0801", 3),
        // Another way to prove who one is.
        ("03101ae381618162816312c1826174010801", 2),
        ("030c1ae381618162816310020801", 2),
        ("030d1ae38161816281631281610801", 4),
    ] {
        let (events, sent) = first(&hex(bytes));
        assert_eq!(events, [Event::Closed(End::Refused(Some(code.into())))], "{bytes}");
        assert_eq!(sent, [2, 4, 8, 1, 0x10, code], "{bytes}");
    }
    let (events, sent) = first(&hex("03041b000801"));
    assert_eq!(events, [Event::Closed(End::Refused(Some(4)))]);
    assert_eq!(sent, hex("02021004"));
    for bytes in ["030c1ae381618162816310000801", "030c1ae381618162816310010801"] {
        assert!(matches!(first(&hex(bytes)).0[..], [Event::Connecting(_)]), "{bytes}");
    }
}

#[test]
fn the_first_frame_has_its_own_limit() {
    let config = Config::default().with_lengths_max(30, 300);
    let mut session = Session::server(at(0), config);
    session.handle_input(at(0), &hex(CONNECT));
    assert!(matches!(session.poll_event(), Some(Event::Connecting(_))));
    session.accept(at(0)).unwrap();
    session.handle_input(at(0), &[0x0a, 0xac, 0x02]);
    assert_eq!(session.poll_event(), None);
    session.handle_input(at(0), &[&[0; 300][..], &[0x0a, 0xad, 0x02]].concat());
    let malformed = |event| match event {
        Some(Event::Closed(End::Malformed(error))) => error.kind,
        other => panic!("{other:?}"),
    };
    // The body of zeroes is fields 0 with value 0; the next frame is one byte too long.
    let kind = malformed(session.poll_event());
    assert_eq!(kind, Malformed::BodyLen { len: 301, max: 300 });

    let mut session = Session::server(at(0), Config::default().with_lengths_max(29, 300));
    session.handle_input(at(0), &hex("031e"));
    assert_eq!(malformed(session.poll_event()), Malformed::BodyLen { len: 30, max: 29 });
}

#[test]
fn a_client_has_so_much_time_and_so_many_bytes_before_the_verdict() {
    let mut session = Session::server(at(0), Config::default());
    assert_eq!(session.poll_timeout(), Some(at(10_000)));
    session.handle_input(at(9_999), &hex(CONNECT));
    session.poll_event().unwrap();
    session.handle_input(at(9_999), &[5; 4096]);
    assert_eq!(session.poll_event(), None);
    let mut other = Session::server(at(0), Config::default());
    other.handle_input(at(0), &hex(CONNECT));
    other.poll_event().unwrap();
    other.handle_input(at(0), &[5; 4097]);
    assert_eq!(events(&mut other), [Event::Closed(End::Early)]);
    assert_eq!(other.accept(at(1)), Err(RequestError::Unknown));
    session.handle_timeout(at(10_000));
    assert_eq!(events(&mut session), [Event::Closed(End::TimedOut)]);
}

#[test]
fn a_second_connect_is_refused_and_ends_the_session() {
    let mut session = open_server(Config::default());
    session.handle_input(at(1), &hex(CONNECT));
    assert_eq!(sent(&mut session), hex("020408e78a01"));
    let end = End::Unexpected(MessageType::Connect);
    assert_eq!(events(&mut session), [Event::Closed(end)]);
}

#[test]
fn a_client_takes_anything_but_ok_for_a_refusal() {
    let credentials = pointstream_iotmp::session::Credentials::new("a", "b", "c");
    for (bytes, end) in
        [("0500", End::Unexpected(MessageType::KeepAlive)), ("02020863", End::Refused(None))]
    {
        let mut session =
            Session::client(at(0), Dialect::Iotmp2, &credentials, Config::default()).unwrap();
        session.handle_input(at(1), &hex(bytes));
        assert_eq!(events(&mut session), [Event::Closed(end)]);
    }
}

#[test]
fn a_peer_that_answers_nothing_costs_its_requests_and_frees_their_ids() {
    let config = Config::default().with_requests_max(2, 2);
    let mut session = open_server(config);
    let run = session.run(at(0), PATH, None, None).unwrap();
    let (stream, start) = session.start(at(5), PATH, Feed::Events).unwrap();
    assert_eq!(session.run(at(6), PATH, None, None), Err(RequestError::Busy));
    sent(&mut session);
    session.handle_timeout(at(10_000));
    assert_eq!(events(&mut session), [Event::TimedOut(run)]);
    session.handle_timeout(at(10_005));
    assert_eq!(events(&mut session), [Event::TimedOut(start)]);
    assert_eq!(sent(&mut session), hex("09020802"), "the device may have heard the start");
    // Late answers and values reach nobody.
    session.handle_input(at(10_006), &hex("01020801010208020a0408021801"));
    assert_eq!((events(&mut session), session.discarded()), (vec![], 3));
    assert_eq!(session.send(stream, &1u8), Err(RequestError::Unknown));
}

#[test]
fn requests_and_streams_beyond_the_limits_are_refused() {
    let config = Config::default().with_requests_max(64, 2).with_streams_max(2);
    let mut session = open_server(config);
    for id in 1..=3u8 {
        session.handle_input(at(0), &[6, 5, 8, id, 0x22, 0x81, b'a']);
    }
    let asked = events(&mut session);
    assert_eq!(asked.len(), 2);
    assert_eq!(sent(&mut session), hex("0205080310f703"));
    for event in asked {
        let Event::Asked(Some(reply), _) = event else { panic!("not a request") };
        session.ok(reply, None).unwrap();
    }
    for id in 11..=13u8 {
        session.handle_input(at(0), &[8, 5, 8, id, 0x22, 0x81, b'a']);
        while let Some(Event::Asked(Some(reply), _)) = session.poll_event() {
            session.ok(reply, None).unwrap();
        }
    }
    assert!(sent(&mut session).ends_with(&hex("0205080d10f703")));
    session.start(at(0), PATH, Feed::Events).unwrap();
    session.start(at(0), PATH, Feed::Every(Duration::from_secs(1))).unwrap();
    assert_eq!(session.start(at(0), PATH, Feed::Events).err(), Some(RequestError::Busy));
}

#[test]
fn a_peer_that_does_not_read_is_given_up() {
    let mut session = open_server(Config::default().with_transmit_len_max(10));
    for _ in 0..5 {
        session.handle_input(at(1), &[5, 0]);
    }
    assert_eq!(session.run(at(1), PATH, None, None), Err(RequestError::Backlog));
    assert_eq!(events(&mut session), []);
    session.handle_input(at(1), &[5, 0]);
    assert_eq!(events(&mut session), [Event::Closed(End::Backlog)]);
    assert_eq!(sent(&mut session).len(), 10);
}

#[test]
fn streams_without_an_id_or_a_resource_are_refused() {
    let mut session = open_server(Config::default());
    session.handle_input(at(0), &hex("0803228161"));
    session.handle_input(at(0), &hex("08050800228161"));
    session.handle_input(at(0), &hex("09020800"));
    assert_eq!(
        (events(&mut session), sent(&mut session), session.discarded()),
        (vec![], vec![], 3)
    );
    session.handle_input(at(0), &hex("08020805"));
    assert_eq!(sent(&mut session), hex("02050805109003"));
    session.handle_input(at(0), &hex("06020806"));
    assert_eq!(sent(&mut session), hex("02050806109003"));
}

#[test]
fn both_sides_may_close_a_stream_at_once() {
    let mut session = open_server(Config::default());
    let (stream, _) = session.start(at(0), PATH, Feed::Events).unwrap();
    session.handle_input(at(0), &hex("01020801"));
    events(&mut session);
    session.stop(at(1), stream).unwrap();
    sent(&mut session);
    session.handle_input(at(1), &hex("09020801"));
    assert_eq!(sent(&mut session), hex("01020801"));
    assert_eq!(events(&mut session), []);
    session.handle_input(at(1), &hex("02020801"));
    assert!(matches!(events(&mut session)[..], [Event::Answered(..)]));
    assert_eq!(session.stop(at(1), stream), Err(RequestError::Unknown));
}

#[test]
fn every_prefix_and_flipped_bit_of_a_conversation_leaves_a_session_that_answers() {
    for vector in list(&vectors(FRAMES), "frames").iter().filter(|it| it["dialect"] == "2") {
        let bytes = unhex(&vector["hex"]);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            for mut session in [open_server(Config::default()), open_client(Dialect::Iotmp2)] {
                session.start(at(0), PATH, Feed::Events).unwrap();
                session.handle_input(at(1), &flipped);
                let closed = events(&mut session).iter().any(|it| matches!(it, Event::Closed(_)));
                assert_eq!(closed, !session.is_open());
            }
        }
        for len in 0..bytes.len() {
            let mut session = open_server(Config::default());
            session.handle_input(at(1), &bytes[..len]);
            assert_eq!(events(&mut session), []);
        }
    }
}

proptest! {
    #[test]
    fn any_conversation_keeps_to_its_limits(
        steps in prop::collection::vec(
            (0u8..8, 0u64..4_000, 0u8..6, prop::collection::vec(any::<u8>(), 0..12)), 1..80),
        client: bool,
    ) {
        let config = Config::default().with_requests_max(4, 4).with_streams_max(3);
        let mut session =
            if client { open_client(Dialect::Iotmp2) } else { open_server(config) };
        let (mut now, mut replies, mut streams) = (0, vec![], vec![]);
        let (mut asked, mut told, mut closed) = (0usize, 0usize, 0usize);
        for (what, later, id, bytes) in steps {
            now += later;
            let time = at(now);
            match what {
                0 => asked += usize::from(session.run(time, PATH, None, None).is_ok()),
                1 => if let Ok((stream, _)) = session.start(time, PATH, Feed::Events) {
                    asked += 1;
                    streams.push(stream);
                },
                2 => if let Some(stream) = streams.pop() {
                    asked += usize::from(session.stop(time, stream).is_ok());
                },
                3 => session.handle_input(time, &[6 + id % 4, 5, 8, id, 0x22, 0x81, b'a']),
                4 => session.handle_input(time, &[1 + id % 2, 2, 8, id]),
                5 => if let Some(reply) = replies.pop() {
                    let _ = session.ok(reply, None);
                },
                6 => session.handle_input(time, &[&[10, 4, 8, id, 0x18, 1][..], &[5, 0]].concat()),
                _ if id == 0 => session.handle_input(time, &bytes),
                _ => session.handle_timeout(time),
            }
            for event in events(&mut session) {
                prop_assert_eq!(closed, 0, "nothing comes after the end");
                match event {
                    Event::Asked(Some(reply), _) => replies.push(reply),
                    Event::Answered(..) | Event::TimedOut(_) => told += 1,
                    Event::Data(stream, _) => prop_assert!(stream.opener == Opener::Peer || stream.id > 0),
                    Event::Closed(_) => closed += 1,
                    _ => {}
                }
            }
            prop_assert!(told <= asked);
            prop_assert_eq!(session.poll_timeout().is_none(), closed > 0);
            prop_assert!(session.poll_timeout().is_none_or(|due| due <= time + Duration::from_secs(120)));
            sent(&mut session);
        }
    }
}
