use super::*;
use crate::packet::QoS;
use crate::sparkplug::tests::vectors::bytes;
use crate::sparkplug::{Property, Raw};

fn now(millis: u64) -> Now {
    Now { at: Instant::from_origin(Duration::from_millis(millis)), millis }
}

fn node_id() -> NodeId {
    NodeId::new("G", "N").unwrap()
}

/// A host with a connection.
struct Sim {
    host: Host,
    now: u64,
}

impl Sim {
    fn new() -> Self {
        Self::with(HostConfig::default())
    }

    fn with(config: HostConfig) -> Self {
        let mut host = Host::new(config).unwrap();
        host.connect(now(0));
        host.on_connected(now(0));
        Self { host, now: 0 }
    }

    fn raw(&mut self, topic: &str, payload: &[u8]) -> Result<(), HostError> {
        self.host.handle(now(self.now), topic, payload)
    }

    fn hear(&mut self, topic: &str, payload: &Payload) {
        self.raw(topic, &payload.encode()).unwrap();
    }

    /// What was heard, in short: `B G/N temp=21.5`.
    fn heard(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(event) = self.host.poll_event() {
            lines.push(match event {
                Event::Birth(source, readings) => format!("B {source}{}", all(&readings)),
                Event::Data(source, readings) => format!("D {source}{}", all(&readings)),
                Event::Death(source) => format!("X {source}"),
            });
        }
        lines
    }

    /// To whom requests for births were sent.
    fn asked(&mut self) -> Vec<String> {
        let mut topics = Vec::new();
        while let Some(transmit) = self.host.poll_transmit() {
            let payload = Payload::decode(&transmit.payload, Limits::default()).unwrap();
            assert_eq!(payload.metrics[0].name.as_deref(), Some(REBIRTH));
            assert_eq!(payload.metrics[0].value, Some(Raw::Bool(true)));
            assert_eq!(
                (payload.seq, transmit.qos, transmit.retain),
                (None, QoS::AtMostOnce, false)
            );
            topics.push(transmit.topic);
        }
        topics
    }

    fn run_until(&mut self, millis: u64) {
        while let Some(at) = self.host.poll_timeout()
            && at <= now(millis).at
        {
            self.now = self.now.max(at.since_origin().as_millis() as u64);
            self.host.handle_timeout(now(self.now));
            assert!(self.host.poll_timeout() > Some(at), "a storm at {at:?}");
        }
        self.now = millis;
    }
}

fn all(readings: &[Reading]) -> String {
    let one = |reading: &Reading| match &reading.value {
        Ok(Some(Value::Int(value))) => format!(" {}={value}", reading.name),
        Ok(Some(Value::Float(value))) => format!(" {}={value}", reading.name),
        Ok(Some(Value::Bool(value))) => format!(" {}={value}", reading.name),
        Ok(None) => format!(" {}=null", reading.name),
        other => format!(" {}={other:?}", reading.name),
    };
    readings.iter().map(one).collect()
}

fn metric(name: &str, alias: Option<u64>, value: i64) -> Metric {
    let metric = Metric::new(name, DataType::Int32, Some(&Value::Int(value))).unwrap();
    Metric { alias, ..metric }
}

fn by_alias(alias: u64, value: i64) -> Metric {
    Metric { name: None, datatype: None, ..metric("", Some(alias), value) }
}

fn payload(seq: u64, metrics: Vec<Metric>) -> Payload {
    Payload { timestamp: Some(1), seq: Some(seq), metrics, ..Payload::default() }
}

fn birth(seq: u64, session: i64) -> Payload {
    let bd_seq = Metric::new("bdSeq", DataType::Int64, Some(&Value::Int(session))).unwrap();
    payload(seq, vec![bd_seq, metric("a", Some(1), 10)])
}

fn death(session: i64) -> Payload {
    let bd_seq = Metric::new("bdSeq", DataType::Int64, Some(&Value::Int(session))).unwrap();
    Payload { seq: None, ..payload(0, vec![bd_seq]) }
}

const NCMD: &str = "spBv1.0/G/NCMD/N";
const NBIRTH: &str = "spBv1.0/G/NBIRTH/N";
const NDATA: &str = "spBv1.0/G/NDATA/N";
const NDEATH: &str = "spBv1.0/G/NDEATH/N";
const DBIRTH: &str = "spBv1.0/G/DBIRTH/N/D";
const DDATA: &str = "spBv1.0/G/DDATA/N/D";
const DDEATH: &str = "spBv1.0/G/DDEATH/N/D";

#[test]
fn a_session_of_another_implementation_is_followed_from_birth_to_death() {
    let mut sim = Sim::new();
    for (topic, name) in
        [(NBIRTH, "nbirth"), (DBIRTH, "dbirth"), (DDATA, "ddata"), (DDEATH, "ddeath")]
    {
        sim.raw(topic, &bytes(name)).unwrap();
    }
    assert_eq!(
        sim.heard(),
        [
            "B G/N bdSeq=7 Node Control/Rebirth=false temp=21.5 none=null",
            "B G/N/D speed=-5",
            "D G/N/D speed=-6",
            "X G/N/D",
        ]
    );
    sim.raw(NDEATH, &bytes("ndeath")).unwrap();
    assert_eq!(sim.heard(), ["X G/N"]);
    assert_eq!((sim.asked(), sim.host.sources().count()), (vec![], 0));
}

#[test]
fn data_before_a_birth_ask_for_it_once_in_a_while() {
    let mut sim = Sim::new();
    for seq in 0..5 {
        sim.hear(NDATA, &payload(seq, vec![by_alias(1, 5)]));
    }
    assert_eq!((sim.asked(), sim.heard()), (vec![NCMD.to_owned()], vec![]));
    sim.run_until(9_999);
    assert_eq!(sim.asked(), [""; 0]);
    // No birth came: it is asked again, each time after twice as long, up to five minutes.
    let mut times = Vec::new();
    for second in 10..2_000 {
        sim.run_until(second * 1000);
        times.extend(sim.asked().iter().map(|_| second));
    }
    assert_eq!(times, [10, 30, 70, 150, 310, 610, 910, 1210, 1510, 1810]);
    sim.hear(NBIRTH, &birth(0, 0));
    sim.run_until(5_000_000);
    assert_eq!((sim.asked(), sim.heard()), (vec![], vec!["B G/N bdSeq=0 a=10".to_owned()]));
    // A device that is not born is its node's affair.
    sim.hear(DDATA, &payload(1, vec![by_alias(1, 5)]));
    assert_eq!(sim.asked(), [NCMD]);
}

#[test]
fn messages_that_come_too_early_wait_for_the_one_before_them() {
    let mut sim = Sim::new();
    sim.hear(NBIRTH, &birth(254, 0));
    sim.heard();
    for (seq, value) in [(1, 3), (0, 2), (255, 1), (2, 4)] {
        sim.hear(NDATA, &payload(seq, vec![by_alias(1, value)]));
    }
    assert_eq!(sim.heard(), ["D G/N a=1", "D G/N a=2", "D G/N a=3", "D G/N a=4"]);
    // One that comes twice is heard once.
    sim.hear(NDATA, &payload(2, vec![by_alias(1, 9)]));
    assert_eq!((sim.heard(), sim.asked()), (vec![], vec![NCMD.to_owned()]));
}

#[test]
fn a_gap_that_stays_is_a_loss_and_what_came_counts() {
    let mut sim = Sim::new();
    sim.hear(NBIRTH, &birth(0, 0));
    sim.heard();
    sim.hear(NDATA, &payload(4, vec![by_alias(1, 4)]));
    sim.hear(NDATA, &payload(3, vec![by_alias(1, 3)]));
    sim.run_until(1_999);
    assert_eq!((sim.heard(), sim.asked()), (vec![], vec![]));
    sim.run_until(2_000);
    assert_eq!(
        (sim.heard(), sim.asked()),
        (vec!["D G/N a=3".into(), "D G/N a=4".into()], vec![NCMD.into()])
    );
    // It goes on behind the gap, birth or not, and what comes late comes too late.
    sim.hear(NDATA, &payload(5, vec![by_alias(1, 5)]));
    sim.hear(NDATA, &payload(1, vec![by_alias(1, 1)]));
    assert_eq!(sim.heard(), ["D G/N a=5"]);
    sim.hear(NBIRTH, &birth(6, 0));
    sim.hear(NDATA, &payload(7, vec![by_alias(1, 7)]));
    assert_eq!(sim.heard(), ["B G/N bdSeq=0 a=10", "D G/N a=7"]);
}

#[test]
fn more_messages_than_may_wait_are_not_waited_for() {
    let mut sim = Sim::new();
    sim.hear(NBIRTH, &birth(0, 0));
    sim.heard();
    for seq in 2..34 {
        sim.hear(NDATA, &payload(seq, vec![by_alias(1, seq as i64)]));
    }
    assert_eq!((sim.heard().len(), sim.asked().len()), (0, 0), "32 wait");
    sim.hear(NDATA, &payload(34, vec![by_alias(1, 34)]));
    assert_eq!((sim.heard().len(), sim.asked().len()), (33, 1));
}

#[test]
fn a_death_counts_only_for_its_session_or_a_later_one() {
    let mut sim = Sim::new();
    sim.hear(NBIRTH, &birth(0, 0));
    sim.hear(NDEATH, &death(255));
    assert_eq!(sim.heard(), ["B G/N bdSeq=0 a=10"], "the will of the session before came late");
    sim.hear(NDEATH, &death(1));
    assert_eq!(sim.heard(), ["X G/N"], "born and gone without a word");
    sim.hear(NDEATH, &death(1));
    assert_eq!(sim.heard(), [""; 0], "once");
    assert_eq!(sim.asked(), [""; 0], "the dead are not asked");
}

#[test]
fn devices_that_are_not_born_again_with_their_node_are_gone() {
    let mut sim = Sim::new();
    sim.hear(NBIRTH, &birth(0, 0));
    sim.hear(DBIRTH, &payload(1, vec![metric("s", Some(2), 1)]));
    sim.hear("spBv1.0/G/DBIRTH/N/E", &payload(2, vec![metric("t", Some(3), 2)]));
    sim.heard();
    sim.hear(NBIRTH, &birth(0, 1));
    // The alias of before says nothing now.
    sim.hear(DDATA, &payload(1, vec![by_alias(2, 5)]));
    assert_eq!((sim.heard(), sim.asked().len()), (vec!["B G/N bdSeq=1 a=10".to_owned()], 1));
    sim.hear(DBIRTH, &payload(2, vec![metric("s", Some(9), 1)]));
    sim.run_until(2_000);
    assert_eq!(sim.heard(), ["B G/N/D s=1", "X G/N/E"]);
    sim.hear(DDATA, &payload(3, vec![by_alias(9, 5)]));
    assert_eq!(sim.heard(), ["D G/N/D s=5"]);
    sim.hear(NDEATH, &death(1));
    assert_eq!(sim.heard(), ["X G/N", "X G/N/D"]);
}

#[test]
fn what_no_birth_has_named_is_left_out_and_asked_for() {
    let mut sim = Sim::new();
    sim.hear(NBIRTH, &birth(0, 0));
    sim.hear(NDATA, &payload(1, vec![by_alias(1, 5), by_alias(99, 6), metric("b", None, 7)]));
    assert_eq!(sim.heard(), ["B G/N bdSeq=0 a=10", "D G/N a=5"]);
    assert_eq!(sim.asked(), [NCMD]);
    // A value of the wrong kind is its metric's error.
    let wrong = Metric { value: Some(Raw::Str("x".into())), ..by_alias(1, 0) };
    sim.hear(NDATA, &payload(2, vec![wrong]));
    assert_eq!(sim.heard(), ["D G/N a=Err(Mismatch(Int32))"]);
}

#[test]
fn a_payload_that_cannot_be_read_is_as_good_as_lost() {
    let mut sim = Sim::new();
    sim.hear(NBIRTH, &birth(0, 0));
    sim.heard();
    assert_eq!(sim.raw(NDATA, &[0x12, 5]), Err(HostError::Payload(DecodeError::Truncated)));
    assert_eq!(sim.asked(), [NCMD]);
    assert_eq!(sim.raw(NDEATH, &[0x12, 5]), Err(HostError::Payload(DecodeError::Truncated)));
    assert_eq!(sim.raw("spBv1.0/G/NDATA", &[]), Err(HostError::Topic(TopicError::Levels)));
    assert_eq!((sim.heard(), sim.asked()), (vec![], vec![]));
    assert_eq!(sim.raw(NCMD, &[0xFF]), Ok(()), "a command is somebody else's");
}

#[test]
fn quality_and_history_are_told() {
    let mut sim = Sim::new();
    sim.hear(NBIRTH, &birth(0, 0));
    let stale = Property { datatype: Some(3), is_null: false, value: Some(Raw::Int(500)) };
    let set = PropertySet { entries: vec![(super::super::message::QUALITY.into(), stale)] };
    let old = Metric { is_historical: true, timestamp: Some(77), ..by_alias(1, 1) };
    let bad = Metric { properties: Some(Box::new(set)), ..by_alias(1, 2) };
    sim.hear(NDATA, &payload(1, vec![old, bad]));
    sim.host.poll_event();
    let Some(Event::Data(_, readings)) = sim.host.poll_event() else { panic!() };
    let short = |r: &Reading| (r.is_historical, r.timestamp, r.quality);
    assert_eq!(short(&readings[0]), (true, Some(77), Quality::Good));
    assert_eq!(short(&readings[1]), (false, Some(1), Quality::Stale));
}

#[test]
fn a_value_goes_by_alias_where_the_birth_gave_one() {
    let mut sim = Sim::new();
    let node = node_id().source();
    let write =
        |sim: &Sim, metric: &str, value: &Value| sim.host.write(now(5), &node, metric, value);
    assert_eq!(write(&sim, "a", &Value::Int(1)), Err(WriteError::Offline));
    let mut payload = birth(0, 0);
    payload.metrics.push(metric("b", None, 0));
    sim.hear(NBIRTH, &payload);
    let sent = write(&sim, "a", &Value::Int(-3)).unwrap();
    assert_eq!(sent.topic, NCMD);
    let command = Payload::decode(&sent.payload, Limits::default()).unwrap();
    assert_eq!((command.timestamp, command.seq), (Some(5), None));
    assert_eq!((command.metrics[0].name.clone(), command.metrics[0].alias), (None, Some(1)));
    assert_eq!(command.metrics[0].typed(None), Ok(Some(Value::Int(-3))));
    let sent = write(&sim, "b", &Value::Int(1)).unwrap();
    let command = Payload::decode(&sent.payload, Limits::default()).unwrap();
    assert_eq!(command.metrics[0].name.as_deref(), Some("b"));
    assert_eq!(write(&sim, "c", &Value::Int(1)), Err(WriteError::NoMetric));
    let range = ValueError::Range(DataType::Int32);
    assert_eq!(write(&sim, "a", &Value::Int(1 << 40)), Err(WriteError::Value(range)));
    let metrics: Vec<_> = sim.host.metrics(&node).map(|(name, _)| name.to_owned()).collect();
    assert_eq!(metrics, ["a", "b", "bdSeq"]);
}

#[test]
fn a_host_says_that_it_is_online_and_corrects_who_says_otherwise() {
    let config = HostConfig { id: Some("scada".into()), ..HostConfig::default() };
    let mut host = Host::new(config).unwrap();
    let will = host.connect(now(1_000)).unwrap();
    let state = |transmit: &Transmit| {
        assert_eq!((transmit.qos, transmit.retain), (QoS::AtLeastOnce, true));
        assert_eq!(transmit.topic, "spBv1.0/STATE/scada");
        State::decode(&transmit.payload).unwrap()
    };
    assert_eq!(state(&will), State::new(false, 1_000));
    host.on_connected(now(1_500));
    assert_eq!(state(&host.poll_transmit().unwrap()), State::new(true, 1_000));
    let topic = "spBv1.0/STATE/scada";
    host.handle(now(2_000), topic, &State::new(true, 1_000).encode()).unwrap();
    host.handle(now(2_000), "spBv1.0/STATE/other", &State::new(false, 5).encode()).unwrap();
    assert_eq!(host.poll_transmit(), None);
    for _ in 0..3 {
        host.handle(now(2_000), topic, &State::new(false, 900).encode()).unwrap();
    }
    assert_eq!(state(&host.poll_transmit().unwrap()), State::new(true, 1_000));
    assert_eq!(host.poll_transmit(), None, "once is enough");
    assert_eq!(state(&host.disconnect().unwrap()), State::new(false, 1_000));
    host.on_disconnected();
    assert_eq!(host.disconnect(), None);
    assert!(Host::new(HostConfig { id: Some("a/b".into()), ..HostConfig::default() }).is_err());
}

#[test]
fn a_new_connection_asks_for_the_births_of_all_that_are_known() {
    let mut host = Host::new(HostConfig::default()).unwrap();
    host.expect(now(0), &node_id()).unwrap();
    assert_eq!(host.poll_transmit(), None);
    host.connect(now(0));
    host.on_connected(now(0));
    let mut sim = Sim { host, now: 0 };
    assert_eq!(sim.asked(), [NCMD]);
    sim.hear(NBIRTH, &birth(0, 0));
    sim.host.on_disconnected();
    assert_eq!(sim.host.sources().count(), 0, "nobody knows");
    sim.run_until(60_000);
    assert_eq!(sim.asked(), [""; 0]);
    sim.host.connect(now(60_000));
    sim.host.on_connected(now(60_000));
    assert_eq!(sim.asked(), [NCMD]);
    let other = NodeId::new("G", "M").unwrap();
    sim.host.expect(now(60_000), &other).unwrap();
    assert_eq!(sim.asked(), ["spBv1.0/G/NCMD/M"]);
}

#[test]
fn nodes_and_metrics_have_their_limits() {
    let config = HostConfig { nodes_max: 2, metrics_max: 3, ..HostConfig::default() };
    let mut sim = Sim::with(config);
    sim.hear("spBv1.0/G/NBIRTH/1", &birth(0, 0));
    sim.hear("spBv1.0/G/NDATA/2", &payload(0, vec![]));
    // One that is not online makes room, one that is does not.
    sim.hear("spBv1.0/G/NBIRTH/3", &birth(0, 0));
    let bytes = birth(0, 0).encode();
    assert_eq!(sim.raw("spBv1.0/G/NBIRTH/4", &bytes), Err(HostError::TooManyNodes(2)));
    let metrics = |count: i64| (0..count).map(|at| metric(&format!("m{at}"), None, at)).collect();
    sim.hear("spBv1.0/G/DBIRTH/1/D", &payload(1, metrics(1)));
    let many = payload(2, metrics(2)).encode();
    let refused = Err(HostError::TooManyMetrics(3));
    assert_eq!(sim.raw("spBv1.0/G/DBIRTH/1/E", &many), refused);
    // The one that is there may be born anew.
    sim.hear("spBv1.0/G/DBIRTH/1/D", &payload(3, metrics(1)));
    let many = payload(0, metrics(4)).encode();
    assert_eq!(sim.raw("spBv1.0/G/NBIRTH/1", &many), refused);
}
