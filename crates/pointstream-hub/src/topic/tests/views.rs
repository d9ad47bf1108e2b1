use std::time::Duration;

use super::*;

fn at_secs(secs: f64) -> Instant {
    Instant::from_origin(Duration::from_secs_f64(secs))
}

fn attach(topic: &mut Topic, view: ViewSpec) -> Cursor {
    try_attach(topic, view).unwrap()
}

fn try_attach(topic: &mut Topic, view: ViewSpec) -> Result<Cursor, Error> {
    topic.attach(&Subscribe { view, ..Subscribe::default() })
}

fn whole() -> ViewSpec {
    ViewSpec::default()
}

/// Reads all and gives the bodies.
fn read(topic: &mut Topic, cursor: &mut Cursor) -> Vec<String> {
    std::iter::from_fn(|| topic.next(cursor)).map(|event| body(&event)).collect()
}

fn quotes() -> Topic {
    let items = ItemOptions::new(".s".parse().unwrap());
    Topic::new(EPOCH, &TopicOptions::items(items), &Limits::default())
}

#[test]
fn a_filter_numbers_the_items_for_itself() {
    let mut topic = quotes();
    topic.publish(br#"[{"s":"A","v":1},{"s":"B","v":1},{"s":"C","v":1}]"#).unwrap();
    let filter = whole().filter(["C", "B", "Z"]).unwrap();
    let mut cursor = attach(&mut topic, filter);
    assert_eq!(read(&mut topic, &mut cursor), [r#"[{"s":"B","v":1},{"s":"C","v":1}]"#]);
    topic.publish(br#"[{"s":"A","v":2}]"#).unwrap();
    assert_eq!(topic.take_changed().last(), Some(&WHOLE), "nobody else is woken");
    assert!(read(&mut topic, &mut cursor).is_empty(), "it does not concern the view");
    topic.publish(br#"[{"s":"C","v":2},{"s":"Z","v":7}]"#).unwrap();
    assert_eq!(
        read(&mut topic, &mut cursor),
        [
            r#"[{"op":"replace","path":"/1/v","value":2},{"op":"add","path":"/2","value":{"s":"Z","v":7}}]"#
        ]
    );
    topic.remove_item("B").unwrap();
    assert_eq!(read(&mut topic, &mut cursor), [r#"[{"op":"remove","path":"/0"}]"#]);
    let mut other = attach(&mut topic, whole().filter(["nothing"]).unwrap());
    assert_eq!(read(&mut topic, &mut other), ["[]"]);
}

#[test]
fn a_filter_needs_items() {
    let refused = try_attach(&mut topic(), whole().filter(["A"]).unwrap());
    assert_eq!(refused.map(|_| ()), Err(Error::NoItems));
}

#[test]
fn equal_wishes_share_one_view_and_its_bytes() {
    let mut topic = topic();
    topic.publish(br#"{"a":{"b":1},"c":2}"#).unwrap();
    let mut cursors: Vec<Cursor> =
        (0..3).map(|_| attach(&mut topic, whole().pointer("/a").unwrap())).collect();
    assert_eq!(topic.views(), 1);
    let pointers: Vec<_> =
        cursors.iter_mut().map(|cursor| topic.next(cursor).unwrap().sse().as_ptr()).collect();
    assert!(pointers.iter().all(|pointer| *pointer == pointers[0]));
    let mut other = attach(&mut topic, whole());
    assert_eq!(topic.views(), 1, "the whole is there always");
    assert_eq!(read(&mut topic, &mut other), [r#"{"a":{"b":1},"c":2}"#]);
}

#[test]
fn a_part_changes_only_with_what_is_in_it() {
    let mut topic = topic();
    let document =
        |a: u32, c: u32| format!(r#"{{"a":{{"b":{a},"t":"{}"}},"c":{c}}}"#, "x".repeat(99));
    topic.publish(document(1, 1).as_bytes()).unwrap();
    let mut cursor = attach(&mut topic, whole().pointer("/a/b").unwrap());
    let mut absent = attach(&mut topic, whole().pointer("/d").unwrap());
    assert_eq!(read(&mut topic, &mut cursor), ["1"]);
    assert_eq!(read(&mut topic, &mut absent), ["null"]);
    topic.publish(document(1, 2).as_bytes()).unwrap();
    assert!(read(&mut topic, &mut cursor).is_empty());
    topic.publish(document(2, 2).as_bytes()).unwrap();
    assert_eq!(read(&mut topic, &mut cursor), ["2"]);
    topic.publish(b"[7]").unwrap();
    assert_eq!(read(&mut topic, &mut cursor), ["null"]);
}

#[test]
fn fields_are_those_of_the_object_or_of_each_element() {
    let mut topic = quotes();
    topic.publish(br#"[{"s":"A","v":1,"w":[1]},{"s":"B","w":2}]"#).unwrap();
    let mut cursor = attach(&mut topic, whole().fields(["v", "s"]).unwrap());
    assert_eq!(read(&mut topic, &mut cursor), [r#"[{"s":"A","v":1},{"s":"B"}]"#]);
    topic.publish(br#"[{"s":"B","w":3}]"#).unwrap();
    assert!(read(&mut topic, &mut cursor).is_empty());
    topic.publish(br#"[{"s":"B","v":3}]"#).unwrap();
    assert_eq!(read(&mut topic, &mut cursor), [r#"[{"op":"add","path":"/1/v","value":3}]"#]);
    let spec = whole().pointer("/1").unwrap().fields(["v"]).unwrap();
    let mut cursor = attach(&mut topic, spec);
    assert_eq!(read(&mut topic, &mut cursor), [r#"{"v":3}"#]);
}

#[test]
fn a_rate_folds_what_changes_in_between() {
    let mut topic = topic();
    publish(&mut topic, 1);
    let mut cursor = attach(&mut topic, whole().max_rate(2.0).unwrap());
    assert_eq!(drain(&mut topic, &mut cursor), [(EventKind::Data, 1)]);
    let mut times = Vec::new();
    for step in 0..40_u32 {
        let now = f64::from(step) / 8.0;
        topic.handle_timeout(at_secs(now));
        publish(&mut topic, u64::from(step) + 2);
        if let Some(event) = topic.next(&mut cursor) {
            assert_eq!(event.kind(), EventKind::Patch);
            times.push(now);
        }
        assert!(topic.next(&mut cursor).is_none());
    }
    let gaps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| *gap >= 0.5), "never exceeded: {gaps:?}");
    assert!(times.len() >= 9, "and used: {times:?}");
    let due = topic.poll_timeout().unwrap();
    topic.handle_timeout(due);
    let event = topic.next(&mut cursor).unwrap();
    assert_eq!(body(&event), r#"[{"op":"replace","path":"/n","value":41}]"#, "the newest comes");
    assert_eq!(topic.poll_timeout(), None);
}

#[test]
fn a_deadband_holds_a_number_until_it_has_moved() {
    let mut topic = topic();
    let send = |topic: &mut Topic, temp: &str, n: u32| {
        topic.publish(format!(r#"{{"temp":{temp},"n":{n}}}"#).as_bytes()).unwrap();
    };
    send(&mut topic, "20.0", 1);
    let mut cursor = attach(&mut topic, whole().deadband("/temp", 0.5).unwrap());
    assert_eq!(read(&mut topic, &mut cursor), [r#"{"temp":20.0,"n":1}"#]);
    send(&mut topic, "20.3", 1);
    send(&mut topic, "20.4", 1);
    assert!(read(&mut topic, &mut cursor).is_empty());
    send(&mut topic, "19.6", 2);
    assert_eq!(read(&mut topic, &mut cursor), [r#"[{"op":"replace","path":"/n","value":2}]"#]);
    send(&mut topic, "20.5", 2);
    assert_eq!(
        read(&mut topic, &mut cursor),
        [r#"[{"op":"replace","path":"/temp","value":20.5}]"#]
    );
    send(&mut topic, "null", 2);
    assert_eq!(
        read(&mut topic, &mut cursor),
        [r#"[{"op":"replace","path":"/temp","value":null}]"#]
    );
}

#[test]
fn views_are_kept_for_a_while_and_up_to_their_greatest_number() {
    let limits = Limits { views_max: 2, view_linger: Duration::from_secs(30), ..Limits::default() };
    let mut topic = Topic::new(EPOCH, &TopicOptions::text(), &limits);
    publish(&mut topic, 1);
    let view = |pointer: &str| whole().pointer(pointer).unwrap();
    let mut a = attach(&mut topic, view("/n"));
    let last = topic.next(&mut a).unwrap().revision();
    let b = attach(&mut topic, view("/name"));
    let refused = try_attach(&mut topic, view("/c"));
    assert_eq!(refused.map(|_| ()), Err(Error::ViewsMax { max: 2 }));
    topic.detach(&a);
    topic.handle_timeout(at_secs(29.0));
    assert_eq!(topic.poll_timeout(), Some(at_secs(30.0)));
    let back = Subscribe { view: view("/n"), last: Some(last), ..Subscribe::default() };
    let mut a = topic.attach(&back).unwrap();
    assert!(topic.next(&mut a).is_none(), "a sole reader that comes back goes on");
    let mut other = topic.attach(&Subscribe { view: view("/name"), ..back.clone() }).unwrap();
    assert!(topic.next(&mut other).is_some(), "its revision means nothing to another view");
    topic.detach(&other);
    topic.detach(&a);
    let c = attach(&mut topic, view("/c"));
    assert_eq!(topic.views(), 2, "the idle one went");
    topic.detach(&b);
    topic.detach(&c);
    topic.handle_timeout(at_secs(60.0));
    assert_eq!((topic.views(), topic.poll_timeout()), (0, None));
}

#[test]
fn who_asks_is_told_what_its_document_should_be() {
    let mut topic = topic();
    topic.publish(br#"{"b":1.0,"a":[2]}"#).unwrap();
    let wanted = Subscribe { verify: true, ..Subscribe::default() };
    let mut cursor = topic.attach(&wanted).unwrap();
    let mut plain = topic.resume(Mode::Patch, None);
    let kinds: Vec<_> = std::iter::from_fn(|| topic.next(&mut cursor)).collect();
    assert_eq!(kinds[0].kind(), EventKind::Data);
    let monitor = &kinds[1];
    // SHA-256 of {"a":[2],"b":1}.
    assert_eq!(
        monitor.sse(),
        "event: monitor\ndata: {\"seq\":1,\"hash\":\"HASH\"}\n\n".replace("HASH", HASH).as_bytes()
    );
    assert_eq!((kinds.len(), cursor.revision()), (2, at(1)));
    assert_eq!(drain(&mut topic, &mut plain), [(EventKind::Data, 1)]);
    assert_eq!(topic.poll_timeout(), Some(at_secs(10.0)));
    topic.handle_timeout(at_secs(10.0));
    assert_eq!(topic.next(&mut cursor).unwrap().kind(), EventKind::Monitor);
    topic.handle_timeout(at_secs(20.0));
    topic.handle_timeout(at_secs(30.0));
    topic.publish(br#"{"b":1.0,"a":[3]}"#).unwrap();
    assert_eq!(topic.next(&mut cursor).unwrap().kind(), EventKind::Patch, "changes come first");
    assert_eq!(topic.next(&mut cursor).unwrap().kind(), EventKind::Monitor);
    assert!(topic.next(&mut cursor).is_none(), "and those that were due are one");
    topic.detach(&cursor);
    assert_eq!(topic.poll_timeout(), None);
}

#[test]
fn a_topic_may_be_sent_in_one_mode_only() {
    let options = TopicOptions { only_mode: Some(Mode::Snapshot), ..TopicOptions::text() };
    let mut topic = Topic::new(EPOCH, &options, &Limits::default());
    assert_eq!(try_attach(&mut topic, whole()).map(|_| ()), Err(Error::ModeRefused));
    assert!(topic.attach(&Subscribe::new(Mode::Snapshot, None)).is_ok());
}

const HASH: &str = "63c9663de90ee828bbda6cd9acf02d0c653986c1ec25aa239920641edc9a1de5";
