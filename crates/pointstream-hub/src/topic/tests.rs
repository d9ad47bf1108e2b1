use std::ops::RangeInclusive;

use pointstream_patch::{RowError, apply};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{ErrorCode, ItemOptions, UpdateMode};

mod publishing;
mod views;

const EPOCH: Epoch = Epoch::new(7);

fn topic() -> Topic {
    Topic::new(EPOCH, &TopicOptions::text(), &Limits::default())
}

fn rows() -> Topic {
    Topic::new(EPOCH, &TopicOptions::rows(), &Limits::default())
}

fn at(seq: u64) -> Option<Revision> {
    Some(Revision { epoch: EPOCH, seq })
}

/// A document of some 400 bytes in which one number changes.
fn document(n: u64) -> String {
    format!(r#"{{"n":{n},"name":"{}"}}"#, "x".repeat(400))
}

fn publish(topic: &mut Topic, n: u64) -> Option<EventKind> {
    topic.publish(document(n).as_bytes()).unwrap()
}

fn publish_all(topic: &mut Topic, numbers: RangeInclusive<u64>) {
    for n in numbers {
        publish(topic, n);
    }
}

fn body(event: &Event) -> String {
    String::from_utf8(event.body().to_vec()).unwrap()
}

/// All that the cursor is given, as kinds and sequence numbers.
fn drain(topic: &mut Topic, cursor: &mut Cursor) -> Vec<(EventKind, u64)> {
    std::iter::from_fn(|| topic.next(cursor))
        .map(|event| (event.kind(), event.revision().seq))
        .collect()
}

#[test]
fn the_first_publication_is_a_document_and_the_next_a_patch() {
    let mut topic = topic();
    let mut cursor = topic.resume(Mode::Patch, None);
    assert!(topic.next(&mut cursor).is_none());
    assert_eq!(publish(&mut topic, 1), Some(EventKind::Data));
    assert_eq!(drain(&mut topic, &mut cursor), [(EventKind::Data, 1)]);
    assert_eq!(publish(&mut topic, 2), Some(EventKind::Patch));
    let event = topic.next(&mut cursor).unwrap();
    assert_eq!(body(&event), r#"[{"op":"replace","path":"/n","value":2}]"#);
    assert_eq!(event.revision(), at(2).unwrap());
    assert!(topic.next(&mut cursor).is_none());
}

#[test]
fn what_changes_nothing_is_sent_to_nobody() {
    let mut topic = topic();
    topic.publish(br#"{"a":1,"b":2}"#).unwrap();
    let mut cursor = topic.resume(Mode::Patch, at(1));
    assert_eq!(topic.publish(br#" {"b":2.0, "a":1e0} "#).unwrap(), None);
    assert_eq!(topic.revision(), at(1));
    assert!(topic.next(&mut cursor).is_none());
    assert_eq!(topic.stats().unchanged, 1);
}

#[test]
fn subscribers_share_the_bytes_of_an_event() {
    let mut topic = topic();
    publish(&mut topic, 1);
    let (mut a, mut b) = (topic.resume(Mode::Patch, None), topic.resume(Mode::Patch, None));
    let mut same = |topic: &mut Topic| {
        let (left, right) = (topic.next(&mut a).unwrap(), topic.next(&mut b).unwrap());
        assert_eq!(left.sse().as_ptr(), right.sse().as_ptr());
    };
    same(&mut topic);
    publish(&mut topic, 2);
    same(&mut topic);
}

#[test]
fn a_replacement_reaches_all_as_a_document_and_is_no_conflation() {
    let mut topic = topic();
    publish(&mut topic, 1);
    let mut cursor = topic.resume(Mode::Patch, at(1));
    assert_eq!(topic.publish(b"[1,2,3]").unwrap(), Some(EventKind::Data));
    assert_eq!(drain(&mut topic, &mut cursor), [(EventKind::Data, 2)]);
    assert_eq!(topic.stats().conflations, 0);
}

#[test]
fn what_is_refused_changes_nothing() {
    let mut topic = topic();
    publish(&mut topic, 1);
    let text = topic.snapshot().unwrap();
    for bad in ["", "{", "[1] 2", r#"{"a":1,"a":2}"#, "\u{feff}1", "[\"\u{1}\"]"] {
        assert!(matches!(topic.publish(bad.as_bytes()), Err(Error::NotJson(_))), "{bad}");
    }
    let deep = "[".repeat(129) + &"]".repeat(129);
    assert!(matches!(topic.publish(deep.as_bytes()), Err(Error::NotJson(_))));
    assert!(topic.edit(|_| ()).is_err());
    assert!(rows().publish(b"{}").is_err());
    assert_eq!(topic.revision(), at(1));
    assert_eq!(topic.snapshot().unwrap().sse(), text.sse());
}

#[test]
fn a_document_is_taken_up_to_its_greatest_length() {
    let limits = Limits { document_bytes_max: 10, ..Limits::default() };
    let mut topic = Topic::new(EPOCH, &TopicOptions::text(), &limits);
    assert!(topic.publish(br#""12345678""#).is_ok());
    let refused = topic.publish(br#""123456789""#);
    assert_eq!(refused, Err(Error::DocumentTooLarge { len: 11, max: 10 }));

    let mut topic = Topic::new(EPOCH, &TopicOptions::rows(), &limits);
    let key = topic.edit(|rows| rows.insert("a", "1")).unwrap().0.unwrap();
    assert_eq!(topic.edit(|rows| rows.set(key, "1234")).unwrap().0, Ok(true));
    assert_eq!(topic.document_bytes(), 10);
    let (refused, event) = topic.edit(|rows| rows.set(key, "12345")).unwrap();
    assert_eq!((refused, event), (Err(RowError::Full), None));
    assert_eq!(topic.document_bytes(), 10);
}

#[test]
fn all_edits_of_a_batch_are_one_event() {
    let mut topic = rows();
    let mut cursor = topic.resume(Mode::Patch, None);
    let insert = |rows: &mut Edit<'_>| {
        ["a", "b", "c"].map(|key| rows.insert(key, &format!("\"{}\"", "x".repeat(99))).unwrap())
    };
    let (keys, event) = topic.edit(insert).unwrap();
    assert_eq!(event, Some(EventKind::Data));
    assert_eq!(drain(&mut topic, &mut cursor), [(EventKind::Data, 1)]);
    let edit = |rows: &mut Edit<'_>| {
        rows.set(keys[0], "1").unwrap();
        rows.remove(keys[1]);
    };
    assert_eq!(topic.edit(edit).unwrap().1, Some(EventKind::Patch));
    let event = topic.next(&mut cursor).unwrap();
    assert_eq!(
        body(&event),
        r#"[{"op":"remove","path":"/b"},{"op":"replace","path":"/a","value":1}]"#
    );
    assert!(topic.next(&mut cursor).is_none());
    assert_eq!(topic.edit(|rows| rows.set(keys[0], "1.0")).unwrap(), (Ok(false), None));
}

#[test]
fn the_first_edit_gives_a_topic_of_rows_its_document() {
    let mut topic = rows();
    assert!(topic.snapshot().is_none());
    assert_eq!(topic.edit(|_| ()).unwrap().1, Some(EventKind::Data));
    assert_eq!(body(&topic.snapshot().unwrap()), "{}");
    assert_eq!(topic.edit(|_| ()).unwrap().1, None);
}

#[test]
fn a_subscriber_goes_on_from_the_revision_it_has() {
    let mut topic = topic();
    publish_all(&mut topic, 1..=5);
    let mut resumed = |mode, last| {
        let mut cursor = topic.resume(mode, last);
        drain(&mut topic, &mut cursor)
    };
    let (data, patch) = (EventKind::Data, EventKind::Patch);
    assert_eq!(resumed(Mode::Patch, None), [(data, 5)]);
    let other = Some(Revision { epoch: Epoch::new(8), seq: 5 });
    assert_eq!(resumed(Mode::Patch, other), [(data, 5)], "another epoch");
    assert_eq!(resumed(Mode::Patch, at(5)), [], "nothing missed");
    assert_eq!(resumed(Mode::Patch, at(3)), [(patch, 4), (patch, 5)]);
    assert_eq!(resumed(Mode::Patch, at(1)), [(patch, 2), (patch, 3), (patch, 4), (patch, 5)]);
    assert_eq!(resumed(Mode::Patch, at(0)), [(data, 5)], "before the ring");
    assert_eq!(resumed(Mode::Patch, at(6)), [(data, 5)], "from the future");
    assert_eq!(resumed(Mode::Patch, at(u64::MAX)), [(data, 5)]);
    assert_eq!(resumed(Mode::Snapshot, at(5)), []);
    assert_eq!(resumed(Mode::Snapshot, at(4)), [(data, 5)]);
    let stats = topic.stats();
    assert_eq!((stats.resumes_hit, stats.resumes_missed, stats.conflations), (4, 5, 0));
}

#[test]
fn a_resume_that_costs_more_than_the_document_gets_the_document() {
    let mut topic = topic();
    publish_all(&mut topic, 1..=12);
    let each = r#"[{"op":"replace","path":"/n","value":12}]"#.len();
    let affordable = (topic.document_bytes() / each) as u64;
    assert!(affordable < 11, "the ring reaches back further than that");
    let mut cursor = topic.resume(Mode::Patch, at(12 - affordable));
    assert_eq!(drain(&mut topic, &mut cursor).len(), affordable as usize);
    let mut cursor = topic.resume(Mode::Patch, at(12 - affordable - 1));
    assert_eq!(drain(&mut topic, &mut cursor), [(EventKind::Data, 12)]);
}

#[test]
fn one_that_lags_reads_on_in_the_ring_and_beyond_it_gets_the_document() {
    let limits = Limits { ring_events_max: 4, ..Limits::default() };
    let mut topic = Topic::new(EPOCH, &TopicOptions::text(), &limits);
    publish(&mut topic, 1);
    let (mut slow, mut slower) =
        (topic.resume(Mode::Patch, at(1)), topic.resume(Mode::Patch, at(1)));
    publish_all(&mut topic, 2..=5);
    let read: Vec<_> = drain(&mut topic, &mut slow).into_iter().map(|(_, seq)| seq).collect();
    assert_eq!(read, [2, 3, 4, 5], "four behind, four kept");
    publish(&mut topic, 6);
    assert_eq!(drain(&mut topic, &mut slower), [(EventKind::Data, 6)]);
    assert_eq!(drain(&mut topic, &mut slow), [(EventKind::Patch, 6)]);
    assert_eq!((topic.stats().conflations, topic.stats().skipped), (1, 4));
}

#[test]
fn the_ring_holds_no_more_than_four_documents() {
    let mut topic = topic();
    for n in 0..200 {
        topic.publish(format!(r#"["{}",{n}]"#, n.to_string().repeat(200)).as_bytes()).unwrap();
        assert!(topic.ring_bytes() <= (4 * topic.document_bytes()).max(4_096));
    }
}

#[test]
fn in_snapshot_mode_each_change_is_the_document() {
    let mut topic = topic();
    let mut cursor = topic.resume(Mode::Snapshot, None);
    publish(&mut topic, 1);
    assert_eq!(drain(&mut topic, &mut cursor), [(EventKind::Data, 1)]);
    publish(&mut topic, 2);
    assert_eq!(drain(&mut topic, &mut cursor), [(EventKind::Data, 2)]);
    publish(&mut topic, 3);
    publish(&mut topic, 4);
    assert_eq!(drain(&mut topic, &mut cursor), [(EventKind::Data, 4)]);
    assert_eq!((topic.stats().conflations, topic.stats().skipped), (1, 1));
}

#[test]
fn the_document_is_encoded_once_a_revision() {
    let mut topic = topic();
    publish(&mut topic, 1);
    let pointer = |topic: &mut Topic| topic.snapshot().unwrap().sse().as_ptr();
    let first = topic.snapshot().unwrap();
    assert_eq!(pointer(&mut topic), first.sse().as_ptr());
    publish(&mut topic, 2);
    assert_ne!(topic.snapshot().unwrap().sse(), first.sse());
}

#[test]
fn bytes_are_counted_for_documents_and_for_events() {
    let mut topic = topic();
    let mut cursor = topic.resume(Mode::Patch, None);
    let mut delivered = 0;
    for n in 1..=3 {
        publish(&mut topic, n);
        delivered += topic.next(&mut cursor).unwrap().sse().len() as u64;
    }
    let document = document(1).len() as u64;
    let patch = r#"[{"op":"replace","path":"/n","value":1}]"#.len() as u64;
    let expected = Stats {
        publications: 3,
        patches: 2,
        replacements: 1,
        document_bytes: 3 * document,
        event_bytes: document + 2 * patch,
        delivered: 3,
        delivered_bytes: delivered,
        ..Stats::default()
    };
    assert_eq!(topic.stats(), expected);
}

/// A hundred quotes of which ten change their three prices: what the patches take of the documents.
#[test]
fn a_tenth_of_changes_takes_a_fifth_of_the_bytes() {
    let mut topic = topic();
    let mut seed = Seed::new(11);
    let mut prices = vec![[74_709_u64; 3]; 100];
    let mut cursor = topic.resume(Mode::Patch, None);
    let (mut documents, mut wire) = (0, 0);
    for round in 0..50 {
        for _ in 0..10 {
            let row = (seed.next_u64() % 100) as usize;
            prices[row] = prices[row].map(|price| price + seed.next_u64() % 9);
        }
        let rows: Vec<String> = (0..)
            .zip(&prices)
            .map(|(n, [bid, mid, ask])| {
                format!(r#"{{"Symbol":"PAIR{n:03}","Bid":0.{bid},"Mid":0.{mid},"Ask":0.{ask}}}"#)
            })
            .collect();
        let text = format!("[{}]", rows.join(","));
        topic.publish(text.as_bytes()).unwrap();
        let sent: usize =
            std::iter::from_fn(|| topic.next(&mut cursor)).map(|it| it.sse().len()).sum();
        if round > 0 {
            documents += text.len();
            wire += sent;
        }
    }
    assert!(wire * 100 <= documents * 21, "{wire} of {documents} bytes");
}

/// A client in the sense of RFC 6902 and of the Server-Sent Events: a document and the last id.
#[derive(Debug)]
struct Client {
    mode: Mode,
    cursor: Option<Cursor>,
    document: Option<String>,
    last: Option<Revision>,
}

impl Client {
    /// Takes at most `count` events; the `lost` last ones are cut off on the way, as by a
    /// connection that breaks within them.
    fn read(&mut self, topic: &mut Topic, count: usize, lost: bool) {
        let cursor = self.cursor.get_or_insert_with(|| topic.resume(self.mode, self.last));
        let mut events: Vec<Event> =
            std::iter::from_fn(|| topic.next(cursor)).take(count).collect();
        if lost {
            events.pop();
            self.cursor = None;
        }
        for event in events {
            let body = body(&event);
            self.document = Some(match event.kind() {
                EventKind::Data => body,
                EventKind::Error | EventKind::Monitor => continue,
                EventKind::Patch => {
                    assert_eq!(self.mode, Mode::Patch);
                    assert_eq!(self.last.unwrap().seq + 1, event.revision().seq);
                    let before = self.document.take().unwrap();
                    let limits = pointstream_patch::Limits::default();
                    apply(before.as_bytes(), body.as_bytes(), &limits).unwrap()
                }
            });
            self.last = Some(event.revision());
        }
    }
}

#[derive(Clone, Debug)]
enum Op {
    Publish(Value),
    SetRow(u8, u16),
    RemoveRow(u8),
    Read { client: usize, count: usize, lost: bool },
    Disconnect(usize),
    Restart,
}

fn documents() -> impl Strategy<Value = Value> {
    let fields = prop::collection::btree_map("[a-d]", 0_u8..4, 0..5);
    let list = prop::collection::vec(0_u8..4, 0..6);
    (fields, list, "[é\n x]{0,3}").prop_map(|(fields, list, text)| {
        json!({"fields": fields, "list": list, "text": text, "pad": "p".repeat(60)})
    })
}

fn ops(publish: impl Strategy<Value = Op> + 'static) -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        6 => publish,
        4 => (0..CLIENTS, 0..6_usize, prop::bool::weighted(0.2))
            .prop_map(|(client, count, lost)| Op::Read { client, count, lost }),
        1 => (0..CLIENTS).prop_map(Op::Disconnect),
        1 => Just(Op::Restart),
    ];
    prop::collection::vec(op, 1..80)
}

const CLIENTS: usize = 4;

/// Runs the operations, lets all clients catch up and compares.
fn check(options: &TopicOptions, ring_events_max: usize, ops: Vec<Op>) {
    let limits = Limits { ring_events_max, ..Limits::default() };
    let mut epoch = 0;
    let mut topic = Topic::new(Epoch::new(epoch), options, &limits);
    let mut clients: [Client; CLIENTS] = std::array::from_fn(|n| Client {
        mode: if n == 0 { Mode::Snapshot } else { Mode::Patch },
        cursor: None,
        document: None,
        last: None,
    });
    for op in ops {
        match op {
            Op::Publish(document) => {
                topic.publish(document.to_string().as_bytes()).unwrap();
            }
            Op::SetRow(row, value) => {
                let (key, value) = (format!("row/{row}~é"), value.to_string());
                let edit = |rows: &mut Edit<'_>| match rows.find(&key) {
                    Some(row) => drop(rows.set(row, &value).unwrap()),
                    None => drop(rows.insert(&key, &value).unwrap()),
                };
                topic.edit(edit).unwrap();
            }
            Op::RemoveRow(row) => {
                let key = format!("row/{row}~é");
                topic.edit(|rows| rows.find(&key).map(|row| rows.remove(row))).unwrap();
            }
            Op::Read { client, count, lost } => clients[client].read(&mut topic, count, lost),
            Op::Disconnect(client) => clients[client].cursor = None,
            Op::Restart => {
                epoch += 1;
                topic = Topic::new(Epoch::new(epoch), options, &limits);
                clients.iter_mut().for_each(|client| client.cursor = None);
            }
        }
    }
    let Some(expected) = topic.snapshot() else { return };
    let expected: Value = serde_json::from_slice(&expected.body()).unwrap();
    for client in &mut clients {
        client.read(&mut topic, usize::MAX, false);
        let document: Value = serde_json::from_str(client.document.as_deref().unwrap()).unwrap();
        assert_eq!(document, expected);
        assert_eq!(client.last, topic.revision());
    }
}

proptest! {
    #[test]
    fn every_client_of_texts_ends_with_the_topics_document(
        ring in 0_usize..6,
        ops in ops(documents().prop_map(Op::Publish)),
    ) {
        check(&TopicOptions::text(), ring, ops);
    }

    #[test]
    fn every_client_of_rows_ends_with_the_topics_document(
        ring in 0_usize..6,
        ops in ops(prop_oneof![
            3 => (0_u8..6, 0_u16..3).prop_map(|(row, value)| Op::SetRow(row, value)),
            1 => (0_u8..6).prop_map(Op::RemoveRow),
        ]),
    ) {
        check(&TopicOptions::rows(), ring, ops);
    }
}
