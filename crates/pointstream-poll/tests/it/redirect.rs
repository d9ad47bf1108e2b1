//! Where sources lead to elsewhere (sections 4.4 and 11.10 of the hub's specification).

use pointstream_hub::{Hub, Limits, Mode, Subscription, TopicOptions};
use pointstream_poll::shell::{ClientOptions, Pollers, Source as Polled};
use pointstream_poll::{Config, Secret, Targets};
use pointstream_time::Seed;
use tokio::task::JoinSet;

use crate::source::{Source, soon};

/// Follows a topic that is polled from `from`, which alone may be reached besides `also`.
fn follow(from: &Source, also: Option<&Source>, redirects_max: u8) -> (Subscription, JoinSet<()>) {
    let hub = Hub::new(Limits::default(), Seed::new(1));
    let topic = hub.create("prices", TopicOptions::text()).unwrap();
    let mut config = Config::new(&from.url("/"));
    config.redirects_max = redirects_max;
    config.headers = vec![("X-Key".into(), Secret::new("s3cret"))];
    let mut targets = Targets::public();
    for source in [Some(from), also].into_iter().flatten() {
        targets.allow(&source.addr.to_string()).unwrap();
    }
    let mut pollers = Pollers::new(hub.clone());
    pollers.add(&topic, Polled::new(config), ClientOptions::new(targets), Seed::new(2)).unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(pollers.run());
    (hub.subscribe("prices", Mode::Patch, None).unwrap(), tasks)
}

async fn first(subscription: &mut Subscription) -> String {
    let event = soon(subscription.next()).await.unwrap().unwrap();
    String::from_utf8(event.body().to_vec()).unwrap()
}

#[tokio::test]
async fn a_redirect_to_a_forbidden_address_is_not_followed() {
    let inner = Source::start().await;
    inner.answer("200 OK", "", "\"secret\"");
    let port = inner.addr.port();
    for to in [
        format!("http://127.0.0.1:{port}/"),
        format!("http://2130706433:{port}/"),
        format!("http://0x7f.1:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://localhost:{port}/"),
        format!("//127.0.0.1:{port}/"),
        format!("http://ok@127.0.0.1:{port}/"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "gopher://127.0.0.1/".to_owned(),
    ] {
        let outer = Source::start().await;
        outer.answer("302 Found", &format!("Location: {to}\r\n"), "");
        let (mut events, _tasks) = follow(&outer, None, 3);
        let body = first(&mut events).await;
        assert!(body.contains("60400") || body.contains("60001"), "{to}: {body}");
        assert!(!body.contains("127.0.0.1") && !body.contains("s3cret"), "{to}: {body}");
    }
    assert_eq!(inner.connections(), 0, "a listener there sees no connection");
}

#[tokio::test]
async fn redirects_are_off_and_where_they_are_on_take_no_credentials_along() {
    let inner = Source::start().await;
    inner.answer("200 OK", "", "7");
    let outer = Source::start().await;
    outer.answer("307 Temporary Redirect", &format!("Location: {}\r\n", inner.url("/in")), "");
    let (mut events, tasks) = follow(&outer, Some(&inner), 0);
    let body = first(&mut events).await;
    assert!(body.contains("60001") && body.contains("307"), "{body}");
    assert_eq!(inner.connections(), 0);
    drop(tasks);
    let (mut events, _tasks) = follow(&outer, Some(&inner), 1);
    assert_eq!(first(&mut events).await, "7");
    assert!(outer.requests(1).await[0].contains("s3cret"));
    let followed = inner.requests(1).await;
    assert!(followed[0].starts_with("GET /in HTTP/1.1\r\n") && !followed[0].contains("s3cret"));
}

#[tokio::test]
async fn a_loop_of_redirects_ends() {
    let looped = Source::start().await;
    looped.answer("302 Found", "Location: /\r\n", "");
    let (mut events, tasks) = follow(&looped, None, 3);
    let body = first(&mut events).await;
    assert!(body.contains("60001"), "{body}");
    drop((events, tasks));
    assert_eq!(looped.seen().len(), 4, "the first request and three redirects");
}
