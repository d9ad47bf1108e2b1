//! Conversations, most of them captured from the stock Linux client of 2026.

use core::time::Duration;

use pointstream_iotmp::session::{
    Answer, Ask, Config, Credentials, End, Event, Feed, Opener, Refusal, RequestError, Session,
    Target,
};
use pointstream_iotmp::{Dialect, Encode, Payload, Resource, Tree};

use crate::support::{CONNECT, at, events, hex, open_client, open_server, sent};

fn answer(events: Vec<Event>) -> Answer {
    match <[Event; 1]>::try_from(events) {
        Ok([Event::Answered(_, answer)]) => answer,
        other => panic!("not one answer: {other:?}"),
    }
}

fn tree(payload: &Option<Payload>) -> Tree {
    payload.as_ref().map(|payload| Tree::from(payload.value())).unwrap()
}

fn version() -> Tree {
    let number = Tree::Unsigned;
    [("major", number(1)), ("minor", number(3)), ("patch", number(0)), ("version", "1.3.0".into())]
        .into()
}

/// A server's session that has used up the ids below `id`, so that it speaks as the capture does.
fn server_at(id: u16) -> Session {
    let mut session = open_server(Config::default().with_requests_max(1, 64));
    for used in 1..id {
        session.describe(at(0), None).unwrap();
        let mut ok = vec![0x01, if used < 128 { 2 } else { 3 }, 0x08];
        pointstream_iotmp::varint::encode(u64::from(used), &mut ok);
        session.handle_input(at(0), &ok);
        answer(events(&mut session));
    }
    sent(&mut session);
    session
}

#[test]
fn a_server_holds_the_captured_conversation() {
    let mut session = server_at(11);
    session.describe(at(1), None).unwrap();
    assert_eq!(sent(&mut session), hex("0702080b"));
    session
        .handle_input(at(2), &hex("010d1ac187 76657273696f6e c0 080b".replace(' ', "").as_str()));
    assert!(answer(events(&mut session)).ok);

    session.describe(at(3), Some("version")).unwrap();
    assert_eq!(sent(&mut session), hex("070b080c228776657273696f6e"));
    session.handle_input(at(4), &hex("012c1ac1836f7574c4856d616a6f7201856d696e6f7203857061746368008776657273696f6e85312e332e30080c"));
    assert_eq!(tree(&answer(events(&mut session)).payload), [("out", version())].into());

    session.describe(at(5), Some("nope")).unwrap();
    assert_eq!(sent(&mut session), hex("0708080d22846e6f7065"));
    session.handle_input(at(6), &hex("0202080d"));
    assert!(!answer(events(&mut session)).ok);

    session.run(at(7), Resource::Path("version"), None, None).unwrap();
    assert_eq!(sent(&mut session), hex("060b080e228776657273696f6e"));
    session.handle_input(
        at(8),
        &hex("01271ac4856d616a6f7201856d696e6f7203857061746368008776657273696f6e85312e332e30080e"),
    );
    assert_eq!(tree(&answer(events(&mut session)).payload), version());

    let input = Tree::from([("cmd", "echo hi".into()), ("timeout", Tree::Unsigned(5))]);
    session.run(at(9), Resource::Path("cmd"), None, Some(&input)).unwrap();
    assert_eq!(
        sent(&mut session),
        hex("061e080f1ac283636d64876563686f2068698774696d656f7574052283636d64")
    );
    session.handle_input(
        at(10),
        &hex("01201ac387726574636f6465008673746465727280867374646f75748368690a080f"),
    );
    assert!(answer(events(&mut session)).ok);

    // Nobody asked for this answer, and the client gives it all the same.
    session.notify(Resource::Path("version"), None, None).unwrap();
    assert_eq!(sent(&mut session), hex("0609228776657273696f6e"));
    session.handle_input(
        at(11),
        &hex("01271ac4856d616a6f7201856d696e6f7203857061746368008776657273696f6e85312e332e300800"),
    );
    assert_eq!((events(&mut session), session.discarded()), (vec![], 1));
}

#[test]
fn a_server_streams_as_captured() {
    let mut session = server_at(161);
    let resource = Resource::Path("version");
    let secs = |secs| Feed::Every(Duration::from_secs(secs));
    let (stream, ticket) = session.start(at(1), resource, secs(2)).unwrap();
    assert_eq!(sent(&mut session), hex("081a08a10112c188696e74657276616c1fd00f228776657273696f6e"));
    let data =
        "0a2808a1011ac4856d616a6f7201856d696e6f7203857061746368008776657273696f6e85312e332e30";
    session.handle_input(at(2), &hex(&format!("010308a101{data}")));
    let [Event::Answered(answered, answer), Event::Data(of, value)] = &events(&mut session)[..]
    else {
        panic!("an answer and a value");
    };
    assert_eq!((*answered, answer.ok, *of), (ticket, true, stream));
    assert_eq!(Tree::from(value.payload.value()), version());

    session.restart(at(3), stream, resource, secs(1)).unwrap();
    assert_eq!(sent(&mut session), hex("081a08a10112c188696e74657276616c1fe807228776657273696f6e"));
    session.handle_input(at(4), &hex(&format!("010308a101{data}")));
    assert_eq!(events(&mut session).len(), 2);

    session.stop(at(5), stream).unwrap();
    assert_eq!(sent(&mut session), hex("090308a101"));
    session.handle_input(at(6), &hex(&format!("{data}010308a101{data}")));
    assert!(answer_of(&events(&mut session)));
    assert_eq!(session.discarded(), 2, "values of a closed stream");

    let (stream, _) = session.start(at(7), resource, Feed::Events).unwrap();
    assert_eq!(sent(&mut session), hex("080c08a201228776657273696f6e"));
    session.handle_input(at(8), &hex("010308a201"));
    session.send(stream, &Tree::from([("x", Tree::Unsigned(1))])).unwrap();
    assert_eq!(sent(&mut session), hex("0a0808a2011ac1817801"));

    session.start(at(9), Resource::Path("nope"), Feed::Events).unwrap();
    assert_eq!(sent(&mut session), hex("080908a30122846e6f7065"));
    session.handle_input(at(10), &hex("020308a301"));
    session.handle_input(at(10), &hex("0a0508a3011801"));
    events(&mut session);
    assert_eq!(session.discarded(), 3, "a stream that was refused never existed");
}

fn answer_of(events: &[Event]) -> bool {
    matches!(events, [Event::Answered(_, answer)] if answer.ok)
}

#[test]
fn a_client_holds_the_captured_conversation() {
    let mut session = open_client(Dialect::Iotmp2);
    let asked = |session: &mut Session, bytes: &str| {
        session.handle_input(at(1), &hex(bytes));
        match <[Event; 1]>::try_from(events(session)) {
            Ok([Event::Asked(reply, ask)]) => (reply, ask),
            other => panic!("not one request: {other:?}"),
        }
    };
    let path = |path: &str| Target::Path(path.into());

    let (reply, ask) = asked(&mut session, "0702080b");
    assert_eq!(ask, Ask::Describe { resource: None, parameters: None });
    let kinds = Tree::from([("version", [("fn", Tree::Unsigned(3))].into())]);
    session.ok(reply.unwrap(), Some(&kinds)).unwrap();
    assert_eq!(sent(&mut session), hex("0111080b1ac18776657273696f6ec182666e03"));

    let (reply, ask) = asked(&mut session, "060908ac0222846e6f7065");
    assert!(matches!(ask, Ask::Run { resource, .. } if resource == path("nope")));
    session.error(reply.unwrap(), 404, None).unwrap();
    assert_eq!(sent(&mut session), hex("020608ac02109403"));
    assert_eq!(session.ok(reply.unwrap(), None), Err(RequestError::Unknown), "answered once");

    let (reply, _) = asked(&mut session, "0609228776657273696f6e");
    assert_eq!(reply, None, "no id, no answer");

    let (reply, ask) =
        asked(&mut session, "081a08a10112c188696e74657276616c1fd00f228776657273696f6e");
    let Ask::Start { stream, interval, again, .. } = ask else { panic!("not a stream") };
    assert_eq!((interval, again), (Some(Duration::from_secs(2)), false));
    assert_eq!(session.send(stream, &1u8), Err(RequestError::Unknown), "not open yet");
    session.ok(reply.unwrap(), None).unwrap();
    session.send(stream, &version()).unwrap();
    assert_eq!(
        sent(&mut session),
        hex(
            "010308a1010a2808a1011ac4856d616a6f7201856d696e6f7203857061746368008776657273696f6e85312e332e30"
        )
    );

    // The same id again changes the stream; so does the id without the resource.
    let (reply, ask) = asked(&mut session, "080608a101118827".replace("118827", "108827").as_str());
    let Ask::Start { resource, interval, again, .. } = ask else { panic!("not a stream") };
    assert_eq!((resource, interval, again), (None, Some(Duration::from_secs(5)), true));
    session.error(reply.unwrap(), 400, None).unwrap();
    sent(&mut session);
    session.send(stream, &1u8).unwrap();
    sent(&mut session);

    session.handle_input(at(2), &hex("0a0808a2011ac1817801"));
    assert_eq!(events(&mut session), [], "a value of no stream");
    session.handle_input(at(2), &hex("0a0808a1011ac1817801"));
    assert!(matches!(&events(&mut session)[..], [Event::Data(of, _)] if *of == stream));

    session.handle_input(at(3), &hex("090308e707"));
    assert_eq!(sent(&mut session), hex("020608e707109403"), "no such stream");
    session.handle_input(at(3), &hex("090308a101"));
    assert_eq!(sent(&mut session), hex("010308a101"));
    assert_eq!(events(&mut session), [Event::Stopped(stream)]);

    session.handle_input(at(4), &hex("0500"));
    session.handle_input(at(4), &hex("0102084d"));
    assert_eq!((sent(&mut session), events(&mut session)), (vec![], vec![]));
    session.handle_input(at(5), &hex("04020814"));
    assert_eq!(sent(&mut session), hex("01020814"));
    assert_eq!(events(&mut session), [Event::Closed(End::Disconnected)]);
}

#[test]
fn a_client_presents_itself_in_each_dialect() {
    let credentials = Credentials::new("user1", "sensor1", "secret123");
    for (dialect, bytes) in [
        (Dialect::Iotmp2, "031c08011ae38575736572318773656e736f723189736563726574313233"),
        (
            Dialect::Iotmp1,
            "032208011001 19721b4a0575736572314a0773656e736f72314a09736563726574313233",
        ),
        (Dialect::Old, "0120100526721b4a0575736572314a0773656e736f72314a09736563726574313233"),
    ] {
        let client = Session::client(at(0), dialect, &credentials, Config::default());
        assert_eq!(sent(&mut client.unwrap()), hex(&bytes.replace(' ', "")));
    }
    let slow = Config::default().with_keep_alive(Duration::from_secs(300));
    let mut client = Session::client(at(0), Dialect::Iotmp2, &credentials, slow).unwrap();
    let connect = sent(&mut client);
    let mut server = Session::server(at(0), Config::default());
    server.handle_input(at(0), &connect);
    let Some(Event::Connecting(connect)) = server.poll_event() else { panic!("no client") };
    assert_eq!((connect.keep_alive, connect.id_first), (Duration::from_secs(300), true));
    assert_eq!(connect.credentials, credentials);
    assert!(!format!("{credentials:?}").contains("secret123"));
}

#[test]
fn an_old_device_is_run_described_and_streamed() {
    let mut session = Session::server(at(0), Config::default());
    session.handle_input(at(0), &hex("013b10052672364a0c594f55525f555345525f49444a0e594f55525f4445564943455f49444a16594f55525f4445564943455f43524544454e5449414c"));
    let Some(Event::Connecting(connect)) = session.poll_event() else { panic!("no client") };
    assert_eq!(connect.credentials.device, "YOUR_DEVICE_ID");
    session.accept(at(0)).unwrap();
    assert_eq!((sent(&mut session), session.dialect()), (hex("01021001"), Dialect::Old));

    session.describe(at(1), None).unwrap();
    assert_eq!(sent(&mut session), hex("010a08012672054a03617069"));
    session.handle_input(at(2), &hex("011608011001366a0f0373756d6a0902616c3802666e08040200"));
    assert!(answer(events(&mut session)).ok);
    assert_eq!(sent(&mut session), hex("0200"), "the keep-alive came with the answer");

    let feed = Feed::Every(Duration::from_secs(5));
    let (stream, _) = session.start(at(3), Resource::Path("temperature"), feed).unwrap();
    assert_eq!(
        sent(&mut session),
        hex("011808021003 26720d4a0b74656d706572617475726536088827".replace(' ', "").as_str())
    );
    session.handle_input(
        at(4),
        &hex("0104080210010110080210 07366a09036f75741d0000bc41".replace(' ', "").as_str()),
    );
    let [Event::Answered(..), Event::Data(of, data)] = &events(&mut session)[..] else {
        panic!("no value")
    };
    assert_eq!((*of, data.payload.value().as_f64(), data.raised), (stream, Some(23.5), false));
}

#[test]
fn an_old_client_is_described_by_what_it_runs() {
    let mut session = open_client(Dialect::Old);
    session.handle_input(at(1), &hex("010a082a2672054a03617069"));
    let Some(Event::Asked(Some(reply), ask)) = session.poll_event() else { panic!("no request") };
    assert_eq!(ask, Ask::Describe { resource: None, parameters: None });
    session.error(reply, 404, None).unwrap();
}

#[test]
fn an_older_client_gets_its_fields_where_it_looks_for_them() {
    let mut session = Session::server(at(0), Config::default());
    session.handle_input(
        at(0),
        &hex("0322100119721b4a0575736572314a0773656e736f72314a097365637265743132330801"),
    );
    session.poll_event().unwrap();
    session.accept(at(0)).unwrap();
    assert_eq!((sent(&mut session), session.dialect()), (hex("01020801"), Dialect::Iotmp1));
    let feed = Feed::Every(Duration::from_secs(5));
    let (stream, _) = session.start(at(1), Resource::Path("temperature"), feed).unwrap();
    assert_eq!(
        sent(&mut session),
        hex("081f0801116a0c08696e74657276616c088827194a0b74656d7065726174757265")
    );
    session.handle_input(at(2), &hex("010208010a0e0801196a0701741d0000c03f1002"));
    let [Event::Answered(..), Event::Data(of, data)] = &events(&mut session)[..] else {
        panic!("no value")
    };
    assert_eq!((*of, data.parameters.as_ref().unwrap().value().as_u64()), (stream, Some(2)));
}

#[test]
fn both_families_name_a_servers_resource_alike() {
    for bytes in [
        "06161ac18174400000c03f12876275636b65743120050809",
        "06161ac18174400000c03f22876275636b65743110050809",
    ] {
        let mut session = open_server(Config::default());
        session.handle_input(at(1), &hex(bytes));
        let Some(Event::Asked(Some(_), ask)) = session.poll_event() else { panic!("no request") };
        let Ask::Run { resource, parameters, payload } = ask else { panic!("not a run") };
        assert_eq!((resource, tree(&parameters)), (Target::Number(5), "bucket1".into()));
        assert_eq!(tree(&payload), [("t", Tree::Float(1.5))].into());
    }
}

#[test]
fn a_device_subscribes_and_is_fed() {
    let mut session = open_server(Config::default());
    session.handle_input(at(1), &hex("084212c3856576656e74946465766963655f746f7069635f7075626c6973688573636f70658973756273637269626585746f7069638a636f6d6d616e64732f232008080a"));
    let Some(Event::Asked(Some(reply), ask)) = session.poll_event() else { panic!("no request") };
    let Ask::Start { stream, resource, .. } = ask else { panic!("not a stream") };
    assert_eq!((stream.opener, resource), (Opener::Peer, Some(Target::Number(8))));
    session.ok(reply, None).unwrap();
    session.send(stream, &true).unwrap();
    assert_eq!(sent(&mut session), hex("0102080a0a04080a1a61"));
}

#[test]
fn answers_come_in_any_order() {
    let mut session = open_server(Config::default());
    let tickets: Vec<_> =
        (0..5).map(|_| session.run(at(0), Resource::Path("a"), None, None).unwrap()).collect();
    for id in (1..=5).rev() {
        session.handle_input(at(1), &[0x01, 4, 0x08, id, 0x18, id]);
        let Some(Event::Answered(ticket, answer)) = session.poll_event() else { panic!("none") };
        assert_eq!(ticket, tickets[usize::from(id) - 1]);
        assert_eq!(tree(&answer.payload), Tree::Unsigned(id.into()));
    }
}

#[test]
fn what_comes_before_the_verdict_is_kept() {
    let mut session = Session::server(at(0), Config::default());
    session.handle_input(at(0), &hex(&format!("{CONNECT}05")));
    session.handle_input(at(1), &hex("00060908ac02"));
    assert!(matches!(events(&mut session)[..], [Event::Connecting(_)]));
    assert!(sent(&mut session).is_empty(), "nothing is sent before the verdict");
    session.accept(at(2)).unwrap();
    assert_eq!(sent(&mut session), hex("010408e78a010500"));
    session.handle_input(at(3), &hex("22846e6f7065"));
    assert!(matches!(events(&mut session)[..], [Event::Asked(Some(_), _)]));
}

#[test]
fn keep_alives_are_echoed_and_sent_at_fixed_times() {
    let mut server = open_server(Config::default());
    let mut client = open_client(Dialect::Iotmp2);
    assert_eq!(client.poll_timeout(), Some(at(60_000)));
    for minute in 1..5 {
        let now = at(minute * 60_000);
        client.handle_input(now, &hex("0102084d"));
        let beat = sent(&mut client);
        assert_eq!(beat, [5, 0]);
        server.handle_input(now, &beat);
        assert_eq!(sent(&mut server), [5, 0]);
    }
    server.handle_timeout(at(4 * 60_000 + 68_999));
    assert_eq!(events(&mut server), []);
    assert_eq!(server.poll_timeout(), Some(at(4 * 60_000 + 69_000)));
    server.handle_timeout(at(4 * 60_000 + 69_000));
    assert_eq!(events(&mut server), [Event::Closed(End::Silent)]);
    client.handle_timeout(at(6 * 60_000));
    assert_eq!(events(&mut client), [Event::Closed(End::Silent)]);
}

#[test]
fn a_refused_client_hears_why() {
    for (refusal, code) in
        [(Refusal::Credentials, 2), (Refusal::KeepAlive, 3), (Refusal::Encoding, 4)]
    {
        let mut session = Session::server(at(0), Config::default());
        session.handle_input(
            at(0),
            &hex("031c08011ae38575736572318773656e736f723189736563726574313233"),
        );
        session.poll_event().unwrap();
        session.reject(refusal).unwrap();
        assert_eq!(sent(&mut session), [2, 4, 8, 1, 0x10, code]);
        let end = End::Refused(Some(code.into()));
        assert_eq!(events(&mut session), [Event::Closed(end)]);
        let credentials = Credentials::new("a", "b", "c");
        let mut client =
            Session::client(at(0), Dialect::Iotmp2, &credentials, Config::default()).unwrap();
        client.handle_input(at(1), &[2, 4, 8, 1, 0x10, code]);
        assert_eq!(events(&mut client), [Event::Closed(end)]);
    }
}

#[test]
fn a_device_that_takes_our_id_for_its_own_stream_ends_ours() {
    let mut session = open_server(Config::default());
    let (ours, _) = session.start(at(0), Resource::Path("a"), Feed::Events).unwrap();
    session.handle_input(at(1), &hex("01020801"));
    events(&mut session);
    session.handle_input(at(2), &hex("080420080801"));
    let [Event::Lost(gone), Event::Asked(Some(reply), _)] = events(&mut session)[..] else {
        panic!("no collision")
    };
    assert_eq!(gone, ours);
    session.ok(reply, None).unwrap();
    session.handle_input(at(3), &hex("0a0408011807"));
    assert!(
        matches!(&events(&mut session)[..], [Event::Data(of, _)] if of.opener == Opener::Peer && of.id == ours.id)
    );
    let (next, _) = session.start(at(4), Resource::Path("a"), Feed::Events).unwrap();
    assert_eq!(next.id, 2);
}

#[test]
fn leaving_says_so_and_ends() {
    let mut session = open_server(Config::default());
    session.disconnect();
    assert_eq!(sent(&mut session), hex("0400"));
    assert_eq!(events(&mut session), [Event::Closed(End::Left)]);
    session.disconnect();
    session.handle_input(at(1), &hex("0500"));
    assert_eq!((events(&mut session), sent(&mut session)), (vec![], vec![]));
    let one: &dyn Encode = &1u8;
    let run = session.run(at(1), Resource::Path("a"), None, Some(one));
    assert_eq!(run, Err(RequestError::NotOpen));
}
