use std::time::Duration;

use super::*;

fn at_secs(secs: u64) -> Instant {
    Instant::from_origin(Duration::from_secs(secs))
}

fn items_with(change: impl FnOnce(&mut ItemOptions)) -> Topic {
    let mut options = ItemOptions::new(".Symbol".parse().unwrap());
    change(&mut options);
    Topic::new(EPOCH, &TopicOptions::items(options), &Limits::default())
}

fn items() -> Topic {
    items_with(|_| ())
}

fn text_of(topic: &mut Topic) -> String {
    body(&topic.snapshot().unwrap())
}

/// Reads all and gives the bodies.
fn read(topic: &mut Topic, cursor: &mut Cursor) -> Vec<String> {
    std::iter::from_fn(|| topic.next(cursor)).map(|event| body(&event)).collect()
}

const AUD: &str = r#"{"Symbol":"AUDUSD","Bid":0.74709,"Mid":0.74713,"Ask":0.74717}"#;
const EUR: &str = r#"{"Symbol":"EURUSD","Bid":1.1,"Mid":1.2,"Ask":1.3}"#;

#[test]
fn the_example_of_the_original_comes_out_member_by_member() {
    let mut topic = topic();
    let publish = |topic: &mut Topic, values: [&str; 6]| {
        let [a, b, c, d, e, f] = values;
        topic.publish(format!(r#"{{"pairs": [{{"Symbol":"AUDUSD", "Bid":{a}, "Mid":{b}, "Ask":{c}}},{{"Symbol":"EURUSD", "Bid":{d}, "Mid":{e}, "Ask":{f}}}]}}"#).as_bytes()).unwrap()
    };
    publish(&mut topic, ["0.74709", "0.74713", "0.74717", "0.74709", "0.74713", "0.74717"]);
    let mut cursor = topic.resume(Mode::Patch, at(1));
    publish(&mut topic, ["0.74710", "0.74712", "0.74716", "0.74708", "0.74714", "0.74718"]);
    assert_eq!(
        read(&mut topic, &mut cursor),
        [
            r#"[{"op":"replace","path":"/pairs/0/Bid","value":0.74710},{"op":"replace","path":"/pairs/0/Mid","value":0.74712},{"op":"replace","path":"/pairs/0/Ask","value":0.74716},{"op":"replace","path":"/pairs/1/Bid","value":0.74708},{"op":"replace","path":"/pairs/1/Mid","value":0.74714},{"op":"replace","path":"/pairs/1/Ask","value":0.74718}]"#
        ]
    );
}

#[test]
fn items_are_kept_in_the_order_of_their_first_publication() {
    let mut topic = items();
    let mut cursor = topic.resume(Mode::Patch, None);
    let published = |topic: &mut Topic, text: String| topic.publish(text.as_bytes()).unwrap();
    assert_eq!(published(&mut topic, format!("[{AUD},{EUR}]")), Some(EventKind::Data));
    assert_eq!(read(&mut topic, &mut cursor), [format!("[{AUD},{EUR}]")]);
    let aud = r#"{"Symbol":"AUDUSD","Ask":0.74720}"#;
    published(&mut topic, format!("[{aud}]"));
    assert_eq!(
        read(&mut topic, &mut cursor),
        [
            r#"[{"op":"replace","path":"/0/Ask","value":0.74720},{"op":"remove","path":"/0/Bid"},{"op":"remove","path":"/0/Mid"}]"#
        ],
        "members that are missing disappear"
    );
    let jpy = r#"{"Symbol":"JPY","Bid":1}"#;
    published(&mut topic, format!("[{jpy}]"));
    assert_eq!(
        read(&mut topic, &mut cursor),
        [format!(r#"[{{"op":"add","path":"/2","value":{jpy}}}]"#)]
    );
    topic.remove_item("AUDUSD").unwrap().unwrap();
    assert_eq!(read(&mut topic, &mut cursor), [r#"[{"op":"remove","path":"/0"}]"#]);
    assert_eq!(topic.remove_item("AUDUSD").unwrap(), None);
    published(&mut topic, format!("[{AUD}]"));
    assert_eq!(text_of(&mut topic), format!("[{EUR},{jpy},{AUD}]"));
    assert_eq!(published(&mut topic, format!("[{AUD}]")), None);
}

#[test]
fn in_merge_mode_what_is_absent_stays() {
    let merge = |update| {
        let mut topic = items_with(|options| options.update = update);
        topic.publish(br#"[{"Symbol":"A","Bid":1,"o":{"x":1}}]"#).unwrap();
        topic.publish(br#"[{"Symbol":"A","Ask":2,"o":{"y":2},"Bid":null}]"#).unwrap();
        text_of(&mut topic)
    };
    assert_eq!(
        merge(UpdateMode::Merge),
        r#"[{"Symbol":"A","Bid":null,"o":{"x":1,"y":2},"Ask":2}]"#
    );
    assert_eq!(
        merge(UpdateMode::MergeNullRemoves),
        r#"[{"Symbol":"A","Ask":2,"o":{"y":2,"x":1}}]"#
    );
    assert_eq!(merge(UpdateMode::Patch), r#"[{"Symbol":"A","Ask":2,"o":{"y":2},"Bid":null}]"#);
}

#[test]
fn one_publication_of_items_is_one_event_and_all_or_nothing() {
    let mut topic = items_with(|options| options.update = UpdateMode::Merge);
    let twice = br#"[{"Symbol":"A","x":1},{"x":9},{"Symbol":"A","y":2},{"Symbol":{}}]"#;
    let published = topic.publish_with(&Publication::new(Payload::Json(twice))).unwrap();
    assert_eq!((published.discarded, published.revision.seq), (2, 1));
    assert_eq!(text_of(&mut topic), r#"[{"Symbol":"A","x":1,"y":2}]"#);
    for bad in ["{}", "[1]", r#"[{"Symbol":"B"},[]]"#, "3", r#"[{"Symbol":"B"},"#] {
        assert!(topic.publish(bad.as_bytes()).is_err(), "{bad}");
    }
    assert_eq!(topic.revision(), at(1));
    let patch = Publication::new(Payload::JsonPatch(b"[]"));
    assert_eq!(topic.publish_with(&patch), Err(Error::WrongKind(TopicKind::Items)));
}

#[test]
fn items_are_taken_up_to_their_greatest_number_and_bytes() {
    let limits = Limits { items_max: 2, document_bytes_max: 40, ..Limits::default() };
    let options = TopicOptions::items(ItemOptions::new(".s".parse().unwrap()));
    let mut topic = Topic::new(EPOCH, &options, &limits);
    assert!(topic.publish(br#"[{"s":1},{"s":2}]"#).is_ok());
    assert_eq!(topic.publish(br#"[{"s":3}]"#), Err(Error::ItemsMax { max: 2 }));
    let pad = |len: usize| format!(r#"[{{"s":1,"p":"{}"}}]"#, "x".repeat(len));
    assert!(topic.publish(pad(16).as_bytes()).is_ok());
    assert_eq!(topic.document_bytes(), 40);
    assert!(topic.publish(pad(17).as_bytes()).is_err());
    assert_eq!(topic.document_bytes(), 40);
}

#[test]
fn patches_are_published_to_the_state_they_are_for() {
    let mut topic = topic();
    let publish = |topic: &mut Topic, payload, if_match| {
        topic.publish_with(&Publication { if_match, ..Publication::new(payload) })
    };
    let patch = Payload::JsonPatch(br#"[{"op":"replace","path":"/n","value":2}]"#);
    assert_eq!(publish(&mut topic, patch, None), Err(Error::NoDocument));
    let refused = publish(&mut topic, Payload::Json(b"1"), at(1));
    assert_eq!(refused, Err(Error::Precondition { current: None }));
    super::publish(&mut topic, 1);
    assert_eq!(publish(&mut topic, patch, at(1)).unwrap().revision, at(2).unwrap());
    let lost = publish(&mut topic, patch, at(1));
    assert_eq!(lost, Err(Error::Precondition { current: at(2) }), "no update is lost");
    let merge = Payload::MergePatch(br#"{"n":7,"name":null}"#);
    publish(&mut topic, merge, at(2)).unwrap();
    assert_eq!(text_of(&mut topic), r#"{"n":7}"#);
    let bad = Payload::JsonPatch(br#"[{"op":"remove","path":"/absent"}]"#);
    assert!(matches!(publish(&mut topic, bad, None), Err(Error::Operation(_))));
    assert_eq!(topic.revision(), at(3));
}

#[test]
fn lines_are_taken_one_after_the_other_or_not_at_all() {
    let mut topic = topic();
    let mut cursor = topic.resume(Mode::Patch, None);
    let lines = format!("{}\n\r\n {}\n", document(1), document(2));
    let published =
        topic.publish_with(&Publication::new(Payload::Lines(lines.as_bytes()))).unwrap();
    assert_eq!(published.revision, at(2).unwrap());
    assert_eq!(drain(&mut topic, &mut cursor), [(EventKind::Data, 2)]);
    let lines = format!("{}\n{{", document(3));
    let refused = topic.publish_with(&Publication::new(Payload::Lines(lines.as_bytes())));
    assert!(matches!(refused, Err(Error::Line { line: 2, .. })));
    assert_eq!(topic.revision(), at(2));

    let mut topic = items();
    let lines = format!("{AUD}\n{EUR}\n");
    topic.publish_with(&Publication::new(Payload::Lines(lines.as_bytes()))).unwrap();
    assert_eq!(text_of(&mut topic), format!("[{AUD},{EUR}]"));
    for bad in ["{\"Symbol\":1},{\"Symbol\":2}", "{\"Symbol\":\"\n\"}", "1"] {
        let refused = topic.publish_with(&Publication::new(Payload::Lines(bad.as_bytes())));
        assert!(refused.is_err(), "{bad}");
    }
    assert_eq!(topic.revision(), at(1));
}

#[test]
fn a_publication_that_is_sent_again_is_taken_once() {
    let limits = Limits { idempotency_keys_max: 2, ..Limits::default() };
    let mut topic = Topic::new(EPOCH, &TopicOptions::text(), &limits);
    let mut publish = |key, text: &str| {
        let payload = Payload::Json(text.as_bytes());
        topic.publish_with(&Publication { idempotency_key: Some(key), ..Publication::new(payload) })
    };
    let first = publish("a", "1").unwrap();
    publish("b", "2").unwrap();
    assert_eq!(publish("a", "1").unwrap(), Published { repeated: true, ..first });
    assert_eq!(publish("a", "2"), Err(Error::IdempotencyKeyReused));
    let long = "x".repeat(256);
    assert_eq!(publish("", "1"), Err(Error::IdempotencyKey { max: 255 }));
    assert_eq!(publish(&long, "1"), Err(Error::IdempotencyKey { max: 255 }));
    assert!(publish(&long[1..], "3").is_ok());
    let again = publish("a", "1").unwrap();
    assert!(!again.repeated, "the oldest key went when there was one too many");
    assert_eq!(again.revision.seq, 4);
}

#[test]
fn a_topic_may_take_nothing_while_nobody_follows_it() {
    let options = TopicOptions { force_publishing: false, ..TopicOptions::text() };
    let mut topic = Topic::new(EPOCH, &options, &Limits::default());
    assert_eq!(topic.publish(b"1"), Err(Error::NoSubscribers));
    let cursor = topic.resume(Mode::Patch, None);
    assert!(topic.publish(b"1").is_ok());
    topic.detach(&cursor);
    assert_eq!(topic.publish(b"2"), Err(Error::NoSubscribers));
}

#[test]
fn a_document_ends_after_its_time_and_comes_again_under_another_epoch() {
    let options = TopicOptions { ttl: Some(Duration::from_secs(10)), ..TopicOptions::text() };
    let mut topic = Topic::new(EPOCH, &options, &Limits::default());
    let mut cursor = topic.resume(Mode::Patch, None);
    publish(&mut topic, 1);
    assert_eq!(read(&mut topic, &mut cursor).len(), 1);
    topic.handle_timeout(at_secs(5));
    publish(&mut topic, 1);
    assert_eq!(topic.poll_timeout(), Some(at_secs(15)), "what is the same is published too");
    topic.handle_timeout(at_secs(14));
    assert_eq!(topic.revision(), at(1));
    topic.handle_timeout(at_secs(15));
    assert_eq!((topic.revision(), topic.poll_timeout()), (None, None));
    assert!(topic.next(&mut cursor).is_none(), "nothing is sent");
    publish(&mut topic, 1);
    let event = topic.next(&mut cursor).unwrap();
    assert_eq!((event.kind(), event.revision().seq), (EventKind::Data, 1));
    assert_ne!(event.revision().epoch, EPOCH);
}

#[test]
fn an_item_ends_after_its_time() {
    let mut topic = items_with(|options| options.ttl = Some(Duration::from_secs(10)));
    let mut cursor = topic.resume(Mode::Patch, None);
    topic.publish(format!("[{AUD},{EUR}]").as_bytes()).unwrap();
    topic.handle_timeout(at_secs(5));
    topic.publish(format!("[{EUR}]").as_bytes()).unwrap();
    read(&mut topic, &mut cursor);
    assert_eq!(topic.poll_timeout(), Some(at_secs(10)));
    topic.handle_timeout(at_secs(10));
    assert_eq!(read(&mut topic, &mut cursor), [r#"[{"op":"remove","path":"/0"}]"#]);
    topic.handle_timeout(at_secs(15));
    assert_eq!(text_of(&mut topic), "[]");
}

#[test]
fn a_fault_is_told_once_and_moves_no_id() {
    let mut topic = topic();
    publish(&mut topic, 1);
    let mut cursor = topic.resume(Mode::Patch, None);
    read(&mut topic, &mut cursor);
    let fault = Fault::new(ErrorCode::Source, "the source answered 503");
    topic.set_fault(Some(fault.clone()));
    publish(&mut topic, 2);
    topic.set_fault(Some(fault.clone()));
    assert_eq!(topic.next(&mut cursor).unwrap().kind(), EventKind::Patch, "changes come first");
    let event = topic.next(&mut cursor).unwrap();
    assert_eq!((event.kind(), event.fault()), (EventKind::Error, Some(&fault)));
    assert!(event.sse().starts_with(b"event: error\ndata: {"), "no id");
    assert_eq!(cursor.revision(), at(2));
    assert!(topic.next(&mut cursor).is_none(), "once");
    let mut late = topic.resume(Mode::Patch, at(2));
    assert_eq!(topic.next(&mut late).unwrap().kind(), EventKind::Error, "who comes is told");
    topic.set_fault(None);
    publish(&mut topic, 3);
    assert_eq!(topic.next(&mut cursor).unwrap().kind(), EventKind::Patch);
    assert!(topic.next(&mut cursor).is_none(), "nobody is told that it has gone");
    let mut late = topic.resume(Mode::Patch, at(3));
    assert!(topic.next(&mut late).is_none());
}

/// Each element's first scalar is its place, which is no identity.
#[test]
fn elements_are_told_apart_by_the_id_that_is_named() {
    let document = |ids: &str| {
        let rows = ids.chars().enumerate();
        let rows =
            rows.map(|(at, id)| json!({"at": at, "id": id, "pad": format!("pad-{id}").repeat(20)}));
        json!({ "rows": rows.collect::<Vec<_>>() })
    };
    let options = TopicOptions::text().with_array_id("/rows/*", "/id").unwrap();
    let patch_of = |options: &TopicOptions| {
        let mut topic = Topic::new(EPOCH, options, &Limits::default());
        topic.publish(document("abcdef").to_string().as_bytes()).unwrap();
        let mut cursor = topic.resume(Mode::Patch, at(1));
        topic.publish(document("xabcdf").to_string().as_bytes()).unwrap();
        body(&topic.next(&mut cursor).unwrap())
    };
    let patch = patch_of(&options);
    assert!(patch.contains("pad-x") && !patch.contains("pad-a"), "{patch}");
    let before = document("abcdef").to_string();
    let limits = pointstream_patch::Limits::default();
    let after = apply(before.as_bytes(), patch.as_bytes(), &limits).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(after.as_bytes()).unwrap(), document("xabcdf"));
    assert!(patch.len() < patch_of(&TopicOptions::text()).len());
    assert!(TopicOptions::text().with_array_id("rows", "/id").is_err());
}
