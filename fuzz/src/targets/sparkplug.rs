use core::time::Duration;

use pointstream_mqtt::sparkplug::{
    DataType, EdgeConfig, EdgeNode, Host, HostConfig, Limits, NodeId, Now, Payload, Quality, Value,
};
use pointstream_time::Instant;

use crate::split;

fn now(millis: u64) -> Now {
    Now { at: Instant::from_origin(Duration::from_millis(millis)), millis }
}

/// A payload: what is read is written, and reads back as the same; values of every type are read or
/// refused.
pub fn sparkplug_payload(data: &[u8]) {
    let limits = Limits::default().with_items_max(5_000);
    let Ok(payload) = Payload::decode(data, limits) else { return };
    let bytes = payload.encode();
    let again = Payload::decode(&bytes, limits).expect("what was read can be written");
    // Compared as bytes, since a number that is none differs from itself.
    assert_eq!(again.encode(), bytes);
    for metric in &payload.metrics {
        for data_type in DataType::ALL {
            let Some(raw) = &metric.value else { continue };
            let Ok(value) = Value::decode(data_type, raw) else { continue };
            let raw = value.encode(data_type).expect("what was understood can be said");
            let same = Value::decode(data_type, &raw).expect("and understood again");
            assert_eq!(format!("{same:?}"), format!("{value:?}"));
        }
    }
}

/// Messages that a stranger chose, to a host and to an edge node, with time passing in between.
pub fn sparkplug_machines(data: &[u8]) {
    const TOPICS: [&str; 8] = [
        "spBv1.0/G/NBIRTH/N",
        "spBv1.0/G/NDATA/N",
        "spBv1.0/G/NDEATH/N",
        "spBv1.0/G/DBIRTH/N/D",
        "spBv1.0/G/DDATA/N/D",
        "spBv1.0/G/DDEATH/N/D",
        "spBv1.0/G/NCMD/N",
        "spBv1.0/STATE/h",
    ];
    let mut config = HostConfig::default();
    (config.id, config.nodes_max, config.metrics_max) = (Some("h".into()), 3, 20);
    let mut host = Host::new(config).expect("an id");
    let id = NodeId::new("G", "N").expect("ids");
    let mut config = EdgeConfig::new(id.clone());
    config.history_max = 5;
    let mut edge = EdgeNode::new(config, 0);
    edge.add(Some("D"), "a", DataType::Int32, None).expect("a metric");
    edge.connect(now(0));
    edge.on_connected();
    host.connect(now(0));
    host.on_connected(now(0));
    host.expect(now(0), &id).expect("room");
    let (mut millis, mut rest) = (0, data);
    while let [choice, wait, len, after @ ..] = rest {
        millis += u64::from(*wait) * 20;
        host.handle_timeout(now(millis));
        let (payload, after) = after.split_at(usize::from(*len).min(after.len()));
        rest = after;
        let topic = TOPICS[usize::from(*choice) % TOPICS.len()];
        // What changes in between is told as history.
        if choice & 0x80 != 0 {
            edge.on_disconnected();
        }
        if choice & 0x40 != 0 {
            edge.connect(now(millis));
            edge.on_connected();
        }
        let _ = host.handle(now(millis), topic, payload);
        let _ = edge.handle(topic, payload);
        let _ = edge.set(Some("D"), "a", Some(&Value::Int(millis as i64)), Quality::Good, millis);
        while host.poll_event().is_some() {}
        while edge.poll_event().is_some() {}
        let mut told = 0;
        while edge.poll_transmit(now(millis)).is_some() {
            told += 1;
            assert!(told < 10, "a node tells without end");
        }
        while host.poll_transmit().is_some() {}
        assert!(host.sources().count() <= 20 + 1);
    }
    let (topic, payload) = split(data);
    let _ = host.handle(now(millis), &String::from_utf8_lossy(topic), payload);
}
