use pointstream_hub::{Hub, Limits, Mode, Subscription, TopicId, TopicOptions};
use pointstream_poll::shell::{ClientOptions, Pollers, Source as Polled};
use pointstream_poll::{Config, Targets};
use pointstream_time::Seed;
use tokio::task::JoinSet;

use crate::source::{Source, soon};

struct Rig {
    hub: Hub,
    source: Source,
    _tasks: JoinSet<()>,
}

impl Rig {
    async fn start(set: impl FnOnce(&Source, &mut Polled)) -> Self {
        let source = Source::start().await;
        let hub = Hub::new(Limits::default(), Seed::new(1));
        let topic: TopicId = hub.create("prices", TopicOptions::text()).unwrap();
        let mut config = Config::new(&source.url("/prices"));
        config.period = Config::PERIOD_MIN;
        let mut polled = Polled::new(config);
        set(&source, &mut polled);
        let mut targets = Targets::public();
        targets.allow_url(&source.url("/")).unwrap();
        let mut pollers = Pollers::new(hub.clone());
        pollers.add(&topic, polled, ClientOptions::new(targets), Seed::new(2)).unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(pollers.run());
        Self { hub, source, _tasks: tasks }
    }

    fn subscribe(&self) -> Subscription {
        self.hub.subscribe("prices", Mode::Patch, None).unwrap()
    }
}

async fn next(subscription: &mut Subscription) -> (String, String) {
    let event = soon(subscription.next()).await.unwrap().unwrap();
    (event.kind().as_str().to_owned(), String::from_utf8(event.body().to_vec()).unwrap())
}

#[tokio::test]
async fn a_source_is_polled_for_who_listens_and_for_who_comes_later() {
    let rig = Rig::start(|_, _| ()).await;
    rig.source.answer(
        "200 OK",
        "ETag: \"a\"\r\n",
        r#"{"a":1,"pad":"0123456789012345678901234567890123456789"}"#,
    );
    rig.source.answer("304 Not Modified", "", "");
    rig.source.answer("200 OK", "", r#"{"a":2,"pad":"0123456789012345678901234567890123456789"}"#);
    let mut one = rig.subscribe();
    assert_eq!(next(&mut one).await.0, "data");
    let (kind, patch) = next(&mut one).await;
    assert_eq!(kind, "patch");
    assert_eq!(patch, r#"[{"op":"replace","path":"/a","value":2}]"#);
    let requests = rig.source.requests(3).await;
    assert!(requests[1].contains("if-none-match: \"a\""), "{}", requests[1]);
    assert_eq!(rig.source.connections(), 1);
    let stats = rig.hub.topic("prices").unwrap().stats;
    assert!(stats.fetches >= 3 && stats.fetch_micros > 0, "{stats:?}");
    assert_eq!((stats.fetches_unchanged, stats.fetches_failed), (1, 0));
    drop(one);
    let mut two = rig.subscribe();
    assert_eq!(next(&mut two).await.0, "data");
}

#[tokio::test]
async fn what_fails_is_told_and_the_stream_goes_on() {
    let rig = Rig::start(|_, _| ()).await;
    let long = |n: u32| format!(r#"{{"a":{n},"pad":"0123456789012345678901234567890123456789"}}"#);
    rig.source.answer("200 OK", "", long(1));
    rig.source.answer("503 Service Unavailable", "", "");
    rig.source.answer("503 Service Unavailable", "", "");
    rig.source.answer("200 OK", "", "not JSON");
    rig.source.answer("200 OK", "", long(2));
    let mut events = rig.subscribe();
    assert_eq!(next(&mut events).await.0, "data");
    let (kind, body) = next(&mut events).await;
    assert_eq!(kind, "error");
    assert!(body.contains("60001") && body.contains("503"), "{body}");
    let (kind, body) = next(&mut events).await;
    assert_eq!(kind, "error", "once for both");
    assert!(body.contains("61500"), "{body}");
    // From the last good document on.
    assert_eq!(next(&mut events).await.0, "patch");
    // What is no JSON was an answer, and the topic's fault says what is wrong with it.
    assert_eq!(rig.hub.topic("prices").unwrap().stats.fetches_failed, 2);
}

#[tokio::test]
async fn an_address_of_the_own_network_must_have_been_named() {
    let source = Source::start().await;
    source.answer("200 OK", "", "1");
    let hub = Hub::new(Limits::default(), Seed::new(1));
    let topic = hub.create("prices", TopicOptions::text()).unwrap();
    let mut pollers = Pollers::new(hub.clone());
    let polled = Polled::new(Config::new(&source.url("/")));
    pollers.add(&topic, polled, ClientOptions::new(Targets::public()), Seed::new(2)).unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(pollers.run());
    let mut events = hub.subscribe("prices", Mode::Patch, None).unwrap();
    let (kind, body) = next(&mut events).await;
    assert_eq!(kind, "error");
    assert!(body.contains("60400") && !body.contains("127.0.0.1"), "{body}");
    assert_eq!(source.connections(), 0);
}
