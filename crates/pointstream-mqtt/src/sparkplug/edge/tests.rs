use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::sparkplug::{Event, Host, HostConfig, Property};

fn now(millis: u64) -> Now {
    Now { at: Instant::from_origin(Duration::from_millis(millis)), millis }
}

fn node(configure: impl FnOnce(&mut EdgeConfig)) -> EdgeNode {
    let mut config = EdgeConfig::new(NodeId::new("G", "N").unwrap());
    configure(&mut config);
    EdgeNode::new(config, 255)
}

fn int(value: i64) -> Value {
    Value::Int(value)
}

fn set(node: &mut EdgeNode, device: Option<&str>, name: &str, value: i64) -> bool {
    node.set(device, name, Some(&int(value)), Quality::Good, 9).unwrap()
}

/// What is to be published, in short: `NBIRTH/N #0 bdSeq=255 a=1`.
fn sent(node: &mut EdgeNode, millis: u64) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(transmit) = node.poll_transmit(now(millis)) {
        let payload = Payload::decode(&transmit.payload, Limits::default()).unwrap();
        assert_eq!((transmit.qos, transmit.retain), (QoS::AtMostOnce, false));
        assert_eq!(payload.timestamp, Some(millis));
        let mut line = transmit.topic.strip_prefix("spBv1.0/G/").unwrap().to_owned();
        line += &format!(" #{}", payload.seq.unwrap());
        for metric in &payload.metrics {
            line += " ";
            line += metric.name.as_deref().unwrap_or("");
            line += &metric.alias.map(|alias| format!("@{alias}")).unwrap_or_default();
            line += &match &metric.value {
                Some(Raw::Int(value)) => format!("={}", *value as i32),
                Some(Raw::Long(value)) => format!("={value}"),
                Some(Raw::Bool(value)) => format!("={value}"),
                None if metric.is_null => "=null".to_owned(),
                other => format!("={other:?}"),
            };
        }
        lines.push(line);
    }
    lines
}

fn small() -> EdgeNode {
    let mut node = node(|_| {});
    node.add(None, "a", DataType::Int32, None).unwrap();
    node.add(Some("D"), "s", DataType::Int16, None).unwrap();
    node.add(Some("D"), "t", DataType::Int16, None).unwrap();
    node
}

fn up(node: &mut EdgeNode) {
    node.connect(now(1));
    node.on_connected();
}

#[test]
fn births_come_first_then_what_changed_by_alias() {
    let mut node = small();
    assert!(set(&mut node, None, "a", 1));
    assert_eq!(sent(&mut node, 0), [""; 0], "not connected");
    let connect = node.connect(now(1));
    let topics: Vec<_> = connect.subscriptions.iter().map(|(topic, _)| topic.as_str()).collect();
    assert_eq!(topics, ["spBv1.0/G/NCMD/N", "spBv1.0/G/DCMD/N/#"]);
    let will = Payload::decode(&connect.will.payload, Limits::default()).unwrap();
    assert_eq!((connect.will.topic.as_str(), will.seq), ("spBv1.0/G/NDEATH/N", None));
    assert_eq!((connect.will.qos, connect.will.retain), (QoS::AtLeastOnce, false));
    assert_eq!(will.metrics[0].value, Some(Raw::Long(255)));
    node.on_connected();
    assert_eq!(
        sent(&mut node, 1),
        [
            "NBIRTH/N #0 bdSeq=255 Node Control/Rebirth=false a@0=1",
            "DBIRTH/N/D #1 s@1=null t@2=null"
        ]
    );
    assert!(set(&mut node, Some("D"), "t", 5));
    assert!(set(&mut node, None, "a", 2));
    assert!(set(&mut node, Some("D"), "t", 6));
    assert!(!set(&mut node, Some("D"), "t", 6));
    assert_eq!(sent(&mut node, 2), ["DDATA/N/D #2 @2=6", "NDATA/N #3 @0=2"]);
    assert_eq!(sent(&mut node, 3), [""; 0]);
    // The next session has the next number, of eight bits.
    let goodbye = node.disconnect(now(4)).unwrap();
    let death = Payload::decode(&goodbye.payload, Limits::default()).unwrap();
    assert_eq!(death.metrics[0].value, Some(Raw::Long(255)));
    let will = Payload::decode(&node.connect(now(5)).will.payload, Limits::default()).unwrap();
    assert_eq!(will.metrics[0].value, Some(Raw::Long(0)));
    assert_eq!(node.disconnect(now(6)), None, "nobody was told of a birth");
}

#[test]
fn numbers_wrap_at_255_and_start_over_with_a_birth() {
    let mut node = small();
    up(&mut node);
    let mut last = sent(&mut node, 1).len() as u64 - 1;
    for value in 0..600 {
        set(&mut node, None, "a", value + 10);
        last = (last + 1) % 256;
        assert_eq!(sent(&mut node, 2), [format!("NDATA/N #{last} @0={}", value + 10)]);
    }
    node.on_disconnected();
    up(&mut node);
    assert!(sent(&mut node, 3)[0].starts_with("NBIRTH/N #0 bdSeq=0 "));
}

#[test]
fn a_command_brings_births_but_not_in_a_flood() {
    let mut node = small();
    up(&mut node);
    assert_eq!(sent(&mut node, 1000).len(), 2);
    // As pysparkplug 0.6.1 sends it.
    let ncmd = crate::sparkplug::tests::vectors::bytes("ncmd");
    for _ in 0..100 {
        node.handle("spBv1.0/G/NCMD/N", &ncmd).unwrap();
    }
    assert_eq!(sent(&mut node, 1500), [""; 0]);
    assert_eq!(node.poll_timeout(), Some(now(2000).at));
    assert_eq!(sent(&mut node, 2000).len(), 2);
    assert_eq!((sent(&mut node, 9000), node.poll_timeout()), (vec![], None));
    // What is not true, not for this node or not a command brings nothing.
    node.handle("spBv1.0/G/NCMD/M", &ncmd).unwrap();
    node.handle("spBv1.0/G/NDATA/N", &ncmd).unwrap();
    node.handle("nonsense", &ncmd).unwrap();
    assert!(node.handle("spBv1.0/G/NCMD/N", &[0xFF]).is_err());
    assert_eq!(sent(&mut node, 9000), [""; 0]);
}

#[test]
fn commands_for_metrics_are_events() {
    let mut node = small();
    up(&mut node);
    let command = |metric: Metric| Payload { metrics: vec![metric], ..Payload::default() }.encode();
    let by_name = Metric::new("t", DataType::Int16, Some(&int(-7))).unwrap();
    let by_alias = Metric { name: None, alias: Some(2), datatype: None, ..by_name.clone() };
    let too_large = Metric { value: Some(Raw::Int(70_000)), ..by_alias.clone() };
    let null = Metric { value: None, is_null: true, ..by_alias.clone() };
    for metric in [&by_name, &by_alias, &too_large, &null] {
        node.handle("spBv1.0/G/DCMD/N/D", &command(metric.clone())).unwrap();
    }
    // The node has no such metric, the device no such alias.
    node.handle("spBv1.0/G/NCMD/N", &command(by_name)).unwrap();
    node.handle("spBv1.0/G/DCMD/N/D", &command(Metric { alias: Some(0), ..by_alias })).unwrap();
    let range = ValueError::Range(DataType::Int16);
    for expected in [Ok(Some(int(-7))), Ok(Some(int(-7))), Err(range), Ok(None)] {
        let Some(EdgeEvent::Write { device, metric, value }) = node.poll_event() else { panic!() };
        assert_eq!((device.as_deref(), &*metric, value), (Some("D"), "t", expected));
    }
    assert_eq!(node.poll_event(), None);
}

#[test]
fn a_device_dies_and_is_born_with_its_reach_and_its_metrics() {
    let mut node = small();
    up(&mut node);
    sent(&mut node, 1);
    node.set_reachable("D", false);
    set(&mut node, Some("D"), "s", 3);
    assert_eq!(sent(&mut node, 2), ["DDEATH/N/D #2"]);
    set(&mut node, Some("D"), "s", 4);
    assert_eq!(sent(&mut node, 2), [""; 0], "the dead tell nothing");
    node.set_reachable("D", true);
    node.set_reachable("D", true);
    assert_eq!(sent(&mut node, 3), ["DBIRTH/N/D #3 s@1=4 t@2=null"]);
    node.remove(Some("D"), "s");
    node.add(Some("D"), "u", DataType::Int32, None).unwrap();
    assert_eq!(sent(&mut node, 4), ["DBIRTH/N/D #4 t@2=null u@3=null"]);
    node.remove(Some("D"), "t");
    node.remove(Some("D"), "u");
    node.remove(Some("D"), "u");
    assert_eq!(sent(&mut node, 5), ["DDEATH/N/D #5"]);
    assert_eq!(node.groups.len(), 1);
    for (device, name) in [(Some(""), "x"), (Some("a/b"), "x")] {
        assert_eq!(node.add(device, name, DataType::Int8, None), Err(EdgeError::Device));
    }
    for name in ["", "bdSeq", "Node Control/Rebirth"] {
        assert_eq!(node.add(None, name, DataType::Int8, None), Err(EdgeError::Name));
    }
    assert_eq!(node.set(None, "x", None, Quality::Good, 0), Err(EdgeError::NoMetric));
}

/// The values of the past in what is to be published: `DDATA/N/D @1=3 t=9`.
fn history(node: &mut EdgeNode, millis: u64) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(transmit) = node.poll_transmit(now(millis)) {
        let payload = Payload::decode(&transmit.payload, Limits::default()).unwrap();
        let past: Vec<_> = payload.metrics.iter().filter(|it| it.is_historical).collect();
        if past.is_empty() {
            lines.push(transmit.topic.strip_prefix("spBv1.0/G/").unwrap().to_owned());
            continue;
        }
        assert_eq!(past.len(), payload.metrics.len());
        for metric in past {
            let value = match &metric.value {
                Some(Raw::Int(value)) => value.to_string(),
                None => "null".to_owned(),
                other => panic!("{other:?}"),
            };
            let (alias, at) = (metric.alias.unwrap(), metric.timestamp.unwrap());
            let bad = if metric.properties.is_some() { "!" } else { "" };
            lines.push(format!("@{alias}={value}{bad} t={at}"));
        }
    }
    lines
}

#[test]
fn what_changes_while_nobody_listens_is_told_as_history_after_the_births() {
    let mut node = node(|config| (config.history_max, config.batch_max) = (6, 2));
    node.add(None, "a", DataType::Int32, None).unwrap();
    node.add(Some("D"), "s", DataType::Int16, None).unwrap();
    node.add(Some("E"), "s", DataType::Int16, None).unwrap();
    node.set_reachable("E", false);
    let mut at = 0;
    let mut set = |node: &mut EdgeNode, device: Option<&str>, name: &str, value: Option<i64>| {
        at += 1;
        let quality = if value.is_some() { Quality::Good } else { Quality::Bad };
        node.set(device, name, value.map(int).as_ref(), quality, at).unwrap();
    };
    // That there is nothing yet is nothing of the past.
    set(&mut node, None, "a", None);
    for value in 1..=3 {
        set(&mut node, None, "a", Some(value));
    }
    for (device, value) in [("D", 6), ("D", 7), ("E", 8), ("E", 9)] {
        set(&mut node, Some(device), "s", Some(value));
    }
    set(&mut node, None, "a", None);
    assert_eq!(node.dropped(), 2, "two more than are kept");
    up(&mut node);
    // What the births say is not said again.
    let expected = ["NBIRTH/N", "DBIRTH/N/D", "@0=3 t=4", "@1=6 t=5"].map(str::to_owned);
    assert_eq!(history(&mut node, 1), expected);
    assert_eq!(history(&mut node, 2), [""; 0]);
    // What is told as it happens is no history. A device's waits until it is there.
    set(&mut node, None, "a", Some(4));
    assert_eq!(history(&mut node, 3), ["NDATA/N"]);
    node.set_reachable("E", true);
    assert_eq!(history(&mut node, 4), ["DBIRTH/N/E", "@2=8 t=7"]);
}

#[test]
fn what_changes_while_the_primary_host_is_away_is_kept_too() {
    let mut node = node(|config| {
        (config.primary_host, config.history_max) = (Some("scada".into()), 10);
    });
    node.add(None, "a", DataType::Int32, None).unwrap();
    let state = |node: &mut EdgeNode, online, at| {
        let state = State::new(online, at).encode();
        node.handle("spBv1.0/STATE/scada", &state).unwrap();
    };
    up(&mut node);
    state(&mut node, true, 1);
    assert_eq!(history(&mut node, 1), ["NBIRTH/N"]);
    state(&mut node, false, 2);
    assert_eq!(node.poll_event(), Some(EdgeEvent::HostGone));
    assert!(node.disconnect(now(2)).is_some());
    up(&mut node);
    for value in [1, 2] {
        assert!(set(&mut node, None, "a", value));
    }
    assert_eq!(history(&mut node, 3), [""; 0], "the host is still away");
    state(&mut node, true, 3);
    assert_eq!(history(&mut node, 4), ["NBIRTH/N", "@0=1 t=9"]);
}

#[test]
fn a_batch_has_its_limit_and_nobody_waits_for_another() {
    let mut node = node(|config| (config.batch_max, config.aliases) = (2, false));
    for name in ["a", "b", "c", "d", "e"] {
        node.add(Some("D"), name, DataType::Int8, None).unwrap();
    }
    node.add(Some("E"), "z", DataType::Int8, None).unwrap();
    up(&mut node);
    sent(&mut node, 1);
    for name in ["a", "b", "c", "d", "e"] {
        set(&mut node, Some("D"), name, 1);
    }
    set(&mut node, Some("E"), "z", 1);
    assert_eq!(
        sent(&mut node, 2),
        ["DDATA/N/D #3 a=1 b=1", "DDATA/N/E #4 z=1", "DDATA/N/D #5 c=1 d=1", "DDATA/N/D #6 e=1"]
    );
}

#[test]
fn quality_is_told_while_it_is_not_good_and_when_it_is_again() {
    let mut node = small();
    up(&mut node);
    sent(&mut node, 1);
    let mut told = |value: Option<i64>, quality| {
        node.set(None, "a", value.map(int).as_ref(), quality, 7).unwrap();
        let transmit = node.poll_transmit(now(2))?;
        let payload = Payload::decode(&transmit.payload, Limits::default()).unwrap();
        let set = payload.metrics[0].properties.clone();
        set.map(|set| set.entries[0].1.value.clone())
    };
    assert_eq!(told(Some(1), Quality::Good), None);
    assert_eq!(told(Some(1), Quality::Stale), Some(Some(Raw::Int(500))));
    assert_eq!(told(None, Quality::Bad), Some(Some(Raw::Int(0))));
    assert_eq!(told(Some(1), Quality::Good), Some(Some(Raw::Int(192))));
    assert_eq!(told(Some(2), Quality::Good), None);
}

#[test]
fn properties_are_told_with_births() {
    let mut node = node(|_| {});
    let unit = Property {
        datatype: Some(DataType::String.code()),
        value: Some(Raw::Str("°C".into())),
        ..Property::default()
    };
    let set = PropertySet { entries: vec![("engUnit".into(), unit)] };
    node.add(None, "a", DataType::Double, Some(set.clone())).unwrap();
    up(&mut node);
    let birth = node.poll_transmit(now(1)).unwrap();
    let birth = Payload::decode(&birth.payload, Limits::default()).unwrap();
    assert_eq!(birth.metrics[2].properties, Some(Box::new(set)));
}

#[test]
fn nothing_is_told_before_the_primary_host_is_there() {
    let mut node = node(|config| config.primary_host = Some("scada".into()));
    node.add(None, "a", DataType::Int32, None).unwrap();
    let connect = node.connect(now(1));
    assert_eq!(connect.subscriptions[2].0, "spBv1.0/STATE/scada");
    node.on_connected();
    assert_eq!(sent(&mut node, 1), [""; 0]);
    let state = |node: &mut EdgeNode, host: &str, online, timestamp| {
        let topic = format!("spBv1.0/STATE/{host}");
        node.handle(&topic, &State::new(online, timestamp).encode()).unwrap();
    };
    state(&mut node, "other", true, 5);
    state(&mut node, "scada", false, 10);
    state(&mut node, "scada", true, 9);
    node.handle("spBv1.0/STATE/scada", b"ONLINE").unwrap();
    assert_eq!(sent(&mut node, 1), [""; 0], "the online was before the offline");
    state(&mut node, "scada", true, 20);
    assert_eq!(sent(&mut node, 1).len(), 1);
    // The will of a session of the host before this one comes late.
    state(&mut node, "scada", false, 19);
    assert_eq!(node.poll_event(), None);
    state(&mut node, "scada", false, 20);
    assert_eq!(node.poll_event(), Some(EdgeEvent::HostGone));
    assert!(node.disconnect(now(2)).is_some());
}

/// What may happen between a node and a host.
#[derive(Clone, Debug)]
enum Step {
    Set(usize, i64),
    Add(usize),
    Remove(usize),
    Reach(usize, bool),
    /// So many messages are told, each of them lost or not.
    Tell(Vec<bool>),
    /// The node's connection breaks, with its will or its goodbye.
    Break(bool),
    /// Somebody asks for births.
    Ask,
    Wait(u64),
}

const PLACES: [(Option<&str>, &str); 6] = [
    (None, "a"),
    (None, "b"),
    (Some("D"), "a"),
    (Some("D"), "b"),
    (Some("E"), "a"),
    (Some("E"), "b"),
];

fn step() -> impl Strategy<Value = Step> {
    let at = 0..PLACES.len();
    prop_oneof![
        4 => (at.clone(), -3i64..3).prop_map(|(at, value)| Step::Set(at, value)),
        1 => at.clone().prop_map(Step::Add),
        1 => at.clone().prop_map(Step::Remove),
        1 => (at, any::<bool>()).prop_map(|(at, reach)| Step::Reach(at, reach)),
        4 => vec(prop::bool::weighted(0.2), 1..8).prop_map(Step::Tell),
        1 => any::<bool>().prop_map(Step::Break),
        1 => Just(Step::Ask),
        1 => (1u64..5_000).prop_map(Step::Wait),
    ]
}

/// A device, or none for the node itself, and a metric.
type Place = (Option<Arc<str>>, Arc<str>);

/// A node and a host that hears it over a network which loses messages.
struct Pair {
    node: EdgeNode,
    host: Host,
    millis: u64,
    will: Option<Transmit>,
    /// What the host shows, by its events alone.
    shown: BTreeMap<Place, Option<Value>>,
}

impl Pair {
    fn new() -> Self {
        let mut host = Host::new(HostConfig::default()).unwrap();
        host.expect(now(0), &NodeId::new("G", "N").unwrap()).unwrap();
        host.connect(now(0));
        host.on_connected(now(0));
        let (will, shown) = (None, BTreeMap::new());
        let mut pair =
            Self { node: node(|config| config.history_max = 5), host, millis: 0, will, shown };
        pair.connect();
        pair
    }

    fn connect(&mut self) {
        self.will = Some(self.node.connect(now(self.millis)).will);
        self.node.on_connected();
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Set(at, value) => {
                let (device, name) = PLACES[at];
                let value = Some(int(value));
                let _ = self.node.set(device, name, value.as_ref(), Quality::Good, self.millis);
            }
            Step::Add(at) => {
                let (device, name) = PLACES[at];
                self.node.add(device, name, DataType::Int32, None).unwrap();
            }
            Step::Remove(at) => self.node.remove(PLACES[at].0, PLACES[at].1),
            Step::Reach(at, reach) => {
                if let Some(device) = PLACES[at].0 {
                    self.node.set_reachable(device, reach);
                }
            }
            Step::Tell(lost) => lost.into_iter().for_each(|lost| _ = self.tell(lost)),
            Step::Break(polite) => {
                let goodbye = self.node.disconnect(now(self.millis)).filter(|_| polite);
                if let Some(death) = goodbye.or_else(|| self.will.take()) {
                    self.hear(&death);
                }
                self.connect();
            }
            Step::Ask => {
                let ncmd = crate::sparkplug::tests::vectors::bytes("ncmd");
                self.node.handle("spBv1.0/G/NCMD/N", &ncmd).unwrap();
            }
            Step::Wait(millis) => self.wait(millis),
        }
    }

    fn tell(&mut self, lost: bool) -> bool {
        let Some(transmit) = self.node.poll_transmit(now(self.millis)) else { return false };
        // A birth of the node is not lost: where the numbers of its messages happen to go on from those
        // before it, nothing shows that it is missing.
        if !lost || transmit.topic.contains("NBIRTH") {
            self.hear(&transmit);
        }
        true
    }

    fn hear(&mut self, transmit: &Transmit) {
        self.host.handle(now(self.millis), &transmit.topic, &transmit.payload).unwrap();
        self.follow();
    }

    fn wait(&mut self, millis: u64) {
        self.millis += millis;
        self.host.handle_timeout(now(self.millis));
        self.follow();
    }

    /// Takes what the host says, and passes its requests on.
    fn follow(&mut self) {
        while let Some(event) = self.host.poll_event() {
            let (source, readings, birth) = match event {
                Event::Birth(source, readings) => (source, readings, true),
                Event::Data(source, readings) => (source, readings, false),
                Event::Death(source) => (source, Vec::new(), true),
            };
            if birth {
                self.shown.retain(|(device, _), _| *device != source.device);
            }
            // What was once says nothing of the present.
            for reading in readings.into_iter().filter(|reading| !reading.is_historical) {
                let key = (source.device.clone(), reading.name);
                self.shown.insert(key, reading.value.unwrap());
            }
        }
        while let Some(transmit) = self.host.poll_transmit() {
            self.node.handle(&transmit.topic, &transmit.payload).unwrap();
        }
    }

    /// Nothing is lost any more, until there is nothing more to tell.
    fn settle(&mut self) {
        // A last message shows whether one before it was lost.
        self.node.add(Some("last"), "x", DataType::Int32, None).unwrap();
        for _ in 0..400 {
            while self.tell(false) {}
            self.wait(1_000);
        }
        while self.tell(false) {}
    }
}

proptest! {
    #[test]
    fn whatever_is_lost_the_host_shows_in_the_end_what_the_node_has(steps in vec(step(), 0..60)) {
        let mut pair = Pair::new();
        for step in steps {
            pair.step(step);
        }
        pair.settle();
        let mut expected = BTreeMap::new();
        for (device, group) in &pair.node.groups {
            for (name, value) in group.values().filter(|_| group.reachable) {
                expected.insert((device.clone(), name), value);
            }
        }
        pair.shown.retain(|(device, name), _| {
            device.is_some() || ![BD_SEQ, REBIRTH].contains(&&**name)
        });
        prop_assert_eq!(pair.shown, expected);
    }
}
